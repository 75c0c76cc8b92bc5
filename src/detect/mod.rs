//! Anomalies: values that a series has not taught us to expect.
//!
//! A [`Detector`] is one pass over one series: a value in, a [`Verdict`] out, no look ahead, memory bounded and known. It does
//! not know what the series is; who feeds it has made a rate of a counter and a quantile of a histogram. A [`Spec`] says which
//! detector with which parameters, read from the words of a configuration or a command line, and builds one for each series.
//!
//! There are two families. [`novelty`](Kind::Novelty) asks how rarely a level has been seen, and needs no range and no unit; it
//! speaks of rows of a minute and more, into which `blocks.rs` merges faster ones. The others expect a value and a spread
//! around it (`band.rs`): they differ in what they expect, and have warm-up, floors, k of n, winsorising and the step to
//! a new normal in common. [`replay`] runs a detector over recorded rows.

mod band;
mod blocks;
mod ewma;
mod mad;
mod novelty;
mod rate;
pub mod replay;
mod seasonal;
mod spec;
mod window;
mod zscore;

pub mod watch;

pub use spec::{Form, Kind, Param, Spec, SpecError};
pub use watch::Config;

/// One way to tell what is unusual, over one series.
pub trait Detector: Send + std::fmt::Debug {
    /// Judges the next value and learns it. `t_ms` is its time, Unix milliseconds, in the order in which values come; a clock that
    /// is set back harms nothing. A value that is not finite is not learnt and has score 0.
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict;

    /// Memory of its state in bytes, itself and what it points at; an upper bound that it never exceeds.
    fn memory(&self) -> usize;

    /// The score as a share of 0..=1, for files in which many detectors are compared. Without a scale of its own
    /// `score / (1 + score)`, so that the threshold is 0.5.
    fn share(&self, score: f64) -> f64 {
        score / (1.0 + score)
    }
}

/// What a detector says of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// How strange it is: 1 is the threshold of the detector, 0 is usual. Capped at [`MAX_SCORE`], never NaN.
    pub score: f64,
    /// What was expected, where the detector expects something in particular; NaN before it has learnt enough.
    pub expected: f64,
    /// Lower end of what counts as usual; NaN as above.
    pub lower: f64,
    /// Upper end of it.
    pub upper: f64,
    /// At the row at which what was strange has lasted so long that it becomes the new normal.
    pub shift: Option<Shift>,
}

/// Larger values are all alike to the detectors that compute with squares and differences, which so stay finite.
pub(crate) const LARGEST: f64 = 1e150;

/// A score never exceeds this.
pub const MAX_SCORE: f64 = 100.0;

/// A lasting change of level, taken for the new normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// When it began, Unix milliseconds.
    pub since_ms: i64,
    /// What was expected at that time.
    pub from: f64,
    /// What is expected from now on.
    pub to: f64,
}

impl Verdict {
    /// Nothing to say yet.
    pub const UNKNOWN: Verdict =
        Verdict { score: 0.0, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN, shift: None };
}
