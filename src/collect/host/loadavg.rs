//! `node_load1`, `node_load5`, `node_load15` from `/proc/loadavg`.

use super::file::Kept;
use super::text::first;
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Loadavg {
    file: Kept,
}

impl Loadavg {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Loadavg { file: Kept::new(paths.procfs.join("loadavg")) }
    }
}

impl Collector for Loadavg {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let Some([one, five, fifteen]) = first(self.file.read()?) else {
            return Err(self.file.format("not three numbers"));
        };
        page.single("node_load1", Kind::Gauge, "1m load average.", one);
        page.single("node_load5", Kind::Gauge, "5m load average.", five);
        page.single("node_load15", Kind::Gauge, "15m load average.", fifteen);
        Ok(())
    }
}
