//! What the HTTP API shows of alerts, silences and groups, and what it asks for by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::matcher::Matchers;
use crate::alert::{Acknowledged, Origin, Severity};

/// Where an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its condition is true, but not yet for long enough.
    Pending,
    /// It fires.
    Firing,
    /// It comes and goes: nobody is told before it has been quiet for a while.
    Flapping,
    /// It is over; kept for 15 minutes.
    Resolved,
}

impl State {
    /// All of them.
    pub const ALL: [State; 4] = [State::Pending, State::Firing, State::Flapping, State::Resolved];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
            State::Flapping => "flapping",
            State::Resolved => "resolved",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// An alert as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertView {
    /// Its name for all requests: 16 hexadecimal digits, the same after a restart.
    pub id: Fingerprint,
    /// Where it is.
    pub state: State,
    /// Does it fire? Says of a flapping one how it is now.
    pub firing: bool,
    /// The level, by its rules or raised by escalation.
    pub severity: Severity,
    /// Who says so.
    pub origin: Origin,
    /// Labels, `alertname` and `severity` among them.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The value as last seen; what JSON has no number for is a text, `"NaN"`, `"+Inf"`, `"-Inf"`.
    #[serde(with = "crate::alert::number")]
    pub value: f64,
    /// Since when the condition is true, Unix milliseconds.
    pub active_at_ms: i64,
    /// Since when it fires, Unix milliseconds; nothing while it is pending.
    pub starts_at_ms: Option<i64>,
    /// When it was over, Unix milliseconds.
    pub ends_at_ms: Option<i64>,
    /// Last change, Unix milliseconds.
    pub updated_at_ms: i64,
    /// The page that shows the expression, a path with its query.
    pub generator: String,
    /// Who takes care.
    pub acknowledged: Option<Acknowledged>,
    /// Ids of the silences that are in force for it.
    pub silenced_by: Vec<String>,
    /// Ids of the alerts that inhibit it.
    pub inhibited_by: Vec<Fingerprint>,
    /// The receivers to which it is routed.
    pub receivers: Vec<String>,
    /// Who is told next if nobody takes it; nothing where nobody is left.
    pub next: Option<NextStep>,
    /// Counts its changes, see [`crate::alert::Notified::transition`].
    pub transition: u64,
}

/// The next step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// Who is told.
    pub receiver: String,
    /// The level to which it is raised then.
    pub severity: Option<Severity>,
    /// When, Unix milliseconds; nothing while its time does not count, since somebody has taken it or nobody may be told.
    pub at_ms: Option<i64>,
}

/// Which alerts are meant: all of these must hold. The default is all alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// In one of these states; empty is any.
    pub states: Vec<State>,
    /// Of one of these levels; empty is any.
    pub severities: Vec<Severity>,
    /// With these labels.
    pub matchers: Matchers,
}

/// Which transitions of the [history](super::Alerts::history) are meant: all of these must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryFilter {
    /// Not before, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Not after, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Into one of these states; empty is any.
    pub states: Vec<State>,
    /// Of one of these levels; empty is any.
    pub severities: Vec<Severity>,
    /// Of alerts with these labels.
    pub matchers: Matchers,
    /// Only those before this number: for paging.
    pub before: Option<u64>,
    /// At most so many, the newest; all if nothing.
    pub limit: Option<usize>,
}

/// A wish to acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Who.
    pub by: String,
    /// What they say; at most 1 KiB is kept.
    pub note: String,
    /// For how long, which makes it a snooze; as long as the alert fires if nothing.
    pub for_: Option<std::time::Duration>,
}

/// What clearing did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// How many alerts were cleared. Those that were over already do not count.
    pub count: usize,
    /// The ids that no alert has.
    pub unknown: Vec<String>,
}

/// What is to be cleared.
#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// All.
    All,
    /// These.
    Ids(Vec<String>),
    /// Those with these labels.
    Matching(Matchers),
}

/// A group of alerts for one receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupView {
    /// Its name, as in [`crate::alert::Notification::group_key`].
    pub key: String,
    /// For whom.
    pub receiver: String,
    /// The labels by which it is grouped.
    pub labels: BTreeMap<String, String>,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

/// Counts for a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Alerts by state.
    pub states: BTreeMap<&'static str, usize>,
    /// Firing ones by level.
    pub firing: BTreeMap<&'static str, usize>,
    /// Firing ones that somebody has taken.
    pub acknowledged: usize,
    /// Firing ones of which nobody is told because of a silence or another alert.
    pub suppressed: usize,
    /// Silences in force.
    pub silences: usize,
    /// Groups.
    pub groups: usize,
    /// Notifications that the rate limit holds back now.
    pub held: usize,
    /// Alerts that were refused or forgotten since the start because the table was full.
    pub dropped: u64,
    /// Transitions in the history.
    pub history: usize,
}

/// Why a request cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No alert, or no silence, has this id.
    #[error("nothing has the id {0:?}")]
    Unknown(String),
    /// An alert that does not fire can neither be acknowledged nor escalated.
    #[error("the alert {0} does not fire")]
    NotFiring(Fingerprint),
    /// What is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// As many as can be.
    #[error("there are {0} already, and no more can be")]
    Full(usize),
    /// The manager has stopped.
    #[error("the alert manager has stopped")]
    Stopped,
}
