//! The WebSocket transport: the upgrade, and the task of one client.
//!
//! The task reads, by tungstenite, lets the [`Session`] answer, writes on what the socket did not take at once, and
//! keeps the session's time. What is due at a tick is written by the [`fanout`](super::fanout), which wakes the task
//! only when something is left over. Both write through one [`Link`]. While much waits nothing is read from the
//! client either.
//!
//! Ends: the client closes or goes away; the session closes (see [`Close`]); the hub stops (1001). On our part
//! `bye` and a close frame are sent, then the writing side is shut, and what the client still sends is read away
//! for a moment, since a reset would take the close frame from it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Sink, StreamExt};
use http_body_util::Full;
use hyper::header::USER_AGENT;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::config::Config;
use super::drain::COME_BACK;
use super::handshake::{Handshake, Refusal};
use super::hub::{Hub, Shared};
use super::link::{Conduit, ENDLESS, Link, NOT_TEXT, Socket, Turn};
use super::performance::Figures;
use super::protocol::Close;
use super::session::{Opening, Session, Step};
use crate::clock::Moment;
use crate::server;
use crate::server::auth::Bearer;

/// Read ahead from a client, and kept for it: most of what an idle connection costs. Its messages are short, and the
/// buffer grows for one that is longer. tungstenite's own default is 128 KiB.
const READ_BUFFER: usize = 1024;

/// tungstenite writes pongs and the answer to a close, each below 140 bytes, and the outbox takes all at once.
const WRITE_BUFFER: usize = 4096;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Sleeps are cut here, so that no setting can overflow a point in time.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Answers a request for the stream: 101 and a connection of the hub.
///
/// `peer` is whose connections are counted together. The caller has checked Host, Origin and rights. Must be
/// called on the tokio runtime; the connection ends with [`Hub::stop`].
///
/// # Errors
/// Why it is not let in (400, 405, 426, 429, 503).
pub fn upgrade<B>(
    hub: &Hub,
    mut request: Request<B>,
    peer: SocketAddr,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let shared = Arc::clone(&hub.shared);
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let token = request.extensions().get::<Bearer>().map(|Bearer(name)| Arc::clone(name));
    let admitted = Handshake::check(&request)
        .and_then(|handshake| Ok((handshake, shared.seat(peer, "websocket", agent, token)?)));
    let (handshake, seat) = admitted.inspect_err(|refusal| {
        shared.metrics.refused(refusal);
        tracing::debug!(%peer, reason = refusal.reason(), "stream handshake refused");
    })?;
    let upgraded = hyper::upgrade::on(&mut request);
    hub.shared.tasks.spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgraded => upgraded,
            () = shared.kill.cancelled() => return,
        };
        match upgraded {
            Ok(upgraded) => {
                let (socket, ahead, _held) = unwrap(upgraded, shared.config.send_buffer);
                serve(socket, ahead, &shared, &seat.figures).await;
            }
            Err(error) => tracing::debug!(%peer, %error, "stream upgrade failed"),
        }
        drop(seat);
    });
    Ok(handshake.response())
}

/// The socket of an upgraded connection, what was read from it already, and what it keeps while it is open. A bare
/// TCP socket comes out of everything that was around it, under our server or another that uses hyper.
pub(super) fn unwrap(upgraded: Upgraded, send_buffer: usize) -> (Socket, Bytes, Option<Arc<server::Seat>>) {
    let bare = match server::downcast::<TcpStream>(upgraded) {
        Ok((socket, ahead, seat)) => Ok((socket, ahead, Some(seat))),
        Err(upgraded) => upgraded
            .downcast::<TokioIo<TcpStream>>()
            .map(|parts| (parts.io.into_inner(), parts.read_buf, None)),
    };
    match bare {
        Ok((socket, ahead, seat)) => {
            server::set_send_buffer(&socket, send_buffer);
            (Socket::Tcp(socket), ahead, seat)
        }
        Err(upgraded) => (Socket::other(TokioIo::new(upgraded)), Bytes::new(), None),
    }
}

/// Serves a connection to its end. A panic ends this connection only.
async fn serve(socket: Socket, ahead: Bytes, shared: &Shared, figures: &Arc<Figures>) {
    let (name, peer) = (&figures.session, figures.remote);
    tracing::debug!(session = name, %peer, "stream client connected");
    let now = shared.clock.now();
    let round = Arc::clone(&shared.rounds.borrow());
    let session =
        Session::new(&shared.config, shared.tick, &shared.metrics, Arc::clone(figures), &round, &now);
    drop(round);
    let link = Arc::new(Link::new(socket, session, Arc::clone(&shared.metrics)));
    {
        let line = &mut *link.line();
        line.session.welcome(&shared.epoch.to_string(), &now, &mut line.outbox);
    }
    let mut stream = accept(&link, ahead, &shared.config).await;
    let conversation = AssertUnwindSafe(converse(&mut stream, &link, shared, figures)).catch_unwind();
    let ended = tokio::select! {
        ended = conversation => ended.unwrap_or(Ended::Fault),
        () = shared.kill.cancelled() => return shared.metrics.closed(Some(Close::GoingAway)),
    };
    let close = match ended {
        Ended::Client => None,
        Ended::Close(close) => Some(close),
        Ended::Fault => {
            shared.metrics.panics.inc();
            tracing::error!(session = name, %peer, "a fault in a stream connection");
            Some(Close::Internal)
        }
    };
    if let Some(close) = close {
        tokio::select! {
            () = Box::pin(goodbye(&mut stream, &link, shared, close)) => {}
            () = shared.kill.cancelled() => {}
        }
    }
    shared.metrics.closed(close);
    let reason = close.map_or("client", Close::reason);
    tracing::debug!(session = name, %peer, reason, "stream client gone");
}

/// How a conversation ended.
enum Ended {
    /// The client closed, and was answered, or is gone.
    Client,
    /// We are to close.
    Close(Close),
    /// By a fault of the program. What waits for the client are whole frames whatever failed, so it can be told.
    Fault,
}

/// What happened on a socket.
pub(super) enum Happened {
    /// A message came.
    Message(Message),
    /// Some of what waited is written, or all; or a loop has left something to the task.
    Turn,
    /// Reading failed.
    Failed(Box<Error>),
    /// The client is gone.
    Gone,
}

pub(super) type Stream = WebSocketStream<Conduit>;

/// The WebSocket on a connection whose opening handshake is done.
pub(super) async fn accept(link: &Arc<Link>, ahead: Bytes, config: &Config) -> Stream {
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(config.max_message))
        .max_frame_size(Some(config.max_message));
    // Twice a whole message leaves room for the headers of reasonable fragments.
    let conduit = Conduit::new(Arc::clone(link), 2 * config.max_message + READ_BUFFER);
    // A copy, since the bytes are a piece of a large buffer of hyper's.
    WebSocketStream::from_partially_read(conduit, ahead.to_vec(), Role::Server, Some(limits)).await
}

/// Talks until the end.
async fn converse(stream: &mut Stream, link: &Arc<Link>, shared: &Shared, figures: &Figures) -> Ended {
    let _place = shared.fanout.join(link);
    let mut farewell = std::pin::pin!(shared.farewell());
    loop {
        let now = shared.clock.now();
        let (until, reads) = match turn(stream, link, shared) {
            Turn::Wait { until, reads } => (until, reads),
            Turn::Close(close) => return Ended::Close(close),
            Turn::Gone => return Ended::Client,
            Turn::Faulty => return Ended::Fault,
        };
        let wake = Instant::now() + until.saturating_sub(now.since_start).min(LONGEST_SLEEP);
        let happened = tokio::select! {
            biased;
            () = &mut farewell => return Ended::Close(Close::GoingAway),
            close = figures.ended() => return Ended::Close(close),
            happened = next(stream, link, reads) => happened,
            () = sleep_until(wake) => continue,
        };
        let step = match happened {
            Happened::Turn => Step::Go,
            Happened::Gone => return Ended::Client,
            Happened::Failed(error) => match fault(&error) {
                Some(close) => Step::Close(close),
                None => return Ended::Client,
            },
            Happened::Message(Message::Close(_)) => {
                Box::pin(answer_close(stream, link)).await;
                return Ended::Client;
            }
            Happened::Message(message) => answer(link, &message, &shared.clock.now()),
        };
        match step {
            Step::Go => {}
            Step::Close(close) => return Ended::Close(close),
            // Boxed, as all that is seldom: it would be a part of the task for as long as the client stays.
            Step::Open(opening) => Box::pin(open(*opening, link, shared)).await,
        }
    }
}

/// Gets the channel of a subscription.
async fn open(opening: Opening, link: &Link, shared: &Shared) {
    let answer = match shared.spec(&opening.asked, opening.before.as_ref()).await {
        Ok(spec) => shared.open(spec, &opening.asked).await,
        Err(fault) => Err(fault),
    };
    let line = &mut *link.line();
    line.session.opened(opening, answer, &shared.clock.now(), &mut line.outbox);
}

/// The session's turn.
fn turn(stream: &Stream, link: &Link, shared: &Shared) -> Turn {
    let round = Arc::clone(&shared.rounds.borrow());
    let now = shared.clock.now();
    link.line().turn(&round, stream.get_ref().unfinished(), &now, &shared.metrics)
}

/// The session's answer to a message.
fn answer(link: &Link, message: &Message, now: &Moment) -> Step {
    let line = &mut *link.line();
    match message {
        Message::Text(text) => line.session.receive(text, now, &mut line.outbox),
        Message::Binary(_) => Step::Close(Close::Binary),
        Message::Ping(_) => line.session.control(false, now),
        Message::Pong(_) => line.session.control(true, now),
        Message::Close(_) | Message::Frame(_) => {
            unreachable!("closes are answered before, and reading gives whole messages")
        }
    }
}

/// Waits until something happens; nothing is read unless `reads`. Cancel safe.
pub(super) async fn next(stream: &mut Stream, link: &Link, reads: bool) -> Happened {
    poll_fn(|context| poll_socket(stream, link, reads, context)).await
}

/// Writes what waits and reads. Writing comes first and last: a client that never stops sending must not keep
/// its own answers back, and reading may have made a pong.
fn poll_socket(stream: &mut Stream, link: &Link, reads: bool, context: &mut Context<'_>) -> Poll<Happened> {
    if link.poll_called(context).is_ready() {
        return Poll::Ready(Happened::Turn);
    }
    match link.poll_drain(context) {
        Poll::Ready(Err(_)) => return Poll::Ready(Happened::Gone),
        Poll::Ready(Ok(1..)) => return Poll::Ready(Happened::Turn),
        Poll::Ready(Ok(0)) | Poll::Pending => {}
    }
    if reads {
        match stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Happened::Message(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Happened::Failed(Box::new(error))),
            Poll::Ready(None) => return Poll::Ready(Happened::Gone),
            // From here on its time runs.
            Poll::Pending if stream.get_mut().begins() => return Poll::Ready(Happened::Turn),
            Poll::Pending => {}
        }
    }
    match link.poll_drain(context) {
        Poll::Ready(Err(_)) => Poll::Ready(Happened::Gone),
        _ => Poll::Pending,
    }
}

/// What to tell a client whose frames could not be read; `None` if there is nobody to tell.
pub(super) fn fault(error: &Error) -> Option<Close> {
    match error {
        Error::Utf8(_) => Some(Close::NotUtf8),
        Error::Capacity(_) => Some(Close::TooLong),
        Error::Io(error) if error.kind() == ENDLESS => Some(Close::TooLong),
        Error::Io(error) if error.kind() == NOT_TEXT => Some(Close::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(Close::ProtocolError),
        _ => None,
    }
}

/// Sends the answer to the client's close, which tungstenite has made.
pub(super) async fn answer_close(stream: &mut Stream, link: &Link) {
    link.begin_close();
    // The flush moves the answer into the outbox and then says that the connection is closed.
    let _ = poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_flush(context)).await;
    let _ = timeout(GOODBYE, async {
        link.drained().await?;
        stream.get_mut().shutdown().await
    })
    .await;
}

/// Says why, closes, and lets the client hear it.
async fn goodbye(stream: &mut Stream, link: &Link, shared: &Shared, close: Close) {
    let spread = if close.retry_after().is_some() { shared.spread(COME_BACK) } else { Duration::ZERO };
    link.begin_close();
    {
        let line = &mut *link.line();
        for frames in close.frames(spread) {
            line.outbox.push(frames);
        }
        line.count_pushed(&shared.clock.now(), &shared.metrics);
    }
    leave(stream, link).await;
}

/// Sends what waits, a close frame at its end, and lets the client hear it.
pub(super) async fn leave(stream: &mut Stream, link: &Link) {
    let conduit = stream.get_mut();
    conduit.ignore();
    // Whether the client still listens decides whether it hears; there is nothing to do about a failure.
    let _ = timeout(GOODBYE, async {
        link.drained().await?;
        conduit.shutdown().await?;
        let mut ignored = [0; 1024];
        while conduit.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;

    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

    use super::*;
    use crate::clock::Clock;
    use crate::collect::Ticks;
    use crate::registry::Registry;
    use crate::series::{Epoch, Table};

    /// A socket in whose place a fault shows at the first read.
    struct Faulty(DuplexStream, bool);

    impl AsyncRead for Faulty {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            assert!(std::mem::replace(&mut self.1, true), "as the test wants");
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Faulty {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn b93_a_client_whose_connection_panics_is_told_1011() {
        let clock = Clock::start();
        let (ticks, _publish) = Ticks::manual(Table::new(Epoch(7), 10).commit(clock.now(), 0));
        let hub =
            Hub::start(Config::default(), ticks, Duration::from_secs(1), clock, &Registry::new()).unwrap();
        let (near, far) = tokio::io::duplex(4096);
        let client = async {
            let client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
            client.filter_map(|message| async { message.ok() }).collect::<Vec<_>>().await
        };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let seat = hub.shared.seat(peer, "websocket", None, None).unwrap();
        let faulty = Socket::other(Faulty(far, false));
        let ((), told) = tokio::join!(serve(faulty, Bytes::new(), &hub.shared, &seat.figures), client);
        let [Message::Text(welcome), Message::Text(bye), Message::Close(Some(close))] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(welcome.contains("welcome") && bye.contains("1011"), "{welcome} {bye}");
        assert_eq!(u16::from(close.code), 1011);
        assert_eq!(hub.shared.metrics.panics.get(), 1);
    }

    #[test]
    fn an_idle_client_costs_less_than_2_kib_beside_its_read_buffer() {
        fn size<F>(_: impl FnOnce(Socket, Bytes, &'static Shared, &'static Arc<Figures>) -> F) -> usize {
            size_of::<F>()
        }
        let task = size(serve);
        // The rest is a subscription, the seat, and what tokio keeps of a socket: about a kibibyte.
        assert!(task < 1250, "{task}");
        assert!(size_of::<Link>() < 750, "{}", size_of::<Link>());
    }
}
