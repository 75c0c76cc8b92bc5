//! Boot time, forks, context switches, interrupts and running processes, from `/proc/stat`.

use super::file::Kept;
use super::text::{count, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Line of the file, family, help.
const FIELDS: &[(&[u8], &str, Kind, &str)] = &[
    (b"intr", "node_intr_total", Kind::Counter, "Total number of interrupts serviced."),
    (b"ctxt", "node_context_switches_total", Kind::Counter, "Total number of context switches."),
    (b"processes", "node_forks_total", Kind::Counter, "Total number of forks."),
    (b"btime", "node_boot_time_seconds", Kind::Gauge, "Node boot time, in unixtime."),
    (b"procs_running", "node_procs_running", Kind::Gauge, "Number of processes in runnable state."),
    (
        b"procs_blocked",
        "node_procs_blocked",
        Kind::Gauge,
        "Number of processes blocked waiting for I/O to complete.",
    ),
];

#[derive(Debug)]
pub(super) struct Stat {
    file: Kept,
}

impl Stat {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Stat { file: Kept::new(paths.procfs.join("stat")) }
    }
}

impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        for line in lines(self.file.read()?) {
            let mut words = words(line);
            let (Some(key), Some(value)) = (words.next(), words.next().and_then(count)) else { continue };
            if let Some((_, name, kind, help)) = FIELDS.iter().find(|(field, ..)| *field == key) {
                page.single(name, *kind, help, value);
            }
        }
        Ok(())
    }
}
