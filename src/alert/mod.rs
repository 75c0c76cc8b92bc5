//! From numbers to a person who knows: rules and detectors say what is so, the manager decides who is told, receivers tell.
//!
//! ```text
//!     rules ──────┐ Report                    Notification ┌─► webhook, Slack, PagerDuty, email
//!                 ├────────► manager ──┬──────────────────►┤
//!     detectors ──┘ (what is true now) ├─ events ──► stream └─► log
//!                                      └─ Standing ───────────► Alertmanager
//! ```
//!
//! - A source of alerts ([`rules`], [`crate::detect`]) evaluates at its own interval and sends a [`Report`]: everything that it
//!   holds true at that time. What is missing in the next one is over. `for` and `keep_firing_for` are the rule's matter, so
//!   the report already says what is pending and what fires.
//! - The [`manager`] is a pure core in one task: it makes one alert of rules that differ only in severity, forgets nothing,
//!   repeats nothing, and says each change as a [`Notification`] for a receiver. It publishes [`Standing`], all that fires now.
//! - [`receivers`] deliver, each with a queue of its own.
//! - [`template`] expands the texts in rules and messages, [`ruletest`] judges rule files beside the server.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod manager;
mod notification;
mod number;
pub mod receivers;
mod report;
pub mod rules;
pub mod ruletest;
pub mod template;

pub use notification::{
    Acknowledged, Cause, Delivery, Notification, Notified, Standing, StandingAlert, Status,
};
pub use report::{Active, Origin, Phase, Report};

/// Settings of all that alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Rule files and their interval.
    pub rules: rules::Config,
    /// Route, inhibition, limits.
    pub manager: manager::Config,
    /// Receivers and Alertmanagers.
    pub receivers: receivers::Config,
}

/// How bad it is; ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it today. What a rule without a level has.
    #[default]
    Warning,
    /// Look at it now.
    Critical,
    /// Everybody up.
    Emergency,
}

impl Severity {
    /// All, ascending.
    pub const ALL: [Severity; 4] =
        [Severity::Info, Severity::Warning, Severity::Critical, Severity::Emergency];

    /// The label that says it.
    pub const LABEL: &'static str = "severity";

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
            Severity::Emergency => "emergency",
        }
    }

    /// The level that the label `severity` of a rule means. Rules of others have words of their own: `none` is info, `page`
    /// and `error` are critical, whatever else is a warning.
    #[must_use]
    pub fn of_label(word: &str) -> Severity {
        match word {
            "info" | "none" | "notice" | "informational" => Severity::Info,
            "critical" | "page" | "error" | "high" => Severity::Critical,
            "emergency" | "disaster" => Severity::Emergency,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
