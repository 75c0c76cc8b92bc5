//! The rules, in the shape of Prometheus' HTTP API.
//!
//! | path | |
//! | --- | --- |
//! | `/api/v1/rules` | groups with their rules, how the last evaluation went, and alerts; `type`, `rule_name[]`, `rule_group[]`, `file[]`, `match[]`, `exclude_alerts`, `group_limit`, `group_next_token` |
//! | `/api/v1/alerts` | the alerts alone |

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use hyper::Response;
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::problem::Problem;
use super::request::parameters;
use super::router::success;
use crate::alert::Phase;
use crate::alert::rules::{Alert, Alerting, Board, Group, Health, Rule, RuleKind, Text};
use crate::clock::Moment;
use crate::log::timestamp;
use crate::query::number;
use crate::query::promql;
use crate::series::selector::Matcher;

/// What Prometheus says of a rule that was not evaluated yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What is asked for.
struct Asked {
    alerting: bool,
    recording: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Arc<[Matcher]>>,
    alerts: bool,
    limit: Option<usize>,
    token: Option<String>,
}

fn bad(name: &str, reason: impl std::fmt::Display) -> Problem {
    Problem::bad_data(format!("invalid parameter {name:?}: {reason}"))
}

impl Asked {
    fn read(parts: &Parts) -> Result<Self, Problem> {
        let mut asked = Asked {
            alerting: true,
            recording: true,
            names: Vec::new(),
            groups: Vec::new(),
            files: Vec::new(),
            selectors: Vec::new(),
            alerts: true,
            limit: None,
            token: None,
        };
        for (name, value) in parameters(parts.uri.query().unwrap_or_default())? {
            match name.as_str() {
                "type" => match value.to_ascii_lowercase().as_str() {
                    "" => {}
                    "alert" => asked.recording = false,
                    "record" => asked.alerting = false,
                    other => return Err(bad(&name, format!("not supported value {other:?}"))),
                },
                "rule_name[]" => asked.names.push(value),
                "rule_group[]" => asked.groups.push(value),
                "file[]" => asked.files.push(value),
                "match[]" => {
                    let selector = promql::parse_selector(&value).map_err(|error| bad(&name, error))?;
                    asked.selectors.push(selector);
                }
                "exclude_alerts" => match value.as_str() {
                    "" | "false" | "0" => {}
                    "true" | "1" => asked.alerts = false,
                    _ => return Err(bad(&name, "it is neither true nor false")),
                },
                "group_limit" if !value.is_empty() => match value.parse() {
                    Ok(limit) if limit > 0 => asked.limit = Some(limit),
                    _ => return Err(bad(&name, "it is no whole number greater than 0")),
                },
                "group_next_token" if !value.is_empty() => asked.token = Some(value),
                _ => {}
            }
        }
        if asked.token.is_some() && asked.limit.is_none() {
            return Err(bad(
                "group_limit",
                "group_limit needs to be set in order to paginate over the groups",
            ));
        }
        Ok(asked)
    }

    fn wants(&self, rule: &Rule) -> bool {
        let spec = rule.spec();
        let of_kind = match spec.kind {
            RuleKind::Alerting(_) => self.alerting,
            RuleKind::Recording => self.recording,
        };
        let value =
            |matcher: &Matcher| spec.labels.get(matcher.label()).map_or("", |label| label.text.as_str());
        let accepts =
            |selector: &Arc<[Matcher]>| selector.iter().all(|matcher| matcher.accepts(value(matcher)));
        of_kind
            && (self.names.is_empty() || self.names.iter().any(|name| **name == *spec.name))
            && (self.selectors.is_empty() || self.selectors.iter().any(accepts))
    }
}

/// `GET /api/v1/rules`.
pub(super) fn rules(board: &Board, parts: &Parts) -> Result<Response<Body>, Problem> {
    let asked = Asked::read(parts)?;
    let is_wanted = |group: &Arc<Group>| {
        let spec = group.spec();
        (asked.groups.is_empty() || asked.groups.iter().any(|name| **name == *spec.name))
            && (asked.files.is_empty() || asked.files.iter().any(|file| **file == *spec.file))
    };
    let mut groups = board.groups();
    groups.retain(is_wanted);
    groups.sort_by(|a, b| (&a.spec().file, &a.spec().name).cmp(&(&b.spec().file, &b.spec().name)));
    if let Some(from) = &asked.token {
        let Some(at) = groups.iter().position(|group| token(group) == *from) else {
            return Err(bad(
                "group_next_token",
                "no group has it: were the rules changed? Begin again without a token",
            ));
        };
        groups.drain(..at);
    }
    // A group of which no rule is wanted is not shown.
    let shown = groups.iter().filter_map(|group| {
        let rules: Vec<Value> = group
            .rules()
            .iter()
            .filter(|rule| asked.wants(rule))
            .map(|rule| self::rule(rule, asked.alerts))
            .collect();
        (!rules.is_empty() || group.rules().is_empty()).then_some((group, rules))
    });
    let mut shown = shown;
    let page: Vec<(&Arc<Group>, Vec<Value>)> =
        shown.by_ref().take(asked.limit.unwrap_or(usize::MAX)).collect();
    let mut data = Map::new();
    data.insert("groups".into(), page.into_iter().map(|(group, rules)| self::group(group, rules)).collect());
    if let Some((next, _)) = shown.next() {
        data.insert("groupNextToken".into(), token(next).into());
    }
    Ok(success(&Value::Object(data)))
}

/// `GET /api/v1/alerts`.
pub(super) fn alerts(board: &Board) -> Result<Response<Body>, Problem> {
    let groups = board.groups();
    let rules = groups.iter().flat_map(|group| group.rules());
    let alerts: Vec<Value> = rules.flat_map(Rule::alerts).map(alert).collect();
    Ok(success(&json!({ "alerts": alerts })))
}

fn token(group: &Group) -> String {
    let mut hasher = DefaultHasher::new();
    (&group.spec().file, &group.spec().name).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn group(group: &Group, rules: Vec<Value>) -> Value {
    let spec = group.spec();
    json!({
        "name": &*spec.name,
        "file": &*spec.file,
        "rules": rules,
        "interval": group.interval().as_secs_f64(),
        "limit": spec.limit,
        "evaluationTime": group.took().as_secs_f64(),
        "lastEvaluation": time(group.last()),
    })
}

fn rule(rule: &Rule, with_alerts: bool) -> Value {
    let (spec, status) = (rule.spec(), rule.status());
    let mut shown = json!({
        "name": &*spec.name,
        "query": spec.expr.to_string(),
        "health": match status.health {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Err => "err",
        },
        "evaluationTime": status.took.as_secs_f64(),
        "lastEvaluation": time(status.last),
    });
    if let Some(error) = &status.error {
        shown["lastError"] = error.as_str().into();
    }
    match &spec.kind {
        RuleKind::Recording => {
            shown["type"] = "recording".into();
            if !spec.labels.is_empty() {
                shown["labels"] = texts(&spec.labels);
            }
        }
        RuleKind::Alerting(Alerting { hold, keep, annotations, .. }) => {
            shown["type"] = "alerting".into();
            shown["state"] = rule.phase().map_or("inactive", word).into();
            shown["duration"] = hold.as_secs_f64().into();
            shown["keepFiringFor"] = keep.as_secs_f64().into();
            shown["labels"] = texts(&spec.labels);
            shown["annotations"] = texts(annotations);
            shown["alerts"] = if with_alerts { rule.alerts().map(alert).collect() } else { Value::Null };
        }
    }
    shown
}

fn alert(alert: &Alert) -> Value {
    let labels: BTreeMap<&str, &str> = alert.labels.iter().collect();
    let mut shown = json!({
        "labels": labels,
        "annotations": alert.annotations,
        "state": word(alert.phase),
        "activeAt": timestamp(alert.active.at_ms),
        "value": value(alert.value),
    });
    if let Some(keep) = &alert.keep {
        shown["keepFiringSince"] = timestamp(keep.at_ms).into();
    }
    shown
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Firing => "firing",
    }
}

fn texts(texts: &BTreeMap<String, Text>) -> Value {
    texts
        .iter()
        .map(|(name, text)| (name.clone(), Value::from(text.text.as_str())))
        .collect::<Map<_, _>>()
        .into()
}

fn time(at: Option<Moment>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| timestamp(at.unix_ms))
}

/// As Go's `FormatFloat(v, 'e', -1, 64)`.
fn value(value: f64) -> String {
    if !value.is_finite() {
        return number::plain(value);
    }
    let mut out = Vec::new();
    number::scientific_into(&mut out, value);
    String::from_utf8_lossy(&out).into_owned()
}
