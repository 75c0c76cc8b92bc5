//! Texts of messages that a user writes: templates with Alertmanager's data.
//!
//! A [`Text`] is read when the configuration is, so that what is wrong with it is told then. What goes wrong only when it is filled in
//! is told in the log, and the text that is there by default is sent: somebody has to know of the alert all the same.
//!
//! Values of labels and annotations come from outside and must not become markup, so they are escaped as the channel needs it, which
//! Alertmanager does for HTML alone.

use tracing::warn;

use super::message::Told;
use crate::alert::template::functions::ALERT;
use crate::alert::template::{Env, Template, Value};
use crate::alert::{Notified, Status};
use crate::config::section::Map;

/// A template of a message.
#[derive(Clone, Debug)]
pub struct Text {
    text: String,
    template: Template,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl Text {
    /// Reads that of a key.
    pub(super) fn read(map: &Map<'_, '_, '_>, key: &'static str) -> Option<Text> {
        let text = map.verbatim(key)?;
        Text::parse(text).map_err(|why| map.fault(key, why)).ok()
    }

    /// Reads one, or says what is wrong with it.
    pub(super) fn parse(text: String) -> Result<Text, String> {
        let template = Template::parse_with(&text, &[]).map_err(|error| error.to_string())?;
        Ok(Text { text, template })
    }

    /// Fills it in; nothing if that fails.
    pub(super) fn expand(&self, told: &Told<'_>, escape: fn(&str) -> String) -> Option<String> {
        let query = |_: &str| Err("a message cannot ask for samples".to_owned());
        let env = Env { external_url: told.external_url, now_ms: told.now_ms, query: &query };
        let expanded = self.template.expand_with(data(told, escape), &[], &env);
        expanded
            .map_err(|error| {
                let receiver = &*told.notification.receiver;
                warn!(receiver, %error, "a template of a message fails; the text by default is sent");
            })
            .ok()
    }
}

/// Escapes nothing.
pub(super) fn plain(text: &str) -> String {
    text.to_owned()
}

/// As within the quotes of a text in JSON.
pub(super) fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

fn word(status: Status) -> Value {
    Value::text(match status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    })
}

/// Alertmanager's data.
fn data(told: &Told<'_>, escape: fn(&str) -> String) -> Value {
    let alerts = told.alerts.iter().map(|alert| of(told, alert, escape));
    let escaped = |(name, value)| (name, escape(value));
    Value::record(
        "template.Data",
        vec![
            ("Receiver", Value::text(&*told.notification.receiver)),
            ("Status", word(told.status())),
            ("Alerts", Value::List(alerts.collect())),
            (
                "GroupLabels",
                Value::labels(told.notification.group_labels.iter().map(|(n, v)| (&**n, escape(v)))),
            ),
            ("CommonLabels", Value::labels(told.common_labels().into_iter().map(escaped))),
            ("CommonAnnotations", Value::labels(told.common_annotations().into_iter().map(escaped))),
            ("ExternalURL", Value::text(told.external_url)),
        ],
    )
}

fn of(told: &Told<'_>, alert: &Notified, escape: fn(&str) -> String) -> Value {
    let time = |ms: i64| Value::Time(i128::from(ms) * 1_000_000);
    // Go's zero time.
    let never = Value::Time(-62_135_596_800 * 1_000_000_000);
    Value::record(
        ALERT,
        vec![
            ("Status", word(alert.status)),
            ("Labels", Value::labels(alert.labels.iter().map(|(n, v)| (&**n, escape(v))))),
            ("Annotations", Value::labels(alert.annotations.iter().map(|(n, v)| (&**n, escape(v))))),
            ("StartsAt", time(alert.starts_at_ms)),
            ("EndsAt", alert.ends_at_ms.map_or(never, time)),
            ("GeneratorURL", Value::text(told.page(alert))),
            ("Fingerprint", Value::text(&*alert.fingerprint)),
            ("Severity", Value::text(alert.severity.as_str())),
            ("Value", Value::Float(alert.value)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;

    fn expanded(text: &str) -> Option<String> {
        let mut two = notification("team", "g", &["1", "2"]);
        two.alerts[1].status = Status::Resolved;
        let told = Told::new(&two, true, "http://g", 0).unwrap();
        Text::parse(text.to_owned()).unwrap().expand(&told, plain)
    }

    #[test]
    fn a_message_has_alertmanagers_data_and_its_methods() {
        for (text, wanted) in [
            ("{{ .Status }} {{ .Receiver }} {{ .ExternalURL }}", "firing team http://g"),
            ("{{ len .Alerts }} {{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }}", "2 1 1"),
            (
                "{{ .GroupLabels.alertname }} {{ .CommonLabels.job }} [{{ .CommonLabels.instance }}]",
                "HighLoad web []",
            ),
            (
                "{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}",
                "alertname=HighLoad job=web severity=critical ",
            ),
            (
                "{{ .CommonLabels.Names }} {{ .CommonLabels.Values }}",
                "[alertname job severity] [HighLoad web critical]",
            ),
            (
                "{{ range .Alerts.Firing }}{{ .Labels.instance }} {{ .StartsAt.Unix }} {{ .Value }}{{ end }}",
                "1 1 1.5",
            ),
            ("{{ (index .Alerts 0).GeneratorURL }}", "http://g/#query?expr=up"),
        ] {
            assert_eq!(expanded(text).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(expanded("{{ .Nothing }}"), None, "the text by default is told then");
        assert!(Text::parse("{{ .Status ".to_owned()).is_err());
    }

    #[test]
    fn a_value_stays_within_its_quotes() {
        assert_eq!(json("a\"b\\\n"), "a\\\"b\\\\\\n");
        assert_eq!(json("\"\""), "\\\"\\\"");
    }
}
