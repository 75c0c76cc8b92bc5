//! Infos and state sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ValueError;
use super::instrument::{Instrument, Lines, Refused};
use crate::series::{Kind, key};

/// Facts as labels, with the value 1.
///
/// ```
/// # use gaugecast::registry::{RegisterError, Registry};
/// # let registry = Registry::new();
/// registry.info(("app_build", "What this program was built from"), [("version", "1.2.0")])?;
/// // app_build_info{version="1.2.0"} 1
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Info(());

impl Instrument for Info {
    const KIND: Kind = Kind::Info;
    type Config = ();

    fn create(_config: &(), _refused: &Refused) -> Self {
        Self::default()
    }

    fn write(&self, lines: &mut Lines<'_>) {
        lines.whole("_info", 1_u8);
    }

    fn activity(&self) -> u64 {
        0
    }
}

/// The states of a state set: 1 to 64 different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States {
    pub(super) names: Arc<[Box<str>]>,
    /// Escaped for the exposition.
    texts: Arc<[Box<str>]>,
}

impl States {
    /// These states. They are checked when the state set is registered.
    #[must_use]
    pub fn new(states: &[&str]) -> Self {
        let escaped = states.iter().map(|state| {
            let mut text = String::new();
            key::escape_into(state, &mut text);
            text.into()
        });
        States { names: states.iter().map(|state| (*state).into()).collect(), texts: escaped.collect() }
    }

    /// Why they cannot be used.
    pub(super) fn fault(&self) -> Option<String> {
        let names = &self.names;
        if names.is_empty() || names.len() > 64 {
            return Some(format!("a state set has 1 to 64 states, not {}", names.len()));
        }
        let bad = (names.iter().enumerate()).find(|(i, name)| name.is_empty() || names[..*i].contains(name));
        bad.map(|(_, name)| format!("state {name:?} is empty or stands twice"))
    }
}

/// Which of several states hold: one 0/1 series a state. Wait-free.
///
/// ```
/// # use gaugecast::registry::{Registry, States};
/// # let registry = Registry::new();
/// let mode = registry.stateset(("valve_mode", "What the valve does"), States::new(&["open", "shut"]))?;
/// mode.only("shut")?; // valve_mode{valve_mode="open"} 0, valve_mode{valve_mode="shut"} 1
/// assert!(mode.holds("shut") && !mode.holds("open"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateSet {
    states: States,
    /// A bit a state.
    holds: Arc<AtomicU64>,
}

impl StateSet {
    /// This state holds or does not; the others stay as they are.
    ///
    /// # Errors
    /// There is no such state.
    pub fn set(&self, state: &str, holds: bool) -> Result<(), ValueError> {
        let bit = self.bit(state)?;
        if holds {
            self.holds.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.holds.fetch_and(!bit, Ordering::Relaxed);
        }
        Ok(())
    }

    /// This state holds and no other.
    ///
    /// # Errors
    /// There is no such state.
    pub fn only(&self, state: &str) -> Result<(), ValueError> {
        self.holds.store(self.bit(state)?, Ordering::Relaxed);
        Ok(())
    }

    /// Does this state hold? Not if there is no such state.
    #[must_use]
    pub fn holds(&self, state: &str) -> bool {
        self.bit(state).is_ok_and(|bit| self.holds.load(Ordering::Relaxed) & bit != 0)
    }

    fn bit(&self, state: &str) -> Result<u64, ValueError> {
        let at = self.states.names.iter().position(|name| **name == *state);
        at.map(|at| 1 << at).ok_or(ValueError::UnknownState)
    }
}

impl Instrument for StateSet {
    const KIND: Kind = Kind::StateSet;
    type Config = States;

    fn create(config: &States, _refused: &Refused) -> Self {
        StateSet { states: config.clone(), holds: Arc::default() }
    }

    fn write(&self, lines: &mut Lines<'_>) {
        let holds = self.holds.load(Ordering::Relaxed);
        for (at, text) in self.states.texts.iter().enumerate() {
            let name = lines.name;
            lines.labelled("", name, text, if holds >> at & 1 == 1 { 1.0 } else { 0.0 });
        }
    }

    fn activity(&self) -> u64 {
        self.holds.load(Ordering::Relaxed)
    }
}
