//! The HTTP side, byte by byte: each test writes what a client sends and reads what it gets.
//!
//! Most run over an in-memory connection with time paused, so that deadlines of seconds pass at once and always
//! in the same order; those that are about the listener run over TCP on a port the system chooses.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::exposition::Expositions;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Table, Tick};
use gaugecast::server::{
    App, BindError, Body, Config, Drained, Parts, Problem, Readiness, Reload, Router, Server, Stream,
    downcast, serve_connection,
};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const EPOCH: Epoch = Epoch(0xabc);
const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 50_000);
const REMOTE: ([u8; 4], u16) = ([192, 0, 2, 9], 50_000);

// ------------------------------------------------------------------------------------------------ a server

struct Fixture {
    app: App,
    router: Router,
    stop: CancellationToken,
    publish: watch::Sender<Arc<Tick>>,
    table: Table,
}

/// A table with `cpu` and `mem`, one sample each, at offset 1.
fn table() -> Table {
    let mut table = Table::new(EPOCH, 100);
    for name in ["cpu", "mem"] {
        let source = table.add_source(name, Scope::Own);
        let name = format!("node_{name}");
        let meta = FamilyMeta { name: (*name).into(), kind: Kind::Gauge, help: "".into(), unit: "".into() };
        let none: [(&str, &str); 0] = [];
        let slot = table.series(source, &Arc::new(meta), Role::Value, &name, &none).expect("room");
        table.set(slot, 0.5, NO_TIME);
    }
    table
}

fn moment(seconds: u64) -> Moment {
    Moment { since_start: Duration::from_secs(seconds), unix_ms: 1_700_000_000_000 }
}

fn fixture(change: impl FnOnce(&mut Config)) -> Fixture {
    fixture_with(change, None, None)
}

fn fixture_with(
    change: impl FnOnce(&mut Config),
    stream: Option<Arc<dyn Stream>>,
    reload: Option<Reload>,
) -> Fixture {
    let mut config = Config { listen: vec![([127, 0, 0, 1], 0).into()], ..Config::default() };
    change(&mut config);
    let mut table = table();
    let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
    let parts = Parts {
        config,
        clock: Clock::start(),
        ticks,
        expositions: Expositions::default(),
        registry: Registry::new(),
        stream,
        samples: None,
        history: None,
        query: gaugecast::query::Config::default(),
        targets: gaugecast::collect::scrape::Targets::default(),
        rules: None,
        anomalies: None,
        pushes: None,
        reload,
        admin: gaugecast::server::Admin::default(),
    };
    let app = App::new(parts).expect("a fresh registry");
    Fixture { router: Router::new(app.clone()), app, stop: CancellationToken::new(), publish, table }
}

impl Fixture {
    /// A connection of a peer, and the task that serves it. `buffer` is what the way takes in each direction.
    fn connect_from(
        &self,
        peer: impl Into<SocketAddr>,
        buffer: usize,
    ) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(buffer);
        let task =
            tokio::spawn(serve_connection(server, peer.into(), self.router.clone(), self.stop.clone()));
        (client, task)
    }

    fn connect(&self) -> DuplexStream {
        self.connect_from(LOCAL, 64 << 10).0
    }

    /// Sends bytes on a connection of their own and reads one answer.
    async fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.write_all(bytes.as_ref()).await.expect("taken");
        Answer::read(&mut client).await.expect("an answer")
    }

    async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(request("GET", path, headers)).await
    }
}

fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost:7171\r\n{headers}\r\n")
}

// ------------------------------------------------------------------------------------------------ a client

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Reads one answer; `None` when the connection ends before one.
    async fn read(io: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
        Answer::read_to(io, false).await
    }

    /// The same for the answer to a HEAD, which has no body.
    async fn read_to(io: &mut (impl AsyncRead + Unpin), head_only: bool) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match io.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) if head.is_empty() => return None,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).expect("ASCII");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        if !head_only && status != 304 {
            answer.body.resize(length, 0);
            io.read_exact(&mut answer.body).await.expect("the whole body");
        }
        Some(answer)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (given, value) = line.split_once(": ")?;
            given.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.head);
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The envelope of an error, whose parts are all there.
    fn error(&self) -> Value {
        let json = self.json();
        assert_eq!(json["status"], "error");
        assert!(json["errorType"].is_string() && json["error"].is_string() && json["details"].is_object());
        assert_eq!(json["requestId"].as_str(), self.header("x-request-id"));
        json
    }

    fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// Reads on until the connection ends; what came before that.
async fn rest(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut rest = Vec::new();
    // A reset ends it as well.
    let _ = io.read_to_end(&mut rest).await;
    String::from_utf8_lossy(&rest).into_owned()
}

// ------------------------------------------------------------------------------------------------- answers

#[tokio::test(start_paused = true)]
async fn metrics_are_those_of_the_tick_and_say_which() {
    let fixture = fixture(|_| {});
    let answer = fixture.get("/metrics", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("node_cpu 0.5\n") && answer.text().contains("node_mem 0.5\n"));
    assert_eq!(answer.header("x-gaugecast-offset"), Some("0000000000000abc:1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Accept")));
}

#[tokio::test(start_paused = true)]
async fn collect_and_exclude_choose_sources_and_an_unknown_one_is_told_the_valid_names() {
    let fixture = fixture(|_| {});
    let only = fixture.get("/metrics?collect%5B%5D=cpu", "").await;
    assert!(only.text().contains("node_cpu 0.5") && !only.text().contains("node_mem 0.5"));
    let but = fixture.get("/metrics?exclude[]=cpu", "").await;
    assert!(!but.text().contains("node_cpu 0.5") && but.text().contains("node_mem 0.5"));
    let unknown = fixture.get("/metrics?collect[]=cpuu", "").await;
    assert_eq!(unknown.status, 400);
    let error = unknown.error();
    assert_eq!(error["details"]["valid"], serde_json::json!(["cpu", "mem"]));
    assert_eq!(error["error"], "there is no source \"cpuu\"; there are cpu, mem");
    assert_eq!(fixture.get("/metrics?collect[]=cpu&exclude[]=mem", "").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_has_a_strong_etag_of_its_tick_and_is_not_sent_twice() {
    let mut fixture = fixture(|_| {});
    let first = fixture.get("/api/v1/metrics", "").await;
    assert_eq!((first.status, first.json()["status"].as_str()), (200, Some("success")));
    let etag = first.header("etag").expect("an ETag");
    assert_eq!(etag, "\"0000000000000abc:1\"");
    let known = format!("If-None-Match: {etag}\r\n");
    let again = fixture.get("/api/v1/metrics", &known).await;
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(etag), 0));
    let tick = fixture.table.commit(moment(1), 1);
    fixture.publish.send(tick).expect("someone reads");
    let changed = fixture.get("/api/v1/metrics", &known).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"0000000000000abc:2\"")));
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_takes_selectors_from_a_form_of_the_right_type_only() {
    let fixture = fixture(|_| {});
    let post = |kind: &str, body: &str| {
        let length = body.len();
        let headers = format!("{kind}Content-Length: {length}\r\n");
        request("POST", "/api/v1/metrics", &headers) + body
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(fixture.ask(post(form, "match%5B%5D=node_cpu")).await.status, 200);
    for wrong in ["", "Content-Type: text/plain\r\n"] {
        let refused = fixture.ask(post(wrong, "match[]=node_cpu")).await;
        assert_eq!(refused.status, 415);
        assert!(refused.error()["error"].to_string().contains("application/x-www-form-urlencoded"));
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let fixture = fixture(|_| {});
    for path in
        ["/", "/app.js", "/metrics", "/api/v1/metrics", "/-/healthy", "/-/ready", "/healthz", "/readyz"]
    {
        let get = fixture.get(path, "").await;
        let mut client = fixture.connect();
        client.write_all(request("HEAD", path, "Connection: close\r\n").as_bytes()).await.expect("taken");
        let head = Answer::read_to(&mut client, true).await.expect("an answer");
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(rest(&mut client).await, "", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_program_and_health_does_not() {
    let fixture = fixture(|_| {});
    for (readiness, status) in [(None, 503), (Some(Readiness::Ready), 200), (Some(Readiness::Draining), 503)]
    {
        if let Some(readiness) = readiness {
            fixture.app.set_readiness(readiness);
        }
        for path in ["/-/ready", "/readyz"] {
            let answer = fixture.get(path, "").await;
            assert_eq!((answer.status, answer.text().lines().count()), (status, 1), "{readiness:?}");
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
        assert_eq!(fixture.get("/-/healthy", "").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn status_tells_where_the_server_is() {
    let fixture = fixture(|_| {});
    let data = &fixture.get("/api/v1/status", "").await.json()["data"];
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&data["epoch"], &data["offset"]), (&"0000000000000abc".into(), &1.into()));
    assert_eq!((&data["series"], &data["clients"], &data["ready"]), (&2.into(), &0.into(), &false.into()));
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_router_has_the_security_headers() {
    let fixture = fixture(|_| {});
    for path in
        ["/", "/app.css", "/metrics", "/api/v1/metrics", "/-/healthy", "/nothing", "/api/nothing", "/%00"]
    {
        let answer = fixture.get(path, "").await;
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(
            answer.header("cache-control").is_some() && answer.header("x-request-id").is_some(),
            "{path}"
        );
    }
    let named = fixture.get("/-/healthy", "X-Request-Id: abc-1\r\n").await;
    assert_eq!(named.header("x-request-id"), Some("abc-1"));
}

#[tokio::test(start_paused = true)]
async fn the_page_comes_from_the_binary_with_etag_and_links_to_the_endpoints() {
    let fixture = fixture(|_| {});
    let page = fixture.get("/", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for link in ["metrics", "api/v1/metrics"] {
        assert!(page.text().contains(link), "{link}");
    }
    let etag = page.header("etag").expect("an ETag");
    assert!(etag.starts_with('"'));
    assert_eq!(fixture.get("/", &format!("If-None-Match: {etag}\r\n")).await.status, 304);
    let packed = fixture.get("/", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    assert_ne!(packed.header("etag"), Some(etag));
}

#[tokio::test(start_paused = true)]
async fn all_routes_stand_under_the_prefix() {
    let fixture = fixture(|config| config.route_prefix = "/live/".into());
    assert_eq!(fixture.get("/live/metrics", "").await.status, 200);
    assert_eq!(fixture.get("/live/-/healthy", "").await.status, 200);
    assert_eq!(fixture.get("/metrics", "").await.status, 404);
    assert_eq!(fixture.get("/livemetrics", "").await.status, 404);
    for path in ["/", "/live"] {
        let answer = fixture.get(path, "").await;
        assert_eq!((answer.status, answer.header("location")), (302, Some("/live/")));
    }
    assert!(fixture.get("/live/api/nothing", "").await.error()["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn the_path_of_the_external_url_is_the_prefix_unless_another_is_given() {
    let url = || Some("https://proxy.example.org/live/".to_owned());
    let by_url = fixture(|config| config.external_url = url());
    assert_eq!(by_url.get("/live/metrics", "").await.status, 200);
    let without = fixture(|config| {
        config.external_url = url();
        config.route_prefix = "/".into();
    });
    assert_eq!(without.get("/metrics", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_router_is_a_service_of_any_hyper_server() {
    let fixture = fixture(|_| {});
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let http = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(server), fixture.router.clone());
    let serving = tokio::spawn(http);
    client.write_all(request("GET", "/metrics", "Connection: close\r\n").as_bytes()).await.expect("taken");
    let answer = Answer::read(&mut client).await.expect("an answer");
    assert!(answer.status == 200 && answer.text().contains("node_cpu 0.5"));
    drop(client);
    serving.await.expect("no panic").expect("no error");
}

// ----------------------------------------------------------------------------------------- B1, B2: routes

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_404_json_under_api_and_html_elsewhere() {
    let fixture = fixture(|_| {});
    let api = fixture.get("/api/v1/nothing", "").await;
    assert_eq!((api.status, api.error()["errorType"].as_str()), (404, Some("not_found")));
    for path in ["/nothing", "/metrics/", "/metricsx", "/%3Cscript%3E"] {
        let page = fixture.get(path, "").await;
        assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
        assert!(!page.text().contains("node_cpu") && !page.text().contains("script"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_405_with_allow_and_options_say_the_same() {
    let fixture = fixture(|_| {});
    for (method, path, allow) in [
        ("DELETE", "/metrics", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v1/metrics", "GET, HEAD, POST, OPTIONS"),
        ("GET", "/-/reload", "POST, OPTIONS"),
        ("BREW", "/-/healthy", "GET, HEAD, OPTIONS"),
    ] {
        let answer = fixture.ask(request(method, path, "")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        answer.error();
        let options = fixture.ask(request("OPTIONS", path, "")).await;
        assert_eq!((options.status, options.header("allow")), (204, Some(allow)));
    }
}

// ---------------------------------------------------------------------------------- B3 to B7: what is sent

#[tokio::test(start_paused = true)]
async fn a_head_of_more_than_16_kib_or_100_headers_is_431_and_the_end() {
    let fixture = fixture(|_| {});
    let long = format!("X-Long: {}\r\n", "x".repeat(17 << 10));
    let many: String = (0..100).map(|i| format!("X-{i}: y\r\n")).collect();
    let endless = "x".repeat(40 << 10);
    for bytes in [
        request("GET", "/metrics", &long),
        request("GET", "/metrics", &many),
        request("GET", "/metrics", &format!("X-Long: {endless}")),
    ] {
        let mut client = fixture.connect();
        client.write_all(bytes.as_bytes()).await.expect("taken");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!((answer.status, answer.closes()), (431, true));
        assert_eq!(rest(&mut client).await, "");
    }
    let fits: String = (0..99).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(fixture.get("/metrics", &fits).await.status, 200);
    let fits = format!("X-Long: {}\r\n", "x".repeat(15 << 10));
    assert_eq!(fixture.get("/metrics", &fits).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_told_why_with_the_usual_headers() {
    let fixture = fixture(|_| {});
    let many: String = (0..100).map(|i| format!("X-{i}: y\r\n")).collect();
    let get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
    for (sent, status, says) in [
        (request("GET", "/metrics", &many), 431, "16384 bytes and 100 headers"),
        ("hello\r\n\r\n".into(), 400, "HTTP/1.1"),
        (format!("{get}Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400, "HTTP/1.1"),
        (format!("{get}X:"), 408, "in time"),
    ] {
        let mut client = fixture.connect();
        // A request that is in order first: what is refused need not be the first of its connection.
        client.write_all(request("GET", "/-/healthy", "").as_bytes()).await.expect("taken");
        assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
        client.write_all(sent.as_bytes()).await.expect("taken");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!((answer.status, answer.closes()), (status, true));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("content-security-policy").is_some_and(|policy| policy.contains("'self'")));
        let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(told["error"].as_str().is_some_and(|error| error.contains(says)), "{told}");
        assert_eq!(told["requestId"].as_str(), answer.header("x-request-id"));
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{}", answer.head);
        assert_eq!(rest(&mut client).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn more_selectors_than_a_subscription_may_have_are_400() {
    let fixture = fixture(|_| {});
    let path = |count: usize| format!("/api/v1/metrics?{}", vec!["match[]=up"; count].join("&"));
    assert_eq!(fixture.get(&path(32), "").await.status, 200);
    let refused = fixture.get(&path(33), "").await;
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8_lossy(&refused.body).contains("33 match[] are more than 32"));
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_413_before_it_is_read() {
    let fixture = fixture(|config| config.limits.body_bytes = 1000);
    // By its word, at once, and without asking for it.
    let headers = format!("{FORM}Content-Length: 1001\r\nExpect: 100-continue\r\n");
    let mut client = fixture.connect();
    client.write_all(request("POST", "/api/v1/metrics", &headers).as_bytes()).await.expect("taken");
    let answer = Answer::read(&mut client).await.expect("an answer");
    assert_eq!((answer.status, answer.closes()), (413, true));
    assert_eq!(answer.error()["details"]["limit"], 1000);
    assert_eq!(rest(&mut client).await, "");
    // By counting: the chunk that is too much is announced, no end ever comes.
    let headers = format!("{FORM}Transfer-Encoding: chunked\r\n");
    let chunks = format!("258\r\n{0}\r\n258\r\n{0}\r\n", "a".repeat(600));
    let answer = fixture.ask(request("POST", "/api/v1/metrics", &headers) + &chunks).await;
    assert_eq!((answer.status, answer.closes()), (413, true));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_408() {
    let fixture = fixture(|_| {});
    let headers = format!("{FORM}Content-Length: 100\r\n");
    let start = Instant::now();
    let answer = fixture.ask(request("POST", "/api/v1/metrics", &headers) + "match").await;
    assert_eq!((answer.status, answer.closes()), (408, true));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_no_text_or_leads_out_is_refused() {
    let fixture = fixture(|_| {});
    for path in
        ["/%ff", "/a%00b", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/app.js/..", "/..%2fCargo.toml"]
    {
        let answer = fixture.get(path, "").await;
        assert_eq!(answer.status, 400, "{path}");
        answer.error();
    }
    let raw = [
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(),
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for bytes in raw {
        let answer = fixture.ask(bytes).await;
        assert!([400, 404].contains(&answer.status), "{}", answer.head);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_two_lengths_is_400_and_what_follows_it_is_not_read() {
    let fixture = fixture(|_| {});
    let smuggled = request("GET", "/-/healthy", "");
    let length = smuggled.len() + 5;
    let both = [
        format!("{FORM}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("{FORM}Transfer-Encoding: chunked\r\ncontent-LENGTH: {length}\r\n"),
        format!("{FORM}Content-Length: 4\r\nContent-Length: 5\r\n"),
        format!("{FORM}Transfer-Encoding: chunked, identity\r\n"),
        format!("{FORM}Content-Length: +5\r\n"),
        format!("{FORM}Content-Length : 5\r\n"),
    ];
    for headers in &both {
        let mut client = fixture.connect();
        let bytes = request("POST", "/api/v1/metrics", headers) + "0\r\n\r\n" + &smuggled;
        client.write_all(bytes.as_bytes()).await.expect("taken");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!((answer.status, answer.closes()), (400, true), "{headers}");
        assert_eq!(rest(&mut client).await, "", "{headers}");
    }
    // Behind a pipelined request as well, where its head comes with that of the other.
    let mut client = fixture.connect();
    let bytes =
        request("GET", "/-/healthy", "") + &request("POST", "/api/v1/metrics", &both[0]) + "0\r\n\r\n";
    client.write_all(bytes.as_bytes()).await.expect("taken");
    assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
    let answer = Answer::read(&mut client).await.expect("an answer");
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn bad_chunks_are_400_and_good_ones_are_read() {
    let fixture = fixture(|_| {});
    let headers = format!("{FORM}Transfer-Encoding: chunked\r\n");
    let head = request("POST", "/api/v1/metrics", &headers);
    for chunks in ["zz\r\nabc\r\n0\r\n\r\n", "ffffffffffffffffff\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\n"] {
        let mut client = fixture.connect();
        client.write_all((head.clone() + chunks).as_bytes()).await.expect("taken");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!((answer.status, answer.closes()), (400, true), "{chunks:?}");
        assert_eq!(rest(&mut client).await, "");
    }
    let good = head + "8\r\nmatch[]=\r\n8\r\nnode_cpu\r\n0\r\n\r\n";
    assert_eq!(fixture.ask(good).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_400_and_the_end() {
    let fixture = fixture(|_| {});
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello tls\r\n\r\n"[..],
        b"HELO mail\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut client = fixture.connect();
        client.write_all(bytes).await.expect("taken");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!(answer.status, 400);
        assert_eq!(rest(&mut client).await, "");
    }
}

// --------------------------------------------------------------------------------------- B8, B17: whose name

#[tokio::test(start_paused = true)]
async fn a_foreign_host_is_421_with_the_name_of_the_setting() {
    let fixture = fixture(|config| config.allowed_hosts.push("metrics.example.com".into()));
    let ask = async |host: &str, path: &str| {
        fixture.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    };
    for path in ["/metrics", "/", "/api/v1/metrics", "/nothing"] {
        let answer = ask("evil.example:7171", path).await;
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.error()["error"].to_string().contains("--web.allowed-host"));
    }
    for host in ["localhost:7171", "127.0.0.1", "[::1]:1", "metrics.example.com"] {
        assert_eq!(ask(host, "/metrics").await.status, 200, "{host}");
    }
    assert_eq!(ask("10.1.2.3:8080", "/-/ready").await.status, 503, "a probe by address is answered");
    assert_eq!(fixture.ask("GET /metrics HTTP/1.1\r\n\r\n").await.status, 400);
    assert_eq!(fixture.ask("GET /metrics HTTP/1.0\r\n\r\n").await.status, 200);
    let two = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    assert_eq!(fixture.ask(two).await.status, 400);
    let absolute = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(fixture.ask(absolute).await.status, 421);
}

/// Upgrades to a stream that echoes, tells when it got the socket itself, and panics for the client `panic`.
struct Echo {
    got_socket: mpsc::UnboundedSender<bool>,
}

impl Stream for Echo {
    fn feed<'a>(
        &'a self,
        _request: Request<()>,
        asked: Vec<(String, String)>,
        _peer: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send + 'a>> {
        Box::pin(async move { Ok(Response::new(Body::from(format!("{asked:?}")))) })
    }

    fn upgrade(&self, mut request: Request<()>, _peer: SocketAddr) -> Result<Response<Body>, Problem> {
        assert!(!request.headers().contains_key("x-panic"), "asked to");
        let tell = self.got_socket.clone();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let upgraded = upgrade.await.expect("upgraded");
            let socket = downcast::<DuplexStream>(upgraded);
            let _ = tell.send(socket.is_ok());
            if let Ok((mut socket, already, _seat)) = socket {
                let _ = socket.write_all(&already).await;
                let (mut read, mut write) = tokio::io::split(socket);
                let _ = tokio::io::copy(&mut read, &mut write).await;
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("upgrade", "echo".parse().expect("a value"));
        response.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
        Ok(response)
    }

    fn clients(&self) -> usize {
        7
    }
}

fn streaming(change: impl FnOnce(&mut Config)) -> (Fixture, mpsc::UnboundedReceiver<bool>) {
    let (got_socket, told) = mpsc::unbounded_channel();
    (fixture_with(change, Some(Arc::new(Echo { got_socket })), None), told)
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: echo\r\n";

#[tokio::test(start_paused = true)]
async fn a_stream_gets_the_socket_itself_and_no_deadline_of_ours() {
    let (fixture, mut told) = streaming(|_| {});
    let mut client = fixture.connect();
    let bytes = request("GET", "/api/v1/stream/ws", UPGRADE) + "early";
    client.write_all(bytes.as_bytes()).await.expect("taken");
    assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 101);
    assert_eq!(told.recv().await, Some(true));
    let mut echo = [0; 5];
    client.read_exact(&mut echo).await.expect("echoed");
    assert_eq!(&echo, b"early");
    tokio::time::advance(Duration::from_secs(1000)).await;
    client.write_all(b"later").await.expect("open");
    client.read_exact(&mut echo).await.expect("echoed");
    assert_eq!(&echo, b"later");
    assert_eq!(fixture.get("/api/v1/status", "").await.json()["data"]["clients"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_stream_for_a_foreign_page_is_403_with_the_name_of_the_setting() {
    let (fixture, _told) = streaming(|config| config.allowed_origins.push("https://ok.example".into()));
    for (origin, status) in [
        ("http://localhost:7171", 101),
        ("https://ok.example", 101),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let headers = format!("{UPGRADE}Origin: {origin}\r\n");
        let answer = fixture.get("/api/v1/stream/ws", &headers).await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 403 {
            assert!(answer.error()["error"].to_string().contains("--web.allowed-origin"));
        }
    }
    let allowed = fixture.get("/api/v1/metrics", "Origin: https://ok.example\r\n").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://ok.example"));
    let foreign = fixture.get("/api/v1/metrics", "Origin: https://evil.example\r\n").await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[tokio::test(start_paused = true)]
async fn reload_is_off_by_default_and_closed_to_foreign_pages() {
    let off = fixture(|_| {});
    let answer = off.ask(request("POST", "/-/reload", "")).await;
    assert_eq!(answer.status, 403);
    assert!(answer.error()["error"].to_string().contains("--web.enable-lifecycle"));
    let reload: Reload = Box::new(|| Box::pin(async { Ok("nothing changed".to_owned()) }));
    let on = fixture_with(|_| {}, None, Some(reload));
    let answer = on.ask(request("POST", "/-/reload", "")).await;
    assert_eq!((answer.status, answer.text()), (200, "nothing changed\n"));
    assert_eq!(on.ask(request("POST", "/-/reload", "Origin: https://evil.example\r\n")).await.status, 403);
    let reload: Reload = Box::new(|| Box::pin(async { Err("line 3: no".to_owned()) }));
    let broken = fixture_with(|_| {}, None, Some(reload));
    let answer = broken.ask(request("POST", "/-/reload", "")).await;
    assert_eq!((answer.status, answer.error()["error"].as_str()), (500, Some("line 3: no")));
}

// ------------------------------------------------------------------------------------ B93: a handler panics

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_is_500_with_an_id_and_the_connection_goes_on() {
    let (fixture, _told) = streaming(|_| {});
    let mut client = fixture.connect();
    for (path, headers, status) in [("/api/v1/stream/ws", "X-Panic: 1\r\n", 500), ("/-/healthy", "", 200)] {
        client.write_all(request("GET", path, headers).as_bytes()).await.expect("open");
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!(answer.status, status);
        if status == 500 {
            assert_eq!(answer.error()["errorType"], "internal");
            assert!(!answer.text().contains("asked to"), "what went wrong inside is for the log");
        }
    }
}

// --------------------------------------------------------------------------------- B9, B12, B14: over time

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_in_five_seconds_is_408_however_it_trickles() {
    let fixture = fixture(|_| {});
    let mut client = fixture.connect();
    let start = Instant::now();
    let (mut read, mut write) = tokio::io::split(&mut client);
    let trickle = async {
        for byte in request("GET", "/metrics", "").bytes().cycle() {
            if write.write_all(&[byte & 0x7f | 0x40]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let answer = tokio::select! {
        answer = Answer::read(&mut read) => answer.expect("an answer"),
        () = trickle => panic!("cut without an answer"),
    };
    assert_eq!((answer.status, answer.closes(), start.elapsed().as_secs()), (408, true, 5));
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_second_head_has_its_own_five_seconds() {
    let fixture = fixture(|_| {});
    let mut client = fixture.connect();
    client.write_all(request("GET", "/-/healthy", "").as_bytes()).await.expect("open");
    assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let start = Instant::now();
    client.write_all(b"GET /metrics").await.expect("open");
    assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 408);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_says_a_word_is_closed_after_five_seconds() {
    let fixture = fixture(|_| {});
    let start = Instant::now();
    assert_eq!(rest(&mut fixture.connect()).await, "");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_75_seconds_from_its_last_answer() {
    let fixture = fixture(|_| {});
    let mut client = fixture.connect();
    for _ in 0..3 {
        client.write_all(request("GET", "/-/healthy", "").as_bytes()).await.expect("open");
        assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
        tokio::time::sleep(Duration::from_secs(74)).await;
    }
    client.write_all(request("GET", "/-/healthy", "").as_bytes()).await.expect("open");
    assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
    let start = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(start.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_or_stops_reading_ends_its_connection_only() {
    let fixture = fixture(|_| {});
    // It goes while the answer, which does not fit the way, is being written.
    let (mut client, task) = fixture.connect_from(LOCAL, 64);
    client.write_all(request("GET", "/", "").as_bytes()).await.expect("taken");
    client.read_u8().await.expect("an answer begins");
    drop(client);
    task.await.expect("no panic");
    // It stays and does not read.
    let (mut client, task) = fixture.connect_from(LOCAL, 64);
    let start = Instant::now();
    client.write_all(request("GET", "/", "").as_bytes()).await.expect("taken");
    task.await.expect("no panic");
    assert_eq!(start.elapsed().as_secs(), 30);
    drop(client);
    assert_eq!(fixture.get("/-/healthy", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_so_many_requests_then_it_is_closed() {
    let fixture = fixture(|config| config.limits.requests_per_connection = 3);
    let mut client = fixture.connect();
    let pipelined = request("GET", "/-/healthy", "").repeat(10);
    client.write_all(pipelined.as_bytes()).await.expect("taken");
    for at in 1..=3 {
        let answer = Answer::read(&mut client).await.expect("an answer");
        assert_eq!((answer.status, answer.closes()), (200, at == 3));
    }
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_asks_too_often_is_429_and_health_is_still_told() {
    let fixture = fixture(|config| {
        config.limits.rate = 1;
        config.limits.rate_burst = 5;
    });
    let (mut client, _task) = fixture.connect_from(REMOTE, 64 << 10);
    let mut ask = async |path: &str| {
        client.write_all(request("GET", path, "").as_bytes()).await.expect("open");
        Answer::read(&mut client).await.expect("an answer")
    };
    for _ in 0..5 {
        assert_eq!(ask("/api/v1/status").await.status, 200);
    }
    let refused = ask("/api/v1/status").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    refused.error();
    assert_eq!(ask("/-/healthy").await.status, 200);
    assert_eq!(fixture.get("/api/v1/status", "").await.status, 200, "another address is not affected");
}

// ------------------------------------------------------------------------------- the listener, over TCP

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Drained>,
}

fn run(fixture: &Fixture) -> Running {
    let server = Server::bind(fixture.app.clone()).expect("a free port");
    let address = server.addresses()[0];
    assert_ne!(address.port(), 0);
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.run(stop.clone()));
    Running { address, stop, task }
}

async fn send(io: &mut (impl AsyncWrite + Unpin), bytes: &str) {
    io.write_all(bytes.as_bytes()).await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout)] // says what was not tested
async fn metrics_and_health_are_answered_under_ten_thousand_half_open_connections() {
    const WANTED: usize = 10_000;
    let fixture = fixture(|_| {});
    let running = run(&fixture);
    // Binding raised the limit of open files; both ends of every connection are in this process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    let most = usize::try_from(limit).expect("64 bit").saturating_sub(1500);
    if most < WANTED {
        println!("only {most} connections: the limit of open files is {limit}");
    }
    let mut crowd = Vec::new();
    for at in 0..WANTED.min(most) {
        let mut half_open = TcpStream::connect(running.address).await.expect("accepted");
        if at % 2 == 0 {
            // Turned out already, perhaps.
            let _ = half_open.write_all(b"GET /metr").await;
        }
        crowd.push(half_open);
    }
    for path in ["/metrics", "/-/healthy", "/-/ready"] {
        let answer = tokio::time::timeout(Duration::from_secs(1), async {
            let mut client = TcpStream::connect(running.address).await.expect("accepted");
            send(&mut client, &request("GET", path, "")).await;
            Answer::read(&mut client).await.expect("an answer")
        });
        let answer = answer.await.expect("within a second, as the requirement says");
        assert!([200, 503].contains(&answer.status), "{path}");
    }
    let mut client = TcpStream::connect(running.address).await.expect("accepted");
    send(&mut client, &request("GET", "/api/v1/status", "")).await;
    let status = Answer::read(&mut client).await.expect("an answer").json();
    assert!(status["data"]["connections"].as_u64().expect("a number") <= 1024 + 4, "{status}");
    running.stop.cancel();
    assert_eq!(running.task.await.expect("no panic"), Drained::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_the_listener_and_idle_connections_and_is_told_by_ready() {
    let fixture = fixture(|_| {});
    fixture.app.set_readiness(Readiness::Ready);
    let running = run(&fixture);
    let mut idle = TcpStream::connect(running.address).await.expect("accepted");
    send(&mut idle, &request("GET", "/-/ready", "")).await;
    assert_eq!(Answer::read(&mut idle).await.expect("an answer").status, 200);
    let mut half_open = TcpStream::connect(running.address).await.expect("accepted");
    send(&mut half_open, "GET /").await;
    running.stop.cancel();
    assert_eq!(running.task.await.expect("no panic"), Drained::Finished);
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut half_open).await, "");
    assert_eq!(fixture.app.readiness(), Readiness::Draining);
    assert!(TcpStream::connect(running.address).await.is_err());
}

/// A reload that begins and ends when it is told to.
fn held_reload() -> (Reload, mpsc::UnboundedReceiver<()>, Arc<tokio::sync::Notify>) {
    let (begun, told) = mpsc::unbounded_channel();
    let go_on = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go_on);
    let reload: Reload = Box::new(move || {
        let (begun, wait) = (begun.clone(), Arc::clone(&wait));
        Box::pin(async move {
            let _ = begun.send(());
            wait.notified().await;
            Ok("done".to_owned())
        })
    });
    (reload, told, go_on)
}

#[tokio::test]
async fn a_request_in_flight_at_the_stop_is_answered() {
    let (reload, mut begun, go_on) = held_reload();
    let fixture = fixture_with(|_| {}, None, Some(reload));
    let running = run(&fixture);
    let mut client = TcpStream::connect(running.address).await.expect("accepted");
    send(&mut client, &request("POST", "/-/reload", "")).await;
    begun.recv().await.expect("begun");
    running.stop.cancel();
    go_on.notify_one();
    let answer = Answer::read(&mut client).await.expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "done\n"));
    assert_eq!(running.task.await.expect("no panic"), Drained::Finished);
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_deadline_is_cut_and_counted() {
    let (reload, mut begun, _never) = held_reload();
    let fixture = fixture_with(|config| config.limits.drain = Duration::ZERO, None, Some(reload));
    let running = run(&fixture);
    let mut client = TcpStream::connect(running.address).await.expect("accepted");
    send(&mut client, &request("POST", "/-/reload", "")).await;
    begun.recv().await.expect("begun");
    running.stop.cancel();
    assert_eq!(running.task.await.expect("no panic"), Drained::Cut(1));
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn an_address_in_use_is_told_with_the_flag_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let error = Server::bind(fixture(|config| config.listen = vec![address]).app).expect_err("in use");
    assert!(matches!(error, BindError::InUse { .. }));
    assert_eq!(error.to_string(), format!("{address}: address in use, try --web.listen-address"));
}

#[tokio::test]
async fn without_authentication_only_loopback_is_listened_on_unless_that_is_accepted() {
    for open in ["0.0.0.0:0", "[::]:0"] {
        let open: SocketAddr = open.parse().expect("an address");
        let error = Server::bind(fixture(|config| config.listen = vec![open]).app).expect_err("refused");
        assert!(matches!(error, BindError::Open { .. }));
        assert!(error.to_string().contains("--web.insecure-no-auth"));
    }
    let none = Server::bind(fixture(|config| config.listen.clear()).app).expect_err("refused");
    assert!(matches!(none, BindError::Nowhere));
}

#[tokio::test]
async fn several_addresses_answer_the_same() {
    let two = vec![([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into()];
    let fixture = fixture(|config| config.listen = two);
    let server = Server::bind(fixture.app.clone()).expect("free ports");
    let addresses = server.addresses().to_vec();
    assert_eq!(addresses.len(), 2);
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.run(stop.clone()));
    for address in addresses {
        let mut client = TcpStream::connect(address).await.expect("accepted");
        send(&mut client, &request("GET", "/metrics", "")).await;
        assert_eq!(Answer::read(&mut client).await.expect("an answer").status, 200);
    }
    stop.cancel();
    assert_eq!(task.await.expect("no panic"), Drained::Finished);
}
