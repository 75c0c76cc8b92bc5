//! A WebSocket connection as its two users share it: the fan-out loop that writes what is due, and the client's own
//! task, which reads, answers, and writes on what the socket did not take at once.
//!
//! - [`Link`] is the connection: a [`Socket`], and behind a lock the [`Session`] with its [`Outbox`]. Everything that
//!   goes to the socket goes through the outbox and is written under its lock, in whole frames, so the two writers
//!   take turns by construction. The lock is held for a system call at most, never over an await.
//! - [`Conduit`] is the stream under tungstenite, a third writer (pongs, the answer to a close): what it writes is
//!   appended to the outbox too, and written by the task.
//! - [`Tally`] collects what a sweep has done, so that figures cost nothing by the client.
//!
//! A loop writes only to a client for which nothing waits. Once something does, the task owns the writing until the
//! outbox is empty again; then the client is due again.

use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::hub::Round;
use super::inbound::Inbound;
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::protocol::Close;
use super::session::{HIGH_WATER, Parcel, Seen, Session, Shared};
use crate::clock::Moment;

/// A stream that only its own task can write to, such as one of TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// What a connection runs over.
pub(super) enum Socket {
    /// A bare socket, to which a loop writes directly.
    Tcp(TcpStream),
    /// Anything else, to which a loop writes never: it leaves everything to the task.
    Other(Mutex<Box<dyn Duplex>>),
}

impl Socket {
    /// Some stream that is not a bare socket.
    pub(super) fn other(stream: impl Duplex + 'static) -> Self {
        Socket::Other(Mutex::new(Box::new(stream)))
    }

    /// Writes what goes at once.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Socket::Tcp(socket), [one]) => socket.try_write(one),
            (Socket::Tcp(socket), several) => socket.try_write_vectored(several),
            (Socket::Other(_), _) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes what goes at once, for a loop that goes over many clients. It asks the kernel only: what the runtime knows
    /// of a socket would have to come from memory for each. The task asks the runtime when it writes on.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let Socket::Tcp(socket) = self else { return Err(io::ErrorKind::WouldBlock.into()) };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, flags))?)
    }

    /// Writes, and if nothing goes has the task woken when something does.
    fn poll_write(&self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = match self {
            Socket::Tcp(socket) => socket,
            Socket::Other(stream) => {
                let mut stream = lock(stream);
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(context, slices))?;
                // What is not flushed now is flushed by the next write, or when all is written.
                return Poll::Ready(Ok(written));
            }
        };
        loop {
            ready!(socket.poll_write_ready(context))?;
            match self.try_write(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(_) => Poll::Ready(Ok(())),
            Socket::Other(stream) => Pin::new(&mut *lock(stream)).poll_flush(context),
        }
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = match self {
            Socket::Tcp(socket) => socket,
            Socket::Other(stream) => return Pin::new(&mut *lock(stream)).poll_read(context, buffer),
        };
        loop {
            ready!(socket.poll_read_ready(context))?;
            match socket.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Shuts the writing side.
    fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(socket) => {
                Poll::Ready(rustix::net::shutdown(socket, rustix::net::Shutdown::Write).map_err(Into::into))
            }
            Socket::Other(stream) => Pin::new(&mut *lock(stream)).poll_shutdown(context),
        }
    }
}

/// A poisoned lock is taken as it is: what a panic left is whole frames, and the connection ends.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is written to.
    Open,
    /// A close frame was said, or is about to be: no frame may follow.
    Closing,
    /// The socket failed.
    Gone,
    /// The program failed in a sweep.
    Faulty,
}

/// What is behind the lock of a [`Link`].
pub(super) struct Line {
    /// The conversation.
    pub(super) session: Session,
    /// What waits for the socket.
    pub(super) outbox: Outbox,
    phase: Phase,
    /// Bytes that the kernel has taken.
    written: u64,
    /// Bytes of the outbox that the gauge of all queues knows of.
    queued: usize,
    /// What has not been taken whole yet: how many frames, and when the oldest was committed.
    late: Option<(u64, Duration)>,
    /// Has a loop left something to the task?
    called: bool,
    /// The client's task.
    task: Option<Waker>,
}

/// A connection; see the module.
pub(super) struct Link {
    socket: Socket,
    line: Mutex<Line>,
    metrics: Arc<Metrics>,
}

/// What the task is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Wait for something to happen, or for a point in monotonic time.
    Wait {
        /// When there is something to do even if nothing happens.
        until: Duration,
        /// Not while much waits: who does not listen is not heard either.
        reads: bool,
    },
    /// End the connection.
    Close(Close),
    /// The socket failed in a sweep.
    Gone,
    /// The program failed in a sweep.
    Faulty,
}

/// What became of a client in a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// It is to be swept again.
    Stays,
    /// Its task has the lock, maybe for as long as a selector takes to read: nobody else is to wait for that. It is
    /// to be swept later in this sweep.
    Taken,
    /// It is not.
    Leaves,
}

impl Link {
    /// A connection that begins.
    pub(super) fn new(socket: Socket, session: Session, metrics: Arc<Metrics>) -> Self {
        let line = Line {
            session,
            outbox: Outbox::default(),
            phase: Phase::Open,
            written: 0,
            queued: 0,
            late: None,
            called: false,
            task: None,
        };
        Link { socket, line: Mutex::new(line), metrics }
    }

    /// The conversation and what waits. Not to be held over an await.
    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    /// Writes what is due to this client of a round, if nothing waits for it. Called by its loop only; with `wait` it
    /// is never [`Swept::Taken`].
    pub(super) fn sweep(&self, round: &Round, now: &Moment, tally: &mut Tally, wait: bool) -> Swept {
        let line = match self.line.try_lock() {
            Ok(line) => line,
            Err(TryLockError::WouldBlock) if !wait => return Swept::Taken,
            Err(_) => self.line(),
        };
        let swept = catch_unwind(AssertUnwindSafe(|| self.try_sweep(line, round, now, tally)));
        let (swept, task) = match swept {
            Ok(done) => done,
            Err(_) => {
                tally.outbox = Outbox::default();
                let mut line = self.line();
                line.phase = Phase::Faulty;
                (Swept::Leaves, line.call())
            }
        };
        if let Some(task) = task {
            task.wake();
        }
        swept
    }

    fn try_sweep(
        &self,
        mut line: MutexGuard<'_, Line>,
        round: &Round,
        now: &Moment,
        tally: &mut Tally,
    ) -> (Swept, Option<Waker>) {
        let line = &mut *line;
        if line.phase != Phase::Open {
            return (Swept::Leaves, None);
        }
        if !line.outbox.is_empty() {
            line.session.busy(round, now);
            return (Swept::Stays, None);
        }
        if let Some(at) = line.session.shares(round, &mut tally.shared) {
            return self.write_shared(line, tally, at, now);
        }
        // What is due goes through an outbox of the loop, whose memory is at hand, and is the client's own only when
        // something is left over.
        let Tally { outbox, parcel, .. } = tally;
        parcel.clear();
        let more = line.session.deliver(round, now, outbox, parcel);
        if outbox.is_empty() {
            return (Swept::Stays, None);
        }
        let (frames, bytes) = outbox.take_counts();
        line.session.sent(frames, bytes, now);
        let wrote = outbox.write_with(|slices| self.socket.try_write(slices));
        (tally.frames, tally.bytes) = (tally.frames + frames, tally.bytes + bytes);
        tally.writes += 1;
        match wrote {
            Ok(written) => line.written += written as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                tally.outbox = Outbox::default();
                line.phase = Phase::Gone;
                return (Swept::Leaves, line.call());
            }
        }
        if tally.outbox.is_empty() {
            tally.arrived(&self.metrics, now);
            // What is still due is more than goes at once: the task sees to it.
            return (Swept::Stays, if more { line.call() } else { None });
        }
        std::mem::swap(&mut line.outbox, &mut tally.outbox);
        line.late = tally.parcel.late();
        line.count_queued(&self.metrics);
        (Swept::Stays, line.call())
    }

    /// Writes what this client shares with others, straight from where all have it.
    fn write_shared(
        &self,
        line: &mut Line,
        tally: &mut Tally,
        at: usize,
        now: &Moment,
    ) -> (Swept, Option<Waker>) {
        let Some(joined) = tally.shared[at].due() else { return (Swept::Stays, None) };
        let bytes = &joined.frames.bytes;
        line.session.reached(joined, now);
        (tally.frames, tally.bytes) =
            (tally.frames + u64::from(joined.frames.count), tally.bytes + bytes.len() as u64);
        tally.writes += 1;
        let written = match self.socket.send(bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                line.phase = Phase::Gone;
                return (Swept::Leaves, line.call());
            }
        };
        line.written += written as u64;
        if written == bytes.len() {
            tally.took_shared(&self.metrics, at, now);
            return (Swept::Stays, None);
        }
        line.outbox.append(bytes.slice(written..));
        line.late = joined.late();
        line.count_queued(&self.metrics);
        (Swept::Stays, line.call())
    }

    /// Ready when a loop has left something to the task since [`Line::turn`]; else has the task woken then.
    pub(super) fn poll_called(&self, context: &Context<'_>) -> Poll<()> {
        let mut line = self.line();
        if line.called {
            return Poll::Ready(());
        }
        match &mut line.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Nothing but what waits and what is pushed by the caller from now on goes out any more.
    pub(super) fn begin_close(&self) {
        self.line().phase = Phase::Closing;
    }

    /// Writes until nothing waits. Says how many bytes were written when at least one was, or when all are.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn poll_drain(&self, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut line = self.line();
        let line = &mut *line;
        if line.phase == Phase::Gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = line.written;
        let drained = loop {
            if line.outbox.is_empty() {
                break self.socket.poll_flush(context);
            }
            let wrote = line.outbox.write_with(|slices| match self.socket.poll_write(context, slices) {
                Poll::Ready(Ok(0)) => Err(Some(io::ErrorKind::WriteZero.into())),
                Poll::Ready(done) => done.map_err(Some),
                Poll::Pending => Err(None),
            });
            match wrote {
                Ok(written) => line.written += written as u64,
                Err(None) => break Poll::Pending,
                Err(Some(error)) => break Poll::Ready(Err(error)),
            }
        };
        line.count_queued(&self.metrics);
        match drained {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if line.written == before => Poll::Pending,
            _ => Poll::Ready(Ok(line.written - before)),
        }
    }

    /// Waits until all that waits is written.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) async fn drained(&self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            loop {
                ready!(self.poll_drain(context))?;
                if self.line().outbox.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let queued = lock(&self.line).queued;
        self.metrics.queue_bytes.add(-whole(queued));
    }
}

impl Line {
    /// What the task does whenever something has happened: adds what is due of a round if nothing waits, and looks
    /// after time.
    pub(super) fn turn(
        &mut self,
        round: &Round,
        unfinished: Option<u32>,
        now: &Moment,
        metrics: &Metrics,
    ) -> Turn {
        self.called = false;
        match self.phase {
            Phase::Gone => return Turn::Gone,
            Phase::Faulty => return Turn::Faulty,
            Phase::Open | Phase::Closing => {}
        }
        if self.outbox.is_empty() {
            if let Some((frames, committed)) = self.late.take() {
                metrics.delivered(now.since_start.saturating_sub(committed), frames);
            }
            let mut parcel = Parcel::default();
            self.session.deliver(round, now, &mut self.outbox, &mut parcel);
            self.late = parcel.late();
        }
        let seen = Seen { written: self.written, unfinished };
        if let Some(close) = self.session.wake(seen, now, &mut self.outbox) {
            return Turn::Close(close);
        }
        self.count_pushed(now, metrics);
        Turn::Wait { until: self.session.next_wake(), reads: self.outbox.len() <= HIGH_WATER }
    }

    /// Counts what was pushed.
    pub(super) fn count_pushed(&mut self, now: &Moment, metrics: &Metrics) {
        let (frames, bytes) = self.outbox.take_counts();
        if frames > 0 {
            metrics.frames.inc_by(frames);
            metrics.bytes.inc_by(bytes);
            self.session.sent(frames, bytes, now);
        }
    }

    /// The task is to take its turn.
    fn call(&mut self) -> Option<Waker> {
        self.called = true;
        self.task.take()
    }

    fn count_queued(&mut self, metrics: &Metrics) {
        if self.queued != self.outbox.len() {
            metrics.queue_bytes.add(whole(self.outbox.len()) - whole(self.queued));
            self.queued = self.outbox.len();
        }
    }
}

fn whole(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What a sweep has done, client after client.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What is due to the client at hand; empty between clients.
    outbox: Outbox,
    parcel: Parcel,
    /// What clients of this sweep shared; see [`Session::shares`].
    shared: Vec<Shared>,
    /// Which of them the last clients took, and how many clients that were in a row.
    took: (usize, u64),
    frames: u64,
    bytes: u64,
    writes: u64,
    /// When the frames were committed that the last clients took, and how many clients that were in a row.
    commits: Vec<Duration>,
    clients: u64,
}

impl Tally {
    /// A client has taken its parcel. Clients in a row that were due the same are counted together.
    fn arrived(&mut self, metrics: &Metrics, now: &Moment) {
        if self.parcel.commits() != self.commits {
            self.observe(metrics, now);
            self.commits.clear();
            self.commits.extend_from_slice(self.parcel.commits());
        }
        self.clients += 1;
    }

    /// A client has taken what it shares with others.
    fn took_shared(&mut self, metrics: &Metrics, at: usize, now: &Moment) {
        if self.took.0 != at {
            self.observe(metrics, now);
            self.took.0 = at;
        }
        self.took.1 += 1;
    }

    fn observe(&mut self, metrics: &Metrics, now: &Moment) {
        let alone = (&self.commits[..], std::mem::take(&mut self.clients));
        let (at, clients) = (self.took.0, std::mem::take(&mut self.took.1));
        let shared = self.shared.get(at).and_then(Shared::due);
        let shared = (shared.map_or(&[][..], |joined| &joined.commits), clients);
        for (commits, clients) in [alone, shared].into_iter().filter(|(_, clients)| *clients > 0) {
            for committed in commits {
                metrics.delivered(now.since_start.saturating_sub(*committed), clients);
            }
        }
    }

    /// A sweep has ended: what its clients shared is told in figures, and of no use to the next.
    pub(super) fn end(&mut self, metrics: &Metrics, now: &Moment) {
        self.publish(metrics, now);
        self.shared.clear();
    }

    /// Adds what was done to the figures.
    pub(super) fn publish(&mut self, metrics: &Metrics, now: &Moment) {
        self.observe(metrics, now);
        metrics.frames.inc_by(std::mem::take(&mut self.frames));
        metrics.bytes.inc_by(std::mem::take(&mut self.bytes));
        metrics.writes.inc_by(std::mem::take(&mut self.writes));
    }
}

/// The stream under tungstenite: reads come from the socket, writes go to the [`Outbox`].
pub(super) struct Conduit {
    link: Arc<Link>,
    inbound: Inbound,
    /// Of a message that has not ended.
    most_unfinished: usize,
    /// The last message whose begin was told.
    told: u32,
    not_text: bool,
    ignores: bool,
}

/// Kind of the error by which a read ends when a client sends fragments without end.
pub(super) const ENDLESS: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// Kind of the error by which a read ends after text that cannot be UTF-8.
pub(super) const NOT_TEXT: io::ErrorKind = io::ErrorKind::InvalidData;

impl Conduit {
    /// Over a connection. More than `most_unfinished` bytes of a message that has not ended are an error of the kind [`ENDLESS`].
    pub(super) fn new(link: Arc<Link>, most_unfinished: usize) -> Self {
        Conduit {
            link,
            inbound: Inbound::default(),
            most_unfinished,
            told: 0,
            not_text: false,
            ignores: false,
        }
    }

    /// What comes from now on is of no interest, right or wrong.
    pub(super) fn ignore(&mut self) {
        self.ignores = true;
    }

    /// The message that has begun and not ended, by its number.
    pub(super) fn unfinished(&self) -> Option<u32> {
        self.inbound.unfinished()
    }

    /// Has a message begun of which this was not said yet?
    pub(super) fn begins(&mut self) -> bool {
        let begun = self.unfinished().filter(|number| *number != self.told);
        self.told = begun.unwrap_or(self.told);
        begun.is_some()
    }
}

impl AsyncRead for Conduit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.not_text && !self.ignores {
            return Poll::Ready(Err(NOT_TEXT.into()));
        }
        let before = buffer.filled().len();
        ready!(self.link.socket.poll_read(context, buffer))?;
        if self.ignores {
            return Poll::Ready(Ok(()));
        }
        // Said at the next read: whole messages may stand before the wrong byte.
        self.not_text |= !self.inbound.take(&buffer.filled()[before..]);
        if self.inbound.unfinished_bytes() as usize > self.most_unfinished {
            return Poll::Ready(Err(ENDLESS.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.link.line().outbox.append(Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    /// Does nothing: draining is the business of the link.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.socket.poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
pub(super) mod tests;
