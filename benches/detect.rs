//! Detectors: time a value and memory a series, and how often the default settings raise a false alarm.
//!
//! The first table is over a noisy daily cycle, beside a floor: the same loop with a detector that does nothing. The second is over
//! synthetic series with one value a second in which nothing happens: a day each, of five seeds, and counts episodes (rows
//! at which the score reaches 1), in the first hour and an hour on average afterwards.
//! `cargo bench --bench detect`; `-- false-alarms` or `-- time` for one of them.

#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use gaugecast::detect::{Detector, Kind, Spec, Verdict};

const SEEDS: u64 = 5;
const HOUR: usize = 3_600;
const DAY: usize = 24 * HOUR;

/// What is measured: each kind with its defaults, and the presets that differ.
const SPECS: [(&str, &[(&str, &str)]); 8] = [
    ("novelty", &[]),
    ("novelty", &[("threshold", "quiet")]),
    ("zscore", &[]),
    ("zscore", &[("preset", "classic")]),
    ("mad", &[]),
    ("ewma", &[]),
    ("seasonal", &[]),
    ("rate", &[]),
];

/// Numbers from 0 to 1 (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// A series by its name, and what makes its value of a second.
type Series = (&'static str, fn(&mut Random, usize, &mut f64) -> f64);

/// Quiet and noisy ones, all without an event.
const SERIES: [Series; 8] = [
    ("constant", |_, _, _| 20.0),
    ("constant, float noise", |random, _, _| 20.0 * (1.0 + 1e-15 * random.next())),
    ("white noise", |random, _, _| 100.0 + 10.0 * random.normal()),
    ("few values", |random, _, _| (4.0 * random.next()).floor()),
    ("random walk", |random, _, state| {
        *state += random.normal();
        1_000.0 + *state
    }),
    ("daily cycle", |random, i, _| {
        100.0 + 50.0 * (i as f64 * std::f64::consts::TAU / DAY as f64).sin() + 5.0 * random.normal()
    }),
    // Latencies: log-normal, the 99th percentile ten times the median.
    ("heavy tail", |random, _, _| 10.0 * random.normal().exp()),
    // One row of 200 is a burst.
    ("sparse spikes", |random, _, _| {
        let burst = if random.next() < 0.005 { 80.0 } else { 0.0 };
        10.0 + random.normal() + burst * random.next()
    }),
];

#[derive(Debug)]
struct Nothing;

impl Detector for Nothing {
    fn observe(&mut self, _: i64, value: f64) -> Verdict {
        Verdict { score: value, ..Verdict::UNKNOWN }
    }

    fn memory(&self) -> usize {
        0
    }
}

fn spec((name, params): &(&str, &[(&str, &str)])) -> (String, Spec) {
    let spec = Spec::parse(name, params.iter().copied()).expect("the table above is valid");
    (spec.to_string(), spec)
}

/// Nanoseconds a value: the fastest thousand of many, since others disturb and never help.
fn time(mut detector: Box<dyn Detector>, values: &[f64]) -> f64 {
    let mut t_ms = 0;
    let mut thousand = |values: &[f64]| {
        let begin = Instant::now();
        for value in values {
            t_ms += 60_000;
            black_box(detector.observe(black_box(t_ms), black_box(*value)));
        }
        begin.elapsed().as_nanos() as f64 / values.len() as f64
    };
    // All pass once before they count: tables and windows are full then.
    values.chunks(1_000).for_each(|values| _ = thousand(values));
    (0..4).flat_map(|_| values.chunks(1_000)).map(thousand).fold(f64::INFINITY, f64::min)
}

fn times() {
    let mut random = Random(7);
    let cycle = |i: usize| 100.0 + 50.0 * (i as f64 * std::f64::consts::TAU / 1_440.0).sin();
    let values: Vec<f64> = (0..50_000).map(|i| cycle(i) + 5.0 * random.normal()).collect();
    println!("| detector | ns a value | bytes a series |\n| --- | --- | --- |");
    println!("| (floor: none) | {:.0} | 0 |", time(Box::new(Nothing), &values));
    let kinds = Kind::ALL.iter().map(|kind| (kind.name(), &[][..]));
    for case in kinds.chain([("novelty", &[("texture", "off")][..])]) {
        let (name, spec) = spec(&case);
        println!("| {name} | {:.0} | {} |", time(spec.build(), &values), spec.build().memory());
    }
}

/// Episodes in the first hour, and afterwards.
fn episodes(detector: &mut dyn Detector, series: &Series, seed: u64) -> (usize, usize) {
    let (mut random, mut state) = (Random(seed * 0x9E37_79B9_7F4A_7C15), 0.0);
    let (mut first, mut later, mut inside) = (0, 0, false);
    for i in 0..DAY {
        let value = (series.1)(&mut random, i, &mut state);
        let beyond = detector.observe(i as i64 * 1_000, value).score >= 1.0;
        if beyond && !inside {
            *(if i < HOUR { &mut first } else { &mut later }) += 1;
        }
        inside = beyond;
    }
    (first, later)
}

fn false_alarms() {
    let specs: Vec<(String, Spec)> = SPECS.iter().map(spec).collect();
    let names: Vec<&str> = specs.iter().map(|(name, _)| name.as_str()).collect();
    println!("\nFalse alarms: in the first hour / an hour afterwards, mean of {SEEDS} seeds\n");
    println!("| series | {} |\n| --- |{}", names.join(" | "), " --- |".repeat(names.len()));
    for series in &SERIES {
        let cells = specs.iter().map(|(_, spec)| {
            let all = (1..=SEEDS).map(|seed| episodes(&mut *spec.build(), series, seed));
            let (first, later) = all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let (first, later) = (first as f64 / SEEDS as f64, later as f64 / SEEDS as f64 / 23.0);
            format!("{first:.1} / {later:.2}")
        });
        println!("| {} | {} |", series.0, cells.collect::<Vec<_>>().join(" | "));
    }
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|arg| arg == part);
    if wanted("time") {
        times();
    }
    if wanted("false-alarms") {
        false_alarms();
    }
}
