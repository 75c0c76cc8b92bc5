//! The rendered identity of a series, and reading it back.
//!
//! A key is what stands before the value in the text exposition: `name`, or `name{a="x",b="y"}` with the
//! labels sorted by name and values escaped (`\\`, `\"`, `\n`). A name that is not a legacy Prometheus name
//! (`[a-zA-Z_:][a-zA-Z0-9_:]*`) stands quoted inside the braces, as Prometheus 3 writes it: `{"my.name",a="x"}`;
//! a label name that is not one (`[a-zA-Z_][a-zA-Z0-9_]*`) stands quoted in its place.
//! Equal identities have equal keys, so keys can be hashed, compared and copied instead of label sets.

use std::borrow::Cow;

/// Is this a metric name that needs no quotes?
#[must_use]
pub fn is_legacy_name(name: &str) -> bool {
    legacy(name, |b| b == b':')
}

/// Is this a label name that needs no quotes?
#[must_use]
pub fn is_legacy_label(name: &str) -> bool {
    legacy(name, |_| false)
}

fn legacy(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || extra(b));
    first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || extra(b))
}

/// Appends `text` with `\`, `"` and newline escaped.
pub fn escape_into(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Renders an identity. `labels` must be sorted by name and hold no empty value (an empty value is an
/// absent label, as in Prometheus).
#[must_use]
pub fn render<N: AsRef<str>, V: AsRef<str>>(name: &str, labels: &[(N, V)]) -> String {
    let size = labels.iter().map(|(n, v)| n.as_ref().len() + v.as_ref().len() + 4).sum::<usize>();
    let mut out = String::with_capacity(name.len() + size + 4);
    let quoted = !is_legacy_name(name);
    if quoted {
        out.push('{');
        quote_into(name, &mut out);
    } else {
        out.push_str(name);
        if labels.is_empty() {
            return out;
        }
        out.push('{');
    }
    for (i, (label, value)) in labels.iter().enumerate() {
        if i > 0 || quoted {
            out.push(',');
        }
        if is_legacy_label(label.as_ref()) {
            out.push_str(label.as_ref());
        } else {
            quote_into(label.as_ref(), &mut out);
        }
        out.push('=');
        quote_into(value.as_ref(), &mut out);
    }
    out.push('}');
    out
}

fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    escape_into(text, out);
    out.push('"');
}

/// Where the labels of a key begin, with their brace.
fn brace(key: &str) -> Option<usize> {
    memchr::memchr(b'{', key.as_bytes())
}

/// The metric name of a key.
#[must_use]
pub fn name(key: &str) -> Cow<'_, str> {
    match brace(key) {
        None => Cow::Borrowed(key),
        Some(0) => take_quoted(&key[1..]).0,
        Some(at) => Cow::Borrowed(&key[..at]),
    }
}

/// The label part of a key, braces included; empty when there are no labels. For a quoted name this holds
/// the name too.
#[must_use]
pub fn label_text(key: &str) -> &str {
    brace(key).map_or("", |at| &key[at..])
}

/// The labels of a key in their order (by name), unescaped.
pub fn labels(key: &str) -> Labels<'_> {
    let rest = match brace(key) {
        None => "",
        Some(0) => {
            let after = take_quoted(&key[1..]).1;
            after.strip_prefix(',').unwrap_or("")
        }
        Some(at) => &key[at + 1..],
    };
    Labels { rest: rest.strip_suffix('}').unwrap_or(rest) }
}

/// The value of one label of a key.
#[must_use]
pub fn label<'a>(key: &'a str, name: &str) -> Option<Cow<'a, str>> {
    labels(key).find(|(n, _)| n == name).map(|(_, value)| value)
}

/// Iterator of [`labels`].
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (label, after) = if self.rest.starts_with('"') {
            let (label, after) = take_quoted(self.rest);
            (label, after.strip_prefix('=')?)
        } else {
            let at = memchr::memchr(b'=', self.rest.as_bytes())?;
            (Cow::Borrowed(&self.rest[..at]), &self.rest[at + 1..])
        };
        let (value, after) = take_quoted(after);
        self.rest = after.strip_prefix(',').unwrap_or("");
        Some((label, value))
    }
}

/// Reads a quoted string at the start of `text`: its unescaped content and what follows it.
fn take_quoted(text: &str) -> (Cow<'_, str>, &str) {
    let body = text.strip_prefix('"').unwrap_or(text);
    let bytes = body.as_bytes();
    let (mut at, mut escaped) = (0, false);
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] == b'\\' {
            escaped = true;
            at += 1;
        }
        at += 1;
    }
    let at = at.min(body.len());
    let content = &body[..at];
    let after = body.get(at + 1..).unwrap_or("");
    (if escaped { Cow::Owned(unescape(content)) } else { Cow::Borrowed(content) }, after)
}

/// Undoes [`escape_into`]. An escape it does not write is kept as it stands.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(name_in: &str, labels_in: &[(String, String)]) {
        let key = render(name_in, labels_in);
        assert_eq!(name(&key), name_in, "{key}");
        let read: Vec<(String, String)> =
            labels(&key).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        assert_eq!(read, labels_in, "{key}");
    }

    #[test]
    fn keys_read_as_the_exposition_writes_them() {
        let none: [(&str, &str); 0] = [];
        assert_eq!(render("up", &none), "up");
        assert_eq!(render("up", &[("a", "x"), ("b", "y\n\"\\")]), r#"up{a="x",b="y\n\"\\"}"#);
        assert_eq!(render("my.name", &none), r#"{"my.name"}"#);
        assert_eq!(render("my.name", &[("a.b", "c")]), r#"{"my.name","a.b"="c"}"#);
        assert_eq!(label_text(r#"up{a="{"}"#), r#"{a="{"}"#);
        assert_eq!(label(r#"up{a="1",b="2"}"#, "b").as_deref(), Some("2"));
    }

    proptest! {
        #[test]
        fn any_identity_survives_its_key(
            name in "\\PC{1,12}",
            labels in proptest::collection::btree_map("[a-z.]{1,4}", "[\\PC\n\"\\\\]{1,8}", 0..4),
        ) {
            round_trip(&name, &labels.into_iter().collect::<Vec<_>>());
        }
    }
}
