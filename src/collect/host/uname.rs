//! `node_uname_info`: what `uname(2)` says.

use std::ffi::CStr;

use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Uname;

impl Uname {
    pub(super) fn new(_paths: &Paths, _filters: &Filters) -> Self {
        Uname
    }
}

impl Collector for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let uname = rustix::system::uname();
        let text = |part: &CStr| part.to_string_lossy().into_owned();
        let help = "Labeled system information as provided by the uname system call.";
        page.family("node_uname_info", Kind::Gauge, help).sample(
            &[
                ("sysname", &text(uname.sysname())),
                ("release", &text(uname.release())),
                ("version", &text(uname.version())),
                ("machine", &text(uname.machine())),
                ("nodename", &text(uname.nodename())),
                ("domainname", &text(uname.domainname())),
            ],
            1.0,
        );
        Ok(())
    }
}
