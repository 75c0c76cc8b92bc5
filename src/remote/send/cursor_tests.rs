use std::time::Duration;

use super::*;
use crate::history::{Config, Write};
use crate::http_client::Url;
use crate::registry::Registry;

const T0: i64 = 1_700_000_000_000;

fn history(retention: u64) -> History {
    let config = Config { retention: Duration::from_secs(retention), ..Config::default() };
    History::open(&config, &Registry::new(), T0).unwrap()
}

/// Appends samples at seconds, with the second as the value.
fn push(history: &History, name: &str, seconds: impl IntoIterator<Item = i64>, now: i64) {
    let labels = vec![("__name__".to_owned(), name.to_owned())];
    let samples: Vec<_> = seconds.into_iter().map(|second| (T0 + second * 1000, second as f64)).collect();
    history.append(&[Write { labels, samples }], T0 + now * 1000);
}

fn receiver(most: usize) -> Receiver {
    let mut receiver = Receiver::new(Url::parse("http://a/").unwrap());
    receiver.queue.max_samples = most;
    receiver
}

fn cursors(history: &History, receiver: &Receiver) -> Cursors {
    begun_at(history, receiver, 0)
}

fn begun_at(history: &History, receiver: &Receiver, begin: i64) -> Cursors {
    Cursors::new(receiver, &BTreeMap::new(), history, T0 + begin * 1000, T0)
}

/// What comes of filling batches until all is collected: name and second of each sample.
fn drain(cursors: &mut Cursors, history: &History, now: i64) -> Vec<(String, i64)> {
    let (mut batch, mut all) = (Batch::default(), Vec::new());
    loop {
        let filled = cursors.fill(history, T0 + now * 1000, &mut batch);
        assert!(batch.len() <= cursors.most);
        for (labels, samples) in batch.series() {
            all.extend(samples.iter().map(|&(time, value)| {
                assert_eq!(T0 + (value * 1000.0) as i64, time);
                (labels.name().to_owned(), (time - T0) / 1000)
            }));
        }
        batch.clear();
        if filled == Filled::All {
            return all;
        }
    }
}

fn times(all: &[(String, i64)], name: &str) -> Vec<i64> {
    all.iter().filter(|(of, _)| of == name).map(|(_, second)| *second).collect()
}

#[test]
fn each_sample_after_the_begin_is_collected_once_and_in_order() {
    let history = history(3600);
    push(&history, "old", 0..10, 10);
    let mut cursors = begun_at(&history, &receiver(7), 8);
    push(&history, "old", 10..20, 20);
    push(&history, "new", 0..20, 20);
    let all = drain(&mut cursors, &history, 20);
    // From the begin on, also what was there.
    assert_eq!(times(&all, "old"), (8..20).collect::<Vec<_>>());
    // A series that came after the begin is collected from its first sample on.
    assert_eq!(times(&all, "new"), (0..20).collect::<Vec<_>>());
    assert_eq!(drain(&mut cursors, &history, 21), []);
    push(&history, "new", 20..22, 22);
    assert_eq!(times(&drain(&mut cursors, &history, 22), "new"), [20, 21]);
    assert_eq!((cursors.survey(&history), cursors.take_lost()), (0, Lost::default()));
}

#[test]
fn after_an_outage_all_series_catch_up_together() {
    let history = history(3600);
    let mut cursors = cursors(&history, &receiver(50));
    for name in ["a", "b", "c"] {
        push(&history, name, 0..1000, 1000);
    }
    assert_eq!(cursors.survey(&history), 3000);
    let all = drain(&mut cursors, &history, 1000);
    let mut newest: i64 = 0;
    for (_, second) in &all {
        newest = newest.max(*second);
        assert!(*second >= newest - WINDOW / 1000, "{second} comes after {newest}");
    }
    for name in ["a", "b", "c"] {
        assert_eq!(times(&all, name), (0..1000).collect::<Vec<_>>());
    }
    assert_eq!(cursors.reached(), T0 + 1_000_000);
}

#[test]
fn what_comes_behind_a_sample_that_was_collected_is_counted() {
    let history = history(3600);
    let mut cursors = cursors(&history, &receiver(100));
    push(&history, "a", [1, 2, 9], 10);
    assert_eq!(times(&drain(&mut cursors, &history, 10), "a"), [1, 2, 9]);
    push(&history, "a", [3, 4], 10);
    // Late, but nothing later has been collected yet.
    push(&history, "a", [12, 11], 12);
    assert_eq!(times(&drain(&mut cursors, &history, 12), "a"), [11, 12]);
    assert_eq!(cursors.take_lost(), Lost { out_of_order: 2, ..Lost::default() });
}

#[test]
fn what_the_history_forgets_first_is_counted() {
    let history = history(600);
    let mut cursors = cursors(&history, &receiver(100));
    push(&history, "goes", 1..5, 5);
    push(&history, "stays", (0..600).step_by(2), 600);
    push(&history, "stays", (600..1200).step_by(2), 1200);
    assert_eq!(cursors.survey(&history), 604);
    history.sweep(T0 + 1_200_000);
    let forgotten = 600 - held(&history, "stays");
    assert!(forgotten > 0);
    let sent = drain(&mut cursors, &history, 1200);
    cursors.survey(&history);
    assert_eq!(times(&sent, "stays").len() as u64, 600 - forgotten);
    assert_eq!(cursors.take_lost().expired, forgotten + 4);
}

fn held(history: &History, name: &str) -> u64 {
    let mut count = 0;
    each(history, |series| {
        if series.labels().name() == name {
            count += series.samples().count() as u64;
        }
    });
    count
}

#[test]
fn labels_are_external_where_absent_and_then_by_the_rules() {
    let history = history(3600);
    let mut receiver = receiver(100);
    let rules =
        "{r: [{source_labels: [__name__], regex: secret, action: drop}, {regex: pod, action: labeldrop}]}";
    let none = |_: &str| None;
    let reading = crate::config::section::Reading::new(&none, std::path::Path::new(""), true);
    let root = crate::config::yaml::parse(rules).0.unwrap();
    receiver.relabel = relabel::read(&reading.map(&root, "it").unwrap(), "r");
    let external = [("region", "eu"), ("job", "x")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    let mut cursors = Cursors::new(&receiver, &external, &history, T0, T0);
    let labels = [("__name__", "a"), ("job", "own"), ("pod", "p")];
    let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    history.append(&[Write { labels, samples: vec![(T0, 1.0)] }], T0);
    push(&history, "secret", 0..3, 3);
    let mut batch = Batch::default();
    assert_eq!(cursors.fill(&history, T0, &mut batch), Filled::All);
    let got: Vec<_> = batch.series().map(|(labels, _)| labels.to_string()).collect();
    assert_eq!(got, [r#"{__name__="a", job="own", region="eu"}"#]);
    assert_eq!(cursors.take_lost(), Lost { relabel: 3, ..Lost::default() });
}

#[test]
fn what_is_older_than_the_limit_is_counted() {
    let history = history(3600);
    let mut receiver = receiver(100);
    receiver.queue.age_limit = Duration::from_secs(10);
    let mut cursors = cursors(&history, &receiver);
    push(&history, "a", 0..20, 20);
    assert_eq!(times(&drain(&mut cursors, &history, 20), "a"), (10..20).collect::<Vec<_>>());
    assert_eq!(cursors.take_lost(), Lost { too_old: 10, ..Lost::default() });
}
