//! `POST /api/v1/write`: samples that somebody pushes, by Prometheus' remote write. What a request says is the matter of
//! [`remote`](crate::remote).
//!
//! Whoever may write decides what everybody sees, so that without authentication only programs of this machine may. A body
//! may have [`Limits::push_bytes`](super::Limits), so it is read only when there is a place for it: [`PLACES`] are read and
//! taken at once, [`TURNS`] of them unpacked, and who comes then is told to come again (503), which every sender does.
//!
//! The answer is 204 when the samples are safe: queries find them, and with `storage.path` they are on the disk. A request
//! of which some samples are refused is answered with 400, the others are taken: as Prometheus does it, so that a sender
//! neither stops at the first bad sample nor sends the good ones again for ever.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Body;
use super::headers::text;
use super::metrics::WriteMetrics;
use super::problem::Problem;
use crate::clock::Moment;
use crate::collect::push::Inbox;
use crate::history::{Appended, History};
use crate::registry::{RegisterError, Registry};
use crate::remote::{ReceiveError, Received, Version, receive};

/// Most requests whose bodies are read or wait to be taken: with 8 MiB each, 256 MiB.
const PLACES: usize = 32;

/// Most requests that are unpacked and appended at once: each may take some 150 MiB for a moment. Appending is one after the
/// other anyway.
const TURNS: usize = 4;

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// Takes pushed samples, a bounded number of requests at once.
pub(super) struct Writes {
    history: History,
    inbox: Option<Inbox>,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    metrics: WriteMetrics,
}

impl Writes {
    pub(super) fn new(
        history: History,
        inbox: Option<Inbox>,
        registry: &Registry,
    ) -> Result<Self, RegisterError> {
        Ok(Writes {
            history,
            inbox,
            places: Arc::new(Semaphore::new(PLACES)),
            turns: Arc::new(Semaphore::new(TURNS)),
            metrics: WriteMetrics::register(registry)?,
        })
    }

    /// A place for a request whose body has not been read.
    ///
    /// # Errors
    /// 503 when all places are taken.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("{PLACES} writes are being taken already");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).because("max_writes").retry_after(1)
        })
    }

    /// Takes the samples of a request. One that has been read is taken even if its client goes.
    pub(super) async fn answer(
        &self,
        place: OwnedSemaphorePermit,
        parts: &Parts,
        body: Bytes,
        now: Moment,
    ) -> Result<Response<Body>, Problem> {
        let version = version(parts)?;
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return Err(Problem::internal("the server is stopping"));
        };
        let (history, inbox, metrics) = (self.history.clone(), self.inbox.clone(), self.metrics.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            let received = receive(version, &body)?;
            drop(body);
            metrics.received(&received);
            let appended = history.append_durably(&received.writes, now.unix_ms);
            // After the history, which then finds what the tick brings it again at the same time with the same value.
            if let Some(inbox) = inbox {
                inbox.write(&received.writes, &received.metadata, now);
            }
            Ok((received, appended))
        });
        let done: Result<_, ReceiveError> = match work.await {
            Ok(done) => done,
            // A panic goes on to where panics of handlers are caught; a runtime that ends takes this task too.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        };
        let (received, appended) = done.map_err(|error| match error {
            ReceiveError::Damaged(why) => Problem::bad_data(why),
            ReceiveError::TooLarge(why) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why),
        })?;
        let appended = appended.map_err(|error| {
            tracing::error!(%error, "pushed samples could not be written to the disk");
            Problem::internal("the samples could not be written to the disk; the log says why")
        })?;
        answer(&received, appended)
    }
}

/// Which message the body is.
fn version(parts: &Parts) -> Result<Version, Problem> {
    let unsupported = |message: &str| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
            .details(json!({ "accepted": [Version::V1.content_type(), Version::V2.content_type()] }))
            .because("content_type")
    };
    if !text(&parts.headers, CONTENT_ENCODING).unwrap_or("snappy").eq_ignore_ascii_case("snappy") {
        return Err(unsupported("the body must be of Content-Encoding snappy"));
    }
    let given = text(&parts.headers, CONTENT_TYPE).unwrap_or(Version::V1.content_type());
    Version::of_content_type(given)
        .ok_or_else(|| unsupported("the body must be of Content-Type application/x-protobuf, of 1.0 or 2.0"))
}

fn answer(received: &Received, appended: Appended) -> Result<Response<Body>, Problem> {
    let written = [(SAMPLES, appended.taken + appended.same), (HISTOGRAMS, 0), (EXEMPLARS, 0)];
    let written = written.map(|(name, count)| (name, HeaderValue::from(count as u64)));
    match refused(received, appended) {
        None => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().extend(written);
            Ok(response)
        }
        Some(message) => {
            let details = json!({
                "taken": appended.taken + appended.same,
                "conflicts": appended.conflicts,
                "too_old": appended.too_old,
                "too_new": appended.too_new,
                "over_limit": appended.over_limit,
                "invalid": received.invalid,
            });
            let problem = Problem::bad_data(message).details(details);
            Err(written.into_iter().fold(problem, |problem, (name, value)| problem.with(name, value)))
        }
    }
}

/// What was refused, with the counts; nothing if all was taken.
fn refused(received: &Received, appended: Appended) -> Option<String> {
    let reasons = [
        (appended.conflicts, "another value has their time (duplicate sample for timestamp)"),
        (appended.too_old, "older than the history keeps (--history.retention)"),
        (appended.too_new, "more than 10 minutes ahead of the clock of this machine"),
        (appended.over_limit, "no memory for a new series (--history.max-size)"),
    ];
    let mut told: Vec<String> = Vec::new();
    for (count, why) in reasons.into_iter().filter(|&(count, _)| count > 0) {
        told.push(format!("{count}: {why}"));
    }
    if let Some(why) = &received.first_invalid {
        told.push(format!("{}: {why}", received.invalid));
    }
    let count = appended.refused() + received.invalid;
    let all = count + appended.taken + appended.same;
    (!told.is_empty()).then(|| format!("{count} of {all} samples were refused: {}", told.join("; ")))
}
