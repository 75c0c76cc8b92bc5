//! `node_network_*` properties from `/sys/class/net`.
//!
//! There are twenty files for each interface, and opening one costs more than all of `/proc/net/dev`. The two
//! that tell when a cable is pulled are read in every pass; the rest (addresses, MTU, speed) every
//! [`REREAD_PASSES`], and at once when one of the two has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::cap::Cap;
use super::file::{names_in, or_no_data, read_trimmed};
use super::text::{hex, label, number};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// After how many passes the properties that seldom change are read again.
const REREAD_PASSES: u32 = 10;

/// File, what follows `node_network_`, type. The first and the last are read in every pass.
const PROPERTIES: [(&str, &str, Kind); 18] = [
    ("carrier_changes", "carrier_changes_total", Kind::Counter),
    ("carrier", "carrier", Kind::Gauge),
    ("carrier_up_count", "carrier_up_changes_total", Kind::Counter),
    ("carrier_down_count", "carrier_down_changes_total", Kind::Counter),
    ("flags", "flags", Kind::Gauge),
    ("dormant", "dormant", Kind::Gauge),
    ("addr_assign_type", "address_assign_type", Kind::Gauge),
    ("dev_id", "device_id", Kind::Gauge),
    ("ifindex", "iface_id", Kind::Gauge),
    ("iflink", "iface_link", Kind::Gauge),
    ("link_mode", "iface_link_mode", Kind::Gauge),
    ("mtu", "mtu_bytes", Kind::Gauge),
    ("name_assign_type", "name_assign_type", Kind::Gauge),
    ("netdev_group", "net_dev_group", Kind::Gauge),
    ("speed", "speed_bytes", Kind::Gauge),
    ("tx_queue_len", "transmit_queue_length", Kind::Gauge),
    ("type", "protocol_type", Kind::Gauge),
    ("operstate", "up", Kind::Gauge),
];

const QUICK: usize = 1;
const SPEED: usize = 14;
const OPERSTATE: usize = 17;

/// Labels of `node_network_info` that are files.
const TEXTS: [&str; 4] = ["address", "broadcast", "duplex", "ifalias"];

/// Bytes a second of the kernel's Mbit/s.
const SPEED_UNIT: f64 = 1e6 / 8.0;

#[derive(Debug)]
pub(super) struct Netclass {
    class: PathBuf,
    ignored: Option<Regex>,
    cap: Cap,
    families: Vec<(String, String)>,
    interfaces: HashMap<String, Interface>,
    buffer: Vec<u8>,
}

/// What was last read of an interface.
#[derive(Debug, Default)]
struct Interface {
    values: [Option<f64>; PROPERTIES.len()],
    texts: [String; TEXTS.len()],
    state: String,
    passes: u32,
}

impl Netclass {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        let family = |(_, name, _): &(&str, &str, Kind)| {
            let help = match *name {
                "up" => "Value is 1 if operstate is 'up', 0 otherwise.".into(),
                name => format!("Network device property: {name}"),
            };
            (format!("node_network_{name}"), help)
        };
        Netclass {
            class: paths.sysfs.join("class/net"),
            ignored: filters.pattern("collector.netclass.ignored-devices"),
            cap: Cap::new("netclass", PROPERTIES.len() + 1),
            families: PROPERTIES.iter().map(family).collect(),
            interfaces: HashMap::new(),
            buffer: Vec::new(),
        }
    }
}

impl Collector for Netclass {
    fn name(&self) -> &'static str {
        "netclass"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let mut names = names_in(&self.class).map_err(|error| or_no_data(error, "no /sys/class/net"))?;
        let ignored = self.ignored.as_ref();
        names.retain(|name| !ignored.is_some_and(|ignored| ignored.is_match(name)));
        self.cap.cut(&mut names, page);
        // A file among the folders (bonding_masters) and an interface that is just going have no index.
        names.retain(|name| {
            let interface = self.interfaces.entry(name.clone()).or_default();
            interface.read(&self.class.join(name), &mut self.buffer)
        });
        if self.interfaces.len() > names.len() {
            self.interfaces.retain(|name, _| names.binary_search(name).is_ok());
        }

        let help = "Non-numeric data from /sys/class/net/<iface>, value is always 1.";
        let mut family = page.family("node_network_info", Kind::Gauge, help);
        for name in &names {
            let interface = &self.interfaces[name];
            let [address, broadcast, duplex, alias] = &interface.texts;
            family.sample(
                &[
                    ("device", name),
                    ("address", address),
                    ("broadcast", broadcast),
                    ("duplex", duplex),
                    ("operstate", &interface.state),
                    ("ifalias", alias),
                ],
                1.0,
            );
        }
        for (place, (name, help)) in self.families.iter().enumerate() {
            let mut family = page.family(name, PROPERTIES[place].2, help);
            for device in &names {
                if let Some(value) = self.interfaces[device].values[place] {
                    family.sample(&[("device", device)], value);
                }
            }
        }
        Ok(())
    }
}

impl Interface {
    /// False when it is no interface, or none any more.
    fn read(&mut self, folder: &Path, buffer: &mut Vec<u8>) -> bool {
        let before = self.values;
        let Ok(state) = read_trimmed(&folder.join("operstate"), buffer) else { return false };
        let changed = self.state.as_bytes() != state;
        if changed {
            self.state = label(state).into_owned();
            self.values[OPERSTATE] = Some(f64::from(u8::from(self.state == "up")));
        }
        for place in 0..QUICK {
            self.values[place] = read_value(folder, place, buffer);
        }
        if changed || before[..QUICK] != self.values[..QUICK] || self.passes.is_multiple_of(REREAD_PASSES) {
            for place in QUICK..OPERSTATE {
                self.values[place] = read_value(folder, place, buffer);
            }
            for (text, file) in self.texts.iter_mut().zip(TEXTS) {
                let read = read_trimmed(&folder.join(file), buffer).unwrap_or_default();
                *text = label(read).into_owned();
            }
            self.passes = 0;
        }
        self.passes += 1;
        true
    }
}

/// None where the kernel refuses: most files of an interface that is down, `speed` of one that has none.
fn read_value(folder: &Path, place: usize, buffer: &mut Vec<u8>) -> Option<f64> {
    let text = read_trimmed(&folder.join(PROPERTIES[place].0), buffer).ok()?;
    let value = if text.starts_with(b"0x") { hex(text) } else { number(text) }?;
    Some(if place == SPEED { value * SPEED_UNIT } else { value })
}
