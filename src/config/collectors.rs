//! The collectors as the command line and the file know them: names, defaults, filters.

/// A collector that can be switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// `cpu` in `--collector.cpu`.
    pub name: &'static str,
    /// Whether it runs when nothing is said.
    pub default: bool,
    /// What it reads, a few words.
    pub about: &'static str,
}

/// A flag that takes a regular expression, which chooses among what a collector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Name without dashes, as node_exporter calls it: `collector.netdev.device-exclude`.
    pub flag: &'static str,
    /// The expression when nothing is said; empty is no filter.
    pub default: &'static str,
    /// What it does, a few words.
    pub about: &'static str,
}

const fn on(name: &'static str, about: &'static str) -> Collector {
    Collector { name, default: true, about }
}

const fn filter(flag: &'static str, default: &'static str, about: &'static str) -> Filter {
    Filter { flag, default, about }
}

/// All collectors, by name.
pub const COLLECTORS: &[Collector] = &[
    on("arp", "ARP entries by device"),
    on("cgroup", "Limits and usage of the control group this process is in"),
    on("conntrack", "Connection tracking table"),
    on("cpu", "CPU time by mode, throttling"),
    on("diskstats", "Disk requests, bytes and times"),
    on("entropy", "Available entropy"),
    on("filefd", "Open files of the system"),
    on("filesystem", "Size and free space of mounts"),
    on("hwmon", "Sensors: temperatures, fans, voltages"),
    on("loadavg", "Load average"),
    on("meminfo", "Memory"),
    on("netclass", "Properties of network interfaces"),
    on("netdev", "Traffic of network interfaces"),
    on("netstat", "Counters of the network protocols"),
    on("os", "What /etc/os-release says"),
    on("pressure", "Pressure stall information"),
    on("process", "This process"),
    on("runtime", "The runtime of this process: workers, queues"),
    on("sockstat", "Sockets in use"),
    on("softnet", "Packets processed and dropped by CPU"),
    on("stat", "Boot time, forks, context switches, interrupts"),
    on("textfile", "*.prom files in the folders named"),
    on("thermal_zone", "Thermal zones and cooling devices"),
    on("time", "Clock, time zone, clock sources"),
    on("udp_queues", "Bytes waiting in UDP sockets"),
    on("uname", "What uname says"),
    on("vmstat", "Paging"),
];

/// All filters, by collector; the defaults are node_exporter's.
pub const FILTERS: &[Filter] = &[
    filter(
        "collector.diskstats.device-exclude",
        r"^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        "Disks to leave out",
    ),
    filter("collector.diskstats.device-include", "", "Disks to show, instead"),
    filter(
        "collector.filesystem.mount-points-exclude",
        r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
        "Mount points to leave out",
    ),
    filter(
        "collector.filesystem.fs-types-exclude",
        "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660\
            |mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
        "File system types to leave out",
    ),
    filter("collector.hwmon.chip-exclude", "", "Sensor chips to leave out"),
    filter("collector.hwmon.chip-include", "", "Sensor chips to show, instead"),
    filter("collector.netclass.ignored-devices", "^$", "Interfaces to leave out"),
    filter("collector.netdev.device-exclude", "", "Interfaces to leave out"),
    filter("collector.netdev.device-include", "", "Interfaces to show, instead"),
    filter(
        "collector.netstat.fields",
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)\
            |Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)\
            |Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)\
            |Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
        "Fields of /proc/net/{netstat,snmp,snmp6} to show",
    ),
    filter("collector.vmstat.fields", "^(oom_kill|pgpg|pswp|pg.*fault).*", "Fields of /proc/vmstat to show"),
];

/// The filters of a collector.
pub fn filters_of(name: &str) -> impl Iterator<Item = &'static Filter> {
    let prefix = format!("collector.{name}.");
    FILTERS.iter().filter(move |filter| filter.flag.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_sorted_and_every_filter_belongs_to_one_and_compiles() {
        assert!(COLLECTORS.is_sorted_by_key(|collector| collector.name));
        let of_all: usize = COLLECTORS.iter().map(|collector| filters_of(collector.name).count()).sum();
        assert_eq!(of_all, FILTERS.len());
        for filter in FILTERS {
            assert!(regex::Regex::new(filter.default).is_ok(), "{}", filter.default);
        }
    }
}
