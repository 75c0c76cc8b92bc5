//! One request to a server, for commands that need no more: on a socket that waits, without a runtime.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::config::Secret;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    /// The method.
    pub(super) method: &'a str,
    /// Path and query, encoded.
    pub(super) path: &'a str,
    /// A form for the body; none when empty.
    pub(super) form: &'a str,
    /// Shown to the server.
    pub(super) token: Option<&'a Secret>,
    /// As much of the answer is read, head included; what is behind it is left.
    pub(super) most: usize,
    /// Longest time until the whole answer is there.
    pub(super) deadline: Duration,
}

/// Asks the first of the addresses that takes a connection; `host` is what the server knows itself by. Gives status and body.
/// HTTP/1.0, so that the answer ends where the connection does.
pub(super) fn ask(addresses: &[SocketAddr], host: &str, asked: &Ask<'_>) -> std::io::Result<(u16, String)> {
    let start = Instant::now();
    let late = || Error::new(ErrorKind::TimedOut, format!("no answer in {} s", asked.deadline.as_secs()));
    let mut connected = Err(Error::new(ErrorKind::NotFound, "the host has no address"));
    for address in addresses {
        connected = TcpStream::connect_timeout(address, asked.deadline);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_write_timeout(Some(asked.deadline))?;
    let Ask { method, path, form, .. } = asked;
    let length = match form.len() {
        0 => String::new(),
        length => {
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n")
        }
    };
    let bearer = asked.token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose()));
    let bearer = bearer.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: gaugecast\r\n{bearer}{length}\r\n{form}"
    )?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    while answer.len() < asked.most {
        let left = asked.deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(late());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What a read past its time limit gives differs between systems.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(late());
            }
            Err(error) => return Err(error),
        }
    }
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| Error::other("this is not an HTTP server"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.trim().get(..3)?.parse().ok()?, body.to_owned()))
}

/// A form or query of names and values, encoded.
pub(super) fn encoded(pairs: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.push_str(if at > 0 { "&" } else { "" });
        for (text, end) in [(*name, "="), (value, "")] {
            for byte in text.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        out.push(byte.into())
                    }
                    other => out.push_str(&format!("%{other:02X}")),
                }
            }
            out.push_str(end);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_counts_as_an_answer() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nready\n"), Some((200, "ready\n".into())));
        assert_eq!(parse("HTTP/1.1 503\r\n\r\n"), Some((503, String::new())));
        for other in ["", "SSH-2.0", "HTTP/1.1", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 ä€\r\n"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_form_holds_any_text() {
        let form = encoded(&[("match[]", "a{b=\"ä c\"}".into()), ("x", String::new())]);
        assert_eq!(form, "match%5B%5D=a%7Bb%3D%22%C3%A4%20c%22%7D&x=");
    }
}
