//! Live PromQL subscriptions and the past of a subscription that begins: a server in this process with a history, ticks
//! published by hand, and tungstenite's client.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::history::{self, History, Recorder, Write};
use gaugecast::query::Config as QueryConfig;
use gaugecast::query::promql::parse_selector;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Slot, SourceId, Table, Tick};
use gaugecast::stream::{Config, Hub, Past, feed, upgrade};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);
const T0: i64 = 1_700_000_000_000;

struct Server {
    table: Table,
    source: SourceId,
    beat: u64,
    publish: watch::Sender<Arc<Tick>>,
    recorded: watch::Receiver<u64>,
    history: History,
    registry: Registry,
    hub: Hub,
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
    _recorder: Recorder,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(Config::default(), QueryConfig::default()).await
    }

    async fn with(config: Config, query: QueryConfig) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", gaugecast::series::Scope::Own);
        let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
        let registry = Registry::new();
        let history = History::open(&history::Config::default(), &registry, T0).unwrap();
        let recorder = Recorder::start(history.clone(), &ticks);
        let recorded = recorder.recorded();
        let past = Past {
            history: history.clone(),
            recorded: recorded.clone(),
            options: query.options(),
            timeout: query.timeout,
        };
        let second = Duration::from_secs(1);
        let hub = Hub::start_with(config, ticks, second, Clock::start(), &registry, Some(past)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, hub.clone()));
        let beat = 0;
        Server {
            table,
            source,
            beat,
            publish,
            recorded,
            history,
            registry,
            hub,
            address,
            accepting,
            _recorder: recorder,
        }
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)]) -> Slot {
        let meta =
            FamilyMeta { name: name.into(), kind: Kind::Counter, help: "Help.".into(), unit: "".into() };
        self.table.series(self.source, &Arc::new(meta), Role::Value, name, labels).unwrap()
    }

    /// The next second; back when it is in the history.
    async fn tick(&mut self) -> u64 {
        self.beat += 1;
        let tick = self.table.commit(moment(self.beat * 1000), self.beat);
        let offset = tick.offset;
        self.publish.send_replace(tick);
        tokio::time::timeout(LONG, self.recorded.wait_for(|has| *has >= offset)).await.unwrap().unwrap();
        offset
    }

    async fn connect(&self) -> Client {
        let request = format!("ws://{}/", self.address).into_client_request().unwrap();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (stream, _) = tokio_tungstenite::client_async(request, socket).await.unwrap();
        let mut client = Client { stream };
        assert_eq!(client.message().await["type"], "welcome");
        client
    }

    /// A figure of the server's own.
    fn figure(&self, line: &str) -> f64 {
        let mut page = Vec::new();
        self.registry.page(&mut page);
        let page = String::from_utf8(page).unwrap();
        let found = page.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_else(|| panic!("{page}"));
        found.trim().parse().unwrap()
    }
}

async fn accept(listener: TcpListener, hub: Hub) {
    loop {
        let (socket, from) = listener.accept().await.unwrap();
        let hub = hub.clone();
        let service = hyper::service::service_fn(move |request| {
            let answer = upgrade(&hub, request, from).unwrap_or_else(|refusal| refusal.response());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service).with_upgrades());
    }
}

fn moment(ms: u64) -> Moment {
    Moment { since_start: Duration::from_millis(ms), unix_ms: T0 + i64::try_from(ms).unwrap() }
}

struct Client {
    stream: WebSocketStream<TcpStream>,
}

impl Client {
    async fn message(&mut self) -> Value {
        let message = tokio::time::timeout(LONG, self.stream.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
        self.message().await
    }

    /// Subscribes; all up to the snapshot.
    async fn subscribe(&mut self, fields: Value) -> Vec<Value> {
        let mut message = json!({"type": "subscribe", "sub": "s"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut answers = vec![self.ask(message).await];
        while answers.last().is_some_and(|last| last["type"] != "snapshot" && last["type"] != "error") {
            answers.push(self.message().await);
        }
        answers
    }

    /// All up to the next delta.
    async fn until_delta(&mut self) -> Vec<Value> {
        let mut messages = vec![self.message().await];
        while messages.last().unwrap()["type"] != "delta" {
            messages.push(self.message().await);
        }
        messages
    }
}

fn kinds(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn f47_a_query_is_streamed_like_series_and_shared_by_all_who_ask_for_it() {
    let mut server = Server::start().await;
    let (a, b) = (server.series("c_total", &[("job", "a")]), server.series("c_total", &[("job", "b")]));
    let set = |server: &mut Server, second: f64| {
        server.table.set(a, second * 10.0, NO_TIME);
        server.table.set(b, 7.0, NO_TIME);
    };
    for second in 0..3u8 {
        set(&mut server, second.into());
        server.tick().await;
    }
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    let answers = one.subscribe(json!({"query": "sum by(job) (rate(c_total[10s]))"})).await;
    assert_eq!(kinds(&answers), ["subscribed", "schema", "snapshot"], "{answers:?}");
    assert_eq!(answers[0]["matched"], 2);
    let schema = answers[1]["series"].as_array().unwrap();
    assert_eq!((&schema[0]["name"], &schema[0]["labels"]), (&json!(""), &json!({"job": "a"})));
    let again = other.subscribe(json!({"query": "sum by (job)(rate( c_total[10s] )) # the same"})).await;
    assert_eq!(answers[0]["channel"], again[0]["channel"]);
    assert_eq!(answers[2], again[2]);

    set(&mut server, 3.0);
    let offset = server.tick().await;
    let (delta, same) = (one.until_delta().await, other.until_delta().await);
    assert_eq!(delta, same);
    assert_eq!(delta[0]["offset"], offset);
    assert_eq!(delta[0]["t"], T0 + 4000);
    let values = delta[0]["values"].as_array().unwrap();
    assert_eq!(values.len(), 1, "b goes on at 0: {values:?}");

    // Job a goes: its result ends when its samples have left the window.
    server.table.remove(a);
    let mut stale = Vec::new();
    for _ in 0..12 {
        server.tick().await;
        let delta = one.until_delta().await.pop().unwrap();
        stale.extend(delta["stale"].as_array().cloned().unwrap_or_default());
    }
    assert_eq!(stale, [schema[0]["id"].clone()]);
    // Evaluated once a tick for both: at the start and at each of the 13 ticks.
    assert!(server.figure("gaugecast_stream_query_evaluation_seconds_count") <= 14.0);
    assert_eq!(server.figure("gaugecast_stream_queries"), 1.0);
}

#[tokio::test]
async fn f47_what_is_no_query_or_cannot_be_evaluated_is_told_and_harms_nobody() {
    let mut server = Server::start().await;
    for (job, value) in [("a", 1.0), ("b", 2.0)] {
        let slot = server.series("g", &[("job", job)]);
        server.table.set(slot, value, NO_TIME);
    }
    server.tick().await;
    let mut client = server.connect().await;
    for (query, code, column) in [
        ("sum(g", "bad_query", json!(6)),
        ("é + (", "bad_query", json!(1)),
        ("g[1m]", "bad_query", Value::Null),
        ("g + on () group_left g", "query_failed", Value::Null),
    ] {
        let error = client.subscribe(json!({"query": query})).await.pop().unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{query}: {error}");
        assert_eq!(error["column"], column, "{query}: {error}");
    }
    for fields in
        [json!({"query": "g", "match": ["g"]}), json!({}), json!({"query": "g", "derived": ["rate"]})]
    {
        let error = client.subscribe(fields).await.pop().unwrap();
        assert_eq!(error["code"], "bad_request", "{error}");
    }
    // It works now, and will not when there is a second series of the job.
    let answers =
        client.subscribe(json!({"query": "label_replace(g, \"job\", \"x\", \"host\", \"(.+)\")"})).await;
    assert_eq!(answers[0]["matched"], 2);
    let more: Vec<Slot> = ["h1", "h2"].map(|host| server.series("g", &[("host", host), ("job", "c")])).into();
    let _ = more;
    let mut plain = server.connect().await;
    plain.subscribe(json!({"match": ["g"]})).await;
    let spoiler = server.series("g", &[("host", "h1"), ("job", "d")]);
    server.table.set(spoiler, 1.0, NO_TIME);
    server.tick().await;
    let messages = client.until_delta().await;
    let notice = messages.iter().find(|message| message["type"] == "notice").unwrap();
    assert_eq!(notice["code"], "query_failed", "{notice}");
    assert_eq!(
        messages.last().unwrap()["stale"].as_array().unwrap().len(),
        2,
        "what is not known is not shown"
    );
    assert_eq!(plain.until_delta().await.last().unwrap()["stale"], Value::Null);
    server.table.remove(spoiler);
    server.tick().await;
    let messages = client.until_delta().await;
    let notice = messages.iter().find(|message| message["type"] == "notice").unwrap();
    assert_eq!(notice["code"], "query_restored");
    assert_eq!(server.figure("gaugecast_stream_query_evaluations_failed_total"), 2.0);
}

#[tokio::test]
async fn f46_the_short_form_names_its_series_after_what_they_are_made_of() {
    let mut server = Server::start().await;
    let slot = server.series("c_total", &[("job", "a")]);
    for second in 0..20u8 {
        server.table.set(slot, f64::from(second) * 5.0, NO_TIME);
        server.tick().await;
    }
    let mut client = server.connect().await;
    let answers = client.subscribe(json!({"match": ["c_total"], "derived": ["rate", "max[10s]"]})).await;
    let names: BTreeMap<_, _> = answers[1]["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| (series["id"].as_u64().unwrap(), series["name"].as_str().unwrap().to_owned()))
        .collect();
    let values: BTreeMap<String, f64> = answers[2]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| (names[&value[0].as_u64().unwrap()].clone(), value[1].as_f64().unwrap()))
        .collect();
    assert_eq!(values["c_total:max10s"], 95.0);
    assert!((values["c_total:rate30s"] - 95.0 / 30.0 * 19.5 / 19.0).abs() < 0.2, "{values:?}");
}

#[tokio::test]
async fn f47_a_client_goes_on_with_a_query_while_its_channel_lives_and_else_begins_anew() {
    let mut server = Server::start().await;
    let slot = server.series("g", &[]);
    server.table.set(slot, 1.0, NO_TIME);
    server.tick().await;
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    let answers = one.subscribe(json!({"query": "g * 2"})).await;
    other.subscribe(json!({"query": "g * 2"})).await;
    let (channel, offset) = (answers[0]["channel"].clone(), answers[2]["offset"].clone());
    drop(one);
    server.table.set(slot, 2.0, NO_TIME);
    server.tick().await;
    other.until_delta().await;
    let resume = |channel: &Value, sub: &str| {
        let resume = json!({"epoch": "0000000000000007", "offset": offset, "channel": channel});
        json!({"type": "subscribe", "sub": sub, "query": "g*2", "resume": resume})
    };
    let mut back = server.connect().await;
    assert_eq!(back.ask(resume(&channel, "a")).await["recovered"], true);
    assert_eq!(back.until_delta().await.pop().unwrap()["values"], json!([[1, 4]]));
    let other_channel = back.ask(resume(&json!(99), "b")).await;
    assert_eq!(
        (&other_channel["recovered"], &other_channel["reason"]),
        (&json!(false), &json!("other_channel"))
    );
    drop((back, other));
    // A tick later nobody holds the channel; an equal subscription gets another one.
    while server.hub.clients() > 0 {
        tokio::task::yield_now().await;
    }
    server.tick().await;
    server.tick().await;
    let mut anew = server.connect().await;
    let answer = anew.ask(resume(&channel, "c")).await;
    assert_ne!(answer["channel"], channel);
    assert_eq!(answer["recovered"], false);
}

#[tokio::test]
async fn f47_bounds_are_told_and_a_query_that_takes_too_long_holds_up_nobody() {
    let config = Config { max_queries: 1, ..Config::default() };
    let mut server = Server::with(config, QueryConfig { max_samples: 1000, ..QueryConfig::default() }).await;
    let slot = server.series("g", &[]);
    server.table.set(slot, 1.0, NO_TIME);
    server.tick().await;
    let mut client = server.connect().await;
    let error = client.subscribe(json!({"query": "sum_over_time(vector(1)[1y:1ms])"})).await.pop().unwrap();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("query_failed"), &json!(true)), "{error}");
    assert_eq!(client.subscribe(json!({"query": "g"})).await[0]["type"], "subscribed");
    let error = client.ask(json!({"type": "subscribe", "sub": "t", "query": "g + 1"})).await;
    assert_eq!((&error["code"], &error["limit"]), (&json!("limit_exceeded"), &json!(1)), "{error}");

    // What takes longer than any test: the plain channel has its frame, and the query is told to have failed.
    let slow = QueryConfig {
        timeout: Duration::from_millis(300),
        max_samples: 500_000_000,
        ..QueryConfig::default()
    };
    let mut server = Server::with(Config::default(), slow).await;
    let slot = server.series("g", &[]);
    server.table.set(slot, 1.0, NO_TIME);
    server.tick().await;
    let mut plain = server.connect().await;
    plain.subscribe(json!({"match": ["g"]})).await;
    let mut client = server.connect().await;
    let endless = "sum(sum_over_time(vector(1)[40d:10ms]))";
    let message = json!({"type": "subscribe", "sub": "s", "query": endless});
    client.stream.send(Message::text(message.to_string())).await.unwrap();
    server.tick().await;
    plain.until_delta().await;
    let error = client.message().await;
    assert_eq!(error["code"], "query_failed", "{error}");
}

/// The points of one series: those of `history`, and those that its snapshot and deltas say or, for a series without
/// a time of its own, leave as they were.
#[derive(Default)]
struct Line {
    points: BTreeMap<i64, u64>,
    now: Option<f64>,
    own_time: bool,
}

impl Line {
    fn add(&mut self, t: i64, v: f64) {
        assert!(self.points.insert(t, v.to_bits()).is_none(), "a point at {t} came twice");
    }
}

#[derive(Default)]
struct Lines {
    of: HashMap<u64, Line>,
    names: HashMap<u64, String>,
}

impl Lines {
    fn take(&mut self, message: &Value) {
        for series in message["series"].as_array().into_iter().flatten() {
            self.names.insert(series["id"].as_u64().unwrap(), series["name"].as_str().unwrap().to_owned());
        }
        for points in message["points"].as_array().into_iter().flatten() {
            let line = self.of.entry(points[0].as_u64().unwrap()).or_default();
            for point in points[1].as_array().unwrap() {
                line.add(point[0].as_i64().unwrap(), point[1].as_f64().unwrap());
            }
        }
        let Some(t) = message["t"].as_i64() else { return };
        for value in message["values"].as_array().unwrap() {
            let line = self.of.entry(value[0].as_u64().unwrap()).or_default();
            line.now = value[1].as_f64();
            line.own_time = value[2].is_i64();
            if let Some(own) = value[2].as_i64() {
                line.add(own, line.now.unwrap());
            }
        }
        for id in message["stale"].as_array().into_iter().flatten() {
            self.of.get_mut(&id.as_u64().unwrap()).unwrap().now = None;
        }
        for line in self.of.values_mut().filter(|line| !line.own_time) {
            if let Some(now) = line.now {
                line.add(t, now);
            }
        }
    }
}

#[tokio::test]
async fn f48_past_and_present_together_are_the_samples_of_the_history() {
    for join_at in [3u64, 17, 40] {
        let mut server = Server::start().await;
        let (a, own) = (server.series("a", &[]), server.series("own", &[]));
        let mut lines = Lines::default();
        let mut client = None;
        for second in 1..=60u64 {
            let n = u32::try_from(second).unwrap();
            server.table.set(a, f64::from(n / 3), NO_TIME);
            if second % 5 == 0 || second == 1 {
                server.table.set(own, f64::from(n), T0 + i64::try_from(second * 1000 - 400).unwrap());
            }
            server.tick().await;
            match &mut client {
                None if second == join_at => {
                    let mut new = server.connect().await;
                    let answers = new.subscribe(json!({"match": ["a", "own"], "history": "5m"})).await;
                    assert_eq!(kinds(&answers), ["subscribed", "schema", "history", "snapshot"]);
                    answers.iter().for_each(|message| lines.take(message));
                    client = Some(new);
                }
                None => {}
                Some(client) => client.until_delta().await.iter().for_each(|message| lines.take(message)),
            }
        }
        for (id, line) in &lines.of {
            let name = &lines.names[id];
            let found = server.history.select(&parse_selector(name).unwrap(), i64::MIN, i64::MAX, 2);
            let kept: BTreeMap<i64, u64> = found[0].samples().map(|(t, v)| (t, v.to_bits())).collect();
            assert_eq!(line.points, kept, "{name}, joined at {join_at}");
        }
        assert_eq!(lines.of.len(), 2);
    }
}

#[tokio::test]
async fn f48_the_past_of_a_query_is_what_it_would_have_given_then() {
    let mut server = Server::start().await;
    let slot = server.series("c_total", &[]);
    let mut first = None;
    let (mut early, mut late) = (Lines::default(), Lines::default());
    for second in 0..50u8 {
        server.table.set(slot, f64::from(second) * f64::from(second), NO_TIME);
        server.tick().await;
        match &mut first {
            None if second == 5 => {
                let mut client = server.connect().await;
                let answers = client.subscribe(json!({"query": "rate(c_total[10s])"})).await;
                answers.iter().for_each(|message| early.take(message));
                first = Some(client);
            }
            None => {}
            Some(client) => client.until_delta().await.iter().for_each(|message| early.take(message)),
        }
    }
    let mut client = server.connect().await;
    let answers = client.subscribe(json!({"query": "rate(c_total[10s])", "history": "44s"})).await;
    assert_eq!(kinds(&answers), ["subscribed", "schema", "history", "snapshot"]);
    answers.iter().for_each(|message| late.take(message));
    assert_eq!(early.of[&1].points.len(), 45);
    assert_eq!(early.of[&1].points, late.of[&1].points);
}

#[tokio::test]
async fn f48_a_long_past_of_many_series_is_thinned_and_that_is_told() {
    let mut server = Server::start().await;
    let mut writes = Vec::new();
    for i in 0..300 {
        let i = i.to_string();
        let slot = server.series("g", &[("i", &i)]);
        server.table.set(slot, 1.0, NO_TIME);
        let labels = [("__name__", "g"), ("i", i.as_str())];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let samples = (1..=3000).map(|second| (T0 - second * 1000, second as f64)).collect();
        writes.push(Write { labels, samples });
    }
    server.history.append(&writes, T0);
    server.tick().await;
    let mut client = server.connect().await;
    let answers = client.subscribe(json!({"match": ["g"], "history": "1h"})).await;
    let notice = answers.iter().find(|message| message["type"] == "notice").unwrap();
    assert_eq!(notice["code"], "history_limited");
    let frames: Vec<_> = answers.iter().filter(|message| message["type"] == "history").collect();
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame["parts"] == frames.len()));
    assert!(frames.iter().all(|frame| frame.to_string().len() <= 1 << 20));
    let points = frames.iter().flat_map(|frame| frame["points"].as_array().unwrap());
    let counts: Vec<usize> = points.map(|series| series[1].as_array().unwrap().len()).collect();
    assert_eq!(counts.len(), 300);
    assert!(counts.iter().all(|count| (300..=333).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn f48_query_and_past_come_over_plain_http_too() {
    let mut server = Server::start().await;
    let slot = server.series("g", &[]);
    for second in 0..5u8 {
        server.table.set(slot, second.into(), NO_TIME);
        server.tick().await;
    }
    let request = hyper::Request::builder().header("accept", "application/x-ndjson").body(()).unwrap();
    let asked = [("query", "g * 2"), ("history", "3s"), ("interval", "1000")];
    let asked: Vec<_> = asked.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let peer = ([127, 0, 0, 1], 1).into();
    let response = feed(&server.hub, &request, &asked, peer).await.unwrap();
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("snapshot") {
        let frame = tokio::time::timeout(LONG, body.frame()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kinds(&messages), ["welcome", "subscribed", "schema", "history", "snapshot"]);
    let points = json!([[1, [[T0 + 2000, 2], [T0 + 3000, 4], [T0 + 4000, 6]]]]);
    assert_eq!(messages[3]["points"], points);
    assert_eq!(messages[4]["values"], json!([[1, 8]]));
}
