//! `slack_configs`: an incoming webhook of Slack, or of what speaks like it (Mattermost, Rocket.Chat).
//!
//! A notification is one attachment: the title with a link to the alerts, the alerts below it, the colour of the level at its
//! side. Slack reads `&`, `<` and `>` as its own in texts, so they are escaped; lengths are kept within what it shows.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::config::{Global, http, needed};
use super::http::Request;
use super::message::{Told, cut, facts};
use super::template::Text;
use super::webhook::{read_url, unwritable, url};
use crate::alert::{Severity, Status};
use crate::config::Credential;
use crate::config::section::Map;
use crate::http_client::{Client, Failure, Url};

/// Most characters of a title, so that it is one line.
const TITLE: usize = 250;

/// Most characters of a text of Slack's blocks; of an attachment it folds what is longer away.
const TEXT: usize = 3000;

/// An item of `slack_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    /// `api_url` or `api_url_file`, or that of `global`: the address that Slack gave, which is a secret.
    pub url: Credential,
    /// `channel`: another than that of the webhook, where it may say so.
    pub channel: Option<String>,
    /// `username`: likewise.
    pub username: Option<String>,
    /// `icon_emoji`: likewise.
    pub icon_emoji: Option<String>,
    /// `icon_url`: likewise.
    pub icon_url: Option<String>,
    /// `title`: a template, in place of the text by default.
    pub title: Option<Text>,
    /// `text`: likewise.
    pub text: Option<Text>,
    /// `http_config`.
    pub client: Client,
}

impl Slack {
    pub(super) const UNSUPPORTED: &[&str] = &[
        "actions",
        "app_token",
        "app_token_file",
        "app_url",
        "callback_id",
        "color",
        "fallback",
        "fields",
        "footer",
        "image_url",
        "link_names",
        "message_text",
        "mrkdwn_in",
        "pretext",
        "short_fields",
        "thumb_url",
        "title_link",
        "update_message",
    ];

    pub(super) fn read(map: &Map<'_, '_, '_>, global: &Global) -> Option<Slack> {
        let url = url(map, "api_url", "api_url_file").or_else(|| global.slack_url());
        if let Some(Credential::Given(text)) = &url
            && map.node("api_url").is_none()
            && Url::parse(text.expose()).is_err()
        {
            map.fault("api_url", "`global.slack_api_url` is not a URL that begins with http:// or https://");
        }
        let given = |key| map.text(key).filter(|text| !text.is_empty());
        let slack = Slack {
            url: Credential::File("".into()),
            channel: given("channel"),
            username: given("username"),
            icon_emoji: given("icon_emoji"),
            icon_url: given("icon_url"),
            title: Text::read(map, "title"),
            text: Text::read(map, "text"),
            client: http(map),
        };
        Some(Slack { url: needed(map, "api_url", "Slack", url)?, ..slack })
    }

    /// The request.
    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, Failure> {
        let body = Bytes::from(serde_json::to_vec(&self.payload(told)).map_err(unwritable)?);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Request { url: read_url(&self.url)?, headers, body })
    }

    fn payload(&self, told: &Told<'_>) -> Value {
        let own = |text: &Option<Text>| text.as_ref()?.expand(told, escape);
        let title = own(&self.title).map(|title| cut(&title, TITLE));
        let title = title.unwrap_or_else(|| escape(&cut(&told.title(), TITLE)));
        let text = own(&self.text).map(|text| cut(&text, TEXT)).unwrap_or_else(|| by_default(told));
        let mut payload = json!({
            "attachments": [{
                "fallback": title,
                "color": color(told),
                "title": title,
                "title_link": told.alerts_page(),
                "text": text,
                "mrkdwn_in": ["text"],
                "footer": "gaugecast",
                "ts": told.notification.at_ms.div_euclid(1000),
            }],
        });
        let named = [
            ("channel", &self.channel),
            ("username", &self.username),
            ("icon_emoji", &self.icon_emoji),
            ("icon_url", &self.icon_url),
        ];
        for (key, value) in named {
            if let Some(value) = value {
                payload[key] = value.as_str().into();
            }
        }
        payload
    }
}

/// The text of a message whose user has written none.
fn by_default(told: &Told<'_>) -> String {
    let mut text = Lines::default();
    let (named, more) = told.named();
    for alert in named {
        let (headline, lines) = facts(alert);
        text.line(&format!("*{}*", escape(&cut(&headline, 500))));
        for (name, said) in lines {
            text.line(&format!("{name}: {}", escape(&cut(&said, 500))));
        }
        // In a link only the bar and the bracket mean something.
        let page = told.page(alert).replace('|', "%7C").replace('<', "%3C").replace('>', "%3E");
        text.line(&format!("<{}|open>", page.replace('&', "&amp;")));
    }
    if more > 0 {
        text.line(&format!("and {more} more"));
    }
    if let Some(note) = told.note() {
        text.line(&note);
    }
    text.0
}

/// Lines up to the limit: a line is there whole or not at all, so that no entity and no link is cut.
#[derive(Default)]
struct Lines(String, bool);

impl Lines {
    fn line(&mut self, line: &str) {
        const REST: &str = "…";
        if self.1 {
            return;
        }
        if self.0.chars().count() + line.chars().count() + REST.len() + 2 > TEXT {
            self.0.push_str(REST);
            self.1 = true;
            return;
        }
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// What Slack reads as its own; nothing else needs it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn color(told: &Told<'_>) -> &'static str {
    match (told.status(), told.severity()) {
        (Status::Resolved, _) => "good",
        (_, Severity::Info) => "#439fe0",
        (_, Severity::Warning) => "warning",
        (_, Severity::Critical) => "danger",
        (_, Severity::Emergency) => "#7a0012",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;
    use crate::config::Secret;

    fn slack() -> Slack {
        Slack {
            url: Credential::Given(Secret::new("http://a/services/T/B/x")),
            channel: Some("#ops".into()),
            username: None,
            icon_emoji: None,
            icon_url: None,
            title: None,
            text: None,
            client: Client::default(),
        }
    }

    #[test]
    fn an_attachment_has_title_link_colour_and_escaped_text() {
        let one = notification("team", "g", &["1"]);
        let payload = slack().payload(&Told::new(&one, true, "http://g", 0).unwrap());
        assert_eq!(payload["channel"], "#ops");
        assert!(payload.get("username").is_none());
        let attachment = &payload["attachments"][0];
        assert_eq!(attachment["title"], "[FIRING:1] HighLoad (1 web)");
        assert_eq!(
            (&attachment["color"], &attachment["title_link"]),
            (&json!("danger"), &json!("http://g/#alerts"))
        );
        let text = attachment["text"].as_str().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "*critical: HighLoad: load &lt;is&gt; high &amp; \"rising\"*");
        assert_eq!(*lines.last().unwrap(), "<http://g/#query?expr=up|open>");
    }

    #[test]
    fn a_long_text_ends_at_a_line() {
        let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut many = notification("team", "g", &names);
        many.alerts.iter_mut().for_each(|alert| {
            alert.annotations.insert("summary".into(), "<".repeat(400));
        });
        let payload = slack().payload(&Told::new(&many, true, "http://g", 0).unwrap());
        let text = payload["attachments"][0]["text"].as_str().unwrap();
        assert!(text.chars().count() <= TEXT && text.ends_with("\n…"), "{text}");
    }
}
