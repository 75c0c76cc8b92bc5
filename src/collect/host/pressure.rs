//! `node_pressure_*` from `/proc/pressure`: how long tasks waited for a resource (`some`), and how long all of
//! them did (`full`).

use super::file::Kept;
use super::text::{count, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

const MICROSECONDS: f64 = 1e6;

/// File, first word of the line, family, help. `full` of cpu is meaningless and left out.
const LINES: &[(&str, &[u8], &str, &str)] = &[
    (
        "cpu",
        b"some",
        "node_pressure_cpu_waiting_seconds_total",
        "Total time in seconds that processes have waited for CPU time",
    ),
    (
        "io",
        b"some",
        "node_pressure_io_waiting_seconds_total",
        "Total time in seconds that processes have waited due to IO congestion",
    ),
    (
        "io",
        b"full",
        "node_pressure_io_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IO congestion",
    ),
    (
        "memory",
        b"some",
        "node_pressure_memory_waiting_seconds_total",
        "Total time in seconds that processes have waited for memory",
    ),
    (
        "memory",
        b"full",
        "node_pressure_memory_stalled_seconds_total",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
    (
        "irq",
        b"full",
        "node_pressure_irq_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IRQ congestion",
    ),
];

#[derive(Debug)]
pub(super) struct Pressure {
    files: [(&'static str, Kept); 4],
}

impl Pressure {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        let files = ["cpu", "io", "memory", "irq"];
        Pressure { files: files.map(|name| (name, Kept::new(paths.procfs.join("pressure").join(name)))) }
    }
}

impl Collector for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let (mut found, mut failed) = (false, Vec::new());
        for (name, file) in &mut self.files {
            let text = match file.read_if_there() {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                // The files are there but PSI is switched off: EOPNOTSUPP.
                Err(CollectError::File { source, .. }) if source.raw_os_error() == Some(95) => continue,
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            };
            found = true;
            for line in lines(text) {
                let mut words = words(line);
                let first = words.next();
                let family = LINES.iter().find(|(file, word, ..)| file == name && first == Some(word));
                let total = words.find_map(|word| word.strip_prefix(b"total=")).and_then(count);
                if let (Some((.., family, help)), Some(total)) = (family, total) {
                    page.single(family, Kind::Counter, help, total / MICROSECONDS);
                }
            }
        }
        match (failed.is_empty(), found) {
            (true, true) => Ok(()),
            (true, false) => Err(CollectError::NoData(
                "the kernel has no pressure stall information (CONFIG_PSI, psi=1)".into(),
            )),
            (false, _) => Err(CollectError::Partial(failed)),
        }
    }
}
