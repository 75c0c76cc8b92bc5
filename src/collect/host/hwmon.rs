//! `node_hwmon_*` from `/sys/class/hwmon`: what the sensors of the chips say.
//!
//! A file is called `TYPE NUMBER _ ELEMENT`: `temp1_input`, `in0_max`, `pwm2`. Type and element make the metric
//! and its unit, type and number the label `sensor`. The label `chip` is made of the device's path, since
//! `hwmonN` changes from one boot to the next.
//!
//! Which files there are is looked up every [`RESCAN_PASSES`] passes, and at once when one has gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cap::Cap;
use super::file::{Kept, names_in, or_no_data, read_trimmed};
use super::text::{label, number};
use crate::collect::filter::{Devices, Filters};
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// After how many passes the files are looked up again.
const RESCAN_PASSES: u32 = 60;

/// Types of sensors.
const TYPES: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

#[derive(Debug)]
pub(super) struct Hwmon {
    class: PathBuf,
    chips_shown: Devices,
    cap: Cap,
    chips: Vec<(String, String)>,
    /// Chip, sensor, label.
    labels: Vec<(String, String, String)>,
    /// Sorted by metric.
    readings: Vec<Reading>,
    passes_left: u32,
}

/// A file and the series that it is.
#[derive(Debug)]
struct Reading {
    chip: String,
    sensor: String,
    metric: Metric,
    file: Kept,
}

#[derive(Clone, Debug, PartialEq)]
struct Metric {
    name: String,
    help: String,
    kind: Kind,
    scale: f64,
}

impl Hwmon {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        Hwmon {
            class: paths.sysfs.join("class/hwmon"),
            chips_shown: filters.devices("collector.hwmon.chip-exclude", "collector.hwmon.chip-include"),
            cap: Cap::new("hwmon", 1),
            chips: Vec::new(),
            labels: Vec::new(),
            readings: Vec::new(),
            passes_left: 0,
        }
    }

    fn scan(&mut self, folders: &[String]) {
        self.chips.clear();
        self.labels.clear();
        self.readings.clear();
        for folder in folders {
            let folder = self.class.join(folder);
            let Some(chip) = chip(&folder) else { continue };
            if !self.chips_shown.shows(&chip) {
                continue;
            }
            if let Some(name) = text(&folder.join("name")).map(|name| clean(&name)).filter(|n| !n.is_empty())
            {
                self.chips.push((chip.clone(), name));
            }
            self.scan_chip(&chip, &folder);
        }
        self.readings
            .sort_by(|a, b| (&a.metric.name, &a.chip, &a.sensor).cmp(&(&b.metric.name, &b.chip, &b.sensor)));
    }

    fn scan_chip(&mut self, chip: &str, folder: &Path) {
        // Older drivers have the files with the device.
        let mut sensors: BTreeMap<(String, String), BTreeMap<String, PathBuf>> = BTreeMap::new();
        for folder in [folder.to_owned(), folder.join("device")] {
            for file in names_in(&folder).unwrap_or_default() {
                if let Some((of, sensor, element)) = split(&file) {
                    let elements = sensors.entry((sensor, of.into())).or_default();
                    elements.insert(element.into(), folder.join(&file));
                }
            }
        }
        for ((sensor, of), elements) in sensors {
            let named = elements.get("label").and_then(|path| text(path)).filter(|label| !label.is_empty());
            if let Some(label) = &named {
                self.labels.push((chip.into(), sensor.clone(), label.clone()));
            }
            for (element, path) in &elements {
                let Some(metric) = metric(&of, element, elements.contains_key("")) else { continue };
                // Frequencies go by their label: freq1 is another clock on each model.
                let by_label = named.as_ref().filter(|_| of == "freq").map(|label| clean(label));
                let sensor = by_label.unwrap_or_else(|| sensor.clone());
                self.readings.push(Reading {
                    chip: chip.into(),
                    sensor,
                    metric,
                    file: Kept::new(path.clone()),
                });
            }
        }
    }
}

impl Collector for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        if self.passes_left == 0 {
            let folders = names_in(&self.class).map_err(|error| or_no_data(error, "no /sys/class/hwmon"))?;
            self.scan(&folders);
            self.cap.cut(&mut self.readings, page);
            self.passes_left = RESCAN_PASSES;
        }
        self.passes_left -= 1;

        let help = "Annotation metric for human-readable chip names";
        let mut family = page.family("node_hwmon_chip_names", Kind::Gauge, help);
        for (chip, name) in &self.chips {
            family.sample(&[("chip", chip), ("chip_name", name)], 1.0);
        }
        let help = "Label for given chip and sensor";
        let mut family = page.family("node_hwmon_sensor_label", Kind::Gauge, help);
        for (chip, sensor, label) in &self.labels {
            family.sample(&[("chip", chip), ("sensor", sensor), ("label", label)], 1.0);
        }
        for readings in self.readings.chunk_by_mut(|a, b| a.metric.name == b.metric.name) {
            let Metric { name, help, kind, .. } = readings[0].metric.clone();
            let mut family = page.family(&name, kind, &help);
            for reading in readings {
                match reading.file.read() {
                    Ok(text) => {
                        if let Some(value) = number(text.trim_ascii()) {
                            let labels = [("chip", &*reading.chip), ("sensor", &reading.sensor)];
                            family.sample(&labels, value * reading.metric.scale);
                        }
                    }
                    // A sensor may not answer (ENODATA, EIO); a file that has gone means other files.
                    Err(CollectError::File { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound =>
                    {
                        self.passes_left = 0;
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// Type, sensor (type and number; number 0 where there is none) and element of a file. None for other files.
fn split(file: &str) -> Option<(&'static str, String, &str)> {
    let of = TYPES.iter().filter(|of| file.starts_with(**of)).max_by_key(|of| of.len())?;
    let rest = &file[of.len()..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number: u32 = if digits == 0 { 0 } else { rest[..digits].parse().ok()? };
    let element = match &rest[digits..] {
        "" => "",
        rest => rest.strip_prefix('_').filter(|element| !element.is_empty())?,
    };
    Some((of, format!("{of}{number}"), element))
}

/// What an element is as a metric. `plain` says that the sensor has a file without element.
fn metric(of: &str, element: &str, plain: bool) -> Option<Metric> {
    let gauge = |name: String, help: String, scale| {
        Some(Metric { name: format!("node_hwmon_{name}"), help, kind: Kind::Gauge, scale })
    };
    match of {
        "beep_enable" => return gauge("beep_enabled".into(), "Hardware beep enabled".into(), 1.0),
        "vrm" => return gauge("voltage_regulator_version".into(), "Hardware voltage regulator".into(), 1.0),
        "update_interval" => {
            let help = "Hardware monitor update interval";
            return gauge("update_interval_seconds".into(), help.into(), 1e-3);
        }
        _ => {}
    }
    let name = match element {
        "label" => return None,
        "" => of.to_owned(),
        "input" if plain => format!("{of}_input"),
        "input" => of.to_owned(),
        element => format!("{of}_{}", clean(element)),
    };
    match (of, element) {
        (_, "fault" | "alarm") => gauge(name, format!("Hardware sensor {element} status ({of})"), 1.0),
        (_, "beep") => gauge(name + "_enabled", "Hardware monitor sensor has beeping enabled".into(), 1.0),
        ("in" | "cpu", _) => {
            gauge(name + "_volts", format!("Hardware monitor for voltage ({element})"), 1e-3)
        }
        ("temp", element) if element != "type" => {
            gauge(name + "_celsius", format!("Hardware monitor for temperature ({element})"), 1e-3)
        }
        ("curr", _) => gauge(name + "_amps", format!("Hardware monitor for current ({element})"), 1e-3),
        ("energy", _) => Some(Metric {
            name: format!("node_hwmon_{name}_joule_total"),
            help: format!("Hardware monitor for joules used so far ({element})"),
            kind: Kind::Counter,
            scale: 1e-6,
        }),
        ("power", "accuracy") => {
            gauge(name, "Hardware monitor power meter accuracy, as a ratio".into(), 1e-6)
        }
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            let help = format!("Hardware monitor power usage update interval ({element})");
            gauge(name + "_seconds", help, 1e-3)
        }
        ("power", _) => {
            gauge(name + "_watt", format!("Hardware monitor for power usage in watts ({element})"), 1e-6)
        }
        ("humidity", _) => {
            let help = "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as \
                a percentage)";
            gauge(name, format!("{help} ({element})"), 1e-6)
        }
        ("fan", "input" | "min" | "max" | "target") => {
            gauge(name + "_rpm", format!("Hardware monitor for fan revolutions per minute ({element})"), 1.0)
        }
        ("freq", "input") => {
            gauge(name + "_freq_mhz", "Hardware monitor for GPU frequency in MHz".into(), 1e-6)
        }
        _ => gauge(name, format!("Hardware monitor {of} element {element}"), 1.0),
    }
}

/// A name that does not change from boot to boot, where there is one.
fn chip(folder: &Path) -> Option<String> {
    let name = |path: &Path| clean(&path.file_name().unwrap_or_default().to_string_lossy());
    if let Ok(device) = folder.join("device").canonicalize() {
        let (bus, device) = (device.parent().map(name).unwrap_or_default(), name(&device));
        match (bus.is_empty(), device.is_empty()) {
            (false, false) => return Some(format!("{bus}_{device}")),
            (true, false) => return Some(device),
            _ => {}
        }
    }
    let named = text(&folder.join("name")).map(|name| clean(&name)).filter(|name| !name.is_empty());
    named.or_else(|| folder.canonicalize().ok().map(|real| name(&real))).filter(|name| !name.is_empty())
}

fn text(path: &Path) -> Option<String> {
    let mut buffer = Vec::new();
    Some(label(read_trimmed(path, &mut buffer).ok()?).into_owned())
}

/// Lower case; what may not stand in a metric name becomes `_`, but not at the ends.
fn clean(name: &str) -> String {
    let lower = name.to_lowercase();
    let part = |c: char| if matches!(c, 'a'..='z' | '0'..='9' | ':' | '_') { c } else { '_' };
    lower.chars().map(part).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_names_are_split_into_type_sensor_and_element() {
        assert_eq!(split("temp1_crit_alarm"), Some(("temp", "temp1".into(), "crit_alarm")));
        assert_eq!(split("pwm2"), Some(("pwm", "pwm2".into(), "")));
        assert_eq!(split("update_interval"), Some(("update_interval", "update_interval0".into(), "")));
        assert_eq!(split("intrusion0_alarm"), Some(("intrusion", "intrusion0".into(), "alarm")));
        for other in ["name", "uevent", "temperature", "in_", "input", "temp99999999999_input"] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn chip_names_are_fit_for_labels() {
        assert_eq!(clean("coretemp"), "coretemp");
        assert_eq!(clean("0000:00:18.3"), "0000:00:18_3");
        assert_eq!(clean("_AMD GPU_"), "amd_gpu");
    }

    proptest! {
        #[test]
        fn any_file_name_is_a_sensor_or_none(file: String) {
            if let Some((of, _, element)) = split(&file) {
                let _ = metric(of, element, true);
            }
            let _ = clean(&file);
        }
    }
}
