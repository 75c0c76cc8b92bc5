//! Binary operators.

use super::rows::{ABSENT, Index, Metric, Rows, present};
use super::{Error, execution};
use crate::query::labels::{Labels, METRIC_NAME};
use crate::query::promql::ast::{Binary, BinaryOp, Many, Matching};

/// A number of two; comparisons give 1 or 0.
pub(super) fn scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    op.arithmetic(left, right).unwrap_or_else(|| f64::from(u8::from(holds(op, left, right))))
}

#[allow(clippy::float_cmp)]
fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Lt => left < right,
        BinaryOp::Le => left <= right,
        BinaryOp::Gt => left > right,
        BinaryOp::Ge => left >= right,
        _ => false,
    }
}

/// The value of two, of which a comparison without `bool` keeps or drops `kept`.
#[inline]
fn element(binary: &Binary, left: f64, right: f64, kept: f64) -> f64 {
    if binary.op.is_comparison() && !binary.bool {
        return if holds(binary.op, left, right) { kept } else { ABSENT };
    }
    scalars(binary.op, left, right)
}

/// A vector and a scalar; `scalar_left` says on which side it stands.
pub(super) fn with_scalar(binary: &Binary, mut rows: Rows, scalar: &[f64], scalar_left: bool) -> Rows {
    for row in rows.values.chunks_exact_mut(rows.steps) {
        for (value, &scalar) in row.iter_mut().zip(scalar) {
            if present(*value) {
                let (left, right) = if scalar_left { (scalar, *value) } else { (*value, scalar) };
                *value = element(binary, left, right, *value);
            }
        }
    }
    if binary.bool || !binary.op.is_comparison() {
        rows.metrics.iter_mut().for_each(Metric::drop_name);
    }
    rows
}

/// Those labels of a series by which it finds its match.
fn match_labels<'l>(matching: &Matching, labels: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> {
    labels.iter().filter(|(name, _)| keeps(matching, name))
}

fn keeps(matching: &Matching, name: &str) -> bool {
    let named = matching.labels.iter().any(|label| **label == *name);
    if matching.on { named } else { !named && name != METRIC_NAME }
}

/// For each row of both sides the number of its match, and how many matches there are.
fn matches(matching: &Matching, left: &Rows, right: &Rows) -> (Vec<usize>, Vec<usize>, usize) {
    let mut index = Index::with_capacity(left.len().max(right.len()));
    let mut firsts: Vec<&Labels> = Vec::new();
    let number = |metric: &'_ Metric, firsts: &[&Labels], index: &mut Index| {
        let hash = index.hash(match_labels(matching, metric.labels()));
        index.find_or_add(hash, |at| {
            match_labels(matching, metric.labels()).eq(match_labels(matching, firsts[at]))
        })
    };
    let mut numbers = [Vec::with_capacity(left.len()), Vec::with_capacity(right.len())];
    for (side, rows) in [left, right].into_iter().enumerate() {
        for metric in &rows.metrics {
            let at = number(metric, &firsts, &mut index);
            if at == firsts.len() {
                firsts.push(metric.labels());
            }
            numbers[side].push(at);
        }
    }
    let [left, right] = numbers;
    (left, right, firsts.len())
}

/// The rows of each match.
fn by_match(numbers: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); count];
    for (row, &number) in numbers.iter().enumerate() {
        rows[number].push(row);
    }
    rows
}

/// `and`, `or`, `unless`.
pub(super) fn sets(binary: &Binary, mut left: Rows, mut right: Rows) -> Rows {
    let steps = left.steps;
    let (left_match, right_match, count) = matches(&binary.matching, &left, &right);
    // Which matches have a value, at which steps.
    let (decides, decides_match) =
        if binary.op == BinaryOp::Or { (&left, &left_match) } else { (&right, &right_match) };
    let mut found = vec![false; count * steps];
    for ((_, values), &number) in decides.iter().zip(decides_match) {
        for (found, &value) in found[number * steps..][..steps].iter_mut().zip(values) {
            *found |= present(value);
        }
    }
    let (judged, judged_match) =
        if binary.op == BinaryOp::Or { (&mut right, &right_match) } else { (&mut left, &left_match) };
    let wanted = binary.op == BinaryOp::And;
    for (row, &number) in judged.values.chunks_exact_mut(steps).zip(judged_match) {
        for (value, &found) in row.iter_mut().zip(&found[number * steps..][..steps]) {
            if found != wanted {
                *value = ABSENT;
            }
        }
    }
    if binary.op == BinaryOp::Or {
        left.metrics.append(&mut right.metrics);
        left.values.append(&mut right.values);
    }
    left
}

/// How the two sides of a match are joined.
struct Sides<'a> {
    binary: &'a Binary,
    /// The side with several is the right one.
    swapped: bool,
}

impl Sides<'_> {
    fn value(&self, many: f64, one: f64) -> f64 {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        // A comparison keeps the left value.
        element(self.binary, left, right, left)
    }

    /// The labels of a result; what is missing on a side is stood in for by the labels of the match.
    fn metric(&self, many: Option<&Metric>, one: Option<&Metric>) -> Metric {
        let matching = &self.binary.matching;
        let drops_name = !self.binary.op.is_comparison();
        let stand_in;
        let base = match (many, one) {
            (Some(metric), _) => metric.labels(),
            (None, Some(metric)) => {
                stand_in = metric.labels().filter(|name| keeps(matching, name));
                &stand_in
            }
            (None, None) => return Metric::new(Labels::empty()),
        };
        let one_to_one = matching.many == Many::Neither;
        let named = |name: &str| matching.labels.iter().any(|label| **label == *name);
        let mut labels = base.filter(|name| {
            let dropped = drops_name && name == METRIC_NAME;
            let unmatched = one_to_one && (if matching.on { !named(name) } else { named(name) });
            !dropped && !unmatched
        });
        for name in &matching.include {
            let value = match one {
                Some(metric) => metric.labels().get(name),
                None => base.get(name).filter(|_| keeps(matching, name)),
            };
            labels = labels.with(name, value.unwrap_or(""));
        }
        let unnamed = self.binary.bool || many.is_some_and(Metric::drops_name);
        Metric::new(labels).dropping(unnamed)
    }
}

/// Arithmetic and comparison of two vectors.
pub(super) fn vectors(binary: &Binary, left: Rows, right: Rows) -> Result<Rows, Error> {
    let matching = &binary.matching;
    let swapped = matching.many == Many::Right;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let (fill_many, fill_one) = if swapped { (matching.fill.1, matching.fill.0) } else { matching.fill };
    let steps = many.steps;
    let mut out = Rows::new(steps);
    if (many.len() == 0 && fill_many.is_none()) || (one.len() == 0 && fill_one.is_none()) {
        return Ok(out);
    }
    let (many_match, one_match, count) = matches(matching, &many, &one);
    let one_rows = by_match(&one_match, count);
    unique_side(matching, &many, &one, &one_rows)?;
    let sides = Sides { binary, swapped };
    let many_rows = by_match(&many_match, count);
    let mut made: Vec<usize> = Vec::new();
    let mut index = Index::default();
    for number in 0..count {
        let first = out.len();
        for &row in &many_rows[number] {
            for &other in &one_rows[number] {
                let metric = sides.metric(Some(&many.metrics[row]), Some(&one.metrics[other]));
                let pairs = many.row(row).iter().zip(one.row(other));
                out.push_with::<Error>(metric, |values| {
                    values.extend(
                        pairs.map(
                            |(&a, &b)| {
                                if present(a) && present(b) { sides.value(a, b) } else { ABSENT }
                            },
                        ),
                    );
                    Ok(())
                })?;
            }
            if let Some(fill) = fill_one {
                let metric = sides.metric(Some(&many.metrics[row]), None);
                let lonely = |step: usize| one_rows[number].iter().all(|&r| !present(one.row(r)[step]));
                out.push_with::<Error>(metric, |values| {
                    values.extend(many.row(row).iter().enumerate().map(|(step, &value)| {
                        if present(value) && lonely(step) { sides.value(value, fill) } else { ABSENT }
                    }));
                    Ok(())
                })?;
            }
        }
        if let Some(fill) = fill_many {
            for &other in &one_rows[number] {
                let metric = sides.metric(None, Some(&one.metrics[other]));
                let lonely = |step: usize| many_rows[number].iter().all(|&r| !present(many.row(r)[step]));
                out.push_with::<Error>(metric, |values| {
                    values.extend(one.row(other).iter().enumerate().map(|(step, &value)| {
                        if present(value) && lonely(step) { sides.value(fill, value) } else { ABSENT }
                    }));
                    Ok(())
                })?;
            }
        }
        if out.len() > first + 1 {
            made.extend(first..out.len());
            unique_results(matching, &out, first, &mut index, &mut made)?;
        }
    }
    Ok(out)
}

/// At no step may a match have two series on the side of one; unless the other side is empty, when nothing is matched.
fn unique_side(matching: &Matching, many: &Rows, one: &Rows, by_match: &[Vec<usize>]) -> Result<(), Error> {
    for rows in by_match.iter().filter(|rows| rows.len() > 1) {
        for step in 0..one.steps {
            let mut found = rows.iter().filter(|&&row| present(one.row(row)[step]));
            let (Some(&first), Some(&second)) = (found.next(), found.next()) else { continue };
            if !(0..many.len()).any(|row| present(many.row(row)[step])) {
                continue;
            }
            let (first, second) = (one.metrics[first].labels(), one.metrics[second].labels());
            let group = first.filter(|name| keeps(matching, name));
            let side = if matching.many == Many::Right { "left" } else { "right" };
            return execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
                 [{second}, {first}];many-to-many matching not allowed: matching labels must be unique on one side"
            ));
        }
    }
    Ok(())
}

/// At no step may a match give two results, or with `group_left` and `group_right` two of the same labels.
fn unique_results(
    matching: &Matching,
    out: &Rows,
    first: usize,
    index: &mut Index,
    made: &mut Vec<usize>,
) -> Result<(), Error> {
    *index = Index::with_capacity(made.len());
    let mut taken: Vec<(usize, Vec<bool>)> = Vec::new();
    for &row in made.iter() {
        let labels = out.metrics[row].labels();
        let (hash, grouped) = match matching.many {
            Many::Neither => (0, false),
            _ => (index.hash(labels.iter()), true),
        };
        let at = index.find_or_add(hash, |at| !grouped || out.metrics[taken[at].0].labels() == labels);
        if at == taken.len() {
            taken.push((row, vec![false; out.steps]));
        }
        for (taken, &value) in taken[at].1.iter_mut().zip(out.row(row)) {
            if !present(value) {
                continue;
            }
            if *taken {
                return execution(if grouped {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                } else {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                });
            }
            *taken = true;
        }
    }
    debug_assert!(made.first() == Some(&first));
    made.clear();
    Ok(())
}
