//! What webhook, Slack, PagerDuty and Alertmanager have in common: a request, and what the answer to it means.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};

use super::message::one_line;
use super::queue::{GIVE_UP, Outcome};
use crate::http_client::{Failure, Fetcher, Line, Message, Reply, Url};

/// How much of an answer is told.
const WORDS: usize = 300;

/// What is posted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Posts a request within a time.
pub(super) async fn post(
    fetcher: &Fetcher,
    line: &mut Line,
    request: &Request,
    within: Duration,
) -> Result<Reply, Failure> {
    let message = Message { url: &request.url, headers: &request.headers, body: &request.body };
    let asked = tokio::time::timeout(within, fetcher.post(line, message)).await;
    asked.unwrap_or_else(|_| {
        Err(Failure::new("timeout", format!("no answer within {} s", within.as_secs_f64())))
    })
}

/// What an answer means for a notification. An answer of 2xx takes it. What a server says of its own state (5xx, 408, 429) may
/// change, and so may the way to it; what it says of the request (other 4xx, a redirect), and a certificate that is not to be believed, does not
/// change by repeating.
pub(super) fn verdict(answer: Result<Reply, Failure>, now: SystemTime) -> Outcome {
    let reply = match answer {
        Ok(reply) => reply,
        Err(failure) if ["tls", "syntax"].contains(&failure.reason) => {
            return Outcome::Refused(failure.reason, failure.message);
        }
        Err(failure) => return Outcome::Later(failure.reason, failure.message, None),
    };
    let status = reply.status;
    if status.is_success() {
        return Outcome::Delivered;
    }
    let words: String = one_line(&reply.text).chars().take(WORDS).collect();
    let why = format!("{status}: {words}");
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if later || status.is_server_error() {
        let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| retry_after(text, now)).map(|asked| asked.min(GIVE_UP));
        return Outcome::Later(reason(status), why, asked);
    }
    Outcome::Refused(reason(status), why)
}

/// A word to count an answer by.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "redirect",
        401 | 403 => "unauthorized",
        408 => "timeout",
        429 => "rate_limited",
        400..=499 => "rejected",
        _ => "server_error",
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(now).ok())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn answer(status: u16, retry_after: Option<&'static str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        verdict(Ok(Reply { status, headers, text: "no\nway".into() }), now)
    }

    #[test]
    fn only_what_may_work_later_is_tried_again() {
        for status in [200, 202, 204] {
            assert_eq!(answer(status, None), Outcome::Delivered);
        }
        for (status, reason) in [
            (301, "redirect"),
            (400, "rejected"),
            (401, "unauthorized"),
            (404, "rejected"),
            (410, "rejected"),
        ] {
            assert!(matches!(answer(status, None), Outcome::Refused(told, _) if told == reason), "{status}");
        }
        for (status, reason) in
            [(408, "timeout"), (429, "rate_limited"), (500, "server_error"), (503, "server_error")]
        {
            assert!(
                matches!(answer(status, None), Outcome::Later(told, _, None) if told == reason),
                "{status}"
            );
        }
        let tls = verdict(Err(Failure::new("tls", "unknown issuer")), SystemTime::now());
        assert_eq!(tls, Outcome::Refused("tls", "unknown issuer".into()));
        let refused = verdict(Err(Failure::new("refused", "nobody")), SystemTime::now());
        assert!(matches!(refused, Outcome::Later("refused", ..)));
        assert!(matches!(answer(400, None), Outcome::Refused(_, why) if why == "400 Bad Request: no way"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        for (text, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("99999999", Some(3600)),
            ("soon", None),
        ] {
            let wanted = seconds.map(Duration::from_secs);
            assert!(
                matches!(answer(429, Some(text)), Outcome::Later(_, _, asked) if asked == wanted),
                "{text}"
            );
        }
    }
}
