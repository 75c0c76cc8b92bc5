//! What is compared of a series: its values, the rate of a counter, or what was observed into a histogram.
//!
//! - A **gauge** is measured by its values.
//! - A **counter** by its rate a second, over steps of a [`STEPS`]th of its samples' time: between two samples a counter of rare
//!   events is 0 or a leap, and neither says how many there are.
//! - The buckets of a **histogram** together are one distribution of what was observed within the range.
//!
//! What a series is, its source says; where nothing is known of it any more, the end of its name tells it: `_total`,
//! `_count`, `_sum` and `_bucket` are counters.

use std::collections::BTreeMap;

use super::summary::Summary;
use crate::query::Labels;
use crate::query::eval::{Bucket, Error, Interrupt};
use crate::query::labels::METRIC_NAME;
use crate::query::source::{Sample, Series};
use crate::series::{Kind, key};

/// In how many steps the rate of a counter is taken, as far as it has samples for so many.
pub const STEPS: i64 = 60;

const BUCKET_LABEL: &str = "le";

/// What of a series is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Its values.
    Value,
    /// How fast it rises, per second.
    Rate,
    /// What was observed, by the buckets of a histogram.
    Observations,
}

/// A series with what it did in a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its key, see [`crate::series::key`]; that of a histogram is without `_bucket` and `le`.
    pub key: String,
    /// What was measured.
    pub measure: Measure,
    /// The figures.
    pub summary: Summary,
}

/// What is known of families: the type by the name of a family.
pub type Kinds<'a> = &'a dyn Fn(&str) -> Option<Kind>;

/// Measures series from `start` to `end`, milliseconds, both included. In the order of their keys; series without a finite
/// value, or a counter with a single sample, are left out.
///
/// # Errors
/// Series cannot be read, or the interrupt says to end.
pub fn measure(
    series: &[Series],
    (start, end): (i64, i64),
    kinds: Kinds<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<Measured>, Error> {
    let mut all = Vec::with_capacity(series.len());
    let (histograms, others) = histograms(series, kinds);
    let read = |series: &Series| -> Result<Vec<Sample>, Error> {
        interrupt.check()?;
        let mut samples = Vec::new();
        series.samples.read(start, end, &mut samples)?;
        samples.retain(|sample| !sample.v.is_nan());
        Ok(samples)
    };
    for (labels, buckets) in histograms {
        let mut counted = Vec::with_capacity(buckets.len());
        for (upper, at) in buckets {
            let count = rises(&read(&series[at])?).map(|(_, rise)| rise).sum();
            counted.push(Bucket { upper, count });
        }
        let summary = Summary::of_buckets(&mut counted);
        all.extend(summary.map(|summary| Measured {
            key: key_of(&labels),
            measure: Measure::Observations,
            summary,
        }));
    }
    for at in others {
        let samples = read(&series[at])?;
        let labels = &series[at].labels;
        let (measure, values) = if is_counter(labels.name(), kinds) {
            (Measure::Rate, rates(&samples).map(|(_, rate)| rate).collect())
        } else {
            (Measure::Value, samples.iter().map(|sample| sample.v).collect())
        };
        all.extend(Summary::of(values).map(|summary| Measured { key: key_of(labels), measure, summary }));
    }
    all.sort_by(|a, b| (&a.key, a.measure).cmp(&(&b.key, b.measure)));
    Ok(all)
}

/// The buckets of each histogram, by labels without `le`: bound and place of the series, in the order of the bounds.
type Histograms = BTreeMap<Labels, Vec<(f64, usize)>>;

/// The histograms among series, and the places of all others. Buckets that are no whole histogram are counters.
fn histograms(series: &[Series], kinds: Kinds<'_>) -> (Histograms, Vec<usize>) {
    let mut found = Histograms::new();
    let mut others = Vec::new();
    for (at, one) in series.iter().enumerate() {
        let base = one.labels.name().strip_suffix("_bucket");
        let is_histogram = |base: &&str| kinds(base).is_none_or(|kind| kind == Kind::Histogram);
        let bound = one.labels.get(BUCKET_LABEL).and_then(|bound| bound.parse::<f64>().ok());
        match (base.filter(is_histogram), bound.filter(|bound| !bound.is_nan())) {
            (Some(base), Some(bound)) => {
                let labels = one.labels.filter(|name| name != BUCKET_LABEL).with(METRIC_NAME, base);
                found.entry(labels).or_default().push((bound, at));
            }
            _ => others.push(at),
        }
    }
    found.retain(|_, buckets| {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let whole = buckets.len() > 1 && buckets.last().is_some_and(|last| last.0 == f64::INFINITY);
        if !whole {
            others.extend(buckets.iter().map(|&(_, at)| at));
        }
        whole
    });
    (found, others)
}

/// Is a series of this name a counter?
pub(super) fn is_counter(name: &str, kinds: Kinds<'_>) -> bool {
    match kinds(name) {
        Some(Kind::Counter) => return true,
        None | Some(Kind::Unknown) => {}
        Some(_) => return false,
    }
    for end in ["_bucket", "_count", "_sum"] {
        if let Some(kind) = name.strip_suffix(end).and_then(kinds) {
            return matches!(kind, Kind::Histogram | Kind::Summary);
        }
    }
    ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

/// By how much a counter rose up to each of its samples but the first. One that goes down began anew, as for PromQL's
/// `rate`.
fn rises(samples: &[Sample]) -> impl Iterator<Item = (i64, f64)> {
    let rise = |two: &[Sample]| if two[1].v < two[0].v { two[1].v } else { two[1].v - two[0].v };
    samples.windows(2).map(move |two| (two[1].t, rise(two)))
}

/// How fast a counter rose in each of [`STEPS`] equal steps from its first sample to its last, per second, at the end of the
/// step; without extrapolation, over the time between the samples. Steps into which no sample falls have none.
pub(super) fn rates(samples: &[Sample]) -> impl Iterator<Item = (i64, f64)> {
    let (start, end) = samples.first().zip(samples.last()).map_or((0, 0), |(first, last)| (first.t, last.t));
    let length = i128::from(end.saturating_sub(start)) + 1;
    let step_of = move |time: i64| i128::from(time.saturating_sub(start)) * i128::from(STEPS) / length;
    let mut steps: Vec<(i128, i64, f64, f64)> = Vec::new();
    for (two, (time, rise)) in samples.windows(2).zip(rises(samples)) {
        let seconds = two[1].t.saturating_sub(two[0].t) as f64 / 1000.0;
        match steps.last_mut() {
            Some(last) if last.0 == step_of(time) => {
                *last = (last.0, time, last.2 + rise, last.3 + seconds);
            }
            _ => steps.push((step_of(time), time, rise, seconds)),
        }
    }
    steps.into_iter().map(|(_, time, rise, seconds)| (time, rise / seconds))
}

/// The rendered key of labels.
pub(super) fn key_of(labels: &Labels) -> String {
    let others: Vec<_> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    key::render(labels.name(), &others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Source;
    use crate::query::promql;
    use crate::query::source::MemorySource;

    fn sample(t: i64, v: f64) -> Sample {
        Sample { t, v }
    }

    #[test]
    fn the_rate_of_a_counter_is_taken_by_steps_and_survives_its_reset() {
        let samples = [sample(0, 10.0), sample(1000, 15.0), sample(3000, 5.0), sample(5000, 9.0)];
        let rates: Vec<_> = rates(&samples).collect();
        assert_eq!(rates, [(1000, 5.0), (3000, 2.5), (5000, 2.0)]);
        // An event each ten seconds for ten minutes: one in each step.
        let rare: Vec<_> = (0..=600i32).map(|n| sample(i64::from(n) * 1000, f64::from(n / 10))).collect();
        let rates: Vec<_> = super::rates(&rare).map(|(_, rate)| rate).collect();
        assert_eq!(rates.len(), 60);
        assert!(rates[1..59].iter().all(|rate| (rate - 0.1).abs() < 1e-9), "{rates:?}");
        assert_eq!(super::rates(&rare[..1]).count(), 0);
        assert_eq!(super::rates(&[sample(i64::MIN, 1.0), sample(i64::MAX, 2.0)]).count(), 1);
    }

    #[test]
    fn what_a_series_is_its_family_says_or_else_its_name() {
        let kinds: Kinds<'_> = &|name| match name {
            "a" => Some(Kind::Counter),
            "b_total" => Some(Kind::Gauge),
            "h" => Some(Kind::Histogram),
            "g" => Some(Kind::GaugeHistogram),
            "u_total" => Some(Kind::Unknown),
            _ => None,
        };
        let counters = ["a", "h_count", "h_sum", "h_bucket", "u_total", "x_total", "x_count"];
        assert!(counters.iter().all(|name| is_counter(name, kinds)));
        assert!(["b_total", "g_count", "x", "x_created"].iter().all(|name| !is_counter(name, kinds)));
    }

    #[test]
    fn gauges_counters_and_histograms_are_each_measured_in_their_way() {
        let mut source = MemorySource::default();
        for n in 0..=100i32 {
            let (t, n) = (i64::from(n) * 1000, f64::from(n));
            for (key, v) in [
                ("depth", n),
                ("sent_total{x=\"1\"}", n * 3.0),
                ("took_seconds_bucket{le=\"0.1\"}", n),
                ("took_seconds_bucket{le=\"0.2\"}", n * 2.0),
                ("took_seconds_bucket{le=\"+Inf\"}", n * 2.0),
                ("part_bucket{le=\"1\"}", n),
            ] {
                source.add(&Labels::from_key(key), sample(t, v));
            }
        }
        let all = promql::parse_selector("{__name__!=\"\"}").expect("a selector");
        let series = source.select(&all, 0, 100_000, 99).expect("series");
        let measured = measure(&series, (0, 100_000), &|_| None, &Interrupt::default()).expect("measured");
        let told: Vec<_> = measured.iter().map(|one| (&*one.key, one.measure, one.summary.p50)).collect();
        assert_eq!(
            told,
            [
                ("depth", Measure::Value, 50.0),
                ("part_bucket{le=\"1\"}", Measure::Rate, 1.0),
                ("sent_total{x=\"1\"}", Measure::Rate, 3.0),
                ("took_seconds", Measure::Observations, 0.1),
            ]
        );
        assert_eq!(measured[3].summary.count, 200);
        let ended = Interrupt::default();
        ended.cancel();
        assert_eq!(measure(&series, (0, 1), &|_| None, &ended), Err(Error::Canceled));
    }
}
