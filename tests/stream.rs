//! The stream as a client sees it: a server in this process, a table written by hand, ticks published by hand,
//! and tungstenite's client, or bare bytes where a client must misbehave.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};
use gaugecast::stream::events::ClockStep;
use gaugecast::stream::{Config, Hub, upgrade};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

struct Server {
    table: Table,
    source: SourceId,
    beat: u64,
    publish: watch::Sender<Arc<Tick>>,
    hub: Hub,
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(Config::default(), None).await
    }

    /// `peer`: whom the server takes its clients for.
    async fn with(config: Config, peer: Option<SocketAddr>) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
        let hub =
            Hub::start(config, ticks, Duration::from_secs(1), Clock::start(), &Registry::new()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, hub.clone(), peer));
        Server { table, source, beat: 0, publish, hub, address, accepting }
    }

    fn gauge(&mut self, name: &str, value: f64) -> Slot {
        let meta = FamilyMeta { name: name.into(), kind: Kind::Gauge, help: "Help.".into(), unit: "".into() };
        let labels = [("host", "h1")];
        let slot = self.table.series(self.source, &Arc::new(meta), Role::Value, name, &labels).unwrap();
        self.table.set(slot, value, NO_TIME);
        slot
    }

    fn tick(&mut self) {
        self.beat += 1;
        self.publish.send_replace(self.table.commit(moment(self.beat * 1000), self.beat));
    }

    async fn connect(&self) -> Client {
        let (client, _) = self.handshake(&[("sec-websocket-protocol", "gaugecast.v1.json")]).await.unwrap();
        client
    }

    async fn handshake(&self, headers: &[(&'static str, &str)]) -> Result<(Client, hyper::HeaderMap), Error> {
        let mut request = format!("ws://{}/api/v1/stream/ws", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let socket = TcpStream::connect(self.address).await?;
        let (stream, response) = tokio_tungstenite::client_async(request, socket).await?;
        let mut client = Client { stream };
        assert_eq!(client.message().await["type"], "welcome");
        Ok((client, response.headers().clone()))
    }

    /// A connection whose frames are written by hand, after `welcome`.
    async fn bare(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        socket
    }
}

async fn accept(listener: TcpListener, hub: Hub, peer: Option<SocketAddr>) {
    loop {
        let (socket, from) = listener.accept().await.unwrap();
        let hub = hub.clone();
        let service = hyper::service::service_fn(move |request| {
            let answer = upgrade(&hub, request, peer.unwrap_or(from));
            let response = answer.unwrap_or_else(|refusal| refusal.response());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service).with_upgrades());
    }
}

fn moment(ms: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(ms).unwrap();
    Moment { since_start: Duration::from_millis(ms), unix_ms }
}

struct Client {
    stream: WebSocketStream<TcpStream>,
}

impl Client {
    async fn next(&mut self) -> Message {
        tokio::time::timeout(LONG, self.stream.next()).await.unwrap().unwrap().unwrap()
    }

    async fn message(&mut self) -> Value {
        let message = self.next().await;
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn say(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.say(message).await;
        self.message().await
    }

    async fn subscribe(&mut self, selector: &str) -> Vec<Value> {
        self.say(json!({"type": "subscribe", "sub": selector, "match": [selector]})).await;
        let mut answers = Vec::new();
        while answers.last().is_none_or(|last: &Value| last["type"] != "snapshot") {
            answers.push(self.message().await);
        }
        answers
    }

    /// The `bye` and the close that must come next.
    async fn farewell(mut self) -> (Value, u16, String) {
        let bye = self.message().await;
        assert_eq!(bye["type"], "bye");
        let Message::Close(Some(close)) = self.next().await else { panic!("no close after bye") };
        assert_eq!(bye["code"], u16::from(close.code));
        let end = tokio::time::timeout(LONG, self.stream.next()).await.unwrap();
        assert!(end.is_none_or(|end| end.is_err()));
        (bye, close.code.into(), close.reason.to_string())
    }
}

#[tokio::test]
async fn a_whole_conversation() {
    let mut server = Server::start().await;
    let load = server.gauge("node_load1", 0.25);
    let gone = server.gauge("node_load5", f64::NAN);
    server.tick();
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut client = server.connect().await;
    assert_eq!(server.hub.clients(), 1);

    let pong = client.ask(json!({"type": "ping", "id": 1})).await;
    assert_eq!((&pong["type"], &pong["id"]), (&json!("pong"), &json!(1)));
    assert!(u128::from(pong["server_time"].as_u64().unwrap()) >= before);

    let answers = client.subscribe("{__name__=~\"node_.*\"}").await;
    let [subscribed, schema, snapshot] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((&subscribed["channel"], &subscribed["matched"]), (&json!(1), &json!(2)));
    assert_eq!(schema["families"]["node_load1"], json!({"type": "gauge", "help": "Help.", "unit": ""}));
    assert_eq!(schema["series"][0], json!({"id": 1, "name": "node_load1", "labels": {"host": "h1"}}));
    assert_eq!(snapshot["values"], json!([[1, 0.25], [2, "NaN"]]));
    assert_eq!((&snapshot["epoch"], &snapshot["offset"]), (&json!("0000000000000007"), &json!(2)));

    server.table.set(load, 0.5, NO_TIME);
    server.tick();
    let t = 1_700_000_002_000_i64;
    assert_eq!(
        client.message().await,
        json!({"type": "delta", "channel": 1, "offset": 3, "prev": 2, "t": t, "values": [[1, 0.5]]})
    );
    server.table.remove(gone);
    server.gauge("node_load15", -0.0);
    server.tick();
    let schema = client.message().await;
    assert_eq!((&schema["type"], &schema["series"][0]["id"]), (&json!("schema"), &json!(3)));
    let delta = client.next().await;
    assert!(delta.to_text().unwrap().ends_with(r#""values":[[3,-0]],"stale":[2]}"#), "{delta}");

    let answer =
        client.ask(json!({"type": "subscribe", "sub": "bad", "match": ["{a=~\"(\"}"], "id": "x"})).await;
    assert_eq!((&answer["code"], &answer["id"]), (&json!("bad_selector"), &json!("x")));
    server.tick();
    assert_eq!(client.message().await["values"], json!([]), "other subscriptions go on");

    client.stream.send(Message::Ping(Bytes::from_static(b"hi"))).await.unwrap();
    assert_eq!(client.next().await, Message::Pong(Bytes::from_static(b"hi")));

    client.stream.close(None).await.unwrap();
    assert!(matches!(client.next().await, Message::Close(_)));
    assert!(server.hub.stop(LONG).await);
    assert_eq!(server.hub.clients(), 0);
}

#[tokio::test]
async fn equal_subscriptions_of_many_clients_get_the_same_frames() {
    let mut server = Server::start().await;
    let a = server.gauge("a", 0.0);
    server.tick();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect().await;
        assert_eq!(client.subscribe("a").await[0]["channel"], 1);
        clients.push(client);
    }
    for value in 1..6 {
        server.table.set(a, f64::from(value), NO_TIME);
        server.tick();
        for client in &mut clients {
            let delta = client.message().await;
            assert_eq!(delta["values"], json!([[1, value]]));
            assert_eq!(delta["prev"], delta["offset"].as_u64().unwrap() - 1);
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_one_delta_to_now_and_no_queue() {
    let mut server = Server::start().await;
    let slots: Vec<Slot> = (0..9_000).map(|i| server.gauge(&format!("m{i:04}"), 0.0)).collect();
    server.tick();
    let mut slow = server.connect().await;
    slow.subscribe("{__name__=~\"m.*\"}").await;
    let mut quick = server.connect().await;
    quick.subscribe("{__name__=~\"m.*\"}").await;
    let rounds = 100_u32;
    for round in 1..=rounds {
        for slot in &slots {
            server.table.set(*slot, f64::from(round) + 0.123_456_789, NO_TIME);
        }
        server.tick();
        let delta = quick.message().await;
        assert_eq!(delta["offset"], delta["prev"].as_u64().unwrap() + 1, "a slow client delays no other");
    }
    // Ticks go on, since a client that was slow for long is sent less often, and then waits for a later one. One
    // that was slow for longer still begins anew.
    let mut ticking = tokio::time::interval(Duration::from_millis(50));
    let (mut offset, mut count) = (2, 0);
    while offset < 2 + u64::from(rounds) {
        let message = tokio::select! {
            message = slow.message() => message,
            _ = ticking.tick() => {
                server.tick();
                continue;
            }
        };
        match message["type"].as_str().unwrap() {
            "delta" => assert_eq!(message["prev"], offset),
            "snapshot" => {}
            _ => continue,
        }
        let to = message["offset"].as_u64().unwrap();
        let conflated = message["conflated"].as_u64().unwrap_or(0);
        assert!(to > offset + conflated, "{to} {offset} {conflated}");
        offset = to;
        count += 1;
    }
    assert!(count < rounds, "{count} deltas of about 190 kB: some were joined");
}

#[tokio::test]
async fn f36_a_client_that_comes_back_gets_what_it_missed() {
    let mut server = Server::start().await;
    let (a, b) = (server.gauge("a", 1.0), server.gauge("b", 1.0));
    server.tick();
    let mut client = server.connect().await;
    let snapshot = client.subscribe("{__name__=~\"a|b|c\"}").await.pop().unwrap();
    drop(client);
    server.table.set(a, 2.0, NO_TIME);
    server.tick();
    server.table.remove(b);
    server.gauge("c", 3.0);
    server.tick();
    let mut client = server.connect().await;
    let resume = json!({"epoch": snapshot["epoch"], "offset": snapshot["offset"]});
    let asked =
        json!({"type": "subscribe", "sub": "s", "match": ["{__name__=~\"a|b|c\"}"], "resume": resume});
    assert_eq!(client.ask(asked).await["recovered"], true);
    assert_eq!(client.message().await["series"].as_array().unwrap().len(), 1);
    let delta = client.message().await;
    assert_eq!((&delta["values"], &delta["stale"]), (&json!([[1, 2], [3, 3]]), &json!([2])));
}

#[tokio::test]
async fn f32_our_subprotocol_is_selected_and_a_token_is_never_echoed() {
    let server = Server::start().await;
    let (_, headers) =
        server.handshake(&[("sec-websocket-protocol", "gaugecast.v1.json, bearer.c2VjcmV0")]).await.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "gaugecast.v1.json");
    let (_, headers) = server.handshake(&[]).await.unwrap();
    assert!(!headers.contains_key("sec-websocket-protocol"));
    let refused = server.handshake(&[("sec-websocket-protocol", "chat")]).await;
    let Err(Error::Http(response)) = refused else { panic!("not refused") };
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn b16_a_plain_request_is_told_what_this_is() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("docs/protocol.md"), "{answer}");
}

#[tokio::test]
async fn b15_another_version_of_the_protocol_is_refused() {
    let server = Server::start().await;
    let refused = server.handshake(&[("sec-websocket-version", "8")]).await;
    let Err(Error::Http(response)) = refused else { panic!("not refused") };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["sec-websocket-version"]),
        (426, &"13".parse().unwrap())
    );
}

#[tokio::test]
async fn b18_connections_are_limited_in_all_and_per_address_before_the_upgrade() {
    let refusal = |refused: Result<(Client, hyper::HeaderMap), Error>| match refused {
        Err(Error::Http(response)) => {
            assert!(response.headers().contains_key("retry-after"));
            response.status().as_u16()
        }
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    };
    let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let config = Config { max_clients_per_ip: 2, ..Config::default() };
    let server = Server::with(config.clone(), Some(peer)).await;
    let (_one, two) = (server.connect().await, server.connect().await);
    assert_eq!(refusal(server.handshake(&[]).await), 429);
    two.leave(&server).await;
    let _two = server.connect().await;

    let server = Server::with(Config { max_clients: 3, ..config }, None).await;
    let _three = [server.connect().await, server.connect().await, server.connect().await];
    assert_eq!(refusal(server.handshake(&[]).await), 503, "loopback is limited only in all");
}

impl Client {
    /// Closes, and waits until the server has let go of the connection.
    async fn leave(mut self, server: &Server) {
        let before = server.hub.clients();
        self.stream.close(None).await.unwrap();
        let gone = async {
            while server.hub.clients() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, gone).await.unwrap();
    }
}

#[tokio::test]
async fn b20_a_binary_message_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.stream.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    let (bye, code, reason) = client.farewell().await;
    assert_eq!((code, &bye["reconnect"]), (1003, &json!(false)));
    assert!(reason.starts_with("binary_message: "));
}

#[tokio::test]
async fn b22_a_message_of_more_than_64_kib_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.say(json!({"type": "ping", "pad": "x".repeat((64 << 10) - 40)})).await;
    assert_eq!(client.message().await["type"], "pong");
    client.stream.send(Message::text("x".repeat((64 << 10) + 1))).await.unwrap();
    assert_eq!(client.farewell().await.1, 1009);
}

#[tokio::test]
async fn b26_malformed_messages_are_answered_and_the_tenth_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..9 {
        client.stream.send(Message::text("not json")).await.unwrap();
        assert_eq!(client.message().await["code"], "bad_request");
    }
    client.stream.send(Message::text("[1]")).await.unwrap();
    assert_eq!(client.message().await["code"], "bad_request");
    let (bye, code, _) = client.farewell().await;
    assert_eq!((code, bye["reconnect"].as_bool()), (4400, Some(false)));
}

#[tokio::test]
async fn b25_a_flood_of_pings_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..40 {
        client.stream.feed(Message::Ping(Bytes::new())).await.unwrap();
    }
    client.stream.flush().await.unwrap();
    loop {
        match client.next().await {
            Message::Pong(_) => {}
            Message::Text(text) => {
                assert!(text.contains("ping_flood"), "{text}");
            }
            Message::Close(Some(close)) => break assert_eq!(u16::from(close.code), 4429),
            other => panic!("{other:?}"),
        }
    }
}

/// What a client gets that sends these bytes as frames: the close code.
async fn close_after(bytes: &[u8]) -> u16 {
    let server = Server::start().await;
    let mut socket = server.bare().await;
    socket.write_all(bytes).await.unwrap();
    let mut got = Vec::new();
    tokio::time::timeout(LONG, socket.read_to_end(&mut got)).await.unwrap().unwrap();
    let mut rest = &got[..];
    while let [first, short, after @ ..] = rest {
        let (skip, len) = match short {
            126 => (2, usize::from(u16::from_be_bytes([after[0], after[1]]))),
            len => (0, usize::from(*len)),
        };
        let payload = &after[skip..skip + len];
        if *first == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
        rest = &after[skip + len..];
    }
    panic!("no close frame in {got:?}");
}

/// A frame as a client sends it, masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn b21_text_that_is_not_utf_8_ends_the_connection() {
    assert_eq!(close_after(&masked(0x81, b"\xff\xfe")).await, 1007);
}

#[tokio::test]
async fn b23_frames_that_break_the_rfc_end_the_connection() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("unmasked", vec![0x81, 2, b'{', b'}']),
        ("reserved bit", masked(0xc1, b"{}")),
        ("unknown data opcode", masked(0x83, b"")),
        ("unknown control opcode", masked(0x8b, b"")),
        ("fragmented ping", masked(0x09, b"")),
        ("continuation of nothing", masked(0x80, b"x")),
    ];
    for (name, bytes) in cases {
        assert_eq!(close_after(&bytes).await, 1002, "{name}");
    }
}

#[tokio::test]
async fn b24_fragments_without_end_are_cut_off() {
    let mut bytes = masked(0x01, b"");
    for _ in 0..30_000 {
        bytes.extend_from_slice(&masked(0x00, b""));
    }
    assert_eq!(close_after(&bytes).await, 1009);
    let mut bytes = masked(0x01, &[b'x'; 100]);
    for _ in 0..700 {
        bytes.extend_from_slice(&masked(0x00, &[b'x'; 100]));
    }
    assert_eq!(close_after(&bytes).await, 1009, "fragments of more than 64 KiB together");
}

#[tokio::test]
async fn b19_a_client_that_says_nothing_is_sent_away() {
    let config = Config { hello_timeout: Duration::from_millis(1), ..Config::default() };
    let server = Server::with(config, None).await;
    let client = server.connect().await;
    let (bye, code, reason) = client.farewell().await;
    assert_eq!((code, &bye["reconnect"]), (4408, &json!(true)));
    assert!(reason.starts_with("hello_timeout: "));
}

#[tokio::test]
async fn f49_a_client_that_answers_no_ping_is_sent_away() {
    let short = Duration::from_millis(1);
    let server = Server::with(Config { ping: short, pong_timeout: short, ..Config::default() }, None).await;
    let mut socket = server.bare().await;
    let mut got = Vec::new();
    tokio::time::timeout(LONG, socket.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got.windows(2).any(|pair| pair == [0x89, 0]), "a ping was sent");
    assert!(got.windows(2).any(|pair| pair == 4409_u16.to_be_bytes()), "and its absence told");
}

#[tokio::test]
async fn f51_a_stop_says_goodbye_to_everyone_and_refuses_newcomers() {
    let server = Server::start().await;
    let (one, two) = (server.connect().await, server.connect().await);
    let hub = server.hub.clone();
    let stopping = tokio::spawn(async move { hub.stop(LONG).await });
    for client in [one, two] {
        let (bye, code, _) = client.farewell().await;
        assert_eq!((code, &bye["reason"], &bye["reconnect"]), (1001, &json!("going_away"), &json!(true)));
        assert!((0..=10_000).contains(&bye["retry_after_ms"].as_u64().unwrap()));
    }
    assert!(stopping.await.unwrap());
    let Err(Error::Http(response)) = server.handshake(&[]).await else { panic!("not refused") };
    assert_eq!(response.status(), 503);
}

/// Goodbyes are spread over 50 ms a client: 20 over a second, each in a turn of its own.
#[tokio::test]
async fn f52_while_a_stop_waits_for_their_turn_clients_are_served() {
    let mut server = Server::start().await;
    let load = server.gauge("a", 0.0);
    server.tick();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.subscribe("a").await;
        clients.push(client);
    }
    let hub = server.hub.clone();
    let stopping = tokio::spawn(async move { hub.stop(LONG).await });
    while server.handshake(&[]).await.is_ok() {}
    server.table.set(load, 1.0, NO_TIME);
    server.tick();
    let (mut served, mut waits) = (0, std::collections::BTreeSet::new());
    for mut client in clients {
        let mut message = client.message().await;
        if message["type"] == "delta" {
            served += 1;
            message = client.message().await;
        }
        assert_eq!((&message["type"], &message["code"]), (&json!("bye"), &json!(1001)));
        waits.insert(message["retry_after_ms"].as_u64().unwrap());
    }
    assert!(stopping.await.unwrap());
    assert!(served > 0, "the hub goes on until the last is gone");
    assert!(waits.len() > 10 && waits.iter().all(|ms| *ms < 10_000), "they come back spread: {waits:?}");
}

#[tokio::test]
async fn f42_events_reach_all_that_are_connected_and_are_sent_again_to_who_comes_back() {
    let server = Server::start().await;
    let events = server.hub.events();
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    for client in [&mut one, &mut two] {
        assert_eq!(client.ask(json!({"type": "hello", "id": 1})).await, json!({"type": "ok", "id": 1}));
    }
    events.publish(&ClockStep { step_ms: 7 });
    for client in [&mut one, &mut two] {
        let event = client.message().await;
        assert_eq!(
            (&event["kind"], &event["step_ms"], &event["seq"]),
            (&json!("clock"), &json!(7), &json!(1))
        );
    }
    two.leave(&server).await;
    events.publish(&ClockStep { step_ms: 8 });
    let mut back = server.connect().await;
    let resume = json!({"epoch": "0000000000000007", "seq": 1});
    assert_eq!(back.ask(json!({"type": "hello", "resume": resume})).await["step_ms"], 8);
}

#[tokio::test]
async fn f42_who_comes_back_before_the_first_tick_goes_on_as_well() {
    let server = Server::start().await;
    let mut back = server.connect().await;
    back.say(json!({"type": "hello", "resume": {"epoch": "0000000000000007", "seq": 0}})).await;
    server.hub.events().publish(&ClockStep { step_ms: 7 });
    let event = back.message().await;
    assert_eq!((&event["kind"], &event["seq"]), (&json!("clock"), &json!(1)));
}

#[tokio::test]
async fn a_performance_event_comes_with_a_ping_whose_answer_is_the_round_trip() {
    let config = Config { performance: Duration::from_millis(1), ..Config::default() };
    let server = Server::with(config, None).await;
    let mut client = server.connect().await;
    client.say(json!({"type": "hello", "events": ["performance"]})).await;
    loop {
        match client.next().await {
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(event["server"]["connections"]["active"], 1);
                if event["client"]["rtt_ms"].as_f64().is_some_and(|ms| ms > 0.0) {
                    break;
                }
            }
            Message::Ping(_) => client.stream.flush().await.unwrap(),
            other => panic!("{other:?}"),
        }
    }
}
