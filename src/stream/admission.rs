//! Who is let in: so many connections in all, of one address, and new ones in a second.
//!
//! [`Admission::enter`] gives a [`Seat`], which a connection holds as long as it lives, or says why not, before
//! anything of a WebSocket or a stream has begun.
//!
//! **New ones in a second** are counted for all addresses together, loopback too: the limit is there for the server,
//! which after a restart has all its viewers at its door, and behind a proxy on the same machine they all come
//! from loopback. (The limit for one address is there for the other addresses; loopback is exempt from it, since
//! it is everybody.) Who connects a thousand clients to test a server is served by the burst. With the
//! defaults (200 a second, 5,000 at once) 10,000 that come back together are all in after 25 s. Each that is refused is
//! told when it is its turn, in the order of the refusals and at the rate of the limit, so they come back spread.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::config::Config;
use super::handshake::Refusal;
use super::limits::Bucket;
use super::metrics::Metrics;
use super::performance::{Connections, Figures};
use crate::clock::Moment;

/// Who came in vain is told to come back in at most this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Admission {
    max_clients: usize,
    max_clients_per_ip: usize,
    metrics: Arc<Metrics>,
    seats: Arc<Mutex<Seats>>,
}

/// Who is connected.
#[derive(Debug)]
struct Seats {
    taken: HashMap<u64, Arc<Figures>>,
    by_network: HashMap<IpAddr, usize>,
    peak: usize,
    /// How many there have ever been.
    total: u64,
    new: Bucket,
    /// Time that one new connection takes of the limit; none is without limit.
    each: Option<Duration>,
    /// Monotonic time at which the next that is refused may come again.
    next_turn: Duration,
}

impl Admission {
    pub(super) fn new(config: &Config, metrics: &Arc<Metrics>, now: &Moment) -> Self {
        let rate = config.max_new_per_second;
        let seats = Seats {
            taken: HashMap::new(),
            by_network: HashMap::new(),
            peak: 0,
            total: 0,
            new: Bucket::new(config.max_new_burst.max(1), rate, now),
            each: (rate > 0).then(|| Duration::from_secs(1) / rate),
            next_turn: Duration::ZERO,
        };
        Admission {
            max_clients: config.max_clients,
            max_clients_per_ip: config.max_clients_per_ip,
            metrics: Arc::clone(metrics),
            seats: Arc::new(Mutex::new(seats)),
        }
    }

    /// A seat for a client. `session` names it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn enter(
        &self,
        session: String,
        remote: SocketAddr,
        transport: &'static str,
        agent: Option<&str>,
        token: Option<Arc<str>>,
        now: &Moment,
    ) -> Result<Seat, Refusal> {
        let network = network(remote.ip());
        let mut seats = lock(&self.seats);
        if seats.taken.len() >= self.max_clients {
            return Err(Refusal::Full);
        }
        let limit = self.max_clients_per_ip;
        let of_network = network.and_then(|network| seats.by_network.get(&network)).copied().unwrap_or(0);
        if network.is_some() && limit > 0 && of_network >= limit {
            return Err(Refusal::TooManyOfAddress { limit });
        }
        if let Some(each) = seats.each
            && !seats.new.take(now)
        {
            let turn = seats.next_turn.max(now.since_start) + each;
            seats.next_turn = turn.min(now.since_start + LONGEST_WAIT);
            return Err(Refusal::TooManyNew { again: seats.next_turn.saturating_sub(now.since_start) });
        }
        if let Some(network) = network {
            *seats.by_network.entry(network).or_default() += 1;
        }
        seats.total += 1;
        let number = seats.total;
        let figures = Arc::new(Figures::new(session, remote, transport, agent, *now).bearing(token));
        seats.taken.insert(number, Arc::clone(&figures));
        seats.peak = seats.peak.max(seats.taken.len());
        self.metrics.entered(transport, seats.peak);
        Ok(Seat {
            figures,
            number,
            network,
            seats: Arc::clone(&self.seats),
            metrics: Arc::clone(&self.metrics),
        })
    }

    /// How many are connected.
    pub(super) fn clients(&self) -> usize {
        lock(&self.seats).taken.len()
    }

    /// How many are, were at most, and have been.
    pub(super) fn connections(&self) -> Connections {
        let seats = lock(&self.seats);
        Connections { total: seats.total, active: seats.taken.len(), peak: seats.peak }
    }

    /// The figures of all who are connected, in no order.
    pub(super) fn figures(&self) -> Vec<Arc<Figures>> {
        lock(&self.seats).taken.values().cloned().collect()
    }
}

/// A client's place among the allowed number; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    /// What is counted for it.
    pub(super) figures: Arc<Figures>,
    number: u64,
    network: Option<IpAddr>,
    seats: Arc<Mutex<Seats>>,
    metrics: Arc<Metrics>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.left(self.figures.transport);
        let mut seats = lock(&self.seats);
        seats.taken.remove(&self.number);
        if let Some(network) = self.network
            && let Some(count) = seats.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                seats.by_network.remove(&network);
            }
        }
    }
}

fn lock(seats: &Mutex<Seats>) -> std::sync::MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: an IPv4 address, 64 bits of an IPv6 one; nothing for loopback.
fn network(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn at(ms: u64) -> Moment {
        Moment { since_start: Duration::from_millis(ms), unix_ms: 0 }
    }

    fn admission(config: &Config) -> Admission {
        Admission::new(config, &Arc::new(Metrics::register(&Registry::new()).unwrap()), &at(0))
    }

    fn enter(admission: &Admission, from: &str, now: &Moment) -> Result<Seat, Refusal> {
        let remote = SocketAddr::new(from.parse().unwrap(), 1);
        admission.enter(String::new(), remote, "websocket", None, None, now)
    }

    #[test]
    fn addresses_are_counted_as_networks_and_loopback_is_not() {
        let of = |text: &str| network(text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(of("127.0.0.1"), None);
        assert_eq!(of("::1"), None);
        assert_eq!(of("::ffff:127.0.0.1"), None);
        assert_eq!(of("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1:2::"));
    }

    #[test]
    fn b18_seats_are_bounded_in_all_and_by_address_and_come_free_again() {
        let admission = admission(&Config { max_clients: 3, max_clients_per_ip: 1, ..Config::default() });
        let enter = |from| enter(&admission, from, &at(0));
        let first = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Refusal::TooManyOfAddress { limit: 1 });
        let _others = (enter("127.0.0.1").unwrap(), enter("127.0.0.1").unwrap());
        assert_eq!(enter("192.0.2.2").unwrap_err(), Refusal::Full);
        drop(first);
        let _again = enter("192.0.2.1").unwrap();
        assert_eq!(admission.connections(), Connections { total: 4, active: 3, peak: 3 });
    }

    #[test]
    fn b42_ten_thousand_that_come_at_once_and_keep_to_what_they_are_told_are_in_within_30_s() {
        let config = Config { max_clients: 20_000, ..Config::default() };
        let admission = admission(&config);
        let mut seats = Vec::new();
        // When each comes next, in whole seconds as `Retry-After` tells them.
        let mut coming = vec![0; 10_000];
        let mut rounds = 0;
        while let Some(first) = coming.iter().copied().min() {
            rounds += 1;
            assert!(first < 30_000, "{} are left", coming.len());
            let (now, later): (Vec<_>, Vec<_>) = coming.into_iter().partition(|at| *at == first);
            coming = later;
            for ms in now {
                match enter(&admission, "127.0.0.1", &at(ms)) {
                    Ok(seat) => seats.push(seat),
                    Err(Refusal::TooManyNew { again }) => coming.push(ms + again.as_secs() * 1000 + 1000),
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(seats.len(), 10_000);
        assert!((26..=40).contains(&rounds), "one attempt a second or so: {rounds}");
    }

    #[test]
    fn a_limit_of_0_new_ones_is_none() {
        let config = Config { max_new_per_second: 0, max_new_burst: 1, ..Config::default() };
        let admission = admission(&config);
        let seats: Vec<_> = (0..100).map(|_| enter(&admission, "127.0.0.1", &at(0)).unwrap()).collect();
        assert_eq!(admission.figures().len(), seats.len());
    }
}
