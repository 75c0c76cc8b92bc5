//! Who is connected, and who has to go when it gets crowded.
//!
//! Every connection takes a [`Seat`] in the [`Crowd`]. A connection without a request in flight *waits*: it is
//! half-open until its first request is whole, idle between requests. Waiting costs nothing to cause (ten
//! thousand half-open connections are one line of script), so waiting is what the crowd bounds: over the limit
//! of half-open connections the oldest of them is turned out, over the limit of all connections the oldest
//! half-open one, or else the one that idles longest. A connection that is being answered, or is a stream, is
//! never turned out. A new client with a whole request in hand waits for microseconds only, so it is served
//! whatever the others do: that is the quota kept for `/metrics` and the health checks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::framing::Head;
use super::metrics::HttpMetrics;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Its first request is not whole yet.
    HalfOpen,
    /// Between requests, or in the head of one after the first.
    Idle,
    /// A request is being answered.
    Busy,
    /// It has become a stream.
    Upgraded,
}

const PHASES: [Phase; 4] = [Phase::HalfOpen, Phase::Idle, Phase::Busy, Phase::Upgraded];
const HEADS: [Head; 3] = [Head::Unseen, Head::Plain, Head::WithLength];

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Crowd {
    limit: AtomicUsize,
    half_open_limit: usize,
    open: AtomicUsize,
    waiting: Mutex<Waiting>,
    metrics: HttpMetrics,
}

/// Those who wait, each by the number it got when it began to, so the first is the one that waits longest.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    half_open: BTreeMap<u64, Arc<SeatState>>,
    idle: BTreeMap<u64, Arc<SeatState>>,
}

#[derive(Debug)]
struct SeatState {
    phase: AtomicU8,
    head: AtomicU8,
    requests: AtomicU32,
    closing: AtomicBool,
    /// Bytes that the kernel may hold of the answer; 0: as it likes.
    send_buffer: AtomicUsize,
    /// Of the task that reads.
    reader: AtomicWaker,
    turned_out: Notify,
}

impl Crowd {
    pub(super) fn new(limit: usize, half_open_limit: usize, metrics: HttpMetrics) -> Arc<Self> {
        Arc::new(Crowd {
            limit: AtomicUsize::new(limit.max(1)),
            half_open_limit: half_open_limit.max(1),
            open: AtomicUsize::new(0),
            waiting: Mutex::default(),
            metrics,
        })
    }

    /// Lowers the limit of connections to what the system allows.
    pub(super) fn allow_at_most(&self, connections: usize) {
        self.limit.fetch_min(connections.max(1), Ordering::Relaxed);
    }

    /// A seat for a new, half-open connection; `None` when all seats are taken by connections at work.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        let mut waiting = self.lock();
        if open > self.limit.load(Ordering::Relaxed) && !self.turn_out_one(&mut waiting) {
            drop(waiting);
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.metrics.reject("too_many_connections");
            return None;
        }
        while waiting.half_open.len() >= self.half_open_limit {
            self.turn_out_one(&mut waiting);
        }
        let state = Arc::new(SeatState {
            phase: AtomicU8::new(Phase::HalfOpen as u8),
            head: AtomicU8::new(Head::Unseen as u8),
            requests: AtomicU32::new(0),
            closing: AtomicBool::new(false),
            send_buffer: AtomicUsize::new(0),
            reader: AtomicWaker::new(),
            turned_out: Notify::new(),
        });
        let number = waiting.next;
        waiting.next += 1;
        waiting.half_open.insert(number, Arc::clone(&state));
        self.tell(&waiting);
        drop(waiting);
        self.metrics.connections.inc();
        Some(Arc::new(Seat { crowd: Arc::clone(self), state, number: Mutex::new(number) }))
    }

    /// Turns out the connection that waits longest, to free its descriptor. False when nobody waits.
    pub(super) fn make_room(&self) -> bool {
        self.turn_out_one(&mut self.lock())
    }

    /// Number of open connections.
    pub(super) fn len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn turn_out_one(&self, waiting: &mut Waiting) -> bool {
        let (reason, oldest) = match waiting.half_open.pop_first() {
            Some(oldest) => ("half_open", Some(oldest)),
            None => ("idle", waiting.idle.pop_first()),
        };
        let Some((_, state)) = oldest else { return false };
        state.turned_out.notify_one();
        self.metrics.reject(reason);
        self.tell(waiting);
        true
    }

    fn tell(&self, waiting: &Waiting) {
        self.metrics.half_open.set(i64::try_from(waiting.half_open.len()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection in the [`Crowd`], given back when it is dropped. What has become a stream must
/// keep it, so that it is counted.
#[derive(Debug)]
pub struct Seat {
    crowd: Arc<Crowd>,
    state: Arc<SeatState>,
    /// Under which number it waits, or last did.
    number: Mutex<u64>,
}

impl Seat {
    pub(super) fn phase(&self) -> Phase {
        PHASES[usize::from(self.state.phase.load(Ordering::Acquire))]
    }

    /// A whole request is here: it waits no longer. What is known of its head is returned, once.
    pub(super) fn begin(&self) -> Head {
        self.state.phase.store(Phase::Busy as u8, Ordering::Release);
        self.state.requests.fetch_add(1, Ordering::Relaxed);
        self.leave();
        HEADS[usize::from(self.state.head.swap(Head::Unseen as u8, Ordering::AcqRel))]
    }

    /// How many whole requests there have been.
    pub(super) fn requests(&self) -> u32 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// The request is answered: it waits for the next.
    pub(super) fn finish(&self) {
        if self.phase() != Phase::Busy {
            return;
        }
        self.state.phase.store(Phase::Idle as u8, Ordering::Release);
        // hyper may be reading already, to learn when the peer goes; the time to idle must begin all the same.
        self.state.reader.wake();
        let mut waiting = self.crowd.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.idle.insert(number, Arc::clone(&self.state));
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }

    /// The answer being given is the last; the peer may not know that yet and send on.
    pub(super) fn close(&self) {
        self.state.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.closing.load(Ordering::Relaxed)
    }

    /// The kernel is to hold so many bytes of the answer at most.
    pub(super) fn bound(&self, send_buffer: usize) {
        self.state.send_buffer.store(send_buffer, Ordering::Relaxed);
    }

    /// The bound that was set and not asked for yet.
    pub(super) fn take_bound(&self) -> Option<usize> {
        let is_set = self.state.send_buffer.load(Ordering::Relaxed) > 0;
        is_set.then(|| self.state.send_buffer.swap(0, Ordering::Relaxed))
    }

    /// It has become a stream.
    pub(super) fn upgrade(&self) {
        self.state.phase.store(Phase::Upgraded as u8, Ordering::Release);
    }

    /// Whom to wake when this connection begins to wait.
    pub(super) fn register(&self, reader: &Waker) {
        self.state.reader.register(reader);
    }

    /// Nobody is to be woken any more: a waker keeps its whole task in memory, also one that has ended.
    pub(super) fn forget_reader(&self) {
        drop(self.state.reader.take());
    }

    pub(super) fn note_head(&self, head: Head) {
        self.state.head.store(head as u8, Ordering::Release);
    }

    /// Ends when this connection has to go.
    pub(super) async fn turned_out(&self) {
        loop {
            self.state.turned_out.notified().await;
            // A request may have become whole in the meantime; then it is answered.
            if matches!(self.phase(), Phase::HalfOpen | Phase::Idle) {
                return;
            }
        }
    }

    fn leave(&self) {
        let number = *self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.crowd.lock();
        if waiting.half_open.remove(&number).is_some() {
            self.crowd.tell(&waiting);
        } else {
            waiting.idle.remove(&number);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.crowd.open.fetch_sub(1, Ordering::Relaxed);
        self.crowd.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::registry::Registry;

    fn crowd(limit: usize, half_open: usize) -> Arc<Crowd> {
        Crowd::new(limit, half_open, HttpMetrics::register(&Registry::new()).unwrap())
    }

    fn out(seat: &Seat) -> bool {
        seat.turned_out().now_or_never().is_some()
    }

    #[test]
    fn over_the_half_open_limit_the_oldest_half_open_connection_goes() {
        let crowd = crowd(100, 2);
        let seats: Vec<_> = (0..4).map(|_| crowd.enter().expect("a seat")).collect();
        assert_eq!(seats.iter().map(|seat| out(seat)).collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn over_the_limit_whoever_waits_longest_goes_and_nobody_at_work_does() {
        let crowd = crowd(3, 2);
        let seats: Vec<_> = (0..3)
            .map(|_| {
                let seat = crowd.enter().expect("a seat");
                seat.begin();
                seat
            })
            .collect();
        assert!(crowd.enter().is_none(), "all are at work");
        seats[2].finish();
        seats[0].finish();
        let fourth = crowd.enter().expect("a seat");
        assert_eq!(seats.iter().map(|seat| out(seat)).collect::<Vec<_>>(), [false, false, true]);
        fourth.begin();
        seats[1].upgrade();
        seats[1].finish();
        assert!(crowd.make_room() && out(&seats[0]));
        assert!(!crowd.make_room(), "a stream is not turned out");
    }

    #[test]
    fn a_seat_is_free_once_it_is_dropped() {
        let crowd = crowd(1, 1);
        let seat = crowd.enter().expect("a seat");
        seat.begin();
        assert!(crowd.enter().is_none());
        drop(seat);
        assert_eq!((crowd.len(), crowd.lock().half_open.len()), (0, 0));
        assert!(crowd.enter().is_some());
    }

    #[test]
    fn a_connection_that_became_a_stream_keeps_nothing_of_the_task_it_had() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let (crowd, task) = (crowd(1, 1), Arc::new(Task));
        let seat = crowd.enter().expect("a seat");
        seat.register(&Arc::clone(&task).into());
        assert_eq!(Arc::strong_count(&task), 2);
        seat.forget_reader();
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
