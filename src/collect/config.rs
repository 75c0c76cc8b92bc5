//! Settings of collection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::synthetic;

/// Settings of collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--collect.tick`: how often a tick is committed, 1 ms to 60 s; 1 s by default.
    pub tick: Duration,
    /// `--collector.deadline`: how long a collector may take before it counts as failed; 2 s by default.
    pub deadline: Duration,
    /// `--collector.disable-defaults`: only collectors switched on by name run.
    pub disable_defaults: bool,
    /// `--collector.NAME` (true) and `--no-collector.NAME` (false).
    pub switches: BTreeMap<String, bool>,
    /// `--collector.interval=NAME=DURATION`, repeatable: collectors that run less often than at every tick.
    pub intervals: BTreeMap<String, Duration>,
    /// Where the host's file systems are found.
    pub paths: Paths,
    /// `--collector.textfile.directory`, repeatable: folders of `*.prom` files.
    pub textfile_directories: Vec<PathBuf>,
    /// `--collector.synthetic.…`: series for load tests, when that collector is switched on.
    pub synthetic: synthetic::Config,
    /// Regular expressions that choose devices and mounts, by flag name without dashes in front, for example
    /// `collector.netdev.device-exclude`. A missing one has the default of its collector.
    pub filters: BTreeMap<String, String>,
    /// `--collect.series-limit`: how many series the table takes; 1,000,000 by default.
    pub series_limit: usize,
    /// `--push.ttl`: how long a group that was pushed in text stays without being pushed again; 5 minutes by default.
    pub push_ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            tick: Duration::from_secs(1),
            deadline: Duration::from_secs(2),
            disable_defaults: false,
            switches: BTreeMap::new(),
            intervals: BTreeMap::new(),
            paths: Paths::default(),
            textfile_directories: Vec::new(),
            synthetic: synthetic::Config::default(),
            filters: BTreeMap::new(),
            series_limit: 1_000_000,
            push_ttl: Duration::from_secs(300),
        }
    }
}

/// Where the host's file systems are mounted: other than the defaults inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `--path.procfs`, `/proc`.
    pub procfs: PathBuf,
    /// `--path.sysfs`, `/sys`.
    pub sysfs: PathBuf,
    /// `--path.rootfs`, `/`.
    pub rootfs: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Paths { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into() }
    }
}
