//! Pages in, ticks out: the synchronous heart of the tick.
//!
//! An [`Intake`] holds the series table and a reader for each source. It decides nothing about time and does no
//! I/O; the [ticker](super::ticker) hands it pages and says when to commit.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::clock::Moment;
use crate::exposition::parse::{Format, ParseError};
use crate::exposition::read::{Page, Reader};
use crate::series::{Applied, Epoch, Mapping, NativeHistogram, Scope, SourceId, Table, Tick};

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
    ///
    /// # Panics
    /// With more than 65,536 sources at a time; whoever adds some by request keeps a bound.
    pub fn add_source(&mut self, name: &str, scope: Scope) -> SourceId {
        let source = self.table.add_source(name, scope);
        let at = usize::from(source.0);
        if at == self.readers.len() {
            self.readers.push(Reader::new());
        }
        source
    }

    /// Removes a source with all its series. Another one may get its number.
    pub fn remove_source(&mut self, source: SourceId) {
        self.readers[usize::from(source.0)] = Reader::new();
        self.table.remove_source(source);
    }

    /// The table, for a source that has single samples and not pages.
    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Takes the page of a source. It is applied whole or not at all.
    ///
    /// # Errors
    /// The first line that breaks the grammar; the source's series then keep their values.
    pub fn page(&mut self, source: SourceId, text: &[u8], format: Format) -> Result<Applied, ParseError> {
        let page = self.readers[usize::from(source.0)].read(text, format)?;
        Ok(self.table.apply(source, &page))
    }

    /// As [`Intake::page`] for a source whose samples are changed on their way. `judge` sees the page before anything of
    /// it counts and may refuse it; then the table is as before.
    ///
    /// # Errors
    /// The first line that breaks the grammar, or what `judge` says.
    pub fn mapped_page<M: Mapping, E: From<ParseError>>(
        &mut self,
        source: SourceId,
        text: &[u8],
        format: Format,
        mapping: &mut M,
        judge: impl FnOnce(&mut M, &Page<'_>) -> Result<(), E>,
    ) -> Result<Applied, E> {
        let page = self.readers[usize::from(source.0)].read(text, format)?;
        judge(mapping, &page)?;
        Ok(self.table.apply_mapped(source, &page, mapping))
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
