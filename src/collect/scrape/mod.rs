//! Scraping other targets: Prometheus' `scrape_configs`, live.
//!
//! [`Scraping`] owns it: a [pool] for each job, in it a task for each target that asks for its page
//! ([`http_client`](crate::http_client)) at its place in the interval. What comes waits in the [`inbox`] for the tick, where the [`feed`] reads it
//! into the series table by the same parser as our own pages: whole or not at all, under the labels of the target
//! ([`mapping`], [`relabel`]), with the automatic series `up` and so on.
//!
//! ```text
//! discovery ──► pool ──► target ──► fetch ──► inbox ──► feed ──► table
//! ```
//!
//! [`Targets`] is what the API shows of it. A reload leaves jobs alone that did not change.

mod config;
mod discovery;
mod feed;
mod inbox;
mod mapping;
mod metrics;
mod pool;
pub mod relabel;
mod target;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard};
use std::{net::SocketAddr, sync::PoisonError};

pub use config::{Asked, Config, Files, Group, Job, Limits, Protocol};
pub(crate) use config::{check_url, files as discovered_files, group as discovered_group, read};
pub(crate) use discovery::file::Folder;
pub use relabel::Labels;
pub use target::{Settled, Status, Target};

pub use crate::http_client::{Auth, Client, Url};

use self::metrics::Metrics;
use self::pool::{Common, Pool};
use super::feed::Feed;
use crate::clock::Clock;
use crate::registry::{RegisterError, Registry};

/// All that scrapes. Dropping it leaves the tasks running until the runtime ends; see [`Scraping::stop`].
#[derive(Debug)]
pub struct Scraping {
    pools: Pools,
    common: Arc<Common>,
}

type Pools = Arc<RwLock<Vec<Pool>>>;

impl Scraping {
    /// Begins to scrape; what comes goes through the feed. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When one of its own metrics is registered already.
    pub fn start(
        config: &Config,
        registry: &Registry,
        clock: Clock,
    ) -> Result<(Self, Box<dyn Feed>), RegisterError> {
        let metrics = Metrics::register(registry)?;
        let inbox = Arc::default();
        let feed = Box::new(feed::ScrapeFeed::new(Arc::clone(&inbox), metrics.clone()));
        let common =
            Arc::new(Common { inbox, metrics, clock, next: AtomicU64::new(0), own: OnceLock::new() });
        let pools = config.all_jobs().into_iter().map(|job| Pool::start(job, &common)).collect();
        Ok((Scraping { pools: Arc::new(RwLock::new(pools)), common }, feed))
    }

    /// Says where this server listens, so that a target which is it is told in the log.
    pub fn listening(&self, own: &[SocketAddr]) {
        if self.common.own.set(own.to_vec()).is_ok() {
            for pool in read_lock(&self.pools).iter() {
                for target in &pool.view().active {
                    pool::warn_of_own(&target.settled, &pool.job.name, own);
                }
            }
        }
    }

    /// Scrapes by another configuration. Jobs that are the same go on undisturbed.
    pub async fn reload(&self, config: &Config) {
        let mut wanted = config.all_jobs();
        let leaving: Vec<Pool> = {
            let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
            let (stays, leaves) =
                std::mem::take(&mut *pools).into_iter().partition(|pool| wanted.contains(&pool.job));
            *pools = stays;
            leaves
        };
        for pool in leaving {
            pool.stop().await;
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *pools);
        // In the order of the configuration.
        for job in wanted.drain(..) {
            let pool = match before.iter().position(|pool| *pool.job == job) {
                Some(at) => before.swap_remove(at),
                None => Pool::start(job, &self.common),
            };
            pools.push(pool);
        }
    }

    /// What is scraped, for the API.
    #[must_use]
    pub fn targets(&self) -> Targets {
        Targets(Arc::clone(&self.pools))
    }

    /// Stops all scrapes and waits for their tasks.
    pub async fn stop(self) {
        let pools = std::mem::take(&mut *self.pools.write().unwrap_or_else(PoisonError::into_inner));
        for pool in pools {
            pool.stop().await;
        }
    }
}

fn read_lock(pools: &Pools) -> RwLockReadGuard<'_, Vec<Pool>> {
    pools.read().unwrap_or_else(PoisonError::into_inner)
}

/// What is scraped, job by job. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Targets(Pools);

/// The targets of a job.
#[derive(Clone, Debug)]
pub struct PoolTargets {
    /// Name of the job.
    pub job: String,
    /// Those that are scraped, in the order of the configuration.
    pub active: Vec<Arc<Target>>,
    /// Labels, before the rules, of those that the rules drop; at most `keep_dropped_targets`, or 10,000.
    pub dropped: Vec<Labels>,
    /// How many the rules drop.
    pub dropped_count: usize,
}

impl Targets {
    /// All of them now.
    #[must_use]
    pub fn all(&self) -> Vec<PoolTargets> {
        let pools = read_lock(&self.0);
        let told = |pool: &Pool| {
            let view = pool.view();
            PoolTargets {
                job: pool.job.name.clone(),
                active: view.active.clone(),
                dropped: view.dropped.clone(),
                dropped_count: view.dropped_count,
            }
        };
        pools.iter().map(told).collect()
    }
}
