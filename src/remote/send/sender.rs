//! The task of one receiver: it collects batches, sends them one after the other, and waits where the receiver says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hashbrown::HashMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config::Receiver;
use super::cursor::{Batch, Cursors, Filled};
use super::message;
use super::metrics::Figures;
use crate::client::{Backoff, random};
use crate::clock::Clock;
use crate::collect::Ticks;
use crate::history::History;
use crate::http_client::{Failure, Fetcher, Line, Message, Reply};
use crate::remote::{Version, pack};
use crate::series::{Epoch, FamilyMeta};

/// How often all series are looked at for what the history forgets meanwhile. Less than any series without new samples
/// stays in the history.
const SURVEY: Duration = Duration::from_secs(10);

/// The longest wait that a receiver can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How many characters of what a receiver says go into the log.
const WORDS: usize = 300;

/// What a sender works with.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) history: History,
    pub(super) ticks: Ticks,
    pub(super) recorded: watch::Receiver<u64>,
    pub(super) clock: Clock,
    pub(super) external: BTreeMap<String, String>,
}

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Verdict {
    Taken,
    /// Never mind how often: it is not wanted.
    Refused(String),
    /// Later, perhaps; the receiver may say when.
    Later(String, Option<Duration>),
}

/// It ends, and what was to be sent is not.
#[derive(Debug)]
struct Ended;

/// What is told in the log when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begun,
    Taking,
    Refusing,
    Away,
}

/// Sends to one receiver.
#[derive(Debug)]
pub(super) struct Sender {
    receiver: Receiver,
    common: Common,
    figures: Figures,
    stop: CancellationToken,
    cursors: Cursors,
    fetcher: Fetcher,
    line: Line,
    headers: HeaderMap,
    state: State,
    surveyed: Instant,
    described: Option<Instant>,
    families: Families,
    /// Samples of the request that is not answered yet.
    under_way: u64,
}

impl Sender {
    /// One that begins with what is of `begin`, Unix milliseconds, and later.
    pub(super) fn new(
        receiver: Receiver,
        common: Common,
        figures: Figures,
        stop: CancellationToken,
        begin: i64,
    ) -> Self {
        let now = common.clock.now().unix_ms;
        let cursors = Cursors::new(&receiver, &common.external, &common.history, begin, now);
        let mut headers = HeaderMap::new();
        for (name, value) in &receiver.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(receiver.version.content_type()));
        let version = HeaderValue::from_static(receiver.version.number());
        headers.insert(HeaderName::from_static("x-prometheus-remote-write-version"), version);
        figures.begin();
        Sender {
            fetcher: Fetcher::new(receiver.client.clone()),
            receiver,
            common,
            figures,
            stop,
            cursors,
            line: Line::default(),
            headers,
            state: State::Begun,
            surveyed: Instant::now(),
            described: None,
            families: Families::default(),
            under_way: 0,
        }
    }

    /// Sends until it is stopped, and then what is left.
    pub(super) async fn run(&mut self) {
        let mut batch = Batch::default();
        loop {
            let last = self.stop.is_cancelled();
            if self.send_all(&mut batch).await.is_err() || last {
                return;
            }
            self.wait().await;
        }
    }

    /// What is not sent when it ends is counted.
    pub(super) fn ended(&mut self) {
        let left = self.cursors.survey(&self.common.history) + self.under_way;
        self.figures.stopped(left);
        self.figures.lost(self.cursors.take_lost());
        if left > 0 {
            warn!(remote = %self.receiver.name, samples = left, "remote write ends before all is sent");
        }
        self.figures.forget();
    }

    /// Waits until there is enough for a request, or the deadline of a batch, or the stop.
    async fn wait(&mut self) {
        let deadline = sleep(self.receiver.queue.deadline);
        tokio::pin!(deadline);
        let mut expected = 0;
        let mut recorded = self.common.recorded.clone();
        recorded.mark_unchanged();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = &mut deadline => return,
                changed = recorded.changed() => if changed.is_err() {
                    // The recorder has ended; the stop comes next.
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = &mut deadline => {}
                    }
                    return;
                },
            }
            // A tick brings a sample of each series at most, but for pushes, which the deadline sends.
            expected += self.common.history.stats().series;
            if expected >= self.receiver.queue.max_samples {
                return;
            }
        }
    }

    async fn send_all(&mut self, batch: &mut Batch) -> Result<(), Ended> {
        self.describe().await?;
        loop {
            self.survey_when_due();
            let now = self.common.clock.now().unix_ms;
            let filled = self.cursors.fill(&self.common.history, now, batch);
            self.figures.lost(self.cursors.take_lost());
            if batch.len() > 0 {
                let body = self.body(batch);
                self.under_way = batch.len() as u64;
                self.deliver(body, batch.len(), batch.newest()).await?;
                self.under_way = 0;
                batch.clear();
            }
            self.lag();
            if filled == Filled::All {
                self.figures.pending(0);
                return Ok(());
            }
            // What is caught up takes its time from no tick.
            tokio::task::yield_now().await;
        }
    }

    fn lag(&self) {
        self.figures.lag(self.common.clock.now().unix_ms.saturating_sub(self.cursors.reached()));
    }

    fn survey_when_due(&mut self) {
        if self.surveyed.elapsed() >= SURVEY {
            self.surveyed = Instant::now();
            let waiting = self.cursors.survey(&self.common.history);
            self.figures.pending(waiting);
            self.figures.lost(self.cursors.take_lost());
        }
    }

    fn body(&mut self, batch: &Batch) -> Bytes {
        if self.receiver.version == Version::V2 && self.receiver.metadata.is_some() {
            self.families.follow(&self.common.ticks);
        }
        let families = &self.families.of_name;
        let message =
            message::samples(self.receiver.version, batch, &|name| families.get(name).map(|meta| &**meta));
        pack(&message).into()
    }

    /// Says of all families what they are, when it is time to.
    async fn describe(&mut self) -> Result<(), Ended> {
        let Some(interval) = self.receiver.metadata.filter(|_| self.receiver.version == Version::V1) else {
            return Ok(());
        };
        if self.described.is_some_and(|at| at.elapsed() < interval) {
            return Ok(());
        }
        self.described = Some(Instant::now());
        let tick = self.common.ticks.latest();
        for families in tick.schema.families.chunks(self.receiver.queue.max_samples) {
            let body = pack(&message::metadata(families.iter().map(|family| &*family.meta))).into();
            self.deliver(body, 0, None).await?;
        }
        Ok(())
    }

    /// Sends a request until the receiver has taken or refused it.
    async fn deliver(&mut self, body: Bytes, samples: usize, newest: Option<i64>) -> Result<(), Ended> {
        let queue = &self.receiver.queue;
        let mut backoff = Backoff::new(queue.min_backoff, queue.max_backoff);
        loop {
            let began = Instant::now();
            let message = Message { url: &self.receiver.url, headers: &self.headers, body: &body };
            let asked = timeout(self.receiver.timeout, self.fetcher.post(&mut self.line, message)).await;
            let answer = asked.unwrap_or_else(|_| Err(Failure::new("timeout", "it does not answer in time")));
            self.figures.asked(began.elapsed());
            match verdict(answer, self.receiver.queue.retry_on_429) {
                Verdict::Taken => {
                    self.figures.sent(samples, body.len(), newest);
                    self.is(State::Taking, "");
                    return Ok(());
                }
                Verdict::Refused(why) => {
                    self.figures.failed(samples);
                    self.is(State::Refusing, &why);
                    return Ok(());
                }
                Verdict::Later(why, asked) => {
                    self.is(State::Away, &why);
                    if self.stop.is_cancelled() {
                        return Err(Ended);
                    }
                    self.figures.retried(samples);
                    let wait = backoff.wait(random()).max(asked.unwrap_or_default().min(LONGEST_WAIT));
                    self.pause(wait).await;
                }
            }
        }
    }

    /// Waits; less if it is stopped, since there is one try left then.
    async fn pause(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        loop {
            self.survey_when_due();
            self.lag();
            let next = (self.surveyed + SURVEY).min(end);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
            }
            if next == end {
                return;
            }
        }
    }

    /// Notes how the receiver is, and says so if it was otherwise.
    fn is(&mut self, state: State, why: &str) {
        self.figures.up(state != State::Away);
        let before = std::mem::replace(&mut self.state, state);
        if before == state {
            return;
        }
        let remote = &self.receiver.name;
        match state {
            State::Begun => {}
            State::Taking => info!(%remote, "the receiver takes what is sent"),
            State::Refusing => warn!(%remote, %why, "the receiver refuses samples; they are not sent again"),
            State::Away => warn!(%remote, %why, "samples wait for the receiver, which fails"),
        }
    }
}

/// What an answer means.
fn verdict(answer: Result<Reply, Failure>, retry_on_429: bool) -> Verdict {
    let reply = match answer {
        Ok(reply) => reply,
        Err(failure) => return Verdict::Later(failure.message, None),
    };
    if reply.status.is_success() {
        return Verdict::Taken;
    }
    let words: String =
        reply.text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    let why = format!("{}: {words}", reply.status);
    let later =
        reply.status.is_server_error() || (retry_on_429 && reply.status == StatusCode::TOO_MANY_REQUESTS);
    if !later {
        return Verdict::Refused(why);
    }
    let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Verdict::Later(why, asked.and_then(|text| retry_after(text, SystemTime::now())))
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(now).ok())
}

/// Metadata by metric name, for 2.0.
#[derive(Debug, Default)]
struct Families {
    of: Option<(Epoch, u64)>,
    of_name: HashMap<Box<str>, Arc<FamilyMeta>>,
}

impl Families {
    fn follow(&mut self, ticks: &Ticks) {
        let tick = ticks.latest();
        let now = (tick.epoch, tick.schema.version);
        if self.of == Some(now) {
            return;
        }
        self.of = Some(now);
        self.of_name.clear();
        for (family, series) in tick.schema.series() {
            let name = series.name();
            if !self.of_name.contains_key(&*name) {
                self.of_name.insert((*name).into(), Arc::clone(&family.meta));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<&str>, text: &str) -> Result<Reply, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        }
        Ok(Reply { status: StatusCode::from_u16(status).unwrap(), headers, text: text.to_owned() })
    }

    #[test]
    fn what_the_receiver_may_take_later_is_sent_again_and_nothing_else() {
        let is_later = |answer, on_429| matches!(verdict(answer, on_429), Verdict::Later(..));
        assert_eq!(verdict(reply(204, None, ""), true), Verdict::Taken);
        for (status, later) in
            [(301, false), (400, false), (404, false), (429, true), (500, true), (503, true)]
        {
            assert_eq!(is_later(reply(status, None, ""), true), later, "{status}");
        }
        assert!(!is_later(reply(429, None, ""), false));
        assert!(is_later(Err(Failure::new("io", "gone")), false));
        let refused = verdict(reply(400, None, &format!("out of\norder{}", "x".repeat(999))), true);
        let Verdict::Refused(why) = refused else { panic!("{refused:?}") };
        assert!(why.starts_with("400 Bad Request: out of orderxx") && why.len() < 400, "{why}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), None);
        assert_eq!(retry_after("soon", now), None);
        let asked = verdict(reply(429, Some("3"), ""), true);
        assert_eq!(asked, Verdict::Later("429 Too Many Requests: ".into(), Some(Duration::from_secs(3))));
    }
}
