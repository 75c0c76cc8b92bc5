//! `make soak`: clients that come and go, cut and slow ones among them, against the real binary for a long time.
//!
//! | clients | what they do |
//! | --- | --- |
//! | 60 % | stay |
//! | 20 % | come, stay for some seconds, say goodbye |
//! | 10 % | are cut off in the middle of whatever there is, and go on where they were; sometimes they lie about it |
//! | 5 % | read some kB/s |
//! | 5 % | stop reading for a while |
//!
//! Every state that one reaches must be the one that all others reached at the same offset, and that of
//! `/api/v1/metrics`; events, of which a reload makes one every few seconds, are neither lost nor doubled; when all
//! are gone no task, descriptor, channel or seat is left; and the memory has not grown.
//!
//! `GAUGECAST_BIN` is the binary, `SOAK_SECONDS` (1800) how long, `SOAK_CLIENTS` (1000) how many. The exit code is
//! 1 if anything was not as it must be. Memory is judged in runs of ten minutes and more: it must stay within 2 %
//! of what it was after the first five.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod client;
mod resources;
mod server;
mod shared;
mod state;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use client::Kind;
use resources::{Ledger, Sample};
use server::Server;
use shared::Shared;

/// Between two looks at what the server uses.
const LOOK: Duration = Duration::from_secs(5);

/// A machine that has this program wait for longer has no time for a thousand clients: what is late then is no fault
/// of the server's.
const SLIP: Duration = Duration::from_secs(1);

/// Everybody who stays must have seen the last tick and event by then.
const SETTLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let duration = Duration::from_secs(number("SOAK_SECONDS", 1800));
    let clients = number("SOAK_CLIENTS", 1000);
    let mut server = Server::start();
    let shared = Arc::new(Shared::new(server.address));
    println!("soak: {clients} clients for {} s", duration.as_secs());

    // One visit of each kind first, so that what is made once is not taken for a leak.
    let mut first = JoinSet::new();
    for kind in Kind::ALL {
        first.spawn(client::visit_once(Arc::clone(&shared), kind));
    }
    first.join_all().await;
    let before = server.quiet().await;

    let mut living = JoinSet::new();
    for number in 0..clients {
        living.spawn(client::live(Arc::clone(&shared), Kind::of(number), number));
    }
    let began = Instant::now();
    let mut ledger = Ledger::new(duration);
    let mut next = tokio::time::Instant::now();
    let mut slip = Duration::ZERO;
    while began.elapsed() < duration {
        next += LOOK.min(duration / 2);
        sleep_until(next).await;
        slip = slip.max(next.elapsed());
        next = tokio::time::Instant::now();
        let sample = server.look(&shared).await;
        ledger.note(began.elapsed(), &sample);
        println!("{:>5} s  {sample}  {}", began.elapsed().as_secs(), shared.counts());
        server.reload();
        if !shared.faults().is_empty() && number("SOAK_STOP_AT_FAULT", 0) == 1 {
            break;
        }
    }

    shared.settle(server.last_offset().await, shared.last_event());
    if timeout(SETTLE, async { while living.join_next().await.is_some() {} }).await.is_err() {
        shared.fault(format!("{} clients did not come to the last tick and event", living.len()));
        living.shutdown().await;
    }
    let after = server.quiet().await;
    for (what, was, is) in Sample::left_over(&before, &after) {
        shared.fault(format!("left over: {what}: {was} before, {is} after all are gone"));
    }
    let failed = shared.failed.load(Relaxed);
    if failed > 0 && slip <= SLIP {
        shared.fault(format!("{failed} connections were not let in"));
    }
    if let Err(grown) = ledger.judge() {
        shared.fault(grown);
    }
    shared.judge_events();
    if after.panics > 0.0 {
        shared.fault(format!("{} faults of the program were caught", after.panics));
    }
    let code = server.stop();
    if code != Some(0) {
        shared.fault(format!("the server ended with {code:?} when it was told to stop"));
    }

    println!("\n{}\n{}\nbefore {before}\nafter  {after}", shared.counts(), ledger);
    for (what, times) in after.closed {
        println!("{what} {times}");
    }
    println!("this program was kept waiting for up to {} ms", slip.as_millis());
    if slip > SLIP {
        println!(
            "so the machine is too slow for so many clients: {failed} failed connections are not judged"
        );
    }
    let faults = shared.faults();
    for (fault, times) in &faults {
        println!("FAULT ({times} times) {fault}");
    }
    let verdict = if faults.is_empty() { "passed" } else { "FAILED" };
    println!("soak {verdict} after {} s", began.elapsed().as_secs());
    ExitCode::from(u8::from(!faults.is_empty()))
}
