//! PromQL: from text to a checked tree.
//!
//! [`parse`] gives an [`Expr`](ast::Expr) whose types are right, or a [`ParseError`] in Prometheus' words with its line
//! and column. Positions matter beyond errors: warnings about a running query name the place of the expression that
//! they are about, so every node keeps its [`Span`](ast::Span).
//!
//! The parser is our own (recursive descent with operator precedence) rather than the `promql-parser` crate: the crate
//! accepts the language, but its tree has no positions, its messages are not Prometheus', and its tables bring six
//! crates.
//!
//! An expression is at most [`MAX_TEXT`] bytes long, [`MAX_NESTING`] parentheses and [`MAX_DEPTH`] operators deep, so that
//! no text exhausts the stack of who parses, evaluates or drops it.

pub mod ast;
mod check;
pub mod duration;
mod duration_expr;
pub mod functions;
mod lex;
mod parser;
mod print;
mod strings;

pub(crate) use duration_expr::duration_millis;
pub(crate) use parser::position;
pub use parser::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, ParseError, normalised, parse, parse_selector};

#[cfg(test)]
mod tests;
