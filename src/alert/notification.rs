//! What the manager tells receivers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Severity;
use super::report::Origin;
use crate::query::Labels;

/// One message for one receiver. It can be written down, so that what waits for delivery survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its number, ascending, never used again.
    pub id: u64,
    /// For whom: the name of a receiver.
    pub receiver: Arc<str>,
    /// Why now.
    pub cause: Cause,
    /// When it was decided, Unix milliseconds.
    pub at_ms: i64,
    /// Names the group, the same for all its notifications, such as `{}:{alertname="HighLoad"}`.
    pub group_key: Arc<str>,
    /// The labels by which it was grouped.
    pub group_labels: BTreeMap<String, String>,
    /// The alerts of the group, those that fire first, then by fingerprint; never empty but for a digest.
    pub alerts: Vec<Notified>,
    /// How many notifications the rate limit has held back since the last one that went out.
    pub suppressed: u64,
}

/// What became of a notification in one channel of its receiver, said to the manager once it is settled: delivered, or given
/// up. It goes into the alert history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// [`Notification::id`].
    pub notification: u64,
    /// The receiver that told, or should have: with a fallback not that of the notification.
    pub receiver: String,
    /// How: `webhook`, `slack`, …
    pub integration: String,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Why not, if it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// An alert began to fire.
    Firing,
    /// Its level changed.
    Level,
    /// It still fires, after `repeat_interval`.
    Repeat,
    /// Nobody took it.
    Escalation,
    /// It is over.
    Resolved,
    /// It comes and goes.
    Flapping,
    /// The rate limit held others back; they are in here.
    Digest,
    /// Somebody has taken all of the group that fires. Told only where another program can be told so: who reads it knows.
    Acknowledged,
}

/// Does an alert fire?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Yes.
    Firing,
    /// Not any more.
    Resolved,
}

/// An alert as others are told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notified {
    /// Hash of origin and labels without the level, 16 hexadecimal digits. The same after a restart.
    pub fingerprint: String,
    /// Counts the transitions of this alert: fingerprint and this name a state of it, for receivers that must not act twice.
    pub transition: u64,
    /// Rule or detector.
    pub origin: Origin,
    /// Labels, `alertname` and `severity` among them.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The level, by its label or raised by escalation.
    pub severity: Severity,
    /// Does it fire?
    pub status: Status,
    /// The value of the expression, as last seen.
    #[serde(with = "super::number")]
    pub value: f64,
    /// Since when it fires, Unix milliseconds.
    pub starts_at_ms: i64,
    /// When it was over, Unix milliseconds.
    pub ends_at_ms: Option<i64>,
    /// The page that shows the expression: a path with its query, to be put behind the external address.
    pub generator: String,
    /// Who takes care.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody takes care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// What they say.
    pub note: String,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Until when it holds, Unix milliseconds; as long as the alert fires if nothing.
    pub until_ms: Option<i64>,
}

/// All that fires now or was over in the last 15 minutes, as the rules say it: with every level an alert of its own, not silenced,
/// not grouped. This is what an Alertmanager wants, which decides those things itself. Published through a `watch` channel
/// at each change; a state and not a log, so nothing is queued for a member that cannot be reached.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// By fingerprint and level.
    pub alerts: Vec<StandingAlert>,
}

/// One of [`Standing`].
#[derive(Clone, Debug, PartialEq)]
pub struct StandingAlert {
    /// The labels that Prometheus would send for this rule, but for external labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires, Unix milliseconds.
    pub starts_at_ms: i64,
    /// When it was over, Unix milliseconds.
    pub ends_at_ms: Option<i64>,
    /// As in [`Notified`].
    pub generator: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::receivers::testing::notification;

    #[test]
    fn a_number_that_json_has_not_survives_being_written_down() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, -0.0] {
            let mut told = notification("team", "g", &["1"]);
            told.alerts[0].value = value;
            let written = serde_json::to_string(&told).unwrap();
            let read: Notification = serde_json::from_str(&written).unwrap();
            assert_eq!(read.alerts[0].value.to_bits(), value.to_bits(), "{written}");
        }
    }
}
