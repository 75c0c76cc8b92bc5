use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::alert::rules::parse;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::history::{self, Recorder};
use crate::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot as Place, Table};

const T0: i64 = 1_700_000_000_000;

/// A server of one series, `m`, whose ticks are made by hand.
struct World {
    table: Table,
    place: Place,
    publish: watch::Sender<Arc<Tick>>,
    recorder: Recorder,
    rules: Rules,
    reports: mpsc::Receiver<Report>,
    outbox: Outbox,
    second: u64,
}

fn config(rules: &str, interval: Duration) -> Config {
    let (file, faults) = parse(Path::new("r.yml"), rules);
    assert_eq!(faults, []);
    Config { files: vec![file], interval, built_in: false, ..Config::default() }
}

impl World {
    /// Its clock begins at `second`.
    async fn new(rules: &str, interval: Duration, state: Option<&Path>, second: u64) -> Self {
        World::with(rules, interval, state, second, 0.0).await
    }

    async fn with(rules: &str, interval: Duration, state: Option<&Path>, second: u64, value: f64) -> Self {
        let mut table = Table::new(Epoch(1), 10);
        let source = table.add_source("test", Scope::Own);
        let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "".into(), unit: "".into() };
        let none: [(&str, &str); 0] = [];
        let place = table.series(source, &Arc::new(meta), Role::Value, "m", &none).expect("taken");
        let registry = Registry::new();
        let history = History::open(&history::Config::default(), &registry, T0).expect("in memory");
        table.set(place, value, NO_TIME);
        let first = table.commit(moment(second), 0);
        let (ticks, publish) = Ticks::manual(first);
        let recorder = Recorder::start(history.clone(), &ticks);
        let outbox = Outbox::new(&registry).expect("new");
        let (give, reports) = mpsc::channel(100);
        let setup = Setup {
            external_labels: BTreeMap::new(),
            external_url: String::new(),
            options: Options::default(),
            timeout: Duration::from_secs(60),
            state: state.map(|folder| StateFile::new(folder, "rules")),
            history,
            ticks,
            recorded: recorder.recorded(),
            outbox: outbox.clone(),
            reports: give,
        };
        let rules = Rules::start(&config(rules, interval), setup, &registry, Clock::start()).expect("new");
        let mut world = World { table, place, publish, recorder, rules, reports, outbox, second };
        // That of the first tick: an evaluation that runs would make the next one a missed one.
        world.report().await;
        world
    }

    /// The next second, with a value.
    fn tick(&mut self, value: f64) {
        self.second += 1;
        self.table.set(self.place, value, NO_TIME);
        self.publish.send_replace(self.table.commit(moment(self.second), 0));
    }

    /// Waits until the history has the last tick.
    async fn recorded(&self) {
        let offset = self.publish.borrow().offset;
        self.recorder.recorded().wait_for(|known| *known >= offset).await.expect("it runs");
    }

    /// The first report of the last tick.
    async fn report(&mut self) -> Report {
        loop {
            let report = self.reports.recv().await.expect("it runs");
            if report.at == moment(self.second) {
                return report;
            }
        }
    }

    async fn stop(self) {
        self.rules.stop().await;
        self.recorder.stop().await;
    }
}

fn moment(second: u64) -> Moment {
    let unix_ms = T0 + i64::try_from(second).expect("a small number") * 1000;
    Moment { since_start: Duration::from_secs(second), unix_ms }
}

/// Due at each tick.
const OFTEN: Duration = Duration::from_millis(1);

const RULE: &str = "groups: [{name: g, rules: [{alert: A, expr: m > 5}, {record: 'm:x', expr: m}]}]";

#[tokio::test]
async fn a_cause_is_reported_within_an_interval_and_a_tick() {
    let mut world = World::new(RULE, Duration::from_secs(2), None, 1000).await;
    for _ in 0..2 {
        world.tick(6.0);
        world.recorded().await;
    }
    let report = world.reports.recv().await.expect("it runs");
    assert_eq!((report.active.len(), report.active[0].value), (1, 6.0));
    assert!(report.at == moment(world.second) || report.at == moment(world.second - 1), "{:?}", report.at);
    world.stop().await;
}

#[tokio::test]
async fn the_series_of_rules_come_to_the_table_and_go_with_their_rules() {
    let mut world = World::new(RULE, OFTEN, None, 1000).await;
    world.tick(6.0);
    assert_eq!(world.report().await.active.len(), 1);
    let mut intake = Intake::new(Epoch(2), 100);
    let mut feed = world.outbox.feed();
    let mut keys = || {
        feed.take(&mut intake, moment(0));
        let tick = intake.commit(moment(0), 0);
        tick.schema.series().map(|(_, series)| series.key().to_owned()).collect::<BTreeSet<String>>()
    };
    let all = ["ALERTS_FOR_STATE{alertname=\"A\"}", "ALERTS{alertname=\"A\",alertstate=\"firing\"}", "m:x"];
    assert_eq!(keys(), all.map(str::to_owned).into());
    let rest = "groups: [{name: g, rules: [{record: 'm:x', expr: m}]}]";
    world.rules.reload(&config(rest, OFTEN)).await;
    assert_eq!(keys(), ["m:x".to_owned()].into());
    world.tick(6.0);
    let report = world.report().await;
    assert_eq!((&*report.source, report.active.len()), ("r.yml;g;A;0", 0), "that it is over is told");
    assert_eq!(world.rules.board().groups()[0].rules().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn alerts_survive_a_stop_in_the_file_of_the_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "groups: [{name: g, rules: [{alert: A, expr: m > 5}, {alert: B, expr: m > 5, for: 1h}]}]";
    let mut world = World::new(rule, OFTEN, Some(folder.path()), 1000).await;
    world.tick(6.0);
    assert_eq!(world.report().await.active.len(), 1);
    world.stop().await;
    let world = World::with(rule, OFTEN, Some(folder.path()), 2000, 6.0).await;
    let board = world.rules.board().groups();
    let [a, b] = board[0].rules() else { panic!("two rules") };
    let fired = |rule: &super::super::Rule| rule.alerts().next().and_then(|alert| alert.fired_at_ms);
    assert_eq!((a.phase(), fired(a)), (Some(Phase::Firing), Some(moment(1001).unix_ms)), "not anew");
    assert_eq!(b.phase(), Some(Phase::Pending));
    world.stop().await;
}

#[test]
fn a_history_that_is_always_behind_delays_evaluations_and_does_not_prevent_them() {
    let mut table = Table::new(Epoch(1), 10);
    let ticks: Vec<Arc<Tick>> = (0..6).map(|second| table.commit(moment(second), 0)).collect();
    let mut waited = None;
    let mut at = |latest: usize, recorded: usize| {
        let tick = known(&mut waited, Arc::clone(&ticks[latest]), ticks[recorded].offset);
        tick.map(|tick| tick.at.since_start.as_secs())
    };
    assert_eq!(at(0, 0), Some(0), "it has the latest");
    assert_eq!(at(2, 1), None, "that is on its way");
    assert_eq!(at(3, 2), Some(2), "and has come while there was another");
    assert_eq!(at(5, 4), Some(3));
    assert_eq!(at(5, 5), Some(5));
}
