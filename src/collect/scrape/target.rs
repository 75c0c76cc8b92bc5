//! What is scraped: labels as discovered, what relabelling makes of them, and how it fares.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::config::{Group, Job};
use super::relabel::{self, Labels};
use crate::config::units::{format_duration, parse_duration};
use crate::http_client::{Url, authority_of};

/// What a target is, once its labels are settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Labels before relabelling, those with two underscores included.
    pub discovered: Labels,
    /// Labels of its series: `job`, `instance` and what discovery and rules gave.
    pub labels: Labels,
    /// Where its page is.
    pub url: Url,
    /// Time between scrapes.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
}

/// What comes of an address under the rules of its job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A target.
    Active(Box<Settled>),
    /// The rules drop it: its labels before them.
    Dropped(Labels),
}

/// Settles one address of a group; `meta` are labels that the discovery gave.
///
/// # Errors
/// When what the rules leave is no target, for people.
pub(super) fn settle(
    job: &Job,
    group: &Group,
    address: &str,
    meta: Option<(&str, &str)>,
) -> Result<Found, String> {
    let mut labels = Labels::from([("__address__".to_owned(), address.to_owned())]);
    labels.extend(meta.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels.extend(group.labels.clone());
    let scheme = if job.tls { "https" } else { "http" };
    let (interval, timeout) = (format_duration(job.interval), format_duration(job.timeout));
    for (name, value) in [
        ("job", job.name.as_str()),
        ("__scrape_interval__", &interval),
        ("__scrape_timeout__", &timeout),
        ("__metrics_path__", &job.path),
        ("__scheme__", scheme),
    ] {
        labels.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            labels.entry(format!("__param_{name}")).or_insert_with(|| first.clone());
        }
    }
    labels.retain(|_, value| !value.is_empty());
    let discovered = labels.clone();
    if !relabel::apply(&job.relabel, &mut labels) {
        return Ok(Found::Dropped(discovered));
    }
    let get = |name: &str| labels.get(name).map_or("", String::as_str);
    let address = get("__address__").to_owned();
    if address.is_empty() {
        return Err("there is no address".into());
    }
    let (host, port) = authority_of(&address)?;
    let tls = match get("__scheme__") {
        "http" => false,
        "https" => true,
        other => return Err(format!("{other:?} is neither http nor https")),
    };
    let interval = parse_duration(get("__scrape_interval__"))?;
    let timeout = parse_duration(get("__scrape_timeout__"))?;
    if interval.is_zero() || timeout.is_zero() {
        return Err("the interval and the timeout must not be 0".into());
    }
    if timeout > interval {
        return Err(format!(
            "the timeout of {} is longer than the interval of {}",
            format_duration(timeout),
            format_duration(interval)
        ));
    }
    let path = Some(get("__metrics_path__")).filter(|path| path.starts_with('/'));
    let path = path.map_or_else(|| format!("/{}", get("__metrics_path__")), str::to_owned);
    // Of a parameter with several values, rules see and change the first.
    let mut params: Vec<(String, String)> = Vec::new();
    for (label, value) in &labels {
        let Some(name) = label.strip_prefix("__param_") else { continue };
        params.push((name.to_owned(), value.clone()));
        let others = job.params.get(name).into_iter().flat_map(|values| values.iter().skip(1));
        params.extend(others.map(|other| (name.to_owned(), other.clone())));
    }
    let parsed = Url::parse(&format!("{}://{address}{path}", get("__scheme__")))?;
    params.splice(0..0, parsed.params);
    let url = Url { tls, host, port, path: parsed.path, params };
    labels.retain(|name, _| !name.starts_with("__"));
    labels.entry("instance".to_owned()).or_insert(address);
    Ok(Found::Active(Box::new(Settled { discovered, labels, url, interval, timeout })))
}

impl Settled {
    /// A number that is the same for the same target, also in another process: its place within the interval.
    #[must_use]
    pub fn hash(&self) -> u64 {
        // SipHash with keys of zero; the standard library may change it, then the places change, once.
        let mut hasher = DefaultHasher::new();
        (&self.labels, self.url.to_string()).hash(&mut hasher);
        hasher.finish()
    }
}

/// A target that is scraped.
#[derive(Debug)]
pub struct Target {
    /// Its number, not given again.
    pub id: u64,
    /// Its job.
    pub job: Arc<Job>,
    /// What it is.
    pub settled: Settled,
    status: Mutex<Status>,
}

/// How a target fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Was its last scrape good? Nothing before the first.
    pub up: Option<bool>,
    /// Why not; empty if it was.
    pub error: String,
    /// When the last scrape began, Unix milliseconds.
    pub last_ms: Option<i64>,
    /// How long it took.
    pub took: Duration,
}

impl Target {
    pub(super) fn new(id: u64, job: Arc<Job>, settled: Settled) -> Self {
        Target { id, job, settled, status: Mutex::default() }
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;

    fn job() -> Job {
        Job::new("node".into(), &Config::default())
    }

    fn settled(job: &Job, address: &str, labels: &[(&str, &str)]) -> Settled {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let group = Group { targets: Vec::new(), labels };
        match settle(job, &group, address, None) {
            Ok(Found::Active(settled)) => *settled,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_target_has_job_and_instance_and_the_labels_of_its_group() {
        let settled = settled(&job(), "a:9100", &[("zone", "x"), ("empty", ""), ("__hidden", "y")]);
        let labels: Vec<String> = settled.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(labels, ["instance=a:9100", "job=node", "zone=x"]);
        assert_eq!(settled.url.to_string(), "http://a:9100/metrics");
        assert_eq!(settled.discovered["__hidden"], "y");
    }

    #[test]
    fn labels_with_underscores_say_where_and_how_often() {
        let mut job = job();
        job.params = [("m".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into();
        let settled = settled(
            &job,
            "a",
            &[
                ("__scheme__", "https"),
                ("__metrics_path__", "/probe"),
                ("__param_target", "b c"),
                ("__param_m", "0"),
                ("__scrape_interval__", "5s"),
                ("__scrape_timeout__", "2s"),
                ("job", "other"),
                ("instance", "b"),
            ],
        );
        assert_eq!(settled.url.to_string(), "https://a/probe?m=0&m=2&target=b+c");
        assert_eq!((settled.interval.as_secs(), settled.timeout.as_secs()), (5, 2));
        assert_eq!((&*settled.labels["job"], &*settled.labels["instance"]), ("other", "b"));
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (label, value, told) in [
            ("__address__", "a/b", "not HOST or HOST:PORT"),
            ("__scheme__", "ftp", "neither http nor https"),
            ("__scrape_timeout__", "1m", "longer than the interval"),
            ("__scrape_interval__", "0s", "must not be 0"),
        ] {
            let group = Group { targets: vec![], labels: [(label.to_owned(), value.to_owned())].into() };
            let error = settle(&job(), &group, "a:1", None).unwrap_err();
            assert!(error.contains(told), "{label}: {error}");
        }
    }
}
