//! Counts failed attempts of an address: ten in a minute, then no more are looked at for its next minute.
//!
//! A token of 256 bits is not guessed at any rate; what the limit saves is the log and the audit file. So an address that
//! failed too often is told 429 for what is wrong, and a right token is still right: otherwise one program with an old token
//! would lock out everybody behind the same proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::rate::network;

/// Attempts in a [`WINDOW`].
const ATTEMPTS: u32 = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered; over it the oldest are forgotten.
const ADDRESSES: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Duration,
    count: u32,
}

/// What becomes of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It is told what is wrong.
    Told,
    /// It is the first too many.
    Blocked(Duration),
    /// It is one more, and the same as those before.
    Again(Duration),
}

impl Throttle {
    /// Counts a failed attempt at this monotonic time. With [`Attempt::Blocked`] and [`Attempt::Again`] goes after how long
    /// the next is looked at.
    pub(super) fn failed(&self, peer: IpAddr, now: Duration) -> Attempt {
        let peer = network(peer);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES && !all.contains_key(&peer) {
            all.retain(|_, failures| now < failures.since + WINDOW);
            if all.len() >= ADDRESSES
                && let Some(oldest) = all.iter().min_by_key(|(_, failures)| failures.since).map(|(ip, _)| *ip)
            {
                all.remove(&oldest);
            }
        }
        let failures = all.entry(peer).or_insert(Failures { since: now, count: 0 });
        if now >= failures.since + WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
        let again = (failures.since + WINDOW).saturating_sub(now);
        match failures.count {
            ..=ATTEMPTS => Attempt::Told,
            count if count == ATTEMPTS + 1 => Attempt::Blocked(again),
            _ => Attempt::Again(again),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b68_ten_attempts_a_minute_are_told_what_is_wrong_then_none() {
        let throttle = Throttle::default();
        let (peer, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let at = Duration::from_secs;
        for _ in 0..10 {
            assert_eq!(throttle.failed(peer, at(5)), Attempt::Told);
        }
        assert_eq!(throttle.failed(peer, at(25)), Attempt::Blocked(at(40)));
        assert_eq!(throttle.failed(peer, at(26)), Attempt::Again(at(39)));
        assert_eq!(throttle.failed(other, at(26)), Attempt::Told);
        assert_eq!(throttle.failed(peer, at(65)), Attempt::Told);
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle::default();
        for i in 0..u32::try_from(2 * ADDRESSES).unwrap() {
            throttle.failed(IpAddr::from((0x0a00_0000 + i).to_be_bytes()), Duration::from_millis(i.into()));
        }
        assert_eq!(throttle.0.lock().unwrap().len(), ADDRESSES);
    }
}
