//! What templates compute with, and how it is printed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::{MAX_OUTPUT, time};
use crate::query::{Labels, number};

/// A value of a template. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing at all: a missing entry of a map that holds anything. Printed as `<no value>`.
    Missing,
    /// `nil`, and the dot of a template that is given none.
    Nil,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A time, nanoseconds since the epoch.
    Time(i128),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A list.
    List(Arc<[Value]>),
    /// A map of text to values: what is missing reads as its `absent`.
    Map(Arc<Map>),
    /// Named fields: one that is missing is an error.
    Record(Arc<Record>),
}

/// A map; see [`Value::Map`].
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// By key.
    pub entries: BTreeMap<String, Value>,
    /// What a key that is not there gives: empty text in a map of texts, [`Value::Missing`] in one of anything.
    pub absent: Value,
    /// Has it the methods of a map of labels in a message: `SortedPairs`, `Names`, `Values`?
    pub methods: bool,
}

/// Named fields in order; see [`Value::Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The name of its type, for errors.
    pub kind: &'static str,
    /// Name and value.
    pub fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(text.as_ref().into())
    }

    /// A map of texts, such as labels.
    pub fn texts<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
        let entries = pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::text(value)));
        Value::Map(Arc::new(Map { entries: entries.collect(), absent: Value::text(""), methods: false }))
    }

    /// A map of texts in a message, which has methods.
    pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Value {
        let entries = pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::text(value)));
        Value::Map(Arc::new(Map { entries: entries.collect(), absent: Value::text(""), methods: true }))
    }

    /// Fields of a kind.
    #[must_use]
    pub fn record(kind: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
        Value::Record(Arc::new(Record { kind, fields }))
    }

    /// A sample, as queries give them: `Labels`, the metric name among them, and `Value`.
    #[must_use]
    pub fn sample(labels: &Labels, value: f64) -> Value {
        Value::record("sample", vec![("Labels", Value::texts(labels)), ("Value", Value::Float(value))])
    }

    /// What to call its type in an error: Go's name, which `%T` prints too.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Missing | Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::List(_) => "list",
            Value::Map(map) if map.absent == Value::Missing => "map[string]interface {}",
            Value::Map(_) => "map[string]string",
            Value::Record(record) => record.kind,
        }
    }

    /// Is it true for `if`, `with`, `and`, `or`, `not`: neither zero nor empty?
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Value::Missing | Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Duration(n) => *n != 0,
            Value::Float(v) => *v != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Time(_) | Value::Record(_) => true,
        }
    }

    /// Appends it as Go's `%v` does. What holds others ends once `out` is longer than any expansion may be: maps that hold the same map
    /// again and again would print without end.
    pub fn print(&self, out: &mut String) {
        match self {
            Value::Missing => out.push_str("<no value>"),
            Value::Nil => out.push_str("<nil>"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => {
                let _ = write!(out, "{n}");
            }
            Value::Float(v) => out.push_str(&number::general(*v)),
            Value::Text(text) => out.push_str(text),
            Value::Time(ns) => out.push_str(&time::shown(*ns)),
            Value::Duration(ns) => out.push_str(&time::duration(*ns)),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if out.len() > MAX_OUTPUT {
                        return;
                    }
                    out.push_str(if i > 0 { " " } else { "" });
                    item.print_inner(out);
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push_str("map[");
                for (i, (key, value)) in map.entries.iter().enumerate() {
                    if out.len() > MAX_OUTPUT {
                        return;
                    }
                    out.push_str(if i > 0 { " " } else { "" });
                    out.push_str(key);
                    out.push(':');
                    value.print_inner(out);
                }
                out.push(']');
            }
            Value::Record(record) => {
                out.push('{');
                for (i, (_, value)) in record.fields.iter().enumerate() {
                    out.push_str(if i > 0 { " " } else { "" });
                    value.print_inner(out);
                }
                out.push('}');
            }
        }
    }

    /// Within something else nothing is `<nil>`.
    fn print_inner(&self, out: &mut String) {
        match self {
            Value::Missing => out.push_str("<nil>"),
            other => other.print(out),
        }
    }

    /// The text of [`Self::print`].
    #[must_use]
    pub fn shown(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }
}
