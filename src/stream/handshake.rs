//! The opening handshake of RFC 6455, 4.2: what is refused before the connection is a WebSocket, and why.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use serde_json::json;

use super::protocol::{Fault, SUBPROTOCOL};

/// What a client offers beside subprotocols: a token. Never answered with, so that it stands in no log.
const BEARER: &str = "bearer.";

/// Why a handshake was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another method than GET.
    Method,
    /// An ordinary request for the path.
    NotAnUpgrade,
    /// HTTP before 1.1.
    HttpVersion,
    /// No `Sec-WebSocket-Version`, or another than 13.
    Version,
    /// No `Sec-WebSocket-Key`, several, or one that is not 16 bytes in base64.
    Key,
    /// Subprotocols were offered, but none that we speak.
    Subprotocol,
    /// All connections that are allowed exist.
    Full,
    /// All connections that are allowed to one address exist.
    TooManyOfAddress {
        /// How many that is.
        limit: usize,
    },
    /// The server is stopping.
    Stopping,
    /// What a request asks to be sent cannot be.
    Subscription(Box<Fault>),
}

impl Refusal {
    /// In one word, for the figures.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::NotAnUpgrade => "not_an_upgrade",
            Refusal::HttpVersion => "http_version",
            Refusal::Version => "version",
            Refusal::Key => "key",
            Refusal::Subprotocol => "subprotocol",
            Refusal::Full => "full",
            Refusal::TooManyOfAddress { .. } => "too_many_of_address",
            Refusal::Stopping => "stopping",
            Refusal::Subscription(fault) => fault.code.as_str(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotAnUpgrade | Refusal::Version => StatusCode::UPGRADE_REQUIRED,
            Refusal::HttpVersion | Refusal::Key | Refusal::Subprotocol => StatusCode::BAD_REQUEST,
            Refusal::Full | Refusal::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::TooManyOfAddress { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Subscription(fault) if fault.retryable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Subscription(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn message(&self) -> String {
        match self {
            Refusal::Method => "a WebSocket is opened with GET".into(),
            Refusal::NotAnUpgrade => format!(
                "this is a WebSocket: connect with a WebSocket client and the subprotocol {SUBPROTOCOL}; \
                 docs/protocol.md tells what it speaks"
            ),
            Refusal::HttpVersion => "a WebSocket needs HTTP/1.1".into(),
            Refusal::Version => "Sec-WebSocket-Version must be 13".into(),
            Refusal::Key => "Sec-WebSocket-Key must be there once: 16 bytes in base64".into(),
            Refusal::Subprotocol => {
                format!("no offered subprotocol is known here; this speaks {SUBPROTOCOL}")
            }
            Refusal::Full => "all connections are taken (stream.max_clients)".into(),
            Refusal::TooManyOfAddress { limit } => {
                format!("one address may have {limit} connections (stream.max_clients_per_ip)")
            }
            Refusal::Stopping => "the server is stopping".into(),
            Refusal::Subscription(fault) => fault.message.to_string(),
        }
    }

    /// The answer, with the server's usual body for errors.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let kind = match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
            _ => "bad_data",
        };
        let mut details =
            json!({ "reason": self.reason(), "subprotocols": [SUBPROTOCOL], "docs": "docs/protocol.md" });
        if let Refusal::Subscription(fault) = self {
            details = json!({ "reason": self.reason(), "docs": "docs/protocol.md" });
            let told = [("column", fault.column), ("matched", fault.matched), ("limit", fault.limit)];
            for (name, number) in told {
                if let Some(number) = number {
                    details[name] = number.into();
                }
            }
        }
        let body = json!({
            "status": "error",
            "errorType": kind,
            "error": self.message(),
            "details": details,
        });
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let mut set =
            |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "application/json");
        set(header::CACHE_CONTROL, "no-store");
        match self {
            Refusal::Method => {
                set(header::ALLOW, "GET");
            }
            Refusal::NotAnUpgrade => {
                set(header::UPGRADE, "websocket");
                set(header::CONNECTION, "upgrade");
                set(header::SEC_WEBSOCKET_VERSION, "13");
            }
            Refusal::Version => {
                set(header::SEC_WEBSOCKET_VERSION, "13");
            }
            Refusal::Subscription(fault) if !fault.retryable => {}
            Refusal::Full | Refusal::TooManyOfAddress { .. } | Refusal::Subscription(_) => {
                set(header::RETRY_AFTER, "10");
            }
            Refusal::Stopping => {
                set(header::RETRY_AFTER, "5");
            }
            Refusal::HttpVersion | Refusal::Key | Refusal::Subprotocol => {}
        }
        response
    }
}

/// A handshake that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    accept: String,
    /// Was our subprotocol offered?
    subprotocol: bool,
}

impl Handshake {
    /// Checks a request.
    pub(super) fn check<B>(request: &Request<B>) -> Result<Handshake, Refusal> {
        let headers = request.headers();
        if request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        if !lists(headers, &header::UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket"))
            || !lists(headers, &header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"))
        {
            return Err(Refusal::NotAnUpgrade);
        }
        if request.version() < Version::HTTP_11 {
            return Err(Refusal::HttpVersion);
        }
        if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(Refusal::Version);
        }
        let key = only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Refusal::Key)?;
        let offered = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
        let subprotocol = lists(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|name| name == SUBPROTOCOL);
        if offered && !subprotocol {
            return Err(Refusal::Subprotocol);
        }
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        Ok(Handshake { accept, subprotocol })
    }

    /// 101.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        let accept = HeaderValue::from_str(&self.accept).expect("base64 is ASCII");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if self.subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }
}

/// The token a client offered as `bearer.TOKEN`.
///
/// Nothing asks for it yet: streams are open to whoever may connect.
#[cfg_attr(not(test), allow(dead_code))]
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    lists(headers, &header::SEC_WEBSOCKET_PROTOCOL).find_map(|name| name.strip_prefix(BEARER))
}

/// The words of all headers of a name, which may be lists. One that is no text counts as a word nobody knows.
fn lists<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim)
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| first.trim())
}

/// Sixteen bytes in base64: 22 characters of its alphabet and the padding.
fn is_key(text: &str) -> bool {
    let of_alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    text.strip_suffix("==").is_some_and(|rest| rest.len() == 22 && rest.bytes().all(of_alphabet))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample handshake of RFC 6455, 1.3, with other headers set over it; an empty value takes one away.
    fn check(changes: &[(&str, &str)]) -> Result<Handshake, Refusal> {
        let mut request = Request::new(());
        let sample = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        for (name, value) in sample.iter().chain(changes) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            match *value {
                "" => drop(request.headers_mut().remove(name)),
                value => drop(request.headers_mut().insert(name, value.parse().unwrap())),
            }
        }
        Handshake::check(&request)
    }

    fn header<'a>(response: &'a Response<Full<Bytes>>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn the_sample_handshake_of_the_rfc_is_answered_as_there() {
        let response = check(&[]).unwrap().response();
        assert_eq!(response.status(), 101);
        assert_eq!(header(&response, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(header(&response, "sec-websocket-protocol"), None, "none was offered");
    }

    #[test]
    fn only_our_subprotocol_is_ever_selected_and_a_token_never_echoed() {
        let offers = "chat, bearer.c2VjcmV0, gaugecast.v1.json";
        let response = check(&[("sec-websocket-protocol", offers)]).unwrap().response();
        assert_eq!(header(&response, "sec-websocket-protocol"), Some("gaugecast.v1.json"));
        assert!(!format!("{response:?}").contains("c2VjcmV0"));
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-protocol", offers.parse().unwrap());
        assert_eq!(token(&headers), Some("c2VjcmV0"));
        for unknown in ["chat", "gaugecast.v2.json", "bearer.c2VjcmV0", ","] {
            assert_eq!(check(&[("sec-websocket-protocol", unknown)]), Err(Refusal::Subprotocol), "{unknown}");
        }
    }

    #[test]
    fn a_plain_request_is_told_what_this_is() {
        for missing in ["upgrade", "connection"] {
            let response = check(&[(missing, "")]).unwrap_err().response();
            assert_eq!(response.status(), 426);
            assert_eq!(header(&response, "upgrade"), Some("websocket"));
        }
        assert!(Refusal::NotAnUpgrade.message().contains("docs/protocol.md"));
    }

    #[test]
    fn another_version_or_a_bad_key_is_refused() {
        for version in ["", "12", "13, 8", "x"] {
            let refusal = check(&[("sec-websocket-version", version)]).unwrap_err();
            assert_eq!(refusal, Refusal::Version);
            assert_eq!(refusal.response().status(), 426);
            assert_eq!(header(&refusal.response(), "sec-websocket-version"), Some("13"));
        }
        for key in
            ["", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZS==A", "dGhlIHNhbXBsZSBu!25jZQ=="]
        {
            let refusal = check(&[("sec-websocket-key", key)]).unwrap_err();
            assert_eq!((refusal.response().status().as_u16(), refusal), (400, Refusal::Key), "{key}");
        }
    }

    #[test]
    fn limits_say_when_to_come_back() {
        let cases =
            [(Refusal::Full, 503), (Refusal::TooManyOfAddress { limit: 100 }, 429), (Refusal::Stopping, 503)];
        for (refusal, status) in cases {
            let response = refusal.response();
            assert_eq!(response.status(), status);
            assert!(header(&response, "retry-after").is_some());
        }
    }
}
