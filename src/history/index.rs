//! Which series have which labels.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;

use crate::query::Labels;
use crate::series::selector::{Matcher, Op};

/// Place of a series in the history, used again once it is gone.
pub(super) type Place = u32;

/// For each label name and value the places of the series that have it, sorted; and the series by their whole label
/// set. It holds each name and value once.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: HashMap<Arc<str>, HashMap<Arc<str>, Vec<Place>>>,
    by_labels: HashTable<(u64, Place)>,
    hasher: DefaultHashBuilder,
    memory: usize,
}

/// What a text held once takes beside its bytes: counts, allocator, place in the tables.
const TEXT: usize = 24 + 64;
/// What a label takes in a series beside its text: two lengths of two bytes, its place in the list of the value, which
/// has room to grow.
const LABEL: usize = 4 + 6;
/// What a label set takes beside its labels: its counts and what the allocator adds.
const LABELS: usize = 16 + 8;

impl Index {
    /// Bytes of memory, estimated.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Hash of a label set, for [`find`](Self::find) and [`insert`](Self::insert). Labels sorted by name.
    pub(super) fn hash<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut hasher = self.hasher.build_hasher();
        labels.for_each(|pair| pair.hash(&mut hasher));
        hasher.finish()
    }

    /// The place of a label set, of those for which `same` is true.
    pub(super) fn find(&self, hash: u64, same: impl Fn(Place) -> bool) -> Option<Place> {
        self.by_labels.find(hash, |&(known, place)| known == hash && same(place)).map(|&(_, place)| place)
    }

    /// Adds a series.
    pub(super) fn insert(&mut self, hash: u64, place: Place, labels: &Labels) {
        self.memory += LABELS;
        for (name, value) in labels {
            self.memory += name.len() + value.len() + LABEL;
            if !self.names.contains_key(name) {
                self.memory += name.len() + TEXT;
                self.names.insert(name.into(), HashMap::new());
            }
            let values = self.names.get_mut(name).expect("it is there now");
            if !values.contains_key(value) {
                self.memory += value.len() + TEXT;
                values.insert(value.into(), Vec::new());
            }
            let places = values.get_mut(value).expect("it is there now");
            if let Err(at) = places.binary_search(&place) {
                places.insert(at, place);
            }
        }
        self.by_labels.insert_unique(hash, (hash, place), |&(hash, _)| hash);
    }

    /// Removes a series.
    pub(super) fn remove(&mut self, place: Place, labels: &Labels) {
        self.memory = self.memory.saturating_sub(LABELS);
        for (name, value) in labels {
            self.memory = self.memory.saturating_sub(name.len() + value.len() + LABEL);
            let Some(values) = self.names.get_mut(name) else { continue };
            let Some(places) = values.get_mut(value) else { continue };
            if let Ok(at) = places.binary_search(&place) {
                places.remove(at);
            }
            if places.is_empty() {
                values.remove(value);
                self.memory = self.memory.saturating_sub(value.len() + TEXT);
            }
            if values.is_empty() {
                self.names.remove(name);
                self.memory = self.memory.saturating_sub(name.len() + TEXT);
            }
        }
        let hash = self.hash(labels.iter());
        if let Ok(entry) = self.by_labels.find_entry(hash, |&(_, known)| known == place) {
            entry.remove();
        }
    }

    /// The names of labels of those places for which `wanted` is true. Asks until it finds one for each name.
    pub(super) fn names(&self, wanted: impl Fn(Place) -> bool) -> impl Iterator<Item = &Arc<str>> {
        let any = move |values: &HashMap<Arc<str>, Vec<Place>>| values.values().flatten().any(|&p| wanted(p));
        self.names.iter().filter(move |(_, values)| any(values)).map(|(name, _)| name)
    }

    /// The values of a label, as [`names`](Self::names).
    pub(super) fn values(
        &self,
        name: &str,
        wanted: impl Fn(Place) -> bool,
    ) -> impl Iterator<Item = &Arc<str>> {
        let values = self.names.get(name).into_iter().flatten();
        values.filter(move |(_, places)| places.iter().any(|&place| wanted(place))).map(|(value, _)| value)
    }

    /// Places among which are all series that satisfy the matchers, and the one matcher that all of them do satisfy; the others
    /// are still to be asked. `all` are the places there are, for matchers that a series without any label would satisfy.
    pub(super) fn candidates(&self, matchers: &[Matcher], all: Range<Place>) -> (Vec<Place>, Option<usize>) {
        let demands = matchers.iter().enumerate().filter(|(_, matcher)| !matcher.accepts(""));
        let equal = demands.clone().filter(|(_, matcher)| matcher.op() == Op::Equal).map(|(at, matcher)| {
            let places = self.names.get(matcher.label()).and_then(|values| values.get(matcher.value()));
            (places.map_or(&[][..], |places| places), at)
        });
        // The other matchers cost a look at each label set in the list, so the shortest is best.
        if let Some((places, at)) = equal.min_by_key(|(places, _)| places.len()) {
            return (places.to_vec(), Some(at));
        }
        let lists = demands.map(|(at, matcher)| {
            let values = self.names.get(matcher.label()).into_iter().flatten();
            let found = values.filter(|(value, _)| matcher.accepts(value));
            (found.map(|(_, places)| places).collect::<Vec<_>>(), at)
        });
        let shortest = lists.min_by_key(|(lists, _)| lists.iter().map(|places| places.len()).sum::<usize>());
        let Some((lists, at)) = shortest else { return (all.collect(), None) };
        let mut places: Vec<Place> = lists.into_iter().flatten().copied().collect();
        places.sort_unstable();
        (places, Some(at))
    }
}

/// Does a label set satisfy all matchers, without looking at the one that it is known to? A label that it lacks has the empty
/// value.
pub(super) fn matches(labels: &Labels, matchers: &[Matcher], known: Option<usize>) -> bool {
    let mut asked = matchers.iter().enumerate().filter(|(at, _)| Some(*at) != known);
    asked.all(|(_, matcher)| matcher.accepts(labels.get(matcher.label()).unwrap_or("")))
}
