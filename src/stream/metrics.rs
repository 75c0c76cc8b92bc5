//! The stream's own figures, `gaugecast_stream_*`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::registry::{Buckets, Counter, Desc, Family, Gauge, Histogram, RegisterError, Registry, Unit};

use super::handshake::Refusal;
use super::performance::Latencies;
use super::protocol::{Close, ErrorCode, Kind};
use super::slow::Stage;

// Values are words of the program, so their number is bounded.
crate::label_set! {
    struct ByType { r#type: &'static str }
    struct ByCode { code: &'static str }
    struct ByReason { reason: &'static str }
    struct ByKind { kind: &'static str }
    struct ByTransport { transport: &'static str }
    struct ByStage { stage: &'static str }
}

/// The stream's own figures; several hubs on one registry share those that are registered.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) clients: Gauge,
    pub(super) subscriptions: Gauge,
    pub(super) channels: Gauge,
    pub(super) frames: Counter,
    pub(super) bytes: Counter,
    /// Writes to sockets by the fan-out; with the frames they show how many leave together.
    pub(super) writes: Counter,
    pub(super) queue_bytes: Gauge,
    pub(super) catch_ups: Counter,
    /// Frames that clients did not get, since a later delta stood for them.
    pub(super) conflated: Counter,
    pub(super) panics: Counter,
    pub(super) encode: Histogram,
    pub(super) sweep: Histogram,
    pub(super) queries: Gauge,
    /// Of one query, one after the other.
    pub(super) evaluation: Histogram,
    pub(super) evaluations_failed: Counter,
    pub(super) evaluations_skipped: Counter,
    /// Deliveries since they were last read, for `performance`.
    pub(super) latencies: Latencies,
    lag: Histogram,
    slow: Family<ByStage, Counter>,
    pub(super) events_resent: Counter,
    pub(super) events_unkept: Counter,
    peak: Gauge,
    sessions: Family<ByTransport, Gauge>,
    events: Family<ByKind, Counter>,
    events_missed: Counter,
    resyncs: Family<ByReason, Counter>,
    received: Family<ByType, Counter>,
    errors: Family<ByCode, Counter>,
    errors_answered: AtomicU64,
    closed: Family<ByReason, Counter>,
    refused: Family<ByReason, Counter>,
    opened: Family<ByTransport, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // 10 us to 2.6 s: a channel of ten series takes some microseconds, one of 10,000 about a millisecond.
        let encode = Buckets::exponential(1e-5, 4.0, 10).expect("constant bounds that grow");
        // 10 us to 0.3 s: a client costs some microseconds, and 10,000 of them are to be done within 100 ms.
        let sweep = Buckets::exponential(1e-5, 2.0, 16).expect("constant bounds that grow");
        // 10 us to 42 s: over what is kept decoded some microseconds, over a long time seconds.
        let evaluation = Buckets::exponential(1e-5, 4.0, 12).expect("constant bounds that grow");
        // 0.1 ms to 60 s: a whole sweep lies between the first and the last client, a slow one waits for seconds.
        let lag = [
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
            10.0, 30.0, 60.0,
        ];
        let lag = Buckets::classic(lag).expect("constant bounds that grow");
        let metrics = Metrics {
            clients: registry.gauge(("gaugecast_stream_clients", "Connected stream clients."))?,
            subscriptions: registry
                .gauge(("gaugecast_stream_subscriptions", "Subscriptions of all stream clients."))?,
            channels: registry
                .gauge(("gaugecast_stream_channels", "Distinct selections that are streamed."))?,
            frames: registry.counter(("gaugecast_stream_frames", "Messages put on the way to clients."))?,
            bytes: registry.counter(
                Desc::new("gaugecast_stream", "Bytes of messages put on the way to clients.")
                    .unit(Unit::Bytes),
            )?,
            writes: registry
                .counter(("gaugecast_stream_writes", "Writes to sockets of clients that were due something."))?,
            queue_bytes: registry.gauge(
                Desc::new("gaugecast_stream_queue", "Bytes that wait for sockets of clients which are slow.")
                    .unit(Unit::Bytes),
            )?,
            catch_ups: registry.counter((
                "gaugecast_stream_catch_ups",
                "Frames sent to one client in place of those it had missed.",
            ))?,
            conflated: registry.counter((
                "gaugecast_stream_conflated",
                "Frames left out for a client because a later one stood for them.",
            ))?,
            panics: registry
                .counter(("gaugecast_stream_panics", "Faults of the program caught in stream tasks."))?,
            encode: registry.histogram(
                Desc::new(
                    "gaugecast_stream_encode",
                    "Time to select and encode the shared frames of one tick, all channels together.",
                )
                .unit(Unit::Seconds),
                encode,
            )?,
            latencies: Latencies::default(),
            sweep: registry.histogram(
                Desc::new("gaugecast_stream_sweep", "Time of one fan-out loop to go over all its clients.")
                    .unit(Unit::Seconds),
                sweep,
            )?,
            queries: registry
                .gauge(("gaugecast_stream_queries", "Distinct queries that are evaluated for subscriptions."))?,
            evaluation: registry.histogram(
                Desc::new(
                    "gaugecast_stream_query_evaluation",
                    "Time to evaluate a subscription's query at one tick, for all its clients.",
                )
                .unit(Unit::Seconds),
                evaluation,
            )?,
            evaluations_failed: registry.counter((
                "gaugecast_stream_query_evaluations_failed",
                "Evaluations of subscriptions' queries that gave an error, or took too long.",
            ))?,
            evaluations_skipped: registry.counter((
                "gaugecast_stream_query_evaluations_skipped",
                "Evaluations left out because those of an earlier tick were still under way.",
            ))?,
            lag: registry.histogram(
                Desc::new(
                    "gaugecast_stream_delivery_lag",
                    "Time from the commit of a tick until the kernel took its frame, for each frame and client.",
                )
                .unit(Unit::Seconds),
                lag,
            )?,
            slow: registry.family(
                (
                    "gaugecast_stream_slow",
                    "Slow clients by what was done: conflated, slowed, resynced by a snapshot, closed.",
                ),
                (),
            )?,
            events_resent: registry.counter((
                "gaugecast_stream_events_resent",
                "Events sent again to clients that came back after they had happened.",
            ))?,
            events_unkept: registry.counter((
                "gaugecast_stream_events_unkept",
                "Lasting states that no resync tells, since too many last.",
            ))?,
            peak: registry.gauge(("gaugecast_stream_clients_peak", "Most stream clients at once."))?,
            sessions: registry
                .family(("gaugecast_stream_sessions", "Connected stream clients, by transport."), ())?,
            events: registry.family(("gaugecast_stream_events", "Events published, by kind."), ())?,
            events_missed: registry.counter((
                "gaugecast_stream_events_missed",
                "Events that a client was told the outcome of only, since it was too far behind.",
            ))?,
            resyncs: registry.family(
                (
                    "gaugecast_stream_event_resyncs",
                    "Times that a client was told all lasting states in place of events, by reason.",
                ),
                (),
            )?,
            received: registry
                .family(("gaugecast_stream_messages_received", "Messages of stream clients, by type."), ())?,
            errors: registry
                .family(("gaugecast_stream_errors", "Error messages sent to stream clients, by code."), ())?,
            errors_answered: AtomicU64::default(),
            closed: registry.family(
                (
                    "gaugecast_stream_closed",
                    "Stream connections ended, by reason; client: the client closed or went away.",
                ),
                (),
            )?,
            refused: registry.family(
                ("gaugecast_stream_handshakes_refused", "Opening handshakes refused, by reason."),
                (),
            )?,
            opened: registry
                .family(("gaugecast_stream_opened", "Stream connections that began, by transport."), ())?,
        };
        // So that a first slow client is seen as an increase.
        for stage in Stage::ALL {
            let _ = metrics.slow.get(&ByStage { stage: stage.as_str() });
        }
        Ok(metrics)
    }

    /// A client was let in; `peak` is the most at once up to now.
    pub(super) fn entered(&self, transport: &'static str, peak: usize) {
        self.clients.inc();
        self.sessions.get(&ByTransport { transport }).inc();
        self.opened.get(&ByTransport { transport }).inc();
        self.peak.set(i64::try_from(peak).unwrap_or(i64::MAX));
    }

    /// It is gone.
    pub(super) fn left(&self, transport: &'static str) {
        self.clients.dec();
        self.sessions.get(&ByTransport { transport }).dec();
    }

    /// An event was published.
    pub(super) fn event(&self, kind: super::events::Kind) {
        self.events.get(&ByKind { kind: kind.as_str() }).inc();
    }

    /// A client was told what lasts, and not these events.
    pub(super) fn resync(&self, reason: &'static str, missed: u64) {
        self.resyncs.get(&ByReason { reason }).inc();
        self.events_missed.inc_by(missed);
    }

    /// Errors answered, of all codes.
    pub(super) fn errors_answered(&self) -> u64 {
        self.errors_answered.load(Ordering::Relaxed)
    }

    /// A message came.
    pub(super) fn received(&self, kind: Kind) {
        self.received.get(&ByType { r#type: kind.as_str() }).inc();
    }

    /// An error was answered.
    pub(super) fn error(&self, code: ErrorCode) {
        self.errors.get(&ByCode { code: code.as_str() }).inc();
        self.errors_answered.fetch_add(1, Ordering::Relaxed);
    }

    /// So many frames were taken by the kernel this long after the commit of their tick.
    pub(super) fn delivered(&self, lag: Duration, frames: u64) {
        self.lag.observe_many(lag.as_secs_f64(), frames);
        self.latencies.record(lag, frames);
    }

    /// How many frames were taken, for tests.
    #[cfg(test)]
    pub(super) fn delivered_frames(&self) -> u64 {
        self.lag.count()
    }

    /// A slow client came to a stage.
    pub(super) fn slow(&self, stage: Stage) {
        self.slow.get(&ByStage { stage: stage.as_str() }).inc();
    }

    /// How many clients came to a stage, for tests.
    #[cfg(test)]
    pub(super) fn slowed(&self, stage: Stage) -> u64 {
        self.slow.get(&ByStage { stage: stage.as_str() }).get()
    }

    /// A connection ended; `None`: by the client.
    pub(super) fn closed(&self, close: Option<Close>) {
        self.closed.get(&ByReason { reason: close.map_or("client", Close::reason) }).inc();
    }

    /// A handshake was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refused.get(&ByReason { reason: refusal.reason() }).inc();
    }
}
