//! The host, a file a collector, with node_exporter's names.
//!
//! Names, labels, types, units and HELP texts are those of node_exporter 1.5, so that dashboards and rules
//! written for it work unchanged; `docs/host-metrics.md` lists what is shown and what is not. On systems other
//! than Linux `other` gives what sysinfo knows.
//!
//! [`COLLECTORS`] is the table of all collectors of the host. Who is switched on is the matter of
//! [`super::catalog`], how they are run that of [`super::worker`].

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
#[cfg(test)]
#[cfg(target_os = "linux")]
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

use super::catalog::Known;

/// All collectors of this system, by name.
#[cfg(target_os = "linux")]
pub const COLLECTORS: &[Known] = &[
    Known {
        name: "arp",
        default: true,
        about: "ARP entries by device",
        make: |c, f| Box::new(arp::Arp::new(&c.paths, f)),
    },
    Known {
        name: "cgroup",
        default: true,
        about: "Limits and usage of the control group this process is in",
        make: |c, f| Box::new(cgroup::Cgroup::new(&c.paths, f)),
    },
    Known {
        name: "conntrack",
        default: true,
        about: "Connection tracking table",
        make: |c, f| Box::new(conntrack::Conntrack::new(&c.paths, f)),
    },
    Known {
        name: "cpu",
        default: true,
        about: "CPU time by mode, throttling",
        make: |c, f| Box::new(cpu::Cpu::new(&c.paths, f)),
    },
    Known {
        name: "diskstats",
        default: true,
        about: "Disk requests, bytes and times",
        make: |c, f| Box::new(diskstats::Diskstats::new(&c.paths, f)),
    },
    Known {
        name: "entropy",
        default: true,
        about: "Available entropy",
        make: |c, f| Box::new(entropy::Entropy::new(&c.paths, f)),
    },
    Known {
        name: "filefd",
        default: true,
        about: "Open files of the system",
        make: |c, f| Box::new(filefd::Filefd::new(&c.paths, f)),
    },
    Known {
        name: "filesystem",
        default: true,
        about: "Size and free space of mounts",
        make: |c, f| Box::new(filesystem::Filesystem::new(&c.paths, f)),
    },
    Known {
        name: "hwmon",
        default: true,
        about: "Sensors: temperatures, fans, voltages",
        make: |c, f| Box::new(hwmon::Hwmon::new(&c.paths, f)),
    },
    Known {
        name: "loadavg",
        default: true,
        about: "Load average",
        make: |c, f| Box::new(loadavg::Loadavg::new(&c.paths, f)),
    },
    Known {
        name: "meminfo",
        default: true,
        about: "Memory",
        make: |c, f| Box::new(meminfo::Meminfo::new(&c.paths, f)),
    },
    Known {
        name: "netclass",
        default: true,
        about: "Properties of network interfaces",
        make: |c, f| Box::new(netclass::Netclass::new(&c.paths, f)),
    },
    Known {
        name: "netdev",
        default: true,
        about: "Traffic of network interfaces",
        make: |c, f| Box::new(netdev::Netdev::new(&c.paths, f)),
    },
    Known {
        name: "netstat",
        default: true,
        about: "Counters of the network protocols",
        make: |c, f| Box::new(netstat::Netstat::new(&c.paths, f)),
    },
    Known {
        name: "os",
        default: true,
        about: "What /etc/os-release says",
        make: |c, f| Box::new(os::Os::new(&c.paths, f)),
    },
    Known {
        name: "pressure",
        default: true,
        about: "Pressure stall information",
        make: |c, f| Box::new(pressure::Pressure::new(&c.paths, f)),
    },
    Known {
        name: "sockstat",
        default: true,
        about: "Sockets in use",
        make: |c, f| Box::new(sockstat::Sockstat::new(&c.paths, f)),
    },
    Known {
        name: "softnet",
        default: true,
        about: "Packets processed and dropped by CPU",
        make: |c, f| Box::new(softnet::Softnet::new(&c.paths, f)),
    },
    Known {
        name: "stat",
        default: true,
        about: "Boot time, forks, context switches, interrupts",
        make: |c, f| Box::new(stat::Stat::new(&c.paths, f)),
    },
    Known {
        name: "thermal_zone",
        default: true,
        about: "Thermal zones and cooling devices",
        make: |c, f| Box::new(thermal_zone::ThermalZone::new(&c.paths, f)),
    },
    Known {
        name: "time",
        default: true,
        about: "Clock, time zone, clock sources",
        make: |c, f| Box::new(time::Time::new(&c.paths, f)),
    },
    Known {
        name: "udp_queues",
        default: true,
        about: "Bytes waiting in UDP sockets",
        make: |c, f| Box::new(udp_queues::UdpQueues::new(&c.paths, f)),
    },
    Known {
        name: "uname",
        default: true,
        about: "What uname says",
        make: |c, f| Box::new(uname::Uname::new(&c.paths, f)),
    },
    Known {
        name: "vmstat",
        default: true,
        about: "Paging",
        make: |c, f| Box::new(vmstat::Vmstat::new(&c.paths, f)),
    },
];

#[cfg(not(target_os = "linux"))]
pub use other::COLLECTORS;
