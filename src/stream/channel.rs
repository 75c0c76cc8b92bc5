//! A channel: what all equal subscriptions share.
//!
//! A [`Channel`] keeps which series its selectors pick, and remakes that only for families that changed. At a
//! tick it gives a [`View`]: the tick, seen through the selection, immutable and shared. A view answers one
//! question, "what changed since offset X" ([`View::since`]), and this one operation serves everybody: the frame
//! of a due tick is the answer for the offset of the frame before, encoded once and shared by all who have that
//! offset; a client that was too busy to take some frames gets the answer for its own offset; so does one that
//! comes back after a reconnect. When the answer is not known any more, because tombstones were forgotten
//! meanwhile, it is a snapshot, which replaces everything.
//!
//! **Too many series.** A channel sends at most its limit of series. Which ones: those that appeared first, by
//! (`born`, number). So a new series never pushes out one that is being sent; when one goes, the next in this
//! order takes its place, and is new to the clients although it is not new in the table. That is why a [`Member`]
//! has its own `joined`.
//!
//! Nothing here does I/O or asks for the time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::encode::{SchemaWriter, Values};
use super::frame::{FrameWriter, Frames};
use super::protocol::Server;
use super::recent::{Published, Recent};
use super::text::{Form, Texts};
use crate::query::live::LiveQuery;
use crate::series::{Family, Selector, Series, Tick};

/// Which series, how often, in which form: equal specs share a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    what: What,
    /// How many ticks from one frame to the next, at least 1.
    pub(super) every: u64,
    /// The most series to send; `None`: that of the server, more are an error when subscribing.
    pub(super) limit: Option<usize>,
    /// Whole numbers beyond 2^53 as strings.
    pub(super) exact: bool,
}

/// What is streamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    /// Sorted by their canonical text, without doubles; a series is picked when any of them picks it.
    Selectors(Vec<Selector>),
    /// What a query gives. Its ticks are those of its own table ([`Results`](super::results::Results)), all of whose
    /// series are picked.
    Query(Arc<LiveQuery>),
}

impl Spec {
    /// Puts the selectors into their canonical order.
    pub(super) fn new(mut selectors: Vec<Selector>, every: u64, limit: Option<usize>, exact: bool) -> Self {
        selectors.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        selectors.dedup();
        Spec { what: What::Selectors(selectors), every: every.max(1), limit, exact }
    }

    /// The series that a query gives.
    pub(super) fn of_query(query: Arc<LiveQuery>, every: u64, limit: Option<usize>, exact: bool) -> Self {
        Spec { what: What::Query(query), every: every.max(1), limit, exact }
    }

    /// This with another interval, limit and form.
    pub(super) fn with(&self, every: u64, limit: Option<usize>, exact: bool) -> Self {
        Spec { what: self.what.clone(), every: every.max(1), limit, exact }
    }

    /// In canonical order; none of a query.
    pub(super) fn selectors(&self) -> &[Selector] {
        match &self.what {
            What::Selectors(selectors) => selectors,
            What::Query(_) => &[],
        }
    }

    pub(super) fn query(&self) -> Option<&Arc<LiveQuery>> {
        match &self.what {
            What::Selectors(_) => None,
            What::Query(query) => Some(query),
        }
    }

    /// Memory that its regular expressions may take, in bytes.
    pub(super) fn weight(&self) -> usize {
        match &self.what {
            What::Selectors(selectors) => selectors.iter().map(Selector::weight).sum(),
            What::Query(query) => query.weight(),
        }
    }

    fn picks(&self, key: &str) -> bool {
        match &self.what {
            What::Selectors(selectors) => selectors.iter().any(|selector| selector.matches(key)),
            What::Query(_) => true,
        }
    }
}

/// A series that the selectors pick.
#[derive(Clone, Debug)]
struct Member {
    series: Arc<Series>,
    /// Offset from which on it is sent: its birth, or when there came to be room for it.
    joined: u64,
}

impl Member {
    /// The order in which series are taken when not all can be.
    fn seniority(&self) -> (u64, u32) {
        (self.series.born, self.series.number)
    }
}

/// A family and those of its series that are picked, maybe none.
#[derive(Clone, Debug)]
struct Group {
    family: Arc<Family>,
    /// Offset at which type, help or unit changed; 0 if they never did while the channel lived.
    redefined: u64,
    picked: Vec<Member>,
}

/// What a channel knows of a tick's schema.
#[derive(Clone, Debug, Default)]
struct Selection {
    /// Offset of the tick it was made for.
    offset: u64,
    version: Option<u64>,
    /// One for each family of the schema, in its order.
    groups: Vec<Arc<Group>>,
    /// How many are picked, sent or not.
    picked: usize,
    /// How many are sent.
    sent: usize,
    /// When not all are sent: the last one that is.
    cutoff: Option<(u64, u32)>,
    /// Offset at which it was found that not all can be sent.
    truncated: u64,
    /// Picked series that are gone: offset and number, in this order.
    graves: Arc<[(u64, u32)]>,
}

impl Selection {
    /// The selection for a later tick.
    fn advance(&self, spec: &Spec, tick: &Tick, limit: usize) -> Selection {
        let mut next = Selection { offset: tick.offset, ..self.clone() };
        next.graves = self.advance_graves(spec, tick);
        if self.version == Some(tick.schema.version) {
            return next;
        }
        next.version = Some(tick.schema.version);
        let mut old = self.groups.iter().peekable();
        next.groups = (tick.schema.families.iter())
            .map(|family| {
                while old.next_if(|group| group.family.meta.name < family.meta.name).is_some() {}
                match old.next_if(|group| group.family.meta.name == family.meta.name) {
                    Some(group) if Arc::ptr_eq(&group.family, family) => Arc::clone(group),
                    known => Arc::new(self.regroup(known.map(|known| &**known), family, spec, tick)),
                }
            })
            .collect();
        next.picked = next.groups.iter().map(|group| group.picked.len()).sum();
        next.cutoff = next.cutoff_for(limit);
        next.sent = next.picked.min(limit);
        if self.version.is_some() && self.cutoff.is_none() && next.cutoff.is_some() {
            next.truncated = tick.offset;
        }
        if let Some(before) = self.cutoff {
            next.admit(before, tick.offset);
        }
        next
    }

    /// The group of a family that is not as it was.
    fn regroup(&self, known: Option<&Group>, family: &Arc<Family>, spec: &Spec, tick: &Tick) -> Group {
        // Both lists have the exposition's order, so what is in both comes in the same order in both.
        let mut old = known.map_or(&[][..], |group| &group.family.series).iter();
        let mut old_picked = known.map_or(&[][..], |group| &group.picked).iter().peekable();
        let mut picked = Vec::new();
        for series in &family.series {
            if known.is_none() || series.born > self.offset {
                if spec.picks(series.key()) {
                    picked.push(Member { series: Arc::clone(series), joined: series.born });
                }
                continue;
            }
            for one in old.by_ref() {
                let member = old_picked.next_if(|member| Arc::ptr_eq(&member.series, one));
                if Arc::ptr_eq(one, series) {
                    picked.extend(member.cloned());
                    break;
                }
            }
        }
        let redefined = match known {
            Some(group) if group.family.meta == family.meta => group.redefined,
            Some(_) => tick.offset,
            None => 0,
        };
        Group { family: Arc::clone(family), redefined, picked }
    }

    fn cutoff_for(&self, limit: usize) -> Option<(u64, u32)> {
        if self.picked <= limit {
            return None;
        }
        let all = self.groups.iter().flat_map(|group| &group.picked);
        let mut order: Vec<(u64, u32)> = all.map(Member::seniority).collect();
        Some(*order.select_nth_unstable(limit.saturating_sub(1)).1)
    }

    /// Those behind the old cutoff were never sent; to clients they are new from `offset` on.
    fn admit(&mut self, before: (u64, u32), offset: u64) {
        let last = self.cutoff.unwrap_or((u64::MAX, u32::MAX));
        let admitted = |member: &Member| member.seniority() > before && member.seniority() <= last;
        for group in &mut self.groups {
            if group.picked.iter().any(admitted) {
                let picked = &mut Arc::make_mut(group).picked;
                picked.iter_mut().filter(|member| admitted(member)).for_each(|member| member.joined = offset);
            }
        }
    }

    fn advance_graves(&self, spec: &Spec, tick: &Tick) -> Arc<[(u64, u32)]> {
        let known = |grave: &(u64, u32)| self.graves.binary_search(grave).is_ok();
        if tick.tombstones.is_empty() && self.graves.is_empty() {
            return Arc::clone(&self.graves);
        }
        (tick.tombstones.iter())
            .map(|tombstone| (tombstone, (tombstone.offset, tombstone.series.number)))
            .filter(|(tombstone, grave)| {
                if tombstone.offset > self.offset { spec.picks(tombstone.series.key()) } else { known(grave) }
            })
            .map(|(_, grave)| grave)
            .collect()
    }

    fn sent<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Member> {
        let last = self.cutoff.unwrap_or((u64::MAX, u32::MAX));
        group.picked.iter().filter(move |member| member.seniority() <= last)
    }
}

/// A tick seen through a selection.
#[derive(Debug)]
pub(super) struct View {
    channel: u32,
    exact: bool,
    tick: Arc<Tick>,
    selection: Arc<Selection>,
    /// Frames that the channel had published up to this tick.
    frames: u64,
    state: Option<State>,
    full: OnceLock<Frames>,
    full_texts: Texts,
    /// Changes that were asked for, so that clients which missed the same share the bytes.
    told: Mutex<Vec<(Told, Frames)>>,
}

/// Which changes: after which offset, instead of how many more frames, and whether to somebody who comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    from: u64,
    conflated: u64,
    all_families: bool,
}

/// Answers a view keeps. Clients that were cut off together ask for the same; more different ones at one tick come
/// from clients of which each was cut off, or busy, at another time.
const ANSWERS: usize = 16;

/// How a query fares, for a `notice`.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Offset at which it came to be so.
    pub(super) since: u64,
    /// Why it cannot be evaluated; `None` if it can again.
    pub(super) failure: Option<Arc<str>>,
}

/// Why a subscription cannot go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Another life of the server.
    UnknownEpoch,
    /// An offset that was not reached yet.
    FutureOffset,
    /// So long ago that series which went since are forgotten.
    TooOld,
    /// Not all series are sent, and which ones the client had is not known.
    Truncated,
    /// The numbers of a query's series are those of its channel, and the client had another.
    OtherChannel,
}

impl Lost {
    /// `reason` of `subscribed`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Lost::UnknownEpoch => "unknown_epoch",
            Lost::FutureOffset => "future_offset",
            Lost::TooOld => "too_old",
            Lost::Truncated => "truncated",
            Lost::OtherChannel => "other_channel",
        }
    }
}

impl View {
    /// Offset of its tick.
    pub(super) fn offset(&self) -> u64 {
        self.tick.offset
    }

    /// How many frames the channel had published up to its tick.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// How many series are picked, sent or not.
    pub(super) fn picked(&self) -> usize {
        self.selection.picked
    }

    /// How many series are sent.
    pub(super) fn sent(&self) -> usize {
        self.selection.sent
    }

    /// Everything: `schema` of all series (none if there are none), then `snapshot`. Encoded once.
    pub(super) fn full(&self) -> &Frames {
        self.full.get_or_init(|| self.full_with(|_| {}))
    }

    /// As [`View::full`], with what `past` writes between schema and snapshot.
    pub(super) fn full_with(&self, past: impl FnOnce(&mut FrameWriter)) -> Frames {
        let mut frames = FrameWriter::default();
        let mut schema = SchemaWriter::new(self.channel);
        let mut values = Values::new(&self.tick, self.exact);
        for group in &self.selection.groups {
            for member in self.selection.sent(group) {
                schema.series(&group.family.meta, &member.series);
                values.push(&member.series);
            }
        }
        schema.finish(&mut frames);
        if let Some(state @ State { failure: Some(_), .. }) = &self.state {
            self.tell(state, &mut frames);
        }
        past(&mut frames);
        values.snapshot(self.channel, &mut frames);
        frames.finish()
    }

    fn tell(&self, state: &State, frames: &mut FrameWriter) {
        let (code, message) = match &state.failure {
            Some(message) => ("query_failed", &**message),
            None => ("query_restored", "the query can be evaluated again"),
        };
        let notice = Server::Notice { channel: self.channel, code, interval_ms: None, message };
        frames.text(&[&notice.json()]);
    }

    /// The channel's number.
    pub(super) fn channel(&self) -> u32 {
        self.channel
    }

    /// Whole numbers beyond 2^53 as strings?
    pub(super) fn exact(&self) -> bool {
        self.exact
    }

    /// The tick, or what stands for it of a query.
    pub(super) fn tick(&self) -> &Arc<Tick> {
        &self.tick
    }

    /// The series that are sent.
    pub(super) fn series(&self) -> impl Iterator<Item = &Arc<Series>> {
        let groups = self.selection.groups.iter();
        groups.flat_map(|group| self.selection.sent(group)).map(|member| &member.series)
    }

    /// [`View::full`] as text; made once for each form.
    pub(super) fn full_text(&self, form: Form) -> &Bytes {
        self.full_texts.get(form, || form.placed(self.full(), &self.place()))
    }

    /// Where a client is that has all of this view, `epoch:offset`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.tick.epoch, self.tick.offset)
    }

    /// What changed after offset `from`: `schema` of new series if there are any, then `delta`, even if it is
    /// empty. Everything, as [`View::full`], when that is not known any more.
    pub(super) fn since(&self, from: u64) -> Frames {
        self.conflated(from, 0)
    }

    /// Like [`View::since`], for a client that missed frames; the delta says instead of how many more it stands.
    pub(super) fn conflated(&self, from: u64, conflated: u64) -> Frames {
        if self.knows(from) {
            self.changes(Told { from, conflated, all_families: false })
        } else {
            self.full().clone()
        }
    }

    /// Is it known what changed after offset `from`?
    pub(super) fn knows(&self, from: u64) -> bool {
        from >= self.tick.forgotten
    }

    /// Like [`View::since`], for a client that comes back: all families are told again, since their meaning
    /// may have changed while nobody watched.
    ///
    /// # Errors
    /// Why the client must begin anew.
    pub(super) fn resume(&self, epoch: &str, from: u64) -> Result<Frames, Lost> {
        if self.tick.epoch.to_string() != epoch {
            Err(Lost::UnknownEpoch)
        } else if from > self.tick.offset {
            Err(Lost::FutureOffset)
        } else if from < self.tick.forgotten {
            Err(Lost::TooOld)
        } else if self.selection.cutoff.is_some() {
            Err(Lost::Truncated)
        } else {
            Ok(self.changes(Told { from, conflated: 0, all_families: true }))
        }
    }

    /// Encodes changes, or gives what was encoded before. Two who ask at the same time may both encode: nobody is
    /// to wait for a lock meanwhile.
    fn changes(&self, told: Told) -> Frames {
        let told_before = || self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frames)) = told_before().iter().find(|(other, _)| *other == told) {
            return frames.clone();
        }
        let frames = self.encode(told);
        let mut all = told_before();
        if all.len() < ANSWERS {
            all.push((told, frames.clone()));
        }
        frames
    }

    fn encode(&self, Told { from, conflated, all_families }: Told) -> Frames {
        let mut frames = FrameWriter::default();
        let mut schema = SchemaWriter::new(self.channel);
        let mut values = Values::new(&self.tick, self.exact);
        for group in &self.selection.groups {
            if !group.picked.is_empty() && (all_families || group.redefined > from) {
                schema.family(&group.family.meta);
            }
            for member in self.selection.sent(group) {
                let new = member.joined > from;
                if new {
                    schema.series(&group.family.meta, &member.series);
                }
                if new || self.tick.changed(&member.series) > from {
                    values.push(&member.series);
                }
            }
        }
        schema.finish(&mut frames);
        if let Some(state) = self.state.as_ref().filter(|state| state.since > from) {
            self.tell(state, &mut frames);
        }
        if self.selection.truncated > from {
            let message = "more series match than a subscription may have; the oldest are sent";
            let (channel, code) = (self.channel, "truncated");
            frames.text(&[&Server::Notice { channel, code, interval_ms: None, message }.json()]);
        }
        let graves = &self.selection.graves;
        let first = graves.partition_point(|(offset, _)| *offset <= from);
        let mut stale: Vec<u32> = graves[first..].iter().map(|(_, number)| *number).collect();
        if let Some(last) = self.selection.cutoff {
            // One that went and came back has lost its place in the order, and has no tombstone.
            let all = self.selection.groups.iter().flat_map(|group| &group.picked);
            let back = all.filter(|member| member.seniority() > last && member.series.born > from);
            stale.extend(back.map(|member| member.series.number));
        }
        values.delta(self.channel, from, conflated, &stale, &mut frames);
        frames.finish()
    }
}

/// A channel; see the module.
#[derive(Debug)]
pub(super) struct Channel {
    number: u32,
    spec: Arc<Spec>,
    limit: usize,
    selection: Arc<Selection>,
    view: Option<Arc<View>>,
    last_offset: u64,
    last_beat: u64,
    frames: u64,
    state: Option<State>,
    recent: Recent,
}

impl Channel {
    /// A channel that begins with this tick; its first frame follows at the next that is due. `max_series` is
    /// the most series a channel may send.
    pub(super) fn open(number: u32, spec: Arc<Spec>, tick: &Tick, max_series: usize) -> Self {
        let limit = spec.limit.unwrap_or(max_series).min(max_series);
        let selection = Arc::new(Selection::default().advance(&spec, tick, limit));
        let (last_offset, last_beat) = (tick.offset, tick.beat);
        let recent = Recent::default();
        let state = None;
        Channel {
            number,
            spec,
            limit,
            selection,
            view: None,
            last_offset,
            last_beat,
            frames: 0,
            state,
            recent,
        }
    }

    /// How its query fares from the next tick on.
    pub(super) fn fares(&mut self, state: Option<State>) {
        self.state = state;
    }

    /// The number clients know it by.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The tick through this channel's selection. Ticks must not go back.
    pub(super) fn view(&mut self, tick: &Arc<Tick>) -> Arc<View> {
        if let Some(view) = &self.view
            && Arc::ptr_eq(&view.tick, tick)
        {
            return Arc::clone(view);
        }
        if self.selection.offset != tick.offset {
            self.selection = Arc::new(self.selection.advance(&self.spec, tick, self.limit));
        }
        let view = Arc::new(View {
            channel: self.number,
            exact: self.spec.exact,
            tick: Arc::clone(tick),
            selection: Arc::clone(&self.selection),
            frames: self.frames,
            state: self.state.clone(),
            full: OnceLock::new(),
            full_texts: Texts::default(),
            told: Mutex::default(),
        });
        self.view = Some(Arc::clone(&view));
        view
    }

    /// The frame of this tick, if one is due: at every tick for an interval of one tick, on-demand ticks
    /// included; else when the timer has made as many ticks as the interval has. `committed` is when the tick was.
    pub(super) fn publish(&mut self, tick: &Arc<Tick>, committed: Duration) -> Option<Published> {
        let due = match self.spec.every {
            1 => tick.offset > self.last_offset,
            every => tick.beat >= self.last_beat.saturating_add(every),
        };
        if !due {
            return None;
        }
        let prev = self.last_offset;
        self.frames += 1;
        let view = self.view(tick);
        let frames = view.since(prev);
        (self.last_offset, self.last_beat) = (tick.offset, tick.beat);
        let published = Published::after(&self.recent, prev, frames, view, committed);
        self.recent = published.recent().clone();
        Some(published)
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
