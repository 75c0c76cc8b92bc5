//! `node_arp_entries` from `/proc/net/arp`: how many entries each device has.

use std::collections::BTreeMap;

use super::cap::Cap;
use super::file::Kept;
use super::text::{label, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Arp {
    file: Kept,
    cap: Cap,
}

impl Arp {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Arp { file: Kept::new(paths.procfs.join("net/arp")), cap: Cap::new("arp", 1) }
    }
}

impl Collector for Arp {
    fn name(&self) -> &'static str {
        "arp"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let mut entries = BTreeMap::<&[u8], u32>::new();
        for line in lines(self.file.read()?).skip(1) {
            if let Some(device) = words(line).nth(5) {
                *entries.entry(device).or_default() += 1;
            }
        }
        let mut entries: Vec<_> = entries.into_iter().collect();
        self.cap.cut(&mut entries, page);
        let mut family = page.family("node_arp_entries", Kind::Gauge, "ARP entries by device");
        for (device, number) in entries {
            family.sample(&[("device", &label(device))], f64::from(number));
        }
        Ok(())
    }
}
