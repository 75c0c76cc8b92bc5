//! Relabelling: rules that rewrite label sets, `relabel_configs` and `metric_relabel_configs`.
//!
//! Meaning, defaults and the order of checks are Prometheus 3's, `hashmod` included (the last eight bytes of MD5).
//! Expressions are anchored at both ends and `.` matches a newline. An empty value is a label that is not there.

use std::collections::BTreeMap;

use regex::Regex;

use crate::config::section::Map;

/// A label set; none of its values is empty.
pub type Labels = BTreeMap<String, String>;

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    source: Vec<String>,
    separator: String,
    regex: Regex,
    target: String,
    replacement: String,
    modulus: u64,
    action: Action,
}

/// What a rule does; by the names of Prometheus in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";
const SEPARATOR: &str = ";";

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        let key = |rule: &Rule| {
            let Rule { source, separator, regex, target, replacement, modulus, action } = rule.clone();
            (source, separator, regex.as_str().to_owned(), target, replacement, modulus, action)
        };
        key(self) == key(other)
    }
}

impl Eq for Rule {}

/// Applies rules one after the other. Gives whether what the labels belong to is kept.
pub fn apply(rules: &[Rule], labels: &mut Labels) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

impl Rule {
    fn apply(&self, labels: &mut Labels) -> bool {
        let get = |name: &String| labels.get(name).map_or("", String::as_str);
        let value = || self.source.iter().map(get).collect::<Vec<_>>().join(&self.separator);
        match self.action {
            Action::Keep => return self.regex.is_match(&value()),
            Action::Drop => return !self.regex.is_match(&value()),
            Action::KeepEqual => return get(&self.target) == value(),
            Action::DropEqual => return get(&self.target) != value(),
            Action::Replace => {
                let value = value();
                let Some(captures) = self.regex.captures(&value) else { return true };
                let (mut target, mut result) = (String::new(), String::new());
                captures.expand(&self.target, &mut target);
                captures.expand(&self.replacement, &mut result);
                if !target.is_empty() {
                    set(labels, target, result);
                }
            }
            Action::Lowercase => set(labels, self.target.clone(), value().to_lowercase()),
            Action::Uppercase => set(labels, self.target.clone(), value().to_uppercase()),
            Action::HashMod => {
                let digest = md5::compute(value()).0;
                let hash = digest[8..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
                set(labels, self.target.clone(), (hash % self.modulus).to_string());
            }
            Action::LabelMap => {
                let matching = labels.iter().filter(|(name, _)| self.regex.is_match(name));
                let mapped: Vec<_> = matching
                    .map(|(name, value)| {
                        let name = self.regex.replace_all(name, &*self.replacement).into_owned();
                        (name, value.clone())
                    })
                    .filter(|(name, _)| !name.is_empty())
                    .collect();
                labels.extend(mapped);
            }
            Action::LabelDrop => labels.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex.is_match(name)),
        }
        true
    }
}

fn set(labels: &mut Labels, name: String, value: String) {
    if value.is_empty() {
        labels.remove(&name);
    } else {
        labels.insert(name, value);
    }
}

fn anchored(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?s:{text})$")).map_err(|error| {
        let told = error.to_string();
        let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{text:?} is not a regular expression: {reason}")
    })
}

/// Reads the rules under a key.
pub(crate) fn read(map: &Map<'_, '_, '_>, key: &'static str) -> Vec<Rule> {
    map.maps(key)
        .into_iter()
        .filter_map(|map| {
            let rule = rule(&map);
            map.finish(&[]);
            rule
        })
        .collect()
}

fn rule(map: &Map<'_, '_, '_>) -> Option<Rule> {
    let action = match map.text("action") {
        None => Action::Replace,
        Some(word) => match ACTIONS.iter().find(|(known, _)| *known == word.to_lowercase()) {
            Some((_, action)) => *action,
            None => {
                let known: Vec<&str> = ACTIONS.iter().map(|(known, _)| *known).collect();
                map.fault("action", format!("{word:?} is none of {}", known.join(", ")));
                Action::Replace
            }
        },
    };
    // `${1}` and `$1` mean a group here, so variables of the environment are not replaced.
    let pattern = map.verbatim("regex");
    let replacement = map.verbatim("replacement");
    let source = map.texts("source_labels");
    let target = map.verbatim("target_label");
    let separator = map.text("separator");
    let modulus = map.parsed("modulus", |text| {
        text.parse::<u64>()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("{text:?} is not a whole number from 1"))
    });
    let name = ACTIONS.iter().find(|(_, known)| *known == action).map_or("", |(name, _)| name);
    let needs_target = matches!(
        action,
        Action::Replace
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase
            | Action::KeepEqual
            | Action::DropEqual
    );
    if needs_target && target.as_deref().unwrap_or_default().is_empty() {
        map.fault("target_label", format!("the action {name} needs a `target_label`"));
    }
    if action == Action::HashMod && modulus.is_none() && map.node("modulus").is_none() {
        map.fault("modulus", "the action hashmod needs a `modulus`");
    }
    let others = |given: &[(&str, bool)]| {
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            map.fault(key, format!("the action {name} takes no `{key}`"));
        }
    };
    match action {
        Action::LabelDrop | Action::LabelKeep => others(&[
            ("source_labels", source.is_some()),
            ("target_label", target.is_some()),
            ("modulus", modulus.is_some()),
            ("separator", separator.is_some()),
            ("replacement", replacement.is_some()),
        ]),
        Action::KeepEqual | Action::DropEqual => others(&[
            ("regex", pattern.is_some()),
            ("modulus", modulus.is_some()),
            ("separator", separator.is_some()),
            ("replacement", replacement.is_some()),
        ]),
        _ => {}
    }
    let regex = match anchored(pattern.as_deref().unwrap_or(REGEX)) {
        Ok(regex) => regex,
        Err(reason) => {
            map.fault("regex", reason);
            return None;
        }
    };
    Some(Rule {
        source: source.unwrap_or_default(),
        separator: separator.unwrap_or_else(|| SEPARATOR.into()),
        regex,
        target: target.unwrap_or_default(),
        replacement: replacement.unwrap_or_else(|| REPLACEMENT.into()),
        modulus: modulus.unwrap_or(1),
        action,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::section::Reading;
    use crate::config::yaml;

    fn rules(text: &str) -> Result<Vec<Rule>, Vec<String>> {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let root = yaml::parse(&format!("rules: {text}")).0.unwrap();
        let rules = {
            let map = reading.map(&root, "it").unwrap();
            read(&map, "rules")
        };
        let faults: Vec<String> = reading.into_faults().into_iter().map(|(_, message)| message).collect();
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }

    fn labels(text: &str) -> Labels {
        let pairs = text.split(' ').filter(|pair| !pair.is_empty());
        pairs.filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    /// What comes of labels under rules; nothing if they are dropped.
    fn after(text: &str, given: &str) -> Option<String> {
        let mut labels = labels(given);
        let kept = apply(&rules(text).unwrap(), &mut labels);
        let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        kept.then(|| pairs.join(" "))
    }

    /// The cases are those of Prometheus' own relabel_test.go, by their meaning.
    #[test]
    fn every_action_does_what_it_does_in_prometheus() {
        for (rule, given, want) in [
            (
                "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch$1'}]",
                "a=foo b=bar",
                Some("a=foo b=bar d=choo-choo"),
            ),
            (
                "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]",
                "a=foo b=bar",
                Some("a=boobam b=bar"),
            ),
            ("[{source_labels: [a], regex: '.*o.*', action: drop}]", "a=foo", None),
            ("[{source_labels: [a], regex: o, action: drop}]", "a=foo", Some("a=foo")),
            ("[{source_labels: [a], regex: no, action: keep}]", "a=foo", None),
            ("[{source_labels: [a], regex: f.., action: keep}]", "a=foo", Some("a=foo")),
            ("[{source_labels: [a], action: keep, regex: .+}]", "b=1", None),
            ("[{source_labels: [a], regex: no, target_label: b, replacement: x}]", "a=foo", Some("a=foo")),
            ("[{source_labels: [a], regex: f, target_label: b, replacement: x}]", "a=foo", Some("a=foo")),
            ("[{target_label: b, replacement: x}]", "a=foo", Some("a=foo b=x")),
            ("[{source_labels: [z], target_label: a}]", "a=foo", Some("")),
            ("[{source_labels: [a], target_label: b, replacement: ''}]", "a=foo b=1", Some("a=foo")),
            (
                "[{source_labels: [a], regex: '(.*)(o)', target_label: '${1}', replacement: '$2'}]",
                "a=fo",
                Some("a=fo f=o"),
            ),
            (
                "[{source_labels: [a], regex: '(x)?.*', target_label: '${1}', replacement: y}]",
                "a=fo",
                Some("a=fo"),
            ),
            (
                "[{source_labels: [a], regex: '(?P<n>.)oo', target_label: b, replacement: '${n}$nx$$'}]",
                "a=foo",
                Some("a=foo b=f$"),
            ),
            (
                "[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]",
                "c=baz",
                Some("c=baz d=976"),
            ),
            (
                "[{source_labels: [c], target_label: d, action: HashMod, modulus: 1000}]",
                "c=foo\nbar",
                Some("c=foo\nbar d=734"),
            ),
            (
                "[{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}]",
                "a=foo b1=bar b2=baz",
                Some("a=foo b1=bar b2=baz bar_b1=bar bar_b2=baz"),
            ),
            (
                "[{regex: '__meta_(my.*)', action: labelmap}]",
                "__meta_my_bar=x __meta_o=y",
                Some("__meta_my_bar=x __meta_o=y my_bar=x"),
            ),
            ("[{regex: '(b.*)', action: labeldrop}]", "a=foo b1=bar", Some("a=foo")),
            ("[{regex: '(b.*)', action: labelkeep}]", "a=foo b1=bar", Some("b1=bar")),
            (
                "[{source_labels: [a], target_label: u, action: uppercase}, {source_labels: [a], target_label: l, action: lowercase}]",
                "a=bAr",
                Some("a=bAr l=bar u=BAR"),
            ),
            ("[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=1", Some("a=1 b=1")),
            ("[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=2", None),
            ("[{source_labels: [a], target_label: b, action: dropequal}]", "a=1 b=1", None),
            ("[{source_labels: [a], target_label: b, action: dropequal}]", "a=1 b=2", Some("a=1 b=2")),
            ("[{source_labels: [a, b], separator: '', target_label: c}]", "a=1 b=2", Some("a=1 b=2 c=12")),
            (
                "[{source_labels: [a], target_label: 'with.dot', replacement: x}]",
                "a=1",
                Some("a=1 with.dot=x"),
            ),
        ] {
            assert_eq!(after(rule, given).as_deref(), want, "{rule} on {given}");
        }
    }

    #[test]
    fn the_first_rule_that_drops_ends_it_and_later_ones_see_what_earlier_ones_wrote() {
        let chain = "[{source_labels: [a], target_label: b}, {source_labels: [b], regex: x, action: drop}]";
        assert_eq!(after(chain, "a=x"), None);
        assert_eq!(after(chain, "a=y").as_deref(), Some("a=y b=y"));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (rule, told) in [
            ("[{}]", "the action replace needs a `target_label`"),
            ("[{action: hashmod, target_label: a}]", "the action hashmod needs a `modulus`"),
            ("[{action: hashmod, target_label: a, modulus: 0}]", "\"0\" is not a whole number from 1"),
            ("[{action: labeldrop, target_label: a}]", "the action labeldrop takes no `target_label`"),
            ("[{action: keepequal, target_label: a, regex: b}]", "the action keepequal takes no `regex`"),
            ("[{action: twist}]", "\"twist\" is none of replace, keep"),
            ("[{action: keep, regex: '('}]", "\"(\" is not a regular expression: unclosed group"),
            ("[{action: keep, regexp: a}]", "did you mean `regex`?"),
        ] {
            let faults = rules(rule).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(told)), "{rule}: {faults:?}");
        }
    }

    proptest! {
        #[test]
        fn no_label_is_ever_empty_and_the_same_labels_give_the_same(
            values in proptest::collection::btree_map("[a-c]{1,2}", "[a-c\n$;]{1,4}", 0..4),
            replacement in "[$a-c{}0-2]{0,6}",
            regex in prop::sample::select(vec!["(.*)", "a(.*)", "(a|b)+", ".*c", ""]),
        ) {
            let quoted = replacement.replace('\'', "''");
            let text = format!(
                "[{{source_labels: [a, b], regex: '{regex}', target_label: c, replacement: '{quoted}'}}, \
                 {{regex: '{regex}', replacement: '{quoted}', action: labelmap}}]"
            );
            let rules = rules(&text).unwrap();
            let (mut once, mut again) = (values.clone(), values);
            prop_assert_eq!(apply(&rules, &mut once), apply(&rules, &mut again));
            prop_assert_eq!(&once, &again);
            prop_assert!(once.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
        }
    }
}
