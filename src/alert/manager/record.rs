//! One alert: what its sources say of it, and where it is.
//!
//! Rules of one name that differ only in `severity` are one alert whose level changes. What each of them says is an
//! [`Instance`]; the alert fires while one of them does, at the highest level among those that do. [`Record::settle`] draws the
//! conclusion and says what has changed. It decides nothing about who is told.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::config::Limits;
use super::fingerprint::Fingerprint;
use super::history::Change;
use super::view::State;
use crate::alert::{Acknowledged, Active, Notified, Origin, Phase, Severity, StandingAlert, Status};
use crate::config::units::format_duration;
use crate::query::Labels;

/// The manager's own time in milliseconds: monotonic, and it goes on over a restart by what the wall clock says has passed.
pub(super) type Ms = i64;

/// How long what is over is still told to Alertmanagers, and shown.
pub(super) const KEPT: Ms = 15 * 60_000;

/// Most conditions of one alert. A few rules have one name; more are a mistake.
const INSTANCES: usize = 64;

/// How long after a restart a rule that waits for its `for` anew is taken to fire, beyond that time.
const BELIEVED: Ms = 5 * 60_000;

/// How long a cleared alert stays over if its rule has no `for`: the default interval of rules.
const CLEARED: Ms = 5_000;

/// A condition of one source at one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) source: String,
    /// The label `severity`, empty without one.
    severity: String,
    phase: Phase,
    annotations: BTreeMap<String, String>,
    #[serde(with = "crate::alert::number")]
    value: f64,
    active_at_ms: i64,
    fired_at_ms: Option<i64>,
    generator: String,
    /// When it was over, in both times. Kept for Alertmanagers.
    ended: Option<(Ms, i64)>,
    /// It fired before a restart, and its source has not said since that it does; until then it is believed.
    restored: Option<Ms>,
    /// When it is over unless it is said again; for those of other programs.
    pub(super) expires: Option<Ms>,
}

impl Instance {
    fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    fn fires(&self) -> bool {
        self.is_live() && self.phase == Phase::Firing
    }

    fn level(&self) -> Severity {
        if self.severity.is_empty() { Severity::default() } else { Severity::of_label(&self.severity) }
    }

    /// For how long the condition was true before it fired.
    fn held_for(&self) -> Ms {
        self.fired_at_ms.map_or(0, |fired| fired.saturating_sub(self.active_at_ms).max(0))
    }
}

/// Where an alert is by its sources' word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Pending,
    Firing,
    Resolved,
}

/// Somebody takes care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ack {
    pub(super) shown: Acknowledged,
    pub(super) until: Option<Ms>,
    /// The level that was known then.
    pub(super) level: Severity,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: Fingerprint,
    pub(super) origin: Origin,
    /// All labels but `severity`.
    pub(super) base: BTreeMap<String, String>,
    pub(super) instances: Vec<Instance>,
    pub(super) stage: Stage,
    pub(super) severity: Severity,
    /// The label of that level, empty without one.
    label: String,
    /// The level to which escalation has raised it.
    raised: Option<Severity>,
    annotations: BTreeMap<String, String>,
    #[serde(with = "crate::alert::number")]
    pub(super) value: f64,
    generator: String,
    active_at_ms: i64,
    pub(super) starts_at_ms: Option<i64>,
    pub(super) ends_at_ms: Option<i64>,
    pub(super) updated_at_ms: i64,
    /// When it was over, in our time.
    pub(super) ended: Option<Ms>,
    pub(super) transition: u64,
    /// Number in the history of its last transition.
    pub(super) last_seq: u64,
    /// When it changed, within the window of flapping.
    changes: VecDeque<Ms>,
    pub(super) flapping: bool,
    /// It has come back within the cooldown: nobody is told before this.
    pub(super) hold: Option<Ms>,
    /// It was cleared: what holds does not count before this.
    cleared: Option<Ms>,
    pub(super) ack: Option<Ack>,
    pub(super) silenced_by: Vec<String>,
    pub(super) inhibited_by: Vec<Fingerprint>,
    /// Since when it fires and neither anybody takes care nor anything mutes it.
    pub(super) unattended: Option<Ms>,
}

impl Record {
    /// One of which nothing is known yet.
    pub(super) fn new(id: Fingerprint, origin: Origin, labels: &Labels) -> Self {
        let base = labels.iter().filter(|(name, _)| *name != Severity::LABEL);
        Record {
            id,
            origin,
            base: base.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            instances: Vec::new(),
            stage: Stage::Pending,
            severity: Severity::default(),
            label: String::new(),
            raised: None,
            annotations: BTreeMap::new(),
            value: f64::NAN,
            generator: String::new(),
            active_at_ms: 0,
            starts_at_ms: None,
            ends_at_ms: None,
            updated_at_ms: 0,
            ended: None,
            transition: 0,
            last_seq: 0,
            changes: VecDeque::new(),
            flapping: false,
            hold: None,
            cleared: None,
            ack: None,
            silenced_by: Vec::new(),
            inhibited_by: Vec::new(),
            unattended: None,
        }
    }

    /// Its labels, that of the level among them where its rule has one or escalation has raised it.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.base.clone();
        if !self.label.is_empty() {
            labels.insert(Severity::LABEL.to_owned(), self.label.clone());
        }
        labels
    }

    /// Where it is, as others see it.
    pub(super) fn state(&self) -> State {
        match self.stage {
            _ if self.flapping => State::Flapping,
            Stage::Firing => State::Firing,
            Stage::Pending => State::Pending,
            Stage::Resolved if self.is_pending() => State::Pending,
            Stage::Resolved => State::Resolved,
        }
    }

    /// Does it fire?
    pub(super) fn fires(&self) -> bool {
        self.stage == Stage::Firing
    }

    /// Is nobody told of it for now?
    pub(super) fn is_muted(&self) -> bool {
        !self.silenced_by.is_empty() || !self.inhibited_by.is_empty()
    }

    fn is_pending(&self) -> bool {
        self.cleared.is_none() && self.instances.iter().any(Instance::is_live)
    }

    /// What one source says now takes the place of what it said. True if others are to see a difference.
    pub(super) fn say(
        &mut self,
        source: &str,
        said: &[&Active],
        expires: Option<Ms>,
        at: Ms,
        unix_ms: i64,
    ) -> bool {
        let mut changed = false;
        for instance in self.instances.iter_mut().filter(|one| one.source == source && one.is_live()) {
            let is_said = said.iter().any(|active| severity_of(active) == instance.severity);
            if !is_said {
                instance.ended = Some((at, unix_ms));
                changed = true;
            }
        }
        for active in said {
            let severity = severity_of(active);
            let known =
                self.instances.iter().position(|one| one.source == source && one.severity == severity);
            let place = match known {
                Some(known) => known,
                None if self.instances.len() >= INSTANCES => continue,
                None => {
                    self.instances.push(Instance {
                        source: source.to_owned(),
                        severity: severity.to_owned(),
                        phase: Phase::Pending,
                        annotations: BTreeMap::new(),
                        value: f64::NAN,
                        active_at_ms: active.active_at_ms,
                        fired_at_ms: None,
                        generator: String::new(),
                        ended: Some((at, unix_ms)),
                        restored: None,
                        expires: None,
                    });
                    self.instances.len() - 1
                }
            };
            let old = &mut self.instances[place];
            // A rule that has lost its memory in a restart waits for its `for` again; to everybody else it still fires.
            let believed = old.restored.filter(|until| at < *until);
            let still = believed.is_some() && old.fires() && active.phase == Phase::Pending;
            let phase = if still { Phase::Firing } else { active.phase };
            let same = old.is_live() && old.phase == phase && old.annotations == active.annotations;
            changed |= !same || old.value.to_bits() != active.value.to_bits();
            if !still {
                (old.active_at_ms, old.fired_at_ms) = (active.active_at_ms, active.fired_at_ms);
            }
            old.restored = believed.filter(|_| still);
            (old.phase, old.value, old.ended, old.expires) = (phase, active.value, None, expires);
            if old.annotations != active.annotations {
                old.annotations.clone_from(&active.annotations);
            }
            if *old.generator != *active.generator {
                old.generator = active.generator.as_ref().to_owned();
            }
        }
        changed
    }

    /// Everything that a source said is over, or all of what has run out. True if something was.
    pub(super) fn end(&mut self, at: Ms, unix_ms: i64, over: impl Fn(&Instance) -> bool) -> bool {
        let mut ended = false;
        for instance in self.instances.iter_mut().filter(|one| one.is_live()) {
            if over(instance) {
                instance.ended = Some((at, unix_ms));
                ended = true;
            }
        }
        ended
    }

    /// It is over by somebody's word, until its condition has held for the `for` of its rule again.
    pub(super) fn clear(&mut self, at: Ms) {
        let firing = self.instances.iter().filter(|one| one.fires());
        let wait = firing.map(Instance::held_for).max().unwrap_or_default().max(CLEARED);
        self.cleared = Some(at.saturating_add(wait));
        self.instances.retain(|one| one.expires.is_none());
    }

    /// Raises the level. True if that makes it higher.
    pub(super) fn raise(&mut self, to: Severity) -> bool {
        if to > self.severity {
            self.raised = Some(to);
        }
        to > self.severity
    }

    /// Concludes from what the sources say, and gives what has changed, with the reason in words. `over` is the reason if it is over.
    pub(super) fn settle(
        &mut self,
        at: Ms,
        unix_ms: i64,
        limits: &Limits,
        over: &str,
    ) -> Vec<(Change, String)> {
        let mut told = Vec::new();
        if self.cleared.is_some_and(|until| at >= until) || !self.instances.iter().any(Instance::is_live) {
            self.cleared = None;
        }
        let counts = self.cleared.is_none();
        let leading = self.instances.iter().filter(|one| counts && one.fires()).max_by_key(|one| one.level());
        let firing = leading.is_some();
        let shown = leading.or_else(|| {
            let live = self.instances.iter().filter(|one| one.is_live());
            live.max_by_key(|one| one.level()).filter(|_| self.stage == Stage::Pending)
        });
        let before = self.severity;
        if let Some(shown) = shown.cloned() {
            let raised = self.raised.filter(|raised| *raised > shown.level());
            self.severity = raised.unwrap_or(shown.level());
            self.label = raised.map_or(shown.severity, |raised| raised.as_str().to_owned());
            self.annotations = shown.annotations;
            (self.value, self.generator) = (shown.value, shown.generator);
            if self.starts_at_ms.is_none() || self.stage != Stage::Firing {
                self.active_at_ms = shown.active_at_ms;
            }
        }
        match (self.stage, firing) {
            (Stage::Pending | Stage::Resolved, true) => {
                let fired =
                    self.instances.iter().filter(|one| one.fires()).filter_map(|one| one.fired_at_ms).min();
                let cool = self.ended.map(|ended| ended.saturating_add(ms(limits.cooldown)));
                (self.stage, self.ends_at_ms) = (Stage::Firing, None);
                match cool.filter(|cool| *cool > at) {
                    Some(cool) => {
                        self.hold = Some(cool);
                        let within = format_duration(limits.cooldown);
                        told.push((Change::Reopened, format!("it fires again within {within}")));
                    }
                    None => {
                        self.starts_at_ms = Some(fired.unwrap_or(unix_ms));
                        self.ack = None;
                        told.push((Change::Firing, "its condition has held for long enough".into()));
                    }
                }
                self.ended = None;
            }
            (Stage::Firing, true) if self.severity != before => {
                let way = if self.severity > before { "rose" } else { "fell" };
                told.push((Change::Level, format!("the level {way} from {before} to {}", self.severity)));
            }
            (Stage::Firing, false) => {
                (self.stage, self.ends_at_ms, self.ended) = (Stage::Resolved, Some(unix_ms), Some(at));
                (self.raised, self.hold, self.unattended) = (None, None, None);
                let change = if counts { Change::Resolved } else { Change::Cleared };
                told.push((change, over.to_owned()));
            }
            _ => {}
        }
        if !told.is_empty() {
            self.transition += 1;
            self.changes.push_back(at);
            // What is more than is asked for says nothing new.
            while self.changes.len() > limits.flap_changes + 1 {
                self.changes.pop_front();
            }
        }
        let worse = self.ack.as_ref().is_some_and(|ack| self.fires() && self.severity > ack.level);
        if worse {
            self.ack = None;
            told.push((
                Change::Unacknowledged,
                format!("it is worse than when it was taken: {}", self.severity),
            ));
        }
        let window = ms(limits.flap_window);
        while self.changes.front().is_some_and(|change| at.saturating_sub(*change) >= window) {
            self.changes.pop_front();
        }
        let many = self.changes.len();
        if !self.flapping && many > limits.flap_changes {
            self.flapping = true;
            let within = format_duration(limits.flap_window);
            told.push((
                Change::Flapping,
                format!("more than {} changes within {within}", limits.flap_changes),
            ));
        } else if self.flapping && many == 0 {
            self.flapping = false;
            told.push((Change::Steady, format!("quiet for {}", format_duration(limits.flap_window))));
        }
        if self.hold.is_some_and(|hold| at >= hold) {
            self.hold = None;
        }
        if !told.is_empty() {
            self.updated_at_ms = unix_ms;
        }
        self.instances.retain(|one| one.ended.is_none_or(|(ended, _)| at.saturating_sub(ended) < KEPT));
        told
    }

    /// When time alone changes something.
    pub(super) fn due(&self, limits: &Limits) -> Option<Ms> {
        let flaps = self
            .changes
            .back()
            .filter(|_| self.flapping)
            .map(|last| last.saturating_add(ms(limits.flap_window)));
        let ack = self.ack.as_ref().and_then(|ack| ack.until).filter(|_| self.fires());
        let instances = self.instances.iter().map(|one| match one.ended {
            Some((ended, _)) => ended.saturating_add(KEPT),
            None => one.expires.unwrap_or(Ms::MAX),
        });
        let gone = self
            .ended
            .filter(|_| !self.fires())
            .map(|ended| ended.saturating_add(KEPT.max(ms(limits.cooldown))));
        let all = [flaps, ack, self.hold, self.cleared, gone, instances.min()];
        all.into_iter().flatten().min().filter(|due| *due < Ms::MAX)
    }

    /// Is there nothing to remember of it?
    pub(super) fn is_over(&self, at: Ms, limits: &Limits) -> bool {
        let cold = self.ended.is_none_or(|ended| at.saturating_sub(ended) >= KEPT.max(ms(limits.cooldown)));
        !self.fires() && !self.flapping && !self.instances.iter().any(Instance::is_live) && cold
    }

    /// After a restart: what fires does so until its source has said otherwise.
    /// That may take the `for` of its rule and some time to begin.
    pub(super) fn restored(&mut self, at: Ms) {
        for one in &mut self.instances {
            one.restored = Some(at.saturating_add(one.held_for()).saturating_add(BELIEVED));
        }
    }

    /// Does a source hold it true?
    pub(super) fn is_said_by(&self, source: &str) -> bool {
        self.instances.iter().any(|one| one.source == source && one.is_live())
    }

    /// The names of its sources.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.instances.iter().filter(|one| one.is_live()).map(|one| &*one.source)
    }

    /// As receivers are told of it.
    pub(super) fn notified(&self, status: Status) -> Notified {
        Notified {
            fingerprint: self.id.to_string(),
            transition: self.transition,
            origin: self.origin,
            labels: self.labels(),
            annotations: self.annotations.clone(),
            severity: self.severity,
            status,
            value: self.value,
            starts_at_ms: self.starts_at_ms.unwrap_or(self.active_at_ms),
            ends_at_ms: self.ends_at_ms.or((status == Status::Resolved).then_some(self.updated_at_ms)),
            generator: self.generator.clone(),
            acknowledged: self.ack.as_ref().map(|ack| ack.shown.clone()),
        }
    }

    /// As the API shows it; who it is routed to is added by others.
    pub(super) fn view(&self) -> super::view::AlertView {
        super::view::AlertView {
            id: self.id,
            state: self.state(),
            firing: self.fires(),
            severity: self.severity,
            origin: self.origin,
            labels: self.labels(),
            annotations: self.annotations.clone(),
            value: self.value,
            active_at_ms: self.active_at_ms,
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms,
            updated_at_ms: self.updated_at_ms.max(self.active_at_ms),
            generator: self.generator.clone(),
            acknowledged: self.ack.as_ref().map(|ack| ack.shown.clone()),
            silenced_by: self.silenced_by.clone(),
            inhibited_by: self.inhibited_by.clone(),
            receivers: Vec::new(),
            next: None,
            transition: self.transition,
        }
    }

    /// What its rules say of it to Alertmanagers.
    pub(super) fn standing(&self) -> impl Iterator<Item = StandingAlert> {
        self.instances.iter().filter(|one| one.phase == Phase::Firing).map(|one| StandingAlert {
            labels: Labels::new(
                self.base
                    .iter()
                    .map(|(name, value)| (&**name, &**value))
                    .chain([(Severity::LABEL, &*one.severity)]),
            ),
            annotations: one.annotations.clone(),
            starts_at_ms: one.fired_at_ms.unwrap_or(one.active_at_ms),
            ends_at_ms: one.ended.map(|(_, unix_ms)| unix_ms),
            generator: one.generator.as_str().into(),
        })
    }
}

fn severity_of<'a>(active: &&'a Active) -> &'a str {
    active.labels.get(Severity::LABEL).unwrap_or("")
}

/// Milliseconds.
pub(super) fn ms(duration: std::time::Duration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX / 4)
}
