//! Short history of all series, compressed in memory.
//!
//! - [`History`] is what everyone holds: the tick and pushes append to it, readers [`select`](History::select) from it.
//! - [`SeriesRef`] is a series as a reader took it; [`Samples`] decodes it one sample at a time.
//! - `chunk` is the compression, `series` one series, `index` finds them by label, `memory` is all of it without lock,
//!   file and clock.
//!
//! - [`Recorder`] is the task that appends the ticks and writes the file; `store` is the file, `codec` its bytes.
//! - [`backfill`] makes the past of a chart, [`export`] CSV and JSON.
//! - [`measure`] says what of a series is compared, [`summary`] puts it into a few numbers, [`baseline`] compares two of
//!   those, `baselines` keeps them by name, and [`trend`] tells where a series goes.
//!
//! Each tick gives each series one sample, also where the value is the same as before: it costs 2 to 6 bits, and
//! everything that reads (a look back of five minutes, a chart with a point a tick) is right without knowing more. A
//! series that goes gets Prometheus' stale marker. What is pushed keeps its own times, and may come late or in any order
//! as long as the retention covers it. Of two values for one time the first stands.
//!
//! PromQL is evaluated over it: `source` makes it a [`Source`](crate::query::Source), and labels are
//! [`Labels`](crate::query::Labels) as queries take them, so that none is copied.
//!
//! A reader holds no lock while it decodes, and nobody waits for it: see `memory`.

mod backfill;
pub mod baseline;
mod baselines;
mod bits;
mod chunk;
mod codec;
mod config;
pub mod export;
mod handle;
mod index;
pub mod measure;
mod memory;
mod metrics;
mod recorder;
mod series;
mod source;
mod store;
pub mod summary;
pub mod trend;

pub use backfill::{POINTS, backfill, thin};
pub use baselines::{MAX_BASELINES, MAX_BASELINES_SIZE, SaveError};
pub use chunk::{STALE, is_stale};
pub use config::Config;
pub use handle::{History, OpenError};
pub use memory::{Appended, Stats, Write};
pub use recorder::Recorder;
pub(crate) use series::Standing;
pub use series::{Samples, SeriesRef};
pub use store::StoreError;
