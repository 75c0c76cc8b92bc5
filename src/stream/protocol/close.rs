//! Why and how the server ends a connection.

use std::time::Duration;

use super::super::frame::{self, Frames};
use super::message::{Server, millis};

/// Why the server ends a connection: the `bye` message, the close code and the advice, one value each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The server stops.
    GoingAway,
    /// A frame that breaks RFC 6455.
    ProtocolError,
    /// A binary message; this subprotocol is text.
    Binary,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// A message that does not end: too long in time.
    Unfinished,
    /// A message that is too long, or in too many fragments.
    TooLong,
    /// A fault of ours.
    Internal,
    /// Too many malformed messages.
    BadRequests,
    /// Said nothing after connecting.
    HelloTimeout,
    /// Did not read for too long.
    Slow,
    /// Did not answer a ping.
    NoPong,
    /// Too many commands.
    TooManyCommands,
    /// Too many pings.
    TooManyPings,
    /// Its token was revoked, or its time is over.
    Unauthorized,
    /// Somebody who administers the server sent it away.
    Kicked,
}

impl Close {
    /// All of them.
    pub const ALL: [Close; 15] = [
        Close::GoingAway,
        Close::ProtocolError,
        Close::Binary,
        Close::NotUtf8,
        Close::Unfinished,
        Close::TooLong,
        Close::Internal,
        Close::BadRequests,
        Close::HelloTimeout,
        Close::Slow,
        Close::NoPong,
        Close::TooManyCommands,
        Close::TooManyPings,
        Close::Unauthorized,
        Close::Kicked,
    ];

    /// The close code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Close::GoingAway => 1001,
            Close::ProtocolError => 1002,
            Close::Binary => 1003,
            Close::NotUtf8 => 1007,
            Close::Unfinished => 1008,
            Close::TooLong => 1009,
            Close::Internal => 1011,
            Close::BadRequests => 4400,
            Close::Unauthorized => 4401,
            Close::HelloTimeout | Close::Slow => 4408,
            Close::NoPong => 4409,
            Close::Kicked => 4410,
            Close::TooManyCommands | Close::TooManyPings => 4429,
        }
    }

    /// The reason as one word, `bye.reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Close::GoingAway => "going_away",
            Close::ProtocolError => "protocol_error",
            Close::Binary => "binary_message",
            Close::NotUtf8 => "not_utf8",
            Close::Unfinished => "unfinished_message",
            Close::TooLong => "message_too_long",
            Close::Internal => "internal",
            Close::BadRequests => "bad_requests",
            Close::HelloTimeout => "hello_timeout",
            Close::Slow => "slow",
            Close::NoPong => "no_pong",
            Close::TooManyCommands => "rate_limited",
            Close::TooManyPings => "ping_flood",
            Close::Unauthorized => "unauthorized",
            Close::Kicked => "kicked",
        }
    }

    /// In words, for the close frame.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Close::GoingAway => "the server stops",
            Close::ProtocolError => "a frame breaks RFC 6455",
            Close::Binary => "this subprotocol has text messages only",
            Close::NotUtf8 => "a text message is not UTF-8",
            Close::Unfinished => "a message took too long to end",
            Close::TooLong => "a message is too long or has too many fragments",
            Close::Internal => "a fault of the server",
            Close::BadRequests => "too many malformed messages",
            Close::HelloTimeout => "neither hello nor subscribe came in time",
            Close::Slow => "nothing was read for too long",
            Close::NoPong => "a ping was not answered",
            Close::TooManyCommands => "too many commands",
            Close::TooManyPings => "too many pings",
            Close::Unauthorized => "the token is not good any more",
            Close::Kicked => "sent away by an administrator",
        }
    }

    /// Should the client connect again, and after how long at the soonest? `None`: it should not.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Close::GoingAway => Some(Duration::ZERO),
            Close::Unauthorized | Close::Internal | Close::Slow | Close::NoPong | Close::HelloTimeout => {
                Some(Duration::from_secs(1))
            }
            Close::TooManyCommands | Close::TooManyPings => Some(Duration::from_secs(10)),
            Close::ProtocolError
            | Close::Binary
            | Close::NotUtf8
            | Close::Unfinished
            | Close::TooLong
            | Close::BadRequests
            | Close::Kicked => None,
        }
    }

    /// `bye` and the close frame. `spread` is added to the time to wait, so that many clients do not come
    /// back at once.
    pub(in super::super) fn frames(self, spread: Duration) -> [Frames; 2] {
        let retry = self.retry_after();
        let bye = Server::Bye {
            code: self.code(),
            reason: self.reason(),
            reconnect: retry.is_some(),
            retry_after_ms: retry.map_or(0, |retry| millis(retry + spread)),
        };
        let reason = format!("{}: {}", self.reason(), self.explanation());
        [bye.frame(), frame::close(self.code(), &reason)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_has_a_reason_that_fits_and_a_code_of_its_range() {
        for close in Close::ALL {
            assert!(close.reason().len() + close.explanation().len() + 2 <= 123, "{close:?}");
            assert!(matches!(close.code(), 1001..=1011 | 4400..=4429), "{close:?}");
        }
        assert_eq!(Close::BadRequests.retry_after(), None);
    }
}
