//! Checks of texts: paths, hosts, origins, URLs.

/// Paths the server has itself; metrics cannot be moved onto them.
const TAKEN: [&str; 4] = ["/api", "/-", "/assets", "/federate"];

/// `/metrics`: starts with a slash, is not the page, not one of our own paths, needs no escapes.
pub(crate) fn telemetry_path(text: &str) -> Result<(), String> {
    path(text)?;
    if text == "/" {
        return Err("\"/\" is the page; choose another path, such as /metrics".into());
    }
    match TAKEN.iter().find(|taken| text == **taken || text.starts_with(&format!("{taken}/"))) {
        Some(taken) => Err(format!("{text:?}: {taken} is a path of the server itself")),
        None if matches!(text, "/healthz" | "/readyz") => {
            Err(format!("{text:?} is a path of the server itself"))
        }
        None => Ok(()),
    }
}

/// Empty, or a path.
pub(crate) fn route_prefix(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { path(text) }
}

fn path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} does not start with a slash"));
    }
    if text.contains("//") || text.split('/').any(|part| part == "." || part == "..") {
        return Err(format!("{text:?} has an empty, \".\" or \"..\" part"));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "/-._~".contains(*c))) {
        Some(c) => Err(format!("{text:?} has {c:?}; letters, digits and -._~ are possible")),
        None => Ok(()),
    }
}

/// What `Host` may be: a host name or IP address without scheme and port; `.example.com` for every name under
/// it; `*` for any.
pub(crate) fn allowed_host(text: &str) -> Result<(), String> {
    match text.strip_prefix('.') {
        _ if text == "*" => Ok(()),
        Some(under) => host(under),
        None => host(text),
    }
}

/// A host name or IP address, without scheme and port.
pub(crate) fn host(text: &str) -> Result<(), String> {
    if text.contains("://") || text.contains('/') {
        return Err(format!("{text:?} is not a host name; leave out scheme and path"));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if text.contains(':') {
        return Err(format!("{text:?}: leave out the port; every port of the host is accepted"));
    }
    if text.contains('*') {
        return Err(format!("{text:?}: write .example.com for every name under example.com"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(())
    } else {
        Err(format!("{text:?} is not a host name"))
    }
}

/// `https://host` or `http://host:port`, as browsers send it in `Origin`.
pub(crate) fn origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Err("\"*\": any page on the web could read the stream; name each origin".into());
    }
    match url(text)? {
        "" => Ok(()),
        "/" => Err(format!("{text:?}: leave out the slash at the end")),
        path => Err(format!("{text:?}: an origin has no path, leave out {path:?}")),
    }
}

/// A URL with an optional path.
pub(crate) fn external_url(text: &str) -> Result<(), String> {
    match url(text)? {
        "" | "/" => Ok(()),
        path => self::path(path),
    }
}

/// The path of a URL that has passed [`external_url`], without the slash at its end: a route prefix.
pub(crate) fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    after.find('/').map_or("", |slash| &after[slash..]).trim_end_matches('/')
}

/// Checks scheme, host and port; gives the rest.
fn url(text: &str) -> Result<&str, String> {
    let wrong = || format!("{text:?} is not a URL such as https://metrics.example.org");
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or_else(wrong)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(format!("{text:?} must not hold a user name or password"));
    }
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let port_is_right = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    if host(name).is_err() || !port_is_right || name.contains(':') != name.starts_with('[') {
        return Err(wrong());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_can_move_but_not_onto_our_own_paths() {
        for good in ["/metrics", "/a/b.c", "/apis"] {
            assert_eq!(telemetry_path(good), Ok(()));
        }
        for bad in [
            "",
            "metrics",
            "/",
            "/api",
            "/api/v1/metrics",
            "/-/ready",
            "/healthz",
            "/a//b",
            "/../x",
            "/a b",
            "/a?b",
        ] {
            assert!(telemetry_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_come_without_scheme_port_and_wildcard() {
        for good in ["localhost", "metrics.example.org", "10.0.0.1", "::1", "[::1]", "node_1"] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for good in [".example.org", "*", "a"] {
            assert_eq!(allowed_host(good), Ok(()), "{good}");
        }
        for bad in ["", "http://a", "a:80", "*.example.org", "a b", "a..b", "a/b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_have_no_path_and_are_never_a_wildcard() {
        for good in ["http://localhost:3000", "https://a.example", "http://[::1]:80"] {
            assert_eq!(origin(good), Ok(()), "{good}");
        }
        for bad in [
            "*",
            "a.example",
            "https://a.example/",
            "https://a/b",
            "ftp://a",
            "https://u:p@a",
            "http://::1:80",
            "http://a:0",
            "http://a:x",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_path_of_the_external_url_is_the_route_prefix() {
        for (url, prefix) in
            [("https://a", ""), ("https://a/", ""), ("https://a:1/live", "/live"), ("https://a/x/y/", "/x/y")]
        {
            assert_eq!(external_url(url), Ok(()));
            assert_eq!(path_of(url), prefix);
        }
        assert!(external_url("https://a/b?c").is_err());
    }
}
