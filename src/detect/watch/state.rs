//! From scores to anomalies: when one begins, is confirmed, ends, or becomes the new normal.
//!
//! Detectors speak differently. One of the z-score family scores every value beyond its band, novelty speaks once and is silent
//! for what follows. So a score begins an anomaly, and whether it lasts is judged by the value: as long as it stays
//! outside the band that was usual at the begin it is *odd*. An anomaly is confirmed when k of the last n observations
//! are odd, and ends when, n after its begin, fewer are. What lasts for `adapt_after` is the new normal: the anomaly
//! ends as a shift, and values around the new level are not told again.
//!
//! Where a detector expects nothing in particular, the band is our own: an exponentially weighted mean with its mean absolute
//! deviation, both learnt from limited values, 4 sigma wide and at least 1 % of the mean.

use std::time::Duration;

use super::config::{Direction, Watch};
use crate::clock::Moment;
use crate::detect::{Detector, LARGEST};

/// How much a value counts for the band: as much as the others in the first 100, then as one of 100.
const WEIGHT: f64 = 0.01;

/// Half the breadth of the band in sigmas.
const BREADTH: f64 = 4.0;

/// Sigma of a normal distribution in mean absolute deviations, the square root of pi / 2.
const SIGMA: f64 = 1.253_314_137_315_5;

/// How long a movement is remembered, for those that come with it.
pub(super) const TOGETHER: Duration = Duration::from_secs(30);

/// What is usual, in a line.
#[derive(Clone, Copy, Debug)]
struct Band {
    mean: f64,
    deviation: f64,
    seen: f64,
}

impl Band {
    fn sigma(&self) -> f64 {
        (SIGMA * self.deviation).max(0.01 * self.mean.abs()).max(1e-9)
    }

    fn learn(&mut self, value: f64) {
        let value = value.clamp(-LARGEST, LARGEST);
        self.seen += 1.0;
        if self.seen <= 1.0 {
            self.mean = value;
            return;
        }
        let reach = BREADTH * self.sigma();
        // The first ones teach the scale: nothing is limited before it is known.
        let off = if self.seen > 10.0 { (value - self.mean).clamp(-reach, reach) } else { value - self.mean };
        let weight = WEIGHT.max(1.0 / self.seen);
        self.mean += weight * off;
        self.deviation += weight * (off.abs() - self.deviation);
    }
}

/// What lasts.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) began: Moment,
    pub(super) confirmed: Option<Moment>,
    /// The highest score so far.
    pub(super) score: f64,
    /// As they were at the begin.
    pub(super) expected: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// Observations since the begin, and which of the last 32 were odd; the last is bit 0.
    seen: u32,
    odd: u32,
    /// Mean, least and greatest value since the begin.
    mean: f64,
    least: f64,
    greatest: f64,
}

/// What an observation changes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Begins,
    Confirmed,
    Ends(Open),
    /// It became the new normal, at this level.
    Shifts(Open, f64),
}

/// Detector and judgement of one stream.
#[derive(Debug)]
pub(super) struct State {
    detector: Box<dyn Detector>,
    band: Band,
    /// Observations so far.
    pub(super) samples: u64,
    pub(super) open: Option<Open>,
    /// The new normal, until when values there are not told again.
    settled: Option<(f64, f64, Duration)>,
    /// What was last observed, and what was said of it.
    pub(super) value: f64,
    pub(super) score: f64,
    pub(super) expected: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// When that was.
    pub(super) observed: Option<Moment>,
    /// The greatest distance from what is usual in the last [`TOGETHER`], in sigmas with sign, and when.
    pub(super) moved: (f64, Duration),
}

impl State {
    pub(super) fn new(watch: &Watch) -> Self {
        State {
            detector: watch.detector.build(),
            band: Band { mean: 0.0, deviation: 0.0, seen: 0.0 },
            samples: 0,
            open: None,
            settled: None,
            value: f64::NAN,
            score: 0.0,
            expected: f64::NAN,
            lower: f64::NAN,
            upper: f64::NAN,
            observed: None,
            moved: (0.0, Duration::ZERO),
        }
    }

    /// Memory, bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.detector.memory()
    }

    /// Learns a value of the past, of which nothing is told.
    pub(super) fn learn(&mut self, t_ms: i64, value: f64) {
        self.detector.observe(t_ms, value);
        self.band.learn(value);
        self.samples += 1;
    }

    /// Judges a value and learns it. `next` numbers anomalies.
    pub(super) fn observe(
        &mut self,
        watch: &Watch,
        at: Moment,
        value: f64,
        next: &mut u64,
    ) -> Option<Change> {
        let verdict = self.detector.observe(at.unix_ms, value);
        let (mean, sigma) = (self.band.mean, self.band.sigma());
        let known = self.band.seen > 10.0;
        let own = |what: f64, ours: f64| if what.is_finite() || !known { what } else { ours };
        self.expected = own(verdict.expected, mean);
        self.lower = own(verdict.lower, mean - BREADTH * sigma);
        self.upper = own(verdict.upper, mean + BREADTH * sigma);
        self.value = value;
        self.band.learn(value);
        self.samples += 1;
        self.observed = Some(at);
        let distance = if known { (value - mean) / sigma } else { 0.0 };
        if distance.abs() >= self.moved.0.abs() || at.since_start > self.moved.1 + TOGETHER {
            self.moved = (distance, at.since_start);
        }
        self.settled = self.settled.filter(|(_, _, until)| at.since_start < *until);
        let settled = self.settled.is_some_and(|(lower, upper, _)| (lower..=upper).contains(&value));
        let counts = self.samples > watch.warm_up && !settled && far(watch, value, self.expected);
        self.score = if counts { verdict.score } else { 0.0 };

        let Some(open) = &mut self.open else {
            if self.score < 1.0 {
                return None;
            }
            *next += 1;
            let confirmed = (watch.confirm.0 == 1 && watch.hold.is_zero()).then_some(at);
            self.open = Some(Open {
                id: *next,
                began: at,
                confirmed,
                score: self.score,
                expected: self.expected,
                lower: self.lower,
                upper: self.upper,
                seen: 1,
                odd: 1,
                mean: value,
                least: value,
                greatest: value,
            });
            return Some(Change::Begins);
        };
        let outside = !(open.lower..=open.upper).contains(&value) && far(watch, value, open.expected);
        open.score = open.score.max(self.score);
        open.seen = open.seen.saturating_add(1);
        open.odd = open.odd << 1 | u32::from(self.score >= 1.0 || outside);
        open.mean += (value - open.mean) / f64::from(open.seen);
        (open.least, open.greatest) = (open.least.min(value), open.greatest.max(value));
        let (k, n) = watch.confirm;
        let enough = (open.odd & (u32::MAX >> (32 - n))).count_ones() >= k;
        let lasted = at.since(&open.began);
        if !enough && open.seen >= n {
            return self.open.take().map(Change::Ends);
        }
        let adapted = !watch.adapt_after.is_zero() && lasted >= watch.adapt_after && enough;
        if adapted || verdict.shift.is_some() {
            return self.shift(watch, at);
        }
        if enough && open.confirmed.is_none() && lasted >= watch.hold {
            open.confirmed = Some(at);
            return Some(Change::Confirmed);
        }
        None
    }

    fn shift(&mut self, watch: &Watch, at: Moment) -> Option<Change> {
        let open = self.open.take()?;
        let reach = (BREADTH * self.band.sigma()).max(watch.min_abs).max(open.greatest - open.least);
        let (lower, upper) = (open.least - reach / 2.0, open.greatest + reach / 2.0);
        // By then the detector has seen the level as often again.
        self.settled =
            Some((lower, upper, at.since_start + 6 * watch.adapt_after.max(at.since(&open.began))));
        // The sigma of the old level stays until the new one has taught its own.
        (self.band.mean, self.band.seen) = (open.mean, 11.0);
        let to = open.mean;
        Some(Change::Shifts(open, to))
    }

    /// Ends what lasts, since nothing comes any more.
    pub(super) fn end(&mut self) -> Option<Change> {
        self.score = 0.0;
        self.open.take().map(Change::Ends)
    }
}

/// Is the value far enough from what is expected, on a side that counts? Where nothing is expected all is.
fn far(watch: &Watch, value: f64, expected: f64) -> bool {
    if expected.is_nan() {
        return true;
    }
    let off = value - expected;
    let side = match watch.direction {
        Direction::Both => true,
        Direction::Above => off > 0.0,
        Direction::Below => off < 0.0,
    };
    side && off.abs() >= watch.min_abs.max(watch.min_rel * expected.abs())
}
