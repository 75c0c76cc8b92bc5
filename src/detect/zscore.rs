//! The rolling z-score: distance from the mean of a window in its standard deviations.
//!
//! z = (x − mean) / sd, with mean and sd of the last `window` values as they were learnt, that is with outliers limited to the
//! band: the winsorised mean and deviation (Wilcox, *Introduction to Robust Estimation and Hypothesis Testing*, 3.3.2), which is
//! what makes the sigma a robust one. Mean and sum of squares are moved from row to row (Welford 1962, with a value leaving as one
//! enters) and summed anew once a window, so that rounding does not add up.

use super::band::{Baseline, Expectation};
use super::window::Window;

#[derive(Debug)]
pub(super) struct Zscore {
    window: Window,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    /// Rows since all was summed anew.
    moved: usize,
}

impl Zscore {
    pub(super) fn new(window: usize) -> Self {
        Zscore { window: Window::new(window), mean: 0.0, squares: 0.0, moved: 0 }
    }

    fn sum(&mut self) {
        let values = self.window.values();
        let n = values.len().max(1) as f64;
        self.mean = values.iter().map(|value| value / n).sum();
        self.squares = values.iter().map(|value| (value - self.mean).powi(2)).sum();
        self.moved = 0;
    }
}

impl Baseline for Zscore {
    fn expect(&self, _: i64) -> Option<Expectation> {
        let n = self.window.values().len();
        let sigma = (self.squares / n.saturating_sub(1).max(1) as f64).sqrt();
        (n > 1).then_some(Expectation { center: self.mean, sigma })
    }

    fn learn(&mut self, _: i64, value: f64) {
        let before = self.mean;
        match self.window.push(value) {
            Some(old) => {
                self.mean += (value - old) / self.window.values().len() as f64;
                self.squares += (value - old) * (value - self.mean + old - before);
            }
            None => {
                self.mean += (value - before) / self.window.values().len() as f64;
                self.squares += (value - before) * (value - self.mean);
            }
        }
        self.squares = self.squares.max(0.0);
        self.moved += 1;
        if self.moved >= self.window.values().len() || !self.squares.is_finite() {
            self.sum();
        }
    }

    fn settle(&mut self, _: &[(i64, f64)]) {
        self.window.clean();
        self.sum();
    }

    fn shift(&mut self, recent: &[(i64, f64)]) {
        self.window.refill(recent.iter().map(|row| row.1));
        self.settle(recent);
    }

    fn heap(&self) -> usize {
        self.window.heap()
    }
}
