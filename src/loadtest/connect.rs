//! Opening a connection: address, TLS, and the handshake or request of its transport; and what can go wrong there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use super::frames::SUBPROTOCOL;
use super::http::{Answer, Head};
use super::sse;
use super::url::Transport;
use super::wire::{self, Handshake, Message, Refusal};
use crate::config::Secret;
use crate::tls::{Connector, Stream};

/// How long to stay away when a server asks for it, at most.
pub(super) const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What the target is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    /// Our stream, with everything checked.
    Gaugecast {
        /// Selectors to subscribe to.
        selectors: Vec<String>,
        /// Time between broadcasts that is asked for, in milliseconds; the server grants what it can.
        interval_ms: u64,
    },
    /// Any server.
    Any {
        /// Subprotocol to ask for, of WebSockets.
        subprotocol: Option<String>,
        /// Text to send once a connection is open, over WebSockets.
        send: Option<String>,
        /// What its messages tell.
        payload: Payload,
    },
}

impl Protocol {
    /// As reports have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gaugecast { .. } => "gaugecast",
            Self::Any { .. } => "any",
        }
    }

    /// Whether broadcasts have numbers, by which order and completeness can be judged.
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        match self {
            Self::Gaugecast { .. } => true,
            Self::Any { payload, .. } => payload.sequence_field.is_some(),
        }
    }
}

/// What the JSON messages of any server tell. Without either only their number and size is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Payload {
    /// Field with the time of sending, as a Unix time.
    pub time_field: Option<String>,
    /// Microseconds in its unit; milliseconds (1000) by default on the command line.
    pub time_unit_us: f64,
    /// Field with a number that is one higher with every broadcast.
    pub sequence_field: Option<String>,
}

/// Where connections go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Address of the server.
    pub address: SocketAddr,
    /// Name of the server, which its certificate must be for.
    pub name: String,
    /// Host and port, for the `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// How messages come.
    pub transport: Transport,
    /// Encrypts; `None` for connections that are not.
    pub tls: Option<Connector>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Shown to the server.
    pub token: Option<Secret>,
    /// Own addresses to connect from, in turn; none leaves it to the system.
    pub sources: Vec<IpAddr>,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// Time between pings of a connection.
    pub ping_interval: Duration,
}

/// Bytes of all connections on and off the network, without what TLS, TCP and IP add.
#[derive(Debug, Default)]
pub struct Network {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Network {
    /// Counts bytes that came.
    pub fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that went.
    pub fn send(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Received and sent so far.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

/// Why a connection could not be made or has ended: a class to count by, and words.
#[derive(Debug)]
pub struct Failure {
    /// `refused`, `reset`, `timeout`, `http`, …
    pub class: &'static str,
    /// For people.
    pub message: String,
    /// The server guards itself and says when to come back: no fault of anybody.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Of this class.
    pub fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }

    /// An answer with another status than the `wanted` one.
    fn status(head: &Head, wanted: u16) -> Self {
        let retry_after = head.retry_after(SystemTime::now()).map(|wait| wait.min(LONGEST_RETRY));
        let class = if retry_after.is_some() { "throttled" } else { "http" };
        Self { retry_after, ..Self::new(class, format!("HTTP {} instead of {wanted}", head.status)) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let class = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => "addresses",
            // What rustls says against a server comes so.
            io::ErrorKind::InvalidData => "tls",
            io::ErrorKind::UnexpectedEof => "closed",
            // EMFILE and ENFILE have no kind of their own.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => "descriptors",
            _ => "io",
        };
        Self::new(class, error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Http(head) => Self::status(&head, 101),
            Refusal::NotWebSocket(message) => Self::new("not_websocket", message),
            Refusal::Subprotocol(message) => Self::new("subprotocol", message),
        }
    }
}

/// Unix microseconds by this machine's clock.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Chance for masks and waits (SplitMix64), not for secrets.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Of its own for each `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ unix_us())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The masking key of a frame.
    pub fn mask(&mut self) -> [u8; 4] {
        (self.next() as u32).to_ne_bytes()
    }

    /// Evenly from nothing to `most`.
    pub fn share_of(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.next() as f64 / u64::MAX as f64)
    }
}

/// Takes apart what comes over a connection.
#[derive(Debug)]
pub enum Reader {
    /// Frames.
    WebSocket(wire::Reader),
    /// Events.
    Sse(sse::Reader),
}

/// An open connection, and the bytes that came with its opening.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub stream: Stream,
    /// Reads it.
    pub reader: Reader,
    /// What it has to read first.
    pub rest: Vec<u8>,
}

/// Opens connection `index`, as server-sent events from `last_id` on.
///
/// # Errors
///
/// Whatever stood in the way; after the target's timeout at the latest.
pub async fn open(
    target: &Target,
    index: usize,
    last_id: &str,
    network: &Network,
) -> Result<Opened, Failure> {
    let open = async {
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = target.sources.get(index % target.sources.len().max(1)) {
            socket.bind((*source, 0).into())?;
        }
        let stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        let mut stream = match &target.tls {
            Some(tls) => tls.connect(&target.name, stream).await?,
            None => Stream::Plain(stream),
        };
        let mut sent = Sent::new(target, last_id);
        stream.write_all(sent.request.as_bytes()).await?;
        stream.flush().await?;
        network.send(sent.request.len());
        let mut buffer = [0; 1024];
        loop {
            let read = stream.read(&mut buffer).await?;
            network.receive(read);
            if read == 0 {
                return Err(Failure::new("closed", "the connection ended before it was open"));
            }
            if let Some((reader, rest)) = sent.feed(&buffer[..read], last_id)? {
                return Ok(Opened { stream, reader, rest });
            }
        }
    };
    timeout(target.connect_timeout, open)
        .await
        .unwrap_or_else(|_| Err(Failure::new("timeout", "not open within the time for connecting")))
}

/// The request with a token, as its first header.
pub(super) fn authorized(request: String, token: Option<&Secret>) -> String {
    match (token, request.split_once("\r\n")) {
        (Some(token), Some((line, rest))) => {
            format!("{line}\r\nAuthorization: Bearer {}\r\n{rest}", token.expose())
        }
        _ => request,
    }
}

/// A request whose answer is awaited.
struct Sent {
    request: String,
    awaits: Awaits,
}

enum Awaits {
    Upgrade(Handshake),
    Events(Answer),
}

impl Sent {
    fn new(target: &Target, last_id: &str) -> Self {
        let (host, path) = (&target.host, &target.path);
        let with_token = |request| authorized(request, target.token.as_ref());
        match target.transport {
            Transport::Sse => {
                let request = with_token(sse::request(host, path, last_id));
                Self { request, awaits: Awaits::Events(Answer::default()) }
            }
            Transport::WebSocket => {
                let subprotocol = match &target.protocol {
                    Protocol::Gaugecast { .. } => Some(SUBPROTOCOL),
                    Protocol::Any { subprotocol, .. } => subprotocol.as_deref(),
                };
                let (request, handshake) = Handshake::begin(host, path, subprotocol);
                Self { request: with_token(request), awaits: Awaits::Upgrade(handshake) }
            }
        }
    }

    fn feed(&mut self, bytes: &[u8], last_id: &str) -> Result<Option<(Reader, Vec<u8>)>, Failure> {
        match &mut self.awaits {
            Awaits::Upgrade(handshake) => {
                let rest = handshake.feed(bytes)?;
                Ok(rest.map(|rest| (Reader::WebSocket(wire::Reader::default()), rest)))
            }
            Awaits::Events(answer) => {
                let not = |words| Failure::new("not_sse", words);
                let Some((head, rest)) = answer.feed(bytes).map_err(not)? else { return Ok(None) };
                if head.status != 200 {
                    return Err(Failure::status(&head, 200));
                }
                let mut reader = sse::begin(&head).map_err(|words| Failure::new("not_sse", words))?;
                reader.resume(last_id);
                Ok(Some((Reader::Sse(reader), rest)))
            }
        }
    }
}

/// Server's clock minus ours and how wrong that may be, both in microseconds: of eight pings of our protocol the
/// quickest counts, since the least of it is waiting. The server's time is in whole milliseconds.
///
/// # Errors
///
/// In words, when there was no answer.
pub async fn clock_offset(target: &Target) -> Result<(i64, u64), String> {
    let words = |failure: Failure| format!("{}: {}", failure.class, failure.message);
    let Opened { mut stream, reader, rest } =
        open(target, 0, "", &Network::default()).await.map_err(words)?;
    let Reader::WebSocket(mut reader) = reader else {
        return Err("server-sent events have no way to ask".into());
    };
    let mut dice = Dice::new(0);
    let mut best: Option<(i64, u64)> = None;
    let mut buffer = vec![0; 16 << 10];
    let deadline = Instant::now() + Duration::from_secs(5);
    reader.feed(&rest, |_| Ok(()))?;
    for id in 0..8_u64 {
        let text = json!({ "type": "ping", "id": id }).to_string();
        let sent = unix_us();
        let frame = wire::frame(1, text.as_bytes(), dice.mask());
        stream.write_all(&frame).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut pong = None;
        while pong.is_none() {
            let read = timeout_at(deadline, stream.read(&mut buffer)).await.map_err(|_| "no pong in time")?;
            let read = read.map_err(|error| error.to_string())?;
            let now = unix_us();
            if read == 0 {
                return Err("the connection ended".into());
            }
            reader.feed(&buffer[..read], |message| {
                if let Message::Data(data) = message
                    && let Ok(value) = serde_json::from_slice::<serde_json::Value>(data)
                    && value["type"] == "pong"
                    && value["id"] == id
                {
                    pong = value["server_time"].as_i64().map(|ms| (ms * 1000, now));
                }
                Ok(())
            })?;
        }
        if let Some((server, now)) = pong {
            let round_trip = now.saturating_sub(sent);
            let middle = i64::try_from(sent + round_trip / 2).unwrap_or(i64::MAX);
            // The middle of the millisecond that the server told.
            let found = (server + 500 - middle, round_trip / 2 + 500);
            best = Some(best.map_or(found, |best| if best.1 <= found.1 { best } else { found }));
        }
    }
    best.ok_or_else(|| "no pong told the time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_by_class() {
        let of = |code| Failure::from(io::Error::from_raw_os_error(code)).class;
        assert_eq!([of(111), of(104), of(24), of(99)], ["refused", "reset", "descriptors", "addresses"]);
    }

    #[test]
    fn a_server_that_guards_itself_is_no_failed_one() {
        let of = |text: &str| {
            let (head, _) = Answer::default().feed(text.as_bytes()).unwrap().unwrap();
            let failure = Failure::from(Refusal::Http(head));
            (failure.class, failure.retry_after)
        };
        assert_eq!(of("HTTP/1.1 404 x\r\n\r\n"), ("http", None));
        assert_eq!(of("HTTP/1.1 503 x\r\n\r\n"), ("http", None), "it does not say when to come back");
        let told = of("HTTP/1.1 429 x\r\nRetry-After: 2\r\n\r\n");
        assert_eq!(told, ("throttled", Some(Duration::from_secs(2))));
        assert_eq!(of("HTTP/1.1 503 x\r\nRetry-After: 9999\r\n\r\n").1, Some(LONGEST_RETRY));
    }

    #[test]
    fn waits_are_drawn_from_the_whole_range() {
        let mut dice = Dice::new(1);
        let most = Duration::from_millis(100);
        let draws: Vec<Duration> = (0..1000).map(|_| dice.share_of(most)).collect();
        assert!(draws.iter().all(|draw| *draw <= most));
        assert!(draws.iter().min() < Some(&(most / 10)) && draws.iter().max() > Some(&(most * 9 / 10)));
    }
}
