//! The functions that templates know: Go's (in `builtin`) and Prometheus'.
//!
//! `tmpl` is not among them: Prometheus has it in consoles only, and refuses rules that use it.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Env, MAX_OUTPUT, Map, Record, Value, builtin, format, time};
use crate::query::number;
use crate::query::promql::duration;
use crate::spelling;

/// Most queries of one expansion.
const MAX_QUERIES: usize = 64;

/// Most samples of all queries of one expansion.
const MAX_SAMPLES: usize = 10_000;

/// Longest text that is compared with a regular expression, in bytes. It is read once for each state that the expression can be in.
const MAX_MATCHED: usize = 16 << 10;

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Fewest and most arguments.
    least: usize,
    most: usize,
    run: Run,
}

enum Run {
    /// Reads its arguments only when it needs them.
    Lazy,
    Pure(fn(&[Value]) -> Result<Value, String>),
    Asks(fn(&mut Around<'_>, &[Value]) -> Result<Value, String>),
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What is around an expansion, and what it has used of it.
pub(super) struct Around<'a> {
    pub(super) env: &'a Env<'a>,
    queries: usize,
    samples: usize,
}

impl<'a> Around<'a> {
    pub(super) fn new(env: &'a Env<'a>) -> Self {
        Around { env, queries: 0, samples: 0 }
    }
}

impl Function {
    /// What a call is in steps beside what it makes: an expression is compiled each time.
    pub(super) fn steps(&self) -> usize {
        if matches!(self.name, "match" | "reReplaceAll") { 500 } else { 1 }
    }

    /// Is it `and` or `or`, and which?
    pub(super) fn is_lazy(&self) -> bool {
        matches!(self.run, Run::Lazy)
    }

    pub(super) fn check_count(&self, count: usize) -> Result<(), String> {
        let name = self.name;
        if count < self.least && self.most > self.least {
            return Err(format!("wrong number of args for {name}: want at least {} got {count}", self.least));
        }
        if count < self.least || count > self.most {
            return Err(format!("wrong number of args for {name}: want {} got {count}", self.least));
        }
        Ok(())
    }

    pub(super) fn call(&self, around: &mut Around<'_>, args: &[Value]) -> Result<Value, String> {
        self.check_count(args.len())?;
        let answer = match self.run {
            Run::Lazy => Ok(Value::Missing),
            Run::Pure(run) => run(args),
            Run::Asks(run) => run(around, args),
        };
        match answer {
            Ok(Value::Text(text)) if text.len() > MAX_OUTPUT => {
                Err(format!("{}: more than {MAX_OUTPUT} bytes", self.name))
            }
            Err(message) => Err(format!("error calling {}: {message}", self.name)),
            answer => answer,
        }
    }
}

const MANY: usize = usize::MAX;

const fn pure(
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, least, most, run: Run::Pure(run) }
}

const fn asks(
    name: &'static str,
    count: usize,
    run: fn(&mut Around<'_>, &[Value]) -> Result<Value, String>,
) -> Function {
    Function { name, least: count, most: count, run: Run::Asks(run) }
}

static FUNCTIONS: &[Function] = &[
    Function { name: "and", least: 1, most: MANY, run: Run::Lazy },
    Function { name: "or", least: 1, most: MANY, run: Run::Lazy },
    pure("not", 1, 1, builtin::not),
    pure("len", 1, 1, builtin::len),
    pure("index", 1, MANY, builtin::index),
    pure("slice", 1, MANY, builtin::slice),
    pure("call", 1, MANY, builtin::call),
    pure("eq", 1, MANY, builtin::eq),
    pure("ne", 2, 2, builtin::ne),
    pure("lt", 2, 2, builtin::lt),
    pure("le", 2, 2, builtin::le),
    pure("gt", 2, 2, builtin::gt),
    pure("ge", 2, 2, builtin::ge),
    pure("html", 0, MANY, builtin::html),
    pure("js", 0, MANY, builtin::js),
    pure("urlquery", 0, MANY, builtin::urlquery),
    pure("print", 0, MANY, |args| Ok(Value::text(format::print(args)))),
    pure("println", 0, MANY, |args| Ok(Value::text(format::println(args)))),
    pure("printf", 1, MANY, |args| format::printf(text(&args[0])?, &args[1..]).map(Value::text)),
    asks("query", 1, query),
    pure("first", 1, 1, |args| match list(&args[0])? {
        [] => Err("first() called on vector with no elements".into()),
        [first, ..] => Ok(first.clone()),
    }),
    pure("label", 2, 2, |args| label(text(&args[0])?, &args[1])),
    pure("strvalue", 1, 1, |args| label("__value__", &args[0])),
    pure("value", 1, 1, |args| Ok(field(sample(&args[0])?, "Value"))),
    pure("sortByLabel", 2, 2, sort_by_label),
    pure("args", 0, MANY, arguments),
    pure("safeHtml", 1, 1, |args| text(&args[0]).map(Value::text)),
    asks("externalURL", 0, |around, _| Ok(Value::text(around.env.external_url))),
    asks("pathPrefix", 0, |around, _| Ok(Value::text(path(around.env.external_url)))),
    asks("now", 0, |around, _| {
        #[allow(clippy::cast_precision_loss, reason = "seconds of this age are exact to the microsecond")]
        Ok(Value::Float(around.env.now_ms as f64 / 1000.0))
    }),
    pure("humanize", 1, 1, |args| number_of(&args[0]).map(|v| Value::text(humanize(v)))),
    pure("humanize1024", 1, 1, |args| number_of(&args[0]).map(|v| Value::text(humanize1024(v)))),
    pure("humanizeDuration", 1, 1, |args| number_of(&args[0]).map(|v| Value::text(humanize_duration(v)))),
    pure("humanizePercentage", 1, 1, |args| {
        number_of(&args[0]).map(|v| Value::text(number::general_to(v * 100.0, 4) + "%"))
    }),
    pure("humanizeTimestamp", 1, 1, |args| {
        let v = number_of(&args[0])?;
        if v.is_finite() { Ok(Value::text(to_time(v)?.shown())) } else { Ok(Value::text(number::plain(v))) }
    }),
    pure("toTime", 1, 1, |args| to_time(number_of(&args[0])?)),
    pure("toDuration", 1, 1, |args| nanoseconds(number_of(&args[0])?, "duration").map(Value::Duration)),
    pure("parseDuration", 1, 1, |args| {
        let text = text(&args[0])?;
        let ms = duration::parse(text)?;
        #[allow(clippy::cast_precision_loss, reason = "durations are below 2^53 milliseconds")]
        Ok(Value::Float(ms as f64 / 1000.0))
    }),
    pure("title", 1, 1, |args| text(&args[0]).map(title).map(Value::text)),
    pure("toUpper", 1, 1, |args| text(&args[0]).map(to_upper).map(Value::text)),
    pure("toLower", 1, 1, |args| text(&args[0]).map(str::to_lowercase).map(Value::text)),
    pure("graphLink", 1, 1, |args| link(text(&args[0])?, 0)),
    pure("tableLink", 1, 1, |args| link(text(&args[0])?, 1)),
    pure("match", 2, 2, |args| Ok(Value::Bool(pattern(&args[0])?.is_match(matched(&args[1])?)))),
    pure("reReplaceAll", 3, 3, re_replace_all),
    pure("stripPort", 1, 1, |args| {
        let text = text(&args[0])?;
        Ok(Value::text(host_and_port(text).map_or(text, |(host, _)| host)))
    }),
    pure("stripDomain", 1, 1, |args| text(&args[0]).map(strip_domain).map(Value::text)),
    pure("urlQueryEscape", 1, 1, |args| text(&args[0]).map(builtin::escaped).map(Value::text)),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// What to say where there is none.
pub(super) fn unknown(name: &str) -> String {
    if name == "tmpl" {
        return "function \"tmpl\" is known in console templates only".into();
    }
    match spelling::nearest(name, FUNCTIONS.iter().map(|function| function.name)) {
        Some(near) => format!("function {name:?} not defined; did you mean {near}?"),
        None => format!("function {name:?} not defined"),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("wrong type for value; expected string; got {}", other.kind())),
    }
}

fn list(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(format!("wrong type for value; expected the result of a query; got {}", other.kind())),
    }
}

fn sample(value: &Value) -> Result<&Record, String> {
    match value {
        Value::Record(record) if record.kind == "sample" => Ok(record),
        other => Err(format!("wrong type for value; expected a sample; got {}", other.kind())),
    }
}

fn field(record: &Record, name: &str) -> Value {
    let found = record.fields.iter().find(|(known, _)| *known == name);
    found.map_or(Value::Missing, |(_, value)| value.clone())
}

fn label(name: &str, of: &Value) -> Result<Value, String> {
    match field(sample(of)?, "Labels") {
        Value::Map(map) => Ok(map.entries.get(name).unwrap_or(&map.absent).clone()),
        _ => Ok(Value::text("")),
    }
}

/// A number, or text that is one; a length of time in seconds.
fn number_of(value: &Value) -> Result<f64, String> {
    #[allow(clippy::cast_precision_loss, reason = "as in Go")]
    match value {
        Value::Float(v) => Ok(*v),
        Value::Int(n) => Ok(*n as f64),
        Value::Duration(ns) => Ok(*ns as f64 / 1e9),
        Value::Text(text) => text.parse().map_err(|_| format!("parsing {text:?}: invalid syntax")),
        other => Err(format!("can't convert {} to float", other.kind())),
    }
}

/// A map of them. What it gives may be an argument of another, but no deeper: it is walked by functions that call themselves, and a
/// template that wraps it in a loop would have the stack run over.
fn arguments(args: &[Value]) -> Result<Value, String> {
    let inner = |value: &Value| match value {
        Value::Map(map) if map.absent == Value::Missing => Some(Arc::clone(map)),
        _ => None,
    };
    if args.iter().filter_map(inner).any(|map| map.entries.values().any(|value| inner(value).is_some())) {
        return Err("args within args within args".into());
    }
    let entries = args.iter().enumerate().map(|(i, arg)| (format!("arg{i}"), arg.clone()));
    Ok(Value::Map(Arc::new(Map { entries: entries.collect(), absent: Value::Missing, methods: false })))
}

fn query(around: &mut Around<'_>, args: &[Value]) -> Result<Value, String> {
    around.queries += 1;
    if around.queries > MAX_QUERIES {
        return Err(format!("more than {MAX_QUERIES} queries"));
    }
    let found = (around.env.query)(text(&args[0])?)?;
    around.samples += found.len();
    if around.samples > MAX_SAMPLES {
        return Err(format!("more than {MAX_SAMPLES} samples"));
    }
    Ok(Value::List(found.iter().map(|(labels, value)| Value::sample(labels, *value)).collect()))
}

fn sort_by_label(args: &[Value]) -> Result<Value, String> {
    let name = text(&args[0])?;
    let mut keyed = Vec::new();
    for item in list(&args[1])? {
        keyed.push((label(name, item)?.shown(), item.clone()));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::List(keyed.into_iter().map(|(_, item)| item).collect()))
}

/// Divided until it is below `base`, with the prefix for that.
fn scaled(mut v: f64, base: f64, prefixes: &[&str; 8]) -> String {
    let mut chosen = "";
    for prefix in prefixes {
        if v.abs() < base {
            break;
        }
        chosen = prefix;
        v /= base;
    }
    number::general_to(v, 4) + chosen
}

/// Multiplied until it is at least 1, with the prefix for that.
fn scaled_up(mut v: f64) -> String {
    let mut chosen = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        chosen = prefix;
        v *= 1000.0;
    }
    number::general_to(v, 4) + chosen
}

fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        number::general_to(v, 4)
    } else if v.abs() >= 1.0 {
        scaled(v, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        scaled_up(v)
    }
}

fn humanize1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        number::general_to(v, 4)
    } else {
        scaled(v, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
    }
}

fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return number::general_to(v, 4);
    }
    if v == 0.0 {
        return number::general_to(v, 4) + "s";
    }
    if v.abs() < 1.0 {
        return scaled_up(v) + "s";
    }
    let sign = if v < 0.0 { "-" } else { "" };
    let v = v.abs();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a length beyond the age of the universe may be shown as that"
    )]
    let whole = v as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", number::general_to(v, 4)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

fn nanoseconds(v: f64, what: &str) -> Result<i64, String> {
    let ns = v * 1e9;
    if v.is_nan() || v.is_infinite() {
        return Err("value is NaN or Inf".into());
    }
    // Not 2^63 itself, which is the first that does not fit.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ns) {
        let v = number::general(v);
        return Err(format!("{v} cannot be represented as a nanoseconds {what} since it overflows int64"));
    }
    #[allow(clippy::cast_possible_truncation, reason = "it is in range")]
    Ok(ns as i64)
}

/// Seconds since the epoch as a time, to the millisecond.
fn to_time(v: f64) -> Result<Value, String> {
    let ns = nanoseconds(v, "timestamp")?;
    Ok(Value::Time(i128::from(ns / 1_000_000 * 1_000_000)))
}

/// A letter for a letter, as Go has it: no `SS` for `ß`.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

/// The first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let begins = if before.is_ascii() {
            !(before.is_ascii_alphanumeric() || before == '_')
        } else {
            !before.is_alphanumeric() && before.is_whitespace()
        };
        out.push(if begins { upper(c) } else { c });
        before = c;
    }
    out
}

fn link(expr: &str, tab: u8) -> Result<Value, String> {
    Ok(Value::text(format!("/graph?g0.expr={}&g0.tab={tab}", builtin::escaped(expr))))
}

fn pattern(value: &Value) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text(value)?).size_limit(256 << 10).build().map_err(|error| error.to_string())
}

fn matched(value: &Value) -> Result<&str, String> {
    let text = text(value)?;
    if text.len() > MAX_MATCHED {
        return Err(format!("the text is longer than {MAX_MATCHED} bytes"));
    }
    Ok(text)
}

fn re_replace_all(args: &[Value]) -> Result<Value, String> {
    let (pattern, by, text) = (pattern(&args[0])?, text(&args[1])?, matched(&args[2])?);
    // An empty match at each place and a long replacement, or one that names the match again and again: refused before it is made.
    let names = by.matches('$').count();
    let mut most = text.len();
    for found in pattern.find_iter(text) {
        most = most.saturating_add(by.len() + names.saturating_mul(found.len()));
        if most > 64 * MAX_OUTPUT {
            return Err("too much to replace".into());
        }
    }
    Ok(Value::text(pattern.replace_all(text, by)))
}

/// Host and port of `host:port` or `[v6]:port`; nothing, if it is not so.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return (!inner.contains(['[', ']'])).then_some((inner, port));
    }
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or(host);
    match port {
        "" => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    }
}

/// The path of an address.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let has_host = rest.len() < url.len();
    let path = if has_host { rest.find('/').map_or("", |at| &rest[at..]) } else { rest };
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}

/// A method of a value; only times have some.
pub(super) fn method(of: &Value, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    time::method(of, name, args).or_else(|| notified(of, name, args))
}

/// The name of the type of an alert in a message.
pub(in crate::alert) const ALERT: &str = "template.Alert";

/// The methods of what messages are made of, as in Alertmanager: of its lists of alerts and its maps of labels.
fn notified(of: &Value, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let list = |values: Vec<Value>| Some(Ok(Value::List(values.into())));
    match (of, name) {
        _ if !args.is_empty() => None,
        (Value::List(alerts), "Firing" | "Resolved") => {
            let is_it = |alert: &&Value| match alert {
                Value::Record(record) if record.kind == ALERT => {
                    field(record, "Status").shown().eq_ignore_ascii_case(name)
                }
                _ => false,
            };
            list(alerts.iter().filter(is_it).cloned().collect())
        }
        (Value::Map(map), "SortedPairs" | "Names" | "Values") if map.methods => {
            // The name of the alert first, then by name.
            let first = |name: &String| name != "alertname";
            let mut pairs: Vec<_> = map.entries.iter().collect();
            pairs.sort_by_key(|(name, _)| first(name));
            let pairs = pairs.into_iter().map(|(key, value)| match name {
                "Names" => Value::text(key),
                "Values" => value.clone(),
                _ => {
                    Value::record("template.Pair", vec![("Name", Value::text(key)), ("Value", value.clone())])
                }
            });
            list(pairs.collect())
        }
        _ => None,
    }
}
