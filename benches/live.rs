//! Live PromQL: 100 distinct queries over 1000 series of a history at 1 Hz, each tick once with what is kept decoded
//! from the tick before, and once over the history itself. Both give the same bits, which is looked at.
//!
//! The series are 400 counters, 200 gauges and 400 buckets of 40 histograms; each query is over all of one of these kinds.
//! `cargo bench --bench live`.

#![allow(clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gaugecast::history::{Config, History, Write};
use gaugecast::query::Source;
use gaugecast::query::eval::{Interrupt, Options};
use gaugecast::query::live::{LiveQuery, Windows};
use gaugecast::registry::Registry;

type Error = Box<dyn std::error::Error>;

const T0: i64 = 1_700_000_000_000;
/// Seconds that are there before the first query, longer than any window.
const BEFORE: i64 = 330;
const TICKS: i64 = 30;

/// Ten forms, each with ten windows.
const FORMS: [&str; 10] = [
    "rate(requests_total[W])",
    "increase(requests_total[W])",
    "sum by (job) (rate(requests_total[W]))",
    "avg by (region) (rate(requests_total[W]))",
    "max by (job) (increase(requests_total[W]))",
    "avg_over_time(depth[W])",
    "max_over_time(depth[W])",
    "min by (job) (min_over_time(depth[W]))",
    "histogram_quantile(0.95, sum by (job, le) (rate(wait_seconds_bucket[W])))",
    "histogram_quantile(0.5, rate(wait_seconds_bucket[W]))",
];
const WINDOWS: [&str; 10] = ["10s", "15s", "20s", "30s", "40s", "45s", "1m", "90s", "2m", "5m"];

/// The labels of each series, and how its value grows.
fn series() -> Vec<(Vec<(String, String)>, f64)> {
    let mut all = Vec::new();
    let mut add = |name: &str, instance: u32, le: Option<&str>, slope: f64| {
        let pairs = [
            ("__name__", name.to_owned()),
            ("env", "production".to_owned()),
            ("instance", format!("host-{instance}:9100")),
            ("job", format!("job-{}", instance % 10)),
            ("region", format!("region-{}", instance % 4)),
        ];
        let pairs = pairs.into_iter().chain(le.map(|le| ("le", le.to_owned())));
        all.push((pairs.map(|(name, value)| (name.to_owned(), value)).collect(), slope));
    };
    for i in 0..400 {
        add("requests_total", i, None, f64::from(i % 97) + 0.5);
    }
    for i in 0..200 {
        add("depth", i, None, f64::from(i % 13) - 6.0);
    }
    for i in 0..40 {
        for (at, le) in
            ["0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"].iter().enumerate()
        {
            add("wait_seconds_bucket", i, Some(le), f64::from(u32::try_from(at).unwrap_or(0)) + 1.0);
        }
    }
    all
}

#[allow(clippy::cast_precision_loss)]
fn append(history: &History, series: &[(Vec<(String, String)>, f64)], second: i64) {
    let now = T0 + second * 1000;
    // Half of the values change at a tick.
    let value = |slope: f64| slope * (second / 2) as f64;
    let write = |(labels, slope): &(Vec<_>, f64)| Write {
        labels: labels.clone(),
        samples: vec![(now, value(*slope))],
    };
    history.append(&series.iter().map(write).collect::<Vec<_>>(), now);
}

type Answers = Vec<Vec<u64>>;

fn ask(queries: &[LiveQuery], source: &dyn Source, at: i64) -> Result<Answers, Error> {
    let (options, interrupt) = (Options::default(), Interrupt::default());
    let bits = |query: &LiveQuery| -> Result<Vec<u64>, Error> {
        let values = query.at(source, &options, at, &interrupt)?;
        Ok(values.iter().map(|(_, value)| value.to_bits()).collect())
    };
    queries.iter().map(bits).collect()
}

fn main() -> Result<(), Error> {
    let history = History::open(&Config::default(), &Registry::new(), T0)?;
    let series = series();
    (0..BEFORE).for_each(|second| append(&history, &series, second));
    let mut queries = Vec::new();
    for form in FORMS {
        for window in WINDOWS {
            queries.push(LiveQuery::parse(&form.replace('W', window))?);
        }
    }
    let windows = Windows::new(Arc::new(history.clone()));
    let (mut live, mut full) = (Vec::new(), Vec::new());
    for second in BEFORE..BEFORE + TICKS {
        append(&history, &series, second);
        let at = T0 + second * 1000;
        let begun = Instant::now();
        windows.advance(at);
        let answers = ask(&queries, &windows, at)?;
        live.push(begun.elapsed());
        let begun = Instant::now();
        let whole = ask(&queries, &history, at)?;
        full.push(begun.elapsed());
        if answers != whole {
            return Err(format!("another answer at tick {second}").into());
        }
    }
    live.remove(0); // decodes everything
    println!("{} queries, {} series, {} samples kept", queries.len(), series.len(), windows.samples());
    println!("{:<24}{:>14}{:>14}{:>18}", "a tick", "median", "most", "of a core at 1 Hz");
    for (name, mut times) in [("kept decoded", live), ("over the history", full)] {
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{name:<24}{:>14}{:>14}{:>16.1} %",
            millis(median),
            millis(most),
            median.as_secs_f64() * 100.0
        );
    }
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
