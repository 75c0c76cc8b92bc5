//! Which names the server answers to, and which pages may open its streams.
//!
//! A server on loopback is reachable from every page in the user's browser: a page may point a name of its own
//! at 127.0.0.1 (DNS rebinding) and is then of the same origin, or open a WebSocket, which no same-origin rule
//! stops. Against the first, `Host` must be a name that is ours; an attacker cannot rebind an address, so
//! literal addresses count as ours when we listen on them. Ports are not compared: a tunnel or a container
//! changes them, and a foreign page has a foreign name whatever its port. Against the second, the `Origin` of
//! a stream must be the server itself or one that was allowed by name.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, ORIGIN};
use hyper::http::uri::{Authority, Uri};
use hyper::{HeaderMap, StatusCode, Version};
use serde_json::json;

use super::config::Config;
use super::headers::text;
use super::problem::Problem;

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    /// Lower case, without port. One with a dot in front stands for everything that ends so.
    hosts: Vec<String>,
    any_host: bool,
    addresses: Vec<IpAddr>,
    any_address: bool,
    /// Lower case, `scheme://host[:port]`.
    origins: Vec<String>,
}

impl Guard {
    /// `machine` is the name of this machine.
    pub(super) fn new(config: &Config, machine: Option<String>) -> Self {
        let external = config.external_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let mut hosts: Vec<String> = vec!["localhost".into()];
        hosts.extend(machine.filter(|name| !name.is_empty()));
        hosts.extend(external.as_ref().and_then(|url| url.host().map(str::to_owned)));
        hosts.extend(config.allowed_hosts.iter().map(|host| {
            host.parse::<Authority>().map_or_else(|_| host.clone(), |authority| authority.host().to_owned())
        }));
        let mut origins = config.allowed_origins.clone();
        if let Some(url) = &external
            && let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority())
        {
            origins.push(format!("{scheme}://{authority}"));
        }
        let addresses: Vec<_> = config.listen.iter().map(SocketAddr::ip).collect();
        Guard {
            any_host: config.allowed_hosts.iter().any(|host| host == "*"),
            hosts: hosts.into_iter().map(|host| normal(&host)).collect(),
            any_address: addresses.iter().any(IpAddr::is_unspecified),
            addresses,
            origins: origins.into_iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase()).collect(),
        }
    }

    /// Is the request for us (B8)?
    ///
    /// # Errors
    /// 421 that names the setting for a foreign name, 400 without a readable one. HTTP/1.0 may come without:
    /// no browser speaks it.
    pub(super) fn host(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut given = headers.get_all(HOST).iter();
        let host = match (given.next(), given.next()) {
            (Some(host), None) => host.to_str().unwrap_or("\u{0}"),
            (None, _) if version < Version::HTTP_11 => return Ok(()),
            (None, _) => return Err(Problem::bad_data("the request has no Host header").because("host")),
            (Some(_), Some(_)) => {
                return Err(Problem::bad_data("the request has several Host headers").because("host"));
            }
        };
        // A request to a proxy names the host in its target, which then counts (RFC 9112 3.2.2).
        let authority = match uri.authority() {
            Some(authority) => Ok(authority.clone()),
            None => host.parse::<Authority>(),
        };
        let Ok(authority) = authority else {
            return Err(Problem::bad_data("the Host header is no host name").because("host"));
        };
        if self.answers_to(authority.host()) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "this server does not answer to the name {:?}; if it should, start it with --web.allowed-host={}",
                authority.host(),
                normal(authority.host()),
            ),
        )
        .details(json!({ "host": authority.host(), "setting": "--web.allowed-host" }))
        .because("host"))
    }

    fn answers_to(&self, host: &str) -> bool {
        let host = normal(host);
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            return self.any_host
                || self.any_address
                || address.is_loopback()
                || self.addresses.contains(&address)
                || self.hosts.contains(&host);
        }
        self.any_host
            || self
                .hosts
                .iter()
                .any(|ours| if ours.starts_with('.') { host.ends_with(ours.as_str()) } else { *ours == host })
    }

    /// May this page have what is answered? A request without `Origin` comes from no page.
    ///
    /// # Errors
    /// 403 that names the setting.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if !headers.contains_key(ORIGIN) || self.own_origin(headers) || self.allowed_origin(headers).is_some()
        {
            return Ok(());
        }
        let origin = text(headers, ORIGIN).unwrap_or("null");
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "pages of {origin:?} may not use this; if they should, start the server with \
                 --web.allowed-origin=ORIGIN"
            ),
        )
        .details(json!({ "origin": origin, "setting": "--web.allowed-origin" }))
        .because("origin"))
    }

    /// The origin of the request, if it is one allowed by name: it gets CORS headers.
    pub(super) fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut all = headers.get_all(ORIGIN).iter();
        let origin = all.next()?.to_str().ok()?;
        let known = all.next().is_none() && self.origins.contains(&origin.to_ascii_lowercase());
        known.then_some(origin)
    }

    fn own_origin(&self, headers: &HeaderMap) -> bool {
        let (Some(origin), Some(host)) = (text(headers, ORIGIN), text(headers, HOST)) else { return false };
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return false,
        };
        let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
        headers.get_all(ORIGIN).iter().count() == 1 && bare(authority) == bare(host)
    }
}

/// Lower case and without the dot at the end that makes a name absolute.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(change: impl FnOnce(&mut Config)) -> Guard {
        let mut config = Config::default();
        change(&mut config);
        Guard::new(&config, Some("Node7".into()))
    }

    fn status(guard: &Guard, host: &str) -> Option<u16> {
        let headers = HeaderMap::from_iter([(HOST, host.parse().expect("a value"))]);
        let result = guard.host(Version::HTTP_11, &Uri::from_static("/"), &headers);
        result.err().map(|problem| problem.status.as_u16())
    }

    #[test]
    fn loopback_the_machine_and_the_listen_addresses_are_ours_whatever_the_port() {
        let guard = guard(|config| config.listen.push(([192, 0, 2, 7], 80).into()));
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:7171", "[::1]:7171", "node7", "192.0.2.7", "node7.:1"]
        {
            assert_eq!(status(&guard, host), None, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "192.0.2.8:7171", "node7.evil.example", "2130706433"]
        {
            assert_eq!(status(&guard, host), Some(421), "{host}");
        }
        for host in ["", "a b", "http://localhost"] {
            assert_eq!(status(&guard, host), Some(400), "{host}");
        }
    }

    #[test]
    fn on_all_addresses_every_literal_address_is_ours_but_no_foreign_name() {
        let guard = guard(|config| config.listen = vec![([0, 0, 0, 0], 7171).into()]);
        assert_eq!(status(&guard, "10.1.2.3:7171"), None);
        assert_eq!(status(&guard, "evil.example"), Some(421));
    }

    #[test]
    fn names_can_be_allowed_alone_by_suffix_or_all() {
        let some = guard(|config| {
            config.allowed_hosts = vec!["Metrics.example.com:443".into(), ".example.net".into()];
            config.external_url = Some("https://proxy.example.org/live".into());
        });
        for host in ["metrics.example.com", "a.example.net", "proxy.example.org"] {
            assert_eq!(status(&some, host), None, "{host}");
        }
        assert_eq!(status(&some, "example.com"), Some(421));
        assert_eq!(status(&guard(|config| config.allowed_hosts = vec!["*".into()]), "any.example"), None);
    }

    #[test]
    fn a_page_may_stream_if_it_is_ours_or_allowed() {
        let guard = guard(|config| {
            config.allowed_origins = vec!["https://Grafana.example.com/".into()];
            config.external_url = Some("https://proxy.example.org/live".into());
        });
        let may = |origin: &str, host: &str| {
            let pairs = [(ORIGIN, origin.parse().expect("a value")), (HOST, host.parse().expect("a value"))];
            guard.origin(&HeaderMap::from_iter(pairs)).is_ok()
        };
        assert!(may("http://localhost:7171", "localhost:7171"));
        assert!(may("http://localhost", "localhost:80"));
        assert!(may("https://grafana.example.com", "localhost:7171"));
        assert!(may("https://proxy.example.org", "127.0.0.1:7171"));
        for origin in [
            "null",
            "http://localhost:3000",
            "https://evil.example",
            "localhost:7171",
            "file://localhost:7171",
        ] {
            assert!(!may(origin, "localhost:7171"), "{origin}");
        }
        assert!(guard.origin(&HeaderMap::new()).is_ok());
    }
}
