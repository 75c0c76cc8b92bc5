//! Prometheus rule files, evaluated in process.
//!
//! - [`mod@file`] reads a rule file into [`GroupSpec`]s, or tells everything that is wrong with it; [`condition`] is what we know of an
//!   expression beyond its result.
//! - [`Group`] is a group in force and the pure core: [`Group::evaluate`] takes samples and the time, and gives [`Evaluated`]:
//!   reports for the alert manager, and series. `alerting` and `recording` are the two kinds of rules.
//! - [`Rules`] is the task that evaluates the groups over the history; their series reach the table by [`Outbox`], and [`Board`] shows
//!   the groups as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::section::Reading;
use crate::config::yaml::Node;

use crate::query::eval::{self, Interrupt, Options, Output, Query, Times};
use crate::query::promql::{self, ast::Expr};
use crate::query::{Labels, Source};

mod alerting;
pub mod condition;
mod evaluator;
mod feed;
pub mod file;
mod group;
mod load;
mod metrics;
mod overlay;
mod position;
mod recording;
mod threshold;

pub use alerting::{Alert, Since};
pub use evaluator::{Board, Rules, Setup};
pub use feed::{Outbox, RuleFeed};
pub use file::{Alerting, GroupSpec, RuleFile, RuleKind, RuleSpec, Text, parse};
pub use group::{Evaluated, Group, Health, Produced, Results, Rule, Status};
pub use load::built_in;
pub(crate) use load::{BUILT_IN, RUNBOOKS, matching, read, text};
pub(crate) use threshold::with_thresholds;

/// Settings of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `rule_files`: paths, whose parts may hold `*` and `?`; relative ones are so to the folder of the configuration.
    pub patterns: Vec<PathBuf>,
    /// The files that these were when the configuration was read.
    pub files: Vec<RuleFile>,
    /// `global.evaluation_interval` of groups that say none: 1 ms to 1 d; 5 s by default, where Prometheus has 1 m, since
    /// samples come once a second.
    pub interval: Duration,
    /// Are our own rules evaluated? They are by default.
    pub built_in: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { patterns: Vec::new(), files: Vec::new(), interval: Duration::from_secs(5), built_in: true }
    }
}

/// Reads `rule_files`.
pub(crate) fn read_patterns(config: &mut crate::config::Config, reading: &Reading<'_>, node: &Node) {
    let items = reading.list(node, "rule_files").iter();
    let texts = items.filter_map(|item| reading.scalar(item, "rule_files"));
    config.alert.rules.patterns = texts.map(|text| reading.folder().join(text)).collect();
}

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
    /// Where browsers reach this server, for templates; may be empty.
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

#[cfg(test)]
mod tests;
