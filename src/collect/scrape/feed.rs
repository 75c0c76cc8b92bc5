//! From the inbox into the series table: pages are read and applied, whole or not at all, and each scrape leaves its
//! automatic series.
//!
//! | series | |
//! | --- | --- |
//! | `up` | 1 after a good scrape, else 0 |
//! | `scrape_duration_seconds` | from the request to the last byte |
//! | `scrape_samples_scraped` | samples on the page |
//! | `scrape_samples_post_metric_relabeling` | those that are left after `metric_relabel_configs` |
//! | `scrape_series_added` | series that were not there after the scrape before |
//! | `scrape_body_size_bytes` | size of the page, -1 if it was over the limit; only then, unless `extra_scrape_metrics` |
//! | `scrape_timeout_seconds`, `scrape_sample_limit` | settings; only with `extra_scrape_metrics` |
//!
//! All of them have the time at which the scrape began. A target that is down has no other series: they are stale at
//! once. Each change of state is one line in the log, and an event of the stream by [`Feed::failing`].

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use tracing::{debug, info, warn};

use super::config::Protocol;
use super::inbox::{Inbox, Scraped};
use super::mapping::Labelling;
use super::metrics::Metrics;
use super::target::{Status, Target};
use crate::clock::Moment;
use crate::collect::Failing;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::exposition::parse::{Format, ParseError};
use crate::http_client::{Answer, Failure};
use crate::series::{FamilyMeta, Kind, Role, Scope, Slot, SourceId};

/// How many targets there may be at a time: sources are numbered by 16 bits, and others need some too.
const MOST_TARGETS: usize = 60_000;

/// The automatic series, in the order of [`Auto`].
const AUTO: [(&str, &str); 8] = [
    ("up", "Whether the last scrape of the target was good."),
    ("scrape_duration_seconds", "How long the scrape took."),
    ("scrape_samples_scraped", "Samples on the page of the target."),
    ("scrape_samples_post_metric_relabeling", "Samples that were left after metric relabelling."),
    ("scrape_series_added", "Series that were not there after the scrape before."),
    ("scrape_body_size_bytes", "Size of the page, decompressed; -1 if it was over the limit."),
    ("scrape_timeout_seconds", "How long a scrape of the target may take."),
    ("scrape_sample_limit", "How many samples the target may have; 0 is no limit."),
];

/// Their places.
const BODY_SIZE: usize = 5;

/// What a scrape came to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    samples: usize,
    kept: usize,
    added: usize,
    body: usize,
}

/// A target that has a place in the table.
struct Source {
    id: SourceId,
    target: Arc<Target>,
    labelling: Labelling,
    auto: [Option<Slot>; AUTO.len()],
    duplicates_told: bool,
}

/// The feed of all scraped targets.
pub(super) struct ScrapeFeed {
    inbox: Arc<Inbox>,
    metrics: Metrics,
    families: [Arc<FamilyMeta>; AUTO.len()],
    sources: HashMap<u64, Source>,
    failing: Vec<Failing>,
}

impl ScrapeFeed {
    pub(super) fn new(inbox: Arc<Inbox>, metrics: Metrics) -> Self {
        let family = |(name, help): (&str, &str)| {
            Arc::new(FamilyMeta { name: name.into(), kind: Kind::Gauge, help: help.into(), unit: "".into() })
        };
        ScrapeFeed {
            inbox,
            metrics,
            families: AUTO.map(family),
            sources: HashMap::new(),
            failing: Vec::new(),
        }
    }

    /// Takes the end of a scrape.
    fn scraped(&mut self, intake: &mut Intake, scraped: Scraped) {
        let Scraped { target, at_ms, took, outcome } = scraped;
        if !self.sources.contains_key(&target.id) && self.sources.len() >= MOST_TARGETS {
            let failure = Failure::new("limit", format!("there are {MOST_TARGETS} targets already"));
            return self.settle(&target, at_ms, took, Some(failure));
        }
        let source = self.sources.entry(target.id).or_insert_with(|| Source {
            id: intake.add_source(&target.job.name, Scope::Foreign),
            labelling: Labelling::new(Arc::clone(&target)),
            target: Arc::clone(&target),
            auto: [None; AUTO.len()],
            duplicates_told: false,
        });
        let mut result = Outcome::default();
        let failed =
            outcome.and_then(|answer| source.page(intake, at_ms, &answer, &self.metrics, &mut result)).err();
        if failed.is_some() {
            intake.withdraw(source.id);
        }
        #[allow(clippy::cast_precision_loss)] // up to 2^53
        let values = [
            f64::from(u8::from(failed.is_none())),
            took.as_secs_f64(),
            result.samples as f64,
            result.kept as f64,
            result.added as f64,
            match &failed {
                Some(failure) if failure.reason == "body_size" => -1.0,
                _ => result.body as f64,
            },
            target.settled.timeout.as_secs_f64(),
            target.job.limits.samples as f64,
        ];
        for (at, value) in values.into_iter().enumerate() {
            let shown = at < BODY_SIZE || target.job.extra_metrics || (at == BODY_SIZE && value < 0.0);
            if shown {
                source.auto(intake, &self.families[at], at, value, at_ms);
            } else if let Some(slot) = source.auto[at].take() {
                intake.table().remove(slot);
            }
        }
        self.settle(&target, at_ms, took, failed);
    }

    /// Notes how the target fares.
    fn settle(
        &mut self,
        target: &Arc<Target>,
        at_ms: i64,
        took: std::time::Duration,
        failed: Option<Failure>,
    ) {
        self.metrics.scraped(failed.as_ref().map_or("ok", |failure| failure.reason));
        let up = failed.is_none();
        let error = failed.as_ref().map_or_else(String::new, |failure| failure.message.clone());
        let before = {
            let mut status = target.lock();
            let now = Status { up: Some(up), error: error.clone(), last_ms: Some(at_ms), took };
            std::mem::replace(&mut *status, now)
        };
        let labels = || target.settled.labels.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        let (job, url) = (&target.job.name, &target.settled.url);
        match (before.up, &failed) {
            (Some(true) | None, Some(failure)) => {
                warn!(job, target = %url, reason = failure.reason, error, "target is down");
                let Failure { reason, message } = failure.clone();
                self.failing.push(Failing { labels: labels(), reason, message });
            }
            (Some(false), None) => {
                info!(job, target = %url, "target is up again");
                let labels: BTreeMap<String, String> = labels();
                self.failing.retain(|failing| failing.labels != labels);
            }
            (None, None) => debug!(job, target = %url, "target is up"),
            (Some(false), Some(failure)) if before.error != failure.message => {
                debug!(job, target = %url, reason = failure.reason, error, "target is down for another reason");
                let labels: BTreeMap<String, String> = labels();
                for failing in self.failing.iter_mut().filter(|failing| failing.labels == labels) {
                    failing.reason = failure.reason;
                    failing.message.clone_from(&failure.message);
                }
            }
            (Some(false), Some(_)) | (Some(true), None) => {}
        }
    }
}

impl Feed for ScrapeFeed {
    fn take(&mut self, intake: &mut Intake, _: Moment) {
        let taken = self.inbox.take();
        self.metrics.superseded.inc_by(taken.superseded);
        for id in taken.gone {
            if let Some(source) = self.sources.remove(&id) {
                intake.remove_source(source.id);
                let labels = &source.target.settled.labels;
                self.failing.retain(|failing| failing.labels != *labels);
            }
        }
        for scraped in taken.come {
            self.scraped(intake, scraped);
        }
    }

    fn failing(&self) -> &[Failing] {
        &self.failing
    }
}

/// What a page is by its type, or by what stands in for one.
fn format(content_type: Option<&str>, fallback: Option<Protocol>) -> Result<Format, Failure> {
    let media =
        content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (media.as_str(), fallback) {
        ("application/openmetrics-text", _) => Ok(Format::OpenMetrics),
        ("text/plain", _) => Ok(Format::Text),
        (_, Some(Protocol::OpenMetrics1 | Protocol::OpenMetrics0)) => Ok(Format::OpenMetrics),
        (_, Some(Protocol::Text1 | Protocol::Text0)) => Ok(Format::Text),
        (_, None) => {
            let told = match content_type {
                None | Some("") => "no Content-Type, and there is no fallback_scrape_protocol".to_owned(),
                Some(other) => {
                    let other: String = other.chars().take(80).collect();
                    format!("unsupported Content-Type {other:?}, and there is no fallback_scrape_protocol")
                }
            };
            Err(Failure::new("content_type", told))
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Failure::new("syntax", error.to_string())
    }
}

impl Source {
    /// Applies a page.
    fn page(
        &mut self,
        intake: &mut Intake,
        at_ms: i64,
        answer: &Answer,
        metrics: &Metrics,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        outcome.body = answer.body.len();
        let format = format(answer.content_type.as_deref(), self.target.job.fallback)?;
        self.labelling.begin(at_ms);
        let mut samples = 0;
        let applied =
            intake.mapped_page(self.id, &answer.body, format, &mut self.labelling, |labelling, page| {
                samples = page.samples().len() + page.duplicates();
                labelling.judge(page)
            });
        outcome.samples = samples;
        outcome.kept = self.labelling.kept;
        let applied = applied?;
        outcome.added = applied.added;
        metrics.applied(&applied, self.labelling.ahead);
        if applied.duplicates > 0 && !self.duplicates_told {
            self.duplicates_told = true;
            let (job, url) = (&self.target.job.name, &self.target.settled.url);
            warn!(job, target = %url, duplicates = applied.duplicates, "samples of series that exist already are refused");
        }
        Ok(())
    }

    /// Writes an automatic series.
    fn auto(&mut self, intake: &mut Intake, family: &Arc<FamilyMeta>, at: usize, value: f64, at_ms: i64) {
        let table = intake.table();
        if self.auto[at].is_none() {
            let labels: Vec<(&String, &String)> = self.target.settled.labels.iter().collect();
            // Where the table is full, or another has the series, it is tried again at the next scrape.
            self.auto[at] = table.series(self.id, family, Role::Value, &family.name, &labels).ok();
        }
        if let Some(slot) = self.auto[at] {
            table.set(slot, value, at_ms);
        }
    }
}
