//! The history at 10,000 series: appending a tick, bytes a sample, selecting and decoding. On generated series (counters,
//! gauges, series that stand still) and on those of this host, recorded for some seconds. The targets: a batch of 10,000
//! in 1 ms, 3 bytes a sample, 3.5 with the index. `cargo bench --bench history`.

#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::ticker::Ticker;
use gaugecast::collect::{Config as Collect, catalog};
use gaugecast::history::{Config, History, Write};
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Selector, Table};

type Error = Box<dyn std::error::Error>;

const SERIES: u32 = 10_000;
const TICKS: u32 = 3600;
const T0: i64 = 1_700_000_000_000;

/// Resident memory of this process in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(f64::NAN) * 4096.0
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(below)).unwrap_or(0)
    }
}

/// The values of the generated series: what hosts and services show.
struct Values {
    dice: Dice,
    values: Vec<f64>,
}

impl Values {
    fn new() -> Self {
        let mut dice = Dice(42);
        let values = (0..SERIES).map(|_| f64::from(dice.roll(1_000_000))).collect();
        Values { dice, values }
    }

    fn step(&mut self) {
        for (i, value) in self.values.iter_mut().enumerate() {
            let dice = &mut self.dice;
            match i % 10 {
                // Counts of requests and buckets, bytes, seconds of processor time in hundredths.
                0..3 => *value += f64::from(dice.roll(20)),
                3 => *value += f64::from(dice.roll(100_000)),
                4 => *value = (*value * 100.0 + f64::from(dice.roll(100))).round() / 100.0,
                // Gauges: a number of things, bytes in pages.
                5 => *value = (*value + f64::from(dice.roll(7)) - 3.0).max(0.0),
                6 => *value += (f64::from(dice.roll(101)) - 50.0) * 4096.0,
                // What rarely changes, and what never does.
                7 => *value += f64::from(u8::from(dice.roll(20) == 0)),
                _ => {}
            }
        }
    }
}

fn percentiles(times: &mut [f64]) -> (f64, f64, f64) {
    times.sort_unstable_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1])
}

fn unlimited() -> Config {
    Config { max_size: 4 << 30, ..Config::default() }
}

fn generated() -> Result<(), Error> {
    let mut table = Table::new(Epoch(1), 100_000);
    let source = table.add_source("bench", Scope::Own);
    let meta = Arc::new(FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "".into(), unit: "".into() });
    let slots = (0..SERIES).map(|i| {
        let labels = [
            ("handler", format!("/api/v1/path/{}", i % 50)),
            ("instance", format!("host-{}.example.net:9100", i / 1000)),
            ("job", format!("job-{}", i % 10)),
            ("shard", format!("{}", i / 50 % 20)),
        ];
        table.series(source, &meta, Role::Value, "m", &labels)
    });
    let slots = slots.collect::<Result<Vec<_>, _>>()?;
    let mut values = Values::new();
    let before = resident();
    let history = History::open(&unlimited(), &Registry::new(), T0)?;
    let mut times = Vec::new();
    let mut copied = Vec::new();
    for pass in 0..TICKS {
        values.step();
        slots.iter().zip(&values.values).for_each(|(slot, value)| table.set(*slot, *value, NO_TIME));
        // A timer of whole milliseconds is late by 0 to 2 of them.
        let late = i64::from(values.dice.roll(3));
        let unix_ms = T0 + i64::from(pass) * 1000 + late;
        let tick = table.commit(Moment { since_start: Duration::from_secs(u64::from(pass)), unix_ms }, 0);
        // Each hundredth tick a reader has everything, so that all open chunks must be copied.
        let held = (pass % 100 == 99).then(|| select(&history, "m", i64::MIN, i64::MAX));
        let start = Instant::now();
        let appended = history.append_tick(&tick);
        let took = start.elapsed().as_secs_f64() * 1e3;
        if held.is_some() {
            copied.push(took)
        } else {
            times.push(took)
        }
        assert_eq!(appended.taken, SERIES as usize);
    }
    let (stats, grown) = (history.stats(), resident() - before);
    let samples = stats.samples as f64;
    let (median, p99, max) = percentiles(&mut times);
    println!("{SERIES} generated series, {TICKS} ticks of 1 s, 0 to 2 ms late");
    println!("  append a tick           median {median:.3} ms, p99 {p99:.3}, max {max:.3} (target: 1 ms)");
    println!("  while a reader has all  median {:.3} ms", percentiles(&mut copied).0);
    println!("  counted                 {:.3} bytes a sample, index included", stats.bytes as f64 / samples);
    println!("  resident                {:.3} bytes a sample, index included (target: 3.5)", grown / samples);
    println!("  chunks                  {:.0} samples each", samples / stats.chunks as f64);
    let now = T0 + i64::from(TICKS) * 1000;
    reading(&history, "m", now);
    reading(&history, "m{job=\"job-3\",handler=~\"/api/v1/path/[0-9]\"}", now);

    let mut times = Vec::new();
    for pass in 0..100 {
        let sample = |i: u32| vec![(now + 1000 + i64::from(pass) * 1000, f64::from(i))];
        let writes: Vec<Write> = (0..SERIES)
            .map(|i| {
                let labels =
                    [("__name__", "pushed".to_owned()), ("n", i.to_string()), ("job", "p".to_owned())];
                let labels = labels.map(|(name, value)| (name.to_owned(), value)).to_vec();
                Write { labels, samples: sample(i) }
            })
            .collect();
        let start = Instant::now();
        black_box(history.append(&writes, now));
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("  push of {SERIES} series     median {:.3} ms", percentiles(&mut times[1..]).0);
    Ok(())
}

fn select(history: &History, selector: &str, start: i64, end: i64) -> Vec<gaugecast::history::SeriesRef> {
    let selector = Selector::parse(selector).expect("a selector");
    history.select(selector.matchers(), start, end, usize::MAX)
}

fn reading(history: &History, selector: &str, now: i64) {
    for (what, start) in [("1 min", now - 60_000), ("1 h", i64::MIN)] {
        let (mut find, mut decode, mut read, mut found) = (Vec::new(), Vec::new(), 0u64, 0);
        for _ in 0..5 {
            let begin = Instant::now();
            let series = select(history, selector, start, now);
            find.push(begin.elapsed().as_secs_f64() * 1e3);
            (read, found) = (0, series.len());
            let begin = Instant::now();
            let mut sum = 0.0;
            for one in &series {
                one.for_each(start, now, |_, value| {
                    read += 1;
                    sum += value;
                });
            }
            black_box(sum);
            decode.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        let (find, decode) = (percentiles(&mut find).0, percentiles(&mut decode).0);
        let each = decode * 1e6 / read as f64;
        println!(
            "  {what:>5} of {found:>5} series   select {find:.3} ms, decode {read} samples {decode:.2} ms ({each:.1} ns)"
        );
    }
}

/// What this host really shows.
async fn recorded() -> Result<(), Error> {
    let config = Collect { tick: Duration::from_millis(50), ..Collect::default() };
    let collectors = catalog::collectors(&config)?;
    let ticker =
        Ticker::start(config, collectors, Vec::new(), Registry::new(), Epoch(1), Clock::start()).await?;
    let mut ticks = ticker.ticks().subscribe();
    let history = History::open(&unlimited(), &Registry::new(), T0)?;
    for _ in 0..600 {
        ticks.changed().await?;
        let tick = Arc::clone(&ticks.borrow_and_update());
        history.append_tick(&tick);
    }
    ticker.stop().await;
    let stats = history.stats();
    println!("{} series of this host, 600 ticks of 50 ms", stats.series);
    println!(
        "  counted                 {:.3} bytes a sample, index included",
        stats.bytes as f64 / stats.samples as f64
    );
    Ok(())
}

fn main() -> Result<(), Error> {
    generated()?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(recorded())
}
