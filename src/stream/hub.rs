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
use super::backfill::{Wanted, patience};
use super::channel::{Channel, Spec, View};
use super::config::Config;
use super::drain;
use super::events::{ClockStep, Events, Recent};
use super::fanout::Fanout;
use super::frame::Frames;
use super::handshake::Refusal;
use super::live::{Answer, Job, Lanes, Outcome, Past};
use super::metrics::Metrics;
use super::performance::{Figures, Performance};
use super::protocol::{ErrorCode, Fault, Subscribe};
use super::recent::Published;
use super::results::Results;
use super::session::{recovers, spec};
use super::targets;
use crate::clock::{Clock, Moment};
use crate::collect::Ticks;
use crate::query::Labels;
use crate::query::eval::Interrupt;
use crate::registry::{RegisterError, Registry};
use crate::series::{Epoch, Tick};

/// Connections that may wait for a channel at once; more wait to ask.
const ASKING: usize = 256;

/// Memory that the regular expressions of all channels may take, in bytes: 4096 usual ones.
const MAX_WEIGHT: usize = 64 << 20;

/// The same of one channel.
const MAX_WEIGHT_OF_ONE: usize = 8 << 20;

/// Threads that read selectors with regular expressions, or the past, at once.
const READERS: usize = 2;

/// How often the past is prepared anew for a channel that has gone on meanwhile.
const AGAIN: usize = 2;

/// A query that took longer leaves the quick lane, and one that took less than this comes back into it.
const HURRIED: Duration = Duration::from_millis(50);
const UNHURRIED: Duration = Duration::from_millis(20);

/// A query's result holds at most so many times the series that a subscription may have.
const RESULTS: usize = 2;

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
    /// One permit a thread that reads selectors, queries or the past.
    readers: Arc<Semaphore>,
    past: Option<Past>,
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
        Self::start_with(config, ticks, tick, clock, registry, None)
    }

    /// As [`Hub::start`], with what subscriptions that carry a query or want the past are answered from. Without it they
    /// are refused.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn start_with(
        config: Config,
        ticks: Ticks,
        tick: Duration,
        clock: Clock,
        registry: &Registry,
        past: Option<Past>,
    ) -> Result<Hub, RegisterError> {
        let metrics = Arc::new(Metrics::register(registry)?);
        let first = ticks.latest();
        let events = Events::with(first.epoch, clock, Arc::clone(&metrics));
        let mut channels = Channels::new(&config, events.clone());
        if let Some(past) = &past {
            channels.evaluate_by(Lanes::start(past, &metrics), tick, &metrics);
        }
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
            past,
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
        token: Option<Arc<str>>,
    ) -> Result<Seat, Refusal> {
        if self.stop.is_cancelled() {
            return Err(Refusal::Stopping { again: self.spread(drain::COME_BACK) });
        }
        self.admission.enter(self.name(), remote, transport, agent, token, &self.clock.now())
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
        let needs_past = asked.query.is_some() || asked.derived.is_some() || asked.history.is_some();
        if needs_past && self.past.is_none() {
            return Err(Fault::new(ErrorCode::Unsupported, "this server keeps no history to answer from"));
        }
        let mut texts = asked.selectors.iter().flatten().chain(&asked.query);
        if !texts.any(|text| text.contains('~')) {
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

    /// A channel for this spec, and what a client that asked for it begins with.
    pub(super) async fn open(&self, spec: Arc<Spec>, asked: &Subscribe) -> Result<Opened, Fault> {
        let mut opened = self.channel(Arc::clone(&spec)).await?;
        let (Some(past), Some(history)) = (&self.past, asked.history.filter(|history| !history.is_zero()))
        else {
            return Ok(opened);
        };
        let mut late = None;
        for _ in 0..AGAIN {
            opened = late.take().unwrap_or(opened);
            if recovers(asked.resume.as_ref(), &opened).is_ok() {
                break;
            }
            past.has(opened.view.offset()).await;
            let (view, spec, tick) = (Arc::clone(&opened.view), Arc::clone(&spec), self.tick);
            opened.past = self.past_of(past, Wanted { view, spec, history, tick }).await;
            let now = self.channel(Arc::clone(&opened.lease.spec)).await?;
            // One more frame is due to the client as it is to all others; of more some may be joined.
            if now.view.frames() <= opened.view.frames() + 1 {
                break;
            }
            late = Some(now);
        }
        Ok(opened)
    }

    /// Prepares the past on a thread of its own; `None` if that failed.
    async fn past_of(&self, past: &Past, wanted: Wanted) -> Option<Frames> {
        let permit = Arc::clone(&self.readers).acquire_owned().await.ok()?;
        let (own, interrupt) = (past.clone(), Interrupt::default());
        let inner = interrupt.clone();
        let mut work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            wanted.frames(&own, &inner)
        });
        let done = match tokio::time::timeout(patience(past), &mut work).await {
            Ok(done) => done,
            Err(_) => {
                interrupt.time_out();
                work.await
            }
        };
        if done.is_err() {
            self.metrics.panics.inc();
        }
        done.ok()
    }

    /// A channel for this spec, and its view of the last tick.
    async fn channel(&self, spec: Arc<Spec>) -> Result<Opened, Fault> {
        let (answer, told) = oneshot::channel();
        if self.ask.send(Ask { spec, answer }).await.is_err() {
            return Err(Fault::new(ErrorCode::Internal, "the server stops"));
        }
        // Dropped unanswered by a fault, or at the end.
        told.await
            .unwrap_or_else(|_| Err(Fault::new(ErrorCode::Internal, "a fault of the server, or its end")))
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
    /// The view with the past before it, for who begins anew and wants that.
    pub(super) past: Option<Frames>,
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

/// A channel that somebody has.
#[derive(Debug)]
struct Open {
    channel: Channel,
    /// Who else holds it has a lease.
    held: Arc<()>,
    /// Of a query.
    live: Option<Live>,
}

/// A query whose channel is open.
#[derive(Debug)]
struct Live {
    results: Results,
    /// The last result.
    tick: Arc<Tick>,
    turn: Turn,
}

/// A query whose first answer is awaited, and who awaits it.
#[derive(Debug)]
struct Starting {
    number: u32,
    turn: Turn,
    waiting: Vec<oneshot::Sender<Result<Opened, Fault>>>,
}

/// When a query is evaluated.
#[derive(Debug, Default)]
struct Turn {
    /// Offset and beat of the last tick for which it was.
    last: Option<(u64, u64)>,
    /// Is it being evaluated?
    busy: bool,
    /// In which lane.
    slow: bool,
}

impl Turn {
    fn is_due(&self, tick: &Tick, every: u64) -> bool {
        self.last.is_none_or(|(offset, beat)| match every {
            1 => tick.offset > offset,
            every => tick.beat >= beat.saturating_add(every),
        })
    }
}

/// What evaluates queries.
#[derive(Debug)]
struct Evaluation {
    lanes: Lanes,
    tick: Duration,
    metrics: Arc<Metrics>,
}

/// All channels: the state of the hub's task.
#[derive(Debug)]
pub(super) struct Channels {
    open: HashMap<Arc<Spec>, Open>,
    starting: HashMap<Arc<Spec>, Starting>,
    /// The specs of queries, open or starting, by the number of their channel.
    queries: HashMap<u32, Arc<Spec>>,
    /// The last tick that queries were handed over for.
    latest: Option<Arc<Tick>>,
    evaluation: Option<Evaluation>,
    next: u32,
    max_channels: usize,
    max_queries: usize,
    max_series: usize,
    round: Round,
    events: Events,
    /// [`Tick::clock_shift_ms`] of the last tick that was seen.
    clock_shift_ms: i64,
}

impl Channels {
    pub(super) fn new(config: &Config, events: Events) -> Self {
        Channels {
            open: HashMap::new(),
            starting: HashMap::new(),
            queries: HashMap::new(),
            latest: None,
            evaluation: None,
            next: 1,
            max_channels: config.max_channels,
            max_queries: config.max_queries,
            max_series: config.max_series,
            round: Round { events: events.recent(), ..Round::default() },
            events,
            clock_shift_ms: 0,
        }
    }

    fn evaluate_by(&mut self, lanes: Lanes, tick: Duration, metrics: &Arc<Metrics>) {
        self.evaluation = Some(Evaluation { lanes, tick, metrics: Arc::clone(metrics) });
    }

    /// Is there room for another channel of this spec?
    fn admit(&self, spec: &Spec) -> Result<(), Fault> {
        let full = |message: String, limit: usize| {
            let fault = Fault::new(ErrorCode::LimitExceeded, message);
            Err(Fault { limit: Some(limit), retryable: true, ..fault })
        };
        if self.open.len() + self.starting.len() >= self.max_channels {
            let message = format!("the server streams {} distinct selections, its limit", self.max_channels);
            return full(message, self.max_channels);
        }
        if spec.query().is_some() && self.queries.len() >= self.max_queries {
            let message = format!("the server evaluates {} distinct queries, its limit", self.max_queries);
            return full(message, self.max_queries);
        }
        let known = self.open.keys().chain(self.starting.keys());
        let (one, all) = (spec.weight(), known.map(|spec| spec.weight()).sum::<usize>());
        if one > MAX_WEIGHT_OF_ONE || all + one > MAX_WEIGHT {
            let retryable = one <= MAX_WEIGHT_OF_ONE;
            let whose = if retryable { "all selections" } else { "the selection" };
            let message =
                format!("the regular expressions of {whose} take too much memory; use simpler ones");
            return Err(Fault { retryable, ..Fault::new(ErrorCode::LimitExceeded, message) });
        }
        Ok(())
    }

    /// Answers with the channel of a spec: at once, or, where it is of a query that nobody has yet, when that has been
    /// evaluated.
    pub(super) fn ask(
        &mut self,
        spec: Arc<Spec>,
        tick: &Arc<Tick>,
        answer: oneshot::Sender<Result<Opened, Fault>>,
    ) {
        if spec.query().is_none() || self.open.contains_key(&spec) {
            // Nobody waits any more if the client went meanwhile; so below.
            let _ = answer.send(self.open(spec, tick));
            return;
        }
        if let Some(starting) = self.starting.get_mut(&spec) {
            starting.waiting.push(answer);
            return;
        }
        if let Err(fault) = self.admit(&spec) {
            let _ = answer.send(Err(fault));
            return;
        }
        let number = self.next;
        self.next += 1;
        self.queries.insert(number, Arc::clone(&spec));
        self.starting.insert(spec, Starting { number, turn: Turn::default(), waiting: vec![answer] });
        self.evaluate(tick);
    }

    /// The channel of a spec, made if there is none and it is no query.
    pub(super) fn open(&mut self, spec: Arc<Spec>, tick: &Arc<Tick>) -> Result<Opened, Fault> {
        if !self.open.contains_key(&spec) {
            self.admit(&spec)?;
            let channel = Channel::open(self.next, Arc::clone(&spec), tick, self.max_series);
            self.open.insert(Arc::clone(&spec), Open { channel, held: Arc::default(), live: None });
            self.next += 1;
        }
        // The channel's own spec, so that clients do not each keep their selectors' expressions.
        let spec = Arc::clone(self.open.get_key_value(&spec).expect("it was put there if it was not").0);
        let Open { channel, held, live } = self.open.get_mut(&spec).expect("it is there");
        let view = channel.view(live.as_ref().map_or(tick, |live| &live.tick));
        let picked = view.picked();
        if spec.limit.is_none() && picked > self.max_series && Arc::strong_count(held) == 1 {
            self.round.channels.remove(&channel.number());
            self.queries.remove(&channel.number());
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
        Ok(Opened { lease, view, past: None })
    }

    /// The round of a tick that is committed `now`. Frames of queries follow when they are evaluated.
    pub(super) fn advance(&mut self, tick: &Arc<Tick>, now: &Moment) -> &Round {
        let Channels { open, queries, round, events, clock_shift_ms, .. } = self;
        open.retain(|_, Open { channel, held, live }| {
            let wanted = Arc::strong_count(held) > 1;
            if !wanted {
                round.channels.remove(&channel.number());
                queries.remove(&channel.number());
            } else if live.is_none()
                && let Some(published) = channel.publish(tick, now.since_start)
            {
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
        let skipped = self.evaluate(tick);
        if let Some(evaluation) = &self.evaluation {
            evaluation.metrics.evaluations_skipped.inc_by(skipped);
        }
        &self.round
    }

    /// Hands over the queries that are due; gives how many could not be, since a lane or they themselves are busy.
    fn evaluate(&mut self, tick: &Arc<Tick>) -> u64 {
        let Some(Evaluation { lanes, tick: every, metrics }) = &self.evaluation else { return 0 };
        metrics.queries.set(i64::try_from(self.queries.len()).unwrap_or(i64::MAX));
        if self.queries.is_empty() {
            return 0;
        }
        self.latest = Some(Arc::clone(tick));
        let mut skipped = 0;
        for slow in [false, true] {
            let mut jobs = Vec::new();
            let open = self.open.iter_mut();
            let open = open.filter_map(|(spec, open)| {
                Some((spec, open.channel.number(), &mut open.live.as_mut()?.turn))
            });
            let starting = self.starting.iter_mut().map(|(spec, one)| (spec, one.number, &mut one.turn));
            let mut due: Vec<_> = open
                .chain(starting)
                .filter(|(spec, _, turn)| turn.slow == slow && turn.is_due(tick, spec.every))
                .collect();
            for (spec, channel, turn) in &due {
                if !turn.busy
                    && let Some(query) = spec.query()
                {
                    let interval = every.saturating_mul(u32::try_from(spec.every).unwrap_or(u32::MAX));
                    jobs.push(Job { channel: *channel, query: Arc::clone(query), interval });
                }
            }
            jobs.sort_unstable_by_key(|job| job.channel);
            let any = !jobs.is_empty();
            let taken = any && lanes.evaluate(slow, super::live::Due { tick: Arc::clone(tick), jobs });
            for (_, _, turn) in &mut due {
                if turn.busy || !taken {
                    skipped += 1;
                } else {
                    (turn.busy, turn.last) = (true, Some((tick.offset, tick.beat)));
                }
            }
        }
        skipped
    }

    /// Takes the answers of queries in; true if there is something to send.
    pub(super) fn answered(&mut self, answers: Vec<Answer>, now: &Moment) -> bool {
        let mut any = false;
        for Answer { channel: number, tick, outcome, took } in answers {
            // It is gone if nobody wants it any more.
            let Some(spec) = self.queries.get(&number).map(Arc::clone) else { continue };
            let slow = matches!(outcome, Outcome::TooSlow);
            let turn = match (self.open.get_mut(&spec), self.starting.get_mut(&spec)) {
                (Some(Open { live: Some(live), .. }), _) => &mut live.turn,
                (_, Some(starting)) => &mut starting.turn,
                _ => continue,
            };
            turn.busy = false;
            turn.slow = slow || took > if turn.slow { UNHURRIED } else { HURRIED };
            let Outcome::Values(values) = outcome else {
                // Not evaluated yet: due again, in the other lane.
                turn.last = None;
                continue;
            };
            match self.starting.remove(&spec) {
                Some(starting) => self.begin(spec, starting, &tick, values),
                None => {
                    let Some(Open { channel, live: Some(live), .. }) = self.open.get_mut(&spec) else {
                        continue;
                    };
                    live.tick = live.results.apply(&tick, &values);
                    channel.fares(live.results.state());
                    if let Some(published) = channel.publish(&live.tick, now.since_start) {
                        self.round.channels.insert(number, Arc::new(published));
                        any = true;
                    }
                }
            }
        }
        // Those that came while the lanes were busy.
        if let Some(latest) = self.latest.take() {
            self.evaluate(&latest);
        }
        any
    }

    /// A query has been evaluated for the first time.
    fn begin(
        &mut self,
        spec: Arc<Spec>,
        starting: Starting,
        tick: &Arc<Tick>,
        values: Result<Vec<(Labels, f64)>, Arc<str>>,
    ) {
        let Starting { number, turn, waiting } = starting;
        if let Err(message) = &values {
            self.queries.remove(&number);
            for answer in waiting {
                let fault =
                    Fault::new(ErrorCode::QueryFailed, format!("the query cannot be evaluated: {message}"));
                let _ = answer.send(Err(Fault { retryable: true, ..fault }));
            }
            return;
        }
        let mut results = Results::new(tick, self.max_series.saturating_mul(RESULTS));
        let first = results.apply(tick, &values);
        let channel = Channel::open(number, Arc::clone(&spec), &first, self.max_series);
        let live = Some(Live { results, tick: Arc::clone(&first), turn });
        self.open.insert(Arc::clone(&spec), Open { channel, held: Arc::default(), live });
        for answer in waiting {
            // The first who is refused takes the channel along.
            let opened = if self.open.contains_key(&spec) {
                self.open(Arc::clone(&spec), &first)
            } else {
                let message = format!(
                    "the query gives more than {} series; narrow it or give a limit",
                    self.max_series
                );
                Err(Fault { limit: Some(self.max_series), ..Fault::new(ErrorCode::TooManySeries, message) })
            };
            let _ = answer.send(opened);
        }
    }

    /// The last round with the events that came since.
    pub(super) fn tell(&mut self) -> &Round {
        self.round.events = self.events.recent();
        &self.round
    }

    fn len(&self) -> usize {
        self.open.len() + self.starting.len()
    }
}

/// The next answers of queries; never without a history. Cancel safe.
async fn answers(channels: &mut Channels) -> Vec<Answer> {
    match &mut channels.evaluation {
        Some(evaluation) => evaluation.lanes.answers().await,
        None => std::future::pending().await,
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
            answers = answers(&mut channels) => {
                let now = reading.clock.now();
                if guarded(metrics, || channels.answered(answers, &now)) == Some(true) {
                    publish.send_replace(Arc::new(channels.round.clone()));
                }
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
                guarded(metrics, || channels.ask(spec, &tick, answer));
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
