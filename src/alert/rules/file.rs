//! Rule files as Prometheus has them: strictly read, each fault with its place.
//!
//! What Prometheus refuses is refused, and more at once: it ends at the first fault of a file. Expressions, templates and our own
//! annotations are judged here, so that what has been read can be evaluated.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::condition::{self, Clear, NoData};
use super::position;
use crate::alert::template::Template;
use crate::config::Position;
use crate::config::section::{Map, Reading};
use crate::config::yaml::{self, Node, Value};
use crate::query::promql::ast::Expr;
use crate::query::promql::{self, duration};

/// A rule file that was read.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Where it is; for one of ours its name.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// Its groups, in their order.
    pub groups: Vec<Arc<GroupSpec>>,
}

/// Files are the same if their text is.
impl PartialEq for RuleFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for RuleFile {}

/// A group as the file has it.
#[derive(Clone, Debug)]
pub struct GroupSpec {
    /// The file.
    pub file: Arc<str>,
    /// `name`, unique within the file.
    pub name: Arc<str>,
    /// `interval`; `None` is that of the configuration.
    pub interval: Option<Duration>,
    /// `limit`: most alerts or samples of a rule; 0 is no limit.
    pub limit: usize,
    /// `query_offset`: so long ago is what is asked for.
    pub query_offset: Duration,
    /// The rules, in the order of their evaluation.
    pub rules: Vec<Arc<RuleSpec>>,
}

/// A rule as the file has it.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    /// `alert` or `record`.
    pub name: Arc<str>,
    /// `expr` as written.
    pub text: Arc<str>,
    /// `expr`.
    pub expr: Expr,
    /// `labels`, those of the group included.
    pub labels: BTreeMap<String, Text>,
    /// What it gives.
    pub kind: RuleKind,
    /// Where it begins in the file.
    pub at: Position,
}

/// The text of a label or an annotation.
#[derive(Clone, Debug)]
pub struct Text {
    /// As written.
    pub text: String,
    /// Read; nothing in a rule that records, whose labels are taken as they are.
    pub template: Option<Template>,
}

/// What a rule gives.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// Series.
    Recording,
    /// Alerts.
    Alerting(Alerting),
}

/// What only a rule that alerts has.
#[derive(Clone, Debug)]
pub struct Alerting {
    /// `for`: so long an alert is pending before it fires.
    pub hold: Duration,
    /// `keep_firing_for`: so long it still fires when its condition is over.
    pub keep: Duration,
    /// `annotations`.
    pub annotations: BTreeMap<String, Text>,
    /// `gaugecast_no_data`.
    pub no_data: NoData,
    /// `gaugecast_clear_below`, `gaugecast_clear_above`.
    pub clear: Option<Clear>,
    /// What is compared: the left sides of the comparisons on which the condition rests. Empty where it has no such shape.
    pub compared: Vec<Expr>,
}

/// Annotations that are for us and not for who is told.
pub const OURS: &str = "gaugecast_";

/// Reads a rule file. Gives what could be read, and everything that is wrong with it, in the order of the file. `path` is what the
/// file is called.
pub fn parse(path: &Path, text: &str) -> (RuleFile, Vec<(Position, String)>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (root, mut faults) = yaml::parse(text);
    let mut file = RuleFile { path: path.to_owned(), text: text.into(), groups: Vec::new() };
    if let Some(root) = root.filter(|root| root.value != Value::Null) {
        let none = |_: &str| None;
        let reading = Reading::new(&none, Path::new(""), true);
        let name: Arc<str> = path.display().to_string().into();
        file.groups = Reader { reading: &reading, text, file: name }.file(&root);
        faults.extend(reading.into_faults());
    }
    faults.sort_by_key(|(at, _)| *at);
    (file, faults)
}

struct Reader<'r, 'a> {
    reading: &'r Reading<'a>,
    text: &'r str,
    file: Arc<str>,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn file(&self, root: &Node) -> Vec<Arc<GroupSpec>> {
        let Some(map) = self.reading.map(root, "a rule file") else { return Vec::new() };
        let groups = map.node("groups");
        let nodes = groups.map_or(&[][..], |node| self.reading.list(node, "groups"));
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        let mut read = Vec::new();
        for node in nodes {
            let Some(map) = self.reading.map(node, "a group") else { continue };
            let group = self.group(&map);
            match seen.get(&group.name) {
                Some(line) => {
                    let message =
                        format!("groupname: {:?} is repeated in the same file (line {line})", &*group.name);
                    map.fault("name", message);
                }
                None => {
                    seen.insert(Arc::clone(&group.name), map.place("name").line);
                }
            }
            map.finish(&["partial_response_strategy"]);
            read.push(Arc::new(group));
        }
        map.finish(&[]);
        read
    }

    fn group(&self, map: &Map<'_, 'a, '_>) -> GroupSpec {
        let name = map.verbatim("name").unwrap_or_default();
        if name.is_empty() {
            map.fault("name", "Groupname must not be empty");
        }
        let interval = self.duration(map, "interval").filter(|interval| !interval.is_zero());
        let query_offset = self.duration(map, "query_offset").unwrap_or_default();
        let limit = map.verbatim("limit").and_then(|text| match text.parse::<i64>() {
            Ok(limit) => usize::try_from(limit).ok(), // below 0 is no limit, as in Prometheus
            Err(_) => {
                map.fault("limit", format!("{text:?} is not a whole number"));
                None
            }
        });
        let labels = self.pairs(map, "labels", Pairs::Labels);
        let rules = map.node("rules");
        let nodes = rules.map_or(&[][..], |node| self.reading.list(node, "rules"));
        let rule = |node| {
            let map = self.reading.map(node, "a rule")?;
            let rule = self.rule(&map, node.at, &labels);
            map.finish(&[]);
            rule.map(Arc::new)
        };
        GroupSpec {
            file: Arc::clone(&self.file),
            name: name.into(),
            interval,
            limit: limit.unwrap_or(0),
            query_offset,
            rules: nodes.iter().filter_map(rule).collect(),
        }
    }

    fn rule(
        &self,
        map: &Map<'_, 'a, '_>,
        at: Position,
        of_group: &BTreeMap<String, Text>,
    ) -> Option<RuleSpec> {
        let (alert, record) = (map.verbatim("alert"), map.verbatim("record"));
        let given = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
        let expr_node = map.node("expr");
        let text = map.verbatim("expr").unwrap_or_default();
        let hold = self.duration(map, "for");
        let keep = self.duration(map, "keep_firing_for");
        let is_record = given(&record);
        let own = self.pairs(map, "labels", if is_record { Pairs::Literals } else { Pairs::Labels });
        let annotations = self.pairs(map, "annotations", Pairs::Annotations);
        match (given(&alert), given(&record)) {
            (true, true) => map.fault("record", "only one of 'record' and 'alert' must be set"),
            (false, false) if alert.is_some() => map.fault("alert", "`alert` must not be empty"),
            (false, false) if record.is_some() => map.fault("record", "`record` must not be empty"),
            (false, false) => map.fault("", "one of 'record' or 'alert' must be set"),
            _ => {}
        }
        let expr = match expr_node {
            _ if text.is_empty() => {
                map.fault("expr", "field 'expr' must be set in rule");
                None
            }
            Some(node) => match promql::parse(&text) {
                Ok(expr) => Some(expr),
                Err(error) => {
                    let byte = position::offset(&text, &error.position);
                    let at = position::within(self.text, node, &text, byte);
                    self.reading.fault(at, format!("could not parse expression: {}", error.reason));
                    None
                }
            },
            None => None,
        };
        if is_record {
            let name = record.as_deref().unwrap_or_default();
            if !metric_name(name) {
                map.fault("record", format!("invalid recording rule name: {name}"));
            }
            for (key, is_set) in [
                ("annotations", !annotations.is_empty()),
                ("for", hold.is_some_and(|hold| !hold.is_zero())),
                ("keep_firing_for", keep.is_some_and(|keep| !keep.is_zero())),
            ] {
                if is_set {
                    map.fault(key, format!("invalid field '{key}' in recording rule"));
                }
            }
        }
        let mut labels = of_group.clone();
        labels.extend(own);
        if is_record {
            labels.values_mut().for_each(|label| label.template = None);
        }
        let expr = expr?;
        let kind = if is_record {
            RuleKind::Recording
        } else {
            RuleKind::Alerting(self.alerting(map, expr_node?, &text, &expr, hold, keep, annotations))
        };
        let name = if is_record { record } else { alert }.unwrap_or_default();
        Some(RuleSpec { name: name.into(), text: text.into(), expr, labels, kind, at })
    }

    #[allow(clippy::too_many_arguments)] // the keys of a rule
    fn alerting(
        &self,
        map: &Map<'_, 'a, '_>,
        expr_node: &Node,
        text: &str,
        expr: &Expr,
        hold: Option<Duration>,
        keep: Option<Duration>,
        annotations: BTreeMap<String, Text>,
    ) -> Alerting {
        let place = |key: &str| match map.node("annotations").map(|node| &node.value) {
            Some(Value::Map(entries)) => {
                entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node.at)
            }
            _ => None,
        };
        let fault = |key: &str, message: String| {
            if let Some(at) = place(key) {
                self.reading.fault(at, message);
            }
        };
        let no_data =
            annotations.get(condition::NO_DATA).map_or(Ok(NoData::default()), |word| word.text.parse());
        let no_data = no_data.unwrap_or_else(|message: String| {
            fault(condition::NO_DATA, message);
            NoData::default()
        });
        let compared = condition::compared(expr);
        let clear = condition::clear(&annotations, expr).unwrap_or_else(|wrong| {
            match wrong.byte {
                Some(byte) => {
                    let at = position::within(self.text, expr_node, text, byte);
                    self.reading.fault(at, wrong.message);
                }
                None => fault(wrong.key, wrong.message),
            }
            None
        });
        for (key, _) in annotations.iter().filter(|(key, _)| key.starts_with(OURS)) {
            if !condition::ANNOTATIONS.contains(&key.as_str()) {
                let near = crate::spelling::nearest(
                    key,
                    condition::ANNOTATIONS.iter().map(|known| (*known).to_owned()),
                );
                let hint = near.map_or_else(
                    || format!("known are {}", condition::ANNOTATIONS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                fault(key, format!("unknown annotation `{key}` of gaugecast; {hint}"));
            }
        }
        Alerting {
            hold: hold.unwrap_or_default(),
            keep: keep.unwrap_or_default(),
            annotations,
            no_data,
            clear,
            compared,
        }
    }

    fn duration(&self, map: &Map<'_, 'a, '_>, key: &'static str) -> Option<Duration> {
        let text = map.verbatim(key)?;
        match duration::parse(&text) {
            Ok(ms) => Some(Duration::from_millis(ms.unsigned_abs())),
            Err(message) => {
                map.fault(key, message);
                None
            }
        }
    }

    /// Names with their texts. A text is a template in a rule; in a group it is taken as one, too, as Prometheus does.
    fn pairs(&self, map: &Map<'_, 'a, '_>, key: &'static str, what: Pairs) -> BTreeMap<String, Text> {
        let mut pairs = BTreeMap::new();
        let Some(node) = map.node(key) else { return pairs };
        let Value::Map(entries) = &node.value else {
            let found = node.value.name();
            self.reading.fault(node.at, format!("`{key}` must be a mapping of names to texts, not {found}"));
            return pairs;
        };
        for (name, value) in entries {
            if !label_name(&name.text) || (what != Pairs::Annotations && name.text == "__name__") {
                self.reading.fault(name.at, format!("invalid {} name: {}", what.word(), name.text));
                continue;
            }
            let text = match &value.value {
                Value::Scalar { text, .. } => text.as_str(),
                Value::Null => "",
                other => {
                    let message = format!("`{}` must be a single value, not {}", name.text, other.name());
                    self.reading.fault(value.at, message);
                    continue;
                }
            };
            let mut keep =
                |template| pairs.insert(name.text.clone(), Text { text: text.to_owned(), template });
            if what == Pairs::Literals {
                keep(None);
                continue;
            }
            match Template::parse(text) {
                Ok(template) => {
                    keep(Some(template));
                }
                Err(error) => {
                    let byte = position::offset_of_char(text, error.line, error.column);
                    let at = position::within(self.text, value, text, byte);
                    let message = format!("{} {:?}: {}", what.word(), name.text, error.message);
                    self.reading.fault(at, message);
                }
            }
        }
        pairs
    }
}

/// What pairs are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Labels,
    /// Labels without templates.
    Literals,
    Annotations,
}

impl Pairs {
    fn word(self) -> &'static str {
        match self {
            Pairs::Labels | Pairs::Literals => "label",
            Pairs::Annotations => "annotation",
        }
    }
}

fn label_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn metric_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}
