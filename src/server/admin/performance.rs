//! `/api/v1/admin/performance/metrics`: all that the monitor knows, with the verdicts.

use hyper::Response;
use serde::Serialize;

use super::super::app::App;
use super::super::body::Body;
use super::super::problem::Problem;
use super::super::router::success;

/// `GET /api/v1/admin/performance/metrics`.
pub(super) fn metrics(app: &App) -> Result<Response<Body>, Problem> {
    let performance = app.admin.performance.as_ref().ok_or_else(Problem::not_found)?;
    let snapshot = performance().serialize(serde_json::value::Serializer);
    Ok(success(&snapshot.map_err(|error| Problem::internal(error.to_string()))?))
}
