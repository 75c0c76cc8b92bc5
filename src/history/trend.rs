//! Where a series goes over a range.
//!
//! The slope is Theil and Sen's: the median of the slopes between every two points, which a third of outliers does not move.
//! Whether it is one at all, Kendall's tau says, which is the Mann–Kendall test for a trend: how much oftener the later of two
//! points is the higher one than the lower one, -1 to 1, and how probable a tau of this size is of points in any order
//! (two-sided, by the normal approximation with the correction for ties).
//!
//! A range of many samples is made [`POINTS`] means of equal steps first: pairs grow with the square of the points, and the
//! mean of a step is less like its neighbour than a sample is. What is left of that likeness makes the probability too small
//! for a series that wanders, so a trend must also lead somewhere: by 5 % of the median over the range.
//!
//! H. Theil, "A rank-invariant method of linear and polynomial regression analysis" (1950); P. K. Sen, "Estimates of the
//! regression coefficient based on Kendall's tau", Journal of the American Statistical Association 63 (1968); M. G. Kendall,
//! "Rank correlation methods", 4th ed. (1970) for the variance with ties.

use std::cmp::Ordering;

use serde::Serialize;

use super::measure::{Kinds, Measure, is_counter, key_of, rates};
use super::summary::percentile;
use crate::query::eval::{Error, Interrupt};
use crate::query::source::{Sample, Series};

/// Most points of which a trend is computed: 45,000 pairs, a millisecond.
pub const POINTS: usize = 300;
/// With fewer points there is no trend: of four in any order, one in twelve rises or falls all the way.
const FEWEST: usize = 8;
/// A tau that chance gives more often than this is none.
const PROBABLE: f64 = 0.01;
/// Least change over the range that counts, as a ratio of the median.
const CHANGE: f64 = 0.05;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Neither, or not so that one could tell.
    Steady,
}

/// Where a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Which way, if it counts.
    pub trend: Way,
    /// Slope by Theil and Sen, per hour.
    pub slope_per_hour: f64,
    /// By how much that changes the series over the range, as a ratio of its median; none where that is 0.
    pub change: Option<f64>,
    /// Kendall's tau (tau-b), -1 to 1.
    pub tau: f64,
    /// How probable a tau of this size is by chance.
    pub p_value: f64,
    /// Median of the points.
    pub median: f64,
    /// Points of which this was computed: the samples, or the means of steps.
    pub points: usize,
}

impl Trend {
    /// The trend of points, finite values in the order of time (milliseconds), each time once; `None` of fewer than 8.
    #[must_use]
    pub fn of(points: &[(i64, f64)]) -> Option<Trend> {
        let points = thinned(points);
        if points.len() < FEWEST {
            return None;
        }
        let (&(first, _), &(last, _)) = (points.first()?, points.last()?);
        let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
        let (mut rises, mut falls) = (0u32, 0u32);
        for (at, &(time, value)) in points.iter().enumerate() {
            for &(later, next) in &points[at + 1..] {
                match next.total_cmp(&value) {
                    _ if next == value => {}
                    Ordering::Greater => rises += 1,
                    _ => falls += 1,
                }
                slopes.push((next - value) / hours(later.saturating_sub(time)));
            }
        }
        let slope = median(&mut slopes);
        let mut values: Vec<f64> = points.iter().map(|&(_, value)| value).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (tau, p_value) = kendall(f64::from(rises) - f64::from(falls), &values);
        let median = percentile(&values, 0.5);
        let moved = slope * hours(last.saturating_sub(first));
        let leads = if median == 0.0 { moved != 0.0 } else { moved.abs() >= CHANGE * median.abs() };
        let trend = match slope {
            _ if p_value > PROBABLE || !leads => Way::Steady,
            slope if slope > 0.0 => Way::Rising,
            _ => Way::Falling,
        };
        let change = (median != 0.0).then(|| moved / median.abs()).filter(|change| change.is_finite());
        Some(Trend { trend, slope_per_hour: slope, change, tau, p_value, median, points: points.len() })
    }
}

fn hours(ms: i64) -> f64 {
    ms as f64 / 3_600_000.0
}

/// The median, as it is of an even number too: the mean of the two in the middle.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if values.len().is_multiple_of(2) => lower / 2.0 + upper / 2.0,
        _ => upper,
    }
}

/// At most [`POINTS`]: as they are, or the means of as many equal steps of time.
fn thinned(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let (Some(&(first, _)), Some(&(last, _))) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let length = i128::from(last.saturating_sub(first)) + 1;
    let step_of = |time: i64| i128::from(time.saturating_sub(first)) * POINTS as i128 / length;
    let of_step = |a: &(i64, f64), b: &(i64, f64)| step_of(a.0) == step_of(b.0);
    points
        .chunk_by(of_step)
        .map(|step| {
            let count = step.len() as f64;
            let begin = step[0].0;
            let time = step.iter().map(|(time, _)| i128::from(time.saturating_sub(begin))).sum::<i128>();
            let time = i64::try_from(time / step.len() as i128).unwrap_or(0).saturating_add(begin);
            (time, step.iter().map(|(_, value)| value / count).sum())
        })
        .collect()
}

/// Kendall's tau-b and its probability, of the pairs that rise less those that fall, and the values in their order.
fn kendall(score: f64, sorted: &[f64]) -> (f64, f64) {
    let n = sorted.len() as f64;
    let pairs = n * (n - 1.0) / 2.0;
    let (mut tied, mut variance) = (0.0, n * (n - 1.0) * (2.0 * n + 5.0));
    #[allow(clippy::float_cmp)] // equal values are ties
    for same in sorted.chunk_by(|a, b| a == b) {
        let t = same.len() as f64;
        tied += t * (t - 1.0) / 2.0;
        variance -= t * (t - 1.0) * (2.0 * t + 5.0);
    }
    // All the same: no pair says anything.
    if tied >= pairs || variance <= 0.0 {
        return (0.0, 1.0);
    }
    let tau = score / (pairs.sqrt() * (pairs - tied).sqrt());
    let z = score / (variance / 18.0).sqrt();
    (tau.clamp(-1.0, 1.0), erfc(z.abs() / std::f64::consts::SQRT_2))
}

/// The complementary error function of a number that is not negative, with a relative error below 1.2e-7: the Chebyshev fit
/// of Numerical Recipes (W. H. Press et al., 2nd ed., chapter 6.2, `erfcc`).
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x);
    let terms = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let sum = terms.iter().fold(0.0, |sum, term| sum * t + term);
    (t * (-x * x + sum).exp()).clamp(0.0, 1.0)
}

/// A series and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Trending {
    /// Its key, see [`crate::series::key`].
    pub key: String,
    /// What goes there: the value, or the rate of a counter.
    pub measure: Measure,
    /// `None` where there are too few points.
    pub trend: Option<Trend>,
}

/// The trend of each series from `start` to `end`, milliseconds, both included; of counters that of the rate. In the order
/// of the keys; series without a finite value are left out.
///
/// # Errors
/// Series cannot be read, or the interrupt says to end.
pub fn trends(
    series: &[Series],
    (start, end): (i64, i64),
    kinds: Kinds<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<Trending>, Error> {
    let mut all = Vec::with_capacity(series.len());
    let mut samples: Vec<Sample> = Vec::new();
    for one in series {
        interrupt.check()?;
        samples.clear();
        one.samples.read(start, end, &mut samples)?;
        samples.retain(|sample| !sample.v.is_nan());
        let (measure, mut points): (_, Vec<(i64, f64)>) = if is_counter(one.labels.name(), kinds) {
            (Measure::Rate, rates(&samples).collect())
        } else {
            (Measure::Value, samples.iter().map(|sample| (sample.t, sample.v)).collect())
        };
        points.retain(|(_, value)| value.is_finite());
        if !points.is_empty() {
            all.push(Trending { key: key_of(&one.labels), measure, trend: Trend::of(&points) });
        }
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(slope: f64, noise: f64, points: i32) -> Trend {
        let value = |i: i32| 100.0 + slope * f64::from(i) + noise * f64::from(i * 37 % 11 - 5);
        let points: Vec<_> = (0..points).map(|i| (i64::from(i) * 36_000, value(i))).collect();
        Trend::of(&points).expect("enough points")
    }

    #[test]
    fn a_trend_is_more_than_chance_and_leads_somewhere() {
        let rising = line(1.0, 1.0, 100);
        assert_eq!(rising.trend, Way::Rising);
        assert!((rising.slope_per_hour - 100.0).abs() < 2.0, "{rising:?}");
        assert!(rising.p_value < 1e-6 && rising.tau > 0.8, "{rising:?}");
        assert_eq!(line(-1.0, 1.0, 100).trend, Way::Falling);
        assert_eq!(line(0.01, 0.0, 100).trend, Way::Steady, "it moves by one per cent");
        assert_eq!(line(0.2, 40.0, 100).trend, Way::Steady, "noise hides it");
        let still = line(0.0, 0.0, 100);
        assert_eq!(
            (still.trend, still.tau, still.p_value, still.slope_per_hour),
            (Way::Steady, 0.0, 1.0, 0.0)
        );
    }

    #[test]
    fn outliers_do_not_move_the_slope() {
        let points: Vec<_> =
            (0..50).map(|i| (i * 3_600_000, if i % 5 == 0 { 1e9 } else { i as f64 * 2.0 })).collect();
        let trend = Trend::of(&points).expect("enough points");
        assert!((trend.slope_per_hour - 2.0).abs() < 0.5, "{trend:?}");
    }

    #[test]
    fn few_points_have_no_trend_and_many_are_thinned() {
        assert_eq!(Trend::of(&[]), None);
        assert_eq!(Trend::of(&[(0, 1.0); 7]), None);
        let many = line(0.1, 1.0, 20_000);
        assert_eq!((many.points, many.trend), (POINTS, Way::Rising));
        assert!((many.slope_per_hour - 10.0).abs() < 0.01, "{many:?}");
    }

    #[test]
    fn the_error_function_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 7.1.
        for (x, want) in [(0.0, 1.0), (0.5, 0.479_500_122), (1.0, 0.157_299_207), (2.0, 0.004_677_735)] {
            let got = erfc(x);
            assert!((got - want).abs() < 2e-7, "{x}: {got} {want}");
        }
        assert_eq!(erfc(1e9), 0.0);
    }

    proptest! {
        #[test]
        fn the_slope_is_the_median_of_all_slopes(values in prop::collection::vec(-50i32..50, 8..60)) {
            let points: Vec<_> =
                values.iter().enumerate().map(|(at, value)| (at as i64 * 1_800_000, f64::from(*value))).collect();
            let mut slopes = Vec::new();
            for (at, one) in points.iter().enumerate() {
                slopes.extend(points[..at].iter().map(|old| (one.1 - old.1) / hours(one.0 - old.0)));
            }
            slopes.sort_by(f64::total_cmp);
            let trend = Trend::of(&points).expect("enough points");
            prop_assert!((trend.slope_per_hour - percentile(&slopes, 0.5)).abs() < 1e-9);
            prop_assert!((-1.0..=1.0).contains(&trend.tau) && (0.0..=1.0).contains(&trend.p_value));
        }

        #[test]
        fn no_points_panic(values in prop::collection::vec((any::<i64>(), any::<f64>()), 0..400)) {
            let mut points: Vec<_> = values.into_iter().filter(|(_, value)| value.is_finite()).collect();
            points.sort_by_key(|&(time, _)| time);
            points.dedup_by_key(|point| point.0);
            let _ = Trend::of(&points);
        }
    }
}
