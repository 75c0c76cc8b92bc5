//! What is asked by others, at any time: to take, silence, escalate, clear and post alerts, and to see them. Commands end in
//! [`Manager::run`] as reports do.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Posted;
use super::super::fingerprint::Fingerprint;
use super::super::group::{Group, Stair, receivers};
use super::super::history::{Change, Transition};
use super::super::record::{Ack, Ms, Record, ms};
use super::super::silence::{NewSilence, Silence, SilenceState};
use super::super::view::{
    Acknowledge, AlertView, Cleared, Filter, GroupView, HistoryFilter, NextStep, Refusal, State, Stats, Which,
};
use super::{Manager, POSTED};
use crate::alert::{Acknowledged, Active, Cause, Notification, Origin, Phase, Severity, Standing, Status};
use crate::clock::Moment;
use crate::config::units::format_duration;

/// How long a posted alert lasts that does not say so itself; Alertmanager's `resolve_timeout`.
const RESOLVE_TIMEOUT: Ms = 5 * 60_000;

/// Longest author of an acknowledgement, and longest note, in bytes.
const LONGEST: usize = 1 << 10;

/// See [`Alerts`](super::super::Alerts).
impl Manager {
    fn find(&self, id: &str) -> Result<Fingerprint, Refusal> {
        let found = id.parse().ok().filter(|id| self.alerts.contains_key(id));
        found.ok_or_else(|| Refusal::Unknown(id.to_owned()))
    }

    fn view(&self, record: &Record) -> AlertView {
        let mut view = record.view();
        let routes = self.config.route.as_ref().filter(|_| record.origin != Origin::Meta);
        view.receivers = match self.member_of.get(&record.id) {
            Some(groups) if !groups.is_empty() => receivers(self.groups_of(record.id)),
            _ => {
                let routed = routes.map(|route| route.routed(&view.labels)).unwrap_or_default();
                let names: BTreeSet<&str> = routed.iter().map(|routed| &*routed.route.receiver).collect();
                names.into_iter().map(str::to_owned).collect()
            }
        };
        view.next = self.next_step(record);
        view
    }

    /// Of the steps that all its routes have next, the soonest.
    fn next_step(&self, record: &Record) -> Option<NextStep> {
        if !record.fires() {
            return None;
        }
        let (_, _, stair) = self.next_stairs(record.id).min_by_key(|(_, _, stair)| stair.after)?;
        let due =
            record.unattended.filter(|_| !record.flapping).map(|since| since.saturating_add(stair.after));
        let from_now = |due: Ms| due.saturating_sub(self.at(self.last));
        Some(NextStep {
            receiver: stair.receiver.clone(),
            severity: stair.severity,
            at_ms: due.map(|due| self.last.unix_ms.saturating_add(from_now(due))),
        })
    }

    /// The step that each route of an alert has next: its group, how many are behind it, and what it says.
    fn next_stairs(&self, id: Fingerprint) -> impl Iterator<Item = (&str, usize, &Stair)> {
        self.groups_of(id).filter_map(move |group| {
            let member = group.members.get(&id).filter(|member| member.routed)?;
            Some((&*group.id, member.steps, group.escalation.get(member.steps)?))
        })
    }

    pub(in super::super) fn list(&self, filter: &Filter) -> Vec<AlertView> {
        let picked = self.alerts.values().filter(|record| filter.picks(record));
        let mut views: Vec<AlertView> = picked.map(|record| self.view(record)).collect();
        views.sort_by(|a, b| {
            let key = |view: &AlertView| {
                (view.firing, view.severity, view.starts_at_ms.unwrap_or(view.active_at_ms))
            };
            key(b).partial_cmp(&key(a)).unwrap_or(std::cmp::Ordering::Equal).then(a.id.cmp(&b.id))
        });
        views
    }

    pub(in super::super) fn get(&self, id: &str) -> Result<AlertView, Refusal> {
        let id = self.find(id)?;
        self.alerts.get(&id).map(|record| self.view(record)).ok_or_else(|| Refusal::Unknown(id.to_string()))
    }

    pub(in super::super) fn acknowledge(
        &mut self,
        id: &str,
        wish: Acknowledge,
        now: Moment,
    ) -> Result<Acknowledged, Refusal> {
        let now = self.later(now);
        let (id, at) = (self.find(id)?, self.at(now));
        if wish.by.is_empty() || wish.by.len() > LONGEST || wish.note.len() > LONGEST {
            return Err(Refusal::Invalid(
                "who takes it has a name; name and note have at most 1024 bytes".into(),
            ));
        }
        let Some(record) = self.alerts.get_mut(&id).filter(|record| record.fires() || record.flapping) else {
            return Err(Refusal::NotFiring(id));
        };
        let for_ms = wish.for_.map(ms);
        let shown = Acknowledged {
            by: wish.by,
            note: wish.note,
            at_ms: now.unix_ms,
            until_ms: for_ms.map(|length| now.unix_ms.saturating_add(length)),
        };
        let until = for_ms.map(|length| at.saturating_add(length));
        record.ack = Some(Ack { shown: shown.clone(), until, level: record.severity });
        let reason = match wish.for_ {
            None => format!("{} takes care", shown.by),
            Some(length) => format!("{} takes care for {}", shown.by, format_duration(length)),
        };
        let reason = if shown.note.is_empty() { reason } else { format!("{reason}: {}", shown.note) };
        self.restart_steps(id);
        self.note(id, Change::Acknowledged, &reason, now.unix_ms);
        self.tell_taken(id, now);
        self.mutes_dirty = true;
        self.run(now);
        Ok(shown)
    }

    /// Tells the groups of an alert of which somebody has taken all that their receivers know to fire. Somebody has done that by hand,
    /// so no rate limits it.
    fn tell_taken(&mut self, id: Fingerprint, now: Moment) {
        let groups: Vec<(String, Vec<Fingerprint>)> = self
            .groups_of(id)
            .filter(|group| group.knows(id))
            .map(|group| {
                (group.id.clone(), group.members.keys().copied().filter(|id| group.knows(*id)).collect())
            })
            .collect();
        for (group, known) in groups {
            let records =
                || known.iter().filter_map(|id| self.alerts.get(id)).filter(|record| record.fires());
            if !records().all(|record| record.ack.is_some()) {
                continue;
            }
            let alerts: Vec<_> = records().map(|record| record.notified(Status::Firing)).collect();
            let Some(group) = self.groups.get(&group).filter(|_| !alerts.is_empty()) else { continue };
            let (receiver, group_key) = (group.receiver.as_str().into(), group.key.as_str().into());
            let group_labels = group.labels.clone();
            let id = self.next_id(now);
            let (cause, at_ms, suppressed) = (Cause::Acknowledged, now.unix_ms, 0);
            self.effects.notifications.push(Notification {
                id,
                receiver,
                cause,
                at_ms,
                group_key,
                group_labels,
                alerts,
                suppressed,
            });
        }
    }

    pub(in super::super) fn unacknowledge(
        &mut self,
        id: &str,
        by: &str,
        now: Moment,
    ) -> Result<bool, Refusal> {
        let now = self.later(now);
        let id = self.find(id)?;
        let taken = self.alerts.get_mut(&id).and_then(|record| record.ack.take()).is_some();
        if taken {
            self.note(id, Change::Unacknowledged, &format!("{by} took it back"), now.unix_ms);
            self.mutes_dirty = true;
            self.run(now);
        }
        Ok(taken)
    }

    pub(in super::super) fn escalate_now(
        &mut self,
        id: &str,
        by: &str,
        now: Moment,
    ) -> Result<Vec<String>, Refusal> {
        let now = self.later(now);
        let id = self.find(id)?;
        if by.is_empty() || by.len() > LONGEST {
            return Err(Refusal::Invalid(format!("who escalates has a name of at most {LONGEST} bytes")));
        }
        let Some(record) = self.alerts.get(&id).filter(|record| record.fires()) else {
            return Err(Refusal::NotFiring(id));
        };
        if record.is_muted() || record.flapping {
            return Err(Refusal::Invalid(
                "nobody can be told of it now: it is silenced, inhibited, or comes and goes".into(),
            ));
        }
        let due: Vec<(String, usize, String)> = self
            .next_stairs(id)
            .map(|(group, done, stair)| (group.to_owned(), done, stair.receiver.clone()))
            .collect();
        if due.is_empty() {
            return Err(Refusal::Invalid("its route has no further step of escalation".into()));
        }
        let mut told = BTreeSet::new();
        for (group, done, receiver) in due {
            self.climb(&group, id, done, 1, Some(by), now);
            told.insert(receiver);
        }
        self.mutes_dirty = true;
        self.run(now);
        Ok(told.into_iter().collect())
    }

    pub(in super::super) fn silence(&mut self, silence: NewSilence, now: Moment) -> Result<Silence, Refusal> {
        let now = self.later(now);
        let set = self.silences.set(silence, now)?;
        self.silences_changed(now);
        Ok(set)
    }

    pub(in super::super) fn expire_silence(&mut self, id: &str, now: Moment) -> Result<Silence, Refusal> {
        let now = self.later(now);
        let silence = self.silences.expire(id, now)?;
        self.silences_changed(now);
        Ok(silence)
    }

    fn silences_changed(&mut self, now: Moment) {
        self.effects.changed = true;
        self.mutes_dirty = true;
        self.run(now);
    }

    pub(in super::super) fn silences(&self) -> Vec<Silence> {
        self.silences.list()
    }

    pub(in super::super) fn clear(&mut self, which: &Which, by: &str, now: Moment) -> Cleared {
        let now = self.later(now);
        let at = self.at(now);
        let mut cleared = Cleared::default();
        let ids: Vec<Fingerprint> = match which {
            Which::All => self.alerts.keys().copied().collect(),
            Which::Matching(matchers) => self
                .alerts
                .values()
                .filter(|record| matchers.match_all(&record.labels()))
                .map(|record| record.id)
                .collect(),
            Which::Ids(ids) => ids
                .iter()
                .filter_map(|id| {
                    let found = self.find(id);
                    if found.is_err() {
                        cleared.unknown.push(id.clone());
                    }
                    found.ok()
                })
                .collect(),
        };
        for id in ids {
            let Some(record) = self.alerts.get_mut(&id).filter(|record| record.fires()) else { continue };
            record.clear(at);
            cleared.count += 1;
            self.settle(id, &format!("cleared by {by}"), now);
        }
        self.run(now);
        cleared
    }

    pub(in super::super) fn history(&self, filter: &HistoryFilter) -> Vec<Transition> {
        self.history.list(filter)
    }

    pub(in super::super) fn groups(&self, filter: &Filter) -> Vec<GroupView> {
        let view = |group: &Group| {
            let members = group.members.keys().filter_map(|id| self.alerts.get(id));
            let alerts: Vec<AlertView> =
                members.filter(|record| filter.picks(record)).map(|record| self.view(record)).collect();
            GroupView {
                key: group.key.clone(),
                receiver: group.receiver.clone(),
                labels: group.labels.clone(),
                alerts,
            }
        };
        self.groups.values().map(view).filter(|group| !group.alerts.is_empty()).collect()
    }

    pub(in super::super) fn receivers(&self) -> Vec<String> {
        self.config.route.iter().flat_map(|route| route.receivers()).map(str::to_owned).collect()
    }

    pub(in super::super) fn stats(&self) -> Stats {
        let firing = || self.alerts.values().filter(|record| record.fires());
        let states = State::ALL.map(|state| {
            (state.as_str(), self.alerts.values().filter(|record| record.state() == state).count())
        });
        let levels = Severity::ALL
            .map(|level| (level.as_str(), firing().filter(|record| record.severity == level).count()));
        Stats {
            states: states.into(),
            firing: levels.into(),
            acknowledged: firing().filter(|record| record.ack.is_some()).count(),
            suppressed: firing().filter(|record| record.is_muted()).count(),
            silences: self.silences.count(SilenceState::Active),
            groups: self.groups.len(),
            held: self.groups.values().filter(|group| group.held).count(),
            dropped: self.dropped,
            history: self.history.len(),
        }
    }

    /// Alerts by state and level.
    pub(in super::super) fn counts(&self) -> BTreeMap<(State, Severity), i64> {
        let mut counts = BTreeMap::new();
        for record in self.alerts.values() {
            *counts.entry((record.state(), record.severity)).or_insert(0) += 1;
        }
        counts
    }

    pub(in super::super) fn silence_counts(&self) -> [(SilenceState, usize); 3] {
        [SilenceState::Pending, SilenceState::Active, SilenceState::Expired]
            .map(|state| (state, self.silences.count(state)))
    }

    /// Takes alerts of another program.
    pub(in super::super) fn post(&mut self, alerts: Vec<Posted>, now: Moment) -> Vec<Fingerprint> {
        let now = self.later(now);
        let at = self.at(now);
        let mut ids = Vec::new();
        for posted in alerts {
            let id = Fingerprint::of(Origin::External, posted.labels.iter());
            ids.push(id);
            let left = posted.ends_at_ms.map_or(RESOLVE_TIMEOUT, |ends| ends.saturating_sub(now.unix_ms));
            let starts = posted.starts_at_ms.unwrap_or(now.unix_ms);
            // Each level has a life of its own, as each is sent by itself.
            let level = posted.labels.get(Severity::LABEL).unwrap_or("");
            let source = format!("{POSTED}{level}");
            if left <= 0 {
                let is_known = self.alerts.get(&id).is_some_and(|record| record.is_said_by(&source));
                if is_known
                    && let Some(record) = self.alerts.get_mut(&id)
                    && record.end(at, now.unix_ms, |instance| instance.source == source)
                {
                    self.settle(id, "its sender says that it is over", now);
                }
                continue;
            }
            let active = Active {
                labels: posted.labels,
                annotations: posted.annotations,
                phase: Phase::Firing,
                value: f64::NAN,
                active_at_ms: starts,
                fired_at_ms: Some(starts),
                generator: posted.generator.into(),
            };
            self.say(id, Origin::External, &source, &[&active], Some(at.saturating_add(left)), now);
        }
        self.run(now);
        ids
    }

    /// What stands by the rules' own word; what other programs have posted they tell their Alertmanagers themselves.
    pub(in super::super) fn standing(&self) -> Standing {
        let ours =
            self.alerts.values().filter(|record| matches!(record.origin, Origin::Rule | Origin::Anomaly));
        Standing { alerts: ours.flat_map(Record::standing).collect() }
    }
}

impl Filter {
    fn picks(&self, record: &Record) -> bool {
        (self.states.is_empty() || self.states.contains(&record.state()))
            && (self.severities.is_empty() || self.severities.contains(&record.severity))
            && self.matchers.match_all(&record.labels())
    }
}
