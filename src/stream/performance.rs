//! How the server and each connection fare: the figures, and the `performance` event made of them.
//!
//! [`Latencies`] is where deliveries are timed, [`Figures`] what is counted for one connection; both are counted by
//! whoever writes to sockets and read by whoever asks, without a lock. Every few seconds the hub writes the server's
//! part once ([`Performance`]); a connection whose client wants `performance` puts its own part behind it
//! ([`Reader`]). So it costs those who do not ask nothing, and those who do one small frame.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use serde::Serialize;

use super::frame::{self, Frames};
use super::metrics::Metrics;
use super::protocol::{Close, millis};
use crate::clock::Moment;

/// Parts that each doubling of a duration is cut into: what is read is at most 1/16 above what was counted.
const PARTS: u64 = 16;

/// From 1 µs; 36 doublings are 19 hours.
const BUCKETS: usize = (36 * PARTS) as usize;

/// Counts durations since it was last read. All may count and read at once.
#[derive(Debug)]
pub(super) struct Latencies {
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Latencies { buckets, sum_us: AtomicU64::new(0), max_us: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Counts one duration.
    pub(super) fn record(&self, duration: Duration, times: u64) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(times, Ordering::Relaxed);
        self.sum_us.fetch_add(us.min(u64::MAX >> 40).saturating_mul(times), Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// What was counted since this was last asked; `None` if nothing was.
    fn take(&self) -> Option<Latency> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.swap(0, Ordering::Relaxed)).collect();
        let (sum, max) = (self.sum_us.swap(0, Ordering::Relaxed), self.max_us.swap(0, Ordering::Relaxed));
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return None;
        }
        let quantile = |percent: u64| {
            let mut rank = (count * percent).div_ceil(100);
            let at = counts.iter().position(|n| {
                let here = rank <= *n;
                rank = rank.saturating_sub(*n);
                here
            });
            milliseconds(at.map_or(max, |at| upper(at).min(max)))
        };
        Some(Latency {
            count,
            mean: milliseconds(sum / count),
            p50: quantile(50),
            p95: quantile(95),
            p99: quantile(99),
            max: milliseconds(max),
        })
    }
}

/// Below [`PARTS`] each microsecond has its own, then each doubling has [`PARTS`].
fn bucket(us: u64) -> usize {
    let doublings = u64::from((us | 1).ilog2()).saturating_sub(u64::from(PARTS.ilog2()));
    let at = doublings * PARTS + (us >> doublings);
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest duration of a bucket.
fn upper(bucket: usize) -> u64 {
    let doublings = (bucket as u64 / PARTS).saturating_sub(1);
    ((bucket as u64 - doublings * PARTS + 1) << doublings) - 1
}

#[allow(clippy::cast_precision_loss)]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Of all deliveries of the last seconds, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Latency {
    count: u64,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// What is counted for one connection. Counters are since its begin.
#[derive(Debug)]
pub struct Figures {
    /// Names the connection in logs: sixteen hex digits.
    pub session: String,
    /// From where.
    pub remote: SocketAddr,
    /// By `websocket`, `sse` or `ndjson`.
    pub transport: &'static str,
    /// What the client's program calls itself (`User-Agent`), at most 256 characters.
    pub agent: Option<String>,
    /// When it began.
    pub began: Moment,
    /// Messages put on the way to it.
    pub messages: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Errors it was answered.
    pub errors: AtomicU64,
    /// Its subscriptions now.
    pub subscriptions: AtomicU64,
    /// Deltas made for it alone, since it had missed frames.
    pub catch_ups: AtomicU64,
    /// Frames of others that those stand for.
    pub conflated: AtomicU64,
    /// Snapshots sent to it anew, since it had missed too much.
    pub resyncs: AtomicU64,
    /// How old the oldest was that it had missed when it was last behind, in microseconds.
    pub lag_us: AtomicU64,
    /// Name of the token by which it was let in.
    pub token: Option<Arc<str>>,
    ending: Ending,
    /// The last round trip, in microseconds and one more; 0 before the first.
    rtt: AtomicU64,
}

/// Whether a client is to be sent away: 0, or one more than the place of the reason in [`Close::ALL`].
#[derive(Debug, Default)]
struct Ending {
    why: AtomicU8,
    task: AtomicWaker,
}

impl Figures {
    pub(super) fn new(
        session: String,
        remote: SocketAddr,
        transport: &'static str,
        agent: Option<&str>,
        began: Moment,
    ) -> Self {
        let agent = agent.map(|agent| agent.chars().take(256).collect());
        let zero = AtomicU64::default;
        Figures {
            session,
            remote,
            transport,
            agent,
            began,
            messages: zero(),
            bytes: zero(),
            errors: zero(),
            subscriptions: zero(),
            catch_ups: zero(),
            conflated: zero(),
            resyncs: zero(),
            lag_us: zero(),
            token: None,
            ending: Ending::default(),
            rtt: zero(),
        }
    }

    /// Counts what was put on the way.
    pub(super) fn sent(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, rtt: Duration) {
        let us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX - 1);
        self.rtt.store(us + 1, Ordering::Relaxed);
    }

    /// With the token by which it was let in.
    pub(super) fn bearing(self, token: Option<Arc<str>>) -> Self {
        Figures { token, ..self }
    }

    /// It was behind, and is sent one delta instead of the frames that it missed.
    pub(super) fn caught_up(&self, missed: u64, lag: Duration) {
        self.catch_ups.fetch_add(1, Ordering::Relaxed);
        self.conflated.fetch_add(missed, Ordering::Relaxed);
        self.lag_us.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sends the client away, as soon as its task runs; what is asked for first counts.
    pub fn end(&self, why: Close) {
        let at = Close::ALL.iter().position(|close| *close == why).and_then(|at| u8::try_from(at + 1).ok());
        let _ = self.ending.why.compare_exchange(0, at.unwrap_or(0), Ordering::AcqRel, Ordering::Acquire);
        self.ending.task.wake();
    }

    /// Ready when the client is to be sent away. One task may wait for it.
    pub(super) fn ended(&self) -> impl Future<Output = Close> + '_ {
        std::future::poll_fn(|context| {
            self.ending.task.register(context.waker());
            match self.ending.why.load(Ordering::Acquire) {
                0 => Poll::Pending,
                at => Poll::Ready(Close::ALL[usize::from(at) - 1]),
            }
        })
    }

    /// From the last ping to its answer.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }
}

/// The server's part of a `performance` event.
#[derive(Clone, Debug, Default)]
pub(super) struct Performance {
    /// Counts them, from 1.
    number: u64,
    /// The event up to the client's part.
    head: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Connections {
    pub(super) total: u64,
    pub(super) active: usize,
    pub(super) peak: usize,
}

impl Performance {
    /// The next reading.
    pub(super) fn next(&self, connections: Connections, metrics: &Metrics, now: &Moment) -> Performance {
        #[derive(Serialize)]
        struct Server {
            uptime_ms: u64,
            connections: Connections,
            messages: u64,
            bytes: u64,
            errors: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            latency_ms: Option<Latency>,
        }
        let server = Server {
            uptime_ms: millis(now.since_start),
            connections,
            messages: metrics.frames.get(),
            bytes: metrics.bytes.get(),
            errors: metrics.errors_answered(),
            latency_ms: metrics.latencies.take(),
        };
        let server = serde_json::to_string(&server).expect("numbers only");
        let t = now.unix_ms;
        let head = format!(
            "{{\"type\":\"event\",\"t\":{t},\"kind\":\"performance\",\"server\":{server},\"client\":"
        );
        Performance { number: self.number + 1, head: head.into_bytes().into() }
    }
}

/// What one client has had of the readings.
#[derive(Debug)]
pub(super) struct Reader {
    had: u64,
    at: Duration,
    messages: u64,
    bytes: u64,
}

impl Reader {
    /// The next reading will be the first.
    pub(super) fn new(last: &Performance, now: &Moment) -> Self {
        Reader { had: last.number, at: now.since_start, messages: 0, bytes: 0 }
    }

    /// Would [`Reader::take`] give nothing and change nothing?
    pub(super) fn is_at_end(&self, reading: &Performance) -> bool {
        self.had == reading.number
    }

    /// The event, if the client wants it and there is a reading that it has not had.
    pub(super) fn take(
        &mut self,
        wanted: bool,
        reading: &Performance,
        figures: &Figures,
        now: &Moment,
    ) -> Option<Frames> {
        #[derive(Serialize)]
        struct Client {
            duration_ms: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            rtt_ms: Option<f64>,
            messages: u64,
            bytes: u64,
            messages_per_second: f64,
            bytes_per_second: f64,
            errors: u64,
        }
        let had = std::mem::replace(&mut self.had, reading.number);
        if !wanted || reading.number <= had {
            return None;
        }
        let passed = now.since_start.saturating_sub(self.at).as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let per_second = |count: u64| {
            let rate = if passed > 0.0 { count as f64 / passed } else { 0.0 };
            (rate * 1000.0).round() / 1000.0
        };
        let (messages, bytes) =
            (figures.messages.load(Ordering::Relaxed), figures.bytes.load(Ordering::Relaxed));
        let client = Client {
            duration_ms: millis(now.since(&figures.began)),
            rtt_ms: figures.rtt().map(|rtt| milliseconds(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX))),
            messages,
            bytes,
            messages_per_second: per_second(messages - self.messages),
            bytes_per_second: per_second(bytes - self.bytes),
            errors: figures.errors.load(Ordering::Relaxed),
        };
        *self = Reader { had: reading.number, at: now.since_start, messages, bytes };
        let client = serde_json::to_vec(&client).expect("numbers only");
        Some(frame::text(&[&reading.head[..], &client, b"}"].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket_and_the_next_begins_behind_it() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(upper(at)), at);
            assert_eq!(bucket(upper(at) + 1), (at + 1).min(BUCKETS - 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_at_most_a_sixteenth_above_what_was_counted_and_reading_begins_anew() {
        let latencies = Latencies::default();
        assert_eq!(latencies.take(), None);
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms), 1);
        }
        let read = latencies.take().unwrap();
        assert_eq!((read.count, read.mean, read.max), (100, 50.5, 100.0));
        for (read, exact) in [(read.p50, 50.0), (read.p95, 95.0), (read.p99, 99.0)] {
            assert!((exact..=exact * 17.0 / 16.0).contains(&read), "{read} {exact}");
        }
        assert_eq!(latencies.take(), None);
    }
}
