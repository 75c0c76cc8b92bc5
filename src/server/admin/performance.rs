//! `/api/v1/admin/performance/metrics`: all that the monitor knows, with the verdicts; and `…/operations/NAME`: the single
//! runs of an operation, which are too many for the whole.

use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::super::app::App;
use super::super::body::Body;
use super::super::problem::Problem;
use super::super::router::success;
use super::super::routes::Call;

/// `GET /api/v1/admin/performance/metrics`.
pub(super) fn metrics(app: &App) -> Result<Response<Body>, Problem> {
    let performance = app.admin.performance.as_ref().ok_or_else(Problem::not_found)?;
    let snapshot = performance().serialize(serde_json::value::Serializer);
    Ok(success(&snapshot.map_err(|error| Problem::internal(error.to_string()))?))
}

/// `GET /api/v1/admin/performance/operations/NAME`: the last hundred runs, newest first.
pub(super) fn runs(call: &Call) -> Result<Response<Body>, Problem> {
    let monitor = call.app.admin.monitor.as_ref().ok_or_else(Problem::not_found)?;
    let missing = || Problem::new(StatusCode::NOT_FOUND, format!("there is no operation {:?}", call.name));
    let runs = monitor.runs(&call.name, monitor.now()).ok_or_else(missing)?;
    Ok(success(&json!({ "name": call.name, "runs": runs })))
}
