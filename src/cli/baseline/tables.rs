//! Answers as tables: columns as wide as they need, the series last since its key is long.

use std::time::Duration;

use serde_json::Value;

use crate::cli::format;
use crate::config::units::format_duration;
use crate::history::baseline::Verdict;
use crate::log::timestamp;

/// What was saved.
pub(super) fn saved(data: &Value) -> String {
    format!("saved {}: {} series, {}\n", text(data, "name"), data["count"], range(data))
}

/// All baselines.
pub(super) fn list(data: &Value) -> String {
    let rows = data.as_array().into_iter().flatten().map(|one| {
        let time = |name: &str| timestamp(one[name].as_i64().unwrap_or_default());
        [text(one, "name"), one["count"].to_string(), range(one), time("created"), text(one, "note")]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return "there are no baselines; gaugecast baseline save NAME SELECTOR… makes one\n".into();
    }
    table(["NAME", "SERIES", "RANGE", "SAVED", "NOTE"], &[1], rows)
}

/// The figures of a baseline.
pub(super) fn baseline(data: &Value) -> String {
    let note = Some(text(data, "note")).filter(|note| !note.is_empty());
    let head = format!(
        "{}: {}{}\n\n",
        text(data, "name"),
        range(data),
        note.map_or_else(String::new, |n| format!("; {n}"))
    );
    let rows = series(data).map(|one| {
        let value = |name: &str| value(one, &one[name]);
        [
            one["count"].to_string(),
            value("mean"),
            value("stddev"),
            value("min"),
            value("p50"),
            value("p95"),
            value("p99"),
            value("max"),
            key(one),
        ]
    });
    let names = ["VALUES", "MEAN", "STDDEV", "MIN", "P50", "P95", "P99", "MAX", "SERIES"];
    head + &table(names, &[0, 1, 2, 3, 4, 5, 6, 7], rows.collect())
}

/// A comparison: what asks for a look first, and of one verdict the largest effect first.
pub(super) fn comparison(data: &Value, all: bool) -> String {
    let named = |side: &Value| match side["name"].as_str() {
        Some(name) => format!("{}, {}", format::printable(name), range(side)),
        None => range(side),
    };
    let counts: Vec<String> = Verdict::ALL
        .iter()
        .filter_map(|verdict| {
            let count = data["counts"][verdict.word()].as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {}", verdict.word()))
        })
        .collect();
    let mut out = format!(
        "before   {}\nafter    {}\nverdict  {}: {}\n",
        named(&data["before"]),
        named(&data["after"]),
        text(data, "verdict"),
        if counts.is_empty() { "no series".into() } else { counts.join(", ") },
    );
    let rank = |one: &Value| {
        Verdict::ALL.iter().position(|verdict| one["verdict"] == verdict.word()).unwrap_or(Verdict::ALL.len())
    };
    let quiet = |one: &&Value| all || !["same", "unknown"].iter().any(|verdict| one["verdict"] == *verdict);
    let mut shown: Vec<&Value> = series(data).filter(quiet).collect();
    let size = |one: &Value| one["effect"].as_f64().unwrap_or_default().abs();
    shown.sort_by(|a, b| rank(a).cmp(&rank(b)).then(size(b).total_cmp(&size(a))));
    if shown.is_empty() {
        return out;
    }
    let rows = shown.into_iter().map(|one| {
        let both = |name: &str| match (one["before"].get(name), one["after"].get(name)) {
            (Some(before), Some(after)) => format!("{} → {}", value(one, before), value(one, after)),
            (Some(before), None) => value(one, before),
            (_, after) => after.map_or_else(String::new, |after| value(one, after)),
        };
        let effect = one["effect"].as_f64().map(|effect| format!("{effect:+.2} {}", text(one, "magnitude")));
        [
            text(one, "verdict"),
            effect.unwrap_or_default(),
            percent(&one["change"]),
            both("mean"),
            both("p50"),
            both("p95"),
            both("p99"),
            key(one),
        ]
    });
    out.push('\n');
    let names = ["VERDICT", "EFFECT", "CHANGE", "MEAN", "P50", "P95", "P99", "SERIES"];
    out + &table(names, &[2], rows.collect())
}

/// Where series go.
pub(super) fn trends(data: &Value) -> String {
    let rows = series(data).map(|one| {
        let number = |name: &str| one[name].as_f64();
        [
            text(one, "trend"),
            number("slope_per_hour")
                .map_or_else(String::new, |_| format!("{}/h", value(one, &one["slope_per_hour"]))),
            percent(&one["change"]),
            number("tau").map_or_else(String::new, |tau| format!("{tau:+.2}")),
            number("p_value").map_or_else(String::new, |p| match p {
                p if p < 0.001 => "< 0.001".into(),
                p => format!("{p:.3}"),
            }),
            number("median").map_or_else(String::new, |_| value(one, &one["median"])),
            key(one),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return "no series has values in this range\n".into();
    }
    table(["TREND", "SLOPE", "CHANGE", "TAU", "P", "MEDIAN", "SERIES"], &[1, 2, 3, 4, 5], rows)
}

fn series(data: &Value) -> impl Iterator<Item = &Value> {
    data["series"].as_array().into_iter().flatten()
}

fn text(data: &Value, name: &str) -> String {
    format::printable(data[name].as_str().unwrap_or_default())
}

/// A series, and what was measured of it unless that are its values.
fn key(one: &Value) -> String {
    let key = text(one, "series");
    if one["measure"] == "rate" { format!("rate of {key}") } else { key }
}

/// A figure of a series, in its unit.
fn value(one: &Value, figure: &Value) -> String {
    let Some(figure) = figure.as_f64() else { return "?".into() };
    let name = crate::series::key::name(one["series"].as_str().unwrap_or_default()).into_owned();
    format::value(figure, format::unit(&name, ""), one["measure"] == "rate")
}

fn percent(ratio: &Value) -> String {
    ratio.as_f64().map_or_else(String::new, |ratio| match ratio.abs() {
        size if size >= 9.995 => format!("{:+.0} %", ratio * 100.0),
        _ => format!("{:+.1} %", ratio * 100.0),
    })
}

/// `10m from 2026-11-21T10:00:00.000Z`.
fn range(data: &Value) -> String {
    let time = |name: &str| data[name].as_i64().unwrap_or_default();
    let length = u64::try_from(time("end").saturating_sub(time("start"))).unwrap_or_default();
    format!("{} from {}", format_duration(Duration::from_millis(length)), timestamp(time("start")))
}

/// A table with a head; the columns of `right` stand to the right.
fn table<const N: usize>(head: [&str; N], right: &[usize], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            line.push_str(&match right.contains(&column) {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:width$}  "),
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_comparison_shows_what_asks_for_a_look_first() {
        let side = |mean: f64| json!({"mean": mean, "p50": mean, "p95": mean, "p99": mean});
        let one = |series: &str, verdict: &str, effect: f64| {
            json!({"series": series, "measure": "value", "verdict": verdict, "effect": effect, "magnitude": "large",
                   "change": effect * 12.0, "before": side(1.0), "after": side(2.0)})
        };
        let data = json!({
            "before": {"name": "b", "start": 0, "end": 600_000}, "after": {"name": null, "start": 0, "end": 1000},
            "verdict": "worse", "counts": {"worse": 2, "same": 1},
            "series": [one("a_seconds", "worse", 0.5), one("b", "same", 0.0), one("c\u{1b}", "worse", -1.0),
                {"series": "d_total", "measure": "rate", "verdict": "new", "before": null, "after": side(7.0)}],
        });
        let want = "\
before   b, 10m from 1970-01-01T00:00:00.000Z
after    1s from 1970-01-01T00:00:00.000Z
verdict  worse: 2 worse, 1 same

VERDICT  EFFECT         CHANGE  MEAN       P50        P95        P99        SERIES
worse    -1.00 large   -1200 %  1 → 2      1 → 2      1 → 2      1 → 2      c\u{fffd}
worse    +0.50 large  +600.0 %  1 s → 2 s  1 s → 2 s  1 s → 2 s  1 s → 2 s  a_seconds
new                             7/s        7/s        7/s        7/s        rate of d_total
";
        assert_eq!(comparison(&data, false), want);
        assert!(comparison(&data, true).ends_with(" b\n"));
    }
}
