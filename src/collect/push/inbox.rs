//! What has been written since the last tick: the newest sample of each series, what was said of families.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use super::metrics::{Metrics, Refusal};
use super::remote::RemoteFeed;
use crate::clock::Moment;
use crate::history::Write;
use crate::query::labels::METRIC_NAME;
use crate::registry::{RegisterError, Registry};
use crate::remote::Metadata;
use crate::series::key;

/// A series is live for so long after its last sample: as long as a query looks back.
pub(super) const LIVE: Duration = Duration::from_secs(300);

/// Most families of which something is known.
pub(super) const MOST_FAMILIES: usize = 1 << 16;

/// Where remote write leaves what is to be live. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    come: Mutex<Come>,
    /// Most series at a time.
    limit: usize,
    metrics: Metrics,
}

/// What has come.
#[derive(Debug, Default)]
pub(super) struct Come {
    /// By key.
    pub(super) samples: HashMap<String, Newest>,
    /// By the name of the family.
    pub(super) metadata: HashMap<String, Metadata>,
}

/// The newest sample of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    /// Unix milliseconds.
    pub(super) time: i64,
    pub(super) value: f64,
    /// Monotonic time at which it is too old to be live.
    pub(super) until: Duration,
}

impl Inbox {
    /// An empty inbox for at most `limit` series.
    ///
    /// # Errors
    /// When one of its metrics is registered already.
    pub fn new(limit: usize, registry: &Registry) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(registry)?;
        Ok(Inbox(Arc::new(Shared { come: Mutex::default(), limit, metrics })))
    }

    /// What brings to the tick what is written here. There is to be one.
    #[must_use]
    pub fn feed(&self) -> RemoteFeed {
        RemoteFeed::new(self.clone(), self.0.metrics.clone())
    }

    /// Takes what a request says: of each series the newest sample, if it is younger than five minutes. `now` is the time.
    /// What the history refused for its time is not to be left out: of two values for one time the first stands here too.
    pub fn write(&self, writes: &[Write], metadata: &[Metadata], now: Moment) {
        let fresh: Vec<(String, Newest)> = writes.iter().filter_map(|write| newest(write, now)).collect();
        let mut come = self.lock();
        for (key, sample) in fresh {
            let full = come.samples.len() >= self.0.limit;
            match come.samples.get_mut(&key) {
                Some(known) if known.time < sample.time => *known = sample,
                Some(_) => {}
                None if full => self.0.metrics.refuse(Refusal::Limit),
                None => {
                    come.samples.insert(key, sample);
                }
            }
        }
        for told in metadata {
            if come.metadata.len() < MOST_FAMILIES || come.metadata.contains_key(&told.family) {
                come.metadata.insert(told.family.clone(), told.clone());
            }
        }
    }

    /// Gives what has come since the last time.
    pub(super) fn take(&self) -> Come {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Come> {
        // A panic elsewhere leaves whole samples behind.
        self.0.come.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest sample of a series, unless it is too old to be live.
fn newest(write: &Write, now: Moment) -> Option<(String, Newest)> {
    let first = *write.samples.first()?;
    // Of two with one time the first stands, as in the history.
    let (time, value) =
        write.samples.iter().fold(first, |last, &next| if next.0 > last.0 { next } else { last });
    let age = u64::try_from(now.unix_ms.saturating_sub(time)).unwrap_or(0);
    let left = LIVE.checked_sub(Duration::from_millis(age)).filter(|left| !left.is_zero())?;
    let mut name = "";
    let mut labels: Vec<(&str, &str)> = Vec::with_capacity(write.labels.len());
    for (label, text) in &write.labels {
        if label == METRIC_NAME {
            name = text;
        } else if !text.is_empty() {
            labels.push((label, text));
        }
    }
    labels.sort_unstable();
    Some((key::render(name, &labels), Newest { time, value, until: now.since_start + left }))
}
