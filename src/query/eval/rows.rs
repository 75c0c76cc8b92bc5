//! Intermediate results: series by steps.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::query::labels::{Labels, METRIC_NAME};
use crate::query::source::STALE_NAN;

/// Stands where a series has no value at a step. It has the bits of the stale marker, which is never a value, so a
/// marker that is read is absent by itself.
pub(super) const ABSENT: f64 = f64::from_bits(STALE_NAN);

/// Is there a value?
#[inline]
pub(super) fn present(value: f64) -> bool {
    value.to_bits() != STALE_NAN
}

/// The labels of a result. The metric name of most results is dropped, but only at the end, so that functions on the
/// way can still ask for it.
#[derive(Clone, Debug)]
pub struct Metric {
    labels: Labels,
    unnamed: bool,
}

impl Metric {
    pub(super) fn new(labels: Labels) -> Self {
        Metric { labels, unnamed: false }
    }

    /// Those labels that the result has.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().filter(|(name, _)| !(self.unnamed && *name == METRIC_NAME))
    }

    /// Those labels as a set of their own.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        if self.unnamed { self.labels.without_name() } else { self.labels.clone() }
    }

    /// The labels before the name is dropped.
    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn drops_name(&self) -> bool {
        self.unnamed
    }

    pub(super) fn drop_name(&mut self) {
        self.unnamed = true;
    }

    pub(super) fn dropping(mut self, unnamed: bool) -> Self {
        self.unnamed = unnamed;
        self
    }

    /// The order of results.
    #[must_use]
    pub fn compare(&self, other: &Metric) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

/// Series by steps, row after row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Steps, at least 1.
    pub(super) steps: usize,
    pub(super) metrics: Vec<Metric>,
    /// `steps` values for each metric.
    pub(super) values: Vec<f64>,
}

impl Rows {
    pub(super) fn new(steps: usize) -> Self {
        Rows { steps, ..Rows::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.metrics.len()
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..][..self.steps]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Metric, &[f64])> {
        self.metrics.iter().zip(self.values.chunks_exact(self.steps))
    }

    pub(super) fn push(&mut self, metric: Metric, values: &[f64]) {
        debug_assert_eq!(values.len(), self.steps);
        self.metrics.push(metric);
        self.values.extend_from_slice(values);
    }

    /// Keeps the row that `fill` appends to the values unless all of it is absent.
    pub(super) fn push_with<E>(
        &mut self,
        metric: Metric,
        fill: impl FnOnce(&mut Vec<f64>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let start = self.values.len();
        fill(&mut self.values)?;
        debug_assert_eq!(self.values.len(), start + self.steps);
        let any = self.values[start..].iter().any(|&value| present(value));
        if any {
            self.metrics.push(metric);
        } else {
            self.values.truncate(start);
        }
        Ok(any)
    }

    /// Applies `f` to every value and drops the metric names.
    pub(super) fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        for value in &mut self.values {
            if present(*value) {
                *value = f(*value);
            }
        }
        self.metrics.iter_mut().for_each(Metric::drop_name);
        self
    }

    /// Every row with its one step repeated.
    pub(super) fn broadcast(self, steps: usize) -> Self {
        debug_assert_eq!(self.steps, 1);
        let values = self.values.iter().flat_map(|&value| std::iter::repeat_n(value, steps)).collect();
        Rows { steps, metrics: self.metrics, values }
    }

    /// Rows of the same labels become one.
    ///
    /// With `final_names` metric names that are to be dropped count no more; else they do.
    ///
    /// # Errors
    /// Two of them have a value at the same step.
    pub(super) fn merge(self, final_names: bool) -> Result<Self, SameLabels> {
        let mut seen = Index::with_capacity(self.len());
        // The first row with the same labels.
        let mut target: Vec<usize> = Vec::with_capacity(self.len());
        let mut firsts: Vec<usize> = Vec::new();
        for (row, metric) in self.metrics.iter().enumerate() {
            let hash = if final_names { seen.hash(metric.iter()) } else { seen.hash_all(&metric.labels) };
            let at = seen.find_or_add(hash, |at| {
                let other = &self.metrics[firsts[at]];
                if final_names { metric.iter().eq(other.iter()) } else { metric.labels == other.labels }
            });
            if at == firsts.len() {
                firsts.push(row);
            }
            target.push(firsts[at]);
        }
        let merged = firsts.len() < self.len();
        if !merged {
            return Ok(self);
        }
        let mut out = Rows::new(self.steps);
        let mut place = vec![usize::MAX; self.len()];
        for (row, (metric, values)) in self.iter().enumerate() {
            if target[row] == row {
                place[row] = out.len();
                out.push(metric.clone(), values);
                continue;
            }
            let start = place[target[row]] * self.steps;
            for (kept, &value) in out.values[start..start + self.steps].iter_mut().zip(values) {
                if present(value) {
                    if present(*kept) {
                        return Err(SameLabels);
                    }
                    *kept = value;
                }
            }
        }
        Ok(out)
    }
}

/// Two series of one result have the same labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct SameLabels;

/// Numbers for label sets, from 0 in the order in which they come.
#[derive(Default)]
pub(super) struct Index {
    table: HashTable<(u64, usize)>,
    state: DefaultHashBuilder,
}

impl Index {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Index { table: HashTable::with_capacity(capacity), state: DefaultHashBuilder::default() }
    }

    /// A hash of some labels.
    pub(super) fn hash<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        let mut hasher = self.state.build_hasher();
        for (name, value) in labels {
            hasher.write(name.as_bytes());
            hasher.write(value.as_bytes());
        }
        hasher.finish()
    }

    /// A hash of all labels of a set; not the one of [`Self::hash`].
    pub(super) fn hash_all(&self, labels: &Labels) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(labels.as_bytes());
        hasher.finish()
    }

    /// The number of what has this hash and is `same`; the next number, if there is nothing.
    pub(super) fn find_or_add(&mut self, hash: u64, same: impl Fn(usize) -> bool) -> usize {
        if let Some(&(_, at)) = self.find(hash, same) {
            return at;
        }
        let at = self.table.len();
        self.table.insert_unique(hash, (hash, at), |&(hash, _)| hash);
        at
    }

    pub(super) fn find(&self, hash: u64, same: impl Fn(usize) -> bool) -> Option<&(u64, usize)> {
        self.table.find(hash, |&(found, at)| found == hash && same(at))
    }
}
