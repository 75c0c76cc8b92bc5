//! The tree of a template.

use std::collections::HashMap;

use super::functions::{self, Function};
use super::lex::{Fault, Keyword, Kind, Token, lex};
use super::{TemplateError, Value};

/// Deepest nesting of actions and parentheses.
const MAX_DEPTH: usize = 64;

/// A template with those that it defines.
#[derive(Debug)]
pub(super) struct Parsed {
    text: String,
    pub(super) root: Vec<Node>,
    pub(super) defined: HashMap<String, Vec<Node>>,
    /// The variables that are given from outside.
    pub(super) variables: Vec<String>,
}

impl Parsed {
    /// The text, if there is nothing to be filled in.
    pub(super) fn plain(&self) -> Option<&str> {
        match &*self.root {
            [] => Some(""),
            [Node { kind: NodeKind::Text(text), .. }] => Some(text),
            _ => None,
        }
    }

    /// A fault with its place in the text.
    pub(super) fn error(&self, fault: Fault) -> TemplateError {
        error(&self.text, fault)
    }
}

fn error(text: &str, (at, message): Fault) -> TemplateError {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    TemplateError { line, column, message }
}

/// A piece of a template and the byte at which it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Text(String),
    Action(Pipe),
    If(Branch),
    Range(Branch),
    With(Branch),
    Template(String, Option<Pipe>),
    Break,
    Continue,
}

/// A condition with what is done then and else.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each given the value of the one before, and the variables that take the last value.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or a value, and arguments; never empty.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) what: What,
    /// `.a.b` behind it.
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
pub(super) enum What {
    /// `.`, also before a field.
    Dot,
    Nil,
    Constant(Value),
    Function(&'static Function),
    Variable(String),
    Pipe(Pipe),
}

/// Reads a template that is given these variables.
pub(super) fn parse(text: &str, variables: &[&str]) -> Result<Parsed, TemplateError> {
    let variables: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
    let read = || -> Result<_, Fault> {
        let mut parser = Parser {
            tokens: lex(text)?,
            next: 0,
            variables: std::iter::once("$".to_owned()).chain(variables.iter().cloned()).collect(),
            defined: HashMap::new(),
            depth: 0,
            ranges: 0,
        };
        let root = parser.top()?;
        Ok((root, parser.defined))
    };
    let (root, defined) = read().map_err(|fault| error(text, fault))?;
    Ok(Parsed { text: text.to_owned(), root, defined, variables })
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Ending {
    Text,
    End,
    Else,
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    defined: HashMap<String, Vec<Node>>,
    depth: usize,
    ranges: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is the end and is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn unexpected<T>(token: &Token, context: &str) -> Result<T, Fault> {
        let shown = match &token.kind {
            Kind::Outside(_) => "text".into(),
            Kind::Open => "\"{{\"".into(),
            Kind::Close => "\"}}\"".into(),
            Kind::Space => "space".into(),
            Kind::Pipe => "\"|\"".into(),
            Kind::LeftParen => "\"(\"".into(),
            Kind::RightParen => "\")\"".into(),
            Kind::Comma => "\",\"".into(),
            Kind::Assign => "\"=\"".into(),
            Kind::Declare => "\":=\"".into(),
            Kind::Bool(b) => format!("\"{b}\""),
            Kind::Nil => "\"nil\"".into(),
            Kind::Dot => "\".\"".into(),
            Kind::Char(_) => "character".into(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Number(text) | Kind::Name(text) | Kind::Variable(text) => format!("{text:?}"),
            Kind::Field(text) => format!("\".{text}\""),
            Kind::Keyword(word) => format!("{{{{{}}}}}", format!("{word:?}").to_lowercase()),
            Kind::End => "end of the template".into(),
        };
        Err((token.at, format!("unexpected {shown} in {context}")))
    }

    fn deeper<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err((at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The whole: definitions stand here and nowhere else.
    fn top(&mut self) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        loop {
            if self.keyword_after_open() == Some(Keyword::Define) {
                let at = self.peek().at;
                self.next += 1;
                self.skip_space();
                self.next += 1;
                let name = self.name("define clause")?;
                self.close("define clause")?;
                self.define(at, name)?;
                continue;
            }
            match self.node(&mut nodes)? {
                None => {}
                Some((Ending::Text, _)) => return Ok(nodes),
                Some((Ending::End, at)) => return Err((at, "unexpected {{end}}".into())),
                Some((Ending::Else, at)) => return Err((at, "unexpected {{else}}".into())),
            }
        }
    }

    fn keyword_after_open(&self) -> Option<Keyword> {
        let mut rest = self.tokens[self.next.min(self.tokens.len())..].iter();
        if rest.next()?.kind != Kind::Open {
            return None;
        }
        match rest.find(|token| token.kind != Kind::Space)?.kind {
            Kind::Keyword(word) => Some(word),
            _ => None,
        }
    }

    /// The body of a template with a name; it sees no variables but `$`.
    fn define(&mut self, at: usize, name: String) -> Result<(), Fault> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ending, end) = self.deeper(at, |parser| parser.list(at))?;
        if ending != Ending::End {
            return Err((end, "unexpected {{else}} in define clause".into()));
        }
        (self.variables, self.ranges) = (outside, ranges);
        let is_empty = |body: &[Node]| {
            body.iter().all(|node| matches!(&node.kind, NodeKind::Text(text) if text.trim().is_empty()))
        };
        match self.defined.get(&name) {
            Some(known) if !is_empty(known) && !is_empty(&body) => {
                Err((at, format!("multiple definition of template {name:?}")))
            }
            Some(known) if !is_empty(known) => Ok(()),
            _ => {
                self.defined.insert(name, body);
                Ok(())
            }
        }
    }

    /// Nodes up to `{{end}}` or `{{else}}`; what opened stands at `at`.
    fn list(&mut self, at: usize) -> Result<(Vec<Node>, Ending, usize), Fault> {
        let mut nodes = Vec::new();
        loop {
            match self.node(&mut nodes)? {
                None => {}
                Some((Ending::Text, _)) => return Err((at, "this is not closed by {{end}}".into())),
                Some((ending, at)) => return Ok((nodes, ending, at)),
            }
        }
    }

    /// One more node, or what ends the list and where.
    fn node(&mut self, nodes: &mut Vec<Node>) -> Result<Option<(Ending, usize)>, Fault> {
        let token = self.take();
        let at = token.at;
        let kind = match token.kind {
            Kind::End => return Ok(Some((Ending::Text, at))),
            Kind::Outside(text) => NodeKind::Text(text),
            Kind::Open => {
                self.skip_space();
                let Kind::Keyword(word) = self.peek().kind else {
                    let pipe = self.pipe("command", &Kind::Close)?;
                    nodes.push(Node { at, kind: NodeKind::Action(pipe) });
                    return Ok(None);
                };
                let token = self.take();
                match word {
                    Keyword::If => NodeKind::If(self.branch(at, word)?),
                    Keyword::With => NodeKind::With(self.branch(at, word)?),
                    Keyword::Range => NodeKind::Range(self.branch(at, word)?),
                    Keyword::End => {
                        self.close("end")?;
                        return Ok(Some((Ending::End, at)));
                    }
                    Keyword::Else => {
                        // `else if` and `else with` are read by who opened.
                        self.skip_space();
                        if !matches!(self.peek().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
                            self.close("else")?;
                        }
                        return Ok(Some((Ending::Else, at)));
                    }
                    Keyword::Break | Keyword::Continue => {
                        let name = if word == Keyword::Break { "break" } else { "continue" };
                        if self.ranges == 0 {
                            return Err((at, format!("{{{{{name}}}}} outside {{{{range}}}}")));
                        }
                        self.close(name)?;
                        if word == Keyword::Break { NodeKind::Break } else { NodeKind::Continue }
                    }
                    Keyword::Template => {
                        let name = self.name("template clause")?;
                        NodeKind::Template(name, self.optional_pipe("template clause")?)
                    }
                    Keyword::Block => {
                        let name = self.name("block clause")?;
                        let pipe = self.pipe("block clause", &Kind::Close)?;
                        self.define(at, name.clone())?;
                        NodeKind::Template(name, Some(pipe))
                    }
                    Keyword::Define => return Self::unexpected(&token, "command"),
                }
            }
            _ => return Self::unexpected(&token, "input"),
        };
        nodes.push(Node { at, kind });
        Ok(None)
    }

    fn branch(&mut self, at: usize, word: Keyword) -> Result<Branch, Fault> {
        self.deeper(at, |parser| parser.branch_within(at, word))
    }

    fn branch_within(&mut self, at: usize, word: Keyword) -> Result<Branch, Fault> {
        let context = match word {
            Keyword::If => "if",
            Keyword::Range => "range",
            _ => "with",
        };
        let known = self.variables.len();
        let pipe = self.pipe(context, &Kind::Close)?;
        self.ranges += usize::from(word == Keyword::Range);
        let (then, ending, end) = self.list(at)?;
        self.ranges -= usize::from(word == Keyword::Range);
        let mut otherwise = Vec::new();
        if ending == Ending::Else {
            if let Kind::Keyword(inner) = self.peek().kind {
                if inner != word || word == Keyword::Range {
                    return Err((end, format!("unexpected {{{{else …}}}} in {context}")));
                }
                self.next += 1;
                let branch = self.branch(end, word)?;
                let kind = if word == Keyword::If { NodeKind::If(branch) } else { NodeKind::With(branch) };
                // It has taken the {{end}} of both.
                otherwise.push(Node { at: end, kind });
            } else {
                let (nodes, ending, end) = self.list(at)?;
                if ending != Ending::End {
                    return Err((end, "expected end; found {{else}}".into()));
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(known);
        Ok(Branch { pipe, then, otherwise })
    }

    fn close(&mut self, context: &str) -> Result<(), Fault> {
        self.skip_space();
        let token = self.take();
        if token.kind == Kind::Close { Ok(()) } else { Self::unexpected(&token, context) }
    }

    fn name(&mut self, context: &str) -> Result<String, Fault> {
        self.skip_space();
        let token = self.take();
        match token.kind {
            Kind::Text(text) => Ok(text),
            _ => Self::unexpected(&token, context),
        }
    }

    fn optional_pipe(&mut self, context: &str) -> Result<Option<Pipe>, Fault> {
        self.skip_space();
        if self.peek().kind == Kind::Close {
            self.next += 1;
            return Ok(None);
        }
        self.pipe(context, &Kind::Close).map(Some)
    }

    /// A pipe and what closes it.
    fn pipe(&mut self, context: &str, end: &Kind) -> Result<Pipe, Fault> {
        let mut pipe = Pipe { variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.skip_space();
        let begin = self.peek().at;
        while let Kind::Variable(name) = self.peek().kind.clone() {
            let back = self.next;
            self.next += 1;
            self.skip_space();
            match self.peek().kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = self.take().kind == Kind::Assign;
                    pipe.variables.push(name.clone());
                    self.variables.push(name);
                    break;
                }
                Kind::Comma if context == "range" && pipe.variables.is_empty() => {
                    self.next += 1;
                    self.skip_space();
                    if !matches!(self.peek().kind, Kind::Variable(_)) {
                        return Err((self.peek().at, "range can only initialize variables".into()));
                    }
                    pipe.variables.push(name.clone());
                    self.variables.push(name);
                }
                Kind::Comma => return Err((self.peek().at, format!("too many declarations in {context}"))),
                _ if pipe.variables.is_empty() => {
                    self.next = back;
                    break;
                }
                _ => return Self::unexpected(self.peek(), context),
            }
        }
        loop {
            self.skip_space();
            let token = self.peek().clone();
            if token.kind == *end {
                self.next += 1;
                let Some(first) = pipe.commands.first() else {
                    return Err((begin, format!("missing value for {context}")));
                };
                debug_assert!(!first.operands.is_empty());
                for (stage, command) in pipe.commands.iter().enumerate().skip(1) {
                    let operand = &command.operands[0];
                    if operand.fields.is_empty()
                        && matches!(operand.what, What::Constant(_) | What::Dot | What::Nil)
                    {
                        let stage = stage + 1;
                        return Err((
                            operand.at,
                            format!("non executable command in pipeline stage {stage}"),
                        ));
                    }
                }
                return Ok(pipe);
            }
            match token.kind {
                Kind::Bool(_)
                | Kind::Char(_)
                | Kind::Dot
                | Kind::Field(_)
                | Kind::Name(_)
                | Kind::Number(_)
                | Kind::Nil
                | Kind::Text(_)
                | Kind::Variable(_)
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => return Self::unexpected(&token, context),
            }
        }
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.peek().kind {
                Kind::Space => {}
                Kind::Close | Kind::RightParen => break,
                Kind::Pipe => {
                    // As in Go, nothing need follow.
                    self.next += 1;
                    break;
                }
                _ => return Self::unexpected(self.peek(), "operand"),
            }
        }
        if operands.is_empty() {
            Err((self.peek().at, "empty command".into()))
        } else {
            Ok(Command { operands })
        }
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let token = self.peek().clone();
        let at = token.at;
        let mut fields = Vec::new();
        let what = match token.kind {
            Kind::Name(name) => match functions::find(&name) {
                Some(function) => What::Function(function),
                None => return Err((at, functions::unknown(&name))),
            },
            Kind::Dot => What::Dot,
            Kind::Nil => What::Nil,
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err((at, format!("undefined variable {name:?}")));
                }
                What::Variable(name)
            }
            Kind::Field(name) => {
                fields.push(name);
                What::Dot
            }
            Kind::Bool(b) => What::Constant(Value::Bool(b)),
            Kind::Char(c) => What::Constant(Value::Int(c)),
            Kind::Number(text) => What::Constant(number(&text).map_err(|message| (at, message))?),
            Kind::Text(text) => What::Constant(Value::text(text)),
            Kind::LeftParen => {
                self.next += 1;
                let pipe =
                    self.deeper(at, |parser| parser.pipe("parenthesized pipeline", &Kind::RightParen))?;
                self.next -= 1;
                What::Pipe(pipe)
            }
            _ => return Ok(None),
        };
        self.next += 1;
        while let Kind::Field(name) = self.peek().kind.clone() {
            let bare = fields.is_empty() && matches!(what, What::Dot | What::Nil | What::Constant(_));
            if bare {
                return Err((self.peek().at, "unexpected . after a term".into()));
            }
            fields.push(name);
            self.next += 1;
        }
        Ok(Some(Operand { at, what, fields }))
    }
}

/// A number as Go's constants are: whole where it is written so.
fn number(text: &str) -> Result<Value, String> {
    let fault = || format!("bad number syntax: {text:?}");
    let (sign, bare) = match text.as_bytes().first() {
        Some(b'-') => (-1i128, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if bare.ends_with('i') && !bare.starts_with("0x") && !bare.starts_with("0X") {
        return Err(format!("complex numbers such as {text:?} are not supported"));
    }
    let (radix, digits) = match bare.get(..2).map(str::to_lowercase).as_deref() {
        Some("0x") => (16, &bare[2..]),
        Some("0o") => (8, &bare[2..]),
        Some("0b") => (2, &bare[2..]),
        _ if bare.len() > 1
            && bare.starts_with('0')
            && bare.bytes().all(|b| b.is_ascii_digit() || b == b'_') =>
        {
            (8, &bare[1..])
        }
        _ => (10, bare),
    };
    let plain = digits.replace('_', "");
    let misplaced =
        digits.ends_with('_') || digits.contains("__") || (radix == 10 && digits.starts_with('_'));
    if misplaced || plain.is_empty() || plain.starts_with(['+', '-']) {
        return Err(fault());
    }
    if let Ok(value) = i128::from_str_radix(&plain, radix) {
        return i64::try_from(sign * value)
            .map(Value::Int)
            .map_err(|_| format!("integer overflow: {text:?}"));
    }
    if radix != 10 || !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(fault());
    }
    let value: f64 = plain.parse().map_err(|_| fault())?;
    if value.is_infinite() {
        return Err(fault());
    }
    Ok(Value::Float(if sign < 0 { -value } else { value }))
}
