//! Jobs one after another on a thread of their own, and what happens when one of them hangs.
//!
//! Reading `/proc` is quick, so a thread for each collector and tick would cost more than the reading. A
//! [`Lane`] runs its jobs in order on **one** thread. Whoever waits for the answers decides how long; a job that
//! outstays that is [abandoned](Lane::abandon): it keeps the thread it is on, a new thread takes over the
//! queue, and the old one ends when its job returns. A job travels with its answer, so one that has not come
//! back cannot be started again: there is never more than one blocked thread for a job.
//!
//! A panic ends at the job: it is its answer, and the thread goes on.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something to run.
pub(crate) trait Job: Send + 'static {
    /// What comes of it.
    type Answer: Send;

    /// Does it. May block.
    fn run(&mut self) -> Self::Answer;
}

/// A job that came back.
pub(crate) struct Done<J: Job> {
    /// The ticket it was sent with.
    pub(crate) ticket: u64,
    /// The job, to be sent again.
    pub(crate) job: J,
    /// What came of it, or the message of its panic.
    pub(crate) answer: Result<J::Answer, String>,
    /// How long it ran.
    pub(crate) took: Duration,
}

/// One thread at a time for a queue of jobs. Dropping it ends the thread as soon as its job returns.
pub(crate) struct Lane<J: Job> {
    shared: Arc<Shared<J>>,
}

struct Shared<J: Job> {
    name: &'static str,
    state: Mutex<State<J>>,
    work: Condvar,
    home: Box<dyn Fn(Done<J>) + Send + Sync>,
}

struct State<J> {
    queue: VecDeque<(u64, J)>,
    /// Ticket of the job that the keeper is at.
    running: Option<u64>,
    /// Number of the thread that owns the queue; 0 when there is none.
    keeper: u64,
    threads: u64,
    /// Waiting jobs that were abandoned before it was their turn.
    left: Vec<u64>,
}

impl<J: Job> Lane<J> {
    /// A lane whose threads are called `name` and bring each job back through `home`.
    pub(crate) fn new(name: &'static str, home: impl Fn(Done<J>) + Send + Sync + 'static) -> Self {
        let state = State { queue: VecDeque::new(), running: None, keeper: 0, threads: 0, left: Vec::new() };
        let shared = Shared { name, state: Mutex::new(state), work: Condvar::new(), home: Box::new(home) };
        Lane { shared: Arc::new(shared) }
    }

    /// Queues jobs under tickets of the caller's choice. When no thread can be had they come home at once
    /// with that as their answer.
    pub(crate) fn send(&self, jobs: impl IntoIterator<Item = (u64, J)>) {
        let mut state = self.shared.lock();
        state.queue.extend(jobs);
        if state.keeper == 0 {
            self.shared.spawn(&mut state);
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// Leaves a thread to the job of that ticket and goes on with the others on a new one: now if it runs, as
    /// soon as it is its turn if it waits. A job that is in neither state has just returned, and its answer is
    /// on the way. Jobs sent before must have been waited for or abandoned before this one is.
    pub(crate) fn abandon(&self, ticket: u64) {
        let mut state = self.shared.lock();
        let waits = state.queue.iter().any(|(waiting, _)| *waiting == ticket);
        match state.running {
            Some(running) if running == ticket || waits => self.shared.spawn(&mut state),
            None if waits => state.left.push(ticket),
            _ => {}
        }
    }
}

impl<J: Job> Drop for Lane<J> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.keeper = 0;
        state.queue.clear();
        drop(state);
        self.shared.work.notify_all();
    }
}

impl<J: Job> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new thread the keeper of the queue.
    fn spawn(self: &Arc<Self>, state: &mut State<J>) {
        state.threads += 1;
        state.keeper = state.threads;
        state.running = None;
        let (shared, me) = (Arc::clone(self), state.keeper);
        let thread = std::thread::Builder::new().name(self.name.into());
        if let Err(error) = thread.spawn(move || shared.keep(me)) {
            state.keeper = 0;
            for (ticket, job) in state.queue.drain(..) {
                let answer = Err(format!("no thread to run it on: {error}"));
                (self.home)(Done { ticket, job, answer, took: Duration::ZERO });
            }
        }
    }

    fn keep(self: &Arc<Self>, me: u64) {
        while let Some((ticket, mut job)) = self.next(me) {
            let started = Instant::now();
            // A job that panicked is whole enough to be asked again: what it holds are buffers and counters.
            let answer = catch_unwind(AssertUnwindSafe(|| job.run())).map_err(message);
            (self.home)(Done { ticket, job, answer, took: started.elapsed() });
        }
    }

    fn next(self: &Arc<Self>, me: u64) -> Option<(u64, J)> {
        let mut state = self.lock();
        if state.keeper == me {
            state.running = None;
        }
        loop {
            if state.keeper != me {
                return None;
            }
            if let Some((ticket, job)) = state.queue.pop_front() {
                match state.left.iter().position(|left| *left == ticket) {
                    Some(place) => {
                        state.left.swap_remove(place);
                        self.spawn(&mut state);
                    }
                    None => state.running = Some(ticket),
                }
                return Some((ticket, job));
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    /// Says on which thread it runs; waits for its gate first, if it has one.
    struct Ask(Option<mpsc::Receiver<()>>);

    impl Job for Ask {
        type Answer = ThreadId;
        fn run(&mut self) -> ThreadId {
            if let Some(gate) = &self.0 {
                gate.recv().expect("the test opens the gate");
            }
            std::thread::current().id()
        }
    }

    fn lane<J: Job>() -> (Lane<J>, mpsc::Receiver<Done<J>>)
    where
        J::Answer: Sync,
    {
        let (home, answers) = mpsc::channel();
        (Lane::new("test", move |done| drop(home.send(done))), answers)
    }

    #[test]
    fn jobs_run_in_order_on_one_thread() {
        let (lane, answers) = lane();
        lane.send([(1, Ask(None)), (2, Ask(None))]);
        let first = answers.recv().unwrap();
        let second = answers.recv().unwrap();
        lane.send([(3, first.job)]);
        let third = answers.recv().unwrap();
        assert_eq!([first.ticket, second.ticket, third.ticket], [1, 2, 3]);
        assert_eq!(first.answer, second.answer);
        assert_eq!(first.answer, third.answer);
    }

    #[test]
    fn an_abandoned_job_keeps_its_thread_and_the_others_go_on_with_another() {
        let (lane, answers) = lane();
        let (open, gate) = mpsc::channel();
        lane.send([(1, Ask(Some(gate))), (2, Ask(None))]);
        while lane.shared.lock().running != Some(1) {
            std::thread::yield_now();
        }
        lane.abandon(1);
        let second = answers.recv().unwrap();
        assert_eq!(second.ticket, 2);
        lane.abandon(1); // once more is one too many: nothing happens
        open.send(()).unwrap();
        let first = answers.recv().unwrap();
        assert_eq!(first.ticket, 1);
        assert_ne!(first.answer, second.answer);
        assert_eq!(lane.shared.lock().threads, 2);
    }

    #[test]
    fn a_job_abandoned_before_its_turn_holds_up_none_of_those_behind_it() {
        let (lane, answers) = lane();
        let (open, gate) = mpsc::channel();
        let (open_late, late) = mpsc::channel();
        lane.send([(1, Ask(Some(gate))), (2, Ask(Some(late))), (3, Ask(None))]);
        while lane.shared.lock().running != Some(1) {
            std::thread::yield_now();
        }
        lane.shared.lock().left.push(2); // what abandoning it between two jobs does
        open.send(()).unwrap();
        assert_eq!([answers.recv().unwrap().ticket, answers.recv().unwrap().ticket], [1, 3]);
        open_late.send(()).unwrap();
        assert_eq!(answers.recv().unwrap().ticket, 2);
    }

    #[test]
    fn a_waiting_job_is_freed_from_the_one_that_holds_the_thread() {
        let (lane, answers) = lane();
        let (open, gate) = mpsc::channel();
        lane.send([(1, Ask(Some(gate))), (2, Ask(None))]);
        while lane.shared.lock().running != Some(1) {
            std::thread::yield_now();
        }
        lane.abandon(2);
        assert_eq!(answers.recv().unwrap().ticket, 2);
        open.send(()).unwrap();
        assert_eq!(answers.recv().unwrap().ticket, 1);
    }

    struct Panic;

    impl Job for Panic {
        type Answer = ();
        fn run(&mut self) {
            panic!("out of cheese");
        }
    }

    #[test]
    fn a_panic_is_an_answer_and_the_thread_lives() {
        let (lane, answers) = lane();
        lane.send([(1, Panic), (2, Panic)]);
        assert_eq!(answers.recv().unwrap().answer, Err("out of cheese".to_owned()));
        assert_eq!(answers.recv().unwrap().ticket, 2);
        assert_eq!(lane.shared.lock().threads, 1);
    }
}
