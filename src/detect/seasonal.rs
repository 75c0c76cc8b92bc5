//! The hour of the day: distance from what this hour was on the days before.
//!
//! Each hour has a mean and a deviation of the days on which it was seen; a day counts as one, however many rows it had, and each of
//! the last [`DAYS_KEPT`] or so alike. What is expected in between is the straight line from the middle of one hour to that of the
//! next, so that a curve does not become 24 steps; the deviation is that from this line, so where the day does make a step the
//! band is wide.

use super::band::{Baseline, Expectation};

/// Days that an hour remembers: a week, so that no day of the week weighs more than another.
const DAYS_KEPT: f64 = 7.0;

const HOUR_MS: i64 = 3_600_000;

#[derive(Debug)]
pub(super) struct Seasonal {
    /// Days on which an hour must have been seen before it is judged.
    days: f64,
    offset_ms: i64,
    hours: [Hour; 24],
    /// The hour that is going on, counted from 1970, and its rows so far.
    now: i64,
    rows: f64,
    mean: f64,
    squares: f64,
    /// Squared distances from the line of the days before.
    off_line: f64,
}

/// What an hour of the day was.
#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    days: f64,
    mean: f64,
    variance: f64,
}

impl Seasonal {
    /// Judges an hour that has been seen on so many days; local time is `offset_ms` ahead of UTC.
    pub(super) fn new(days: f64, offset_ms: i64) -> Self {
        let hours = [Hour::default(); 24];
        Seasonal { days, offset_ms, hours, now: i64::MIN, rows: 0.0, mean: 0.0, squares: 0.0, off_line: 0.0 }
    }

    fn local(&self, t_ms: i64) -> i64 {
        t_ms.saturating_add(self.offset_ms)
    }

    fn hour(&self, hour: i64) -> &Hour {
        &self.hours[hour.rem_euclid(24) as usize]
    }

    /// Takes the hour that has ended to those of the days before.
    fn end_hour(&mut self) {
        if self.rows == 0.0 {
            return;
        }
        let hour = &mut self.hours[self.now.rem_euclid(24) as usize];
        hour.days = (hour.days + 1.0).min(DAYS_KEPT);
        let (share, off) = (1.0 / hour.days, self.mean - hour.mean);
        // There is no line on the first day: then what is within the hour.
        let squares = if hour.days > 1.0 { self.off_line } else { self.squares };
        hour.variance += share * (squares / self.rows - hour.variance);
        hour.mean += share * off;
        self.begin_hour();
    }

    fn begin_hour(&mut self) {
        (self.rows, self.mean, self.squares, self.off_line) = (0.0, 0.0, 0.0, 0.0);
    }

    /// What the line between the hours says.
    fn line(&self, t_ms: i64) -> f64 {
        let local = self.local(t_ms);
        let hour = local.div_euclid(HOUR_MS);
        let here = self.hour(hour);
        let past_middle = local.rem_euclid(HOUR_MS) as f64 / HOUR_MS as f64 - 0.5;
        let next = self.hour(if past_middle < 0.0 { hour - 1 } else { hour + 1 });
        let toward = if next.days > 0.0 { past_middle.abs() } else { 0.0 };
        here.mean + toward * (next.mean - here.mean)
    }
}

impl Baseline for Seasonal {
    fn expect(&self, t_ms: i64) -> Option<Expectation> {
        let here = self.hour(self.local(t_ms).div_euclid(HOUR_MS));
        let known = here.days >= self.days.min(DAYS_KEPT);
        known.then(|| Expectation { center: self.line(t_ms), sigma: here.variance.sqrt() })
    }

    fn learn(&mut self, t_ms: i64, value: f64) {
        let hour = self.local(t_ms).div_euclid(HOUR_MS);
        if hour != self.now {
            self.end_hour();
            self.now = hour;
        }
        self.rows += 1.0;
        let off = value - self.mean;
        self.mean += off / self.rows;
        self.squares += off * (value - self.mean);
        self.off_line += (value - self.line(t_ms)).powi(2);
    }

    /// An hour counts only days later, by its mean: nothing to clean.
    fn settle(&mut self, _: &[(i64, f64)]) {}

    /// All hours move by as much as these rows are away from theirs.
    fn shift(&mut self, recent: &[(i64, f64)]) {
        let off = |(t_ms, value): &(i64, f64)| self.expect(*t_ms).map(|expected| value - expected.center);
        let mut offs: Vec<f64> = recent.iter().filter_map(off).collect();
        offs.sort_unstable_by(f64::total_cmp);
        let by = super::window::median(&offs);
        self.hours.iter_mut().for_each(|hour| hour.mean += by);
        self.begin_hour();
    }

    fn heap(&self) -> usize {
        0
    }
}
