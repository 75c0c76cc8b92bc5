//! Writing the messages of remote write: samples and metadata to bytes, as [`receive`](crate::remote::receive) reads them.

use hashbrown::HashMap;

use super::cursor::Batch;
use crate::remote::Version;
use crate::series::{FamilyMeta, Kind};

/// What is known of the family of a metric name.
pub(super) type Describe<'a> = &'a dyn Fn(&str) -> Option<&'a FamilyMeta>;

/// A request with the samples of a batch, not packed yet. `describe` is asked for what 2.0 says with each series.
pub(super) fn samples<'a>(version: Version, batch: &'a Batch, describe: Describe<'a>) -> Vec<u8> {
    match version {
        Version::V1 => v1(batch),
        Version::V2 => v2(batch, describe),
    }
}

/// WriteRequest: timeseries 1, of labels 1 and samples 2.
fn v1(batch: &Batch) -> Vec<u8> {
    let (mut out, mut series, mut part) = (Vec::new(), Vec::new(), Vec::new());
    for (labels, samples) in batch.series() {
        series.clear();
        for (name, value) in labels.iter() {
            part.clear();
            bytes(1, name.as_bytes(), &mut part);
            bytes(2, value.as_bytes(), &mut part);
            bytes(1, &part, &mut series);
        }
        samples.iter().for_each(|&at| sample(at, &mut part, &mut series));
        bytes(1, &series, &mut out);
    }
    out
}

/// Request: symbols 4, timeseries 5 of labels_refs 1, samples 2 and metadata 5. The first symbol is empty.
fn v2<'a>(batch: &'a Batch, describe: Describe<'a>) -> Vec<u8> {
    let (mut all, mut series, mut part) = (Vec::new(), Vec::new(), Vec::new());
    let mut symbols: Vec<&str> = vec![""];
    let mut known: HashMap<&str, u64> = HashMap::from_iter([("", 0)]);
    let mut symbol = |text: &'a str| {
        *known.entry(text).or_insert_with(|| {
            symbols.push(text);
            symbols.len() as u64 - 1
        })
    };
    for (labels, samples) in batch.series() {
        series.clear();
        part.clear();
        for (name, value) in labels.iter() {
            varint(symbol(name), &mut part);
            varint(symbol(value), &mut part);
        }
        bytes(1, &part, &mut series);
        samples.iter().for_each(|&at| sample(at, &mut part, &mut series));
        if let Some(meta) = describe(labels.name()) {
            part.clear();
            number(1, kind(meta.kind), &mut part);
            number(3, symbol(&meta.help), &mut part);
            number(4, symbol(&meta.unit), &mut part);
            bytes(5, &part, &mut series);
        }
        bytes(5, &series, &mut all);
    }
    let mut out = Vec::with_capacity(all.len() * 2);
    symbols.iter().for_each(|symbol| bytes(4, symbol.as_bytes(), &mut out));
    out.extend_from_slice(&all);
    out
}

/// A WriteRequest of metadata 3 alone: type 1, metric_family_name 2, help 4, unit 5.
pub(super) fn metadata<'a>(families: impl IntoIterator<Item = &'a FamilyMeta>) -> Vec<u8> {
    let (mut out, mut part) = (Vec::new(), Vec::new());
    for meta in families {
        part.clear();
        number(1, kind(meta.kind), &mut part);
        bytes(2, meta.name.as_bytes(), &mut part);
        bytes(4, meta.help.as_bytes(), &mut part);
        bytes(5, meta.unit.as_bytes(), &mut part);
        bytes(3, &part, &mut out);
    }
    out
}

/// Sample, field 2 in both: value 1, timestamp 2.
fn sample((time, value): (i64, f64), part: &mut Vec<u8>, out: &mut Vec<u8>) {
    part.clear();
    part.push(1 << 3 | 1);
    part.extend_from_slice(&value.to_le_bytes());
    // An int64, which is not zigzag.
    number(2, time.cast_unsigned(), part);
    bytes(2, part, out);
}

fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    out.push(field << 3);
    varint(value, out);
}

fn bytes(field: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The types have the same numbers in both versions.
const fn kind(kind: Kind) -> u64 {
    match kind {
        Kind::Unknown => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::GaugeHistogram => 4,
        Kind::Summary => 5,
        Kind::Info => 6,
        Kind::StateSet => 7,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::Labels;
    use crate::query::labels::METRIC_NAME;
    use crate::remote::{pack, receive};

    proptest! {
        /// `receive` is held to somebody else's reading of the messages by its own tests.
        #[test]
        fn what_is_written_is_read_as_it_was(
            series in prop::collection::vec(
                (prop::collection::btree_map("[a-z]{1,5}", ".{1,20}", 0..5),
                 prop::collection::vec((any::<i64>(), any::<f64>()), 1..5)), 0..8),
            v2 in any::<bool>(),
        ) {
            let version = if v2 { Version::V2 } else { Version::V1 };
            let mut batch = Batch::default();
            for (pairs, samples) in &series {
                let name = std::iter::once((METRIC_NAME, "m"));
                let labels = Labels::new(name.chain(pairs.iter().map(|(n, v)| (&**n, &**v))));
                samples.iter().for_each(|&sample| batch.push(&labels, sample));
            }
            let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "h".into(), unit: "u".into() };
            let read = receive(version, &pack(&samples(version, &batch, &|_| Some(&meta)))).unwrap();
            let got: Vec<_> = read.writes.iter().flat_map(|write| {
                let labels = Labels::new(write.labels.iter().map(|(n, v)| (n, v)));
                write.samples.iter().map(move |(t, v)| (labels.clone(), *t, v.to_bits())).collect::<Vec<_>>()
            }).collect();
            let want: Vec<_> = batch.series().flat_map(|(labels, samples)| {
                samples.iter().map(move |(t, v)| (labels.clone(), *t, v.to_bits()))
            }).collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(read.metadata.len(), usize::from(v2 && !series.is_empty()));
        }
    }

    #[test]
    fn metadata_say_type_help_and_unit() {
        let meta = FamilyMeta {
            name: "a_seconds".into(),
            kind: Kind::Histogram,
            help: "Time.".into(),
            unit: "seconds".into(),
        };
        let read = receive(Version::V1, &pack(&metadata([&meta]))).unwrap().metadata.remove(0);
        assert_eq!((&*read.family, read.kind, &*read.help), ("a_seconds", Kind::Histogram, "Time."));
        assert_eq!(read.unit, "seconds");
    }
}
