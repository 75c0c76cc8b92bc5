//! Prometheus' HTTP API over the history, without the HTTP: parameters in, status and JSON out.
//!
//! | path | function |
//! | --- | --- |
//! | `/api/v1/query` | [`query`] |
//! | `/api/v1/query_range` | [`query_range`] |
//! | `/api/v1/series` | [`series`] |
//! | `/api/v1/labels` | [`labels`] |
//! | `/api/v1/label/NAME/values` | [`label_values`] |
//! | `/api/v1/metadata` | [`metadata`] |
//! | `/api/v1/history` | [`history`] |
//!
//! Each takes GET and POST: [`Params`] are those of the query and the form of either. Answers are those of Prometheus to the
//! byte, its messages about wrong parameters included, so that Grafana and other clients need not know whom they ask.
//! The last one is ours: the samples themselves, with numbers as numbers and times in milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod history;
mod json;
mod params;
mod past;

pub use history::{MAX_SERIES, history};
pub use params::Params;
pub(crate) use params::time as parse_time;
pub use past::Past;

use super::eval::{Answer, Error, Interrupt, Options, Query, Times};
use super::labels::Labels;
use super::number::quoted;
use super::promql::ast::Type;
use super::promql::{self, ast::Expr};
use super::source::{Source, SourceError};
use crate::series::selector::Matcher;
use json::Writer;
use params::{LATEST, OLDEST};

/// Most points of a series in the answer of a range query: enough for a step of a minute over a week or of an hour over a
/// year, as Prometheus decided it.
pub const MAX_POINTS: i64 = 11_000;
/// Most warnings, and most infos, of one answer.
const MAX_NOTES: usize = 10;

/// An answer: the status code, and JSON for `application/json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// What a request is answered from.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its parameters.
    pub params: &'a Params,
    /// The samples.
    pub source: &'a dyn Source,
    /// Limits and defaults.
    pub options: &'a Options,
    /// Ends it from outside.
    pub interrupt: &'a Interrupt,
    /// Now, in milliseconds: when a query is evaluated that says no time.
    pub now: i64,
}

/// Why a request fails, as Prometheus' `errorType` says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The parameters are wrong.
    #[error("{0}")]
    BadData(String),
    /// The query has no answer.
    #[error("{0}")]
    Evaluation(#[from] Error),
    /// The time of the query was over before its turn came.
    #[error("query timed out in query queue")]
    Queue,
    /// What is named is not there.
    #[error("{0}")]
    NotFound(String),
    /// What is to be made is there already.
    #[error("{0}")]
    Conflict(String),
}

impl Fault {
    /// What is asked for cannot be answered; the reason names the limit where it is one.
    #[must_use]
    pub fn execution(reason: impl Into<String>) -> Self {
        Fault::Evaluation(Error::Execution(reason.into()))
    }

    /// A parameter is wrong.
    #[must_use]
    pub fn parameter(name: &str, reason: impl fmt::Display) -> Self {
        Fault::BadData(format!("invalid parameter {}: {reason}", quoted(name)))
    }

    /// The answer that tells of it.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (status, kind) = match self {
            Fault::BadData(_) => (400, "bad_data"),
            Fault::Evaluation(Error::Execution(_)) => (422, "execution"),
            Fault::Evaluation(Error::Timeout) | Fault::Queue => (503, "timeout"),
            Fault::Evaluation(Error::Canceled) => (499, "canceled"),
            Fault::Evaluation(Error::Source(_)) => (500, "internal"),
            Fault::NotFound(_) => (404, "not_found"),
            Fault::Conflict(_) => (409, "conflict"),
        };
        let mut out = Writer::default();
        out.raw("{\"status\":\"error\",\"errorType\":");
        out.text(kind);
        out.raw(",\"error\":");
        out.text(&self.to_string());
        out.raw("}");
        Reply { status, body: out.0 }
    }
}

fn respond(answer: Result<Reply, Fault>) -> Reply {
    answer.unwrap_or_else(|fault| fault.reply())
}

/// `{"status":"success","data":…` and the notes behind it.
fn success(data: impl FnOnce(&mut Writer), warnings: &[String], infos: &[String]) -> Reply {
    let mut out = Writer::default();
    out.raw("{\"status\":\"success\",\"data\":");
    data(&mut out);
    for (name, notes, kind) in [("warnings", warnings, "warning"), ("infos", infos, "info")] {
        if notes.is_empty() {
            continue;
        }
        out.raw(",");
        out.text(name);
        out.raw(":");
        let omitted = notes.len().saturating_sub(MAX_NOTES);
        let more = (omitted > 0).then(|| format!("{omitted} more {kind} annotations omitted"));
        out.array(notes.iter().take(MAX_NOTES).chain(more.as_ref()), |out, note| out.text(note));
    }
    out.raw("}");
    Reply { status: 200, body: out.0 }
}

/// How long the request itself wants to wait at most, if it says so (`timeout`).
///
/// # Errors
/// It is no duration.
pub fn timeout(params: &Params) -> Result<Option<Duration>, Fault> {
    let Some(text) = params.get("timeout") else { return Ok(None) };
    let ms = params::duration(text).map_err(|reason| Fault::parameter("timeout", reason))?;
    Ok(Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

/// A time that may be missing; of those Prometheus says twice which parameter is wrong.
fn named_time(name: &str, text: &str) -> Result<i64, Fault> {
    params::time(text)
        .map_err(|reason| Fault::parameter(name, format!("Invalid time value for '{name}': {reason}")))
}

/// `/api/v1/query`: `query`, `time`, `lookback_delta`, `limit`.
#[must_use]
pub fn query(request: &Request<'_>) -> Reply {
    let answer = || {
        let params = request.params;
        let limit = limit(params)?;
        let at = match params.get("time") {
            Some(text) => named_time("time", text)?,
            None => request.now,
        };
        timeout(params)?;
        let expr = expr(params)?;
        evaluate(request, &expr, Times::Instant(at), limit)
    };
    respond(answer())
}

/// `/api/v1/query_range`: `query`, `start`, `end`, `step`, `lookback_delta`, `limit`.
#[must_use]
pub fn query_range(request: &Request<'_>) -> Reply {
    let answer = || {
        let params = request.params;
        let limit = limit(params)?;
        let time = |name: &str| {
            params::time(params.get(name).unwrap_or("")).map_err(|reason| Fault::parameter(name, reason))
        };
        let (start, end) = (time("start")?, time("end")?);
        if end < start {
            return Err(Fault::parameter("end", "end timestamp must not be before start time"));
        }
        let step = params::duration(params.get("step").unwrap_or(""))
            .map_err(|reason| Fault::parameter("step", reason))?;
        if step <= 0 {
            let reason =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Fault::parameter("step", reason));
        }
        if end.saturating_sub(start) / step > MAX_POINTS {
            let reason = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
                          resolution (?step=XX)";
            return Err(Fault::BadData(reason.into()));
        }
        timeout(params)?;
        let expr = expr(params)?;
        if !matches!(expr.kind(), Type::Scalar | Type::Vector) {
            let kind = quoted(expr.kind().documented());
            let reason =
                format!("invalid expression type {kind} for range query, must be Scalar or instant Vector");
            return Err(Fault::parameter("query", reason));
        }
        evaluate(request, &expr, Times::Range { start, end, step }, limit)
    };
    respond(answer())
}

fn expr(params: &Params) -> Result<Expr, Fault> {
    promql::parse(params.get("query").unwrap_or("")).map_err(|error| Fault::parameter("query", error))
}

fn evaluate(request: &Request<'_>, expr: &Expr, times: Times, limit: usize) -> Result<Reply, Fault> {
    let params = request.params;
    let mut options = *request.options;
    if let Some(text) = params.get("lookback_delta") {
        let lookback = params::duration(text)
            .map_err(|reason| Fault::BadData(format!("error parsing lookback delta duration: {reason}")))?;
        if lookback > 0 {
            options.lookback = lookback;
        }
    }
    let text = params.get("query").unwrap_or("");
    let answer = Query { text, expr, times }.evaluate(request.source, &options, request.interrupt)?;
    let Answer { mut output, mut warnings, infos } = answer;
    if output.truncate(limit) {
        warnings.push("results truncated due to limit".into());
    }
    Ok(success(|out| out.output(&output), &warnings, &infos))
}

/// The `limit` parameter; 0, which is none, as the largest number.
fn limit(params: &Params) -> Result<usize, Fault> {
    let Some(text) = params.get("limit") else { return Ok(usize::MAX) };
    let limit: i64 = text.parse().map_err(|_| {
        Fault::parameter("limit", format!("strconv.Atoi: parsing {}: invalid syntax", quoted(text)))
    })?;
    match usize::try_from(limit) {
        Ok(0) => Ok(usize::MAX),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Fault::parameter("limit", "limit must be non-negative")),
    }
}

/// What `match[]`, `start` and `end` ask for.
#[derive(Clone, Debug)]
pub struct Picks {
    /// One a `match[]`; none of them is satisfied by everything.
    pub selectors: Vec<Arc<[Matcher]>>,
    /// In milliseconds; the oldest time there is where it is not given.
    pub start: i64,
    /// In milliseconds; the latest time there is where it is not given.
    pub end: i64,
}

impl Picks {
    /// Reads them.
    ///
    /// # Errors
    /// A selector or a time is wrong.
    pub fn read(params: &Params) -> Result<Self, Fault> {
        let bound = |name: &str, default| match params.get(name) {
            Some(text) => named_time(name, text),
            None => Ok(default),
        };
        let (start, end) = (bound("start", OLDEST)?, bound("end", LATEST)?);
        let selectors = past::selectors(params)?;
        Ok(Picks { selectors, start, end })
    }

    /// What `ask` gives for each of the selectors, or for all series without any; sorted, each once.
    fn texts(
        &self,
        ask: impl Fn(&[Matcher]) -> Result<Vec<Arc<str>>, SourceError>,
    ) -> Result<Vec<Arc<str>>, Fault> {
        if self.selectors.is_empty() {
            return Ok(ask(&[]).map_err(Error::from)?);
        }
        let mut texts = BTreeSet::new();
        for matchers in &self.selectors {
            texts.extend(ask(matchers).map_err(Error::from)?);
        }
        Ok(texts.into_iter().collect())
    }
}

const TRUNCATED: &str = "results truncated due to limit";

/// A list of what `write` writes, cut at the limit.
fn list<T>(items: &[T], limit: usize, write: impl Fn(&mut Writer, &T)) -> Reply {
    let warnings = if items.len() > limit { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    success(|out| out.array(items.iter().take(limit), |out, item| write(out, item)), &warnings, &[])
}

/// `/api/v1/series`: `match[]`, `start`, `end`, `limit`.
#[must_use]
pub fn series(request: &Request<'_>) -> Reply {
    let answer = || {
        if request.params.all("match[]").next().is_none() {
            return Err(Fault::BadData("no match[] parameter provided".into()));
        }
        let limit = limit(request.params)?;
        let picks = Picks::read(request.params)?;
        let most = request.options.max_series;
        let mut found: Vec<Labels> = Vec::new();
        for matchers in &picks.selectors {
            let series =
                request.source.select(matchers, picks.start, picks.end, most).map_err(Error::from)?;
            if series.len() > most {
                return Err(Error::Execution(format!("query selects more than {most} series")).into());
            }
            found.extend(series.into_iter().map(|series| series.labels));
        }
        found.sort();
        found.dedup();
        Ok(list(&found, limit, |out, labels| out.labels(labels.iter())))
    };
    respond(answer())
}

/// `/api/v1/labels`: `match[]`, `start`, `end`, `limit`.
#[must_use]
pub fn labels(request: &Request<'_>) -> Reply {
    let answer = || {
        let limit = limit(request.params)?;
        let picks = Picks::read(request.params)?;
        let ask = |matchers: &[Matcher]| request.source.label_names(matchers, picks.start, picks.end);
        let names = picks.texts(ask)?;
        Ok(list(&names, limit, |out, name| out.text(name)))
    };
    respond(answer())
}

/// `/api/v1/label/NAME/values`: `match[]`, `start`, `end`, `limit`. A name that begins with `U__` is escaped as
/// Prometheus escapes names in paths.
#[must_use]
pub fn label_values(request: &Request<'_>, name: &str) -> Reply {
    let answer = || {
        let unescaped = params::unescape_name(name);
        let name = unescaped.as_deref().unwrap_or(name);
        if name.is_empty() {
            return Err(Fault::BadData(format!("invalid label name: {}", quoted(name))));
        }
        let limit = limit(request.params)?;
        let picks = Picks::read(request.params)?;
        let ask = |matchers: &[Matcher]| request.source.label_values(name, matchers, picks.start, picks.end);
        let values = picks.texts(ask)?;
        Ok(list(&values, limit, |out, value| out.text(value)))
    };
    respond(answer())
}

/// What is known of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metadata<'a> {
    /// `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset`, `unknown`.
    pub kind: &'a str,
    /// The help text.
    pub help: &'a str,
    /// The unit, or nothing.
    pub unit: &'a str,
}

/// `/api/v1/metadata`: `metric`, `limit`, `limit_per_metric`. `families` are names with what each source says of them.
#[must_use]
pub fn metadata<'a>(params: &Params, families: impl IntoIterator<Item = (&'a str, Metadata<'a>)>) -> Reply {
    let answer = || {
        let number = |name: &str| match params.get(name) {
            Some(text) => text.parse::<i64>().map_err(|_| {
                let what = if name == "limit" {
                    "limit must be a number"
                } else {
                    "limit_per_metric must be a number"
                };
                Fault::BadData(what.into())
            }),
            None => Ok(-1),
        };
        // Negative is no limit, and 0 of families is none of them.
        let (limit, per_metric) = (number("limit")?, number("limit_per_metric")?);
        let wanted = params.get("metric").unwrap_or("");
        let mut found: BTreeMap<&str, Vec<Metadata<'_>>> = BTreeMap::new();
        for (name, metadata) in families {
            if wanted.is_empty() || wanted == name {
                let known = found.entry(name).or_default();
                let full = usize::try_from(per_metric).is_ok_and(|limit| limit > 0 && known.len() >= limit);
                if !known.contains(&metadata) && !full {
                    known.push(metadata);
                }
            }
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let write = |out: &mut Writer| {
            out.object(found.iter().take(limit), |out, (name, known)| {
                out.text(name);
                out.raw(":");
                out.array(known.iter(), |out, metadata| {
                    out.raw("{\"type\":");
                    out.text(metadata.kind);
                    out.raw(",\"help\":");
                    out.text(metadata.help);
                    out.raw(",\"unit\":");
                    out.text(metadata.unit);
                    out.raw("}");
                });
            });
        };
        Ok(success(write, &[], &[]))
    };
    respond(answer())
}

#[cfg(test)]
mod tests;
