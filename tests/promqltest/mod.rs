//! A runner for Prometheus' own PromQL scripts, over anything that can be loaded with samples and asked.
//!
//! [`run_folder`] runs every `*.test` of a folder against an [`Engine`] and gives a [`Report`] for each. Cases that touch
//! native histograms are counted apart: those whose selectors pick a series that was loaded with one, or
//! whose expected values have one.

// Each test that uses this uses another part; a fault of a script ends the test where it is found.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod api;
mod compare;
pub mod http;
mod script;

use std::collections::BTreeMap;
use std::path::Path;

use gaugecast::query::promql::{self, ast};
use gaugecast::query::{Labels, Sample};

use compare::check;
pub use script::When;
use script::{Case, Command, parse};

/// Labels of a result or of a loaded series.
pub type Metric = BTreeMap<String, String>;

/// What is tested.
pub trait Engine {
    /// Forgets all samples.
    fn clear(&mut self);
    /// Adds samples, ascending in time within a series.
    fn load(&mut self, series: Vec<(Metric, Vec<Sample>)>);
    /// Evaluates; times in milliseconds. The error is its text.
    fn query(&mut self, text: &str, when: When) -> Result<Answer, String>;
}

/// A value as it came back.
#[derive(Clone, Debug)]
pub enum Output {
    Scalar(f64),
    Text(String),
    Vector(Vec<(Metric, f64)>),
    Matrix(Vec<(Metric, Vec<Sample>)>),
}

/// A value with what was said about it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub output: Output,
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
}

/// The outcome of one script.
#[derive(Debug, Default)]
pub struct Report {
    pub name: String,
    /// Cases with floats only: right and all.
    pub floats: (usize, usize),
    /// Cases that touch native histograms: right and all.
    pub native: (usize, usize),
    /// What was wrong with cases of floats: line, query, difference.
    pub wrong: Vec<String>,
    pub wrong_native: Vec<String>,
}

/// Runs every script of a folder, by name.
pub fn run_folder(folder: &Path, engine: &mut dyn Engine) -> Vec<Report> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    paths.iter().map(|path| run(path, engine)).collect()
}

/// Runs one script.
pub fn run(path: &Path, engine: &mut dyn Engine) -> Report {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    // Scripts test what is not UTF-8 by escapes, so the files themselves are.
    let text = std::fs::read_to_string(path).unwrap();
    run_text(&name, &text, engine)
}

/// Runs the text of a script.
pub fn run_text(name: &str, text: &str, engine: &mut dyn Engine) -> Report {
    let mut report = Report { name: name.to_owned(), ..Report::default() };
    let mut native: Vec<Labels> = Vec::new();
    engine.clear();
    for command in parse(name, text) {
        match command {
            Command::Clear => {
                engine.clear();
                native.clear();
            }
            Command::Load { series, custom_buckets } => {
                let mut loaded = Vec::new();
                for line in series {
                    let labels = |metric: &Metric| Labels::new(metric.iter().map(|(n, v)| (&**n, &**v)));
                    if line.has_histograms() {
                        native.push(labels(&line.metric));
                    }
                    if custom_buckets && let Some(metric) = without_bucket_suffix(&line.metric) {
                        native.push(labels(&metric));
                    }
                    loaded.push((line.metric.clone(), line.samples()));
                }
                engine.load(loaded);
            }
            Command::Eval(case) => {
                let outcome = run_case(&case, engine);
                let apart = case.expects_histograms() || touches(&case.query, &native);
                let (counts, wrong) = if apart {
                    (&mut report.native, &mut report.wrong_native)
                } else {
                    (&mut report.floats, &mut report.wrong)
                };
                counts.1 += 1;
                match outcome {
                    Ok(()) => counts.0 += 1,
                    Err(why) => wrong.push(format!("{name}:{}: {}\n    {why}", case.line, case.query)),
                }
            }
        }
    }
    report
}

fn run_case(case: &Case, engine: &mut dyn Engine) -> Result<(), String> {
    let answer = engine.query(&case.query, case.when);
    check(case, &answer)?;
    // As Prometheus does: an instant query answers like the middle of a range query.
    let asks_for_bounds = ["start()", "end()", "step()", "range()"].iter().any(|f| case.query.contains(f));
    if let (When::Instant(at), Ok(Answer { output: Output::Scalar(_) | Output::Vector(_), .. })) =
        (case.when, &answer)
        && !case.ordered()
        && !asks_for_bounds
    {
        let when = When::Range { start: at - 60_000, end: at + 60_000, step: 60_000 };
        let mut ranged =
            engine.query(&case.query, when).map_err(|error| format!("as a range query: {error}"))?;
        ranged.output = compare::at_time(ranged.output, at, &answer.as_ref().unwrap().output);
        compare::check_values(case, &ranged.output).map_err(|why| format!("as a range query: {why}"))?;
    }
    Ok(())
}

/// The series of native histograms that a classic one is also loaded as.
fn without_bucket_suffix(metric: &Metric) -> Option<Metric> {
    let name = metric.get("__name__")?;
    let suffixes = ["_bucket", "_count", "_sum"];
    let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix))?.to_owned();
    let mut metric = metric.clone();
    metric.remove("le");
    metric.insert("__name__".into(), base);
    Some(metric)
}

/// Does a selector of the query pick one of these series?
fn touches(query: &str, native: &[Labels]) -> bool {
    let Ok(expr) = promql::parse(query) else { return false };
    let mut found = false;
    expr.walk(&mut |expr| {
        if let ast::Node::Selector(selector) | ast::Node::Range(selector, _) = &expr.node {
            found |= native.iter().any(|labels| {
                selector.matchers.iter().all(|m| m.accepts(labels.get(m.label()).unwrap_or("")))
            });
        }
    });
    found
}

/// The table of reports, and below it what was wrong with floats.
pub fn table(reports: &[Report]) -> String {
    use std::fmt::Write;
    let mut out = format!("{:<28}{:>16}{:>24}\n", "script", "floats", "native histograms");
    let pair = |(right, all): (usize, usize)| format!("{right} / {all}");
    let sum = |of: fn(&Report) -> (usize, usize)| {
        reports.iter().map(of).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    for report in reports {
        let _ = writeln!(out, "{:<28}{:>16}{:>24}", report.name, pair(report.floats), pair(report.native));
    }
    let (floats, native) = (sum(|report| report.floats), sum(|report| report.native));
    let _ = writeln!(out, "{:<28}{:>16}{:>24}", "all", pair(floats), pair(native));
    for wrong in reports.iter().flat_map(|report| &report.wrong) {
        let _ = writeln!(out, "{wrong}");
    }
    out
}
