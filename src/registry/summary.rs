//! Summaries, which prometheus-client does not have.

use std::sync::{Arc, Mutex, PoisonError};

use super::counter::positive;
use super::error::ValueError;
use super::instrument::{Instrument, Lines, Refused, bound_text};
use crate::series::Kind;

/// Which quantiles a summary tells, and of how many observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// Each with its text.
    quantiles: Arc<[(f64, Box<str>)]>,
    window: usize,
}

/// Why quantiles were refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum QuantileError {
    /// A quantile lies in 0..=1, above the one before it.
    #[error("quantile {0} does not lie between 0 and 1 and above the one before it")]
    Quantile(f64),
    /// The window has 1 to 65,536 observations.
    #[error("a window of {0} observations is not between 1 and 65536")]
    Window(usize),
}

impl Quantiles {
    /// These quantiles, strictly increasing, of the last `window` observations. A summary keeps eight bytes for
    /// each observation of its window, and sorts them for each page (1,024 take about 10 µs).
    ///
    /// # Errors
    /// [`QuantileError`].
    pub fn new(quantiles: &[f64], window: usize) -> Result<Self, QuantileError> {
        let mut last = -1.0;
        for &quantile in quantiles {
            if !(0.0..=1.0).contains(&quantile) || quantile <= last {
                return Err(QuantileError::Quantile(quantile));
            }
            last = quantile;
        }
        if !(1..=65_536).contains(&window) {
            return Err(QuantileError::Window(window));
        }
        let quantiles = quantiles.iter().map(|q| (*q, bound_text(*q).into())).collect();
        Ok(Quantiles { quantiles, window })
    }
}

impl Default for Quantiles {
    /// 0.5, 0.9 and 0.99 of the last 1,024 observations.
    fn default() -> Self {
        Self::new(&[0.5, 0.9, 0.99], 1024).expect("within the limits")
    }
}

/// Quantiles of the last observations, exact, with sum and count of all. Takes a short lock for each observation.
/// Quantiles cannot be combined over instances: where that is wanted, use a [`Histogram`](super::Histogram).
///
/// ```
/// # use gaugecast::registry::{Quantiles, RegisterError, Registry};
/// # let registry = Registry::new();
/// let size = registry.summary(("batch_size_items", "Items in a batch"), Quantiles::default())?;
/// size.observe(12.0); // batch_size_items{quantile="0.5"} 12, …
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    window: Arc<Mutex<Window>>,
    quantiles: Arc<[(f64, Box<str>)]>,
    refused: Refused,
}

#[derive(Debug)]
struct Window {
    /// A ring once it has `size`.
    last: Vec<f64>,
    size: usize,
    next: usize,
    sum: f64,
    count: u64,
}

impl Summary {
    /// Records an observation. What [`try_observe`](Self::try_observe) would refuse is counted in
    /// `gaugecast_registry_refused_total{reason}`, and said in the log in debug builds.
    pub fn observe(&self, value: f64) {
        if let Err(error) = self.try_observe(value) {
            self.refused.count(error);
        }
    }

    /// Records an observation.
    ///
    /// # Errors
    /// `value` is negative, NaN or infinite.
    pub fn try_observe(&self, value: f64) -> Result<(), ValueError> {
        positive(value)?;
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.sum += value;
        window.count += 1;
        if window.last.len() < window.size {
            window.last.push(value);
        } else {
            let at = window.next;
            window.last[at] = value;
            window.next = (at + 1) % window.size;
        }
        Ok(())
    }
}

impl Instrument for Summary {
    const KIND: Kind = Kind::Summary;
    type Config = Quantiles;

    fn create(config: &Quantiles, refused: &Refused) -> Self {
        let window = Window { last: Vec::new(), size: config.window, next: 0, sum: 0.0, count: 0 };
        Summary {
            window: Arc::new(Mutex::new(window)),
            quantiles: Arc::clone(&config.quantiles),
            refused: refused.clone(),
        }
    }

    fn write(&self, lines: &mut Lines<'_>) {
        // Copied out, so that recording does not wait for the sort.
        let (mut last, sum, count) = {
            let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            (window.last.clone(), window.sum, window.count)
        };
        last.sort_unstable_by(f64::total_cmp);
        for (quantile, text) in &*self.quantiles {
            lines.labelled("", "quantile", text, nearest_rank(&last, *quantile));
        }
        lines.float("_sum", sum);
        lines.whole("_count", count);
    }

    fn activity(&self) -> u64 {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}

/// The smallest value that at least the share `quantile` of the sorted values does not exceed; NaN of none.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn nearest_rank(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        for (quantile, want) in [(0.0, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(nearest_rank(&sorted, quantile).to_bits(), f64::to_bits(want), "{quantile}");
        }
        assert!(nearest_rank(&[], 0.5).is_nan());
    }

    #[test]
    fn quantiles_and_windows_out_of_range_are_refused() {
        assert_eq!(Quantiles::new(&[1.5], 1), Err(QuantileError::Quantile(1.5)));
        assert_eq!(Quantiles::new(&[0.5, 0.5], 1), Err(QuantileError::Quantile(0.5)));
        assert!(matches!(Quantiles::new(&[f64::NAN], 1), Err(QuantileError::Quantile(_))));
        assert_eq!(Quantiles::new(&[], 0), Err(QuantileError::Window(0)));
        assert_eq!(Quantiles::new(&[], 65_537), Err(QuantileError::Window(65_537)));
    }
}
