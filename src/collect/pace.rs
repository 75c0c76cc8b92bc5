//! When the ticks come: in step with who scrapes.
//!
//! A scraper that finds an old tick has to wait for a new one, and the stream gets a tick more than it asked for.
//! But a scraper comes at regular times, Prometheus to the millisecond, and its interval is nearly always a multiple
//! of ours. So the first tick that is made for a scrape moves the timer: from then on it ticks [`LEAD`] before the
//! scraper comes, who finds the tick ready. One that comes at other times than the one in step is served as before;
//! the timer is not pulled to and fro.

use std::time::Duration;

/// How long before a scrape the tick is made: half of the age up to which a scrape takes it, so that a scraper may
/// come that much early or late.
const LEAD: Duration = Duration::from_millis(50);

/// A timer faster than this needs no moving: it leaves few scrapes without a fresh tick.
const SHORTEST: Duration = Duration::from_millis(200);

/// How many scrapes are remembered: the counts are halved here, so that those of long ago weigh little.
const REMEMBERED: u32 = 8;

/// Beats from one move to the next at the least, since each makes one beat longer by up to a tick.
const REST: u64 = 10;

/// Decides whether to move the timer.
/// Decides whether to move the timer.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Scrapes since the last move that found a fresh tick.
    found: u32,
    /// Scrapes since the last move that needed a tick of their own.
    needed: u32,
    /// Beat of the last move.
    moved: Option<u64>,
}

impl Pace {
    /// A scrape found a fresh tick.
    pub(super) fn found(&mut self) {
        self.found += 1;
        self.forget();
    }

    /// A scrape needs a tick of its own. In how long the timer's next one should come, if it is to move: when more
    /// than two of three scrapes come out of step, so that of two or three scrapers with the same interval one is
    /// kept to.
    pub(super) fn needed(&mut self, beat: u64, tick: Duration) -> Option<Duration> {
        self.needed += 1;
        let moves = match self.moved {
            None => true,
            Some(moved) => beat.saturating_sub(moved) >= REST && self.needed > 2 * self.found + 2,
        };
        self.forget();
        if !moves || tick < SHORTEST {
            return None;
        }
        *self = Pace { moved: Some(beat), ..Pace::default() };
        Some(tick.saturating_sub(LEAD))
    }

    fn forget(&mut self) {
        if self.found + self.needed >= REMEMBERED {
            (self.found, self.needed) = (self.found / 2, self.needed / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: u64 = 100;
    const TICK: u64 = 1000;

    /// Ticks and scrapes in milliseconds: which scrapes found a fresh tick.
    fn found(mut scrapes: Vec<u64>) -> Vec<(u64, bool)> {
        scrapes.sort_unstable();
        let (mut pace, mut beat, mut last, mut next) = (Pace::default(), 0, 0, TICK);
        let mut found = Vec::new();
        for now in scrapes {
            while next <= now {
                (beat, last, next) = (beat + 1, next, next + TICK);
            }
            found.push((now, now - last <= FRESH));
            if now - last <= FRESH {
                pace.found();
            } else {
                last = now;
                if let Some(after) = pace.needed(beat, Duration::from_millis(TICK)) {
                    next = now + u64::try_from(after.as_millis()).unwrap();
                }
            }
        }
        found
    }

    #[test]
    fn a_scraper_that_comes_regularly_soon_finds_it_ready() {
        for phase in [0, 30, 99, 101, 480, 949, 951, 999] {
            for jitter in [0, 20, 45] {
                let scrapes = (1..40_u64).map(|n| 15_000 * n + phase + n * 7919 % (jitter + 1)).collect();
                let found = found(scrapes);
                let late = found.iter().filter(|(_, fresh)| !fresh).count();
                assert!(late <= 2, "{phase} {jitter} {found:?}");
            }
        }
    }

    #[test]
    fn of_two_scrapers_at_different_times_one_stays_in_step() {
        let times = |first: u64| (0..100).map(move |n| first + 5000 * n);
        let found = found(times(3200).chain(times(5700)).collect());
        let late = found.iter().filter(|(_, fresh)| !fresh).map(|(at, _)| at % 5000).collect::<Vec<_>>();
        assert_eq!(late.iter().filter(|phase| **phase == 3200).count(), 1);
        assert_eq!(late.iter().filter(|phase| **phase == 700).count(), 100);
    }

    #[test]
    fn when_the_one_in_step_is_gone_the_next_takes_its_place() {
        let first = (0..10).map(|n| 3200 + 15_000 * n);
        let second = (0..20).map(|n| 200_700 + 15_000 * n);
        let found = found(first.chain(second).collect());
        let late: Vec<_> = found.iter().filter(|(_, fresh)| !fresh).map(|(at, _)| *at).collect();
        assert!(late.len() <= 12 && late.last() < Some(&(200_700 + 11 * 15_000)), "{late:?}");
    }

    #[test]
    fn scrapes_at_odd_times_lengthen_few_beats_and_a_fast_timer_is_never_moved() {
        let mut pace = Pace::default();
        let tick = Duration::from_secs(1);
        let moves = (0..1000).filter(|&beat| pace.needed(beat, tick).is_some());
        assert!(moves.count() <= 100);
        let tick = Duration::from_millis(199);
        assert_eq!(Pace::default().needed(0, tick), None);
    }
}
