//! What the clients know together: what the state was at each offset, which events there were, what went wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::state::State;

/// Offsets for which states are remembered.
const REMEMBERED: u64 = 4_000;

/// Which series a client asks for: 0 is a few, 1 is all.
pub(crate) type Selection = usize;

/// Where everybody must come before they leave at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goal {
    pub(crate) offset: u64,
    pub(crate) event: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) connections: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) sent_away: AtomicU64,
    /// Connections that did not come about.
    pub(crate) failed: AtomicU64,
    pub(crate) frames: AtomicU64,
    compared: AtomicU64,
    goal: watch::Sender<Option<Goal>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    states: [BTreeMap<u64, (u64, f64)>; 2],
    events: BTreeSet<u64>,
    /// From, to, and what was seen, of each client that is gone.
    histories: Vec<(u64, u64, BTreeSet<u64>)>,
    faults: BTreeMap<String, u64>,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Shared {
            address,
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            sent_away: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            compared: AtomicU64::new(0),
            goal: watch::Sender::new(None),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// A client has reached a state.
    pub(crate) fn reached(&self, selection: Selection, state: &State) {
        let (Some(offset), is) = (state.offset, (state.hash, state.sum)) else { return };
        let mut known = self.known();
        let states = &mut known.states[selection];
        let was = *states.entry(offset).or_insert(is);
        let newest = *states.last_key_value().expect("one was just entered").0;
        while states.first_key_value().is_some_and(|(oldest, _)| oldest + REMEMBERED < newest) {
            states.pop_first();
        }
        drop(known);
        self.compared.fetch_add(1, Relaxed);
        if was != is {
            self.fault(format!("at offset {offset} one has {is:?}, another {was:?}"));
        }
    }

    /// The sum of all values at an offset, if a client told it.
    pub(crate) fn sum_of_all(&self, offset: u64) -> Option<f64> {
        self.known().states[1].get(&offset).map(|(_, sum)| *sum)
    }

    pub(crate) fn heard_of(&self, event: u64) {
        self.known().events.insert(event);
    }

    pub(crate) fn last_event(&self) -> u64 {
        self.known().events.last().copied().unwrap_or(0)
    }

    /// A client is gone that had events from its first connection on.
    pub(crate) fn gone(&self, state: &mut State) {
        if let (Some(from), Some(to)) = (state.first_seq, state.seq()) {
            self.known().histories.push((from, to, std::mem::take(&mut state.events)));
        }
        state.first_seq = None;
    }

    /// Has anybody missed an event that another one saw?
    pub(crate) fn judge_events(&self) {
        let known = self.known();
        let mut missed: HashMap<u64, u64> = HashMap::new();
        for (from, to, seen) in &known.histories {
            for event in known.events.range(from + 1..=(*to).max(from + 1)).filter(|event| *event <= to) {
                if !seen.contains(event) {
                    *missed.entry(*event).or_default() += 1;
                }
            }
        }
        drop(known);
        for (event, clients) in missed {
            self.fault(format!("event {event} was missed by {clients} clients"));
        }
    }

    pub(crate) fn fault(&self, what: String) {
        *self.known().faults.entry(what).or_default() += 1;
    }

    pub(crate) fn faults(&self) -> BTreeMap<String, u64> {
        self.known().faults.clone()
    }

    /// The end: everybody goes to the goal and leaves.
    pub(crate) fn settle(&self, offset: u64, event: u64) {
        self.goal.send_replace(Some(Goal { offset, event }));
    }

    pub(crate) fn goal(&self) -> watch::Receiver<Option<Goal>> {
        self.goal.subscribe()
    }

    /// In one line, what has happened so far.
    pub(crate) fn counts(&self) -> String {
        let get = |of: &AtomicU64| of.load(Relaxed);
        let (events, faults) = {
            let known = self.known();
            (known.events.len(), known.faults.values().sum::<u64>())
        };
        format!(
            "{} connections, {} failed, {} cut, {} went on, {} sent away; {} frames, {} states compared, {events} events; {faults} faults",
            get(&self.connections),
            get(&self.failed),
            get(&self.cuts),
            get(&self.recovered),
            get(&self.sent_away),
            get(&self.frames),
            get(&self.compared),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shared() -> Shared {
        Shared::new("127.0.0.1:1".parse().unwrap())
    }

    fn state(value: u64) -> State {
        let mut state = State::default();
        let snapshot = json!({"type": "snapshot", "offset": 3, "values": [[1, value]]});
        state.take(snapshot).unwrap();
        state
    }

    /// Who came when events were at `from`.
    fn had(from: u64, events: &[u64]) -> State {
        let mut state = State::default();
        (state.first_seq, state.events) = (Some(from), events.iter().copied().collect());
        state
    }

    #[test]
    fn another_state_at_the_same_offset_is_a_fault() {
        let shared = shared();
        for selection in [0, 1] {
            shared.reached(selection, &state(7));
        }
        shared.reached(0, &state(7));
        assert!(shared.faults().is_empty());
        assert_eq!(shared.sum_of_all(3), Some(7.0));
        shared.reached(0, &state(8));
        assert_eq!(shared.faults().len(), 1);
    }

    #[test]
    fn an_event_that_one_missed_is_a_fault_but_not_those_before_it_came_or_after_it_went() {
        let shared = shared();
        (1..=9).for_each(|event| shared.heard_of(event));
        for (from, events) in [(0, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]), (3, vec![4, 5, 6]), (9, vec![])] {
            shared.gone(&mut had(from, &events));
        }
        shared.judge_events();
        assert!(shared.faults().is_empty());
        shared.gone(&mut had(3, &[4, 6]));
        shared.judge_events();
        assert_eq!(shared.faults().into_keys().collect::<Vec<_>>(), ["event 5 was missed by 1 clients"]);
    }
}
