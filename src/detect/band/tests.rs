//! What all detectors of the family must do, each of them.

use crate::detect::{Detector, Kind, Spec, Verdict};
use proptest::prelude::*;

/// The kinds that expect a level, and need no days to learn it.
const LEVEL: [&str; 3] = ["zscore", "mad", "ewma"];

fn build(name: &str, params: &[(&str, &str)]) -> Box<dyn Detector> {
    Spec::parse(name, params.iter().copied()).unwrap().build()
}

/// One row a second.
fn run(detector: &mut dyn Detector, values: impl IntoIterator<Item = f64>) -> Vec<Verdict> {
    values.into_iter().enumerate().map(|(i, value)| detector.observe(i as i64 * 1_000, value)).collect()
}

/// 100, give or take 3, by a fixed rule.
fn usual(i: usize) -> f64 {
    let mixed = (i as u32).wrapping_mul(0x9E37_79B9);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85EB_CA6B);
    97.0 + f64::from((mixed ^ (mixed >> 13)) % 7)
}

fn alarms(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|i| verdicts[*i].score >= 1.0).collect()
}

#[test]
fn three_of_five_rows_beyond_are_an_anomaly_and_one_is_not() {
    for name in LEVEL {
        let values = (0..400).map(|i| match i {
            200 | 300 | 302 | 304 => 200.0,
            i => usual(i),
        });
        let verdicts = run(&mut *build(name, &[]), values);
        assert_eq!(alarms(&verdicts), [304], "{name}");
        let band = verdicts[299];
        assert!((band.expected - 100.0).abs() < 2.0 && band.lower < 97.0 && band.upper > 103.0, "{band:?}");
    }
}

#[test]
fn the_classic_preset_speaks_at_the_first_row() {
    let values = (0..200).map(|i| if i == 150 { 120.0 } else { usual(i) });
    assert_eq!(alarms(&run(&mut *build("zscore", &[("preset", "classic")]), values)), [150]);
}

#[test]
fn nothing_is_said_before_min_samples() {
    for name in LEVEL {
        let wild = (0..60).map(|i| if i % 7 == 0 { 1e9 } else { usual(i) });
        let verdicts = run(&mut *build(name, &[("k", "1"), ("n", "1")]), wild.chain([usual(60)]));
        assert!(
            verdicts[..60].iter().all(|verdict| verdict.score == 0.0 && verdict.expected.is_nan()),
            "{name}"
        );
        assert!(verdicts[60].expected.is_finite());
    }
}

#[test]
fn outliers_in_the_warm_up_do_not_blind() {
    for name in LEVEL {
        let values = (0..100).map(|i| match i {
            3 | 40 => 1e12,
            90.. => 150.0,
            i => usual(i),
        });
        assert_eq!(alarms(&run(&mut *build(name, &[]), values)).first(), Some(&92), "{name}");
    }
}

#[test]
fn outliers_do_not_move_what_is_expected() {
    for name in LEVEL {
        let values = (0..600).map(|i| if i > 100 && i % 20 == 0 { 1e12 } else { usual(i) });
        let last = *run(&mut *build(name, &[]), values).last().unwrap();
        assert!((last.expected - 100.0).abs() < 3.0 && last.upper < 200.0, "{name}: {last:?}");
    }
}

#[test]
fn a_constant_series_does_not_alarm_on_float_noise() {
    for level in [0.0, 0.1, -1e9, 1e300] {
        for kind in Kind::ALL {
            let mut detector = build(kind.name(), &[]);
            let values =
                (0..2_000).map(|i| level + level * 1e-16 * f64::from(i % 5) + 1e-18 * f64::from(i % 3));
            let verdicts = run(&mut *detector, values);
            assert!(alarms(&verdicts).is_empty(), "{} at {level}", kind.name());
        }
    }
}

#[test]
fn a_shift_becomes_the_new_normal_after_ten_minutes_and_is_told() {
    for name in LEVEL {
        let values = (0..2_000).map(|i| if i < 500 { usual(i) } else { 4.0 * usual(i) });
        let verdicts = run(&mut *build(name, &[]), values);
        let told: Vec<usize> = (0..2_000).filter(|i| verdicts[*i].shift.is_some()).collect();
        assert_eq!(told, [1_100], "{name}");
        let shift = verdicts[1_100].shift.unwrap();
        assert!(shift.since_ms == 500_000 && (shift.from - 100.0).abs() < 3.0, "{name}: {shift:?}");
        assert!((shift.to - 400.0).abs() < 12.0, "{name}: {shift:?}");
        assert_eq!(alarms(&verdicts), (502..=1_100).collect::<Vec<_>>(), "{name}: and nothing afterwards");
        let stays = (0..2_000).map(|i| if i < 500 { usual(i) } else { 1_000.0 });
        let verdicts = run(&mut *build(name, &[("adapt_after", "0s")]), stays);
        assert!(verdicts.iter().all(|verdict| verdict.shift.is_none()), "{name}");
    }
}

#[test]
fn direction_and_least_deviation_are_kept() {
    let dip = |i: usize| if (200..210).contains(&i) { 50.0 } else { usual(i) };
    let found = |params: &[(&str, &str)]| alarms(&run(&mut *build("mad", params), (0..300).map(dip))).len();
    assert!(found(&[]) > 0 && found(&[("direction", "below")]) > 0);
    assert_eq!(found(&[("direction", "above")]), 0);
    assert!(found(&[("min_abs", "40")]) > 0 && found(&[("min_rel", "0.4")]) > 0);
    assert_eq!((found(&[("min_abs", "60")]), found(&[("min_rel", "0.6")])), (0, 0));
}

#[test]
fn values_near_the_largest_there_are_keep_verdicts_finite() {
    for kind in Kind::ALL {
        let values = (0..600).map(|i| if i % 2 == 0 { f64::MAX } else { -f64::MAX });
        for verdict in run(&mut *build(kind.name(), &[]), values.chain((0..600).map(usual))) {
            assert!((0.0..=100.0).contains(&verdict.score), "{}: {verdict:?}", kind.name());
        }
    }
}

#[test]
fn a_step_is_a_rate_at_its_first_row() {
    let verdicts =
        run(&mut *build("rate", &[]), (0..300).map(|i| usual(i) + if i < 200 { 0.0 } else { 90.0 }));
    assert_eq!(alarms(&verdicts), [200]);
    let band = verdicts[200];
    assert!(band.lower < band.expected && band.expected < band.upper && band.upper < 190.0, "{band:?}");
}

#[test]
fn an_hour_is_judged_by_that_hour_of_other_days() {
    let mut detector = build("seasonal", &[("k", "1"), ("n", "1")]);
    // Busy from 8 to 18 o'clock; one row a minute. On the fifth day it is busy at 3 in the night, and idle at noon.
    let mut alarms = Vec::new();
    for minute in 0..5 * 1_440_i64 {
        let (day, hour) = (minute / 1_440, minute % 1_440 / 60);
        let busy = match (day, hour) {
            (4, 3) => true,
            (4, 12) => false,
            (_, hour) => (8..18).contains(&hour),
        };
        let value = if busy { 500.0 } else { 100.0 } + (minute % 7) as f64;
        if detector.observe(minute * 60_000, value).score >= 1.0 {
            alarms.push((day, hour));
        }
    }
    alarms.dedup();
    assert_eq!(alarms, [(4, 3), (4, 12)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_sample_changes_the_score_of_an_earlier_one(
        values in proptest::collection::vec(prop_oneof![8 => 90.0..110.0, 1 => any::<f64>(), 1 => Just(100.0)], 1..300),
        cut in 0.0..1.0,
        step in prop_oneof![Just(0_i64), Just(1_000), Just(60_000), Just(3_600_000)],
    ) {
        let cut = (cut * values.len() as f64) as usize;
        for kind in Kind::ALL {
            let (mut whole, mut part) = (build(kind.name(), &[]), build(kind.name(), &[]));
            let bound = whole.memory();
            let row = |detector: &mut Box<dyn Detector>, i: usize| detector.observe(i as i64 * step, values[i]);
            let all: Vec<Verdict> = (0..values.len()).map(|i| row(&mut whole, i)).collect();
            for (i, verdict) in all.iter().enumerate().take(cut) {
                prop_assert_eq!(row(&mut part, i).score, verdict.score, "{} row {}", kind.name(), i);
            }
            prop_assert!(all.iter().all(|verdict| (0.0..=100.0).contains(&verdict.score)), "{}", kind.name());
            prop_assert!(whole.memory() <= bound, "{}", kind.name());
        }
    }
}
