//! What the stream costs beside the floor: CPU a delivery, latency and loss under load, memory a client, what clients
//! that do not read do to the others, and the load tester's own judgement.
//!
//! `cargo bench --bench stream` runs every case below; `cargo bench --bench stream -- dense idle --rounds 1 --seconds 3`
//! only those named, shorter. It measures the release binary (`cargo build --release` first, or `GAUGECAST_BIN`).
//! Server and client have a core each. In every round gaugecast runs first and then the [`floor`], which sends bytes of the
//! same size to as many sockets as often; ratios are those of a round, and what is told is the median of the rounds.
//! [`client`] is the load client of both, [`process`] what the kernel says of a server, [`cases`] and [`loadtest`] what
//! is measured.

#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod cases;
mod client;
mod floor;
mod loadtest;
mod process;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use floor::Floor;
use process::Cores;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How the cases are run.
struct Bench {
    /// The release binary.
    program: OsString,
    cores: Cores,
    /// How often each case is run; `None` leaves it to the case.
    rounds: Option<usize>,
    /// How long each server is measured in a round; `None` leaves it to the case.
    seconds: Option<u64>,
}

impl Bench {
    fn rounds(&self, default: usize) -> usize {
        self.rounds.unwrap_or(default)
    }

    fn length(&self, default_seconds: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default_seconds))
    }
}

/// One case: what it is called on the command line, what it measures, what does it.
type Case = (&'static str, &'static str, fn(&Bench) -> Result<()>);

const CASES: [Case; 8] = [
    ("steady", "1,000 clients, 1 KiB, 10/s: CPU a delivery", cases::steady),
    ("dense", "1,000 clients, 200 B, 500/s: 500,000 deliveries a second", cases::dense),
    ("wide", "5,000 clients, 4 KiB, 2/s: CPU a delivery", cases::wide),
    ("idle", "1,000 and 10,000 idle clients: memory", cases::idle),
    ("many", "10,000 clients, 200 series that change every second: lag", cases::many),
    ("stuck", "100 clients that never read among 1,000: lag of the others", cases::stuck),
    ("sockets", "10,000 connections of the load tester: its memory", loadtest::sockets),
    ("heavy", "the load tester's preset heavy: its verdict", loadtest::heavy),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ran = match args.split_first() {
        Some((first, rest)) if first == "floor" => Floor::from_args(rest).and_then(|floor| floor.run()),
        _ => run(args),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<()> {
    let (mut rounds, mut seconds, mut names) = (None, None, Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let number = args.next().and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
            number.ok_or_else(|| format!("{arg} wants a whole number"))
        };
        match arg.as_str() {
            // What cargo gives to every benchmark.
            "--bench" => {}
            "--rounds" => rounds = Some(number()? as usize),
            "--seconds" => seconds = Some(number()?),
            "--list" => {
                CASES.iter().for_each(|(name, what, _)| println!("{name:<8} {what}"));
                return Ok(());
            }
            name if CASES.iter().any(|case| case.0 == name) => names.push(arg),
            _ => return Err(format!("{arg} is no case; --list tells them").into()),
        }
    }
    let program = std::env::var_os("GAUGECAST_BIN").unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/release/gaugecast").into_os_string()
    });
    if !PathBuf::from(&program).is_file() {
        let program = program.to_string_lossy();
        return Err(format!("{program} is missing: cargo build --release, or set GAUGECAST_BIN").into());
    }
    let bench = Bench { program, cores: Cores::choose()?, rounds, seconds };
    for (name, _, case) in CASES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            case(&bench).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}
