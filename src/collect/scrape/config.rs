//! Settings of scraping.

use std::time::Duration;

/// Settings of scraping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--scrape`, repeatable: URLs that are scraped without more configuration, as targets of the job `scrape`.
    pub urls: Vec<String>,
    /// `global.scrape_interval`: 1 ms to 1 d; 1 s by default, where Prometheus has 1 m: this is the live edge.
    pub interval: Duration,
    /// `global.scrape_timeout`; 0, the default, is the interval but at most 10 s.
    pub timeout: Duration,
    /// Limits of jobs that say none of their own.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            urls: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::ZERO,
            limits: Limits::default(),
        }
    }
}

/// What a scrape may be. 0 is no limit, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `body_size_limit`: bytes of the page, decompressed; 16 MiB by default, where Prometheus has no limit: a page of
    /// 100,000 series is about 10 MB.
    pub body_size: usize,
    /// `sample_limit`: samples that are left after relabelling.
    pub samples: usize,
    /// `label_limit`: labels of a sample.
    pub labels: usize,
    /// `label_name_length_limit`: bytes of a label name.
    pub label_name: usize,
    /// `label_value_length_limit`: bytes of a label value.
    pub label_value: usize,
    /// `target_limit`: targets of a job.
    pub targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_size: 16 << 20, samples: 0, labels: 0, label_name: 0, label_value: 0, targets: 0 }
    }
}

/// A URL to scrape, as `--scrape` has it.
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Err("the URL is empty".into()),
        false => Ok(()),
    }
}
