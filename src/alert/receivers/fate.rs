//! Whether anybody of a receiver has been told, so that its fallback is told when nobody could be.

use std::sync::{Mutex, PoisonError};

/// What has become of a notification in the channels of one receiver.
#[derive(Debug, Default)]
pub(super) struct Fate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Channels that have it and have neither delivered nor failed.
    open: usize,
    delivered: bool,
}

impl Fate {
    /// For so many channels.
    pub(super) fn of(channels: usize) -> Self {
        Fate(Mutex::new(State { open: channels, delivered: false }))
    }

    /// A channel has delivered.
    pub(super) fn delivered(&self) {
        self.state().delivered = true;
    }

    /// A channel cannot for now, or never will; to be said once by each. Must the fallback be told? True once at most.
    pub(super) fn failed(&self) -> bool {
        let mut state = self.state();
        let last = state.open == 1;
        state.open = state.open.saturating_sub(1);
        last && !state.delivered
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_is_told_once_and_only_if_no_channel_has_delivered() {
        let both = Fate::of(2);
        assert_eq!([both.failed(), both.failed(), both.failed()], [false, true, false]);
        let one = Fate::of(2);
        assert!(!one.failed());
        one.delivered();
        assert!(!one.failed());
    }
}
