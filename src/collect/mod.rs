//! Sources, and the tick that reads them.
//!
//! A [`Collector`] writes a page of text; a [`Ticker`](ticker) lets every collector write its page, reads the pages
//! into the series table, lets every [`Feed`](feed::Feed) write what has come in, commits, and publishes the [`Tick`](crate::series::Tick) to everyone who holds [`Ticks`].

pub mod catalog;
mod config;
mod failing;
pub mod feed;
pub mod filter;
pub mod host;
pub mod intake;
mod lane;
mod metrics;
mod pace;
pub mod process;
pub mod push;
mod schedule;
pub mod scrape;
pub mod synthetic;
pub mod textfile;
pub mod ticker;
pub mod worker;

pub use config::{Config, Paths};
pub use failing::Failing;
pub use ticker::{Follower, Ticks};

use crate::exposition::page::PageWriter;

/// Something that has figures: one part of the host, this process, a folder of text files.
///
/// It runs off the async runtime, so it may block; see [`worker`] for what happens to one that does. Past its
/// deadline its last page is used for two more ticks, then its series are stale until it answers.
pub trait Collector: Send + 'static {
    /// Its name in `--collector.NAME` and in the label `collector`.
    fn name(&self) -> &'static str;

    /// Appends its families to the page.
    ///
    /// # Errors
    /// [`CollectError`]; what was written to the page before is still used.
    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError>;
}

/// Why a collector has nothing, or not everything, to report.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// This host has no such thing (no PSI in the kernel, no hwmon chips). Told once, not a fault.
    #[error("no data: {0}")]
    NoData(String),
    /// A file could not be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file reads otherwise than expected.
    #[error("{path}: {reason}")]
    Format {
        /// Which.
        path: String,
        /// What is unexpected, with the offending text cut to 80 characters.
        reason: String,
    },
    /// Several parts failed; the others were reported.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Partial(Vec<CollectError>),
}
