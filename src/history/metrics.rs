//! The history's own figures, `gaugecast_history_*`.

use crate::registry::{Buckets, Counter, Desc, Family, Gauge, Histogram, RegisterError, Registry, Unit};

use super::memory::{Appended, Stats};

// Values are words of the program, so their number is bounded.
crate::label_set! {
    struct ByReason { reason: &'static str }
}

/// The history's own figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    series: Gauge,
    samples: Gauge,
    chunks: Gauge,
    bytes: Gauge,
    appended: Counter,
    refused: Family<ByReason, Counter>,
    pub(super) append: Histogram,
    store_bytes: Gauge,
    pub(super) store_errors: Counter,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        // 10 us to 2.6 s: a tick of a thousand series takes some tens of microseconds.
        let append = Buckets::exponential(1e-5, 4.0, 10).expect("constant bounds that grow");
        Ok(Metrics {
            series: registry.gauge(("gaugecast_history_series", "Series in the history."))?,
            samples: registry.gauge(("gaugecast_history_samples", "Samples in the history."))?,
            chunks: registry.gauge(("gaugecast_history_chunks", "Chunks of samples in the history."))?,
            bytes: registry.gauge(
                Desc::new("gaugecast_history", "Memory that the history takes, as history.max_size counts it.")
                    .unit(Unit::Bytes),
            )?,
            appended: registry
                .counter(("gaugecast_history_samples_appended", "Samples taken into the history."))?,
            refused: registry.family(
                (
                    "gaugecast_history_samples_refused",
                    "Samples not taken into the history: conflict (another value has the time), too_old (for the \
                     retention), too_new (ahead of the clock) or over_limit (no memory for another series).",
                ),
                (),
            )?,
            append: registry.histogram(
                Desc::new("gaugecast_history_append", "Time to append one tick or one push to the history.")
                    .unit(Unit::Seconds),
                append,
            )?,
            store_bytes: registry.gauge(
                Desc::new("gaugecast_history_store", "Size of the file of the history; 0 without storage.path.")
                    .unit(Unit::Bytes),
            )?,
            store_errors: registry.counter((
                "gaugecast_history_store_errors",
                "Times the history could not be written to its file. The log has the details.",
            ))?,
        })
    }

    /// The file has this size.
    pub(super) fn store_size(&self, bytes: u64) {
        self.store_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Samples were appended.
    pub(super) fn appended(&self, appended: Appended, stats: Stats) {
        self.appended.inc_by(appended.taken as u64);
        let refused = [
            ("conflict", appended.conflicts),
            ("too_old", appended.too_old),
            ("too_new", appended.too_new),
            ("over_limit", appended.over_limit),
        ];
        for (reason, count) in refused.into_iter().filter(|&(_, count)| count > 0) {
            self.refused.get(&ByReason { reason }).inc_by(count as u64);
        }
        let gauges = [(&self.series, stats.series), (&self.chunks, stats.chunks), (&self.bytes, stats.bytes)];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.samples.set(i64::try_from(stats.samples).unwrap_or(i64::MAX));
    }
}
