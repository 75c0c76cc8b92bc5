//! Alerts as events of the stream: each by itself, at once, whatever receivers are told.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fingerprint::Fingerprint;
use super::history::Change;
use super::record::Record;
use super::view::State;
use crate::alert::{Acknowledged, Origin, Severity};
use crate::stream::events::{Happening, Kind, Lasting};

/// An alert has changed. One that fires or flaps stands until it is over, so that a client which comes is told what fires.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertEvent {
    /// When, Unix milliseconds; the event's `t`.
    #[serde(skip)]
    pub at_ms: i64,
    /// Which.
    pub alert: Fingerprint,
    /// What changed.
    pub change: Change,
    /// Where it is now.
    pub state: State,
    /// Does it fire? Says of a flapping one how it is at the moment.
    pub firing: bool,
    /// Its level.
    pub severity: Severity,
    /// Who says so.
    pub origin: Origin,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The value of its expression.
    #[serde(with = "crate::alert::number")]
    pub value: f64,
    /// Since when it fires, Unix milliseconds.
    pub starts_at: i64,
    /// When it was over, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<i64>,
    /// Why it changed, for people.
    pub reason: String,
    /// Who takes care.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Silences in force for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silenced_by: Vec<String>,
    /// Alerts that make it not worth a notification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inhibited_by: Vec<Fingerprint>,
}

impl AlertEvent {
    /// That of docs/protocol.md.
    #[cfg(test)]
    pub(crate) fn example(at_ms: i64) -> Self {
        let text = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        AlertEvent {
            at_ms,
            alert: "c2ff3a0e4e0cbf27".parse().expect("16 digits"),
            change: Change::Firing,
            state: State::Firing,
            firing: true,
            severity: Severity::Critical,
            origin: Origin::Rule,
            labels: text(&[("alertname", "HighLoad"), ("job", "node"), ("severity", "critical")]),
            annotations: text(&[("summary", "load is 12")]),
            value: 12.5,
            starts_at: at_ms,
            ends_at: None,
            reason: "its condition has held for long enough".into(),
            acknowledged: None,
            silenced_by: Vec::new(),
            inhibited_by: Vec::new(),
        }
    }

    pub(super) fn of(record: &Record, change: Change, reason: &str, at_ms: i64) -> Self {
        let view = record.view();
        AlertEvent {
            at_ms,
            alert: view.id,
            change,
            state: view.state,
            firing: view.firing,
            severity: view.severity,
            origin: view.origin,
            labels: view.labels,
            annotations: view.annotations,
            value: view.value,
            starts_at: view.starts_at_ms.unwrap_or(view.active_at_ms),
            ends_at: view.ends_at_ms,
            reason: reason.to_owned(),
            acknowledged: view.acknowledged,
            silenced_by: view.silenced_by,
            inhibited_by: view.inhibited_by,
        }
    }
}

impl Happening for AlertEvent {
    const KIND: Kind = Kind::Alert;

    fn lasting(&self) -> Lasting {
        let name = self.alert.to_string();
        let stands = self.firing || self.state == State::Flapping;
        if stands && self.change != Change::Dropped { Lasting::Begins(name) } else { Lasting::Ends(name) }
    }
}
