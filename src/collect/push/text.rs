//! Groups as a feed of the tick.

use hashbrown::{HashMap, HashSet};

use super::groups::{Grouping, Groups};
use crate::clock::Moment;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::series::{Refused, Scope, Slot, SourceId, key};

/// Brings what [`Groups`] have to the tick. Their series are our own: `/metrics` shows them, as a Pushgateway does.
#[derive(Debug)]
pub struct GroupFeed {
    groups: Groups,
    source: Option<SourceId>,
    /// Of each group its series by key.
    live: HashMap<Grouping, HashMap<String, Slot>>,
}

impl GroupFeed {
    /// Name of the source.
    pub const SOURCE: &'static str = "push";

    pub(super) fn new(groups: Groups) -> Self {
        GroupFeed { groups, source: None, live: HashMap::new() }
    }
}

impl Feed for GroupFeed {
    fn take(&mut self, intake: &mut Intake, now: Moment) {
        let mut state = self.groups.lock();
        let over = |until: std::time::Duration| until <= now.since_start;
        let gone: Vec<Grouping> = state
            .groups
            .iter()
            .filter(|(_, group)| over(group.until))
            .map(|(name, _)| name.clone())
            .collect();
        gone.iter().for_each(|grouping| state.delete(grouping));
        let changed = std::mem::take(&mut state.changed);
        // Copied, so that a push never waits for the table.
        let changed: Vec<_> = changed
            .into_iter()
            .map(|grouping| {
                let series = state.groups.get(&grouping).map(|group| group.series(&grouping));
                (grouping, series.unwrap_or_default())
            })
            .collect();
        drop(state);
        if changed.is_empty() {
            return;
        }
        let source = *self.source.get_or_insert_with(|| intake.add_source(Self::SOURCE, Scope::Own));
        let table = intake.table();
        // First what goes: a series may go over from one group to another.
        for (grouping, series) in &changed {
            let stays: HashSet<&str> = series.iter().map(|one| &*one.key).collect();
            if let Some(live) = self.live.get_mut(grouping) {
                live.retain(|key, slot| {
                    let stays = stays.contains(&**key);
                    if !stays {
                        table.remove(*slot);
                    }
                    stays
                });
            }
        }
        let taken: HashSet<Slot> = self.live.values().flat_map(HashMap::values).copied().collect();
        for (grouping, series) in changed {
            if series.is_empty() {
                self.live.remove(&grouping);
                continue;
            }
            let live = self.live.entry(grouping).or_default();
            for one in series {
                table.redefine(source, &one.family);
                let labels: Vec<_> = key::labels(&one.key).collect();
                let slot = match live.get(&one.key) {
                    Some(&slot) => Ok(slot),
                    None => table.series(source, &one.family, one.role, &key::name(&one.key), &labels),
                };
                match slot {
                    // Another group has it.
                    Ok(slot) if taken.contains(&slot) && !live.contains_key(&one.key) => {}
                    Ok(slot) => {
                        table.set(slot, one.value, crate::series::NO_TIME);
                        live.insert(one.key, slot);
                    }
                    Err(Refused::Duplicate | Refused::Full(_)) => {}
                }
            }
        }
    }
}
