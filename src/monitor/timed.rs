//! Durations that several threads count: those of responses and connections.

use std::sync::atomic::{AtomicU64, Ordering};

use super::durations::{BUCKETS, Durations, bucket};

/// Counts durations without a lock.
#[derive(Debug)]
pub(super) struct Timed {
    counts: Box<[AtomicU64; BUCKETS]>,
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Timed {
    pub(super) fn new() -> Self {
        Timed {
            counts: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn record(&self, ns: u64) {
        self.counts[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.min_ns.fetch_min(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Durations {
        let mut durations = Durations::default();
        durations.add(&self.counts);
        durations.sum_ns = self.sum_ns.load(Ordering::Relaxed);
        durations.min_ns = self.min_ns.load(Ordering::Relaxed);
        durations.max_ns = self.max_ns.load(Ordering::Relaxed);
        durations
    }
}
