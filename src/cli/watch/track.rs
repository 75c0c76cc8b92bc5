//! What is known of the series that are watched: value, rate, and the last values for the sparkline.

use std::collections::{BTreeMap, VecDeque};

use crate::cli::format;
use crate::client::{Change, Model, Series};

/// How many values a sparkline has.
pub(super) const SPARKS: usize = 24;

/// A series that is watched.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) series: Series,
    pub(super) unit: String,
    /// By the second, of a counter; none before two values are known, or when rates are not asked for.
    pub(super) rate: Option<f64>,
    /// Is it shown by its rate?
    pub(super) by_rate: bool,
    /// Time of the frame that last told of it.
    seen_ms: i64,
    pub(super) sparks: VecDeque<f64>,
    /// Has what is shown changed with the last frame?
    pub(super) changed: bool,
}

impl Track {
    /// The number that is shown; none is a rate that is not known yet.
    pub(super) fn shown(&self) -> Option<f64> {
        if self.by_rate { self.rate } else { Some(self.series.value) }
    }
}

/// All that are watched, by key: a series that comes back after a restart of the server is the same.
#[derive(Clone, Debug)]
pub(super) struct Tracks {
    rates: bool,
    all: BTreeMap<String, Track>,
}

impl Tracks {
    pub(super) fn new(rates: bool) -> Self {
        Tracks { rates, all: BTreeMap::new() }
    }

    /// In the order of the keys.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &Track)> {
        self.all.iter()
    }

    /// Takes what a frame has brought.
    pub(super) fn update(&mut self, model: &Model, change: &Change) {
        for series in &change.stale {
            self.all.remove(&series.key());
        }
        for (key, series) in model.iter().map(|series| (series.key(), series)) {
            let by_rate = self.rates && is_counter(series);
            match self.all.get_mut(&key) {
                Some(track) => track.update(series, by_rate, change.time_ms),
                None => {
                    let track = Track::new(series, by_rate, change.time_ms);
                    self.all.insert(key, track);
                }
            }
        }
        // What went while there was no connection.
        if self.all.len() > model.len() {
            let time = change.time_ms;
            self.all.retain(|_, track| track.seen_ms == time);
        }
    }
}

impl Track {
    fn new(series: &Series, by_rate: bool, time_ms: i64) -> Self {
        let mut track = Track {
            series: series.clone(),
            unit: format::unit(&series.name, &series.family.unit).to_owned(),
            rate: None,
            by_rate,
            seen_ms: time_ms,
            sparks: VecDeque::with_capacity(SPARKS),
            changed: true,
        };
        track.spark();
        track
    }

    fn update(&mut self, series: &Series, by_rate: bool, time_ms: i64) {
        let before = self.shown();
        if time_ms > self.seen_ms {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds between two frames")]
            let seconds = (time_ms - self.seen_ms) as f64 / 1000.0;
            let gone_up = series.value - self.series.value;
            // A counter that is lower was set back to 0, and has gone up from there.
            self.rate = Some(if gone_up < 0.0 { series.value } else { gone_up } / seconds);
        }
        self.by_rate = by_rate;
        self.seen_ms = time_ms;
        self.series = series.clone();
        self.changed = before.map(f64::to_bits) != self.shown().map(f64::to_bits);
        self.spark();
    }

    fn spark(&mut self) {
        if let Some(value) = self.shown() {
            if self.sparks.len() == SPARKS {
                self.sparks.pop_front();
            }
            self.sparks.push_back(value);
        }
    }
}

fn is_counter(series: &Series) -> bool {
    match &*series.family.kind {
        "counter" => true,
        "histogram" | "summary" => {
            ["_bucket", "_count", "_sum"].iter().any(|end| series.name.ends_with(end))
                && series.name != series.family.name
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::Family;

    fn counter(value: f64) -> Series {
        let (name, help, unit) = ("c_total".to_owned(), String::new(), String::new());
        let family = Arc::new(Family { name: name.clone(), kind: "counter".into(), help, unit });
        Series { id: 1, name, labels: BTreeMap::new(), family, value, time_ms: 0 }
    }

    #[test]
    fn a_counter_is_shown_by_the_second_and_a_reset_counts_from_zero() {
        let mut track = Track::new(&counter(10.0), true, 1_000);
        assert_eq!(track.shown(), None);
        track.update(&counter(30.0), true, 3_000);
        assert_eq!((track.shown(), track.changed), (Some(10.0), true));
        track.update(&counter(50.0), true, 5_000);
        assert!(!track.changed);
        track.update(&counter(50.0), true, 6_000);
        assert_eq!(track.shown(), Some(0.0));
        track.update(&counter(4.0), true, 7_000);
        assert_eq!(track.shown(), Some(4.0));
        track.update(&counter(5.0), true, 7_000);
        assert_eq!((track.shown(), track.sparks.len()), (Some(4.0), 5));
    }
}
