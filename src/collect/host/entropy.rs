//! `node_entropy_*` from `/proc/sys/kernel/random`.

use super::file::{Kept, or_no_data};
use super::text::count;
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Entropy {
    available: Kept,
    size: Kept,
}

impl Entropy {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        let random = paths.procfs.join("sys/kernel/random");
        Entropy {
            available: Kept::new(random.join("entropy_avail")),
            size: Kept::new(random.join("poolsize")),
        }
    }
}

impl Collector for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let text = self.available.read().map_err(|error| or_no_data(error, "no entropy pool"))?;
        if let Some(bits) = count(text.trim_ascii()) {
            page.single("node_entropy_available_bits", Kind::Gauge, "Bits of available entropy.", bits);
        }
        if let Some(bits) = self.size.read_if_there()?.and_then(|text| count(text.trim_ascii())) {
            page.single("node_entropy_pool_size_bits", Kind::Gauge, "Bits of entropy pool.", bits);
        }
        Ok(())
    }
}
