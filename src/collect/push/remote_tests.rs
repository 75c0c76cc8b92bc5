use std::sync::Arc;

use super::*;
use crate::history::{self, History, STALE, Write};
use crate::registry::Registry;
use crate::series::{Epoch, Tick};

const T0: i64 = 1_700_000_000_000;

/// What a request did, tick by tick.
struct Fixture {
    inbox: Inbox,
    feed: RemoteFeed,
    intake: Intake,
    registry: Registry,
    beat: u64,
}

fn at(ms: i64) -> Moment {
    let since_start = Duration::from_millis(u64::try_from(3_600_000 + ms).expect("within the test"));
    Moment { since_start, unix_ms: T0 + ms }
}

fn write(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Write {
    Write {
        labels: labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        samples: samples.iter().map(|&(ms, value)| (T0 + ms, value)).collect(),
    }
}

fn metadata(family: &str, kind: Kind) -> Metadata {
    Metadata { family: family.into(), kind, help: "Help.".into(), unit: String::new() }
}

impl Fixture {
    fn new(limit: usize) -> Self {
        let registry = Registry::new();
        let inbox = Inbox::new(limit, &registry).expect("registered once");
        Fixture { feed: inbox.feed(), inbox, intake: Intake::new(Epoch(1), limit), registry, beat: 0 }
    }

    fn push(&self, labels: &[(&str, &str)], samples: &[(i64, f64)], now: i64) {
        self.inbox.write(&[write(labels, samples)], &[], at(now));
    }

    fn tick(&mut self, now: i64) -> Arc<Tick> {
        self.feed.take(&mut self.intake, at(now));
        self.beat += 1;
        self.intake.commit(at(now), self.beat)
    }

    /// Key, value and own time of each series.
    fn live(&mut self, now: i64) -> Vec<(String, f64, i64)> {
        let tick = self.tick(now);
        let one = |s: &Arc<crate::series::Series>| {
            (s.key().to_owned(), tick.value(s), tick.own_time(s).unwrap_or(0) - T0)
        };
        tick.schema.families.iter().flat_map(|family| &family.series).map(one).collect()
    }

    fn refused(&self, reason: &str) -> bool {
        let mut page = Vec::new();
        self.registry.page(&mut page);
        let line = format!("gaugecast_remote_write_refused_total{{reason=\"{reason}\"}} 1\n");
        String::from_utf8(page).expect("text").contains(&line)
    }
}

const UP: [(&str, &str); 2] = [("job", "a"), ("__name__", "up")];

#[test]
fn the_newest_sample_of_a_series_is_live_at_the_next_tick_with_its_own_time() {
    let mut f = Fixture::new(10);
    f.push(&UP, &[(-2000, 1.0), (-1000, 2.0)], 0);
    f.push(&UP, &[(-3000, 9.0)], 0); // late, so it is in the history only
    assert_eq!(f.live(0), [("up{job=\"a\"}".to_owned(), 2.0, -1000)]);
    assert_eq!(f.live(1000)[0].1, 2.0);
    f.push(&UP, &[(-1500, 9.0)], 1500);
    f.push(&UP, &[(-1000, 9.0)], 1500); // of two for one time the first stands
    assert_eq!(f.live(2000)[0].1, 2.0);
    f.push(&UP, &[(2500, 3.0)], 2600);
    assert_eq!(f.live(3000), [("up{job=\"a\"}".to_owned(), 3.0, 2500)]);
    // None of it is shown to scrapers.
    assert!(f.tick(4000).schema.own.is_empty());
}

#[test]
fn a_stale_marker_or_five_minutes_of_silence_end_it() {
    let mut f = Fixture::new(10);
    f.push(&UP, &[(0, 1.0)], 0);
    f.push(&[("__name__", "other")], &[(-100_000, 1.0)], 0);
    assert_eq!(f.live(0).len(), 2);
    f.push(&UP, &[(5000, f64::from_bits(STALE))], 5000);
    assert_eq!(f.live(5000).len(), 1);
    assert_eq!(f.live(199_000).len(), 1);
    // Five minutes after its own time, whenever it came.
    assert_eq!(f.live(205_000).len(), 0);
    // It comes back; and what is too old already never is live.
    f.push(&UP, &[(210_000, 1.0)], 210_000);
    f.push(&[("__name__", "old")], &[(-100_000, 1.0)], 210_000);
    assert_eq!(f.live(210_000).len(), 1);
}

#[test]
fn what_is_said_of_a_family_counts_also_for_series_that_are_there() {
    let mut f = Fixture::new(10);
    f.push(&[("__name__", "d_bucket"), ("le", "1")], &[(0, 1.0)], 0);
    f.push(&[("__name__", "d_sum")], &[(0, 1.5)], 0);
    f.push(&[("__name__", "a_total")], &[(0, 7.0)], 0);
    let names = |tick: &Tick| -> Vec<(String, Kind)> {
        tick.schema.families.iter().map(|f| (f.meta.name.to_string(), f.meta.kind)).collect()
    };
    let tick = f.tick(0);
    assert_eq!(names(&tick).len(), 3);
    let number = |tick: &Tick, name: &str| {
        let found = tick.schema.families.iter().flat_map(|f| &f.series).find(|s| s.name() == name);
        found.map(|series| (series.number, tick.value(series)))
    };
    let before = number(&tick, "d_sum");
    let told = [metadata("d", Kind::Histogram), metadata("a", Kind::Counter)];
    f.inbox.write(&[], &told, at(1000));
    let tick = f.tick(1000);
    assert_eq!(names(&tick), [("a_total".to_owned(), Kind::Counter), ("d".to_owned(), Kind::Histogram)]);
    assert_eq!(&*tick.schema.family("d").expect("there").meta.help, "Help.");
    // The same series for whoever follows it.
    assert_eq!(number(&tick, "d_sum"), before);
    assert_eq!(tick.schema.family("d").expect("there").series.len(), 2);
}

#[test]
fn a_series_of_another_source_and_one_too_many_are_counted_and_left_out() {
    let mut f = Fixture::new(2);
    let source = f.intake.add_source("own", Scope::Own);
    f.intake.page(source, b"up{job=\"a\"} 5\n", crate::exposition::parse::Format::Text).expect("a page");
    f.push(&UP, &[(0, 1.0)], 0);
    f.push(&[("__name__", "b")], &[(0, 1.0)], 0);
    f.push(&[("__name__", "c")], &[(0, 1.0)], 0); // the inbox has room for two
    let live = f.live(0);
    assert_eq!(live.len(), 2);
    assert_eq!(live[1].1, 5.0);
    assert!(f.refused("duplicate") && f.refused("limit"));
}

#[test]
fn the_history_has_each_sample_once_and_one_marker_at_the_end() {
    let mut f = Fixture::new(10);
    let history = History::open(&history::Config::default(), &Registry::new(), T0).expect("in memory");
    let mut want = Vec::new();
    for (round, value) in (0i64..200).zip([1.0, 1.0, 2.0].into_iter().cycle()) {
        let now = round * 15_000;
        let (time, value) = (now - 500, if round == 199 { f64::from_bits(STALE) } else { value });
        let one = [write(&UP, &[(time, value)])];
        assert_eq!(history.append_durably(&one, T0 + now).expect("memory").taken, 1);
        f.inbox.write(&one, &[], at(now));
        want.push((T0 + time, value.to_bits()));
        for second in 0..3 {
            let tick = f.tick(now + second * 1000);
            assert_eq!(history.append_tick(&tick).taken, 0);
        }
    }
    let matchers = crate::series::Selector::parse("up").expect("a selector");
    let found = history.select(matchers.matchers(), i64::MIN, i64::MAX, 10);
    let got: Vec<_> = found[0].samples().map(|(time, value)| (time, value.to_bits())).collect();
    assert_eq!(got, want);
}
