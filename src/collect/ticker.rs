//! The tick.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::series::Tick;

/// Asks the ticker for a tick that is younger than this.
#[derive(Debug)]
pub(crate) struct Fresh {
    max_age: Duration,
    answer: oneshot::Sender<Arc<Tick>>,
}

/// What everyone downstream holds: the last tick, and the way to ask for a fresh one.
#[derive(Clone, Debug)]
pub struct Ticks {
    latest: watch::Receiver<Arc<Tick>>,
    ask: mpsc::Sender<Fresh>,
}

impl Ticks {
    /// The last tick.
    #[must_use]
    pub fn latest(&self) -> Arc<Tick> {
        Arc::clone(&self.latest.borrow())
    }

    /// A tick at most `max_age` old, committed now if need be. When the ticker has ended, the last one.
    pub async fn fresh(&self, max_age: Duration) -> Arc<Tick> {
        let (answer, told) = oneshot::channel();
        if self.ask.send(Fresh { max_age, answer }).await.is_err() {
            return self.latest();
        }
        told.await.unwrap_or_else(|_| self.latest())
    }

    /// A receiver of every tick from now on. A slow reader misses ticks between; it sees the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Tick>> {
        self.latest.clone()
    }

    /// Ticks published by hand, for tests.
    #[must_use]
    pub fn manual(first: Arc<Tick>) -> (Self, watch::Sender<Arc<Tick>>) {
        let (publish, latest) = watch::channel(first);
        let (ask, _) = mpsc::channel(1);
        (Ticks { latest, ask }, publish)
    }
}
