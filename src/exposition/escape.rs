//! Names that are not legacy names, for scrapers that do not know UTF-8 names.
//!
//! The schemes are those of Prometheus' document "UTF-8 metric and label name escaping schemes". As in
//! Prometheus' own encoder, a legacy name is never changed.

use std::borrow::Cow;
use std::fmt::Write;

use crate::series::key;

/// What becomes of a name that is no legacy name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// It stays, in quotes.
    AllowUtf8,
    /// What a legacy name cannot have becomes `_`. Used when nothing was asked for.
    #[default]
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, others `_`.
    Dots,
    /// `U__`, then `_` as `__` and others as `_hex_`: reversible.
    Values,
}

impl Escaping {
    /// The word in `escaping=`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values]
            .into_iter()
            .find(|scheme| scheme.as_str() == word)
    }

    /// A metric name as it is written.
    #[must_use]
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        if self == Escaping::AllowUtf8 || key::is_legacy_name(name) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(self.escape(name))
    }

    /// A label name as it is written.
    #[must_use]
    pub fn label(self, name: &str) -> Cow<'_, str> {
        if self == Escaping::AllowUtf8 || key::is_legacy_label(name) {
            return Cow::Borrowed(name);
        }
        // A colon is fine in a metric name only.
        Cow::Owned(self.escape(name).replace(':', "_"))
    }

    /// A series' key as it is written.
    #[must_use]
    pub fn key(self, text: &str) -> Cow<'_, str> {
        // Quotes before a name are the only sign of one that is no legacy name.
        let legacy = !text.starts_with('{') && !text.contains("{\"") && !text.contains(",\"");
        if self == Escaping::AllowUtf8 || legacy {
            return Cow::Borrowed(text);
        }
        let name = key::name(text);
        let labels: Vec<_> = key::labels(text).collect();
        let mut escaped: Vec<_> = labels.iter().map(|(label, value)| (self.label(label), &**value)).collect();
        escaped.sort_by(|a, b| a.0.cmp(&b.0));
        Cow::Owned(key::render(&self.metric(&name), &escaped))
    }

    fn escape(self, name: &str) -> String {
        let mut out = String::with_capacity(name.len() + 8);
        if self == Escaping::Values {
            out.push_str("U__");
        }
        for (at, c) in name.char_indices() {
            let legacy = c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && at > 0);
            match self {
                Escaping::Dots | Escaping::Values if c == '_' => out.push_str("__"),
                Escaping::Dots if c == '.' => out.push_str("_dot_"),
                _ if legacy => out.push(c),
                Escaping::Values => write!(out, "_{:x}_", u32::from(c)).expect("a String takes all"),
                _ => out.push('_'),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_the_document_of_prometheus_says() {
        let cases = [
            (
                "metric.name/with_slash",
                "metric_name_with_slash",
                "metric_dot_name_with__slash",
                "U__metric_2e_name_2f_with__slash",
            ),
            ("0é", "__", "__", "U___30__e9_"),
            ("plain_name", "plain_name", "plain_name", "plain_name"),
        ];
        for (name, underscores, dots, values) in cases {
            assert_eq!(Escaping::Underscores.metric(name), underscores);
            assert_eq!(Escaping::Dots.metric(name), dots);
            assert_eq!(Escaping::Values.metric(name), values);
            assert_eq!(Escaping::AllowUtf8.metric(name), name);
        }
        assert_eq!(Escaping::Underscores.label("a:b"), "a_b");
    }

    #[test]
    fn keys_change_only_where_a_name_needs_it() {
        let key = |text| Escaping::Underscores.key(text).into_owned();
        assert_eq!(key(r#"{"my.name","a.b"="x,\"y"}"#), r#"my_name{a_b="x,\"y"}"#);
        assert_eq!(key(r#"up{a="{\"",b=",\""}"#), r#"up{a="{\"",b=",\""}"#);
        assert_eq!(Escaping::AllowUtf8.key(r#"{"my.name"}"#), r#"{"my.name"}"#);
    }
}
