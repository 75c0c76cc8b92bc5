//! Pages in, ticks out: the synchronous heart of the tick.
//!
//! An [`Intake`] holds the series table and a reader for each source. It decides nothing about time and does no
//! I/O; the [ticker](super::ticker) hands it pages and says when to commit.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::clock::Moment;
use crate::exposition::parse::{Format, ParseError};
use crate::exposition::read::Reader;
use crate::series::{Applied, Epoch, NativeHistogram, SourceId, Table, Tick};

/// The series table with the readers that feed it.
#[derive(Debug)]
pub struct Intake {
    table: Table,
    readers: Vec<Reader>,
}

impl Intake {
    /// An empty table that takes at most `series_limit` series.
    #[must_use]
    pub fn new(epoch: Epoch, series_limit: usize) -> Self {
        Intake { table: Table::new(epoch, series_limit), readers: Vec::new() }
    }

    /// Adds a source under the name by which requests and pages call it.
    pub fn add_source(&mut self, name: &str) -> SourceId {
        self.readers.push(Reader::new());
        self.table.add_source(name)
    }

    /// Takes the page of a source. It is applied whole or not at all.
    ///
    /// # Errors
    /// The first line that breaks the grammar; the source's series then keep their values.
    pub fn page(&mut self, source: SourceId, text: &[u8], format: Format) -> Result<Applied, ParseError> {
        let page = self.readers[usize::from(source.0)].read(text, format)?;
        Ok(self.table.apply(source, &page))
    }

    /// Makes all series of a source stale, until its next page.
    pub fn withdraw(&mut self, source: SourceId) {
        self.table.withdraw(source);
    }

    /// The native histograms of the own registry, by [`crate::series::native_key`].
    pub fn natives(&mut self, natives: Arc<HashMap<Box<str>, Arc<NativeHistogram>>>) {
        self.table.set_natives(natives);
    }

    /// Closes the tick.
    pub fn commit(&mut self, at: Moment, beat: u64) -> Arc<Tick> {
        self.table.commit(at, beat)
    }

    /// Number of living series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Is there no series?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}
