//! Where the server is, as people write it.

use std::fmt;

/// Path of the stream.
const PATH: &str = "/api/v1/stream/ws";

/// The port where none is said, as with every program that speaks to gaugecast.
const PORT: u16 = 7171;

/// Where the stream of a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address, without brackets.
    host: String,
    port: u16,
    path: String,
}

/// Why a text does not say where a server is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTarget(String);

impl Target {
    /// Reads `host:port`, `http://host:port/prefix`, `ws://host:port/prefix/api/v1/stream/ws`. The port is 7171 if none
    /// is said, but 80 after `http:` or `ws:`; the path of the stream is put behind the prefix.
    ///
    /// # Errors
    /// [`BadTarget`] in words, also for `https:` and `wss:`.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        let wrong = |why: &str| {
            BadTarget(format!("{text:?} {why}; write host:port, http://host:port or ws://host:port"))
        };
        let (rest, default) = match text.split_once("://") {
            None => (text, PORT),
            Some(("http" | "ws", rest)) => (rest, 80),
            Some(("https" | "wss", _)) => {
                return Err(BadTarget(format!("{text:?}: encrypted connections are not supported yet")));
            }
            Some(_) => return Err(wrong("has an unknown scheme")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("holds a user name"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                let port = if is_number { port.parse::<u16>().ok().filter(|port| *port > 0) } else { None };
                (host, port.ok_or_else(|| wrong("has no valid port"))?)
            }
            _ => (authority, default),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        if !is_host {
            return Err(wrong("has no valid host"));
        }
        if path.bytes().any(|b| !b.is_ascii_graphic() || b"?#\"<>\\^`{|}".contains(&b)) {
            return Err(wrong("has a path with characters that do not belong there"));
        }
        let prefix = path.strip_suffix(PATH).unwrap_or(path).trim_end_matches('/');
        Ok(Target { host: bare.unwrap_or(host).to_owned(), port, path: format!("{prefix}{PATH}") })
    }

    /// What stands before the paths of the server: empty, or `/` and something without `/` at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.path.strip_suffix(PATH).unwrap_or_default()
    }

    /// Host and port to connect to.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl fmt::Display for Target {
    /// The URL of the stream, `ws://host:port/api/v1/stream/ws`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { host, port, path } = self;
        if host.contains(':') {
            write!(f, "ws://[{host}]:{port}{path}")
        } else {
            write!(f, "ws://{host}:{port}{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_is_named_in_the_ways_people_write_it() {
        for (text, url) in [
            ("127.0.0.1:7171", "ws://127.0.0.1:7171/api/v1/stream/ws"),
            ("node-1", "ws://node-1:7171/api/v1/stream/ws"),
            ("http://host:80/", "ws://host:80/api/v1/stream/ws"),
            ("http://host", "ws://host:80/api/v1/stream/ws"),
            ("ws://host:7171/live/", "ws://host:7171/live/api/v1/stream/ws"),
            ("ws://host:7171/live/api/v1/stream/ws", "ws://host:7171/live/api/v1/stream/ws"),
            ("[::1]:9", "ws://[::1]:9/api/v1/stream/ws"),
            ("[::1]", "ws://[::1]:7171/api/v1/stream/ws"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.to_string(), url, "{text}");
            assert_eq!(Target::parse(&target.to_string()), Ok(target), "{text}");
        }
        let prefix = |text| Target::parse(text).map(|target| target.prefix().to_owned());
        assert_eq!(prefix("http://host"), Ok(String::new()));
        assert_eq!(prefix("ws://host/live/api/v1/stream/ws"), Ok("/live".into()));
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "no valid host"),
            ("host:", "no valid port"),
            ("host:0", "no valid port"),
            ("host:+1", "no valid port"),
            ("host:70000", "no valid port"),
            ("::1:80", "no valid host"),
            ("[x]:80", "no valid host"),
            ("a b", "no valid host"),
            ("ftp://host", "unknown scheme"),
            ("wss://host", "not supported yet"),
            ("https://host", "not supported yet"),
            ("http://user:pw@host", "user name"),
            ("http://host/a?b", "do not belong"),
            ("http://host/a\r\nX: y", "do not belong"),
        ] {
            let told = Target::parse(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_taken_reads_back(text in "\\PC{0,20}|[a-z0-9:/\\[\\]@.]{0,20}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
            }
        }
    }
}
