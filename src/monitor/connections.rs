//! Connections of the application: how many, how long, and what goes over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::durations::{milliseconds, nanoseconds};
use super::snapshot::ConnectionFigures;
use super::timed::Timed;

/// Counts of all connections.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) active: AtomicU64,
    pub(super) total: AtomicU64,
    pub(super) peak: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) messages_in: AtomicU64,
    pub(super) messages_out: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) durations: Timed,
}

impl Connections {
    pub(super) fn new() -> Self {
        let zero = AtomicU64::default;
        Connections {
            active: zero(),
            total: zero(),
            peak: zero(),
            errors: zero(),
            messages_in: zero(),
            messages_out: zero(),
            bytes_in: zero(),
            bytes_out: zero(),
            durations: Timed::new(),
        }
    }

    pub(super) fn figures(&self) -> ConnectionFigures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let durations = self.durations.read();
        ConnectionFigures {
            active: read(&self.active),
            total: read(&self.total),
            peak: read(&self.peak),
            errors: read(&self.errors),
            mean_duration_ms: durations.mean_ms(),
            max_duration_ms: milliseconds(durations.max_ns),
            messages_in: read(&self.messages_in),
            messages_out: read(&self.messages_out),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }
}

/// A connection of the application that is open until this is dropped; by [`Monitor::connected`](super::Monitor::connected).
#[derive(Debug)]
pub struct Connection {
    all: Arc<Connections>,
    since: Instant,
}

impl Connection {
    pub(super) fn open(all: Arc<Connections>) -> Self {
        let active = all.active.fetch_add(1, Ordering::Relaxed) + 1;
        all.peak.fetch_max(active, Ordering::Relaxed);
        all.total.fetch_add(1, Ordering::Relaxed);
        Connection { all, since: Instant::now() }
    }

    /// A message of so many bytes has come in.
    pub fn received(&self, bytes: u64) {
        self.all.messages_in.fetch_add(1, Ordering::Relaxed);
        self.all.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A message of so many bytes has gone out.
    pub fn sent(&self, bytes: u64) {
        self.all.messages_out.fetch_add(1, Ordering::Relaxed);
        self.all.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Something went wrong on it.
    pub fn failed(&self) {
        self.all.errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.active.fetch_sub(1, Ordering::Relaxed);
        self.all.durations.record(nanoseconds(self.since.elapsed()));
    }
}
