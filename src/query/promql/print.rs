//! Expressions as text, as Prometheus prints them: the same for what is written in different ways.

use std::fmt::{self, Display, Formatter};

use super::ast::{
    Aggregate, At, Binary, Duration, DurationExpr, Expr, Many, Node, Reach, Selector, Shift, Subquery,
};
use crate::query::labels::METRIC_NAME;
use crate::query::number::{general as number, quoted, quoted_bytes};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number(value) => f.write_str(&number(*value)),
            Node::Text(text) => f.write_str(&quoted_bytes(text)),
            Node::Selector(selector) => {
                bare(selector, f)?;
                modifiers(selector, f)
            }
            Node::Range(selector, range) => {
                bare(selector, f)?;
                write!(f, "[{}]", Shown(range))?;
                modifiers(selector, f)
            }
            Node::Subquery(subquery) => self::subquery(subquery, f),
            Node::Negate(inner) => write!(f, "-{inner}"),
            Node::Plus(inner) => write!(f, "+{inner}"),
            Node::Paren(inner) => write!(f, "({inner})"),
            Node::Binary(binary) => self::binary(binary, f),
            Node::Aggregate(aggregate) => self::aggregate(aggregate, f),
            Node::Call(function, args) => {
                write!(f, "{}(", function.name())?;
                joined(args, f)?;
                f.write_str(")")
            }
        }
    }
}

fn joined<T: Display>(items: &[T], f: &mut Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// The selector without what shifts it.
fn bare(selector: &Selector, f: &mut Formatter<'_>) -> fmt::Result {
    let name = selector.name.as_deref();
    f.write_str(name.unwrap_or_default())?;
    let of_name = |label: &str, equal: bool| label == METRIC_NAME && equal && name.is_some();
    let matchers = selector.matchers.iter().filter(|m| !of_name(m.label(), m.op().as_str() == "="));
    let texts: Vec<String> =
        matchers.map(|m| format!("{}{}{}", m.label(), m.op().as_str(), quoted(m.value()))).collect();
    if texts.is_empty() && name.is_some() { Ok(()) } else { write!(f, "{{{}}}", texts.join(",")) }
}

fn modifiers(selector: &Selector, f: &mut Formatter<'_>) -> fmt::Result {
    match selector.reach {
        Reach::Plain => {}
        Reach::Anchored => f.write_str(" anchored")?,
        Reach::Smoothed => f.write_str(" smoothed")?,
    }
    shift(&selector.at, f)
}

fn shift(shift: &Shift, f: &mut Formatter<'_>) -> fmt::Result {
    match shift.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            let ms = ms.unsigned_abs();
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)?;
        }
    }
    match &shift.offset {
        Some(Duration::Fixed(0)) | None => Ok(()),
        Some(Duration::Fixed(ms)) if *ms < 0 => {
            write!(f, " offset -{}", Shown(&Duration::Fixed(ms.saturating_neg())))
        }
        Some(offset) => write!(f, " offset {}", Shown(offset)),
    }
}

fn subquery(subquery: &Subquery, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}[{}:", subquery.expr, Shown(&subquery.range))?;
    if let Some(step) = &subquery.step {
        write!(f, "{}", Shown(step))?;
    }
    f.write_str("]")?;
    shift(&subquery.at, f)
}

fn binary(binary: &Binary, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", binary.lhs, binary.op.as_str())?;
    if binary.bool {
        f.write_str(" bool")?;
    }
    let matching = &binary.matching;
    if matching.on || !matching.labels.is_empty() || matching.many != Many::Neither {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        joined(&matching.labels, f)?;
        f.write_str(")")?;
        match matching.many {
            Many::Neither => {}
            Many::Left | Many::Right => {
                f.write_str(if matching.many == Many::Left { " group_left (" } else { " group_right (" })?;
                joined(&matching.include, f)?;
                f.write_str(")")?;
            }
        }
    }
    match matching.fill {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            write!(f, " fill ({})", number(left))?
        }
        (left, right) => {
            if let Some(left) = left {
                write!(f, " fill_left ({})", number(left))?;
            }
            if let Some(right) = right {
                write!(f, " fill_right ({})", number(right))?;
            }
        }
    }
    write!(f, " {}", binary.rhs)
}

fn aggregate(aggregate: &Aggregate, f: &mut Formatter<'_>) -> fmt::Result {
    use super::ast::AggregateOp;
    let name = AggregateOp::ALL.iter().find(|(_, op)| *op == aggregate.op).map_or("", |(name, _)| name);
    f.write_str(name)?;
    if aggregate.without || !aggregate.labels.is_empty() {
        f.write_str(if aggregate.without { " without (" } else { " by (" })?;
        joined(&aggregate.labels, f)?;
        f.write_str(") ")?;
    }
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

/// A duration as Prometheus prints it.
struct Shown<'a>(&'a Duration);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::Fixed(ms) => {
                let duration = std::time::Duration::from_millis(ms.unsigned_abs());
                f.write_str(&crate::config::units::format_duration(duration))
            }
            Duration::Computed(expr, _) => computed(expr, f),
        }
    }
}

fn computed(expr: &DurationExpr, f: &mut Formatter<'_>) -> fmt::Result {
    match expr {
        DurationExpr::Number(seconds) => f.write_str(&number(*seconds)),
        DurationExpr::Step => f.write_str("step()"),
        DurationExpr::Range => f.write_str("range()"),
        DurationExpr::Negate(inner) => {
            f.write_str("-")?;
            computed(inner, f)
        }
        DurationExpr::Binary(op, sides) => {
            f.write_str("(")?;
            computed(&sides.0, f)?;
            write!(f, " {} ", op.as_str())?;
            computed(&sides.1, f)?;
            f.write_str(")")
        }
        DurationExpr::Min(sides) | DurationExpr::Max(sides) => {
            f.write_str(if matches!(expr, DurationExpr::Min(_)) { "min(" } else { "max(" })?;
            computed(&sides.0, f)?;
            f.write_str(", ")?;
            computed(&sides.1, f)?;
            f.write_str(")")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn expressions_are_printed_as_prometheus_does() {
        for (text, want) in [
            ("1-a/b>0.9", "1 - a / b > 0.9"),
            (
                "sum(rate(a{b=~'x\"',c!=\"\"}[5m])) by (job,x)",
                r#"sum by (job, x) (rate(a{b=~"x\"",c!=""}[5m]))"#,
            ),
            ("count without() (up)", "count without () (up)"),
            ("{__name__=~\"x.*\"} offset 1h30m", "{__name__=~\"x.*\"} offset 1h30m"),
            ("{__name__=\"a\",b=\"c\"} @ 1.5", "{__name__=\"a\",b=\"c\"} @ 1.500"),
            ("max_over_time(a[1h:5m] offset -10m)", "max_over_time(a[1h:5m] offset -10m)"),
            ("a[5m:] @ end()", "a[5m:] @ end()"),
            ("a + on(x) group_left(y,z) b", "a + on (x) group_left (y, z) b"),
            ("a == bool ignoring(x) b", "a == bool ignoring (x) b"),
            ("topk(3, -(a))", "topk(3, -(a))"),
            ("1e6 * 1e-7 + 1e22 + Inf + NaN", "1e+06 * 1e-07 + 1e+22 + +Inf + NaN"),
            ("label_replace(a,'x','$1','y','(.*)')", r#"label_replace(a, "x", "$1", "y", "(.*)")"#),
            ("a and b or c unless d", "a and b or c unless d"),
            ("time()", "time()"),
        ] {
            let printed = parse(text).expect(text).to_string();
            assert_eq!(printed, want);
            assert_eq!(parse(&printed).expect(&printed).to_string(), printed, "read again");
        }
    }
}
