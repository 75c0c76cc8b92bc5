//! Rate limits, with the time passed in.

use std::time::Duration;

use crate::clock::Moment;

/// A token bucket: `burst` at once, `per_second` in the long run.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(burst: u32, per_second: u32, now: &Moment) -> Self {
        let burst = f64::from(burst);
        Bucket { burst, per_second: f64::from(per_second), tokens: burst, at: now.since_start }
    }

    /// Takes one; false if there is none.
    pub(super) fn take(&mut self, now: &Moment) -> bool {
        let passed = now.since_start.saturating_sub(self.at);
        self.at = self.at.max(now.since_start);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(self.burst);
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

/// Remembers the last faults and says when there were too many in a stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    within: Duration,
    last: Vec<Duration>,
    limit: usize,
}

impl Faults {
    /// `limit` faults `within` that time are too many.
    pub(super) fn new(limit: usize, within: Duration) -> Self {
        Faults { within, last: Vec::new(), limit }
    }

    /// Notes a fault; true if it is one too many.
    pub(super) fn note(&mut self, now: &Moment) -> bool {
        let oldest = now.since_start.saturating_sub(self.within);
        self.last.retain(|at| *at >= oldest);
        self.last.push(now.since_start);
        self.last.len() >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment { since_start: Duration::from_millis(ms), unix_ms: 0 }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(3, 10, &at(0));
        assert_eq!([0, 0, 0, 0].map(|ms| bucket.take(&at(ms))), [true, true, true, false]);
        assert!(!bucket.take(&at(50)));
        assert!(bucket.take(&at(100)));
        assert_eq!([9_000; 4].map(|ms| bucket.take(&at(ms))), [true, true, true, false]);
        assert!(!bucket.take(&at(0)), "time that goes back gives nothing");
    }

    #[test]
    fn faults_are_too_many_only_when_they_come_close_together() {
        let mut faults = Faults::new(3, Duration::from_secs(60));
        assert_eq!([0, 40_000, 70_000].map(|ms| faults.note(&at(ms))), [false, false, false]);
        assert!(faults.note(&at(80_000)), "40, 70 and 80 lie within a minute");
    }
}
