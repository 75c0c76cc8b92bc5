//! Instant vector selectors.

use super::evaluator::{Evaluator, Grid};
use super::rows::{ABSENT, Metric, Rows};
use super::{Error, execution, extended};
use crate::query::promql::ast::{Reach, Selector};
use crate::query::source::is_stale;

impl Evaluator<'_> {
    /// The last value of each series at each step, if it is younger than the lookback; with `timestamps` its time in
    /// seconds instead.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn instant(
        &mut self,
        selector: &Selector,
        grid: &Grid,
        timestamps: bool,
    ) -> Result<Rows, Error> {
        let look = self.look(&selector.at)?;
        let lookback = self.options.lookback;
        let (first, last) = (look.time(grid.start), look.time(grid.end()));
        if selector.reach == Reach::Anchored {
            return execution("anchored modifier can only be used with range vectors");
        }
        let smoothed = selector.reach == Reach::Smoothed && !timestamps;
        let last = if smoothed { last.saturating_add(lookback) } else { last };
        // A sample exactly as old as the lookback is too old.
        let from = first.saturating_sub(lookback).saturating_add(1);
        let found = self.select(&selector.matchers, from, last)?;
        let mut rows = Rows::new(grid.steps);
        rows.metrics.reserve(found.len());
        rows.values.reserve(found.len().saturating_mul(grid.steps).min(1 << 20));
        for series in &found {
            if smoothed {
                self.read_values(series, from, last)?;
            } else if first == last {
                self.read_last(series, from, last)?;
            } else {
                self.read(series, from, last)?;
            }
            if self.buffer.is_empty() {
                continue;
            }
            self.charge(grid.steps)?;
            let samples = &self.buffer;
            let mut seen = 0;
            rows.push_with::<Error>(Metric::new(series.labels.clone()), |out| {
                for step in 0..grid.steps {
                    let time = look.time(grid.time(step));
                    if smoothed {
                        out.push(extended::at(samples, time, lookback));
                        continue;
                    }
                    while samples.get(seen).is_some_and(|sample| sample.t <= time) {
                        seen += 1;
                    }
                    let value = match seen.checked_sub(1).map(|at| samples[at]) {
                        Some(sample) if sample.t > time - lookback => {
                            // A stale marker is absent as it stands.
                            if timestamps && !is_stale(sample.v) {
                                sample.t as f64 / 1000.0
                            } else {
                                sample.v
                            }
                        }
                        _ => ABSENT,
                    };
                    out.push(value);
                }
                Ok(())
            })?;
        }
        Ok(rows)
    }
}
