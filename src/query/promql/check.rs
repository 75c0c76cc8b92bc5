//! Types and other rules that the grammar does not say.

use super::ast::{AggregateOp, Binary, DurationExpr, Expr, Many, Node, Span, Type};
use super::functions::Function;
use crate::query::labels::METRIC_NAME;
use crate::query::number::quoted;

type Fault = (Span, String);

/// Checks an expression and all below it; children first, as Prometheus does, so that the first fault is the same.
pub(super) fn check(expr: &Expr) -> Result<(), Fault> {
    let fault = |reason: String| Err((expr.span, reason));
    match &expr.node {
        Node::Number(_) | Node::Text(_) => Ok(()),
        Node::Selector(selector) | Node::Range(selector, _) => {
            let by_label =
                &selector.matchers[..selector.matchers.len() - usize::from(selector.name.is_some())];
            if let Some(name) = &selector.name {
                if let Some(other) = by_label.iter().find(|matcher| matcher.label() == METRIC_NAME) {
                    let (one, two) = (quoted(name), quoted(other.value()));
                    return fault(format!("metric name must not be set twice: {one} or {two}"));
                }
            } else if by_label.iter().all(|matcher| matcher.accepts("")) {
                return fault("vector selector must contain at least one non-empty matcher".into());
            }
            Ok(())
        }
        Node::Subquery(subquery) => {
            check(&subquery.expr)?;
            match subquery.expr.kind() {
                Type::Vector => Ok(()),
                other => fault(format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    other.as_str()
                )),
            }
        }
        Node::Negate(inner) | Node::Plus(inner) => {
            check(inner)?;
            match inner.kind() {
                Type::Scalar | Type::Vector => Ok(()),
                other => fault(format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quoted(other.documented())
                )),
            }
        }
        Node::Paren(inner) => check(inner),
        Node::Binary(binary) => check_binary(expr, binary),
        Node::Aggregate(aggregate) => {
            expect(&aggregate.expr, Type::Vector, "aggregation expression")?;
            if let Some(param) = &aggregate.param {
                let text = aggregate.op == AggregateOp::CountValues;
                expect(param, if text { Type::String } else { Type::Scalar }, "aggregation parameter")?;
            }
            Ok(())
        }
        Node::Call(function, args) => check_call(expr, *function, args),
    }
}

fn expect(expr: &Expr, want: Type, context: &str) -> Result<(), Fault> {
    check(expr)?;
    let got = expr.kind();
    if got == want {
        return Ok(());
    }
    let (want, got) = (want.documented(), got.documented());
    Err((expr.span, format!("expected type {want} in {context}, got {got}")))
}

fn check_binary(expr: &Expr, binary: &Binary) -> Result<(), Fault> {
    let Binary { op, lhs, rhs, bool, matching } = binary;
    check(lhs)?;
    check(rhs)?;
    let (left, right) = (lhs.kind(), rhs.kind());
    // The operator stands behind the left side; only its start is shown.
    let op_span = Span { start: lhs.span.end + 1, end: rhs.span.start };
    if *bool && !op.is_comparison() {
        return Err((op_span, "bool modifier can only be used on comparison operators".into()));
    }
    if op.is_comparison() && !bool && left == Type::Scalar && right == Type::Scalar {
        return Err((op_span, "comparisons between scalars must use BOOL modifier".into()));
    }
    if matching.on
        && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
    {
        let label = quoted(label);
        return Err((op_span, format!("label {label} must not occur in ON and GROUP clause at once")));
    }
    for (side, kind) in [(lhs, left), (rhs, right)] {
        if !matches!(kind, Type::Scalar | Type::Vector) {
            let reason = "binary expression must contain only scalar and instant vector types";
            return Err((side.span, reason.into()));
        }
    }
    let fault = |reason: String| Err((expr.span, reason));
    let filled = matching.fill.0.is_some() || matching.fill.1.is_some();
    if left != Type::Vector || right != Type::Vector {
        if !matching.labels.is_empty() {
            return fault("vector matching only allowed between instant vectors".into());
        }
        if filled {
            return fault("filling in missing series only allowed between instant vectors".into());
        }
        if op.is_set() {
            let op = quoted(op.as_str());
            return fault(format!("set operator {op} not allowed in binary scalar expression"));
        }
    } else if op.is_set() {
        if matching.many != Many::Neither {
            return fault(format!("no grouping allowed for {} operation", quoted(op.as_str())));
        }
        if filled {
            return fault("filling in missing series not allowed for set operators".into());
        }
    }
    Ok(())
}

fn check_call(expr: &Expr, function: Function, args: &[Expr]) -> Result<(), Fault> {
    let signature = function.signature();
    let (name, count, got) = (quoted(signature.name), signature.args.len(), args.len());
    let fault = |reason: String| Err((expr.span, reason));
    if signature.variadic == 0 {
        if count != got {
            return fault(format!("expected {count} argument(s) in call to {name}, got {got}"));
        }
    } else {
        let least = count - 1;
        if got < least {
            return fault(format!("expected at least {least} argument(s) in call to {name}, got {got}"));
        }
        if let Ok(more) = usize::try_from(signature.variadic)
            && got > least + more
        {
            return fault(format!(
                "expected at most {} argument(s) in call to {name}, got {got}",
                least + more
            ));
        }
    }
    for (i, arg) in args.iter().enumerate() {
        check(arg)?;
        let (want, got) = (signature.args[i.min(count - 1)], arg.kind());
        if want != got {
            let (want, got) = (want.documented(), got.documented());
            let reason = format!("expected type {want} in call to function {name}, got {got}");
            return Err((arg.span, reason));
        }
    }
    Ok(())
}

impl DurationExpr {
    /// The seconds, if they do not depend on the query.
    pub(super) fn constant(&self) -> Option<f64> {
        self.seconds(None, None)
    }

    /// The seconds, given those of `step()` and `range()`.
    pub(crate) fn seconds(&self, step: Option<f64>, range: Option<f64>) -> Option<f64> {
        Some(match self {
            DurationExpr::Number(value) => *value,
            DurationExpr::Step => step?,
            DurationExpr::Range => range?,
            DurationExpr::Negate(inner) => -inner.seconds(step, range)?,
            DurationExpr::Min(both) => both.0.seconds(step, range)?.min(both.1.seconds(step, range)?),
            DurationExpr::Max(both) => both.0.seconds(step, range)?.max(both.1.seconds(step, range)?),
            DurationExpr::Binary(op, both) => {
                let (left, right) = (both.0.seconds(step, range)?, both.1.seconds(step, range)?);
                op.arithmetic(left, right)?
            }
        })
    }
}
