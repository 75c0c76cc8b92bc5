//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter;

use super::error::ValueError;
use super::instrument::{Instrument, Lines, Refused};
use crate::series::Kind;

/// Counts events. Wait-free; wraps at 2^64, which readers take for a reset.
///
/// ```
/// # use gaugecast::registry::{RegisterError, Registry};
/// # let registry = Registry::new();
/// let jobs = registry.counter(("jobs_done", "Jobs that were done"))?;
/// jobs.inc();
/// jobs.inc_by(2);
/// assert_eq!(jobs.get(), 3); // jobs_done_total 3
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Counter(counter::Counter<u64, AtomicU64>);

impl Counter {
    /// One more.
    #[inline]
    pub fn inc(&self) {
        self.0.inc();
    }

    /// `by` more.
    #[inline]
    pub fn inc_by(&self, by: u64) {
        self.0.inc_by(by);
    }

    /// Raises it to a count that is kept elsewhere; without effect where it is that high already.
    pub fn raise_to(&self, count: u64) {
        self.0.inner().fetch_max(count, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Instrument for Counter {
    const KIND: Kind = Kind::Counter;
    type Config = ();

    fn create(_config: &(), _refused: &Refused) -> Self {
        Self::default()
    }

    fn write(&self, lines: &mut Lines<'_>) {
        lines.whole("_total", self.get());
    }

    fn activity(&self) -> u64 {
        self.get()
    }
}

/// Sums up amounts that are no whole numbers: seconds of work. Lock-free. Never goes down: what is negative, NaN or
/// infinite is refused.
///
/// ```
/// # use gaugecast::registry::{Desc, RegisterError, Registry, Unit, ValueError};
/// # let registry = Registry::new();
/// let busy = registry.float_counter(Desc::new("busy", "Time spent working").unit(Unit::Seconds))?;
/// busy.inc_by(0.25);
/// assert_eq!(busy.try_inc_by(-1.0), Err(ValueError::Negative));
/// assert_eq!(busy.get(), 0.25); // busy_seconds_total 0.25
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FloatCounter {
    sum: counter::Counter<f64, AtomicU64>,
    refused: Refused,
}

impl FloatCounter {
    /// `by` more. What [`try_inc_by`](Self::try_inc_by) would refuse is counted in
    /// `gaugecast_registry_refused_total{reason}`, and said in the log in debug builds.
    #[inline]
    pub fn inc_by(&self, by: f64) {
        if let Err(error) = self.try_inc_by(by) {
            self.refused.count(error);
        }
    }

    /// `by` more.
    ///
    /// # Errors
    /// `by` is negative, NaN or infinite; the counter is then as before.
    #[inline]
    pub fn try_inc_by(&self, by: f64) -> Result<(), ValueError> {
        positive(by)?;
        self.sum.inc_by(by);
        Ok(())
    }

    /// The sum.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.sum.get()
    }
}

/// Refuses what would let a sum go down or be lost.
#[inline]
pub(super) fn positive(value: f64) -> Result<(), ValueError> {
    if !value.is_finite() {
        Err(ValueError::NotFinite)
    } else if value < 0.0 {
        Err(ValueError::Negative)
    } else {
        Ok(())
    }
}

impl Instrument for FloatCounter {
    const KIND: Kind = Kind::Counter;
    type Config = ();

    fn create(_config: &(), refused: &Refused) -> Self {
        FloatCounter { sum: counter::Counter::default(), refused: refused.clone() }
    }

    fn write(&self, lines: &mut Lines<'_>) {
        lines.float("_total", self.get());
    }

    fn activity(&self) -> u64 {
        self.get().to_bits()
    }
}
