//! The task that records: each tick into the history, and from time to time the history into its file.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::handle::History;
use crate::collect::Ticks;

/// How often what is too old is dropped. A look at each series, so not every tick.
const SWEEP: Duration = Duration::from_secs(10);

/// How often the history is written to its file: what `kill -9` may cost of the ticks. Writes the open chunks of all
/// series each time, about 2.5 bytes a sample at 1 Hz.
const CHECKPOINT: Duration = Duration::from_secs(60);

/// The running task. Dropping it ends the task without a last checkpoint; see [`Recorder::stop`].
#[derive(Debug)]
pub struct Recorder {
    recorded: watch::Receiver<u64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts to record every tick from the last one on. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(history: History, ticks: &Ticks) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (publish, recorded) = watch::channel(0);
        let task = tokio::spawn(run(history, ticks.subscribe(), publish, stopped));
        Recorder { recorded, stop, task }
    }

    /// Offset of the last tick that is in the history: who joins past and present waits for it to reach the tick before
    /// its snapshot.
    #[must_use]
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.recorded.clone()
    }

    /// Ends the task after a last checkpoint, and waits for it.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            error!(%error, "the recorder did not end well");
        }
    }
}

async fn run(
    history: History,
    mut ticks: watch::Receiver<std::sync::Arc<crate::series::Tick>>,
    publish: watch::Sender<u64>,
    mut stopped: oneshot::Receiver<()>,
) {
    ticks.mark_changed();
    let (mut swept, mut written) = (Duration::ZERO, Duration::ZERO);
    let mut writing: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            changed = ticks.changed() => if changed.is_err() {
                break;
            },
        }
        let tick = std::sync::Arc::clone(&ticks.borrow_and_update());
        history.append_tick(&tick);
        publish.send_replace(tick.offset);
        let now = tick.at.since_start;
        if now >= swept + SWEEP {
            swept = now;
            history.sweep(tick.at.unix_ms);
        }
        if now >= written + CHECKPOINT && writing.as_ref().is_none_or(JoinHandle::is_finished) {
            written = now;
            writing = Some(checkpoint(&history));
        }
    }
    for last in [writing, Some(checkpoint(&history))].into_iter().flatten() {
        if let Err(error) = last.await {
            error!(%error, "writing the history did not end well");
        }
    }
}

/// A checkpoint, away from the threads that must not wait.
fn checkpoint(history: &History) -> JoinHandle<()> {
    let history = history.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = history.checkpoint() {
            warn!(%error, "the history could not be written");
        }
    })
}
