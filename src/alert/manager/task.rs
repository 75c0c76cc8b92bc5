//! The task that owns the core: takes what comes, carries out what the core decides, saves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::config::Config;
use super::core::Manager;
use super::event::AlertEvent;
use super::handle::{Alerts, Request};
use super::history::{Change, History};
use super::metrics::Metrics;
use super::saved::Saved;
use crate::alert::receivers::DeliveryResult;
use crate::alert::{Notification, Report, Standing};
use crate::clock::Clock;
use crate::registry::{RegisterError, Registry};
use crate::state::StateFile;
use crate::stream::Events;

/// Requests that wait.
const REQUESTS: usize = 64;

/// How long after a change the state is saved.
const STATE_AFTER: Duration = Duration::from_secs(1);

/// How long after a notification the state is saved: who is killed before tells it again, or does not know afterwards that its
/// end is to be told. Not at once, since the receivers write down first that they have it: what only we had written down would be
/// told by nobody.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// How long after a change the history is saved. It is some megabytes.
const HISTORY_AFTER: Duration = Duration::from_secs(30);

/// Longest time that nothing is looked at.
const LONGEST: Duration = Duration::from_secs(3600);

/// Where notifications go: whoever takes them never waits.
pub type Tell = Box<dyn Fn(Notification) + Send>;

/// What the manager is connected with.
pub struct Ways {
    /// Reports of all sources.
    pub reports: mpsc::Receiver<Report>,
    /// What is to be told.
    pub tell: Tell,
    /// What became of it.
    pub results: mpsc::Receiver<DeliveryResult>,
    /// What fires, for Alertmanagers.
    pub standing: watch::Sender<Arc<Standing>>,
    /// The events lane of the stream.
    pub events: Events,
    /// Where the state is kept (`storage.path`); without it a restart forgets everything.
    pub storage: Option<PathBuf>,
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ways").field("storage", &self.storage).finish_non_exhaustive()
    }
}

/// The running manager. Its owner stops it.
#[derive(Debug)]
pub struct Managing {
    alerts: Alerts,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Managing {
    /// Starts it where it was when it was stopped. A state that cannot be read is put aside and warned of.
    ///
    /// # Errors
    /// When the registry holds something else under one of its names.
    pub async fn start(
        config: &Config,
        ways: Ways,
        registry: &Registry,
        clock: Clock,
    ) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(registry)?;
        let files = ways.storage.as_ref().map(|folder| Files {
            state: StateFile::new(folder, "alerts"),
            history: StateFile::new(folder, "alert_history"),
        });
        let (saved, history) = match files.clone() {
            None => (None, History::default()),
            Some(files) => {
                let now = clock.now().unix_ms;
                let load = move || {
                    let saved = files.state.load_or_put_aside(now, Saved::is_known);
                    (saved, files.history.load_or_put_aside(now, |_| true).unwrap_or_default())
                };
                match tokio::task::spawn_blocking(load).await {
                    Ok(loaded) => loaded,
                    Err(ended) => std::panic::resume_unwind(ended.into_panic()),
                }
            }
        };
        let now = clock.now();
        let manager = match saved {
            Some(saved) => Manager::restore(config.clone(), saved, history, now),
            None => Manager::new(config.clone(), now),
        };
        let (requests, asked) = mpsc::channel(REQUESTS);
        let standing = ways.standing.subscribe();
        let stop = CancellationToken::new();
        let task = Task {
            manager,
            ways,
            asked,
            metrics,
            files,
            clock,
            save_state: None,
            save_history: None,
            saving: None,
        };
        let task = tokio::spawn(task.run(stop.clone()));
        Ok(Managing { alerts: Alerts { requests, standing }, stop, task })
    }

    /// The handle to ask it and to tell it.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        self.alerts.clone()
    }

    /// Decides by another configuration from now on.
    pub async fn reload(&self, config: &Config) {
        let config = config.clone();
        let request: Request = Box::new(move |manager, now| manager.configure(config, now));
        // It can only have stopped.
        let _ = self.alerts.requests.send(request).await;
    }

    /// Stops it, and waits until its state is saved. What was reported until then is taken.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the alert manager did not end well");
        }
    }
}

#[derive(Clone, Debug)]
struct Files {
    state: StateFile,
    history: StateFile,
}

/// What has come.
enum News {
    Request(Request),
    Report(Report),
    Delivery(DeliveryResult),
    Time,
    Save,
    Saved(bool),
}

struct Task {
    manager: Manager,
    ways: Ways,
    asked: mpsc::Receiver<Request>,
    metrics: Metrics,
    files: Option<Files>,
    clock: Clock,
    save_state: Option<Instant>,
    save_history: Option<Instant>,
    saving: Option<JoinHandle<bool>>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        self.carry_out();
        loop {
            let wake = self.manager.next_wake(self.clock.now()).unwrap_or(LONGEST).min(LONGEST);
            let wake = Instant::now() + wake;
            let save =
                self.save_state.into_iter().chain(self.save_history).min().filter(|_| self.saving.is_none());
            let news = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(request) = self.asked.recv() => News::Request(request),
                Some(report) = self.ways.reports.recv() => News::Report(report),
                Some(result) = self.ways.results.recv() => News::Delivery(result),
                () = sleep_until(wake) => News::Time,
                () = sleep_until(save.unwrap_or(wake)), if save.is_some() => News::Save,
                done = async { self.saving.as_mut().expect("the branch is off without it").await },
                    if self.saving.is_some() => News::Saved(done.unwrap_or_default()),
            };
            let now = self.clock.now();
            match news {
                News::Request(request) => request(&mut self.manager, now),
                News::Report(report) => self.manager.report(report),
                News::Delivery(result) => self.settled(result),
                News::Time => self.manager.tick(now),
                News::Save => self.save(false),
                News::Saved(done) => self.saved(done),
            }
            self.carry_out();
        }
        while let Ok(report) = self.ways.reports.try_recv() {
            self.manager.report(report);
        }
        while let Ok(result) = self.ways.results.try_recv() {
            self.settled(result);
        }
        self.carry_out();
        if let Some(saving) = self.saving.take() {
            let done = saving.await.unwrap_or_default();
            self.saved(done);
        }
        self.save(true);
        if let Some(saving) = self.saving.take() {
            let done = saving.await.unwrap_or_default();
            self.saved(done);
        }
    }

    /// What has become of a notification goes into the history; an attempt that will be made again has become nothing yet.
    fn settled(&mut self, result: DeliveryResult) {
        if let Some(delivery) = result.settled() {
            self.manager.delivered(&delivery);
        }
    }

    /// Does what the core has decided.
    fn carry_out(&mut self) {
        let effects = self.manager.take_effects();
        if effects.standing || !effects.events.is_empty() || effects.changed {
            self.metrics.see(&self.manager, &effects);
        }
        for event in &effects.events {
            tell(event);
            self.ways.events.publish_at(event.at_ms, event);
        }
        if effects.standing {
            self.ways.standing.send_replace(Arc::new(self.manager.standing()));
        }
        if effects.dropped > 0 {
            warn!(alerts = effects.dropped, "there is no room for more alerts");
        }
        let state_after = if effects.notifications.is_empty() { STATE_AFTER } else { TOLD_AFTER };
        for notification in effects.notifications {
            (self.ways.tell)(notification);
        }
        if effects.changed && self.files.is_some() {
            let due = Instant::now() + state_after;
            self.save_state = Some(self.save_state.map_or(due, |at| at.min(due)));
            self.save_history.get_or_insert_with(|| Instant::now() + HISTORY_AFTER);
        }
    }

    /// Begins to save what is due, or all.
    fn save(&mut self, all: bool) {
        let Some(files) = self.files.clone() else { return };
        let now = Instant::now();
        let due = |at: Option<Instant>| all || at.is_some_and(|at| at <= now);
        let state = due(self.save_state).then(|| self.manager.saved());
        let history = due(self.save_history).then(|| self.manager.saved_history().clone());
        if state.is_some() {
            self.save_state = None;
        }
        if history.is_some() {
            self.save_history = None;
        }
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let state = state.map_or(Ok(()), |state| files.state.save(&state));
            let history = history.map_or(Ok(()), |history| files.history.save(&history));
            for error in [&state, &history].into_iter().filter_map(|saved| saved.as_ref().err()) {
                error!(%error, "the state of the alerts cannot be saved");
            }
            state.is_ok() && history.is_ok()
        }));
    }

    /// The save has ended. One that failed is tried again, since the disk may have room later.
    fn saved(&mut self, done: bool) {
        self.saving = None;
        if !done {
            self.metrics.unsaved.inc();
            self.save_state.get_or_insert_with(|| Instant::now() + HISTORY_AFTER);
            self.save_history.get_or_insert_with(|| Instant::now() + HISTORY_AFTER);
        }
    }
}

/// A line of the log for each change.
fn tell(event: &AlertEvent) {
    let alert = event.labels.get("alertname").map_or("", String::as_str);
    let labels = crate::query::Labels::new(&event.labels);
    let (id, severity, change) = (event.alert, event.severity, event.change.as_str());
    match event.change {
        Change::Firing | Change::Level | Change::Escalated | Change::Flapping => {
            warn!(alert, %severity, change, %labels, %id, reason = event.reason, "alert");
        }
        _ => info!(alert, %severity, change, %labels, %id, reason = event.reason, "alert"),
    }
}
