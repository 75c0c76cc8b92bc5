//! One series: its sealed chunks and its open one.

use std::sync::Arc;

use super::chunk::{Chunk, Cursor, Head, Marks};
use crate::query::Labels;

/// A sample as it is kept: Unix milliseconds, and the bits of the value.
pub(super) type Sample = (i64, u64);

/// A series and its samples. Chunks do not overlap and stand in order of time; the open one is behind all of them. The
/// sealed ones are shared by a series and its copies: a reader who holds it costs the writer a copy of the open chunk.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// Number for the life of the store, never used again.
    pub(super) uid: u64,
    pub(super) chunks: Arc<Vec<Chunk>>,
    pub(super) head: Head,
    /// How often samples were put elsewhere than at the end, for those who remember what they have read.
    pub(super) rewritten: u64,
    /// How many of its samples have been dropped for their age or for memory.
    pub(super) forgotten: u64,
    /// Places in the last sealed chunk.
    tail: Marks,
}

/// What became of a sample that was to go to the end of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is there now.
    Taken,
    /// It was there before.
    Same,
    /// Another value has this time, and keeps it: what was told first stands, as in Prometheus.
    Conflict,
    /// It belongs further forward: [`Series::merge`] takes it.
    Late,
}

/// What became of late samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    pub(super) taken: usize,
    pub(super) same: usize,
    pub(super) conflicts: usize,
    /// Chunks that were replaced, and their memory.
    pub(super) old_chunks: usize,
    pub(super) old_memory: usize,
    /// Chunks in their place.
    pub(super) sealed: Vec<Chunk>,
}

impl Series {
    pub(super) fn new(labels: Labels, uid: u64) -> Self {
        Series {
            labels,
            uid,
            chunks: Arc::default(),
            head: Head::default(),
            rewritten: 0,
            forgotten: 0,
            tail: Marks::default(),
        }
    }

    /// Gives each sample from `start` to `end` to `take`, in order.
    pub(super) fn for_each(&self, start: i64, end: i64, mut take: impl FnMut(i64, f64)) {
        // Who reads each tick wants the newest only, and that is known without decoding.
        if let Some((time, value)) = self.head.last()
            && self.head.before_last().is_some_and(|before| before < start)
        {
            if (start..=end).contains(&time) {
                take(time, f64::from_bits(value));
            }
            return;
        }
        let at = self.chunks.partition_point(|chunk| chunk.last < start);
        let firsts = self.chunks[at..].iter().map(|chunk| chunk.first).chain([self.head.first()]);
        for (at, first) in (at..).zip(firsts) {
            if first > end {
                break;
            }
            let (bytes, mut cursor) = self.reading(at, start);
            while let Some((time, value)) = cursor.next(bytes) {
                if time > end {
                    break;
                }
                if time >= start {
                    take(time, f64::from_bits(value));
                }
            }
        }
    }

    /// The bytes of a chunk, the open one behind the others, and where in it to begin for all samples from `start` on.
    fn reading(&self, at: usize, start: i64) -> (&[u8], Cursor) {
        let none = Marks::default();
        match self.chunks.get(at) {
            Some(chunk) => {
                let marks = if at + 1 == self.chunks.len() { &self.tail } else { &none };
                (&chunk.bytes, chunk.cursor_near(start, marks))
            }
            None => (self.head.bytes(), self.head.cursor_near(start)),
        }
    }

    /// The last sample from `start` to `end`. The newest of all is known; for another one chunk is read.
    pub(super) fn last_between(&self, start: i64, end: i64) -> Option<(i64, f64)> {
        let found = match self.head.last() {
            Some(last) if last.0 <= end => Some(last),
            Some(_) if self.head.first() <= end => self.last_of(self.chunks.len(), end),
            _ => {
                let behind = self.chunks.partition_point(|chunk| chunk.first <= end);
                let chunk = behind.checked_sub(1).filter(|&at| self.chunks[at].last >= start);
                chunk.and_then(|at| self.last_of(at, end))
            }
        };
        found.filter(|&(time, _)| time >= start).map(|(time, value)| (time, f64::from_bits(value)))
    }

    /// The last sample of a chunk that is not later than `end`, which is not before the first.
    fn last_of(&self, at: usize, end: i64) -> Option<Sample> {
        let (bytes, mut cursor) = self.reading(at, end);
        let before = cursor.before();
        std::iter::from_fn(|| cursor.next(bytes)).take_while(|&(time, _)| time <= end).last().or(before)
    }

    /// Time of the first sample.
    pub(super) fn first(&self) -> Option<i64> {
        let open = (self.head.count() > 0).then(|| self.head.first());
        self.chunks.first().map(|chunk| chunk.first).or(open)
    }

    /// Time of the last sample.
    pub(super) fn last(&self) -> Option<i64> {
        self.head.last().map(|(time, _)| time).or_else(|| self.chunks.last().map(|chunk| chunk.last))
    }

    /// Has it samples from `start` to `end`, as far as the ends of its range tell?
    pub(super) fn reaches(&self, start: i64, end: i64) -> bool {
        self.first().is_some_and(|first| first <= end) && self.last().is_some_and(|last| last >= start)
    }

    /// Number of samples, counted.
    pub(super) fn samples(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.count)).sum::<u64>() + u64::from(self.head.count())
    }

    /// Appends a sample at the end; a full open chunk must be sealed afterwards.
    pub(super) fn push(&mut self, time: i64, value: u64) -> Pushed {
        match self.head.last() {
            Some((last, bits)) if last == time => {
                return if bits == value { Pushed::Same } else { Pushed::Conflict };
            }
            Some((last, _)) if last > time => return Pushed::Late,
            None if self.chunks.last().is_some_and(|chunk| chunk.last >= time) => return Pushed::Late,
            _ => {}
        }
        self.head.push(time, value);
        Pushed::Taken
    }

    /// Seals the open chunk when it is full.
    pub(super) fn seal(&mut self) -> Option<&Chunk> {
        if !self.head.is_full() {
            return None;
        }
        self.put_away(self.head.seal()?);
        self.tail = self.head.marks();
        self.head.clear();
        self.chunks.last()
    }

    /// Puts a chunk behind the others.
    pub(super) fn put_away(&mut self, chunk: Chunk) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() == chunks.capacity() {
            // Not by doubling: half of the places would stand empty in most series.
            chunks.reserve_exact(4);
        }
        chunks.push(chunk);
        self.tail = Marks::default();
    }

    /// Takes samples between those that are there. `late` has rising times. The chunks that they fall into are
    /// written anew, and a small neighbour with them, so that samples that come one by one do not end as chunks of one.
    pub(super) fn merge(&mut self, late: &[Sample]) -> Merged {
        let mut merged = Merged::default();
        let (Some(&(start, _)), Some(&(end, _))) = (late.first(), late.last()) else { return merged };
        self.rewritten += 1;
        let mut from = self.chunks.partition_point(|chunk| chunk.last < start);
        let mut to = self.chunks.partition_point(|chunk| chunk.first <= end).max(from);
        let small = |chunk: &Chunk| chunk.count < super::chunk::MIN_SAMPLES;
        from -= usize::from(from > 0 && small(&self.chunks[from - 1]));
        to += usize::from(self.chunks.get(to).is_some_and(small));
        let open = self.head.count() > 0 && (end >= self.head.first() || to == self.chunks.len());

        let mut known = Vec::new();
        for chunk in &self.chunks[from..to] {
            known.extend(chunk.samples());
            merged.old_memory += chunk.memory();
        }
        merged.old_chunks = to - from;
        if open {
            let mut cursor = self.head.cursor();
            known.extend(std::iter::from_fn(|| cursor.next(self.head.bytes())));
            self.head.clear();
        }

        let mut head = std::mem::take(&mut self.head);
        let mut into = Head::default();
        let mut put = |(time, value): Sample| {
            into.push(time, value);
            if into.is_full() {
                merged.sealed.extend(into.seal());
                into.clear();
            }
        };
        let (mut known, mut late) = (known.into_iter().peekable(), late.iter().copied().peekable());
        loop {
            match (known.peek(), late.peek()) {
                (None, None) => break,
                (Some(old), Some(new)) if old.0 == new.0 => {
                    if old.1 == new.1 {
                        merged.same += 1;
                    } else {
                        merged.conflicts += 1;
                    }
                    late.next();
                }
                (Some(old), new) if new.is_none_or(|new| old.0 < new.0) => {
                    known.by_ref().take(1).for_each(&mut put)
                }
                (_, _) => {
                    merged.taken += 1;
                    late.by_ref().take(1).for_each(&mut put);
                }
            }
        }
        // What is left over goes on as the open chunk where that was taken in, or where nothing is behind it.
        if open || (to == self.chunks.len() && head.count() == 0) {
            head = into;
        } else {
            merged.sealed.extend(into.seal());
        }
        (self.head, self.tail) = (head, Marks::default());
        Arc::make_mut(&mut self.chunks).splice(from..to, merged.sealed.iter().cloned());
        merged
    }

    /// Drops the chunks that ended before `cutoff`, the open one too; gives how many samples, sealed chunks and bytes of
    /// those that were.
    pub(super) fn forget(&mut self, cutoff: i64) -> (u64, usize, usize) {
        let gone = self.chunks.partition_point(|chunk| chunk.last < cutoff);
        let (mut samples, mut memory) = (0, 0);
        if gone > 0 {
            if gone == self.chunks.len() {
                self.tail = Marks::default();
            }
            for chunk in Arc::make_mut(&mut self.chunks).drain(..gone) {
                samples += u64::from(chunk.count);
                memory += chunk.memory();
            }
        }
        if self.head.last().is_some_and(|(last, _)| last < cutoff) {
            samples += u64::from(self.head.count());
            self.head.clear();
        }
        self.forgotten += samples;
        (samples, gone, memory)
    }
}

/// How many samples a series has and had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Names the series, and no other after it.
    pub(crate) series: u64,
    /// Samples that have been dropped, since the start.
    pub(crate) forgotten: u64,
    /// Samples that are there, and those.
    pub(crate) total: u64,
    /// Time of the last sample, Unix milliseconds; the least time if there is none.
    pub(crate) last: i64,
}

/// A series as a reader took it: nothing changes it any more, and reading it holds no lock.
#[derive(Clone, Debug)]
pub struct SeriesRef {
    series: Arc<Series>,
    start: i64,
    end: i64,
}

impl SeriesRef {
    pub(super) fn new(series: Arc<Series>, start: i64, end: i64) -> Self {
        SeriesRef { series, start, end }
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.series.labels
    }

    /// The samples of the range it was selected for, both ends included, in order of time, each time once. Stale
    /// markers are among them, see [`is_stale`](super::is_stale).
    #[must_use]
    pub fn samples(&self) -> Samples {
        self.samples_between(self.start, self.end)
    }

    /// As [`samples`](Self::samples), of another range; all that the history had then can be asked for.
    #[must_use]
    pub fn samples_between(&self, start: i64, end: i64) -> Samples {
        let at = self.series.chunks.partition_point(|chunk| chunk.last < start);
        let mut samples =
            Samples { series: Arc::clone(&self.series), at, cursor: Cursor::new(0, 0), start, end };
        samples.cursor = samples.cursor_at();
        samples
    }

    /// Gives each sample from `start` to `end` to `take`, in order: faster than the iterator.
    pub fn for_each(&self, start: i64, end: i64, take: impl FnMut(i64, f64)) {
        self.series.for_each(start, end, take);
    }

    /// How many samples it has and had: for those who hand on each one once.
    pub(crate) fn standing(&self) -> Standing {
        let series = &self.series;
        Standing {
            series: series.uid,
            forgotten: series.forgotten,
            total: series.forgotten + series.samples(),
            last: series.last().unwrap_or(i64::MIN),
        }
    }

    /// The series itself: what it holds, of any time.
    pub(super) fn into_shared(self) -> Arc<Series> {
        self.series
    }
}

/// The samples of a series in a range, decoded one by one: (Unix milliseconds, value).
#[derive(Clone, Debug)]
pub struct Samples {
    series: Arc<Series>,
    /// Place of the chunk that is read; behind the last one stands the open chunk, behind that nothing.
    at: usize,
    cursor: Cursor,
    start: i64,
    end: i64,
}

impl Samples {
    fn cursor_at(&self) -> Cursor {
        self.series.reading(self.at, self.start).1
    }
}

impl Iterator for Samples {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        loop {
            let bytes = match self.series.chunks.get(self.at) {
                Some(chunk) => &*chunk.bytes,
                None if self.at == self.series.chunks.len() => self.series.head.bytes(),
                None => return None,
            };
            match self.cursor.next(bytes) {
                Some((time, _)) if time < self.start => {}
                Some((time, value)) if time <= self.end => return Some((time, f64::from_bits(value))),
                Some(_) => self.at = usize::MAX,
                None => {
                    self.at = self.at.saturating_add(1);
                    self.cursor = self.cursor_at();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn read(series: &Series) -> Vec<Sample> {
        let all = SeriesRef::new(Arc::new(series.clone()), i64::MIN, i64::MAX);
        let read: Vec<_> = all.samples().map(|(time, value)| (time, value.to_bits())).collect();
        let mut each = Vec::new();
        all.for_each(i64::MIN, i64::MAX, |time, value| each.push((time, value.to_bits())));
        assert_eq!(read, each);
        read
    }

    fn put(series: &mut Series, batch: &[Sample]) {
        let mut late = BTreeMap::new();
        for &(time, value) in batch {
            if series.push(time, value) == Pushed::Late {
                late.entry(time).or_insert(value);
            }
            series.seal();
        }
        series.merge(&late.into_iter().collect::<Vec<_>>());
    }

    fn series() -> Series {
        Series::new(Labels::empty(), 1)
    }

    #[test]
    fn samples_that_come_backwards_end_in_chunks_of_the_usual_size() {
        let mut series = series();
        (0..1000).rev().for_each(|i| put(&mut series, &[(i * 1000, i.cast_unsigned())]));
        assert_eq!(read(&series), (0..1000).map(|i: i64| (i * 1000, i.cast_unsigned())).collect::<Vec<_>>());
        assert!(series.chunks.len() <= 10, "{}", series.chunks.len());
    }

    #[test]
    fn what_was_told_first_stands() {
        let mut series = series();
        put(&mut series, &(0..300).map(|i| (i * 10, 1)).collect::<Vec<_>>());
        assert_eq!(series.push(2990, 2), Pushed::Conflict);
        assert_eq!(series.push(2990, 1), Pushed::Same);
        assert_eq!(series.push(10, 2), Pushed::Late);
        let merged = series.merge(&[(10, 2), (15, 2), (20, 1)]);
        assert_eq!((merged.taken, merged.same, merged.conflicts), (1, 1, 1));
        assert_eq!(read(&series)[..4], [(0, 1), (10, 1), (15, 2), (20, 1)]);
    }

    proptest! {
        #[test]
        fn any_order_of_batches_reads_back_sorted_and_exact(
            batches in prop::collection::vec(
                prop::collection::vec(((-40i64..40).prop_map(|t| t * 1000), any::<u64>()), 0..60), 0..20),
            wide in prop::collection::vec((any::<i64>(), any::<u64>()), 0..200),
            from in prop_oneof![any::<i64>(), -50_000i64..50_000],
            to in prop_oneof![any::<i64>(), -50_000i64..50_000],
        ) {
            let (mut series, mut want) = (series(), BTreeMap::new());
            for batch in batches.iter().chain([&wide]) {
                put(&mut series, batch);
                // Within a batch as well as between them the first of a time stands.
                batch.iter().for_each(|&(time, value)| { want.entry(time).or_insert(value); });
            }
            prop_assert_eq!(read(&series), want.iter().map(|(t, v)| (*t, *v)).collect::<Vec<_>>());
            prop_assert!(series.chunks.windows(2).all(|two| two[0].last < two[1].first));
            prop_assert_eq!(series.samples(), want.len() as u64);
            let last = series.last_between(from, to).map(|(t, v)| (t, v.to_bits()));
            prop_assert_eq!(last, want.range(from..=to.max(from)).next_back().map(|(t, v)| (*t, *v))
                .filter(|&(t, _)| t <= to));
            let all = SeriesRef::new(Arc::new(series), from, to);
            let some: Vec<_> = all.samples().map(|(t, _)| t).collect();
            let expected: Vec<_> = want.keys().copied().filter(|t| (from..=to).contains(t)).collect();
            prop_assert_eq!(some, expected);
        }
    }
}
