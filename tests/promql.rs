//! PromQL against scripts: our own in `promql/`, and Prometheus' where they are at hand.
//!
//! The evaluator is asked directly, so that this is quick.

use std::path::Path;

use gaugecast::query::eval::{Interrupt, Options, Output, Query, Times};
use gaugecast::query::source::MemorySource;
use gaugecast::query::{Labels, Sample, promql};

mod promqltest;

use promqltest::{Answer, Engine, Metric, When, run_folder, run_text, table};

/// The evaluator over samples in memory.
#[derive(Default)]
struct Direct(MemorySource);

impl Engine for Direct {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn load(&mut self, series: Vec<(Metric, Vec<Sample>)>) {
        for (metric, samples) in series {
            let labels = Labels::new(metric.iter().map(|(name, value)| (&**name, &**value)));
            samples.into_iter().for_each(|sample| self.0.add(&labels, sample));
        }
    }

    fn query(&mut self, text: &str, when: When) -> Result<Answer, String> {
        let expr = promql::parse(text).map_err(|error| error.to_string())?;
        let times = match when {
            When::Instant(at) => Times::Instant(at),
            When::Range { start, end, step } => Times::Range { start, end, step },
        };
        let query = Query { text, expr: &expr, times };
        let answer = query
            .evaluate(&self.0, &Options::default(), &Interrupt::default())
            .map_err(|error| error.to_string())?;
        let metric = |metric: &gaugecast::query::eval::Metric| -> Metric {
            metric.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let output = match answer.output {
            Output::Scalar(_, value) => promqltest::Output::Scalar(value),
            Output::Text(_, text) => promqltest::Output::Text(text),
            Output::Vector(_, series) => {
                promqltest::Output::Vector(series.iter().map(|(m, value)| (metric(m), *value)).collect())
            }
            Output::Matrix(series) => promqltest::Output::Matrix(
                series.iter().map(|(m, samples)| (metric(m), samples.clone())).collect(),
            ),
        };
        Ok(Answer { output, warnings: answer.warnings, infos: answer.infos })
    }
}

#[test]
fn our_own_scripts_are_right() {
    let reports = run_folder(Path::new("tests/promql"), &mut Direct::default());
    let wrong: Vec<&String> = reports.iter().flat_map(|report| &report.wrong).collect();
    assert!(!reports.is_empty());
    assert!(wrong.is_empty(), "{}", table(&reports));
}

#[test]
fn every_float_case_of_prometheus_own_scripts_is_right() {
    let folder = Path::new("../shared/promqltest");
    let folder = std::env::var_os("PROMQLTEST").map_or(folder.to_path_buf(), Into::into);
    if !folder.is_dir() {
        println!("skipped: Prometheus' scripts are not in {}", folder.display());
        return;
    }
    let reports = run_folder(&folder, &mut Direct::default());
    println!("{}", table(&reports));
    if std::env::var_os("PROMQLTEST_NATIVE").is_some() {
        reports.iter().flat_map(|report| &report.wrong_native).for_each(|wrong| println!("{wrong}"));
    }
    assert!(reports.iter().all(|report| report.wrong.is_empty()), "see the list above");
}

#[test]
fn the_runner_finds_what_is_wrong() {
    let script = "load 1m\n  up 1 2 3\n\n";
    for (case, right) in [
        ("eval instant at 1m up\n  up 2\n", true),
        ("eval instant at 1m up\n  up 3\n", false),
        ("eval instant at 1m up\n  {} 2\n", false),
        ("eval instant at 1m up\n", false),
        ("eval instant at 1m down\n  down 1\n", false),
        ("eval range from 0 to 2m step 1m up\n  up 1 2 3\n", true),
        ("eval range from 0 to 2m step 1m up\n  up 1 _ 3\n", false),
        ("eval instant at 1m up\n  expect fail\n", false),
        ("eval instant at 1m up +\n  expect fail msg: other\n", false),
        ("eval instant at 1m 1\n  1\n", true),
        ("eval instant at 1m 1\n  2\n", false),
        ("eval instant at 1m rate(up[2m])\n  expect no_info\n  {} 0.016666666\n", false),
        ("eval instant at 1m rate(up[2m])\n  expect warn\n  {} 0.016666666\n", false),
        ("eval instant at 1m \"a\"\n  expect string \"b\"\n", false),
    ] {
        let report = run_text("runner", &format!("{script}{case}"), &mut Direct::default());
        assert_eq!(report.floats, (usize::from(right), 1), "{case}{:?}", report.wrong);
    }
}
