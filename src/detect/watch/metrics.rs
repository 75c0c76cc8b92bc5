//! What the watching itself costs and leaves out, as metrics of our own.

use super::event::Stage;
use crate::registry::{Counter, Family, FloatCounter, Gauge, RegisterError, Registry};

crate::label_set! {
    struct ByDetector { detector: &'static str }
}
crate::label_set! {
    struct ByState { state: &'static str }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) series: Gauge,
    pub(super) skipped: Gauge,
    pub(super) refused: Gauge,
    pub(super) observations: Counter,
    pub(super) seconds: FloatCounter,
    pub(super) missed: Counter,
    pub(super) unsent: Counter,
    memory: Family<ByDetector, Gauge>,
    events: Family<ByState, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Metrics {
            series: registry.gauge(("gaugecast_detect_series", "Series that are watched for anomalies."))?,
            skipped: registry.gauge((
                "gaugecast_detect_series_skipped",
                "Series that would be watched if there were room (detect.max_series).",
            ))?,
            refused: registry.gauge((
                "gaugecast_detect_scores_refused",
                "Scores that the series table has no room for, or that another source has.",
            ))?,
            observations: registry
                .counter(("gaugecast_detect_observations", "Values that detectors have judged."))?,
            seconds: registry
                .float_counter(("gaugecast_detect_work_seconds", "Time spent on watching for anomalies."))?,
            missed: registry.counter((
                "gaugecast_detect_ticks_missed",
                "Ticks that were not looked at, since the one before took too long.",
            ))?,
            unsent: registry.counter((
                "gaugecast_detect_reports_delayed",
                "Reports that the alert manager had no room for; they are sent with the next tick.",
            ))?,
            memory: registry
                .family(("gaugecast_detect_memory_bytes", "Memory of the detectors, by their name."), ())?,
            events: registry
                .family(("gaugecast_anomalies", "Anomalies told: begin, confirmed, end, shift."), ())?,
        })
    }

    pub(super) fn event(&self, stage: Stage) {
        let state = match stage {
            Stage::Begin => "begin",
            Stage::Confirmed => "confirmed",
            Stage::End => "end",
            Stage::Shift => "shift",
        };
        self.events.get(&ByState { state }).inc();
    }

    pub(super) fn memory(&self, detector: &'static str, bytes: usize) {
        self.memory.get(&ByDetector { detector }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
