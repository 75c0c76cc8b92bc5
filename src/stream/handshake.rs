//! The opening handshake of RFC 6455, 4.2: what is refused before the connection is a WebSocket, and why.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use serde_json::{Value, json};

use super::protocol::{Fault, SUBPROTOCOL};

/// What a client offers beside subprotocols: a token. Never answered with, so that it stands in no log.
const BEARER: &str = "bearer.";

/// Why a handshake, or a request for a stream over plain HTTP, was refused. The server answers with it in the form of
/// all its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
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
    /// More new connections came than are allowed in a second.
    TooManyNew {
        /// When it is this one's turn, from now.
        again: Duration,
    },
    /// The server is stopping.
    Stopping {
        /// When this one may come again, from now: not all at once.
        again: Duration,
    },
    /// What a request asks to be sent cannot be.
    Subscription(Box<Fault>),
}

impl Refusal {
    /// In one word, for the figures.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::NotAnUpgrade => "not_an_upgrade",
            Refusal::HttpVersion => "http_version",
            Refusal::Version => "version",
            Refusal::Key => "key",
            Refusal::Subprotocol => "subprotocol",
            Refusal::Full => "full",
            Refusal::TooManyOfAddress { .. } => "too_many_of_address",
            Refusal::TooManyNew { .. } => "too_many_new",
            Refusal::Stopping { .. } => "stopping",
            Refusal::Subscription(fault) => fault.code.as_str(),
        }
    }

    /// Of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotAnUpgrade | Refusal::Version => StatusCode::UPGRADE_REQUIRED,
            Refusal::HttpVersion | Refusal::Key | Refusal::Subprotocol => StatusCode::BAD_REQUEST,
            Refusal::Full | Refusal::TooManyNew { .. } | Refusal::Stopping { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::TooManyOfAddress { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Subscription(fault) if fault.retryable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Subscription(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> String {
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
            Refusal::TooManyNew { again } => format!(
                "too many new connections at once (stream.max_new_per_second); try again in {} s",
                again.as_secs() + 1
            ),
            Refusal::Stopping { .. } => "the server is stopping".into(),
            Refusal::Subscription(fault) => fault.message.to_string(),
        }
    }

    /// More for programs, an object: the reason in one word and what belongs to it.
    #[must_use]
    pub fn details(&self) -> Value {
        let Refusal::Subscription(fault) = self else {
            return json!({ "reason": self.reason(), "subprotocols": [SUBPROTOCOL], "docs": "docs/protocol.md" });
        };
        let mut details = json!({ "reason": self.reason(), "docs": "docs/protocol.md" });
        let told = [("column", fault.column), ("matched", fault.matched), ("limit", fault.limit)];
        for (name, number) in told {
            if let Some(number) = number {
                details[name] = number.into();
            }
        }
        details
    }

    /// After how long another try makes sense, if it ever does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Full | Refusal::TooManyOfAddress { .. } => Some(Duration::from_secs(10)),
            Refusal::Subscription(fault) => fault.retryable.then_some(Duration::from_secs(10)),
            Refusal::TooManyNew { again } | Refusal::Stopping { again } => Some(*again),
            _ => None,
        }
    }

    /// Headers of the answer that belong to the reason, with `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CACHE_CONTROL, "no-store");
        match self {
            Refusal::Method => drop(set(header::ALLOW, "GET")),
            Refusal::NotAnUpgrade => {
                set(header::UPGRADE, "websocket");
                set(header::CONNECTION, "upgrade");
                set(header::SEC_WEBSOCKET_VERSION, "13");
            }
            Refusal::Version => drop(set(header::SEC_WEBSOCKET_VERSION, "13")),
            _ => {}
        }
        if let Some(again) = self.retry_after() {
            headers
                .insert(header::RETRY_AFTER, (again.as_secs() + u64::from(again.subsec_nanos() > 0)).into());
        }
        headers
    }

    /// The answer by itself, its message as text: for a program with a server of its own.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(self.message().into());
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
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

    fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn the_sample_handshake_of_the_rfc_is_answered_as_there() {
        let response = check(&[]).unwrap().response();
        assert_eq!(response.status(), 101);
        assert_eq!(header(response.headers(), "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(header(response.headers(), "sec-websocket-protocol"), None, "none was offered");
    }

    #[test]
    fn only_our_subprotocol_is_ever_selected_and_a_token_never_echoed() {
        let offers = "chat, bearer.c2VjcmV0, gaugecast.v1.json";
        let response = check(&[("sec-websocket-protocol", offers)]).unwrap().response();
        assert_eq!(header(response.headers(), "sec-websocket-protocol"), Some("gaugecast.v1.json"));
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
            let refusal = check(&[(missing, "")]).unwrap_err();
            assert_eq!(refusal.status(), 426);
            assert_eq!(header(&refusal.headers(), "upgrade"), Some("websocket"));
        }
        assert!(Refusal::NotAnUpgrade.message().contains("docs/protocol.md"));
    }

    #[test]
    fn another_version_or_a_bad_key_is_refused() {
        for version in ["", "12", "13, 8", "x"] {
            let refusal = check(&[("sec-websocket-version", version)]).unwrap_err();
            assert_eq!(refusal, Refusal::Version);
            assert_eq!(refusal.status(), 426);
            assert_eq!(header(&refusal.headers(), "sec-websocket-version"), Some("13"));
        }
        for key in
            ["", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZS==A", "dGhlIHNhbXBsZSBu!25jZQ=="]
        {
            let refusal = check(&[("sec-websocket-key", key)]).unwrap_err();
            assert_eq!((refusal.status().as_u16(), refusal), (400, Refusal::Key), "{key}");
        }
    }

    #[test]
    fn limits_say_when_to_come_back() {
        let again = Duration::from_millis(2_001);
        for (refusal, status, seconds) in [
            (Refusal::Full, 503, "10"),
            (Refusal::TooManyOfAddress { limit: 100 }, 429, "10"),
            (Refusal::TooManyNew { again }, 503, "3"),
            (Refusal::Stopping { again }, 503, "3"),
        ] {
            assert_eq!(
                (refusal.status().as_u16(), header(&refusal.headers(), "retry-after")),
                (status, Some(seconds))
            );
        }
    }
}
