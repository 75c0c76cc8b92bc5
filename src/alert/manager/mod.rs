//! Decides who is told of which alert, and when.
//!
//! Sources ([`Report`](crate::alert::Report)) say what is true now. The core makes alerts of it, keeps how they are, and tells
//! each change in two ways that differ on purpose: as an event of the stream at once and always, and to receivers as a
//! [`Notification`](crate::alert::Notification) when it is worth a person's attention. [`Alerts`] is the handle to ask and to command.
//!
//! What is decided, and by what:
//!
//! - **One alert** is an origin and all labels but `severity` ([`Fingerprint`]). Rules that differ only in their level are one alert that has
//!   the highest of those that fire.
//! - **What to tell** is never queued. A group keeps what its receiver was told of each alert; what it has to tell is the difference to how the
//!   alert is. All that holds a notification back only holds back this comparison: silence and inhibition, the cooldown (an alert that
//!   comes back within it is the same; its receiver is told only if it still fires when it is over), flapping, the rate limit, a
//!   restart. So nothing is told twice, nothing is forgotten, and what has gone by itself is not told at all.
//! - **The end is told to whoever knows of the begin**, also when a silence came between, the level fell to another route's, or a
//!   reload has taken the route away; only a receiver that is gone is not told.
//! - **Urgent** are levels that rise, escalations and the notice of flapping: these do not wait for `group_interval`.
//! - **Time** is monotonic, and goes on over a restart by what the wall clock says has passed. Only silences follow the wall clock
//!   itself, since they are appointments.
//!
//! One task owns the core ([`Managing`]). It wakes when something comes or when the core says so. State is saved a second after a change,
//! history half a minute after it, both at the end; a crash in between can repeat a notification and lose none.
//! Delivery is left to [`super::receivers`].

mod config;
mod core;
#[cfg(test)]
mod core_tests;
mod event;
mod fingerprint;
mod group;
mod handle;
pub mod history;
mod inhibit;
mod limit;
mod matcher;
mod metrics;
#[cfg(test)]
mod property_tests;
mod record;
mod saved;
mod silence;
mod task;
#[cfg(test)]
mod task_tests;
mod view;

use std::collections::BTreeMap;

pub use config::{Config, Equal, GroupBy, InhibitRule, Limits, Route, Step};
pub(crate) use config::{read_inhibit_rules, read_route};
pub use event::AlertEvent;
pub use fingerprint::Fingerprint;
pub use handle::Alerts;
pub use matcher::Matchers;
pub use silence::{NewSilence, Silence, SilenceState};
pub use task::{Managing, Tell, Ways};
pub use view::{
    Acknowledge, AlertView, Cleared, Filter, GroupView, HistoryFilter, NextStep, Refusal, State, Stats, Which,
};

use crate::query::Labels;

/// Most alerts that are kept. Of more, those that are over make room; if all fire, the new ones are refused and counted.
pub const MOST_ALERTS: usize = 10_000;

/// An alert that another program sends, as Prometheus does to an Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires, Unix milliseconds; now if nothing.
    pub starts_at_ms: Option<i64>,
    /// When it is over, Unix milliseconds: past, that it is; 5 min from now if nothing.
    pub ends_at_ms: Option<i64>,
    /// Where more can be seen.
    pub generator: String,
}
