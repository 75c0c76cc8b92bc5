//! The registry live: WebSocket.

mod config;

pub use config::Config;
