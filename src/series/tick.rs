//! What a commit gives out.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use super::schema::{Schema, Series};
use crate::clock::Moment;

/// Names the life of a process. Offsets and series numbers mean something only together with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    /// Sixteen hex digits, as on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// In a place for a sample's own time: it has none, the tick's time is its time.
pub const NO_TIME: i64 = i64::MIN;

/// A series that is gone, kept so that a reader who is behind can be told.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Who it was.
    pub series: Arc<Series>,
    /// Offset of the tick in which it was gone.
    pub offset: u64,
}

/// An exemplar (OpenMetrics): one observation that stands for a counter's increment or a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels as rendered text with braces, `{trace_id="…"}`; at most 128 characters of names and values.
    pub labels: Box<str>,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds, or [`NO_TIME`].
    pub time_ms: i64,
}

/// A native (sparse, exponential) histogram, in the terms of Prometheus' protobuf `Histogram` message.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct NativeHistogram {
    /// Number of observations.
    pub count: u64,
    /// Sum of observations.
    pub sum: f64,
    /// Resolution: bucket borders grow by 2^(2^-schema); -4 to 8.
    pub schema: i32,
    /// Breadth of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// (offset, length) of the runs of negative buckets.
    pub negative_spans: Vec<(i32, u32)>,
    /// Counts of the negative buckets, each as difference to the one before.
    pub negative_deltas: Vec<i64>,
    /// (offset, length) of the runs of positive buckets.
    pub positive_spans: Vec<(i32, u32)>,
    /// Counts of the positive buckets, each as difference to the one before.
    pub positive_deltas: Vec<i64>,
    /// Unix milliseconds at which counting began, or [`NO_TIME`].
    pub created_ms: i64,
}

/// The state of all series after one commit: immutable, and the same for everyone who reads it.
///
/// Values stand in columns by slot; ask with a [`Series`] of this tick's own [`schema`](Tick::schema).
#[derive(Clone, Debug)]
pub struct Tick {
    /// Life of the process.
    pub epoch: Epoch,
    /// Number of this tick in its epoch, from 1 (0 is the empty table before the first). Never goes back.
    pub offset: u64,
    /// Number of the last timer tick; a tick made on demand by a scrape has the beat of the one before it.
    pub beat: u64,
    /// When the values were collected.
    pub at: Moment,
    /// By how many milliseconds the wall clock was found to have stepped; 0 normally.
    pub clock_step_ms: i64,
    /// The sum of all such steps up to this tick, for readers that do not see every tick.
    pub clock_shift_ms: i64,
    /// Who exists.
    pub schema: Arc<Schema>,
    /// Series gone, oldest first. Those that went at or before [`forgotten`](Tick::forgotten) are not in it.
    pub tombstones: Arc<[Tombstone]>,
    /// Offset up to which tombstones are forgotten: "what changed since X" has an answer for X at or after it.
    pub forgotten: u64,
    /// Native histograms by family name and [`Series::group`], as [`native_key`] renders them.
    pub natives: Arc<HashMap<Box<str>, Arc<NativeHistogram>>>,
    pub(super) values: Vec<f64>,
    pub(super) changed: Vec<u64>,
    pub(super) times: Vec<i64>,
    pub(super) exemplars: Arc<HashMap<u32, Exemplar>>,
}

impl Tick {
    /// The value of a series of this tick's schema.
    #[must_use]
    pub fn value(&self, series: &Series) -> f64 {
        self.values[series.slot as usize]
    }

    /// Offset of the tick in which the value last changed (or the series appeared).
    #[must_use]
    pub fn changed(&self, series: &Series) -> u64 {
        self.changed[series.slot as usize]
    }

    /// The time the source itself gave the sample, Unix milliseconds.
    #[must_use]
    pub fn own_time(&self, series: &Series) -> Option<i64> {
        let time = self.times[series.slot as usize];
        (time != NO_TIME).then_some(time)
    }

    /// The same, with the time of the tick for each value whose source gave it none.
    #[must_use]
    pub fn stamped(&self) -> Tick {
        let now = self.at.unix_ms;
        let times = self.times.iter().map(|&time| if time == NO_TIME { now } else { time }).collect();
        Tick { times, ..self.clone() }
    }

    /// The columns of values and own times ([`NO_TIME`] for none), by slot: for who has kept the slots of this
    /// tick's series side by side, and would spend more on finding each series than on its value.
    pub(crate) fn columns(&self) -> (&[f64], &[i64]) {
        (&self.values, &self.times)
    }

    /// The exemplar of a counter or bucket.
    #[must_use]
    pub fn exemplar(&self, series: &Series) -> Option<&Exemplar> {
        if self.exemplars.is_empty() { None } else { self.exemplars.get(&series.slot) }
    }

    /// The native histogram of a family's metric; `group` as of [`Series::group`].
    #[must_use]
    pub fn native(&self, family: &str, group: &str) -> Option<&Arc<NativeHistogram>> {
        if self.natives.is_empty() { None } else { self.natives.get(&*native_key(family, group)) }
    }
}

/// Key of [`Tick::natives`].
#[must_use]
pub fn native_key(family: &str, group: &str) -> String {
    [family, group].concat()
}
