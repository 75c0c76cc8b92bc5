//! What waits for one channel, and when it is tried: the pure core of delivery. No I/O; time and chance are passed in.
//!
//! A [`Queue`] holds at most [`CAPACITY`] notifications. [`Queue::next`] says which is due, [`Queue::ended`] is told how the attempt went.
//! What is decided here:
//!
//! - **Order.** A notification waits for those before it that are of its group or name one of its alerts; others pass.
//! - **Again.** What may work later is tried again after a random wait, up to 1 s at first and twice that each time up to 5 min
//!   (full jitter: many that failed together do not come back together), but not before `Retry-After`.
//! - **Not for ever.** After [`GIVE_UP`] it is a dead letter, since nobody wants the page of yesterday; likewise at once what
//!   was refused for good, and the oldest when the queue is full: the newest says more.
//! - **Circuit breaker.** After [`BREAKS_AFTER`] failures in a row the channel counts as broken: only one notification is tried per
//!   pause of at most a minute. Without it a queue of a thousand would knock at a dead server a thousand times. The first
//!   success closes it, and what waited is due at once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fate::Fate;
use crate::alert::Notification;
use crate::client::Backoff;
use crate::clock::Moment;

/// Most notifications that wait for a channel.
pub const CAPACITY: usize = 1000;

/// How long a notification is tried.
pub const GIVE_UP: Duration = Duration::from_secs(3600);

/// Bounds of the wait after a failure.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Failures in a row after which the channel counts as broken. Fewer would take one restart of a server for an outage.
const BREAKS_AFTER: u32 = 5;

/// Bounds of the pause of a broken channel. The longer one is how late its return can be noticed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Delivered,
    /// It may work later: why, by a word to count by and a sentence, and when at the earliest.
    Later(&'static str, String, Option<Duration>),
    /// It will never work.
    Refused(&'static str, String),
}

/// What waits, as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// What is told.
    pub(super) notification: Arc<Notification>,
    /// When it came here, Unix milliseconds.
    pub(super) queued_ms: i64,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// Receivers that are told if this one cannot be.
    pub(super) fallback: Vec<String>,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) waiting: Waiting,
    /// Shared by the channels of a receiver.
    pub(super) fate: Arc<Fate>,
    number: u64,
    backoff: Backoff,
    due: Duration,
    /// The receiver asked for this pause, so a success of another does not end it.
    asked: bool,
    expires: Duration,
    /// Its [`Fate`] knows that this channel cannot.
    pub(super) hopeless: bool,
}

/// One that is tried now.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) notification: Arc<Notification>,
}

/// What [`Queue::next`] says.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Try this.
    Try(Attempt),
    /// Nothing is due before then (since the start of the process).
    Wait(Duration),
    /// There is nothing.
    Empty,
}

/// What becomes of a notification whose attempt ended.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is there.
    Delivered(Item),
    /// It is tried again.
    Waits {
        /// Its fate.
        fate: Arc<Fate>,
        /// Itself.
        waiting: Waiting,
        /// Since now it has waited for long enough, or the channel is broken: somebody else should be told. Said once.
        hopeless: bool,
        /// Why it failed.
        reason: &'static str,
        /// Why it failed, in a sentence.
        why: String,
    },
    /// It is not tried any more.
    Dead(Item, &'static str, String),
}

/// How long a notification is tried before others are told instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// What waits for one channel.
#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    numbers: u64,
    capacity: usize,
    failures: u32,
    pause: Backoff,
    broken_until: Option<Duration>,
}

impl Queue {
    /// An empty one for so many.
    pub(super) fn new(capacity: usize) -> Self {
        Queue {
            items: VecDeque::new(),
            numbers: 0,
            capacity: capacity.max(1),
            failures: 0,
            pause: Backoff::new(PAUSES.0, PAUSES.1),
            broken_until: None,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Does the channel count as broken?
    pub(super) fn is_broken(&self) -> bool {
        self.broken_until.is_some()
    }

    /// What waits, for writing it down.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.items.iter().map(|item| &item.waiting)
    }

    /// Adds one at the end. Gives the oldest back if there was no room; `queued_ms` in it says how much of its hour is left.
    pub(super) fn push(&mut self, waiting: Waiting, fate: Arc<Fate>, now: Moment) -> Option<Item> {
        let full = self.items.len() >= self.capacity;
        let dropped = if full { self.items.pop_front() } else { None };
        let age = u64::try_from(now.unix_ms.saturating_sub(waiting.queued_ms)).unwrap_or(0);
        let left = GIVE_UP.saturating_sub(Duration::from_millis(age));
        self.numbers += 1;
        self.items.push_back(Item {
            waiting,
            fate,
            number: self.numbers,
            backoff: Backoff::new(WAITS.0, WAITS.1),
            due: now.since_start,
            asked: false,
            expires: now.since_start + left,
            hopeless: false,
        });
        dropped
    }

    /// What to try now. The one that is tried stays in the queue until [`Queue::ended`].
    pub(super) fn next(&self, now: Moment) -> Next {
        if let Some(until) = self.broken_until.filter(|until| *until > now.since_start) {
            return if self.items.is_empty() { Next::Empty } else { Next::Wait(until) };
        }
        let mut groups: HashSet<&str> = HashSet::new();
        let mut alerts: HashSet<&str> = HashSet::new();
        let mut soonest: Option<Duration> = None;
        for item in &self.items {
            let told = &item.waiting.notification;
            let behind = groups.contains(&*told.group_key)
                || told.alerts.iter().any(|alert| alerts.contains(&*alert.fingerprint));
            if !behind && item.due <= now.since_start {
                return Next::Try(Attempt { number: item.number, notification: Arc::clone(told) });
            }
            if !behind {
                soonest = Some(soonest.map_or(item.due, |soonest| soonest.min(item.due)));
            }
            groups.insert(&told.group_key);
            alerts.extend(told.alerts.iter().map(|alert| &*alert.fingerprint));
        }
        soonest.map_or(Next::Empty, Next::Wait)
    }

    /// The attempt has ended so. `random` is even from 0 to 1. Nothing, if there was no room for it meanwhile.
    pub(super) fn ended(
        &mut self,
        attempt: &Attempt,
        outcome: Outcome,
        now: Moment,
        random: f64,
    ) -> Option<Settled> {
        match &outcome {
            Outcome::Delivered => self.works(now),
            Outcome::Later(..) => self.fails(now, random),
            // It answers, so others may have more luck.
            Outcome::Refused(..) => self.failures = 0,
        }
        let at = self.items.iter().position(|item| item.number == attempt.number)?;
        let item = &mut self.items[at];
        item.waiting.attempts = item.waiting.attempts.saturating_add(1);
        match outcome {
            Outcome::Delivered => self.items.remove(at).map(Settled::Delivered),
            Outcome::Refused(reason, why) => {
                self.items.remove(at).map(|item| Settled::Dead(item, reason, why))
            }
            Outcome::Later(reason, why, asked) => {
                let wait = item.backoff.wait(random).max(asked.unwrap_or_default());
                item.asked = asked.is_some();
                item.due = now.since_start + wait;
                if item.due >= item.expires {
                    return self.items.remove(at).map(|item| Settled::Dead(item, reason, why));
                }
                let waited = GIVE_UP.saturating_sub(item.expires.saturating_sub(now.since_start));
                let hopeless = !item.hopeless && (waited >= PATIENCE || self.broken_until.is_some());
                item.hopeless |= hopeless;
                let (fate, waiting) = (Arc::clone(&item.fate), item.waiting.clone());
                Some(Settled::Waits { fate, waiting, hopeless, reason, why })
            }
        }
    }

    /// The channel has other settings, so what was known of it means nothing: all is due.
    pub(super) fn renew(&mut self, now: Moment) {
        self.failures = 0;
        self.pause.reset();
        self.broken_until = None;
        for item in &mut self.items {
            item.due = item.due.min(now.since_start);
        }
    }

    /// Takes out all that waits.
    pub(super) fn take_all(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.items)
    }

    fn works(&mut self, now: Moment) {
        if self.failures > 0 {
            for item in self.items.iter_mut().filter(|item| !item.asked) {
                item.due = item.due.min(now.since_start);
            }
        }
        self.failures = 0;
        self.pause.reset();
        self.broken_until = None;
    }

    fn fails(&mut self, now: Moment, random: f64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= BREAKS_AFTER {
            // Half of it for certain, or a pause of nothing would be none.
            let pause = self.pause.wait(0.5 + random / 2.0);
            self.broken_until = Some(now.since_start + pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{moment, notification};
    use super::*;
    use proptest::prelude::*;

    fn wait(group: &str, alerts: &[&str]) -> Waiting {
        Waiting {
            notification: Arc::new(notification("r", group, alerts)),
            queued_ms: moment(0).unix_ms,
            attempts: 0,
            fallback: Vec::new(),
        }
    }

    fn queue_of(items: &[(&str, &[&str])]) -> Queue {
        let mut queue = Queue::new(CAPACITY);
        for (group, alerts) in items {
            assert!(queue.push(wait(group, alerts), Arc::default(), moment(0)).is_none());
        }
        queue
    }

    fn due(queue: &Queue, ms: u64) -> Option<Attempt> {
        match queue.next(moment(ms)) {
            Next::Try(attempt) => Some(attempt),
            _ => None,
        }
    }

    fn later() -> Outcome {
        Outcome::Later("status", "500".into(), None)
    }

    #[test]
    fn order_is_kept_in_a_group_and_for_an_alert_and_others_pass() {
        let mut queue = queue_of(&[("a", &["1"]), ("a", &["2"]), ("b", &["1"]), ("c", &["3"])]);
        let first = due(&queue, 0).unwrap();
        queue.ended(&first, later(), moment(0), 1.0);
        let passed = due(&queue, 0).unwrap();
        assert_eq!(&*passed.notification.group_key, "c");
        queue.ended(&passed, Outcome::Refused("status", "no".into()), moment(0), 1.0);
        assert!(matches!(queue.next(moment(0)), Next::Wait(at) if at == Duration::from_secs(1)));
        let again = due(&queue, 1000).unwrap();
        assert_eq!(again.number, first.number);
        queue.ended(&again, Outcome::Delivered, moment(1000), 1.0);
        let groups = std::iter::from_fn(|| {
            let next = due(&queue, 1000)?;
            queue.ended(&next, Outcome::Delivered, moment(1000), 0.0);
            Some(next.notification.group_key.to_string())
        });
        assert_eq!(groups.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn retry_after_is_waited_for_and_another_success_does_not_end_it() {
        let mut queue = queue_of(&[("a", &["1"]), ("b", &["2"])]);
        let first = due(&queue, 0).unwrap();
        let busy = Outcome::Later("status", "429".into(), Some(Duration::from_secs(7)));
        queue.ended(&first, busy, moment(0), 0.0);
        let second = due(&queue, 0).unwrap();
        queue.ended(&second, Outcome::Delivered, moment(0), 0.0);
        assert!(due(&queue, 6_999).is_none());
        assert!(due(&queue, 7_000).is_some());
    }

    #[test]
    fn a_notification_that_fails_for_an_hour_is_a_dead_letter() {
        let mut queue = queue_of(&[("a", &["1"])]);
        let mut now = 0;
        let (reason, tries) = loop {
            match queue.next(moment(now)) {
                Next::Try(attempt) => match queue.ended(&attempt, later(), moment(now), 1.0) {
                    Some(Settled::Dead(item, reason, _)) => break (reason, item.waiting.attempts),
                    Some(Settled::Waits { .. }) => {}
                    other => panic!("{other:?}"),
                },
                Next::Wait(at) => now = u64::try_from(at.as_millis()).unwrap(),
                Next::Empty => panic!("it is gone"),
            }
        };
        assert_eq!(reason, "status");
        assert!(now <= 3_600_000 && now > 3_000_000, "{now}");
        assert!((15..40).contains(&tries), "{tries}");
    }

    #[test]
    fn a_broken_channel_is_knocked_at_once_in_a_pause_and_the_first_success_frees_all() {
        let items: Vec<(String, String)> = (0..50).map(|n| (format!("g{n}"), n.to_string())).collect();
        let mut queue = Queue::new(CAPACITY);
        for (group, alert) in &items {
            queue.push(wait(group, &[alert]), Arc::default(), moment(0));
        }
        for n in 0..5 {
            let attempt = due(&queue, 0).unwrap();
            let settled = queue.ended(&attempt, later(), moment(0), 0.0).unwrap();
            assert!(matches!(settled, Settled::Waits { hopeless, .. } if hopeless == (n == 4)));
        }
        assert!(queue.is_broken() && due(&queue, 2_499).is_none());
        let mut tries = 0;
        for second in 1..600 {
            while let Some(attempt) = due(&queue, second * 1000) {
                queue.ended(&attempt, later(), moment(second * 1000), 1.0);
                tries += 1;
            }
        }
        assert!((10..20).contains(&tries), "{tries}");
        let now = 700_000;
        let attempt = due(&queue, now).unwrap();
        queue.ended(&attempt, Outcome::Delivered, moment(now), 0.0);
        for _ in 0..49 {
            let attempt = due(&queue, now).unwrap();
            queue.ended(&attempt, Outcome::Delivered, moment(now), 0.0);
        }
        assert!(matches!(queue.next(moment(now)), Next::Empty) && !queue.is_broken());
    }

    #[test]
    fn the_oldest_leaves_a_full_queue_and_its_attempt_then_means_nothing() {
        let mut queue = Queue::new(2);
        for group in ["a", "b"] {
            queue.push(wait(group, &[group]), Arc::default(), moment(0));
        }
        let attempt = due(&queue, 0).unwrap();
        let dropped = queue.push(wait("c", &["c"]), Arc::default(), moment(0)).unwrap();
        assert_eq!((&*dropped.waiting.notification.group_key, queue.len()), ("a", 2));
        assert!(queue.ended(&attempt, Outcome::Delivered, moment(0), 0.0).is_none());
    }

    #[test]
    fn what_was_written_down_has_only_the_rest_of_its_hour() {
        let mut queue = Queue::new(9);
        let old = Waiting { queued_ms: moment(0).unix_ms - 3_590_000, ..wait("a", &["1"]) };
        queue.push(old, Arc::default(), moment(0));
        let attempt = due(&queue, 0).unwrap();
        let asked = Outcome::Later("status", "503".into(), Some(Duration::from_secs(11)));
        assert!(matches!(queue.ended(&attempt, asked, moment(0), 0.0), Some(Settled::Dead(..))));
    }

    proptest! {
        #[test]
        fn whatever_fails_nothing_is_lost_and_a_group_is_in_order(
            steps in proptest::collection::vec((0u8..4, 0u8..3, 0.0..1.0f64), 1..200)
        ) {
            let mut queue = Queue::new(CAPACITY);
            let (mut now, mut pushed, mut seen) = (0u64, [0u64; 4], [0u64; 4]);
            let mut left = 0;
            for (group, what, random) in steps {
                if what == 0 {
                    let name = group.to_string();
                    let mut waiting = wait(&name, &[&name]);
                    pushed[usize::from(group)] += 1;
                    let id = pushed[usize::from(group)];
                    Arc::make_mut(&mut waiting.notification).id = id;
                    queue.push(waiting, Arc::default(), moment(now));
                    left += 1;
                } else if let Some(attempt) = due(&queue, now) {
                    let outcome = if what == 1 { Outcome::Delivered } else { later() };
                    let group: usize = attempt.notification.group_key.parse().unwrap();
                    match queue.ended(&attempt, outcome, moment(now), random).unwrap() {
                        Settled::Waits { .. } => {}
                        Settled::Delivered(item) | Settled::Dead(item, ..) => {
                            prop_assert_eq!(item.waiting.notification.id, seen[group] + 1);
                            seen[group] += 1;
                            left -= 1;
                        }
                    }
                }
                now += 1 + (random * 2000.0) as u64;
                prop_assert_eq!(queue.len(), left);
            }
        }
    }
}
