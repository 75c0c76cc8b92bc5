//! The host, a file a collector, with node_exporter's names.
//!
//! Names, labels, types, units and HELP texts are those of node_exporter 1.5, so that dashboards and rules
//! written for it work unchanged; `docs/host-metrics.md` lists what is shown and what is not. On systems other
//! than Linux [`other`] gives what sysinfo knows.
//!
//! [`COLLECTORS`] is the table of all collectors, [`FILTERS`] that of the flags which choose devices, and
//! [`collectors`] makes those that a [`Config`] switches on. How they are run is the matter of [`super::worker`].

#[cfg(target_os = "linux")]
mod arp;
#[cfg(target_os = "linux")]
mod cap;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod conntrack;
#[cfg(target_os = "linux")]
pub mod container;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod diskstats;
#[cfg(target_os = "linux")]
mod entropy;
#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod filefd;
#[cfg(target_os = "linux")]
mod filesystem;
mod filter;
#[cfg(target_os = "linux")]
mod hwmon;
#[cfg(target_os = "linux")]
mod loadavg;
#[cfg(target_os = "linux")]
mod meminfo;
#[cfg(target_os = "linux")]
mod netclass;
#[cfg(target_os = "linux")]
mod netdev;
#[cfg(target_os = "linux")]
mod netstat;
#[cfg(target_os = "linux")]
mod os;
#[cfg(any(test, not(target_os = "linux")))]
mod other;
#[cfg(target_os = "linux")]
mod pressure;
#[cfg(target_os = "linux")]
mod sockstat;
#[cfg(target_os = "linux")]
mod softnet;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(target_os = "linux")]
mod text;
#[cfg(target_os = "linux")]
mod thermal_zone;
#[cfg(target_os = "linux")]
mod time;
#[cfg(target_os = "linux")]
mod udp_queues;
#[cfg(target_os = "linux")]
mod uname;
#[cfg(target_os = "linux")]
mod vmstat;

pub use filter::{FILTERS, Filter};

use std::fmt;

use regex::Regex;

use super::{Collector, Config, Paths};
use filter::Filters;

/// A collector that exists.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its name in `--collector.NAME`, `collect[]` and the label `collector`.
    pub name: &'static str,
    /// Does it run when nothing is said?
    pub default: bool,
    /// One line for the help page.
    pub about: &'static str,
    make: fn(&Paths, &Filters) -> Box<dyn Collector>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("name", &self.name)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// Names that are switched like host collectors but made elsewhere: [`super::textfile`], [`super::process`].
const ELSEWHERE: &[&str] = &["process", "runtime", "textfile"];

/// All collectors of this system, by name.
#[cfg(target_os = "linux")]
pub const COLLECTORS: &[Known] = &[
    Known {
        name: "arp",
        default: true,
        about: "ARP entries by device",
        make: |p, f| Box::new(arp::Arp::new(p, f)),
    },
    Known {
        name: "cgroup",
        default: true,
        about: "Limits and usage of the control group this process is in",
        make: |p, f| Box::new(cgroup::Cgroup::new(p, f)),
    },
    Known {
        name: "conntrack",
        default: true,
        about: "Connection tracking table",
        make: |p, f| Box::new(conntrack::Conntrack::new(p, f)),
    },
    Known {
        name: "cpu",
        default: true,
        about: "CPU time by mode, throttling",
        make: |p, f| Box::new(cpu::Cpu::new(p, f)),
    },
    Known {
        name: "diskstats",
        default: true,
        about: "Disk requests, bytes and times",
        make: |p, f| Box::new(diskstats::Diskstats::new(p, f)),
    },
    Known {
        name: "entropy",
        default: true,
        about: "Available entropy",
        make: |p, f| Box::new(entropy::Entropy::new(p, f)),
    },
    Known {
        name: "filefd",
        default: true,
        about: "Open files of the system",
        make: |p, f| Box::new(filefd::Filefd::new(p, f)),
    },
    Known {
        name: "filesystem",
        default: true,
        about: "Size and free space of mounts",
        make: |p, f| Box::new(filesystem::Filesystem::new(p, f)),
    },
    Known {
        name: "hwmon",
        default: true,
        about: "Sensors: temperatures, fans, voltages",
        make: |p, f| Box::new(hwmon::Hwmon::new(p, f)),
    },
    Known {
        name: "loadavg",
        default: true,
        about: "Load average",
        make: |p, f| Box::new(loadavg::Loadavg::new(p, f)),
    },
    Known {
        name: "meminfo",
        default: true,
        about: "Memory",
        make: |p, f| Box::new(meminfo::Meminfo::new(p, f)),
    },
    Known {
        name: "netclass",
        default: true,
        about: "Properties of network interfaces",
        make: |p, f| Box::new(netclass::Netclass::new(p, f)),
    },
    Known {
        name: "netdev",
        default: true,
        about: "Traffic of network interfaces",
        make: |p, f| Box::new(netdev::Netdev::new(p, f)),
    },
    Known {
        name: "netstat",
        default: true,
        about: "Counters of the network protocols",
        make: |p, f| Box::new(netstat::Netstat::new(p, f)),
    },
    Known {
        name: "os",
        default: true,
        about: "What /etc/os-release says",
        make: |p, f| Box::new(os::Os::new(p, f)),
    },
    Known {
        name: "pressure",
        default: true,
        about: "Pressure stall information",
        make: |p, f| Box::new(pressure::Pressure::new(p, f)),
    },
    Known {
        name: "sockstat",
        default: true,
        about: "Sockets in use",
        make: |p, f| Box::new(sockstat::Sockstat::new(p, f)),
    },
    Known {
        name: "softnet",
        default: true,
        about: "Packets processed and dropped by CPU",
        make: |p, f| Box::new(softnet::Softnet::new(p, f)),
    },
    Known {
        name: "stat",
        default: true,
        about: "Boot time, forks, context switches, interrupts",
        make: |p, f| Box::new(stat::Stat::new(p, f)),
    },
    Known {
        name: "thermal_zone",
        default: true,
        about: "Thermal zones and cooling devices",
        make: |p, f| Box::new(thermal_zone::ThermalZone::new(p, f)),
    },
    Known {
        name: "time",
        default: true,
        about: "Clock, time zone, clock sources",
        make: |p, f| Box::new(time::Time::new(p, f)),
    },
    Known {
        name: "udp_queues",
        default: true,
        about: "Bytes waiting in UDP sockets",
        make: |p, f| Box::new(udp_queues::UdpQueues::new(p, f)),
    },
    Known {
        name: "uname",
        default: true,
        about: "What uname says",
        make: |p, f| Box::new(uname::Uname::new(p, f)),
    },
    Known {
        name: "vmstat",
        default: true,
        about: "Paging",
        make: |p, f| Box::new(vmstat::Vmstat::new(p, f)),
    },
];

#[cfg(not(target_os = "linux"))]
pub use other::COLLECTORS;

/// Names of all collectors with whether they run by default, those made elsewhere too, sorted.
#[must_use]
pub fn names() -> Vec<(&'static str, bool)> {
    let mut names: Vec<_> = COLLECTORS.iter().map(|known| (known.name, known.default)).collect();
    names.extend(ELSEWHERE.iter().map(|name| (*name, true)));
    names.sort_unstable();
    names
}

/// Is the collector of that name to run? False for names that do not exist.
#[must_use]
pub fn is_on(config: &Config, name: &str) -> bool {
    let default = names().iter().any(|(known, default)| *known == name && *default);
    config.switches.get(name).copied().unwrap_or(default && !config.disable_defaults)
}

/// One mistake in the settings of collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A switch for a collector that does not exist.
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
    names().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// All host collectors that `config` switches on.
///
/// # Errors
/// [`ConfigError`] with every mistake: unknown names, patterns that do not compile.
pub fn collectors(config: &Config) -> Result<Vec<Box<dyn Collector>>, ConfigError> {
    let mut mistakes = Vec::new();
    for name in config.switches.keys() {
        if !names().iter().any(|(known, _)| known == name) {
            let nearest = nearest(name, names().iter().map(|(known, _)| *known));
            mistakes.push(Mistake::UnknownCollector { name: name.clone(), nearest });
        }
    }
    let filters = filters(config, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(ConfigError(mistakes));
    }
    let on = COLLECTORS.iter().filter(|known| is_on(config, known.name));
    Ok(on.map(|known| (known.make)(&config.paths, &filters)).collect())
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

/// The name that differs least from `given`, if by no more than a third of its letters.
fn nearest(given: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let scored = names.map(|name| (distance(given, name), name));
    scored.min().filter(|(distance, name)| *distance <= name.len().max(3) / 3).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
