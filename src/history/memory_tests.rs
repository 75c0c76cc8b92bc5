//! Facts about the history in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::series::{FamilyMeta, Kind, Role, Scope, Selector, Slot, SourceId, Table as SeriesTable};

const T0: i64 = 1_700_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);
const ALL: &str = "{__name__!=\"\"}";

fn moment(ms: u64) -> Moment {
    Moment { since_start: Duration::from_millis(ms), unix_ms: T0 + i64::try_from(ms).expect("small") }
}

struct Source {
    table: SeriesTable,
    id: SourceId,
    meta: Arc<FamilyMeta>,
}

impl Source {
    fn new(epoch: u64) -> Self {
        let mut table = SeriesTable::new(Epoch(epoch), 100_000);
        let id = table.add_source("test", Scope::Own);
        let meta = FamilyMeta { name: "m".into(), kind: Kind::Gauge, help: "".into(), unit: "".into() };
        Source { table, id, meta: Arc::new(meta) }
    }

    fn series(&mut self, label: &str) -> Slot {
        self.table.series(self.id, &self.meta, Role::Value, "m", &[("l", label)]).expect("taken")
    }
}

fn write(key_text: &str, samples: &[(i64, f64)]) -> Write {
    let mut labels: Vec<(String, String)> =
        key::labels(key_text).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    labels.push((METRIC_NAME.into(), key::name(key_text).into_owned()));
    Write { labels, samples: samples.to_vec() }
}

fn select(memory: &Memory, selector: &str) -> Vec<SeriesRef> {
    let selector = Selector::parse(selector).expect(selector);
    memory.select(selector.matchers(), i64::MIN, i64::MAX, usize::MAX)
}

fn read(memory: &Memory, selector: &str) -> Vec<(i64, u64)> {
    let found = select(memory, selector);
    assert_eq!(found.len(), 1, "{selector}");
    found[0].samples().map(|(time, value)| (time, value.to_bits())).collect()
}

fn text(series: &SeriesRef) -> String {
    series.labels().iter().map(|(name, value)| format!("{name}={value} ")).collect()
}

/// What is counted along the way equals what is there.
fn check(memory: &Memory) {
    let living: Vec<_> = memory.series.iter().flatten().collect();
    assert_eq!(memory.count.series, living.len());
    assert_eq!(memory.count.samples, living.iter().map(|s| s.samples()).sum::<u64>());
    let sealed = || living.iter().flat_map(|s| s.chunks.iter());
    assert_eq!(memory.count.sealed, sealed().count());
    assert_eq!(memory.count.sealed_memory, sealed().map(Chunk::memory).sum::<usize>());
    let open: usize = living.iter().map(|s| SERIES + s.head.capacity()).sum();
    assert_eq!(memory.count.open_memory, open);
}

#[test]
fn each_tick_gives_each_series_a_sample_also_where_nothing_changed() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let (a, b) = (source.series("a"), source.series("b"));
    source.table.set(b, 5.0, NO_TIME);
    for i in 0..3u32 {
        source.table.set(a, f64::from(i), NO_TIME);
        memory.append_tick(&source.table.commit(moment(u64::from(i) * 1000), 0));
    }
    let (want_a, want_b): (Vec<_>, Vec<_>) = (0..3i32)
        .map(|i| {
            let time = T0 + i64::from(i) * 1000;
            ((time, f64::from(i).to_bits()), (time, 5f64.to_bits()))
        })
        .unzip();
    assert_eq!(read(&memory, "m{l=\"a\"}"), want_a);
    assert_eq!(read(&memory, "m{l=\"b\"}"), want_b);
    check(&memory);
}

#[test]
fn a_series_that_goes_gets_one_stale_marker_and_goes_on_as_the_same_when_it_returns() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let a = source.series("a");
    source.table.set(a, 1.0, NO_TIME);
    memory.append_tick(&source.table.commit(moment(0), 0));
    source.table.remove(a);
    for tick in 1..3 {
        memory.append_tick(&source.table.commit(moment(tick * 1000), 0));
    }
    let a = source.series("a");
    source.table.set(a, 2.0, NO_TIME);
    memory.append_tick(&source.table.commit(moment(3000), 0));
    let one = 1f64.to_bits();
    assert_eq!(read(&memory, "m"), [(T0, one), (T0 + 1000, STALE), (T0 + 3000, 2f64.to_bits())]);
    // Another life of the process: its numbers mean other series, and those that it has not are gone.
    let mut next = Source::new(2);
    let b = next.series("b");
    next.table.set(b, 3.0, NO_TIME);
    memory.append_tick(&next.table.commit(moment(4000), 0));
    assert_eq!(read(&memory, "m{l=\"a\"}").last(), Some(&(T0 + 4000, STALE)));
    assert_eq!(read(&memory, "m{l=\"b\"}"), [(T0 + 4000, 3f64.to_bits())]);
    check(&memory);
}

#[test]
fn a_sample_with_a_time_of_its_own_stands_at_that_time_once() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let a = source.series("a");
    source.table.set(a, 1.0, T0 - 500);
    for tick in 0..3 {
        memory.append_tick(&source.table.commit(moment(tick * 1000), 0));
    }
    assert_eq!(read(&memory, "m"), [(T0 - 500, 1f64.to_bits())]);
}

#[test]
fn a_clock_that_is_set_back_loses_no_sample() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let a = source.series("a");
    for step in [0, 1000, 2000, 500, 1500] {
        source.table.set(a, f64::from(step), NO_TIME);
        let at = Moment { since_start: Duration::from_secs(1), unix_ms: T0 + i64::from(step) };
        memory.append_tick(&source.table.commit(at, 0));
    }
    let times: Vec<_> = read(&memory, "m").into_iter().map(|(time, _)| time - T0).collect();
    assert_eq!(times, [0, 500, 1000, 1500, 2000]);
    check(&memory);
}

#[test]
fn pushed_samples_are_taken_in_any_order_and_refused_by_reason() {
    let mut memory = Memory::new(HOUR, 64 << 20);
    let hour = 3_600_000;
    let samples = [(T0, 1.0), (T0 - 5, 2.0), (T0, 1.0), (T0, 9.0), (T0 - hour - 1, 0.0), (T0 + 600_001, 0.0)];
    let appended = memory.append(&[write("a{x=\"1\"}", &samples)], T0);
    let want = Appended { taken: 2, same: 1, conflicts: 1, too_old: 1, too_new: 1, over_limit: 0 };
    assert_eq!(appended, want);
    assert_eq!(read(&memory, "a"), [(T0 - 5, 2f64.to_bits()), (T0, 1f64.to_bits())]);
    check(&memory);
}

#[test]
fn a_retention_of_a_hundred_years_takes_all_of_time() {
    let mut memory = Memory::new(HOUR * 24 * 365 * 100, 64 << 20);
    let samples = [(-5_000_000, 1.0), (0, 2.0), (5_000_000, 3.0)];
    assert_eq!(memory.append(&[write("a", &samples)], T0).taken, 3);
    memory.sweep(T0);
    assert_eq!(read(&memory, "a").len(), 3);
}

#[test]
fn labels_are_a_set_whatever_the_order_they_are_told_in() {
    let mut memory = Memory::new(HOUR, 64 << 20);
    let pairs = |list: &[(&str, &str)]| list.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
    let one = pairs(&[("b", "2"), ("__name__", "a"), ("c", ""), ("b", "3")]);
    let two = pairs(&[("__name__", "a"), ("b", "3")]);
    memory.append(&[Write { labels: one, samples: vec![(T0, 1.0)] }], T0);
    memory.append(&[Write { labels: two, samples: vec![(T0 + 1, 2.0)] }], T0);
    assert_eq!(text(&select(&memory, "a")[0]), "__name__=a b=3 ");
    assert_eq!(read(&memory, "a{b=\"3\"}").len(), 2);
}

#[test]
fn a_push_in_another_order_than_the_last_goes_to_the_same_series() {
    let mut memory = Memory::new(HOUR, 1 << 20);
    let mut want: BTreeMap<char, Vec<(i64, u64)>> = BTreeMap::new();
    for (time, order) in (0u8..).zip(["abc", "abc", "acb", "ba", "cab", "abcd", "dcba", "abd"]) {
        let sample = (T0 + i64::from(time), f64::from(time));
        let labels = |label: char| vec![("__name__".into(), "m".into()), ("l".into(), label.into())];
        let writes: Vec<_> =
            order.chars().map(|label| Write { labels: labels(label), samples: vec![sample] }).collect();
        assert_eq!(memory.append(&writes, T0 + 1000).taken, order.len());
        order.chars().for_each(|label| want.entry(label).or_default().push((sample.0, sample.1.to_bits())));
    }
    for (label, want) in want {
        assert_eq!(read(&memory, &format!("m{{l=\"{label}\"}}")), want, "{label}");
    }
    check(&memory);
}

#[test]
fn what_is_older_than_the_retention_goes_and_an_empty_series_is_forgotten() {
    let mut memory = Memory::new(HOUR, 64 << 20);
    let old: Vec<_> = (0..500).map(|i| (T0 + i * 1000, 1.0)).collect();
    memory.append(&[write("gone{x=\"only\"}", &old), write("stays", &[(T0 + 4_000_000, 1.0)])], T0 + 499_000);
    memory.append(&[write("stays", &[(T0 + 4_000_000, 1.0)])], T0 + 4_000_000);
    memory.sweep(T0 + 499_000 + 3_600_000);
    assert_eq!(select(&memory, "gone").len(), 1, "the last sample is just as old as the retention");
    memory.sweep(T0 + 499_000 + 3_600_001);
    assert!(select(&memory, "gone").is_empty());
    assert_eq!(memory.label_names(i64::MIN, i64::MAX), [Arc::from("__name__")]);
    assert_eq!(memory.label_values(METRIC_NAME, i64::MIN, i64::MAX), [Arc::from("stays")]);
    check(&memory);
    // The place is used again, and what was there does not shine through.
    memory.append(&[write("next", &[(T0 + 4_000_000, 7.0)])], T0 + 4_000_000);
    assert_eq!(read(&memory, "next"), [(T0 + 4_000_000, 7f64.to_bits())]);
    check(&memory);
}

#[test]
fn a_series_of_the_table_that_was_forgotten_comes_back_with_its_next_value() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let a = source.series("a");
    source.table.set(a, 1.0, NO_TIME);
    memory.append_tick(&source.table.commit(moment(0), 0));
    memory.sweep(T0 + 3_600_001);
    assert!(select(&memory, ALL).is_empty());
    memory.append_tick(&source.table.commit(moment(4_000_000), 0));
    assert_eq!(read(&memory, "m").len(), 1);
    check(&memory);
}

#[test]
fn over_the_byte_limit_the_oldest_goes_first_and_no_more_than_needed() {
    let limit = 1 << 20;
    let mut memory = Memory::new(HOUR, limit);
    let mut value = 1u64;
    for i in 0..3000 {
        let mut noise = || {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            value as f64
        };
        let time = T0 + i * 1000;
        let writes: Vec<_> =
            (0..100).map(|n| write(&format!("a{{n=\"{n}\"}}"), &[(time, noise())])).collect();
        memory.append(&writes, time);
        assert!(memory.stats().bytes <= limit);
    }
    check(&memory);
    let oldest: Vec<_> = select(&memory, "a").iter().map(|s| s.samples().next().expect("one").0).collect();
    let (min, max) = (oldest.iter().min().expect("100"), oldest.iter().max().expect("100"));
    assert!(max - min <= 121_000, "no series is kept longer than the others by more than a chunk");
    assert!(memory.stats().bytes > limit / 10 * 8, "{:?}", memory.stats());
    assert_eq!(oldest.len(), 100);
}

#[test]
fn without_memory_for_another_series_its_samples_are_refused_and_counted() {
    let mut memory = Memory::new(HOUR, 1 << 16);
    let writes: Vec<_> = (0..1000).map(|n| write(&format!("a{{n=\"{n}\"}}"), &[(T0, 1.0)])).collect();
    let appended = memory.append(&writes, T0);
    assert!(appended.taken > 10 && appended.over_limit > 10, "{appended:?}");
    assert_eq!(appended.taken + appended.over_limit, 1000);
    assert!(memory.stats().bytes < 80_000, "{:?}", memory.stats());
    let again = memory.append(&writes[..1], T0 + 1);
    assert_eq!((again.same, again.over_limit), (1, 0), "series that are there go on");
}

#[test]
fn a_reader_sees_what_was_there_when_it_asked() {
    let mut memory = Memory::new(HOUR, 64 << 20);
    memory.append(&[write("a", &[(T0, 1.0)])], T0);
    let before = select(&memory, "a");
    memory.append(&[write("a", &[(T0 + 1, 2.0), (T0 - 1, 0.0)])], T0);
    assert_eq!(before[0].samples().collect::<Vec<_>>(), [(T0, 1.0)]);
    assert_eq!(read(&memory, "a").len(), 3);
    check(&memory);
    drop(before);
    memory.sweep(T0 + 3_600_002);
    check(&memory);
}

#[test]
fn names_and_values_of_labels_are_those_of_the_range() {
    let mut memory = Memory::new(HOUR, 64 << 20);
    let writes = [
        write("a{x=\"1\"}", &[(T0, 1.0)]),
        write("a{x=\"2\",y=\"3\"}", &[(T0 + 5000, 1.0)]),
        write("b", &[(T0, 1.0)]),
    ];
    memory.append(&writes, T0);
    let a = Selector::parse("a").expect("a selector");
    let names = |s, e| memory.label_names(s, e).join(" ");
    assert_eq!(names(i64::MIN, i64::MAX), "__name__ x y");
    assert_eq!(names(T0, T0), "__name__ x");
    let values = |name: &str, e| memory.label_values(name, i64::MIN, e).join(" ");
    assert_eq!(
        (values("x", T0), values("x", T0 + 5000), values("z", i64::MAX)),
        ("1".into(), "1 2".into(), String::new())
    );
    assert_eq!(memory.select(a.matchers(), T0, T0, 9).len(), 1);
    assert_eq!(memory.select(a.matchers(), i64::MIN, i64::MAX, 1).len(), 1);
}

#[test]
fn series_of_the_table_are_found_by_number() {
    let (mut source, mut memory) = (Source::new(1), Memory::new(HOUR, 64 << 20));
    let (a, b) = (source.series("a"), source.series("b"));
    source.table.set(a, 1.0, NO_TIME);
    source.table.set(b, 2.0, NO_TIME);
    let tick = source.table.commit(moment(0), 0);
    memory.append_tick(&tick);
    let numbers: Vec<u32> = tick.schema.series().map(|(_, series)| series.number).chain([99]).collect();
    let found = memory.of_numbers(&numbers, T0, T0);
    let values: Vec<_> = found.iter().map(|s| s.as_ref().and_then(|s| s.samples().next())).collect();
    assert_eq!(values, [Some((T0, 1.0)), Some((T0, 2.0)), None]);
}

fn matcher() -> impl Strategy<Value = (&'static str, &'static str, String)> {
    let label = prop::sample::select(vec!["a", "b", METRIC_NAME]);
    (label, prop::sample::select(vec!["=", "!=", "=~", "!~"]), "[xy.*|]{0,3}")
}

proptest! {
    #[test]
    fn selecting_agrees_with_asking_each_series(
        series in prop::collection::btree_set(("[xy]{1,2}", "[xy]{0,2}", "[xy]{0,2}"), 0..12),
        gone in prop::collection::vec(any::<bool>(), 12),
        matchers in prop::collection::vec(matcher(), 1..4),
    ) {
        let mut memory = Memory::new(HOUR, 64 << 20);
        let keys: Vec<_> = series.iter().map(|(name, a, b)| {
            let labels: Vec<_> = [("a", a), ("b", b)].into_iter().filter(|(_, v)| !v.is_empty()).collect();
            key::render(name, &labels)
        }).collect();
        for (key, gone) in keys.iter().zip(&gone) {
            memory.append(&[write(key, &[(T0 + if *gone { 0 } else { 9 }, 1.0)])], T0);
        }
        memory.sweep(T0 + 3_600_000 + 5);
        let inner: Vec<_> = matchers.iter().map(|(l, op, v)| format!("{l}{op}\"{v}\"")).collect();
        let Ok(selector) = Selector::parse(&format!("{{{}}}", inner.join(","))) else { return Ok(()) };
        let mut found: Vec<_> = select(&memory, selector.as_str()).iter().map(text).collect();
        let living = keys.iter().zip(&gone).filter(|(key, gone)| !**gone && selector.matches(key));
        let mut want: Vec<_> = living.map(|(k, _)| {
            let mut pairs: Vec<_> = key::labels(k).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            pairs.push((METRIC_NAME.into(), key::name(k).into_owned()));
            pairs.sort();
            pairs.iter().map(|(n, v)| format!("{n}={v} ")).collect::<String>()
        }).collect();
        found.sort();
        want.sort();
        prop_assert_eq!(found, want);
        check(&memory);
    }

    /// Whatever is pushed when: what the retention promises is there, exact, and the counts are right.
    #[test]
    fn nothing_younger_than_the_retention_is_lost(
        steps in prop::collection::vec((0u8..3, 0i64..8_000_000, -4_000_000i64..700_000, any::<u64>()), 1..120),
    ) {
        let mut memory = Memory::new(HOUR, 64 << 20);
        let mut want: BTreeMap<(u8, i64), u64> = BTreeMap::new();
        let mut now = T0;
        let mut held = Vec::new();
        for (i, (series, ahead, behind, bits)) in steps.into_iter().enumerate() {
            now += ahead / 40;
            let samples: Vec<_> = (0..50)
                .map(|i| (now + behind + i * 1000, f64::from_bits(bits.wrapping_add(i.cast_unsigned())))).collect();
            memory.append(&[write(&format!("s{series}"), &samples)], now);
            for (time, value) in samples {
                if time >= now - 3_600_000 && time <= now + 600_000 {
                    want.entry((series, time)).or_insert(value.to_bits());
                }
            }
            if i % 7 == 0 {
                memory.sweep(now);
                held = select(&memory, ALL);
            }
            check(&memory);
        }
        drop(held);
        for series in 0..3u8 {
            let found = select(&memory, &format!("s{series}"));
            let have: BTreeMap<i64, u64> =
                found.iter().flat_map(|s| s.samples().map(|(t, v)| (t, v.to_bits()))).collect();
            for (&(_, time), value) in want.iter().filter(|((s, t), _)| *s == series && *t >= now - 3_600_000) {
                prop_assert_eq!(have.get(&time), Some(value), "{} {}", series, time - now);
            }
        }
    }
}
