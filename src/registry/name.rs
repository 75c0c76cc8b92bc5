//! The rules a name has to keep.
//!
//! Prometheus takes almost any name; what is asked here is what `promtool check metrics` asks, at registration
//! instead of after deployment: snake case, base units, no word for the type, no suffix that the exposition adds by
//! itself. Names in UTF-8 beyond that are refused: every selector on them would need quotes, and consumers of text
//! 0.0.4 get them mangled.

use prometheus_client::registry::Unit;

use super::error::RegisterError;
use crate::series::Kind;

/// Suffixes the exposition adds, or which mean a type of their own.
const RESERVED_SUFFIXES: [(&str, &str); 8] = [
    ("_total", "it is added to counters; register without it"),
    ("_info", "it is added to infos; register an info without it"),
    ("_bucket", "it belongs to histograms"),
    ("_sum", "it belongs to histograms and summaries"),
    ("_count", "it belongs to histograms and summaries"),
    ("_created", "it belongs to counters, histograms and summaries"),
    ("_gsum", "it belongs to gauge histograms"),
    ("_gcount", "it belongs to gauge histograms"),
];

/// Words that only repeat the `# TYPE` line.
const TYPE_WORDS: [&str; 8] =
    ["metric", "counter", "gauge", "histogram", "gaugehistogram", "summary", "untyped", "stateset"];

/// The base units of promtool.
const BASE_UNITS: [&str; 9] =
    ["amperes", "bytes", "celsius", "grams", "joules", "meters", "metres", "seconds", "volts"];

const PREFIXES: [&str; 20] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mebi",
    "giga", "gibi", "tera", "tebi", "peta", "pebi", "exa", "exbi",
];

/// Other units and abbreviations, with the base unit to use.
const OTHER_UNITS: [(&str, &str); 36] = [
    ("ms", "seconds"),
    ("us", "seconds"),
    ("ns", "seconds"),
    ("s", "seconds"),
    ("sec", "seconds"),
    ("secs", "seconds"),
    ("millis", "seconds"),
    ("micros", "seconds"),
    ("nanos", "seconds"),
    ("m", "seconds or meters"),
    ("h", "seconds"),
    ("d", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("b", "bytes"),
    ("kb", "bytes"),
    ("mb", "bytes"),
    ("gb", "bytes"),
    ("tb", "bytes"),
    ("pb", "bytes"),
    ("kib", "bytes"),
    ("mib", "bytes"),
    ("gib", "bytes"),
    ("bits", "bytes"),
    ("percent", "ratio"),
    ("percentage", "ratio"),
    ("kelvin", "celsius"),
    ("fahrenheit", "celsius"),
    ("inches", "meters"),
    ("feet", "meters"),
    ("miles", "meters"),
    ("pounds", "grams"),
    ("ounces", "grams"),
    ("calories", "joules"),
];

/// Checks a name, its unit and help, and returns the name of the family with the unit behind it.
pub(super) fn check(
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    kind: Kind,
) -> Result<String, RegisterError> {
    let full = match unit {
        Some(unit) => format!("{name}_{}", unit.as_str()),
        None => name.to_owned(),
    };
    let refuse = |reason: String| Err(RegisterError::Name { name: full.clone(), reason });
    let legal = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    };
    if !legal(name) {
        let reason = if name.contains(':') {
            "colons are for recording rules"
        } else {
            "a name has the form [a-z_][a-z0-9_]*, snake case"
        };
        return refuse(reason.into());
    }
    if let Some(unit) = unit {
        let word = unit.as_str();
        if !legal(word) {
            return refuse(format!("unit {word:?} has not the form [a-z_][a-z0-9_]*"));
        }
        if name == word || name.strip_suffix(word).is_some_and(|before| before.ends_with('_')) {
            return refuse(format!("the unit {word} is added to the name; register without it"));
        }
        if matches!(kind, Kind::Info | Kind::StateSet) {
            let reason = format!("a family of type {} has no unit", kind.as_str());
            return Err(RegisterError::Settings { name: full, reason });
        }
    }
    if full.starts_with("__") {
        return refuse("names that begin with __ are for internal use".into());
    }
    if let Some((suffix, why)) = RESERVED_SUFFIXES.iter().find(|(suffix, _)| full.ends_with(suffix)) {
        return refuse(format!("the suffix {suffix} is reserved: {why}"));
    }
    // The first word is the namespace, and may be anything.
    for word in full.split('_').skip(1) {
        if TYPE_WORDS.contains(&word) {
            return refuse(format!("the name tells the type ({word}), which the # TYPE line does"));
        }
        if let Some(base) = better_unit(word) {
            return refuse(format!("{word} is not a base unit; use {base}"));
        }
    }
    if help.trim().is_empty() {
        return Err(RegisterError::EmptyHelp { name: full });
    }
    Ok(full)
}

fn better_unit(word: &str) -> Option<&'static str> {
    if let Some((_, base)) = OTHER_UNITS.iter().find(|(other, _)| *other == word) {
        return Some(base);
    }
    let rest = PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix))?;
    BASE_UNITS.iter().find(|base| **base == rest || base.strip_suffix('s') == Some(rest)).copied()
}

/// Every series name a family may expose by OpenMetrics, its own name first. Two families must not share one.
pub(super) fn claims(name: &str, kind: Kind) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        Kind::GaugeHistogram => &["", "_bucket", "_gsum", "_gcount"],
        Kind::Summary => &["", "_sum", "_count", "_created"],
        Kind::Info => &["", "_info"],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[""],
    };
    suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str, unit: Option<Unit>) -> String {
        check(name, "Help", unit.as_ref(), Kind::Gauge).expect_err(name).to_string()
    }

    #[test]
    fn names_promtool_would_complain_about_are_refused_with_advice() {
        let cases = [
            ("", "snake case"),
            ("1a", "snake case"),
            ("a-b", "snake case"),
            ("tempGrad", "snake case"),
            ("größe", "snake case"),
            ("a b", "snake case"),
            ("a\nb", "snake case"),
            ("job:rate", "recording rules"),
            ("__a", "internal"),
            ("jobs_total", "register without it"),
            ("build_info", "register an info"),
            ("x_bucket", "histograms"),
            ("x_sum", "histograms"),
            ("x_count", "histograms"),
            ("x_created", "counters"),
            ("open_files_gauge", "the type (gauge)"),
            ("my_counter_of_things", "the type (counter)"),
            ("my_metric", "the type (metric)"),
            ("wait_milliseconds", "use seconds"),
            ("wait_ms", "use seconds"),
            ("disk_kilobytes", "use bytes"),
            ("disk_kb_used", "use bytes"),
            ("cpu_percent", "use ratio"),
            ("uptime_days", "use seconds"),
        ];
        for (name, want) in cases {
            let got = reason(name, None);
            assert!(got.contains(want), "{name:?}: {got}");
        }
        assert!(reason("a", Some(Unit::Other("milliseconds".into()))).contains("use seconds"));
        assert!(reason("a", Some(Unit::Other("B/s".into()))).contains("has not the form"));
        assert!(reason("a_seconds", Some(Unit::Seconds)).contains("added to the name"));
    }

    #[test]
    fn help_must_say_something() {
        for help in ["", " \n"] {
            let error = check("a", help, None, Kind::Gauge).expect_err("empty");
            assert_eq!(error, RegisterError::EmptyHelp { name: "a".into() });
        }
    }

    #[test]
    fn good_names_pass_and_carry_their_unit() {
        let full = check("http_request_duration", "Help", Some(&Unit::Seconds), Kind::Histogram);
        assert_eq!(full.as_deref(), Ok("http_request_duration_seconds"));
        for name in
            ["node_memory_bytes", "gaugecast_metrics_served", "gauge", "a_ratio", "x_timestamp_seconds"]
        {
            assert!(check(name, "Help", None, Kind::Gauge).is_ok(), "{name}");
        }
    }
}
