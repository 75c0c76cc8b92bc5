//! The API by which an application tells how it does: operations, security events, connections, allocations.

/// Settings of the monitor: the thresholds of its verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
