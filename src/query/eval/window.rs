//! Functions over a range of samples: a window that moves over each series.

use std::collections::VecDeque;

use super::evaluator::{Evaluator, Grid, Look};
use super::extended;
use super::notes::Note;
use super::range_fn::{RangeFn, Window};
use super::rows::{ABSENT, Metric, Rows, present};
use super::sliding::Bounds;
use super::{Error, Interrupt, Output, execution};
use crate::query::labels::Labels;
use crate::query::promql::ast::{Expr, Node, Reach, Selector, Subquery};
use crate::query::promql::functions::Function;
use crate::query::source::Sample;

/// The window as it is seen from a step: left-open, `range` long.
#[derive(Clone, Copy)]
struct Frame {
    look: Look,
    range: i64,
    /// Which samples next to the window it also has, and how far away these may be.
    reach: Reach,
    margins: (i64, i64),
}

impl Frame {
    fn plain(look: Look, range: i64) -> Self {
        Frame { look, range, reach: Reach::Plain, margins: (0, 0) }
    }
}

impl Evaluator<'_> {
    /// The samples of a range vector at one time.
    pub(super) fn raw(&mut self, expr: &Expr, grid: &Grid) -> Result<Output, Error> {
        let mut out = Vec::new();
        match &expr.node {
            Node::Range(selector, range) => {
                let frame = Frame::plain(self.look(&selector.at)?, self.duration(range, true)?);
                let to = frame.look.time(grid.start);
                let from = to.saturating_sub(frame.range).saturating_add(1);
                for series in self.select(&selector.matchers, from, to)? {
                    self.read_values(&series, from, to)?;
                    if !self.buffer.is_empty() {
                        out.push((Metric::new(series.labels), self.buffer.clone()));
                    }
                }
            }
            Node::Subquery(subquery) => {
                let (rows, inner) = self.subquery(subquery, grid)?;
                for (metric, values) in rows.iter() {
                    points(values, &inner, &mut self.buffer);
                    if !self.buffer.is_empty() {
                        out.push((metric.clone(), self.buffer.clone()));
                    }
                }
                drop_names(&mut out)?;
            }
            _ => return execution("expected a range vector"),
        }
        out.sort_by(|a, b| a.0.compare(&b.0));
        Ok(Output::Matrix(out))
    }

    /// The inner expression of a subquery, at multiples of its step.
    fn subquery(&mut self, subquery: &Subquery, grid: &Grid) -> Result<(Rows, Grid), Error> {
        let range = self.duration(&subquery.range, true)?;
        let look = self.look(&subquery.at)?;
        let step = match &subquery.step {
            Some(step) => self.duration(step, true)?,
            None => self.options.subquery_step,
        }
        .max(1);
        let before = look.time(grid.start).saturating_sub(range);
        // Prometheus' division cuts off toward zero; the first step lies behind the open left end.
        let mut start = before / step * step;
        if start <= before {
            start = start.saturating_add(step);
        }
        let end = look.time(grid.end());
        if end < start {
            return Ok((Rows::new(1), Grid { start, step, steps: 1 }));
        }
        let steps = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
        self.charge(steps)?;
        let inner = Grid { start, step, steps };
        let rows = self.rows(&subquery.expr, &inner)?.merge(false)?;
        Ok((rows, inner))
    }

    /// A function that takes a range vector.
    pub(super) fn over_time(
        &mut self,
        function: Function,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Rows, Error> {
        let mut scalars = Vec::new();
        let mut matrix = None;
        for arg in args {
            match &arg.bare().node {
                Node::Range(..) | Node::Subquery(_) => matrix = Some(arg.bare()),
                _ => scalars.push((self.scalar(arg, grid)?, arg.span)),
            }
        }
        let Some(matrix) = matrix else { return execution("expected a range vector") };
        let Some(range_fn) = RangeFn::of(function) else {
            return execution(format!("{}() takes no range vector", function.name()));
        };
        let values: Vec<&[f64]> = scalars.iter().map(|(values, _)| values.as_slice()).collect();
        let keeps_name = matches!(function, Function::FirstOverTime | Function::LastOverTime);
        let counter = matches!(function, Function::Rate | Function::Increase);
        let mut rows = Rows::new(grid.steps);
        let mut scratch = Scratch::default();
        match &matrix.node {
            Node::Range(selector, range) => {
                extended::check(function, selector.reach)?;
                let frame = Frame {
                    look: self.look(&selector.at)?,
                    range: self.duration(range, true)?,
                    reach: selector.reach,
                    margins: extended::margins(selector.reach, self.options.lookback),
                };
                let (first, last) = (frame.look.time(grid.start), frame.look.time(grid.end()));
                let from = first.saturating_sub(frame.range + frame.margins.0).saturating_add(1);
                let last = last.saturating_add(frame.margins.1);
                let found = self.select(&selector.matchers, from, last)?;
                rows.metrics.reserve(found.len());
                rows.values.reserve(found.len().saturating_mul(grid.steps).min(1 << 20));
                for series in &found {
                    self.read_values(series, from, last)?;
                    if self.buffer.is_empty() {
                        continue;
                    }
                    self.charge(grid.steps)?;
                    let metric = Metric::new(series.labels.clone()).dropping(!keeps_name);
                    let any = rows.push_with::<Error>(metric, |out| {
                        slide(range_fn, &self.buffer, frame, grid, &values, self.interrupt, &mut scratch, out)
                    })?;
                    if any && counter {
                        self.note_counter(&series.labels, matrix);
                    }
                }
            }
            Node::Subquery(subquery) => {
                let (inner_rows, inner) = self.subquery(subquery, grid)?;
                let frame = Frame::plain(self.look(&subquery.at)?, self.duration(&subquery.range, true)?);
                for (metric, inner_values) in inner_rows.iter() {
                    points(inner_values, &inner, &mut self.buffer);
                    self.charge(grid.steps)?;
                    let named = metric.clone().dropping(!keeps_name || metric.drops_name());
                    let any = rows.push_with::<Error>(named, |out| {
                        slide(range_fn, &self.buffer, frame, grid, &values, self.interrupt, &mut scratch, out)
                    })?;
                    if any && counter && !metric.drops_name() {
                        self.note_counter(metric.labels(), matrix);
                    }
                }
            }
            _ => return execution("expected a range vector"),
        }
        if function == Function::QuantileOverTime
            && rows.len() > 0
            && let Some((quantiles, at)) = scalars.first()
        {
            for &q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                self.notes.add(Note::InvalidQuantile(q), *at);
            }
        }
        Ok(if function == Function::AbsentOverTime { absent(&rows, grid, matrix) } else { rows })
    }

    fn note_counter(&mut self, labels: &Labels, at: &Expr) {
        let name = labels.name();
        let counters = ["_total", "_sum", "_count", "_bucket"];
        if !name.is_empty() && !counters.iter().any(|suffix| name.ends_with(suffix)) {
            self.notes.add(Note::PossibleNonCounter(name.to_owned()), at.span);
        }
    }
}

/// 1 at each step where no row has a value, with the labels that the selector says.
fn absent(rows: &Rows, grid: &Grid, matrix: &Expr) -> Rows {
    let mut values = vec![1.0; grid.steps];
    for (_, row) in rows.iter() {
        for (value, &found) in values.iter_mut().zip(row) {
            if present(found) {
                *value = ABSENT;
            }
        }
    }
    let labels = match &matrix.node {
        Node::Range(selector, _) => said_labels(selector),
        _ => Labels::empty(),
    };
    let mut out = Rows::new(grid.steps);
    if values.iter().any(|&value| present(value)) {
        out.push(Metric::new(labels), &values);
    }
    out
}

/// The labels that every series of a selector would have, as `absent()` gives them: those that one `=` matcher says.
pub(super) fn said_labels(selector: &Selector) -> Labels {
    use crate::query::labels::METRIC_NAME;
    use crate::series::selector::Op;
    let mut said: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.label() != METRIC_NAME) {
        if matcher.op() == Op::Equal && !seen.contains(&matcher.label()) {
            said.push((matcher.label(), matcher.value()));
            seen.push(matcher.label());
        } else {
            said.retain(|(label, _)| *label != matcher.label());
        }
    }
    Labels::new(said)
}

/// The values of a row as samples.
fn points(values: &[f64], grid: &Grid, out: &mut Vec<Sample>) {
    out.clear();
    let found = values.iter().enumerate().filter(|&(_, &value)| present(value));
    out.extend(found.map(|(step, &v)| Sample { t: grid.time(step), v }));
}

fn drop_names(series: &mut [(Metric, Vec<Sample>)]) -> Result<(), Error> {
    series.sort_by(|a, b| a.0.compare(&b.0));
    let same = series.windows(2).any(|two| two[0].0.compare(&two[1].0).is_eq());
    if same { Err(super::rows::SameLabels.into()) } else { Ok(()) }
}

/// What the walk over one series leaves to the next: its memory.
#[derive(Default)]
struct Scratch {
    windows: Vec<Bounds>,
    resets: Vec<usize>,
    queue: VecDeque<usize>,
    values: Vec<f64>,
}

/// The samples in the window of each step.
fn bounds(samples: &[Sample], frame: Frame, grid: &Grid, out: &mut Vec<Bounds>) {
    let (mut from, mut to) = (0, 0);
    out.clear();
    out.extend((0..grid.steps).map(|step| {
        let end = frame.look.time(grid.time(step));
        let start = end.saturating_sub(frame.range);
        while samples.get(to).is_some_and(|sample| sample.t <= end.saturating_add(frame.margins.1)) {
            to += 1;
        }
        while from < to && samples[from].t <= start.saturating_sub(frame.margins.0) {
            from += 1;
        }
        (from, to)
    }));
}

#[allow(clippy::too_many_arguments)]
/// Moves the window over the samples of one series, and appends the function's value for each step.
fn slide(
    function: RangeFn,
    samples: &[Sample],
    frame: Frame,
    grid: &Grid,
    scalars: &[&[f64]],
    interrupt: &Interrupt,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Error> {
    let Scratch { windows, resets, queue, values } = scratch;
    bounds(samples, frame, grid, windows);
    let plain = frame.reach == Reach::Plain;
    if plain && grid.steps > 1 && frame.range > grid.step {
        interrupt.check()?;
        if function.slide(samples, windows, queue, interrupt, out)? {
            return Ok(());
        }
    }
    // Where a value is smaller than the one before: a counter's resets. With one step it is not worth looking ahead.
    let ahead = function.is_counter() && grid.steps > 1;
    resets.clear();
    if ahead {
        resets.extend((1..samples.len()).filter(|&at| samples[at].v < samples[at - 1].v));
    }
    // The first that may lie in the window.
    let mut resets: &[usize] = resets;
    for (step, &(from, to)) in windows.iter().enumerate() {
        interrupt.check()?; // a window can be millions of samples long
        if from == to {
            out.push(ABSENT);
            continue;
        }
        while resets.first().is_some_and(|&at| at <= from) {
            resets = &resets[1..];
        }
        let time = grid.time(step);
        let end = frame.look.time(time);
        let window = Window {
            samples: &samples[from..to],
            start: end.saturating_sub(frame.range),
            end,
            range: frame.range,
            time,
            no_resets: ahead && resets.first().is_none_or(|&at| at >= to),
        };
        if !plain {
            out.push(function.extended(&window, frame.reach).unwrap_or(ABSENT));
            continue;
        }
        let scalar = |at: usize| scalars.get(at).map_or(f64::NAN, |values| values[step]);
        out.push(function.value(&window, scalar, values)?.unwrap_or(ABSENT));
    }
    Ok(())
}
