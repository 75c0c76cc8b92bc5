//! Samples that others push, on their way into the tick.
//!
//! - [`Inbox`] is what remote write leaves its newest samples in, and [`RemoteFeed`] brings them to the tick. All samples go
//!   into the history, by whoever took the request; here is only what is live.
//!
//! An inbox never waits and has a bound: what it has no room for is counted, and is in the history all the same.

mod inbox;
mod metrics;
mod remote;

pub use inbox::Inbox;
pub use remote::RemoteFeed;
