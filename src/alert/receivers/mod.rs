//! Tells people and programs of alerts.

/// Settings of the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
