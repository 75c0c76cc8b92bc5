//! `node_disk_*` from `/proc/diskstats`, with what udev knows of the devices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::cap::Cap;
use super::file::Kept;
use super::text::{count, label, lines, words};
use crate::collect::filter::{Devices, Filters};
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// The kernel counts sectors of this size, whatever the device has (Documentation/block/stat.rst).
const SECTOR_BYTES: f64 = 512.0;

/// After how many passes udev's files are read again.
const REREAD_PASSES: u32 = 60;

/// How a column becomes a value.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Plain,
    Sectors,
    Milliseconds,
}

/// In the order of the columns, from the fourth. Older kernels have 11 or 15 of them.
const COLUMNS: [(&str, Kind, Unit, &str); 17] = [
    (
        "node_disk_reads_completed_total",
        Kind::Counter,
        Unit::Plain,
        "The total number of reads completed successfully.",
    ),
    ("node_disk_reads_merged_total", Kind::Counter, Unit::Plain, "The total number of reads merged."),
    (
        "node_disk_read_bytes_total",
        Kind::Counter,
        Unit::Sectors,
        "The total number of bytes read successfully.",
    ),
    (
        "node_disk_read_time_seconds_total",
        Kind::Counter,
        Unit::Milliseconds,
        "The total number of seconds spent by all reads.",
    ),
    (
        "node_disk_writes_completed_total",
        Kind::Counter,
        Unit::Plain,
        "The total number of writes completed successfully.",
    ),
    ("node_disk_writes_merged_total", Kind::Counter, Unit::Plain, "The number of writes merged."),
    (
        "node_disk_written_bytes_total",
        Kind::Counter,
        Unit::Sectors,
        "The total number of bytes written successfully.",
    ),
    (
        "node_disk_write_time_seconds_total",
        Kind::Counter,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all writes.",
    ),
    ("node_disk_io_now", Kind::Gauge, Unit::Plain, "The number of I/Os currently in progress."),
    ("node_disk_io_time_seconds_total", Kind::Counter, Unit::Milliseconds, "Total seconds spent doing I/Os."),
    (
        "node_disk_io_time_weighted_seconds_total",
        Kind::Counter,
        Unit::Milliseconds,
        "The weighted # of seconds spent doing I/Os.",
    ),
    (
        "node_disk_discards_completed_total",
        Kind::Counter,
        Unit::Plain,
        "The total number of discards completed successfully.",
    ),
    ("node_disk_discards_merged_total", Kind::Counter, Unit::Plain, "The total number of discards merged."),
    (
        "node_disk_discarded_sectors_total",
        Kind::Counter,
        Unit::Plain,
        "The total number of sectors discarded successfully.",
    ),
    (
        "node_disk_discard_time_seconds_total",
        Kind::Counter,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all discards.",
    ),
    (
        "node_disk_flush_requests_total",
        Kind::Counter,
        Unit::Plain,
        "The total number of flush requests completed successfully",
    ),
    (
        "node_disk_flush_requests_time_seconds_total",
        Kind::Counter,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all flush requests.",
    ),
];

/// Families of udev's properties of ATA disks.
const ATA: [(&str, &str, &str); 3] = [
    ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "ATA disk has a write cache."),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        "node_disk_ata_write_cache_enabled",
        "ATA disk has its write cache enabled.",
    ),
    (
        "ID_ATA_ROTATION_RATE_RPM",
        "node_disk_ata_rotation_rate_rpm",
        "ATA disk rotation rate in RPMs (0 for SSDs).",
    ),
];

#[derive(Debug)]
pub(super) struct Diskstats {
    file: Kept,
    devices: Devices,
    cap: Cap,
    udev: PathBuf,
    /// By `MAJOR:MINOR`.
    properties: HashMap<String, Properties>,
    disks: Vec<Disk>,
    pass: u32,
}

#[derive(Debug)]
struct Disk {
    name: String,
    numbers: String,
    values: [f64; COLUMNS.len()],
    columns: usize,
}

/// What udev knows of a device, by property.
#[derive(Debug, Default)]
struct Properties(HashMap<String, String>);

impl Diskstats {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        Diskstats {
            file: Kept::new(paths.procfs.join("diskstats")),
            devices: filters
                .devices("collector.diskstats.device-exclude", "collector.diskstats.device-include"),
            cap: Cap::new("diskstats", COLUMNS.len() + 6),
            udev: paths.rootfs.join("run/udev/data"),
            properties: HashMap::new(),
            disks: Vec::new(),
            pass: 0,
        }
    }

    fn read_disks(&mut self) -> Result<(), CollectError> {
        self.disks.clear();
        for line in lines(self.file.read()?) {
            let mut words = words(line);
            let (Some(major), Some(minor), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let name = label(name);
            if !self.devices.shows(&name) {
                continue;
            }
            let (mut values, mut columns) = ([0.0; COLUMNS.len()], 0);
            for (value, word) in values.iter_mut().zip(words.map_while(count)) {
                *value = match COLUMNS[columns].2 {
                    Unit::Plain => word,
                    Unit::Sectors => word * SECTOR_BYTES,
                    Unit::Milliseconds => word / 1000.0,
                };
                columns += 1;
            }
            let numbers = format!("{}:{}", label(major), label(minor));
            self.disks.push(Disk { name: name.into_owned(), numbers, values, columns });
        }
        Ok(())
    }

    fn read_properties(&mut self) {
        if self.pass.is_multiple_of(REREAD_PASSES) {
            self.properties.clear();
        }
        self.pass = self.pass.wrapping_add(1);
        for disk in &self.disks {
            if !self.properties.contains_key(&disk.numbers) {
                self.properties.insert(disk.numbers.clone(), Properties::read(&self.udev, &disk.numbers));
            }
        }
    }

    fn write_properties(&self, page: &mut PageWriter) {
        let known = || self.disks.iter().filter_map(|disk| Some((disk, self.properties.get(&disk.numbers)?)));
        let help = "Info of /sys/block/<block_device>.";
        let mut family = page.family("node_disk_info", Kind::Gauge, help);
        for (disk, properties) in known() {
            let (major, minor) = disk.numbers.split_once(':').unwrap_or_default();
            let serials =
                ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"].map(|key| properties.get(key));
            let serial = serials.into_iter().find(|serial| !serial.is_empty()).unwrap_or_default();
            family.sample(
                &[
                    ("device", &disk.name),
                    ("major", major),
                    ("minor", minor),
                    ("path", properties.get("ID_PATH")),
                    ("wwn", properties.get("ID_WWN")),
                    ("model", properties.get("ID_MODEL")),
                    ("serial", serial),
                    ("revision", properties.get("ID_REVISION")),
                ],
                1.0,
            );
        }
        let help = "Info about disk filesystem.";
        let mut family = page.family("node_disk_filesystem_info", Kind::Gauge, help);
        for (disk, properties) in known().filter(|(_, properties)| !properties.get("ID_FS_TYPE").is_empty()) {
            family.sample(
                &[
                    ("device", &disk.name),
                    ("type", properties.get("ID_FS_TYPE")),
                    ("usage", properties.get("ID_FS_USAGE")),
                    ("uuid", properties.get("ID_FS_UUID")),
                    ("version", properties.get("ID_FS_VERSION")),
                ],
                1.0,
            );
        }
        let help = "Info about disk device mapper.";
        let mut family = page.family("node_disk_device_mapper_info", Kind::Gauge, help);
        for (disk, properties) in known().filter(|(_, properties)| !properties.get("DM_NAME").is_empty()) {
            family.sample(
                &[
                    ("device", &disk.name),
                    ("name", properties.get("DM_NAME")),
                    ("uuid", properties.get("DM_UUID")),
                    ("vg_name", properties.get("DM_VG_NAME")),
                    ("lv_name", properties.get("DM_LV_NAME")),
                    ("lv_layer", properties.get("DM_LV_LAYER")),
                ],
                1.0,
            );
        }
        for (property, name, help) in ATA {
            let mut family = page.family(name, Kind::Gauge, help);
            for (disk, properties) in known().filter(|(_, properties)| !properties.get("ID_ATA").is_empty()) {
                if let Some(value) = count(properties.get(property).as_bytes()) {
                    family.sample(&[("device", &disk.name)], value);
                }
            }
        }
    }
}

impl Collector for Diskstats {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.read_disks()?;
        self.cap.cut(&mut self.disks, page);
        self.read_properties();
        for (column, (name, kind, _, help)) in COLUMNS.iter().enumerate() {
            let mut family = page.family(name, *kind, help);
            for disk in self.disks.iter().filter(|disk| column < disk.columns) {
                family.sample(&[("device", &disk.name)], disk.values[column]);
            }
        }
        self.write_properties(page);
        Ok(())
    }
}

impl Properties {
    /// Empty where there is no udev.
    fn read(udev: &Path, numbers: &str) -> Self {
        let text = std::fs::read(udev.join(format!("b{numbers}"))).unwrap_or_default();
        let text = label(&text);
        let pairs = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        Properties(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Empty for what is not there.
    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}
