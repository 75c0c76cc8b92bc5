//! Numbers and strings as Go prints them, since that is how Prometheus' answers and messages have them.

use crate::exposition::number;

/// Appends a value as `strconv.FormatFloat(v, 'f', -1, 64)` does: never with an exponent, and as few digits as
/// read back to the same number.
pub fn push_plain(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    number::push(out, value);
    if value.is_finite() && out[start..].contains(&b'e') {
        out.truncate(start);
        out.extend_from_slice(value.to_string().as_bytes());
    } else if out.ends_with(b".0") {
        out.truncate(out.len() - 2); // whole numbers from 2^53 on
    }
}

/// The text of [`push_plain`].
#[must_use]
pub fn plain(value: f64) -> String {
    let mut out = Vec::new();
    push_plain(&mut out, value);
    String::from_utf8(out).expect("digits are ASCII")
}

/// As Go's `%g` prints it: the shortest digits, with an exponent below 1e-4 and from 1e6 on.
#[must_use]
pub fn general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return plain(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..6).contains(&exponent) {
        return plain(value);
    }
    scientific(digits, exponent)
}

/// As Go's `%.Ng` prints it.
#[must_use]
pub fn general_to(value: f64, significant: usize) -> String {
    if !value.is_finite() || value == 0.0 {
        return plain(value);
    }
    let text = format!("{value:.*e}", significant.saturating_sub(1));
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let limit = i32::try_from(significant).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let digits =
            if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return scientific(digits, exponent);
    }
    let rounded: f64 = text.parse().expect("the text is a number");
    plain(rounded)
}

fn scientific(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Appends a finite value as `strconv.FormatFloat(v, 'e', -1, 64)` does.
pub fn scientific_into(out: &mut Vec<u8>, value: f64) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent = exponent.parse().expect("the exponent is a number");
    out.extend_from_slice(scientific(digits, exponent).as_bytes());
}

/// A label value that is a number, as OpenMetrics has it: whole numbers with `.0`.
#[must_use]
pub fn open_metrics(value: f64) -> String {
    let text = general(value);
    let whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if whole { text + ".0" } else { text }
}

/// A string as Go's `%q` prints it.
#[must_use]
pub fn quoted(text: &str) -> String {
    quoted_bytes(text.as_bytes())
}

/// Bytes as Go's `%q` prints a string of them: what is not UTF-8 as `\xNN`.
#[must_use]
pub fn quoted_bytes(text: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                c if (c as u32) < 0x20 || c == '\u{7f}' => {
                    let _ = write!(out, "\\x{:02x}", c as u32);
                }
                c if c.is_control() => {
                    let _ = write!(out, "\\u{:04x}", c as u32);
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_go_prints_them() {
        for (value, want) in [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1e-7, "0.0000001"),
            (1.5e-10, "0.00000000015"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!(plain(value), want);
        }
        assert_eq!(general(999_999.0), "999999");
        assert_eq!(general(123_456_789.0), "1.23456789e+08");
        assert_eq!(general(1.5e-5), "1.5e-05");
        assert_eq!(general(f64::NAN), "NaN");
        assert_eq!(general_to(12.0, 2), "12");
        assert_eq!(general_to(123.0, 2), "1.2e+02");
        assert_eq!(general_to(0.5, 2), "0.5");
        assert_eq!(open_metrics(1.0), "1.0");
        assert_eq!(open_metrics(0.25), "0.25");
        assert_eq!(open_metrics(f64::NAN), "NaN");
    }

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        assert_eq!(quoted("a\"\\\n\u{1}é\u{85}"), "\"a\\\"\\\\\\n\\x01é\\u0085\"");
    }
}
