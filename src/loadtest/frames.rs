//! What our server says, checked: [`Decoder`] reads a frame, [`Chain`] holds a subscription to `docs/protocol.md`.
//!
//! All clients of a channel get the same bytes, so a decoder remembers the last message and reads each distinct
//! one once. Each client has a chain of its own: `prev` must be the offset that it has.

use std::collections::HashSet;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

/// The subprotocol of our stream.
pub const SUBPROTOCOL: &str = "gaugecast.v1.json";

/// The series that carries the moment of a broadcast in seconds, finer than `t` in milliseconds.
const TIMESTAMP: &str = "gaugecast_synthetic_timestamp_seconds";

/// A message of the server, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A subscription was accepted.
    Subscribed {
        /// Channel of its frames.
        channel: u64,
        /// The interval granted.
        interval_ms: u64,
        /// Whether it goes on where the client was.
        recovered: bool,
        /// Why not, when it was asked to.
        reason: Option<String>,
    },
    /// A snapshot or delta.
    Frame(Frame),
    /// A command was not carried out.
    Refused(String),
    /// The server is about to close.
    Bye(String),
    /// Anything else: `schema`, events, signs of life.
    Other,
}

/// A snapshot, or a delta from `prev`.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Channel.
    pub channel: u64,
    /// Epoch; told by snapshots only.
    pub epoch: Option<String>,
    /// Tick it leads to.
    pub offset: u64,
    /// Tick it starts from; `None` for a snapshot.
    pub prev: Option<u64>,
    /// When it was broadcast, in Unix microseconds by the server's clock.
    pub sent_us: u64,
    /// Whether it is the last of its parts.
    pub last_part: bool,
    /// Values of series that no schema has named.
    pub unknown: u64,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    channel: u64,
    epoch: Option<String>,
    #[serde(default)]
    offset: u64,
    prev: Option<u64>,
    t: Option<u64>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
    #[serde(default)]
    series: Vec<Named>,
    part: Option<u64>,
    parts: Option<u64>,
    #[serde(default)]
    interval_ms: u64,
    #[serde(default)]
    recovered: bool,
    code: Option<Value>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
    name: String,
}

/// Reads messages of one server for many clients.
#[derive(Debug, Default)]
pub struct Decoder {
    last: Option<(Box<[u8]>, Rc<Said>)>,
    epoch: String,
    known: HashSet<u64>,
    timestamps: HashSet<u64>,
}

impl Decoder {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it, when it is not a message of the protocol.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Rc<Said>, String> {
        if let Some((last, said)) = &self.last
            && **last == *bytes
        {
            return Ok(said.clone());
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| format!("not a message of ours: {error}"))?;
        let said = Rc::new(self.understand(raw)?);
        if matches!(*said, Said::Frame(_)) {
            self.last = Some((bytes.into(), said.clone()));
        }
        Ok(said)
    }

    fn understand(&mut self, raw: Raw) -> Result<Said, String> {
        Ok(match raw.kind.as_str() {
            "welcome" => {
                let epoch = raw.epoch.ok_or("a welcome without epoch")?;
                if epoch != self.epoch {
                    // Numbers of series mean something only within an epoch.
                    *self = Self { epoch, ..Self::default() };
                }
                Said::Other
            }
            "subscribed" => Said::Subscribed {
                channel: raw.channel,
                interval_ms: raw.interval_ms,
                recovered: raw.recovered,
                reason: raw.reason,
            },
            "schema" => {
                for Named { id, name } in raw.series {
                    self.known.insert(id);
                    if name == TIMESTAMP {
                        self.timestamps.insert(id);
                    }
                }
                Said::Other
            }
            kind @ ("snapshot" | "delta") => {
                let is_delta = kind == "delta";
                if is_delta != raw.prev.is_some() {
                    return Err(format!("a {kind} {} prev", if is_delta { "without" } else { "with" }));
                }
                let mut sent_us = raw.t.ok_or("a frame without t")?.saturating_mul(1000);
                let mut unknown = 0;
                for value in &raw.values {
                    let [id, value, ..] = value.as_slice() else {
                        return Err("a value that is not [id, value]".into());
                    };
                    let id = id.as_u64().ok_or("a value whose id is no whole number")?;
                    if !self.known.contains(&id) {
                        unknown += 1;
                    }
                    if self.timestamps.contains(&id)
                        && let Some(seconds) = value.as_f64()
                    {
                        sent_us = (seconds * 1e6) as u64;
                    }
                }
                Said::Frame(Frame {
                    channel: raw.channel,
                    epoch: raw.epoch,
                    offset: raw.offset,
                    prev: raw.prev,
                    sent_us,
                    last_part: raw.part == raw.parts,
                    unknown,
                })
            }
            "error" => {
                let code = raw.code.map(|code| code.to_string()).unwrap_or_default();
                Said::Refused(format!("{code}: {}", raw.message.unwrap_or_default()))
            }
            "bye" => Said::Bye(raw.reason.unwrap_or_default()),
            _ => Said::Other,
        })
    }
}

/// What a frame was to the client that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Of another channel, or a part that is not the last.
    None,
    /// The first state after subscribing; its age says nothing of the delivery.
    First,
    /// The next delta.
    Next,
    /// A snapshot instead of a delta.
    Anew,
    /// Something between was never seen.
    Gap,
    /// Seen already, wholly or in part.
    Duplicate,
    /// Older than what is had.
    OutOfOrder,
}

/// Where one subscription stands.
#[derive(Debug, Default)]
pub struct Chain {
    channel: Option<u64>,
    epoch: Option<Box<str>>,
    offset: Option<u64>,
    awaits_first: bool,
}

impl Chain {
    /// Epoch and offset to resume from.
    #[must_use]
    pub fn position(&self) -> Option<(&str, u64)> {
        Some((self.epoch.as_deref()?, self.offset?))
    }

    /// The connection is gone: frames count again once a subscription is accepted.
    pub fn disconnected(&mut self) {
        self.channel = None;
    }

    /// A subscription was accepted on `channel`; `recovered`: it goes on from [`Chain::position`].
    pub fn subscribed(&mut self, channel: u64, recovered: bool) {
        self.channel = Some(channel);
        self.awaits_first = true;
        if !recovered {
            self.offset = None;
        }
    }

    /// Takes a frame.
    pub fn take(&mut self, frame: &Frame) -> Step {
        if self.channel != Some(frame.channel) || !frame.last_part {
            return Step::None;
        }
        let step = match (frame.prev, self.offset) {
            (None, Some(have)) if frame.offset < have => Step::OutOfOrder,
            (None, _) => Step::Anew,
            (Some(prev), Some(have)) if prev == have && frame.offset > have => Step::Next,
            // Back before the next tick: the answer to a resume says that nothing has changed.
            (Some(prev), Some(have)) if prev == have && frame.offset == have && self.awaits_first => {
                Step::Next
            }
            (Some(_), Some(have)) if frame.offset < have => Step::OutOfOrder,
            (Some(prev), Some(have)) if prev <= have => Step::Duplicate,
            (Some(_), _) => Step::Gap,
        };
        if frame.epoch.is_some() {
            self.epoch = frame.epoch.as_deref().map(Into::into);
        }
        self.offset = Some(self.offset.map_or(frame.offset, |have| have.max(frame.offset)));
        match step {
            Step::Next | Step::Anew if std::mem::take(&mut self.awaits_first) => Step::First,
            step => step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(prev: Option<u64>, offset: u64) -> Frame {
        let epoch = prev.is_none().then(|| "e".into());
        Frame { channel: 1, epoch, offset, prev, sent_us: 0, last_part: true, unknown: 0 }
    }

    fn steps(frames: &[(Option<u64>, u64)]) -> Vec<Step> {
        let mut chain = Chain::default();
        chain.subscribed(1, false);
        frames.iter().map(|(prev, offset)| chain.take(&frame(*prev, *offset))).collect()
    }

    #[test]
    fn a_chain_without_faults_is_first_then_next() {
        use Step::{Anew, First, Next};
        assert_eq!(
            steps(&[(None, 2), (Some(2), 3), (Some(3), 7), (None, 9), (Some(9), 10)]),
            [First, Next, Next, Anew, Next]
        );
    }

    #[test]
    fn gaps_duplicates_and_disorder_are_told_apart() {
        use Step::{Duplicate, First, Gap, Next, OutOfOrder};
        assert_eq!(steps(&[(None, 2), (Some(3), 4), (Some(4), 5)]), [First, Gap, Next]);
        assert_eq!(steps(&[(None, 2), (Some(2), 3), (Some(2), 3)]), [First, Next, Duplicate]);
        assert_eq!(steps(&[(None, 2), (Some(2), 3), (Some(2), 4)]), [First, Next, Duplicate]);
        assert_eq!(steps(&[(None, 5), (Some(3), 4), (None, 4)]), [First, OutOfOrder, OutOfOrder]);
        assert_eq!(steps(&[(Some(1), 2)]), [Gap], "a delta without a state");
    }

    #[test]
    fn a_resumed_chain_must_go_on_where_it_was() {
        let mut chain = Chain::default();
        chain.subscribed(1, false);
        chain.take(&frame(None, 5));
        chain.disconnected();
        assert_eq!(chain.take(&frame(Some(5), 6)), Step::None);
        assert_eq!(chain.position(), Some(("e", 5)));
        chain.subscribed(1, true);
        assert_eq!(chain.take(&frame(Some(6), 7)), Step::Gap);
        chain.subscribed(1, true);
        assert_eq!(chain.take(&frame(Some(7), 9)), Step::First);
        chain.subscribed(1, true);
        assert_eq!(chain.take(&frame(Some(9), 9)), Step::First, "nothing has changed meanwhile");
        assert_eq!(chain.take(&frame(Some(9), 9)), Step::Duplicate);
    }

    #[test]
    fn the_protocols_own_examples_are_understood() {
        let examples: Value =
            serde_json::from_str(include_str!("../../docs/protocol/messages.json")).unwrap();
        let mut found = 0;
        let mut walk = vec![examples];
        let mut decoder = Decoder::default();
        while let Some(value) = walk.pop() {
            if value["type"].is_string() {
                let text = value.to_string();
                decoder.decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
                found += 1;
            } else if let Value::Object(map) = value {
                walk.extend(map.into_iter().map(|(_, value)| value));
            } else if let Value::Array(list) = value {
                walk.extend(list);
            }
        }
        assert!(found > 20, "{found}");
    }

    #[test]
    fn values_need_a_schema_and_the_synthetic_series_gives_the_finer_time() {
        let mut decoder = Decoder::default();
        let delta =
            r#"{"type":"delta","channel":1,"offset":3,"prev":2,"t":1700,"values":[[4,1.5],[5,"NaN"]]}"#;
        let said = decoder.decode(delta.as_bytes()).unwrap();
        assert!(matches!(&*said, Said::Frame(f) if f.unknown == 2 && f.sent_us == 1_700_000));
        let schema = format!(
            r#"{{"type":"schema","channel":1,"families":{{}},"series":[{{"id":4,"name":"{TIMESTAMP}","labels":{{}}}},{{"id":5,"name":"b","labels":{{}}}}]}}"#
        );
        decoder.decode(schema.as_bytes()).unwrap();
        let said = decoder.decode(delta.replace("\"offset\":3", "\"offset\":4").as_bytes()).unwrap();
        assert!(matches!(&*said, Said::Frame(f) if f.unknown == 0 && f.sent_us == 1_500_000));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for text in
            ["", "[]", r#"{"type":"delta","channel":1}"#, r#"{"type":"delta","prev":1,"t":1,"values":[[1]]}"#]
        {
            assert!(Decoder::default().decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
