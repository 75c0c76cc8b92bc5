//! The hub: owner of the channels and of the connections.
//!
//! One task follows the ticks. At each it lets every channel that is due encode its frame, and publishes a
//! [`Round`]: for each channel the last frames and the view to which they lead. The loops of the
//! [`fanout`](super::fanout) and the connections read the round and send what a client's offset asks for; the hub
//! keeps nothing for a client, not even its offset. A connection that subscribes asks the task for a channel and gets
//! a [`Lease`] on it; a channel on which there is no lease any more is dropped at the next tick, and an equal
//! subscription after that gets a new number.
//!
//! [`Hub::stop`] lets every connection say goodbye in its turn (`drain`) and waits for all of them; the task ends after
//! them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Seat};
use super::channel::{Channel, Spec, View};
use super::config::Config;
use super::drain;
use super::events::{ClockStep, Events, Recent};
use super::fanout::Fanout;
use super::handshake::Refusal;
use super::metrics::Metrics;
use super::performance::{Figures, Performance};
use super::protocol::{ErrorCode, Fault, Subscribe};
use super::recent::Published;
use super::session::spec;
use super::targets;
use crate::clock::{Clock, Moment};
use crate::collect::Ticks;
use crate::registry::{RegisterError, Registry};
use crate::series::{Epoch, Tick};

/// Connections that may wait for a channel at once; more wait to ask.
const ASKING: usize = 256;

/// Memory that the regular expressions of all channels may take, in bytes: 4096 usual ones.
const MAX_WEIGHT: usize = 64 << 20;

/// The same of one channel.
const MAX_WEIGHT_OF_ONE: usize = 8 << 20;

/// Threads that read selectors with regular expressions at once.
const READERS: usize = 2;

/// Streams the series table to clients. Clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    pub(super) shared: Arc<Shared>,
    /// Until it was waited for.
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What connections need of the hub.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) tick: Duration,
    pub(super) clock: Clock,
    pub(super) epoch: Epoch,
    pub(super) metrics: Arc<Metrics>,
    pub(super) fanout: Fanout,
    pub(super) rounds: watch::Receiver<Arc<Round>>,
    pub(super) tasks: TaskTracker,
    /// Say goodbye.
    pub(super) stop: CancellationToken,
    /// End at once.
    pub(super) kill: CancellationToken,
    events: Events,
    /// All connections are gone: the hub's task can go too.
    gone: CancellationToken,
    ask: mpsc::Sender<Ask>,
    admission: Arc<Admission>,
    names: Names,
    /// One permit a thread that reads selectors.
    readers: Arc<Semaphore>,
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
        let metrics = Arc::new(Metrics::register(registry)?);
        let first = ticks.latest();
        let events = Events::with(first.epoch, clock, Arc::clone(&metrics));
        let channels = Channels::new(config.max_channels, config.max_series, events.clone());
        let (publish, rounds) = watch::channel(Arc::new(channels.round.clone()));
        let (ask, asked) = mpsc::channel(ASKING);
        let fanout = Fanout::start(config.flush_interval, &rounds, clock, &metrics);
        let shared = Arc::new(Shared {
            tick: tick.max(Duration::from_millis(1)),
            clock,
            epoch: first.epoch,
            metrics: Arc::clone(&metrics),
            fanout,
            rounds,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            events,
            gone: CancellationToken::new(),
            ask,
            admission: Arc::new(Admission::new(&config, &metrics, &clock.now())),
            names: Names::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            config: Arc::new(config),
        });
        let reading = Reading {
            every: shared.config.performance.max(Duration::from_millis(1)),
            clock,
            admission: Arc::clone(&shared.admission),
            metrics,
        };
        // Nothing of `shared`: when that is dropped, nobody asks any more and the task ends.
        let task = tokio::spawn(run(channels, reading, first, ticks, asked, publish, shared.gone.clone()));
        Ok(Hub { shared, task: Arc::new(Mutex::new(Some(task))) })
    }

    /// The handle by which events are published to the clients.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.events.clone()
    }

    /// The figures of each client that is connected.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Figures>> {
        self.shared.admission.figures()
    }

    /// How many clients are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.shared.admission.clients()
    }

    /// Refuses new clients, says goodbye to all (close code 1001), spread over [`Config::drain`], and waits until they
    /// are gone; those that are not `grace` after the last goodbye are cut off. True if all went by themselves.
    ///
    /// Cancel safe: the goodbyes are said even if this is not awaited to its end.
    pub async fn stop(&self, grace: Duration) -> bool {
        let shared = &self.shared;
        let deadline = drain::spread(shared.config.drain, self.clients()).saturating_add(grace);
        shared.stop.cancel();
        shared.tasks.close();
        let went = tokio::time::timeout(deadline, shared.tasks.wait()).await.is_ok();
        if !went {
            shared.kill.cancel();
            shared.tasks.wait().await;
        }
        // Only now: those who wait for their turn are still served.
        shared.gone.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match task {
            Some(task) => Some(task.await),
            None => None,
        } {
            tracing::error!(%error, "the stream's hub did not end well");
        }
        shared.fanout.ended().await;
        went
    }
}

impl Shared {
    /// A seat for a client.
    pub(super) fn seat(
        &self,
        remote: SocketAddr,
        transport: &'static str,
        agent: Option<&str>,
    ) -> Result<Seat, Refusal> {
        if self.stop.is_cancelled() {
            return Err(Refusal::Stopping { again: self.spread(drain::COME_BACK) });
        }
        self.admission.enter(self.name(), remote, transport, agent, &self.clock.now())
    }

    /// Ready when a connection that begins now is to say goodbye, since the hub stops.
    pub(super) fn farewell(&self) -> impl Future<Output = ()> + '_ {
        let turn = f64::from(u32::try_from(self.names.next() % 1000).expect("below 1000")) / 1000.0;
        drain::turn(&self.stop, self.config.drain, turn, || self.admission.clients())
    }

    /// What `subscribe` asks for; what it does not say is as `before`. Selectors with regular expressions are read on
    /// threads of their own, a few at a time: 256 large ones, the most, take about a second.
    pub(super) async fn spec(
        &self,
        asked: &Subscribe,
        before: Option<&Arc<Spec>>,
    ) -> Result<Arc<Spec>, Fault> {
        if !asked.selectors.iter().flatten().any(|text| text.contains('~')) {
            return spec(&self.config, self.tick, asked, before.map(|spec| &**spec)).map(Arc::new);
        }
        let fault = |_| Fault::new(ErrorCode::Internal, "a fault of the server");
        // Held by the thread, which goes on if the client does not wait.
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| fault(()))?;
        let (config, tick, asked, before) =
            (Arc::clone(&self.config), self.tick, asked.clone(), before.cloned());
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            spec(&config, tick, &asked, before.as_deref()).map(Arc::new)
        });
        read.await.unwrap_or_else(|_| {
            self.metrics.panics.inc();
            Err(fault(()))
        })
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
    /// The last frames of each channel, by number. Looked up for each client, which hashing would slow down.
    pub(super) channels: BTreeMap<u32, Arc<Published>>,
    /// The last events.
    pub(super) events: Arc<Recent>,
    /// The last reading of the server's figures.
    pub(super) performance: Performance,
}

/// All channels: the state of the hub's task.
#[derive(Debug)]
pub(super) struct Channels {
    open: HashMap<Arc<Spec>, (Channel, Arc<()>)>,
    next: u32,
    max_channels: usize,
    max_series: usize,
    round: Round,
    events: Events,
    /// [`Tick::clock_shift_ms`] of the last tick that was seen.
    clock_shift_ms: i64,
}

impl Channels {
    pub(super) fn new(max_channels: usize, max_series: usize, events: Events) -> Self {
        Channels {
            open: HashMap::new(),
            next: 1,
            max_channels,
            max_series,
            round: Round { events: events.recent(), ..Round::default() },
            events,
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
            let (one, all) = (spec.weight(), self.open.keys().map(|spec| spec.weight()).sum::<usize>());
            if one > MAX_WEIGHT_OF_ONE || all + one > MAX_WEIGHT {
                let retryable = one <= MAX_WEIGHT_OF_ONE;
                let whose = if retryable { "all selections" } else { "the selection" };
                let message =
                    format!("the regular expressions of {whose} take too much memory; use simpler ones");
                return Err(Fault { retryable, ..Fault::new(ErrorCode::LimitExceeded, message) });
            }
            let channel = Channel::open(self.next, Arc::clone(&spec), tick, self.max_series);
            self.open.insert(Arc::clone(&spec), (channel, Arc::default()));
            self.next += 1;
        }
        // The channel's own spec, so that clients do not each keep their selectors' expressions.
        let spec = Arc::clone(self.open.get_key_value(&spec).expect("it was put there if it was not").0);
        let (channel, held) = self.open.get_mut(&spec).expect("it is there");
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
        let lease = Lease { channel: channel.number(), spec, _held: Arc::clone(held) };
        Ok(Opened { lease, view })
    }

    /// The round of a tick that is committed `now`.
    pub(super) fn advance(&mut self, tick: &Arc<Tick>, now: &Moment) -> &Round {
        let Channels { open, round, events, clock_shift_ms, .. } = self;
        open.retain(|_, (channel, held)| {
            let wanted = Arc::strong_count(held) > 1;
            if !wanted {
                round.channels.remove(&channel.number());
            } else if let Some(published) = channel.publish(tick, now.since_start) {
                round.channels.insert(channel.number(), Arc::new(published));
            }
            wanted
        });
        // Ticks may be missed, so a step may be an earlier one's.
        let step_ms = tick.clock_shift_ms.saturating_sub(*clock_shift_ms);
        *clock_shift_ms = tick.clock_shift_ms;
        if step_ms != 0 {
            events.publish_at(tick.at.unix_ms, &ClockStep { step_ms });
        }
        events.ticked(tick.offset);
        round.events = events.recent();
        round
    }

    /// The last round with the events that came since.
    pub(super) fn tell(&mut self) -> &Round {
        self.round.events = self.events.recent();
        &self.round
    }

    fn len(&self) -> usize {
        self.open.len()
    }
}

/// What the readings of the server's figures are made of.
struct Reading {
    every: Duration,
    clock: Clock,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
}

impl Reading {
    fn next(&self, last: &Performance) -> Performance {
        last.next(self.admission.connections(), &self.metrics, &self.clock.now())
    }
}

async fn run(
    mut channels: Channels,
    reading: Reading,
    mut tick: Arc<Tick>,
    following: Ticks,
    mut asked: mpsc::Receiver<Ask>,
    publish: watch::Sender<Arc<Round>>,
    gone: CancellationToken,
) {
    let (metrics, events) = (&reading.metrics, channels.events.clone());
    let mut ticks = following.follow();
    let mut failing = following.failing();
    failing.mark_changed();
    let mut failed = Arc::default();
    let mut happened = events.subscribe();
    let every = reading.every;
    let mut timer = tokio::time::interval_at((Instant::now() + every).into(), every);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let (mut ticking, mut watching) = (true, true);
    loop {
        // First the tick: who asks then gets a channel that is up to date.
        tokio::select! {
            biased;
            () = gone.cancelled() => return,
            changed = ticks.changed(), if ticking => {
                ticking = changed.is_ok();
                let taken = ticks.take();
                if taken.is_empty() {
                    continue;
                }
                let now = reading.clock.now();
                for next in taken {
                    tick = next;
                    guarded(metrics, || {
                        channels.advance(&tick, &now);
                    });
                }
                publish.send_replace(Arc::new(channels.round.clone()));
                metrics.encode.observe_duration(reading.clock.now().since(&now));
                metrics.channels.set(i64::try_from(channels.len()).unwrap_or(i64::MAX));
            }
            changed = failing.changed(), if watching => {
                watching = changed.is_ok();
                let now = Arc::clone(&failing.borrow_and_update());
                targets::changes(&failed, &now).iter().for_each(|target| events.publish(target));
                failed = now;
            }
            // `events` holds the sender.
            _ = happened.changed() => {
                happened.mark_unchanged();
                publish.send_replace(Arc::new(channels.tell().clone()));
            }
            _ = timer.tick() => {
                let round = &mut channels.round;
                round.performance = reading.next(&round.performance);
                publish.send_replace(Arc::new(round.clone()));
            }
            ask = asked.recv() => {
                let Some(Ask { spec, answer }) = ask else { return };
                let fault = || Fault::new(ErrorCode::Internal, "a fault of the server");
                let opened = guarded(metrics, || channels.open(spec, &tick));
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
    use futures_util::FutureExt;

    use super::*;
    use crate::series::Table;

    #[tokio::test]
    async fn b30_regular_expressions_are_read_beside_the_connections() {
        let clock = Clock::start();
        let (ticks, _publish) = Ticks::manual(Table::new(Epoch(7), 10).commit(clock.now(), 0));
        let second = Duration::from_secs(1);
        let hub = Hub::start(Config::default(), ticks, second, clock, &Registry::new()).unwrap();
        let asked =
            |selector: &str| Subscribe { selectors: Some(vec![selector.into()]), ..Subscribe::default() };
        let small = asked("a");
        assert!(hub.shared.spec(&small, None).now_or_never().unwrap().is_ok(), "nothing to wait for");
        let matchers = (0..8).map(|i| format!("l{i}=~'(\\\\pL|\\\\d){{20}}'")).collect::<Vec<_>>().join(",");
        let large = asked(&format!("a{{{matchers}}}"));
        let mut reading = std::pin::pin!(hub.shared.spec(&large, None));
        assert!(reading.as_mut().now_or_never().is_none(), "it is read elsewhere");
        assert!(reading.await.is_ok());
        let wrong = hub.shared.spec(&asked("a{b=~'('}"), None).await.unwrap_err();
        assert_eq!((wrong.code, wrong.column), (ErrorCode::BadSelector, Some(6)));
    }

    #[test]
    fn b93_a_panic_in_the_hub_is_caught_and_counted() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        assert_eq!(guarded(&metrics, || 7), Some(7));
        assert_eq!(guarded(&metrics, || -> u8 { panic!("as the test wants") }), None);
        assert_eq!(metrics.panics.get(), 1);
    }
}
