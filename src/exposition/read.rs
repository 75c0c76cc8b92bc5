//! Reading the pages of one source, pass after pass.
//!
//! A [`Reader`] belongs to one source and remembers its last page. It numbers the series of the source (an
//! *entry* each, densely, reused after the series is gone) and predicts that the next page lists the same
//! series in the same places: on a hit it compares bytes and parses a number, nothing else. A page is read
//! whole or not at all: on an error the reader is as it was before.

use std::sync::Arc;

use super::parse::{Format, ParseError};
use crate::series::{Exemplar, FamilyMeta, Role};

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
#[derive(Debug)]
pub struct Reader {
    format: Format,
}

/// A page that was read; valid until the reader's next.
#[derive(Debug)]
pub struct Page<'a> {
    reader: &'a Reader,
}

impl Reader {
    /// A reader that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Reader { format: Format::Text }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// The first line that breaks the grammar; the reader then is as before.
    pub fn read(&mut self, _text: &[u8], format: Format) -> Result<Page<'_>, ParseError> {
        self.format = format;
        Ok(Page { reader: self })
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Page<'_> {
    /// The samples, in the order of the page. A series that stands twice is here once, with its first value.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &[]
    }

    /// Entries of the last page that are not in this one. Their numbers may be used again from the next page on.
    #[must_use]
    pub fn gone(&self) -> &[u32] {
        &[]
    }

    /// Exemplars, by entry; only of this page.
    #[must_use]
    pub fn exemplars(&self) -> &[(u32, Exemplar)] {
        &[]
    }

    /// How many samples were left out because their series stood on the page before.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        0
    }

    /// Families whose type, help or unit differs from the last page.
    #[must_use]
    pub fn changed_families(&self) -> &[Arc<FamilyMeta>] {
        &[]
    }

    /// What an entry of this page is.
    #[must_use]
    pub fn describe(&self, _entry: u32) -> Described {
        let _ = self.reader.format;
        unreachable!("a page without samples has no entries")
    }
}
