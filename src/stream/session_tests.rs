//! The conversation without a socket: what is answered, and what time does.

use serde_json::{Value, json};

use super::super::events::{ClockStep, Events};
use super::super::frame;
use super::super::hub::Channels;
use super::super::performance::{Connections, Performance};
use super::*;
use crate::clock::Clock;
use crate::registry::Registry;
use crate::series::{Epoch, FamilyMeta, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};

fn at(ms: u64) -> Moment {
    let unix_ms = 1_700_000_000_000 + i64::try_from(ms).unwrap();
    Moment { since_start: Duration::from_millis(ms), unix_ms }
}

#[path = "fixture_tests.rs"]
mod fixtures;

/// A server in small: a table, its channels, and one client.
struct Bench {
    config: Arc<Config>,
    table: Table,
    source: SourceId,
    tick: Arc<Tick>,
    events: Events,
    channels: Channels,
    performance: Performance,
    session: Session,
    out: Outbox,
    ms: u64,
    written: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut table = Table::new(Epoch(7), 100_000);
        let source = table.add_source("test", Scope::Own);
        let tick = table.commit(at(0), 0);
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let events = Events::with(Epoch(7), Clock::start(), Arc::clone(&metrics));
        let channels = Channels::new(&config, events.clone());
        let config = Arc::new(config);
        let (remote, name) = (([127, 0, 0, 1], 1).into(), "5f2c9a3be81d4c07".to_owned());
        let figures = Arc::new(Figures::new(name, remote, "websocket", None, at(0)));
        let second = Duration::from_secs(1);
        let session = Session::new(&config, second, &metrics, figures, &Round::default(), &at(0));
        let performance = Performance::default();
        let (out, ms, written) = (Outbox::default(), 0, 0);
        Bench { config, table, source, tick, events, channels, performance, session, out, ms, written }
    }

    fn gauge(&mut self, name: &str, value: f64) -> Slot {
        let (help, unit) = ("".into(), "".into());
        let meta = FamilyMeta { name: name.into(), kind: crate::series::Kind::Gauge, help, unit };
        let none: [(&str, &str); 0] = [];
        let slot = self.table.series(self.source, &Arc::new(meta), Role::Value, name, &none).unwrap();
        self.table.set(slot, value, NO_TIME);
        slot
    }

    /// A tick after so many milliseconds.
    fn tick(&mut self, ms: u64) -> Round {
        self.ms += ms;
        self.tick = self.table.commit(at(self.ms), self.tick.beat + 1);
        self.channels.advance(&self.tick, &at(self.ms)).clone()
    }

    /// So many events, in a round of their own.
    fn happens(&mut self, count: usize) -> Round {
        (0..count).for_each(|_| self.events.publish(&ClockStep { step_ms: 1 }));
        self.channels.tell().clone()
    }

    /// A reading of the server's figures comes into a round.
    fn reads(&mut self, round: &mut Round) {
        let connections = Connections { total: 12, active: 1, peak: 7 };
        self.performance = self.performance.next(connections, &self.session.metrics, &at(self.ms));
        round.performance = self.performance.clone();
    }

    /// Another client, that comes after this round.
    fn come(&self, round: &Round) -> Session {
        let figures = Arc::clone(&self.session.figures);
        let second = Duration::from_secs(1);
        Session::new(&self.config, second, &self.session.metrics, figures, round, &at(self.ms))
    }

    /// What the client was sent since it was last asked.
    fn sent(&mut self) -> Vec<Value> {
        let bytes = self.out.take();
        self.written += bytes.len() as u64;
        frame::payloads(&bytes).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// The client says something; the answers, and whether it ended the connection.
    fn says(&mut self, text: &str) -> (Vec<Value>, Option<Close>) {
        let now = at(self.ms);
        let step = match self.session.receive(text, &now, &mut self.out) {
            Step::Open(opening) => {
                let second = Duration::from_secs(1);
                let answer = spec(&self.config, second, &opening.asked, opening.before.as_deref())
                    .and_then(|spec| self.channels.open(Arc::new(spec), &self.tick));
                self.session.opened(*opening, answer, &now, &mut self.out)
            }
            step => step,
        };
        let close = if let Step::Close(close) = step { Some(close) } else { None };
        (self.sent(), close)
    }

    fn ask(&mut self, message: Value) -> Vec<Value> {
        let (answers, close) = self.says(&message.to_string());
        assert_eq!(close, None);
        answers
    }

    fn deliver(&mut self, round: &Round) -> Vec<Value> {
        self.session.deliver(round, &at(self.ms), &mut self.out, &mut Parcel::default());
        self.sent()
    }

    /// Like [`Bench::deliver`], while the client's socket still has something to take.
    fn busy(&mut self, round: &Round) {
        self.session.busy(round, &at(self.ms));
    }

    fn wake(&mut self, ms: u64) -> Option<Close> {
        self.ms = ms;
        let socket = Seen { written: self.written, unfinished: None };
        self.session.wake(socket, &at(ms), &mut self.out)
    }
}

fn target(collector: &str, up: bool) -> events::Target {
    let labels = [("collector".to_owned(), collector.to_owned())].into();
    events::Target { labels, up, reason: (!up).then_some("error"), message: None }
}

fn subscribe(sub: &str, selector: &str) -> Value {
    json!({"type": "subscribe", "sub": sub, "match": [selector]})
}

fn codes(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["code"].as_str().unwrap_or(answer["type"].as_str().unwrap())).collect()
}

#[test]
fn a_subscription_is_answered_by_schema_and_snapshot_and_followed_by_deltas() {
    let mut bench = Bench::new();
    let a = bench.gauge("a", 1.0);
    bench.tick(1000);
    let answers = bench.ask(json!({"type": "subscribe", "sub": "s", "match": ["a"], "id": 9}));
    assert_eq!(codes(&answers), ["subscribed", "schema", "snapshot"]);
    assert_eq!(
        answers[0],
        json!({"type": "subscribed", "sub": "s", "id": 9, "channel": 1, "interval_ms": 1000, "matched": 1,
               "recovered": false})
    );
    bench.table.set(a, 2.0, NO_TIME);
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    assert_eq!(sent[0]["values"], json!([[1, 2]]));
    assert!(bench.deliver(&round).is_empty(), "a round is delivered once");
    assert_eq!(codes(&bench.ask(json!({"type": "unsubscribe", "sub": "s"}))), ["unsubscribed"]);
    let round = bench.tick(1000);
    assert!(bench.deliver(&round).is_empty());
}

#[test]
fn a_client_that_was_busy_gets_one_delta_from_what_it_has() {
    let mut bench = Bench::new();
    let (a, b) = (bench.gauge("a", 1.0), bench.gauge("b", 1.0));
    bench.tick(1000);
    bench.ask(subscribe("s", "{__name__=~\"a|b|c\"}"));
    bench.table.set(a, 2.0, NO_TIME);
    bench.tick(1000);
    bench.table.remove(b);
    bench.tick(1000);
    bench.gauge("c", 3.0);
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    assert_eq!(codes(&sent), ["schema", "delta"]);
    assert_eq!((&sent[1]["prev"], &sent[1]["offset"]), (&json!(2), &json!(5)));
    assert_eq!((&sent[1]["values"], &sent[1]["stale"]), (&json!([[1, 2], [3, 3]]), &json!([2])));
}

#[test]
fn clients_that_have_the_same_share_the_bytes() {
    let mut bench = Bench::new();
    bench.gauge("a", 1.0);
    bench.tick(1000);
    bench.ask(subscribe("one", "a"));
    bench.ask(subscribe("two", "{__name__='a'}"));
    let round = bench.tick(1000);
    assert_eq!(round.channels.len(), 1, "equal selections are one channel");
    let mut outbox = Outbox::default();
    bench.session.deliver(&round, &at(1000), &mut outbox, &mut Parcel::default());
    assert_eq!(
        outbox.len(),
        round.channels[&1].last().frames.bytes.len(),
        "sent once, for both subscriptions"
    );
    bench.ask(json!({"type": "unsubscribe", "sub": "one"}));
    let round = bench.tick(1000);
    assert_eq!(codes(&bench.deliver(&round)), ["delta"], "the other goes on");
}

#[test]
fn a_channel_without_subscribers_is_dropped_and_an_equal_one_gets_a_new_number() {
    let mut bench = Bench::new();
    bench.gauge("a", 1.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    bench.ask(json!({"type": "unsubscribe", "sub": "s"}));
    assert!(bench.tick(1000).channels.is_empty());
    assert_eq!(bench.ask(subscribe("s", "a"))[0]["channel"], 2);
}

#[test]
fn update_replaces_what_it_says_and_keeps_the_rest() {
    let mut bench = Bench::new();
    bench.gauge("a", 1e19);
    bench.gauge("b", 1.0);
    bench.tick(1000);
    bench.ask(json!({"type": "subscribe", "sub": "s", "match": ["a"], "interval": "3s"}));
    let answers = bench.ask(json!({"type": "update", "sub": "s", "exact": true}));
    assert_eq!((&answers[0]["channel"], &answers[0]["interval_ms"]), (&json!(2), &json!(3000)));
    assert_eq!(answers[2]["values"], json!([[1, "10000000000000000000"]]));
    let answers = bench.ask(json!({"type": "update", "sub": "s", "match": ["b"], "interval": 500}));
    assert_eq!((&answers[0]["interval_ms"], &answers[2]["values"]), (&json!(1000), &json!([[2, 1]])));
    let round = bench.tick(1000);
    assert_eq!(bench.deliver(&round).len(), 1, "the former selection is not sent any more");
    assert_eq!(codes(&bench.ask(json!({"type": "update", "sub": "x"}))), ["unknown_subscription"]);
}

#[test]
fn a_resume_goes_on_with_a_delta_or_says_why_not() {
    let mut bench = Bench::new();
    let a = bench.gauge("a", 1.0);
    bench.tick(1000);
    bench.table.set(a, 2.0, NO_TIME);
    bench.tick(1000);
    let mut resume = |resume: Value| {
        let mut asked = subscribe("s", "a");
        asked["resume"] = resume;
        let answers = bench.ask(asked);
        bench.ask(json!({"type": "unsubscribe", "sub": "s"}));
        answers
    };
    let answers = resume(json!({"epoch": "0000000000000007", "offset": 2}));
    assert_eq!(codes(&answers), ["subscribed", "schema", "delta"]);
    assert_eq!((&answers[0]["recovered"], &answers[2]["values"]), (&json!(true), &json!([[1, 2]])));
    for (asked, reason) in [
        (json!({"epoch": "0000000000000008", "offset": 2}), "unknown_epoch"),
        (json!({"epoch": "0000000000000007", "offset": 99}), "future_offset"),
        (json!({"epoch": "0000000000000007", "offset": "x"}), "malformed"),
        (json!(7), "malformed"),
    ] {
        let answers = resume(asked);
        assert_eq!(codes(&answers), ["subscribed", "schema", "snapshot"]);
        assert_eq!((&answers[0]["recovered"], &answers[0]["reason"]), (&json!(false), &json!(reason)));
    }
}

#[test]
fn b26_ten_malformed_messages_in_a_minute_end_the_connection() {
    let mut bench = Bench::new();
    for (i, text) in ["x", "[]", "{}", r#"{"type":"x"}"#, "1", "\"\"", "{", "", "null"].iter().enumerate() {
        bench.ms = 1000 * i as u64;
        let (answers, close) = bench.says(text);
        assert_eq!((codes(&answers), close), (vec!["bad_request"], None));
    }
    assert_eq!(bench.says("x").1, Some(Close::BadRequests));
    let mut bench = Bench::new();
    for i in 0..30 {
        bench.ms = 7000 * i;
        assert_eq!(bench.says("x").1, None, "nine a minute are tolerated");
    }
}

#[test]
fn b28_more_than_fifty_commands_a_second_are_refused_and_then_end_the_connection() {
    let mut bench = Bench::new();
    for _ in 0..50 {
        assert_eq!(codes(&bench.ask(json!({"type": "ping"}))), ["pong"]);
    }
    for _ in 0..50 {
        let answers = bench.ask(json!({"type": "ping"}));
        assert_eq!((codes(&answers), &answers[0]["retryable"]), (vec!["rate_limited"], &json!(true)));
    }
    assert_eq!(bench.says(r#"{"type":"ping"}"#).1, Some(Close::TooManyCommands));
    bench.ms += 1000;
    assert_eq!(codes(&bench.ask(json!({"type": "ping"}))), ["pong"]);
}

#[test]
fn b25_more_than_ten_pings_a_second_end_the_connection() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        assert!(matches!(bench.session.control(false, &at(0)), Step::Go));
    }
    assert!(matches!(bench.session.control(false, &at(0)), Step::Close(Close::TooManyPings)));
    assert!(matches!(bench.session.control(false, &at(1000)), Step::Go));
}

#[test]
fn b29_a_bad_selector_is_told_with_its_column_and_others_go_on() {
    let mut bench = Bench::new();
    bench.gauge("a", 1.0);
    bench.tick(1000);
    bench.ask(subscribe("good", "a"));
    let answers = bench.ask(subscribe("bad", r#"{a=~"("}"#));
    assert_eq!(codes(&answers), ["bad_selector"]);
    assert_eq!((&answers[0]["sub"], answers[0]["column"].is_u64()), (&json!("bad"), true));
    let answers = bench.ask(json!({"type": "subscribe", "sub": "bad", "match": ["a", "a{"]}));
    assert!(answers[0]["message"].as_str().unwrap().starts_with("match[1], column 3"), "{answers:?}");
    let round = bench.tick(1000);
    assert_eq!(codes(&bench.deliver(&round)), ["delta"]);
}

#[test]
fn b30_a_pattern_that_is_too_long_or_grows_too_large_is_refused() {
    let mut bench = Bench::new();
    for pattern in ["x".repeat(1025), "((a{100}){100}){100}".into()] {
        let answers = bench.ask(subscribe("s", &format!("{{a=~\"{pattern}\"}}")));
        assert_eq!(codes(&answers), ["bad_selector"]);
    }
}

#[test]
fn b31_a_selection_of_nothing_is_accepted_and_begins_when_series_appear() {
    let mut bench = Bench::new();
    let answers = bench.ask(subscribe("s", "later"));
    assert_eq!(codes(&answers), ["subscribed", "snapshot"]);
    assert_eq!((&answers[0]["matched"], &answers[1]["values"]), (&json!(0), &json!([])));
    bench.gauge("later", 5.0);
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    assert_eq!(codes(&sent), ["schema", "delta"]);
    assert_eq!(sent[1]["values"], json!([[1, 5]]));
}

#[test]
fn b32_too_many_series_are_refused_or_truncated_when_a_limit_is_given() {
    let mut bench = Bench::with(Config { max_series: 3, ..Config::default() });
    for i in 0..5 {
        bench.gauge(&format!("a{i}"), 1.0);
    }
    bench.tick(1000);
    let all = "{__name__=~\"a.\"}";
    let answers = bench.ask(subscribe("s", all));
    assert_eq!(codes(&answers), ["too_many_series"]);
    assert_eq!((&answers[0]["matched"], &answers[0]["limit"]), (&json!(5), &json!(3)));
    for (limit, matched) in [(2, 2), (100, 3)] {
        let sub = format!("limit {limit}");
        let answers = bench.ask(json!({"type": "subscribe", "sub": sub, "match": [all], "limit": limit}));
        assert_eq!((&answers[0]["matched"], &answers[0]["truncated"]), (&json!(matched), &json!(true)));
        assert_eq!(answers[2]["values"].as_array().unwrap().len(), matched);
    }
}

#[test]
fn b33_an_interval_out_of_range_is_refused_or_clamped_when_asked() {
    let mut bench = Bench::new();
    let cases = [(json!(0), 1000), (json!("1ms"), 1000), (json!(1e-6), 1000), (json!("10y"), 3_600_000)];
    for (i, (interval, granted)) in cases.into_iter().enumerate() {
        let mut asked =
            json!({"type": "subscribe", "sub": i.to_string(), "match": ["a"], "interval": interval});
        let answers = bench.ask(asked.clone());
        assert_eq!(codes(&answers), ["bad_interval"]);
        assert!(answers[0]["message"].as_str().unwrap().contains("250 ms to 3600000 ms"));
        asked["clamp"] = json!(true);
        assert_eq!(bench.ask(asked)[0]["interval_ms"], granted);
    }
    for interval in [json!(-1), json!("-1s"), json!("1ns"), json!("soon")] {
        let asked =
            json!({"type": "subscribe", "sub": "s", "match": ["a"], "interval": interval, "clamp": true});
        assert_eq!(codes(&bench.ask(asked)), ["bad_interval"]);
    }
}

#[test]
fn f39_intervals_are_rounded_up_to_ticks() {
    let second = Duration::from_secs(1);
    for (ms, want) in [(250, 1), (1000, 1), (1001, 2), (1500, 2), (3_600_000, 3600)] {
        assert_eq!(ticks(Duration::from_millis(ms), false, second), Ok(want), "{ms}");
    }
    assert_eq!(ticks(second, false, Duration::from_secs(5)), Ok(1));
    assert_eq!(ticks(second, false, Duration::from_millis(1)), Ok(1000));
}

#[test]
fn with_a_short_tick_every_tick_may_be_asked_for() {
    let ms = Duration::from_millis;
    for tick in [1, 10, 249] {
        assert_eq!(ticks(ms(tick), false, ms(tick)), Ok(1), "{tick}");
        assert_eq!(ticks(Duration::ZERO, true, ms(tick)), Ok(1), "{tick}");
        let fault = ticks(ms(tick) / 2, false, ms(tick)).unwrap_err();
        assert!(fault.message.contains(&format!("{tick} ms to 3600000 ms")), "{}", fault.message);
    }
    assert_eq!(ticks(ms(25), false, ms(10)), Ok(3));
    assert!(ticks(ms(249), false, ms(300)).is_err());
}

#[test]
fn b34_a_name_is_used_once_and_an_unknown_one_cannot_be_ended() {
    let mut bench = Bench::new();
    bench.ask(subscribe("s", "a"));
    assert_eq!(codes(&bench.ask(subscribe("s", "b"))), ["already_subscribed"]);
    let answers = bench.ask(json!({"type": "unsubscribe", "sub": "t", "id": "x"}));
    assert_eq!((codes(&answers), &answers[0]["id"]), (vec!["unknown_subscription"], &json!("x")));
}

#[test]
fn b35_the_65th_subscription_is_refused() {
    let mut bench = Bench::new();
    for i in 0..64 {
        bench.ms += 100;
        assert_eq!(codes(&bench.ask(subscribe(&i.to_string(), &format!("a{i}"))))[0], "subscribed");
    }
    let answers = bench.ask(subscribe("65", "a"));
    assert_eq!((codes(&answers), &answers[0]["limit"]), (vec!["limit_exceeded"], &json!(64)));
}

#[test]
fn distinct_selections_of_all_clients_are_bounded() {
    let mut bench = Bench::with(Config { max_channels: 1, ..Config::default() });
    bench.ask(subscribe("a", "a"));
    let answers = bench.ask(subscribe("b", "b"));
    assert_eq!((codes(&answers), &answers[0]["retryable"]), (vec!["limit_exceeded"], &json!(true)));
    assert_eq!(codes(&bench.ask(subscribe("c", "a")))[0], "subscribed");
}

#[test]
fn b19_a_client_that_says_nothing_is_closed_and_one_that_says_hello_is_not() {
    let mut bench = Bench::new();
    assert_eq!(bench.session.next_wake(), Duration::from_secs(10));
    assert_eq!((bench.wake(9_999), bench.wake(10_000)), (None, Some(Close::HelloTimeout)));
    let mut bench = Bench::new();
    assert!(bench.ask(json!({"type": "hello", "client": "test"})).is_empty());
    assert_eq!(bench.wake(10_000), None);
    let mut bench = Bench::new();
    bench.ask(json!({"type": "ping"}));
    assert_eq!(bench.wake(10_000), Some(Close::HelloTimeout), "a ping introduces nobody");
}

#[test]
fn f49_after_25_s_of_silence_there_is_a_ping_and_without_an_answer_the_end() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    assert_eq!((bench.wake(24_999), bench.out.len()), (None, 0));
    assert_eq!(bench.session.next_wake(), Duration::from_secs(25));
    assert_eq!(bench.wake(25_000), None);
    assert_eq!(bench.out.take()[..2], [0x89, 0]);
    bench.session.sent(1, 1, &at(25_000));
    assert_eq!(bench.session.next_wake(), Duration::from_secs(35));
    assert_eq!((bench.wake(34_999), bench.wake(35_000)), (None, Some(Close::NoPong)));
    assert!(matches!(bench.session.control(false, &at(35_000)), Step::Go));
    assert_eq!(bench.wake(35_000), None, "a pong is in time until the end is decided");
}

#[test]
fn f49_a_server_that_has_sent_nothing_for_25_s_says_so_in_a_message() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    bench.ms = 20_000;
    bench.ask(json!({"type": "pong"}));
    assert_eq!(bench.wake(25_000), None, "the client was heard five seconds ago");
    assert_eq!(bench.sent(), [json!({"type": "ping", "server_time": 1_700_000_025_000_i64})]);
}

#[test]
fn a_client_that_reads_nothing_is_closed_and_one_that_reads_slowly_is_not() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    bench.out.push(frame::text(b"waits"));
    assert_eq!((bench.wake(1000), bench.session.next_wake()), (None, Duration::from_secs(31)));
    bench.written += 1;
    assert_eq!(bench.wake(31_000), None);
    assert_eq!((bench.wake(60_999), bench.wake(61_000)), (None, Some(Close::Slow)));
}

#[test]
fn b24_a_message_that_does_not_end_in_time_ends_the_connection() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    let within = |number| Seen { written: 0, unfinished: Some(number) };
    let mut wake = |ms, socket| bench.session.wake(socket, &at(ms), &mut bench.out);
    assert_eq!(wake(1000, within(1)), None);
    assert_eq!(wake(10_999, within(2)), None, "it ended, this is another");
    assert_eq!(wake(20_000, within(2)), None);
    assert_eq!((wake(20_998, within(2)), wake(20_999, within(2))), (None, Some(Close::Unfinished)));
    assert_eq!(wake(21_000, Seen::default()), None);
}

#[test]
fn a_step_of_the_clock_is_told_once_to_all_that_are_connected() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    bench.tick(1000);
    let mut back = at(2000);
    back.unix_ms -= 3_600_000;
    let tick = bench.table.commit(back, 2);
    let round = bench.channels.advance(&tick, &tick.at).clone();
    let t = back.unix_ms;
    let event = json!({"type": "event", "seq": 1, "kind": "clock", "step_ms": -3_600_000, "t": t});
    assert_eq!(bench.deliver(&round), [event]);
    assert!(bench.deliver(&round).is_empty());
    bench.session = bench.come(&round);
    bench.ask(json!({"type": "hello"}));
    assert!(bench.deliver(&round).is_empty(), "who comes later is not told");
}

#[test]
fn f42_events_wait_for_hello_and_a_client_that_comes_back_gets_those_it_missed_and_no_other() {
    let mut bench = Bench::new();
    let round = bench.tick(1000);
    assert!(bench.deliver(&round).is_empty());
    let round = bench.happens(3);
    assert!(bench.deliver(&round).is_empty(), "it has not introduced itself");
    let events = |sent: &[Value]| sent.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    bench.ask(json!({"type": "hello"}));
    assert_eq!(events(&bench.deliver(&round)), [1, 2, 3], "what came since welcome is not lost");

    let round = bench.happens(4);
    bench.session = bench.come(&round);
    let hello = json!({"type": "hello", "id": 5, "resume": {"epoch": "0000000000000007", "seq": 5}});
    assert_eq!(bench.ask(hello.clone()), [json!({"type": "ok", "id": 5})]);
    assert_eq!(events(&bench.deliver(&round)), [6, 7]);
    bench.ask(hello);
    assert!(bench.deliver(&round).is_empty(), "resume counts once");
    let round = bench.happens(1);
    assert_eq!(events(&bench.deliver(&round)), [8]);
}

#[test]
fn f42_a_client_that_cannot_go_on_is_told_what_lasts_and_then_what_follows() {
    for (resume, reason) in [
        (json!({"epoch": "0000000000000007", "seq": 1}), "too_old"),
        (json!({"epoch": "0000000000000007", "seq": 9_999}), "future_seq"),
        (json!({"epoch": "00000000000000ff", "seq": 1}), "unknown_epoch"),
        (json!({"epoch": "0000000000000007", "seq": -1}), "malformed"),
        (json!("last"), "malformed"),
        (Value::Null, "new"),
    ] {
        let mut bench = Bench::new();
        bench.events.publish(&target("a", false));
        bench.events.publish(&target("b", false));
        bench.events.publish(&target("a", true));
        let round = bench.happens(300);
        bench.session = bench.come(&round);
        bench.ask(json!({"type": "hello", "resume": resume}));
        let sent = bench.deliver(&round);
        assert_eq!(sent.len(), 1, "{reason}");
        assert_eq!((&sent[0]["kind"], &sent[0]["reason"]), (&json!("resync"), &json!(reason)));
        assert_eq!(sent[0]["seq"], 303);
        let state = &sent[0]["state"];
        assert_eq!((state.as_array().unwrap().len(), &state[0]["labels"]["collector"]), (1, &json!("b")));
        assert_eq!((&state[0]["seq"], &state[0]["up"]), (&json!(2), &json!(false)));
        let round = bench.happens(1);
        assert_eq!(bench.deliver(&round)[0]["seq"], 304);
    }
}

#[test]
fn f42_a_client_that_reads_nothing_while_the_lane_overruns_is_told_what_lasts() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    let round = bench.happens(events::KEPT);
    assert_eq!(bench.deliver(&round).len(), events::KEPT, "as many as are kept come whole");
    let round = bench.happens(events::KEPT + 1);
    let sent = bench.deliver(&round);
    assert_eq!((sent.len(), &sent[0]["reason"]), (1, &json!("too_old")));
    assert_eq!((&sent[0]["seq"], &sent[0]["state"]), (&json!(2 * events::KEPT + 1), &json!([])));
}

#[test]
fn a_client_gets_the_kinds_that_it_names_and_all_but_performance_if_it_names_none() {
    let mut bench = Bench::new();
    let kinds = |sent: Vec<Value>| -> Vec<String> {
        sent.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    };
    bench.ask(json!({"type": "hello"}));
    bench.events.publish(&target("a", false));
    let mut round = bench.happens(1);
    bench.reads(&mut round);
    assert_eq!(
        kinds(bench.deliver(&round)),
        ["target", "clock"],
        "also what came before it introduced itself"
    );
    bench.ask(json!({"type": "hello", "events": ["performance", "clock", "later"]}));
    bench.events.publish(&target("b", false));
    let mut round = bench.happens(1);
    round.performance = bench.performance.clone();
    assert_eq!(kinds(bench.deliver(&round)), ["clock"], "the reading before it asked is over");
    bench.reads(&mut round);
    assert_eq!(kinds(bench.deliver(&round)), ["performance"]);
    bench.ask(json!({"type": "hello", "events": ["target"]}));
    let sent = bench.deliver(&round);
    assert_eq!(sent[0]["state"].as_array().unwrap().len(), 2, "what lasts of a kind that it did not hear of");
    for bad in [json!("clock"), json!([1]), json!(vec!["x"; 33])] {
        assert_eq!(codes(&bench.ask(json!({"type": "hello", "events": bad}))), ["bad_request"]);
    }
}

#[test]
fn performance_says_how_the_connection_fares_and_pings_it() {
    let mut bench = Bench::new();
    bench.gauge("a", 1.0);
    bench.ask(json!({"type": "hello", "events": ["performance"]}));
    let mut round = bench.tick(2000);
    bench.session.figures.sent(10, 1000);
    bench.ask(json!([]));
    bench.reads(&mut round);
    bench.session.deliver(&round, &at(2000), &mut bench.out, &mut Parcel::default());
    let bytes = bench.out.take();
    assert!(bytes.ends_with(&[0x89, 0]), "a ping follows");
    let event: Value = serde_json::from_str(&frame::payloads(&bytes)[0]).unwrap();
    let client = json!({"duration_ms": 2000, "messages": 10, "bytes": 1000, "messages_per_second": 5.0,
                        "bytes_per_second": 500.0, "errors": 1});
    assert_eq!((&event["client"], event.get("seq")), (&client, None));
    bench.session.control(true, &at(2003));
    bench.ms = 4000;
    bench.reads(&mut round);
    assert_eq!(bench.deliver(&round)[0]["client"]["rtt_ms"], 3.0);
}

#[test]
fn a_command_with_an_id_is_always_answered_with_it() {
    let mut bench = Bench::new();
    bench.gauge("a", 1.0);
    bench.tick(1000);
    for command in [
        json!({"type": "hello"}),
        json!({"type": "pong"}),
        json!({"type": "ping"}),
        json!({"type": "subscribe", "sub": "s", "match": ["a"]}),
        json!({"type": "update", "sub": "s", "interval": "5s"}),
        json!({"type": "unsubscribe", "sub": "s"}),
        json!({"type": "refresh"}),
        json!({"type": "shout"}),
    ] {
        let mut command = command;
        command["id"] = "mine".into();
        assert_eq!(bench.ask(command.clone())[0]["id"], "mine", "{command}");
    }
}

#[test]
fn b85_a_step_is_told_although_the_hub_missed_its_tick() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    bench.tick(1000);
    let later = |ms: u64| Moment { unix_ms: at(ms).unix_ms + 7_200_000, ..at(ms) };
    bench.table.commit(later(2000), 2);
    let tick = bench.table.commit(later(3000), 3);
    let round = bench.channels.advance(&tick, &tick.at).clone();
    let t = later(3000).unix_ms;
    let event = json!({"type": "event", "seq": 1, "kind": "clock", "step_ms": 7_200_000, "t": t});
    assert_eq!(bench.deliver(&round), [event]);
    let tick = bench.table.commit(later(4000), 4);
    let round = bench.channels.advance(&tick, &tick.at).clone();
    assert!(bench.deliver(&round).is_empty(), "once");
}

#[test]
fn what_waits_for_a_client_is_bounded_and_its_channels_take_turns() {
    let mut bench = Bench::new();
    for i in 0..4 {
        let name = format!("big{i}");
        let (help, unit) = ("x".repeat(HIGH_WATER).into(), "".into());
        let meta =
            Arc::new(FamilyMeta { name: (*name).into(), kind: crate::series::Kind::Gauge, help, unit });
        bench.ask(subscribe(&name, &name));
        let none: [(&str, &str); 0] = [];
        bench.table.series(bench.source, &meta, Role::Value, &name, &none).unwrap();
    }
    let mut got = Vec::new();
    let round = bench.tick(1000);
    for _ in 0..4 {
        let sent = bench.deliver(&round);
        assert_eq!(codes(&sent), ["schema", "delta"], "one large channel at a time");
        got.push(sent[1]["channel"].as_u64().unwrap());
    }
    assert!(bench.deliver(&round).is_empty());
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4]);
}

#[test]
fn f40_a_client_that_keeps_up_gets_every_frame_and_those_due_together_joined() {
    let mut bench = Bench::new();
    let a = bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    let mut round = Round::default();
    for i in 1..=5 {
        bench.table.set(a, f64::from(i), NO_TIME);
        round = bench.tick(10);
    }
    let mut parcel = Parcel::default();
    bench.session.deliver(&round, &at(bench.ms), &mut bench.out, &mut parcel);
    assert_eq!(parcel.commits(), [1010, 1020, 1030, 1040, 1050].map(Duration::from_millis));
    let sent = bench.sent();
    let told: Vec<_> =
        sent.iter().map(|delta| (delta["prev"].clone(), delta["values"][0][1].clone())).collect();
    assert_eq!(told, (1..=5).map(|i| (json!(i + 1), json!(i))).collect::<Vec<_>>());
    assert!(sent.iter().all(|delta| delta["conflated"].is_null()));
}

#[test]
fn f43_clients_that_are_due_the_same_share_the_bytes_whatever_that_is() {
    let mut bench = Bench::new();
    bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    (0..3).for_each(|_| drop(bench.tick(10)));
    let view = |round: &Round| Arc::clone(&round.channels[&1].view);
    let round = bench.tick(10);
    let joined = |from| match round.channels[&1].since(from) {
        Some(Due::Shared(run)) => run.joined().bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(joined(3).as_ptr(), joined(3).as_ptr(), "several frames joined");
    assert_eq!(joined(5).as_ptr(), round.channels[&1].last().frames.bytes.as_ptr(), "one frame");
    let late = |conflated| view(&round).conflated(2, conflated).bytes;
    assert_eq!(late(3).as_ptr(), late(3).as_ptr(), "one delta for all that missed the same");
    let epoch = bench.tick.epoch.to_string();
    let back = || view(&round).resume(&epoch, 2).unwrap().bytes;
    assert_eq!(back().as_ptr(), back().as_ptr(), "what those get that come back together");
    assert_eq!(view(&round).full().bytes.as_ptr(), view(&round).full().bytes.as_ptr(), "everything");
}

/// Checks that what a client shares with others of a round, if it does, is exactly what it is given alone.
fn shares(bench: &mut Bench, round: &Round, shared: &mut Vec<Shared>) -> Option<usize> {
    let (place, now) = (bench.session.shares(round, shared), at(bench.ms));
    if let Some(joined) = place.and_then(|place| shared[place].due()) {
        let (mut out, mut parcel) = (Outbox::default(), Parcel::default());
        let before = bench.session.following[0];
        bench.session.deliver(round, &now, &mut out, &mut parcel);
        assert_eq!(out.take(), joined.frames.bytes);
        assert_eq!((parcel.commits(), parcel.late()), (&joined.commits[..], joined.late()));
        let alone = std::mem::replace(&mut bench.session.following[0], before);
        bench.session.reached(joined, &now);
        assert_eq!(format!("{alone:?}"), format!("{:?}", bench.session.following[0]));
    }
    place
}

#[test]
fn who_keeps_up_shares_with_others_what_it_would_be_given_alone_and_nobody_else_does() {
    let mut bench = Bench::new();
    let a = bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    let round = bench.channels.tell().clone();
    bench.deliver(&round);
    let due = |shared: &[Shared], at: Option<usize>| shared[at.unwrap()].due().map(|due| due.commits.len());
    for ticks in 1..=3_u32 {
        let mut round = Round::default();
        for i in 0..ticks {
            bench.table.set(a, f64::from(i), NO_TIME);
            round = bench.tick(10);
        }
        let mut shared = Vec::new();
        let at = shares(&mut bench, &round, &mut shared);
        assert_eq!(due(&shared, at), Some(ticks as usize), "{ticks}");
        let at = shares(&mut bench, &round, &mut shared);
        assert_eq!(due(&shared, at), None, "a round is delivered once");
        assert_eq!(shares(&mut bench, &round, &mut shared), Some(1), "nothing is made anew");
    }
    let alone = |bench: &mut Bench, round: &Round| {
        assert_eq!(shares(bench, round, &mut Vec::new()), None);
        assert!(!bench.deliver(round).is_empty());
        assert!(shares(bench, round, &mut Vec::new()).is_some(), "then it is like the others again");
    };
    let round = bench.happens(1);
    alone(&mut bench, &round);
    bench.ask(json!({"type": "hello", "events": ["clock", "performance"]}));
    bench.deliver(&round);
    let mut round = bench.tick(10);
    bench.reads(&mut round);
    alone(&mut bench, &round);
    let performance = round.performance.clone();
    // The first is not kept any more.
    bench.tick(10);
    let round = Round { performance, ..bench.tick(1000) };
    alone(&mut bench, &round);
    bench.ask(subscribe("t", "b"));
    assert_eq!(shares(&mut bench, &round, &mut Vec::new()), None, "two channels");
    bench.ask(json!({"type": "unsubscribe", "sub": "t"}));
    assert!(shares(&mut bench, &round, &mut Vec::new()).is_some());
    let performance = round.performance.clone();
    let round = Round { performance, ..bench.tick(10) };
    bench.busy(&round);
    assert_eq!(shares(&mut bench, &round, &mut Vec::new()), None, "it was busy");
}

#[test]
fn f40_a_client_that_was_busy_gets_one_delta_that_says_how_many_it_stands_for() {
    let mut bench = Bench::new();
    let a = bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    for i in 1..=4 {
        bench.table.set(a, f64::from(i), NO_TIME);
        let round = bench.tick(10);
        bench.busy(&round);
    }
    let round = bench.tick(10);
    let sent = bench.deliver(&round);
    assert_eq!(codes(&sent), ["delta"]);
    assert_eq!((&sent[0]["prev"], &sent[0]["conflated"]), (&json!(2), &json!(4)));
    assert_eq!(bench.session.metrics.conflated.get(), 4);
    let round = bench.tick(10);
    assert_eq!(bench.deliver(&round)[0]["conflated"], json!(null), "it keeps up again");
}

#[test]
fn a_client_that_is_far_behind_in_time_is_not_given_a_queue_though_nothing_says_it_was_busy() {
    let mut bench = Bench::new();
    bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    (0..9).for_each(|_| drop(bench.tick(1000)));
    let round = bench.tick(1000);
    let sent = bench.deliver(&round);
    assert_eq!((sent.len(), &sent[0]["conflated"]), (1, &json!(9)));
}

#[test]
fn f41_a_slow_client_is_conflated_slowed_resynced_and_restored_and_every_stage_is_counted() {
    let mut bench = Bench::new();
    bench.gauge("a", 0.0);
    bench.tick(1000);
    bench.ask(subscribe("s", "a"));
    let mut told = Vec::new();
    // It takes 30 s for what is in its socket, then keeps up.
    for s in 1..=70 {
        let round = bench.tick(1000);
        if s <= 30 {
            bench.busy(&round);
            continue;
        }
        for message in bench.deliver(&round) {
            let what = message["code"].as_str().or(message["type"].as_str()).unwrap();
            told.push((s, what.to_owned(), message["interval_ms"].clone()));
        }
    }
    let notices: Vec<_> = told.iter().filter(|(_, _, interval)| !interval.is_null()).collect();
    let want = [(31, "slowed", 8000), (47, "slowed", 4000), (59, "slowed", 2000), (69, "restored", 1000)];
    let want = want.map(|(s, code, interval)| (s, code.to_owned(), json!(interval)));
    assert_eq!(notices, want.iter().collect::<Vec<_>>());
    assert_eq!(told.iter().filter(|(_, what, _)| what == "snapshot").count(), 1, "{told:?}");
    let deltas: Vec<u64> = told.iter().filter(|(_, what, _)| what == "delta").map(|(s, ..)| *s).collect();
    assert_eq!(deltas, [39, 47, 51, 55, 59, 61, 63, 65, 67, 69, 70]);
    assert_eq!(Stage::ALL.map(|stage| bench.session.metrics.slowed(stage)), [1, 3, 1, 0]);
}

#[test]
fn f41_a_client_that_takes_nothing_is_closed_and_that_is_counted() {
    let mut bench = Bench::new();
    bench.ask(json!({"type": "hello"}));
    bench.out.push(frame::text(b"waits"));
    assert_eq!((bench.wake(1000), bench.wake(31_000)), (None, Some(Close::Slow)));
    assert_eq!(bench.session.metrics.slowed(Stage::Closed), 1);
}

#[test]
fn b30_the_regular_expressions_of_one_selection_and_of_all_are_bounded_in_memory() {
    let mut bench = Bench::new();
    let heavy = |number: usize| format!(r#"{{a{number}=~"(.|x){{700}}b"}}"#);
    let many: Vec<_> = (0..9).map(heavy).collect();
    let answers = bench.ask(json!({"type": "subscribe", "sub": "s", "match": many}));
    assert_eq!((codes(&answers), &answers[0]["retryable"]), (vec!["limit_exceeded"], &json!(false)));
    for number in 0..64 {
        let sub = format!("s{number}");
        bench.ms += 1000;
        let answers =
            bench.ask(json!({"type": "subscribe", "sub": sub, "match": [heavy(number), heavy(number + 64)]}));
        if answers[0]["type"] == "error" {
            assert_eq!((codes(&answers), &answers[0]["retryable"]), (vec!["limit_exceeded"], &json!(true)));
            return;
        }
    }
    panic!("128 regular expressions of the largest kind were taken");
}
