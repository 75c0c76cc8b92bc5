//! Groups over samples in memory, at times that are given.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::alert::{Phase, Report};
use crate::clock::Moment;
use crate::query::source::{MemorySource, Sample, stale};

/// Second 0 of the tests, Unix milliseconds.
const T0: i64 = 1_700_000_000_000;

/// A group of one file over samples, and a clock.
struct World {
    source: MemorySource,
    group: Group,
    /// Seconds by which the wall clock was set.
    step: i64,
}

fn group(text: &str) -> Group {
    let (file, faults) = parse(Path::new("r.yml"), text);
    assert_eq!(faults, [], "{text}");
    Group::new(file.groups[0].clone(), Duration::from_secs(5))
}

impl World {
    /// A rule called A with keys of its own.
    fn rule(expr: &str, more: &str) -> Self {
        World::of(&format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n{more}"))
    }

    fn of(text: &str) -> Self {
        World { source: MemorySource::default(), group: group(text), step: 0 }
    }

    fn now(&self, second: u64) -> Moment {
        let since_start = Duration::from_secs(1000 + second);
        let unix_ms = T0 + (i64::try_from(second).expect("a small number") + self.step) * 1000;
        Moment { since_start, unix_ms }
    }

    fn set(&mut self, second: u64, series: &str, value: f64) {
        let t = self.now(second).unix_ms;
        self.source.add(&Labels::from_key(series), Sample { t, v: value });
    }

    fn evaluate(&mut self, second: u64) -> Evaluated {
        let with = Evaluation {
            source: &self.source,
            options: &Options::default(),
            interrupt: &Interrupt::default(),
            external_labels: &BTreeMap::new(),
            external_url: "http://here",
        };
        let now = self.now(second);
        self.group.evaluate(&with, now)
    }

    /// Sets the value of `m` and evaluates: phases and labels of the alerts.
    fn at(&mut self, second: u64, value: Option<f64>) -> String {
        self.set(second, "m", value.unwrap_or(stale()));
        let evaluated = self.evaluate(second);
        told(&evaluated.reports)
    }

    /// Another life with the same rules, `away` seconds after second `second`.
    fn restart(self, second: u64, away: u64) -> Self {
        let saved = self.group.save(self.now(second));
        let saved = serde_json::to_string(&saved).expect("written");
        let mut saved: BTreeMap<_, _> =
            serde_json::from_str::<Vec<_>>(&saved).expect("read").into_iter().collect();
        let mut group = Group::new(self.group.spec().clone(), Duration::from_secs(5));
        group.restore(&mut saved, Duration::from_secs(away), self.now(second + away));
        assert!(saved.is_empty());
        World { group, ..self }
    }
}

fn told(reports: &[Report]) -> String {
    let alerts = reports.iter().flat_map(|report| &report.active).map(|alert| match alert.phase {
        Phase::Pending => "pending",
        Phase::Firing => "firing",
    });
    alerts.collect::<Vec<_>>().join(" ")
}

#[test]
fn an_alert_is_pending_for_its_time_and_an_interruption_begins_it_anew() {
    let mut world = World::rule("m > 5", "    for: 10s\n");
    assert_eq!(world.at(0, Some(1.0)), "");
    assert_eq!(world.at(5, Some(6.0)), "pending");
    assert_eq!(world.at(10, Some(6.0)), "pending");
    assert_eq!(world.at(14, Some(4.0)), "");
    assert_eq!(world.at(15, Some(6.0)), "pending");
    assert_eq!(world.at(24, Some(6.0)), "pending");
    assert_eq!(world.at(25, Some(7.0)), "firing");
    let report = world.evaluate(26).reports.remove(0);
    assert_eq!(&*report.source, "r.yml;g;A;0");
    let alert = &report.active[0];
    assert_eq!((alert.active_at_ms, alert.fired_at_ms, alert.value), (T0 + 15_000, Some(T0 + 25_000), 7.0));
    assert_eq!(alert.labels.to_string(), r#"{alertname="A"}"#);
    assert_eq!(&*alert.generator, "/#query?expr=m%20%3E%205");
    assert_eq!(world.at(30, Some(5.0)), "");
}

#[test]
fn without_a_time_it_fires_at_once() {
    assert_eq!(World::rule("m > 5", "").at(0, Some(6.0)), "firing");
}

#[test]
fn what_fired_is_kept_for_its_time_and_one_that_returns_begins_no_new_alert() {
    let mut world = World::rule("m > 5", "    keep_firing_for: 10s\n");
    assert_eq!(world.at(0, Some(6.0)), "firing");
    assert_eq!(world.at(5, Some(4.0)), "firing");
    assert_eq!(world.at(14, Some(4.0)), "firing");
    assert_eq!(world.at(14, Some(6.0)), "firing");
    assert_eq!(world.at(20, Some(4.0)), "firing");
    assert_eq!(world.at(29, Some(4.0)), "firing");
    assert_eq!(
        world.group.rules()[0].alerts().next().and_then(|a| a.keep).map(|k| k.at_ms),
        Some(T0 + 20_000)
    );
    assert_eq!(world.at(30, Some(4.0)), "");
    let mut pending = World::rule("m > 5", "    for: 1m\n    keep_firing_for: 10s\n");
    assert_eq!(pending.at(0, Some(6.0)), "pending");
    assert_eq!(pending.at(5, Some(4.0)), "", "what is pending is not kept");
}

#[test]
fn a_clock_that_is_set_changes_neither_for_nor_keep_firing_for() {
    for step in [-7200, 7200] {
        let mut world = World::rule("m > 5", "    for: 10s\n    keep_firing_for: 10s\n");
        assert_eq!(world.at(0, Some(6.0)), "pending");
        world.step = step;
        world.source.clear();
        assert_eq!(world.at(5, Some(6.0)), "pending", "{step}");
        assert_eq!(world.at(10, Some(6.0)), "firing", "{step}");
        assert_eq!(world.at(15, Some(4.0)), "firing", "{step}");
        world.step = 0;
        world.source.clear();
        assert_eq!(world.at(20, Some(4.0)), "firing", "{step}");
        assert_eq!(world.at(25, Some(4.0)), "", "{step}");
    }
}

#[test]
fn a_held_alert_is_over_when_the_number_has_passed_the_bound() {
    let mut world =
        World::rule("m > 90", "    annotations: {gaugecast_clear_below: '80', v: '{{ $value }}'}\n");
    assert_eq!(world.at(0, Some(85.0)), "", "the bound holds what fires and begins nothing");
    assert_eq!(world.at(5, Some(91.0)), "firing");
    assert_eq!(world.at(10, Some(85.0)), "firing");
    let alert = world.evaluate(10).reports[0].active[0].clone();
    assert_eq!(alert.annotations, BTreeMap::from([("v".to_owned(), "85".to_owned())]));
    assert_eq!(world.at(15, Some(80.0)), "firing");
    assert_eq!(world.at(20, Some(79.9)), "");
    let mut world = World::rule("m < 10 and m > 0", "    annotations: {gaugecast_clear_above: '20'}\n");
    assert_eq!(world.at(0, Some(9.0)), "firing");
    assert_eq!(world.at(5, Some(15.0)), "firing");
    assert_eq!(world.at(10, Some(20.5)), "");
    let mut pending = World::rule("m > 90", "    for: 1m\n    annotations: {gaugecast_clear_below: '80'}\n");
    assert_eq!(pending.at(0, Some(91.0)), "pending");
    assert_eq!(pending.at(5, Some(85.0)), "");
}

#[test]
fn without_data_an_alert_is_kept_for_two_intervals_and_that_it_ends_is_told() {
    let mut world = World::rule("m > 5", "");
    assert_eq!(world.at(0, Some(6.0)), "firing");
    assert_eq!(world.at(5, None), "firing");
    assert_eq!(world.at(10, None), "firing");
    world.set(15, "m", stale());
    let evaluated = world.evaluate(15);
    assert_eq!(told(&evaluated.reports), "");
    let no_data: Vec<_> = evaluated.reports.iter().flat_map(|report| &report.no_data).collect();
    assert!(matches!(&*no_data, [labels] if labels.get("alertname") == Some("A")));
    let mut world = World::rule("m > 5", "");
    assert_eq!(world.at(0, Some(6.0)), "firing");
    assert_eq!(world.at(5, None), "firing");
    assert_eq!(world.at(10, Some(6.0)), "firing");
    assert_eq!(world.at(15, None), "firing", "the count begins anew");
    assert_eq!(world.at(20, None), "firing");
    assert_eq!(world.at(25, Some(4.0)), "", "there is data, and it is not so");
}

#[test]
fn with_ok_an_alert_without_data_is_over_as_in_prometheus() {
    let mut world = World::rule("m > 5", "    annotations: {gaugecast_no_data: ok}\n");
    assert_eq!(world.at(0, Some(6.0)), "firing");
    assert_eq!(world.at(5, None), "");
}

#[test]
fn with_alert_it_goes_on_and_nothing_at_all_is_an_alert() {
    let mut world = World::rule("m > 5", "    for: 10s\n    annotations: {gaugecast_no_data: alert}\n");
    assert_eq!(world.at(0, Some(6.0)), "pending");
    assert_eq!(world.at(5, None), "pending");
    assert_eq!(world.at(10, None), "firing");
    assert_eq!(world.at(15, Some(4.0)), "");
    assert_eq!(world.at(20, None), "pending");
    assert!(world.evaluate(20).reports[0].active[0].value.is_nan());
    assert_eq!(world.at(30, None), "firing");
    assert_eq!(world.at(35, Some(4.0)), "");
}

#[test]
fn where_nothing_is_compared_no_result_is_the_end() {
    let mut world = World::rule("absent(m)", "");
    assert_eq!(world.at(0, None), "firing");
    assert_eq!(world.at(5, Some(1.0)), "");
}

#[test]
fn a_restart_in_the_middle_takes_the_alerts_along() {
    let keys = "    for: 20s\n    keep_firing_for: 20s\n    annotations: {gaugecast_no_data: ok}\n";
    let mut world = World::rule("m > 5", keys);
    assert_eq!(world.at(0, Some(6.0)), "pending");
    assert_eq!(world.at(15, Some(6.0)), "pending");
    // The 100 s in which nobody looked do not count.
    let mut world = world.restart(15, 100);
    assert_eq!(world.at(115, Some(6.0)), "pending");
    assert_eq!(world.evaluate(115).reports[0].active[0].active_at_ms, T0 + 100_000);
    assert_eq!(world.at(120, Some(6.0)), "firing");
    let mut world = world.restart(121, 300);
    let reports = world.evaluate(421).reports;
    assert_eq!(told(&reports), "firing");
    assert_eq!(
        (reports[0].active[0].active_at_ms, reports[0].active[0].fired_at_ms),
        (T0 + 100_000, Some(T0 + 120_000))
    );
    assert_eq!(world.at(425, Some(4.0)), "firing", "kept");
    let mut world = world.restart(435, 1000);
    assert_eq!(world.at(1440, Some(4.0)), "firing", "ten seconds were left, and five are");
    assert_eq!(world.at(1445, Some(4.0)), "");
}

#[test]
fn after_a_restart_an_alert_waits_for_its_series_as_long_as_queries_look_back() {
    let after = |away| {
        let mut world = World::rule("m > 5", "    annotations: {gaugecast_no_data: ok}\n");
        assert_eq!(world.at(0, Some(6.0)), "firing");
        world.restart(0, away)
    };
    let mut world = after(10);
    for second in [10, 15, 20, 25, 30] {
        assert_eq!(world.at(second, None), "firing", "nothing has been scraped yet");
    }
    assert_eq!(world.at(35, Some(6.0)), "firing");
    assert_eq!(world.at(40, None), "", "once seen, its series is gone when it is gone");
    let mut world = after(10);
    assert_eq!(world.at(10, None), "firing");
    assert_eq!(world.at(15, Some(4.0)), "", "there is data, and it is not so");
    let mut world = after(280);
    assert_eq!(world.at(280, None), "firing");
    assert_eq!(world.at(300, None), "", "five minutes after the last look");
}

#[test]
fn later_rules_see_what_earlier_ones_give_and_what_they_give_no_more() {
    let mut world = World::of(
        "groups:\n- name: g\n  rules:\n  - {record: 'a:b', expr: m * 2, labels: {x: '{{ $value }}'}}\n  \
         - {alert: A, expr: 'a:b > 5', annotations: {gaugecast_no_data: ok, s: 'is {{ $value }}'}}\n  \
         - {record: n, expr: 'count(ALERTS{alertstate=\"firing\"})'}\n",
    );
    world.set(0, "m", 3.0);
    let evaluated = world.evaluate(0);
    let samples = |evaluated: &Evaluated| {
        let all = evaluated.results.iter().flat_map(|results| &results.samples);
        all.map(|sample| format!("{} {}", sample.labels, sample.value)).collect::<Vec<_>>()
    };
    let recorded = r#"{__name__="a:b", x="{{ $value }}"} 6"#;
    assert_eq!(
        samples(&evaluated),
        [
            recorded,
            r#"{__name__="ALERTS", alertname="A", alertstate="firing", x="{{ $value }}"} 1"#,
            r#"{__name__="ALERTS_FOR_STATE", alertname="A", x="{{ $value }}"} 1700000000"#,
            r#"{__name__="n"} 1"#,
        ]
    );
    assert_eq!(evaluated.reports[0].active[0].annotations["s"], "is 6");
    world.source.add(&Labels::new([("__name__", "a:b"), ("x", "{{ $value }}")]), Sample { t: T0, v: 6.0 });
    world.set(5, "m", stale());
    let evaluated = world.evaluate(5);
    assert_eq!(samples(&evaluated), Vec::<String>::new(), "the history still has what is over");
}

#[test]
fn a_rule_that_fails_stops_no_other_and_keeps_its_alerts() {
    let mut world = World::of(
        "groups:\n- name: g\n  limit: 2\n  rules:\n  - {alert: A, expr: 'm > 5'}\n  - {alert: B, expr: 'm > on() group_right n'}\n  \
         - {alert: C, expr: 'vector(1)', labels: {l: x}}\n  - {alert: D, expr: 'label_replace(m, \"i\", \"1\", \"\", \"\")', labels: {i: same}}\n",
    );
    world.set(0, "m{i=\"1\"}", 6.0);
    let evaluated = world.evaluate(0);
    assert_eq!((evaluated.failures, evaluated.reports.len()), (0, 4));
    world.set(5, "m{i=\"1\"}", 6.0);
    world.set(5, "m{i=\"2\"}", 7.0);
    world.set(5, "m{i=\"3\"}", 8.0);
    world.set(5, "n", 1.0);
    let evaluated = world.evaluate(5);
    let errors: Vec<Option<&str>> =
        world.group.rules().iter().map(|rule| rule.status().error.as_deref()).collect();
    assert_eq!(errors[0], Some("exceeded limit of 2 with 3 alerts"));
    assert!(errors[1].is_some_and(|error| error.starts_with("found duplicate series")), "{errors:?}");
    assert_eq!(errors[2], None);
    assert_eq!(errors[3], Some("vector cannot contain metrics with the same labelset"));
    assert_eq!(evaluated.failures, 3);
    let said: Vec<&str> = evaluated.reports.iter().map(|report| &*report.source).collect();
    // Over its limit A has no alerts, and that is told; B and D say nothing, so what they said goes on.
    assert_eq!(said, ["r.yml;g;A;0", "r.yml;g;A;0;limit", "r.yml;g;C;0"]);
    assert_eq!(world.group.rules()[3].alerts().count(), 1);
    assert_eq!(world.group.rules()[3].status().health, Health::Err);
}

#[test]
fn a_rule_that_explodes_has_no_alerts_but_one_about_itself() {
    let mut world = World::rule("m > 0", "");
    for i in 0..=1000 {
        world.set(0, &format!("m{{i=\"{i}\"}}"), 1.0);
    }
    let reports = world.evaluate(0).reports;
    assert_eq!(
        world.group.rules()[0].status().error.as_deref(),
        Some("exceeded limit of 1000 with 1001 alerts")
    );
    assert_eq!((told(&reports), reports[1].origin), ("firing".to_owned(), crate::alert::Origin::Meta));
    assert_eq!(reports[1].active[0].labels.get("rule"), Some("A"));
    world.set(5, "m{i=\"0\"}", 0.0);
    let reports = world.evaluate(5).reports;
    assert_eq!((reports[0].active.len(), reports[1].active.len()), (1000, 0));
    assert_eq!(world.evaluate(6).reports.len(), 1);
}

#[test]
fn labels_that_are_the_same_after_those_of_the_rule_are_refused() {
    let mut world = World::rule("m > 0", "    labels: {i: same}\n");
    world.set(0, "m{i=\"1\"}", 6.0);
    world.set(0, "m{i=\"2\"}", 6.0);
    assert_eq!(world.evaluate(0).failures, 1);
    let told = "vector contains metrics with the same labelset after applying alert labels";
    assert_eq!(world.group.rules()[0].status().error.as_deref(), Some(told));
}

#[test]
fn the_past_is_asked_for_with_a_query_offset() {
    let mut world = World::of("groups:\n- {name: g, query_offset: 10s, rules: [{record: r, expr: m}]}\n");
    world.set(0, "m", 1.0);
    world.set(10, "m", 2.0);
    let evaluated = world.evaluate(10);
    let sample = &evaluated.results[0].samples[0];
    assert_eq!((sample.at_ms, sample.value), (T0, 1.0));
}

#[test]
fn another_version_of_a_group_keeps_the_state_of_the_rules_that_are_in_both() {
    let text = |rules: &str| format!("groups:\n- name: g\n  rules:\n{rules}");
    let a = "  - {alert: A, expr: 'm > 5', for: 10s}\n";
    let mut world = World::of(&text(&format!("{a}  - {{alert: B, expr: 'm > 5'}}\n")));
    world.set(0, "m", 6.0);
    world.evaluate(0);
    let mut next = group(&text(&format!("  - {{alert: C, expr: m}}\n{a}  - {{alert: B, expr: 'm > 4'}}\n")));
    let gone = next.take_over(world.group.clone());
    // Another expression is another alert: under the same name, so its next report tells.
    assert_eq!(gone, [] as [std::sync::Arc<str>; 0]);
    world.group = next;
    world.set(10, "m", 6.0);
    assert_eq!(told(&world.evaluate(10).reports), "firing firing firing");
    let gone = group(&text("  - {alert: C, expr: m}\n")).take_over(world.group);
    assert_eq!(gone.iter().map(|source| &**source).collect::<Vec<_>>(), ["r.yml;g;A;0", "r.yml;g;B;0"]);
}

#[test]
fn every_fault_of_a_file_is_told_with_its_place() {
    let text = "\
groups:
- name: a
  intervall: 5s
  rules:
  - alert: A
    expr: |
      sum(
        up
      ) > foo(up)
    labels: {0x: y, __name__: z}
    annotations:
      gaugecast_clear_below: '5'
      gaugecast_nodata: ok
  - alert: B
    expr: up > 1
    record: b
  - record: c-d
    expr: up
    for: 5s
    annotations: {x: y}
  - expr: up
  - record: e
  - alert: F
    expr: up == 0
    for: 5
    annotations: {gaugecast_clear_above: '3', gaugecast_no_data: maybe}
- name: a
  limit: many
- rules: []
group: 1
";
    let (_, faults) = parse(Path::new("r.yml"), text);
    let told: Vec<String> =
        faults.iter().map(|(at, message)| format!("{}:{}: {message}", at.line, at.column)).collect();
    let wanted = [
        "3:3: unknown key `intervall`",
        "9:11: could not parse expression: unknown function with name \"foo\"",
        "10:14: invalid label name: 0x",
        "10:21: invalid label name: __name__",
        "16:13: only one of 'record' and 'alert' must be set",
        "17:13: invalid recording rule name: c-d",
        "19:10: invalid field 'for' in recording rule",
        "20:18: invalid field 'annotations' in recording rule",
        "21:5: one of 'record' or 'alert' must be set",
        "22:5: field 'expr' must be set in rule",
        "24:11: `gaugecast_clear_above` goes with < or <=, and here is ==",
        "25:10: not a valid duration string: \"5\"",
        "26:66: `gaugecast_no_data` is \"maybe\" and can be ok, keep or alert",
        "27:9: groupname: \"a\" is repeated in the same file (line 2)",
        "28:10: \"many\" is not a whole number",
        "29:3: Groupname must not be empty",
        "30:1: unknown key `group`",
    ];
    for (found, want) in told.iter().zip(wanted) {
        assert!(found.starts_with(want), "{found}\n{want}\n{told:#?}");
    }
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
}

#[test]
fn an_annotation_of_ours_that_nobody_knows_is_refused() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {gaugecast_nodata: ok}}]}]";
    let (_, faults) = parse(Path::new("r.yml"), text);
    assert!(faults[0].1.contains("did you mean `gaugecast_no_data`?"), "{faults:?}");
}
