//! `GET /api/v1/anomalies`: what is anomalous now, and what was before.

use hyper::Response;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::app::App;
use super::body::Body;
use super::problem::Problem;
use super::request::parameters;
use super::router::success;
use crate::detect::watch::Anomaly;

/// Those now, the oldest first, and those that are over, the latest first; `limit` bounds the latter.
pub(super) fn anomalies(app: &App, parts: &Parts) -> Result<Response<Body>, Problem> {
    let anomalies = app.anomalies.as_ref().ok_or_else(Problem::not_found)?;
    let asked = parameters(parts.uri.query().unwrap_or_default())?;
    let limit = match asked.iter().find(|(name, _)| name == "limit") {
        None => usize::MAX,
        Some((_, text)) => text
            .parse()
            .map_err(|_| Problem::bad_data(format!("the limit {text:?} is not a whole number")))?,
    };
    let view = anomalies.view();
    let recent = view.recent.iter().take(limit).map(|(until, anomaly)| {
        let mut shown = shown(anomaly);
        shown["until"] = (*until).into();
        shown
    });
    Ok(success(&json!({
        "watched": view.watched,
        "skipped": view.skipped,
        "current": view.current.values().map(|anomaly| shown(anomaly)).collect::<Vec<_>>(),
        "recent": recent.collect::<Vec<_>>(),
    })))
}

fn shown(anomaly: &Anomaly) -> Value {
    serde_json::to_value(anomaly).unwrap_or_default()
}
