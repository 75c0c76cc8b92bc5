//! Go's own functions.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use super::Value;
use super::format;

/// How a function answers.
type Answer = Result<Value, String>;

pub(super) fn not(args: &[Value]) -> Answer {
    Ok(Value::Bool(!args[0].truth()))
}

pub(super) fn len(args: &[Value]) -> Answer {
    let length = match &args[0] {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil | Value::Missing => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.kind())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

pub(super) fn index(args: &[Value]) -> Answer {
    let mut value = args[0].clone();
    for key in &args[1..] {
        value = match (&value, key) {
            (Value::List(items), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| format!("index out of range: {at}"))?,
            (Value::Text(text), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| text.as_bytes().get(at))
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| format!("index out of range: {at}"))?,
            (Value::Map(map), Value::Text(key)) => map.entries.get(&**key).unwrap_or(&map.absent).clone(),
            (Value::Nil | Value::Missing, _) => return Err("index of untyped nil".into()),
            (Value::List(_) | Value::Text(_), key) => {
                return Err(format!("cannot index slice/array with type {}", key.kind()));
            }
            (Value::Map(_), key) => return Err(format!("value has type {}; should be string", key.kind())),
            (other, _) => return Err(format!("can't index item of type {}", other.kind())),
        };
    }
    Ok(value)
}

pub(super) fn slice(args: &[Value]) -> Answer {
    let length = match &args[0] {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Nil | Value::Missing => return Err("slice of untyped nil".into()),
        other => return Err(format!("can't slice item of type {}", other.kind())),
    };
    if args.len() > 4 {
        return Err(format!("too many slice indexes: {}", args.len() - 1));
    }
    if args.len() == 4 && matches!(args[0], Value::Text(_)) {
        return Err("cannot 3-index slice a string".into());
    }
    let mut bounds = [0, length, length];
    for (bound, arg) in bounds.iter_mut().zip(&args[1..]) {
        let Value::Int(at) = arg else {
            return Err(format!("cannot index slice/array with type {}", arg.kind()));
        };
        *bound = usize::try_from(*at)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| format!("index out of range: {at}"))?;
    }
    let [from, to, most] = bounds;
    if from > to || to > most {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match &args[0] {
        Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Value::List(items) => Value::List(Arc::from(&items[from..to])),
        other => other.clone(),
    })
}

pub(super) fn call(args: &[Value]) -> Answer {
    Err(match &args[0] {
        Value::Nil | Value::Missing => "call of nil".into(),
        other => format!("non-function of type {}", other.kind()),
    })
}

/// What may be compared with what.
#[derive(PartialEq)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
    Other,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) | Value::Duration(_) => Kind::Int,
        Value::Float(_) => Kind::Float,
        Value::Text(_) => Kind::Text,
        _ => Kind::Other,
    }
}

const INCOMPATIBLE: &str = "incompatible types for comparison";

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    let is_nil = |value: &Value| matches!(value, Value::Nil | Value::Missing);
    if is_nil(a) || is_nil(b) {
        return Ok(is_nil(a) && is_nil(b));
    }
    if kind(a) != kind(b) {
        return Err(INCOMPATIBLE.into());
    }
    Ok(match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => a == b,
        (Value::List(_) | Value::Map(_) | Value::Record(_), _) => {
            return Err(format!("non-comparable type {}", a.kind()));
        }
        (a, b) => a == b,
    })
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    let order = match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ if matches!(kind(a), Kind::Bool | Kind::Other) || matches!(kind(b), Kind::Bool | Kind::Other) => {
            return Err("invalid type for comparison".into());
        }
        _ => return Err(INCOMPATIBLE.into()),
    };
    Ok(order == Some(Ordering::Less))
}

/// `eq a b c` is true if a is one of the others.
pub(super) fn eq(args: &[Value]) -> Answer {
    if args.len() < 2 {
        return Err("missing argument for comparison".into());
    }
    for other in &args[1..] {
        if equal(&args[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(args: &[Value]) -> Answer {
    equal(&args[0], &args[1]).map(|equal| Value::Bool(!equal))
}

pub(super) fn lt(args: &[Value]) -> Answer {
    less(&args[0], &args[1]).map(Value::Bool)
}

pub(super) fn le(args: &[Value]) -> Answer {
    Ok(Value::Bool(less(&args[0], &args[1])? || equal(&args[0], &args[1])?))
}

// As Go has it, not the other way round: with NaN the two differ.
pub(super) fn gt(args: &[Value]) -> Answer {
    Ok(Value::Bool(!(less(&args[0], &args[1])? || equal(&args[0], &args[1])?)))
}

pub(super) fn ge(args: &[Value]) -> Answer {
    less(&args[0], &args[1]).map(|less| Value::Bool(!less))
}

/// What is to be escaped.
fn joined(args: &[Value]) -> String {
    match args {
        [Value::Nil | Value::Missing] => "<no value>".into(),
        args => format::print(args),
    }
}

pub(super) fn html(args: &[Value]) -> Answer {
    let mut out = String::new();
    for c in joined(args).chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    Ok(Value::text(out))
}

pub(super) fn js(args: &[Value]) -> Answer {
    let mut out = String::new();
    for c in joined(args).chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Ok(Value::text(out))
}

/// Text as it stands in the query of an address.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

pub(super) fn urlquery(args: &[Value]) -> Answer {
    Ok(Value::text(escaped(&joined(args))))
}
