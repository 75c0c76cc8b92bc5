//! What the monitor costs: nanoseconds a run, at one thread and at two, beside the two readings of the clock that no timing
//! can do without, at as many threads; memory of 1000 operations; allocations after the first use; a snapshot.
//!
//! Each time is the best of many rounds, so that other load on the machine counts least.
#![allow(clippy::print_stdout, missing_docs)]

use std::alloc::System;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use gaugecast::monitor::{Config, Monitor, Operation, Outcome, SecurityKind};
use gaugecast::registry::Registry;
use stats_alloc::{Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

// Short rounds and many, so that some are not interrupted on a machine that has other things to do.
const ROUNDS: usize = 500;
const RUNS: u32 = 10_000;
const OPERATIONS: usize = 1000;

/// Nanoseconds a call, best of [`ROUNDS`].
fn best(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    best
}

/// Nanoseconds a call where two threads make them at the same time, best of [`ROUNDS`].
fn both(first: impl Fn() + Sync, second: impl Fn() + Sync) -> f64 {
    let gate = Barrier::new(2);
    let rounds = |call: &(dyn Fn() + Sync)| -> Vec<f64> {
        let round = |_| {
            gate.wait();
            let start = Instant::now();
            (0..RUNS).for_each(|_| call());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
        };
        (0..ROUNDS).map(round).collect()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| rounds(&second));
        let own = rounds(&first);
        // Of a round the slower of the two: else one that runs alone at its end would count.
        let both = own.into_iter().zip(other.join().expect("the other thread counts too"));
        both.map(|(own, other)| f64::max(own, other)).fold(f64::INFINITY, f64::min)
    })
}

/// What no timing can do without.
fn clock() {
    let start = black_box(Instant::now());
    black_box(Instant::now().saturating_duration_since(start));
}

/// The same asked over HTTP, of a whole server.
fn http(registry: Registry) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = gaugecast::config::Config::default();
    config.server.listen = vec![([127, 0, 0, 1], 0).into()];
    (config.server.limits.rate, config.server.limits.rate_burst) = (1_000_000, 1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let running = runtime.block_on(gaugecast::serve::start(&config, registry, None))?;
    let address = running.addresses()[0];
    for path in ["metrics", "report"] {
        let mut best = Duration::MAX;
        let mut size = 0;
        for _ in 0..100 {
            let start = Instant::now();
            let mut socket = TcpStream::connect(address)?;
            let path = format!("/api/v1/admin/performance/{path}");
            write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer)?;
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
            (best, size) = (best.min(start.elapsed()), answer.len());
        }
        let ms = best.as_secs_f64() * 1e3;
        println!("GET performance/{path:<8} of 1000 operations {ms:>8.2} ms, {size} bytes");
    }
    runtime.block_on(running.stop());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let monitor = Monitor::new(&Registry::new(), Config::default())?;
    let (send, read) = (monitor.operation("send"), monitor.operation("read"));

    let run = |operation: &Operation| drop(black_box(operation.start()));
    let compare = |what: &str, own: f64, floor: f64| {
        let ratio = own / floor;
        println!("{what:<40} {own:>8.1} ns   two readings of the clock {floor:>6.1} ns   ratio {ratio:>5.2}");
    };
    let floor = best(RUNS, clock);
    compare("run, one thread", best(RUNS, || run(&send)), floor);
    compare("run that fails, one thread", best(RUNS, || black_box(send.start()).fail("timeout")), floor);
    let looked_up = || run(&monitor.operation("send"));
    compare("run, operation looked up by its name", best(RUNS, looked_up), floor);
    let security = || monitor.security().report(SecurityKind::Blocked, "192.0.2.7", "five wrong passwords");
    compare("event of security", best(RUNS, security), floor);
    let floor = both(clock, clock);
    compare("run, two threads, two operations", both(|| run(&send), || run(&read)), floor);
    compare("run, two threads, the same operation", both(|| run(&send), || run(&send)), floor);

    // No allocation after the first use, whatever is told.
    let connection = monitor.connected();
    read.start().fail("timeout");
    let region = Region::new(&ALLOCATOR);
    for _ in 0..RUNS {
        drop(send.start());
        read.start().fail("timeout");
        send.record(Duration::from_millis(3), Outcome::Ok);
        security();
        connection.received(100);
    }
    let change = region.change();
    println!("allocations after first use              {:>8}", change.allocations + change.reallocations);

    let registry = Registry::new();
    let before = Region::new(&ALLOCATOR);
    let monitor = Monitor::new(&registry, Config::default())?;
    for number in 0..OPERATIONS {
        let operation = monitor.operation(&format!("operation_{number}"));
        for run in 0..200 {
            let outcome = if run % 50 == 0 { Outcome::Error("timeout") } else { Outcome::Ok };
            operation.record(Duration::from_micros(run), outcome);
        }
    }
    let change = before.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    println!("memory of 1000 operations                {bytes:>8} bytes");

    let snapshot = best(1, || drop(black_box(monitor.snapshot(monitor.now()))));
    println!("snapshot of 1000 operations              {:>8.2} ms", snapshot / 1e6);
    let json = best(1, || drop(black_box(serde_json::to_vec(&monitor.snapshot(monitor.now())))));
    println!("snapshot of 1000 operations as JSON      {:>8.2} ms", json / 1e6);
    http(registry.clone())?;
    let mut page = Vec::new();
    let text = best(1, || {
        page.clear();
        registry.page(&mut page);
    });
    println!("page of 1000 operations                  {:>8.2} ms", text / 1e6);
    Ok(())
}
