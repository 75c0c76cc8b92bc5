//! PromQL against scripts: our own in `promql/`, and Prometheus' where they are at hand.
//!
//! The evaluator is asked directly over samples in memory; over the history by the functions of the HTTP API; and the program
//! itself, loaded by remote write and asked over HTTP. So what stands between a sample that comes and an answer that goes is
//! tried by the same scripts. `PROMQLTEST=FOLDER cargo test --test promql prometheus_own -- --nocapture` runs those of any folder.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use gaugecast::history::{self, History, Write};
use gaugecast::query::eval::{Interrupt, Options, Output, Query, Times};
use gaugecast::query::http::{self, Params, Request};
use gaugecast::query::source::MemorySource;
use gaugecast::query::{Labels, Sample, promql};
use gaugecast::registry::Registry;

mod promqltest;
mod written;

use promqltest::http::Http;
use promqltest::{Answer, Engine, Metric, When, api, run_folder, run_text, table};

/// The evaluator over samples in memory.
#[derive(Debug, Default)]
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

/// The answers of the HTTP API over the history.
struct OverHistory(History);

impl Default for OverHistory {
    fn default() -> Self {
        let config = history::Config { retention: Duration::MAX, ..history::Config::default() };
        OverHistory(History::open(&config, &Registry::new(), 0).unwrap())
    }
}

impl Engine for OverHistory {
    fn clear(&mut self) {
        *self = OverHistory::default();
    }

    fn load(&mut self, series: Vec<(Metric, Vec<Sample>)>) {
        let write = |(metric, samples): (Metric, Vec<Sample>)| Write {
            labels: metric.into_iter().collect(),
            samples: samples.into_iter().map(|sample| (sample.t, sample.v)).collect(),
        };
        // For the history the first of two would count.
        let series = api::last_of_each(series);
        let writes: Vec<Write> = series.into_iter().map(write).collect();
        // Nothing in the scripts is later.
        let appended = self.0.append(&writes, 100_000_000_000_000);
        assert_eq!(appended.refused(), 0, "{appended:?}");
    }

    fn query(&mut self, text: &str, when: When) -> Result<Answer, String> {
        let (params, options) = (Params(api::params(text, when)), Options::default());
        let (source, interrupt) = (&self.0, &Interrupt::default());
        let request = Request { params: &params, source, options: &options, interrupt, now: 0 };
        let reply = match when {
            When::Instant(_) => http::query(&request),
            When::Range { .. } => http::query_range(&request),
        };
        api::answer(reply.status, &reply.body)
    }
}

#[test]
fn our_own_scripts_are_right_over_the_history_too() {
    let reports = run_folder(Path::new("tests/promql"), &mut OverHistory::default());
    assert!(!reports.is_empty());
    assert!(reports.iter().all(|report| report.wrong.is_empty()), "{}", table(&reports));
}

#[test]
fn our_own_scripts_are_right() {
    let reports = run_folder(Path::new("tests/promql"), &mut Direct::default());
    let wrong: Vec<&String> = reports.iter().flat_map(|report| &report.wrong).collect();
    assert!(!reports.is_empty());
    assert!(wrong.is_empty(), "{}", table(&reports));
}

#[test]
fn our_own_scripts_are_right_over_http_too() {
    let reports = run_folder(Path::new("tests/promql"), &mut Http::default());
    assert!(!reports.is_empty());
    assert!(reports.iter().all(|report| report.wrong.is_empty()), "{}", table(&reports));
}

#[allow(clippy::print_stdout, reason = "a table for whoever runs scripts of their own")]
/// Runs Prometheus' own scripts, or those of the folder that `PROMQLTEST` names.
fn run_theirs(engine: &mut dyn Engine, over: &str) {
    let folder = Path::new("../shared/promqltest");
    let folder = std::env::var_os("PROMQLTEST").map_or(folder.to_path_buf(), Into::into);
    if !folder.is_dir() {
        println!("skipped: Prometheus' scripts are not in {}", folder.display());
        return;
    }
    let reports = run_folder(&folder, engine);
    println!("over {over}\n{}", table(&reports));
    if std::env::var_os("PROMQLTEST_NATIVE").is_some() {
        reports.iter().flat_map(|report| &report.wrong_native).for_each(|wrong| println!("{wrong}"));
    }
    assert!(reports.iter().all(|report| report.wrong.is_empty()), "see the list above");
}

#[test]
fn every_float_case_of_prometheus_own_scripts_is_right() {
    run_theirs(&mut Direct::default(), "samples in memory");
}

#[test]
fn every_float_case_of_prometheus_own_scripts_is_right_over_the_history() {
    run_theirs(&mut OverHistory::default(), "the history");
}

#[test]
fn every_float_case_of_prometheus_own_scripts_is_right_over_http() {
    run_theirs(&mut Http::default(), "remote write and HTTP");
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

/// Expressions over the series of [`any_source`].
fn expression() -> impl Strategy<Value = String> {
    let selector = prop::sample::select(vec![
        "a",
        "b",
        "a{i!=\"1\"}",
        "{__name__=~\"a|b\"}",
        "a offset 7s",
        "b @ 20",
        "a offset -5s",
        "b @ end()",
    ]);
    let over_time = prop::sample::select(vec![
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "deriv",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "stddev_over_time",
        "last_over_time",
        "first_over_time",
        "changes",
        "resets",
        "mad_over_time",
        "present_over_time",
        "absent_over_time",
    ]);
    let shift = prop::sample::select(vec!["", " offset 5s", " @ 30", " @ start()"]);
    let leaf = selector.prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let one =
            prop::sample::select(vec!["abs", "-", "timestamp", "absent", "sgn", "vector(1) or ", "hour"]);
        let fold = prop::sample::select(vec![
            "sum",
            "avg by (i)",
            "max",
            "count without (i)",
            "topk(2, ",
            "quantile by (j) (0.3, ",
            "stddev",
            "count_values(\"v\", ",
        ]);
        let op = prop::sample::select(vec![
            " + ",
            " / on (i) ",
            " and ",
            " or ",
            " unless on (i) ",
            " > ",
            " == bool ",
            " - on (i) group_left () ",
        ]);
        prop_oneof![
            (over_time.clone(), inner.clone(), 1..40i64, shift.clone())
                .prop_map(|(f, of, range, shift)| format!("{f}(({of})[{range}s:3s]{shift})")),
            (over_time.clone(), prop::sample::select(vec!["a", "b", "{i=\"1\"}"]), 1..40i64, shift.clone())
                .prop_map(|(f, of, range, shift)| format!("{f}({of}[{range}s]{shift})")),
            (one, inner.clone()).prop_map(|(f, of)| format!("{f}({of})")),
            (fold, inner.clone()).prop_map(|(f, of)| if f.ends_with(", ") {
                format!("{f}{of})")
            } else {
                format!("{f} ({of})")
            }),
            (inner.clone(), op, inner).prop_map(|(l, op, r)| format!("({l}){op}({r})")),
        ]
    })
}

/// Series with gaps, resets, NaN and stale markers.
fn any_source() -> impl Strategy<Value = Direct> {
    let value = prop_oneof![
        8 => (0..50i32).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(gaugecast::query::source::stale()),
        1 => Just(f64::INFINITY),
    ];
    let samples = prop::collection::btree_map(0..60i64, value, 0..25);
    prop::collection::vec(samples, 6).prop_map(|all| {
        let mut source = Direct::default();
        for (number, samples) in all.into_iter().enumerate() {
            let (name, i) = (if number < 3 { "a" } else { "b" }, (number % 3).to_string());
            let labels = Labels::new([("__name__", name), ("i", &i), ("j", "x")]);
            samples.into_iter().for_each(|(s, v)| source.0.add(&labels, Sample { t: s * 1000 + 250, v }));
        }
        source
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The evaluator's way over all steps at once gives what one step after the other gives.
    #[test]
    fn a_range_query_answers_as_instant_queries_do(
        mut source in any_source(),
        text in expression(),
        start in 0..40_000i64,
        step in 500..9000i64,
    ) {
        // These look at the bounds of the query, which differ.
        prop_assume!(!text.contains("start()") && !text.contains("end()"));
        let end = start + 20_000;
        let ranged = source.query(&text, When::Range { start, end, step });
        let mut found = std::collections::BTreeMap::new();
        let mut failed = None;
        for at in (start..=end).step_by(usize::try_from(step).unwrap()) {
            match source.query(&text, When::Instant(at)) {
                Ok(Answer { output: promqltest::Output::Vector(series), .. }) => {
                    found.extend(series.into_iter().map(|(metric, v)| ((metric, at), v.to_bits())));
                }
                Ok(other) => panic!("{text}: {other:?}"),
                Err(error) => failed = Some(error),
            }
        }
        match (ranged, failed) {
            (Err(_), Some(_)) => {}
            (Ok(Answer { output: promqltest::Output::Matrix(series), .. }), None) => {
                let ranged: std::collections::BTreeMap<_, _> = series
                    .into_iter()
                    .flat_map(|(metric, samples)| {
                        samples.into_iter().map(move |sample| ((metric.clone(), sample.t), sample.v.to_bits()))
                    })
                    .collect();
                prop_assert_eq!(ranged, found, "{}", text);
            }
            (ranged, failed) => panic!("{text}: {ranged:?}, {failed:?}"),
        }
    }
}
