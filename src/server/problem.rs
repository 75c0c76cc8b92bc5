//! What goes wrong with a request, as an answer.

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::body::Body;
use super::headers;

/// A request that is refused: becomes the JSON envelope
/// `{"status":"error","errorType":"bad_data","error":"…","details":{…},"requestId":"…"}`.
#[derive(Debug)]
pub struct Problem {
    pub(super) status: StatusCode,
    /// Text for people. May hold what the client sent: it is escaped where it is written.
    pub(super) message: String,
    /// More for programs; an object.
    pub(super) details: Value,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// For the counter of rejected requests; `None` is not counted there.
    pub(super) reason: Option<&'static str>,
    /// Nothing more is read from this connection.
    pub(super) close: bool,
}

impl Problem {
    /// An answer with this status; `message` is for people, and may hold what the client sent.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Problem {
            status,
            message: message.into(),
            details: json!({}),
            headers: Vec::new(),
            reason: None,
            close: false,
        }
    }

    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path").because("not_found")
    }

    pub(super) fn method_not_allowed(allow: &str) -> Self {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}"))
            .with(ALLOW, HeaderValue::try_from(allow).expect("names of methods"))
            .because("method")
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(super) fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// More for programs; an object.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// With this header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says after how many whole seconds another try makes sense.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, seconds.into())
    }

    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The answer: JSON, or a small page for a person who followed a link to nowhere.
    pub(super) fn into_response(self, request_id: &str, as_page: bool) -> Response<Body> {
        let (content_type, body) = if as_page {
            ("text/html; charset=utf-8", self.page())
        } else {
            ("application/json", self.envelope(request_id))
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// The answer as it stands on the wire, to be written past hyper where there is no request that hyper could
    /// answer. It is the last of its connection.
    pub(super) fn into_bytes(self, request_id: &HeaderValue) -> Bytes {
        let body = self.envelope(request_id.to_str().unwrap_or_default());
        let mut headers: HeaderMap = self.headers.into_iter().collect();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers::secure(&mut headers, request_id);
        let mut out = format!("HTTP/1.1 {}\r\n", self.status).into_bytes();
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
        out.into()
    }

    fn envelope(&self, request_id: &str) -> String {
        let mut text = json!({
            "status": "error",
            "errorType": self.error_type(),
            "error": self.message,
            "details": self.details,
            "requestId": request_id,
        })
        .to_string();
        text.push('\n');
        text
    }

    fn page(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let code = self.status.as_u16();
        let mut text = String::new();
        for character in self.message.chars() {
            match character {
                '<' => text.push_str("&lt;"),
                '&' => text.push_str("&amp;"),
                other => text.push(other),
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{code} {title}</title>\n\
             <h1>{code} {title}</h1>\n<p>{text}\n"
        )
    }

    /// Prometheus' words where it has one.
    fn error_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "unauthorized",
            403 => "forbidden",
            409 => "conflict",
            404 => "not_found",
            405 => "method_not_allowed",
            408 => "timeout",
            413 => "too_large",
            415 => "unsupported_media_type",
            421 => "misdirected_request",
            429 => "too_many_requests",
            414 | 431 => "too_large",
            500 => "internal",
            503 => "unavailable",
            _ => "bad_data",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_escaped() {
        let problem = Problem::bad_data("<script>\"&");
        assert!(problem.page().contains("<p>&lt;script>\"&amp;\n"));
        let back: Value = serde_json::from_str(&problem.envelope("a-1")).expect("JSON");
        assert_eq!(back["error"], "<script>\"&");
        assert_eq!((&back["errorType"], &back["requestId"]), (&json!("bad_data"), &json!("a-1")));
    }
}
