//! The report as a page: one file without a script, which fits a phone and follows the colours of the system.
//!
//! Its style stands in it, under a policy that allows this one by a number used once and nothing else.

use std::fmt::{self, Write};

use super::{Report, judged, milliseconds, percent, span, word};
use crate::log::timestamp;
use crate::monitor::OperationFigures;
use crate::server::auth::token;

const STYLE: &str = include_str!("report.css");

/// The page and its `Content-Security-Policy`.
pub(super) fn page(report: &Report) -> (String, String) {
    // Without randomness the page has no style, and is still one.
    let nonce = token::make().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut out = String::new();
    write(&mut out, report, &nonce).expect("a string takes everything");
    (out, policy)
}

fn write(out: &mut String, report: &Report, nonce: &str) -> fmt::Result {
    let (verdict, class) = (word(report.ok), class(report.ok));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Performance: {verdict}</title>\n\
         <style nonce=\"{nonce}\">\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>Performance <span class=\"badge {class}\">{verdict}</span></h1>\n\
         <p>{}, gaugecast {}, up for {}</p></header>\n",
        timestamp(report.at_ms),
        report.version,
        span(report.uptime_seconds),
    )?;
    let overview = &report.overview;
    out.push_str("<dl>\n");
    for (name, value) in [
        ("Operations", overview.operations.to_string()),
        ("Runs", overview.count.to_string()),
        ("A second", format!("{:.1}", overview.window.per_second)),
        ("Mean", milliseconds(overview.mean_ms)),
        ("Failed", percent(overview.error_ratio)),
        ("Running now", overview.in_flight.to_string()),
    ] {
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    out.push_str("</dl>\n<section><h2>Recommendations</h2>\n");
    if report.recommendations.is_empty() {
        out.push_str("<p>None.</p>\n");
    } else {
        out.push_str("<ul class=\"advice\">\n");
        for advice in &report.recommendations {
            let (what, action, evidence) = (safe(&advice.what), safe(&advice.action), safe(&advice.evidence));
            let urgency = advice.urgency();
            writeln!(
                out,
                "<li><span class=\"badge {urgency}\">{urgency}</span> <strong>{what}</strong>: {action}.<br><small>{evidence}</small></li>"
            )?;
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n<section><h2>Verdicts</h2>\n");
    let heads =
        [("Criterion", ""), ("Verdict", ""), ("Value", "number"), ("Threshold", "number"), ("Why", "why")];
    table(out, &heads, &report.verdicts, |verdict| {
        let (value, threshold) = judged(verdict);
        let why = safe(&verdict.reasons.join("; ")).to_string();
        vec![verdict.criterion.as_str().into(), word(verdict.ok).into(), value, threshold, why]
    })?;
    out.push_str("</section>\n<section><h2>Slowest operations</h2>\n");
    operations(out, &report.slowest)?;
    write!(out, "</section>\n<section><h2>Errors</h2>\n<p>{} in all.</p>\n", report.errors.total)?;
    table(out, &[("Kind", "wide"), ("Count", "number")], &report.errors.by_kind, |kind| {
        vec![safe(&kind.kind).to_string(), kind.count.to_string()]
    })?;
    operations(out, &report.errors.failing)?;
    out.push_str("</section>\n<section><h2>Worse than the baseline</h2>\n");
    let regressions = &report.regressions;
    match (&regressions.baseline, &regressions.why_not) {
        (_, Some(why)) => writeln!(out, "<p>Not compared: {}</p>", safe(why))?,
        (Some(name), None) => {
            let (found, compared) = (regressions.found.len(), regressions.compared);
            writeln!(out, "<p>{found} of {compared} series of {} are worse.</p>", safe(name))?;
            let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.6}"));
            let heads = [("Series", "wide"), ("Before", "number"), ("Now", "number"), ("Change", "number")];
            table(out, &heads, &regressions.found, |one| {
                let change = one.change.map_or_else(|| "–".into(), percent);
                vec![safe(&one.series).to_string(), shown(one.before), shown(one.after), change]
            })?;
        }
        (None, None) => {}
    }
    out.push_str("</section>\n</main>\n</body>\n</html>\n");
    Ok(())
}

fn operations(out: &mut String, operations: &[OperationFigures]) -> fmt::Result {
    let number = |head| (head, "number");
    let figures = ["Runs", "Mean", "p95", "p99", "Longest", "Failed"].map(number);
    let heads: Vec<_> = [("Operation", "")].into_iter().chain(figures).collect();
    table(out, &heads, operations, |one| {
        let [mean, p95, p99, max] = [one.mean_ms, one.p95_ms, one.p99_ms, one.max_ms].map(milliseconds);
        vec![
            safe(&one.name).to_string(),
            one.count.to_string(),
            mean,
            p95,
            p99,
            max,
            percent(one.error_ratio),
        ]
    })
}

/// A table, of cells that are safe already, under heads with the class of their column; nothing without rows.
fn table<T>(
    out: &mut String,
    heads: &[(&str, &str)],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    // It scrolls by itself, and so has to be reached by the keyboard.
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>");
    for (head, class) in heads {
        write!(out, "<th scope=\"col\" class=\"{class}\">{head}</th>")?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (cell, (_, class)) in cells(row).iter().zip(heads) {
            write!(out, "<td class=\"{class}\">{cell}</td>")?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn class(ok: Option<bool>) -> &'static str {
    match ok {
        Some(true) => "good",
        Some(false) => "critical",
        None => "info",
    }
}

/// Text as text.
fn safe(text: &str) -> impl fmt::Display + '_ {
    struct Safe<'a>(&'a str);
    impl fmt::Display for Safe<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.chars().try_for_each(|character| match character {
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '&' => f.write_str("&amp;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                other => f.write_char(other),
            })
        }
    }
    Safe(text)
}
