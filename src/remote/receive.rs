//! What a request of remote write says, 1.0 (`prometheus.WriteRequest`) or 2.0 (`io.prometheus.write.v2.Request`).
//!
//! A message that cannot be read is refused whole. A series whose labels are none is left out with the reason, the others
//! are taken, as Prometheus does it. Native histograms and exemplars are counted; there is nothing that keeps them.

use super::block::{BlockError, MOST_BYTES, unpack};
use super::wire::{Broken, Fields, Value, varint};
use crate::history::Write;
use crate::query::labels::METRIC_NAME;
use crate::series::Kind;

/// Most series, labels and samples of one request, together: 2^20. A request of Prometheus has some 15,000; this bounds what its
/// 32 MiB can become in memory to some 100 MiB.
pub const MOST_PARTS: usize = 1 << 20;

/// Most bytes of labels and descriptions, written out: 2.0 says a text once and names it a million times.
const MOST_TEXT: usize = 2 * MOST_BYTES;

/// Most families that a request may describe.
const MOST_FAMILIES: usize = 1 << 16;

/// Which message a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// The message of a `Content-Type`: `application/x-protobuf`, with `proto` if it is not 1.0. `None` is for any other.
    #[must_use]
    pub fn of_content_type(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("application/x-protobuf") {
            return None;
        }
        let proto = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        });
        match proto {
            None | Some("prometheus.WriteRequest") => Some(Version::V1),
            Some("io.prometheus.write.v2.Request") => Some(Version::V2),
            Some(_) => None,
        }
    }

    /// The `Content-Type` of a request.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Version::V1 => "application/x-protobuf",
            Version::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// `X-Prometheus-Remote-Write-Version` of a request.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Version::V1 => "0.1.0",
            Version::V2 => "2.0.0",
        }
    }
}

/// What is known of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, as the sender tells it: with `_total`, without `_bucket`.
    pub family: String,
    /// Type, unknown if it is none of those.
    pub kind: Kind,
    /// Help.
    pub help: String,
    /// Unit.
    pub unit: String,
}

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    /// Series with their samples.
    pub writes: Vec<Write>,
    /// What is said of families.
    pub metadata: Vec<Metadata>,
    /// Samples of native histograms, which were left out.
    pub histograms: usize,
    /// Exemplars, which were left out.
    pub exemplars: usize,
    /// Samples of series that were left out for their labels.
    pub invalid: usize,
    /// What is wrong with the first of those.
    pub first_invalid: Option<String>,
}

/// Why a request is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// It cannot be read.
    #[error("{0}")]
    Damaged(&'static str),
    /// It is too large.
    #[error("{0}")]
    TooLarge(&'static str),
}

impl From<Broken> for ReceiveError {
    fn from(_: Broken) -> Self {
        ReceiveError::Damaged("the protobuf message is cut short or damaged")
    }
}

impl From<BlockError> for ReceiveError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Damaged => ReceiveError::Damaged("the body is no Snappy block"),
            BlockError::TooLarge => ReceiveError::TooLarge(
                "the body has more than 32 MiB once it is unpacked; send fewer samples",
            ),
        }
    }
}

/// Reads a request: a Snappy block of the message.
///
/// # Errors
/// See [`ReceiveError`].
pub fn receive(version: Version, block: &[u8]) -> Result<Received, ReceiveError> {
    let message = unpack(block)?;
    let mut reader = Reader { received: Received::default(), parts: 0, text: 0 };
    match version {
        Version::V1 => reader.v1(&message)?,
        Version::V2 => reader.v2(&message)?,
    }
    Ok(reader.received)
}

struct Reader {
    received: Received,
    parts: usize,
    text: usize,
}

impl Reader {
    /// Counts a series, a label or a sample. An empty series is two bytes, so that without it a request could have 16 million.
    fn part(&mut self) -> Result<(), ReceiveError> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let why = "the request has more than 1048576 series, labels and samples; send fewer at once";
            return Err(ReceiveError::TooLarge(why));
        }
        Ok(())
    }

    /// Counts bytes that are going to be copied.
    fn copies(&mut self, bytes: usize) -> Result<(), ReceiveError> {
        self.text = self.text.saturating_add(bytes);
        if self.text > MOST_TEXT {
            return Err(ReceiveError::TooLarge(
                "the labels of the request have more than 64 MiB; send fewer at once",
            ));
        }
        Ok(())
    }

    /// WriteRequest: timeseries 1, metadata 3.
    fn v1(&mut self, message: &[u8]) -> Result<(), ReceiveError> {
        for field in Fields::of(message) {
            match field? {
                (1, value) => self.v1_series(value.bytes()?)?,
                (3, value) => self.v1_metadata(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// TimeSeries: labels 1, samples 2, exemplars 3, histograms 4.
    fn v1_series(&mut self, message: &[u8]) -> Result<(), ReceiveError> {
        self.part()?;
        let (mut labels, mut write) = (Vec::new(), Write::default());
        for field in Fields::of(message) {
            match field? {
                (1, value) => {
                    self.part()?;
                    labels.push(v1_label(value.bytes()?)?);
                }
                (2, value) => self.sample(value, &mut write)?,
                (3, _) => self.received.exemplars += 1,
                (4, _) => self.received.histograms += 1,
                _ => {}
            }
        }
        self.series(&labels, write)
    }

    /// MetricMetadata: type 1, metric_family_name 2, help 4, unit 5.
    fn v1_metadata(&mut self, message: &[u8]) -> Result<(), ReceiveError> {
        let mut told =
            Metadata { family: String::new(), kind: Kind::Unknown, help: String::new(), unit: String::new() };
        for field in Fields::of(message) {
            match field? {
                (1, value) => told.kind = kind(value.varint()?),
                (2, value) => told.family = value.text()?.to_owned(),
                (4, value) => told.help = value.text()?.to_owned(),
                (5, value) => told.unit = value.text()?.to_owned(),
                _ => {}
            }
        }
        self.metadata(told)
    }

    /// Request: symbols 4, timeseries 5. A series names its texts by their places among the symbols.
    fn v2(&mut self, message: &[u8]) -> Result<(), ReceiveError> {
        let mut symbols = Vec::new();
        for field in Fields::of(message) {
            if let (4, value) = field? {
                self.part()?;
                symbols.push(value.text()?);
            }
        }
        for field in Fields::of(message) {
            if let (5, value) = field? {
                self.v2_series(value.bytes()?, &symbols)?;
            }
        }
        Ok(())
    }

    /// TimeSeries: labels_refs 1, samples 2, histograms 3, exemplars 4, metadata 5.
    fn v2_series(&mut self, message: &[u8], symbols: &[&str]) -> Result<(), ReceiveError> {
        self.part()?;
        let (mut refs, mut write, mut metadata) = (Vec::new(), Write::default(), None);
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        self.part()?;
                        refs.push(symbol(varint(&mut packed)?, symbols)?);
                    }
                }
                (1, value) => {
                    self.part()?;
                    refs.push(symbol(value.varint()?, symbols)?);
                }
                (2, value) => self.sample(value, &mut write)?,
                (3, _) => self.received.histograms += 1,
                (4, _) => self.received.exemplars += 1,
                (5, value) => metadata = Some(value.bytes()?),
                _ => {}
            }
        }
        let (pairs, rest) = refs.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ReceiveError::Damaged("a series has a label name without a value"));
        }
        let labels: Vec<(&str, &str)> = pairs.iter().map(|&[name, value]| (name, value)).collect();
        if let Some(message) = metadata
            && let Some((_, name)) = labels.iter().find(|(name, _)| *name == METRIC_NAME)
        {
            self.v2_metadata(message, name, symbols)?;
        }
        self.series(&labels, write)
    }

    /// Metadata: type 1, help_ref 3, unit_ref 4; it stands with each series of a family.
    fn v2_metadata(&mut self, message: &[u8], series: &str, symbols: &[&str]) -> Result<(), ReceiveError> {
        let (mut kind_told, mut help, mut unit) = (Kind::Unknown, "", "");
        for field in Fields::of(message) {
            match field? {
                (1, value) => kind_told = kind(value.varint()?),
                (3, value) => help = symbol(value.varint()?, symbols)?,
                (4, value) => unit = symbol(value.varint()?, symbols)?,
                _ => {}
            }
        }
        if kind_told == Kind::Unknown && help.is_empty() && unit.is_empty() {
            return Ok(());
        }
        let suffixes: &[&str] = match kind_told {
            Kind::Histogram => &["_bucket", "_count", "_sum"],
            Kind::Summary => &["_count", "_sum"],
            _ => &[],
        };
        let family = suffixes.iter().find_map(|suffix| series.strip_suffix(suffix)).unwrap_or(series);
        if self.received.metadata.last().is_some_and(|last| last.family == family) {
            return Ok(());
        }
        self.metadata(Metadata {
            family: family.to_owned(),
            kind: kind_told,
            help: help.to_owned(),
            unit: unit.to_owned(),
        })
    }

    fn metadata(&mut self, told: Metadata) -> Result<(), ReceiveError> {
        if self.received.metadata.len() >= MOST_FAMILIES {
            return Err(ReceiveError::TooLarge("the request describes more than 65536 families"));
        }
        self.copies(told.family.len() + told.help.len() + told.unit.len())?;
        if !told.family.is_empty() {
            self.received.metadata.push(told);
        }
        Ok(())
    }

    /// Sample, the same in both: value 1, timestamp 2.
    fn sample(&mut self, value: Value<'_>, write: &mut Write) -> Result<(), ReceiveError> {
        self.part()?;
        let (mut number, mut time) = (0.0, 0);
        for field in Fields::of(value.bytes()?) {
            match field? {
                (1, value) => number = value.double()?,
                (2, value) => time = value.signed()?,
                _ => {}
            }
        }
        write.samples.push((time, number));
        Ok(())
    }

    /// Takes a series whose labels are in order.
    fn series(&mut self, labels: &[(&str, &str)], mut write: Write) -> Result<(), ReceiveError> {
        match wrong(labels) {
            Some(why) => {
                self.received.invalid += write.samples.len();
                self.received.first_invalid.get_or_insert(why);
            }
            None if write.samples.is_empty() => {}
            None => {
                self.copies(labels.iter().map(|(name, value)| name.len() + value.len()).sum())?;
                let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
                write.labels = labels.iter().map(owned).collect();
                self.received.writes.push(write);
            }
        }
        Ok(())
    }
}

fn v1_label(message: &[u8]) -> Result<(&str, &str), Broken> {
    let (mut name, mut text) = ("", "");
    for field in Fields::of(message) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => text = value.text()?,
            _ => {}
        }
    }
    Ok((name, text))
}

fn symbol<'a>(reference: u64, symbols: &[&'a str]) -> Result<&'a str, ReceiveError> {
    let found = usize::try_from(reference).ok().and_then(|at| symbols.get(at));
    found.copied().ok_or(ReceiveError::Damaged("a series names a symbol that is not there"))
}

/// What is wrong with labels: no metric name, a label without name, a name twice.
fn wrong(labels: &[(&str, &str)]) -> Option<String> {
    let shown = || {
        let cut = |text: &str| text.chars().take(40).collect::<String>();
        let shown: Vec<_> =
            labels.iter().take(5).map(|(name, value)| format!("{}={:?}", cut(name), cut(value))).collect();
        format!("{{{}}}", shown.join(", "))
    };
    if !labels.iter().any(|&(name, value)| name == METRIC_NAME && !value.is_empty()) {
        return Some(format!("a series has no metric name: {}", shown()));
    }
    if labels.iter().any(|(name, _)| name.is_empty()) {
        return Some(format!("a series has a label without a name: {}", shown()));
    }
    let mut names: Vec<_> = labels.iter().map(|&(name, _)| name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|two| two[0] == two[1])?;
    let name: String = twice[0].chars().take(40).collect();
    Some(format!("a series has the label {name:?} twice: {}", shown()))
}

/// The types have the same numbers in both versions.
fn kind(number: u64) -> Kind {
    match number {
        1 => Kind::Counter,
        2 => Kind::Gauge,
        3 => Kind::Histogram,
        4 => Kind::GaugeHistogram,
        5 => Kind::Summary,
        6 => Kind::Info,
        7 => Kind::StateSet,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
