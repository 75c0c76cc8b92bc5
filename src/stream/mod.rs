//! The registry live: WebSocket, and SSE or NDJSON over plain HTTP.
//!
//! - [`Hub`] follows the ticks and owns channels and connections; [`upgrade`] and [`feed`] turn an HTTP request into one.
//! - [`protocol`] is what is said, as `docs/protocol.md` defines it; `encode` writes the frames with the numbers.
//! - [`Events`] is the lane by which other parts of the program tell clients what happened ([`events`]).
//! - `admission` says who is let in, `drain` who goes when at the end, `performance` how all fare.
//! - `channel` answers "what changed since offset X" for all equal subscriptions at once; `recent` keeps its last frames.
//! - `live` evaluates the queries of subscriptions, `results` makes ticks of what they give; `backfill` tells the past
//!   of a subscription that begins.
//! - `fanout` writes to all WebSocket clients what is due, each through its `link`, which it shares with the client's
//!   task in `websocket`. `session` is the client's conversation without its socket, `slow` what happens when it lags.
//! - `feed` is the one-way stream over HTTP, `text` its two forms, `pipe` the body of its answer.
//!
//! A subscriber's whole state on the server is the offset it has. Nothing is queued for anybody.

mod admission;
mod backfill;
mod channel;
mod config;
mod drain;
mod echo;
mod encode;
pub mod events;
mod fanout;
mod feed;
mod frame;
mod handshake;
mod hub;
mod inbound;
mod limits;
mod link;
mod live;
mod metrics;
mod outbox;
mod performance;
mod pipe;
pub mod protocol;
mod recent;
mod results;
mod session;
mod slow;
mod targets;
mod text;
mod websocket;

pub use config::Config;
#[doc(hidden)]
pub use echo::echo;
pub use events::Events;
pub use feed::feed;
pub use handshake::Refusal;
pub use hub::Hub;
pub use live::Past;
pub use performance::Figures;
pub use pipe::Feed;
pub use websocket::upgrade;
