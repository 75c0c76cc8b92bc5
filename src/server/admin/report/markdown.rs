//! The report as Markdown.

use std::fmt::Write;

use super::{Report, judged, milliseconds, percent, span, word};
use crate::log::timestamp;
use crate::monitor::OperationFigures;

pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    let overview = &report.overview;
    let _ = writeln!(out, "# How it does: {}\n", word(report.ok));
    let _ = writeln!(
        out,
        "{}, gaugecast {}, up for {}. {} operations, {} runs ({:.1} a second), mean {}, {} failed ({}).\n",
        timestamp(report.at_ms),
        report.version,
        span(report.uptime_seconds),
        overview.operations,
        overview.count,
        overview.window.per_second,
        milliseconds(overview.mean_ms),
        overview.errors,
        percent(overview.error_ratio),
    );
    if !report.verdicts.is_empty() {
        out.push_str("## Verdicts\n\n| criterion | verdict | value | threshold | why |\n| --- | --- | --- | --- | --- |\n");
        for verdict in &report.verdicts {
            let (value, threshold) = judged(verdict);
            let (criterion, ok) = (verdict.criterion.as_str(), word(verdict.ok));
            let why = plain(&verdict.reasons.join("; "));
            let _ = writeln!(out, "| {criterion} | {ok} | {value} | {threshold} | {why} |");
        }
    }
    out.push_str("\n## Recommendations\n\n");
    if report.recommendations.is_empty() {
        out.push_str("None.\n");
    }
    for advice in &report.recommendations {
        let (what, action, evidence) = (plain(&advice.what), plain(&advice.action), plain(&advice.evidence));
        let _ = writeln!(out, "- **{}** {what}: {action}. *{evidence}*", advice.urgency());
    }
    out.push_str("\n## Slowest operations\n\n");
    operations(&mut out, &report.slowest);
    let _ = writeln!(out, "\n## Errors\n\n{} in all.\n", report.errors.total);
    for kind in &report.errors.by_kind {
        let _ = writeln!(out, "- {} × {}", plain(&kind.kind), kind.count);
    }
    out.push('\n');
    operations(&mut out, &report.errors.failing);
    out.push_str("\n## Worse than the baseline\n\n");
    let regressions = &report.regressions;
    match (&regressions.baseline, &regressions.why_not) {
        (_, Some(why)) => {
            let _ = writeln!(out, "Not compared: {}", plain(why));
        }
        (Some(name), None) => {
            let _ = writeln!(
                out,
                "{} of {} series of {} are worse.\n",
                regressions.found.len(),
                regressions.compared,
                plain(name)
            );
            for one in &regressions.found {
                let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| value.to_string());
                let (before, after) = (shown(one.before), shown(one.after));
                let _ = writeln!(out, "- {}: {before} → {after}", plain(&one.series));
            }
        }
        (None, None) => {}
    }
    out
}

fn operations(out: &mut String, operations: &[OperationFigures]) {
    if operations.is_empty() {
        return out.push_str("None.\n");
    }
    out.push_str("| operation | runs | mean | p95 | p99 | longest | failed |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for one in operations {
        let [mean, p95, p99, max] = [one.mean_ms, one.p95_ms, one.p99_ms, one.max_ms].map(milliseconds);
        let (name, count, failed) = (plain(&one.name), one.count, percent(one.error_ratio));
        let _ = writeln!(out, "| {name} | {count} | {mean} | {p95} | {p99} | {max} | {failed} |");
    }
}

/// Text that means nothing to Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' | '|' | '<' | '>' | '*' | '`' | '[' | ']' | '&' | '#' => out.extend(['\\', character]),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
