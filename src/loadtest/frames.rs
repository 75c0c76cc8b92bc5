//! What our server says, checked: [`Decoder`] reads a frame, [`Chain`] holds a subscription to `docs/protocol.md`.
//!
//! All clients of a channel get the same bytes, so a decoder remembers the last messages and reads each distinct
//! one once. Each client has a chain of its own: `prev` must be the offset that it has. What any other server says
//! may be numbered too: [`Numbers`] holds its messages to that.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::connect::LONGEST_RETRY;
use crate::client::wire::{self, Message, decode};

/// The subprotocol of our stream.
pub const SUBPROTOCOL: &str = "gaugecast.v1.json";

/// The series that carries the moment when a tick was due, in seconds: what a client waited is counted from there, so
/// that a server which ticks late does not look quick.
const DUE: &str = "gaugecast_tick_due_timestamp_seconds";

/// The next best: the moment when the tick was made, finer than `t` in milliseconds.
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
    Bye {
        /// Why.
        reason: String,
        /// After how long to come back at the soonest; `None` is never.
        retry_after: Option<Duration>,
    },
    /// Anything else: `schema`, events, signs of life.
    Other,
}

/// A snapshot, or a delta from `prev`.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Which life of the server: its epoch as a number.
    pub life: u64,
    /// Channel.
    pub channel: u64,
    /// Epoch; told by snapshots only.
    pub epoch: Option<String>,
    /// Tick it leads to.
    pub offset: u64,
    /// Tick it starts from; `None` for a snapshot.
    pub prev: Option<u64>,
    /// When it was meant to be broadcast, in Unix microseconds by the server's clock.
    pub sent_us: u64,
    /// Whether it is the last of its parts.
    pub last_part: bool,
    /// Values of series that no schema has named.
    pub unknown: u64,
}

/// Distinct messages remembered: more than the ticks that clients of one worker are apart, also on a machine that is
/// too busy. At 500 ticks a second half a second.
const RECENT: usize = 256;

/// Reads messages of one server for many clients.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The last frames, newest last.
    recent: VecDeque<(Box<[u8]>, Rc<Said>)>,
    /// Place behind the frame that was recognized last: clients get the same frames in the same order.
    next: usize,
    epoch: String,
    known: HashSet<u32>,
    due: HashSet<u32>,
    timestamps: HashSet<u32>,
}

impl Decoder {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// Tells what is wrong with it, when it is not a message of the protocol.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Rc<Said>, String> {
        if let Some(said) = self.recognize(bytes) {
            return Ok(said);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "text that is not UTF-8")?;
        let message = decode(text).map_err(|error| format!("not a message of ours: {error}"))?;
        let said = Rc::new(self.understand(message)?);
        if matches!(*said, Said::Frame(_)) {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((bytes.into(), said.clone()));
            self.next = self.recent.len();
        }
        Ok(said)
    }

    /// What was read of the same bytes before.
    fn recognize(&mut self, bytes: &[u8]) -> Option<Rc<Said>> {
        let is_same = |(seen, _): &(Box<[u8]>, Rc<Said>)| **seen == *bytes;
        let place = match self.recent.get(self.next) {
            Some(next) if is_same(next) => self.next,
            _ => self.recent.iter().rposition(is_same)?,
        };
        self.next = place + 1;
        Some(self.recent[place].1.clone())
    }

    fn understand(&mut self, message: Message) -> Result<Said, String> {
        Ok(match message {
            Message::Welcome(welcome) => {
                let epoch =
                    Some(welcome.epoch).filter(|epoch| !epoch.is_empty()).ok_or("a welcome without epoch")?;
                if epoch != self.epoch {
                    // Numbers of series mean something only within an epoch.
                    *self = Self { epoch, ..Self::default() };
                }
                Said::Other
            }
            Message::History(_) => Said::Other,
            Message::Subscribed(subscribed) => Said::Subscribed {
                channel: subscribed.channel.into(),
                interval_ms: subscribed.interval_ms,
                recovered: subscribed.recovered,
                reason: subscribed.reason,
            },
            Message::Schema(schema) => {
                let known = self.known.len();
                for series in schema.series {
                    self.known.insert(series.id);
                    match series.name.as_str() {
                        DUE => _ = self.due.insert(series.id),
                        TIMESTAMP => _ = self.timestamps.insert(series.id),
                        _ => {}
                    }
                }
                if self.known.len() > known {
                    // What was unknown before may be known now.
                    self.recent.clear();
                }
                Said::Other
            }
            Message::Snapshot(frame) => Said::Frame(self.frame(&frame, false)?),
            Message::Delta(frame) => Said::Frame(self.frame(&frame, true)?),
            Message::Error(refusal) => Said::Refused(format!("{}: {}", refusal.code, refusal.message)),
            Message::Bye(bye) => Said::Bye {
                reason: bye.reason,
                retry_after: bye
                    .reconnect
                    .then(|| Duration::from_millis(bye.retry_after_ms).min(LONGEST_RETRY)),
            },
            Message::Notice(_) | Message::Event(_) | Message::Ping | Message::Other => Said::Other,
        })
    }

    fn frame(&self, frame: &wire::Frame, is_delta: bool) -> Result<Frame, String> {
        let kind = if is_delta { "delta" } else { "snapshot" };
        if is_delta != frame.prev.is_some() {
            return Err(format!("a {kind} {} prev", if is_delta { "without" } else { "with" }));
        }
        let value = |of: &HashSet<u32>| frame.values.iter().find(|point| of.contains(&point.id));
        let exact = value(&self.due).or_else(|| value(&self.timestamps));
        let tick_us = u64::try_from(frame.t).unwrap_or(0).saturating_mul(1000);
        Ok(Frame {
            life: u64::from_str_radix(&self.epoch, 16).unwrap_or(0),
            channel: frame.channel.into(),
            epoch: frame.epoch.clone(),
            offset: frame.offset,
            prev: frame.prev,
            sent_us: exact.map_or(tick_us, |point| (point.value * 1e6) as u64),
            last_part: frame.part == frame.parts,
            unknown: frame.values.iter().filter(|point| !self.known.contains(&point.id)).count() as u64,
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

/// Where a client stands in messages that are numbered one by one.
#[derive(Debug, Default)]
pub struct Numbers {
    last: Option<u64>,
    awaits_first: bool,
}

impl Numbers {
    /// The connection is gone. One that comes back with the last event's id must go on with the next number; any
    /// other begins anew.
    pub fn disconnected(&mut self, resumes: bool) {
        self.awaits_first = true;
        if !resumes {
            self.last = None;
        }
    }

    /// Takes a number.
    pub fn take(&mut self, number: u64) -> Step {
        let is_first = std::mem::take(&mut self.awaits_first);
        let step = match self.last {
            None => Step::First,
            Some(last) if number == last.saturating_add(1) => {
                if is_first {
                    Step::First
                } else {
                    Step::Next
                }
            }
            Some(last) if number > last => Step::Gap,
            Some(last) if number == last => Step::Duplicate,
            Some(_) => Step::OutOfOrder,
        };
        self.last = Some(self.last.map_or(number, |last| last.max(number)));
        step
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn frame(prev: Option<u64>, offset: u64) -> Frame {
        let epoch = prev.is_none().then(|| "e".into());
        Frame { life: 0, channel: 1, epoch, offset, prev, sent_us: 0, last_part: true, unknown: 0 }
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
        let examples: Vec<Value> =
            serde_json::from_str(include_str!("../../docs/protocol/messages.json")).unwrap();
        let mut decoder = Decoder::default();
        for example in examples.iter().filter(|example| example["direction"] == "server") {
            let text = example["message"].to_string();
            decoder.decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }

    #[test]
    fn numbered_messages_are_held_to_their_order() {
        use Step::{Duplicate, First, Gap, Next, OutOfOrder};
        let mut numbers = Numbers::default();
        numbers.disconnected(false);
        let steps = [5, 6, 6, 9, 8, 10].map(|number| numbers.take(number));
        assert_eq!(steps, [First, Next, Duplicate, Gap, OutOfOrder, Next]);
        numbers.disconnected(true);
        assert_eq!(numbers.take(12), Gap, "it asked to go on from 10");
        numbers.disconnected(true);
        assert_eq!(numbers.take(13), First);
        numbers.disconnected(false);
        assert_eq!(numbers.take(99), First);
    }

    #[test]
    fn values_need_a_schema_and_the_finest_time_counts() {
        let mut decoder = Decoder::default();
        let mut sent = |schema: &[(u32, &str)], offset: u64| {
            let series: Vec<Value> = schema
                .iter()
                .map(|(id, name)| serde_json::json!({"id": id, "name": name, "labels": {}}))
                .collect();
            let schema =
                serde_json::json!({"type": "schema", "channel": 1, "families": {}, "series": series});
            decoder.decode(schema.to_string().as_bytes()).unwrap();
            let delta = format!(
                r#"{{"type":"delta","channel":1,"offset":{offset},"prev":2,"t":1700,"values":[[4,1.5],[5,1.25],[6,"NaN"]]}}"#
            );
            match &*decoder.decode(delta.as_bytes()).unwrap() {
                Said::Frame(frame) => (frame.unknown, frame.sent_us),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sent(&[], 3), (3, 1_700_000));
        assert_eq!(sent(&[(4, TIMESTAMP), (6, "b")], 3), (1, 1_500_000));
        assert_eq!(sent(&[(5, DUE)], 4), (0, 1_250_000));
    }

    #[test]
    fn a_frame_is_read_once_for_all_who_get_it_in_whatever_order() {
        let mut decoder = Decoder::default();
        let delta = |offset: u64| {
            format!(r#"{{"type":"delta","channel":1,"offset":{offset},"prev":2,"t":1,"values":[]}}"#)
        };
        let mut read = |offset| decoder.decode(delta(offset).as_bytes()).unwrap();
        let first: Vec<Rc<Said>> = (10..30).map(&mut read).collect();
        for offset in (10..30).chain((10..30).rev()).chain([10, 29, 11, 12, 20]) {
            assert!(Rc::ptr_eq(&read(offset), &first[offset as usize - 10]), "{offset}");
        }
        (30..30 + RECENT as u64).for_each(|offset| _ = read(offset));
        assert!(!Rc::ptr_eq(&read(10), &first[0]), "what is long gone is read anew");
        assert_eq!(*read(10), *first[0]);
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
