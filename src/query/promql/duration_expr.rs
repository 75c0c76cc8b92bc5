//! Durations of ranges and offsets, which may be computed: `[5m * 2]`, `offset step()`.

use super::ast::{AggregateOp, BinaryOp, Duration, DurationExpr, Span};
use super::lex::{Kind, Token};
use super::parser::{Fault, MAX_NESTING, Parsed, Parser, binary_op};

impl Parser<'_> {
    /// The duration of an `offset`, which takes operators only inside parentheses.
    pub(super) fn offset(&mut self) -> Parsed<Duration> {
        let start = self.token.span.start;
        let negative = self.token.is("-");
        if negative || self.token.is("+") {
            self.advance()?;
        }
        if !starts_duration(&self.token) || self.token.is("-") || self.token.is("+") {
            return Err(self.unexpected("offset", "number, duration, step(), or range()"));
        }
        let expr = self.duration_primary()?;
        let expr = if negative { DurationExpr::Negate(Box::new(expr)) } else { expr };
        self.finish_duration(expr, Span { start, end: self.last_end }, false)
    }

    /// A whole duration expression; `positive` refuses what is known to be zero or less.
    pub(super) fn duration(&mut self, positive: bool) -> Parsed<Duration> {
        let start = self.token.span.start;
        let expr = self.duration_expr(0)?;
        self.finish_duration(expr, Span { start, end: self.last_end }, positive)
    }

    fn finish_duration(&self, expr: DurationExpr, span: Span, positive: bool) -> Parsed<Duration> {
        let _ = self;
        let Some(seconds) = expr.constant() else { return Ok(Duration::Computed(Box::new(expr), span)) };
        let fault = |reason: &str| Err(Fault { at: span.start, reason: reason.into() });
        if positive && seconds <= 0.0 {
            return fault("duration must be greater than 0");
        }
        match duration_millis(seconds) {
            Some(ms) => Ok(Duration::Fixed(ms)),
            None => fault("duration out of range"),
        }
    }

    fn duration_expr(&mut self, floor: u8) -> Parsed<DurationExpr> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(self.too_deep());
        }
        let mut lhs = if self.eat_word("-")? {
            DurationExpr::Negate(Box::new(self.duration_expr(BinaryOp::Mul.precedence())?))
        } else {
            self.eat_word("+")?;
            self.duration_primary()?
        };
        let mut chain = 0;
        while let Some(op) = binary_op(&self.token).filter(|op| {
            use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
            matches!(op, Add | Sub | Mul | Div | Mod | Pow)
        }) {
            let precedence = op.precedence();
            chain += 1;
            if precedence <= floor {
                break;
            }
            if chain > MAX_NESTING {
                return Err(self.too_deep());
            }
            self.advance()?;
            let rhs = self.duration_expr(if op == BinaryOp::Pow { precedence - 1 } else { precedence })?;
            lhs = DurationExpr::Binary(op, Box::new((lhs, rhs)));
        }
        self.depth -= 1;
        Ok(lhs)
    }

    fn duration_primary(&mut self) -> Parsed<DurationExpr> {
        const EXPECTED: &str = "number, duration, step(), or range()";
        match self.token.kind {
            Kind::Number | Kind::Duration => Ok(DurationExpr::Number(self.seconds()?)),
            Kind::LeftParen => {
                self.advance()?;
                let inner = self.duration_expr(0)?;
                self.expect(Kind::RightParen, "duration expression", "\")\"")?;
                Ok(inner)
            }
            Kind::Preprocessor if self.token.is("step") || self.token.is("range") => {
                let step = self.advance()?.text.eq_ignore_ascii_case("step");
                self.expect(Kind::LeftParen, "duration expression", "\"(\"")?;
                self.expect(Kind::RightParen, "duration expression", "\")\"")?;
                Ok(if step { DurationExpr::Step } else { DurationExpr::Range })
            }
            Kind::Aggregate(op @ (AggregateOp::Min | AggregateOp::Max)) => {
                self.advance()?;
                self.expect(Kind::LeftParen, "duration expression", "\"(\"")?;
                let left = self.duration_expr(0)?;
                self.expect(Kind::Comma, "duration expression", "\",\"")?;
                let right = self.duration_expr(0)?;
                self.expect(Kind::RightParen, "duration expression", "\")\"")?;
                let both = Box::new((left, right));
                Ok(if op == AggregateOp::Min { DurationExpr::Min(both) } else { DurationExpr::Max(both) })
            }
            _ => Err(self.unexpected("duration expression", EXPECTED)),
        }
    }
}

/// Seconds as milliseconds, by way of whole nanoseconds as in Prometheus; `None` beyond 292 years.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(crate) fn duration_millis(seconds: f64) -> Option<i64> {
    let nanos = (seconds * 1e9).round();
    (nanos.abs() < i64::MAX as f64).then_some(nanos as i64 / 1_000_000)
}

pub(super) fn starts_duration(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Number | Kind::Duration | Kind::LeftParen => true,
        Kind::Aggregate(op) => matches!(op, AggregateOp::Min | AggregateOp::Max),
        Kind::Preprocessor => token.is("step") || token.is("range"),
        _ => token.is("-") || token.is("+"),
    }
}
