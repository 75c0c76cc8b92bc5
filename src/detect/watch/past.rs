//! Detectors learn from the history: after a restart nothing has to be watched for hours before it is known.
//!
//! What was learnt is not saved. The samples are, with `storage.path`, and they say all that a detector knows; so a stream
//! that is new is given those of its series through the same way as live ones, as observations of the same interval. Nothing
//! is told of them.

use std::sync::Arc;

use super::config::Watch;
use super::reading::Reading;
use super::state::State;
use crate::history::History;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::series::Series;
use crate::series::selector::{Matcher, Op};

/// Samples of one series that are read at most, the latest: 28 hours of one a second.
const MOST: usize = 100_000;

/// Where the past is read from.
pub(super) trait Past: Send + Sync {
    /// The samples of a series before a time, ascending; the latest `limit`.
    fn before(&self, series: &Series, until_ms: i64, limit: usize) -> Vec<(i64, f64)>;
}

impl Past for History {
    fn before(&self, series: &Series, until_ms: i64, limit: usize) -> Vec<(i64, f64)> {
        let labels = Labels::from_key(series.key());
        let equal = |(name, value)| Matcher::new(name, Op::Equal, value);
        // Only a regular expression can be refused.
        let Ok(mut matchers) = labels.iter().map(equal).collect::<Result<Vec<_>, _>>() else {
            return Vec::new();
        };
        matchers.sort_by_key(|matcher| matcher.label() != METRIC_NAME);
        // Others may have these labels and more.
        let found = self.select(&matchers, i64::MIN, until_ms - 1, usize::MAX);
        let Some(found) = found.into_iter().find(|found| *found.labels() == labels) else {
            return Vec::new();
        };
        let mut samples = Vec::new();
        found.for_each(i64::MIN, until_ms - 1, |t, value| samples.push((t, value)));
        samples.drain(..samples.len().saturating_sub(limit));
        samples
    }
}

/// Gives a stream the past of its series. Says how many samples that were.
pub(super) fn replay(
    past: &dyn Past,
    watch: &Watch,
    series: &[Arc<Series>],
    until_ms: i64,
    reading: &mut Reading,
    state: &mut State,
) -> usize {
    let limit = (MOST / series.len().max(1)).max(100);
    let mut all: Vec<(i64, usize, f64)> = Vec::new();
    for (at, member) in reading.members().iter().enumerate() {
        let Some(series) = series.iter().find(|series| series.number == member.number) else { continue };
        all.extend(past.before(series, until_ms, limit).into_iter().map(|(t, value)| (t, at, value)));
    }
    all.sort_unstable_by_key(|(t, at, _)| (*t, *at));
    let interval = i64::try_from(watch.interval.as_millis()).unwrap_or(i64::MAX);
    let number = |t: i64| if interval == 0 { t } else { t.div_euclid(interval) };
    let mut last: Option<i64> = None;
    for same in all.chunk_by(|a, b| a.0 == b.0) {
        let t = same[0].0;
        if last.is_some_and(|last| number(last) != number(t))
            && let Some(value) = reading.close()
        {
            state.learn(last.unwrap_or(t), value);
        }
        for &(_, at, value) in same {
            reading.sample(at, t, value);
        }
        reading.fold();
        last = Some(t);
    }
    if let (Some(last), Some(value)) = (last, reading.close()) {
        state.learn(last, value);
    }
    all.len()
}
