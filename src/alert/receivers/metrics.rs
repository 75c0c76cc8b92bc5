//! Figures of delivery, in Alertmanager's and Prometheus' words.

use std::time::Duration;

use crate::clock::Moment;
use crate::registry::{
    Buckets, Counter, Desc, Family, FloatGauge, Gauge, Histogram, RegisterError, Registry, Unit,
};

crate::label_set! {
    struct ByChannel { receiver: String, integration: &'static str }
}

crate::label_set! {
    struct ByFailure { receiver: String, integration: &'static str, reason: &'static str }
}

crate::label_set! {
    struct ByIntegration { integration: &'static str }
}

crate::label_set! {
    struct ByMember { alertmanager: String }
}

crate::label_set! {
    struct ByMemberError { alertmanager: String, reason: &'static str }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    told: Family<ByChannel, Counter>,
    failed: Family<ByFailure, Counter>,
    retried: Family<ByFailure, Counter>,
    queued: Family<ByChannel, Gauge>,
    fallbacks: Family<ByChannel, Counter>,
    duration: Family<ByIntegration, Histogram>,
    /// Most that wait for one channel.
    capacity: Gauge,
    /// Dead letters that are kept.
    pub(super) dead: Gauge,
    /// Notifications for receivers that there are not.
    pub(super) unknown: Counter,
    /// Results that nobody took.
    pub(super) results_dropped: Counter,
    /// Failures to write down what waits.
    pub(super) unsaved: Counter,
    member_up: Family<ByMember, Gauge>,
    member_success: Family<ByMember, FloatGauge>,
    member_sent: Family<ByMember, Counter>,
    member_errors: Family<ByMemberError, Counter>,
    member_refused: Family<ByMember, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry, capacity: usize) -> Result<Self, RegisterError> {
        let desc = Desc::new;
        let metrics = Metrics {
            told: registry.family(
                desc("gaugecast_notifications", "Notifications that were delivered, or failed for good."),
                (),
            )?,
            failed: registry.family(
                desc(
                    "gaugecast_notifications_failed",
                    "Notifications that failed for good, by the last reason; they are dead letters.",
                ),
                (),
            )?,
            retried: registry.family(
                desc("gaugecast_notifications_retried", "Attempts that failed and are repeated, by reason."),
                (),
            )?,
            queued: registry.family(
                desc("gaugecast_notification_queue_length", "Notifications that wait for a channel."),
                (),
            )?,
            fallbacks: registry.family(
                desc(
                    "gaugecast_notification_fallbacks",
                    "Notifications that a fallback receiver was told instead.",
                ),
                (),
            )?,
            duration: registry.family(
                desc("gaugecast_notification_latency", "Time of an attempt to tell, failed ones included.")
                    .unit(Unit::Seconds),
                Buckets::seconds(),
            )?,
            capacity: registry.gauge((
                "gaugecast_notification_queue_capacity",
                "Most notifications that wait for a channel.",
            ))?,
            dead: registry.gauge((
                "gaugecast_notification_dead_letters",
                "Notifications that failed for good and are kept.",
            ))?,
            unknown: registry.counter((
                "gaugecast_notifications_without_receiver",
                "Notifications for a receiver that is not configured.",
            ))?,
            results_dropped: registry.counter((
                "gaugecast_notification_results_dropped",
                "Results of deliveries that the history of alerts had no room for.",
            ))?,
            unsaved: registry.counter((
                "gaugecast_notification_save_failures",
                "Failures to write down what waits for delivery.",
            ))?,
            member_up: registry.family(
                desc("gaugecast_alertmanager_up", "1 if the Alertmanager took what it was last told."),
                (),
            )?,
            member_success: registry.family(
                desc(
                    "gaugecast_alertmanager_last_success_timestamp",
                    "When the Alertmanager last took what it was told.",
                )
                .unit(Unit::Seconds),
                (),
            )?,
            member_sent: registry.family(
                desc(
                    "gaugecast_alertmanager_alerts_sent",
                    "Alerts that the Alertmanager took, repeats included.",
                ),
                (),
            )?,
            member_errors: registry.family(
                desc("gaugecast_alertmanager_errors", "Requests to the Alertmanager that failed, by reason."),
                (),
            )?,
            member_refused: registry.family(
                desc("gaugecast_alertmanager_alerts_refused", "Alerts that the Alertmanager refuses."),
                (),
            )?,
        };
        metrics.capacity.set(i64::try_from(capacity).unwrap_or(i64::MAX));
        Ok(metrics)
    }

    /// An attempt took so long.
    pub(super) fn attempt(&self, integration: &'static str, took: Duration) {
        self.duration.get(&ByIntegration { integration }).observe_duration(took);
    }

    /// The figures of one channel; its counts begin with 0.
    pub(super) fn channel(&self, receiver: &str, integration: &'static str) -> Figures {
        let labels = ByChannel { receiver: receiver.to_owned(), integration };
        self.told.get(&labels).inc_by(0);
        self.queued.get(&labels).add(0);
        Figures { all: self.clone(), labels }
    }

    /// The figures of one Alertmanager.
    pub(super) fn member(&self, alertmanager: &str) -> MemberFigures {
        MemberFigures { all: self.clone(), labels: ByMember { alertmanager: alertmanager.to_owned() } }
    }
}

/// The figures of one channel.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    all: Metrics,
    labels: ByChannel,
}

impl Figures {
    fn by(&self, reason: &'static str) -> ByFailure {
        ByFailure { receiver: self.labels.receiver.clone(), integration: self.labels.integration, reason }
    }

    pub(super) fn delivered(&self) {
        self.all.told.get(&self.labels).inc();
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.all.told.get(&self.labels).inc();
        self.all.failed.get(&self.by(reason)).inc();
    }

    pub(super) fn retried(&self, reason: &'static str) {
        self.all.retried.get(&self.by(reason)).inc();
    }

    pub(super) fn fell_back(&self) {
        self.all.fallbacks.get(&self.labels).inc();
    }

    /// A channel of a receiver that has several of its kind says how many more or fewer wait.
    pub(super) fn queued(&self, more: i64) {
        self.all.queued.get(&self.labels).add(more);
    }

    /// No channel has these labels any more: what is of the moment goes.
    pub(super) fn forget(&self) {
        self.all.queued.remove(&self.labels);
    }

    pub(super) fn attempt(&self, took: Duration) {
        self.all.attempt(self.labels.integration, took);
    }
}

/// The figures of one Alertmanager.
#[derive(Clone, Debug)]
pub(super) struct MemberFigures {
    all: Metrics,
    labels: ByMember,
}

impl MemberFigures {
    pub(super) fn up(&self, up: bool, now: Moment) {
        self.all.member_up.get(&self.labels).set(i64::from(up));
        if up {
            #[allow(clippy::cast_precision_loss)] // exact to the millisecond for 285,000 years
            self.all.member_success.get(&self.labels).set(now.unix_ms as f64 / 1000.0);
        }
    }

    pub(super) fn sent(&self, alerts: usize) {
        self.all.member_sent.get(&self.labels).inc_by(alerts as u64);
    }

    pub(super) fn error(&self, reason: &'static str) {
        let alertmanager = self.labels.alertmanager.clone();
        self.all.member_errors.get(&ByMemberError { alertmanager, reason }).inc();
    }

    pub(super) fn refused(&self) {
        self.all.member_refused.get(&self.labels).inc();
    }

    /// It is a member no more: what is of the moment goes.
    pub(super) fn forget(&self) {
        self.all.member_up.remove(&self.labels);
        self.all.member_success.remove(&self.labels);
    }
}
