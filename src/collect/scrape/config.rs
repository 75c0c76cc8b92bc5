//! Settings of scraping: `scrape_configs` in Prometheus' own keys, and the defaults of `global`.
//!
//! What a key means is what it means in Prometheus. What differs is told at the fields: the interval is 1 s by default
//! and there is a limit to the size of a page. Keys that need something this version has not (other discoveries, a
//! proxy, OAuth) are refused by name.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::relabel::{self, Rule};
use crate::config::Config as Whole;
use crate::config::section::{Map, Reading};
use crate::config::units::format_duration;
use crate::config::yaml::Node;
use crate::http_client::{Client, Url};

/// The timeout of Prometheus, where the interval is not shorter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often files with targets are looked at, unless `refresh_interval` is shorter. Prometheus is told by the kernel
/// when one changes; to look at the time of a few files costs less than that machinery.
const FILE_REFRESH: Duration = Duration::from_secs(5);

/// How often targets are asked for over HTTP, as in Prometheus.
const HTTP_REFRESH: Duration = Duration::from_secs(60);

/// The job of targets given by `--scrape`.
const FLAG_JOB: &str = "scrape";

/// Settings of scraping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--scrape`, repeatable: URLs that are scraped without more configuration, as targets of the job `scrape`.
    pub urls: Vec<String>,
    /// `global.scrape_interval`: 1 ms to 1 d; 1 s by default, where Prometheus has 1 m: this is the live edge.
    pub interval: Duration,
    /// `global.scrape_timeout`; 0, the default, is the interval but at most 10 s.
    pub timeout: Duration,
    /// Limits of jobs that say none of their own.
    pub limits: Limits,
    /// `scrape_configs`.
    pub jobs: Vec<Job>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            urls: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::ZERO,
            limits: Limits::default(),
            jobs: Vec::new(),
        }
    }
}

impl Config {
    /// All jobs: those of the file, and one for each distinct path that `--scrape` names.
    #[must_use]
    pub fn all_jobs(&self) -> Vec<Job> {
        let mut jobs = self.jobs.clone();
        let urls: Vec<Url> = self.urls.iter().filter_map(|text| Url::of_flag(text).ok()).collect();
        if urls.is_empty() {
            return jobs;
        }
        let mut name = FLAG_JOB.to_owned();
        while jobs.iter().any(|job| job.name == name) {
            name.push('_');
        }
        let mut job = Job::new(name, self);
        let group = |url: Url| {
            let mut labels = BTreeMap::from([
                ("__scheme__".to_owned(), url.scheme().to_owned()),
                ("__metrics_path__".to_owned(), url.path.clone()),
            ]);
            labels.extend(url.params.iter().map(|(name, value)| (format!("__param_{name}"), value.clone())));
            Group { targets: vec![url.address()], labels }
        };
        job.statics = urls.into_iter().map(group).collect();
        jobs.push(job);
        jobs
    }

    fn timeout_of(&self, interval: Duration) -> Duration {
        if self.timeout.is_zero() { TIMEOUT.min(interval) } else { self.timeout.min(interval) }
    }
}

/// What a scrape may be. 0 is no limit, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `body_size_limit`: bytes of the page, decompressed; 16 MiB by default, where Prometheus has no limit: a page of
    /// 100,000 series is about 10 MB.
    pub body_size: usize,
    /// `sample_limit`: samples that are left after relabelling.
    pub samples: usize,
    /// `label_limit`: labels of a sample, the name included.
    pub labels: usize,
    /// `label_name_length_limit`: bytes of a label name.
    pub label_name: usize,
    /// `label_value_length_limit`: bytes of a label value.
    pub label_value: usize,
    /// `target_limit`: targets of a job.
    pub targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_size: 16 << 20, samples: 0, labels: 0, label_name: 0, label_value: 0, targets: 0 }
    }
}

/// A protocol that a target can be asked for, by Prometheus' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `OpenMetricsText1.0.0`.
    OpenMetrics1,
    /// `OpenMetricsText0.0.1`.
    OpenMetrics0,
    /// `PrometheusText1.0.0`.
    Text1,
    /// `PrometheusText0.0.4`.
    Text0,
}

impl Protocol {
    /// All, in the order of preference that Prometheus has.
    pub const ALL: [Protocol; 4] =
        [Protocol::OpenMetrics1, Protocol::OpenMetrics0, Protocol::Text1, Protocol::Text0];

    const WORDS: [&str; 4] =
        ["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"];

    /// As `Accept` has it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Protocol::OpenMetrics1 => "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
            Protocol::OpenMetrics0 => "application/openmetrics-text;version=0.0.1",
            Protocol::Text1 => "text/plain;version=1.0.0;escaping=allow-utf-8",
            Protocol::Text0 => "text/plain;version=0.0.4",
        }
    }
}

/// Targets with labels in common: an item of `static_configs`, of a file, or of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}

/// `file_sd_configs`: targets in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Paths to `.json`, `.yml`, `.yaml`; `*` and `?` in the last part.
    pub patterns: Vec<PathBuf>,
    /// How often they are looked at.
    pub refresh: Duration,
}

/// `http_sd_configs`: targets that a server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub url: Url,
    /// How often.
    pub refresh: Duration,
    /// How.
    pub client: Client,
}

/// An item of `scrape_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `job_name`, unique; the label `job` of its targets unless relabelling says otherwise.
    pub name: String,
    /// `scrape_interval`.
    pub interval: Duration,
    /// `scrape_timeout`, at most the interval.
    pub timeout: Duration,
    /// `metrics_path`.
    pub path: String,
    /// `scheme: https`.
    pub tls: bool,
    /// `params`: of the query, several values each.
    pub params: BTreeMap<String, Vec<String>>,
    /// `honor_labels`: labels of the page win over those of the target; else they get the prefix `exported_`.
    pub honor_labels: bool,
    /// `honor_timestamps`: samples keep the time that the page gives them.
    pub honor_timestamps: bool,
    /// `enable_compression`: gzip is asked for.
    pub compression: bool,
    /// `extra_scrape_metrics`: three more automatic series.
    pub extra_metrics: bool,
    /// `scrape_protocols`.
    pub protocols: Vec<Protocol>,
    /// `fallback_scrape_protocol`: what a page is that does not say, or says something else.
    pub fallback: Option<Protocol>,
    /// `keep_dropped_targets`: how many of those that relabelling drops are shown; 0 is all.
    pub keep_dropped: usize,
    /// Limits.
    pub limits: Limits,
    /// How requests are made.
    pub client: Client,
    /// `static_configs`.
    pub statics: Vec<Group>,
    /// `file_sd_configs`.
    pub files: Vec<Files>,
    /// `http_sd_configs`.
    pub asked: Vec<Asked>,
    /// `relabel_configs`.
    pub relabel: Vec<Rule>,
    /// `metric_relabel_configs`.
    pub metric_relabel: Vec<Rule>,
}

impl Job {
    /// A job without targets, with the defaults of `global`.
    #[must_use]
    pub fn new(name: String, config: &Config) -> Self {
        Job {
            name,
            interval: config.interval,
            timeout: config.timeout_of(config.interval),
            path: "/metrics".into(),
            tls: false,
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            compression: true,
            extra_metrics: false,
            protocols: Protocol::ALL.into(),
            fallback: None,
            keep_dropped: 0,
            limits: config.limits,
            client: Client::default(),
            statics: Vec::new(),
            files: Vec::new(),
            asked: Vec::new(),
            relabel: Vec::new(),
            metric_relabel: Vec::new(),
        }
    }
}

/// Discoveries of Prometheus that this version has not, and what else a job can have there.
const UNSUPPORTED: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "convert_classic_histograms_to_nhcb",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_headers",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "metric_name_escaping_scheme",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
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
    "scaleway_sd_configs",
    "scrape_failure_log_file",
    "scrape_native_histograms",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// Reads `scrape_configs`.
pub(crate) fn read(whole: &mut Whole, reading: &Reading<'_>, node: &Node) {
    let mut names = HashSet::new();
    let items = reading.list(node, "scrape_configs");
    let jobs = items.iter().filter_map(|item| reading.map(item, "a scrape configuration"));
    let jobs: Vec<Job> = jobs
        .filter_map(|map| job(&map, &whole.scrape, &mut names).inspect(|_| map.finish(UNSUPPORTED)))
        .collect();
    whole.scrape.jobs = jobs;
}

fn job(map: &Map<'_, '_, '_>, config: &Config, names: &mut HashSet<String>) -> Option<Job> {
    let name = map.text("job_name").filter(|name| !name.is_empty()).unwrap_or_else(|| {
        map.fault("job_name", "a scrape configuration needs a `job_name`");
        String::new()
    });
    if !name.is_empty() && !names.insert(name.clone()) {
        map.fault("job_name", format!("the job `{name}` is already given"));
    }
    let mut job = Job::new(name, config);
    if let Some(interval) = positive(map, "scrape_interval") {
        job.interval = interval;
        job.timeout = config.timeout_of(interval);
    }
    if let Some(timeout) = positive(map, "scrape_timeout") {
        if timeout > job.interval && map.reading().settled {
            let (timeout, interval) = (format_duration(timeout), format_duration(job.interval));
            map.fault(
                "scrape_timeout",
                format!("the timeout of {timeout} is longer than the interval of {interval}"),
            );
        }
        job.timeout = timeout;
    }
    if let Some(path) = map.text("metrics_path").filter(|path| !path.is_empty()) {
        if !path.starts_with('/') {
            map.fault("metrics_path", format!("{path:?} does not start with a slash"));
        }
        job.path = path;
    }
    job.tls = map.choice("scheme", &["http", "https"]) == Some(1);
    if let Some(params) = map.node("params") {
        job.params = lists(map.reading(), params);
    }
    set(&mut job.honor_labels, map.flag("honor_labels"));
    set(&mut job.honor_timestamps, map.flag("honor_timestamps"));
    set(&mut job.compression, map.flag("enable_compression"));
    set(&mut job.extra_metrics, map.flag("extra_scrape_metrics"));
    set(&mut job.keep_dropped, map.count("keep_dropped_targets"));
    // These say what is so anyway: HTTP/1.1, classic histograms, UTF-8, and series that are gone are stale.
    for so_anyway in [
        "enable_http2",
        "always_scrape_classic_histograms",
        "scrape_classic_histograms",
        "track_timestamps_staleness",
    ] {
        map.flag(so_anyway);
    }
    map.choice("metric_name_validation_scheme", &["utf8", "legacy"]);
    if let Some(words) = map.texts("scrape_protocols") {
        let find = |word: &String| Protocol::WORDS.iter().position(|known| known == word);
        match words.iter().map(find).collect::<Option<Vec<_>>>() {
            Some(found) if !found.is_empty() => {
                job.protocols = found.into_iter().map(|at| Protocol::ALL[at]).collect();
            }
            _ => map.fault("scrape_protocols", format!("possible are {}", Protocol::WORDS.join(", "))),
        }
    }
    job.fallback = map.choice("fallback_scrape_protocol", &Protocol::WORDS).map(|at| Protocol::ALL[at]);
    set(&mut job.limits.body_size, map.size("body_size_limit"));
    set(&mut job.limits.samples, map.count("sample_limit"));
    set(&mut job.limits.labels, map.count("label_limit"));
    set(&mut job.limits.label_name, map.count("label_name_length_limit"));
    set(&mut job.limits.label_value, map.count("label_value_length_limit"));
    set(&mut job.limits.targets, map.count("target_limit"));
    job.client = Client::read(map);
    for map in map.maps("static_configs") {
        job.statics.push(group(&map));
        map.finish(&[]);
    }
    for map in map.maps("file_sd_configs") {
        job.files.extend(files(&map));
        map.finish(&[]);
    }
    for map in map.maps("http_sd_configs") {
        job.asked.extend(asked(&map));
        map.finish(&["oauth2", "proxy_url", "http_headers"]);
    }
    job.relabel = relabel::read(map, "relabel_configs");
    job.metric_relabel = relabel::read(map, "metric_relabel_configs");
    Some(job)
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

/// A mapping of names to lists of texts.
fn lists(reading: &Reading<'_>, node: &Node) -> BTreeMap<String, Vec<String>> {
    use crate::config::yaml::Value;
    let Value::Map(entries) = &node.value else {
        reading.fault(node.at, format!("`params` must be a mapping, not {}", node.value.name()));
        return BTreeMap::new();
    };
    let values = |name: &str, node: &Node| -> Vec<String> {
        reading.list(node, name).iter().filter_map(|item| reading.scalar(item, name)).collect()
    };
    entries.iter().map(|(key, node)| (key.text.clone(), values(&key.text, node))).collect()
}

/// One item of targets and labels.
pub(crate) fn group(map: &Map<'_, '_, '_>) -> Group {
    let targets = map.texts("targets").unwrap_or_default();
    for target in &targets {
        if target.contains('/') || target.is_empty() {
            map.fault(
                "targets",
                format!("{target:?} is not HOST:PORT; scheme and path are settings of the job"),
            );
        }
    }
    Group { targets, labels: map.labels("labels") }
}

/// Files with targets.
pub(crate) fn files(map: &Map<'_, '_, '_>) -> Option<Files> {
    let refresh = positive(map, "refresh_interval").map_or(FILE_REFRESH, |given| given.min(FILE_REFRESH));
    let folder = map.reading().folder();
    let patterns: Vec<PathBuf> =
        map.texts("files").unwrap_or_default().into_iter().map(|text| folder.join(text)).collect();
    if patterns.is_empty() {
        map.fault("files", "`files` must name at least one file");
        return None;
    }
    for pattern in &patterns {
        let extension = pattern.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("json" | "yml" | "yaml")) {
            map.fault("files", format!("{:?} is not a .json, .yml or .yaml", pattern.display().to_string()));
        }
    }
    Some(Files { patterns, refresh })
}

fn asked(map: &Map<'_, '_, '_>) -> Option<Asked> {
    let refresh = positive(map, "refresh_interval").unwrap_or(HTTP_REFRESH);
    let client = Client::read(map);
    if map.node("url").is_none() {
        map.fault("url", "an item of `http_sd_configs` needs a `url`");
    }
    let url = map.parsed("url", Url::parse)?;
    Some(Asked { url, refresh, client })
}

/// A URL to scrape, as `--scrape` has it.
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    Url::of_flag(text).map(drop)
}
