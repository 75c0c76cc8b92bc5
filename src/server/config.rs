//! Settings of the HTTP server.

use std::net::SocketAddr;

/// Settings of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--web.listen-address`, repeatable; `127.0.0.1:7171` by default. `:PORT` is all addresses.
    pub listen: Vec<SocketAddr>,
    /// `--web.telemetry-path`, `/metrics` by default.
    pub telemetry_path: String,
    /// `--web.max-requests`: parallel `/metrics` requests before 503; 40 by default, 0 is without limit.
    pub max_requests: usize,
    /// `--web.allowed-host`, repeatable: host names accepted in `Host` besides the listen addresses.
    pub allowed_hosts: Vec<String>,
    /// `--web.allowed-origin`, repeatable: origins accepted for streams besides the server's own.
    pub allowed_origins: Vec<String>,
    /// `--web.external-url`: the URL under which browsers reach the server, behind a proxy.
    pub external_url: Option<String>,
    /// `--web.route-prefix`: prefix of all routes, by default the path of the external URL.
    pub route_prefix: String,
    /// `--web.insecure-no-auth`: allows listening beyond loopback without authentication.
    pub insecure_no_auth: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 7171))],
            telemetry_path: "/metrics".into(),
            max_requests: 40,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            external_url: None,
            route_prefix: String::new(),
            insecure_no_auth: false,
        }
    }
}
