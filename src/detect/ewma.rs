//! The exponentially weighted mean: distance from it in the deviation that is weighted alike.
//!
//! m += α (x − m), v = (1 − α) (v + α (x − m)²), with α = 1 − 2^(−1 / half_life): the control chart of Roberts (1959) with the
//! incremental variance of Finch (*Incremental calculation of weighted mean and variance*, 2009, section 9). What it remembers fades
//! row by row, so unlike a window it needs two numbers only.

use super::band::{Baseline, Expectation};
use super::window::usual;

#[derive(Debug)]
pub(super) struct Ewma {
    alpha: f64,
    mean: f64,
    variance: f64,
    rows: f64,
}

impl Ewma {
    /// A row counts half after `half_life` rows.
    pub(super) fn new(half_life: f64) -> Self {
        Ewma { alpha: 1.0 - (-1.0 / half_life).exp2(), mean: 0.0, variance: 0.0, rows: 0.0 }
    }
}

impl Baseline for Ewma {
    fn expect(&self, _: i64) -> Option<Expectation> {
        (self.rows > 1.0).then_some(Expectation { center: self.mean, sigma: self.variance.sqrt() })
    }

    fn learn(&mut self, _: i64, value: f64) {
        self.rows += 1.0;
        // The first rows count alike: an exponential weight would count the first one for all before it.
        let alpha = self.alpha.max(1.0 / self.rows);
        let (before, off) = (self.mean, value - self.mean);
        self.mean += alpha * off;
        self.variance = (1.0 - alpha) * (self.variance + off * (self.mean - before));
    }

    fn settle(&mut self, recent: &[(i64, f64)]) {
        let mut values: Vec<f64> = recent.iter().map(|row| row.1).collect();
        let (low, high) = usual(&mut values);
        *self = Ewma { mean: 0.0, variance: 0.0, rows: 0.0, ..*self };
        recent.iter().for_each(|(t_ms, value)| self.learn(*t_ms, value.clamp(low, high)));
    }

    fn shift(&mut self, recent: &[(i64, f64)]) {
        self.settle(recent);
    }

    fn heap(&self) -> usize {
        0
    }
}
