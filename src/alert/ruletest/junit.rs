//! Verdicts as JUnit XML, which build servers show.

use std::fmt::Write;
use std::path::PathBuf;

use super::Verdict;

/// A document with a suite for each file and a case for each test.
#[must_use]
pub fn xml(verdicts: &[(PathBuf, Verdict)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (path, verdict) in verdicts {
        let name = escaped(&path.display().to_string());
        let failed = verdict.tests.iter().filter(|test| !test.failures.is_empty()).count();
        let (tests, errors) = (verdict.tests.len(), verdict.errors.len());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\">"
        );
        for error in &verdict.errors {
            let text = escaped(error);
            let _ = writeln!(out, "    <testcase name=\"{name}\"><error>{text}</error></testcase>");
        }
        for test in &verdict.tests {
            let _ = write!(out, "    <testcase name=\"{}\">", escaped(&test.name));
            for failure in &test.failures {
                let _ = write!(out, "<failure>{}</failure>", escaped(failure));
            }
            out.push_str("</testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
