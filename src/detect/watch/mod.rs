//! Watching the series of a running server with detectors.
//!
//! - [`Config`] says which series are watched, [`Watch`] by [`Watch`]; `config.rs` has the defaults and why they are quiet.
//! - `watcher.rs` is the pure core: a committed tick in, scores, events and reports out. What a detector is given is made in
//!   `reading.rs`, what becomes of its verdicts in `state.rs`.
//! - [`Detection`] is the task around it, which follows the ticks and never holds them up. [`Prepared`] is what has to be there
//!   before the first tick, since scores are series too: they come into the table by a feed.
//! - What is found is told as [`Anomaly`]: in events, at `/api/v1/anomalies`, and to the alert manager.
//!
//! ```text
//!     tick ──► Watcher ──┬─ rows ──► Board ──► the next tick: gaugecast_anomaly_score, …
//!     history ─(new)─┘   ├─ Anomaly ──► events, View
//!                        └─ Report ──► manager
//! ```

mod config;
mod event;
mod feed;
mod metrics;
mod past;
mod reading;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod watcher;

pub(crate) use config::read;
pub use config::{Config, Direction, Watch, defaults};
pub use event::{ALERT, Anomaly, Moved, RECENT, Stage, View};
pub use task::{Anomalies, Detection, Prepared};
