//! Whatever a client misses, it ends up with what the table holds.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::super::frame;
use super::super::recent::Due;
use super::*;
use crate::clock::Moment;
use crate::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table};

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| Selector::parse(text).unwrap()).collect()
}

fn spec(texts: &[&str], every: u64, limit: Option<usize>) -> Arc<Spec> {
    Arc::new(Spec::new(selectors(texts), every, limit, false))
}

/// A table that is written by hand. Family `f0` has the series `f0{i="0"}` and so on.
struct Bench {
    table: Table,
    source: SourceId,
    slots: BTreeMap<(u8, u8), Slot>,
    ms: u64,
    beat: u64,
}

impl Bench {
    fn new() -> Self {
        let mut table = Table::new(Epoch(7), 10_000);
        let source = table.add_source("test", Scope::Own);
        Bench { table, source, slots: BTreeMap::new(), ms: 0, beat: 0 }
    }

    fn set(&mut self, family: u8, series: u8, value: f64) {
        self.set_at(family, series, value, NO_TIME);
    }

    fn set_at(&mut self, family: u8, series: u8, value: f64, time_ms: i64) {
        let slot = *self.slots.entry((family, series)).or_insert_with(|| {
            let name = format!("f{family}");
            let meta = meta(&name, "");
            let labels = [("i", series.to_string())];
            self.table.series(self.source, &meta, Role::Value, &name, &labels).unwrap()
        });
        self.table.set(slot, value, time_ms);
    }

    fn remove(&mut self, family: u8, series: u8) {
        if let Some(slot) = self.slots.remove(&(family, series)) {
            self.table.remove(slot);
        }
    }

    /// A tick of the timer after so many milliseconds.
    fn tick(&mut self, ms: u64) -> Arc<Tick> {
        self.beat += 1;
        self.commit(ms)
    }

    /// A tick on demand.
    fn commit(&mut self, ms: u64) -> Arc<Tick> {
        self.ms += ms;
        let unix_ms = 1_700_000_000_000 + i64::try_from(self.ms).unwrap();
        self.table.commit(Moment { since_start: Duration::from_millis(self.ms), unix_ms }, self.beat)
    }
}

fn meta(name: &str, help: &str) -> Arc<FamilyMeta> {
    Arc::new(FamilyMeta { name: name.into(), kind: Kind::Gauge, help: help.into(), unit: "".into() })
}

/// What a client knows after the frames it got.
#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    offset: u64,
    /// Name and labels by number, as of `schema`.
    names: BTreeMap<u64, String>,
    /// Value as text by number.
    values: BTreeMap<u64, String>,
    helps: BTreeMap<String, String>,
}

impl Client {
    fn take(&mut self, frames: &Frames) {
        let payloads = frame::payloads(&frames.bytes);
        assert_eq!(payloads.len(), frames.count as usize);
        for payload in payloads {
            self.apply(&serde_json::from_str(&payload).unwrap());
        }
    }

    fn apply(&mut self, message: &Value) {
        match message["type"].as_str().unwrap() {
            "schema" => {
                for (name, family) in message["families"].as_object().unwrap() {
                    self.helps.insert(name.clone(), family["help"].as_str().unwrap().into());
                }
                for series in message["series"].as_array().unwrap() {
                    let id = series["id"].as_u64().unwrap();
                    self.names.insert(id, format!("{}{}", series["name"], series["labels"]));
                }
            }
            "snapshot" => {
                self.values.clear();
                self.set_values(message);
            }
            "delta" => {
                assert_eq!(message["prev"], self.offset, "a delta follows what the client has");
                self.set_values(message);
                for id in message["stale"].as_array().into_iter().flatten() {
                    self.values.remove(&id.as_u64().unwrap());
                }
            }
            "notice" => {}
            other => panic!("{other}"),
        }
    }

    fn set_values(&mut self, message: &Value) {
        self.offset = message["offset"].as_u64().unwrap();
        for item in message["values"].as_array().unwrap() {
            let id = item[0].as_u64().unwrap();
            assert!(self.names.contains_key(&id), "{id} was told before its value");
            self.values.insert(id, item[1].to_string());
        }
    }

    /// Name, labels and value of all it shows.
    fn shown(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.values.iter().map(|(id, value)| (self.names[id].clone(), value.clone())).collect();
        all.sort();
        all
    }

    /// One that begins with this view.
    fn fresh(view: &View) -> Self {
        let mut client = Client::default();
        client.take(view.full());
        client
    }
}

/// What the table holds of a selection.
fn held(tick: &Tick, spec: &Spec) -> Vec<(String, String)> {
    let mut all: Vec<_> = (tick.schema.series())
        .filter(|(_, series)| spec.picks(series.key()))
        .map(|(_, series)| {
            let labels: BTreeMap<_, _> = series.labels().collect();
            let name = format!("{}{}", Value::from(&*series.name()), serde_json::to_string(&labels).unwrap());
            let mut value = Vec::new();
            crate::exposition::number::push_json(&mut value, tick.value(series));
            let value: Value = serde_json::from_slice(&value).unwrap();
            (name, value.to_string())
        })
        .collect();
    all.sort();
    all
}

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u8, i8),
    Remove(u8, u8),
    /// A tick after so many seconds; clients whose bit is set take what there is.
    Tick(u64, u8, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3u8, 0..6u8, -2..3i8).prop_map(|(family, series, value)| Op::Set(family, series, value)),
        3 => (0..3u8, 0..6u8).prop_map(|(family, series)| Op::Remove(family, series)),
        3 => (0..90u64, any::<u8>(), any::<bool>()).prop_map(|(seconds, who, timer)| Op::Tick(seconds, who, timer)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_ticks_a_client_misses_it_shows_what_the_table_holds(
        ops in proptest::collection::vec(op(), 1..60),
        every in 1..4u64,
        limit in proptest::option::of(1..8usize),
    ) {
        let mut bench = Bench::new();
        bench.set(0, 0, 1.0);
        let spec = spec(&["f0", "{__name__=\"f1\",i!=\"3\"}"], every, limit);
        let first = bench.tick(1000);
        let mut channel = Channel::open(1, Arc::clone(&spec), &first, 1000);
        let mut clients = vec![Client::fresh(&channel.view(&first)); 3];
        let mut last = None;
        for op in ops {
            match op {
                Op::Set(family, series, value) => bench.set(family, series, f64::from(value)),
                Op::Remove(family, series) => bench.remove(family, series),
                Op::Tick(seconds, who, timer) => {
                    let tick = if timer { bench.tick(seconds * 1000) } else { bench.commit(seconds * 1000) };
                    if let Some(published) = channel.publish(&tick, tick.at.since_start) {
                        prop_assert_eq!(published.view.offset(), tick.offset);
                        last = Some((published, tick));
                    } else if who & 64 != 0 {
                        // Somebody subscribes between two due ticks: the channel looks at a tick it does not send.
                        let fresh = Client::fresh(&channel.view(&tick));
                        if limit.is_none() {
                            prop_assert_eq!(fresh.shown(), held(&tick, &spec));
                        }
                        clients.push(fresh);
                    }
                    let Some((published, at)) = &last else { continue };
                    for (i, client) in clients.iter_mut().enumerate() {
                        let behind = client.offset < published.view.offset();
                        if !behind || i > 0 && who & (1 << (i % 6)) == 0 {
                            continue;
                        }
                        if client.offset == published.last().prev {
                            client.take(&published.last().frames);
                        } else {
                            client.take(&published.view.since(client.offset));
                        }
                        let fresh = Client::fresh(&published.view);
                        prop_assert_eq!(client.offset, published.view.offset());
                        prop_assert_eq!(client.shown(), fresh.shown());
                        match limit {
                            None => prop_assert_eq!(fresh.shown(), held(at, &spec)),
                            Some(limit) => {
                                prop_assert_eq!(fresh.values.len(), held(at, &spec).len().min(limit));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_client_that_resumes_on_a_new_channel_shows_what_the_table_holds(
        before in proptest::collection::vec(op(), 0..20),
        after in proptest::collection::vec(op(), 0..30),
    ) {
        let mut bench = Bench::new();
        let spec = spec(&["f0", "f1"], 1, None);
        let run = |bench: &mut Bench, ops: Vec<Op>| {
            for op in ops {
                match op {
                    Op::Set(family, series, value) => bench.set(family, series, f64::from(value)),
                    Op::Remove(family, series) => bench.remove(family, series),
                    Op::Tick(seconds, ..) => drop(bench.tick(seconds * 1000)),
                }
            }
            bench.tick(1000)
        };
        let tick = run(&mut bench, before);
        let mut client = Client::fresh(&Channel::open(1, Arc::clone(&spec), &tick, 1000).view(&tick));
        let tick = run(&mut bench, after);
        let view = Channel::open(2, Arc::clone(&spec), &tick, 1000).view(&tick);
        match view.resume(&tick.epoch.to_string(), client.offset) {
            Ok(frames) => client.take(&frames),
            Err(lost) => {
                prop_assert_eq!(lost, Lost::TooOld);
                prop_assert!(client.offset < tick.forgotten);
                client = Client::fresh(&view);
            }
        }
        prop_assert_eq!(client.shown(), held(&tick, &spec));
    }
}

fn publish(channel: &mut Channel, tick: &Arc<Tick>) -> Option<Published> {
    channel.publish(tick, tick.at.since_start)
}

fn texts(frames: &Frames) -> Vec<String> {
    frame::payloads(&frames.bytes)
}

#[test]
fn a_delta_comes_at_every_due_tick_even_if_nothing_changed() {
    let mut bench = Bench::new();
    bench.set(0, 0, 1.0);
    let tick = bench.tick(1000);
    let mut channel = Channel::open(3, spec(&["f0"], 1, None), &tick, 1000);
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    assert_eq!(
        texts(&published.last().frames),
        [r#"{"type":"delta","channel":3,"offset":2,"prev":1,"t":1700000002000,"values":[]}"#]
    );
}

#[test]
fn an_interval_of_one_tick_is_sent_at_ticks_on_demand_too_and_longer_ones_by_the_timer() {
    let mut bench = Bench::new();
    let first = bench.tick(1000);
    let mut each = Channel::open(1, spec(&["f0"], 1, None), &first, 1000);
    let mut third = Channel::open(2, spec(&["f0"], 3, None), &first, 1000);
    assert!(publish(&mut each, &first).is_none(), "the tick it began with is not sent again");
    let ticks = [bench.commit(10), bench.tick(990), bench.commit(10), bench.tick(990), bench.tick(1000)];
    assert_eq!(ticks.each_ref().map(|tick| publish(&mut each, tick).is_some()), [true; 5]);
    assert_eq!(
        ticks.each_ref().map(|tick| publish(&mut third, tick).map(|sent| sent.last().prev)),
        [None, None, None, None, Some(1)]
    );
}

#[test]
fn the_time_of_a_sample_is_told_only_when_its_source_gave_another() {
    let mut bench = Bench::new();
    bench.set_at(0, 0, 1.0, 1_699_999_999_000);
    bench.set_at(0, 1, 2.0, 1_700_000_001_000);
    let tick = bench.tick(1000);
    let view = Channel::open(1, spec(&["f0"], 1, None), &tick, 1000).view(&tick);
    assert!(texts(view.full())[1].ends_with(r#""values":[[1,1,1699999999000],[2,2]]}"#));
}

#[test]
fn a_family_that_is_told_anew_keeps_its_series() {
    let mut bench = Bench::new();
    bench.set(0, 0, 1.0);
    let tick = bench.tick(1000);
    let mut channel = Channel::open(1, spec(&["f0"], 1, None), &tick, 1000);
    let mut client = Client::fresh(&channel.view(&tick));
    bench.table.redefine(bench.source, &meta("f0", "now with help"));
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    client.take(&published.last().frames);
    assert_eq!(client.helps["f0"], "now with help");
    assert_eq!(client.values.len(), 1);
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    assert_eq!(published.last().frames.count, 1, "told once");
}

#[test]
fn a_channel_that_comes_to_have_too_many_series_says_so_once_and_keeps_the_oldest() {
    let mut bench = Bench::new();
    (1..3).for_each(|i| bench.set(0, i, 0.0));
    let tick = bench.tick(1000);
    let mut channel = Channel::open(1, spec(&["f0"], 1, None), &tick, 3);
    let mut client = Client::fresh(&channel.view(&tick));
    bench.set(0, 5, 0.0);
    bench.set(0, 0, 0.0);
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    let told = texts(&published.last().frames);
    assert!(told.iter().any(|text| text.contains(r#""code":"truncated""#)), "{told:?}");
    client.take(&published.last().frames);
    assert_eq!((published.view.picked(), published.view.sent(), client.values.len()), (4, 3, 3));
    bench.remove(0, 1);
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    client.take(&published.last().frames);
    assert_eq!(client.shown().len(), 3, "the next takes the place of one that went");
    assert!(!texts(&published.last().frames).iter().any(|text| text.contains("notice")));
}

#[test]
fn an_unchanged_family_is_not_looked_at_again() {
    let mut bench = Bench::new();
    bench.set(0, 0, 1.0);
    let tick = bench.tick(1000);
    let mut channel = Channel::open(1, spec(&["f0", "f1"], 1, None), &tick, 1000);
    let before = Arc::clone(&channel.selection.groups[0]);
    bench.set(1, 0, 1.0);
    let _ = channel.view(&bench.tick(1000));
    assert!(Arc::ptr_eq(&before, &channel.selection.groups[0]));
    assert_eq!(channel.selection.groups.len(), 2);
}

#[test]
fn a_resume_that_cannot_be_exact_is_refused_with_its_reason() {
    let mut bench = Bench::new();
    (0..3).for_each(|i| bench.set(0, i, 0.0));
    bench.tick(1000);
    bench.remove(0, 2);
    bench.tick(1000);
    let tick = bench.tick(70_000);
    assert_eq!((tick.offset, tick.forgotten), (3, 2));
    let view = Channel::open(1, spec(&["f0"], 1, None), &tick, 1000).view(&tick);
    let epoch = tick.epoch.to_string();
    assert_eq!(view.resume("other", 3), Err(Lost::UnknownEpoch));
    assert_eq!(view.resume(&epoch, 4), Err(Lost::FutureOffset));
    assert_eq!(view.resume(&epoch, 1), Err(Lost::TooOld));
    assert!(view.resume(&epoch, 2).is_ok());
    let view = Channel::open(1, spec(&["f0"], 1, Some(1)), &tick, 1000).view(&tick);
    assert_eq!(view.resume(&epoch, 3), Err(Lost::Truncated));
}

#[test]
fn equal_selections_are_one_spec_however_they_are_written() {
    let one = Spec::new(selectors(&["up", "f0{i=\"1\",j=\"2\"}"]), 1, None, false);
    let other = Spec::new(selectors(&["f0{j='2', i='1'}", "up", "up"]), 1, None, false);
    assert_eq!(one, other);
    assert_ne!(one, Spec::new(selectors(&["up"]), 1, None, false));
    assert_ne!(one, Spec { exact: true, ..one.clone() });
}

#[test]
fn frames_stay_below_a_mebibyte_and_their_parts_join_to_the_whole() {
    let mut bench = Bench::new();
    let long = "x".repeat(1000);
    let family = meta("big", "");
    for i in 0..3000 {
        let labels = [("i", format!("{long}{i}"))];
        let slot = bench.table.series(bench.source, &family, Role::Value, "big", &labels).unwrap();
        bench.table.set(slot, f64::from(i), NO_TIME);
    }
    let tick = bench.tick(1000);
    let view = Channel::open(1, spec(&["big"], 1, None), &tick, 10_000).view(&tick);
    let payloads = texts(view.full());
    assert!(payloads.len() >= 3 && payloads.iter().all(|payload| payload.len() < 1 << 20));
    let schemas: Vec<Value> = payloads.iter().map(|payload| serde_json::from_str(payload).unwrap()).collect();
    let schemas: Vec<&Value> = schemas.iter().filter(|message| message["type"] == "schema").collect();
    for (i, schema) in schemas.iter().enumerate() {
        assert_eq!((&schema["part"], &schema["parts"]), (&Value::from(i + 1), &Value::from(schemas.len())));
        assert!(schema["families"]["big"].is_object(), "each part tells its families");
    }
    assert_eq!(Client::fresh(&view).values.len(), tick.schema.len);
}

#[test]
fn a_form_that_nobody_reads_is_not_made_and_one_that_is_read_is_made_once() {
    let mut bench = Bench::new();
    bench.set(0, 0, 1.0);
    let first = bench.tick(1000);
    let mut channel = Channel::open(1, spec(&["f0"], 1, None), &first, 1000);
    let view = channel.view(&first);
    assert_eq!(view.full().count, 2);
    assert_eq!(view.full_texts.made(), 0);
    bench.set(0, 0, 2.0);
    let published = publish(&mut channel, &bench.tick(1000)).unwrap();
    let Some(Due::Shared(shared)) = published.since(published.last().prev) else { panic!("it keeps up") };
    assert_eq!((shared.joined().count, published.last().made()), (1, 0), "frames alone make no text");
    let (one, two) = (published.last().text(Form::Sse).clone(), published.last().text(Form::Sse).clone());
    assert_eq!((one.as_ptr(), published.last().made()), (two.as_ptr(), 1), "all readers share one copy");
    assert!(published.since(published.view.offset()).is_none());
    assert!(matches!(published.since(0), Some(Due::Missed)), "who missed some gets a frame of their own");
}
