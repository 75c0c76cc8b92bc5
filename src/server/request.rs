//! Reading what a request asks for: its path, its parameters, its body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::config::Limits;
use super::headers;
use super::problem::Problem;

/// The path, decoded. Nothing here is ever a path on a disk; it is only looked up in the table of routes, and
/// what could be meant as a way out of a folder is refused all the same (B6).
///
/// # Errors
/// 400 for escapes that are none or no UTF-8, control characters, and segments `.` and `..`.
pub(super) fn path(raw: &str) -> Result<String, Problem> {
    let refuse = |why| Err(Problem::bad_data(why).because("path"));
    let Some(path) = decode(raw, false) else {
        return refuse("the path is not percent-encoded UTF-8");
    };
    if path.chars().any(char::is_control) {
        return refuse("the path has a control character");
    }
    if path.split(['/', '\\']).any(|segment| segment == "." || segment == "..") {
        return refuse("the path has a segment . or ..");
    }
    Ok(path)
}

/// The parameters of a query or a form, in their order.
///
/// # Errors
/// 400 for escapes that are none or no UTF-8.
pub(super) fn parameters(raw: &str) -> Result<Vec<(String, String)>, Problem> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name, true), decode(value, true)) {
                (Some(name), Some(value)) => Ok((name, value)),
                _ => Err(Problem::bad_data("a parameter is not percent-encoded UTF-8").because("path")),
            }
        })
        .collect()
}

/// The parameters of the form of a POST or PUT, then those of the query.
///
/// # Errors
/// 415 for one of another type than a form, 400 as [`parameters`].
pub(super) fn form_and_query(parts: &Parts, body: &Bytes) -> Result<Vec<(String, String)>, Problem> {
    let mut asked = Vec::new();
    // A PUT may have all it says in its query.
    if parts.method == Method::POST || (parts.method == Method::PUT && !body.is_empty()) {
        headers::require_content_type(&parts.headers, &["application/x-www-form-urlencoded"])?;
        let form = std::str::from_utf8(body).map_err(|_| Problem::bad_data("the form is not UTF-8"))?;
        asked = parameters(form)?;
    }
    asked.extend(parameters(parts.uri.query().unwrap_or_default())?);
    Ok(asked)
}

fn decode(raw: &str, form: bool) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Does the request say that it has more than the allowed bytes? Asked before anything is read (B4).
///
/// # Errors
/// 413, and the connection is to be closed.
pub(super) fn declared_length(headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    Ok(())
}

/// Does the request have a body?
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Reads a body of at most `most` bytes to its end.
///
/// # Errors
/// 413 for more bytes than allowed, 408 for one that comes too slowly, 400 for one that is cut short or badly
/// chunked. The connection is to be closed in each case.
pub(super) async fn body<B>(body: B, most: usize, limits: &Limits) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut all = BytesMut::new();
    let start = Instant::now();
    loop {
        let earned = Duration::from_secs(all.len() as u64) / limits.body_rate.max(1);
        let frame = match timeout_at(start + limits.body_grace + earned, body.frame()).await {
            Ok(None) => return Ok(all.freeze()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(Problem::bad_data("the body is cut short or badly chunked")
                    .because("body")
                    .closing());
            }
            Err(_) => {
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly")
                    .because("body_deadline")
                    .closing());
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > most {
            return Err(too_large(most));
        }
        all.extend_from_slice(&data);
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes"))
        .details(json!({ "limit": limit }))
        .because("body_size")
        .closing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_that_could_lead_anywhere_is_refused() {
        assert_eq!(path("/a%20b/%C3%A9+").expect("fine"), "/a b/é+");
        for bad in [
            "/..",
            "/../etc/passwd",
            "/%2e%2e/x",
            "/.%2E",
            "/a/./b",
            "/..%5c..",
            "/%00",
            "/%ff",
            "/%zz",
            "/%2",
        ] {
            assert_eq!(path(bad).expect_err(bad).status, 400, "{bad}");
        }
        assert!(path("/...").is_ok() && path("/a..b").is_ok());
    }

    #[test]
    fn parameters_keep_their_order_and_may_repeat() {
        let want = [("match[]", "up{a=\"b\"}"), ("match[]", "a b+"), ("x", ""), ("y", "=")];
        let got = parameters("match%5B%5D=up%7Ba%3D%22b%22%7D&&match[]=a+b%2B&x&y==").expect("fine");
        assert_eq!(got.iter().map(|(n, v)| (&**n, &**v)).collect::<Vec<_>>(), want);
        assert!(parameters("a=%ff").is_err());
    }

    proptest! {
        #[test]
        fn any_path_is_taken_or_refused_and_never_keeps_a_way_out(raw in ".{0,40}") {
            if let Ok(path) = path(&raw) {
                prop_assert!(path.split('/').all(|segment| segment != ".."));
            }
            let _ = parameters(&raw);
        }
    }
}
