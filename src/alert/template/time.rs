//! Times and lengths of time as Go's `time` has them, in UTC.

use std::fmt::Write;

use super::Value;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A civil date and time.
struct Civil {
    year: i128,
    month: i128,
    day: i128,
    /// From 1.
    day_of_year: i128,
    /// From Sunday, 0.
    weekday: i128,
    hour: i128,
    minute: i128,
    second: i128,
    nanos: i128,
}

fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    // Howard Hinnant's algorithm: years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(ns: i128) -> Civil {
    let (days, within) = (ns.div_euclid(DAY), ns.rem_euclid(DAY));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year + era * 400 + i128::from(month <= 2);
    Civil {
        year,
        month,
        day,
        day_of_year: days - days_from_civil(year, 1, 1) + 1,
        weekday: (days + 4).rem_euclid(7),
        hour: within / (3600 * SECOND),
        minute: within / (60 * SECOND) % 60,
        second: within / SECOND % 60,
        nanos: within % SECOND,
    }
}

/// As a time is printed: `2009-11-10 23:00:00.5 +0000 UTC`.
pub(super) fn shown(ns: i128) -> String {
    format(ns, "2006-01-02 15:04:05.999999999 -0700 MST")
}

fn name(names: &[&'static str], number: i128) -> &'static str {
    usize::try_from(number).ok().and_then(|at| names.get(at)).copied().unwrap_or("")
}

/// As Go's `Time.Format` does with a layout that shows 2 January 2006, 15:04:05.
fn format(ns: i128, layout: &str) -> String {
    let time = civil(ns);
    let hour = (time.hour + 11) % 12 + 1;
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    // The longer pattern of those that begin alike is first.
    const PATTERNS: [&str; 37] = [
        "January",
        "Jan",
        "Monday",
        "Mon",
        "MST",
        "2006",
        "-07:00:00",
        "-070000",
        "-07:00",
        "-0700",
        "-07",
        "Z07:00:00",
        "Z070000",
        "Z07:00",
        "Z0700",
        "Z07",
        "002",
        "01",
        "02",
        "03",
        "04",
        "05",
        "06",
        "15",
        "PM",
        "pm",
        "_2006",
        "__2",
        "_2",
        "1",
        "2",
        "3",
        "4",
        "5",
        ".000",
        ".999",
        ",000",
    ];
    while let Some(c) = rest.chars().next() {
        let Some(pattern) = PATTERNS.into_iter().find(|pattern| rest.starts_with(pattern)) else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let mut length = pattern.len();
        let _ = match pattern {
            "January" => write!(out, "{}", name(&MONTHS, time.month - 1)),
            "Jan" => write!(out, "{}", &name(&MONTHS, time.month - 1)[..3]),
            "Monday" => write!(out, "{}", name(&DAYS, time.weekday)),
            "Mon" => write!(out, "{}", &name(&DAYS, time.weekday)[..3]),
            "MST" => write!(out, "UTC"),
            "2006" => write!(out, "{:04}", time.year),
            "_2006" => write!(out, "_{:04}", time.year),
            "-07:00:00" => write!(out, "+00:00:00"),
            "-070000" => write!(out, "+000000"),
            "-07:00" => write!(out, "+00:00"),
            "-0700" => write!(out, "+0000"),
            "-07" => write!(out, "+00"),
            "Z07:00:00" | "Z070000" | "Z07:00" | "Z0700" | "Z07" => write!(out, "Z"),
            "002" => write!(out, "{:03}", time.day_of_year),
            "__2" => write!(out, "{:3}", time.day_of_year),
            "01" => write!(out, "{:02}", time.month),
            "1" => write!(out, "{}", time.month),
            "02" => write!(out, "{:02}", time.day),
            "_2" => write!(out, "{:2}", time.day),
            "2" => write!(out, "{}", time.day),
            "15" => write!(out, "{:02}", time.hour),
            "03" => write!(out, "{hour:02}"),
            "3" => write!(out, "{hour}"),
            "04" => write!(out, "{:02}", time.minute),
            "4" => write!(out, "{}", time.minute),
            "05" => write!(out, "{:02}", time.second),
            "5" => write!(out, "{}", time.second),
            "06" => write!(out, "{:02}", time.year.rem_euclid(100)),
            "PM" => write!(out, "{}", if time.hour >= 12 { "PM" } else { "AM" }),
            "pm" => write!(out, "{}", if time.hour >= 12 { "pm" } else { "am" }),
            _ => {
                // A fraction: as many digits as are written, nines without zeros at the end.
                let digit = rest.as_bytes()[1];
                length = 1 + rest[1..].bytes().take_while(|b| *b == digit).count();
                let digits = format!("{:09}", time.nanos);
                let digits = &digits[..(length - 1).min(9)];
                let digits = if digit == b'9' { digits.trim_end_matches('0') } else { digits };
                if digits.is_empty() { Ok(()) } else { write!(out, "{}{digits}", &rest[..1]) }
            }
        };
        rest = &rest[length..];
    }
    out
}

/// As a length of time is printed: `1h2m3.5s`, `1.5ms`, `0s`.
pub(super) fn duration(ns: i64) -> String {
    let all = ns.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        let whole = value / unit;
        if unit == 1 || digits.is_empty() { whole.to_string() } else { format!("{whole}.{digits}") }
    };
    let text = match all {
        0 => return "0s".into(),
        1..1_000 => format!("{all}ns"),
        1_000..1_000_000 => fraction(all, 1_000) + "µs",
        1_000_000..1_000_000_000 => fraction(all, 1_000_000) + "ms",
        _ => {
            let (minutes, seconds) = (all / 60_000_000_000, all % 60_000_000_000);
            let seconds = fraction(seconds, 1_000_000_000) + "s";
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    if ns < 0 { format!("-{text}") } else { text }
}

/// A method of a time or a length of time; nothing, if it has none of that name.
pub(super) fn method(of: &Value, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    match of {
        Value::Time(ns) => of_time(*ns, name, args),
        Value::Duration(ns) => of_duration(*ns, name, args),
        _ => None,
    }
}

fn whole(number: i128) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn of_time(ns: i128, called: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let time = civil(ns);
    Some(Ok(match (called, args) {
        ("Format", [Value::Text(layout)]) => Value::text(format(ns, layout)),
        ("Add", [Value::Duration(by)]) => Value::Time(ns + i128::from(*by)),
        ("Sub", [Value::Time(other)]) => {
            Value::Duration(i64::try_from(ns - other).unwrap_or(if ns < *other {
                i64::MIN
            } else {
                i64::MAX
            }))
        }
        ("Before", [Value::Time(other)]) => Value::Bool(ns < *other),
        ("After", [Value::Time(other)]) => Value::Bool(ns > *other),
        ("Equal", [Value::Time(other)]) => Value::Bool(ns == *other),
        ("UTC" | "Local", []) => Value::Time(ns),
        ("String", []) => Value::text(shown(ns)),
        ("Unix", []) => whole(ns.div_euclid(SECOND)),
        ("UnixMilli", []) => whole(ns.div_euclid(1_000_000)),
        ("UnixMicro", []) => whole(ns.div_euclid(1_000)),
        ("UnixNano", []) => whole(ns),
        ("Year", []) => whole(time.year),
        ("Month", []) => Value::text(name(&MONTHS, time.month - 1)),
        ("Day", []) => whole(time.day),
        ("YearDay", []) => whole(time.day_of_year),
        ("Weekday", []) => Value::text(name(&DAYS, time.weekday)),
        ("Hour", []) => whole(time.hour),
        ("Minute", []) => whole(time.minute),
        ("Second", []) => whole(time.second),
        ("Nanosecond", []) => whole(time.nanos),
        (
            "Format" | "Add" | "Sub" | "Before" | "After" | "Equal" | "UTC" | "Local" | "String" | "Unix"
            | "UnixMilli" | "UnixMicro" | "UnixNano" | "Year" | "Month" | "Day" | "YearDay" | "Weekday"
            | "Hour" | "Minute" | "Second" | "Nanosecond",
            _,
        ) => return Some(Err(format!("wrong arguments for {called}"))),
        _ => return None,
    }))
}

#[allow(clippy::cast_precision_loss, reason = "as in Go")]
fn of_duration(ns: i64, called: &str, args: &[Value]) -> Option<Result<Value, String>> {
    if !args.is_empty() {
        return Some(Err(format!("wrong number of args for {called}: want 0 got {}", args.len())));
    }
    // Go adds the fraction to the whole part, which keeps more digits.
    let parts = |unit: i64| (ns / unit) as f64 + (ns % unit) as f64 / unit as f64;
    Some(Ok(match called {
        "String" => Value::text(duration(ns)),
        "Nanoseconds" => Value::Int(ns),
        "Microseconds" => Value::Int(ns / 1_000),
        "Milliseconds" => Value::Int(ns / 1_000_000),
        "Seconds" => Value::Float(parts(1_000_000_000)),
        "Minutes" => Value::Float(parts(60_000_000_000)),
        "Hours" => Value::Float(parts(3_600_000_000_000)),
        _ => return None,
    }))
}
