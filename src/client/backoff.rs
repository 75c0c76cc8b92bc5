//! How long to wait before the next try: full jitter, so that clients that were cut off together do not come
//! back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that are random up to a bound which doubles with every try, until it is at a ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    bound: Duration,
}

impl Backoff {
    /// The first wait is random up to `shortest`, later ones up to at most `longest`.
    #[must_use]
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        let shortest = shortest.min(longest);
        Backoff { shortest, longest, bound: shortest }
    }

    /// The next wait. `random` is evenly distributed from 0 to 1; what is outside counts as the nearer of them.
    pub fn wait(&mut self, random: f64) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.longest);
        let random = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
        bound.mul_f64(random).min(bound)
    }

    /// It worked: the next wait is a first one again.
    pub fn reset(&mut self) {
        self.bound = self.shortest;
    }
}

/// From 0 to 1, evenly, for [`Backoff::wait`]: the keys of each `RandomState` differ.
pub(crate) fn random() -> f64 {
    #[allow(clippy::cast_precision_loss)] // 53 bits are exact
    let share = (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_bound_doubles_up_to_the_ceiling_and_begins_anew_after_a_reset() {
        let mut backoff = Backoff::new(MS(500), MS(20_000));
        let waits: Vec<u128> = (0..8).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(backoff.wait(0.25), MS(5_000));
        backoff.reset();
        assert_eq!(backoff.wait(0.5), MS(250));
    }

    #[test]
    fn a_random_share_is_from_0_to_1() {
        assert!((0..100).map(|_| random()).all(|share| (0.0..1.0).contains(&share)));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_ceiling(
            shortest in 0..10_000u64, longest in 0..100_000u64, random in proptest::collection::vec(any::<f64>(), 1..70)
        ) {
            let mut backoff = Backoff::new(MS(shortest), MS(longest));
            for random in random {
                prop_assert!(backoff.wait(random) <= MS(longest));
            }
        }
    }
}
