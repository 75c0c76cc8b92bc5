//! Figures of scraping, `gaugecast_scrape_*`.

use crate::registry::{Counter, Desc, Family, Gauge, RegisterError, Registry};
use crate::series::Applied;

crate::label_set! {
    struct ByResult { result: String }
}

crate::label_set! {
    struct ByJob { scrape_job: String }
}

crate::label_set! {
    struct ByMechanism { mechanism: String }
}

/// Handles of the figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    scrapes: Family<ByResult, Counter>,
    pub(super) superseded: Counter,
    duplicates: Counter,
    over_limit: Counter,
    ahead: Counter,
    targets: Family<ByJob, Gauge>,
    syncs: Family<ByJob, Counter>,
    over_target_limit: Family<ByJob, Counter>,
    refresh_failures: Family<ByMechanism, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub(super) fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Metrics {
            scrapes: registry.family(
                Desc::new(
                    "gaugecast_scrapes",
                    "Scrapes of targets by result: ok, or the reason of the failure.",
                ),
                (),
            )?,
            superseded: registry.counter((
                "gaugecast_scrapes_superseded",
                "Scrapes that no tick took, because newer ones of the target came before it.",
            ))?,
            duplicates: registry.counter((
                "gaugecast_scrape_samples_duplicate",
                "Scraped samples refused because the page or another source has the series already.",
            ))?,
            over_limit: registry.counter((
                "gaugecast_scrape_samples_over_limit",
                "Scraped samples refused because the series table was full.",
            ))?,
            ahead: registry.counter((
                "gaugecast_scrape_samples_ahead",
                "Scraped samples refused because their own time is more than ten minutes ahead.",
            ))?,
            targets: registry.family(
                Desc::new("gaugecast_scrape_pool_targets", "Targets of a job that are scraped."),
                (),
            )?,
            syncs: registry.family(
                Desc::new(
                    "gaugecast_scrape_pool_syncs",
                    "Times that the targets of a job were worked out anew.",
                ),
                (),
            )?,
            over_target_limit: registry.family(
                Desc::new(
                    "gaugecast_scrape_pool_exceeded_target_limit",
                    "Times that a job had more targets than its target_limit.",
                ),
                (),
            )?,
            refresh_failures: registry.family(
                Desc::new(
                    "gaugecast_sd_refresh_failures",
                    "Discoveries that failed; the targets that were known stay.",
                ),
                (),
            )?,
        })
    }

    /// A scrape has ended.
    pub(super) fn scraped(&self, result: &str) {
        self.scrapes.get(&ByResult { result: result.to_owned() }).inc();
    }

    /// A page was applied; so many samples of it were too far ahead.
    pub(super) fn applied(&self, applied: &Applied, ahead: u64) {
        self.duplicates.inc_by(applied.duplicates as u64);
        self.over_limit.inc_by(applied.over_limit as u64);
        self.ahead.inc_by(ahead);
    }

    /// The targets of a job were worked out.
    pub(super) fn synced(&self, job: &str, targets: usize, over_limit: bool) {
        let labels = ByJob { scrape_job: job.to_owned() };
        self.syncs.get(&labels).inc();
        self.targets.get(&labels).set(i64::try_from(targets).unwrap_or(i64::MAX));
        if over_limit {
            self.over_target_limit.get(&labels).inc();
        }
    }

    /// A job is gone, or begins anew.
    pub(super) fn forget(&self, job: &str) {
        let labels = ByJob { scrape_job: job.to_owned() };
        self.targets.remove(&labels);
        self.syncs.remove(&labels);
        self.over_target_limit.remove(&labels);
    }

    /// A discovery by `file` or `http` failed.
    pub(super) fn refresh_failed(&self, mechanism: &str) {
        self.refresh_failures.get(&ByMechanism { mechanism: mechanism.to_owned() }).inc();
    }
}
