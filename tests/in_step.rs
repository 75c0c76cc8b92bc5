//! Whatever is dropped, delayed or resumed, in whatever order, a client's state is the table at the same offset.
//!
//! A server in this process, whose table and ticks are made by hand, and clients written from docs/protocol.md that
//! know nothing of ours. Generated histories mix ticks, series that come and go, clients that do not read for a
//! while, connections cut anywhere, and subscriptions made, changed and ended. Who comes back goes on from
//! where it was, from where it was long ago, or from where nobody can have been. Every state that a client reaches
//! is compared. Buffers are as small as the kernel allows, so that who does not read is soon behind.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};
use gaugecast::stream::{Config, Hub, upgrade};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// Series that there may be: `m{which="0"}` and so on.
const SERIES: u8 = 40;

/// Asked for; the kernel has a least size of its own.
const BUFFER: u32 = 16 << 10;

const EPOCH: &str = "0000000000000007";

/// Values by `which`, as bits: NaN equals itself and -0 is not 0.
type State = BTreeMap<u8, u64>;

/// What may be subscribed to: selectors, the series they pick, and a limit.
type Selection = (&'static str, fn(u8) -> bool, Option<usize>);

const SELECTIONS: [Selection; 5] = [
    ("m", |_| true, None),
    (r#"m{which=~"[0-4]"}"#, |which| which < 5, None),
    (r#"m{which!~"[0-4]"}"#, |which| which >= 5, None),
    (r#"{__name__=~"m|n",which=~".*[02468]"}"#, |which| which % 2 == 0, None),
    ("m", |_| true, Some(5)),
];

struct Server {
    table: Table,
    source: SourceId,
    slots: HashMap<u8, Slot>,
    beat: u64,
    seconds: u64,
    publish: watch::Sender<Arc<Tick>>,
    hub: Hub,
    address: SocketAddr,
    /// What the table was at each offset.
    past: HashMap<u64, State>,
}

impl Server {
    async fn start() -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
        let config = Config { commands_per_second: 1_000_000, stall_timeout: LONG, ..Config::default() };
        let hub =
            Hub::start(config, ticks, Duration::from_secs(1), Clock::start(), &Registry::new()).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, hub.clone()));
        let (slots, past) = (HashMap::new(), HashMap::new());
        let mut server = Server { table, source, slots, beat: 0, seconds: 0, publish, hub, address, past };
        server.set(0, 1.0);
        server.tick(1);
        server
    }

    fn set(&mut self, which: u8, value: f64) {
        let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "Help.".into(), unit: "".into() };
        let label = which.to_string();
        let slot = *self.slots.entry(which).or_insert_with(|| {
            self.table.series(self.source, &Arc::new(meta), Role::Value, "m", &[("which", &label)]).unwrap()
        });
        self.table.set(slot, value, NO_TIME);
    }

    fn remove(&mut self, which: u8) {
        if let Some(slot) = self.slots.remove(&which) {
            self.table.remove(slot);
        }
    }

    /// Commits a tick so many seconds after the last one; gives the offset.
    fn tick(&mut self, seconds: u64) -> u64 {
        self.beat += 1;
        self.seconds += seconds;
        let tick = self.table.commit(moment(self.seconds), self.beat);
        let all = tick.schema.families.iter().flat_map(|family| &family.series);
        let which = |key: &str| key.split('"').nth(1).unwrap().parse().unwrap();
        let state = all.map(|series| (which(series.key()), tick.value(series).to_bits())).collect();
        let offset = tick.offset;
        self.past.insert(offset, state);
        self.publish.send_replace(tick);
        offset
    }

    fn at(&self, offset: u64, selection: usize) -> State {
        let (_, picks, _) = SELECTIONS[selection];
        self.past[&offset]
            .iter()
            .filter(|(which, _)| picks(**which))
            .map(|(which, bits)| (*which, *bits))
            .collect()
    }
}

async fn accept(listener: TcpListener, hub: Hub) {
    loop {
        let (socket, from) = listener.accept().await.unwrap();
        let hub = hub.clone();
        let service = hyper::service::service_fn(move |request| {
            let response = upgrade(&hub, request, from).unwrap_or_else(|refusal| refusal.response());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service).with_upgrades());
    }
}

fn moment(seconds: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(seconds).unwrap() * 1000;
    Moment { since_start: Duration::from_secs(seconds), unix_ms }
}

/// What a client knows of a channel.
#[derive(Clone, Debug, Default)]
struct Known {
    selection: usize,
    offset: Option<u64>,
    series: HashMap<u64, u8>,
    values: BTreeMap<u8, u64>,
}

/// From where a subscription is to go on.
#[derive(Clone, Copy, Debug)]
enum Resume {
    /// Not at all.
    Anew,
    /// From the state before so many frames, as a client does that was set back.
    Before(usize),
    ForeignEpoch,
    Future,
    Malformed,
}

/// What was asked of the server, and what its answer may do.
#[derive(Debug)]
enum Asked {
    Open { sub: u8, selection: usize, from: Option<Known>, must_be_anew: bool },
    End { sub: u8 },
}

#[derive(Debug, Default)]
struct Sub {
    selection: usize,
    channel: Option<u64>,
    /// The last states, for a client that is set back.
    past: VecDeque<Known>,
}

#[derive(Debug)]
struct Viewer {
    address: SocketAddr,
    stream: WebSocketStream<TcpStream>,
    subs: BTreeMap<u8, Sub>,
    channels: HashMap<u64, Known>,
    asked: VecDeque<Asked>,
    compared: usize,
    recovered: usize,
}

impl Viewer {
    async fn connect(address: SocketAddr) -> Self {
        let stream = dial(address).await;
        let (subs, channels, asked) = (BTreeMap::new(), HashMap::new(), VecDeque::new());
        Viewer { address, stream, subs, channels, asked, compared: 0, recovered: 0 }
    }

    async fn say(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Asks for a subscription, or for another selection if it is there already.
    async fn open(&mut self, sub: u8, selection: usize, resume: Resume) {
        let verb = if self.subs.contains_key(&sub) { "update" } else { "subscribe" };
        self.ask(verb, sub, selection, resume).await;
    }

    async fn ask(&mut self, verb: &str, sub: u8, selection: usize, resume: Resume) {
        let had = self.subs.entry(sub).or_default();
        let from = match resume {
            // Only a state of the same selection is one to go on from.
            Resume::Before(frames) if had.selection == selection => {
                had.past.iter().rev().nth(frames).or(had.past.front()).cloned()
            }
            _ => None,
        };
        if had.selection != selection {
            *had = Sub { selection, channel: had.channel, past: VecDeque::new() };
        }
        let (selector, _, limit) = SELECTIONS[selection];
        // What an update does not say stays.
        let limit = limit.or((verb == "update").then_some(10_000));
        let mut message = json!({"type": verb, "sub": sub.to_string(), "match": [selector]});
        if let Some(limit) = limit {
            message["limit"] = limit.into();
        }
        let offset = from.as_ref().and_then(|known| known.offset);
        match (resume, offset) {
            (Resume::Before(_), Some(offset)) => {
                message["resume"] = json!({"epoch": EPOCH, "offset": offset})
            }
            (Resume::Before(_), None) | (Resume::Anew, _) => {}
            (Resume::ForeignEpoch, _) => {
                message["resume"] = json!({"epoch": "00000000000000ff", "offset": 1})
            }
            (Resume::Future, _) => message["resume"] = json!({"epoch": EPOCH, "offset": 1_000_000}),
            (Resume::Malformed, _) => message["resume"] = json!({"epoch": 7, "offset": "x"}),
        }
        self.say(&message).await;
        self.asked.push_back(Asked::Open { sub, selection, from, must_be_anew: offset.is_none() });
    }

    async fn end(&mut self, sub: u8) {
        if self.subs.remove(&sub).is_some() {
            self.say(&json!({"type": "unsubscribe", "sub": sub.to_string()})).await;
            self.asked.push_back(Asked::End { sub });
        }
    }

    /// Drops the connection as it is, and asks for everything on a new one.
    async fn cut(&mut self, resume: Resume) {
        self.stream = dial(self.address).await;
        self.channels.clear();
        self.asked.clear();
        let subs: Vec<(u8, usize)> = self.subs.iter().map(|(sub, had)| (*sub, had.selection)).collect();
        for (sub, selection) in subs {
            self.subs.get_mut(&sub).unwrap().channel = None;
            self.ask("subscribe", sub, selection, resume).await;
        }
    }

    /// Reads what is there.
    async fn drain(&mut self, server: &Server) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            while let Some(message) = self.stream.next().now_or_never() {
                self.take(server, message.unwrap().unwrap());
            }
        }
    }

    /// Reads until every subscription is answered and at `offset`.
    async fn catch_up(&mut self, server: &Server, offset: u64) {
        let behind = |viewer: &Viewer| {
            let at = |sub: &Sub| viewer.channels.get(&sub.channel?)?.offset;
            !viewer.asked.is_empty() || viewer.subs.values().any(|sub| at(sub) < Some(offset))
        };
        while behind(self) {
            let message = tokio::time::timeout(LONG, self.stream.next()).await;
            let message =
                message.unwrap_or_else(|_| panic!("nothing comes that leads to {offset}: {self:?}"));
            self.take(server, message.unwrap().unwrap());
        }
    }

    fn take(&mut self, server: &Server, message: Message) {
        let Message::Text(text) = message else { panic!("{message:?}") };
        let message: Value = serde_json::from_str(&text).unwrap();
        let channel = message["channel"].as_u64();
        match message["type"].as_str().unwrap() {
            "welcome" => assert_eq!(message["epoch"], EPOCH),
            "subscribed" => self.answered(&message, channel.unwrap()),
            "unsubscribed" => {
                let Some(Asked::End { sub }) = self.asked.pop_front() else { panic!("{text}") };
                assert_eq!(message["sub"], sub.to_string());
                self.forget_unused();
            }
            "schema" => {
                let known =
                    self.channels.get_mut(&channel.unwrap()).expect("a channel that is subscribed to");
                for series in message["series"].as_array().unwrap() {
                    let which = series["labels"]["which"].as_str().unwrap().parse().unwrap();
                    known.series.insert(series["id"].as_u64().unwrap(), which);
                }
            }
            kind @ ("snapshot" | "delta") => {
                let known =
                    self.channels.get_mut(&channel.unwrap()).expect("a channel that is subscribed to");
                known.apply(kind == "snapshot", &message);
                self.compare(server, channel.unwrap());
            }
            "notice" => assert_eq!(message["code"], "truncated"),
            "ping" | "event" => {}
            _ => panic!("{text}"),
        }
    }

    fn answered(&mut self, message: &Value, channel: u64) {
        let Some(Asked::Open { sub, selection, from, must_be_anew }) = self.asked.pop_front() else {
            panic!("an answer to nothing: {message}")
        };
        assert_eq!(message["sub"], sub.to_string());
        let recovered = message["recovered"] == true;
        assert!(!(recovered && must_be_anew), "went on from nowhere: {message}");
        self.recovered += usize::from(recovered);
        match from.filter(|_| recovered) {
            // From the state that was named, even if a newer one of the same channel is here.
            Some(from) => drop(self.channels.insert(channel, from)),
            // A snapshot follows.
            None => drop(self.channels.entry(channel).or_insert(Known { selection, ..Known::default() })),
        }
        // It may have been changed or ended again since.
        if let Some(of) = self.subs.get_mut(&sub)
            && !self.asked.iter().any(|later| matches!(later, Asked::Open { sub: other, .. } | Asked::End { sub: other } if *other == sub))
        {
            assert_eq!(of.selection, selection);
            of.channel = Some(channel);
        }
        self.forget_unused();
    }

    /// Frames of channels that nobody has any more must not come. Those that may still be on their way are of
    /// subscriptions whose answer has not come.
    fn forget_unused(&mut self) {
        if self.asked.is_empty() {
            let subs = &self.subs;
            self.channels.retain(|channel, _| subs.values().any(|sub| sub.channel == Some(*channel)));
        }
    }

    fn compare(&mut self, server: &Server, channel: u64) {
        let known = &self.channels[&channel];
        let expected = server.at(known.offset.unwrap(), known.selection);
        match SELECTIONS[known.selection].2 {
            None => assert_eq!(known.values, expected, "at {:?}", known.offset),
            Some(limit) => {
                assert_eq!(known.values.len(), limit.min(expected.len()), "at {:?}", known.offset);
                for (which, bits) in &known.values {
                    assert_eq!(expected.get(which), Some(bits), "{which} at {:?}", known.offset);
                }
            }
        }
        self.compared += 1;
        for sub in self.subs.values_mut() {
            if sub.channel == Some(channel) && sub.selection == known.selection {
                sub.past.push_back(known.clone());
                if sub.past.len() > 8 {
                    sub.past.pop_front();
                }
            }
        }
    }
}

impl Known {
    fn apply(&mut self, snapshot: bool, message: &Value) {
        let offset = message["offset"].as_u64();
        if snapshot {
            assert_eq!(message["epoch"], EPOCH);
            self.values.clear();
        } else {
            assert_eq!(message["prev"].as_u64(), self.offset, "a hole");
            assert!(offset >= self.offset, "time goes on");
        }
        for point in message["values"].as_array().unwrap() {
            let which = self.series[&point[0].as_u64().unwrap()];
            let value = match point[1].as_str() {
                Some("NaN") => f64::NAN,
                Some("+Inf") => f64::INFINITY,
                Some("-Inf") => f64::NEG_INFINITY,
                Some(text) => panic!("{text}"),
                None => point[1].as_f64().unwrap(),
            };
            self.values.insert(which, value.to_bits());
        }
        for id in message["stale"].as_array().into_iter().flatten() {
            if let Some(which) = self.series.get(&id.as_u64().unwrap()) {
                self.values.remove(which);
            }
        }
        self.offset = offset;
    }
}

async fn dial(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    let socket = socket.connect(address).await.unwrap();
    client_async(format!("ws://{address}/"), socket).await.unwrap().0
}

/// What happens.
#[derive(Clone, Debug)]
enum Act {
    Set(u8, f64),
    Remove(u8),
    Tick,
    /// So many ticks in which everything changes, with nobody reading.
    Burst(u8),
    /// A tick after so long that the series which went before it are forgotten.
    Long,
    Open(usize, u8, usize, Resume),
    End(usize, u8),
    Cut(usize, Resume),
    Drain(usize),
    CatchUp(usize),
}

const VIEWERS: usize = 2;

fn resume() -> impl Strategy<Value = Resume> {
    prop_oneof![
        1 => Just(Resume::Anew),
        6 => prop_oneof![Just(0), 0..8_usize].prop_map(Resume::Before),
        1 => Just(Resume::ForeignEpoch),
        1 => Just(Resume::Future),
        1 => Just(Resume::Malformed),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let value = prop_oneof![
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        any::<f64>(),
        (0..100_i32).prop_map(f64::from)
    ];
    let (who, sub) = (|| 0..VIEWERS, || 0..3_u8);
    prop_oneof![
        8 => (0..SERIES, value).prop_map(|(which, value)| Act::Set(which, value)),
        3 => (0..SERIES).prop_map(Act::Remove),
        4 => Just(Act::Tick),
        1 => (1..60_u8).prop_map(Act::Burst),
        1 => Just(Act::Long),
        4 => (who(), sub(), 0..SELECTIONS.len(), resume())
            .prop_map(|(who, sub, selection, resume)| Act::Open(who, sub, selection, resume)),
        1 => (who(), sub()).prop_map(|(who, sub)| Act::End(who, sub)),
        2 => (who(), resume()).prop_map(|(who, resume)| Act::Cut(who, resume)),
        3 => who().prop_map(Act::Drain),
        3 => who().prop_map(Act::CatchUp),
    ]
}

/// Lives through it all; how many states were compared.
async fn live(acts: Vec<Act>) -> usize {
    let mut server = Server::start().await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = Viewer::connect(server.address).await;
        viewer.open(0, 0, Resume::Anew).await;
        viewers.push(viewer);
    }
    for act in acts {
        match act {
            Act::Set(which, value) => server.set(which, value),
            Act::Remove(which) => server.remove(which),
            Act::Tick => drop(server.tick(1)),
            Act::Burst(ticks) => {
                for tick in 0..ticks {
                    (0..SERIES).for_each(|which| server.set(which, f64::from(tick) + 0.123_456_789_012_3));
                    server.tick(1);
                    tokio::task::yield_now().await;
                }
            }
            Act::Long => drop(server.tick(100)),
            Act::Open(who, sub, selection, resume) => viewers[who].open(sub, selection, resume).await,
            Act::End(who, sub) => viewers[who].end(sub).await,
            Act::Cut(who, resume) => viewers[who].cut(resume).await,
            Act::Drain(who) => viewers[who].drain(&server).await,
            Act::CatchUp(who) => {
                let offset = server.tick(1);
                viewers[who].catch_up(&server, offset).await;
            }
        }
    }
    let offset = server.tick(1);
    let mut compared = 0;
    for viewer in &mut viewers {
        viewer.catch_up(&server, offset).await;
        compared += viewer.compared;
    }
    drop(viewers);
    server.hub.stop(Duration::ZERO).await;
    compared
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_state_is_the_table_at_the_same_offset(acts in proptest::collection::vec(act(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert!(runtime.block_on(live(acts)) > 0);
    }
}
