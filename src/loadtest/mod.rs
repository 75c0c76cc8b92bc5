//! The load tester: many WebSocket connections from one process, and what they saw, judged.
//!
//! [`Options`] say what is wanted; [`run`] does it and gives a [`Report`](report::Report). The parts that decide take
//! values and time and know no socket: [`scenario`] (what is done when), [`frames`] (what a stream must look like),
//! [`criteria`] (what must hold), [`histogram`], [`tally`] and [`report`]. Sockets are in [`client`], threads and the
//! course of a test in [`generator`], [`wire`] is WebSocket over bytes, [`resources`] what both sides use,
//! [`render`] the report for people and for continuous integration.
//!
//! What is measured and how is told in `docs/load-testing.md`.

pub mod client;
pub mod criteria;
pub mod frames;
pub mod generator;
pub mod histogram;
pub mod render;
pub mod report;
pub mod resources;
pub mod scenario;
pub mod tally;
pub mod wire;

use std::time::Duration;

use client::Protocol;
use criteria::Criterion;
pub use generator::{Event, run};
use scenario::{Kind, Ramp};

/// What is wanted of a test.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to.
    pub url: Url,
    /// What is spoken there.
    pub protocol: Protocol,
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
    /// Share of the connections that the recovery phase cuts, 1 to 100.
    pub cut_percent: usize,
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

/// A URL without TLS: `ws://HOST[:PORT][/PATH]`, or `http://` for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As given.
    pub text: String,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port, 80 when none is given.
    pub port: u16,
    /// Path and query, `/` at the least.
    pub path: String,
}

impl Url {
    /// Reads a URL of this scheme.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it.
    pub fn parse(text: &str, scheme: &str) -> Result<Self, String> {
        let uri: hyper::Uri = text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))?;
        match uri.scheme_str() {
            Some(found) if found == scheme => {}
            Some("wss" | "https") => {
                return Err(format!("{text:?}: TLS is not supported yet, only {scheme}://"));
            }
            _ => return Err(format!("{text:?} does not begin with {scheme}://")),
        }
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| format!("{text:?} has no host"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            text: text.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(80),
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
    /// The baseline is no report.
    #[error("the baseline cannot be compared with: {0}")]
    Baseline(String),
    /// A thread or runtime could not be had.
    #[error("the generator cannot start: {0}")]
    Start(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("ws://[::1]:7171/a?b=c", "ws").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 7171, "/a?b=c"));
        assert_eq!(url.authority(), "[::1]:7171");
        let url = Url::parse("ws://example.org", "ws").unwrap();
        assert_eq!((url.authority().as_str(), url.path.as_str()), ("example.org:80", "/"));
        for (text, part) in
            [("wss://h/", "TLS"), ("http://h/", "begin with ws"), ("h", "begin"), ("", "no URL")]
        {
            assert!(Url::parse(text, "ws").unwrap_err().contains(part), "{text}");
        }
    }
}
