//! The server's own figures, `gaugecast_http_*`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::registry::{RegisterError, Registry, Unit};

/// Which answers were given. Every label comes from a closed set: routes are those of the table, or
/// `not_found`; methods outside the known ones are `other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) route: &'static str,
    pub(super) method: &'static str,
    pub(super) code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Routed {
    pub(super) route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Refused {
    pub(super) reason: &'static str,
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct HttpMetrics {
    pub(super) requests: Family<Answered, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) duration: Family<Routed, Histogram, fn() -> Histogram>,
    pub(super) accept_errors: Counter<u64, AtomicU64>,
    pub(super) accepted: Counter,
    pub(super) connections: Gauge,
    pub(super) half_open: Gauge,
    pub(super) rejected: Family<Refused, Counter>,
    pub(super) panics: Counter,
}

/// From half a millisecond, what a cached page takes, to ten seconds, the scrape timeout of most set-ups.
const DURATIONS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

impl Default for HttpMetrics {
    fn default() -> Self {
        HttpMetrics {
            requests: Family::default(),
            in_flight: Gauge::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            accept_errors: Counter::default(),
            accepted: Counter::default(),
            connections: Gauge::default(),
            half_open: Gauge::default(),
            rejected: Family::default(),
            panics: Counter::default(),
        }
    }
}

impl HttpMetrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let own = HttpMetrics::default();
        registry.register(
            "gaugecast_http_requests",
            "Requests answered, by route, method and status code.",
            None,
            own.requests.clone(),
        )?;
        registry.register(
            "gaugecast_http_requests_in_flight",
            "Requests being answered now.",
            None,
            own.in_flight.clone(),
        )?;
        registry.register(
            "gaugecast_http_request_duration",
            "Time from a whole request head to the head of its answer.",
            Some(Unit::Seconds),
            own.duration.clone(),
        )?;
        registry.register(
            "gaugecast_http_accept_errors",
            "Connections that could not be accepted, mostly for want of file descriptors.",
            None,
            own.accept_errors.clone(),
        )?;
        registry.register(
            "gaugecast_http_connections_accepted",
            "Connections accepted.",
            None,
            own.accepted.clone(),
        )?;
        registry.register(
            "gaugecast_http_connections",
            "Connections open now, streams included.",
            None,
            own.connections.clone(),
        )?;
        registry.register(
            "gaugecast_http_connections_half_open",
            "Connections that have not sent a whole request yet.",
            None,
            own.half_open.clone(),
        )?;
        registry.register(
            "gaugecast_http_rejected",
            "Requests and connections turned away, by reason.",
            None,
            own.rejected.clone(),
        )?;
        registry.register(
            "gaugecast_http_panics",
            "Handlers that panicked and were answered with 500.",
            None,
            own.panics.clone(),
        )?;
        Ok(own)
    }

    /// Counts something turned away.
    pub(super) fn reject(&self, reason: &'static str) {
        self.rejected.get_or_create(&Refused { reason }).inc();
    }
}
