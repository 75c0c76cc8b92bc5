//! Small states that survive a restart: one JSON file each, in the folder of `storage.path`.
//!
//! For what changes seldom and is wanted whole: alerts, silences, dead letters, tokens. The samples are not here, they have the
//! history's own file. A file is replaced in one step, so that after a crash it is the one before or the one after,
//! never half of one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One state's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile(PathBuf);

/// Why a state cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
}

impl StateFile {
    /// The state called `name` (`alerts` for `alerts.json`) in a folder, which is made when something is saved.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        StateFile(folder.join(format!("{name}.json")))
    }

    /// The state in a file of any name.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        StateFile(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads it; nothing, if it was never saved. Blocks.
    ///
    /// # Errors
    /// See [`StateError`]; the file is left as it is.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(source)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Malformed { path: self.0.clone(), source })
    }

    /// Writes it, readable by the owner only, and waits until the disk has it. Blocks.
    ///
    /// # Errors
    /// See [`StateError`]; the state before then stands.
    pub fn save<T: Serialize>(&self, state: &T) -> Result<(), StateError> {
        let bytes = serde_json::to_vec(state)
            .map_err(|source| StateError::Malformed { path: self.0.clone(), source })?;
        self.replace(&bytes).map_err(|source| self.io(source))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let folder = match self.0.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let mut new = self.0.clone().into_os_string();
        new.push(".new");
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        // The name too has to be on the disk.
        File::open(folder)?.sync_all()
    }

    fn io(&self, source: io::Error) -> StateError {
        StateError::Io { path: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_what_was_not_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFile::new(&folder.path().join("new"), "alerts");
        assert_eq!(state.load::<Vec<u8>>().expect("none"), None);
        state.save(&vec![1, 2]).expect("saved");
        state.save(&vec![3]).expect("saved again");
        assert_eq!(state.load::<Vec<u8>>().expect("there"), Some(vec![3]));
    }

    #[test]
    fn a_damaged_file_is_told_with_its_place_and_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFile::new(folder.path(), "alerts");
        fs::write(state.path(), "[1,\n}").expect("written");
        let error = state.load::<Vec<u8>>().expect_err("damaged").to_string();
        assert!(error.contains("alerts.json") && error.contains("line 2"), "{error}");
        assert!(state.path().exists());
    }
}
