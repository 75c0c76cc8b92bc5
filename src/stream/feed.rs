//! The stream over plain HTTP, one way: server-sent events for `EventSource`, NDJSON for curl and `fetch`.
//!
//! An answer is one subscription on the same channels as those of WebSockets, and says the same messages. Its task
//! sends what the client has not had when its socket has taken all before, and only then: a client that is slow
//! gets fewer deltas, each from the offset it has to the newest, and no queue.
//!
//! Ends: the client goes away; it takes nothing for too long, and is cut off; the hub stops, which `bye` says. A
//! client that comes back with `Last-Event-ID` gets what it missed.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT, VARY,
};
use hyper::{Request, Response};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Seat;
use super::drain::COME_BACK;
use super::events::{self, Cursor, Had, Kinds};
use super::handshake::Refusal;
use super::hub::{Hub, Lease, Opened, Round, Shared};
use super::metrics::Metrics;
use super::performance::{Figures, Reader};
use super::pipe::{Feed, Tap, pipe};
use super::protocol::{Close, ErrorCode, Fault, Resume, Subscribe, read_subscribe};
use super::recent::Due;
use super::session::{answer_to, welcome};
use super::text::Form;
use crate::clock::Moment;
use crate::server::SendBuffer;
use crate::server::auth::Bearer;

/// After how much silence a sign of life is sent: common proxies cut after 60 s, some after 30 s.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// After how long a client whose connection was cut is to come back.
const RETRY: Duration = Duration::from_secs(2);

/// Bytes that make proxies pass on what they would hold back.
const PADDING: usize = 2048;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers a GET for the stream with a body that goes on.
///
/// `asked` are the parameters of the query, decoded: `match[]` (several), `interval`, `limit`, `clamp`, `exact`,
/// `sub`, `events`, `padding`, `last_event_id`, with the meaning of `docs/protocol.md`; others are ignored. `peer` is whose
/// connections are counted together. The caller has checked method, Host, Origin and rights. Must be called on
/// the tokio runtime; the answer ends with [`Hub::stop`].
///
/// # Errors
/// Why it is not let in (400, 429, 503).
pub async fn feed<B>(
    hub: &Hub,
    request: &Request<B>,
    asked: &[(String, String)],
    peer: SocketAddr,
) -> Result<Response<Feed>, Refusal> {
    let shared = &hub.shared;
    let form = form(request.headers());
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let wish = Wish::read(request.headers(), asked);
    let token = request.extensions().get::<Bearer>().map(|Bearer(name)| Arc::clone(name));
    let begun = match wish {
        Ok(wish) => begin(shared, form, wish, peer, agent, token).await,
        Err(fault) => Err(Refusal::Subscription(Box::new(fault))),
    };
    let (seat, viewer) = begun.inspect_err(|refusal| {
        shared.metrics.refused(refusal);
        tracing::debug!(%peer, reason = refusal.reason(), "stream request refused");
    })?;
    let (tap, body) = pipe();
    shared.tasks.spawn(serve(Arc::clone(shared), seat, viewer, tap, peer));
    let mut response = Response::new(body);
    response.extensions_mut().insert(SendBuffer(shared.config.send_buffer));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn form(headers: &HeaderMap) -> Form {
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    Form::of(&accept.join(","))
}

/// What a request asks for.
#[derive(Debug)]
struct Wish {
    asked: Subscribe,
    events: Option<Kinds>,
    had: Had,
    padding: usize,
}

impl Wish {
    /// Reads the parameters as fields of `subscribe`, so that they are checked as those are.
    fn read(headers: &HeaderMap, asked: &[(String, String)]) -> Result<Wish, Fault> {
        let mut fields = Map::new();
        let mut selectors = Vec::new();
        let mut padding = 0;
        let mut last = None;
        let mut events = None;
        for (name, text) in asked {
            let value = match name.as_str() {
                "match[]" => {
                    selectors.push(Value::from(text.as_str()));
                    continue;
                }
                "padding" => {
                    padding = match text.as_str() {
                        "1" => PADDING,
                        "0" => 0,
                        _ => return Err(Fault::new(ErrorCode::BadRequest, "padding is 0 or 1")),
                    };
                    continue;
                }
                "events" => {
                    events = Some(Kinds::of(text.split(',')));
                    continue;
                }
                "last_event_id" => {
                    last = Some(text.as_str());
                    continue;
                }
                "interval" | "limit" => {
                    text.parse::<u64>().map_or_else(|_| Value::from(text.as_str()), Value::from)
                }
                "clamp" | "exact" => match text.as_str() {
                    "1" | "true" => Value::Bool(true),
                    "0" | "false" => Value::Bool(false),
                    _ => Value::from(text.as_str()),
                },
                "history" => text.parse::<u64>().map_or_else(|_| Value::from(text.as_str()), Value::from),
                "derived" => text.split(',').collect::<Vec<_>>().into(),
                "sub" | "query" => Value::from(text.as_str()),
                _ => continue,
            };
            fields.insert(name.clone(), value);
        }
        if !selectors.is_empty() {
            fields.insert("match".into(), selectors.into());
        } else if !fields.contains_key("query") {
            let message =
                "match[] is missing: a selector such as node_load1, percent-encoded; or query, an expression";
            return Err(Fault::new(ErrorCode::BadRequest, message));
        }
        fields.entry("sub").or_insert_with(|| "stream".into());
        let mut asked = read_subscribe(&fields)?;
        // What EventSource sends by itself is newer than the address it was made with.
        let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
        let had = match header.or(last).and_then(place) {
            None => Had::None,
            Some((epoch, offset, seq)) => {
                asked.resume = Some(Resume::At { epoch: epoch.clone(), offset, channel: None });
                seq.map_or_else(|| Had::Offset(epoch.clone(), offset), |seq| Had::Seq(epoch.clone(), seq))
            }
        };
        Ok(Wish { asked, events, had, padding })
    }
}

/// Reads `epoch:offset` or `epoch:offset:seq`; something else is no place (B37).
fn place(text: &str) -> Option<(String, u64, Option<u64>)> {
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let (epoch, rest) = text.split_once(':')?;
    let is_hex = epoch.len() == 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
    let epoch = is_hex.then(|| epoch.to_ascii_lowercase())?;
    match rest.split_once(':') {
        None => Some((epoch, number(rest)?, None)),
        Some((offset, seq)) => Some((epoch, number(offset)?, Some(number(seq)?))),
    }
}

async fn begin(
    shared: &Shared,
    form: Form,
    wish: Wish,
    peer: SocketAddr,
    agent: Option<&str>,
    token: Option<Arc<str>>,
) -> Result<(Seat, Viewer), Refusal> {
    let refuse = |fault: Fault| Refusal::Subscription(Box::new(fault));
    let Wish { asked, events, had, padding } = wish;
    let spec = shared.spec(&asked, None).await.map_err(refuse)?;
    let seat = shared.seat(peer, form.name(), agent, token)?;
    let round = Arc::clone(&shared.rounds.borrow());
    let opened = shared.open(spec, &asked).await.map_err(refuse)?;
    let (subscribed, missed) = answer_to(&asked.sub, None, asked.resume.as_ref(), &opened, shared.tick);
    let epoch = shared.epoch.to_string();
    let now = shared.clock.now();
    let session = &seat.figures.session;
    let seq = round.events.last();
    let hello = welcome(&shared.config, shared.tick, HEARTBEAT, session, &epoch, seq, &now);
    let Opened { lease, view, past } = opened;
    let mut begin = form.opening(RETRY, padding).into_bytes();
    begin.extend_from_slice(&form.plain(&hello));
    begin.extend_from_slice(&form.plain(&subscribed));
    let mut cursor = Cursor::new(&round.events, &shared.metrics);
    cursor.greet(events, had);
    let mut viewer = Viewer {
        form,
        lease,
        epoch,
        offset: view.offset(),
        frames: view.frames(),
        at: now.since_start,
        events: cursor,
        performance: Reader::new(&round.performance, &now),
        figures: Arc::clone(&seat.figures),
        metrics: Arc::clone(&shared.metrics),
        out: Vec::new(),
    };
    viewer.metrics.subscriptions.inc();
    viewer.figures.subscriptions.store(1, Ordering::Relaxed);
    viewer.say(begin.into(), 2);
    match missed {
        Some(frames) => viewer.say(form.placed(&frames, &view.place()), frames.count),
        None if let Some(frames) = past => viewer.say(form.placed(&frames, &view.place()), frames.count),
        None => viewer.say(view.full_text(form).clone(), view.full().count),
    }
    Ok((seat, viewer))
}

/// One client: what it has, and what it is to be told next.
#[derive(Debug)]
struct Viewer {
    form: Form,
    lease: Lease,
    epoch: String,
    /// What the client has, and how many frames the channel had published up to there.
    offset: u64,
    frames: u64,
    /// When that was committed.
    at: Duration,
    events: Cursor,
    performance: Reader,
    figures: Arc<Figures>,
    metrics: Arc<Metrics>,
    out: Vec<Bytes>,
}

impl Viewer {
    fn say(&mut self, text: Bytes, messages: u32) {
        self.metrics.frames.inc_by(messages.into());
        self.metrics.bytes.inc_by(text.len() as u64);
        self.figures.sent(messages.into(), text.len() as u64);
        self.out.push(text);
    }

    /// Adds the events of a round that this client wants and has not had, each with the place where it is then.
    fn tell(&mut self, round: &Round, now: &Moment) {
        let Viewer { form, epoch, offset, events, .. } = self;
        let mut told = Vec::new();
        events.take(&round.events, |seq, frames| {
            told.push((form.placed(frames, &format!("{epoch}:{offset}:{seq}")), frames.count));
        });
        told.into_iter().for_each(|(text, count)| self.say(text, count));
        let wanted = self.events.wants(events::Kind::Performance);
        if let Some(frames) = self.performance.take(wanted, &round.performance, &self.figures, now) {
            self.say(self.form.plain(&frames), frames.count);
        }
    }

    /// Adds what this client has not had of a round, from the offset it has straight to the last. Says when that was
    /// committed.
    fn deliver(&mut self, round: &Round) -> Option<Duration> {
        let published = round.channels.get(&self.lease.channel)?;
        let view = &published.view;
        match published.since(self.offset)? {
            Due::Shared(run) if run.sent().len() == 1 => {
                let last = published.last();
                self.say(last.text(self.form).clone(), last.frames.count);
            }
            _ => {
                let missed = view.frames().saturating_sub(self.frames + 1);
                self.metrics.catch_ups.inc();
                self.figures.caught_up(missed, published.last().committed.saturating_sub(self.at));
                self.metrics.conflated.inc_by(missed);
                let frames = view.conflated(self.offset, missed);
                self.say(self.form.placed(&frames, &view.place()), frames.count);
            }
        }
        (self.offset, self.frames, self.at) = (view.offset(), view.frames(), published.last().committed);
        Some(published.last().committed)
    }

    /// `bye`; `EventSource` is told when to come back by its own means too.
    fn bye(&mut self, close: Close, spread: Duration) {
        let [bye, _] = close.frames(spread);
        let mut text = match close.retry_after() {
            Some(retry) => self.form.opening(retry + spread, 0).into_bytes(),
            None => Vec::new(),
        };
        text.extend_from_slice(&self.form.plain(&bye));
        self.say(text.into(), 1);
    }

    /// Puts what is to be told on the way; false if there was nothing.
    fn pour(&mut self, tap: &Tap) -> bool {
        let any = !self.out.is_empty();
        self.out.drain(..).for_each(|bytes| tap.push(bytes));
        any
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.metrics.subscriptions.dec();
    }
}

/// Serves an answer to its end. A panic ends this one only.
async fn serve(shared: Arc<Shared>, seat: Seat, viewer: Viewer, tap: Tap, peer: SocketAddr) {
    let transport = viewer.form.name();
    tracing::debug!(%peer, transport, "stream client connected");
    let conversation = AssertUnwindSafe(tell(&shared, viewer, tap)).catch_unwind();
    tokio::select! {
        ended = conversation => match ended {
            Ok(close) => {
                shared.metrics.closed(close);
                tracing::debug!(%peer, transport, reason = close.map_or("client", Close::reason), "stream client gone");
            }
            Err(_) => {
                shared.metrics.panics.inc();
                shared.metrics.closed(Some(Close::Internal));
                tracing::error!(%peer, transport, "a fault in a stream connection");
            }
        },
        () = shared.kill.cancelled() => shared.metrics.closed(Some(Close::GoingAway)),
    }
    drop(seat);
}

/// Tells until the end; says which [`Close`] ended it, `None` if the client did.
async fn tell(shared: &Shared, mut viewer: Viewer, tap: Tap) -> Option<Close> {
    let mut rounds = shared.rounds.clone();
    // When something was last put on the way, or taken.
    let mut moved = Instant::now();
    // Commit of the tick of which frames are on their way.
    let mut under_way = None;
    let mut farewell = std::pin::pin!(shared.farewell());
    let figures = Arc::clone(&viewer.figures);
    loop {
        if tap.is_empty() {
            let now = shared.clock.now();
            if let Some(at) = under_way.take() {
                shared.metrics.delivered(now.since_start.saturating_sub(at), 1);
            }
            let round = Arc::clone(&rounds.borrow_and_update());
            viewer.tell(&round, &now);
            under_way = viewer.deliver(&round);
            if viewer.pour(&tap) {
                moved = Instant::now();
            }
        }
        let waits = !tap.is_empty();
        let patience = if waits { shared.config.stall_timeout } else { HEARTBEAT };
        tokio::select! {
            biased;
            () = &mut farewell => return Some(goodbye(shared, &mut viewer, &tap, Close::GoingAway).await),
            close = figures.ended() => return Some(goodbye(shared, &mut viewer, &tap, close).await),
            () = tap.moved() => {
                if tap.is_gone() {
                    return None;
                }
                moved = Instant::now();
            }
            // The hub's task ends only when it is told to stop.
            _ = rounds.changed(), if !waits => {}
            () = sleep_until(moved + patience) => {
                if waits {
                    return Some(Close::Slow);
                }
                let sign = viewer.form.heartbeat(shared.clock.now().unix_ms);
                viewer.say(sign, u32::from(viewer.form == Form::Ndjson));
            }
        }
    }
}

/// Says why it ends, and lets the client hear it.
async fn goodbye(shared: &Shared, viewer: &mut Viewer, tap: &Tap, close: Close) -> Close {
    viewer.bye(close, if close.retry_after().is_some() { shared.spread(COME_BACK) } else { Duration::ZERO });
    viewer.pour(tap);
    tap.end();
    let _ = timeout(GOODBYE, async {
        while !tap.is_empty() && !tap.is_gone() {
            tap.moved().await;
        }
    })
    .await;
    close
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(query: &[(&str, &str)], last: Option<&'static str>) -> Result<Wish, Fault> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_static(last));
        }
        let asked: Vec<_> = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Wish::read(&headers, &asked)
    }

    #[test]
    fn parameters_mean_what_the_fields_of_subscribe_mean() {
        let query = [
            ("match[]", "a"),
            ("interval", "500"),
            ("match[]", "b"),
            ("limit", "7"),
            ("clamp", "1"),
            ("exact", "true"),
            ("sub", "mine"),
            ("padding", "1"),
            ("_", "cache"),
        ];
        let Wish { asked, padding, .. } = wish(&query, None).unwrap();
        let want = Subscribe {
            sub: "mine".into(),
            selectors: Some(vec!["a".into(), "b".into()]),
            interval: Some(Duration::from_millis(500)),
            clamp: true,
            limit: Some(7),
            exact: Some(true),
            ..Subscribe::default()
        };
        assert_eq!((asked, padding), (want, 2048));
        let plain = wish(&[("match[]", "a"), ("interval", "1m30s")], None).unwrap();
        assert_eq!((plain.asked.interval, plain.padding), (Some(Duration::from_secs(90)), 0));
        for (query, code) in [
            (&[("match", "a")][..], ErrorCode::BadRequest),
            (&[("match[]", "a"), ("limit", "0")], ErrorCode::BadRequest),
            (&[("match[]", "a"), ("exact", "yes")], ErrorCode::BadRequest),
            (&[("match[]", "a"), ("sub", "")], ErrorCode::BadRequest),
            (&[("match[]", "a"), ("interval", "soon")], ErrorCode::BadInterval),
            (&[("match[]", "a"), ("history", "soon")], ErrorCode::BadRequest),
            (&[("match[]", "a"), ("query", "a")], ErrorCode::BadRequest),
            (&[("match[]", "a"); 33], ErrorCode::BadRequest),
        ] {
            assert_eq!(wish(query, None).unwrap_err().code, code, "{query:?}");
        }
    }

    #[test]
    fn b37_a_place_is_epoch_and_offset_and_anything_else_is_none() {
        let at = |epoch: &str, offset| Some(Resume::At { epoch: epoch.into(), offset, channel: None });
        assert_eq!(place("00000000000000ff:12"), Some(("00000000000000ff".into(), 12, None)));
        assert_eq!(place("00000000000000FF:12:3"), Some(("00000000000000ff".into(), 12, Some(3))));
        for bad in ["", ":", "ff:1", "00000000000000ff", "00000000000000ff:", "00000000000000ff:+1"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        assert_eq!(place("00000000000000ff:99999999999999999999"), None);
        for bad in ["00000000000000ff:1:", "00000000000000ff:1:x", "00000000000000ff:1:2:3"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        let query = [("match[]", "a"), ("last_event_id", "0000000000000007:3")];
        assert_eq!(wish(&query, None).unwrap().asked.resume, at("0000000000000007", 3));
        let newer = wish(&query, Some("0000000000000007:5")).unwrap();
        assert_eq!(newer.asked.resume, at("0000000000000007", 5), "EventSource keeps its first address");
    }
}
