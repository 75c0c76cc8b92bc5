//! The one mutable place: sources write pages, a commit closes the tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::key;
use super::schema::{Family, FamilyMeta, Role, Schema, Scope, Series, SourceId};
use super::tick::{Epoch, Exemplar, NO_TIME, NativeHistogram, Tick, Tombstone};
use crate::clock::Moment;
use crate::exposition::read::{Described, Page, Sample};

/// How long a tombstone is kept. Resume from an older offset gets a snapshot instead of a delta.
const TOMBSTONE_AGE: Duration = Duration::from_secs(60);

/// How many tombstones are kept at most; over it the oldest go first, whatever their age.
const TOMBSTONES: usize = 10_000;

/// One part in so many of the limit is for series of [`Scope::Own`] alone: with the default limit 62,500.
const OWN: usize = 16;

/// A wall clock that moved by more than this against the monotonic one has stepped. NTP slews by at most
/// 0.5 ms a second, so a tick of a minute stays below.
const CLOCK_STEP_MS: i64 = 500;

/// Handle of a series for whoever feeds it; valid until the series is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

/// Why the table does not take a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another source feeds a series of the same identity; the first keeps it.
    #[error("another source has a series of the same name and labels")]
    Duplicate,
    /// The table is full.
    #[error("the table holds its limit of {0} series")]
    Full(usize),
}

/// What one page did to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Samples that found their series.
    pub samples: usize,
    /// Samples whose series was refused because another source has it, or stood twice on the page.
    pub duplicates: usize,
    /// Samples whose series was refused because the table is full.
    pub over_limit: usize,
    /// Samples that the [`Mapping`] left out.
    pub left_out: usize,
    /// Series that were not there before.
    pub added: usize,
}

/// What the samples of a page become on their way into the table.
pub trait Mapping {
    /// The series of an entry that has none yet. `None` leaves it out: it is not asked for again as long as it stands
    /// on the page and the source is not withdrawn.
    fn series(&mut self, page: &Page<'_>, entry: u32) -> Option<Described>;

    /// The time of a sample, or [`NO_TIME`]. `None` leaves this sample out.
    fn time(&mut self, sample: &Sample) -> Option<i64>;
}

/// Pages of our own are taken as they are.
#[derive(Clone, Copy, Debug)]
struct AsItIs;

impl Mapping for AsItIs {
    fn series(&mut self, page: &Page<'_>, entry: u32) -> Option<Described> {
        Some(page.describe(entry))
    }

    fn time(&mut self, sample: &Sample) -> Option<i64> {
        Some(sample.time_ms)
    }
}

/// Where an entry of a reader stands in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seat {
    /// Nowhere yet.
    #[default]
    None,
    /// There.
    At(Slot),
    /// Its mapping has left it out.
    LeftOut,
}

impl Seat {
    fn slot(self) -> Option<Slot> {
        if let Seat::At(slot) = self { Some(slot) } else { None }
    }
}

/// The series table.
#[derive(Debug)]
pub struct Table {
    epoch: Epoch,
    limit: usize,
    offset: u64,
    last: Option<Moment>,
    schema: Arc<Schema>,
    /// Families by name; those in `touched` differ from the schema.
    families: BTreeMap<Arc<str>, Arc<Family>>,
    /// Those of [`Schema::own`]; touched ones as in `families`.
    own: BTreeMap<Arc<str>, Arc<Family>>,
    touched: HashSet<Arc<str>>,
    series: Vec<Option<Arc<Series>>>,
    by_key: HashMap<Box<str>, u32>,
    free: Vec<u32>,
    next_number: u32,
    /// `next_number` at the last commit: lower numbers have been seen.
    seen_numbers: u32,
    values: Vec<f64>,
    changed: Vec<u64>,
    times: Vec<i64>,
    exemplars: Arc<HashMap<u32, Exemplar>>,
    clock_shift_ms: i64,
    natives: Arc<HashMap<Box<str>, Arc<NativeHistogram>>>,
    /// The dead that are not forgotten, by key: one that comes back gets its number again.
    graves: HashMap<Box<str>, Grave>,
    graves_changed: bool,
    tombstones: Arc<[Tombstone]>,
    forgotten: u64,
    sources: Vec<SourceState>,
    /// Places in `sources` that are free again.
    unused: Vec<SourceId>,
    /// Do the names in the schema's list differ from those in `sources`?
    renamed: bool,
}

#[derive(Debug)]
struct Grave {
    tombstone: Tombstone,
    /// Monotonic time of the tick before the one in which it was gone.
    since_start: Duration,
}

/// What the table knows of a source: where the entries of its reader stand.
#[derive(Debug)]
struct SourceState {
    name: Arc<str>,
    scope: Scope,
    slots: Vec<Seat>,
    /// Did its last page have exemplars?
    exemplars: bool,
}

impl Table {
    /// An empty table that takes at most `limit` series.
    #[must_use]
    pub fn new(epoch: Epoch, limit: usize) -> Self {
        Table {
            epoch,
            limit,
            offset: 0,
            last: None,
            schema: Arc::default(),
            families: BTreeMap::new(),
            own: BTreeMap::new(),
            touched: HashSet::new(),
            series: Vec::new(),
            by_key: HashMap::new(),
            free: Vec::new(),
            next_number: 1,
            seen_numbers: 1,
            values: Vec::new(),
            changed: Vec::new(),
            times: Vec::new(),
            exemplars: Arc::default(),
            clock_shift_ms: 0,
            natives: Arc::default(),
            graves: HashMap::new(),
            graves_changed: false,
            tombstones: Arc::from([]),
            forgotten: 0,
            sources: Vec::new(),
            unused: Vec::new(),
            renamed: false,
        }
    }

    /// An empty table whose ticks are answers to those of another one, and have their offsets: the first has `offset`,
    /// and nothing is known of what was before. [`Table::skip_to`] tells each following one.
    #[must_use]
    pub(crate) fn following(epoch: Epoch, limit: usize, offset: u64) -> Self {
        Table { offset: offset.saturating_sub(1), forgotten: offset, ..Table::new(epoch, limit) }
    }

    /// The next tick gets this offset, unless it has been passed. To be called before anything is written for it.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        self.offset = self.offset.max(offset.saturating_sub(1));
    }

    /// Adds a source; its name is what `collect[]` calls it.
    ///
    /// # Panics
    /// With more than 65,536 sources at a time; whoever adds some by request keeps a bound.
    pub fn add_source(&mut self, name: &str, scope: Scope) -> SourceId {
        let state = SourceState { name: name.into(), scope, slots: Vec::new(), exemplars: false };
        self.renamed = true;
        if let Some(id) = self.unused.pop() {
            self.sources[usize::from(id.0)] = state;
            return id;
        }
        let id = u16::try_from(self.sources.len()).expect("fewer than 65,536 sources");
        self.sources.push(state);
        SourceId(id)
    }

    /// Removes a source with all its series. Another one may get its number.
    pub fn remove_source(&mut self, source: SourceId) {
        let theirs = |series: &Arc<Series>| series.source == source;
        let series = self.series.iter().flatten().filter(|series| theirs(series));
        let slots: Vec<Slot> = series.map(|series| Slot(series.slot)).collect();
        for slot in slots {
            self.remove(slot);
        }
        self.sources[usize::from(source.0)].slots = Vec::new();
        self.unused.push(source);
    }

    /// Offset of the tick that is being filled.
    fn pending(&self) -> u64 {
        self.offset + 1
    }

    /// Number of living series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Is there no series?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Finds or adds a series. `labels` must be sorted by name and hold no empty value.
    ///
    /// The family keeps what its first series said of it, or the first of our own; see [`Table::redefine`].
    ///
    /// # Errors
    /// See [`Refused`]; the table is unchanged then.
    pub fn series<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        source: SourceId,
        family: &Arc<FamilyMeta>,
        role: Role,
        name: &str,
        labels: &[(N, V)],
    ) -> Result<Slot, Refused> {
        let key = key::render(name, labels);
        if let Some(&slot) = self.by_key.get(&*key) {
            let known = self.series[slot as usize].as_ref().expect("a key leads to a living series");
            return if known.source == source { Ok(Slot(slot)) } else { Err(Refused::Duplicate) };
        }
        self.add(source, family, role, key)
    }

    /// Adds a series that is not there.
    fn add(
        &mut self,
        source: SourceId,
        family: &Arc<FamilyMeta>,
        role: Role,
        key: String,
    ) -> Result<Slot, Refused> {
        // The last of the room is ours: what others bring in does not keep us from telling that it was too much.
        let limit = match self.sources[usize::from(source.0)].scope {
            Scope::Own => self.limit,
            Scope::Foreign => self.limit - self.limit / OWN,
        };
        if self.by_key.len() >= limit {
            return Err(Refused::Full(limit));
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            self.values.push(0.0);
            self.changed.push(0);
            self.times.push(NO_TIME);
            u32::try_from(self.series.len() - 1).expect("fewer than 2^32 series")
        });
        let born = self.pending();
        let number = match self.graves.remove(&*key) {
            Some(grave) => {
                self.graves_changed = true;
                grave.tombstone.series.number
            }
            None => {
                self.next_number += 1;
                self.next_number - 1
            }
        };
        let series = Arc::new(Series::new(number, slot, born, source, Arc::clone(&family.name), role, key));
        self.by_key.insert(series.key().into(), slot);
        self.values[slot as usize] = f64::NAN;
        self.changed[slot as usize] = born;
        self.times[slot as usize] = NO_TIME;
        self.series[slot as usize] = Some(Arc::clone(&series));
        let entry = self
            .families
            .entry(Arc::clone(&family.name))
            .or_insert_with(|| Arc::new(Family { meta: Arc::clone(family), series: Vec::new() }));
        Arc::make_mut(entry).series.push(series);
        self.touched.insert(Arc::clone(&family.name));
        let there = &self.families[&family.name];
        if there.meta != *family && self.is_own(source) {
            let own = there.series.iter().filter(|series| self.is_own(series.source));
            // It is the first of our own.
            if own.take(2).count() == 1 {
                self.redefine(source, family);
            }
        }
        Ok(Slot(slot))
    }

    /// Gives a series its value, and the time its source gave it or [`NO_TIME`].
    pub fn set(&mut self, slot: Slot, value: f64, time_ms: i64) {
        let at = slot.0 as usize;
        self.times[at] = time_ms;
        if self.values[at].to_bits() != value.to_bits() {
            self.values[at] = value;
            self.changed[at] = self.offset + 1;
        }
    }

    /// Removes a series; the next tick has its tombstone.
    pub fn remove(&mut self, slot: Slot) {
        let Some(series) = self.series[slot.0 as usize].take() else { return };
        self.by_key.remove(series.key());
        self.free.push(slot.0);
        if self.exemplars.contains_key(&slot.0) {
            Arc::make_mut(&mut self.exemplars).remove(&slot.0);
        }
        self.touched.insert(Arc::clone(&series.family));
        // A series that lived within one tick was never seen by anybody, unless it had a life before.
        if series.born <= self.offset || series.number < self.seen_numbers {
            let tombstone = Tombstone { offset: self.pending(), series: Arc::clone(&series) };
            let since_start = self.last.map_or(Duration::ZERO, |last| last.since_start);
            self.graves.insert(series.key().into(), Grave { tombstone, since_start });
            self.graves_changed = true;
        }
    }

    /// Replaces what is known of a family, for a source that now says otherwise. Of a family that has series of our own a
    /// foreign source has no say: what `/metrics` tells of it is ours.
    pub fn redefine(&mut self, source: SourceId, meta: &Arc<FamilyMeta>) {
        let Some(family) = self.families.get(&meta.name).filter(|family| family.meta != *meta) else {
            return;
        };
        if !self.is_own(source) && family.series.iter().any(|series| self.is_own(series.source)) {
            return;
        }
        let family = self.families.get_mut(&meta.name).expect("found above");
        Arc::make_mut(family).meta = Arc::clone(meta);
        self.touched.insert(Arc::clone(&meta.name));
    }

    fn is_own(&self, source: SourceId) -> bool {
        self.sources[usize::from(source.0)].scope == Scope::Own
    }

    /// Writes a page of a source: new series are added, those gone are removed, values are set.
    pub fn apply(&mut self, source: SourceId, page: &Page<'_>) -> Applied {
        self.apply_mapped(source, page, &mut AsItIs)
    }

    /// As [`Table::apply`], with the samples as a mapping has them.
    pub fn apply_mapped(&mut self, source: SourceId, page: &Page<'_>, mapping: &mut impl Mapping) -> Applied {
        let mut applied = Applied { duplicates: page.duplicates(), ..Applied::default() };
        let mut slots = std::mem::take(&mut self.sources[usize::from(source.0)].slots);
        for &entry in page.gone() {
            if let Some(slot) = slots.get_mut(entry as usize).and_then(|seat| std::mem::take(seat).slot()) {
                self.remove(slot);
            }
        }
        for meta in page.changed_families() {
            self.redefine(source, meta);
        }
        for sample in page.samples() {
            let entry = sample.entry as usize;
            if entry >= slots.len() {
                slots.resize(entry + 1, Seat::None);
            }
            let seat = slots[entry];
            let time = if seat == Seat::LeftOut { None } else { mapping.time(sample) };
            let Some(time_ms) = time else {
                applied.left_out += 1;
                continue;
            };
            let slot = match seat {
                Seat::At(slot) => slot,
                Seat::None | Seat::LeftOut => {
                    let Some(told) = mapping.series(page, sample.entry) else {
                        slots[entry] = Seat::LeftOut;
                        applied.left_out += 1;
                        continue;
                    };
                    // Two entries of one source can become the same series only by a mapping: the first has it.
                    let key = key::render(&told.name, &told.labels);
                    let added = match self.by_key.contains_key(&*key) {
                        true => Err(Refused::Duplicate),
                        false => self.add(source, &told.family, told.role, key),
                    };
                    match added {
                        Ok(slot) => {
                            applied.added += 1;
                            slots[entry] = Seat::At(slot);
                            slot
                        }
                        Err(Refused::Duplicate) => {
                            applied.duplicates += 1;
                            continue;
                        }
                        Err(Refused::Full(_)) => {
                            applied.over_limit += 1;
                            continue;
                        }
                    }
                }
            };
            self.set(slot, sample.value, time_ms);
            applied.samples += 1;
        }
        self.set_exemplars(source, &slots, page);
        self.sources[usize::from(source.0)].slots = slots;
        applied
    }

    /// The exemplars of a source become those of its page.
    fn set_exemplars(&mut self, source: SourceId, slots: &[Seat], page: &Page<'_>) {
        let had = &mut self.sources[usize::from(source.0)].exemplars;
        if std::mem::replace(had, !page.exemplars().is_empty()) {
            let at = |(entry, _): &(u32, Exemplar)| slots.get(*entry as usize).and_then(|seat| seat.slot());
            let told: HashSet<Slot> = page.exemplars().iter().filter_map(at).collect();
            for slot in slots.iter().filter_map(|seat| seat.slot()).filter(|slot| !told.contains(slot)) {
                if self.exemplars.contains_key(&slot.0) {
                    Arc::make_mut(&mut self.exemplars).remove(&slot.0);
                }
            }
        }
        for (entry, exemplar) in page.exemplars() {
            if let Some(slot) = slots.get(*entry as usize).and_then(|seat| seat.slot())
                && self.exemplars.get(&slot.0) != Some(exemplar)
            {
                Arc::make_mut(&mut self.exemplars).insert(slot.0, exemplar.clone());
            }
        }
    }

    /// Removes all series of a source, which has gone silent. Its next page brings them back.
    pub fn withdraw(&mut self, source: SourceId) {
        let slots = std::mem::take(&mut self.sources[usize::from(source.0)].slots);
        for slot in slots.into_iter().filter_map(Seat::slot) {
            self.remove(slot);
        }
    }

    /// Sets the native histograms of the next tick, by [`super::tick::native_key`].
    pub fn set_natives(&mut self, natives: Arc<HashMap<Box<str>, Arc<NativeHistogram>>>) {
        self.natives = natives;
    }

    /// Closes the tick: what was written since the last becomes visible, at once and for everyone.
    pub fn commit(&mut self, at: Moment, beat: u64) -> Arc<Tick> {
        self.offset = self.pending();
        self.publish_schema();
        self.age_tombstones(at);
        let moved = self.last.map_or(0, |last| at.wall_step_ms(&last));
        let step = if moved.unsigned_abs() > CLOCK_STEP_MS.unsigned_abs() { moved } else { 0 };
        self.clock_shift_ms = self.clock_shift_ms.saturating_add(step);
        self.last = Some(at);
        self.seen_numbers = self.next_number;
        Arc::new(Tick {
            epoch: self.epoch,
            offset: self.offset,
            beat,
            at,
            clock_step_ms: step,
            clock_shift_ms: self.clock_shift_ms,
            schema: Arc::clone(&self.schema),
            tombstones: Arc::clone(&self.tombstones),
            forgotten: self.forgotten,
            natives: Arc::clone(&self.natives),
            values: self.values.clone(),
            changed: self.changed.clone(),
            times: self.times.clone(),
            exemplars: Arc::clone(&self.exemplars),
        })
    }

    fn publish_schema(&mut self) {
        let renamed = std::mem::take(&mut self.renamed);
        if self.touched.is_empty() && !renamed {
            return;
        }
        for name in self.touched.drain() {
            let Some(family) = self.families.get_mut(&name) else { continue };
            let living = |s: &Arc<Series>| {
                self.series[s.slot as usize].as_ref().is_some_and(|now| Arc::ptr_eq(now, s))
            };
            let family_mut = Arc::make_mut(family);
            family_mut.series.retain(living);
            // Stable sort: what was sorted is one run, what came is merged into it.
            family_mut.series.sort_by(|a, b| a.exposition_order(b));
            if family_mut.series.is_empty() {
                self.families.remove(&name);
                self.own.remove(&name);
                continue;
            }
            let own = |series: &Series| self.sources[usize::from(series.source.0)].scope == Scope::Own;
            match family.only(own) {
                Some(own) => self.own.insert(name, own),
                None => self.own.remove(&name),
            };
        }
        let sources = if renamed {
            self.sources.iter().map(|source| Arc::clone(&source.name)).collect()
        } else {
            Arc::clone(&self.schema.sources)
        };
        self.schema = Arc::new(Schema {
            version: self.schema.version + 1,
            families: self.families.values().cloned().collect(),
            own: self.own.values().cloned().collect(),
            sources,
            len: self.by_key.len(),
        });
    }

    fn age_tombstones(&mut self, at: Moment) {
        let oldest_kept = at.since_start.saturating_sub(TOMBSTONE_AGE);
        let mut forget = self.forgotten;
        if self.graves.len() > TOMBSTONES {
            let mut offsets: Vec<u64> = self.graves.values().map(|g| g.tombstone.offset).collect();
            let excess = offsets.len() - TOMBSTONES;
            forget = forget.max(*offsets.select_nth_unstable(excess - 1).1);
        }
        for grave in self.graves.values().filter(|grave| grave.since_start < oldest_kept) {
            forget = forget.max(grave.tombstone.offset);
        }
        if forget > self.forgotten {
            self.forgotten = forget;
            self.graves.retain(|_, grave| grave.tombstone.offset > forget);
            self.graves_changed = true;
        }
        if std::mem::take(&mut self.graves_changed) {
            let mut all: Vec<_> = self.graves.values().map(|grave| grave.tombstone.clone()).collect();
            all.sort_unstable_by_key(|t| (t.offset, t.series.number));
            self.tombstones = all.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Kind;
    use super::*;
    use crate::exposition::parse::Format;
    use crate::exposition::read::Reader;

    const NONE: [(&str, &str); 0] = [];

    fn moment(ms: u64) -> Moment {
        let unix_ms = 1_700_000_000_000 + i64::try_from(ms).expect("small");
        Moment { since_start: Duration::from_millis(ms), unix_ms }
    }

    fn meta(name: &str, kind: Kind) -> Arc<FamilyMeta> {
        Arc::new(FamilyMeta { name: name.into(), kind, help: "".into(), unit: "".into() })
    }

    fn keys(tick: &Tick) -> Vec<String> {
        tick.schema.series().map(|(_, series)| series.key().to_owned()).collect()
    }

    fn gauge(table: &mut Table, source: SourceId, name: &str) -> Slot {
        table.series(source, &meta(name, Kind::Gauge), Role::Value, name, &NONE).expect("taken")
    }

    fn table() -> (Table, SourceId) {
        let mut table = Table::new(Epoch(7), 1000);
        let source = table.add_source("test", Scope::Own);
        (table, source)
    }

    #[test]
    fn a_tick_says_which_values_changed_since_when() {
        let (mut table, source) = table();
        let (a, b) = (gauge(&mut table, source, "a"), gauge(&mut table, source, "b"));
        table.set(a, 1.0, NO_TIME);
        table.set(b, f64::NAN, NO_TIME);
        table.commit(moment(0), 0);
        table.set(a, 2.0, NO_TIME);
        table.set(b, f64::NAN, NO_TIME);
        let tick = table.commit(moment(1000), 1);
        let changed: Vec<_> =
            tick.schema.series().map(|(_, s)| (s.key().to_owned(), tick.changed(s))).collect();
        assert_eq!(changed, [("a".into(), 2), ("b".into(), 1)], "NaN that stays NaN has not changed");
        assert_eq!((tick.offset, tick.beat, tick.clock_step_ms), (2, 1, 0));
    }

    #[test]
    fn a_source_that_is_removed_takes_its_series_and_leaves_its_number_to_another() {
        let (mut table, first) = table();
        gauge(&mut table, first, "stays");
        let other = table.add_source("other", Scope::Foreign);
        gauge(&mut table, other, "goes");
        let both = table.commit(moment(0), 0);
        assert_eq!(both.schema.own.iter().map(|family| &*family.meta.name).collect::<Vec<_>>(), ["stays"]);
        assert!(Arc::ptr_eq(&both.schema.own[0], both.schema.family("stays").expect("stays")));
        table.remove_source(other);
        let gone = table.commit(moment(1000), 1);
        assert_eq!((keys(&gone), gone.tombstones.len()), (vec!["stays".to_owned()], 1));
        assert_eq!(table.add_source("third", Scope::Own), other);
        gauge(&mut table, other, "comes");
        let third = table.commit(moment(2000), 2);
        assert_eq!(&*third.schema.sources[usize::from(other.0)], "third");
        assert_eq!((keys(&third), third.schema.own.len()), (vec!["comes".to_owned(), "stays".to_owned()], 2));
    }

    #[test]
    fn what_others_say_of_a_family_of_ours_does_not_count() {
        let (mut table, ours) = table();
        let theirs = table.add_source("theirs", Scope::Foreign);
        let of = |tick: &Tick| tick.schema.family("a").expect("there").meta.kind;
        let labels = [("job", "x")];
        let other = meta("a", Kind::Histogram);
        table.series(theirs, &other, Role::Value, "a", &labels).expect("taken");
        assert_eq!(of(&table.commit(moment(0), 0)), Kind::Histogram);
        let a = gauge(&mut table, ours, "a");
        assert_eq!(of(&table.commit(moment(1), 1)), Kind::Gauge, "ours came second and counts");
        table.redefine(theirs, &other);
        let tick = table.commit(moment(2), 2);
        assert_eq!((of(&tick), tick.schema.own[0].meta.kind), (Kind::Gauge, Kind::Gauge));
        table.redefine(ours, &meta("a", Kind::Counter));
        assert_eq!(of(&table.commit(moment(3), 3)), Kind::Counter);
        table.remove(a);
        table.commit(moment(4), 4);
        table.redefine(theirs, &other);
        assert_eq!(of(&table.commit(moment(5), 5)), Kind::Histogram, "it is theirs alone again");
    }

    #[test]
    fn series_of_others_leave_room_for_ours() {
        let mut table = Table::new(Epoch(1), 32);
        let (own, other) = (table.add_source("own", Scope::Own), table.add_source("other", Scope::Foreign));
        let meta = |name: &str| {
            Arc::new(FamilyMeta { name: name.into(), kind: Kind::Gauge, help: "".into(), unit: "".into() })
        };
        let mut add = |source, at: usize| {
            let (name, none) = (format!("m{at}"), [("", ""); 0]);
            table.series(source, &meta(&name), Role::Value, &name, &none).map(drop)
        };
        for at in 0..30 {
            add(other, at).expect("there is room");
        }
        assert_eq!(add(other, 30), Err(Refused::Full(30)));
        add(own, 31).expect("it is kept for us");
        add(own, 32).expect("it is kept for us");
        assert_eq!(add(own, 33), Err(Refused::Full(32)));
    }

    #[test]
    fn a_published_tick_never_changes() {
        let (mut table, source) = table();
        let a = gauge(&mut table, source, "a");
        table.set(a, 1.0, NO_TIME);
        let first = table.commit(moment(0), 0);
        table.set(a, 2.0, NO_TIME);
        gauge(&mut table, source, "b");
        table.commit(moment(1), 1);
        table.remove(a);
        table.commit(moment(2), 2);
        assert_eq!(keys(&first), ["a"]);
        let (_, series) = first.schema.series().next().expect("a");
        assert_eq!(first.value(series).to_bits(), 1f64.to_bits());
    }

    #[test]
    fn a_removed_series_leaves_a_tombstone_and_returns_under_its_number() {
        let (mut table, source) = table();
        let a = gauge(&mut table, source, "a");
        let first = table.commit(moment(0), 0);
        let number = first.schema.series().next().expect("a").1.number;
        table.remove(a);
        let gone = table.commit(moment(1000), 1);
        assert!(keys(&gone).is_empty());
        assert_eq!((gone.tombstones[0].series.number, gone.tombstones[0].offset), (number, 2));
        gauge(&mut table, source, "a");
        let back = table.commit(moment(2000), 2);
        let (_, series) = back.schema.series().next().expect("a");
        assert_eq!((series.number, series.born), (number, 3));
        assert!(back.tombstones.is_empty());
    }

    #[test]
    fn a_series_that_goes_returns_and_goes_within_one_tick_is_gone() {
        let (mut table, source) = table();
        let a = gauge(&mut table, source, "a");
        table.commit(moment(0), 0);
        table.remove(a);
        let back = gauge(&mut table, source, "a");
        table.remove(back);
        let fresh = gauge(&mut table, source, "b");
        table.remove(fresh);
        let tick = table.commit(moment(1000), 1);
        let gone: Vec<_> = tick.tombstones.iter().map(|t| (t.series.key(), t.offset)).collect();
        assert_eq!(gone, [("a", 2)], "b was never seen");
    }

    #[test]
    fn tombstones_are_forgotten_after_a_minute_and_the_tick_says_so() {
        let (mut table, source) = table();
        let a = gauge(&mut table, source, "a");
        table.commit(moment(0), 0);
        table.remove(a);
        let tick = table.commit(moment(1000), 1);
        assert_eq!((tick.tombstones.len(), tick.forgotten), (1, 0));
        let tick = table.commit(moment(62_000), 2);
        assert_eq!((tick.tombstones.len(), tick.forgotten), (0, 2));
        gauge(&mut table, source, "a");
        let tick = table.commit(moment(63_000), 3);
        assert_eq!(tick.schema.series().next().expect("a").1.number, 2, "a new life has a new number");
    }

    #[test]
    fn tombstones_are_bounded_in_number() {
        let mut table = Table::new(Epoch(7), usize::MAX);
        let source = table.add_source("test", Scope::Own);
        let slots: Vec<_> =
            (0..TOMBSTONES + 5).map(|i| gauge(&mut table, source, &format!("m{i}"))).collect();
        table.commit(moment(0), 0);
        for slot in &slots[..5] {
            table.remove(*slot);
        }
        table.commit(moment(1), 1);
        for slot in &slots[5..] {
            table.remove(*slot);
        }
        let tick = table.commit(moment(2), 2);
        assert_eq!((tick.tombstones.len(), tick.forgotten), (TOMBSTONES, 2));
    }

    #[test]
    fn the_order_is_that_of_the_exposition() {
        let (mut table, source) = table();
        let h = meta("h", Kind::Histogram);
        for le in ["+Inf", "10", "2"] {
            for path in ["/b", "/a"] {
                let labels = [("le", le), ("path", path)];
                table.series(source, &h, Role::Bucket, "h_bucket", &labels).expect("taken");
            }
        }
        table.series(source, &h, Role::Sum, "h_sum", &[("path", "/a")]).expect("taken");
        table.series(source, &h, Role::Count, "h_count", &[("path", "/a")]).expect("taken");
        gauge(&mut table, source, "a_first");
        assert_eq!(
            keys(&table.commit(moment(0), 0)),
            [
                "a_first",
                r#"h_bucket{le="2",path="/a"}"#,
                r#"h_bucket{le="10",path="/a"}"#,
                r#"h_bucket{le="+Inf",path="/a"}"#,
                r#"h_sum{path="/a"}"#,
                r#"h_count{path="/a"}"#,
                r#"h_bucket{le="2",path="/b"}"#,
                r#"h_bucket{le="10",path="/b"}"#,
                r#"h_bucket{le="+Inf",path="/b"}"#,
            ]
        );
    }

    #[test]
    fn a_second_source_cannot_take_over_a_series_and_the_table_has_a_limit() {
        let mut table = Table::new(Epoch(7), 1);
        let (one, two) = (table.add_source("one", Scope::Own), table.add_source("two", Scope::Own));
        let a = meta("a", Kind::Gauge);
        table.series(one, &a, Role::Value, "a", &NONE).expect("taken");
        assert_eq!(table.series(two, &a, Role::Value, "a", &NONE), Err(Refused::Duplicate));
        assert_eq!(table.series(one, &a, Role::Value, "a", &[("x", "y")]), Err(Refused::Full(1)));
    }

    #[test]
    fn a_family_that_does_not_change_is_shared_between_schemas() {
        let (mut table, source) = table();
        gauge(&mut table, source, "a");
        let first = table.commit(moment(0), 0);
        gauge(&mut table, source, "b");
        let second = table.commit(moment(1), 1);
        let third = table.commit(moment(2), 2);
        assert!(Arc::ptr_eq(&first.schema.families[0], &second.schema.families[0]));
        assert!(Arc::ptr_eq(&second.schema, &third.schema));
        assert_eq!((first.schema.version, second.schema.version), (1, 2));
    }

    #[test]
    fn an_exemplar_that_is_not_on_the_page_any_more_is_gone() {
        let (mut table, source) = table();
        let other = table.add_source("other", Scope::Own);
        let (mut ours, mut theirs) = (Reader::new(), Reader::new());
        let mut tick = |table: &mut Table, page: &str| {
            let page = format!("# TYPE a counter\na_total{{l=\"1\"}} 1{page}\na_total{{l=\"2\"}} 1\n# EOF\n");
            table.apply(source, &ours.read(page.as_bytes(), Format::OpenMetrics).expect("in order"));
            table.commit(moment(0), 0)
        };
        let kept = b"# TYPE b counter\nb_total 1 # {trace=\"b\"} 1\n# EOF\n";
        table.apply(other, &theirs.read(kept, Format::OpenMetrics).expect("in order"));
        let count = |tick: &Tick| tick.exemplars.len();
        assert_eq!(count(&tick(&mut table, " # {trace=\"a\"} 1")), 2);
        assert_eq!(count(&tick(&mut table, " # {trace=\"c\"} 1")), 2);
        assert_eq!(count(&tick(&mut table, "")), 1, "that of the other source stays");
        assert_eq!(count(&tick(&mut table, " # {trace=\"d\"} 1")), 2);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_and_offsets_go_on() {
        let (mut table, _) = table();
        table.commit(moment(0), 0);
        let mut later = moment(1000);
        later.unix_ms -= 3_600_000;
        let tick = table.commit(later, 1);
        assert_eq!((tick.offset, tick.clock_step_ms), (2, -3_600_000));
    }
}
