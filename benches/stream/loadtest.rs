//! What `gaugecast loadtest` says of gaugecast, and what it costs itself. Both have both cores here.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cases::flags;
use crate::process::{Place, Server, allow_connections, memory_kib};
use crate::table::Table;
use crate::{Bench, Result};

/// The preset `heavy`: 1,000 connections, 500 broadcasts a second.
pub(crate) fn heavy(bench: &Bench) -> Result<()> {
    let (report, _) = test(bench, 2, &["--preset", "heavy"])?;
    let seconds = report["seconds"].as_f64().unwrap_or_default();
    let title =
        format!("heavy: gaugecast loadtest --preset heavy, {seconds:.0} s, verdict {}", report["verdict"]);
    let mut table = Table::new(&title, ["criterion", "measured", "verdict"]);
    for one in report["criteria"].as_array().into_iter().flatten() {
        let value = one["actual"].as_f64().map_or("-".to_owned(), |value| format!("{value:.2}"));
        table.row([one["criterion"].as_str().unwrap_or("?"), &value, one["verdict"].as_str().unwrap_or("?")]);
    }
    table.print()
}

/// The load tester with 10,000 connections, a broadcast a second.
pub(crate) fn sockets(bench: &Bench) -> Result<()> {
    allow_connections(10_000)?;
    let args = "--connections 10000 --rate 1 --duration 30s --phases broadcast \
                --expect delivery.mean<250ms --expect delivery.p95<250ms";
    let (report, peak_kib) = test(bench, 1000, &args.split_whitespace().collect::<Vec<_>>())?;
    let mut table = Table::new(&format!("sockets: gaugecast loadtest {args}"), ["", "measured", "target"]);
    let last = report["phases"].as_array().and_then(|phases| phases.last());
    let live = last.and_then(|phase| phase["live"].as_u64()).unwrap_or(0);
    table.row(["connections live at the end", &live.to_string(), "10000"]);
    table.row(["most resident", &format!("{:.0} MB", peak_kib * 1024.0 / 1e6), "< 200 MB"]);
    let failed: Vec<&str> = report["criteria"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["verdict"] != "pass")
        .filter_map(|one| one["criterion"].as_str())
        .collect();
    let verdict = report["verdict"].as_str().unwrap_or("?");
    table.row(["verdict", &format!("{verdict} {}", failed.join(", ")), ""]);
    table.print()
}

/// Runs the load tester against a gaugecast that ticks so often: its report, and its most resident memory in KiB.
fn test(bench: &Bench, tick_ms: u64, args: &[&str]) -> Result<(Value, f64)> {
    let mut server_flags = flags(tick_ms);
    server_flags.push("--collector.synthetic.series=8".into());
    server_flags.push("--collector.synthetic.changing=8".into());
    let server = Server::start(bench.cores, Place::Both, &bench.program, &server_flags)?;
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("report.json");
    let mut command = Command::new(&bench.program);
    command.arg("loadtest").args(args).arg("--quiet").arg("--json").arg(&json);
    command.args(["--url", &format!("ws://127.0.0.1:{}/api/v1/stream/ws", server.port)]);
    command.args(["--server-pid", &server.id().to_string()]).stdout(Stdio::null());
    let mut child = bench.cores.spawn(Place::Both, &mut command)?;
    let mut peak_kib: f64 = 0.0;
    while child.try_wait()?.is_none() {
        // It fails once the process has ended.
        peak_kib = memory_kib(child.id(), "VmHWM").unwrap_or(0.0).max(peak_kib);
        std::thread::sleep(Duration::from_millis(100));
    }
    let text = std::fs::read(&json).map_err(|error| format!("no report of the load tester: {error}"))?;
    Ok((serde_json::from_slice(&text)?, peak_kib))
}
