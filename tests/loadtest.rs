//! `gaugecast loadtest` as the program it is: against our own server, and against targets that are not what they
//! should be. What is asserted is structure; bounds on time are wide, since the machine may be busy.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gaugecast");

/// Never the generator's fault: what is tested here is not this machine.
const PATIENT: [&str; 5] =
    ["--max-timer-slip=1h", "--max-generator-cpu=1000000", "--expect", "delivery.mean<3600s", "-q"];

/// A server of ours on a port of its own, ended with the test.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server() -> Server {
    let mut process = Command::new(PROGRAM)
        .args(["serve", "--web.listen-address=127.0.0.1:0", "--collect.tick=500ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
    let (told, urls) = std::sync::mpsc::channel();
    for stream in streams {
        let told = told.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(at) = line.find("ws://") {
                    let _ = told.send(line[at..].trim().to_owned());
                }
            }
        });
    }
    drop(told);
    let url = urls.recv().expect("the server says where its stream is");
    Server { process, url }
}

fn test(url: &str, folder: &Path, more: &[&str]) -> (Output, Value) {
    let json = folder.join("report.json");
    let said = Command::new(PROGRAM)
        .args(["loadtest", "--url", url, "--json"])
        .arg(&json)
        .args(PATIENT)
        .args(more)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&json).unwrap_or_else(|_| panic!("no report: {said:?}"));
    (said, serde_json::from_str(&text).unwrap())
}

/// Checks a value by the part of JSON Schema that `docs/loadtest.schema.json` uses; what it does not know it refuses.
fn check(value: &Value, schema: &Value, root: &Value, at: &str) {
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => check(value, root.pointer(&rule.as_str().unwrap()[1..]).unwrap(), root, at),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "null" => value.is_null(),
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("type {other}"),
                };
                let good = rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is));
                assert!(good, "{at}: {value} is not {rule}");
            }
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value} is not in {rule}"),
            "pattern" => assert!(value.as_str().unwrap().starts_with("1."), "{at}: {value}"),
            "maxItems" => assert!(value.as_array().unwrap().len() as u64 <= rule.as_u64().unwrap(), "{at}"),
            "required" => {
                for name in rule.as_array().unwrap().iter().filter(|_| value.is_object()) {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: {name} is missing");
                }
            }
            "properties" => {
                for (name, found) in value.as_object().into_iter().flatten() {
                    // A field of the report that the schema does not tell of is a gap in the schema.
                    let rule = rule.get(name).unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
                    check(found, rule, root, &format!("{at}/{name}"));
                }
            }
            "additionalProperties" => {
                for (name, found) in value.as_object().unwrap() {
                    check(found, rule, root, &format!("{at}/{name}"));
                }
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, rule, root, &format!("{at}/{i}"));
                }
            }
            other => panic!("the check does not know {other}"),
        }
    }
}

fn is_by_the_schema(report: &Value) {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/loadtest.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    check(report, &schema, &schema, "");
}

#[test]
fn our_own_server_is_measured_in_every_phase_and_the_reports_agree() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let [markdown, junit] = ["report.md", "report.xml"].map(|name| folder.path().join(name));
    let pid = server.process.id().to_string();
    let more = [
        "--connections=5",
        "--duration=12s",
        "--rate=2",
        "--cut=40",
        "--server-pid",
        &pid,
        "--expect=delivery.p95<3600s",
        "--expect=recovery.time<3600s",
        "--expect=uptime>1%",
        "--expect=server.cpu<=100%",
        "--expect=broadcast.rate>0/s",
        "--expect=recovery.success>0%",
        "--markdown",
        markdown.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ];
    let (said, report) = test(&server.url, folder.path(), &more);
    is_by_the_schema(&report);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stdout));
    assert_eq!(report["verdict"], "pass");
    let kinds: Vec<&str> =
        report["phases"].as_array().unwrap().iter().map(|p| p["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ramp-up", "broadcast", "stability", "recovery", "sustained"]);
    let measure = |name: &str| report["measures"][name].as_f64();
    assert_eq!(measure("connect.count"), Some(5.0));
    assert_eq!(measure("sequence.errors"), Some(0.0));
    assert_eq!(measure("recovery.count"), Some(2.0), "40 % of 5 connections were cut and came back");
    assert_eq!(measure("resume.success"), Some(100.0));
    assert!(
        measure("delivery.count") > measure("broadcast.count"),
        "messages and broadcasts are counted apart"
    );
    assert!(measure("rtt.count") > Some(0.0) && measure("server.rss") > Some(0.0));
    assert!(report["resources"].as_array().unwrap().len() > 3);
    assert!(String::from_utf8_lossy(&said.stdout).contains("verdict: pass"));
    assert!(std::fs::read_to_string(markdown).unwrap().starts_with("# Load test: pass\n"));
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.matches("<testsuite ").count() == 6 && !junit.contains("<failure"), "{junit}");
}

#[test]
fn a_baseline_that_was_better_fails_the_test() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline.json");
    std::fs::write(&baseline, r#"{"schema_version":"1.0","measures":{"broadcast.rate":1000000}}"#).unwrap();
    let more =
        ["--connections=1", "--duration=3s", "--phases=broadcast", "--baseline", baseline.to_str().unwrap()];
    let (said, report) = test(&server.url, folder.path(), &more);
    is_by_the_schema(&report);
    assert_eq!(said.status.code(), Some(99));
    assert_eq!(report["baseline"][0]["verdict"], "fail");
}

#[test]
fn a_server_that_says_nothing_passes_no_criterion_on_empty_data() {
    let silent = answering(
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n\
         Sec-WebSocket-Protocol: gaugecast.v1.json\r\n\r\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let (said, report) =
        test(&format!("ws://{silent}/"), folder.path(), &["--duration=2s", "--connections=2"]);
    is_by_the_schema(&report);
    assert_eq!(said.status.code(), Some(99));
    let delivery =
        report["criteria"].as_array().unwrap().iter().find(|c| c["metric"] == "delivery.mean").unwrap();
    assert_eq!((&delivery["verdict"], &delivery["actual"]), (&"fail".into(), &Value::Null));
    assert!(delivery["reason"].as_str().unwrap().starts_with("no samples"));
}

#[test]
fn any_websocket_server_is_measured_by_round_trips() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "--protocol=any",
        "--duration=3s",
        "--connections=3",
        "--ping-interval=300ms",
        "--phases=broadcast",
        r#"--send={"type":"hello","client":"test"}"#,
        "--expect=rtt.mean<3600s",
        "--expect=rtt.p95<3600s",
        "--expect=uptime>1%",
    ];
    let json = folder.path().join("any.json");
    let said = Command::new(PROGRAM)
        .args([
            "loadtest",
            "--url",
            &server.url,
            "--max-timer-slip=1h",
            "--max-generator-cpu=1000000",
            "-q",
            "--json",
        ])
        .arg(&json)
        .args(more)
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stdout));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    is_by_the_schema(&report);
    assert!(report["measures"]["rtt.count"].as_f64() > Some(2.0));
    assert_eq!(report["measures"]["delivery.p95"], Value::Null);
    assert!(report["unmeasured"]["delivery"].as_str().unwrap().contains("--time-field"));
}

/// Answers every connection with `answer`, once a request has come, and says no more.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]);
            let key =
                request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let _ = stream.write_all(answer.replace("ACCEPT", &accept).as_bytes());
            open.push(stream);
        }
    });
    address
}

#[test]
fn targets_that_are_not_what_they_should_be_are_counted_by_class() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let http = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let no_accept = answering("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n");
    let other = answering(
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: other\r\n\r\n",
    );
    for (address, class) in
        [(refusing, "refused"), (http, "http"), (no_accept, "not_websocket"), (other, "subprotocol")]
    {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("ws://{address}/");
        let (said, report) = test(&url, folder.path(), &["--duration=2s", "--connections=3"]);
        is_by_the_schema(&report);
        assert_eq!(said.status.code(), Some(99), "{class}");
        assert!(report["errors"][class].as_u64() >= Some(3), "{class}: {}", report["errors"]);
        let first = report["first_errors"].as_array().unwrap();
        assert!((1..=10).contains(&first.len()) && first[0].as_str().unwrap().starts_with(class));
        assert_eq!(report["phases"].as_array().unwrap().len(), 1, "the rest is left out");
    }
}

#[test]
fn an_interrupted_test_reports_what_it_has() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut process = Command::new(PROGRAM)
        .args(["loadtest", "--url", &server.url, "--connections=2", "--duration=1h", "--json"])
        .arg(&json)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A line of progress: by then it listens for signals.
    let mut line = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let status = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(process.wait().unwrap().code(), Some(105));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    is_by_the_schema(&report);
    assert_eq!(report["verdict"], "aborted");
    assert_eq!(report["phases"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_usage_ends_with_2_before_anything_is_sent() {
    for (args, part) in [
        (&["--url", "ws://127.0.0.1:1/", "--expect", "delivry.p95<1ms"][..], "delivery.p95"),
        (&["--url", "ws://192.0.2.1/"], "--i-own-this-target 192.0.2.1"),
        (&["--url", "ws://192.0.2.1/", "--i-own-this-target", "192.0.2.2"], "not this machine"),
        (&["--url", "wss://127.0.0.1/"], "TLS"),
        (&["--url", "ws://127.0.0.1:1/", "--duration", "1000h"], "at most"),
        (&[], "--url"),
    ] {
        let said = Command::new(PROGRAM).arg("loadtest").args(args).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(2) && err.contains(part), "{args:?}: {err}");
    }
}
