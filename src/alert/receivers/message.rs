//! What all integrations say: the same facts in the same order, each escapes them in its own way.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::alert::{Cause, Notification, Notified, Severity, Status};
use crate::history::export::iso;

/// Most alerts that a text for people names; of more it says how many there are.
const MOST_NAMED: usize = 20;

/// A notification as one channel tells it.
#[derive(Clone, Debug)]
pub(super) struct Told<'a> {
    /// What.
    pub(super) notification: &'a Notification,
    /// Its alerts, without those that are over if the channel does not tell of them.
    pub(super) alerts: Vec<&'a Notified>,
    /// Where browsers reach this server, without a slash at its end.
    pub(super) external_url: &'a str,
    /// Now, Unix milliseconds.
    pub(super) now_ms: i64,
}

impl<'a> Told<'a> {
    /// Nothing, if there is nothing to tell.
    pub(super) fn new(
        notification: &'a Notification,
        send_resolved: bool,
        external_url: &'a str,
        now_ms: i64,
    ) -> Option<Self> {
        let wanted = |alert: &&Notified| send_resolved || alert.status == Status::Firing;
        let alerts: Vec<_> = notification.alerts.iter().filter(wanted).collect();
        let told = !alerts.is_empty() || notification.alerts.is_empty();
        told.then_some(Told { notification, alerts, external_url, now_ms })
    }

    /// Does any of them fire?
    pub(super) fn status(&self) -> Status {
        // A digest without alerts is about some that did.
        let over =
            !self.alerts.is_empty() && self.alerts.iter().all(|alert| alert.status == Status::Resolved);
        if over { Status::Resolved } else { Status::Firing }
    }

    /// The highest level of those that fire, or of all if none does.
    pub(super) fn severity(&self) -> Severity {
        let highest = |firing: bool| {
            let of = self.alerts.iter().filter(|alert| !firing || alert.status == Status::Firing);
            of.map(|alert| alert.severity).max()
        };
        highest(true).or_else(|| highest(false)).unwrap_or_default()
    }

    /// Labels that all have with one value.
    pub(super) fn common_labels(&self) -> BTreeMap<&'a str, &'a str> {
        common(self.alerts.iter().map(|alert| &alert.labels))
    }

    /// Annotations that all have with one text.
    pub(super) fn common_annotations(&self) -> BTreeMap<&'a str, &'a str> {
        common(self.alerts.iter().map(|alert| &alert.annotations))
    }

    /// One line: `[FIRING:2] HighLoad (web-1)`.
    pub(super) fn title(&self) -> String {
        let count = |status| self.alerts.iter().filter(|alert| alert.status == status).count();
        let mut title = match self.status() {
            Status::Firing => format!("[FIRING:{}]", count(Status::Firing)),
            Status::Resolved => "[RESOLVED]".to_owned(),
        };
        match self.notification.cause {
            Cause::Escalation => title.push_str(" [ESCALATED]"),
            Cause::Flapping => title.push_str(" [FLAPPING]"),
            Cause::Digest => title.push_str(" [DIGEST]"),
            Cause::Firing | Cause::Level | Cause::Repeat | Cause::Resolved | Cause::Acknowledged => {}
        }
        let labels = self.common_labels();
        let name = labels.get("alertname").copied();
        let several = if self.alerts.is_empty() { "alerts" } else { "several alerts" };
        let _ = write!(title, " {}", name.unwrap_or(several));
        let rest: Vec<&str> = labels
            .iter()
            .filter(|(name, _)| !["alertname", "severity"].contains(name))
            .map(|(_, v)| *v)
            .collect();
        if !rest.is_empty() {
            let _ = write!(title, " ({})", rest.join(" "));
        }
        one_line(&title)
    }

    /// What is to be said beside the alerts.
    pub(super) fn note(&self) -> Option<String> {
        let suppressed = self.notification.suppressed;
        (suppressed > 0).then(|| format!("{suppressed} notifications were held back by the rate limit."))
    }

    /// The alerts that a text names, and how many it does not.
    pub(super) fn named(&self) -> (&[&'a Notified], usize) {
        let named = self.alerts.len().min(MOST_NAMED);
        (&self.alerts[..named], self.alerts.len() - named)
    }

    /// The page of an alert: what another program has posted names one elsewhere, which counts if it is one of the web.
    pub(super) fn page(&self, alert: &Notified) -> String {
        let page = &*alert.generator;
        match page {
            page if page.starts_with('/') => format!("{}{page}", self.external_url),
            page if page.starts_with("http://") || page.starts_with("https://") => page.to_owned(),
            _ => self.alerts_page(),
        }
    }

    /// The page of all alerts.
    pub(super) fn alerts_page(&self) -> String {
        format!("{}/#alerts", self.external_url)
    }

    /// Names what is told, the same at each attempt: fingerprint and transition of an alert, a hash of them for several. What
    /// tells a state again has the number of its notification behind that, or a receiver would take it for one it knows.
    pub(super) fn idempotency_key(&self) -> String {
        let mut keys: Vec<String> =
            self.alerts.iter().map(|alert| format!("{}:{}", alert.fingerprint, alert.transition)).collect();
        let key = match keys.len() {
            0 => return format!("notification:{}", self.notification.id),
            1 => keys.remove(0),
            _ => hash(&keys.join("\n")),
        };
        match self.notification.cause {
            Cause::Repeat => format!("{key}:repeat{}", self.notification.id),
            Cause::Escalation => format!("{key}:escalation{}", self.notification.id),
            Cause::Acknowledged => format!("{key}:acknowledged{}", self.notification.id),
            Cause::Firing | Cause::Level | Cause::Resolved | Cause::Flapping | Cause::Digest => key,
        }
    }
}

/// Hash of a text as 32 hexadecimal digits: the first half of its SHA-256.
pub(super) fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hex(&digest.as_ref()[..16])
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What an alert says of itself, for people: a headline and lines of name and text.
pub(super) fn facts(alert: &Notified) -> (String, Vec<(&str, String)>) {
    let name = alert.labels.get("alertname").map_or("alert", String::as_str);
    let said =
        ["summary", "title", "description", "message"].iter().find_map(|key| alert.annotations.get(*key));
    let state = match alert.status {
        Status::Firing => alert.severity.as_str(),
        Status::Resolved => "resolved",
    };
    let headline = match said {
        Some(said) => format!("{state}: {name}: {}", one_line(said)),
        None => format!("{state}: {name}"),
    };
    let mut lines = Vec::new();
    if let Some(more) = alert.annotations.get("description").filter(|more| Some(*more) != said) {
        lines.push(("description", more.clone()));
    }
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| !["alertname", "severity"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !labels.is_empty() {
        lines.push(("labels", labels.join(", ")));
    }
    if alert.value.is_finite() {
        lines.push(("value", alert.value.to_string()));
    }
    lines.push(("since", iso(alert.starts_at_ms)));
    if let Some(ended) = alert.ends_at_ms {
        lines.push(("until", iso(ended)));
    }
    if let Some(runbook) = alert.annotations.get("runbook_url") {
        lines.push(("runbook", runbook.clone()));
    }
    if let Some(taken) = &alert.acknowledged {
        lines.push(("acknowledged", format!("by {}: {}", taken.by, taken.note)));
    }
    (headline, lines)
}

/// Without line breaks and other control characters, so that no text can begin a line or header of its own.
pub(super) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// At most so many characters; what is cut ends in an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

fn common<'a>(mut sets: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<&'a str, &'a str> {
    let Some(first) = sets.next() else { return BTreeMap::new() };
    let mut common: BTreeMap<&str, &str> = first.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for set in sets {
        common.retain(|name, value| set.get(*name).is_some_and(|other| other == value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;

    #[test]
    fn the_title_counts_and_names_what_all_have_in_common() {
        let mut two = notification("team", "g", &["1", "2"]);
        let told = Told::new(&two, true, "http://g", 0).unwrap();
        assert_eq!(told.title(), "[FIRING:2] HighLoad (web)");
        assert_eq!(told.severity(), Severity::Critical);
        two.alerts[1].status = Status::Resolved;
        two.cause = Cause::Escalation;
        two.alerts[0].labels.insert("alertname".into(), "Other\r\nBcc: all".into());
        let told = Told::new(&two, true, "http://g", 0).unwrap();
        assert_eq!(told.title(), "[FIRING:1] [ESCALATED] several alerts (web)");
        let told = Told::new(&two, false, "http://g", 0).unwrap();
        assert_eq!(told.title(), "[FIRING:1] [ESCALATED] Other Bcc: all (1 web)");
        two.alerts[0].status = Status::Resolved;
        assert_eq!(Told::new(&two, true, "", 0).unwrap().status(), Status::Resolved);
        assert!(Told::new(&two, false, "", 0).is_none());
    }

    #[test]
    fn the_key_of_idempotency_names_the_state_of_each_alert() {
        let key = |alerts: &[&str], transition| {
            let mut told = notification("team", "g", alerts);
            told.alerts[0].transition = transition;
            Told::new(&told, true, "", 0).unwrap().idempotency_key()
        };
        assert_eq!(key(&["00ff"], 3), "00ff:3");
        assert_eq!(key(&["1", "2"], 3).len(), 32);
        assert_ne!(key(&["1", "2"], 3), key(&["1", "2"], 4));
        let mut again = notification("team", "g", &["00ff"]);
        (again.cause, again.id) = (Cause::Repeat, 7);
        assert_eq!(Told::new(&again, true, "", 0).unwrap().idempotency_key(), "00ff:1:repeat7");
    }

    #[test]
    fn the_page_of_an_alert_is_ours_or_one_of_the_web() {
        let mut one = notification("team", "g", &["1"]);
        for (generator, page) in [
            ("/#query?expr=up", "http://g/#query?expr=up"),
            ("http://prometheus:9090/graph?g0.expr=up", "http://prometheus:9090/graph?g0.expr=up"),
            ("javascript:alert(1)", "http://g/#alerts"),
            ("", "http://g/#alerts"),
        ] {
            one.alerts[0].generator = generator.into();
            let told = Told::new(&one, true, "http://g", 0).unwrap();
            assert_eq!(told.page(&one.alerts[0]), page);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!((cut("äöü", 3), cut("äöüß", 3)), ("äöü".into(), "äö…".into()));
    }
}
