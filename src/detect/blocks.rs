//! Fast rows made slow ones: a block of rows becomes the most extreme one of it.
//!
//! [`novelty`](super::Kind::Novelty) counts in rows and was made for rows of minutes. Of a scrape each second it gets one row a
//! minute, and the extreme value of it, not the mean: an anomaly of a few seconds must not vanish among the others. On NAB in blocks
//! of 2, 3 and 5 rows the extreme scores 74.7, 66.7 and 68.5, the mean 67.0, 61.6 and 57.3, the last value 70.6, 59.3 and 53.0.
//!
//! Blocks lie on a grid that begins with the first row. The first row of a new place in the grid ends a block and belongs to it, so
//! nothing is waited for: rows as slow as the blocks, or slower, are judged as they come, and a fast one at the end of
//! its block at the latest. In between the last verdict stands.

use super::{Detector, Verdict};

/// How fast the level follows from which "extreme" is measured; a block counts this much.
const FOLLOW: f64 = 0.02;

/// A detector in front of which rows are merged.
#[derive(Debug)]
pub(super) struct Blocks<D> {
    detector: D,
    period_ms: i64,
    /// Time of the first row, and the place in the grid of the last one.
    begun: Option<(i64, i64)>,
    open: Block,
    /// A slow mean of the blocks.
    level: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    low: f64,
    high: f64,
    mean: f64,
    rows: f64,
}

const EMPTY: Block = Block { low: f64::INFINITY, high: f64::NEG_INFINITY, mean: 0.0, rows: 0.0 };

impl<D: Detector> Blocks<D> {
    /// One row each `period_ms`, more than 0.
    pub(super) fn new(detector: D, period_ms: i64) -> Self {
        let verdict = Verdict::UNKNOWN;
        Blocks { detector, period_ms, begun: None, open: EMPTY, level: f64::NAN, verdict }
    }

    /// Whether this row ends a block. The grid is a tenth of a period ahead of the first row, so that rows which come once a
    /// period, a little early or late, have a place each.
    fn ends(&mut self, t_ms: i64) -> bool {
        let Some((first, last)) = &mut self.begun else {
            self.begun = Some((t_ms, 0));
            return true;
        };
        let place =
            t_ms.saturating_sub(*first).saturating_add(self.period_ms / 10).div_euclid(self.period_ms);
        std::mem::replace(last, place) != place
    }
}

impl<D: Detector> Detector for Blocks<D> {
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict { shift: None, score: 0.0, ..self.verdict };
        }
        let open = &mut self.open;
        open.rows += 1.0;
        open.mean += value / open.rows - open.mean / open.rows; // apart, since the difference of two large ones may overflow
        open.low = open.low.min(value);
        open.high = open.high.max(value);
        if !self.ends(t_ms) {
            return Verdict { shift: None, ..self.verdict };
        }
        let block = std::mem::replace(&mut self.open, EMPTY);
        if self.level.is_nan() {
            self.level = block.mean;
        }
        let above = block.high - self.level >= self.level - block.low;
        self.level += FOLLOW * block.mean - FOLLOW * self.level;
        self.verdict = self.detector.observe(t_ms, if above { block.high } else { block.low });
        self.verdict
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<D>() + self.detector.memory()
    }

    fn share(&self, score: f64) -> f64 {
        self.detector.share(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores a row with its value, and so tells what it was given.
    #[derive(Debug, Default)]
    struct Echo(usize);

    impl Detector for Echo {
        fn observe(&mut self, _: i64, value: f64) -> Verdict {
            self.0 += 1;
            Verdict { score: value, ..Verdict::UNKNOWN }
        }

        fn memory(&self) -> usize {
            size_of::<Self>()
        }
    }

    fn scores(period_ms: i64, rows: impl IntoIterator<Item = (i64, f64)>) -> (Vec<f64>, usize) {
        let mut blocks = Blocks::new(Echo::default(), period_ms);
        let scores = rows.into_iter().map(|(t, value)| blocks.observe(t, value).score).collect();
        (scores, blocks.detector.0)
    }

    #[test]
    fn a_minute_of_fast_rows_is_one_row_with_the_value_farthest_from_the_level() {
        let row = |t: i64| {
            let value = match t {
                30 => 9.0,
                100 => 4.0,
                130 => -9.0,
                _ => 5.0,
            };
            (t * 1_000, value)
        };
        let (scores, rows) = scores(60_000, (0..180).map(row));
        assert_eq!(rows, 4, "the first row, and one a minute");
        // The grid is 6 s ahead: rows 54, 114 and 174 end a block.
        assert_eq!((scores[53], scores[54], scores[113], scores[114]), (5.0, 9.0, 9.0, 4.0));
        assert_eq!(scores[174..], [-9.0; 6], "the verdict stands until the next");
    }

    #[test]
    fn slow_rows_are_judged_as_they_come() {
        for step in [60_000, 60_001, 300_000, 3_600_000] {
            let rows = (0..50).map(|i| (1_700_000_000_123 + i * step, i as f64));
            let (scores, judged) = scores(60_000, rows);
            assert_eq!((scores[49], judged), (49.0, 50), "every {step} ms");
        }
    }

    #[test]
    fn rows_once_a_period_have_a_place_each_though_they_come_a_little_early_or_late() {
        let rows = (0..1_000).map(|i| (i * 60_000 + (i * 7_919) % 10_000 - 5_000 * i64::from(i > 0), 1.0));
        assert_eq!(scores(60_000, rows).1, 1_000);
    }

    #[test]
    fn a_clock_set_back_and_values_beyond_reason_break_nothing() {
        let times = [0, i64::MAX, i64::MIN, -5, 70_000];
        let values = [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, 1.0];
        let (scores, _) = scores(60_000, times.into_iter().zip(values));
        assert!(scores.iter().all(|score| score.is_finite()));
    }
}
