//! Settings of the receivers: `receivers` in Alertmanager's keys, `alerting` in Prometheus' keys, and the keys of `global` that
//! Alertmanager has for both.
//!
//! What a key means is what it means there. Keys that this version has not (other integrations, other
//! discoveries) are refused by name and place. `log_configs`, `fallback` and `webhook_configs[].secret` are ours.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::email::Email;
use super::pagerduty::PagerDuty;
use super::slack::Slack;
use super::webhook::Webhook;
use crate::collect::scrape::relabel::{self, Rule};
use crate::collect::scrape::{Files, Group, discovered_files, discovered_group};
use crate::config::Config as Whole;
use crate::config::section::{Map, Reading};
use crate::config::yaml::Node;
use crate::config::{Credential, Secret};
use crate::http_client::{Client, Url};

/// How long one attempt may take, unless `timeout` says otherwise.
pub const ATTEMPT: Duration = Duration::from_secs(10);

/// Most integrations of all receivers together: each has a task and series of its own.
const MOST_CHANNELS: usize = 200;

/// Settings of the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `receivers`: whom the route can name.
    pub receivers: Vec<Receiver>,
    /// `alerting`.
    pub alerting: Alerting,
    /// What receivers inherit from `global`.
    pub global: Global,
}

impl Config {
    /// The names of all receivers, for whoever checks a route.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.receivers.iter().map(|receiver| &*receiver.name)
    }
}

/// An item of `receivers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// `name`, unique.
    pub name: String,
    /// `fallback`: receivers that are told, in this order, when none of the channels can; their own fallbacks are not followed.
    pub fallback: Vec<String>,
    /// Its channels; none is a receiver that tells nobody.
    pub channels: Vec<Channel>,
}

/// One way to tell: an item of one of the `…_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// How.
    pub kind: Kind,
    /// `send_resolved`: also tell what is over; as in Alertmanager true by default, but for Slack and email.
    pub send_resolved: bool,
    /// `timeout`: of an attempt, 10 s by default and at most 1 m.
    pub timeout: Duration,
}

/// The ways to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of the log for each alert.
    Log,
    /// `webhook_configs`.
    Webhook(Box<Webhook>),
    /// `slack_configs`.
    Slack(Box<Slack>),
    /// `pagerduty_configs`.
    PagerDuty(Box<PagerDuty>),
    /// `email_configs`.
    Email(Box<Email>),
}

impl Kind {
    /// Can it tell another program that somebody takes care?
    pub(super) const fn acknowledges(&self) -> bool {
        matches!(self, Kind::PagerDuty(_))
    }

    /// The word of the label `integration`, as in Alertmanager.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Webhook(_) => "webhook",
            Kind::Slack(_) => "slack",
            Kind::PagerDuty(_) => "pagerduty",
            Kind::Email(_) => "email",
        }
    }
}

/// `alerting`: the Alertmanagers that are told of all that fires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerting {
    /// `alertmanagers`.
    pub alertmanagers: Vec<Alertmanagers>,
    /// `alert_relabel_configs`: applied to the labels of each alert, after the external labels; what is dropped is not sent.
    pub relabel: Vec<Rule>,
}

/// An item of `alerting.alertmanagers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanagers {
    /// `scheme: https`.
    pub tls: bool,
    /// `path_prefix`, with a slash at its begin and none at its end; empty by default.
    pub path_prefix: String,
    /// `timeout` of a request; 10 s by default.
    pub timeout: Duration,
    /// How requests are made. Redirects are not followed.
    pub client: Client,
    /// `static_configs`.
    pub statics: Vec<Group>,
    /// `file_sd_configs`.
    pub files: Vec<Files>,
}

/// What receivers inherit from `global`.
#[derive(Clone, PartialEq, Eq)]
pub struct Global {
    /// `global.smtp_smarthost`.
    pub smtp_smarthost: Option<String>,
    /// `global.smtp_from`.
    pub smtp_from: Option<String>,
    /// `global.smtp_hello`: what we call ourselves; `localhost` by default.
    pub smtp_hello: Option<String>,
    /// `global.smtp_auth_username`.
    pub smtp_auth_username: Option<String>,
    /// `global.smtp_auth_password`.
    pub smtp_auth_password: Option<String>,
    /// `global.smtp_auth_password_file`.
    pub smtp_auth_password_file: Option<PathBuf>,
    /// `global.smtp_require_tls`; true by default.
    pub smtp_require_tls: bool,
    /// `global.slack_api_url`.
    pub slack_api_url: Option<String>,
    /// `global.slack_api_url_file`.
    pub slack_api_url_file: Option<PathBuf>,
    /// `global.pagerduty_url`.
    pub pagerduty_url: String,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            smtp_smarthost: None,
            smtp_from: None,
            smtp_hello: None,
            smtp_auth_username: None,
            smtp_auth_password: None,
            smtp_auth_password_file: None,
            smtp_require_tls: true,
            slack_api_url: None,
            slack_api_url_file: None,
            pagerduty_url: "https://events.pagerduty.com/v2/enqueue".into(),
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Global")
            .field("smtp_smarthost", &self.smtp_smarthost)
            .field("smtp_from", &self.smtp_from)
            .field("smtp_require_tls", &self.smtp_require_tls)
            .field("pagerduty_url", &self.pagerduty_url)
            .finish_non_exhaustive()
    }
}

/// A secret that stands in `global`, or in a file that it names.
fn inherited(text: Option<&String>, file: Option<&PathBuf>) -> Option<Credential> {
    let given = text.map(|text| Credential::Given(Secret::new(text.clone())));
    given.or_else(|| file.cloned().map(Credential::File))
}

impl Global {
    pub(super) fn smtp_password(&self) -> Option<Credential> {
        inherited(self.smtp_auth_password.as_ref(), self.smtp_auth_password_file.as_ref())
    }

    pub(super) fn slack_url(&self) -> Option<Credential> {
        inherited(self.slack_api_url.as_ref(), self.slack_api_url_file.as_ref())
    }
}

/// A smarthost: `HOST:PORT`.
pub(crate) fn check_smarthost(text: &str) -> Result<(), String> {
    smarthost(text).map(drop)
}

/// Host and port of a smarthost.
pub(super) fn smarthost(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not HOST:PORT");
    let (host, port) = crate::http_client::authority_of(text).map_err(|_| wrong())?;
    port.map(|port| (host, port)).ok_or_else(wrong)
}

/// An address of mail.
pub(crate) fn check_mailbox(text: &str) -> Result<(), String> {
    super::email::mailbox(text).map(drop)
}

/// A URL.
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    Url::parse(text).map(drop)
}

/// Any text.
pub(crate) fn check_nothing(_: &str) -> Result<(), String> {
    Ok(())
}

/// Integrations that Alertmanager has and this version has not.
const UNSUPPORTED: &[&str] = &[
    "discord_configs",
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "opsgenie_configs",
    "pushover_configs",
    "rocketchat_configs",
    "sns_configs",
    "telegram_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
];

/// Reads `receivers`.
pub(crate) fn read(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let global = whole.alert.receivers.global.clone();
    let maps: Vec<_> = reading
        .list(node, "receivers")
        .iter()
        .filter_map(|item| Some((item, reading.map(item, "a receiver")?)))
        .collect();
    let mut names = HashSet::new();
    let mut receivers = Vec::new();
    for (item, map) in maps {
        let name = map.text("name").filter(|name| !name.is_empty()).unwrap_or_else(|| {
            map.fault("name", "a receiver needs a `name`");
            String::new()
        });
        if !name.is_empty() && !names.insert(name.clone()) {
            map.fault("name", format!("the receiver `{name}` is already given"));
        }
        let fallback = map.texts("fallback").unwrap_or_default();
        let channels = channels(&map, &global);
        map.finish(UNSUPPORTED);
        receivers.push((item, Receiver { name, fallback, channels }));
    }
    for (item, receiver) in &receivers {
        let unknown = receiver.fallback.iter().find(|name| !names.contains(*name) || **name == receiver.name);
        if let (Some(unknown), Some(map)) = (unknown, reading.map(item, "a receiver")) {
            map.fault("fallback", format!("there is no other receiver `{unknown}`"));
        }
    }
    if receivers.iter().map(|(_, receiver)| receiver.channels.len()).sum::<usize>() > MOST_CHANNELS {
        reading.fault(node.at, format!("more than {MOST_CHANNELS} channels of all receivers"));
    }
    whole.alert.receivers.receivers = receivers.into_iter().map(|(_, receiver)| receiver).collect();
}

fn channels(map: &Map<'_, '_, '_>, global: &Global) -> Vec<Channel> {
    let mut channels = Vec::new();
    for one in map.maps("log_configs") {
        channels.push(channel(&one, Kind::Log, true));
        one.finish(&[]);
    }
    for one in map.maps("webhook_configs") {
        let read = Webhook::read(&one);
        let read = read.map(|webhook| channel(&one, Kind::Webhook(Box::new(webhook)), true));
        one.finish(Webhook::UNSUPPORTED);
        channels.extend(read);
    }
    for one in map.maps("slack_configs") {
        let read = Slack::read(&one, global);
        let read = read.map(|slack| channel(&one, Kind::Slack(Box::new(slack)), false));
        one.finish(Slack::UNSUPPORTED);
        channels.extend(read);
    }
    for one in map.maps("pagerduty_configs") {
        let read = PagerDuty::read(&one, global);
        let read = read.map(|pagerduty| channel(&one, Kind::PagerDuty(Box::new(pagerduty)), true));
        one.finish(PagerDuty::UNSUPPORTED);
        channels.extend(read);
    }
    for one in map.maps("email_configs") {
        let read = Email::read(&one, global);
        let read = read.map(|email| channel(&one, Kind::Email(Box::new(email)), false));
        one.finish(Email::UNSUPPORTED);
        channels.extend(read);
    }
    channels
}

fn channel(map: &Map<'_, '_, '_>, kind: Kind, send_resolved: bool) -> Channel {
    Channel { kind, send_resolved: map.flag("send_resolved").unwrap_or(send_resolved), timeout: timeout(map) }
}

fn timeout(map: &Map<'_, '_, '_>) -> Duration {
    let given = map.duration("timeout").filter(|given| !given.is_zero()).unwrap_or(ATTEMPT);
    if given > Duration::from_secs(60) {
        map.fault("timeout", "an attempt may take at most 1m");
    }
    given
}

/// `http_config`: how requests are made.
pub(super) fn http(map: &Map<'_, '_, '_>) -> Client {
    let Some(http) = map.map("http_config") else { return Client::default() };
    let client = Client::read(&http);
    http.flag("enable_http2");
    http.finish(&[
        "http_headers",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
    ]);
    client
}

/// Discoveries and other keys of Prometheus that this version has not.
const UNSUPPORTED_ALERTMANAGERS: &[&str] = &[
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_headers",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "no_proxy",
    "nomad_sd_configs",
    "oauth2",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "proxy_connect_header",
    "proxy_from_environment",
    "proxy_url",
    "puppetdb_sd_configs",
    "relabel_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "sigv4",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// Reads `alerting`.
pub(crate) fn read_alerting(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let Some(map) = reading.map(node, "`alerting`") else { return };
    let alertmanagers = map.maps("alertmanagers").into_iter().map(|one| {
        let mut read = Alertmanagers {
            tls: one.choice("scheme", &["http", "https"]) == Some(1),
            path_prefix: String::new(),
            timeout: timeout(&one),
            client: Client::read(&one),
            statics: Vec::new(),
            files: Vec::new(),
        };
        if let Some(prefix) = one.text("path_prefix") {
            let prefix = prefix.trim_end_matches('/');
            read.path_prefix =
                format!("{}{prefix}", if prefix.starts_with('/') || prefix.is_empty() { "" } else { "/" });
        }
        one.choice("api_version", &["v2"]);
        one.flag("enable_http2");
        for group in one.maps("static_configs") {
            read.statics.push(discovered_group(&group));
            group.finish(&[]);
        }
        for files in one.maps("file_sd_configs") {
            read.files.extend(discovered_files(&files));
            files.finish(&[]);
        }
        one.finish(UNSUPPORTED_ALERTMANAGERS);
        read
    });
    let alertmanagers = alertmanagers.collect();
    let relabel = relabel::read(&map, "alert_relabel_configs");
    map.finish(&[]);
    whole.alert.receivers.alerting = Alerting { alertmanagers, relabel };
}

/// A text that must not be empty, or a fault.
pub(super) fn needed<T>(map: &Map<'_, '_, '_>, key: &'static str, what: &str, found: Option<T>) -> Option<T> {
    if found.is_none() && map.node(key).is_none() {
        map.fault(key, format!("{what} needs `{key}`"));
    }
    found
}

/// Headers and the like, for a test.
pub(super) type Texts = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::yaml;

    fn read_all(text: &str) -> Result<Config, Vec<String>> {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new("/etc"), true);
        let mut whole = Whole::default();
        let root = yaml::parse(text).0.unwrap();
        let map = reading.map(&root, "the file").unwrap();
        if let Some(node) = map.node("receivers") {
            read(&mut whole, &reading, node);
        }
        if let Some(node) = map.node("alerting") {
            read_alerting(&mut whole, &reading, node);
        }
        let told = |(at, message): yaml::Fault| format!("{}:{} {message}", at.line, at.column);
        let faults: Vec<String> = reading.into_faults().into_iter().map(told).collect();
        if faults.is_empty() { Ok(whole.alert.receivers) } else { Err(faults) }
    }

    #[test]
    fn every_integration_is_read_in_alertmanagers_words() {
        let config = read_all(
            "receivers:\n- name: team\n  fallback: [log]\n  webhook_configs:\n  - {url: 'http://a/hook', max_alerts: 5, \
             send_resolved: false, timeout: 3s, secret: s, http_config: {authorization: {credentials: t}}}\n  \
             slack_configs:\n  - {api_url: 'https://hooks.slack.com/x', channel: '#ops'}\n  pagerduty_configs:\n  - \
             {routing_key: k, details: {team: a}}\n  email_configs:\n  - {to: 'a@b.example, c@d.example', from: \
             'g@b.example', smarthost: 'mail:25', require_tls: false}\n- name: log\n  log_configs: [{}]\nalerting:\n  \
             alertmanagers:\n  - {scheme: https, path_prefix: am/, api_version: v2, static_configs: [{targets: ['a:9093', \
             'b:9093']}], basic_auth: {username: u, password: p}}\n  alert_relabel_configs: [{action: labeldrop, regex: \
             replica}]\n",
        );
        let config = config.unwrap();
        assert_eq!(config.names().collect::<Vec<_>>(), ["team", "log"]);
        let team = &config.receivers[0];
        let words: Vec<_> = team.channels.iter().map(|channel| channel.kind.word()).collect();
        assert_eq!(words, ["webhook", "slack", "pagerduty", "email"]);
        let resolved: Vec<_> = team.channels.iter().map(|channel| channel.send_resolved).collect();
        assert_eq!(
            (resolved, team.fallback.as_slice()),
            (vec![false, false, true, false], &["log".to_owned()][..])
        );
        assert_eq!(team.channels[0].timeout, Duration::from_secs(3));
        assert_eq!(config.receivers[1].channels[0].kind, Kind::Log);
        let members = &config.alerting.alertmanagers[0];
        assert_eq!((members.tls, &*members.path_prefix, config.alerting.relabel.len()), (true, "/am", 1));
        assert_eq!(members.statics[0].targets, ["a:9093", "b:9093"]);
        for secret in ["\"s\"", "\"t\"", "\"p\"", "\"k\"", "hooks.slack.com"] {
            assert!(!format!("{config:?}").contains(secret), "{secret}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("receivers: [{}]", "1:13 a receiver needs a `name`"),
            ("receivers: [{name: a}, {name: a}]", "1:31 the receiver `a` is already given"),
            ("receivers: [{name: a, fallback: [b]}]", "there is no other receiver `b`"),
            ("receivers: [{name: a, fallback: [a]}]", "there is no other receiver `a`"),
            (
                "receivers: [{name: a, sns_configs: []}]",
                "1:23 `sns_configs` is not supported by this version",
            ),
            ("receivers: [{name: a, webhook_config: []}]", "did you mean `webhook_configs`?"),
            ("receivers: [{name: a, webhook_configs: [{}]}]", "a webhook needs `url`"),
            ("receivers: [{name: a, webhook_configs: [{url: x}]}]", "is not a URL"),
            ("receivers: [{name: a, slack_configs: [{}]}]", "Slack needs `api_url`"),
            (
                "receivers: [{name: a, slack_configs: [{api_url: 'http://a', title: '{{ .Status'}]}]",
                "1:68 template:1:1: unclosed action",
            ),
            ("receivers: [{name: a, pagerduty_configs: [{}]}]", "PagerDuty needs `routing_key`"),
            ("receivers: [{name: a, email_configs: [{to: x}]}]", "\"x\" is not an address"),
            (
                "receivers: [{name: a, email_configs: [{to: 'a@b.c', from: 'a@b.c'}]}]",
                "an email needs `smarthost`",
            ),
            ("receivers: [{name: a, webhook_configs: [{url: 'http://a', timeout: 2m}]}]", "at most 1m"),
            ("alerting: {alertmanagers: [{api_version: v1}]}", "\"v1\" is none of v2"),
            ("alerting: {alertmanagers: [{dns_sd_configs: []}]}", "`dns_sd_configs` is not supported"),
        ] {
            let faults = read_all(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(told)), "{text}: {faults:?}");
        }
    }
}
