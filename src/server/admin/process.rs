//! The process: how much its log says, and its end.

use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::super::app::App;
use super::super::audit::Detail;
use super::super::body::Body;
use super::super::headers::require_content_type;
use super::super::problem::Problem;
use super::super::router::success;
use super::super::routes::Call;
use crate::log::Level;

/// `GET /api/v1/admin/loglevel`.
pub(super) fn log_level(app: &App) -> Result<Response<Body>, Problem> {
    let level = app.admin.log_level.as_ref().ok_or_else(Problem::not_found)?;
    Ok(success(&json!({ "level": level(None).word() })))
}

/// `PUT /api/v1/admin/loglevel` with `{"level":"debug"}`.
pub(super) fn set_log_level(call: &Call) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        level: String,
    }
    let set = call.app.admin.log_level.as_ref().ok_or_else(Problem::not_found)?;
    require_content_type(&call.parts.headers, &["application/json"])?;
    let wanted: Wanted = serde_json::from_slice(&call.body)
        .map_err(|error| Problem::bad_data(format!("the body is not {{\"level\":\"…\"}}: {error}")))?;
    let level = Level::ALL.into_iter().find(|level| level.word() == wanted.level).ok_or_else(|| {
        let words = Level::WORDS.join(", ");
        Problem::bad_data(format!("{:?} is no level; there are {words}", wanted.level))
            .details(json!({ "valid": Level::WORDS }))
    })?;
    let told = json!({ "level": set(Some(level)).word() });
    let mut response = success(&told);
    response.extensions_mut().insert(Detail(told));
    Ok(response)
}

/// `POST /api/v1/admin/drain`: the answer comes before the end.
pub(super) fn drain(app: &App) -> Result<Response<Body>, Problem> {
    let drain = app.admin.drain.as_ref().ok_or_else(Problem::not_found)?;
    drain();
    let mut response = success(&json!({ "draining": true }));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
