//! How far one value may be from all before it.

/// Spans of the range by which a value may leave it: fewer cost detection, more would let one outlier coarsen the tables behind.
const SPANS: f64 = 31.0;

/// Rows in which the range closes in on the values by a factor of e.
const FADE: f64 = 5_000.0;

/// Larger values are all alike; keeps differences and spans finite.
const HUGE: f64 = 1e300;

/// A running range, and what it lets through.
///
/// One outlier, however large, widens the range by 31 spans at most; a lasting change of scale is followed within a few rows.
#[derive(Debug)]
pub(super) struct Limiter {
    low: f64,
    high: f64,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter { low: f64::NAN, high: f64::NAN }
    }
}

impl Limiter {
    /// `value`, limited by those before it.
    pub(super) fn limit(&mut self, value: f64) -> f64 {
        let value = rounded(value.clamp(-HUGE, HUGE));
        if self.low.is_nan() {
            (self.low, self.high) = (value, value);
        } else if self.low == self.high {
            (self.low, self.high) = (self.low.min(value), self.high.max(value));
        } else {
            let reach = (self.high - self.low) * SPANS;
            let limited = value.clamp(self.low - reach, self.high + reach);
            (self.low, self.high) = (self.low.min(limited), self.high.max(limited));
            self.low += (limited - self.low) / FADE;
            self.high += (limited - self.high) / FADE;
            return limited;
        }
        value
    }

    /// Takes the range of the last values for its own if that would have limited some value before them; whether it did.
    pub(super) fn restart(&mut self, (low, high): (f64, f64)) -> bool {
        let reach = (high - low) * SPANS;
        let limits = self.low < low - reach || self.high > high + reach;
        if limits {
            (self.low, self.high) = (low, high);
        }
        limits
    }
}

/// The value without its last 12 bits, a part in 10¹²: what rounding leaves of equal values is equal again, and not noise with
/// levels of its own.
fn rounded(value: f64) -> f64 {
    f64::from_bits((value.to_bits() + 0x800) & !0xFFF)
}
