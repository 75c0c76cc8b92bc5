//! HTTP: listener, limits, routes.

mod config;

pub use config::Config;
