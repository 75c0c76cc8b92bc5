//! The socket as hyper sees it: with deadlines.
//!
//! hyper closes a connection whose request head does not come in time without a word, and knows no deadline for
//! a peer that does not read. [`Io`] stands between hyper and the socket, knows from the [`Seat`] what the
//! connection is doing, and
//!
//! - ends reading when a request head takes too long, after writing a 408 if part of one had come;
//! - ends reading when a connection idles too long;
//! - fails writing when the peer leaves what it asked for unread;
//! - reads on for a moment before it closes on a request it did not read to the end, because the kernel would
//!   otherwise reset the connection and the peer would lose the answer that says why;
//! - looks for doubly framed requests, see [`framing`](super::framing);
//! - says what is wrong where hyper refuses what is no request: hyper writes a bare status line then.
//!
//! Once the connection has become a stream none of this applies any more.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::app::App;
use super::crowd::{Phase, Seat};
use super::framing::HeadScan;
use super::problem::Problem;

/// What follows the status line when hyper refuses what it cannot read as a request. No answer of the router
/// begins so: those have headers of ours first.
const BARE: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

/// How long, and how much, is read from a peer after its last answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// Has the kernel hold so many bytes at most of what is written to a socket (`SO_SNDBUF`).
pub(crate) fn set_send_buffer(socket: &TcpStream, bytes: usize) {
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(socket, bytes) {
        tracing::debug!(%error, "SO_SNDBUF");
    }
}

/// A socket with deadlines; see the module.
#[derive(Debug)]
pub struct Io<T> {
    inner: T,
    /// A byte that was read before hyper was set up.
    first: Option<u8>,
    seat: Arc<Seat>,
    app: App,
    scan: HeadScan,
    reading: Reading,
    /// How many requests there had been at the last read.
    requests: u32,
    read_timer: Pin<Box<Sleep>>,
    /// Runs while a write makes no progress.
    write_timer: Option<Pin<Box<Sleep>>>,
    closing: Closing,
    /// What is left to write of an answer that did not come through hyper.
    own: Bytes,
}

/// What the read timer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing.
    Nothing,
    /// The first byte of the next request.
    Next,
    /// The end of a head of which at least a byte has come.
    Head,
    /// The head did not come in time; the 408 is being written.
    TimedOut,
    /// Nothing more is read.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Not,
    ShutDown,
    Linger(usize),
}

impl<T> Io<T> {
    /// `first` is the first byte, read before; the head of the first request must be whole by `deadline`.
    pub(super) fn new(inner: T, first: u8, seat: Arc<Seat>, app: App, deadline: Instant) -> Self {
        Io {
            inner,
            first: Some(first),
            seat,
            app,
            scan: HeadScan::new(),
            reading: Reading::Head,
            requests: 0,
            read_timer: Box::pin(sleep_until(deadline)),
            write_timer: None,
            closing: Closing::Not,
            own: Bytes::new(),
        }
    }

    /// The socket itself, and the seat it must keep as long as it is open. For a connection that has become a
    /// stream.
    #[must_use]
    pub fn into_parts(self) -> (T, Arc<Seat>) {
        self.seat.forget_reader();
        (self.inner, self.seat)
    }

    fn time(&mut self, reading: Reading, from_now: Duration) {
        self.reading = reading;
        self.read_timer.as_mut().reset(Instant::now() + from_now);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Io<T> {
    /// The next bytes from the peer, the one that was read before first.
    fn poll_inner(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.first.take() {
            Some(first) if buf.remaining() > 0 => {
                buf.put_slice(&[first]);
                Poll::Ready(Ok(()))
            }
            first => {
                self.first = first;
                Pin::new(&mut self.inner).poll_read(cx, buf)
            }
        }
    }

    /// An answer of our own, to be written by [`Io::poll_own`].
    fn answer(&mut self, problem: Problem) {
        self.own = problem.into_bytes(&self.app.ids.of(&HeaderMap::new()));
    }

    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.own))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.own.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_timeout_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A peer that cannot be written to is gone.
        let _ = ready!(self.poll_own(cx));
        self.reading = Reading::End;
        Poll::Ready(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Io<T> {
    /// An end of file stands for a deadline that has passed.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let requests = this.seat.requests();
        if requests != this.requests {
            (this.requests, this.reading) = (requests, Reading::Nothing);
        }
        match (this.reading, this.seat.phase()) {
            (Reading::TimedOut, _) => return this.poll_timeout_answer(cx).map(Ok),
            (Reading::End, _) => return Poll::Ready(Ok(())),
            (_, Phase::Busy) => {
                this.seat.register(cx.waker());
                return this.poll_inner(cx, buf);
            }
            (_, Phase::Upgraded) => return this.poll_inner(cx, buf),
            (Reading::Nothing, _) => {
                this.scan = HeadScan::new();
                this.time(Reading::Next, this.app.config.limits.idle);
            }
            (Reading::Next | Reading::Head, _) => {}
        }
        let before = buf.filled().len();
        match this.poll_inner(cx, buf) {
            Poll::Ready(result) => {
                let new = &buf.filled()[before..];
                if let Some(head) = this.scan.feed(new) {
                    this.seat.note_head(head);
                }
                if !new.is_empty() && this.reading == Reading::Next {
                    this.time(Reading::Head, this.app.config.limits.header_deadline);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.read_timer.as_mut().poll(cx));
                if this.reading == Reading::Next {
                    this.reading = Reading::End;
                    return Poll::Ready(Ok(()));
                }
                this.app.metrics.reject("header_deadline");
                let message = "the request head did not come in time";
                this.answer(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
                this.reading = Reading::TimedOut;
                this.poll_timeout_answer(cx).map(Ok)
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Io<T> {
    /// Bounds what the kernel holds of the answer that begins, if that is wanted and this is a bare socket.
    fn bound(&self) {
        if let Some(bytes) = self.seat.take_bound()
            && let Some(socket) = (&self.inner as &dyn Any).downcast_ref::<TcpStream>()
        {
            set_send_buffer(socket, bytes);
        }
    }

    /// Does an answer of our own go out in place of these bytes?
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.own.is_empty()
            && let Some(problem) = refused(bytes, &self.app)
        {
            self.answer(problem);
        }
        !self.own.is_empty()
    }

    /// Watches a write: one that waits longer than the stall limit fails.
    fn watch<R>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if wrote.is_ready() || self.seat.phase() == Phase::Upgraded {
            self.write_timer = None;
            return wrote;
        }
        let stall = self.app.config.limits.write_stall;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        ready!(timer.as_mut().poll(cx));
        self.app.metrics.reject("write_stall");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for Io<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.bound();
        let wrote = if this.replaces(bytes) {
            this.poll_own(cx).map_ok(|()| bytes.len())
        } else {
            Pin::new(&mut this.inner).poll_write(cx, bytes)
        };
        this.watch(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.bound();
        let first: &[u8] = slices.first().map_or(&[], |slice| slice);
        let wrote = if this.replaces(first) {
            this.poll_own(cx).map_ok(|()| first.len())
        } else {
            Pin::new(&mut this.inner).poll_write_vectored(cx, slices)
        };
        this.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.closing {
                Closing::Not => {
                    this.closing = Closing::ShutDown;
                }
                Closing::ShutDown => {
                    let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
                    ready!(this.watch(cx, shut))?;
                    let may_send_on =
                        this.seat.is_closing() || matches!(this.reading, Reading::Head | Reading::End);
                    if !may_send_on || this.seat.phase() == Phase::Upgraded {
                        return Poll::Ready(Ok(()));
                    }
                    this.read_timer.as_mut().reset(Instant::now() + LINGER);
                    this.closing = Closing::Linger(LINGER_BYTES);
                }
                Closing::Linger(budget) => {
                    let mut scrap = [0; 4096];
                    let mut scrap = ReadBuf::new(&mut scrap);
                    match Pin::new(&mut this.inner).poll_read(cx, &mut scrap) {
                        Poll::Ready(Ok(())) if (1..budget).contains(&scrap.filled().len()) => {
                            this.closing = Closing::Linger(budget - scrap.filled().len());
                        }
                        // The end, an error, or enough.
                        Poll::Ready(_) => return Poll::Ready(Ok(())),
                        Poll::Pending => return this.read_timer.as_mut().poll(cx).map(Ok),
                    }
                }
            }
        }
    }
}

/// What hyper means by a bare answer, if this is one.
fn refused(bytes: &[u8], app: &App) -> Option<Problem> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?;
    let status = StatusCode::from_bytes(status.get(..3)?).ok()?;
    let line = bytes.iter().position(|byte| *byte == b'\r')?;
    if !bytes[line..].starts_with(BARE) {
        return None;
    }
    let limits = &app.config.limits;
    let message = match status {
        StatusCode::BAD_REQUEST => "this is not a request of HTTP/1.1 in order".into(),
        StatusCode::URI_TOO_LONG => "the request's address is too long".into(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            format!("a request head may have {} bytes and {} headers", limits.header_bytes, limits.headers)
        }
        _ => return None,
    };
    Some(Problem::new(status, message))
}

#[cfg(test)]
mod tests {
    use super::super::listener::tests::app;
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_taken_for_one() {
        let app = app();
        let refused = |text: &str| refused(text.as_bytes(), &app).map(|problem| problem.status.as_u16());
        let bare = "\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(refused(&format!("HTTP/1.1 400 Bad Request{bare}")), Some(400));
        assert_eq!(refused(&format!("HTTP/1.1 431 Request Header Fields Too Large{bare}")), Some(431));
        assert_eq!(refused(&format!("HTTP/1.1 200 OK{bare}")), None);
        assert_eq!(refused("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"), None);
        assert_eq!(refused("HTTP/1.1 4"), None);
        assert_eq!(refused("up 1\n"), None);
    }
}
