//! Systems other than Linux: what sysinfo knows, under the names that node_exporter has for it there.
//!
//! sysinfo gives the usage of each CPU as a share since it was last asked and no times, so
//! `node_cpu_seconds_total` here is that share summed over the time between passes, in the modes `user` and
//! `idle`. Compiled for tests on Linux too, so that it is read by a compiler before it is needed.

use std::time::Instant;

use sysinfo::{Disks, MINIMUM_CPU_UPDATE_INTERVAL, Networks, System};

use crate::collect::{CollectError, Collector};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// All collectors, by name.
#[cfg(not(target_os = "linux"))]
pub const COLLECTORS: &[crate::collect::catalog::Known] = &[
    crate::collect::catalog::Known {
        name: "cpu",
        default: true,
        about: "CPU time",
        make: |_, _| Box::new(Cpu::new()),
    },
    crate::collect::catalog::Known {
        name: "filesystem",
        default: true,
        about: "Size and free space of mounts",
        make: |_, filters| Box::new(Filesystem::new(filters)),
    },
    crate::collect::catalog::Known {
        name: "loadavg",
        default: true,
        about: "Load average",
        make: |_, _| Box::new(Loadavg),
    },
    crate::collect::catalog::Known {
        name: "meminfo",
        default: true,
        about: "Memory",
        make: |_, _| Box::new(Meminfo::new()),
    },
    crate::collect::catalog::Known {
        name: "netdev",
        default: true,
        about: "Traffic of network interfaces",
        make: |_, filters| Box::new(Netdev::new(filters)),
    },
    crate::collect::catalog::Known {
        name: "stat",
        default: true,
        about: "Boot time",
        make: |_, _| Box::new(Stat),
    },
];

fn failed(what: &str, error: &impl ToString) -> CollectError {
    CollectError::Format { path: what.into(), reason: error.to_string() }
}

fn no_system() -> CollectError {
    CollectError::NoData("sysinfo does not know this system".into())
}

#[allow(clippy::cast_precision_loss)]
fn float(value: u64) -> f64 {
    value as f64
}

/// Shares of CPU time, summed.
pub(super) struct Cpu {
    system: Option<System>,
    asked: Instant,
    /// Busy and idle seconds of each CPU.
    spent: Vec<(f64, f64)>,
}

impl Cpu {
    pub(super) fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Cpu { system, asked: Instant::now(), spent: Vec::new() }
    }

    /// Adds the shares (0 to 100) of a time in seconds.
    fn add(&mut self, shares: &[f32], seconds: f64) {
        self.spent.resize(shares.len(), (0.0, 0.0));
        for ((busy, idle), share) in self.spent.iter_mut().zip(shares) {
            let share = f64::from(*share).clamp(0.0, 100.0) / 100.0;
            *busy += share * seconds;
            *idle += (1.0 - share) * seconds;
        }
    }
}

impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let since = self.asked.elapsed();
        // Closer together the shares mean nothing; the time is then part of the next.
        if since >= MINIMUM_CPU_UPDATE_INTERVAL {
            let Some(system) = &mut self.system else { return Err(no_system()) };
            system.refresh_cpu_usage();
            self.asked = Instant::now();
            let shares: Vec<f32> = system.cpus().iter().map(sysinfo::Cpu::usage).collect();
            self.add(&shares, since.as_secs_f64());
        }
        let help = "Seconds the CPUs spent in each mode.";
        let mut family = page.family("node_cpu_seconds_total", Kind::Counter, help);
        for (cpu, (busy, idle)) in self.spent.iter().enumerate() {
            let cpu = cpu.to_string();
            family.sample(&[("cpu", &cpu), ("mode", "user")], *busy);
            family.sample(&[("cpu", &cpu), ("mode", "idle")], *idle);
        }
        Ok(())
    }
}

/// Memory, under the names that node_exporter has on macOS.
pub(super) struct Meminfo(Option<System>);

impl Meminfo {
    pub(super) fn new() -> Self {
        Meminfo(System::new().ok())
    }
}

impl Collector for Meminfo {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let Some(system) = &mut self.0 else { return Err(no_system()) };
        system.refresh_memory();
        for (field, value) in [
            ("total_bytes", system.total_memory()),
            ("free_bytes", system.free_memory()),
            ("available_bytes", system.available_memory()),
            ("swap_total_bytes", system.total_swap()),
            ("swap_used_bytes", system.used_swap()),
        ] {
            let help = format!("Memory information field {field}.");
            page.single(&format!("node_memory_{field}"), Kind::Gauge, &help, float(value));
        }
        Ok(())
    }
}

/// Load averages.
pub(super) struct Loadavg;

impl Collector for Loadavg {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let load = System::load_average().map_err(|error| failed("load average", &error))?;
        page.single("node_load1", Kind::Gauge, "1m load average.", load.one);
        page.single("node_load5", Kind::Gauge, "5m load average.", load.five);
        page.single("node_load15", Kind::Gauge, "15m load average.", load.fifteen);
        Ok(())
    }
}

/// When the system was booted.
pub(super) struct Stat;

impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let booted = System::boot_time().map_err(|error| failed("boot time", &error))?;
        let help = "Node boot time, in unixtime.";
        page.single("node_boot_time_seconds", Kind::Gauge, help, float(booted));
        Ok(())
    }
}

/// Mounts.
pub(super) struct Filesystem(Option<regex::Regex>);

impl Filesystem {
    pub(super) fn new(filters: &crate::collect::filter::Filters) -> Self {
        Filesystem(filters.pattern("collector.filesystem.mount-points-exclude"))
    }
}

impl Collector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let disks = Disks::new_with_refreshed_list().map_err(|error| failed("mounts", &error))?;
        type Of = fn(&sysinfo::Disk) -> f64;
        let families: [(&str, &str, Of); 3] = [
            ("node_filesystem_size_bytes", "Filesystem size in bytes.", |disk| float(disk.total_space())),
            (
                "node_filesystem_avail_bytes",
                "Filesystem space available to non-root users in bytes.",
                |disk| float(disk.available_space()),
            ),
            ("node_filesystem_readonly", "Filesystem read-only status.", |disk| {
                f64::from(u8::from(disk.is_read_only()))
            }),
        ];
        for (name, help, value) in families {
            let mut family = page.family(name, Kind::Gauge, help);
            for disk in disks.iter() {
                let point = disk.mount_point().to_string_lossy();
                if self.0.as_ref().is_some_and(|excluded| excluded.is_match(&point)) {
                    continue;
                }
                let (device, fs_type) = (disk.name().to_string_lossy(), disk.file_system().to_string_lossy());
                let labels = [("device", &*device), ("mountpoint", &*point), ("fstype", &*fs_type)];
                family.sample(&labels, value(disk));
            }
        }
        Ok(())
    }
}

/// Traffic of interfaces.
pub(super) struct Netdev(crate::collect::filter::Devices);

impl Netdev {
    pub(super) fn new(filters: &crate::collect::filter::Filters) -> Self {
        Netdev(filters.devices("collector.netdev.device-exclude", "collector.netdev.device-include"))
    }
}

impl Collector for Netdev {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let networks = Networks::new_with_refreshed_list().map_err(|error| failed("interfaces", &error))?;
        type Of = fn(&sysinfo::NetworkData) -> u64;
        let statistics: [(&str, Of); 6] = [
            ("receive_bytes", |data| data.total_received()),
            ("receive_packets", |data| data.total_packets_received()),
            ("receive_errs", |data| data.total_errors_on_received()),
            ("transmit_bytes", |data| data.total_transmitted()),
            ("transmit_packets", |data| data.total_packets_transmitted()),
            ("transmit_errs", |data| data.total_errors_on_transmitted()),
        ];
        for (statistic, value) in statistics {
            let name = format!("node_network_{statistic}_total");
            let help = format!("Network device statistic {statistic}.");
            let mut family = page.family(&name, Kind::Counter, &help);
            for (device, data) in networks.iter() {
                let device = device.to_string_lossy();
                if self.0.shows(&device) {
                    family.sample(&[("device", &device)], float(value(data)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::filter::Filters;

    #[test]
    fn every_fallback_writes_the_families_it_is_for() {
        let none = Filters::default();
        let collectors: [(Box<dyn Collector>, &str); 5] = [
            (Box::new(Meminfo::new()), "\nnode_memory_total_bytes "),
            (Box::new(Loadavg), "\nnode_load15 "),
            (Box::new(Stat), "\nnode_boot_time_seconds "),
            (Box::new(Netdev::new(&none)), "\nnode_network_receive_bytes_total{device=\"lo\"} "),
            (Box::new(Filesystem::new(&none)), "# TYPE node_filesystem_size_bytes gauge\n"),
        ];
        for (mut collector, expected) in collectors {
            let mut page = PageWriter::new();
            collector.collect(&mut page).unwrap();
            let text = String::from_utf8(page.into_bytes()).unwrap();
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn shares_of_cpu_time_add_up_to_the_time() {
        let mut cpu = Cpu::new();
        cpu.add(&[25.0, 100.5], 4.0);
        cpu.add(&[50.0, -1.0], 2.0);
        assert_eq!(cpu.spent, [(2.0, 4.0), (4.0, 2.0)]);
        cpu.asked = Instant::now();
        let mut page = PageWriter::new();
        cpu.collect(&mut page).unwrap();
        assert!(page.as_bytes().ends_with(b"node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 2\n"));
    }
}
