//! What a series did in a range, in a few numbers.
//!
//! A [`Summary`] keeps the usual figures, and of the values themselves at most [`VALUES`], evenly spread over their order: a
//! sketch from which two ranges can be compared when the samples are gone. With no more values than that it is exact.

use crate::query::eval::{Bucket, bucket_quantile};

/// Values kept of a series: a KiB. What is computed of two sketches by comparing values differs from what all values
/// would give by at most 2 / `VALUES`, 1.6 %.
pub const VALUES: usize = 128;

/// What a series did in a range.
#[derive(Clone, Debug, PartialEq)]
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
    /// The sketch: values in their order, at least one.
    pub values: Box<[f64]>,
}

impl Summary {
    /// Summary of values in any order; `None` without a finite one. Percentiles are between the values, linearly, as
    /// PromQL's `quantile_over_time` has them.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Summary> {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (mean, deviation) = moments(&values);
        Some(Summary {
            count: values.len() as u64,
            mean,
            deviation,
            min,
            p50: percentile(&values, 0.5),
            p95: percentile(&values, 0.95),
            p99: percentile(&values, 0.99),
            max,
            values: spread(&values),
        })
    }

    /// Summary of what was observed into a histogram, from its buckets, which are cumulative and in their order, the last
    /// one without bound. Percentiles are those of PromQL's `histogram_quantile`; the other figures are those of the
    /// sketch, so they are as exact as the buckets are fine. `None` without observations.
    #[must_use]
    pub(crate) fn of_buckets(buckets: &mut [Bucket]) -> Option<Summary> {
        let count = buckets.last()?.count;
        let mut at = |share| bucket_quantile(share, buckets);
        let values: Vec<f64> = (0..VALUES).map(|n| at((n as f64 + 0.5) / VALUES as f64)).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let (mean, deviation) = moments(&values);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a count is neither negative nor broken
        Some(Summary {
            count: count as u64,
            mean,
            deviation,
            min: values[0],
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: values[VALUES - 1],
            values: values.into(),
        })
    }
}

/// Mean and standard deviation of sorted values, of which there are some.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = match values.iter().sum::<f64>() / count {
        mean if mean.is_finite() => mean,
        _ => values.iter().map(|value| value / count).sum(), // the sum is too large for a double
    };
    // So that rounding makes no difference among values that are all the same.
    let mean = mean.clamp(values[0], values[values.len() - 1]);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() })
}

/// Value at a share of sorted values, of which there are some.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the length
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let part = at - at.floor();
    sorted[low] * (1.0 - part) + sorted[high] * part
}

/// At most [`VALUES`] of sorted values: the middles of as many equal parts of them. Values, none in between, so that what is
/// equal on two sides stays equal.
fn spread(sorted: &[f64]) -> Box<[f64]> {
    if sorted.len() <= VALUES {
        return sorted.into();
    }
    (0..VALUES).map(|n| sorted[(2 * n + 1) * sorted.len() / (2 * VALUES)]).collect()
}

/// Cliff's delta of two lists of sorted values: how much oftener a value of `after` is the greater one of a pair than the
/// lesser one, -1 to 1. 0 where one is empty.
#[must_use]
pub fn dominance(before: &[f64], after: &[f64]) -> f64 {
    let (mut below, mut upto, mut sum) = (0, 0, 0i64);
    for value in after {
        below += before[below..].iter().take_while(|old| *old < value).count();
        upto += before[upto..].iter().take_while(|old| *old <= value).count();
        // So many are less, and so many greater.
        sum += below.cast_signed() as i64 - (before.len() - upto).cast_signed() as i64;
    }
    let pairs = before.len() * after.len();
    if pairs == 0 { 0.0 } else { sum as f64 / pairs as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_summary_is_what_textbooks_say() {
        let s = Summary::of(vec![5.0, 2.0, 4.0, 4.0, 9.0, 4.0, f64::NAN, 5.0, 7.0, f64::INFINITY])
            .expect("values");
        assert_eq!((s.count, s.mean, s.min, s.p50, s.max), (8, 5.0, 2.0, 4.5, 9.0));
        assert!((s.deviation - (32f64 / 7.0).sqrt()).abs() < 1e-12);
        let s = Summary::of((0..=100).map(f64::from).collect()).expect("values");
        assert_eq!((s.p50, s.p95, s.p99, s.values.len()), (50.0, 95.0, 99.0, 101));
        assert_eq!(Summary::of(vec![f64::NAN]), None);
        assert_eq!(Summary::of(vec![3.0]).expect("a value").deviation, 0.0);
    }

    #[test]
    fn a_histogram_is_summed_up_by_the_quantiles_of_its_buckets() {
        let bucket = |upper: f64, count: f64| Bucket { upper, count };
        let mut buckets = [bucket(0.1, 50.0), bucket(0.2, 100.0), bucket(f64::INFINITY, 100.0)];
        let s = Summary::of_buckets(&mut buckets).expect("observations");
        assert_eq!((s.count, s.p50), (100, 0.1));
        assert!((s.p95 - 0.19).abs() < 1e-12 && (s.mean - 0.1).abs() < 1e-12, "{s:?}");
        assert!(s.min > 0.0 && s.max < 0.2);
        assert_eq!(Summary::of_buckets(&mut [bucket(1.0, 0.0), bucket(f64::INFINITY, 0.0)]), None);
        assert_eq!(Summary::of_buckets(&mut [bucket(1.0, 5.0)]), None, "no highest bucket");
        assert_eq!(Summary::of_buckets(&mut []), None);
    }

    /// Every pair looked at.
    fn naive(before: &[f64], after: &[f64]) -> f64 {
        let sign = |(old, new): (&f64, &f64)| f64::from(i8::from(new > old) - i8::from(new < old));
        let pairs = before.iter().flat_map(|old| after.iter().map(move |new| (old, new)));
        pairs.map(sign).sum::<f64>() / (before.len() * after.len()) as f64
    }

    proptest! {
        #[test]
        fn dominance_is_that_of_every_pair(
            mut a in prop::collection::vec((-9i32..9).prop_map(f64::from), 1..60),
            mut b in prop::collection::vec((-9i32..9).prop_map(f64::from), 1..60),
        ) {
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            prop_assert!((dominance(&a, &b) - naive(&a, &b)).abs() < 1e-12);
            prop_assert!((dominance(&a, &b) + dominance(&b, &a)).abs() < 1e-12);
        }

        #[test]
        fn a_sketch_gives_the_dominance_of_all_values_but_for_its_grain(
            a in prop::collection::vec(-100.0f64..100.0, 1..2000),
            b in prop::collection::vec(-100.0f64..120.0, 1..2000),
        ) {
            let (one, two) = (Summary::of(a.clone()).expect("values"), Summary::of(b.clone()).expect("values"));
            prop_assert!(one.values.len() <= VALUES && one.values.is_sorted());
            let exact = naive(&a, &b);
            let sketched = dominance(&one.values, &two.values);
            prop_assert!((exact - sketched).abs() <= 2.0 / VALUES as f64, "{} {}", exact, sketched);
        }

        #[test]
        fn any_values_are_summed_up_within_their_bounds(values in prop::collection::vec(any::<f64>(), 0..300)) {
            if let Some(s) = Summary::of(values.clone()) {
                let finite = values.iter().filter(|value| value.is_finite());
                prop_assert_eq!(s.count, finite.clone().count() as u64);
                for value in [s.p50, s.p95, s.p99] {
                    prop_assert!((s.min..=s.max).contains(&value), "{:?}", s);
                }
                prop_assert!(s.mean.is_finite());
            }
        }
    }
}
