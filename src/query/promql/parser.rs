//! From tokens to the tree.

use std::cell::Cell;
use std::sync::Arc;

use super::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Duration, Expr, Many, Matching, Node, Reach, Selector,
    Shift, Span, Subquery,
};
use super::duration_expr::starts_duration;
use super::functions::Function;
use super::lex::{Kind, LexError, Lexer, Token};
use super::{check, duration, strings};
use crate::query::labels::METRIC_NAME;
use crate::query::number::quoted;
use crate::series::selector::{Matcher, Op};

/// Longest query, in bytes. Grafana's queries are a few kilobytes; a list of thousands of instances is a hundred.
pub const MAX_TEXT: usize = 1 << 20;
/// Deepest tree, so also the longest chain of operators. A test evaluates one on a thread with 2 MiB of stack.
pub const MAX_DEPTH: usize = 250;
/// Deepest nesting of parentheses, calls and right-hand sides, which take more stack to parse than a chain.
pub const MAX_NESTING: usize = 100;
/// Most bytes of the regular expressions of one query. Grafana joins the values of a variable into one pattern.
const MAX_PATTERNS: usize = 128 << 10;
/// Largest compiled regular expression, in bytes: what a list of the allowed length takes.
const MAX_COMPILED: usize = 16 << 20;

/// Why a query was refused, in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: parse error: {reason}")]
pub struct ParseError {
    /// `line:column`, both from 1, columns in bytes.
    pub position: String,
    /// What is wrong.
    pub reason: String,
}

/// Where a byte of a query stands, as `line:column`.
#[must_use]
pub(crate) fn position(query: &str, at: usize) -> String {
    if query.is_empty() {
        return "unknown position".into();
    }
    let before = &query.as_bytes()[..at.min(query.len())];
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let column = before.iter().rposition(|&b| b == b'\n').map_or(at + 1, |newline| at - newline);
    format!("{line}:{column}")
}

/// Parses and checks an expression.
///
/// # Errors
/// The first fault of the text.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    located(query, |parser| {
        if parser.token.kind == Kind::End {
            return Err(Fault { at: 0, reason: "no expression found in input".into() });
        }
        let (expr, _) = parser.expr(0)?;
        parser.end()?;
        check::check(&expr).map_err(|(span, reason)| Fault { at: span.start, reason })?;
        Ok(expr)
    })
}

/// The text with one space between its tokens, and without comments; up to where it cannot be read. Parses as `query` does.
#[must_use]
pub fn normalised(query: &str) -> String {
    let mut lexer = Lexer::new(query);
    let mut out = String::with_capacity(query.len());
    while let Ok(token) = lexer.next()
        && token.kind != Kind::End
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(token.text);
    }
    out
}

/// Parses a selector as `match[]` parameters have it: no modifiers, no range. One that would select everything is taken,
/// unlike in an expression; what that means is for who asks.
///
/// # Errors
/// The first fault of the text.
pub fn parse_selector(text: &str) -> Result<Arc<[Matcher]>, ParseError> {
    located(text, |parser| {
        let (selector, _) = parser.selector()?;
        parser.end()?;
        Ok(selector.matchers)
    })
}

fn located<T>(text: &str, parse: impl FnOnce(&mut Parser<'_>) -> Result<T, Fault>) -> Result<T, ParseError> {
    let run = || {
        if text.len() > MAX_TEXT {
            return Err(Fault { at: 0, reason: format!("query has more than {MAX_TEXT} bytes") });
        }
        let mut lexer = Lexer::new(text);
        let token = lexer.next()?;
        parse(&mut Parser { lexer, token, last_end: 0, depth: 0, patterns: 0, anywhere: Cell::new(false) })
    };
    run().map_err(|fault| ParseError { position: position(text, fault.at), reason: fault.reason })
}

/// A fault and the byte where it is.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: String,
}

impl From<LexError> for Fault {
    fn from(error: LexError) -> Self {
        Fault { at: error.at, reason: error.reason }
    }
}

pub(super) type Parsed<T> = Result<T, Fault>;

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The next token.
    pub(super) token: Token<'a>,
    /// End of the token before it.
    pub(super) last_end: usize,
    pub(super) depth: usize,
    patterns: usize,
    /// The fault names no part of the language, so the innermost aggregation around it says that it is there.
    anywhere: Cell<bool>,
}

impl<'a> Parser<'a> {
    pub(super) fn advance(&mut self) -> Parsed<Token<'a>> {
        let token = self.token;
        self.last_end = token.span.end;
        self.token = self.lexer.next()?;
        Ok(token)
    }

    pub(super) fn eat(&mut self, kind: Kind) -> Parsed<bool> {
        let found = self.token.kind == kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> Parsed<bool> {
        let found = self.token.is(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, kind: Kind, context: &str, expected: &str) -> Parsed<Token<'a>> {
        if self.token.kind == kind { self.advance() } else { Err(self.unexpected(context, expected)) }
    }

    fn end(&mut self) -> Parsed<()> {
        if self.token.kind == Kind::End { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    pub(super) fn unexpected(&self, context: &str, expected: &str) -> Fault {
        let mut reason = format!("unexpected {}", self.token.describe());
        self.anywhere.set(context.is_empty());
        if !context.is_empty() {
            reason += " in ";
            reason += context;
        }
        if !expected.is_empty() {
            reason += ", expected ";
            reason += expected;
        }
        Fault { at: self.token.span.start, reason }
    }

    /// An expression whose operators bind tighter than `floor`, and the depth of its tree.
    fn expr(&mut self, floor: u8) -> Parsed<(Expr, usize)> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(self.too_deep());
        }
        let (mut lhs, mut depth) = self.prefix()?;
        while let Some(op) = binary_op(&self.token) {
            let precedence = op.precedence();
            if precedence <= floor {
                break;
            }
            self.advance()?;
            let (bool, matching) = self.modifiers()?;
            // `^` binds to the right, all others to the left.
            let (rhs, right) = self.expr(if op == BinaryOp::Pow { precedence - 1 } else { precedence })?;
            depth = depth.max(right) + 1;
            if depth > MAX_DEPTH {
                return Err(self.too_deep());
            }
            let span = Span { start: lhs.span.start, end: rhs.span.end };
            lhs = Expr { node: Node::Binary(Box::new(Binary { op, lhs, rhs, bool, matching })), span };
        }
        self.depth -= 1;
        Ok((lhs, depth))
    }

    pub(super) fn too_deep(&self) -> Fault {
        Fault { at: self.token.span.start, reason: "expression is nested too many levels deep".into() }
    }

    /// Signs, which bind as tightly as `*`, then a primary expression.
    fn prefix(&mut self) -> Parsed<(Expr, usize)> {
        let minus = self.token.is("-");
        if !minus && !self.token.is("+") {
            let (expr, depth) = self.primary()?;
            return Ok((self.postfix(expr)?, depth));
        }
        let start = self.advance()?.span.start;
        let (mut inner, depth) = self.expr(BinaryOp::Mul.precedence())?;
        let span = Span { start, end: inner.span.end };
        if let Node::Number(value) = &mut inner.node {
            if minus {
                *value = -*value;
            }
            inner.span = span;
            return Ok((inner, depth));
        }
        let inner = Box::new(inner);
        Ok((Expr { node: if minus { Node::Negate(inner) } else { Node::Plus(inner) }, span }, depth + 1))
    }

    fn primary(&mut self) -> Parsed<(Expr, usize)> {
        let start = self.token.span.start;
        let mut depth = 1;
        let node = match self.token.kind {
            Kind::Number | Kind::Duration => Node::Number(self.seconds()?),
            Kind::Text => Node::Text(self.bytes()?.into()),
            Kind::LeftParen => {
                self.advance()?;
                let (inner, below) = self.expr(0)?;
                depth += below;
                self.expect(Kind::RightParen, "", "")?;
                Node::Paren(Box::new(inner))
            }
            Kind::LeftBrace | Kind::MetricIdentifier => Node::Selector(self.selector()?.0),
            Kind::Identifier | Kind::Preprocessor => {
                let word = self.advance()?;
                if self.token.kind == Kind::LeftParen {
                    let (args, below) = self.args()?;
                    depth += below;
                    let lower = word.text.to_ascii_lowercase();
                    let name = if word.kind == Kind::Preprocessor { &*lower } else { word.text };
                    let function = Function::named(name).ok_or_else(|| Fault {
                        at: start,
                        reason: format!("unknown function with name {}", quoted(word.text)),
                    })?;
                    Node::Call(function, args)
                } else {
                    Node::Selector(self.selector_of(Some(word))?)
                }
            }
            Kind::Aggregate(op) => {
                let word = self.advance()?;
                let aggregate =
                    self.token.kind == Kind::LeftParen || self.token.is("by") || self.token.is("without");
                if aggregate {
                    let (aggregate, below) = self.aggregate(op, start)?;
                    depth += below;
                    Node::Aggregate(Box::new(aggregate))
                } else {
                    Node::Selector(self.selector_of(Some(word))?)
                }
            }
            Kind::Operator | Kind::Keyword if names_a_metric(self.token.text) => {
                let word = self.advance()?;
                Node::Selector(self.selector_of(Some(word))?)
            }
            _ => return Err(self.unexpected("", "")),
        };
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        Ok((Expr { node, span: Span { start, end: self.last_end } }, depth))
    }

    /// A number, or a duration in seconds.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn seconds(&mut self) -> Parsed<f64> {
        let token = self.advance()?;
        let fault = |reason| Fault { at: token.span.start, reason };
        if token.kind == Kind::Duration {
            return duration::parse(token.text).map(|ms| ms as f64 / 1000.0).map_err(fault);
        }
        duration::number(token.text).ok_or_else(|| {
            let text = quoted(token.text);
            fault(format!("error parsing number: strconv.ParseFloat: parsing {text}: invalid syntax"))
        })
    }

    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        let token = self.advance()?;
        strings::unquote(token.text).map_err(|reason| Fault {
            at: token.span.start,
            reason: format!("error unquoting string {}: {reason}", quoted(token.text)),
        })
    }

    /// A string that names something, so must be UTF-8.
    fn string(&mut self) -> Parsed<String> {
        let (at, text) = (self.token.span.start, self.token.text);
        String::from_utf8(self.bytes()?)
            .map_err(|_| Fault { at, reason: format!("error unquoting string {}: not UTF-8", quoted(text)) })
    }

    fn args(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(Kind::LeftParen, "", "")?;
        let (mut args, mut depth) = (Vec::new(), 0);
        if self.eat(Kind::RightParen)? {
            return Ok((args, depth));
        }
        loop {
            let (arg, below) = self.expr(0)?;
            args.push(arg);
            depth = depth.max(below);
            let comma = self.token.span.start;
            if !self.eat(Kind::Comma)? {
                self.expect(Kind::RightParen, "", "")?;
                return Ok((args, depth));
            }
            if self.token.kind == Kind::RightParen {
                let reason = "trailing commas not allowed in function call args".into();
                return Err(Fault { at: comma, reason });
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp, start: usize) -> Parsed<(Aggregate, usize)> {
        let mut modifier = self.grouping_modifier()?;
        if self.token.kind != Kind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (mut args, depth) = self.args().map_err(|mut fault| {
            if self.anywhere.take() {
                fault.reason += " in aggregation";
            }
            fault
        })?;
        if modifier.is_none() {
            modifier = self.grouping_modifier()?;
        }
        let fault = |reason| Err(Fault { at: start, reason });
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.is_empty() {
            return fault("no arguments for aggregate expression provided".into());
        }
        if args.len() != wanted {
            return fault(format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            ));
        }
        let expr = args.pop().expect("there is one argument or two");
        let (without, labels) = modifier.unwrap_or_default();
        Ok((Aggregate { op, without, labels, param: args.pop(), expr }, depth))
    }

    fn grouping_modifier(&mut self) -> Parsed<Option<(bool, Vec<Arc<str>>)>> {
        let without = self.token.is("without");
        if !without && !self.token.is("by") {
            return Ok(None);
        }
        self.advance()?;
        let mut labels = self.grouping()?;
        labels.sort();
        labels.dedup();
        Ok(Some((without, labels)))
    }

    /// `(label, "label", …)`.
    fn grouping(&mut self) -> Parsed<Vec<Arc<str>>> {
        self.expect(Kind::LeftParen, "grouping opts", "\"(\"")?;
        let mut labels = Vec::new();
        loop {
            if self.eat(Kind::RightParen)? {
                return Ok(labels);
            }
            let is_label = match self.token.kind {
                Kind::Text => true,
                Kind::End | Kind::MetricIdentifier => false,
                _ => crate::series::key::is_legacy_label(self.token.text),
            };
            if !is_label {
                return Err(self.unexpected("grouping opts", "label"));
            }
            if self.token.kind == Kind::Text {
                let at = self.token.span.start;
                let label = self.string()?;
                if label.is_empty() {
                    let reason = format!("invalid label name {} in grouping opts", quoted(&label));
                    return Err(Fault { at, reason });
                }
                labels.push(label.into());
            } else {
                labels.push(self.advance()?.text.into());
            }
            if !self.eat(Kind::Comma)? && self.token.kind != Kind::RightParen {
                return Err(self.unexpected("grouping opts", "\",\" or \")\""));
            }
        }
    }

    /// What may stand between a binary operator and its right side.
    fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let bool = self.eat_word("bool")?;
        let mut matching = Matching { on: self.token.is("on"), ..Matching::default() };
        if matching.on || self.token.is("ignoring") {
            self.advance()?;
            matching.labels = self.grouping()?;
            let left = self.token.is("group_left");
            if left || self.token.is("group_right") {
                self.advance()?;
                matching.many = if left { Many::Left } else { Many::Right };
                if self.token.kind == Kind::LeftParen {
                    matching.include = self.grouping()?;
                }
            }
        }
        while self.token.text.to_ascii_lowercase().starts_with("fill") && self.token.kind == Kind::Keyword {
            let word = self.advance()?.text.to_ascii_lowercase();
            self.expect(Kind::LeftParen, "fill modifier", "\"(\"")?;
            let negative = self.token.is("-");
            if negative || self.token.is("+") {
                self.advance()?;
            }
            if self.token.kind != Kind::Number {
                return Err(self.unexpected("fill modifier", "number"));
            }
            let value = self.seconds()?;
            let value = if negative { -value } else { value };
            self.expect(Kind::RightParen, "fill modifier", "\")\"")?;
            if word != "fill_right" {
                matching.fill.0 = Some(value);
            }
            if word != "fill_left" {
                matching.fill.1 = Some(value);
            }
        }
        Ok((bool, matching))
    }

    /// A vector selector without modifiers.
    fn selector(&mut self) -> Parsed<(Selector, Span)> {
        let start = self.token.span.start;
        let named = match self.token.kind {
            Kind::LeftBrace => None,
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) | Kind::Preprocessor => {
                Some(self.advance()?)
            }
            Kind::Operator | Kind::Keyword if names_a_metric(self.token.text) => Some(self.advance()?),
            _ => return Err(self.unexpected("", "")),
        };
        let selector = self.selector_of(named)?;
        Ok((selector, Span { start, end: self.last_end }))
    }

    fn selector_of(&mut self, named: Option<Token<'a>>) -> Parsed<Selector> {
        let mut matchers = Vec::new();
        if self.token.kind == Kind::LeftBrace {
            self.advance()?;
            self.matchers(&mut matchers)?;
        }
        if let Some(token) = named {
            matchers.push(self.matcher(token.span.start, METRIC_NAME, Op::Equal, token.text)?);
        }
        let name = named.map(|token| token.text.into());
        Ok(Selector { name, matchers: matchers.into(), at: Shift::default(), reach: Reach::Plain })
    }

    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        loop {
            if self.eat(Kind::RightBrace)? {
                return Ok(());
            }
            let label_at = self.token.span.start;
            let quoted_name = self.token.kind == Kind::Text;
            let label = match self.token.kind {
                Kind::Identifier => self.advance()?.text.to_owned(),
                Kind::Text => self.string()?,
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            if quoted_name && matches!(self.token.kind, Kind::Comma | Kind::RightBrace) {
                matchers.push(self.matcher(label_at, METRIC_NAME, Op::Equal, &label)?);
            } else {
                let op = match self.token.text {
                    "=" => Op::Equal,
                    "!=" => Op::NotEqual,
                    "=~" => Op::Like,
                    "!~" => Op::NotLike,
                    _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
                };
                self.advance()?;
                if self.token.kind != Kind::Text {
                    return Err(self.unexpected(CONTEXT, "string"));
                }
                let value = self.string()?;
                matchers.push(self.matcher(label_at, &label, op, &value)?);
            }
            if !self.eat(Kind::Comma)? && self.token.kind != Kind::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn matcher(&mut self, at: usize, label: &str, op: Op, value: &str) -> Parsed<Matcher> {
        if matches!(op, Op::Like | Op::NotLike) {
            self.patterns += value.len();
            if self.patterns > MAX_PATTERNS {
                let reason = format!("regular expressions have more than {MAX_PATTERNS} bytes");
                return Err(Fault { at, reason });
            }
        }
        Matcher::bounded(label, op, value, MAX_COMPILED).map_err(|reason| {
            let reason = reason.strip_prefix("bad regular expression: ").unwrap_or(&reason);
            let reason = match reason {
                "unclosed group" => "missing closing )",
                "unopened group" => "unexpected )",
                other => other,
            };
            Fault { at, reason: format!("error parsing regexp: {reason}: `^(?s:{value})$`") }
        })
    }

    /// Ranges, offsets and `@` behind an expression.
    fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let start = expr.span.start;
            let fault = |reason: &str| Err(Fault { at: start, reason: reason.into() });
            if self.token.kind == Kind::LeftBracket {
                expr = self.brackets(expr)?;
            } else if self.token.is("offset") {
                self.advance()?;
                let offset = self.offset()?;
                let Some(shift) = shift_of(&mut expr.node) else {
                    return fault(
                        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                    );
                };
                if shift.offset.is_some() {
                    return fault("offset may not be set multiple times");
                }
                if !matches!(offset, Duration::Fixed(0)) {
                    shift.offset = Some(offset);
                }
            } else if self.token.is("@") {
                self.advance()?;
                let at = self.at_modifier(start)?;
                let Some(shift) = shift_of(&mut expr.node) else {
                    return fault(
                        "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                    );
                };
                if shift.at.replace(at).is_some() {
                    return fault("@ <timestamp> may not be set multiple times");
                }
            } else if self.token.is("anchored") || self.token.is("smoothed") {
                let word = self.advance()?.text.to_ascii_lowercase();
                let reach = if word == "anchored" { Reach::Anchored } else { Reach::Smoothed };
                match &mut expr.node {
                    Node::Selector(selector) | Node::Range(selector, _) if selector.reach == Reach::Plain => {
                        selector.reach = reach;
                    }
                    Node::Selector(selector) | Node::Range(selector, _) if selector.reach == reach => {}
                    Node::Selector(_) | Node::Range(..) => {
                        return fault("anchored and smoothed modifiers cannot be used together");
                    }
                    Node::Subquery(_) => {
                        return fault(&format!("{word} modifier is not supported for subqueries"));
                    }
                    _ => return fault(&format!("{word} modifier not implemented")),
                }
            } else {
                return Ok(expr);
            }
            expr.span.end = self.last_end;
        }
    }

    fn brackets(&mut self, inner: Expr) -> Parsed<Expr> {
        let bracket = self.advance()?.span.start;
        let start = inner.span.start;
        if !starts_duration(&self.token) {
            return Err(self.unexpected("subquery or range selector", "number, duration, step(), or range()"));
        }
        let range = self.duration(true)?;
        if self.eat(Kind::Colon)? {
            let step = if self.token.kind == Kind::RightBracket { None } else { Some(self.duration(true)?) };
            self.expect(Kind::RightBracket, "subquery selector", "\"]\"")?;
            let subquery = Subquery { expr: inner, range, step, at: Shift::default() };
            let span = Span { start, end: self.last_end };
            return Ok(Expr { node: Node::Subquery(Box::new(subquery)), span });
        }
        self.expect(Kind::RightBracket, "subquery or range", "\":\" or \"]\"")?;
        let fault = |reason: &str| Err(Fault { at: bracket, reason: reason.into() });
        let Node::Selector(selector) = inner.node else {
            return fault("ranges only allowed for vector selectors");
        };
        if selector.at.offset.is_some() {
            return fault("no offset modifiers allowed before range");
        }
        if selector.at.at.is_some() {
            return fault("no @ modifiers allowed before range");
        }
        Ok(Expr { node: Node::Range(selector, range), span: Span { start, end: self.last_end } })
    }

    fn at_modifier(&mut self, selector_start: usize) -> Parsed<At> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.eat_word(word)? {
                self.expect(Kind::LeftParen, "@", "timestamp")?;
                self.expect(Kind::RightParen, "@", "timestamp")?;
                return Ok(at);
            }
        }
        let negative = self.token.is("-");
        if negative || self.token.is("+") {
            self.advance()?;
        }
        if !matches!(self.token.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected("@", "timestamp"));
        }
        let seconds = self.seconds()?;
        let seconds = if negative { -seconds } else { seconds };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        if seconds.is_finite() && (seconds * 1000.0).abs() < i64::MAX as f64 {
            return Ok(At::Time((seconds * 1000.0).round() as i64));
        }
        let shown = crate::query::number::plain(seconds);
        Err(Fault { at: selector_start, reason: format!("timestamp out of bounds for @ modifier: {shown}") })
    }
}

fn shift_of(node: &mut Node) -> Option<&mut Shift> {
    match node {
        Node::Selector(selector) | Node::Range(selector, _) => Some(&mut selector.at),
        Node::Subquery(subquery) => Some(&mut subquery.at),
        _ => None,
    }
}

pub(super) fn binary_op(token: &Token<'_>) -> Option<BinaryOp> {
    use BinaryOp::{Add, And, Atan2, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Or, Pow, Sub, Unless};
    const ALL: [BinaryOp; 16] =
        [Add, Sub, Mul, Div, Mod, Pow, Atan2, Eq, Ne, Lt, Le, Gt, Ge, And, Or, Unless];
    if token.kind != Kind::Operator {
        return None;
    }
    ALL.into_iter().find(|op| token.text.eq_ignore_ascii_case(op.as_str()))
}

/// Words of the language that are also taken as metric names.
fn names_a_metric(word: &str) -> bool {
    ["and", "or", "unless", "by", "without", "offset", "anchored", "smoothed"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}
