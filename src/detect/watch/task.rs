//! The task that watches: each tick to the [`Watcher`], and what comes of it to those who want to know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::config::Config;
use super::event::View;
use super::feed::{AnomalyFeed, Board};
use super::metrics::Metrics;
use super::past::Past;
use super::watcher::Watcher;
use crate::alert::Report;
use crate::collect::Ticks;
use crate::collect::feed::Feed;
use crate::history::History;
use crate::registry::{RegisterError, Registry};
use crate::series::Tick;
use crate::stream::Events;

/// How often memory is counted and what has gone is freed.
const SWEEP: Duration = Duration::from_secs(10);

/// What has to be there before the first tick: the way of the scores into it.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    metrics: Metrics,
    board: Arc<Board>,
}

/// The running detection. Dropping it leaves the task running until the ticks end; see [`Detection::stop`].
#[derive(Debug)]
pub struct Detection {
    anomalies: Anomalies,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What is anomalous now, and was.
#[derive(Clone, Debug)]
pub struct Anomalies(watch::Receiver<Arc<View>>);

impl Anomalies {
    /// As it is now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.borrow())
    }
}

impl Prepared {
    /// What begins: give the feed to the ticker, then call [`Prepared::start`].
    ///
    /// # Errors
    /// When the registry holds something else under one of the names.
    pub fn new(config: &Config, registry: &Registry) -> Result<(Self, Box<dyn Feed>), RegisterError> {
        let mut config = config.clone();
        if !config.enabled {
            config.watches.clear();
        }
        let metrics = Metrics::register(registry)?;
        let board = Arc::<Board>::default();
        let feed = AnomalyFeed::new(Arc::clone(&board), config.bounds, metrics.refused.clone());
        Ok((Prepared { config, metrics, board }, Box::new(feed)))
    }

    /// Starts to watch. `past` is what new series are learnt from, `reports` leads to the alert manager; both may be missing.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        self,
        ticks: &Ticks,
        past: Option<History>,
        events: Events,
        reports: Option<mpsc::Sender<Report>>,
    ) -> Detection {
        let (stop, stopped) = oneshot::channel();
        let (publish, view) = watch::channel(Arc::default());
        let Prepared { config, metrics, board } = self;
        let watcher = Watcher::new(config);
        let task = Task { watcher, past, metrics, board, events, reports, publish, swept: None, told: false };
        let task = tokio::spawn(task.run(ticks.subscribe(), stopped));
        Detection { anomalies: Anomalies(view), stop, task }
    }
}

impl Detection {
    /// What is anomalous, for the API.
    #[must_use]
    pub fn anomalies(&self) -> Anomalies {
        self.anomalies.clone()
    }

    /// Ends the task and waits for it.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            error!(%error, "the detection of anomalies did not end well");
        }
    }
}

#[derive(Debug)]
struct Task {
    watcher: Watcher,
    past: Option<History>,
    metrics: Metrics,
    board: Arc<Board>,
    events: Events,
    reports: Option<mpsc::Sender<Report>>,
    publish: watch::Sender<Arc<View>>,
    swept: Option<Duration>,
    /// Was it told that there is no room?
    told: bool,
}

impl Task {
    async fn run(mut self, mut ticks: watch::Receiver<Arc<Tick>>, mut stopped: oneshot::Receiver<()>) {
        ticks.mark_changed();
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                changed = ticks.changed() => if changed.is_err() {
                    break;
                },
            }
            // The newest: one that comes while the one before is looked at is skipped, and what it would have brought to
            // an extreme or a rate comes with the next.
            let tick = Arc::clone(&ticks.borrow_and_update());
            let missed = last.map_or(0, |last| tick.offset.saturating_sub(last + 1));
            self.metrics.missed.inc_by(missed);
            last = Some(tick.offset);
            let begin = Instant::now();
            self.tick(&tick);
            self.metrics.seconds.inc_by(begin.elapsed().as_secs_f64());
        }
    }

    fn tick(&mut self, tick: &Tick) {
        let past = self.past.as_ref().map(|history| history as &dyn Past);
        let out = self.watcher.tick(tick, past);
        self.metrics.observations.inc_by(out.observed);
        self.board.put(out.rows, out.gone, out.rates);
        for anomaly in &out.events {
            self.metrics.event(anomaly.state);
            self.events.publish_at(tick.at.unix_ms, &**anomaly);
        }
        let (watched, skipped) = self.watcher.counts();
        let shown = self.publish.borrow().clone();
        if !out.events.is_empty() || (shown.watched, shown.skipped) != (watched, skipped) {
            let mut view = View::clone(&shown);
            (view.watched, view.skipped) = (watched, skipped);
            out.events.iter().for_each(|anomaly| view.note(tick.at.unix_ms, anomaly));
            self.publish.send_replace(Arc::new(view));
        }
        for report in out.reports {
            let Some(reports) = &self.reports else { break };
            let source = Arc::clone(&report.source);
            if let Err(mpsc::error::TrySendError::Full(_)) = reports.try_send(report) {
                self.metrics.unsent.inc();
                self.watcher.unsent(&source);
            }
        }
        self.count(tick, watched, skipped);
    }

    fn count(&mut self, tick: &Tick, watched: usize, skipped: usize) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.series.set(count(watched));
        self.metrics.skipped.set(count(skipped));
        if skipped > 0 && !self.told {
            self.told = true;
            warn!(watched, skipped, "more series than detect.max_series: the others are not watched");
        }
        let now = tick.at.since_start;
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        if self.swept.is_none() {
            info!(watched, "watching for anomalies");
        }
        self.swept = Some(now);
        self.watcher.sweep(tick.at);
        for (detector, bytes) in self.watcher.memory() {
            self.metrics.memory(detector, bytes);
        }
    }
}
