//! The tasks of the channels: a [`Lane`] is a queue with the task that works it off, [`Shared`] is all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
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
use crate::alert::{Notification, Origin};
use crate::clock::Clock;
use crate::http_client::{Client, Fetcher, Line};

/// All lanes, and what they share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lanes: Vec<Lane>,
    receivers: HashMap<Arc<str>, Receiving>,
    dead: Mutex<DeadLetters>,
    /// Something that is written down has changed.
    pub(super) changed: Notify,
    external_url: Arc<str>,
    results: mpsc::Sender<DeliveryResult>,
    pub(super) metrics: Metrics,
    health: Health,
    pub(super) clock: Clock,
}

#[derive(Debug)]
struct Receiving {
    lanes: Vec<usize>,
    fallback: Vec<String>,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) receiver: Arc<str>,
    /// Its place among the channels of its receiver.
    pub(super) place: usize,
    pub(super) channel: Channel,
    queue: Mutex<Queue>,
    /// Something was queued.
    wake: Notify,
    figures: Figures,
    /// The kind of failure that was last told to the log.
    trouble: Mutex<Option<&'static str>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    pub(super) fn integration(&self) -> &'static str {
        self.channel.kind.word()
    }

    /// What waits.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        lock(&self.queue).waiting().cloned().collect()
    }
}

impl Shared {
    pub(super) fn new(
        config: &Config,
        external_url: Arc<str>,
        results: mpsc::Sender<DeliveryResult>,
        metrics: Metrics,
        health: Health,
        clock: Clock,
    ) -> Self {
        let (mut lanes, mut receivers) = (Vec::new(), HashMap::new());
        for receiver in &config.receivers {
            let name: Arc<str> = receiver.name.as_str().into();
            let first = lanes.len();
            for (place, channel) in receiver.channels.iter().enumerate() {
                lanes.push(Lane {
                    receiver: Arc::clone(&name),
                    place,
                    channel: channel.clone(),
                    queue: Mutex::new(Queue::new(CAPACITY)),
                    wake: Notify::new(),
                    figures: metrics.channel(&name, channel.kind.word()),
                    trouble: Mutex::new(None),
                });
            }
            let (lanes, fallback) = ((first..lanes.len()).collect(), receiver.fallback.clone());
            receivers.insert(name, Receiving { lanes, fallback });
        }
        let (dead, changed) = (Mutex::default(), Notify::new());
        Shared { lanes, receivers, dead, changed, external_url, results, metrics, health, clock }
    }

    /// Starts the task of each lane.
    pub(super) fn run(self: &Arc<Self>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let start = |at: usize| {
            let (shared, stop) = (Arc::clone(self), stop.clone());
            tokio::spawn(async move {
                let late = async {
                    stop.cancelled().await;
                    tokio::time::sleep(FLUSH).await;
                };
                tokio::select! {
                    () = shared.work(&shared.lanes[at], &stop) => {}
                    () = late => {}
                }
            })
        };
        (0..self.lanes.len()).map(start).collect()
    }

    /// Queues a notification for each channel of its receiver.
    pub(super) fn send(&self, notification: Notification) {
        let fallback = self.receivers.get(&notification.receiver).map(|receiving| receiving.fallback.clone());
        if !self.hand(Arc::new(notification), fallback.unwrap_or_default()) {
            self.metrics.unknown.inc();
        }
    }

    /// Is there such a receiver?
    fn hand(&self, notification: Arc<Notification>, fallback: Vec<String>) -> bool {
        let Some(receiving) = self.receivers.get(&notification.receiver) else {
            warn!(receiver = %notification.receiver, "there is no such receiver, so nobody is told");
            return false;
        };
        // What is about our own deliveries must not go the way that fails.
        let meta = !notification.alerts.is_empty()
            && notification.alerts.iter().all(|alert| alert.origin == Origin::Meta);
        let now = self.clock.now();
        let wanted = |lane: &&Lane| {
            let is_log = lane.channel.kind == Kind::Log;
            (is_log || !meta)
                && Told::new(&notification, lane.channel.send_resolved, "", now.unix_ms).is_some()
        };
        let lanes: Vec<&Lane> = receiving.lanes.iter().map(|at| &self.lanes[*at]).filter(wanted).collect();
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
    }

    /// Works off the queue of a lane. After a stop it goes on as long as all goes well.
    async fn work(&self, lane: &Lane, stop: &CancellationToken) {
        let mut line = Line::default();
        let client = match &lane.channel.kind {
            Kind::Webhook(webhook) => webhook.client.clone(),
            Kind::Slack(slack) => slack.client.clone(),
            Kind::PagerDuty(pagerduty) => pagerduty.client.clone(),
            Kind::Log | Kind::Email(_) => Client::default(),
        };
        let fetcher = Fetcher::new(client);
        loop {
            let next = lock(&lane.queue).next(self.clock.now());
            let wait = match next {
                Next::Try(attempt) => {
                    let began = Instant::now();
                    let outcome = self.attempt(lane, &fetcher, &mut line, &attempt).await;
                    lane.figures.attempt(began.elapsed());
                    let delivered = outcome == Outcome::Delivered;
                    self.ended(lane, &attempt, outcome);
                    if stop.is_cancelled() && !delivered {
                        return;
                    }
                    continue;
                }
                Next::Wait(at) => Some(at.saturating_sub(self.clock.now().since_start)),
                Next::Empty => None,
            };
            if stop.is_cancelled() {
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
                () = lane.wake.notified() => {}
                () = wait => {}
            }
        }
    }

    async fn attempt(&self, lane: &Lane, fetcher: &Fetcher, line: &mut Line, attempt: &Attempt) -> Outcome {
        let channel = &lane.channel;
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
        let (receiver, integration) = (&lane.receiver, lane.integration());
        let name = if lane.place == 0 { receiver.to_string() } else { format!("{receiver}[{}]", lane.place) };
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
        if rest.is_empty() {
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
            channel: lane.place,
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
    pub(super) fn lane(&self, receiver: &str, integration: &str, place: usize) -> Option<&Lane> {
        self.lanes.iter().find(|lane| {
            &*lane.receiver == receiver && lane.integration() == integration && lane.place == place
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
        self.0.queue(lane, waiting, Arc::new(Fate::of(1)));
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
        let of = |lane: &Lane| (Arc::clone(&lane.receiver), lane.integration(), lock(&lane.queue).len());
        self.0.lanes.iter().map(of).collect()
    }
}
