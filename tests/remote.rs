//! Samples that others push: `POST /api/v1/write`, asked through the router as a connection of a given peer would ask it.
#![allow(clippy::unwrap_used)]

mod written;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gaugecast::clock::Clock;
use gaugecast::collect::Ticks;
use gaugecast::collect::feed::Feed;
use gaugecast::collect::intake::Intake;
use gaugecast::collect::push::{Groups, Inbox, Pushes};
use gaugecast::exposition::Expositions;
use gaugecast::history::{self, History};
use gaugecast::query;
use gaugecast::registry::Registry;
use gaugecast::remote::{Version, pack};
use gaugecast::series::{Epoch, Selector, Table};
use gaugecast::server::{self, App, Parts, Peer, Router};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message;
use written::{Label, Sample, TimeSeries, WriteRequest};

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
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A request of 1.0.
fn request(series: &[(Pairs<'_>, &[(i64, f64)])]) -> Vec<u8> {
    let label = |&(name, value): &(&str, &str)| Label { name: name.into(), value: value.into() };
    let sample = |&(timestamp, value): &(i64, f64)| Sample { value, timestamp };
    let timeseries = series
        .iter()
        .map(|(labels, samples)| TimeSeries {
            labels: labels.iter().map(label).collect(),
            samples: samples.iter().map(sample).collect(),
        })
        .collect();
    pack(&WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec())
}

struct Fixture {
    groups: Groups,
    intake: Intake,
    router: Router,
    history: History,
    now: i64,
}

struct Answer {
    status: u16,
    headers: hyper::HeaderMap,
    body: String,
}

fn local() -> Option<Peer> {
    Some(Peer(SocketAddr::from(([127, 0, 0, 1], 50_000))))
}

impl Fixture {
    fn new(retention: Duration) -> Self {
        let (clock, registry) = (Clock::start(), Registry::new());
        let config = history::Config { retention, ..history::Config::default() };
        let history = History::open(&config, &registry, clock.now().unix_ms).unwrap();
        let (ticks, _) = Ticks::manual(Table::new(Epoch(1), 10).commit(clock.now(), 0));
        let groups = Groups::new(Duration::from_secs(300));
        let pushes = Pushes { inbox: Inbox::new(10, &registry).unwrap(), groups: groups.clone() };
        let parts = Parts {
            config: server::Config::default(),
            clock,
            ticks,
            expositions: Expositions::new(),
            registry,
            stream: None,
            samples: None,
            history: Some(history.clone()),
            query: query::Config::default(),
            targets: gaugecast::collect::scrape::Targets::default(),
            rules: None,
            anomalies: None,
            pushes: Some(pushes),
            reload: None,
            admin: gaugecast::server::Admin::default(),
        };
        let (router, intake) = (Router::new(App::new(parts).unwrap()), Intake::new(Epoch(1), 100));
        Fixture { groups, intake, router, history, now: clock.now().unix_ms }
    }

    async fn ask<B: HttpBody<Data = Bytes>>(
        &self,
        headers: &[(&str, &str)],
        peer: Option<Peer>,
        body: B,
    ) -> Answer {
        self.ask_at("POST", "/api/v1/write", headers, peer, body).await
    }

    async fn ask_at<B: HttpBody<Data = Bytes>>(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        peer: Option<Peer>,
        body: B,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if body.size_hint().exact() != Some(0) {
            request = request.header("transfer-encoding", "chunked");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().extend(
            peer.map(|peer| {
                let mut one = hyper::http::Extensions::new();
                one.insert(peer);
                one
            })
            .unwrap_or_default(),
        );
        let response = self.router.handle(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn push(&self, body: Vec<u8>) -> Answer {
        self.ask(&[("content-encoding", "snappy")], local(), Full::new(Bytes::from(body))).await
    }

    /// All samples of the series of a selector.
    fn samples(&self, selector: &str) -> Vec<(i64, f64)> {
        let selector = Selector::parse(selector).unwrap();
        let found = self.history.select(selector.matchers(), i64::MIN, i64::MAX, usize::MAX);
        found.iter().flat_map(|series| series.samples()).collect()
    }
}

fn hour() -> Fixture {
    Fixture::new(Duration::from_secs(3600))
}

#[tokio::test]
async fn what_is_acknowledged_can_be_queried_and_sending_it_again_does_no_harm() {
    let server = hour();
    let (t, up): (i64, Pairs<'_>) = (server.now, &[("__name__", "up"), ("job", "a")]);
    for _ in 0..2 {
        let answer = server.push(request(&[(up, &[(t - 2000, 1.0), (t - 1000, 0.0)])])).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.headers["x-prometheus-remote-write-samples-written"], "2");
        assert_eq!(server.samples("up{job=\"a\"}"), [(t - 2000, 1.0), (t - 1000, 0.0)]);
    }
    // Late ones too, as long as the history reaches back to them.
    let late = t - 3_599_000;
    assert_eq!(server.push(request(&[(up, &[(late, 7.0)])])).await.status, 204);
    assert_eq!(server.samples("up").first(), Some(&(late, 7.0)));
}

#[tokio::test]
async fn what_is_refused_is_named_and_the_rest_is_taken() {
    let server = hour();
    let t = server.now;
    let name = |name: &'static str| [("__name__", name)];
    assert_eq!(server.push(request(&[(&name("a"), &[(t, 1.0)])])).await.status, 204);
    let body = request(&[
        (&name("a"), &[(t, 2.0), (t + 1, 3.0)]),
        (&name("b"), &[(t - 3_700_000, 1.0), (t + 700_000, 1.0), (t, 4.0)]),
        (&[("job", "nameless")], &[(t, 1.0)]),
        (&name("c"), &[(t, 5.0)]),
    ]);
    let answer = server.push(body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["x-prometheus-remote-write-samples-written"], "3");
    for part in [
        "4 of 7 samples were refused",
        "1: another value has their time",
        "1: older than the history keeps (--history.retention)",
        "1: more than 10 minutes ahead",
        "1: a series has no metric name: {job=\\\"nameless\\\"}",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert_eq!(server.samples("a"), [(t, 1.0), (t + 1, 3.0)]);
    assert_eq!((server.samples("b"), server.samples("c")), (vec![(t, 4.0)], vec![(t, 5.0)]));
}

#[tokio::test]
async fn with_a_retention_of_a_hundred_years_the_beginning_of_time_is_taken() {
    let server = Fixture::new(Duration::from_secs(100 * 365 * 86_400));
    assert_eq!(
        server.push(request(&[(&[("__name__", "old")], &[(0, 1.0), (300_000, 2.0)])])).await.status,
        204
    );
    assert_eq!(server.samples("old"), [(0, 1.0), (300_000, 2.0)]);
}

#[tokio::test]
async fn version_2_is_taken_and_says_what_was_written() {
    let server = hour();
    let samples = vec![Sample { value: 3.0, timestamp: server.now }];
    let symbols = ["", "__name__", "up", "job", "v2"].map(str::to_owned).to_vec();
    let body = Request2 { symbols, timeseries: vec![TimeSeries2 { labels: vec![1, 2, 3, 4], samples }] };
    let headers = [("content-encoding", "snappy"), ("content-type", Version::V2.content_type())];
    let answer = server.ask(&headers, local(), Full::new(Bytes::from(pack(&body.encode_to_vec())))).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    for (name, count) in [("samples", "1"), ("histograms", "0"), ("exemplars", "0")] {
        assert_eq!(answer.headers[format!("x-prometheus-remote-write-{name}-written")], count);
    }
    assert_eq!(server.samples("up{job=\"v2\"}"), [(server.now, 3.0)]);
}

#[tokio::test]
async fn what_is_no_request_of_remote_write_is_refused_with_the_reason() {
    let server = hour();
    let good = || Full::new(Bytes::from(request(&[])));
    for (headers, status) in [
        (("content-encoding", "gzip"), 415),
        (("content-type", "application/json"), 415),
        (("content-type", "application/x-protobuf;proto=other.Message"), 415),
        (("content-length", "8388609"), 413),
        (("origin", "https://evil.example"), 403),
        (("x-other", "none"), 204),
    ] {
        let answer = server.ask(&[headers], local(), good()).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.body);
    }
    for body in [b"no snappy".to_vec(), pack(b"\x0a\x05no"), Vec::new()] {
        assert_eq!(server.push(body.clone()).await.status, 400, "{body:?}");
    }
    // 8 MiB are read, one byte more is not, whatever the request says of its length.
    let answer = server.push(vec![0; (8 << 20) + 1]).await;
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(server.history.stats().series, 0);
}

#[tokio::test]
async fn without_authentication_only_this_machine_may_write() {
    let server = hour();
    let from = |address: [u8; 4]| Some(Peer(SocketAddr::from((address, 1))));
    let mapped = Some(Peer("[::ffff:127.0.0.1]:1".parse().unwrap()));
    for (peer, status) in [
        (from([127, 0, 0, 1]), 204),
        (from([127, 9, 9, 9]), 204),
        (Some(Peer("[::1]:1".parse().unwrap())), 204),
        (mapped, 204),
        (from([192, 0, 2, 1]), 403),
        (None, 403),
    ] {
        let answer = server.ask(&[], peer, Full::new(Bytes::from(request(&[])))).await;
        assert_eq!(answer.status, status, "{peer:?} {}", answer.body);
    }
}

/// A body that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

#[tokio::test]
async fn a_bounded_number_of_bodies_is_read_at_once_and_who_comes_then_is_told_to_come_again() {
    let server = hour();
    let empty = || Full::new(Bytes::from(request(&[])));
    let mut reading: Vec<_> = (0..32).map(|_| Box::pin(server.ask(&[], local(), Never))).collect();
    for one in &mut reading {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    let answer = server.ask(&[], local(), empty()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "1");
    // A client that goes leaves its place.
    reading.pop();
    assert_eq!(server.ask(&[], local(), empty()).await.status, 204);
}

// ---------------------------------------------------------------------------------------- pushes in text

impl Fixture {
    async fn text(&self, method: &str, group: &str, headers: &[(&str, &str)], page: &[u8]) -> Answer {
        let path = format!("/api/v1/push/{group}");
        self.ask_at(method, &path, headers, local(), Full::new(Bytes::copy_from_slice(page))).await
    }

    /// Keys and values of what is pushed, as the next tick has them.
    fn pushed(&mut self) -> Vec<String> {
        let now = Clock::start().now();
        self.groups.feed().take(&mut self.intake, now);
        let tick = self.intake.commit(now, 1);
        let all = tick.schema.own.iter().flat_map(|family| &family.series);
        let all = all.filter(|series| series.name() != "push_time_seconds");
        all.map(|series| format!("{} {}", series.key(), tick.value(series))).collect()
    }
}

const OPEN: (&str, &str) = ("content-type", "application/openmetrics-text; version=1.0.0");

#[tokio::test]
async fn text_is_pushed_replaced_and_deleted() {
    for (method, headers, page, status, want) in [
        ("PUT", None, &b"x 1\n"[..], 200, vec!["x{job=\"a/b\",z=\"1\"} 1"]),
        (
            "POST",
            Some(OPEN),
            b"# TYPE y counter\ny_total 2\n# EOF\n",
            200,
            vec!["y_total{job=\"a/b\",z=\"1\"} 2"],
        ),
        (
            "POST",
            Some(("content-type", "application/x-www-form-urlencoded")),
            b"x 3\n",
            200,
            vec!["x{job=\"a/b\",z=\"1\"} 3"],
        ),
        ("DELETE", None, b"", 202, vec![]),
    ] {
        let mut server = hour();
        let headers: Vec<_> = headers.into_iter().collect();
        let answer = server.text(method, "job@base64/YS9i/z/1", &headers, page).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(server.pushed(), want);
    }
}

#[tokio::test]
async fn gzip_is_unpacked_up_to_a_bound() {
    use std::io::Write;
    let pack = |page: &[u8]| {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(page).unwrap();
        zip.finish().unwrap()
    };
    let mut server = hour();
    let gzip = [("content-encoding", "gzip")];
    // Members behind each other are one file.
    let huge = pack(&b"#\n".repeat(1 << 19)).repeat(33);
    for (page, status) in [(huge, 413), (b"no gzip".to_vec(), 400), (pack(b"x 1\n"), 200)] {
        assert_eq!(server.text("PUT", "a", &gzip, &page).await.status, status);
    }
    assert_eq!(server.pushed(), ["x{job=\"a\"} 1"]);
}

#[tokio::test]
async fn a_push_that_is_wrong_is_told_with_its_line_and_nothing_is_applied() {
    let mut server = hour();
    for (headers, page, status, why) in [
        (vec![OPEN], &b"x 1\n"[..], 400, "line 2: "), // no # EOF
        (vec![OPEN], b"# TYPE x counter\nx_total NaN\n# EOF\n", 400, "line 2: "),
        (vec![], b"x 1\ny{ 2\n", 400, "line 2: "),
        (vec![], b"x 1 1700000000000\n", 400, "line 1: a pushed sample has no timestamp"),
        (vec![("content-type", "application/json")], b"{}", 415, "text/plain"),
        (vec![("content-encoding", "br")], b"", 415, "gzip"),
        (vec![("origin", "https://evil.example")], b"x 1\n", 403, "evil"),
    ] {
        let answer = server.text("PUT", "a", &headers, page).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(why), "{}", answer.body);
    }
    assert_eq!(server.text("PUT", "a/b", &[], b"x 1\n").await.status, 400);
    let from_afar = Some(Peer(SocketAddr::from(([192, 0, 2, 1], 1))));
    let answer =
        server.ask_at("PUT", "/metrics/job/a", &[], from_afar, Full::new(Bytes::from("x 1\n"))).await;
    assert_eq!(answer.status, 403);
    assert!(server.pushed().is_empty());
}
