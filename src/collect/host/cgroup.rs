//! `gaugecast_cgroup_*`: limits and usage of the control group this process is in, version 1 or 2. In a
//! container these are the container's, which no `node_*` metric shows.

use std::path::{Path, PathBuf};

use super::file::{names_in, read_trimmed};
use super::text::{count, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Version 1 has no word for "no limit": it gives the largest number of pages, about 2^63.
const NO_LIMIT: f64 = 9e18;

/// After how many passes it is looked up again where the group is.
const REREAD_PASSES: u32 = 60;

#[derive(Debug)]
pub(super) struct Cgroup {
    membership: PathBuf,
    mount: PathBuf,
    place: Place,
    buffer: Vec<u8>,
    pass: u32,
}

/// Folders of the controllers. All the same in version 2.
#[derive(Debug, Default)]
struct Place {
    version: u8,
    memory: PathBuf,
    cpu: PathBuf,
    cpuacct: PathBuf,
    pids: PathBuf,
}

impl Cgroup {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Cgroup {
            membership: paths.procfs.join("self/cgroup"),
            mount: paths.sysfs.join("fs/cgroup"),
            place: Place::default(),
            buffer: Vec::new(),
            pass: 0,
        }
    }

    fn find(&mut self) -> Result<(), CollectError> {
        let Ok(text) = read_trimmed(&self.membership, &mut self.buffer) else {
            return Err(CollectError::NoData("the kernel has no control groups".into()));
        };
        let groups = parse_membership(text);
        let path = |controller: &str| {
            let group = groups.iter().find(|(names, _)| names.split(',').any(|name| name == controller));
            group.map(|(_, path)| path.trim_start_matches('/'))
        };
        if self.mount.join("cgroup.controllers").exists() {
            let folder = inside(&self.mount, path("").unwrap_or_default());
            self.place = Place {
                version: 2,
                memory: folder.clone(),
                cpu: folder.clone(),
                cpuacct: folder.clone(),
                pids: folder,
            };
            return Ok(());
        }
        // Controllers may be mounted together, as "cpu,cpuacct".
        let mounts = names_in(&self.mount)?;
        let folder = |controller: &str| {
            let mount = mounts.iter().find(|names| names.split(',').any(|name| name == controller));
            mount.map(|mount| inside(&self.mount.join(mount), path(controller).unwrap_or_default()))
        };
        let [memory, cpu, cpuacct, pids] =
            ["memory", "cpu", "cpuacct", "pids"].map(|name| folder(name).unwrap_or_default());
        self.place = Place { version: 1, memory, cpu, cpuacct, pids };
        Ok(())
    }

    /// The number in a file; none for `max` and where the file is missing.
    fn number(&mut self, folder: fn(&Place) -> &PathBuf, file: &str) -> Option<f64> {
        let text = read_trimmed(&folder(&self.place).join(file), &mut self.buffer).ok()?;
        count(text).filter(|value| *value < NO_LIMIT)
    }

    /// The number beside a key in a file of keys and numbers.
    fn field(&mut self, folder: fn(&Place) -> &PathBuf, file: &str, key: &str) -> Option<f64> {
        let text = read_trimmed(&folder(&self.place).join(file), &mut self.buffer).ok()?;
        field(text, key)
    }

    /// Quota of CPU in CPUs; none without limit.
    fn cpu_limit(&mut self) -> Option<f64> {
        if self.place.version == 1 {
            // -1, read as 0, is no limit.
            let quota = self.number(|place| &place.cpu, "cpu.cfs_quota_us").filter(|quota| *quota > 0.0)?;
            let period = self.number(|place| &place.cpu, "cpu.cfs_period_us")?;
            return (period > 0.0).then(|| quota / period);
        }
        let text = read_trimmed(&self.place.cpu.join("cpu.max"), &mut self.buffer).ok()?;
        let mut numbers = words(text).map(count);
        let (quota, period) = (numbers.next()??, numbers.next()??);
        (period > 0.0).then(|| quota / period)
    }
}

impl Collector for Cgroup {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        if self.pass.is_multiple_of(REREAD_PASSES) {
            self.find()?;
        }
        self.pass = self.pass.wrapping_add(1);
        let one = self.place.version == 1;
        let values = [
            (
                "gaugecast_cgroup_memory_limit_bytes",
                Kind::Gauge,
                "Memory this control group may use; absent without limit.",
                self.number(|p| &p.memory, if one { "memory.limit_in_bytes" } else { "memory.max" }),
            ),
            (
                "gaugecast_cgroup_memory_usage_bytes",
                Kind::Gauge,
                "Memory this control group uses, page cache included.",
                self.number(|p| &p.memory, if one { "memory.usage_in_bytes" } else { "memory.current" }),
            ),
            (
                "gaugecast_cgroup_cpu_limit_cpus",
                Kind::Gauge,
                "CPUs this control group may use; absent without limit.",
                self.cpu_limit(),
            ),
            (
                "gaugecast_cgroup_cpu_usage_seconds_total",
                Kind::Counter,
                "CPU time this control group has used.",
                if one {
                    self.number(|p| &p.cpuacct, "cpuacct.usage").map(|nanoseconds| nanoseconds / 1e9)
                } else {
                    self.field(|p| &p.cpu, "cpu.stat", "usage_usec").map(|micros| micros / 1e6)
                },
            ),
            (
                "gaugecast_cgroup_cpu_throttled_seconds_total",
                Kind::Counter,
                "Time this control group was held back by its CPU limit.",
                if one {
                    self.field(|p| &p.cpu, "cpu.stat", "throttled_time").map(|nanoseconds| nanoseconds / 1e9)
                } else {
                    self.field(|p| &p.cpu, "cpu.stat", "throttled_usec").map(|micros| micros / 1e6)
                },
            ),
            (
                "gaugecast_cgroup_pids_limit",
                Kind::Gauge,
                "Processes and threads this control group may have; absent without limit.",
                self.number(|p| &p.pids, "pids.max"),
            ),
            (
                "gaugecast_cgroup_pids",
                Kind::Gauge,
                "Processes and threads this control group has.",
                self.number(|p| &p.pids, "pids.current"),
            ),
        ];
        for (name, kind, help, value) in values {
            if let Some(value) = value {
                page.single(name, kind, help, value);
            }
        }
        Ok(())
    }
}

/// Controllers and path of each line `NUMBER:CONTROLLERS:PATH`; version 2 has no controllers.
fn parse_membership(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.map(|(controllers, path)| (controllers.to_owned(), path.to_owned())).collect()
}

/// The folder of a group. In a container the mount often shows only the group itself, while the membership
/// tells its path on the host.
fn inside(mount: &Path, group: &str) -> PathBuf {
    let folder = mount.join(group);
    if folder.exists() { folder } else { mount.to_owned() }
}

fn field(text: &[u8], key: &str) -> Option<f64> {
    let line = lines(text).find(|line| words(line).next() == Some(key.as_bytes()))?;
    words(line).nth(1).and_then(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn page_of(write: impl Fn(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let paths = Paths {
            procfs: folder.path().join("proc"),
            sysfs: folder.path().join("sys"),
            ..Paths::default()
        };
        let mut page = PageWriter::new();
        Cgroup::new(&paths, &Filters::default()).collect(&mut page).unwrap();
        let text = String::from_utf8(page.into_bytes()).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    fn put(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn version_2_shows_limits_and_usage_and_no_limit_where_there_is_none() {
        let text = page_of(|folder| {
            put(folder, "proc/self/cgroup", "0::/app.slice\n");
            let group = "sys/fs/cgroup/app.slice";
            put(folder, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
            put(folder, &format!("{group}/memory.max"), "536870912\n");
            put(folder, &format!("{group}/memory.current"), "1048576\n");
            put(folder, &format!("{group}/cpu.max"), "150000 100000\n");
            put(folder, &format!("{group}/cpu.stat"), "usage_usec 2500000\nthrottled_usec 500000\n");
            put(folder, &format!("{group}/pids.max"), "max\n");
        });
        assert_eq!(
            text,
            "gaugecast_cgroup_memory_limit_bytes 536870912\ngaugecast_cgroup_memory_usage_bytes 1048576\n\
             gaugecast_cgroup_cpu_limit_cpus 1.5\ngaugecast_cgroup_cpu_usage_seconds_total 2.5\n\
             gaugecast_cgroup_cpu_throttled_seconds_total 0.5\n"
        );
    }

    #[test]
    fn version_1_in_a_container_is_found_at_the_mount() {
        let text = page_of(|folder| {
            put(folder, "proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/x\n");
            put(folder, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
            put(folder, "sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n");
            put(folder, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
            put(folder, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
            put(folder, "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "1500000000\n");
        });
        assert_eq!(
            text,
            "gaugecast_cgroup_memory_usage_bytes 4096\ngaugecast_cgroup_cpu_usage_seconds_total 1.5\n"
        );
    }
}
