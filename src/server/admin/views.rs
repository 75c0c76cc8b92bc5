//! What the server is made of: its targets and its configuration.

use hyper::Response;
use serde_json::{Value, json};

use super::super::app::App;
use super::super::body::Body;
use super::super::problem::Problem;
use super::super::router::success;
use super::super::targets::{pools, shown};

/// `GET /api/v1/admin/targets`: each job with its targets and counts.
pub(super) fn targets(app: &App) -> Response<Body> {
    let jobs: Vec<Value> = pools(&app.targets, "")
        .iter()
        .map(|pool| {
            let targets: Vec<Value> = pool.active.iter().map(|target| shown(&pool.job, target)).collect();
            let of = |health: &str| targets.iter().filter(|target| target["health"] == health).count();
            json!({
                "job": pool.job,
                "up": of("up"),
                "down": of("down"),
                "unknown": of("unknown"),
                "dropped": pool.dropped_count,
                "targets": targets,
            })
        })
        .collect();
    success(&json!({ "jobs": jobs }))
}

/// `GET /api/v1/admin/config`: YAML as `gaugecast config show --origin` prints it.
pub(super) fn config(app: &App) -> Result<Response<Body>, Problem> {
    let config = app.admin.config.as_ref().ok_or_else(Problem::not_found)?;
    Ok(success(&json!({ "yaml": config() })))
}
