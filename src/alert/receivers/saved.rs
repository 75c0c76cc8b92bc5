//! What waits for delivery and what failed for good, in `receivers.json` of `storage.path`.
//!
//! The file is written after each change, one write at a time: what changes meanwhile goes into the next. A write that fails is
//! counted and told, and is tried again with the next change or after [`AGAIN`]; delivery goes on in memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::dead::{DeadLetter, DeadLetters};
use super::fate::Fate;
use super::lane::{REMOVED, Shared};
use super::queue::Waiting;
use crate::state::StateFile;

/// The name of the state.
const NAME: &str = "receivers";

/// How long after a failure to write it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    version: u32,
    lanes: Vec<SavedLane>,
    dead: DeadLetters,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLane {
    receiver: String,
    integration: String,
    channel: usize,
    waiting: Vec<Waiting>,
}

/// The version that is written.
const VERSION: u32 = 1;

/// Takes up what the last run has left, and gives the file. One that cannot be understood is put aside.
pub(super) fn restore(shared: &Shared, folder: &Path) -> StateFile {
    let file = StateFile::new(folder, NAME);
    let now = shared.clock.now().unix_ms;
    let Some(saved) = file.load_or_put_aside(now, |saved: &Saved| saved.version == VERSION) else {
        return file;
    };
    shared.restore_dead(saved.dead);
    let mut channels: HashMap<(String, u64), usize> = HashMap::new();
    for lane in &saved.lanes {
        for waiting in &lane.waiting {
            *channels.entry((lane.receiver.clone(), waiting.notification.id)).or_default() += 1;
        }
    }
    let mut fates: HashMap<(String, u64), Arc<Fate>> =
        channels.into_iter().map(|(key, channels)| (key, Arc::new(Fate::of(channels)))).collect();
    let mut restored = 0usize;
    for lane in saved.lanes {
        for waiting in lane.waiting {
            let key = (lane.receiver.clone(), waiting.notification.id);
            let fate = Arc::clone(fates.entry(key).or_default());
            if let Some(found) = shared.lane(&lane.receiver, &lane.integration, lane.channel) {
                restored += 1;
                shared.queue(&found, waiting, fate);
                continue;
            }
            shared.keep(DeadLetter {
                id: 0,
                receiver: lane.receiver.clone(),
                integration: lane.integration.clone(),
                channel: lane.channel,
                at_ms: shared.clock.now().unix_ms,
                attempts: waiting.attempts,
                reason: "removed".into(),
                why: REMOVED.into(),
                notification: waiting.notification,
            });
        }
    }
    if restored > 0 {
        info!(notifications = restored, "what waited for delivery before the restart waits again");
    }
    file
}

/// Writes the file after each change until it is stopped, and then once more.
pub(super) async fn keep(shared: Arc<Shared>, file: StateFile, stop: CancellationToken) {
    let mut failing = false;
    loop {
        let again =
            async { if failing { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = shared.changed.notified() => false,
            () = again => false,
        };
        let lanes = shared.lanes();
        let lanes = lanes.iter().map(|lane| SavedLane {
            receiver: lane.receiver.to_string(),
            integration: lane.integration().to_owned(),
            channel: lane.place(),
            waiting: lane.waiting(),
        });
        let lanes = lanes.filter(|lane| !lane.waiting.is_empty()).collect();
        let saved = Saved { version: VERSION, lanes, dead: shared.dead() };
        let to = file.clone();
        let written = tokio::task::spawn_blocking(move || to.save(&saved)).await;
        let fault = match written {
            Ok(written) => written.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match &fault {
            Some(error) => {
                shared.metrics.unsaved.inc();
                if !failing {
                    warn!(%error, "what waits for delivery cannot be written down; a restart would lose it");
                }
            }
            None if failing => info!("what waits for delivery is written down again"),
            None => {}
        }
        failing = fault.is_some();
        if stopped {
            return;
        }
    }
}
