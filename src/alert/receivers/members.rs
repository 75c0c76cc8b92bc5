//! What one Alertmanager has been told: the pure core of the client. No I/O; time and chance are passed in.
//!
//! An Alertmanager is told a state, not a log: all that fires, again and again, each with a time at which it ends if nothing more is heard.
//! So nothing is queued for a member that is away. A [`Member`] remembers which alert it was told of and when; an alert is due when
//! it is new, has changed, or was last told [`RESEND`] ago. What is over is told like that for [`TELL_RESOLVED`]. After a failure
//! the member may have forgotten everything, so everything is due.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::alert::{Standing, StandingAlert};
use crate::client::Backoff;
use crate::clock::Moment;
use crate::collect::scrape::relabel::{self, Rule};
use crate::history::export::iso;
use crate::query::Labels;

/// How often what stands is told again; Prometheus' own default.
pub const RESEND: Duration = Duration::from_secs(60);

/// How long it is told what is over; Prometheus' own.
pub const TELL_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// Most alerts of a request; Prometheus' own default.
pub(super) const BATCH: usize = 256;

/// Bounds of the wait after a failure: far below [`TELL_RESOLVED`], so that what ends during an outage is told.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// An alert as all members are told of it.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    key: Labels,
    content: u64,
    labels: BTreeMap<String, String>,
    alert: StandingAlert,
}

/// The alerts of a standing under their last labels.
pub(super) fn prepare(
    standing: &Standing,
    external: &BTreeMap<String, String>,
    rules: &[Rule],
) -> Vec<Arc<Prepared>> {
    let prepare = |alert: &StandingAlert| {
        let mut labels: BTreeMap<String, String> =
            alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in external {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let kept = relabel::apply(rules, &mut labels);
        labels.retain(|name, value| !value.is_empty() && !name.starts_with("__"));
        let mut hasher = DefaultHasher::new();
        (&labels, &alert.annotations, alert.starts_at_ms, alert.ends_at_ms, &alert.generator)
            .hash(&mut hasher);
        kept.then(|| {
            Arc::new(Prepared {
                key: Labels::new(&labels),
                content: hasher.finish(),
                labels,
                alert: alert.clone(),
            })
        })
    };
    standing.alerts.iter().filter_map(prepare).collect()
}

impl Prepared {
    /// Its labels, for a message about it.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn is_told(&self, now: Moment) -> bool {
        self.alert.ends_at_ms.is_none_or(|ended| {
            u128::try_from(now.unix_ms.saturating_sub(ended)).unwrap_or(0) <= TELL_RESOLVED.as_millis()
        })
    }
}

/// An alert as the API of Alertmanager, version 2, takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

/// The body of a request. `interval` is how often rules are evaluated: what fires ends, if nothing more is heard, after four of
/// these or of [`RESEND`], so that a lost request or two end nothing.
pub(super) fn body(
    batch: &[Arc<Prepared>],
    now: Moment,
    interval: Duration,
    external_url: &str,
) -> serde_json::Result<Vec<u8>> {
    let valid = i64::try_from(interval.max(RESEND).saturating_mul(4).as_millis()).unwrap_or(i64::MAX);
    let until = now.unix_ms.saturating_add(valid);
    let posted: Vec<Posted<'_>> = batch
        .iter()
        .map(|one| Posted {
            labels: &one.labels,
            annotations: &one.alert.annotations,
            starts_at: iso(one.alert.starts_at_ms),
            ends_at: iso(one.alert.ends_at_ms.unwrap_or(until)),
            generator_url: format!("{external_url}{}", one.alert.generator),
        })
        .collect();
    serde_json::to_vec(&posted)
}

/// What a member has been told.
#[derive(Debug)]
pub(super) struct Member {
    told: HashMap<Labels, Sent>,
    backoff: Backoff,
    not_before: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    content: u64,
    at: Duration,
    refused: bool,
}

impl Member {
    pub(super) fn new() -> Self {
        Member { told: HashMap::new(), backoff: Backoff::new(WAITS.0, WAITS.1), not_before: None }
    }

    /// What it is to be told now.
    pub(super) fn due(&self, alerts: &[Arc<Prepared>], now: Moment) -> Vec<Arc<Prepared>> {
        if self.not_before.is_some_and(|until| until > now.since_start) {
            return Vec::new();
        }
        let due = |alert: &&Arc<Prepared>| alert.is_told(now) && self.when(alert) <= now.since_start;
        alerts.iter().filter(due).cloned().collect()
    }

    /// When something is due next, if nothing changes: time since the start of the process.
    pub(super) fn next(&self, alerts: &[Arc<Prepared>], now: Moment) -> Option<Duration> {
        let due = alerts.iter().filter(|alert| alert.is_told(now)).map(|alert| self.when(alert));
        due.min().map(|due| due.max(self.not_before.unwrap_or_default()))
    }

    fn when(&self, alert: &Prepared) -> Duration {
        match self.told.get(&alert.key).filter(|sent| sent.content == alert.content) {
            None => Duration::ZERO,
            Some(sent) if sent.refused => Duration::MAX,
            Some(sent) => sent.at + RESEND,
        }
    }

    /// It has taken these.
    pub(super) fn took(&mut self, batch: &[Arc<Prepared>], now: Moment) {
        self.note(batch, now, false);
        self.backoff.reset();
        self.not_before = None;
    }

    /// It refuses this one, whatever company it is in: it is not told again until it changes.
    pub(super) fn refuses(&mut self, alert: &Arc<Prepared>, now: Moment) {
        self.note(std::slice::from_ref(alert), now, true);
    }

    /// It cannot be reached, or takes nothing at all.
    pub(super) fn failed(&mut self, now: Moment, asked: Option<Duration>, random: f64) {
        // What it knew may be gone with it; what it refused it will refuse again.
        self.told.retain(|_, sent| sent.refused);
        let wait = self.backoff.wait(random).max(asked.unwrap_or_default().min(WAITS.1));
        self.not_before = Some(now.since_start + wait);
    }

    /// Forgets what is in the standing no more.
    pub(super) fn follow(&mut self, alerts: &[Arc<Prepared>]) {
        let stands: std::collections::HashSet<&Labels> = alerts.iter().map(|alert| &alert.key).collect();
        self.told.retain(|key, _| stands.contains(key));
    }

    fn note(&mut self, batch: &[Arc<Prepared>], now: Moment, refused: bool) {
        for alert in batch {
            let sent = Sent { content: alert.content, at: now.since_start, refused };
            self.told.insert(alert.key.clone(), sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{moment, standing};
    use super::*;

    fn prepared(alerts: &[(&str, Option<i64>)]) -> Vec<Arc<Prepared>> {
        prepare(&standing(alerts), &BTreeMap::from([("region".into(), "eu".into())]), &[])
    }

    #[test]
    fn an_alert_is_told_when_new_changed_or_a_minute_old() {
        let mut member = Member::new();
        let alerts = prepared(&[("a", None), ("b", None)]);
        let due = member.due(&alerts, moment(0));
        assert_eq!(due.len(), 2);
        member.took(&due, moment(0));
        assert_eq!(member.due(&alerts, moment(59_999)).len(), 0);
        assert_eq!(member.next(&alerts, moment(1)), Some(RESEND));
        assert_eq!(member.due(&alerts, moment(60_000)).len(), 2);
        let changed = prepared(&[("a", Some(moment(30_000).unix_ms)), ("b", None)]);
        let due = member.due(&changed, moment(30_000));
        assert_eq!(due.iter().map(|alert| alert.labels["alertname"].clone()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_over_is_told_for_a_quarter_of_an_hour_even_after_an_outage() {
        let mut member = Member::new();
        let alerts = prepared(&[("a", Some(moment(0).unix_ms)), ("b", None)]);
        let mut now = 0;
        while now < 14 * 60_000 {
            assert_eq!(member.due(&alerts, moment(now)).len(), 2);
            member.failed(moment(now), None, 1.0);
            let next = member.next(&alerts, moment(now)).unwrap();
            assert!(member.due(&alerts, moment(now)).is_empty());
            now = u64::try_from(next.as_millis()).unwrap();
        }
        let due = member.due(&alerts, moment(now));
        assert_eq!(due.len(), 2);
        member.took(&due, moment(now));
        assert_eq!(member.due(&alerts, moment(15 * 60_000 + 1)).len(), 0);
        assert_eq!(member.due(&alerts, moment(now + 60_000)).len(), 1);
    }

    #[test]
    fn after_a_failure_all_that_stands_is_told_again_but_for_what_was_refused() {
        let mut member = Member::new();
        let alerts = prepared(&[("a", None), ("b", None), ("bad", None)]);
        member.took(&alerts[..2], moment(0));
        member.refuses(&alerts[2], moment(0));
        assert!(member.due(&alerts, moment(1000)).is_empty());
        member.failed(moment(1000), None, 0.0);
        assert_eq!(member.due(&alerts, moment(1000)).len(), 2);
        member.follow(&alerts[..2]);
        assert_eq!(member.due(&alerts, moment(1000)).len(), 3);
    }

    #[test]
    fn an_alert_ends_after_four_intervals_and_has_the_labels_of_this_server() {
        let alerts = prepared(&[("a", None), ("b", Some(5_000))]);
        let now = Moment { since_start: Duration::ZERO, unix_ms: 1_000 };
        let body = |interval| -> serde_json::Value {
            serde_json::from_slice(&body(&alerts, now, interval, "http://g").unwrap()).unwrap()
        };
        let posted = body(Duration::from_secs(5));
        assert_eq!(posted[0]["endsAt"], "1970-01-01T00:04:01.000Z");
        assert_eq!(posted[1]["endsAt"], "1970-01-01T00:00:05.000Z");
        assert_eq!(posted[0]["labels"]["region"], "eu");
        assert_eq!(posted[0]["generatorURL"], "http://g/#query?expr=up");
        assert_eq!(body(Duration::from_secs(300))[0]["endsAt"], "1970-01-01T00:20:01.000Z");
    }
}
