//! Sums that carry what rounding loses (Kahan's, with Neumaier's improvement).

/// A running sum and its compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) sum: f64,
    pub(super) rest: f64,
}

impl Sum {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.rest = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.rest += (self.sum - total) + value;
        } else {
            self.rest += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// With more values, as [`sum_of`].
    #[inline]
    pub(super) fn and(self, values: impl Iterator<Item = f64>) -> Option<Sum> {
        let Sum { mut sum, mut rest } = self;
        for value in values {
            let total = sum + value;
            let added = total - sum;
            rest += (sum - (total - added)) + (value - added);
            sum = total;
        }
        // An infinity or NaN on the way leaves a NaN here.
        (sum.is_finite() && rest.is_finite()).then_some(Sum { sum, rest })
    }

    #[inline]
    pub(super) fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.rest }
    }
}

/// The sum of many values at once. Where no partial sum overflows it is that of [`Sum`], without a branch for each value:
/// Knuth's way gives the same error of each addition as Neumaier's.
#[inline]
pub(super) fn sum_of(values: impl Iterator<Item = f64>) -> Option<Sum> {
    Sum::default().and(values)
}

/// A running mean: the sum over the count while the sum fits in a double, then corrected value by value.
///
/// The direct way is more exact; only where it would overflow the other takes over
/// (prometheus/prometheus#16714).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    count: f64,
    state: Sum,
    incremental: bool,
}

impl Mean {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.state = Sum { sum: value, rest: 0.0 };
            return;
        }
        if !self.incremental {
            let mut next = self.state;
            next.add(value);
            if !next.sum.is_infinite() {
                self.state = next;
                return;
            }
            self.incremental = true;
            self.state.sum /= self.count - 1.0;
            self.state.rest /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.state.sum *= share;
        self.state.rest *= share;
        self.state.add(value / self.count);
    }

    #[inline]
    pub(super) fn value(self) -> f64 {
        if self.incremental {
            self.state.sum + self.state.rest
        } else {
            self.state.sum / self.count + self.state.rest / self.count
        }
    }
}

/// A running variance (Welford's), both sums compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.rest);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - (self.mean.sum + self.mean.rest)));
    }

    #[inline]
    pub(super) fn value(self) -> f64 {
        (self.squares.sum + self.squares.rest) / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_between_large_ones() {
        let mut sum = Sum::default();
        [2.0, 1e100, 8.0, -1e100].into_iter().for_each(|v| sum.add(v));
        assert_eq!(sum.value(), 10.0);
    }

    #[test]
    fn summing_at_once_gives_the_same_sum() {
        let values = [5.3, 1e-9, -7e20, 0.1, 7e20, 3e7, -0.0, 1e300, -1e300, 0.3];
        let mut one_by_one = Sum::default();
        values.iter().for_each(|&value| one_by_one.add(value));
        let at_once = sum_of(values.into_iter()).expect("nothing overflows");
        assert_eq!((at_once.sum, at_once.rest), (one_by_one.sum, one_by_one.rest));
        assert!(sum_of([1e308, 1e308, -1e308].into_iter()).is_none());
        assert!(sum_of([1.0, f64::NAN].into_iter()).is_none());
    }

    #[test]
    fn a_mean_exists_where_the_sum_overflows() {
        let mut mean = Mean::default();
        (0..4).for_each(|_| mean.add(9e307));
        assert_eq!(mean.value(), 9e307);
    }
}
