//! What of the history has been handed on: a cursor for each series. No I/O, and time is passed in.
//!
//! [`Cursors::fill`] collects the next [`Batch`] in walks over all series. A walk takes what is there, or, when much is, what lies within
//! [`WINDOW`] of where the walk before ended: so after an outage all series catch up together, and none loses
//! its oldest samples to the retention while others are sent. A cursor moves when a sample goes into a batch, which its owner
//! then keeps until the receiver has answered.
//!
//! Whether a sample was missed is known by counting: a series knows how many samples it has had and how many it has dropped,
//! and a cursor how many of those it has seen. See [`Lost`].

use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashMap;

use super::config::Receiver;
use crate::collect::scrape::relabel::{self, Rule};
use crate::history::{History, SeriesRef, Standing};
use crate::query::Labels;

/// How much time is caught up at once, in milliseconds. A shorter one walks over all series more often; with a longer one the
/// samples of different series come less evenly.
const WINDOW: i64 = 60_000;

/// How many series are looked at at a time. A series that is looked at is copied if a tick is appended to it meanwhile.
const SLICE: usize = 256;

/// Most bytes of labels in a batch, so that a request stays below the 32 MiB that receivers take.
const MOST_TEXT: usize = 8 << 20;

/// Samples with the labels they are sent under.
#[derive(Debug, Default)]
pub(super) struct Batch {
    series: Vec<(Labels, Range<usize>)>,
    samples: Vec<(i64, f64)>,
    text: usize,
}

impl Batch {
    /// Adds a sample; samples of one series one after the other.
    pub(super) fn push(&mut self, labels: &Labels, sample: (i64, f64)) {
        let at = self.samples.len();
        self.samples.push(sample);
        match self.series.last_mut() {
            Some((last, range)) if last == labels => range.end = at + 1,
            _ => {
                self.text += labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                self.series.push((labels.clone(), at..at + 1));
            }
        }
    }

    /// Labels and samples of each series.
    pub(super) fn series(&self) -> impl Iterator<Item = (&Labels, &[(i64, f64)])> {
        self.series.iter().map(|(labels, range)| (labels, &self.samples[range.clone()]))
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The newest time in it.
    pub(super) fn newest(&self) -> Option<i64> {
        self.samples.iter().map(|&(time, _)| time).max()
    }

    pub(super) fn clear(&mut self) {
        self.series.clear();
        self.samples.clear();
        self.text = 0;
    }
}

/// Samples that were not and will not be sent, since the last time this was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// The history has forgotten them.
    pub(super) expired: u64,
    /// They came into the history behind a sample of their series that had been sent.
    pub(super) out_of_order: u64,
    /// They are older than `sample_age_limit`.
    pub(super) too_old: u64,
    /// `write_relabel_configs` drop their series.
    pub(super) relabel: u64,
}

/// How far a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// There may be more.
    More,
    /// All is collected that was there when the walk began.
    All,
}

#[derive(Debug)]
struct Cursor {
    /// Time of the last sample seen.
    upto: i64,
    /// Samples of the series that are done with, by its own count, and how many there were at the last look.
    done: u64,
    total: u64,
    /// Under which it is sent: `None` before that is known, then `None` if it is not sent at all.
    labels: Option<Option<Labels>>,
    /// The last survey that found it.
    survey: u64,
}

/// The cursors of one receiver.
#[derive(Debug)]
pub(super) struct Cursors {
    external: BTreeMap<String, String>,
    rules: Vec<Rule>,
    most: usize,
    /// Milliseconds; 0 is none.
    age_limit: i64,
    known: HashMap<u64, Cursor>,
    lost: Lost,
    survey: u64,
    /// Where the walk is, and up to which time it takes samples.
    place: usize,
    until: i64,
    began: i64,
    /// Up to when all is sent, but for what comes late.
    reached: i64,
}

impl Cursors {
    /// Begins with what is of `begin` (Unix milliseconds) and later, and what comes into the history from now on.
    pub(super) fn new(
        receiver: &Receiver,
        external: &BTreeMap<String, String>,
        history: &History,
        begin: i64,
        now: i64,
    ) -> Self {
        let mut cursors = Cursors {
            external: external.clone(),
            rules: receiver.relabel.clone(),
            most: receiver.queue.max_samples,
            age_limit: i64::try_from(receiver.queue.age_limit.as_millis()).unwrap_or(i64::MAX),
            known: HashMap::new(),
            lost: Lost::default(),
            survey: 0,
            place: 0,
            until: now,
            began: now,
            reached: now,
        };
        each(history, |series| {
            let standing = series.standing();
            let upto = standing.last.min(begin.saturating_sub(1));
            let total = standing.total;
            let done = total - series.samples_between(upto.saturating_add(1), i64::MAX).count() as u64;
            cursors.known.insert(standing.series, Cursor { upto, done, total, labels: None, survey: 0 });
        });
        cursors
    }

    /// Collects samples into a batch until it is full or there are no more.
    pub(super) fn fill(&mut self, history: &History, now: i64, batch: &mut Batch) -> Filled {
        loop {
            if self.place == 0 && batch.len() == 0 {
                self.began = now;
                let far = now.saturating_sub(self.reached) > WINDOW;
                self.until = if far { self.reached.saturating_add(WINDOW) } else { i64::MAX };
            }
            while let Some(slice) = history.slice(self.place..self.place + SLICE) {
                for series in &slice {
                    self.take(series, now, batch);
                    if batch.len() >= self.most || batch.text >= MOST_TEXT {
                        return Filled::More;
                    }
                }
                self.place += SLICE;
            }
            self.place = 0;
            if self.until == i64::MAX {
                self.reached = self.began;
                return Filled::All;
            }
            self.reached = self.until;
            if batch.len() > 0 {
                return Filled::More;
            }
        }
    }

    fn take(&mut self, series: &SeriesRef, now: i64, batch: &mut Batch) {
        let standing = series.standing();
        let Cursors { known, lost, .. } = self;
        let cursor = known.entry(standing.series).or_insert_with(Cursor::new);
        cursor.look(standing, lost);
        let last = standing.last;
        if last > cursor.upto {
            let labels =
                cursor.labels.get_or_insert_with(|| shaped(&self.external, &self.rules, series.labels()));
            let Some(labels) = labels else {
                lost.relabel += cursor.total - cursor.done;
                (cursor.upto, cursor.done) = (last, cursor.total);
                return;
            };
            let oldest = if self.age_limit == 0 { i64::MIN } else { now.saturating_sub(self.age_limit) };
            for (time, value) in series.samples_between(cursor.upto.saturating_add(1), self.until) {
                if batch.len() >= self.most {
                    return;
                }
                cursor.upto = time;
                cursor.done += 1;
                if time < oldest {
                    lost.too_old += 1;
                } else {
                    batch.push(labels, (time, value));
                }
            }
        }
        // All that is in order is done: what is left came behind it.
        if cursor.upto >= last && cursor.total > cursor.done {
            lost.out_of_order += cursor.total - cursor.done;
            cursor.done = cursor.total;
        }
    }

    /// Looks at all series without taking any of their samples, so that what the history forgets meanwhile is counted. To be called
    /// now and then; gives how many samples wait.
    pub(super) fn survey(&mut self, history: &History) -> u64 {
        self.survey += 1;
        let Cursors { known, lost, survey, .. } = self;
        each(history, |series| {
            let standing = series.standing();
            let cursor = known.entry(standing.series).or_insert_with(Cursor::new);
            cursor.look(standing, lost);
            cursor.survey = *survey;
        });
        let mut waiting = 0;
        known.retain(|_, cursor| {
            let left = cursor.total - cursor.done;
            let stays = cursor.survey == *survey;
            if stays {
                waiting += left;
            } else if matches!(cursor.labels, Some(None)) {
                lost.relabel += left;
            } else {
                lost.expired += left;
            }
            stays
        });
        waiting
    }

    /// What was lost since the last call.
    pub(super) fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Up to when all is sent, Unix milliseconds, but for what comes late.
    pub(super) fn reached(&self) -> i64 {
        self.reached
    }
}

impl Cursor {
    /// Of a series that came after the start: all of it is to be sent.
    fn new() -> Self {
        Cursor { upto: i64::MIN, done: 0, total: 0, labels: None, survey: 0 }
    }

    fn look(&mut self, standing: Standing, lost: &mut Lost) {
        self.total = standing.total;
        if let Some(gone) = standing.forgotten.checked_sub(self.done) {
            lost.expired += gone;
            self.done = standing.forgotten;
        }
    }
}

/// Looks at all series.
pub(super) fn each(history: &History, mut look: impl FnMut(&SeriesRef)) {
    let mut place = 0;
    while let Some(slice) = history.slice(place..place + SLICE) {
        slice.iter().for_each(&mut look);
        place += SLICE;
    }
}

/// The labels under which a series is sent: external ones where it has none of the name, then the rules. `None` if those drop it.
fn shaped(external: &BTreeMap<String, String>, rules: &[Rule], labels: &Labels) -> Option<Labels> {
    if external.is_empty() && rules.is_empty() {
        return Some(labels.clone());
    }
    let mut all: relabel::Labels =
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in external.iter().filter(|(_, value)| !value.is_empty()) {
        all.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let kept = relabel::apply(rules, &mut all) && !all.is_empty();
    kept.then(|| Labels::new(&all))
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
