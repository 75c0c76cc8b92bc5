//! Where samples come from: the seam between the evaluator and what keeps the history.
//!
//! A [`Source`] answers a selection with [`Series`]: labels, and a handle that reads the samples when they are wanted.
//! The evaluator works series by series and reads each one into a buffer that it uses again, so a source may
//! keep its samples compressed and need never hold a whole selection decoded.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::labels::Labels;
use crate::series::selector::Matcher;

/// The bits of Prometheus' stale marker, a NaN that says that a series has ended.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// Is it the stale marker? Other NaNs are values.
#[must_use]
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN
}

/// The stale marker as a value.
#[must_use]
pub fn stale() -> f64 {
    f64::from_bits(STALE_NAN)
}

/// One sample: milliseconds since the epoch, and the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Time in milliseconds.
    pub t: i64,
    /// Value, or the stale marker.
    pub v: f64,
}

/// Why a source could not answer. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// What somebody who has read a series before must know of it to read only what has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Names the series within its source, and not another one after it.
    pub series: u64,
    /// Counts how often samples came elsewhere than at the end.
    pub rewritten: u64,
    /// Time of the oldest sample: what was before it has been dropped. The greatest time if there is none.
    pub first: i64,
}

/// The samples of one series, as they were when it was selected.
pub trait Samples: Send + Sync {
    /// Appends the samples with `start <= t <= end` (milliseconds), ascending in time, each time once, stale
    /// markers among them.
    ///
    /// # Errors
    /// The samples cannot be read, such as a chunk that is corrupt.
    fn read(&self, start: i64, end: i64, out: &mut Vec<Sample>) -> Result<(), SourceError>;

    /// The last of these samples. Most queries are for one time and want no more; who can find it without reading all
    /// should.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn last(&self, start: i64, end: i64) -> Result<Option<Sample>, SourceError> {
        let mut samples = Vec::new();
        self.read(start, end, &mut samples)?;
        Ok(samples.pop())
    }

    /// See [`State`]; `None` where the source does not keep account of it, and all must be read each time.
    fn state(&self) -> Option<State> {
        None
    }
}

/// One series of an answer.
#[derive(Clone)]
pub struct Series {
    /// Its labels; no two series of an answer have the same.
    pub labels: Labels,
    /// Its samples.
    pub samples: Arc<dyn Samples>,
}

/// What a series is found by and read from.
pub trait Source: Sync {
    /// The series that satisfy all `matchers`, in a stable order. Those without a sample between `start` and `end`
    /// (milliseconds, both included) may be left out. With more than `limit` series the answer may end early, at
    /// `limit + 1`: the caller then refuses the query.
    ///
    /// # Errors
    /// The series cannot be found or read.
    fn select(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        limit: usize,
    ) -> Result<Vec<Series>, SourceError>;

    /// The names of the labels of the series that satisfy all `matchers`, without any of all series, and reach into
    /// the range; sorted, each once. Who has an index of labels should look there.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn label_names(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Arc<str>>, SourceError> {
        let found = self.select(matchers, start, end, usize::MAX)?;
        let names = found.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name));
        Ok(sorted(names))
    }

    /// The values of a label, as [`Self::label_names`].
    ///
    /// # Errors
    /// As [`Self::select`].
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        start: i64,
        end: i64,
    ) -> Result<Vec<Arc<str>>, SourceError> {
        let found = self.select(matchers, start, end, usize::MAX)?;
        Ok(sorted(found.iter().filter_map(|series| series.labels.get(name))))
    }

    /// Time of the oldest sample, in milliseconds; `None` without samples, or when it is not known.
    fn oldest(&self) -> Option<i64> {
        None
    }
}

/// Texts in order, each once.
fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let texts: BTreeSet<&str> = texts.collect();
    texts.into_iter().map(Arc::from).collect()
}

/// A source in memory, for tests and benchmarks.
#[derive(Debug, Default)]
pub struct MemorySource {
    series: Vec<(Labels, Arc<Points>)>,
    index: std::collections::HashMap<Labels, usize>,
}

/// Samples in ascending time.
#[derive(Clone, Debug, Default)]
struct Points(Vec<Sample>);

impl Samples for Points {
    fn read(&self, start: i64, end: i64, out: &mut Vec<Sample>) -> Result<(), SourceError> {
        let from = self.0.partition_point(|sample| sample.t < start);
        let to = self.0.partition_point(|sample| sample.t <= end);
        out.extend_from_slice(&self.0[from..to.max(from)]);
        Ok(())
    }

    fn last(&self, start: i64, end: i64) -> Result<Option<Sample>, SourceError> {
        let to = self.0.partition_point(|sample| sample.t <= end);
        Ok(self.0[..to].last().copied().filter(|sample| sample.t >= start))
    }
}

impl MemorySource {
    /// Adds a sample. One of the same series and time replaces it.
    pub fn add(&mut self, labels: &Labels, sample: Sample) {
        let at = *self.index.entry(labels.clone()).or_insert_with(|| {
            self.series.push((labels.clone(), Arc::default()));
            self.series.len() - 1
        });
        let points = &mut Arc::make_mut(&mut self.series[at].1).0;
        match points.last() {
            Some(last) if last.t >= sample.t => match points.binary_search_by_key(&sample.t, |point| point.t)
            {
                Ok(at) => points[at] = sample,
                Err(at) => points.insert(at, sample),
            },
            _ => points.push(sample),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = MemorySource::default();
    }

    /// How many series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// No series?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

impl Source for MemorySource {
    fn select(&self, matchers: &[Matcher], _: i64, _: i64, limit: usize) -> Result<Vec<Series>, SourceError> {
        let matches = |labels: &Labels| {
            matchers.iter().all(|matcher| matcher.accepts(labels.get(matcher.label()).unwrap_or("")))
        };
        let found = self.series.iter().filter(|(labels, _)| matches(labels));
        Ok(found
            .take(limit.saturating_add(1))
            .map(|(labels, points)| Series { labels: labels.clone(), samples: points.clone() })
            .collect())
    }
}
