//! Routes, and what every request goes through on its way to one.
//!
//! What there is stands in the [`table`](super::table) of operations, which the server describes at `/api/v1/openapi.json`.
//!
//! HEAD goes wherever GET goes but to the stream, OPTIONS everywhere. All paths stand under the route prefix.
//!
//! [`Router`] is a [`hyper::service::Service`] over any request body, so a hyper program can take it into its
//! own: put a [`Peer`] into the request's extensions, for the rate limit and since without tokens only programs of this machine
//! may change something ([`auth`](super::auth)). The router looks in this order: path, route, `Host`, rate, method, `Origin` (streams
//! and whatever changes something), rights, length of the body. A handler that panics is answered with 500; the connection and the process go on.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::Body as HttpBody;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION,
};
use hyper::http::request;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::json;

use super::app::App;
use super::audit::{Detail, Record};
use super::auth::{Denied, Who};
use super::body::Body;
use super::headers;
use super::metrics::{Answered, HttpMetrics, Routed};
use super::problem::Problem;
use super::request as read;
use super::routes::{Call, Found, Operation, Route, Routes};
use super::table::table;

/// Who asks; for the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A request that was let in, before its body is read.
struct Letter<B> {
    parts: request::Parts,
    body: B,
    name: String,
    peer: Option<SocketAddr>,
    who: Who,
}

/// What the audit log tells of a request, kept while it is answered.
struct Asked {
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
    id: String,
}

impl Asked {
    fn of(parts: &request::Parts, id: &str) -> Self {
        Asked {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            peer: parts.extensions.get::<Peer>().map(|Peer(peer)| *peer),
            id: id.to_owned(),
        }
    }

    fn record<'a>(&'a self, who: String, at_ms: i64, status: u16, refused: Option<&'a str>) -> Record<'a> {
        let Asked { method, path, peer, id } = self;
        let (method, from, detail) = (method.as_str(), *peer, serde_json::Value::Null);
        Record { at_ms, who, from, method, path, status, refused, request_id: id, detail }
    }
}

/// Marks a request that says twice how long it is, see [`framing`](super::framing).
#[derive(Clone, Copy, Debug)]
pub(super) struct FramedTwice;

/// Answers requests. Clones share everything.
#[derive(Clone, Debug)]
pub struct Router {
    app: App,
    routes: Arc<Routes>,
}

impl Router {
    /// The routes of an app.
    #[must_use]
    pub fn new(app: App) -> Self {
        let config = &app.config;
        let external = config.external_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let prefix = match (config.route_prefix.as_str(), &external) {
            ("", Some(url)) => url.path(),
            (prefix, _) => prefix,
        };
        let routes = Routes::new(prefix, table(&app));
        Router { app, routes: Arc::new(routes) }
    }

    /// What all requests share.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Answers a request. Dropping the future stops the work.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes>,
    {
        let begun = Instant::now();
        let metrics = &self.app.metrics;
        let _in_flight = InFlight::new(metrics);
        let id = self.app.ids.of(request.headers());
        let id_text = id.to_str().unwrap_or_default();
        let (parts, body) = request.into_parts();
        let method = method_label(&parts.method);
        let asked = Asked::of(&parts, id_text);
        let unread = read::has_body(&parts.headers);
        let cors = self.app.guard.allowed_origin(&parts.headers).and_then(|o| HeaderValue::try_from(o).ok());

        let mut route = "not_found";
        let answer = AssertUnwindSafe(self.dispatch(parts, body, &mut route, &asked)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|panic| {
            metrics.panics.inc();
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            tracing::error!(request_id = id_text, what, "a request handler panicked");
            Err(Problem::internal(
                "the server failed at this request; its log says more under the request id",
            ))
        });
        let mut response = answer.unwrap_or_else(|mut problem| {
            if let Some(reason) = problem.reason {
                metrics.reject(reason);
            }
            // The body may not have been read; it is cheaper to open a new connection than to read it now.
            problem.close |= unread;
            let close = problem.close;
            let as_page = problem.reason == Some("not_found") && route == "not_found";
            let mut response = problem.into_response(id_text, as_page);
            if close {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        });

        headers::secure(response.headers_mut(), &id);
        if let Some(origin) = cors {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers::vary(response.headers_mut(), "Origin");
        }
        let (took, code) = (begun.elapsed(), response.status().as_u16());
        metrics.duration.get(&Routed { route }).observe_duration(took);
        metrics.requests.get(&Answered { route, method, code }).inc();
        tracing::debug!(request_id = id_text, route, method, code, ?took, "request");
        response
    }

    async fn dispatch<B>(
        &self,
        parts: request::Parts,
        body: B,
        route_name: &mut &'static str,
        asked: &Asked,
    ) -> Result<Response<Body>, Problem>
    where
        B: HttpBody<Data = Bytes>,
    {
        let app = &self.app;
        if parts.extensions.get::<FramedTwice>().is_some() {
            return Err(Problem::bad_data("a request has either Content-Length or Transfer-Encoding")
                .because("framing")
                .closing());
        }
        let path = read::path(parts.uri.path())?;
        let found = self.routes.find(&path);
        if path.strip_prefix(&*self.routes.prefix).is_some_and(|rest| rest.starts_with("/api/")) {
            *route_name = "api";
        }
        let route = if let Found::Route(route, _) = &found { Some(*route) } else { None };
        if let Some(route) = route {
            *route_name = route.label;
        }
        let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| *peer);
        if !route.is_some_and(Route::is_probe) {
            app.guard.host(parts.version, &parts.uri, &parts.headers)?;
            if let Some(peer) = peer {
                self.admit(peer)?;
            }
        }
        let (route, name) = match found {
            Found::Route(route, name) => (route, name.to_owned()),
            Found::Home => return Ok(self.redirect_home()),
            Found::None => return Err(Problem::not_found()),
        };
        let Some(operation) = route.operation(&parts.method) else {
            return Err(Problem::method_not_allowed(&route.allow));
        };
        if parts.method == Method::OPTIONS {
            return Ok(self.options(route, &parts));
        }
        if operation.streams || !parts.method.is_safe() {
            app.guard.origin(&parts.headers)?;
        }
        let now = app.clock.now();
        let who = match app.auth.admit(operation.need, operation.streams, &parts, peer, &now) {
            Ok(who) => who,
            Err(denied) => {
                if let (Some(kind), Some(monitor)) = (denied.event(), &app.admin.monitor) {
                    let source = peer.map(|peer| peer.ip().to_canonical().to_string());
                    let source = source.as_deref().unwrap_or("unknown");
                    monitor.security().report_at(kind, source, operation.label, now);
                }
                let Denied { problem, audit } = denied;
                if let Some(reason) = audit {
                    let who = "nobody".to_owned();
                    app.audit
                        .record(asked.record(who, now.unix_ms, problem.status.as_u16(), Some(reason)))
                        .await;
                }
                return Err(problem);
            }
        };
        let audited = operation.is_audited(&parts.method).then(|| who.to_string());
        let answer = self.carry_out(operation, Letter { parts, body, name, peer, who }).await;
        if let Some(who) = audited {
            let mut record = match &answer {
                Ok(response) => asked.record(who, now.unix_ms, response.status().as_u16(), None),
                Err(problem) => {
                    asked.record(who, now.unix_ms, problem.status.as_u16(), Some(&problem.message))
                }
            };
            if let Some(Detail(detail)) =
                answer.as_ref().ok().and_then(|response| response.extensions().get())
            {
                record.detail = detail.clone();
            }
            app.audit.record(record).await;
        }
        answer
    }

    /// Reads the body and answers.
    async fn carry_out<B>(&self, operation: &Operation, letter: Letter<B>) -> Result<Response<Body>, Problem>
    where
        B: HttpBody<Data = Bytes>,
    {
        let app = &self.app;
        let Letter { parts, body, name, peer, who } = letter;
        let limits = &app.config.limits;
        let (most, place) = match &app.writes {
            Some(writes) if operation.takes_pushes => (limits.push_bytes, Some(writes.enter()?)),
            _ => (limits.body_bytes, None),
        };
        read::declared_length(&parts.headers, most)?;
        let body =
            if read::has_body(&parts.headers) { read::body(body, most, limits).await? } else { Bytes::new() };
        let routes = Arc::clone(&self.routes);
        (operation.work)(Call { app: app.clone(), parts, body, name, peer, who, routes, place }).await
    }

    /// Counts a request against the rate of its peer (B14).
    fn admit(&self, peer: SocketAddr) -> Result<(), Problem> {
        let now = self.app.clock.now().since_start;
        self.app.rate.admit(peer.ip(), now).map_err(|again| {
            let seconds = again.as_secs() + 1;
            let message = format!("too many requests from this address; try again in {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, message).because("rate").retry_after(seconds)
        })
    }

    fn redirect_home(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        if let Ok(home) = HeaderValue::try_from(format!("{}/", self.routes.prefix)) {
            response.headers_mut().insert(LOCATION, home);
        }
        response
    }

    fn options(&self, route: &Route, parts: &request::Parts) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let methods = HeaderValue::try_from(&route.allow).expect("names of methods");
        if self.app.guard.allowed_origin(&parts.headers).is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            let may_send =
                HeaderValue::from_static("Content-Type, If-None-Match, Last-Event-ID, X-Request-Id");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, may_send);
        }
        response.headers_mut().insert(ALLOW, methods);
        response
    }
}

impl<B> Service<Request<B>> for Router
where
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let router = self.clone();
        Box::pin(async move { Ok(router.handle(request).await) })
    }
}

/// Counts a request as long as it is worked on, to whichever end.
struct InFlight<'a>(&'a HttpMetrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a HttpMetrics) -> Self {
        metrics.in_flight.inc();
        InFlight(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "OPTIONS" => "OPTIONS",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// One line of plain text.
pub(super) fn line(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// `{"status":"success","data":…}`.
pub(super) fn success(data: &serde_json::Value) -> Response<Body> {
    let mut response =
        Response::new(Body::from(format!("{}\n", json!({ "status": "success", "data": data }))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
