//! The tasks of the channels: a [`Lane`] is a queue with the task that works it off, [`Shared`] is all of them.
//!
//! A lane is a channel of a receiver whatever its settings: a reload that changes them ([`Shared::reload`]) puts the new ones into the
//! lane that is there, so what waits is told by them, at once. A lane whose channel is gone tells what it can tell at once, as at a
//! stop, and makes dead letters of the rest, so that nothing is lost without a word.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config::{Channel, Config, Kind};
use super::dead::{DeadLetter, DeadLetters};
use super::fate::Fate;
use super::health::Health;
use super::http::{post, verdict};
use super::message::Told;
use super::metrics::{Figures, Metrics};
use super::queue::{Attempt, CAPACITY, Item, Next, Outcome, Queue, Settled, Waiting};
use super::{DeliveryOutcome, DeliveryResult, FLUSH, log, random};
use crate::alert::{Cause, Notification, Origin};
use crate::clock::Clock;
use crate::http_client::{Client, Fetcher, Line};

/// Why what waits for a channel that is gone is a dead letter.
pub(super) const REMOVED: &str = "the channel is not configured any more";

/// All lanes, and what they share.
#[derive(Debug)]
pub(super) struct Shared {
    lanes: Mutex<Lanes>,
    dead: Mutex<DeadLetters>,
    /// Something that is written down has changed.
    pub(super) changed: Notify,
    external_url: Arc<str>,
    results: mpsc::Sender<DeliveryResult>,
    pub(super) metrics: Metrics,
    health: Health,
    pub(super) clock: Clock,
}

#[derive(Debug, Default)]
struct Lanes {
    /// All whose task runs; those that leave too.
    all: Vec<Arc<Lane>>,
    receivers: HashMap<Arc<str>, Receiving>,
}

#[derive(Debug)]
struct Receiving {
    lanes: Vec<Arc<Lane>>,
    fallback: Vec<String>,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) receiver: Arc<str>,
    integration: &'static str,
    settings: Mutex<Settings>,
    queue: Mutex<Queue>,
    /// Something was queued.
    wake: Notify,
    figures: Figures,
    /// The kind of failure that was last told to the log.
    trouble: Mutex<Option<&'static str>>,
    /// Its channel is configured no more.
    gone: CancellationToken,
    /// Its task has ended for that.
    ended: AtomicBool,
}

/// What a reload can change.
#[derive(Clone, Debug)]
struct Settings {
    /// Its place among the channels of its receiver.
    place: usize,
    channel: Arc<Channel>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    pub(super) fn integration(&self) -> &'static str {
        self.integration
    }

    /// Its place among the channels of its receiver.
    pub(super) fn place(&self) -> usize {
        lock(&self.settings).place
    }

    fn channel(&self) -> Arc<Channel> {
        Arc::clone(&lock(&self.settings).channel)
    }

    /// What it is called where its health is told.
    fn name(&self) -> String {
        let (receiver, place) = (&self.receiver, self.place());
        if place == 0 { receiver.to_string() } else { format!("{receiver}[{place}]") }
    }

    fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// What waits.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        lock(&self.queue).waiting().cloned().collect()
    }
}

/// What the attempts of a lane are made with.
struct With {
    channel: Arc<Channel>,
    fetcher: Fetcher,
    line: Line,
}

impl With {
    fn new(channel: Arc<Channel>) -> Self {
        let client = match &channel.kind {
            Kind::Webhook(webhook) => webhook.client.clone(),
            Kind::Slack(slack) => slack.client.clone(),
            Kind::PagerDuty(pagerduty) => pagerduty.client.clone(),
            Kind::Log | Kind::Email(_) => Client::default(),
        };
        With { channel, fetcher: Fetcher::new(client), line: Line::default() }
    }
}

impl Shared {
    pub(super) fn new(
        external_url: Arc<str>,
        results: mpsc::Sender<DeliveryResult>,
        metrics: Metrics,
        health: Health,
        clock: Clock,
    ) -> Self {
        let (lanes, dead, changed) = (Mutex::default(), Mutex::default(), Notify::new());
        Shared { lanes, dead, changed, external_url, results, metrics, health, clock }
    }

    /// Goes over to other receivers: gives the lanes that are new, and those whose channels are gone. The latter can still be sent to,
    /// until [`Shared::forget`].
    pub(super) fn reload(&self, config: &Config) -> (Vec<Arc<Lane>>, Vec<Arc<Lane>>) {
        let mut lanes = lock(&self.lanes);
        let mut before: Vec<Arc<Lane>> = lanes.all.iter().filter(|lane| !lane.is_gone()).cloned().collect();
        let mut new = Vec::new();
        for receiver in &config.receivers {
            let name: Arc<str> = receiver.name.as_str().into();
            let mut take = |same: &dyn Fn(&Lane) -> bool| {
                let at = before.iter().position(|lane| lane.receiver == name && same(lane))?;
                Some(before.remove(at))
            };
            // First those that are as they were, so that they keep their queue wherever they stand now.
            let mut known: Vec<Option<Arc<Lane>>> =
                receiver.channels.iter().map(|channel| take(&|lane| *lane.channel() == *channel)).collect();
            for (known, channel) in known.iter_mut().zip(&receiver.channels) {
                if known.is_none() {
                    *known = take(&|lane| lane.integration == channel.kind.word());
                }
            }
            let mut of = Vec::new();
            for (place, (channel, known)) in receiver.channels.iter().zip(known).enumerate() {
                let lane = match known {
                    Some(lane) => {
                        self.change(&lane, place, channel);
                        lane
                    }
                    None => {
                        let lane = Arc::new(self.lane_of(&name, place, channel));
                        lanes.all.push(Arc::clone(&lane));
                        new.push(Arc::clone(&lane));
                        lane
                    }
                };
                of.push(lane);
            }
            let fallback = receiver.fallback.clone();
            lanes.receivers.insert(name, Receiving { lanes: of, fallback });
        }
        drop(lanes);
        self.changed.notify_one();
        (new, before)
    }

    fn lane_of(&self, receiver: &Arc<str>, place: usize, channel: &Channel) -> Lane {
        let integration = channel.kind.word();
        Lane {
            receiver: Arc::clone(receiver),
            integration,
            settings: Mutex::new(Settings { place, channel: Arc::new(channel.clone()) }),
            queue: Mutex::new(Queue::new(CAPACITY)),
            wake: Notify::new(),
            figures: self.metrics.channel(receiver, integration),
            trouble: Mutex::new(None),
            gone: CancellationToken::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Gives a lane other settings. What waits is due at once then, since what was wrong may be right now.
    fn change(&self, lane: &Lane, place: usize, channel: &Channel) {
        let (name, same) = (lane.name(), *lane.channel() == *channel);
        if !same || lane.place() != place {
            self.health.set(lane.integration, &name, None);
        }
        let mut settings = lock(&lane.settings);
        settings.place = place;
        if !same {
            settings.channel = Arc::new(channel.clone());
            drop(settings);
            *lock(&lane.trouble) = None;
            lock(&lane.queue).renew(self.clock.now());
            lane.wake.notify_one();
        }
    }

    /// Sends nothing more to receivers that are not in the configuration, and ends the lanes whose channels are gone.
    pub(super) fn forget(&self, config: &Config, leaving: &[Arc<Lane>]) {
        let known: Vec<&str> = config.names().collect();
        lock(&self.lanes).receivers.retain(|name, _| known.contains(&&**name));
        leaving.iter().for_each(|lane| lane.gone.cancel());
    }

    /// All lanes, those that leave too.
    pub(super) fn lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).all.clone()
    }

    /// The task of a lane, until `stop`, or until its channel is gone.
    pub(super) async fn run(self: Arc<Self>, lane: Arc<Lane>, stop: CancellationToken) {
        let ends = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = lane.gone.cancelled() => {}
            }
        };
        let late = async {
            ends.await;
            tokio::time::sleep(FLUSH).await;
        };
        tokio::select! {
            () = self.work(&lane, &stop) => {}
            () = late => {}
        }
        if lane.is_gone() {
            self.end(&lane);
        }
    }

    /// The last of a lane whose channel is gone.
    fn end(&self, lane: &Lane) {
        lane.ended.store(true, Ordering::SeqCst);
        let left = lock(&lane.queue).take_all();
        for item in left {
            lane.figures.queued(-1);
            self.bury(lane, item, "removed", REMOVED.to_owned());
        }
        self.health.set(lane.integration, &lane.name(), None);
        let mut lanes = lock(&self.lanes);
        lanes.all.retain(|known| !std::ptr::eq(&raw const **known, lane));
        let alike =
            |known: &Arc<Lane>| (&known.receiver, known.integration) == (&lane.receiver, lane.integration);
        if !lanes.all.iter().any(alike) {
            lane.figures.forget();
        }
        drop(lanes);
        self.changed.notify_one();
    }

    /// Queues a notification for each channel of its receiver.
    pub(super) fn send(&self, notification: Notification) {
        let fallback = {
            let lanes = lock(&self.lanes);
            lanes.receivers.get(&notification.receiver).map(|receiving| receiving.fallback.clone())
        };
        if !self.hand(Arc::new(notification), fallback.unwrap_or_default()) {
            self.metrics.unknown.inc();
        }
    }

    /// Is there such a receiver?
    fn hand(&self, notification: Arc<Notification>, fallback: Vec<String>) -> bool {
        let found = lock(&self.lanes).receivers.get(&notification.receiver).map(|to| to.lanes.clone());
        let Some(lanes) = found else {
            warn!(receiver = %notification.receiver, "there is no such receiver, so nobody is told");
            return false;
        };
        // What is about our own deliveries must not go the way that fails.
        let meta = !notification.alerts.is_empty()
            && notification.alerts.iter().all(|alert| alert.origin == Origin::Meta);
        let now = self.clock.now();
        let wanted = |lane: &&Arc<Lane>| {
            let channel = lane.channel();
            (channel.kind == Kind::Log || !meta)
                && (notification.cause != Cause::Acknowledged || channel.kind.acknowledges())
                && Told::new(&notification, channel.send_resolved, "", now.unix_ms).is_some()
        };
        let lanes: Vec<&Arc<Lane>> = lanes.iter().filter(wanted).collect();
        let fate = Arc::new(Fate::of(lanes.len()));
        for lane in lanes {
            let (notification, fallback) = (Arc::clone(&notification), fallback.clone());
            let waiting = Waiting { notification, queued_ms: now.unix_ms, attempts: 0, fallback };
            self.queue(lane, waiting, Arc::clone(&fate));
        }
        true
    }

    /// Puts one into the queue of a lane.
    pub(super) fn queue(&self, lane: &Lane, waiting: Waiting, fate: Arc<Fate>) {
        let dropped = lock(&lane.queue).push(waiting, fate, self.clock.now());
        match dropped {
            None => lane.figures.queued(1),
            Some(item) => self.bury(lane, item, "overflow", "too many others wait".into()),
        }
        lane.wake.notify_one();
        self.changed.notify_one();
        // Whoever queued it had looked its receiver up before a reload.
        if lane.ended.load(Ordering::SeqCst) {
            self.end(lane);
        }
    }

    /// Works off the queue of a lane. After a stop it goes on as long as all goes well.
    async fn work(&self, lane: &Lane, stop: &CancellationToken) {
        let ends = |lane: &Lane| stop.is_cancelled() || lane.is_gone();
        let mut with = With::new(lane.channel());
        loop {
            let next = lock(&lane.queue).next(self.clock.now());
            let wait = match next {
                Next::Try(attempt) => {
                    let channel = lane.channel();
                    if !Arc::ptr_eq(&with.channel, &channel) {
                        with = With::new(channel);
                    }
                    let began = Instant::now();
                    let outcome = self.attempt(&mut with, &attempt).await;
                    lane.figures.attempt(began.elapsed());
                    let delivered = outcome == Outcome::Delivered;
                    self.ended(lane, &attempt, outcome);
                    if ends(lane) && !delivered {
                        return;
                    }
                    continue;
                }
                Next::Wait(at) => Some(at.saturating_sub(self.clock.now().since_start)),
                Next::Empty => None,
            };
            if ends(lane) {
                return;
            }
            let wait = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = lane.gone.cancelled() => {}
                () = lane.wake.notified() => {}
                () = wait => {}
            }
        }
    }

    async fn attempt(&self, with: &mut With, attempt: &Attempt) -> Outcome {
        let With { channel, fetcher, line } = with;
        let now = self.clock.now().unix_ms;
        let told = Told::new(&attempt.notification, channel.send_resolved, &self.external_url, now);
        let Some(told) = told else { return Outcome::Delivered };
        let request = match &channel.kind {
            Kind::Log => {
                log::tell(&told);
                return Outcome::Delivered;
            }
            Kind::Email(email) => return email.tell(&told, channel.timeout).await,
            Kind::Webhook(webhook) => webhook.request(&told),
            Kind::Slack(slack) => slack.request(&told),
            Kind::PagerDuty(pagerduty) => pagerduty.request(&told),
        };
        let answer = match request {
            Ok(request) => post(fetcher, line, &request, channel.timeout).await,
            Err(failure) => Err(failure),
        };
        verdict(answer, SystemTime::now())
    }

    /// Notes how an attempt ended.
    fn ended(&self, lane: &Lane, attempt: &Attempt, outcome: Outcome) {
        let now = self.clock.now();
        let (settled, broken) = {
            let mut queue = lock(&lane.queue);
            let settled = queue.ended(attempt, outcome.clone(), now, random());
            (settled, queue.is_broken())
        };
        self.tell_trouble(lane, &outcome, broken);
        match settled {
            // There was no room for it meanwhile, and that has been told.
            None => {}
            Some(Settled::Delivered(item)) => {
                item.fate.delivered();
                lane.figures.delivered();
                lane.figures.queued(-1);
                self.tell(lane, &item.waiting, DeliveryOutcome::Delivered);
            }
            Some(Settled::Waits { fate, waiting, hopeless, reason, why }) => {
                lane.figures.retried(reason);
                self.tell(lane, &waiting, DeliveryOutcome::Retrying { reason, why });
                if hopeless && fate.failed() {
                    self.fall_back(lane, &waiting);
                }
            }
            Some(Settled::Dead(item, reason, why)) => {
                lane.figures.queued(-1);
                self.bury(lane, item, reason, why);
            }
        }
        self.changed.notify_one();
    }

    /// One line for each kind of failure, and one when it is over.
    fn tell_trouble(&self, lane: &Lane, outcome: &Outcome, broken: bool) {
        let (receiver, integration, name) = (&lane.receiver, lane.integration(), lane.name());
        let mut trouble = lock(&lane.trouble);
        match outcome {
            Outcome::Delivered => {
                if trouble.take().is_some() {
                    info!(%receiver, integration, "notifications are delivered again");
                }
                self.health.set(integration, &name, None);
            }
            Outcome::Later(reason, why, _) => {
                if *trouble != Some(reason) {
                    warn!(%receiver, integration, reason, %why, "a notification is not delivered yet; it will be tried again");
                }
                *trouble = Some(reason);
                if broken {
                    self.health.set(integration, &name, Some(why));
                }
            }
            Outcome::Refused(reason, why) => {
                if *trouble != Some(reason) {
                    warn!(%receiver, integration, reason, %why, "a notification is refused; it is kept as a dead letter");
                }
                *trouble = Some(reason);
                self.health.set(integration, &name, Some(why));
            }
        }
    }

    /// The next receiver that is told instead.
    fn fall_back(&self, lane: &Lane, waiting: &Waiting) {
        let mut rest = waiting.fallback.clone();
        // That somebody takes care is no reason to wake another.
        if rest.is_empty() || waiting.notification.cause == Cause::Acknowledged {
            return;
        }
        let to = rest.remove(0);
        lane.figures.fell_back();
        let mut notification = Notification::clone(&waiting.notification);
        notification.receiver = to.as_str().into();
        self.hand(Arc::new(notification), rest);
    }

    /// It is tried no more.
    fn bury(&self, lane: &Lane, item: Item, reason: &'static str, why: String) {
        lane.figures.failed(reason);
        self.keep(DeadLetter {
            id: 0,
            receiver: lane.receiver.to_string(),
            integration: lane.integration().to_owned(),
            channel: lane.place(),
            at_ms: self.clock.now().unix_ms,
            attempts: item.waiting.attempts,
            reason: reason.to_owned(),
            why: why.clone(),
            notification: Arc::clone(&item.waiting.notification),
        });
        // Told last: whoever hears of it finds the dead letter.
        self.tell(lane, &item.waiting, DeliveryOutcome::Failed { reason, why });
        if !item.hopeless && item.fate.failed() {
            self.fall_back(lane, &item.waiting);
        }
    }

    /// Keeps a dead letter.
    pub(super) fn keep(&self, letter: DeadLetter) {
        let mut dead = lock(&self.dead);
        dead.push(letter);
        self.count_dead(&dead);
        drop(dead);
        self.changed.notify_one();
    }

    fn count_dead(&self, dead: &DeadLetters) {
        self.metrics.dead.set(i64::try_from(dead.len()).unwrap_or(i64::MAX));
    }

    /// The dead letters as they are written down, and back.
    pub(super) fn dead(&self) -> DeadLetters {
        lock(&self.dead).clone()
    }

    pub(super) fn restore_dead(&self, letters: DeadLetters) {
        self.count_dead(&letters);
        *lock(&self.dead) = letters;
    }

    fn take_dead(&self, id: u64) -> Option<DeadLetter> {
        let mut dead = lock(&self.dead);
        let letter = dead.take(id)?;
        self.count_dead(&dead);
        drop(dead);
        self.changed.notify_one();
        Some(letter)
    }

    /// The lane of a receiver, an integration and a place.
    pub(super) fn lane(&self, receiver: &str, integration: &str, place: usize) -> Option<Arc<Lane>> {
        let lanes = self.lanes();
        lanes.into_iter().find(|lane| {
            !lane.is_gone()
                && &*lane.receiver == receiver
                && lane.integration() == integration
                && lane.place() == place
        })
    }

    fn tell(&self, lane: &Lane, waiting: &Waiting, outcome: DeliveryOutcome) {
        let result = DeliveryResult {
            notification: waiting.notification.id,
            receiver: Arc::clone(&lane.receiver),
            integration: lane.integration(),
            at_ms: self.clock.now().unix_ms,
            attempts: waiting.attempts,
            outcome,
        };
        if self.results.try_send(result).is_err() {
            self.metrics.results_dropped.inc();
        }
    }
}

/// Gives notifications to the receivers, and looks after those that failed for good. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Handle(shared)
    }

    /// Tells the receiver of a notification. Never waits; what is wrong shows in the results.
    pub fn send(&self, notification: Notification) {
        self.0.send(notification);
    }

    /// Notifications that failed for good, the newest last; at most 1000.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead().all()
    }

    /// Tries one again, for an hour, through the channel that failed. `false` if there is no such dead letter, or no such
    /// channel any more; it is kept then.
    #[must_use]
    pub fn retry(&self, id: u64) -> bool {
        let found = self.0.dead().all().into_iter().find(|letter| letter.id == id);
        let Some(letter) = found else { return false };
        let Some(lane) = self.0.lane(&letter.receiver, &letter.integration, letter.channel) else {
            return false;
        };
        let Some(letter) = self.0.take_dead(id) else { return false };
        let queued_ms = self.0.clock.now().unix_ms;
        let waiting =
            Waiting { notification: letter.notification, queued_ms, attempts: 0, fallback: Vec::new() };
        self.0.queue(&lane, waiting, Arc::new(Fate::of(1)));
        true
    }

    /// Throws one away. `false` if there is no such dead letter.
    #[must_use]
    pub fn delete(&self, id: u64) -> bool {
        self.0.take_dead(id).is_some()
    }

    /// How many notifications wait, by receiver and integration.
    #[must_use]
    pub fn waiting(&self) -> Vec<(Arc<str>, &'static str, usize)> {
        let of = |lane: &Arc<Lane>| (Arc::clone(&lane.receiver), lane.integration(), lock(&lane.queue).len());
        self.0.lanes().iter().map(of).collect()
    }
}
