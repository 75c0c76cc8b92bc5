//! Settings of the HTTP server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--web.listen-address`, repeatable; `127.0.0.1:7171` by default. `:PORT` is all addresses.
    pub listen: Vec<SocketAddr>,
    /// `--web.systemd-socket`: takes the sockets that the service manager hands over, in place of `listen`.
    pub systemd_socket: bool,
    /// `--web.telemetry-path`, `/metrics` by default.
    pub telemetry_path: String,
    /// `--web.max-requests`: parallel `/metrics` requests before 503; 40 by default, 0 is without limit.
    pub max_requests: usize,
    /// `--web.allowed-host`, repeatable: host names accepted in `Host` besides the listen addresses, loopback
    /// and this machine's name. `.example.com` is every name under it, `*` turns the check off.
    pub allowed_hosts: Vec<String>,
    /// `--web.allowed-origin`, repeatable: origins (`https://grafana.example.com`) accepted for streams and
    /// given CORS headers, besides the server's own.
    pub allowed_origins: Vec<String>,
    /// `--web.external-url`: the URL under which browsers reach the server, behind a proxy.
    pub external_url: Option<String>,
    /// `--web.route-prefix`: prefix of all routes; when empty, the path of the external URL. `/` is none even then.
    pub route_prefix: String,
    /// `--web.insecure-no-auth`: allows listening beyond loopback without authentication.
    pub insecure_no_auth: bool,
    /// `--web.token-file`: who may do what, by the tokens of this file; see [`auth`](super::auth). Without one there are none.
    pub token_file: Option<PathBuf>,
    /// `--web.public-metrics`: with tokens, `/metrics` and `/federate` need none; false by default.
    pub public_metrics: bool,
    /// `--web.audit-file`: where changes are told, beside the log.
    pub audit_file: Option<PathBuf>,
    /// `--web.enable-lifecycle`: `POST /-/reload` reads the configuration again; false by default.
    pub enable_lifecycle: bool,
    /// Bounds on what one peer, and all of them, may ask for.
    pub limits: Limits,
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
            systemd_socket: false,
            insecure_no_auth: false,
            token_file: None,
            public_metrics: false,
            audit_file: None,
            enable_lifecycle: false,
            limits: Limits::default(),
        }
    }
}

/// Bounds on what peers may cost. The defaults leave every honest client alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of request line and headers, 8 KiB at least; over it 431. 16 KiB by default: what Prometheus,
    /// browsers and proxies send is below 4 KiB.
    pub header_bytes: usize,
    /// Number of headers; over it 431. 100 by default.
    pub headers: usize,
    /// From the first byte of a request (from the accept, for the first of a connection) to the end of its
    /// headers; then 408. 5 s by default.
    pub header_deadline: Duration,
    /// How long a connection may wait between requests; 75 s by default, above the 60 s of common scrapers.
    pub idle: Duration,
    /// Bytes of a request body; over it 413. 1 MiB by default.
    pub body_bytes: usize,
    /// Bytes of the body of a push; over it 413. 8 MiB by default: Prometheus sends some 100 KiB at once.
    pub push_bytes: usize,
    /// Bytes per second a body must keep up on average, after `body_grace`; else 408. 1 KiB by default.
    pub body_rate: u32,
    /// Head start of a body; 5 s by default.
    pub body_grace: Duration,
    /// How long a peer may leave a response unread before it is dropped; 30 s by default.
    pub write_stall: Duration,
    /// Requests of one connection; the last one is answered with `Connection: close`. 10,000 by default, at a
    /// scrape every 15 s more than a day.
    pub requests_per_connection: u32,
    /// Connections in all, streams included; 16,384 by default, fewer where the system allows fewer files.
    /// Over it those that wait longest for their next request make room.
    pub connections: usize,
    /// Connections that have not sent a whole request yet; over it the oldest is dropped. 1024 by default: an
    /// honest client is in this state for milliseconds.
    pub half_open: usize,
    /// Requests per second of one address (IPv6: one /64) in the long run; over it 429. 1000 by default.
    /// Loopback is exempt: it is this host's own programs, or a proxy that speaks for everyone.
    pub rate: u32,
    /// How many requests may come at once before `rate` counts; 5000 by default.
    pub rate_burst: u32,
    /// How many addresses are remembered for `rate`; 8192 by default, at most twice that in memory.
    pub rate_peers: usize,
    /// How long requests in flight may take once the server stops; 10 s by default.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: 16 << 10,
            headers: 100,
            header_deadline: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            body_bytes: 1 << 20,
            push_bytes: 8 << 20,
            body_rate: 1 << 10,
            body_grace: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            requests_per_connection: 10_000,
            connections: 16_384,
            half_open: 1024,
            rate: 1000,
            rate_burst: 5000,
            rate_peers: 8192,
            drain: Duration::from_secs(10),
        }
    }
}

/// Where browsers reach this server, for links: `web.external-url`, or else the name of this machine and the first port, as
/// Prometheus does.
#[must_use]
pub fn external_url(config: &Config) -> String {
    config.external_url.clone().unwrap_or_else(|| {
        let name = super::listener::machine_name().unwrap_or_else(|| "localhost".to_owned());
        let port = config.listen.first().map_or(0, |address| address.port());
        format!("http://{name}:{port}")
    })
}
