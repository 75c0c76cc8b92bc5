//! The core of the manager: reports, commands and time in, effects out. No I/O; time is passed in.
//!
//! Every way in ends in [`Manager::run`], which brings all to the time: what has run out, who is muted, who is escalated to, which
//! groups have something to tell. What comes of it waits in [`Effects`] for who wraps the core.

mod requests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::MOST_ALERTS;
use super::config::{Config, InhibitRule};
use super::event::AlertEvent;
use super::fingerprint::Fingerprint;
use super::group::{Group, News};
use super::history::{Change, History, Transition};
use super::inhibit::inhibited;
use super::limit::Rates;
use super::record::{Instance, Ms, Record, Stage, ms};
use super::saved::Saved;
use super::silence::Silences;
use crate::alert::{Active, Cause, Delivery, Notification, Origin, Phase, Report, Status};
use crate::clock::Moment;
use crate::config::units::format_duration;

/// A source counts as gone when it has said nothing for so many of its intervals, but not before [`GRACE`].
const MISSED: Ms = 4;

/// How long a source may be silent at least, also after a restart.
const GRACE: Ms = 5 * 60_000;

/// Interval of a source that has spoken only once: longer than any rule's should be.
const UNKNOWN: Ms = 15 * 60_000;

/// Most alerts in a digest; those of further groups follow in the next one.
const DIGEST: usize = 100;

/// What the names of the sources of what other programs post begin with. They end by their own time.
const POSTED: &str = "posted;";

/// Longest time between two looks while something depends on the wall clock, which may be set.
const LOOK: Ms = 60_000;

/// What there is to do for who wraps the core.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// To be sent, in this order.
    pub(super) notifications: Vec<Notification>,
    /// To be published and logged, in this order.
    pub(super) events: Vec<AlertEvent>,
    /// Names of receivers, once for each notification that the rate limit holds back.
    pub(super) suppressed: Vec<String>,
    /// Something that is saved has changed.
    pub(super) changed: bool,
    /// What stands may have changed.
    pub(super) standing: bool,
    /// Alerts that found no room, or were forgotten for others.
    pub(super) dropped: u64,
}

#[derive(Clone, Debug, Default)]
struct Source {
    /// The alerts of which it says something.
    alerts: BTreeSet<Fingerprint>,
    heard: Ms,
    interval: Option<Ms>,
}

impl Source {
    fn gone_at(&self) -> Ms {
        self.heard.saturating_add((self.interval.unwrap_or(UNKNOWN).saturating_mul(MISSED)).max(GRACE))
    }
}

/// The core.
#[derive(Debug)]
pub(super) struct Manager {
    config: Config,
    inhibit: Vec<InhibitRule>,
    /// [`Ms`] of the process' start.
    base: Ms,
    /// The time of the last call.
    last: Moment,
    alerts: BTreeMap<Fingerprint, Record>,
    sources: HashMap<Arc<str>, Source>,
    silences: Silences,
    groups: BTreeMap<String, Group>,
    /// In which groups an alert is.
    member_of: HashMap<Fingerprint, BTreeSet<String>>,
    rates: Rates,
    history: History,
    last_notification: u64,
    dropped: u64,
    /// Who is muted is to be worked out again.
    mutes_dirty: bool,
    /// When [`Manager::run`] has something to do.
    due: Ms,
    effects: Effects,
}

impl Manager {
    /// One that knows of nothing.
    #[must_use]
    pub(super) fn new(config: Config, now: Moment) -> Self {
        let inhibit = config.inhibit_rules.clone().unwrap_or_else(InhibitRule::default_rules);
        Manager {
            config,
            inhibit,
            base: 0,
            last: now,
            alerts: BTreeMap::new(),
            sources: HashMap::new(),
            silences: Silences::default(),
            groups: BTreeMap::new(),
            member_of: HashMap::new(),
            rates: Rates::default(),
            history: History::default(),
            last_notification: 0,
            dropped: 0,
            mutes_dirty: true,
            due: Ms::MIN,
            effects: Effects::default(),
        }
    }

    /// One that goes on where another was.
    pub(super) fn restore(config: Config, saved: Saved, history: History, now: Moment) -> Self {
        let mut manager = Manager::new(config, now);
        let passed = now.unix_ms.saturating_sub(saved.unix_ms).max(0);
        manager.base = saved.at.saturating_add(passed).saturating_sub(ms(now.since_start));
        let at = manager.at(now);
        for mut record in saved.alerts {
            record.restored(at);
            for source in record.sources().filter(|source| !source.starts_with(POSTED)) {
                let known = manager.sources.entry(source.into()).or_default();
                (known.heard, known.interval) = (at, saved.sources.get(source).copied());
                known.alerts.insert(record.id);
            }
            manager.alerts.insert(record.id, record);
        }
        for group in saved.groups {
            for id in group.members.keys() {
                manager.member_of.entry(*id).or_default().insert(group.id.clone());
            }
            manager.groups.insert(group.id.clone(), group);
        }
        manager.silences = saved.silences;
        manager.rates = saved.rates;
        manager.history = history;
        manager.last_notification = saved.last_notification;
        manager.reroute(at);
        // Those who come to the stream are to be told what fires.
        let firing = manager.alerts.values().filter(|record| record.fires() || record.flapping);
        let events = firing
            .map(|record| AlertEvent::of(record, Change::Firing, "it went on over a restart", now.unix_ms));
        manager.effects.events = events.collect();
        manager.effects.standing = true;
        manager.run(now);
        manager
    }

    /// What is to survive.
    pub(super) fn saved(&self) -> Saved {
        let mut saved = Saved::new(self.at(self.last), self.last.unix_ms);
        saved.alerts =
            self.alerts.values().filter(|record| record.stage != Stage::Pending).cloned().collect();
        saved.silences = self.silences.clone();
        saved.groups = self.groups.values().cloned().collect();
        saved.rates = self.rates.clone();
        let known =
            self.sources.iter().filter_map(|(name, source)| Some((name.to_string(), source.interval?)));
        saved.sources = known.collect();
        saved.last_notification = self.last_notification;
        saved
    }

    pub(super) fn saved_history(&self) -> &History {
        &self.history
    }

    /// What is to be done since the last time this was asked.
    pub(super) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// How long nothing happens by itself; nothing if never.
    pub(super) fn next_wake(&self, now: Moment) -> Option<Duration> {
        (self.due < Ms::MAX).then(|| {
            let left = self.due.saturating_sub(self.at(now)).max(0);
            Duration::from_millis(u64::try_from(left).unwrap_or_default())
        })
    }

    /// Takes another configuration: who is told goes over to the new route, and who is not in there any more is told that it is over.
    pub(super) fn configure(&mut self, config: Config, now: Moment) {
        self.inhibit = config.inhibit_rules.clone().unwrap_or_else(InhibitRule::default_rules);
        self.config = config;
        let at = self.at(now);
        self.reroute(at);
        self.mutes_dirty = true;
        self.effects.changed = true;
        self.run(now);
    }

    fn at(&self, now: Moment) -> Ms {
        self.base.saturating_add(ms(now.since_start))
    }

    /// A source has evaluated.
    pub(super) fn report(&mut self, report: Report) {
        let now = self.later(report.at);
        let at = self.at(now);
        let mut said: BTreeMap<Fingerprint, Vec<&Active>> = BTreeMap::new();
        for active in &report.active {
            said.entry(Fingerprint::of(report.origin, active.labels.iter())).or_default().push(active);
        }
        let source = self.sources.entry(Arc::clone(&report.source)).or_default();
        if source.heard > 0 && at > source.heard {
            source.interval = Some(at.saturating_sub(source.heard));
        }
        source.heard = at.max(1);
        let before = std::mem::take(&mut source.alerts);
        let no_data: BTreeSet<Fingerprint> =
            report.no_data.iter().map(|labels| Fingerprint::of(report.origin, labels.iter())).collect();
        for id in before.iter().filter(|id| !said.contains_key(id)) {
            let over = match report.origin {
                _ if no_data.contains(id) => "there is no data for it any more",
                Origin::Anomaly => "what the detector saw is over",
                _ => "its condition is over",
            };
            if let Some(record) = self.alerts.get_mut(id)
                && record.say(&report.source, &[], None, at, now.unix_ms)
            {
                self.settle(*id, over, now);
            }
        }
        let mut known = BTreeSet::new();
        for (id, actives) in said {
            if self.say(id, report.origin, &report.source, &actives, None, now) {
                known.insert(id);
            }
        }
        if let Some(source) = self.sources.get_mut(&report.source) {
            source.alerts = known;
        }
        self.due = self.due.min(at.saturating_add(GRACE));
        self.run(now);
    }

    /// A source says something of one alert. False if there is no room for it.
    fn say(
        &mut self,
        id: Fingerprint,
        origin: Origin,
        source: &str,
        actives: &[&Active],
        expires: Option<Ms>,
        now: Moment,
    ) -> bool {
        let at = self.at(now);
        if !self.alerts.contains_key(&id) {
            if self.alerts.len() >= MOST_ALERTS && !self.make_room(now) {
                self.dropped += 1;
                self.effects.dropped += 1;
                return false;
            }
            self.alerts.insert(id, Record::new(id, origin, &actives[0].labels));
        }
        let Some(record) = self.alerts.get_mut(&id) else { return false };
        let changed = record.say(source, actives, expires, at, now.unix_ms);
        if changed || expires.is_some() {
            let over = if actives.iter().any(|active| active.phase == Phase::Pending) {
                "its condition was over for a while"
            } else {
                "its condition is over"
            };
            self.settle(id, over, now);
        }
        true
    }

    /// Forgets an alert that is over, or else one that is only pending. False if all fire.
    fn make_room(&mut self, now: Moment) -> bool {
        let over = |record: &&Record| !record.fires() && !record.flapping;
        let told = |record: &&Record| !self.groups_of(record.id).any(|group| group.knows(record.id));
        let oldest = self
            .alerts
            .values()
            .filter(over)
            .filter(told)
            .min_by_key(|record| record.ended.unwrap_or(Ms::MAX));
        let Some(id) = oldest.map(|record| record.id) else { return false };
        self.dropped += 1;
        self.effects.dropped += 1;
        if self.alerts.get(&id).is_some_and(|record| record.stage == Stage::Resolved) {
            self.note(id, Change::Dropped, "there was no room for more alerts", now.unix_ms);
        }
        self.forget(id);
        true
    }

    fn forget(&mut self, id: Fingerprint) {
        self.alerts.remove(&id);
        for group in self.member_of.remove(&id).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&group) {
                group.members.remove(&id);
            }
        }
    }

    /// What became of a notification.
    pub(super) fn delivered(&mut self, delivery: &Delivery) {
        self.effects.changed |= self.history.delivered(delivery);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        let now = self.later(now);
        self.run(now);
    }

    /// Time never goes back here, whatever order reports come in.
    fn later(&mut self, now: Moment) -> Moment {
        if now.since_start >= self.last.since_start {
            self.last = now;
        }
        self.last
    }

    /// Concludes from what the sources say of one alert, and passes on what changed.
    fn settle(&mut self, id: Fingerprint, over: &str, now: Moment) {
        let at = self.at(now);
        let Some(record) = self.alerts.get_mut(&id) else { return };
        let (held, severity) = (record.hold.is_some(), record.severity);
        let told = record.settle(at, now.unix_ms, &self.config.limits, over);
        let (fires, released) = (record.fires(), held && record.hold.is_none() && record.fires());
        let (rose, fell) = (record.severity > severity, record.severity < severity);
        self.effects.standing = true;
        if record.stage == Stage::Pending && record.sources().next().is_none() {
            self.forget(id);
            return;
        }
        let mut urgent = released;
        for (change, reason) in told {
            self.note(id, change, &reason, now.unix_ms);
            urgent |= matches!(change, Change::Flapping | Change::Steady | Change::Escalated);
            urgent |= change == Change::Level && rose;
            if matches!(change, Change::Firing) {
                self.restart_steps(id);
            }
        }
        if fires {
            self.place(id, fell, at);
        }
        if urgent {
            self.hurry(id, at);
        }
        self.mutes_dirty = true;
        self.due = at;
    }

    /// Puts a transition into the history and the stream.
    fn note(&mut self, id: Fingerprint, change: Change, reason: &str, unix_ms: i64) {
        let Some(record) = self.alerts.get_mut(&id) else { return };
        let seq = self.history.push(Transition {
            seq: 0,
            at_ms: unix_ms,
            id,
            change,
            state: record.state(),
            severity: record.severity,
            labels: record.labels(),
            value: record.value,
            reason: reason.to_owned(),
            deliveries: Vec::new(),
        });
        record.last_seq = seq;
        self.effects.events.push(AlertEvent::of(record, change, reason, unix_ms));
        self.effects.changed = true;
    }

    fn groups_of(&self, id: Fingerprint) -> impl Iterator<Item = &Group> {
        self.member_of.get(&id).into_iter().flatten().filter_map(|group| self.groups.get(group))
    }

    fn each_group_of(&mut self, id: Fingerprint, mut change: impl FnMut(&mut Group)) {
        for group in self.member_of.get(&id).into_iter().flatten() {
            if let Some(group) = self.groups.get_mut(group) {
                change(group);
            }
        }
    }

    fn hurry(&mut self, id: Fingerprint, at: Ms) {
        self.each_group_of(id, |group| group.hurry(at));
    }

    /// Nobody has taken it yet: the escalation begins anew.
    fn restart_steps(&mut self, id: Fingerprint) {
        self.each_group_of(id, |group| {
            if let Some(member) = group.members.get_mut(&id) {
                member.steps = 0;
            }
        });
    }

    /// Puts an alert into the groups of the routes that take it. To receivers whose routes do not any more it is over if `leave`; if
    /// not they go on with it, since what they know has become worse and not better.
    fn place(&mut self, id: Fingerprint, leave: bool, at: Ms) {
        let (Some(route), Some(record)) = (&self.config.route, self.alerts.get(&id)) else { return };
        // Our own troubles with deliveries would be told over what does not deliver.
        if record.origin == Origin::Meta {
            return;
        }
        let labels = record.labels();
        let mut routed = BTreeSet::new();
        let mut new = Vec::new();
        for found in route.routed(&labels) {
            let group = Group::of(&found, &labels, at);
            routed.insert(group.id.clone());
            let group = self.groups.entry(group.id.clone()).or_insert(group);
            group.settings(found.route);
            match group.members.get_mut(&id) {
                Some(member) => member.routed = true,
                None => new.push(group.id.clone()),
            }
        }
        let mut left: Vec<String> = self
            .groups_of(id)
            .filter(|group| !group.step && !routed.contains(&group.id))
            .map(|group| group.id.clone())
            .collect();
        for new in new {
            let Some(mut group) = self.groups.remove(&new) else { continue };
            // Another route to the same receiver: it is told a change, and not one end and one begin.
            let same = left
                .iter()
                .position(|id| self.groups.get(id).is_some_and(|left| left.receiver == group.receiver));
            if let Some(from) = same.and_then(|at| self.groups.get_mut(&left.swap_remove(at))) {
                group.adopt(id, from, (!leave).then_some(at));
                if let Some(of) = self.member_of.get_mut(&id) {
                    of.remove(&from.id);
                }
            }
            group.members.entry(id).or_default().routed = true;
            self.member_of.entry(id).or_default().insert(group.id.clone());
            self.groups.insert(group.id.clone(), group);
        }
        if leave {
            self.each_group_of(id, |group| {
                let stays = group.step || routed.contains(&group.id);
                if let Some(member) = group.members.get_mut(&id).filter(|_| !stays) {
                    member.routed = false;
                }
            });
        }
    }

    /// Goes over to the present route with all that fires.
    fn reroute(&mut self, at: Ms) {
        let names: BTreeSet<String> = self.receivers().into_iter().collect();
        let (groups, member_of) = (&mut self.groups, &mut self.member_of);
        groups.retain(|id, group| {
            let known = names.contains(&group.receiver);
            if !known {
                for alert in group.members.keys() {
                    if let Some(of) = member_of.get_mut(alert) {
                        of.remove(id);
                    }
                }
            }
            known
        });
        self.rates.retain(|name| names.contains(name));
        let firing: Vec<Fingerprint> =
            self.alerts.values().filter(|record| record.fires()).map(|record| record.id).collect();
        for id in firing {
            self.place(id, true, at);
        }
    }

    /// Brings everything to the time.
    fn run(&mut self, now: Moment) {
        let at = self.at(now);
        if at < self.due && !self.mutes_dirty {
            return;
        }
        self.mutes_dirty |= self.silences.advance(now);
        self.end_what_has_run_out(now);
        if self.mutes_dirty {
            self.mute(now);
        }
        self.escalate(now);
        self.flush(now);
        self.digest(now);
        let limits = self.config.limits;
        let over = self.alerts.values().filter(|record| record.is_over(at, &limits));
        let over: Vec<Fingerprint> = over.map(|record| record.id).collect();
        for id in over {
            if self.member_of.get(&id).is_none_or(BTreeSet::is_empty) {
                self.forget(id);
                self.effects.changed = true;
            }
        }
        self.due = self.next_due(now);
    }

    fn end_what_has_run_out(&mut self, now: Moment) {
        let at = self.at(now);
        let gone = self.sources.iter().filter(|(_, source)| source.gone_at() <= at);
        let gone: Vec<Arc<str>> = gone.map(|(name, _)| Arc::clone(name)).collect();
        for name in gone {
            let Some(source) = self.sources.remove(&name) else { continue };
            for id in source.alerts {
                let ended = self.alerts.get_mut(&id).is_some_and(|record| {
                    record.end(at, now.unix_ms, |instance: &Instance| instance.source == *name)
                });
                if ended {
                    self.settle(id, "its source reports no more", now);
                }
            }
        }
        let limits = self.config.limits;
        let due = self.alerts.values().filter(|record| record.due(&limits).is_some_and(|due| due <= at));
        let due: Vec<Fingerprint> = due.map(|record| record.id).collect();
        for id in due {
            let Some(record) = self.alerts.get_mut(&id) else { continue };
            record.end(at, now.unix_ms, |instance| instance.expires.is_some_and(|expires| expires <= at));
            let expired = record.ack.as_ref().and_then(|ack| ack.until).is_some_and(|until| until <= at);
            if expired && record.fires() {
                record.ack = None;
                self.note(
                    id,
                    Change::Unacknowledged,
                    "the time for which it was taken has passed",
                    now.unix_ms,
                );
                self.hurry(id, at);
            }
            self.settle(id, "it was not said again in time", now);
        }
    }

    /// Works out who is muted, and since when nobody takes care.
    fn mute(&mut self, now: Moment) {
        self.mutes_dirty = false;
        let at = self.at(now);
        let mut inhibited = inhibited(&self.inhibit, self.alerts.values());
        let mut changed = Vec::new();
        for record in self.alerts.values_mut() {
            let before = (record.is_muted(), record.silenced_by.clone(), record.inhibited_by.clone());
            record.silenced_by = self.silences.of(&record.labels());
            record.inhibited_by = inhibited.remove(&record.id).unwrap_or_default();
            let after = record.is_muted();
            if record.fires() && before.0 != after {
                changed.push((record.id, after));
            }
            self.effects.changed |= before.1 != record.silenced_by || before.2 != record.inhibited_by;
            if !record.fires() || after || record.ack.is_some() {
                record.unattended = None;
            } else if record.unattended.is_none() {
                record.unattended = Some(at);
            }
        }
        for (id, muted) in changed {
            let Some(record) = self.alerts.get(&id) else { continue };
            let (change, reason) = match (muted, record.silenced_by.first(), record.inhibited_by.first()) {
                (true, Some(silence), _) => (Change::Suppressed, format!("silence {silence} is in force")),
                (true, None, Some(other)) => (Change::Suppressed, format!("alert {other} inhibits it")),
                _ => {
                    (Change::Unsuppressed, "no silence and no other alert suppresses it any more".to_owned())
                }
            };
            self.note(id, change, &reason, now.unix_ms);
        }
    }

    /// Goes up the stairs with what nobody has taken.
    fn escalate(&mut self, now: Moment) {
        let at = self.at(now);
        let mut due = Vec::new();
        for group in self.groups.values().filter(|group| !group.escalation.is_empty()) {
            for (id, member) in group.members.iter().filter(|(_, member)| member.routed) {
                let record = self.alerts.get(id).filter(|record| record.fires() && !record.flapping);
                let Some(since) = record.and_then(|record| record.unattended) else { continue };
                let stairs = group.escalation.iter().skip(member.steps);
                let now = stairs.take_while(|stair| since.saturating_add(stair.after) <= at).count();
                if now > 0 {
                    due.push((group.id.clone(), *id, member.steps, now));
                }
            }
        }
        for (group, id, done, count) in due {
            self.climb(&group, id, done, count, None, now);
        }
        if self.mutes_dirty {
            self.mute(now);
        }
    }

    /// Tells those of the `count` steps after the first `done`: nobody took the alert in time, or somebody does not wait.
    fn climb(
        &mut self,
        group: &str,
        id: Fingerprint,
        done: usize,
        count: usize,
        by: Option<&str>,
        now: Moment,
    ) {
        let at = self.at(now);
        let Some(from) = self.groups.get_mut(group) else { return };
        if let Some(member) = from.members.get_mut(&id) {
            member.steps = done + count;
        }
        let stairs = from.escalation.get(done..done + count).unwrap_or_default().to_vec();
        for stair in stairs {
            let (Some(from), Some(record)) = (self.groups.get(group), self.alerts.get_mut(&id)) else {
                continue;
            };
            let told = from.of_step(&stair, record, at);
            let raised = stair.severity.is_some_and(|severity| record.raise(severity));
            let step = self.groups.entry(told.id.clone()).or_insert(told);
            // Of two routes that both lead to this receiver the first has told it.
            if !step.knows(id) || step.members.get(&id).is_some_and(|member| member.from == group) {
                let member = step.members.entry(id).or_default();
                (member.routed, member.escalated) = (true, true);
                group.clone_into(&mut member.from);
                step.next = at;
            }
            let step = step.id.clone();
            self.member_of.entry(id).or_default().insert(step);
            let why = match by {
                Some(by) => format!("{by} did not wait"),
                None => {
                    let after = Duration::from_millis(u64::try_from(stair.after).unwrap_or_default());
                    format!("nobody took it within {}", format_duration(after))
                }
            };
            if raised {
                self.settle(id, "", now);
            }
            let reason = format!("{why}: {} is told", stair.receiver);
            self.note(id, Change::Escalated, &reason, now.unix_ms);
        }
    }

    /// Lets groups tell what there is to tell.
    fn flush(&mut self, now: Moment) {
        let at = self.at(now);
        let due = self.groups.values().filter(|group| !group.held && group.next <= at);
        let due: Vec<String> = due.map(|group| group.id.clone()).collect();
        for id in due {
            let Some(mut group) = self.groups.remove(&id) else { continue };
            let news = group.news(&self.alerts, at);
            self.effects.changed |= news.is_some();
            let sent = self.tell(&mut group, news, now);
            self.looked(group, sent, at);
        }
    }

    /// Tells a group's news. False if the rate limit does not allow all of it.
    fn tell(&mut self, group: &mut Group, news: News, now: Moment) -> bool {
        let at = self.at(now);
        if !news.flapping.is_empty() {
            let Some(suppressed) = self.rates.take(&group.receiver, &self.config.limits, at) else {
                return false;
            };
            let told: Vec<_> = news.flapping.clone();
            self.notify(group, Cause::Flapping, told, true, suppressed, now);
        }
        if !news.changed.is_empty() || news.repeats {
            let Some(suppressed) = self.rates.take(&group.receiver, &self.config.limits, at) else {
                return false;
            };
            let cause = news.cause();
            let changed = news.changed.into_iter().map(|(id, _, status)| (id, status));
            let told = changed.chain(news.firing.into_iter().map(|id| (id, Status::Firing))).collect();
            self.notify(group, cause, told, false, suppressed, now);
        }
        true
    }

    fn notify(
        &mut self,
        group: &mut Group,
        cause: Cause,
        told: Vec<(Fingerprint, Status)>,
        flapping: bool,
        suppressed: u64,
        now: Moment,
    ) {
        let at = self.at(now);
        let seqs =
            told.iter().filter_map(|(id, _)| self.alerts.get(id)).map(|record| record.last_seq).collect();
        let alerts = group.tell(told.into_iter(), flapping, &self.alerts, at);
        let id = self.next_id(now);
        self.history.telling(id, seqs);
        self.effects.notifications.push(Notification {
            id,
            receiver: group.receiver.as_str().into(),
            cause,
            at_ms: now.unix_ms,
            group_key: group.key.as_str().into(),
            group_labels: group.labels.clone(),
            alerts,
            suppressed,
        });
    }

    /// Ascending, also over a restart after which the last ones are not known.
    fn next_id(&mut self, now: Moment) -> u64 {
        let by_time = u64::try_from(now.unix_ms).unwrap_or_default().saturating_mul(1000);
        self.last_notification = (self.last_notification + 1).max(by_time);
        self.last_notification
    }

    /// Puts a group back that has looked. If the rate limit held it, it waits for its turn.
    fn looked(&mut self, mut group: Group, sent: bool, at: Ms) {
        if !sent {
            if !group.held {
                self.rates.suppress(&group.receiver, &self.config.limits, at);
                self.effects.suppressed.push(group.receiver.clone());
            }
            (group.held, group.begun) = (true, true);
            self.groups.insert(group.id.clone(), group);
            return;
        }
        for left in group.looked(&self.alerts, at) {
            if let Some(of) = self.member_of.get_mut(&left) {
                of.remove(&group.id);
            }
        }
        if !group.members.is_empty() {
            self.groups.insert(group.id.clone(), group);
        }
    }

    /// Tells what the rate limit has held back, all of a receiver in one, when its time has come.
    fn digest(&mut self, now: Moment) {
        let at = self.at(now);
        let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for group in self.groups.values().filter(|group| group.held) {
            held.entry(group.receiver.clone()).or_default().push(group.id.clone());
        }
        for (receiver, ids) in held {
            let (mut taken, mut count) = (Vec::new(), 0);
            for id in ids {
                let Some(group) = self.groups.get(&id) else { continue };
                let news = group.news(&self.alerts, at);
                if !news.is_some() {
                    // What it had to tell has gone by itself.
                    if let Some(group) = self.groups.remove(&id) {
                        self.looked(group, true, at);
                    }
                    continue;
                }
                let more = news.changed.len() + news.flapping.len() + news.firing.len();
                if count == 0 || count + more <= DIGEST {
                    count += more;
                    taken.push((id, news));
                }
            }
            if taken.is_empty() || self.rates.next(&receiver, &self.config.limits, at) > at {
                continue;
            }
            self.effects.changed = true;
            if taken.len() == 1 {
                for (id, news) in taken {
                    let Some(mut group) = self.groups.remove(&id) else { continue };
                    let sent = self.tell(&mut group, news, now);
                    self.looked(group, sent, at);
                }
                continue;
            }
            let Some(suppressed) = self.rates.take(&receiver, &self.config.limits, at) else { continue };
            let (mut alerts, mut seqs) = (Vec::new(), Vec::new());
            for (id, news) in taken {
                let Some(mut group) = self.groups.remove(&id) else { continue };
                let changed = news.changed.into_iter().map(|(id, _, status)| (id, status));
                let told: Vec<_> =
                    changed.chain(news.firing.into_iter().map(|id| (id, Status::Firing))).collect();
                let ids = told.iter().chain(&news.flapping).filter_map(|(id, _)| self.alerts.get(id));
                seqs.extend(ids.map(|record| record.last_seq));
                alerts.extend(group.tell(told.into_iter(), false, &self.alerts, at));
                alerts.extend(group.tell(news.flapping.into_iter(), true, &self.alerts, at));
                self.looked(group, true, at);
            }
            alerts.sort_by(|a, b| {
                (a.status == Status::Resolved, &a.fingerprint)
                    .cmp(&(b.status == Status::Resolved, &b.fingerprint))
            });
            alerts.dedup_by(|a, b| a.fingerprint == b.fingerprint);
            let id = self.next_id(now);
            self.history.telling(id, seqs);
            self.effects.notifications.push(Notification {
                id,
                receiver: receiver.as_str().into(),
                cause: Cause::Digest,
                at_ms: now.unix_ms,
                group_key: format!("{receiver}/digest").into(),
                group_labels: BTreeMap::new(),
                alerts,
                suppressed,
            });
        }
    }

    fn next_due(&mut self, now: Moment) -> Ms {
        let at = self.at(now);
        let limits = self.config.limits;
        let records = self.alerts.values().filter_map(|record| {
            let due = record.due(&limits)?;
            // What is kept only for a group goes with it.
            (due > at).then_some(due)
        });
        let sources = self.sources.values().map(Source::gone_at);
        let groups = self.groups.values().filter(|group| !group.held).map(|group| group.next);
        let steps = self.groups.values().flat_map(|group| {
            group.members.iter().filter_map(|(id, member)| {
                let stair = group.escalation.get(member.steps).filter(|_| member.routed)?;
                let record = self.alerts.get(id).filter(|record| record.fires() && !record.flapping)?;
                Some(record.unattended?.saturating_add(stair.after))
            })
        });
        let due = records.chain(sources).chain(groups).chain(steps).min().unwrap_or(Ms::MAX);
        let wall = self
            .silences
            .next_change()
            .map_or(Ms::MAX, |wall| at.saturating_add(wall.saturating_sub(now.unix_ms).clamp(1, LOOK)));
        let held: BTreeSet<String> =
            self.groups.values().filter(|group| group.held).map(|group| group.receiver.clone()).collect();
        let limits = self.config.limits;
        let held = held.iter().map(|receiver| self.rates.next(receiver, &limits, at).max(at + 1)).min();
        due.min(wall).min(held.unwrap_or(Ms::MAX)).max(at.saturating_add(1))
    }
}
