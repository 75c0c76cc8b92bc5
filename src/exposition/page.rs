//! Writing the page of a source.
//!
//! A collector appends families to a [`PageWriter`]; what it wrote is text 0.0.4 and is read by [`super::read`]
//! like the page of any scraped target. Labels may come in any order, values of labels unescaped.

use super::number;
use crate::series::{Kind, key};

/// Appends families and samples as text 0.0.4.
#[derive(Debug, Default)]
pub struct PageWriter {
    out: Vec<u8>,
}

impl PageWriter {
    /// An empty page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family. Its samples follow; a family that gets none vanishes when it is read.
    /// `name` must be a valid metric name that this page has not begun before.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> FamilyWriter<'a> {
        debug_assert!(key::is_legacy_name(name), "{name} is not a metric name");
        self.out.extend_from_slice(b"# HELP ");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b' ');
        for &byte in help.as_bytes() {
            match byte {
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                other => self.out.push(other),
            }
        }
        self.out.extend_from_slice(b"\n# TYPE ");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b' ');
        let word = match kind {
            Kind::Unknown => "untyped",
            Kind::Info | Kind::StateSet => "gauge",
            Kind::GaugeHistogram => "histogram",
            other => other.as_str(),
        };
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'\n');
        FamilyWriter { page: self, name }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// Appends what is already text 0.0.4: whole lines of families that this page has not begun before.
    pub fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Empties the page and keeps its memory for the next.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// The page.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Appends the samples of one family.
#[derive(Debug)]
pub struct FamilyWriter<'a> {
    page: &'a mut PageWriter,
    name: &'a str,
}

impl FamilyWriter<'_> {
    /// One sample. A label with an empty value is left out, as Prometheus would.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.suffixed("", labels, value)
    }

    /// One sample whose name has a suffix: `_bucket`, `_sum`, `_count`.
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let out = &mut self.page.out;
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        let mut open = b'{';
        for (label, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            out.push(open);
            open = b',';
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"=\"");
            for &byte in value.as_bytes() {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    b'"' => out.extend_from_slice(b"\\\""),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    other => out.push(other),
                }
            }
            out.push(b'"');
        }
        if open == b',' {
            out.push(b'}');
        }
        out.push(b' ');
        number::push(out, value);
        out.push(b'\n');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_text_0_0_4_with_everything_escaped() {
        let mut page = PageWriter::new();
        page.family("disk_bytes", Kind::Gauge, "Of a \\ disk\nin bytes")
            .sample(&[("path", "/a\"b\\c\nd"), ("none", "")], 1.5)
            .sample(&[], f64::INFINITY);
        page.single("seen", Kind::Unknown, "", 1.0);
        assert_eq!(
            String::from_utf8_lossy(page.as_bytes()),
            "# HELP disk_bytes Of a \\\\ disk\\nin bytes\n# TYPE disk_bytes gauge\n\
             disk_bytes{path=\"/a\\\"b\\\\c\\nd\"} 1.5\ndisk_bytes +Inf\n\
             # HELP seen \n# TYPE seen untyped\nseen 1\n"
        );
    }
}
