//! Registration over prometheus-client, for applications and for our own figures.

use std::fmt;
use std::sync::{Arc, Mutex};

pub use prometheus_client::metrics;
pub use prometheus_client::registry::{Metric, Unit};

/// A registry of metrics. Clones share it.
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Mutex<prometheus_client::registry::Registry>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Why a registration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The name breaks a rule.
    #[error("{name}: {reason}")]
    Name {
        /// As given.
        name: String,
        /// Which rule.
        reason: String,
    },
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a metric or a family. `name` comes without `_total` and without the unit: the encoder appends them.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(
        &self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: impl Metric,
    ) -> Result<(), RegisterError> {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match unit {
            Some(unit) => inner.register_with_unit(name, help, unit, metric),
            None => inner.register(name, help, metric),
        }
        Ok(())
    }
}
