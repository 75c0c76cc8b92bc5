//! What all requests share.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use hyper::{Request, Response};
use tokio::sync::Semaphore;

use super::admin::Admin;
use super::audit::Audit;
use super::auth::file::FileError;
use super::auth::{Auth, AuthError, NewTokens};
use super::body::Body;
use super::config::Config;
use super::crowd::Crowd;
use super::exports::Exports;
use super::guard::Guard;
use super::headers::RequestIds;
use super::metrics::HttpMetrics;
use super::problem::Problem;
use super::queries::Queries;
use super::rate::RateLimit;
use super::writes::Writes;
use crate::alert::rules::Board;
use crate::clock::Clock;
use crate::collect::Ticks;
use crate::collect::push::{Groups, Pushes};
use crate::collect::scrape::Targets;
use crate::detect::watch::Anomalies;
use crate::exposition::Expositions;
use crate::history::History;
use crate::query::{self, Source};
use crate::registry::Registry;
use crate::stream::Figures;
use crate::stream::protocol::Close;

/// The live stream, as the server needs it.
pub trait Stream: Send + Sync + 'static {
    /// Answers a GET of `/api/v1/stream/ws`, whose `Host` and `Origin` were found to be in order. The upgrade
    /// is in the request's extensions ([`hyper::upgrade::on`]); what comes of it is a
    /// [`Io`](super::Io), see [`downcast`](super::downcast).
    ///
    /// # Errors
    /// Why it is refused.
    fn upgrade(&self, request: Request<()>, peer: SocketAddr) -> Result<Response<Body>, Problem>;

    /// Answers a GET of `/api/v1/stream/sse`, whose `Host` and `Origin` were found to be in order; `asked` are
    /// the parameters of its query, decoded.
    ///
    /// # Errors
    /// Why it is refused.
    fn feed<'a>(
        &'a self,
        request: Request<()>,
        asked: Vec<(String, String)>,
        peer: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send + 'a>>;

    /// How many clients there are now.
    fn clients(&self) -> usize;

    /// Each client that is connected, in no order.
    fn sessions(&self) -> Vec<Arc<Figures>> {
        Vec::new()
    }

    /// Sends away those whose token is not good any more.
    fn end_unauthorized(&self, is_good: &dyn Fn(&str) -> bool) {
        let of_bad = |session: &Arc<Figures>| session.token.as_deref().is_some_and(|token| !is_good(token));
        self.sessions()
            .iter()
            .filter(|session| of_bad(session))
            .for_each(|session| session.end(Close::Unauthorized));
    }
}

/// What a reload comes to: what changed, or why nothing did; a line of text each.
pub type Reloaded = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Reads the configuration again. Missing where `--web.enable-lifecycle` is not given.
pub type Reload = Box<dyn Fn() -> Reloaded + Send + Sync>;

/// What an [`App`] is made of.
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// The clock of the process, for the uptime.
    pub clock: Clock,
    /// Where the values come from.
    pub ticks: Ticks,
    /// Writes `/metrics`.
    pub expositions: Expositions,
    /// Takes the server's own figures.
    pub registry: Registry,
    /// The live stream; without one its path is not there.
    pub stream: Option<Arc<dyn Stream>>,
    /// What queries are answered from; without it their paths are not there.
    pub samples: Option<Arc<dyn Source + Send>>,
    /// What exports are written from, where baselines are saved, and what pushed samples are taken into; without it their paths
    /// are not there.
    pub history: Option<History>,
    /// What makes pushed samples live; without it those of remote write are in the history only, and text is not taken.
    pub pushes: Option<Pushes>,
    /// Settings of queries.
    pub query: query::Config,
    /// What is scraped.
    pub targets: Targets,
    /// The rules that are evaluated; without them their paths are not there.
    pub rules: Option<Board>,
    /// What is anomalous; without it its path is not there.
    pub anomalies: Option<Anomalies>,
    /// What `POST /-/reload` does.
    pub reload: Option<Reload>,
    /// What the administration shows and does beside the server's own.
    pub admin: Admin,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How far the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// Not all parts run yet.
    Starting,
    /// All parts run.
    Ready,
    /// It ends; what is in flight is finished.
    Draining,
}

/// What all requests share. Clones are the same app.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The fields of [`App`], which only the server sees.
pub struct Inner {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) ticks: Ticks,
    pub(super) expositions: Expositions,
    pub(super) stream: Option<Arc<dyn Stream>>,
    pub(super) queries: Option<Queries>,
    pub(super) exports: Option<Exports>,
    pub(super) history: Option<History>,
    pub(super) targets: Targets,
    pub(super) rules: Option<Board>,
    pub(super) anomalies: Option<Anomalies>,
    pub(super) writes: Option<Writes>,
    pub(super) groups: Option<Groups>,
    pub(super) reload: Option<Reload>,
    pub(super) admin: Admin,
    pub(super) metrics: HttpMetrics,
    pub(super) auth: Auth,
    pub(super) audit: Audit,
    pub(super) guard: Guard,
    pub(super) rate: RateLimit,
    pub(super) crowd: Arc<Crowd>,
    pub(super) ids: RequestIds,
    /// One permit a running `/metrics` request; `None` is without limit.
    pub(super) scrapes: Option<Arc<Semaphore>>,
    readiness: AtomicU8,
    /// Did the last try to accept a connection fail?
    accept_fails: AtomicBool,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// An app that is [`Readiness::Starting`].
    ///
    /// # Errors
    /// When the registry has figures of the server already, or the tokens cannot be read.
    pub fn new(parts: Parts) -> Result<Self, AuthError> {
        let metrics = HttpMetrics::register(&parts.registry)?;
        let limits = &parts.config.limits;
        let queries = match parts.samples {
            Some(samples) => Some(Queries::new(samples, parts.query, &parts.registry)?),
            None => None,
        };
        let (inbox, groups) = parts.pushes.map(|pushes| (pushes.inbox, pushes.groups)).unzip();
        let writes = match &parts.history {
            Some(history) => Some(Writes::new(history.clone(), inbox, &parts.registry)?),
            None => None,
        };
        let (config, registry) = (&parts.config, &parts.registry);
        let auth = Auth::new(config.token_file.as_deref(), registry, &parts.clock.now())?;
        let audit = Audit::new(config.audit_file.as_deref(), registry)?;
        Ok(App(Arc::new(Inner {
            auth,
            audit,
            guard: Guard::new(&parts.config, super::listener::machine_name()),
            rate: RateLimit::new(limits.rate, limits.rate_burst, limits.rate_peers),
            crowd: Crowd::new(limits.connections, limits.half_open, metrics.clone()),
            ids: RequestIds::new(),
            scrapes: match parts.config.max_requests {
                0 => None,
                most => Some(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))),
            },
            readiness: AtomicU8::new(Readiness::Starting as u8),
            accept_fails: AtomicBool::new(false),
            config: parts.config,
            clock: parts.clock,
            ticks: parts.ticks,
            expositions: parts.expositions,
            stream: parts.stream,
            queries,
            exports: parts.history.clone().map(Exports::new),
            history: parts.history,
            targets: parts.targets,
            rules: parts.rules,
            anomalies: parts.anomalies,
            writes,
            groups,
            reload: parts.reload,
            admin: parts.admin,
            metrics,
        })))
    }

    /// Reads the token file, if there is one, without letting it count; see [`App::take_tokens`].
    pub(crate) fn read_tokens(&self) -> Result<NewTokens, FileError> {
        self.auth.read()
    }

    /// Lets tokens count that were read. Says what changed, if anything did.
    pub(crate) fn take_tokens(&self, new: NewTokens) -> Option<String> {
        self.auth.take(new, &self.clock.now())
    }

    /// How far the program is.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        match self.readiness.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    /// Says how far the program is: `/-/ready` follows it. [`Server::run`](super::Server::run) sets
    /// `Draining` itself.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.readiness.store(readiness as u8, Ordering::Release);
    }

    pub(super) fn set_accept_fails(&self, fails: bool) {
        self.accept_fails.store(fails, Ordering::Relaxed);
    }

    /// Does the server fail to accept connections now?
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.accept_fails.load(Ordering::Relaxed)
    }
}
