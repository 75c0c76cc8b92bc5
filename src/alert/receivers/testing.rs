//! What the tests of this module share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::{Cause, Notification, Notified, Origin, Severity, Standing, StandingAlert, Status};
use crate::clock::Moment;
use crate::query::Labels;

/// So many milliseconds after the start.
pub(super) fn moment(ms: u64) -> Moment {
    let since_start = Duration::from_millis(ms);
    Moment { since_start, unix_ms: 1_700_000_000_000 + i64::try_from(ms).unwrap() }
}

/// A notification of a group with alerts of these fingerprints.
pub(in crate::alert) fn notification(receiver: &str, group: &str, alerts: &[&str]) -> Notification {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let alert = |fingerprint: &&str| Notified {
        fingerprint: (*fingerprint).to_owned(),
        transition: 1,
        origin: Origin::Rule,
        labels: texts(&[
            ("alertname", "HighLoad"),
            ("severity", "critical"),
            ("job", "web"),
            ("instance", fingerprint),
        ]),
        annotations: texts(&[("summary", "load <is> high & \"rising\"")]),
        severity: Severity::Critical,
        status: Status::Firing,
        value: 1.5,
        starts_at_ms: 1000,
        ends_at_ms: None,
        generator: "/#query?expr=up".into(),
        acknowledged: None,
    };
    Notification {
        id: 1,
        receiver: receiver.into(),
        cause: Cause::Firing,
        at_ms: 2000,
        group_key: group.into(),
        group_labels: texts(&[("alertname", "HighLoad")]),
        alerts: alerts.iter().map(alert).collect(),
        suppressed: 0,
    }
}

/// A standing of alerts of these names, with the time at which they were over.
pub(super) fn standing(alerts: &[(&str, Option<i64>)]) -> Standing {
    let alert = |(name, ends_at_ms): &(&str, Option<i64>)| StandingAlert {
        labels: Labels::new([("alertname", *name), ("severity", "critical")]),
        annotations: BTreeMap::new(),
        starts_at_ms: 0,
        ends_at_ms: *ends_at_ms,
        generator: Arc::from("/#query?expr=up"),
    };
    Standing { alerts: alerts.iter().map(alert).collect() }
}
