//! `node_network_{receive,transmit}_*_total` from `/proc/net/dev`, packets without a handler from `/sys`.

use std::path::PathBuf;

use super::cap::Cap;
use super::file::{Kept, read_trimmed};
use super::text::{count, label, lines, words};
use crate::collect::filter::{Devices, Filters};
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// In the order of the columns; the last is not among them.
const STATISTICS: [&str; 17] = [
    "receive_bytes",
    "receive_packets",
    "receive_errs",
    "receive_drop",
    "receive_fifo",
    "receive_frame",
    "receive_compressed",
    "receive_multicast",
    "transmit_bytes",
    "transmit_packets",
    "transmit_errs",
    "transmit_drop",
    "transmit_fifo",
    "transmit_colls",
    "transmit_carrier",
    "transmit_compressed",
    "receive_nohandler",
];

#[derive(Debug)]
pub(super) struct Netdev {
    file: Kept,
    class: PathBuf,
    devices: Devices,
    cap: Cap,
    /// Names and help, made once.
    families: Vec<(String, String)>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Device {
    name: String,
    values: [Option<f64>; STATISTICS.len()],
}

impl Netdev {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        let family = |statistic| {
            (format!("node_network_{statistic}_total"), format!("Network device statistic {statistic}."))
        };
        Netdev {
            file: Kept::new(paths.procfs.join("net/dev")),
            class: paths.sysfs.join("class/net"),
            devices: filters.devices("collector.netdev.device-exclude", "collector.netdev.device-include"),
            cap: Cap::new("netdev", STATISTICS.len()),
            families: STATISTICS.iter().map(family).collect(),
            buffer: Vec::new(),
        }
    }
}

impl Collector for Netdev {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let mut devices = Vec::new();
        for line in lines(self.file.read()?) {
            let Some(mut device) = parse_device(line) else { continue };
            if self.devices.shows(&device.name) {
                device.values[STATISTICS.len() - 1] = None;
                devices.push(device);
            }
        }
        self.cap.cut(&mut devices, page);
        for device in &mut devices {
            // Missing before Linux 4.6, and while a device goes.
            let path = self.class.join(&device.name).join("statistics/rx_nohandler");
            let text = read_trimmed(&path, &mut self.buffer).ok();
            device.values[STATISTICS.len() - 1] = text.and_then(count);
        }
        for (statistic, (name, help)) in self.families.iter().enumerate() {
            let mut family = page.family(name, Kind::Counter, help);
            for device in &devices {
                if let Some(value) = device.values[statistic] {
                    family.sample(&[("device", &device.name)], value);
                }
            }
        }
        Ok(())
    }
}

/// None for the two lines of the head. A long number follows the colon without a blank.
fn parse_device(line: &[u8]) -> Option<Device> {
    let colon = line.iter().rposition(|&byte| byte == b':')?;
    let name = label(line[..colon].trim_ascii()).into_owned();
    let mut values = [None; STATISTICS.len()];
    for (value, word) in values.iter_mut().zip(words(&line[colon + 1..])) {
        *value = count(word);
    }
    values[0].is_some().then_some(Device { name, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_split_at_its_last_colon() {
        let device = parse_device(b"eth0:1:12345 6 0").unwrap();
        assert_eq!(device.name, "eth0:1");
        assert_eq!(device.values[..3], [Some(12345.0), Some(6.0), Some(0.0)]);
        assert!(parse_device(b" face |bytes    packets errs").is_none());
    }

    proptest! {
        #[test]
        fn any_line_is_a_device_or_none(line: Vec<u8>) {
            let _ = parse_device(&line);
        }
    }
}
