//! What was counted: one [`Tally`] a worker and phase, added up at the phase's end.

use std::collections::BTreeMap;

use super::broadcasts::Arrivals;
use super::frames::Step;
use super::histogram::Latency;

/// Distinct messages of errors that a report repeats.
const MESSAGES: usize = 10;

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
    /// Answers that the server takes no connection now, and when to come back: not an error, it guards itself.
    pub throttled: u64,
    /// From the intended beginning to the end of the opening handshake. After a refusal with `Retry-After` that
    /// beginning is the moment the server named.
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
    /// Event ids of our server that are not epoch and offset of their frame.
    pub wrong_ids: u64,
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
    /// Arrivals of broadcasts since the main task has last taken them.
    pub arrivals: Arrivals,
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

    /// Adds what another has counted, but for `arrivals`, which are gathered apart.
    pub fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.connected += other.connected;
        self.throttled += other.throttled;
        self.wrong_ids += other.wrong_ids;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
