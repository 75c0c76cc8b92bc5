//! `gaugecast watch` as a user starts it, beside a `gaugecast serve` of synthetic series.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaugecast"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GAUGECAST_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ten series of which two go up in each tick of 50 ms; and where it listens.
fn server() -> (Running, String) {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--web.listen-address=127.0.0.1:0",
        "--collector.disable-defaults",
        "--collector.synthetic",
        "--collector.synthetic.series=10",
        "--collector.synthetic.changing=2",
        "--collect.tick=50ms",
        // A busy machine misses ticks of 50 ms; the alert that says so would be an event among the changes.
        "--rules.built-in=false",
    ];
    let mut command = program();
    command.args(flags).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let address = out.lines().find_map(|line| {
        let line = line.unwrap();
        Some(line.split_once("ws://")?.1.split_once('/')?.0.to_owned())
    });
    (Running(child), address.unwrap())
}

/// A watch whose lines are read one by one.
fn watch(args: &[&str]) -> (Running, Lines<BufReader<ChildStdout>>) {
    let mut child = program().arg("watch").args(args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (Running(child), lines)
}

fn run(args: &[&str]) -> Output {
    program().arg("watch").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn json_is_an_object_per_change_and_ctrl_c_ends_it_with_130() {
    let (_server, address) = server();
    let (mut watch, lines) = watch(&[&address, "gaugecast_synthetic_value", "--json", "--interval=50ms"]);
    let mut seen = [-1.0; 10];
    for line in lines {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!((&line["name"], &line["type"]), (&"gaugecast_synthetic_value".into(), &"gauge".into()));
        assert!(line["t"].as_i64().unwrap() > 1_600_000_000_000);
        let which: usize = line["labels"]["series"].as_str().unwrap().parse().unwrap();
        let value = line["value"].as_f64().unwrap();
        assert!(value > seen[which], "{line}");
        seen[which] = value;
        if seen.iter().all(|value| *value > 2.0) {
            break;
        }
    }
    interrupt(&watch.0);
    assert_eq!(watch.0.wait().unwrap().code(), Some(130));
}

#[test]
fn once_shows_every_series_and_ends_with_0() {
    let (_server, address) = server();
    let output = run(&[&format!("http://{address}"), "gaugecast_synthetic_value", "--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 10);
    for (i, line) in lines.lines().enumerate() {
        assert!(line.contains(&format!("Z gaugecast_synthetic_value{{series=\"{i}\"}} ")), "{line}");
    }
}

#[test]
fn rate_shows_counters_by_the_second() {
    let (_server, address) = server();
    let counter = "gaugecast_tick_duration_seconds_count";
    let output = run(&[&address, counter, "--rate", "--once", "--json"]);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(line["rate"].as_f64().unwrap() > 0.0, "{line}");
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let (_server, address) = server();
    let mut command = program();
    command.args(["watch", &address, "gaugecast_synthetic_value", "--interval=50ms"]);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("gaugecast_synthetic_value"), "{line}");
    drop(out);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let mut told = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}

#[test]
fn what_cannot_work_ends_at_once_and_says_why() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (args, code, told) in [
        (&[&*nobody, "up"][..], 1, "cannot connect to ws://127.0.0.1:"),
        (&["up{"], 2, "column 4"),
        (&["wss://host", "up"], 2, "not supported yet"),
        (&["127.0.0.1:1"], 2, "which series?"),
        (&[], 2, "Usage: gaugecast watch [URL] SELECTOR"),
        (&["--query=sum("], 2, "parse error"),
        (&["up", "--query=up"], 2, "stands alone"),
        (&["up", "--interval=x"], 2, "--interval"),
    ] {
        let output = run(args);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(code), ""), "{args:?}");
        assert!(text(&output.stderr).contains(told), "{args:?}: {}", text(&output.stderr));
    }
}
