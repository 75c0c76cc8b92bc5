//! Where live queries are evaluated: away from the hub, after the history has the tick.
//!
//! The hub hands over at each tick the queries that are due, and gets their values when they are ready ([`Answer`]). Two
//! *lanes* evaluate, each one query after the other on a thread for blocking work. All queries begin in the quick
//! one, which keeps what they look at from tick to tick ([`Windows`]) and gives each [`QUICK`]; one that needs more goes to
//! the slow lane, which asks the history and gives it the time until it is due again. So a query that takes a second
//! holds up neither the plain channels, which do not wait for queries at all, nor those that take a millisecond. A lane
//! that is busy when a tick comes does not take it: the queries are skipped, counted, and due again at the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::metrics::Metrics;
use crate::history::History;
use crate::query::Labels;
use crate::query::eval::{Error, Interrupt, Options};
use crate::query::live::{LiveQuery, Windows};
use crate::query::source::Source;
use crate::series::Tick;

/// Time of a query in the quick lane.
const QUICK: Duration = Duration::from_millis(100);

/// Least time of a query in the slow one, where the interval is shorter.
const SLOW: Duration = Duration::from_secs(1);

/// How often it is looked whether a query has taken too long.
const WATCH: Duration = Duration::from_millis(10);

/// How long is waited for the history to have a tick, before it is asked as it is.
const RECORDING: Duration = Duration::from_secs(1);

/// Answers are handed over as soon as the first has waited for so long: together they are one round of frames.
const TOGETHER: Duration = Duration::from_millis(10);

/// Answers that may wait for the hub.
const WAITING: usize = 64;

/// What queries and the past are answered from.
#[derive(Clone, Debug)]
pub struct Past {
    /// The samples.
    pub history: History,
    /// Offset of the last tick that the history has; see [`Recorder::recorded`](crate::history::Recorder::recorded).
    pub recorded: watch::Receiver<u64>,
    /// How queries are evaluated, and what they may cost.
    pub options: Options,
    /// Longest time of a query.
    pub timeout: Duration,
}

impl Past {
    /// Waits until the history has a tick; not for ever, since what is live must not depend on it.
    pub(super) async fn has(&self, offset: u64) {
        let mut recorded = self.recorded.clone();
        let _ = tokio::time::timeout(RECORDING, recorded.wait_for(|has| *has >= offset)).await;
    }
}

/// A query that is due.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Its channel.
    pub(super) channel: u32,
    pub(super) query: Arc<LiveQuery>,
    /// From one evaluation to the next.
    pub(super) interval: Duration,
}

/// Queries that are due at a tick.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) tick: Arc<Tick>,
    pub(super) jobs: Vec<Job>,
}

/// What became of a query.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Its series, or why there are none.
    Values(Result<Vec<(Labels, f64)>, Arc<str>>),
    /// It is none for the quick lane.
    TooSlow,
}

/// A query's answer at a tick.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) channel: u32,
    pub(super) tick: Arc<Tick>,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The two lanes, as the hub sees them.
#[derive(Debug)]
pub(super) struct Lanes {
    quick: mpsc::Sender<Due>,
    slow: mpsc::Sender<Due>,
    answers: mpsc::Receiver<Vec<Answer>>,
}

impl Lanes {
    /// Starts both on the current runtime. They end when this is dropped.
    pub(super) fn start(past: &Past, metrics: &Arc<Metrics>) -> Self {
        let (tell, answers) = mpsc::channel(WAITING);
        let lane = |is_quick: bool| {
            let (give, due) = mpsc::channel(1);
            let source: Arc<dyn Source + Send> = Arc::new(past.history.clone());
            let windows = is_quick.then(|| Arc::new(Windows::new(Arc::clone(&source))));
            let (past, metrics, tell) = (past.clone(), Arc::clone(metrics), tell.clone());
            tokio::spawn(Lane { past, source, windows, metrics, tell }.run(due));
            give
        };
        let (quick, slow) = (lane(true), lane(false));
        Lanes { quick, slow, answers }
    }

    /// Hands over what is due; false if the lane is busy with what was due before.
    pub(super) fn evaluate(&self, is_slow: bool, due: Due) -> bool {
        if is_slow { &self.slow } else { &self.quick }.try_send(due).is_ok()
    }

    /// The next answers. Cancel safe.
    pub(super) async fn answers(&mut self) -> Vec<Answer> {
        match self.answers.recv().await {
            Some(answers) => answers,
            // The lanes hold the senders as long as this lives.
            None => std::future::pending().await,
        }
    }
}

/// One of the two.
struct Lane {
    past: Past,
    source: Arc<dyn Source + Send>,
    /// Of the quick one.
    windows: Option<Arc<Windows>>,
    metrics: Arc<Metrics>,
    tell: mpsc::Sender<Vec<Answer>>,
}

/// The query that is evaluated now: until when it may, and what ends it.
type Running = Arc<Mutex<Option<(Instant, Interrupt)>>>;

impl Lane {
    async fn run(self, mut due: mpsc::Receiver<Due>) {
        let lane = Arc::new(self);
        while let Some(due) = due.recv().await {
            lane.past.has(due.tick.offset).await;
            let running = Running::default();
            let (own, shown) = (Arc::clone(&lane), Arc::clone(&running));
            let mut work = tokio::task::spawn_blocking(move || own.work(&due, &shown));
            loop {
                tokio::select! {
                    done = &mut work => {
                        if done.is_err() {
                            lane.metrics.panics.inc();
                            tracing::error!("a fault in the evaluation of live queries");
                        }
                        break;
                    }
                    () = tokio::time::sleep(WATCH) => {
                        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some((_, interrupt)) = running.as_ref().filter(|(end, _)| *end <= Instant::now()) {
                            interrupt.time_out();
                        }
                    }
                }
            }
        }
    }

    /// Evaluates all that is due, on a thread that may be busy.
    fn work(&self, Due { tick, jobs }: &Due, running: &Running) {
        let at = tick.at.unix_ms;
        if let Some(windows) = &self.windows {
            windows.advance(at);
        }
        let source: &dyn Source = match &self.windows {
            Some(windows) => &**windows,
            None => &*self.source,
        };
        let mut ready = Vec::new();
        let mut since = Instant::now();
        for job in jobs {
            let begun = Instant::now();
            let allowed = if self.windows.is_some() { QUICK } else { job.interval.max(SLOW) };
            let interrupt = Interrupt::default();
            let end = begun + allowed.min(self.past.timeout);
            *running.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, interrupt.clone()));
            let values = job.query.at(source, &self.past.options, at, &interrupt);
            let took = begun.elapsed();
            self.metrics.evaluation.observe_duration(took);
            let outcome = match values {
                Ok(values) => Outcome::Values(Ok(values)),
                Err(Error::Timeout) if self.windows.is_some() => Outcome::TooSlow,
                Err(error) => Outcome::Values(Err(error.to_string().into())),
            };
            if matches!(outcome, Outcome::Values(Err(_))) {
                self.metrics.evaluations_failed.inc();
            }
            if ready.is_empty() {
                since = begun;
            }
            ready.push(Answer { channel: job.channel, tick: Arc::clone(tick), outcome, took });
            if since.elapsed() >= TOGETHER && self.tell.blocking_send(std::mem::take(&mut ready)).is_err() {
                return; // the hub has ended
            }
        }
        *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if !ready.is_empty() {
            let _ = self.tell.blocking_send(ready);
        }
    }
}
