//! Passwords and tokens: held, used, shown to nobody.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A text that is written nowhere: `Debug` says `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one who sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A secret in the configuration, or in a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// As it stands there.
    Given(Secret),
    /// In a file, which is read at each use, so that it can be replaced while the program runs.
    File(PathBuf),
}

/// Most bytes of a file with a secret: a token of a service mesh has a few thousand.
const MAX_BYTES: u64 = 1 << 20;

impl Credential {
    /// The secret, without blanks around it where it comes from a file.
    ///
    /// # Errors
    /// When the file cannot be read; with its path.
    pub fn read(&self) -> io::Result<Secret> {
        match self {
            Credential::Given(secret) => Ok(secret.clone()),
            Credential::File(path) => match text_of(path) {
                Ok(text) => Ok(Secret::new(text.trim())),
                Err(error) => {
                    Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))
                }
            },
        }
    }
}

/// The text of a file. A pipe would block whoever reads it, at each use, and a device may have no end.
fn text_of(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        let message = format!("it is not a file of at most {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_written_for_debugging_and_one_of_a_file_has_no_blanks_around_it() {
        let given = Credential::Given(Secret::new("hunter2"));
        assert_eq!(format!("{given:?}"), "Given(<secret>)");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(Credential::File(path).read().unwrap().expose(), "hunter2");
        let device = Credential::File("/dev/zero".into()).read().unwrap_err().to_string();
        assert!(device.contains("/dev/zero: it is not a file"), "{device}");
        let missing = Credential::File(folder.path().join("none")).read().unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
    }
}
