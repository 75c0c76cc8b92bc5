//! `pagerduty_configs`: the Events API v2 of PagerDuty.
//!
//! A group is one incident: `dedup_key` is a hash of its key, so that trigger, acknowledge and resolve meet. An event
//! is a trigger while an alert of the group fires, an acknowledge if somebody has taken all that fire, and then a resolve.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::config::{Global, Texts, http, needed};
use super::http::Request;
use super::message::{Told, cut, facts, hash};
use super::template::{Text, plain};
use super::webhook::unwritable;
use crate::alert::{Severity, Status};
use crate::config::Credential;
use crate::config::section::Map;
use crate::history::export::iso;
use crate::http_client::{Client, Failure, Url};

/// Most bytes of an event; PagerDuty refuses more than 512 KB.
const EVENT: usize = 512_000;

/// Most characters of a summary.
const SUMMARY: usize = 1024;

/// An item of `pagerduty_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerDuty {
    /// `routing_key` or `routing_key_file`: of an integration of the type Events API v2.
    pub routing_key: Credential,
    /// `url`, or `global.pagerduty_url`.
    pub url: Url,
    /// `severity` of all incidents, instead of that of the alerts.
    pub severity: Option<String>,
    /// `client`: who says so; `gaugecast` by default.
    pub client_name: String,
    /// `client_url`: the page of the alerts by default.
    pub client_url: Option<String>,
    /// `class`, `component`, `group`.
    pub about: BTreeMap<&'static str, String>,
    /// `details`: more of them.
    pub details: BTreeMap<String, String>,
    /// `description`: a template, in place of the text by default.
    pub description: Option<Text>,
    /// `http_config`.
    pub client: Client,
}

impl PagerDuty {
    pub(super) const UNSUPPORTED: &[&str] = &["images", "links", "service_key", "service_key_file", "source"];

    pub(super) fn read(map: &Map<'_, '_, '_>, global: &Global) -> Option<PagerDuty> {
        let routing_key = map.credential("routing_key", "routing_key_file");
        let url = map.parsed("url", Url::parse);
        let words = ["critical", "error", "warning", "info"];
        let severity = map.choice("severity", &words).map(|at| words[at].to_owned());
        let about = ["class", "component", "group"].into_iter();
        let about = about.filter_map(|key| Some((key, map.text(key).filter(|text| !text.is_empty())?)));
        let (about, details): (_, Texts) = (about.collect(), map.labels("details"));
        let client_name = map.text("client").unwrap_or_else(|| "gaugecast".into());
        let client_url = map.text("client_url");
        let description = Text::read(map, "description");
        let client = http(map);
        let routing_key = needed(map, "routing_key", "PagerDuty", routing_key)?;
        let url = match map.node("url") {
            Some(_) => url?,
            None => Url::parse(&global.pagerduty_url).ok()?,
        };
        Some(PagerDuty {
            routing_key,
            url,
            severity,
            client_name,
            client_url,
            about,
            details,
            description,
            client,
        })
    }

    /// The request.
    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, Failure> {
        let key = self.routing_key.read().map_err(|error| Failure::new("credentials", error.to_string()))?;
        let mut event = self.event(told, key.expose());
        let mut body = serde_json::to_vec(&event).map_err(unwritable)?;
        // The alerts can be looked up; the incident must not fail for them.
        if body.len() > EVENT {
            event["payload"]["custom_details"] =
                json!({"error": "the details were larger than PagerDuty takes"});
            body = serde_json::to_vec(&event).map_err(unwritable)?;
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Request { url: self.url.clone(), headers, body: Bytes::from(body) })
    }

    fn event(&self, told: &Told<'_>, routing_key: &str) -> Value {
        let mut event = json!({
            "routing_key": routing_key,
            "event_action": action(told),
            "dedup_key": hash(&told.notification.group_key),
            "client": self.client_name,
            "client_url": self.client_url.clone().unwrap_or_else(|| told.alerts_page()),
        });
        if told.status() == Status::Resolved {
            return event;
        }
        let severity = self.severity.as_deref().unwrap_or_else(|| severity(told.severity()));
        let list = |status: Status| -> Vec<String> {
            let of = told.alerts.iter().filter(|alert| alert.status == status);
            of.map(|alert| {
                let (headline, lines) = facts(alert);
                let lines: Vec<String> = lines.iter().map(|(name, text)| format!("{name}: {text}")).collect();
                format!("{headline}\n{}\n{}", lines.join("\n"), told.page(alert))
            })
            .collect()
        };
        let mut details = json!({
            "firing": list(Status::Firing),
            "resolved": list(Status::Resolved),
            "num_firing": told.alerts.iter().filter(|alert| alert.status == Status::Firing).count(),
            "num_resolved": told.alerts.iter().filter(|alert| alert.status == Status::Resolved).count(),
        });
        for (name, text) in &self.details {
            details[name] = text.as_str().into();
        }
        let labels = told.common_labels();
        let source = labels.get("instance").or_else(|| labels.get("job")).copied();
        let since =
            told.alerts.iter().map(|alert| alert.starts_at_ms).min().unwrap_or(told.notification.at_ms);
        let own = self.description.as_ref().and_then(|text| text.expand(told, plain));
        let summary = own.unwrap_or_else(|| told.title());
        event["payload"] = json!({
            "summary": cut(&summary, SUMMARY),
            "source": source.unwrap_or(told.external_url),
            "severity": severity,
            "timestamp": iso(since),
            "custom_details": details,
        });
        for (name, text) in &self.about {
            event["payload"][*name] = text.as_str().into();
        }
        let links = told.named().0.iter().map(|alert| {
            let name = alert.labels.get("alertname").map_or("alert", String::as_str);
            json!({"href": told.page(alert), "text": name})
        });
        event["links"] = links.collect();
        event
    }
}

fn action(told: &Told<'_>) -> &'static str {
    let mut firing = told.alerts.iter().filter(|alert| alert.status == Status::Firing).peekable();
    match told.status() {
        Status::Resolved => "resolve",
        Status::Firing if firing.peek().is_some() && firing.all(|alert| alert.acknowledged.is_some()) => {
            "acknowledge"
        }
        Status::Firing => "trigger",
    }
}

/// PagerDuty has four words, and its highest is our third; what is above that is told by escalation.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical | Severity::Emergency => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;
    use crate::alert::Acknowledged;
    use crate::config::Secret;

    fn pagerduty() -> PagerDuty {
        PagerDuty {
            routing_key: Credential::Given(Secret::new("key")),
            url: Url::parse("https://events.pagerduty.com/v2/enqueue").unwrap(),
            severity: None,
            client_name: "gaugecast".into(),
            client_url: None,
            about: BTreeMap::from([("class", "load".to_owned())]),
            details: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            description: None,
            client: Client::default(),
        }
    }

    #[test]
    fn trigger_acknowledge_and_resolve_have_one_key() {
        let mut told = notification("team", "g", &["1"]);
        let event = |told: &crate::alert::Notification| {
            pagerduty().event(&Told::new(told, true, "http://g", 0).unwrap(), "key")
        };
        let trigger = event(&told);
        let payload = &trigger["payload"];
        assert_eq!((&trigger["event_action"], &trigger["routing_key"]), (&json!("trigger"), &json!("key")));
        assert_eq!(
            (&payload["severity"], &payload["source"], &payload["class"]),
            (&json!("critical"), &json!("1"), &json!("load"))
        );
        assert_eq!(
            (&payload["custom_details"]["num_firing"], &payload["custom_details"]["team"]),
            (&json!(1), &json!("a"))
        );
        told.alerts[0].acknowledged =
            Some(Acknowledged { by: "b".into(), note: "c".into(), at_ms: 0, until_ms: None });
        let acknowledge = event(&told);
        assert_eq!(acknowledge["event_action"], "acknowledge");
        told.alerts[0].status = Status::Resolved;
        let resolve = event(&told);
        assert_eq!(resolve["event_action"], "resolve");
        assert!(resolve.get("payload").is_none());
        assert!([&acknowledge, &resolve].iter().all(|event| event["dedup_key"] == trigger["dedup_key"]));
    }

    #[test]
    fn an_event_is_never_larger_than_pagerduty_takes() {
        let mut told = notification("team", "g", &["1"]);
        told.alerts[0].annotations.insert("description".into(), "x".repeat(600_000));
        let request = pagerduty().request(&Told::new(&told, true, "http://g", 0).unwrap()).unwrap();
        assert!(request.body.len() < EVENT && String::from_utf8_lossy(&request.body).contains("were larger"));
    }
}
