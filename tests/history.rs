//! The history as a whole: what is acknowledged survives `kill -9`, and start-up after it takes seconds.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaugecast::history::{Config, History, Write};
use gaugecast::registry::Registry;
use gaugecast::series::Selector;

const T0: i64 = 1_700_000_000_000;
/// Names the folder to the process that is to be killed.
const FOLDER: &str = "GAUGECAST_TEST_HISTORY";
const SERIES: u32 = 200;

fn open(folder: &Path) -> History {
    let config = Config { storage: Some(folder.to_owned()), ..Config::default() };
    History::open(&config, &Registry::new(), T0).unwrap()
}

/// Batch `n`: one sample for each series.
fn batch(n: u32) -> Vec<Write> {
    let name = |series| vec![("__name__".to_owned(), "m".to_owned()), ("n".to_owned(), format!("{series}"))];
    let sample = |series| (T0 + i64::from(n) * 100, f64::from(n) * 1.5 + f64::from(series));
    (0..SERIES).map(|series| Write { labels: name(series), samples: vec![sample(series)] }).collect()
}

/// Pushes without end, and says which batch was acknowledged.
fn push_until_killed(folder: PathBuf) {
    let history = open(&folder);
    let last = history.select(Selector::parse("m").unwrap().matchers(), i64::MIN, i64::MAX, 1);
    let from = last.first().map_or(0, |series| series.samples().count());
    let mut out = std::io::stdout();
    for n in u32::try_from(from).unwrap().. {
        assert_eq!(history.append_durably(&batch(n), T0 + i64::from(n) * 100).unwrap().refused(), 0);
        writeln!(out, "acknowledged {n}").unwrap();
        if n % 37 == 36 {
            history.checkpoint().unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return push_until_killed(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    for life in 1..=3u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_acknowledged_survives_kill_9", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged =
            lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok());
        acknowledged.find(|&n| n >= life * 60).unwrap();
        child.kill().unwrap(); // SIGKILL
        // What it had said before it died, whether we had read it or not.
        let last = acknowledged.last().unwrap_or(life * 60);
        child.wait().unwrap();

        let begin = Instant::now();
        let history = open(folder.path());
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let found = history.select(Selector::parse("m").unwrap().matchers(), i64::MIN, i64::MAX, usize::MAX);
        assert_eq!(found.len(), SERIES as usize);
        for series in &found {
            let label = series.labels().iter().find(|(name, _)| &**name == "n").unwrap();
            let number: f64 = label.1.parse().unwrap();
            let samples: Vec<_> = series.samples().collect();
            assert!(samples.len() > last as usize, "{} of {last}, life {life}", samples.len());
            for (n, (time, value)) in (0u32..).zip(samples) {
                assert_eq!((time, value), (T0 + i64::from(n) * 100, f64::from(n) * 1.5 + number));
            }
        }
    }
}

#[test]
fn a_damaged_file_is_moved_aside_and_the_history_begins_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.redb");
    std::fs::write(&file, "no history").unwrap();
    let history = open(folder.path());
    assert_eq!(history.stats().series, 0);
    let aside = folder.path().join(format!("history.damaged-{T0}.redb"));
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "no history");
    history.append_durably(&batch(0), T0).unwrap();
    drop(history);
    assert_eq!(open(folder.path()).stats().series, SERIES as usize);
}
