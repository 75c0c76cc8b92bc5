//! The registry live: WebSocket, and SSE or NDJSON over plain HTTP.
//!
//! - [`Hub`] follows the ticks and owns channels and connections; [`upgrade`] and [`feed`] turn an HTTP request into one.
//! - [`protocol`] is what is said, as `docs/protocol.md` defines it; `encode` writes the frames with the numbers.
//! - `channel` answers "what changed since offset X" for all equal subscriptions at once.
//! - `session` is one client's conversation without its socket, `websocket` the socket.
//! - `feed` is the one-way stream over HTTP, `text` its two forms, `pipe` the body of its answer.
//!
//! A subscriber's whole state on the server is the offset it has. Nothing is queued for anybody.

mod channel;
mod config;
mod encode;
mod feed;
mod frame;
mod handshake;
mod hub;
mod limits;
mod metrics;
mod outbox;
mod pipe;
pub mod protocol;
mod session;
mod text;
mod websocket;

pub use config::Config;
pub use feed::feed;
pub use hub::Hub;
pub use pipe::Feed;
pub use websocket::upgrade;
