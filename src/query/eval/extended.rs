//! `anchored` and `smoothed` selectors, which look at the samples next to a range rather than guess what lies there.
//!
//! `anchored` takes the last sample before the range as its begin. `smoothed` draws lines to the nearest samples outside both
//! ends. Both look as far as the lookback.

use super::range_fn::Window;
use super::rows::ABSENT;
use super::{Error, execution};
use crate::query::promql::ast::Reach;
use crate::query::promql::functions::Function;
use crate::query::source::Sample;

/// Refuses functions that cannot work with samples outside the range.
pub(super) fn check(function: Function, reach: Reach) -> Result<(), Error> {
    use Function::{Changes, Delta, Increase, Rate, Resets};
    let name = function.name();
    match (reach, function) {
        (Reach::Plain, _) | (_, Delta | Increase | Rate) | (Reach::Anchored, Changes | Resets) => Ok(()),
        (Reach::Anchored, _) => execution(format!(
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with {name}"
        )),
        (Reach::Smoothed, _) => execution(format!(
            "smoothed modifier can only be used with: delta, increase, rate - not with {name}"
        )),
    }
}

/// How far before and behind the range samples are read.
pub(super) fn margins(reach: Reach, lookback: i64) -> (i64, i64) {
    match reach {
        Reach::Plain => (0, 0),
        Reach::Anchored => (lookback, 0),
        Reach::Smoothed => (lookback, lookback),
    }
}

/// The value of a function for a window that also has the samples within the margins.
#[allow(clippy::cast_precision_loss)]
pub(super) fn value(function: Function, window: &Window<'_>, reach: Reach) -> Option<f64> {
    let samples = window.samples;
    let smoothed = reach == Reach::Smoothed;
    let mut last = samples.len() - 1;
    let first = samples[..last].partition_point(|sample| sample.t <= window.start).saturating_sub(1);
    if smoothed {
        last = samples[..last].partition_point(|sample| sample.t < window.end);
    }
    if samples[last].t <= window.start {
        return None;
    }
    let inside = &samples[first..];
    match function {
        Function::Changes => {
            let same = |two: &[Sample]| two[0].v == two[1].v || (two[0].v.is_nan() && two[1].v.is_nan());
            return Some(inside.windows(2).filter(|two| !same(two)).count() as f64);
        }
        Function::Resets => return Some(inside.windows(2).filter(|two| two[1].v < two[0].v).count() as f64),
        _ => {}
    }
    let counter = function != Function::Delta;
    let left = match samples.get(first + 1) {
        Some(&next) if smoothed && samples[first].t < window.start => {
            between(samples[first], next, window.start, counter)
        }
        _ => samples[first].v,
    };
    let right = if smoothed && last > 0 && samples[last].t > window.end {
        between(samples[last - 1], samples[last], window.end, counter)
    } else {
        samples[last].v
    };
    let mut result = right - left;
    if counter {
        // Only what lies strictly inside: the ends have their resets in `left` and `right`.
        let from = first + usize::from(samples[first].t <= window.start);
        let to = last + 1 - usize::from(samples[last].t >= window.end);
        let mut before = left;
        let values = samples.get(from..to).unwrap_or_default().iter().map(|sample| sample.v);
        for value in values.chain([right]) {
            if value < before {
                result += before;
            }
            before = value;
        }
    }
    Some(if function == Function::Rate { result / (window.range as f64 / 1000.0) } else { result })
}

/// The value at `time` on the line between two samples; a counter that was reset between them began at 0.
#[allow(clippy::cast_precision_loss)]
fn between(before: Sample, after: Sample, time: i64, counter: bool) -> f64 {
    let start = if counter && after.v < before.v { 0.0 } else { before.v };
    start + (after.v - start) * (time - before.t) as f64 / (after.t - before.t) as f64
}

/// The value of a smoothed instant selector at `time`, of samples within the lookback to both sides.
pub(super) fn at(samples: &[Sample], time: i64, lookback: i64) -> f64 {
    let next = samples.partition_point(|sample| sample.t < time);
    let after = samples.get(next).filter(|sample| sample.t <= time.saturating_add(lookback));
    let before = next.checked_sub(1).map(|at| samples[at]).filter(|sample| sample.t > time - lookback);
    match (before, after) {
        (_, Some(after)) if after.t == time => after.v,
        (Some(before), Some(&after)) => between(before, after, time, false),
        (Some(before), None) => before.v,
        (None, _) => ABSENT,
    }
}
