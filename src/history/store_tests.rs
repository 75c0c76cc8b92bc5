//! Facts about the history in its file.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::series::Selector;

const T0: i64 = 1_700_000_000_000;

/// (series, time, value), sorted.
type Content = Vec<(String, i64, u64)>;

fn write(name: &str, samples: impl IntoIterator<Item = (i64, u64)>) -> Write {
    let samples = samples.into_iter().map(|(time, bits)| (time, f64::from_bits(bits))).collect();
    Write { labels: vec![("__name__".into(), name.into()), ("job".into(), "test".into())], samples }
}

fn content(memory: &Memory) -> Content {
    let all = Selector::parse("{__name__!=\"\"}").expect("a selector");
    let found = memory.select(all.matchers(), i64::MIN, i64::MAX, usize::MAX);
    let mut content: Content = found
        .iter()
        .flat_map(|series| {
            let name: String = series.labels().iter().map(|(n, v)| format!("{n}={v} ")).collect();
            series.samples().map(move |(time, value)| (name.clone(), time, value.to_bits()))
        })
        .collect();
    content.sort();
    content
}

fn memory() -> Memory {
    Memory::new(Duration::from_secs(3600), 64 << 20)
}

fn open(folder: &Path, now: i64) -> (Store, RwLock<Memory>) {
    let mut memory = memory();
    let (store, _) = Store::open(folder, &mut memory).expect("opens");
    memory.restored(now);
    (store, RwLock::new(memory))
}

fn push(store: &Store, memory: &RwLock<Memory>, writes: &[Write], now: i64) {
    memory.write().expect("no panic before").append(writes, now);
    store.journal(writes, now).expect("written");
}

fn inside(memory: &RwLock<Memory>) -> Content {
    content(&memory.read().expect("no panic before"))
}

fn waves(name: &str, from: i64, count: i64) -> Write {
    write(name, (from..from + count).map(|i| (T0 + i * 1000, (i as f64).sin().to_bits())))
}

#[test]
fn what_was_pushed_is_there_after_a_restart_with_and_without_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = T0 + 1_000_000;
    let mut want = Content::new();
    for round in 0..4 {
        let (store, memory) = open(folder.path(), now);
        assert!(inside(&memory) == want, "round {round}");
        push(&store, &memory, &[waves("a", round * 200, 150), waves("b", round * 10, 3)], now);
        if round % 2 == 0 {
            store.checkpoint(&memory).expect("written");
        }
        // Late samples, which make chunks anew, and a series that comes after the checkpoint.
        push(&store, &memory, &[waves("a", round * 200 + 160, 5), waves(&format!("c{round}"), 0, 1)], now);
        push(&store, &memory, &[write("a", [(T0 + round * 200_000 + 500, 7)])], now);
        want = inside(&memory);
    }
    let (_, memory) = open(folder.path(), now);
    assert!(inside(&memory) == want);
    assert_eq!(want.iter().filter(|(name, ..)| name.contains("=a ")).count(), 4 * 156);
}

#[test]
fn a_checkpoint_empties_the_journal_and_drops_what_is_too_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    let rows = |store: &Store, table| {
        let tx = store.db.begin_write().expect("begins");
        let rows = tx.open_table::<u64, &[u8]>(table).expect("opens").iter().expect("reads").count();
        drop(tx);
        rows
    };
    push(&store, &memory, &[waves("old", 0, 1000)], T0 + 1_000_000);
    assert_eq!(rows(&store, JOURNAL), 1);
    store.checkpoint(&memory).expect("written");
    assert_eq!((rows(&store, JOURNAL), rows(&store, BLOCKS), rows(&store, SERIES)), (0, 1, 1));
    push(&store, &memory, &[waves("new", 5000, 1000)], T0 + 6_000_000);
    memory.write().expect("no panic before").sweep(T0 + 6_000_000);
    store.checkpoint(&memory).expect("written");
    assert_eq!((rows(&store, BLOCKS), rows(&store, SERIES)), (1, 1), "the old series is forgotten");
    drop(store);
    let (_, again) = open(folder.path(), T0 + 6_000_000);
    assert!(inside(&again) == inside(&memory));
}

#[test]
fn after_a_checkpoint_that_failed_the_next_one_writes_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    push(&store, &memory, &[waves("a", 0, 1000)], T0 + 1_000_000);
    // As if the disk had been full: what had changed is taken and not written.
    memory.write().expect("no panic before").take_changes();
    store.state().incomplete = true;
    store.checkpoint(&memory).expect("written");
    push(&store, &memory, &[waves("b", 0, 10)], T0 + 1_000_000);
    store.checkpoint(&memory).expect("written");
    drop(store);
    assert!(inside(&open(folder.path(), T0 + 1_000_000).1) == inside(&memory));
}

#[test]
fn a_journal_is_long_from_its_bound_on_until_a_checkpoint_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    let mut series = 0;
    while !store.journal_is_long() {
        push(&store, &memory, &[waves(&format!("s{series}"), 0, 100_000)], T0 + 100_000_000);
        series += 1;
    }
    assert!(store.size() >= JOURNALED as u64 && series < 1000, "{series}");
    drop(store);
    let (store, memory) = open(folder.path(), T0 + 100_000_000);
    assert!(store.journal_is_long());
    store.checkpoint(&memory).expect("written");
    assert!(!store.journal_is_long());
    drop(store);
    assert!(!open(folder.path(), T0 + 100_000_000).0.journal_is_long());
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_store, _) = open(folder.path(), T0);
    let error = Store::open(folder.path(), &mut memory()).expect_err("in use");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn what_cannot_be_a_history_is_refused_with_path_and_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.redb");
    fs::write(&file, "this is no database, yet long enough to hold what would be the head of one".repeat(99))
        .expect("written");
    let error = Store::open(folder.path(), &mut memory()).expect_err("no database");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("history.redb: the history is damaged"), "{error}");
    let error = Store::open(&file, &mut memory()).expect_err("a file is no folder");
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

#[test]
fn a_record_that_is_damaged_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    push(&store, &memory, &[waves("a", 0, 1000)], T0 + 1_000_000);
    store.checkpoint(&memory).expect("written");
    let tx = store.db.begin_write().expect("begins");
    tx.open_table(BLOCKS).expect("opens").insert(0, &b"sum and something else"[..]).expect("inserted");
    tx.commit().expect("committed");
    drop(store);
    let error = Store::open(folder.path(), &mut self::memory()).expect_err("damaged").to_string();
    assert!(error.contains("record 0 of table blocks: its checksum does not match"), "{error}");
    let (tx, format) = (Database::open(folder.path().join("history.redb")).expect("opens"), 9);
    let write = tx.begin_write().expect("begins");
    write.open_table(META).expect("opens").insert("format", format).expect("inserted");
    write.commit().expect("committed");
    drop(tx);
    let error = Store::open(folder.path(), &mut self::memory()).expect_err("another format").to_string();
    assert!(error.contains("format 9"), "{error}");
}

/// A file with pages of all tables, and what is in it.
fn sample_file() -> (Vec<u8>, Content) {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    for series in 0..20 {
        push(&store, &memory, &[waves(&format!("s{series}"), 0, 400)], T0 + 1_000_000);
        if series % 8 == 0 {
            store.checkpoint(&memory).expect("written");
        }
    }
    let file = folder.path().join("history.redb");
    // As kill -9 leaves it: redb has not marked it as closed.
    let killed = fs::read(&file).expect("read");
    (killed, inside(&memory))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_damaged_file_never_panics_and_never_gives_a_wrong_value(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static FILE: std::sync::LazyLock<(Vec<u8>, Content)> = std::sync::LazyLock::new(sample_file);
        let (bytes, want) = &*FILE;
        let mut bytes = bytes.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("history.redb"), bytes).expect("written");
        let mut memory = memory();
        match Store::open(folder.path(), &mut memory) {
            Err(error) => prop_assert!(error.to_string().contains("history.redb")),
            Ok(_) => {
                memory.restored(T0 + 1_000_000);
                let have = content(&memory);
                prop_assert!(have.iter().all(|sample| want.binary_search(sample).is_ok()));
            }
        }
    }
}

#[test]
fn the_file_is_read_while_it_is_written_to_by_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, memory) = open(folder.path(), T0);
    let (store, memory) = (Arc::new(store), Arc::new(memory));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (store, memory) = (&store, &memory);
            scope.spawn(move || {
                for i in 0..20 {
                    push(store, memory, &[waves(&format!("s{n}"), i * 40, 40)], T0 + 1_000_000);
                    if i % 5 == n {
                        store.checkpoint(memory).expect("written");
                    }
                }
            });
        }
    });
    let want = inside(&memory);
    assert_eq!(want.len(), 4 * 800);
    drop(store);
    assert!(inside(&open(folder.path(), T0 + 1_000_000).1) == want);
}
