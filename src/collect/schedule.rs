//! Which collectors are due at a tick.
//!
//! Most run at every tick, those made for a scrape too. One with an interval of its own runs on the timer alone, every
//! so many beats. One that did not answer in time is due again at the next tick, so that what it brings late is used
//! at once.

use std::collections::BTreeMap;
use std::time::Duration;

/// The beats at which collectors run, by their index in a list.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    /// Beats from one run to the next.
    every: u64,
    /// Beat of the last run that brought something.
    ran: Option<u64>,
}

impl Schedule {
    /// For collectors of these names, whose intervals are rounded up to ticks; without one they run at each tick.
    pub(super) fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        intervals: &BTreeMap<String, Duration>,
        tick: Duration,
    ) -> Self {
        let every = |name: &str| {
            let interval = intervals.get(name).copied().unwrap_or(tick);
            u64::try_from(interval.as_nanos().div_ceil(tick.as_nanos().max(1))).unwrap_or(u64::MAX).max(1)
        };
        Schedule { turns: names.map(|name| Turn { every: every(name), ran: None }).collect() }
    }

    /// Who is due at this beat.
    pub(super) fn due(&self, beat: u64) -> Vec<usize> {
        let is_due = |turn: &Turn| {
            turn.every == 1 || turn.ran.is_none_or(|ran| beat >= ran.saturating_add(turn.every))
        };
        (0..self.turns.len()).filter(|&index| is_due(&self.turns[index])).collect()
    }

    /// This one brought something at this beat.
    pub(super) fn ran(&mut self, index: usize, beat: u64) {
        self.turns[index].ran = Some(beat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_beats_and_a_late_one_stays_due() {
        let tick = Duration::from_millis(400);
        let intervals = BTreeMap::from([("slow".to_owned(), Duration::from_secs(1))]);
        let mut schedule = Schedule::new(["each", "slow"].into_iter(), &intervals, tick);
        assert_eq!(schedule.due(0), [0, 1], "all are due at the start");
        assert_eq!(schedule.due(0), [0, 1], "it has not answered yet");
        schedule.ran(1, 0);
        let due: Vec<_> = (0..=3).map(|beat| schedule.due(beat).len()).collect();
        assert_eq!(due, [1, 1, 1, 2], "1 s is three ticks of 0.4 s");
        schedule.ran(1, 3);
        assert_eq!(schedule.due(3), [0], "a tick for a scrape within the beat");
    }
}
