//! Requests per second of one address.
//!
//! [`RateLimit`] is a leaky bucket in the form of the generic cell rate algorithm: one time per address says
//! when its bucket will be empty again. The table holds two generations and forgets the older one when the
//! younger is full, so it is bounded and a flood of addresses costs no search.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// What one request costs.
    interval: Duration,
    /// How far ahead of now a bucket may be filled.
    burst: Duration,
    capacity: usize,
    peers: Mutex<Generations>,
}

/// When the bucket of an address is empty again, by address.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<IpAddr, Duration>,
    old: HashMap<IpAddr, Duration>,
}

impl RateLimit {
    /// `rate` requests a second, `burst` at once, `capacity` addresses a generation. All at least 1.
    pub(super) fn new(rate: u32, burst: u32, capacity: usize) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        let burst = interval * burst.max(1);
        RateLimit { interval, burst, capacity: capacity.max(1), peers: Mutex::default() }
    }

    /// Counts a request of `peer` at `now` (monotonic).
    ///
    /// # Errors
    /// After how long it may come again; at least 1 ns.
    pub(super) fn admit(&self, peer: IpAddr, now: Duration) -> Result<(), Duration> {
        if peer.to_canonical().is_loopback() {
            return Ok(());
        }
        let peer = network(peer);
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = peers.young.get(&peer).or_else(|| peers.old.get(&peer)).copied();
        let empty_at = known.unwrap_or(now).max(now) + self.interval;
        if empty_at > now + self.burst {
            return Err(empty_at - now - self.burst);
        }
        if !peers.young.contains_key(&peer) && peers.young.len() >= self.capacity {
            peers.old = std::mem::take(&mut peers.young);
        }
        peers.young.insert(peer, empty_at);
        Ok(())
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6 customer has at the least.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limit = RateLimit::new(10, 5, 100);
        let peer = ip("192.0.2.1");
        for _ in 0..5 {
            assert_eq!(limit.admit(peer, SECOND), Ok(()));
        }
        assert_eq!(limit.admit(peer, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(limit.admit(ip("192.0.2.2"), SECOND), Ok(()), "others are not affected");
        assert_eq!(limit.admit(peer, SECOND + Duration::from_millis(100)), Ok(()));
        assert!(limit.admit(peer, SECOND + Duration::from_millis(100)).is_err());
        assert_eq!(limit.admit(peer, SECOND * 60), Ok(()));
    }

    #[test]
    fn loopback_is_exempt_and_a_v6_network_is_one_peer() {
        let limit = RateLimit::new(1, 1, 100);
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!((limit.admit(ip(peer), SECOND), limit.admit(ip(peer), SECOND)), (Ok(()), Ok(())));
        }
        assert_eq!(limit.admit(ip("2001:db8::1"), SECOND), Ok(()));
        assert!(limit.admit(ip("2001:db8::ffff"), SECOND).is_err());
        assert_eq!(limit.admit(ip("2001:db8:0:1::1"), SECOND), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_whom_it_saw_last() {
        let limit = RateLimit::new(1, 1, 10);
        for last in 0..200u8 {
            assert_eq!(limit.admit(IpAddr::from([192, 0, 2, last]), SECOND), Ok(()));
        }
        let peers = limit.peers.lock().expect("not poisoned");
        assert!(peers.young.len() <= 10 && peers.old.len() <= 10);
        drop(peers);
        assert!(limit.admit(ip("192.0.2.199"), SECOND).is_err());
    }
}
