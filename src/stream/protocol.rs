//! The messages of `gaugecast.v1.json`, as `docs/protocol.md` defines them: what clients say is read here with
//! care, and what the server says, but for `schema`, `snapshot` and `delta` (see `encode`), is written.
//!
//! Reading refuses what cannot be meant: text that is not one JSON object, nesting deeper than [`MAX_DEPTH`], a
//! key that stands twice, a number that does not fit. Unknown fields are ignored; fields and commands of later
//! versions that would change the answer are refused by name (`unsupported`), never silently dropped.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::events::Kinds;
use super::frame::{self, Frames};

/// The subprotocol by name.
pub const SUBPROTOCOL: &str = "gaugecast.v1.json";

/// How deep objects and arrays may lie in each other. Our own messages need three.
pub const MAX_DEPTH: usize = 32;

/// Shortest and longest interval of a subscription, when a tick takes no less than the shortest.
pub const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(250)..=Duration::from_hours(1);

/// Shortest and longest interval of a subscription with this tick: whoever lets the server tick faster than
/// [`INTERVALS`] may ask for every tick.
#[must_use]
pub fn intervals(tick: Duration) -> std::ops::RangeInclusive<Duration> {
    tick.min(*INTERVALS.start())..=*INTERVALS.end()
}

/// Interval of a subscription that asks for none.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Selectors of one subscription.
pub const MAX_SELECTORS: usize = 32;

/// Bytes of all selectors of one subscription.
pub const MAX_SELECTOR_BYTES: usize = 8 << 10;

/// Characters of a `sub`, of an `id` that is text, and of what an error repeats of the client's words.
pub const MAX_NAME: usize = 64;

/// What a client calls its request; repeated in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// A whole number, not negative.
    Number(u64),
    /// Text of at most [`MAX_NAME`] characters.
    Text(String),
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// See [`Id`].
    pub id: Option<Id>,
    /// What it asks.
    pub command: Command,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Introduces itself.
    Hello(Hello),
    /// A new subscription.
    Subscribe(Subscribe),
    /// Changes the selection, interval or form of a subscription; what is not said stays.
    Update(Subscribe),
    /// Ends a subscription.
    Unsubscribe {
        /// Which.
        sub: String,
    },
    /// Asks for a `pong`.
    Ping,
    /// A sign of life that answers the server's `ping`.
    Pong,
}

impl Command {
    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Command::Hello(_) => Kind::Hello,
            Command::Subscribe(_) => Kind::Subscribe,
            Command::Update(_) => Kind::Update,
            Command::Unsubscribe { .. } => Kind::Unsubscribe,
            Command::Ping => Kind::Ping,
            Command::Pong => Kind::Pong,
        }
    }
}

/// Types of client messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Hello,
    Subscribe,
    Update,
    Unsubscribe,
    Ping,
    Pong,
    Refresh,
    Ack,
    /// None of them, or no message at all.
    Other,
}

impl Kind {
    /// The word on the wire; `other` for [`Kind::Other`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Hello => "hello",
            Kind::Subscribe => "subscribe",
            Kind::Update => "update",
            Kind::Unsubscribe => "unsubscribe",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Refresh => "refresh",
            Kind::Ack => "ack",
            Kind::Other => "other",
        }
    }

    fn of(word: &str) -> Kind {
        let known = [
            Kind::Hello,
            Kind::Subscribe,
            Kind::Update,
            Kind::Unsubscribe,
            Kind::Ping,
            Kind::Pong,
            Kind::Refresh,
            Kind::Ack,
        ];
        known.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::Other)
    }
}

/// What `hello` says; `None` is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Kinds of events that are wanted.
    pub events: Option<Kinds>,
    /// The last event that was had.
    pub resume: Option<ResumeEvents>,
}

/// After which event a client that was connected before wants to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumeEvents {
    /// The last that it had, or that `welcome` told.
    After {
        /// As told by `welcome`.
        epoch: String,
        /// As told by the event, or by `welcome`.
        seq: u64,
    },
    /// Something else; answered by a resync.
    Malformed,
}

/// What `subscribe` and `update` say; `None` is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    /// The client's name for the subscription, 1 to [`MAX_NAME`] characters.
    pub sub: String,
    /// Selectors as text, 1 to [`MAX_SELECTORS`]; a series is chosen when any of them picks it.
    pub selectors: Option<Vec<String>>,
    /// The wished interval, any length.
    pub interval: Option<Duration>,
    /// Brings an interval outside of [`intervals`] to its nearest end instead of refusing it.
    pub clamp: bool,
    /// The most series to send, at least 1; with it too many matches are no error.
    pub limit: Option<usize>,
    /// Whole numbers beyond 2^53 as strings.
    pub exact: Option<bool>,
    /// From where to go on.
    pub resume: Option<Resume>,
}

/// From where a client that was connected before wants to go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// What its last `snapshot` or `delta` said.
    At {
        /// As told by `welcome` and `snapshot`.
        epoch: String,
        /// As told by `snapshot` and `delta`.
        offset: u64,
    },
    /// Something else; answered by a snapshot.
    Malformed,
}

/// Codes of the `error` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, not an object, an unknown type, a field of the wrong kind.
    BadRequest,
    /// A field or command that this server does not know yet.
    Unsupported,
    /// A selector breaks the grammar; `column` says where.
    BadSelector,
    /// An interval outside of the range.
    BadInterval,
    /// A selection matches more series than a subscription may have.
    TooManySeries,
    /// The `sub` is in use on this connection.
    AlreadySubscribed,
    /// No subscription has this `sub`.
    UnknownSubscription,
    /// One subscription, or one distinct selection, more than allowed.
    LimitExceeded,
    /// Too many commands a second; this one was not carried out.
    RateLimited,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Unsupported => "unsupported",
            ErrorCode::BadSelector => "bad_selector",
            ErrorCode::BadInterval => "bad_interval",
            ErrorCode::TooManySeries => "too_many_series",
            ErrorCode::AlreadySubscribed => "already_subscribed",
            ErrorCode::UnknownSubscription => "unknown_subscription",
            ErrorCode::LimitExceeded => "limit_exceeded",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::Internal => "internal",
        }
    }
}

/// The `error` message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The subscription it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Box<str>>,
    /// The request it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: Box<str>,
    /// Position in the selector, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// How many series matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<usize>,
    /// How many are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// May the same request succeed later?
    pub retryable: bool,
}

impl Fault {
    /// A fault that the same request would meet again.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        let retryable = matches!(code, ErrorCode::RateLimited | ErrorCode::Internal);
        Fault { sub: None, id: None, code, message, column: None, matched: None, limit: None, retryable }
    }

    /// Of which subscription and request it tells.
    #[must_use]
    pub fn about(mut self, sub: Option<&str>, id: Option<&Id>) -> Self {
        self.sub = sub.map(Into::into);
        self.id = id.cloned();
        self
    }

    /// Does it count towards the limit of malformed messages?
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.code == ErrorCode::BadRequest
    }
}

/// Why the server ends a connection: the `bye` message, the close code and the advice, one value each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The server stops.
    GoingAway,
    /// A frame that breaks RFC 6455.
    ProtocolError,
    /// A binary message; this subprotocol is text.
    Binary,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// A message that does not end: too long in time.
    Unfinished,
    /// A message that is too long, or in too many fragments.
    TooLong,
    /// A fault of ours.
    Internal,
    /// Too many malformed messages.
    BadRequests,
    /// Said nothing after connecting.
    HelloTimeout,
    /// Did not read for too long.
    Slow,
    /// Did not answer a ping.
    NoPong,
    /// Too many commands.
    TooManyCommands,
    /// Too many pings.
    TooManyPings,
}

impl Close {
    /// All of them.
    pub const ALL: [Close; 13] = [
        Close::GoingAway,
        Close::ProtocolError,
        Close::Binary,
        Close::NotUtf8,
        Close::Unfinished,
        Close::TooLong,
        Close::Internal,
        Close::BadRequests,
        Close::HelloTimeout,
        Close::Slow,
        Close::NoPong,
        Close::TooManyCommands,
        Close::TooManyPings,
    ];

    /// The close code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Close::GoingAway => 1001,
            Close::ProtocolError => 1002,
            Close::Binary => 1003,
            Close::NotUtf8 => 1007,
            Close::Unfinished => 1008,
            Close::TooLong => 1009,
            Close::Internal => 1011,
            Close::BadRequests => 4400,
            Close::HelloTimeout | Close::Slow => 4408,
            Close::NoPong => 4409,
            Close::TooManyCommands | Close::TooManyPings => 4429,
        }
    }

    /// The reason as one word, `bye.reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Close::GoingAway => "going_away",
            Close::ProtocolError => "protocol_error",
            Close::Binary => "binary_message",
            Close::NotUtf8 => "not_utf8",
            Close::Unfinished => "unfinished_message",
            Close::TooLong => "message_too_long",
            Close::Internal => "internal",
            Close::BadRequests => "bad_requests",
            Close::HelloTimeout => "hello_timeout",
            Close::Slow => "slow",
            Close::NoPong => "no_pong",
            Close::TooManyCommands => "rate_limited",
            Close::TooManyPings => "ping_flood",
        }
    }

    /// In words, for the close frame.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Close::GoingAway => "the server stops",
            Close::ProtocolError => "a frame breaks RFC 6455",
            Close::Binary => "this subprotocol has text messages only",
            Close::NotUtf8 => "a text message is not UTF-8",
            Close::Unfinished => "a message took too long to end",
            Close::TooLong => "a message is too long or has too many fragments",
            Close::Internal => "a fault of the server",
            Close::BadRequests => "too many malformed messages",
            Close::HelloTimeout => "neither hello nor subscribe came in time",
            Close::Slow => "nothing was read for too long",
            Close::NoPong => "a ping was not answered",
            Close::TooManyCommands => "too many commands",
            Close::TooManyPings => "too many pings",
        }
    }

    /// Should the client connect again, and after how long at the soonest? `None`: it should not.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Close::GoingAway => Some(Duration::ZERO),
            Close::Internal | Close::Slow | Close::NoPong | Close::HelloTimeout => {
                Some(Duration::from_secs(1))
            }
            Close::TooManyCommands | Close::TooManyPings => Some(Duration::from_secs(10)),
            Close::ProtocolError
            | Close::Binary
            | Close::NotUtf8
            | Close::Unfinished
            | Close::TooLong
            | Close::BadRequests => None,
        }
    }

    /// `bye` and the close frame. `spread` is added to the time to wait, so that many clients do not come
    /// back at once.
    pub(super) fn frames(self, spread: Duration) -> [Frames; 2] {
        let retry = self.retry_after();
        let bye = Server::Bye {
            code: self.code(),
            reason: self.reason(),
            reconnect: retry.is_some(),
            retry_after_ms: retry.map_or(0, |retry| millis(retry + spread)),
        };
        let reason = format!("{}: {}", self.reason(), self.explanation());
        [bye.frame(), frame::close(self.code(), &reason)]
    }
}

/// What a server says, but for `schema`, `snapshot`, `delta` and events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Server<'a> {
    /// The first message of a connection.
    Welcome {
        /// Names the connection in logs.
        session: &'a str,
        /// Names the life of the server process.
        epoch: &'a str,
        /// Unix milliseconds.
        server_time: i64,
        /// After how much silence the server pings.
        ping_ms: u64,
        /// Number of the last event.
        seq: u64,
        /// See [`Limits`].
        limits: Limits,
        /// What this server can do, in words.
        features: &'a [&'a str],
        /// Version of the program.
        version: &'a str,
    },
    /// Answers `subscribe` and `update`.
    Subscribed {
        /// As asked.
        sub: &'a str,
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
        /// By which the frames of this selection are known.
        channel: u32,
        /// The granted interval.
        interval_ms: u64,
        /// Series that are sent now.
        matched: usize,
        /// Does the subscription go on from `resume`? If so a `delta` follows, else a `snapshot`.
        recovered: bool,
        /// Why it does not, when `resume` was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        /// More series match than `limit` lets through.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// Answers `unsubscribe`.
    Unsubscribed {
        /// As asked.
        sub: &'a str,
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
    },
    /// See [`Fault`].
    Error(&'a Fault),
    /// A sign of life after silence.
    Ping {
        /// Unix milliseconds.
        server_time: i64,
    },
    /// Answers `ping`.
    Pong {
        /// Repeated.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id>,
        /// Unix milliseconds.
        server_time: i64,
    },
    /// Answers a command that has an id and no other answer.
    Ok {
        /// Repeated.
        id: &'a Id,
    },
    /// Something to know about a channel.
    Notice {
        /// Which channel.
        channel: u32,
        /// For programs.
        code: &'a str,
        /// How often its frames come now, where that changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        interval_ms: Option<u64>,
        /// For people.
        message: &'a str,
    },
    /// The server closes; see [`Close`].
    Bye {
        /// Close code.
        code: u16,
        /// One word.
        reason: &'a str,
        /// Should the client come back?
        reconnect: bool,
        /// Not before this time has passed.
        retry_after_ms: u64,
    },
}

impl Server<'_> {
    /// The message as JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("these types have only text keys and no failing parts")
    }

    /// The message as a frame.
    pub(super) fn frame(&self) -> Frames {
        frame::text(&self.json())
    }
}

/// The limits of a connection, as `welcome` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Series of one subscription.
    pub series: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Commands a second.
    pub commands_per_second: u32,
    /// Shortest interval.
    pub min_interval_ms: u64,
    /// Longest interval.
    pub max_interval_ms: u64,
    /// The tick; intervals are rounded up to a multiple of it.
    pub tick_ms: u64,
}

/// Whole milliseconds, rounded down; the most there is if it does not fit.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a message of a client.
///
/// # Errors
/// The [`Fault`] to answer with, and of which type the message was as far as it could be read.
pub fn decode(text: &str) -> Result<Request, (Kind, Fault)> {
    let malformed = |message: String| (Kind::Other, Fault::new(ErrorCode::BadRequest, message));
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Careful { depth: 0 }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    let fields = match value {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(malformed("a message is a JSON object".into())),
        Err(error) => return Err(malformed(format!("not JSON as it is read here: {error}"))),
    };
    let id = match fields.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) if number.is_u64() => number.as_u64().map(Id::Number),
        Some(Value::String(text)) if text.chars().count() <= MAX_NAME => Some(Id::Text(text.clone())),
        Some(_) => {
            return Err(malformed(format!(
                "id is a whole number or a text of at most {MAX_NAME} characters"
            )));
        }
    };
    let sub = fields.get("sub").and_then(Value::as_str).filter(|sub| is_name(sub));
    let about = |fault: Fault| fault.about(sub, id.as_ref());
    let Some(word) = fields.get("type").and_then(Value::as_str) else {
        let (kind, fault) = malformed("a message has a type".into());
        return Err((kind, about(fault)));
    };
    let kind = Kind::of(word);
    let command = match kind {
        Kind::Hello => read_hello(&fields).map(Command::Hello),
        Kind::Ping => Ok(Command::Ping),
        Kind::Pong => Ok(Command::Pong),
        Kind::Subscribe => read_subscribe(&fields).and_then(|asked| match asked.selectors {
            Some(_) => Ok(Command::Subscribe(asked)),
            None => Err(bad("match is missing: a list of selectors")),
        }),
        Kind::Update => read_subscribe(&fields).map(Command::Update),
        Kind::Unsubscribe => read_sub(&fields).map(|sub| Command::Unsubscribe { sub }),
        Kind::Refresh | Kind::Ack => {
            Err(Fault::new(ErrorCode::Unsupported, format!("{word} is not supported yet")))
        }
        Kind::Other => Err(bad(format!("unknown type {:?}", cut(word)))),
    };
    match command {
        Ok(command) => Ok(Request { id, command }),
        Err(fault) => Err((kind, about(fault))),
    }
}

fn bad(message: impl Into<Box<str>>) -> Fault {
    Fault::new(ErrorCode::BadRequest, message)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_NAME
}

/// The first [`MAX_NAME`] characters.
fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_NAME).map_or(text, |(at, _)| &text[..at])
}

/// Fields of `subscribe` that later versions know. Ignoring them would answer another question than was asked.
const LATER: [&str; 3] = ["query", "history", "derived"];

/// Kinds that `hello` may name: more than there are, since later servers know more.
const MAX_KINDS: usize = 32;

fn read_hello(fields: &Map<String, Value>) -> Result<Hello, Fault> {
    let words = |list: &Vec<Value>| list.iter().all(Value::is_string) && list.len() <= MAX_KINDS;
    let events = match fields.get("events") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) if words(list) => Some(Kinds::of(list.iter().filter_map(Value::as_str))),
        Some(_) => return Err(bad(format!("events is a list of at most {MAX_KINDS} kinds of events"))),
    };
    let resume = fields.get("resume").filter(|resume| !resume.is_null()).map(|resume| {
        let epoch = resume.get("epoch").and_then(Value::as_str).filter(|epoch| is_name(epoch));
        match (epoch, resume.get("seq").and_then(Value::as_u64)) {
            (Some(epoch), Some(seq)) => ResumeEvents::After { epoch: epoch.to_owned(), seq },
            _ => ResumeEvents::Malformed,
        }
    });
    Ok(Hello { events, resume })
}

fn read_sub(fields: &Map<String, Value>) -> Result<String, Fault> {
    match fields.get("sub") {
        Some(Value::String(sub)) if is_name(sub) => Ok(sub.clone()),
        _ => Err(bad(format!("sub is a text of 1 to {MAX_NAME} characters"))),
    }
}

/// Reads the fields of `subscribe` and `update`, but for `type` and `id`.
pub(super) fn read_subscribe(fields: &Map<String, Value>) -> Result<Subscribe, Fault> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let sub = read_sub(fields)?;
    if let Some(field) = LATER.iter().find(|field| given(field).is_some()) {
        return Err(Fault::new(ErrorCode::Unsupported, format!("{field} is not supported yet")));
    }
    let flag = |name: &str| match given(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(bad(format!("{name} is true or false"))),
    };
    Ok(Subscribe {
        sub,
        selectors: given("match").map(read_selectors).transpose()?,
        interval: given("interval").map(read_interval).transpose()?,
        clamp: flag("clamp")?.unwrap_or(false),
        limit: match given("limit") {
            None => None,
            Some(value) => match value.as_u64().and_then(|limit| usize::try_from(limit).ok()) {
                Some(limit) if limit > 0 => Some(limit),
                _ => return Err(bad("limit is a whole number of at least 1")),
            },
        },
        exact: flag("exact")?,
        resume: given("resume").map(read_resume),
    })
}

fn read_selectors(value: &Value) -> Result<Vec<String>, Fault> {
    let wanted = || bad(format!("match is a list of 1 to {MAX_SELECTORS} selectors, each a text"));
    let list = value.as_array().ok_or_else(wanted)?;
    let texts: Option<Vec<String>> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    let texts = texts.filter(|texts| (1..=MAX_SELECTORS).contains(&texts.len())).ok_or_else(wanted)?;
    if texts.iter().map(String::len).sum::<usize>() > MAX_SELECTOR_BYTES {
        return Err(bad(format!("the selectors of a subscription have at most {MAX_SELECTOR_BYTES} bytes")));
    }
    Ok(texts)
}

fn read_interval(value: &Value) -> Result<Duration, Fault> {
    let read = match value {
        Value::String(text) => parse_duration(text),
        Value::Number(number) => {
            number.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()).or_else(|| {
                // What is too large for a duration is longer than any range.
                number.as_f64().filter(|ms| *ms > 0.0).map(|_| Duration::MAX)
            })
        }
        _ => None,
    };
    read.ok_or_else(|| {
        let message = "interval is a duration like \"1s\" or \"1m30s\", or milliseconds, and not negative";
        Fault::new(ErrorCode::BadInterval, message)
    })
}

fn read_resume(value: &Value) -> Resume {
    let epoch = value.get("epoch").and_then(Value::as_str).filter(|epoch| is_name(epoch));
    match (epoch, value.get("offset").and_then(Value::as_u64)) {
        (Some(epoch), Some(offset)) => Resume::At { epoch: epoch.to_owned(), offset },
        _ => Resume::Malformed,
    }
}

/// A duration as Prometheus writes it, `1h30m`, `250ms`, also with a fraction, `1.5s`. `None` if it is none.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(count * seconds).unwrap_or(Duration::MAX);
        sum = sum.saturating_add(part);
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(sum)
}

/// Builds a [`Value`], and refuses depth and keys that stand twice; serde_json alone allows 128 levels and
/// keeps the last of equal keys.
#[derive(Clone, Copy)]
struct Careful {
    depth: usize,
}

impl Careful {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Careful { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Careful {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Careful {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key {:?} stands twice", cut(&key))));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> Fault {
        decode(text).expect_err(text).1
    }

    fn message(text: &str) -> Box<str> {
        let fault = fault(text);
        assert_eq!(fault.code, ErrorCode::BadRequest, "{text}");
        fault.message
    }

    fn subscribe(fields: &str) -> Result<Subscribe, Fault> {
        let text = format!(r#"{{"type":"subscribe","sub":"s","match":["up"],{fields}}}"#);
        match decode(&text) {
            Ok(Request { command: Command::Subscribe(asked), .. }) => Ok(asked),
            Ok(other) => panic!("{other:?}"),
            Err((_, fault)) => Err(fault),
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused_by_what_it_is() {
        assert!(message("").contains("EOF"));
        assert!(message("{} x").contains("trailing characters"));
        assert!(message("[1]").contains("JSON object"));
        assert!(message("{}").contains("has a type"));
        assert!(message(r#"{"type":"bogus\n"}"#).contains(r#"unknown type "bogus\n""#));
        assert!(message(r#"{"type":"ping","type":"ping"}"#).contains(r#""type" stands twice"#));
        assert!(message(r#"{"type":"ping","x":[{"a":1,"a":2}]}"#).contains("stands twice"));
        assert!(message(r#"{"type":"ping","x":1e999}"#).contains("out of range"));
        assert!(message(r#"{"type":"ping","id":-1}"#).contains("id is"));
        assert!(message(r#"{"type":"ping","id":1.5}"#).contains("id is"));
    }

    #[test]
    fn nesting_is_read_to_a_depth_of_32_and_no_deeper() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"type":"ping","x":{open}{close}}}"#)
        };
        assert!(decode(&nested(32)).is_ok());
        assert!(message(&nested(33)).contains("deeper than 32"));
        assert!(message(&nested(10_000)).contains("deeper than 32"));
    }

    #[test]
    fn an_error_names_the_request_and_the_subscription_it_is_about() {
        let fault = fault(r#"{"type":"subscribe","sub":"cpu","id":"a1","match":"up"}"#);
        assert_eq!((fault.sub.as_deref(), fault.id), (Some("cpu"), Some(Id::Text("a1".into()))));
        assert!(!fault.retryable);
    }

    #[test]
    fn unknown_fields_are_ignored_but_those_of_later_versions_are_refused() {
        assert_eq!(subscribe(r#""colour":"red","query":null"#).unwrap().sub, "s");
        for field in ["query", "history", "derived"] {
            let fault = subscribe(&format!(r#""{field}":"x""#)).unwrap_err();
            assert_eq!(fault.code, ErrorCode::Unsupported);
            assert!(fault.message.contains(field));
        }
        assert_eq!(fault(r#"{"type":"ack","alert":1}"#).code, ErrorCode::Unsupported);
    }

    #[test]
    fn fields_of_the_wrong_kind_are_refused() {
        for fields in [
            r#""clamp":1"#,
            r#""exact":"yes""#,
            r#""limit":0"#,
            r#""limit":1.5"#,
            r#""limit":-1"#,
            r#""limit":"9""#,
        ] {
            assert_eq!(subscribe(fields).unwrap_err().code, ErrorCode::BadRequest, "{fields}");
        }
        for text in [
            r#"{"type":"subscribe","sub":"s"}"#,
            r#"{"type":"subscribe","sub":"s","match":[]}"#,
            r#"{"type":"subscribe","sub":"s","match":"up"}"#,
            r#"{"type":"subscribe","sub":"s","match":[1]}"#,
            r#"{"type":"subscribe","sub":"","match":["up"]}"#,
            r#"{"type":"subscribe","sub":7,"match":["up"]}"#,
            r#"{"type":"unsubscribe"}"#,
        ] {
            assert_eq!(fault(text).code, ErrorCode::BadRequest, "{text}");
        }
        let many = vec!["\"up\""; MAX_SELECTORS + 1].join(",");
        assert!(message(&format!(r#"{{"type":"subscribe","sub":"s","match":[{many}]}}"#)).contains("32"));
        let long = "x".repeat(MAX_SELECTOR_BYTES + 1);
        assert!(message(&format!(r#"{{"type":"subscribe","sub":"s","match":["{long}"]}}"#)).contains("8192"));
        let name = "é".repeat(MAX_NAME);
        assert!(decode(&format!(r#"{{"type":"unsubscribe","sub":"{name}"}}"#)).is_ok());
        assert!(message(&format!(r#"{{"type":"unsubscribe","sub":"{name}x"}}"#)).contains("64"));
    }

    #[test]
    fn intervals_are_durations_or_milliseconds() {
        let interval = |text: &str| subscribe(&format!(r#""interval":{text}"#)).map(|asked| asked.interval);
        for (text, ms) in [
            ("\"1s\"", 1000),
            ("\"1m30s\"", 90_000),
            ("\"250ms\"", 250),
            ("\"1.5s\"", 1500),
            ("250", 250),
            ("0", 0),
            ("\"0s\"", 0),
        ] {
            assert_eq!(interval(text).unwrap(), Some(Duration::from_millis(ms)), "{text}");
        }
        assert!(interval("\"10y\"").unwrap().unwrap() > Duration::from_hours(24 * 3649));
        assert_eq!(interval("1e300").unwrap(), Some(Duration::MAX));
        for text in ["-1", "\"-1s\"", "\"1ns\"", "\"\"", "\"1\"", "\"s\"", "\"1..s\"", "true", "\"1 s\""] {
            assert_eq!(interval(text).unwrap_err().code, ErrorCode::BadInterval, "{text}");
        }
    }

    #[test]
    fn a_resume_that_makes_no_sense_is_no_error() {
        let resume = |text: &str| subscribe(&format!(r#""resume":{text}"#)).unwrap().resume.unwrap();
        let at = Resume::At { epoch: "7f3a".into(), offset: 812 };
        assert_eq!(resume(r#"{"epoch":"7f3a","offset":812}"#), at);
        for text in ["7", "{}", r#"{"epoch":"7f3a","offset":"x"}"#, r#"{"epoch":"7f3a","offset":-1}"#] {
            assert_eq!(resume(text), Resume::Malformed, "{text}");
        }
    }

    #[test]
    fn every_close_has_a_reason_that_fits_and_a_code_of_its_range() {
        for close in Close::ALL {
            assert!(close.reason().len() + close.explanation().len() + 2 <= 123, "{close:?}");
            assert!(matches!(close.code(), 1001..=1011 | 4400..=4429), "{close:?}");
        }
        assert_eq!(Close::BadRequests.retry_after(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = decode(&text);
        }

        #[test]
        fn any_message_of_the_right_shape_is_read_or_refused(
            kind in "hello|subscribe|update|unsubscribe|ping|pong|x",
            fields in proptest::collection::btree_map(
                "sub|match|interval|limit|exact|clamp|resume|id|y",
                "1|-1|1e400|\"\"|\"1s\"|\"\\\\u0000\"|\\[\\]|\\[\"up\"\\]|true|null|\\{\"epoch\":\"e\",\"offset\":3\\}",
                0..6,
            ),
        ) {
            let fields: String = fields.iter().map(|(k, v)| format!(",\"{k}\":{v}")).collect();
            let _ = decode(&format!("{{\"type\":\"{kind}\"{fields}}}"));
        }
    }
}
