//! What the monitor costs: nanoseconds a run, at one thread and at two in the same operation, beside the two readings of the
//! clock that no timing can do without; memory of 1000 operations; allocations after the first use; a snapshot.
//!
//! Each time is the best of many rounds, so that other load on the machine counts least.
#![allow(clippy::print_stdout, missing_docs)]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use gaugecast::monitor::{Config, Monitor, Operation, Outcome, SecurityKind};
use gaugecast::registry::Registry;
use stats_alloc::{Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

const ROUNDS: usize = 50;
const RUNS: u32 = 100_000;
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

/// Nanoseconds a run on each of two threads at the same time, best of [`ROUNDS`]; each thread works on its own.
fn both(operations: [&Operation; 2]) -> f64 {
    let gate = Barrier::new(2);
    let round = |operation: &Operation| {
        (0..ROUNDS)
            .map(|_| {
                gate.wait();
                let start = Instant::now();
                for _ in 0..RUNS {
                    drop(black_box(operation.start()));
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
            })
            .collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| round(operations[1]));
        let own = round(operations[0]);
        // Of a round the slower of the two: else one that runs alone at its end would count.
        let rounds = own.into_iter().zip(other.join().expect("the other thread counts too"));
        rounds.map(|(own, other)| f64::max(own, other)).fold(f64::INFINITY, f64::min)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let monitor = Monitor::new(&Registry::new(), Config::default())?;
    let (send, read) = (monitor.operation("send"), monitor.operation("read"));

    let floor = best(RUNS, || {
        let start = black_box(Instant::now());
        black_box(Instant::now().saturating_duration_since(start));
    });
    let compare = |what: &str, own: f64| {
        println!(
            "{what:<40} {own:>8.1} ns   two readings of the clock {floor:>6.1} ns   ratio {:>5.2}",
            own / floor
        );
    };
    compare("run, one thread", best(RUNS, || drop(black_box(send.start()))));
    compare("run that fails, one thread", best(RUNS, || black_box(send.start()).fail("timeout")));
    compare("run, two threads, two operations", both([&send, &read]));
    compare("run, two threads, the same operation", both([&send, &send]));
    compare(
        "run, operation looked up by its name",
        best(RUNS, || drop(black_box(monitor.operation("send").start()))),
    );
    let security = || monitor.security().report(SecurityKind::Blocked, "192.0.2.7", "five wrong passwords");
    compare("event of security", best(10_000, security));

    // No allocation after the first use, whatever is told.
    let connection = monitor.connected();
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
    println!("memory of 1000 operations                {:>8} bytes", bytes);

    let snapshot = best(1, || drop(black_box(monitor.snapshot(monitor.now()))));
    println!("snapshot of 1000 operations              {:>8.2} ms", snapshot / 1e6);
    let json = best(1, || drop(black_box(serde_json::to_vec(&monitor.snapshot(monitor.now())))));
    println!("snapshot of 1000 operations as JSON      {:>8.2} ms", json / 1e6);
    let mut page = Vec::new();
    let text = best(1, || {
        page.clear();
        registry.page(&mut page);
    });
    println!("page of 1000 operations                  {:>8.2} ms", text / 1e6);
    Ok(())
}
