//! One connection from its opening to the end of the test: connects, looks at what comes, is cut, comes back.
//!
//! Each is a task of its worker's thread. It owns a socket, a [`Reader`] that is empty between frames and a
//! [`Chain`]; what it reads into, decodes with and counts in is the worker's, shared by all its connections.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::ready;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::broadcasts::Key;
use super::connect::{Dice, Failure, Network, Opened, Payload, Protocol, Reader, Target, open, unix_us};
use super::frames::{Chain, Decoder, Numbers, Said, Step};
use super::scenario::{backoff, is_cut};
use super::sse::Told;
use super::tally::Tally;
use super::url::Transport;
use super::wire::{self, Message};
use crate::tls::Stream;

/// How long a write may take before the connection counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What all connections are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Control {
    /// How often connections have been cut.
    pub cuts: u32,
    /// The share that a cut takes, in percent.
    pub cut_percent: usize,
    /// The server is started anew: what is lost now was taken away on purpose.
    pub restarting: bool,
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
    /// Those that the server has told to come back later, and are not live yet.
    pub told_to_wait: Arc<AtomicUsize>,
    /// Bytes of all workers' connections.
    pub network: Arc<Network>,
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

impl Shared {
    /// Where to count. The main task has it for a moment once a second.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum End {
    Stop,
    Cut(Instant),
    Lost(Failure),
}

/// What the server has said before it closed.
struct Goodbye {
    words: String,
    /// After how long to come back; `None` is never.
    retry_after: Option<Duration>,
}

/// One connection.
pub struct Client {
    shared: Rc<Shared>,
    control: watch::Receiver<Control>,
    index: usize,
    cuts: u32,
    chain: Chain,
    numbers: Numbers,
    /// Last event id, of server-sent events.
    last_id: String,
    asked_to_resume: bool,
    is_live: bool,
    is_told_to_wait: bool,
    /// When it was cut, until it is live again.
    cut_at: Option<Instant>,
    /// It was cut because the server is started anew: until that is there again, an attempt that fails is no error.
    is_awaiting_server: bool,
    dice: Dice,
    goodbye: Option<Goodbye>,
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
            numbers: Numbers::default(),
            last_id: String::new(),
            asked_to_resume: false,
            is_live: false,
            is_told_to_wait: false,
            cut_at: None,
            is_awaiting_server: false,
            dice: Dice::new(index as u64),
            goodbye: None,
            ping_pending: false,
            shared,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally()
    }

    /// Runs until the test stops. Latency of the first opening is counted from `due`, whenever it was begun; after
    /// an answer that says when to come back, from then.
    pub async fn run(mut self, mut due: Instant) {
        self.tally().attempts += 1;
        let mut is_first = true;
        let mut attempt = 0;
        loop {
            let shared = self.shared.clone();
            let opened = tokio::select! {
                () = stopped(&mut self.control) => return,
                opened = open(&shared.target, self.index, &self.last_id, &shared.network) => opened,
            };
            let end = match opened {
                Ok(opened) => {
                    if is_first {
                        let mut tally = self.tally();
                        tally.connected += 1;
                        tally.connect.record(us(due.elapsed()));
                    }
                    is_first = false;
                    let end = self.hold(opened).await;
                    self.no_longer_live();
                    end
                }
                Err(failure) => End::Lost(failure),
            };
            let wait = match end {
                End::Stop => return,
                End::Cut(at) => {
                    self.cut(at);
                    attempt = 0;
                    Duration::ZERO
                }
                End::Lost(Failure { retry_after: Some(wait), .. }) => {
                    self.tally().throttled += 1;
                    self.waits_as_told(true);
                    due = Instant::now() + wait;
                    if self.is_awaiting_server {
                        self.cut_at = Some(due);
                    }
                    wait
                }
                End::Lost(failure) => {
                    attempt += 1;
                    if self.control.borrow().restarting && self.cut_at.is_none() {
                        self.cut(Instant::now());
                        self.is_awaiting_server = true;
                    }
                    if !self.is_awaiting_server {
                        is_first = false;
                        self.tally().errors.add(failure.class, &failure.message);
                    }
                    let told = self.goodbye.take().map(|goodbye| goodbye.retry_after);
                    self.waits_as_told(self.is_awaiting_server && matches!(told, Some(Some(_))));
                    let wait = told.map_or(Duration::ZERO, |wait| wait.unwrap_or(Duration::MAX));
                    // Who comes back when he was told to has not waited for the server longer than that.
                    self.cut_at = self.cut_at.and_then(|at| at.checked_add(wait));
                    wait.saturating_add(self.dice.share_of(backoff(attempt)))
                }
            };
            let _ = timeout(wait, stopped(&mut self.control)).await;
            if self.control.borrow().stop {
                return;
            }
        }
    }

    fn cut(&mut self, at: Instant) {
        self.tally().cut += 1;
        self.cut_at = Some(at);
    }

    async fn hold(&mut self, Opened { mut stream, mut reader, rest }: Opened) -> End {
        let end = self.exchange(&mut stream, &mut reader, &rest).await;
        if let Reader::Sse(reader) = &mut reader {
            self.last_id = reader.last_id().to_owned();
        }
        match end {
            Ok(End::Stop) => {
                if self.shared.target.transport == Transport::WebSocket {
                    let close = wire::frame(8, &1000_u16.to_be_bytes(), self.dice.mask());
                    let _ = timeout(Duration::from_millis(100), stream.write_all(&close)).await;
                }
                End::Stop
            }
            Ok(end) => end,
            Err(failure) => End::Lost(failure),
        }
    }

    async fn exchange(
        &mut self,
        stream: &mut Stream,
        reader: &mut Reader,
        rest: &[u8],
    ) -> Result<End, Failure> {
        let shared = self.shared.clone();
        let is_websocket = shared.target.transport == Transport::WebSocket;
        self.goodbye = None;
        self.ping_pending = false;
        self.chain.disconnected();
        self.numbers.disconnected(!self.last_id.is_empty());
        self.asked_to_resume = !self.last_id.is_empty();
        if let Some(text) = self.greeting().filter(|_| is_websocket) {
            self.write(stream, 1, text.as_bytes()).await?;
        }
        if matches!(shared.target.protocol, Protocol::Any { .. }) {
            self.live(&mut shared.tally());
        }
        let mut replies = Vec::new();
        self.read(&shared, reader, rest, &mut replies)?;
        let interval = shared.target.ping_interval;
        // The first one falls anywhere in the interval, so that pings of all connections spread over it.
        let mut ping_at = Instant::now() + self.dice.share_of(interval);
        let mut ping = pin!(sleep_until(ping_at));
        // It waits on over all reads, as the ping does: to begin waiting costs more than to read.
        let mut changed = pin!(changed(self.control.clone()));
        loop {
            tokio::select! {
                biased;
                told = &mut changed => {
                    let Some((receiver, control)) = told.filter(|(_, control)| !control.stop) else {
                        return Ok(End::Stop);
                    };
                    changed.set(self::changed(receiver));
                    let is_cut_now = control.cuts > self.cuts && is_cut(self.index, control.cut_percent);
                    self.cuts = control.cuts;
                    if is_cut_now {
                        return Ok(End::Cut(Instant::now()));
                    }
                }
                () = &mut ping, if is_websocket => {
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
                        let intended = us(ping_at - shared.origin);
                        self.write(stream, 9, &intended.to_be_bytes()).await?;
                    }
                    ping_at += interval;
                    ping.as_mut().reset(ping_at);
                }
                read = fill(stream, &shared.scratch) => {
                    let read = read?;
                    if read == 0 {
                        return Err(self.closed("the connection ended without a goodbye"));
                    }
                    shared.network.receive(read);
                    // Nothing has run since `fill` put it there: no other task between its end and this line.
                    self.read(&shared, reader, &shared.scratch.borrow()[..read], &mut replies)?;
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
                if let Some((epoch, offset)) = self.chain.position() {
                    self.asked_to_resume = true;
                    subscribe["resume"] = json!({ "epoch": epoch, "offset": offset });
                }
                Some(subscribe.to_string())
            }
        }
    }

    async fn write(&mut self, stream: &mut Stream, opcode: u8, payload: &[u8]) -> Result<(), Failure> {
        let frame = wire::frame(opcode, payload, self.dice.mask());
        let write = async {
            stream.write_all(&frame).await?;
            stream.flush().await
        };
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(written) => {
                self.shared.network.send(frame.len());
                Ok(written?)
            }
            Err(_) => Err(Failure::new("stalled", "the server does not read")),
        }
    }

    /// Looks at what came. All of it came now: the time is asked for, and the tally taken, once for all its messages.
    fn read(
        &mut self,
        shared: &Shared,
        reader: &mut Reader,
        bytes: &[u8],
        pongs: &mut Vec<Vec<u8>>,
    ) -> Result<(), Failure> {
        let now_us = unix_us();
        let tally = &mut *shared.tally();
        let mut closed = None;
        let fed = match reader {
            Reader::WebSocket(reader) => reader.feed(bytes, |message| {
                match message {
                    Message::Ping(payload) => pongs.push(payload.to_vec()),
                    Message::Pong(payload) => self.pong(tally, payload),
                    Message::Close(code, reason) => closed = Some(format!("{code} {reason}")),
                    Message::Data(data) => self.message(shared, tally, data, None, now_us)?,
                }
                Ok(())
            }),
            Reader::Sse(reader) => reader.feed(bytes, |told| match told {
                Told::Event { data, id } => self.message(shared, tally, data, Some(id), now_us),
                Told::End => {
                    closed = Some(self.closed("the server ended the answer").message);
                    Ok(())
                }
            }),
        };
        fed.map_err(|message| Failure::new("protocol", message))?;
        match closed {
            Some(words) => Err(Failure::new("closed", words)),
            None => Ok(()),
        }
    }

    /// The connection has ended: the server's words, or these if it said none.
    fn closed(&self, silent: &str) -> Failure {
        Failure::new("closed", self.goodbye.as_ref().map_or(silent, |goodbye| &goodbye.words))
    }

    /// A message, over server-sent events with the id up to it.
    fn message(
        &mut self,
        shared: &Shared,
        tally: &mut Tally,
        data: &[u8],
        id: Option<&str>,
        now_us: u64,
    ) -> Result<(), String> {
        tally.messages += 1;
        tally.bytes += data.len() as u64;
        match &shared.target.protocol {
            Protocol::Gaugecast { .. } => {
                let said = shared.decoder.borrow_mut().decode(data)?;
                self.ours(tally, &said, id, now_us);
            }
            Protocol::Any { payload, .. } => self.any(tally, data, payload, now_us),
        }
        Ok(())
    }

    fn pong(&mut self, tally: &mut Tally, payload: &[u8]) {
        if let Ok(intended) = payload.try_into().map(u64::from_be_bytes) {
            self.ping_pending = false;
            tally.rtt.record(us(self.shared.origin.elapsed()).saturating_sub(intended));
        }
    }

    fn ours(&mut self, tally: &mut Tally, said: &Said, id: Option<&str>, now_us: u64) {
        match said {
            Said::Frame(frame) => {
                let step = self.chain.take(frame);
                if step == Step::First {
                    self.live(tally);
                }
                let is_wrong = |id: &str| {
                    self.chain.position().is_none_or(|(epoch, offset)| {
                        id.strip_prefix(epoch).and_then(|id| id.strip_prefix(':'))
                            != Some(itoa::Buffer::new().format(offset))
                    })
                };
                tally.step(step);
                if step != Step::None {
                    tally.wrong_ids += u64::from(id.is_some_and(is_wrong));
                    tally.unknown_series += frame.unknown;
                }
                // The first state is as old as the last tick before it was asked for, which is nobody's delay.
                if matches!(step, Step::Next | Step::Anew) {
                    let sent_us = self.by_our_clock(frame.sent_us);
                    let key = Key { life: frame.life, channel: frame.channel, number: frame.offset };
                    tally.arrivals.count(key, sent_us, now_us);
                    if let Some(sent_us) = sent_us {
                        tally.delivery.record(now_us.saturating_sub(sent_us));
                    }
                }
            }
            Said::Subscribed { channel, interval_ms, recovered, reason } => {
                self.chain.subscribed(*channel, *recovered);
                tally.interval_ms = tally.interval_ms.max(*interval_ms);
                // A server that was started anew cannot go on.
                if self.asked_to_resume && (*recovered || !self.is_awaiting_server) {
                    tally.resumes += 1;
                    tally.resumed += u64::from(*recovered);
                    if let Some(reason) = reason {
                        tally.errors.add("resume", reason);
                    }
                }
            }
            Said::Refused(message) => tally.errors.add("refused_command", message),
            Said::Bye { reason, retry_after } => {
                self.goodbye = Some(Goodbye { words: format!("bye: {reason}"), retry_after: *retry_after });
            }
            Said::Other => {}
        }
    }

    fn any(&mut self, tally: &mut Tally, data: &[u8], payload: &Payload, now_us: u64) {
        let field = |name: &Option<String>| number_of(data, name.as_deref()?);
        let sent = field(&payload.time_field).map(|time| (time * payload.time_unit_us) as u64);
        let sent_us = sent.and_then(|us| self.by_our_clock(us));
        let number = field(&payload.sequence_field).map(|number| number as u64);
        let step = number.map(|number| self.numbers.take(number));
        let resumes = std::mem::take(&mut self.asked_to_resume) && step.is_some();
        if let Some(sent_us) = sent_us {
            tally.delivery.record(now_us.saturating_sub(sent_us));
        }
        if let (Some(step), Some(number)) = (step, number) {
            if resumes {
                tally.resumes += 1;
                tally.resumed += u64::from(step == Step::First);
            } else {
                tally.step(step);
            }
            tally.arrivals.count(Key { life: 0, channel: 0, number }, sent_us, now_us);
        }
    }

    /// A moment of the server's clock by ours, both in Unix microseconds; `None` where they do not compare.
    fn by_our_clock(&self, server_us: u64) -> Option<u64> {
        Some(server_us.saturating_add_signed(-self.shared.offset_us?))
    }

    fn live(&mut self, tally: &mut Tally) {
        if !self.is_live {
            self.is_live = true;
            self.shared.live.fetch_add(1, Ordering::Relaxed);
        }
        self.waits_as_told(false);
        self.is_awaiting_server = false;
        if let Some(at) = self.cut_at.take() {
            tally.recovery.record(us(at.elapsed()));
        }
    }

    fn waits_as_told(&mut self, does: bool) {
        match (std::mem::replace(&mut self.is_told_to_wait, does), does) {
            (false, true) => _ = self.shared.told_to_wait.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.shared.told_to_wait.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    fn no_longer_live(&mut self) {
        if std::mem::take(&mut self.is_live) {
            self.shared.live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reads into `scratch`, which must be looked at before anything else is awaited: it is every connection's.
async fn fill(stream: &mut Stream, scratch: &RefCell<Box<[u8]>>) -> io::Result<usize> {
    poll_fn(|context| {
        let mut scratch = scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        Ok(buffer.filled().len()).into()
    })
    .await
}

/// Returns the next time that something is said, and what; `None` when nobody is left to say it.
async fn changed(mut control: watch::Receiver<Control>) -> Option<(watch::Receiver<Control>, Control)> {
    control.changed().await.ok()?;
    let said = *control.borrow_and_update();
    Some((control, said))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_any_json() {
        assert_eq!(number_of(br#"{"a":1,"t" : 1700000000123.5}"#, "t"), Some(1_700_000_000_123.5));
        for text in [&b"{}"[..], b"{\"t\":\"x\"}", b"\"t\"", b"\xff\"t\":\xff"] {
            assert_eq!(number_of(text, "t"), None);
        }
    }
}
