//! The script format.

pub use gaugecast::query::notation::Point;
use gaugecast::query::promql::duration;
use gaugecast::query::{Sample, notation};

use super::Metric;

/// One command of a script.
#[derive(Debug)]
pub enum Command {
    Clear,
    Load { series: Vec<SeriesLine>, custom_buckets: bool },
    Eval(Case),
}

/// When a query is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// A query and what is expected of it.
#[derive(Debug)]
pub struct Case {
    pub line: usize,
    pub query: String,
    pub when: When,
    pub expects: Vec<Expect>,
    /// Times of the points of expected series, for results that are ranges.
    pub grid: Option<(i64, i64)>,
    pub series: Vec<SeriesLine>,
    /// The lone number of an expected scalar.
    pub scalar: Option<f64>,
}

/// What is expected beside values.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    Fail(Text),
    Warn(Text),
    Info(Text),
    NoWarn,
    NoInfo,
    Ordered,
    Text(String),
}

/// How a message must read.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    Any,
    Exact(String),
    Pattern(String),
}

/// A series with its points, `step` apart from `start`.
#[derive(Clone, Debug)]
pub struct SeriesLine {
    pub metric: Metric,
    pub points: Vec<Point>,
    pub start: i64,
    pub step: i64,
}

impl SeriesLine {
    pub fn has_histograms(&self) -> bool {
        self.points.contains(&Point::Histogram)
    }

    /// The points that are floats.
    pub fn samples(&self) -> Vec<Sample> {
        let at = |i: usize| self.start + self.step * i64::try_from(i).unwrap();
        let points = self.points.iter().enumerate();
        points
            .filter_map(|(i, point)| match point {
                Point::Float(v) => Some(Sample { t: at(i), v: *v }),
                _ => None,
            })
            .collect()
    }
}

impl Case {
    pub fn ordered(&self) -> bool {
        self.expects.contains(&Expect::Ordered)
    }

    pub fn fails(&self) -> Option<&Text> {
        self.expects.iter().find_map(|expect| match expect {
            Expect::Fail(text) => Some(text),
            _ => None,
        })
    }

    pub fn expects_histograms(&self) -> bool {
        self.series.iter().any(SeriesLine::has_histograms)
    }
}

/// Reads a script. A fault of the script is a panic that names the line.
pub fn parse(name: &str, text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text.lines().collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        let number = at + 1;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The block is what follows up to the next empty line; comments may stand in it.
        let mut block = Vec::new();
        let takes_block = line.starts_with("load") || line.starts_with("eval");
        while takes_block && at < lines.len() && !lines[at].trim().is_empty() {
            let next = lines[at].trim();
            if !next.starts_with('#') {
                block.push(next);
            }
            at += 1;
        }
        let context = format!("{name}:{number}: {line}");
        if line == "clear" {
            commands.push(Command::Clear);
        } else if let Some(rest) = line.strip_prefix("load") {
            let (custom_buckets, step) = match rest.strip_prefix("_with_nhcb") {
                Some(step) => (true, step),
                None => (false, rest),
            };
            let step = time(step.trim(), &context);
            let series = block.iter().map(|line| series(line, 0, step, &context)).collect();
            commands.push(Command::Load { series, custom_buckets });
        } else if line.starts_with("eval") {
            commands.push(Command::Eval(case(line, number, &block, &context)));
        } else {
            panic!("{context}: unknown command");
        }
    }
    commands
}

fn case(line: &str, number: usize, block: &[&str], context: &str) -> Case {
    let mut words = line.splitn(2, char::is_whitespace);
    let mut expects = Vec::new();
    match words.next().unwrap() {
        "eval" => {}
        "eval_fail" => expects.push(Expect::Fail(Text::Any)),
        "eval_warn" => expects.push(Expect::Warn(Text::Any)),
        "eval_info" => expects.push(Expect::Info(Text::Any)),
        "eval_ordered" => expects.push(Expect::Ordered),
        other => panic!("{context}: unknown command {other}"),
    }
    let rest = words.next().unwrap().trim();
    let (when, query) = if let Some(rest) = rest.strip_prefix("instant at ") {
        let (at, query) = rest.trim().split_once(char::is_whitespace).unwrap();
        (When::Instant(time(at, context)), query)
    } else if let Some(rest) = rest.strip_prefix("instant ") {
        (When::Instant(0), rest)
    } else {
        let rest = rest.strip_prefix("range from ").unwrap_or_else(|| panic!("{context}: what is it?"));
        let (start, rest) = rest.split_once(" to ").unwrap();
        let (end, rest) = rest.split_once(" step ").unwrap();
        let (step, query) = rest.trim().split_once(char::is_whitespace).unwrap();
        let (start, end, step) =
            (time(start.trim(), context), time(end.trim(), context), time(step, context));
        (When::Range { start, end, step }, query)
    };
    let mut grid = match when {
        When::Instant(_) => None,
        When::Range { start, step, .. } => Some((start, step)),
    };
    let (mut lines, mut scalar) = (Vec::new(), None);
    for line in block {
        if let Some(rest) = line.strip_prefix("expect ") {
            if let Some(rest) = rest.strip_prefix("range vector from ") {
                let (start, rest) = rest.split_once(" to ").unwrap();
                let step = rest.split_once(" step ").unwrap().1;
                grid = Some((time(start.trim(), context), time(step.trim(), context)));
            } else {
                expects.push(expect(rest, context));
            }
        } else if let Some(message) = line.strip_prefix("expected_fail_message ") {
            expects.retain(|expect| !matches!(expect, Expect::Fail(_)));
            expects.push(Expect::Fail(Text::Exact(message.trim().to_owned())));
        } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
            expects.retain(|expect| !matches!(expect, Expect::Fail(_)));
            expects.push(Expect::Fail(Text::Pattern(pattern.trim().to_owned())));
        } else if let Some(number) = notation::number(line) {
            scalar = Some(number);
        } else {
            lines.push(*line);
        }
    }
    let (start, step) = grid.unwrap_or((0, 1));
    let series = lines.iter().map(|line| series(line, start, step, context)).collect();
    Case { line: number, query: query.trim().to_owned(), when, expects, grid, series, scalar }
}

fn expect(text: &str, context: &str) -> Expect {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let message = || {
        if let Some(exact) = rest.strip_prefix("msg:") {
            Text::Exact(exact.trim().to_owned())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Text::Pattern(pattern.trim().to_owned())
        } else {
            assert!(rest.is_empty(), "{context}: {text}");
            Text::Any
        }
    };
    match word {
        "fail" => Expect::Fail(message()),
        "warn" => Expect::Warn(message()),
        "info" => Expect::Info(message()),
        "no_warn" => Expect::NoWarn,
        "no_info" => Expect::NoInfo,
        "ordered" => Expect::Ordered,
        "string" => Expect::Text(rest[1..rest.len() - 1].to_owned()),
        other => panic!("{context}: unknown expectation {other}"),
    }
}

/// A duration or seconds, as milliseconds.
#[allow(clippy::cast_possible_truncation)]
fn time(text: &str, context: &str) -> i64 {
    let negative = text.strip_prefix('-');
    let bare = negative.unwrap_or(text);
    let ms = duration::parse(bare).unwrap_or_else(|_| {
        let seconds: f64 = bare.parse().unwrap_or_else(|_| panic!("{context}: no time: {text}"));
        (seconds * 1000.0).round() as i64
    });
    if negative.is_some() { -ms } else { ms }
}

/// `name{labels} points`, or `{labels} points`.
fn series(line: &str, start: i64, step: i64, context: &str) -> SeriesLine {
    let (labels, values) = notation::metric(line).unwrap_or_else(|why| panic!("{context}: {line}: {why}"));
    let points = notation::points(values).unwrap_or_else(|why| panic!("{context}: {line}: {why}"));
    let metric = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    SeriesLine { metric, points, start, step }
}
