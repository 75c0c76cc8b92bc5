//! The history as everyone holds it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use tracing::{error, info};

use super::baselines::Baselines;
use super::config::Config;
use super::memory::{Appended, Memory, Stats, Write};
use super::metrics::Metrics;
use super::series::SeriesRef;
use super::store::{Store, StoreError};
use crate::registry::{RegisterError, Registry};
use crate::series::Tick;
use crate::series::selector::Matcher;

/// The history. Clones are the same one.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    memory: RwLock<Memory>,
    pub(super) baselines: Baselines,
    pub(super) metrics: Metrics,
    pub(super) store: Option<Store>,
}

/// Why a history cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One of its own metrics is registered already.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Its file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl History {
    /// A history as configured: empty, or as it was stored. A damaged file is moved aside with an error in the log, and
    /// the history begins empty: what is live does not wait for somebody to mend what is past. `now_ms` is the time,
    /// Unix milliseconds. Reads the whole file, so it is not for a thread that must not wait.
    ///
    /// # Errors
    /// When one of its own metrics is registered already; when its file is in use by another process, or cannot be read
    /// or written.
    pub fn open(config: &Config, registry: &Registry, now_ms: i64) -> Result<Self, OpenError> {
        let metrics = Metrics::register(registry)?;
        let empty = || Memory::new(config.retention, config.max_size);
        let mut memory = empty();
        let mut baselines = Baselines::default();
        let store = match &config.storage {
            None => None,
            Some(folder) => {
                let (store, stored) = match Store::open(folder, &mut memory) {
                    Err(StoreError::Damaged { path, what }) => {
                        let aside = aside(&path, now_ms)?;
                        error!(path = %path.display(), moved_to = %aside.display(), %what, "the history is damaged");
                        memory = empty();
                        Store::open(folder, &mut memory)?
                    }
                    opened => opened?,
                };
                baselines = Baselines::of(stored);
                memory.restored(now_ms);
                let stats = memory.stats();
                info!(series = stats.series, samples = stats.samples, "history read");
                metrics.store_size(store.size());
                Some(store)
            }
        };
        Ok(History { shared: Arc::new(Shared { memory: RwLock::new(memory), baselines, metrics, store }) })
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        // A panic elsewhere leaves whole samples behind, at worst a count that is off.
        self.shared.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.shared.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the values of a tick: a sample for each series of the table, at its own time or else that of the tick,
    /// also where the value did not change; and a stale marker for each that went since the last one taken.
    pub fn append_tick(&self, tick: &Tick) -> Appended {
        self.append_with(|memory| memory.append_tick(tick))
    }

    /// Takes pushed samples, in any order and of any age that the retention covers. `now_ms` is the time, Unix
    /// milliseconds. Each sample is taken or refused by itself, see [`Appended`].
    pub fn append(&self, writes: &[Write], now_ms: i64) -> Appended {
        self.append_with(|memory| memory.append(writes, now_ms))
    }

    /// As [`append`](Self::append), and when it returns the samples are safe: with `storage.path` they are on the disk
    /// and survive `kill -9` and a power cut. Waits for the disk, some milliseconds.
    ///
    /// # Errors
    /// The file cannot be written. The samples are in memory then, and pushing them again does no harm.
    pub fn append_durably(&self, writes: &[Write], now_ms: i64) -> Result<Appended, StoreError> {
        let appended = self.append(writes, now_ms);
        if let Some(store) = &self.shared.store
            && appended.taken > 0
        {
            store.journal(writes, now_ms).inspect_err(|_| self.shared.metrics.store_errors.inc())?;
        }
        Ok(appended)
    }

    /// Writes to the file what has come since the last time; nothing without `storage.path`. Waits for the disk.
    ///
    /// # Errors
    /// The file cannot be written. The next checkpoint tries again, with all.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let Some(store) = &self.shared.store else { return Ok(()) };
        let written = store.checkpoint(&self.shared.memory);
        self.shared.metrics.store_size(store.size());
        written.inspect_err(|_| self.shared.metrics.store_errors.inc())
    }

    /// Has so much been pushed since the last checkpoint that the next one should not wait for its time?
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.shared.store.as_ref().is_some_and(Store::journal_is_long)
    }

    fn append_with(&self, append: impl FnOnce(&mut Memory) -> Appended) -> Appended {
        let begin = Instant::now();
        let (appended, stats) = {
            let mut memory = self.write();
            (append(&mut memory), memory.stats())
        };
        self.shared.metrics.append.observe_duration(begin.elapsed());
        self.shared.metrics.appended(appended, stats);
        appended
    }

    /// Forgets what is older than the retention at `now_ms`, Unix milliseconds. To be called now and then: what is too
    /// old is answered until then.
    pub fn sweep(&self, now_ms: i64) {
        self.write().sweep(now_ms);
    }

    /// The series that satisfy all `matchers` and reach into the range from `start_ms` to `end_ms` (Unix milliseconds,
    /// both included), in a stable order, `limit` at most: with one more than wanted, who asks can tell that there are
    /// more. All are of one moment.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, limit: usize) -> Vec<SeriesRef> {
        self.read().select(matchers, start_ms, end_ms, limit)
    }

    /// Some of all series by their places, `None` behind the last place. Who walks through all of them in slices makes
    /// nobody wait who appends.
    pub(crate) fn slice(&self, places: Range<usize>) -> Option<Vec<SeriesRef>> {
        let found = self.read().slice(places)?;
        Some(found.into_iter().map(|series| SeriesRef::new(series, i64::MIN, i64::MAX)).collect())
    }

    /// The series of the series table with these [numbers](crate::series::Series::number), `None` for one that the
    /// history does not know. As [`select`](Self::select), without a look at labels.
    #[must_use]
    pub fn of_numbers(&self, numbers: &[u32], start_ms: i64, end_ms: i64) -> Vec<Option<SeriesRef>> {
        self.read().of_numbers(numbers, start_ms, end_ms)
    }

    /// The label names of the series that satisfy the matchers and reach into the range, sorted. Without matchers those
    /// of all series.
    #[must_use]
    pub fn label_names(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Arc<str>> {
        if matchers.is_empty() {
            return self.read().label_names(start_ms, end_ms);
        }
        let found = self.select(matchers, start_ms, end_ms, usize::MAX);
        sorted(found.iter().flat_map(|series| series.labels().iter().map(|(name, _)| name)))
    }

    /// The values of a label, as [`label_names`](Self::label_names).
    #[must_use]
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Vec<Arc<str>> {
        if matchers.is_empty() {
            return self.read().label_values(name, start_ms, end_ms);
        }
        let found = self.select(matchers, start_ms, end_ms, usize::MAX);
        sorted(found.iter().filter_map(|series| series.labels().get(name)))
    }

    /// Time of the oldest sample, Unix milliseconds.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<i64> {
        self.read().oldest()
    }

    /// How much there is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.read().stats()
    }
}

/// Texts in order, each once.
fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let texts: BTreeSet<&str> = texts.collect();
    texts.into_iter().map(Arc::from).collect()
}

/// Moves a damaged file out of the way; gives where to.
fn aside(path: &Path, now_ms: i64) -> Result<std::path::PathBuf, StoreError> {
    let aside = path.with_extension(format!("damaged-{now_ms}.redb"));
    std::fs::rename(path, &aside)
        .map_err(|error| StoreError::Io { path: path.to_owned(), what: error.to_string() })?;
    Ok(aside)
}
