//! The stream's own figures, `gaugecast_stream_*`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::registry::{Buckets, Counter, Desc, Family, Gauge, Histogram, RegisterError, Registry, Unit};

use super::handshake::Refusal;
use super::protocol::{Close, ErrorCode, Kind};

// Values are words of the program, so their number is bounded.
crate::label_set! {
    struct ByType { r#type: &'static str }
    struct ByCode { code: &'static str }
    struct ByReason { reason: &'static str }
    struct ByKind { kind: &'static str }
    struct ByTransport { transport: &'static str }
}

/// The stream's own figures; clones share them, and so do several hubs on one registry.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) clients: Gauge,
    pub(super) subscriptions: Gauge,
    pub(super) channels: Gauge,
    pub(super) frames: Counter,
    pub(super) bytes: Counter,
    pub(super) catch_ups: Counter,
    pub(super) panics: Counter,
    pub(super) encode: Histogram,
    pub(super) events_resent: Counter,
    pub(super) events_unkept: Counter,
    peak: Gauge,
    sessions: Family<ByTransport, Gauge>,
    events: Family<ByKind, Counter>,
    events_missed: Counter,
    resyncs: Family<ByReason, Counter>,
    received: Family<ByType, Counter>,
    errors: Family<ByCode, Counter>,
    errors_answered: Arc<AtomicU64>,
    closed: Family<ByReason, Counter>,
    refused: Family<ByReason, Counter>,
    opened: Family<ByTransport, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // 10 us to 2.6 s: a channel of ten series takes some microseconds, one of 10,000 about a millisecond.
        let encode = Buckets::exponential(1e-5, 4.0, 10).expect("constant bounds that grow");
        Ok(Metrics {
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
            catch_ups: registry.counter((
                "gaugecast_stream_catch_ups",
                "Deltas made for one client that had missed frames because its socket was busy.",
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
            errors_answered: Arc::default(),
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
        })
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

    /// A connection ended; `None`: by the client.
    pub(super) fn closed(&self, close: Option<Close>) {
        self.closed.get(&ByReason { reason: close.map_or("client", Close::reason) }).inc();
    }

    /// A handshake was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refused.get(&ByReason { reason: refusal.reason() }).inc();
    }
}
