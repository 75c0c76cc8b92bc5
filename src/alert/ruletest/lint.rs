//! What is allowed in a rule file and yet hardly meant.

use std::collections::HashMap;

use crate::alert::rules::{RuleFile, RuleKind};
use crate::config::{ConfigError, Place};

/// Rules that are there twice: same kind, name and labels, in all files together. promtool's `duplicate-rules`.
#[must_use]
pub fn duplicates(files: &[RuleFile]) -> Vec<ConfigError> {
    let mut seen = HashMap::new();
    let mut found = Vec::new();
    for file in files {
        for rule in file.groups.iter().flat_map(|group| &group.rules) {
            let is_alert = matches!(rule.kind, RuleKind::Alerting(_));
            let labels: Vec<(String, String)> =
                rule.labels.iter().map(|(name, label)| (name.clone(), label.text.clone())).collect();
            let place = format!("{}:{}", file.path.display(), rule.at.line);
            match seen.get(&(is_alert, rule.name.clone(), labels.clone())) {
                Some(first) => found.push(ConfigError {
                    place: Place::File(file.path.clone(), Some(rule.at)),
                    message: format!("duplicate rule: {} with the same labels is in {first} too", rule.name),
                    source_line: file.text.lines().nth(rule.at.line.saturating_sub(1)).map(str::to_owned),
                }),
                None => {
                    seen.insert((is_alert, rule.name.clone(), labels), place);
                }
            }
        }
    }
    found
}
