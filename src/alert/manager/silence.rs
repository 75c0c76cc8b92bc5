//! Silences: for a time nobody is told of alerts with certain labels.
//!
//! A silence is an appointment between people ("until two o'clock"), so it is kept by the wall clock, alone among all that the
//! manager does. It mutes what begins and what goes on; those who were told that an alert fires are told when it is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::matcher::Matchers;
use super::view::Refusal;
use crate::clock::Moment;

/// Most silences, those that are over included.
pub(super) const MOST: usize = 1000;

/// How long those that are over are kept, as in Alertmanager: five days.
const KEPT_MS: i64 = 5 * 24 * 3_600_000;

/// Longest author or comment, in bytes.
const LONGEST: usize = 1 << 10;

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name: a UUID in form.
    pub id: String,
    /// Which alerts.
    pub matchers: Matchers,
    /// From when on, Unix milliseconds.
    pub starts_at_ms: i64,
    /// Until when, Unix milliseconds.
    pub ends_at_ms: i64,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was last changed, Unix milliseconds.
    pub updated_at_ms: i64,
    /// Where it is; by the clock when it was asked for.
    pub state: SilenceState,
}

/// Where a silence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// To come.
    Pending,
    /// In force.
    Active,
    /// Over.
    Expired,
}

impl SilenceState {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

/// A silence to be added or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSilence {
    /// The one to be changed; a new one if nothing.
    pub id: Option<String>,
    /// Which alerts; at least one matcher must not match the empty value, so that nobody silences everything by mistake.
    pub matchers: Matchers,
    /// From when on, Unix milliseconds; now if it is past.
    pub starts_at_ms: i64,
    /// Until when, Unix milliseconds; later than that and than now.
    pub ends_at_ms: i64,
    /// Who wants it; not empty.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// All silences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Silences {
    all: BTreeMap<String, Silence>,
    /// Counts those that were made, for their names.
    made: u64,
}

impl Silences {
    /// Adds or changes one. What changes an active one so that other alerts were meant makes a new one of it and ends the old one, as in
    /// Alertmanager, so that the old one stays to be read.
    pub(super) fn set(&mut self, new: NewSilence, now: Moment) -> Result<Silence, Refusal> {
        self.advance(now);
        let invalid = |why: &str| Err(Refusal::Invalid(why.to_owned()));
        if new.matchers.is_empty() || new.matchers.match_nothing() {
            return invalid("at least one matcher must not match the empty value");
        }
        if new.created_by.is_empty() {
            return invalid("a silence needs an author");
        }
        if new.created_by.len() > LONGEST || new.comment.len() > LONGEST {
            return invalid("author or comment is longer than 1024 bytes");
        }
        if new.ends_at_ms <= new.starts_at_ms || new.ends_at_ms <= now.unix_ms {
            return invalid("a silence ends after its start, and after now");
        }
        let mut silence = Silence {
            id: String::new(),
            matchers: new.matchers,
            starts_at_ms: new.starts_at_ms,
            ends_at_ms: new.ends_at_ms,
            created_by: new.created_by,
            comment: new.comment,
            updated_at_ms: now.unix_ms,
            state: SilenceState::Pending,
        };
        if let Some(id) = new.id.filter(|id| !id.is_empty()) {
            let Some(old) = self.all.get_mut(&id) else { return Err(Refusal::Unknown(id)) };
            let same = old.matchers == silence.matchers;
            match old.state {
                SilenceState::Active if same => {
                    // It has begun; that cannot be changed any more.
                    silence.starts_at_ms = old.starts_at_ms;
                    silence.id = id;
                }
                SilenceState::Pending if same => silence.id = id,
                SilenceState::Active | SilenceState::Pending => end(old, now),
                SilenceState::Expired => {}
            }
        }
        if silence.state_at(now) != SilenceState::Pending && silence.id.is_empty() {
            silence.starts_at_ms = now.unix_ms;
        }
        if silence.id.is_empty() {
            self.room()?;
            silence.id = self.name(now);
        }
        silence.state = silence.state_at(now);
        self.all.insert(silence.id.clone(), silence.clone());
        Ok(silence)
    }

    /// Makes room for one more: the oldest that is over goes.
    fn room(&mut self) -> Result<(), Refusal> {
        if self.all.len() < MOST {
            return Ok(());
        }
        let over = self.all.values().filter(|silence| silence.state == SilenceState::Expired);
        let oldest = over.min_by_key(|silence| silence.ends_at_ms).map(|silence| silence.id.clone());
        let Some(oldest) = oldest else { return Err(Refusal::Full(MOST)) };
        self.all.remove(&oldest);
        Ok(())
    }

    /// A name in the form of a UUID, which clients of Alertmanager expect; it is unique, not secret.
    fn name(&mut self, now: Moment) -> String {
        self.made += 1;
        let digest = md5::compute(format!("{}/{}", now.unix_ms, self.made)).0;
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// Ends one.
    pub(super) fn expire(&mut self, id: &str, now: Moment) -> Result<Silence, Refusal> {
        self.advance(now);
        let Some(silence) = self.all.get_mut(id) else { return Err(Refusal::Unknown(id.to_owned())) };
        if silence.state != SilenceState::Expired {
            end(silence, now);
        }
        Ok(silence.clone())
    }

    /// Brings the states to the time; those that were over for long go. True if one began or ended.
    pub(super) fn advance(&mut self, now: Moment) -> bool {
        let mut changed = false;
        for silence in self.all.values_mut() {
            let state = silence.state_at(now);
            changed |= state != silence.state;
            silence.state = state;
        }
        let before = self.all.len();
        self.all.retain(|_, silence| now.unix_ms.saturating_sub(silence.ends_at_ms) < KEPT_MS);
        changed || self.all.len() != before
    }

    /// Those in force for these labels.
    pub(super) fn of(&self, labels: &BTreeMap<String, String>) -> Vec<String> {
        let active = self.all.values().filter(|silence| silence.state == SilenceState::Active);
        active
            .filter(|silence| silence.matchers.match_all(labels))
            .map(|silence| silence.id.clone())
            .collect()
    }

    /// When the next one begins, ends or goes, Unix milliseconds.
    pub(super) fn next_change(&self) -> Option<i64> {
        let next = |silence: &Silence| match silence.state {
            SilenceState::Pending => silence.starts_at_ms,
            SilenceState::Active => silence.ends_at_ms,
            SilenceState::Expired => silence.ends_at_ms.saturating_add(KEPT_MS),
        };
        self.all.values().map(next).min()
    }

    /// All, newest first.
    pub(super) fn list(&self) -> Vec<Silence> {
        let mut all: Vec<Silence> = self.all.values().cloned().collect();
        all.sort_by(|a, b| (b.updated_at_ms, &b.id).cmp(&(a.updated_at_ms, &a.id)));
        all
    }

    /// How many are in a state.
    pub(super) fn count(&self, state: SilenceState) -> usize {
        self.all.values().filter(|silence| silence.state == state).count()
    }
}

fn end(silence: &mut Silence, now: Moment) {
    silence.ends_at_ms = now.unix_ms;
    silence.starts_at_ms = silence.starts_at_ms.min(now.unix_ms);
    silence.updated_at_ms = now.unix_ms;
    silence.state = SilenceState::Expired;
}

impl Silence {
    fn state_at(&self, now: Moment) -> SilenceState {
        match now.unix_ms {
            now if now >= self.ends_at_ms => SilenceState::Expired,
            now if now >= self.starts_at_ms => SilenceState::Active,
            _ => SilenceState::Pending,
        }
    }
}
