//! What a subscription has shown so far: series and their values at one offset.
//!
//! A frame changes the model whole or not at all: the parts of a long one are kept until the last is there, and
//! everything in it is checked before anything is set. So the model is at every moment a state that the server
//! had, and a client that lost its connection may go on from its offset.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::wire;
use crate::series::key;

/// A family of metrics, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Type in OpenMetrics' words: `counter`, `gauge`, `histogram`, …
    pub kind: String,
    /// What it tells.
    pub help: String,
    /// Base unit in the plural, `seconds`; empty if it has none or does not say.
    pub unit: String,
}

/// A series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its number in the server's epoch.
    pub id: u32,
    /// Name of the metric.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The family it is of.
    pub family: Arc<Family>,
    /// The last value.
    pub value: f64,
    /// When the value was taken, Unix milliseconds.
    pub time_ms: i64,
}

impl Series {
    /// `name{label="value",…}`, which names the series in every epoch; `{label="value",…}` for what has no name, as most queries
    /// give it.
    #[must_use]
    pub fn key(&self) -> String {
        let key = key::render(&self.name, &self.labels.iter().collect::<Vec<_>>());
        if self.name.is_empty() { key.replacen("\"\",", "", 1).replacen("\"\"", "", 1) } else { key }
    }
}

/// What in a message cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A delta does not go on from what is here: something was missed.
    #[error("a delta from offset {prev} came where {have:?} was reached")]
    Gap {
        /// The offset reached; none before the first snapshot.
        have: Option<u64>,
        /// Where the delta begins.
        prev: u64,
    },
    /// A frame names a series that was not described.
    #[error("a value for series {0}, which was not described")]
    UnknownSeries(u32),
    /// A series is of a family that was not described.
    #[error("a series of family {0:?}, which was not described")]
    UnknownFamily(String),
    /// The parts of a frame are not one after the other.
    #[error("parts of a frame are missing or mixed")]
    Parts,
    /// A snapshot without epoch, a delta without `prev` or that goes back.
    #[error("a frame without the offsets it must have")]
    Offsets,
    /// More series than this client takes.
    #[error("more than {0} series")]
    TooMany(usize),
}

/// What a frame did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Applied {
    pub(super) snapshot: bool,
    /// Ids of the series that have a value from it, in its order.
    pub(super) values: Vec<u32>,
    /// Series that are gone.
    pub(super) stale: Vec<Series>,
}

/// The series of a subscription at one offset. See the [module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    max_series: usize,
    epoch: Option<String>,
    offset: Option<u64>,
    time_ms: i64,
    families: HashMap<String, Arc<Family>>,
    /// Those described that have no value yet among them.
    series: BTreeMap<u32, Known>,
    /// Parts of a frame whose last part has not come.
    parts: Vec<wire::Frame>,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    series: Series,
    has_value: bool,
}

impl Model {
    /// Nothing, and at most so many series.
    pub(super) fn new(max_series: usize) -> Self {
        Model {
            max_series,
            epoch: None,
            offset: None,
            time_ms: 0,
            families: HashMap::new(),
            series: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// Offset of the server's tick that this is the state of; none before the first snapshot.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// Life of the server process that the offset counts in.
    #[must_use]
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// Time of that tick, Unix milliseconds.
    #[must_use]
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// A series by its id.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Series> {
        self.series.get(&id).filter(|known| known.has_value).map(|known| &known.series)
    }

    /// A series that was described, whether or not it has a value yet.
    pub(super) fn described(&self, id: u32) -> Option<&Series> {
        self.series.get(&id).map(|known| &known.series)
    }

    /// All series, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Series> {
        self.series.values().filter(|known| known.has_value).map(|known| &known.series)
    }

    /// Number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Is there no series?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Where to go on after a reconnect.
    pub(super) fn resume(&self) -> Option<(&str, u64)> {
        Some((self.epoch.as_deref()?, self.offset?))
    }

    /// What is here goes on over a new connection: parts of a frame of the former are void.
    pub(super) fn go_on(&mut self) {
        self.parts.clear();
    }

    /// What is here is void: a schema and a snapshot will follow.
    pub(super) fn begin_anew(&mut self) {
        *self = Model::new(self.max_series);
    }

    /// Takes a `schema`.
    pub(super) fn schema(&mut self, schema: wire::Schema) -> Result<(), Fault> {
        let family = |known: &HashMap<_, _>, series: &wire::Series| {
            let name = series.family.as_ref().unwrap_or(&series.name);
            let is_known = schema.families.contains_key(name) || known.contains_key(name);
            if is_known { Ok(name.clone()) } else { Err(Fault::UnknownFamily(name.clone())) }
        };
        let of: Vec<String> =
            schema.series.iter().map(|series| family(&self.families, series)).collect::<Result<_, _>>()?;
        let new = schema.series.iter().filter(|series| !self.series.contains_key(&series.id)).count();
        let families = schema.families.keys().filter(|name| !self.families.contains_key(*name)).count();
        if self.series.len() + new > self.max_series || self.families.len() + families > self.max_series {
            return Err(Fault::TooMany(self.max_series));
        }
        for (name, wire::Family { kind, help, unit }) in schema.families {
            let family = Arc::new(Family { name: name.clone(), kind, help, unit });
            let before = self.families.insert(name, Arc::clone(&family));
            if let Some(before) = before.filter(|before| *before != family) {
                let members =
                    self.series.values_mut().filter(|known| Arc::ptr_eq(&known.series.family, &before));
                members.for_each(|known| known.series.family = Arc::clone(&family));
            }
        }
        for (wire::Series { id, name, labels, .. }, family) in schema.series.into_iter().zip(of) {
            let Some(family) = self.families.get(&family).cloned() else { continue };
            let before = self.series.get(&id);
            let has_value = before.is_some_and(|known| known.has_value);
            let (value, time_ms) =
                before.map_or((f64::NAN, 0), |known| (known.series.value, known.series.time_ms));
            let series = Series { id, name, labels, family, value, time_ms };
            self.series.insert(id, Known { series, has_value });
        }
        Ok(())
    }

    /// Takes a `snapshot` or `delta`; tells what it did once its last part is there.
    pub(super) fn frame(&mut self, snapshot: bool, frame: wire::Frame) -> Result<Option<Applied>, Fault> {
        match frame.prev {
            _ if snapshot => {
                if frame.epoch.is_none() {
                    return Err(Fault::Offsets);
                }
            }
            None => return Err(Fault::Offsets),
            Some(prev) if Some(prev) != self.offset => return Err(Fault::Gap { have: self.offset, prev }),
            Some(prev) if frame.offset < prev => return Err(Fault::Offsets),
            Some(_) => {}
        }
        let follows = match self.parts.last() {
            None => frame.part == 1 && frame.parts >= 1,
            Some(before) => {
                let same = |of: &wire::Frame| (of.parts, of.offset, of.t, of.prev, of.epoch.is_some());
                before.part.checked_add(1) == Some(frame.part) && same(before) == same(&frame)
            }
        };
        if !follows {
            return Err(Fault::Parts);
        }
        if let Some(point) = frame.values.iter().find(|point| !self.series.contains_key(&point.id)) {
            return Err(Fault::UnknownSeries(point.id));
        }
        // Every value is of a series that is known, and known ones are bounded: so are the parts, but for
        // values that come twice.
        let waiting: usize = self.parts.iter().map(|part| part.values.len()).sum();
        if waiting + frame.values.len() > self.max_series || self.parts.len() >= self.max_series {
            return Err(Fault::TooMany(self.max_series));
        }
        let is_last = frame.part == frame.parts;
        self.parts.push(frame);
        Ok(is_last.then(|| self.apply(snapshot)))
    }

    fn apply(&mut self, snapshot: bool) -> Applied {
        let mut applied = Applied { snapshot, values: Vec::new(), stale: Vec::new() };
        let mut gone: Vec<u32> = Vec::new();
        let mut before: Vec<u32> = Vec::new();
        if snapshot {
            before = self.iter().map(|series| series.id).collect();
            self.series.values_mut().for_each(|known| known.has_value = false);
        }
        for frame in std::mem::take(&mut self.parts) {
            for point in &frame.values {
                if let Some(known) = self.series.get_mut(&point.id) {
                    known.series.value = point.value;
                    known.series.time_ms = point.time.unwrap_or(frame.t);
                    known.has_value = true;
                    applied.values.push(point.id);
                }
            }
            gone.extend(&frame.stale);
            self.offset = Some(frame.offset);
            self.time_ms = frame.t;
            self.epoch = frame.epoch.or(self.epoch.take());
        }
        if snapshot {
            gone = before.into_iter().filter(|id| self.get(*id).is_none()).collect();
        }
        applied.stale.extend(gone.iter().filter_map(|id| self.series.remove(id)).map(|known| known.series));
        if snapshot {
            self.series.retain(|_, known| known.has_value);
        }
        applied
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Message, decode};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn feed(model: &mut Model, message: &Value) -> Result<Option<Applied>, Fault> {
        match decode(&message.to_string()).unwrap() {
            Message::Schema(schema) => model.schema(schema).map(|()| None),
            Message::Snapshot(frame) => model.frame(true, frame),
            Message::Delta(frame) => model.frame(false, frame),
            other => panic!("{other:?}"),
        }
    }

    fn fixture(name: &str) -> Value {
        let all: Vec<Value> =
            serde_json::from_str(include_str!("../../docs/protocol/messages.json")).unwrap();
        let found = all.iter().find(|fixture| fixture["direction"] == "server" && fixture["name"] == name);
        found.unwrap()["message"].clone()
    }

    fn values(model: &Model) -> Vec<(String, f64)> {
        model.iter().map(|series| (series.key(), series.value)).collect()
    }

    fn delta(prev: u64, offset: u64, values: Value) -> Value {
        json!({"type": "delta", "channel": 1, "prev": prev, "offset": offset, "t": 0, "values": values})
    }

    #[test]
    fn the_examples_of_the_protocol_lead_from_a_snapshot_to_the_last_delta() {
        let mut model = Model::new(10);
        for name in ["schema", "snapshot", "delta", "schema of a new series"] {
            feed(&mut model, &fixture(name)).unwrap();
        }
        assert_eq!(model.resume(), Some(("0000000000000007", 3)));
        assert_eq!((model.len(), model.get(4)), (3, None));
        assert_eq!(model.get(2).unwrap().time_ms, 1_700_000_001_500);
        let applied = feed(&mut model, &fixture("delta with stale")).unwrap().unwrap();
        assert_eq!((&applied.values[..], applied.stale[0].id), (&[4][..], 3));
        let applied = feed(&mut model, &fixture("delta without changes")).unwrap().unwrap();
        assert_eq!((applied.values.len(), applied.stale.len()), (0, 0));
        assert_eq!((model.offset(), model.time_ms()), (Some(5), 1_700_000_004_000));
        let seen = values(&model);
        assert!(seen[0].1.is_nan());
        assert_eq!(
            seen[1..],
            [
                (r#"node_cpu_seconds_total{cpu="0",mode="user"}"#.into(), 1235.25),
                (r#"node_cpu_seconds_total{cpu="0",mode="system"}"#.into(), 0.5)
            ]
        );
        assert_eq!(model.get(2).unwrap().family.kind, "counter");
    }

    #[test]
    fn a_delta_that_does_not_go_on_changes_nothing() {
        let mut model = Model::new(10);
        assert_eq!(feed(&mut model, &fixture("delta")), Err(Fault::Gap { have: None, prev: 2 }));
        feed(&mut model, &fixture("schema")).unwrap();
        feed(&mut model, &fixture("snapshot")).unwrap();
        let before = model.clone();
        let gap = feed(&mut model, &delta(3, 4, json!([[1, 9]])));
        assert_eq!(gap, Err(Fault::Gap { have: Some(2), prev: 3 }));
        assert_eq!(feed(&mut model, &delta(2, 1, json!([]))), Err(Fault::Offsets));
        assert_eq!(feed(&mut model, &delta(2, 3, json!([[1, 9], [77, 1]]))), Err(Fault::UnknownSeries(77)));
        assert_eq!(model, before);
    }

    #[test]
    fn a_frame_in_parts_counts_once_the_last_is_there() {
        let mut model = Model::new(10);
        feed(&mut model, &fixture("schema")).unwrap();
        feed(&mut model, &fixture("snapshot")).unwrap();
        let part = |i: u32, values: Value, stale: Value| json!({"type": "delta", "channel": 1, "prev": 2, "offset": 3, "t": 5, "part": i, "parts": 2, "values": values, "stale": stale});
        assert_eq!(feed(&mut model, &part(1, json!([[1, 7]]), json!([]))), Ok(None));
        assert_eq!((model.get(1).unwrap().value, model.offset()), (0.25, Some(2)));
        assert_eq!(feed(&mut model, &part(1, json!([]), json!([]))), Err(Fault::Parts));
        let applied = feed(&mut model, &part(2, json!([[2, 8]]), json!([3]))).unwrap().unwrap();
        assert_eq!((applied.values, model.len()), (vec![1, 2], 2));
        assert_eq!((model.get(1).unwrap().value, model.offset()), (7.0, Some(3)));
    }

    #[test]
    fn a_snapshot_replaces_everything_and_tells_what_is_gone() {
        let mut model = Model::new(10);
        feed(&mut model, &fixture("schema")).unwrap();
        feed(&mut model, &fixture("snapshot")).unwrap();
        let mut again = fixture("snapshot");
        again["values"] = json!([[2, 5]]);
        let applied = feed(&mut model, &again).unwrap().unwrap();
        assert_eq!(applied.stale.iter().map(|series| series.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(values(&model), [(r#"node_cpu_seconds_total{cpu="0",mode="user"}"#.into(), 5.0)]);
    }

    #[test]
    fn a_family_may_change_and_a_series_must_have_one() {
        let mut model = Model::new(10);
        feed(&mut model, &fixture("schema")).unwrap();
        feed(&mut model, &fixture("snapshot")).unwrap();
        let other = json!({"type": "schema", "channel": 1, "series": [],
            "families": {"node_load1": {"type": "unknown", "help": "", "unit": "x"}}});
        feed(&mut model, &other).unwrap();
        assert_eq!((&*model.get(1).unwrap().family.unit, model.get(1).unwrap().value), ("x", 0.25));
        let orphan = json!({"type": "schema", "channel": 1, "families": {}, "series": [{"id": 9, "name": "a", "labels": {}}]});
        assert_eq!(feed(&mut model, &orphan), Err(Fault::UnknownFamily("a".into())));
        assert_eq!(feed(&mut Model::new(2), &fixture("schema")), Err(Fault::TooMany(2)));
    }

    proptest! {
        #[test]
        fn no_run_of_frames_panics_or_holds_more_than_the_bound(
            frames in proptest::collection::vec((0..4u8, 0..6u32, 0..5u64, 0..5u64, 0..3u32, 0..3u32), 0..40)
        ) {
            let mut model = Model::new(4);
            for (kind, id, prev, offset, part, parts) in frames {
                let message = match kind {
                    0 => json!({"type": "schema", "channel": 1, "families": {"f": {"type": "gauge", "help": "", "unit": ""}},
                        "series": [{"id": id, "name": "f", "labels": {}}]}),
                    1 => json!({"type": "snapshot", "channel": 1, "epoch": "e", "offset": offset, "t": 0,
                        "part": part, "parts": parts, "values": [[id, 1]]}),
                    _ => json!({"type": "delta", "channel": 1, "prev": prev, "offset": offset, "t": 0,
                        "part": part, "parts": parts, "values": [[id, 1]], "stale": [id + 1]}),
                };
                // As text, since values that are not known yet are NaN.
                let before = format!("{model:?}");
                if feed(&mut model, &message).is_err() {
                    prop_assert_eq!(format!("{model:?}"), before);
                }
                prop_assert!(model.series.len() <= 4 && model.parts.len() <= 4);
            }
        }
    }
}
