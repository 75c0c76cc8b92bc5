//! Aggregation operators.

use std::sync::Arc;

use super::evaluator::{Evaluator, Grid};
use super::kahan::{Mean, Sum};
use super::notes::Note;
use super::range_fn::quantile;
use super::rows::{ABSENT, Index, Metric, Rows, present};
use super::{Error, execution};
use crate::query::labels::{Labels, METRIC_NAME};
use crate::query::number::{plain, quoted_bytes};
use crate::query::promql::ast::{Aggregate, AggregateOp};

/// The labels of `by` or `without`.
struct Grouping<'a> {
    without: bool,
    /// Sorted.
    labels: &'a [Arc<str>],
}

impl Grouping<'_> {
    fn keeps(&self, name: &str) -> bool {
        let named = self.labels.iter().any(|label| **label == *name);
        if self.without { !named && name != METRIC_NAME } else { named }
    }

    fn of<'l>(&self, labels: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> {
        labels.iter().filter(|(name, _)| self.keeps(name))
    }
}

/// The groups of rows.
struct Groups {
    metrics: Vec<Metric>,
    /// The group of each row.
    of: Vec<usize>,
}

impl Groups {
    fn new(rows: &Rows, grouping: &Grouping<'_>) -> Self {
        let mut index = Index::with_capacity(16);
        let mut metrics: Vec<Metric> = Vec::new();
        let mut of = Vec::with_capacity(rows.len());
        for metric in &rows.metrics {
            let labels = metric.labels();
            let hash = index.hash(grouping.of(labels));
            let group =
                index.find_or_add(hash, |group| grouping.of(labels).eq(metrics[group].labels().iter()));
            if group == metrics.len() {
                metrics.push(Metric::new(labels.filter(|name| grouping.keeps(name))));
            }
            if metric.drops_name() {
                metrics[group].drop_name();
            }
            of.push(group);
        }
        Groups { metrics, of }
    }

    /// The rows of each group, in their order.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.metrics.len()];
        for (row, &group) in self.of.iter().enumerate() {
            members[group].push(row);
        }
        members
    }
}

/// What takes the values of a group at one step.
trait Accumulate: Clone {
    /// Of the first value.
    fn start(value: f64) -> Self;
    fn add(&mut self, value: f64);
    fn finish(&self) -> f64;
}

impl Accumulate for Sum {
    fn start(value: f64) -> Self {
        Sum { sum: value, rest: 0.0 }
    }

    fn add(&mut self, value: f64) {
        Sum::add(self, value);
    }

    fn finish(&self) -> f64 {
        self.value()
    }
}

impl Accumulate for Mean {
    fn start(value: f64) -> Self {
        let mut mean = Mean::default();
        mean.add(value);
        mean
    }

    fn add(&mut self, value: f64) {
        Mean::add(self, value);
    }

    fn finish(&self) -> f64 {
        self.value()
    }
}

#[derive(Clone)]
struct Count(f64);

impl Accumulate for Count {
    fn start(_: f64) -> Self {
        Count(1.0)
    }

    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }

    fn finish(&self) -> f64 {
        self.0
    }
}

#[derive(Clone)]
struct One;

impl Accumulate for One {
    fn start(_: f64) -> Self {
        One
    }

    fn add(&mut self, _: f64) {}

    fn finish(&self) -> f64 {
        1.0
    }
}

/// The smallest or the largest value; NaN only if there is no other.
#[derive(Clone)]
struct Extreme<const LARGEST: bool>(f64);

impl<const LARGEST: bool> Accumulate for Extreme<LARGEST> {
    fn start(value: f64) -> Self {
        Extreme(value)
    }

    fn add(&mut self, value: f64) {
        let wins = if LARGEST { value > self.0 } else { value < self.0 };
        if wins || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn finish(&self) -> f64 {
        self.0
    }
}

/// Variance or standard deviation (Welford's), which is NaN as soon as a value is not finite.
#[derive(Clone)]
struct Spread<const ROOT: bool> {
    count: f64,
    mean: f64,
    squares: f64,
}

impl<const ROOT: bool> Accumulate for Spread<ROOT> {
    fn start(value: f64) -> Self {
        Spread { count: 1.0, mean: value, squares: if value.is_finite() { 0.0 } else { f64::NAN } }
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn finish(&self) -> f64 {
        let variance = self.squares / self.count;
        if ROOT { variance.sqrt() } else { variance }
    }
}

fn fold<A: Accumulate>(rows: &Rows, groups: Groups) -> Rows {
    let steps = rows.steps;
    let mut states: Vec<Option<A>> = vec![None; groups.metrics.len() * steps];
    for (row, &group) in groups.of.iter().enumerate() {
        for (state, &value) in states[group * steps..][..steps].iter_mut().zip(rows.row(row)) {
            if present(value) {
                match state {
                    Some(state) => state.add(value),
                    None => *state = Some(A::start(value)),
                }
            }
        }
    }
    let values = states.iter().map(|state| state.as_ref().map_or(ABSENT, A::finish)).collect();
    Rows { steps, metrics: groups.metrics, values }
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: &Grid) -> Result<Rows, Error> {
        use AggregateOp as Op;
        let op = aggregate.op;
        let grouping = Grouping { without: aggregate.without, labels: &aggregate.labels };
        let param = match &aggregate.param {
            Some(param) if op != Op::CountValues => self.scalar(param, grid)?,
            _ => Vec::new(),
        };
        let rows = self.rows(&aggregate.expr, grid)?;
        match op {
            Op::Topk | Op::Bottomk | Op::Limitk => {
                let counts = counts(&param)?;
                let groups = Groups::new(&rows, &grouping);
                return Ok(match op {
                    Op::Topk => ranked(&rows, &groups, &counts, true),
                    Op::Bottomk => ranked(&rows, &groups, &counts, false),
                    _ => first(&rows, &groups, &counts),
                });
            }
            Op::LimitRatio => return self.sampled(rows, &param, aggregate),
            Op::CountValues => return self.count_values(&rows, aggregate),
            _ => {}
        }
        let groups = Groups::new(&rows, &grouping);
        Ok(match op {
            Op::Sum => fold::<Sum>(&rows, groups),
            Op::Avg => fold::<Mean>(&rows, groups),
            Op::Count => fold::<Count>(&rows, groups),
            Op::Group => fold::<One>(&rows, groups),
            Op::Min => fold::<Extreme<false>>(&rows, groups),
            Op::Max => fold::<Extreme<true>>(&rows, groups),
            Op::Stdvar => fold::<Spread<false>>(&rows, groups),
            Op::Stddev => fold::<Spread<true>>(&rows, groups),
            _ => {
                if let Some(at) = aggregate.param.as_ref().map(|param| param.span) {
                    for &q in param.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                        self.notes.add(Note::InvalidQuantile(q), at);
                    }
                }
                quantiles(&rows, groups, &param)
            }
        })
    }

    fn count_values(&mut self, rows: &Rows, aggregate: &Aggregate) -> Result<Rows, Error> {
        let bytes = aggregate.param.as_ref().map_or(&[][..], super::labels_fn::text);
        let label = match std::str::from_utf8(bytes) {
            Ok(label) if !label.is_empty() => label,
            _ => return execution(format!("invalid label name {}", quoted_bytes(bytes))),
        };
        // The value becomes a label of the series, by which it is then grouped.
        let mut named = aggregate.labels.clone();
        if !aggregate.without {
            named.push(label.into());
        }
        let grouping = Grouping { without: aggregate.without, labels: &named };
        let mut index = Index::default();
        let mut out = Rows::new(rows.steps);
        for (metric, values) in rows.iter() {
            let mut last: Option<(u64, usize)> = None; // bits of a value and where it is counted
            for (step, &value) in values.iter().enumerate().filter(|&(_, &value)| present(value)) {
                let at = match last {
                    Some((bits, at)) if bits == value.to_bits() => at,
                    _ => {
                        let labels = metric.labels().with(label, &plain(value));
                        let labels = labels.filter(|name| grouping.keeps(name));
                        let hash = index.hash(labels.iter());
                        let at = index.find_or_add(hash, |at| *out.metrics[at].labels() == labels);
                        if at == out.len() {
                            self.charge(rows.steps)?;
                            out.push(Metric::new(labels), &vec![ABSENT; rows.steps]);
                        }
                        if metric.drops_name() {
                            out.metrics[at].drop_name();
                        }
                        last = Some((value.to_bits(), at));
                        at
                    }
                };
                let count = &mut out.values[at * rows.steps + step];
                *count = if present(*count) { *count + 1.0 } else { 1.0 };
            }
        }
        Ok(out)
    }

    /// `limit_ratio`: series whose hash lies below the ratio, or for a negative one above its complement, so that a
    /// ratio and its complement take each series once.
    #[allow(clippy::cast_precision_loss)]
    fn sampled(&mut self, mut rows: Rows, ratios: &[f64], aggregate: &Aggregate) -> Result<Rows, Error> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return execution("Ratio value is NaN");
        }
        let at = aggregate.param.as_ref().map(|param| param.span).unwrap_or_default();
        for &ratio in ratios.iter().filter(|ratio| ratio.abs() > 1.0) {
            self.notes.add(Note::InvalidRatio(ratio, ratio.signum()), at);
        }
        let steps = rows.steps;
        for (metric, row) in rows.metrics.iter().zip(rows.values.chunks_exact_mut(steps)) {
            let mut hasher = DefaultHasher::new(); // its keys are fixed, so the choice is the same each time
            metric.labels().hash(&mut hasher);
            let place = hasher.finish() as f64 / u64::MAX as f64;
            for (value, ratio) in row.iter_mut().zip(ratios) {
                let ratio = ratio.clamp(-1.0, 1.0);
                let taken = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
                if !taken {
                    *value = ABSENT;
                }
            }
        }
        Ok(rows)
    }
}

/// The `k` of each step.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn counts(param: &[f64]) -> Result<Vec<usize>, Error> {
    let count = |&k: &f64| {
        if k.is_nan() {
            return execution("Parameter value is NaN");
        }
        if !(i64::MIN as f64..i64::MAX as f64).contains(&k) {
            return execution(format!("Scalar value {} overflows int64", crate::query::number::general(k)));
        }
        Ok(k.max(0.0) as usize)
    };
    param.iter().map(count).collect()
}

/// The `k` best values of a group at one step, the worst on top.
///
/// A heap that works like Go's `container/heap`, so that of equal values the same ones stay as in Prometheus. NaN is worse
/// than every value, and than another NaN.
struct Ranking {
    entries: Vec<(f64, usize)>,
    largest: bool,
}

impl Ranking {
    fn worse(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.entries[a].0, self.entries[b].0);
        a.is_nan() || (if self.largest { a < b } else { a > b })
    }

    fn offer(&mut self, value: f64, row: usize, count: usize) {
        if self.entries.len() < count {
            self.entries.push((value, row));
            self.up();
            return;
        }
        let Some(&(worst, _)) = self.entries.first() else { return };
        let better = if self.largest { worst < value } else { worst > value };
        if better || (worst.is_nan() && !value.is_nan()) {
            self.entries[0] = (value, row);
            self.down();
        }
    }

    fn up(&mut self) {
        let mut at = self.entries.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.worse(at, parent) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    fn down(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.entries.len() {
                break;
            }
            let child = if right < self.entries.len() && self.worse(right, left) { right } else { left };
            if !self.worse(child, at) {
                break;
            }
            self.entries.swap(at, child);
            at = child;
        }
    }
}

/// `topk` and `bottomk`. With one step the result is in the order of the ranks.
fn ranked(rows: &Rows, groups: &Groups, counts: &[usize], largest: bool) -> Rows {
    let steps = rows.steps;
    let mut values = vec![ABSENT; rows.values.len()];
    let mut order = Vec::new();
    let mut ranking = Ranking { entries: Vec::new(), largest };
    for members in groups.members() {
        for (step, &count) in counts.iter().enumerate() {
            ranking.entries.clear();
            for &row in &members {
                let value = rows.row(row)[step];
                if present(value) {
                    ranking.offer(value, row, count);
                }
            }
            ranking.entries.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
                (false, false) if largest => b.0.total_cmp(&a.0),
                (false, false) => a.0.total_cmp(&b.0),
                (a, b) => a.cmp(&b),
            });
            for &(value, row) in &ranking.entries {
                values[row * steps + step] = value;
                order.push(row);
            }
        }
    }
    if steps > 1 {
        order.sort_unstable();
        order.dedup();
    }
    picked(rows, &values, &order)
}

/// `limitk`: the first of each group.
fn first(rows: &Rows, groups: &Groups, counts: &[usize]) -> Rows {
    let steps = rows.steps;
    let mut values = vec![ABSENT; rows.values.len()];
    for members in groups.members() {
        for (step, &count) in counts.iter().enumerate() {
            let found = members.iter().filter(|&&row| present(rows.row(row)[step]));
            for &row in found.take(count) {
                values[row * steps + step] = rows.row(row)[step];
            }
        }
    }
    picked(rows, &values, &(0..rows.len()).collect::<Vec<_>>())
}

fn picked(rows: &Rows, values: &[f64], order: &[usize]) -> Rows {
    let mut out = Rows::new(rows.steps);
    for &row in order {
        out.push(rows.metrics[row].clone(), &values[row * rows.steps..][..rows.steps]);
    }
    out
}

fn quantiles(rows: &Rows, groups: Groups, param: &[f64]) -> Rows {
    let mut out = Rows::new(rows.steps);
    let mut scratch = Vec::new();
    let members = groups.members();
    for (metric, members) in groups.metrics.into_iter().zip(members) {
        out.metrics.push(metric);
        for (step, &q) in param.iter().enumerate() {
            scratch.clear();
            scratch.extend(members.iter().map(|&row| rows.row(row)[step]).filter(|&value| present(value)));
            let none = scratch.is_empty();
            out.values.push(if none { ABSENT } else { quantile(q, &mut scratch) });
        }
    }
    out
}
