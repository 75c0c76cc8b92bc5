//! Judging a value by how far it is from what is expected: what the z-score family has in common.
//!
//! A [`Baseline`] says what it expects and how far values usually are from it. [`Banded`] makes verdicts of that:
//!
//! - **Warm-up**: score 0 until `min_samples` rows. What was learnt by then is cleaned of outliers (median ± 5 robust sigma), so
//!   that one bad value at the start does not blind for a whole window.
//! - **Floors**: sigma counts as at least `floor_abs` and `floor_rel` of what is expected, so that a constant series does not
//!   alarm on the last bit of a float.
//! - **k of n**: the score is the k-th greatest of the last n rows on one side, so it reaches 1 when k of them are beyond.
//! - **Winsorising** (Tukey 1962): a value beyond the band is learnt as the edge of the band, so an outlier moves what is expected
//!   no further than an ordinary value could.
//! - **New normal**: of an excursion to one side that lasts more than n rows nothing is learnt. If it lasts `adapt_after`, and at
//!   least [`ADAPT_ROWS`] rows, it is taken for the new level: the baseline begins anew from the raw values of the excursion, and the verdict tells the [`Shift`].

use super::{Detector, LARGEST, MAX_SCORE, Shift, Verdict};

/// Raw rows kept to begin anew from.
const RECENT: usize = 64;

/// An excursion of fewer rows says too little about its own spread, however long it takes.
const ADAPT_ROWS: usize = 10;

/// Standard deviation of a normal distribution in its median absolute deviations: 1 / Φ⁻¹(3/4).
pub(super) const SIGMA_PER_MAD: f64 = 1.482_602_218_505_602;

/// What is expected of the next value, and the standard deviation around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    pub(super) center: f64,
    pub(super) sigma: f64,
}

/// What a detector expects of the next value.
pub(super) trait Baseline: Send + std::fmt::Debug {
    /// What it expects at this time; `None` before it has learnt enough.
    fn expect(&self, t_ms: i64) -> Option<Expectation>;

    /// Learns a value, no further out than the band was.
    fn learn(&mut self, t_ms: i64, value: f64);

    /// The warm-up has ended: clean what was learnt of outliers. `recent` are the last rows, raw.
    fn settle(&mut self, recent: &[(i64, f64)]);

    /// A new normal: forget what no longer holds and begin anew from these rows, at least [`ADAPT_ROWS`].
    fn shift(&mut self, recent: &[(i64, f64)]);

    /// Bytes it points at.
    fn heap(&self) -> usize;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Both,
    Above,
    Below,
}

/// See the parameters of the same names in `spec.rs`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) threshold: f64,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) direction: Direction,
    pub(super) min_abs: f64,
    pub(super) min_rel: f64,
    pub(super) floor_abs: f64,
    pub(super) floor_rel: f64,
    pub(super) min_samples: usize,
    /// 0: never.
    pub(super) adapt_after_ms: i64,
}

/// A baseline and what makes verdicts of it.
#[derive(Debug)]
pub(super) struct Banded<B> {
    settings: Settings,
    baseline: B,
    seen: usize,
    /// The last raw rows, the oldest first.
    recent: Vec<(i64, f64)>,
    /// The last n distances in units of the band, signed, as a ring.
    last: Vec<f64>,
    at: usize,
    excursion: Option<Excursion>,
    /// Sigma counts as no less than this for so many rows: after a shift it is known from a few rows only.
    held: (f64, usize),
}

#[derive(Clone, Copy, Debug)]
struct Excursion {
    above: bool,
    since_ms: i64,
    from: f64,
    rows: usize,
}

impl<B: Baseline> Banded<B> {
    pub(super) fn new(settings: Settings, baseline: B) -> Self {
        let (recent, last) = (Vec::with_capacity(RECENT), vec![0.0; settings.n]);
        Banded { settings, baseline, seen: 0, recent, last, at: 0, excursion: None, held: (0.0, 0) }
    }

    /// The k-th greatest of the last distances on one side; 0 when fewer are on that side.
    fn kth(&self, above: bool) -> f64 {
        let mut sorted = [0.0_f64; 32];
        let sorted = &mut sorted[..self.last.len()];
        for (to, distance) in sorted.iter_mut().zip(&self.last) {
            *to = if above { *distance } else { -*distance };
        }
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        sorted[self.settings.k - 1].max(0.0)
    }

    /// Follows an excursion, and ends it as a new normal when it has lasted.
    fn follow(&mut self, t_ms: i64, distance: f64, expected: Expectation) -> Option<Shift> {
        if let Some(excursion) = &mut self.excursion {
            excursion.rows += 1;
        }
        if let Some(Excursion { above, .. }) = self.excursion
            && (distance.abs() <= 1.0 || (distance > 0.0) != above)
            && self.kth(above) < 1.0
        {
            self.excursion = None;
        }
        if self.excursion.is_none() && distance.abs() > 1.0 {
            let (above, since_ms, from) = (distance > 0.0, t_ms, expected.center);
            self.excursion = Some(Excursion { above, since_ms, from, rows: 1 });
        }
        let excursion = self.excursion?;
        let lasted = t_ms.saturating_sub(excursion.since_ms) >= self.settings.adapt_after_ms;
        if self.settings.adapt_after_ms == 0 || !lasted || excursion.rows < ADAPT_ROWS {
            return None;
        }
        let rows = excursion.rows.min(self.recent.len());
        self.baseline.shift(&self.recent[self.recent.len() - rows..]);
        self.excursion = None;
        self.last.fill(0.0);
        self.held = (expected.sigma, self.settings.min_samples);
        let to = self.baseline.expect(t_ms).map_or(excursion.from, |new| new.center);
        Some(Shift { since_ms: excursion.since_ms, from: excursion.from, to })
    }

    /// Judges and learns a value, as [`Detector::observe`]; where what is judged is a change, `level` is the size of what changes,
    /// of which shares are taken too.
    pub(super) fn judge(&mut self, t_ms: i64, value: f64, level: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::UNKNOWN;
        }
        let value = value.clamp(-LARGEST, LARGEST);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((t_ms, value));
        let settings = self.settings;
        self.seen = self.seen.saturating_add(1);
        if self.seen <= settings.min_samples {
            self.baseline.learn(t_ms, value);
            if self.seen == settings.min_samples {
                self.baseline.settle(&self.recent);
            }
            return Verdict::UNKNOWN;
        }
        let Some(mut expected) = self.baseline.expect(t_ms) else {
            self.baseline.learn(t_ms, value);
            return Verdict::UNKNOWN;
        };
        if self.held.1 > 0 {
            self.held.1 -= 1;
            expected.sigma = expected.sigma.max(self.held.0);
        }
        let Expectation { center, sigma } = expected;
        let size = center.abs().max(level);
        let sigma = sigma.max(settings.floor_abs).max(settings.floor_rel * size);
        let reach = (settings.threshold * sigma).max(settings.min_abs).max(settings.min_rel * size);
        // Neither overflow of the difference nor a reach of 0 may make a NaN.
        let distance = ((value - center) / reach.max(f64::MIN_POSITIVE)).clamp(-MAX_SCORE, MAX_SCORE);
        let distance = if distance.is_nan() { 0.0 } else { distance };
        self.last[self.at] = distance;
        self.at = (self.at + 1) % self.last.len();
        let score = match settings.direction {
            Direction::Both => self.kth(true).max(self.kth(false)),
            Direction::Above => self.kth(true),
            Direction::Below => self.kth(false),
        };
        if self.excursion.is_none_or(|excursion| excursion.rows <= settings.n) {
            self.baseline.learn(t_ms, value.clamp(center - reach, center + reach));
        }
        let shift = self.follow(t_ms, distance, Expectation { center, sigma });
        Verdict { score, expected: center, lower: center - reach, upper: center + reach, shift }
    }
}

impl<B: Baseline> Detector for Banded<B> {
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict {
        self.judge(t_ms, value, 0.0)
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + RECENT * size_of::<(i64, f64)>()
            + self.settings.n * size_of::<f64>()
            + self.baseline.heap()
    }
}

#[cfg(test)]
mod tests;
