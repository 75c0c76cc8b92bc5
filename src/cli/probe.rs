//! `check ready` and `check healthy`: one request to the server of this configuration, for health checks of
//! containers that hold nothing but this program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::http::{self, Ask};
use crate::server::Config;

/// Longest time until the answer. Docker and Kubernetes give a check 30 s and 1 s; an answer that takes this long
/// is no good sign either way.
const DEADLINE: Duration = Duration::from_secs(5);

/// As much of the answer as is read: head and the one line of the body.
const MAX_ANSWER: usize = 16 << 10;

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
    let asked =
        Ask { method: "GET", path: &path, form: "", token: None, most: MAX_ANSWER, deadline: DEADLINE };
    let (status, body) =
        http::ask(&[address], &address.to_string(), &asked).map_err(|error| format!("{url}: {error}"))?;
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
}
