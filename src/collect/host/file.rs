//! Reading the small files of `/proc` and `/sys`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::collect::CollectError;

/// No file that a collector reads is longer; what is, is none of the kernel's.
const LONGEST: usize = 16 << 20;

/// A file that is read again and again, through one descriptor and into one buffer: half the cost of opening
/// it each time. The kernel makes the text anew for every reading from the start.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
    text: Vec<u8>,
    length: usize,
}

impl Kept {
    pub(super) fn new(path: PathBuf) -> Self {
        Kept { path, file: None, text: Vec::new(), length: 0 }
    }

    /// The text as it is now.
    pub(super) fn read(&mut self) -> Result<&[u8], CollectError> {
        match self.try_read() {
            Ok(length) => Ok(self.keep(length)),
            Err(source) => Err(file_error(&self.path, source)),
        }
    }

    /// The same, but none if there is no such file.
    pub(super) fn read_if_there(&mut self) -> Result<Option<&[u8]>, CollectError> {
        match self.try_read() {
            Ok(length) => Ok(Some(self.keep(length))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error(&self.path, source)),
        }
    }

    /// An error about the text that was read last.
    pub(super) fn format(&self, reason: &str) -> CollectError {
        let excerpt: String = String::from_utf8_lossy(&self.text[..self.length]).chars().take(80).collect();
        let reason = format!("{reason}: {excerpt:?}");
        CollectError::Format { path: self.path.display().to_string(), reason }
    }

    fn keep(&mut self, length: usize) -> &[u8] {
        self.length = length;
        &self.text[..length]
    }

    fn try_read(&mut self) -> io::Result<usize> {
        if let Some(file) = &self.file {
            // The device behind a file may have gone and another of the same name come: open it again.
            if let Ok(length) = fill(&mut self.text, |rest, at| file.read_at(rest, at as u64)) {
                return Ok(length);
            }
            self.file = None;
        }
        let file = self.file.insert(File::open(&self.path)?);
        fill(&mut self.text, |rest, at| file.read_at(rest, at as u64))
    }
}

/// Reads a small file once into a buffer that is used again, trimmed of blanks at its ends. The kernel gives files
/// of `/sys` in one piece of at most a page (Documentation/filesystems/sysfs.rst), so a read that does not fill
/// the buffer was the last, and asking for the end is spared.
pub(super) fn read_trimmed<'a>(path: &Path, text: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let mut file = File::open(path)?;
    let mut length = 0;
    loop {
        make_room(text, length)?;
        length += file.read(&mut text[length..])?;
        if length < text.len() {
            return Ok(text[..length].trim_ascii());
        }
    }
}

fn fill(
    text: &mut Vec<u8>,
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut length = 0;
    loop {
        make_room(text, length)?;
        match read(&mut text[length..], length) {
            Ok(0) => return Ok(length),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn make_room(text: &mut Vec<u8>, length: usize) -> io::Result<()> {
    if length >= LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 16 MiB"));
    }
    if length == text.len() {
        text.resize((length * 2).max(4096), 0);
    }
    Ok(())
}

/// Names in a folder, sorted.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, CollectError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    };
    read().map_err(|source| file_error(folder, source))
}

pub(super) fn file_error(path: &Path, source: io::Error) -> CollectError {
    CollectError::File { path: path.display().to_string(), source }
}

/// Makes a missing file "no data".
pub(super) fn or_no_data(error: CollectError, reason: &str) -> CollectError {
    match error {
        CollectError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            CollectError::NoData(reason.into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_shows_what_is_in_it_now_and_opens_again_when_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "one").unwrap();
        let mut kept = Kept::new(path.clone());
        assert_eq!(kept.read().unwrap(), b"one");
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        assert_eq!(kept.read().unwrap().len(), 10_000);
        std::fs::write(&path, "y").unwrap();
        assert_eq!(kept.read().unwrap(), b"y");
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path_or_no_data() {
        let mut kept = Kept::new("/nowhere/at/all".into());
        let error = kept.read().unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at/all: "), "{error}");
        assert!(matches!(or_no_data(error, "none"), CollectError::NoData(_)));
        assert!(kept.read_if_there().unwrap().is_none());
    }
}
