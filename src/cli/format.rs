//! Values for people: rounded, with their unit. Shown only; pipes get the numbers as they are.

/// What a value is in, by the unit of its family, or else by the end of its name.
#[must_use]
pub(super) fn unit<'a>(name: &'a str, unit: &'a str) -> &'a str {
    if !unit.is_empty() {
        return unit;
    }
    let name = ["_total", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    if ["seconds", "bytes", "ratio", "celsius", "volts", "amperes", "hertz"].contains(&last) {
        last
    } else {
        ""
    }
}

/// A value with its unit; `rate`: by the second.
#[must_use]
pub(super) fn value(value: f64, unit: &str, rate: bool) -> String {
    let per = if rate { "/s" } else { "" };
    if !value.is_finite() {
        return if value.is_nan() { "NaN".into() } else { format!("{value:+}").replace("inf", "Inf") };
    }
    match unit {
        "bytes" => {
            let (value, prefix) = scaled(value, 1024.0, &["", "Ki", "Mi", "Gi", "Ti", "Pi"]);
            format!("{} {prefix}B{per}", rounded(value))
        }
        "ratio" => format!("{} %{per}", rounded(value * 100.0)),
        // Seconds by the second are seconds no more.
        "seconds" if rate => rounded(value),
        "seconds" => format!("{} s", rounded(value)),
        "celsius" => format!("{} °C{per}", rounded(value)),
        _ => format!("{}{per}", rounded(value)),
    }
}

fn scaled(value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut value = value;
    let mut prefixes = prefixes.iter();
    let mut prefix = prefixes.next().copied().unwrap_or_default();
    while value.abs() >= base {
        let Some(next) = prefixes.next() else { break };
        value /= base;
        prefix = next;
    }
    (value, prefix)
}

/// Whole numbers as they are up to 15 digits, else some four significant digits.
fn rounded(value: f64) -> String {
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-3) {
        return format!("{value:.3e}");
    }
    let places = match size {
        _ if value.fract() == 0.0 => 0,
        size if size >= 1000.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 1.0 => 3,
        _ => 4,
    };
    format!("{value:.places$}")
}

/// A line of bars from the lowest to the highest of the values, which fills `width` from the right.
#[must_use]
pub(super) fn sparkline(values: impl ExactSizeIterator<Item = f64> + Clone, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = values.clone().filter(|value| value.is_finite());
    let low = finite.clone().fold(f64::INFINITY, f64::min);
    let high = finite.fold(f64::NEG_INFINITY, f64::max);
    let skip = values.len().saturating_sub(width);
    let bar = |value: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let step = ((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) * 7.0).round() as usize;
        match value {
            value if !value.is_finite() => ' ',
            _ if high > low => BARS[step.min(7)],
            _ => BARS[0],
        }
    };
    let pad = width.saturating_sub(values.len());
    std::iter::repeat_n(' ', pad).chain(values.skip(skip).map(bar)).collect()
}

/// Text of others without what would steer the terminal.
#[must_use]
pub(super) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_short_and_have_their_unit() {
        for (number, of, rate, text) in [
            (0.25, "", false, "0.2500"),
            (12.0, "", false, "12"),
            (1234.56, "seconds", false, "1234.6 s"),
            (0.5, "seconds", true, "0.5000"),
            (2048.0, "bytes", false, "2 KiB"),
            (1.5 * 1024.0 * 1024.0, "bytes", true, "1.500 MiB/s"),
            (0.123, "ratio", false, "12.30 %"),
            (1e18, "", false, "1.000e18"),
            (-0.00001, "", false, "-1.000e-5"),
            (f64::NAN, "bytes", false, "NaN"),
            (f64::INFINITY, "", true, "+Inf"),
            (f64::NEG_INFINITY, "", false, "-Inf"),
            (40.0, "celsius", false, "40 °C"),
        ] {
            assert_eq!(value(number, of, rate), text);
        }
    }

    #[test]
    fn the_unit_is_told_or_ends_the_name() {
        assert_eq!(unit("a_seconds_total", ""), "seconds");
        assert_eq!(unit("node_memory_MemFree_bytes", ""), "bytes");
        assert_eq!(unit("node_load1", ""), "");
        assert_eq!(unit("x", "volts"), "volts");
    }

    #[test]
    fn a_sparkline_goes_from_the_lowest_to_the_highest() {
        let line = |values: &[f64], width| sparkline(values.iter().copied(), width);
        assert_eq!(line(&[0.0, 7.0, 3.0], 4), " ▁█▄");
        assert_eq!(line(&[5.0, 5.0], 2), "▁▁");
        assert_eq!(line(&[9.0, 1.0, f64::NAN, 2.0], 3), "▁ ▂");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_steers_the_terminal(values in proptest::collection::vec(any::<f64>(), 0..9), text in any::<String>()) {
            prop_assert_eq!(sparkline(values.iter().copied(), 5).chars().count(), 5);
            for number in values {
                prop_assert!(!value(number, &text, false).is_empty());
            }
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }
    }
}
