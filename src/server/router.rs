//! Routes, and what every request goes through on its way to one.
//!
//! | path | methods | |
//! | --- | --- | --- |
//! | `/` and the files of the page | GET | [`assets`](super::assets) |
//! | `/metrics` (`--web.telemetry-path`) | GET | text, OpenMetrics or protobuf by `Accept`; `collect[]`, `exclude[]` |
//! | `/federate` | GET | the same of `match[]`, with times and the series of others |
//! | `/api/v1/metrics` | GET, POST | the same as JSON, strong ETag `epoch:offset`; `match[]` |
//! | `/api/v1/status` | GET | version, epoch, offset, uptime, series, clients |
//! | `/api/v1/query`, `query_range`, `series`, `labels` | GET, POST | PromQL, see [`queries`](super::queries) |
//! | `/api/v1/label/NAME/values` | GET | likewise |
//! | `/api/v1/history` | GET, POST | samples for charts, as they are or by steps |
//! | `/api/v1/export` | GET, POST | samples as CSV or JSON, see [`exports`](super::exports) |
//! | `/api/v1/baselines` | GET | saved ranges to compare with, see [`baselines`](super::baselines) |
//! | `/api/v1/baselines/NAME` | GET, PUT, POST, DELETE | one of them |
//! | `/api/v1/baselines/NAME/compare` | GET | it, and another range beside it |
//! | `/api/v1/trend` | GET, POST | where series go |
//! | `/api/v1/write` | POST | remote write, see [`writes`](super::writes) |
//! | `/api/v1/push/JOB…` | PUT, POST, DELETE | metrics in text, see [`pushes`](super::pushes) |
//! | `/api/v1/metadata` | GET | type, help and unit of each family |
//! | `/api/v1/status/buildinfo` | GET | which Prometheus' API this is |
//! | `/api/v1/targets`, `scrape_pools` | GET | what is scraped, see [`targets`](super::targets) |
//! | `/api/v1/stream/ws` | GET | the live stream |
//! | `/api/v1/stream/sse` | GET | the same one way, as server-sent events or NDJSON by `Accept` |
//! | `/-/healthy`, `/healthz` | GET | 200 while requests are answered |
//! | `/-/ready`, `/readyz` | GET | 200 or 503 |
//! | `/-/reload` | POST | reads the configuration again |
//!
//! HEAD goes wherever GET goes but to the stream, OPTIONS everywhere. All paths stand under the route prefix.
//!
//! [`Router`] is a [`hyper::service::Service`] over any request body, so a hyper program can take it into its
//! own: put a [`Peer`] into the request's extensions if the rate limit is to know who asks. The router looks
//! in this order: path, route, `Host`, rate, method, `Origin` (streams and whatever changes something), length
//! of the body. A handler that panics is answered with 500; the connection and the process go on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
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
use super::assets::{ASSETS, FILES};
use super::baselines::{self, Saved};
use super::body::Body;
use super::federate;
use super::handlers;
use super::headers;
use super::metrics::{Answered, HttpMetrics, Routed};
use super::problem::Problem;
use super::pushes;
use super::queries::{self, Api};
use super::request as read;
use super::targets;

/// Who asks; for the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Marks a request that says twice how long it is, see [`framing`](super::framing).
#[derive(Clone, Copy, Debug)]
pub(super) struct FramedTwice;

/// Answers requests. Clones share everything.
#[derive(Clone, Debug)]
pub struct Router {
    app: App,
    routes: Arc<Routes>,
}

#[derive(Debug)]
struct Routes {
    /// Empty, or `/` and something without `/` at its end.
    prefix: String,
    by_path: HashMap<String, Route>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    /// Its label in figures.
    name: &'static str,
    endpoint: Endpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Asset(usize),
    Metrics,
    Federate,
    Snapshot,
    Status,
    Query(Api),
    Export,
    Saved(Saved),
    Write,
    Push,
    Metadata,
    BuildInfo,
    Targets,
    ScrapePools,
    Stream,
    Feed,
    Healthy,
    Ready,
    Reload,
}

impl Endpoint {
    /// What `Allow` says.
    const fn methods(self) -> &'static str {
        match self {
            Endpoint::Query(Api::LabelValues) => "GET, HEAD, OPTIONS",
            Endpoint::Snapshot | Endpoint::Query(_) | Endpoint::Export => "GET, HEAD, POST, OPTIONS",
            Endpoint::Saved(saved) => saved.methods(),
            Endpoint::Stream | Endpoint::Feed => "GET, OPTIONS",
            Endpoint::Reload | Endpoint::Write => "POST, OPTIONS",
            Endpoint::Push => "POST, PUT, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|takes| takes == method.as_str())
    }

    /// Probes come under the address of a pod or of a balancer, and their answer is no secret.
    const fn is_probe(self) -> bool {
        matches!(self, Endpoint::Healthy | Endpoint::Ready)
    }
}

impl Routes {
    fn new(prefix: &str, telemetry_path: &str, app: &App) -> Self {
        let prefix = prefix.trim_matches('/');
        let mut by_path = HashMap::new();
        let mut add = |path: &str, name, endpoint| by_path.insert(path.to_owned(), Route { name, endpoint });
        for (at, file) in FILES.iter().enumerate() {
            add(file.path, if at == 0 { "/" } else { "asset" }, Endpoint::Asset(at));
        }
        add("/federate", "/federate", Endpoint::Federate);
        add("/api/v1/metrics", "/api/v1/metrics", Endpoint::Snapshot);
        add("/api/v1/status", "/api/v1/status", Endpoint::Status);
        add("/api/v1/metadata", "/api/v1/metadata", Endpoint::Metadata);
        add("/api/v1/status/buildinfo", "/api/v1/status/buildinfo", Endpoint::BuildInfo);
        add("/api/v1/targets", "/api/v1/targets", Endpoint::Targets);
        add("/api/v1/scrape_pools", "/api/v1/scrape_pools", Endpoint::ScrapePools);
        if app.exports.is_some() {
            add("/api/v1/export", "/api/v1/export", Endpoint::Export);
        }
        if app.writes.is_some() {
            add("/api/v1/write", "/api/v1/write", Endpoint::Write);
        }
        if app.groups.is_some() && app.writes.is_some() {
            add(PUSH, PUSH, Endpoint::Push);
        }
        if app.queries.is_some() {
            for api in Api::ALL {
                add(api.path(), api.path(), Endpoint::Query(api));
            }
        }
        if app.queries.is_some() && app.history.is_some() {
            for saved in Saved::ALL {
                add(saved.path(), saved.path(), Endpoint::Saved(saved));
            }
        }
        if app.stream.is_some() {
            add("/api/v1/stream/ws", "/api/v1/stream/ws", Endpoint::Stream);
            add("/api/v1/stream/sse", "/api/v1/stream/sse", Endpoint::Feed);
        }
        for path in ["/-/healthy", "/healthz"] {
            add(path, "/-/healthy", Endpoint::Healthy);
        }
        for path in ["/-/ready", "/readyz"] {
            add(path, "/-/ready", Endpoint::Ready);
        }
        add("/-/reload", "/-/reload", Endpoint::Reload);
        add(&format!("/{}", telemetry_path.trim_matches('/')), "/metrics", Endpoint::Metrics);
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Routes { prefix, by_path }
    }

    fn find(&self, path: &str) -> Found {
        match path.strip_prefix(self.prefix.as_str()) {
            Some(rest) if rest.starts_with('/') => {
                // Paths with a variable part are in the table by their patterns.
                let rest = variable(rest).map_or(rest, |(pattern, _)| pattern);
                self.by_path.get(rest).map_or(Found::None, |r| Found::Route(*r))
            }
            Some("") => Found::Home,
            _ if path == "/" => Found::Home,
            _ => Found::None,
        }
    }
}

/// The variable part of a path that has one, behind the pattern of the path.
fn variable(path: &str) -> Option<(&'static str, &str)> {
    let (pattern, name) = if let Some(rest) = path.strip_prefix("/api/v1/label/") {
        (Api::LabelValues.path(), rest.strip_suffix("/values")?)
    } else if let Some(group) =
        path.strip_prefix("/api/v1/push/").or_else(|| path.strip_prefix("/metrics/job/"))
    {
        (PUSH, group)
    } else {
        let rest = path.strip_prefix("/api/v1/baselines/")?;
        rest.strip_suffix("/compare").map_or((Saved::One.path(), rest), |name| (Saved::Compare.path(), name))
    };
    (!name.is_empty()).then_some((pattern, name))
}

/// Where metrics are pushed, by its pattern.
const PUSH: &str = "/api/v1/push/:group";

enum Found {
    Route(Route),
    /// The page, without the slash or the prefix its relative links need.
    Home,
    None,
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
        let routes = Routes::new(prefix, &config.telemetry_path, &app);
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
        let unread = read::has_body(&parts.headers);
        let cors = self.app.guard.allowed_origin(&parts.headers).and_then(|o| HeaderValue::try_from(o).ok());

        let mut route = "not_found";
        let answer = AssertUnwindSafe(self.dispatch(parts, body, &mut route)).catch_unwind().await;
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
        let route = if let Found::Route(route) = &found { Some(*route) } else { None };
        if path.strip_prefix(&*self.routes.prefix).is_some_and(|rest| rest.starts_with("/api/")) {
            *route_name = "api";
        }
        if let Some(route) = route {
            *route_name = route.name;
        }
        let peer = parts.extensions.get::<Peer>().copied();
        if !route.is_some_and(|route| route.endpoint.is_probe()) {
            app.guard.host(parts.version, &parts.uri, &parts.headers)?;
            if let Some(Peer(peer)) = peer {
                self.admit(peer)?;
            }
        }
        let endpoint = match found {
            Found::Route(route) => route.endpoint,
            Found::Home => return Ok(self.redirect_home()),
            Found::None => return Err(Problem::not_found()),
        };
        if !endpoint.takes(&parts.method) {
            return Err(Problem::method_not_allowed(endpoint.methods()));
        }
        if parts.method == Method::OPTIONS {
            return Ok(self.options(endpoint, &parts));
        }
        if matches!(endpoint, Endpoint::Stream | Endpoint::Feed) || !parts.method.is_safe() {
            app.guard.origin(&parts.headers)?;
        }
        let limits = &app.config.limits;
        let (most, place) = match (endpoint, &app.writes) {
            (Endpoint::Write | Endpoint::Push, Some(writes)) => {
                (limits.push_bytes, Some(writes.enter(peer)?))
            }
            _ => (limits.body_bytes, None),
        };
        read::declared_length(&parts.headers, most)?;
        let bytes =
            if read::has_body(&parts.headers) { read::body(body, most, limits).await? } else { Bytes::new() };
        match endpoint {
            Endpoint::Asset(at) => Ok(ASSETS[at].answer(&parts.headers)),
            Endpoint::Metrics => handlers::metrics(app, &parts).await,
            Endpoint::Federate => federate::federate(app, &parts).await,
            Endpoint::Snapshot => handlers::snapshot(app, &parts, &bytes).await,
            Endpoint::Status => Ok(handlers::status(app)),
            Endpoint::Query(api) => {
                let queries = app.queries.as_ref().ok_or_else(Problem::not_found)?;
                let label = self.variable(&path);
                queries.answer(api, label, &parts, &bytes, app.clock.now().unix_ms).await
            }
            Endpoint::Saved(saved) => {
                baselines::answer(app, saved, self.variable(&path), &parts, &bytes).await
            }
            Endpoint::Export => {
                let exports = app.exports.as_ref().ok_or_else(Problem::not_found)?;
                exports.answer(&parts, &bytes, app.clock.now().unix_ms).await
            }
            Endpoint::Write => {
                let (Some(writes), Some(place)) = (&app.writes, place) else {
                    return Err(Problem::not_found());
                };
                writes.answer(place, &parts, bytes, app.clock.now()).await
            }
            Endpoint::Push => {
                let groups = app.groups.as_ref().ok_or_else(Problem::not_found)?;
                let _place = place;
                pushes::push(app, groups, self.variable(&path), &parts, bytes).await
            }
            Endpoint::Metadata => queries::metadata(&app.ticks.latest(), &parts),
            Endpoint::BuildInfo => Ok(queries::build_info()),
            Endpoint::Targets => targets::targets(&app.targets, &parts),
            Endpoint::ScrapePools => Ok(targets::scrape_pools(&app.targets)),
            Endpoint::Healthy => Ok(handlers::healthy(app)),
            Endpoint::Ready => Ok(handlers::ready(app)),
            Endpoint::Reload => handlers::reload(app).await,
            Endpoint::Stream | Endpoint::Feed => {
                let stream = app.stream.as_ref().ok_or_else(Problem::not_found)?;
                let peer = peer.map_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), |Peer(peer)| peer);
                if endpoint == Endpoint::Stream {
                    return stream.upgrade(Request::from_parts(parts, ()), peer);
                }
                let asked = read::parameters(parts.uri.query().unwrap_or_default())?;
                stream.feed(Request::from_parts(parts, ()), asked, peer).await
            }
        }
    }

    /// The variable part of a path; empty for one without.
    fn variable<'a>(&self, path: &'a str) -> &'a str {
        let within = path.strip_prefix(&*self.routes.prefix).unwrap_or(path);
        variable(within).map_or("", |(_, name)| name)
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

    fn options(&self, endpoint: Endpoint, parts: &request::Parts) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let methods = HeaderValue::from_static(endpoint.methods());
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
