//! Broadcasts over all clients: how long each took to the last of them, and whether all got it.
//!
//! Workers count arrivals by broadcast in [`Arrivals`]; the main task gathers those of all workers in [`Broadcasts`]
//! and closes a broadcast a while after its first arrival, into a [`Fanout`]. So memory is bounded by a few seconds
//! of them, however long a test is.

use std::collections::HashMap;

use super::histogram::Latency;

/// How long after its first arrival a broadcast is closed, in microseconds. A client that has not got it by then is
/// counted as one that did not.
pub const PATIENCE_US: u64 = 5_000_000;

/// Names a broadcast: life of the server, channel, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Which life of the server; 0 where it has only one.
    pub life: u64,
    /// Channel; 0 where there are none.
    pub channel: u64,
    /// Its number.
    pub number: u64,
}

/// One broadcast. Times are Unix microseconds by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// When it was meant to be sent, where that is known.
    pub sent_us: Option<u64>,
    /// When the first client had it.
    pub first_us: u64,
    /// When the last client had it.
    pub last_us: u64,
    /// How many clients got it.
    pub clients: u64,
}

impl Broadcast {
    fn merge(&mut self, other: Self) {
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.clients += other.clients;
    }
}

/// Arrivals by broadcast. All clients get the same ones in the same order, so the one behind that which was counted
/// last is looked at first, and only where it is another is the key searched for.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    list: Vec<(Key, Broadcast)>,
    places: HashMap<Key, usize>,
    next: usize,
}

impl Arrivals {
    /// Counts the arrival of a broadcast at one client.
    pub fn count(&mut self, key: Key, sent_us: Option<u64>, now_us: u64) {
        let new = Broadcast { sent_us, first_us: now_us, last_us: now_us, clients: 1 };
        let place = match self.list.get(self.next) {
            Some((next, _)) if *next == key => self.next,
            _ => *self.places.entry(key).or_insert(self.list.len()),
        };
        match self.list.get_mut(place) {
            Some((_, ours)) => ours.merge(new),
            None => self.list.push((key, new)),
        }
        self.next = place + 1;
    }
}

/// What came of the broadcasts of a phase, or of several.
#[derive(Debug, Clone, Default)]
pub struct Fanout {
    /// How many there were.
    pub count: u64,
    /// From the moment each was meant to be sent to its arrival at the last client.
    pub to_last: Latency,
    /// Clients reached, and those that should have been, of the broadcasts that are judged.
    pub reached: u64,
    /// See `reached`.
    pub to_reach: u64,
}

impl Fanout {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.to_last.merge(&other.to_last);
        self.reached += other.reached;
        self.to_reach += other.to_reach;
    }
}

/// Which broadcasts are whole: those that first arrived in this time. Around the ends of a phase some clients get
/// them outside of it.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Unix microseconds.
    pub from_us: u64,
    /// Unix microseconds.
    pub to_us: u64,
    /// Clients that are there.
    pub clients: u64,
}

/// The broadcasts that are still on their way.
#[derive(Debug, Default)]
pub struct Broadcasts {
    open: HashMap<Key, Broadcast>,
    /// The highest number closed, by life and channel: what is not above it came too late.
    closed: HashMap<(u64, u64), u64>,
}

impl Broadcasts {
    /// Takes what a worker has counted.
    pub fn gather(&mut self, arrivals: Arrivals) {
        for (key, broadcast) in arrivals.list {
            let closed = self.closed.get(&(key.life, key.channel));
            if closed.is_none_or(|closed| key.number > *closed) {
                self.open.entry(key).and_modify(|ours| ours.merge(broadcast)).or_insert(broadcast);
            }
        }
    }

    /// Closes those whose first arrival was before `before_us`. Those in the `window` are judged; the others, and
    /// all where there is none, are only counted.
    pub fn close(&mut self, before_us: u64, window: Option<Window>, into: &mut Fanout) {
        let closed = &mut self.closed;
        self.open.retain(|key, broadcast| {
            if broadcast.first_us >= before_us {
                return true;
            }
            let highest = closed.entry((key.life, key.channel)).or_default();
            *highest = key.number.max(*highest);
            into.count += 1;
            let judged = window.filter(|w| (w.from_us..w.to_us).contains(&broadcast.first_us));
            if let Some(window) = judged {
                into.reached += broadcast.clients.min(window.clients);
                into.to_reach += window.clients;
                if let Some(sent_us) = broadcast.sent_us {
                    into.to_last.record(broadcast.last_us.saturating_sub(sent_us));
                }
            }
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> Key {
        Key { life: 1, channel: 1, number }
    }

    fn gathered(workers: &[&[(u64, u64)]]) -> Broadcasts {
        let mut all = Broadcasts::default();
        for worker in workers {
            let mut arrivals = Arrivals::default();
            for (number, at) in *worker {
                arrivals.count(key(*number), Some(*number * 1000), *at);
            }
            all.gather(arrivals);
        }
        all
    }

    proptest! {
        #[test]
        fn arrivals_are_counted_by_broadcast_in_whatever_order_they_come(
            numbers in prop::collection::vec(0_u64..8, 0..60),
        ) {
            let mut arrivals = Arrivals::default();
            let mut plain: HashMap<Key, Broadcast> = HashMap::new();
            for (at, number) in numbers.iter().enumerate() {
                let at = at as u64;
                arrivals.count(key(*number), None, at);
                let new = Broadcast { sent_us: None, first_us: at, last_us: at, clients: 1 };
                plain.entry(key(*number)).and_modify(|ours| ours.merge(new)).or_insert(new);
            }
            prop_assert_eq!(arrivals.list.into_iter().collect::<HashMap<_, _>>(), plain);
        }
    }

    const ALL: Window = Window { from_us: 0, to_us: u64::MAX, clients: 3 };

    #[test]
    fn a_broadcast_lasts_until_the_last_client_of_any_worker_has_it() {
        let mut all = gathered(&[&[(7, 8_000), (7, 10_000)], &[(7, 16_000)]]);
        let mut fanout = Fanout::default();
        all.close(u64::MAX, Some(ALL), &mut fanout);
        assert_eq!((fanout.count, fanout.reached, fanout.to_reach), (1, 3, 3));
        assert!((8.9..9.1).contains(&fanout.to_last.quantile_ms(0.5).unwrap()));
    }

    #[test]
    fn a_client_that_missed_one_is_missing_in_the_count() {
        let mut all = gathered(&[&[(1, 1_000), (2, 2_000), (1, 1_000), (2, 2_000), (1, 1_000)]]);
        let mut fanout = Fanout::default();
        all.close(u64::MAX, Some(ALL), &mut fanout);
        assert_eq!((fanout.count, fanout.reached, fanout.to_reach), (2, 5, 6));
    }

    #[test]
    fn those_at_the_ends_of_a_phase_are_counted_and_not_judged() {
        let mut all = gathered(&[&[(1, 1_000), (2, 2_000), (3, 3_000)]]);
        let mut fanout = Fanout::default();
        all.close(u64::MAX, Some(Window { from_us: 1_500, to_us: 2_500, clients: 1 }), &mut fanout);
        assert_eq!((fanout.count, fanout.to_reach, fanout.to_last.count()), (3, 1, 1));
    }

    #[test]
    fn what_arrives_after_the_close_is_no_new_broadcast() {
        let mut all = gathered(&[&[(1, 1_000), (2, 9_000)]]);
        let mut fanout = Fanout::default();
        all.close(5_000, Some(ALL), &mut fanout);
        assert_eq!((fanout.count, all.open.len()), (1, 1));
        let mut late = Arrivals::default();
        late.count(key(1), None, 20_000);
        late.count(Key { life: 2, ..key(1) }, None, 20_000);
        all.gather(late);
        assert_eq!(all.open.len(), 2, "a server that was started anew begins its numbers anew");
    }
}
