//! The load client: thousands of WebSocket connections in one thread, over epoll.
//!
//! It knows no more of the protocol than it needs to count: it takes `offset`, `prev` and the time stamp out of each
//! `delta`, and holds each connection to its chain of offsets. Frames are taken apart by the reader of `gaugecast
//! loadtest`, which checks far more; here there is no runtime and no task between the kernel and the count.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gaugecast::loadtest::http::Answer;
use gaugecast::loadtest::wire::{self, Message};
use hdrhistogram::Histogram;
use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use serde_json::Value;

use crate::Result;

/// Opening handshakes under way at once. A listener's backlog holds more.
const OPENING: usize = 64;
/// The key of RFC 6455's example, and what answers it: the floor need not compute one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The series that has the moment of a tick in seconds; `t` has it in whole milliseconds only.
pub(crate) const TIMESTAMP: &str = "gaugecast_synthetic_timestamp_seconds";
/// What a connection that never reads has for its kernel to keep, so that it is full soon.
const SILENT_RECEIVE_BYTES: usize = 4 << 10;

/// Latencies beyond it count as this.
const LONGEST_US: u64 = 60_000_000;

/// What is connected to where.
pub(crate) struct Plan {
    pub(crate) port: u16,
    pub(crate) connections: usize,
    /// How many of them stop reading once they have subscribed.
    pub(crate) silent: usize,
    /// Text that each sends once it is open.
    pub(crate) subscribe: String,
}

/// What was seen in a stretch of time.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) elapsed: Duration,
    pub(crate) deltas: u64,
    /// Bytes of the deltas with their frame headers.
    pub(crate) bytes: u64,
    /// Deltas whose `prev` is not the offset that the connection had.
    pub(crate) gaps: u64,
    /// Ticks that came joined with others into one delta, since the connection was too slow for each.
    pub(crate) conflated: u64,
    /// Connections that ended.
    pub(crate) ended: u64,
    pub(crate) reads: u64,
    /// Microseconds from the time stamp to the arrival.
    pub(crate) latency: Option<Histogram<u64>>,
}

impl Seen {
    pub(crate) fn begin() -> Result<Self> {
        Ok(Seen { latency: Some(Histogram::new_with_bounds(1, LONGEST_US, 3)?), ..Seen::default() })
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency.as_ref().map_or(f64::NAN, |all| all.value_at_quantile(quantile) as f64 / 1e3)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.deltas as f64 / self.elapsed.as_secs_f64()
    }
}

enum State {
    Opening(Answer),
    Open(wire::Reader),
    Ended,
}

struct Connection {
    stream: TcpStream,
    state: State,
    is_silent: bool,
    offset: Option<u64>,
}

pub(crate) struct Client {
    plan: Plan,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    counter: Counter,
    open: usize,
}

impl Client {
    /// Opens all connections and subscribes them.
    pub(crate) fn open(plan: Plan) -> Result<Self> {
        let sources = sources(plan.connections)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut client = Client {
            epoll,
            events: Vec::with_capacity(1024),
            connections: Vec::with_capacity(plan.connections),
            buffer: vec![0; 256 << 10],
            counter: Counter::new(),
            open: 0,
            plan,
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while client.open < client.plan.connections {
            while client.connections.len() < client.plan.connections
                && client.connections.len() - client.open < OPENING
            {
                let number = client.connections.len();
                // Spread evenly, so that a server which serves in order meets them all along its way.
                let (n, all) = (client.plan.silent, client.plan.connections);
                let is_silent = (number + 1) * n / all != number * n / all;
                let source = sources[number % sources.len()];
                let stream = dial(source, client.plan.port, is_silent)?;
                epoll::add(
                    &client.epoll,
                    &stream,
                    epoll::EventData::new_u64(number as u64),
                    epoll::EventFlags::IN,
                )?;
                let state = State::Opening(Answer::default());
                client.connections.push(Connection { stream, state, is_silent, offset: None });
            }
            client.turn(deadline)?;
            if client.counter.seen.ended > 0 {
                return Err("a connection ended during the opening handshakes".into());
            }
            if Instant::now() > deadline {
                return Err(format!("only {} connections were open after 120 s", client.open).into());
            }
        }
        Ok(client)
    }

    /// Reads for so long, and tells what came.
    pub(crate) fn watch(&mut self, length: Duration) -> Result<Seen> {
        self.counter.seen = Seen::begin()?;
        let began = Instant::now();
        while began.elapsed() < length {
            self.turn(began + length)?;
        }
        let mut seen = std::mem::take(&mut self.counter.seen);
        seen.elapsed = began.elapsed();
        Ok(seen)
    }

    /// The ports of the connections that do not read.
    pub(crate) fn silent_ports(&self) -> Result<HashSet<u16>> {
        let silent = self.connections.iter().filter(|connection| connection.is_silent);
        Ok(silent.map(|connection| Ok(connection.stream.local_addr()?.port())).collect::<io::Result<_>>()?)
    }

    fn turn(&mut self, until: Instant) -> Result<()> {
        // In steps, so that whoever waits for a moment sees it pass.
        let left = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50));
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos() as i64 };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&left))?;
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let data = event.data;
            self.ready(data.u64() as usize)?;
        }
        self.events = events;
        Ok(())
    }

    fn ready(&mut self, number: usize) -> Result<()> {
        let Connection { stream, state, is_silent, offset } = &mut self.connections[number];
        let got = match (&*stream).read(&mut self.buffer) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => 0,
        };
        if got == 0 {
            if let State::Open(_) = std::mem::replace(state, State::Ended) {
                self.open -= 1;
            }
            self.counter.seen.ended += 1;
            epoll::delete(&self.epoll, &*stream)?;
            return Ok(());
        }
        self.counter.seen.reads += 1;
        let bytes = &self.buffer[..got];
        match state {
            State::Ended => Ok(()),
            State::Open(reader) => self.counter.feed(reader, offset, bytes, |pong| stream.write_all(pong)),
            State::Opening(answer) => {
                let Some((head, rest)) = answer.feed(bytes)? else { return Ok(()) };
                if head.status != 101 || head.header("sec-websocket-accept") != Some(ACCEPT) {
                    return Err(format!("the server refused a connection: {head:?}").into());
                }
                self.open += 1;
                stream.write_all(&masked(1, self.plan.subscribe.as_bytes()))?;
                let mut reader = wire::Reader::default();
                let fed = self.counter.feed(&mut reader, offset, &rest, |pong| stream.write_all(pong));
                *state = State::Open(reader);
                if *is_silent {
                    epoll::delete(&self.epoll, &*stream)?;
                }
                fed
            }
        }
    }
}

/// Counts what the frames say.
pub(crate) struct Counter {
    pub(crate) seen: Seen,
    /// What stands before the time stamp's value, once the schema has told its id.
    stamp: Option<Finder<'static>>,
    offset: Finder<'static>,
    prev: Finder<'static>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Counter {
            seen: Seen::default(),
            stamp: None,
            offset: Finder::new("\"offset\":"),
            prev: Finder::new("\"prev\":"),
        }
    }

    /// Takes what came over a connection that `had` this offset. What has to be sent is given to `send`.
    pub(crate) fn feed(
        &mut self,
        reader: &mut wire::Reader,
        had: &mut Option<u64>,
        bytes: &[u8],
        mut send: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let arrived = now_us();
        Ok(reader.feed(bytes, |message| match message {
            Message::Data(payload) => self.message(had, payload, arrived).map_err(|error| error.to_string()),
            Message::Ping(payload) => send(&masked(10, payload)).map_err(|error| error.to_string()),
            Message::Pong(_) | Message::Close(..) => Ok(()),
        })?)
    }

    fn message(&mut self, had: &mut Option<u64>, payload: &[u8], arrived: u64) -> Result<()> {
        if payload.starts_with(b"{\"type\":\"delta\"") {
            self.seen.deltas += 1;
            self.seen.bytes += framed(payload.len());
            self.delta(had, payload, arrived)?;
        } else if payload.starts_with(b"{\"type\":\"snapshot\"") {
            let offset = number(&self.offset, payload)?;
            self.seen.conflated += had.map_or(0, |had| offset.saturating_sub(had));
            *had = Some(offset);
        } else if payload.starts_with(b"{\"type\":\"schema\"") {
            self.schema(payload)?;
        } else if payload.starts_with(b"{\"type\":\"error\"") {
            return Err(format!("the server said {}", String::from_utf8_lossy(payload)).into());
        }
        Ok(())
    }

    fn delta(&mut self, had: &mut Option<u64>, payload: &[u8], arrived: u64) -> Result<()> {
        let (offset, prev) = (number(&self.offset, payload)?, number(&self.prev, payload)?);
        if had.is_some_and(|had| had != prev) {
            self.seen.gaps += 1;
        }
        *had = Some(offset);
        self.seen.conflated += offset.saturating_sub(prev + 1);
        if let (Some(stamp), Some(latency)) = (&self.stamp, &mut self.seen.latency)
            && let Some(at) = stamp.find(payload)
        {
            let text = &payload[at + stamp.needle().len()..];
            let end = memchr::memchr(b']', text).ok_or("a value without an end")?;
            let seconds: f64 = std::str::from_utf8(&text[..end])?.parse()?;
            latency.saturating_record(arrived.saturating_sub((seconds * 1e6) as u64).max(1));
        }
        Ok(())
    }

    fn schema(&mut self, payload: &[u8]) -> Result<()> {
        if self.stamp.is_some() {
            return Ok(());
        }
        let schema: Value = serde_json::from_slice(payload)?;
        let series = schema["series"].as_array().ok_or("a schema without series")?;
        let stamp = series.iter().find(|series| series["name"] == TIMESTAMP);
        self.stamp = stamp.map(|series| Finder::new(&format!("[{},", series["id"])).into_owned());
        Ok(())
    }
}

/// Bytes of a server's frame with a payload of so many.
const fn framed(payload: usize) -> u64 {
    payload as u64
        + match payload {
            0..=125 => 2,
            126..=65_535 => 4,
            _ => 10,
        }
}

/// A frame of a client, with a mask of zeros, which leaves the payload as it is.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    wire::frame(opcode, payload, [0; 4])
}

/// The whole number behind a key.
fn number(key: &Finder<'_>, payload: &[u8]) -> Result<u64> {
    let at = key.find(payload).ok_or("a frame without offset or prev")? + key.needle().len();
    let digits = payload[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Addresses to connect from: as many of loopback as have ports for so many connections, each used to a half at most.
pub(crate) fn sources(connections: usize) -> Result<Vec<Ipv4Addr>> {
    let path = "/proc/sys/net/ipv4/ip_local_port_range";
    let text = std::fs::read_to_string(path)?;
    let mut bounds = text.split_whitespace().map(str::parse::<usize>);
    let (Some(Ok(first)), Some(Ok(last))) = (bounds.next(), bounds.next()) else {
        return Err(format!("{path} is {text:?}").into());
    };
    let each = (last + 1).saturating_sub(first) / 2;
    let addresses = connections.div_ceil(each.max(1));
    if addresses > 250 {
        return Err(
            format!("{path} leaves {each} ports an address, too few for {connections} connections").into()
        );
    }
    Ok((1..=addresses as u8).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect())
}

fn dial(source: Ipv4Addr, port: u16, is_silent: bool) -> Result<TcpStream> {
    let explain = |error: io::Error| -> Box<dyn std::error::Error> {
        format!("cannot connect from {source} to port {port}: {error}").into()
    };
    let socket =
        socket(AddressFamily::INET, SocketType::STREAM, None).map_err(|error| explain(error.into()))?;
    // A close resets: nothing waits on in TIME_WAIT and keeps its port from the next run.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if is_silent {
        sockopt::set_socket_recv_buffer_size(&socket, SILENT_RECEIVE_BYTES)?;
    }
    bind(&socket, &SocketAddrV4::new(source, 0)).map_err(|error| explain(error.into()))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).map_err(|error| explain(error.into()))?;
    let mut stream = TcpStream::from(socket);
    let request = format!(
        "GET /api/v1/stream/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
