//! One client's conversation, as a state machine: messages and the time go in, frames and decisions come out.
//!
//! A [`Session`] knows what its client subscribed to and which offset of each channel it has; that is all it
//! keeps for sending. It touches no socket and asks for no time: a [`Link`](super::link::Link) drives it, and tests do.
//!
//! What ends a conversation is said by [`Step::Close`]; what needs the hub (a channel) by [`Step::Open`], to be
//! followed by [`Session::opened`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::channel::{Lost, Spec, View};
use super::config::Config;
use super::events::{self, Cursor, Had};
use super::frame::{self, Frames};
use super::hub::{Lease, Opened, Round};
use super::limits::{Bucket, Faults};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::performance::{Figures, Reader};
use super::protocol::{
    self, Close, Command, DEFAULT_INTERVAL, ErrorCode, Fault, Id, Kind, Limits, Request, Resume,
    ResumeEvents, Server, Subscribe, millis,
};
use super::recent::{Due, Published};
use super::slow::{Change, Pace, Stage};
use crate::clock::Moment;
use crate::query::live::{self, LiveError, LiveQuery};
use crate::series::Selector;

/// Bytes that may wait for a client before nothing more is added: a few large frames.
pub(super) const HIGH_WATER: usize = 256 << 10;

/// WebSocket pings (and pongs that nobody asked for) a second, and as many at once.
const PINGS_PER_SECOND: u32 = 10;

/// Refused commands before a client that sends too many is closed, and how many a second are forgiven.
const PATIENCE: (u32, u32) = (50, 5);

/// So many malformed messages within this time are one too many.
const MALFORMED: (usize, Duration) = (10, Duration::from_secs(60));

/// How long a message may take from its first byte to its last.
const MESSAGE_TIME: Duration = Duration::from_secs(10);

/// With how many of the last things that others were due a client's due is compared before it is made anew.
const COMPARED: usize = 16;

/// What this server can do, for `welcome`.
pub(super) const FEATURES: [&str; 8] =
    ["match", "limit", "exact", "resume", "events", "query", "derived", "history"];

/// Queries among the subscriptions of one connection.
const MAX_QUERIES: usize = 32;

/// What to do after a message.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing more.
    Go,
    /// Read what is asked for ([`Opening::spec`]), ask the hub for a channel of it, then call [`Session::opened`].
    Open(Box<Opening>),
    /// End the connection.
    Close(Close),
}

/// A subscription that waits for its channel.
#[derive(Debug)]
pub(super) struct Opening {
    /// What is asked for.
    pub(super) asked: Subscribe,
    /// What is not said is as here.
    pub(super) before: Option<Arc<Spec>>,
    id: Option<Id>,
}

/// What the driver sees of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Bytes written since the connection began.
    pub(super) written: u64,
    /// The message that the client has begun and not ended, by its number.
    pub(super) unfinished: Option<u32>,
}

#[derive(Debug)]
struct Subscription {
    sub: String,
    lease: Lease,
}

/// A channel that is sent to the client, for one or several of its subscriptions.
#[derive(Clone, Copy, Debug)]
struct Following {
    channel: u32,
    interval: Duration,
    /// What the client has.
    offset: u64,
    /// How many frames the channel had published up to there.
    frames: u64,
    /// When that was committed, or the client subscribed.
    at: Duration,
    /// When the client was last sent something of it.
    sent: Duration,
    /// Was the client busy since, when something was due?
    skipped: bool,
}

impl Following {
    fn new(channel: u32, interval: Duration, view: &View, now: &Moment) -> Self {
        let (offset, frames, at) = (view.offset(), view.frames(), now.since_start);
        Following { channel, interval, offset, frames, at, sent: now.since_start, skipped: false }
    }

    /// The client is sent the newest frame, or what stands for it.
    fn reach(&mut self, published: &Published, now: &Moment) {
        let at = published.last().committed;
        *self = Following { at, ..Following::new(self.channel, self.interval, &published.view, now) };
    }

    /// Has enough time passed since the last frame, when intervals are `factor` times as long as granted? A timer
    /// that is early by less than half an interval is on time.
    fn may_go(&self, factor: u32, now: &Moment) -> bool {
        factor == 1 || now.since_start >= self.sent + self.interval * factor - self.interval / 2
    }
}

/// What all are due in a sweep that have a channel up to the same offset, and nothing else to be told: nearly everybody.
/// Made for the first of them, so that the others cost a comparison and the write.
#[derive(Debug)]
pub(super) struct Shared {
    channel: u32,
    from: u64,
    due: Option<Joined>,
}

/// Joined frames of a channel, and where a client is then.
#[derive(Debug)]
pub(super) struct Joined {
    /// The frames.
    pub(super) frames: Frames,
    /// When each was committed, in monotonic time, in order.
    pub(super) commits: Vec<Duration>,
    offset: u64,
    count: u64,
}

impl Joined {
    /// How many frames, and when the oldest was committed.
    pub(super) fn late(&self) -> Option<(u64, Duration)> {
        self.commits.first().map(|oldest| (self.commits.len() as u64, *oldest))
    }
}

impl Shared {
    /// What is due in this round to those who have the channel up to `from`; `None` if it is not known any more how they
    /// go on.
    fn of(round: &Round, channel: u32, from: u64) -> Option<Self> {
        let due =
            round.channels.get(&channel).and_then(|published| Some((published, published.since(from)?)));
        let due = match due {
            None => None,
            Some((_, Due::Missed)) => return None,
            Some((published, Due::Shared(run))) => Some(Joined {
                frames: run.joined(),
                commits: run.sent().iter().map(|sent| sent.committed).collect(),
                offset: published.view.offset(),
                count: published.view.frames(),
            }),
        };
        Some(Shared { channel, from, due })
    }

    /// The frames; `None` if nothing is due.
    pub(super) fn due(&self) -> Option<&Joined> {
        self.due.as_ref()
    }
}

/// When the ticks were committed of which frames were put on the way at once, in monotonic time.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    commits: Vec<Duration>,
}

impl Parcel {
    /// The times.
    pub(super) fn commits(&self) -> &[Duration] {
        &self.commits
    }

    /// How many, and the earliest; `None` if there are none.
    pub(super) fn late(&self) -> Option<(u64, Duration)> {
        self.commits.iter().min().map(|oldest| (self.commits.len() as u64, *oldest))
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.commits.clear();
    }

    /// Of frames that were committed then, for tests.
    #[cfg(test)]
    pub(super) fn of(commits: impl Iterator<Item = Duration>) -> Self {
        Parcel { commits: commits.collect() }
    }
}

/// One client's conversation; see the module.
#[derive(Debug)]
pub(super) struct Session {
    config: Arc<Config>,
    tick: Duration,
    metrics: Arc<Metrics>,
    subscriptions: Vec<Subscription>,
    following: Vec<Following>,
    /// Where the next delivery begins, so that a slow client gets all its channels in turn.
    turn: usize,
    pace: Pace,
    /// A change of the pace that the client is to be told.
    change: Option<u32>,
    events: Cursor,
    performance: Reader,
    /// What is counted for this client.
    figures: Arc<Figures>,
    greeted: bool,
    began: Duration,
    heard: Duration,
    sent: Duration,
    /// When the ping that is not answered yet was sent.
    pinged: Option<Duration>,
    /// Since when something waits, and how much was written then.
    waiting: Option<(Duration, u64)>,
    /// Since when a message has been coming, and which.
    unfinished: Option<(Duration, u32)>,
    commands: Bucket,
    patience: Bucket,
    pings: Bucket,
    malformed: Faults,
}

impl Session {
    /// A conversation that begins now, after this round.
    pub(super) fn new(
        config: &Arc<Config>,
        tick: Duration,
        metrics: &Arc<Metrics>,
        figures: Arc<Figures>,
        round: &Round,
        now: &Moment,
    ) -> Self {
        let per_second = config.commands_per_second;
        Session {
            config: Arc::clone(config),
            tick,
            metrics: Arc::clone(metrics),
            subscriptions: Vec::new(),
            following: Vec::new(),
            turn: 0,
            pace: Pace::default(),
            change: None,
            events: Cursor::new(&round.events, metrics),
            performance: Reader::new(&round.performance, now),
            figures,
            greeted: false,
            began: now.since_start,
            heard: now.since_start,
            sent: now.since_start,
            pinged: None,
            waiting: None,
            unfinished: None,
            commands: Bucket::new(per_second, per_second, now),
            patience: Bucket::new(PATIENCE.0, PATIENCE.1, now),
            pings: Bucket::new(PINGS_PER_SECOND, PINGS_PER_SECOND, now),
            malformed: Faults::new(MALFORMED.0, MALFORMED.1),
        }
    }

    /// Says `welcome`.
    pub(super) fn welcome(&self, epoch: &str, now: &Moment, out: &mut Outbox) {
        let (session, seq) = (&self.figures.session, self.events.last());
        out.push(welcome(&self.config, self.tick, self.config.ping, session, epoch, seq, now));
    }

    /// A text message came.
    pub(super) fn receive(&mut self, text: &str, now: &Moment, out: &mut Outbox) -> Step {
        self.heard(now);
        if !self.commands.take(now) {
            self.metrics.received(Kind::Other);
            if !self.patience.take(now) {
                return Step::Close(Close::TooManyCommands);
            }
            let message = format!("at most {} commands a second", self.config.commands_per_second);
            return self.refuse(&Fault::new(ErrorCode::RateLimited, message), now, out);
        }
        let Request { id, command } = match protocol::decode(text) {
            Ok(request) => request,
            Err((kind, fault)) => {
                self.metrics.received(kind);
                return self.refuse(&fault, now, out);
            }
        };
        self.metrics.received(command.kind());
        match command {
            Command::Hello(hello) => {
                self.greeted = true;
                self.events.greet(hello.events, had(hello.resume));
                acknowledge(id.as_ref(), out);
            }
            Command::Pong => acknowledge(id.as_ref(), out),
            Command::Ping => {
                let pong = Server::Pong { id: id.as_ref(), server_time: now.unix_ms };
                out.push(pong.frame());
            }
            Command::Subscribe(asked) => return self.subscribe(id, asked, now, out),
            Command::Update(asked) => return self.update(id, asked, now, out),
            Command::Unsubscribe { sub } => return self.unsubscribe(id, &sub, now, out),
        }
        Step::Go
    }

    /// A ping came, or a pong: a sign of life, but not without end.
    pub(super) fn control(&mut self, is_pong: bool, now: &Moment) -> Step {
        if is_pong && let Some(pinged) = self.pinged {
            self.figures.answered(now.since_start.saturating_sub(pinged));
        }
        self.heard(now);
        if self.pings.take(now) { Step::Go } else { Step::Close(Close::TooManyPings) }
    }

    fn heard(&mut self, now: &Moment) {
        self.heard = now.since_start;
        self.pinged = None;
    }

    fn refuse(&mut self, fault: &Fault, now: &Moment, out: &mut Outbox) -> Step {
        self.metrics.error(fault.code);
        self.figures.errors.fetch_add(1, Ordering::Relaxed);
        out.push(Server::Error(fault).frame());
        if fault.is_malformed() && self.malformed.note(now) {
            return Step::Close(Close::BadRequests);
        }
        Step::Go
    }

    fn find(&self, sub: &str) -> Option<usize> {
        self.subscriptions.iter().position(|subscription| subscription.sub == sub)
    }

    fn queries(&self) -> usize {
        self.subscriptions.iter().filter(|one| one.lease.spec.query().is_some()).count()
    }

    fn subscribe(&mut self, id: Option<Id>, asked: Subscribe, now: &Moment, out: &mut Outbox) -> Step {
        if !self.greeted {
            self.greeted = true;
            self.events.greet(None, Had::None);
        }
        let sub = asked.sub.clone();
        let allowed = self.config.max_subscriptions;
        let fault = if self.find(&sub).is_some() {
            let message = "this sub is in use; update it, or unsubscribe first";
            Fault::new(ErrorCode::AlreadySubscribed, message)
        } else if self.subscriptions.len() >= allowed {
            let message = format!("a connection may have {allowed} subscriptions");
            Fault { limit: Some(allowed), ..Fault::new(ErrorCode::LimitExceeded, message) }
        } else if (asked.query.is_some() || asked.derived.is_some()) && self.queries() >= MAX_QUERIES {
            let message = format!("a connection may have {MAX_QUERIES} queries");
            Fault { limit: Some(MAX_QUERIES), ..Fault::new(ErrorCode::LimitExceeded, message) }
        } else {
            return Step::Open(Box::new(Opening { asked, before: None, id }));
        };
        self.refuse(&fault.about(Some(&sub), id.as_ref()), now, out)
    }

    fn update(&mut self, id: Option<Id>, asked: Subscribe, now: &Moment, out: &mut Outbox) -> Step {
        let Some(at) = self.find(&asked.sub) else {
            return self.refuse(&unknown(&asked.sub).about(Some(&asked.sub), id.as_ref()), now, out);
        };
        let before = Some(Arc::clone(&self.subscriptions[at].lease.spec));
        Step::Open(Box::new(Opening { asked, before, id }))
    }

    fn unsubscribe(&mut self, id: Option<Id>, sub: &str, now: &Moment, out: &mut Outbox) -> Step {
        let Some(at) = self.find(sub) else {
            return self.refuse(&unknown(sub).about(Some(sub), id.as_ref()), now, out);
        };
        self.remove(at);
        out.push(Server::Unsubscribed { sub, id: id.as_ref() }.frame());
        Step::Go
    }

    fn remove(&mut self, at: usize) {
        let channel = self.subscriptions.swap_remove(at).lease.channel;
        self.metrics.subscriptions.dec();
        self.figures.subscriptions.fetch_sub(1, Ordering::Relaxed);
        if !self.subscriptions.iter().any(|other| other.lease.channel == channel) {
            self.following.retain(|following| following.channel != channel);
        }
    }

    /// The hub answered an [`Opening`], or it asked for what cannot be.
    pub(super) fn opened(
        &mut self,
        opening: Opening,
        answer: Result<Opened, Fault>,
        now: &Moment,
        out: &mut Outbox,
    ) -> Step {
        let Opening { asked: Subscribe { sub, resume, .. }, id, .. } = opening;
        let opened = match answer {
            Ok(opened) => opened,
            Err(fault) => return self.refuse(&fault.about(Some(&sub), id.as_ref()), now, out),
        };
        let (subscribed, missed) = answer_to(&sub, id.as_ref(), resume.as_ref(), &opened, self.tick);
        let Opened { lease, view, past } = opened;
        out.push(subscribed);
        out.push(missed.or(past).unwrap_or_else(|| view.full().clone()));
        let channel = lease.channel;
        self.following.retain(|following| following.channel != channel);
        self.following.push(Following::new(channel, interval(&lease.spec, self.tick), &view, now));
        let before = self.find(&sub);
        self.subscriptions.push(Subscription { sub, lease });
        self.metrics.subscriptions.inc();
        self.figures.subscriptions.fetch_add(1, Ordering::Relaxed);
        if let Some(at) = before {
            self.remove(at);
        }
        Step::Go
    }

    /// Adds the events of a round that this client wants and has not had.
    fn tell(&mut self, round: &Round, now: &Moment, out: &mut Outbox) {
        self.events.take(&round.events, |_, frames| out.push(frames.clone()));
        let wanted = self.events.wants(events::Kind::Performance);
        if let Some(frames) = self.performance.take(wanted, &round.performance, &self.figures, now) {
            out.push(frames);
            if self.pinged.is_none() {
                out.push(frame::ping());
                self.pinged = Some(now.since_start);
            }
        }
    }

    /// What this client is due, if it keeps up with a single channel and there is nothing else to tell it: the place in
    /// `shared` of what others were due, or where it was added. It is to be written at once then, and said by
    /// [`Session::reached`]; else [`Session::deliver`] finds what is due. To be called when nothing waits.
    pub(super) fn shares(&self, round: &Round, shared: &mut Vec<Shared>) -> Option<usize> {
        let [following] = &self.following[..] else { return None };
        let is_even = !following.skipped && self.pace.is_even() && self.change.is_none();
        if !is_even
            || !self.events.is_at_end(&round.events)
            || !self.performance.is_at_end(&round.performance)
        {
            return None;
        }
        let (channel, from) = (following.channel, following.offset);
        let last = shared.len().saturating_sub(COMPARED);
        let same = |one: &Shared| one.from == from && one.channel == channel;
        if let Some(at) = shared[last..].iter().position(same) {
            return Some(last + at);
        }
        shared.push(Shared::of(round, channel, from)?);
        Some(shared.len() - 1)
    }

    /// The client is sent what [`Session::shares`] found.
    pub(super) fn reached(&mut self, joined: &Joined, now: &Moment) {
        if let [following] = &mut self.following[..] {
            (following.offset, following.frames) = (joined.offset, joined.count);
            (following.at, following.sent) =
                (joined.commits.last().copied().unwrap_or_default(), now.since_start);
        }
        self.sent(u64::from(joined.frames.count), joined.frames.bytes.len() as u64, now);
    }

    /// Adds what this client has not had of a round, events first, then channel by channel, until much waits; true if then more is
    /// due. To be called when nothing waits. A channel goes from the offset that the client has to the last: by the
    /// frames that everybody gets, or by one delta if it was busy or too far behind.
    pub(super) fn deliver(
        &mut self,
        round: &Round,
        now: &Moment,
        out: &mut Outbox,
        parcel: &mut Parcel,
    ) -> bool {
        self.tell(round, now, out);
        let count = self.following.len();
        for i in 0..count {
            if out.len() > HIGH_WATER {
                self.turn = (self.turn + i) % count;
                return true;
            }
            let at = (self.turn + i) % count;
            let Some(published) = round.channels.get(&self.following[at].channel) else { continue };
            self.advance(at, published, now, out, parcel);
        }
        false
    }

    /// Takes one channel to where it is.
    fn advance(
        &mut self,
        at: usize,
        published: &Published,
        now: &Moment,
        out: &mut Outbox,
        parcel: &mut Parcel,
    ) {
        let following = &self.following[at];
        let Some(due) = published.since(following.offset) else { return };
        if !following.may_go(self.pace.factor(), now) {
            return;
        }
        let change = self.pace.ready(now.since_start);
        self.note(change);
        self.tell_pace(out);
        let is_even = !self.following[at].skipped && self.pace.factor() == 1;
        match due {
            Due::Shared(run) if is_even || run.sent().len() == 1 => {
                parcel.commits.extend(run.sent().iter().map(|sent| sent.committed));
                out.push(run.joined());
            }
            _ => {
                parcel.commits.push(published.last().committed);
                out.push(self.catch_up(at, published));
            }
        }
        self.following[at].reach(published, now);
    }

    /// One frame in place of all that the client has missed of a channel.
    fn catch_up(&mut self, at: usize, published: &Published) -> Frames {
        let following = &self.following[at];
        let view = &published.view;
        self.metrics.catch_ups.inc();
        let missed = view.frames().saturating_sub(following.frames + 1);
        let lag = published.last().committed.saturating_sub(following.at);
        self.figures.caught_up(missed, lag);
        self.metrics.conflated.inc_by(missed);
        let granted = following.interval.saturating_mul(self.pace.factor());
        let behind = published.last().committed.saturating_sub(following.at).saturating_sub(granted);
        if self.pace.resyncs(behind) || !view.knows(following.offset) {
            self.metrics.slow(Stage::Resynced);
            self.figures.resyncs.fetch_add(1, Ordering::Relaxed);
            return view.full().clone();
        }
        view.conflated(following.offset, missed)
    }

    /// At a round, when something still waits: what is due now is left out.
    pub(super) fn busy(&mut self, round: &Round, now: &Moment) {
        let factor = self.pace.factor();
        let mut any = false;
        for following in &mut self.following {
            let published = round.channels.get(&following.channel);
            let is_due = published.is_some_and(|published| published.view.offset() > following.offset);
            if is_due && following.may_go(factor, now) {
                following.skipped = true;
                any = true;
            }
        }
        if any {
            let change = self.pace.busy(now.since_start);
            self.note(change);
        }
    }

    fn note(&mut self, change: Option<Change>) {
        match change {
            None => {}
            Some(Change::Conflated) => self.metrics.slow(Stage::Conflated),
            Some(Change::Slowed(factor)) => {
                self.metrics.slow(Stage::Slowed);
                self.change = Some(factor);
            }
            Some(Change::Raised(factor)) => self.change = Some(factor),
        }
    }

    /// Tells the client how often it is sent its channels from now on, if that changed.
    fn tell_pace(&mut self, out: &mut Outbox) {
        let Some(factor) = self.change.take() else { return };
        for following in &self.following {
            let (code, message) = if factor == 1 {
                ("restored", "frames come as often as granted again")
            } else {
                ("slowed", "frames come less often, since they are not read as fast as they come")
            };
            let interval_ms = Some(millis(following.interval.saturating_mul(factor)));
            let notice = Server::Notice { channel: following.channel, code, interval_ms, message };
            out.push(notice.frame());
        }
    }

    /// Looks after time: pings, and says when the connection must end. To be called after everything else and
    /// at the latest at [`Session::next_wake`].
    pub(super) fn wake(&mut self, socket: Seen, now: &Moment, out: &mut Outbox) -> Option<Close> {
        let time = now.since_start;
        let passed = |since: Duration| time.saturating_sub(since);
        self.unfinished = socket.unfinished.map(|number| match self.unfinished {
            Some((since, before)) if before == number => (since, number),
            _ => (time, number),
        });
        self.waiting = match self.waiting {
            _ if out.is_empty() => None,
            Some((since, written)) if written == socket.written => Some((since, written)),
            _ => Some((time, socket.written)),
        };
        if !self.greeted && passed(self.began) >= self.config.hello_timeout {
            return Some(Close::HelloTimeout);
        }
        if self.unfinished.is_some_and(|(since, _)| passed(since) >= MESSAGE_TIME) {
            return Some(Close::Unfinished);
        }
        if self.waiting.is_some_and(|(since, _)| passed(since) >= self.config.stall_timeout) {
            self.metrics.slow(Stage::Closed);
            return Some(Close::Slow);
        }
        match self.pinged {
            Some(since) if passed(since) >= self.config.pong_timeout => return Some(Close::NoPong),
            // Behind frames that wait a ping would come late, and its answer too: not the client's fault.
            None if out.is_empty() && passed(self.heard) >= self.config.ping => {
                out.push(frame::ping());
                self.pinged = Some(time);
            }
            _ => {}
        }
        if out.is_empty() && passed(self.sent) >= self.config.ping {
            out.push(Server::Ping { server_time: now.unix_ms }.frame());
        }
        None
    }

    /// So much was put on the way.
    pub(super) fn sent(&mut self, messages: u64, bytes: u64, now: &Moment) {
        self.figures.sent(messages, bytes);
        self.sent = now.since_start;
    }

    /// Monotonic time at which [`Session::wake`] has something to do if nothing happens before.
    pub(super) fn next_wake(&self) -> Duration {
        let config = &self.config;
        let waits = self.waiting.is_some();
        let all = [
            (!self.greeted).then_some(self.began.saturating_add(config.hello_timeout)),
            self.unfinished.map(|(since, _)| since.saturating_add(MESSAGE_TIME)),
            self.waiting.map(|(since, _)| since.saturating_add(config.stall_timeout)),
            self.pinged.map(|since| since.saturating_add(config.pong_timeout)),
            (self.pinged.is_none() && !waits).then_some(self.heard.saturating_add(config.ping)),
            (!waits).then_some(self.sent.saturating_add(config.ping)),
        ];
        all.into_iter().flatten().min().unwrap_or(Duration::MAX)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for _ in &self.subscriptions {
            self.metrics.subscriptions.dec();
        }
    }
}

/// `welcome`; `ping` is after how much silence the server shows that it lives.
pub(super) fn welcome(
    config: &Config,
    tick: Duration,
    ping: Duration,
    session: &str,
    epoch: &str,
    seq: u64,
    now: &Moment,
) -> Frames {
    let intervals = protocol::intervals(tick);
    let limits = Limits {
        subscriptions: config.max_subscriptions,
        series: config.max_series,
        message_bytes: config.max_message,
        commands_per_second: config.commands_per_second,
        min_interval_ms: millis(*intervals.start()),
        max_interval_ms: millis(*intervals.end()),
        tick_ms: millis(tick),
    };
    let welcome = Server::Welcome {
        session,
        epoch,
        server_time: now.unix_ms,
        ping_ms: millis(ping),
        seq,
        limits,
        features: &FEATURES,
        version: crate::build::VERSION,
    };
    welcome.frame()
}

/// Answers a command that has no other answer, if it wants one.
fn acknowledge(id: Option<&Id>, out: &mut Outbox) {
    if let Some(id) = id {
        out.push(Server::Ok { id }.frame());
    }
}

fn had(resume: Option<ResumeEvents>) -> Had {
    match resume {
        None => Had::None,
        Some(ResumeEvents::After { epoch, seq }) => Had::Seq(epoch, seq),
        Some(ResumeEvents::Malformed) => Had::Malformed,
    }
}

/// `subscribed`, and what a client that goes on has missed; one that begins anew gets everything instead.
pub(super) fn answer_to(
    sub: &str,
    id: Option<&Id>,
    resume: Option<&Resume>,
    opened: &Opened,
    tick: Duration,
) -> (Frames, Option<Frames>) {
    let Opened { lease, view, .. } = opened;
    let resumed = recovers(resume, opened);
    let subscribed = Server::Subscribed {
        sub,
        id,
        channel: lease.channel,
        interval_ms: millis(interval(&lease.spec, tick)),
        matched: view.sent(),
        recovered: resumed.is_ok(),
        reason: resumed.as_ref().err().copied().flatten(),
        truncated: view.sent() < view.picked(),
    };
    (subscribed.frame(), resumed.ok())
}

/// What a client that goes on has missed, or why it cannot; it says nothing where nobody wanted to.
pub(super) fn recovers(resume: Option<&Resume>, opened: &Opened) -> Result<Frames, Option<&'static str>> {
    let (epoch, offset) = match resume {
        None => return Err(None),
        Some(Resume::Malformed) => return Err(Some("malformed")),
        Some(Resume::At { epoch, offset, channel }) => {
            let Lease { channel: own, spec, .. } = &opened.lease;
            if spec.query().is_some() && channel.is_some_and(|channel| channel != *own) {
                return Err(Some(Lost::OtherChannel.as_str()));
            }
            (epoch, *offset)
        }
    };
    opened.view.resume(epoch, offset).map_err(|lost| Some(lost.as_str()))
}

/// The spec that is asked for; what is not said is as `before`.
pub(super) fn spec(
    config: &Config,
    tick: Duration,
    asked: &Subscribe,
    before: Option<&Spec>,
) -> Result<Spec, Fault> {
    let every = match (asked.interval, before) {
        (None, Some(before)) => before.every,
        (interval, _) => ticks(interval.unwrap_or(DEFAULT_INTERVAL), asked.clamp, tick)?,
    };
    let limit = asked.limit.map(|limit| limit.min(config.max_series));
    let limit = limit.or(before.and_then(|before| before.limit));
    let exact = asked.exact.unwrap_or(before.is_some_and(|before| before.exact));
    if let Some(text) = &asked.query {
        return Ok(Spec::of_query(Arc::new(query(&[text])?), every, limit, exact));
    }
    let selectors = match (&asked.selectors, before) {
        (Some(texts), _) => parse(texts)?,
        (None, Some(before)) if asked.derived.is_none() => return Ok(before.with(every, limit, exact)),
        (None, Some(before)) if before.query().is_none() => before.selectors().to_vec(),
        (None, _) => return Err(Fault::new(ErrorCode::BadRequest, "match is missing")),
    };
    let Some(words) = &asked.derived else { return Ok(Spec::new(selectors, every, limit, exact)) };
    let selectors: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    let interval = tick.saturating_mul(u32::try_from(every).unwrap_or(u32::MAX));
    let texts = live::derived(&selectors, words, interval)
        .map_err(|error| Fault::new(ErrorCode::BadRequest, error.to_string()))?;
    Ok(Spec::of_query(Arc::new(query(&texts)?), every, limit, exact))
}

fn query(texts: &[impl AsRef<str>]) -> Result<LiveQuery, Fault> {
    LiveQuery::of(texts.iter().map(AsRef::as_ref)).map_err(|error| {
        let column = match (&error, texts) {
            (LiveError::Parse(error), [text]) => column(text.as_ref(), &error.position),
            _ => None,
        };
        Fault { column, ..Fault::new(ErrorCode::BadQuery, error.to_string()) }
    })
}

/// The place of `line:column`, in bytes, as characters from the begin of the text, from 1.
fn column(text: &str, position: &str) -> Option<usize> {
    let (line, column) = position.split_once(':')?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let at = text.floor_char_boundary((before + column).checked_sub(1)?);
    Some(text[..at].chars().count() + 1)
}

/// From one frame of a channel to the next.
fn interval(spec: &Spec, tick: Duration) -> Duration {
    tick.saturating_mul(u32::try_from(spec.every).unwrap_or(u32::MAX))
}

fn unknown(sub: &str) -> Fault {
    Fault::new(ErrorCode::UnknownSubscription, format!("there is no subscription {sub:?}"))
}

fn parse(texts: &[String]) -> Result<Vec<Selector>, Fault> {
    let parse = |(i, text): (usize, &String)| {
        Selector::parse(text).map_err(|error| {
            let place = if texts.len() == 1 { String::new() } else { format!("match[{i}], ") };
            let message = format!("{place}column {}: {}", error.column, error.reason);
            Fault { column: Some(error.column), ..Fault::new(ErrorCode::BadSelector, message) }
        })
    };
    texts.iter().enumerate().map(parse).collect()
}

/// An interval in ticks, rounded up.
fn ticks(interval: Duration, clamp: bool, tick: Duration) -> Result<u64, Fault> {
    let (shortest, longest) = protocol::intervals(tick).into_inner();
    if !clamp && !(shortest..=longest).contains(&interval) {
        let message = format!(
            "interval is {} ms to {} ms; clamp:true takes the nearest",
            millis(shortest),
            millis(longest)
        );
        return Err(Fault::new(ErrorCode::BadInterval, message));
    }
    let interval = interval.clamp(shortest, longest);
    let ticks = interval.as_nanos().div_ceil(tick.as_nanos().max(1));
    Ok(u64::try_from(ticks).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
