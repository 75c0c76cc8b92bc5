//! Rules that record: an expression's result as series of another name.

use std::collections::HashSet;

use super::Evaluation;
use super::file::RuleSpec;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;

/// The series that a rule gives at a time, Unix milliseconds.
pub(super) fn evaluate(
    rule: &RuleSpec,
    with: &Evaluation<'_>,
    limit: usize,
    at_ms: i64,
) -> Result<Vec<(Labels, f64)>, String> {
    let result = with.ask(&rule.text, &rule.expr, at_ms)?;
    let own = rule.labels.iter().map(|(name, label)| (name.as_str(), label.text.as_str()));
    let own: Vec<(&str, &str)> = std::iter::once((METRIC_NAME, &*rule.name)).chain(own).collect();
    let mut seen = HashSet::with_capacity(result.len());
    let mut series = Vec::with_capacity(result.len());
    for (labels, value) in result {
        let labels = Labels::new(labels.iter().chain(own.iter().copied()));
        if !seen.insert(labels.clone()) {
            return Err("vector contains metrics with the same labelset after applying rule labels".into());
        }
        series.push((labels, value));
    }
    if limit > 0 && series.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", series.len()));
    }
    Ok(series)
}
