//! What clients say: the commands, and how they are read from text ([`decode`]).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::events::Kinds;
use super::{ErrorCode, Fault, MAX_NAME, MAX_SELECTOR_BYTES, MAX_SELECTORS, cut, json};

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
    /// A PromQL expression in place of selectors.
    pub query: Option<String>,
    /// Words such as `rate`, of what the selectors pick.
    pub derived: Option<Vec<String>>,
    /// How much of the past is to come first.
    pub history: Option<Duration>,
    /// The wished interval, any length.
    pub interval: Option<Duration>,
    /// Brings an interval outside of [`intervals`](super::intervals) to its nearest end instead of refusing it.
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
        /// As told by `subscribed`; only the series numbers of a query depend on it.
        channel: Option<u32>,
    },
    /// Something else; answered by a snapshot.
    Malformed,
}

/// Reads a message of a client.
///
/// # Errors
/// The [`Fault`] to answer with, and of which type the message was as far as it could be read.
pub fn decode(text: &str) -> Result<Request, (Kind, Fault)> {
    let malformed = |message: String| (Kind::Other, Fault::new(ErrorCode::BadRequest, message));
    let fields = match json::read(text) {
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
        Kind::Subscribe => read_subscribe(&fields).and_then(|asked| match (&asked.selectors, &asked.query) {
            (None, None) => {
                Err(bad("match or query is missing: a list of selectors, or a PromQL expression"))
            }
            _ => Ok(Command::Subscribe(asked)),
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

/// Kinds that `hello` may name: more than there are, since later servers know more.
const MAX_KINDS: usize = 32;

/// Words of `derived`.
const MAX_WORDS: usize = 8;

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
pub(in super::super) fn read_subscribe(fields: &Map<String, Value>) -> Result<Subscribe, Fault> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let sub = read_sub(fields)?;
    if given("query").is_some() && (given("match").is_some() || given("derived").is_some()) {
        return Err(bad("query stands alone: match, and derived, say the same in another way"));
    }
    let flag = |name: &str| match given(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(bad(format!("{name} is true or false"))),
    };
    Ok(Subscribe {
        sub,
        selectors: given("match").map(read_selectors).transpose()?,
        query: given("query").map(read_query).transpose()?,
        derived: given("derived").map(read_words).transpose()?,
        history: given("history").map(read_history).transpose()?,
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

fn read_query(value: &Value) -> Result<String, Fault> {
    match value.as_str() {
        Some(text) if text.len() <= MAX_SELECTOR_BYTES => Ok(text.to_owned()),
        _ => Err(bad(format!("query is a text of at most {MAX_SELECTOR_BYTES} bytes"))),
    }
}

fn read_words(value: &Value) -> Result<Vec<String>, Fault> {
    let words = value.as_array().filter(|words| (1..=MAX_WORDS).contains(&words.len()));
    let words: Option<Vec<String>> =
        words.and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect());
    words.ok_or_else(|| bad(format!("derived is a list of 1 to {MAX_WORDS} words such as \"rate\"")))
}

fn read_history(value: &Value) -> Result<Duration, Fault> {
    duration(value).ok_or_else(|| bad("history is a duration like \"5m\", or milliseconds, and not negative"))
}

fn read_interval(value: &Value) -> Result<Duration, Fault> {
    duration(value).ok_or_else(|| {
        let message = "interval is a duration like \"1s\" or \"1m30s\", or milliseconds, and not negative";
        Fault::new(ErrorCode::BadInterval, message)
    })
}

fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => parse_duration(text),
        Value::Number(number) => {
            number.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()).or_else(|| {
                // What is too large for a duration is longer than any range.
                number.as_f64().filter(|ms| *ms > 0.0).map(|_| Duration::MAX)
            })
        }
        _ => None,
    }
}

fn read_resume(value: &Value) -> Resume {
    let epoch = value.get("epoch").and_then(Value::as_str).filter(|epoch| is_name(epoch));
    match (epoch, value.get("offset").and_then(Value::as_u64)) {
        (Some(epoch), Some(offset)) => {
            let channel = value.get("channel").and_then(Value::as_u64);
            // A number that no channel can have is that of none.
            let channel = channel.map(|channel| u32::try_from(channel).unwrap_or(0));
            Resume::At { epoch: epoch.to_owned(), offset, channel }
        }
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
    fn unknown_fields_are_ignored_but_commands_of_later_versions_are_refused() {
        assert_eq!(subscribe(r#""colour":"red","query":null"#).unwrap().sub, "s");
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
            r#""query":"up""#,
            r#""derived":"rate""#,
            r#""derived":[]"#,
            r#""derived":[1]"#,
            r#""history":"soon""#,
            r#""history":-1"#,
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
            r#"{"type":"subscribe","sub":"s","query":7}"#,
            r#"{"type":"subscribe","sub":"s","query":"up","derived":["rate"]}"#,
            r#"{"type":"subscribe","sub":"s","derived":["rate"]}"#,
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
        let at = Resume::At { epoch: "7f3a".into(), offset: 812, channel: None };
        assert_eq!(resume(r#"{"epoch":"7f3a","offset":812}"#), at);
        for text in ["7", "{}", r#"{"epoch":"7f3a","offset":"x"}"#, r#"{"epoch":"7f3a","offset":-1}"#] {
            assert_eq!(resume(text), Resume::Malformed, "{text}");
        }
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
                "sub|match|query|derived|history|interval|limit|exact|clamp|resume|id|y",
                "1|-1|1e400|\"\"|\"1s\"|\"\\\\u0000\"|\\[\\]|\\[\"up\"\\]|true|null|\\{\"epoch\":\"e\",\"offset\":3\\}",
                0..6,
            ),
        ) {
            let fields: String = fields.iter().map(|(k, v)| format!(",\"{k}\":{v}")).collect();
            let _ = decode(&format!("{{\"type\":\"{kind}\"{fields}}}"));
        }
    }
}
