//! Structured parts of the file: lists of mappings in Prometheus' own shape, such as `scrape_configs`.
//!
//! What a table of settings cannot say is a [`Part`]: a key of the file, and the function of the subsystem that reads
//! what stands under it into its `Config`. That function walks the tree with a [`Map`] for each mapping: it asks for
//! the keys it knows, by type, and says [`Map::finish`]; what was not asked for is an unknown key. Every fault is
//! noted with its position and reading goes on, so that all are told at once.
//!
//! Parts are read last, when the settings of all sources are known, since they inherit from those. Values are
//! expanded (`${NAME}`) but for those that are [verbatim](Map::verbatim).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;
use super::error::{Position, plain};
use super::file::expand;
use super::render::quote;
use super::secret::{Credential, Secret};
use super::units::{parse_duration, parse_size};
use super::yaml::{Fault, Key, Node, Value};
use crate::spelling;

/// A structured part of the file.
#[derive(Debug)]
pub struct Part {
    /// Where it stands: `scrape_configs`, `global.external_labels`.
    pub key: &'static str,
    /// One line, no full stop.
    pub help: &'static str,
    /// Is it a list of mappings, or else one mapping?
    pub list: bool,
    /// What could stand there: lines of YAML.
    pub example: &'static str,
    /// It is read at the start only; the others follow a reload.
    pub at_start: bool,
    /// Reads it.
    pub(crate) read: fn(&mut Config, &Reading<'_>, &Node),
    /// Do two configurations differ in it?
    pub(crate) differs: fn(&Config, &Config) -> bool,
}

/// All parts, in the order they are read and shown.
#[must_use]
pub fn parts() -> &'static [Part] {
    const PARTS: &[Part] = &[
        Part {
            key: "global.external_labels",
            help: "Labels of this server, given to what leaves it by federation and remote write",
            list: false,
            example: "region: eu",
            at_start: true,
            read: |config, reading, node| config.external_labels = reading.labels(node),
            differs: |a, b| a.external_labels != b.external_labels,
        },
        Part {
            key: "scrape_configs",
            help: "Targets to scrape, as in Prometheus; see scraping.md",
            list: true,
            example: "- job_name: node\n  static_configs:\n    - targets: ['localhost:9100']",
            at_start: false,
            read: crate::collect::scrape::read,
            differs: |a, b| a.scrape.jobs != b.scrape.jobs,
        },
        Part {
            key: "rule_files",
            help: "Rule files as Prometheus has them, `*` and `?` possible; see alerting.md",
            list: true,
            example: "- 'rules/*.yml'",
            at_start: false,
            read: crate::alert::rules::read_patterns,
            differs: |a, b| {
                let (a, b) = (&a.alert.rules, &b.alert.rules);
                (&a.patterns, &a.files) != (&b.patterns, &b.files)
            },
        },
        Part {
            key: "remote_write",
            help: "Receivers of all samples, as in Prometheus; see remote-write.md",
            list: true,
            example: "- url: http://localhost:9090/api/v1/write",
            at_start: false,
            read: crate::remote::send::read,
            differs: |a, b| a.remote_write != b.remote_write,
        },
        Part {
            key: "alerting",
            help: "Alertmanagers that are told of all alerts, as in Prometheus; see alerting.md",
            list: false,
            example: "alertmanagers:\n  - static_configs:\n      - targets: ['localhost:9093']",
            at_start: false,
            read: crate::alert::receivers::read_alerting,
            differs: |a, b| a.alert.receivers.alerting != b.alert.receivers.alerting,
        },
        Part {
            key: "receivers",
            help: "Who is told of alerts, and how, as in Alertmanager; see alerting.md",
            list: true,
            example: "- name: team\n  webhook_configs:\n    - url: http://localhost:8080/alerts\n- name: pager\n  webhook_configs:\n    - url: http://localhost:8080/page",
            at_start: false,
            read: crate::alert::receivers::read,
            differs: |a, b| a.alert.receivers.receivers != b.alert.receivers.receivers,
        },
        // Below the receivers, whose names it checks.
        Part {
            key: "route",
            help: "Who is told of which alert, as in Alertmanager; see alerting.md",
            list: false,
            example: "receiver: team\ngroup_by: [alertname]\nroutes:\n  - matchers: ['severity=\"critical\"']\n    receiver: pager",
            at_start: false,
            read: crate::alert::manager::read_route,
            differs: |a, b| a.alert.manager.route != b.alert.manager.route,
        },
        Part {
            key: "inhibit_rules",
            help: "Which alerts make others not worth a notification, as in Alertmanager; see alerting.md",
            list: true,
            example: "- source_matchers: ['alertname=\"HostDown\"']\n  target_matchers: ['severity=\"warning\"']\n  equal: [instance]",
            at_start: false,
            read: crate::alert::manager::read_inhibit_rules,
            differs: |a, b| a.alert.manager.inhibit_rules != b.alert.manager.inhibit_rules,
        },
        Part {
            key: "detect.watches",
            help: "Series that are watched for anomalies, in place of those by default; see anomalies.md",
            list: true,
            example: "- name: queue\n  match: ['queue_length']\n  direction: above",
            at_start: true,
            read: crate::detect::watch::read,
            differs: |a, b| a.detect.watches != b.detect.watches,
        },
    ];
    PARTS
}

/// A part as the file has it, for `config show`: variables expanded, secrets as `<secret>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// [`Part::key`].
    pub key: &'static str,
    /// What stands under the key, as YAML without indentation; ends with a newline.
    pub yaml: String,
}

/// What is known while a tree is read, and what is found wrong with it.
pub(crate) struct Reading<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    folder: &'a Path,
    /// Are the settings that a part inherits from without faults? Only then can it be judged against them.
    pub(crate) settled: bool,
    faults: RefCell<Vec<Fault>>,
    secrets: RefCell<Vec<Position>>,
    verbatim: RefCell<Vec<Position>>,
}

impl<'a> Reading<'a> {
    /// `env` is what `${NAME}` stands for, `folder` what relative paths are relative to.
    pub(crate) fn new(env: &'a dyn Fn(&str) -> Option<String>, folder: &'a Path, settled: bool) -> Self {
        Reading {
            env,
            folder,
            settled,
            faults: RefCell::default(),
            secrets: RefCell::default(),
            verbatim: RefCell::default(),
        }
    }

    /// Notes what is wrong.
    pub(crate) fn fault(&self, at: Position, message: impl AsRef<str>) {
        self.faults.borrow_mut().push((at, message.as_ref().to_owned()));
    }

    /// What relative paths are relative to.
    pub(crate) fn folder(&self) -> &Path {
        self.folder
    }

    /// Everything that was found wrong.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Did a secret stand in the file?
    pub(crate) fn has_secrets(&self) -> bool {
        !self.secrets.borrow().is_empty()
    }

    /// A mapping; `name` is what it is called in an error. Nothing, if it is something else.
    pub(crate) fn map<'n>(&self, node: &'n Node, name: &str) -> Option<Map<'_, 'a, 'n>> {
        match &node.value {
            Value::Map(entries) => {
                let known = RefCell::default();
                Some(Map { reading: self, name: name.to_owned(), at: node.at, entries, known })
            }
            other => {
                self.fault(node.at, format!("{name} must be a mapping, not {}", other.name()));
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&self, node: &'n Node, name: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            other => {
                self.fault(node.at, format!("`{name}` must be a list, not {}", other.name()));
                &[]
            }
        }
    }

    /// A single value with its variables expanded.
    pub(crate) fn scalar(&self, node: &Node, name: &str) -> Option<String> {
        match expand(self.unexpanded(node, name)?, self.env) {
            Ok(text) => Some(text),
            Err(message) => {
                self.fault(node.at, message);
                None
            }
        }
    }

    fn unexpanded<'n>(&self, node: &'n Node, name: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text),
            other => {
                self.fault(node.at, format!("`{name}` must be a single value, not {}", other.name()));
                None
            }
        }
    }

    /// A mapping of label names to values.
    pub(crate) fn labels(&self, node: &Node) -> BTreeMap<String, String> {
        let Value::Map(entries) = &node.value else {
            let what = node.value.name();
            self.fault(node.at, format!("labels must be a mapping of names to values, not {what}"));
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (key, value) in entries {
            if key.text.is_empty() {
                self.fault(key.at, "a label name is empty");
            } else if let Some(text) = self.scalar_or_empty(value, &key.text) {
                labels.insert(key.text.clone(), text);
            }
        }
        labels
    }

    fn scalar_or_empty(&self, node: &Node, name: &str) -> Option<String> {
        if node.value == Value::Null { Some(String::new()) } else { self.scalar(node, name) }
    }

    /// The tree as YAML, expanded, with secrets masked.
    pub(crate) fn written(&self, key: &'static str, node: &Node) -> Written {
        let mut yaml = String::new();
        self.write(node, 0, &mut yaml);
        Written { key, yaml }
    }

    fn write(&self, node: &Node, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let _ = write!(out, "{indent}{}:", quote(&key.text));
                    self.write_under(value, depth + 1, out);
                }
            }
            Value::List(items) => {
                for item in items {
                    let mut inner = String::new();
                    match &item.value {
                        Value::Map(entries) if !entries.is_empty() => {
                            self.write(item, depth + 1, &mut inner);
                            let _ = write!(out, "{indent}- {}", inner.trim_start());
                        }
                        _ => {
                            let _ = write!(out, "{indent}-");
                            self.write_under(item, depth + 1, out);
                        }
                    }
                }
            }
            Value::Scalar { .. } | Value::Null => {
                let _ = writeln!(out, "{indent}{}", self.one(node));
            }
        }
    }

    /// Behind a colon or a dash.
    fn write_under(&self, node: &Node, depth: usize, out: &mut String) {
        match &node.value {
            Value::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
            Value::List(items) if items.is_empty() => out.push_str(" []\n"),
            Value::Map(_) | Value::List(_) => {
                out.push('\n');
                self.write(node, depth, out);
            }
            Value::Null => out.push('\n'),
            Value::Scalar { .. } => {
                let _ = writeln!(out, " {}", self.one(node));
            }
        }
    }

    fn one(&self, node: &Node) -> String {
        let Value::Scalar { text, quoted } = &node.value else { return String::new() };
        if self.secrets.borrow().contains(&node.at) {
            "<secret>".into()
        } else if let Some((url, _)) = text.split_once('?').filter(|(url, _)| is_url(url)) {
            // Keys of services often stand behind it.
            quote(&format!("{url}?<secret>"))
        } else if !quoted && (!text.contains(['$', '\n'])) {
            text.clone()
        } else if self.verbatim.borrow().contains(&node.at) {
            quote(text).replace("$${", "${")
        } else {
            quote(&expand(text, self.env).unwrap_or_else(|_| text.clone()))
        }
    }
}

fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

/// A mapping whose keys are asked for one by one.
pub(crate) struct Map<'r, 'a, 'n> {
    reading: &'r Reading<'a>,
    name: String,
    at: Position,
    entries: &'n [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
}

impl<'r, 'a, 'n> Map<'r, 'a, 'n> {
    /// What stands under a key; nothing, if nothing does.
    pub(crate) fn node(&self, key: &'static str) -> Option<&'n Node> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        let (_, node) = self.entries.iter().find(|(known, _)| known.text == key)?;
        (node.value != Value::Null).then_some(node)
    }

    /// Where the value of a key stands, or else the mapping.
    pub(crate) fn place(&self, key: &str) -> Position {
        self.entries.iter().find(|(known, _)| known.text == key).map_or(self.at, |(_, node)| node.at)
    }

    /// Notes that the value of a key is wrong.
    pub(crate) fn fault(&self, key: &str, message: impl AsRef<str>) {
        self.reading.fault(self.place(key), message);
    }

    /// What reads this.
    pub(crate) fn reading(&self) -> &'r Reading<'a> {
        self.reading
    }

    /// A value that a function reads from text.
    pub(crate) fn parsed<T>(&self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let node = self.node(key)?;
        let text = self.reading.scalar(node, key)?;
        read(&text).map_err(|reason| self.reading.fault(node.at, plain(&reason))).ok()
    }

    /// A text.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.parsed(key, |text| Ok(text.to_owned()))
    }

    /// A text in which `${…}` means something else than a variable, or nothing: it is taken as it stands.
    pub(crate) fn verbatim(&self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        self.reading.verbatim.borrow_mut().push(node.at);
        self.reading.unexpanded(node, key).map(str::to_owned)
    }

    /// `true` or `false`, or YAML's older words for them.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        self.parsed(key, |text| match text {
            "true" | "True" | "TRUE" | "yes" | "on" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        })
    }

    /// A duration such as `1m30s`.
    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, parse_duration)
    }

    /// A size in bytes.
    pub(crate) fn size(&self, key: &'static str) -> Option<usize> {
        self.parsed(key, parse_size)
    }

    /// A whole number from 0.
    pub(crate) fn count(&self, key: &'static str) -> Option<usize> {
        self.parsed(key, |text| text.parse().map_err(|_| format!("{text:?} is not a whole number from 0")))
    }

    /// One of some words: its place in them.
    pub(crate) fn choice(&self, key: &'static str, words: &[&str]) -> Option<usize> {
        self.parsed(key, |text| match words.iter().position(|word| *word == text) {
            Some(at) => Ok(at),
            None => Err(format!("{text:?} is none of {}", words.join(", "))),
        })
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        let items = self.reading.list(node, key);
        Some(items.iter().filter_map(|item| self.reading.scalar(item, key)).collect())
    }

    /// A path; one that is relative is so to the folder of the file.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).filter(|text| !text.is_empty()).map(|text| self.reading.folder.join(text))
    }

    /// Labels.
    pub(crate) fn labels(&self, key: &'static str) -> BTreeMap<String, String> {
        self.node(key).map(|node| self.reading.labels(node)).unwrap_or_default()
    }

    /// The values of a mapping are shown to nobody: some of them may be secrets.
    pub(crate) fn hide(&self, key: &'static str) {
        if let Some(Value::Map(entries)) = self.node(key).map(|node| &node.value) {
            self.reading.secrets.borrow_mut().extend(entries.iter().map(|(_, value)| value.at));
        }
    }

    /// A secret, given here or in the file that another key names; both are an error.
    pub(crate) fn credential(&self, key: &'static str, file_key: &'static str) -> Option<Credential> {
        let given = self.node(key);
        let path = self.path(file_key);
        if let Some(node) = given {
            self.reading.secrets.borrow_mut().push(node.at);
            if path.is_some() {
                self.fault(file_key, format!("`{key}` and `{file_key}` are both given; one is enough"));
            }
            return self.reading.scalar(node, key).map(|text| Credential::Given(Secret::new(text)));
        }
        path.map(Credential::File)
    }

    /// A mapping under a key.
    pub(crate) fn map(&self, key: &'static str) -> Option<Map<'r, 'a, 'n>> {
        self.reading.map(self.node(key)?, &format!("`{key}`"))
    }

    /// The mappings in a list under a key.
    pub(crate) fn maps(&self, key: &'static str) -> Vec<Map<'r, 'a, 'n>> {
        let items = self.node(key).map_or(&[][..], |node| self.reading.list(node, key));
        items.iter().filter_map(|item| self.reading.map(item, &format!("an item of `{key}`"))).collect()
    }

    /// Every key has been asked for: what is left is not known. `unsupported` are keys that Prometheus has and this
    /// version has not.
    pub(crate) fn finish(self, unsupported: &[&str]) {
        let known = self.known.borrow();
        for (key, _) in self.entries.iter().filter(|(key, _)| !known.contains(&&*key.text)) {
            let shown = plain(&key.text);
            if unsupported.contains(&&*key.text) {
                self.reading.fault(key.at, format!("`{shown}` is not supported by this version"));
                continue;
            }
            // An empty key and a merge key have been told already.
            if key.text.is_empty() || key.text == "<<" {
                continue;
            }
            let hint = match spelling::nearest(&key.text, known.iter().map(|known| (*known).to_owned())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.reading.fault(key.at, format!("unknown key `{shown}` in {}; {hint}", self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn with<T>(text: &str, use_it: impl Fn(&Reading<'_>, &Node) -> T) -> (T, Vec<String>) {
        let env = |name: &str| (name == "A").then(|| "from outside".to_owned());
        let reading = Reading::new(&env, Path::new("/etc"), true);
        let node = yaml::parse(text).0.unwrap();
        let result = use_it(&reading, &node);
        let told = reading.into_faults().into_iter().map(|(at, m)| format!("{}:{} {m}", at.line, at.column));
        (result, told.collect())
    }

    #[test]
    fn a_mapping_is_read_by_type_and_all_faults_are_noted() {
        let text = "name: ${A}\nevery: 1m\nmax: 2MB\nmany: x\non: maybe\nwhere: a/b\nnaem: 1\nkube: 2\nvoid:\n\
                    list: [{a: 1}, 5]\nlabels: {a: 1, b: }\n";
        let (_, told) = with(text, |reading, node| {
            let map = reading.map(node, "`it`").unwrap();
            assert_eq!(map.text("name").as_deref(), Some("from outside"));
            assert_eq!(map.duration("every"), Some(Duration::from_secs(60)));
            assert_eq!(map.size("max"), Some(2 << 20));
            assert_eq!((map.count("many"), map.flag("on"), map.text("void")), (None, None, None));
            assert_eq!(map.path("where"), Some("/etc/a/b".into()));
            let labels = [("a", "1"), ("b", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
            assert_eq!(map.labels("labels"), labels.into());
            let items = map.maps("list");
            assert_eq!((items.len(), items[0].count("a")), (1, Some(1)));
            map.finish(&["kube"]);
        });
        assert_eq!(
            told,
            [
                "4:7 \"x\" is not a whole number from 0",
                "5:5 \"maybe\" is neither true nor false",
                "10:16 an item of `list` must be a mapping, not a single value",
                "7:1 unknown key `naem` in `it`; did you mean `name`?",
                "8:1 `kube` is not supported by this version",
            ]
        );
    }

    #[test]
    fn what_is_shown_has_no_secret_and_reads_back() {
        let text = "- job: a\n  password: hunter2\n  replacement: ${1}:9100\n  who: \"${A}\"\n  n: 5\n  \
                    list:\n  - [x, 'y z']\n  - a: 1\n    b: {}\n- {}\n";
        let (written, told) = with(text, |reading, node| {
            let items = reading.list(node, "jobs");
            let map = reading.map(&items[0], "a job").unwrap();
            let password = map.credential("password", "password_file");
            assert_eq!(format!("{password:?}"), "Some(Given(<secret>))");
            assert_eq!(map.verbatim("replacement").as_deref(), Some("${1}:9100"));
            reading.written("jobs", node)
        });
        assert_eq!(told, [""; 0]);
        assert_eq!(
            written.yaml,
            "- job: a\n  password: <secret>\n  replacement: '${1}:9100'\n  who: 'from outside'\n  n: 5\n  list:\n    \
             -\n      - x\n      - 'y z'\n    - a: 1\n      b: {}\n- {}\n"
        );
        assert!(yaml::parse(&written.yaml).1.is_empty());
    }

    #[test]
    fn a_secret_and_its_file_together_are_an_error() {
        let (_, told) = with("{token: a, token_file: b}", |reading, node| {
            reading.map(node, "it").unwrap().credential("token", "token_file");
        });
        assert_eq!(told, ["1:24 `token` and `token_file` are both given; one is enough"]);
    }
}
