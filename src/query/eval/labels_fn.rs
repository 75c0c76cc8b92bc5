//! Functions of instant vectors that look at labels.

use std::cmp::Ordering;

use super::rows::{Metric, Rows};
use super::{Error, execution};
use crate::query::labels::METRIC_NAME;
use crate::query::number::quoted_bytes;
use crate::query::promql::ast::{Expr, Node};
use crate::query::promql::functions::Function;

/// The bytes of a string argument.
pub(super) fn text(arg: &Expr) -> &[u8] {
    match &arg.bare().node {
        Node::Text(text) => text,
        _ => &[],
    }
}

/// A string argument that names a label.
fn label<'a>(arg: &'a Expr, function: &str, role: &str) -> Result<&'a str, Error> {
    let bytes = text(arg);
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => {
            let shown = String::from_utf8_lossy(bytes);
            execution(format!("invalid {role} label name in {function}(): {shown}"))
        }
    }
}

fn utf8(arg: &Expr) -> Result<&str, Error> {
    let bytes = text(arg);
    std::str::from_utf8(bytes)
        .map_err(|_| Error::Execution(format!("string is not UTF-8: {}", quoted_bytes(bytes))))
}

/// `label_replace`: destination, replacement, source, pattern.
pub(super) fn replace(rows: Result<Rows, Error>, args: &[Expr]) -> Result<Rows, Error> {
    let (replacement, source, pattern) = (utf8(&args[1])?, utf8(&args[2])?, utf8(&args[3])?);
    let Ok(regex) = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
    else {
        return execution(format!("invalid regular expression in label_replace(): {pattern}"));
    };
    let target = label(&args[0], "label_replace", "destination")?;
    relabel(rows?, target, |metric| {
        let value = metric.labels().get(source).unwrap_or("");
        let captures = regex.captures(value)?;
        let mut out = String::new();
        captures.expand(replacement, &mut out);
        Some(out)
    })
}

/// `label_join`: destination, separator, sources.
pub(super) fn join(rows: Result<Rows, Error>, args: &[Expr]) -> Result<Rows, Error> {
    let separator = utf8(&args[1])?;
    let mut sources = Vec::with_capacity(args.len() - 2);
    for arg in &args[2..] {
        sources.push(label(arg, "label_join", "source")?);
    }
    let target = label(&args[0], "label_join", "destination")?;
    relabel(rows?, target, |metric| {
        let values: Vec<&str> =
            sources.iter().map(|source| metric.labels().get(source).unwrap_or("")).collect();
        Some(values.join(separator))
    })
}

fn relabel(mut rows: Rows, target: &str, value: impl Fn(&Metric) -> Option<String>) -> Result<Rows, Error> {
    for metric in &mut rows.metrics {
        if let Some(value) = value(metric) {
            let unnamed = metric.drops_name() && target != METRIC_NAME;
            *metric = Metric::new(metric.labels().with(target, &value)).dropping(unnamed);
        }
    }
    Ok(rows.merge(false)?)
}

/// The `sort` functions, of an instant query.
pub(super) fn sort(rows: &mut Rows, function: Function, args: &[Expr]) {
    let descending = matches!(function, Function::SortDesc | Function::SortByLabelDesc);
    let by_label = matches!(function, Function::SortByLabel | Function::SortByLabelDesc);
    let names: Vec<&str> = args.iter().filter_map(|arg| std::str::from_utf8(text(arg)).ok()).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| {
        let direct = if by_label {
            let (a, b) = (rows.metrics[a].labels(), rows.metrics[b].labels());
            names
                .iter()
                .map(|name| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or("")))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.cmp(b))
        } else {
            let (a, b) = (rows.values[a], rows.values[b]);
            // NaN comes last in either direction.
            match (a.is_nan(), b.is_nan()) {
                (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
                (a, b) => return a.cmp(&b),
            }
        };
        if descending { direct.reverse() } else { direct }
    });
    rows.metrics = order.iter().map(|&row| rows.metrics[row].clone()).collect();
    rows.values = order.iter().map(|&row| rows.values[row]).collect();
}

/// Compares with runs of digits as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&x), Some(&y)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (m, n) = (digits(a), digits(b));
            let significant = |run: &[u8]| {
                let zeros = run.iter().take_while(|&&byte| byte == b'0').count();
                run[zeros..].to_vec()
            };
            let (left, right) = (significant(&a[..m]), significant(&b[..n]));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(&right)).then_with(|| m.cmp(&n));
            if order.is_ne() {
                return order;
            }
            (a, b) = (&a[m..], &b[n..]);
        } else if x == y {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return x.cmp(&y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_texts_are_compared_as_numbers() {
        let mut texts = vec!["4m1000", "4m600", "4m5", "1.111.3", "1.2.3", "10", "9", "", "a"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["", "1.2.3", "1.111.3", "4m5", "4m600", "4m1000", "9", "10", "a"]);
    }
}
