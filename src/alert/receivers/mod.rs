//! Tells people and programs of alerts.

/// Settings of the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}

impl Config {
    /// The names of all receivers, for whoever checks a route.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
