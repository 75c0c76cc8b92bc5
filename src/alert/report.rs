//! What a source of alerts tells the manager.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::query::Labels;

/// All that one source holds true at one time. Whatever it does not name, and named before, is over.
///
/// A source that ends (a rule that a reload has removed) says so by a last report without conditions; of one that only falls
/// silent the manager takes what it said as over after some of its intervals.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who says so, the same in each report: for a rule `file;group;name;n`, where `n` counts the rules of one name in
    /// the group, for a detector its name.
    pub source: Arc<str>,
    /// What it is.
    pub origin: Origin,
    /// When it was evaluated.
    pub at: Moment,
    /// The conditions, in any order, no two with the same labels.
    pub active: Vec<Active>,
    /// Labels of conditions that were named before and are not now because there is no data for them any more: that is the reason
    /// then why they are over. Mostly empty.
    pub no_data: Vec<Labels>,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A rule of a rule file.
    Rule,
    /// A detector of anomalies.
    Anomaly,
    /// gaugecast itself, about its own deliveries: told to the log and the stream only (B81).
    Meta,
    /// Another program, by Alertmanager's API.
    External,
}

/// Where a condition is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// True, but not yet for long enough.
    Pending,
    /// True for long enough, or kept.
    Firing,
}

/// A condition that is true.
#[derive(Clone, Debug)]
pub struct Active {
    /// What Prometheus would send to Alertmanager, `alertname` and `severity` among them; no `__name__`, no external labels.
    pub labels: Labels,
    /// Expanded.
    pub annotations: BTreeMap<String, String>,
    /// Where it is.
    pub phase: Phase,
    /// The value of the expression when it was last true.
    pub value: f64,
    /// Since when it is true, Unix milliseconds.
    pub active_at_ms: i64,
    /// Since when it fires, Unix milliseconds.
    pub fired_at_ms: Option<i64>,
    /// The page that shows the expression: a path with its query, without prefix: `/#query?expr=up%20%3D%3D%200`.
    pub generator: Arc<str>,
}
