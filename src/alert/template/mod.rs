//! The templates in rules and messages: what Prometheus' users write of Go's text/template.
//!
//! [`Template::parse`] reads a text once and tells what is wrong with it, with line and column; [`Template::expand`] fills it in with
//! the [`Data`] of an alert. A template for something else names its own variables ([`Template::parse_with`]) and gets its own
//! [`Value`] as dot ([`Template::expand_with`]).
//!
//! - `lex` and `parse` make a tree of the text. What Go refuses when it parses is refused here then: syntax, functions and
//!   variables that do not exist.
//! - `exec` walks the tree; `builtin` has Go's functions, `functions` Prometheus', `format` is `printf`, `time` are Go's times.
//!
//! Templates come from outside and run at each evaluation, so everything is bounded: length of the text, nesting, steps, depth of
//! templates that call each other, the number of queries and of the samples they give, and the length of what is made.
//! What would print an address in Go (a list of samples) prints the samples here; complex numbers are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::query::Labels;

mod builtin;
mod exec;
mod format;
pub(in crate::alert) mod functions;
mod lex;
mod parse;
mod time;
mod value;

#[cfg(test)]
mod tests;

pub use value::{Map, Record, Value};

/// Longest text of a template, in bytes. The longest annotations people write are a hundredth of it.
pub const MAX_TEXT: usize = 64 << 10;

/// Longest text that an expansion may make, in bytes.
pub const MAX_OUTPUT: usize = 256 << 10;

/// The variables of a rule's template, in Prometheus' order.
const RULE_VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

/// A template that was read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Template(Arc<parse::Parsed>);

/// Answers the query of a template with samples, or says why not.
pub type Ask<'a> = dyn Fn(&str) -> Result<Vec<(Labels, f64)>, String> + 'a;

/// What a template asks for.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The address under which this server is known outside, without a slash at the end; may be empty.
    pub external_url: &'a str,
    /// The time of the evaluation, Unix milliseconds: what `now` gives.
    pub now_ms: i64,
    /// Answers `query`: an instant query at the time of the evaluation. A scalar is a sample without labels.
    pub query: &'a Ask<'a>,
}

/// What the template of a rule is filled in with.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// `$labels`, `.Labels`: those of the sample, the metric name among them.
    pub labels: &'a Labels,
    /// `$externalLabels`, `.ExternalLabels`.
    pub external_labels: &'a BTreeMap<String, String>,
    /// `$value`, `.Value`.
    pub value: f64,
    /// What is around it.
    pub env: Env<'a>,
}

/// What is wrong with a template, or why it could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Line of the template's text, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template:{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads the template of a rule, with the variables `$labels`, `$externalLabels`, `$externalURL`, `$value`.
    ///
    /// # Errors
    /// The first thing that is wrong with it. [`MAX_TEXT`] is a bound too.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_with(text, &RULE_VARIABLES)
    }

    /// Reads a template with variables of one's own, whose names begin with `$`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(text: &str, variables: &[&str]) -> Result<Self, TemplateError> {
        parse::parse(text, variables).map(|parsed| Template(Arc::new(parsed)))
    }

    /// Fills in the template of a rule.
    ///
    /// # Errors
    /// What Go would refuse, and what passes a bound: [`MAX_OUTPUT`] and the others.
    pub fn expand(&self, data: &Data<'_>) -> Result<String, TemplateError> {
        if let Some(text) = self.0.plain() {
            return Ok(text.to_owned());
        }
        let labels = Value::texts(data.labels);
        let external_labels = Value::texts(data.external_labels.iter().map(|(n, v)| (&**n, &**v)));
        let external_url = Value::text(data.env.external_url);
        let value = Value::Float(data.value);
        let dot = Value::record(
            "struct",
            vec![
                ("Labels", labels.clone()),
                ("ExternalLabels", external_labels.clone()),
                ("ExternalURL", external_url.clone()),
                ("Value", value.clone()),
            ],
        );
        self.expand_with(dot, &[labels, external_labels, external_url, value], &data.env)
    }

    /// Fills it in with a dot of one's own and the values of the variables it was parsed with.
    ///
    /// # Errors
    /// As [`Self::expand`].
    pub fn expand_with(
        &self,
        dot: Value,
        variables: &[Value],
        env: &Env<'_>,
    ) -> Result<String, TemplateError> {
        exec::expand(&self.0, dot, variables, env)
    }
}
