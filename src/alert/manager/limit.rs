//! How many notifications go out: a bucket of tokens for each receiver and one for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Limits;
use super::record::Ms;

/// What a minute brings, in tokens a millisecond, is as much as the bucket holds.
const MINUTE: f64 = 60_000.0;

/// A token, but for what is lost where time is added up in pieces.
const WHOLE: f64 = 1.0 - 1e-6;

/// A bucket of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    tokens: f64,
    at: Ms,
}

impl Bucket {
    #[allow(clippy::cast_precision_loss)] // a few at most
    fn fill(&mut self, size: usize, at: Ms) {
        let size = size as f64;
        let passed = at.saturating_sub(self.at).max(0) as f64;
        self.tokens = (self.tokens + passed * size / MINUTE).min(size);
        self.at = self.at.max(at);
    }

    /// When it has a whole one.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn next(&self, size: usize) -> Ms {
        let missing = (1.0 - self.tokens).max(0.0);
        self.at.saturating_add((missing * MINUTE / size.max(1) as f64).ceil() as Ms)
    }
}

/// What has gone to one receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Receiver {
    bucket: Bucket,
    /// Notifications held back since the last that went out.
    suppressed: u64,
}

/// The buckets of all receivers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rates {
    receivers: BTreeMap<String, Receiver>,
    total: Option<Bucket>,
}

impl Rates {
    fn filled(&mut self, receiver: &str, limits: &Limits, at: Ms) -> (&mut Receiver, &mut Bucket) {
        #[allow(clippy::cast_precision_loss)]
        let full = |size: usize| Bucket { tokens: size as f64, at };
        let total = self.total.get_or_insert_with(|| full(limits.total));
        let one = self
            .receivers
            .entry(receiver.to_owned())
            .or_insert_with(|| Receiver { bucket: full(limits.per_receiver), suppressed: 0 });
        total.fill(limits.total, at);
        one.bucket.fill(limits.per_receiver, at);
        (one, total)
    }

    /// Takes a token for one notification, and gives how many were held back before it; nothing if there is none.
    pub(super) fn take(&mut self, receiver: &str, limits: &Limits, at: Ms) -> Option<u64> {
        let (one, total) = self.filled(receiver, limits, at);
        if one.bucket.tokens < WHOLE || total.tokens < WHOLE {
            return None;
        }
        one.bucket.tokens -= 1.0;
        total.tokens -= 1.0;
        Some(std::mem::take(&mut one.suppressed))
    }

    /// One more is held back.
    pub(super) fn suppress(&mut self, receiver: &str, limits: &Limits, at: Ms) {
        self.filled(receiver, limits, at).0.suppressed += 1;
    }

    /// When a notification to this receiver can go out.
    pub(super) fn next(&mut self, receiver: &str, limits: &Limits, at: Ms) -> Ms {
        let (one, total) = self.filled(receiver, limits, at);
        one.bucket.next(limits.per_receiver).max(total.next(limits.total))
    }

    /// Forgets receivers that are none any more.
    pub(super) fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.receivers.retain(|name, _| known(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_go_at_once_and_then_one_every_twelve_seconds() {
        let (mut rates, limits) = (Rates::default(), Limits::default());
        let sent = |rates: &mut Rates, at| (0..9).filter(|_| rates.take("a", &limits, at).is_some()).count();
        assert_eq!(sent(&mut rates, 0), 5);
        assert_eq!(rates.next("a", &limits, 0), 12_000);
        assert_eq!((sent(&mut rates, 11_999), sent(&mut rates, 12_000)), (0, 1));
        assert_eq!(sent(&mut rates, 3_600_000), 5);
        assert!(rates.take("b", &limits, 3_600_000).is_some());
    }

    #[test]
    fn all_together_are_bounded_too_and_what_is_held_back_is_counted() {
        let (mut rates, limits) = (Rates::default(), Limits { total: 2, ..Limits::default() });
        assert_eq!((rates.take("a", &limits, 0), rates.take("b", &limits, 0)), (Some(0), Some(0)));
        assert_eq!(rates.take("c", &limits, 0), None);
        rates.suppress("c", &limits, 0);
        rates.suppress("c", &limits, 0);
        assert_eq!(rates.next("c", &limits, 0), 30_000);
        assert_eq!(rates.take("c", &limits, 30_000), Some(2));
        assert_eq!(rates.take("c", &limits, 60_000), Some(0));
    }
}
