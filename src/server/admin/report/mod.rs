//! `/api/v1/admin/performance/report`: what the monitor knows, judged and told to people.
//!
//! [`Report::of`] makes it of a [`Snapshot`] and of a comparison with a saved baseline; [`markdown`] and [`html`] write it. What to do
//! about it is said by [`advice`], and each piece of advice names the figures that it is made of.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::baselines::{self, Saved};
use super::super::body::Body;
use super::super::headers::{self, text};
use super::super::problem::Problem;
use super::super::request::parameters;
use super::super::router::success;
use super::super::routes::Call;
use crate::config::units::format_duration;
use crate::monitor::{KindCount, OperationFigures, Overview, Snapshot, Verdict};

mod advice;
mod html;
mod markdown;

use advice::Advice;

/// Operations of each list.
const MOST: usize = 5;

/// Series of the comparison that are told.
const MOST_WORSE: usize = 20;

/// How an application does.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// When, Unix milliseconds.
    at_ms: i64,
    version: &'static str,
    uptime_seconds: f64,
    /// Do all verdicts hold? None if there was nothing to judge.
    ok: Option<bool>,
    overview: Overview,
    verdicts: Vec<Verdict>,
    /// By mean duration.
    slowest: Vec<OperationFigures>,
    errors: Failing,
    regressions: Regressions,
    recommendations: Vec<Advice>,
}

/// What failed.
#[derive(Clone, Debug, Serialize)]
struct Failing {
    total: u64,
    by_kind: Vec<KindCount>,
    /// By ratio of errors.
    failing: Vec<OperationFigures>,
}

/// What is worse than in a saved baseline.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Regressions {
    /// The one that was compared with.
    baseline: Option<String>,
    /// How many series were.
    compared: usize,
    found: Vec<Worse>,
    /// Why nothing was compared.
    why_not: Option<String>,
}

/// One series that is worse.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Worse {
    series: String,
    measure: String,
    /// Mean of the baseline.
    before: Option<f64>,
    /// Mean since.
    after: Option<f64>,
    change: Option<f64>,
    effect: Option<f64>,
}

impl Report {
    /// Of figures and a comparison.
    pub(super) fn of(snapshot: Snapshot, regressions: Regressions) -> Self {
        let recommendations = advice::all(&snapshot, &regressions);
        let judged: Vec<bool> = snapshot.verdicts.iter().filter_map(|verdict| verdict.ok).collect();
        let of = |operations: Vec<&OperationFigures>| operations.into_iter().cloned().collect();
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of a process fit")]
        let uptime_seconds = snapshot.uptime_ms as f64 / 1000.0;
        Report {
            at_ms: snapshot.at_ms,
            version: crate::build::VERSION,
            uptime_seconds,
            ok: (!judged.is_empty()).then(|| judged.iter().all(|ok| *ok)),
            slowest: of(snapshot.slowest(MOST)),
            errors: Failing {
                total: snapshot.errors.total,
                failing: of(snapshot.failing(MOST)),
                by_kind: snapshot.errors.by_kind,
            },
            overview: snapshot.overview,
            verdicts: snapshot.verdicts,
            regressions,
            recommendations,
        }
    }
}

/// Form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Markdown,
    Html,
}

impl Form {
    /// By `format`, else by `Accept`: the first of its types that is one of ours.
    fn of(format: Option<&str>, accept: &str) -> Result<Self, Problem> {
        match format {
            Some("json") => return Ok(Form::Json),
            Some("markdown" | "md") => return Ok(Form::Markdown),
            Some("html") => return Ok(Form::Html),
            Some(other) => {
                return Err(Problem::bad_data(format!(
                    "the format {other:?} is none of json, markdown, html"
                )));
            }
            None => {}
        }
        let types = accept.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
        let known = types.filter_map(|kind| match kind {
            "application/json" => Some(Form::Json),
            "text/markdown" => Some(Form::Markdown),
            "text/html" => Some(Form::Html),
            _ => None,
        });
        Ok(known.into_iter().next().unwrap_or(Form::Json))
    }
}

/// `GET /api/v1/admin/performance/report`.
pub(super) async fn report(call: &Call) -> Result<Response<Body>, Problem> {
    let performance = call.app.admin.performance.as_ref().ok_or_else(Problem::not_found)?;
    let asked = parameters(call.parts.uri.query().unwrap_or_default())?;
    let of = |name: &str| asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let form = Form::of(of("format"), text(&call.parts.headers, ACCEPT).unwrap_or_default())?;
    let regressions = regressions(call, of("baseline")).await?;
    let report = Report::of(performance(), regressions);
    let typed = |body: String, content_type| {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    };
    let mut response = match form {
        Form::Json => {
            let data = serde_json::to_value(&report).map_err(|error| Problem::internal(error.to_string()))?;
            success(&data)
        }
        Form::Markdown => typed(markdown::page(&report), "text/markdown; charset=utf-8"),
        Form::Html => {
            let (page, policy) = html::page(&report);
            let mut response = typed(page, "text/html; charset=utf-8");
            if let Ok(policy) = HeaderValue::try_from(policy) {
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            }
            response
        }
    };
    headers::vary(response.headers_mut(), "Accept");
    Ok(response)
}

/// What is worse than in a baseline: that of this name, or the newest.
async fn regressions(call: &Call, name: Option<&str>) -> Result<Regressions, Problem> {
    let why_not = |why: &str| Regressions { why_not: Some(why.to_owned()), ..Regressions::default() };
    let Some(history) = &call.app.history else { return Ok(why_not("this server keeps no history")) };
    let newest = || history.baselines().iter().max_by_key(|one| one.created).map(|one| one.name.clone());
    let Some(name) = name.map(str::to_owned).or_else(newest) else {
        return Ok(why_not("no baseline is saved: gaugecast baseline save NAME"));
    };
    // Asked as a client would, so that it has its turn and its deadline as that has.
    let (parts, ()) = Request::new(()).into_parts();
    let asked = Call {
        app: call.app.clone(),
        parts,
        body: Bytes::new(),
        name: name.clone(),
        peer: call.peer,
        who: call.who.clone(),
        routes: call.routes.clone(),
        place: None,
    };
    let response = baselines::answer(&asked, Saved::Compare).await?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| Problem::internal(error.to_string()))?;
    let told: Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|error| Problem::internal(error.to_string()))?;
    if !status.is_success() {
        let why = told["error"].as_str().unwrap_or("the comparison failed");
        return if call.parts.uri.query().is_some_and(|query| query.contains("baseline=")) {
            Err(Problem::new(status, why))
        } else {
            Ok(why_not(why))
        };
    }
    let series = told["data"]["series"].as_array().map_or(&[][..], Vec::as_slice);
    let worse = series.iter().filter(|one| one["verdict"] == "worse").map(|one| Worse {
        series: one["series"].as_str().unwrap_or_default().to_owned(),
        measure: one["measure"].as_str().unwrap_or_default().to_owned(),
        before: one["before"]["mean"].as_f64(),
        after: one["after"]["mean"].as_f64(),
        change: one["change"].as_f64(),
        effect: one["effect"].as_f64(),
    });
    let mut found: Vec<Worse> = worse.collect();
    let size = |one: &Worse| one.change.map_or(f64::INFINITY, f64::abs);
    found.sort_by(|a, b| size(b).total_cmp(&size(a)));
    found.truncate(MOST_WORSE);
    Ok(Regressions { baseline: Some(name), compared: series.len(), found, why_not: None })
}

/// A duration for people.
fn milliseconds(ms: f64) -> String {
    match ms {
        0.0 => "0".into(),
        ..1.0 => format!("{:.0} µs", ms * 1000.0),
        ..1000.0 => format!("{ms:.2} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}

/// A long duration for people: `1d4h3m`, `42s`.
fn span(seconds: f64) -> String {
    format_duration(Duration::from_secs(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs()))
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

/// The value and the threshold of a verdict for people.
fn judged(verdict: &Verdict) -> (String, String) {
    use crate::monitor::Criterion;
    let shown = |value: f64| match verdict.criterion {
        Criterion::MeanResponse => milliseconds(value),
        Criterion::ErrorRatio => percent(value),
        Criterion::Leak => format!("{value:.0} B"),
        Criterion::AllocationRate => format!("{value:.0}/s"),
    };
    (verdict.value.map_or_else(|| "–".into(), shown), shown(verdict.threshold))
}

fn word(ok: Option<bool>) -> &'static str {
    match ok {
        Some(true) => "good",
        Some(false) => "not good",
        None => "nothing to judge",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::monitor::{Criterion, Errors, SecurityFigures};

    pub(in super::super) fn snapshot() -> Snapshot {
        let slow = OperationFigures {
            name: "db_<search>|x".into(),
            count: 200,
            errors: 10,
            error_ratio: 0.05,
            total_ms: 9000.0,
            mean_ms: 45.0,
            p50_ms: 3.0,
            p95_ms: 200.0,
            p99_ms: 400.0,
            max_ms: 500.0,
            errors_by_kind: vec![KindCount { kind: "timeout".into(), count: 10 }],
            ..OperationFigures::default()
        };
        let fast = OperationFigures {
            name: "ping".into(),
            count: 1000,
            mean_ms: 0.1,
            ..OperationFigures::default()
        };
        Snapshot {
            at_ms: 1_700_000_000_000,
            uptime_ms: 90_000,
            overview: Overview {
                operations: 2,
                count: 1200,
                errors: 10,
                mean_ms: 7.6,
                ..Overview::default()
            },
            operations: vec![fast, slow],
            errors: Errors {
                total: 10,
                by_kind: vec![KindCount { kind: "timeout".into(), count: 10 }],
                last: Vec::new(),
            },
            system: None,
            security: SecurityFigures::default(),
            connections: crate::monitor::ConnectionFigures::default(),
            allocations: None,
            verdicts: vec![
                Verdict {
                    criterion: Criterion::MeanResponse,
                    ok: Some(false),
                    value: Some(12.0),
                    threshold: 10.0,
                    reasons: vec!["the mean is 12 ms".into()],
                },
                Verdict {
                    criterion: Criterion::ErrorRatio,
                    ok: Some(true),
                    value: Some(0.008),
                    threshold: 0.01,
                    reasons: Vec::new(),
                },
            ],
        }
    }

    fn report() -> Report {
        let worse = Worse {
            series: "shop_seconds{a=\"<b>\"}".into(),
            measure: "value".into(),
            before: Some(1.0),
            after: Some(2.0),
            change: Some(1.0),
            effect: Some(0.9),
        };
        let regressions =
            Regressions { baseline: Some("before".into()), compared: 3, found: vec![worse], why_not: None };
        Report::of(snapshot(), regressions)
    }

    #[test]
    fn f115_a_report_names_the_slowest_what_failed_and_what_is_worse() {
        let report = report();
        assert_eq!(report.slowest[0].name, "db_<search>|x");
        assert_eq!((report.ok, report.errors.failing.len(), report.slowest.len()), (Some(false), 1, 2));
        let told: Vec<&str> = report.recommendations.iter().map(|advice| advice.evidence.as_str()).collect();
        assert!(told.iter().all(|evidence| evidence.bytes().any(|byte| byte.is_ascii_digit())), "{told:?}");
        assert!(told.iter().any(|evidence| evidence.contains("45.00 ms")), "{told:?}");
        assert!(told.iter().any(|evidence| evidence.contains("timeout")), "{told:?}");
        assert!(told.iter().any(|evidence| evidence.contains("before")), "{told:?}");
    }

    #[test]
    fn what_comes_from_the_application_is_escaped_in_all_forms() {
        let report = report();
        let markdown = markdown::page(&report);
        assert!(markdown.contains("db_\\<search\\>\\|x") && !markdown.contains("<search>"), "{markdown}");
        let (html, policy) = html::page(&report);
        assert!(html.contains("db_&lt;search&gt;|x") && !html.contains("<search>") && !html.contains("<b>"));
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(html.contains(&format!("<style nonce=\"{nonce}\">")) && !html.contains("style=\""));
    }

    #[test]
    fn the_form_is_what_is_asked_for() {
        let of = |format, accept| Form::of(format, accept).ok();
        assert_eq!(of(None, ""), Some(Form::Json));
        assert_eq!(of(None, "text/html,application/xhtml+xml;q=0.9"), Some(Form::Html));
        assert_eq!(of(None, "text/markdown;q=1"), Some(Form::Markdown));
        assert_eq!(of(Some("json"), "text/html"), Some(Form::Json));
        assert_eq!(of(Some("pdf"), "text/html"), None);
    }
}
