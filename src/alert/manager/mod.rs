//! Decides who is told of which alert, and when.

mod fingerprint;
mod handle;
pub mod history;
mod matcher;
mod silence;
mod view;

pub use fingerprint::Fingerprint;
pub use handle::Alerts;
pub use matcher::Matchers;
pub use silence::{NewSilence, Silence, SilenceState};
pub use view::{
    Acknowledge, AlertView, Cleared, Filter, GroupView, HistoryFilter, Refusal, State, Stats, Which,
};

/// Settings of the manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
