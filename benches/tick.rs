//! One tick over 10,000 series of the own registry: its page, the reading of it, the commit; each alone, together, and
//! as a scrape asks for it, through the running ticker. Beside it, in the same run, what prometheus-client alone takes
//! to write the same series as text. `cargo bench --bench tick`.

#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use gaugecast::clock::Clock;
use gaugecast::collect::intake::Intake;
use gaugecast::collect::ticker::Ticker;
use gaugecast::collect::{Config, Ticks};
use gaugecast::exposition::parse::Format;
use gaugecast::registry::metrics::counter::Counter as ClientCounter;
use gaugecast::registry::metrics::family::Family as ClientFamily;
use gaugecast::registry::metrics::gauge::Gauge as ClientGauge;
use gaugecast::registry::metrics::histogram::Histogram as ClientHistogram;
use gaugecast::registry::prometheus_client::encoding::text::encode;
use gaugecast::registry::prometheus_client::registry::Registry as ClientRegistry;
use gaugecast::registry::{Buckets, Counter, Family, FloatGauge, Gauge, Handle, Histogram, Registry};
use gaugecast::series::Epoch;

type Labels = [(&'static str, u32); 2];
type Error = Box<dyn std::error::Error>;

const ROUNDS: u32 = 200;
/// Families of counters, of gauges and of float gauges, and label sets of each: 3 · 10 · 300 series. Then 80 histograms of
/// 11 buckets, +Inf, sum and count, which are 14 series each: 10,120 in all.
const FAMILIES: u32 = 10;
const SETS: u32 = 300;
const HISTOGRAMS: u32 = 80;
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn labels(set: u32) -> Labels {
    [("instance", set), ("shard", set % 16)]
}

/// The series, by kept handles.
#[derive(Default)]
struct Own {
    counters: Vec<Handle<Counter>>,
    gauges: Vec<Handle<Gauge>>,
    floats: Vec<Handle<FloatGauge>>,
    histograms: Vec<Handle<Histogram>>,
}

impl Own {
    fn register(registry: &Registry) -> Result<Self, Error> {
        let mut own = Own::default();
        for n in 0..FAMILIES {
            let counters: Family<Labels, Counter> = registry.family((&*format!("calls_{n}"), "Calls"), ())?;
            let gauges: Family<Labels, Gauge> = registry.family((&*format!("level_{n}"), "Level"), ())?;
            let floats: Family<Labels, FloatGauge> = registry.family((&*format!("load_{n}"), "Load"), ())?;
            own.counters.extend((0..SETS).map(|set| counters.get(&labels(set))));
            own.gauges.extend((0..SETS).map(|set| gauges.get(&labels(set))));
            own.floats.extend((0..SETS).map(|set| floats.get(&labels(set))));
        }
        let waits: Family<Labels, Histogram> =
            registry.family(("wait_seconds", "Wait"), Buckets::classic(BOUNDS)?)?;
        own.histograms.extend((0..HISTOGRAMS).map(|set| waits.get(&labels(set))));
        Ok(own)
    }

    /// Gives every series another value.
    fn record(&self, pass: u32) {
        self.counters.iter().zip(1..).for_each(|(one, by)| one.inc_by(by));
        self.gauges.iter().zip(0..).for_each(|(one, i)| one.set(i * 7919 + i64::from(pass)));
        self.floats.iter().zip(0..).for_each(|(one, i)| one.set(f64::from(i * 31 + pass) / 1e3));
        self.histograms.iter().for_each(|one| one.observe(f64::from(pass % 16) * 0.7));
    }
}

/// The same series in prometheus-client.
fn client() -> ClientRegistry {
    let mut registry = ClientRegistry::default();
    for n in 0..FAMILIES {
        let counters: ClientFamily<Labels, ClientCounter> = ClientFamily::default();
        let gauges: ClientFamily<Labels, ClientGauge> = ClientFamily::default();
        let floats: ClientFamily<Labels, ClientGauge<f64, AtomicU64>> = ClientFamily::default();
        for set in 0..SETS {
            counters.get_or_create(&labels(set)).inc_by(u64::from(set) * 97);
            gauges.get_or_create(&labels(set)).set(i64::from(set) * 7919);
            floats.get_or_create(&labels(set)).set(f64::from(set * 31) / 1e3);
        }
        registry.register(format!("calls_{n}"), "Calls", counters);
        registry.register(format!("level_{n}"), "Level", gauges);
        registry.register(format!("load_{n}"), "Load", floats);
    }
    let waits =
        ClientFamily::<Labels, ClientHistogram>::new_with_constructor(|| ClientHistogram::new(BOUNDS));
    (0..HISTOGRAMS).for_each(|set| waits.get_or_create(&labels(set)).observe(0.7));
    registry.register("wait_seconds", "Wait", waits);
    registry
}

/// Milliseconds of one step, round by round.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0.push(start.elapsed().as_secs_f64() * 1e3);
        result
    }

    fn median(&mut self) -> f64 {
        self.0.sort_unstable_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }

    fn print(&mut self, name: &str, peer: f64) {
        let median = self.median();
        println!("{name:<52} {:>8.3} {median:>8.3} {:>8.2}", self.0[0], median / peer);
    }
}

fn main() -> Result<(), Error> {
    let clock = Clock::start();
    let (registry, client) = (Registry::new(), client());
    let own = Own::register(&registry)?;
    let mut intake = Intake::new(Epoch(1), 100_000);
    let source = intake.add_source("registry", gaugecast::series::Scope::Own);
    let (mut page, mut text) = (Vec::new(), String::new());

    let [mut peer, mut write, mut read, mut commit, mut whole] = [(); 5].map(|()| Times::default());
    for pass in 0..ROUNDS {
        own.record(pass);
        peer.measure(|| {
            text.clear();
            encode(&mut text, &client).map(|()| black_box(text.len()))
        })?;
        let start = Instant::now();
        write.measure(|| {
            registry.expire(clock.now());
            page.clear();
            registry.page(&mut page);
        });
        read.measure(|| intake.page(source, &page, Format::OpenMetrics))?;
        let tick = commit.measure(|| {
            intake.natives(registry.natives());
            intake.commit(clock.now(), u64::from(pass))
        });
        whole.0.push(start.elapsed().as_secs_f64() * 1e3);
        black_box(tick.offset);
    }
    println!("{} series, a page of {} bytes; every value changed", intake.len(), page.len());
    println!("{:<52} {:>8} {:>8} {:>8}", "", "min ms", "median", "x peer");
    let theirs = peer.median();
    peer.print("peer: prometheus-client writes the same text", theirs);
    write.print("page of the registry", theirs);
    read.print("reading it into the table", theirs);
    commit.print("commit", theirs);
    whole.print("tick: all three", theirs);
    running(theirs)
}

/// The same through the task that ticks, as a scrape asks for it.
fn running(peer: f64) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let registry = Registry::new();
        let own = Own::register(&registry)?;
        // A minute, so that no tick of the timer falls into the measurement.
        let config = Config { tick: Duration::from_secs(60), ..Config::default() };
        let ticker =
            Ticker::start(config, Vec::new(), Vec::new(), registry, Epoch(1), Clock::start()).await?;
        let ticks: Ticks = ticker.ticks();
        let mut whole = Times::default();
        for pass in 0..ROUNDS {
            own.record(pass);
            let start = Instant::now();
            let tick = ticks.fresh(Duration::ZERO).await;
            whole.0.push(start.elapsed().as_secs_f64() * 1e3);
            black_box(tick.offset);
        }
        whole.print("tick asked of the running ticker (target: 2 ms)", peer);
        ticker.stop().await;
        Ok(())
    })
}
