//! Everything around gaugecast, as files: `gaugecast provision` writes what Prometheus, Grafana and a host need to have it running.
//!
//! A [`Part`] is what one program reads, and has one file here that gives its [`File`]s for some [`Options`]. With default options they
//! are, byte for byte, those at the top of the repository (`tests/provision.rs` holds that), so what is reviewed and judged there is
//! what users get. Text that takes few parameters is the repository's own file, embedded, with the parameters put in ([`put`]);
//! what has a structure (dashboards, Grafana's alerting) is made by code, and the repository's file is what the code makes:
//!
//! ```text
//! cargo run -- provision --out . --only grafana --force
//! ```
//!
//! [`write`](write::write) puts files into a folder without overwriting what somebody else wrote there.

mod alerting;
mod compose;
mod dashboards;
mod grafana;
mod k8s;
mod prometheus;
mod systemd;
pub mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The port and the job of the files in the repository.
const DEFAULT_PORT: u16 = 7171;
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_JOB: &str = "gaugecast";

/// What users choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The name or address at which others reach gaugecast; an IPv6 address in brackets.
    pub host: String,
    /// The port on which it listens.
    pub port: u16,
    /// The job of the scrape: the label `job` of its series in Prometheus.
    pub job: String,
    /// Labels that Prometheus adds to all of its series.
    pub labels: BTreeMap<String, String>,
    /// Thresholds of alerts, by `ALERT` or `ALERT.SEVERITY`.
    pub thresholds: BTreeMap<String, f64>,
    /// Where the runbooks are, without the `#` and what follows; those of gaugecast itself if not given.
    pub runbooks: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            host: DEFAULT_HOST.into(),
            port: DEFAULT_PORT,
            job: DEFAULT_JOB.into(),
            labels: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            runbooks: None,
        }
    }
}

/// What is wrong with options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Options {
    /// `HOST:PORT`, as a target of a scrape.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The page of the runbooks, to which the name of an alert is added.
    fn runbooks(&self) -> String {
        self.runbooks.clone().unwrap_or_else(|| format!("http://{}/runbooks", self.address()))
    }

    /// What may go into YAML, PromQL and addresses as it is.
    fn check(&self) -> Result<(), Invalid> {
        let plain = |text: &str, others: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        let bare = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => plain(&self.host, ".-_"),
        };
        if !host {
            return Err(Invalid(format!(
                "{:?} is no name or address of a host; an IPv6 address stands in brackets",
                self.host
            )));
        }
        if self.port == 0 {
            return Err(Invalid("others cannot reach port 0".into()));
        }
        if !plain(&self.job, "._:/-") {
            return Err(Invalid(format!("a job has letters, digits and ._:/- only, not {:?}", self.job)));
        }
        for (name, value) in &self.labels {
            let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !first || !plain(name, "_") || name.starts_with("__") {
                return Err(Invalid(format!("{name:?} is no name of a label")));
            }
            if ["job", "instance"].contains(&name.as_str()) {
                return Err(Invalid(format!("Prometheus sets the label {name} itself")));
            }
            if value.chars().any(char::is_control) {
                return Err(Invalid(format!("the label {name} has a control character")));
            }
        }
        if let Some(url) = &self.runbooks {
            let web = url.starts_with("https://") || url.starts_with("http://");
            if !web || !plain(url, "-._~:/?[]@!$&()*+,;=%") {
                return Err(Invalid(format!(
                    "{url:?} is no address of runbooks: http:// or https://, and no #"
                )));
            }
        }
        prometheus::check(&self.thresholds)
    }
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it goes, below the folder of the set, with `/`.
    pub path: String,
    /// What it holds.
    pub text: Cow<'static, str>,
    /// Is it to be run?
    pub executable: bool,
}

impl File {
    /// A file to be read.
    fn new(path: impl Into<String>, text: impl Into<Cow<'static, str>>) -> Self {
        File { path: path.into(), text: text.into(), executable: false }
    }
}

/// What can be asked for, each for one program or way to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Dashboards and provisioning.
    Grafana,
    /// The configuration of Prometheus, with rules.
    Prometheus,
    /// Docker Compose.
    Compose,
    /// Units of systemd.
    Systemd,
    /// A Helm chart.
    K8s,
}

impl Part {
    const EVERY: [Part; 5] = [Part::Grafana, Part::Prometheus, Part::Compose, Part::Systemd, Part::K8s];

    /// All that have files.
    #[must_use]
    pub fn all() -> Vec<Part> {
        Self::EVERY.into_iter().filter(|part| !part.files(&Options::default()).is_empty()).collect()
    }

    /// As `--only` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Grafana => "grafana",
            Part::Prometheus => "prometheus",
            Part::Compose => "compose",
            Part::Systemd => "systemd",
            Part::K8s => "k8s",
        }
    }

    fn files(self, options: &Options) -> Vec<File> {
        match self {
            Part::Grafana => grafana::files(options),
            Part::Prometheus => prometheus::files(options),
            Part::Compose => compose::files(options),
            Part::Systemd => systemd::files(options),
            Part::K8s => k8s::files(options),
        }
    }
}

/// The files of some parts, by path.
///
/// # Errors
/// When an option cannot go into them.
pub fn files(parts: &[Part], options: &Options) -> Result<Vec<File>, Invalid> {
    options.check()?;
    let mut files: Vec<File> = parts.iter().flat_map(|part| part.files(options)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // A part that is named twice.
    files.dedup();
    Ok(files)
}

/// Puts `to` where an embedded file has `from`. The file is ours, so that it has it is a fact that tests hold.
fn put(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the embedded file has {from:?}");
    text.replace(from, to)
}

/// A scalar of YAML that is this text, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
