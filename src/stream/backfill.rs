//! The past of a subscription that begins: `history` frames between schema and snapshot.
//!
//! **The seam.** A snapshot has of each series one point: at the time of its tick, or at the series' own. The past is all
//! that the history has before that point, so no point is told twice, and none is left out once the history has
//! the tick before ([`Past::has`]). What a client gets after the snapshot are the frames after it; should preparing the
//! past take so long that some of them would be joined, it is prepared anew for the channel as it is then.
//!
//! **Bounds.** [`POINTS`] points a series, fewer where all would be more than [`ALL_POINTS`]; and so far back that no more
//! than about [`READ`] samples are read. What is cut so is told by a notice.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::channel::{Spec, View};
use super::encode::Points;
use super::frame::{FrameWriter, Frames};
use super::live::Past;
use super::protocol::Server;
use crate::history::{POINTS, backfill, thin};
use crate::query::Labels;
use crate::query::eval::{Error, Interrupt};

/// Points of all series of a subscription: some 3 MB of frames.
const ALL_POINTS: usize = 100_000;

/// Samples that are read for a subscription: some 50 ms of decoding.
const READ: usize = 5_000_000;

/// Time that the query of a subscription may take over the past.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) view: Arc<View>,
    pub(super) spec: Arc<Spec>,
    /// How far back.
    pub(super) history: Duration,
    /// From one tick of the timer to the next.
    pub(super) tick: Duration,
}

/// Number of a series, and its points in order of time.
type Line = (u32, Vec<(i64, f64)>);

impl Wanted {
    /// Schema, past and snapshot of the view. Takes as long as reading does, so not for a thread that must not wait;
    /// `interrupt` ends the evaluation of a query.
    pub(super) fn frames(&self, past: &Past, interrupt: &Interrupt) -> Frames {
        let (view, tick) = (&self.view, self.view.tick());
        let count = view.sent().max(1);
        let most = (ALL_POINTS / count).clamp(1, POINTS);
        let asked = millis(self.history);
        let readable =
            millis(self.tick).max(1).saturating_mul(i64::try_from(READ / count).unwrap_or(i64::MAX));
        let span = if self.spec.query().is_some() { asked } else { asked.min(readable) };
        let from = tick.at.unix_ms.saturating_sub(span);
        let told = match self.spec.query() {
            None => Ok(self.recorded(past, from, most)),
            Some(_) => self.evaluated(past, span, most, interrupt),
        };
        view.full_with(|frames| {
            let mut notice = |code: &'static str, message: &str| {
                let channel = view.channel();
                frames.text(&[&Server::Notice { channel, code, interval_ms: None, message }.json()]);
            };
            match &told {
                Err(error) => notice("history_failed", &error.to_string()),
                Ok(_) if span < asked || most < POINTS => {
                    let message = format!(
                        "the past of {count} series is told from {} s back, in at most {most} points each",
                        span / 1000
                    );
                    notice("history_limited", &message);
                }
                Ok(_) => {}
            }
            write(frames, view, from, told.as_deref().unwrap_or_default());
        })
    }

    /// What the history has.
    fn recorded(&self, past: &Past, from: i64, most: usize) -> Vec<Line> {
        let tick = self.view.tick();
        let series: Vec<_> = self.view.series().collect();
        let numbers: Vec<u32> = series.iter().map(|series| series.number).collect();
        let found = past.history.of_numbers(&numbers, from, tick.at.unix_ms);
        let known = series.iter().zip(found).filter_map(|(series, found)| Some((series, found?)));
        let points = known.map(|(series, found)| {
            let before = tick.own_time(series).unwrap_or(tick.at.unix_ms);
            (series.number, backfill(&found, from, before, most))
        });
        points.filter(|(_, points)| !points.is_empty()).collect()
    }

    /// What the query gives, at the interval or, over long times, at a multiple of it. Of series that it gives now.
    fn evaluated(
        &self,
        past: &Past,
        span: i64,
        most: usize,
        interrupt: &Interrupt,
    ) -> Result<Vec<Line>, Error> {
        let Some(query) = self.spec.query() else { return Ok(Vec::new()) };
        let tick = self.view.tick();
        let interval =
            millis(self.tick).max(1).saturating_mul(i64::try_from(self.spec.every).unwrap_or(i64::MAX));
        let most_steps = i64::try_from(most).unwrap_or(i64::MAX);
        let step = interval.saturating_mul((span / interval + most_steps - 1).div_euclid(most_steps).max(1));
        let steps = span / step;
        if steps == 0 {
            return Ok(Vec::new());
        }
        let at = tick.at.unix_ms;
        let times = (at.saturating_sub(step.saturating_mul(steps)), at.saturating_sub(step), step);
        let numbers: HashMap<Labels, u32> =
            self.view.series().map(|series| (Labels::from_key(series.key()), series.number)).collect();
        let series = query.between(&past.history, &past.options, times, interrupt)?;
        let points = series.into_iter().filter_map(|(labels, samples)| {
            let number = *numbers.get(&labels)?;
            Some((number, thin(samples.into_iter().map(|sample| (sample.t, sample.v)).collect(), most)))
        });
        Ok(points.collect())
    }
}

/// Longest time of [`Wanted::frames`].
pub(super) fn patience(past: &Past) -> Duration {
    PATIENCE.min(past.timeout)
}

fn write(frames: &mut FrameWriter, view: &View, from: i64, all: &[Line]) {
    let mut points = Points::new(view.exact());
    all.iter().for_each(|(number, series)| points.push(*number, series));
    points.history(view.channel(), from, view.tick().at.unix_ms, frames);
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
