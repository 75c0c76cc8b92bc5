//! The stream over plain HTTP as a client sees it: the router and the hub of the server, a table written by hand,
//! ticks published by hand, and answers read here as `EventSource` reads them. Where a socket matters, the
//! server's own connections over memory. Time is paused where it is the matter, and nothing waits for it elsewhere.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::exposition::Expositions;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};
use gaugecast::server::{self, App, Body, Parts, Peer, Readiness, Router, serve_connection};
use gaugecast::stream::events::{ClockStep, Reload};
use gaugecast::stream::{Config, Hub};
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const PATH: &str = "/api/v1/stream/sse";
const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 50_000);
const REMOTE: ([u8; 4], u16) = ([192, 0, 2, 9], 50_000);

struct Server {
    table: Table,
    source: SourceId,
    ms: u64,
    beat: u64,
    publish: watch::Sender<Arc<Tick>>,
    hub: Hub,
    router: Router,
    registry: Registry,
}

impl Server {
    fn start() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
        let registry = Registry::new();
        let clock = Clock::start();
        let hub = Hub::start(config, ticks.clone(), Duration::from_secs(1), clock, &registry).unwrap();
        let parts = Parts {
            config: server::Config::default(),
            clock,
            ticks,
            expositions: Expositions::new(),
            registry: registry.clone(),
            stream: Some(Arc::new(hub.clone())),
            samples: None,
            history: None,
            query: gaugecast::query::Config::default(),
            targets: gaugecast::collect::scrape::Targets::default(),
            rules: None,
            anomalies: None,
            pushes: None,
            reload: None,
            admin: gaugecast::server::Admin::default(),
        };
        let app = App::new(parts).unwrap();
        app.set_readiness(Readiness::Ready);
        Server { table, source, ms: 0, beat: 0, publish, hub, router: Router::new(app), registry }
    }

    fn gauge(&mut self, name: &str, value: f64) -> Slot {
        let meta = FamilyMeta { name: name.into(), kind: Kind::Gauge, help: "Help.".into(), unit: "".into() };
        let none: [(&str, &str); 0] = [];
        let slot = self.table.series(self.source, &Arc::new(meta), Role::Value, name, &none).unwrap();
        self.table.set(slot, value, NO_TIME);
        slot
    }

    fn tick(&mut self) {
        self.tick_after(1000);
    }

    fn tick_after(&mut self, ms: u64) {
        self.ms += ms;
        self.beat += 1;
        self.publish.send_replace(self.table.commit(moment(self.ms), self.beat));
    }

    fn offset(&self) -> u64 {
        self.publish.borrow().offset
    }

    async fn ask(&self, query: &str, headers: &[(&'static str, &str)]) -> Response<Body> {
        self.ask_from(LOCAL, query, headers).await
    }

    async fn ask_from(
        &self,
        peer: impl Into<SocketAddr>,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Response<Body> {
        let mut request = Request::get(format!("{PATH}?{query}")).body(Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(Peer(peer.into()));
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.router.handle(request).await
    }

    /// An `EventSource` that has `last` as its last event id.
    async fn watch(&self, query: &str, last: &str) -> Viewer {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
        let headers = if last.is_empty() { &headers[..1] } else { &headers };
        let response = self.ask(query, headers).await;
        assert_eq!(response.status(), 200);
        Viewer::new(response)
    }

    /// The first line of the server's own figures that begins so.
    fn figure(&self, name: &str) -> String {
        let mut page = Vec::new();
        self.registry.page(&mut page);
        let text = String::from_utf8(page).unwrap();
        text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
    }
}

fn moment(ms: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(ms).unwrap();
    Moment { since_start: Duration::from_millis(ms), unix_ms }
}

/// What stands between two blank lines.
#[derive(Clone, Debug, Default, PartialEq)]
struct Event {
    kind: String,
    id: Option<String>,
    data: String,
    retry: Option<u64>,
    comment: Option<String>,
}

impl Event {
    /// By the rules of the HTML standard, 9.2.6.
    fn read(block: &str) -> Event {
        let mut event = Event::default();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => event.comment = Some(value.into()),
                "event" => event.kind = value.into(),
                "id" => event.id = Some(value.into()),
                "data" => event.data += value,
                "retry" => event.retry = Some(value.parse().unwrap()),
                other => panic!("a field {other:?}"),
            }
        }
        event
    }

    fn json(&self) -> Value {
        let message: Value = serde_json::from_str(&self.data).unwrap();
        assert_eq!(message["type"], *self.kind, "event and type are the same");
        message
    }
}

/// A client that reads an answer.
struct Viewer {
    headers: HeaderMap,
    body: Body,
    text: String,
    /// As `EventSource` keeps it.
    last: String,
}

impl Viewer {
    fn new(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Viewer { headers: head.headers, body, text: String::new(), last: String::new() }
    }

    /// What stands before the next `end`; `None` when the answer has ended.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once(end) {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let data = self.body.frame().await?.unwrap().into_data().unwrap();
            self.text += std::str::from_utf8(&data).unwrap();
        }
    }

    async fn event(&mut self) -> Event {
        let event = Event::read(&self.until("\n\n").await.expect("the answer goes on"));
        if let Some(id) = &event.id {
            self.last.clone_from(id);
        }
        event
    }

    /// The next message.
    async fn message(&mut self) -> Value {
        loop {
            let event = self.event().await;
            if !event.data.is_empty() {
                return event.json();
            }
        }
    }

    /// The messages up to the next of a type.
    async fn up_to(&mut self, kind: &str) -> Vec<Value> {
        let mut messages = vec![self.message().await];
        while messages.last().unwrap()["type"] != kind {
            messages.push(self.message().await);
        }
        messages
    }

    /// A line of NDJSON.
    async fn line(&mut self) -> Value {
        serde_json::from_str(&self.until("\n").await.unwrap()).unwrap()
    }
}

/// Waits for what another task does, by letting it run.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn f30_one_answer_says_what_the_websocket_says() {
    let mut server = Server::start();
    let load = server.gauge("node_load1", 0.25);
    let gone = server.gauge("node_load5", f64::NAN);
    server.tick();
    let mut viewer = server.watch("match[]=node_load1&match[]=node_load5&interval=1s", "").await;
    assert_eq!(viewer.headers["content-type"], "text/event-stream");
    assert_eq!(viewer.headers["cache-control"], "no-store");
    assert_eq!(viewer.headers["x-accel-buffering"], "no");
    assert_eq!(server.hub.clients(), 1);

    assert_eq!(viewer.event().await, Event { retry: Some(2000), ..Event::default() });
    let welcome = viewer.message().await;
    assert_eq!((&welcome["type"], &welcome["epoch"]), (&json!("welcome"), &json!("0000000000000007")));
    assert_eq!(welcome["ping_ms"], 15_000);
    assert_eq!(
        viewer.message().await,
        json!({"type": "subscribed", "sub": "stream", "channel": 1, "interval_ms": 1000, "matched": 2,
               "recovered": false}),
        "B39: several selectors are one subscription"
    );
    let schema = viewer.message().await;
    assert_eq!(schema["series"][0], json!({"id": 1, "name": "node_load1", "labels": {}}));
    assert_eq!(viewer.last, "", "a schema is no place to go on from");
    let snapshot = viewer.message().await;
    assert_eq!((&snapshot["values"], &snapshot["offset"]), (&json!([[1, 0.25], [2, "NaN"]]), &json!(2)));
    assert_eq!(viewer.last, "0000000000000007:2");

    server.table.set(load, 0.5, NO_TIME);
    server.tick();
    let t = 1_700_000_002_000_i64;
    assert_eq!(
        viewer.message().await,
        json!({"type": "delta", "channel": 1, "offset": 3, "prev": 2, "t": t, "values": [[1, 0.5]]})
    );
    assert_eq!(viewer.last, "0000000000000007:3");
    server.table.remove(gone);
    server.tick();
    assert_eq!(viewer.message().await["stale"], json!([2]));

    assert_eq!(
        server.figure("gaugecast_stream_opened_total"),
        "gaugecast_stream_opened_total{transport=\"sse\"} 1"
    );
    assert_eq!(server.figure("gaugecast_stream_subscriptions "), "gaugecast_stream_subscriptions 1");
    drop(viewer);
    eventually("the seat is free again", || server.hub.clients() == 0).await;
    assert_eq!(server.figure("gaugecast_stream_subscriptions "), "gaugecast_stream_subscriptions 0");
}

#[tokio::test]
async fn f31_ndjson_has_the_same_messages_one_a_line() {
    let mut server = Server::start();
    let a = server.gauge("a", 1.0);
    server.tick();
    let mut events = server.watch("match[]=a", "").await;
    let mut lines = Viewer::new(server.ask("match[]=a", &[("accept", "application/x-ndjson")]).await);
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    for kind in ["welcome", "subscribed", "schema", "snapshot"] {
        let (event, line) = (events.message().await, lines.line().await);
        assert_eq!((&event["type"], &line["type"]), (&json!(kind), &json!(kind)));
        if kind != "welcome" {
            assert_eq!(event, line, "both are on one channel");
        }
    }
    server.table.set(a, 2.0, NO_TIME);
    server.tick();
    assert_eq!(events.message().await, lines.line().await);
    assert_eq!(server.figure("gaugecast_stream_channels "), "gaugecast_stream_channels 1");
}

#[tokio::test(start_paused = true)]
async fn f30_fifteen_seconds_of_silence_are_broken_by_a_sign_of_life() {
    let mut server = Server::start();
    server.gauge("a", 1.0);
    server.tick();
    let mut events = server.watch("match[]=a", "").await;
    events.up_to("snapshot").await;
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(events.event().await, Event { comment: Some("ping".into()), ..Event::default() });
    }
    assert_eq!(begun.elapsed().as_secs(), 45);
    let mut lines = Viewer::new(server.ask("match[]=a", &[("accept", "application/x-ndjson")]).await);
    while lines.line().await["type"] != "snapshot" {}
    let begun = Instant::now();
    let ping = lines.line().await;
    assert_eq!((&ping["type"], begun.elapsed().as_secs()), (&json!("ping"), 15));
    assert!(ping["server_time"].is_i64());
}

#[tokio::test]
async fn f37_a_client_that_comes_back_gets_what_it_missed() {
    let mut server = Server::start();
    let (a, b) = (server.gauge("a", 1.0), server.gauge("b", 1.0));
    server.tick();
    let query = "match[]={__name__=~%22a|b|c%22}";
    let mut viewer = server.watch(query, "").await;
    viewer.up_to("snapshot").await;
    let last = viewer.last.clone();
    drop(viewer);
    server.table.set(a, 2.0, NO_TIME);
    server.table.remove(b);
    server.tick();
    server.gauge("c", 3.0);
    server.tick();

    let mut viewer = server.watch(query, &last).await;
    let messages = viewer.up_to("delta").await;
    let [_, subscribed, schema, delta] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(subscribed["recovered"], true);
    assert_eq!(schema["series"], json!([{"id": 3, "name": "c", "labels": {}}]));
    assert_eq!((&delta["prev"], &delta["offset"]), (&json!(2), &json!(4)));
    assert_eq!((&delta["values"], &delta["stale"]), (&json!([[1, 2], [3, 3]]), &json!([2])));
    assert_eq!(viewer.last, "0000000000000007:4");

    // As a query parameter, for clients without a hand on headers; EventSource's own header is newer.
    let mut by_query = server.watch(&format!("{query}&last_event_id=0000000000000007:3"), "").await;
    assert_eq!(by_query.up_to("delta").await.last().unwrap()["prev"], 3);
    let mut both = server.watch(&format!("{query}&last_event_id=0000000000000007:3"), &last).await;
    assert_eq!(both.up_to("delta").await.last().unwrap()["prev"], 2);
}

#[tokio::test]
async fn b36_b37_a_place_that_is_none_is_answered_by_a_snapshot() {
    let mut server = Server::start();
    server.gauge("a", 1.0);
    server.tick();
    for (last, reason) in [
        ("00000000000000aa:2", json!("unknown_epoch")),
        ("0000000000000007:99", json!("future_offset")),
        ("0000000000000007:-1", Value::Null),
        ("nonsense", Value::Null),
        ("0000000000000007:18446744073709551616", Value::Null),
    ] {
        let messages = server.watch("match[]=a", last).await.up_to("snapshot").await;
        assert_eq!((&messages[1]["recovered"], &messages[1]["reason"]), (&json!(false), &reason), "{last}");
    }
}

#[tokio::test]
async fn b38_two_kib_of_padding_come_first_where_they_are_asked_for() {
    let mut server = Server::start();
    server.tick();
    let mut viewer = server.watch("match[]=a&padding=1", "").await;
    let first = viewer.event().await;
    assert_eq!((first.comment.unwrap().trim(), first.retry), ("", Some(2000)));
    let mut viewer = server.watch("match[]=a&padding=1", "").await;
    assert!(viewer.until("\n").await.unwrap().len() >= 2048);
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused_before_the_stream_begins() {
    let mut server = Server::with(Config { max_series: 1, max_channels: 1, ..Config::default() });
    server.gauge("a", 1.0);
    server.gauge("b", 1.0);
    server.tick();
    let refused = async |query: &str| {
        let response = server.ask(query, &[]).await;
        let (head, body) = response.into_parts();
        assert_eq!(head.headers["content-type"], "application/json");
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body["status"], "error");
        let retry = head.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (head.status.as_u16(), body, retry)
    };
    for (query, code) in [
        ("", "bad_request"),
        ("match[]=a&limit=x", "bad_request"),
        ("match[]=a&interval=1ns", "bad_interval"),
        ("match[]=a&query=1", "bad_request"),
        ("match[]=a&padding=2", "bad_request"),
        ("query=1", "unsupported"),
    ] {
        let (status, body, retry) = refused(query).await;
        assert_eq!((status, &body["errorType"]), (400, &json!("bad_data")), "{query}");
        assert_eq!((&body["details"]["reason"], retry), (&json!(code), None), "{query}");
    }
    let (status, body, _) = refused("match[]=a%7Bx=~%22(%22%7D").await;
    assert_eq!((status, &body["details"]["column"]), (400, &json!(6)), "{body}");
    let (status, body, _) = refused("match[]=%7B__name__=~%22a|b%22%7D").await;
    assert_eq!((status, &body["details"]["matched"]), (400, &json!(2)), "{body}");
    assert_eq!(refused("match[]=%zz").await.0, 400);

    let _viewer = server.watch("match[]=a", "").await;
    let (status, body, retry) = refused("match[]=b").await;
    assert_eq!((status, &body["details"]["reason"]), (503, &json!("limit_exceeded")));
    assert_eq!(retry.as_deref(), Some("10"));
    assert_eq!(server.hub.clients(), 1, "who was refused has no seat");
}

#[tokio::test]
async fn b18_these_clients_count_among_all() {
    let server = Server::with(Config { max_clients: 3, max_clients_per_ip: 2, ..Config::default() });
    let from = async |peer: ([u8; 4], u16)| server.ask_from(peer, "match[]=a", &[]).await;
    let first = from(REMOTE).await;
    let _second = from(REMOTE).await;
    let refused = from(REMOTE).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"10".parse().unwrap()));
    let _third = from(LOCAL).await;
    let refused = from(LOCAL).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"10".parse().unwrap()));
    drop(first);
    eventually("a place is free again", || server.hub.clients() == 2).await;
    assert_eq!(from(REMOTE).await.status(), 200);
}

#[tokio::test]
async fn b8_foreign_pages_and_names_are_refused() {
    let server = Server::start();
    let status = async |name, value| server.ask("match[]=a", &[(name, value)]).await.status().as_u16();
    assert_eq!(status("origin", "http://evil.example").await, 403);
    assert_eq!(status("origin", "null").await, 403);
    assert_eq!(status("origin", "http://localhost").await, 200);
    assert_eq!(status("host", "evil.example").await, 421);
    let post = Request::post(PATH).header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(server.router.handle(post).await.status(), 405);
}

#[tokio::test]
async fn f40_a_client_that_is_slow_gets_one_delta_to_now_and_no_queue() {
    let mut server = Server::start();
    let a = server.gauge("a", 0.0);
    server.tick();
    let mut slow = server.watch("match[]=a", "").await;
    slow.up_to("snapshot").await;
    let mut quick = server.watch("match[]=a", "").await;
    quick.up_to("snapshot").await;
    server.table.set(a, 1.0, NO_TIME);
    server.tick();
    quick.up_to("delta").await;
    let on_its_way = slow.body.frame().await.unwrap().unwrap().into_data().unwrap();
    for i in 2..50 {
        server.table.set(a, f64::from(i), NO_TIME);
        server.tick();
        quick.up_to("delta").await;
    }
    assert!(slow.body.frame().now_or_never().is_none(), "nothing is behind what the socket has not taken");
    slow.text += std::str::from_utf8(&on_its_way).unwrap();
    drop(on_its_way);
    assert_eq!(slow.message().await["values"], json!([[1, 1]]));
    let delta = slow.message().await;
    assert_eq!((&delta["prev"], &delta["offset"]), (&json!(3), &json!(51)));
    assert_eq!(delta["values"], json!([[1, 49]]));
    assert_eq!(server.figure("gaugecast_stream_catch_ups_total"), "gaugecast_stream_catch_ups_total 1");
}

/// A connection of the server over memory that holds this many bytes, and a request on it.
async fn connect(server: &Server, buffer: usize) -> tokio::io::DuplexStream {
    let (mut client, io) = tokio::io::duplex(buffer);
    tokio::spawn(serve_connection(io, LOCAL.into(), server.router.clone(), CancellationToken::new()));
    let request = format!("GET {PATH}?match[]=a HTTP/1.1\r\nhost: localhost\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn b41_a_client_that_takes_nothing_is_cut_off_after_30_seconds() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let begun = Instant::now();
    let mut client = connect(&server, 256).await;
    let mut head = [0; 17];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\n");
    // Nobody looks at the body either: the task itself ends.
    while server.hub.clients() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((30..=31).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.ends_with("0\r\n\r\n"), "an answer that was cut off does not look whole");
    let closed = server.figure("gaugecast_stream_closed_total");
    assert_eq!(closed, "gaugecast_stream_closed_total{reason=\"slow\"} 1");
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let mut client = connect(&server, 64 << 10).await;
    client.read_u8().await.unwrap();
    assert_eq!(server.hub.clients(), 1);
    drop(client);
    eventually("the place is free", || server.hub.clients() == 0).await;
    assert_eq!(
        server.figure("gaugecast_stream_closed_total"),
        "gaugecast_stream_closed_total{reason=\"client\"} 1"
    );
}

#[tokio::test]
async fn f51_a_stop_says_goodbye_and_ends_the_answer() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let mut viewer = server.watch("match[]=a", "").await;
    viewer.up_to("snapshot").await;
    let reading = async {
        let retry = viewer.event().await;
        let bye = viewer.event().await;
        assert_eq!(viewer.until("\n\n").await, None, "then the answer ends, whole");
        (retry.retry.unwrap(), bye.json())
    };
    let (all_went, (retry, bye)) = tokio::join!(server.hub.stop(Duration::from_secs(30)), reading);
    assert!(all_went);
    assert_eq!(
        (&bye["type"], &bye["reason"], &bye["reconnect"]),
        (&json!("bye"), &json!("going_away"), &json!(true))
    );
    assert_eq!(bye["retry_after_ms"], retry, "EventSource waits as long as bye says");
    assert!((0..=10_000).contains(&retry));
    assert_eq!(server.ask("match[]=a", &[]).await.status(), 503);
    assert_eq!(server.hub.clients(), 0);
}

#[tokio::test]
async fn f42_a_step_of_the_clock_is_told() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let mut viewer = server.watch("match[]=a", "").await;
    viewer.up_to("snapshot").await;
    let stepped = Moment { unix_ms: moment(2000).unix_ms + 3_600_000, ..moment(2000) };
    server.publish.send_replace(server.table.commit(stepped, 2));
    let event = viewer.message().await;
    assert_eq!(
        (&event["type"], &event["kind"], &event["seq"]),
        (&json!("event"), &json!("clock"), &json!(1))
    );
    assert_eq!(viewer.last, "0000000000000007:2:1", "the place is that of the frame, and of the event");
    assert_eq!(viewer.message().await["type"], "delta");
}

#[tokio::test]
async fn a_websocket_and_events_of_one_channel_have_the_same_bytes() {
    let mut server = Server::start();
    let a = server.gauge("a", 0.1);
    server.tick();
    let (client, io) = tokio::io::duplex(1 << 20);
    tokio::spawn(serve_connection(io, LOCAL.into(), server.router.clone(), CancellationToken::new()));
    let request = "ws://localhost/api/v1/stream/ws".into_client_request().unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, client).await.unwrap();
    let asked = json!({"type": "subscribe", "sub": "stream", "match": ["a"]});
    socket.send(Message::text(asked.to_string())).await.unwrap();
    let mut text = async || socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(text().await.starts_with("{\"type\":\"welcome\""));

    let mut viewer = server.watch("match[]=a", "").await;
    viewer.event().await;
    assert_eq!(viewer.event().await.kind, "welcome");
    for kind in ["subscribed", "schema", "snapshot", "delta", "delta"] {
        let event = viewer.event().await;
        assert_eq!((event.kind.as_str(), event.data.as_str()), (kind, text().await.as_str()));
        if kind != "subscribed" && kind != "schema" {
            server.table.set(a, f64::from(u32::try_from(server.offset()).unwrap()) / 3.0, NO_TIME);
            server.tick();
        }
    }
}

#[tokio::test]
async fn a_snapshot_in_parts_is_a_place_only_at_its_end() {
    let mut server = Server::with(Config { max_series: 100_000, ..Config::default() });
    for i in 0..60_000 {
        server.gauge(&format!("a_series_with_a_name_of_some_length_{i:05}"), f64::from(i) + 0.123_456_789);
    }
    server.tick();
    let mut viewer = server.watch("match[]={__name__=~%22a_.*%22}", "").await;
    let (mut parts, mut values) = (0, 0);
    loop {
        let event = viewer.event().await;
        if event.kind != "snapshot" {
            continue;
        }
        let snapshot = event.json();
        parts += 1;
        values += snapshot["values"].as_array().unwrap().len();
        assert_eq!(snapshot["part"], parts);
        if snapshot["part"] == snapshot["parts"] {
            break;
        }
        assert_eq!(viewer.last, "", "cut off here, EventSource asks for everything");
    }
    assert_eq!((values, viewer.last.as_str()), (60_000, "0000000000000007:2"));
    assert!(parts > 1);
}

/// What a client knows after what it read.
#[derive(Debug, Default)]
struct State {
    offset: u64,
    names: BTreeMap<u64, String>,
    values: BTreeMap<u64, f64>,
}

impl State {
    fn apply(&mut self, message: &Value) {
        let number = |value: &Value| value.as_u64().unwrap();
        match message["type"].as_str().unwrap() {
            "schema" => {
                for series in message["series"].as_array().unwrap() {
                    self.names.insert(number(&series["id"]), series["name"].as_str().unwrap().into());
                }
            }
            kind @ ("snapshot" | "delta") => {
                if kind == "snapshot" {
                    self.values.clear();
                } else {
                    assert_eq!(message["prev"], self.offset, "a delta follows what the client has");
                }
                for value in message["values"].as_array().unwrap() {
                    self.values.insert(number(&value[0]), value[1].as_f64().unwrap());
                }
                for stale in message["stale"].as_array().into_iter().flatten() {
                    self.values.remove(&number(stale));
                }
                self.offset = number(&message["offset"]);
            }
            "welcome" | "subscribed" => {}
            other => panic!("{other}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, i32),
    Remove(u8),
    /// Time goes on, far enough in some cases that what went is forgotten.
    Tick(u64),
    /// The client reads up to the last tick.
    Read,
    /// The client reads some bytes, and the connection is cut.
    Cut(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, -5..5).prop_map(|(series, value)| Step::Set(series, value)),
        1 => (0..6_u8).prop_map(Step::Remove),
        4 => prop_oneof![4 => Just(1000), 1 => Just(200_000_u64)].prop_map(Step::Tick),
        2 => Just(Step::Read),
        2 => (0..1500_usize).prop_map(Step::Cut),
    ]
}

/// An `EventSource` that lives through cuts, and a page that keeps what it is told.
async fn live(steps: Vec<Step>, interval: &str) {
    let query = format!("match[]={{__name__=~%22s[0-4]%22}}&interval={interval}");
    let mut server = Server::start();
    let mut slots: BTreeMap<u8, (Slot, i32)> = BTreeMap::new();
    server.tick();
    let (mut state, mut viewer) = (State::default(), server.watch(&query, "").await);
    for step in steps.into_iter().chain([Step::Cut(0), Step::Tick(1000), Step::Read]) {
        match step {
            Step::Set(series, value) => {
                let slot = match slots.get(&series) {
                    Some((slot, _)) => *slot,
                    None => server.gauge(&format!("s{series}"), 0.0),
                };
                server.table.set(slot, f64::from(value), NO_TIME);
                slots.insert(series, (slot, value));
            }
            Step::Remove(series) => {
                if let Some((slot, _)) = slots.remove(&series) {
                    server.table.remove(slot);
                }
            }
            Step::Tick(ms) => {
                server.tick_after(ms);
                let want: Vec<_> = slots
                    .range(..5)
                    .map(|(series, (_, value))| (format!("s{series}"), f64::from(*value)))
                    .collect();
                // One that keeps up, to know that the hub has seen the tick.
                let mut probe = server.watch("match[]={__name__=~%22s[0-4]%22}", "").await;
                let mut seen = State::default();
                while seen.offset < server.offset() {
                    seen.apply(&probe.message().await);
                }
                assert_eq!(shown(&seen), want);
            }
            Step::Read => {
                // A new connection is up to date with its first frame whatever its interval.
                let last = viewer.last.clone();
                viewer = server.watch(&query, &last).await;
                viewer.last = last;
                while state.offset < server.offset() {
                    let message = viewer.message().await;
                    state.apply(&message);
                }
            }
            Step::Cut(bytes) => {
                let mut left = bytes;
                while left > 0
                    && let Some(frame) = viewer.body.frame().now_or_never()
                {
                    let data = frame.unwrap().unwrap().into_data().unwrap();
                    let taken = &data[..data.len().min(left)];
                    left -= taken.len();
                    viewer.text += std::str::from_utf8(taken).unwrap();
                    if taken.len() < data.len() {
                        left = 0;
                    }
                }
                while viewer.text.contains("\n\n") {
                    let event = viewer.event().await;
                    if !event.data.is_empty() {
                        state.apply(&event.json());
                    }
                }
                let last = viewer.last.clone();
                viewer = server.watch(&query, &last).await;
                viewer.last = last;
            }
        }
    }
    let want: Vec<_> =
        slots.range(..5).map(|(series, (_, value))| (format!("s{series}"), f64::from(*value))).collect();
    assert_eq!(shown(&state), want, "the client has what the table has");
}

/// Values by name.
fn shown(state: &State) -> Vec<(String, f64)> {
    let mut all: Vec<_> = state.values.iter().map(|(id, value)| (state.names[id].clone(), *value)).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn f37_wherever_it_is_cut_a_client_ends_up_with_what_the_table_holds(
        steps in proptest::collection::vec(step(), 0..60),
        interval in prop_oneof![Just("1s"), Just("3s")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(live(steps, interval));
    }
}

#[tokio::test]
async fn f42_events_come_with_a_place_and_one_who_goes_on_from_it_misses_none() {
    let mut server = Server::start();
    let a = server.gauge("a", 0.0);
    server.tick();
    let mut viewer = server.watch("match[]=a", "").await;
    viewer.up_to("snapshot").await;
    let events = server.hub.events();
    let step = |step_ms| events.publish(&ClockStep { step_ms });
    step(1);
    let event = viewer.event().await;
    assert_eq!((event.id.as_deref(), event.json()["seq"].as_u64()), (Some("0000000000000007:2:1"), Some(1)));

    // The one that stays shows when the others would have had it.
    step(2);
    assert_eq!(viewer.event().await.json()["step_ms"], 2);
    let mut back = server.watch("match[]=a", "0000000000000007:2:1").await;
    back.up_to("delta").await;
    assert_eq!(back.event().await.json()["step_ms"], 2, "what came meanwhile, and not what it had");
    step(3);
    assert_eq!(viewer.event().await.json()["step_ms"], 3);
    assert_eq!(back.event().await.id.as_deref(), Some("0000000000000007:2:3"));
    server.table.set(a, 1.0, NO_TIME);
    server.tick();
    back.up_to("delta").await;
    assert_eq!(back.last, "0000000000000007:3");
    drop(back);

    step(4);
    viewer.up_to("delta").await;
    assert_eq!(viewer.event().await.json()["step_ms"], 4);
    let mut back = server.watch("match[]=a", "0000000000000007:3").await;
    back.up_to("delta").await;
    assert_eq!(back.event().await.json()["step_ms"], 4, "a frame's place says which events were before it");
    let resent = server.figure("gaugecast_stream_events_resent_total");
    assert_eq!(resent, "gaugecast_stream_events_resent_total 2");
}

#[tokio::test]
async fn f42_one_who_comes_from_another_life_of_the_server_is_told_what_lasts() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    server.hub.events().publish(&Reload { ok: false, message: "no".into() });
    let mut viewer = server.watch("match[]=a", "00000000000000ff:9:9").await;
    viewer.up_to("snapshot").await;
    let resync = viewer.event().await.json();
    assert_eq!((&resync["kind"], &resync["reason"]), (&json!("resync"), &json!("unknown_epoch")));
    assert_eq!(
        (&resync["state"][0]["kind"], &resync["state"][0]["message"]),
        (&json!("reload"), &json!("no"))
    );

    let response = server.ask("match[]=a&events=clock", &[("accept", "application/x-ndjson")]).await;
    let mut lines = Viewer::new(response);
    while !lines.until("\n").await.unwrap().contains("snapshot") {}
    server.hub.events().publish(&Reload { ok: true, message: "yes".into() });
    server.hub.events().publish(&ClockStep { step_ms: 5 });
    let line: Value = serde_json::from_str(&lines.until("\n").await.unwrap()).unwrap();
    assert_eq!((&line["kind"], &line["seq"]), (&json!("clock"), &json!(3)), "only the kinds that are wanted");
}

#[tokio::test(start_paused = true)]
async fn performance_comes_every_5_s_to_those_who_ask() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let mut viewer = server.watch("match[]=a&events=performance", "").await;
    let begun = Instant::now();
    viewer.up_to("snapshot").await;
    for seconds in [5, 10] {
        let event = viewer.event().await;
        assert_eq!((event.id.as_deref(), begun.elapsed().as_secs()), (None, seconds));
        let event = event.json();
        assert_eq!(event["server"]["connections"], json!({"total": 1, "active": 1, "peak": 1}));
        assert!(event["client"]["messages"].as_u64() >= Some(4), "{event}");
        assert_eq!(event["client"].get("rtt_ms"), None, "nobody answers a ping over plain HTTP");
    }
}

#[tokio::test]
async fn f53_a_refusal_has_the_request_id_and_says_when_to_come_again() {
    let config = Config { max_new_per_second: 1, max_new_burst: 1, ..Config::default() };
    let mut server = Server::with(config);
    server.gauge("a", 0.0);
    server.tick();
    let _first = server.watch("match[]=a", "").await;
    for again in ["1", "2", "3"] {
        let refused = server.ask("match[]=a", &[("x-request-id", "mine")]).await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], again, "each later");
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["requestId"], &body["errorType"]), (&json!("mine"), &json!("unavailable")));
        assert_eq!(body["details"]["reason"], "too_many_new");
    }
    let refused = server.figure("gaugecast_stream_handshakes_refused_total");
    assert_eq!(refused, "gaugecast_stream_handshakes_refused_total{reason=\"too_many_new\"} 3");
    let plain = Request::get("/api/v1/stream/ws").header("host", "localhost").body(Empty::<Bytes>::new());
    let refused = server.router.handle(plain.unwrap()).await;
    let id = refused.headers()["x-request-id"].clone();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["upgrade"]),
        (426, &"websocket".parse().unwrap())
    );
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (body["requestId"].as_str(), &body["details"]["reason"]),
        (id.to_str().ok(), &json!("not_an_upgrade"))
    );
}

#[tokio::test]
async fn the_figures_of_each_session_are_kept_while_it_lasts() {
    let mut server = Server::start();
    server.gauge("a", 0.0);
    server.tick();
    let response = server.ask("match[]=a", &[("user-agent", "test/1")]).await;
    let mut viewer = Viewer::new(response);
    viewer.up_to("snapshot").await;
    let [session] = &server.hub.sessions()[..] else { panic!("not one") };
    assert_eq!((session.transport, session.agent.as_deref()), ("sse", Some("test/1")));
    assert_eq!(session.remote, SocketAddr::from(LOCAL));
    assert_eq!(session.messages.load(Ordering::Relaxed), 4);
    assert_eq!(server.figure("gaugecast_stream_sessions{"), "gaugecast_stream_sessions{transport=\"sse\"} 1");
    drop(viewer);
    eventually("the session is forgotten", || server.hub.sessions().is_empty()).await;
    assert_eq!(server.figure("gaugecast_stream_sessions{"), "gaugecast_stream_sessions{transport=\"sse\"} 0");
    assert_eq!(server.figure("gaugecast_stream_clients_peak"), "gaugecast_stream_clients_peak 1");
}
