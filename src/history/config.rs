//! Settings of the history.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `history.retention`: how long samples are kept at least, memory permitting; 1 h by default. Samples that come
    /// late are taken when they are younger, so 100 years takes all of time.
    pub retention: Duration,
    /// `history.max_size`: bytes of memory, 64 MiB by default: at 2.8 bytes a sample an hour of 6,500 series at 1 Hz. Over
    /// it the oldest goes first. What the allocator loses between the pieces comes on top, about a fifth.
    pub max_size: usize,
    /// `storage.path`: folder in which the history survives a restart; in memory only by default.
    pub storage: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Config { retention: Duration::from_secs(3600), max_size: 64 << 20, storage: None }
    }
}
