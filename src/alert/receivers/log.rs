//! `log_configs`: a line of the log for each alert, by its level. It needs nobody, so it never fails, and what gaugecast says of its
//! own deliveries goes here.

use tracing::{error, info, warn};

use super::message::{Told, facts};
use crate::alert::{Severity, Status};

/// Writes the lines.
pub(super) fn tell(told: &Told<'_>) {
    let receiver = &*told.notification.receiver;
    if told.alerts.is_empty() {
        warn!(receiver, suppressed = told.notification.suppressed, "{}", told.title());
    }
    for alert in &told.alerts {
        let (headline, facts) = facts(alert);
        let facts: Vec<String> = facts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        let (facts, fingerprint) = (facts.join("; "), &*alert.fingerprint);
        match (alert.status, alert.severity) {
            (Status::Resolved, _) | (_, Severity::Info) => info!(receiver, fingerprint, %facts, "{headline}"),
            (_, Severity::Warning) => warn!(receiver, fingerprint, %facts, "{headline}"),
            (_, Severity::Critical | Severity::Emergency) => {
                error!(receiver, fingerprint, %facts, "{headline}")
            }
        }
    }
}
