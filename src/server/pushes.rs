//! `/api/v1/push/JOB[/LABEL/VALUE…]`: metrics that programs push in text; what becomes of them is told in
//! [`push`](crate::collect::push). The Pushgateway's own paths, `/metrics/job/JOB…`, lead here too, so that its clients work
//! unchanged.
//!
//! PUT replaces the group, POST replaces those of its families that are pushed, DELETE deletes it. Who may push, and how many
//! at once, is decided as for [`writes`](super::writes).

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};

use super::body::Body;
use super::headers::{require_content_type, text};
use super::problem::Problem;
use super::routes::Call;
use crate::collect::push::{GroupFeed, Mode, PushError, grouping};
use crate::exposition::parse::Format;
use crate::series::Series;

/// Most bytes of a page once it is unpacked.
const MOST_BYTES: usize = 32 << 20;

/// What curl sends stands for text, as it is what everybody pushes with.
const TYPES: [&str; 3] = ["text/plain", "application/openmetrics-text", "application/x-www-form-urlencoded"];

/// Answers a push; the variable part of the path names the group.
pub(super) async fn push(call: Call) -> Result<Response<Body>, Problem> {
    let Call { app, parts, body, name, place, .. } = call;
    let _place = place;
    let groups = app.groups.as_ref().ok_or_else(Problem::not_found)?;
    let grouping = grouping(&name).map_err(Problem::bad_data)?;
    let mut response = Response::new(Body::empty());
    if parts.method == Method::DELETE {
        groups.delete(&grouping);
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    }
    let mode = if parts.method == Method::PUT { Mode::Replace } else { Mode::Merge };
    let given = text(&parts.headers, CONTENT_TYPE).unwrap_or_default();
    if !given.is_empty() {
        require_content_type(&parts.headers, &TYPES)?;
    }
    let open = given.to_ascii_lowercase().starts_with("application/openmetrics-text");
    let format = if open { Format::OpenMetrics } else { Format::Text };
    let coding = text(&parts.headers, CONTENT_ENCODING).unwrap_or("identity").to_ascii_lowercase();
    let packed = match &*coding {
        "identity" => false,
        "gzip" => true,
        _ => {
            let message = "the body must be of Content-Encoding gzip, or without";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).because("content_type"));
        }
    };
    let (groups, tick, now) = (groups.clone(), app.ticks.latest(), app.clock.now());
    // A page of 8 MiB takes longer to read than the streams of a thread can wait.
    let work = tokio::task::spawn_blocking(move || {
        let page = if packed { unpack(&body)?.into() } else { body };
        let schema = &tick.schema;
        let of_groups = |series: &Series| &*schema.sources[usize::from(series.source.0)] == GroupFeed::SOURCE;
        let known = |name: &str| {
            let family = schema.family(name)?;
            let others = family.series.iter().any(|series| !of_groups(series));
            others.then_some(family.meta.kind)
        };
        groups.push(&grouping, mode, &page, format, known, now).map_err(|error| match error {
            PushError::Full(_) => Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            other => Problem::bad_data(other.to_string()),
        })
    });
    match work.await {
        Ok(done) => done.map(|()| response),
        // A panic goes on to where panics of handlers are caught; a runtime that ends takes this task too.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

fn unpack(body: &Bytes) -> Result<Vec<u8>, Problem> {
    let mut page = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX) + 1;
    let read = MultiGzDecoder::new(&**body).take(most).read_to_end(&mut page);
    read.map_err(|_| Problem::bad_data("the body is cut short or no gzip"))?;
    if page.len() > MOST_BYTES {
        let message = format!("the body has more than {MOST_BYTES} bytes once it is unpacked");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(page)
}
