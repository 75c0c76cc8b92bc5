//! Settings of the stream.

use std::time::Duration;

/// Settings of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `stream.max_subscriptions`: subscriptions of one connection; 64 by default.
    pub max_subscriptions: usize,
    /// `stream.max_series`: series of one subscription; 10,000 by default.
    pub max_series: usize,
    /// `stream.max_message`: bytes of one message from a client; 64 KiB by default.
    pub max_message: usize,
    /// `stream.max_clients`: connections in all; 10,000 by default.
    pub max_clients: usize,
    /// `stream.ping`: after how much silence the server pings; 25 s by default.
    pub ping: Duration,
    /// `stream.pong_timeout`: how long it waits for the pong; 10 s by default.
    pub pong_timeout: Duration,
    /// `stream.hello_timeout`: how long a new connection may say nothing; 10 s by default.
    pub hello_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_subscriptions: 64,
            max_series: 10_000,
            max_message: 64 << 10,
            max_clients: 10_000,
            ping: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(10),
        }
    }
}
