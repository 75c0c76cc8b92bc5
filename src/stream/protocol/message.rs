//! What a server says, as values that are written as JSON.

use std::time::Duration;

use serde::Serialize;

use super::super::frame::{self, Frames};
use super::{Fault, Id};

/// What a server says, but for `schema`, `snapshot`, `delta` and events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Server<'a> {
    /// The first message of a connection.
    Welcome {
        /// Names the connection in logs.
        session: &'a str,
        /// Names the life of the server process.
        epoch: &'a str,
        /// Unix milliseconds.
        server_time: i64,
        /// After how much silence the server pings.
        ping_ms: u64,
        /// Number of the last event.
        seq: u64,
        /// See [`Limits`].
        limits: Limits,
        /// What this server can do, in words.
        features: &'a [&'a str],
        /// Version of the program.
        version: &'a str,
    },
    /// Answers `subscribe` and `update`.
    Subscribed {
        /// As asked.
        sub: &'a str,
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
        /// By which the frames of this selection are known.
        channel: u32,
        /// The granted interval.
        interval_ms: u64,
        /// Series that are sent now.
        matched: usize,
        /// Does the subscription go on from `resume`? If so a `delta` follows, else a `snapshot`.
        recovered: bool,
        /// Why it does not, when `resume` was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        /// More series match than `limit` lets through.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// Answers `unsubscribe`.
    Unsubscribed {
        /// As asked.
        sub: &'a str,
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
    },
    /// See [`Fault`].
    Error(&'a Fault),
    /// A sign of life after silence.
    Ping {
        /// Unix milliseconds.
        server_time: i64,
    },
    /// Answers `ping`.
    Pong {
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
        /// Unix milliseconds.
        server_time: i64,
    },
    /// Answers a command that has an id and no other answer.
    Ok {
        /// Repeated.
        id: &'a Id,
    },
    /// Something to know about a channel.
    Notice {
        /// Which channel.
        channel: u32,
        /// For programs.
        code: &'a str,
        /// How often its frames come now, where that changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        interval_ms: Option<u64>,
        /// For people.
        message: &'a str,
    },
    /// The server closes; see [`Close`](super::Close).
    Bye {
        /// Close code.
        code: u16,
        /// One word.
        reason: &'a str,
        /// Should the client come back?
        reconnect: bool,
        /// Not before this time has passed.
        retry_after_ms: u64,
    },
}

impl Server<'_> {
    /// The message as JSON.
    pub(in super::super) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("these types have only text keys and no failing parts")
    }

    /// The message as a frame.
    pub(in super::super) fn frame(&self) -> Frames {
        frame::text(&self.json())
    }
}

/// The limits of a connection, as `welcome` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Series of one subscription.
    pub series: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Commands a second.
    pub commands_per_second: u32,
    /// Shortest interval.
    pub min_interval_ms: u64,
    /// Longest interval.
    pub max_interval_ms: u64,
    /// The tick; intervals are rounded up to a multiple of it.
    pub tick_ms: u64,
}

/// Whole milliseconds, rounded down; the most there is if it does not fit.
pub(in super::super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
