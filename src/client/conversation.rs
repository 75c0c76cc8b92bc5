//! The dialogue with a server over one connection after the other: its messages and the time go in, events and
//! messages come out. It touches no socket and asks for no time; [`super::connection`] drives it.
//!
//! A subscription that has a snapshot is asked for with `resume` on the next connection, so nothing is missed. A
//! delta that does not go on from the offset reached ([`Fault::Gap`]) makes the subscription ask anew in the same
//! way; anything else that cannot be ends the connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::model::{Applied, Fault, Model, Series};
use super::wire::{self, Message};

/// How long the answer to a ping of the server may take on its way, beyond the silence after which it pings.
const GRACE: Duration = Duration::from_secs(10);

/// How long a new connection may be silent, before `welcome` says what is usual.
const FIRST_SILENCE: Duration = Duration::from_secs(30);

/// After what time something that the server refused for now is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// So many gaps without a frame that fits between them are no accident.
const GAPS: u32 = 3;

/// The longest advice of a server to stay away that is followed.
const LONGEST_ADVICE: Duration = Duration::from_mins(10);

/// What to subscribe to.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    sub: Arc<str>,
    what: What,
    derived: Vec<String>,
    history: Duration,
    interval: Duration,
    limit: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Selectors(Vec<String>),
    Query(String),
}

impl Subscription {
    /// The series that any of these PromQL selectors picks, once a second. `sub` is the caller's name for it, 1 to 64
    /// characters.
    pub fn new<S: Into<String>>(sub: &str, selectors: impl IntoIterator<Item = S>) -> Self {
        let selectors = selectors.into_iter().map(Into::into).collect();
        Self::of(sub, What::Selectors(selectors))
    }

    /// What a PromQL expression gives, evaluated at the server once a second. Ids of its series are those of this
    /// subscription.
    pub fn query(sub: &str, query: impl Into<String>) -> Self {
        Self::of(sub, What::Query(query.into()))
    }

    fn of(sub: &str, what: What) -> Self {
        let (derived, history) = (Vec::new(), Duration::ZERO);
        Subscription {
            sub: sub.into(),
            what,
            derived,
            history,
            interval: Duration::from_secs(1),
            limit: None,
        }
    }

    /// Of what the selectors pick not the values, but what these words say: `rate`, `max[1m]`, … ("Queries" in
    /// `docs/protocol.md`). Not for a query.
    #[must_use]
    pub fn derived<S: Into<String>>(self, words: impl IntoIterator<Item = S>) -> Self {
        Subscription { derived: words.into_iter().map(Into::into).collect(), ..self }
    }

    /// How much of the past comes before the first snapshot ([`Event::History`]), at most 600 points a series; none by
    /// default.
    #[must_use]
    pub fn history(self, history: Duration) -> Self {
        Subscription { history, ..self }
    }

    /// How often frames are wanted; the server takes the nearest interval that it allows. 1 s by default.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Subscription { interval, ..self }
    }

    /// The most series, at least 1; without a limit the server refuses a selection that is too large.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Subscription { limit: Some(limit), ..self }
    }

    fn message(&self, resume: Option<(&str, u64)>, channel: Option<u32>) -> String {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut message = json!({
            "type": "subscribe", "sub": &*self.sub, "interval": millis(self.interval).max(1), "clamp": true
        });
        match &self.what {
            What::Selectors(selectors) => message["match"] = json!(selectors),
            What::Query(query) => message["query"] = json!(query),
        }
        if !self.derived.is_empty() {
            message["derived"] = json!(self.derived);
        }
        if !self.history.is_zero() {
            message["history"] = millis(self.history).max(1).into();
        }
        if let Some(limit) = self.limit {
            message["limit"] = limit.into();
        }
        if let Some((epoch, offset)) = resume {
            message["resume"] = json!({"epoch": epoch, "offset": offset});
            // Series numbers of what is evaluated are those of its channel.
            let is_evaluated = matches!(self.what, What::Query(_)) || !self.derived.is_empty();
            if let Some(channel) = channel.filter(|_| is_evaluated) {
                message["resume"]["channel"] = channel.into();
            }
        }
        message.to_string()
    }
}

/// A subscription of this name exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a subscription {0:?} already")]
pub struct AlreadySubscribed(pub String);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server has answered; subscriptions are on their way.
    Connected,
    /// A subscription is granted.
    Subscribed {
        /// Which.
        sub: Arc<str>,
        /// The granted interval.
        interval: Duration,
        /// Does it go on where it was? If not, a snapshot follows.
        recovered: bool,
        /// Are more series picked than the limit lets through?
        truncated: bool,
    },
    /// Points of the past came, before the snapshot; a long past comes in several of these.
    History {
        /// Of which subscription.
        sub: Arc<str>,
        /// The series, which have no values yet, with their points in order of time.
        past: Vec<(Series, Vec<Past>)>,
    },
    /// All values came.
    Snapshot(Change),
    /// What has changed came.
    Delta(Change),
    /// A subscription was refused. If that is for good it is over, else it will be asked for again.
    Refused(Refused),
    /// Something to know.
    Notice {
        /// About which subscription, if it is about one.
        sub: Option<Arc<str>>,
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// Something happened on the server. None is missing and none comes twice, over broken connections too.
    Happened(Happened),
    /// The connection is gone and will be tried again after the time.
    Lost {
        /// Why.
        why: Lost,
        /// From now.
        wait: Duration,
    },
    /// The connection is gone for good; nothing follows.
    Ended(Lost),
}

/// An event of the server, see "Events" in `docs/protocol.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Its number in the server's life; `performance` has none.
    pub seq: Option<u64>,
    /// What: `clock`, `reload`, `target`, `resync`, `performance`, or what later servers tell.
    pub kind: String,
    /// When, Unix milliseconds.
    pub time_ms: i64,
    /// What belongs to the kind.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// A point of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Unix milliseconds.
    pub time_ms: i64,
    /// The value; `None` where the series had ended.
    pub value: Option<f64>,
}

/// What a frame did to the model of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which subscription.
    pub sub: Arc<str>,
    /// The tick it led to.
    pub offset: u64,
    /// Time of that tick, Unix milliseconds.
    pub time_ms: i64,
    /// Ids of the series that have a value from this frame, in its order.
    pub values: Vec<u32>,
    /// Series that are gone, with their last values.
    pub stale: Vec<Series>,
}

/// Why a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refused {
    /// Which.
    pub sub: Arc<str>,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// Position in the selector, in characters from 1.
    pub column: Option<usize>,
    /// Will it be asked for again?
    pub retryable: bool,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The server closed it.
    Closed {
        /// Close code.
        code: u16,
        /// In words.
        reason: String,
        /// Not before this time; none is not to come back.
        retry_after: Option<Duration>,
    },
    /// The server does not let us in.
    Refused {
        /// HTTP status.
        status: u16,
        /// In words.
        reason: String,
        /// Not before this time.
        retry_after: Duration,
    },
    /// The network, or the server's machine.
    Network(String),
    /// Nothing was heard for too long.
    Silence,
    /// The server says what it must not.
    Protocol(String),
}

impl Lost {
    /// How long to stay away at least; none is for good.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Lost::Closed { retry_after, .. } => retry_after.map(|after| after.min(LONGEST_ADVICE)),
            Lost::Refused { retry_after, .. } => Some((*retry_after).min(LONGEST_ADVICE)),
            Lost::Network(_) | Lost::Silence | Lost::Protocol(_) => Some(Duration::ZERO),
        }
    }

    /// A close frame without a `bye` before it: the codes after which coming back is of no use are those of
    /// `docs/protocol.md`.
    pub(super) fn closed(code: u16, reason: &str) -> Self {
        let for_good =
            matches!(code, 1002 | 1003 | 1007 | 1008 | 1009 | 4400 | 4401 | 4403 | 4410 | 4413 | 4426);
        let retry_after = (!for_good).then_some(Duration::ZERO);
        Lost::Closed { code, reason: reason.to_owned(), retry_after }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Closed { code, reason, .. } => {
                write!(f, "the server closed the connection: {reason} ({code})")
            }
            Lost::Refused { status, reason, .. } => write!(f, "the server answers {status}: {reason}"),
            Lost::Network(error) => write!(f, "{error}"),
            Lost::Silence => f.write_str("the server has gone silent"),
            Lost::Protocol(fault) => write!(f, "the server breaks the protocol: {fault}"),
        }
    }
}

impl std::error::Error for Lost {}

/// The dialogue.
#[derive(Debug)]
pub(super) struct Conversation {
    name: String,
    max_series: usize,
    entries: Vec<Entry>,
    events: VecDeque<Event>,
    outgoing: VecDeque<String>,
    /// Kinds of events that are wanted; the server's choice if none are named.
    kinds: Option<Vec<String>>,
    /// Epoch and number of the last event that was had.
    had: Option<(String, u64)>,
    /// Of the server that is connected.
    epoch: String,
    /// Does `resume` of the last `hello` name another life of the server? Then numbers begin anew.
    anew: bool,
    welcomed: bool,
    /// A frame came over this connection: it works.
    works: bool,
    heard: Duration,
    silence: Duration,
}

#[derive(Debug)]
struct Entry {
    subscription: Subscription,
    state: State,
    model: Model,
    /// The last that was granted.
    channel: Option<u32>,
    gaps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Not asked for over this connection.
    Idle,
    Asked,
    /// Granted, by the channel.
    On(u32),
    /// To be asked for again at this time.
    Later(Duration),
}

impl Conversation {
    /// A dialogue that has not begun.
    pub(super) fn new(name: &str, kinds: Option<&[String]>, max_series: usize) -> Self {
        Conversation {
            kinds: kinds.map(<[String]>::to_vec),
            had: None,
            epoch: String::new(),
            anew: false,
            name: name.to_owned(),
            max_series,
            entries: Vec::new(),
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            welcomed: false,
            works: false,
            heard: Duration::ZERO,
            silence: Duration::MAX,
        }
    }

    pub(super) fn model(&self, sub: &str) -> Option<&Model> {
        self.entries.iter().find(|entry| &*entry.subscription.sub == sub).map(|entry| &entry.model)
    }

    pub(super) fn subscribe(&mut self, subscription: Subscription) -> Result<(), AlreadySubscribed> {
        if self.model(&subscription.sub).is_some() {
            return Err(AlreadySubscribed(subscription.sub.to_string()));
        }
        let model = Model::new(self.max_series);
        self.entries.push(Entry { subscription, state: State::Idle, model, channel: None, gaps: 0 });
        self.ask();
        Ok(())
    }

    /// Ends a subscription; false if there is none of this name.
    pub(super) fn unsubscribe(&mut self, sub: &str) -> bool {
        let Some(at) = self.entries.iter().position(|entry| &*entry.subscription.sub == sub) else {
            return false;
        };
        let entry = self.entries.remove(at);
        if matches!(entry.state, State::Asked | State::On(_)) {
            self.outgoing.push_back(unsubscribe(sub));
        }
        true
    }

    /// Asks for what was not asked for over this connection.
    fn ask(&mut self) {
        if !self.welcomed {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::Idle) {
            self.outgoing.push_back(entry.subscription.message(entry.model.resume(), entry.channel));
            entry.state = State::Asked;
        }
    }

    /// A connection begins, or is gone: nothing is asked for over it yet.
    pub(super) fn connected(&mut self, now: Duration) {
        (self.welcomed, self.works) = (false, false);
        self.heard = now;
        self.silence = FIRST_SILENCE;
        self.outgoing.clear();
        for entry in &mut self.entries {
            entry.state = State::Idle;
            entry.gaps = 0;
            entry.model.go_on();
        }
    }

    /// Has the server greeted, over this connection?
    pub(super) fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// Has a frame come over this connection?
    pub(super) fn works(&self) -> bool {
        self.works
    }

    /// What the socket is to send next.
    pub(super) fn next_message(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    pub(super) fn has_message(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What the caller is to know next.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Something other than a message was heard: a ping.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// A message came. An error ends the connection.
    pub(super) fn receive(&mut self, text: &str, now: Duration) -> Result<(), Lost> {
        self.heard(now);
        let message = wire::decode(text).map_err(|error| Lost::Protocol(error.to_string()))?;
        match message {
            Message::Welcome(welcome) => {
                self.welcomed = true;
                self.silence = Duration::from_millis(welcome.ping_ms).saturating_add(GRACE);
                self.hello(welcome.epoch, welcome.seq);
                self.tell(Event::Connected);
                self.ask();
            }
            Message::Subscribed(subscribed) => self.subscribed(subscribed),
            Message::Schema(schema) => {
                for at in self.of_channel(schema.channel) {
                    self.entries[at].model.schema(schema.clone()).map_err(fault)?;
                }
            }
            Message::History(history) => self.history(&history)?,
            Message::Snapshot(frame) => self.frame(true, frame)?,
            Message::Delta(frame) => self.frame(false, frame)?,
            Message::Error(refusal) => self.refused(refusal, now),
            Message::Notice(notice) => {
                let entry = notice.channel.and_then(|channel| self.of_channel(channel).first().copied());
                let sub = entry.map(|at| Arc::clone(&self.entries[at].subscription.sub));
                self.tell(Event::Notice { sub, code: notice.code, message: notice.message });
            }
            Message::Event(happened) => self.happened(happened),
            Message::Ping => self.outgoing.push_back(json!({"type": "pong"}).to_string()),
            Message::Bye(bye) => {
                let retry_after = bye.reconnect.then(|| Duration::from_millis(bye.retry_after_ms));
                return Err(Lost::Closed { code: bye.code, reason: bye.reason, retry_after });
            }
            Message::Other => {}
        }
        Ok(())
    }

    /// Introduces itself, and says which event it had last.
    fn hello(&mut self, epoch: String, seq: u64) {
        let mut hello = json!({"type": "hello", "client": self.name});
        if let Some(kinds) = &self.kinds {
            hello["events"] = json!(kinds);
        }
        if let Some((epoch, seq)) = &self.had {
            hello["resume"] = json!({"epoch": epoch, "seq": seq});
        }
        self.outgoing.push_back(hello.to_string());
        // Another life's numbers count for nothing; until the resync came they are what the server must hear.
        self.anew = self.had.as_ref().is_some_and(|(had, _)| *had != epoch);
        self.epoch = epoch;
        if self.had.is_none() {
            self.had = Some((self.epoch.clone(), seq));
        }
    }

    fn happened(&mut self, happened: wire::Happened) {
        let wire::Happened { kind, t: time_ms, seq, mut fields } = happened;
        fields.remove("type");
        if let Some(seq) = seq {
            // A resync of those who knew of nothing may have the number they began with.
            let last = self.had.as_ref().filter(|_| !self.anew).map_or(0, |(_, last)| *last);
            if seq <= last && kind != "resync" {
                return;
            }
            self.anew = false;
            self.had = Some((self.epoch.clone(), seq));
        }
        self.tell(Event::Happened(Happened { seq, kind, time_ms, fields }));
    }

    fn of_channel(&self, channel: u32) -> Vec<usize> {
        (0..self.entries.len()).filter(|at| self.entries[*at].state == State::On(channel)).collect()
    }

    fn subscribed(&mut self, subscribed: wire::Subscribed) {
        let wire::Subscribed { sub, channel, interval_ms, recovered, truncated, reason: _ } = subscribed;
        let asked = self.entries.iter_mut().find(|entry| *entry.subscription.sub == *sub);
        let Some(entry) = asked.filter(|entry| entry.state == State::Asked) else { return };
        entry.state = State::On(channel);
        entry.channel = Some(channel);
        if !recovered {
            entry.model.begin_anew();
        }
        let (sub, interval) = (Arc::clone(&entry.subscription.sub), Duration::from_millis(interval_ms));
        self.tell(Event::Subscribed { sub, interval, recovered, truncated });
    }

    /// The past is for those who begin; others may have the same channel.
    fn history(&mut self, history: &wire::History) -> Result<(), Lost> {
        for at in self.of_channel(history.channel) {
            let Entry { subscription, model, .. } = &self.entries[at];
            if model.offset().is_some() {
                continue;
            }
            let point =
                |&(time_ms, value): &(i64, Option<wire::Number>)| Past { time_ms, value: value.map(|v| v.0) };
            let past = history.points.iter().map(|(id, points)| {
                let series = model.described(*id).ok_or(Fault::UnknownSeries(*id))?;
                Ok((series.clone(), points.iter().map(point).collect()))
            });
            let past = past.collect::<Result<_, _>>().map_err(fault)?;
            let sub = Arc::clone(&subscription.sub);
            self.tell(Event::History { sub, past });
        }
        Ok(())
    }

    fn frame(&mut self, snapshot: bool, frame: wire::Frame) -> Result<(), Lost> {
        for at in self.of_channel(frame.channel) {
            let entry = &mut self.entries[at];
            match entry.model.frame(snapshot, frame.clone()) {
                Ok(None) => {}
                Ok(Some(Applied { snapshot, values, stale })) => {
                    entry.gaps = 0;
                    self.works = true;
                    let (sub, offset, time_ms) = (Arc::clone(&entry.subscription.sub), frame.offset, frame.t);
                    let change = Change { sub, offset, time_ms, values, stale };
                    self.tell(if snapshot { Event::Snapshot(change) } else { Event::Delta(change) });
                }
                Err(gap @ Fault::Gap { .. }) => {
                    entry.gaps += 1;
                    if entry.gaps > GAPS {
                        return Err(fault(gap));
                    }
                    entry.model.go_on();
                    entry.state = State::Idle;
                    self.outgoing.push_back(unsubscribe(&entry.subscription.sub));
                }
                Err(other) => return Err(fault(other)),
            }
        }
        self.ask();
        Ok(())
    }

    fn refused(&mut self, refusal: wire::Refusal, now: Duration) {
        let wire::Refusal { sub, code, message, column, retryable } = refusal;
        let asked = |entry: &Entry| {
            entry.state == State::Asked && sub.as_deref().is_none_or(|sub| sub == &*entry.subscription.sub)
        };
        let Some(at) = self.entries.iter().position(asked) else {
            return self.tell(Event::Notice { sub: None, code, message });
        };
        let name = Arc::clone(&self.entries[at].subscription.sub);
        if retryable {
            self.entries[at].state = State::Later(now.saturating_add(AGAIN));
        } else {
            self.entries.remove(at);
        }
        self.tell(Event::Refused(Refused { sub: name, code, message, column, retryable }));
    }

    /// Looks after time. An error ends the connection.
    pub(super) fn wake(&mut self, now: Duration) -> Result<(), Lost> {
        if now >= self.heard.saturating_add(self.silence) {
            return Err(Lost::Silence);
        }
        for entry in &mut self.entries {
            if matches!(entry.state, State::Later(at) if at <= now) {
                entry.state = State::Idle;
            }
        }
        self.ask();
        Ok(())
    }

    /// When [`Conversation::wake`] has something to do, if nothing happens before.
    pub(super) fn next_wake(&self) -> Duration {
        let later = self.entries.iter().filter_map(|entry| match entry.state {
            State::Later(at) => Some(at),
            State::Idle | State::Asked | State::On(_) => None,
        });
        later.chain([self.heard.saturating_add(self.silence)]).min().unwrap_or(Duration::MAX)
    }
}

fn unsubscribe(sub: &str) -> String {
    json!({"type": "unsubscribe", "sub": sub}).to_string()
}

fn fault(fault: Fault) -> Lost {
    Lost::Protocol(fault.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn say(conversation: &mut Conversation, message: Value) -> Result<(), Lost> {
        conversation.receive(&message.to_string(), S(1))
    }

    fn sent(conversation: &mut Conversation) -> Vec<Value> {
        std::iter::from_fn(|| conversation.next_message())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    #[test]
    fn a_query_has_its_past_first_and_goes_on_by_its_channel() {
        let mut talk = Conversation::new("test", None, 100);
        talk.connected(S(0));
        let query = Subscription::query("q", "sum by (job) (rate(x[30s]))").history(S(300));
        talk.subscribe(query).unwrap();
        say(&mut talk, json!({"type": "welcome", "ping_ms": 25_000, "epoch": "e", "seq": 0})).unwrap();
        let asked = sent(&mut talk).pop().unwrap();
        assert_eq!(
            (&asked["query"], &asked["history"]),
            (&json!("sum by (job) (rate(x[30s]))"), &json!(300_000))
        );
        assert_eq!(asked.get("match"), None);
        let subscribed =
            json!({"type": "subscribed", "sub": "q", "channel": 4, "interval_ms": 1000, "recovered": false});
        say(&mut talk, subscribed).unwrap();
        let unknown = json!({"": {"type": "unknown", "help": "", "unit": ""}});
        let series = json!([{"id": 1, "name": "", "labels": {"job": "api"}}]);
        say(&mut talk, json!({"type": "schema", "channel": 4, "families": unknown, "series": series}))
            .unwrap();
        let points = json!([[1, [[1000, 7], [2000, null]]]]);
        let past = json!({"type": "history", "channel": 4, "from": 0, "until": 3000, "points": points});
        say(&mut talk, past.clone()).unwrap();
        let values = json!([[1, 9]]);
        say(
            &mut talk,
            json!({"type": "snapshot", "channel": 4, "epoch": "e", "offset": 3, "t": 3000, "values": values}),
        )
        .unwrap();
        say(&mut talk, past).unwrap();
        let events: Vec<Event> = std::iter::from_fn(|| talk.next_event()).collect();
        let [Event::Connected, Event::Subscribed { .. }, Event::History { past, .. }, Event::Snapshot(_)] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(past[0].0.key(), r#"{job="api"}"#);
        let point = |time_ms, value| Past { time_ms, value };
        assert_eq!(past[0].1, [point(1000, Some(7.0)), point(2000, None)]);
        talk.connected(S(5));
        say(&mut talk, json!({"type": "welcome", "ping_ms": 25_000, "epoch": "e", "seq": 0})).unwrap();
        let resume = json!({"epoch": "e", "offset": 3, "channel": 4});
        assert_eq!(sent(&mut talk).pop().unwrap()["resume"], resume);
    }

    fn told(conversation: &mut Conversation) -> Vec<Event> {
        std::iter::from_fn(|| conversation.next_event()).collect()
    }

    fn welcome(conversation: &mut Conversation) {
        conversation.connected(S(1));
        say(conversation, json!({"type": "welcome", "ping_ms": 25_000})).unwrap();
    }

    fn granted(recovered: bool) -> Value {
        json!({"type": "subscribed", "sub": "s", "channel": 4, "interval_ms": 1000, "recovered": recovered})
    }

    /// Subscribed, with series 1 at offset 7.
    fn going() -> Conversation {
        let mut conversation = Conversation::new("test", None, 10);
        conversation.subscribe(Subscription::new("s", ["a"])).unwrap();
        welcome(&mut conversation);
        say(&mut conversation, granted(false)).unwrap();
        let families = json!({"a": {"type": "gauge", "help": "", "unit": ""}});
        let series = json!([{"id": 1, "name": "a", "labels": {}}]);
        say(
            &mut conversation,
            json!({"type": "schema", "channel": 4, "families": families, "series": series}),
        )
        .unwrap();
        let snapshot =
            json!({"type": "snapshot", "channel": 4, "epoch": "e", "offset": 7, "t": 0, "values": [[1, 5]]});
        say(&mut conversation, snapshot).unwrap();
        conversation
    }

    fn delta(prev: u64, offset: u64, value: u64) -> Value {
        json!({"type": "delta", "channel": 4, "prev": prev, "offset": offset, "t": 0, "values": [[1, value]]})
    }

    #[test]
    fn it_says_hello_asks_and_tells_what_came() {
        let mut conversation = going();
        let said = sent(&mut conversation);
        assert_eq!((&said[0]["type"], &said[1]["sub"]), (&json!("hello"), &json!("s")));
        assert_eq!(said.len(), 2);
        let events = told(&mut conversation);
        assert!(matches!(
            &events[..],
            [
                Event::Connected,
                Event::Subscribed { recovered: false, .. },
                Event::Snapshot(Change { offset: 7, .. })
            ]
        ));
        say(&mut conversation, json!({"type": "ping", "server_time": 1})).unwrap();
        assert_eq!(sent(&mut conversation), [json!({"type": "pong"})]);
    }

    fn welcomed(conversation: &mut Conversation, epoch: &str, seq: u64) -> Value {
        conversation.connected(S(1));
        sent(conversation);
        say(conversation, json!({"type": "welcome", "ping_ms": 25_000, "epoch": epoch, "seq": seq})).unwrap();
        sent(conversation).remove(0)
    }

    fn happens(conversation: &mut Conversation, kind: &str, seq: Option<u64>) -> bool {
        told(conversation);
        say(conversation, json!({"type": "event", "kind": kind, "t": 5, "seq": seq, "x": 1})).unwrap();
        match &told(conversation)[..] {
            [] => false,
            [Event::Happened(happened)] => {
                let fields: Vec<_> = happened.fields.keys().map(String::as_str).collect();
                assert_eq!((happened.kind.as_str(), happened.seq, fields), (kind, seq, vec!["x"]));
                true
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_are_told_once_and_the_next_connection_goes_on_behind_the_last() {
        let mut conversation = Conversation::new("test", Some(&["clock".into()]), 10);
        let hello = welcomed(&mut conversation, "e", 4);
        assert_eq!((&hello["events"], hello.get("resume")), (&json!(["clock"]), None));
        assert!(!happens(&mut conversation, "clock", Some(4)), "that was before");
        assert!(happens(&mut conversation, "clock", Some(5)));
        assert!(!happens(&mut conversation, "clock", Some(5)));
        assert!(happens(&mut conversation, "performance", None));
        let hello = welcomed(&mut conversation, "e", 9);
        assert_eq!(hello["resume"], json!({"epoch": "e", "seq": 5}));
        assert!(happens(&mut conversation, "clock", Some(6)));
        let hello = welcomed(&mut conversation, "new", 2);
        assert_eq!(hello["resume"], json!({"epoch": "e", "seq": 6}));
        assert!(happens(&mut conversation, "resync", Some(2)), "numbers begin anew");
        assert!(happens(&mut conversation, "clock", Some(3)));
        assert!(!happens(&mut conversation, "clock", Some(3)));
        assert_eq!(welcomed(&mut conversation, "new", 3)["resume"], json!({"epoch": "new", "seq": 3}));
    }

    #[test]
    fn on_the_next_connection_it_asks_to_go_on_from_where_it_was() {
        let mut conversation = going();
        say(&mut conversation, delta(7, 8, 6)).unwrap();
        sent(&mut conversation);
        welcome(&mut conversation);
        assert_eq!(sent(&mut conversation)[1]["resume"], json!({"epoch": "e", "offset": 8}));
        say(&mut conversation, granted(true)).unwrap();
        say(&mut conversation, delta(8, 20, 9)).unwrap();
        let model = conversation.model("s").unwrap();
        assert_eq!((model.offset(), model.get(1).unwrap().value), (Some(20), 9.0));
    }

    #[test]
    fn after_a_gap_it_asks_anew_and_what_comes_before_the_answer_is_void() {
        let mut conversation = going();
        sent(&mut conversation);
        say(&mut conversation, delta(8, 9, 1)).unwrap();
        let said = sent(&mut conversation);
        assert_eq!((&said[0]["type"], &said[1]["resume"]["offset"]), (&json!("unsubscribe"), &json!(7)));
        say(&mut conversation, delta(9, 10, 2)).unwrap();
        assert_eq!(sent(&mut conversation), [] as [Value; 0]);
        assert_eq!(conversation.model("s").unwrap().offset(), Some(7));
        say(&mut conversation, granted(true)).unwrap();
        say(&mut conversation, delta(7, 10, 2)).unwrap();
        assert_eq!(conversation.model("s").unwrap().get(1).unwrap().value, 2.0);
    }

    #[test]
    fn a_server_whose_deltas_never_fit_is_given_up() {
        let mut conversation = going();
        for _ in 0..GAPS {
            say(&mut conversation, delta(99, 100, 1)).unwrap();
            say(&mut conversation, granted(true)).unwrap();
        }
        assert!(matches!(say(&mut conversation, delta(99, 100, 1)), Err(Lost::Protocol(_))));
    }

    #[test]
    fn what_is_refused_for_good_is_over_and_for_now_is_asked_again() {
        let refusal = |code: &str, retryable: bool| json!({"type": "error", "sub": "s", "code": code, "message": "m", "retryable": retryable});
        let mut conversation = Conversation::new("test", None, 10);
        conversation.subscribe(Subscription::new("s", ["a"])).unwrap();
        welcome(&mut conversation);
        sent(&mut conversation);
        say(&mut conversation, refusal("internal", true)).unwrap();
        assert_eq!(conversation.next_wake(), S(2));
        conversation.wake(S(2)).unwrap();
        assert_eq!(sent(&mut conversation)[0]["type"], "subscribe");
        told(&mut conversation);
        say(&mut conversation, refusal("bad_selector", false)).unwrap();
        assert!(matches!(&told(&mut conversation)[..], [Event::Refused(Refused { retryable: false, .. })]));
        assert!(conversation.model("s").is_none());
    }

    #[test]
    fn a_goodbye_says_whether_and_when_to_come_back() {
        let bye = |reconnect: bool, after: u64| {
            let bye = json!({"type": "bye", "code": 1001, "reason": "x", "reconnect": reconnect, "retry_after_ms": after});
            say(&mut Conversation::new("test", None, 1), bye).unwrap_err().retry_after()
        };
        assert_eq!(bye(true, 5_200), Some(Duration::from_millis(5_200)));
        assert_eq!(bye(false, 0), None);
        assert_eq!(bye(true, u64::MAX), Some(LONGEST_ADVICE));
        assert_eq!(Lost::closed(1006, "").retry_after(), Some(Duration::ZERO));
        assert_eq!(Lost::closed(4400, "").retry_after(), None);
    }

    #[test]
    fn a_server_that_does_not_even_ping_is_lost() {
        let mut conversation = going();
        assert_eq!(conversation.next_wake(), S(36));
        assert_eq!(conversation.wake(S(35)), Ok(()));
        conversation.heard(S(20));
        assert_eq!(conversation.wake(S(54)), Ok(()));
        assert_eq!(conversation.wake(S(55)), Err(Lost::Silence));
        conversation.connected(S(60));
        assert_eq!(conversation.wake(S(90)), Err(Lost::Silence));
    }

    #[test]
    fn what_breaks_the_protocol_ends_the_connection() {
        let mut conversation = going();
        for message in [json!([]), json!({"type": "delta"}), {
            let mut unknown = delta(7, 8, 1);
            unknown["values"] = json!([[9, 1]]);
            unknown
        }] {
            assert!(matches!(say(&mut conversation, message), Err(Lost::Protocol(_))));
        }
    }
}
