//! The history as what PromQL is evaluated over.

use std::sync::Arc;

use super::handle::History;
use super::series::Series;
use crate::query::source::{Sample, Samples, Series as Selected, Source, SourceError, State};
use crate::series::selector::Matcher;

impl Samples for Series {
    fn read(&self, start: i64, end: i64, out: &mut Vec<Sample>) -> Result<(), SourceError> {
        self.for_each(start, end, |t, v| out.push(Sample { t, v }));
        Ok(())
    }

    fn last(&self, start: i64, end: i64) -> Result<Option<Sample>, SourceError> {
        Ok(self.last_between(start, end).map(|(t, v)| Sample { t, v }))
    }

    fn state(&self) -> Option<State> {
        let first = self.first().unwrap_or(i64::MAX);
        Some(State { series: self.uid, rewritten: self.rewritten, first })
    }
}

impl Source for History {
    fn select(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        limit: usize,
    ) -> Result<Vec<Selected>, SourceError> {
        let found = History::select(self, matchers, start, end, limit.saturating_add(1));
        let selected = found.into_iter().map(|found| {
            let samples = found.into_shared();
            Selected { labels: samples.labels.clone(), samples }
        });
        Ok(selected.collect())
    }

    fn label_names(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Arc<str>>, SourceError> {
        Ok(History::label_names(self, matchers, start, end))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        start: i64,
        end: i64,
    ) -> Result<Vec<Arc<str>>, SourceError> {
        Ok(History::label_values(self, name, matchers, start, end))
    }

    fn oldest(&self) -> Option<i64> {
        self.oldest_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Config, Write};
    use crate::query::eval::{Interrupt, Options, Output, Query, Times};
    use crate::query::promql;
    use crate::registry::Registry;

    const T0: i64 = 1_700_000_000_000;

    /// Ten minutes of a counter at 1 Hz, and a gauge that ended after one.
    fn history() -> History {
        let history = History::open(&Config::default(), &Registry::new(), T0).expect("in memory");
        let write = |name: &str, seconds: i64, value: fn(i64) -> f64| {
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let labels = vec![pair("job", "x"), pair("__name__", name)];
            let samples = (0..=seconds).map(|second| (T0 + second * 1000, value(second))).collect();
            Write { labels, samples }
        };
        #[allow(clippy::cast_precision_loss)]
        let writes = [write("sent_total", 600, |second| second as f64 * 3.0), write("depth", 60, |_| 7.0)];
        assert_eq!(history.append(&writes, T0 + 600_000).refused(), 0);
        history
    }

    fn ask(text: &str, at: i64) -> Vec<(String, f64)> {
        let expr = promql::parse(text).expect("it is right");
        let query = Query { text, expr: &expr, times: Times::Instant(T0 + at) };
        let answer = query.evaluate(&history(), &Options::default(), &Interrupt::default());
        let Output::Vector(_, series) = answer.expect("an answer").output else { panic!("no vector") };
        series.into_iter().map(|(metric, value)| (metric.to_labels().to_string(), value)).collect()
    }

    #[test]
    fn promql_is_evaluated_over_sealed_and_open_chunks() {
        let one = |value| vec![(r#"{job="x"}"#.to_owned(), f64::from(value))];
        assert_eq!(ask("rate(sent_total[5m])", 600_000), one(3));
        assert_eq!(ask("round(increase(sent_total[9m] offset 30s))", 600_000), one(1620));
        assert_eq!(ask("sum by (job)(sent_total)", 200_500), one(600));
        let depth = vec![(r#"{__name__="depth", job="x"}"#.to_owned(), 7.0)];
        assert_eq!((ask("depth", 359_999), ask("depth", 360_000)), (depth, vec![]));
    }

    #[test]
    fn labels_are_those_of_series_that_reach_into_the_range() {
        let (history, later) = (history(), T0 + 61_000);
        let texts = |found: Result<Vec<Arc<str>>, SourceError>| found.expect("found").join(" ");
        let source: &dyn Source = &history;
        let every = promql::parse_selector(r#"{job="x"}"#).expect("it is right");
        for matchers in [&[][..], &every] {
            assert_eq!(texts(source.label_names(matchers, T0, later)), "__name__ job");
            assert_eq!(texts(source.label_values("__name__", matchers, T0, later)), "depth sent_total");
            assert_eq!(texts(source.label_values("__name__", matchers, later, i64::MAX)), "sent_total");
            assert_eq!(texts(source.label_names(matchers, 0, T0 - 1)), "");
            assert_eq!(texts(source.label_values("none", matchers, T0, later)), "");
        }
    }
}
