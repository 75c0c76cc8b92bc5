//! Sources that begin to fail or work again, as events.

use std::collections::{BTreeMap, HashMap};

use super::events::Target;
use crate::collect::Failing;

/// What has changed between two lists of those that fail, each in the same order.
pub(super) fn changes(before: &[Failing], now: &[Failing]) -> Vec<Target> {
    let (known, failing) = (reasons(before), reasons(now));
    let target = |failing: &Failing| Target {
        labels: failing.labels.clone(),
        up: false,
        reason: Some(failing.reason),
        message: Some(failing.message.clone()).filter(|message| !message.is_empty()),
    };
    let up = |target: Target| Target { up: true, reason: None, message: None, ..target };
    let works = before.iter().filter(|other| !failing.contains_key(&other.labels));
    let works = works.map(|failing| up(target(failing)));
    let fails = now.iter().filter(|failing| known.get(&failing.labels) != Some(&failing.reason));
    works.chain(fails.map(target)).collect()
}

/// Why each fails, by its labels.
fn reasons(list: &[Failing]) -> HashMap<&BTreeMap<String, String>, &'static str> {
    list.iter().map(|failing| (&failing.labels, failing.reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(name: &'static str, reason: &'static str) -> Failing {
        Failing { labels: Failing::collector(name), reason, message: String::new() }
    }

    #[test]
    fn a_source_is_told_when_it_begins_to_fail_when_the_reason_changes_and_when_it_works() {
        let told = |before: &[Failing], now: &[Failing]| {
            let tell = |target: Target| format!("{} {:?}", target.labels["collector"], target.reason);
            changes(before, now).into_iter().map(tell).collect::<Vec<_>>()
        };
        let (a, b) = (failing("a", "error"), failing("b", "panic"));
        assert_eq!(told(&[], &[a.clone(), b.clone()]), ["a Some(\"error\")", "b Some(\"panic\")"]);
        assert_eq!(
            told(&[a.clone(), b.clone()], &[failing("a", "deadline"), b.clone()]),
            ["a Some(\"deadline\")"]
        );
        assert_eq!(told(&[a.clone(), b.clone()], std::slice::from_ref(&b)), ["a None"]);
        assert!(told(std::slice::from_ref(&b), std::slice::from_ref(&b)).is_empty());
    }
}
