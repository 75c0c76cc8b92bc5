//! Prometheus rule files, evaluated in process.

/// Settings of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
