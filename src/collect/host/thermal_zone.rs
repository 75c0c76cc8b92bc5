//! `node_thermal_zone_temp` and `node_cooling_device_*` from `/sys/class/thermal`.

use std::path::PathBuf;

use super::file::{names_in, or_no_data, read_trimmed};
use super::text::{label, number};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct ThermalZone {
    class: PathBuf,
    buffer: Vec<u8>,
}

impl ThermalZone {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        ThermalZone { class: paths.sysfs.join("class/thermal"), buffer: Vec::new() }
    }

    fn number(&mut self, folder: &str, file: &str) -> Option<f64> {
        // Reading a zone that is off, or whose sensor does not answer, fails: it has no series then.
        number(read_trimmed(&self.class.join(folder).join(file), &mut self.buffer).ok()?)
    }

    fn kind_of(&mut self, folder: &str) -> String {
        let path = self.class.join(folder).join("type");
        read_trimmed(&path, &mut self.buffer).map_or_else(|_| String::new(), |text| label(text).into_owned())
    }
}

impl Collector for ThermalZone {
    fn name(&self) -> &'static str {
        "thermal_zone"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let folders = names_in(&self.class).map_err(|error| or_no_data(error, "no /sys/class/thermal"))?;
        let help = "Zone temperature in Celsius";
        let mut family = page.family("node_thermal_zone_temp", Kind::Gauge, help);
        for folder in &folders {
            let Some(zone) = folder.strip_prefix("thermal_zone") else { continue };
            if let Some(millidegrees) = self.number(folder, "temp") {
                family.sample(&[("zone", zone), ("type", &self.kind_of(folder))], millidegrees / 1000.0);
            }
        }
        let states = [
            ("node_cooling_device_cur_state", "cur_state", "Current throttle state of the cooling device"),
            ("node_cooling_device_max_state", "max_state", "Maximum throttle state of the cooling device"),
        ];
        for (name, file, help) in states {
            let mut family = page.family(name, Kind::Gauge, help);
            for folder in &folders {
                let Some(device) = folder.strip_prefix("cooling_device") else { continue };
                if let Some(state) = self.number(folder, file) {
                    family.sample(&[("name", device), ("type", &self.kind_of(folder))], state);
                }
            }
        }
        Ok(())
    }
}
