//! Prometheus' HTTP API: who may ask, where it is evaluated, when it ends. What is answered is the matter of
//! [`query::http`](crate::query::http).
//!
//! A query is evaluated on a thread for blocking work, so that no stream waits for it. As many as
//! `query.max_concurrency` run at once, [`WAITING`] times as many wait for their turn, and who comes then is told to come
//! again (503). A query ends with its answer, when its time is over (`query.timeout`, or the shorter one of its
//! parameter `timeout`), or when its client goes: hyper then drops the future, and that interrupts the evaluation.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::body::Body;
use super::headers;
use super::metrics::{Endpoint, Queried, QueryMetrics};
use super::problem::Problem;
use super::request::{form_and_query, parameters};
use super::router::success;
use super::routes::Call;
use crate::build;
use crate::exposition::compress;
use crate::query::eval::{Error, Interrupt, Options};
use crate::query::http::{self, Fault, Metadata, Params, Reply, Request};
use crate::query::{Config, Source};
use crate::registry::{Gauge, RegisterError, Registry};
use crate::series::Tick;

/// How many queries may wait for each one that runs: with the default of 20 a dashboard of 200 panels is served whole.
const WAITING: usize = 10;

/// Shorter answers are not compressed: they fit into one packet anyway.
const COMPRESSED: usize = 1400;

/// The Prometheus whose HTTP API this is. Clients look at it to find out what they may ask for: Grafana asks one that is
/// too old for less.
const PROMETHEUS: &str = "3.5.0";

/// What can be asked of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Query,
    QueryRange,
    Series,
    Labels,
    LabelValues,
    History,
}

impl Api {
    /// Its label in figures.
    const fn name(self) -> &'static str {
        match self {
            Api::Query => "query",
            Api::QueryRange => "query_range",
            Api::Series => "series",
            Api::Labels => "labels",
            Api::LabelValues => "label_values",
            Api::History => "history",
        }
    }

    fn run(self, label: &str, request: &Request<'_>) -> Reply {
        match self {
            Api::Query => http::query(request),
            Api::QueryRange => http::query_range(request),
            Api::Series => http::series(request),
            Api::Labels => http::labels(request),
            Api::LabelValues => http::label_values(request, label),
            Api::History => http::history(request),
        }
    }
}

/// Evaluates queries, a bounded number at once.
pub(super) struct Queries {
    samples: Arc<dyn Source + Send>,
    config: Config,
    options: Options,
    /// One permit a query that is evaluated.
    turns: Arc<Semaphore>,
    /// One permit a query that is evaluated or waits.
    places: Arc<Semaphore>,
    metrics: QueryMetrics,
}

impl Queries {
    pub(super) fn new(
        samples: Arc<dyn Source + Send>,
        config: Config,
        registry: &Registry,
    ) -> Result<Self, RegisterError> {
        let turns = config.max_concurrency.clamp(1, Semaphore::MAX_PERMITS / (WAITING + 1));
        Ok(Queries {
            samples,
            options: config.options(),
            config,
            turns: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns * (WAITING + 1))),
            metrics: QueryMetrics::register(registry)?,
        })
    }

    /// Answers a request. Dropping the future ends the evaluation.
    pub(super) async fn answer(
        &self,
        api: Api,
        label: &str,
        parts: &Parts,
        body: &Bytes,
        now_ms: i64,
    ) -> Result<Response<Body>, Problem> {
        let label = label.to_owned();
        self.run(api.name(), parts, body, now_ms, move |request| api.run(&label, request)).await
    }

    /// Answers a request by `work`, which has its turn as a query has. `endpoint` is its label in figures.
    pub(super) async fn run(
        &self,
        endpoint: &'static str,
        parts: &Parts,
        body: &Bytes,
        now_ms: i64,
        work: impl FnOnce(&Request<'_>) -> Reply + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let params = Params(form_and_query(parts, body)?);
        let mut asked =
            Asked { metrics: &self.metrics, endpoint, outcome: "canceled", interrupt: Interrupt::default() };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            asked.outcome = "unavailable";
            let message = "too many queries are waiting for their turn (--query.max-concurrency)";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
                .because("max_queries")
                .retry_after(1));
        };
        // What is wrong with the parameter is told where it is answered.
        let time = http::timeout(&params).ok().flatten();
        let time = time.map_or(self.config.timeout, |time| time.min(self.config.timeout));
        let deadline = tokio::time::Instant::now() + time;
        let turn = {
            let _waiting = Counted::new(&self.metrics.waiting);
            timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await
        };
        let Ok(Ok(turn)) = turn else { return Ok(asked.respond(Fault::Queue.reply(), false)) };

        let (samples, options) = (Arc::clone(&self.samples), self.options);
        let (metrics, interrupt) = (self.metrics.clone(), asked.interrupt.clone());
        let zip = headers::accepts_gzip(&parts.headers);
        // Held for as long as there is work, whether or not somebody still waits for it.
        let held = (turn, place, Counted::new(&metrics.running));
        let working = tokio::task::spawn_blocking(move || {
            let _held = held;
            let begun = Instant::now();
            let request = Request {
                params: &params,
                source: &*samples,
                options: &options,
                interrupt: &interrupt,
                now: now_ms,
            };
            let mut reply = work(&request);
            let zip = zip && reply.body.len() >= COMPRESSED;
            if zip {
                reply.body = compress(&reply.body).into();
            }
            metrics.duration.get(&Endpoint { endpoint }).observe_duration(begun.elapsed());
            (reply, zip)
        });
        match timeout_at(deadline, working).await {
            Ok(Ok((reply, zip))) => Ok(asked.respond(reply, zip)),
            // A panic goes on to where panics of handlers are caught; a runtime that ends takes this task too.
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => {
                    asked.outcome = "internal";
                    std::panic::resume_unwind(panic)
                }
                Err(_) => std::future::pending().await,
            },
            Err(_) => Ok(asked.respond(Fault::Evaluation(Error::Timeout).reply(), false)),
        }
    }
}

/// A request that somebody waits for; counted when that is over.
struct Asked<'a> {
    metrics: &'a QueryMetrics,
    endpoint: &'static str,
    outcome: &'static str,
    interrupt: Interrupt,
}

impl Asked<'_> {
    fn respond(mut self, reply: Reply, zip: bool) -> Response<Body> {
        self.outcome = match reply.status {
            200 | 201 => "success",
            400 => "bad_data",
            404 => "not_found",
            409 => "conflict",
            422 => "execution",
            499 => "canceled",
            503 => "timeout",
            _ => "internal",
        };
        let mut response = respond(reply);
        headers::vary(response.headers_mut(), "Accept-Encoding");
        if zip {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.metrics.queries.get(&Queried { endpoint: self.endpoint, outcome: self.outcome }).inc();
        // Nobody waits any more; where there is an answer already, this does nothing.
        self.interrupt.cancel();
    }
}

/// Counts in a gauge for as long as it lives.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn respond(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("all of them are three digits");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Answers a request for samples; the variable part of the path is the name of a label.
pub(super) async fn answer(call: &Call, api: Api) -> Result<Response<Body>, Problem> {
    let queries = call.app.queries.as_ref().ok_or_else(Problem::not_found)?;
    queries.answer(api, &call.name, &call.parts, &call.body, call.app.clock.now().unix_ms).await
}

/// `GET /api/v1/metadata`, of the families of the last tick.
pub(super) fn metadata(tick: &Tick, parts: &Parts) -> Result<Response<Body>, Problem> {
    let params = Params(parameters(parts.uri.query().unwrap_or_default())?);
    let families = tick.schema.families.iter().map(|family| {
        let meta = &family.meta;
        (&*meta.name, Metadata { kind: meta.kind.as_str(), help: &meta.help, unit: &meta.unit })
    });
    Ok(respond(http::metadata(&params, families)))
}

/// `GET /api/v1/status/buildinfo`: the version is that of the API, since that is what clients read it for.
pub(super) fn build_info() -> Response<Body> {
    success(&json!({
        "version": PROMETHEUS,
        "revision": build::REVISION,
        "branch": build::BRANCH,
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "gaugecast": build::VERSION,
    }))
}
