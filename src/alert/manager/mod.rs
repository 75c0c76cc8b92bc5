//! Decides who is told of which alert, and when.

/// Settings of the manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
