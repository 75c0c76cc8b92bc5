//! Recording through a kept handle against prometheus-client's own, and writing a page of 10,000 series.
//!
//! Both sides run in the same process, in turns; each figure is the best of many rounds, so that other load on the
//! machine counts least.
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gaugecast::registry::prometheus_client::encoding::text::encode;
use gaugecast::registry::prometheus_client::metrics::family::Family as ClientFamily;
use gaugecast::registry::prometheus_client::metrics::{counter, gauge, histogram};
use gaugecast::registry::prometheus_client::registry::Registry as ClientRegistry;
use gaugecast::registry::{Buckets, Counter, Family, Gauge, Quantiles, Registry};

type Labels = [(&'static str, u32); 2];

const ROUNDS: usize = 50;
const SERIES: u32 = 10_000;

/// Nanoseconds a call, best of [`ROUNDS`] of `calls`.
fn best(times: &mut f64, calls: u32, mut call: impl FnMut(u32)) {
    let start = Instant::now();
    for i in 0..calls {
        call(black_box(i));
    }
    *times = times.min(nanoseconds(start.elapsed()) / f64::from(calls));
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Runs both sides in turns and prints them.
fn compare(what: &str, calls: u32, mut ours: impl FnMut(u32), mut theirs: impl FnMut(u32)) {
    let (mut own, mut other) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        best(&mut own, calls, &mut ours);
        best(&mut other, calls, &mut theirs);
    }
    let ratio = own / other;
    println!("{what:<28} {own:>10.2} ns   prometheus-client {other:>10.2} ns   ratio {ratio:>5.2}");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

    let family: Family<Labels, Counter> = registry.family(("calls", "Calls"), ())?;
    let ours = family.get(&[("a", 1), ("b", 2)]);
    let client_family = ClientFamily::<Labels, counter::Counter>::default();
    let theirs = client_family.get_or_create_owned(&[("a", 1), ("b", 2)]);
    compare(
        "counter, kept handle",
        100_000,
        |_| ours.inc(),
        |_| {
            theirs.inc();
        },
    );
    compare(
        "counter, by label set",
        100_000,
        |_| family.get(&[("a", 1), ("b", 2)]).inc(),
        |_| {
            client_family.get_or_create(&[("a", 1), ("b", 2)]).inc();
        },
    );

    let ours = registry.gauge(("level", "Level"))?;
    let theirs: gauge::Gauge = gauge::Gauge::default();
    compare(
        "gauge",
        100_000,
        |i| ours.set(i64::from(i)),
        |i| {
            theirs.set(i64::from(i));
        },
    );

    let ours = registry.histogram(("wait_seconds", "Wait"), Buckets::classic(bounds)?)?;
    let theirs = histogram::Histogram::new(bounds);
    let value = |i: u32| f64::from(i % 128) * 0.03;
    compare("histogram, 11 buckets", 100_000, |i| ours.observe(value(i)), |i| theirs.observe(value(i)));

    let ours = registry.histogram(("size_bytes", "Size"), Buckets::native(1.1)?)?;
    let theirs =
        histogram::Histogram::new_native(histogram::NativeHistogramConfig::default().max_buckets(160));
    compare("histogram, native", 20_000, |i| ours.observe(value(i)), |i| theirs.observe(value(i)));

    let registry = Registry::new();
    let family: Family<Labels, Gauge> = registry.family(("page", "Series of a page"), ())?;
    let client_family = ClientFamily::<Labels, gauge::Gauge>::default();
    let raw = Registry::new();
    raw.register("page", "Series of a page", None, client_family.clone())?;
    let mut client = ClientRegistry::default();
    client.register("page", "Series of a page", client_family.clone());
    for i in 0..SERIES {
        let labels = [("shard", i % 16), ("instance", i)];
        family.get(&labels).set(i64::from(i) * 7);
        client_family.get_or_create(&labels).set(i64::from(i) * 7);
    }
    let (mut page, mut text) = (Vec::new(), String::new());
    compare(
        "page of 10,000 series",
        1,
        |_| {
            page.clear();
            registry.page(&mut page);
        },
        |_| {
            text.clear();
            encode(&mut text, &client).expect("gauges can be encoded");
        },
    );
    compare(
        "the same, raw and checked",
        1,
        |_| {
            page.clear();
            raw.page(&mut page);
        },
        |_| {
            text.clear();
            encode(&mut text, &client).expect("gauges can be encoded");
        },
    );

    let registry = Registry::new();
    let summary = registry.summary(("wait_seconds", "Wait"), Quantiles::default())?;
    let values: Vec<f64> = (0..1024_u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 12)).collect();
    values.iter().for_each(|value| summary.observe(*value));
    compare(
        "page of one summary",
        1,
        |_| {
            page.clear();
            registry.page(&mut page);
        },
        |_| black_box(values.clone()).sort_unstable_by(f64::total_cmp),
    );
    println!("(for the summary the other side is sorting its 1,024 values)");
    Ok(())
}
