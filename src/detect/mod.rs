//! Anomalies: values that a series has not taught us to expect.
//!
//! A [`Detector`] is one pass over one series: a value in, a [`Verdict`] out, no look ahead, memory bounded and known. It does
//! not know what the series is; who feeds it has made a rate of a counter and a quantile of a histogram.

/// Settings of the detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}

/// One way to tell what is unusual, over one series.
pub trait Detector: Send + std::fmt::Debug {
    /// Judges the next value and learns it. `t_ms` is its time, Unix milliseconds, never before that of the last one. A value that
    /// is not finite is not learnt and has score 0.
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict;

    /// Memory of its state in bytes, itself and what it points at; an upper bound that it never exceeds.
    fn memory(&self) -> usize;
}

/// What a detector says of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// How strange it is: 1 is the threshold of the detector, 0 is usual. Capped at 100, never NaN.
    pub score: f64,
    /// What was expected, where the detector expects something in particular; NaN before it has learnt enough.
    pub expected: f64,
    /// Lower end of what counts as usual; NaN as above.
    pub lower: f64,
    /// Upper end of it.
    pub upper: f64,
}

impl Verdict {
    /// Nothing to say yet.
    pub const UNKNOWN: Verdict = Verdict { score: 0.0, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };
}
