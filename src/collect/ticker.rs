//! The task that ticks.
//!
//! Once a tick, whatever the number of viewers, it lets the collectors write their pages, reads them and the page of
//! the own registry into the table, commits, and publishes. A scrape may ask for a tick out of turn
//! ([`Ticks::fresh`]); it is published to everyone like any other, so a scrape and a subscriber see the same values
//! at the same offset. A tick that takes longer than its interval makes the next ones fall out: they are counted,
//! never made up for. After a suspend there is one tick, not one for each second slept.
//!
//! The task is owned by a [`Ticker`] and ends with [`Ticker::stop`].

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::error;

use super::feed::Feed;
use super::intake::Intake;
use super::metrics::Metrics;
use super::pace::Pace;
use super::schedule::Schedule;
use super::worker::{Content, Workers};
use super::{Collector, Config, Failing};
use crate::clock::{Clock, Moment};
use crate::exposition::page::PageWriter;
use crate::exposition::parse::Format;
use crate::registry::{RegisterError, Registry};
use crate::series::{Epoch, Scope, SourceId, Tick};

/// How many questions may wait for the ticker; more than the scrapes that the server answers at once.
const WAITING: usize = 256;

/// How many ticks wait for a [`Follower`] before it misses the oldest: at 2 ms those of an eighth of a second.
const BEHIND: usize = 64;

/// What share of the tick the collectors may take before the tick goes on without those that are not back.
const GRACE: f64 = 0.5;

/// The same for the first tick, which the start waits for: the program is to be ready within 200 ms.
const GRACE_AT_START: Duration = Duration::from_millis(100);

/// What is left for one after others have used up the grace, as a part of it: a healthy collector takes less.
const LEAST_GRACE: u32 = 20;

/// What everyone downstream holds: the last tick, and the way to ask for a fresh one.
#[derive(Clone, Debug)]
pub struct Ticks {
    latest: watch::Receiver<Arc<Tick>>,
    every: broadcast::Sender<Arc<Tick>>,
    failing: watch::Receiver<Arc<[Failing]>>,
    ask: mpsc::Sender<Ask>,
}

/// A question to the ticker.
enum Ask {
    /// A tick at most this old.
    Fresh { max_age: Duration, answer: oneshot::Sender<Arc<Tick>> },
    /// Collect with these from now on.
    Collect { collectors: Vec<Box<dyn Collector>>, config: Box<Config>, answer: oneshot::Sender<()> },
}

impl Ticks {
    /// The last tick.
    #[must_use]
    pub fn latest(&self) -> Arc<Tick> {
        Arc::clone(&self.latest.borrow())
    }

    /// A tick at most `max_age` old, committed now if need be. When the ticker has ended, the last one.
    pub async fn fresh(&self, max_age: Duration) -> Arc<Tick> {
        let (answer, told) = oneshot::channel();
        if self.ask.send(Ask::Fresh { max_age, answer }).await.is_err() {
            return self.latest();
        }
        told.await.unwrap_or_else(|_| self.latest())
    }

    /// A receiver of every tick from now on. A slow reader misses ticks between; it sees the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Tick>> {
        self.latest.clone()
    }

    /// Follows the ticks from now on, each of them.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower { every: self.every.subscribe(), latest: self.latest.clone(), taken: None }
    }

    /// The collectors and targets that fail, told when one begins to, fails for another reason, or works again.
    #[must_use]
    pub fn failing(&self) -> watch::Receiver<Arc<[Failing]>> {
        self.failing.clone()
    }

    /// Ticks published by hand, for tests.
    #[must_use]
    pub fn manual(first: Arc<Tick>) -> (Self, watch::Sender<Arc<Tick>>) {
        let (publish, latest) = watch::channel(first);
        let (ask, _) = mpsc::channel(1);
        let (_, failing) = watch::channel(Arc::default());
        (Ticks { latest, every: broadcast::Sender::new(1), failing, ask }, publish)
    }
}

/// A reader of every tick, those included that are committed before it has woken up. One that is far behind misses
/// the oldest.
#[derive(Debug)]
pub struct Follower {
    /// What each tick wakes.
    latest: watch::Receiver<Arc<Tick>>,
    /// The ticks up to the latest; those published by hand are not here.
    every: broadcast::Receiver<Arc<Tick>>,
    /// Offset of the last one taken.
    taken: Option<u64>,
}

impl Follower {
    /// Waits for a tick that was not taken yet. Cancel safe.
    ///
    /// # Errors
    /// When the ticker has ended.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.latest.changed().await
    }

    /// The ticks that were not taken yet, oldest first.
    pub fn take(&mut self) -> Vec<Arc<Tick>> {
        let latest = Arc::clone(&self.latest.borrow_and_update());
        let mut ticks = Vec::with_capacity(1);
        loop {
            match self.every.try_recv() {
                Ok(tick) => ticks.push(tick),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let taken = ticks.last().map(|tick| tick.offset).or(self.taken);
        if taken.is_none_or(|taken| taken < latest.offset) {
            ticks.push(latest);
        }
        self.taken = ticks.last().map(|tick| tick.offset).or(taken);
        ticks
    }
}

/// The running tick.
#[derive(Debug)]
pub struct Ticker {
    ticks: Ticks,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Ticker {
    /// Commits a first tick and starts the task. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When one of the tick's own metrics is registered already.
    pub async fn start(
        config: Config,
        collectors: Vec<Box<dyn Collector>>,
        feeds: Vec<Box<dyn Feed>>,
        registry: Registry,
        epoch: Epoch,
        clock: Clock,
    ) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(&registry)?;
        let mut intake = Intake::new(epoch, config.series_limit);
        let own = intake.add_source("registry", Scope::Own);
        let scrape = intake.add_source("scrape", Scope::Own);
        let mut state = State {
            workers: Workers::new(Vec::new(), config.deadline),
            schedule: Schedule::new([].into_iter(), &config.intervals, config.tick),
            sources: HashMap::new(),
            feeds,
            scrape_page: PageWriter::new(),
            own_page: Vec::new(),
            beat: 0,
            pace: Pace::default(),
            failing: watch::Sender::new(Arc::default()),
            config,
            intake,
            own,
            scrape,
            registry,
            metrics,
            clock,
        };
        state.collect_with(collectors);
        state.metrics.due(Duration::ZERO);
        let first = state.tick(GRACE_AT_START).await;
        let failing = state.failing.subscribe();
        let (publish, latest) = watch::channel(first);
        let (ask, asked) = mpsc::channel(WAITING);
        let (stop, stopped) = oneshot::channel();
        let every = broadcast::Sender::new(BEHIND);
        let publish = Publish { latest: publish, every: every.clone() };
        let task = tokio::spawn(state.run(publish, asked, stopped));
        Ok(Ticker { ticks: Ticks { latest, every, failing, ask }, stop, task })
    }

    /// The ticks, for whoever reads them.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        self.ticks.clone()
    }

    /// Collects with other collectors and settings from the next tick on; series of collectors that are gone
    /// become stale. `series_limit` keeps its first value.
    pub async fn reload(&self, config: Config, collectors: Vec<Box<dyn Collector>>) {
        let (answer, done) = oneshot::channel();
        let config = Box::new(config);
        if self.ticks.ask.send(Ask::Collect { collectors, config, answer }).await.is_ok() {
            // An error means that the ticker ended meanwhile: nothing is left to reload.
            let _ = done.await;
        }
    }

    /// Ends the task and waits for it.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            error!(%error, "the ticker did not end well");
        }
    }
}

/// Where ticks go.
struct Publish {
    latest: watch::Sender<Arc<Tick>>,
    every: broadcast::Sender<Arc<Tick>>,
}

impl Publish {
    fn tick(&self, tick: Arc<Tick>) {
        // An error means that nobody follows. First this: whoever the other wakes finds it.
        let _ = self.every.send(Arc::clone(&tick));
        self.latest.send_replace(tick);
    }
}

/// What the task owns.
struct State {
    config: Config,
    workers: Workers,
    failing: watch::Sender<Arc<[Failing]>>,
    schedule: Schedule,
    intake: Intake,
    own: SourceId,
    scrape: SourceId,
    /// Source of each collector, by name; kept when a reload switches it off, so that it comes back as the same.
    sources: HashMap<&'static str, SourceId>,
    /// The other ways in.
    feeds: Vec<Box<dyn Feed>>,
    /// How the collectors fared; its memory is used again each tick, as that of the next.
    scrape_page: PageWriter,
    /// The page of the own registry.
    own_page: Vec<u8>,
    registry: Registry,
    metrics: Metrics,
    clock: Clock,
    beat: u64,
    pace: Pace,
}

impl State {
    async fn run(
        mut self,
        publish: Publish,
        mut asked: mpsc::Receiver<Ask>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut timer = self.timer();
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                due = timer.tick() => {
                    let interval = self.config.tick;
                    let late = due.elapsed();
                    let missed = late.as_nanos() / interval.as_nanos().max(1);
                    self.metrics.missed.inc_by(u64::try_from(missed).unwrap_or(u64::MAX));
                    self.metrics.due(late);
                    self.beat += 1;
                    publish.tick(self.tick(self.grace()).await);
                }
                ask = asked.recv() => match ask {
                    None => return,
                    Some(Ask::Fresh { max_age, answer }) => {
                        let age = self.clock.now().since(&publish.latest.borrow().at);
                        if age <= max_age {
                            self.pace.found();
                        } else {
                            if let Some(next) = self.pace.needed(self.beat, self.config.tick) {
                                timer.reset_after(next);
                            }
                            self.metrics.due(Duration::ZERO);
                            publish.tick(self.tick(self.grace()).await);
                        }
                        // The scrape may have been given up meanwhile.
                        let _ = answer.send(Arc::clone(&publish.latest.borrow()));
                    }
                    Some(Ask::Collect { collectors, config, answer }) => {
                        let interval = self.config.tick;
                        self.config = *config;
                        self.collect_with(collectors);
                        if interval != self.config.tick {
                            timer = self.timer();
                        }
                        let _ = answer.send(());
                    }
                },
            }
        }
    }

    fn timer(&self) -> tokio::time::Interval {
        let interval = self.config.tick;
        let mut timer = tokio::time::interval_at(Instant::now() + interval, interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        timer
    }

    /// Takes other collectors. What the former ones had becomes stale, unless one of the same name goes on.
    fn collect_with(&mut self, collectors: Vec<Box<dyn Collector>>) {
        let names: Vec<_> = collectors.iter().map(|collector| collector.name()).collect();
        for gone in self.workers.names().filter(|name| !names.contains(name)) {
            self.intake.withdraw(self.sources[gone]);
        }
        for name in names {
            self.sources.entry(name).or_insert_with(|| self.intake.add_source(name, Scope::Own));
        }
        self.workers = Workers::new(collectors, self.config.deadline);
        self.schedule = Schedule::new(self.workers.names(), &self.config.intervals, self.config.tick);
    }

    fn grace(&self) -> Duration {
        self.config.tick.mul_f64(GRACE).min(self.config.deadline)
    }

    /// One tick: collect, read, commit.
    async fn tick(&mut self, grace: Duration) -> Arc<Tick> {
        let clock = self.clock;
        let begin = clock.now();
        let due = self.schedule.due(self.beat);
        let left = |_| grace.saturating_sub(clock.now().since(&begin)).max(grace / LEAST_GRACE);
        let outcomes = self.workers.collect(&due, begin, left).await;
        for outcome in &outcomes {
            let source = self.sources[outcome.name];
            if outcome.content != Content::Keep {
                self.schedule.ran(outcome.index, self.beat);
            }
            match outcome.content {
                Content::New => {
                    let page = self.workers.page(outcome.index);
                    let read = self.intake.page(source, page, Format::Text);
                    self.metrics.account(outcome.name, read);
                }
                Content::Keep => {}
                Content::Withdraw => self.intake.withdraw(source),
            }
        }
        self.scrape_page.clear();
        self.workers.write_scrape_page(&mut self.scrape_page);
        let read = self.intake.page(self.scrape, self.scrape_page.as_bytes(), Format::Text);
        self.metrics.account("scrape", read);
        for feed in &mut self.feeds {
            feed.take(&mut self.intake, begin);
        }
        self.read_own(begin);
        let tick = self.intake.commit(begin, self.beat);
        self.failing.send_if_modified(|before| {
            let fed = || self.feeds.iter().flat_map(|feed| feed.failing());
            let mut now = self.workers.failing();
            let mut told = before.iter();
            let alike = |a: &Failing, b: &Failing| a.labels == b.labels && a.reason == b.reason;
            let same = now.all(|failing| told.next().is_some_and(|before| alike(before, &failing)))
                && fed().all(|failing| told.next().is_some_and(|before| alike(before, failing)))
                && told.next().is_none();
            if !same {
                *before = self.workers.failing().chain(fed().cloned()).collect();
            }
            !same
        });
        self.metrics.account_tick(&tick, self.clock.now().since(&begin));
        tick
    }

    /// Reads the own registry: what it counted up to now, the last tick included.
    fn read_own(&mut self, now: Moment) {
        self.registry.expire(now);
        self.own_page.clear();
        self.registry.page(&mut self.own_page);
        let read = self.intake.page(self.own, &self.own_page, Format::OpenMetrics);
        self.metrics.account("registry", read);
        self.intake.natives(self.registry.natives());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(feeds: Vec<Box<dyn Feed>>) -> Ticker {
        let (config, registry) = (Config::default(), Registry::new());
        Ticker::start(config, Vec::new(), feeds, registry, Epoch(1), Clock::start()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_feed_writes_is_seen_with_the_tick_and_keeps_its_own_time() {
        struct Count(Option<SourceId>, f64);
        impl Feed for Count {
            fn take(&mut self, intake: &mut Intake, _: Moment) {
                let source = *self.0.get_or_insert_with(|| intake.add_source("count", Scope::Foreign));
                self.1 += 1.0;
                let page = format!("taken {} {}\n", self.1, 1_700_000_000_000i64);
                intake.page(source, page.as_bytes(), Format::Text).expect("a page");
            }
        }
        let feeds: Vec<Box<dyn Feed>> = vec![Box::new(Count(None, 0.0))];
        let ticker = start(feeds).await;
        for taken in [2.0, 3.0] {
            let tick = ticker.ticks().fresh(Duration::ZERO).await;
            let series = &tick.schema.family("taken").expect("is there").series[0];
            assert_eq!((tick.value(series), tick.own_time(series)), (taken, Some(1_700_000_000_000)));
        }
        ticker.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_gets_each_tick_and_who_is_far_behind_the_newest() {
        let ticker = start(Vec::new()).await;
        let mut follower = ticker.ticks().follow();
        let offsets = |follower: &mut Follower| -> Vec<u64> {
            follower.take().iter().map(|tick| tick.offset).collect()
        };
        for _ in 0..3 {
            ticker.ticks().fresh(Duration::ZERO).await;
        }
        follower.changed().await.unwrap();
        assert_eq!(offsets(&mut follower), [2, 3, 4]);
        for _ in 0..BEHIND + 2 {
            ticker.ticks().fresh(Duration::ZERO).await;
        }
        let newest = 4 + BEHIND as u64 + 2;
        assert_eq!(offsets(&mut follower), (7..=newest).collect::<Vec<_>>());
        assert!(offsets(&mut follower).is_empty());
        ticker.stop().await;
        assert!(follower.changed().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_made_for_a_scrape_moves_the_timer_to_shortly_before_the_next_scrape() {
        let ticker = start(Vec::new()).await;
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(ticker.ticks().fresh(Duration::ZERO).await.offset, 2);
        let scraped = Instant::now();
        let mut ticks = ticker.ticks().subscribe();
        for times in 1..=2 {
            ticks.borrow_and_update();
            ticks.changed().await.unwrap();
            assert_eq!(scraped.elapsed(), Duration::from_millis(1000 * times - 50));
        }
        ticker.stop().await;
    }
}
