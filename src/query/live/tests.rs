use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::history::{Config, History, STALE, Write};
use crate::registry::Registry;

const T0: i64 = 1_700_000_000_000;

/// Every form that is said to be evaluated incrementally, and some that are not.
const QUERIES: [&str; 24] = [
    "rate(c_total[10s])",
    "increase(c_total[7s])",
    "sum by (job)(rate(c_total[10s]))",
    "avg without (i)(increase(c_total{job=\"a\"}[20s]))",
    "avg_over_time(g[10s])",
    "min_over_time(g[5s])",
    "max_over_time(g[15s])",
    "sum_over_time(g[10s])",
    "count_over_time(g[10s])",
    "stddev_over_time(g[10s])",
    "quantile_over_time(0.9, g[10s])",
    "histogram_quantile(0.9, rate(h_bucket[10s]))",
    "histogram_quantile(0.5, sum by (le)(rate(h_bucket[10s])))",
    "g",
    "sum(g) / count(g)",
    "max by (job)(g) - min by (job)(g)",
    "rate(c_total[10s]) / on (job, i) g",
    "g offset 3s",
    "{job=\"a\"}",
    "last_over_time(g[2s])",
    "max_over_time(rate(c_total[5s])[10s:2s])",
    "delta(g[10s]) > 0",
    "absent(g)",
    "topk(2, g)",
];

/// One step of a history: what is appended, then a tick passes.
#[derive(Clone, Debug)]
struct Step {
    /// Which series gets which value; now, or so many milliseconds before.
    writes: Vec<(usize, f64, i64)>,
    passes: i64,
    sweeps: bool,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0u32..50).prop_map(f64::from),
        2 => -1e3..1e3,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::from_bits(STALE)),
        1 => Just(-0.0),
        1 => Just(1e308),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let late = prop_oneof![12 => Just(0i64), 1 => 1i64..30_000, 1 => -5_000i64..0];
    let writes = prop::collection::vec((0usize..18, value(), late), 0..14);
    let passes = prop_oneof![12 => Just(1000i64), 2 => 990i64..1010, 1 => Just(40_000), 1 => -3_000i64..0];
    (writes, passes, prop::bool::weighted(0.05)).prop_map(|(writes, passes, sweeps)| Step {
        writes,
        passes,
        sweeps,
    })
}

fn labels(series: usize) -> Vec<(String, String)> {
    let job = ["a", "b"][series / 3 % 2];
    let i = (series % 3).to_string();
    let name = ["c_total", "g", "h_bucket"][series / 6];
    let mut labels = vec![("__name__", name.to_owned()), ("job", job.to_owned())];
    if name == "h_bucket" {
        labels.push(("le", ["0.1", "1", "+Inf"][series % 3].to_owned()));
    } else {
        labels.push(("i", i));
    }
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

type Bits = Result<Vec<(Labels, u64)>, Error>;

fn ask(query: &LiveQuery, source: &dyn Source, at: i64) -> Bits {
    let values = query.at(source, &Options::default(), at, &Interrupt::default())?;
    Ok(values.into_iter().map(|(labels, value)| (labels, value.to_bits())).collect())
}

/// Runs a history; after each step every query has the same answer over the windows and over the history itself.
fn agree(steps: &[Step]) -> Result<(), TestCaseError> {
    let retention = std::time::Duration::from_secs(45);
    let config = Config { retention, ..Config::default() };
    let history = History::open(&config, &Registry::new(), T0).expect("in memory");
    let windows = Windows::new(Arc::new(history.clone()));
    let queries: Vec<_> = QUERIES.iter().map(|text| LiveQuery::parse(text).expect(text)).collect();
    let mut now = T0;
    for (count, step) in steps.iter().enumerate() {
        let writes = step.writes.iter().map(|&(series, value, late)| Write {
            labels: labels(series),
            samples: vec![(now - late, value)],
        });
        history.append(&writes.collect::<Vec<_>>(), now);
        if step.sweeps {
            history.sweep(now);
        }
        windows.advance(now);
        for (i, query) in queries.iter().enumerate() {
            // Not every query at every tick: intervals differ.
            if count % (i % 4 + 1) == 0 {
                let (live, full) = (ask(query, &windows, now), ask(query, &history, now));
                prop_assert_eq!(live, full, "{} at step {}", QUERIES[i], count);
            }
        }
        now += step.passes;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn f47_what_is_remembered_gives_the_bits_of_a_full_evaluation_at_every_tick(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        agree(&steps)?;
    }
}

#[test]
fn f47_a_tick_reads_of_the_history_what_is_new_and_forgets_what_nobody_asks_for() {
    let history = History::open(&Config::default(), &Registry::new(), T0).expect("in memory");
    let windows = Windows::new(Arc::new(history.clone()));
    let query = LiveQuery::parse("sum_over_time(g[10s])").expect("right");
    for second in 0..200i64 {
        let now = T0 + second * 1000;
        history.append(&[Write { labels: labels(6), samples: vec![(now, 1.0)] }], now);
        windows.advance(now);
        if second < 60 {
            let (_, sum) = ask(&query, &windows, now).expect("an answer")[0].clone();
            assert_eq!(f64::from_bits(sum), ((second + 1).min(10)) as f64);
            assert!(windows.samples() <= 20, "{}", windows.samples());
        }
    }
    assert_eq!(windows.samples(), 0);
}

#[test]
fn f47_texts_that_differ_by_spaces_and_comments_are_one_query() {
    let one = LiveQuery::parse("sum by(job) (rate(a{b='c'}[1m]))  # all").expect("right");
    let other = LiveQuery::parse("sum   by (job)(rate( a{ b = 'c' }[ 1m ]))").expect("right");
    assert_eq!(one, other);
    assert_ne!(one, LiveQuery::parse("sum by (job)(rate(a{b='d'}[1m]))").expect("right"));
    for text in ["a[1m]", "\"text\"", "a[5m:1m]"] {
        assert!(matches!(LiveQuery::parse(text), Err(LiveError::Type(_))), "{text}");
    }
    let Err(LiveError::Parse(error)) = LiveQuery::parse("sum(\n a b)") else { panic!("no error") };
    assert_eq!(error.position, "2:4");
}
