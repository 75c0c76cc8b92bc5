//! Time, as it is passed to everything that decides by it.
//!
//! The core of gaugecast never asks for the time: it is given a [`Moment`]. Only the rim (the ticker, a
//! connection) owns a [`Clock`]. Wall time is for display and for samples; intervals, deadlines and
//! cooldowns use the monotonic part, so that a clock that is set back or forth changes no decision.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Time since the process started, monotonic: never goes back, whatever happens to the wall clock.
    pub since_start: Duration,
    /// Wall clock, Unix milliseconds. May be negative (before 1970) and may step in either direction.
    pub unix_ms: i64,
}

impl Moment {
    /// Monotonic time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(&self, earlier: &Moment) -> Duration {
        self.since_start.saturating_sub(earlier.since_start)
    }

    /// By how many milliseconds the wall clock has stepped between two readings: how far it moved beyond
    /// what the monotonic clock says. Positive is forward.
    #[must_use]
    pub fn wall_step_ms(&self, earlier: &Moment) -> i64 {
        let wall = self.unix_ms.saturating_sub(earlier.unix_ms);
        let mono = i64::try_from(self.since(earlier).as_millis()).unwrap_or(i64::MAX);
        wall.saturating_sub(mono)
    }
}

/// Reads the clocks of this machine. Cheap to copy; all clocks of a process count from the same start, so that moments of
/// different ones can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// The clock of this process; it counts from the first call.
    #[must_use]
    pub fn start() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        Clock { start: *START.get_or_init(Instant::now) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment { since_start: self.start.elapsed(), unix_ms: unix_ms(SystemTime::now()) }
    }

    /// [`Moment::since_start`] of a reading of the monotonic clock, for who has taken one; zero if it is from before the start.
    #[must_use]
    pub fn since_start(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }
}

/// Unix milliseconds of a [`SystemTime`], negative before 1970.
#[must_use]
pub fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(since_start_ms: u64, unix_ms: i64) -> Moment {
        Moment { since_start: Duration::from_millis(since_start_ms), unix_ms }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_what_the_monotonic_clock_does_not_explain() {
        let before = moment(1_000, 1_700_000_000_000);
        assert_eq!(moment(2_000, 1_700_000_001_000).wall_step_ms(&before), 0);
        assert_eq!(moment(2_000, 1_700_003_601_000).wall_step_ms(&before), 3_600_000);
        assert_eq!(moment(2_000, 1_699_996_401_000).wall_step_ms(&before), -3_600_000);
    }

    #[test]
    fn all_clocks_of_a_process_count_from_the_same_start() {
        let (first, second) = (Clock::start(), Clock::start());
        let instant = Instant::now();
        assert_eq!(first.since_start(instant), second.since_start(instant));
        assert!(second.now().since_start >= first.since_start(instant));
    }

    #[test]
    fn times_before_1970_are_negative_and_durations_never_are() {
        let long_ago = UNIX_EPOCH - Duration::from_secs(10);
        assert_eq!(unix_ms(long_ago), -10_000);
        assert_eq!(moment(1, -5).since(&moment(9, -900)), Duration::ZERO);
        assert_eq!(moment(5, i64::MIN).wall_step_ms(&moment(1, i64::MAX)), i64::MIN);
    }
}
