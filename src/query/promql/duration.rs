//! Durations and numbers as Prometheus writes them.

/// Units with their milliseconds, in the order in which a duration may name them.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Most milliseconds of a duration: what fits in 64 bits of nanoseconds, about 292 years.
pub(crate) const LONGEST: i64 = i64::MAX / 1_000_000;

/// Reads a duration such as `5m`, `1h30m`, `100ms`: units from large to small, each once. Gives milliseconds.
///
/// # Errors
/// The text of Prometheus' own error.
pub fn parse(text: &str) -> Result<i64, String> {
    match text {
        "0" => return Ok(0),
        "" => return Err("empty duration string".into()),
        _ => {}
    }
    let bad = || format!("not a valid duration string: {}", crate::query::number::quoted(text));
    let (mut rest, mut total, mut units) = (text, 0i64, &UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let unit = &rest[digits..digits + letters];
        let at = units.iter().position(|(name, _)| *name == unit).filter(|_| digits > 0).ok_or_else(bad)?;
        let count: i64 = rest[..digits].parse().map_err(|_| "duration out of range".to_owned())?;
        total = count
            .checked_mul(units[at].1)
            .and_then(|ms| ms.checked_add(total))
            .filter(|&ms| ms <= LONGEST)
            .ok_or("duration out of range")?;
        units = &units[at + 1..];
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

/// Is it digits and units, whatever their order?
pub(super) fn looks_like(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let known = matches!(unit.as_bytes(), [b's' | b'm' | b'h' | b'd' | b'w' | b'y'])
            || matches!(unit.as_bytes(), [b's' | b'm' | b'h' | b'd' | b'w' | b'y', b's']);
        if digits == 0 || !known {
            return false;
        }
        rest = &rest[digits + letters..];
    }
    !text.is_empty()
}

/// Reads a number: decimal, hexadecimal (`0x1f`), octal (`017`, `0o17`), binary, with underscores between
/// digits, or `Inf` and `NaN` in any case.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn number(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = unsigned_number(unsigned)?;
    Some(if negative { -value } else { value })
}

#[allow(clippy::cast_precision_loss)]
fn unsigned_number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let underscores = |digits: &str| !digits.ends_with('_') && !digits.contains("__");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            if !underscores(digits) {
                return None;
            }
            return u64::from_str_radix(&digits.replace('_', ""), radix).ok().map(|n| n as f64);
        }
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_'))
    {
        return None;
    }
    if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return u64::from_str_radix(&lower, 8).ok().map(|n| n as f64);
    }
    if lower.contains('_') {
        let whole = lower.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        return (whole && underscores(&lower)).then(|| lower.replace('_', "").parse().ok()).flatten();
    }
    lower.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_each_unit_once_from_large_to_small() {
        assert_eq!(parse("1h30m"), Ok(5_400_000));
        assert_eq!(parse("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("5m1h"), Err("not a valid duration string: \"5m1h\"".into()));
        assert_eq!(parse("5"), Err("not a valid duration string: \"5\"".into()));
        assert_eq!(parse(""), Err("empty duration string".into()));
        assert_eq!(parse("300y"), Err("duration out of range".into()));
    }

    #[test]
    fn numbers_have_the_forms_of_go() {
        for (text, want) in [
            ("1", Some(1.0)),
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("2.", Some(2.0)),
            ("0x1F", Some(31.0)),
            ("017", Some(15.0)),
            ("08", Some(8.0)),
            ("1_000", Some(1000.0)),
            ("-inF", Some(f64::NEG_INFINITY)),
            ("1e", None),
            ("1__0", None),
            ("1.2.3", None),
        ] {
            assert_eq!(number(text), want, "{text}");
        }
        assert!(number("nan").is_some_and(f64::is_nan));
    }
}
