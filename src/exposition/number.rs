//! Numbers as text.

/// Appends a value as the text formats write it: `NaN`, `+Inf`, `-Inf`, whole numbers below 2^53 without a
/// point, else the shortest text that reads back as the same number. `-0` keeps its sign.
pub fn push(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"+Inf"
        } else {
            b"-Inf"
        });
        return;
    }
    push_finite(out, value);
}

/// Appends a value as JSON: a number, or the strings `"NaN"`, `"+Inf"`, `"-Inf"`.
pub fn push_json(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push_finite(out, value);
    } else {
        out.push(b'"');
        push(out, value);
        out.push(b'"');
    }
}

fn push_finite(out: &mut Vec<u8>, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: above it neighbouring whole numbers fall together
    #[allow(clippy::cast_possible_truncation, clippy::float_cmp, clippy::cast_precision_loss)]
    let whole = value as i64;
    #[allow(clippy::float_cmp, clippy::cast_precision_loss)]
    if value.abs() < EXACT && whole as f64 == value && (whole != 0 || value.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else if value == 0.0 {
        out.extend_from_slice(b"-0");
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

/// The text of a value; for places where speed does not matter.
#[must_use]
pub fn text(value: f64) -> String {
    let mut out = Vec::new();
    push(&mut out, value);
    String::from_utf8(out).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_read_as_prometheus_writes_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.25, "0.25"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, want) in cases {
            assert_eq!(text(value), want);
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back_bit_for_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let back: f64 = text(value).parse().expect("a number");
            prop_assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()));
        }
    }
}
