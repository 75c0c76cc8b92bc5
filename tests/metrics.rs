//! `docs/metrics.md` lists every metric of gaugecast's own: a whole server runs here, everything that counts is made
//! to happen once, and what is then exposed is the table.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gaugecast::clock::Clock;
use gaugecast::collect::intake::Intake;
use gaugecast::collect::scrape::{Asked, Client, Group, Job, Url};
use gaugecast::collect::ticker::Ticker;
use gaugecast::collect::{CollectError, Collector};
use gaugecast::config::{self, Config};
use gaugecast::exposition::page::PageWriter;
use gaugecast::exposition::parse::Format;
use gaugecast::history::Write as Push;
use gaugecast::monitor::{Allocated, Monitor, SecurityKind};
use gaugecast::registry::metrics::counter::Counter as RawCounter;
use gaugecast::registry::metrics::family::Family as RawFamily;
use gaugecast::registry::{Counter, Desc, Family, Registry};
use gaugecast::series::{Epoch, Scope, Tick};
use gaugecast::server::auth::Scope as TokenScope;
use gaugecast::server::auth::file::TokenFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const HEAD: &str = "\
# Metrics of gaugecast itself

<!-- `tests/metrics.rs` makes this table from a running server and holds it equal. -->

What gaugecast says about itself, under its names at `/metrics`. A series with labels appears when there is something to count.
`gaugecast_cgroup_*`, and everything under `node_*`, is in [host-metrics.md](host-metrics.md), `gaugecast_anomal*` in
[anomalies.md](anomalies.md).

| name | type | unit | labels | what |
| --- | --- | --- | --- | --- |
";

/// Name, with type, unit, help, and all labels that were seen.
type Seen = BTreeMap<String, (String, String, String, BTreeSet<String>)>;

fn note(seen: &mut Seen, tick: &Tick) {
    for family in &tick.schema.families {
        let meta = &family.meta;
        let name = &*meta.name;
        let own = name.starts_with("gaugecast_") || name.starts_with("process_");
        // Scores come with the first interval that ends, which is when it is.
        if !own || name.starts_with("gaugecast_cgroup_") || name.starts_with("gaugecast_anomal") {
            continue;
        }
        let (.., labels) = seen.entry(name.to_owned()).or_insert_with(|| {
            (meta.kind.as_str().to_owned(), unit(name, &meta.unit), meta.help.to_string(), BTreeSet::new())
        });
        for series in &family.series {
            labels.extend(series.labels().map(|(label, _)| label.to_string()).filter(|label| label != "le"));
        }
    }
}

/// The unit that was declared; text 0.0.4, which collectors write, has it in the name only.
fn unit(name: &str, declared: &str) -> String {
    let last = name.trim_end_matches("_total").rsplit('_').next().unwrap();
    let known = ["seconds", "bytes"].contains(&last);
    if declared.is_empty() && known { last.to_owned() } else { declared.to_owned() }
}

fn render(seen: &Seen) -> String {
    let mut page = String::from(HEAD);
    for (name, (kind, unit, help, labels)) in seen {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", ")).unwrap();
    }
    page
}

/// Fails, and writes a page that is none.
struct Broken;

impl Collector for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        page.raw(b"this is no sample\n");
        let reason = "as the test wants".to_owned();
        Err(CollectError::Format { path: "/broken".to_owned(), reason })
    }
}

gaugecast::label_set! {
    struct Which { which: u8 }
}

/// Makes the registry count what it refuses.
fn misuse(registry: &Registry) {
    registry.float_counter(("misuse_negative", "Goes down.")).unwrap().inc_by(-1.0);
    let capped: Family<Which, Counter> =
        registry.family(Desc::new("misuse_capped", "Has a cap.").limit(1), ()).unwrap();
    capped.get(&Which { which: 1 }).inc();
    capped.get(&Which { which: 2 }).inc();
    let unencodable = RawFamily::<[(&'static str, &'static str); 1], RawCounter>::default();
    unencodable.get_or_create(&[("no label", "x")]).inc();
    registry.register("misuse_unencodable", "Breaks the page.", None, unencodable).unwrap();
}

/// An application tells something of each kind.
fn tell(registry: &Registry) {
    let monitor = Monitor::new(registry, gaugecast::monitor::Config::default()).unwrap();
    monitor.watch_allocations(Allocated::default);
    monitor.operation("told").start().fail("as the test wants");
    monitor.security().report(SecurityKind::Blocked, "here", "");
    monitor.security().responded(Duration::from_millis(1));
    drop(monitor.connected());
    monitor.sample(monitor.now());
}

/// Pushes a series without a name, which is left out, with an exemplar; and one that is not live, as it is our own.
async fn push(address: std::net::SocketAddr, now_ms: i64) {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let head = [number << 3 | 2, u8::try_from(content.len()).unwrap()];
        [&head, content].concat()
    }
    let label = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let mut sample = vec![2 << 3];
    prost::encoding::encode_varint(now_ms.try_into().unwrap(), &mut sample);
    let sample = field(2, &sample);
    let nameless = [label(b"job", b"x"), sample.clone(), field(3, b"")].concat();
    let own = [label(b"__name__", b"process_threads"), sample].concat();
    let body = gaugecast::remote::pack(&[field(1, &nameless), field(1, &own)].concat());
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("1 of 2 samples were refused: 1: a series has no metric name"), "{answer}");
}

async fn get(address: std::net::SocketAddr, path: &str) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "));
}

/// A server with tokens and an audit file turns somebody away.
async fn turn_away(seen: &mut Seen) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = vec![([127, 0, 0, 1], 0).into()];
    let tokens = folder.path().join("tokens.json");
    TokenFile::new(&tokens).create("any", vec![TokenScope::Read], 0, None).unwrap();
    config.server.token_file = Some(tokens);
    config.server.audit_file = Some(folder.path().join("audit.jsonl"));
    let running = gaugecast::serve::start(&config, Registry::new(), None).await.unwrap();
    get(running.addresses()[0], "/api/v1/status?token=in-the-address").await;
    let last = running.ticks().fresh(Duration::ZERO).await;
    note(seen, &last);
    running.stop().await;
}

#[tokio::test]
async fn the_reference_names_every_metric_of_our_own() {
    let mut seen = Seen::new();
    let registry = Registry::new();
    misuse(&registry);
    tell(&registry);
    config::Metrics::register(&registry).unwrap();
    turn_away(&mut seen).await;

    // A collector whose page is refused, on a ticker of its own that counts into the same registry.
    let collectors: Vec<Box<dyn Collector>> = vec![Box::new(Broken)];
    let (clock, settings) = (Clock::start(), gaugecast::collect::Config::default());
    let ticker =
        Ticker::start(settings, collectors, Vec::new(), registry.clone(), Epoch(1), clock).await.unwrap();
    note(&mut seen, &ticker.ticks().latest());
    ticker.stop().await;

    // More network interfaces than are shown, a text file that is refused and one that repeats a series.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("net")).unwrap();
    let mut devices = String::from("Inter-|   Receive  |  Transmit\n face |bytes |bytes\n");
    for device in 0..10_000 {
        writeln!(devices, "d{device}: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1").unwrap();
    }
    fs::write(folder.path().join("net/dev"), devices).unwrap();
    fs::write(folder.path().join("broken.prom"), "this is no sample\n").unwrap();
    fs::write(folder.path().join("double.prom"), "process_threads 7\n").unwrap();
    let mut config = Config::default();
    config.server.listen = vec![([127, 0, 0, 1], 0).into()];
    config.collect.paths.procfs = folder.path().to_owned();
    config.collect.textfile_directories = vec![folder.path().to_owned()];
    // A job with more targets than it may have, which asks for others where nobody answers.
    let mut job = Job::new("many".into(), &config.scrape);
    job.limits.targets = 1;
    job.statics = vec![Group { targets: vec!["a:1".into(), "a:2".into()], ..Group::default() }];
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    job.asked = vec![Asked { url, refresh: Duration::from_secs(60), client: Client::default() }];
    config.scrape.jobs = vec![job];
    let nowhere = Url::parse("http://127.0.0.1:1/").unwrap();
    config.remote_write.receivers = vec![gaugecast::remote::send::Receiver::new(nowhere)];
    config.detect.watches = vec![gaugecast::detect::watch::Watch::new("any", &["process_open_fds"])];
    let running = gaugecast::serve::start(&config, registry.clone(), None).await.unwrap();
    let address = running.addresses()[0];

    // A sample that is older than the history goes back.
    let labels = vec![("__name__".to_owned(), "long_ago".to_owned())];
    let refused = running.history().append(&[Push { labels, samples: vec![(0, 0.0)] }], clock.now().unix_ms);
    assert_eq!(refused.too_old, 1);

    push(address, clock.now().unix_ms).await;
    get(address, "/nothing/here").await;
    get(address, "/api/v1/query?query=1").await;
    get(address, "/api/v1/stream/ws").await; // no upgrade, so a refused handshake
    let (mut client, _) = tokio_tungstenite::client_async(
        format!("ws://{address}/api/v1/stream/ws"),
        TcpStream::connect(address).await.unwrap(),
    )
    .await
    .unwrap();
    client.send(Message::text(r#"{"type":"nonsense"}"#)).await.unwrap();
    client.send(Message::text(r#"{"type":"hello","resume":"anywhere"}"#)).await.unwrap();
    for expected in ["welcome", "error", "resync"] {
        let message = client.next().await.unwrap().unwrap();
        assert!(message.to_text().unwrap().contains(expected), "{message}");
    }
    drop(client);
    let mut ticks = running.ticks().subscribe();
    for family in [
        "gaugecast_scrapes_total",
        "gaugecast_sd_refresh_failures_total",
        "gaugecast_rule_group_last_duration_seconds",
        "gaugecast_rule_no_data_total",
        "gaugecast_alerts",
    ] {
        ticks.wait_for(|tick| tick.schema.family(family).is_some()).await.unwrap();
    }
    let last = running.ticks().fresh(Duration::ZERO).await;
    note(&mut seen, &last);
    running.stop().await;

    // What was counted up to the end, the end of the stream included.
    let mut page = Vec::new();
    registry.page(&mut page);
    let mut intake = Intake::new(Epoch(2), 10_000);
    let source = intake.add_source("registry", Scope::Own);
    intake.page(source, &page, Format::OpenMetrics).unwrap();
    note(&mut seen, &intake.commit(clock.now(), 1));

    // Without features of cargo the label is empty, so it is not there.
    let (.., labels) = seen.get_mut("gaugecast_build_info").unwrap();
    labels.insert("features".into());

    let without_help: Vec<&String> =
        seen.iter().filter(|(_, (_, _, help, _))| help.is_empty()).map(|(name, _)| name).collect();
    assert!(without_help.is_empty(), "{without_help:?}");
    let made = render(&seen);
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if fs::read_to_string(&written).unwrap_or_default() != made {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        fs::write(&path, made).unwrap();
        panic!("{} is out of date; the right one is {}", written.display(), path.display());
    }
}
