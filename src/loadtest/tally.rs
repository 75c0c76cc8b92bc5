//! What was counted: one [`Tally`] a worker and phase, added up at the phase's end.

use std::collections::{BTreeMap, HashMap};

use super::frames::Step;
use super::histogram::Latency;

/// Distinct messages of errors that a report repeats.
const MESSAGES: usize = 10;

/// One broadcast, over all clients that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// When it was sent, in Unix microseconds by this machine's clock.
    pub sent_us: u64,
    /// When the last client had it, likewise.
    pub last_us: u64,
    /// How many clients got it.
    pub clients: u64,
}

/// Errors by class.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    /// How many of each class.
    pub by_class: BTreeMap<String, u64>,
    /// The first distinct messages, at most ten.
    pub first: Vec<String>,
}

impl Errors {
    /// Counts one.
    pub fn add(&mut self, class: &str, message: &str) {
        *self.by_class.entry(class.to_owned()).or_default() += 1;
        self.keep(format!("{class}: {message}"));
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_class.values().sum()
    }

    fn keep(&mut self, message: String) {
        if self.first.len() < MESSAGES && !self.first.contains(&message) {
            self.first.push(message);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (class, count) in &other.by_class {
            *self.by_class.entry(class.clone()).or_default() += count;
        }
        other.first.iter().for_each(|message| self.keep(message.clone()));
    }
}

/// Counts and distributions.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Connections begun for the first time.
    pub attempts: u64,
    /// Those that became WebSockets at the first attempt.
    pub connected: u64,
    /// From the intended beginning to the end of the opening handshake.
    pub connect: Latency,
    /// From a broadcast's time stamp to its arrival, each message of each client.
    pub delivery: Latency,
    /// From the intended moment of a ping to its pong.
    pub rtt: Latency,
    /// Pings that were due while the one before was not answered.
    pub pings_missed: u64,
    /// From a cut to being live again.
    pub recovery: Latency,
    /// Connections cut on purpose.
    pub cut: u64,
    /// Subscriptions that asked to go on, and those that did.
    pub resumes: u64,
    /// See `resumes`.
    pub resumed: u64,
    /// Data messages.
    pub messages: u64,
    /// Bytes of payload in them.
    pub bytes: u64,
    /// Deltas that did not start where the client was.
    pub gaps: u64,
    /// Deltas seen before.
    pub duplicates: u64,
    /// Frames older than what the client had.
    pub out_of_order: u64,
    /// Values of series that no schema had named.
    pub unknown_series: u64,
    /// Longest interval that the server granted, in milliseconds; 0 when none was.
    pub interval_ms: u64,
    /// Broadcasts by channel and offset.
    pub broadcasts: HashMap<(u64, u64), Broadcast>,
    /// Lateness of the generator's own timers.
    pub slip: Latency,
    /// What went wrong.
    pub errors: Errors,
}

impl Tally {
    /// Counts what a frame was to its client.
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Gap => self.gaps += 1,
            Step::Duplicate => self.duplicates += 1,
            Step::OutOfOrder => self.out_of_order += 1,
            Step::None | Step::First | Step::Next | Step::Anew => {}
        }
    }

    /// Counts the arrival of a broadcast at one client, times in Unix microseconds by this machine's clock.
    pub fn delivered(&mut self, key: (u64, u64), sent_us: u64, now_us: u64) {
        self.delivery.record(now_us.saturating_sub(sent_us));
        let broadcast =
            self.broadcasts.entry(key).or_insert(Broadcast { sent_us, last_us: now_us, clients: 0 });
        broadcast.last_us = broadcast.last_us.max(now_us);
        broadcast.clients += 1;
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.connected += other.connected;
        self.connect.merge(&other.connect);
        self.delivery.merge(&other.delivery);
        self.rtt.merge(&other.rtt);
        self.pings_missed += other.pings_missed;
        self.recovery.merge(&other.recovery);
        self.cut += other.cut;
        self.resumes += other.resumes;
        self.resumed += other.resumed;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.gaps += other.gaps;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.unknown_series += other.unknown_series;
        self.interval_ms = self.interval_ms.max(other.interval_ms);
        self.slip.merge(&other.slip);
        self.errors.merge(&other.errors);
        for (key, theirs) in &other.broadcasts {
            self.broadcasts
                .entry(*key)
                .and_modify(|ours| {
                    ours.last_us = ours.last_us.max(theirs.last_us);
                    ours.clients += theirs.clients;
                })
                .or_insert(*theirs);
        }
    }

    /// From each broadcast's time stamp to its arrival at the last client.
    #[must_use]
    pub fn to_last_client(&self) -> Latency {
        let mut latency = Latency::default();
        for broadcast in self.broadcasts.values() {
            latency.record(broadcast.last_us.saturating_sub(broadcast.sent_us));
        }
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_lasts_until_the_last_client_of_any_worker_has_it() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.delivered((1, 7), 1_000_000, 1_001_000);
        one.delivered((1, 7), 1_000_000, 1_003_000);
        other.delivered((1, 7), 1_000_000, 1_009_000);
        one.merge(&other);
        assert_eq!(one.broadcasts[&(1, 7)].clients, 3);
        let last = one.to_last_client();
        assert_eq!((last.count(), one.delivery.count()), (1, 3));
        assert!((8.9..9.1).contains(&last.quantile_ms(0.5).unwrap()));
        assert!((2.9..3.1).contains(&one.delivery.quantile_ms(0.5).unwrap()));
    }

    #[test]
    fn errors_are_counted_by_class_and_ten_distinct_messages_are_kept() {
        let mut errors = Errors::default();
        for i in 0..30 {
            errors.add("refused", &format!("port {}", i % 15));
        }
        let mut merged = Errors::default();
        merged.add("http", "404");
        merged.merge(&errors);
        assert_eq!((merged.total(), merged.by_class["refused"], merged.first.len()), (31, 30, 10));
        assert_eq!(merged.first[0], "http: 404");
    }
}
