//! The label set of a series as a query sees it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// One label: name and value. Both are shared, so that a label set made from another copies no text.
pub type Label = (Arc<str>, Arc<str>);

/// Labels sorted by name, `__name__` among them, without empty values. Cheap to clone.
///
/// The order is that of Prometheus: pair by pair, name before value, and a set before its own extension.
#[derive(Clone)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// No labels at all.
    #[must_use]
    pub fn empty() -> Self {
        Labels(Arc::from([]))
    }

    /// From pairs in any order. Of two with one name the last counts; an empty value is an absent label.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut labels: Vec<Label> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        labels.sort_by(|a, b| a.0.cmp(&b.0)); // stable: the last of equal names stays last
        let mut kept: Vec<Label> = Vec::with_capacity(labels.len());
        for label in labels {
            if kept.last().is_some_and(|last| last.0 == label.0) {
                kept.pop();
            }
            kept.push(label);
        }
        kept.retain(|(_, value)| !value.is_empty());
        Labels(kept.into())
    }

    /// From pairs that are sorted by name already, each name once, no value empty.
    #[must_use]
    pub fn from_sorted(pairs: Vec<Label>) -> Self {
        debug_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
        Labels(pairs.into())
    }

    /// The labels of a rendered key, see [`crate::series::key`].
    #[must_use]
    pub fn from_key(key: &str) -> Self {
        let name = crate::series::key::name(key);
        let labels = crate::series::key::labels(key).map(|(n, v)| (Arc::from(&*n), Arc::from(&*v)));
        Labels::new(std::iter::once((Arc::from(METRIC_NAME), Arc::from(&*name))).chain(labels))
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).map(|value| &**value)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Arc<str>> {
        // Label sets are small: a scan beats a binary search, and stops at the first greater name.
        self.0.iter().take_while(|(n, _)| **n <= *name).find(|(n, _)| **n == *name).map(|(_, v)| v)
    }

    /// The metric name; empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// All labels, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No labels?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those labels for whose name `keep` is true.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// Without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() { self.clone() } else { self.filter(|name| name != METRIC_NAME) }
    }

    /// With one label set, or removed when the value is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.0.to_vec();
        match labels.binary_search_by(|(n, _)| (**n).cmp(name)) {
            Ok(at) if value.is_empty() => {
                labels.remove(at);
            }
            Ok(at) => labels[at].1 = value.into(),
            Err(_) if value.is_empty() => {}
            Err(at) => labels.insert(at, (name.into(), value.into())),
        }
        Labels(labels.into())
    }

    /// The order of the labels that remain of each when the metric name is (`true`) or is not dropped.
    pub(crate) fn compare(&self, drop_name: bool, other: &Self, other_drops: bool) -> Ordering {
        let mine = self.0.iter().filter(|(name, _)| !(drop_name && &**name == METRIC_NAME));
        let theirs = other.0.iter().filter(|(name, _)| !(other_drops && &**name == METRIC_NAME));
        mine.cmp(theirs)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Labels {
    /// As Prometheus shows them in messages: `{a="x", b="y"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { "" })?;
            if crate::series::key::is_legacy_label(name) {
                f.write_str(name)?;
            } else {
                f.write_str(&super::number::quoted(name))?;
            }
            write!(f, "={}", super::number::quoted(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_never_empty() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.with("a", "").to_string(), r#"{b="3"}"#);
        assert_eq!(labels.with("aa", "x\n").to_string(), r#"{a="1", aa="x\n", b="3"}"#);
    }

    #[test]
    fn a_key_gives_its_labels_with_the_name_among_them() {
        let labels = Labels::from_key(r#"{"my.name",Z="z",a="x"}"#);
        assert_eq!(labels.name(), "my.name");
        assert_eq!(labels.to_string(), r#"{Z="z", __name__="my.name", a="x"}"#);
        assert_eq!(labels.get("b"), None);
        assert_eq!(labels.without_name().to_string(), r#"{Z="z", a="x"}"#);
    }

    #[test]
    fn the_order_is_by_pairs_and_a_set_comes_before_its_extension() {
        let labels = |key| Labels::from_key(key);
        assert!(labels("a") < labels("a{b=\"1\"}"));
        assert!(labels("a{b=\"1\"}") < labels("a{b=\"2\"}"));
        assert_eq!(labels("b{c=\"1\"}").compare(true, &labels("a{c=\"1\"}"), true), Ordering::Equal);
    }
}
