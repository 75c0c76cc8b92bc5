//! What the detector must not do in a product: be blinded, never get used to anything, raise what is none.

use super::*;

const ROW_MS: i64 = 300_000;

fn novelty() -> Novelty {
    Novelty::new(9.0, 150, true)
}

/// Numbers from 0 to 1 by a fixed rule (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal, with mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// A daily cycle of 288 rows from 0 to 100, with noise.
fn cycle(rows: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let angle = |i: usize| i as f64 * std::f64::consts::TAU / 288.0;
    (0..rows).map(|i| 50.0 + 45.0 * angle(i).sin() + 2.0 * random.normal()).collect()
}

fn scores(values: &[f64]) -> Vec<f64> {
    let mut novelty = novelty();
    values.iter().enumerate().map(|(i, value)| novelty.observe(i as i64 * ROW_MS, *value).score).collect()
}

fn alarms(scores: &[f64]) -> Vec<usize> {
    (0..scores.len()).filter(|i| scores[*i] >= 1.0).collect()
}

/// The surprise of each row before the gate.
fn surprises(values: &[f64]) -> Vec<f64> {
    let mut novelty = novelty();
    let row = |(i, value): (usize, &f64)| {
        novelty.gate = Gate::default(); // a gate that has seen nothing lets everything through as it is
        novelty.bits(i as i64 * ROW_MS, *value)
    };
    values.iter().enumerate().map(row).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn an_outlier_of_a_million_times_the_usual_does_not_blind() {
    for seed in 1..=5 {
        let mut values = cycle(4_000, seed);
        values[1_500] = 1e8;
        let bits = surprises(&values);
        let (before, after) = (mean(&bits[1_200..1_500]), mean(&bits[1_700..2_000]));
        assert!(after >= before / 2.0, "seed {seed}: {before} bits before, {after} after");
        values[3_000] =
            values.iter().copied().fold(0.0, |max: f64, v| if v < 1e6 { max.max(v) } else { max }) + 150.0;
        let scores = scores(&values);
        assert!(scores[1_500] >= 1.0 && scores[3_000] >= 1.0, "seed {seed}: {:?}", alarms(&scores));
    }
}

#[test]
fn an_outlier_in_the_first_rows_does_not_blind() {
    for seed in 1..=5 {
        let mut values = cycle(3_500, seed);
        values[1] = 1e8;
        values[3_000] = 250.0;
        let scores = scores(&values);
        assert!(scores[3_000] >= 1.0, "seed {seed}: {:?}", alarms(&scores));
    }
}

#[test]
fn a_lasting_shift_is_told_at_most_twice_and_becomes_usual() {
    for seed in 1..=5 {
        let mut values = cycle(5_000, seed);
        values[2_000..].iter_mut().for_each(|value| *value += 200.0);
        let told = alarms(&scores(&values)).into_iter().filter(|row| *row >= 2_000).collect::<Vec<_>>();
        assert!(told.first().is_some_and(|row| *row < 2_010) && told.len() <= 2, "seed {seed}: {told:?}");
        let bits = surprises(&values);
        let (before, after) = (mean(&bits[1_500..2_000]), mean(&bits[3_500..4_000]));
        assert!(after <= before * 1.3, "seed {seed}: {before} bits before, {after} after");
    }
}

#[test]
fn constant_series_and_float_noise_raise_nothing() {
    assert_eq!(alarms(&scores(&[7.0; 3_000])), [0; 0]);
    let values: Vec<f64> = (0..3_000).map(|i| 20.0 * (1.0 + f64::from(i * i % 11) * 1e-16)).collect();
    assert_eq!(alarms(&scores(&values)), [0; 0]);
    let mut step = vec![0.3; 3_000];
    step[2_000] = 0.1 + 0.2;
    assert!(alarms(&scores(&step)).len() <= 1, "the first change there ever was may be told");
}

#[test]
fn a_raw_counter_raises_a_few_alarms_at_most() {
    let mut random = Random(3);
    let mut total = 0.0;
    let values: Vec<f64> = (0..10_000)
        .map(|_| {
            total += random.next();
            total
        })
        .collect();
    assert!(alarms(&scores(&values)).len() <= 5, "{:?}", alarms(&scores(&values)));
}

#[test]
fn values_that_are_not_finite_are_not_learnt() {
    let values = cycle(1_000, 9);
    let (mut with, mut without) = (novelty(), novelty());
    for (i, value) in values.iter().enumerate() {
        let t_ms = i as i64 * ROW_MS;
        for gap in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(with.observe(t_ms, gap).score, 0.0);
        }
        assert_eq!(with.observe(t_ms, *value).score, without.observe(t_ms, *value).score);
    }
}

#[test]
fn scores_are_numbers_whatever_the_values() {
    let mut novelty = novelty();
    let extremes = [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN, 1.0, 1e-300, -1e300];
    for i in 0..20_000 {
        let verdict = novelty.observe(i64::MAX - i, extremes[(i as usize * 7 + i as usize / 9) % 9]);
        assert!((0.0..=MAX_SCORE).contains(&verdict.score), "{verdict:?}");
        assert!((0.0..=1.0).contains(&novelty.share(verdict.score)));
    }
}

#[test]
fn the_unit_of_a_series_changes_nothing() {
    let values = cycle(3_000, 4);
    let scaled: Vec<f64> = values.iter().map(|value| value * 1024.0).collect();
    assert_eq!(scores(&values), scores(&scaled));
}
