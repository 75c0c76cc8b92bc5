//! Figures of the manager.

use super::core::{Effects, Manager};
use super::silence::SilenceState;
use super::view::State;
use crate::alert::{Cause, Severity};
use crate::registry::{Counter, Desc, Family, Gauge, RegisterError, Registry};

crate::label_set! {
    struct ByState { state: &'static str, severity: &'static str }
}

crate::label_set! {
    struct BySilence { state: &'static str }
}

crate::label_set! {
    struct ByChange { change: &'static str }
}

crate::label_set! {
    struct ByCause { receiver: String, cause: &'static str }
}

crate::label_set! {
    struct ByReceiver { receiver: String }
}

/// Handles of the figures.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    alerts: Family<ByState, Gauge>,
    silences: Family<BySilence, Gauge>,
    transitions: Family<ByChange, Counter>,
    decided: Family<ByCause, Counter>,
    suppressed: Family<ByReceiver, Counter>,
    dropped: Counter,
    pub(super) unsaved: Counter,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Metrics {
            alerts: registry.family(("gaugecast_alerts", "Alerts by state and level."), ())?,
            silences: registry.family(("gaugecast_silences", "Silences by state."), ())?,
            transitions: registry.family(("gaugecast_alert_transitions", "Changes of alerts."), ())?,
            decided: registry.family(
                Desc::new(
                    "gaugecast_notifications_decided",
                    "Notifications handed to receivers, by why they were due.",
                ),
                (),
            )?,
            suppressed: registry.family(
                Desc::new(
                    "gaugecast_notifications_suppressed",
                    "Notifications that the rate limit held back; what they had to tell follows in a digest.",
                ),
                (),
            )?,
            dropped: registry.counter((
                "gaugecast_alerts_dropped",
                "Alerts that found no room in the table, or were forgotten for others.",
            ))?,
            unsaved: registry.counter((
                "gaugecast_alert_state_failures",
                "Times that the state of the alerts could not be saved.",
            ))?,
        })
    }

    /// Brings them to what has happened.
    pub(super) fn see(&self, manager: &Manager, effects: &Effects) {
        let counts = manager.counts();
        for state in State::ALL {
            for severity in Severity::ALL {
                let labels = ByState { state: state.as_str(), severity: severity.as_str() };
                self.alerts.get(&labels).set(counts.get(&(state, severity)).copied().unwrap_or_default());
            }
        }
        for (state, count) in manager.silence_counts() {
            let state: SilenceState = state;
            let silences = self.silences.get(&BySilence { state: state.as_str() });
            silences.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for event in &effects.events {
            self.transitions.get(&ByChange { change: event.change.as_str() }).inc();
        }
        for notification in &effects.notifications {
            let receiver = notification.receiver.to_string();
            self.decided.get(&ByCause { receiver, cause: word(notification.cause) }).inc();
        }
        for receiver in &effects.suppressed {
            self.suppressed.get(&ByReceiver { receiver: receiver.clone() }).inc();
        }
        self.dropped.inc_by(effects.dropped);
    }
}

const fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Firing => "firing",
        Cause::Level => "level",
        Cause::Repeat => "repeat",
        Cause::Escalation => "escalation",
        Cause::Resolved => "resolved",
        Cause::Flapping => "flapping",
        Cause::Digest => "digest",
        Cause::Acknowledged => "acknowledged",
    }
}
