//! PromQL that is asked again every tick.
//!
//! - [`LiveQuery`] is an expression whose value is wanted at each tick, as a vector; [`derived`] makes some of selectors and
//!   words such as `rate`.
//! - [`Windows`] keeps the decoded samples that live queries look at from one tick to the next, so that a tick costs what
//!   has come since the last one, and what the functions themselves take.
//!
//! The evaluator is the one of all queries: over [`Windows`] it gives the same bits as over the source behind them,
//! which a property test holds.

mod derived;
mod windows;

use hashbrown::HashSet;

use super::eval::{Error, Interrupt, Options, Output, Query, Times};
use super::labels::Labels;
use super::promql::ast::{Expr, Node, Type};
use super::promql::{self, ParseError};
use super::source::{Sample, Source};
use crate::series::selector::Matcher;

pub use derived::{DerivedError, derived};
pub use windows::Windows;

/// An expression that is evaluated again and again, or several whose results stand side by side. Equal if the texts are, but
/// for spaces and comments.
#[derive(Clone, Debug)]
pub struct LiveQuery {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
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
        self.texts().eq(other.texts())
    }
}

impl Eq for LiveQuery {}

impl std::hash::Hash for LiveQuery {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.texts().for_each(|text| text.hash(state));
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, LiveError> {
        promql::parse(text)?;
        let text = promql::normalised(text);
        // Once more, so that places in warnings are those of the text that is kept.
        let expr = promql::parse(&text)?;
        match expr.kind() {
            Type::Scalar | Type::Vector => Ok(Part { text: text.into(), expr }),
            other => Err(LiveError::Type(other)),
        }
    }
}

impl LiveQuery {
    /// Reads an expression.
    ///
    /// # Errors
    /// See [`LiveError`].
    pub fn parse(text: &str) -> Result<Self, LiveError> {
        Self::of([text])
    }

    /// Reads several expressions. Of results with the same labels that of the first stands.
    ///
    /// # Errors
    /// See [`LiveError`], of the first that is none.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, LiveError> {
        Ok(LiveQuery { parts: texts.into_iter().map(Part::parse).collect::<Result<_, _>>()? })
    }

    /// The text of each expression, with one space between all that may have one, and without comments.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| &*part.text)
    }

    /// Memory that the regular expressions of its selectors may take, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let mut weight = 0;
        for part in &self.parts {
            part.expr.walk(&mut |expr| {
                if let Node::Selector(selector) | Node::Range(selector, _) = &expr.node {
                    weight += selector.matchers.iter().map(Matcher::weight).sum::<usize>();
                }
            });
        }
        weight
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
        self.all(|Part { text, expr }| {
            let query = Query { text, expr, times: Times::Instant(at) };
            Ok(match query.evaluate(source, options, interrupt)?.output {
                Output::Scalar(_, value) => vec![(Labels::empty(), value)],
                Output::Vector(_, series) => {
                    series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect()
                }
                Output::Text(..) | Output::Matrix(_) => Vec::new(),
            })
        })
    }

    fn all<T>(
        &self,
        evaluate: impl Fn(&Part) -> Result<Vec<(Labels, T)>, Error>,
    ) -> Result<Vec<(Labels, T)>, Error> {
        if let [one] = &self.parts[..] {
            return evaluate(one);
        }
        let mut all = Vec::new();
        let mut known = HashSet::new();
        for part in &self.parts {
            all.extend(evaluate(part)?.into_iter().filter(|(labels, _)| known.insert(labels.clone())));
        }
        Ok(all)
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
        self.all(|Part { text, expr }| {
            Ok(match (Query { text, expr, times }).evaluate(source, options, interrupt)?.output {
                Output::Matrix(series) => {
                    series.into_iter().map(|(metric, samples)| (metric.to_labels(), samples)).collect()
                }
                _ => Vec::new(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
