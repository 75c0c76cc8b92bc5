//! Every state of an alert, and every two that can meet, under a clock that is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::config::{Config, Equal, GroupBy, InhibitRule, Route, Step};
use super::core::Manager;
use super::history::{Change, History};
use super::matcher::Matchers;
use super::silence::NewSilence;
use super::view::{Acknowledge, Filter, HistoryFilter, Refusal, State, Which};
use super::{MOST_ALERTS, Posted};
use crate::alert::{Active, Cause, Delivery, Notification, Origin, Phase, Report, Severity, Status};
use crate::clock::Moment;
use crate::query::Labels;

const EPOCH: i64 = 1_700_000_000_000;

fn at(seconds: u64) -> Moment {
    Moment {
        since_start: Duration::from_secs(seconds),
        unix_ms: EPOCH + i64::try_from(seconds).unwrap() * 1000,
    }
}

/// A manager, its time, and what it has told.
struct World {
    manager: Manager,
    now: u64,
    told: Vec<Notification>,
    changes: Vec<Change>,
}

fn route() -> Route {
    Route { group_wait: Duration::ZERO, group_by: GroupBy::All, ..Route::new("team") }
}

fn config(route: Route) -> Config {
    Config { route: Some(route), ..Config::default() }
}

fn active(name: &str, severity: &str, labels: &[(&str, &str)], phase: Phase, now: u64) -> Active {
    let pairs = [("alertname", name), ("severity", severity)].into_iter().chain(labels.iter().copied());
    Active {
        labels: Labels::new(pairs),
        annotations: BTreeMap::from([("summary".into(), "it is so".into())]),
        phase,
        value: 1.5,
        active_at_ms: at(now).unix_ms,
        fired_at_ms: (phase == Phase::Firing).then(|| at(now).unix_ms),
        generator: "/#explore".into(),
    }
}

impl World {
    fn new(config: Config) -> Self {
        World { manager: Manager::new(config, at(0)), now: 0, told: Vec::new(), changes: Vec::new() }
    }

    fn simple() -> Self {
        World::new(config(route()))
    }

    fn look(&mut self) {
        let effects = self.manager.take_effects();
        self.told.extend(effects.notifications);
        self.changes.extend(effects.events.iter().map(|event| event.change));
    }

    /// Time passes, and the manager wakes whenever it wants to.
    fn until(&mut self, seconds: u64) {
        while let Some(wake) = self.manager.next_wake(at(self.now)) {
            let next = self.now + u64::try_from(wake.as_millis().div_ceil(1000)).unwrap().max(1);
            if next > seconds {
                break;
            }
            self.now = next;
            self.manager.tick(at(self.now));
            self.look();
        }
        self.now = seconds;
        self.manager.tick(at(seconds));
        self.look();
    }

    /// A rule says so at a time. Rules are heard of every minute in between, so that none counts as gone.
    fn say(&mut self, source: &str, seconds: u64, active: Vec<Active>) {
        self.until(seconds);
        let report = Report {
            source: source.into(),
            origin: Origin::Rule,
            at: at(seconds),
            active,
            no_data: Vec::new(),
        };
        self.manager.report(report);
        self.look();
    }

    /// The rule `name` fires at its level, with no labels of its own.
    fn fire(&mut self, name: &str, severity: &str, seconds: u64) {
        self.until(seconds);
        let active = active(name, severity, &[], Phase::Firing, seconds);
        self.say(&format!("{name};{severity}"), seconds, vec![active]);
    }

    fn end(&mut self, name: &str, severity: &str, seconds: u64) {
        self.say(&format!("{name};{severity}"), seconds, Vec::new());
    }

    /// What was told since the last time: receiver, cause, and of each alert name, status, level.
    fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        told.iter().map(shown).collect()
    }

    fn changes(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.changes).into_iter().map(Change::as_str).collect()
    }

    fn state(&self, name: &str) -> Option<State> {
        self.view(name).map(|view| view.state)
    }

    fn view(&self, name: &str) -> Option<super::AlertView> {
        self.manager.list(&Filter::default()).into_iter().find(|view| view.labels["alertname"] == name)
    }

    fn id(&self, name: &str) -> String {
        self.view(name).unwrap().id.to_string()
    }

    fn ack(&mut self, name: &str, for_: Option<u64>) {
        let wish = Acknowledge { by: "ann".into(), note: "mine".into(), for_: for_.map(Duration::from_secs) };
        let id = self.id(name);
        self.manager.acknowledge(&id, wish, at(self.now)).unwrap();
        self.look();
    }

    fn silence(&mut self, matchers: &str, from: u64, until: u64) -> String {
        let silence = NewSilence {
            id: None,
            matchers: Matchers::parse(matchers).unwrap(),
            starts_at_ms: at(from).unix_ms,
            ends_at_ms: at(until).unix_ms,
            created_by: "ann".into(),
            comment: "work".into(),
        };
        let id = self.manager.silence(silence, at(self.now)).unwrap().id;
        self.look();
        id
    }

    /// Written down, and read again by a process that starts `down` seconds later and whose clock counts from 0.
    fn restart(&mut self, config: Config, down: u64) {
        let saved = serde_json::to_string(&self.manager.saved()).unwrap();
        let history = serde_json::to_string(self.manager.saved_history()).unwrap();
        let history: History = serde_json::from_str(&history).unwrap();
        self.now += down;
        // The test goes on in its own time; what the core sees of monotonic time differs in the tests of the clock below.
        self.manager = Manager::restore(config, serde_json::from_str(&saved).unwrap(), history, at(self.now));
        self.look();
    }
}

fn shown(told: &Notification) -> String {
    let alerts: Vec<String> = told
        .alerts
        .iter()
        .map(|one| {
            let status = if one.status == Status::Firing { "firing" } else { "resolved" };
            format!("{} {status} {}", one.labels["alertname"], one.severity)
        })
        .collect();
    let held = if told.suppressed > 0 { format!(" +{}", told.suppressed) } else { String::new() };
    format!("{} {:?}{held}: {}", told.receiver, told.cause, alerts.join(", "))
}

const NONE: [&str; 0] = [];

#[test]
fn an_alert_is_pending_fires_and_is_over_and_each_is_told_once() {
    let mut world = World::simple();
    let pending = active("A", "warning", &[], Phase::Pending, 0);
    world.say("r", 0, vec![pending]);
    assert_eq!((world.state("A"), world.told(), world.changes()), (Some(State::Pending), vec![], vec![]));
    for second in [10, 15, 20] {
        world.say("r", second, vec![active("A", "warning", &[], Phase::Firing, 10)]);
    }
    assert_eq!(world.told(), ["team Firing: A firing warning"]);
    assert_eq!(world.changes(), ["firing"]);
    world.say("r", 30, vec![]);
    world.until(400);
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
    assert_eq!((world.changes(), world.state("A")), (vec!["resolved"], Some(State::Resolved)));
    world.until(30 + 15 * 60);
    assert_eq!(world.state("A"), None);
}

#[test]
fn what_was_pending_and_never_fired_leaves_no_trace() {
    let mut world = World::simple();
    world.say("r", 0, vec![active("A", "warning", &[], Phase::Pending, 0)]);
    world.say("r", 5, vec![]);
    assert_eq!((world.state("A"), world.told(), world.changes()), (None, vec![], vec![]));
}

#[test]
fn rules_that_differ_only_in_severity_are_one_alert_whose_level_changes() {
    let mut config = config(route());
    config.limits.flap_changes = 10;
    let mut world = World::new(config);
    world.fire("A", "warning", 0);
    world.fire("A", "critical", 10);
    assert_eq!(world.told(), ["team Firing: A firing warning", "team Level: A firing critical"]);
    assert_eq!(world.manager.list(&Filter::default()).len(), 1);
    world.end("A", "critical", 20);
    assert_eq!(world.view("A").unwrap().severity, Severity::Warning);
    assert_eq!(world.changes(), ["firing", "level", "level"]);
    // What becomes better is told with the group's interval, so a level that goes up and down tells nothing.
    world.fire("A", "critical", 30);
    world.until(60);
    assert_eq!(world.told(), NONE);
    world.end("A", "warning", 70);
    world.end("A", "critical", 70);
    world.until(400);
    assert_eq!(world.told(), ["team Resolved: A resolved critical"]);
    let standing = world.manager.standing();
    assert_eq!(standing.alerts.len(), 2, "each rule for itself");
    assert!(standing.alerts.iter().all(|alert| alert.ends_at_ms == Some(at(70).unix_ms)));
}

#[test]
fn what_comes_back_within_the_cooldown_is_the_same_alert_and_told_only_if_it_stays() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.end("A", "warning", 290);
    world.until(301);
    assert_eq!(world.told().len(), 2);
    let (id, began) = (world.id("A"), world.view("A").unwrap().starts_at_ms);
    world.fire("A", "warning", 320);
    assert_eq!((world.id("A"), world.view("A").unwrap().starts_at_ms), (id, began));
    world.end("A", "warning", 330);
    world.until(1000);
    assert_eq!(world.told(), NONE, "it went by itself");
    world.changes();
    world.fire("A", "warning", 1000);
    world.end("A", "warning", 1310);
    world.until(1600);
    world.told();
    world.changes();
    world.fire("A", "warning", 1700);
    assert_eq!(world.changes(), ["firing"], "another alert, since the cooldown is over");
    assert_eq!(world.told(), ["team Firing: A firing warning"]);
}

#[test]
fn what_came_back_within_the_cooldown_and_stays_is_told_when_that_is_over() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.end("A", "warning", 299);
    world.until(300);
    world.told();
    world.fire("A", "warning", 310);
    world.until(358);
    assert_eq!(world.told(), NONE);
    world.until(359);
    assert_eq!(world.told(), ["team Firing: A firing warning"]);
    world.end("A", "warning", 500);
    world.until(800);
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
}

#[test]
fn an_alert_that_comes_and_goes_is_told_to_flap_once_and_how_it_is_when_it_is_quiet() {
    let mut world = World::simple();
    for round in 0..5 {
        world.fire("A", "warning", round * 100);
        world.end("A", "warning", round * 100 + 50);
    }
    assert_eq!(world.state("A"), Some(State::Flapping));
    let told = world.told();
    assert_eq!(told.iter().filter(|told| told.contains("Flapping")).count(), 1, "{told:?}");
    world.until(450 + 599);
    assert_eq!((world.told(), world.state("A")), (vec![], Some(State::Flapping)));
    world.until(450 + 600);
    assert_eq!(world.state("A"), Some(State::Resolved));
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
    assert_eq!(world.changes().last(), Some(&"steady"));
}

#[test]
fn flapping_within_the_cooldown_is_told_once_too() {
    let mut world = World::simple();
    for round in 0..6 {
        world.fire("A", "warning", round * 20);
        world.end("A", "warning", round * 20 + 10);
    }
    world.fire("A", "warning", 130);
    for minute in 3..20 {
        world.fire("A", "warning", minute * 60);
    }
    let told = world.told();
    assert_eq!(told, ["team Firing: A firing warning", "team Flapping: A firing warning"]);
    assert_eq!(world.state("A"), Some(State::Firing), "quiet for ten minutes");
    world.end("A", "warning", 1300);
    world.until(1700);
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
}

#[test]
fn what_is_too_much_comes_in_a_digest_and_none_is_lost() {
    let mut world = World::simple();
    for number in 0..20 {
        world.fire(&format!("A{number:02}"), "warning", 1);
    }
    let told = world.told();
    assert_eq!(told.len(), 5);
    world.until(12);
    assert_eq!(world.told(), NONE);
    world.until(13);
    let [digest] = &world.told[..] else { panic!("{:?}", world.told()) };
    assert_eq!((digest.cause, digest.suppressed, digest.alerts.len()), (Cause::Digest, 15, 15));
    world.told();
    assert_eq!(world.manager.stats().held, 0);
}

#[test]
fn a_group_waits_for_others_tells_changes_at_its_interval_and_repeats() {
    let mut by_job = route();
    by_job.group_by = GroupBy::Labels(["job".to_owned()].into());
    by_job.group_wait = Duration::from_secs(30);
    let mut world = World::new(config(by_job));
    let alert = |name, now| active(name, "warning", &[("job", "x")], Phase::Firing, now);
    world.say("1", 0, vec![alert("A", 0)]);
    world.say("2", 20, vec![alert("B", 20)]);
    world.until(29);
    assert_eq!(world.told(), NONE);
    world.until(30);
    assert_eq!(world.told[0].group_labels, BTreeMap::from([("job".to_owned(), "x".to_owned())]));
    assert_eq!(world.told[0].group_key.as_ref(), "{}:{job=\"x\"}");
    assert_eq!(world.told().len(), 1);
    world.say("3", 40, vec![alert("C", 40)]);
    world.say("1", 50, vec![]);
    world.until(329);
    assert_eq!(world.told(), NONE);
    world.until(330);
    let told = world.told();
    assert!(told[0].starts_with("team Firing: ") && told[0].ends_with("A resolved warning"), "{told:?}");
    assert_eq!(told[0].matches("firing").count(), 2);
    // Repeated after four hours, as long as somebody says that it is so.
    for minute in 6..=246 {
        world.say("2", minute * 60, vec![alert("B", 20)]);
        world.say("3", minute * 60, vec![alert("C", 40)]);
    }
    let told = world.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("team Repeat: "), "{told:?}");
}

#[test]
fn routes_are_taken_in_their_order_and_go_on_where_they_say_so() {
    let mut root = route();
    let child = |matchers: &str, receiver: &str, go_on| Route {
        matchers: Matchers::parse(matchers).unwrap(),
        go_on,
        ..Route { receiver: receiver.into(), ..route() }
    };
    root.routes = vec![
        child("severity=critical", "pager", true),
        Route { routes: vec![child("severity=info", "quiet", false)], ..child("job=db", "dba", false) },
        child("job=~d.*", "never", false),
    ];
    let to = |severity: &str, job: &str| {
        let pairs = [("alertname", "A"), ("severity", severity), ("job", job)];
        let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        root.routed(&labels).iter().map(|routed| routed.route.receiver.clone()).collect::<Vec<_>>()
    };
    assert_eq!(to("critical", "db"), ["pager", "dba"]);
    assert_eq!(to("info", "db"), ["quiet"]);
    assert_eq!(to("warning", "web"), ["team"]);
    assert_eq!(to("critical", "web"), ["pager"]);
    assert_eq!(to("warning", "dc"), ["never"]);
}

#[test]
fn a_level_that_falls_ends_the_alert_for_those_who_are_told_only_of_the_worse() {
    let mut root = route();
    root.routes = vec![Route {
        matchers: Matchers::parse("severity=critical").unwrap(),
        receiver: "pager".into(),
        ..route()
    }];
    let mut world = World::new(config(root));
    world.fire("A", "warning", 0);
    world.fire("A", "critical", 10);
    let mut told = world.told();
    told.sort();
    assert_eq!(
        told,
        ["pager Firing: A firing critical", "team Firing: A firing warning", "team Level: A firing critical"]
    );
    world.end("A", "critical", 20);
    world.fire("A", "warning", 100);
    world.until(311);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["pager Resolved: A resolved warning", "team Level: A firing warning"]);
}

#[test]
fn a_silence_holds_back_what_begins_and_never_the_end_of_what_was_told() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.told();
    world.silence("alertname=~\"A|B\"", 0, 1000);
    world.fire("B", "warning", 10);
    assert_eq!(world.view("B").unwrap().silenced_by.len(), 1);
    world.end("A", "warning", 20);
    for minute in 1..16 {
        world.fire("B", "warning", minute * 60);
    }
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
    world.fire("B", "warning", 960);
    world.fire("B", "warning", 1060);
    world.until(1300);
    assert_eq!(world.told(), ["team Firing: B firing warning"], "the silence is over, and it still fires");
    let told = world.changes();
    assert!(told.contains(&"suppressed") && told.contains(&"unsuppressed"), "{told:?}");
}

#[test]
fn a_silence_can_be_to_come_changed_and_ended_and_stays_to_be_read() {
    let mut world = World::simple();
    let id = world.silence("alertname=A", 100, 200);
    let state = |world: &World| world.manager.silences()[0].state.as_str();
    assert_eq!(state(&world), "pending");
    world.until(100);
    assert_eq!(state(&world), "active");
    let silence = world.manager.silences().remove(0);
    let new = NewSilence {
        id: Some(id.clone()),
        matchers: silence.matchers.clone(),
        starts_at_ms: silence.starts_at_ms,
        ends_at_ms: at(500).unix_ms,
        created_by: "bob".into(),
        comment: String::new(),
    };
    assert_eq!(world.manager.silence(new.clone(), at(100)).unwrap().id, id, "only longer: the same");
    let other = NewSilence { matchers: Matchers::parse("alertname=B").unwrap(), ..new.clone() };
    let other = world.manager.silence(other, at(100)).unwrap().id;
    assert_ne!(other, id, "others are meant: another");
    world.manager.expire_silence(&other, at(101)).unwrap();
    assert!(world.manager.silences().iter().all(|silence| silence.state.as_str() == "expired"));
    assert_eq!(world.manager.expire_silence("x", at(101)), Err(Refusal::Unknown("x".into())));
    for (bad, matchers) in [("everything", ""), ("everything in other words", "a=~\".*\"")] {
        let bad_one = NewSilence { id: None, matchers: Matchers::parse(matchers).unwrap(), ..new.clone() };
        assert!(matches!(world.manager.silence(bad_one, at(101)), Err(Refusal::Invalid(_))), "{bad}");
    }
    world.until(6 * 86_400);
    assert!(world.manager.silences().is_empty());
}

#[test]
fn an_alert_inhibits_another_and_two_that_are_both_do_not_inhibit_each_other() {
    let mut config = config(route());
    config.inhibit_rules = Some(vec![InhibitRule {
        source: Matchers::parse("severity=~\"critical|emergency\"").unwrap(),
        target: Matchers::parse("severity!=info").unwrap(),
        equal: Equal::Labels(["host".to_owned()].into()),
    }]);
    let mut world = World::new(config);
    let host = |name, severity, host, now| active(name, severity, &[("host", host)], Phase::Firing, now);
    world.say("1", 0, vec![host("Down", "critical", "a", 0)]);
    world.say("2", 1, vec![host("Slow", "warning", "a", 1), host("Hot", "warning", "b", 1)]);
    world.say("3", 2, vec![host("Dead", "emergency", "a", 2)]);
    let told = world.told();
    assert_eq!(told.len(), 3);
    assert!(!told.iter().any(|told| told.contains("Slow")), "{told:?}");
    assert_eq!(world.view("Slow").unwrap().inhibited_by.len(), 2);
    world.say("1", 60, vec![]);
    world.say("3", 60, vec![]);
    world.say("2", 200, vec![host("Slow", "warning", "a", 1), host("Hot", "warning", "b", 1)]);
    world.until(301);
    assert!(world.told().iter().any(|told| told == "team Firing: Slow firing warning"));
}

#[test]
fn that_somebody_takes_a_group_is_told_when_all_of_it_is_taken() {
    let mut all = route();
    all.group_by = GroupBy::Labels(BTreeSet::new());
    let mut world = World::new(config(all));
    world.fire("A", "warning", 0);
    world.fire("B", "warning", 0);
    world.until(600);
    world.told();
    world.ack("A", None);
    assert_eq!(world.told(), NONE);
    world.ack("B", None);
    assert_eq!(world.told(), ["team Acknowledged: B firing warning, A firing warning"]);
}

#[test]
fn an_acknowledged_alert_is_not_repeated_until_that_runs_out_and_its_end_is_told() {
    let mut short = route();
    short.repeat_interval = Duration::from_secs(600);
    let mut world = World::new(config(short));
    world.fire("A", "warning", 0);
    world.told();
    world.ack("A", Some(1500));
    assert_eq!(world.told(), ["team Acknowledged: A firing warning"]);
    for minute in 1..25 {
        world.fire("A", "warning", minute * 60);
    }
    assert_eq!(world.told(), NONE);
    world.fire("A", "warning", 1500);
    assert_eq!(world.told(), ["team Repeat: A firing warning"]);
    world.ack("A", None);
    world.told();
    world.end("A", "warning", 1600);
    world.until(1900);
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
    let id = world.id("A");
    let wish = Acknowledge { by: "ann".into(), note: String::new(), for_: None };
    assert!(matches!(world.manager.acknowledge(&id, wish.clone(), at(1900)), Err(Refusal::NotFiring(_))));
    assert!(matches!(world.manager.acknowledge("nobody", wish, at(1900)), Err(Refusal::Unknown(_))));
}

#[test]
fn an_acknowledgement_ends_when_the_level_rises_and_not_when_it_falls() {
    let mut world = World::simple();
    world.fire("A", "critical", 0);
    world.fire("A", "warning", 0);
    world.ack("A", None);
    world.end("A", "critical", 10);
    assert!(world.view("A").unwrap().acknowledged.is_some());
    world.fire("A", "emergency", 20);
    assert!(world.view("A").unwrap().acknowledged.is_none());
    assert!(world.told().contains(&"team Level: A firing emergency".to_owned()));
    assert_eq!(world.changes()[2..], ["level", "level", "unacknowledged"]);
}

fn stairs() -> Config {
    let mut root = route();
    root.escalation = vec![
        Step { after: Duration::from_secs(600), receiver: "lead".into(), severity: None },
        Step {
            after: Duration::from_secs(1200),
            receiver: "boss".into(),
            severity: Some(Severity::Emergency),
        },
    ];
    config(root)
}

/// Says every minute that `A` fires.
fn minutes(world: &mut World, minutes: std::ops::RangeInclusive<u64>) {
    for minute in minutes {
        world.fire("A", "warning", minute * 60);
    }
}

#[test]
fn what_nobody_takes_goes_up_step_by_step_and_everybody_hears_of_the_end() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=9);
    assert_eq!(world.told(), ["team Firing: A firing warning"]);
    minutes(&mut world, 10..=10);
    assert_eq!(world.told(), ["lead Escalation: A firing warning"]);
    minutes(&mut world, 11..=19);
    assert_eq!(world.told(), NONE);
    minutes(&mut world, 20..=20);
    let mut told = world.told();
    told.sort();
    assert_eq!(
        told,
        [
            "boss Escalation: A firing emergency",
            "lead Level: A firing emergency",
            "team Level: A firing emergency"
        ]
    );
    minutes(&mut world, 21..=40);
    assert_eq!(world.told(), NONE);
    world.end("A", "warning", 2401);
    world.until(2800);
    let mut told = world.told();
    told.sort();
    assert_eq!(
        told,
        [
            "boss Resolved: A resolved emergency",
            "lead Resolved: A resolved emergency",
            "team Resolved: A resolved emergency"
        ]
    );
}

#[test]
fn escalation_stops_when_somebody_takes_it_and_begins_anew_when_that_runs_out() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=10);
    world.ack("A", Some(1800));
    world.told();
    minutes(&mut world, 11..=39);
    assert_eq!(world.told(), NONE);
    minutes(&mut world, 40..=50);
    assert_eq!(world.told(), ["lead Escalation: A firing warning"], "ten minutes after the snooze");
    world.ack("A", None);
    let taken = ["team Acknowledged: A firing warning", "lead Acknowledged: A firing warning"];
    let mut told = world.told();
    told.sort_by(|a, b| b.cmp(a));
    assert_eq!(told, taken);
    minutes(&mut world, 51..=90);
    assert_eq!(world.told(), NONE);
}

#[test]
fn a_silenced_alert_does_not_escalate_and_its_time_begins_when_the_silence_ends() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=5);
    world.told();
    world.silence("alertname=A", 300, 1800);
    minutes(&mut world, 6..=39);
    assert_eq!(world.told(), NONE);
    minutes(&mut world, 40..=40);
    assert_eq!(world.told(), ["lead Escalation: A firing warning"]);
}

#[test]
fn who_does_not_wait_escalates_by_hand_step_by_step_until_nobody_is_left() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=1);
    world.told();
    let id = world.id("A");
    let next = world.view("A").unwrap().next.unwrap();
    assert_eq!((&*next.receiver, next.severity, next.at_ms), ("lead", None, Some(at(600).unix_ms)));
    assert_eq!(world.manager.escalate_now(&id, "ann", at(60)).unwrap(), ["lead"]);
    world.look();
    assert_eq!(world.told(), ["lead Escalation: A firing warning"]);
    let next = world.view("A").unwrap().next.unwrap();
    assert_eq!((&*next.receiver, next.severity), ("boss", Some(Severity::Emergency)));
    minutes(&mut world, 2..=11);
    assert_eq!(world.told(), NONE, "the step that was taken by hand is not taken again");
    assert_eq!(world.manager.escalate_now(&id, "ann", at(660)).unwrap(), ["boss"]);
    world.look();
    assert!(world.told().contains(&"boss Escalation: A firing emergency".to_owned()));
    assert!(world.view("A").unwrap().next.is_none());
    assert!(matches!(world.manager.escalate_now(&id, "ann", at(661)), Err(Refusal::Invalid(_))));
    let history = world.manager.history(&HistoryFilter { limit: Some(1), ..HistoryFilter::default() });
    assert_eq!(history[0].reason, "ann did not wait: boss is told");
    world.end("A", "warning", 700);
    assert!(matches!(world.manager.escalate_now(&id, "ann", at(701)), Err(Refusal::NotFiring(_))));
}

#[test]
fn what_is_silenced_cannot_be_escalated_and_says_who_would_be_next() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=1);
    world.silence("alertname=A", 60, 1800);
    let id = world.id("A");
    assert!(matches!(world.manager.escalate_now(&id, "ann", at(61)), Err(Refusal::Invalid(_))));
    assert_eq!(world.view("A").unwrap().next.unwrap().at_ms, None);
}

#[test]
fn a_flapping_alert_does_not_escalate() {
    let mut world = World::new(stairs());
    for round in 0..60 {
        world.fire("A", "warning", round * 60);
        world.end("A", "warning", round * 60 + 30);
    }
    let told = world.told();
    assert!(!told.iter().any(|told| told.contains("Escalation")), "{told:?}");
}

#[test]
fn clearing_ends_an_alert_and_what_still_holds_fires_again_after_its_for() {
    let mut world = World::simple();
    let held = |now: u64| {
        let mut active = active("A", "warning", &[], Phase::Firing, now);
        active.active_at_ms = at(0).unix_ms;
        active.fired_at_ms = Some(at(300).unix_ms);
        active
    };
    world.say("r", 300, vec![held(300)]);
    world.told();
    let id = world.id("A");
    let ids = Which::Ids(vec![id.clone(), "0123456789abcdef".into()]);
    let cleared = world.manager.clear(&ids, "ann", at(310));
    assert_eq!((cleared.count, cleared.unknown), (1, vec!["0123456789abcdef".to_owned()]));
    assert_eq!(world.manager.clear(&ids, "ann", at(310)).count, 0, "twice is once");
    assert_eq!(world.state("A"), Some(State::Resolved));
    for second in (320..610).step_by(10) {
        world.say("r", second, vec![held(300)]);
        assert_eq!(world.state("A"), Some(State::Resolved), "{second}");
    }
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
    world.say("r", 610, vec![held(300)]);
    assert_eq!(
        (world.state("A"), world.told()),
        (Some(State::Firing), vec!["team Firing: A firing warning".into()])
    );
    assert_eq!(world.changes(), ["firing", "cleared", "firing"]);
    assert_eq!(world.manager.clear(&Which::All, "ann", at(620)).count, 1);
    let none = Which::Matching(Matchers::parse("alertname=B").unwrap());
    assert_eq!(world.manager.clear(&none, "ann", at(620)).count, 0);
}

#[test]
fn a_source_that_falls_silent_holds_nothing_true() {
    let mut world = World::simple();
    for second in (0..60).step_by(5) {
        world.fire("A", "warning", second);
    }
    world.told();
    world.until(55 + 299);
    assert_eq!(world.state("A"), Some(State::Firing));
    world.until(55 + 300);
    assert_eq!(world.state("A"), Some(State::Resolved));
}

#[test]
fn an_alert_that_is_over_for_want_of_data_says_so() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.until(60);
    let labels = active("A", "warning", &[], Phase::Firing, 0).labels;
    let (source, active) = ("A;warning".into(), Vec::new());
    let report = Report { source, origin: Origin::Rule, at: at(60), active, no_data: vec![labels] };
    world.manager.report(report);
    let last = world.manager.history(&HistoryFilter::default()).remove(0);
    assert_eq!((last.change, &*last.reason), (Change::Resolved, "there is no data for it any more"));
}

#[test]
fn troubles_of_our_own_are_events_and_no_notifications() {
    let mut world = World::simple();
    let meta = Report {
        source: "deliveries".into(),
        origin: Origin::Meta,
        at: at(0),
        active: vec![active("DeliveryFails", "critical", &[], Phase::Firing, 0)],
        no_data: Vec::new(),
    };
    world.manager.report(meta);
    world.until(600);
    assert_eq!((world.told(), world.changes()[0]), (vec![], "firing"));
    assert!(world.manager.standing().alerts.is_empty());
}

#[test]
fn without_a_route_alerts_live_and_nobody_is_told() {
    let mut world = World::new(Config::default());
    world.fire("A", "warning", 0);
    world.end("A", "warning", 100);
    assert_eq!((world.told(), world.changes()), (vec![], vec!["firing", "resolved"]));
}

#[test]
fn a_restart_tells_nothing_twice_and_loses_no_end() {
    let mut world = World::new(stairs());
    minutes(&mut world, 0..=5);
    world.told();
    world.restart(stairs(), 120);
    // The rule waits for its `for` again; to others it fires all the time.
    world.say("A;warning", 450, vec![active("A", "warning", &[], Phase::Pending, 450)]);
    assert_eq!((world.told(), world.state("A")), (vec![], Some(State::Firing)));
    world.say("A;warning", 480, vec![active("A", "warning", &[], Phase::Firing, 480)]);
    assert_eq!(world.told(), NONE);
    world.fire("A", "warning", 600);
    assert_eq!(world.told(), ["lead Escalation: A firing warning"], "its time went on");
    world.restart(stairs(), 60);
    world.end("A", "warning", 700);
    world.until(1100);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["lead Resolved: A resolved warning", "team Resolved: A resolved warning"]);
}

#[test]
fn after_a_restart_an_alert_is_over_only_when_its_source_says_so_or_is_gone() {
    let mut world = World::simple();
    for second in (0..60).step_by(5) {
        world.fire("A", "warning", second);
    }
    world.told();
    world.restart(config(route()), 3600);
    world.until(3655 + 299);
    assert_eq!((world.state("A"), world.told()), (Some(State::Firing), vec![]));
    world.until(3655 + 700);
    assert_eq!(world.told(), ["team Resolved: A resolved warning"]);
}

#[test]
fn everything_that_is_in_the_middle_goes_on_over_a_restart() {
    let build = || {
        let mut world = World::new(stairs());
        minutes(&mut world, 0..=2);
        world.silence("alertname=B", 0, 1000);
        world.fire("B", "warning", 130);
        for number in 0..10 {
            world.fire(&format!("C{number}"), "warning", 131);
        }
        for round in 0..4 {
            world.fire("F", "warning", 140 + round * 20);
            world.end("F", "warning", 150 + round * 20);
        }
        world.ack("A", Some(400));
        world.end("C0", "warning", 230);
        world.fire("C0", "warning", 240);
        world
    };
    let (mut whole, mut cut) = (build(), build());
    assert_eq!(whole.told(), cut.told());
    cut.restart(stairs(), 0);
    let go_on = |world: &mut World| {
        for minute in 5..60 {
            for name in ["A", "B", "C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9"] {
                world.fire(name, "warning", minute * 60);
            }
        }
        for name in ["A", "B", "C0", "C1"] {
            world.end(name, "warning", 3600);
        }
        world.until(4200);
        let mut told = world.told();
        told.sort();
        told
    };
    let (whole, cut) = (go_on(&mut whole), go_on(&mut cut));
    assert_eq!(whole, cut);
    assert!(whole.iter().any(|told| told.contains("Flapping") || told.contains("Digest")));
}

#[test]
fn the_wall_clock_decides_nothing_but_silences() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.told();
    let set = |seconds: u64, wall: i64| Moment { unix_ms: wall, ..at(seconds) };
    for wall in [i64::MIN / 2, 0, i64::MAX / 2] {
        world.manager.tick(set(30, wall));
        let wake = world.manager.next_wake(set(30, wall)).unwrap();
        assert!(wake <= Duration::from_secs(3600));
    }
    world.look();
    assert_eq!((world.told(), world.state("A")), (vec![], Some(State::Firing)));
}

#[test]
fn a_reload_goes_over_to_the_new_route_and_ends_what_the_old_one_was_told() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    world.told();
    let mut other = Route { receiver: "others".into(), ..route() };
    other.routes = vec![Route { matchers: Matchers::parse("alertname=Z").unwrap(), ..route() }];
    world.manager.configure(config(other), at(10));
    world.fire("A", "warning", 60);
    world.until(301);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["others Firing: A firing warning", "team Resolved: A resolved warning"]);
}

#[test]
fn the_table_is_bounded_and_what_fires_is_not_forgotten_for_others() {
    let mut world = World::new(Config::default());
    let many = |from: usize, count: usize, phase| -> Vec<Active> {
        (from..from + count).map(|n| active("A", "warning", &[("n", &n.to_string())], phase, 0)).collect()
    };
    world.say("r", 0, many(0, MOST_ALERTS, Phase::Firing));
    world.say("s", 1, many(MOST_ALERTS, 5, Phase::Firing));
    assert_eq!(
        (world.manager.list(&Filter::default()).len(), world.manager.stats().dropped),
        (MOST_ALERTS, 5)
    );
    world.say("r", 2, many(0, MOST_ALERTS - 5, Phase::Firing));
    world.say("s", 3, many(MOST_ALERTS, 5, Phase::Firing));
    let firing = Filter { states: vec![State::Firing], ..Filter::default() };
    assert_eq!(world.manager.list(&firing).len(), MOST_ALERTS);
}

#[test]
fn the_history_holds_reasons_and_what_became_of_notifications() {
    let mut world = World::simple();
    world.fire("A", "warning", 0);
    let id = world.told[0].id;
    let delivery = Delivery {
        notification: id,
        receiver: "team".into(),
        integration: "webhook".into(),
        at_ms: at(1).unix_ms,
        error: Some("refused".into()),
    };
    world.manager.delivered(&delivery);
    world.end("A", "warning", 10);
    let all = world.manager.history(&HistoryFilter::default());
    assert_eq!(all.iter().map(|one| one.change).collect::<Vec<_>>(), [Change::Resolved, Change::Firing]);
    assert_eq!(all[1].deliveries, [delivery]);
    let csv = super::history::csv(&all);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[2].split(',').next_back(), Some("1"), "{csv}");
    assert!(lines[2].contains("2023-11-14T22:13:20"), "{csv}");
    assert!(super::history::json(&all).starts_with("[{\"seq\":2,"));
    let one = HistoryFilter {
        since_ms: Some(at(5).unix_ms),
        states: vec![State::Resolved],
        ..HistoryFilter::default()
    };
    assert_eq!(world.manager.history(&one).len(), 1);
    let page = HistoryFilter { before: Some(2), limit: Some(5), ..HistoryFilter::default() };
    assert_eq!(world.manager.history(&page)[0].seq, 1);
}

#[test]
fn what_another_program_posts_lives_as_long_as_it_says() {
    let mut world = World::simple();
    let post = |ends: Option<u64>| Posted {
        labels: Labels::new([("alertname", "P"), ("severity", "page")]),
        annotations: BTreeMap::new(),
        starts_at_ms: Some(at(0).unix_ms),
        ends_at_ms: ends.map(|ends| at(ends).unix_ms),
        generator: "http://prometheus/graph".into(),
    };
    world.manager.post(vec![post(Some(240))], at(0));
    world.look();
    assert_eq!(world.told(), ["team Firing: P firing critical"]);
    world.until(200);
    world.manager.post(vec![post(None)], at(200));
    world.until(499);
    assert_eq!(world.state("P"), Some(State::Firing));
    world.manager.post(vec![post(Some(490))], at(499));
    assert_eq!(world.state("P"), Some(State::Resolved));
    world.until(700);
    assert_eq!(world.told(), ["team Resolved: P resolved critical"]);
}

#[test]
fn a_level_that_leads_to_another_route_of_the_same_receiver_is_a_change_and_no_new_alert() {
    let mut root = route();
    root.routes = vec![Route {
        matchers: Matchers::parse("severity=critical").unwrap(),
        group_wait: Duration::from_secs(30),
        escalation: vec![Step { after: Duration::from_secs(60), receiver: "boss".into(), severity: None }],
        ..route()
    }];
    let mut world = World::new(config(root));
    world.fire("A", "warning", 0);
    world.fire("A", "critical", 10);
    assert_eq!(world.told(), ["team Firing: A firing warning", "team Level: A firing critical"]);
    world.until(60);
    assert_eq!(world.told(), ["boss Escalation: A firing critical"], "by the steps of the new route");
    world.end("A", "critical", 100);
    world.end("A", "warning", 100);
    world.until(500);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["boss Resolved: A resolved warning", "team Resolved: A resolved warning"]);
}
