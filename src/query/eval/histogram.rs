//! Classic histograms: quantiles and fractions from buckets with the label `le`.

use super::Error;
use super::evaluator::{Evaluator, Grid};
use super::notes::{Forced, Note};
use super::rows::{ABSENT, Index, Metric, Rows, present};
use crate::query::number::open_metrics;
use crate::query::promql::ast::{Expr, Span};

const BUCKET_LABEL: &str = "le";
/// Differences between buckets up to this part of them are rounding errors, not observations.
const INSIGNIFICANT: f64 = 1e-12;

/// The buckets of one histogram: rows by their upper bound, ascending.
struct Histogram {
    metric: Metric,
    buckets: Vec<(f64, usize)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Upper bound.
    pub(crate) upper: f64,
    /// Observations up to it.
    pub(crate) count: f64,
}

impl Evaluator<'_> {
    /// The histograms among rows; what has no usable `le` is left out with a warning.
    fn histograms(&mut self, rows: &Rows, at: Span) -> Vec<Histogram> {
        let mut index = Index::with_capacity(16);
        let mut histograms: Vec<Histogram> = Vec::new();
        for (row, metric) in rows.metrics.iter().enumerate() {
            let labels = metric.labels();
            let le = labels.get(BUCKET_LABEL).unwrap_or("");
            let upper = match le.parse::<f64>() {
                Ok(upper) => upper,
                Err(_) => {
                    let metric = labels.name().to_owned();
                    self.notes.add(Note::BadBucketLabel { metric, value: le.to_owned() }, at);
                    continue;
                }
            };
            let rest = || labels.iter().filter(|(name, _)| *name != BUCKET_LABEL);
            let hash = index.hash(rest());
            let found = index.find_or_add(hash, |at| rest().eq(histograms[at].metric.labels().iter()));
            if found == histograms.len() {
                let metric = Metric::new(labels.filter(|name| name != BUCKET_LABEL)).dropping(true);
                histograms.push(Histogram { metric, buckets: Vec::new() });
            }
            histograms[found].buckets.push((upper, row));
        }
        for histogram in &mut histograms {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        histograms
    }

    fn note_quantiles(&mut self, quantiles: &[f64], at: Span) {
        for &q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.notes.add(Note::InvalidQuantile(q), at);
        }
    }

    pub(super) fn histogram_quantile(&mut self, args: &[Expr], grid: &Grid) -> Result<Rows, Error> {
        let quantiles = self.scalar(&args[0], grid)?;
        let rows = self.rows(&args[1], grid)?;
        self.note_quantiles(&quantiles, args[0].span);
        let mut out = Rows::new(grid.steps);
        let mut buckets = Vec::new();
        for histogram in self.histograms(&rows, args[1].span) {
            out.push_with::<Error>(histogram.metric.clone(), |values| {
                for (step, &q) in quantiles.iter().enumerate() {
                    collect(&histogram, &rows, step, &mut buckets);
                    let (value, forced) = quantile(q, &mut buckets, grid.time(step));
                    values.push(value);
                    if let Some(forced) = forced {
                        let name = histogram.metric.labels().name().to_owned();
                        self.notes.add(Note::ForcedMonotonicity(name, forced), args[1].span);
                    }
                }
                Ok(())
            })?;
        }
        Ok(out)
    }

    pub(super) fn histogram_quantiles(&mut self, args: &[Expr], grid: &Grid) -> Result<Rows, Error> {
        let rows = self.rows(&args[0], grid)?;
        let label = String::from_utf8_lossy(super::labels_fn::text(&args[1])).into_owned();
        let histograms = self.histograms(&rows, args[0].span);
        let mut out = Rows::new(grid.steps);
        let mut buckets = Vec::new();
        for arg in &args[2..] {
            let quantiles = self.scalar(arg, grid)?;
            self.note_quantiles(&quantiles, arg.span);
            let mut distinct = quantiles.clone();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup_by_key(|q| q.to_bits());
            for histogram in &histograms {
                for &q in &distinct {
                    let labels = histogram.metric.labels().with(&label, &open_metrics(q));
                    out.push_with::<Error>(Metric::new(labels).dropping(true), |values| {
                        for (step, &at_step) in quantiles.iter().enumerate() {
                            if at_step.to_bits() != q.to_bits() {
                                values.push(ABSENT);
                                continue;
                            }
                            collect(histogram, &rows, step, &mut buckets);
                            let (value, forced) = quantile(q, &mut buckets, grid.time(step));
                            values.push(value);
                            if let Some(forced) = forced {
                                let name = histogram.metric.labels().name().to_owned();
                                self.notes.add(Note::ForcedMonotonicity(name, forced), args[0].span);
                            }
                        }
                        Ok(())
                    })?;
                }
            }
        }
        Ok(out)
    }

    pub(super) fn histogram_fraction(&mut self, args: &[Expr], grid: &Grid) -> Result<Rows, Error> {
        let lower = self.scalar(&args[0], grid)?;
        let upper = self.scalar(&args[1], grid)?;
        let rows = self.rows(&args[2], grid)?;
        let mut out = Rows::new(grid.steps);
        let mut buckets = Vec::new();
        for histogram in self.histograms(&rows, args[2].span) {
            out.push_with::<Error>(histogram.metric.clone(), |values| {
                for (step, (&lower, &upper)) in lower.iter().zip(&upper).enumerate() {
                    collect(&histogram, &rows, step, &mut buckets);
                    values.push(fraction(lower, upper, &mut buckets));
                }
                Ok(())
            })?;
        }
        Ok(out)
    }
}

/// The buckets that have a value at a step; those of the same bound are joined.
#[allow(clippy::float_cmp)]
fn collect(histogram: &Histogram, rows: &Rows, step: usize, out: &mut Vec<Bucket>) {
    out.clear();
    for &(upper, row) in &histogram.buckets {
        let count = rows.row(row)[step];
        if !present(count) {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.upper == upper => last.count += count,
            _ => out.push(Bucket { upper, count }),
        }
    }
}

/// [`quantile`] for who has nobody to note to what had to be forced. The buckets are sorted by their bound.
pub(crate) fn bucket_quantile(q: f64, buckets: &mut [Bucket]) -> f64 {
    quantile(q, buckets, 0).0
}

/// A quantile by linear interpolation within a bucket, and what had to be forced for it.
///
/// The lowest bucket begins at 0 if its bound is positive; else, and in the highest one, the nearest bound is taken.
#[allow(clippy::float_cmp)]
fn quantile(q: f64, buckets: &mut [Bucket], time: i64) -> (f64, Option<Forced>) {
    let Some(last) = buckets.last() else { return (ABSENT, None) };
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if last.upper != f64::INFINITY {
        return (f64::NAN, None);
    }
    let forced = force_monotonic(buckets, time);
    let [.., before_last, last] = buckets else { return (f64::NAN, None) };
    let (highest, observations) = (before_last.upper, last.count);
    if observations == 0.0 || observations.is_nan() {
        return (f64::NAN, None);
    }
    let rank = q * observations;
    let at =
        buckets[..buckets.len() - 1].partition_point(|bucket| bucket.count < rank || bucket.count.is_nan());
    if at == buckets.len() - 1 {
        return (highest, forced);
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let below = if at > 0 { buckets[at - 1] } else { Bucket { upper: 0.0, count: 0.0 } };
    let Bucket { upper, count } = buckets[at];
    (below.upper + (upper - below.upper) * ((rank - below.count) / (count - below.count)), forced)
}

/// Removes decreases from one bucket to the next; those that are no rounding errors are reported.
#[allow(clippy::float_cmp)]
fn force_monotonic(buckets: &mut [Bucket], time: i64) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut before = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let here = Forced {
                times: (time, time),
                bounds: (bucket.upper, bucket.upper),
                most: before - bucket.count,
                count: 0,
            };
            forced = Some(forced.map_or(here, |forced| forced.join(here)));
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    forced.map(|forced| Forced { count: 1, ..forced })
}

fn almost_equal(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < INSIGNIFICANT * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < INSIGNIFICANT
}

/// The part of the observations between two bounds, by linear interpolation within buckets.
#[allow(clippy::float_cmp)]
fn fraction(lower: f64, upper: f64, buckets: &mut [Bucket]) -> f64 {
    let Some(last) = buckets.last() else { return ABSENT };
    if last.upper != f64::INFINITY {
        return f64::NAN;
    }
    let total = last.count;
    if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |bound: f64| {
        let mut below = 0.0;
        let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        for bucket in buckets.iter() {
            if start >= bound {
                return below;
            }
            if bucket.upper > bound {
                // Nothing is known of how observations lie in a bucket without a lower bound.
                return if start == f64::NEG_INFINITY {
                    bucket.count
                } else {
                    below + (bucket.count - below) * (bound - start) / (bucket.upper - start)
                };
            }
            below = bucket.count;
            start = bucket.upper;
        }
        total
    };
    (rank(upper).min(total) - rank(lower).min(total)) / total
}
