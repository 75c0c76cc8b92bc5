//! `gaugecast loadtest` as the program it is: against our own server over every transport, and against targets that
//! are not what they should be. What is asserted is structure; bounds on time are wide, since the machine may be busy.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gaugecast");

/// Never the generator's fault: what is tested here is not this machine.
const PATIENT: [&str; 6] = [
    "--max-timer-slip=1h",
    "--max-generator-cpu=1000000",
    "--connect-timeout=5m",
    "--expect",
    "delivery.mean<3600s",
    "-q",
];

/// However busy the machine is, every connection is made at its first attempt, none is lost, and none sees a frame
/// that does not follow from the one before.
fn is_without_faults(report: &Value) {
    assert_eq!(report["errors"], serde_json::json!({}), "{}", report["first_errors"]);
    let measures = &report["measures"];
    assert_eq!(measures["connect.success"].as_f64(), Some(100.0));
    assert_eq!(measures["errors"].as_f64(), Some(0.0));
    if report["unmeasured"].get("sequence").is_none() {
        assert_eq!(measures["sequence.errors"].as_f64(), Some(0.0));
    }
}

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
    let [markdown, junit, csv] =
        ["report.md", "report.xml", "report.csv"].map(|name| folder.path().join(name));
    let pid = server.process.id().to_string();
    let more = [
        "--connections=5",
        "--duration=12s",
        "--rate=2",
        "--kill=40%",
        "--server-pid",
        &pid,
        "--expect=delivery.p95<3600s",
        "--expect=recovery.time<3600s",
        "--expect=uptime>1%",
        "--expect=server.cpu<=100%",
        "--expect=broadcast.rate>0/s",
        "--expect=recovery.success>0%",
        "--expect=connect.success>=0%",
        "--markdown",
        markdown.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
        "--csv",
        csv.to_str().unwrap(),
    ];
    let (said, report) = test(&server.url, folder.path(), &more);
    is_by_the_schema(&report);
    is_without_faults(&report);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stdout));
    assert_eq!(report["verdict"], "pass");
    let kinds: Vec<&str> =
        report["phases"].as_array().unwrap().iter().map(|p| p["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ramp-up", "broadcast", "stability", "recovery", "sustained"]);
    let measure = |name: &str| report["measures"][name].as_f64();
    assert_eq!(measure("connect.count"), Some(5.0));
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
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.lines().all(|line| line.split(',').count() == 6), "{csv}");
    assert!(csv.contains("\r\nwhole test,delivery.p95,") && csv.contains(",ms,delivery.p95<3600s,pass\r\n"));
}

/// Encrypts what comes for a server that does not: the port, and the certificate in PEM.
fn tls_relay(to: &str) -> (u16, String) {
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, crypto::ring};

    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = to.to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    let mut inside = tokio::net::TcpStream::connect(to).await.unwrap();
                    if let Ok(mut outside) = acceptor.accept(stream).await {
                        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
    });
    (port, made.cert.pem())
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

/// What every small test against a server of ours asks for: figures, whatever they are on a busy machine.
const LENIENT: [&str; 7] = [
    "--expect=connect.success>=0%",
    "--expect=delivery.p95<3600s",
    "--expect=uptime>1%",
    "--expect=broadcast.complete>1%",
    "--rate=2",
    "--expect=broadcast.rate>0/s",
    "--connections=5",
];

/// The same of a recovery phase.
const LENIENT_RECOVERY: [&str; 2] = ["--expect=recovery.time<3600s", "--expect=recovery.success>0%"];

#[test]
fn server_sent_events_are_resumed_and_checked_like_websockets() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", authority(&server.url));
    let more = [&LENIENT[..], &LENIENT_RECOVERY, &["--duration=12s", "--kill=40%"]].concat();
    let (_, report) = test(&url, folder.path(), &more);
    is_by_the_schema(&report);
    assert_eq!(report["target"]["transport"], "sse");
    let measure = |name: &str| report["measures"][name].as_f64();
    is_without_faults(&report);
    assert_eq!(measure("sequence.wrong_ids"), Some(0.0));
    assert_eq!((measure("recovery.count"), measure("resume.success")), (Some(2.0), Some(100.0)));
    assert!(measure("delivery.count") > Some(0.0) && measure("broadcast.count") > Some(0.0));
    assert_eq!(measure("rtt.p95"), None);
    assert!(report["unmeasured"]["rtt"].as_str().unwrap().contains("no way back"));
}

#[test]
fn both_transports_are_loaded_through_tls_by_a_known_authority_or_anyones() {
    let server = server();
    let (port, certificate) = tls_relay(authority(&server.url));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    let by_file = format!("--tls.ca-file={}", file.display());
    for (url, trust) in [
        (format!("wss://localhost:{port}"), by_file.as_str()),
        (format!("https://localhost:{port}"), by_file.as_str()),
        (format!("wss://127.0.0.1:{port}"), "--tls.insecure-skip-verify"),
    ] {
        let more =
            [&LENIENT[..], &LENIENT_RECOVERY, &["--duration=8s", "--phases=recovery,sustained", trust]]
                .concat();
        let (said, report) = test(&url, folder.path(), &more);
        is_by_the_schema(&report);
        assert_eq!(report["target"]["tls"], true);
        is_without_faults(&report);
        assert_eq!(report["measures"]["connect.count"].as_f64(), Some(5.0), "{url}: {said:?}");
        assert_eq!(report["measures"]["resume.success"].as_f64(), Some(100.0));
    }
    let url = format!("wss://localhost:{port}");
    let (said, report) = test(&url, folder.path(), &["--duration=2s", "--connections=2"]);
    assert_eq!(said.status.code(), Some(99));
    assert!(report["errors"]["tls"].as_u64() >= Some(2), "an unknown authority: {}", report["errors"]);
}

#[test]
fn any_server_of_events_is_judged_by_the_fields_of_its_messages() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    // A server of ours, looked at as one of somebody else: each delta has the time and a number that goes up by one.
    let url = format!(
        "http://{}/api/v1/stream/sse?match[]=gaugecast_ticks_total&interval=500",
        authority(&server.url)
    );
    let more = [
        "--protocol=any",
        "--time-field=t",
        "--sequence-field=offset",
        "--duration=5s",
        "--phases=broadcast",
        "--connections=3",
        "--expect=delivery.p95<3600s",
        "--expect=uptime>1%",
    ];
    let (_, report) = test(&url, folder.path(), &more);
    is_by_the_schema(&report);
    let measure = |name: &str| report["measures"][name].as_f64();
    assert!(measure("delivery.count") > Some(3.0) && measure("broadcast.count") > Some(0.0));
    is_without_faults(&report);
    assert_eq!(measure("sequence.unknown_series"), None);
}

#[test]
fn a_server_that_says_when_to_come_back_is_obeyed_and_not_blamed() {
    let server = server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let to = authority(&server.url).to_owned();
    // Refuses the first three, then relays.
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut stream = stream;
            if number < 3 {
                let _ = stream.read(&mut [0; 4096]);
                let refusal = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(refusal.as_bytes());
                continue;
            }
            let inside = TcpStream::connect(&to).unwrap();
            for (mut from, mut to) in
                [(stream.try_clone().unwrap(), inside.try_clone().unwrap()), (inside, stream)]
            {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let more = [&LENIENT[..], &["--duration=4s", "--phases=broadcast"]].concat();
    let (_, report) = test(&url, folder.path(), &more);
    let measure = |name: &str| report["measures"][name].as_f64();
    assert_eq!(measure("connect.throttled"), Some(3.0));
    is_without_faults(&report);
}

/// A process that a test's command has started, ended with the test.
struct Started(std::path::PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(&self.0) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

#[test]
fn clients_come_back_to_a_server_that_was_started_anew() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let pid = Started(folder.path().join("pid"));
    let command = format!(
        "kill -9 {}; {PROGRAM} serve --web.listen-address={} --collect.tick=500ms >/dev/null 2>&1 & echo $! > {}",
        server.process.id(),
        authority(&server.url),
        pid.0.display(),
    );
    let more = [
        &LENIENT[..],
        &LENIENT_RECOVERY,
        &["--duration=16s", "--phases=recovery,sustained", "--restart-command", &command],
    ]
    .concat();
    let (_, report) = test(&server.url, folder.path(), &more);
    is_by_the_schema(&report);
    assert_eq!(report["measures"]["recovery.count"].as_f64(), Some(5.0), "all were cut, all are back");
    assert_eq!(report["measures"]["errors"].as_f64(), Some(0.0), "what was cut on purpose is no error");
}

/// A process that does not outlive the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next event that tells of a whole test, from the stream of the figures' own server.
fn ended_cycle(address: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let path = "/api/v1/stream/sse?match[]=gaugecast_loadtest_connections&events=loadtest";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/x-ndjson\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let event = lines
        .filter_map(|line| serde_json::from_str(&line).ok())
        .find(|message: &Value| message["type"] == "event" && message["kind"] == "loadtest");
    event.expect("the stream goes on until a test has ended")
}

#[test]
fn the_monitor_publishes_every_cycle_until_it_is_told_to_end() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut process = Ended(
        Command::new(PROGRAM)
            .args(["loadtest", "--preset=monitor", "--duration=3s", "--url", &server.url])
            .args(&PATIENT[..5])
            .args(LENIENT)
            .args(LENIENT_RECOVERY)
            .args(["--web.listen-address=127.0.0.1:0", "--json"])
            .arg(&json)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let figures = lines.find(|line| line.starts_with("figures at ")).unwrap();
    let address = figures.split('/').nth(2).unwrap().to_owned();
    let ended = ended_cycle(&address);
    assert!(matches!(ended["verdict"].as_str(), Some("pass" | "fail")), "{ended}");
    assert_eq!(
        (&ended["target"], &ended["connections"], &ended["errors"]),
        (&server.url.clone().into(), &5.into(), &0.into())
    );
    assert!(ended["failed"].is_array() && ended["messages"].as_u64() > Some(0), "{ended}");
    // A scrape may show figures that are 100 ms old, so those of the cycle before are asked for.
    lines.find(|line| line.contains("cycle 3")).unwrap();
    let mut scrape = TcpStream::connect(&address).unwrap();
    write!(scrape, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    scrape.read_to_string(&mut page).unwrap();
    for line in [
        "gaugecast_loadtest_criterion_met{criterion=\"sequence.errors==0\"} 1",
        "gaugecast_loadtest_ratio{of=\"connect.success\"} 1",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
    }
    let cycles = page
        .lines()
        .filter_map(|line| line.strip_prefix("gaugecast_loadtest_cycles_total{")?.split(' ').nth(1));
    assert!(cycles.map(|count| count.parse::<u32>().unwrap()).sum::<u32>() >= 2, "{page}");
    assert!(page.contains("gaugecast_loadtest_latency_seconds{of=\"delivery\",stat=\"p95\"}"));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    is_by_the_schema(&report);
    assert!(report["load"]["cycle"].as_u64() >= Some(2));
    let status = Command::new("kill").args(["-INT", &process.0.id().to_string()]).status().unwrap();
    assert!(status.success());
    let code = process.0.wait().unwrap().code();
    assert!(
        matches!(code, Some(0 | 99)),
        "that is how a monitor ends, by its own verdict and not 105: {code:?}"
    );
}

#[test]
fn a_server_of_its_own_is_loaded_and_its_resources_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let said = Command::new(PROGRAM)
        .args(["loadtest", "--serve", "--duration=4s", "--phases=broadcast", "--json"])
        .arg(&json)
        .args(PATIENT)
        .args(LENIENT)
        .arg("--expect=server.cpu<=100%")
        .output()
        .unwrap();
    assert!(matches!(said.status.code(), Some(0 | 99)), "{said:?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    is_by_the_schema(&report);
    for measure in ["server.cpu", "server.rss", "server.fds", "server.sent", "generator.received"] {
        assert!(report["measures"][measure].is_number(), "{measure}");
    }
    is_without_faults(&report);
    assert_eq!(report["load"]["granted_interval_ms"], 500);
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
        .args(["loadtest", "--url", &server.url, "-q", "--json"])
        .arg(&json)
        .args(&PATIENT[..3])
        .args(more)
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stdout));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    is_by_the_schema(&report);
    is_without_faults(&report);
    assert!(report["measures"]["rtt.count"].as_f64() > Some(2.0));
    assert_eq!(report["measures"]["delivery.p95"], Value::Null);
    assert!(report["unmeasured"]["delivery"].as_str().unwrap().contains("--time-field"));
}

/// Answers every connection with `answer`, once a request has come, and says no more.
fn answering(answer: &'static str) -> SocketAddr {
    saying(answer, Vec::new()).0
}

/// Answers every connection with `answer` and then says `more`. Counts the connections.
fn saying(answer: &'static str, more: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            count.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]);
            let key =
                request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let _ = stream.write_all(answer.replace("ACCEPT", &accept).as_bytes());
            let _ = stream.write_all(&more);
            open.push(stream);
        }
    });
    (address, seen)
}

#[test]
fn clients_come_back_when_a_goodbye_says_so_and_not_before() {
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n\
                    Sec-WebSocket-Protocol: gaugecast.v1.json\r\n\r\n";
    for (reconnect, retry_after_ms, is_back) in [(true, 0, true), (true, 60_000, false), (false, 0, false)] {
        let bye = serde_json::json!({
            "type": "bye", "code": 1001, "reason": "going_away", "reconnect": reconnect, "retry_after_ms": retry_after_ms,
        });
        let bye = bye.to_string();
        let frames =
            [&[0x81, u8::try_from(bye.len()).unwrap()], bye.as_bytes(), b"\x88\x02\x03\xe9"].concat();
        let (address, seen) = saying(upgraded, frames);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("ws://{address}/");
        let (_, report) =
            test(&url, folder.path(), &["--duration=2s", "--connections=3", "--phases=broadcast"]);
        let seen = seen.load(Ordering::SeqCst);
        assert!(if is_back { seen > 3 } else { seen == 3 }, "{bye}: {seen} connections");
        let closed = report["errors"]["closed"].as_u64();
        assert!(if is_back { closed >= Some(3) } else { closed == Some(3) }, "{bye}: {closed:?}");
    }
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
    let mut process = Ended(
        Command::new(PROGRAM)
            .args(["loadtest", "--url", &server.url, "--connections=2", "--duration=1h", "--json"])
            .arg(&json)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    // A line of progress: by then it listens for signals.
    let mut line = String::new();
    BufReader::new(process.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let status = Command::new("kill").args(["-INT", &process.0.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(process.0.wait().unwrap().code(), Some(105));
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
        (&["--url", "wss://127.0.0.1:1/", "--tls.ca-file", "/nowhere"], "TLS: /nowhere"),
        (&["--url", "ftp://127.0.0.1/"], "begin with ws://"),
        (&["--url", "http://127.0.0.1/", "--protocol", "any", "--send", "x"], "goes with WebSockets"),
        (&["--url", "ws://192.0.2.1/", "--i-own-this-target", "192.0.2.1", "--cycles", "0"], "--cycles N"),
        (&["--url", "ws://127.0.0.1:1/", "--duration", "1000h"], "at most"),
        (&[], "--url"),
    ] {
        let said = Command::new(PROGRAM).arg("loadtest").args(args).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(2) && err.contains(part), "{args:?}: {err}");
    }
}
