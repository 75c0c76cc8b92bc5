//! `node_memory_*` from `/proc/meminfo`: a family a line, in bytes where the kernel says kB.

use super::file::Kept;
use super::text::{Remembered, count, lines, name_part, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct Meminfo {
    file: Kept,
    families: Remembered<Family>,
}

/// Name and help of what a line shows.
#[derive(Debug)]
struct Family {
    name: String,
    help: String,
}

impl Meminfo {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Meminfo { file: Kept::new(paths.procfs.join("meminfo")), families: Remembered::new() }
    }
}

impl Collector for Meminfo {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.families.rewind();
        for line in lines(self.file.read()?) {
            let mut words = words(line);
            let (Some(key), Some(value)) = (words.next(), words.next().and_then(count)) else { continue };
            let in_kb = words.next() == Some(b"kB");
            let family = self.families.next(key, |key| family(key, in_kb));
            let kind = if family.name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            page.single(&family.name, kind, &family.help, if in_kb { value * 1024.0 } else { value });
        }
        Ok(())
    }
}

/// `Active(anon):` is `Active_anon`.
fn family(key: &[u8], in_kb: bool) -> Family {
    let key = key.strip_suffix(b":").unwrap_or(key);
    let mut field = name_part(key.strip_suffix(b")").unwrap_or(key));
    if in_kb {
        field.push_str("_bytes");
    }
    Family { name: format!("node_memory_{field}"), help: format!("Memory information field {field}.") }
}
