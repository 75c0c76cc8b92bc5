//! What the routes do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::app::{App, Readiness};
use super::audit::Detail;
use super::auth::ticket::GOOD_FOR;
use super::body::Body;
use super::headers;
use super::problem::Problem;
use super::request::{form_and_query, parameters};
use super::router::{line, success};
use super::routes::Call;
use crate::exposition::{Answer, Filter, select};
use crate::series::{Selector, Series, Tick};

/// Which tick an answer shows: `epoch:offset`.
const OFFSET: HeaderName = HeaderName::from_static("x-gaugecast-offset");

/// A scrape never shows values older than this.
pub(super) const FRESH: Duration = Duration::from_millis(100);

/// From this many series on an answer is written on a thread for blocking work: text and gzip of 10,000
/// series take some milliseconds, which is what the streams of a worker thread can wait.
const MANY: usize = 10_000;

/// `GET /metrics`: the tick of now.
pub(super) async fn metrics(app: &App, parts: &Parts) -> Result<Response<Body>, Problem> {
    let permit = permit(app)?;
    let asked = parameters(parts.uri.query().unwrap_or_default())?;
    let tick = app.ticks.fresh(FRESH).await;
    let filter = filter(&asked, &tick)?;
    let accept = list(parts, ACCEPT);
    let encoding = list(parts, ACCEPT_ENCODING);
    let (writer, shown) = (app.clone(), Arc::clone(&tick));
    let answer = write(&tick, move || {
        writer.expositions.answer(&shown, accept.as_deref(), encoding.as_deref(), &filter)
    })
    .await;
    let mut response = respond(&tick, &answer);
    headers::vary(response.headers_mut(), "Accept, Accept-Encoding");
    Ok(response.map(|body| body.hold(permit)))
}

/// A place among the scrapes that are answered at once.
///
/// # Errors
/// 503 when there is none.
pub(super) fn permit(app: &App) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    let Some(scrapes) = &app.scrapes else { return Ok(None) };
    Arc::clone(scrapes).try_acquire_owned().map(Some).map_err(|_| {
        let most = app.config.max_requests;
        let message = format!("{most} requests are being answered here already (--web.max-requests)");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).because("max_requests").retry_after(1)
    })
}

/// `collect[]` and `exclude[]` as node_exporter has them: one of the two, with names of sources. `name[]` as
/// client libraries have it: families or series of these names.
fn filter(asked: &[(String, String)], tick: &Tick) -> Result<Filter, Problem> {
    let of = |name: &str| -> Vec<String> {
        asked.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect()
    };
    let filter = Filter { collect: of("collect[]"), exclude: of("exclude[]"), names: of("name[]") };
    if !filter.collect.is_empty() && !filter.exclude.is_empty() {
        return Err(Problem::bad_data("collect[] and exclude[] cannot be used together"));
    }
    let valid = &tick.schema.sources;
    for name in filter.collect.iter().chain(&filter.exclude) {
        if !valid.iter().any(|source| **source == **name) {
            let names = valid.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            let message = format!("there is no source {name:?}; there are {}", names.join(", "));
            return Err(Problem::bad_data(message).details(json!({ "name": name, "valid": names })));
        }
    }
    Ok(filter)
}

/// Most `match[]` of one request, as many as one subscription may have. Each may hold regular expressions, which
/// cost up to some 5 ms and 1 MiB to compile.
const MAX_SELECTORS: usize = 32;

/// The selectors of `match[]`.
///
/// # Errors
/// 400 for one that cannot be read, and for too many.
pub(super) fn selectors(asked: &[(String, String)]) -> Result<Vec<Selector>, Problem> {
    let mut selectors = Vec::new();
    let texts = || asked.iter().filter(|(name, _)| name == "match[]");
    let count = texts().count();
    if count > MAX_SELECTORS {
        let message = format!("{count} match[] are more than {MAX_SELECTORS}");
        return Err(Problem::bad_data(message).details(json!({ "limit": MAX_SELECTORS })));
    }
    for (_, text) in texts() {
        selectors.push(Selector::parse(text).map_err(|error| {
            Problem::bad_data(format!("match[] {text:?}: {error}"))
                .details(json!({ "match": text, "column": error.column, "reason": error.reason }))
        })?);
    }
    Ok(selectors)
}

/// `GET` or `POST /api/v1/metrics`: the last tick as JSON.
pub(super) async fn snapshot(app: &App, parts: &Parts, body: &Bytes) -> Result<Response<Body>, Problem> {
    let asked = form_and_query(parts, body)?;
    let selectors = selectors(&asked)?;
    let mut tick = app.ticks.latest();
    if tick.offset == 0 {
        tick = app.ticks.fresh(FRESH).await;
    }
    // A packed answer is another representation and needs another strong tag (RFC 9110 8.8.3).
    let tag = |coding: Option<&str>| match coding {
        Some(coding) => format!("\"{}:{}+{coding}\"", tick.epoch, tick.offset),
        None => format!("\"{}:{}\"", tick.epoch, tick.offset),
    };
    let known = [None, Some("gzip")].map(tag).into_iter().find(|tag| headers::unchanged(&parts.headers, tag));
    let mut response = if let Some(known) = &known
        && parts.method != Method::POST
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set(&mut response, ETAG, known);
        response
    } else {
        let encoding = list(parts, ACCEPT_ENCODING);
        let exact = asked.iter().any(|(name, value)| name == "exact" && value == "1");
        let (writer, shown) = (app.clone(), Arc::clone(&tick));
        let answer = write(&tick, move || {
            let picks = |series: &Series| selectors.iter().any(|selector| selector.matches(series.key()));
            let picked = (!selectors.is_empty()).then(|| select(&shown.schema.families, picks));
            writer.expositions.json(&shown, encoding.as_deref(), picked.as_deref(), exact)
        })
        .await;
        let mut response = respond(&tick, &answer);
        set(&mut response, ETAG, &tag(answer.content_encoding));
        response
    };
    // It may be kept, to be asked for again with its tag.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers::vary(response.headers_mut(), "Accept-Encoding");
    Ok(response)
}

/// All values of a header that is a list, as one.
pub(super) fn list(parts: &Parts, name: HeaderName) -> Option<String> {
    let values: Vec<_> = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Writes an answer here, or where it may take its time.
pub(super) async fn write(tick: &Tick, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    if tick.schema.len < MANY {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        // A panic goes on to where panics of handlers are caught; a runtime that ends takes this task too.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

pub(super) fn respond(tick: &Tick, answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.clone()));
    set(&mut response, CONTENT_TYPE, &answer.content_type);
    set(&mut response, OFFSET, &format!("{}:{}", tick.epoch, tick.offset));
    if let Some(coding) = answer.content_encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
}

/// `GET` or `POST /api/v1/export`.
pub(super) async fn export(call: &Call) -> Result<Response<Body>, Problem> {
    let exports = call.app.exports.as_ref().ok_or_else(Problem::not_found)?;
    exports.answer(&call.parts, &call.body, call.app.clock.now().unix_ms).await
}

/// `POST /api/v1/write`.
pub(super) async fn write_remote(call: Call) -> Result<Response<Body>, Problem> {
    let (Some(writes), Some(place)) = (&call.app.writes, call.place) else {
        return Err(Problem::not_found());
    };
    writes.answer(place, &call.parts, call.body, call.app.clock.now()).await
}

/// `GET /api/v1/status`.
pub(super) fn status(app: &App) -> Response<Body> {
    let tick = app.ticks.latest();
    let sources: Vec<&str> = tick.schema.sources.iter().map(AsRef::as_ref).collect();
    success(&json!({
        "version": crate::build::VERSION,
        "ready": app.readiness() == Readiness::Ready,
        "degraded": app.is_degraded(),
        "uptime_seconds": app.clock.now().since_start.as_secs_f64(),
        "epoch": tick.epoch.to_string(),
        "offset": tick.offset,
        "tick": { "beat": tick.beat, "time_ms": tick.at.unix_ms },
        "series": tick.schema.len,
        "families": tick.schema.families.len(),
        "sources": sources,
        "clients": app.stream.as_ref().map_or(0, |stream| stream.clients()),
        "connections": app.crowd.len(),
    }))
}

/// `POST /api/v1/stream/ticket`.
pub(super) fn ticket(call: &Call) -> Result<Response<Body>, Problem> {
    let ticket = call.app.auth.ticket(call.who.clone(), &call.app.clock.now())?;
    Ok(success(&json!({ "ticket": ticket, "expires_in_ms": GOOD_FOR.as_millis() })))
}

/// `GET /-/healthy`: as long as this is answered the process works.
pub(super) fn healthy(app: &App) -> Response<Body> {
    if app.is_degraded() {
        return line(
            StatusCode::OK,
            "gaugecast is degraded: it cannot accept new connections at the moment.",
        );
    }
    line(StatusCode::OK, "gaugecast is healthy.")
}

/// `GET /-/ready`.
pub(super) fn ready(app: &App) -> Response<Body> {
    match app.readiness() {
        Readiness::Starting => line(StatusCode::SERVICE_UNAVAILABLE, "gaugecast is starting."),
        Readiness::Ready => line(StatusCode::OK, "gaugecast is ready."),
        Readiness::Draining => line(StatusCode::SERVICE_UNAVAILABLE, "gaugecast is stopping."),
    }
}

/// `POST /-/reload`.
pub(super) async fn reload(app: &App) -> Result<Response<Body>, Problem> {
    let Some(reload) = &app.reload else {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "reloading over HTTP is off; start the server with --web.enable-lifecycle",
        )
        .details(json!({ "setting": "--web.enable-lifecycle" })));
    };
    match reload().await {
        Ok(changed) => {
            let mut response = line(StatusCode::OK, &changed);
            response.extensions_mut().insert(Detail(json!({ "changed": changed })));
            Ok(response)
        }
        Err(why) => Err(Problem::internal(why)),
    }
}
