//! The functions over a range of samples, for one window.

use std::collections::VecDeque;

use super::kahan::{Mean, Sum, Variance, sum_of};
use super::sliding::{self, Bounds};
use super::{Error, Interrupt, execution};
use crate::query::promql::ast::Reach;
use crate::query::promql::functions::Function;
use crate::query::source::Sample;

/// The samples of one series that a function sees at one step. Never empty.
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    /// The left end, which is open.
    pub(crate) start: i64,
    /// The right end.
    pub(crate) end: i64,
    pub(crate) range: i64,
    /// The time of the step, without offset and `@`.
    pub(crate) time: i64,
    /// It is known that no value is smaller than the one before.
    pub(crate) no_resets: bool,
}

/// A function over a range of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeFn(Function);

impl RangeFn {
    pub(crate) fn of(function: Function) -> Option<Self> {
        let args = function.signature().args;
        args.contains(&crate::query::promql::ast::Type::Matrix).then_some(RangeFn(function))
    }

    /// Does it ask for the resets of a counter?
    pub(super) fn is_counter(self) -> bool {
        matches!(self.0, Function::Rate | Function::Increase)
    }

    /// The value for a window of an extended selector.
    pub(super) fn extended(self, window: &Window<'_>, reach: Reach) -> Option<f64> {
        super::extended::value(self.0, window, reach)
    }

    /// Appends the values for all windows, neither end of which falls from one to the next, and gives whether it did: for
    /// functions that gain from seeing all. They are those of [`value`](Self::value), to the bit.
    pub(super) fn slide(
        self,
        samples: &[Sample],
        windows: &[Bounds],
        queue: &mut VecDeque<usize>,
        interrupt: &Interrupt,
        out: &mut Vec<f64>,
    ) -> Result<bool, Error> {
        use Function as F;
        match self.0 {
            F::MinOverTime => sliding::best(samples, windows, smaller, |sample| sample.v, queue, out),
            F::MaxOverTime => sliding::best(samples, windows, larger, |sample| sample.v, queue, out),
            F::TsOfMinOverTime => sliding::best(samples, windows, last_smallest, seconds_of, queue, out),
            F::TsOfMaxOverTime => sliding::best(samples, windows, last_largest, seconds_of, queue, out),
            F::SumOverTime => {
                sliding::sums(samples, windows, |sum, _| sum.value(), careful_sum, interrupt, out)?
            }
            F::AvgOverTime => sliding::sums(samples, windows, mean, careful_mean, interrupt, out)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The value for a window; `None` when there are too few samples.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn value(
        self,
        window: &Window<'_>,
        scalar: impl Fn(usize) -> f64,
        scratch: &mut Vec<f64>,
    ) -> Result<Option<f64>, Error> {
        use Function as F;
        let samples = window.samples;
        let values = || samples.iter().map(|sample| sample.v);
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        Ok(Some(match self.0 {
            F::Rate => return Ok(extrapolated(window, true, true)),
            F::Increase => return Ok(extrapolated(window, true, false)),
            F::Delta => return Ok(extrapolated(window, false, false)),
            F::Irate => return Ok(last_two(samples, true)),
            F::Idelta => return Ok(last_two(samples, false)),
            F::SumOverTime => sum_of(values()).map_or_else(|| careful_sum(samples), Sum::value),
            F::AvgOverTime => {
                sum_of(values()).map_or_else(|| careful_mean(samples), |sum| mean(sum, samples.len()))
            }
            F::MinOverTime => best(samples, smaller).v,
            F::MaxOverTime => best(samples, larger).v,
            F::TsOfMinOverTime => seconds_of(best(samples, last_smallest)),
            F::TsOfMaxOverTime => seconds_of(best(samples, last_largest)),
            F::TsOfFirstOverTime => first.t as f64 / 1000.0,
            F::TsOfLastOverTime => last.t as f64 / 1000.0,
            F::CountOverTime => samples.len() as f64,
            F::FirstOverTime => first.v,
            F::LastOverTime => last.v,
            F::PresentOverTime | F::AbsentOverTime => 1.0,
            F::StdvarOverTime | F::StddevOverTime => {
                let mut variance = Variance::default();
                values().for_each(|value| variance.add(value));
                let value = variance.value();
                if self.0 == F::StddevOverTime { value.sqrt() } else { value }
            }
            F::QuantileOverTime => {
                scratch.clear();
                scratch.extend(values());
                quantile(scalar(0), scratch)
            }
            F::MadOverTime if values().any(f64::is_nan) => f64::NAN,
            F::MadOverTime => {
                scratch.clear();
                scratch.extend(values());
                let median = quantile(0.5, scratch);
                scratch.clear();
                scratch.extend(values().map(|value| (value - median).abs()));
                quantile(0.5, scratch)
            }
            F::Resets => samples.windows(2).filter(|two| two[1].v < two[0].v).count() as f64,
            F::Changes => {
                let changed = |two: &&[Sample]| {
                    let (before, after) = (two[0].v, two[1].v);
                    after != before && !(after.is_nan() && before.is_nan())
                };
                samples.windows(2).filter(changed).count() as f64
            }
            F::Deriv if samples.len() < 2 => return Ok(None),
            F::Deriv => regression(samples, first.t).0,
            F::PredictLinear if samples.len() < 2 => return Ok(None),
            F::PredictLinear => {
                let (slope, intercept) = regression(samples, window.time);
                slope * scalar(0) + intercept
            }
            F::DoubleExponentialSmoothing => return smoothed(samples, scalar(0), scalar(1)),
            other => return execution(format!("{}() takes no range vector", other.name())),
        }))
    }
}

/// `rate`, `increase` and `delta`: the difference of last and first sample, with a counter's resets made good, extended
/// to the ends of the window where these are near, else by half of the mean distance between samples; and a
/// counter not to below zero.
#[allow(clippy::cast_precision_loss)]
fn extrapolated(window: &Window<'_>, counter: bool, rate: bool) -> Option<f64> {
    let samples = window.samples;
    if samples.len() < 2 {
        return None;
    }
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let mut result = last.v - first.v;
    if counter && !window.no_resets {
        for two in samples.windows(2) {
            if two[1].v < two[0].v {
                result += two[0].v;
            }
        }
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let (mut to_start, mut to_end) = (seconds(first.t - window.start), seconds(window.end - last.t));
    let sampled = seconds(last.t - first.t);
    let distance = sampled / (samples.len() - 1) as f64;
    let near = distance * 1.1;
    if to_start >= near {
        to_start = distance / 2.0;
    }
    if counter && result > 0.0 && first.v >= 0.0 {
        to_start = to_start.min(sampled * (first.v / result));
    }
    if to_end >= near {
        to_end = distance / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if rate {
        factor /= seconds(window.range);
    }
    Some(result * factor)
}

/// `irate` and `idelta`: the difference of the last two samples.
#[allow(clippy::cast_precision_loss)]
fn last_two(samples: &[Sample], rate: bool) -> Option<f64> {
    let [.., before, last] = samples else { return None };
    let distance = last.t - before.t;
    if distance == 0 {
        return None;
    }
    let reset = rate && last.v < before.v;
    let result = if reset { last.v } else { last.v - before.v };
    Some(if rate { result / (distance as f64 / 1000.0) } else { result })
}

/// A sum in which something overflows.
fn careful_sum(samples: &[Sample]) -> f64 {
    let mut sum = Sum::default();
    samples.iter().for_each(|sample| sum.add(sample.v));
    sum.value()
}

/// The mean of values whose sum overflows.
fn careful_mean(samples: &[Sample]) -> f64 {
    let mut mean = Mean::default();
    samples.iter().for_each(|sample| mean.add(sample.v));
    mean.value()
}

#[allow(clippy::cast_precision_loss)]
fn mean(sum: Sum, count: usize) -> f64 {
    let count = count as f64;
    sum.sum / count + sum.rest / count
}

#[allow(clippy::cast_precision_loss)]
fn seconds_of(sample: Sample) -> f64 {
    sample.t as f64 / 1000.0
}

fn smaller(value: f64, best: f64) -> bool {
    value < best
}

fn larger(value: f64, best: f64) -> bool {
    value > best
}

fn last_smallest(value: f64, best: f64) -> bool {
    value <= best
}

fn last_largest(value: f64, best: f64) -> bool {
    value >= best
}

/// The sample that wins against all before it; NaN loses against every value.
fn best(samples: &[Sample], wins: impl Fn(f64, f64) -> bool) -> Sample {
    let mut best = samples[0];
    for &sample in samples {
        if wins(sample.v, best.v) || best.v.is_nan() {
            best = sample;
        }
    }
    best
}

/// A quantile by interpolation between the two nearest values, which are sorted for it; NaN is the smallest value.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Slope in units a second, and the value at `time`, of the least-squares line.
#[allow(clippy::cast_precision_loss, clippy::float_cmp)]
fn regression(samples: &[Sample], time: i64) -> (f64, f64) {
    let first = samples[0].v;
    if samples.iter().skip(1).all(|sample| sample.v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let x = (sample.t - time) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(sample.v);
        xy_sum.add(x * sample.v);
        xx_sum.add(x * x);
    }
    let n = samples.len() as f64;
    let total = |sum: Sum| sum.sum + sum.rest;
    let (x, y) = (total(x_sum), total(y_sum));
    let slope = (total(xy_sum) - x * y / n) / (total(xx_sum) - x * x / n);
    (slope, y / n - slope * x / n)
}

/// Double exponential smoothing (Holt's linear method).
fn smoothed(samples: &[Sample], smoothing: f64, trend: f64) -> Result<Option<f64>, Error> {
    for (name, factor, letter) in [("smoothing", smoothing, "sf"), ("trend", trend, "tf")] {
        if !(factor > 0.0 && factor < 1.0) {
            return execution(format!("invalid {name} factor. Expected: 0 < {letter} < 1, got: {factor:.6}"));
        }
    }
    let [first, second, ..] = samples else { return Ok(None) };
    let (mut before, mut level, mut slope) = (0.0, first.v, second.v - first.v);
    for (i, sample) in samples.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * sample.v + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Ok(Some(level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Values of all kinds, those often equal and those that overflow in a sum among them.
    fn values() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-3i32..3).prop_map(f64::from),
            4 => any::<f64>(),
            2 => Just(0.1),
            1 => Just(f64::MAX),
            1 => Just(f64::INFINITY),
            2 => Just(f64::NAN),
            1 => Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn all_windows_at_once_have_the_values_of_one_by_one(
            values in prop::collection::vec(values(), 0..80),
            moves in prop::collection::vec((0usize..4, 0usize..4), 0..60),
        ) {
            let samples: Vec<_> = (0..).zip(&values).map(|(at, &v)| Sample { t: at * 1000, v }).collect();
            let (mut from, mut to) = (0, 0);
            let windows: Vec<Bounds> = moves.into_iter().map(|(first, last)| {
                to = samples.len().min(to + last);
                from = to.min(from + first);
                (from, to)
            }).collect();
            for function in [Function::MinOverTime, Function::MaxOverTime, Function::TsOfMinOverTime,
                Function::TsOfMaxOverTime, Function::SumOverTime, Function::AvgOverTime]
            {
                let mut out = Vec::new();
                let mut queue = VecDeque::from([7]);
                let slid = RangeFn(function)
                    .slide(&samples, &windows, &mut queue, &Interrupt::default(), &mut out);
                prop_assert_eq!(slid, Ok(true));
                for (&(from, to), slid) in windows.iter().zip(&out) {
                    let samples = &samples[from..to];
                    let window = Window { samples, start: 0, end: 0, range: 1, time: 0, no_resets: false };
                    let alone = match samples {
                        [] => super::super::rows::ABSENT,
                        _ => RangeFn(function).value(&window, |_| 0.0, &mut Vec::new()).unwrap().unwrap(),
                    };
                    // Which of many NaNs a sum gives is the processor's to choose.
                    let same = slid.to_bits() == alone.to_bits() || (slid.is_nan() && alone.is_nan());
                    prop_assert!(same, "{}: {slid} at once, {alone} alone, of {samples:?}", function.name());
                }
                prop_assert_eq!(out.len(), windows.len());
            }
        }
    }
}
