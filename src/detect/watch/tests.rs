//! The core, tick by tick, with time passed in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, Direction, Watch};
use super::event::{Anomaly, Stage};
use super::past::Past;
use super::watcher::{Out, Watcher};
use crate::alert::Phase;
use crate::clock::Moment;
use crate::detect::Spec;
use crate::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Series, Slot, SourceId, Table, Tick};

const START_MS: i64 = 1_700_000_000_000;

fn at(second: u64) -> Moment {
    let unix_ms = START_MS + i64::try_from(second).unwrap() * 1000;
    Moment { since_start: Duration::from_secs(second), unix_ms }
}

/// Small numbers that look random, the same in each run.
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

/// Each tick is an observation, judged by a z-score that needs no patience.
fn quick(name: &str, selectors: &[&str]) -> Watch {
    let detector = Spec::parse("zscore", [("k", "1"), ("n", "1"), ("min_samples", "30"), ("window", "100")]);
    Watch {
        detector: detector.unwrap(),
        interval: Duration::ZERO,
        warm_up: 30,
        ..Watch::new(name, selectors)
    }
}

struct Bench {
    table: Table,
    source: SourceId,
    watcher: Watcher,
    second: u64,
    past: Option<Remembered>,
    slots: HashMap<String, Slot>,
}

struct Remembered(HashMap<String, Vec<(i64, f64)>>);

impl Past for Remembered {
    fn before(&self, series: &Series, until_ms: i64, _: usize) -> Vec<(i64, f64)> {
        let all = self.0.get(series.key()).cloned().unwrap_or_default();
        all.into_iter().filter(|(t, _)| *t < until_ms).collect()
    }
}

impl Bench {
    fn new(watches: Vec<Watch>) -> Self {
        Self::with(Config { watches, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        Bench { table, source, watcher: Watcher::new(config), second: 0, past: None, slots: HashMap::new() }
    }

    fn set(&mut self, kind: Kind, name: &str, labels: &[(&str, &str)], value: f64) {
        let family = name.trim_end_matches("_bucket");
        let meta = FamilyMeta { name: family.into(), kind, help: "".into(), unit: "".into() };
        let role = if kind == Kind::Histogram { Role::Bucket } else { Role::Value };
        let slot = self.table.series(self.source, &Arc::new(meta), role, name, labels).unwrap();
        self.slots.insert(format!("{name}{labels:?}"), slot);
        self.table.set(slot, value, NO_TIME);
    }

    fn gauge(&mut self, name: &str, value: f64) {
        self.set(Kind::Gauge, name, &[], value);
    }

    fn remove(&mut self, name: &str) {
        let slot = self.slots.remove(&format!("{name}[]")).unwrap();
        self.table.remove(slot);
    }

    fn commit(&mut self) -> Arc<Tick> {
        let tick = self.table.commit(at(self.second), self.second);
        self.second += 1;
        tick
    }

    fn tick(&mut self) -> Out {
        let tick = self.commit();
        self.watcher.tick(&tick, self.past.as_ref().map(|past| past as &dyn Past))
    }

    /// Ticks with these values of the gauge `m`; the events.
    fn run(&mut self, values: impl IntoIterator<Item = f64>) -> Vec<Arc<Anomaly>> {
        values
            .into_iter()
            .flat_map(|value| {
                self.gauge("m", value);
                self.tick().events
            })
            .collect()
    }

    /// 100 ticks around a level.
    fn usual(&mut self, level: f64) -> Vec<Arc<Anomaly>> {
        let begin = self.second;
        self.run((begin..begin + 100).map(|i| level + noise(i)))
    }
}

fn stages(events: &[Arc<Anomaly>]) -> Vec<Stage> {
    events.iter().map(|anomaly| anomaly.state).collect()
}

#[test]
fn f77_an_anomaly_begins_is_confirmed_and_ends_with_all_that_explains_it() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    assert_eq!(bench.usual(10.0), [], "what is usual is not told");
    let events = bench.run([30.0, 31.0]);
    assert_eq!(stages(&events), [Stage::Begin, Stage::Confirmed]);
    let begin = &events[0];
    assert_eq!(
        (&*begin.watch, &*begin.metric, &*begin.observed, begin.detector),
        ("w", "m", "value", "zscore")
    );
    assert!((begin.expected - 10.0).abs() < 0.2 && begin.lower > 8.0 && begin.upper < 12.0, "{begin:?}");
    assert!(begin.score > 1.0 && begin.value == 30.0 && begin.samples == 101, "{begin:?}");
    assert!(begin.explanation.starts_with("m is 30, expected "), "{}", begin.explanation);
    assert_eq!(begin.since, at(100).unix_ms);
    let events = bench.run([10.1, 9.9, 10.0]);
    assert_eq!(stages(&events), [Stage::End]);
    assert_eq!((events[0].id, events[0].since), (begin.id, begin.since));
}

#[test]
fn f72_one_odd_value_begins_but_is_not_confirmed_so_its_alert_never_fires() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    bench.usual(10.0);
    let mut phases = Vec::new();
    let mut told = Vec::new();
    for value in [30.0, 10.0, 10.1, 10.2] {
        bench.gauge("m", value);
        let out = bench.tick();
        told.extend(out.events);
        phases.extend(out.reports.iter().flat_map(|report| report.active.iter().map(|active| active.phase)));
    }
    assert_eq!(stages(&told), [Stage::Begin, Stage::End]);
    assert!(!phases.is_empty() && phases.iter().all(|phase| *phase == Phase::Pending), "{phases:?}");
}

#[test]
fn a_report_has_the_labels_of_the_series_and_is_empty_when_the_anomaly_is_over() {
    let watch = Watch { hold: Duration::from_secs(3), ..quick("w", &["m"]) };
    let mut bench = Bench::new(vec![watch]);
    let mut reports = Vec::new();
    bench.usual(10.0);
    for value in [30.0, 30.0, 30.0, 30.0, 10.0, 10.0, 10.0] {
        bench.gauge("m", value);
        reports.extend(bench.tick().reports);
    }
    assert!(reports.iter().all(|report| &*report.source == "anomaly;w"));
    let phases: Vec<Option<Phase>> =
        reports.iter().map(|report| report.active.first().map(|active| active.phase)).collect();
    use Phase::{Firing, Pending};
    assert_eq!(phases, [Some(Pending), Some(Pending), Some(Pending), Some(Firing), Some(Firing), None]);
    let active = &reports[3].active[0];
    let labels = r#"{alertname="Anomaly", metric="m", severity="info", watch="w"}"#;
    assert_eq!(active.labels.to_string(), labels);
    assert_eq!((active.active_at_ms, active.fired_at_ms), (at(100).unix_ms, Some(at(103).unix_ms)));
    assert_eq!(&*active.generator, "/#query?expr=m");
    assert!(active.annotations["description"].contains("expected"));
}

#[test]
fn f74_the_other_direction_and_small_distances_do_not_count() {
    let below = Watch { direction: Direction::Below, ..quick("w", &["m"]) };
    let mut bench = Bench::new(vec![below]);
    bench.usual(10.0);
    assert_eq!(bench.run([30.0, 30.0, 30.0]), []);
    assert_eq!(stages(&bench.run([10.0, 1.0])), [Stage::Begin]);
    for small in [Watch { min_abs: 30.0, ..quick("w", &["m"]) }, Watch { min_rel: 3.0, ..quick("w", &["m"]) }]
    {
        let mut bench = Bench::new(vec![small]);
        bench.usual(10.0);
        assert_eq!(bench.run([30.0, 30.0, 30.0]), []);
        assert_eq!(stages(&bench.run([60.0])), [Stage::Begin]);
    }
}

#[test]
fn f71_a_lasting_shift_becomes_the_new_normal_with_an_event_and_is_told_once() {
    let watch = Watch { adapt_after: Duration::from_secs(60), ..quick("w", &["m"]) };
    let mut bench = Bench::new(vec![watch]);
    bench.usual(10.0);
    let begin = bench.second;
    let events = bench.run((begin..begin + 400).map(|i| 30.0 + noise(i)));
    assert_eq!(stages(&events), [Stage::Begin, Stage::Confirmed, Stage::Shift], "{events:#?}");
    assert!(events[2].explanation.contains("taken for the new normal"), "{}", events[2].explanation);
    let events = bench.run([60.0, 60.0]);
    assert_eq!(stages(&events), [Stage::Begin, Stage::Confirmed], "beyond the new level it is told again");
}

#[test]
fn a_series_that_goes_ends_its_anomaly_and_is_remembered_for_a_while() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    bench.usual(10.0);
    assert_eq!(stages(&bench.run([30.0])), [Stage::Begin]);
    bench.remove("m");
    let out = bench.tick();
    assert_eq!((stages(&out.events), out.gone.len()), (vec![Stage::End], 1));
    assert_eq!(bench.watcher.counts().0, 1);
    assert_eq!(bench.run([10.0]), []);
    assert_eq!(stages(&bench.run([30.0])), [Stage::Begin], "what was learnt is still there");
    bench.remove("m");
    bench.tick();
    bench.watcher.sweep(at(bench.second + 700));
    assert_eq!((bench.watcher.counts().0, bench.watcher.memory().len()), (0, 0));
}

#[test]
fn values_that_are_missing_or_nan_are_no_observations_and_silence_ends_an_anomaly() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    bench.usual(10.0);
    bench.run([30.0]);
    bench.gauge("m", f64::NAN);
    let mut events = Vec::new();
    let mut observed = 0;
    for _ in 0..310 {
        let out = bench.tick();
        observed += out.observed;
        events.extend(out.events);
    }
    assert_eq!((stages(&events), observed), (vec![Stage::End], 0));
}

#[test]
fn f73_samples_of_a_scraped_target_count_once_however_often_it_ticks() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    let mut observed = 0;
    for i in 0..60 {
        bench.gauge("m", 1.0);
        let slot = bench.slots["m[]"];
        bench.table.set(slot, 1.0, START_MS + i / 15 * 15_000);
        observed += bench.tick().observed;
    }
    assert_eq!(observed, 4);
}

#[test]
fn f73_counters_are_watched_as_rates_and_a_reset_is_no_anomaly() {
    let mut bench = Bench::new(vec![quick("w", &["c_total"])]);
    let mut events = Vec::new();
    let mut count = 1e6;
    for i in 0..300 {
        count += 100.0 + 10.0 * noise(i);
        if i == 200 {
            count = 100.0;
        }
        bench.set(Kind::Counter, "c_total", &[], count);
        events.extend(bench.tick().events);
    }
    assert_eq!(events, []);
    bench.set(Kind::Counter, "c_total", &[], count + 500.0);
    let out = bench.tick();
    assert_eq!(stages(&out.events), [Stage::Begin]);
    assert_eq!((out.events[0].value, &*out.events[0].observed), (500.0, "rate"));
}

#[test]
fn f73_histograms_are_watched_as_one_stream_of_their_quantile() {
    let watch = Watch { sum_by: Some(vec!["job".into()]), ..quick("w", &["h{code!=\"404\"}"]) };
    let mut bench = Bench::new(vec![watch]);
    let mut events = Vec::new();
    let mut fast = 0.0;
    for i in 1..140_u32 {
        // At first nearly all take less than 0.1 s, then nearly none.
        fast += if i < 120 { 98.0 + 2.0 * noise(i.into()) } else { 10.0 };
        for (path, code) in [("/a", "200"), ("/b", "200"), ("/c", "404")] {
            let all = f64::from(i) * 100.0;
            for (le, count) in [("0.1", fast), ("1", all), ("+Inf", all)] {
                let labels = [("code", code), ("job", "api"), ("le", le), ("path", path)];
                bench.set(Kind::Histogram, "h_bucket", &labels, count);
            }
        }
        events.extend(bench.tick().events);
    }
    assert_eq!(bench.watcher.counts(), (1, 0));
    assert_eq!(events[0].state, Stage::Begin);
    let begin = &events[0];
    assert_eq!((&*begin.metric, &*begin.observed, begin.labels.len()), ("h", "p95", 1));
    assert!(begin.value > 0.9 && begin.expected < 0.11, "{begin:?}");
}

#[test]
fn what_has_no_room_is_counted_and_gets_the_place_of_what_goes() {
    let watch = quick("w", &["{__name__=~\"m.\"}"]);
    let mut bench = Bench::with(Config { watches: vec![watch], max_series: 2, ..Config::default() });
    for name in ["ma", "mb", "mc"] {
        bench.gauge(name, 1.0);
    }
    bench.tick();
    assert_eq!(bench.watcher.counts(), (2, 1));
    bench.remove("ma");
    bench.tick();
    assert_eq!(bench.watcher.counts(), (2, 0));
}

#[test]
fn scores_are_never_watched_themselves() {
    let mut bench = Bench::new(vec![quick("w", &["{__name__!=\"\"}"])]);
    bench.gauge("gaugecast_anomaly_score", 1.0);
    bench.gauge("ALERTS", 1.0);
    bench.gauge("m", 1.0);
    bench.tick();
    assert_eq!(bench.watcher.counts(), (1, 0));
}

#[test]
fn f77_what_moved_together_is_named_the_most_unusual_first() {
    let mut bench = Bench::new(vec![quick("w", &["{__name__=~\"m.?\"}"])]);
    let names = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"];
    let mut events = Vec::new();
    for i in 0..110_u64 {
        for (at, name) in (0_u64..).zip(names) {
            let jump = if i >= 100 && at < 7 { 5.0 + at as f64 } else { 0.0 };
            bench.gauge(name, 10.0 + noise(i * 10 + at) + jump);
        }
        events.extend(bench.tick().events);
    }
    let begin = events.iter().find(|event| event.state == Stage::Begin && &*event.metric == "m0").unwrap();
    let moved: Vec<&str> = begin.together.iter().map(|moved| &*moved.metric).collect();
    assert_eq!(moved.len(), 5);
    assert!(moved.iter().all(|name| ["m1", "m2", "m3", "m4", "m5", "m6"].contains(name)), "{moved:?}");
    assert!(begin.together.windows(2).all(|two| two[0].sigmas >= two[1].sigmas), "{:?}", begin.together);
}

#[test]
fn f90_after_a_restart_detectors_know_what_the_history_knows() {
    let mut bench = Bench::new(vec![quick("w", &["m"])]);
    let past = (1..200_u64).map(|i| (START_MS - 1000 * i64::try_from(i).unwrap(), 10.0 + noise(i)));
    let mut past: Vec<(i64, f64)> = past.collect();
    past.reverse();
    bench.past = Some(Remembered(HashMap::from([("m".to_owned(), past)])));
    assert_eq!(bench.run([10.0]), []);
    let events = bench.run([30.0]);
    assert_eq!(stages(&events), [Stage::Begin], "at the second tick already");
    assert_eq!(events[0].samples, 201);
}

#[test]
fn f75_the_rate_is_the_share_of_a_hosts_series_that_are_anomalous() {
    let watch = quick("w", &["{__name__=~\"m.*\"}"]);
    let mut bench = Bench::new(vec![watch]);
    let mut rates = Vec::new();
    for i in 0..102 {
        for (name, host) in [("ma", "a"), ("mb", "a"), ("ma", "b")] {
            let jump = if i > 100 && name == "ma" && host == "a" { 20.0 } else { 0.0 };
            bench.set(Kind::Gauge, name, &[("instance", host)], 10.0 + noise(i) + jump);
        }
        rates = bench.tick().rates.unwrap();
    }
    let told: Vec<String> = rates.iter().map(|(host, rate)| format!("{host} {rate}")).collect();
    assert_eq!(told, [r#"{instance="a"} 0.5"#, r#"{instance="b"} 0"#]);
}

/// The default watches over a host whose figures vary by this share of their level, at 1 Hz. Says how many anomalies begin,
/// how many are confirmed, and how many series are watched.
fn host(hours: u64, share: f64) -> (usize, usize, usize) {
    let mut bench = Bench::new(super::config::defaults());
    let (mut begun, mut confirmed) = (0, 0);
    let mut counts = [0.0; 7];
    for second in 0..hours * 3600 {
        let wave = |at: u64| 1.0 + share * 2.0 * noise(second * 31 + at);
        bench.gauge("node_load1", 1.5 * wave(0));
        bench.gauge("node_memory_MemAvailable_bytes", 4e9 * wave(1));
        bench.gauge("node_netstat_Tcp_CurrEstab", (120.0 * wave(2)).round());
        let rates = [0.8, 0.05, 0.2, 4e5, 2e5, 50.0, 0.1];
        for (at, (count, rate)) in (3..).zip(counts.iter_mut().zip(rates)) {
            *count += rate * wave(at);
        }
        for (at, mode) in ["user", "iowait"].into_iter().enumerate() {
            bench.set(Kind::Counter, "node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)], counts[at]);
        }
        bench.set(Kind::Counter, "node_disk_io_time_seconds_total", &[("device", "sda")], counts[2]);
        bench.set(Kind::Counter, "node_network_receive_bytes_total", &[("device", "eth0")], counts[3]);
        bench.set(Kind::Counter, "node_network_transmit_bytes_total", &[("device", "eth0")], counts[4]);
        bench.set(Kind::Counter, "http_requests_total", &[("code", "200")], counts[5]);
        bench.set(Kind::Counter, "http_requests_total", &[("code", "500")], counts[6]);
        for event in bench.tick().events {
            begun += usize::from(event.state == Stage::Begin);
            confirmed += usize::from(event.state == Stage::Confirmed);
        }
    }
    (begun, confirmed, bench.watcher.counts().0)
}

/// Four hours: two and a half in which novelty learns, one and a half that is judged.
#[test]
fn the_default_watches_raise_no_alarm_on_a_quiet_nor_on_a_noisy_host() {
    for share in [0.02, 0.5] {
        let (begun, confirmed, watched) = host(4, share);
        println!("noise of {share}: {watched} series for 4 h, {begun} begin, {confirmed} confirmed");
        assert_eq!((confirmed, watched), (0, 10), "noise of {share}: {begun} begin");
        assert!(begun <= 1, "noise of {share}: {begun} begin");
    }
}

#[test]
fn a_fault_on_a_noisy_host_is_told_by_the_default_watches() {
    let mut bench = Bench::new(super::config::defaults());
    let mut events = Vec::new();
    for second in 0..12_000_u64 {
        let load = if second > 11_400 { 8.0 } else { 1.5 };
        bench.gauge("node_load1", load + noise(second));
        events.extend(bench.tick().events);
    }
    let told: Vec<Stage> = stages(&events);
    assert!(told.starts_with(&[Stage::Begin, Stage::Confirmed]), "{events:#?}");
    assert_eq!(&*events[0].watch, "load");
}

#[test]
fn f69_a_stream_stays_within_64_kilobytes() {
    let mut bench = Bench::new(vec![Watch { interval: Duration::ZERO, ..Watch::new("w", &["m"]) }]);
    bench.usual(10.0);
    let memory = bench.watcher.memory();
    assert!(memory["novelty"] <= 64 << 10, "{memory:?}");
}
