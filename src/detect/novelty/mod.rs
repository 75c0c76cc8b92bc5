//! Novelty: how rarely a level has been seen, least of all after those before it.
//!
//! A z-score asks how far a value is from the others, and its threshold means something else for every series. This detector asks
//! how often values were where this one is, and tells the surprise −log₂ p in bits, whose threshold is the same for
//! every unit, range and shape. It needs no training: its tables grow from the first two values that differ.
//!
//! The way of a row: the [`Limiter`](limiter::Limiter) bounds how far one outlier can widen anything behind it. Several views of
//! the series (the value after that of some 10 and of some 100 rows ago, the mean of the last 30, their roughness and range, the value at
//! this hour of the day) each have a [`Levels`](levels::Levels) table, four with shifted cells where one cell's edge could
//! decide, and their bits are averaged: a mean of views was better in every measure than their maximum or a product. The
//! [`Gate`](gate::Gate) then lets through only what is stranger than all of the last 150 rows, and less of it the more it has
//! spoken lately, so that one episode is one alarm.
//!
//! Lags and windows are counted in rows and made for rows of a minute to an hour; [`Blocks`](super::blocks::Blocks) merges faster
//! ones first. Nothing knows the range, the unit or the length of the series; each row is judged before it is learnt.
//! Outliers fade (limiter, narrowing of the tables), lasting changes become normal (all counts halve every 4,000 rows).

mod gate;
mod levels;
mod limiter;

use self::gate::Gate;
use self::levels::{Context, Levels};
use self::limiter::Limiter;
use super::{Detector, MAX_SCORE, Verdict};

/// Tables of a view: their cells differ in size by a factor of 2^¼ and lie at other places.
const TABLES: usize = 4;
/// The longer lags, around 100, one for each table, so that no single one decides: those of a table with finer cells are mixed
/// with those of a coarser one. One lag for all loses a point.
const LONG: [usize; TABLES] = [58, 120, 83, 173];
/// The shorter lags, around 10, of the value only.
const SHORT: [usize; TABLES] = [6, 12, 8, 17];
/// Rows of which each view keeps its past: the longest lag.
const PAST: usize = 173;
/// Rows over which mean, roughness and range are taken.
const RECENT: usize = 30;
/// The row at which it is looked whether the first ones were outliers, against which nothing can limit the scale.
const BEGUN: u64 = 64;
/// Bits at which [`Detector::share`] is 1.
const FULL: f64 = 64.0;

/// See the module.
#[derive(Debug)]
pub(super) struct Novelty {
    /// Bits at which the score is 1.
    threshold: f64,
    /// Rows before which the score is 0.
    min_samples: u64,
    rows: u64,
    limiter: Limiter,
    recent: Recent,
    short: [Levels; TABLES],
    value: View,
    mean: View,
    texture: Option<Box<Texture>>,
    hour: Levels,
    gate: Gate,
}

/// What the last rows look like besides their level: sees denser spikes, other noise and stalled cycles.
#[derive(Debug)]
struct Texture {
    roughness: View,
    range: View,
}

impl Novelty {
    pub(super) fn new(threshold: f64, min_samples: u64, texture: bool) -> Self {
        Novelty {
            threshold,
            min_samples,
            rows: 0,
            limiter: Limiter::default(),
            recent: Recent::default(),
            short: tables(),
            value: View::default(),
            mean: View::default(),
            texture: texture
                .then(|| Box::new(Texture { roughness: View::default(), range: View::default() })),
            hour: Levels::new(1.0, 0.0),
            gate: Gate::default(),
        }
    }

    /// Begins all tables anew.
    fn forget(&mut self) {
        let texture = self.texture.as_deref_mut();
        let views = [&mut self.value, &mut self.mean].into_iter();
        let views = views.chain(texture.into_iter().flat_map(|both| [&mut both.roughness, &mut both.range]));
        views.for_each(|view| view.tables = tables());
        self.short = tables();
        self.hour = Levels::new(1.0, 0.0);
    }

    /// The bits that this row emits, after the gate; 0 for most rows.
    fn bits(&mut self, t_ms: i64, value: f64) -> f64 {
        let value = self.limiter.limit(value);
        self.recent.push(value);
        let row = self.rows;
        self.rows += 1;
        if row == BEGUN && self.limiter.restart(self.recent.low_high()) {
            self.forget();
        }

        // Probabilities are multiplied and the logarithm is taken once; the least product possible is far above 2^-1000.
        let past = &self.value.past;
        let short = self.short.iter_mut().zip(SHORT);
        let short: f64 = short.map(|(table, lag)| table.learn(value, past.ago(lag, row).into())).product();
        let mut product = short * self.value.learn(row, value) * self.mean.learn(row, self.recent.mean());
        let mut views = 4.0;
        if let Some(texture) = &mut self.texture {
            // Both count half: more of them loses on the copies of NAB, none at all loses what only they see.
            let roughness = texture.roughness.learn(row, self.recent.roughness());
            product *= (roughness * texture.range.learn(row, self.recent.range())).sqrt();
            views += 1.0;
        }
        let hour = t_ms.div_euclid(3_600_000).rem_euclid(24) as usize;
        product *= self.hour.learn(value, Context::Fixed(hour)).powi(TABLES as i32);
        let surprise = -product.log2() / (views * TABLES as f64);
        self.gate.pass(surprise)
    }
}

impl Detector for Novelty {
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::UNKNOWN;
        }
        let [lower, expected, upper] = self.value.tables[0].quantiles([0.025, 0.5, 0.975]);
        let bits = self.bits(t_ms, value);
        if self.rows <= self.min_samples {
            return Verdict::UNKNOWN;
        }
        let score = (bits / self.threshold).min(MAX_SCORE);
        Verdict { score, expected, lower, upper, shift: None }
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.texture.as_ref().map_or(0, |_| size_of::<Texture>()) + self.gate.heap()
    }

    fn share(&self, score: f64) -> f64 {
        (score * self.threshold / FULL).min(1.0)
    }
}

fn tables() -> [Levels; TABLES] {
    // The golden ratio spreads the shifts evenly, however many there are.
    std::array::from_fn(|j| Levels::new((j as f64 / 4.0).exp2(), (0.618 * j as f64).fract()))
}

/// One figure of the series, judged by what it was about 100 rows ago.
#[derive(Debug)]
struct View {
    tables: [Levels; TABLES],
    past: Past,
}

impl Default for View {
    fn default() -> Self {
        View { tables: tables(), past: Past([0.0; PAST]) }
    }
}

impl View {
    /// The product of the probabilities that the tables gave to `value`, which they now know.
    fn learn(&mut self, row: u64, value: f64) -> f64 {
        let past = &self.past;
        let tables = self.tables.iter_mut().zip(LONG);
        let product = tables.map(|(table, lag)| table.learn(value, past.ago(lag, row).into())).product();
        self.past.0[(row % PAST as u64) as usize] = value;
        product
    }
}

/// The last values of a view, by their row.
#[derive(Debug)]
struct Past([f64; PAST]);

impl Past {
    /// The value `lag` rows before `row`, at most [`PAST`]; `None` before there was one.
    fn ago(&self, lag: usize, row: u64) -> Option<f64> {
        let at = row.checked_sub(lag as u64)?;
        Some(self.0[(at % PAST as u64) as usize])
    }
}

/// The last values and the distances between them, in the order of a ring; before there are so many, the first value stands for
/// those missing.
#[derive(Debug)]
struct Recent {
    values: [f64; RECENT],
    distances: [f64; RECENT],
    at: usize,
    last: f64,
}

impl Default for Recent {
    fn default() -> Self {
        Recent { values: [0.0; RECENT], distances: [0.0; RECENT], at: 0, last: f64::NAN }
    }
}

impl Recent {
    fn push(&mut self, value: f64) {
        if self.last.is_nan() {
            (self.values, self.last) = ([value; RECENT], value);
        }
        self.values[self.at] = value;
        self.distances[self.at] = (value - self.last).abs();
        self.at = (self.at + 1) % RECENT;
        self.last = value;
    }

    fn mean(&self) -> f64 {
        sum(&self.values) / RECENT as f64
    }

    /// Mean distance from one row to the next.
    fn roughness(&self) -> f64 {
        sum(&self.distances) / RECENT as f64
    }

    fn low_high(&self) -> (f64, f64) {
        let low = fold(&self.values, f64::min);
        (low, fold(&self.values, f64::max))
    }

    fn range(&self) -> f64 {
        let (low, high) = self.low_high();
        high - low
    }
}

/// Summed anew each row: a running sum would start the tables on its rounding noise.
fn sum(values: &[f64; RECENT]) -> f64 {
    fold(values, |a, b| a + b)
}

/// All values in one, six at a time, since each step of a single chain would wait for the one before.
fn fold(values: &[f64; RECENT], with: impl Fn(f64, f64) -> f64) -> f64 {
    let (chunks, _) = values.as_chunks::<6>();
    let mut lanes = chunks[0];
    for chunk in &chunks[1..] {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane = with(*lane, *value));
    }
    with(with(with(lanes[0], lanes[1]), with(lanes[2], lanes[3])), with(lanes[4], lanes[5]))
}

#[cfg(test)]
mod tests;
