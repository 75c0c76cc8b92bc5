//! `check ready` and `check healthy`: one request to the server of this configuration, for health checks of
//! containers that hold nothing but this program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::server::Config;

/// Longest time until the answer. Docker and Kubernetes give a check 30 s and 1 s; an answer that takes this long
/// is no good sign either way.
const DEADLINE: Duration = Duration::from_secs(5);

/// As much of the answer as is read: head and the one line of the body.
const MAX_ANSWER: u64 = 16 << 10;

/// Asks `/-/ready` or `/-/healthy`. Gives the first line of the body when the answer is 200.
///
/// # Errors
/// What happened instead, with the address.
pub(super) fn ask(config: &Config, what: &str) -> Result<String, String> {
    let address = config.listen.first().copied().map(reachable).ok_or("there is no address to ask")?;
    if address.port() == 0 {
        return Err(format!(
            "the port of {address} was chosen by the system; name it by --web.listen-address"
        ));
    }
    let path = format!("{}/-/{what}", config.route_prefix);
    let url = format!("http://{address}{path}");
    let (status, body) = get(address, &path).map_err(|error| format!("{url}: {error}"))?;
    let first: String = body.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    if status == 200 { Ok(first) } else { Err(format!("{url}: answers {status}: {first}")) }
}

/// The address under which a listener can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // `[::]` takes IPv4 too, and unlike ::1 that is there in every container.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// HTTP/1.0, so that the answer ends where the connection does.
fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let start = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: gaugecast-check\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while answer.len() < MAX_ANSWER as usize {
        let left = DEADLINE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in 5 s"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // What a read past its time limit gives differs between systems.
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in 5 s"));
            }
            Err(error) => return Err(error),
        }
    }
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| std::io::Error::other("this is not an HTTP server"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.trim().get(..3)?.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn only_http_counts_as_an_answer() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nready\n"), Some((200, "ready\n".into())));
        assert_eq!(parse("HTTP/1.1 503\r\n\r\n"), Some((503, String::new())));
        for other in ["", "SSH-2.0", "HTTP/1.1", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 ä€\r\n"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
