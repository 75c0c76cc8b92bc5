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
        let due = now >= written + CHECKPOINT || history.wants_checkpoint();
        if due && writing.as_ref().is_none_or(JoinHandle::is_finished) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Moment;
    use crate::history::Config;
    use crate::registry::Registry;
    use crate::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Selector, Table};

    #[tokio::test]
    async fn every_tick_is_recorded_and_the_last_ones_are_in_the_file_after_a_stop() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { storage: Some(folder.path().to_owned()), ..Config::default() };
        let mut table = Table::new(Epoch(1), 10);
        let source = table.add_source("test", Scope::Own);
        let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "".into(), unit: "".into() };
        let none: [(&str, &str); 0] = [];
        let slot = table.series(source, &Arc::new(meta), Role::Value, "m", &none).expect("taken");
        let mut tick = |second: i64| {
            table.set(slot, second as f64, NO_TIME);
            let since_start = Duration::from_secs(second.unsigned_abs());
            table.commit(Moment { since_start, unix_ms: 1_700_000_000_000 + second * 1000 }, 0)
        };

        let history = History::open(&config, &Registry::new(), 1_700_000_000_000).expect("opens");
        let (ticks, publish) = Ticks::manual(tick(0));
        let recorder = Recorder::start(history.clone(), &ticks);
        let mut recorded = recorder.recorded();
        for second in 1..=3i64 {
            recorded.wait_for(|offset| *offset == second.unsigned_abs()).await.expect("runs");
            publish.send_replace(tick(second));
        }
        recorded.wait_for(|offset| *offset == 4).await.expect("runs");
        recorder.stop().await;
        drop(history);

        let history = History::open(&config, &Registry::new(), 1_700_000_000_000).expect("opens again");
        let found = history.select(Selector::parse("m").expect("m").matchers(), i64::MIN, i64::MAX, 9);
        let values: Vec<f64> = found[0].samples().map(|(_, value)| value).collect();
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0]);
    }
}
