//! The saved baselines: by name, in memory, and with `storage.path` in the file of the history too.
//!
//! They take at most [`MAX_BASELINES_SIZE`] of memory and do not count against `history.max_size`, so that no burst of series
//! pushes out what somebody saved. What is acknowledged is on the disk: the file is written first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::baseline::Baseline;
use super::handle::History;
use super::store::StoreError;

/// Most baselines.
pub const MAX_BASELINES: usize = 100;
/// Most bytes of memory of all of them: about 25,000 series.
pub const MAX_BASELINES_SIZE: usize = 32 << 20;

/// Why a baseline is not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The name is in use, and it was not to be replaced.
    #[error("there is a baseline {0:?} already")]
    Exists(String),
    /// There are as many as there may be.
    #[error("there are {MAX_BASELINES} baselines, as many as there may be: delete one")]
    TooMany,
    /// They would take too much memory.
    #[error(
        "the baselines would take {0} bytes, more than {MAX_BASELINES_SIZE}: delete one, or pick fewer series"
    )]
    TooLarge(usize),
    /// The file cannot be written; nothing has changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All baselines. Held while the file is written, so that it and the memory change in the same order.
#[derive(Debug, Default)]
pub(super) struct Baselines(Mutex<BTreeMap<String, Arc<Baseline>>>);

impl Baselines {
    pub(super) fn of(stored: Vec<Baseline>) -> Self {
        let named = stored.into_iter().map(|baseline| (baseline.name.clone(), Arc::new(baseline)));
        Baselines(Mutex::new(named.collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Baseline>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// All baselines, by name. May wait for the disk, as all that has to do with them.
    #[must_use]
    pub fn baselines(&self) -> Vec<Arc<Baseline>> {
        self.shared.baselines.lock().values().map(Arc::clone).collect()
    }

    /// The baseline of a name.
    #[must_use]
    pub fn baseline(&self, name: &str) -> Option<Arc<Baseline>> {
        self.shared.baselines.lock().get(name).map(Arc::clone)
    }

    /// Saves a baseline; with `replace` in the place of one of the same name. Gives whether it is a new one. When this
    /// returns, it survives `kill -9` where there is a `storage.path`.
    ///
    /// # Errors
    /// See [`SaveError`]; nothing has changed then.
    pub fn save_baseline(&self, baseline: Baseline, replace: bool) -> Result<bool, SaveError> {
        let mut all = self.shared.baselines.lock();
        let old = all.get(&baseline.name);
        if old.is_some() && !replace {
            return Err(SaveError::Exists(baseline.name));
        }
        if old.is_none() && all.len() >= MAX_BASELINES {
            return Err(SaveError::TooMany);
        }
        let others = all.values().filter(|other| other.name != baseline.name);
        let size = others.map(|other| other.size()).sum::<usize>() + baseline.size();
        if size > MAX_BASELINES_SIZE {
            return Err(SaveError::TooLarge(size));
        }
        if let Some(store) = &self.shared.store {
            store.put_baseline(&baseline).inspect_err(|_| self.shared.metrics.store_errors.inc())?;
        }
        Ok(all.insert(baseline.name.clone(), Arc::new(baseline)).is_none())
    }

    /// Deletes a baseline; gives whether there was one.
    ///
    /// # Errors
    /// The file cannot be written; the baseline is still there then.
    pub fn delete_baseline(&self, name: &str) -> Result<bool, StoreError> {
        let mut all = self.shared.baselines.lock();
        if !all.contains_key(name) {
            return Ok(false);
        }
        if let Some(store) = &self.shared.store {
            store.remove_baseline(name).inspect_err(|_| self.shared.metrics.store_errors.inc())?;
        }
        Ok(all.remove(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Config;
    use crate::history::measure::{Measure, Measured};
    use crate::history::summary::Summary;
    use crate::registry::Registry;

    fn baseline(name: &str, note: &str, series: usize) -> Baseline {
        let summary = Summary::of((0..500).map(f64::from).collect()).expect("values");
        let one = |n| Measured {
            key: format!("a{{n=\"{n}\"}}"),
            measure: Measure::Value,
            summary: summary.clone(),
        };
        Baseline {
            name: name.into(),
            note: note.into(),
            selectors: vec!["a".into()],
            start: 1,
            end: 2,
            created: 3,
            series: (0..series).map(one).collect(),
        }
    }

    fn open(config: &Config) -> History {
        History::open(config, &Registry::new(), 0).expect("opens")
    }

    #[test]
    fn a_name_is_replaced_only_when_that_is_asked_for() {
        let history = open(&Config::default());
        assert!(history.save_baseline(baseline("a", "first", 1), false).expect("saved"));
        assert!(matches!(
            history.save_baseline(baseline("a", "second", 1), false),
            Err(SaveError::Exists(_))
        ));
        assert_eq!(history.baseline("a").expect("there").note, "first");
        assert!(!history.save_baseline(baseline("a", "third", 1), true).expect("saved"));
        assert_eq!(history.baseline("a").expect("there").note, "third");
        assert!(
            history.delete_baseline("a").expect("deleted") && !history.delete_baseline("a").expect("gone")
        );
        assert_eq!(history.baselines(), []);
    }

    #[test]
    fn there_are_limits_of_number_and_size() {
        let history = open(&Config::default());
        let large = history.save_baseline(baseline("a", "", 30_000), false);
        assert!(matches!(large, Err(SaveError::TooLarge(size)) if size > MAX_BASELINES_SIZE));
        for n in 0..MAX_BASELINES {
            history.save_baseline(baseline(&format!("b{n}"), "", 1), false).expect("there is room");
        }
        assert!(matches!(history.save_baseline(baseline("c", "", 1), true), Err(SaveError::TooMany)));
        assert!(!history.save_baseline(baseline("b7", "", 1), true).expect("it takes a place that is taken"));
    }

    #[test]
    fn baselines_are_in_the_file_at_once_and_gone_from_it_when_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { storage: Some(folder.path().to_owned()), ..Config::default() };
        let history = open(&config);
        for name in ["b", "a", "c"] {
            history.save_baseline(baseline(name, name, 3), false).expect("saved");
        }
        history.delete_baseline("c").expect("deleted");
        // No checkpoint: none of them waits for one.
        drop(history);
        let stored: Vec<Baseline> = open(&config).baselines().iter().map(|one| (**one).clone()).collect();
        assert_eq!(stored, [baseline("a", "a", 3), baseline("b", "b", 3)]);
    }
}
