//! Groups: alerts that one receiver is told of together.
//!
//! A group keeps what its receiver was told of each alert. What there is to tell is the difference between that and how the
//! alert is now ([`Group::news`]); so nothing is told twice, and nothing that was held up (by a silence, a cooldown, the rate
//! limit, a restart) can be forgotten: the difference stays until it is told or has gone by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::{GroupBy, Route, Step};
use super::fingerprint::Fingerprint;
use super::record::{Ms, Record, ms};
use crate::alert::{Cause, Notified, Severity, Status};
use crate::query::Labels;

/// A group of alerts for one receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    /// Unique; holds the receiver too.
    pub(super) id: String,
    /// What receivers see.
    pub(super) key: String,
    pub(super) receiver: String,
    pub(super) labels: BTreeMap<String, String>,
    /// It is there for the steps of an escalation.
    pub(super) step: bool,
    interval: Ms,
    repeat: Ms,
    pub(super) escalation: Vec<Stair>,
    pub(super) members: BTreeMap<Fingerprint, Member>,
    /// When it looks again whether there is something to tell.
    pub(super) next: Ms,
    /// It has looked once.
    pub(super) begun: bool,
    /// When its receiver was last told something.
    last_told: Option<Ms>,
    /// The rate limit holds it back.
    pub(super) held: bool,
}

/// A step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stair {
    pub(super) after: Ms,
    pub(super) receiver: String,
    pub(super) severity: Option<Severity>,
}

impl From<&Step> for Stair {
    fn from(step: &Step) -> Self {
        Stair { after: ms(step.after), receiver: step.receiver.clone(), severity: step.severity }
    }
}

/// An alert in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// What the receiver was told last: does it fire, and at which level?
    told: Option<(Status, Severity)>,
    /// The receiver was told that it flaps.
    told_flapping: bool,
    /// The route still leads here. To the receiver the alert is over if not.
    pub(super) routed: bool,
    /// It is here because nobody took it, and that is still to be told.
    pub(super) escalated: bool,
    /// The group whose step has brought it here.
    pub(super) from: String,
    /// Steps of the escalation that are behind it.
    pub(super) steps: usize,
}

/// What there is to tell.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Alerts that have changed for the receiver, and to what.
    pub(super) changed: Vec<(Fingerprint, Cause, Status)>,
    /// Alerts that begin to flap.
    pub(super) flapping: Vec<(Fingerprint, Status)>,
    /// Alerts of which nothing is new, but which fire.
    pub(super) firing: Vec<Fingerprint>,
    /// It is time to tell again what fires.
    pub(super) repeats: bool,
}

impl News {
    /// Is there something?
    pub(super) fn is_some(&self) -> bool {
        !self.changed.is_empty() || !self.flapping.is_empty() || self.repeats
    }

    /// The cause of a notification that tells all that has changed.
    pub(super) fn cause(&self) -> Cause {
        let order = [Cause::Escalation, Cause::Firing, Cause::Level, Cause::Resolved];
        let has = |cause: &Cause| self.changed.iter().any(|(_, found, _)| found == cause);
        order.into_iter().find(has).unwrap_or(Cause::Repeat)
    }
}

impl Group {
    /// The group in which a route puts an alert.
    pub(super) fn of(route: &Routed<'_>, labels: &BTreeMap<String, String>, at: Ms) -> Self {
        let labels: BTreeMap<String, String> = match &route.route.group_by {
            // An alert is the same at every level, and so is its group.
            GroupBy::All => {
                let base = labels.iter().filter(|(name, _)| *name != Severity::LABEL);
                base.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            GroupBy::Labels(names) => labels
                .iter()
                .filter(|(name, _)| names.contains(*name))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
        };
        let key = format!("{}:{}", route.path, Labels::new(&labels));
        let mut group = Group {
            id: id(&route.route.receiver, &key),
            key,
            receiver: route.route.receiver.clone(),
            labels,
            interval: 0,
            repeat: 0,
            step: false,
            escalation: Vec::new(),
            members: BTreeMap::new(),
            next: at.saturating_add(ms(route.route.group_wait)),
            begun: false,
            last_told: None,
            held: false,
        };
        group.settings(route.route);
        group
    }

    /// The group by which a step of an escalation tells its receiver of one alert.
    pub(super) fn of_step(&self, stair: &Stair, record: &Record, at: Ms) -> Self {
        // One for all routes that lead to it, so that it is told once.
        let key = format!("escalation:{}", record.id);
        Group {
            id: id(&stair.receiver, &key),
            key,
            receiver: stair.receiver.clone(),
            labels: record.base.clone(),
            step: true,
            escalation: Vec::new(),
            members: BTreeMap::new(),
            next: at,
            begun: false,
            last_told: None,
            held: false,
            ..self.clone()
        }
    }

    /// Takes over what a route says of times and steps.
    pub(super) fn settings(&mut self, route: &Route) {
        (self.interval, self.repeat) = (ms(route.group_interval), ms(route.repeat_interval));
        self.escalation = route.escalation.iter().map(Stair::from).collect();
    }

    /// Takes over an alert from another group of the same receiver, with what that knows of it.
    /// It tells of it at `next` at the latest.
    pub(super) fn adopt(&mut self, id: Fingerprint, from: &mut Group, next: Option<Ms>) {
        if let Some(member) = from.members.remove(&id) {
            self.members.insert(id, Member { steps: 0, ..member });
            self.last_told = self.last_told.max(from.last_told);
            self.next = self.next.min(next.unwrap_or(from.next));
        }
    }

    /// Looks at once whether there is something to tell, if it has begun.
    pub(super) fn hurry(&mut self, at: Ms) {
        if self.begun {
            self.next = self.next.min(at);
        }
    }

    /// What there is to tell now.
    pub(super) fn news(&self, alerts: &BTreeMap<Fingerprint, Record>, at: Ms) -> News {
        let mut news = News::default();
        let mut unattended = false;
        for (id, member) in &self.members {
            let record = alerts.get(id);
            let fires = record.is_some_and(|record| record.fires() && member.routed);
            let status = if fires { Status::Firing } else { Status::Resolved };
            let knows = matches!(member.told, Some((Status::Firing, _)));
            let muted = record.is_some_and(Record::is_muted);
            if record.is_some_and(|record| record.flapping && member.routed) {
                // Told once; how it is when it has become quiet is told then.
                if !member.told_flapping && !muted && (fires || knows) {
                    news.flapping.push((*id, status));
                }
                continue;
            }
            match (record, fires) {
                (Some(record), true) => {
                    let level = matches!(member.told, Some((_, level)) if level != record.severity);
                    if muted || record.hold.is_some_and(|hold| hold > at) {
                        continue;
                    } else if member.escalated {
                        news.changed.push((*id, Cause::Escalation, status));
                    } else if !knows {
                        news.changed.push((*id, Cause::Firing, status));
                    } else if level {
                        news.changed.push((*id, Cause::Level, status));
                    } else {
                        unattended |= record.ack.is_none();
                        news.firing.push(*id);
                    }
                }
                // Whoever knows that it fires is told that it is over, silence or not.
                (_, false) if knows => news.changed.push((*id, Cause::Resolved, status)),
                _ => {}
            }
        }
        let long_ago = self.last_told.is_some_and(|told| at.saturating_sub(told) >= self.repeat);
        news.repeats = long_ago && unattended && news.changed.is_empty() && !news.firing.is_empty();
        news
    }

    /// The receiver is being told of these; gives them as it is told, those that fire first.
    pub(super) fn tell(
        &mut self,
        told: impl Iterator<Item = (Fingerprint, Status)>,
        flapping: bool,
        alerts: &BTreeMap<Fingerprint, Record>,
        at: Ms,
    ) -> Vec<Notified> {
        self.last_told = Some(at);
        let mut notified = Vec::new();
        for (id, status) in told {
            let (Some(member), Some(record)) = (self.members.get_mut(&id), alerts.get(&id)) else { continue };
            member.told = Some((status, record.severity));
            member.told_flapping = flapping;
            member.escalated = false;
            notified.push(record.notified(status));
        }
        notified.sort_by(|a, b| {
            (a.status == Status::Resolved, &a.fingerprint)
                .cmp(&(b.status == Status::Resolved, &b.fingerprint))
        });
        notified
    }

    /// It has looked: the next time is set, and those of whom nothing remains to be told leave. Gives them.
    pub(super) fn looked(&mut self, alerts: &BTreeMap<Fingerprint, Record>, at: Ms) -> Vec<Fingerprint> {
        self.begun = true;
        self.held = false;
        self.next = at.saturating_add(self.interval);
        let mut left = Vec::new();
        self.members.retain(|id, member| {
            let record = alerts.get(id);
            let flapping = record.is_some_and(|record| record.flapping && member.routed);
            member.told_flapping &= flapping;
            let fires = record.is_some_and(|record| record.fires() && member.routed);
            let stays =
                fires || flapping || matches!(member.told, Some((Status::Firing, _))) && record.is_some();
            if !stays {
                left.push(*id);
            }
            stays
        });
        left
    }

    /// Was its receiver told that an alert fires, and not yet that it is over?
    pub(super) fn knows(&self, id: Fingerprint) -> bool {
        self.members.get(&id).is_some_and(|member| matches!(member.told, Some((Status::Firing, _))))
    }
}

fn id(receiver: &str, key: &str) -> String {
    format!("{receiver}\n{key}")
}

/// A route that takes an alert.
#[derive(Debug)]
pub(super) struct Routed<'a> {
    pub(super) route: &'a Route,
    /// Names it, as in Alertmanager: the matchers on the way.
    path: String,
}

impl Route {
    /// The routes that take an alert with these labels; at least the root.
    pub(super) fn routed(&self, labels: &BTreeMap<String, String>) -> Vec<Routed<'_>> {
        let mut found = Vec::new();
        self.find(labels, String::new(), &mut found);
        found
    }

    fn find<'a>(
        &'a self,
        labels: &BTreeMap<String, String>,
        above: String,
        found: &mut Vec<Routed<'a>>,
    ) -> bool {
        if !self.matchers.match_all(labels) {
            return false;
        }
        let slash = if above.is_empty() { "" } else { "/" };
        let path = format!("{above}{slash}{}", self.matchers);
        let mut deeper = false;
        for route in &self.routes {
            let matches = route.find(labels, path.clone(), found);
            deeper |= matches;
            if matches && !route.go_on {
                break;
            }
        }
        if !deeper {
            found.push(Routed { route: self, path });
        }
        true
    }
}

/// The names of the receivers that were told, or are to be told, of an alert.
pub(super) fn receivers<'a>(groups: impl Iterator<Item = &'a Group>) -> Vec<String> {
    let names: BTreeSet<&str> = groups.map(|group| &*group.receiver).collect();
    names.into_iter().map(str::to_owned).collect()
}
