//! The messages of `gaugecast.v1.json`, as `docs/protocol.md` defines them: what clients say is read here with
//! care, and what the server says, but for `schema`, `snapshot` and `delta` (see `encode`), is written.
//!
//! Reading refuses what cannot be meant: text that is not one JSON object, nesting deeper than [`MAX_DEPTH`], a
//! key that stands twice, a number that does not fit. Unknown fields are ignored; fields and commands of later
//! versions that would change the answer are refused by name (`unsupported`), never silently dropped.
//!
//! - `command` is what clients say, `json` how their text is read.
//! - `message` is what the server says, `fault` the `error` among it, `close` how it ends a connection.

mod close;
mod command;
mod fault;
mod json;
mod message;

pub use close::Close;
pub use command::{Command, Hello, Id, Kind, Request, Resume, ResumeEvents, Subscribe, decode};
pub use fault::{ErrorCode, Fault};
pub use message::{Limits, Server};

pub(super) use command::read_subscribe;
pub(super) use message::millis;

use std::time::Duration;

/// The subprotocol by name.
pub const SUBPROTOCOL: &str = "gaugecast.v1.json";

/// How deep objects and arrays may lie in each other. Our own messages need three.
pub const MAX_DEPTH: usize = 32;

/// Shortest and longest interval of a subscription, when a tick takes no less than the shortest.
pub const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(250)..=Duration::from_hours(1);

/// Shortest and longest interval of a subscription with this tick: whoever lets the server tick faster than
/// [`INTERVALS`] may ask for every tick.
#[must_use]
pub fn intervals(tick: Duration) -> std::ops::RangeInclusive<Duration> {
    tick.min(*INTERVALS.start())..=*INTERVALS.end()
}

/// Interval of a subscription that asks for none.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Selectors of one subscription.
pub const MAX_SELECTORS: usize = 32;

/// Bytes of all selectors of one subscription.
pub const MAX_SELECTOR_BYTES: usize = 8 << 10;

/// Characters of a `sub`, of an `id` that is text, and of what an error repeats of the client's words.
pub const MAX_NAME: usize = 64;

/// The first [`MAX_NAME`] characters.
fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_NAME).map_or(text, |(at, _)| &text[..at])
}
