//! Samples that others push, on their way into the tick.
//!
//! - [`Inbox`] is what remote write leaves its newest samples in, and [`RemoteFeed`] brings them to the tick. All samples go
//!   into the history, by whoever took the request; here is only what is live.
//! - [`Groups`] are what programs push in text, and [`GroupFeed`] brings them to the tick.
//!
//! An inbox never waits and has a bound: what it has no room for is counted, and is in the history all the same.

mod groups;
mod inbox;
mod metrics;
mod remote;
mod text;

pub use groups::{Grouping, Groups, MOST_GROUPS, MOST_SERIES, Mode, PushError, grouping};
pub use inbox::Inbox;
pub use remote::RemoteFeed;
pub use text::GroupFeed;

/// The ways in for those who push.
#[derive(Clone, Debug)]
pub struct Pushes {
    /// What is written by remote write.
    pub inbox: Inbox,
    /// What is pushed in text.
    pub groups: Groups,
}
