//! Prometheus rule files, evaluated in process.
//!
//! - [`file`] reads a rule file into [`GroupSpec`]s, or tells everything that is wrong with it; [`condition`] is what we know of an
//!   expression beyond its result.
//! - [`Group`] is a group in force and the pure core: [`Group::evaluate`] takes samples and the time, and gives [`Evaluated`]:
//!   reports for the alert manager, series, notices. `alerting` and `recording` are the two kinds of rules.

use std::collections::BTreeMap;

use crate::query::eval::{self, Interrupt, Options, Output, Query, Times};
use crate::query::promql::{self, ast::Expr};
use crate::query::{Labels, Source};

mod alerting;
pub mod condition;
mod expand;
pub mod file;
mod group;
mod overlay;
mod position;
mod recording;

pub use alerting::{Alert, Since};
pub use file::{Alerting, GroupSpec, RuleFile, RuleKind, RuleSpec, Text, parse};
pub use group::{Evaluated, Group, Health, Notice, Produced, Results, Rule, Status};

/// Settings of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}

/// What rules are evaluated with.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The samples.
    pub source: &'a dyn Source,
    /// How expressions are evaluated.
    pub options: &'a Options,
    /// Ends the evaluation from outside.
    pub interrupt: &'a Interrupt,
    /// `global.external_labels`, for templates.
    pub external_labels: &'a BTreeMap<String, String>,
    /// `web.external_url`, for templates; may be empty.
    pub external_url: &'a str,
}

impl Evaluation<'_> {
    /// The samples that an expression gives at a time, Unix milliseconds; a scalar is a sample without labels.
    fn ask(&self, text: &str, expr: &Expr, at_ms: i64) -> Result<Vec<(Labels, f64)>, String> {
        let query = Query { text, expr, times: Times::Instant(at_ms) };
        let answer = query
            .evaluate(self.source, self.options, self.interrupt)
            .map_err(|error: eval::Error| error.to_string())?;
        match answer.output {
            Output::Vector(_, series) => {
                Ok(series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect())
            }
            Output::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
            Output::Text(..) | Output::Matrix(_) => Err("rule result is not a vector or scalar".into()),
        }
    }

    /// As [`ask`](Self::ask), for the queries of templates.
    fn ask_text(&self, text: &str, at_ms: i64) -> Result<Vec<(Labels, f64)>, String> {
        let expr = promql::parse(text).map_err(|error| error.to_string())?;
        self.ask(text, &expr, at_ms)
    }
}
