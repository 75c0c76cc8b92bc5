//! Grafana's own alerting, made of the rule files: for those who alert from Grafana and not from Prometheus.
//!
//! A rule becomes three steps, the same that Grafana makes of a Prometheus rule on import: the query `A`, as it stands in the rule; `B`,
//! which is 1 for each series that the query gives, whatever its value; the condition `C`, which is `B > 0`. So a series that the
//! expression gives alerts, and none is all right, as in Prometheus. What is recorded is left to Prometheus.
//!
//! Grafana wants the titles in a folder to differ, and makes the label `alertname` of the title. So each level has a folder of its own,
//! and the two levels of `HighLatency` keep its name.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{File, Options, prometheus, quoted};
use crate::alert::Severity;
use crate::alert::rules::file::OURS;
use crate::alert::rules::{Alerting, GroupSpec, RuleKind, RuleSpec, parse};

/// The data source that the rules ask; that of `grafana/provisioning/datasources`.
const DATA_SOURCE: &str = "gaugecast-prometheus";

/// From one evaluation to the next: the shortest that Grafana knows.
const INTERVAL: &str = "10s";

const FOLDER: &str = "grafana/provisioning/alerting";

pub(super) fn files(options: &Options) -> Vec<File> {
    let fixed = [
        ("contact-points", include_str!("../../grafana/provisioning/alerting/contact-points.yml")),
        ("policies", include_str!("../../grafana/provisioning/alerting/policies.yml")),
        ("templates", include_str!("../../grafana/provisioning/alerting/templates.yml")),
    ];
    let mut files = vec![File::new(format!("{FOLDER}/rules.yml"), rules(&prometheus::rules(options)))];
    files.extend(fixed.map(|(name, text)| File::new(format!("{FOLDER}/{name}.yml"), text)));
    files
}

/// The groups of rule files, by level.
fn rules(files: &[(&'static str, String)]) -> String {
    let mut text = String::from(
        "# Made of rules/*.rules.yml by `gaugecast provision --only grafana`; change those. Grafana evaluates these rules itself, over the\n\
         # data source, so they need neither rules in Prometheus nor an Alertmanager beside it.\n\
         apiVersion: 1\n\ngroups:\n",
    );
    let groups: Vec<_> =
        files.iter().flat_map(|(name, text)| parse(Path::new(name), text).0.groups).collect();
    for level in [Severity::Emergency, Severity::Critical, Severity::Warning, Severity::Info] {
        for group in &groups {
            self::group(&mut text, group, level);
        }
    }
    text
}

/// The rules of one level in a group, as a group.
fn group(text: &mut String, group: &GroupSpec, level: Severity) {
    let level = level.as_str();
    let of_level = |rule: &RuleSpec| rule.labels.get("severity").is_some_and(|label| label.text == level);
    let mut rules = group.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Alerting(alerting) if of_level(rule) => Some((rule, alerting)),
        _ => None,
    });
    let Some(first) = rules.next() else { return };
    let name = quoted(&group.name);
    let _ = write!(
        text,
        "  - orgId: 1\n    name: {name}\n    folder: 'gaugecast {level}'\n    interval: {INTERVAL}\n    rules:\n"
    );
    for (rule, alerting) in std::iter::once(first).chain(rules) {
        self::rule(text, rule, alerting, level);
    }
}

fn rule(text: &mut String, rule: &RuleSpec, alerting: &Alerting, level: &str) {
    let (name, expr) = (&*rule.name, quoted(&rule.text));
    let _ = write!(
        text,
        "      - uid: gc-{}-{}
        title: {name}
        condition: C
        data:
          - refId: A
            relativeTimeRange: {{from: 600, to: 0}}
            datasourceUid: {DATA_SOURCE}
            model:
              refId: A
              datasource: {{type: prometheus, uid: {DATA_SOURCE}}}
              expr: {expr}
              instant: true
              range: false
          - refId: B
            datasourceUid: __expr__
            model:
              refId: B
              datasource: {{type: __expr__, uid: __expr__}}
              type: math
              expression: is_number($A) || is_nan($A) || is_inf($A)
          - refId: C
            datasourceUid: __expr__
            model:
              refId: C
              datasource: {{type: __expr__, uid: __expr__}}
              type: threshold
              expression: B
              conditions:
                - evaluator: {{type: gt, params: [0]}}
        noDataState: OK
        execErrState: Error
        for: {}s
        missing_series_evals_to_resolve: 1
",
        name.to_lowercase(),
        &level[..1],
        alerting.hold.as_secs(),
    );
    if !alerting.keep.is_zero() {
        let _ = writeln!(text, "        keepFiringFor: {}s", alerting.keep.as_secs());
    }
    let labels = rule.labels.iter().map(|(name, label)| (name, template(&label.text))).collect();
    pairs(text, "labels", &labels);
    let theirs = alerting.annotations.iter().filter(|(name, _)| !name.starts_with(OURS));
    pairs(text, "annotations", &theirs.map(|(name, label)| (name, template(&label.text))).collect());
}

fn pairs(text: &mut String, key: &str, pairs: &BTreeMap<&String, String>) {
    let _ = writeln!(text, "        {key}:");
    for (name, value) in pairs {
        let _ = writeln!(text, "          {name}: {}", quoted(value));
    }
}

/// A template of Prometheus as one of Grafana: the number is that of the query `A`. Variables with a dollar are avoided, since some
/// versions of Grafana take those in these files for variables of the environment.
fn template(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap_or((after, ""));
        let _ = write!(out, "{before}{{{{{}}}}}", self::action(action));
        rest = after;
    }
    out + rest
}

fn action(text: &str) -> String {
    let words = text.split_inclusive(' ').map(|word| {
        let bare = word.trim_end();
        let space = &word[bare.len()..];
        match (bare.strip_prefix("$labels."), bare) {
            // A label that is missing is no text in Grafana, and nothing that a function takes.
            (Some(label), _) if text.trim_start().starts_with("or ") => {
                format!("(index .Labels \"{label}\"){space}")
            }
            (Some(label), _) => format!(".Labels.{label}{space}"),
            (_, "$value") => format!(".Values.A.Value{space}"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_say_the_same_in_grafana() {
        for (ours, theirs) in [
            ("no template, 5 $", "no template, 5 $"),
            ("{{ $labels.job }} and {{$value}}", "{{ .Labels.job }} and {{.Values.A.Value}}"),
            ("{{ $value | printf \"%.0f\" }} of", "{{ .Values.A.Value | printf \"%.0f\" }} of"),
            (
                "{{ or $labels.instance \"this host\" }} is up",
                "{{ or (index .Labels \"instance\") \"this host\" }} is up",
            ),
        ] {
            assert_eq!(template(ours), theirs);
        }
    }

    #[test]
    fn no_text_of_a_rule_has_a_variable_that_grafana_does_not_know() {
        let text = rules(&prometheus::rules(&Options::default()));
        let left: Vec<&str> =
            text.lines().filter(|line| line.contains('$') && !line.contains("is_number(")).collect();
        assert_eq!(left, Vec::<&str>::new());
        assert_eq!(text.matches("title: ").count(), text.matches("runbook_url: ").count());
    }

    #[test]
    fn a_uid_is_as_short_as_grafana_wants_it_and_names_one_rule() {
        let text = rules(&prometheus::rules(&Options::default()));
        let uids: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- uid: ")).collect();
        let different: std::collections::BTreeSet<&&str> = uids.iter().collect();
        assert_eq!(different.len(), uids.len());
        let long: Vec<_> = uids.iter().filter(|uid| uid.len() > 40).collect();
        assert!(long.is_empty(), "{long:?}");
    }
}
