//! Reading the pages of one source, pass after pass.
//!
//! A [`Reader`] belongs to one source and remembers its last page. It numbers the series of the source (an
//! *entry* each, densely, reused after the series is gone) and predicts that the next page lists the same
//! series in the same places: on a hit it compares bytes and parses a number, nothing else. A page is read
//! whole or not at all: on an error the reader is as it was before.
//!
//! A line that is not in its predicted place is looked up by the bytes of its identity, and prediction goes on
//! behind the place where it was found; only bytes never seen are read by the grammar ([`super::parse`]). While
//! a page is read nothing but scratch space is written; `commit`, which cannot fail, then makes it the last page.
//!
//! What is kept of a page is its identities and its lines of metadata, in the order of the page, and some 95
//! bytes a series (line 12, entry 44, two hash tables about 15, sample 24). Names and labels are not kept: [`Page::describe`] reads them again.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_map::Entry::{Occupied, Vacant};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::metadata::{Metadata, Place as FamilyPlace};
use super::number;
use super::parse::{self, Format, LINE_LIMIT, Meta, ParseError, Reason};
use super::strict;
use crate::series::{Exemplar, FamilyMeta, NO_TIME, Role, key as series_key};

/// One sample of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which series of this source.
    pub entry: u32,
    /// Its value.
    pub value: f64,
    /// The time the page gave it, Unix milliseconds, or [`crate::series::NO_TIME`].
    pub time_ms: i64,
}

/// What an entry is, read from its line when it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Its family.
    pub family: Arc<FamilyMeta>,
    /// What it is within the family.
    pub role: Role,
    /// Its metric name, suffix included.
    pub name: String,
    /// Its labels, sorted by name, without empty ones.
    pub labels: Vec<(String, String)>,
}

/// Reads the pages of one source.
#[derive(Debug, Default)]
pub struct Reader {
    strict: bool,
    format: Option<Format>,
    hasher: DefaultHashBuilder,
    /// The lines of the last page: identities and metadata, one after the other, without values.
    kept: Vec<u8>,
    /// Where they stand in `kept`, line by line.
    lines: Vec<Line>,
    entries: Vec<Option<Entry>>,
    /// Entries by the bytes of their identity on the last page, and by their key.
    by_bytes: HashTable<u32>,
    by_key: HashTable<u32>,
    free: Vec<u32>,
    families: Vec<Arc<FamilyMeta>>,
    metadata: Metadata,
    /// Sum of the hashes of the lines of metadata: equal sums are the same lines in some order.
    metadata_sum: u64,
    /// Number of the pass, and for each entry the pass that saw it last.
    pass: u32,
    seen: Vec<u32>,
    // What the last page gave.
    samples: Vec<Sample>,
    gone: Vec<u32>,
    exemplars: Vec<(u32, Exemplar)>,
    duplicates: usize,
    changed: Vec<Arc<FamilyMeta>>,
}

/// A line of the last page.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    len: u32,
    /// Entry of the series, or one of the marks below.
    entry: u32,
}

/// In [`Line::entry`]: a series that stood on the page before.
const DUPLICATE: u32 = u32::MAX;
/// In [`Line::entry`]: HELP, TYPE or UNIT.
const METADATA: u32 = u32::MAX - 1;
/// In [`Line::entry`]: a comment, a blank line, the end.
const OTHER: u32 = u32::MAX - 2;
/// The first of the marks.
const MARKS: u32 = OTHER;

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
    /// Its line on the last page.
    line: u32,
    family: u32,
    role: Role,
    bytes_hash: u64,
    key_hash: u64,
}

/// A page that was read; valid until the reader's next.
#[derive(Debug)]
pub struct Page<'a> {
    reader: &'a Reader,
}

/// What is known of a page while it is read: line by line, and the series that are new.
#[derive(Default)]
struct Draft {
    lines: Vec<DraftLine>,
    fresh: Vec<Fresh>,
    fresh_keys: HashMap<String, u32>,
    metadata_sum: u64,
}

struct DraftLine {
    /// As for [`Line`]; a series that is new counts on from the last entry.
    entry: u32,
    /// In the page if `new`, else in `kept`.
    start: u32,
    len: u32,
    new: bool,
    /// A series that is known, but not by these bytes.
    respelled: bool,
}

struct Fresh {
    bytes_hash: u64,
    key_hash: u64,
    line: u32,
}

impl Reader {
    /// A reader that has seen nothing, as lenient as Prometheus: it takes everything that follows the grammar,
    /// in any order. Of the 167 bad pages of OpenMetrics' own test data it takes those named in
    /// `tests/openmetrics_verdicts.rs`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that also holds an OpenMetrics page to all rules of the standard: order and grouping, names that
    /// clash, and what values a type may have. Every page is checked in full before it is read, which takes
    /// some hundred nanoseconds a sample. Text 0.0.4 has no such rules and is read leniently.
    #[must_use]
    pub fn strict() -> Self {
        Reader { strict: true, ..Self::default() }
    }

    /// Reads a page.
    ///
    /// The number of series is the caller's concern; memory stays within a small multiple of the page. Lines are
    /// at most [`LINE_LIMIT`] bytes.
    ///
    /// # Errors
    /// The first line that breaks the grammar (or, if [strict](Reader::strict), a rule); the reader then is as
    /// before.
    pub fn read(&mut self, text: &[u8], format: Format) -> Result<Page<'_>, ParseError> {
        if u32::try_from(text.len()).is_err() {
            return Err(ParseError::at(text, 0, "the page is longer than 4 GiB".into()));
        }
        if self.strict && format == Format::OpenMetrics {
            strict::check(text)?;
        }
        self.samples.clear();
        self.exemplars.clear();
        let (mut at, mut line) = (0, 0);
        if self.format == Some(format) {
            (at, line) = self.predict(text);
        }
        let whole = at == text.len() && line == self.lines.len() && self.format == Some(format);
        if whole {
            self.gone.clear();
            self.changed.clear();
        } else {
            let draft = self.scan(text, format, at, line)?;
            self.commit(text, format, draft);
        }
        Ok(Page { reader: self })
    }

    /// Reads lines as long as they stand in their predicted places. Gives where it stopped, in bytes and lines.
    fn predict(&mut self, text: &[u8]) -> (usize, usize) {
        let mut at = 0;
        for number in 0..self.lines.len() {
            let line = self.lines[number];
            let known = &self.kept[line.start as usize..][..line.len as usize];
            let Some(after) = text[at..].strip_prefix(known) else { return (at, number) };
            if line.entry < MARKS {
                // The common line: one space, a value, the end.
                if after.first() == Some(&b' ')
                    && let Some((value, len)) = number::take(&after[1..])
                    && matches!(after.get(1 + len), None | Some(b'\n'))
                {
                    self.samples.push(Sample { entry: line.entry, value, time_ms: NO_TIME });
                    at = (at + known.len() + len + 2).min(text.len());
                } else if let Some(next) = self.sample(line.entry, text, at, line.len as usize) {
                    at = next;
                } else {
                    return (at, number);
                }
            } else if line.entry == DUPLICATE || !matches!(after.first(), None | Some(b'\n')) {
                return (at, number);
            } else {
                at = (at + known.len() + 1).min(text.len());
            }
        }
        (at, self.lines.len())
    }

    /// Reads what follows a known identity, with timestamp and exemplar. Gives the start of the next line, or
    /// nothing if the line needs a closer look.
    fn sample(&mut self, entry: u32, text: &[u8], at: usize, len: usize) -> Option<usize> {
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |skip| at + skip);
        if end - at > LINE_LIMIT {
            return None;
        }
        let after = &text[at + len..end];
        // Another byte would belong to the identity: `ab` is not `a`.
        if !matches!(after.first(), Some(b' ' | b'\t')) {
            return None;
        }
        let rest = parse::rest(after, self.format?).ok()?;
        self.samples.push(Sample { entry, value: rest.value, time_ms: rest.time_ms });
        self.exemplars.extend(rest.exemplar.map(|exemplar| (entry, exemplar)));
        Some((end + 1).min(text.len()))
    }

    /// Reads the lines from `at` on; those before are the first `line` lines of the last page.
    fn scan(&mut self, text: &[u8], format: Format, mut at: usize, line: usize) -> Result<Draft, ParseError> {
        self.pass = self.pass.wrapping_add(1);
        if self.pass == 0 {
            self.seen.fill(0);
            self.pass = 1;
        }
        let mut draft = Draft::default();
        draft.lines.reserve(self.lines.len());
        for known in &self.lines[..line] {
            if known.entry < MARKS {
                self.seen[known.entry as usize] = self.pass;
            } else if known.entry == METADATA {
                let bytes = &self.kept[known.start as usize..][..known.len as usize];
                draft.metadata_sum = draft.metadata_sum.wrapping_add(self.hasher.hash_one(bytes));
            }
            draft.lines.push(DraftLine {
                entry: known.entry,
                start: known.start,
                len: known.len,
                new: false,
                respelled: false,
            });
        }
        let same_format = self.format == Some(format);
        // Where the next line is predicted.
        let mut next = if same_format { line } else { usize::MAX };
        let mut ended = format == Format::OpenMetrics && self.ended_at(line);
        while at < text.len() {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |skip| at + skip);
            let fail = |reason: Reason| ParseError::at(text, at, reason);
            if ended {
                return Err(fail("text after # EOF".into()));
            }
            if end - at > LINE_LIMIT {
                return Err(fail(format!("the line is longer than {LINE_LIMIT} bytes").into()));
            }
            let start = at + parse::skip_blanks(&text[at..end], format);
            let bytes = &text[start..end];
            match bytes.first() {
                None if format == Format::OpenMetrics => return Err(fail("a blank line".into())),
                None => draft.push(OTHER, start, 0),
                Some(b'#') => {
                    let known = self.lines.get(next).filter(|line| self.bytes(line) == bytes);
                    let mark = match known {
                        Some(line) => {
                            next += 1;
                            line.entry
                        }
                        None => match parse::meta(bytes, format).map_err(fail)? {
                            Meta::Eof | Meta::Comment => OTHER,
                            Meta::Help(..) | Meta::Type(..) | Meta::Unit(..) => METADATA,
                        },
                    };
                    if mark == METADATA {
                        draft.metadata_sum = draft.metadata_sum.wrapping_add(self.hasher.hash_one(bytes));
                    }
                    ended = format == Format::OpenMetrics && mark == OTHER;
                    draft.push(mark, start, bytes.len());
                }
                Some(_) => self.scan_sample(bytes, start, format, &mut next, &mut draft).map_err(fail)?,
            }
            at = (end + 1).min(text.len());
        }
        if format == Format::OpenMetrics && !ended {
            return Err(ParseError::at(text, text.len(), "the page does not end with # EOF".into()));
        }
        Ok(draft)
    }

    /// Is the line before this one the end of an OpenMetrics page?
    fn ended_at(&self, line: usize) -> bool {
        line.checked_sub(1).is_some_and(|line| self.lines[line].entry == OTHER)
    }

    fn bytes(&self, line: &Line) -> &[u8] {
        &self.kept[line.start as usize..][..line.len as usize]
    }

    fn scan_sample(
        &mut self,
        line: &[u8],
        start: usize,
        format: Format,
        next: &mut usize,
        draft: &mut Draft,
    ) -> Result<(), Reason> {
        let mut respelled = false;
        let (entry, len, first) = match self.recognize(line, format, *next) {
            Some(entry) => {
                let Entry { line, len, .. } = *self.entry(entry);
                *next = line as usize + 1;
                (entry, len as usize, self.first_sight(entry))
            }
            None => {
                let key = parse::key(line, format)?;
                let rendered = series_key::render(&key.name, &key.labels);
                let key_hash = self.hasher.hash_one(&*rendered);
                match self.find_key(&rendered, key_hash) {
                    Some(entry) => {
                        respelled = *self.identity(self.entry(entry)) != line[..key.len];
                        (entry, key.len, self.first_sight(entry))
                    }
                    None => {
                        let bytes_hash = self.hasher.hash_one(&line[..key.len]);
                        let (entry, first) = draft.number(self.entries.len(), rendered, bytes_hash, key_hash);
                        (entry, key.len, first)
                    }
                }
            }
        };
        let rest = parse::rest(&line[len..], format)?;
        if first {
            self.samples.push(Sample { entry, value: rest.value, time_ms: rest.time_ms });
            self.exemplars.extend(rest.exemplar.map(|exemplar| (entry, exemplar)));
        }
        draft.push(if first { entry } else { DUPLICATE }, start, len);
        draft.lines.last_mut().expect("as pushed").respelled = respelled;
        Ok(())
    }

    /// The entry whose bytes a line starts with: that of the predicted place, or one from elsewhere.
    fn recognize(&self, line: &[u8], format: Format, next: usize) -> Option<u32> {
        if next == usize::MAX {
            return None;
        }
        // Text 0.0.4 may have a blank before the brace: then the name alone is not the identity.
        let ends_at = |len: usize| match line.get(len) {
            Some(b' ' | b'\t') => line.get(len + parse::skip_blanks(&line[len..], format)) != Some(&b'{'),
            _ => false,
        };
        if let Some(known) = self.lines.get(next)
            && known.entry < MARKS
            && line.starts_with(self.bytes(known))
            && ends_at(known.len as usize)
        {
            return Some(known.entry);
        }
        // An identity ends at the last brace, or the first blank; if an exemplar makes this a wrong guess,
        // nothing is found and the grammar decides.
        let guess = memchr::memrchr(b'}', line)
            .map_or_else(|| memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len()), |brace| brace + 1);
        if ends_at(guess) { self.find(&line[..guess]) } else { None }
    }

    /// Notes that the page has a sample of this entry; is it the first?
    fn first_sight(&mut self, entry: u32) -> bool {
        std::mem::replace(&mut self.seen[entry as usize], self.pass) != self.pass
    }

    fn entry(&self, entry: u32) -> &Entry {
        self.entries[entry as usize].as_ref().expect("lines and tables hold living entries")
    }

    fn identity(&self, entry: &Entry) -> &[u8] {
        &self.kept[entry.start as usize..][..entry.len as usize]
    }

    fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(bytes);
        self.by_bytes
            .find(hash, |&entry| {
                let entry = self.entry(entry);
                entry.bytes_hash == hash && self.identity(entry) == bytes
            })
            .copied()
    }

    fn find_key(&self, key: &str, hash: u64) -> Option<u32> {
        let same = |&entry: &u32| {
            let entry = self.entry(entry);
            entry.key_hash == hash && {
                let (name, labels) = self.reread(entry);
                series_key::render(&name, &labels) == key
            }
        };
        self.by_key.find(hash, same).copied()
    }

    /// Name and labels of an entry, from the bytes kept of it.
    fn reread(&self, entry: &Entry) -> (String, Vec<(String, String)>) {
        let format = self.format.expect("there are no entries before the first page");
        let key = parse::key(self.identity(entry), format).expect("it was read before");
        let labels = key.labels.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        (key.name.into_owned(), labels)
    }

    /// Makes the page just read the last page.
    fn commit(&mut self, text: &[u8], format: Format, draft: Draft) {
        self.gone.clear();
        self.changed.clear();
        let base = u32::try_from(self.entries.len()).expect("checked when scanned");
        let numbers = self.number_fresh(draft.fresh.len());
        let actual = |entry: u32| {
            if entry < MARKS && entry >= base { numbers[(entry - base) as usize] } else { entry }
        };

        // The tables know the entries by bytes of the old page: first forget, then replace the bytes.
        for entry in 0..base {
            if self.entries[entry as usize].is_some() && self.seen[entry as usize] != self.pass {
                self.bury(entry);
            }
        }
        self.relay(text, &draft, &actual);
        let same_format = self.format.replace(format) == Some(format);
        for (fresh, &entry) in draft.fresh.iter().zip(&numbers) {
            let line = self.lines[fresh.line as usize];
            let (family, role) = (u32::MAX, Role::Value); // resolved below
            let (bytes_hash, key_hash) = (fresh.bytes_hash, fresh.key_hash);
            self.entries[entry as usize] = Some(Entry {
                start: line.start,
                len: line.len,
                line: fresh.line,
                family,
                role,
                bytes_hash,
                key_hash,
            });
            self.seen[entry as usize] = self.pass;
            self.insert(entry);
        }
        if !draft.fresh.is_empty() {
            for sample in &mut self.samples {
                sample.entry = actual(sample.entry);
            }
            for (entry, _) in &mut self.exemplars {
                *entry = actual(*entry);
            }
        }
        self.duplicates = self.lines.iter().filter(|line| line.entry == DUPLICATE).count();

        let crowded = self.families.len() > 2 * self.by_key.len() + 64;
        if self.metadata_sum != draft.metadata_sum || self.metadata.repeated > 0 || crowded || !same_format {
            self.metadata_sum = draft.metadata_sum;
            self.resolve_all();
        } else {
            self.resolve(&numbers);
        }
    }

    /// Numbers for new entries: those that are free, then new ones.
    fn number_fresh(&mut self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| {
                self.free.pop().unwrap_or_else(|| {
                    self.entries.push(None);
                    self.seen.push(0);
                    u32::try_from(self.entries.len() - 1).expect("checked when scanned")
                })
            })
            .collect()
    }

    /// Lays the lines of the new page one after the other.
    fn relay(&mut self, text: &[u8], draft: &Draft, actual: &impl Fn(u32) -> u32) {
        let mut kept = Vec::with_capacity(draft.lines.iter().map(|line| line.len as usize).sum());
        self.lines.clear();
        self.lines.reserve_exact(draft.lines.len());
        let mut respelled = Vec::new();
        for (number, line) in draft.lines.iter().enumerate() {
            let start = u32::try_from(kept.len()).expect("no longer than the page");
            let from = if line.new { text } else { &self.kept };
            let bytes = &from[line.start as usize..][..line.len as usize];
            let entry = actual(line.entry);
            if entry < MARKS
                && let Some(known) = &mut self.entries[entry as usize]
            {
                if line.respelled {
                    respelled.push(entry);
                } else {
                    (known.start, known.len) = (start, line.len);
                }
                known.line = u32::try_from(number).expect("no more lines than bytes");
            }
            kept.extend_from_slice(bytes);
            self.lines.push(Line { start, len: line.len, entry });
        }
        // The same series in other bytes (labels in another order): found by its key, now known by these.
        for entry in respelled {
            self.remove_bytes(entry);
            let line = self.lines[self.entry(entry).line as usize];
            let bytes_hash = self.hasher.hash_one(&kept[line.start as usize..][..line.len as usize]);
            if let Some(known) = &mut self.entries[entry as usize] {
                (known.start, known.len, known.bytes_hash) = (line.start, line.len, bytes_hash);
            }
            let entries = &self.entries;
            self.by_bytes
                .insert_unique(bytes_hash, entry, |&e| hash_of(entries, e, |entry| entry.bytes_hash));
        }
        self.kept = kept;
    }

    fn insert(&mut self, entry: u32) {
        let Entry { bytes_hash, key_hash, .. } = *self.entry(entry);
        let entries = &self.entries;
        self.by_bytes.insert_unique(bytes_hash, entry, |&e| hash_of(entries, e, |entry| entry.bytes_hash));
        self.by_key.insert_unique(key_hash, entry, |&e| hash_of(entries, e, |entry| entry.key_hash));
    }

    fn remove_bytes(&mut self, entry: u32) {
        let hash = self.entry(entry).bytes_hash;
        if let Ok(found) = self.by_bytes.find_entry(hash, |&e| e == entry) {
            found.remove();
        }
    }

    /// Takes an entry out of everything; its number is free from the next page on.
    fn bury(&mut self, entry: u32) {
        self.remove_bytes(entry);
        let hash = self.entry(entry).key_hash;
        if let Ok(found) = self.by_key.find_entry(hash, |&e| e == entry) {
            found.remove();
        }
        self.entries[entry as usize] = None;
        self.gone.push(entry);
        self.free.push(entry);
    }

    /// Finds family and role of new entries; the metadata is that of the page before.
    fn resolve(&mut self, fresh: &[u32]) {
        if fresh.is_empty() {
            return;
        }
        let mut index: HashMap<Arc<str>, u32> = HashMap::new();
        for (number, family) in (0..).zip(&self.families) {
            index.insert(Arc::clone(&family.name), number);
        }
        for &entry in fresh {
            let place = self.family_place(entry);
            let (family, role) = self.family_number(place, &mut index);
            if let Some(entry) = &mut self.entries[entry as usize] {
                (entry.family, entry.role) = (family, role);
            }
        }
    }

    fn family_place(&self, entry: u32) -> FamilyPlace {
        let format = self.format.expect("a page is being read");
        let name = parse::key(self.identity(self.entry(entry)), format).expect("it was read before").name;
        self.metadata.place(&name, format)
    }

    fn family_number(&mut self, place: FamilyPlace, index: &mut HashMap<Arc<str>, u32>) -> (u32, Role) {
        let number = match index.get(&*place.family) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.families.len()).expect("no more families than series");
                let meta = Arc::new(self.metadata.family(&place));
                index.insert(Arc::clone(&meta.name), number);
                self.families.push(meta);
                number
            }
        };
        (number, place.role)
    }

    /// Reads the metadata anew and finds family and role of every entry.
    fn resolve_all(&mut self) {
        let format = self.format.expect("a page is being read");
        let metadata = self.lines.iter().filter(|line| line.entry == METADATA);
        self.metadata = Metadata::read(metadata.map(|line| self.bytes(line)), format);
        let old = std::mem::take(&mut self.families);
        let mut index = HashMap::new();
        let mut moved = Vec::new();
        for entry in 0..u32::try_from(self.entries.len()).expect("checked when scanned") {
            let Some(Entry { family: old_family, role: old_role, .. }) = self.entries[entry as usize] else {
                continue;
            };
            let place = self.family_place(entry);
            let (family, role) = self.family_number(place, &mut index);
            let old_name = old.get(old_family as usize).map(|family| &family.name);
            let known = self.entries[entry as usize].as_mut().expect("as above");
            (known.family, known.role) = (family, role);
            // It is another series to everyone downstream: the old one goes, a new one comes.
            if old_name.is_some_and(|name| *name != self.families[family as usize].name || old_role != role) {
                moved.push(entry);
            }
        }
        for old in old {
            if let Some(&number) = index.get(&*old.name) {
                let new = &mut self.families[number as usize];
                if **new == *old {
                    *new = old; // keeps the pointer
                } else {
                    self.changed.push(Arc::clone(new));
                }
            }
        }
        self.renumber(&moved);
    }

    /// Gives entries, in ascending order, new numbers.
    fn renumber(&mut self, moved: &[u32]) {
        // Not from the free ones, which hold the numbers that went with this very page.
        let base = u32::try_from(self.entries.len()).expect("fewer than 2^32 series");
        for (&old, new) in moved.iter().zip(base..) {
            let entry = self.entries[old as usize];
            self.bury(old);
            self.entries.push(entry);
            self.seen.push(self.pass);
            self.insert(new);
            let line = self.entry(new).line;
            self.lines[line as usize].entry = new;
        }
        let actual = |entry: &mut u32| {
            if let Ok(at) = moved.binary_search(entry) {
                *entry = base + u32::try_from(at).expect("fewer than 2^32 series");
            }
        };
        if !moved.is_empty() {
            self.samples.iter_mut().for_each(|sample| actual(&mut sample.entry));
            self.exemplars.iter_mut().for_each(|(entry, _)| actual(entry));
        }
    }
}

fn hash_of(entries: &[Option<Entry>], entry: u32, hash: impl Fn(&Entry) -> u64) -> u64 {
    entries[entry as usize].as_ref().map_or(0, hash)
}

impl Draft {
    /// Number of a series that the reader does not know, counted on from its entries; is it the first time?
    fn number(&mut self, entries: usize, key: String, bytes_hash: u64, key_hash: u64) -> (u32, bool) {
        let line = u32::try_from(self.lines.len()).expect("no more lines than bytes");
        let number = u32::try_from(entries + self.fresh.len()).expect("fewer than 2^32 series");
        match self.fresh_keys.entry(key) {
            Occupied(known) => (*known.get(), false),
            Vacant(place) => {
                place.insert(number);
                self.fresh.push(Fresh { bytes_hash, key_hash, line });
                (number, true)
            }
        }
    }

    fn push(&mut self, entry: u32, start: usize, len: usize) {
        let fits = |bytes: usize| u32::try_from(bytes).expect("the page was found shorter than 4 GiB");
        self.lines.push(DraftLine { entry, start: fits(start), len: fits(len), new: true, respelled: false });
    }
}

impl Page<'_> {
    /// The samples, in the order of the page. A series that stands twice is here once, with its first value.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.reader.samples
    }

    /// Entries of the last page that are not in this one, and those whose series is now of another family.
    /// Their numbers may be used again from the next page on.
    #[must_use]
    pub fn gone(&self) -> &[u32] {
        &self.reader.gone
    }

    /// Exemplars, by entry; only of this page.
    #[must_use]
    pub fn exemplars(&self) -> &[(u32, Exemplar)] {
        &self.reader.exemplars
    }

    /// How many samples were left out because their series stood on the page before.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.reader.duplicates
    }

    /// How many lines of HELP, TYPE or UNIT were left out because the page had said it of the family before.
    #[must_use]
    pub fn repeated_metadata(&self) -> usize {
        self.reader.metadata.repeated
    }

    /// Families whose type, help or unit differs from the last page.
    #[must_use]
    pub fn changed_families(&self) -> &[Arc<FamilyMeta>] {
        &self.reader.changed
    }

    /// What an entry of this page is.
    ///
    /// # Panics
    /// If the page has no such entry.
    #[must_use]
    pub fn describe(&self, entry: u32) -> Described {
        let entry = self.reader.entry(entry);
        let (name, labels) = self.reader.reread(entry);
        Described {
            family: Arc::clone(&self.reader.families[entry.family as usize]),
            role: entry.role,
            name,
            labels,
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
