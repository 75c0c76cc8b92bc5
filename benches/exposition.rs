//! Speed of reading and writing expositions: nanoseconds a series, beside prometheus-client's own encoder and a bare
//! copy of the bytes, in the same run. `cargo bench --bench exposition`.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use gaugecast::clock::Moment;
use gaugecast::exposition::parse::Format;
use gaugecast::exposition::read::Reader;
use gaugecast::exposition::{Encoder, Escaping, Expositions, Filter, TextFormat, json, protobuf};
use gaugecast::series::{Epoch, Scope, Table, Tick};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Series a family.
const SERIES: usize = 20;

/// What a series is worth: half whole numbers, half with a fraction of up to six digits.
fn value(series: usize, pass: usize) -> f64 {
    let number = (series * 7919 + pass * 104_729) % 1_000_000_007;
    if series.is_multiple_of(2) { number as f64 } else { number as f64 / 1e6 }
}

fn family(i: usize) -> String {
    format!("service_requests_of_kind_{:04}_seconds", i / SERIES)
}

fn labels(i: usize) -> [(&'static str, String); 3] {
    let within = i % SERIES;
    let path = format!("/api/v1/items/{within:03}");
    [("instance", format!("host-{:02}", within % 10)), ("method", "GET".into()), ("path", path)]
}

/// The lines of a page; those of a family turned around by `turn`.
fn page(count: usize, pass: usize, turn: usize) -> String {
    let mut out = String::new();
    for at in 0..count {
        let first = at - at % SERIES;
        // 7 has no factor in common with 20, so each series comes once.
        let i = if turn == 0 { at } else { first + (at * 7 + turn) % SERIES };
        if at % SERIES == 0 {
            writeln!(out, "# HELP {0} Time of requests\n# TYPE {0} gauge", family(i)).unwrap();
        }
        let [a, b, c] = labels(i);
        let name = family(i);
        writeln!(
            out,
            "{name}{{{}=\"{}\",{}=\"{}\",{}=\"{}\"}} {}",
            a.0,
            a.1,
            b.0,
            b.1,
            c.0,
            c.1,
            value(i, pass)
        )
        .unwrap();
    }
    out
}

fn tick(
    table: &mut Table,
    reader: &mut Reader,
    source: gaugecast::series::SourceId,
    page: &str,
) -> Arc<Tick> {
    table.apply(source, &reader.read(page.as_bytes(), Format::Text).unwrap());
    table.commit(Moment { since_start: Duration::ZERO, unix_ms: 1_700_000_000_000 }, 0)
}

fn ticks(count: usize) -> [Arc<Tick>; 2] {
    let mut table = Table::new(Epoch(1), count);
    let (source, mut reader) = (table.add_source("bench", Scope::Own), Reader::new());
    [0, 1].map(|pass| tick(&mut table, &mut reader, source, &page(count, pass, 0)))
}

/// The fastest of several runs, in nanoseconds: what the work costs when nothing disturbs it.
fn best(mut run: impl FnMut(usize)) -> f64 {
    let mut best = f64::INFINITY;
    let started = Instant::now();
    let mut pass = 0;
    while pass < 10 || (started.elapsed() < Duration::from_millis(600) && pass < 2000) {
        let start = Instant::now();
        run(pass);
        best = best.min(start.elapsed().as_nanos() as f64);
        pass += 1;
    }
    best
}

fn row(name: &str, series: usize, ns: f64, peer: f64) {
    let (each, ratio) = (ns / series as f64, ns / peer);
    println!("{name:<44} {series:>7} {each:>9.1} {:>9.3} {ratio:>9.2}", ns / 1e6);
}

fn peer(count: usize) -> Registry {
    let mut registry = Registry::default();
    for first in (0..count).step_by(SERIES) {
        let gauges: Family<Vec<(&'static str, String)>, Gauge<f64, AtomicU64>> = Family::default();
        for i in first..(first + SERIES).min(count) {
            gauges.get_or_create(&labels(i).to_vec()).set(value(i, 0));
        }
        registry.register(family(first), "Time of requests", gauges);
    }
    registry
}

fn main() {
    println!("{:<44} {:>7} {:>9} {:>9} {:>9}", "", "series", "ns each", "ms", "x peer");
    for count in [10_000, 100_000] {
        let pages: Vec<_> = (0..4).map(|pass| page(count, pass, 0)).collect();
        let moved: Vec<_> = (0..4).map(|pass| page(count, pass, 1 + pass * 3)).collect();
        let [one, two] = ticks(count);
        let size = pages[0].len();
        println!("-- {} bytes of text, {:.0} a series", size, size as f64 / count as f64);

        let bytes = pages[0].as_bytes();
        let copy = best(|_| drop(black_box(bytes.to_vec())));
        row("floor: copy of the page", count, copy, copy);

        let registry = peer(count);
        // Into memory that is used again, as ours.
        let mut out = String::with_capacity(size);
        let theirs = best(|_| {
            out.clear();
            prometheus_client::encoding::text::encode(&mut out, &registry).unwrap();
            black_box(out.len());
        });
        row("peer: prometheus-client's text encoder", count, theirs, theirs);

        let mut reader = Reader::new();
        let read = |reader: &mut Reader, page: &str| {
            black_box(reader.read(page.as_bytes(), Format::Text).unwrap().samples().len());
        };
        let mut first = Vec::new();
        for _ in 0..5 {
            let (mut fresh, start) = (Reader::new(), Instant::now());
            read(&mut fresh, &pages[0]);
            first.push(start.elapsed().as_nanos() as f64);
        }
        row("parse, never seen", count, first.into_iter().fold(f64::INFINITY, f64::min), theirs);
        row("parse, predicted", count, best(|pass| read(&mut reader, &pages[pass % 4])), theirs);
        row("parse, moved about", count, best(|pass| read(&mut reader, &moved[pass % 4])), theirs);

        let both = |pass: usize| if pass.is_multiple_of(2) { &one } else { &two };
        for (name, format) in [("text 0.0.4", TextFormat::Text), ("OpenMetrics", TextFormat::OpenMetrics)] {
            let mut encoder = Encoder::new(format, Escaping::Underscores);
            let mut out = Vec::new();
            let ns = best(|pass| encoder.encode_into(black_box(both(pass)), &one.schema.families, &mut out));
            row(name, count, ns, theirs);
        }
        let ns = best(|pass| {
            drop(black_box(protobuf::encode(both(pass), &one.schema.families, Escaping::Underscores)))
        });
        row("protobuf", count, ns, theirs);
        let ns = best(|pass| drop(black_box(json::encode(both(pass), &one.schema.families, false))));
        row("JSON", count, ns, theirs);

        let expositions = Expositions::new();
        let filter = Filter::default();
        let answer =
            |pass: usize, encoding| drop(black_box(expositions.answer(both(pass), None, encoding, &filter)));
        // Always the older tick first, so that each answer is made anew.
        let fresh = best(|_| drop(black_box(Expositions::new().answer(&two, None, Some("gzip"), &filter))));
        row("text and gzip, laid out anew", count, fresh, theirs);
        answer(1, Some("gzip"));
        row("the same again in that tick", count, best(|_| answer(1, Some("gzip"))), theirs);
    }
}
