//! `node_vmstat_*` from `/proc/vmstat`: the fields that `--collector.vmstat.fields` lets through.

use regex::Regex;

use super::file::Kept;
use super::text::{Remembered, count, lines, name_part, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Vmstat {
    file: Kept,
    shown: Option<Regex>,
    families: Remembered<Option<Family>>,
}

/// Name and help of what a line shows.
#[derive(Debug)]
struct Family {
    name: String,
    help: String,
}

impl Vmstat {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        Vmstat {
            file: Kept::new(paths.procfs.join("vmstat")),
            shown: filters.pattern("collector.vmstat.fields"),
            families: Remembered::new(),
        }
    }
}

impl Collector for Vmstat {
    fn name(&self) -> &'static str {
        "vmstat"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.families.rewind();
        for line in lines(self.file.read()?) {
            let mut words = words(line);
            let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
            let family = self.families.next(key, |key| {
                let field = name_part(key);
                self.shown.as_ref().is_none_or(|shown| shown.is_match(&field)).then(|| Family {
                    name: format!("node_vmstat_{field}"),
                    help: format!("/proc/vmstat information field {field}."),
                })
            });
            if let (Some(family), Some(value)) = (family, count(value)) {
                page.single(&family.name, Kind::Unknown, &family.help, value);
            }
        }
        Ok(())
    }
}
