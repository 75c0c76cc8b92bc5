//! One evaluation: its limits, and the way through the tree.

use std::sync::Arc;

use super::notes::Notes;
use super::rows::{ABSENT, Metric, Rows, present};
use super::{Error, Interrupt, Options, Output, Times, execution};
use crate::query::labels::Labels;
use crate::query::promql::ast::{At, Binary, BinaryOp, Duration, Expr, Node, Shift, Span, Type};
use crate::query::promql::duration_millis;
use crate::query::promql::functions::Function;
use crate::query::source::{Sample, Series, Source, is_stale};
use crate::series::selector::Matcher;

/// Times are kept within this, 73 million years to both sides of the epoch, so that adding durations cannot overflow.
const FAR: i64 = 1 << 61;

/// The times of a (sub)query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) start: i64,
    pub(super) step: i64,
    /// At least 1.
    pub(super) steps: usize,
}

impl Grid {
    #[allow(clippy::cast_possible_wrap)] // steps are bounded by the limit of samples
    pub(super) fn time(&self, step: usize) -> i64 {
        self.start + self.step * step as i64
    }

    pub(super) fn end(&self) -> i64 {
        self.time(self.steps - 1)
    }

    fn first(&self) -> Grid {
        Grid { steps: 1, ..*self }
    }
}

/// The value of an expression at all steps.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Vec<f64>),
    Text(Arc<[u8]>),
    Rows(Rows),
}

/// When a selector looks, seen from a step: at `fixed`, or `back` before the step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) fixed: Option<i64>,
    pub(super) back: i64,
}

impl Look {
    #[inline]
    pub(super) fn time(&self, step_time: i64) -> i64 {
        self.fixed.unwrap_or(step_time).saturating_sub(self.back)
    }
}

pub(super) struct Evaluator<'a> {
    source: &'a dyn Source,
    pub(super) options: &'a Options,
    pub(super) interrupt: &'a Interrupt,
    /// Start, end and step of the query itself; the step is 0 for an instant.
    pub(super) query: (i64, i64, i64),
    pub(super) notes: Notes,
    samples: usize,
    /// The samples of the series at hand; its space is used again for the next.
    pub(super) buffer: Vec<Sample>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        options: &'a Options,
        interrupt: &'a Interrupt,
        times: Times,
    ) -> Self {
        let near = |time: i64| time.clamp(-FAR, FAR);
        let query = match times {
            Times::Instant(at) => (near(at), near(at), 0),
            Times::Range { start, end, step } => (near(start), near(end), step.max(1)),
        };
        Evaluator {
            source,
            options,
            interrupt,
            query,
            notes: Notes::default(),
            samples: 0,
            buffer: Vec::new(),
        }
    }

    pub(super) fn is_range_query(&self) -> bool {
        self.query.2 > 0
    }

    pub(super) fn run(&mut self, expr: &Expr) -> Result<Output, Error> {
        self.interrupt.check()?;
        let (start, end, step) = self.query;
        if step == 0 {
            return self.run_instant(expr, start);
        }
        if end < start {
            return Ok(Output::Matrix(Vec::new()));
        }
        let steps = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
        self.charge(steps)?;
        let grid = Grid { start, step, steps };
        let series = |values: &[f64]| -> Vec<Sample> {
            let mut out = Vec::with_capacity(values.iter().filter(|&&v| present(v)).count());
            out.extend(
                values
                    .iter()
                    .enumerate()
                    .filter(|&(_, &v)| present(v))
                    .map(|(i, &v)| Sample { t: grid.time(i), v }),
            );
            out
        };
        match self.eval(expr, &grid)? {
            Value::Scalar(values) => {
                Ok(Output::Matrix(vec![(Metric::new(Labels::empty()), series(&values))]))
            }
            Value::Rows(rows) => {
                let rows = rows.merge(true)?;
                let all = rows.iter().map(|(metric, values)| (metric.clone(), series(values)));
                let mut out: Vec<_> = all.filter(|(_, samples)| !samples.is_empty()).collect();
                out.sort_by(|a, b| a.0.compare(&b.0));
                Ok(Output::Matrix(out))
            }
            Value::Text(_) => execution("invalid expression type \"string\" for range query"),
        }
    }

    fn run_instant(&mut self, expr: &Expr, at: i64) -> Result<Output, Error> {
        let grid = Grid { start: at, step: 1, steps: 1 };
        if expr.kind() == Type::Matrix {
            return self.raw(expr.bare(), &grid);
        }
        match self.eval(expr, &grid)? {
            Value::Scalar(values) => Ok(Output::Scalar(at, values[0])),
            Value::Text(text) => Ok(Output::Text(at, String::from_utf8_lossy(&text).into_owned())),
            Value::Rows(rows) => {
                let rows = rows.merge(true)?;
                let Rows { metrics, values, .. } = rows;
                let series = metrics.into_iter().zip(values).filter(|&(_, value)| present(value));
                Ok(Output::Vector(at, series.collect()))
            }
        }
    }

    /// Counts samples that are read or made.
    pub(super) fn charge(&mut self, samples: usize) -> Result<(), Error> {
        self.samples = self.samples.saturating_add(samples);
        if self.samples > self.options.max_samples {
            return execution("query processing would load too many samples into memory in query execution");
        }
        self.interrupt.check()
    }

    pub(super) fn select(&mut self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Error> {
        self.interrupt.check()?;
        let limit = self.options.max_series;
        let series = self.source.select(matchers, from, to, limit)?;
        if series.len() > limit {
            return execution(format!("query selects more than {limit} series"));
        }
        Ok(series)
    }

    /// Reads a series into the buffer, its stale markers among the samples.
    pub(super) fn read(&mut self, series: &Series, from: i64, to: i64) -> Result<(), Error> {
        self.buffer.clear();
        series.samples.read(from, to, &mut self.buffer)?;
        self.charge(self.buffer.len())
    }

    /// Reads the last sample of a series into the buffer.
    pub(super) fn read_last(&mut self, series: &Series, from: i64, to: i64) -> Result<(), Error> {
        self.buffer.clear();
        self.buffer.extend(series.samples.last(from, to)?);
        self.charge(self.buffer.len())
    }

    /// Reads a series into the buffer without its stale markers.
    pub(super) fn read_values(&mut self, series: &Series, from: i64, to: i64) -> Result<(), Error> {
        self.read(series, from, to)?;
        if self.buffer.iter().any(|sample| is_stale(sample.v)) {
            self.buffer.retain(|sample| !is_stale(sample.v));
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn duration(&self, duration: &Duration, positive: bool) -> Result<i64, Error> {
        let (expr, at) = match duration {
            Duration::Fixed(ms) => return Ok(*ms),
            Duration::Computed(expr, at) => (expr, at),
        };
        let (start, end, step) = self.query;
        let seconds = expr.seconds(Some(step as f64 / 1000.0), Some((end - start) as f64 / 1000.0));
        let seconds = seconds.expect("step and range are given");
        let Span { start, .. } = at;
        if positive && (seconds <= 0.0 || seconds.is_nan()) {
            return execution(format!("{}: duration must be greater than 0", start + 1));
        }
        duration_millis(seconds)
            .ok_or_else(|| Error::Execution(format!("{}: duration is out of range", start + 1)))
    }

    pub(super) fn look(&self, shift: &Shift) -> Result<Look, Error> {
        let back = match &shift.offset {
            Some(offset) => self.duration(offset, false)?,
            None => 0,
        };
        let fixed = shift.at.map(|at| match at {
            At::Time(time) => time.clamp(-FAR, FAR),
            At::Start => self.query.0,
            At::End => self.query.1,
        });
        Ok(Look { fixed, back })
    }

    pub(super) fn eval(&mut self, expr: &Expr, grid: &Grid) -> Result<Value, Error> {
        if grid.steps > 1 && is_constant(expr) {
            self.interrupt.check()?;
            return Ok(match self.eval(expr, &grid.first())? {
                Value::Scalar(values) => Value::Scalar(vec![values[0]; grid.steps]),
                Value::Rows(rows) => {
                    self.charge(rows.len().saturating_mul(grid.steps))?;
                    Value::Rows(rows.broadcast(grid.steps))
                }
                text @ Value::Text(_) => text,
            });
        }
        match &expr.node {
            Node::Number(value) => Ok(Value::Scalar(vec![*value; grid.steps])),
            Node::Text(text) => Ok(Value::Text(text.clone())),
            Node::Selector(selector) => Ok(Value::Rows(self.instant(selector, grid, false)?)),
            Node::Paren(inner) | Node::Plus(inner) => self.eval(inner, grid),
            Node::Negate(inner) => Ok(match self.eval(inner, grid)? {
                Value::Scalar(mut values) => {
                    values.iter_mut().for_each(|value| *value = -*value);
                    Value::Scalar(values)
                }
                Value::Rows(rows) => Value::Rows(rows.map(|value| -value)),
                text @ Value::Text(_) => text,
            }),
            Node::Binary(binary) => self.binary(binary, grid),
            Node::Aggregate(aggregate) => Ok(Value::Rows(self.aggregate(aggregate, grid)?)),
            Node::Call(function, args) => self.call(expr, *function, args, grid),
            Node::Range(..) | Node::Subquery(_) => execution("range vector outside of a function"),
        }
    }

    pub(super) fn rows(&mut self, expr: &Expr, grid: &Grid) -> Result<Rows, Error> {
        match self.eval(expr, grid)? {
            Value::Rows(rows) => Ok(rows),
            _ => execution("expected an instant vector"),
        }
    }

    pub(super) fn scalar(&mut self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>, Error> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => execution("expected a scalar"),
        }
    }

    fn binary(&mut self, binary: &Binary, grid: &Grid) -> Result<Value, Error> {
        let lhs = self.eval(&binary.lhs, grid)?;
        let rhs = self.eval(&binary.rhs, grid)?;
        Ok(match (lhs, rhs) {
            (Value::Scalar(mut left), Value::Scalar(right)) => {
                for (left, right) in left.iter_mut().zip(right) {
                    *left = super::binary::scalars(binary.op, *left, right);
                }
                Value::Scalar(left)
            }
            (Value::Rows(rows), Value::Scalar(scalar)) => {
                Value::Rows(super::binary::with_scalar(binary, rows, &scalar, false))
            }
            (Value::Scalar(scalar), Value::Rows(rows)) => {
                Value::Rows(super::binary::with_scalar(binary, rows, &scalar, true))
            }
            (Value::Rows(left), Value::Rows(right)) => Value::Rows(match binary.op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => super::binary::sets(binary, left, right),
                _ => super::binary::vectors(binary, left, right)?,
            }),
            _ => return execution("binary expression must contain only scalar and instant vector types"),
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn call(&mut self, expr: &Expr, function: Function, args: &[Expr], grid: &Grid) -> Result<Value, Error> {
        use Function as F;
        let (start, end, step) = self.query;
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let constant = |value: f64| Ok(Value::Scalar(vec![value; grid.steps]));
        match function {
            F::Pi => constant(std::f64::consts::PI),
            F::Start => constant(seconds(start)),
            F::End => constant(seconds(end)),
            F::Step => constant(seconds(step)),
            F::Range => constant(seconds(end - start)),
            F::Time => Ok(Value::Scalar((0..grid.steps).map(|i| seconds(grid.time(i))).collect())),
            F::MinOf | F::MaxOf => {
                let (left, right) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                let pick = if function == F::MinOf { super::math::min } else { super::math::max };
                Ok(Value::Scalar(left.into_iter().zip(right).map(|(a, b)| pick(a, b)).collect()))
            }
            F::Scalar => {
                let rows = self.rows(&args[0], grid)?;
                let mut out = vec![ABSENT; grid.steps];
                for (_, values) in rows.iter() {
                    for (out, &value) in out.iter_mut().zip(values) {
                        if present(value) {
                            *out = if present(*out) { f64::NAN } else { value };
                        }
                    }
                }
                // A second value makes it NaN for good, since NaN is a value.
                out.iter_mut().filter(|value| !present(**value)).for_each(|value| *value = f64::NAN);
                Ok(Value::Scalar(out))
            }
            F::Vector => {
                let values = self.scalar(&args[0], grid)?;
                let mut rows = Rows::new(grid.steps);
                rows.push(Metric::new(Labels::empty()), &values);
                Ok(Value::Rows(rows))
            }
            _ if function.signature().args.contains(&Type::Matrix) => {
                Ok(Value::Rows(self.over_time(function, args, grid)?))
            }
            _ => Ok(Value::Rows(self.vector_call(expr, function, args, grid)?)),
        }
    }
}

/// Has the expression the same value at every step?
fn is_constant(expr: &Expr) -> bool {
    match &expr.node {
        Node::Number(_) | Node::Text(_) => true,
        Node::Selector(selector) | Node::Range(selector, _) => selector.at.at.is_some(),
        Node::Subquery(subquery) => subquery.at.at.is_some(),
        Node::Negate(inner) | Node::Plus(inner) | Node::Paren(inner) => is_constant(inner),
        Node::Binary(binary) => is_constant(&binary.lhs) && is_constant(&binary.rhs),
        Node::Aggregate(aggregate) => {
            is_constant(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_constant)
        }
        Node::Call(function, args) => !function.looks_at_time() && args.iter().all(is_constant),
    }
}
