//! Latency distributions, in microseconds inside and milliseconds outside.
//!
//! An HDR histogram keeps every recorded value to three significant digits, so two of them add up to what one
//! would have seen. Percentiles are therefore always read from a merged [`Latency`], never averaged.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// A distribution of durations from 1 µs to an hour; what is longer counts as an hour.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

/// The longest duration told apart: 1 h in microseconds.
const LONGEST: u64 = 3_600_000_000;

impl Default for Latency {
    fn default() -> Self {
        let mut histogram =
            Histogram::new_with_bounds(1, LONGEST, 3).expect("1 µs to 1 h at 3 digits is a valid range");
        histogram.auto(false);
        Self(histogram)
    }
}

impl Latency {
    /// Counts one duration, in microseconds.
    pub fn record(&mut self, us: u64) {
        self.0.saturating_record(us.clamp(1, LONGEST));
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same range");
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below which the share `q` (0..=1) lies, in milliseconds; `None` without samples.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.0.value_at_quantile(q) as f64 / 1000.0)
    }

    /// Writes `NAME.count`, and in milliseconds `.min`, `.mean`, `.stdev`, `.p50` … `.p999`, `.max`: all `None`
    /// but the count when nothing was counted.
    pub fn measures(&self, name: &str, into: &mut BTreeMap<String, Option<f64>>) {
        let some = |value: f64| (self.count() > 0).then(|| value / 1000.0);
        let mut put = |stat: &str, value| into.insert(format!("{name}.{stat}"), value);
        put("count", Some(self.count() as f64));
        put("min", some(self.0.min() as f64));
        put("mean", some(self.0.mean()));
        put("stdev", some(self.0.stdev()));
        put("max", some(self.0.max() as f64));
        for (stat, q) in QUANTILES {
            put(stat, self.quantile_ms(q));
        }
    }
}

/// The percentiles told, by name.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        values.into_iter().for_each(|us| latency.record(us));
        latency
    }

    #[test]
    fn merged_percentiles_are_those_of_all_samples_and_not_the_mean_of_the_parts() {
        let mut merged = of((1..=990).map(|_| 1_000));
        merged.merge(&of((1..=10).map(|_| 100_000)));
        assert_eq!(merged.count(), 1000);
        assert!(merged.quantile_ms(0.95).unwrap() < 1.01);
        assert!(merged.quantile_ms(0.999).unwrap() > 99.0);
    }

    #[test]
    fn nothing_counted_has_no_percentiles() {
        let mut measures = BTreeMap::new();
        Latency::default().measures("delivery", &mut measures);
        assert_eq!(measures["delivery.count"], Some(0.0));
        assert!(
            ["min", "mean", "p50", "p999", "max"]
                .iter()
                .all(|s| measures[&format!("delivery.{s}")].is_none())
        );
    }

    #[test]
    fn what_is_out_of_range_is_counted_at_the_end_of_it() {
        let latency = of([0, u64::MAX]);
        assert_eq!(latency.count(), 2);
        assert!(latency.quantile_ms(1.0).unwrap() >= 3_599_000.0);
    }
}
