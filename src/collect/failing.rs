//! Sources that fail.

use std::collections::BTreeMap;

/// A source that fails: a collector that has an error, is past its deadline or panicked (one without data does not
/// fail), or a target whose last scrape was not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Which: `{"collector": …}` for one of the host's, the labels of a target.
    pub labels: BTreeMap<String, String>,
    /// In one word.
    pub reason: &'static str,
    /// In many; may be empty.
    pub message: String,
}

impl Failing {
    /// The labels of a collector.
    #[must_use]
    pub fn collector(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("collector".to_owned(), name.to_owned())])
    }
}
