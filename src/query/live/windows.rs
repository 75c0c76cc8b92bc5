//! The samples that live queries look at, decoded once and kept from one tick to the next.
//!
//! A live query asks every tick for nearly the same: the last minute of some series, of which one sample is new.
//! [`Windows`] is a [`Source`] over another one that remembers. The first time that a selector is asked for, its series are
//! found and the samples of its window are decoded into a [`Ring`] a series; from then on a tick finds the series, appends
//! to each ring what is new and drops what has become too old. All queries share the rings, whatever their selectors.
//!
//! What it answers is what the source behind it would: a ring is read anew when samples came late
//! ([`State::rewritten`]), loses what the source has dropped, and is forgotten with its series. So the evaluator need not
//! know of it, and a query over it has the result of the query over the source, bit for bit. What it does not remember
//! goes to the source: windows longer than [`LONGEST`], of another time, or beyond [`MOST`] samples.
//!
//! No series of the source is held from one tick to the next, since a history copies what somebody holds when it
//! writes to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::query::source::{Sample, Samples, Series, Source, SourceError, State};
use crate::series::selector::Matcher;

/// The longest window that is kept, in milliseconds: the five minutes of an instant vector, and as much before them.
const LONGEST: i64 = 600_000;

/// Most samples that are kept, 16 bytes each.
const MOST: usize = 4_000_000;

/// Ticks after which what nobody asks for any more is forgotten: an interval of a minute at 1 Hz.
const UNUSED: u64 = 90;

/// Remembers what its source has answered; see the module.
pub struct Windows {
    source: Arc<dyn Source + Send>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// Time of the tick.
    at: i64,
    /// Counts the ticks.
    tick: u64,
    selections: HashMap<String, Selection>,
    /// By [`State::series`].
    rings: HashMap<u64, Arc<Ring>>,
    samples: usize,
}

/// The series of a selector.
#[derive(Default)]
struct Selection {
    /// How far back from the tick they are known.
    back: i64,
    /// The tick for which they were found, and for which they were asked for last.
    found_at: u64,
    used_at: u64,
    found: Vec<Found>,
}

struct Found {
    series: Series,
    ring: Arc<Ring>,
}

/// The last samples of a series.
#[derive(Debug, Default)]
struct Ring(RwLock<Held>);

#[derive(Debug, Default)]
struct Held {
    state: Option<State>,
    /// From where on samples are known, and how far that is from the tick.
    from: i64,
    back: i64,
    /// Time up to which samples have been read: of the last one, since one that comes next may be older than the tick.
    until: i64,
    samples: Vec<Sample>,
    /// How many at the begin of the samples are too old.
    old: usize,
    /// The tick for which it was brought up to date.
    tick: u64,
}

impl Held {
    fn samples(&self) -> &[Sample] {
        &self.samples[self.old..]
    }

    fn between(&self, start: i64, end: i64) -> &[Sample] {
        let all = self.samples();
        // Nearly everybody asks for the newest.
        let to = match all.last() {
            Some(last) if last.t <= end => all.len(),
            _ => all.partition_point(|sample| sample.t <= end),
        };
        let from = all[..to].partition_point(|sample| sample.t < start);
        &all[from..to]
    }

    fn advance(&mut self, series: &dyn Samples, state: State, back: i64, at: i64) -> Result<(), SourceError> {
        let back = back.max(self.back);
        let from = at.saturating_sub(back);
        let same = |known: State| known.series == state.series && known.rewritten == state.rewritten;
        if self.state.is_some_and(same) && from >= self.from && at >= self.until {
            series.read(self.until.saturating_add(1).max(from), at, &mut self.samples)?;
        } else {
            self.state = None; // should reading fail
            (self.samples, self.old, self.until) = (Vec::new(), 0, i64::MIN);
            series.read(from, at, &mut self.samples)?;
        }
        self.until = self.samples.last().map_or(self.until, |last| last.t);
        let begin = from.max(state.first);
        while self.samples.get(self.old).is_some_and(|sample| sample.t < begin) {
            self.old += 1;
        }
        if self.old > self.samples.len() / 2 {
            self.samples.drain(..self.old);
            self.old = 0;
        }
        (self.state, self.from, self.back) = (Some(state), from, back);
        Ok(())
    }
}

impl Ring {
    fn read<T>(&self, read: impl FnOnce(&Held) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Samples for Ring {
    fn read(&self, start: i64, end: i64, out: &mut Vec<Sample>) -> Result<(), SourceError> {
        Ring::read(self, |held| out.extend_from_slice(held.between(start, end)));
        Ok(())
    }

    fn last(&self, start: i64, end: i64) -> Result<Option<Sample>, SourceError> {
        Ok(Ring::read(self, |held| held.between(start, end).last().copied()))
    }
}

impl Memory {
    /// Brings a selection up to this tick; false if it cannot be remembered.
    fn find(
        &mut self,
        source: &dyn Source,
        key: &str,
        matchers: &[Matcher],
        back: i64,
        limit: usize,
    ) -> Result<bool, SourceError> {
        let Memory { at, tick, selections, rings, samples } = self;
        let selection = selections.entry_ref(key).or_default();
        selection.used_at = *tick;
        if selection.found_at == *tick && selection.back >= back {
            return Ok(true);
        }
        // Until all is done nothing is found.
        selection.found_at = 0;
        selection.back = selection.back.max(back);
        let found = source.select(matchers, at.saturating_sub(selection.back), *at, limit)?;
        let mut same = 0;
        for (place, series) in found.iter().enumerate() {
            let Some(state) = series.samples.state() else { return Ok(false) };
            let ring = rings.entry(state.series).or_default();
            let mut held = ring.0.write().unwrap_or_else(PoisonError::into_inner);
            if held.tick != *tick || held.back < selection.back {
                let before = held.samples.len();
                if before == 0 && *samples > MOST {
                    return Ok(false);
                }
                held.advance(&*series.samples, state, selection.back, *at)?;
                held.tick = *tick;
                *samples = *samples + held.samples.len() - before;
            }
            drop(held);
            if place == same && selection.found.get(same).is_some_and(|known| Arc::ptr_eq(&known.ring, ring))
            {
                same += 1;
                continue;
            }
            selection.found.truncate(place);
            let samples: Arc<dyn Samples> = Arc::clone(ring) as _;
            let series = Series { labels: series.labels.clone(), samples };
            selection.found.push(Found { series, ring: Arc::clone(ring) });
        }
        selection.found.truncate(found.len());
        selection.found_at = *tick;
        Ok(true)
    }

    fn forget(&mut self) {
        let tick = self.tick;
        self.selections.retain(|_, selection| selection.used_at + UNUSED > tick);
        self.rings.retain(|_, ring| ring.read(|held| held.tick + UNUSED > tick));
        self.samples = self.rings.values().map(|ring| ring.read(|held| held.samples.len())).sum();
    }
}

impl Windows {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(source: Arc<dyn Source + Send>) -> Self {
        Windows { source, memory: Mutex::default() }
    }

    /// Begins a tick: queries are asked at this time, in milliseconds, until the next call. To be called when the source
    /// has all samples up to then; later ones are seen at the next tick.
    pub fn advance(&self, at: i64) {
        let mut memory = self.memory();
        memory.at = at;
        memory.tick += 1;
        if memory.tick.is_multiple_of(UNUSED) {
            memory.forget();
        }
    }

    /// How many samples are kept.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.memory().samples
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Windows").finish_non_exhaustive()
    }
}

impl Source for Windows {
    fn select(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        limit: usize,
    ) -> Result<Vec<Series>, SourceError> {
        let mut memory = self.memory();
        let back = memory.at.saturating_sub(start);
        if end > memory.at || !(0..=LONGEST).contains(&back) {
            drop(memory);
            return self.source.select(matchers, start, end, limit);
        }
        let key = key(matchers);
        if !memory.find(&*self.source, &key, matchers, back, limit)? {
            drop(memory);
            return self.source.select(matchers, start, end, limit);
        }
        let found = memory.selections.get(&key).map_or(&[][..], |selection| &selection.found);
        let reaches = |found: &&Found| found.ring.read(|held| !held.between(start, end).is_empty());
        Ok(found
            .iter()
            .filter(reaches)
            .take(limit.saturating_add(1))
            .map(|found| found.series.clone())
            .collect())
    }
}

/// What only equal matchers have in common.
fn key(matchers: &[Matcher]) -> String {
    let mut out = String::new();
    for matcher in matchers {
        for part in [matcher.label(), matcher.op().as_str(), matcher.value()] {
            out.push_str(part);
            out.push('\0');
        }
    }
    out
}
