//! The registry as JSON, for `/api/v1/metrics`.
//!
//! ```json
//! {"status":"success","data":{"epoch":"00…07","offset":840,"time_ms":1763690000123,"families":[
//!   {"name":"up","type":"gauge","help":"","unit":"","series":[{"labels":{"job":"x"},"value":1}]}]}}
//! ```
//!
//! Families and series are those of text 0.0.4 in the same order, but `X_created` and its like stay in their family. A
//! series has its `name` where that is not the family's, and its `time_ms` where its source gave one. Values are
//! numbers; `"NaN"`, `"+Inf"` and `"-Inf"` are strings, and with `exact` so are whole numbers beyond 2^53, which
//! readers that know only doubles might print otherwise. The stream writes its numbers, texts and labels by the same
//! functions.

use std::sync::Arc;

use super::{number, text};
use crate::series::{Family, Series, Tick};

/// 2^53: above it neighbouring whole numbers fall together in a JSON reader that has only doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes `families`, which are those of the tick's schema or a part of them, in the envelope of the API.
#[must_use]
pub fn encode(tick: &Tick, families: &[Arc<Family>], exact: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 128 * families.iter().map(|f| f.series.len()).sum::<usize>());
    let head = format!(
        "{{\"status\":\"success\",\"data\":{{\"epoch\":\"{}\",\"offset\":{},\"time_ms\":{},\"families\":[",
        tick.epoch, tick.offset, tick.at.unix_ms
    );
    out.extend_from_slice(head.as_bytes());
    for (i, family) in families.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_family(&mut out, tick, family, exact);
    }
    out.extend_from_slice(b"]}}");
    out
}

fn push_family(out: &mut Vec<u8>, tick: &Tick, family: &Family, exact: bool) {
    let meta = &*family.meta;
    for (field, value) in [
        ("{\"name\":", &*meta.name),
        (",\"type\":", meta.kind.as_str()),
        (",\"help\":", &*meta.help),
        (",\"unit\":", &*meta.unit),
    ] {
        out.extend_from_slice(field.as_bytes());
        push_string(out, value);
    }
    out.extend_from_slice(b",\"series\":[");
    let mut first = true;
    for series in text::blocks(family).iter().flat_map(|block| &block.series) {
        if !std::mem::replace(&mut first, false) {
            out.push(b',');
        }
        out.extend_from_slice(b"{");
        let name = series.name();
        if name != *meta.name {
            out.extend_from_slice(b"\"name\":");
            push_string(out, &name);
            out.push(b',');
        }
        out.extend_from_slice(b"\"labels\":");
        push_labels(out, series);
        out.extend_from_slice(b",\"value\":");
        push_value(out, tick.value(series), exact);
        if let Some(time_ms) = tick.own_time(series) {
            out.extend_from_slice(b",\"time_ms\":");
            out.extend_from_slice(itoa::Buffer::new().format(time_ms).as_bytes());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// Appends a value; with `exact` a whole number beyond 2^53 is a string of all its digits.
pub(crate) fn push_value(out: &mut Vec<u8>, value: f64, exact: bool) {
    if exact && value.abs() > EXACT && value.is_finite() {
        // Up there every double is a whole number.
        out.extend_from_slice(format!("\"{value:.0}\"").as_bytes());
    } else {
        number::push_json(out, value);
    }
}

/// Appends a string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string into memory");
}

/// Appends the labels of a series as an object.
pub(crate) fn push_labels(out: &mut Vec<u8>, series: &Series) {
    out.push(b'{');
    for (i, (label, value)) in series.labels().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(out, &label);
        out.push(b':');
        push_string(out, &value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::super::sample::{BOTH, tick_of};
    use super::super::{Encoder, Escaping, TextFormat};
    use super::*;
    use crate::series::key;

    #[test]
    fn a_family_has_its_metadata_and_its_series() {
        let tick = tick_of("# HELP a \"x\"\n# TYPE a gauge\na{b=\"\\n\"} NaN 2\na 9007199254740994\n# EOF\n");
        let text = String::from_utf8(encode(&tick, &tick.schema.families, true)).expect("UTF-8");
        assert_eq!(
            text,
            "{\"status\":\"success\",\"data\":{\"epoch\":\"0000000000000007\",\"offset\":1,\"time_ms\":1700000000000,\
             \"families\":[{\"name\":\"a\",\"type\":\"gauge\",\"help\":\"\\\"x\\\"\",\"unit\":\"\",\"series\":[\
             {\"labels\":{},\"value\":\"9007199254740994\"},\
             {\"labels\":{\"b\":\"\\n\"},\"value\":\"NaN\",\"time_ms\":2000}]}]}}"
        );
    }

    fn value(value: f64, exact: bool) -> String {
        let mut out = Vec::new();
        push_value(&mut out, value, exact);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn exact_writes_whole_numbers_beyond_2_to_the_53_as_strings_with_all_digits() {
        let cases = [
            (9_007_199_254_740_994.0, "\"9007199254740994\""),
            (-18_446_744_073_709_551_616.0, "\"-18446744073709551616\""),
            (0.25, "0.25"),
            (-0.0, "-0"),
            (f64::INFINITY, "\"+Inf\""),
            (f64::NAN, "\"NaN\""),
        ];
        for (number, want) in cases {
            let got = value(number, true);
            assert_eq!(got.parse::<f64>().unwrap_or(number).to_bits(), number.to_bits());
            assert_eq!(got, want);
        }
        assert!(!value(9_007_199_254_740_992.0, true).starts_with('"'), "2^53 itself is exact");
        assert!(!value(9_007_199_254_740_994.0, false).starts_with('"'));
    }

    #[test]
    fn series_and_order_are_those_of_the_text() {
        let tick = tick_of(BOTH);
        let value: serde_json::Value =
            serde_json::from_slice(&encode(&tick, &tick.schema.families, false)).expect("JSON");
        let mut keys = Vec::new();
        for family in value["data"]["families"].as_array().expect("families") {
            for series in family["series"].as_array().expect("series") {
                let name = series.get("name").unwrap_or(&family["name"]).as_str().expect("a name");
                let labels = series["labels"].as_object().expect("labels");
                let labels: Vec<_> = labels.iter().map(|(n, v)| (n, v.as_str().expect("a value"))).collect();
                keys.push(key::render(name, &labels));
            }
        }
        let text = Encoder::new(TextFormat::Text, Escaping::AllowUtf8).encode(&tick, &tick.schema.families);
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(keys.len(), lines.len());
        for (key, line) in keys.iter().zip(lines) {
            assert!(line.starts_with(&format!("{key} ")), "{key}: {line}");
        }
    }
}
