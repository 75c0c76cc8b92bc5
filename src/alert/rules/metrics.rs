//! Figures of the rules: Prometheus' own, under our prefix. Their labels are as many as there are groups.

use std::time::Duration;

use super::group::{Evaluated, Group};
use crate::registry::{
    Buckets, Counter, Desc, Family, FloatGauge, Gauge, Histogram, RegisterError, Registry, Unit,
};

/// Most groups that have figures of their own; those of the rest are counted together.
const GROUPS: usize = 1000;

crate::label_set! {
    struct ByGroup { rule_group: String }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    evaluations: Family<ByGroup, Counter>,
    failures: Family<ByGroup, Counter>,
    duration: Histogram,
    group_duration: Histogram,
    iterations: Family<ByGroup, Counter>,
    missed: Family<ByGroup, Counter>,
    interval: Family<ByGroup, FloatGauge>,
    last_duration: Family<ByGroup, FloatGauge>,
    last_samples: Family<ByGroup, Gauge>,
    last_time: Family<ByGroup, FloatGauge>,
    rules: Family<ByGroup, Gauge>,
    no_data: Family<ByGroup, Counter>,
    pub(super) reports_dropped: Counter,
    pub(super) state_failures: Counter,
    pub(super) panics: Counter,
}

fn label(group: &Group) -> ByGroup {
    ByGroup { rule_group: format!("{};{}", group.spec().file, group.spec().name) }
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let by_group = |name, help| Desc::new(name, help).limit(GROUPS);
        let seconds = |name, help| Desc::new(name, help).unit(Unit::Seconds).limit(GROUPS);
        Ok(Metrics {
            evaluations: registry.family(by_group("gaugecast_rule_evaluations", "Evaluations of rules."), ())?,
            failures: registry.family(
                by_group("gaugecast_rule_evaluation_failures", "Evaluations of rules that failed; /api/v1/rules says why."),
                (),
            )?,
            duration: registry.histogram(
                Desc::new("gaugecast_rule_evaluation_duration", "Time of the evaluation of a rule.").unit(Unit::Seconds),
                Buckets::seconds(),
            )?,
            group_duration: registry.histogram(
                Desc::new("gaugecast_rule_group_duration", "Time of the evaluation of a group of rules.")
                    .unit(Unit::Seconds),
                Buckets::seconds(),
            )?,
            iterations: registry.family(
                by_group("gaugecast_rule_group_iterations", "Evaluations of groups that were due, missed ones included."),
                (),
            )?,
            missed: registry.family(
                by_group(
                    "gaugecast_rule_group_iterations_missed",
                    "Evaluations of groups that fell out, because the one before was not at its end.",
                ),
                (),
            )?,
            interval: registry
                .family(seconds("gaugecast_rule_group_interval", "Interval of a group of rules."), ())?,
            last_duration: registry.family(
                seconds("gaugecast_rule_group_last_duration", "Time of the last evaluation of a group."),
                (),
            )?,
            last_samples: registry.family(
                by_group("gaugecast_rule_group_last_evaluation_samples", "Samples of the last evaluation of a group."),
                (),
            )?,
            last_time: registry.family(
                seconds("gaugecast_rule_group_last_evaluation_timestamp", "When a group was evaluated last."),
                (),
            )?,
            rules: registry.family(by_group("gaugecast_rule_group_rules", "Rules of a group."), ())?,
            no_data: registry.family(
                by_group("gaugecast_rule_no_data", "Alerts that were over because their series had gone."),
                (),
            )?,
            reports_dropped: registry.counter((
                "gaugecast_rule_reports_dropped",
                "Reports that the alert manager did not take in time; the next one of the rule says the same.",
            ))?,
            state_failures: registry.counter((
                "gaugecast_rule_state_failures",
                "Tries to save or read the state of alerts that failed. The log says why.",
            ))?,
            panics: registry.counter((
                "gaugecast_rule_panics",
                "Evaluations of groups that ended by a fault in gaugecast.",
            ))?,
        })
    }

    /// A group is there.
    pub(super) fn begin(&self, group: &Group) {
        let label = label(group);
        self.interval.get(&label).set(group.interval().as_secs_f64());
        self.rules.get(&label).set(i64::try_from(group.rules().len()).unwrap_or(i64::MAX));
        // That they are there from the begin on makes the first failure an increase.
        for family in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            family.get(&label).inc_by(0);
        }
    }

    /// It is no more.
    pub(super) fn end(&self, group: &Group) {
        let label = label(group);
        for family in [&self.evaluations, &self.failures, &self.iterations, &self.missed, &self.no_data] {
            family.remove(&label);
        }
        for family in [&self.interval, &self.last_duration, &self.last_time] {
            family.remove(&label);
        }
        for family in [&self.last_samples, &self.rules] {
            family.remove(&label);
        }
    }

    /// So many iterations could not begin.
    pub(super) fn missed(&self, group: &Group, count: u64) {
        let label = label(group);
        self.iterations.get(&label).inc_by(count);
        self.missed.get(&label).inc_by(count);
    }

    /// It was evaluated.
    pub(super) fn evaluated(&self, group: &Group, evaluated: &Evaluated) {
        let label = label(group);
        self.iterations.get(&label).inc();
        self.evaluations.get(&label).inc_by(group.rules().len() as u64);
        self.failures.get(&label).inc_by(evaluated.failures as u64);
        for rule in group.rules() {
            self.duration.observe_duration(rule.status().took);
        }
        self.group_duration.observe_duration(group.took());
        self.last_duration.get(&label).set(group.took().as_secs_f64());
        let samples: usize = evaluated.results.iter().map(|results| results.samples.len()).sum();
        self.last_samples.get(&label).set(i64::try_from(samples).unwrap_or(i64::MAX));
        if let Some(last) = group.last() {
            self.last_time.get(&label).set(seconds(last.unix_ms));
        }
        let no_data: usize = evaluated.reports.iter().map(|report| report.no_data.len()).sum();
        self.no_data.get(&label).inc_by(no_data as u64);
    }
}

#[allow(clippy::cast_precision_loss)] // milliseconds of our age
fn seconds(ms: i64) -> f64 {
    Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}
