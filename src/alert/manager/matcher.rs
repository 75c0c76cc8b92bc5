//! Label matchers as Alertmanager writes them: `severity="critical"`, `instance=~"db.*"`, one or several with commas between,
//! in braces or not. A label that an alert lacks has the empty value; expressions match the whole value.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::query::number::quoted;
use crate::series::selector::{Matcher, Op};

/// Most matchers of a silence or a route.
const MOST: usize = 32;

/// Longest matcher as text, in bytes. The expressions run in linear time.
const LONGEST: usize = 2 << 10;

/// Largest compiled expression, in bytes: 32 of them in each of 1,000 silences stay bounded by what their text is.
const COMPILED: usize = 256 << 10;

/// Matchers that must all match. None match everything.
#[derive(Clone, Debug, Default)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Reads what may be several matchers.
    ///
    /// # Errors
    /// What is wrong with which one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim();
        let inner = match inner.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(|| format!("{text:?} has no closing brace"))?,
            None => inner,
        };
        let parts = split(inner);
        // A comma at the end is allowed, as in PromQL.
        let parts = parts.iter().map(|part| part.trim()).enumerate();
        let last = split(inner).len() - 1;
        let read = parts.filter(|(at, part)| !part.is_empty() || *at != last).map(|(_, part)| one(part));
        Matchers::new(read.collect::<Result<_, _>>()?)
    }

    /// From matchers.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(matchers: Vec<Matcher>) -> Result<Self, String> {
        match matchers.len() {
            0..=MOST => Ok(Matchers(matchers)),
            many => Err(format!("{many} matchers are more than {MOST}")),
        }
    }

    /// One of a label.
    ///
    /// # Errors
    /// The name is none, or the expression is malformed or too large.
    pub fn one(label: &str, op: Op, value: &str) -> Result<Matcher, String> {
        if label.is_empty() {
            return Err("a matcher has no label name".into());
        }
        if label.len() + value.len() > LONGEST {
            return Err(format!("a matcher is longer than {LONGEST} bytes"));
        }
        Matcher::bounded(label, op, value, COMPILED)
    }

    /// These and others.
    ///
    /// # Errors
    /// When there are too many.
    pub fn and(mut self, others: Matchers) -> Result<Self, String> {
        self.0.extend(others.0);
        Matchers::new(self.0)
    }

    /// Do all match?
    #[must_use]
    pub fn match_all(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|matcher| matcher.accepts(labels.get(matcher.label()).map_or("", String::as_str)))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Matcher> {
        self.0.iter()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Would they match an alert without labels, and so perhaps all?
    pub(super) fn match_nothing(&self) -> bool {
        self.match_all(&BTreeMap::new())
    }
}

/// At commas that stand in no quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn one(text: &str) -> Result<Matcher, String> {
    let wrong = |why: &str| format!("{text:?} is no matcher such as severity=\"critical\": {why}");
    // The name may stand in quotes, for what is no name in Prometheus' old sense.
    let (label, rest) = match text.strip_prefix('"') {
        Some(_) => {
            let end = end_of_quotes(text).ok_or_else(|| wrong("a quote is not closed"))?;
            (unquote(&text[1..end]).ok_or_else(|| wrong("a bad escape"))?, text[end + 1..].trim_start())
        }
        None => {
            let end = text.find(['=', '!', '~']).ok_or_else(|| wrong("it has no operator"))?;
            let label = text[..end].trim();
            if label.is_empty() || label.contains([' ', '{', '}', ',', '"', '\\', '`']) {
                return Err(wrong("it has no label name"));
            }
            (label.to_owned(), &text[end..])
        }
    };
    let ops = [("=~", Op::Like), ("!~", Op::NotLike), ("!=", Op::NotEqual), ("=", Op::Equal)];
    let (op, value) = ops
        .into_iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (op, value.trim())))
        .ok_or_else(|| wrong("the operator is none of =, !=, =~, !~"))?;
    let value = if value.starts_with('"') {
        match end_of_quotes(value) {
            Some(end) if end + 1 == value.len() => {
                unquote(&value[1..end]).ok_or_else(|| wrong("a bad escape"))?
            }
            _ => return Err(wrong("a quote stands where none belongs")),
        }
    } else if value.contains('"') {
        return Err(wrong("a quote stands where none belongs"));
    } else {
        unquote(value).ok_or_else(|| wrong("a bad escape"))?
    };
    Matchers::one(&label, op, &value)
}

/// Where the quotes that a text begins with are closed.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, character)| match character {
        _ if escaped => {
            escaped = false;
            None
        }
        '\\' => {
            escaped = true;
            None
        }
        '"' => Some(at),
        _ => None,
    })
}

/// Alertmanager's escapes: `\"`, `\\` and `\n`; another backslash stands for itself.
fn unquote(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                '"' => out.push('"'),
                '\\' => out.push('\\'),
                'n' => out.push('\n'),
                other => out.extend(['\\', other]),
            },
            other => out.push(other),
        }
    }
    Some(out)
}

impl PartialEq for Matchers {
    fn eq(&self, other: &Self) -> bool {
        fn parts(matchers: &Matchers) -> impl Iterator<Item = (&str, Op, &str)> {
            matchers.0.iter().map(|one| (one.label(), one.op(), one.value()))
        }
        parts(self).eq(parts(other))
    }
}

impl Eq for Matchers {}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, matcher) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}{}{}", matcher.label(), matcher.op().as_str(), quoted(matcher.value()))?;
        }
        f.write_str("}")
    }
}

/// One as Alertmanager's API has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl Serialize for Matchers {
    /// A list of `{name, value, isRegex, isEqual}`, as in Alertmanager's API.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|matcher| Wire {
            name: matcher.label().to_owned(),
            value: matcher.value().to_owned(),
            is_regex: matches!(matcher.op(), Op::Like | Op::NotLike),
            is_equal: matches!(matcher.op(), Op::Equal | Op::Like),
        }))
    }
}

impl<'de> Deserialize<'de> for Matchers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = Vec::<Wire>::deserialize(from)?.into_iter().map(|wire| {
            let op = match (wire.is_regex, wire.is_equal) {
                (false, true) => Op::Equal,
                (false, false) => Op::NotEqual,
                (true, true) => Op::Like,
                (true, false) => Op::NotLike,
            };
            Matchers::one(&wire.name, op, &wire.value)
        });
        let read = read.collect::<Result<_, _>>().map_err(D::Error::custom)?;
        Matchers::new(read).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_alertmanager_are_read() {
        let read = |text: &str| Matchers::parse(text).unwrap().to_string();
        for text in [
            "a=b,c=~\"d,.*\"",
            "{a=\"b\",c=~\"d,.*\",}",
            " { a = b , c =~ \"d,.*\" } ",
            "\"a\"=\"b\",c=~d\\,.*".replace("d\\,", "\"d,").as_str().to_owned().as_str(),
        ] {
            let text = if text.ends_with("d,.*") { format!("{text}\"") } else { text.to_owned() };
            assert_eq!(read(&text), "{a=\"b\",c=~\"d,.*\"}", "{text}");
        }
        assert_eq!(read("a!=\"x\\\"y\\n\\d\", b!~z"), "{a!=\"x\\\"y\\n\\\\d\",b!~\"z\"}");
        assert_eq!(read(""), "{}");
        assert_eq!(read("a=\"\""), "{a=\"\"}");
    }

    #[test]
    fn what_is_none_is_told() {
        for text in ["a", "=b", "a=\"b", "a=b\"", "a=\"b\"c", "{a=b", "a=b,,c=d", "a=~\"(\"", "a b=c", "a~b"]
        {
            assert!(Matchers::parse(text).is_err(), "{text}");
        }
        let many = vec!["a=b"; MOST + 1].join(",");
        assert!(Matchers::parse(&many).unwrap_err().contains("more than 32"));
    }

    #[test]
    fn a_label_that_is_missing_is_empty_and_an_expression_matches_the_whole() {
        let labels = BTreeMap::from([("a".to_owned(), "xyz".to_owned())]);
        let matches = |text: &str| Matchers::parse(text).unwrap().match_all(&labels);
        assert!(matches("b=\"\"") && matches("a=~x.*,b!=c") && matches(""));
        assert!(!matches("a=~y") && !matches("a=xyz,b=c"));
    }

    #[test]
    fn the_form_on_the_wire_is_that_of_the_api() {
        let wire = r#"[{"name":"a","value":"b","isRegex":false,"isEqual":true},{"name":"c","value":"d","isRegex":true,"isEqual":false}]"#;
        let read: Matchers = serde_json::from_str(wire).unwrap();
        assert_eq!(read, Matchers::parse("a=b,c!~d").unwrap());
        assert_eq!(serde_json::to_string(&read).unwrap(), wire);
        let old: Matchers = serde_json::from_str(r#"[{"name":"a","value":"b"}]"#).unwrap();
        assert_eq!(old, Matchers::parse("a=b").unwrap());
    }
}
