//! Warnings and infos of an evaluation, in Prometheus' words.

use crate::query::number::{general, general_to, quoted};
use crate::query::promql::ast::Span;

/// What an evaluation has to say beside its result. The same text is said once.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    note: Note,
    text: String,
    at: Span,
}

/// One thing to say.
#[derive(Clone, Debug)]
pub(super) enum Note {
    InvalidQuantile(f64),
    InvalidRatio(f64, f64),
    BadBucketLabel {
        metric: String,
        value: String,
    },
    PossibleNonCounter(String),
    /// Histogram, then what was forced.
    ForcedMonotonicity(String, Forced),
    SortInRangeQuery,
}

/// What had to be changed for a histogram to be monotonic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forced {
    pub(super) times: (i64, i64),
    pub(super) bounds: (f64, f64),
    pub(super) most: f64,
    pub(super) count: usize,
}

impl Forced {
    pub(super) fn join(self, other: Forced) -> Self {
        Forced {
            times: (self.times.0.min(other.times.0), self.times.1.max(other.times.1)),
            bounds: (self.bounds.0.min(other.bounds.0), self.bounds.1.max(other.bounds.1)),
            most: self.most.max(other.most),
            count: self.count + other.count,
        }
    }
}

impl Note {
    fn is_info(&self) -> bool {
        matches!(self, Note::PossibleNonCounter(_) | Note::ForcedMonotonicity(..))
    }

    fn text(&self) -> String {
        let of_metric = |metric: &str| {
            if metric.is_empty() { String::new() } else { format!(" for metric name {}", quoted(metric)) }
        };
        match self {
            Note::InvalidQuantile(q) => {
                format!("PromQL warning: quantile value should be between 0 and 1, got {}", general(*q))
            }
            Note::InvalidRatio(ratio, to) => format!(
                "PromQL warning: ratio value should be between -1 and 1, got {}, capping to {}",
                general(*ratio),
                general(*to)
            ),
            Note::BadBucketLabel { metric, value } => format!(
                "PromQL warning: bucket label \"le\" is missing or has a malformed value of {}{}",
                quoted(value),
                of_metric(metric)
            ),
            Note::PossibleNonCounter(metric) => format!(
                "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(metric)
            ),
            Note::ForcedMonotonicity(metric, _) => format!(
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                of_metric(metric)
            ),
            Note::SortInRangeQuery => {
                "PromQL warning: sort is ineffective for range queries since results are \
                                       always ordered by labels"
                    .into()
            }
        }
    }
}

impl Notes {
    pub(super) fn add(&mut self, note: Note, at: Span) {
        let text = note.text();
        let Some(found) = self.0.iter_mut().find(|entry| entry.text == text) else {
            self.0.push(Entry { note, text, at });
            return;
        };
        if let (Note::ForcedMonotonicity(_, old), Note::ForcedMonotonicity(_, new)) = (&mut found.note, note)
        {
            *old = old.join(new);
        }
    }

    /// Warnings and infos, with the places in `query` that they are about.
    pub(super) fn texts(self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for Entry { note, mut text, at } in self.0 {
            if let Note::ForcedMonotonicity(_, forced) = &note {
                use std::fmt::Write;
                let _ = write!(
                    text,
                    ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                    general(forced.bounds.0),
                    general(forced.bounds.1),
                    general_to(forced.most, 2),
                    forced.count,
                    super::date::rfc3339(forced.times.0.div_euclid(1000)),
                    super::date::rfc3339(forced.times.1.div_euclid(1000)),
                );
            }
            let text = format!("{text} ({})", crate::query::promql::position(query, at.start));
            if note.is_info() { infos.push(text) } else { warnings.push(text) }
        }
        (warnings, infos)
    }
}
