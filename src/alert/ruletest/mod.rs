//! Judges rule files without a server: `rules check` and `rules test`, with the verdicts of promtool.
//!
//! - [`check`] reads rule files and says all that is wrong with them, and with what [`lint`] finds suspicious.
//! - [`mod@file`] reads test files in promtool's format; [`run`] loads samples into memory, evaluates the groups step by step with
//!   [`Group`](super::rules::Group), the same as in the server, and compares; `differ` shows where result and expectation part.
//!
//! Two things are as promtool has them and not as the server: an alert without data is over at once where the rule does not say
//! otherwise (`gaugecast_no_data`), and a subquery without a step takes the evaluation interval of the test file. All is in memory and
//! no clock is asked.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, Place, Position};

mod differ;
pub mod file;
pub mod junit;
pub mod lint;
pub mod run;

use super::rules::{self, RuleFile};

/// Most samples and evaluated rules of a test, so that a slip of the pen does not fill the memory.
pub const MAX_WORK: usize = 20_000_000;

/// Reads a rule file; all that is wrong with it.
#[must_use]
pub fn check(path: &Path) -> (Option<RuleFile>, Vec<ConfigError>) {
    let text = match rules::text(path) {
        Ok(text) => text,
        Err(message) => {
            let place = Place::File(path.to_owned(), None);
            return (None, vec![ConfigError { place, message, source_line: None }]);
        }
    };
    let (file, faults) = rules::parse(path, &text);
    (Some(file), located(path, &text, faults))
}

/// Faults with file, place and line.
fn located(path: &Path, text: &str, faults: Vec<(Position, String)>) -> Vec<ConfigError> {
    let located = |(at, message): (Position, String)| ConfigError {
        place: Place::File(path.to_owned(), Some(at)),
        message,
        source_line: text.lines().nth(at.line.saturating_sub(1)).map(str::to_owned),
    };
    faults.into_iter().map(located).collect()
}

/// The verdict on a test file.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What stands in the way of testing at all.
    pub errors: Vec<String>,
    /// What looks wrong but decides nothing.
    pub warnings: Vec<String>,
    /// The tests, in their order.
    pub tests: Vec<Tested>,
}

/// How a test went.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Its name, or where it stands in the file.
    pub name: String,
    /// How many expectations it has.
    pub checks: usize,
    /// What did not hold.
    pub failures: Vec<String>,
}

impl Verdict {
    /// Did all hold?
    #[must_use]
    pub fn passed(&self) -> bool {
        self.errors.is_empty() && self.tests.iter().all(|test| test.failures.is_empty())
    }
}

/// Runs a test file; with `only`, those of its tests whose name one of these finds something in. Blocks.
#[must_use]
pub fn test(path: &Path, only: &[regex::Regex]) -> Verdict {
    let mut verdict = Verdict::default();
    let read = match file::read(path) {
        Ok(read) => read,
        Err(errors) => {
            verdict.errors = errors.iter().map(ToString::to_string).collect();
            return verdict;
        }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in &read.rule_files {
        let before = paths.len();
        paths.extend(rules::matching(pattern).into_iter().filter(|path| path.exists()));
        if paths.len() == before {
            verdict.warnings.push(format!("no rule file matches {}", pattern.display()));
        }
    }
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        let (file, wrong) = check(&path);
        faults.extend(wrong.iter().map(ToString::to_string));
        files.extend(file);
    }
    for test in &read.tests {
        if !only.is_empty() && !only.iter().any(|only| only.is_match(&test.name)) {
            continue;
        }
        let failures = if faults.is_empty() { run::run(&read, test, &files) } else { faults.clone() };
        let checks = test.alerts.len() + test.exprs.len();
        verdict.tests.push(Tested { name: test.shown(), checks, failures });
    }
    if verdict.tests.is_empty() {
        // As with promtool this is no failure, but rarely meant.
        verdict.warnings.push("there is nothing to test".into());
        verdict.warnings.extend(faults);
    }
    verdict
}
