//! Settings of remote write out: `remote_write` in Prometheus' own keys.
//!
//! What a key means is what it means in Prometheus. Keys that need something this version has not (signatures of clouds, a
//! proxy, native histograms, exemplars) are refused by name. `capacity` and the shards of `queue_config` are read and
//! say what is not needed: the history is the queue, and one request at a time keeps the order.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use crate::collect::scrape::relabel::{self, Rule};
use crate::config::Config as Whole;
use crate::config::section::{Map, Reading};
use crate::config::yaml::Node;
use crate::http_client::{Client, Url};
use crate::remote::Version;

/// Most samples of one request: with 30 bytes of labels each they stay far below the 32 MiB that a receiver takes.
const MOST_SAMPLES: usize = 100_000;

/// Settings of remote write out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `remote_write`: whom samples are sent to.
    pub receivers: Vec<Receiver>,
}

/// An item of `remote_write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// `name`, unique: the label `remote` of its figures. Host, port and path of the URL by default.
    pub name: String,
    /// `url`.
    pub url: Url,
    /// `remote_timeout`: of one request; 30 s by default.
    pub timeout: Duration,
    /// `headers`: sent with each request.
    pub headers: BTreeMap<String, String>,
    /// `write_relabel_configs`: applied after the external labels.
    pub relabel: Vec<Rule>,
    /// How requests are made. Redirects are not followed.
    pub client: Client,
    /// `protobuf_message`: 1.0 by default.
    pub version: Version,
    /// `queue_config`.
    pub queue: Queue,
    /// `metadata_config`: how often type, help and unit of all families are sent, 1 m by default; `None` is never. With 2.0
    /// they stand with each series instead.
    pub metadata: Option<Duration>,
}

/// `queue_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `max_samples_per_send`: 1 to 100,000; 2,000 by default.
    pub max_samples: usize,
    /// `batch_send_deadline`: a sample waits at most so long for others to go with it; 5 s by default.
    pub deadline: Duration,
    /// `min_backoff`: bound of the first wait after a failure; 30 ms by default.
    pub min_backoff: Duration,
    /// `max_backoff`: bound of later ones; 5 s by default.
    pub max_backoff: Duration,
    /// `sample_age_limit`: what is older is dropped instead of sent; 0, the default, is no limit.
    pub age_limit: Duration,
    /// `retry_on_http_429`: true by default, where Prometheus has false: who is told to come later comes later.
    pub retry_on_429: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            max_samples: 2000,
            deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            age_limit: Duration::ZERO,
            retry_on_429: true,
        }
    }
}

impl Receiver {
    /// One with the defaults.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Receiver {
            name: format!("{}{}", url.address(), url.path),
            url,
            timeout: Duration::from_secs(30),
            headers: BTreeMap::new(),
            relabel: Vec::new(),
            client: Client::default(),
            version: Version::V1,
            queue: Queue::default(),
            metadata: Some(Duration::from_secs(60)),
        }
    }
}

/// What a receiver can have in Prometheus and not in this version.
const UNSUPPORTED: &[&str] = &[
    "azuread",
    "google_iam",
    "http_headers",
    "no_proxy",
    "oauth2",
    "proxy_connect_header",
    "proxy_from_environment",
    "proxy_url",
    "round_robin_dns",
    "sigv4",
];

/// Headers that are ours to send.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "transfer-encoding",
    "user-agent",
    "www-authenticate",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
];

/// Reads `remote_write`.
pub(crate) fn read(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let mut names = HashSet::new();
    let items = reading.list(node, "remote_write");
    let receivers = items.iter().filter_map(|item| {
        let map = reading.map(item, "an item of `remote_write`")?;
        let receiver = receiver(&map);
        map.finish(UNSUPPORTED);
        let receiver = receiver?;
        if !names.insert(receiver.name.clone()) {
            let key = if map_has_name(item) { "name" } else { "url" };
            let why = format!("a receiver with the name `{}` is already given", receiver.name);
            reading.fault(reading.map(item, "it")?.place(key), why);
        }
        Some(receiver)
    });
    whole.remote_write.receivers = receivers.collect();
}

fn map_has_name(item: &Node) -> bool {
    use crate::config::yaml::Value;
    matches!(&item.value, Value::Map(entries) if entries.iter().any(|(key, _)| key.text == "name"))
}

fn receiver(map: &Map<'_, '_, '_>) -> Option<Receiver> {
    let url = map.parsed("url", Url::parse);
    if map.node("url").is_none() {
        map.fault("url", "an item of `remote_write` needs a `url`");
    }
    // All of it is read, so that all that is wrong is told.
    let nowhere =
        || Url { tls: false, host: String::new(), port: None, path: "/".into(), params: Vec::new() };
    let mut receiver = Receiver::new(url.clone().unwrap_or_else(nowhere));
    set(&mut receiver.name, map.text("name").filter(|name| !name.is_empty()));
    set(&mut receiver.timeout, positive(map, "remote_timeout"));
    receiver.headers = map.labels("headers");
    map.hide("headers");
    for (name, value) in &receiver.headers {
        if RESERVED.contains(&&*name.to_ascii_lowercase()) {
            map.fault("headers", format!("the header {name:?} cannot be set here"));
        } else if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
            map.fault("headers", format!("{name:?} is no header, or its value is none"));
        }
    }
    receiver.relabel = relabel::read(map, "write_relabel_configs");
    receiver.client = Client::read(map);
    let messages = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];
    if map.choice("protobuf_message", &messages) == Some(1) {
        receiver.version = Version::V2;
    }
    for (key, what) in [("send_exemplars", "exemplars"), ("send_native_histograms", "native histograms")] {
        if map.flag(key) == Some(true) {
            map.fault(key, format!("{what} are not kept, so none can be sent"));
        }
    }
    map.flag("enable_http2");
    if let Some(queue) = map.map("queue_config") {
        receiver.queue = self::queue(&queue);
        queue.finish(&[]);
    }
    if let Some(metadata) = map.map("metadata_config") {
        let interval = positive(&metadata, "send_interval");
        receiver.metadata = match metadata.flag("send") {
            Some(false) => None,
            _ => interval.or(receiver.metadata),
        };
        // As many families as samples go into a request.
        metadata.count("max_samples_per_send");
        metadata.finish(&[]);
    }
    url.map(|_| receiver)
}

fn queue(map: &Map<'_, '_, '_>) -> Queue {
    let mut queue = Queue::default();
    for not_needed in ["capacity", "min_shards", "max_shards"] {
        map.count(not_needed);
    }
    if let Some(most) = map.count("max_samples_per_send") {
        if !(1..=MOST_SAMPLES).contains(&most) {
            map.fault("max_samples_per_send", format!("{most} is not from 1 to {MOST_SAMPLES}"));
        }
        queue.max_samples = most.clamp(1, MOST_SAMPLES);
    }
    set(&mut queue.deadline, positive(map, "batch_send_deadline"));
    set(&mut queue.min_backoff, positive(map, "min_backoff"));
    set(&mut queue.max_backoff, positive(map, "max_backoff"));
    if queue.min_backoff > queue.max_backoff {
        map.fault("min_backoff", "`min_backoff` is longer than `max_backoff`");
    }
    set(&mut queue.age_limit, map.duration("sample_age_limit"));
    set(&mut queue.retry_on_429, map.flag("retry_on_http_429"));
    queue
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn positive(map: &Map<'_, '_, '_>, key: &'static str) -> Option<Duration> {
    // As in Prometheus, 0 is not said.
    map.duration(key).filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::yaml;

    fn read_all(text: &str) -> Result<Vec<Receiver>, Vec<String>> {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let mut whole = Whole::default();
        read(&mut whole, &reading, &yaml::parse(text).0.unwrap());
        let faults: Vec<String> = reading.into_faults().into_iter().map(|(_, message)| message).collect();
        if faults.is_empty() { Ok(whole.remote_write.receivers) } else { Err(faults) }
    }

    #[test]
    fn every_key_is_read_and_what_is_not_said_is_the_default() {
        let url = Url::parse("http://a:9090/api/v1/write").unwrap();
        assert_eq!(read_all("[{url: 'http://a:9090/api/v1/write'}]").unwrap(), [Receiver::new(url.clone())]);
        let read = read_all(
            "- url: http://a:9090/api/v1/write\n  name: x\n  remote_timeout: 5s\n  headers: {X-Scope-OrgID: t}\n  \
             write_relabel_configs: [{action: labeldrop, regex: pod}]\n  authorization: {credentials: s}\n  \
             protobuf_message: io.prometheus.write.v2.Request\n  send_exemplars: false\n  queue_config: {capacity: 10000, \
             max_shards: 50, max_samples_per_send: 500, batch_send_deadline: 1s, min_backoff: 10ms, max_backoff: 1m, \
             sample_age_limit: 2h, retry_on_http_429: false}\n  metadata_config: {send: true, send_interval: 10s}\n",
        );
        let read = read.unwrap().remove(0);
        assert_eq!((&*read.name, read.timeout, read.version), ("x", Duration::from_secs(5), Version::V2));
        assert_eq!((read.relabel.len(), read.headers["X-Scope-OrgID"].as_str()), (1, "t"));
        assert!(read.client.auth.is_some());
        let queue = Queue {
            max_samples: 500,
            deadline: Duration::from_secs(1),
            min_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(60),
            age_limit: Duration::from_secs(7200),
            retry_on_429: false,
        };
        assert_eq!((read.queue, read.metadata), (queue, Some(Duration::from_secs(10))));
        let silent = read_all("[{url: 'http://a/', metadata_config: {send: false}}]").unwrap();
        assert_eq!(silent[0].metadata, None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("[{}]", "an item of `remote_write` needs a `url`"),
            ("[{url: a}]", "\"a\" is not a URL that begins with http:// or https://"),
            ("[{url: 'http://a/'}, {url: 'http://a/'}]", "a receiver with the name `a/` is already given"),
            ("[{url: 'http://a/', headers: {Host: b}}]", "the header \"Host\" cannot be set here"),
            ("[{url: 'http://a/', headers: {'a b': c}}]", "\"a b\" is no header"),
            ("[{url: 'http://a/', send_exemplars: true}]", "exemplars are not kept, so none can be sent"),
            ("[{url: 'http://a/', queue_confg: {}}]", "did you mean `queue_config`?"),
            ("[{url: 'http://a/', sigv4: {}}]", "`sigv4` is not supported by this version"),
            ("[{url: 'http://a/', queue_config: {max_samples_per_send: 0}}]", "0 is not from 1 to 100000"),
            ("[{url: 'http://a/', queue_config: {min_backoff: 10s}}]", "is longer than `max_backoff`"),
            ("[{url: 'http://a/', protobuf_message: x}]", "\"x\" is none of prometheus.WriteRequest,"),
        ] {
            let faults = read_all(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(told)), "{text}: {faults:?}");
        }
    }
}
