//! The last runs of an operation, each packed into one word, so that writing one is one store and none is ever torn.
//!
//! From the top: 36 bits of the time in milliseconds (wraps after two years), 23 bits of the duration in nanoseconds (a
//! small float: 6 bits of shift, 17 of what is left, so it is exact to 1/131072), 5 bits of the outcome.

use std::time::Duration;

const TIME_BITS: u32 = 36;
const MANTISSA_BITS: u32 = 17;
const OUTCOME_BITS: u32 = 5;

/// How a run ended, as its number in 5 bits: 0 is no run at all.
pub(super) const OK: u8 = 1;

/// A run that is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed(pub(super) u64);

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// How long ago it ended.
    pub(super) age: Duration,
    pub(super) duration_ns: u64,
    pub(super) outcome: u8,
}

impl Packed {
    /// `at` is the monotonic time of its end.
    #[inline]
    pub(super) fn new(at: Duration, duration_ns: u64, outcome: u8) -> Packed {
        let at = at.as_secs().wrapping_mul(1000).wrapping_add(u64::from(at.subsec_millis()));
        let shift = (duration_ns | 1).ilog2().saturating_sub(MANTISSA_BITS);
        let small = if duration_ns < 1 << MANTISSA_BITS {
            duration_ns
        } else {
            u64::from(shift + 1) << MANTISSA_BITS | (duration_ns >> shift) & ((1 << MANTISSA_BITS) - 1)
        };
        Packed(at << (64 - TIME_BITS) | small << OUTCOME_BITS | u64::from(outcome))
    }

    /// `None` where there has been no run.
    pub(super) fn unpack(self, now: Duration) -> Option<Unpacked> {
        let outcome = u8::try_from(self.0 & ((1 << OUTCOME_BITS) - 1)).unwrap_or(0);
        if outcome == 0 {
            return None;
        }
        let small = self.0 >> OUTCOME_BITS & ((1 << (64 - TIME_BITS - OUTCOME_BITS)) - 1);
        let duration_ns = match small >> MANTISSA_BITS {
            0 => small,
            shift => (small & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS) << (shift - 1),
        };
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let age = now.wrapping_sub(self.0 >> (64 - TIME_BITS)) & ((1 << TIME_BITS) - 1);
        // One that has ended since `now` was read is not two years old.
        let age = if age > 1 << (TIME_BITS - 1) { 0 } else { age };
        Some(Unpacked { age: Duration::from_millis(age), duration_ns, outcome })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_no_run_and_what_ends_now_has_no_age() {
        let now = Duration::from_millis(5);
        assert_eq!(Packed(0).unpack(now), None);
        let future = Packed::new(Duration::from_millis(7), 3, OK).unpack(now).unwrap();
        assert_eq!((future.age, future.duration_ns), (Duration::ZERO, 3));
    }

    proptest! {
        #[test]
        fn a_run_reads_back(at in 0_u64..1 << 45, age in 0_u64..1 << 35, ns in any::<u64>(), outcome in 1_u8..32) {
            let run = Packed::new(Duration::from_millis(at), ns, outcome);
            let run = run.unpack(Duration::from_millis(at + age)).unwrap();
            prop_assert_eq!((run.age, run.outcome), (Duration::from_millis(age), outcome));
            prop_assert!(run.duration_ns <= ns && ns - run.duration_ns <= ns >> 17, "{} {}", ns, run.duration_ns);
        }
    }
}
