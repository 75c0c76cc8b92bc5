//! `node_time_*`: the clock, the offset of the local time zone, the clock sources of `/sys`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tz::TimeZone;

use super::file::{Kept, names_in};
use super::text::{label, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// After how many passes the time zone is read again.
const REREAD_PASSES: u32 = 60;

#[derive(Debug)]
pub(super) struct Time {
    zone: TimeZone,
    clocksources: PathBuf,
    /// Number, available, current.
    devices: Vec<(String, Kept, Kept)>,
    pass: u32,
}

impl Time {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Time {
            zone: TimeZone::utc(),
            clocksources: paths.sysfs.join("devices/system/clocksource"),
            devices: Vec::new(),
            pass: 0,
        }
    }

    fn reread(&mut self) {
        if self.pass.is_multiple_of(REREAD_PASSES) {
            self.zone = TimeZone::local().unwrap_or_else(|_| TimeZone::utc());
        }
        if self.pass == 0 {
            for name in names_in(&self.clocksources).unwrap_or_default() {
                if let Some(number) = name.strip_prefix("clocksource") {
                    let file = |file| Kept::new(self.clocksources.join(&name).join(file));
                    let (available, current) = (file("available_clocksource"), file("current_clocksource"));
                    self.devices.push((number.to_owned(), available, current));
                }
            }
        }
        self.pass = self.pass.wrapping_add(1).max(1);
    }
}

impl Collector for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.reread();
        let now = seconds(SystemTime::now());
        page.single("node_time_seconds", Kind::Gauge, "System time in seconds since epoch (1970).", now);
        #[allow(clippy::cast_possible_truncation)]
        if let Ok(local) = self.zone.find_local_time_type(now as i64) {
            let help = "System time zone offset in seconds.";
            page.family("node_time_zone_offset_seconds", Kind::Gauge, help)
                .sample(&[("time_zone", local.time_zone_designation())], f64::from(local.ut_offset()));
        }
        let help = "Available clocksources read from '/sys/devices/system/clocksource'.";
        let mut family = page.family("node_time_clocksource_available_info", Kind::Gauge, help);
        for (device, available, _) in &mut self.devices {
            for source in words(available.read().unwrap_or_default()) {
                family.sample(&[("device", device), ("clocksource", &label(source))], 1.0);
            }
        }
        let help = "Current clocksource read from '/sys/devices/system/clocksource'.";
        let mut family = page.family("node_time_clocksource_current_info", Kind::Gauge, help);
        for (device, _, current) in &mut self.devices {
            for source in words(current.read().unwrap_or_default()) {
                family.sample(&[("device", device), ("clocksource", &label(source))], 1.0);
            }
        }
        Ok(())
    }
}

/// Unix seconds, negative before 1970.
fn seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn any_wall_clock_is_a_time() {
        assert_eq!(seconds(UNIX_EPOCH - Duration::from_millis(1500)), -1.5);
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_secs(4_102_444_800)), 4_102_444_800.0);
    }
}
