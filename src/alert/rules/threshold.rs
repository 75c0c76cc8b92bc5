//! A rule file with other thresholds: the numbers that its alerts compare with, exchanged in the text.
//!
//! Where a threshold stands is known from the tree of the expression, whose positions lead back into the file. So all else in the file
//! stays as it is, comments too. A bound of hysteresis (`gaugecast_clear_below`) moves in proportion.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::condition::{self, CLEAR_ABOVE, CLEAR_BELOW};
use super::position;
use crate::config::Position;
use crate::config::yaml::{self, Node, Value};
use crate::query::promql;

/// Rule files with thresholds put in, by `ALERT` or, where an alert has several levels, `ALERT.SEVERITY`.
///
/// # Errors
/// When there is no such alert, when it is not said which level is meant, or when an alert does not consist of one comparison with a
/// number.
pub(crate) fn with_thresholds<'a>(
    files: &[(&'a str, &str)],
    thresholds: &BTreeMap<String, f64>,
) -> Result<Vec<(&'a str, String)>, String> {
    let found: Vec<(usize, Alert)> = files
        .iter()
        .enumerate()
        .flat_map(|(file, (_, text))| alerts(text).into_iter().map(move |alert| (file, alert)))
        .collect();
    let mut edits: Vec<Vec<Edit>> = vec![Vec::new(); files.len()];
    for (key, threshold) in thresholds {
        if !threshold.is_finite() {
            return Err(format!("the threshold of {key} must be a finite number"));
        }
        let (file, alert) = one(&found, key)?;
        edits[*file].extend(alert.edits(*threshold).ok_or_else(|| {
            format!("{key} has no single threshold: it does not consist of one comparison with a number")
        })?);
    }
    Ok(files.iter().zip(edits).map(|((name, text), edits)| (*name, edited(text, edits))).collect())
}

/// The alert that a key names.
fn one<'a>(found: &'a [(usize, Alert)], key: &str) -> Result<&'a (usize, Alert), String> {
    let (name, severity) = key.split_once('.').map_or((key, None), |(name, severity)| (name, Some(severity)));
    let levels: Vec<&(usize, Alert)> = found.iter().filter(|(_, alert)| alert.name == name).collect();
    if levels.is_empty() {
        let names = found.iter().map(|(_, alert)| alert.name.clone());
        let hint = crate::spelling::nearest(name, names)
            .map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(format!("there is no alert {name}{hint}"));
    }
    let mut meant = levels.iter().filter(|(_, alert)| severity.is_none_or(|wanted| alert.severity == wanted));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        _ => {
            let known = levels.iter().fold(String::new(), |mut text, (_, alert)| {
                let _ = write!(text, " {name}.{}", alert.severity);
                text
            });
            Err(format!("{key} says not which level is meant; there are{known}"))
        }
    }
}

/// An alert of a file, and where its numbers stand.
struct Alert {
    name: String,
    severity: String,
    /// The threshold, if there is one and only one.
    threshold: Option<Number>,
    /// The bound of hysteresis.
    clear: Option<Number>,
}

/// A number of the file.
#[derive(Clone, Copy)]
struct Number {
    value: f64,
    at: Position,
    length: usize,
}

/// Another text for a stretch of the file.
#[derive(Clone)]
struct Edit {
    at: Position,
    length: usize,
    to: String,
}

impl Alert {
    fn edits(&self, threshold: f64) -> Option<Vec<Edit>> {
        let edit = |number: &Number, value: f64| Edit {
            at: number.at,
            length: number.length,
            to: value.to_string(),
        };
        let own = self.threshold?;
        // Of a threshold that is zero there is no proportion; the distance stays.
        let moved = |clear: f64| {
            let moved = if own.value == 0.0 { clear + threshold } else { clear * (threshold / own.value) };
            (moved * 1e6).round() / 1e6
        };
        let clear = self.clear.iter().map(|clear| edit(clear, moved(clear.value)));
        Some(clear.chain([edit(&own, threshold)]).collect())
    }
}

fn alerts(text: &str) -> Vec<Alert> {
    let (root, _) = yaml::parse(text);
    let Some(root) = root else { return Vec::new() };
    let rules = items(get(&root, "groups")).iter().flat_map(|group| items(get(group, "rules")));
    rules.filter_map(|rule| alert(text, rule)).collect()
}

fn alert(file: &str, rule: &Node) -> Option<Alert> {
    let (name, node) = (scalar(get(rule, "alert"))?, get(rule, "expr")?);
    let expr = scalar(Some(node))?;
    let tree = promql::parse(expr).ok()?;
    let threshold = condition::threshold(&tree).map(|(value, span)| Number {
        value,
        at: position::within(file, node, expr, span.start),
        length: span.end - span.start,
    });
    let annotations = get(rule, "annotations");
    let bound = |key| {
        let node = get(annotations?, key)?;
        let text = scalar(Some(node))?;
        let at = position::within(file, node, text, 0);
        Some(Number { value: text.parse().ok()?, at, length: text.len() })
    };
    let severity = get(rule, "labels").and_then(|labels| scalar(get(labels, "severity"))).unwrap_or_default();
    Some(Alert {
        name: name.into(),
        severity: severity.into(),
        threshold,
        clear: bound(CLEAR_BELOW).or_else(|| bound(CLEAR_ABOVE)),
    })
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node)
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn scalar(node: Option<&Node>) -> Option<&str> {
    match node.map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => Some(text),
        _ => None,
    }
}

/// The text with its edits, none of which touches another.
fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.at));
    let mut out = text.to_owned();
    for edit in edits {
        let line: usize = text.split_inclusive('\n').take(edit.at.line - 1).map(str::len).sum();
        let column =
            text[line..].char_indices().nth(edit.at.column - 1).map_or(text.len(), |(at, _)| line + at);
        out.replace_range(column..column + edit.length, &edit.to);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
groups:
  - name: g
    rules:
      - {record: a, expr: b > 90}
      - alert: High
        # 90 is much
        expr: >-
          sum by (x) (rate(a{le=\"90\"}[90s]))
          / 90 > 90
          and on (x) b > 90
        labels: {severity: warning}
        annotations: {summary: 'ä 90', gaugecast_clear_below: '81'}
      - alert: High
        expr: a > 95
        labels: {severity: critical}
      - alert: Two
        expr: a > 1 or b > 1
      - alert: Low
        expr: 'a{b=\"it''s\"} < .5'
";

    fn with(thresholds: &[(&str, f64)]) -> Result<String, String> {
        let thresholds = thresholds.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        with_thresholds(&[("f", FILE)], &thresholds).map(|mut files| files.remove(0).1)
    }

    #[test]
    fn only_the_number_that_is_compared_with_changes_and_its_bound_in_proportion() {
        assert_eq!(with(&[]).unwrap(), FILE);
        let want = FILE
            .replace("/ 90 > 90\n", "/ 90 > 100\n")
            .replace("'81'", "'90'")
            .replace("a > 95", "a > 1000000")
            .replace("< .5", "< 0.25");
        assert_eq!(with(&[("High.warning", 100.0), ("High.critical", 1e6), ("Low", 0.25)]).unwrap(), want);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (key, told) in [
            ("Hihg.warning", "did you mean High?"),
            ("High", "there are High.warning High.critical"),
            ("High.info", "there are High.warning High.critical"),
            ("Two", "no single threshold"),
        ] {
            let error = with(&[(key, 1.0)]).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert!(with(&[("Low", f64::NAN)]).is_err());
    }

    #[test]
    fn every_built_in_alert_has_a_threshold_but_those_of_two_comparisons() {
        let files = super::super::BUILT_IN;
        let several = ["DatabaseIssues.critical", "GaugecastRemoteWriteLoses.critical"];
        let mut thresholds = BTreeMap::new();
        for alert in files.iter().flat_map(|(_, text)| alerts(text)) {
            let (key, number) = (format!("{}.{}", alert.name, alert.severity), thresholds.len() as f64);
            thresholds.insert(key, 12000.5 + number);
        }
        for key in several {
            let number = thresholds.remove(key).unwrap();
            assert!(with_thresholds(&files, &BTreeMap::from([(key.to_owned(), number)])).is_err(), "{key}");
        }
        let made = with_thresholds(&files, &thresholds).unwrap();
        let whole: String = made.iter().map(|(_, text)| text.as_str()).collect();
        for (key, number) in &thresholds {
            assert_eq!(whole.matches(&format!(" {number}")).count(), 1, "{key}");
        }
        for ((name, text), (_, before)) in made.iter().zip(files) {
            assert_eq!(super::super::parse(std::path::Path::new(name), text).1, []);
            assert_eq!(text.lines().count(), before.lines().count());
        }
    }
}
