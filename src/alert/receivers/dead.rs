//! Notifications that failed for good, kept so that a person can look at them, send them again or throw them away.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::Notification;

/// Most that are kept; the oldest leaves for the newest.
pub const MOST: usize = 1000;

/// A notification that failed for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number, ascending, never used again.
    pub id: u64,
    /// The receiver.
    pub receiver: String,
    /// `webhook` and so on.
    pub integration: String,
    /// The place of the channel among those of its receiver.
    pub channel: usize,
    /// When it was given up, Unix milliseconds.
    pub at_ms: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// A word: `rejected`, `overflow`, ….
    pub reason: String,
    /// Why, in a sentence.
    pub why: String,
    /// What was to be told.
    pub notification: Arc<Notification>,
}

/// Those that are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DeadLetters {
    letters: VecDeque<DeadLetter>,
    ids: u64,
}

impl DeadLetters {
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// All, the newest last.
    pub(super) fn all(&self) -> Vec<DeadLetter> {
        self.letters.iter().cloned().collect()
    }

    /// Keeps one under a new number.
    pub(super) fn push(&mut self, letter: DeadLetter) {
        self.ids += 1;
        if self.letters.len() >= MOST {
            self.letters.pop_front();
        }
        self.letters.push_back(DeadLetter { id: self.ids, ..letter });
    }

    /// Takes one out.
    pub(super) fn take(&mut self, id: u64) -> Option<DeadLetter> {
        let at = self.letters.iter().position(|letter| letter.id == id)?;
        self.letters.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;

    #[test]
    fn the_oldest_leaves_and_a_number_is_not_used_again() {
        let letter = DeadLetter {
            id: 0,
            receiver: "r".into(),
            integration: "webhook".into(),
            channel: 0,
            at_ms: 0,
            attempts: 1,
            reason: "rejected".into(),
            why: "400".into(),
            notification: Arc::new(notification("r", "g", &["1"])),
        };
        let mut dead = DeadLetters::default();
        (0..MOST + 2).for_each(|_| dead.push(letter.clone()));
        assert_eq!((dead.len(), dead.all()[0].id), (MOST, 3));
        assert_eq!(dead.take(5).map(|letter| letter.id), Some(5));
        assert!(dead.take(5).is_none());
        dead.push(letter);
        assert_eq!(dead.all().last().map(|letter| letter.id), Some(MOST as u64 + 3));
    }
}
