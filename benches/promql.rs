//! PromQL over 10,000 series of which each has a value a second, in 100 jobs: over the history, as gaugecast does it, and
//! over the same samples as they are in memory, which is what the evaluation costs without decompression.
//!
//! What is measured is parsing, selecting, decoding and evaluating. The targets: 20 ms for `rate` over 10,000 series and for the
//! sum of it by job, 2 ms for an hour at 1 s over ten series. `cargo bench --bench promql`.

#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gaugecast::history::{Config, History, Write};
use gaugecast::query::eval::{Answer, Interrupt, Options, Output, Query, Times};
use gaugecast::query::source::MemorySource;
use gaugecast::query::{Labels, Sample, Source, promql};
use gaugecast::registry::Registry;

type Error = Box<dyn std::error::Error>;

const SERIES: u32 = 10_000;
/// The queries look at the last of these two hours.
const SECONDS: i64 = 120;
const END: i64 = 1_700_000_000_000;

/// Wide: 10,000 series of two minutes. Long: ten series of 70 minutes.
fn series() -> Vec<(Labels, Vec<Sample>)> {
    let mut all = Vec::new();
    let long = 70 * 60;
    let mut add = |labels: Labels, seconds: i64, slope: f64| {
        let value = |second: i64| slope * f64::from(u32::try_from(second).unwrap_or(0)) + 0.5;
        // A timer of whole milliseconds is late by some of them.
        let time = |second: i64| END - (seconds - 1 - second) * 1000 + second * 7 % 3;
        all.push((labels, (0..seconds).map(|second| Sample { t: time(second), v: value(second) }).collect()));
    };
    let labels = |name: &str, job: u32, instance: u32| {
        Labels::new([
            ("__name__", name.to_owned()),
            ("env", "production".to_owned()),
            ("instance", format!("host-{instance}:9100")),
            ("job", format!("job-{job}")),
            ("region", format!("region-{}", job % 4)),
        ])
    };
    for series in 0..SERIES {
        add(labels("wide_total", series % 100, series), SECONDS, f64::from(series % 97));
    }
    for series in 0..10 {
        add(labels("long_total", series % 2, series), long, f64::from(series));
    }
    for le in ["0.1", "0.5", "1", "5", "+Inf"] {
        let slope = le.parse::<f64>().unwrap_or(9.0).min(9.0);
        add(Labels::new([("__name__", "wait_seconds_bucket"), ("le", le)]), long, slope);
    }
    all
}

/// As they are.
fn in_memory(series: &[(Labels, Vec<Sample>)]) -> MemorySource {
    let mut source = MemorySource::default();
    for (labels, samples) in series {
        samples.iter().for_each(|sample| source.add(labels, *sample));
    }
    source
}

/// As gaugecast keeps them, told second by second.
fn in_history(series: &[(Labels, Vec<Sample>)]) -> Result<History, Error> {
    let config = Config { max_size: 1 << 30, retention: Duration::from_secs(7200), ..Config::default() };
    let history = History::open(&config, &Registry::new(), END)?;
    let labels =
        |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut writes: Vec<Write> =
        series.iter().map(|(set, _)| Write { labels: labels(set), samples: Vec::new() }).collect();
    for second in (0..70 * 60).rev() {
        for (write, (_, samples)) in writes.iter_mut().zip(series) {
            let at = samples.len().checked_sub(second + 1);
            write.samples = at.map(|at| (samples[at].t, samples[at].v)).into_iter().collect();
        }
        let appended = history.append(&writes, END);
        assert_eq!(appended.refused(), 0);
    }
    Ok(history)
}

fn ask(source: &dyn Source, text: &str, times: Times) -> Result<Answer, Error> {
    let expr = promql::parse(text)?;
    let query = Query { text, expr: &expr, times };
    Ok(query.evaluate(source, &Options::default(), &Interrupt::default())?)
}

fn points(answer: &Answer) -> usize {
    match &answer.output {
        Output::Vector(_, series) => series.len(),
        Output::Matrix(series) => series.iter().map(|(_, samples)| samples.len()).sum(),
        _ => 1,
    }
}

fn main() -> Result<(), Error> {
    let series = series();
    let (memory, history) = (in_memory(&series), in_history(&series)?);
    let instant = Times::Instant(END + 10);
    let hour = Times::Range { start: END - 3_599_000, end: END, step: 1000 };
    println!("{:<56}{:>10}{:>22}{:>22}", "median, best of 30", "points", "history", "in memory");
    for (text, times) in [
        ("wide_total", instant),
        ("rate(wide_total[1m])", instant),
        ("sum by (job) (rate(wide_total[1m]))", instant),
        ("topk(5, rate(wide_total[1m]))", instant),
        ("wide_total / on (instance) wide_total", instant),
        ("long_total", hour),
        ("rate(long_total[1m])", hour),
        ("sum by (job) (rate(long_total[1m]))", hour),
        ("max_over_time(long_total[1m])", hour),
        ("avg_over_time(long_total[1m])", hour),
        ("histogram_quantile(0.9, rate(wait_seconds_bucket[1m]))", hour),
    ] {
        let mut line = String::new();
        let mut count = 0;
        for source in [&history as &dyn Source, &memory] {
            let mut taken: Vec<Duration> = Vec::new();
            while taken.len() < 30 {
                let start = Instant::now();
                let answer = ask(source, text, times)?;
                black_box(&answer);
                taken.push(start.elapsed());
                count = points(&answer);
            }
            taken.sort();
            let ms = |taken: Duration| taken.as_secs_f64() * 1000.0;
            line += &format!("{:>10.2}, {:>7.2} ms", ms(taken[taken.len() / 2]), ms(taken[0]));
        }
        println!("{text:<56}{count:>10}{line}");
    }
    Ok(())
}
