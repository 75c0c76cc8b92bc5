//! Files into a folder, all or none, and none over what somebody else wrote.
//!
//! The sums of what was written stay in the folder in [`SUMS`], in the form of `sha256sum`. A file that is there and has another text is
//! ours, and replaced, when its sum is the one noted; otherwise somebody has written or changed it, and it stays unless that is asked
//! for. Each file is replaced in one step: who reads meanwhile gets the one before or the one after.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::File;

/// Where the sums are.
pub const SUMS: &str = ".gaugecast-provisioned";

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there, or had another text.
    Written,
    /// It was there already, with this text.
    Unchanged,
}

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Files that somebody else wrote or changed; nothing was written.
    #[error("not written by gaugecast, or changed since, and left alone (--force overwrites):\n{}", list(.0))]
    Foreign(Vec<PathBuf>),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// What it refuses.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n")
}

/// Writes files below `folder`, which is made if it is not there; what became of each, in the order given.
///
/// # Errors
/// See [`WriteError`]. What was written before an error of the file system stays.
pub fn write(folder: &Path, files: &[File], force: bool) -> Result<Vec<Outcome>, WriteError> {
    let mut sums = read_sums(&folder.join(SUMS))?;
    let mut foreign = Vec::new();
    let mut outcomes = Vec::new();
    for file in files {
        let path = folder.join(&file.path);
        let there = read(&path)?;
        let is_same = there.as_deref() == Some(file.text.as_bytes());
        let is_ours = there.as_ref().is_none_or(|bytes| sums.get(&file.path) == Some(&sum(bytes)));
        if !is_same && !is_ours && !force {
            foreign.push(path);
        }
        outcomes.push(if is_same { Outcome::Unchanged } else { Outcome::Written });
    }
    if !foreign.is_empty() {
        return Err(WriteError::Foreign(foreign));
    }
    for (file, outcome) in files.iter().zip(&outcomes) {
        if *outcome == Outcome::Written {
            replace(&folder.join(&file.path), file.text.as_bytes(), file.executable)?;
        }
        sums.insert(file.path.clone(), sum(file.text.as_bytes()));
    }
    let text = sums.iter().fold(String::new(), |mut text, (path, sum)| {
        let _ = writeln!(text, "{sum}  {path}");
        text
    });
    replace(&folder.join(SUMS), text.as_bytes(), false)?;
    Ok(outcomes)
}

fn sum(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sum by path. A line of another form says nothing.
fn read_sums(path: &Path) -> Result<BTreeMap<String, String>, WriteError> {
    let bytes = read(path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, path)| (path.into(), sum.into()))
        .collect())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, WriteError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WriteError::Io { path: path.into(), source }),
    }
}

fn replace(path: &Path, bytes: &[u8], executable: bool) -> Result<(), WriteError> {
    let write = || -> io::Result<()> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        let new = path.with_file_name(format!(".{name}.new"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::create(&new)?;
        file.write_all(bytes)?;
        // Programs read it as other users, in containers for instance.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
        }
        #[cfg(not(unix))]
        let _ = executable;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| WriteError::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<File> {
        vec![File::new("a/one.yml", text.to_owned()), File::new("two.yml", "two\n")]
    }

    fn text(folder: &Path) -> String {
        fs::read_to_string(folder.join("a/one.yml")).unwrap()
    }

    #[test]
    fn what_was_written_is_replaced_by_what_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new");
        assert_eq!(write(&new, &set("1\n"), false).unwrap(), [Outcome::Written; 2]);
        assert_eq!(write(&new, &set("2\n"), false).unwrap(), [Outcome::Written, Outcome::Unchanged]);
        assert_eq!(text(&new), "2\n");
        assert_eq!(fs::read_dir(new.join("a")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_somebody_changed_stays_and_nothing_else_is_written() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &set("1\n"), false).unwrap();
        fs::write(folder.path().join("two.yml"), "mine\n").unwrap();
        let Err(WriteError::Foreign(foreign)) = write(folder.path(), &set("2\n"), false) else { panic!() };
        assert_eq!(foreign, [folder.path().join("two.yml")]);
        assert_eq!(text(folder.path()), "1\n");
        write(folder.path(), &set("2\n"), true).unwrap();
        assert_eq!(text(folder.path()), "2\n");
    }

    #[test]
    fn a_file_of_somebody_else_stays_unless_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("two.yml"), "two\n").unwrap();
        assert_eq!(write(folder.path(), &set("1\n"), false).unwrap(), [Outcome::Written, Outcome::Unchanged]);
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("a")).unwrap();
        fs::write(other.path().join("a/one.yml"), "mine\n").unwrap();
        assert!(matches!(write(other.path(), &set("1\n"), false), Err(WriteError::Foreign(_))));
        assert_eq!(text(other.path()), "mine\n");
        assert!(!other.path().join("two.yml").exists());
    }

    #[cfg(unix)]
    #[test]
    fn other_users_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let files = vec![File { executable: true, ..File::new("run", "#!/bin/sh\n") }, File::new("read", "")];
        write(folder.path(), &files, false).unwrap();
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("run"), mode("read")), (0o755, 0o644));
    }
}
