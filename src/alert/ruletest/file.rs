//! Test files in promtool's format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::located;
use crate::alert::rules;
use crate::config::section::{Map, Reading};
use crate::config::yaml::{self, Node, Value};
use crate::config::{ConfigError, Place};
use crate::query::Labels;
use crate::query::notation::{self, Point};
use crate::query::promql::duration;
use crate::query::source::Sample;

/// A test file.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// `rule_files`, beside the test file where they are relative.
    pub rule_files: Vec<PathBuf>,
    /// `evaluation_interval`, milliseconds, above 0; 1 minute by default.
    pub interval: i64,
    /// `group_eval_order`.
    pub order: Vec<String>,
    /// `fuzzy_compare`: is a difference in the last bit none?
    pub fuzzy: bool,
    /// `tests`.
    pub tests: Vec<Test>,
}

/// One of `tests`.
#[derive(Clone, Debug)]
pub struct Test {
    /// `name`; may be empty.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// `input_series`, each ascending in time.
    pub series: Vec<(Labels, Vec<Sample>)>,
    /// `alert_rule_test`.
    pub alerts: Vec<AlertCase>,
    /// `promql_expr_test`.
    pub exprs: Vec<ExprCase>,
    /// `external_labels`.
    pub external_labels: BTreeMap<String, String>,
    /// `external_url`.
    pub external_url: String,
}

/// Which alerts fire at a time.
#[derive(Clone, Debug)]
pub struct AlertCase {
    /// `eval_time`, milliseconds.
    pub at: i64,
    /// `alertname`.
    pub name: String,
    /// `exp_alerts`: labels, `alertname` among them, and annotations.
    pub expected: Vec<(Labels, BTreeMap<String, String>)>,
    /// Its line in the file.
    pub line: usize,
}

/// What an expression gives at a time.
#[derive(Clone, Debug)]
pub struct ExprCase {
    /// `eval_time`, milliseconds.
    pub at: i64,
    /// `expr`.
    pub text: String,
    /// `exp_samples`.
    pub expected: Vec<(Labels, f64)>,
    /// Its line in the file.
    pub line: usize,
}

impl Test {
    /// What to call it.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.name.is_empty() { format!("the test in line {}", self.line) } else { self.name.clone() }
    }
}

/// Reads a test file.
///
/// # Errors
/// All that is wrong with it.
pub fn read(path: &Path) -> Result<TestFile, Vec<ConfigError>> {
    let text = rules::text(path).map_err(|message| {
        vec![ConfigError { place: Place::File(path.to_owned(), None), message, source_line: None }]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (root, mut faults) = yaml::parse(text);
    let none = |_: &str| None;
    let folder = path.parent().unwrap_or(Path::new(""));
    let reading = Reading::new(&none, folder, true);
    let read = Reader { reading: &reading }.file(root.as_ref(), folder);
    faults.extend(reading.into_faults());
    if faults.is_empty() {
        return Ok(read);
    }
    faults.sort_by_key(|(at, _)| *at);
    Err(located(path, text, faults))
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text.trim().is_empty())
}

struct Reader<'r, 'a> {
    reading: &'r Reading<'a>,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn file(&self, root: Option<&Node>, folder: &Path) -> TestFile {
        let mut file = TestFile {
            rule_files: Vec::new(),
            interval: 60_000,
            order: Vec::new(),
            fuzzy: false,
            tests: Vec::new(),
        };
        let Some(root) = root.filter(|root| root.value != Value::Null) else { return file };
        let Some(map) = self.reading.map(root, "a test file") else { return file };
        let files = self.texts(&map, "rule_files");
        file.rule_files = files.into_iter().map(|name| folder.join(name)).collect();
        if let Some(interval) = self.duration(&map, "evaluation_interval").filter(|interval| *interval > 0) {
            file.interval = interval;
        }
        file.order = self.texts(&map, "group_eval_order");
        for (i, name) in file.order.iter().enumerate() {
            if file.order[..i].contains(name) {
                map.fault("group_eval_order", format!("group name repeated in evaluation order: {name}"));
            }
        }
        file.fuzzy = map.flag("fuzzy_compare").unwrap_or(false);
        let tests = map.node("tests").map_or(&[][..], |node| self.reading.list(node, "tests"));
        for node in tests {
            if let Some(test) = self.reading.map(node, "a test") {
                file.tests.push(self.test(&test, node.at.line, file.interval));
                test.finish(&["start_timestamp"]);
            }
        }
        map.finish(&[]);
        file
    }

    fn test(&self, map: &Map<'_, 'a, '_>, line: usize, evaluation: i64) -> Test {
        let interval = self.duration(map, "interval").filter(|interval| *interval > 0).unwrap_or(evaluation);
        let mut series = Vec::new();
        for item in map.maps("input_series") {
            let labels = self.labels_of(&item, "series");
            let values = item.verbatim("values").unwrap_or_default();
            match notation::points(&values) {
                Ok(points) if points.contains(&Point::Histogram) => {
                    item.fault("values", "native histograms are not supported by this version");
                }
                Ok(points) => {
                    let samples = points.iter().enumerate().filter_map(|(i, point)| match point {
                        Point::Float(v) => {
                            Some(Sample { t: interval.checked_mul(i64::try_from(i).ok()?)?, v: *v })
                        }
                        Point::Missing | Point::Histogram => None,
                    });
                    series.extend(labels.map(|labels| (labels, samples.collect())));
                }
                Err(message) => item.fault("values", message),
            }
            item.finish(&[]);
        }
        let test = Test {
            name: map.verbatim("name").unwrap_or_default(),
            line,
            series,
            alerts: map.maps("alert_rule_test").into_iter().map(|case| self.alert_case(case)).collect(),
            exprs: map.maps("promql_expr_test").into_iter().map(|case| self.expr_case(case)).collect(),
            external_labels: self.pairs(map, "external_labels"),
            external_url: map.verbatim("external_url").unwrap_or_default(),
        };
        for case in &test.alerts {
            if case.name.is_empty() {
                map.fault("alert_rule_test", format!("line {}: `alertname` must be given", case.line));
            }
        }
        test
    }

    fn alert_case(&self, case: Map<'_, 'a, '_>) -> AlertCase {
        let name = case.verbatim("alertname").unwrap_or_default();
        let expected = case.maps("exp_alerts").into_iter().map(|alert| {
            let labels = self.pairs(&alert, "exp_labels");
            let annotations = self.pairs(&alert, "exp_annotations");
            alert.finish(&[]);
            let named =
                labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain([("alertname", name.as_str())]);
            (Labels::new(named), annotations)
        });
        let expected = expected.collect();
        let at = self.duration(&case, "eval_time").unwrap_or(0);
        let line = case.place("alertname").line;
        case.finish(&[]);
        AlertCase { at, name, expected, line }
    }

    fn expr_case(&self, case: Map<'_, 'a, '_>) -> ExprCase {
        let expected = case.maps("exp_samples").into_iter().filter_map(|sample| {
            // A scalar's sample has none; they may be left out then.
            let named =
                sample.node("labels").is_some_and(|node| node.value != Value::Null && !is_empty(node));
            let labels = if named { self.labels_of(&sample, "labels") } else { Some(Labels::empty()) };
            let value = sample.node("value").map_or(Some(0.0), |node| self.value(node));
            sample.finish(&["histogram"]);
            Some((labels?, value?))
        });
        let expected = expected.collect();
        let at = self.duration(&case, "eval_time").unwrap_or(0);
        let text = case.verbatim("expr").unwrap_or_default();
        let line = case.place("expr").line;
        case.finish(&[]);
        ExprCase { at, text, expected, line }
    }

    /// A series by name and labels, with nothing behind.
    fn labels_of(&self, map: &Map<'_, 'a, '_>, key: &'static str) -> Option<Labels> {
        let text = map.verbatim(key).unwrap_or_default();
        match notation::metric(&text) {
            Ok((labels, rest)) if rest.trim().is_empty() => Some(labels),
            Ok((_, rest)) => {
                map.fault(key, format!("unexpected {:?} behind the series", rest.trim()));
                None
            }
            Err(message) => {
                map.fault(key, message);
                None
            }
        }
    }

    /// A number as YAML has it.
    fn value(&self, node: &Node) -> Option<f64> {
        let Value::Scalar { text, quoted } = &node.value else {
            self.reading.fault(node.at, "`value` must be a number");
            return None;
        };
        let plain = text.replace('_', "");
        let lower = plain.trim_start_matches(['+', '-']).to_lowercase();
        let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
        let based = |digits: &str, radix| i64::from_str_radix(digits, radix).ok();
        #[allow(clippy::cast_precision_loss, reason = "as YAML libraries do")]
        let value = match lower.as_str() {
            _ if *quoted => None,
            ".inf" => Some(sign * f64::INFINITY),
            ".nan" => Some(f64::NAN),
            _ if lower.starts_with("0x") => based(&lower[2..], 16).map(|n| sign * n as f64),
            _ if lower.starts_with("0o") => based(&lower[2..], 8).map(|n| sign * n as f64),
            _ if lower.starts_with("0b") => based(&lower[2..], 2).map(|n| sign * n as f64),
            _ if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => plain.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.reading.fault(node.at, format!("`value` must be a number, unquoted, not {text:?}"));
        }
        value
    }

    fn duration(&self, map: &Map<'_, 'a, '_>, key: &'static str) -> Option<i64> {
        let text = map.verbatim(key)?;
        let parsed = if text == "0" { Ok(0) } else { duration::parse(&text) };
        parsed.map_err(|message| map.fault(key, message)).ok()
    }

    fn texts(&self, map: &Map<'_, 'a, '_>, key: &'static str) -> Vec<String> {
        let items = map.node(key).map_or(&[][..], |node| self.reading.list(node, key));
        items.iter().filter_map(|item| self.text(item, key)).collect()
    }

    /// Names with texts, taken as they are.
    fn pairs(&self, map: &Map<'_, 'a, '_>, key: &'static str) -> BTreeMap<String, String> {
        let Some(node) = map.node(key) else { return BTreeMap::new() };
        let Value::Map(entries) = &node.value else {
            let found = node.value.name();
            self.reading.fault(node.at, format!("`{key}` must be a mapping of names to texts, not {found}"));
            return BTreeMap::new();
        };
        let pair =
            |(name, value): &(yaml::Key, Node)| Some((name.text.clone(), self.text(value, &name.text)?));
        entries.iter().filter_map(pair).collect()
    }

    fn text(&self, node: &Node, name: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            Value::Null => Some(String::new()),
            other => {
                let found = other.name();
                self.reading.fault(node.at, format!("`{name}` must be a single value, not {found}"));
                None
            }
        }
    }
}
