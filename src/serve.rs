//! `gaugecast serve`: everything put together.

use std::process::ExitCode;

use crate::config::Loaded;

/// Runs until it is told to stop. 0 after a graceful stop, 1 when it could not start.
#[must_use]
pub fn run(config: Loaded) -> ExitCode {
    let log = crate::log::install(&config.config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    tracing::error!("this build has no server");
    drop(log);
    ExitCode::FAILURE
}
