//! What has come from the targets and waits for the tick.
//!
//! Scrapes come at their own times and are taken at a tick, at most one of a target: a tick holds one value a series. Two
//! wait at most, so that a target scraped as often as the tick beats loses none when the two shift against each other;
//! one more pushes the oldest out, which is counted. That happens where the interval is shorter than the tick.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::target::Target;
use crate::http_client::{Answer, Failure};

/// How many scrapes of a target wait at most.
const WAITING: usize = 2;

/// The end of a scrape.
#[derive(Debug)]
pub(super) struct Scraped {
    /// Of which target.
    pub(super) target: Arc<Target>,
    /// When it began: the time of its samples, Unix milliseconds.
    pub(super) at_ms: i64,
    /// How long it took.
    pub(super) took: Duration,
    /// The page, or why there is none.
    pub(super) outcome: Result<Answer, Failure>,
}

/// Where target loops put what they got; the feed takes it out.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    come: BTreeMap<u64, VecDeque<Scraped>>,
    gone: Vec<u64>,
    superseded: u64,
}

/// What is taken at a tick.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Targets that are not scraped any more.
    pub(super) gone: Vec<u64>,
    /// One scrape a target, at most.
    pub(super) come: Vec<Scraped>,
    /// How many were pushed out since the last time.
    pub(super) superseded: u64,
}

impl Inbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scrape has ended.
    pub(super) fn put(&self, scraped: Scraped) {
        let mut state = self.lock();
        let waiting = state.come.entry(scraped.target.id).or_default();
        waiting.push_back(scraped);
        if waiting.len() > WAITING {
            waiting.pop_front();
            state.superseded += 1;
        }
    }

    /// A target is not scraped any more; nothing of it comes after this.
    pub(super) fn gone(&self, target: u64) {
        let mut state = self.lock();
        state.come.remove(&target);
        state.gone.push(target);
    }

    /// What has come.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let come = state.come.values_mut().filter_map(VecDeque::pop_front).collect();
        state.come.retain(|_, waiting| !waiting.is_empty());
        Taken {
            gone: std::mem::take(&mut state.gone),
            come,
            superseded: std::mem::take(&mut state.superseded),
        }
    }
}
