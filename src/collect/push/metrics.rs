//! What pushes bring and what is left out, as metrics of our own.

use crate::registry::{Counter, Family, Gauge, RegisterError, Registry};

crate::label_set! {
    struct ByReason { reason: &'static str }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) series: Gauge,
    refused: Family<ByReason, Counter>,
}

/// Why a series that was pushed is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another source has it.
    Duplicate,
    /// There is no room for another one.
    Limit,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Metrics {
            series: registry
                .gauge(("gaugecast_remote_write_series", "Series of remote write that are live now."))?,
            refused: registry.family(
                (
                    "gaugecast_remote_write_refused",
                    "Samples of remote write that are not live, but in the history: duplicate (another source has the series) \
                     or limit (the series table is full).",
                ),
                (),
            )?,
        })
    }

    /// A sample does not become live.
    pub(super) fn refuse(&self, why: Refusal) {
        let reason = match why {
            Refusal::Duplicate => "duplicate",
            Refusal::Limit => "limit",
        };
        self.refused.get(&ByReason { reason }).inc();
    }
}
