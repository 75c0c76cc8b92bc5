//! Sources that begin to fail or work again, as events.

use std::collections::BTreeMap;

use super::events::Target;
use crate::collect::Failing;

/// What has changed between two lists of those that fail, each in the same order.
pub(super) fn changes(before: &[Failing], now: &[Failing]) -> Vec<Target> {
    let named = |list: &[Failing], name: &str| list.iter().any(|failing| failing.name == name);
    let target = |failing: &Failing| Target {
        labels: BTreeMap::from([("collector", failing.name.to_owned())]),
        up: false,
        reason: Some(failing.reason),
        message: Some(failing.message.clone()).filter(|message| !message.is_empty()),
    };
    let up = |target: Target| Target { up: true, reason: None, message: None, ..target };
    let works = before.iter().filter(|failing| !named(now, failing.name)).map(|failing| up(target(failing)));
    let fails = now.iter().filter(|failing| {
        let same = |other: &&Failing| other.name == failing.name && other.reason == failing.reason;
        before.iter().find(same).is_none()
    });
    works.chain(fails.map(target)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(name: &'static str, reason: &'static str) -> Failing {
        Failing { name, reason, message: String::new() }
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
