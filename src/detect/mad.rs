//! The robust z-score: distance from the median of a window in its median absolute deviations.
//!
//! (x − median) / (1.4826 · MAD): the modified z-score of Iglewicz and Hoaglin (*How to Detect and Handle Outliers*, 1993), who
//! recommend 3.5. Half of the window may be outliers before it moves. The values are kept sorted, so that both medians are found
//! by halving.

use super::band::{Baseline, Expectation, SIGMA_PER_MAD};
use super::window::{Window, mad, median};

#[derive(Debug)]
pub(super) struct Mad {
    window: Window,
    sorted: Vec<f64>,
}

impl Mad {
    pub(super) fn new(window: usize) -> Self {
        Mad { window: Window::new(window), sorted: Vec::with_capacity(window + 1) }
    }
}

impl Baseline for Mad {
    fn expect(&self, _: i64) -> Option<Expectation> {
        let center = median(&self.sorted);
        let sigma = mad(&self.sorted, center) * SIGMA_PER_MAD;
        (self.sorted.len() > 1).then_some(Expectation { center, sigma })
    }

    fn learn(&mut self, _: i64, value: f64) {
        let place =
            |sorted: &[f64], value: f64| sorted.partition_point(|other| other.total_cmp(&value).is_lt());
        if let Some(old) = self.window.push(value) {
            self.sorted.remove(place(&self.sorted, old));
        }
        self.sorted.insert(place(&self.sorted, value), value);
    }

    /// The median minds no outlier.
    fn settle(&mut self, _: &[(i64, f64)]) {}

    fn shift(&mut self, recent: &[(i64, f64)]) {
        self.window.refill(recent.iter().map(|row| row.1));
        self.sorted.clear();
        self.sorted.extend_from_slice(self.window.values());
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    fn heap(&self) -> usize {
        self.window.heap() + self.sorted.capacity() * size_of::<f64>()
    }
}
