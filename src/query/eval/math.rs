//! Functions of instant vectors that look at values only, and where all functions of instant vectors are found.

use super::Error;
use super::date::Date;
use super::evaluator::{Evaluator, Grid};
use super::notes::Note;
use super::rows::{ABSENT, Metric, Rows, present};
use crate::query::labels::Labels;
use crate::query::promql::ast::{Expr, Node};
use crate::query::promql::functions::Function;

/// The smaller one; NaN if either is.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The larger one; NaN if either is.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

impl Evaluator<'_> {
    /// A function that takes an instant vector.
    pub(super) fn vector_call(
        &mut self,
        expr: &Expr,
        function: Function,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Rows, Error> {
        use Function as F;
        if let Some(f) = of_values(function) {
            return Ok(self.rows(&args[0], grid)?.map(f));
        }
        if let Some(f) = of_dates(function) {
            return self.dates(f, args, grid);
        }
        match function {
            F::Clamp | F::ClampMin | F::ClampMax => {
                let rows = self.rows(&args[0], grid)?;
                let last = self.scalar(&args[args.len() - 1], grid)?;
                let (lows, highs) = match function {
                    F::ClampMin => (last, vec![f64::INFINITY; grid.steps]),
                    F::ClampMax => (vec![f64::NEG_INFINITY; grid.steps], last),
                    _ => (self.scalar(&args[1], grid)?, last),
                };
                Ok(by_step(rows, |step, value| {
                    let (low, high) = (lows[step], highs[step]);
                    if high < low { ABSENT } else { max(low, min(high, value)) }
                }))
            }
            F::Round => {
                let rows = self.rows(&args[0], grid)?;
                let nearest =
                    if args.len() > 1 { self.scalar(&args[1], grid)? } else { vec![1.0; grid.steps] };
                Ok(by_step(rows, |step, value| {
                    // Multiplied with the inverse, as Prometheus does, since it loses less.
                    let inverse = 1.0 / nearest[step];
                    (value * inverse + 0.5).floor() / inverse
                }))
            }
            F::Timestamp => {
                if let Node::Selector(selector) = &args[0].bare().node {
                    let mut rows = self.instant(selector, grid, true)?;
                    rows.metrics.iter_mut().for_each(Metric::drop_name);
                    return Ok(rows);
                }
                #[allow(clippy::cast_precision_loss)]
                let now = |step| grid.time(step) as f64 / 1000.0;
                Ok(by_step(self.rows(&args[0], grid)?, |step, _| now(step)))
            }
            F::Absent => {
                let rows = self.rows(&args[0], grid)?;
                let mut values = vec![1.0; grid.steps];
                for (_, row) in rows.iter() {
                    for (value, &found) in values.iter_mut().zip(row) {
                        *value = if present(found) { ABSENT } else { *value };
                    }
                }
                let labels = match &args[0].bare().node {
                    Node::Selector(selector) => super::window::said_labels(selector),
                    _ => Labels::empty(),
                };
                let mut out = Rows::new(grid.steps);
                if values.iter().any(|&value| present(value)) {
                    out.push(Metric::new(labels), &values);
                }
                Ok(out)
            }
            F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
                let mut rows = self.rows(&args[0], grid)?;
                if self.is_range_query() {
                    self.notes.add(Note::SortInRangeQuery, expr.span);
                } else if grid.steps == 1 {
                    // Within a subquery there is no order to see.
                    super::labels_fn::sort(&mut rows, function, &args[1..]);
                }
                Ok(rows)
            }
            F::LabelReplace => super::labels_fn::replace(self.rows(&args[0], grid), &args[1..]),
            F::LabelJoin => super::labels_fn::join(self.rows(&args[0], grid), &args[1..]),
            F::HistogramQuantile => self.histogram_quantile(args, grid),
            F::HistogramQuantiles => self.histogram_quantiles(args, grid),
            F::HistogramFraction => self.histogram_fraction(args, grid),
            // Of native histograms, of which there are none yet.
            _ => {
                self.rows(&args[0], grid)?;
                Ok(Rows::new(grid.steps))
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn dates(&mut self, f: fn(Date) -> i64, args: &[Expr], grid: &Grid) -> Result<Rows, Error> {
        if let Some(arg) = args.first() {
            return Ok(self.rows(arg, grid)?.map(|value| f(Date::of(whole_seconds(value))) as f64));
        }
        let mut rows = Rows::new(grid.steps);
        let values: Vec<f64> =
            (0..grid.steps).map(|step| f(Date::of(grid.time(step).div_euclid(1000))) as f64).collect();
        rows.push(Metric::new(Labels::empty()), &values);
        Ok(rows)
    }
}

/// Cut off to whole seconds. What is no number of 64 bits, NaN among it, is the last second of all, as in Prometheus on
/// amd64.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn whole_seconds(value: f64) -> i64 {
    if (i64::MIN as f64..i64::MAX as f64).contains(&value) { value as i64 } else { i64::MAX }
}

/// Applies `f` to the number of the step and the value; rows of which nothing remains are removed.
fn by_step(mut rows: Rows, f: impl Fn(usize, f64) -> f64) -> Rows {
    for row in rows.values.chunks_exact_mut(rows.steps) {
        for (step, value) in row.iter_mut().enumerate() {
            if present(*value) {
                *value = f(step, *value);
            }
        }
    }
    rows.metrics.iter_mut().for_each(Metric::drop_name);
    rows
}

fn of_values(function: Function) -> Option<fn(f64) -> f64> {
    use Function as F;
    Some(match function {
        F::Abs => f64::abs,
        F::Acos => f64::acos,
        F::Acosh => f64::acosh,
        F::Asin => f64::asin,
        F::Asinh => f64::asinh,
        F::Atan => f64::atan,
        F::Atanh => f64::atanh,
        F::Ceil => f64::ceil,
        F::Cos => f64::cos,
        F::Cosh => f64::cosh,
        F::Deg => |value| value * 180.0 / std::f64::consts::PI,
        F::Exp => f64::exp,
        F::Floor => f64::floor,
        F::Ln => f64::ln,
        F::Log10 => f64::log10,
        F::Log2 => f64::log2,
        F::Rad => |value| value * std::f64::consts::PI / 180.0,
        F::Sgn => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        F::Sin => f64::sin,
        F::Sinh => f64::sinh,
        F::Sqrt => f64::sqrt,
        F::Tan => f64::tan,
        F::Tanh => f64::tanh,
        _ => return None,
    })
}

fn of_dates(function: Function) -> Option<fn(Date) -> i64> {
    use Function as F;
    Some(match function {
        F::DayOfMonth => |date| date.day,
        F::DayOfWeek => Date::weekday,
        F::DayOfYear => Date::day_of_year,
        F::DaysInMonth => Date::days_in_month,
        F::Hour => |date| date.hour,
        F::Minute => |date| date.minute,
        F::Month => |date| date.month,
        F::Year => |date| date.year,
        _ => return None,
    })
}
