//! The server's own figures, `gaugecast_http_*`.

use crate::registry::{Buckets, Counter, Desc, Family, Gauge, Histogram, RegisterError, Registry, Unit};
use crate::remote::Received;

crate::label_set! {
    /// Which answers were given. Every label comes from a closed set: routes are those of the table, or
    /// `not_found`; methods outside the known ones are `other`.
    pub(super) struct Answered {
        pub(super) route: &'static str,
        pub(super) method: &'static str,
        pub(super) code: u16,
    }

    pub(super) struct Routed { pub(super) route: &'static str }

    struct Refused { reason: &'static str }

    /// Which queries were answered, and how: `success`, Prometheus' `errorType`, or `unavailable`.
    pub(super) struct Queried {
        pub(super) endpoint: &'static str,
        pub(super) outcome: &'static str,
    }

    pub(super) struct Endpoint { pub(super) endpoint: &'static str }

    struct Dropped { kind: &'static str }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct HttpMetrics {
    pub(super) requests: Family<Answered, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) duration: Family<Routed, Histogram>,
    pub(super) accept_errors: Counter,
    pub(super) accepted: Counter,
    pub(super) connections: Gauge,
    pub(super) half_open: Gauge,
    pub(super) panics: Counter,
    rejected: Family<Refused, Counter>,
}

/// From half a millisecond, what a cached page takes, to ten seconds, the scrape timeout of most set-ups.
const DURATIONS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

impl HttpMetrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let durations = Buckets::classic(DURATIONS).expect("constant bounds that grow");
        Ok(HttpMetrics {
            requests: registry.family(
                ("gaugecast_http_requests", "Requests answered, by route, method and status code."),
                (),
            )?,
            in_flight: registry
                .gauge(("gaugecast_http_requests_in_flight", "Requests being answered now."))?,
            duration: registry.family(
                Desc::new(
                    "gaugecast_http_request_duration",
                    "Time from a whole request head to the head of its answer.",
                )
                .unit(Unit::Seconds),
                durations,
            )?,
            accept_errors: registry.counter((
                "gaugecast_http_accept_errors",
                "Connections that could not be accepted, mostly for want of file descriptors.",
            ))?,
            accepted: registry.counter(("gaugecast_http_connections_accepted", "Connections accepted."))?,
            connections: registry
                .gauge(("gaugecast_http_connections", "Connections open now, streams included."))?,
            half_open: registry.gauge((
                "gaugecast_http_connections_half_open",
                "Connections that have not sent a whole request yet.",
            ))?,
            panics: registry
                .counter(("gaugecast_http_panics", "Handlers that panicked and were answered with 500."))?,
            rejected: registry.family(
                ("gaugecast_http_rejected", "Requests and connections turned away, by reason."),
                (),
            )?,
        })
    }

    /// Counts something turned away.
    pub(super) fn reject(&self, reason: &'static str) {
        self.rejected.get(&Refused { reason }).inc();
    }
}

/// Figures of queries, `gaugecast_queries_*` and `gaugecast_query_*`; clones share them.
#[derive(Clone, Debug)]
pub(super) struct QueryMetrics {
    pub(super) queries: Family<Queried, Counter>,
    pub(super) duration: Family<Endpoint, Histogram>,
    pub(super) running: Gauge,
    pub(super) waiting: Gauge,
}

impl QueryMetrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // 0.1 ms, a query for one series, to 100 s, below the timeout.
        let durations = Buckets::exponential(1e-4, 10.0, 7).expect("constant bounds that grow");
        Ok(QueryMetrics {
            queries: registry.family(
                (
                    "gaugecast_queries",
                    "Requests for queries, series and labels, by outcome: success, the errorType of the answer, canceled \
                     (the client went) or unavailable (too many wait).",
                ),
                (),
            )?,
            duration: registry.family(
                Desc::new("gaugecast_query_duration", "Time to evaluate a query and to write its answer.")
                    .unit(Unit::Seconds),
                durations,
            )?,
            running: registry.gauge(("gaugecast_queries_running", "Queries being evaluated now."))?,
            waiting: registry.gauge(("gaugecast_queries_waiting", "Queries waiting for their turn."))?,
        })
    }
}

/// Figures of remote write, `gaugecast_remote_write_*`; clones share them.
#[derive(Clone, Debug)]
pub(super) struct WriteMetrics {
    received: Counter,
    dropped: Family<Dropped, Counter>,
}

impl WriteMetrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(WriteMetrics {
            received: registry.counter((
                "gaugecast_remote_write_received_samples",
                "Samples in requests of remote write, the same ones sent again included.",
            ))?,
            dropped: registry.family(
                (
                    "gaugecast_remote_write_received_dropped",
                    "What requests of remote write had that is not kept: native_histogram, exemplar, or sample of a series \
                     with invalid labels.",
                ),
                (),
            )?,
        })
    }

    /// A request was read.
    pub(super) fn received(&self, received: &Received) {
        let samples: usize = received.writes.iter().map(|write| write.samples.len()).sum();
        self.received.inc_by((samples + received.invalid) as u64);
        let dropped = [
            ("native_histogram", received.histograms),
            ("exemplar", received.exemplars),
            ("sample", received.invalid),
        ];
        for (kind, count) in dropped.into_iter().filter(|&(_, count)| count > 0) {
            self.dropped.get(&Dropped { kind }).inc_by(count as u64);
        }
    }
}
