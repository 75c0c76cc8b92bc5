//! `node_netstat_*` from `/proc/net/{netstat,snmp,snmp6}`: the fields that `--collector.netstat.fields` lets
//! through, named `PROTOCOL_FIELD`.
//!
//! The first two files have pairs of lines, names and values (`Tcp: RtoMin …`, `Tcp: 200 …`); the third has a
//! name and a value a line, the protocol being what stands up to the 6 (`Udp6InErrors`).

use regex::Regex;

use super::file::Kept;
use super::text::{Remembered, count, lines, name_part, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Netstat {
    pairs: [Kept; 2],
    six: Kept,
    shown: Option<Regex>,
    of_pairs: Remembered<Vec<Family>>,
    of_six: Remembered<Option<Family>>,
}

/// A field that is shown.
#[derive(Debug)]
struct Family {
    /// Which value of its line.
    place: usize,
    name: String,
    help: String,
}

impl Netstat {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        let net = paths.procfs.join("net");
        Netstat {
            pairs: [Kept::new(net.join("netstat")), Kept::new(net.join("snmp"))],
            six: Kept::new(net.join("snmp6")),
            shown: filters.pattern("collector.netstat.fields"),
            of_pairs: Remembered::new(),
            of_six: Remembered::new(),
        }
    }
}

impl Collector for Netstat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.of_pairs.rewind();
        self.of_six.rewind();
        let shown = self.shown.as_ref();
        for file in &mut self.pairs {
            let mut lines = lines(file.read()?);
            while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
                let families = self.of_pairs.next(names, |names| families(names, shown));
                let (mut words, mut at) = (words(values), 0);
                for family in families {
                    let value = words.nth(family.place - at).and_then(count);
                    at = family.place + 1;
                    if let Some(value) = value {
                        page.single(&family.name, Kind::Unknown, &family.help, value);
                    }
                }
            }
        }
        // A kernel without IPv6 has no such file.
        for line in lines(self.six.read_if_there()?.unwrap_or_default()) {
            let mut words = words(line);
            let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
            let family = self.of_six.next(key, |key| {
                let at = key.iter().position(|&byte| byte == b'6')? + 1;
                family(&key[..at], &key[at..], 1, shown)
            });
            if let (Some(family), Some(value)) = (family, count(value)) {
                page.single(&family.name, Kind::Unknown, &family.help, value);
            }
        }
        Ok(())
    }
}

/// The fields that are shown of a line of names.
fn families(names: &[u8], shown: Option<&Regex>) -> Vec<Family> {
    let mut words = words(names).enumerate();
    let Some((_, protocol)) = words.next() else { return Vec::new() };
    let protocol = protocol.strip_suffix(b":").unwrap_or(protocol);
    words.filter_map(|(place, name)| family(protocol, name, place, shown)).collect()
}

fn family(protocol: &[u8], name: &[u8], place: usize, shown: Option<&Regex>) -> Option<Family> {
    let (protocol, name) = (name_part(protocol), name_part(name));
    let key = format!("{protocol}_{name}");
    shown.is_none_or(|shown| shown.is_match(&key)).then(|| Family {
        place,
        name: format!("node_netstat_{key}"),
        help: format!("Statistic {protocol}{name}."),
    })
}
