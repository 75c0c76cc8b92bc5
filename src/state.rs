//! Small states that survive a restart: one JSON file each, in the folder of `storage.path`.
//!
//! For what changes seldom and is wanted whole: alerts, silences, dead letters, tokens. The samples are not here, they have the
//! history's own file. A file is replaced in one step, so that after a crash it is the one before or the one after,
//! never half of one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

/// Largest state that is read, in bytes: what a damaged file claims must not take all memory. The alerts are the largest of ours, some tens
/// of megabytes when there are as many as there may be.
const MOST_BYTES: u64 = 512 << 20;

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
    /// See [`StateError`]; the file is left as it is. What is no file, such as a pipe that nobody writes, is an error.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        self.load_within(MOST_BYTES)
    }

    /// [`load`](Self::load) for a state that is never larger than this.
    ///
    /// # Errors
    /// As there.
    pub fn load_within<T: DeserializeOwned>(&self, most: u64) -> Result<Option<T>, StateError> {
        let bytes = match read(&self.0, most) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(source)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Malformed { path: self.0.clone(), source })
    }

    /// Reads it as a program does that can go on without: what cannot be read, or is of a form that is not known, as a later version may have
    /// left it, is moved to `FILE.corrupt-TIME` and warned of, so that the next save does not overwrite it. Blocks.
    pub fn load_or_put_aside<T: DeserializeOwned>(
        &self,
        unix_ms: i64,
        is_known: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let why = match self.load() {
            Ok(Some(state)) if is_known(&state) => return Some(state),
            Ok(None) => return None,
            Ok(Some(_)) => format!("{}: it is of another version", self.0.display()),
            Err(error) => error.to_string(),
        };
        let aside = self.0.with_extension(format!("json.corrupt-{unix_ms}"));
        match fs::rename(&self.0, &aside) {
            Ok(()) => warn!(%why, aside = %aside.display(), "a saved state cannot be read and is put aside"),
            Err(moving) => warn!(%why, %moving, "a saved state cannot be read, nor be put aside"),
        }
        None
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

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file")); // to open a pipe would block
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
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

    #[test]
    fn b83_what_cannot_be_read_or_is_of_another_version_is_put_aside_and_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFile::new(folder.path(), "alerts");
        for (at, text) in [(1, "[1,"), (2, "{}"), (3, "[9]"), (4, ""), (5, "[300]")] {
            fs::write(state.path(), text).expect("written");
            assert_eq!(state.load_or_put_aside::<Vec<u8>>(at, |read| *read != [9]), None, "{text}");
            state.save(&[0]).expect("saved");
            let aside = folder.path().join(format!("alerts.json.corrupt-{at}"));
            assert_eq!(fs::read_to_string(aside).expect("kept"), text);
        }
        assert_eq!(state.load_or_put_aside::<Vec<u8>>(6, |_| true), Some(vec![0]));
    }

    #[test]
    fn a_file_that_is_too_large_and_what_is_no_file_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("small.json"), "[1,2]").expect("written");
        let small = StateFile::new(folder.path(), "small");
        assert_eq!(small.load_within::<Vec<u8>>(5).expect("it fits"), Some(vec![1, 2]));
        let error = small.load_within::<Vec<u8>>(4).expect_err("too large").to_string();
        assert!(error.contains("small.json: it is larger than 4 bytes"), "{error}");
        let error = StateFile::at(folder.path()).load::<Vec<u8>>().expect_err("a folder").to_string();
        assert!(error.contains("it is no file"), "{error}");
    }
}
