//! What a condition rests on: the numbers that it compares.
//!
//! The result of `a > 5` tells which series are above 5; of one that it does not name, it does not tell whether it is below or not
//! there at all. Two things need to know that: an alert that is to be held until the number has passed another bound
//! (hysteresis), and one whose series have gone (no data). Both ask for the left side of the comparison by itself.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::file::Text;
use crate::query::promql::ast::{BinaryOp, Expr, Many, Node, Span, Type};

/// The annotation that says what an alert does when its series have gone.
pub const NO_DATA: &str = "gaugecast_no_data";

/// The annotation that holds a firing alert until the number is below a bound.
pub const CLEAR_BELOW: &str = "gaugecast_clear_below";

/// The annotation that holds a firing alert until the number is above a bound.
pub const CLEAR_ABOVE: &str = "gaugecast_clear_above";

/// All of ours.
pub const ANNOTATIONS: [&str; 3] = [NO_DATA, CLEAR_BELOW, CLEAR_ABOVE];

/// What becomes of an alert when what its rule compares is not there any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoData {
    /// The alert is over, as in Prometheus.
    Ok,
    /// An alert that fires goes on for two intervals, then it is over, and that is told.
    #[default]
    Keep,
    /// The alert goes on until the series are back; and without any series at all there is one with the labels of the rule.
    Alert,
}

impl FromStr for NoData {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "ok" => Ok(NoData::Ok),
            "keep" => Ok(NoData::Keep),
            "alert" => Ok(NoData::Alert),
            _ => Err(format!("`{NO_DATA}` is {word:?} and can be ok, keep or alert")),
        }
    }
}

/// When an alert that fires is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clear {
    /// When the number is below.
    Below(f64),
    /// When it is above.
    Above(f64),
}

impl Clear {
    /// Has the number passed the bound? One that is no number has not.
    pub(super) fn is_passed(self, value: f64) -> bool {
        match self {
            Clear::Below(bound) => value < bound,
            Clear::Above(bound) => value > bound,
        }
    }
}

/// Why a bound cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The annotation.
    pub(super) key: &'static str,
    /// The byte of the expression that it is about, or else it is the annotation's own text.
    pub(super) byte: Option<usize>,
    pub(super) message: String,
}

/// Reads the bound that the annotations tell, and holds it against the condition.
pub(super) fn clear(annotations: &BTreeMap<String, Text>, expr: &Expr) -> Result<Option<Clear>, Wrong> {
    let given = |key| annotations.get(key).map(|text| (key, &text.text));
    let (key, text) = match (given(CLEAR_BELOW), given(CLEAR_ABOVE)) {
        (None, None) => return Ok(None),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(_), Some(_)) => {
            let message = format!("`{CLEAR_BELOW}` and `{CLEAR_ABOVE}` are both given; one is enough");
            return Err(Wrong { key: CLEAR_ABOVE, byte: None, message });
        }
    };
    let wrong = |message| Wrong { key, byte: None, message };
    let bound: f64 =
        text.trim().parse().map_err(|_| wrong(format!("`{key}` is {text:?} and must be a number")))?;
    if !bound.is_finite() {
        return Err(wrong(format!("`{key}` must be a finite number")));
    }
    let below = key == CLEAR_BELOW;
    let ops: &[BinaryOp] = if below { &[BinaryOp::Gt, BinaryOp::Ge] } else { &[BinaryOp::Lt, BinaryOp::Le] };
    let Some(comparison) = comparisons(expr).filter(|found| found.len() == 1).map(|found| found[0]) else {
        let message = format!(
            "`{key}` needs an expression whose result is that of one comparison such as `x {} 90`; this one is not",
            ops[0].as_str()
        );
        return Err(Wrong { key, byte: Some(expr.span.start), message });
    };
    let Node::Binary(binary) = &comparison.node else { return Ok(None) };
    if !ops.contains(&binary.op) {
        let message = format!(
            "`{key}` goes with {} or {}, and here is {}",
            ops[0].as_str(),
            ops[1].as_str(),
            binary.op.as_str()
        );
        return Err(Wrong { key, byte: Some(comparison.span.start), message });
    }
    if let Node::Number(threshold) = binary.rhs.bare().node
        && (if below { bound > threshold } else { bound < threshold })
    {
        let side = if below { "above" } else { "below" };
        return Err(wrong(format!("`{key}` is {bound}, {side} the threshold {threshold}")));
    }
    Ok(Some(if below { Clear::Below(bound) } else { Clear::Above(bound) }))
}

/// The left sides of the comparisons that a condition consists of; none where it has another shape.
pub(super) fn compared(expr: &Expr) -> Vec<Expr> {
    let sides = comparisons(expr).unwrap_or_default().into_iter().filter_map(|found| match &found.node {
        Node::Binary(binary) => Some(binary.lhs.clone()),
        _ => None,
    });
    sides.collect()
}

/// The number that a condition compares with, and where it stands in the expression; nothing where there is not exactly one.
pub(super) fn threshold(expr: &Expr) -> Option<(f64, Span)> {
    let found = comparisons(expr)?;
    let [Expr { node: Node::Binary(binary), .. }] = found[..] else { return None };
    match binary.rhs.node {
        Node::Number(number) => Some((number, binary.rhs.span)),
        _ => None,
    }
}

/// The comparisons whose results together are those of the expression, with the labels of their left sides.
fn comparisons(expr: &Expr) -> Option<Vec<&Expr>> {
    let expr = expr.bare();
    let Node::Binary(binary) = &expr.node else { return None };
    match binary.op {
        // What the right side has decides which of the left stay, and changes none.
        BinaryOp::And | BinaryOp::Unless => comparisons(&binary.lhs),
        BinaryOp::Or => {
            let mut both = comparisons(&binary.lhs)?;
            both.extend(comparisons(&binary.rhs)?);
            Some(both)
        }
        op if op.is_comparison() && !binary.bool && binary.lhs.kind() == Type::Vector => {
            // With labels chosen or taken over, the result's are not those of the left side.
            let matching = &binary.matching;
            let plain = matching.labels.is_empty() && !matching.on && matching.many == Many::Neither;
            (binary.rhs.kind() == Type::Scalar || plain).then(|| vec![expr])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::promql;

    fn sides(text: &str) -> Vec<String> {
        let expr = promql::parse(text).expect(text);
        compared(&expr).iter().map(|side| text[side.span.start..side.span.end].to_owned()).collect()
    }

    #[test]
    fn what_is_compared_is_found_where_the_result_has_its_labels() {
        for (text, want) in [
            ("a > 5", vec!["a"]),
            ("(rate(a[5m]) / b) > on() group_left c", vec![]),
            ("(rate(a[5m]) / b > 5)", vec!["rate(a[5m]) / b"]),
            ("a > b", vec!["a"]),
            ("a > bool 5", vec![]),
            ("5 < a", vec![]),
            ("a > 5 and b == 0", vec!["a"]),
            ("a > 5 or b < 3", vec!["a", "b"]),
            ("a > 5 or b", vec![]),
            ("absent(a)", vec![]),
            ("a > 5 unless on(x) b", vec!["a"]),
        ] {
            assert_eq!(sides(text), want, "{text}");
        }
    }

    fn bound(key: &'static str, text: &str, expr: &str) -> Result<Option<Clear>, String> {
        let annotations = BTreeMap::from([(key.to_owned(), Text { text: text.to_owned(), template: None })]);
        clear(&annotations, &promql::parse(expr).expect(expr)).map_err(|wrong| wrong.message)
    }

    #[test]
    fn a_bound_fits_its_comparison_or_is_refused() {
        assert_eq!(bound(CLEAR_BELOW, "80", "a > 90"), Ok(Some(Clear::Below(80.0))));
        assert_eq!(bound(CLEAR_ABOVE, "0.2", "a / b < 0.1 and c == 0"), Ok(Some(Clear::Above(0.2))));
        assert_eq!(bound("summary", "80", "a"), Ok(None));
        for (key, text, expr, told) in [
            (CLEAR_BELOW, "x", "a > 90", "must be a number"),
            (CLEAR_BELOW, "80", "a < 90", "goes with > or >=, and here is <"),
            (CLEAR_BELOW, "95", "a > 90", "`gaugecast_clear_below` is 95, above the threshold 90"),
            (CLEAR_ABOVE, "5", "a < 10", "`gaugecast_clear_above` is 5, below the threshold 10"),
            (CLEAR_ABOVE, "5", "absent(a)", "needs an expression whose result is that of one comparison"),
            (CLEAR_BELOW, "5", "a > 9 or b > 10", "one comparison"),
        ] {
            let found = bound(key, text, expr).expect_err(expr);
            assert!(found.contains(told), "{found}");
        }
    }
}
