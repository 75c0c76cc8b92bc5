//! The label set of a series as a query sees it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// Labels sorted by name, `__name__` among them, without empty values. Cheap to clone.
///
/// They lie in one text, name and value in turn, each behind its length: so a label set is one allocation, and looking
/// through it, hashing it and comparing it walk over memory in one direction. A query does that with each of
/// its series: `rate` over 10,000 of them took 5 ms, with a slice of shared pairs 15 to 19.
///
/// The order is that of Prometheus: pair by pair, name before value, and a set before its own extension.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<str>);

/// Base of the two digits in which a length is written. A digit is a character, and of all below this none is a surrogate.
const BASE: usize = 0x8000;

fn push(out: &mut String, text: &str) {
    assert!(text.len() < BASE * BASE, "no label is longer than a gigabyte");
    for digit in [text.len() / BASE, text.len() % BASE] {
        let digit = u32::try_from(digit).ok().and_then(char::from_u32);
        out.push(digit.expect("it is below the surrogates"));
    }
    out.push_str(text);
}

/// Iterator of [`Labels::iter`]: name and value.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a str);

impl<'a> Iter<'a> {
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let mut digits = self.0.chars();
        let (high, low) = (digits.next()? as usize, digits.next()? as usize);
        let (text, rest) = digits.as_str().split_at(high * BASE + low);
        self.0 = rest;
        Some(text)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    /// From pairs that are sorted by name, each name once, no value empty.
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut out = String::with_capacity(128);
        for (name, value) in pairs {
            push(&mut out, name);
            push(&mut out, value);
        }
        Labels(out.into())
    }
}

impl Labels {
    /// No labels at all.
    #[must_use]
    pub fn empty() -> Self {
        Labels("".into())
    }

    /// From pairs in any order. Of two with one name the last counts; an empty value is an absent label.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let mut labels: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        labels.sort_by(|a, b| a.0.cmp(b.0)); // stable: the last of equal names stays last
        let last_of_name = |at: usize| labels.get(at + 1).is_none_or(|next| next.0 != labels[at].0);
        let kept = (0..labels.len()).filter(|&at| last_of_name(at) && !labels[at].1.is_empty());
        kept.map(|at| labels[at]).collect()
    }

    /// The labels of a rendered key, see [`crate::series::key`].
    #[must_use]
    pub fn from_key(key: &str) -> Self {
        let name = std::iter::once((METRIC_NAME.into(), crate::series::key::name(key)));
        Labels::new(name.chain(crate::series::key::labels(key)))
    }

    /// All labels, by name.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found >= name).filter(|(found, _)| *found == name).map(|(_, v)| v)
    }

    /// The metric name; empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// No labels?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those labels for whose name `keep` is true.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        self.iter().filter(|(name, _)| keep(name)).collect()
    }

    /// Without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() { self.clone() } else { self.filter(|name| name != METRIC_NAME) }
    }

    /// With one label set, or removed when the value is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        Labels::new(self.iter().chain([(name, value)]))
    }

    /// The labels one after the other as one text, which only equal sets have in common; for hashing.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Display for Labels {
    /// As Prometheus shows them in messages: `{a="x", b="y"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
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
    }

    #[test]
    fn long_values_are_kept_whole() {
        for len in [0x7f, 0x80, 0x7fff, 0x8000, 0x8001, 0x30_000] {
            let value = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
            let labels = Labels::new([("a", "1"), ("b", &value), ("c", "3")]);
            assert_eq!((labels.get("b"), labels.get("c"), labels.len()), (Some(&*value), Some("3"), 3));
        }
    }
}
