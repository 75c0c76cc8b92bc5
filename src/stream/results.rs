//! What a query gave, as a tick: a series table of its own.
//!
//! The result of a query is series with values, as a tick is. So its channel works as every other one does, over the
//! ticks of a table that holds what the query gives and has the offsets of the ticks that it was evaluated at. The
//! numbers of its series are those of this table, and end with it.

use std::sync::Arc;

use hashbrown::HashMap;

use super::channel::State;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::series::{FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId, Table, Tick};

/// Results of one query.
#[derive(Debug)]
pub(super) struct Results {
    table: Table,
    source: SourceId,
    /// Where a series stands, and at which round it was there last.
    slots: HashMap<Labels, (Slot, u64)>,
    round: u64,
    state: Option<State>,
}

impl Results {
    /// Nothing yet; the first tick will be this one's. At most `limit` series are taken.
    pub(super) fn new(tick: &Tick, limit: usize) -> Self {
        let mut table = Table::following(tick.epoch, limit, tick.offset);
        let source = table.add_source("query", Scope::Own);
        Results { table, source, slots: HashMap::new(), round: 0, state: None }
    }

    /// What the query gave at a tick. Where it failed nothing is known, so all its series are gone: a value that went on
    /// standing there would be taken for one that has not changed.
    pub(super) fn apply(&mut self, tick: &Tick, values: &Result<Vec<(Labels, f64)>, Arc<str>>) -> Arc<Tick> {
        self.table.skip_to(tick.offset);
        self.round += 1;
        for (labels, value) in values.iter().flatten() {
            let slot = match self.slots.get_mut(labels) {
                Some((slot, seen)) => {
                    *seen = self.round;
                    *slot
                }
                None => {
                    let Some(slot) = add(&mut self.table, self.source, tick, labels) else { continue };
                    self.slots.insert(labels.clone(), (slot, self.round));
                    slot
                }
            };
            self.table.set(slot, *value, NO_TIME);
        }
        let (table, round) = (&mut self.table, self.round);
        self.slots.retain(|_, (slot, seen)| {
            let stays = *seen == round;
            if !stays {
                table.remove(*slot);
            }
            stays
        });
        let failure = values.as_ref().err();
        if failure != self.state.as_ref().and_then(|state| state.failure.as_ref()) {
            self.state = Some(State { since: tick.offset, failure: failure.cloned() });
        }
        self.table.commit(tick.at, tick.beat)
    }

    /// How the query fares, if it ever failed.
    pub(super) fn state(&self) -> Option<State> {
        self.state.clone()
    }
}

/// A new series; `None` if the table is full. What is known of a metric of its name holds for it too.
fn add(table: &mut Table, source: SourceId, tick: &Tick, labels: &Labels) -> Option<Slot> {
    let name = labels.name();
    let families = &tick.schema.families;
    let known = families.binary_search_by(|family| (*family.meta.name).cmp(name)).ok();
    let meta = match known {
        Some(at) => Arc::clone(&families[at].meta),
        None => {
            Arc::new(FamilyMeta { name: name.into(), kind: Kind::Unknown, help: "".into(), unit: "".into() })
        }
    };
    let pairs: Vec<(&str, &str)> = labels.iter().filter(|(label, _)| *label != METRIC_NAME).collect();
    table.series(source, &meta, Role::Value, name, &pairs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::series::Epoch;

    fn tick(offset: u64) -> Arc<Tick> {
        let mut table = Table::new(Epoch(7), 10);
        table.skip_to(offset);
        table.commit(Moment { since_start: std::time::Duration::from_secs(offset), unix_ms: 1000 }, offset)
    }

    #[test]
    fn a_result_is_a_tick_with_the_offset_of_that_which_was_asked_about() {
        let first = tick(5);
        let mut results = Results::new(&first, 10);
        let one = Labels::new([("job", "a")]);
        let at = results.apply(&first, &Ok(vec![(one.clone(), 1.0), (Labels::empty(), 2.0)]));
        assert_eq!((at.offset, at.forgotten, at.schema.len), (5, 5, 2));
        let at = results.apply(&tick(8), &Ok(vec![(one.clone(), 1.0)]));
        assert_eq!((at.offset, at.schema.len, at.tombstones[0].offset), (8, 1, 8));
        let series = &at.schema.families[0].series[0];
        assert_eq!((at.changed(series), series.born), (5, 5));
        let at = results.apply(&tick(9), &Err("too much".into()));
        assert_eq!((at.schema.len, results.state().unwrap().since), (0, 9));
        results.apply(&tick(10), &Err("too much".into()));
        assert_eq!(results.state().unwrap().since, 9, "it is told once");
        let at = results.apply(&tick(11), &Ok(vec![(one, 3.0)]));
        assert_eq!(at.schema.families[0].series[0].number, series.number, "it came back");
        assert!(results.state().unwrap().failure.is_none());
    }
}
