//! The handle by which others ask the manager and tell it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::core::Manager;
use super::history::Transition;
use super::silence::{NewSilence, Silence};
use super::view::{Acknowledge, AlertView, Cleared, Filter, GroupView, HistoryFilter, Refusal, Stats, Which};
use super::{Posted, fingerprint::Fingerprint};
use crate::alert::{Acknowledged, Standing};
use crate::clock::Moment;

/// Something that the manager's task does between two reports.
pub(super) type Request = Box<dyn FnOnce(&mut Manager, Moment) + Send>;

/// Asks the manager and tells it; clones are the same. What it says is true at one moment, between two reports. All of it can
/// be dropped at any time: what was asked for is done then, only not answered.
#[derive(Clone, Debug)]
pub struct Alerts {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) standing: watch::Receiver<Arc<Standing>>,
}

impl Alerts {
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Manager, Moment) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let request: Request = Box::new(move |manager, now| {
            // Nobody may wait for it any more.
            let _ = answer.send(ask(manager, now));
        });
        self.requests.send(request).await.map_err(|_| Refusal::Stopped)?;
        answered.await.map_err(|_| Refusal::Stopped)
    }

    /// The alerts that a filter picks: the worst first, then the newest.
    ///
    /// # Errors
    /// [`Refusal::Stopped`], as all of these.
    pub async fn list(&self, filter: Filter) -> Result<Vec<AlertView>, Refusal> {
        self.ask(move |manager, _| manager.list(&filter)).await
    }

    /// One alert.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub async fn get(&self, id: &str) -> Result<AlertView, Refusal> {
        let id = id.to_owned();
        self.ask(move |manager, _| manager.get(&id)).await?
    }

    /// Somebody takes care of an alert: repeats and escalation stop until it is worse, over, or their time has passed. Takes the
    /// place of an acknowledgement before.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotFiring`]; [`Refusal::Invalid`] without a name.
    pub async fn acknowledge(&self, id: &str, wish: Acknowledge) -> Result<Acknowledged, Refusal> {
        let id = id.to_owned();
        self.ask(move |manager, now| manager.acknowledge(&id, wish, now)).await?
    }

    /// Takes an acknowledgement back. True if there was one.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub async fn unacknowledge(&self, id: &str, by: &str) -> Result<bool, Refusal> {
        let (id, by) = (id.to_owned(), by.to_owned());
        self.ask(move |manager, now| manager.unacknowledge(&id, &by, now)).await?
    }

    /// Somebody does not wait: those whom the escalation tells next are told now. Gives who that is.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotFiring`]; [`Refusal::Invalid`] where nobody is left, or nobody may be told now.
    pub async fn escalate(&self, id: &str, by: &str) -> Result<Vec<String>, Refusal> {
        let (id, by) = (id.to_owned(), by.to_owned());
        self.ask(move |manager, now| manager.escalate_now(&id, &by, now)).await?
    }

    /// Adds a silence, or changes the one whose id it names.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] id, [`Refusal::Invalid`], [`Refusal::Full`].
    pub async fn silence(&self, silence: NewSilence) -> Result<Silence, Refusal> {
        self.ask(move |manager, now| manager.silence(silence, now)).await?
    }

    /// Ends a silence now. One that was over already stays as it was.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub async fn expire_silence(&self, id: &str) -> Result<Silence, Refusal> {
        let id = id.to_owned();
        self.ask(move |manager, now| manager.expire_silence(&id, now)).await?
    }

    /// All silences, those of the last five days that are over among them: newest first.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn silences(&self) -> Result<Vec<Silence>, Refusal> {
        self.ask(|manager, _| manager.silences()).await
    }

    /// Clears alerts: they are over, and those who were told of them are told so. A condition that still holds fires anew when
    /// it has held for the `for` of its rule again. Clearing twice is clearing once.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn clear(&self, which: Which, by: &str) -> Result<Cleared, Refusal> {
        let by = by.to_owned();
        self.ask(move |manager, now| manager.clear(&which, &by, now)).await
    }

    /// The transitions that a filter picks, newest first. For export see [`super::history::csv`].
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn history(&self, filter: HistoryFilter) -> Result<Vec<Transition>, Refusal> {
        self.ask(move |manager, _| manager.history(&filter)).await
    }

    /// The groups as they stand, with the alerts of each that a filter picks; groups without any are left out.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn groups(&self, filter: Filter) -> Result<Vec<GroupView>, Refusal> {
        self.ask(move |manager, _| manager.groups(&filter)).await
    }

    /// Names of the receivers that the route names.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn receivers(&self) -> Result<Vec<String>, Refusal> {
        self.ask(|manager, _| manager.receivers()).await
    }

    /// Counts for a glance.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn stats(&self) -> Result<Stats, Refusal> {
        self.ask(|manager, _| manager.stats()).await
    }

    /// Takes alerts of another program, as Prometheus sends them to an Alertmanager. Gives the fingerprints.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub async fn post(&self, alerts: Vec<Posted>) -> Result<Vec<Fingerprint>, Refusal> {
        self.ask(move |manager, now| manager.post(alerts, now)).await
    }

    /// All that fires by the rules' own word, for Alertmanagers.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.standing.clone()
    }
}
