//! One connection from its opening to the end of the test: connects, looks at what comes, is cut, comes back.
//!
//! Each is a task of its worker's thread. It owns a socket, a [`Reader`] that is empty between frames and a
//! [`Chain`]; what it reads into, decodes with and counts in is the worker's, shared by all its connections.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::frames::{Chain, Decoder, SUBPROTOCOL, Said, Step};
use super::scenario::{backoff, is_cut};
use super::tally::Tally;
use super::wire::{self, Handshake, Message, Reader, Refusal};

/// How long a write may take before the connection counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Any WebSocket server.
    Any {
        /// Subprotocol to ask for.
        subprotocol: Option<String>,
        /// Text to send once a connection is open.
        send: Option<String>,
        /// Field of its JSON messages that holds the time of sending, in Unix milliseconds.
        time_field: Option<String>,
    },
}

/// Where connections go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Address of the server.
    pub address: SocketAddr,
    /// Host and port, for the `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Own addresses to connect from, in turn; none leaves it to the system.
    pub sources: Vec<IpAddr>,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// Time between pings of a connection.
    pub ping_interval: Duration,
}

/// What all connections are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Control {
    /// How often connections have been cut.
    pub cuts: u32,
    /// The share that a cut takes, in percent.
    pub cut_percent: usize,
    /// The test is over.
    pub stop: bool,
}

/// What the connections of one worker share.
pub struct Shared {
    /// Where to.
    pub target: Target,
    /// Where to count.
    pub tally: Arc<Mutex<Tally>>,
    /// Connections of all workers that are live.
    pub live: Arc<AtomicUsize>,
    /// What is to be done.
    pub control: watch::Receiver<Control>,
    /// Server's clock minus ours, in microseconds; `None` when time stamps mean nothing here.
    pub offset_us: Option<i64>,
    /// What every read goes to first.
    pub scratch: RefCell<Box<[u8]>>,
    /// Reads what our server says.
    pub decoder: RefCell<Decoder>,
    /// Zero of the pings' payloads.
    pub origin: Instant,
}

/// Why a connection could not be made or has ended: a class to count by, and words.
#[derive(Debug)]
pub struct Failure {
    /// `refused`, `reset`, `timeout`, `http`, …
    pub class: &'static str,
    /// For people.
    pub message: String,
}

impl Failure {
    fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let class = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => "addresses",
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
            Refusal::Http(status) => Self::new("http", format!("HTTP {status} instead of 101")),
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

    fn mask(&mut self) -> [u8; 4] {
        (self.next() as u32).to_ne_bytes()
    }

    /// Evenly from nothing to `most`.
    fn share_of(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.next() as f64 / u64::MAX as f64)
    }
}

/// Opens connection `index`: the socket after its handshake, and the bytes of frames that came with it.
///
/// # Errors
///
/// Whatever stood in the way; after the target's timeout at the latest.
pub async fn connect(target: &Target, index: usize) -> Result<(TcpStream, Vec<u8>), Failure> {
    let open = async {
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = target.sources.get(index % target.sources.len().max(1)) {
            socket.bind((*source, 0).into())?;
        }
        let mut stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        let subprotocol = match &target.protocol {
            Protocol::Gaugecast { .. } => Some(SUBPROTOCOL),
            Protocol::Any { subprotocol, .. } => subprotocol.as_deref(),
        };
        let (request, mut handshake) = Handshake::begin(&target.host, &target.path, subprotocol);
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = [0; 1024];
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(Failure::new("closed", "the connection ended during the opening handshake"));
            }
            if let Some(rest) = handshake.feed(&buffer[..read])? {
                return Ok((stream, rest));
            }
        }
    };
    timeout(target.connect_timeout, open)
        .await
        .unwrap_or_else(|_| Err(Failure::new("timeout", "no WebSocket within the time for connecting")))
}

enum End {
    Stop,
    Cut(Instant),
    Lost(Failure),
}

/// One connection.
pub struct Client {
    shared: Rc<Shared>,
    control: watch::Receiver<Control>,
    index: usize,
    cuts: u32,
    chain: Chain,
    asked_to_resume: bool,
    is_live: bool,
    /// When it was cut, until it is live again.
    cut_at: Option<Instant>,
    dice: Dice,
    goodbye: Option<String>,
    ping_pending: bool,
}

impl Client {
    /// Connection `index` of the test.
    #[must_use]
    pub fn new(shared: Rc<Shared>, index: usize) -> Self {
        let control = shared.control.clone();
        let cuts = control.borrow().cuts;
        Self {
            control,
            index,
            cuts,
            chain: Chain::default(),
            asked_to_resume: false,
            is_live: false,
            cut_at: None,
            dice: Dice::new(index as u64),
            goodbye: None,
            ping_pending: false,
            shared,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until the test stops. Latency of the first opening is counted from `intended`, which is when it was
    /// due, whenever that came to be.
    pub async fn run(mut self, intended: Instant) {
        self.tally().attempts += 1;
        let mut is_first = true;
        let mut attempt = 0;
        loop {
            let shared = self.shared.clone();
            let opened = tokio::select! {
                () = stopped(&mut self.control) => return,
                opened = connect(&shared.target, self.index) => opened,
            };
            let end = match opened {
                Ok((stream, rest)) => {
                    if is_first {
                        let mut tally = self.tally();
                        tally.connected += 1;
                        tally.connect.record(us(intended.elapsed()));
                    }
                    let end = self.hold(stream, rest).await;
                    self.no_longer_live();
                    end
                }
                Err(failure) => End::Lost(failure),
            };
            is_first = false;
            match end {
                End::Stop => return,
                End::Cut(at) => {
                    self.tally().cut += 1;
                    self.cut_at = Some(at);
                    attempt = 0;
                }
                End::Lost(failure) => {
                    self.tally().errors.add(failure.class, &failure.message);
                    attempt += 1;
                }
            }
            let wait = self.dice.share_of(backoff(attempt));
            let _ = timeout(wait, stopped(&mut self.control)).await;
            if self.control.borrow().stop {
                return;
            }
        }
    }

    async fn hold(&mut self, mut stream: TcpStream, rest: Vec<u8>) -> End {
        match self.exchange(&mut stream, rest).await {
            Ok(End::Stop) => {
                let close = wire::frame(8, &1000_u16.to_be_bytes(), self.dice.mask());
                let _ = stream.try_write(&close);
                End::Stop
            }
            Ok(end) => end,
            Err(failure) => End::Lost(failure),
        }
    }

    async fn exchange(&mut self, stream: &mut TcpStream, rest: Vec<u8>) -> Result<End, Failure> {
        self.goodbye = None;
        self.ping_pending = false;
        self.chain.disconnected();
        if let Some(text) = self.greeting() {
            self.write(stream, 1, text.as_bytes()).await?;
        }
        if matches!(self.shared.target.protocol, Protocol::Any { .. }) {
            self.live();
        }
        let mut reader = Reader::default();
        let mut replies = Vec::new();
        self.read(&mut reader, &rest, &mut replies)?;
        let interval = self.shared.target.ping_interval;
        // The first one falls anywhere in the interval, so that pings of all connections spread over it.
        let mut ping_at = Instant::now() + self.dice.share_of(interval);
        let ping = sleep_until(ping_at);
        tokio::pin!(ping);
        loop {
            tokio::select! {
                biased;
                changed = self.control.changed() => {
                    let control = *self.control.borrow_and_update();
                    if changed.is_err() || control.stop {
                        return Ok(End::Stop);
                    }
                    let is_cut_now = control.cuts > self.cuts && is_cut(self.index, control.cut_percent);
                    self.cuts = control.cuts;
                    if is_cut_now {
                        return Ok(End::Cut(Instant::now()));
                    }
                }
                () = &mut ping => {
                    let mut due = 1;
                    while ping_at + interval <= Instant::now() {
                        ping_at += interval;
                        due += 1;
                    }
                    if self.ping_pending {
                        self.tally().pings_missed += due;
                    } else {
                        self.tally().pings_missed += due - 1;
                        self.ping_pending = true;
                        // The payload is the moment that was intended.
                        let intended = us(ping_at - self.shared.origin);
                        self.write(stream, 9, &intended.to_be_bytes()).await?;
                    }
                    ping_at += interval;
                    ping.as_mut().reset(ping_at);
                }
                readable = stream.readable() => {
                    readable?;
                    {
                        let shared = self.shared.clone();
                        let mut scratch = shared.scratch.borrow_mut();
                        match stream.try_read(&mut scratch) {
                            Ok(0) => {
                                let words = "the connection ended without a close frame";
                                let words = self.goodbye.take().unwrap_or_else(|| words.into());
                                return Err(Failure::new("closed", words));
                            }
                            Ok(read) => self.read(&mut reader, &scratch[..read], &mut replies)?,
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                            Err(error) => return Err(error.into()),
                        }
                    }
                    for payload in replies.drain(..) {
                        self.write(stream, 10, &payload).await?;
                    }
                }
            }
        }
    }

    /// What to send first.
    fn greeting(&mut self) -> Option<String> {
        match &self.shared.target.protocol {
            Protocol::Any { send, .. } => send.clone(),
            Protocol::Gaugecast { selectors, interval_ms } => {
                let mut subscribe = json!({
                    "type": "subscribe", "sub": "load", "match": selectors, "interval": interval_ms, "clamp": true,
                });
                let position = self.chain.position();
                self.asked_to_resume = position.is_some();
                if let Some((epoch, offset)) = position {
                    subscribe["resume"] = json!({ "epoch": epoch, "offset": offset });
                }
                Some(subscribe.to_string())
            }
        }
    }

    async fn write(&mut self, stream: &mut TcpStream, opcode: u8, payload: &[u8]) -> Result<(), Failure> {
        let frame = wire::frame(opcode, payload, self.dice.mask());
        match timeout(WRITE_TIMEOUT, stream.write_all(&frame)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Failure::new("stalled", "the server does not read")),
        }
    }

    fn read(&mut self, reader: &mut Reader, bytes: &[u8], pongs: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let now_us = unix_us();
        let mut closed = None;
        let shared = self.shared.clone();
        let fed = reader.feed(bytes, |message| {
            match message {
                Message::Ping(payload) => pongs.push(payload.to_vec()),
                Message::Pong(payload) => self.pong(payload),
                Message::Close(code, reason) => closed = Some(format!("{code} {reason}")),
                Message::Data(data) => {
                    let mut tally = self.tally();
                    tally.messages += 1;
                    tally.bytes += data.len() as u64;
                    drop(tally);
                    match &shared.target.protocol {
                        Protocol::Gaugecast { .. } => self.ours(data, now_us)?,
                        Protocol::Any { time_field, .. } => self.any(data, time_field.as_deref(), now_us),
                    }
                }
            }
            Ok(())
        });
        fed.map_err(|message| Failure::new("protocol", message))?;
        match closed {
            Some(words) => Err(Failure::new("closed", words)),
            None => Ok(()),
        }
    }

    fn pong(&mut self, payload: &[u8]) {
        if let Ok(intended) = payload.try_into().map(u64::from_be_bytes) {
            self.ping_pending = false;
            self.tally().rtt.record(us(self.shared.origin.elapsed()).saturating_sub(intended));
        }
    }

    fn ours(&mut self, data: &[u8], now_us: u64) -> Result<(), String> {
        let said = self.shared.decoder.borrow_mut().decode(data)?;
        match &*said {
            Said::Frame(frame) => {
                let step = self.chain.take(frame);
                if step == Step::First {
                    self.live();
                }
                let offset_us = self.shared.offset_us;
                let mut tally = self.tally();
                tally.step(step);
                if step != Step::None {
                    tally.unknown_series += frame.unknown;
                }
                // The first state is as old as the last tick before it was asked for, which is nobody's delay.
                if let (Step::Next, Some(offset)) = (step, offset_us) {
                    let sent_us = frame.sent_us.saturating_add_signed(-offset);
                    tally.delivered((frame.channel, frame.offset), sent_us, now_us);
                }
            }
            Said::Subscribed { channel, interval_ms, recovered, reason } => {
                self.chain.subscribed(*channel, *recovered);
                let mut tally = self.tally();
                tally.interval_ms = tally.interval_ms.max(*interval_ms);
                if self.asked_to_resume {
                    tally.resumes += 1;
                    tally.resumed += u64::from(*recovered);
                    if let Some(reason) = reason {
                        tally.errors.add("resume", reason);
                    }
                }
            }
            Said::Refused(message) => self.tally().errors.add("refused_command", message),
            Said::Bye(reason) => self.goodbye = Some(format!("bye: {reason}")),
            Said::Other => {}
        }
        Ok(())
    }

    fn any(&mut self, data: &[u8], time_field: Option<&str>, now_us: u64) {
        if let (Some(field), Some(offset)) = (time_field, self.shared.offset_us)
            && let Some(sent_ms) = number_of(data, field)
        {
            let sent_us = ((sent_ms * 1000.0) as u64).saturating_add_signed(-offset);
            self.tally().delivery.record(now_us.saturating_sub(sent_us));
        }
    }

    fn live(&mut self) {
        if !self.is_live {
            self.is_live = true;
            self.shared.live.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(at) = self.cut_at.take() {
            self.tally().recovery.record(us(at.elapsed()));
        }
    }

    fn no_longer_live(&mut self) {
        if std::mem::take(&mut self.is_live) {
            self.shared.live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Returns when the test is over. What else it is told meanwhile is left for the next look.
async fn stopped(control: &mut watch::Receiver<Control>) {
    let _ = control.wait_for(|control| control.stop).await;
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The number that stands behind the first `"field":` of a JSON text.
fn number_of(data: &[u8], field: &str) -> Option<f64> {
    let name = format!("\"{field}\"");
    let at = memchr::memmem::find(data, name.as_bytes())? + name.len();
    let text = std::str::from_utf8(data.get(at..)?).ok()?.trim_start().strip_prefix(':')?.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Server's clock minus ours and how wrong that may be, both in microseconds: of eight pings of our protocol the
/// quickest counts, since the least of it is waiting. The server's time is in whole milliseconds.
///
/// # Errors
///
/// In words, when there was no answer.
pub async fn clock_offset(target: &Target) -> Result<(i64, u64), String> {
    let words = |failure: Failure| format!("{}: {}", failure.class, failure.message);
    let (mut stream, rest) = connect(target, 0).await.map_err(words)?;
    let (mut reader, mut dice) = (Reader::default(), Dice::new(0));
    let mut best: Option<(i64, u64)> = None;
    let mut buffer = vec![0; 16 << 10];
    let deadline = Instant::now() + Duration::from_secs(5);
    reader.feed(&rest, |_| Ok(()))?;
    for id in 0..8_u64 {
        let text = json!({ "type": "ping", "id": id }).to_string();
        let sent = unix_us();
        stream.write_all(&wire::frame(1, text.as_bytes(), dice.mask())).await.map_err(|e| e.to_string())?;
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
    fn a_time_is_found_in_any_json() {
        assert_eq!(number_of(br#"{"a":1,"t" : 1700000000123.5}"#, "t"), Some(1_700_000_000_123.5));
        for text in [&b"{}"[..], b"{\"t\":\"x\"}", b"\"t\"", b"\xff\"t\":\xff"] {
            assert_eq!(number_of(text, "t"), None);
        }
    }

    #[test]
    fn failures_are_told_by_class() {
        let of = |code| Failure::from(io::Error::from_raw_os_error(code)).class;
        assert_eq!([of(111), of(104), of(24), of(99)], ["refused", "reset", "descriptors", "addresses"]);
        assert_eq!(Failure::from(Refusal::Http(404)).class, "http");
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
