//! The report for people ([`text`], [`markdown`]), for spreadsheets ([`csv`]) and for continuous integration ([`junit`]).

use std::fmt::Write;

use super::criteria::{Judged, unit_of};
use super::report::Report;

/// Rows of the table of latencies.
const FAMILIES: [(&str, &str); 5] = [
    ("connect", "opening"),
    ("delivery", "delivery of a message"),
    ("broadcast", "delivery to the last client"),
    ("rtt", "round trip"),
    ("recovery", "recovery after a cut"),
];

/// Columns of it.
const STATS: [&str; 6] = ["mean", "p50", "p95", "p99", "p999", "max"];

/// A figure with its unit, `none` without samples.
fn figure(metric: &str, value: Option<f64>) -> String {
    let Some(value) = value else { return "none".into() };
    let digits = if value.fract() == 0.0 { 0 } else { 2 };
    match unit_of(metric) {
        "" => format!("{value:.digits$}"),
        "/s" => format!("{value:.digits$}/s"),
        unit => format!("{value:.digits$} {unit}"),
    }
}

fn judged(judged: &Judged) -> String {
    let reason = judged.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}: {}{reason}", judged.criterion, figure(&judged.metric, judged.actual))
}

fn latencies(report: &Report) -> impl Iterator<Item = (&'static str, u64, [String; 6])> {
    FAMILIES.into_iter().filter_map(|(family, title)| {
        let value = |stat: &str| report.measures.get(&format!("{family}.{stat}")).copied().flatten();
        let count = value("count").filter(|count| *count > 0.0)?;
        let cell = |stat| value(stat).map_or_else(String::new, |ms| format!("{ms:.2}"));
        Some((title, count as u64, STATS.map(cell)))
    })
}

/// What else is worth a line, where it was measured.
fn others(report: &Report) -> impl Iterator<Item = (&'static str, String)> {
    [
        "messages.received",
        "messages.rate",
        "broadcast.rate",
        "broadcast.missed",
        "broadcast.complete",
        "connect.throttled",
        "sequence.errors",
        "resume.success",
        "uptime",
        "rtt.missed",
        "errors",
        "server.cpu",
        "server.rss",
        "server.fds",
        "server.received",
        "server.sent",
        "generator.cpu",
        "generator.rss",
        "generator.fds",
        "generator.received",
        "generator.sent",
    ]
    .into_iter()
    .filter_map(|name| {
        let value = report.measures.get(name).copied().flatten()?;
        Some((name, figure(name, Some(value))))
    })
}

/// Lines on clock, generator, errors, baseline, and notes.
fn remarks(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(report.unmeasured.iter().map(|(family, reason)| format!("{family} not measured: {reason}")));
    lines.extend(
        report.generator.reasons.iter().map(|reason| format!("the generator was the bottleneck: {reason}")),
    );
    lines.extend(report.errors.iter().map(|(class, count)| format!("errors {class}: {count}")));
    lines.extend(report.first_errors.iter().map(|message| format!("error {message}")));
    for change in report.baseline.iter().flatten() {
        let (before, now) = (figure(&change.metric, Some(change.before)), figure(&change.metric, change.now));
        lines.push(format!(
            "baseline {}: {}: {before} before, {now} now",
            change.verdict.name(),
            change.metric
        ));
    }
    lines.extend(report.notes.iter().cloned());
    lines
}

/// A summary for the terminal.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let load = &report.load;
    let _ = writeln!(
        out,
        "\n{}: {} connections, {:.1} s, preset {}\n",
        report.target.url, load.connections, report.seconds, load.preset
    );
    let _ = write!(out, "{:28}{:>10}", "latency in ms", "count");
    for stat in STATS {
        let _ = write!(out, "{stat:>10}");
    }
    out.push('\n');
    for (title, count, cells) in latencies(report) {
        let _ = write!(out, "{title:28}{count:>10}");
        for cell in cells {
            let _ = write!(out, "{cell:>10}");
        }
        out.push('\n');
    }
    out.push('\n');
    for (name, value) in others(report) {
        let _ = writeln!(out, "{name:28}{value}");
    }
    out.push('\n');
    for phase in &report.phases {
        let _ = writeln!(
            out,
            "{:13} {} ({}/{} connections, {:.1} s)",
            phase.verdict.name(),
            phase.name,
            phase.live,
            phase.planned,
            phase.seconds
        );
        for failed in phase.criteria.iter().filter(|criterion| criterion.verdict.exit_code() != 0) {
            let _ = writeln!(out, "              {}", judged(failed));
        }
    }
    out.push('\n');
    for criterion in &report.criteria {
        let _ = writeln!(out, "{:13} {}", criterion.verdict.name(), judged(criterion));
    }
    let remarks = remarks(report);
    if !remarks.is_empty() {
        out.push('\n');
        for line in remarks {
            let _ = writeln!(out, "{line}");
        }
    }
    let _ = writeln!(out, "\nverdict: {}", report.verdict.name());
    out
}

/// The same as Markdown, for a summary of a build or an issue.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut out = format!("# Load test: {}\n\n", report.verdict.name());
    let _ = writeln!(
        out,
        "{}, {} connections, {:.1} s, preset {}\n",
        report.target.url, report.load.connections, report.seconds, report.load.preset
    );
    let _ = writeln!(out, "| criterion | measured | verdict |\n| --- | --- | --- |");
    for criterion in &report.criteria {
        let measured = match &criterion.reason {
            Some(reason) => reason.clone(),
            None => figure(&criterion.metric, criterion.actual),
        };
        let verdict = criterion.verdict.name();
        let _ = writeln!(out, "| `{}` | {} | {verdict} |", criterion.criterion, cell(&measured));
    }
    let _ = writeln!(out, "\n| latency in ms | count | {} |", STATS.join(" | "));
    let _ = writeln!(out, "| --- | --- |{}", " --- |".repeat(STATS.len()));
    for (title, count, cells) in latencies(report) {
        let _ = writeln!(out, "| {title} | {count} | {} |", cells.join(" | "));
    }
    let _ = writeln!(out, "\n| phase | connections | verdict |\n| --- | --- | --- |");
    for phase in &report.phases {
        let _ =
            writeln!(out, "| {} | {}/{} | {} |", phase.name, phase.live, phase.planned, phase.verdict.name());
    }
    let _ = writeln!(out, "\n| figure | value |\n| --- | --- |");
    for (name, value) in others(report) {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    let remarks = remarks(report);
    if !remarks.is_empty() {
        out.push('\n');
        for line in remarks {
            let _ = writeln!(out, "- {}", line.replace(['\r', '\n'], " "));
        }
    }
    out
}

/// All measures as CSV (RFC 4180), one a line, of each phase and of the whole test; with the criteria on them and
/// their verdicts. What has no samples has no value.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = String::from("phase,measure,value,unit,criterion,verdict\r\n");
    let whole = ("whole test", &report.measures, &report.criteria);
    let phases = report.phases.iter().map(|phase| (phase.name.as_str(), &phase.measures, &phase.criteria));
    for (phase, measures, criteria) in phases.chain([whole]) {
        for (name, value) in measures {
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            let unit = unit_of(name);
            let mut judged = criteria.iter().filter(|judged| judged.metric == *name).peekable();
            if judged.peek().is_none() {
                let _ = write!(out, "{phase},{name},{value},{unit},,\r\n");
            }
            for judged in judged {
                let (criterion, verdict) = (&judged.criterion, judged.verdict.name());
                let _ = write!(out, "{phase},{name},{value},{unit},{criterion},{verdict}\r\n");
            }
        }
    }
    out
}

/// A JUnit file: a suite a phase and one for the whole, a case a criterion. Inconclusive and aborted are errors.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"gaugecast loadtest\">\n",
    );
    let whole = ("whole test", report.seconds, &report.criteria, report.verdict);
    let phases = report.phases.iter().map(|p| (p.name.as_str(), p.seconds, &p.criteria, p.verdict));
    for (name, seconds, criteria, verdict) in phases.chain([whole]) {
        let failures = criteria.iter().filter(|criterion| criterion.verdict.exit_code() == 99).count();
        // One case more than criteria: the verdict itself, which an abort makes an error.
        let errors = criteria.iter().filter(|criterion| criterion.verdict.exit_code() == 98).count()
            + usize::from(matches!(verdict.exit_code(), 98 | 105));
        let name = escaped(name);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" time=\"{seconds:.3}\">",
            criteria.len() + 1,
            failures + usize::from(verdict.exit_code() == 99),
        );
        let verdict = (escaped("verdict"), verdict, String::new());
        let cases = criteria.iter().map(|c| (escaped(&c.criterion), c.verdict, escaped(&judged(c))));
        for (case, verdict, message) in cases.chain([verdict]) {
            let end = match verdict.exit_code() {
                0 => "/>".to_owned(),
                99 => format!("><failure message=\"{message}\"/></testcase>"),
                _ => format!("><error message=\"{} {message}\"/></testcase>", verdict.name()),
            };
            let _ = writeln!(out, "    <testcase classname=\"loadtest.{name}\" name=\"{case}\"{end}");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// As an attribute of XML: what XML cannot hold at all becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_hold_any_text() {
        assert_eq!(escaped("a<b>&\"\u{0}"), "a&lt;b&gt;&amp;&quot;\u{fffd}");
    }

    #[test]
    fn figures_have_their_unit() {
        assert_eq!(figure("delivery.p95", Some(1.234)), "1.23 ms");
        assert_eq!(figure("messages.rate", Some(10.0)), "10/s");
        assert_eq!(figure("errors", Some(0.0)), "0");
        assert_eq!(figure("uptime", None), "none");
    }
}
