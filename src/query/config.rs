//! Settings of queries.

use std::time::Duration;

use super::eval::Options;

/// Settings of queries, under Prometheus' names and with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `query.max_concurrency`: queries evaluated at once; 20 by default.
    pub max_concurrency: usize,
    /// `query.timeout`: how long a query may wait for its turn and be evaluated; 2 minutes by default.
    pub timeout: Duration,
    /// `query.max_samples`: most samples read and made by one query; 50 million by default, which are 800 MB.
    pub max_samples: usize,
    /// `query.lookback_delta`: how old the last sample of a series may be for an instant vector; 5 minutes by default.
    pub lookback_delta: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_concurrency: 20,
            timeout: Duration::from_secs(120),
            max_samples: 50_000_000,
            lookback_delta: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// What the evaluator is told of them.
    #[must_use]
    pub fn options(&self) -> Options {
        let lookback = i64::try_from(self.lookback_delta.as_millis()).unwrap_or(i64::MAX);
        Options { lookback, max_samples: self.max_samples, ..Options::default() }
    }
}
