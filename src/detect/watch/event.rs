//! Anomalies as they are told: events of the stream, the list for the HTTP API, conditions for the alert manager.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::alert::{Active, Phase, Severity};
use crate::query::Labels;
use crate::series::key;
use crate::stream::events::{Happening, Kind, Lasting};

/// Anomalies that are over and kept for the list.
pub const RECENT: usize = 1000;

/// The name of all alerts of anomalies.
pub const ALERT: &str = "Anomaly";

/// What an event says of an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The score has reached 1.
    Begin,
    /// It was no single odd value: its alert fires.
    Confirmed,
    /// It is over.
    End,
    /// It is over, since it has lasted so long that it is the new normal.
    Shift,
}

/// An anomaly of a series, as it was when something of it changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anomaly {
    /// Counts them, for the life of the process.
    pub id: u64,
    /// What changed.
    pub state: Stage,
    /// The watch.
    #[serde(serialize_with = "text")]
    pub watch: Arc<str>,
    /// Name of the series, or of the family of a histogram.
    #[serde(serialize_with = "text")]
    pub metric: Arc<str>,
    /// Its labels; those of a sum only the ones that it is by.
    pub labels: BTreeMap<String, String>,
    /// What is observed: `value`, `rate` or `p95`.
    #[serde(serialize_with = "text")]
    pub observed: Arc<str>,
    /// Name of the detector.
    pub detector: &'static str,
    /// Of its alert.
    pub severity: Severity,
    /// When it began, Unix milliseconds.
    pub since: i64,
    /// What was observed last.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// What was expected at the begin.
    #[serde(serialize_with = "number")]
    pub expected: f64,
    /// Lower end of what was usual then.
    #[serde(serialize_with = "number")]
    pub lower: f64,
    /// Upper end.
    #[serde(serialize_with = "number")]
    pub upper: f64,
    /// The highest score so far; 1 is the threshold.
    #[serde(serialize_with = "number")]
    pub score: f64,
    /// Observations of the series so far.
    pub samples: u64,
    /// All this as a sentence.
    pub explanation: String,
    /// What else moved within 30 s of the begin, as far as known; the most unusual first, five at most.
    pub together: Vec<Moved>,
}

/// Another series that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Its watch.
    #[serde(serialize_with = "text")]
    pub watch: Arc<str>,
    /// Its name.
    #[serde(serialize_with = "text")]
    pub metric: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How far from its mean, in its own standard deviations; negative is below.
    #[serde(serialize_with = "number")]
    pub sigmas: f64,
}

fn text<S: Serializer>(value: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value)
}

/// Numbers without noise behind the sixth digit; null for none.
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        return serializer.serialize_none();
    }
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(*value);
    serializer.serialize_f64(short)
}

impl Happening for Anomaly {
    const KIND: Kind = Kind::Anomaly;

    fn lasting(&self) -> Lasting {
        let name = self.id.to_string();
        match self.state {
            Stage::Begin | Stage::Confirmed => Lasting::Begins(name),
            Stage::End | Stage::Shift => Lasting::Ends(name),
        }
    }
}

impl Anomaly {
    /// The sentence of [`Anomaly::explanation`].
    pub(super) fn explain(&self, to: Option<f64>) -> String {
        let mut text = String::new();
        let name = rendered(&self.metric, &self.labels);
        let observed =
            if *self.observed == *"value" { String::new() } else { format!("the {} of ", self.observed) };
        let verb = match self.state {
            Stage::Begin | Stage::Confirmed => "is",
            Stage::End => "is again",
            Stage::Shift => "stays at",
        };
        let value = to.unwrap_or(self.value);
        let _ = write!(text, "{observed}{name} {verb} {}", short(value));
        match self.state {
            Stage::Shift => {
                let _ = write!(text, " and no longer at {}: taken for the new normal", short(self.expected));
            }
            _ if self.expected.is_finite() => {
                let _ = write!(
                    text,
                    ", expected {} ({} to {})",
                    short(self.expected),
                    short(self.lower),
                    short(self.upper)
                );
            }
            _ => {}
        }
        let _ = write!(
            text,
            "; highest score {} of detector {} after {} observations",
            short(self.score),
            self.detector,
            self.samples
        );
        text
    }

    /// What the alert manager is told.
    pub(super) fn active(&self, confirmed_ms: Option<i64>) -> Active {
        let shown = shown(&self.watch, &self.metric, &self.labels);
        let labels = Labels::new(shown.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .with("alertname", ALERT)
            .with(Severity::LABEL, self.severity.as_str());
        let name = rendered(&self.metric, &self.labels);
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), format!("{name} is unusual")),
            ("description".to_owned(), self.explanation.clone()),
        ]);
        if !self.together.is_empty() {
            let each = self.together.iter().map(|moved| {
                format!("{} ({:+.1} sigma)", rendered(&moved.metric, &moved.labels), moved.sigmas)
            });
            annotations.insert("together".to_owned(), each.collect::<Vec<_>>().join(", "));
        }
        let expression = match &*self.observed {
            "value" => name,
            "rate" => format!("rate({name}[5m])"),
            _ => rendered(&format!("{}_count", self.metric), &self.labels),
        };
        Active {
            labels,
            annotations,
            phase: if confirmed_ms.is_some() { Phase::Firing } else { Phase::Pending },
            value: self.value,
            active_at_ms: self.since,
            fired_at_ms: confirmed_ms,
            generator: format!("/#query?expr={}", escaped(&expression)).into(),
        }
    }
}

/// The labels under which scores are exposed and alerts are told: those of the series with `metric` and `watch`. One of the
/// series' own with such a name, or a name that alerts need, is called `exported_…`, as Prometheus does.
pub(super) fn shown(watch: &str, metric: &str, labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    const OURS: [&str; 4] = ["metric", "watch", "alertname", Severity::LABEL];
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in labels {
        let mut free = name.clone();
        while OURS.contains(&&*free) || (free != *name && labels.contains_key(&free)) {
            free.insert_str(0, "exported_");
        }
        all.insert(free, value.clone());
    }
    all.insert("metric".to_owned(), metric.to_owned());
    all.insert("watch".to_owned(), watch.to_owned());
    all.into_iter().collect()
}

fn rendered(metric: &str, labels: &BTreeMap<String, String>) -> String {
    key::render(metric, &labels.iter().collect::<Vec<_>>())
}

/// Four digits, for people.
fn short(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    if (1e-4..1e15).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// What is anomalous now and was before, for the HTTP API.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Now, the oldest first.
    pub current: BTreeMap<u64, Arc<Anomaly>>,
    /// Over, the latest first, [`RECENT`] at most; each with the time of its end, Unix milliseconds.
    pub recent: VecDeque<(i64, Arc<Anomaly>)>,
    /// Series that are watched.
    pub watched: usize,
    /// Series that would be, if there were room.
    pub skipped: usize,
}

impl View {
    pub(super) fn note(&mut self, at_ms: i64, anomaly: &Arc<Anomaly>) {
        match anomaly.state {
            Stage::Begin | Stage::Confirmed => {
                self.current.insert(anomaly.id, Arc::clone(anomaly));
            }
            Stage::End | Stage::Shift => {
                self.current.remove(&anomaly.id);
                self.recent.truncate(RECENT - 1);
                self.recent.push_front((at_ms, Arc::clone(anomaly)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f75_labels_of_the_series_give_way_to_ours() {
        let labels = BTreeMap::from([
            ("exported_metric".to_owned(), "a".to_owned()),
            ("metric".to_owned(), "b".to_owned()),
            ("severity".to_owned(), "c".to_owned()),
        ]);
        let shown = shown("w", "m", &labels);
        let shown: Vec<_> = shown.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["exported_exported_metric=b", "exported_metric=a", "exported_severity=c", "metric=m", "watch=w"]
        );
    }

    #[test]
    fn numbers_are_short_and_none_is_null() {
        assert_eq!([0.1 + 0.2, 1_234_567.0, 1e-9, 0.0].map(short), ["0.3", "1235000", "1e-9", "0"]);
        let moved =
            Moved { watch: "w".into(), metric: "m".into(), labels: BTreeMap::new(), sigmas: f64::NAN };
        assert_eq!(serde_json::to_value(&moved).unwrap()["sigmas"], serde_json::Value::Null);
    }
}
