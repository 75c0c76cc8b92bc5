//! The rate of change: how fast the value moves, against how fast it usually does.
//!
//! The change a second from one row to the next is judged by the robust z-score of [`Mad`](super::mad::Mad); a step that a level
//! would need several rows to be sure of is one single change. The band is that of the value: what it was, and how far the
//! usual changes lead from there.

use super::band::Banded;
use super::mad::Mad;
use super::{Detector, LARGEST, Verdict};

#[derive(Debug)]
pub(super) struct Rate {
    changes: Banded<Mad>,
    last: Option<(i64, f64)>,
}

impl Rate {
    pub(super) fn new(changes: Banded<Mad>) -> Self {
        Rate { changes, last: None }
    }
}

impl Detector for Rate {
    fn observe(&mut self, t_ms: i64, value: f64) -> Verdict {
        if !value.is_finite() {
            return Verdict::UNKNOWN;
        }
        let value = value.clamp(-LARGEST, LARGEST);
        let Some((before_ms, before)) = self.last.replace((t_ms, value)) else {
            return Verdict::UNKNOWN;
        };
        let elapsed_ms = t_ms.saturating_sub(before_ms);
        if elapsed_ms <= 0 {
            return Verdict::UNKNOWN; // twice the same time, or a clock set back: there is no rate
        }
        let seconds = elapsed_ms as f64 / 1000.0;
        let verdict = self.changes.judge(t_ms, (value - before) / seconds, before.abs() / seconds);
        let at = |change: f64| before + change * seconds;
        Verdict {
            expected: at(verdict.expected),
            lower: at(verdict.lower),
            upper: at(verdict.upper),
            ..verdict
        }
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Banded<Mad>>() + self.changes.memory()
    }
}
