//! The server's messages as a client reads them.
//!
//! Unknown types and fields are ignored, as the protocol asks of clients; a known message that lacks what it must
//! have, or has it in another kind, is an error.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// A message of the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    Welcome(Welcome),
    Subscribed(Subscribed),
    Schema(Schema),
    History(History),
    Snapshot(Frame),
    Delta(Frame),
    Error(Refusal),
    Notice(Notice),
    Event(Happened),
    Ping,
    Bye(Bye),
    /// Of a type that needs no answer here, or that is not known.
    Other,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) ping_ms: u64,
    #[serde(default)]
    pub(crate) epoch: String,
    /// Number of the last event.
    #[serde(default)]
    pub(crate) seq: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Happened {
    pub(crate) kind: String,
    pub(crate) t: i64,
    pub(crate) seq: Option<u64>,
    /// The kind's own fields, and `type`.
    #[serde(flatten)]
    pub(crate) fields: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Subscribed {
    pub(crate) sub: String,
    pub(crate) channel: u32,
    pub(crate) interval_ms: u64,
    pub(crate) recovered: bool,
    #[serde(default)]
    pub(crate) truncated: bool,
    /// Why it was not recovered.
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Schema {
    pub(crate) channel: u32,
    pub(crate) families: BTreeMap<String, Family>,
    pub(crate) series: Vec<Series>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Family {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Series {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) family: Option<String>,
}

/// The past of series, or a part of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct History {
    pub(crate) channel: u32,
    pub(crate) points: Vec<(u32, Vec<Past>)>,
}

/// Time, and the value; none where the series had ended.
type Past = (i64, Option<Number>);

/// `snapshot` and `delta`: the one has `epoch`, the other `prev`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Frame {
    pub(crate) channel: u32,
    pub(crate) epoch: Option<String>,
    pub(crate) prev: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) t: i64,
    #[serde(default = "one")]
    pub(crate) part: u32,
    #[serde(default = "one")]
    pub(crate) parts: u32,
    pub(crate) values: Vec<Point>,
    #[serde(default)]
    pub(crate) stale: Vec<u32>,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) sub: Option<String>,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) column: Option<usize>,
    #[serde(default)]
    pub(crate) retryable: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Notice {
    pub(crate) channel: Option<u32>,
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Bye {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) reconnect: bool,
    #[serde(default)]
    pub(crate) retry_after_ms: u64,
}

/// `[id, value]` or `[id, value, time]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) id: u32,
    pub(crate) value: f64,
    pub(crate) time: Option<i64>,
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[id, value] or [id, value, time]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Point, A::Error> {
                let id = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let Number(value) = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                let time = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Point { id, value, time })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// A value: a number, or the text of one that JSON has not or that is exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"+Inf\", \"-Inf\" or digits")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            #[allow(clippy::cast_precision_loss, reason = "a value is a double; the server wrote it as one")]
            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            #[allow(clippy::cast_precision_loss, reason = "a value is a double; the server wrote it as one")]
            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                let digits = text.strip_prefix('-').unwrap_or(text);
                match text {
                    "NaN" => Ok(Number(f64::NAN)),
                    "+Inf" => Ok(Number(f64::INFINITY)),
                    "-Inf" => Ok(Number(f64::NEG_INFINITY)),
                    _ if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                        text.parse().map(Number).map_err(E::custom)
                    }
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Reads a message.
pub(crate) fn decode(text: &str) -> serde_json::Result<Message> {
    /// Read first, by itself: with `type` somewhere in it, a message would otherwise be read into a tree.
    #[derive(Deserialize)]
    struct Type<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let Type { kind } = serde_json::from_str(text)?;
    Ok(match &*kind {
        "welcome" => Message::Welcome(serde_json::from_str(text)?),
        "subscribed" => Message::Subscribed(serde_json::from_str(text)?),
        "schema" => Message::Schema(serde_json::from_str(text)?),
        "history" => Message::History(serde_json::from_str(text)?),
        "snapshot" => Message::Snapshot(serde_json::from_str(text)?),
        "delta" => Message::Delta(serde_json::from_str(text)?),
        "error" => Message::Error(serde_json::from_str(text)?),
        "notice" => Message::Notice(serde_json::from_str(text)?),
        "event" => Message::Event(serde_json::from_str(text)?),
        "ping" => Message::Ping,
        "bye" => Message::Bye(serde_json::from_str(text)?),
        _ => Message::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    const FIXTURES: &str = include_str!("../../docs/protocol/messages.json");

    fn fixtures() -> Vec<(String, Value)> {
        let all: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
        let all = all.into_iter().filter(|fixture| fixture["direction"] == "server");
        all.map(|fixture| (fixture["name"].as_str().unwrap().to_owned(), fixture["message"].clone()))
            .collect()
    }

    fn fixture(name: &str) -> Message {
        let (_, message) = fixtures().into_iter().find(|(known, _)| known == name).unwrap();
        decode(&message.to_string()).unwrap()
    }

    #[test]
    fn every_example_of_the_protocol_is_read_as_what_it_is() {
        for (name, message) in fixtures() {
            let read = decode(&message.to_string()).unwrap();
            let is_right = match (message["type"].as_str().unwrap(), &read) {
                ("welcome", Message::Welcome(welcome)) => welcome.ping_ms == 25_000,
                ("subscribed", Message::Subscribed(it)) => message["channel"] == it.channel,
                ("schema", Message::Schema(it)) => {
                    message["series"].as_array().unwrap().len() == it.series.len()
                }
                ("history", Message::History(it)) => {
                    it.points[0].1[0] == (1_699_999_998_000, Some(Number(12.0)))
                        && it.points[1].1[1].1.is_none()
                }
                ("snapshot", Message::Snapshot(it)) => message["epoch"] == it.epoch.clone().unwrap(),
                ("delta", Message::Delta(it)) => message["prev"] == it.prev.unwrap(),
                ("error", Message::Error(it)) => message["code"] == it.code,
                ("notice", Message::Notice(it)) => message["code"] == it.code,
                ("bye", Message::Bye(it)) => message["retry_after_ms"] == it.retry_after_ms,
                ("event", Message::Event(it)) => {
                    message["kind"] == it.kind && message.get("seq").and_then(Value::as_u64) == it.seq
                }
                ("ping", Message::Ping) | ("ok" | "pong" | "unsubscribed", Message::Other) => true,
                _ => false,
            };
            assert!(is_right, "{name}: {read:?}");
        }
    }

    #[test]
    fn values_are_read_with_their_own_times_and_what_json_has_no_number_for() {
        let Message::Delta(delta) = fixture("delta") else { panic!("not a delta") };
        assert_eq!(delta.values[0], Point { id: 2, value: 1235.25, time: Some(1_700_000_001_500) });
        assert!(delta.values[1].value.is_nan());
        let Message::Snapshot(exact) = fixture("snapshot, exact") else { panic!("not a snapshot") };
        assert_eq!(exact.values[0].value, 18_446_744_073_709_551_616.0);
    }

    #[test]
    fn messages_and_fields_of_later_versions_are_ignored() {
        assert_eq!(decode(r#"{"type":"shout","x":[1]}"#).unwrap(), Message::Other);
        let later =
            r#"{"new":{},"type":"delta","channel":1,"offset":2,"prev":1,"t":0,"values":[[1,2,3,"new"]]}"#;
        assert!(matches!(decode(later), Ok(Message::Delta(_))));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"welcome"}"#,
            r#"{"type":"delta","channel":-1,"offset":2,"prev":1,"t":0,"values":[]}"#,
            r#"{"type":"delta","channel":1,"offset":2,"prev":1,"t":0,"values":[[1]]}"#,
            r#"{"type":"delta","channel":1,"offset":2,"prev":1,"t":0,"values":[[1,"soon"]]}"#,
            r#"{"type":"delta","channel":1,"offset":2,"prev":1,"t":0,"values":[[1,"inf"]]}"#,
            r#"{"type":"delta","channel":1,"offset":2,"prev":1,"t":0,"values":[[1,null]]}"#,
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_double_is_read_as_it_was_written(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let mut text = Vec::new();
            crate::exposition::number::push_json(&mut text, value);
            let Number(read) = serde_json::from_slice(&text).unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{}", value);
        }
    }
}
