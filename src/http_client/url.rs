//! URLs of targets, of redirects, of discovery over HTTP, and of receivers.

use std::fmt;

/// An `http` or `https` URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https`.
    pub tls: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, if the URL says it.
    pub port: Option<u16>,
    /// Begins with a slash, as in the request.
    pub path: String,
    /// The query, decoded.
    pub params: Vec<(String, String)>,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(format!("{text:?} is not a URL that begins with http:// or https://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("the URL holds a user name or password; use basic_auth".into());
        }
        let (host, port) = authority_of(authority)?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        if !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{text:?} has characters that must be written as %XX"));
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let params = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect();
        Ok(Url { tls, host, port, path, params })
    }

    /// Reads what `--scrape` takes: a URL, or `HOST:PORT` alone. `/metrics` where no path is said.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn of_flag(text: &str) -> Result<Self, String> {
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        if text.is_empty() {
            return Err("\"\" is not a URL such as http://localhost:8080/metrics".into());
        }
        let mut url = Url::parse(&full)?;
        if url.path == "/" && !full.trim_start_matches("http://").trim_start_matches("https://").contains('/')
        {
            url.path = "/metrics".into();
        }
        Ok(url)
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// `host:port`, as it was said.
    #[must_use]
    pub fn address(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Path and query, as the request has them.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let mut text = self.path.clone();
        for (at, (name, value)) in self.params.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            encode(name, &mut text);
            text.push('=');
            encode(value, &mut text);
        }
        text
    }

    /// Where a `Location` of an answer from here leads.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let base = format!("{}://{}", self.scheme(), self.address());
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme()));
        }
        if location.starts_with('/') {
            return Url::parse(&format!("{base}{location}"));
        }
        let folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
        Url::parse(&format!("{base}{folder}{location}"))
    }

    /// Is it the same host and port? Only there credentials are sent on.
    #[must_use]
    pub fn same_host(&self, other: &Url) -> bool {
        self.tls == other.tls && self.host == other.host && self.port() == other.port()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.address(), self.path_and_query())
    }
}

/// Host and port of `host`, `host:port`, `[v6]:port`.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn authority_of(text: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("{text:?} is not HOST or HOST:PORT");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?))
        }
        _ => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    if valid { Ok((bare.unwrap_or(host).to_owned(), port)) } else { Err(wrong()) }
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| {
            let digits = bytes.get(at + 1..at + 3)?;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => match hex(at) {
                Some(byte) => {
                    out.push(byte);
                    at += 2;
                }
                None => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_may_be_a_url_or_host_and_port_alone() {
        for (text, url) in [
            ("http://localhost:8080/metrics", "http://localhost:8080/metrics"),
            ("localhost:9100", "http://localhost:9100/metrics"),
            ("https://a.example", "https://a.example/metrics"),
            ("http://a:1/", "http://a:1/"),
            ("[::1]:9100", "http://[::1]:9100/metrics"),
            ("a:1/x?b=c%20d&e", "http://a:1/x?b=c+d&e="),
        ] {
            assert_eq!(Url::of_flag(text).unwrap().to_string(), url, "{text}");
        }
        for bad in ["", "ftp://a", "http://u:p@a/", "http://", "a:0", "a:99999", "a b:1", "http://a/ü"] {
            assert!(Url::of_flag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_lead_on_from_where_they_stand() {
        let url = Url::parse("http://a:1/x/y?z=1").unwrap();
        for (location, to) in [
            ("/m", "http://a:1/m"),
            ("m", "http://a:1/x/m"),
            ("//b/m", "http://b/m"),
            ("https://a:1/m?q=2", "https://a:1/m?q=2"),
        ] {
            assert_eq!(url.join(location).unwrap().to_string(), to);
        }
        assert!(url.same_host(&url.join("/m").unwrap()));
        assert!(!url.same_host(&url.join("https://a:1/m").unwrap()));
    }
}
