//! A client of the stream: follows the series of a server, also of another machine, through every broken
//! connection.
//!
//! [`connect`] gives a [`Client`]; [`Client::subscribe`] says what is wanted, and [`Client::next`] gives what
//! happens, one [`Event`] after the other. Before an event is given it has been applied to the [`Model`] of its
//! subscription, which so always holds what the server had at [`Model::offset`]: values, who the series are, and
//! nothing of a frame that was lost.
//!
//! ```no_run
//! use gaugecast::client::{self, Event, Options, Subscription};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = client::connect("127.0.0.1:7171", Options::default()).await?;
//! client.subscribe(Subscription::new("load", ["node_load1"]))?;
//! while let Some(event) = client.next().await {
//!     if let Event::Snapshot(change) | Event::Delta(change) = event {
//!         let model = client.model(&change.sub).expect("a change is of a subscription");
//!         for series in change.values.iter().filter_map(|id| model.get(*id)) {
//!             println!("{} {}", series.key(), series.value);
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What decides is pure and is given time and randomness: [`Model`] applies frames, [`Backoff`] says how long to
//! wait, `conversation` is the dialogue over one connection after the other. Only `connection` has a socket.
//! Connections are not encrypted yet: `wss:` and `https:` are refused.
//!
//! The messages themselves are defined in `docs/protocol.md`. What the server writes as text from its columns
//! the client reads into types of its own (`wire`), with care: what breaks the protocol ends the connection and
//! the client comes back with a fresh snapshot.

mod backoff;
mod connection;
mod conversation;
mod model;
mod target;
pub(crate) mod wire;

pub use backoff::Backoff;
pub(crate) use backoff::random;
pub use connection::{Client, ConnectError, connect};
pub use conversation::{AlreadySubscribed, Change, Event, Happened, Lost, Past, Refused, Subscription};
pub use model::{Family, Fault, Model, Series};
pub use target::{BadTarget, Target};

use std::time::Duration;

use crate::config::Secret;

/// How to connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the client calls itself in `hello`; `gaugecast/VERSION` by default.
    pub name: String,
    /// Which kinds of events are wanted; without a list all but `performance`, by default.
    pub events: Option<Vec<String>>,
    /// A token of the scope `stream`, for a server that asks for one; none by default. One with anything but printable ASCII is
    /// not sent.
    pub token: Option<Secret>,
    /// How long a connection may take until the server's `welcome`; 10 s by default.
    pub connect_timeout: Duration,
    /// The first wait before coming back is random up to this; 0.5 s by default. It doubles with every failure.
    pub shortest_wait: Duration,
    /// The wait before coming back is random up to at most this; 20 s by default. Advice of the server may be longer.
    pub longest_wait: Duration,
    /// The longest message that is taken; 16 MiB by default. The server's are up to 1 MiB, but for a series whose
    /// labels alone are longer.
    pub max_message: usize,
    /// The most series that a subscription is taken for; 1,000,000 by default. More ends the connection.
    pub max_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: concat!("gaugecast/", env!("CARGO_PKG_VERSION")).into(),
            events: None,
            token: None,
            connect_timeout: Duration::from_secs(10),
            shortest_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(20),
            max_message: 16 << 20,
            max_series: 1_000_000,
        }
    }
}
