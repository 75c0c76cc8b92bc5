//! The file of tokens, as `gaugecast token` writes it and the server reads it.
//!
//! `{"tokens":[{"name","sha256","scopes","created_ms","expires_ms"}]}`, replaced in one step under a lock beside it, so that a
//! reader sees all of one version and two writers lose nothing. When a token was last used is not in there: the server may have
//! no right to write it, and a file that two programs write would lose what one of them wrote. It stands in `FILE.used`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scope::Scope;
use super::token::{self, Hash};
use crate::state::{StateError, StateFile};

/// Most tokens of a file: each is compared with at each request.
pub const MOST: usize = 1000;

/// Largest file, in bytes: [`MOST`] tokens are a tenth of it. It is read while a request waits.
const MOST_BYTES: u64 = 4 << 20;

/// One token, without its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Names it in the audit log, in lists, and to revoke it.
    pub name: String,
    /// Of its text.
    pub sha256: Hash,
    /// What it may.
    #[serde(with = "words")]
    pub scopes: Vec<Scope>,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
    /// When it ends to be good; never, if this is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
}

impl Entry {
    /// The same token, good for the same.
    pub(super) fn is_same(&self, other: &Entry) -> bool {
        let of = |entry: &Entry| (entry.name.clone(), entry.scopes.clone(), entry.expires_ms);
        of(self) == of(other) && self.sha256.is(&other.sha256)
    }

    /// Is its time over?
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

mod words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Scope;

    pub(super) fn serialize<S: Serializer>(scopes: &[Scope], serializer: S) -> Result<S::Ok, S::Error> {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        words.iter().map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
    }
}

/// What the file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tokens: Vec<Entry>,
}

/// Why the file cannot be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written, or is something else.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is not there.
    #[error("{}: there is no such file; `gaugecast token create` makes it", .0.display())]
    Missing(PathBuf),
    /// It holds something that makes no sense.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The lock beside it cannot be had.
    #[error("{}: {source}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a token of this name already.
    #[error("there is a token {0:?} already; revoke it, or take another name beside it")]
    Exists(String),
    /// There is none.
    #[error("there is no token {0:?}")]
    Unknown(String),
    /// There are too many.
    #[error("the file holds {MOST} tokens already; revoke some")]
    Full,
    /// A name that cannot be one.
    #[error("a token's name has 1 to 64 letters, digits, `.`, `_` or `-`")]
    Name,
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] token::RandomError),
}

/// A file of tokens. All of it blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The file at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        TokenFile(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The tokens, in the order in which they were made.
    ///
    /// # Errors
    /// See [`FileError`]; it has to be there.
    pub fn load(&self) -> Result<Vec<Entry>, FileError> {
        let content: Option<Content> = StateFile::at(&self.0).load_within(MOST_BYTES)?;
        let Content { tokens } = content.ok_or_else(|| FileError::Missing(self.0.clone()))?;
        let wrong = |reason: &str| FileError::Content { path: self.0.clone(), reason: reason.to_owned() };
        if tokens.len() > MOST {
            return Err(wrong(&format!("it holds more than {MOST} tokens")));
        }
        for (at, entry) in tokens.iter().enumerate() {
            if !is_name(&entry.name) {
                return Err(wrong("a token has a name that cannot be one"));
            }
            if tokens[..at].iter().any(|other| other.name == entry.name) {
                return Err(wrong(&format!("there are two tokens {:?}", entry.name)));
            }
        }
        Ok(tokens)
    }

    /// Makes a token and gives its text, which is kept nowhere; the file is made if it is not there.
    ///
    /// # Errors
    /// See [`FileError`]; the file is as before then.
    pub fn create(
        &self,
        name: &str,
        scopes: Vec<Scope>,
        now_ms: i64,
        expires_ms: Option<i64>,
    ) -> Result<String, FileError> {
        if !is_name(name) {
            return Err(FileError::Name);
        }
        let token = token::make()?;
        let sha256 = Hash::of(&token).expect("it is short");
        self.change(|tokens| {
            if tokens.iter().any(|entry| entry.name == name) {
                return Err(FileError::Exists(name.to_owned()));
            }
            if tokens.len() >= MOST {
                return Err(FileError::Full);
            }
            tokens.push(Entry { name: name.to_owned(), sha256, scopes, created_ms: now_ms, expires_ms });
            Ok(())
        })?;
        Ok(token)
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// See [`FileError`]; the file is as before then.
    pub fn revoke(&self, name: &str) -> Result<(), FileError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|entry| entry.name != name);
            if tokens.len() == before { Err(FileError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Entry>) -> Result<(), FileError>) -> Result<(), FileError> {
        let path = self.beside("lock");
        let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let _held = lock.map_err(|source| FileError::Lock { path, source })?;
        let mut tokens = match self.load() {
            Err(FileError::Missing(_)) => Vec::new(),
            loaded => loaded?,
        };
        change(&mut tokens)?;
        Ok(StateFile::at(&self.0).save(&Content { tokens })?)
    }

    /// When each token was last used, Unix milliseconds, by name; what was not saved is not there.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn used(&self) -> Result<BTreeMap<String, i64>, FileError> {
        Ok(StateFile::at(&self.beside("used")).load_within(MOST_BYTES)?.unwrap_or_default())
    }

    /// Keeps when each token was last used.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn save_used(&self, used: &BTreeMap<String, i64>) -> Result<(), FileError> {
        Ok(StateFile::at(&self.beside("used")).save(used)?)
    }

    /// `tokens.json.used`.
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{what}"));
        self.0.with_file_name(name)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir) -> TokenFile {
        TokenFile::new(folder.path().join("tokens.json"))
    }

    #[test]
    fn a_token_is_made_kept_as_a_hash_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        assert!(matches!(file.load(), Err(FileError::Missing(_))));
        let text = file.create("ops", vec![Scope::Admin], 1, None).unwrap();
        file.create("grafana", vec![Scope::Read, Scope::Stream], 2, Some(10)).unwrap();
        let [ops, grafana] = &file.load().unwrap()[..] else { panic!("two tokens") };
        assert!(ops.sha256.is(&Hash::of(&text).unwrap()));
        assert_eq!((grafana.is_expired(9), grafana.is_expired(10)), (false, true));
        assert!(!std::fs::read_to_string(file.path()).unwrap().contains(&text[4..]));
        assert!(matches!(file.create("ops", vec![], 3, None), Err(FileError::Exists(_))));
        assert!(matches!(file.create("a b", vec![], 3, None), Err(FileError::Name)));
        file.revoke("ops").unwrap();
        assert!(matches!(file.revoke("ops"), Err(FileError::Unknown(_))));
        assert_eq!(file.load().unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        file(&folder).create("ops", vec![Scope::Admin], 1, None).unwrap();
        let mode = std::fs::metadata(file(&folder).path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn tokens_made_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        std::thread::scope(|scope| {
            for i in 0..8 {
                let file = &file;
                scope.spawn(move || file.create(&format!("t{i}"), vec![Scope::Read], 1, None).unwrap());
            }
        });
        assert_eq!(file.load().unwrap().len(), 8);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let entry = |name: &str, scope: &str| {
            format!(r#"{{"name":"{name}","sha256":"{hash}","scopes":["{scope}"],"created_ms":1}}"#)
        };
        for (text, told) in [
            ("[]".to_owned(), "tokens.json"),
            (format!(r#"{{"tokens":[{}]}}"#, entry("a", "root")), "is no scope"),
            (format!(r#"{{"tokens":[{},{}]}}"#, entry("a", "read"), entry("a", "admin")), "two tokens"),
            (format!(r#"{{"tokens":[{}]}}"#, entry("a\\n", "read")), "a name that cannot be one"),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
