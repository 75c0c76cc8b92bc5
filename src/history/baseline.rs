//! Comparing a range of the past with another: what changed, and whether it is worth a look.
//!
//! A range of one series is put into a [`Summary`]; a [`Baseline`] is the summaries of many, under a name, and lives on
//! when the samples are gone. [`compare`] tells for each series by how much it changed and gives a [`Verdict`].
//!
//! The verdict is by effect size, not by a significance test: at a sample a second everything is significant, and samples
//! that follow each other are not independent. Effect size is Cohen's d, the difference of the means in standard
//! deviations (pooled), which asks: is the difference large beside what the series does anyway? A change counts when d is
//! at least 0.5 ("medium": J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988) and the mean moved by
//! at least 5 %. Both are needed: a series that stands still has an infinite d for any change, and one near zero an
//! infinite percentage.

use serde::{Deserialize, Serialize};

/// Least effect size that counts.
pub const EFFECT: f64 = 0.5;
/// Least change of the mean that counts, as a ratio.
pub const CHANGE: f64 = 0.05;

/// What a series did in a range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values; those that are no finite numbers do not count.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the values (over n - 1; 0 for one value).
    pub deviation: f64,
    /// Least value.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Greatest value.
    pub max: f64,
    /// Where it goes, per second: slope of the line of least squares.
    pub slope: f64,
    /// How well that line tells it: correlation of value and time, -1 to 1; 0 where one of them stands still.
    pub correlation: f64,
}

impl Summary {
    /// Summary of samples in order of time; `None` without a finite value. Percentiles are between the values, linearly,
    /// as PromQL's `quantile_over_time` has them.
    #[must_use]
    pub fn of(samples: impl Iterator<Item = (i64, f64)>) -> Option<Summary> {
        let points: Vec<(i64, f64)> = samples.filter(|(_, value)| value.is_finite()).collect();
        let (&(begin, _), count) = (points.first()?, points.len() as f64);
        // Seconds since the first sample: small numbers, whose squares lose nothing.
        let seconds = |time: i64| time.saturating_sub(begin) as f64 / 1000.0;
        let mean = points.iter().map(|(_, value)| value / count).sum::<f64>();
        let mid = points.iter().map(|&(time, _)| seconds(time) / count).sum::<f64>();
        let (mut vv, mut tt, mut tv) = (0.0, 0.0, 0.0);
        for &(time, value) in &points {
            let (t, v) = (seconds(time) - mid, value - mean);
            vv += v * v;
            tt += t * t;
            tv += t * v;
        }
        let mut values: Vec<f64> = points.iter().map(|&(_, value)| value).collect();
        values.sort_unstable_by(f64::total_cmp);
        let still = vv == 0.0 || tt == 0.0;
        Some(Summary {
            count: points.len() as u64,
            mean,
            deviation: if points.len() < 2 { 0.0 } else { (vv / (count - 1.0)).sqrt() },
            min: values[0],
            p50: quantile(&values, 0.5),
            p95: quantile(&values, 0.95),
            p99: quantile(&values, 0.99),
            max: values[values.len() - 1],
            slope: if still { 0.0 } else { tv / tt },
            correlation: if still { 0.0 } else { (tv / (vv.sqrt() * tt.sqrt())).clamp(-1.0, 1.0) },
        })
    }

    /// Where it goes over the range: by the line of least squares, when that tells at least a quarter of what the series
    /// does (|correlation| of 0.5) and moves by at least [`CHANGE`] of the mean over `seconds`.
    #[must_use]
    pub fn trend(&self, seconds: f64) -> Trend {
        let moves = (self.slope * seconds).abs() >= CHANGE * self.mean.abs();
        match self.slope {
            _ if self.correlation.abs() < 0.5 || !moves => Trend::Steady,
            slope if slope > 0.0 => Trend::Rising,
            _ => Trend::Falling,
        }
    }
}

/// Value at a share of sorted values, which are not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the length
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let part = at - at.floor();
    sorted[low] * (1.0 - part) + sorted[high] * part
}

/// Where a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Neither, or not so that one could tell.
    Steady,
}

/// How fast a counter rises between its samples, per second, at the time of the later one. One that goes down began
/// anew, as for PromQL's `rate`. Stale markers and other NaNs are left out.
pub fn rates(samples: impl Iterator<Item = (i64, f64)>) -> impl Iterator<Item = (i64, f64)> {
    let mut last: Option<(i64, f64)> = None;
    samples.filter(|(_, value)| !value.is_nan()).filter_map(move |(time, value)| {
        let (before, old) = last.replace((time, value))?;
        let rise = if value < old { value } else { value - old };
        Some((time, rise / (time.saturating_sub(before) as f64 / 1000.0)))
    })
}

/// Summaries of a range under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The name.
    pub name: String,
    /// Begin of the range, Unix milliseconds.
    pub start_ms: i64,
    /// End of the range, Unix milliseconds, included.
    pub end_ms: i64,
    /// Series by key, see [`crate::series::key`]; sorted.
    pub series: Vec<(String, Summary)>,
}

impl Baseline {
    /// From the summaries of a range, in any order.
    #[must_use]
    pub fn new(name: &str, start_ms: i64, end_ms: i64, mut series: Vec<(String, Summary)>) -> Self {
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Baseline { name: name.to_owned(), start_ms, end_ms, series }
    }
}

/// Which way is good for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    /// Less is better: latency, errors, memory.
    Less,
    /// More is better: throughput, hits.
    More,
    /// Neither is known.
    Unknown,
}

/// Is it better or worse than before?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No change that counts.
    Same,
    /// It changed for the better.
    Better,
    /// It changed for the worse.
    Worse,
    /// It changed, and which way is good is not known.
    Changed,
    /// It was not there before.
    New,
    /// It is not there any more.
    Gone,
}

/// One series, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Key of the series.
    pub series: String,
    /// In the baseline.
    pub before: Option<Summary>,
    /// Now.
    pub after: Option<Summary>,
    /// By how much the mean changed, as a ratio of what it was; none where it was 0 or a side is missing.
    pub change: Option<f64>,
    /// Cohen's d; none where a side is missing, or nothing varies and the means differ, which is infinite.
    pub effect: Option<f64>,
    /// See [`Verdict`].
    pub verdict: Verdict,
}

/// Compares two ranges series by series, sorted by key. `good` says of a key which way is good.
#[must_use]
pub fn compare(before: &Baseline, after: &Baseline, good: impl Fn(&str) -> Good) -> Vec<Comparison> {
    let (mut old, mut new) = (before.series.iter().peekable(), after.series.iter().peekable());
    let mut all = Vec::new();
    loop {
        let (mut key, mut sides) = ("", (None, None));
        let order = match (old.peek(), new.peek()) {
            (None, None) => return all,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.0.cmp(&new.0),
        };
        if order.is_le()
            && let Some((name, summary)) = old.next()
        {
            (key, sides.0) = (name, Some(*summary));
        }
        if order.is_ge()
            && let Some((name, summary)) = new.next()
        {
            (key, sides.1) = (name, Some(*summary));
        }
        all.push(judge(key, sides.0, sides.1, good(key)));
    }
}

fn judge(series: &str, before: Option<Summary>, after: Option<Summary>, good: Good) -> Comparison {
    let (Some(old), Some(new)) = (before, after) else {
        let verdict = if before.is_none() { Verdict::New } else { Verdict::Gone };
        return Comparison { series: series.to_owned(), before, after, change: None, effect: None, verdict };
    };
    let moved = new.mean - old.mean;
    let change = (old.mean != 0.0).then(|| moved / old.mean.abs());
    let effect = if moved == 0.0 { 0.0 } else { moved / pooled(&old, &new) };
    let counts = effect.abs() >= EFFECT && change.is_none_or(|change| change.abs() >= CHANGE);
    let verdict = match (counts, good) {
        (false, _) => Verdict::Same,
        (true, Good::Unknown) => Verdict::Changed,
        (true, Good::Less) if moved < 0.0 => Verdict::Better,
        (true, Good::More) if moved > 0.0 => Verdict::Better,
        (true, _) => Verdict::Worse,
    };
    let effect = effect.is_finite().then_some(effect);
    Comparison { series: series.to_owned(), before, after, change, effect, verdict }
}

/// Standard deviation of both together.
fn pooled(old: &Summary, new: &Summary) -> f64 {
    let (m, n) = (old.count as f64 - 1.0, new.count as f64 - 1.0);
    if m + n <= 0.0 {
        return 0.0;
    }
    ((m * old.deviation.powi(2) + n * new.deviation.powi(2)) / (m + n)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: &[f64]) -> Summary {
        Summary::of((0..).step_by(1000).zip(values.iter().copied())).expect("values")
    }

    fn verdict(before: &[f64], after: &[f64], good: Good) -> Verdict {
        judge("a", Some(summary(before)), Some(summary(after)), good).verdict
    }

    #[test]
    fn a_summary_is_what_textbooks_say() {
        let s = summary(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f64::NAN, f64::INFINITY]);
        assert_eq!((s.count, s.mean, s.min, s.p50, s.max), (8, 5.0, 2.0, 4.5, 9.0));
        assert!((s.deviation - (32f64 / 7.0).sqrt()).abs() < 1e-12);
        let hundred: Vec<f64> = (0..=100).map(f64::from).collect();
        let s = summary(&hundred);
        assert_eq!((s.p50, s.p95, s.p99), (50.0, 95.0, 99.0));
        assert!((s.slope - 1.0).abs() < 1e-12 && (s.correlation - 1.0).abs() < 1e-12);
        assert_eq!(Summary::of([(0, f64::NAN)].into_iter()), None);
        assert_eq!((summary(&[3.0]).deviation, summary(&[3.0]).slope), (0.0, 0.0));
    }

    #[test]
    fn a_trend_needs_a_line_that_tells_something_and_goes_somewhere() {
        let line = |slope: f64, noise: f64| {
            let value = |i: i32| 100.0 + slope * f64::from(i) + noise * f64::from(i * 37 % 11 - 5);
            summary(&(0..100).map(value).collect::<Vec<_>>()).trend(100.0)
        };
        assert_eq!(line(1.0, 1.0), Trend::Rising);
        assert_eq!(line(-1.0, 1.0), Trend::Falling);
        assert_eq!(line(0.01, 0.0), Trend::Steady, "it moves by one per cent");
        assert_eq!(line(0.2, 40.0), Trend::Steady, "noise hides it");
    }

    #[test]
    fn a_verdict_needs_both_an_effect_and_a_change() {
        let quiet = [100.0, 101.0, 99.0, 100.0];
        assert_eq!(verdict(&quiet, &[120.0, 121.0, 119.0, 120.0], Good::Less), Verdict::Worse);
        assert_eq!(verdict(&quiet, &[120.0, 121.0, 119.0, 120.0], Good::More), Verdict::Better);
        assert_eq!(verdict(&quiet, &[80.0, 81.0, 79.0, 80.0], Good::Less), Verdict::Better);
        assert_eq!(verdict(&quiet, &[80.0, 81.0, 79.0, 80.0], Good::Unknown), Verdict::Changed);
        assert_eq!(verdict(&quiet, &[102.0, 103.0, 101.0, 102.0], Good::Less), Verdict::Same, "2 per cent");
        let noisy = [10.0, 200.0, 50.0, 140.0];
        assert_eq!(verdict(&noisy, &[20.0, 210.0, 60.0, 150.0], Good::Less), Verdict::Same, "a tenth of d");
        assert_eq!(verdict(&[0.0, 0.0], &[3.0, 3.0], Good::Less), Verdict::Worse, "from nothing");
        assert_eq!(verdict(&[3.0, 3.0], &[3.0, 3.0], Good::Less), Verdict::Same);
    }

    #[test]
    fn ranges_are_compared_series_by_series() {
        let of = |list: &[(&str, f64)]| {
            let series =
                list.iter().map(|(key, value)| ((*key).to_owned(), summary(&[*value, *value]))).collect();
            Baseline::new("x", 0, 1, series)
        };
        let all = compare(&of(&[("c", 1.0), ("a", 1.0)]), &of(&[("b", 1.0), ("c", 2.0)]), |_| Good::Less);
        let told: Vec<_> = all.iter().map(|one| (&*one.series, one.verdict, one.change)).collect();
        let want = [("a", Verdict::Gone, None), ("b", Verdict::New, None), ("c", Verdict::Worse, Some(1.0))];
        assert_eq!(told, want);
        let json = serde_json::to_string(&of(&[("a", 1.5)])).expect("JSON");
        assert_eq!(serde_json::from_str::<Baseline>(&json).expect("the same"), of(&[("a", 1.5)]));
    }

    #[test]
    fn the_rate_of_a_counter_survives_its_reset() {
        let samples = [(0, 10.0), (1000, 15.0), (3000, 5.0), (4000, f64::NAN), (5000, 9.0)];
        let rates: Vec<_> = rates(samples.into_iter()).collect();
        assert_eq!(rates, [(1000, 5.0), (3000, 2.5), (5000, 2.0)]);
    }
}
