//! All collectors together: the whole page of a host that we made, and hosts that are not as they should be.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::collect::catalog;
use crate::collect::{CollectError, Collector, Config, Paths};
use crate::exposition::page::PageWriter;

/// What these show is the machine's own; they have their tests.
const NOT_OF_THE_FIXTURE: [&str; 3] = ["filesystem", "time", "uname"];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host")
}

fn at(root: &Path) -> Config {
    let paths = Paths { procfs: root.join("proc"), sysfs: root.join("sys"), rootfs: root.to_owned() };
    Config { paths, ..Config::default() }
}

fn page(collector: &mut Box<dyn Collector>) -> (String, Result<(), CollectError>) {
    let mut page = PageWriter::new();
    let result = collector.collect(&mut page);
    (String::from_utf8(page.into_bytes()).expect("a page is UTF-8"), result)
}

/// The collectors of the host alone.
fn collectors(config: &Config) -> Result<Vec<Box<dyn Collector>>, catalog::ConfigError> {
    let mut all = catalog::collectors(config)?;
    all.retain(|collector| COLLECTORS.iter().any(|known| known.name == collector.name()));
    Ok(all)
}

/// `tests/fixtures/host/page.txt` is what this test prints when they differ; Debian's node_exporter was shown
/// the same tree and agreed (`tests/node_exporter_parity.py`).
#[test]
fn the_page_of_the_fixture_is_as_agreed() {
    let mut collectors = collectors(&at(&fixture())).unwrap();
    collectors.retain(|collector| !NOT_OF_THE_FIXTURE.contains(&collector.name()));
    for pass in ["first", "second"] {
        let mut whole = String::new();
        for collector in &mut collectors {
            let (text, result) = page(collector);
            result.unwrap();
            whole.push_str(&without_empty_families(&text));
        }
        let agreed = std::fs::read_to_string(fixture().join("page.txt")).unwrap();
        assert!(whole == agreed, "the {pass} page differs from page.txt:\n{whole}");
    }
}

fn without_empty_families(page: &str) -> String {
    let mut out = String::new();
    for family in page.split("# HELP ").filter(|family| family.lines().count() > 2) {
        out.push_str("# HELP ");
        out.push_str(family);
    }
    out
}

#[test]
fn families_and_series_stand_on_a_page_once() {
    for root in [fixture(), "/".into()] {
        for mut collector in collectors(&at(&root)).unwrap() {
            let (text, _) = page(&mut collector);
            let mut seen = std::collections::HashSet::new();
            for line in text.lines() {
                let key = if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 };
                assert!(seen.insert(key), "{key} stands twice on the page of {}", collector.name());
            }
        }
    }
}

#[test]
fn an_include_replaces_the_default_exclude() {
    let mut config = at(&fixture());
    config.filters.insert("collector.diskstats.device-include".into(), "^(sda1|loop0)$".into());
    config.filters.insert("collector.netdev.device-exclude".into(), "^(lo|veth.*)$".into());
    for mut collector in collectors(&config).unwrap() {
        let (text, _) = page(&mut collector);
        match collector.name() {
            "diskstats" => {
                assert!(text.contains("{device=\"sda1\"}") && text.contains("{device=\"loop0\"}"));
                assert!(!text.contains("{device=\"sda\"}"));
            }
            "netdev" => {
                assert!(text.contains("{device=\"eth0\"}") && !text.contains("lo\"}"));
                assert!(!text.contains("veth"));
            }
            _ => {}
        }
    }
}

#[test]
fn without_proc_and_sys_each_collector_says_why_and_none_panics() {
    let empty = tempfile::tempdir().unwrap();
    for mut collector in collectors(&at(empty.path())).unwrap() {
        let (_, result) = page(&mut collector);
        match collector.name() {
            "time" | "uname" => assert!(result.is_ok()),
            name => {
                let reason = result.unwrap_err().to_string();
                assert!(!reason.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn thousands_of_interfaces_are_cut_to_the_cap_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
    let lines: String =
        (0..5000).map(|n| format!("veth{n}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")).collect();
    std::fs::write(folder.path().join("proc/net/dev"), lines).unwrap();
    let mut collectors = collectors(&at(folder.path())).unwrap();
    let netdev = collectors.iter_mut().find(|collector| collector.name() == "netdev").unwrap();
    let (text, result) = page(netdev);
    result.unwrap();
    let series = text.lines().filter(|line| line.starts_with("node_")).count();
    assert!((9000..=cap::SERIES).contains(&series), "{series}");
    assert!(text.contains("gaugecast_collector_devices_over_limit{collector=\"netdev\"} 4412\n"));
}

#[test]
fn a_device_that_goes_is_absent_from_the_next_page() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("sys/class/net");
    for device in ["eth0", "usb0"] {
        std::fs::create_dir_all(net.join(device)).unwrap();
        std::fs::write(net.join(device).join("operstate"), "up\n").unwrap();
    }
    let mut collectors = collectors(&at(folder.path())).unwrap();
    let netclass = collectors.iter_mut().find(|collector| collector.name() == "netclass").unwrap();
    assert!(page(netclass).0.contains("node_network_up{device=\"usb0\"} 1\n"));
    std::fs::remove_dir_all(net.join("usb0")).unwrap();
    let (text, _) = page(netclass);
    assert!(!text.contains("usb0") && text.contains("node_network_up{device=\"eth0\"} 1\n"));
}

/// Which collector reads which file.
const FILES: [(&str, &str); 22] = [
    ("arp", "proc/net/arp"),
    ("cgroup", "proc/self/cgroup"),
    ("conntrack", "proc/net/stat/nf_conntrack"),
    ("conntrack", "proc/sys/net/netfilter/nf_conntrack_count"),
    ("cpu", "proc/stat"),
    ("diskstats", "proc/diskstats"),
    ("filefd", "proc/sys/fs/file-nr"),
    ("filesystem", "proc/1/mounts"),
    ("loadavg", "proc/loadavg"),
    ("meminfo", "proc/meminfo"),
    ("netdev", "proc/net/dev"),
    ("netstat", "proc/net/netstat"),
    ("netstat", "proc/net/snmp6"),
    ("os", "etc/os-release"),
    ("pressure", "proc/pressure/cpu"),
    ("sockstat", "proc/net/sockstat"),
    ("softnet", "proc/net/softnet_stat"),
    ("stat", "proc/stat"),
    ("thermal_zone", "sys/class/thermal/thermal_zone0/temp"),
    ("udp_queues", "proc/net/udp"),
    ("vmstat", "proc/vmstat"),
    ("entropy", "proc/sys/kernel/random/entropy_avail"),
];

/// Bytes, or the words that such files are made of in any order.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "[0-9]{1,25}",
        "-?[0-9.e]{1,8}",
        "[A-Za-z0-9_():,=]{1,12}",
        Just("cpu0".to_owned()),
        Just("eth0:".to_owned()),
        Just("\n".to_owned()),
    ];
    let words = proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" ").into_bytes());
    prop_oneof![words, proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_a_collector_panic(text in any_text(), place in 0..FILES.len()) {
        let (name, file) = FILES[place];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
        let mut collectors = collectors(&at(folder.path())).unwrap();
        let collector = collectors.iter_mut().find(|collector| collector.name() == name).unwrap();
        for _ in 0..2 {
            let (page, _) = page(collector);
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
                prop_assert!(value >= 0.0 || name == "thermal_zone", "{line}");
            }
        }
    }
}
