//! What collecting costs, as metrics of our own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, warn};

use crate::exposition::parse::ParseError;
use crate::registry::{
    Buckets, Counter, Desc, Family, FloatGauge, Gauge, Histogram, RegisterError, Registry, Unit,
};
use crate::series::{Applied, Tick};

crate::label_set! {
    struct BySource { source: String }
}

/// Handles of the tick's own metrics.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    tick_duration: Histogram,
    ticks: Counter,
    /// Ticks of the timer that fell out.
    pub(super) missed: Counter,
    due: FloatGauge,
    clock_steps: Counter,
    series: Gauge,
    page_errors: Family<BySource, Counter>,
    duplicates: Family<BySource, Counter>,
    over_limit: Counter,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // 50 µs to 0.8 s: from an empty table to a tick that nearly fills its second.
        let buckets = Buckets::exponential(50e-6, 4.0, 8).and_then(|buckets| buckets.and_native(1.1));
        Ok(Metrics {
            tick_duration: registry.histogram(
                Desc::new(
                    "gaugecast_tick_duration",
                    "Time from the begin of a tick's collection to its commit.",
                )
                .unit(Unit::Seconds),
                buckets.expect("constant bounds that grow"),
            )?,
            ticks: registry.counter(("gaugecast_ticks", "Ticks committed, on the timer or for a scrape."))?,
            missed: registry.counter((
                "gaugecast_ticks_missed",
                "Ticks of the timer that fell out because one before took too long.",
            ))?,
            due: registry.float_gauge(
                Desc::new(
                    "gaugecast_tick_due_timestamp",
                    "When the tick was due, in seconds since 1970; what a subscriber waited is counted from here.",
                )
                .unit(Unit::Seconds),
            )?,
            clock_steps: registry.counter((
                "gaugecast_clock_steps",
                "Times the wall clock was found to have stepped by more than 0.5 s.",
            ))?,
            series: registry.gauge(("gaugecast_series", "Living series in the table."))?,
            page_errors: registry.family(
                Desc::new(
                    "gaugecast_page_errors",
                    "Pages of a source that were refused whole because of a syntax error.",
                ),
                (),
            )?,
            duplicates: registry.family(
                Desc::new(
                    "gaugecast_samples_duplicate",
                    "Samples refused because the page or another source has the series already.",
                ),
                (),
            )?,
            over_limit: registry.counter((
                "gaugecast_samples_over_limit",
                "Samples refused because the series table was full.",
            ))?,
        })
    }

    /// Counts what a page brought, and logs the first time that something of it was refused.
    pub(super) fn account(&self, source: &str, read: Result<Applied, ParseError>) {
        let label = || BySource { source: source.to_owned() };
        match read {
            Ok(Applied { duplicates, over_limit, .. }) => {
                if duplicates > 0 {
                    let counter = self.duplicates.get(&label());
                    if counter.get() == 0 {
                        warn!(source, duplicates, "samples of series that exist already are refused");
                    }
                    counter.inc_by(duplicates as u64);
                }
                if over_limit > 0 {
                    if self.over_limit.get() == 0 {
                        warn!(source, "the series table is full, new series are refused");
                    }
                    self.over_limit.inc_by(over_limit as u64);
                }
            }
            Err(error) => {
                let counter = self.page_errors.get(&label());
                if counter.get() == 0 {
                    error!(source, %error, "a page was refused whole");
                }
                counter.inc();
            }
        }
    }

    /// Says of the tick that begins that it was due `late` ago.
    pub(super) fn due(&self, late: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.due.set(now.saturating_sub(late).as_secs_f64());
    }

    /// Counts a tick that took `duration`.
    pub(super) fn account_tick(&self, tick: &Tick, duration: Duration) {
        self.ticks.inc();
        self.tick_duration.observe_duration(duration);
        self.series.set(i64::try_from(tick.schema.len).unwrap_or(i64::MAX));
        if tick.clock_step_ms != 0 {
            self.clock_steps.inc();
            warn!(step_ms = tick.clock_step_ms, "the wall clock has stepped");
        }
    }
}
