//! The host, a file a collector, with node_exporter's names.

use super::{Collector, Config};

/// All collectors of this system that `config` switches on.
#[must_use]
pub fn collectors(_config: &Config) -> Vec<Box<dyn Collector>> {
    Vec::new()
}
