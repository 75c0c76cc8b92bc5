//! `/api/v1/export`: samples of the history as CSV or JSON, as [`history::export`](crate::history::export) writes them.
//!
//! The answer is written piece by piece as the client takes it: an export of any length takes the memory of a piece, a client
//! that reads slowly delays nobody, and one that goes ends it. At most [`MOST`] run at once; who comes then is told to
//! come again.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

use super::body::Body;
use super::problem::Problem;
use super::request::form_and_query;
use crate::build;
use crate::history::History;
use crate::history::export::{Csv, Pieces, csv, iso, json};
use crate::query::http::{Params, Picks};

/// Most exports at once.
const MOST: usize = 4;

/// Writes exports, a bounded number at once.
pub(super) struct Exports {
    history: History,
    turns: Arc<Semaphore>,
}

/// How an export looks.
#[derive(Clone, Copy)]
enum Form {
    Csv(Csv),
    Json,
}

impl Form {
    /// From `format` (`csv`, which is the default, or `json`), `wide` and `raw` (1).
    fn read(params: &Params) -> Result<Self, Problem> {
        let is_set = |name: &str| params.get(name) == Some("1");
        match params.get("format").unwrap_or("csv") {
            "csv" => Ok(Form::Csv(Csv { wide: is_set("wide"), raw: is_set("raw") })),
            "json" => Ok(Form::Json),
            _ => Err(Problem::bad_data("invalid parameter \"format\": it is csv or json")),
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Form::Csv(_) => "text/csv; charset=utf-8",
            Form::Json => "application/json",
        }
    }

    /// Under which name a browser keeps it.
    const fn disposition(self) -> &'static str {
        match self {
            Form::Csv(_) => "attachment; filename=\"gaugecast.csv\"",
            Form::Json => "attachment; filename=\"gaugecast.json\"",
        }
    }
}

impl Exports {
    pub(super) fn new(history: History) -> Self {
        Exports { history, turns: Arc::new(Semaphore::new(MOST)) }
    }

    /// Answers with the series of `match[]` from `start` to `end`.
    pub(super) async fn answer(
        &self,
        parts: &Parts,
        body: &Bytes,
        now_ms: i64,
    ) -> Result<Response<Body>, Problem> {
        let params = Params(form_and_query(parts, body)?);
        let form = Form::read(&params)?;
        let picks = Picks::read(&params).map_err(|fault| Problem::bad_data(fault.to_string()))?;
        if picks.selectors.is_empty() {
            return Err(Problem::bad_data("no match[] parameter provided"));
        }
        if picks.end < picks.start {
            let message = "invalid parameter \"end\": end timestamp must not be before start time";
            return Err(Problem::bad_data(message));
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            let message = format!("{MOST} exports are running already");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
                .because("max_exports")
                .retry_after(1));
        };
        let history = self.history.clone();
        let begun = tokio::task::spawn_blocking(move || begin(&history, &params, &picks, form, now_ms));
        let pieces = match begun.await {
            Ok(pieces) => pieces,
            // A panic goes on to where panics of handlers are caught; a runtime that ends takes this task too.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        };
        // A piece is made in some tens of microseconds, so that no thread of its own is needed.
        let frames = stream::iter(pieces.map(|piece| Ok(Frame::data(Bytes::from(piece)))));
        let mut response = Response::new(Body::stream(StreamBody::new(frames)).hold(Some(turn)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(form.disposition()));
        Ok(response)
    }
}

/// Selects the series, each once, and begins to write them.
fn begin(history: &History, params: &Params, picks: &Picks, form: Form, now_ms: i64) -> Pieces {
    let select = |matchers| history.select(matchers, picks.start, picks.end, usize::MAX);
    let mut series: Vec<_> = picks.selectors.iter().flat_map(|matchers| select(matchers)).collect();
    series.sort_by(|a, b| a.labels().cmp(b.labels()));
    series.dedup_by(|a, b| a.labels() == b.labels());
    let mut meta = vec![("exported", iso(now_ms)), ("by", format!("gaugecast {}", build::VERSION))];
    meta.extend(params.all("match[]").map(|text| ("match", text.to_owned())));
    for name in ["start", "end"] {
        meta.extend(params.get(name).map(|text| (name, text.to_owned())));
    }
    if let Some(oldest) = history.oldest_ms() {
        meta.push(("oldest", iso(oldest)));
        if params.get("start").is_some() && picks.start < oldest {
            meta.push(("warning", "the range begins before the oldest sample that is kept".to_owned()));
        }
    }
    match form {
        Form::Csv(form) => csv(series, &meta, form),
        Form::Json => json(series, &meta),
    }
}
