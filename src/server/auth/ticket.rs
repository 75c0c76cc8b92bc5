//! Tickets: how a page opens a stream, since a browser sends no header with a WebSocket or an `EventSource`.
//!
//! Who may stream asks for one (`POST /api/v1/stream/ticket`) and puts it into the address of the stream. An address ends up in
//! logs; a ticket that is good once and for half a minute may.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Who;
use super::token::{self, Hash};

/// How long a ticket is good.
pub(in super::super) const GOOD_FOR: Duration = Duration::from_secs(30);

/// Tickets that wait to be used.
const MOST: usize = 4096;

/// Tickets that were given out, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<VecDeque<Ticket>>);

#[derive(Debug)]
struct Ticket {
    hash: Hash,
    end: Duration,
    who: Who,
}

impl Tickets {
    /// A ticket for who asks at this monotonic time; nothing when too many wait, or without randomness.
    pub(super) fn give(&self, who: Who, now: Duration) -> Option<String> {
        let text = token::make().ok()?;
        let hash = Hash::of(&text)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|ticket| now < ticket.end);
        if all.len() >= MOST {
            return None;
        }
        all.push_back(Ticket { hash, end: now + GOOD_FOR, who });
        Some(text)
    }

    /// Who got this ticket; it is used up then.
    pub(super) fn take(&self, text: &str, now: Duration) -> Option<Who> {
        let hash = Hash::of(text)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|ticket| ticket.hash.is(&hash))?;
        all.remove(at).filter(|ticket| now < ticket.end).map(|ticket| ticket.who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b66_a_ticket_is_good_once_and_for_half_a_minute() {
        let tickets = Tickets::default();
        let at = Duration::from_secs;
        let (one, late) =
            (tickets.give(Who::Local, at(0)).unwrap(), tickets.give(Who::Local, at(0)).unwrap());
        assert_eq!(tickets.take(&one, at(29)), Some(Who::Local));
        assert_eq!(tickets.take(&one, at(29)), None, "a second time");
        assert_eq!(tickets.take(&late, at(30)), None, "too late");
        assert_eq!(tickets.take("gct_", at(0)), None);
    }

    #[test]
    fn those_that_nobody_uses_are_bounded_and_go() {
        let tickets = Tickets::default();
        for _ in 0..MOST {
            assert!(tickets.give(Who::Local, Duration::ZERO).is_some());
        }
        assert!(tickets.give(Who::Local, Duration::ZERO).is_none());
        assert!(tickets.give(Who::Local, GOOD_FOR).is_some());
    }
}
