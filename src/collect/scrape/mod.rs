//! Scraping other targets.

mod config;

pub(crate) use config::check_url;
pub use config::{Config, Limits};
