//! The history itself: all series, found by label or by their number in the series table. Time is passed in.
//!
//! A series is an `Arc` that a reader may hold; who writes to it then writes to a copy of it (`Arc::make_mut`: its open
//! chunk and the pointers to the sealed ones). So readers take a whole selection, all of it of one moment, in the time
//! of cloning as many pointers, and decode without a lock.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::chunk::{Chunk, STALE, is_stale};
use super::index::{Index, Place, matches};
use super::series::{Pushed, Sample, Series, SeriesRef};
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::series::selector::Matcher;
use crate::series::{Epoch, NO_TIME, Tick, key};

/// A pushed sample may be so far ahead of the clock, as Prometheus allows it.
const AHEAD: Duration = Duration::from_secs(600);

/// When memory is full, as much is freed as leaves this share of it, so that it is not full again at once.
const FREED_TO: f64 = 15.0 / 16.0;

/// In how fine steps of time memory is freed.
const STEPS: usize = 512;

/// What became of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples taken.
    pub taken: usize,
    /// Samples that were there already, time and value: nothing to do.
    pub same: usize,
    /// Samples refused because another value has their time: what was told first stands, as in Prometheus.
    pub conflicts: usize,
    /// Samples refused because they are older than the retention.
    pub too_old: usize,
    /// Samples refused because they are more than 10 minutes ahead of the clock.
    pub too_new: usize,
    /// Samples refused because their series is new and there is no memory for another one.
    pub over_limit: usize,
}

impl Appended {
    /// Samples refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.conflicts + self.too_old + self.too_new + self.over_limit
    }
}

impl AddAssign for Appended {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.same += other.same;
        self.conflicts += other.conflicts;
        self.too_old += other.too_old;
        self.too_new += other.too_new;
        self.over_limit += other.over_limit;
    }
}

/// Samples of one series that somebody pushes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Write {
    /// Its labels in any order, the metric name as `__name__`. An empty value is an absent label; of two with one name
    /// the last counts.
    pub labels: Vec<(String, String)>,
    /// (Unix milliseconds, value), in any order.
    pub samples: Vec<(i64, f64)>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series.
    pub series: usize,
    /// Samples.
    pub samples: u64,
    /// Chunks, the open ones among them.
    pub chunks: usize,
    /// Bytes of memory, as counted against `history.max_size`.
    pub bytes: usize,
}

/// What a store has to know, in order.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A series came.
    Series(u64, Labels),
    /// A chunk was sealed.
    Sealed(u64, Chunk),
    /// A series is forgotten.
    Gone(u64),
}

/// A series of the table and where it is here.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    number: u32,
    place: Place,
    /// Of what stood there: it may have been forgotten since.
    uid: u64,
    /// The last own time at which it was told, or [`NO_TIME`].
    told: i64,
}

/// What is known of the table: made anew when a series comes or goes, so that a tick is one walk over numbers.
#[derive(Debug, Default)]
struct Table {
    state: Option<(Epoch, u64)>,
    entries: Vec<Entry>,
}

/// The history. See the module.
#[derive(Debug)]
pub(super) struct Memory {
    retention_ms: i64,
    max_size: usize,
    series: Vec<Option<Arc<Series>>>,
    free: Vec<Place>,
    index: Index,
    table: Table,
    /// By place the one that was pushed to after it the last time: who pushes mostly tells the same series in the same order.
    after: Vec<Place>,
    next_uid: u64,
    count: Counts,
    /// What ended before this has been dropped.
    horizon: i64,
    /// What a store has not been told yet; `None` without a store.
    changes: Option<Vec<Change>>,
}

/// Kept up to date, so that asking costs nothing.
#[derive(Debug, Default)]
struct Counts {
    series: usize,
    samples: u64,
    sealed: usize,
    /// Memory of sealed chunks.
    sealed_memory: usize,
    /// Memory of open chunks and of the series themselves.
    open_memory: usize,
}

/// What a series takes without its samples and labels: itself and the list of its chunks with the counts of their `Arc`s,
/// its place in the list of series and in the index.
const SERIES: usize = size_of::<Series>() + 24 + 24 + 48 + 16 + 24 + size_of::<Place>();

impl Memory {
    pub(super) fn new(retention: Duration, max_size: usize) -> Self {
        Memory {
            retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            max_size,
            series: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            table: Table::default(),
            after: Vec::new(),
            next_uid: 1,
            count: Counts::default(),
            horizon: i64::MIN,
            changes: None,
        }
    }

    /// Keeps note of what a store must be told, from now on.
    pub(super) fn note_changes(&mut self) {
        self.changes = Some(Vec::new());
    }

    /// What has changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Chunks that ended before this have been dropped.
    pub(super) fn horizon(&self) -> i64 {
        self.horizon
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            series: self.count.series,
            samples: self.count.samples,
            chunks: self.count.sealed + self.count.series,
            bytes: self.memory(),
        }
    }

    fn memory(&self) -> usize {
        self.count.sealed_memory + self.count.open_memory + self.index.memory()
    }

    /// Time of the oldest sample.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.series.iter().flatten().filter_map(|series| series.first()).min()
    }

    // ---- appending

    /// Takes the values of a tick: one sample for each series of the table, also where the value did not change, at
    /// its own time or else that of the tick; and a stale marker for those that went.
    pub(super) fn append_tick(&mut self, tick: &Tick) -> Appended {
        let mut appended = Appended::default();
        let now = tick.at.unix_ms;
        if self.table.state != Some((tick.epoch, tick.schema.version)) {
            self.follow(tick, &mut appended);
        }
        if self.append_columns(tick, &mut appended) {
            // Those that were there already are there once only.
            let same = appended.same;
            self.follow(tick, &mut appended);
            self.append_columns(tick, &mut appended);
            appended.same = same;
        }
        self.free_memory(now);
        appended
    }

    /// Appends a sample to each series of the table; gives whether some were forgotten since the table was followed.
    fn append_columns(&mut self, tick: &Tick, appended: &mut Appended) -> bool {
        let (values, times) = tick.columns();
        let mut entries = std::mem::take(&mut self.table.entries);
        let mut lost = false;
        for entry in &mut entries {
            if !self.lives(entry.place, entry.uid) {
                lost = true;
                continue;
            }
            let slot = entry.slot as usize;
            let own = times[slot];
            // What is scraped or pushed stands for several ticks: the history has it since the first.
            if own != NO_TIME && own == entry.told {
                continue;
            }
            entry.told = own;
            let time = if own == NO_TIME { tick.at.unix_ms } else { own };
            self.append_one(entry.place, time, values[slot].to_bits(), appended);
        }
        self.table.entries = entries;
        lost
    }

    /// Learns which series the table has now.
    fn follow(&mut self, tick: &Tick, appended: &mut Appended) {
        let same_epoch = self.table.state.is_some_and(|(epoch, _)| epoch == tick.epoch);
        self.table.state = Some((tick.epoch, tick.schema.version));
        let old = std::mem::take(&mut self.table.entries);
        let known: HashMap<u32, Entry> = match same_epoch {
            true => old.iter().map(|entry| (entry.number, *entry)).collect(),
            false => HashMap::new(),
        };
        let mut entries = Vec::with_capacity(tick.schema.len);
        let mut living = HashSet::with_capacity(tick.schema.len);
        for (_, series) in tick.schema.series() {
            let found = known.get(&series.number).filter(|entry| self.lives(entry.place, entry.uid));
            let place = match found {
                Some(entry) => Some(entry.place),
                None => self.place_of_key(series.key()),
            };
            let Some((place, uid)) = place.and_then(|place| Some((place, self.get(place)?.uid))) else {
                appended.over_limit += 1;
                // Asked again at the next tick: there may be memory then.
                self.table.state = None;
                continue;
            };
            living.insert(uid);
            let told = NO_TIME;
            entries.push(Entry { slot: series.slot, number: series.number, place, uid, told });
        }
        for gone in old.iter().filter(|entry| !living.contains(&entry.uid)) {
            // Whoever pushes a series may have said itself that it is gone.
            let ended = |series: &Arc<Series>| {
                let last = series.last_between(i64::MIN, i64::MAX);
                last.is_some_and(|(_, value)| is_stale(value))
            };
            if self.lives(gone.place, gone.uid) && !self.get(gone.place).is_some_and(ended) {
                self.append_one(gone.place, tick.at.unix_ms, STALE, appended);
            }
        }
        self.table.entries = entries;
    }

    /// Takes pushed samples, in any order and of any age that the retention covers.
    pub(super) fn append(&mut self, writes: &[Write], now: i64) -> Appended {
        let mut appended = Appended::default();
        let oldest = now.saturating_sub(self.retention_ms);
        let newest = now.saturating_add(i64::try_from(AHEAD.as_millis()).unwrap_or(i64::MAX));
        let mut labels: Vec<(&str, &str)> = Vec::new();
        let mut samples: Vec<Sample> = Vec::new();
        let mut last = None;
        for write in writes {
            samples.clear();
            for &(time, value) in &write.samples {
                if time < oldest {
                    appended.too_old += 1;
                } else if time > newest {
                    appended.too_new += 1;
                } else {
                    samples.push((time, value.to_bits()));
                }
            }
            if samples.is_empty() {
                continue;
            }
            let guess = last.and_then(|last: Place| self.after.get(last as usize).copied());
            let place = guess.filter(|&guess| self.is_as_told(guess, &write.labels)).or_else(|| {
                sorted(&write.labels, &mut labels);
                let place = self.place(&labels)?;
                last.into_iter().for_each(|last| self.after[last as usize] = place);
                Some(place)
            });
            let Some(place) = place else {
                appended.over_limit += samples.len();
                continue;
            };
            self.append_many(place, &samples, &mut appended);
            last = Some(place);
        }
        self.free_memory(now);
        appended
    }

    /// Appends samples, in any order, to a series.
    fn append_many(&mut self, place: Place, samples: &[Sample], appended: &mut Appended) {
        let mut late: Vec<Sample> = Vec::new();
        for &(time, value) in samples {
            self.push(place, time, value, appended, &mut late);
        }
        self.merge(place, late, appended);
    }

    /// Appends one sample to a series.
    fn append_one(&mut self, place: Place, time: i64, value: u64, appended: &mut Appended) {
        let mut late = Vec::new();
        self.push(place, time, value, appended, &mut late);
        if !late.is_empty() {
            self.merge(place, late, appended);
        }
    }

    #[inline]
    fn push(&mut self, place: Place, time: i64, value: u64, appended: &mut Appended, late: &mut Vec<Sample>) {
        let Some(Some(shared)) = self.series.get_mut(place as usize) else { return };
        let before = shared.head.capacity();
        let series = Arc::make_mut(shared);
        match series.push(time, value) {
            Pushed::Taken => {
                appended.taken += 1;
                self.count.samples += 1;
                let uid = series.uid;
                if let Some(chunk) = series.seal() {
                    self.count.sealed += 1;
                    self.count.sealed_memory += chunk.memory();
                    if let Some(changes) = &mut self.changes {
                        changes.push(Change::Sealed(uid, chunk.clone()));
                    }
                }
            }
            Pushed::Same => appended.same += 1,
            Pushed::Conflict => appended.conflicts += 1,
            Pushed::Late => late.push((time, value)),
        }
        // A copy made for a reader may also have less room than what it was made of.
        self.count.open_memory = self.count.open_memory + shared.head.capacity() - before;
    }

    fn merge(&mut self, place: Place, mut late: Vec<Sample>, appended: &mut Appended) {
        // Stable, so that of two with one time the first stands.
        late.sort_by_key(|&(time, _)| time);
        late.dedup_by(|next, first| {
            let double = next.0 == first.0;
            appended.same += usize::from(double && next.1 == first.1);
            appended.conflicts += usize::from(double && next.1 != first.1);
            double
        });
        let Some(Some(shared)) = self.series.get_mut(place as usize) else { return };
        let before = shared.head.capacity();
        let series = Arc::make_mut(shared);
        let merged = series.merge(&late);
        self.count.open_memory = self.count.open_memory + series.head.capacity() - before;
        self.count.samples += merged.taken as u64;
        self.count.sealed = self.count.sealed + merged.sealed.len() - merged.old_chunks;
        self.count.sealed_memory += merged.sealed.iter().map(Chunk::memory).sum::<usize>();
        self.count.sealed_memory -= merged.old_memory;
        if let Some(changes) = &mut self.changes {
            let uid = series.uid;
            changes.extend(merged.sealed.into_iter().map(|chunk| Change::Sealed(uid, chunk)));
        }
        appended.taken += merged.taken;
        appended.same += merged.same;
        appended.conflicts += merged.conflicts;
    }

    // ---- series

    fn get(&self, place: Place) -> Option<&Arc<Series>> {
        self.series.get(place as usize)?.as_ref()
    }

    fn lives(&self, place: Place, uid: u64) -> bool {
        self.get(place).is_some_and(|series| series.uid == uid)
    }

    /// Has a place these labels, and in the same order?
    fn is_as_told(&self, place: Place, labels: &[(String, String)]) -> bool {
        let told = || labels.iter().map(|(name, value)| (&**name, &**value));
        self.get(place).is_some_and(|series| series.labels.iter().eq(told()))
    }

    fn place_of_key(&mut self, text: &str) -> Option<Place> {
        let name = key::name(text);
        let labels: Vec<_> = key::labels(text).collect();
        let mut pairs: Vec<(&str, &str)> = vec![(METRIC_NAME, &name)];
        pairs.extend(labels.iter().map(|(name, value)| (&**name, &**value)));
        pairs.sort_unstable();
        self.place(&pairs)
    }

    /// Finds or adds the series of labels that are sorted and not empty. `None`: it is new and there is no room.
    fn place(&mut self, labels: &[(&str, &str)]) -> Option<Place> {
        let hash = self.index.hash(labels.iter().copied());
        let same = |place: Place| {
            self.get(place).is_some_and(|series| series.labels.iter().eq(labels.iter().copied()))
        };
        if let Some(place) = self.index.find(hash, same) {
            return Some(place);
        }
        // Old chunks make room, but open ones and the index do not.
        if self.count.open_memory + self.index.memory() >= self.max_size {
            return None;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            self.after.push(0);
            Place::try_from(self.series.len() - 1).expect("memory ends before 2^32 series")
        });
        let labels: Labels = labels.iter().copied().collect();
        self.index.insert(hash, place, &labels);
        let uid = self.next_uid;
        self.next_uid += 1;
        if let Some(changes) = &mut self.changes {
            changes.push(Change::Series(uid, labels.clone()));
        }
        self.series[place as usize] = Some(Arc::new(Series::new(labels, uid)));
        self.count.series += 1;
        self.count.open_memory += SERIES;
        Some(place)
    }

    // ---- forgetting

    /// Drops what is older than the retention; series without a sample left are forgotten.
    pub(super) fn sweep(&mut self, now: i64) {
        self.forget_before(now.saturating_sub(self.retention_ms));
    }

    /// When memory is full, drops the oldest chunks of all, until a little is free.
    fn free_memory(&mut self, now: i64) {
        if self.memory() <= self.max_size {
            return;
        }
        self.sweep(now);
        let goal = as_size(self.max_size as f64 * FREED_TO);
        let Some(excess) = self.memory().checked_sub(goal).filter(|&excess| excess > 0) else { return };
        // How much memory would be free by time, in equal steps between the oldest and the newest end of a chunk.
        let ends = || self.series.iter().flatten().flat_map(|series| series.chunks.iter());
        let Some((min, max)) = ends()
            .map(|chunk| (chunk.last, chunk.last))
            .reduce(|(min, max), (last, _)| (min.min(last), max.max(last)))
        else {
            return;
        };
        let span = u128::from(max.abs_diff(min)) + 1;
        let mut steps = [0usize; STEPS];
        for chunk in ends() {
            let step = u128::from(chunk.last.abs_diff(min)) * STEPS as u128 / span;
            steps[usize::try_from(step).expect("below the number of steps")] += chunk.memory();
        }
        let mut freed = 0;
        let upto = steps.iter().position(|memory| {
            freed += memory;
            freed >= excess
        });
        let upto = upto.map_or(STEPS, |step| step + 1);
        let ahead = (upto as u128 * span).div_ceil(STEPS as u128);
        let cutoff = i128::from(min) + i128::try_from(ahead).unwrap_or(i128::MAX);
        self.forget_before(i64::try_from(cutoff).unwrap_or(i64::MAX));
    }

    fn forget_before(&mut self, cutoff: i64) {
        self.horizon = self.horizon.max(cutoff);
        for place in 0..self.series.len() {
            let Some(shared) = &mut self.series[place] else { continue };
            let sealed = shared.chunks.first().is_some_and(|chunk| chunk.last < cutoff);
            if !sealed && shared.last().is_some_and(|last| last >= cutoff) {
                continue;
            }
            let before = shared.head.capacity();
            let series = Arc::make_mut(shared);
            let (samples, chunks, memory) = series.forget(cutoff);
            self.count.open_memory = self.count.open_memory + series.head.capacity() - before;
            self.count.samples -= samples;
            self.count.sealed -= chunks;
            self.count.sealed_memory -= memory;
            if series.first().is_none() {
                self.count.open_memory -= SERIES + series.head.capacity();
                self.count.series -= 1;
                let place = Place::try_from(place).expect("a place of a series");
                if let Some(changes) = &mut self.changes {
                    changes.push(Change::Gone(series.uid));
                }
                self.index.remove(place, &series.labels);
                self.series[place as usize] = None;
                self.free.push(place);
            }
        }
    }

    // ---- reading

    /// The series that satisfy all matchers and reach into the range, at most `limit`; in a stable order.
    pub(super) fn select(&self, matchers: &[Matcher], start: i64, end: i64, limit: usize) -> Vec<SeriesRef> {
        let all = 0..Place::try_from(self.series.len()).unwrap_or(Place::MAX);
        let (places, known) = self.index.candidates(matchers, all);
        let found = places.into_iter().filter_map(|place| self.get(place));
        let found =
            found.filter(|series| series.reaches(start, end) && matches(&series.labels, matchers, known));
        found.take(limit).map(|series| SeriesRef::new(Arc::clone(series), start, end)).collect()
    }

    /// The series of numbers of the table, `None` for one that is not known.
    pub(super) fn of_numbers(&self, numbers: &[u32], start: i64, end: i64) -> Vec<Option<SeriesRef>> {
        let known: HashMap<u32, &Entry> =
            self.table.entries.iter().map(|entry| (entry.number, entry)).collect();
        let find = |number: &u32| {
            let entry = known.get(number)?;
            let series = self.get(entry.place).filter(|series| series.uid == entry.uid)?;
            Some(SeriesRef::new(Arc::clone(series), start, end))
        };
        numbers.iter().map(find).collect()
    }

    /// The names of labels of all series that reach into the range, sorted.
    pub(super) fn label_names(&self, start: i64, end: i64) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.index.names(|place| self.reaches(place, start, end)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// The values of a label, as [`label_names`](Self::label_names).
    pub(super) fn label_values(&self, name: &str, start: i64, end: i64) -> Vec<Arc<str>> {
        let reaches = |place| self.reaches(place, start, end);
        let mut values: Vec<_> = self.index.values(name, reaches).cloned().collect();
        values.sort_unstable();
        values
    }

    fn reaches(&self, place: Place, start: i64, end: i64) -> bool {
        self.get(place).is_some_and(|series| series.reaches(start, end))
    }

    // ---- for the store

    /// Takes a series as it was stored: its number, its sealed chunks, what was in its open one.
    pub(super) fn restore(
        &mut self,
        uid: u64,
        labels: &[(String, String)],
        mut sealed: Vec<Chunk>,
        open: Vec<Chunk>,
    ) {
        let mut pairs = Vec::new();
        sorted(labels, &mut pairs);
        // The store knows the series; chunks that are sealed from here on it does not know.
        let changes = self.changes.take();
        let place = self.place(&pairs);
        self.changes = changes;
        let Some(place) = place else { return };
        self.next_uid = self.next_uid.max(uid.saturating_add(1));
        if let Some(shared) = &mut self.series[place as usize] {
            Arc::make_mut(shared).uid = uid;
        }
        let mut appended = Appended::default();
        sealed.sort_by_key(|chunk| chunk.first);
        for chunk in sealed {
            let Some(Some(shared)) = self.series.get_mut(place as usize) else { return };
            let whole = chunk.count >= super::chunk::MIN_SAMPLES;
            if whole && shared.head.count() == 0 && shared.last().is_none_or(|last| last < chunk.first) {
                self.count.samples += u64::from(chunk.count);
                self.count.sealed += 1;
                self.count.sealed_memory += chunk.memory();
                Arc::make_mut(shared).put_away(chunk);
            } else {
                self.append_many(place, &chunk.samples(), &mut appended);
            }
        }
        for chunk in open {
            self.append_many(place, &chunk.samples(), &mut appended);
        }
    }

    /// Frees memory after [`restore`](Self::restore), and forgets what is too old.
    pub(super) fn restored(&mut self, now: i64) {
        self.sweep(now);
        self.free_memory(now);
    }

    /// Some series by place, `None` behind the last: to copy them all without holding up who appends.
    pub(super) fn slice(&self, places: std::ops::Range<usize>) -> Option<Vec<Arc<Series>>> {
        let end = places.end.min(self.series.len());
        Some(self.series.get(places.start..end)?.iter().flatten().cloned().collect())
            .filter(|_| places.start < end)
    }
}

/// Sorts labels by name; of two with one name the last stays, without a value none.
fn sorted<'a>(labels: &'a [(String, String)], out: &mut Vec<(&'a str, &'a str)>) {
    out.clear();
    out.extend(labels.iter().map(|(name, value)| (&**name, &**value)));
    // Stable, so that the last of two is behind the first.
    out.sort_by_key(|&(name, _)| name);
    out.dedup_by(|next, first| {
        let double = next.0 == first.0;
        if double {
            first.1 = next.1;
        }
        double
    });
    out.retain(|(_, value)| !value.is_empty());
}

/// A size from a share of a size.
fn as_size(share: f64) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let size = share as usize;
    size
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
