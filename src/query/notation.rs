//! Series with their values as scripts and test files write them: `up{job="a"}` and `1+2x3 _ stale 5x2`.
//!
//! A value stands for one interval: `1` is a sample, `_` none, `stale` a stale marker. `1x3` is 1 and three more of it, `1+2x3` is 1, 3,
//! 5, 7, `_x3` three without a sample. Native histograms (`{{…}}`) are read as [`Point::Histogram`], since nothing here can keep one.

use super::source::stale;
use super::{Labels, promql};
use crate::series::selector::Op;

/// Most values of one series.
pub const MAX_POINTS: usize = 1_000_000;

/// What a series has at one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// Nothing.
    Missing,
    /// A sample, which may be the stale marker.
    Float(f64),
    /// A native histogram.
    Histogram,
}

/// Reads `name{labels}` at the beginning of a text, and gives what follows it. The name alone and the braces alone are enough.
///
/// # Errors
/// What is wrong, in words.
pub fn metric(text: &str) -> Result<(Labels, &str), String> {
    let text = text.trim_start();
    let end = metric_end(text)?;
    let (head, rest) = text.split_at(end);
    if head.is_empty() {
        return Err("expected the name of a metric or its labels in braces".into());
    }
    let matchers = promql::parse_selector(head).map_err(|error| error.to_string())?;
    if let Some(other) = matchers.iter().find(|matcher| matcher.op() != Op::Equal) {
        return Err(format!("a series has its labels with `=`, not as {} has it here", other.label()));
    }
    Ok((Labels::new(matchers.iter().map(|matcher| (matcher.label(), matcher.value()))), rest))
}

/// Where the braces, or else the name, end.
fn metric_end(text: &str) -> Result<usize, String> {
    let mut quote = None;
    let mut escaped = false;
    let mut open = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if open && matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '{' && !open => open = true,
            None if c == '}' && open => return Ok(at + 1),
            None if c.is_whitespace() && !open => {
                // A space may stand between name and braces.
                let rest = text[at..].trim_start();
                if at > 0 && rest.starts_with('{') && !rest.starts_with("{{") {
                    continue;
                }
                return Ok(at);
            }
            None => {}
        }
    }
    if open { Err("the braces of the labels are not closed".into()) } else { Ok(text.len()) }
}

/// Reads values.
///
/// # Errors
/// What is wrong, in words; also more than [`MAX_POINTS`].
pub fn points(text: &str) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let word = rest.split_whitespace().next().unwrap_or(rest);
        rest = point(rest, &mut points)
            .ok_or_else(|| {
                format!("{word:?} is no value of a series, such as 1, 1+2x3, 5x2, _, _x3 or stale")
            })?
            .trim_start();
        if points.len() > MAX_POINTS {
            return Err(format!("more than {MAX_POINTS} values"));
        }
    }
    Ok(points)
}

/// A number as it stands in a series.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let plain = text.trim_start_matches(['+', '-']);
    let numeric = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let named = plain.eq_ignore_ascii_case("inf") || plain.eq_ignore_ascii_case("nan");
    (numeric || named).then(|| text.parse().ok()).flatten()
}

/// `x3` and what follows it; 0 where there is none.
fn times(text: &str) -> Option<(usize, &str)> {
    let Some(digits) = text.strip_prefix('x') else { return Some((0, text)) };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let count: usize = digits[..end].parse().ok()?;
    Some((count.min(MAX_POINTS + 1), &digits[end..]))
}

/// Reads one item and gives what follows it.
fn point<'a>(text: &'a str, points: &mut Vec<Point>) -> Option<&'a str> {
    let ended = |rest: &'a str| (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest);
    if text.starts_with("{{") {
        let mut rest = text;
        while let Some(histogram) = rest.strip_prefix("{{") {
            rest = &histogram[histogram.find("}}")? + 2..];
            rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        }
        let (count, rest) = times(rest)?;
        points.extend(std::iter::repeat_n(Point::Histogram, count + 1));
        return ended(rest);
    }
    if let Some(rest) = text.strip_prefix('_') {
        let (count, rest) = times(rest)?;
        points.extend(std::iter::repeat_n(Point::Missing, count.max(1)));
        return ended(rest);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (item, rest) = text.split_at(end);
    if item == "stale" {
        points.push(Point::Float(stale()));
        return Some(rest);
    }
    // A number ends before an x, and before a sign that does not belong to an exponent.
    let number_end = |text: &str| {
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            let sign = matches!(c, '+' | '-') && at > 0 && !matches!(before, 'e' | 'E');
            if c == 'x' || sign {
                return at;
            }
            before = c;
        }
        text.len()
    };
    let at = number_end(item);
    let value = number(&item[..at])?;
    let tail = &item[at..];
    if tail.is_empty() {
        points.push(Point::Float(value));
    } else if tail.starts_with('x') {
        let (count, after) = times(tail)?;
        after.is_empty().then_some(())?;
        points.extend(std::iter::repeat_n(Point::Float(value), count + 1));
    } else {
        let at = number_end(tail);
        let increment: f64 = tail[..at].parse().ok()?;
        tail[at..].starts_with('x').then_some(())?;
        let (count, after) = times(&tail[at..])?;
        after.is_empty().then_some(())?;
        // Added up as Prometheus does it, with its rounding.
        let mut value = value;
        for _ in 0..=count {
            points.push(Point::Float(value));
            value += increment;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_short() {
        let floats = |text: &str| -> Vec<f64> {
            let float = |point| if let Point::Float(v) = point { v } else { f64::MIN };
            points(text).unwrap().into_iter().map(float).collect()
        };
        assert_eq!(floats("1+2x3 5x2 -2-1x1 1e3"), [1., 3., 5., 7., 5., 5., 5., -2., -3., 1000.]);
        assert_eq!(points("_ _x2 {{count:1}}x1").unwrap()[..3], [Point::Missing; 3]);
        assert_eq!(points("{{count:1}}+{{count:2}}x1").unwrap(), [Point::Histogram; 2]);
        assert!(
            matches!(points("stale").unwrap()[..], [Point::Float(v)] if crate::query::source::is_stale(v))
        );
        for wrong in ["a", "1+2", "1xx", "1x-1", "_y", "stale1", "stalex2", "1,2", "1x9999999"] {
            assert!(points(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_series_is_a_name_and_labels() {
        let (labels, rest) = metric(r#"up{job="a } b", x='y'} 1 2"#).unwrap();
        assert_eq!((labels.to_string().as_str(), rest), (r#"{__name__="up", job="a } b", x="y"}"#, " 1 2"));
        assert_eq!(metric("{} 1").unwrap().0, Labels::empty());
        for wrong in ["", "up{", "up{a=~\"b\"}", "up{a}", "1up"] {
            assert!(metric(wrong).is_err(), "{wrong}");
        }
    }
}
