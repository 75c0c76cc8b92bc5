//! A test's figures as metrics, [`Published`] in a registry, which is scraped and streamed like any other; and how a
//! whole test has ended as an event of the stream, [`Outcome`].
//!
//! `gaugecast_loadtest_*` are gauges of the newest look and of the last whole test, and counters over all of them, so
//! that a test which is run over and over (`--preset monitor`) can be watched and alerted on.
//!
//! | family | labels | what |
//! | --- | --- | --- |
//! | `gaugecast_loadtest_connections`, `…_connections_planned` | | live now, and how many should be |
//! | `gaugecast_loadtest_messages_total`, `…_errors_total` | | over all tests |
//! | `gaugecast_loadtest_cycles_total` | `verdict` | whole tests |
//! | `gaugecast_loadtest_criterion_met` | `criterion` | 1 or 0 in the last whole test |
//! | `gaugecast_loadtest_latency_seconds` | `of`, `stat` | of the last whole test |
//! | `gaugecast_loadtest_ratio` | `of` | `uptime`, `connect.success`, … of the last whole test |
//! | `gaugecast_loadtest_broadcasts_per_second` | | of the last whole test |
//! | `gaugecast_loadtest_generator_saturated` | | 1 when its figures say nothing of the server |
//! | `gaugecast_loadtest_last_cycle_timestamp_seconds` | | when it ended |

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::criteria::Verdict;
use super::generator::{Event, Look};
use super::report::Report;
use crate::registry::{Counter, Desc, Family, FloatGauge, Gauge, RegisterError, Registry, Unit};
use crate::stream::events::{Happening, Kind};

crate::label_set! {
    struct ByVerdict { verdict: &'static str }
}
crate::label_set! {
    struct ByCriterion { criterion: String }
}
crate::label_set! {
    struct ByStat { of: &'static str, stat: &'static str }
}
crate::label_set! {
    struct Of { of: &'static str }
}

/// Distributions and what is told of them.
const LATENCIES: [&str; 5] = ["connect", "delivery", "broadcast", "rtt", "recovery"];
const STATS: [&str; 4] = ["mean", "p95", "p99", "max"];

/// Shares, in percent among the measures, from 0 to 1 here.
const SHARES: [&str; 7] = [
    "connect.success",
    "recovery.success",
    "resume.success",
    "uptime",
    "broadcast.complete",
    "server.cpu",
    "server.memory",
];

/// Handles of the metrics.
#[derive(Debug)]
pub struct Published {
    connections: Gauge,
    planned: Gauge,
    messages: Counter,
    errors: Counter,
    /// Messages and errors of the phase that are counted already.
    seen: (u64, u64),
    cycles: Family<ByVerdict, Counter>,
    met: Family<ByCriterion, Gauge>,
    latency: Family<ByStat, FloatGauge>,
    ratio: Family<Of, FloatGauge>,
    rate: FloatGauge,
    saturated: Gauge,
    ended: FloatGauge,
}

impl Published {
    /// Registers all of them.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let family = |name, help| Desc::new(name, help).limit(1_000);
        Ok(Self {
            connections: registry.gauge(("gaugecast_loadtest_connections", "Connections that are live."))?,
            planned: registry
                .gauge(("gaugecast_loadtest_connections_planned", "Connections that should be live."))?,
            messages: registry.counter(("gaugecast_loadtest_messages", "Messages received."))?,
            errors: registry.counter(("gaugecast_loadtest_errors", "Errors of connections."))?,
            seen: (0, 0),
            cycles: registry
                .family(family("gaugecast_loadtest_cycles", "Whole tests, by verdict."), ())?,
            met: registry.family(
                family("gaugecast_loadtest_criterion_met", "Whether a criterion held in the last whole test."),
                (),
            )?,
            latency: registry.family(
                family("gaugecast_loadtest_latency", "Latencies of the last whole test.").unit(Unit::Seconds),
                (),
            )?,
            ratio: registry
                .family(family("gaugecast_loadtest_ratio", "Shares measured in the last whole test."), ())?,
            rate: registry.float_gauge((
                "gaugecast_loadtest_broadcasts_per_second",
                "Broadcasts a second in the last whole test.",
            ))?,
            saturated: registry.gauge((
                "gaugecast_loadtest_generator_saturated",
                "Whether the last whole test says nothing of the server, since its generator was the bottleneck.",
            ))?,
            ended: registry.float_gauge(
                Desc::new("gaugecast_loadtest_last_cycle_timestamp", "When the last whole test ended.")
                    .unit(Unit::Seconds),
            )?,
        })
    }

    /// Takes what a test tells.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Looking(look) => self.look(look),
            Event::Finished(phase) => {
                let measure = |name: &str| phase.measures.get(name).copied().flatten().unwrap_or(0.0) as u64;
                self.count(measure("messages.received"), measure("errors"));
                self.seen = (0, 0);
            }
            Event::Cycle(report) => self.cycle(report),
        }
    }

    fn look(&mut self, look: &Look<'_>) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.connections.set(count(look.live));
        self.planned.set(count(look.planned));
        self.count(self.seen.0 + look.messages, look.errors);
    }

    /// Counts up to these totals of the phase.
    fn count(&mut self, messages: u64, errors: u64) {
        self.messages.inc_by(messages.saturating_sub(self.seen.0));
        self.errors.inc_by(errors.saturating_sub(self.seen.1));
        self.seen = (messages, errors);
    }

    fn cycle(&mut self, report: &Report) {
        self.cycles.get(&ByVerdict { verdict: report.verdict.name() }).inc();
        for judged in &report.criteria {
            let met = self.met.get(&ByCriterion { criterion: judged.criterion.clone() });
            met.set(i64::from(judged.verdict == Verdict::Pass));
        }
        let measure = |name: &str| report.measures.get(name).copied().flatten().unwrap_or(f64::NAN);
        for of in LATENCIES {
            for stat in STATS {
                self.latency.get(&ByStat { of, stat }).set(measure(&format!("{of}.{stat}")) / 1000.0);
            }
        }
        for of in SHARES {
            self.ratio.get(&Of { of }).set(measure(of) / 100.0);
        }
        self.rate.set(measure("broadcast.rate"));
        self.saturated.set(i64::from(report.generator.generator_saturated));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.ended.set(now.as_secs_f64());
    }
}

/// A whole test in short: the event `loadtest`. What was not measured is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// What was loaded.
    pub target: String,
    /// Which time the test was run, from 1.
    pub cycle: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// The criteria that did not hold, or were not judged.
    pub failed: Vec<String>,
    /// Connections held.
    pub connections: usize,
    /// Messages received.
    pub messages: u64,
    /// Mean delivery in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mean_ms: Option<f64>,
    /// 95th percentile of the delivery in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_p95_ms: Option<f64>,
    /// Share of the connections that stayed, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_percent: Option<f64>,
    /// Time until the last cut connection was back, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_ms: Option<f64>,
    /// Errors of connections.
    pub errors: u64,
}

impl Happening for Outcome {
    const KIND: Kind = Kind::LoadTest;
}

impl Outcome {
    /// Of this report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let measure = |name: &str| report.measures.get(name).copied().flatten();
        let failed = report.criteria.iter().filter(|judged| judged.verdict != Verdict::Pass);
        Self {
            target: report.target.url.clone(),
            cycle: report.load.cycle,
            verdict: report.verdict,
            failed: failed.map(|judged| judged.criterion.clone()).collect(),
            connections: report.load.connections,
            messages: measure("messages.received").unwrap_or(0.0) as u64,
            delivery_mean_ms: measure("delivery.mean"),
            delivery_p95_ms: measure("delivery.p95"),
            uptime_percent: measure("uptime"),
            recovery_ms: measure("recovery.time"),
            errors: measure("errors").unwrap_or(0.0) as u64,
        }
    }
}
