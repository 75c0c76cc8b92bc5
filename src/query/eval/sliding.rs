//! Functions over a range for all steps at once, where the windows of steps overlap.
//!
//! Taken one by one, each window is walked through from its begin: an hour at 1 s with windows of a minute adds up each
//! sample 60 times. What is here gives the very same bits with less work:
//!
//! - The *best* sample (`min_over_time`, `max_over_time` and where they are) is the front of a queue of those that can still
//!   become the best; each sample enters and leaves it once.
//! - A *sum* that carries its rounding errors depends on the order of all its terms, so it cannot be had from the one
//!   before. But its additions wait for one another and keep a core idle; the sums of eight windows side by side do not.

use std::collections::VecDeque;

use super::kahan::{Sum, sum_of};
use super::rows::ABSENT;
use super::{Error, Interrupt};
use crate::query::source::Sample;

/// Samples from the first number up to, not including, the second.
pub(super) type Bounds = (usize, usize);

/// How many windows are summed side by side.
const LANES: usize = 8;

/// For each window the sample that wins against those before it, as `value` shows it; NaN loses against every value.
///
/// `wins` says whether a value wins against an earlier one. Neither end of `windows` may fall from one to the next.
pub(super) fn best(
    samples: &[Sample],
    windows: &[Bounds],
    wins: impl Fn(f64, f64) -> bool,
    value: impl Fn(Sample) -> f64,
    queue: &mut VecDeque<usize>,
    out: &mut Vec<f64>,
) {
    queue.clear();
    let mut seen = 0;
    out.extend(windows.iter().map(|&(from, to)| {
        while seen < to {
            let sample = samples[seen].v;
            if !sample.is_nan() {
                while queue.back().is_some_and(|&at| wins(sample, samples[at].v)) {
                    queue.pop_back();
                }
                queue.push_back(seen);
            }
            seen += 1;
        }
        while queue.front().is_some_and(|&at| at < from) {
            queue.pop_front();
        }
        match queue.front() {
            _ if from == to => ABSENT,
            Some(&at) => value(samples[at]),
            // Nothing but NaNs, of which each wins against the one before.
            None => value(samples[to - 1]),
        }
    }));
}

/// For each window what `value` makes of its sum and its number of samples, or `other` of a window in whose sum something
/// overflows.
pub(super) fn sums(
    samples: &[Sample],
    windows: &[Bounds],
    value: impl Fn(Sum, usize) -> f64,
    other: impl Fn(&[Sample]) -> f64,
    interrupt: &Interrupt,
    out: &mut Vec<f64>,
) -> Result<(), Error> {
    let mut finish = |window: &[Sample], sum: Option<Sum>| {
        out.push(match sum {
            _ if window.is_empty() => ABSENT,
            Some(sum) => value(sum, window.len()),
            None => other(window),
        });
    };
    let mut groups = windows.chunks_exact(LANES);
    for group in &mut groups {
        interrupt.check()?; // a window can be millions of samples long
        let lanes: [&[Sample]; LANES] = std::array::from_fn(|lane| &samples[group[lane].0..group[lane].1]);
        let common = lanes.iter().map(|lane| lane.len()).min().unwrap_or(0);
        let (mut sum, mut rest) = ([0.0f64; LANES], [0.0f64; LANES]);
        let heads = lanes.map(|lane| &lane[..common]);
        #[allow(clippy::needless_range_loop)] // it goes over eight slices at once
        for at in 0..common {
            for lane in 0..LANES {
                // As in `kahan::sum_of`.
                let value = heads[lane][at].v;
                let total = sum[lane] + value;
                let added = total - sum[lane];
                rest[lane] += (sum[lane] - (total - added)) + (value - added);
                sum[lane] = total;
            }
        }
        for (lane, window) in lanes.into_iter().enumerate() {
            let begun = Sum { sum: sum[lane], rest: rest[lane] };
            finish(window, begun.and(window[common..].iter().map(|sample| sample.v)));
        }
    }
    for &(from, to) in groups.remainder() {
        interrupt.check()?;
        finish(&samples[from..to], sum_of(samples[from..to].iter().map(|sample| sample.v)));
    }
    Ok(())
}
