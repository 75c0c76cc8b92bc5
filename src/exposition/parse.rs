//! The grammar of text 0.0.4 and OpenMetrics 1.0, line by line.
//!
//! `key`, `rest` and `meta` read the parts of one line. They are as lenient as Prometheus' own parsers:
//! text 0.0.4 may have blanks between all parts and a comma after the last label; OpenMetrics has exactly one
//! space where it has any. The rules that hold between lines (order, grouping, names that clash, what values
//! a type may have) are not grammar; see `strict.rs`.

use std::borrow::Cow;

use super::number;
use crate::series::{Exemplar, Kind, NO_TIME, key as series_key};

/// Which grammar a page follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0 text, ends with `# EOF`.
    OpenMetrics,
}

/// Longest line that is read, in bytes; a page with a longer one is refused. Prometheus has no limit of its
/// own; its label limits, where set, are far lower, and 64 KiB holds any HELP text seen in practice.
pub const LINE_LIMIT: usize = 64 * 1024;

/// Most characters an exemplar's label names and values may have together (OpenMetrics 1.0, "Exemplars").
pub const EXEMPLAR_LIMIT: usize = 128;

/// Why a page was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: {excerpt:?}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// What is wrong, in words.
    pub reason: String,
    /// The line, cut to 80 characters.
    pub excerpt: String,
}

impl ParseError {
    /// An error in the line of `page` that starts at byte `at`.
    pub(super) fn at(page: &[u8], at: usize, reason: Reason) -> Self {
        let line = &page[at.min(page.len())..];
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        // Four bytes a character at most; what is not UTF-8 shows as U+FFFD.
        let excerpt = String::from_utf8_lossy(&line[..line.len().min(80 * 4)]).chars().take(80).collect();
        let before = &page[..at.min(page.len())];
        ParseError {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            reason: reason.into_owned(),
            excerpt,
        }
    }
}

/// What is wrong with a line, in words.
pub(super) type Reason = Cow<'static, str>;

/// Label names and values, unescaped.
pub(super) type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The identity at the start of a sample's line.
#[derive(Debug)]
pub(super) struct Key<'a> {
    /// Metric name, suffix included.
    pub(super) name: Cow<'a, str>,
    /// Sorted by name, without empty values.
    pub(super) labels: Labels<'a>,
    /// Bytes of the line it takes.
    pub(super) len: usize,
    /// A comma stood after the last label.
    pub(super) trailing_comma: bool,
}

/// What follows the identity.
#[derive(Debug, PartialEq)]
pub(super) struct Rest {
    pub(super) value: f64,
    /// Unix milliseconds, or [`NO_TIME`].
    pub(super) time_ms: i64,
    pub(super) exemplar: Option<Exemplar>,
    /// The exemplar is over [`EXEMPLAR_LIMIT`] and was left out.
    pub(super) exemplar_too_long: bool,
}

/// A line that starts with `#`.
#[derive(Debug, PartialEq)]
pub(super) enum Meta<'a> {
    Help(Cow<'a, str>, String),
    Type(Cow<'a, str>, Kind),
    Unit(Cow<'a, str>, &'a str),
    Eof,
    Comment,
}

/// Reads the identity at the start of a line, which has neither leading blanks (but see [`skip_blanks`]) nor
/// the newline.
pub(super) fn key(line: &[u8], format: Format) -> Result<Key<'_>, Reason> {
    let mut cursor = Cursor { text: line, at: 0, format };
    let mut name = match cursor.peek() {
        Some(b'{') => None,
        _ => Some(Cow::Borrowed(cursor.legacy(true).ok_or("a metric name is expected")?)),
    };
    let (mut labels, mut trailing_comma) = (Vec::new(), false);
    let name_end = cursor.at;
    cursor.blanks();
    if cursor.peek() == Some(b'{') {
        trailing_comma = cursor.labels(&mut name, &mut labels)?;
    } else {
        cursor.at = name_end;
    }
    let name = name.filter(|name| !name.is_empty()).ok_or("no metric name")?;
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("label {:?} stands twice", pair[0].0).into());
    }
    labels.retain(|(_, value)| !value.is_empty());
    Ok(Key { name, labels, len: cursor.at, trailing_comma })
}

/// Reads what follows the identity: value, timestamp, exemplar.
pub(super) fn rest(after: &[u8], format: Format) -> Result<Rest, Reason> {
    let mut cursor = Cursor { text: after, at: 0, format };
    let mut rest = Rest { value: 0.0, time_ms: NO_TIME, exemplar: None, exemplar_too_long: false };
    match format {
        Format::Text => {
            cursor.blanks();
            rest.value = cursor.number("the value is no number")?;
            cursor.blanks();
            if !cursor.ended() {
                rest.time_ms = cursor.milliseconds()?;
                cursor.blanks();
            }
        }
        Format::OpenMetrics => {
            cursor.expect(b' ', "one space is expected before the value")?;
            rest.value = cursor.number("the value is no number")?;
            if !cursor.ended() && !cursor.text[cursor.at..].starts_with(b" # ") {
                cursor.expect(b' ', "one space is expected before the timestamp")?;
                rest.time_ms = cursor.seconds()?;
            }
            if !cursor.ended() {
                cursor.exemplar(&mut rest)?;
            }
        }
    }
    if cursor.ended() { Ok(rest) } else { Err("unexpected text after the sample".into()) }
}

/// Reads a line that starts with `#`.
pub(super) fn meta(line: &[u8], format: Format) -> Result<Meta<'_>, Reason> {
    let mut cursor = Cursor { text: line, at: 1, format };
    match format {
        Format::OpenMetrics if line == b"# EOF" => return Ok(Meta::Eof),
        Format::OpenMetrics => cursor.expect(b' ', "one space is expected after #")?,
        Format::Text => cursor.blanks(),
    }
    let start = cursor.at;
    let word = cursor.word();
    let known = match format {
        Format::Text => start > 1 && matches!(word, b"HELP" | b"TYPE") && !cursor.ended(),
        Format::OpenMetrics => matches!(word, b"HELP" | b"TYPE" | b"UNIT"),
    };
    if !known {
        return match format {
            Format::Text => Ok(Meta::Comment),
            Format::OpenMetrics => Err("only HELP, TYPE, UNIT and EOF may follow #".into()),
        };
    }
    cursor.blank()?;
    let name = if cursor.peek() == Some(b'"') {
        cursor.string()?
    } else {
        Cow::Borrowed(cursor.legacy(true).ok_or("a metric name is expected")?)
    };
    if name.is_empty() {
        return Err("a metric name is expected".into());
    }
    if format == Format::OpenMetrics || !cursor.ended() {
        cursor.blank()?;
    }
    let text = str::from_utf8(&line[cursor.at..]).map_err(|_| "the text is not UTF-8")?;
    match word {
        b"HELP" => Ok(Meta::Help(name, unescape_help(text, format))),
        b"UNIT" if text.is_empty() || name.strip_suffix(text).is_some_and(|base| base.ends_with('_')) => {
            Ok(Meta::Unit(name, text))
        }
        b"UNIT" => Err("the unit is no suffix of the name".into()),
        _ => {
            match kind(if format == Format::Text { text.trim_end_matches([' ', '\t']) } else { text }, format)
            {
                Some(kind) => Ok(Meta::Type(name, kind)),
                None => Err("unknown type".into()),
            }
        }
    }
}

/// The blanks a line of text 0.0.4 may start with; OpenMetrics has none.
pub(super) fn skip_blanks(line: &[u8], format: Format) -> usize {
    let mut cursor = Cursor { text: line, at: 0, format };
    cursor.blanks();
    cursor.at
}

fn kind(word: &str, format: Format) -> Option<Kind> {
    Some(match (word, format) {
        ("counter", _) => Kind::Counter,
        ("gauge", _) => Kind::Gauge,
        ("histogram", _) => Kind::Histogram,
        ("summary", _) => Kind::Summary,
        ("untyped", Format::Text) | ("unknown", Format::OpenMetrics) => Kind::Unknown,
        ("gaugehistogram", Format::OpenMetrics) => Kind::GaugeHistogram,
        ("info", Format::OpenMetrics) => Kind::Info,
        ("stateset", Format::OpenMetrics) => Kind::StateSet,
        _ => return None,
    })
}

/// `\\` and `\n`, in OpenMetrics `\"` too; others stand as they are.
fn unescape_help(text: &str, format: Format) -> String {
    if format == Format::OpenMetrics || !text.contains("\\\"") {
        return series_key::unescape(text);
    }
    // Text 0.0.4 keeps \" as it stands: unescape around it, pair by pair.
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('\\') => out.push('\\'),
                other => {
                    out.push('\\');
                    out.extend(other);
                }
            },
            c => out.push(c),
        }
    }
    out
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    format: Format,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn ended(&self) -> bool {
        self.at == self.text.len()
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), Reason> {
        if self.peek() != Some(byte) {
            return Err(reason.into());
        }
        self.at += 1;
        Ok(())
    }

    /// Any blanks in text 0.0.4, none in OpenMetrics.
    fn blanks(&mut self) {
        while self.format == Format::Text && matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// At least one blank in text 0.0.4, one space in OpenMetrics.
    fn blank(&mut self) -> Result<(), Reason> {
        match (self.peek(), self.format) {
            (Some(b' '), _) | (Some(b'\t'), Format::Text) => self.at += 1,
            _ => return Err("a space is expected".into()),
        }
        self.blanks();
        Ok(())
    }

    fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(|b| b != b' ' && b != b'\t') {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// A name without quotes; a metric's may have colons.
    fn legacy(&mut self, metric: bool) -> Option<&'a str> {
        let start = self.at;
        while let Some(b) = self.peek()
            && (b.is_ascii_alphabetic()
                || b == b'_'
                || (metric && b == b':')
                || (self.at > start && b.is_ascii_digit()))
        {
            self.at += 1;
        }
        // ASCII by the loop above.
        str::from_utf8(&self.text[start..self.at]).ok().filter(|name| !name.is_empty())
    }

    /// A quoted string, unescaped.
    fn string(&mut self) -> Result<Cow<'a, str>, Reason> {
        self.expect(b'"', "a quote is expected")?;
        let (start, mut escaped) = (self.at, false);
        loop {
            match memchr::memchr2(b'"', b'\\', &self.text[self.at..]) {
                None => return Err("a quote is not closed".into()),
                Some(skip) if self.text[self.at + skip] == b'"' => {
                    self.at += skip;
                    break;
                }
                Some(skip) => {
                    escaped = true;
                    self.at = (self.at + skip + 2).min(self.text.len());
                }
            }
        }
        let content =
            str::from_utf8(&self.text[start..self.at]).map_err(|_| "the text in quotes is not UTF-8")?;
        self.at += 1;
        Ok(if escaped { Cow::Owned(series_key::unescape(content)) } else { Cow::Borrowed(content) })
    }

    /// Labels in braces, and the metric name if it stands there. Was there a comma after the last?
    fn labels(&mut self, name: &mut Option<Cow<'a, str>>, labels: &mut Labels<'a>) -> Result<bool, Reason> {
        self.expect(b'{', "a brace is expected")?;
        let mut comma = false;
        loop {
            self.blanks();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(comma);
            }
            let quoted = self.peek() == Some(b'"');
            let label = if quoted {
                self.string()?
            } else {
                Cow::Borrowed(self.legacy(false).ok_or("a label name is expected")?)
            };
            self.blanks();
            if quoted && self.peek() != Some(b'=') {
                if name.is_some() {
                    return Err("the metric name stands twice".into());
                }
                *name = Some(label);
            } else {
                self.expect(b'=', "= is expected after a label name")?;
                self.blanks();
                let value = self.string()?;
                if label.is_empty() || label == "__name__" {
                    return Err(format!("{label:?} is no label name").into());
                }
                labels.push((label, value));
            }
            self.blanks();
            comma = self.peek() == Some(b',');
            if comma {
                self.at += 1;
            } else if self.peek() != Some(b'}') {
                return Err("a comma or a closing brace is expected".into());
            }
        }
    }

    fn number(&mut self, reason: &'static str) -> Result<f64, Reason> {
        let (value, len) = number::take(&self.text[self.at..]).ok_or(reason)?;
        self.at += len;
        Ok(value)
    }

    /// A timestamp of text 0.0.4.
    fn milliseconds(&mut self) -> Result<i64, Reason> {
        let digits = str::from_utf8(self.word()).ok();
        match digits.and_then(|digits| digits.parse::<i64>().ok()) {
            Some(time) => Ok(time.max(NO_TIME + 1)),
            None => Err("the timestamp is no whole number of milliseconds".into()),
        }
    }

    /// A timestamp of OpenMetrics, as milliseconds; what no i64 holds becomes the nearest that it does.
    fn seconds(&mut self) -> Result<i64, Reason> {
        let seconds = self.number("the timestamp is no number")?;
        if !seconds.is_finite() {
            return Err("the timestamp is not finite".into());
        }
        #[allow(clippy::cast_possible_truncation)] // saturates
        Ok(((seconds * 1000.0).round() as i64).max(NO_TIME + 1))
    }

    fn exemplar(&mut self, rest: &mut Rest) -> Result<(), Reason> {
        for byte in *b" # " {
            self.expect(byte, "unexpected text after the sample")?;
        }
        let mut labels = Vec::new();
        // The place of the name is taken, so that a lone quoted string is an error.
        self.labels(&mut Some(Cow::Borrowed("")), &mut labels)?;
        self.expect(b' ', "one space is expected before the exemplar's value")?;
        let value = self.number("the exemplar's value is no number")?;
        let mut time_ms = NO_TIME;
        if !self.ended() {
            self.expect(b' ', "one space is expected before the exemplar's timestamp")?;
            time_ms = self.seconds()?;
        }
        let length: usize = labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        rest.exemplar_too_long = length > EXEMPLAR_LIMIT;
        if !rest.exemplar_too_long {
            let key = series_key::render("_", &labels);
            let labels = if labels.is_empty() { "{}" } else { series_key::label_text(&key) };
            rest.exemplar = Some(Exemplar { labels: labels.into(), value, time_ms });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{OpenMetrics, Text};

    fn identity(line: &str, format: Format) -> Result<String, String> {
        let key = key(line.as_bytes(), format).map_err(Cow::into_owned)?;
        Ok(series_key::render(&key.name, &key.labels))
    }

    #[test]
    fn identities_are_sorted_unescaped_and_without_empty_labels() {
        for (line, want) in [
            ("up 1", "up"),
            ("up{} 1", "up"),
            (r#"up{b="2",a="1"} 1"#, r#"up{a="1",b="2"}"#),
            (r#"up{a="",b="x"} 1"#, r#"up{b="x"}"#),
            (r#"up{a="}\"{\\\n\z"} 1"#, r#"up{a="}\"{\\\n\\z"}"#),
            (r#"{"my.name","a b"="x"} 1"#, r#"{"my.name","a b"="x"}"#),
            (r#"{"up",a="x"} 1"#, r#"up{a="x"}"#),
        ] {
            assert_eq!(identity(line, OpenMetrics).as_deref(), Ok(want), "{line}");
            assert_eq!(identity(line, Text).as_deref(), Ok(want), "{line}");
        }
        assert_eq!(identity("up { a = \"x\" ,\tb=\"y\", } 1", Text).as_deref(), Ok(r#"up{a="x",b="y"}"#));
        assert!(identity("up {a=\"x\"} 1", OpenMetrics).is_ok_and(|key| key == "up"), "then the value fails");
    }

    #[test]
    fn bad_identities_are_refused_with_the_reason() {
        for (line, reason) in [
            ("0a 1", "a metric name is expected"),
            ("{} 1", "no metric name"),
            (r#"{"a","b"} 1"#, "the metric name stands twice"),
            (r#"a{"b"} 1"#, "the metric name stands twice"),
            (r#"a{a="1",a="2"} 1"#, "label \"a\" stands twice"),
            (r#"a{__name__="b"} 1"#, "\"__name__\" is no label name"),
            (r#"a{a="1} 1"#, "a quote is not closed"),
            (r#"a{a="1\"#, "a quote is not closed"),
            (r#"a{a="1",,} 1"#, "a label name is expected"),
            (r#"a{a="1"b="2"} 1"#, "a comma or a closing brace is expected"),
            (r#"a{1="1"} 1"#, "a label name is expected"),
            ("a{a=1} 1", "a quote is expected"),
        ] {
            assert_eq!(identity(line, Text), Err(reason.into()), "{line}");
        }
        assert!(key(b"a{a=\"\xff\"} 1", Text).is_err());
    }

    #[test]
    fn timestamps_are_milliseconds_in_text_and_seconds_in_openmetrics() {
        let time = |text: &[u8], format| rest(text, format).map(|rest| rest.time_ms);
        assert_eq!(time(b" 1 1700000000123", Text), Ok(1_700_000_000_123));
        assert_eq!(time(b" 1 1700000000.123", OpenMetrics), Ok(1_700_000_000_123));
        assert_eq!(time(b"\t1  -5 ", Text), Ok(-5));
        assert_eq!(time(b" 1 -0.5", OpenMetrics), Ok(-500));
        assert_eq!(time(b" 1", Text), Ok(NO_TIME));
        assert!(time(b" 1 1.5", Text).is_err());
        assert!(time(b" 1 NaN", OpenMetrics).is_err());
        assert!(time(b" 1 2 3", Text).is_err());
    }

    #[test]
    fn exemplars_are_read_in_openmetrics_and_dropped_when_too_long() {
        let rest = rest(br#" 1 2 # {b="x",a="\n"} 0.5 3.25"#, OpenMetrics).expect("a sample");
        let exemplar = Exemplar { labels: r#"{b="x",a="\n"}"#.into(), value: 0.5, time_ms: 3250 };
        assert_eq!((rest.value, rest.time_ms, rest.exemplar), (1.0, 2000, Some(exemplar)));
        let long = format!(" 1 # {{a=\"{}\"}} 1", "x".repeat(128));
        let rest = super::rest(long.as_bytes(), OpenMetrics).expect("a sample");
        assert!(rest.exemplar.is_none() && rest.exemplar_too_long);
        assert!(super::rest(b" 1 # {} 1", Text).is_err());
    }

    #[test]
    fn metadata_is_unescaped_and_comments_are_let_be() {
        let help = |text: &str| Meta::Help("a".into(), text.into());
        assert_eq!(meta(br#"# HELP a x\n\\n\"\z"#, Text), Ok(help("x\n\\n\\\"\\z")));
        assert_eq!(meta(br#"# HELP a x\n\\n\"\z"#, OpenMetrics), Ok(help("x\n\\n\"\\z")));
        assert_eq!(meta(b"#\tTYPE  a\tgauge ", Text), Ok(Meta::Type("a".into(), Kind::Gauge)));
        assert_eq!(meta(b"# HELP a", Text), Ok(help("")));
        assert_eq!(meta(b"# TYPE \"my.name\" gauge", Text), Ok(Meta::Type("my.name".into(), Kind::Gauge)));
        for comment in ["#", "# ", "# HELP", "#HELP a b", "# EOF", "# UNIT a b", "# helpful"] {
            assert_eq!(meta(comment.as_bytes(), Text), Ok(Meta::Comment), "{comment}");
        }
        assert!(meta(b"# TYPE a info", Text).is_err());
        assert!(meta(b"# TYPE a untyped", OpenMetrics).is_err());
        assert_eq!(meta(b"# UNIT a_s s", OpenMetrics), Ok(Meta::Unit("a_s".into(), "s")));
        assert!(meta(b"# UNIT as s", OpenMetrics).is_err());
    }

    #[test]
    fn an_error_names_the_line_and_cuts_it_at_a_character() {
        let page = format!("a 1\nb {}\n", "é".repeat(100));
        let error = ParseError::at(page.as_bytes(), 4, "bad".into());
        assert_eq!((error.line, error.excerpt.chars().count()), (2, 80));
        assert!(error.to_string().starts_with("line 2: bad: \"b éé"));
    }
}
