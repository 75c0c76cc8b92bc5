//! The result of a test: [`Report`], as JSON by `docs/loadtest.schema.json`, and how a phase's measures come about.

use std::collections::BTreeMap;

use serde::Serialize;

use super::broadcasts::Fanout;
use super::criteria::{Criterion, Judged, Verdict};
use super::resources::{Sample, Usage};
use super::tally::Tally;

/// Version of the report's format: the first number changes when a reader of the former would be wrong.
pub const SCHEMA_VERSION: &str = "1.1";

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: &'static str,
    /// Version of gaugecast.
    pub version: &'static str,
    /// When the test began, in Unix milliseconds.
    pub started_ms: u64,
    /// How long it took.
    pub seconds: f64,
    /// Where to.
    pub target: Target,
    /// What was asked for.
    pub load: Load,
    /// How it ended.
    pub verdict: Verdict,
    /// The program's exit code.
    pub exit_code: u8,
    /// How time stamps of the server were read.
    pub clock: Clock,
    /// Whether the generator kept up.
    pub generator: Generator,
    /// Measures of the whole test by name; `null` without samples.
    pub measures: BTreeMap<String, Option<f64>>,
    /// By the first part of a measure's name, why it has no samples.
    pub unmeasured: BTreeMap<String, String>,
    /// Criteria, judged for the whole test.
    pub criteria: Vec<Judged>,
    /// Each phase.
    pub phases: Vec<PhaseReport>,
    /// Errors by class.
    pub errors: BTreeMap<String, u64>,
    /// The first ten distinct messages of errors.
    pub first_errors: Vec<String>,
    /// Both sides about once a second, at most a thousand points.
    pub resources: Vec<Sample>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Comparison with an earlier report.
    pub baseline: Option<Vec<Change>>,
}

/// Where the load went.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// As given.
    pub url: String,
    /// `gaugecast` or `any`.
    pub protocol: &'static str,
    /// `websocket` or `sse`.
    pub transport: &'static str,
    /// Encrypted.
    pub tls: bool,
}

/// How much load.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    /// Name of the preset.
    pub preset: String,
    /// Connections held.
    pub connections: usize,
    /// Broadcasts a second asked for.
    pub rate: f64,
    /// Interval that the server granted, in milliseconds.
    pub granted_interval_ms: Option<u64>,
    /// Length of the whole test as planned.
    pub planned_seconds: f64,
    /// Threads of the generator.
    pub workers: usize,
    /// Which time this is that the test is run, from 1: more than one with `--cycles`.
    pub cycle: u64,
}

/// How the server's clock compares with ours.
#[derive(Debug, Clone, Serialize)]
pub struct Clock {
    /// `same_host`, `round_trip` or `unknown`.
    pub method: &'static str,
    /// What is added to our clock to get the server's; `null` when unknown.
    pub offset_ms: Option<f64>,
    /// How wrong that may be.
    pub error_ms: Option<f64>,
    /// Why it is unknown.
    pub reason: Option<String>,
}

/// Whether the generator was the bottleneck.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Generator {
    /// If so, no criterion is conclusive.
    pub generator_saturated: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// Highest lateness of its timers, and the 99th percentile, in milliseconds.
    pub timer_slip_max_ms: Option<f64>,
    /// See `timer_slip_max_ms`.
    pub timer_slip_p99_ms: Option<f64>,
}

/// One phase.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Connections live at its end.
    pub live: usize,
    /// Connections that should have been.
    pub planned: usize,
    /// How it ended.
    pub verdict: Verdict,
    /// As in [`Report::measures`].
    pub measures: BTreeMap<String, Option<f64>>,
    /// Criteria that a phase of this kind is judged by.
    pub criteria: Vec<Judged>,
}

/// One measure now and in the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The measure.
    pub metric: String,
    /// In the baseline.
    pub before: f64,
    /// Now; `null` when nothing was measured.
    pub now: Option<f64>,
    /// In percent of before; `null` when that was 0.
    pub percent: Option<f64>,
    /// `fail`: worse by more than the tolerance.
    pub verdict: Verdict,
}

/// What a phase, or the whole test, knows besides its [`Tally`].
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Its length.
    pub seconds: f64,
    /// Length of what is steady in it.
    pub steady_seconds: f64,
    /// Broadcasts in that time.
    pub fanout: Fanout,
    /// Broadcasts that should have been: by the interval that the server granted.
    pub due: f64,
    /// Sum over looks at the connections, in steady time, of those live and those that should be.
    pub live: u64,
    /// See `live`.
    pub expected: u64,
    /// Resource samples.
    pub samples: Vec<Sample>,
}

impl Around {
    /// Adds another stretch of time. Its samples are left out: those of the whole test are kept elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.steady_seconds += other.steady_seconds;
        self.fanout.merge(&other.fanout);
        self.due += other.due;
        self.live += other.live;
        self.expected += other.expected;
    }
}

/// What this machine and the test are, as far as measures depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The target speaks our protocol.
    pub ours: bool,
    /// Broadcasts have numbers.
    pub numbered: bool,
    /// Cores of this machine.
    pub cores: usize,
    /// Threads of the generator.
    pub workers: usize,
    /// Memory of this machine, in bytes.
    pub memory: Option<u64>,
}

/// The measures of a phase or of the whole test.
#[must_use]
pub fn measures(tally: &Tally, around: &Around, frame: Frame) -> BTreeMap<String, Option<f64>> {
    let mut all = BTreeMap::new();
    for (name, latency) in [
        ("connect", &tally.connect),
        ("delivery", &tally.delivery),
        ("broadcast", &around.fanout.to_last),
        ("rtt", &tally.rtt),
        ("recovery", &tally.recovery),
    ] {
        latency.measures(name, &mut all);
    }
    let percent = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64 * 100.0);
    let rate = |count: u64, seconds: f64| (seconds > 0.0).then(|| count as f64 / seconds);
    let sequence = |count: u64| (frame.numbered && tally.messages > 0).then_some(count as f64);
    let faults = tally.gaps + tally.duplicates + tally.out_of_order + tally.unknown_series + tally.wrong_ids;
    let fanout = &around.fanout;
    let missed = around.due - fanout.count as f64;
    // A connection that did not come back has no recovery time; the slowest of the others must not stand for it.
    let all_back = tally.cut > 0 && tally.recovery.count() >= tally.cut;
    for (name, value) in [
        ("connect.success", percent(tally.connected, tally.attempts)),
        ("connect.throttled", Some(tally.throttled as f64)),
        ("recovery.success", percent(tally.recovery.count().min(tally.cut), tally.cut)),
        ("recovery.time", tally.recovery.quantile_ms(1.0).filter(|_| all_back)),
        ("resume.success", percent(tally.resumed, tally.resumes)),
        ("uptime", percent(around.live, around.expected)),
        ("messages.received", (tally.messages > 0).then_some(tally.messages as f64)),
        ("messages.rate", rate(tally.messages, around.seconds).filter(|rate| *rate > 0.0)),
        ("messages.bytes", (tally.messages > 0).then_some(tally.bytes as f64)),
        ("broadcast.rate", rate(fanout.count, around.steady_seconds).filter(|_| frame.numbered)),
        ("broadcast.missed", (around.due > 0.0).then(|| missed.max(0.0).floor())),
        ("broadcast.complete", percent(fanout.reached, fanout.to_reach)),
        ("sequence.errors", sequence(faults)),
        ("sequence.gaps", sequence(tally.gaps)),
        ("sequence.duplicates", sequence(tally.duplicates)),
        ("sequence.out_of_order", sequence(tally.out_of_order)),
        ("sequence.unknown_series", sequence(tally.unknown_series).filter(|_| frame.ours)),
        ("sequence.wrong_ids", sequence(tally.wrong_ids).filter(|_| frame.ours)),
        ("rtt.missed", Some(tally.pings_missed as f64)),
        ("errors", Some(tally.errors.total() as f64)),
    ] {
        all.insert(name.to_owned(), value);
    }
    let (server, generator) = (Side::of(around, |s| s.server), Side::of(around, |s| s.generator));
    let memory = server.rss.zip(frame.memory).map(|(rss, memory)| rss / memory as f64 * 100.0);
    all.insert("server.cpu".into(), server.cpu.map(|cpu| cpu / frame.cores as f64));
    all.insert("server.memory".into(), memory);
    all.insert("generator.cpu".into(), generator.cpu.map(|cpu| cpu / frame.workers.min(frame.cores) as f64));
    let mib = |bytes: Option<f64>| bytes.map(|bytes| bytes / f64::from(1 << 20));
    for (name, side) in [("server", server), ("generator", generator)] {
        all.insert(format!("{name}.rss"), mib(side.rss));
        all.insert(format!("{name}.fds"), side.fds);
        all.insert(format!("{name}.received"), mib(side.received));
        all.insert(format!("{name}.sent"), mib(side.sent));
    }
    all
}

/// What one side used: CPU and network as means, memory and descriptors at most.
struct Side {
    cpu: Option<f64>,
    rss: Option<f64>,
    fds: Option<f64>,
    received: Option<f64>,
    sent: Option<f64>,
}

impl Side {
    fn of(around: &Around, side: fn(&Sample) -> Option<Usage>) -> Self {
        let usages: Vec<Usage> = around.samples.iter().filter_map(side).collect();
        let mean = |of: fn(&Usage) -> Option<f64>| {
            let values: Vec<f64> = usages.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let most = |of: fn(&Usage) -> Option<u64>| usages.iter().filter_map(of).max().map(|most| most as f64);
        Self {
            cpu: mean(|usage| Some(usage.cpu_percent)),
            rss: most(|usage| Some(usage.rss_bytes)),
            fds: most(|usage| usage.fds),
            received: mean(|usage| usage.received_bytes_per_second),
            sent: mean(|usage| usage.sent_bytes_per_second),
        }
    }
}

/// How a phase or test with these judged criteria ended.
#[must_use]
pub fn verdict(criteria: &[Judged], saturated: bool) -> Verdict {
    match criteria.iter().any(|judged| judged.verdict == Verdict::Fail) {
        _ if saturated => Verdict::Inconclusive,
        true => Verdict::Fail,
        false => Verdict::Pass,
    }
}

/// Judges `criteria`; those of a saturated generator are inconclusive, whatever the figures.
#[must_use]
pub fn judge<'a>(
    criteria: impl Iterator<Item = &'a Criterion>,
    measures: &BTreeMap<String, Option<f64>>,
    unmeasured: &BTreeMap<String, String>,
    saturated: bool,
) -> Vec<Judged> {
    let mut judged: Vec<Judged> = criteria.map(|criterion| criterion.judge(measures, unmeasured)).collect();
    if saturated {
        judged.iter_mut().for_each(|judged| judged.verdict = Verdict::Inconclusive);
    }
    judged
}

/// The measures that a baseline is compared by, and whether more is better.
const COMPARED: [(&str, bool); 12] = [
    ("connect.success", true),
    ("connect.p95", false),
    ("delivery.mean", false),
    ("delivery.p95", false),
    ("delivery.p99", false),
    ("broadcast.p95", false),
    ("broadcast.rate", true),
    ("rtt.p95", false),
    ("recovery.time", false),
    ("uptime", true),
    ("server.cpu", false),
    ("server.rss", false),
];

/// Compares the whole test's measures with those of an earlier report, as JSON. What differs by more than
/// `tolerance` percent to the worse fails, and so does a measure that had samples then and has none now.
///
/// # Errors
///
/// When the text is no report of this major version.
pub fn compare(
    baseline: &str,
    now: &BTreeMap<String, Option<f64>>,
    tolerance: f64,
) -> Result<Vec<Change>, String> {
    let report: serde_json::Value = serde_json::from_str(baseline).map_err(|error| error.to_string())?;
    let version = report["schema_version"].as_str().ok_or("it has no schema_version")?;
    if version.split('.').next() != SCHEMA_VERSION.split('.').next() {
        return Err(format!("its schema_version is {version}, not {SCHEMA_VERSION}"));
    }
    let mut changes = Vec::new();
    for (metric, more_is_better) in COMPARED {
        let Some(before) = report["measures"][metric].as_f64() else { continue };
        let Some(now) = now.get(metric).copied().flatten() else {
            let metric = metric.into();
            changes.push(Change { metric, before, now: None, percent: None, verdict: Verdict::Fail });
            continue;
        };
        let percent = (before != 0.0).then(|| (now - before) / before * 100.0);
        let worse = if more_is_better { before - now } else { now - before };
        let verdict = if worse > before.abs() * tolerance / 100.0 { Verdict::Fail } else { Verdict::Pass };
        changes.push(Change { metric: metric.into(), before, now: Some(now), percent, verdict });
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Frame = Frame { ours: true, numbered: true, cores: 2, workers: 1, memory: Some(1 << 30) };

    fn of(tally: &Tally) -> BTreeMap<String, Option<f64>> {
        measures(tally, &Around { seconds: 1.0, ..Around::default() }, OURS)
    }

    #[test]
    fn every_measure_has_a_name_that_criteria_know_and_the_other_way_round() {
        let measured: Vec<String> = of(&Tally::default()).into_keys().collect();
        let mut names = super::super::criteria::names();
        names.sort();
        assert_eq!(measured, names);
    }

    #[test]
    fn a_test_without_messages_has_no_figures_to_pass_on() {
        let all = of(&Tally::default());
        for name in ["messages.received", "sequence.errors", "delivery.p95", "connect.success", "uptime"] {
            assert_eq!(all[name], None, "{name}");
        }
    }

    #[test]
    fn recovery_takes_as_long_as_the_last_and_for_ever_if_one_stays_away() {
        let mut tally = Tally { cut: 2, ..Tally::default() };
        tally.recovery.record(1_000_000);
        assert_eq!((of(&tally)["recovery.time"], of(&tally)["recovery.success"]), (None, Some(50.0)));
        tally.recovery.record(2_000_000);
        assert!(of(&tally)["recovery.time"].unwrap() >= 1_999.0);
    }

    #[test]
    fn broadcasts_that_were_due_and_did_not_come_are_missed() {
        let fanout = Fanout { count: 8, reached: 3, to_reach: 4, ..Fanout::default() };
        let around = Around { steady_seconds: 2.0, due: 10.5, fanout, ..Around::default() };
        let all = measures(&Tally::default(), &around, OURS);
        let of = |name: &str| all[name];
        assert_eq!(
            (of("broadcast.rate"), of("broadcast.missed"), of("broadcast.complete")),
            (Some(4.0), Some(2.0), Some(75.0))
        );
    }

    #[test]
    fn resources_of_both_sides_are_means_and_peaks() {
        let usage = |cpu_percent, rss_bytes, bytes| Usage {
            cpu_percent,
            rss_bytes,
            fds: Some(rss_bytes),
            received_bytes_per_second: Some(bytes),
            sent_bytes_per_second: None,
        };
        let sample = |server| Sample { at_seconds: 0.0, phase: 0, live: 0, generator: None, server };
        let samples = vec![
            sample(Some(usage(100.0, 1 << 29, 0.0))),
            sample(None),
            sample(Some(usage(200.0, 1, f64::from(1 << 21)))),
        ];
        let all = measures(&Tally::default(), &Around { samples, ..Around::default() }, OURS);
        let of = |name: &str| all[name];
        assert_eq!(
            (of("server.cpu"), of("server.memory")),
            (Some(75.0), Some(50.0)),
            "of two cores, of 1 GiB"
        );
        assert_eq!((of("server.rss"), of("server.received")), (Some(512.0), Some(1.0)));
        assert_eq!((of("server.sent"), of("generator.cpu")), (None, None));
    }

    #[test]
    fn a_saturated_generator_makes_every_verdict_inconclusive() {
        let criteria = [Criterion::parse("errors==0").unwrap()];
        let judged = judge(criteria.iter(), &of(&Tally::default()), &BTreeMap::new(), true);
        assert_eq!(judged[0].verdict, Verdict::Inconclusive);
        assert_eq!(verdict(&judged, true).exit_code(), 98);
    }

    #[test]
    fn a_baseline_fails_what_became_worse_or_is_missing() {
        let baseline = r#"{"schema_version":"1.3","measures":{"delivery.p95":10,"uptime":100,"rtt.p95":1,"server.cpu":null}}"#;
        let now = BTreeMap::from([("delivery.p95".into(), Some(12.5)), ("uptime".into(), Some(99.0))]);
        let changes = compare(baseline, &now, 20.0).unwrap();
        let verdicts: Vec<_> = changes.iter().map(|c| (c.metric.as_str(), c.verdict)).collect();
        let expected =
            [("delivery.p95", Verdict::Fail), ("rtt.p95", Verdict::Fail), ("uptime", Verdict::Pass)];
        assert_eq!(verdicts, expected);
        assert_eq!(changes[0].percent, Some(25.0));
        assert!(
            compare("{}", &now, 20.0).is_err() && compare(r#"{"schema_version":"2.0"}"#, &now, 20.0).is_err()
        );
    }
}
