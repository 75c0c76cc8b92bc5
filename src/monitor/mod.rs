//! The API by which an application tells how it does: operations, security events, connections, allocations.
//!
//! A [`Monitor`] belongs to a [`Registry`], which exposes what it counts: `gaugecast_operations_total{operation}` and the
//! others that [docs/monitor.md](https://github.com/gaugecast/gaugecast/blob/main/docs/monitor.md) lists. [`Monitor::new`] gives the one
//! of the registry: so the application makes it, and a server started with the same registry finds it.
//!
//! - [`Operation`]: something done again and again, timed by a [`Guard`]. Counting a run takes no lock and no memory.
//! - [`Security`], [`Connection`], [`Allocated`]: what there is to tell besides.
//! - [`Snapshot`]: all of it at one moment, and a [`Verdict`] for each [`Criterion`].
//!
//! The core is told the time; a guard and the task of [`Sampling`] are its rim. In a running server the task reads the figures of
//! process and host from the ticks and judges every 5 s ([`Config::interval`]); without a server
//! [`Monitor::sample`] does.
//!
//! ```
//! use gaugecast::monitor::{Config, Monitor};
//! use gaugecast::registry::Registry;
//!
//! let registry = Registry::new();
//! let monitor = Monitor::new(&registry, Config::default())?;
//!
//! let send = monitor.operation("send_message"); // keep it where it is used
//! let run = send.start();
//! // … the work …
//! run.fail("room_full"); // or just let it go out of scope: that is a success
//!
//! let snapshot = monitor.snapshot(monitor.now());
//! assert_eq!(snapshot.operations[0].errors_by_kind[0].kind, "room_full");
//! # Ok::<(), gaugecast::registry::RegisterError>(())
//! ```

pub mod allocation;
mod config;
mod connections;
mod durations;
mod expose;
#[cfg(feature = "metrics-facade")]
pub mod facade;
mod operation;
mod run;
mod sampling;
mod security;
mod snapshot;
#[cfg(feature = "tracing-layer")]
pub mod spans;
mod system;
#[cfg(test)]
mod tests;
mod timed;
#[cfg(feature = "tower")]
pub mod tower;
mod verdict;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

#[cfg(feature = "allocator")]
pub use allocation::Counting;
pub use allocation::{Allocated, LeakScope};
pub use config::{Config, Thresholds};
pub use connections::Connection;
pub use operation::{Guard, MAX_ERROR_KINDS, MAX_NAME, OTHER, Operation, Outcome, OwnedGuard};
pub use sampling::Sampling;
pub use security::{MAX_DETAIL, MAX_SOURCE, Security};
pub use snapshot::{
    AllocationFigures, ConnectionFigures, Criterion, Errors, Failure, KindCount, OperationFigures, Overview,
    Recent, Run, ScopeFigures, SecurityEvent, SecurityFigures, SecurityKind, SecurityKindFigures, Snapshot,
    SystemFigures, Verdict, WindowFigures,
};
pub use verdict::judge;

use crate::clock::{Clock, Moment};
use crate::registry::{RegisterError, Registry};
use crate::series::Tick;
use connections::Connections;
use durations::{mean_ms, milliseconds, ratio};
use operation::{LAST, by_count, cut, ended_ms};
use sampling::{Reading, Readings, Runs};

/// How many results of scopes are kept.
const SCOPES: usize = 20;

/// What an application tells of itself. A cheap handle; clones are the same monitor.
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    config: OnceLock<Config>,
    table: RwLock<Table>,
    /// Lookups that found no place.
    beyond: AtomicU64,
    security: Security,
    connections: Arc<Connections>,
    allocations: OnceLock<Box<dyn Fn() -> Allocated + Send + Sync>>,
    /// The last verdicts, in the order of [`Criterion::ALL`]: 0 fails, 1 holds, else unknown.
    judged: [AtomicU8; Criterion::ALL.len()],
    readings: Mutex<Readings>,
    system: Mutex<Option<(SystemFigures, system::Counted)>>,
    /// Newest first.
    scopes: Mutex<Vec<ScopeFigures>>,
}

/// The operations, also in the order in which they came.
#[derive(Default)]
struct Table {
    by_name: HashMap<Box<str>, usize>,
    operations: Vec<Operation>,
    /// What is beyond the bound; it is the last of the operations from then on, and not found by its place.
    other: Option<Operation>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("operations", &self.operations().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("operations", &self.shared.operations().len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn new() -> Self {
        let clock = Clock::start();
        let first = Reading { at: clock.now().since_start, ..Reading::default() };
        Shared {
            clock,
            config: OnceLock::new(),
            table: RwLock::default(),
            beyond: AtomicU64::new(0),
            security: Security::new(clock),
            connections: Arc::new(Connections::new()),
            allocations: OnceLock::new(),
            judged: std::array::from_fn(|_| AtomicU8::new(u8::MAX)),
            readings: Mutex::new(Readings::new(first)),
            system: Mutex::default(),
            scopes: Mutex::default(),
        }
    }

    /// All operations, in the order in which they came.
    fn operations(&self) -> Vec<Operation> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.operations.iter().chain(&table.other).cloned().collect()
    }

    /// Has anything been told?
    fn is_used(&self) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        !table.operations.is_empty()
            || table.other.is_some()
            || self.connections.total.load(Ordering::Relaxed) > 0
            || SecurityKind::ALL.iter().any(|kind| self.security.count(*kind) > 0)
    }

    fn allocated(&self) -> Option<Allocated> {
        self.allocations.get().map(|read| read())
    }

    fn judged(&self) -> [Option<bool>; Criterion::ALL.len()] {
        std::array::from_fn(|at| match self.judged[at].load(Ordering::Relaxed) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }
}

impl Monitor {
    /// The monitor of this registry: the one it has, or a new one with this configuration. Whoever comes first decides on
    /// the configuration, so an application that embeds a server takes that of the server's.
    ///
    /// # Errors
    /// The registry holds a metric under a name of the monitor's.
    pub fn new(registry: &Registry, config: Config) -> Result<Self, RegisterError> {
        let shared = expose::root(registry)?;
        expose::register(&shared, registry)?;
        shared.config.get_or_init(|| config);
        Ok(Monitor { shared })
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.shared.config.get_or_init(Config::default)
    }

    /// The time, for [`snapshot`](Self::snapshot). That of any other [`Clock`] of this process will do as well.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// The operation of this name, made if need be: a word in snake case, such as `send_message`; those on a database begin with
    /// `db_`. Over [`Config::max_operations`] it is `other`. Keep it where it is used: this looks it up.
    #[must_use]
    pub fn operation(&self, name: &str) -> Operation {
        let name = cut(name, MAX_NAME);
        let table = self.table();
        if let Some(&at) = table.by_name.get(name) {
            return table.operations[at].clone();
        }
        drop(table);
        let mut table = self.shared.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&at) = table.by_name.get(name) {
            return table.operations[at].clone();
        }
        let clock = self.shared.clock;
        if name == OTHER || name.is_empty() || table.operations.len() >= self.config().max_operations {
            if name != OTHER {
                self.shared.beyond.fetch_add(1, Ordering::Relaxed);
            }
            return table.other.get_or_insert_with(|| Operation::new(OTHER, clock)).clone();
        }
        let operation = Operation::new(name, clock);
        let at = table.operations.len();
        table.by_name.insert(name.into(), at);
        table.operations.push(operation.clone());
        operation
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.shared.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where events of security are told.
    #[must_use]
    pub fn security(&self) -> &Security {
        &self.shared.security
    }

    /// A connection has been opened; it is open until what this gives is dropped.
    #[must_use = "the connection ends where this is dropped"]
    pub fn connected(&self) -> Connection {
        Connection::open(Arc::clone(&self.shared.connections))
    }

    /// Says how allocations are read, once: `read` gives what the program's counting allocator has counted so far. It is
    /// called at every tick and reading, and must be quick. Returns `false`, and changes nothing, if that is known already.
    pub fn watch_allocations(&self, read: impl Fn() -> Allocated + Send + Sync + 'static) -> bool {
        let first = read();
        let known = self.shared.allocations.set(Box::new(read)).is_err();
        if !known {
            // What was allocated before is not of the first window.
            self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner).rebase(&first);
        }
        !known
    }

    fn allocated(&self) -> Option<Allocated> {
        self.shared.allocated()
    }

    /// Begins a scope at whose end nothing should remain allocated. See [`LeakScope`].
    pub fn leak_scope(&self, name: &str) -> LeakScope {
        // The texts first, so that they are not found to remain.
        let (monitor, name) = (self.clone(), cut(name, 64).to_owned());
        let begin = self.allocated().unwrap_or_default();
        LeakScope { monitor, name, begin }
    }

    fn ended(&self, scope: ScopeFigures) {
        let mut scopes = self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(0, scope);
        scopes.truncate(SCOPES);
    }

    /// Reads the figures of process and host from what the collectors have read. Those that need two readings, CPU, are
    /// of the time since the last call.
    pub fn read_system(&self, tick: &Tick) {
        let mut system = self.shared.system.lock().unwrap_or_else(PoisonError::into_inner);
        let read = system::read(tick, system.as_ref().map(|(_, counted)| counted));
        *system = Some(read);
    }

    /// Takes a reading, from which windows are made, and judges: what the task in a server does every
    /// [`interval`](Config::interval).
    pub fn sample(&self, now: Moment) -> Vec<Verdict> {
        let verdicts = self.snapshot(now).verdicts;
        for (judged, verdict) in self.shared.judged.iter().zip(&verdicts) {
            judged.store(verdict.ok.map_or(u8::MAX, u8::from), Ordering::Relaxed);
        }
        let reading = self.reading(&now, &self.shared.operations());
        let window = self.config().window;
        self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner).add(reading, window);
        verdicts
    }

    fn reading(&self, now: &Moment, operations: &[Operation]) -> Reading {
        let (mut all, mut judged) = (Runs::default(), Runs::default());
        for operation in operations {
            let (count, errors, sum_ns) = (operation.count(), operation.errors(), operation.sum_ns());
            all.add(count, errors, sum_ns);
            if !operation.has_thresholds() {
                judged.add(count, errors, sum_ns);
            }
        }
        let allocated = self.allocated().unwrap_or_default();
        Reading {
            at: now.since_start,
            all,
            judged,
            allocations: allocated.allocations,
            allocated_bytes: allocated.allocated_bytes,
        }
    }

    /// The last 100 runs of an operation, newest first; `None` if there is no operation of this name.
    #[must_use]
    pub fn runs(&self, operation: &str, now: Moment) -> Option<Vec<Run>> {
        let operations = self.shared.operations();
        let operation = operations.iter().find(|known| known.name() == operation)?;
        let runs = operation.runs(now.since_start).into_iter().map(|(run, error)| Run {
            at_ms: ended_ms(run.age, &now),
            duration_ms: milliseconds(run.duration_ns),
            error: error.map(ToOwned::to_owned),
        });
        Some(runs.collect())
    }

    /// All figures at this moment, and the verdicts on them. Readers and those who count do not wait for each other.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let window = self.config().window;
        let live = self.shared.operations();
        let reading = self.reading(&now, &live);
        let begin = self
            .shared
            .readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .begin(now.since_start, window);
        let passed = reading.at.saturating_sub(begin.at);
        let mut kinds: HashMap<&str, u64> = HashMap::new();
        let mut failures = Vec::new();
        let mut operations = Vec::with_capacity(live.len());
        for operation in &live {
            let runs = operation.runs(now.since_start);
            operations.push(operation.figures(&runs, &now, window));
            for (kind, count) in operation.kinds() {
                *kinds.entry(kind).or_default() += count;
            }
            for (run, kind) in runs {
                failures.extend(kind.map(|kind| (run, operation.name(), kind)));
            }
        }
        failures.sort_by_key(|(run, ..)| run.age);
        failures.truncate(LAST);
        let last = failures.into_iter().map(|(run, operation, kind)| Failure {
            at_ms: ended_ms(run.age, &now),
            operation: operation.to_owned(),
            kind: kind.to_owned(),
            duration_ms: milliseconds(run.duration_ns),
        });
        let overview = Overview {
            operations: operations.len(),
            count: reading.all.count,
            errors: reading.all.errors,
            error_ratio: ratio(reading.all.errors, reading.all.count).min(1.0),
            in_flight: operations.iter().map(|operation| operation.in_flight).sum(),
            mean_ms: mean_ms(reading.all.sum_ns, reading.all.count),
            window: reading.all.since(&begin.all, passed),
            judged: reading.judged.since(&begin.judged, passed),
        };
        let errors =
            Errors { total: overview.errors, by_kind: by_count(kinds.into_iter()), last: last.collect() };
        let system = self.shared.system.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot = Snapshot {
            at_ms: now.unix_ms,
            uptime_ms: u64::try_from(now.since_start.as_millis()).unwrap_or(u64::MAX),
            operations,
            errors,
            system: system.as_ref().map(|(figures, _)| figures.clone()),
            security: self.shared.security.figures(&now),
            connections: self.shared.connections.figures(),
            allocations: self.allocations(&reading, &begin, overview.window.seconds),
            overview,
            verdicts: Vec::new(),
        };
        drop(system);
        snapshot.verdicts = judge(&snapshot, &self.config().thresholds);
        snapshot
    }

    #[allow(clippy::cast_precision_loss)]
    fn allocations(&self, now: &Reading, begin: &Reading, seconds: f64) -> Option<AllocationFigures> {
        let allocated = self.allocated()?;
        let per_second = |now: u64, then: u64| {
            if seconds > 0.0 { now.saturating_sub(then) as f64 / seconds } else { 0.0 }
        };
        Some(AllocationFigures {
            allocations: allocated.allocations,
            allocated_bytes: allocated.allocated_bytes,
            live_bytes: allocated.live_bytes(),
            allocations_per_second: per_second(now.allocations, begin.allocations),
            bytes_per_second: per_second(now.allocated_bytes, begin.allocated_bytes),
            scopes: self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }
}
