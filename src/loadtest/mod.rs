//! The load tester: many connections from one process, WebSockets or server-sent events, and what they saw, judged.
//!
//! [`Options`] say what is wanted; [`run`] does it and gives a [`Report`](report::Report). The parts that decide take
//! values and time and know no socket: [`scenario`] (what is done when), [`frames`] (what a stream must look like),
//! [`criteria`] (what must hold), [`broadcasts`], [`histogram`], [`tally`] and [`report`]. [`wire`], [`sse`] and [`http`]
//! read bytes. Sockets are opened in [`connect`] and held in [`client`], threads and the course of a test are in
//! [`generator`], `preflight` looks first, [`resources`] is what both sides use, [`render`] the report for people and
//! for continuous integration, [`publish`] its figures as metrics.
//!
//! What is measured and how is told in `docs/load-testing.md`.

pub mod broadcasts;
pub mod client;
pub mod connect;
pub mod criteria;
pub mod frames;
pub mod generator;
pub mod histogram;
pub mod http;
mod preflight;
pub mod publish;
pub mod render;
pub mod report;
pub mod resources;
pub mod scenario;
pub mod sse;
pub mod tally;
pub mod url;
pub mod wire;

use std::time::Duration;

use connect::Protocol;
use criteria::Criterion;
pub use generator::{Event, Look, run};
use scenario::{Kind, Ramp};
pub use url::Url;

use crate::config::Secret;
use crate::tls::{Trust, TrustError};

/// What is wanted of a test.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to, and by its scheme how.
    pub url: Url,
    /// Whom to believe that he is the server, where that is encrypted.
    pub trust: Trust,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Shown to a server that asks for a token.
    pub token: Option<Secret>,
    /// Name of the preset that the rest started from.
    pub preset: String,
    /// Connections to hold, 1 to [`scenario::MOST_CONNECTIONS`].
    pub connections: usize,
    /// Broadcasts a second to ask for.
    pub rate: f64,
    /// Whether the server is judged by keeping that rate.
    pub judge_rate: bool,
    /// The whole test, at most [`scenario::LONGEST`].
    pub duration: Duration,
    /// How connections are opened.
    pub ramp: Ramp,
    /// Phases after the ramp-up.
    pub kinds: Vec<Kind>,
    /// What the recovery phase does.
    pub disturb: Disturb,
    /// How often the whole test is run, each time with new connections; 0 is until a signal ends it.
    pub cycles: u64,
    /// Ends after the first phase that fails.
    pub fail_fast: bool,
    /// Threads that hold connections.
    pub workers: usize,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// Time between pings of a connection.
    pub ping_interval: Duration,
    /// Criteria besides the defaults, or in their place.
    pub criteria: Vec<Criterion>,
    /// Process of the server, on this machine.
    pub server_pid: Option<u32>,
    /// Its `/metrics`.
    pub server_metrics: Option<Url>,
    /// Host that the caller says to be theirs, for targets beyond this machine.
    pub own_target: Option<String>,
    /// Lateness of timers (99th percentile) beyond which the generator is the bottleneck.
    pub max_timer_slip: Duration,
    /// CPU of the generator, in percent of the cores that its threads can fill, beyond which it is.
    pub max_generator_cpu: f64,
    /// An earlier report to compare with, and the tolerance in percent.
    pub baseline: Option<(String, f64)>,
}

/// How the recovery phase takes connections away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturb {
    /// The generator cuts this share of them, 1 to 100 %.
    Kill(usize),
    /// This command for the shell starts the server anew, which cuts all.
    Restart(String),
}

/// Why a test did not begin. Once it has, everything that goes wrong is in its report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target's name has no address.
    #[error("{host} has no address: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The target is not this machine, and nobody said that it may be loaded.
    #[error("{host} is not this machine; if you may put load on it: --i-own-this-target {host}")]
    NotOwned {
        /// The target.
        host: String,
    },
    /// The target is not this machine, and the test would have no end.
    #[error("{host} is not this machine, so the test must have an end: --cycles N")]
    Endless {
        /// The target.
        host: String,
    },
    /// The system does not allow so many connections.
    #[error(
        "{connections} connections need {needed} file descriptors, {limit} are allowed; raise the hard limit (ulimit -Hn {needed})"
    )]
    Descriptors {
        /// Wanted.
        connections: usize,
        /// With some to spare.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// There are not enough ports for so many connections.
    #[error(
        "{connections} connections to one address need more than the {ports} local ports; widen net.ipv4.ip_local_port_range, or test from several addresses"
    )]
    Ports {
        /// Wanted.
        connections: usize,
        /// There.
        ports: usize,
    },
    /// There is nobody to believe.
    #[error("TLS: {0}")]
    Trust(#[from] TrustError),
    /// The baseline is no report.
    #[error("the baseline cannot be compared with: {0}")]
    Baseline(String),
    /// A thread or runtime could not be had.
    #[error("the generator cannot start: {0}")]
    Start(#[from] std::io::Error),
}
