//! `node_nf_conntrack_*`: entries and limit from `/proc/sys/net/netfilter`, the counters of
//! `/proc/net/stat/nf_conntrack` (hexadecimal, a line a CPU) summed over CPUs.

use super::file::{Kept, or_no_data};
use super::text::{count, hex, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Column, family, help. Gauges, as node_exporter has them.
const COLUMNS: &[(&[u8], &str, &str)] = &[
    (b"found", "node_nf_conntrack_stat_found", "Number of searched entries which were successful."),
    (b"invalid", "node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked."),
    (
        b"ignore",
        "node_nf_conntrack_stat_ignore",
        "Number of packets seen which are already connected to a conntrack entry.",
    ),
    (b"insert", "node_nf_conntrack_stat_insert", "Number of entries inserted into the list."),
    (
        b"insert_failed",
        "node_nf_conntrack_stat_insert_failed",
        "Number of entries for which list insertion was attempted but failed.",
    ),
    (b"drop", "node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure."),
    (
        b"early_drop",
        "node_nf_conntrack_stat_early_drop",
        "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
    ),
    (
        b"search_restart",
        "node_nf_conntrack_stat_search_restart",
        "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
    ),
];

#[derive(Debug)]
pub(super) struct Conntrack {
    entries: Kept,
    limit: Kept,
    counters: Kept,
}

impl Conntrack {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        let netfilter = paths.procfs.join("sys/net/netfilter");
        Conntrack {
            entries: Kept::new(netfilter.join("nf_conntrack_count")),
            limit: Kept::new(netfilter.join("nf_conntrack_max")),
            counters: Kept::new(paths.procfs.join("net/stat/nf_conntrack")),
        }
    }
}

impl Collector for Conntrack {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let not_loaded = |error| or_no_data(error, "connection tracking is not loaded");
        if let Some(value) = count(self.entries.read().map_err(not_loaded)?.trim_ascii()) {
            let help = "Number of currently allocated flow entries for connection tracking.";
            page.single("node_nf_conntrack_entries", Kind::Gauge, help, value);
        }
        if let Some(value) = count(self.limit.read().map_err(not_loaded)?.trim_ascii()) {
            let help = "Maximum size of connection tracking table.";
            page.single("node_nf_conntrack_entries_limit", Kind::Gauge, help, value);
        }
        let Some(text) = self.counters.read_if_there()? else { return Ok(()) };
        let mut lines = lines(text);
        let header: Vec<&[u8]> = words(lines.next().unwrap_or_default()).collect();
        let mut sums = vec![0.0; header.len()];
        for line in lines {
            for (sum, value) in sums.iter_mut().zip(words(line).map_while(hex)) {
                *sum += value;
            }
        }
        for (column, family, help) in COLUMNS {
            if let Some(place) = header.iter().position(|name| name == column) {
                page.single(family, Kind::Gauge, help, sums[place]);
            }
        }
        Ok(())
    }
}
