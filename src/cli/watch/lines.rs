//! A line for every change: for people, or as JSON.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::track::{Track, Tracks};
use crate::cli::format::{self, printable};
use crate::client::{Change, Happened, Series};
use crate::exposition::number;
use crate::log::timestamp;

/// Writes lines.
#[derive(Debug)]
pub(super) struct Lines {
    json: bool,
    /// Keys that were shown.
    shown: HashSet<String>,
}

impl Lines {
    pub(super) fn new(json: bool) -> Self {
        Lines { json, shown: HashSet::new() }
    }

    /// The lines for what changed with a frame: what is gone, then the values in the order of the keys.
    pub(super) fn changes(&mut self, tracks: &Tracks, change: &Change) -> String {
        let mut text = String::new();
        for series in change.stale.iter().filter(|series| self.shown.remove(&series.key())) {
            text.push_str(&stale(series, change.time_ms, self.json));
        }
        for (key, track) in tracks.iter().filter(|(_, track)| track.changed) {
            let Some(shown) = track.shown() else { continue };
            self.shown.insert(key.clone());
            text.push_str(&line(key, track, shown, change.time_ms, self.json));
        }
        text
    }
}

/// The line for an event, as JSON: its kind is `event`.
pub(super) fn happened(happened: &Happened) -> String {
    let mut line = json!({"t": happened.time_ms, "event": happened.kind});
    if let Some(seq) = happened.seq {
        line["seq"] = seq.into();
    }
    for (name, value) in &happened.fields {
        line[name] = value.clone();
    }
    format!("{line}\n")
}

/// An event for people.
pub(super) fn told(happened: &Happened) -> String {
    let fields: Vec<_> = happened.fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{} {} {}", timestamp(happened.time_ms), happened.kind, fields.join(", "))
}

fn line(key: &str, track: &Track, shown: f64, time_ms: i64, json: bool) -> String {
    let series = &track.series;
    if !json {
        let value = format::value(shown, &track.unit, track.by_rate);
        return format!("{} {} {value}\n", timestamp(time_ms), printable(key));
    }
    let mut line = head(series, series.time_ms);
    line["type"] = json!(series.family.kind);
    line["unit"] = json!(track.unit);
    line["value"] = number(series.value);
    if track.by_rate {
        line["rate"] = number(shown);
    }
    format!("{line}\n")
}

fn stale(series: &Series, time_ms: i64, json: bool) -> String {
    if !json {
        return format!("{} {} gone\n", timestamp(time_ms), printable(&series.key()));
    }
    let mut line = head(series, time_ms);
    line["stale"] = json!(true);
    format!("{line}\n")
}

fn head(series: &Series, time_ms: i64) -> Value {
    json!({"t": time_ms, "name": series.name, "labels": series.labels})
}

/// As in the stream: what JSON has no number for is text.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(number::text(value)) }
}
