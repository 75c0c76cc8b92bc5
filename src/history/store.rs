//! The history in a file, so that it survives a restart.
//!
//! One redb database, `history.redb`, with six tables:
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | version of what is in the tables, 1 |
//! | `series` | number of the series | its labels |
//! | `blocks` | number, rising | sealed chunks, in the order they were sealed, some 128 KiB to a block |
//! | `open` | number | the open chunks of all series, as of the last checkpoint |
//! | `journal` | number, rising | a push that came after it |
//! | `baselines` | name | a [`Baseline`], with a version of its own |
//!
//! A **checkpoint** (each minute, and at the end) writes in one transaction what was sealed since the last one and all
//! open chunks, empties the journal, and drops blocks of which every chunk is too old. A **push** is acknowledged once
//! it is in the journal and that on the disk; so after `kill -9` all is there that was acknowledged, and of the ticks all
//! up to the last checkpoint. Blocks are never changed: where late samples made chunks anew, the old ones stay beside
//! the new ones until they are too old, and reading takes each sample once.
//!
//! Chunks go into blocks because a B-tree with a row for each chunk, in the order of series, writes a page of 4 KiB for
//! every 300 bytes. Measured over an hour of 10,000 series at 1 Hz with a checkpoint a minute (2.6 bytes a sample in sealed
//! chunks, as much again for the open ones):
//!
//! | | written, bytes a sample | a checkpoint, median | file at the end | start after `kill -9` |
//! | --- | --- | --- | --- | --- |
//! | a plain file (floor) | 5.3 | 10 ms | | |
//! | redb, blocks | 6.3 | 7 ms | 68 MB | 0.08 s |
//! | fjall, blocks | 7.5 | 12 ms | 129 MB | 0.11 s, 43 MB of memory to redb's 15 |
//! | redb, a row a chunk | 89 | 264 ms | 157 MB | 0.40 s |
//! | fjall, a row a chunk | 7.5 | 43 ms | 157 MB | 2.0 s, 151 MB of memory |
//!
//! fjall brings some thirty crates along, redb none. A push of 500 samples, safe on the disk, takes 4 ms with either (a
//! plain file: 0.3 to 4 ms).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use hashbrown::HashMap;
use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};
use tracing::warn;

use super::baseline::Baseline;
use super::chunk::Chunk;
use super::codec::{self, Block, Damage};
use super::memory::{Change, Memory, Write};
use crate::query::Labels;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SERIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("series");
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
const OPEN: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("open");
const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const BASELINES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("baselines");

/// Version of what is in the tables.
const FORMAT: u64 = 1;
/// A block is closed when it has as many bytes: enough for redb's pages to be full, and few to write at once.
const BLOCK: usize = 128 << 10;
/// What redb may keep of the file in memory. It is read once, at the start.
const CACHE: usize = 4 << 20;
/// From so many bytes in the journal on a checkpoint does not wait for its time: some seconds of pushes as fast as they
/// can come, and a second of the next start.
const JOURNALED: usize = 32 << 20;
/// How many series are copied at a time: who appends waits for at most as many.
const SLICE: usize = 1024;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{}: another process uses this history", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error("{}: the history is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in it.
        what: String,
    },
    /// The system does not let us read or write it.
    #[error("{}: {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        what: String,
    },
}

/// What the last checkpoint left in the file.
#[derive(Debug, Default)]
struct Stored {
    series: Vec<(u64, Vec<(String, String)>)>,
    sealed: HashMap<u64, Vec<Chunk>>,
    open: HashMap<u64, Vec<Chunk>>,
}

impl Stored {
    /// Puts it into an empty memory.
    fn into_memory(mut self, memory: &mut Memory) {
        memory.note_changes();
        for (uid, labels) in self.series {
            let sealed = self.sealed.remove(&uid).unwrap_or_default();
            let open = self.open.remove(&uid).unwrap_or_default();
            memory.restore(uid, &labels, sealed, open);
        }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    db: Database,
    state: Mutex<State>,
    /// Held during a checkpoint: of two at once the later one could be written first, and undone by the earlier.
    checkpoint: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Time of the last sample of each block.
    blocks: BTreeMap<u64, i64>,
    next_entry: u64,
    /// Bytes in the journal.
    journaled: usize,
    /// A checkpoint failed: the next one writes everything, since what had changed is not known any more.
    incomplete: bool,
}

impl Store {
    /// Opens or makes the file `history.redb` in a folder, which is made too, and reads it into an empty `memory`; gives the
    /// baselines in it. On an error the memory holds what was read until then, and is of no use.
    pub(super) fn open(folder: &Path, memory: &mut Memory) -> Result<(Self, Vec<Baseline>), StoreError> {
        let path = folder.join("history.redb");
        std::fs::create_dir_all(folder)
            .map_err(|error| StoreError::Io { path: folder.to_owned(), what: error.to_string() })?;
        // redb's own check finds what is damaged; but before it redb's debug build walks through all pages, and panics.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::load(&path, memory)));
        opened.unwrap_or_else(|_| Err(damaged(&path, "the database in it is inconsistent")))
    }

    fn load(path: &Path, memory: &mut Memory) -> Result<(Self, Vec<Baseline>), StoreError> {
        let fail = |error: redb::Error| failed(path, error);
        let mut db = Database::builder().set_cache_size(CACHE).create(path).map_err(|e| fail(e.into()))?;
        // Each page has a sum. What fails is repaired, by going back to the commit before; or it is an error.
        if !db.check_integrity().map_err(|e| fail(e.into()))? {
            warn!(path = %path.display(), "the history was repaired: its last state could not be read");
        }
        let mut state = State::default();
        let mut record = |table: &str, key: u64, damage: Damage| {
            damaged(path, &format!("record {key} of table {table}: {damage}"))
        };
        let tx = db.begin_write().map_err(|e| fail(e.into()))?;
        let baselines = read_or_make(&tx, path, memory, &mut state, &mut record)?;
        tx.commit().map_err(|e| fail(e.into()))?;
        Ok((
            Store { path: path.to_owned(), db, state: Mutex::new(state), checkpoint: Mutex::new(()) },
            baselines,
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is there so much in the journal that the next start would take long? A checkpoint empties it.
    pub(super) fn journal_is_long(&self) -> bool {
        self.state().journaled >= JOURNALED
    }

    /// Size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// Writes a push to the journal; when it returns, it is on the disk. The memory must have it already, so that a
    /// checkpoint that empties the journal does not miss it.
    pub(super) fn journal(&self, writes: &[Write], now: i64) -> Result<(), StoreError> {
        let record = codec::write_entry(writes, now);
        let number = {
            let mut state = self.state();
            state.next_entry += 1;
            state.journaled += record.len();
            state.next_entry - 1
        };
        let write = || -> Result<(), redb::Error> {
            let tx = self.db.begin_write()?;
            tx.open_table(JOURNAL)?.insert(number, &*record)?;
            Ok(tx.commit()?)
        };
        write().map_err(|error| failed(&self.path, error))
    }

    /// Writes a baseline, in the place of one of the same name; when it returns, it is on the disk.
    pub(super) fn put_baseline(&self, baseline: &Baseline) -> Result<(), StoreError> {
        let record = codec::write_baseline(baseline);
        let write = || -> Result<(), redb::Error> {
            let tx = self.db.begin_write()?;
            tx.open_table(BASELINES)?.insert(&*baseline.name, &*record)?;
            Ok(tx.commit()?)
        };
        write().map_err(|error| failed(&self.path, error))
    }

    /// Removes a baseline; when it returns, that is on the disk.
    pub(super) fn remove_baseline(&self, name: &str) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let tx = self.db.begin_write()?;
            tx.open_table(BASELINES)?.remove(name)?;
            Ok(tx.commit()?)
        };
        write().map_err(|error| failed(&self.path, error))
    }

    /// Writes what changed since the last checkpoint. After an error the next one writes everything.
    pub(super) fn checkpoint(&self, memory: &RwLock<Memory>) -> Result<(), StoreError> {
        let _alone = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        // What is in the journal before this is in memory, so it will be in what is copied from there.
        let (upto, journaled, all) = {
            let state = self.state();
            (state.next_entry, state.journaled, state.incomplete)
        };
        let read = || memory.read().unwrap_or_else(PoisonError::into_inner);
        // The open chunks first, then what was sealed: a chunk that is sealed in between is in both, never in none.
        let (mut open, mut blocks, mut series) = (Blocks::default(), Blocks::default(), Vec::new());
        let mut place = 0;
        while let Some(slice) = { read() }.slice(place..place + SLICE) {
            place += SLICE;
            for one in &slice {
                one.head.seal().into_iter().for_each(|chunk| open.push(one.uid, &chunk));
                if all {
                    series.push((one.uid, one.labels.clone()));
                    one.chunks.iter().for_each(|chunk| blocks.push(one.uid, chunk));
                }
            }
        }
        let (changes, horizon) = {
            let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
            (memory.take_changes(), memory.horizon())
        };
        let written = self.write(upto, all, &changes, series, open, blocks, horizon);
        let mut state = self.state();
        match written {
            Ok(blocks) => {
                state.blocks = blocks;
                state.journaled -= journaled;
                state.incomplete = false;
                Ok(())
            }
            Err(error) => {
                state.incomplete = true;
                Err(failed(&self.path, error))
            }
        }
    }

    /// The transaction of a checkpoint; gives the blocks there are then.
    #[allow(clippy::too_many_arguments)] // all of one checkpoint, called once
    fn write(
        &self,
        upto: u64,
        all: bool,
        changes: &[Change],
        series: Vec<(u64, Labels)>,
        open: Blocks,
        mut sealed: Blocks,
        horizon: i64,
    ) -> Result<BTreeMap<u64, i64>, redb::Error> {
        let mut kept = self.state().blocks.clone();
        let tx = self.db.begin_write()?;
        {
            let (mut names, mut blocks) = (tx.open_table(SERIES)?, tx.open_table(BLOCKS)?);
            let mut put =
                |uid: u64, labels: &Labels| names.insert(uid, &*codec::write_labels(labels.iter())).map(drop);
            let next = kept.last_key_value().map_or(0, |(last, _)| last + 1);
            if all {
                blocks.retain(|_, _| false)?;
                kept.clear();
                series.iter().try_for_each(|(uid, labels)| put(*uid, labels))?;
            }
            for change in changes {
                match change {
                    Change::Series(uid, labels) => put(*uid, labels)?,
                    Change::Sealed(uid, chunk) => sealed.push(*uid, chunk),
                    Change::Gone(_) => {}
                }
            }
            for change in changes {
                if let Change::Gone(uid) = change {
                    names.remove(uid)?;
                }
            }
            for (number, block) in (next..).zip(sealed.blocks) {
                blocks.insert(number, &*block.seal())?;
                kept.insert(number, block.last);
            }
            for (number, _) in kept.extract_if(.., |_, last| *last < horizon) {
                blocks.remove(number)?;
            }
            let mut heads = tx.open_table(OPEN)?;
            heads.retain(|_, _| false)?;
            for (number, block) in (0..).zip(open.blocks) {
                heads.insert(number, &*block.seal())?;
            }
            tx.open_table(JOURNAL)?.retain_in(..upto, |_, _| false)?;
        }
        tx.commit()?;
        Ok(kept)
    }
}

/// Chunks, some to a block.
#[derive(Debug, Default)]
struct Blocks {
    blocks: Vec<Block>,
}

impl Blocks {
    fn push(&mut self, uid: u64, chunk: &Chunk) {
        if self.blocks.last().is_none_or(|block| block.len() >= BLOCK) {
            self.blocks.push(Block::new());
        }
        self.blocks.iter_mut().last().expect("one was pushed").push(uid, chunk);
    }
}

/// Takes the rows of a table.
type Take<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Damage>;

/// Reads all tables, or makes them.
fn read_or_make(
    tx: &WriteTransaction,
    path: &Path,
    memory: &mut Memory,
    state: &mut State,
    record: &mut dyn FnMut(&str, u64, Damage) -> StoreError,
) -> Result<Vec<Baseline>, StoreError> {
    let mut stored = Stored::default();
    let fail = |error: redb::Error| failed(path, error);
    {
        let mut meta = tx.open_table(META).map_err(|e| fail(e.into()))?;
        let format = meta.get("format").map_err(|e| fail(e.into()))?.map(|format| format.value());
        match format {
            None => drop(meta.insert("format", FORMAT).map_err(|e| fail(e.into()))?),
            Some(FORMAT) => {}
            Some(other) => {
                let what = format!("it is of format {other}, and this program knows only {FORMAT}");
                return Err(damaged(path, &what));
            }
        }
    }
    let mut each = |name: &str, table, take: Take<'_>| {
        let table = tx.open_table::<u64, &[u8]>(table).map_err(|e| fail(e.into()))?;
        for row in table.iter().map_err(|e| fail(e.into()))? {
            let (key, value) = row.map_err(|e| fail(e.into()))?;
            take(key.value(), value.value()).map_err(|damage| record(name, key.value(), damage))?;
        }
        Ok(())
    };
    each("series", SERIES, &mut |uid, bytes| {
        stored.series.push((uid, codec::read_labels(bytes)?));
        Ok(())
    })?;
    each("blocks", BLOCKS, &mut |number, bytes| {
        let mut last = i64::MIN;
        for (uid, chunk) in codec::read_block(bytes)? {
            last = last.max(chunk.last);
            stored.sealed.entry(uid).or_default().push(chunk);
        }
        state.blocks.insert(number, last);
        Ok(())
    })?;
    each("open", OPEN, &mut |_, bytes| {
        for (uid, chunk) in codec::read_block(bytes)? {
            stored.open.entry(uid).or_default().push(chunk);
        }
        Ok(())
    })?;
    stored.into_memory(memory);
    // One by one: as chunks they take a tenth of what they take as they came.
    each("journal", JOURNAL, &mut |number, bytes| {
        let (writes, at) = codec::read_entry(bytes)?;
        memory.append(&writes, at);
        state.next_entry = number.saturating_add(1);
        state.journaled += bytes.len();
        Ok(())
    })?;
    let mut read = Vec::new();
    let baselines = tx.open_table(BASELINES).map_err(|e| fail(e.into()))?;
    for row in baselines.iter().map_err(|e| fail(e.into()))? {
        let (name, record) = row.map_err(|e| fail(e.into()))?;
        match codec::read_baseline(record.value()) {
            Ok(Some(baseline)) => read.push(baseline),
            // It stays in the file, for the program that wrote it.
            Ok(None) => warn!(baseline = name.value(), "a baseline of a newer version cannot be read"),
            Err(damage) => return Err(damaged(path, &format!("baseline {:?}: {damage}", name.value()))),
        }
    }
    Ok(read)
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.to_owned() }
}

fn failed(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
        // redb tells a file that it did not write by this kind.
        redb::Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
            StoreError::Io { path: path.to_owned(), what: error.to_string() }
        }
        other => damaged(path, &other.to_string()),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
