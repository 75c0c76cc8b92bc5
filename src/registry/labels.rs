//! Label sets as text: rendered once, when a series is made.
//!
//! The encoder of prometheus-client writes label sets but checks nothing. Here its text is read back strictly and
//! put into the form of [`key`]: sorted by name, values escaped, empty values left out.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::error::LabelError;
use crate::series::key;

/// The one label of the series that takes what is beyond a cap.
pub(super) const OVERFLOW: &str = "{__overflow__=\"true\"}";

/// Writes one gauge with the label set: the only way to prometheus-client's label encoder.
struct Probe<'a>(Box<dyn Fn(DescriptorEncoder) -> fmt::Result + Send + Sync + 'a>);

impl fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl Collector for Probe<'static> {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        (self.0)(encoder)
    }
}

/// The text of a label set with braces, or empty. `family` is refused as a label name: a state set uses it.
pub(super) fn render<S>(labels: &S, family: &str) -> Result<String, LabelError>
where
    S: EncodeLabelSet + Clone + Send + Sync + 'static,
{
    let labels = labels.clone();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Probe(Box::new(move |mut encoder| {
        let mut metric = encoder.encode_descriptor("x", "", None, MetricType::Gauge)?;
        metric.encode_family(&labels)?.encode_gauge(&0_i64)
    }))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode_registry(&mut text, &registry)
        .map_err(|_| LabelError::Encode)?;
    let header = "# HELP x \n# TYPE x gauge\nx";
    let line = text.strip_prefix(header).ok_or(LabelError::Encode)?;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    if let Some(inside) = line.strip_prefix('{') {
        let mut scan = Scan { rest: inside };
        while let Some((name, value)) = scan.next_pair()? {
            if !key::is_legacy_label(name) {
                return Err(LabelError::Name(name.to_owned()));
            }
            if name.starts_with("__") || ["le", "quantile", family].contains(&name) {
                return Err(LabelError::Reserved(name.to_owned()));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(LabelError::Twice(name.to_owned()));
            }
            pairs.push((name, key::unescape(value)));
        }
        if scan.rest != " 0\n" {
            return Err(LabelError::Encode);
        }
    } else if line != " 0\n" {
        return Err(LabelError::Encode);
    }
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort_by_key(|(name, _)| *name);
    Ok(key::label_text(&key::render("x", &pairs)).to_owned())
}

/// Is this one well formed sample line of the family `name`, in the text of prometheus-client?
pub(super) fn is_sample_line(line: &str, name: &str) -> bool {
    let Some(rest) = line.strip_prefix(name) else { return false };
    let Some(suffix) = rest.bytes().position(|b| b == b'{' || b == b' ') else { return false };
    if !["", "_total", "_info", "_bucket", "_sum", "_count"].contains(&&rest[..suffix]) {
        return false;
    }
    let rest = &rest[suffix..];
    let Some(inside) = rest.strip_prefix('{') else { return rest.starts_with(' ') };
    let mut scan = Scan { rest: inside };
    let mut names: [&str; 8] = [""; 8];
    let mut count = 0;
    loop {
        match scan.next_pair() {
            Err(_) => return false,
            Ok(None) => return scan.rest.starts_with(' '),
            Ok(Some((label, _))) => {
                if !key::is_legacy_label(label) || names[..count.min(8)].contains(&label) {
                    return false;
                }
                // Beyond eight labels doubles are left to the reader of the page.
                if count < 8 {
                    names[count] = label;
                    count += 1;
                }
            }
        }
    }
}

/// Reads `a="x",b="y"}`.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    /// The next name and escaped value; none behind the closing brace.
    fn next_pair(&mut self) -> Result<Option<(&'a str, &'a str)>, LabelError> {
        if let Some(after) = self.rest.strip_prefix('}') {
            self.rest = after;
            return Ok(None);
        }
        let at = self.rest.bytes().position(|b| b == b'=').ok_or(LabelError::Encode)?;
        let value = self.rest[at + 1..].strip_prefix('"').ok_or(LabelError::Encode)?;
        let name = &self.rest[..at];
        let bytes = value.as_bytes();
        let mut end = 0;
        loop {
            match bytes.get(end) {
                None | Some(b'\n') => return Err(LabelError::Encode),
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        let after = &value[end + 1..];
        self.rest = match after.strip_prefix(',') {
            Some(more) if !more.starts_with('}') => more,
            _ if after.starts_with('}') => after,
            _ => return Err(LabelError::Encode),
        };
        Ok(Some((name, &value[..end])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(labels: &[(&str, &str)]) -> Result<String, LabelError> {
        let owned: Vec<(String, String)> =
            labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        super::render(&owned, "fam")
    }

    #[test]
    fn label_sets_are_sorted_escaped_and_without_empty_values() {
        assert_eq!(render(&[]).as_deref(), Ok(""));
        assert_eq!(
            render(&[("b", "2"), ("a", "x\"\\\ny"), ("c", "")]).as_deref(),
            Ok("{a=\"x\\\"\\\\\\ny\",b=\"2\"}")
        );
        assert_eq!(render(&[("a", "}=\",{")]).as_deref(), Ok("{a=\"}=\\\",{\"}"));
    }

    #[test]
    fn label_sets_the_exposition_cannot_carry_are_refused() {
        assert_eq!(render(&[("a b", "x")]), Err(LabelError::Name("a b".into())));
        assert_eq!(render(&[("", "x")]), Err(LabelError::Name(String::new())));
        assert_eq!(render(&[("le", "x")]), Err(LabelError::Reserved("le".into())));
        assert_eq!(render(&[("quantile", "x")]), Err(LabelError::Reserved("quantile".into())));
        assert_eq!(render(&[("fam", "x")]), Err(LabelError::Reserved("fam".into())));
        assert_eq!(render(&[("__name__", "x")]), Err(LabelError::Reserved("__name__".into())));
        assert_eq!(render(&[("a", "x"), ("a", "y")]), Err(LabelError::Twice("a".into())));
        assert!(render(&[("a=\"x\",b", "y")]).is_ok(), "two good labels, however they were written");
        assert!(render(&[("a} 1\nevil{b", "y")]).is_err());
    }

    #[test]
    fn sample_lines_are_told_from_text_that_would_break_the_page() {
        for line in ["fam 1", "fam_total{a=\"x\",b=\"y\\\"\"} 1", "fam_bucket{le=\"+Inf\",a=\"\"} 3"] {
            assert!(is_sample_line(line, "fam"), "{line}");
        }
        for line in [
            "fam",
            "other 1",
            "fam{a b=\"x\"} 1",
            "fam{a=\"x\",a=\"y\"} 1",
            "fam{a=\"x} 1",
            "fam{a=\"x\"}1",
            "famx 1",
        ] {
            assert!(!is_sample_line(line, "fam"), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_value_reads_back_from_the_rendered_text(
            labels in prop::collection::btree_map("x_[a-zA-Z0-9_]{0,3}", any::<String>(), 0..5),
        ) {
            let given: Vec<(String, String)> = labels.clone().into_iter().rev().collect();
            let key = format!("x{}", super::render(&given, "fam").map_err(|e| TestCaseError::fail(e.to_string()))?);
            let read: Vec<(String, String)> =
                key::labels(&key).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            let want: Vec<(String, String)> = labels.into_iter().filter(|(_, v)| !v.is_empty()).collect();
            prop_assert_eq!(read, want);
        }
    }
}
