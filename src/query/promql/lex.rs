//! The query text as tokens.

use super::ast::{AggregateOp, Span};
use super::duration;
use crate::query::number::quoted;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    Text,
    Comma,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Colon,
    /// `=`, which is no operator outside braces.
    Assign,
    Operator,
    Aggregate(AggregateOp),
    Keyword,
    /// `start`, `end`, `step`, `range`.
    Preprocessor,
}

/// A token; its text is that of its span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) span: Span,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// As messages about unexpected tokens name it.
    pub(super) fn describe(&self) -> String {
        let short = || {
            if self.text.len() > 10 {
                format!("{}...", quoted(&self.text.chars().take(10).collect::<String>()))
            } else {
                quoted(self.text)
            }
        };
        match self.kind {
            Kind::End => "end of input".into(),
            Kind::Identifier => format!("identifier {}", quoted(self.text)),
            Kind::MetricIdentifier => format!("metric identifier {}", quoted(self.text)),
            Kind::Number => format!("number {}", short()),
            Kind::Duration => format!("duration {}", short()),
            Kind::Text => format!("string {}", short()),
            Kind::Operator => format!("<op:{}>", self.text),
            Kind::Aggregate(_) => format!("<aggr:{}>", self.text),
            Kind::Keyword => format!("<{}>", self.text),
            _ => short(),
        }
    }

    /// Is it this operator or keyword, in any case?
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Operator | Kind::Keyword | Kind::Preprocessor)
            && self.text.eq_ignore_ascii_case(word)
    }
}

/// A character that belongs to no token, or a token that has no end.
#[derive(Clone, Debug)]
pub(super) struct LexError {
    pub(super) at: usize,
    pub(super) reason: String,
}

const WORD_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];
const KEYWORDS: [&str; 13] = [
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "fill",
    "fill_left",
    "fill_right",
    "bool",
];
const PREPROCESSORS: [&str; 4] = ["start", "end", "step", "range"];

/// Reads tokens from left to right.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    parens: usize,
    braces: bool,
    brackets: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { text, at: 0, parens: 0, braces: false, brackets: false }
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self, at: usize, reason: impl Into<String>) -> Result<T, LexError> {
        let _ = self;
        Err(LexError { at, reason: reason.into() })
    }

    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
        }
    }

    fn take(&mut self, kind: Kind, len: usize) -> Result<Token<'a>, LexError> {
        let span = Span { start: self.at, end: self.at + len };
        self.at = span.end;
        Ok(Token { kind, span, text: &self.text[span.start..span.end] })
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, LexError> {
        self.skip();
        let start = self.at;
        let Some(c) = self.text[start..].chars().next() else {
            return if self.braces {
                self.error(start, "unexpected end of input inside braces")
            } else if self.parens > 0 {
                self.error(start, "unclosed left parenthesis")
            } else if self.brackets && self.text[..start].trim_end().ends_with('[') {
                self.error(start, "unexpected end of input in duration expression")
            } else if self.brackets {
                self.error(start, "unclosed left bracket")
            } else {
                self.take(Kind::End, 0)
            };
        };
        if self.braces {
            return self.inside_braces(c);
        }
        let second = self.byte(1);
        match c {
            ',' => self.take(Kind::Comma, 1),
            '*' | '/' | '%' | '+' | '-' | '^' | '@' => self.take(Kind::Operator, 1),
            '=' if second == b'=' => self.take(Kind::Operator, 2),
            '=' if second == b'~' => self.error(start, "unexpected character after '=': '~'"),
            '=' => self.take(Kind::Assign, 1),
            '!' if second == b'=' => self.take(Kind::Operator, 2),
            '!' => {
                let found = self.text[start + 1..].chars().next();
                self.error(start, format!("unexpected character after '!': {}", rune(found)))
            }
            '<' | '>' => self.take(Kind::Operator, if second == b'=' { 2 } else { 1 }),
            '0'..='9' => self.number(),
            '.' if second.is_ascii_digit() => self.number(),
            '"' | '\'' | '`' => self.string(c),
            '(' => {
                self.parens += 1;
                self.take(Kind::LeftParen, 1)
            }
            // Prometheus has taken the parenthesis when it finds that there is one too many.
            ')' if self.parens == 0 => self.error(start + 1, "unexpected right parenthesis ')'"),
            ')' => {
                self.parens -= 1;
                self.take(Kind::RightParen, 1)
            }
            '{' => {
                self.braces = true;
                self.take(Kind::LeftBrace, 1)
            }
            '[' if self.brackets => self.error(start, "unexpected left bracket '['"),
            '[' => {
                self.brackets = true;
                self.take(Kind::LeftBracket, 1)
            }
            ']' if !self.brackets => self.error(start, "unexpected right bracket ']'"),
            ']' => {
                self.brackets = false;
                self.take(Kind::RightBracket, 1)
            }
            ':' if self.brackets => self.take(Kind::Colon, 1),
            'a'..='z' | 'A'..='Z' | '_' if self.brackets => self.word_in_brackets(c),
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.word(),
            _ if self.brackets => {
                self.error(start, format!("unexpected character in duration expression: {}", rune(Some(c))))
            }
            _ => self.error(start, format!("unexpected character: {}", rune(Some(c)))),
        }
    }

    fn inside_braces(&mut self, c: char) -> Result<Token<'a>, LexError> {
        let (start, second) = (self.at, self.byte(1));
        match c {
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = self.run(|b| b.is_ascii_alphanumeric() || b == b'_');
                self.take(Kind::Identifier, len)
            }
            ',' => self.take(Kind::Comma, 1),
            '"' | '\'' | '`' => self.string(c),
            '=' if second == b'~' => self.take(Kind::Operator, 2),
            '=' => self.take(Kind::Assign, 1),
            '!' if second == b'~' || second == b'=' => self.take(Kind::Operator, 2),
            '!' => {
                let found = self.text[start + 1..].chars().next();
                self.error(start, format!("unexpected character after '!' inside braces: {}", rune(found)))
            }
            '{' => self.error(start, "unexpected left brace '{'"),
            '}' => {
                self.braces = false;
                self.take(Kind::RightBrace, 1)
            }
            _ => self.error(start, format!("unexpected character inside braces: {}", rune(Some(c)))),
        }
    }

    fn run(&self, part: impl Fn(u8) -> bool) -> usize {
        self.text.as_bytes()[self.at..].iter().take_while(|&&b| part(b)).count()
    }

    fn word(&mut self) -> Result<Token<'a>, LexError> {
        let len = self.run(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        let text = &self.text[self.at..self.at + len];
        let lower = text.to_ascii_lowercase();
        let kind = if let Some((_, op)) = AggregateOp::ALL.iter().find(|(name, _)| *name == lower) {
            Kind::Aggregate(*op)
        } else if WORD_OPERATORS.contains(&&*lower) {
            Kind::Operator
        } else if lower.starts_with("fill") && !self.text[self.at + len..].trim_start().starts_with('(') {
            // `fill` and its kin are keywords only before a parenthesis, and metric names elsewhere.
            Kind::Identifier
        } else if KEYWORDS.contains(&&*lower) {
            Kind::Keyword
        } else if PREPROCESSORS.contains(&&*lower) {
            Kind::Preprocessor
        } else if lower == "inf" || lower == "nan" {
            Kind::Number
        } else if text.contains(':') {
            Kind::MetricIdentifier
        } else {
            Kind::Identifier
        };
        self.take(kind, len)
    }

    fn word_in_brackets(&mut self, c: char) -> Result<Token<'a>, LexError> {
        let len = self.run(|b| b.is_ascii_alphabetic() || b == b'_');
        match self.text[self.at..self.at + len].to_ascii_lowercase().as_str() {
            "step" | "range" => self.take(Kind::Preprocessor, len),
            "min" => self.take(Kind::Aggregate(AggregateOp::Min), len),
            "max" => self.take(Kind::Aggregate(AggregateOp::Max), len),
            _ => {
                self.error(self.at, format!("unexpected character in duration expression: {}", rune(Some(c))))
            }
        }
    }

    fn number(&mut self) -> Result<Token<'a>, LexError> {
        let rest = &self.text.as_bytes()[self.at..];
        let at = |i: usize| rest.get(i).copied().unwrap_or(0);
        let hex = at(0) == b'0' && matches!(at(1), b'x' | b'X');
        let mut len = if hex { 2 } else { 0 };
        loop {
            let b = at(len);
            let sign = matches!(b, b'+' | b'-') && !hex && len > 0 && matches!(at(len - 1), b'e' | b'E');
            let part = if hex {
                b.is_ascii_hexdigit() || b == b'_'
            } else {
                b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'e' | b'E') || sign
            };
            if !part {
                break;
            }
            len += 1;
        }
        let text = &self.text[self.at..self.at + len];
        let next = at(len);
        if !(next.is_ascii_alphanumeric() || next == b'_') && duration::number(text).is_some() {
            return self.take(Kind::Number, len);
        }
        let len = self.run(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        let text = &self.text[self.at..self.at + len];
        if duration::looks_like(text) {
            return self.take(Kind::Duration, len);
        }
        self.error(self.at, format!("bad number or duration syntax: {}", quoted(text)))
    }

    /// Finds the end of a string and looks at its escapes; what they mean is read later.
    fn string(&mut self, quote: char) -> Result<Token<'a>, LexError> {
        let start = self.at;
        let raw = quote == '`';
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                return self.take(Kind::Text, at + 2);
            }
            if c == '\n' && !raw {
                break;
            }
            if c == '\\' && !raw {
                match chars.next() {
                    Some((
                        _,
                        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '0'..='7' | 'x' | 'u' | 'U',
                    )) => {}
                    Some((_, c)) if c == quote => {}
                    Some((_, c)) => {
                        let reason = format!("unknown escape sequence U+{:04X} '{c}'", c as u32);
                        return self.error(start, reason);
                    }
                    None => return self.error(start, "escape sequence not terminated"),
                }
            }
        }
        self.error(start, if raw { "unterminated raw string" } else { "unterminated quoted string" })
    }
}

/// A character as Go's `%q` prints it; the end of the input is -1, as Prometheus prints it.
fn rune(c: Option<char>) -> String {
    match c {
        Some('\'') => "'\\''".into(),
        Some('"') => "'\"'".into(),
        Some(c) => format!("'{}'", quoted(&c.to_string()).trim_matches('"')),
        None => "'\u{fffd}'".into(),
    }
}
