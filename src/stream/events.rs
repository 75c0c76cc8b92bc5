//! The events lane: what happened, told to every client that wants to know, none left out and none joined.
//!
//! Any part of the program publishes by a handle, [`Events`], which is cheap to copy and never waits. What can happen
//! is a type that is [`Happening`]; its fields are the event's fields on the wire. The lane numbers events, keeps the
//! last [`KEPT`], and keeps apart what *lasts*: an event that begins a state (a target is down) stands until one that
//! ends it. A client that has missed more than the lane has is told what stands, and so is one of another life of
//! the server: that is the resync, and it needs nothing from those who publish.
//!
//! The hub puts a picture of the lane, [`Recent`], into each [`Round`](super::hub::Round); a connection's [`Cursor`]
//! knows what its client has had and takes what is new from there. So the events wait for nobody and are queued for
//! nobody. `performance` goes another way (see [`super::performance`]): it is a reading, which the next one replaces.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::frame::{self, Frames};
use super::metrics::Metrics;
use crate::clock::Clock;
use crate::registry::{RegisterError, Registry};
use crate::series::Epoch;

/// Events kept for clients that are behind or come back.
pub const KEPT: usize = 256;

/// States that may last at once; more are told but do not stand. Bounds what a resync can be: about 3 MB.
const STANDING: usize = 10_000;

/// Kinds of events, as bits of [`Kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The wall clock was set.
    Clock,
    /// The configuration was read again.
    Reload,
    /// A source of values fails or works again.
    Target,
    /// A load test has ended.
    LoadTest,
    /// An alert fires, changes or is over; a silence or an acknowledgement changes what is told of it.
    Alert,
    /// A detector saw something.
    Anomaly,
    /// How server and client fare; not in the lane, only for who asks.
    Performance,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Clock,
        Kind::Reload,
        Kind::Target,
        Kind::LoadTest,
        Kind::Alert,
        Kind::Anomaly,
        Kind::Performance,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Clock => "clock",
            Kind::Reload => "reload",
            Kind::Target => "target",
            Kind::LoadTest => "loadtest",
            Kind::Alert => "alert",
            Kind::Anomaly => "anomaly",
            Kind::Performance => "performance",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Default for Kinds {
    /// All but `performance`, which costs a frame of its own for every client.
    fn default() -> Self {
        Kinds(
            Kind::ALL.iter().fold(0, |bits, kind| bits | 1 << *kind as u8) & !(1 << Kind::Performance as u8),
        )
    }
}

impl Kinds {
    /// The kinds with these words; words that are none are ignored.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let known = |word: &str| Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
        Kinds(words.into_iter().filter_map(known).fold(0, |bits, kind| bits | 1 << kind as u8))
    }

    /// Is it one of them?
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// What an event does to the states that last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Nothing: it happened and is over.
    No,
    /// The state of this name, within its kind, begins or changes.
    Begins(String),
    /// It is over.
    Ends(String),
}

/// Something that can happen. Its fields are those of the event on the wire, beside `type`, `t`, `seq` and `kind`.
pub trait Happening: Serialize {
    /// What it is.
    const KIND: Kind;

    /// What it does to the states that last; nothing by default.
    fn lasting(&self) -> Lasting {
        Lasting::No
    }
}

/// The server's wall clock was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockStep {
    /// By how much, forward if positive.
    pub step_ms: i64,
}

impl Happening for ClockStep {
    const KIND: Kind = Kind::Clock;
}

/// The configuration was read again. A refusal stands until a reload succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// Is it in force?
    pub ok: bool,
    /// What changed, or what is wrong.
    pub message: String,
}

impl Happening for Reload {
    const KIND: Kind = Kind::Reload;

    fn lasting(&self) -> Lasting {
        if self.ok { Lasting::Ends(String::new()) } else { Lasting::Begins(String::new()) }
    }
}

/// A source of values begins to fail, which stands, or works again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Which: `{"collector": …}` for one of the host's, the labels of a target that is scraped.
    pub labels: BTreeMap<String, String>,
    /// Does it work?
    pub up: bool,
    /// Why not, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why not, in many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Happening for Target {
    const KIND: Kind = Kind::Target;

    fn lasting(&self) -> Lasting {
        let name = format!("{:?}", self.labels);
        if self.up { Lasting::Ends(name) } else { Lasting::Begins(name) }
    }
}

/// The handle by which events are published. Clones are the same lane.
#[derive(Clone, Debug)]
pub struct Events {
    epoch: Epoch,
    lane: Arc<Mutex<Lane>>,
    /// Number of the last event, for who waits for one.
    last: watch::Sender<u64>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Lane {
    last: u64,
    /// Unix milliseconds of the last event, or of the begin.
    time_ms: i64,
    /// Offset of the last tick.
    offset: u64,
    kept: VecDeque<Kept>,
    /// JSON of the events that stand, without `type`.
    standing: Arc<BTreeMap<(Kind, String), Box<str>>>,
    /// This as it was last asked for, until something happens: clients hold on to it.
    asked: Option<Arc<Recent>>,
}

/// An event in the lane.
#[derive(Clone, Debug)]
struct Kept {
    seq: u64,
    /// Offset of the last tick when it happened: whoever has a frame of a later one has had it.
    offset: u64,
    kind: Kind,
    frames: Frames,
}

/// An event on the wire.
#[derive(Serialize)]
struct Wire<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    t: i64,
    seq: u64,
    kind: &'static str,
    #[serde(flatten)]
    happening: &'a T,
}

impl Events {
    /// An empty lane of this life of the server.
    ///
    /// # Errors
    /// When the registry holds something else under one of the stream's names.
    pub fn new(epoch: Epoch, clock: Clock, registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Events::with(epoch, clock, Arc::new(Metrics::register(registry)?)))
    }

    pub(super) fn with(epoch: Epoch, clock: Clock, metrics: Arc<Metrics>) -> Self {
        // What is told before the first event has the time of the lane's begin.
        let lane = Lane { time_ms: clock.now().unix_ms, ..Lane::default() };
        Events { epoch, lane: Arc::new(Mutex::new(lane)), last: watch::Sender::new(0), clock, metrics }
    }

    /// Tells all clients that want this kind. Does not wait and cannot fail: who is too far behind to get it is told
    /// the states that last.
    pub fn publish<T: Happening>(&self, happening: &T) {
        self.publish_at(self.clock.now().unix_ms, happening);
    }

    /// [`Events::publish`] of what happened at `t`, Unix milliseconds.
    pub fn publish_at<T: Happening>(&self, t: i64, happening: &T) {
        let mut lane = self.lock();
        let seq = lane.last + 1;
        let mut wire = Wire { r#type: Some("event"), t, seq, kind: T::KIND.as_str(), happening };
        let json = |wire: &Wire<'_, T>| serde_json::to_string(wire);
        // A type that cannot be written is a fault of the program, and no reason to end it.
        let Ok(text) = json(&wire) else {
            self.metrics.panics.inc();
            return tracing::error!(kind = wire.kind, "an event cannot be written");
        };
        match happening.lasting() {
            Lasting::No => {}
            Lasting::Begins(name) => {
                wire.r#type = None;
                let state = json(&wire).ok().map(String::into_boxed_str);
                let standing = Arc::make_mut(&mut lane.standing);
                let key = (T::KIND, name);
                match state {
                    Some(state) if standing.len() < STANDING || standing.contains_key(&key) => {
                        standing.insert(key, state);
                    }
                    _ => self.metrics.events_unkept.inc(),
                }
            }
            Lasting::Ends(name) => {
                if lane.standing.contains_key(&(T::KIND, name.clone())) {
                    Arc::make_mut(&mut lane.standing).remove(&(T::KIND, name));
                }
            }
        }
        if lane.kept.len() == KEPT {
            lane.kept.pop_front();
        }
        let offset = lane.offset;
        lane.kept.push_back(Kept { seq, offset, kind: T::KIND, frames: frame::text(text.as_bytes()) });
        (lane.last, lane.time_ms, lane.asked) = (seq, t, None);
        drop(lane);
        self.metrics.event(T::KIND);
        self.last.send_replace(seq);
    }

    /// A tick is about to be published. Events from now on count as after it.
    pub(super) fn ticked(&self, offset: u64) {
        self.lock().offset = offset;
    }

    /// Number of the last event, and those to come.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The lane as it is now.
    pub(super) fn recent(&self) -> Arc<Recent> {
        let lane = &mut *self.lock();
        let made = lane.asked.get_or_insert_with(|| {
            Arc::new(Recent {
                epoch: self.epoch.to_string(),
                last: lane.last,
                time_ms: lane.time_ms,
                kept: lane.kept.iter().cloned().collect(),
                standing: Arc::clone(&lane.standing),
                resyncs: Mutex::default(),
            })
        });
        Arc::clone(made)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lane at one time.
#[derive(Debug, Default)]
pub(super) struct Recent {
    epoch: String,
    last: u64,
    time_ms: i64,
    /// Ascending, without gaps, up to `last`.
    kept: Box<[Kept]>,
    standing: Arc<BTreeMap<(Kind, String), Box<str>>>,
    /// Written once for all who need the same: after a restart that is everybody.
    resyncs: Mutex<HashMap<(Kinds, &'static str), Frames>>,
}

impl Recent {
    /// A lane of these frames, numbered from 1, for tests.
    #[cfg(test)]
    pub(super) fn of(frames: &[Frames]) -> Arc<Recent> {
        let kept = |(seq, frames): (u64, &Frames)| Kept {
            seq,
            offset: 0,
            kind: Kind::Clock,
            frames: frames.clone(),
        };
        let kept: Box<[Kept]> = (1..).zip(frames).map(kept).collect();
        Arc::new(Recent { last: kept.len() as u64, kept, ..Recent::default() })
    }

    /// Number of the last event, 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Number of the last event that is not in the lane any more.
    fn forgotten(&self) -> u64 {
        self.last - self.kept.len() as u64
    }

    /// Number of the last event that a client with a frame of this tick has had for certain.
    fn had_by(&self, offset: u64) -> u64 {
        self.forgotten() + self.kept.partition_point(|event| event.offset < offset) as u64
    }

    fn stands(&self, kinds: Kinds) -> bool {
        self.standing.keys().any(|(kind, _)| kinds.has(*kind))
    }

    fn resync(&self, kinds: Kinds, reason: &'static str) -> Frames {
        let mut made = self.resyncs.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.entry((kinds, reason)).or_insert_with(|| {
            let wanted = self.standing.iter().filter(|((kind, _), _)| kinds.has(*kind));
            let state = wanted.map(|(_, state)| &**state).collect::<Vec<_>>().join(",");
            let (t, seq) = (self.time_ms, self.last);
            let resync = format!(
                r#"{{"type":"event","t":{t},"seq":{seq},"kind":"resync","reason":"{reason}","state":[{state}]}}"#
            );
            frame::text(resync.as_bytes())
        });
        made.clone()
    }
}

/// What a client says it has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Had {
    /// Nothing.
    None,
    /// All up to this event.
    Seq(String, u64),
    /// The frames of this tick.
    Offset(String, u64),
    /// Something that is no place.
    Malformed,
}

/// What one client wants of the lane, and has had.
#[derive(Debug)]
pub(super) struct Cursor {
    kinds: Kinds,
    /// Number of the last event that it has had.
    last: u64,
    /// Up to here it is told again what it may have been told before.
    again: u64,
    state: State,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum State {
    /// It has not introduced itself since it came, when the lane was as this.
    Silent(Arc<Recent>),
    /// It has, with these words.
    Greeted(Arc<Recent>, Had),
    Going,
    /// It wants other kinds.
    Changed,
}

impl Cursor {
    /// For a client that comes now.
    pub(super) fn new(recent: &Arc<Recent>, metrics: &Arc<Metrics>) -> Self {
        let (last, state) = (recent.last, State::Silent(Arc::clone(recent)));
        Cursor { kinds: Kinds::default(), last, again: last, state, metrics: Arc::clone(metrics) }
    }

    /// The client introduces itself, or wants other kinds; what it has had counts the first time.
    pub(super) fn greet(&mut self, kinds: Option<Kinds>, had: Had) {
        let others = kinds.is_some_and(|kinds| kinds != self.kinds);
        self.kinds = kinds.unwrap_or(self.kinds);
        match &self.state {
            State::Silent(came) => self.state = State::Greeted(Arc::clone(came), had),
            State::Going if others => self.state = State::Changed,
            State::Greeted(..) | State::Going | State::Changed => {}
        }
    }

    /// Does the client want this kind, and has it introduced itself?
    pub(super) fn wants(&self, kind: Kind) -> bool {
        !matches!(self.state, State::Silent(_)) && self.kinds.has(kind)
    }

    /// Number of the last event that the client has had.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Is there nothing new? True nearly always, for each client and round.
    pub(super) fn is_at_end(&self, recent: &Recent) -> bool {
        matches!(self.state, State::Going) && self.last == recent.last
    }

    /// Gives what is new, with the number that the client has then.
    pub(super) fn take(&mut self, recent: &Recent, mut give: impl FnMut(u64, &Frames)) {
        let state = match &self.state {
            State::Silent(_) => return,
            State::Going if self.is_at_end(recent) => return,
            _ => std::mem::replace(&mut self.state, State::Going),
        };
        let lost = match &state {
            // What lasted when it came, and all that happened since.
            State::Greeted(came, Had::None) => {
                self.resync(came, "new", &mut give);
                None
            }
            State::Greeted(_, had) => self.begin(had, recent),
            _ => None,
        };
        let lost = lost.or((self.last < recent.forgotten()).then_some("too_old"));
        if let Some(reason) = lost {
            self.metrics.resync(reason, recent.forgotten().saturating_sub(self.last));
            self.last = recent.last;
            give(self.last, &recent.resync(self.kinds, reason));
        }
        let news = recent.kept.partition_point(|event| event.seq <= self.last);
        for event in &recent.kept[news..] {
            self.last = event.seq;
            if self.kinds.has(event.kind) {
                if event.seq <= self.again {
                    self.metrics.events_resent.inc();
                }
                give(event.seq, &event.frames);
            }
        }
        if matches!(state, State::Changed) {
            self.resync(recent, "new", &mut give);
        }
    }

    /// Tells a client that knows of nothing what lasts, if something does.
    fn resync(&self, recent: &Recent, reason: &'static str, give: &mut impl FnMut(u64, &Frames)) {
        if recent.stands(self.kinds) {
            self.metrics.resync(reason, 0);
            give(recent.last, &recent.resync(self.kinds, reason));
        }
    }

    /// Goes to where the client was; says why it cannot go on from there.
    fn begin(&mut self, had: &Had, recent: &Recent) -> Option<&'static str> {
        match had {
            Had::None => {}
            Had::Malformed => return Some("malformed"),
            Had::Seq(epoch, _) | Had::Offset(epoch, _) if *epoch != recent.epoch => {
                return Some("unknown_epoch");
            }
            Had::Seq(_, seq) if *seq > recent.last => return Some("future_seq"),
            Had::Seq(_, seq) => self.last = *seq,
            // The oldest that is kept may not be the first that is missing.
            Had::Offset(_, offset)
                if recent.forgotten() > 0 && recent.had_by(*offset) == recent.forgotten() =>
            {
                return Some("too_old");
            }
            Had::Offset(_, offset) => self.last = recent.had_by(*offset).min(self.last),
        }
        None
    }
}
