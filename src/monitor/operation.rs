//! Operations: what the application does, counted and timed.
//!
//! Threads share an operation without a lock. What is written for each run lies in two stripes, chosen by the thread, so
//! that two threads in the same operation do not pass one cache line to and fro: measured at two threads, that is three
//! times faster than one stripe (`benches/monitor.rs`). A stripe is 2,176 bytes; more of them would break the bound of 5 KB an
//! operation.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::config::Thresholds;
use super::durations::{self, BUCKETS, Durations, mean_ms, milliseconds, nanoseconds, ratio};
use super::run::{OK, Packed, Unpacked};
use super::snapshot::{KindCount, OperationFigures, Recent};
use crate::clock::{Clock, Moment};
use crate::series::key;

/// How many runs are remembered.
pub(super) const LAST: usize = 100;

/// How many kinds of error are counted apart for an operation; what is beyond is `other`.
pub const MAX_ERROR_KINDS: usize = 8;

/// Longest name of an operation or a kind, in bytes; the rest is cut off.
pub const MAX_NAME: usize = 100;

/// What is beyond a bound is counted under this name.
pub const OTHER: &str = "other";

const STRIPES: usize = 2;

/// Number of the outcome that is an error of no kept kind; the kinds are before it.
const OTHER_ERROR: u8 = FIRST_ERROR + MAX_ERROR_KINDS as u8;
const FIRST_ERROR: u8 = OK + 1;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Well.
    Ok,
    /// With an error of this kind: a word such as `timeout`, never a text with values in it.
    Error(&'a str),
}

impl<'a> Outcome<'a> {
    /// What a result says; `kind` names its error.
    pub fn of<T, E>(result: &'a Result<T, E>, kind: impl FnOnce(&'a E) -> &'a str) -> Outcome<'a> {
        match result {
            Ok(_) => Outcome::Ok,
            Err(error) => Outcome::Error(kind(error)),
        }
    }
}

/// Something that the application does again and again. Clones are the same operation; keep one where it is used.
///
/// ```
/// # use gaugecast::{monitor::{Config, Monitor, Outcome}, registry::{RegisterError, Registry}};
/// let monitor = Monitor::new(&Registry::new(), Config::default())?;
/// let parse = monitor.operation("parse");
///
/// let run = parse.start();
/// let number: Result<u8, _> = "x".parse();
/// run.finish(Outcome::of(&number, |_| "not_a_number"));
///
/// assert_eq!((parse.count(), parse.errors()), (1, 1));
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    clock: Clock,
    name: Box<str>,
    /// Rendered, with braces.
    pub(super) labels: Box<str>,
    stripes: [Stripe; STRIPES],
    kinds: [OnceLock<Box<str>>; MAX_ERROR_KINDS],
    /// By kind, and of other kinds.
    errors: [AtomicU64; MAX_ERROR_KINDS + 1],
    /// Nanoseconds; `u64::MAX` for none of its own.
    mean_threshold: AtomicU64,
    /// In thousandths; `u64::MAX` for none of its own.
    error_threshold: AtomicU64,
}

/// Begins a cache line, so that two stripes have none in common.
#[repr(align(64))]
struct Stripe {
    started: AtomicU64,
    ended: AtomicU64,
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
    durations: [AtomicU64; BUCKETS],
    runs: [AtomicU64; LAST],
}

impl Stripe {
    fn new() -> Self {
        Stripe {
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
            durations: [const { AtomicU64::new(0) }; BUCKETS],
            runs: [const { AtomicU64::new(0) }; LAST],
        }
    }

    #[inline]
    fn end(&self, at: Duration, ns: u64, outcome: u8) {
        self.durations[durations::bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        // Mostly neither is new, and a load costs less than an exchange.
        if ns < self.min_ns.load(Ordering::Relaxed) {
            self.min_ns.fetch_min(ns, Ordering::Relaxed);
        }
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(ns, Ordering::Relaxed);
        }
        let ended = self.ended.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(ended % LAST as u64).unwrap_or(0);
        self.runs[place].store(Packed::new(at, ns, outcome).0, Ordering::Relaxed);
    }
}

/// Gives threads their stripes in turn.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| match stripe.get() {
        usize::MAX => {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(next);
            next
        }
        known => known,
    })
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Operation {
    pub(super) fn new(name: &str, clock: Clock) -> Self {
        let inner = Inner {
            clock,
            name: name.into(),
            labels: labels(&[("operation", name)]),
            stripes: std::array::from_fn(|_| Stripe::new()),
            kinds: [const { OnceLock::new() }; MAX_ERROR_KINDS],
            errors: [const { AtomicU64::new(0) }; MAX_ERROR_KINDS + 1],
            mean_threshold: AtomicU64::new(u64::MAX),
            error_threshold: AtomicU64::new(u64::MAX),
        };
        Operation { inner: Arc::new(inner) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Begins a run, which ends with the guard: well if it is dropped, with the error `panic` if a panic drops it.
    #[inline]
    #[must_use = "the run ends where the guard is dropped"]
    pub fn start(&self) -> Guard<&Operation> {
        Guard::begin(self)
    }

    /// The same, with a guard that can be kept anywhere.
    #[inline]
    #[must_use = "the run ends where the guard is dropped"]
    pub fn start_owned(self) -> OwnedGuard {
        Guard::begin(self)
    }

    /// Runs and times `work`.
    #[inline]
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let _guard = self.start();
        work()
    }

    /// Awaits and times `work`; also when it is cancelled.
    pub async fn time_async<T>(&self, work: impl Future<Output = T>) -> T {
        let _guard = self.start();
        work.await
    }

    /// Counts a run that was timed elsewhere and ends now.
    pub fn record(&self, duration: Duration, outcome: Outcome<'_>) {
        self.record_at(duration, outcome, self.inner.clock.now());
    }

    /// Counts a run that was timed elsewhere and ended then.
    pub fn record_at(&self, duration: Duration, outcome: Outcome<'_>, at: Moment) {
        let outcome = self.number(outcome);
        self.count_error(outcome);
        let stripe = &self.inner.stripes[stripe()];
        stripe.started.fetch_add(1, Ordering::Relaxed);
        stripe.end(at.since_start, nanoseconds(duration), outcome);
    }

    /// Gives it thresholds of its own: its mean, and its errors in thousandths. The other two thresholds are for the
    /// process as a whole and have no effect here.
    pub fn set_thresholds(&self, thresholds: &Thresholds) {
        let mean = nanoseconds(thresholds.mean_response).min(u64::MAX - 1);
        self.inner.mean_threshold.store(mean, Ordering::Relaxed);
        self.inner.error_threshold.store(u64::from(thresholds.errors_per_thousand), Ordering::Relaxed);
    }

    /// How often it ran to its end.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.stripes.iter().map(|stripe| stripe.ended.load(Ordering::Relaxed)).sum()
    }

    /// How often it failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.inner.errors.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Running now.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        // The ends first: a run that comes between the two readings is then one too many, never one too few.
        let ended = self.count();
        let started: u64 =
            self.inner.stripes.iter().map(|stripe| stripe.started.load(Ordering::Relaxed)).sum();
        started.saturating_sub(ended)
    }

    fn number(&self, outcome: Outcome<'_>) -> u8 {
        let Outcome::Error(kind) = outcome else { return OK };
        let kind = cut(kind, MAX_NAME);
        if kind == OTHER || kind.is_empty() {
            return OTHER_ERROR;
        }
        for (slot, number) in self.inner.kinds.iter().zip(FIRST_ERROR..) {
            if **slot.get_or_init(|| kind.into()) == *kind {
                return number;
            }
        }
        OTHER_ERROR
    }

    #[inline]
    fn count_error(&self, outcome: u8) {
        if outcome != OK {
            self.inner.errors[usize::from(outcome - FIRST_ERROR)].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn kind(&self, outcome: u8) -> Option<&str> {
        let at = outcome.checked_sub(FIRST_ERROR)?;
        Some(self.inner.kinds.get(usize::from(at)).and_then(OnceLock::get).map_or(OTHER, |kind| kind))
    }

    pub(super) fn labels(&self) -> &str {
        &self.inner.labels
    }

    /// Kinds of errors that have been, and how often each.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&str, u64)> {
        let counts = (FIRST_ERROR..).zip(&self.inner.errors);
        counts
            .map(|(number, count)| (self.kind(number).unwrap_or(OTHER), count.load(Ordering::Relaxed)))
            .filter(|&(_, count)| count > 0)
    }

    pub(super) fn sum_ns(&self) -> u64 {
        self.inner
            .stripes
            .iter()
            .fold(0, |sum: u64, stripe| sum.wrapping_add(stripe.sum_ns.load(Ordering::Relaxed)))
    }

    pub(super) fn durations(&self) -> Durations {
        let mut sum = Durations::default();
        for stripe in &self.inner.stripes {
            sum.add(&stripe.durations);
            sum.min_ns = sum.min_ns.min(stripe.min_ns.load(Ordering::Relaxed));
            sum.max_ns = sum.max_ns.max(stripe.max_ns.load(Ordering::Relaxed));
        }
        sum.sum_ns = self.sum_ns();
        sum
    }

    /// The last runs, newest first.
    pub(super) fn runs(&self, now: Duration) -> Vec<(Unpacked, Option<&str>)> {
        let packed = self.inner.stripes.iter().flat_map(|stripe| &stripe.runs);
        let mut runs: Vec<_> =
            packed.filter_map(|run| Packed(run.load(Ordering::Relaxed)).unpack(now)).collect();
        runs.sort_by_key(|run| run.age);
        runs.truncate(LAST);
        runs.into_iter().map(|run| (run, self.kind(run.outcome))).collect()
    }

    pub(super) fn has_thresholds(&self) -> bool {
        self.mean_threshold().is_some()
    }

    fn mean_threshold(&self) -> Option<Duration> {
        let ns = self.inner.mean_threshold.load(Ordering::Relaxed);
        (ns != u64::MAX).then(|| Duration::from_nanos(ns))
    }

    #[allow(clippy::cast_precision_loss)]
    fn error_threshold(&self) -> Option<f64> {
        let thousandths = self.inner.error_threshold.load(Ordering::Relaxed);
        (thousandths != u64::MAX).then(|| thousandths as f64 / 1000.0)
    }

    pub(super) fn figures(
        &self,
        runs: &[(Unpacked, Option<&str>)],
        now: &Moment,
        window: Duration,
    ) -> OperationFigures {
        let durations = self.durations();
        let errors = self.errors().min(durations.count);
        let recent: Vec<_> = runs.iter().filter(|(run, _)| run.age <= window).collect();
        let recent_ns = recent.iter().map(|(run, _)| run.duration_ns);
        OperationFigures {
            name: self.name().to_owned(),
            count: durations.count,
            errors,
            error_ratio: ratio(errors, durations.count),
            in_flight: self.in_flight(),
            total_ms: milliseconds(durations.sum_ns),
            min_ms: durations.min_ms(),
            mean_ms: durations.mean_ms(),
            max_ms: milliseconds(durations.max_ns),
            p50_ms: durations.quantile_ms(0.5),
            p95_ms: durations.quantile_ms(0.95),
            p99_ms: durations.quantile_ms(0.99),
            errors_by_kind: by_count(self.kinds()),
            recent: Recent {
                count: recent.len() as u64,
                errors: recent.iter().filter(|(_, error)| error.is_some()).count() as u64,
                mean_ms: mean_ms(recent_ns.clone().fold(0, u64::saturating_add), recent.len() as u64),
                max_ms: milliseconds(recent_ns.max().unwrap_or(0)),
            },
            mean_threshold_ms: self.mean_threshold().map(|mean| milliseconds(nanoseconds(mean))),
            error_threshold: self.error_threshold(),
            last_ms: runs.first().map(|(run, _)| ended_ms(run.age, now)),
        }
    }
}

/// A run that has begun.
#[derive(Debug)]
#[must_use = "the run ends where the guard is dropped"]
pub struct Guard<O: Borrow<Operation>> {
    operation: O,
    /// The one in which it was started, whichever thread ends it.
    stripe: usize,
    outcome: u8,
    began: Instant,
}

/// A run that has begun, with its operation.
pub type OwnedGuard = Guard<Operation>;

impl<O: Borrow<Operation>> Guard<O> {
    #[inline]
    fn begin(operation: O) -> Self {
        let stripe = stripe();
        operation.borrow().inner.stripes[stripe].started.fetch_add(1, Ordering::Relaxed);
        Guard { operation, stripe, outcome: OK, began: Instant::now() }
    }

    /// Ends the run with an error of this kind.
    pub fn fail(self, kind: &str) {
        self.finish(Outcome::Error(kind));
    }

    /// Ends the run.
    pub fn finish(mut self, outcome: Outcome<'_>) {
        self.mark(outcome);
    }

    /// Says how the run will have ended; it goes on.
    pub fn mark(&mut self, outcome: Outcome<'_>) {
        self.outcome = self.operation.borrow().number(outcome);
    }
}

impl<O: Borrow<Operation>> Drop for Guard<O> {
    #[inline]
    fn drop(&mut self) {
        let now = Instant::now();
        let operation = self.operation.borrow();
        if self.outcome == OK && std::thread::panicking() {
            self.outcome = operation.number(Outcome::Error("panic"));
        }
        operation.count_error(self.outcome);
        let ns = nanoseconds(now.saturating_duration_since(self.began));
        let inner = &*operation.inner;
        inner.stripes[self.stripe].end(inner.clock.since_start(now), ns, self.outcome);
    }
}

/// The label set as text, with braces.
pub(super) fn labels(pairs: &[(&str, &str)]) -> Box<str> {
    let rendered = key::render("x", pairs);
    key::label_text(&rendered).into()
}

/// At most so many bytes of a text, whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Most first, then by name.
pub(super) fn by_count<'a>(kinds: impl Iterator<Item = (&'a str, u64)>) -> Vec<KindCount> {
    let mut kinds: Vec<_> = kinds.map(|(kind, count)| KindCount { kind: kind.to_owned(), count }).collect();
    kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
    kinds
}

/// Unix milliseconds of what was so long ago.
pub(super) fn ended_ms(age: Duration, now: &Moment) -> i64 {
    now.unix_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
