//! [`Url`]: where to, and by its scheme how.

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket (RFC 6455): `ws://` and `wss://`.
    WebSocket,
    /// Server-sent events: `http://` and `https://`.
    Sse,
}

impl Transport {
    /// As reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }

    /// Where our server has it.
    const fn path(self) -> &'static str {
        match self {
            Self::WebSocket => "/api/v1/stream/ws",
            Self::Sse => "/api/v1/stream/sse",
        }
    }
}

/// `ws://`, `wss://`, `http://` or `https://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As given.
    pub text: String,
    /// What its scheme asks for.
    pub transport: Transport,
    /// Encrypted.
    pub tls: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port; where none is given 80, encrypted 443.
    pub port: u16,
    /// Path and query, `/` at the least.
    pub path: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: hyper::Uri = text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))?;
        let (transport, tls) = match uri.scheme_str() {
            Some("ws") => (Transport::WebSocket, false),
            Some("wss") => (Transport::WebSocket, true),
            Some("http") => (Transport::Sse, false),
            Some("https") => (Transport::Sse, true),
            _ => return Err(format!("{text:?} does not begin with ws://, wss://, http:// or https://")),
        };
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| format!("{text:?} has no host"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            text: text.to_owned(),
            transport,
            tls,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: path.to_owned(),
        })
    }

    /// Host and port as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Of a URL without a path, the path under which our server has the stream.
    #[must_use]
    pub fn stream_path(&self) -> &str {
        if self.path == "/" { self.transport.path() } else { &self.path }
    }
}

/// `path` with a parameter more; what may not stand in a query is escaped.
#[must_use]
pub fn with_parameter(path: &str, name: &str, value: &str) -> String {
    let escaped = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
                _ => out += &format!("%{byte:02X}"),
            }
        }
        out
    };
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}{}={}", escaped(name), escaped(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("ws://[::1]:7171/a?b=c").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 7171, "/a?b=c"));
        assert_eq!(url.authority(), "[::1]:7171");
        for (text, transport, tls, port) in [
            ("ws://h", Transport::WebSocket, false, 80),
            ("wss://h", Transport::WebSocket, true, 443),
            ("http://h", Transport::Sse, false, 80),
            ("https://h", Transport::Sse, true, 443),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.transport, url.tls, url.port), (transport, tls, port), "{text}");
        }
        for (text, part) in [("ftp://h/", "begin with ws"), ("h", "begin"), ("", "no URL")] {
            assert!(Url::parse(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_url_without_a_path_is_that_of_our_stream() {
        let path = |text| Url::parse(text).unwrap().stream_path().to_owned();
        assert_eq!(path("ws://h"), "/api/v1/stream/ws");
        assert_eq!(path("https://h/"), "/api/v1/stream/sse");
        assert_eq!(path("http://h/mine?x=1"), "/mine?x=1");
    }

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(with_parameter("/a", "match[]", r#"{b="c d"}"#), "/a?match%5B%5D=%7Bb%3D%22c%20d%22%7D");
        assert_eq!(with_parameter("/a?b=c", "d", "é"), "/a?b=c&d=%C3%A9");
    }
}
