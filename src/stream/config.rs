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
    /// `stream.max_clients_per_ip`: connections of one address, 100 by default; 0 is without limit. An IPv6
    /// network of 64 bits counts as one address. Connections from loopback are not limited: behind a proxy on
    /// the same machine they are everybody.
    pub max_clients_per_ip: usize,
    /// `stream.max_new_per_second`: new connections a second in the long run, from all addresses together; 200 by
    /// default, 0 is without limit.
    pub max_new_per_second: u32,
    /// `stream.max_new_burst`: how many may come at once before that counts; 5,000 by default.
    pub max_new_burst: u32,
    /// `stream.max_channels`: distinct selections of all connections; 1,024 by default. Each costs a look at
    /// its series every tick, and 16 bytes a series.
    pub max_channels: usize,
    /// `stream.max_queries`: distinct queries of all connections that are evaluated tick after tick; 256 by default.
    /// They are also channels.
    pub max_queries: usize,
    /// `stream.commands_per_second`: commands of one connection, 50 by default, and as many at once.
    pub commands_per_second: u32,
    /// `stream.ping`: after how much silence the server pings; 25 s by default.
    pub ping: Duration,
    /// `stream.pong_timeout`: how long it waits for the pong; 10 s by default.
    pub pong_timeout: Duration,
    /// `stream.hello_timeout`: how long a new connection may say nothing; 10 s by default.
    pub hello_timeout: Duration,
    /// `stream.stall_timeout`: how long a client may read nothing while something waits for it; 30 s by default.
    pub stall_timeout: Duration,
    /// `stream.drain`: over how long the goodbyes are spread when the server stops; 5 s by default. Fewer than 100
    /// clients are told within 50 ms each.
    pub drain: Duration,
    /// `stream.performance`: how often `performance` is told to those who want it; 5 s by default.
    pub performance: Duration,
    /// `stream.flush_interval`: the least time from one round of writes to the next; 10 ms by default, 0 writes at
    /// every tick. Frames that are due by then leave together, and each write spared is some microseconds: with
    /// ticks of 2 ms and 1,000 clients 10 ms halve the load of the server. Longer ticks do not wait for it.
    pub flush_interval: Duration,
    /// `stream.send_buffer`: bytes that the kernel may hold for a client (`SO_SNDBUF`, which Linux doubles to have
    /// room for its own records); 32 KiB by default. Left to itself Linux grows it to 4 MiB, all of it old values
    /// once the client is slow. Smaller ones cost wake-ups with frames that do not fit; larger ones hide for longer
    /// that a client is slow, and a third of them must be read within `stream.stall_timeout`.
    pub send_buffer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_subscriptions: 64,
            max_series: 10_000,
            max_message: 64 << 10,
            max_clients: 10_000,
            max_clients_per_ip: 100,
            max_new_per_second: 200,
            max_new_burst: 5_000,
            max_channels: 1_024,
            max_queries: 256,
            commands_per_second: 50,
            ping: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            performance: Duration::from_secs(5),
            flush_interval: Duration::from_millis(10),
            send_buffer: 32 << 10,
        }
    }
}
