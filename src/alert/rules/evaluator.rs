//! The task that evaluates the groups, each at its interval, over the history.
//!
//! A group is evaluated at the first tick at or after its time, when the history has that tick: nothing changes between ticks. The
//! times of groups are spread over the interval by their names, so that not all are due at once. Each evaluation is on a thread
//! for blocking work, some at a time, over a copy of the group that takes its place when it is done; so a group that is slow
//! delays no other, one that panics is as before, and who reads [`Board`] never waits. A group that is due before it has come to its end
//! misses that iteration, which is counted.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use super::alerting::Saved;
use super::feed::Outbox;
use super::group::{Evaluated, Group};
use super::metrics::Metrics;
use super::{Config, Evaluation};
use crate::alert::{Origin, Phase, Report};
use crate::clock::{Clock, Moment};
use crate::collect::Ticks;
use crate::history::History;
use crate::query::eval::{Interrupt, Options};
use crate::registry::{RegisterError, Registry};
use crate::series::Tick;
use crate::state::StateFile;

/// Groups evaluated at once. More would not be faster on few cores, and there are queries beside.
const AT_ONCE: usize = 4;

/// How often the state is saved while there are alerts: what `kill -9` may cost of the time for which one is pending.
const SAVE: Duration = Duration::from_secs(10);

/// A state that is older is not taken up, as in Prometheus (`rules.alert.for-outage-tolerance`): who knows what has been since.
const OUTAGE: Duration = Duration::from_secs(3600);

/// What the rules work with.
#[derive(Debug)]
pub struct Setup {
    /// `global.external_labels`.
    pub external_labels: BTreeMap<String, String>,
    /// Where browsers reach this server, for templates.
    pub external_url: String,
    /// How expressions are evaluated.
    pub options: Options,
    /// How long the evaluation of a group may take.
    pub timeout: Duration,
    /// Where the state of alerts is kept.
    pub state: Option<StateFile>,
    /// What is asked.
    pub history: History,
    /// When.
    pub ticks: Ticks,
    /// Offset of the last tick that the history has.
    pub recorded: watch::Receiver<u64>,
    /// Where series go.
    pub outbox: Outbox,
    /// Where reports go.
    pub reports: mpsc::Sender<Report>,
}

/// The groups as they are now, for who shows them. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<RwLock<Vec<Arc<Group>>>>);

impl Board {
    /// All groups, by file and place in it.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, groups: Vec<Arc<Group>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = groups;
    }
}

/// The running evaluation. Dropping it ends the task without saving the state; see [`Rules::stop`].
#[derive(Debug)]
pub struct Rules {
    board: Board,
    commands: mpsc::Sender<Command>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Command {
    config: Config,
    done: oneshot::Sender<()>,
}

impl Rules {
    /// Begins to evaluate. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When one of its own metrics is registered already.
    pub fn start(
        config: &Config,
        setup: Setup,
        registry: &Registry,
        clock: Clock,
    ) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(registry)?;
        let board = Board::default();
        let (commands, received) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let mut evaluator = Evaluator {
            common: Arc::new(Common { permits: Semaphore::new(AT_ONCE), setup }),
            metrics,
            board: board.clone(),
            clock,
            slots: Vec::new(),
            running: JoinSet::new(),
            next_id: 0,
            leaving: Vec::new(),
            saving: None,
            phases: Vec::new(),
            saved: Duration::ZERO,
        };
        for group in groups(config) {
            evaluator.add(Arc::new(group));
        }
        evaluator.publish();
        let task = tokio::spawn(evaluator.run(received, stopped));
        Ok(Rules { board, commands, stop, task })
    }

    /// The groups as they are.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Evaluates by other files from now on. Rules that are in both keep their state. Waits for evaluations that run.
    pub async fn reload(&self, config: &Config) {
        let (done, told) = oneshot::channel();
        if self.commands.send(Command { config: config.clone(), done }).await.is_ok() {
            let _ = told.await;
        }
    }

    /// Ends the evaluations that run, saves the state, and ends the task.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            error!(%error, "the evaluation of rules did not end well");
        }
    }
}

/// The groups of all files, without state.
fn groups(config: &Config) -> Vec<Group> {
    let mut files = config.files.clone();
    if config.built_in {
        let same = |ours: &super::RuleFile| config.files.iter().any(|file| file.text == ours.text);
        files.extend(super::built_in().into_iter().filter(|ours| !same(ours)));
    }
    let specs = files.iter().flat_map(|file| &file.groups);
    specs.map(|spec| Group::new(Arc::clone(spec), config.interval)).collect()
}

struct Common {
    permits: Semaphore,
    setup: Setup,
}

/// A group, and when it is due.
struct Slot {
    id: u64,
    group: Arc<Group>,
    /// Monotonic.
    next: Duration,
    /// Ends the evaluation that runs.
    running: Option<Interrupt>,
}

struct Done {
    id: u64,
    /// Nothing if it has panicked.
    outcome: Option<(Group, Evaluated)>,
}

struct Evaluator {
    common: Arc<Common>,
    metrics: Metrics,
    board: Board,
    clock: Clock,
    slots: Vec<Slot>,
    running: JoinSet<Done>,
    next_id: u64,
    /// Rules that are no more and of which the manager has not been told.
    leaving: Vec<Arc<str>>,
    saving: Option<JoinHandle<bool>>,
    /// Of the alerts that were saved.
    phases: Vec<(String, Vec<Phase>)>,
    /// When, monotonic.
    saved: Duration,
}

/// The file of the state.
#[derive(Serialize, Deserialize)]
struct State {
    at_ms: i64,
    rules: BTreeMap<String, Vec<Saved>>,
}

impl Evaluator {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stopped: oneshot::Receiver<()>) {
        self.restore().await;
        let mut recorded = self.common.setup.recorded.clone();
        recorded.mark_changed();
        let mut waited = None;
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(command) = commands.recv() => {
                    self.reload(&command.config).await;
                    let _ = command.done.send(());
                }
                Some(done) = self.running.join_next() => match done {
                    Ok(done) => self.done(done),
                    Err(error) => error!(%error, "an evaluation of rules did not end well"),
                },
                changed = recorded.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let offset = *recorded.borrow_and_update();
                    let latest = self.common.setup.ticks.latest();
                    if let Some(tick) = known(&mut waited, latest, offset) {
                        self.tick(&tick);
                    }
                }
            }
        }
        for slot in &self.slots {
            if let Some(interrupt) = &slot.running {
                interrupt.cancel();
            }
        }
        while self.running.join_next().await.is_some() {}
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        self.save(self.clock.now());
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }

    fn add(&mut self, group: Arc<Group>) {
        self.metrics.begin(&group);
        let now = self.clock.now().since_start;
        self.slots.push(Slot { id: self.next_id, next: first(&group, now), group, running: None });
        self.next_id += 1;
    }

    fn publish(&self) {
        self.board.set(self.slots.iter().map(|slot| Arc::clone(&slot.group)).collect());
    }

    /// Begins what is due at a tick.
    fn tick(&mut self, tick: &Tick) {
        let now = tick.at;
        for slot in self.slots.iter_mut().filter(|slot| slot.next <= now.since_start) {
            let interval = slot.group.interval();
            let late = now.since_start.saturating_sub(slot.next);
            let whole = u32::try_from(late.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            slot.next += interval.saturating_mul(whole.saturating_add(1));
            if slot.running.is_some() {
                self.metrics.missed(&slot.group, 1);
                continue;
            }
            let interrupt = Interrupt::default();
            slot.running = Some(interrupt.clone());
            let work = evaluate(slot.id, Arc::clone(&self.common), Arc::clone(&slot.group), interrupt, now);
            self.running.spawn(work);
        }
        let reports = &self.common.setup.reports;
        self.leaving.retain(|source| reports.try_send(over(source, now)).is_err());
        self.save_if_due(now);
    }

    fn done(&mut self, done: Done) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == done.id) else { return };
        slot.running = None;
        let Some((group, evaluated)) = done.outcome else {
            self.metrics.panics.inc();
            return;
        };
        slot.group = Arc::new(group);
        self.metrics.evaluated(&slot.group, &evaluated);
        for results in evaluated.results {
            self.common.setup.outbox.results(results);
        }
        for report in evaluated.reports {
            if self.common.setup.reports.try_send(report).is_err() {
                self.metrics.reports_dropped.inc();
            }
        }
        self.publish();
    }

    async fn reload(&mut self, config: &Config) {
        while let Some(done) = self.running.join_next().await {
            if let Ok(done) = done {
                self.done(done);
            }
        }
        let mut before = std::mem::take(&mut self.slots);
        for mut group in groups(config) {
            let spec = group.spec();
            let same = |slot: &Slot| {
                let known = slot.group.spec();
                known.file == spec.file && known.name == spec.name
            };
            let Some(known) = before.iter().position(same).map(|at| before.swap_remove(at)) else {
                self.add(Arc::new(group));
                continue;
            };
            let gone = group.take_over(Group::clone(&known.group));
            gone.into_iter().for_each(|source| self.gone(source));
            if group.interval() == known.group.interval() {
                self.metrics.begin(&group);
                self.slots.push(Slot { group: Arc::new(group), ..known });
            } else {
                self.add(Arc::new(group));
            }
        }
        for slot in before {
            self.metrics.end(&slot.group);
            let sources = slot.group.rules().iter().map(|rule| Arc::clone(rule.source()));
            sources.for_each(|source| self.gone(source));
        }
        // One that is back says itself what is true.
        let rules = || self.slots.iter().flat_map(|slot| slot.group.rules());
        let back: HashSet<Arc<str>> = rules().map(|rule| Arc::clone(rule.source())).collect();
        self.leaving.retain(|source| !back.contains(source));
        self.publish();
    }

    fn gone(&mut self, source: Arc<str>) {
        self.common.setup.outbox.gone(Arc::clone(&source));
        self.leaving.push(source);
    }

    /// Takes up the state of the life before.
    async fn restore(&mut self) {
        let Some(file) = self.common.setup.state.clone() else { return };
        let now = self.clock.now();
        let load = move || {
            let was_saved = file.path().exists();
            (was_saved, file.load_or_put_aside::<State>(now.unix_ms, |_| true))
        };
        let state = match tokio::task::spawn_blocking(load).await {
            Ok((_, Some(state))) => state,
            Ok((false, None)) | Err(_) => return,
            Ok((true, None)) => {
                self.metrics.state_failures.inc();
                return;
            }
        };
        let away = u64::try_from(now.unix_ms.saturating_sub(state.at_ms)).unwrap_or(0);
        let away = Duration::from_millis(away);
        if away > OUTAGE {
            return info!(?away, "the state of alerts is too old to be taken up");
        }
        let mut rules = state.rules;
        for slot in &mut self.slots {
            Arc::make_mut(&mut slot.group).restore(&mut rules, away, now);
        }
        // Rules that are no more, but whose alerts the manager may know.
        self.leaving.extend(rules.into_keys().map(Arc::from));
        self.publish();
    }

    fn save_if_due(&mut self, now: Moment) {
        if self.common.setup.state.is_none()
            || self.saving.as_ref().is_some_and(|saving| !saving.is_finished())
        {
            return;
        }
        let phases = self.phases();
        if phases != self.phases || (!phases.is_empty() && now.since_start >= self.saved + SAVE) {
            self.save(now);
        }
    }

    fn phases(&self) -> Vec<(String, Vec<Phase>)> {
        let rules = self.slots.iter().flat_map(|slot| slot.group.rules());
        let active = rules.filter(|rule| rule.phase().is_some());
        active
            .map(|rule| (rule.source().to_string(), rule.alerts().map(|alert| alert.phase).collect()))
            .collect()
    }

    fn save(&mut self, now: Moment) {
        let Some(file) = self.common.setup.state.clone() else { return };
        self.phases = self.phases();
        self.saved = now.since_start;
        let rules = self.slots.iter().flat_map(|slot| slot.group.save(now)).collect();
        let state = State { at_ms: now.unix_ms, rules };
        let failures = self.metrics.state_failures.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let saved = file.save(&state);
            if let Err(error) = &saved {
                failures.inc();
                warn!(%error, "the state of alerts cannot be saved");
            }
            saved.is_ok()
        }));
    }
}

/// The tick to evaluate at, once the history has got as far as `recorded`: the latest, or else the one that was the latest when it was
/// last asked for. So a history that is always a tick behind makes evaluations late by that and does not keep them from happening.
fn known(waited: &mut Option<Arc<Tick>>, latest: Arc<Tick>, recorded: u64) -> Option<Arc<Tick>> {
    if latest.offset <= recorded {
        *waited = None;
        return Some(latest);
    }
    let known = waited.take_if(|waited| waited.offset <= recorded);
    waited.get_or_insert(latest);
    known
}

/// That nothing of a rule is true any more.
fn over(source: &Arc<str>, at: Moment) -> Report {
    let (active, no_data) = (Vec::new(), Vec::new());
    Report { source: Arc::clone(source), origin: Origin::Rule, at, active, no_data }
}

/// The first time at or after `now` that is the group's, by its name.
fn first(group: &Group, now: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (&group.spec().file, &group.spec().name).hash(&mut hasher);
    let interval = u64::try_from(group.interval().as_nanos()).unwrap_or(u64::MAX).max(1);
    let (now, place) = (u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), hasher.finish() % interval);
    let wait = (place + interval - now % interval) % interval;
    Duration::from_nanos(now.saturating_add(wait))
}

async fn evaluate(
    id: u64,
    common: Arc<Common>,
    group: Arc<Group>,
    interrupt: Interrupt,
    now: Moment,
) -> Done {
    // The semaphore is never closed.
    let _permit = common.permits.acquire().await;
    let (own, ends) = (Arc::clone(&common), interrupt.clone());
    let mut work = tokio::task::spawn_blocking(move || {
        let setup = &own.setup;
        let mut group = Group::clone(&group);
        let with = Evaluation {
            source: &setup.history,
            options: &setup.options,
            interrupt: &ends,
            external_labels: &setup.external_labels,
            external_url: &setup.external_url,
        };
        let evaluated = group.evaluate(&with, now);
        (group, evaluated)
    });
    let outcome = tokio::select! {
        done = &mut work => done,
        () = tokio::time::sleep(common.setup.timeout) => {
            interrupt.time_out();
            work.await
        }
    };
    Done { id, outcome: outcome.ok() }
}

#[cfg(test)]
#[path = "evaluator_tests.rs"]
mod tests;
