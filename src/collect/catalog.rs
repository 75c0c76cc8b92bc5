//! All collectors there are, and those that a [`Config`] switches on.
//!
//! [`all`] lists the host's collectors with our own ([`super::process`], [`super::synthetic`], [`super::textfile`]); flags, help and
//! documentation are made from it and from [`FILTERS`]. [`collectors`] makes those that are to run.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use super::filter::{FILTERS, Filters};
use super::host;
use super::process::{Process, Runtime};
use super::synthetic::Synthetic;
use super::textfile::Textfile;
use super::{Collector, Config};
use crate::spelling::nearest;

/// A collector that exists.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its name in `--collector.NAME`, `collect[]` and the label `collector`.
    pub name: &'static str,
    /// Does it run when nothing is said?
    pub default: bool,
    /// One line for the help page.
    pub about: &'static str,
    pub(super) make: fn(&Config, &Filters) -> Box<dyn Collector>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("name", &self.name)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// Our own: what is no part of the host.
const OWN: &[Known] = &[
    Known { name: "process", default: true, about: "This process", make: |_, _| Box::new(Process::new()) },
    Known {
        name: "runtime",
        default: true,
        about: "The runtime of this process: workers, queues",
        make: |_, _| Box::new(Runtime::current()),
    },
    Known {
        name: "synthetic",
        default: false,
        about: "Made up series, for load tests",
        make: |config, _| Box::new(Synthetic::new(config.synthetic)),
    },
    Known {
        name: "textfile",
        default: true,
        about: "*.prom files in the folders named",
        make: |config, _| Box::new(Textfile::new(config.textfile_directories.clone())),
    },
];

/// All collectors of this system, by name.
pub fn all() -> &'static [Known] {
    static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let mut all = [host::COLLECTORS, OWN].concat();
        all.sort_unstable_by_key(|known| known.name);
        all
    });
    &ALL
}

/// Is this collector to run?
#[must_use]
pub fn is_on(config: &Config, known: &Known) -> bool {
    config.switches.get(known.name).copied().unwrap_or(known.default && !config.disable_defaults)
}

/// One mistake in the settings of collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A switch or an interval for a collector that does not exist.
    #[error("there is no collector {name:?}{}; there are: {}", suggestion(nearest), list())]
    UnknownCollector {
        /// As given.
        name: String,
        /// The most similar name, if one is.
        nearest: Option<&'static str>,
    },
    /// A filter flag that does not exist.
    #[error("there is no flag --{flag}{}", suggestion(nearest))]
    UnknownFilter {
        /// As given, without dashes in front.
        flag: String,
        /// The most similar flag, if one is.
        nearest: Option<&'static str>,
    },
    /// A filter that is no regular expression.
    #[error("--{flag}: {reason}")]
    Pattern {
        /// Which.
        flag: &'static str,
        /// What is wrong, with the place.
        reason: String,
    },
    /// Two flags of which one may be set.
    #[error("--{0}-exclude and --{0}-include cannot both be set")]
    Exclusive(&'static str),
}

/// Everything that is wrong in the settings of collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Mistake>);

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

fn list() -> String {
    all().iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// The collectors that `config` switches on, by name.
///
/// # Errors
/// [`ConfigError`] with every mistake: unknown names, patterns that do not compile.
pub fn collectors(config: &Config) -> Result<Vec<Box<dyn Collector>>, ConfigError> {
    let mut mistakes = Vec::new();
    for name in config.switches.keys().chain(config.intervals.keys()) {
        if !all().iter().any(|known| known.name == name) {
            let nearest = nearest(name, all().iter().map(|known| known.name));
            mistakes.push(Mistake::UnknownCollector { name: name.clone(), nearest });
        }
    }
    let filters = filters(config, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(ConfigError(mistakes));
    }
    let on = all().iter().filter(|known| is_on(config, known));
    Ok(on.map(|known| (known.make)(config, &filters)).collect())
}

fn filters(config: &Config, mistakes: &mut Vec<Mistake>) -> Filters {
    for flag in config.filters.keys() {
        if !FILTERS.iter().any(|filter| filter.flag == flag) {
            let nearest = nearest(flag, FILTERS.iter().map(|filter| filter.flag));
            mistakes.push(Mistake::UnknownFilter { flag: flag.clone(), nearest });
        }
    }
    let set = |flag: &str| config.filters.get(flag).map(String::as_str).filter(|pattern| !pattern.is_empty());
    let mut filters = Filters::default();
    for filter in FILTERS {
        let include = filter.flag.strip_suffix("-exclude").map(|stem| format!("{stem}-include"));
        let included = include.is_some_and(|include| set(&include).is_some());
        if let (true, Some(_), Some(stem)) =
            (included, set(filter.flag), filter.flag.strip_suffix("-exclude"))
        {
            mistakes.push(Mistake::Exclusive(stem));
        }
        // An include replaces the default of the exclude beside it.
        let default = if included { "" } else { filter.default };
        let pattern = config.filters.get(filter.flag).map_or(default, String::as_str);
        if pattern.is_empty() {
            continue;
        }
        match Regex::new(pattern) {
            Ok(regex) => drop(filters.0.insert(filter.flag, regex)),
            Err(error) => mistakes.push(Mistake::Pattern { flag: filter.flag, reason: error.to_string() }),
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(collectors: &[Box<dyn Collector>]) -> Vec<&'static str> {
        collectors.iter().map(|collector| collector.name()).collect()
    }

    #[test]
    fn every_filter_belongs_to_a_collector_and_its_default_compiles() {
        for filter in FILTERS {
            let name = filter.flag.split('.').nth(1).expect("collector.NAME.WHAT");
            assert!(all().iter().any(|known| known.name == name), "{}", filter.flag);
            assert!(Regex::new(filter.default).is_ok(), "{}", filter.default);
        }
    }

    #[test]
    fn the_table_is_sorted_and_names_are_those_of_the_collectors() {
        let names: Vec<_> = all().iter().map(|known| known.name).collect();
        assert!(names.is_sorted());
        let switches = names.iter().map(|name| ((*name).to_owned(), true)).collect();
        let config = Config { switches, ..Config::default() };
        assert_eq!(names_of(&collectors(&config).unwrap()), names);
    }

    #[test]
    fn switches_choose_collectors() {
        let mut config = Config::default();
        let by_default = names_of(&collectors(&config).unwrap());
        assert!(by_default.contains(&"cpu") && !by_default.contains(&"synthetic"));
        config.switches.insert("cpu".into(), false);
        assert!(!names_of(&collectors(&config).unwrap()).contains(&"cpu"));
        config.disable_defaults = true;
        config.switches.insert("uname".into(), true);
        assert_eq!(names_of(&collectors(&config).unwrap()), ["uname"]);
    }

    #[test]
    fn every_mistake_is_told_with_the_nearest_name() {
        let mut config = Config::default();
        config.switches.insert("meninfo".into(), true);
        config.filters.insert("collector.netdev.device-exlude".into(), "x".into());
        config.filters.insert("collector.vmstat.fields".into(), "(".into());
        config.filters.insert("collector.diskstats.device-include".into(), "a".into());
        config.filters.insert("collector.diskstats.device-exclude".into(), "b".into());
        let Err(error) = collectors(&config) else { panic!("it was accepted") };
        let text = error.to_string();
        for part in [
            "there is no collector \"meninfo\" (did you mean meminfo?); there are: arp, cgroup, conntrack, cpu, ",
            "there is no flag --collector.netdev.device-exlude (did you mean collector.netdev.device-exclude?)",
            "--collector.vmstat.fields: ",
            "--collector.diskstats.device-exclude and --collector.diskstats.device-include cannot both be set",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(error.0.len(), 4);
    }
}
