//! The WebSocket transport: the upgrade, and the task that drives one client's [`Session`].
//!
//! Everything of a connection happens in its one task: tungstenite reads, answers pings and closes; ready frames
//! go past its encoder; both write through one [`Outbox`](super::outbox), so whole frames take turns. When the
//! socket has taken all that waited, the session adds what its client has not had, and only then: a client that
//! is slow gets fewer frames and no queue. While much waits nothing is read from the client either.
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
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::config::Config;
use super::drain::COME_BACK;
use super::handshake::{Handshake, Refusal};
use super::hub::{Hub, Shared};
use super::outbox::{Conduit, ENDLESS, NOT_TEXT};
use super::performance::Figures;
use super::protocol::Close;
use super::session::{HIGH_WATER, Session, Socket, Step};

/// Read ahead from a client. Its messages are short; tungstenite's own default of 128 KiB is most of what a
/// connection would cost.
const READ_BUFFER: usize = 4096;

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
    let admitted = Handshake::check(&request)
        .and_then(|handshake| Ok((handshake, shared.seat(peer, "websocket", agent)?)));
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
            Ok(upgraded) => serve(TokioIo::new(upgraded), &shared, &seat.figures).await,
            Err(error) => tracing::debug!(%peer, %error, "stream upgrade failed"),
        }
        drop(seat);
    });
    Ok(handshake.response())
}

/// Serves a connection to its end. A panic ends this connection only.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(socket: S, shared: &Shared, figures: &Arc<Figures>) {
    let (name, peer) = (&figures.session, figures.remote);
    tracing::debug!(session = name, %peer, "stream client connected");
    let mut stream = accept(socket, &shared.config).await;
    let conversation = AssertUnwindSafe(converse(&mut stream, shared, figures)).catch_unwind();
    let ended = tokio::select! {
        ended = conversation => ended,
        () = shared.kill.cancelled() => return shared.metrics.closed(Some(Close::GoingAway)),
    };
    let close = match ended {
        Ok(close) => close,
        Err(_) => {
            shared.metrics.panics.inc();
            tracing::error!(session = name, %peer, "a fault in a stream connection");
            // What waits for the client are whole frames whatever failed, so it can still be told.
            tokio::select! {
                close = goodbye(&mut stream, shared, Close::Internal) => Some(close),
                () = shared.kill.cancelled() => Some(Close::Internal),
            }
        }
    };
    shared.metrics.closed(close);
    let reason = close.map_or("client", Close::reason);
    tracing::debug!(session = name, %peer, reason, "stream client gone");
}

/// What happened on a socket.
pub(super) enum Happened {
    /// A message came.
    Message(Message),
    /// Some of what waited is written, or all.
    Written,
    /// Reading failed.
    Failed(Box<Error>),
    /// The client is gone.
    Gone,
}

pub(super) type Stream<S> = WebSocketStream<Conduit<S>>;

/// The WebSocket on a socket whose opening handshake is done.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(socket: S, config: &Config) -> Stream<S> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(config.max_message))
        .max_frame_size(Some(config.max_message));
    // Twice a whole message leaves room for the headers of reasonable fragments.
    let conduit = Conduit::new(socket, 2 * config.max_message + READ_BUFFER);
    WebSocketStream::from_raw_socket(conduit, Role::Server, Some(limits)).await
}

/// Talks until the end; says which [`Close`] ended it, `None` if the client did.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    shared: &Shared,
    figures: &Arc<Figures>,
) -> Option<Close> {
    let mut rounds = shared.rounds.clone();
    let now = shared.clock.now();
    let mut farewell = std::pin::pin!(shared.farewell());
    let round = Arc::clone(&rounds.borrow());
    let mut session =
        Session::new(&shared.config, shared.tick, &shared.metrics, Arc::clone(figures), &round, &now);
    // Commit of the tick of which frames are on their way.
    let mut under_way = None;
    session.welcome(&shared.epoch.to_string(), &now, &mut stream.get_mut().outbox);
    loop {
        let now = shared.clock.now();
        let conduit = stream.get_mut();
        if conduit.outbox.is_empty() {
            let round = Arc::clone(&rounds.borrow_and_update());
            session.tell(&round, &now, &mut conduit.outbox);
            let before = conduit.outbox.len();
            session.deliver(&round, &mut conduit.outbox);
            under_way = (conduit.outbox.len() > before).then_some(round.at);
        }
        let seen = Socket { written: conduit.written(), within_message: conduit.is_within_message() };
        if let Some(close) = session.wake(seen, &now, &mut conduit.outbox) {
            return Some(goodbye(stream, shared, close).await);
        }
        let (frames, bytes) = conduit.outbox.take_counts();
        if frames > 0 {
            shared.metrics.frames.inc_by(frames);
            shared.metrics.bytes.inc_by(bytes);
            figures.sent(frames, bytes);
            session.sent(&now);
        }
        let waits = !conduit.outbox.is_empty();
        let reads = conduit.outbox.len() <= HIGH_WATER;
        let wake = Instant::now() + session.next_wake().saturating_sub(now.since_start).min(LONGEST_SLEEP);
        let happened = tokio::select! {
            biased;
            () = &mut farewell => return Some(goodbye(stream, shared, Close::GoingAway).await),
            happened = next(stream, reads) => happened,
            // The hub's task ends only when it is told to stop.
            _ = rounds.changed(), if !waits => continue,
            () = sleep_until(wake) => continue,
        };
        let now = shared.clock.now();
        let step = match happened {
            Happened::Written => {
                if stream.get_ref().outbox.is_empty()
                    && let Some(at) = under_way.take()
                {
                    shared.latencies.record(now.since_start.saturating_sub(at));
                }
                Step::Go
            }
            Happened::Gone => return None,
            Happened::Failed(error) => match fault(&error) {
                Some(close) => Step::Close(close),
                None => return None,
            },
            Happened::Message(message) => {
                stream.get_mut().message_ended();
                match message {
                    Message::Text(text) => session.receive(&text, &now, &mut stream.get_mut().outbox),
                    Message::Binary(_) => Step::Close(Close::Binary),
                    Message::Ping(_) => session.control(false, &now),
                    Message::Pong(_) => session.control(true, &now),
                    Message::Close(_) => {
                        answer_close(stream).await;
                        return None;
                    }
                    Message::Frame(_) => unreachable!("reading gives whole messages"),
                }
            }
        };
        let step = match step {
            Step::Open(opening) => {
                let answer = match shared.spec(&opening.asked, opening.before.as_ref()).await {
                    Ok(spec) => shared.open(spec).await,
                    Err(fault) => Err(fault),
                };
                session.opened(*opening, answer, &now, &mut stream.get_mut().outbox)
            }
            other => other,
        };
        if let Step::Close(close) = step {
            return Some(goodbye(stream, shared, close).await);
        }
    }
}

/// Waits until something happens; nothing is read unless `reads`. Cancel safe.
pub(super) async fn next<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>, reads: bool) -> Happened {
    poll_fn(|context| poll_socket(stream, reads, context)).await
}

/// Writes what waits and reads. Writing comes first and last: a client that never stops sending must not keep
/// its own answers back, and reading may have made a pong.
fn poll_socket<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    reads: bool,
    context: &mut Context<'_>,
) -> Poll<Happened> {
    let conduit = stream.get_mut();
    let before = conduit.written();
    if let Poll::Ready(Err(_)) = conduit.poll_drain(context) {
        return Poll::Ready(Happened::Gone);
    }
    if conduit.written() > before {
        return Poll::Ready(Happened::Written);
    }
    if reads {
        match stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Happened::Message(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Happened::Failed(Box::new(error))),
            Poll::Ready(None) => return Poll::Ready(Happened::Gone),
            Poll::Pending => {}
        }
    }
    match stream.get_mut().poll_drain(context) {
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
pub(super) async fn answer_close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>) {
    // The flush moves the answer into the outbox and then says that the connection is closed.
    let _ = poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_flush(context)).await;
    let conduit = stream.get_mut();
    let _ = timeout(GOODBYE, async {
        poll_fn(|context| conduit.poll_drain(context)).await?;
        conduit.shutdown().await
    })
    .await;
}

/// Says why, closes, and lets the client hear it.
async fn goodbye<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    shared: &Shared,
    close: Close,
) -> Close {
    let spread = if close.retry_after().is_some() { shared.spread(COME_BACK) } else { Duration::ZERO };
    let conduit = stream.get_mut();
    for frames in close.frames(spread) {
        conduit.outbox.push(frames);
    }
    let (frames, bytes) = conduit.outbox.take_counts();
    shared.metrics.frames.inc_by(frames);
    shared.metrics.bytes.inc_by(bytes);
    leave(stream).await;
    close
}

/// Sends what waits, a close frame at its end, and lets the client hear it.
pub(super) async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>) {
    let conduit = stream.get_mut();
    conduit.ignore();
    // Whether the client still listens decides whether it hears; there is nothing to do about a failure.
    let _ = timeout(GOODBYE, async {
        poll_fn(|context| conduit.poll_drain(context)).await?;
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

    use tokio::io::{DuplexStream, ReadBuf};

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
        let seat = hub.shared.seat(peer, "websocket", None).unwrap();
        let ((), told) = tokio::join!(serve(Faulty(far, false), &hub.shared, &seat.figures), client);
        let [Message::Text(welcome), Message::Text(bye), Message::Close(Some(close))] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(welcome.contains("welcome") && bye.contains("1011"), "{welcome} {bye}");
        assert_eq!(u16::from(close.code), 1011);
        assert_eq!(hub.shared.metrics.panics.get(), 1);
    }
}
