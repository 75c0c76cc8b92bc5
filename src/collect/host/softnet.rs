//! `node_softnet_*` from `/proc/net/softnet_stat`: a line a CPU, hexadecimal columns.

use super::file::Kept;
use super::text::{hex, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// In the order of the columns.
const FAMILIES: [(&str, &str); 3] = [
    ("node_softnet_processed_total", "Number of processed packets"),
    ("node_softnet_dropped_total", "Number of dropped packets"),
    ("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota"),
];

#[derive(Debug)]
pub(super) struct Softnet {
    file: Kept,
}

impl Softnet {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Softnet { file: Kept::new(paths.procfs.join("net/softnet_stat")) }
    }
}

impl Collector for Softnet {
    fn name(&self) -> &'static str {
        "softnet"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let text = self.file.read()?;
        for (column, (name, help)) in FAMILIES.iter().enumerate() {
            let mut family = page.family(name, Kind::Counter, help);
            for (place, line) in lines(text).enumerate() {
                // Newer kernels say which CPU in the 13th column: those off-line have no line.
                let cpu = words(line).nth(12).and_then(hex);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let cpu = cpu.map_or(place, |cpu| cpu as usize).to_string();
                if let Some(value) = words(line).nth(column).and_then(hex) {
                    family.sample(&[("cpu", &cpu)], value);
                }
            }
        }
        Ok(())
    }
}
