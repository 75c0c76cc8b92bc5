//! Evaluation of PromQL.
//!
//! Every expression is evaluated once, over all steps of the query, and gives a number for each step, or rows of series by
//! steps. So labels are looked at once for a series rather than once for a step, a selector's samples are walked
//! through once while the window moves over them, and a series is read into a buffer that the next one uses again.
//! An instant query is the case of one step. What does not depend on the step (`@`, numbers) is evaluated for one step
//! and repeated.
//!
//! The metric name that most operators drop stays with the row until the end, marked as dropped, so that `label_replace`
//! can still use it: Prometheus' "delayed name removal".
//!
//! - `selector` reads instant vectors, `window` the functions over a range, subqueries among them; `sliding` takes all
//!   windows of a function at once; `extended` is for selectors that reach beyond their range
//! - `math`, `labels_fn`, `histogram` are the functions of instant vectors
//! - `aggregate` and `binary` are the operators
//! - `rows`, `notes`, `kahan`, `date` are what they are made of
//!
//! Left out: native histograms, which a source cannot give yet (functions for them answer with nothing), and `info()`,
//! which is experimental in Prometheus and unknown here. Other experimental functions, `limitk`, computed durations, `fill`
//! and extended selectors are there without a switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::promql::ast::{Expr, Type};
use super::source::{Sample, Source, SourceError};

mod aggregate;
mod binary;
mod date;
mod evaluator;
mod extended;
mod histogram;
mod kahan;
mod labels_fn;
mod math;
mod notes;
mod range_fn;
mod rows;
mod selector;
mod sliding;
mod window;

pub(crate) use histogram::{Bucket, bucket_quantile};
pub(crate) use range_fn::{RangeFn, Window};
pub use rows::Metric;

/// How expressions are evaluated, and how much they may cost.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How old the last sample of a series may be at a step, in milliseconds. Prometheus' default: 5 minutes.
    pub lookback: i64,
    /// Step of a subquery that says none, in milliseconds. Prometheus takes its evaluation interval: 1 minute.
    pub subquery_step: i64,
    /// Most samples read and made by a query. Prometheus' default: 50 million, which are 800 MB.
    pub max_samples: usize,
    /// Most series of one selector.
    pub max_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { lookback: 300_000, subquery_step: 60_000, max_samples: 50_000_000, max_series: 1_000_000 }
    }
}

/// The times for which an expression is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// One time.
    Instant(i64),
    /// From `start` to `end`, every `step`.
    Range {
        /// First time.
        start: i64,
        /// Last time, if a step falls on it.
        end: i64,
        /// Greater than zero.
        step: i64,
    },
}

/// Ends evaluations from outside: shared by who evaluates and who no longer wants the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// The query has taken too long.
    pub fn time_out(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Nobody waits for the answer any more.
    pub fn cancel(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// # Errors
    /// It was told to end.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(Error::Timeout),
            _ => Err(Error::Canceled),
        }
    }
}

/// Why there is no answer, in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The expression has no answer for these series, or its answer is too large.
    #[error("{0}")]
    Execution(String),
    /// [`Interrupt::time_out`].
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// [`Interrupt::cancel`].
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// The history could not be read.
    #[error("{0}")]
    Source(#[from] SourceError),
}

impl From<rows::SameLabels> for Error {
    fn from(_: rows::SameLabels) -> Self {
        Error::Execution("vector cannot contain metrics with the same labelset".into())
    }
}

fn execution<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Execution(reason.into()))
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub enum Output {
    /// Of an instant query: time and value.
    Scalar(i64, f64),
    /// Of an instant query: time and text.
    Text(i64, String),
    /// Of an instant query: time, and series with their value, in the order of the expression.
    Vector(i64, Vec<(Metric, f64)>),
    /// Of a range query, in the order of labels; of an instant query for a range.
    Matrix(Vec<(Metric, Vec<Sample>)>),
}

/// What a query gives.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value.
    pub output: Output,
    /// Warnings, each with the place in the query that it is about.
    pub warnings: Vec<String>,
    /// Infos, likewise.
    pub infos: Vec<String>,
}

/// A parsed query with its times.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The text, for positions in messages.
    pub text: &'a str,
    /// The expression.
    pub expr: &'a Expr,
    /// When.
    pub times: Times,
}

impl Query<'_> {
    /// Evaluates the query.
    ///
    /// # Errors
    /// See [`Error`]. A range query whose type is neither scalar nor instant vector is an execution error too; the
    /// HTTP API refuses it before.
    pub fn evaluate(
        &self,
        source: &dyn Source,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Answer, Error> {
        let mut evaluator = evaluator::Evaluator::new(source, options, interrupt, self.times);
        let output = evaluator.run(self.expr)?;
        let (warnings, infos) = evaluator.notes.texts(self.text);
        Ok(Answer { output, warnings, infos })
    }
}

impl Output {
    /// The type, as the HTTP API names it.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Output::Scalar(..) => Type::Scalar,
            Output::Text(..) => Type::String,
            Output::Vector(..) => Type::Vector,
            Output::Matrix(_) => Type::Matrix,
        }
    }

    /// Keeps the first `limit` series. Were there more?
    pub fn truncate(&mut self, limit: usize) -> bool {
        let before = match self {
            Output::Vector(_, series) => {
                let before = series.len();
                series.truncate(limit);
                before
            }
            Output::Matrix(series) => {
                let before = series.len();
                series.truncate(limit);
                before
            }
            Output::Scalar(..) | Output::Text(..) => 0,
        };
        before > limit
    }
}

#[cfg(test)]
mod tests {
    use super::super::promql::{self, MAX_DEPTH, MAX_NESTING};
    use super::super::source::{MemorySource, stale};
    use super::*;
    use crate::query::Labels;

    fn ask(source: &MemorySource, text: &str, times: Times, options: &Options) -> Result<Answer, Error> {
        let expr = promql::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Query { text, expr: &expr, times }.evaluate(source, options, &Interrupt::default())
    }

    /// `count` series of a minute of samples.
    fn source(count: usize) -> MemorySource {
        let mut source = MemorySource::default();
        for series in 0..count {
            let labels = Labels::new([("__name__", "up".to_owned()), ("i", series.to_string())]);
            (0..60).for_each(|second| source.add(&labels, Sample { t: second * 1000, v: 1.0 }));
        }
        source
    }

    #[test]
    fn sorting_within_a_subquery_changes_nothing() {
        let source = source(3);
        let values = |text| match ask(&source, text, Times::Instant(50_000), &Options::default()) {
            Ok(Answer { output: Output::Vector(_, series), .. }) => {
                series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect::<Vec<_>>()
            }
            other => panic!("{text}: {other:?}"),
        };
        let plain = values("count_over_time(up[30s:10s])");
        assert_eq!(plain.len(), 3);
        assert_eq!(values("count_over_time(sort_desc(up)[30s:10s])"), plain);
    }

    #[test]
    fn the_deepest_expression_fits_in_a_small_stack() {
        let source = source(1);
        let range = Times::Range { start: 0, end: 60_000, step: 1000 };
        for text in [
            "up".to_owned() + &" + up".repeat(MAX_DEPTH - 1),
            "up".to_owned() + &" or up".repeat(MAX_DEPTH - 1),
            "abs(".repeat(MAX_NESTING - 1) + "up" + &")".repeat(MAX_NESTING - 1),
            "sum(".repeat(MAX_NESTING - 1) + "up" + &")".repeat(MAX_NESTING - 1),
            "max_over_time(".repeat(MAX_NESTING / 2 - 1) + "up" + &"[2s:1s])".repeat(MAX_NESTING / 2 - 1),
        ] {
            ask(&source, &text, range, &Options::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn a_query_ends_at_its_limits() {
        let source = source(10);
        let options = Options { max_samples: 500, max_series: 8, ..Options::default() };
        let error = |text: &str, times| ask(&source, text, times, &options).expect_err(text).to_string();
        let instant = Times::Instant(60_000);
        assert_eq!(error("up", instant), "query selects more than 8 series");
        let range = Times::Range { start: 0, end: 60_000, step: 100 };
        for (text, times) in [
            ("up{i=\"0\"}", range),
            ("vector(1)", range),
            ("sum_over_time(vector(1)[1y:1ms])", instant),
            ("sum_over_time(up{i=\"0\"}[1h:1s])", instant),
        ] {
            let want = "query processing would load too many samples into memory in query execution";
            assert_eq!(error(text, times), want, "{text}");
        }
    }

    #[test]
    fn times_at_the_end_of_all_time_are_answered() {
        let source = source(1);
        for at in [i64::MIN, i64::MAX, 0] {
            for text in [
                "up",
                "up @ 9.2e15",
                "rate(up[290y] @ -9.2e15 offset 290y)",
                "max_over_time(up[290y:280y] offset -290y)",
                "max_over_time(vector(time())[5m:1m])",
                "hour() + day_of_year(vector(-1e300)) + year(vector(NaN))",
                "rate(up[5m] smoothed)",
                "up smoothed",
            ] {
                let step = i64::MAX;
                for times in [Times::Instant(at), Times::Range { start: at, end: i64::MAX, step }] {
                    ask(&source, text, times, &Options::default())
                        .unwrap_or_else(|error| panic!("{text}: {error}"));
                }
            }
        }
    }

    #[test]
    fn an_interrupt_ends_an_evaluation_with_its_reason() {
        let (source, expr) = (source(1), promql::parse("up").expect("it is right"));
        let query = Query { text: "up", expr: &expr, times: Times::Instant(0) };
        let interrupt = Interrupt::default();
        assert!(query.evaluate(&source, &Options::default(), &interrupt).is_ok());
        interrupt.time_out();
        assert_eq!(query.evaluate(&source, &Options::default(), &interrupt).err(), Some(Error::Timeout));
        interrupt.cancel();
        assert_eq!(query.evaluate(&source, &Options::default(), &interrupt).err(), Some(Error::Canceled));
    }

    #[test]
    fn a_series_that_is_stale_throughout_gives_no_row() {
        let mut source = MemorySource::default();
        source.add(&Labels::new([("__name__", "up")]), Sample { t: 0, v: stale() });
        let range = Times::Range { start: 0, end: 60_000, step: 1000 };
        let answer = ask(&source, "up or vector(1) * up", range, &Options::default()).expect("it is right");
        assert!(matches!(answer.output, Output::Matrix(series) if series.is_empty()));
    }
}
