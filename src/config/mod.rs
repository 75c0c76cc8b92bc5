//! Settings: from flags, environment and file into one typed tree.
//!
//! - [`Config`] is the tree; each subsystem owns its branch and its defaults.
//! - [`settings`](settings::settings) is the table of all settings, from which everything else is made.
//! - [`parts`](section::parts) are what a table cannot say: lists of mappings such as `scrape_configs`.
//! - [`load`] reads [`Sources`] into [`Loaded`], or tells everything that is wrong ([`ConfigErrors`]).
//!
//! A flag wins over the environment, that over the file, that over the default. Every source is checked whole,
//! also where another wins. Loading is all or nothing and changes nothing outside, so a reload is the same call
//! with the same sources ([`Loaded::reload`]): on an error the old configuration simply stays.

mod check;
pub mod docs;
mod error;
mod field;
mod file;
mod metrics;
mod render;
mod schema;
mod secret;
pub mod section;
pub mod settings;
pub mod units;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use error::{ConfigError, ConfigErrors, Place, Position};
pub use field::{Check, Field, Number, Refused, Shown};
pub use metrics::Metrics;
pub use render::{commented_default, show};
pub use schema::schema;
pub use secret::{Credential, Secret};

use error::plain;
use settings::{Setting, settings};

/// The file that is read when none is named: in the working directory, as Prometheus looks for prometheus.yml.
pub const DEFAULT_FILE: &str = "gaugecast.yml";

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where the file is, and how strictly it is taken.
    pub file: FileConfig,
    /// Collection.
    pub collect: crate::collect::Config,
    /// Scraping other targets.
    pub scrape: crate::collect::scrape::Config,
    /// Remote write out.
    pub remote_write: crate::remote::send::Config,
    /// HTTP.
    pub server: crate::server::Config,
    /// The stream.
    pub stream: crate::stream::Config,
    /// The history.
    pub history: crate::history::Config,
    /// Queries.
    pub query: crate::query::Config,
    /// Rules, the alert manager, receivers.
    pub alert: crate::alert::Config,
    /// Detection of anomalies.
    pub detect: crate::detect::Config,
    /// Thresholds of the monitor.
    pub monitor: crate::monitor::Config,
    /// Logging.
    pub log: crate::log::Config,
    /// `global.external_labels`: labels of this server, for what leaves it.
    pub external_labels: BTreeMap<String, String>,
    /// The structured parts of the file as they are shown.
    pub written: Vec<section::Written>,
}

/// Where the file is, and how strictly it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileConfig {
    /// `--config.file`; without it [`DEFAULT_FILE`] is read if it exists.
    pub path: Option<PathBuf>,
    /// `--config.strict`: warnings are errors.
    pub strict: bool,
}

/// What a configuration is read from. Kept, so that a reload reads the file anew under the same flags.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Flags without dashes and their values, in the order given. A flag that takes a list may come repeatedly.
    pub flags: Vec<(String, String)>,
    /// Environment variables. Those that do not begin with `GAUGECAST_` are not looked at, but for `RUST_LOG`.
    pub env: Vec<(OsString, OsString)>,
}

/// Names only: the environment holds the secrets of other programs too, and this may end up in a log.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flags: Vec<&str> = self.flags.iter().map(|(flag, _)| flag.as_str()).collect();
        f.debug_struct("Sources").field("flags", &flags).finish_non_exhaustive()
    }
}

/// Where each setting has its value from, by flag. What is missing has its default.
pub type Origins = BTreeMap<String, Place>;

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings, checked.
    pub config: Config,
    /// Who set them.
    pub origins: Origins,
    /// What looks wrong but stops nothing, one line each.
    pub warnings: Vec<String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What it was read from.
    pub sources: Sources,
}

impl Loaded {
    /// Reads the same sources again: the file as it is now, under the flags and the environment of the start.
    ///
    /// # Errors
    /// As [`load`]; `self` is still what it was.
    pub fn reload(&self) -> Result<Loaded, ConfigErrors> {
        load(&self.sources)
    }
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong in any source; never empty.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    load_with(settings(), sources)
}

/// As [`load`], with a table of one's own.
fn load_with(table: &[Setting], sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();

    // What the file is called comes from the flags and the environment, so those are read first, into layers
    // that are applied from the weakest to the strongest.
    let flags = Layer::of_flags(table, &sources.flags, &mut errors);
    let env = Layer::of_env(table, &sources.env, &mut errors, &mut warnings);
    let mut named = Config::default();
    for layer in [&env, &flags] {
        layer.apply(&mut named, &mut Origins::new(), &mut Vec::new());
    }
    let file = file::read(table, named.file.path.as_deref(), &env_lookup(&sources.env), &mut errors);

    let mut config = Config::default();
    let mut origins = Origins::new();
    flags.apply(&mut Config::default(), &mut Origins::new(), &mut errors);
    env.apply(&mut Config::default(), &mut Origins::new(), &mut errors);
    if let Some(file) = &file {
        file.layer.apply(&mut config, &mut origins, &mut errors);
    }
    env.apply(&mut config, &mut origins, &mut Vec::new());
    flags.apply(&mut config, &mut origins, &mut Vec::new());

    let mut secret = None;
    if let Some(file) = &file {
        warnings.extend(file.warnings.iter().cloned());
        secret = file.read_parts(&mut config, &mut origins, &env_lookup(&sources.env), &mut errors);
    }
    crate::alert::rules::read(&mut config.alert.rules, &mut errors, &mut warnings);
    log_filter(&mut config, &origins, &sources.env, &mut errors, &mut warnings);
    if errors.is_empty() {
        fit_together(&mut config, &origins, file.as_ref(), &mut errors);
    }
    if let Some(file) = &file {
        let is_set = |setting: &&Setting| {
            let shown = setting.field.get(&mut config);
            setting.secret && shown.words().iter().any(|word| !word.is_empty())
        };
        let secrets = table
            .iter()
            .filter(is_set)
            .filter(|setting| matches!(origins.get(&setting.flag), Some(Place::File(..))));
        let key = secrets.map(|setting| setting.key.as_deref().unwrap_or_default()).next().or(secret);
        warnings.extend(key.and_then(|key| readable_secret(key, &file.path)));
    }
    if config.file.strict {
        errors.extend(warnings.iter().map(|warning| ConfigError {
            place: origins.get("config.strict").cloned().unwrap_or(Place::Flag("--config.strict".into())),
            message: warning.clone(),
            source_line: None,
        }));
    }
    if !errors.is_empty() {
        // By source, and as they stand in the file, not as they were found.
        let named = file.as_ref().map(|file| file.path.clone());
        errors.sort_by_key(|error| match &error.place {
            Place::Flag(_) => (0, None, None),
            Place::Env(_) => (1, None, None),
            // Rule files behind the configuration that names them.
            Place::File(path, at) => {
                (if named.as_ref() == Some(path) { 2 } else { 3 }, Some(path.clone()), *at)
            }
        });
        return Err(ConfigErrors(errors));
    }
    Ok(Loaded { config, origins, warnings, file: file.map(|file| file.path), sources: sources.clone() })
}

/// What one source says, in its order.
#[derive(Default)]
struct Layer<'a> {
    entries: Vec<Entry<'a>>,
}

/// A setting with the values one source gives it, each with its place.
struct Entry<'a> {
    setting: &'a Setting,
    /// Where it says so: the key in the file.
    place: Place,
    values: Vec<Given>,
}

/// A value and its place.
struct Given {
    text: String,
    place: Place,
    source_line: Option<String>,
}

impl<'a> Layer<'a> {
    fn of_flags(table: &'a [Setting], flags: &[(String, String)], errors: &mut Vec<ConfigError>) -> Self {
        let mut layer = Layer::default();
        for (flag, value) in flags {
            let Some(setting) = table.iter().find(|setting| setting.flag == *flag) else {
                let place = Place::Flag(format!("--{flag}"));
                errors.push(ConfigError { place, message: "unknown flag".into(), source_line: None });
                continue;
            };
            let shown = if setting.secret { "<secret>" } else { value };
            let place = Place::Flag(format!("--{flag}={shown}"));
            let given = Given { text: value.clone(), place: place.clone(), source_line: None };
            match layer.entries.iter_mut().find(|entry| entry.setting.flag == *flag) {
                Some(entry) if setting.field.is_list() => entry.values.push(given),
                Some(entry) => entry.values = vec![given],
                None => layer.entries.push(Entry { setting, place, values: vec![given] }),
            }
        }
        layer
    }

    fn of_env(
        table: &'a [Setting],
        env: &[(OsString, OsString)],
        errors: &mut Vec<ConfigError>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut layer = Layer::default();
        for (name, value) in env {
            let Some(name) = name.to_str().filter(|name| name.starts_with("GAUGECAST_")) else { continue };
            let Some(setting) = table.iter().find(|setting| setting.env() == name) else {
                if !is_foreign(name) {
                    // The prefix is common to all, so it says nothing about likeness.
                    let rest = |name: &str| name.trim_start_matches("GAUGECAST_").to_owned();
                    let near = crate::spelling::nearest(
                        &rest(name),
                        table.iter().map(|setting| rest(&setting.env())),
                    );
                    let hint =
                        near.map_or_else(String::new, |near| format!("; did you mean GAUGECAST_{near}?"));
                    warnings.push(format!("environment variable {name} is not known{hint}"));
                }
                continue;
            };
            let place = Place::Env(name.to_owned());
            let Some(value) = value.to_str() else {
                errors.push(ConfigError { place, message: "is not valid UTF-8".into(), source_line: None });
                continue;
            };
            // An empty variable is how a container file switches one off, so it counts as not set.
            if value.is_empty() {
                continue;
            }
            let texts: Vec<&str> = match setting.field.is_list() {
                true => value.split(',').map(str::trim).filter(|text| !text.is_empty()).collect(),
                false => vec![value],
            };
            let values = texts
                .into_iter()
                .map(|text| Given { text: text.to_owned(), place: place.clone(), source_line: None })
                .collect();
            layer.entries.push(Entry { setting, place, values });
        }
        layer
    }

    fn apply(&self, config: &mut Config, origins: &mut Origins, errors: &mut Vec<ConfigError>) {
        for entry in &self.entries {
            let words: Vec<&str> = entry.values.iter().map(|given| given.text.as_str()).collect();
            match entry.setting.field.set(config, &words) {
                Ok(()) => {
                    origins.insert(entry.setting.flag.clone(), entry.place.clone());
                }
                Err((which, reason)) => {
                    let given = entry.values.get(which);
                    let message = match entry.setting.secret {
                        true => "the value is not valid".into(),
                        false => plain(&reason),
                    };
                    errors.push(ConfigError {
                        place: given.map_or(&entry.place, |given| &given.place).clone(),
                        message,
                        source_line: given.and_then(|given| given.source_line.clone()),
                    });
                }
            }
        }
    }
}

/// Variables under our prefix that are no settings: the filter of the log, the token of commands that ask a server, what the build reads and sets (`cargo run`
/// passes the latter on), and those that Kubernetes sets for a Service called `gaugecast`
/// (`GAUGECAST_PORT=tcp://…`).
fn is_foreign(name: &str) -> bool {
    let rest = name.trim_start_matches("GAUGECAST_");
    ["LOG", "TOKEN", "BRANCH", "REVISION", "RUSTC", "FEATURES", "PORT"].contains(&rest)
        || ["BUILD_", "PORT_", "SERVICE_"].iter().any(|start| rest.starts_with(start))
        || ["_SERVICE_", "_PORT_"].iter().any(|part| rest.contains(part))
}

/// In what two configurations differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The flag with its dashes, or the key of a structured part.
    pub name: String,
    /// It is read at the start only.
    pub at_start: bool,
}

/// The settings and the structured parts in which two configurations differ.
#[must_use]
pub fn changed(before: &Config, after: &Config) -> Vec<Change> {
    let parts = section::parts().iter().filter(|part| (part.differs)(before, after));
    let parts = parts.map(|part| Change { name: part.key.to_owned(), at_start: part.at_start });
    let (mut a, mut b) = (before.clone(), after.clone());
    let differs = |setting: &&Setting| setting.field.get(&mut a) != setting.field.get(&mut b);
    let settings = settings().iter().filter(differs);
    let settings =
        settings.map(|setting| Change { name: format!("--{}", setting.flag), at_start: setting.at_start });
    settings.chain(parts).collect()
}

/// Looks up what `${NAME}` in the file stands for.
fn env_lookup(env: &[(OsString, OsString)]) -> impl Fn(&str) -> Option<String> + '_ {
    |name| {
        let (_, value) = env.iter().find(|(known, _)| known.to_str() == Some(name))?;
        value.to_str().map(str::to_owned)
    }
}

/// `GAUGECAST_LOG`, or else `RUST_LOG`, refines the level by target. When the level itself was given by flag or
/// variable, a bare level in there counts for nothing: it says what the stronger source has said already.
fn log_filter(
    config: &mut Config,
    origins: &Origins,
    env: &[(OsString, OsString)],
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<String>,
) {
    let lookup = env_lookup(env);
    let found = ["GAUGECAST_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| lookup(name).filter(|value| !value.is_empty()).map(|value| (name, value)));
    let Some((name, value)) = found else { return };
    let level_given = matches!(origins.get("log.level"), Some(Place::Flag(_) | Place::Env(_)));
    match crate::log::check_filter(&value) {
        Ok(()) => {
            let directives = value.split(',').map(str::trim).filter(|part| !part.is_empty());
            let kept: Vec<&str> =
                directives.filter(|part| !level_given || part.contains(['=', '['])).collect();
            config.log.filter = kept.join(",");
        }
        Err(reason) if name == "GAUGECAST_LOG" => errors.push(ConfigError {
            place: Place::Env(name.into()),
            message: plain(&format!("{value:?} is not a log filter: {reason}")),
            source_line: None,
        }),
        // It belongs to every Rust program, so it may be meant for another.
        Err(reason) => warnings.push(plain(&format!("RUST_LOG is not used: {reason}"))),
    }
}

/// Checks between settings, and values that follow from others.
fn fit_together(
    config: &mut Config,
    origins: &Origins,
    file: Option<&file::ReadFile<'_>>,
    errors: &mut Vec<ConfigError>,
) {
    let mut fault = |flag: &str, message: String| {
        let place = origins.get(flag).cloned().unwrap_or_else(|| Place::Flag(format!("--{flag}")));
        let source_line = match (&place, file) {
            (Place::File(_, Some(at)), Some(file)) => file.line(at.line),
            _ => None,
        };
        errors.push(ConfigError { place, message, source_line });
    };
    let server = &mut config.server;
    let open = server.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
    if let (Some(address), false) = (open, server.insecure_no_auth || server.token_file.is_some()) {
        let message = format!(
            "{address} can be reached from other machines, and there is no authentication; listen on \
             127.0.0.1:{}, give --web.token-file, or give --web.insecure-no-auth if anyone there may read everything",
            address.port()
        );
        fault("web.listen-address", message);
    }
    let crate::collect::scrape::Config { interval, timeout, .. } = config.scrape;
    if timeout > interval {
        let (timeout, interval) = (units::format_duration(timeout), units::format_duration(interval));
        let message = format!("the timeout of {timeout} is longer than the interval of {interval}");
        fault("scrape.timeout", message);
    }
    if !origins.contains_key("web.route-prefix")
        && let Some(url) = &server.external_url
    {
        server.route_prefix = check::path_of(url).to_owned();
    }
    server.route_prefix.truncate(server.route_prefix.trim_end_matches('/').len());
}

/// A warning when a file that anyone on the machine can read holds a secret.
#[cfg(unix)]
fn readable_secret(key: &str, path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        let path = path.display();
        format!(
            "{path} holds a secret ({key}) and anyone can read it (mode {:04o}); chmod o-r {path}",
            mode & 0o7777
        )
    })
}

/// Other systems have no such bits.
#[cfg(not(unix))]
fn readable_secret(_: &str, _: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests;
