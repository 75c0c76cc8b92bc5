//! Headers that every answer has, and reading those of requests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{StatusCode, header};
use serde_json::json;

use super::problem::Problem;

/// Names a request in answers and logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything from this server and nothing inline; not to be framed. `'self'` covers the WebSocket.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                      object-src 'none'";

/// Sets what every answer has. A `Cache-Control` and a policy that are set stay; without the first, nothing is stored.
pub(super) fn secure(headers: &mut HeaderMap, request_id: &HeaderValue) {
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(REQUEST_ID, request_id.clone());
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(date) = date(SystemTime::now()) {
        headers.insert(DATE, date);
    }
}

/// The value of `Date`, which can only tell of the years 1970 to 9999. Ours rather than hyper's, because some
/// answers do not go through hyper.
fn date(now: SystemTime) -> Option<HeaderValue> {
    let years = UNIX_EPOCH..UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    let text = years.contains(&now).then(|| httpdate::fmt_http_date(now))?;
    HeaderValue::try_from(text).ok()
}

/// Makes request ids: eight hex digits for the process, then a count.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: u32,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        #[allow(clippy::cast_possible_truncation)]
        let process = RandomState::new().build_hasher().finish() as u32;
        RequestIds { process, count: AtomicU64::new(1) }
    }

    /// The id the client or its proxy gave, if it is harmless to repeat, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |id: &&HeaderValue| {
            (1..=64).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
        };
        if let Some(id) = headers.get(REQUEST_ID).filter(harmless) {
            return id.clone();
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{:08x}-{count}", self.process)).expect("hex digits are visible")
    }
}

/// The text of a header; `None` when it is missing or not ASCII.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Does the client take gzip? A missing header means that it takes anything, but tools that send none rarely
/// unpack, so it counts as no.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
        let wanted = weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0);
        if coding.eq_ignore_ascii_case("gzip") {
            return wanted;
        }
        if coding == "*" {
            any = Some(wanted);
        }
    }
    any.unwrap_or(false)
}

/// Has the client this very version, by `If-None-Match`? `etag` is the quoted tag.
pub(super) fn unchanged(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Weak comparison, as RFC 9110 13.1.2 has it for this header.
    values
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim())
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Adds to `Vary`.
pub(super) fn vary(headers: &mut HeaderMap, on: &'static str) {
    headers.append(VARY, HeaderValue::from_static(on));
}

/// Refuses a body of another type than those accepted (B5).
///
/// # Errors
/// 415 that names the accepted ones.
pub(super) fn require_content_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let given = text(headers, CONTENT_TYPE);
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    let list = accepted.join(", ");
    let message = match given {
        Some(_) => format!("the body must be of Content-Type {list}"),
        None => format!("the body has no Content-Type; it must be {list}"),
    };
    let mut problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        .details(json!({ "accepted": accepted }))
        .because("content_type");
    if let Ok(list) = HeaderValue::try_from(list) {
        problem = problem.with(header::ACCEPT, list);
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_time_that_no_date_can_tell_has_none() {
        let told = |seconds: i64| {
            let by = Duration::from_secs(seconds.unsigned_abs());
            date(if seconds < 0 { UNIX_EPOCH - by } else { UNIX_EPOCH + by })
        };
        assert_eq!(told(0).expect("a date"), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(told(253_402_300_799).expect("a date"), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!((told(-1), told(253_402_300_800)), (None, None));
    }

    #[test]
    fn gzip_is_taken_as_the_weights_say() {
        for (value, want) in [
            ("gzip, deflate, br", true),
            ("GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*", true),
            ("*;q=0, gzip", true),
            ("identity", false),
            ("br;q=1.0, *;q=0", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&one(ACCEPT_ENCODING, value)), want, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_version_is_unchanged_when_any_of_the_tags_is_its_own() {
        for (value, want) in [
            (r#""a:1""#, true),
            (r#""x", "a:1""#, true),
            (r#"W/"a:1""#, true),
            ("*", true),
            (r#""a:11""#, false),
            ("a:1", false),
        ] {
            assert_eq!(unchanged(&one(IF_NONE_MATCH, value), r#""a:1""#), want, "{value}");
        }
    }

    #[test]
    fn a_request_id_is_repeated_only_when_it_is_harmless() {
        let ids = RequestIds::new();
        assert_eq!(ids.of(&one(REQUEST_ID, "trace-1:2_3.x")), "trace-1:2_3.x");
        for bad in ["", "a b", "<script>", "a\"b"] {
            assert_ne!(ids.of(&one(REQUEST_ID, bad)), bad);
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn a_wrong_or_missing_content_type_is_told_the_right_ones() {
        let accepted = ["application/json", "text/plain"];
        let fine = one(CONTENT_TYPE, "Application/JSON; charset=utf-8");
        assert!(require_content_type(&fine, &accepted).is_ok());
        for headers in [HeaderMap::new(), one(CONTENT_TYPE, "text/html"), one(CONTENT_TYPE, "")] {
            let problem = require_content_type(&headers, &accepted).expect_err("refused");
            assert_eq!(problem.status, 415);
            assert!(problem.message.contains("application/json, text/plain"));
        }
    }
}
