//! `node_sockstat_*` from `/proc/net/{sockstat,sockstat6}`: lines of `PROTOCOL: name value …`.

use super::file::Kept;
use super::text::{Remembered, count, lines, name_part, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Sockstat {
    files: [Kept; 2],
    page_size: f64,
    /// By protocol and then by name: what stands before a value.
    families: Remembered<Family>,
}

#[derive(Debug)]
struct Family {
    name: String,
    help: String,
    /// The same in bytes, where the value is in pages.
    bytes: Option<(String, String)>,
}

impl Sockstat {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        let net = paths.procfs.join("net");
        #[allow(clippy::cast_precision_loss)]
        Sockstat {
            files: [Kept::new(net.join("sockstat")), Kept::new(net.join("sockstat6"))],
            page_size: rustix::param::page_size() as f64,
            families: Remembered::new(),
        }
    }
}

impl Collector for Sockstat {
    fn name(&self) -> &'static str {
        "sockstat"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.families.rewind();
        let (mut found, mut key) = (false, Vec::new());
        for file in &mut self.files {
            // Without IPv4 or without IPv6 one of them is missing.
            let Some(text) = file.read_if_there()? else { continue };
            found = true;
            for line in lines(text) {
                let mut words = words(line);
                let Some(protocol) = words.next() else { continue };
                while let (Some(name), Some(value)) = (words.next(), words.next().and_then(count)) {
                    key.clear();
                    key.extend_from_slice(protocol);
                    key.extend_from_slice(name);
                    let family = self.families.next(&key, |_| family(protocol, name));
                    page.single(&family.name, Kind::Gauge, &family.help, value);
                    if let Some((name, help)) = &family.bytes {
                        page.single(name, Kind::Gauge, help, value * self.page_size);
                    }
                }
            }
        }
        if found { Ok(()) } else { Err(CollectError::NoData("the kernel has no socket statistics".into())) }
    }
}

fn family(protocol: &[u8], name: &[u8]) -> Family {
    let protocol = name_part(protocol.strip_suffix(b":").unwrap_or(protocol));
    let name = name_part(name);
    let full = |name: &str| format!("node_sockstat_{protocol}_{name}");
    let help = |name: &str| format!("Number of {protocol} sockets in state {name}.");
    if protocol == "sockets" && name == "used" {
        return Family { name: full(&name), help: "Number of IPv4 sockets in use.".into(), bytes: None };
    }
    let bytes = (name == "mem").then(|| (full("mem_bytes"), help("mem_bytes")));
    Family { name: full(&name), help: help(&name), bytes }
}
