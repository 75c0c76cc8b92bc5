//! What must hold: `delivery.p95<50ms`, judged against measures by name.
//!
//! A measure without samples never passes (B99), whatever is asked of it. A name that is no measure is an error
//! before the test begins, not a criterion that quietly holds.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::histogram::QUANTILES;
use super::scenario::Kind;
use crate::spelling;

/// What a measure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Milliseconds,
    Percent,
    Count,
    PerSecond,
    Mebibytes,
    MebibytesPerSecond,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Percent => "%",
            Self::Count => "",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::MebibytesPerSecond => "MiB/s",
        }
    }

    /// What `text`, a unit as written in a criterion, is worth in this one.
    fn factor(self, text: &str) -> Option<f64> {
        match (self, text) {
            (Self::Milliseconds, "s") => Some(1000.0),
            (Self::Milliseconds, "us" | "µs") => Some(0.001),
            (Self::Mebibytes, "GiB") => Some(1024.0),
            (Self::Milliseconds | Self::Mebibytes | Self::MebibytesPerSecond, text) => {
                (text == self.name()).then_some(1.0)
            }
            (_, text) => (text.is_empty() || text == self.name()).then_some(1.0),
        }
    }
}

/// Distributions of durations; each has `count`, `min`, `mean`, `stdev`, `max` and the percentiles.
const LATENCIES: [&str; 5] = ["connect", "delivery", "broadcast", "rtt", "recovery"];

/// The other measures.
const SINGLE: [(&str, Unit); 31] = [
    ("connect.success", Unit::Percent),
    ("connect.throttled", Unit::Count),
    ("recovery.success", Unit::Percent),
    ("recovery.time", Unit::Milliseconds),
    ("resume.success", Unit::Percent),
    ("uptime", Unit::Percent),
    ("messages.received", Unit::Count),
    ("messages.rate", Unit::PerSecond),
    ("messages.bytes", Unit::Count),
    ("broadcast.rate", Unit::PerSecond),
    ("broadcast.missed", Unit::Count),
    ("broadcast.complete", Unit::Percent),
    ("sequence.errors", Unit::Count),
    ("sequence.gaps", Unit::Count),
    ("sequence.duplicates", Unit::Count),
    ("sequence.out_of_order", Unit::Count),
    ("sequence.unknown_series", Unit::Count),
    ("sequence.wrong_ids", Unit::Count),
    ("rtt.missed", Unit::Count),
    ("errors", Unit::Count),
    ("server.cpu", Unit::Percent),
    ("server.memory", Unit::Percent),
    ("server.rss", Unit::Mebibytes),
    ("server.fds", Unit::Count),
    ("server.received", Unit::MebibytesPerSecond),
    ("server.sent", Unit::MebibytesPerSecond),
    ("generator.cpu", Unit::Percent),
    ("generator.rss", Unit::Mebibytes),
    ("generator.fds", Unit::Count),
    ("generator.received", Unit::MebibytesPerSecond),
    ("generator.sent", Unit::MebibytesPerSecond),
];

fn unit(metric: &str) -> Option<Unit> {
    if let Some((_, unit)) = SINGLE.iter().find(|(name, _)| *name == metric) {
        return Some(*unit);
    }
    let (family, stat) = metric.split_once('.')?;
    let is_stat =
        ["min", "mean", "stdev", "max"].contains(&stat) || QUANTILES.iter().any(|(q, _)| *q == stat);
    match stat {
        _ if !LATENCIES.contains(&family) => None,
        "count" => Some(Unit::Count),
        _ => is_stat.then_some(Unit::Milliseconds),
    }
}

/// Every name a criterion may have.
#[must_use]
pub fn names() -> Vec<String> {
    let stats = ["count", "min", "mean", "stdev", "max"].into_iter().chain(QUANTILES.map(|(q, _)| q));
    let stats: Vec<&str> = stats.collect();
    let latencies =
        LATENCIES.iter().flat_map(|family| stats.iter().map(move |stat| format!("{family}.{stat}")));
    latencies.chain(SINGLE.iter().map(|(name, _)| (*name).to_owned())).collect()
}

/// The unit a measure is told in: `ms`, `%`, `/s`, `MiB`, `MiB/s` or nothing.
#[must_use]
pub fn unit_of(metric: &str) -> &'static str {
    unit(metric).map_or("", Unit::name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

/// The longer ones first, so that `<=` is not read as `<`.
const OPS: [(&str, Op); 5] =
    [("<=", Op::AtMost), (">=", Op::AtLeast), ("==", Op::Equal), ("<", Op::Less), (">", Op::More)];

/// A measure and its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    metric: String,
    op: Op,
    bound: f64,
    text: String,
}

impl Criterion {
    /// Reads `NAME OP NUMBER [UNIT]`; spaces do not matter.
    ///
    /// # Errors
    ///
    /// Tells what is wrong: form, name, unit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let (at, sign, op) = OPS
            .iter()
            .filter_map(|(sign, op)| text.find(sign).map(|at| (at, *sign, *op)))
            .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())))
            .ok_or_else(|| format!("{text:?} is not NAME<NUMBER, such as delivery.p95<50ms"))?;
        let (metric, value) = (&text[..at], &text[at + sign.len()..]);
        let Some(unit) = unit(metric) else {
            let names = names();
            let near = spelling::nearest(metric, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(format!("{metric:?} is not measured{hint}"));
        };
        let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let number: f64 =
            value[..digits].parse().map_err(|_| format!("{value:?} in {text:?} is no number"))?;
        let factor = unit.factor(&value[digits..]).ok_or_else(|| {
            let wanted = if unit.name().is_empty() { "no unit".into() } else { format!("{:?}", unit.name()) };
            format!("{metric} takes {wanted}, not {:?}", &value[digits..])
        })?;
        Ok(Self { metric: metric.to_owned(), op, bound: number * factor, text: text.clone() })
    }

    /// The measure it is about.
    #[must_use]
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// Whether it is judged for a phase of this kind by itself; all are judged for the whole test.
    #[must_use]
    pub fn applies_to(&self, kind: Kind) -> bool {
        let family = self.metric.split('.').next().unwrap_or_default();
        match family {
            "connect" => kind == Kind::RampUp,
            "recovery" | "resume" => kind == Kind::Recovery,
            "sequence" => kind != Kind::RampUp,
            // Of a short phase the ends weigh too much.
            _ if matches!(self.metric.as_str(), "broadcast.rate" | "broadcast.missed") => false,
            _ => kind.is_steady(),
        }
    }

    /// Judges it. `reasons` says by family why a measure has no samples.
    #[must_use]
    pub fn judge(
        &self,
        measures: &BTreeMap<String, Option<f64>>,
        reasons: &BTreeMap<String, String>,
    ) -> Judged {
        let actual = measures.get(&self.metric).copied().flatten();
        let holds = actual.map(|actual| match self.op {
            Op::Less => actual < self.bound,
            Op::AtMost => actual <= self.bound,
            Op::More => actual > self.bound,
            Op::AtLeast => actual >= self.bound,
            Op::Equal => actual == self.bound,
        });
        let family = self.metric.split('.').next().unwrap_or_default();
        let reason = actual
            .is_none()
            .then(|| reasons.get(family).map_or_else(|| "no samples".into(), |r| format!("no samples: {r}")));
        let verdict = if holds == Some(true) { Verdict::Pass } else { Verdict::Fail };
        Judged { criterion: self.text.clone(), metric: self.metric.clone(), actual, verdict, reason }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every criterion holds.
    Pass,
    /// One at least does not.
    Fail,
    /// The generator was the bottleneck, so the figures say nothing of the server.
    Inconclusive,
    /// Interrupted before the end.
    Aborted,
}

impl Verdict {
    /// As reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
        }
    }

    /// The worse of two verdicts on the same thing: aborted, fail, inconclusive, pass.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let badness = |verdict: Self| match verdict {
            Self::Pass => 0,
            Self::Inconclusive => 1,
            Self::Fail => 2,
            Self::Aborted => 3,
        };
        if badness(other) > badness(self) { other } else { self }
    }

    /// The program's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Inconclusive => 98,
            Self::Fail => 99,
            Self::Aborted => 105,
        }
    }
}

/// A criterion with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// As it was written.
    pub criterion: String,
    /// The measure.
    pub metric: String,
    /// What was measured, in the measure's unit.
    pub actual: Option<f64>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Why there is no figure.
    pub reason: Option<String>,
}

/// What is known before the test of what can be judged.
#[derive(Debug, Clone, Copy)]
pub struct Judgeable {
    /// The target speaks our protocol, so resume can be checked.
    pub ours: bool,
    /// Broadcasts have numbers, so order and completeness can be.
    pub numbered: bool,
    /// The distribution that says how late messages are: `delivery` where they carry a time that means something by
    /// this machine's clock, else `rtt`, over WebSockets.
    pub latency: Option<&'static str>,
    /// The server's CPU and memory are read.
    pub server: bool,
    /// Connections are cut in a recovery phase.
    pub recovery: bool,
    /// The server is started anew there, so that nothing can be resumed.
    pub restart: bool,
    /// Broadcasts a second that the server must keep up.
    pub rate: Option<f64>,
}

/// The criteria that hold when nobody says otherwise: the targets of the mission. Where delivery cannot be
/// measured the round trip stands in for it; what cannot be judged at all is not in the list.
#[must_use]
pub fn defaults(can: Judgeable) -> Vec<Criterion> {
    let mut texts = vec!["connect.success>99%".to_owned(), "uptime>99%".into()];
    if let Some(latency) = can.latency {
        texts.extend([format!("{latency}.mean<50ms"), format!("{latency}.p95<50ms")]);
    }
    if can.numbered {
        texts.extend([
            "messages.received>=1".into(),
            "sequence.errors==0".into(),
            "broadcast.complete>99%".into(),
        ]);
    } else if can.latency.is_none() {
        texts.push("messages.received>=1".into());
    }
    if can.recovery {
        texts.extend(["recovery.success>99%".into(), "recovery.time<5s".into()]);
        if can.ours && !can.restart {
            texts.push("resume.success>99%".into());
        }
    }
    if let Some(rate) = can.rate {
        texts.push(format!("broadcast.rate>={}/s", rate * 0.9));
    }
    if can.server {
        texts.extend(["server.cpu<70%".into(), "server.memory<80%".into()]);
    }
    texts.iter().map(|text| Criterion::parse(text).expect("the defaults are written right")).collect()
}

/// The defaults, with those replaced whose measure is in `given`, and then the given ones.
#[must_use]
pub fn combine(defaults: Vec<Criterion>, given: &[Criterion]) -> Vec<Criterion> {
    let is_free = |criterion: &Criterion| given.iter().all(|g| g.metric != criterion.metric);
    defaults.into_iter().filter(is_free).chain(given.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, metric: &str, value: Option<f64>) -> Verdict {
        let measures = BTreeMap::from([(metric.to_owned(), value)]);
        Criterion::parse(text).unwrap().judge(&measures, &BTreeMap::new()).verdict
    }

    #[test]
    fn bounds_hold_or_fail_in_their_unit() {
        for (text, metric, value, verdict) in [
            ("delivery.p95<50ms", "delivery.p95", 49.9, Verdict::Pass),
            ("delivery.p95<50ms", "delivery.p95", 50.0, Verdict::Fail),
            ("delivery.p95 <= 50 ms", "delivery.p95", 50.0, Verdict::Pass),
            ("recovery.time<5s", "recovery.time", 4999.0, Verdict::Pass),
            ("recovery.time<5s", "recovery.time", 5001.0, Verdict::Fail),
            ("rtt.mean<500us", "rtt.mean", 0.4, Verdict::Pass),
            ("connect.success>=95%", "connect.success", 95.0, Verdict::Pass),
            ("sequence.errors==0", "sequence.errors", 1.0, Verdict::Fail),
            ("messages.rate>10/s", "messages.rate", 11.0, Verdict::Pass),
        ] {
            assert_eq!(judge(text, metric, Some(value)), verdict, "{text} {value}");
        }
    }

    #[test]
    fn no_samples_never_pass() {
        for text in ["delivery.p95<50ms", "delivery.p95>=0ms", "sequence.errors==0"] {
            let criterion = Criterion::parse(text).unwrap();
            let judged =
                criterion.judge(&BTreeMap::new(), &BTreeMap::from([("delivery".into(), "why".into())]));
            assert_eq!((judged.verdict, judged.actual), (Verdict::Fail, None));
            assert!(judged.reason.unwrap().starts_with("no samples"));
            assert_eq!(judge(text, criterion.metric(), Some(f64::NAN)), Verdict::Fail);
        }
    }

    #[test]
    fn what_cannot_be_judged_is_refused_beforehand() {
        for (text, part) in [
            ("delivry.p95<50ms", "did you mean delivery.p95"),
            ("delivery.p42<50ms", "not measured"),
            ("delivery.p95", "is not NAME"),
            ("delivery.p95<fast", "no number"),
            ("delivery.p95<50%", "takes \"ms\""),
            ("delivery.p95<50", "takes \"ms\""),
            ("errors<1ms", "takes no unit"),
            ("<5", "not measured"),
        ] {
            let error = Criterion::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_name_is_a_criterion_and_defaults_parse_in_every_case() {
        for name in names() {
            assert!(Criterion::parse(&format!("{name}<1{}", unit_of(&name))).is_ok(), "{name}");
        }
        for bits in 0..32 {
            let [ours, numbered, server, recovery, restart] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
            for latency in [None, Some("rtt"), Some("delivery")] {
                let rate = Some(500.0);
                let can = Judgeable { ours, numbered, latency, server, recovery, restart, rate };
                assert!(defaults(can).len() >= 4);
            }
        }
    }

    #[test]
    fn a_given_criterion_takes_the_place_of_the_default_of_its_measure() {
        let can = Judgeable {
            ours: true,
            numbered: true,
            latency: Some("delivery"),
            server: false,
            recovery: true,
            restart: false,
            rate: None,
        };
        let given = [Criterion::parse("delivery.p95<9s").unwrap()];
        let list = combine(defaults(can), &given);
        let about = |metric: &str| list.iter().filter(|c| c.metric() == metric).count();
        assert_eq!((list.len(), about("delivery.p95"), about("delivery.mean")), (defaults(can).len(), 1, 1));
    }
}
