//! The examples in `docs/protocol/messages.json` are what this server says and reads, and `docs/protocol.md`
//! shows exactly them. Clients in other languages read the same file in their tests.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::protocol::{Server, decode};
use super::*;
use crate::alert::manager::AlertEvent;
use crate::detect::watch::{Anomaly, Moved, Stage};
use crate::loadtest::criteria::Verdict;
use crate::loadtest::publish::Outcome;

const FIXTURES: &str = include_str!("../../docs/protocol/messages.json");
const DOCUMENT: &str = include_str!("../../docs/protocol.md");

fn fixtures(direction: &str) -> BTreeMap<String, Value> {
    let all: Value = serde_json::from_str(FIXTURES).unwrap();
    let all = all.as_array().unwrap().iter().filter(|fixture| fixture["direction"] == direction);
    all.map(|fixture| (fixture["name"].as_str().unwrap().to_owned(), fixture["message"].clone())).collect()
}

fn series(
    bench: &mut Bench,
    meta: &Arc<FamilyMeta>,
    role: Role,
    name: &str,
    labels: &[(&str, &str)],
) -> Slot {
    bench.table.series(bench.source, meta, role, name, labels).unwrap()
}

/// A small server's life, in which every message of it occurs.
fn said() -> BTreeMap<String, Value> {
    let mut said = BTreeMap::new();
    let mut note = |name: &str, message: &Value| {
        assert!(said.insert(name.to_owned(), message.clone()).is_none(), "{name}");
    };
    let mut bench = Bench::with(Config { max_series: 6, ..Config::default() });
    let family = |name: &str, kind, help: &str, unit: &str| {
        Arc::new(FamilyMeta { name: name.into(), kind, help: help.into(), unit: unit.into() })
    };
    use crate::series::Kind;
    let load = family("node_load1", Kind::Gauge, "1m load average.", "");
    let load = series(&mut bench, &load, Role::Value, "node_load1", &[]);
    let cpu =
        family("node_cpu_seconds_total", Kind::Counter, "Seconds the CPUs spent in each mode.", "seconds");
    let labels = [("cpu", "0"), ("mode", "user")];
    let user = series(&mut bench, &cpu, Role::Value, "node_cpu_seconds_total", &labels);
    let times = family("http_request_duration_seconds", Kind::Histogram, "Time to answer.", "seconds");
    let name = "http_request_duration_seconds_bucket";
    let bucket = series(&mut bench, &times, Role::Bucket, name, &[("le", "0.1")]);
    bench.table.set(load, 0.25, NO_TIME);
    bench.table.set(user, 1234.5, NO_TIME);
    bench.table.set(bucket, 17.0, NO_TIME);
    bench.tick(1000);

    bench.session.welcome(&bench.tick.epoch.to_string(), &at(1000), &mut bench.out);
    let mut welcome = bench.sent().remove(0);
    welcome["version"] = "0.1.0".into();
    note("welcome", &welcome);
    note("pong", &bench.ask(json!({"type": "ping", "id": 7}))[0]);

    let selection = "{__name__=~\"node_load1|node_cpu_seconds_total|http_.*\"}";
    let answers = bench.ask(json!({"type": "subscribe", "sub": "cpu", "match": [selection], "id": 8}));
    note("subscribed", &answers[0]);
    note("schema", &answers[1]);
    note("snapshot", &answers[2]);

    bench.table.set(load, f64::NAN, NO_TIME);
    bench.table.set(user, 1235.25, 1_700_000_001_500);
    let round = bench.tick(1000);
    note("delta", &bench.deliver(&round)[0]);
    bench.table.remove(bucket);
    let system = [("cpu", "0"), ("mode", "system")];
    let system = series(&mut bench, &cpu, Role::Value, "node_cpu_seconds_total", &system);
    bench.table.set(system, 0.5, NO_TIME);
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    note("schema of a new series", &sent[0]);
    note("delta with stale", &sent[1]);
    let round = bench.tick(1000);
    note("delta without changes", &bench.deliver(&round)[0]);

    let resume = |offset: u64, epoch: &str, sub: &str| {
        let resume = json!({"epoch": epoch, "offset": offset});
        json!({"type": "subscribe", "sub": sub, "match": ["node_load1"], "interval": "5s", "resume": resume})
    };
    note("subscribed, recovered", &bench.ask(resume(3, "0000000000000007", "back"))[0]);
    note("subscribed, not recovered", &bench.ask(resume(3, "00000000000000ff", "anew"))[0]);
    let few = json!({"type": "subscribe", "sub": "few", "match": [selection], "limit": 2, "exact": true});
    bench.table.set(user, 18_446_744_073_709_551_616.0, NO_TIME);
    bench.tick(1000);
    let answers = bench.ask(few);
    note("subscribed, truncated", &answers[0]);
    note("snapshot, exact", &answers[2]);
    note("unsubscribed", &bench.ask(json!({"type": "unsubscribe", "sub": "few", "id": 9}))[0]);

    note("error bad_request", &bench.ask(json!([1]))[0]);
    note("error unsupported", &bench.ask(json!({"type": "refresh", "sub": "cpu"}))[0]);
    let asked = json!({"type": "subscribe", "sub": "busy", "query": "sum by (job)(rate(a[1m])"});
    note("error bad_query", &bench.ask(asked)[0]);
    note("error bad_selector", &bench.ask(subscribe("bad", "node_load1{a=~\"(\"}"))[0]);
    let asked =
        json!({"type": "subscribe", "sub": "fast", "match": ["node_load1"], "interval": "1ms", "id": 10});
    note("error bad_interval", &bench.ask(asked)[0]);
    note("error already_subscribed", &bench.ask(subscribe("cpu", "node_load1"))[0]);
    note("error unknown_subscription", &bench.ask(json!({"type": "unsubscribe", "sub": "gone"}))[0]);

    for i in 0..7 {
        let mode = format!("mode{i}");
        series(&mut bench, &cpu, Role::Value, "node_cpu_seconds_total", &[("mode", &mode)]);
    }
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    note("notice", sent.iter().find(|message| message["type"] == "notice").unwrap());
    note("error too_many_series", &bench.ask(subscribe("all", "node_cpu_seconds_total"))[0]);

    for (name, message) in said_of_a_query() {
        note(name, &message);
    }
    for (name, message) in said_to_a_slow_client() {
        note(name, &message);
    }

    let mut stepped = at(bench.ms + 1000);
    stepped.unix_ms += 3_600_000;
    let tick = bench.table.commit(stepped, bench.tick.beat + 1);
    let round = bench.channels.advance(&tick, &stepped).clone();
    note("event clock", &bench.deliver(&round)[0]);
    let mut happens = |seconds: i64, happening: &dyn Fn(&Events, i64)| {
        happening(&bench.events, stepped.unix_ms + seconds * 1000);
        let round = bench.channels.tell().clone();
        bench.deliver(&round).remove(0)
    };
    let mut down = target("textfile", false);
    down.message = Some("/var/lib/x.prom: line 3: no value".into());
    note("event target down", &happens(1, &|events, t| events.publish_at(t, &down)));
    note("event target up", &happens(2, &|events, t| events.publish_at(t, &target("textfile", true))));
    let reload = |ok, message: &str| events::Reload { ok, message: message.into() };
    let fine = reload(true, "in force: --log.level");
    note("event reload", &happens(3, &|events, t| events.publish_at(t, &fine)));
    let wrong = reload(false, "--collect.tick: not a duration");
    note("event reload refused", &happens(4, &|events, t| events.publish_at(t, &wrong)));
    note("ok", &bench.ask(json!({"type": "pong", "id": 1}))[0]);
    note("event resync", &resync(&mut bench));
    let outcome = Outcome {
        target: "ws://127.0.0.1:7171/api/v1/stream/ws".into(),
        cycle: 3,
        verdict: Verdict::Fail,
        failed: vec!["recovery.time<5s".into()],
        connections: 50,
        messages: 500,
        delivery_mean_ms: Some(1.5),
        delivery_p95_ms: Some(4.25),
        uptime_percent: Some(100.0),
        recovery_ms: Some(5200.5),
        errors: 0,
    };
    let t = stepped.unix_ms + 5000;
    bench.events.publish_at(t, &outcome);
    let round = bench.channels.tell().clone();
    note("event loadtest", &bench.deliver(&round)[0]);
    for (name, happening) in anomalies() {
        bench.events.publish_at(t + 1000, &happening);
        let round = bench.channels.tell().clone();
        note(name, &bench.deliver(&round)[0]);
    }
    bench.events.publish_at(t + 1000, &AlertEvent::example(t + 1000));
    let round = bench.channels.tell().clone();
    note("event alert", &bench.deliver(&round)[0]);
    note("event performance", &performance());
    note("ping", &serde_json::from_slice(&Server::Ping { server_time: 1_700_000_031_000 }.json()).unwrap());
    for (name, close, spread) in [("bye", Close::GoingAway, 4200), ("bye for good", Close::BadRequests, 0)] {
        let [bye, _] = close.frames(Duration::from_millis(spread));
        note(name, &serde_json::from_str(&frame::payloads(&bye.bytes)[0]).unwrap());
    }
    said
}

/// What only somebody hears whose socket is busy for six seconds, and who then keeps up.
fn said_to_a_slow_client() -> Vec<(&'static str, Value)> {
    let mut bench = Bench::new();
    let load = bench.gauge("node_load1", 0.25);
    bench.tick(1000);
    bench.ask(subscribe("load", "node_load1"));
    for _ in 0..6 {
        let round = bench.tick(1000);
        bench.busy(&round);
    }
    bench.table.set(load, 0.5, NO_TIME);
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    let mut said = vec![("notice slowed", sent[0].clone()), ("delta, conflated", sent[1].clone())];
    while said.len() < 3 {
        let round = bench.tick(1000);
        let notices = bench.deliver(&round).into_iter().filter(|message| message["type"] == "notice");
        said.extend(notices.map(|notice| ("notice restored", notice)));
    }
    said
}

/// What a client is told that comes from another life of the server.
fn resync(bench: &mut Bench) -> Value {
    let round = bench.channels.tell().clone();
    bench.session = bench.come(&round);
    bench.ask(json!({"type": "hello", "resume": {"epoch": "00000000000000ff", "seq": 3}}));
    bench.deliver(&round).remove(0)
}

/// What a query gives, that it cannot be evaluated, and its past.
fn said_of_a_query() -> Vec<(&'static str, Value)> {
    use super::super::super::channel::{Channel, Spec};
    use super::super::super::encode::Points;
    use super::super::super::frame::FrameWriter;
    use super::super::super::results::Results;
    use crate::query::Labels;
    use crate::query::live::LiveQuery;
    let query = LiveQuery::parse("sum by (job) (rate(http_requests_total[30s]))").unwrap();
    let spec = Arc::new(Spec::of_query(Arc::new(query), 1, None, false));
    let mut table = Table::new(Epoch(7), 10);
    let mut tick = |second: u64| table.commit(at(second * 1000), second);
    let first = tick(0);
    let mut results = Results::new(&first, 10);
    let job = |name: &str| Labels::new([("job", name)]);
    let values = Ok(vec![(job("api"), 12.5), (job("web"), 0.25)]);
    let first = results.apply(&first, &values);
    let mut channel = Channel::open(4, spec, &first, 10);
    let read = |frames: &Frames| -> Vec<Value> {
        frames.payloads().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
    };
    let schema = read(channel.view(&first).full()).remove(0);
    let mut next = |second: u64, values: &Result<Vec<(Labels, f64)>, Arc<str>>| {
        let tick = results.apply(&tick(second), values);
        channel.fares(results.state());
        let published = channel.publish(&tick, at(second * 1000).since_start).unwrap();
        let all = read(&published.last().frames);
        all.into_iter().find(|message| message["type"] == "notice").unwrap()
    };
    let failed = next(1, &Err("query selects more than 1000000 series".into()));
    let restored = next(2, &values);
    let mut points = Points::new(false);
    points.push(1, &[(1_699_999_998_000, 12.0), (1_699_999_999_000, f64::NAN), (1_700_000_000_000, 11.5)]);
    points.push(2, &[(1_699_999_998_000, 0.5), (1_699_999_999_000, crate::query::source::stale())]);
    let mut frames = FrameWriter::default();
    points.history(4, 1_699_999_997_000, 1_700_000_001_000, &mut frames);
    let history = read(&frames.finish()).remove(0);
    vec![
        ("schema of a query", schema),
        ("notice query_failed", failed),
        ("notice query_restored", restored),
        ("history", history),
    ]
}

/// A host whose load rises, is told, and comes down again.
fn anomalies() -> [(&'static str, Anomaly); 2] {
    let labels = || BTreeMap::from([("instance".to_owned(), "a:9100".to_owned())]);
    let moved =
        Moved { watch: "cpu".into(), metric: "node_cpu_seconds_total".into(), labels: labels(), sigmas: 7.5 };
    let begin = Anomaly {
        id: 4,
        state: Stage::Begin,
        watch: "load".into(),
        metric: "node_load1".into(),
        labels: labels(),
        observed: "value".into(),
        detector: "novelty",
        severity: crate::alert::Severity::Info,
        since: 1_700_003_613_000,
        value: 9.5,
        expected: 0.8,
        lower: 0.2,
        upper: 1.4,
        score: 1.25,
        samples: 1520,
        explanation: "node_load1{instance=\"a:9100\"} is 9.5, expected 0.8 (0.2 to 1.4)".into(),
        together: vec![moved],
    };
    let end = Anomaly {
        state: Stage::End,
        value: 1.0,
        samples: 1525,
        explanation: "node_load1{instance=\"a:9100\"} is again 1".into(),
        together: Vec::new(),
        ..begin.clone()
    };
    [("event anomaly begin", begin), ("event anomaly end", end)]
}

/// A reading, an hour after the server's begin and a minute after the client's.
fn performance() -> Value {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    metrics.frames.inc_by(2400);
    metrics.bytes.inc_by(480_000);
    (0..2).for_each(|_| metrics.error(ErrorCode::BadRequest));
    for us in [600, 700, 740, 760, 1200] {
        metrics.delivered(Duration::from_micros(us), 1);
    }
    let connections = Connections { total: 12, active: 1, peak: 7 };
    let mut now = at(3_615_000);
    let reading = Performance::default().next(connections, &metrics, &now);
    let remote = ([127, 0, 0, 1], 1).into();
    let figures = Figures::new(String::new(), remote, "websocket", None, at(3_555_000));
    figures.sent(90, 18_030);
    figures.answered(Duration::from_micros(400));
    let mut reader = Reader::new(&Performance::default(), &at(3_555_000));
    now.unix_ms = 1_700_003_615_000;
    let event = reader.take(true, &reading, &figures, &now).unwrap();
    serde_json::from_str(&frame::payloads(&event.bytes)[0]).unwrap()
}

#[test]
fn the_server_fixtures_are_what_the_server_says() {
    let said = said();
    let fixtures = fixtures("server");
    for (name, message) in &said {
        assert_eq!(Some(message), fixtures.get(name), "{name}: {message}");
    }
    assert_eq!(said.len(), fixtures.len());
}

#[test]
fn the_client_fixtures_are_read_as_what_they_are() {
    let mut kinds = BTreeSet::new();
    for (name, message) in fixtures("client") {
        let request = decode(&message.to_string()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(request.command.kind().as_str(), message["type"], "{name}");
        assert_eq!(request.id.is_some(), message.get("id").is_some(), "{name}");
        if let Command::Subscribe(asked) | Command::Update(asked) = request.command {
            let given = |field: &str| message.get(field).is_some();
            assert_eq!(asked.selectors.is_some(), given("match"), "{name}");
            assert_eq!(asked.query.is_some(), given("query"), "{name}");
            assert_eq!(asked.derived.is_some(), given("derived"), "{name}");
            assert_eq!(asked.history.is_some(), given("history"), "{name}");
            assert_eq!(asked.interval.is_some(), given("interval"), "{name}");
            assert_eq!(asked.limit.is_some(), given("limit"), "{name}");
            assert_eq!(asked.exact.is_some(), given("exact"), "{name}");
            assert_eq!(matches!(asked.resume, Some(Resume::At { .. })), given("resume"), "{name}");
        }
        kinds.insert(message["type"].as_str().unwrap().to_owned());
    }
    let all = ["hello", "ping", "pong", "subscribe", "unsubscribe", "update"];
    assert_eq!(kinds, all.map(str::to_owned).into(), "every command has an example");
}

#[test]
fn the_document_shows_every_fixture_and_nothing_else() {
    let mut shown: Vec<Value> = DOCUMENT
        .split("```json\n")
        .skip(1)
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .collect();
    let mut fixtures: Vec<Value> =
        ["client", "server"].into_iter().flat_map(|direction| fixtures(direction).into_values()).collect();
    let order = |value: &Value| value.to_string();
    shown.sort_by_key(order);
    fixtures.sort_by_key(order);
    for (shown, fixture) in shown.iter().zip(&fixtures) {
        assert_eq!(shown, fixture);
    }
    assert_eq!(shown.len(), fixtures.len());
}

#[test]
fn the_document_names_every_error_code_and_close_code() {
    let codes = [
        ErrorCode::BadRequest,
        ErrorCode::Unsupported,
        ErrorCode::BadSelector,
        ErrorCode::BadQuery,
        ErrorCode::QueryFailed,
        ErrorCode::BadInterval,
        ErrorCode::TooManySeries,
        ErrorCode::AlreadySubscribed,
        ErrorCode::UnknownSubscription,
        ErrorCode::LimitExceeded,
        ErrorCode::RateLimited,
        ErrorCode::Internal,
    ];
    for code in codes {
        assert!(DOCUMENT.contains(&format!("| `{}` |", code.as_str())), "{code:?}");
    }
    for close in Close::ALL {
        let row = format!("| {} | `{}` |", close.code(), close.reason());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
    for (value, text) in [
        (protocol::MAX_DEPTH, "32 levels"),
        (protocol::MAX_SELECTORS, "1 to 32 selectors"),
        (protocol::MAX_NAME, "64 characters"),
    ] {
        assert!(text.contains(&value.to_string()) && DOCUMENT.contains(text), "{text}");
    }
}
