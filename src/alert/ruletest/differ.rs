//! Shows where result and expectation part.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::file::{AlertCase, ExprCase};
use crate::query::{Labels, number};

type Alert = (Labels, BTreeMap<String, String>);

/// A time of a test: `1h5m`.
pub(super) fn time(ms: i64) -> String {
    if ms == 0 {
        return "0s".into();
    }
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (mut out, mut rest) = (String::new(), ms);
    for (unit, size) in units {
        if rest >= size {
            let _ = write!(out, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    out
}

/// Do they differ by no more than the last bit?
pub(super) fn nearly(a: f64, b: f64) -> bool {
    a.is_finite()
        && b.is_finite()
        && a.is_sign_negative() == b.is_sign_negative()
        && a.to_bits().abs_diff(b.to_bits()) <= 1
}

pub(super) fn alerts(case: &AlertCase, expected: &[Alert], got: &[Alert], pending: usize) -> String {
    let mut out = format!(
        "line {}: alert {} at {}: {} expected, {} firing",
        case.line,
        case.name,
        time(case.at),
        expected.len(),
        got.len()
    );
    if pending > 0 {
        let _ = write!(out, ", {pending} pending");
    }
    let (mut missing, mut extra) = (without(expected, got), without(got, expected));
    // Those with the same labels differ in annotations only.
    missing.retain(|(labels, annotations)| {
        let Some(at) = extra.iter().position(|(found, _)| found == labels) else { return true };
        let (_, found) = extra.remove(at);
        let _ = write!(out, "\n    {labels}");
        let names: std::collections::BTreeSet<&String> = annotations.keys().chain(found.keys()).collect();
        for name in names {
            let (expected, got) = (annotations.get(name), found.get(name));
            if expected != got {
                out.push_str(&shown("- expected", name, expected));
                out.push_str(&shown("+ got     ", name, got));
            }
        }
        false
    });
    for (sign, list) in [("- expected", missing), ("+ got     ", extra)] {
        for (labels, annotations) in list {
            let _ = write!(out, "\n    {sign} {labels}");
            for (name, text) in annotations {
                let _ = write!(out, "\n                   {name}: {}", number::quoted(text));
            }
        }
    }
    out
}

fn shown(sign: &str, name: &str, text: Option<&String>) -> String {
    let text = text.map_or_else(|| "nothing".to_owned(), |text| number::quoted(text));
    format!("\n      {sign} {name}: {text}")
}

/// Those of `a` that are not in `b`, each as often.
fn without<'a>(a: &'a [Alert], b: &[Alert]) -> Vec<(&'a Labels, &'a BTreeMap<String, String>)> {
    let mut others: Vec<&Alert> = b.iter().collect();
    let gone = a.iter().filter(|alert| match others.iter().position(|other| other == alert) {
        Some(at) => {
            others.swap_remove(at);
            false
        }
        None => true,
    });
    gone.map(|(labels, annotations)| (labels, annotations)).collect()
}

pub(super) fn failed(case: &ExprCase, message: &str) -> String {
    format!("line {}: {} at {}: {message}", case.line, case.text, time(case.at))
}

pub(super) fn samples(case: &ExprCase, expected: &[(Labels, f64)], got: &[(Labels, f64)]) -> String {
    let mut out = format!("line {}: {} at {}", case.line, case.text, time(case.at));
    let is_in = |list: &[(Labels, f64)], of: &(Labels, f64)| list.iter().any(|other| other == of);
    for (sign, list, other) in [("- expected", expected, got), ("+ got     ", got, expected)] {
        for sample in list.iter().filter(|sample| !is_in(other, sample)) {
            let _ = write!(out, "\n    {sign} {} {}", sample.0, number::plain(sample.1));
        }
    }
    let _ = write!(
        out,
        "\n    {} of {} as expected",
        got.iter().filter(|s| is_in(expected, s)).count(),
        expected.len()
    );
    out
}
