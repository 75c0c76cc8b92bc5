//! `webhook_configs`: Alertmanager's payload, version 4, so that whatever takes that takes ours.
//!
//! With a `secret` a request is signed. `X-Gaugecast-Timestamp` has the time of the attempt in Unix seconds, and
//! `X-Gaugecast-Signature` is `sha256=` and, in hexadecimal, HMAC-SHA256 with the secret over that time, a dot, and the body. A
//! receiver compares it in constant time and refuses what is older than a few minutes, so that nobody can send it again.
//! `Idempotency-Key` is the same at each attempt.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use ring::hmac;
use serde::Serialize;

use super::config::{http, needed};
use super::http::Request;
use super::message::{Told, hex};
use super::template::{self, Text};
use crate::alert::{Notified, Status};
use crate::config::Credential;
use crate::config::section::Map;
use crate::history::export::iso;
use crate::http_client::{Client, Failure, Url};

/// The header with the time of the attempt.
pub const TIMESTAMP: &str = "x-gaugecast-timestamp";

/// The header with the signature.
pub const SIGNATURE: &str = "x-gaugecast-signature";

/// An item of `webhook_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `url` or `url_file`. Many hold a secret, so it is one.
    pub url: Credential,
    /// `max_alerts`: of more alerts only so many are sent, and `truncatedAlerts` says how many are not; 0, the default, is all.
    pub max_alerts: usize,
    /// `secret` or `secret_file`: requests are signed with it.
    pub secret: Option<Credential>,
    /// `body`: a template for the whole body, in place of Alertmanager's payload. Values are escaped as in texts of JSON.
    pub body: Option<Text>,
    /// `http_config`.
    pub client: Client,
}

impl Webhook {
    pub(super) const UNSUPPORTED: &[&str] = &["payload"];

    pub(super) fn read(map: &Map<'_, '_, '_>) -> Option<Webhook> {
        let url = url(map, "url", "url_file");
        let webhook = Webhook {
            url: Credential::File("".into()),
            max_alerts: map.count("max_alerts").unwrap_or(0),
            secret: map.credential("secret", "secret_file"),
            body: Text::read(map, "body"),
            client: http(map),
        };
        Some(Webhook { url: needed(map, "url", "a webhook", url)?, ..webhook })
    }

    /// The request.
    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, Failure> {
        let own = self.body.as_ref().and_then(|text| text.expand(told, template::json));
        let body = match own {
            Some(body) => Bytes::from(body),
            None => serde_json::to_vec(&Payload::new(told, self.max_alerts)).map_err(unwritable)?.into(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let value = |text: &str| HeaderValue::from_str(text).map_err(unwritable);
        headers.insert("idempotency-key", value(&told.idempotency_key())?);
        if let Some(secret) = &self.secret {
            let secret = secret.read().map_err(|error| Failure::new("credentials", error.to_string()))?;
            let time = told.now_ms.div_euclid(1000).to_string();
            headers.insert(TIMESTAMP, value(&time)?);
            headers.insert(SIGNATURE, value(&signature(secret.expose(), &time, &body))?);
        }
        Ok(Request { url: read_url(&self.url)?, headers, body })
    }
}

/// A URL that is taken as a secret, checked where it stands in the file itself.
pub(super) fn url(map: &Map<'_, '_, '_>, key: &'static str, file_key: &'static str) -> Option<Credential> {
    let url = map.credential(key, file_key)?;
    if let Credential::Given(text) = &url
        && Url::parse(text.expose()).is_err()
    {
        map.fault(key, "this is not a URL that begins with http:// or https://");
    }
    Some(url)
}

/// The URL itself.
pub(super) fn read_url(url: &Credential) -> Result<Url, Failure> {
    let text = url.read().map_err(|error| Failure::new("credentials", error.to_string()))?;
    // What is wrong with it is not said, as it may be a secret.
    Url::parse(text.expose()).map_err(|_| Failure::new("credentials", "the file holds no URL"))
}

/// A text that cannot be sent.
pub(super) fn unwritable(error: impl std::fmt::Display) -> Failure {
    Failure::new("syntax", format!("no message can be made of it: {error}"))
}

fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [time.as_bytes(), b".", body] {
        context.update(part);
    }
    format!("sha256={}", hex(context.sign().as_ref()))
}

/// Alertmanager's payload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    receiver: &'a str,
    status: Status,
    alerts: Vec<Alert<'a>>,
    group_labels: &'a BTreeMap<String, String>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: Status,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: &'a str,
}

/// What Go writes for no time: an alert that fires has no end.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

impl<'a> Payload<'a> {
    fn new(told: &'a Told<'a>, max_alerts: usize) -> Self {
        let most = if max_alerts == 0 { usize::MAX } else { max_alerts };
        let alert = |alert: &&'a Notified| Alert {
            status: alert.status,
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: iso(alert.starts_at_ms),
            ends_at: alert.ends_at_ms.map_or_else(|| NO_TIME.to_owned(), iso),
            generator_url: told.page(alert),
            fingerprint: &alert.fingerprint,
        };
        Payload {
            receiver: &told.notification.receiver,
            status: told.status(),
            alerts: told.alerts.iter().take(most).map(alert).collect(),
            group_labels: &told.notification.group_labels,
            common_labels: told.common_labels(),
            common_annotations: told.common_annotations(),
            external_url: told.external_url,
            version: "4",
            group_key: &told.notification.group_key,
            truncated_alerts: told.alerts.len().saturating_sub(most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_payload_is_that_of_alertmanager_version_4() {
        let mut two = notification("team", "{}:{alertname=\"HighLoad\"}", &["1", "2"]);
        two.alerts[1].status = Status::Resolved;
        two.alerts[1].ends_at_ms = Some(60_000);
        let told = Told::new(&two, true, "http://g", 0).unwrap();
        let payload = serde_json::to_value(Payload::new(&told, 1)).unwrap();
        let alert = serde_json::json!({
            "status": "firing", "fingerprint": "1", "startsAt": "1970-01-01T00:00:01.000Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://g/#query?expr=up",
            "labels": {"alertname": "HighLoad", "severity": "critical", "job": "web", "instance": "1"},
            "annotations": {"summary": "load <is> high & \"rising\""},
        });
        let wanted = serde_json::json!({
            "receiver": "team", "status": "firing", "version": "4", "truncatedAlerts": 1, "externalURL": "http://g",
            "groupKey": "{}:{alertname=\"HighLoad\"}", "groupLabels": {"alertname": "HighLoad"},
            "commonLabels": {"alertname": "HighLoad", "severity": "critical", "job": "web"},
            "commonAnnotations": {"summary": "load <is> high & \"rising\""}, "alerts": [alert],
        });
        assert_eq!(payload, wanted);
        let all = Payload::new(&told, 0);
        assert_eq!(
            (all.alerts.len(), all.truncated_alerts, &*all.alerts[1].ends_at),
            (2, 0, "1970-01-01T00:01:00.000Z")
        );
    }

    #[test]
    fn a_request_is_signed_over_its_time_and_body() {
        // RFC 4231, test case 2, has this key; the message here is another.
        let webhook = Webhook {
            url: Credential::Given(Secret::new("http://a/hook")),
            max_alerts: 0,
            secret: Some(Credential::Given(Secret::new("Jefe"))),
            body: None,
            client: Client::default(),
        };
        let one = notification("team", "g", &["00ff"]);
        let request =
            webhook.request(&Told::new(&one, true, "http://g", 1_700_000_000_999).unwrap()).unwrap();
        assert_eq!(request.headers[TIMESTAMP], "1700000000");
        assert_eq!(request.headers["idempotency-key"], "00ff:1");
        let signed = request.headers[SIGNATURE].to_str().unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let message = [b"1700000000.", &request.body[..]].concat();
        assert_eq!(signed, format!("sha256={}", hex(hmac::sign(&key, &message).as_ref())));
        assert_eq!(
            signature("Jefe", "what do ya want for nothing?", b""),
            format!("sha256={}", hex(hmac::sign(&key, b"what do ya want for nothing?.").as_ref()))
        );
    }
}
