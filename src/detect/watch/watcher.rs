//! The pure core: ticks in, scores, events and reports out.
//!
//! A *stream* is what one detector sees: a series, the buckets of a histogram, or the sum of several. Which there are is worked
//! out when families come, change or go, not at every tick. At a tick each stream takes its samples; when the interval of
//! its watch ends, all streams of it are observed together, so that what moved together is seen together.
//!
//! A stream whose series are gone is kept for [`KEPT`], so that a service that restarts need not be learnt anew, or until its
//! place is needed. More streams than `max_series` are not watched; they are counted, and take the places that become free.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::config::{Config, Watch};
use super::event::{Anomaly, Moved, Stage, shown};
use super::past::{self, Past};
use super::reading::{Form, Member, Reading};
use super::state::{Change, Open, State, TOGETHER};
use crate::alert::{Origin, Report};
use crate::clock::Moment;
use crate::query::Labels;
use crate::series::{Family, Kind, Role, Schema, Series, Tick, key};

/// How long what was learnt is kept after the series has gone.
const KEPT: Duration = Duration::from_secs(600);

/// A stream of which nothing comes for so many intervals, and at least [`SILENCE`], is over.
const SILENT_INTERVALS: u32 = 5;
const SILENCE: Duration = Duration::from_secs(300);

/// A report is repeated after this time, also where nothing has changed.
const REPEAT: Duration = Duration::from_secs(60);

/// Others that moved: at least so many sigmas, and so many of them.
const MOVED: f64 = 3.0;
const MOST_MOVED: usize = 5;

/// Anomalies of one tick for which others that moved are looked for; with more at once everything moved.
const MOST_EXPLAINED: usize = 50;

/// Streams that learn their past in one tick, and samples that they may read for it: a few milliseconds.
const LEARNING: usize = 20;
const LEARNING_SAMPLES: usize = 200_000;

/// Series of our own that must not be watched, or scores would have scores.
const OURS: [&str; 2] = ["gaugecast_anomaly_", "ALERTS"];

/// What a tick brings.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// What is to be told.
    pub(super) events: Vec<Arc<Anomaly>>,
    /// Scores that are new.
    pub(super) rows: Vec<Row>,
    /// Streams whose scores are gone.
    pub(super) gone: Vec<u64>,
    /// Share of anomalous streams by host, if something was observed.
    pub(super) rates: Option<Vec<(Labels, f64)>>,
    /// What the alert manager is told.
    pub(super) reports: Vec<Report>,
    /// Observations made.
    pub(super) observed: u64,
}

/// The scores of a stream.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) labels: Arc<[(String, String)]>,
    pub(super) score: f64,
    pub(super) expected: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

#[derive(Debug)]
struct Stream {
    /// Counts up; never used again.
    id: u64,
    watch: usize,
    key: Box<str>,
    metric: Arc<str>,
    labels: BTreeMap<String, String>,
    shown: Arc<[(String, String)]>,
    /// Place in [`Watcher::hosts`].
    host: usize,
    reading: Reading,
    state: State,
    together: Vec<Moved>,
    /// Since when it has no series.
    gone: Option<Duration>,
    /// It is still to learn its past.
    cold: bool,
}

impl Stream {
    fn observed(&self) -> Arc<str> {
        match self.reading.form() {
            Form::Level => "value".into(),
            Form::Rate => "rate".into(),
            Form::Quantile(q) => format!("p{}", (q * 1e6).round() / 1e4).into(),
        }
    }

    fn moved(&self, watch: &Arc<str>) -> Moved {
        Moved {
            watch: Arc::clone(watch),
            metric: Arc::clone(&self.metric),
            labels: self.labels.clone(),
            sigmas: self.state.moved.0,
        }
    }
}

/// A stream that a family wants.
struct Wanted {
    form: Form,
    metric: Arc<str>,
    labels: BTreeMap<String, String>,
    members: Vec<Arc<Series>>,
}

/// Whatever is watched, and how.
#[derive(Debug)]
pub(super) struct Watcher {
    config: Config,
    names: Vec<Arc<str>>,
    /// `anomaly;NAME` of each watch.
    sources: Vec<Arc<str>>,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    by_key: HashMap<(usize, Box<str>), usize>,
    /// Streams of a family, by its name, and the family as it was read.
    families: HashMap<Arc<str>, (Arc<Family>, Vec<usize>)>,
    schema: Option<Arc<Schema>>,
    hosts: Vec<Labels>,
    /// Streams that are to learn their past: place, id and series.
    learning: VecDeque<(usize, u64, Vec<Arc<Series>>)>,
    /// Number of the last interval of each watch that was observed.
    interval: Vec<u128>,
    /// When each watch was reported last, and whether something changed since.
    reported: Vec<Option<Duration>>,
    changed: Vec<bool>,
    /// Streams without room, by family.
    skipped: HashMap<Arc<str>, usize>,
    next_id: u64,
    next_anomaly: u64,
}

impl Watcher {
    pub(super) fn new(config: Config) -> Self {
        let watches = config.watches.len();
        Watcher {
            names: config.watches.iter().map(|watch| watch.name.as_str().into()).collect(),
            sources: config.watches.iter().map(|watch| format!("anomaly;{}", watch.name).into()).collect(),
            config,
            streams: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            families: HashMap::new(),
            schema: None,
            hosts: Vec::new(),
            learning: VecDeque::new(),
            interval: vec![0; watches],
            reported: vec![None; watches],
            changed: vec![true; watches],
            skipped: HashMap::new(),
            next_id: 0,
            next_anomaly: 0,
        }
    }

    /// Streams that are watched, and series for which there is no room.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_key.len(), self.skipped.values().sum())
    }

    /// Memory of all streams by detector, bytes.
    pub(super) fn memory(&self) -> BTreeMap<&'static str, usize> {
        let mut all = BTreeMap::new();
        for stream in self.streams.iter().flatten() {
            let name = self.config.watches[stream.watch].detector.kind().name();
            *all.entry(name).or_default() +=
                size_of::<Stream>() + stream.state.memory() + stream.reading.heap();
        }
        all
    }

    /// Takes a tick. `past` is where a stream that is new learns from.
    pub(super) fn tick(&mut self, tick: &Tick, past: Option<&dyn Past>) -> Out {
        let mut out = Out::default();
        if self.schema.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &tick.schema)) {
            self.follow(&tick.schema, tick.at, &mut out);
        }
        self.learn(tick, past);
        let (values, times) = tick.columns();
        let due: Vec<bool> = (0..self.config.watches.len()).map(|at| self.is_due(at, tick.at)).collect();
        let mut changes: Vec<(usize, Change)> = Vec::new();
        for (place, stream) in self.streams.iter_mut().enumerate() {
            let Some(stream) = stream.as_mut().filter(|stream| stream.gone.is_none() && !stream.cold) else {
                continue;
            };
            stream.reading.tick(values, times, tick.at.unix_ms);
            if !due[stream.watch] {
                continue;
            }
            let watch = &self.config.watches[stream.watch];
            let change = match stream.reading.close() {
                Some(value) => {
                    let before = stream.state.samples;
                    let change = stream.state.observe(watch, tick.at, value, &mut self.next_anomaly);
                    out.observed += stream.state.samples - before;
                    out.rows.push(row(stream));
                    // What is told of it has its last value.
                    self.changed[stream.watch] |= stream.state.open.is_some();
                    change
                }
                None if is_silent(watch, &stream.state, tick.at) => stream.state.end(),
                None => None,
            };
            changes.extend(change.map(|change| (place, change)));
        }
        self.tell(changes, tick.at, &mut out);
        if out.observed > 0 || !out.gone.is_empty() {
            out.rates = Some(self.rates());
        }
        self.report(tick.at, &mut out);
        out
    }

    /// Has an interval of the watch ended?
    fn is_due(&mut self, watch: usize, at: Moment) -> bool {
        let interval = self.config.watches[watch].interval.as_millis();
        let Some(number) = at.since_start.as_millis().checked_div(interval) else { return true };
        std::mem::replace(&mut self.interval[watch], number) != number
    }

    /// Takes up what has come, changed and gone.
    fn follow(&mut self, schema: &Arc<Schema>, at: Moment, out: &mut Out) {
        self.schema = Some(Arc::clone(schema));
        let known: HashSet<&str> = schema.families.iter().map(|family| &*family.meta.name).collect();
        let gone: Vec<Arc<str>> =
            self.families.keys().filter(|name| !known.contains(&***name)).cloned().collect();
        let mut changes = Vec::new();
        for name in gone {
            self.skipped.remove(&name);
            for place in self.families.remove(&name).map(|(_, places)| places).unwrap_or_default() {
                self.leave(place, at, &mut changes, out);
            }
        }
        let had_to_skip = !self.skipped.is_empty();
        let free_before = self.room();
        for family in &schema.families {
            let known = self.families.get(&family.meta.name);
            // Those that had no room try again when there is some.
            let again = had_to_skip && free_before > 0 && self.skipped.contains_key(&family.meta.name);
            if !again && known.is_some_and(|(known, _)| Arc::ptr_eq(known, family)) {
                continue;
            }
            self.family(family, at, &mut changes, out);
        }
        self.tell(changes, at, out);
        self.name_hosts();
    }

    fn family(
        &mut self,
        family: &Arc<Family>,
        at: Moment,
        changes: &mut Vec<(usize, Change)>,
        out: &mut Out,
    ) {
        let name = &family.meta.name;
        let mut places = Vec::new();
        let mut skipped = 0;
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            for watch in 0..self.config.watches.len() {
                for (key, wanted) in wanted(&self.config.watches[watch], family) {
                    match self.stream(watch, key, wanted) {
                        Some(place) => places.push(place),
                        None => skipped += 1,
                    }
                }
            }
        }
        if skipped > 0 {
            self.skipped.insert(Arc::clone(name), skipped);
        } else {
            self.skipped.remove(name);
        }
        let stays: HashSet<usize> = places.iter().copied().collect();
        // Also families of which nothing is watched are remembered, so that they are not looked at again.
        if let Some((_, before)) = self.families.insert(Arc::clone(name), (Arc::clone(family), places)) {
            for place in before.into_iter().filter(|place| !stays.contains(place)) {
                self.leave(place, at, changes, out);
            }
        }
    }

    /// The stream of this key with these series; none, if there is no room for it.
    fn stream(&mut self, watch: usize, key: String, wanted: Wanted) -> Option<usize> {
        let of = |series: &Arc<Series>| Member::new(series.number, series.slot, series.bound());
        let members: Vec<Member> = wanted.members.iter().map(of).collect();
        let key: Box<str> = key.into();
        if let Some(&place) = self.by_key.get(&(watch, key.clone())) {
            let stream = self.streams[place].as_mut().expect("a key leads to a stream");
            stream.reading.set_members(members);
            stream.gone = None;
            return Some(place);
        }
        if self.by_key.len() >= self.config.max_series && !self.make_room() {
            return None;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        self.next_id += 1;
        self.by_key.insert((watch, key.clone()), place);
        self.streams[place] = Some(Stream {
            id: self.next_id,
            watch,
            key,
            shown: shown(&self.names[watch], &wanted.metric, &wanted.labels).into(),
            metric: wanted.metric,
            labels: wanted.labels,
            host: 0,
            reading: Reading::new(wanted.form, members),
            state: State::new(&self.config.watches[watch]),
            together: Vec::new(),
            gone: None,
            cold: true,
        });
        self.learning.push_back((place, self.next_id, wanted.members));
        Some(place)
    }

    /// The series of a stream are gone.
    fn leave(&mut self, place: usize, at: Moment, changes: &mut Vec<(usize, Change)>, out: &mut Out) {
        let Some(stream) = &mut self.streams[place] else { return };
        stream.gone = Some(at.since_start);
        out.gone.push(stream.id);
        changes.extend(stream.state.end().map(|change| (place, change)));
    }

    /// Places for new streams.
    fn room(&self) -> usize {
        let parked = self.streams.iter().flatten().filter(|stream| stream.gone.is_some()).count();
        self.config.max_series.saturating_sub(self.by_key.len()) + parked
    }

    /// Frees the stream that has been without series for the longest time.
    fn make_room(&mut self) -> bool {
        let parked = self.streams.iter().enumerate();
        let parked = parked.filter_map(|(place, stream)| Some((stream.as_ref()?.gone?, place)));
        match parked.min() {
            Some((_, place)) => {
                self.free(place);
                true
            }
            None => false,
        }
    }

    fn free(&mut self, place: usize) {
        if let Some(stream) = self.streams[place].take() {
            self.by_key.remove(&(stream.watch, stream.key));
            self.free.push(place);
        }
    }

    /// Frees what has been without series for too long.
    pub(super) fn sweep(&mut self, at: Moment) {
        let over = |stream: &Stream| stream.gone.is_some_and(|gone| gone + KEPT <= at.since_start);
        let places = (0..self.streams.len()).filter(|&place| self.streams[place].as_ref().is_some_and(over));
        for place in places.collect::<Vec<_>>() {
            self.free(place);
        }
    }

    /// A few of the new streams learn their past.
    fn learn(&mut self, tick: &Tick, past: Option<&dyn Past>) {
        let mut samples = LEARNING_SAMPLES;
        for _ in 0..LEARNING {
            let Some((place, id, series)) = self.learning.pop_front() else { break };
            let Some(stream) = self.streams[place].as_mut().filter(|stream| stream.id == id) else {
                continue;
            };
            stream.cold = false;
            if let Some(past) = past {
                let watch = &self.config.watches[stream.watch];
                let until = tick.at.unix_ms;
                let taken = past::replay(past, watch, &series, until, &mut stream.reading, &mut stream.state);
                samples = samples.saturating_sub(taken);
            }
            if samples == 0 {
                break;
            }
        }
    }

    /// Tells what has changed, with what moved at the same time.
    fn tell(&mut self, changes: Vec<(usize, Change)>, at: Moment, out: &mut Out) {
        let fresh = |stream: &Stream| {
            stream.state.open.as_ref().is_some_and(|open| at.since(&open.began) <= TOGETHER)
                && stream.state.observed.is_some_and(|observed| observed == at)
        };
        let open = (0..self.streams.len()).filter(|&place| self.streams[place].as_ref().is_some_and(fresh));
        let open: Vec<usize> = open.take(MOST_EXPLAINED).collect();
        if !open.is_empty() {
            let mut moving: Vec<(f64, Duration, usize)> = Vec::new();
            for (place, stream) in self.streams.iter().enumerate() {
                let Some(stream) = stream.as_ref().filter(|stream| stream.gone.is_none()) else { continue };
                let (sigmas, when) = stream.state.moved;
                if sigmas.abs() >= MOVED {
                    moving.push((sigmas.abs(), when, place));
                }
            }
            moving.sort_by(|a, b| b.0.total_cmp(&a.0));
            for place in open {
                self.join(place, &moving);
            }
        }
        for (place, change) in changes {
            let Some(stream) = &self.streams[place] else { continue };
            self.changed[stream.watch] = true;
            let (state, open, to) = match &change {
                Change::Begins | Change::Confirmed => {
                    let Some(open) = &stream.state.open else { continue };
                    let begins = matches!(change, Change::Begins);
                    (if begins { Stage::Begin } else { Stage::Confirmed }, open, None)
                }
                Change::Ends(open) => (Stage::End, open, None),
                Change::Shifts(open, to) => (Stage::Shift, open, Some(*to)),
            };
            let anomaly = self.anomaly(stream, open, state, to);
            let confirmed = matches!(change, Change::Begins) && open.confirmed.is_some();
            out.events.push(Arc::new(anomaly));
            if confirmed {
                let anomaly = self.anomaly(stream, open, Stage::Confirmed, None);
                out.events.push(Arc::new(anomaly));
            }
            if matches!(change, Change::Ends(_) | Change::Shifts(..))
                && let Some(stream) = &mut self.streams[place]
            {
                stream.together.clear();
            }
        }
    }

    /// Adds to what moved together with an anomaly what does so now.
    fn join(&mut self, place: usize, moving: &[(f64, Duration, usize)]) {
        let Some(began) = self.streams[place].as_ref().and_then(|stream| stream.state.open.as_ref()) else {
            return;
        };
        let from = began.began.since_start.saturating_sub(TOGETHER);
        let near = moving.iter().filter(|(_, when, other)| *when >= from && *other != place);
        let near: Vec<Moved> = near
            .take(MOST_MOVED)
            .filter_map(|(.., other)| self.streams[*other].as_ref())
            .map(|stream| stream.moved(&self.names[stream.watch]))
            .collect();
        let Some(stream) = &mut self.streams[place] else { return };
        let mut all = std::mem::take(&mut stream.together);
        for moved in near {
            let same = |known: &&mut Moved| {
                (&known.watch, &known.metric, &known.labels) == (&moved.watch, &moved.metric, &moved.labels)
            };
            match all.iter_mut().find(same) {
                Some(known) if known.sigmas.abs() < moved.sigmas.abs() => *known = moved,
                Some(_) => {}
                None => all.push(moved),
            }
        }
        all.sort_by(|a, b| b.sigmas.abs().total_cmp(&a.sigmas.abs()));
        all.truncate(MOST_MOVED);
        stream.together = all;
    }

    fn anomaly(&self, stream: &Stream, open: &Open, state: Stage, to: Option<f64>) -> Anomaly {
        let watch = &self.config.watches[stream.watch];
        let mut anomaly = Anomaly {
            id: open.id,
            state,
            watch: Arc::clone(&self.names[stream.watch]),
            metric: Arc::clone(&stream.metric),
            labels: stream.labels.clone(),
            observed: stream.observed(),
            detector: watch.detector.kind().name(),
            severity: watch.severity,
            since: open.began.unix_ms,
            value: stream.state.value,
            expected: open.expected,
            lower: open.lower,
            upper: open.upper,
            score: open.score,
            samples: stream.state.samples,
            explanation: String::new(),
            together: stream.together.clone(),
        };
        anomaly.explanation = anomaly.explain(to);
        anomaly
    }

    /// Reports of the watches of which something has changed, and of the others from time to time.
    fn report(&mut self, at: Moment, out: &mut Out) {
        for watch in 0..self.config.watches.len() {
            let again = self.reported[watch].is_none_or(|last| last + REPEAT <= at.since_start);
            if !std::mem::take(&mut self.changed[watch]) && !again {
                continue;
            }
            self.reported[watch] = Some(at.since_start);
            let streams = self.streams.iter().flatten().filter(|stream| stream.watch == watch);
            let active = streams.filter_map(|stream| {
                let open = stream.state.open.as_ref()?;
                let stage = if open.confirmed.is_some() { Stage::Confirmed } else { Stage::Begin };
                let anomaly = self.anomaly(stream, open, stage, None);
                Some(anomaly.active(open.confirmed.map(|at| at.unix_ms)))
            });
            let (source, origin) = (Arc::clone(&self.sources[watch]), Origin::Anomaly);
            out.reports.push(Report { source, origin, at, active: active.collect(), no_data: Vec::new() });
        }
    }

    /// The report of this watch did not arrive: it is sent anew at the next tick.
    pub(super) fn unsent(&mut self, source: &str) {
        if let Some(watch) = self.sources.iter().position(|known| **known == *source) {
            self.changed[watch] = true;
        }
    }

    fn name_hosts(&mut self) {
        let mut hosts: HashMap<Labels, usize> = HashMap::new();
        self.hosts.clear();
        for stream in self.streams.iter_mut().flatten().filter(|stream| stream.gone.is_none()) {
            let of = |name| stream.labels.get(name).map(|value| (name, value.as_str()));
            let labels = Labels::new(["instance", "job"].into_iter().filter_map(of));
            stream.host = *hosts.entry(labels.clone()).or_insert_with(|| {
                self.hosts.push(labels);
                self.hosts.len() - 1
            });
        }
    }

    fn rates(&self) -> Vec<(Labels, f64)> {
        let mut counts = vec![(0_u32, 0_u32); self.hosts.len()];
        for stream in self.streams.iter().flatten().filter(|stream| stream.gone.is_none()) {
            if let Some((all, open)) = counts.get_mut(stream.host) {
                *all += 1;
                *open += u32::from(stream.state.open.is_some());
            }
        }
        let rated = self.hosts.iter().zip(counts).filter(|(_, (all, _))| *all > 0);
        rated.map(|(host, (all, open))| (host.clone(), f64::from(open) / f64::from(all))).collect()
    }
}

fn row(stream: &Stream) -> Row {
    let State { score, expected, lower, upper, .. } = stream.state;
    Row { id: stream.id, labels: Arc::clone(&stream.shown), score, expected, lower, upper }
}

fn is_silent(watch: &Watch, state: &State, at: Moment) -> bool {
    let longest = SILENCE.max(watch.interval * SILENT_INTERVALS);
    state.open.is_some() && state.observed.is_some_and(|observed| at.since(&observed) >= longest)
}

/// The streams that a watch wants of a family, by key, in the order of the family.
fn wanted(watch: &Watch, family: &Family) -> Vec<(String, Wanted)> {
    let name = &*family.meta.name;
    let possible = |selector: &&crate::series::Selector| selector.name().is_none_or(|n| n.starts_with(name));
    let selectors: Vec<_> = watch.selectors.iter().filter(possible).collect();
    if selectors.is_empty() {
        return Vec::new();
    }
    let mut order: Vec<(String, Wanted)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    // Buckets of one metric stand side by side: whether it is picked is asked once for all of them.
    let mut last: Option<(&str, bool)> = None;
    for series in &family.series {
        let Some(form) = form(family.meta.kind, series, watch.quantile) else { continue };
        let is_bucket = matches!(form, Form::Quantile(_));
        let labels = || series.labels().filter(|(label, _)| !(is_bucket && label == "le"));
        let picked = match last {
            Some((group, picked)) if is_bucket && group == series.group() => picked,
            _ if is_bucket => {
                let key = key::render(name, &labels().collect::<Vec<_>>());
                let picked = selectors.iter().any(|selector| selector.matches(&key));
                last = Some((series.group(), picked));
                picked
            }
            _ => selectors.iter().any(|selector| selector.matches(series.key())),
        };
        if !picked {
            continue;
        }
        let kept = |label: &str| watch.sum_by.as_ref().is_none_or(|by| by.iter().any(|name| name == label));
        let of: BTreeMap<String, String> = labels()
            .filter(|(label, _)| kept(label))
            .map(|(label, value)| (label.into_owned(), value.into_owned()))
            .collect();
        let metric = if is_bucket { name.into() } else { series.name() };
        let key = key::render(&metric, &of.iter().collect::<Vec<_>>());
        // Quantiles of one summary do not add up, the series of one name and labels may differ in form.
        let place = *places.entry(key.clone()).or_insert_with(|| {
            let wanted = Wanted { form, metric: metric.as_ref().into(), labels: of, members: Vec::new() };
            order.push((key, wanted));
            order.len() - 1
        });
        order[place].1.members.push(Arc::clone(series));
    }
    order
}

/// What a series is observed as, if it can be.
fn form(kind: Kind, series: &Series, quantile: f64) -> Option<Form> {
    match (kind, series.role) {
        (_, Role::Created) | (Kind::Info | Kind::StateSet | Kind::GaugeHistogram, _) => None,
        (Kind::Histogram, Role::Bucket) => Some(Form::Quantile(quantile)),
        (_, Role::Bucket) => None,
        (Kind::Counter, _) | (_, Role::Sum | Role::Count) => Some(Form::Rate),
        (Kind::Unknown, Role::Value) if series.name().ends_with("_total") => Some(Form::Rate),
        (_, Role::Value) => Some(Form::Level),
    }
}
