//! Which devices, mounts and fields are shown.

use std::collections::BTreeMap;

use regex::Regex;

/// A flag that takes a regular expression, and its default; an empty one is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Name without dashes in front.
    pub flag: &'static str,
    /// Default, as of node_exporter 1.5.
    pub default: &'static str,
    /// One line for the help page.
    pub about: &'static str,
}

/// All flags that choose. A pattern matches anywhere in the name unless it says `^` and `$`.
pub const FILTERS: &[Filter] = &[
    Filter {
        flag: "collector.diskstats.device-exclude",
        default: r"^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        about: "Disks to leave out",
    },
    Filter { flag: "collector.diskstats.device-include", default: "", about: "Disks to show, instead" },
    Filter {
        flag: "collector.filesystem.mount-points-exclude",
        default: r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
        about: "Mount points to leave out",
    },
    Filter {
        flag: "collector.filesystem.fs-types-exclude",
        default: "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660\
            |mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
        about: "File system types to leave out",
    },
    Filter { flag: "collector.hwmon.chip-exclude", default: "", about: "Sensor chips to leave out" },
    Filter { flag: "collector.hwmon.chip-include", default: "", about: "Sensor chips to show, instead" },
    Filter { flag: "collector.netclass.ignored-devices", default: "^$", about: "Interfaces to leave out" },
    Filter { flag: "collector.netdev.device-exclude", default: "", about: "Interfaces to leave out" },
    Filter { flag: "collector.netdev.device-include", default: "", about: "Interfaces to show, instead" },
    Filter {
        flag: "collector.netstat.fields",
        default: "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)\
            |Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)\
            |Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)\
            |Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
        about: "Fields of /proc/net/{netstat,snmp,snmp6} to show",
    },
    Filter {
        flag: "collector.vmstat.fields",
        default: "^(oom_kill|pgpg|pswp|pg.*fault).*",
        about: "Fields of /proc/vmstat to show",
    },
];

/// The compiled patterns of all flags that are set.
#[derive(Debug, Default)]
pub struct Filters(pub(super) BTreeMap<&'static str, Regex>);

impl Filters {
    /// What the two flags of a device let through.
    pub(super) fn devices(&self, exclude: &str, include: &str) -> Devices {
        Devices { exclude: self.pattern(exclude), include: self.pattern(include) }
    }

    /// The pattern of one flag.
    pub(super) fn pattern(&self, flag: &str) -> Option<Regex> {
        debug_assert!(FILTERS.iter().any(|filter| filter.flag == flag), "{flag} is not in the table");
        self.0.get(flag).cloned()
    }
}

/// Lets devices through: those that match `include`, or else those that do not match `exclude`.
#[derive(Debug)]
pub(super) struct Devices {
    exclude: Option<Regex>,
    include: Option<Regex>,
}

impl Devices {
    pub(super) fn shows(&self, name: &str) -> bool {
        !self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(name))
            && self.include.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }
}
