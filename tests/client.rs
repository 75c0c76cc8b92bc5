//! The client against a server in this process whose table and ticks are made by hand, through a proxy that cuts.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaugecast::client::{self, Client, ConnectError, Event, Lost, Options, Subscription};
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};
use gaugecast::stream::{Config, Hub, upgrade};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// Values by key, as bits: NaN equals itself and -0 is not 0.
type State = BTreeMap<String, u64>;

struct Server {
    table: Table,
    source: SourceId,
    slots: HashMap<u8, Slot>,
    beat: u64,
    publish: watch::Sender<Arc<Tick>>,
    hub: Hub,
    address: SocketAddr,
    /// What the table was at each offset.
    past: HashMap<u64, State>,
}

impl Server {
    async fn start(config: Config) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        let (ticks, publish) = Ticks::manual(table.commit(moment(0), 0));
        let hub =
            Hub::start(config, ticks, Duration::from_secs(1), Clock::start(), &Registry::new()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, hub.clone()));
        Server { table, source, slots: HashMap::new(), beat: 0, publish, hub, address, past: HashMap::new() }
    }

    /// Gives series `which` a value; it appears if it was not there.
    fn set(&mut self, which: u8, value: f64) {
        let meta =
            FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "\"Help\"\n".into(), unit: "".into() };
        let label = format!("{which} \"ä\"\\");
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

    /// Gives the offset.
    fn tick(&mut self) -> u64 {
        self.beat += 1;
        let tick = self.table.commit(moment(self.beat * 1000), self.beat);
        let all = tick.schema.families.iter().flat_map(|family| &family.series);
        let state = all.map(|series| (series.key().to_owned(), tick.value(series).to_bits())).collect();
        self.past.insert(tick.offset, state);
        let offset = tick.offset;
        self.publish.send_replace(tick);
        offset
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

/// Forwards; of the first connections each is cut after so many bytes from the server.
async fn cutting_proxy(server: SocketAddr, cuts: Vec<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut cuts = cuts.into_iter();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(forward(client, server, cuts.next()));
        }
    });
    address
}

async fn forward(client: TcpStream, server: SocketAddr, cut: Option<usize>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut left = cut.unwrap_or(usize::MAX);
        let mut chunk = [0; 512];
        while left > 0 {
            let most = chunk.len().min(left);
            let n = from_server.read(&mut chunk[..most]).await?;
            if n == 0 {
                return Ok(());
            }
            to_client.write_all(&chunk[..n]).await?;
            left -= n;
        }
        Ok::<(), std::io::Error>(())
    };
    // Whichever ends first takes both sockets with it.
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

fn moment(ms: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(ms).unwrap();
    Moment { since_start: Duration::from_millis(ms), unix_ms }
}

fn hasty() -> Options {
    let (shortest_wait, longest_wait) = (Duration::from_millis(1), Duration::from_millis(4));
    Options { shortest_wait, longest_wait, ..Options::default() }
}

async fn next(client: &mut Client) -> Event {
    tokio::time::timeout(LONG, client.next()).await.unwrap().unwrap()
}

fn state(client: &Client, sub: &str) -> State {
    client.model(sub).unwrap().iter().map(|series| (series.key(), series.value.to_bits())).collect()
}

/// What happens in the life of a server.
#[derive(Clone, Debug)]
enum Act {
    Set(u8, f64),
    Remove(u8),
    /// A tick that nobody waits for.
    Tick,
    /// A tick, and the client gets to see it, or a later one.
    Seen,
}

fn act() -> impl Strategy<Value = Act> {
    let value = prop_oneof![any::<f64>(), Just(-0.0), Just(f64::NAN), (0..100_i32).prop_map(f64::from)];
    prop_oneof![
        4 => (0..12_u8, value).prop_map(|(which, value)| Act::Set(which, value)),
        1 => (0..12_u8).prop_map(Act::Remove),
        1 => Just(Act::Tick),
        3 => Just(Act::Seen),
    ]
}

/// Lives through it all, and compares the model with the table at every event.
async fn live(acts: Vec<Act>, cuts: Vec<usize>) {
    let mut server = Server::start(Config::default()).await;
    server.set(0, 1.0);
    server.tick();
    let proxy = cutting_proxy(server.address, cuts).await.to_string();
    let mut client = loop {
        // The cuts run out.
        if let Ok(client) = client::connect(&proxy, hasty()).await {
            break client;
        }
    };
    client.subscribe(Subscription::new("all", ["m"])).unwrap();
    client.subscribe(Subscription::new("some", [r#"m{which=~"[0-5].*"}"#])).unwrap();
    for act in acts.into_iter().chain([Act::Seen]) {
        match act {
            Act::Set(which, value) => server.set(which, value),
            Act::Remove(which) => server.remove(which),
            Act::Tick => drop(server.tick()),
            Act::Seen => {
                let offset = server.tick();
                let behind = |client: &Client, sub| client.model(sub).unwrap().offset() < Some(offset);
                while behind(&client, "all") || behind(&client, "some") {
                    match next(&mut client).await {
                        Event::Snapshot(change) | Event::Delta(change) => {
                            let mut expected = server.past[&change.offset].clone();
                            if &*change.sub == "some" {
                                expected.retain(|key, _| {
                                    key.as_bytes()[9].is_ascii_digit() && key.as_bytes()[9] < b'6'
                                });
                            }
                            assert_eq!(state(&client, &change.sub), expected, "{change:?}");
                        }
                        Event::Connected | Event::Subscribed { .. } | Event::Lost { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
    server.hub.stop(Duration::ZERO).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn however_often_it_is_cut_the_model_is_the_table_at_the_same_offset(
        acts in proptest::collection::vec(act(), 1..40),
        cuts in proptest::collection::vec(0..4_000_usize, 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(acts, cuts));
    }
}

#[tokio::test]
async fn a_cut_connection_goes_on_with_what_was_missed() {
    let mut server = Server::start(Config::default()).await;
    server.set(0, 1.0);
    server.set(1, 2.0);
    let first = server.tick();
    let gone = Arc::new(tokio::sync::Notify::new());
    let cut = Arc::clone(&gone);
    let (target, listener) = (server.address, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let proxy = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::select! {
                () = forward(client, target, None) => {}
                () = cut.notified() => {}
            }
        }
    });
    let mut client = client::connect(&proxy, hasty()).await.unwrap();
    client.subscribe(Subscription::new("s", ["m"])).unwrap();
    assert_eq!(next(&mut client).await, Event::Connected);
    assert!(matches!(next(&mut client).await, Event::Subscribed { recovered: false, .. }));
    let Event::Snapshot(snapshot) = next(&mut client).await else { panic!("no snapshot") };
    assert_eq!((snapshot.offset, snapshot.values.len()), (first, 2));

    gone.notify_one();
    let Event::Lost { why: Lost::Network(_), .. } = next(&mut client).await else { panic!("not lost") };
    server.set(0, 3.0);
    server.tick();
    server.remove(1);
    let last = server.tick();
    assert_eq!(next(&mut client).await, Event::Connected);
    assert!(matches!(next(&mut client).await, Event::Subscribed { recovered: true, .. }));
    let Event::Delta(delta) = next(&mut client).await else { panic!("no delta") };
    assert_eq!((delta.offset, delta.values.len(), delta.stale.len()), (last, 1, 1));
    assert_eq!(state(&client, "s"), server.past[&last]);
    server.hub.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_server_that_stops_is_tried_again_when_it_says() {
    let mut server = Server::start(Config::default()).await;
    server.tick();
    let mut client = client::connect(&server.address.to_string(), hasty()).await.unwrap();
    assert_eq!(next(&mut client).await, Event::Connected);
    let (event, _) = tokio::join!(next(&mut client), server.hub.stop(LONG));
    let Event::Lost { why: Lost::Closed { code: 1001, retry_after: Some(advice), .. }, wait } = event else {
        panic!("{event:?}")
    };
    // The advice is spread from none at all to 10 s; where the client's own wait is longer, that one counts.
    assert!(advice < Duration::from_secs(10), "{advice:?}");
    assert!(wait == advice || (advice < wait && wait <= hasty().longest_wait), "{wait:?} for {advice:?}");
}

#[tokio::test]
async fn a_subscription_that_is_refused_says_why() {
    let server = Server::start(Config::default()).await;
    let mut client = client::connect(&server.address.to_string(), hasty()).await.unwrap();
    client.subscribe(Subscription::new("s", ["m{a=~\"(\"}"])).unwrap();
    assert!(client.subscribe(Subscription::new("s", ["m"])).is_err());
    assert_eq!(next(&mut client).await, Event::Connected);
    let Event::Refused(refused) = next(&mut client).await else { panic!("not refused") };
    assert_eq!((&*refused.code, refused.column, refused.retryable), ("bad_selector", Some(6), false));
    assert!(client.model("s").is_none());
    server.hub.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_first_connection_that_cannot_be_had_is_an_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let Err(ConnectError::Failed { why: Lost::Network(_), .. }) = client::connect(&nobody, hasty()).await
    else {
        panic!("there was nobody")
    };
    let full = Server::start(Config { max_clients: 0, ..Config::default() }).await;
    let refused = client::connect(&full.address.to_string(), hasty()).await.unwrap_err();
    assert!(refused.to_string().contains("the server answers 503"), "{refused}");
    assert!(matches!(client::connect("https://x", hasty()).await, Err(ConnectError::Target(_))));
    full.hub.stop(Duration::ZERO).await;
}
