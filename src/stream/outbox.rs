//! What is on its way to one client.
//!
//! Two write to the socket of a WebSocket: we, with ready frames, and tungstenite, with pongs and the answer to
//! a close. Both go through one [`Outbox`], each in whole frames, so they take turns by construction: a
//! [`Conduit`] is the stream under tungstenite, and its `poll_write` appends there. Only [`Conduit::poll_drain`]
//! touches the socket, with all that is due in one vectored write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::Frames;
use super::utf8::Utf8;

/// How many slices go into one write. The kernel takes up to 1024; more than this many frames are rarely due.
const SLICES: usize = 64;

/// Frames that wait for the socket, and the count of what was put in.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Bytes>,
    len: usize,
    frames: u64,
    bytes: u64,
}

impl Outbox {
    /// Appends frames.
    pub(super) fn push(&mut self, frames: Frames) {
        self.frames += u64::from(frames.count);
        self.bytes += frames.bytes.len() as u64;
        self.append(frames.bytes);
    }

    fn append(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Does nothing wait?
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frames and bytes pushed since this was last asked.
    pub(super) fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes))
    }

    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let due = self.waiting.iter().take(SLICES);
        due.zip(slices.iter_mut()).map(|(bytes, slice)| *slice = IoSlice::new(bytes)).count()
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(first) = self.waiting.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.waiting.pop_front();
        }
    }

    /// All that waits, for tests; it is gone then.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.len = 0;
        self.waiting.drain(..).flatten().collect()
    }
}

/// The stream under tungstenite: reads come from the socket, writes go to the [`Outbox`].
#[derive(Debug)]
pub(super) struct Conduit<S> {
    socket: S,
    /// What waits.
    pub(super) outbox: Outbox,
    /// Bytes written to the socket since the connection began.
    written: u64,
    unflushed: bool,
    /// Bytes read since [`Conduit::message_ended`].
    unfinished: usize,
    most_unfinished: usize,
    text: Utf8,
    not_text: bool,
    ignores: bool,
}

/// Kind of the error by which a read ends when a client sends fragments without end.
pub(super) const ENDLESS: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// Kind of the error by which a read ends after text that cannot be UTF-8.
pub(super) const NOT_TEXT: io::ErrorKind = io::ErrorKind::InvalidData;

impl<S> Conduit<S> {
    /// Around a socket. More than `most_unfinished` bytes read without a whole message are an error of the
    /// kind [`ENDLESS`]: tungstenite bounds the payload of a message, but not the number of its fragments,
    /// which may be empty.
    pub(super) fn new(socket: S, most_unfinished: usize) -> Self {
        Conduit {
            socket,
            outbox: Outbox::default(),
            written: 0,
            unflushed: false,
            unfinished: 0,
            most_unfinished,
            text: Utf8::default(),
            not_text: false,
            ignores: false,
        }
    }

    /// What comes from now on is of no interest, right or wrong.
    pub(super) fn ignore(&mut self) {
        self.ignores = true;
    }

    /// A message was read to its end.
    pub(super) fn message_ended(&mut self) {
        self.unfinished = 0;
    }

    /// Have bytes come that are no whole message yet?
    pub(super) fn is_within_message(&self) -> bool {
        self.unfinished > 0
    }

    /// Bytes written to the socket since the connection began; grows as long as the client reads.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conduit<S> {
    /// Writes until nothing waits.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.outbox.slices(&mut slices);
            let socket = Pin::new(&mut self.socket);
            let written = ready!(socket.poll_write_vectored(context, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
            self.written += written as u64;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Conduit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.not_text && !self.ignores {
            return Poll::Ready(Err(NOT_TEXT.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if self.ignores {
            return Poll::Ready(Ok(()));
        }
        self.unfinished += buffer.filled().len() - before;
        if self.unfinished > self.most_unfinished {
            return Poll::Ready(Err(ENDLESS.into()));
        }
        // Said at the next read: whole messages may stand before the wrong byte.
        self.not_text |= !self.text.take(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Conduit<S> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.append(Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    /// Does nothing: draining is the connection's business.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame;
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_a_busy_socket_leaves_goes_out_in_order_and_whole() {
        let (near, mut far) = tokio::io::duplex(7);
        let mut conduit = Conduit::new(near, 1000);
        let mut want = Vec::new();
        for i in 0..100 {
            let frames = frame::text(format!("frame {i}").as_bytes());
            want.extend_from_slice(&frames.bytes);
            conduit.outbox.push(frames);
            conduit.write_all(b"pong").await.unwrap();
            want.extend_from_slice(b"pong");
        }
        let first = poll_fn(|context| Poll::Ready(conduit.poll_drain(context))).await;
        assert!(first.is_pending());
        assert_eq!(conduit.outbox.len(), want.len() - 7);
        let mut got = vec![0; want.len()];
        let (drained, read) =
            tokio::join!(poll_fn(|context| conduit.poll_drain(context)), far.read_exact(&mut got));
        drained.unwrap();
        read.unwrap();
        assert_eq!(got, want);
        assert!(conduit.outbox.is_empty());
        assert_eq!(conduit.written(), want.len() as u64);
        assert_eq!(conduit.outbox.take_counts().0, 100);
    }

    #[tokio::test]
    async fn reading_without_a_message_ever_ending_is_an_error() {
        let (near, mut far) = tokio::io::duplex(100);
        let mut conduit = Conduit::new(near, 10);
        let mut buffer = [0; 10];
        far.write_all(&[1; 10]).await.unwrap();
        conduit.read_exact(&mut buffer).await.unwrap();
        assert!(conduit.is_within_message());
        conduit.message_ended();
        far.write_all(&[1; 10]).await.unwrap();
        conduit.read_exact(&mut buffer).await.unwrap();
        far.write_all(&[1; 10]).await.unwrap();
        let refused = conduit.read_exact(&mut buffer).await.unwrap_err();
        assert_eq!(refused.kind(), ENDLESS);
    }
}
