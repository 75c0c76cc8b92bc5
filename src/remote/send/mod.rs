//! Remote write out: what is live here goes on to stores that keep it for years.
//!
//! [`Sending`] owns a task for each receiver of [`Config`]. The history is the queue: a sender has a cursor for each
//! series ([`cursor`]), so an outage of the receiver costs no memory and, as long as the history reaches back, no sample. Two
//! queues would hold the same samples twice, and the second one would be the one that is full after a minute.
//!
//! ```text
//! history ──► cursor ──► batch ──► message ──► receiver
//!                ▲                                │
//!                └────────── taken, refused ──────┘
//! ```
//!
//! What that decides:
//!
//! - **Order.** Samples of a series go out in order of time, each at its own time, stale markers among them, own and foreign
//!   series alike. One request is under way at a time, and it is sent again byte for byte until it is answered: a
//!   receiver that took it and died before it said so sees only what it has.
//! - **Late samples**, which come into the history behind a sample of their series that was sent, are not sent but counted
//!   (`out_of_order`). A Prometheus without `out_of_order_time_window` refuses them, and with them the whole request.
//! - **Beginning.** A sender begins with what comes after its start, as Prometheus does after a restart. What was in the history before
//!   has been sent by the run before, which flushed at its end; what a killed one had not sent is not.
//! - **Outage.** Network errors, timeouts, 5xx and 429 are tried again with full jitter ([`Backoff`](crate::client::Backoff)), not before
//!   `Retry-After`. Other answers are final: the samples count as failed. What the history forgets meanwhile is counted
//!   (`expired`). Afterwards all series catch up together, a minute at a time.
//! - **End.** [`Sending::stop`] sends what is left, for at most [`FLUSH`]; the first failure then ends it, and what is left is
//!   counted (`stopped`).

mod config;
mod cursor;
mod message;
mod metrics;
mod sender;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub(crate) use config::read;
pub use config::{Config, Queue, Receiver};

use self::metrics::Metrics;
use self::sender::{Common, Sender};
use crate::clock::Clock;
use crate::collect::Ticks;
use crate::history::History;
use crate::registry::{RegisterError, Registry};

/// How long a stop waits for what is left to be sent.
pub const FLUSH: Duration = Duration::from_secs(5);

/// All senders. Dropping it leaves the tasks running until the runtime ends; see [`Sending::stop`].
#[derive(Debug)]
pub struct Sending {
    running: Mutex<Vec<Running>>,
    common: Common,
    metrics: Metrics,
}

#[derive(Debug)]
struct Running {
    receiver: Receiver,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(receiver: Receiver, common: &Common, metrics: &Metrics, begin: i64) -> Self {
        let stop = CancellationToken::new();
        let figures = metrics.of(&receiver.name);
        let mut sender = Sender::new(receiver.clone(), common.clone(), figures, stop.clone(), begin);
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let late = async {
                stopped.cancelled().await;
                tokio::time::sleep(FLUSH).await;
            };
            tokio::select! {
                () = sender.run() => {}
                () = late => {}
            }
            sender.ended();
        });
        Running { receiver, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, remote = %self.receiver.name, "remote write did not end well");
        }
    }
}

impl Sending {
    /// From when on samples are new, for [`Sending::start`]: behind those that the history has at `now_ms` (Unix milliseconds). To be asked
    /// before the first tick is recorded, so that it is sent, too.
    #[must_use]
    pub fn begin(history: &History, now_ms: i64) -> i64 {
        let mut begin = i64::MIN;
        cursor::each(history, |series| begin = begin.max(series.standing().last.saturating_add(1)));
        begin.min(now_ms)
    }

    /// Begins to send, under `external` labels, what is of `begin` (Unix milliseconds, see [`Sending::begin`]) or later, and what comes into the
    /// history from now on. `recorded` changes when a tick is in
    /// the history ([`Recorder::recorded`](crate::history::Recorder::recorded)); `ticks` says what families are. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When one of its own metrics is registered already.
    #[allow(clippy::too_many_arguments)] // what there is, once
    pub fn start(
        config: &Config,
        external: &BTreeMap<String, String>,
        history: &History,
        ticks: &Ticks,
        recorded: watch::Receiver<u64>,
        begin: i64,
        registry: &Registry,
        clock: Clock,
    ) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(registry)?;
        let common = Common {
            history: history.clone(),
            ticks: ticks.clone(),
            recorded,
            clock,
            external: external.clone(),
        };
        let start = |receiver: &Receiver| Running::start(receiver.clone(), &common, &metrics, begin);
        let running = config.receivers.iter().map(start).collect();
        Ok(Sending { running: Mutex::new(running), common, metrics })
    }

    /// Sends by another configuration. Receivers that are the same go on undisturbed; one that is new begins with what comes.
    pub async fn reload(&self, config: &Config) {
        let leaving: Vec<Running> = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let stays = |running: &Running| config.receivers.contains(&running.receiver);
            let (stay, leave) = std::mem::take(&mut *running).into_iter().partition(stays);
            *running = stay;
            leave
        };
        for sender in leaving {
            sender.stop().await;
        }
        let begin = self.common.clock.now().unix_ms;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for receiver in &config.receivers {
            if !running.iter().any(|known| known.receiver == *receiver) {
                running.push(Running::start(receiver.clone(), &self.common, &self.metrics, begin));
            }
        }
    }

    /// Sends what is left, at most for [`FLUSH`], and ends the tasks.
    pub async fn stop(self) {
        let running = self.running.into_inner().unwrap_or_else(PoisonError::into_inner);
        running.iter().for_each(|sender| sender.stop.cancel());
        for sender in running {
            sender.stop().await;
        }
    }
}
