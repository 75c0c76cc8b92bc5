//! Series that come when they come: from targets that are scraped, from whoever pushes.
//!
//! A [`Feed`] has an inbox of its own, with a bound, that its tasks fill. Before each tick is committed the ticker
//! lets it write what has come. So it does no I/O here, and nothing of it is seen before the tick is.

use super::Failing;
use super::intake::Intake;
use crate::clock::Moment;

/// One way in, besides the collectors.
pub trait Feed: Send + 'static {
    /// Writes what has come since the last tick into the series table; `now` is the time of the tick. Runs within the
    /// tick, so it neither blocks nor waits.
    ///
    /// A sample that has a time of its own is written with it: the history keeps it once, at that time, however many
    /// ticks it stands.
    fn take(&mut self, intake: &mut Intake, now: Moment);

    /// Those of its sources that fail now. Asked after each tick; who follows is told of what has changed.
    fn failing(&self) -> &[Failing] {
        &[]
    }
}
