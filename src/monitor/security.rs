//! Events of security: who is turned away, and for what.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::durations::{Durations, milliseconds, nanoseconds};
use super::operation::{LAST, cut, ended_ms};
use super::snapshot::{SecurityEvent, SecurityFigures, SecurityKind, SecurityKindFigures};
use super::timed::Timed;
use crate::clock::{Clock, Moment};

const KINDS: usize = SecurityKind::ALL.len();
const SECONDS: usize = 60;

/// Longest source of an event, in bytes; the rest is cut off.
pub const MAX_SOURCE: usize = 64;
/// Longest detail of an event, in bytes.
pub const MAX_DETAIL: usize = 128;

/// Takes events of security; by [`Monitor::security`](super::Monitor::security).
///
/// ```
/// # use gaugecast::{monitor::{Config, Monitor, SecurityKind}, registry::{RegisterError, Registry}};
/// let monitor = Monitor::new(&Registry::new(), Config::default())?;
/// monitor.security().report(SecurityKind::FailedLogin, "192.0.2.7", "user alice");
///
/// let figures = monitor.snapshot(monitor.now()).security;
/// assert_eq!((figures.total, &*figures.last[0].source), (1, "192.0.2.7"));
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Debug)]
pub struct Security {
    clock: Clock,
    counts: [AtomicU64; KINDS],
    pub(super) responses: Timed,
    /// For who reads: the last events, and those of each second.
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    /// Oldest first; the texts of the oldest take the newest, so a flood allocates nothing.
    events: VecDeque<Event>,
    /// The second, counted from the start of the process, and what was in it.
    seconds: [(u64, [u64; KINDS]); SECONDS],
}

#[derive(Debug)]
struct Event {
    at: Duration,
    kind: SecurityKind,
    source: String,
    detail: String,
}

impl Security {
    pub(super) fn new(clock: Clock) -> Self {
        let events = VecDeque::with_capacity(LAST);
        let recent = Recent { events, seconds: [(0, [0; KINDS]); SECONDS] };
        Security { clock, counts: Default::default(), responses: Timed::new(), recent: Mutex::new(recent) }
    }

    /// Something happened. `source` is from where or by whom, `detail` more of it; both are kept in the last 100 events and
    /// shown to administrators, so no secrets. Neither is a label.
    pub fn report(&self, kind: SecurityKind, source: &str, detail: &str) {
        self.report_at(kind, source, detail, self.clock.now());
    }

    /// Something happened then.
    pub fn report_at(&self, kind: SecurityKind, source: &str, detail: &str, at: Moment) {
        let number = kind as usize;
        self.counts[number].fetch_add(1, Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let second = at.since_start.as_secs();
        let place = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        let slot = &mut recent.seconds[place];
        if slot.0 != second {
            *slot = (second, [0; KINDS]);
        }
        slot.1[number] += 1;
        let mut event = if recent.events.len() < LAST {
            let (source, detail) = (String::with_capacity(MAX_SOURCE), String::with_capacity(MAX_DETAIL));
            Event { at: at.since_start, kind, source, detail }
        } else {
            recent.events.pop_front().expect("there are a hundred")
        };
        (event.at, event.kind) = (at.since_start, kind);
        for (text, new, most) in
            [(&mut event.source, source, MAX_SOURCE), (&mut event.detail, detail, MAX_DETAIL)]
        {
            text.clear();
            text.push_str(cut(new, most));
        }
        recent.events.push_back(event);
    }

    /// How long it took to respond to something: from the attempt to the refusal, from the alarm to the block.
    pub fn responded(&self, duration: Duration) {
        self.responses.record(nanoseconds(duration));
    }

    pub(super) fn count(&self, kind: SecurityKind) -> u64 {
        self.counts[kind as usize].load(Ordering::Relaxed)
    }

    pub(super) fn figures(&self, now: &Moment) -> SecurityFigures {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.since_start.as_secs();
        let last_minute = |kind: SecurityKind| {
            let within = recent.seconds.iter().filter(|(at, _)| second.saturating_sub(*at) < SECONDS as u64);
            within.map(|(_, counts)| counts[kind as usize]).sum()
        };
        let kind = |kind: SecurityKind| SecurityKindFigures {
            kind,
            count: self.count(kind),
            last_minute: last_minute(kind),
        };
        let by_kind: Vec<_> = SecurityKind::ALL.into_iter().map(kind).collect();
        let event = |event: &Event| SecurityEvent {
            at_ms: ended_ms(now.since_start.saturating_sub(event.at), now),
            kind: event.kind,
            source: event.source.clone(),
            detail: event.detail.clone(),
        };
        let responses: Durations = self.responses.read();
        SecurityFigures {
            total: by_kind.iter().map(|kind| kind.count).sum(),
            by_kind,
            responses: responses.count,
            mean_response_ms: responses.mean_ms(),
            max_response_ms: milliseconds(responses.max_ns),
            last: recent.events.iter().rev().map(event).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment {
            since_start: Duration::from_secs(seconds),
            unix_ms: 1_700_000_000_000 + seconds as i64 * 1000,
        }
    }

    #[test]
    fn the_last_hundred_events_are_kept_and_all_are_counted() {
        let security = Security::new(Clock::start());
        for i in 0..250 {
            security.report_at(SecurityKind::Blocked, &i.to_string(), "", at(i));
        }
        let figures = security.figures(&at(249));
        assert_eq!((figures.total, figures.last.len()), (250, 100));
        assert_eq!((&*figures.last[0].source, &*figures.last[99].source), ("249", "150"));
        assert_eq!(figures.last[0].at_ms, at(249).unix_ms);
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let security = Security::new(Clock::start());
        for second in [10, 10, 50, 69] {
            security.report_at(SecurityKind::FailedLogin, "", "", at(second));
        }
        let minute = |now| security.figures(&at(now)).by_kind[0].last_minute;
        assert_eq!((minute(69), minute(70), minute(109), minute(200)), (4, 2, 2, 0));
    }

    #[test]
    fn texts_from_outside_are_cut_at_a_whole_character() {
        let security = Security::new(Clock::start());
        security.report_at(SecurityKind::Blocked, &"ü".repeat(50), &"x".repeat(500), at(1));
        let last = &security.figures(&at(1)).last[0];
        assert_eq!((last.source.len(), last.detail.len()), (MAX_SOURCE, MAX_DETAIL));
    }
}
