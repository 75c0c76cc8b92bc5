//! The tree of a parsed expression, with its positions and types.

use std::sync::Arc;

use super::functions::Function;
use crate::series::selector::Matcher;

/// A stretch of the query text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// The four types of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number at each time.
    Scalar,
    /// A text.
    String,
    /// At each time a set of series with one value.
    Vector,
    /// At each time a set of series with a range of samples.
    Matrix,
}

impl Type {
    /// As Prometheus' messages name it.
    #[must_use]
    pub fn documented(self) -> &'static str {
        match self {
            Type::Scalar => "scalar",
            Type::String => "string",
            Type::Vector => "instant vector",
            Type::Matrix => "range vector",
        }
    }

    /// As the HTTP API names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Scalar => "scalar",
            Type::String => "string",
            Type::Vector => "vector",
            Type::Matrix => "matrix",
        }
    }
}

/// An expression and where it stands.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Where it stands in the query.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum Node {
    /// `1`, `0x1f`, `Inf`, `5m` (300).
    Number(f64),
    /// `"text"`. Escapes can make bytes that are not UTF-8.
    Text(Arc<[u8]>),
    /// `name{label="value"} offset 5m @ 100`.
    Selector(Selector),
    /// A selector with a range in brackets.
    Range(Selector, Duration),
    /// `expr[1h:1m]`.
    Subquery(Box<Subquery>),
    /// `-expr`.
    Negate(Box<Expr>),
    /// `+expr`, which changes nothing.
    Plus(Box<Expr>),
    /// `(expr)`.
    Paren(Box<Expr>),
    /// `lhs op rhs`.
    Binary(Box<Binary>),
    /// `sum by (job) (expr)`.
    Aggregate(Box<Aggregate>),
    /// `rate(expr)`.
    Call(Function, Vec<Expr>),
}

impl Expr {
    /// The type, known without evaluating.
    #[must_use]
    pub fn kind(&self) -> Type {
        match &self.node {
            Node::Number(_) => Type::Scalar,
            Node::Text(_) => Type::String,
            Node::Selector(_) | Node::Aggregate(_) => Type::Vector,
            Node::Range(..) | Node::Subquery(_) => Type::Matrix,
            Node::Negate(inner) | Node::Plus(inner) | Node::Paren(inner) => inner.kind(),
            Node::Binary(binary) => {
                let both = [&binary.lhs, &binary.rhs].iter().all(|side| side.kind() == Type::Scalar);
                if both { Type::Scalar } else { Type::Vector }
            }
            Node::Call(function, _) => function.result(),
        }
    }

    /// Without the parentheses around it.
    #[must_use]
    pub fn bare(&self) -> &Expr {
        let mut expr = self;
        while let Node::Paren(inner) = &expr.node {
            expr = inner;
        }
        expr
    }

    /// Calls `visit` with this expression and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match &self.node {
            Node::Number(_) | Node::Text(_) | Node::Selector(_) | Node::Range(..) => {}
            Node::Subquery(subquery) => subquery.expr.walk(visit),
            Node::Negate(inner) | Node::Plus(inner) | Node::Paren(inner) => inner.walk(visit),
            Node::Binary(binary) => {
                binary.lhs.walk(visit);
                binary.rhs.walk(visit);
            }
            Node::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    param.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            Node::Call(_, args) => args.iter().for_each(|arg| arg.walk(visit)),
        }
    }
}

/// A vector selector, with its modifiers.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The metric name outside the braces, if one stands there.
    pub name: Option<Arc<str>>,
    /// All matchers, that of the name among them.
    pub matchers: Arc<[Matcher]>,
    /// Shift in time.
    pub at: Shift,
    /// How a range reaches beyond its bounds.
    pub reach: Reach,
}

/// `anchored` and `smoothed` of Prometheus' extended range selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Samples inside the range only.
    #[default]
    Plain,
    /// With the last sample before the range.
    Anchored,
    /// With the samples next to both bounds, interpolated.
    Smoothed,
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default)]
pub struct Shift {
    /// How far back; negative for forward.
    pub offset: Option<Duration>,
    /// The fixed time.
    pub at: Option<At>,
}

/// What stands behind `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A time in milliseconds.
    Time(i64),
    /// `start()` of the query.
    Start,
    /// `end()` of the query.
    End,
}

/// A duration: known, or computed from what is known of the query only when it runs.
#[derive(Clone, Debug)]
pub enum Duration {
    /// Milliseconds.
    Fixed(i64),
    /// An expression over seconds, with where it stands for messages.
    Computed(Box<DurationExpr>, Span),
}

/// A duration expression, in seconds.
#[derive(Clone, Debug)]
pub enum DurationExpr {
    /// Seconds.
    Number(f64),
    /// `step()` of the query.
    Step,
    /// `range()` of the query.
    Range,
    /// `-x`.
    Negate(Box<DurationExpr>),
    /// `x op y`; `+ - * / % ^` only.
    Binary(BinaryOp, Box<(DurationExpr, DurationExpr)>),
    /// `min(x, y)`.
    Min(Box<(DurationExpr, DurationExpr)>),
    /// `max(x, y)`.
    Max(Box<(DurationExpr, DurationExpr)>),
}

/// `expr[range:step]`, with its modifiers.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// How far back.
    pub range: Duration,
    /// How often; the engine's default if it is not said.
    pub step: Option<Duration>,
    /// Shift in time.
    pub at: Shift,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// What it gives for two numbers; `None` if it compares or joins sets.
    #[inline]
    pub(crate) fn arithmetic(self, left: f64, right: f64) -> Option<f64> {
        Some(match self {
            BinaryOp::Add => left + right,
            BinaryOp::Sub => left - right,
            BinaryOp::Mul => left * right,
            BinaryOp::Div => left / right,
            BinaryOp::Mod => left % right,
            BinaryOp::Pow => left.powf(right),
            BinaryOp::Atan2 => left.atan2(right),
            _ => return None,
        })
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`?
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        )
    }

    /// `and`, `or`, `unless`?
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// How tightly it binds, from 1 for `or` to 6 for `^`.
    #[must_use]
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            _ if self.is_comparison() => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Pow => 6,
            _ => 5,
        }
    }
}

/// `lhs op rhs`.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// `bool`: a comparison gives 0 or 1 rather than filters.
    pub bool: bool,
    /// How series of two vectors find each other.
    pub matching: Matching,
}

/// Which side may have several series for one match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Many {
    /// One to one.
    #[default]
    Neither,
    /// `group_left`.
    Left,
    /// `group_right`.
    Right,
}

/// Vector matching.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// `on` (true) or `ignoring`.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<Arc<str>>,
    /// `group_left`, `group_right`.
    pub many: Many,
    /// Labels taken over from the side with one.
    pub include: Vec<Arc<str>>,
    /// Values that stand in for a missing series on the left and on the right side.
    pub fill: (Option<f64>, Option<f64>),
}

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// Every operator with its name.
    pub const ALL: [(&'static str, AggregateOp); 14] = [
        ("sum", AggregateOp::Sum),
        ("avg", AggregateOp::Avg),
        ("count", AggregateOp::Count),
        ("min", AggregateOp::Min),
        ("max", AggregateOp::Max),
        ("group", AggregateOp::Group),
        ("stddev", AggregateOp::Stddev),
        ("stdvar", AggregateOp::Stdvar),
        ("topk", AggregateOp::Topk),
        ("bottomk", AggregateOp::Bottomk),
        ("count_values", AggregateOp::CountValues),
        ("quantile", AggregateOp::Quantile),
        ("limitk", AggregateOp::Limitk),
        ("limit_ratio", AggregateOp::LimitRatio),
    ];

    /// Has it a parameter before the vector?
    #[must_use]
    pub fn has_param(self) -> bool {
        use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

/// `sum by (job) (expr)`.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// `without` rather than `by`.
    pub without: bool,
    /// The labels of `by` or `without`.
    pub labels: Vec<Arc<str>>,
    /// The parameter of operators that have one.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
}
