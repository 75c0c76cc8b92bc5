//! Samples that are not in the history yet, laid over those that are.
//!
//! A rule sees what the rules before it in its group have given at the same time. The history has that only after the next tick, so
//! it is kept here for as long as the group is evaluated.

use std::collections::HashMap;
use std::sync::Arc;

use crate::query::Labels;
use crate::query::source::{Sample, Samples, Series, Source, SourceError};
use crate::series::selector::Matcher;

/// A source with one sample more for some series.
pub(super) struct Overlay<'a> {
    base: &'a dyn Source,
    fresh: HashMap<Labels, Sample>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(base: &'a dyn Source) -> Self {
        Overlay { base, fresh: HashMap::new() }
    }

    /// Adds a sample, or a stale marker. It is the newest of its series.
    pub(super) fn add(&mut self, labels: Labels, sample: Sample) {
        self.fresh.insert(labels, sample);
    }
}

impl Source for Overlay<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        limit: usize,
    ) -> Result<Vec<Series>, SourceError> {
        let mut found = self.base.select(matchers, start, end, limit)?;
        if self.fresh.is_empty() {
            return Ok(found);
        }
        let matches = |labels: &Labels| {
            matchers.iter().all(|matcher| matcher.accepts(labels.get(matcher.label()).unwrap_or("")))
        };
        let mut fresh: HashMap<&Labels, Sample> =
            self.fresh.iter().filter(|(labels, _)| matches(labels)).map(|(l, s)| (l, *s)).collect();
        for series in &mut found {
            if let Some(last) = fresh.remove(&series.labels) {
                series.samples = Arc::new(Longer { base: Some(Arc::clone(&series.samples)), last });
            }
        }
        let mut rest: Vec<(&Labels, Sample)> = fresh.into_iter().collect();
        rest.sort_unstable_by(|a, b| a.0.cmp(b.0));
        found.extend(rest.into_iter().map(|(labels, last)| Series {
            labels: labels.clone(),
            samples: Arc::new(Longer { base: None, last }),
        }));
        Ok(found)
    }

    fn oldest(&self) -> Option<i64> {
        self.base.oldest()
    }
}

/// Samples with one more.
struct Longer {
    base: Option<Arc<dyn Samples>>,
    last: Sample,
}

impl Samples for Longer {
    fn read(&self, start: i64, end: i64, out: &mut Vec<Sample>) -> Result<(), SourceError> {
        let before = end.min(self.last.t.saturating_sub(1));
        if let Some(base) = &self.base
            && start <= before
        {
            base.read(start, before, out)?;
        }
        if (start..=end).contains(&self.last.t) {
            out.push(self.last);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::source::MemorySource;
    use crate::series::Selector;

    #[test]
    fn fresh_samples_are_the_last_of_their_series_and_series_of_their_own() {
        let mut base = MemorySource::default();
        let labels = |i: &str| Labels::new([("__name__", "a"), ("i", i)]);
        base.add(&labels("1"), Sample { t: 1, v: 1.0 });
        base.add(&labels("1"), Sample { t: 5, v: 5.0 });
        let mut overlay = Overlay::new(&base);
        overlay.add(labels("1"), Sample { t: 5, v: 6.0 });
        overlay.add(labels("2"), Sample { t: 5, v: 7.0 });
        overlay.add(Labels::new([("__name__", "b")]), Sample { t: 5, v: 8.0 });
        let found =
            overlay.select(Selector::parse("a").expect("it is right").matchers(), 0, 9, 10).expect("read");
        let values = |series: &Series, end| {
            let mut out = Vec::new();
            series.samples.read(0, end, &mut out).expect("read");
            out.iter().map(|sample| (sample.t, sample.v)).collect::<Vec<_>>()
        };
        assert_eq!(found.len(), 2);
        assert_eq!(values(&found[0], 9), [(1, 1.0), (5, 6.0)]);
        assert_eq!(values(&found[0], 4), [(1, 1.0)]);
        assert_eq!(values(&found[1], 9), [(5, 7.0)]);
        assert_eq!(found[1].samples.last(0, 4).expect("read"), None);
    }
}
