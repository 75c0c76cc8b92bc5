//! Figures of remote write out, `gaugecast_remote_write_*` with the label `remote`.

use std::time::Duration;

use super::cursor::Lost;
use crate::registry::{
    Buckets, Counter, Desc, Family, FloatGauge, Gauge, Histogram, RegisterError, Registry, Unit,
};

crate::label_set! {
    struct ByRemote { remote: String }
}

crate::label_set! {
    struct ByReason { remote: String, reason: &'static str }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    sent: Family<ByRemote, Counter>,
    failed: Family<ByRemote, Counter>,
    retried: Family<ByRemote, Counter>,
    dropped: Family<ByReason, Counter>,
    bytes: Family<ByRemote, Counter>,
    duration: Family<ByRemote, Histogram>,
    highest: Family<ByRemote, FloatGauge>,
    lag: Family<ByRemote, FloatGauge>,
    pending: Family<ByRemote, Gauge>,
    up: Family<ByRemote, Gauge>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let desc = Desc::new;
        Ok(Metrics {
            sent: registry.family(
                desc("gaugecast_remote_write_samples_sent", "Samples that a receiver has taken."),
                (),
            )?,
            failed: registry.family(
                desc(
                    "gaugecast_remote_write_samples_failed",
                    "Samples in requests that a receiver has refused for good. The log has its words.",
                ),
                (),
            )?,
            retried: registry.family(
                desc(
                    "gaugecast_remote_write_samples_retried",
                    "Samples in requests that failed and were sent again.",
                ),
                (),
            )?,
            dropped: registry.family(
                desc(
                    "gaugecast_remote_write_samples_dropped",
                    "Samples that were not sent: expired (the history forgot them first), out_of_order (later ones of the \
                     series had been sent), too_old (sample_age_limit), relabel (write_relabel_configs) or stopped (at the \
                     end the receiver was away).",
                ),
                (),
            )?,
            bytes: registry.family(
                desc("gaugecast_remote_write_sent", "Bytes of requests that a receiver has taken, packed.")
                    .unit(Unit::Bytes),
                (),
            )?,
            duration: registry.family(
                desc("gaugecast_remote_write_request_duration", "Time of a request, failed ones included.")
                    .unit(Unit::Seconds),
                Buckets::seconds(),
            )?,
            highest: registry.family(
                desc("gaugecast_remote_write_highest_sent_timestamp", "Newest sample that a receiver has taken.")
                    .unit(Unit::Seconds),
                (),
            )?,
            lag: registry.family(
                desc("gaugecast_remote_write_lag", "How long ago it is that all samples had been sent.")
                    .unit(Unit::Seconds),
                (),
            )?,
            pending: registry.family(
                desc(
                    "gaugecast_remote_write_pending_samples",
                    "Samples in the history that are still to be sent; looked at every ten seconds.",
                ),
                (),
            )?,
            up: registry.family(
                desc("gaugecast_remote_write_receiver_up", "1 if the last request was answered, but for 5xx and 429."),
                (),
            )?,
        })
    }

    /// The figures of one receiver.
    pub(super) fn of(&self, remote: &str) -> Figures {
        Figures { all: self.clone(), remote: ByRemote { remote: remote.to_owned() } }
    }
}

/// The figures of one receiver.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    all: Metrics,
    remote: ByRemote,
}

impl Figures {
    /// All counts begin with 0, so that a first drop is an increase.
    pub(super) fn begin(&self) {
        self.sent(0, 0, Some(0));
        self.failed(0);
        self.retried(0);
        self.up(false);
        self.lag(0);
        self.pending(0);
        for reason in ["expired", "out_of_order", "too_old", "relabel", "stopped"] {
            let remote = self.remote.remote.clone();
            self.all.dropped.get(&ByReason { remote, reason }).inc_by(0);
        }
    }

    /// A request took so long.
    pub(super) fn asked(&self, took: Duration) {
        self.all.duration.get(&self.remote).observe_duration(took);
    }

    /// The receiver has taken samples, in so many bytes.
    pub(super) fn sent(&self, samples: usize, bytes: usize, newest: Option<i64>) {
        self.all.sent.get(&self.remote).inc_by(samples as u64);
        self.all.bytes.get(&self.remote).inc_by(bytes as u64);
        if let Some(newest) = newest {
            let highest = self.all.highest.get(&self.remote);
            highest.set(seconds(newest));
        }
    }

    /// The receiver has refused samples.
    pub(super) fn failed(&self, samples: usize) {
        self.all.failed.get(&self.remote).inc_by(samples as u64);
    }

    /// Samples are sent again.
    pub(super) fn retried(&self, samples: usize) {
        self.all.retried.get(&self.remote).inc_by(samples as u64);
    }

    /// Samples will not be sent.
    pub(super) fn lost(&self, lost: Lost) {
        let counts = [
            ("expired", lost.expired),
            ("out_of_order", lost.out_of_order),
            ("too_old", lost.too_old),
            ("relabel", lost.relabel),
        ];
        counts.into_iter().for_each(|(reason, count)| self.dropped(reason, count));
    }

    /// Samples were not sent when it ended.
    pub(super) fn stopped(&self, samples: u64) {
        self.dropped("stopped", samples);
    }

    fn dropped(&self, reason: &'static str, count: u64) {
        if count > 0 {
            let remote = self.remote.remote.clone();
            self.all.dropped.get(&ByReason { remote, reason }).inc_by(count);
        }
    }

    /// The receiver answers, or does not.
    pub(super) fn up(&self, up: bool) {
        self.all.up.get(&self.remote).set(i64::from(up));
    }

    /// All had been sent so many milliseconds ago.
    pub(super) fn lag(&self, ms: i64) {
        self.all.lag.get(&self.remote).set(seconds(ms.max(0)));
    }

    /// So many samples wait.
    pub(super) fn pending(&self, samples: u64) {
        self.all.pending.get(&self.remote).set(i64::try_from(samples).unwrap_or(i64::MAX));
    }

    /// The receiver is none any more: what is of the moment goes, counters stay.
    pub(super) fn forget(&self) {
        self.all.highest.remove(&self.remote);
        self.all.lag.remove(&self.remote);
        self.all.pending.remove(&self.remote);
        self.all.up.remove(&self.remote);
    }
}

/// Seconds of milliseconds.
#[allow(clippy::cast_precision_loss)] // exact to the millisecond for 285,000 years
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
