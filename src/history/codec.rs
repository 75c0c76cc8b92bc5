//! What the store keeps, as bytes: pure, so that any bytes can be tried on it.
//!
//! Every record is `CRC-32 | content`, the sum (little endian) over the content. Numbers are LEB128, signed ones in
//! zigzag; texts and bytes stand behind their length. There are four kinds of content:
//!
//! - labels: pairs of texts;
//! - a block: chunks of many series, each `series, first, last - first, count, bytes`;
//! - a journal entry: the time, the texts once each, then the series (labels as numbers of texts) with their samples;
//! - a baseline: its version, 1, then name, note, selectors, times, and of each series the key and the figures.

use std::sync::Arc;

use hashbrown::HashMap;

use super::baseline::Baseline;
use super::chunk::Chunk;
use super::measure::{Measure, Measured};
use super::memory::Write;
use super::summary::Summary;

/// Why bytes are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// The sum is another one.
    #[error("its checksum does not match")]
    Checksum,
    /// The sum is right and the content is not: written by another version, or by nobody.
    #[error("it cannot be read")]
    Content,
}

/// A block as it grows.
#[derive(Debug, Default)]
pub(super) struct Block {
    content: Vec<u8>,
    /// Time of the last sample in it.
    pub(super) last: i64,
}

impl Block {
    /// An empty one.
    pub(super) fn new() -> Self {
        Block { content: Vec::new(), last: i64::MIN }
    }

    /// Adds a chunk of a series.
    pub(super) fn push(&mut self, uid: u64, chunk: &Chunk) {
        let out = &mut self.content;
        number(out, uid);
        signed(out, chunk.first);
        number(out, chunk.last.wrapping_sub(chunk.first).cast_unsigned());
        number(out, u64::from(chunk.count));
        bytes(out, &chunk.bytes);
        self.last = self.last.max(chunk.last);
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.content.len()
    }

    /// The record.
    pub(super) fn seal(&self) -> Vec<u8> {
        sealed(&self.content)
    }
}

/// Reads a block.
pub(super) fn read_block(record: &[u8]) -> Result<Vec<(u64, Chunk)>, Damage> {
    let mut input = Input(opened(record)?);
    let mut chunks = Vec::new();
    while !input.0.is_empty() {
        let (uid, first) = (input.number()?, input.signed()?);
        let last = first.wrapping_add(input.number()?.cast_signed());
        let count = u32::try_from(input.number()?).map_err(|_| Damage::Content)?;
        let chunk = Chunk { first, last, count, bytes: Arc::from(input.bytes()?) };
        if count == 0 || last < first {
            return Err(Damage::Content);
        }
        chunks.push((uid, chunk));
    }
    Ok(chunks)
}

/// The record of a label set.
pub(super) fn write_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, value) in labels {
        bytes(&mut content, name.as_bytes());
        bytes(&mut content, value.as_bytes());
    }
    sealed(&content)
}

/// Reads a label set.
pub(super) fn read_labels(record: &[u8]) -> Result<Vec<(String, String)>, Damage> {
    let mut input = Input(opened(record)?);
    let mut labels = Vec::new();
    while !input.0.is_empty() {
        labels.push((input.text()?.to_owned(), input.text()?.to_owned()));
    }
    Ok(labels)
}

/// The record of a push.
pub(super) fn write_entry(writes: &[Write], now: i64) -> Vec<u8> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let (mut texts, mut series) = (Vec::new(), Vec::new());
    number(&mut series, writes.len() as u64);
    for write in writes {
        number(&mut series, write.labels.len() as u64);
        for text in write.labels.iter().flat_map(|(name, value)| [name, value]) {
            let next = numbers.len() as u64;
            let at = *numbers.entry(text).or_insert_with(|| {
                bytes(&mut texts, text.as_bytes());
                next
            });
            number(&mut series, at);
        }
        number(&mut series, write.samples.len() as u64);
        let mut last = now;
        for &(time, value) in &write.samples {
            signed(&mut series, time.wrapping_sub(last));
            series.extend_from_slice(&value.to_bits().to_le_bytes());
            last = time;
        }
    }
    let mut content = Vec::new();
    signed(&mut content, now);
    number(&mut content, numbers.len() as u64);
    content.extend_from_slice(&texts);
    content.extend_from_slice(&series);
    sealed(&content)
}

/// Reads a push: what, and the time it came.
pub(super) fn read_entry(record: &[u8]) -> Result<(Vec<Write>, i64), Damage> {
    let mut input = Input(opened(record)?);
    let now = input.signed()?;
    let texts: Vec<&str> = (0..input.count()?).map(|_| input.text()).collect::<Result<_, _>>()?;
    let mut writes = Vec::new();
    for _ in 0..input.count()? {
        let mut write = Write::default();
        for _ in 0..input.count()? {
            let mut text = || {
                let at = usize::try_from(input.number()?).map_err(|_| Damage::Content)?;
                texts.get(at).map(|&text| text.to_owned()).ok_or(Damage::Content)
            };
            write.labels.push((text()?, text()?));
        }
        let mut last = now;
        for _ in 0..input.count()? {
            last = last.wrapping_add(input.signed()?);
            write.samples.push((last, input.double()?));
        }
        writes.push(write);
    }
    if input.0.is_empty() { Ok((writes, now)) } else { Err(Damage::Content) }
}

/// Version of the record of a baseline.
const BASELINE: u64 = 1;

/// The record of a baseline.
pub(super) fn write_baseline(baseline: &Baseline) -> Vec<u8> {
    let mut content = Vec::new();
    let out = &mut content;
    number(out, BASELINE);
    bytes(out, baseline.name.as_bytes());
    bytes(out, baseline.note.as_bytes());
    number(out, baseline.selectors.len() as u64);
    baseline.selectors.iter().for_each(|text| bytes(out, text.as_bytes()));
    [baseline.start, baseline.end, baseline.created].into_iter().for_each(|time| signed(out, time));
    number(out, baseline.series.len() as u64);
    for Measured { key, measure, summary } in &baseline.series {
        bytes(out, key.as_bytes());
        number(out, *measure as u64);
        number(out, summary.count);
        for value in figures(summary) {
            double(out, value);
        }
        number(out, summary.values.len() as u64);
        summary.values.iter().for_each(|value| double(out, *value));
    }
    sealed(&content)
}

/// The figures of a summary in the order in which they are written.
fn figures(summary: &Summary) -> [f64; 7] {
    let Summary { mean, deviation, min, p50, p95, p99, max, .. } = *summary;
    [mean, deviation, min, p50, p95, p99, max]
}

/// Reads a baseline; `None` when it is of another version.
pub(super) fn read_baseline(record: &[u8]) -> Result<Option<Baseline>, Damage> {
    let mut input = Input(opened(record)?);
    if input.number()? != BASELINE {
        return Ok(None);
    }
    let (name, note) = (input.text()?.to_owned(), input.text()?.to_owned());
    let selectors = (0..input.count()?).map(|_| input.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    let (start, end, created) = (input.signed()?, input.signed()?, input.signed()?);
    let mut series = Vec::new();
    for _ in 0..input.count()? {
        let key = input.text()?.to_owned();
        let measure = match input.number()? {
            0 => Measure::Value,
            1 => Measure::Rate,
            2 => Measure::Observations,
            _ => return Err(Damage::Content),
        };
        let count = input.number()?;
        let mut next = || input.double();
        let [mean, deviation, min, p50, p95, p99, max] =
            [next()?, next()?, next()?, next()?, next()?, next()?, next()?];
        let values = (0..input.count()?).map(|_| input.double()).collect::<Result<_, _>>()?;
        let summary = Summary { count, mean, deviation, min, p50, p95, p99, max, values };
        series.push(Measured { key, measure, summary });
    }
    let whole = input.0.is_empty();
    let baseline = Baseline { name, note, selectors, start, end, created, series };
    if whole { Ok(Some(baseline)) } else { Err(Damage::Content) }
}

fn checksum(content: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum().to_le_bytes()
}

fn sealed(content: &[u8]) -> Vec<u8> {
    [&checksum(content)[..], content].concat()
}

fn opened(record: &[u8]) -> Result<&[u8], Damage> {
    let (sum, content) = record.split_first_chunk::<4>().ok_or(Damage::Checksum)?;
    if checksum(content) == *sum { Ok(content) } else { Err(Damage::Checksum) }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn number(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Damage::Content)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::Content)
    }

    fn signed(&mut self) -> Result<i64, Damage> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number of things that follow, of which each takes at least a byte.
    fn count(&mut self) -> Result<usize, Damage> {
        let count = usize::try_from(self.number()?).map_err(|_| Damage::Content)?;
        if count <= self.0.len() { Ok(count) } else { Err(Damage::Content) }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.count()?;
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(bytes)
    }

    fn double(&mut self) -> Result<f64, Damage> {
        let (bits, rest) = self.0.split_first_chunk().ok_or(Damage::Content)?;
        self.0 = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bits)))
    }

    fn text(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage::Content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(writes: &[Write]) -> impl PartialEq + std::fmt::Debug {
        let samples =
            |write: &Write| write.samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        writes.iter().map(|write| (write.labels.clone(), samples(write))).collect::<Vec<_>>()
    }

    fn write() -> impl Strategy<Value = Write> {
        let labels = prop::collection::vec(("[a-cé]{0,2}", "[a-cé\n]{0,3}"), 0..4);
        let samples = prop::collection::vec((any::<i64>(), any::<u64>().prop_map(f64::from_bits)), 0..5);
        (labels, samples).prop_map(|(labels, samples)| Write { labels, samples })
    }

    #[test]
    fn a_baseline_of_another_version_is_known_as_such() {
        let mut content = Vec::new();
        number(&mut content, BASELINE + 1);
        assert_eq!(read_baseline(&sealed(&content)), Ok(None));
    }

    proptest! {
        #[test]
        fn a_push_reads_back_exactly(writes in prop::collection::vec(write(), 0..5), now: i64, at: usize, flip in 1u8..) {
            let mut record = write_entry(&writes, now);
            let (read, when) = read_entry(&record).expect("just written");
            prop_assert_eq!(bits(&read), bits(&writes));
            prop_assert_eq!(when, now);
            let at = at % record.len();
            record[at] ^= flip;
            prop_assert!(read_entry(&record).is_err());
            prop_assert!(read_entry(&record[..at]).is_err());
        }

        #[test]
        fn blocks_and_labels_read_back_exactly(
            chunks in prop::collection::vec(
                (any::<u64>(), any::<i64>(), 0i64.., 1u32.., prop::collection::vec(any::<u8>(), 0..9)), 0..5),
            labels in prop::collection::vec(("[a-c]{0,2}", "[é\n]{0,3}"), 0..4),
        ) {
            let mut block = Block::new();
            for (uid, first, span, count, bytes) in &chunks {
                let last = first.saturating_add(*span);
                block.push(*uid, &Chunk { first: *first, last, count: *count, bytes: bytes[..].into() });
            }
            let read = read_block(&block.seal()).expect("just written");
            let flat: Vec<_> = read.iter().map(|(u, c)| (*u, c.first, c.last, c.count, c.bytes.to_vec())).collect();
            let want: Vec<_> =
                chunks.iter().map(|(u, f, s, n, b)| (*u, *f, f.saturating_add(*s), *n, b.clone())).collect();
            prop_assert_eq!(flat, want);
            let record = write_labels(labels.iter().map(|(n, v)| (&**n, &**v)));
            prop_assert_eq!(read_labels(&record), Ok(labels));
        }

        #[test]
        fn a_baseline_reads_back_exactly(
            texts in prop::collection::vec("[a-cé{}\"]{0,5}", 2..6),
            times: (i64, i64, i64),
            series in prop::collection::vec(
                ("[a-cé]{0,4}", 0usize..3, prop::collection::vec(-1e300f64..1e300, 1..300)), 0..4),
            at: usize, flip in 1u8..,
        ) {
            let measures = [Measure::Value, Measure::Rate, Measure::Observations];
            let measured = |(key, measure, values): (String, usize, Vec<f64>)| {
                let summary = Summary::of(values).expect("values");
                Measured { key, measure: measures[measure], summary }
            };
            let baseline = Baseline {
                name: texts[0].clone(), note: texts[1].clone(), selectors: texts[2..].to_vec(),
                start: times.0, end: times.1, created: times.2,
                series: series.into_iter().map(measured).collect(),
            };
            let mut record = write_baseline(&baseline);
            prop_assert_eq!(read_baseline(&record), Ok(Some(baseline)));
            let at = at % record.len();
            record[at] ^= flip;
            prop_assert!(read_baseline(&record).is_err());
            prop_assert!(read_baseline(&record[..at]).is_err());
        }

        #[test]
        fn content_that_nobody_wrote_never_panics(content in prop::collection::vec(any::<u8>(), 0..80)) {
            let record = sealed(&content);
            let _ = (read_block(&record), read_labels(&record), read_entry(&record), read_baseline(&record));
        }
    }
}
