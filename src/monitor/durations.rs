//! Durations counted by size in fixed memory.
//!
//! Twenty buckets a decade from 1 µs to 100 s, with bounds that are round in decimal: so the buckets of Prometheus
//! (1, 2.5, 5, 10 ms) are sums of these, exactly, and one count serves both the quantiles and the exposition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The renard series R20, rounded: neighbours differ by 12 %.
const STEPS: [u64; 20] =
    [100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800, 900];

/// From 1 µs to 100 s.
const DECADES: usize = 8;

/// Up to 1 µs, the steps above, and what is longer than 100 s.
pub(super) const BUCKETS: usize = DECADES * STEPS.len() + 2;

/// Longest duration of each bucket in nanoseconds, inclusive.
const BOUNDS: [u64; BUCKETS] = bounds();

const fn bounds() -> [u64; BUCKETS] {
    let mut bounds = [u64::MAX; BUCKETS];
    let (mut at, mut scale) = (0, 10);
    while at < BUCKETS - 2 {
        bounds[at] = STEPS[at % STEPS.len()] * scale;
        at += 1;
        if at.is_multiple_of(STEPS.len()) {
            scale *= 10;
        }
    }
    bounds[BUCKETS - 2] = STEPS[0] * scale;
    bounds
}

/// A binary cell (a doubling cut in eight) to the bucket of its shortest duration. From there it is at most two further.
const CELLS: [u8; 64 * 8] = cells();

const fn cells() -> [u8; 64 * 8] {
    let mut cells = [0; 64 * 8];
    let mut cell = 0;
    while cell < cells.len() {
        let (doubling, eighth) = (cell / 8, (cell % 8) as u64);
        let shortest = if doubling < 3 { 0 } else { (8 + eighth) << (doubling - 3) };
        let mut bucket = 0;
        while bucket < BUCKETS - 1 && BOUNDS[bucket] < shortest {
            bucket += 1;
        }
        cells[cell] = bucket as u8;
        cell += 1;
    }
    cells
}

/// The bucket of a duration.
#[inline]
pub(super) fn bucket(ns: u64) -> usize {
    let ns = ns.max(8);
    let doubling = ns.ilog2();
    let cell = (doubling as usize) * 8 + ((ns >> (doubling - 3)) & 7) as usize;
    let mut bucket = usize::from(CELLS[cell]);
    while BOUNDS[bucket] < ns {
        bucket += 1;
    }
    bucket
}

/// Counts of durations by bucket, of one operation or of several added up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Durations {
    pub(super) counts: [u64; BUCKETS],
    pub(super) count: u64,
    pub(super) sum_ns: u64,
    /// `u64::MAX` before the first.
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Durations { counts: [0; BUCKETS], count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Durations {
    /// Adds what is counted by others at the same time.
    pub(super) fn add(&mut self, counts: &[AtomicU64; BUCKETS]) {
        for (sum, count) in self.counts.iter_mut().zip(counts) {
            let count = count.load(Ordering::Relaxed);
            *sum += count;
            self.count += count;
        }
    }

    /// The duration in milliseconds that a share of them did not exceed (nearest rank), interpolated within its bucket;
    /// 0 without any.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut before = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if before + count >= rank && count > 0 {
                let lower = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] };
                let (lower, upper) = (lower.max(self.min_ns), BOUNDS[bucket].min(self.max_ns));
                let within = (rank - before) as f64 / count as f64;
                return milliseconds(lower) + (milliseconds(upper) - milliseconds(lower)).max(0.0) * within;
            }
            before += count;
        }
        0.0
    }

    /// Mean in milliseconds; 0 without any.
    pub(super) fn mean_ms(&self) -> f64 {
        mean_ms(self.sum_ns, self.count)
    }

    /// Shortest in milliseconds; 0 without any.
    pub(super) fn min_ms(&self) -> f64 {
        if self.min_ns == u64::MAX { 0.0 } else { milliseconds(self.min_ns) }
    }
}

/// The buckets that are exposed: `le` in seconds as OpenMetrics writes it, and how many of ours are in it.
pub(super) const EXPOSED: [(&str, usize); 14] = [
    ("0.0001", at(100_000)),
    ("0.0005", at(500_000)),
    ("0.001", at(1_000_000)),
    ("0.0025", at(2_500_000)),
    ("0.005", at(5_000_000)),
    ("0.01", at(10_000_000)),
    ("0.025", at(25_000_000)),
    ("0.05", at(50_000_000)),
    ("0.1", at(100_000_000)),
    ("0.25", at(250_000_000)),
    ("0.5", at(500_000_000)),
    ("1.0", at(1_000_000_000)),
    ("2.5", at(2_500_000_000)),
    ("10.0", at(10_000_000_000)),
];

/// How many buckets end at this bound or below; fails to compile where none ends there.
const fn at(ns: u64) -> usize {
    let mut bucket = 0;
    while BOUNDS[bucket] != ns {
        bucket += 1;
    }
    bucket + 1
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn mean_ms(sum_ns: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum_ns as f64 / count as f64 / 1e6 }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// 584 years is the longest.
#[inline]
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A failed part of all; 0 without any.
#[allow(clippy::cast_precision_loss)]
pub(super) fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(ns: impl IntoIterator<Item = u64>) -> Durations {
        let mut durations = Durations::default();
        for ns in ns {
            durations.counts[bucket(ns)] += 1;
            durations.count += 1;
            durations.sum_ns += ns;
            durations.min_ns = durations.min_ns.min(ns);
            durations.max_ns = durations.max_ns.max(ns);
        }
        durations
    }

    #[test]
    fn every_bound_is_in_its_bucket_and_the_next_nanosecond_is_not() {
        for (at, &bound) in BOUNDS.iter().enumerate().take(BUCKETS - 1) {
            assert_eq!(bucket(bound), at);
            assert_eq!(bucket(bound + 1), at + 1);
        }
        assert_eq!(BOUNDS[BUCKETS - 2], 100_000_000_000);
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_exact_ones() {
        let durations = counted((1..=10_000).map(|i| i * 7_919));
        for (share, exact) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0)] {
            let exact = exact * 7_919.0 / 1e6;
            let read = durations.quantile_ms(share);
            assert!((read / exact - 1.0).abs() < 0.06, "{share}: {read} for {exact}");
        }
    }

    #[test]
    fn one_duration_is_its_own_quantile_and_none_is_zero() {
        let one = counted([123_456_789]);
        assert_eq!([one.quantile_ms(0.5), one.quantile_ms(0.99)], [123.456_789; 2]);
        assert_eq!(Durations::default().quantile_ms(0.5), 0.0);
        assert_eq!((Durations::default().mean_ms(), Durations::default().min_ms()), (0.0, 0.0));
    }

    #[test]
    fn exposed_buckets_end_where_they_say() {
        for (le, buckets) in EXPOSED {
            let seconds: f64 = le.parse().unwrap();
            let exact = (seconds * 1e9).round();
            #[allow(clippy::cast_precision_loss)]
            let ours = BOUNDS[buckets - 1] as f64;
            assert_eq!(ours, exact, "{le}");
        }
    }
}
