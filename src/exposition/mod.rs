//! The text on the wire: reading what sources say, writing what scrapers ask for.
//!
//! - [`page`] writes the page of a source (a host collector, our own figures).
//! - [`read`] reads pages: own registry, collectors, files and scraped targets all come in as text.
//! - [`parse`] is the grammar of text 0.0.4 and OpenMetrics 1.0 under it.

mod metadata;
pub mod number;
pub mod page;
pub mod parse;
pub mod read;
mod strict;
