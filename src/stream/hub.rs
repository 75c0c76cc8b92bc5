//! The hub: owner of the channels and of the connections.
//!
//! One task follows the ticks. At each it lets every channel that is due encode its frame, and publishes a
//! [`Round`]: for each channel the last frame and the view it was made from. Connections read the round and send
//! what their client's offset asks for; the hub keeps nothing for a client, not even its offset. A connection
//! that subscribes asks the task for a channel and gets a [`Lease`] on it; a channel on which there is no lease
//! any more is dropped at the next tick, and an equal subscription after that gets a new number.
//!
//! [`Hub::stop`] tells every connection to say goodbye and waits for all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::channel::{Channel, Published, Spec, View};
use super::config::Config;
use super::frame::Frames;
use super::handshake::Refusal;
use super::metrics::Metrics;
use super::protocol::{ErrorCode, Fault, Server};
use crate::clock::Clock;
use crate::collect::Ticks;
use crate::registry::{Gauge, RegisterError, Registry};
use crate::series::{Epoch, Tick};

/// Connections that may wait for a channel at once; more wait to ask.
const ASKING: usize = 256;

/// Events kept for clients that are behind.
const EVENTS: usize = 256;

/// Streams the series table to clients. Clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    pub(super) shared: Arc<Shared>,
}

/// What connections need of the hub.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) tick: Duration,
    pub(super) clock: Clock,
    pub(super) epoch: Epoch,
    pub(super) metrics: Metrics,
    pub(super) rounds: watch::Receiver<Arc<Round>>,
    pub(super) tasks: TaskTracker,
    /// Say goodbye.
    pub(super) stop: CancellationToken,
    /// End at once.
    pub(super) kill: CancellationToken,
    ask: mpsc::Sender<Ask>,
    seats: Arc<Mutex<Seats>>,
    names: Names,
}

impl Hub {
    /// Starts the hub's task on the current tokio runtime. `tick` is the interval of the timer behind `ticks`;
    /// the stream's own figures are registered in `registry`.
    ///
    /// # Errors
    /// When the registry holds something else under one of the stream's names; nothing runs then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        config: Config,
        ticks: Ticks,
        tick: Duration,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Hub, RegisterError> {
        let metrics = Metrics::register(registry)?;
        let first = ticks.latest();
        let (publish, rounds) = watch::channel(Arc::default());
        let (ask, asked) = mpsc::channel(ASKING);
        let shared = Arc::new(Shared {
            tick: tick.max(Duration::from_millis(1)),
            clock,
            epoch: first.epoch,
            metrics: metrics.clone(),
            rounds,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            ask,
            seats: Arc::default(),
            names: Names::default(),
            config,
        });
        let channels = Channels::new(shared.config.max_channels, shared.config.max_series);
        let stop = shared.stop.clone();
        shared.tasks.spawn(run(channels, first, ticks.subscribe(), asked, publish, metrics, stop));
        Ok(Hub { shared })
    }

    /// How many clients are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.shared.seats.lock().unwrap_or_else(PoisonError::into_inner).taken
    }

    /// Refuses new clients, says goodbye to all (close code 1001) and waits until they are gone; those that are
    /// not by the deadline are cut off. True if all went by themselves.
    ///
    /// Cancel safe: the goodbyes are said even if this is not awaited to its end.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let gone = tokio::time::timeout(deadline, self.shared.tasks.wait()).await.is_ok();
        if !gone {
            self.shared.kill.cancel();
            self.shared.tasks.wait().await;
        }
        gone
    }
}

impl Shared {
    /// A seat for a client from this address.
    pub(super) fn seat(&self, address: IpAddr) -> Result<Seat, Refusal> {
        if self.stop.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        let network = network(address);
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.taken >= self.config.max_clients {
            return Err(Refusal::Full);
        }
        if let Some(network) = network {
            let of_network = seats.by_network.entry(network).or_default();
            let limit = self.config.max_clients_per_ip;
            if limit > 0 && *of_network >= limit {
                return Err(Refusal::TooManyOfAddress { limit });
            }
            *of_network += 1;
        }
        seats.taken += 1;
        self.metrics.clients.inc();
        Ok(Seat { seats: Arc::clone(&self.seats), network, clients: self.metrics.clients.clone() })
    }

    /// A channel for this spec, and its view of the last tick.
    pub(super) async fn open(&self, spec: Arc<Spec>) -> Result<Opened, Fault> {
        let (answer, told) = oneshot::channel();
        if self.ask.send(Ask { spec, answer }).await.is_err() {
            return Err(Fault::new(ErrorCode::Internal, "the server stops"));
        }
        told.await.unwrap_or_else(|_| Err(Fault::new(ErrorCode::Internal, "the server stops")))
    }

    /// A name for a connection: sixteen hex digits, not to be guessed from others.
    pub(super) fn name(&self) -> String {
        format!("{:016x}", self.names.next())
    }

    /// A time from 0 to `most`, different for each call, to spread clients that come back.
    pub(super) fn spread(&self, most: Duration) -> Duration {
        let parts = u32::try_from(self.names.next() % 1000).expect("below 1000");
        most * parts / 1000
    }
}

/// A random source of no cryptographic claim: the standard library's keyed hash of a counter.
#[derive(Debug, Default)]
struct Names {
    key: std::hash::RandomState,
    count: AtomicU64,
}

impl Names {
    fn next(&self) -> u64 {
        use std::hash::BuildHasher;
        self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who is connected.
#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A client's place among the allowed number; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Mutex<Seats>>,
    network: Option<IpAddr>,
    clients: Gauge,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.dec();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken -= 1;
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

/// A connection asks for a channel.
#[derive(Debug)]
struct Ask {
    spec: Arc<Spec>,
    answer: oneshot::Sender<Result<Opened, Fault>>,
}

/// A channel for a subscription.
#[derive(Debug)]
pub(super) struct Opened {
    /// Keeps the channel alive.
    pub(super) lease: Lease,
    /// It at the last tick.
    pub(super) view: Arc<View>,
}

/// Keeps a channel alive.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    /// The channel's number.
    pub(super) channel: u32,
    /// What it is.
    pub(super) spec: Arc<Spec>,
    _held: Arc<()>,
}

/// What connections send from, published at each tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    /// The last frame of each channel, by number.
    pub(super) channels: HashMap<u32, Arc<Published>>,
    /// The last events with their numbers, ascending.
    pub(super) events: Arc<[(u64, Frames)]>,
}

impl Round {
    /// Number of the last event, 0 before the first.
    pub(super) fn last_event(&self) -> u64 {
        self.events.last().map_or(0, |(seq, _)| *seq)
    }
}

/// All channels: the state of the hub's task.
#[derive(Debug)]
pub(super) struct Channels {
    open: HashMap<Arc<Spec>, (Channel, Arc<()>)>,
    next: u32,
    max_channels: usize,
    max_series: usize,
    round: Round,
    /// [`Tick::clock_shift_ms`] of the last tick that was seen.
    clock_shift_ms: i64,
}

impl Channels {
    pub(super) fn new(max_channels: usize, max_series: usize) -> Self {
        Channels {
            open: HashMap::new(),
            next: 1,
            max_channels,
            max_series,
            round: Round::default(),
            clock_shift_ms: 0,
        }
    }

    /// The channel of a spec, made if there is none.
    pub(super) fn open(&mut self, spec: Arc<Spec>, tick: &Arc<Tick>) -> Result<Opened, Fault> {
        if !self.open.contains_key(&spec) {
            if self.open.len() >= self.max_channels {
                let message =
                    format!("the server streams {} distinct selections, its limit", self.max_channels);
                let mut fault = Fault::new(ErrorCode::LimitExceeded, message);
                (fault.limit, fault.retryable) = (Some(self.max_channels), true);
                return Err(fault);
            }
            let channel = Channel::open(self.next, Arc::clone(&spec), tick, self.max_series);
            self.open.insert(Arc::clone(&spec), (channel, Arc::default()));
            self.next += 1;
        }
        let (channel, held) = self.open.get_mut(&spec).expect("it was put there if it was not");
        let view = channel.view(tick);
        let picked = view.picked();
        if spec.limit.is_none() && picked > self.max_series && Arc::strong_count(held) == 1 {
            self.round.channels.remove(&channel.number());
            self.open.remove(&spec);
            let message = format!(
                "the selection matches {picked} series, a subscription may have {}; narrow it or give a limit",
                self.max_series
            );
            let mut fault = Fault::new(ErrorCode::TooManySeries, message);
            (fault.matched, fault.limit) = (Some(picked), Some(self.max_series));
            return Err(fault);
        }
        let lease = Lease { channel: channel.number(), spec: Arc::clone(&spec), _held: Arc::clone(held) };
        Ok(Opened { lease, view })
    }

    /// The round of a tick.
    pub(super) fn advance(&mut self, tick: &Arc<Tick>) -> &Round {
        let Channels { open, round, clock_shift_ms, .. } = self;
        open.retain(|_, (channel, held)| {
            let wanted = Arc::strong_count(held) > 1;
            if !wanted {
                round.channels.remove(&channel.number());
            } else if let Some(published) = channel.publish(tick) {
                round.channels.insert(channel.number(), Arc::new(published));
            }
            wanted
        });
        // The hub sees only the last of ticks that come close together, so a step may be an earlier one's.
        let step_ms = tick.clock_shift_ms.saturating_sub(*clock_shift_ms);
        *clock_shift_ms = tick.clock_shift_ms;
        if step_ms != 0 {
            let seq = round.last_event() + 1;
            let event = Server::Event { seq, kind: "clock", step_ms, t: tick.at.unix_ms };
            let kept = round.events.len().saturating_sub(EVENTS - 1);
            round.events = round.events[kept..].iter().cloned().chain([(seq, event.frame())]).collect();
        }
        round
    }

    fn len(&self) -> usize {
        self.open.len()
    }
}

async fn run(
    mut channels: Channels,
    mut tick: Arc<Tick>,
    mut ticks: watch::Receiver<Arc<Tick>>,
    mut asked: mpsc::Receiver<Ask>,
    publish: watch::Sender<Arc<Round>>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut ticking = true;
    loop {
        // First the tick: who asks then gets a channel that is up to date.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = ticks.changed(), if ticking => {
                ticking = changed.is_ok();
                tick = Arc::clone(&ticks.borrow_and_update());
                let started = Instant::now();
                guarded(&metrics, || publish.send_replace(Arc::new(channels.advance(&tick).clone())));
                metrics.encode.observe_duration(started.elapsed());
                metrics.channels.set(i64::try_from(channels.len()).unwrap_or(i64::MAX));
            }
            ask = asked.recv() => {
                let Some(Ask { spec, answer }) = ask else { return };
                let fault = || Fault::new(ErrorCode::Internal, "a fault of the server");
                let opened = guarded(&metrics, || channels.open(spec, &tick));
                // Nobody waits any more if the client went meanwhile.
                let _ = answer.send(opened.unwrap_or_else(|| Err(fault())));
                metrics.channels.set(i64::try_from(channels.len()).unwrap_or(i64::MAX));
            }
        }
    }
}

/// Runs `work`; a panic in it is counted and logged, and the next tick begins afresh from what was published
/// last, since offsets say exactly what each client has.
fn guarded<T>(metrics: &Metrics, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        metrics.panics.inc();
        tracing::error!("a fault in the stream's hub; the tick is left out");
    }
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn b93_a_panic_in_the_hub_is_caught_and_counted() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        assert_eq!(guarded(&metrics, || 7), Some(7));
        assert_eq!(guarded(&metrics, || -> u8 { panic!("as the test wants") }), None);
        assert_eq!(metrics.panics.get(), 1);
    }
}
