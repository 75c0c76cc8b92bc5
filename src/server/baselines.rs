//! Baselines and trends: saved figures of a range, what changed since, and where series go.
//!
//! | path | methods | parameters |
//! | --- | --- | --- |
//! | `/api/v1/baselines` | GET | |
//! | `/api/v1/baselines/NAME` | GET, DELETE | |
//! | | PUT (makes or replaces), POST (makes) | `match[]`, `start`, `end`, `last`, `note` |
//! | `/api/v1/baselines/NAME/compare` | GET | `start`, `end`, `last` or `with`; `match[]`, `better`, `effect`, `change` |
//! | `/api/v1/trend` | GET, POST | `match[]`, `start`, `end`, `last` |
//!
//! What is computed is the matter of [`history`](crate::history); a request has its turn as a query has, see
//! [`queries`](super::queries). Times are Unix milliseconds, and a figure that is no finite number is `null`.

use std::sync::Arc;

use hashbrown::HashMap;
use hyper::{Method, Response};
use serde_json::{Value, json};

use super::body::Body;
use super::problem::Problem;
use super::routes::Call;
use crate::history::baseline::{
    Baseline, Good, Thresholds, Verdict, check_name, compare, good, magnitude, overall,
};
use crate::history::measure::{Measure, Measured, measure};
use crate::history::summary::Summary;
use crate::history::trend::trends;
use crate::history::{History, SaveError};
use crate::query::Labels;
use crate::query::eval::Error;
use crate::query::http::{Fault, Params, Past, Reply, Request};
use crate::query::labels::METRIC_NAME;
use crate::query::number::quoted;
use crate::query::promql;
use crate::query::source::SourceError;
use crate::series::selector::Matcher;
use crate::series::{Kind, Tick};

/// Most series of one baseline, and of one answer about trends.
const MAX_SERIES: usize = 2000;

/// Longest note, in bytes.
const MAX_NOTE: usize = 1024;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    List,
    One,
    Compare,
    Trend,
}

impl Saved {
    /// Its label in figures.
    const fn name(self) -> &'static str {
        match self {
            Saved::List | Saved::One => "baselines",
            Saved::Compare => "compare",
            Saved::Trend => "trend",
        }
    }
}

/// Answers a request.
pub(super) async fn answer(call: &Call, saved: Saved) -> Result<Response<Body>, Problem> {
    let Call { app, parts, body, name, .. } = call;
    let (Some(queries), Some(history)) = (&app.queries, &app.history) else {
        return Err(Problem::not_found());
    };
    let asked = Asked { history: history.clone(), name: name.clone(), tick: app.ticks.latest() };
    let method = parts.method.clone();
    let work = move |request: &Request<'_>| {
        let answer = match (saved, &method) {
            (Saved::List, _) => Ok(asked.list()),
            (Saved::One, &Method::PUT) => asked.save(request, true),
            (Saved::One, &Method::POST) => asked.save(request, false),
            (Saved::One, &Method::DELETE) => asked.delete(),
            (Saved::One, _) => asked.show(),
            (Saved::Compare, _) => asked.compare(request),
            (Saved::Trend, _) => asked.trend(request),
        };
        answer.unwrap_or_else(|fault| fault.reply())
    };
    queries.run(saved.name(), parts, body, app.clock.now().unix_ms, work).await
}

/// `{"status":"success","data":…}`, with warnings if there are any.
fn success(status: u16, data: &Value, warnings: &[String]) -> Reply {
    let mut answer = json!({ "status": "success", "data": data });
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Reply { status, body: format!("{answer}\n").into_bytes() }
}

/// A request and what it is answered from.
struct Asked {
    history: History,
    name: String,
    tick: Arc<Tick>,
}

impl Asked {
    /// What the families of the last tick are.
    fn kinds(&self) -> impl Fn(&str) -> Option<Kind> {
        let families = self.tick.schema.families.iter();
        let kinds: HashMap<&str, Kind> =
            families.map(|family| (&*family.meta.name, family.meta.kind)).collect();
        move |name| kinds.get(name).copied()
    }

    fn baseline(&self, name: &str) -> Result<Arc<Baseline>, Fault> {
        let found = self.history.baseline(name);
        found.ok_or_else(|| Fault::NotFound(format!("there is no baseline {}", quoted(name))))
    }

    fn list(&self) -> Reply {
        let all: Vec<Value> = self.history.baselines().iter().map(|baseline| head(baseline)).collect();
        success(200, &json!(all), &[])
    }

    fn show(&self) -> Result<Reply, Fault> {
        let baseline = self.baseline(&self.name)?;
        let series = baseline.series.iter().map(|one| {
            let mut told = figures(&one.summary);
            told["series"] = json!(one.key);
            told["measure"] = json!(one.measure);
            told
        });
        let mut told = head(&baseline);
        told["series"] = series.collect();
        Ok(success(200, &told, &[]))
    }

    fn save(&self, request: &Request<'_>, replace: bool) -> Result<Reply, Fault> {
        check_name(&self.name).map_err(Fault::BadData)?;
        let exists = || Fault::Conflict(format!("there is a baseline {} already", quoted(&self.name)));
        if !replace && self.history.baseline(&self.name).is_some() {
            return Err(exists());
        }
        let past = Past::read(request.params, request.now)?;
        let note = request.params.get("note").unwrap_or_default();
        if note.len() > MAX_NOTE {
            return Err(Fault::parameter("note", format!("it is longer than {MAX_NOTE} bytes")));
        }
        let series = self.measure(request, &past)?;
        if series.is_empty() {
            return Err(Fault::execution("no series of match[] has values in this range"));
        }
        let baseline = Baseline {
            name: self.name.clone(),
            note: note.to_owned(),
            selectors: request.params.all("match[]").map(str::to_owned).collect(),
            start: past.start,
            end: past.end,
            created: request.now,
            series,
        };
        let told = head(&baseline);
        let made = self.history.save_baseline(baseline, replace).map_err(|error| match error {
            SaveError::Exists(_) => exists(),
            SaveError::TooMany | SaveError::TooLarge(_) => Fault::execution(error.to_string()),
            SaveError::Store(error) => Error::from(SourceError(error.to_string())).into(),
        })?;
        Ok(success(if made { 201 } else { 200 }, &told, &past.warnings(request.source.oldest())))
    }

    fn delete(&self) -> Result<Reply, Fault> {
        self.baseline(&self.name)?;
        self.history
            .delete_baseline(&self.name)
            .map_err(|error| Error::from(SourceError(error.to_string())))?;
        Ok(success(200, &json!({ "name": self.name }), &[]))
    }

    fn measure(&self, request: &Request<'_>, past: &Past) -> Result<Vec<Measured>, Fault> {
        let series = past.select(request, past.start, MAX_SERIES)?;
        Ok(measure(&series, (past.start, past.end), &self.kinds(), request.interrupt)?)
    }

    fn compare(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let params = request.params;
        let before = self.baseline(&self.name)?;
        let thresholds = thresholds(params)?;
        let better = better(params)?;
        let selectors = |texts: &mut dyn Iterator<Item = &str>| -> Result<Vec<Arc<[Matcher]>>, Fault> {
            let read =
                |text| promql::parse_selector(text).map_err(|error| Fault::parameter("match[]", error));
            texts.map(read).collect()
        };
        let asked = selectors(&mut params.all("match[]"))?;
        let mut old = before.series.clone();
        old.retain(|one| asked.is_empty() || is_picked(one, &asked));
        let (new, after, warnings) = match params.get("with") {
            Some(_) if ["start", "end", "last"].iter().any(|name| params.get(name).is_some()) => {
                return Err(Fault::parameter("with", "a baseline has a range of its own"));
            }
            Some(other) => {
                let other = self.baseline(other)?;
                let mut new = other.series.clone();
                new.retain(|one| asked.is_empty() || is_picked(one, &asked));
                (new, range(Some(&other.name), other.start, other.end), Vec::new())
            }
            None => {
                let picks = match asked.is_empty() {
                    true => selectors(&mut before.selectors.iter().map(String::as_str))?,
                    false => asked,
                };
                let length = before.end.saturating_sub(before.start);
                let past = Past::read_long(params, picks, request.now, length)?;
                let warnings = past.warnings(request.source.oldest());
                (self.measure(request, &past)?, range(None, past.start, past.end), warnings)
            }
        };
        let all =
            compare(&old, &new, thresholds, |key, measure| better.unwrap_or_else(|| good(key, measure)));
        let counts: serde_json::Map<String, Value> = Verdict::ALL
            .iter()
            .map(|verdict| (verdict, all.iter().filter(|one| one.verdict == *verdict).count()))
            .map(|(verdict, count)| (verdict.word().to_owned(), count.into()))
            .collect();
        let series: Vec<Value> = all
            .iter()
            .map(|one| {
                json!({
                    "series": one.key,
                    "measure": one.measure,
                    "verdict": one.verdict,
                    "effect": one.effect,
                    "magnitude": one.effect.map(magnitude),
                    "delta": one.delta,
                    "change": one.change,
                    "before": one.before.map(figures),
                    "after": one.after.map(figures),
                })
            })
            .collect();
        let told = json!({
            "before": range(Some(&before.name), before.start, before.end),
            "after": after,
            "thresholds": { "effect": thresholds.effect, "change": thresholds.change },
            "verdict": overall(&all),
            "counts": counts,
            "series": series,
        });
        Ok(success(200, &told, &warnings))
    }

    fn trend(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let past = Past::read(request.params, request.now)?;
        let series = past.select(request, past.start, MAX_SERIES)?;
        let all = trends(&series, (past.start, past.end), &self.kinds(), request.interrupt)?;
        let series = all.iter().map(|one| {
            let mut told = one.trend.map_or(json!({ "trend": "unknown" }), |trend| json!(trend));
            told["series"] = json!(one.key);
            told["measure"] = json!(one.measure);
            told
        });
        let told = json!({ "start": past.start, "end": past.end, "series": series.collect::<Vec<_>>() });
        Ok(success(200, &told, &past.warnings(request.source.oldest())))
    }
}

/// A baseline without its series.
fn head(baseline: &Baseline) -> Value {
    json!({
        "name": baseline.name,
        "note": baseline.note,
        "match": baseline.selectors,
        "start": baseline.start,
        "end": baseline.end,
        "created": baseline.created,
        "count": baseline.series.len(),
        "bytes": baseline.size(),
    })
}

fn range(name: Option<&str>, start: i64, end: i64) -> Value {
    json!({ "name": name, "start": start, "end": end })
}

fn figures(summary: &Summary) -> Value {
    let Summary { count, mean, deviation, min, p50, p95, p99, max, .. } = *summary;
    json!({
        "count": count, "mean": mean, "stddev": deviation, "min": min, "p50": p50, "p95": p95, "p99": p99, "max": max,
    })
}

/// Is it one of the series that the selectors pick? A histogram is picked as its buckets are.
fn is_picked(one: &Measured, selectors: &[Arc<[Matcher]>]) -> bool {
    let mut labels = Labels::from_key(&one.key);
    if one.measure == Measure::Observations {
        labels = labels.with(METRIC_NAME, &format!("{}_bucket", labels.name()));
    }
    let accepts = |matcher: &Matcher| matcher.accepts(labels.get(matcher.label()).unwrap_or(""));
    selectors.iter().any(|matchers| matchers.iter().all(accepts))
}

/// `effect` (0 to 1) and `change` (a ratio).
fn thresholds(params: &Params) -> Result<Thresholds, Fault> {
    let number = |name: &str, default: f64, most: f64| match params.get(name) {
        None => Ok(default),
        Some(text) => {
            let number = text.parse().ok().filter(|number| (0.0..=most).contains(number));
            number.ok_or_else(|| Fault::parameter(name, format!("it is a number from 0 to {most}")))
        }
    };
    let default = Thresholds::default();
    Ok(Thresholds {
        effect: number("effect", default.effect, 1.0)?,
        change: number("change", default.change, 1e9)?,
    })
}

/// `better`: which way is good for all series, if it is said.
fn better(params: &Params) -> Result<Option<Good>, Fault> {
    match params.get("better") {
        None => Ok(None),
        Some("lower") => Ok(Some(Good::Lower)),
        Some("higher") => Ok(Some(Good::Higher)),
        Some(_) => Err(Fault::parameter("better", "it is lower or higher")),
    }
}
