//! `/api/v1/admin/clients`: who is connected to the streams, and how each fares.

use std::sync::atomic::Ordering;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::app::App;
use super::super::audit::Detail;
use super::super::body::Body;
use super::super::problem::Problem;
use super::super::router::success;
use super::super::routes::Call;
use crate::clock::Moment;
use crate::stream::Figures;
use crate::stream::protocol::Close;

/// `GET /api/v1/admin/clients`: the oldest first.
pub(super) fn list(app: &App) -> Response<Body> {
    let mut sessions = app.stream.as_ref().map_or_else(Vec::new, |stream| stream.sessions());
    sessions.sort_by_key(|session| session.began.since_start);
    let now = app.clock.now();
    let clients: Vec<Value> = sessions.iter().map(|session| shown(session, &now)).collect();
    success(&json!({ "count": clients.len(), "clients": clients }))
}

fn shown(session: &Figures, now: &Moment) -> Value {
    let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    json!({
        "id": session.session,
        "remote": session.remote.to_string(),
        "transport": session.transport,
        "agent": session.agent,
        "token": session.token.as_deref(),
        "age_seconds": now.since(&session.began).as_secs_f64(),
        "subscriptions": count(&session.subscriptions),
        "frames": count(&session.messages),
        "bytes": count(&session.bytes),
        "errors": count(&session.errors),
        "rtt_ms": session.rtt().map(milliseconds),
        "lag_ms": milliseconds(std::time::Duration::from_micros(count(&session.lag_us))),
        "catch_ups": count(&session.catch_ups),
        "conflated": count(&session.conflated),
        "resyncs": count(&session.resyncs),
    })
}

/// `DELETE /api/v1/admin/clients/ID`: `bye` with 4410 and the advice not to come back.
pub(super) fn kick(call: &Call) -> Result<Response<Body>, Problem> {
    let sessions = call.app.stream.as_ref().map_or_else(Vec::new, |stream| stream.sessions());
    let Some(session) = sessions.iter().find(|session| session.session == call.name) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no client {:?}", call.name)));
    };
    session.end(Close::Kicked);
    let told = json!({ "id": session.session, "remote": session.remote.to_string() });
    let mut response = success(&told);
    response.extensions_mut().insert(Detail(told));
    Ok(response)
}
