//! The `error` message: which request was not carried out, and why.

use serde::Serialize;

use super::Id;

/// Codes of the `error` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, not an object, an unknown type, a field of the wrong kind.
    BadRequest,
    /// A field or command that this server does not know yet.
    Unsupported,
    /// A selector breaks the grammar; `column` says where.
    BadSelector,
    /// A query breaks the grammar, or gives neither scalar nor instant vector; `column` says where.
    BadQuery,
    /// A query could not be evaluated; the text says why.
    QueryFailed,
    /// An interval outside of the range.
    BadInterval,
    /// A selection matches more series than a subscription may have.
    TooManySeries,
    /// The `sub` is in use on this connection.
    AlreadySubscribed,
    /// No subscription has this `sub`.
    UnknownSubscription,
    /// One subscription, or one distinct selection, more than allowed.
    LimitExceeded,
    /// Too many commands a second; this one was not carried out.
    RateLimited,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Unsupported => "unsupported",
            ErrorCode::BadSelector => "bad_selector",
            ErrorCode::BadQuery => "bad_query",
            ErrorCode::QueryFailed => "query_failed",
            ErrorCode::BadInterval => "bad_interval",
            ErrorCode::TooManySeries => "too_many_series",
            ErrorCode::AlreadySubscribed => "already_subscribed",
            ErrorCode::UnknownSubscription => "unknown_subscription",
            ErrorCode::LimitExceeded => "limit_exceeded",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::Internal => "internal",
        }
    }
}

/// The `error` message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The subscription it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Box<str>>,
    /// The request it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: Box<str>,
    /// Position in the selector or query, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// How many series matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<usize>,
    /// How many are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// May the same request succeed later?
    pub retryable: bool,
}

impl Fault {
    /// A fault that the same request would meet again.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        let retryable = matches!(code, ErrorCode::RateLimited | ErrorCode::Internal);
        Fault { sub: None, id: None, code, message, column: None, matched: None, limit: None, retryable }
    }

    /// Of which subscription and request it tells.
    #[must_use]
    pub fn about(mut self, sub: Option<&str>, id: Option<&Id>) -> Self {
        self.sub = sub.map(Into::into);
        self.id = id.cloned();
        self
    }

    /// Does it count towards the limit of malformed messages?
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.code == ErrorCode::BadRequest
    }
}
