//! The registry live: WebSocket.
//!
//! - [`Hub`] follows the ticks and owns channels and connections; [`upgrade`] turns an HTTP request into one.
//! - [`protocol`] is what is said, as `docs/protocol.md` defines it; `encode` writes the frames with the numbers.
//! - `channel` answers "what changed since offset X" for all equal subscriptions at once.
//! - `session` is one client's conversation without its socket, `websocket` the socket.
//!
//! A subscriber's whole state on the server is the offset it has. Nothing is queued for anybody.

mod channel;
mod config;
mod encode;
mod frame;
mod handshake;
mod hub;
mod limits;
mod metrics;
mod outbox;
pub mod protocol;
mod session;
mod websocket;

pub use config::Config;
pub use hub::Hub;
pub use websocket::upgrade;
