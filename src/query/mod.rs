//! PromQL over the history: expressions, evaluation, and the answers of Prometheus' HTTP API.
//!
//! - [`promql::parse`] reads an expression.
//! - [`Source`] is where samples come from: a selection gives [`Series`] whose samples are read when wanted.
//! - [`Query`](eval::Query) evaluates an expression at one time or over a range of times, and gives an
//!   [`Answer`](eval::Answer): the value, and warnings and infos in Prometheus' words.
//! - [`Config`] is what a query may cost.
//! - [`live`] evaluates the same expressions tick after tick.
//! - [`http`] answers the requests of Prometheus' HTTP API.
//!
//! Nothing here does I/O or asks for the time: the time of evaluation is given, and who waits for an answer can end
//! it through an [`Interrupt`](eval::Interrupt).

mod config;
pub mod eval;
pub mod http;
pub mod labels;
pub mod live;
pub mod notation;
pub mod number;
pub mod promql;
pub mod source;

pub use config::Config;
pub use labels::Labels;
pub use source::{Sample, Samples, Series, Source, SourceError};
