//! `node_filefd_*` from `/proc/sys/fs/file-nr`.

use super::file::Kept;
use super::text::first;
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Filefd {
    file: Kept,
}

impl Filefd {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Filefd { file: Kept::new(paths.procfs.join("sys/fs/file-nr")) }
    }
}

impl Collector for Filefd {
    fn name(&self) -> &'static str {
        "filefd"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        // The second, free handles, is always 0 since Linux 2.6.
        let Some([allocated, _, maximum]) = first(self.file.read()?) else {
            return Err(self.file.format("not three numbers"));
        };
        let help = "File descriptor statistics: allocated.";
        page.single("node_filefd_allocated", Kind::Gauge, help, allocated);
        let help = "File descriptor statistics: maximum.";
        page.single("node_filefd_maximum", Kind::Gauge, help, maximum);
        Ok(())
    }
}
