//! Comparing a range of the past with another: what changed, and whether it is worth a look.
//!
//! A [`Baseline`] is what many series did in a range, under a name, and lives on when the samples are gone. [`compare`] tells
//! for each series by how much it changed and gives a [`Verdict`].
//!
//! The verdict is by effect size, not by a significance test: at a sample a second everything is significant, and samples
//! that follow each other are not independent. Effect size is Cliff's delta: of all pairs of a value before and one after,
//! the share in which the later one is greater less that in which it is less, -1 to 1. It asks how far apart the two ranges
//! lie and not how far the means do in standard deviations (Cohen's d), since latencies, queues and rates are skewed, and one
//! outlier moves a mean and hides itself in the deviation. A change counts when delta is at least 0.33 in size ("medium")
//! and the mean moved by at least 5 %. Both are needed: a series that stands still has a delta of 1 for any change, and one
//! near zero an infinite percentage. With fewer than [`FEWEST`] values on a side there is no verdict.
//!
//! Cliff's delta: N. Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", Psychological Bulletin 114
//! (1993). Its thresholds: J. Romano et al., "Appropriate statistics for ordinal level data", Annual Meeting of the Florida
//! Association of Institutional Research (2006).

use std::cmp::Ordering;

use serde::Serialize;

use super::measure::{Measure, Measured};
use super::summary::{Summary, dominance};
use crate::series::key;

/// With fewer values on a side nothing is said: of so few, two in three runs of chance alone reach a medium delta.
pub const FEWEST: u64 = 10;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Least size of Cliff's delta, 0 to 1; 0.33 by default.
    pub effect: f64,
    /// Least change of the mean, as a ratio of what it was; 0.05 by default.
    pub change: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { effect: 0.33, change: 0.05 }
    }
}

/// What series did in a range, under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The name, see [`check_name`].
    pub name: String,
    /// What somebody wrote to it; may be empty.
    pub note: String,
    /// The selectors by which the series were picked.
    pub selectors: Vec<String>,
    /// Begin of the range, Unix milliseconds.
    pub start: i64,
    /// End of the range, Unix milliseconds, included.
    pub end: i64,
    /// When it was saved, Unix milliseconds.
    pub created: i64,
    /// The series, in the order of their keys.
    pub series: Vec<Measured>,
}

impl Baseline {
    /// Bytes of memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts: usize = self.selectors.iter().map(|text| text.len() + size_of::<String>()).sum();
        let series = self
            .series
            .iter()
            .map(|one| size_of::<Measured>() + one.key.len() + size_of_val::<[f64]>(&one.summary.values));
        size_of::<Self>() + self.name.len() + self.note.len() + texts + series.sum::<usize>()
    }
}

/// May a baseline have this name? It stands in paths and on command lines: 1 to 64 letters, digits, `.`, `_` and `-`, of
/// which the first is a letter or digit.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(rest)
    {
        return Ok(());
    }
    Err("a name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit".to_owned())
}

/// Which way is good for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    /// Less is better: latency, errors.
    Lower,
    /// More is better: hits, what is free.
    Higher,
    /// Neither is known.
    Unknown,
}

/// Words in names of which less is better.
const LOWER: &[&str] = &[
    "error",
    "errors",
    "errs",
    "failed",
    "failure",
    "failures",
    "fails",
    "dropped",
    "drops",
    "drop",
    "lost",
    "rejected",
    "refused",
    "retries",
    "retransmits",
    "timeouts",
    "panics",
    "throttled",
    "latency",
    "duration",
    "lag",
    "delay",
    "waiting",
    "pressure",
    "missed",
    "stalled",
];
/// Words in names of which more is better.
const HIGHER: &[&str] =
    &["hits", "available", "memavailable", "free", "success", "successes", "succeeded", "healthy", "up"];

/// Which way is good, by the words of the name; for a histogram of seconds less. Of what has words of both kinds or none,
/// nothing is known: whether more requests are good news nobody can tell by the name.
#[must_use]
pub fn good(series: &str, measure: Measure) -> Good {
    let name = key::name(series).to_ascii_lowercase();
    let has = |words: &[&str]| name.split(['_', ':', '.']).any(|word| words.contains(&word));
    match (has(LOWER), has(HIGHER)) {
        (true, false) => Good::Lower,
        (false, true) => Good::Higher,
        (false, false) if measure == Measure::Observations && name.ends_with("_seconds") => Good::Lower,
        _ => Good::Unknown,
    }
}

/// Is it better or worse than before?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It changed for the worse.
    Worse,
    /// It changed, and which way is good is not known.
    Changed,
    /// It had values only before.
    Gone,
    /// It has values only now.
    New,
    /// It changed for the better.
    Better,
    /// There are too few values to tell.
    Unknown,
    /// No change that counts.
    Same,
}

impl Verdict {
    /// All of them, what asks for a look first.
    pub const ALL: [Verdict; 7] = [
        Verdict::Worse,
        Verdict::Changed,
        Verdict::Gone,
        Verdict::New,
        Verdict::Better,
        Verdict::Unknown,
        Verdict::Same,
    ];

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Worse => "worse",
            Verdict::Changed => "changed",
            Verdict::Gone => "gone",
            Verdict::New => "new",
            Verdict::Better => "better",
            Verdict::Unknown => "unknown",
            Verdict::Same => "same",
        }
    }
}

/// How large an effect is, by the thresholds of Romano et al.
#[must_use]
pub fn magnitude(effect: f64) -> &'static str {
    match effect.abs() {
        size if size < 0.147 => "negligible",
        size if size < 0.33 => "small",
        size if size < 0.474 => "medium",
        _ => "large",
    }
}

/// One series, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<'a> {
    /// Key of the series.
    pub key: &'a str,
    /// What was measured of it.
    pub measure: Measure,
    /// In the baseline.
    pub before: Option<&'a Summary>,
    /// In the other range.
    pub after: Option<&'a Summary>,
    /// By how much the mean changed; none where a side is missing.
    pub delta: Option<f64>,
    /// The same as a ratio of what it was; none where it was 0.
    pub change: Option<f64>,
    /// Cliff's delta: positive when there is more than before.
    pub effect: Option<f64>,
    /// See [`Verdict`].
    pub verdict: Verdict,
}

/// Compares two ranges series by series; both are in the order of the keys, and so is what is given.
#[must_use]
pub fn compare<'a>(
    before: &'a [Measured],
    after: &'a [Measured],
    thresholds: Thresholds,
    good: impl Fn(&str, Measure) -> Good,
) -> Vec<Comparison<'a>> {
    let id = |one: &'a Measured| (&*one.key, one.measure);
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut all = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return all,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => id(old).cmp(&id(new)),
        };
        let old = if order.is_le() { old.next() } else { None };
        let new = if order.is_ge() { new.next() } else { None };
        let Some((key, measure)) = old.or(new).map(id) else { return all };
        let sides = (old.map(|one| &one.summary), new.map(|one| &one.summary));
        all.push(judge(key, measure, sides, thresholds, good(key, measure)));
    }
}

fn judge<'a>(
    key: &'a str,
    measure: Measure,
    (before, after): (Option<&'a Summary>, Option<&'a Summary>),
    thresholds: Thresholds,
    good: Good,
) -> Comparison<'a> {
    let one = Comparison {
        key,
        measure,
        before,
        after,
        delta: None,
        change: None,
        effect: None,
        verdict: if before.is_none() { Verdict::New } else { Verdict::Gone },
    };
    let (Some(old), Some(new)) = (before, after) else { return one };
    let delta = new.mean - old.mean;
    let change = (old.mean != 0.0).then(|| delta / old.mean.abs());
    let effect = dominance(&old.values, &new.values);
    let moved =
        if old.mean == 0.0 { delta != 0.0 } else { change.is_some_and(|c| c.abs() >= thresholds.change) };
    let verdict = match good {
        _ if old.count.min(new.count) < FEWEST => Verdict::Unknown,
        _ if effect.abs() < thresholds.effect || effect == 0.0 || !moved => Verdict::Same,
        Good::Unknown => Verdict::Changed,
        Good::Lower if effect < 0.0 => Verdict::Better,
        Good::Higher if effect > 0.0 => Verdict::Better,
        _ => Verdict::Worse,
    };
    let finite = |value: f64| value.is_finite().then_some(value);
    Comparison { delta: finite(delta), change: change.and_then(finite), effect: Some(effect), verdict, ..one }
}

/// The verdict on all together: worse if one is, else the first of [`Verdict::ALL`] that there is, new and gone aside:
/// what comes and goes is no judgement on what stays.
#[must_use]
pub fn overall(all: &[Comparison<'_>]) -> Verdict {
    let judged = all.iter().map(|one| one.verdict).filter(|it| !matches!(it, Verdict::New | Verdict::Gone));
    judged.min().unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(key: &str, values: &[f64]) -> Measured {
        let values = values.iter().copied().cycle().take(FEWEST as usize * 2).collect();
        let summary = Summary::of(values).expect("values");
        Measured { key: key.to_owned(), measure: Measure::Value, summary }
    }

    fn verdict(before: &[f64], after: &[f64], good: Good) -> Verdict {
        let (before, after) = ([measured("a", before)], [measured("a", after)]);
        compare(&before, &after, Thresholds::default(), |_, _| good)[0].verdict
    }

    #[test]
    fn a_verdict_needs_both_an_effect_and_a_change() {
        let quiet = [100.0, 101.0, 99.0, 100.0];
        assert_eq!(verdict(&quiet, &[120.0, 121.0, 119.0, 120.0], Good::Lower), Verdict::Worse);
        assert_eq!(verdict(&quiet, &[120.0, 121.0, 119.0, 120.0], Good::Higher), Verdict::Better);
        assert_eq!(verdict(&quiet, &[80.0, 81.0, 79.0, 80.0], Good::Lower), Verdict::Better);
        assert_eq!(verdict(&quiet, &[80.0, 81.0, 79.0, 80.0], Good::Unknown), Verdict::Changed);
        assert_eq!(verdict(&quiet, &[102.0, 103.0, 101.0, 102.0], Good::Lower), Verdict::Same, "2 per cent");
        let noisy = [10.0, 200.0, 50.0, 140.0];
        assert_eq!(verdict(&noisy, &[20.0, 210.0, 60.0, 150.0], Good::Lower), Verdict::Same, "they overlap");
        assert_eq!(verdict(&[0.0], &[3.0], Good::Lower), Verdict::Worse, "from nothing");
        assert_eq!(verdict(&[3.0], &[3.0], Good::Lower), Verdict::Same);
    }

    #[test]
    fn an_outlier_changes_no_verdict() {
        let mut values = vec![1.0; 19];
        let steady = values.clone();
        values.push(1e6);
        assert_eq!(verdict(&steady, &values, Good::Lower), Verdict::Same);
    }

    #[test]
    fn few_values_say_nothing() {
        let few = |value: f64| {
            let summary = Summary::of(vec![value; FEWEST as usize - 1]).expect("values");
            [Measured { key: "a".into(), measure: Measure::Value, summary }]
        };
        let all = (few(1.0), few(9.0));
        let compared = compare(&all.0, &all.1, Thresholds::default(), good);
        assert_eq!((compared[0].verdict, overall(&compared)), (Verdict::Unknown, Verdict::Unknown));
    }

    #[test]
    fn ranges_are_compared_series_by_series() {
        let (before, after) =
            ([measured("a", &[1.0]), measured("c", &[1.0])], [measured("b", &[1.0]), measured("c", &[2.0])]);
        let all = compare(&before, &after, Thresholds::default(), |_, _| Good::Lower);
        let told: Vec<_> =
            all.iter().map(|one| (one.key, one.verdict, one.delta, one.change, one.effect)).collect();
        let want = [
            ("a", Verdict::Gone, None, None, None),
            ("b", Verdict::New, None, None, None),
            ("c", Verdict::Worse, Some(1.0), Some(1.0), Some(1.0)),
        ];
        assert_eq!(told, want);
        assert_eq!(
            (overall(&all), overall(&all[..2]), overall(&[])),
            (Verdict::Worse, Verdict::Unknown, Verdict::Unknown)
        );
    }

    #[test]
    fn which_way_is_good_is_told_by_the_name_or_not_at_all() {
        for (key, measure, want) in [
            ("http_requests_failed_total", Measure::Rate, Good::Lower),
            ("a:request_errors:rate5m", Measure::Value, Good::Lower),
            ("node_memory_MemAvailable_bytes", Measure::Value, Good::Higher),
            ("up{job=\"errors\"}", Measure::Value, Good::Higher),
            ("http_request_duration_seconds", Measure::Observations, Good::Lower),
            ("rpc_seconds", Measure::Observations, Good::Lower),
            ("rpc_seconds", Measure::Value, Good::Unknown),
            ("http_requests_total", Measure::Rate, Good::Unknown),
            ("free_errors", Measure::Value, Good::Unknown),
        ] {
            assert_eq!(good(key, measure), want, "{key}");
        }
    }

    #[test]
    fn a_name_fits_into_a_path() {
        for name in ["a", "before-deploy", "v1.2.3_x", &"a".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "-a", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
