//! Remote write out: a receiver of the test's own takes what a sender makes of a history, answers as it is told to, and what
//! it has taken in the end is what the history has.
#![allow(clippy::unwrap_used)]

mod written;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gaugecast::clock::{Clock, Moment};
use gaugecast::collect::Ticks;
use gaugecast::collect::scrape::Url;
use gaugecast::history::{self, History, STALE, Write};
use gaugecast::registry::Registry;
use gaugecast::remote::Version;
use gaugecast::remote::send::{Config, Receiver, Sending};
use gaugecast::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Table, Tick};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use written::{Sample, WriteRequest};

/// `io.prometheus.write.v2.Request` and its series.
#[derive(Clone, PartialEq, Message)]
struct Request2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries2>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries2 {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata2>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata2 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
}

/// What the receiver says to a request.
#[derive(Clone, Copy, Debug)]
enum Say {
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    Later(u64),
    /// Nothing: the connection is closed.
    Nothing,
    /// It takes the request and closes the connection.
    TakeAndDie,
}

/// A request as it came.
#[derive(Debug)]
struct Came {
    at: Instant,
    headers: HeaderMap,
    taken: bool,
    /// Labels as text, Unix milliseconds, bits.
    samples: Vec<(String, i64, u64)>,
    /// Name, type and help.
    families: Vec<(String, i32, String)>,
}

/// The receiver: what it is to say next, and 204 or what `always` says when nothing is left of that.
struct Peer {
    address: SocketAddr,
    say: Arc<Mutex<VecDeque<Say>>>,
    always: Arc<Mutex<Say>>,
    came: mpsc::UnboundedReceiver<Came>,
}

impl Peer {
    async fn start() -> Peer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (say, always) = (Arc::default(), Arc::new(Mutex::new(Say::Status(204))));
        let (tell, came) = mpsc::unbounded_channel();
        let peer = Peer { address: listener.local_addr().unwrap(), say, always, came };
        let (say, always) = (Arc::clone(&peer.say), Arc::clone(&peer.always));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (say, always, tell) = (Arc::clone(&say), Arc::clone(&always), tell.clone());
                let answer = service_fn(move |request| {
                    let say = say.lock().unwrap().pop_front().unwrap_or(*always.lock().unwrap());
                    answer(request, say, tell.clone())
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        peer
    }

    fn url(&self) -> Url {
        Url::parse(&format!("http://{}/write", self.address)).unwrap()
    }

    fn say(&self, what: impl IntoIterator<Item = Say>) {
        self.say.lock().unwrap().extend(what);
    }

    /// The next request with samples.
    async fn next(&mut self) -> Came {
        loop {
            let came = self.came.recv().await.unwrap();
            if !came.samples.is_empty() {
                return came;
            }
        }
    }

    /// Waits until so many samples have been taken; gives them.
    async fn taken(&mut self, count: usize) -> Vec<(String, i64, u64)> {
        let mut all = Vec::new();
        while all.len() < count {
            let came = self.next().await;
            if came.taken {
                all.extend(came.samples);
            }
        }
        all
    }
}

async fn answer(
    request: Request<Incoming>,
    say: Say,
    tell: mpsc::UnboundedSender<Came>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let packed = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let message = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
    let second = head.headers["content-type"].to_str().unwrap().contains("v2");
    let (samples, families) = if second { read2(&message) } else { read1(&message) };
    let taken = matches!(say, Say::Status(204) | Say::TakeAndDie);
    tell.send(Came { at, headers: head.headers, taken, samples, families }).unwrap();
    let response = Response::builder();
    let response = match say {
        Say::Status(status) => response.status(status),
        Say::Later(seconds) => response.status(429).header(RETRY_AFTER, seconds),
        Say::Nothing | Say::TakeAndDie => return Err(std::io::Error::other("away")),
    };
    Ok(response.body(Full::from("what it says")).unwrap())
}

type Samples = Vec<(String, i64, u64)>;
type Families = Vec<(String, i32, String)>;

fn read1(message: &[u8]) -> (Samples, Families) {
    let request = WriteRequest::decode(message).unwrap();
    let samples = request.timeseries.iter().flat_map(|series| {
        let labels: Vec<_> = series.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
        assert!(labels.is_sorted(), "{labels:?}");
        series.samples.iter().map(move |s| (labels.join(","), s.timestamp, s.value.to_bits()))
    });
    let families = request.metadata.iter().map(|m| (m.family.clone(), m.kind, m.help.clone()));
    (samples.collect(), families.collect())
}

fn read2(message: &[u8]) -> (Samples, Families) {
    let request = Request2::decode(message).unwrap();
    assert_eq!(request.symbols[0], "");
    let text = |at: u32| &*request.symbols[at as usize];
    let (mut samples, mut families) = (Vec::new(), Vec::new());
    for series in &request.timeseries {
        let labels: Vec<_> =
            series.labels.chunks(2).map(|l| format!("{}={}", text(l[0]), text(l[1]))).collect();
        assert!(labels.is_sorted(), "{labels:?}");
        samples.extend(series.samples.iter().map(|s| (labels.join(","), s.timestamp, s.value.to_bits())));
        let name = labels.iter().find_map(|label| label.strip_prefix("__name__=")).unwrap();
        families.extend(series.metadata.iter().map(|m| (name.to_owned(), m.kind, text(m.help).to_owned())));
    }
    (samples, families)
}

/// A history and who sends it.
struct Fixture {
    history: History,
    registry: Registry,
    sending: Sending,
    recorded: watch::Sender<u64>,
    /// Unix milliseconds.
    begin: i64,
    _ticks: watch::Sender<Arc<Tick>>,
}

/// A receiver that is tried again soon, and to which a sample goes with the next tick.
fn eager(url: Url) -> Receiver {
    let mut receiver = Receiver::new(url);
    receiver.name = "it".into();
    receiver.queue.max_samples = 100;
    receiver.queue.deadline = Duration::from_millis(1);
    receiver.queue.min_backoff = Duration::from_millis(1);
    receiver.queue.max_backoff = Duration::from_millis(4);
    receiver
}

impl Fixture {
    fn start(receiver: Receiver) -> Fixture {
        let registry = Registry::new();
        let clock = Clock::start();
        let begin = clock.now().unix_ms - 600_000;
        let history = History::open(&history::Config::default(), &registry, begin).unwrap();
        let mut table = Table::new(Epoch(1), 10);
        let source = table.add_source("test", Scope::Own);
        let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "What.".into(), unit: "".into() };
        let none: [(&str, &str); 0] = [];
        let slot = table.series(source, &Arc::new(meta), Role::Value, "m", &none).unwrap();
        table.set(slot, 1.0, NO_TIME);
        let tick = table.commit(Moment { since_start: Duration::ZERO, unix_ms: begin }, 0);
        let (ticks, publish) = Ticks::manual(tick);
        let first = Sending::begin(&history, clock.now().unix_ms);
        let (recorded, told) = watch::channel(0);
        let external = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        let config = Config { receivers: vec![receiver] };
        let sending =
            Sending::start(&config, &external, &history, &ticks, told, first, &registry, clock).unwrap();
        Fixture { history, registry, sending, recorded, begin, _ticks: publish }
    }

    /// Appends samples of a series at seconds after the begin, as a tick would.
    fn append(&self, labels: &[(&str, &str)], samples: impl IntoIterator<Item = (i64, f64)>) -> usize {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let samples = samples.into_iter().map(|(second, value)| (self.begin + second * 1000, value));
        let write = Write { labels, samples: samples.collect() };
        let taken = self.history.append(&[write], self.begin + 600_000).taken;
        self.recorded.send_modify(|offset| *offset += 1);
        taken
    }

    fn counter(&self, second: i64) {
        self.append(&[("__name__", "m")], [(second, second as f64)]);
    }

    /// What a figure of remote write is at the moment, all reasons together.
    fn figure(&self, name: &str) -> f64 {
        figure(&self.registry, name)
    }
}

fn figure(registry: &Registry, name: &str) -> f64 {
    let mut page = Vec::new();
    registry.page(&mut page);
    let page = String::from_utf8(page).unwrap();
    let lines = page.lines().filter(|line| line.starts_with(&format!("gaugecast_remote_write_{name}")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Seconds and values of a counter that were taken.
fn counted(fixture: &Fixture, all: &[(String, i64, u64)]) -> Vec<i64> {
    all.iter()
        .map(|(labels, time, bits)| {
            assert_eq!(labels, "__name__=m,region=eu");
            let second = (time - fixture.begin) / 1000;
            assert_eq!(f64::from_bits(*bits), second as f64);
            second
        })
        .collect()
}

#[tokio::test]
async fn labels_times_and_values_arrive_as_they_are_in_both_versions() {
    for version in [Version::V1, Version::V2] {
        let mut peer = Peer::start().await;
        let mut receiver = eager(peer.url());
        receiver.version = version;
        receiver.headers = [("X-Scope-OrgID".to_owned(), "t".to_owned())].into();
        let fixture = Fixture::start(receiver);
        let odd = [(1, 0.5), (3, f64::NAN), (4, -0.0), (7, f64::INFINITY), (9, f64::from_bits(STALE))];
        fixture.append(&[("__name__", "m"), ("a", "ä\"\n"), ("region", "us")], odd);
        fixture.append(&[("__name__", "m")], [(2, 1e300)]);
        let mut want: Vec<_> = odd
            .map(|(second, value)| ("__name__=m,a=ä\"\n,region=us".to_owned(), second, value.to_bits()))
            .into();
        want.push(("__name__=m,region=eu".to_owned(), 2, 1e300f64.to_bits()));
        let (mut got, mut described) = (Vec::new(), Vec::new());
        while got.len() < want.len() || described.is_empty() {
            let came = peer.came.recv().await.unwrap();
            let number = came.headers["x-prometheus-remote-write-version"].to_str().unwrap();
            assert_eq!(
                (number, came.headers["content-encoding"].to_str().unwrap()),
                (version.number(), "snappy")
            );
            assert_eq!(came.headers["x-scope-orgid"], "t");
            got.extend(came.samples);
            described.extend(came.families);
        }
        got.iter_mut().for_each(|(_, time, _)| *time = (*time - fixture.begin) / 1000);
        got.sort();
        want.sort();
        assert_eq!(got, want);
        assert!(
            described.iter().all(|told| *told == ("m".to_owned(), 2, "What.".to_owned())),
            "{described:?}"
        );
        fixture.sending.stop().await;
    }
}

#[tokio::test]
async fn a_429_is_tried_again_not_before_its_time() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    peer.say([Say::Later(1)]);
    let fixture = Fixture::start(receiver);
    fixture.counter(1);
    let (first, second) = (peer.next().await, peer.next().await);
    assert!(second.at.duration_since(first.at) >= Duration::from_secs(1));
    assert_eq!((first.taken, second.taken, &first.samples), (false, true, &second.samples));
    fixture.sending.stop().await;
    assert_eq!(figure(&fixture.registry, "samples_retried_total"), 1.0);
    assert_eq!(figure(&fixture.registry, "samples_sent_total"), 1.0);
}

#[tokio::test]
async fn a_400_is_counted_and_not_tried_again() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    peer.say([Say::Status(400)]);
    let fixture = Fixture::start(receiver);
    fixture.counter(1);
    let refused = peer.next().await;
    assert_eq!(counted(&fixture, &refused.samples), [1]);
    fixture.counter(2);
    let next = peer.next().await;
    assert_eq!((counted(&fixture, &next.samples), next.taken), (vec![2], true));
    fixture.sending.stop().await;
    let of = |name| figure(&fixture.registry, name);
    assert_eq!(
        (of("samples_failed_total"), of("samples_retried_total"), of("samples_sent_total")),
        (1.0, 0.0, 1.0)
    );
}

#[tokio::test]
async fn what_fails_is_sent_again_without_loss_and_in_order() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    let fixture = Fixture::start(receiver);
    peer.say([Say::Status(500), Say::Nothing, Say::Status(503), Say::Status(204), Say::Status(502)]);
    for second in 0..300 {
        fixture.counter(second);
    }
    let all = peer.taken(300).await;
    assert_eq!(counted(&fixture, &all), (0..300).collect::<Vec<_>>());
    // One that dies after it has taken a request gets the very same request again.
    peer.say([Say::TakeAndDie]);
    fixture.counter(300);
    let (first, second) = (peer.next().await, peer.next().await);
    assert_eq!((&first.samples, first.taken), (&second.samples, true));
    fixture.sending.stop().await;
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_all_in_order_in_requests_of_the_usual_size() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    *peer.always.lock().unwrap() = Say::Nothing;
    let fixture = Fixture::start(receiver);
    fixture.counter(0);
    while peer.next().await.taken {}
    let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    for second in 1..500 {
        fixture.counter(second);
        for name in &names {
            fixture.append(&[("__name__", "other"), ("i", name)], [(second, 1.0)]);
        }
    }
    *peer.always.lock().unwrap() = Say::Status(204);
    let mut all = Vec::new();
    while all.len() < 500 + 20 * 499 {
        let came = peer.next().await;
        assert!(came.samples.len() <= 100, "{}", came.samples.len());
        if !came.taken {
            continue;
        }
        all.extend(came.samples);
    }
    let mine: Vec<_> = all.iter().filter(|(labels, ..)| labels.contains("=m,")).cloned().collect();
    assert_eq!(counted(&fixture, &mine), (0..500).collect::<Vec<_>>());
    for name in names {
        let labels = format!("__name__=other,i={name},region=eu");
        let times: Vec<i64> = all.iter().filter(|one| one.0 == labels).map(|one| one.1).collect();
        assert_eq!(times, (1..500).map(|s| fixture.begin + s * 1000).collect::<Vec<_>>());
    }
    assert_eq!(fixture.figure("samples_dropped_total"), 0.0);
    fixture.sending.stop().await;
}

#[tokio::test]
async fn a_stop_sends_what_is_left() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    // Nothing but the stop makes it send.
    receiver.queue.deadline = Duration::from_secs(3600);
    receiver.queue.max_samples = 1000;
    let fixture = Fixture::start(receiver);
    for second in 0..50 {
        fixture.counter(second);
    }
    fixture.sending.stop().await;
    let mut all = Vec::new();
    while let Ok(came) = peer.came.try_recv() {
        all.extend(came.samples);
    }
    all.sort_by_key(|one| one.1);
    let seconds: Vec<i64> = all.iter().map(|one| (one.1 - fixture.begin) / 1000).collect();
    assert_eq!(seconds, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_receiver_that_is_away_and_counts_what_is_left() {
    let mut peer = Peer::start().await;
    let mut receiver = eager(peer.url());
    receiver.metadata = None;
    receiver.queue.min_backoff = Duration::from_secs(3600);
    receiver.queue.max_backoff = Duration::from_secs(3600);
    *peer.always.lock().unwrap() = Say::Status(503);
    let fixture = Fixture::start(receiver);
    fixture.counter(0);
    peer.next().await;
    for second in 1..50 {
        fixture.counter(second);
    }
    let began = Instant::now();
    fixture.sending.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3600));
    assert_eq!(figure(&fixture.registry, "samples_dropped_total"), 50.0);
    assert_eq!(figure(&fixture.registry, "samples_sent_total"), 0.0);
}

#[tokio::test]
async fn a_reload_leaves_a_receiver_alone_that_stays_and_begins_with_a_new_one() {
    let (mut first, mut second) = (Peer::start().await, Peer::start().await);
    let mut receivers = [eager(first.url()), eager(second.url())];
    receivers[1].name = "other".into();
    receivers.iter_mut().for_each(|receiver| receiver.metadata = None);
    let fixture = Fixture::start(receivers[0].clone());
    fixture.counter(1);
    assert_eq!(counted(&fixture, &first.taken(1).await), [1]);
    fixture.sending.reload(&Config { receivers: receivers.to_vec() }).await;
    fixture.counter(2);
    assert_eq!(counted(&fixture, &first.taken(1).await), [2]);
    assert_eq!(counted(&fixture, &second.taken(1).await), [2]);
    fixture.sending.reload(&Config { receivers: receivers[1..].to_vec() }).await;
    fixture.counter(3);
    assert_eq!(counted(&fixture, &second.taken(1).await), [3]);
    assert!(first.came.try_recv().is_err());
    fixture.sending.stop().await;
}
