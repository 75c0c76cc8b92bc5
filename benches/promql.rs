//! PromQL over samples in memory: 10,000 series of which each has a value a second, in 100 jobs.
//!
//! What is measured is parsing and evaluating, with the reading of samples that lie uncompressed in memory.
//! `cargo bench --bench promql`.

#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gaugecast::query::eval::{Answer, Interrupt, Options, Output, Query, Times};
use gaugecast::query::source::MemorySource;
use gaugecast::query::{Labels, Sample, promql};

type Error = Box<dyn std::error::Error>;

const SERIES: u32 = 10_000;
/// The queries look at the last of these two hours.
const SECONDS: i64 = 120;
const END: i64 = 1_700_000_000_000;

/// Wide: 10,000 series of two minutes. Long: ten series of 70 minutes.
fn source() -> MemorySource {
    let mut source = MemorySource::default();
    let mut add = |name: &str, job: u32, instance: u32, seconds: i64| {
        let labels = Labels::new([
            ("__name__", name.to_owned()),
            ("env", "production".to_owned()),
            ("instance", format!("host-{instance}:9100")),
            ("job", format!("job-{job}")),
            ("region", format!("region-{}", job % 4)),
        ]);
        for second in 0..seconds {
            let v = f64::from(instance % 97) * f64::from(u32::try_from(second).unwrap_or(0)) + 0.5;
            source.add(&labels, Sample { t: END - (seconds - 1 - second) * 1000, v });
        }
    };
    for series in 0..SERIES {
        add("wide_total", series % 100, series, SECONDS);
    }
    for series in 0..10 {
        add("long_total", series % 2, series, 70 * 60);
    }
    for le in ["0.1", "0.5", "1", "5", "+Inf"] {
        let labels = Labels::new([("__name__", "wait_seconds_bucket"), ("le", le)]);
        for second in 0..70 * 60 {
            let v = le.parse::<f64>().unwrap_or(9.0).min(9.0) * f64::from(u32::try_from(second).unwrap_or(0));
            source.add(&labels, Sample { t: END - (70 * 60 - 1 - second) * 1000, v });
        }
    }
    source
}

fn ask(source: &MemorySource, text: &str, times: Times) -> Result<Answer, Error> {
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
    let source = source();
    let instant = Times::Instant(END);
    let hour = Times::Range { start: END - 3_599_000, end: END, step: 1000 };
    println!("{:<56}{:>10}{:>10}{:>10}", "query", "points", "median", "best");
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
        let mut taken: Vec<Duration> = Vec::new();
        let mut count = 0;
        while taken.len() < 30 {
            let start = Instant::now();
            let answer = ask(&source, text, times)?;
            black_box(&answer);
            taken.push(start.elapsed());
            count = points(&answer);
        }
        taken.sort();
        let ms = |taken: Duration| format!("{:.2} ms", taken.as_secs_f64() * 1000.0);
        println!("{text:<56}{count:>10}{:>10}{:>10}", ms(taken[taken.len() / 2]), ms(taken[0]));
    }
    Ok(())
}
