//! Remote write, Prometheus' protocol to hand samples on: the messages.
//!
//! - [`receive`] reads a request, of 1.0 or 2.0; what is done with it is the matter of
//!   [`server`](crate::server) (`POST /api/v1/write`).
//! - [`send`] hands on what the history has.
//! - `block` is its compression, `wire` reads protobuf without building what is refused later.

mod block;
mod receive;
pub mod send;
mod wire;

pub use block::{MOST_BYTES, pack};
pub use receive::{MOST_PARTS, Metadata, ReceiveError, Received, Version, receive};
