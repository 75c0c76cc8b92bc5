//! Picking series by PromQL label matchers.
//!
//! A [`Selector`] is a PromQL instant vector selector without offset and range: `name`,
//! `name{a="x",b!="y",c=~"re",d!~"re"}`, `{__name__=~"node_.*"}`, `{"my.name",a="x"}`. Strings stand in double or
//! single quotes with Go's escapes, or in backquotes without any. A label that a series lacks has the empty value.
//! As in Prometheus at least one matcher must not match the empty string, so that no selector takes everything by
//! mistake; `{__name__!=""}` takes everything on purpose.
//!
//! Regular expressions match the whole value, and `.` matches a newline too. They run in linear time. The syntax is
//! that of the `regex` crate, which is RE2's (Prometheus') but for these: `\Q…\E` and `\C` are not known; `\d`, `\w`,
//! `\s` and `\b` know all of Unicode; a literal `{` and, inside a class, a literal `[`, `&&`, `--` or `~~` need a
//! backslash.
//!
//! The [canonical text](Selector::as_str) has its matchers sorted and doubles removed. Selectors with equal text
//! pick the same series, so it serves as the key of what subscribers share.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::key;

/// The label that holds the metric name.
const NAME: &str = "__name__";
/// Longest regular expression, in bytes.
const MAX_PATTERN: usize = 1 << 10;
/// Largest compiled regular expression, in bytes.
const MAX_COMPILED: usize = 1 << 20;
/// A regular expression is compiled within the least of these that it fits in, or the limit. That also bounds its
/// lazily built automaton, and is its weight: the crate does not say how large it is.
const SIZES: [usize; 3] = [16 << 10, 64 << 10, 256 << 10];
/// Most matchers of one selector.
const MAX_MATCHERS: usize = 64;
/// Most of them that are regular expressions. With [`MAX_COMPILED`] it bounds what one selector can cost.
const MAX_REGEXES: usize = 8;

/// PromQL label matchers, all of which must match. Cheap to clone; equal when the canonical texts are.
#[derive(Clone, Debug)]
pub struct Selector {
    text: Arc<str>,
    matchers: Arc<[Matcher]>,
}

/// Why a selector was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct SelectorError {
    /// Position in characters, from 1. One behind the last at an unexpected end.
    pub column: usize,
    /// What is wrong, in words.
    pub reason: String,
}

/// How a value is compared. The order is that of the canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Like,
    /// `!~`
    NotLike,
}

/// One label matcher.
#[derive(Clone, Debug)]
pub struct Matcher {
    label: Box<str>,
    op: Op,
    value: Box<str>,
    /// Present for `Like` and `NotLike`, with its weight.
    regex: Option<(Regex, usize)>,
}

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// Syntax; a regular expression that is malformed, longer than 1 KiB or larger than 1 MiB compiled; more than
    /// 64 matchers; a selector whose every matcher matches the empty string.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let matchers = Parser { text, at: 0 }.selector()?;
        Ok(Self::from_matchers(matchers))
    }

    fn from_matchers(mut matchers: Vec<Matcher>) -> Self {
        matchers.sort_by(|a, b| a.order().cmp(&b.order()));
        matchers.dedup_by(|a, b| a.order() == b.order());
        // The name is compared first: it decides most often, and costs least.
        matchers.sort_by_key(|matcher| &*matcher.label != NAME);
        Selector { text: canonical(&matchers).into(), matchers: matchers.into() }
    }

    /// Does it pick the series of this key (see [`super::key`])?
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        self.matchers.iter().all(|matcher| {
            if &*matcher.label == NAME {
                matcher.accepts(&key::name(key))
            } else {
                matcher.accepts(&key::label(key, &matcher.label).unwrap_or(Cow::Borrowed("")))
            }
        })
    }

    /// The metric name that every picked series has, where the selector says one (`name{…}`, `{__name__="name"}`):
    /// series of other names need not be asked about.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let named = |matcher: &&Matcher| &*matcher.label == NAME && matcher.op == Op::Equal;
        self.matchers.iter().find(named).map(|matcher| &*matcher.value)
    }

    /// Its matchers, the one for the name first.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Memory that its regular expressions may take, in bytes, rounded up; 0 without any.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.matchers.iter().map(Matcher::weight).sum()
    }

    /// The canonical text: parses to an equal selector.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Selector {}

impl Hash for Selector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Selector {
    /// The canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Op {
    const fn is_regex(self) -> bool {
        matches!(self, Op::Like | Op::NotLike)
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Like => "=~",
            Op::NotLike => "!~",
        }
    }
}

impl Matcher {
    /// A matcher, its regular expression compiled. The length of the pattern is for the caller to bound.
    ///
    /// # Errors
    /// The regular expression is malformed or larger than 1 MiB when compiled; the text says which.
    pub fn new(label: &str, op: Op, value: &str) -> Result<Self, String> {
        Self::bounded(label, op, value, MAX_COMPILED)
    }

    /// As [`Self::new`], with another bound for the compiled regular expression, in bytes.
    ///
    /// # Errors
    /// As there.
    pub fn bounded(label: &str, op: Op, value: &str, compiled: usize) -> Result<Self, String> {
        let regex = match op {
            Op::Equal | Op::NotEqual => None,
            Op::Like | Op::NotLike => Some(compile(value, compiled)?),
        };
        Ok(Matcher { label: label.into(), op, value: value.into(), regex })
    }

    /// The label that it looks at, `__name__` for the metric name.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// What it compares with: a value, or a regular expression that must match the whole value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Memory that its regular expression may take, in bytes, rounded up; 0 without one.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.regex.as_ref().map_or(0, |(_, weight)| *weight)
    }

    /// Does it accept this value? A label that a series lacks has the empty one.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match (&self.regex, self.op) {
            (Some((regex, _)), Op::Like) => regex.is_match(value),
            (Some((regex, _)), _) => !regex.is_match(value),
            (None, Op::Equal) => *self.value == *value,
            (None, _) => *self.value != *value,
        }
    }

    fn order(&self) -> (&str, Op, &str) {
        (&self.label, self.op, &self.value)
    }
}

/// Compiles a pattern that must match a whole value; with its weight.
fn compile(pattern: &str, limit: usize) -> Result<(Regex, usize), String> {
    let build = |pattern: &str, size: usize| {
        RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).build().map(|regex| (regex, size))
    };
    let anchored = format!("^(?s:{pattern})$");
    let sizes = SIZES.into_iter().filter(|size| *size < limit).chain([limit]);
    let fits = sizes.map(|size| {
        // By itself first: `a)|(b` is an error, though it is none between the brackets of the anchors.
        build(pattern, size).and_then(|_| build(&anchored, size))
    });
    let too_big = || Err(regex::Error::CompiledTooBig(limit));
    let mut fits = fits.skip_while(|built| matches!(built, Err(regex::Error::CompiledTooBig(_))));
    fits.next().unwrap_or_else(too_big).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("regular expression is larger than {limit} bytes when compiled")
        }
        // The crate draws the pattern over several lines; the last one names the fault.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("bad regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    })
}

fn canonical(matchers: &[Matcher]) -> String {
    let (names, others): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| &*m.label == NAME);
    let mut out = String::new();
    let mut listed: Vec<&Matcher> = Vec::new();
    let mut quoted_name = None;
    match names[..] {
        [only] if only.op == Op::Equal && !only.value.is_empty() => {
            if key::is_legacy_name(&only.value) {
                out.push_str(&only.value);
            } else {
                quoted_name = Some(&*only.value);
            }
        }
        _ => listed.extend(names),
    }
    listed.extend(others);
    if !out.is_empty() && listed.is_empty() {
        return out;
    }
    out.push('{');
    if let Some(name) = quoted_name {
        quote_into(name, &mut out);
    }
    for (i, matcher) in listed.into_iter().enumerate() {
        if i > 0 || quoted_name.is_some() {
            out.push(',');
        }
        if key::is_legacy_label(&matcher.label) {
            out.push_str(&matcher.label);
        } else {
            quote_into(&matcher.label, &mut out);
        }
        out.push_str(matcher.op.as_str());
        quote_into(&matcher.value, &mut out);
    }
    out.push('}');
    out
}

fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    key::escape_into(text, out);
    out.push('"');
}

/// Reads a selector from left to right. `at` is in bytes; errors give characters.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn selector(mut self) -> Result<Vec<Matcher>, SelectorError> {
        let mut matchers = Vec::new();
        self.skip_space();
        let name = self.identifier(|b| b == b':');
        if !name.is_empty() {
            matchers.push(self.matcher(self.at, NAME, Op::Equal, name)?);
        }
        self.skip_space();
        let braces_at = self.at;
        match self.peek() {
            Some('{') => self.braces(&mut matchers)?,
            Some(other) if name.is_empty() => {
                return Err(self.error(self.at, format!("expected a metric name or '{{', found {other:?}")));
            }
            None if name.is_empty() => return Err(self.error(self.at, "selector is empty")),
            _ => {}
        }
        self.skip_space();
        if let Some(more) = self.peek() {
            return Err(self.error(self.at, format!("expected the end of the selector, found {more:?}")));
        }
        if matchers.iter().all(|matcher| matcher.accepts("")) {
            let reason = "at least one matcher must not match the empty string; {__name__!=\"\"} selects all";
            return Err(self.error(braces_at, reason));
        }
        Ok(matchers)
    }

    fn braces(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), SelectorError> {
        let mut named = !matchers.is_empty();
        self.at += 1;
        loop {
            self.skip_space();
            if self.eat('}') {
                return Ok(());
            }
            let start = self.at;
            if matchers.len() == MAX_MATCHERS {
                return Err(self.error(start, format!("more than {MAX_MATCHERS} matchers")));
            }
            let quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
            let label: Cow<'_, str> =
                if quoted { self.string()?.into() } else { self.identifier(|_| false).into() };
            if label.is_empty() {
                return Err(match self.peek() {
                    _ if quoted => self.error(start, "name is empty"),
                    Some(other) => {
                        self.error(start, format!("expected a label name or '}}', found {other:?}"))
                    }
                    None => self.error(start, "expected a label name or '}', found the end"),
                });
            }
            self.skip_space();
            if quoted && matches!(self.peek(), Some(',' | '}')) {
                if named || matchers.iter().any(|matcher| &*matcher.label == NAME) {
                    return Err(self.error(start, "metric name is said twice"));
                }
                named = true;
                matchers.push(self.matcher(start, NAME, Op::Equal, &label)?);
            } else {
                if named && label == NAME {
                    return Err(self.error(start, "metric name is said twice"));
                }
                let op = self.operator()?;
                self.skip_space();
                let value_at = self.at;
                let value = self.string()?;
                let regexes = || matchers.iter().filter(|matcher| matcher.op.is_regex()).count();
                if op.is_regex() && regexes() == MAX_REGEXES {
                    return Err(self.error(start, format!("more than {MAX_REGEXES} regular expressions")));
                }
                matchers.push(self.matcher(value_at, &label, op, &value)?);
            }
            self.skip_space();
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    fn matcher(&self, at: usize, label: &str, op: Op, value: &str) -> Result<Matcher, SelectorError> {
        if op.is_regex() && value.len() > MAX_PATTERN {
            let reason = format!("regular expression has {} bytes, more than {MAX_PATTERN}", value.len());
            return Err(self.error(at, reason));
        }
        Matcher::new(label, op, value).map_err(|reason| self.error(at, reason))
    }

    fn operator(&mut self) -> Result<Op, SelectorError> {
        for op in [Op::Like, Op::NotLike, Op::NotEqual, Op::Equal] {
            if self.text[self.at..].starts_with(op.as_str()) {
                self.at += op.as_str().len();
                return Ok(op);
            }
        }
        Err(self.expected("one of =, !=, =~, !~"))
    }

    fn identifier(&mut self, extra: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || extra(b);
        let digit_first = rest.bytes().next().is_some_and(|b| b.is_ascii_digit());
        let len = if digit_first { 0 } else { rest.bytes().take_while(|&b| part(b)).count() };
        self.at += len;
        &rest[..len]
    }

    /// A string in one of PromQL's three kinds of quotes, with the escapes of Go.
    fn string(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let quote = match self.peek() {
            Some(quote @ ('"' | '\'' | '`')) => quote,
            _ => return Err(self.expected("a quoted string")),
        };
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let at = self.at;
            let Some(c) = self.next() else { return Err(self.error(start, "string has no end")) };
            match c {
                _ if c == quote => break,
                '\n' if quote != '`' => return Err(self.error(at, "newline in a string; write \\n")),
                '\\' if quote != '`' => self.escape(at, quote, &mut out)?,
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(out).map_err(|_| self.error(start, "string is not UTF-8 once its escapes are read"))
    }

    /// What follows the backslash at `at`.
    fn escape(&mut self, at: usize, quote: char, out: &mut Vec<u8>) -> Result<(), SelectorError> {
        let byte = match self.next() {
            Some('a') => 7,
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('v') => 11,
            Some('\\') => b'\\',
            Some(c @ ('"' | '\'')) if c == quote => c as u8,
            Some('x') => return self.digits(at, 2, 16).map(|n| out.push(n.to_le_bytes()[0])),
            Some('0'..='7') => {
                self.at -= 1;
                let n = self.digits(at, 3, 8)?;
                u8::try_from(n).map_err(|_| self.error(at, "octal escape above \\377"))?
            }
            Some(c @ ('u' | 'U')) => {
                let n = self.digits(at, if c == 'u' { 4 } else { 8 }, 16)?;
                let c = char::from_u32(n).ok_or_else(|| self.error(at, "escape is no Unicode character"))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            Some(other) => return Err(self.error(at, format!("unknown escape \\{}", other.escape_debug()))),
            None => return Err(self.error(at, "string has no end")),
        };
        out.push(byte);
        Ok(())
    }

    fn digits(&mut self, at: usize, count: usize, radix: u32) -> Result<u32, SelectorError> {
        let mut number: u32 = 0;
        for _ in 0..count {
            let digit = self.peek().and_then(|c| c.to_digit(radix));
            let digit = digit
                .ok_or_else(|| self.error(at, format!("escape needs {count} digits of base {radix}")))?;
            // Eight hex digits fill the number exactly.
            number = number.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        Ok(number)
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn expected(&self, what: &str) -> SelectorError {
        match self.peek() {
            Some(found) => self.error(self.at, format!("expected {what}, found {found:?}")),
            None => self.error(self.at, format!("expected {what}, found the end")),
        }
    }

    fn error(&self, at: usize, reason: impl Into<String>) -> SelectorError {
        SelectorError { column: self.text[..at].chars().count() + 1, reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical_of(text: &str) -> String {
        Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    fn refused(text: &str) -> (usize, String) {
        let error = Selector::parse(text).expect_err(text);
        (error.column, error.reason)
    }

    #[test]
    fn equal_selections_have_one_canonical_text() {
        let cases = [
            ("up", "up"),
            (" up { } ", "up"),
            ("{__name__=\"up\"}", "up"),
            ("{\"up\"}", "up"),
            ("{'up',}", "up"),
            ("up{b='2' , a=\"1\",}", "up{a=\"1\",b=\"2\"}"),
            ("up{a=\"1\",a=\"1\"}", "up{a=\"1\"}"),
            ("up{a!~`x\\d`,a=~\"y\",a!=\"\"}", "up{a!=\"\",a=~\"y\",a!~\"x\\\\d\"}"),
            ("{\"my.name\",\"a.b\"=\"c\"}", "{\"my.name\",\"a.b\"=\"c\"}"),
            ("{__name__=~\"node_.*\"}", "{__name__=~\"node_.*\"}"),
            ("{__name__!=\"\"}", "{__name__!=\"\"}"),
            ("{__name__=\"a\",__name__!=\"b\"}", "{__name__=\"a\",__name__!=\"b\"}"),
            ("job:rate:sum", "job:rate:sum"),
            (
                r#"x{a="\a\b\f\n\r\t\v\\\"\x41\101\u00e9\U0001F600"}"#,
                "x{a=\"\u{7}\u{8}\u{c}\\n\r\t\u{b}\\\\\\\"AAé😀\"}",
            ),
            ("x{a=`\\n\n`}", "x{a=\"\\\\n\\n\"}"),
        ];
        for (text, want) in cases {
            assert_eq!(canonical_of(text), want, "{text}");
            assert_eq!(canonical_of(want), want, "{text}");
        }
    }

    #[test]
    fn a_refusal_names_column_and_reason() {
        let cases = [
            ("", 1, "empty"),
            ("  ", 3, "empty"),
            ("{a=~\"(\"}", 5, "bad regular expression: unclosed group"),
            ("{é=\"x\"}", 2, "label name"),
            ("{\"é\"=~\"x\",a=~\"a)|(b\"}", 14, "bad regular expression: unopened group"),
            ("{a=~\"\\xff\"}", 5, "UTF-8"),
            ("up{a=\"x\"", 9, "',' or '}', found the end"),
            ("up{a=\"x}", 6, "no end"),
            ("up{a=\"x\" b=\"y\"}", 10, "',' or '}', found 'b'"),
            ("up{a==\"x\"}", 6, "quoted string"),
            ("up{a~\"x\"}", 5, "=, !=, =~, !~"),
            ("up{a=x}", 6, "quoted string"),
            ("up{,}", 4, "label name"),
            ("up{\"\"=\"x\"}", 4, "name is empty"),
            ("up{a=\"\\q\"}", 7, "unknown escape"),
            ("up{a=\"\\'\"}", 7, "unknown escape"),
            ("up{a=\"\\x4\"}", 7, "2 digits"),
            ("up{a=\"\\777\"}", 7, "377"),
            ("up{a=\"\\ud800\"}", 7, "no Unicode"),
            ("up{a=\"\n\"}", 7, "newline"),
            ("up{__name__=\"up\"}", 4, "twice"),
            ("up{\"up\"}", 4, "twice"),
            ("{\"a\",\"b\"}", 6, "twice"),
            ("{__name__=\"a\",\"b\"}", 15, "twice"),
            ("up offset 5m", 4, "end of the selector"),
            ("sum(up)", 4, "end of the selector"),
            ("1up", 1, "metric name"),
            ("{}", 1, "empty string"),
            ("{a=\"\"}", 1, "empty string"),
            ("{a!=\"x\"}", 1, "empty string"),
            ("{a=~\".*\"}", 1, "empty string"),
            ("{a!~\".+\"}", 1, "empty string"),
        ];
        for (text, column, reason) in cases {
            let (at, why) = refused(text);
            assert!(why.contains(reason), "{text:?}: {why}");
            assert_eq!(at, column, "{text:?}: {why}");
        }
    }

    #[test]
    fn regular_expressions_are_bounded_in_length_size_and_number() {
        let long = "x".repeat(MAX_PATTERN);
        assert!(Selector::parse(&format!("{{a=~\"{long}\"}}")).is_ok());
        assert!(refused(&format!("{{a=~\"{long}x\"}}")).1.contains("1025 bytes, more than 1024"));
        assert!(refused("{a=~\"((a{1,100}){1,100}){1,100}\"}").1.contains("compiled"));
        let many = (0..MAX_MATCHERS).map(|i| format!("a{i}=\"x\"")).collect::<Vec<_>>().join(",");
        assert!(Selector::parse(&format!("{{{many}}}")).is_ok());
        assert!(refused(&format!("up{{{many}}}")).1.contains("more than 64 matchers"));
        let many = |count| (0..count).map(|i| format!("a{i}=~\"x\"")).collect::<Vec<_>>().join(",");
        assert!(Selector::parse(&format!("up{{{}}}", many(MAX_REGEXES))).is_ok());
        let (_, reason) = refused(&format!("up{{{}}}", many(MAX_REGEXES + 1)));
        assert_eq!(reason, "more than 8 regular expressions");
    }

    #[test]
    fn b30_a_selector_weighs_what_its_regular_expressions_may_take() {
        let weight = |text: &str| Selector::parse(text).unwrap().weight();
        assert_eq!(weight("up{a=\"b\"}"), 0);
        assert_eq!(weight("{__name__=~\"node_.*\",job!~\"a|b\"}"), 2 * SIZES[0]);
        assert!(weight("up{a=~\"(.|x){700}\"}") > SIZES[0]);
    }

    #[test]
    fn matching_is_whole_and_a_missing_label_is_empty() {
        let cases = [
            ("up", "up", true),
            ("up", "upper", false),
            ("up{a=\"\"}", "up{b=\"x\"}", true),
            ("up{a!=\"\"}", "up{b=\"x\"}", false),
            ("up{a=~\"x|y\"}", "up{a=\"xy\"}", false),
            ("up{a=~\"x|xy\"}", "up{a=\"xy\"}", true),
            ("up{a=~\"x.y\"}", "up{a=\"x\\ny\"}", true),
            ("up{a!~\"x.*\"}", "up{a=\"yx\"}", true),
            ("up{a!~\"x.*\"}", "up", true),
            ("{__name__=~\"node_.*\",cpu=\"0\"}", "node_cpu{cpu=\"0\",mode=\"idle\"}", true),
            ("{__name__=~\"node_.*\"}", "a_node_cpu", false),
            ("{\"my.name\"}", "{\"my.name\",a=\"x\"}", true),
            ("{__name__!=\"\"}", "anything{a=\"x\"}", true),
        ];
        for (selector, key, want) in cases {
            assert_eq!(Selector::parse(selector).expect(selector).matches(key), want, "{selector} {key}");
        }
    }

    #[test]
    fn the_name_is_known_only_where_all_picked_series_have_it() {
        let name = |text: &str| Selector::parse(text).expect(text).name().map(str::to_owned);
        assert_eq!(name("up{a=\"x\"}").as_deref(), Some("up"));
        assert_eq!(name("{\"my.name\"}").as_deref(), Some("my.name"));
        assert_eq!(name("{__name__=~\"up\"}"), None);
        assert_eq!(name("{a=\"x\"}"), None);
    }

    /// A matcher as (label, operator, value), from small alphabets so that they meet.
    fn matcher() -> impl Strategy<Value = (String, &'static str, String)> {
        let label = prop::sample::select(vec!["a", "b", "é.x", NAME]).prop_map(str::to_owned);
        let op = prop::sample::select(vec!["=", "!=", "=~", "!~"]);
        (label, op, "[xy.*\\n|]{0,3}")
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_parsed_or_refused_inside_it(text in "\\PC{0,40}|[a{}=~!\"'`\\\\,x. \n]{0,24}") {
            if let Err(error) = Selector::parse(&text) {
                prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
                prop_assert!(!error.reason.is_empty());
            }
        }

        #[test]
        fn the_canonical_text_parses_to_an_equal_selector(
            text in "[a-c]{0,1}\\{[ab]=~?['\"][x.*\\\\n]{0,4}['\"],?\\}|[a{}=~!\"'`\\\\,x. \n]{0,24}",
        ) {
            if let Ok(selector) = Selector::parse(&text) {
                let again = Selector::parse(selector.as_str());
                prop_assert_eq!(again.as_ref().map(Selector::as_str), Ok(selector.as_str()));
            }
        }

        #[test]
        fn matching_agrees_with_comparing_the_label_set(
            matchers in prop::collection::vec(matcher(), 1..4),
            name in "[xy]{1,2}",
            labels in prop::collection::btree_map(prop::sample::select(vec!["a", "b", "é.x"]), "[xy\\n.]{1,2}", 0..3),
        ) {
            let mut text = String::from("{");
            for (label, op, value) in &matchers {
                quote_into(label, &mut text);
                text.push_str(op);
                quote_into(value, &mut text);
                text.push(',');
            }
            text.push('}');
            let Ok(selector) = Selector::parse(&text) else { return Ok(()) };
            let pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let want = matchers.iter().all(|(label, op, pattern)| {
                let found = labels.get(label.as_str()).map_or("", String::as_str);
                let value = if label == NAME { &name } else { found };
                let like = || Regex::new(&format!("\\A(?:(?s){pattern})\\z")).expect("compiled before").is_match(value);
                match *op {
                    "=" => pattern == value,
                    "!=" => pattern != value,
                    "=~" => like(),
                    _ => !like(),
                }
            });
            prop_assert_eq!(selector.matches(&key::render(&name, &pairs)), want, "{}", text);
        }
    }
}
