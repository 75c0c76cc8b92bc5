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
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY};
use hyper::{Request, Response};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout};

use super::channel::Due;
use super::handshake::Refusal;
use super::hub::{Hub, Lease, Opened, Round, Seat, Shared};
use super::metrics::Metrics;
use super::pipe::{Feed, Tap, pipe};
use super::protocol::{Close, ErrorCode, Fault, Resume, Subscribe, read_subscribe};
use super::session::{answer_to, spec, welcome};
use super::text::Form;

/// After how much silence a sign of life is sent: common proxies cut after 60 s, some after 30 s.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// After how long a client whose connection was cut is to come back.
const RETRY: Duration = Duration::from_secs(2);

/// Bytes that make proxies pass on what they would hold back.
const PADDING: usize = 2048;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Over this time clients are spread that are told to come back.
const SPREAD: Duration = Duration::from_secs(10);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers a GET for the stream with a body that goes on, or says why not (400, 429, 503).
///
/// `asked` are the parameters of the query, decoded: `match[]` (several), `interval`, `limit`, `clamp`, `exact`,
/// `sub`, `padding`, `last_event_id`, with the meaning of `docs/protocol.md`; others are ignored. `peer` is whose
/// connections are counted together. The caller has checked method, Host, Origin and rights. Must be called on
/// the tokio runtime; the answer ends with [`Hub::stop`].
///
/// # Errors
/// The answer that says why not.
pub async fn feed<B>(
    hub: &Hub,
    request: &Request<B>,
    asked: &[(String, String)],
    peer: SocketAddr,
) -> Result<Response<Feed>, Response<Full<Bytes>>> {
    let shared = &hub.shared;
    let form = form(request.headers());
    let wish = Wish::read(request.headers(), asked);
    let begun = match wish {
        Ok(wish) => begin(shared, form, wish, peer).await,
        Err(fault) => Err(Refusal::Subscription(Box::new(fault))),
    };
    let (seat, viewer) = begun.map_err(|refusal| {
        shared.metrics.refused(&refusal);
        tracing::debug!(%peer, reason = refusal.reason(), "stream request refused");
        refusal.response()
    })?;
    shared.metrics.opened(form.name());
    let (tap, body) = pipe();
    shared.tasks.spawn(serve(Arc::clone(shared), seat, viewer, tap, peer));
    let mut response = Response::new(body);
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
    padding: usize,
}

impl Wish {
    /// Reads the parameters as fields of `subscribe`, so that they are checked as those are.
    fn read(headers: &HeaderMap, asked: &[(String, String)]) -> Result<Wish, Fault> {
        let mut fields = Map::new();
        let mut selectors = Vec::new();
        let mut padding = 0;
        let mut last = None;
        for (name, text) in asked {
            let value = match name.as_str() {
                "match[]" => {
                    selectors.push(Value::from(text.as_str()));
                    continue;
                }
                "padding" => {
                    padding = if text == "1" { PADDING } else { 0 };
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
                "sub" | "query" | "history" | "derived" => Value::from(text.as_str()),
                _ => continue,
            };
            fields.insert(name.clone(), value);
        }
        if selectors.is_empty() {
            let message = "match[] is missing: a selector such as node_load1, percent-encoded";
            return Err(Fault::new(ErrorCode::BadRequest, message));
        }
        fields.insert("match".into(), selectors.into());
        fields.entry("sub").or_insert_with(|| "stream".into());
        let mut asked = read_subscribe(&fields)?;
        // What EventSource sends by itself is newer than the address it was made with.
        let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
        asked.resume = header.or(last).and_then(place);
        Ok(Wish { asked, padding })
    }
}

/// Reads `epoch:offset`; something else is no place (B37).
fn place(text: &str) -> Option<Resume> {
    let (epoch, offset) = text.split_once(':')?;
    let is_hex = epoch.len() == 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
    let offset = offset.bytes().all(|byte| byte.is_ascii_digit()).then(|| offset.parse().ok())??;
    is_hex.then(|| Resume::At { epoch: epoch.to_ascii_lowercase(), offset })
}

async fn begin(shared: &Shared, form: Form, wish: Wish, peer: SocketAddr) -> Result<(Seat, Viewer), Refusal> {
    let refuse = |fault: Fault| Refusal::Subscription(Box::new(fault));
    let Wish { asked, padding } = wish;
    let spec = Arc::new(spec(&shared.config, shared.tick, &asked, None).map_err(refuse)?);
    let seat = shared.seat(peer.ip())?;
    let last_event = shared.rounds.borrow().last_event();
    let opened = shared.open(spec).await.map_err(refuse)?;
    let (subscribed, missed) = answer_to(&asked.sub, None, asked.resume.as_ref(), &opened, shared.tick);
    let epoch = shared.epoch.to_string();
    let now = shared.clock.now();
    let hello = welcome(&shared.config, shared.tick, HEARTBEAT, &shared.name(), &epoch, &now);
    let Opened { lease, view } = opened;
    let mut begin = form.opening(RETRY, padding).into_bytes();
    begin.extend_from_slice(&form.plain(&hello));
    begin.extend_from_slice(&form.plain(&subscribed));
    let mut viewer = Viewer::new(form, lease, view.offset(), last_event, shared.metrics.clone());
    viewer.say(begin.into(), 2);
    match missed {
        Some(frames) => viewer.say(form.placed(&frames, &view.place()), frames.count),
        None => viewer.say(view.full_text(form).clone(), view.full().count),
    }
    Ok((seat, viewer))
}

/// One client: what it has, and what it is to be told next.
#[derive(Debug)]
struct Viewer {
    form: Form,
    lease: Lease,
    /// What the client has.
    offset: u64,
    last_event: u64,
    metrics: Metrics,
    out: Vec<Bytes>,
}

impl Viewer {
    fn new(form: Form, lease: Lease, offset: u64, last_event: u64, metrics: Metrics) -> Self {
        metrics.subscriptions.inc();
        Viewer { form, lease, offset, last_event, metrics, out: Vec::new() }
    }

    fn say(&mut self, text: Bytes, messages: u32) {
        self.metrics.frames.inc_by(messages.into());
        self.metrics.bytes.inc_by(text.len() as u64);
        self.out.push(text);
    }

    /// Adds what this client has not had of a round, from the offset it has straight to the last.
    fn deliver(&mut self, round: &Round) {
        let news = round.events.partition_point(|(seq, _)| *seq <= self.last_event);
        for (seq, frames) in &round.events[news..] {
            self.say(self.form.plain(frames), frames.count);
            self.last_event = *seq;
        }
        let Some(published) = round.channels.get(&self.lease.channel) else { return };
        match published.since(self.offset) {
            None => return,
            Some(Due::Shared(published)) => {
                self.say(published.text(self.form).clone(), published.frames.count);
            }
            Some(Due::Own(frames)) => {
                self.metrics.catch_ups.inc();
                self.say(self.form.placed(&frames, &published.view.place()), frames.count);
            }
        }
        self.offset = published.view.offset();
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
    loop {
        if tap.is_empty() {
            let round = Arc::clone(&rounds.borrow_and_update());
            viewer.deliver(&round);
            if viewer.pour(&tap) {
                moved = Instant::now();
            }
        }
        let waits = !tap.is_empty();
        let patience = if waits { shared.config.stall_timeout } else { HEARTBEAT };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return Some(goodbye(shared, &mut viewer, &tap).await),
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

/// Says that the server stops, and lets the client hear it.
async fn goodbye(shared: &Shared, viewer: &mut Viewer, tap: &Tap) -> Close {
    viewer.bye(Close::GoingAway, shared.spread(SPREAD));
    viewer.pour(tap);
    tap.end();
    let _ = timeout(GOODBYE, async {
        while !tap.is_empty() && !tap.is_gone() {
            tap.moved().await;
        }
    })
    .await;
    Close::GoingAway
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
        let Wish { asked, padding } = wish(&query, None).unwrap();
        let want = Subscribe {
            sub: "mine".into(),
            selectors: Some(vec!["a".into(), "b".into()]),
            interval: Some(Duration::from_millis(500)),
            clamp: true,
            limit: Some(7),
            exact: Some(true),
            resume: None,
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
            (&[("match[]", "a"), ("history", "1h")], ErrorCode::Unsupported),
            (&[("match[]", "a"); 33], ErrorCode::BadRequest),
        ] {
            assert_eq!(wish(query, None).unwrap_err().code, code, "{query:?}");
        }
    }

    #[test]
    fn b37_a_place_is_epoch_and_offset_and_anything_else_is_none() {
        let at = |epoch: &str, offset| Some(Resume::At { epoch: epoch.into(), offset });
        assert_eq!(place("00000000000000ff:12"), at("00000000000000ff", 12));
        assert_eq!(place("00000000000000FF:12"), at("00000000000000ff", 12));
        for bad in ["", ":", "ff:1", "00000000000000ff", "00000000000000ff:", "00000000000000ff:+1"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        assert_eq!(place("00000000000000ff:99999999999999999999"), None);
        assert_eq!(place("00000000000000ff:1:2"), None);
        let query = [("match[]", "a"), ("last_event_id", "0000000000000007:3")];
        assert_eq!(wish(&query, None).unwrap().asked.resume, at("0000000000000007", 3));
        let newer = wish(&query, Some("0000000000000007:5")).unwrap();
        assert_eq!(newer.asked.resume, at("0000000000000007", 5), "EventSource keeps its first address");
    }
}
