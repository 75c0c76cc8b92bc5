//! Everything that the monitor knows at one moment, in the form of the API.
//!
//! Durations are milliseconds with a fraction, times are Unix milliseconds, ratios lie in 0..=1.

use serde::{Deserialize, Serialize};

/// All figures at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When.
    pub at_ms: i64,
    /// Since the process started.
    pub uptime_ms: u64,
    /// All operations together.
    pub overview: Overview,
    /// Each operation, in the order in which they were first used.
    pub operations: Vec<OperationFigures>,
    /// What failed.
    pub errors: Errors,
    /// Process and host; none before the first reading, and where no server runs.
    pub system: Option<SystemFigures>,
    /// Events of security.
    pub security: SecurityFigures,
    /// Connections of the application.
    pub connections: ConnectionFigures,
    /// Allocations; none where they are not counted.
    pub allocations: Option<AllocationFigures>,
    /// What holds and what does not, one for each criterion.
    pub verdicts: Vec<Verdict>,
}

/// All operations together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// How many operations there are.
    pub operations: usize,
    /// How often they ran to their end.
    pub count: u64,
    /// How often they failed.
    pub errors: u64,
    /// Failed among all; 0 without any.
    pub error_ratio: f64,
    /// Running now.
    pub in_flight: u64,
    /// Mean duration; 0 without any.
    pub mean_ms: f64,
    /// The last minute or whatever [`window`](super::Config::window) says.
    pub window: WindowFigures,
    /// The same without the operations that have thresholds of their own: what the verdicts judge together.
    pub judged: WindowFigures,
}

/// All operations that ended in the last while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowFigures {
    /// How long it really is: shorter after the start.
    pub seconds: f64,
    /// How many ended.
    pub count: u64,
    /// How many failed.
    pub errors: u64,
    /// Failed among all; 0 without any.
    pub error_ratio: f64,
    /// Mean duration; 0 without any.
    pub mean_ms: f64,
    /// Ends a second.
    pub per_second: f64,
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationFigures {
    /// Its name, the label `operation`.
    pub name: String,
    /// How often it ran to its end.
    pub count: u64,
    /// How often it failed.
    pub errors: u64,
    /// Failed among all; 0 without any.
    pub error_ratio: f64,
    /// Running now.
    pub in_flight: u64,
    /// Time spent in it.
    pub total_ms: f64,
    /// Shortest; 0 without any.
    pub min_ms: f64,
    /// Mean; 0 without any.
    pub mean_ms: f64,
    /// Longest.
    pub max_ms: f64,
    /// Half were at most this long; quantiles are within 6 % (12 % at worst) between 1 µs and 100 s.
    pub p50_ms: f64,
    /// 95 % were at most this long.
    pub p95_ms: f64,
    /// 99 % were at most this long.
    pub p99_ms: f64,
    /// Errors by kind, most first.
    pub errors_by_kind: Vec<KindCount>,
    /// The last 100, as far as they are within the window.
    pub recent: Recent,
    /// Its own threshold for the mean, if it has one.
    pub mean_threshold_ms: Option<f64>,
    /// Its own threshold for the ratio of errors, if it has one.
    pub error_threshold: Option<f64>,
    /// When it last ended.
    pub last_ms: Option<i64>,
}

/// The last runs of an operation, at most 100 and none older than the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// How many.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Their mean duration; 0 without any.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// One run of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it ended.
    pub at_ms: i64,
    /// How long it took.
    pub duration_ms: f64,
    /// The kind of its error; none if it went well.
    pub error: Option<String>,
}

/// A kind of something, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindCount {
    /// Which.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// What failed, over all operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// All.
    pub total: u64,
    /// By kind, most first.
    pub by_kind: Vec<KindCount>,
    /// The last 100 that are still among the last 100 runs of their operation, newest first.
    pub last: Vec<Failure>,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When it ended.
    pub at_ms: i64,
    /// Of which operation.
    pub operation: String,
    /// Kind of the error.
    pub kind: String,
    /// How long it took.
    pub duration_ms: f64,
}

/// Process and host. What the system does not tell is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemFigures {
    /// When it was read.
    pub at_ms: i64,
    /// This process, in cores: 1 is one core fully used.
    pub process_cpu_cores: Option<f64>,
    /// Resident memory of this process.
    pub process_memory_bytes: Option<f64>,
    /// Threads of this process.
    pub process_threads: Option<f64>,
    /// Open file descriptors of this process.
    pub process_open_fds: Option<f64>,
    /// All cores of the host together.
    pub host_cpu_ratio: Option<f64>,
    /// Memory of the host in use.
    pub host_memory_ratio: Option<f64>,
    /// Memory of the host.
    pub host_memory_bytes: Option<f64>,
    /// Load average of one minute.
    pub host_load1: Option<f64>,
    /// Cores of the host.
    pub host_cores: Option<f64>,
}

/// Events of security.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecurityFigures {
    /// All since the start.
    pub total: u64,
    /// By kind; every kind is there.
    pub by_kind: Vec<SecurityKindFigures>,
    /// How often a response was timed.
    pub responses: u64,
    /// Mean time to respond; 0 without any.
    pub mean_response_ms: f64,
    /// Longest time to respond.
    pub max_response_ms: f64,
    /// The last 100, newest first.
    pub last: Vec<SecurityEvent>,
}

/// One kind of events of security.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityKindFigures {
    /// Which.
    pub kind: SecurityKind,
    /// Since the start.
    pub count: u64,
    /// In the last minute.
    pub last_minute: u64,
}

/// Kinds of events of security.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityKind {
    /// Somebody could not say who he is.
    FailedLogin,
    /// Somebody was turned away.
    Blocked,
    /// Somebody asked for too much.
    RateLimited,
    /// Something that looks like an attack.
    SuspiciousPattern,
}

impl SecurityKind {
    /// All.
    pub const ALL: [SecurityKind; 4] = [
        SecurityKind::FailedLogin,
        SecurityKind::Blocked,
        SecurityKind::RateLimited,
        SecurityKind::SuspiciousPattern,
    ];

    /// The label `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SecurityKind::FailedLogin => "failed_login",
            SecurityKind::Blocked => "blocked",
            SecurityKind::RateLimited => "rate_limited",
            SecurityKind::SuspiciousPattern => "suspicious_pattern",
        }
    }
}

/// An event of security.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityEvent {
    /// When.
    pub at_ms: i64,
    /// Which kind.
    pub kind: SecurityKind,
    /// From where or by whom, at most 64 bytes.
    pub source: String,
    /// More of it, at most 128 bytes.
    pub detail: String,
}

/// Connections of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionFigures {
    /// Open now.
    pub active: u64,
    /// All since the start.
    pub total: u64,
    /// Most at once.
    pub peak: u64,
    /// Errors on connections.
    pub errors: u64,
    /// Mean duration of those that have ended; 0 without any.
    pub mean_duration_ms: f64,
    /// Longest of those that have ended.
    pub max_duration_ms: f64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Allocations, as far as they are counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AllocationFigures {
    /// Since the start; a reallocation is one.
    pub allocations: u64,
    /// Bytes of them.
    pub allocated_bytes: u64,
    /// Bytes in use now.
    pub live_bytes: u64,
    /// Over the window.
    pub allocations_per_second: f64,
    /// Over the window.
    pub bytes_per_second: f64,
    /// The last 20 scopes that were checked for leaks, newest first.
    pub scopes: Vec<ScopeFigures>,
}

/// What remained after a scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeFigures {
    /// When it ended.
    pub at_ms: i64,
    /// Its name, at most 64 bytes.
    pub name: String,
    /// Allocations that were made in it and not given back; negative if more was given back.
    pub remaining_allocations: i64,
    /// Bytes of them.
    pub remaining_bytes: i64,
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Mean duration of the operations.
    MeanResponse,
    /// Ratio of errors.
    ErrorRatio,
    /// What remains after scopes.
    Leak,
    /// Allocations a second.
    AllocationRate,
}

impl Criterion {
    /// All.
    pub const ALL: [Criterion; 4] =
        [Criterion::MeanResponse, Criterion::ErrorRatio, Criterion::Leak, Criterion::AllocationRate];

    /// The label `criterion`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Criterion::MeanResponse => "mean_response",
            Criterion::ErrorRatio => "error_ratio",
            Criterion::Leak => "leak",
            Criterion::AllocationRate => "allocation_rate",
        }
    }
}

/// Whether one criterion holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub criterion: Criterion,
    /// Does it hold? None if there was nothing to judge.
    pub ok: Option<bool>,
    /// What was measured, in the unit of the threshold.
    pub value: Option<f64>,
    /// What is still good: milliseconds, ratio, bytes, or allocations a second.
    pub threshold: f64,
    /// Why, a sentence for people each.
    pub reasons: Vec<String>,
}

impl Snapshot {
    /// Operations by their mean duration, longest first; at most `most`, and only such that ran.
    #[must_use]
    pub fn slowest(&self, most: usize) -> Vec<&OperationFigures> {
        self.top(most, |operation| operation.mean_ms)
    }

    /// Operations by the time spent in them, most first; at most `most`.
    #[must_use]
    pub fn busiest(&self, most: usize) -> Vec<&OperationFigures> {
        self.top(most, |operation| operation.total_ms)
    }

    /// Operations by their ratio of errors, highest first; at most `most`, and only such that failed.
    #[must_use]
    pub fn failing(&self, most: usize) -> Vec<&OperationFigures> {
        self.top(most, |operation| operation.error_ratio)
    }

    fn top(&self, most: usize, by: impl Fn(&OperationFigures) -> f64) -> Vec<&OperationFigures> {
        let mut operations: Vec<_> = self.operations.iter().filter(|operation| by(operation) > 0.0).collect();
        operations.sort_by(|a, b| by(b).total_cmp(&by(a)));
        operations.truncate(most);
        operations
    }
}
