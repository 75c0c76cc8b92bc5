//! The last values of a series, and medians of sorted ones.

use super::band::SIGMA_PER_MAD;

/// The last `size` values.
#[derive(Debug)]
pub(super) struct Window {
    values: Vec<f64>,
    size: usize,
    /// Where the next value goes once it is full: the oldest one.
    at: usize,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Window { values: Vec::with_capacity(size), size, at: 0 }
    }

    /// Takes a value, and gives the one that it replaces.
    pub(super) fn push(&mut self, value: f64) -> Option<f64> {
        if self.values.len() < self.size {
            self.values.push(value);
            return None;
        }
        let old = std::mem::replace(&mut self.values[self.at], value);
        self.at = (self.at + 1) % self.size;
        Some(old)
    }

    /// Starts again with the last of these values.
    pub(super) fn refill(&mut self, values: impl ExactSizeIterator<Item = f64>) {
        self.values.clear();
        self.at = 0;
        let skip = values.len().saturating_sub(self.size);
        self.values.extend(values.skip(skip));
    }

    /// Limits each value to what [`usual`] says of all.
    pub(super) fn clean(&mut self) {
        let mut sorted = self.values.clone();
        let (low, high) = usual(&mut sorted);
        self.values.iter_mut().for_each(|value| *value = value.clamp(low, high));
    }

    /// The values, in no particular order.
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    pub(super) fn heap(&self) -> usize {
        self.size * size_of::<f64>()
    }
}

/// Median ± 5 robust sigma of these values, which are sorted on the way; all values when half of them are equal, since
/// then the deviation says nothing.
pub(super) fn usual(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let median = median(values);
    match mad(values, median) * SIGMA_PER_MAD * 5.0 {
        0.0 => (f64::MIN, f64::MAX),
        reach => (median - reach, median + reach),
    }
}

/// The median of sorted values; the mean of the two in the middle of an even number, 0 of none.
pub(super) fn median(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 1 => sorted[half],
        (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The median of the distances of sorted values from their `median`, of the two in the middle the greater one; 0 of none.
///
/// The distances are two sorted rows, to the left and to the right of the median: the k-th of both is found by halving.
pub(super) fn mad(sorted: &[f64], median: f64) -> f64 {
    let n = sorted.len();
    let split = sorted.partition_point(|value| *value < median);
    let left = |i: usize| median - sorted[split - 1 - i];
    let right = |i: usize| sorted[split + i] - median;
    let k = n / 2; // so many distances are smaller, or as small
    let (mut low, mut high) = (k.saturating_sub(n - split), k.min(split));
    // How many of the k smallest are on the left: the first count whose next one on the left is not below the last on the right.
    while low < high {
        let taken = usize::midpoint(low, high);
        if left(taken) < right(k - taken - 1) { low = taken + 1 } else { high = taken }
    }
    let next_left = if low < split { left(low) } else { f64::INFINITY };
    let next_right = if k - low < n - split { right(k - low) } else { f64::INFINITY };
    let next = next_left.min(next_right);
    if next.is_finite() { next } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_mad_is_the_middle_one_of_the_sorted_distances(mut values in proptest::collection::vec(-9_i32..9, 1..40)) {
            values.sort_unstable();
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let median = median(&values);
            let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
            distances.sort_unstable_by(f64::total_cmp);
            prop_assert_eq!(mad(&values, median), distances[values.len() / 2]);
        }
    }

    #[test]
    fn a_full_window_gives_back_its_oldest_value() {
        let mut window = Window::new(2);
        assert_eq!([1.0, 2.0, 3.0, 4.0].map(|value| window.push(value)), [None, None, Some(1.0), Some(2.0)]);
        window.refill([5.0, 6.0, 7.0].into_iter());
        assert_eq!(window.values(), [6.0, 7.0]);
    }
}
