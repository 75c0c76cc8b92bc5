//! Prometheus' HTTP API over a real connection: what is answered, how many are served at once, and when a query ends.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gaugecast::clock::Clock;
use gaugecast::collect::Ticks;
use gaugecast::exposition::Expositions;
use gaugecast::history::{self, History, Write};
use gaugecast::query::source::{Samples, Series, SourceError};
use gaugecast::query::{self, Labels, Sample, Source};
use gaugecast::registry::Registry;
use gaugecast::series::selector::Matcher;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Table};
use gaugecast::server::{self, App, Parts, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

const T0: i64 = 1_700_000_000_000;

// ------------------------------------------------------------------------------------------------ a server

struct Fixture {
    address: SocketAddr,
    registry: Registry,
    _stop: tokio_util::sync::DropGuard,
}

fn serve(samples: Arc<dyn Source + Send>, query: query::Config) -> Fixture {
    serve_with(samples, None, query)
}

fn serve_with(samples: Arc<dyn Source + Send>, history: Option<History>, query: query::Config) -> Fixture {
    let clock = Clock::start();
    let mut table = Table::new(Epoch(1), 100);
    let source = table.add_source("test", Scope::Own);
    let meta = |name: &str, kind, help: &str| {
        Arc::new(FamilyMeta { name: name.into(), kind, help: help.into(), unit: "".into() })
    };
    let none: [(&str, &str); 0] = [];
    for meta in [meta("sent_total", Kind::Counter, "Sent."), meta("depth", Kind::Gauge, "How <deep>.")] {
        let slot = table.series(source, &meta, Role::Value, &meta.name, &none).unwrap();
        table.set(slot, 1.0, NO_TIME);
    }
    let (ticks, _) = Ticks::manual(table.commit(clock.now(), 0));
    let registry = Registry::new();
    let parts = Parts {
        config: server::Config { listen: vec![([127, 0, 0, 1], 0).into()], ..server::Config::default() },
        clock,
        ticks,
        expositions: Expositions::new(),
        registry: registry.clone(),
        stream: None,
        samples: Some(samples),
        history,
        query,
        targets: gaugecast::collect::scrape::Targets::default(),
        rules: None,
        anomalies: None,
        pushes: None,
        reload: None,
        admin: gaugecast::server::Admin::default(),
    };
    let server = Server::bind(App::new(parts).unwrap()).unwrap();
    let (address, stop) = (server.addresses()[0], CancellationToken::new());
    tokio::spawn(server.run(stop.clone()));
    Fixture { address, registry, _stop: stop.drop_guard() }
}

/// A minute of two series at 1 Hz, from `T0` on.
fn history() -> Arc<History> {
    let config = history::Config { retention: Duration::from_secs(u64::MAX / 1000), ..Default::default() };
    let history = History::open(&config, &Registry::new(), T0).unwrap();
    let write = |labels: &[(&str, &str)], factor: f64| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let samples = (0..=60i32).map(|s| (T0 + i64::from(s) * 1000, f64::from(s) * factor)).collect();
        Write { labels, samples }
    };
    let writes = [
        write(&[("__name__", "sent_total"), ("job", "a")], 2.0),
        write(&[("__name__", "depth"), ("job", "a"), ("my.label/x", "y")], 0.5),
    ];
    assert_eq!(history.append(&writes, T0).refused(), 0);
    Arc::new(history)
}

// ------------------------------------------------------------------------------------------------ a client

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Fixture {
    async fn send(&self, request: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let (address, length) = (self.address, body.len());
        let length = if method == "POST" { format!("Content-Length: {length}\r\n") } else { String::new() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        );
        let mut answer = Vec::new();
        self.send(&request).await.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap().to_lowercase();
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        self.ask("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", form).await
    }

    /// The value of one of our own metrics, 0 for one that is not there yet.
    fn own(&self, series: &str) -> f64 {
        let mut page = Vec::new();
        self.registry.page(&mut page);
        let page = String::from_utf8(page).unwrap();
        let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }
}

// ------------------------------------------------------------------------------------------------ answers

#[tokio::test]
async fn each_endpoint_answers_by_get_and_by_form_with_the_same_bytes() {
    let server = serve(history(), query::Config::default());
    for (path, params, want) in [
        (
            "query",
            "query=rate(sent_total%5B30s%5D)&time=1700000060",
            r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1700000060,"2"]}]}"#,
        ),
        (
            "query_range",
            "query=depth+*+2&start=1700000001&end=1700000003&step=1",
            r#"{"resultType":"matrix","result":[{"metric":{"job":"a","my.label/x":"y"},"values":[[1700000001,"1"],[1700000002,"2"],[1700000003,"3"]]}]}"#,
        ),
        (
            "series",
            "match[]=sent_total&match%5B%5D=%7Bjob%3D%22a%22%7D",
            r#"[{"__name__":"depth","job":"a","my.label/x":"y"},{"__name__":"sent_total","job":"a"}]"#,
        ),
        ("labels", "", r#"["__name__","job","my.label/x"]"#),
        ("labels", "match[]=sent_total", r#"["__name__","job"]"#),
        ("labels", "end=1699999999", "[]"),
    ] {
        let want = format!(r#"{{"status":"success","data":{want}}}"#);
        let got = server.get(&format!("/api/v1/{path}?{params}")).await;
        assert_eq!((got.status, got.text()), (200, &*want), "{path}?{params}");
        assert!(got.head.contains("\r\ncontent-type: application/json\r\n"), "{}", got.head);
        let form = server.post(&format!("/api/v1/{path}"), params).await;
        assert_eq!((form.status, form.text()), (200, &*want), "{path} {params}");
    }
    for (path, want) in [
        ("label/__name__/values", r#"{"status":"success","data":["depth","sent_total"]}"#),
        ("label/my.label%2Fx/values", r#"{"status":"success","data":["y"]}"#),
        ("label/U__my_2e_label_2f_x/values?match[]=depth", r#"{"status":"success","data":["y"]}"#),
        ("label/job/values?match[]=none", r#"{"status":"success","data":[]}"#),
        (
            "metadata?metric=depth",
            r#"{"status":"success","data":{"depth":[{"type":"gauge","help":"How \u003cdeep\u003e.","unit":""}]}}"#,
        ),
    ] {
        let got = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!((got.status, got.text()), (200, want), "{path}");
    }
    let info = server.get("/api/v1/status/buildinfo").await;
    let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
    assert!(info["data"]["version"].as_str().unwrap().starts_with("3."), "{info}");
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="success"}"#), 2.0);
}

#[tokio::test]
async fn a_form_counts_before_the_query_string() {
    let server = serve(history(), query::Config::default());
    let got = server.post("/api/v1/query?query=1&time=5", "query=2").await;
    assert_eq!(got.text(), r#"{"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#);
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let server = serve(history(), query::Config { max_samples: 10, ..Default::default() });
    let too_long = format!("query={}", "1".repeat(1 << 20));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (method, path, headers, body, status, says) in [
        ("GET", "/api/v1/query?query=up+up", "", "", 400, r#""errorType":"bad_data""#),
        ("GET", "/api/v1/query?query=up&time=x", "", "", 400, "Invalid time value for 'time'"),
        ("GET", "/api/v1/query?query=1&timeout=x", "", "", 400, r#"invalid parameter \"timeout\""#),
        ("GET", "/api/v1/query?query=%ff", "", "", 400, "not percent-encoded UTF-8"),
        ("GET", "/api/v1/query?query=sent_total%5B1m%5D&time=1700000060", "", "", 422, "too many samples"),
        ("GET", "/api/v1/series", "", "", 400, "no match[] parameter provided"),
        (
            "POST",
            "/api/v1/query",
            "Content-Type: application/json\r\n",
            "{}",
            415,
            "application/x-www-form-urlencoded",
        ),
        ("POST", "/api/v1/query", form, &too_long, 413, "1048576"),
        ("POST", "/api/v1/label/job/values", form, "", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/label//values", "", "", 404, ""),
    ] {
        let got = server.ask(method, path, headers, body).await;
        assert_eq!(got.status, status, "{method} {path}: {}", got.text());
        assert!(got.text().contains(says), "{method} {path}: {}", got.text());
    }
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="bad_data"}"#), 3.0);
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="execution"}"#), 1.0);
}

#[tokio::test]
async fn a_long_answer_is_packed_for_who_takes_it() {
    let server = serve(history(), query::Config::default());
    let path = "/api/v1/query?query=%7Bjob%3D%22a%22%7D%5B1m%5D&time=1700000060";
    let plain = server.get(path).await;
    assert!(!plain.head.contains("content-encoding"), "{}", plain.head);
    let packed = server.ask("GET", path, "Accept-Encoding: gzip\r\n", "").await;
    assert!(packed.head.contains("\r\ncontent-encoding: gzip\r\n"), "{}", packed.head);
    assert!(packed.head.contains("\r\nvary: accept-encoding\r\n"), "{}", packed.head);
    let mut unpacked = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.text());
    assert!(packed.body.len() < plain.body.len() / 2);
}

// ------------------------------------------------------------------------------------------------ limits

/// A source without series, which answers no sooner than its gate is open.
#[derive(Default)]
struct Gated {
    open: Mutex<bool>,
    changed: Condvar,
    entered: Notify,
}

impl Source for Gated {
    fn select(&self, _: &[Matcher], _: i64, _: i64, _: usize) -> Result<Vec<Series>, SourceError> {
        self.entered.notify_one();
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        Ok(Vec::new())
    }
}

/// The gate, in the hands of a test. It opens with the end of the test too: a runtime waits for its threads, so a test that
/// fails before the gate nobody opens would never end.
#[derive(Default)]
struct Gate(Arc<Gated>);

impl Gate {
    fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

fn one_at_a_time() -> query::Config {
    query::Config { max_concurrency: 1, ..query::Config::default() }
}

#[tokio::test]
async fn when_too_many_wait_one_is_told_to_come_again() {
    let gate = Gate::default();
    let server = serve(gate.0.clone(), one_at_a_time());
    // One runs, ten wait; so while the gate is shut only the twelfth can have an answer.
    let mut asked: FuturesUnordered<_> = (0..12).map(|_| server.get("/api/v1/query?query=up")).collect();
    let refused = asked.next().await.unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.contains("\r\nretry-after: 1\r\n"), "{}", refused.head);
    assert!(refused.text().contains(r#""errorType":"unavailable""#), "{}", refused.text());
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="unavailable"}"#), 1.0);
    gate.open();
    while let Some(answer) = asked.next().await {
        assert_eq!(answer.text(), r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
    }
}

#[tokio::test]
async fn a_query_whose_time_is_over_says_whether_it_had_begun() {
    let gate = Gate::default();
    let server = serve(gate.0.clone(), one_at_a_time());
    let error =
        |at| format!(r#"{{"status":"error","errorType":"timeout","error":"query timed out in {at}"}}"#);
    // However slow the machine is, it is in the source when its minute is over.
    let a_minute_later = async {
        gate.0.entered.notified().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
    };
    let (first, ()) = tokio::join!(server.get("/api/v1/query?query=up&timeout=1m"), a_minute_later);
    assert_eq!((first.status, first.text()), (503, &*error("expression evaluation")));
    // It is answered, but still in the source and so in the way.
    assert_eq!(server.own("gaugecast_queries_running"), 1.0);
    let second = server.get("/api/v1/query?query=up&timeout=1ms").await;
    assert_eq!((second.status, second.text()), (503, &*error("query queue")));
    gate.open();
    assert_eq!(server.get("/api/v1/query?query=up").await.status, 200);
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="timeout"}"#), 2.0);
}

/// More series than anyone reads in a test, each telling when it is read.
struct Endless(mpsc::Sender<()>);

impl Samples for Endless {
    fn read(&self, _: i64, _: i64, _: &mut Vec<Sample>) -> Result<(), SourceError> {
        self.0.blocking_send(()).map_err(|_| SourceError("nobody listens".into()))
    }
}

impl Source for Endless {
    fn select(&self, _: &[Matcher], _: i64, _: i64, limit: usize) -> Result<Vec<Series>, SourceError> {
        let one = Series { labels: Labels::empty(), samples: Arc::new(Endless(self.0.clone())) };
        Ok(vec![one; limit])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_ends_its_query() {
    let (sender, mut reads) = mpsc::channel(1);
    let server = serve(Arc::new(Endless(sender)), one_at_a_time());
    let request = format!("GET /api/v1/query?query=up HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let client = server.send(&request).await;
    reads.recv().await.unwrap();
    assert_eq!(server.own("gaugecast_queries_running"), 1.0);
    drop(client);
    let mut read = 1;
    while server.own("gaugecast_queries_running") > 0.0 {
        // It goes on from series to series as long as the server has not seen that the client is gone.
        tokio::select! { _ = reads.recv() => read += 1, () = tokio::task::yield_now() => {} }
    }
    assert!(read < gaugecast::query::eval::Options::default().max_series, "it read all there was");
    assert_eq!(server.own(r#"gaugecast_queries_total{endpoint="query",outcome="canceled"}"#), 1.0);
}

// ------------------------------------------------------------------------------------------------ exports

/// The data of an answer that came in chunks.
fn unchunked(mut body: &[u8]) -> String {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return String::from_utf8(out).unwrap();
        }
        out.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
    }
}

fn exporting() -> Fixture {
    let history = history();
    serve_with(history.clone(), Some((*history).clone()), query::Config::default())
}

#[tokio::test]
async fn an_export_has_the_samples_of_the_range_as_csv_or_json() {
    let server = exporting();
    let asked = "/api/v1/export?match[]=depth&match[]=%7Bjob%3D%22a%22%7D&start=1700000001&end=1700000002";
    let answer = server.get(asked).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.head.contains("\r\ncontent-type: text/csv; charset=utf-8\r\n"), "{}", answer.head);
    let (long, wide) =
        (unchunked(&answer.body), unchunked(&server.get(&format!("{asked}&wide=1")).await.body));
    let rows = |text: &str| -> Vec<String> {
        text.split("\r\n").filter(|row| !row.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(
        rows(&long),
        [
            "time,name,job,my.label/x,value",
            "2023-11-14T22:13:21.000Z,depth,a,y,0.5",
            "2023-11-14T22:13:22.000Z,depth,a,y,1",
            "2023-11-14T22:13:21.000Z,sent_total,a,,2",
            "2023-11-14T22:13:22.000Z,sent_total,a,,4",
            "",
        ]
    );
    assert!(long.contains("# oldest,2023-11-14T22:13:20.000Z\r\n") && !long.contains("# warning"), "{long}");
    assert_eq!(rows(&wide)[1..], ["2023-11-14T22:13:21.000Z,0.5,2", "2023-11-14T22:13:22.000Z,1,4", ""]);
    let json = unchunked(&server.get(&format!("{asked}&format=json&start=5")).await.body);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["series"][1]["points"], serde_json::json!([[T0 + 1000, 2], [T0 + 2000, 4]]));
    let early = unchunked(&server.get("/api/v1/export?match[]=depth&start=5").await.body);
    assert!(early.contains("# warning,the range begins before the oldest sample that is kept\r\n"));
}

#[tokio::test]
async fn a_wrong_export_is_told_what_is_wrong() {
    let server = exporting();
    for (params, says) in [
        ("", "no match[] parameter provided"),
        ("match[]=depth&start=2&end=1", "end timestamp must not be before start time"),
        ("match[]=depth&start=x", r#"invalid parameter \"start\""#),
        ("match[]=depth&format=xls", r#"invalid parameter \"format\""#),
    ] {
        let answer = server.get(&format!("/api/v1/export?{params}")).await;
        assert_eq!(answer.status, 400, "{params}");
        assert!(answer.text().contains(says), "{params}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_fifth_export_is_told_to_come_again_while_four_are_running() {
    let history = history();
    // More text than the kernel holds for a client that does not read.
    let labels = vec![("__name__".to_owned(), "long".to_owned())];
    let samples = (0..400_000).map(|at| (T0 + at, 1.0)).collect();
    assert_eq!(history.append(&[Write { labels, samples }], T0).refused(), 0);
    let server = serve_with(history.clone(), Some((*history).clone()), query::Config::default());
    let path = "/api/v1/export?match[]=long";
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut client = server.send(&request).await;
        let mut begin = [0; 12];
        client.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        running.push(client);
    }
    let fifth = server.get(path).await;
    assert_eq!(fifth.status, 503, "{}", fifth.text());
    assert!(fifth.head.contains("\r\nretry-after: 1\r\n"), "{}", fifth.head);
    let mut rest = Vec::new();
    running.pop().unwrap().read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b",1\r\n\r\n0\r\n\r\n"));
    assert_eq!(server.get(path).await.status, 200);
}
