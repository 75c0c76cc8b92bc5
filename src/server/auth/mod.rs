//! Who may do what.
//!
//! | scope | without a token file | what |
//! | --- | --- | --- |
//! | none | everybody | the page's files, `/-/healthy`, `/-/ready`, `/api/v1/openapi.json` |
//! | `read` | everybody | `/metrics`, `/federate`, queries, history, rules, alerts: all that only shows |
//! | `stream` | everybody | WebSocket, server-sent events, tickets |
//! | `push` | this machine | remote write, pushed metrics |
//! | `alerts:write` | this machine | acknowledge, silence, clear |
//! | `admin` | this machine | `/api/v1/admin/…`, saved baselines, `/-/reload`; the scope includes the others |
//!
//! Which operation needs which stands in its row of the [`table`](super::table), from which the description of the API has it too.
//!
//! Without `--web.token-file` there is nobody to tell apart, so the rule is the oldest one: whoever can open a socket from this
//! machine is trusted, and everybody may look. From this machine means from a loopback address and not passed on by a
//! proxy: a request that names another client (`Forwarded`, `X-Forwarded-…`, `X-Real-IP`, `Via`) is as far away as that one. Pages of
//! others in a browser on this machine are kept out by the check of `Host` and `Origin`, which comes before.
//!
//! With a token file each request needs a bearer token of the scope, from wherever it comes ([`Auth::admit`]): by
//! `Authorization`, for a WebSocket also as subprotocol `bearer.TOKEN`, for streams of a page by a [`ticket`]. What a
//! token is, is told in [`token`], where they are kept in [`mod@file`]; [`Auth::tend`] reads the file again when it changes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;

pub mod file;
mod scope;
mod throttle;
pub(super) mod ticket;
pub mod token;

pub use scope::{Need, Scope};

use self::file::{Entry, FileError, TokenFile};
use self::throttle::{Attempt, Throttle};
use self::ticket::Tickets;
use self::token::Hash;
use super::problem::Problem;
use super::request::parameters;
use crate::clock::Moment;
use crate::monitor::SecurityKind;
use crate::registry::{Counter, Gauge, RegisterError, Registry};

/// How often it is looked whether the file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is kept when tokens were used.
const SAVE: Duration = Duration::from_secs(60);

/// How a client offers a token with a WebSocket.
const OFFER: &str = "bearer.";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody, where nobody is asked.
    Anyone,
    /// A program of this machine, where there are no tokens.
    Local,
    /// Who has the token of this name.
    Token(Arc<str>),
}

/// As the audit log names them.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anyone => f.write_str("anyone"),
            Who::Local => f.write_str("local"),
            Who::Token(name) => write!(f, "token {name}"),
        }
    }
}

/// An extension of a request for a stream: by which token it was let in, so that the stream ends with it.
#[derive(Clone, Debug)]
pub struct Bearer(pub Arc<str>);

/// A request that was not let in.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) problem: Problem,
    /// Why, for the audit log; none where it holds enough of the same already.
    pub(super) audit: Option<&'static str>,
}

impl Denied {
    /// What the monitor is told of it: a bad token, or one too many of them.
    pub(super) fn event(&self) -> Option<SecurityKind> {
        match self.problem.status {
            StatusCode::TOO_MANY_REQUESTS => Some(SecurityKind::RateLimited),
            StatusCode::UNAUTHORIZED if self.audit.is_some() => Some(SecurityKind::FailedLogin),
            _ => None,
        }
    }

    fn told(problem: Problem, audit: &'static str) -> Self {
        Denied { problem, audit: Some(audit) }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Auth {
    tokens: Option<Tokens>,
    throttle: Throttle,
    tickets: Tickets,
}

impl Auth {
    /// With the tokens of a file, or without any.
    ///
    /// # Errors
    /// When the file cannot be read: a server that was told to ask for tokens does not start without.
    pub(super) fn new(file: Option<&Path>, registry: &Registry, now: &Moment) -> Result<Self, AuthError> {
        let tokens = file.map(|path| Tokens::open(TokenFile::new(path), registry, now)).transpose()?;
        Ok(Auth { tokens, throttle: Throttle::default(), tickets: Tickets::default() })
    }

    /// Are there tokens?
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// May this request go on? `streams` says that a ticket will do.
    pub(super) fn admit(
        &self,
        need: Need,
        streams: bool,
        parts: &Parts,
        peer: Option<SocketAddr>,
        now: &Moment,
    ) -> Result<Who, Denied> {
        let Need::Scope(scope) = need else { return Ok(Who::Anyone) };
        let Some(tokens) = &self.tokens else {
            return match (is_local(peer, &parts.headers), scope.is_guarded()) {
                (true, _) => Ok(Who::Local),
                (false, false) => Ok(Who::Anyone),
                (false, true) => Err(Denied::told(not_local(scope), "not_local")),
            };
        };
        tokens.look(now);
        match self.presented(parts, streams, now)? {
            Presented::Nothing => Err(Denied { problem: unauthorized(scope, None), audit: None }),
            Presented::Who(who) => Ok(who),
            Presented::Token(text) => match tokens.find(&text, now) {
                Some(found) if found.may(scope) => {
                    found.used.store(now.unix_ms, Ordering::Relaxed);
                    Ok(Who::Token(Arc::clone(&found.name)))
                }
                Some(found) => {
                    let name: &str = &found.name;
                    Err(Denied::told(insufficient(scope, name), "insufficient_scope"))
                }
                None => Err(self.wrong(scope, peer, now)),
            },
            Presented::Malformed => Err(self.wrong(scope, peer, now)),
        }
    }

    /// What the request shows.
    fn presented(&self, parts: &Parts, streams: bool, now: &Moment) -> Result<Presented, Denied> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let header = headers.next();
        if headers.next().is_some() {
            let problem =
                Problem::bad_data("the request has several Authorization headers").because("authorization");
            return Err(Denied::told(problem, "several_headers"));
        }
        let asked = parameters(parts.uri.query().unwrap_or_default()).unwrap_or_default();
        let of = |wanted: &[&str]| {
            asked.iter().find(|(name, _)| wanted.contains(&name.as_str())).map(|(_, text)| text)
        };
        if of(&["access_token", "token"]).is_some() {
            let message = "a token in an address is refused, since addresses stand in logs; send it as \
                           Authorization: Bearer, or use a ticket for a stream; and revoke this one";
            return Err(Denied::told(Problem::bad_data(message).because("token_in_query"), "token_in_query"));
        }
        if let Some(header) = header {
            // What is no text is no token either.
            let Ok(text) = header.to_str() else { return Ok(Presented::Malformed) };
            let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
            return Ok(match scheme.eq_ignore_ascii_case("bearer") {
                true if is_token68(token.trim()) => Presented::Token(token.trim().to_owned()),
                true => Presented::Malformed,
                // Of another scheme, which is none here.
                false => Presented::Nothing,
            });
        }
        if !streams {
            return Ok(Presented::Nothing);
        }
        if let Some(ticket) = of(&["ticket"]) {
            let who = self.tickets.take(ticket, now.since_start);
            return Ok(who.map_or(Presented::Malformed, Presented::Who));
        }
        Ok(offered(&parts.headers).map_or(Presented::Nothing, |token| Presented::Token(token.to_owned())))
    }

    /// Something was shown that is not good: the same answer whether it is unknown, expired or no token at all (B65).
    fn wrong(&self, scope: Scope, peer: Option<SocketAddr>, now: &Moment) -> Denied {
        let Some(peer) = peer else {
            return Denied::told(unauthorized(scope, Some(INVALID)), "invalid_token");
        };
        match self.throttle.failed(peer.ip(), now.since_start) {
            Attempt::Told => Denied::told(unauthorized(scope, Some(INVALID)), "invalid_token"),
            Attempt::Blocked(again) => Denied::told(too_many(again), "too_many_attempts"),
            Attempt::Again(again) => Denied { problem: too_many(again), audit: None },
        }
    }

    /// A ticket for a stream.
    ///
    /// # Errors
    /// 503 when too many wait to be used.
    pub(super) fn ticket(&self, who: Who, now: &Moment) -> Result<String, Problem> {
        self.tickets.give(who, now.since_start).ok_or_else(|| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many tickets wait to be used").retry_after(30)
        })
    }

    /// Reads the file again if it has changed, and keeps now and then when tokens were used. Blocks for some microseconds, for
    /// a file; cheap when called often.
    pub(super) fn tend(&self, now: &Moment) {
        if let Some(tokens) = &self.tokens {
            tokens.look(now);
            tokens.save(now, false);
        }
    }

    /// Reads the file now, changed or not; the tokens before stay until [`Auth::take`].
    pub(super) fn read(&self) -> Result<NewTokens, FileError> {
        Ok(NewTokens(self.tokens.as_ref().map(|tokens| tokens.file.load()).transpose()?))
    }

    /// These tokens are good from now on. Says what changed, if anything did.
    pub(super) fn take(&self, new: NewTokens, now: &Moment) -> Option<String> {
        self.tokens.as_ref()?.take(new.0?, now)
    }

    /// Keeps when tokens were used, at the end.
    pub(super) fn finish(&self, now: &Moment) {
        if let Some(tokens) = &self.tokens {
            tokens.save(now, true);
        }
    }

    /// Is the token of this name still good?
    pub(super) fn is_good(&self, name: &str, now: &Moment) -> bool {
        self.tokens.as_ref().is_none_or(|tokens| {
            tokens.known().iter().any(|one| *one.name == *name && !one.entry.is_expired(now.unix_ms))
        })
    }
}

enum Presented {
    Nothing,
    Token(String),
    /// By a ticket.
    Who(Who),
    /// Something that is no token, or a ticket that is no good.
    Malformed,
}

const INVALID: &str = "invalid_token";

/// Why there is no authentication.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file of tokens.
    #[error("--web.token-file: {0}")]
    File(#[from] FileError),
    /// Its figures.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Is this a program of this machine? A proxy on it speaks for others.
fn is_local(peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    const PASSED_ON: [HeaderName; 3] = [
        HeaderName::from_static("forwarded"),
        HeaderName::from_static("x-real-ip"),
        HeaderName::from_static("via"),
    ];
    peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && !PASSED_ON.iter().any(|name| headers.contains_key(name))
        && !headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}

/// The characters of RFC 6750, 2.1.
fn is_token68(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// The token of a WebSocket's subprotocols.
fn offered(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).find_map(|name| name.trim().strip_prefix(OFFER))
}

fn not_local(scope: Scope) -> Problem {
    let message = "without tokens (--web.token-file) only programs of this machine may do this, over 127.0.0.1 or ::1 and \
                   not through a proxy";
    Problem::new(StatusCode::FORBIDDEN, message)
        .details(json!({ "scope": scope.as_str(), "setting": "--web.token-file" }))
        .because("not_local")
}

fn unauthorized(scope: Scope, error: Option<&'static str>) -> Problem {
    let (message, challenge, reason) = match error {
        None => (
            "this needs a token: Authorization: Bearer TOKEN",
            "Bearer realm=\"gaugecast\"",
            "unauthenticated",
        ),
        Some(_) => (
            "the token is not good: it is unknown, its time is over, or it is none",
            "Bearer realm=\"gaugecast\", error=\"invalid_token\"",
            INVALID,
        ),
    };
    Problem::new(StatusCode::UNAUTHORIZED, message)
        .details(json!({ "scope": scope.as_str() }))
        .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .because(reason)
}

fn insufficient(scope: Scope, name: &str) -> Problem {
    let challenge = format!("Bearer realm=\"gaugecast\", error=\"insufficient_scope\", scope=\"{scope}\"");
    Problem::new(StatusCode::FORBIDDEN, format!("the token {name:?} lacks the scope {scope}"))
        .details(json!({ "scope": scope.as_str(), "error": "insufficient_scope" }))
        .with(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).expect("words"))
        .because("insufficient_scope")
}

fn too_many(again: Duration) -> Problem {
    let seconds = again.as_secs() + 1;
    let message = format!("too many attempts with tokens that are not good; try again in {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, message).because("login_rate").retry_after(seconds)
}

/// What a token file holds, read and not yet in force.
#[derive(Debug)]
pub(crate) struct NewTokens(Option<Vec<Entry>>);

/// The tokens of a file as they were last read.
#[derive(Debug)]
struct Tokens {
    file: TokenFile,
    known: RwLock<Arc<[Known]>>,
    /// Monotonic time in milliseconds at which it is looked again.
    next: AtomicU64,
    seen: Mutex<Option<Stamp>>,
    saving: Mutex<Saving>,
    count: Gauge,
    failures: Counter,
}

/// How a version of the file is known from another.
type Stamp = (u64, Option<SystemTime>, u64);

#[derive(Debug)]
struct Saving {
    next: Duration,
    saved: BTreeMap<String, i64>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    entry: Entry,
    /// When it was last used, Unix milliseconds; 0 never.
    used: AtomicI64,
}

impl Known {
    fn may(&self, scope: Scope) -> bool {
        self.entry.scopes.iter().any(|has| *has == scope || *has == Scope::Admin)
    }
}

impl Tokens {
    fn open(file: TokenFile, registry: &Registry, now: &Moment) -> Result<Self, AuthError> {
        let tokens = Tokens {
            known: RwLock::new(Arc::new([])),
            next: AtomicU64::new(0),
            seen: Mutex::default(),
            saving: Mutex::new(Saving { next: now.since_start + SAVE, saved: BTreeMap::new() }),
            count: registry.gauge(("gaugecast_auth_tokens", "Tokens of the token file."))?,
            failures: registry.counter((
                "gaugecast_auth_file_failures",
                "Times the token file could not be read again, or the times of use not be kept; what was known stays.",
            ))?,
            file,
        };
        // Times of use are for people; a server starts without them.
        let used = tokens.file.used().unwrap_or_default();
        tokens.saving.lock().unwrap_or_else(PoisonError::into_inner).saved = used;
        *tokens.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp(tokens.file.path());
        tokens.read(now)?;
        Ok(tokens)
    }

    fn known(&self) -> Arc<[Known]> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The token of this text. All are compared, so that the time says nothing.
    fn find(&self, text: &str, now: &Moment) -> Option<Found> {
        let known = self.known();
        let hash = Hash::of(text)?;
        let matches = |at: &usize| known[*at].entry.sha256.is(&hash);
        let found = (0..known.len()).fold(None, |found, at| if matches(&at) { Some(at) } else { found })?;
        (!known[found].entry.is_expired(now.unix_ms)).then_some(Found { known, at: found })
    }

    /// Reads the file.
    fn read(&self, now: &Moment) -> Result<(), FileError> {
        self.next.store(millis(now.since_start + LOOK), Ordering::Relaxed);
        self.take(self.file.load()?, now);
        Ok(())
    }

    /// These are the tokens from now on. Says how many are new and how many are gone.
    fn take(&self, entries: Vec<Entry>, now: &Moment) -> Option<String> {
        self.next.store(millis(now.since_start + LOOK), Ordering::Relaxed);
        let before = self.known();
        let saved = &self.saving.lock().unwrap_or_else(PoisonError::into_inner).saved;
        let known = entries.into_iter().map(|entry| {
            let same =
                before.iter().find(|old| old.entry.name == entry.name && old.entry.sha256.is(&entry.sha256));
            let used = match same {
                Some(old) => old.used.load(Ordering::Relaxed),
                None => saved.get(&entry.name).copied().filter(|used| *used >= entry.created_ms).unwrap_or(0),
            };
            Known { name: entry.name.as_str().into(), entry, used: AtomicI64::new(used) }
        });
        let known: Arc<[Known]> = known.collect();
        self.count.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        let lacks = |all: &[Known], one: &Known| !all.iter().any(|other| other.entry.is_same(&one.entry));
        let added = known.iter().filter(|one| lacks(&before, one)).count();
        let gone = before.iter().filter(|one| lacks(&known, one)).count();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        (added + gone > 0).then(|| format!("tokens: {added} added, {gone} gone"))
    }

    /// Reads the file again if it is another than before.
    fn look(&self, now: &Moment) {
        let due = self.next.load(Ordering::Relaxed);
        let next = millis(now.since_start + LOOK);
        let is_due = millis(now.since_start) >= due;
        if !is_due || self.next.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let stamp = stamp(self.file.path());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamp {
            return;
        }
        *seen = stamp;
        drop(seen);
        match self.read(now) {
            Ok(()) => tracing::info!(tokens = self.known().len(), "the token file was read again"),
            Err(error) => {
                self.failures.inc();
                tracing::error!(%error, "the token file cannot be read, the tokens before stay");
            }
        }
    }

    fn save(&self, now: &Moment, at_once: bool) {
        let mut saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since_start < saving.next && !at_once {
            return;
        }
        saving.next = now.since_start + SAVE;
        let known = self.known();
        let used = known.iter().map(|one| (one.name.to_string(), one.used.load(Ordering::Relaxed)));
        let used: BTreeMap<String, i64> = used.filter(|(_, used)| *used > 0).collect();
        if used == saving.saved {
            return;
        }
        match self.file.save_used(&used) {
            Ok(()) => saving.saved = used,
            Err(error) => {
                self.failures.inc();
                tracing::warn!(%error, "it cannot be kept when tokens were last used");
            }
        }
    }
}

/// One of the known tokens.
struct Found {
    known: Arc<[Known]>,
    at: usize,
}

impl std::ops::Deref for Found {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known[self.at]
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some((metadata.len(), metadata.modified().ok(), inode))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
