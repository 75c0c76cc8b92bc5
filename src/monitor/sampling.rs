//! The task that reads and judges every few seconds, and the readings from which windows are made.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Monitor;
use super::allocation::Allocated;
use super::durations::{mean_ms, ratio};
use super::snapshot::WindowFigures;
use crate::clock::Clock;
use crate::collect::Ticks;

/// Most readings that are kept, whatever interval and window are.
const MOST: usize = 721;

/// Counts of runs, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) sum_ns: u64,
}

/// All counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) at: Duration,
    pub(super) all: Runs,
    /// Without the operations that have thresholds of their own.
    pub(super) judged: Runs,
    pub(super) allocations: u64,
    pub(super) allocated_bytes: u64,
}

impl Runs {
    pub(super) fn add(&mut self, count: u64, errors: u64, sum_ns: u64) {
        self.count += count;
        self.errors += errors;
        self.sum_ns = self.sum_ns.wrapping_add(sum_ns);
    }

    /// What has come since. A judged operation that got thresholds of its own in the meantime takes its runs with it.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn since(&self, then: &Runs, passed: Duration) -> WindowFigures {
        let seconds = passed.as_secs_f64();
        let count = self.count.saturating_sub(then.count);
        let errors = self.errors.saturating_sub(then.errors).min(count);
        WindowFigures {
            seconds,
            count,
            errors,
            error_ratio: ratio(errors, count),
            mean_ms: mean_ms(self.sum_ns.saturating_sub(then.sum_ns), count),
            per_second: if seconds > 0.0 { count as f64 / seconds } else { 0.0 },
        }
    }
}

/// The readings of the last window, oldest first.
#[derive(Debug)]
pub(super) struct Readings(VecDeque<Reading>);

impl Readings {
    pub(super) fn new(first: Reading) -> Self {
        Readings(VecDeque::from([first]))
    }

    /// Allocations are counted from now on.
    pub(super) fn rebase(&mut self, first: &Allocated) {
        for reading in &mut self.0 {
            (reading.allocations, reading.allocated_bytes) = (first.allocations, first.allocated_bytes);
        }
    }

    /// Adds one, and forgets what no window can begin with any more.
    pub(super) fn add(&mut self, reading: Reading, window: Duration) {
        self.0.push_back(reading);
        let old = |at: Duration| reading.at.saturating_sub(at) >= window;
        while self.0.len() > MOST || self.0.get(1).is_some_and(|second| old(second.at)) {
            self.0.pop_front();
        }
    }

    /// Where the window that ends now begins: at the youngest reading that is at least so old, else at the oldest.
    pub(super) fn begin(&self, now: Duration, window: Duration) -> Reading {
        let old = self.0.iter().rev().find(|reading| now.saturating_sub(reading.at) >= window);
        *old.or(self.0.front()).expect("there is always the first")
    }
}

/// Reads the system's figures from the ticks and judges, every [`interval`](super::Config::interval).
#[derive(Debug)]
pub struct Sampling {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sampling {
    /// Starts the task; its first reading is at once. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(monitor: Monitor, ticks: Ticks, clock: Clock) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut timer = tokio::time::interval(monitor.config().interval);
            timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    _ = timer.tick() => {}
                }
                monitor.read_system(&ticks.latest());
                monitor.sample(clock.now());
            }
        });
        Sampling { stop, task }
    }

    /// Ends the task.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the sampling of the monitor did not end well");
        }
    }
}
