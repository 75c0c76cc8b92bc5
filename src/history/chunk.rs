//! Samples of one series, compressed: some hundred to a chunk, each chunk readable by itself.
//!
//! Times are kept as the difference of differences, values as the XOR with the one before, both in as few bits as
//! they need (Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015). The first time
//! stands beside the bits, the first value is whole. Then, for each sample:
//!
//! | time: second difference | bits | | value: XOR with the last | bits |
//! | --- | --- | --- | --- | --- |
//! | 0 | `0` | | 0 | `0` |
//! | -4 to 3 ms | `10` + 3 | | fits the last window | `10` + its width |
//! | -64 to 63 ms | `110` + 7 | | another window | `11` + 5 (leading zeros, at most 31) + 6 (width - 1) + width |
//! | -2,048 to 2,047 ms | `1110` + 12 | | | |
//! | -524,288 to 524,287 ms | `11110` + 20 | | | |
//! | any | `11111` + 64 | | | |
//!
//! The two short codes for times are for the jitter of a timer, which is some milliseconds. So a value that did not
//! change costs 2 bits at a steady pace and 6 with jitter: that is why an unchanged value is simply appended again, and
//! needs no form of its own. Every bit of a value comes back, so Prometheus' stale marker is a value like any other.
//!
//! Nothing here knows of time now, series or files.

use std::sync::Arc;

use super::bits::{BitReader, BitWriter};

/// Value that says that a series has ended: a NaN whose bits mean just that, as in Prometheus
/// (`model/value/value.go`). Compare bits, see [`is_stale`].
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Is it the stale marker?
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

/// A chunk is sealed no sooner than with as many samples: fewer would make the 64 bytes around each weigh.
pub(super) const MIN_SAMPLES: u32 = 120;
/// And no sooner than with as many bytes, unless it has [`MAX_SAMPLES`]. A series that hardly changes needs 40 bytes
/// for 120 samples, which is less than what the chunk costs around them.
pub(super) const MIN_BYTES: usize = 256;
/// A query decodes whole chunks, so that even one of repeated values stays short (8 minutes at 1 Hz).
pub(super) const MAX_SAMPLES: u32 = 480;

/// Width in bits of the second difference of times, by the number of ones before it.
const TIME_WIDTHS: [u32; 6] = [0, 3, 7, 12, 20, 64];

/// Of a series' two newest chunks places to go on from are kept, one after so many samples: most queries want the last minute,
/// of which a chunk holds two or more, and would decode from its begin what they do not want.
const MARK_EVERY: u32 = 64;
/// How many of them, the newest. With two, who reads the last 64 samples decodes 32 too many on average. They are 128 bytes a
/// series; four, 32 samples apart, would be twice that for 16 samples less.
const MARKS: usize = 2;

/// A sealed chunk: never empty, times strictly rising.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Time of the first sample.
    pub(super) first: i64,
    /// Time of the last sample.
    pub(super) last: i64,
    /// Number of samples.
    pub(super) count: u32,
    /// The bits.
    pub(super) bytes: Arc<[u8]>,
}

impl Chunk {
    /// What it takes in memory: itself, and its bytes with their counts and what the allocator adds (glibc: 8 bytes,
    /// rounded up to 16).
    pub(super) fn memory(&self) -> usize {
        size_of::<Chunk>() + (self.bytes.len() + 16 + 8).next_multiple_of(16)
    }

    /// Decodes it from the begin.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor::new(self.first, self.count)
    }

    /// Decodes it from the begin or a later place, but all samples from `start` on. The marks are those of its time as an open
    /// chunk, or none.
    pub(super) fn cursor_near(&self, start: i64, marks: &Marks) -> Cursor {
        marks.cursor(start, self.count).unwrap_or_else(|| self.cursor())
    }

    /// All its samples.
    pub(super) fn samples(&self) -> Vec<(i64, u64)> {
        let mut cursor = self.cursor();
        std::iter::from_fn(|| cursor.next(&self.bytes)).collect()
    }
}

/// The open chunk of a series, which takes samples at its end. Empty or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    bits: BitWriter,
    first: i64,
    count: u32,
    state: State,
    marks: Marks,
}

/// What the next sample is the difference to.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    time: i64,
    delta: i64,
    value: u64,
    leading: u8,
    /// Width of the window; 0 before the first.
    width: u8,
}

/// Where reading a chunk can begin, behind its first samples: the state after the sample before, in 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    time: i64,
    delta: i64,
    value: u64,
    /// Bits before it.
    at: u32,
    /// Samples before it; 0 where there is no mark.
    index: u16,
    leading: u8,
    width: u8,
}

/// Some places in the last part of a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks([Mark; MARKS]);

impl Marks {
    fn put(&mut self, count: u32, state: State, bits: usize) {
        let (Ok(index), Ok(at)) = (u16::try_from(count), u32::try_from(bits)) else { return };
        let State { time, delta, value, leading, width } = state;
        self.0[(count / MARK_EVERY) as usize % MARKS] =
            Mark { time, delta, value, at, index, leading, width };
    }

    /// The last place before which there is no sample from `start` on, in a chunk of `count` samples.
    fn cursor(&self, start: i64, count: u32) -> Option<Cursor> {
        let usable = self.0.iter().filter(|mark| mark.index > 0 && mark.time < start);
        let &Mark { time, delta, value, at, index, leading, width } = usable.max_by_key(|mark| mark.index)?;
        let state = State { time, delta, value, leading, width };
        let reader = BitReader::at(at as usize);
        Some(Cursor { reader, left: count.saturating_sub(index.into()), begun: true, state })
    }
}

impl Head {
    /// Number of samples.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Time of the first sample; meaningless when empty.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// Time and value of the last sample.
    pub(super) fn last(&self) -> Option<(i64, u64)> {
        (self.count > 0).then_some((self.state.time, self.state.value))
    }

    /// Time of the last sample but one.
    pub(super) fn before_last(&self) -> Option<i64> {
        (self.count > 1).then(|| self.state.time.wrapping_sub(self.state.delta))
    }

    /// The bits, to be read with [`Head::cursor`].
    pub(super) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// Bytes allocated for the bits.
    pub(super) fn capacity(&self) -> usize {
        self.bits.capacity()
    }

    /// Decodes it from the begin.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor::new(self.first, self.count)
    }

    /// Decodes it from the begin or a later place, but all samples from `start` on.
    pub(super) fn cursor_near(&self, start: i64) -> Cursor {
        self.marks.cursor(start, self.count).unwrap_or_else(|| self.cursor())
    }

    /// Places in it, for when it is sealed.
    pub(super) fn marks(&self) -> Marks {
        self.marks
    }

    /// Is it time to seal it?
    pub(super) fn is_full(&self) -> bool {
        self.count >= MIN_SAMPLES && (self.count >= MAX_SAMPLES || self.bits.bytes().len() >= MIN_BYTES)
    }

    /// Appends a sample, whose time must be after the last one.
    pub(super) fn push(&mut self, time: i64, value: u64) {
        if self.count == 0 {
            self.first = time;
            self.state = State { time, value, ..State::default() };
            self.bits.push(value, 64);
        } else {
            debug_assert!(time > self.state.time);
            self.push_time(time);
            self.push_value(value);
        }
        self.count += 1;
        if self.count.is_multiple_of(MARK_EVERY) {
            self.marks.put(self.count, self.state, self.bits.len());
        }
    }

    fn push_time(&mut self, time: i64) {
        // Wrapping: the distance of two times may be more than an i64, and comes back by wrapping as well.
        let delta = time.wrapping_sub(self.state.time);
        let second = delta.wrapping_sub(self.state.delta);
        (self.state.time, self.state.delta) = (time, delta);
        if second == 0 {
            return self.bits.push(0, 1);
        }
        let fits = |width: u32| (-(1i64 << (width - 1))..1i64 << (width - 1)).contains(&second);
        let class = (1..5usize).find(|&class| fits(TIME_WIDTHS[class])).unwrap_or(5);
        let ones = u32::try_from(class).expect("at most 5");
        let bits = second.cast_unsigned();
        if class == 5 {
            self.bits.push(0b11111, 5);
            self.bits.push(bits, 64);
        } else {
            let width = TIME_WIDTHS[class];
            let prefix = (1u64 << (ones + 1)) - 2;
            self.bits.push(prefix << width | bits & ((1 << width) - 1), ones + 1 + width);
        }
    }

    fn push_value(&mut self, value: u64) {
        let xor = value ^ self.state.value;
        self.state.value = value;
        if xor == 0 {
            return self.bits.push(0, 1);
        }
        let leading = xor.leading_zeros().min(31);
        let width = 64 - leading - xor.trailing_zeros();
        let (old_leading, old_width) = (u32::from(self.state.leading), u32::from(self.state.width));
        let old_trailing = 64 - old_leading - old_width;
        let fits = old_width > 0 && leading >= old_leading && xor.trailing_zeros() >= old_trailing;
        // The window in use may be wider than needed; another costs 11 bits to describe.
        if fits && old_width <= width + 11 {
            self.bits.push(0b10, 2);
            self.bits.push(xor >> old_trailing, old_width);
        } else {
            self.bits.push(0b11 << 11 | u64::from(leading) << 6 | u64::from(width - 1), 13);
            self.bits.push(xor >> (64 - leading - width), width);
            let [leading, width] = [leading, width].map(|bits| bits.to_le_bytes()[0]);
            (self.state.leading, self.state.width) = (leading, width);
        }
    }

    /// What it holds as a sealed chunk; `None` when it is empty.
    pub(super) fn seal(&self) -> Option<Chunk> {
        let (last, _) = self.last()?;
        Some(Chunk { first: self.first, last, count: self.count, bytes: self.bits.bytes().into() })
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.bits.clear(MIN_BYTES);
        self.count = 0;
        self.marks = Marks::default();
    }
}

/// A position in a chunk. Ends early where the bytes do: they may come from a damaged file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    reader: BitReader,
    left: u32,
    begun: bool,
    state: State,
}

impl Cursor {
    pub(super) fn new(first: i64, count: u32) -> Self {
        let state = State { time: first, ..State::default() };
        Cursor { reader: BitReader::default(), left: count, begun: false, state }
    }

    /// The sample before the one that is next, if there is one.
    pub(super) fn before(&self) -> Option<(i64, u64)> {
        self.begun.then_some((self.state.time, self.state.value))
    }

    /// The next sample of the chunk whose bytes these are.
    ///
    /// Times that jitter and windows that change are what a processor cannot foresee, so there is no branch for either.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<(i64, u64)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if !self.begun {
            self.begun = true;
            self.state.value = self.reader.take(bytes, 64)?;
            return Some((self.state.time, self.state.value));
        }
        // One look gives at least 57 bits, which is all of a sample but for a rare time and the bits of the value.
        let mut word = self.reader.peek(bytes);
        let ones = word.leading_ones();
        if let Some(&(skip, shift, mask)) = TIMES.get(ones as usize) {
            let second = (word << (ones + 1)).cast_signed() >> shift & mask;
            self.state.delta = self.state.delta.wrapping_add(second);
            self.reader.skip(skip);
            word <<= skip;
        } else {
            self.reader.skip(5);
            let second = self.reader.take(bytes, 64)?.cast_signed();
            self.state.delta = self.state.delta.wrapping_add(second);
            word = self.reader.peek(bytes);
        }
        self.state.time = self.state.time.wrapping_add(self.state.delta);
        if word >> 63 == 0 {
            self.reader.skip(1);
        } else {
            let other = word >> 62 == 3;
            let [leading, width] = [word << 2 >> 59, word << 7 >> 58].map(|n| n.to_le_bytes()[0]);
            self.reader.skip(if other { 13 } else { 2 });
            self.state.leading = if other { leading } else { self.state.leading };
            self.state.width = if other { width + 1 } else { self.state.width };
            // What no writer writes: a window that is none, or reaches beyond the value.
            let (leading, width) = (u32::from(self.state.leading), u32::from(self.state.width));
            let trailing = 64u32.checked_sub(leading + width).filter(|_| width > 0)?;
            self.state.value ^= self.reader.take(bytes, width)? << trailing;
        }
        self.reader.is_within(bytes).then_some((self.state.time, self.state.value))
    }
}

/// For the number of ones before a second difference: bits to skip, how far it is to be shifted down, and a mask that makes
/// nothing of the one that has no bits.
const TIMES: [(u32, u32, i64); 5] = [(1, 63, 0), (5, 61, -1), (10, 57, -1), (16, 52, -1), (25, 44, -1)];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(chunk: &Chunk) -> Vec<(i64, u64)> {
        let mut cursor = chunk.cursor();
        std::iter::from_fn(|| cursor.next(&chunk.bytes)).collect()
    }

    fn encode(samples: &[(i64, u64)]) -> Head {
        let mut head = Head::default();
        samples.iter().for_each(|&(time, value)| head.push(time, value));
        head
    }

    #[test]
    fn an_unchanged_value_costs_two_bits_and_six_with_jitter() {
        let steady: Vec<_> = (0..=1000).map(|i| (i * 1000, 7f64.to_bits())).collect();
        // 64 bits of value; the first difference of 1,000 costs 16 bits and a bit for the value.
        assert_eq!(encode(&steady).bytes().len(), (64usize + 17 + 999 * 2).div_ceil(8));
        let jitter: Vec<_> = (0..=1000).map(|i| (i * 1000 + i % 2, 7f64.to_bits())).collect();
        assert!(encode(&jitter).bytes().len() <= (64usize + 17 + 999 * 6).div_ceil(8));
    }

    #[test]
    fn the_last_minute_is_read_without_what_is_before_it() {
        let samples: Vec<_> = (0..300).map(|i| (i * 1000, 7)).collect();
        let mut cursor = encode(&samples).cursor_near(239_001);
        let first = cursor.next(encode(&samples).bytes()).expect("there are some");
        assert_eq!(first, (192_000, 7));
    }

    #[test]
    fn the_stale_marker_and_other_nans_keep_their_bits() {
        let values = [1f64.to_bits(), STALE, f64::NAN.to_bits(), 0x7ff8_dead_beef_0001, (-0f64).to_bits(), 0];
        let samples: Vec<_> = (0..).zip(values).collect();
        let chunk = encode(&samples).seal().expect("not empty");
        assert_eq!(decode(&chunk), samples);
        assert!(is_stale(f64::from_bits(decode(&chunk)[1].1)) && !is_stale(f64::NAN));
    }

    /// Rising times of all kinds of distances, values of all kinds of likeness.
    fn samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
        let value = prop_oneof![
            any::<u64>(),
            (0u32..5).prop_map(|n| f64::from(n).to_bits()),
            any::<f64>().prop_map(f64::to_bits),
            Just(STALE),
        ];
        let time = prop_oneof![any::<i64>(), -5000i64..5000, (0i64..500).prop_map(|s| s * 1000)];
        prop::collection::btree_map(time, value, 1..300).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn any_samples_read_back_exactly(samples in samples()) {
            let head = encode(&samples);
            let chunk = head.seal().expect("not empty");
            prop_assert_eq!(decode(&chunk), samples.clone());
            prop_assert_eq!((chunk.first, chunk.last), (samples[0].0, samples[samples.len() - 1].0));
            let mut cursor = head.cursor();
            let open: Vec<_> = std::iter::from_fn(|| cursor.next(head.bytes())).collect();
            prop_assert_eq!(open, samples);
        }

        #[test]
        fn reading_may_begin_at_any_time(samples in samples(), start: i64, near in -5000i64..500_000) {
            let head = encode(&samples);
            let chunk = head.seal().expect("not empty");
            for start in [start, near] {
                for (mut cursor, bytes) in
                    [(head.cursor_near(start), head.bytes()), (chunk.cursor_near(start, &head.marks()), &*chunk.bytes)]
                {
                    let read = std::iter::from_fn(|| cursor.next(bytes)).filter(|&(time, _)| time >= start);
                    let want = samples.iter().copied().filter(|&(time, _)| time >= start);
                    prop_assert!(read.eq(want));
                }
            }
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), first: i64, count: u32) {
            let mut cursor = Cursor::new(first, count);
            let read = std::iter::from_fn(|| cursor.next(&bytes)).count();
            prop_assert!(read <= bytes.len() * 8);
        }
    }
}
