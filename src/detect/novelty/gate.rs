//! One alarm an episode.

use std::collections::VecDeque;

/// Rows within which only something still stranger speaks up.
const HOLD: u64 = 150;
/// Bits from which an event counts as one.
const EVENT: f64 = 8.0;
/// Bits by which each event lately makes the next one harder.
const FATIGUE: f64 = 0.8;
/// Rows after which an event is forgotten.
const REST: f64 = 8_000.0;

/// Lets a row's surprise pass if it is greater than all of the last [`HOLD`] rows, reduced by what has passed lately: a series
/// that keeps raising events has to exceed ever more.
#[derive(Debug)]
pub(super) struct Gate {
    row: u64,
    /// Rows of the hold that no later row has exceeded, the greatest first.
    held: VecDeque<(u64, f64)>,
    events: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { row: 0, held: VecDeque::with_capacity(HOLD as usize + 1), events: 0.0 }
    }
}

impl Gate {
    pub(super) fn pass(&mut self, surprise: f64) -> f64 {
        self.events = (self.events - 1.0 / REST).max(0.0);
        while self.held.front().is_some_and(|(row, _)| row + HOLD < self.row) {
            self.held.pop_front();
        }
        let passes = self.held.front().is_none_or(|(_, greatest)| surprise > *greatest);
        while self.held.back().is_some_and(|(_, last)| *last <= surprise) {
            self.held.pop_back();
        }
        self.held.push_back((self.row, surprise));
        self.row += 1;
        if !passes {
            return 0.0;
        }
        let emitted = surprise - FATIGUE * self.events;
        if emitted > EVENT {
            self.events += 1.0;
        }
        emitted.max(0.0)
    }

    pub(super) fn heap(&self) -> usize {
        self.held.capacity() * size_of::<(u64, f64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_the_hold_only_something_stranger_passes() {
        let mut gate = Gate::default();
        assert_eq!([5.0, 4.0, 5.0, 6.0].map(|bits| gate.pass(bits)), [5.0, 0.0, 0.0, 6.0]);
        for _ in 0..HOLD {
            assert_eq!(gate.pass(1.0), 0.0);
        }
        assert_eq!(gate.pass(2.0), 2.0, "the hold has ended");
    }

    #[test]
    fn each_event_makes_the_next_one_harder_for_a_while() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass(20.0), 20.0);
        let next = gate.pass(21.0);
        assert!((next - (21.0 - FATIGUE)).abs() < 0.001, "{next}");
        (0..20_000).for_each(|_| _ = gate.pass(0.0));
        assert_eq!(gate.pass(20.0), 20.0);
    }

    #[test]
    fn memory_stays_that_of_the_hold() {
        let mut gate = Gate::default();
        let heap = gate.heap();
        (0..1_000).for_each(|i| _ = gate.pass(f64::from(1_000 - i)));
        assert_eq!(gate.heap(), heap);
    }
}
