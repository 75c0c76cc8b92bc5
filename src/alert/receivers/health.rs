//! Which channels and Alertmanagers fail now, as a [`Report`] of what gaugecast says about itself.
//!
//! The manager tells such alerts to the log and the stream only ([`Origin::Meta`]): to tell a dead channel that it is dead would be a loop
//! without an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::alert::{Active, Origin, Phase, Report, Severity};
use crate::clock::{Clock, Moment};
use crate::query::Labels;

/// The name of the alert.
pub const ALERT: &str = "GaugecastDeliveryFails";

/// The source of the report.
const SOURCE: &str = "receivers";

/// How often it is said again while something fails.
const AGAIN: Duration = Duration::from_secs(60);

/// What fails now. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Health {
    shared: Arc<Shared>,
    clock: Clock,
}

/// By integration and receiver: since when (Unix milliseconds), and why.
type Failing = BTreeMap<(&'static str, String), (i64, String)>;

#[derive(Debug, Default)]
struct Shared {
    failing: Mutex<Failing>,
    changed: Notify,
}

impl Health {
    pub(super) fn new(clock: Clock) -> Self {
        Health { shared: Arc::default(), clock }
    }

    /// A channel fails, for a reason, or works.
    pub(super) fn set(&self, integration: &'static str, receiver: &str, fails: Option<&str>) {
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (integration, receiver.to_owned());
        let changed = match fails {
            Some(why) if !failing.contains_key(&key) => {
                failing.insert(key, (self.clock.now().unix_ms, why.to_owned()));
                true
            }
            Some(_) => false,
            None => failing.remove(&key).is_some(),
        };
        if changed {
            self.shared.changed.notify_one();
        }
    }

    /// The report of now.
    pub(super) fn report(&self, at: Moment) -> Report {
        let failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = failing.iter().map(|((integration, receiver), (since, why))| Active {
            labels: Labels::new([
                ("alertname", ALERT),
                ("integration", integration),
                ("receiver", receiver),
                (Severity::LABEL, Severity::Warning.as_str()),
            ]),
            annotations: BTreeMap::from([
                ("summary".to_owned(), format!("{receiver} cannot be told by {integration}")),
                ("description".to_owned(), why.clone()),
            ]),
            phase: Phase::Firing,
            value: 1.0,
            active_at_ms: *since,
            fired_at_ms: Some(*since),
            generator: Arc::from("/#alerts"),
        });
        Report {
            source: SOURCE.into(),
            origin: Origin::Meta,
            at,
            active: active.collect(),
            no_data: Vec::new(),
        }
    }

    /// Sends a report at each change, and again while something fails, until it is stopped or nobody listens.
    pub(super) async fn run(self, reports: mpsc::Sender<Report>, stop: CancellationToken) {
        loop {
            let fails = !self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            let again =
                async { if fails { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.changed.notified() => {}
                () = again => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                sent = reports.send(self.report(self.clock.now())) => {
                    if sent.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_of_its_own_kind_says_who_fails_and_who_works_again() {
        let health = Health::new(Clock::start());
        let (send, mut reports) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let task = tokio::spawn(health.clone().run(send, stop.clone()));
        health.set("webhook", "team", Some("500"));
        health.set("webhook", "team", Some("502"));
        let report = reports.recv().await.unwrap();
        assert_eq!((report.origin, report.active.len()), (Origin::Meta, 1));
        assert_eq!(report.active[0].labels.get("receiver"), Some("team"));
        assert_eq!(report.active[0].annotations["description"], "500");
        health.set("webhook", "team", None);
        assert!(reports.recv().await.unwrap().active.is_empty());
        stop.cancel();
        task.await.unwrap();
    }
}
