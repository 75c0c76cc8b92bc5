//! Durations and sizes as Prometheus writes them: `1m30s`, `16MB`.

use std::time::Duration;

/// Units of a duration with their milliseconds, largest first: the order in which they must be written.
/// A year is 365 days, as in Prometheus.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of a size. Base 1024 with and without `i`, as in Prometheus.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration such as `1m30s`: whole numbers with the units y w d h m s ms, each at most once, largest
/// first; or `0`.
///
/// # Errors
/// What is wrong, for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is not a duration such as 500ms, 10s or 1m30s (units y w d h m s ms, largest first)"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        let Some((_, scale)) = units.find(|(name, _)| *name == unit) else {
            return Err(wrong());
        };
        if number.is_empty() {
            return Err(wrong());
        }
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*scale));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("{text:?} is too long a duration"))?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration so that [`parse_duration`] reads the same; parts of a millisecond are cut off.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, scale) in DURATION_UNITS {
        // Years and weeks only where nothing is left over, as Prometheus does: 8d, not 1w1d.
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(scale) {
            continue;
        }
        if rest >= scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    text
}

/// Reads a size in bytes: a whole number with B, KB, MB, GB, TB or KiB, MiB, GiB, TiB (both mean 1024), or
/// without a unit.
///
/// # Errors
/// What is wrong, for people.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wanted = unit.replace('i', "");
    let scale = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit || (name.replace('i', "") == wanted && !unit.contains('i')))
        .map(|(_, scale)| *scale)
        .or(unit.is_empty().then_some(1));
    let (Some(scale), false) = (scale, number.is_empty()) else {
        return Err(format!("{text:?} is not a size such as 64KiB or 16MB"));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| format!("{text:?} is too large a size"))
}

/// Writes a size with the largest unit that leaves a whole number.
#[must_use]
pub fn format_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let (unit, scale) = SIZE_UNITS
        .into_iter()
        .find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_in_prometheus() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1h0m", 3_600_000),
            ("1d", 86_400_000),
            ("2w", 14 * 86_400_000),
            ("1y", 365 * 86_400_000),
            ("1y2w3d4h5m6s7ms", 365 * 86_400_000 + 17 * 86_400_000 + 4 * 3_600_000 + 306_007),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_prometheus_refuses_as_a_duration_is_refused() {
        for text in ["", "1", "s", "1.5s", "-1s", "+1s", "1s1m", "1s1s", "1 s", "1S", "1us", "1m 30s", "٣s"]
        {
            assert!(parse_duration(text).is_err_and(|e| e.contains("is not a duration")), "{text}");
        }
        for text in ["99999999999999999999s", "9999999999999y"] {
            assert!(parse_duration(text).is_err_and(|e| e.contains("too long")), "{text}");
        }
    }

    #[test]
    fn sizes_are_base_1024_with_and_without_the_i() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("1B", 1), ("64KiB", 65_536), ("64KB", 65_536), ("16MB", 16 << 20)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5MB", "1mb", "1 MB", "1M", "1i", "1iB", "1Bi", "99999999999TB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(format_size(64 << 10), "64KiB");
        assert_eq!(format_size(65_537), "65537B");
        assert_eq!(format_size(0), "0B");
    }

    #[test]
    fn durations_are_written_shortly() {
        for (ms, text) in
            [(0, "0s"), (1_000, "1s"), (90_000, "1m30s"), (8 * 86_400_000, "8d"), (1_001, "1s1ms")]
        {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(ms in 0..u64::from(u32::MAX) * 10_000, bytes in any::<u32>()) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes as usize)), Ok(bytes as usize));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
