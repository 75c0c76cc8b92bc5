//! Numbers as text, both ways: [`push`] writes, [`take`] reads.

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

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Reads the number at the start of `text`, which ends at a space, tab, newline or with the text. Gives the
/// value and the length of the number.
///
/// Decimal numbers with or without exponent, `NaN`, and `Inf` or `Infinity` with or without sign, in any case,
/// as both text formats have them. Out of range is infinity or zero. Hexadecimal, underscores and everything
/// else is `None`.
#[must_use]
pub fn take(text: &[u8]) -> Option<(f64, usize)> {
    // Up to 19 digits cannot overflow; a whole number below 2^53 over an exact power of ten is correctly
    // rounded by one division (Clinger 1990). Whatever is longer or otherwise goes the slow way.
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let (mut digits, mut point, mut mantissa) = (0usize, None, 0u64);
    while let Some(&byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        } else if byte == b'.' && point.is_none() {
            point = Some(digits);
        } else {
            break;
        }
        at += 1;
    }
    let ended = matches!(text.get(at), None | Some(b'\n' | b' ' | b'\t'));
    if ended && (1..=19).contains(&digits) && mantissa < 1 << 53 {
        #[allow(clippy::cast_precision_loss)] // below 2^53
        let whole = mantissa as f64;
        let value = point.map_or(whole, |point| whole / POWERS[digits - point]);
        return Some((if negative { -value } else { value }, at));
    }
    take_any(text)
}

#[cold]
fn take_any(text: &[u8]) -> Option<(f64, usize)> {
    let end = memchr::memchr3(b' ', b'\t', b'\n', text).unwrap_or(text.len());
    let word = &text[..end];
    let unsigned = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    let infinite = unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
    let value = if infinite {
        if word[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY }
    } else if word.eq_ignore_ascii_case(b"nan") {
        f64::NAN
    } else if word.iter().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        std::str::from_utf8(word).ok()?.parse().ok()?
    } else {
        return None;
    };
    Some((value, end))
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

    #[test]
    fn numbers_end_at_white_space_and_words_are_read_in_any_case() {
        let value = |text: &str| take(text.as_bytes()).map(|(value, _)| value);
        assert_eq!(take(b"12.5 1700\n"), Some((12.5, 4)));
        assert_eq!(take(b"7\nb 1"), Some((7.0, 1)));
        assert_eq!(value("+Inf"), Some(f64::INFINITY));
        assert_eq!(value("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(value("INFINITY"), Some(f64::INFINITY));
        assert!(value("nan").is_some_and(f64::is_nan));
        assert!(value("-0").is_some_and(|v| v == 0.0 && v.is_sign_negative()));
        assert_eq!(value("1e400"), Some(f64::INFINITY));
        assert_eq!(value("-1e400"), Some(f64::NEG_INFINITY));
        assert_eq!(value("0000000000000000000000000000000000000000001.2e-1"), Some(0.12));
        assert_eq!((value("1."), value(".5"), value("+1")), (Some(1.0), Some(0.5), Some(1.0)));
        for bad in
            ["", "0x1", "1_2", "0x1p-3", "1z", "a", ".", "-", "e5", "+NaN", "1\r", "0b1", "--1", "1.1.1"]
        {
            assert_eq!(value(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_decimal_is_read_as_the_standard_library_reads_it(text in "-?[0-9]{0,22}\\.?[0-9]{0,24}(e-?[0-9]{1,3})?") {
            let want = text.parse::<f64>().ok();
            prop_assert_eq!(take(text.as_bytes()).map(|(v, _)| v.to_bits()), want.map(f64::to_bits));
        }

        #[test]
        fn every_number_reads_back_bit_for_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let back: f64 = text(value).parse().expect("a number");
            prop_assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()));
        }
    }
}
