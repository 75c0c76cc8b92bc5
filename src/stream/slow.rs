//! How a client is treated that does not keep up.
//!
//! A client is *busy* when something is due to it and its socket has not taken yet what it got before. What a busy
//! client is sent is decided here, in stages:
//!
//! 1. **Conflated.** It is skipped while it is busy and then gets one delta from the offset it has to the newest.
//!    This costs nobody anything, ends by itself, and happens to everybody now and then.
//! 2. **Slowed.** Busy over [`PATIENCE`]: a frame at every interval only keeps its buffers full, so that what it shows
//!    is always as old as they are deep. Its intervals double, up to [`MOST`] times what was granted, each time told
//!    by a `notice`.
//! 3. **Resynced.** What it has is [`TOO_FAR`] behind: it begins anew with a snapshot, once until it has recovered.
//!    A snapshot also comes at any time when the changes are not known any more.
//! 4. **Closed**, when it takes nothing at all for `stream.stall_timeout`. That is seen where writing is
//!    ([`Session::wake`](super::session::Session::wake)); a client that takes little is never closed for it.
//!
//! A client that has not been busy for [`CALM`] gets its intervals back, one doubling at a time, so that one which
//! bears half the rate but not the whole changes seldom.
//!
//! Time is passed in; nothing here sends or counts.

use std::time::Duration;

/// How long a client is busy on and off before its rate is lowered, and before it is lowered again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a client must not be busy before its rate is raised. Longer than [`PATIENCE`], so that the rate falls
/// faster than it rises.
const CALM: Duration = Duration::from_secs(10);

/// By how much intervals grow at most.
const MOST: u32 = 8;

/// How far behind its due a client may be before it begins anew.
const TOO_FAR: Duration = Duration::from_secs(15);

/// What a client was treated with last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// One delta stood for several.
    Conflated,
    /// Its intervals were doubled.
    Slowed,
    /// It was sent a snapshot.
    Resynced,
    /// Its connection was ended.
    Closed,
}

impl Stage {
    /// All of them.
    pub(super) const ALL: [Stage; 4] = [Stage::Conflated, Stage::Slowed, Stage::Resynced, Stage::Closed];

    /// In one word, for the figures.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Stage::Conflated => "conflated",
            Stage::Slowed => "slowed",
            Stage::Resynced => "resynced",
            Stage::Closed => "closed",
        }
    }
}

/// What changed for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It does not keep up.
    Conflated,
    /// Its intervals are this many times as long now as they were granted, more than before.
    Slowed(u32),
    /// Its intervals are this many times as long, less than before.
    Raised(u32),
}

/// One client's way through the stages; see the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    slow: Option<Slow>,
}

#[derive(Clone, Debug)]
struct Slow {
    factor: u32,
    /// When it became slow, or its rate last changed.
    changed: Duration,
    /// When it was last found busy.
    busy: Duration,
    resynced: bool,
}

impl Pace {
    /// Something is due, and the client is busy.
    pub(super) fn busy(&mut self, now: Duration) -> Option<Change> {
        let Some(slow) = &mut self.slow else {
            self.slow = Some(Slow { factor: 1, changed: now, busy: now, resynced: false });
            return Some(Change::Conflated);
        };
        slow.busy = now;
        if slow.factor == MOST || now.saturating_sub(slow.changed) < PATIENCE {
            return None;
        }
        slow.factor *= 2;
        slow.changed = now;
        Some(Change::Slowed(slow.factor))
    }

    /// Something is due, and the client can take it.
    pub(super) fn ready(&mut self, now: Duration) -> Option<Change> {
        let slow = self.slow.as_mut()?;
        if now.saturating_sub(slow.busy.max(slow.changed)) < CALM {
            return None;
        }
        if slow.factor == 1 {
            self.slow = None;
            return None;
        }
        slow.factor /= 2;
        slow.changed = now;
        Some(Change::Raised(slow.factor))
    }

    /// Has nothing been wrong with it lately?
    pub(super) fn is_even(&self) -> bool {
        self.slow.is_none()
    }

    /// How many times as long as granted its intervals are.
    pub(super) fn factor(&self) -> u32 {
        self.slow.as_ref().map_or(1, |slow| slow.factor)
    }

    /// Should it begin anew, when what it has is `behind` what is due to it? True once for a client that is slow.
    pub(super) fn resyncs(&mut self, behind: Duration) -> bool {
        let Some(slow) = &mut self.slow else { return false };
        let resyncs = !slow.resynced && behind >= TOO_FAR;
        slow.resynced |= resyncs;
        resyncs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_client_that_was_busy_for_a_moment_keeps_its_rate_and_is_forgiven() {
        let mut pace = Pace::default();
        assert_eq!(pace.ready(at(0)), None);
        assert_eq!(pace.busy(at(1_000)), Some(Change::Conflated));
        assert_eq!((pace.ready(at(1_010)), pace.factor()), (None, 1));
        assert_eq!(pace.busy(at(5_999)), None, "still the same time of being slow");
        assert_eq!(pace.ready(at(15_999)), None);
        assert_eq!(pace.busy(at(16_000)), Some(Change::Conflated), "it had recovered");
    }

    #[test]
    fn a_client_that_stays_busy_is_slowed_in_doublings_and_gets_its_rate_back_one_by_one() {
        let mut pace = Pace::default();
        let mut seen = Vec::new();
        let mut note = |s: u64, change: Option<Change>| seen.extend(change.map(|change| (s, change)));
        for s in 0..30 {
            note(s, pace.busy(at(1000 * s)));
        }
        assert_eq!(pace.factor(), 8);
        for s in 30..90 {
            note(s, pace.ready(at(1000 * s)));
        }
        let want = [
            (0, Change::Conflated),
            (5, Change::Slowed(2)),
            (10, Change::Slowed(4)),
            (15, Change::Slowed(8)),
            (39, Change::Raised(4)),
            (49, Change::Raised(2)),
            (59, Change::Raised(1)),
        ];
        assert_eq!(seen, want);
        assert_eq!(pace.busy(at(90_000)), Some(Change::Conflated), "it had recovered at 69 s");
    }

    #[test]
    fn a_slow_client_begins_anew_once_until_it_has_recovered() {
        let mut pace = Pace::default();
        assert!(!pace.resyncs(at(60_000)), "who is not slow is only late");
        pace.busy(at(0));
        assert_eq!([14_999, 15_000, 60_000].map(|behind| pace.resyncs(at(behind))), [false, true, false]);
        assert_eq!(pace.ready(at(10_000)), None);
        pace.busy(at(11_000));
        assert!(pace.resyncs(at(15_000)));
    }
}
