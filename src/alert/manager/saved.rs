//! What survives a restart, as it is written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::limit::Rates;
use super::record::{Ms, Record};
use super::silence::Silences;

/// The form of this file.
const VERSION: u32 = 1;

/// All that is not history. Times are in the manager's own time, [`Ms`], which goes on from `at` by what has passed
/// since `unix_ms`; so none of them has to be converted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    version: u32,
    pub(super) at: Ms,
    pub(super) unix_ms: i64,
    pub(super) alerts: Vec<Record>,
    pub(super) silences: Silences,
    pub(super) groups: Vec<Group>,
    pub(super) rates: Rates,
    /// Interval of each source that something is known of.
    pub(super) sources: BTreeMap<String, Ms>,
    pub(super) last_notification: u64,
}

impl Saved {
    pub(super) fn new(at: Ms, unix_ms: i64) -> Self {
        Saved {
            version: VERSION,
            at,
            unix_ms,
            alerts: Vec::new(),
            silences: Silences::default(),
            groups: Vec::new(),
            rates: Rates::default(),
            sources: BTreeMap::new(),
            last_notification: 0,
        }
    }

    /// Can this version read it?
    pub(super) fn is_known(&self) -> bool {
        self.version == VERSION
    }
}
