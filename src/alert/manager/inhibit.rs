//! Which alerts make others not worth a notification.

use std::collections::{BTreeMap, HashMap};

use super::config::{Equal, InhibitRule};
use super::fingerprint::Fingerprint;
use super::record::Record;
use crate::alert::Severity;

/// Most alerts that are named as the reason why one is inhibited.
const NAMED: usize = 8;

/// The labels that source and target must have in common.
type Common<'a> = Vec<(&'a str, &'a str)>;

/// For each firing alert that is inhibited those that do it.
///
/// As in Alertmanager an alert that is itself silenced or inhibited inhibits all the same, and one that is source and target of a
/// rule is not inhibited by others that are both, so that two cannot silence each other. Costs a pass over all alerts for each
/// rule.
pub(super) fn inhibited<'a>(
    rules: &[InhibitRule],
    alerts: impl Iterator<Item = &'a Record> + Clone,
) -> HashMap<Fingerprint, Vec<Fingerprint>> {
    let firing: Vec<(&Record, BTreeMap<String, String>)> =
        alerts.filter(|record| record.fires()).map(|record| (record, record.labels())).collect();
    let mut found: HashMap<Fingerprint, Vec<Fingerprint>> = HashMap::new();
    for rule in rules {
        let mut sources: HashMap<Common<'_>, Vec<(Fingerprint, bool)>> = HashMap::new();
        for (record, labels) in firing.iter().filter(|(_, labels)| rule.source.match_all(labels)) {
            let both = rule.target.match_all(labels);
            sources.entry(common(&rule.equal, labels)).or_default().push((record.id, both));
        }
        if sources.is_empty() {
            continue;
        }
        for (record, labels) in firing.iter().filter(|(_, labels)| rule.target.match_all(labels)) {
            let is_source = rule.source.match_all(labels);
            let by = sources.get(&common(&rule.equal, labels)).into_iter().flatten();
            let by = by.filter(|(id, both)| *id != record.id && !(is_source && *both)).map(|(id, _)| *id);
            let by: Vec<Fingerprint> = by.take(NAMED).collect();
            if !by.is_empty() {
                let all = found.entry(record.id).or_default();
                all.extend(by);
                all.sort_unstable();
                all.dedup();
                all.truncate(NAMED);
            }
        }
    }
    found
}

/// What source and target must have in common.
fn common<'a>(equal: &'a Equal, labels: &'a BTreeMap<String, String>) -> Vec<(&'a str, &'a str)> {
    match equal {
        Equal::Labels(names) => {
            names.iter().map(|name| (&**name, labels.get(name).map_or("", String::as_str))).collect()
        }
        Equal::AllButSeverity => {
            labels.iter().filter(|(name, _)| *name != Severity::LABEL).map(|(n, v)| (&**n, &**v)).collect()
        }
    }
}
