//! Settings of the monitor: its bounds, and the thresholds of its verdicts.

use std::time::Duration;

/// Settings of the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most operations that are counted apart; what is beyond counts under `other`. 1 to 10,000.
    pub max_operations: usize,
    /// How often the figures of a running server are read and judged, 100 ms to 1 h.
    pub interval: Duration,
    /// Over how long verdicts are given, 5 s to 1 h; at most 720 readings of [`interval`](Self::interval).
    pub window: Duration,
    /// What is still good.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_operations: 1000,
            interval: Duration::from_secs(5),
            window: Duration::from_secs(60),
            thresholds: Thresholds::default(),
        }
    }
}

/// What is still good; each value itself is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Mean duration of all operations.
    pub mean_response: Duration,
    /// Failed among all operations, in thousandths.
    pub errors_per_thousand: u32,
    /// Bytes that may remain after a scope that was checked for leaks.
    pub leaked_bytes: usize,
    /// Allocations a second.
    pub allocations_per_second: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            mean_response: Duration::from_millis(10),
            errors_per_thousand: 10,
            leaked_bytes: 0,
            allocations_per_second: 1000,
        }
    }
}
