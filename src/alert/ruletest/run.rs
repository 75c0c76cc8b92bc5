//! Runs a test: samples into memory, groups step by step, results beside expectations.
//!
//! At each step, one evaluation interval after the other from time 0 on, the samples up to then are there and all groups are
//! evaluated in their order, each with what those before it have given. The alerts of a step hold until the next. Expressions
//! are evaluated at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::file::{AlertCase, ExprCase, Test, TestFile};
use super::{MAX_WORK, differ};
use crate::alert::Phase;
use crate::alert::rules::condition::{NO_DATA, NoData};
use crate::alert::rules::{Evaluated, Evaluation, Group, GroupSpec, RuleFile, RuleKind};
use crate::clock::Moment;
use crate::query::Labels;
use crate::query::eval::{Interrupt, Options, Output, Query, Times};
use crate::query::promql;
use crate::query::source::{MemorySource, Sample, stale};

/// Alerts by labels and annotations.
type Alerts = Vec<(Labels, BTreeMap<String, String>)>;

/// What does not hold of a test; nothing, if all does.
#[must_use]
pub fn run(file: &TestFile, test: &Test, rules: &[RuleFile]) -> Vec<String> {
    let last = test.alerts.iter().map(|case| case.at).chain(test.exprs.iter().map(|case| case.at)).max();
    let last = last.unwrap_or(0);
    let count: usize = rules.iter().flat_map(|file| &file.groups).map(|group| group.rules.len().max(1)).sum();
    let steps = usize::try_from(last / file.interval).unwrap_or(usize::MAX).saturating_add(1);
    if steps.saturating_mul(count.max(1)) > MAX_WORK {
        return vec![format!(
            "{steps} evaluations of {count} rules are too many; eval_time or evaluation_interval?"
        )];
    }
    let mut bench = Bench::new(file, test, rules);
    let mut failures = Vec::new();
    let mut cases: Vec<&AlertCase> = test.alerts.iter().collect();
    cases.sort_by_key(|case| case.at);
    let mut cases = cases.into_iter().peekable();
    let mut at = 0;
    while at <= last {
        let errors = bench.step(at);
        if !errors.is_empty() {
            failures.extend(errors);
            return failures;
        }
        while let Some(case) = cases.next_if(|case| case.at < at + file.interval) {
            failures.extend(bench.alerts(case));
        }
        at += file.interval;
    }
    failures.extend(test.exprs.iter().filter_map(|case| bench.expr(case, file.fuzzy)));
    failures
}

/// What a test runs on.
struct Bench<'a> {
    test: &'a Test,
    /// How many samples of each series are loaded.
    loaded: Vec<usize>,
    source: MemorySource,
    groups: Vec<Group>,
    /// The series of each rule at the step before.
    given: HashMap<Arc<str>, HashSet<Labels>>,
    options: Options,
}

impl<'a> Bench<'a> {
    fn new(file: &TestFile, test: &'a Test, rules: &[RuleFile]) -> Self {
        let mut specs: Vec<&Arc<GroupSpec>> = rules.iter().flat_map(|file| &file.groups).collect();
        // Those that are not named come with the first, as in promtool.
        specs.sort_by_key(|spec| file.order.iter().position(|name| **name == *spec.name).unwrap_or(0));
        let interval = Duration::from_millis(file.interval.unsigned_abs());
        let groups = specs.into_iter().map(|spec| Group::new(Arc::new(as_prometheus(spec)), interval));
        Bench {
            test,
            loaded: vec![0; test.series.len()],
            source: MemorySource::default(),
            groups: groups.collect(),
            given: HashMap::new(),
            options: Options { subquery_step: file.interval, ..Options::default() },
        }
    }

    /// Loads the samples up to a time and evaluates the groups. Gives what failed.
    fn step(&mut self, at: i64) -> Vec<String> {
        for ((labels, samples), loaded) in self.test.series.iter().zip(&mut self.loaded) {
            for sample in samples[*loaded..].iter().take_while(|sample| sample.t <= at) {
                self.source.add(labels, *sample);
                *loaded += 1;
            }
        }
        let now = Moment { since_start: Duration::from_millis(at.unsigned_abs()), unix_ms: at };
        let interrupt = Interrupt::default();
        let mut failures = Vec::new();
        for group in &mut self.groups {
            let with = Evaluation {
                source: &self.source,
                options: &self.options,
                interrupt: &interrupt,
                external_labels: &self.test.external_labels,
                external_url: &self.test.external_url,
            };
            let evaluated: Evaluated = group.evaluate(&with, now);
            for rule in group.rules() {
                if let Some(error) = &rule.status().error {
                    let (name, time) = (&rule.spec().name, differ::time(at));
                    failures.push(format!("rule {name} cannot be evaluated at {time}: {error}"));
                }
            }
            for results in evaluated.results {
                let new: HashSet<Labels> =
                    results.samples.iter().map(|sample| sample.labels.clone()).collect();
                let old = self.given.insert(Arc::clone(&results.source), new).unwrap_or_default();
                // A series that is over is marked so, and what comes at the same time replaces the mark.
                for labels in old {
                    self.source.add(&labels, Sample { t: at, v: stale() });
                }
                for sample in results.samples {
                    self.source.add(&sample.labels, Sample { t: sample.at_ms, v: sample.value });
                }
            }
        }
        failures
    }

    /// Compares the alerts that fire.
    fn alerts(&self, case: &AlertCase) -> Option<String> {
        let rules = self.groups.iter().flat_map(Group::rules);
        let of_name = rules.filter(|rule| {
            *rule.spec().name == *case.name && matches!(rule.spec().kind, RuleKind::Alerting(_))
        });
        let alerts = of_name.flat_map(|rule| rule.alerts().map(move |alert| (rule, alert)));
        let mut pending = 0;
        let mut got: Alerts = Vec::new();
        for (_, alert) in alerts {
            match alert.phase {
                Phase::Firing => {
                    got.push((alert.labels.clone(), with_text(&alert.annotations)));
                }
                Phase::Pending => pending += 1,
            }
        }
        let mut expected: Alerts = case
            .expected
            .iter()
            .map(|(labels, annotations)| (labels.clone(), with_text(annotations)))
            .collect();
        got.sort();
        expected.sort();
        (got != expected).then(|| differ::alerts(case, &expected, &got, pending))
    }

    /// Compares the samples of an expression.
    fn expr(&self, case: &ExprCase, fuzzy: bool) -> Option<String> {
        let mut got = match self.ask(case) {
            Ok(got) => got,
            Err(message) => return Some(differ::failed(case, &message)),
        };
        let mut expected = case.expected.clone();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let same = |a: f64, b: f64| a == b || (fuzzy && differ::nearly(a, b));
        let equal = got.len() == expected.len()
            && got
                .iter()
                .zip(&expected)
                .all(|(got, expected)| got.0 == expected.0 && same(got.1, expected.1));
        (!equal).then(|| differ::samples(case, &expected, &got))
    }

    fn ask(&self, case: &ExprCase) -> Result<Vec<(Labels, f64)>, String> {
        let expr = promql::parse(&case.text).map_err(|error| error.to_string())?;
        let query = Query { text: &case.text, expr: &expr, times: Times::Instant(case.at) };
        let answer = query
            .evaluate(&self.source, &self.options, &Interrupt::default())
            .map_err(|error| error.to_string())?;
        match answer.output {
            Output::Vector(_, series) => {
                Ok(series.into_iter().map(|(metric, value)| (metric.to_labels(), value)).collect())
            }
            Output::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
            Output::Text(..) | Output::Matrix(_) => Err("rule result is not a vector or scalar".into()),
        }
    }
}

/// Without annotations that are empty, which Prometheus does not have.
fn with_text(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.iter().filter(|(_, text)| !text.is_empty()).map(|(n, t)| (n.clone(), t.clone())).collect()
}

/// A group as Prometheus would run it: an alert without data is over, where the rule does not say otherwise.
fn as_prometheus(spec: &GroupSpec) -> GroupSpec {
    let mut spec = spec.clone();
    for rule in &mut spec.rules {
        if let RuleKind::Alerting(alerting) = &mut Arc::make_mut(rule).kind
            && !alerting.annotations.contains_key(NO_DATA)
        {
            alerting.no_data = NoData::Ok;
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::alert::ruletest::test;

    fn folder(rules: &str, tests: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yml"), rules).expect("written");
        std::fs::write(folder.path().join("a.test.yml"), format!("rule_files: [rules.yml]\n{tests}"))
            .expect("written");
        folder
    }

    fn failures(path: &Path) -> Vec<String> {
        let verdict = test(path, &[]);
        verdict.errors.into_iter().chain(verdict.tests.into_iter().flat_map(|test| test.failures)).collect()
    }

    const RULE: &str =
        "groups: [{name: g, rules: [{alert: A, expr: m > 0, annotations: {v: '{{ $value }}'}}]}]";

    #[test]
    fn a_difference_names_the_annotation_that_differs() {
        let cases = "tests: [{interval: 1m, input_series: [{series: 'm{a=\"b\"}', values: '1'}], alert_rule_test: \
                     [{eval_time: 0m, alertname: A, exp_alerts: [{exp_labels: {a: b}, exp_annotations: {v: '2'}}]}]}]";
        let folder = folder(RULE, cases);
        assert_eq!(
            failures(&folder.path().join("a.test.yml")),
            [
                "line 2: alert A at 0s: 1 expected, 1 firing\n    {a=\"b\", alertname=\"A\"}\n      - expected v: \"2\"\n      \
              + got      v: \"1\""
            ]
        );
    }

    #[test]
    fn an_alert_without_data_is_over_at_once_unless_the_rule_says_otherwise() {
        let cases = "tests: [{interval: 1m, input_series: [{series: m, values: '1 stale'}], alert_rule_test: \
                     [{eval_time: 1m, alertname: A, exp_alerts: []}]}]";
        let plain = folder(RULE, cases);
        assert_eq!(failures(&plain.path().join("a.test.yml")), [""; 0]);
        let kept = folder(&RULE.replace("{v:", "{gaugecast_no_data: keep, v:"), cases);
        assert_eq!(failures(&kept.path().join("a.test.yml")).len(), 1);
    }

    #[test]
    fn a_test_that_would_take_forever_is_refused() {
        let cases = "tests: [{interval: 1m, alert_rule_test: [{eval_time: 200y, alertname: A}]}]";
        let folder = folder(RULE, cases);
        let told = failures(&folder.path().join("a.test.yml"));
        assert!(told.len() == 1 && told[0].contains("too"), "{told:?}");
        let many = "tests: [{input_series: [{series: m, values: '1x9999999'}]}]";
        std::fs::write(folder.path().join("a.test.yml"), many).expect("written");
        assert!(failures(&folder.path().join("a.test.yml"))[0].contains("more than 1000000 values"));
    }
}
