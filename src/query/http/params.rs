//! The parameters of a request, and how Prometheus reads them.

use crate::query::number::quoted;
use crate::query::promql::duration;

/// The oldest and the latest time that a request can name, in milliseconds.
pub(super) const OLDEST: i64 = i64::MIN / 1000;
pub(super) const LATEST: i64 = i64::MAX / 1000;

/// Names and decoded values, those of a form before those of the query string.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// The first value of this name, if it is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A time in seconds, or as RFC 3339 writes it, as milliseconds.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(crate) fn time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float(text)
        && seconds.is_finite()
    {
        // Whole seconds and milliseconds apart, as Prometheus rounds them.
        let rest = (seconds.fract() * 1000.0).round() as i64;
        let whole = seconds.trunc().clamp(OLDEST as f64 / 1000.0, LATEST as f64 / 1000.0) as i64;
        return Ok(whole.saturating_mul(1000).saturating_add(rest));
    }
    rfc3339(text).ok_or_else(|| format!("cannot parse {} to a valid timestamp", quoted(text)))
}

/// A duration in seconds or with units, as milliseconds.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn duration(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float(text) {
        let nanos = seconds * 1e9;
        if !(i64::MIN as f64..=i64::MAX as f64).contains(&nanos) {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", quoted(text)));
        }
        return Ok(nanos as i64 / 1_000_000);
    }
    duration::parse(text).map_err(|_| format!("cannot parse {} to a valid duration", quoted(text)))
}

/// A decimal number, `Inf` or `NaN`.
fn float(text: &str) -> Option<f64> {
    if text.starts_with(char::is_whitespace) { None } else { text.parse().ok() }
}

/// Milliseconds of a time such as `2015-07-01T20:10:51.781Z` or `…+02:00`.
fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = text.get(from..from + len)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separated.iter().all(|&(at, byte)| bytes.get(at) == Some(&byte)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let mut rest = &text[19..];
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let three: String = fraction[..digits].chars().chain("000".chars()).take(3).collect();
        ms = three.parse().ok()?;
        rest = &fraction[digits..];
    }
    let offset = match rest.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - 5;
            let (hours, minutes) = (number(at, 2)?, number(at + 3, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'+' { 60 } else { -60 }
        }
        _ => return None,
    };
    // Days since the epoch (Howard Hinnant's days_from_civil).
    let y = if month <= 2 { year - 1 } else { year };
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let yoe = y.rem_euclid(400);
    let days = y.div_euclid(400) * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1000 + ms)
}

/// A label name as Prometheus escapes it in a path: `U__my_2e_name` is `my.name`.
pub(super) fn unescape_name(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut out = String::new();
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let end = rest.find('_')?;
        out.push(char::from_u32(u32::from_str_radix(&rest[..end], 16).ok()?)?);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_dates() {
        for (text, want) in [
            ("0", Some(0)),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("-1.5", Some(-1500)),
            ("1e3", Some(1_000_000)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T22:10:51+02:00", Some(1_435_781_451_000)),
            ("1960-02-29T00:00:00Z", Some(-310_521_600_000)),
            ("2015-02-29T00:00:00Z", None),
            ("2015-07-01", None),
            ("", None),
            ("NaN", None),
            ("2015-07-01T20:10:51.Z", None),
        ] {
            assert_eq!(time(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(duration("15"), Ok(15_000));
        assert_eq!(duration("0.5"), Ok(500));
        assert_eq!(duration("1m30s"), Ok(90_000));
        assert_eq!(duration("x"), Err("cannot parse \"x\" to a valid duration".into()));
        assert_eq!(
            duration("1e20"),
            Err("cannot parse \"1e20\" to a valid duration. It overflows int64".into())
        );
    }

    #[test]
    fn the_first_value_counts_and_an_empty_one_is_none() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let params = Params(vec![pair("a", "1"), pair("b", ""), pair("a", "2")]);
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), None, None));
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn names_in_paths_are_unescaped() {
        assert_eq!(unescape_name("U__my_2e_name__x").as_deref(), Some("my.name_x"));
        assert_eq!(unescape_name("plain"), None);
        assert_eq!(unescape_name("U__a_zz_"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,30}|[0-9TZ:.+-]{0,30}|U__[_0-9a-f]{0,12}") {
            let _ = (time(&text), duration(&text), unescape_name(&text));
        }
    }
}
