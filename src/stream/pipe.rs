//! The way of a stream's bytes into the body of an HTTP answer, without a queue behind it.
//!
//! hyper asks a body for more as soon as it has room, long before the socket has taken what it was given. So that
//! the sender knows what the client's socket really took, and nothing piles up in between, a [`Feed`] gives out
//! one piece of at most [`PIECE`] bytes at a time: the next follows when hyper has dropped the last, which it does
//! when the socket has it. As a piece is smaller than hyper's buffer, hyper goes on asking, and so hears at once
//! when the stream is to be cut.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::Notify;

/// Bytes under way at once. Together with the head of an answer less than 8 KiB, the least that hyper buffers.
const PIECE: usize = 4096;

/// Both ends of a way: what is put into the [`Tap`] comes out of the [`Feed`].
pub(super) fn pipe() -> (Tap, Feed) {
    let pipe = Arc::<Pipe>::default();
    (Tap { pipe: Arc::clone(&pipe) }, Feed { pipe })
}

#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<State>,
    /// For the tap: something was taken, or the feed is gone.
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    /// Bytes that wait or are under way.
    len: usize,
    under_way: bool,
    ended: bool,
    cut: bool,
    gone: bool,
    reader: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The sender's end. Dropped before all is taken, it cuts the answer off.
#[derive(Debug)]
pub(super) struct Tap {
    pipe: Arc<Pipe>,
}

impl Tap {
    /// Puts bytes on the way.
    pub(super) fn push(&self, bytes: Bytes) {
        let mut state = self.pipe.lock();
        if !bytes.is_empty() {
            state.len += bytes.len();
            state.waiting.push_back(bytes);
            state.wake();
        }
    }

    /// Has the socket taken everything?
    pub(super) fn is_empty(&self) -> bool {
        self.pipe.lock().len == 0
    }

    /// Is there nobody any more?
    pub(super) fn is_gone(&self) -> bool {
        self.pipe.lock().gone
    }

    /// Waits until something is taken or the client is gone, since this was last asked. Cancel safe.
    pub(super) async fn moved(&self) {
        self.pipe.moved.notified().await;
    }

    /// The answer ends with what is on the way.
    pub(super) fn end(&self) {
        let mut state = self.pipe.lock();
        state.ended = true;
        state.wake();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.cut = !state.ended || state.len > 0;
        state.waiting.clear();
        state.wake();
    }
}

/// The body of a streaming answer. Ends when the stream ends; fails when it is cut off.
#[derive(Debug)]
pub struct Feed {
    pipe: Arc<Pipe>,
}

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut state = self.pipe.lock();
        if state.cut {
            let why = io::Error::new(io::ErrorKind::ConnectionAborted, "the stream was cut off");
            return Poll::Ready(Some(Err(why)));
        }
        if !state.under_way
            && let Some(first) = state.waiting.front_mut()
        {
            let bytes = first.split_to(first.len().min(PIECE));
            if first.is_empty() {
                state.waiting.pop_front();
            }
            state.under_way = true;
            let piece = Piece { bytes, pipe: Arc::clone(&self.pipe) };
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))));
        }
        if state.ended && state.waiting.is_empty() {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.pipe.lock().gone = true;
        self.pipe.moved.notify_one();
    }
}

/// Bytes under way.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    pipe: Arc<Pipe>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.len -= self.bytes.len();
        state.under_way = false;
        state.wake();
        drop(state);
        self.pipe.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn one_piece_is_under_way_at_a_time_and_the_tap_knows_what_was_taken() {
        let (tap, mut feed) = pipe();
        tap.push(vec![1; PIECE + 1].into());
        tap.push("end".into());
        let first = feed.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE);
        assert!(feed.frame().now_or_never().is_none(), "the first is not taken yet");
        assert!(tap.moved().now_or_never().is_none() && !tap.is_empty());
        drop(first);
        tap.moved().await;
        tap.end();
        assert_eq!(feed.frame().await.unwrap().unwrap().into_data().unwrap(), [1][..]);
        assert_eq!(feed.frame().await.unwrap().unwrap().into_data().unwrap(), "end");
        assert!(tap.is_empty());
        drop(tap);
        assert!(feed.frame().await.is_none(), "an end after which nothing waits is whole");
    }

    #[tokio::test]
    async fn a_tap_that_is_dropped_cuts_off_even_while_a_piece_is_under_way() {
        let (tap, mut feed) = pipe();
        tap.push(vec![1; 2 * PIECE].into());
        let _first = feed.frame().await.unwrap().unwrap();
        tap.end();
        drop(tap);
        assert!(feed.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_tap_hears_that_the_client_is_gone() {
        let (tap, feed) = pipe();
        assert!(!tap.is_gone());
        drop(feed);
        tap.moved().await;
        assert!(tap.is_gone());
    }
}
