//! How the last load went, `gaugecast_config_*`, under the names that Prometheus has for its own.

use crate::registry::{Desc, FloatGauge, Gauge, RegisterError, Registry, Unit};

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    successful: Gauge,
    loaded: FloatGauge,
}

impl Metrics {
    /// Registers both.
    ///
    /// # Errors
    /// When the registry holds something else under one of the names.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Metrics {
            successful: registry.gauge((
                "gaugecast_config_last_reload_successful",
                "Whether the last attempt to load the configuration succeeded.",
            ))?,
            loaded: registry.float_gauge(
                Desc::new(
                    "gaugecast_config_last_reload_success_timestamp",
                    "When the configuration was last loaded.",
                )
                .unit(Unit::Seconds),
            )?,
        })
    }

    /// The configuration was loaded, at this time in Unix milliseconds.
    pub fn loaded(&self, unix_ms: i64) {
        self.successful.set(1);
        #[allow(clippy::cast_precision_loss)]
        self.loaded.set(unix_ms as f64 / 1000.0);
    }

    /// It was not; what was in force stays.
    pub fn refused(&self) {
        self.successful.set(0);
    }
}
