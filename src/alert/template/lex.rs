//! Words of a template: text outside the braces, and what stands inside them.

use super::MAX_TEXT;

/// A word and the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What a word is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Between actions, trimmed as they ask for.
    Outside(String),
    Open,
    Close,
    Space,
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    Assign,
    Declare,
    Bool(bool),
    Nil,
    Dot,
    /// `'a'`.
    Char(i64),
    Text(String),
    /// As written.
    Number(String),
    Name(String),
    /// `.x`, without the dot.
    Field(String),
    /// `$x`, with the dollar.
    Variable(String),
    Keyword(Keyword),
    /// The end of the template.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A fault: byte and message.
pub(super) type Fault = (usize, String);

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template. The last token is [`Kind::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Fault> {
    if text.len() > MAX_TEXT {
        return Err((0, format!("longer than {MAX_TEXT} bytes")));
    }
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.all()?;
    lexer.push(text.len(), Kind::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, at: usize, kind: Kind) {
        self.tokens.push(Token { at, kind });
    }

    fn all(&mut self) -> Result<(), Fault> {
        let mut trim_left = false;
        loop {
            let (start, rest) = (self.at, self.rest());
            let open = rest.find("{{");
            let mut outside = &rest[..open.unwrap_or(rest.len())];
            if trim_left {
                outside = outside.trim_start_matches(SPACE);
            }
            let trim_right = open.is_some_and(|open| {
                let mut marker = rest[open + 2..].chars();
                marker.next() == Some('-') && marker.next().is_some_and(|c| SPACE.contains(&c))
            });
            if trim_right {
                outside = outside.trim_end_matches(SPACE);
            }
            if !outside.is_empty() {
                self.push(start, Kind::Outside(outside.to_owned()));
            }
            let Some(open) = open else {
                self.at = self.text.len();
                return Ok(());
            };
            let begin = start + open;
            self.at = begin + 2 + if trim_right { 2 } else { 0 };
            trim_left = if self.rest().starts_with("/*") {
                self.comment(begin)?
            } else {
                self.push(begin, Kind::Open);
                self.action(begin)?
            };
        }
    }

    /// Length of the closing braces if they stand here, and whether they trim what follows.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        let trims = rest.starts_with(SPACE) && rest[1..].starts_with("-}}");
        trims.then_some((4, true))
    }

    fn comment(&mut self, begin: usize) -> Result<bool, Fault> {
        let end = self.rest().find("*/").ok_or_else(|| (begin, "unclosed comment".to_owned()))?;
        self.at += end + 2;
        let (length, trims) =
            self.close().ok_or_else(|| (self.at, "comment ends before closing delimiter".to_owned()))?;
        self.at += length;
        Ok(trims)
    }

    /// What is inside the braces, and whether its end trims what follows.
    fn action(&mut self, begin: usize) -> Result<bool, Fault> {
        let mut parens = 0usize;
        loop {
            let at = self.at;
            if let Some((length, trims)) = self.close() {
                if parens > 0 {
                    return Err((at, "unclosed left paren".into()));
                }
                self.push(at, Kind::Close);
                self.at += length;
                return Ok(trims);
            }
            let Some(c) = self.rest().chars().next() else {
                return Err((begin, "unclosed action".into()));
            };
            if SPACE.contains(&c) {
                // The last space may belong to the end: ` -}}`.
                while self.rest().starts_with(SPACE) && self.close().is_none() {
                    self.at += 1;
                }
                self.push(at, Kind::Space);
                continue;
            }
            let kind = match c {
                '=' => self.take(1, Kind::Assign),
                ':' if self.rest().starts_with(":=") => self.take(2, Kind::Declare),
                ':' => return Err((at, "expected :=".into())),
                '|' => self.take(1, Kind::Pipe),
                ',' => self.take(1, Kind::Comma),
                '(' => {
                    parens += 1;
                    self.take(1, Kind::LeftParen)
                }
                ')' => {
                    parens =
                        parens.checked_sub(1).ok_or_else(|| (at, "unexpected right paren".to_owned()))?;
                    self.take(1, Kind::RightParen)
                }
                '"' => self.quoted()?,
                '`' => {
                    let body = &self.rest()[1..];
                    let end =
                        body.find('`').ok_or_else(|| (at, "unterminated raw quoted string".to_owned()))?;
                    // As in Go, carriage returns are no part of it.
                    self.take(end + 2, Kind::Text(body[..end].replace('\r', "")))
                }
                '\'' => self.character()?,
                '$' => {
                    let name = self.word(1);
                    self.terminated()?;
                    Kind::Variable(name)
                }
                '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let name = self.word(1);
                    self.terminated()?;
                    if name.len() == 1 { Kind::Dot } else { Kind::Field(name[1..].to_owned()) }
                }
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                c if is_word(c) => {
                    let name = self.word(0);
                    self.terminated()?;
                    named(name)
                }
                c => return Err((at, format!("unexpected {c:?} in an action"))),
            };
            self.push(at, kind);
        }
    }

    fn take(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    /// The word that begins here, its first `skip` bytes whatever they are.
    fn word(&mut self, skip: usize) -> String {
        let rest = self.rest();
        let end = rest[skip..].find(|c| !is_word(c)).map_or(rest.len(), |end| end + skip);
        self.at += end;
        rest[..end].to_owned()
    }

    /// Behind a word only these may stand.
    fn terminated(&self) -> Result<(), Fault> {
        match self.rest().chars().next() {
            Some(c) if !SPACE.contains(&c) && !".,|:)(=".contains(c) && self.close().is_none() => {
                Err((self.at, format!("bad character {c:?}")))
            }
            _ => Ok(()),
        }
    }

    fn quoted(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let rest = self.rest();
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    self.at += i + 1;
                    let text = unquote(&rest[1..i], '"').map_err(|message| (at, message))?;
                    return Ok(Kind::Text(text));
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err((at, "unterminated quoted string".into()))
    }

    fn character(&mut self) -> Result<Kind, Fault> {
        let (at, rest) = (self.at, self.rest());
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                '\'' if !escaped => {
                    self.at += i + 1;
                    let text = unquote(&rest[1..i], '\'').map_err(|message| (at, message))?;
                    let mut chars = text.chars();
                    return match (chars.next(), chars.next()) {
                        (Some(c), None) => Ok(Kind::Char(i64::from(u32::from(c)))),
                        _ => Err((at, format!("malformed character constant: '{}'", &rest[1..i]))),
                    };
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err((at, "unterminated character constant".into()))
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let (at, rest) = (self.at, self.rest());
        let bytes = rest.as_bytes();
        let mut end = usize::from(matches!(bytes[0], b'+' | b'-'));
        let hex = bytes.get(end) == Some(&b'0') && matches!(bytes.get(end + 1), Some(b'x' | b'X'));
        while let Some(&b) = bytes.get(end) {
            let exponent = |b: u8| if hex { matches!(b, b'p' | b'P') } else { matches!(b, b'e' | b'E') };
            let sign = matches!(b, b'+' | b'-') && exponent(bytes[end - 1]);
            if !(b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || sign) {
                break;
            }
            end += 1;
        }
        if rest[end..].starts_with(is_word) {
            return Err((at, format!("bad number syntax: {:?}", &rest[..end])));
        }
        self.at += end;
        Ok(Kind::Number(rest[..end].to_owned()))
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn named(name: String) -> Kind {
    Kind::Keyword(match &*name {
        "block" => Keyword::Block,
        "break" => Keyword::Break,
        "continue" => Keyword::Continue,
        "define" => Keyword::Define,
        "else" => Keyword::Else,
        "end" => Keyword::End,
        "if" => Keyword::If,
        "range" => Keyword::Range,
        "template" => Keyword::Template,
        "with" => Keyword::With,
        "nil" => return Kind::Nil,
        "true" => return Kind::Bool(true),
        "false" => return Kind::Bool(false),
        _ => return Kind::Name(name),
    })
}

/// The text that a Go literal means. Bytes by `\x` and octal escapes that are not UTF-8 become U+FFFD.
fn unquote(body: &str, quote: char) -> Result<String, String> {
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    let fault = || format!("invalid escape in {quote}{body}{quote}");
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let next = chars.next();
        let mut digits = |first: Option<char>, count: usize, radix: u32| -> Result<u32, String> {
            let mut value = first.map_or(Some(0), |c| c.to_digit(radix));
            for _ in 0..count {
                let digit = chars.next().and_then(|c| c.to_digit(radix));
                value =
                    value.zip(digit).and_then(|(value, digit)| value.checked_mul(radix)?.checked_add(digit));
            }
            value.ok_or_else(fault)
        };
        let (code, is_byte) = match next {
            Some('a') => (7, true),
            Some('b') => (8, true),
            Some('f') => (12, true),
            Some('n') => (10, true),
            Some('r') => (13, true),
            Some('t') => (9, true),
            Some('v') => (11, true),
            Some('\\') => (u32::from(b'\\'), true),
            Some(c) if c == quote => (u32::from(c), true),
            Some('x') => (digits(None, 2, 16)?, quote == '"'),
            Some('u') => (digits(None, 4, 16)?, false),
            Some('U') => (digits(None, 8, 16)?, false),
            Some(c @ '0'..='7') => (digits(Some(c), 2, 8)?, quote == '"'),
            _ => return Err(fault()),
        };
        match (is_byte, u8::try_from(code)) {
            (true, Ok(byte)) => out.push(byte),
            _ => {
                let c = char::from_u32(code).ok_or_else(fault)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
