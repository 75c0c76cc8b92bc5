//! Histograms: classic buckets, native ones, or both.
//!
//! A classic histogram is ours, because prometheus-client's takes a lock for each observation; a native one is
//! prometheus-client's, whose buckets can be read only through its protobuf encoder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::prometheus_protobuf::{self, prometheus_data_model as proto};
use prometheus_client::metrics::counter::Atomic;
use prometheus_client::metrics::histogram;

use super::counter::positive;
use super::error::ValueError;
use super::instrument::{Instrument, Lines, Refused, bound_text};
use crate::series::{Kind, NO_TIME, NativeHistogram};

/// Most classic buckets of a histogram, `+Inf` not counted. Each is a series.
pub const MAX_BUCKETS: usize = 500;
/// Most native buckets, as client_golang advises; beyond it the resolution is halved.
const MAX_NATIVE_BUCKETS: usize = 160;

/// The buckets of a histogram: checked when made, fixed from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    bounds: Arc<Bounds>,
    /// Growth factor of native buckets.
    native: Option<f64>,
}

#[derive(Debug, PartialEq)]
struct Bounds {
    upper: Box<[f64]>,
    /// `le` of each bound and of `+Inf`.
    texts: Box<[Box<str>]>,
}

/// Why buckets were refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BucketError {
    /// A classic histogram needs a bound besides `+Inf`.
    #[error("no bucket")]
    Empty,
    /// More than [`MAX_BUCKETS`].
    #[error("{0} buckets, more than {MAX_BUCKETS}")]
    TooMany(usize),
    /// A bound is NaN or infinite; the `+Inf` bucket is always there.
    #[error("bucket bound {0} is not finite")]
    NotFinite(f64),
    /// A bound is not above the one before it.
    #[error("bucket bound {1} does not lie above {0}")]
    Order(f64, f64),
    /// The growth factor of native buckets lies in (1, 65536].
    #[error("growth factor {0} does not lie between 1 and 65536")]
    Factor(f64),
}

impl Buckets {
    /// Classic buckets with these upper bounds (inclusive), strictly increasing. `+Inf` is added. With a negative
    /// bound negative observations are taken, and the histogram has neither `_sum` nor `_count`, as OpenMetrics
    /// demands; the count is that of `le="+Inf"`.
    ///
    /// # Errors
    /// [`BucketError`].
    pub fn classic(bounds: impl IntoIterator<Item = f64>) -> Result<Self, BucketError> {
        let upper: Box<[f64]> = bounds.into_iter().take(MAX_BUCKETS + 1).collect();
        if upper.is_empty() {
            return Err(BucketError::Empty);
        }
        if upper.len() > MAX_BUCKETS {
            return Err(BucketError::TooMany(upper.len()));
        }
        if let Some(&bad) = upper.iter().find(|bound| !bound.is_finite()) {
            return Err(BucketError::NotFinite(bad));
        }
        if let Some(pair) = upper.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(BucketError::Order(pair[0], pair[1]));
        }
        Ok(Buckets { bounds: Arc::new(Bounds::new(upper)), native: None })
    }

    /// `count` classic buckets: `start`, `start + width`, …
    ///
    /// # Errors
    /// [`BucketError`]; a width that is not positive gives [`BucketError::Order`].
    pub fn linear(start: f64, width: f64, count: u16) -> Result<Self, BucketError> {
        Self::classic((0..count).map(|i| start + width * f64::from(i)))
    }

    /// `count` classic buckets: `start`, `start * factor`, …
    ///
    /// # Errors
    /// [`BucketError`]; a factor that is not above 1 or a start that is not positive gives [`BucketError::Order`].
    pub fn exponential(start: f64, factor: f64, count: u16) -> Result<Self, BucketError> {
        Self::classic((0..count).map(|i| start * factor.powi(i32::from(i))))
    }

    /// The bounds client libraries use for seconds: 5 ms to 10 s in eleven steps.
    #[must_use]
    pub fn seconds() -> Self {
        let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Self::classic(bounds).expect("the bounds increase")
    }

    /// Native (sparse, exponential) buckets only: each at most `factor` times as wide as the one before; 1.1 is
    /// usual. At most 160 buckets; beyond them the resolution is halved. Text shows `_bucket{le="+Inf"}`, `_sum`
    /// and `_count`, as client_golang's does; the buckets go out in protobuf.
    ///
    /// # Errors
    /// [`BucketError::Factor`].
    pub fn native(factor: f64) -> Result<Self, BucketError> {
        if factor > 1.0 && factor <= 65_536.0 {
            Ok(Buckets { bounds: Arc::new(Bounds::new(Box::default())), native: Some(factor) })
        } else {
            Err(BucketError::Factor(factor))
        }
    }

    /// These classic buckets, and native ones beside them.
    ///
    /// # Errors
    /// [`BucketError::Factor`].
    pub fn and_native(self, factor: f64) -> Result<Self, BucketError> {
        Ok(Buckets { native: Self::native(factor)?.native, ..self })
    }
}

impl Bounds {
    fn new(upper: Box<[f64]>) -> Self {
        let texts = upper.iter().map(|bound| bound_text(*bound).into());
        let texts = texts.chain(std::iter::once("+Inf".into())).collect();
        Bounds { upper, texts }
    }

    fn signed(&self) -> bool {
        self.upper.first().is_some_and(|first| *first < 0.0)
    }
}

/// Counts observations by size. Classic buckets only: lock-free. With native buckets: a short lock.
///
/// ```
/// # use gaugecast::registry::{Buckets, Desc, Registry, Unit};
/// # let registry = Registry::new();
/// let desc = Desc::new("request_duration", "Time to answer").unit(Unit::Seconds);
/// let duration = registry.histogram(desc, Buckets::exponential(0.001, 2.0, 12)?)?;
/// duration.observe(0.003);
/// assert_eq!(duration.count(), 1); // request_duration_seconds_bucket{le="0.004"} 1, …
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    store: Store,
    refused: Refused,
}

#[derive(Clone, Debug)]
enum Store {
    Classic(Arc<Classic>),
    Native(Arc<Native>),
}

#[derive(Debug)]
struct Classic {
    bounds: Arc<Bounds>,
    signed: bool,
    /// Not cumulative; one more than bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

struct Native {
    bounds: Arc<Bounds>,
    signed: bool,
    metric: histogram::Histogram,
    count: AtomicU64,
    /// Holds nothing but the metric: what the protobuf encoder asks for.
    registry: prometheus_client::registry::Registry,
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metric.fmt(f)
    }
}

impl Histogram {
    /// Records an observation. What [`try_observe`](Self::try_observe) would refuse is counted in
    /// `gaugecast_registry_refused_total{reason}`, and said in the log in debug builds.
    #[inline]
    pub fn observe(&self, value: f64) {
        if let Err(error) = self.try_observe(value) {
            self.refused.count(error);
        }
    }

    /// Records a duration in seconds.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// Records the same observation several times, at the price of one where there are classic buckets only.
    pub fn observe_many(&self, value: f64, times: u64) {
        let observed = match &self.store {
            Store::Classic(classic) => classic.observe(value, times),
            Store::Native(native) => (0..times).try_for_each(|_| native.observe(value)),
        };
        if let Err(error) = observed {
            self.refused.count(error);
        }
    }

    /// Records an observation.
    ///
    /// # Errors
    /// `value` is NaN or infinite, or negative where no bucket bound is: the sum would be lost, or go down.
    #[inline]
    pub fn try_observe(&self, value: f64) -> Result<(), ValueError> {
        match &self.store {
            Store::Classic(classic) => classic.observe(value, 1),
            Store::Native(native) => native.observe(value),
        }
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.store {
            Store::Classic(classic) => classic.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum(),
            Store::Native(native) => native.count.load(Ordering::Relaxed),
        }
    }
}

#[inline]
fn acceptable(value: f64, signed: bool) -> Result<(), ValueError> {
    positive(if signed { value.abs() } else { value })
}

impl Classic {
    #[inline]
    fn observe(&self, value: f64, times: u64) -> Result<(), ValueError> {
        acceptable(value, self.signed)?;
        let at = self.bounds.upper.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(times, Ordering::Relaxed);
        Atomic::<f64>::inc_by(&self.sum, value * times as f64);
        Ok(())
    }

    /// The count is that of the last bucket, so that the lines of one page always agree; an observation that comes
    /// while they are written may be in the sum and not yet in the buckets.
    fn write(&self, lines: &mut Lines<'_>) {
        let mut total = 0;
        for (count, text) in self.counts.iter().zip(&self.bounds.texts) {
            total += count.load(Ordering::Relaxed);
            lines.labelled("_bucket", "le", text, whole(total));
        }
        if !self.signed {
            lines.float("_sum", f64::from_bits(self.sum.load(Ordering::Relaxed)));
            lines.whole("_count", total);
        }
    }
}

impl Native {
    fn new(bounds: &Arc<Bounds>, factor: f64) -> Self {
        let config =
            histogram::NativeHistogramConfig::with_bucket_factor(factor).max_buckets(MAX_NATIVE_BUCKETS);
        let metric = if bounds.upper.is_empty() {
            histogram::Histogram::new_native(config)
        } else {
            histogram::Histogram::new_classic_and_native(bounds.upper.iter().copied(), config)
        };
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("x", "", metric.clone());
        Native {
            bounds: Arc::clone(bounds),
            signed: bounds.signed(),
            metric,
            count: AtomicU64::new(0),
            registry,
        }
    }

    fn observe(&self, value: f64) -> Result<(), ValueError> {
        acceptable(value, self.signed)?;
        self.metric.observe(value);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, lines: &mut Lines<'_>) {
        // Fails only for a clock before 1970; then the histogram is left out of this page.
        let families = prometheus_protobuf::encode(&self.registry).unwrap_or_default();
        let metrics = families.into_iter().flat_map(|family| family.metric);
        for histogram in metrics.filter_map(|metric| metric.histogram) {
            let finite = histogram.bucket.iter().zip(&self.bounds.texts).take(self.bounds.upper.len());
            for (bucket, text) in finite {
                lines.labelled("_bucket", "le", text, whole(bucket.cumulative_count));
            }
            lines.labelled("_bucket", "le", "+Inf", whole(histogram.sample_count));
            if !self.signed {
                lines.float("_sum", histogram.sample_sum);
                lines.whole("_count", histogram.sample_count);
            }
            lines.native(native(histogram));
        }
    }
}

/// Counts above 2^53 lose their last digits, as they do in every reader of the exposition.
#[allow(clippy::cast_precision_loss)]
fn whole(count: u64) -> f64 {
    count as f64
}

/// Our form of a native histogram of the protobuf model.
pub(super) fn native(histogram: proto::Histogram) -> NativeHistogram {
    let spans =
        |spans: Vec<proto::BucketSpan>| spans.into_iter().map(|span| (span.offset, span.length)).collect();
    NativeHistogram {
        count: histogram.sample_count,
        sum: histogram.sample_sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count,
        negative_spans: spans(histogram.negative_span),
        negative_deltas: histogram.negative_delta,
        positive_spans: spans(histogram.positive_span),
        positive_deltas: histogram.positive_delta,
        created_ms: histogram
            .start_timestamp
            .map_or(NO_TIME, |time| time.seconds.saturating_mul(1000) + i64::from(time.nanos) / 1_000_000),
    }
}

impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;
    type Config = Buckets;

    fn create(config: &Buckets, refused: &Refused) -> Self {
        let store = match config.native {
            Some(factor) => Store::Native(Arc::new(Native::new(&config.bounds, factor))),
            None => Store::Classic(Arc::new(Classic {
                bounds: Arc::clone(&config.bounds),
                signed: config.bounds.signed(),
                counts: (0..=config.bounds.upper.len()).map(|_| AtomicU64::new(0)).collect(),
                sum: AtomicU64::new(0),
            })),
        };
        Histogram { store, refused: refused.clone() }
    }

    fn write(&self, lines: &mut Lines<'_>) {
        match &self.store {
            Store::Classic(classic) => classic.write(lines),
            Store::Native(native) => native.write(lines),
        }
    }

    fn activity(&self) -> u64 {
        self.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_finite_and_strictly_increasing() {
        assert_eq!(Buckets::classic([]), Err(BucketError::Empty));
        assert_eq!(Buckets::classic([1.0, 1.0]), Err(BucketError::Order(1.0, 1.0)));
        assert_eq!(Buckets::classic([1.0, f64::INFINITY]), Err(BucketError::NotFinite(f64::INFINITY)));
        assert!(matches!(Buckets::classic([f64::NAN]), Err(BucketError::NotFinite(_))));
        assert_eq!(Buckets::classic((0..501).map(f64::from)), Err(BucketError::TooMany(501)));
        assert!(matches!(Buckets::linear(1.0, 0.0, 2), Err(BucketError::Order(..))));
        assert!(matches!(Buckets::exponential(0.0, 2.0, 2), Err(BucketError::Order(..))));
        assert_eq!(Buckets::exponential(1.0, 2.0, 1100), Err(BucketError::TooMany(501)));
        for factor in [1.0, f64::NAN, 0.0, f64::INFINITY] {
            assert!(matches!(Buckets::native(factor), Err(BucketError::Factor(_))), "{factor}");
        }
        assert!(Buckets::native(1.000_001).is_ok() && Buckets::native(65_536.0).is_ok());
        let linear = Buckets::linear(0.5, 0.25, 3).expect("good");
        assert_eq!(*linear.bounds.upper, [0.5, 0.75, 1.0]);
        assert_eq!(linear.bounds.texts.join(" "), "0.5 0.75 1.0 +Inf");
    }
}
