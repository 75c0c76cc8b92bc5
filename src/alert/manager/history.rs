//! What has happened: the last 10,000 transitions of all alerts, each with its reason and with what became of the notifications.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::view::{HistoryFilter, State};
use crate::alert::{Delivery, Severity};
use crate::log::timestamp;

/// Transitions that are kept.
pub const KEPT: usize = 10_000;

/// Deliveries that are kept with one transition. A receiver has seldom more than two channels.
const DELIVERIES: usize = 16;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It began to fire.
    Firing,
    /// It fires again so soon after its end that it is the same alert.
    Reopened,
    /// Its level changed.
    Level,
    /// Nobody took it: the next ones are told, or its level is raised.
    Escalated,
    /// It is over.
    Resolved,
    /// Somebody cleared it.
    Cleared,
    /// It comes and goes.
    Flapping,
    /// It does not come and go any more.
    Steady,
    /// Somebody takes care.
    Acknowledged,
    /// Nobody does any more.
    Unacknowledged,
    /// Nobody is told of it for now: a silence, or another alert.
    Suppressed,
    /// That is over.
    Unsuppressed,
    /// It was forgotten to make room for others.
    Dropped,
}

impl Change {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Change::Firing => "firing",
            Change::Reopened => "reopened",
            Change::Level => "level",
            Change::Escalated => "escalated",
            Change::Resolved => "resolved",
            Change::Cleared => "cleared",
            Change::Flapping => "flapping",
            Change::Steady => "steady",
            Change::Acknowledged => "acknowledged",
            Change::Unacknowledged => "unacknowledged",
            Change::Suppressed => "suppressed",
            Change::Unsuppressed => "unsuppressed",
            Change::Dropped => "dropped",
        }
    }
}

/// One transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Its number, ascending.
    pub seq: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Of which alert.
    pub id: Fingerprint,
    /// What changed.
    pub change: Change,
    /// Where the alert is since then.
    pub state: State,
    /// Its level since then.
    pub severity: Severity,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    #[serde(with = "crate::alert::number")]
    pub value: f64,
    /// Why, in words.
    pub reason: String,
    /// What became of the notifications that told it.
    pub deliveries: Vec<Delivery>,
}

/// The last transitions, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    kept: VecDeque<Transition>,
    last: u64,
    /// Which transitions a notification told, for what is heard of it later.
    told: VecDeque<(u64, Vec<u64>)>,
}

impl History {
    /// Takes one more and gives its number.
    pub(super) fn push(&mut self, mut transition: Transition) -> u64 {
        self.last += 1;
        transition.seq = self.last;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(transition);
        self.last
    }

    /// A notification tells these transitions.
    pub(super) fn telling(&mut self, notification: u64, transitions: Vec<u64>) {
        if self.told.len() == KEPT {
            self.told.pop_front();
        }
        self.told.push_back((notification, transitions));
    }

    /// What became of one. False if it tells of nothing that is known.
    pub(super) fn delivered(&mut self, delivery: &Delivery) -> bool {
        let Ok(at) = self.told.binary_search_by_key(&delivery.notification, |(id, _)| *id) else {
            return false;
        };
        let first = self.kept.front().map_or(u64::MAX, |transition| transition.seq);
        for seq in &self.told[at].1 {
            let at = seq.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            if let Some(transition) = at.and_then(|at| self.kept.get_mut(at))
                && transition.deliveries.len() < DELIVERIES
            {
                transition.deliveries.push(delivery.clone());
            }
        }
        true
    }

    /// Those that a filter picks, newest first.
    pub(super) fn list(&self, filter: &HistoryFilter) -> Vec<Transition> {
        let picked = self.kept.iter().rev().filter(|one| filter.picks(one));
        picked.take(filter.limit.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

impl HistoryFilter {
    fn picks(&self, one: &Transition) -> bool {
        self.since_ms.is_none_or(|since| one.at_ms >= since)
            && self.until_ms.is_none_or(|until| one.at_ms <= until)
            && self.before.is_none_or(|before| one.seq < before)
            && (self.states.is_empty() || self.states.contains(&one.state))
            && (self.severities.is_empty() || self.severities.contains(&one.severity))
            && self.matchers.match_all(&one.labels)
    }
}

/// Transitions as CSV (RFC 4180, with a head): times in RFC 3339, labels as a selector has them, of the deliveries how many were made and
/// how many were given up. A text that a spreadsheet would take for a formula has a quote before it.
#[must_use]
pub fn csv(transitions: &[Transition]) -> String {
    let mut out = String::from(
        "seq,time,alert,change,state,severity,alertname,labels,value,reason,delivered,failed\r\n",
    );
    for one in transitions {
        let labels = crate::query::Labels::new(&one.labels).to_string();
        let name = one.labels.get("alertname").map_or("", String::as_str);
        let failed = one.deliveries.iter().filter(|delivery| delivery.error.is_some()).count();
        let _ = write!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            one.seq,
            timestamp(one.at_ms),
            one.id,
            one.change.as_str(),
            one.state.as_str(),
            one.severity,
            field(name),
            field(&labels),
            crate::query::number::plain(one.value),
            field(&one.reason),
            one.deliveries.len() - failed,
            failed
        );
    }
    out
}

fn field(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if formula.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{formula}{}\"", text.replace('"', "\"\""))
}

/// Transitions as a JSON list.
#[must_use]
pub fn json(transitions: &[Transition]) -> String {
    // Nothing in there can fail to be written: texts, numbers, and values that are texts where JSON has no number.
    serde_json::to_string(transitions).unwrap_or_else(|_| "[]".into())
}
