//! The text on the wire: reading what sources say, writing what scrapers ask for.
//!
//! - [`page`] writes the page of a source (a host collector, our own figures).
//! - [`read`] reads pages: own registry, collectors, files and scraped targets all come in as text.
//! - [`parse`] is the grammar of text 0.0.4 and OpenMetrics 1.0 under it.
//! - [`Encoder`] writes a tick in either text format, [`protobuf`] and [`json`] in theirs.
//! - [`negotiate`] reads what a scraper accepts; [`Expositions`] gives every scraper of a tick the same bytes.

mod answers;
mod escape;
pub mod json;
mod layout;
mod metadata;
pub mod negotiate;
pub mod number;
mod openmetrics;
pub mod page;
pub mod parse;
pub mod protobuf;
pub mod read;
#[cfg(test)]
mod sample;
mod strict;
mod text;

pub(crate) use answers::compress;
pub use answers::{Answer, Expositions, Filter, select};
pub use escape::Escaping;
pub use layout::{Encoder, TextFormat};
