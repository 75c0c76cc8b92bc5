//! PromQL that is asked again every tick.
//!
//! - [`LiveQuery`] is an expression whose value is wanted at each tick, as a vector; [`derived`] makes one of selectors and a
//!   word such as `rate`.
//! - [`Windows`] keeps the decoded samples that live queries look at from one tick to the next, so that a tick costs what
//!   has come since the last one, and what the functions themselves take.
//!
//! The evaluator is the one of all queries: over [`Windows`] it gives the same bits as over the source behind them,
//! which a property test holds.

mod derived;
mod windows;

use super::eval::{Error, Interrupt, Options, Output, Query, Times};
use super::labels::Labels;
use super::promql::ast::{Expr, Type};
use super::promql::{self, ParseError};
use super::source::{Sample, Source};

pub use derived::{DerivedError, derived};
pub use windows::Windows;

/// An expression that is evaluated again and again. Equal if the texts are, but for spaces and comments.
#[derive(Clone, Debug)]
pub struct LiveQuery {
    text: Box<str>,
    expr: Expr,
}

/// Why an expression cannot be followed live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// It is none.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Its value is no number and no set of numbers.
    #[error("a live query gives a scalar or an instant vector, this one a {}", .0.documented())]
    Type(Type),
}

impl PartialEq for LiveQuery {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LiveQuery {}

impl std::hash::Hash for LiveQuery {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl LiveQuery {
    /// Reads an expression.
    ///
    /// # Errors
    /// See [`LiveError`].
    pub fn parse(text: &str) -> Result<Self, LiveError> {
        promql::parse(text)?;
        let text = promql::normalised(text);
        // Once more, so that places in warnings are those of the text that is kept.
        let expr = promql::parse(&text)?;
        match expr.kind() {
            Type::Scalar | Type::Vector => Ok(LiveQuery { text: text.into(), expr }),
            other => Err(LiveError::Type(other)),
        }
    }

    /// The text with one space between all that may have one, and without comments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The series at a time (milliseconds), in the order of the evaluation. A scalar is one without labels.
    ///
    /// # Errors
    /// As [`Query::evaluate`].
    pub fn at(
        &self,
        source: &dyn Source,
        options: &Options,
        at: i64,
        interrupt: &Interrupt,
    ) -> Result<Vec<(Labels, f64)>, Error> {
        let query = Query { text: &self.text, expr: &self.expr, times: Times::Instant(at) };
        match query.evaluate(source, options, interrupt)?.output {
            Output::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
            Output::Vector(_, series) => {
                Ok(series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect())
            }
            Output::Text(..) | Output::Matrix(_) => Ok(Vec::new()),
        }
    }

    /// The series from `start` to `end`, every `step` (milliseconds).
    ///
    /// # Errors
    /// As [`Query::evaluate`].
    pub fn between(
        &self,
        source: &dyn Source,
        options: &Options,
        (start, end, step): (i64, i64, i64),
        interrupt: &Interrupt,
    ) -> Result<Vec<(Labels, Vec<Sample>)>, Error> {
        let times = Times::Range { start, end, step };
        let query = Query { text: &self.text, expr: &self.expr, times };
        match query.evaluate(source, options, interrupt)?.output {
            Output::Matrix(series) => {
                Ok(series.into_iter().map(|(metric, samples)| (metric.to_labels(), samples)).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
