//! The stream's own figures.

use crate::registry::metrics::counter::Counter;
use crate::registry::metrics::family::Family;
use crate::registry::metrics::gauge::Gauge;
use crate::registry::metrics::histogram::{Histogram, exponential_buckets};
use crate::registry::{Metric, Registry, Unit};

use super::handshake::Refusal;
use super::protocol::{Close, ErrorCode, Kind};

/// One label, whose values are words of the program: their number is bounded.
type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// The stream's own figures; clones share them.
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
    received: Labelled,
    errors: Labelled,
    closed: Labelled,
    refused: Labelled,
}

impl Metrics {
    /// Figures at zero, registered.
    pub(super) fn register(registry: &Registry) -> Self {
        let metrics = Metrics {
            clients: Gauge::default(),
            subscriptions: Gauge::default(),
            channels: Gauge::default(),
            frames: Counter::default(),
            bytes: Counter::default(),
            catch_ups: Counter::default(),
            panics: Counter::default(),
            // 10 us to 2.6 s: a channel of ten series takes some microseconds, one of 10,000 about a millisecond.
            encode: Histogram::new(exponential_buckets(1e-5, 4.0, 10)),
            received: Labelled::default(),
            errors: Labelled::default(),
            closed: Labelled::default(),
            refused: Labelled::default(),
        };
        let m = &metrics;
        add(registry, "clients", "Connected stream clients.", None, &m.clients);
        add(registry, "subscriptions", "Subscriptions of all stream clients.", None, &m.subscriptions);
        add(registry, "channels", "Distinct selections that are streamed.", None, &m.channels);
        add(registry, "frames", "WebSocket frames put on the way to clients.", None, &m.frames);
        add(registry, "", "Bytes of frames put on the way to clients.", Some(Unit::Bytes), &m.bytes);
        let help = "Deltas made for one client that had missed frames because its socket was busy.";
        add(registry, "catch_ups", help, None, &m.catch_ups);
        let help = "Time to select and encode the shared frames of one tick, all channels together.";
        add(registry, "encode", help, Some(Unit::Seconds), &m.encode);
        add(registry, "messages_received", "Messages of stream clients, by type.", None, &m.received);
        add(registry, "errors", "Error messages sent to stream clients, by code.", None, &m.errors);
        let help = "Stream connections ended, by reason; client: the client closed or went away.";
        add(registry, "closed", help, None, &m.closed);
        let help = "Opening handshakes refused, by reason.";
        add(registry, "handshakes_refused", help, None, &m.refused);
        add(registry, "panics", "Faults of the program caught in stream tasks.", None, &m.panics);
        metrics
    }

    /// A message came.
    pub(super) fn received(&self, kind: Kind) {
        self.received.get_or_create(&[("type", kind.as_str())]).inc();
    }

    /// An error was answered.
    pub(super) fn error(&self, code: ErrorCode) {
        self.errors.get_or_create(&[("code", code.as_str())]).inc();
    }

    /// A connection ended; `None`: by the client.
    pub(super) fn closed(&self, close: Option<Close>) {
        self.closed.get_or_create(&[("reason", close.map_or("client", Close::reason))]).inc();
    }

    /// A handshake was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refused.get_or_create(&[("reason", refusal.reason())]).inc();
    }
}

fn add(registry: &Registry, name: &str, help: &str, unit: Option<Unit>, metric: &(impl Metric + Clone)) {
    let name = if name.is_empty() { "gaugecast_stream".into() } else { format!("gaugecast_stream_{name}") };
    // A second hub on one registry: its figures are not shown, but it works.
    if let Err(error) = registry.register(&name, help, unit, metric.clone()) {
        tracing::error!(%error, "a figure of the stream is not shown");
    }
}
