//! The fan-out: loops that write to every client what is due to it.
//!
//! The cost of a broadcast is the system call by which a client's socket takes it, and everything else must stay
//! small beside that. So no task is woken for a client that keeps up: one loop for each worker of the runtime goes
//! over its own list of clients at each [`Round`] and writes ready, shared bytes straight to their sockets. It goes
//! at most once per `stream.flush_interval`; several frames that are due by then leave in one write (F50). After
//! [`BATCH`] clients it lets others run: the hub with the next tick, readers, requests.
//!
//! What a socket does not take stays with its client, whose own task writes it on; the loop passes by until that is
//! done. So a client that reads slowly, or not at all, costs the others nothing.
//!
//! A client is held weakly: when its task ends it is gone, and its socket closed, whatever the loop is doing. The
//! loops end when the hub does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::hub::Round;
use super::link::{Link, Swept, Tally};
use super::metrics::Metrics;
use crate::clock::Clock;

/// Clients written to before others may run: about half a millisecond.
const BATCH: usize = 128;

/// Clients whose memory is fetched at once.
const AHEAD: usize = 16;

/// Arrivals after which those that have gone again meanwhile are forgotten, for ticks that are far apart.
const MANY: usize = 1024;

/// All loops.
#[derive(Debug)]
pub(super) struct Fanout {
    lists: Box<[Arc<List>]>,
    tasks: TaskTracker,
}

/// The clients of one loop.
#[derive(Debug, Default)]
struct List {
    /// Those that came since the last sweep.
    arrived: Mutex<Vec<Weak<Link>>>,
    /// How many are connected.
    clients: AtomicUsize,
}

impl List {
    fn arrived(&self) -> MutexGuard<'_, Vec<Weak<Link>>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in a list; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    list: Arc<List>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.list.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fanout {
    /// Starts a loop for each worker of the current runtime. `flush` is the least time from one sweep to the next.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn start(
        flush: Duration,
        rounds: &watch::Receiver<Arc<Round>>,
        clock: Clock,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let workers = tokio::runtime::Handle::current().metrics().num_workers();
        let start = |_| {
            let list = Arc::<List>::default();
            let sweeper = Sweeper {
                list: Arc::clone(&list),
                clients: Vec::new(),
                taken: Vec::new(),
                tally: Tally::default(),
                clock,
                metrics: Arc::clone(metrics),
            };
            tasks.spawn(sweeper.run(rounds.clone(), flush));
            list
        };
        let lists = (0..workers.max(1)).map(start).collect();
        tasks.close();
        Fanout { lists, tasks }
    }

    /// Waits until all loops have ended, as they do when the hub has.
    pub(super) async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// Takes a client in, to be written to from the next round on; into the list that has the fewest.
    pub(super) fn join(&self, link: &Arc<Link>) -> Place {
        let list = self.lists.iter().min_by_key(|list| list.clients.load(Ordering::Relaxed));
        let list = Arc::clone(list.expect("there is a loop for each worker, and at least one"));
        list.clients.fetch_add(1, Ordering::Relaxed);
        let mut arrived = list.arrived();
        arrived.push(Arc::downgrade(link));
        if arrived.len().is_multiple_of(MANY) {
            arrived.retain(|link| link.strong_count() > 0);
        }
        drop(arrived);
        Place { list }
    }
}

/// One loop.
struct Sweeper {
    list: Arc<List>,
    clients: Vec<Weak<Link>>,
    /// Those that are to be swept once more.
    taken: Vec<Weak<Link>>,
    tally: Tally,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Sweeper {
    async fn run(mut self, mut rounds: watch::Receiver<Arc<Round>>, flush: Duration) {
        let mut next = tokio::time::Instant::now();
        // The hub's task is the one that publishes rounds.
        while rounds.changed().await.is_ok() {
            if !flush.is_zero() {
                tokio::time::sleep_until(next).await;
                next = tokio::time::Instant::now() + flush;
            }
            let round = Arc::clone(&rounds.borrow_and_update());
            self.sweep(&round).await;
        }
    }

    /// Goes over all clients once.
    async fn sweep(&mut self, round: &Round) {
        self.clients.append(&mut self.list.arrived());
        if self.clients.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut at = 0;
        while at < self.clients.len() {
            let now = self.clock.now();
            let end = at + BATCH;
            while at < end.min(self.clients.len()) {
                if at.is_multiple_of(AHEAD) {
                    fetch(&self.clients[at..(at + AHEAD).min(self.clients.len())]);
                }
                let link = self.clients[at].upgrade();
                match link.map(|link| link.sweep(round, &now, &mut self.tally, false)) {
                    Some(Swept::Stays) => at += 1,
                    Some(Swept::Taken) => {
                        self.taken.push(Weak::clone(&self.clients[at]));
                        at += 1;
                    }
                    Some(Swept::Leaves) | None => drop(self.clients.swap_remove(at)),
                }
            }
            self.tally.publish(&self.metrics, &self.clock.now());
            yield_now().await;
        }
        let now = self.clock.now();
        for link in self.taken.drain(..).filter_map(|link| link.upgrade()) {
            link.sweep(round, &now, &mut self.tally, true);
        }
        self.tally.end(&self.metrics, &now);
        self.metrics.sweep.observe_duration(started.elapsed());
    }
}

/// Brings clients into the processor's cache together. One by one, each would be waited for.
fn fetch(clients: &[Weak<Link>]) {
    std::hint::black_box(clients.iter().map(Weak::strong_count).sum::<usize>());
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::frame;
    use super::super::link::Socket;
    use super::super::link::tests::{link, round, tcp};
    use super::*;
    use crate::registry::Registry;

    struct Bench {
        fanout: Fanout,
        publish: watch::Sender<Arc<Round>>,
        metrics: Arc<Metrics>,
    }

    fn start(flush: Duration) -> Bench {
        let (publish, rounds) = watch::channel(Arc::default());
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let fanout = Fanout::start(flush, &rounds, Clock::start(), &metrics);
        Bench { fanout, publish, metrics }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_worker_has_a_loop_with_its_share_of_the_clients_and_all_end_with_the_hub() {
        let bench = start(Duration::ZERO);
        let mut clients = Vec::new();
        for _ in 0..6 {
            let (near, far) = tcp().await;
            let link = link(Socket::Tcp(near));
            clients.push((bench.fanout.join(&link), link, far));
        }
        let counts = || -> Vec<usize> {
            bench.fanout.lists.iter().map(|list| list.clients.load(Ordering::Relaxed)).collect()
        };
        assert_eq!(counts(), [3, 3]);
        let event = frame::text(b"to all");
        bench.publish.send_replace(Arc::new(round(std::slice::from_ref(&event))));
        for (.., far) in &mut clients {
            let mut got = vec![0; event.bytes.len()];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(got, event.bytes);
        }
        drop(clients);
        assert_eq!(counts(), [0, 0]);
        drop(bench.publish);
        bench.fanout.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn f50_what_comes_within_the_flush_interval_leaves_in_one_write() {
        let bench = start(Duration::from_millis(10));
        let (near, mut far) = tcp().await;
        let link = link(Socket::Tcp(near));
        let _place = bench.fanout.join(&link);
        let events: Vec<_> = ["one", "two", "three"].map(|text| frame::text(text.as_bytes())).into();
        let all: Vec<u8> = events.iter().flat_map(|event| event.bytes.to_vec()).collect();
        let mut got = vec![0; all.len()];
        let first = events[0].bytes.len();
        bench.publish.send_replace(Arc::new(round(&events[..1])));
        far.read_exact(&mut got[..first]).await.unwrap();
        for count in [2, 3] {
            bench.publish.send_replace(Arc::new(round(&events[..count])));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.metrics.writes.get(), 1, "the interval has not passed");
        // Nobody has anything to do now but to wait, so the paused clock goes on by itself.
        far.read_exact(&mut got[first..]).await.unwrap();
        assert_eq!((got, bench.metrics.writes.get()), (all, 2));
    }

    #[tokio::test]
    async fn a_client_that_is_gone_is_forgotten_and_its_socket_closed_whatever_the_loop_does() {
        let bench = start(Duration::from_secs(1));
        let (near, mut far) = tcp().await;
        let client = link(Socket::Tcp(near));
        let place = bench.fanout.join(&client);
        drop((place, client));
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "without a round");
        for _ in 0..2 * MANY {
            let (near, _) = tokio::io::duplex(1);
            drop(bench.fanout.join(&link(Socket::other(near))));
        }
        let arrived: usize = bench.fanout.lists.iter().map(|list| list.arrived().len()).sum();
        assert!(arrived <= MANY, "{arrived}");
    }
}
