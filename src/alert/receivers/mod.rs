//! Tells people and programs of alerts: each channel with a queue of its own, so that one that fails delays no other.
//!
//! [`Delivery`] owns a task for each channel of each receiver of [`Config`] and for each Alertmanager; [`Handle`] is how the manager gives it
//! a [`Notification`], without ever waiting, and how the admin API sees what failed for good.
//!
//! ```text
//!                      ┌─► lane: queue ─► webhook    ─┐
//! Notification ─► send ┼─► lane: queue ─► slack       ├─► DeliveryResult ─► history of the manager
//!                      └─► lane: queue ─► email      ─┘
//!                               │ in vain                 ┌► dead letters
//!                               └─► fallback receiver, then ┘
//! Standing ─► members ─► each Alertmanager                    what fails now ─► Report (Meta)
//! ```
//!
//! - [`queue`] decides what is tried when: order, waits, circuit breaker, end. [`members`] does so for an Alertmanager. Both are
//!   pure.
//! - `webhook`, `slack`, `pagerduty` make requests, which [`http`] sends and whose answers it judges; `email` sends mail, `log` writes lines.
//! - [`lane`] runs a queue. With `storage.path` what waits and the dead letters survive a restart ([`saved`]).
//! - [`health`] says which channels fail; the manager tells that to the log and the stream only.
//!
//! A notification counts as delivered when a server has answered 2xx. It may come twice (the answer was lost), never in
//! another order than its group's; `Idempotency-Key`, `dedup_key` and `Message-ID` let a receiver see that.

mod alertmanager;
mod config;
mod dead;
mod email;
mod fate;
mod health;
mod http;
mod lane;
mod log;
mod members;
mod message;
mod metrics;
mod pagerduty;
mod queue;
mod saved;
mod slack;
mod template;
#[cfg(test)]
pub(super) mod testing;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

pub use config::{ATTEMPT, Alerting, Alertmanagers, Channel, Config, Global, Kind, Receiver};
pub(crate) use config::{check_mailbox, check_nothing, check_smarthost, check_url, read, read_alerting};
pub use dead::{DeadLetter, MOST as MOST_DEAD_LETTERS};
pub use email::Email;
pub use health::ALERT;
pub use lane::Handle;
pub use members::{RESEND, TELL_RESOLVED};
pub use pagerduty::PagerDuty;
pub use queue::{CAPACITY, GIVE_UP};
pub use slack::Slack;
pub use template::Text;
pub use webhook::{SIGNATURE, TIMESTAMP, Webhook};

use self::alertmanager::Members;
use self::health::Health;
use self::lane::{Lane, Shared};
use self::metrics::Metrics;
use super::{Notification, Report, Standing};
use crate::client::random;
use crate::clock::Clock;
use crate::registry::{RegisterError, Registry};

/// How long a stop waits for what can be delivered at once.
pub const FLUSH: Duration = Duration::from_secs(5);

/// What delivery has to do with others.
#[derive(Debug)]
pub struct Around {
    /// Where browsers reach this server: `web.external-url`, or else the first address it listens on. For links.
    pub external_url: String,
    /// `global.external_labels`: given to the alerts that Alertmanagers are told of.
    pub external_labels: BTreeMap<String, String>,
    /// How often rules are evaluated: how long an Alertmanager believes an alert that it does not hear of again follows from it.
    pub interval: Duration,
    /// What fires, for Alertmanagers.
    pub standing: watch::Receiver<Arc<Standing>>,
    /// Takes the result of each attempt. When it is full results are dropped and counted.
    pub results: mpsc::Sender<DeliveryResult>,
    /// Takes reports of channels that fail, if somebody wants them.
    pub reports: Option<mpsc::Sender<Report>>,
    /// `storage.path`: what waits survives a restart in `receivers.json` there.
    pub storage: Option<PathBuf>,
}

/// How an attempt to deliver a notification ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryResult {
    /// [`Notification::id`].
    pub notification: u64,
    /// The receiver; of a fallback its own name.
    pub receiver: Arc<str>,
    /// `log`, `webhook`, `slack`, `pagerduty`, `email`.
    pub integration: &'static str,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Which attempt it was, from 1.
    pub attempts: u32,
    /// How it ended.
    pub outcome: DeliveryOutcome,
}

impl DeliveryResult {
    /// What has become of the notification in this channel; nothing yet, if it is tried again.
    #[must_use]
    pub fn settled(self) -> Option<super::Delivery> {
        let error = match self.outcome {
            DeliveryOutcome::Delivered => None,
            DeliveryOutcome::Retrying { .. } => return None,
            DeliveryOutcome::Failed { why, .. } => Some(why),
        };
        Some(super::Delivery {
            notification: self.notification,
            receiver: self.receiver.to_string(),
            integration: self.integration.to_owned(),
            at_ms: self.at_ms,
            error,
        })
    }
}

/// See [`DeliveryResult`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It is there.
    Delivered,
    /// It will be tried again.
    Retrying {
        /// A word to count by.
        reason: &'static str,
        /// A sentence.
        why: String,
    },
    /// It is a dead letter.
    Failed {
        /// A word to count by.
        reason: &'static str,
        /// A sentence.
        why: String,
    },
}

/// All deliveries. Dropping it leaves the tasks running until the runtime ends; see [`Delivery::stop`].
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    /// Of the lanes and Alertmanagers.
    stop: CancellationToken,
    lanes: TaskTracker,
    members: Members,
    /// Of those that serve them.
    last: CancellationToken,
    helpers: Vec<JoinHandle<()>>,
}

/// Channels that a reload has removed; see [`Delivery::reload`].
#[derive(Debug)]
#[must_use = "they go on until they are ended"]
pub struct Leaving {
    shared: Arc<Shared>,
    config: Config,
    lanes: Vec<Arc<Lane>>,
}

impl Leaving {
    /// Nobody sends to them any more: each tells what it can tell at once, for at most [`FLUSH`], and the rest are dead letters. Does not
    /// wait for that.
    pub fn end(self) {
        self.shared.forget(&self.config, &self.lanes);
    }
}

impl Delivery {
    /// Begins to deliver, with what was left by the last run. Reads a small file. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When one of its own metrics is registered already.
    pub fn start(
        config: &Config,
        around: Around,
        registry: &Registry,
        clock: Clock,
    ) -> Result<Self, RegisterError> {
        let metrics = Metrics::register(registry, CAPACITY)?;
        let health = Health::new(clock);
        let (stop, last) = (CancellationToken::new(), CancellationToken::new());
        let external_url: Arc<str> = around.external_url.trim_end_matches('/').into();
        let members = alertmanager::Around {
            external_url: Arc::clone(&external_url),
            external_labels: Arc::new(around.external_labels),
            interval: around.interval,
            standing: around.standing,
            metrics: metrics.clone(),
            health: health.clone(),
            clock,
        };
        let members = Members::start(members, &config.alerting, &stop);
        let mut helpers = Vec::new();
        if let Some(reports) = around.reports {
            helpers.push(tokio::spawn(health.clone().run(reports, last.clone())));
        }
        let shared = Arc::new(Shared::new(external_url, around.results, metrics, health, clock));
        let (lanes, _) = shared.reload(config);
        if let Some(folder) = &around.storage {
            let file = saved::restore(&shared, folder);
            helpers.push(tokio::spawn(saved::keep(Arc::clone(&shared), file, last.clone())));
        }
        let delivery = Delivery { shared, stop, lanes: TaskTracker::new(), members, last, helpers };
        delivery.run(lanes);
        Ok(delivery)
    }

    fn run(&self, lanes: Vec<Arc<Lane>>) {
        for lane in lanes {
            self.lanes.spawn(Arc::clone(&self.shared).run(lane, self.stop.clone()));
        }
    }

    /// Tells by other receivers and Alertmanagers from now on; to be called by one at a time. A channel that is as it was keeps what
    /// waits. One with other settings takes over what waits for the channel of its kind that its receiver had, and tries it at once.
    /// Channels that are gone are given back: they can be sent to until whoever sends knows of the change, and are to be ended then.
    /// Waits for Alertmanagers that are gone, at most [`FLUSH`].
    pub async fn reload(&self, config: &Config) -> Leaving {
        let (new, lanes) = self.shared.reload(config);
        self.run(new);
        self.members.reload(&config.alerting, &self.stop).await;
        Leaving { shared: Arc::clone(&self.shared), config: config.clone(), lanes }
    }

    /// Tells the receiver of a notification. Never waits; what is wrong shows in the results.
    pub fn send(&self, notification: Notification) {
        self.shared.send(notification);
    }

    /// For those who send, and those who look after what failed.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Delivers what can be delivered at once, for at most [`FLUSH`], writes down the rest, and ends the tasks.
    pub async fn stop(self) {
        self.stop.cancel();
        self.members.ended().await;
        self.lanes.close();
        self.lanes.wait().await;
        self.last.cancel();
        for task in self.helpers {
            if let Err(error) = task.await {
                error!(%error, "a task of the receivers did not end well");
            }
        }
    }
}
