//! Listening, accepting, and the end of it.
//!
//! [`Server::bind`] takes the addresses, [`Server::run`] accepts until it is told to stop, then lets what is in
//! flight finish within a deadline. Every connection is a task of the server's own tracker, so none outlives
//! `run`. Accepting never spins: when it fails for want of something that only time brings (descriptors,
//! memory), it turns out whoever waits longest, pauses with growing intervals, and says so in the health check.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use hyper::{HeaderMap, StatusCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::{App, Readiness};
use super::connection::serve;
use super::problem::Problem;
use super::router::Router;

/// Connections the kernel completes while we are busy. More would only hide that we are.
const BACKLOG: u32 = 1024;

/// Files that are not connections: what collectors, logs and receivers hold open.
const OTHER_FILES: usize = 128;

/// How often the tokens are looked after.
const TEND: Duration = Duration::from_secs(1);

/// Pauses after failed accepts: short enough not to be noticed once, long enough to cost nothing for hours.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// What a connection over the limit reads, if it looks.
fn full(app: &App) -> Bytes {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "all connections of the server are taken")
        .retry_after(5)
        .into_bytes(&app.ids.of(&HeaderMap::new()))
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address is configured.
    #[error("no address to listen on, try --web.listen-address=127.0.0.1:7171")]
    Nowhere,
    /// Something else listens there.
    #[error("{address}: address in use, try --web.listen-address")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// A port below 1024 without the right to it.
    #[error("{address}: permission denied, ports below 1024 need a privilege; try --web.listen-address")]
    Denied {
        /// Where.
        address: SocketAddr,
    },
    /// The address is reachable from outside and there is no authentication.
    #[error(
        "{address}: everyone who reaches this address could read everything, as there is no authentication; \
         listen on 127.0.0.1, give --web.token-file, or accept that with --web.insecure-no-auth"
    )]
    Open {
        /// Where.
        address: SocketAddr,
    },
    /// `--web.systemd-socket`, and nothing that listens was handed over.
    #[error("--web.systemd-socket: {0}; start it by a .socket unit, or give --web.listen-address instead")]
    HandedOver(String),
    /// Anything else.
    #[error("{address}: {source}, try --web.listen-address")]
    Other {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All requests in flight were answered.
    Finished,
    /// The deadline came first; this many connections were cut.
    Cut(usize),
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drained::Finished => f.write_str("all requests in flight were answered"),
            Drained::Cut(left) => write!(f, "the drain deadline came first, {left} connections were cut"),
        }
    }
}

/// A server that has its addresses.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    router: Router,
}

impl Server {
    /// Takes all configured addresses. Needs a tokio runtime around it. Also raises the soft limit of open
    /// files to the hard one, since each connection is a file.
    ///
    /// # Errors
    /// See [`BindError`]; then no address is taken.
    pub fn bind(app: App) -> Result<Self, BindError> {
        let config = &app.config;
        let closed = |address: SocketAddr| {
            let safe = address.ip().to_canonical().is_loopback()
                || config.insecure_no_auth
                || config.token_file.is_some();
            if safe { Ok(()) } else { Err(BindError::Open { address }) }
        };
        let mut listeners = Vec::new();
        let asked = if config.systemd_socket { &[][..] } else { &config.listen };
        asked.iter().try_for_each(|address| closed(*address))?;
        for &address in asked {
            let v4_too = config.listen.iter().any(|other| {
                other.is_ipv4() && other.port() == address.port() && other.ip().is_unspecified()
            });
            listeners.push(listen(address, v4_too).map_err(|source| match source.kind() {
                io::ErrorKind::AddrInUse => BindError::InUse { address },
                io::ErrorKind::PermissionDenied => BindError::Denied { address },
                _ => BindError::Other { address, source },
            })?);
        }
        if config.systemd_socket {
            listeners = handed_over().map_err(|error| BindError::HandedOver(error.to_string()))?;
        }
        if listeners.is_empty() {
            return Err(BindError::Nowhere);
        }
        app.crowd.allow_at_most(raise_file_limit().saturating_sub(OTHER_FILES));
        let addresses = listeners
            .iter()
            .enumerate()
            .filter_map(|(i, listener)| listener.local_addr().ok().or_else(|| asked.get(i).copied()))
            .collect::<Vec<_>>();
        if config.systemd_socket {
            addresses.iter().try_for_each(|address| closed(*address))?;
        }
        Ok(Server { listeners, addresses, router: Router::new(app) })
    }

    /// Where it listens, in the order of the configuration, with the ports that the system chose for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts until `stop` is cancelled. Then it is [`Readiness::Draining`], closes the listeners and idle
    /// connections, and answers what is in flight, for at most [`Limits::drain`](super::Limits::drain).
    /// Streams are not waited for; whoever owns them ends them.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let Server { listeners, addresses: _, router } = self;
        let app = router.app().clone();
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        let accepting = listeners.into_iter().map(|listener| accept(listener, &router, &tasks, &stop, &cut));
        let accepting = join_all(accepting);
        tokio::select! {
            _ = accepting => {}
            never = tend(&app) => match never {},
        }
        app.set_readiness(Readiness::Draining);
        app.auth.finish(&app.clock.now());
        tasks.close();
        if timeout(app.config.limits.drain, tasks.wait()).await.is_ok() {
            return Drained::Finished;
        }
        let left = tasks.len();
        cut.cancel();
        tasks.wait().await;
        Drained::Cut(left)
    }
}

/// Looks after the tokens, and ends the streams of those that are good no more.
async fn tend(app: &App) -> Infallible {
    let mut timer = tokio::time::interval(TEND);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        timer.tick().await;
        let (app, now) = (app.clone(), app.clock.now());
        if app.auth.has_tokens() {
            // It reads and writes small files.
            let tended = app.clone();
            let _ = tokio::task::spawn_blocking(move || tended.auth.tend(&now)).await;
            if let Some(stream) = &app.stream {
                stream.end_unauthorized(&|name| app.auth.is_good(name, &now));
            }
        }
    }
}

fn listen(address: SocketAddr, v4_too: bool) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() && v4_too {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // A server that is started again must not wait for the old one's connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The sockets that the service manager opened for us, by its protocol of `LISTEN_FDS`.
fn handed_over() -> io::Result<Vec<TcpListener>> {
    let mut sockets = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for i in 0..sockets.len() {
        if let Some(listener) = sockets.take_tcp_listener(i)? {
            listener.set_nonblocking(true)?;
            listeners.push(TcpListener::from_std(listener)?);
        }
    }
    if listeners.is_empty() {
        return Err(io::Error::other("no socket was handed over"));
    }
    Ok(listeners)
}

/// Where connections come from: a listener, or a test.
trait Accept {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)>;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Answers and frames are written whole; waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY");
        }
        Ok((stream, peer))
    }
}

async fn accept<A: Accept>(
    mut listener: A,
    router: &Router,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    cut: &CancellationToken,
) {
    let app = router.app();
    let mut pause = *PAUSES.start();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (mut io, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                app.metrics.accept_errors.inc();
                if !app.is_degraded() {
                    tracing::warn!(%error, "cannot accept connections");
                }
                app.set_accept_fails(true);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(pause) => {}
                }
                // After the pause: whoever has a request in hand was served in it.
                app.crowd.make_room();
                pause = (pause * 2).min(*PAUSES.end());
                continue;
            }
        };
        pause = *PAUSES.start();
        app.set_accept_fails(false);
        app.metrics.accepted.inc();
        let Some(seat) = app.crowd.enter() else {
            // As much as the kernel takes at once; nobody waits for this peer.
            let _ = io.write(&full(app)).now_or_never();
            continue;
        };
        let connection = serve(io, peer, seat, router.clone(), stop.clone());
        let cut = cut.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

/// Is it the failure of one connection, which is gone by now, rather than of accepting?
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// How many files this process may open, after raising its soft limit to the hard one.
fn raise_file_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What this machine calls itself.
pub(super) fn machine_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::{Request, Response};
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::Clock;
    use crate::collect::Ticks;
    use crate::exposition::Expositions;
    use crate::registry::Registry;
    use crate::series::{Epoch, Table};
    use crate::server::{Body, Config, Parts};

    pub(in super::super) fn app() -> App {
        let clock = Clock::start();
        let tick = Table::new(Epoch(1), 10).commit(clock.now(), 0);
        let (ticks, _) = Ticks::manual(tick);
        let (config, expositions, registry) = (Config::default(), Expositions::default(), Registry::new());
        let (stream, samples, history, reload) = (None, None, None, None);
        let query = crate::query::Config::default();
        App::new(Parts {
            config,
            clock,
            ticks,
            expositions,
            registry,
            stream,
            samples,
            history,
            pushes: None,
            query,
            targets: crate::collect::scrape::Targets::default(),
            rules: None,
            anomalies: None,
            reload,
            admin: super::super::admin::Admin::default(),
        })
        .expect("a fresh registry")
    }

    /// Fails with the error number it is told until it is given connections.
    struct Failing {
        errno: i32,
        tries: Arc<AtomicUsize>,
        connections: mpsc::Receiver<DuplexStream>,
    }

    impl Accept for Failing {
        type Io = DuplexStream;

        async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
            self.tries.fetch_add(1, Ordering::Relaxed);
            match self.connections.try_recv() {
                Ok(connection) => Ok((connection, SocketAddr::from(([127, 0, 0, 1], 1)))),
                Err(_) => Err(io::Error::from_raw_os_error(self.errno)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_accepting_pauses_says_so_and_recovers() {
        const EMFILE: i32 = 24;
        let (app, stop, tasks) = (app(), CancellationToken::new(), TaskTracker::new());
        let router = Router::new(app.clone());
        let tries = Arc::new(AtomicUsize::new(0));
        let (give, connections) = mpsc::channel(1);
        let listener = Failing { errno: EMFILE, tries: Arc::clone(&tries), connections };
        let looping = accept(listener, &router, &tasks, &stop, &stop);
        let looking = async {
            sleep(Duration::from_secs(60)).await;
            let tried = tries.load(Ordering::Relaxed);
            assert!((60..=70).contains(&tried), "once a second, after a few quick ones: {tried}");
            assert_eq!(app.metrics.accept_errors.get(), tried as u64);
            assert!(app.is_degraded());

            let (mut client, server) = tokio::io::duplex(4096);
            give.send(server).await.expect("the loop runs");
            client.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").await.expect("read");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("answered");
            assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
            stop.cancel();
        };
        tokio::join!(looping, looking);
    }

    #[tokio::test]
    async fn health_says_degraded_while_accepting_fails() {
        let app = app();
        let router = Router::new(app.clone());
        let get = || Request::get("/-/healthy").body(http_body_util::Empty::new()).expect("a request");
        let text = async |answer: Response<Body>| {
            let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("whole");
            String::from_utf8_lossy(&body.to_bytes()).into_owned()
        };
        assert_eq!(text(router.handle(get()).await).await, "gaugecast is healthy.\n");
        app.set_accept_fails(true);
        assert!(text(router.handle(get()).await).await.starts_with("gaugecast is degraded"));
    }

    #[tokio::test]
    async fn the_forty_first_parallel_scrape_is_told_to_come_again() {
        let app = app();
        let router = Router::new(app.clone());
        let scrape = || {
            let request = Request::get("/metrics").header("host", "localhost");
            router.handle(request.body(http_body_util::Empty::new()).expect("a request"))
        };
        let mut answers = Vec::new();
        for _ in 0..40 {
            let answer = scrape().await;
            assert_eq!(answer.status(), 200);
            answers.push(answer);
        }
        let refused = scrape().await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().expect("a value"))
        );
        answers.pop();
        assert_eq!(scrape().await.status(), 200, "the body of an answer holds its place until it is sent");
    }

    #[test]
    fn an_error_of_one_connection_is_no_reason_to_pause() {
        let aborted = io::Error::from_raw_os_error(103);
        assert!(is_of_the_connection(&aborted));
        assert!(!is_of_the_connection(&io::Error::from_raw_os_error(24)));
    }
}
