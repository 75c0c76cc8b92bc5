//! The targets of one job: worked out from what discovery says, each scraped by a task of its own.
//!
//! The task of a pool owns those of its targets. A target that stays in the list goes on undisturbed; one that leaves it
//! is stopped, then its series go.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::config::Job;
use super::discovery::Discovery;
use super::inbox::{Inbox, Scraped};
use super::metrics::Metrics;
use super::relabel::Labels;
use super::target::{Found, Settled, Target, settle};
use crate::clock::Clock;
use crate::config::units::format_duration;
use crate::http_client::{Ask, Failure, Fetcher, Line, Shared};

/// Most targets that rules drop which are kept to be shown, where the job says nothing.
const DROPPED: usize = 10_000;

/// What all pools share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) inbox: Arc<Inbox>,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    /// Numbers of targets.
    pub(super) next: AtomicU64,
    /// Where we ourselves listen, once that is known.
    pub(super) own: OnceLock<Vec<SocketAddr>>,
}

/// The targets as they are shown.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) active: Vec<Arc<Target>>,
    pub(super) dropped: Vec<Labels>,
    /// How many are dropped; may be more than are shown.
    pub(super) dropped_count: usize,
}

/// A running pool.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) job: Arc<Job>,
    view: Arc<Mutex<View>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Pool {
    pub(super) fn start(job: Job, common: &Arc<Common>) -> Self {
        let job = Arc::new(job);
        let view = Arc::new(Mutex::default());
        let stop = CancellationToken::new();
        let running = Running {
            job: Arc::clone(&job),
            common: Arc::clone(common),
            fetcher: Arc::new(Fetcher::new(job.client.clone())),
            accept: accept(&job).into(),
            over_limit: Arc::default(),
            targets: HashMap::new(),
            view: Arc::clone(&view),
            faults: Vec::new(),
        };
        let task = tokio::spawn(running.run(stop.clone()));
        Pool { job, view, stop, task }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops all its targets and waits for that. Their series go at the next tick.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "a scrape pool did not end well");
        }
    }
}

/// What is said to like: the formats in the order of the job, as Prometheus says it.
fn accept(job: &Job) -> String {
    let weight = |at: usize| job.protocols.len() + 1 - at;
    let parts = job.protocols.iter().enumerate();
    let parts = parts.map(|(at, protocol)| format!("{};q=0.{},", protocol.media_type(), weight(at)));
    parts.collect::<String>() + "*/*;q=0.1"
}

/// A target and the task that scrapes it.
struct Scraping {
    target: Arc<Target>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Running {
    job: Arc<Job>,
    common: Arc<Common>,
    fetcher: Shared,
    accept: Arc<str>,
    over_limit: Arc<AtomicBool>,
    targets: HashMap<(Labels, String), Scraping>,
    view: Arc<Mutex<View>>,
    /// What was last wrong with addresses.
    faults: Vec<String>,
}

impl Running {
    async fn run(mut self, stop: CancellationToken) {
        let mut discovery = Discovery::new(&self.job, self.common.metrics.clone());
        self.sync(&discovery).await;
        loop {
            let next = discovery.next();
            let due = async {
                match next {
                    Some((which, at)) => {
                        sleep_until(at.into()).await;
                        which
                    }
                    None => std::future::pending().await,
                }
            };
            let refreshed = async { discovery.refresh(due.await, &self.job.name).await };
            let changed = tokio::select! {
                () = stop.cancelled() => break,
                changed = refreshed => changed,
            };
            if changed {
                self.sync(&discovery).await;
            }
        }
        let all: Vec<Scraping> = self.targets.drain().map(|(_, scraping)| scraping).collect();
        end(all, &self.common.inbox).await;
        self.common.metrics.forget(&self.job.name);
    }

    /// Works the targets out anew: starts those that are new, stops those that are gone.
    async fn sync(&mut self, discovery: &Discovery) {
        let mut wanted: HashMap<(Labels, String), Settled> = HashMap::new();
        let mut order = Vec::new();
        let (mut dropped, mut dropped_count, mut faults) = (Vec::new(), 0, Vec::new());
        let keep = if self.job.keep_dropped == 0 { DROPPED } else { self.job.keep_dropped };
        for found in discovery.groups() {
            let meta = found.meta.as_ref().map(|(name, value)| (*name, value.as_str()));
            for address in &found.group.targets {
                match settle(&self.job, &found.group, address, meta) {
                    Ok(Found::Active(settled)) => {
                        // The same labels and the same page twice are one target.
                        let key = (settled.labels.clone(), settled.url.to_string());
                        if wanted.insert(key.clone(), *settled).is_none() {
                            order.push(key);
                        }
                    }
                    Ok(Found::Dropped(labels)) => {
                        dropped_count += 1;
                        if dropped.len() < keep {
                            dropped.push(labels);
                        }
                    }
                    Err(reason) => faults.push(format!("{address}: {reason}")),
                }
            }
        }
        if self.faults != faults {
            let before: HashSet<&String> = self.faults.iter().collect();
            for fault in faults.iter().filter(|fault| !before.contains(fault)).take(10) {
                warn!(job = self.job.name, error = fault, "no target can be made of it");
            }
            self.faults = faults;
        }
        let limit = self.job.limits.targets;
        let over = limit > 0 && order.len() > limit;
        if over && !self.over_limit.swap(over, Ordering::Relaxed) {
            warn!(
                job = self.job.name,
                targets = order.len(),
                limit,
                "more targets than target_limit: all fail"
            );
        }
        self.over_limit.store(over, Ordering::Relaxed);
        self.common.metrics.synced(&self.job.name, order.len(), over);

        let leaves = |key: &(Labels, String), scraping: &Scraping| match wanted.get(key) {
            Some(settled) => *settled != scraping.target.settled,
            None => true,
        };
        let leaving: Vec<_> =
            self.targets.iter().filter(|(key, s)| leaves(key, s)).map(|(k, _)| k.clone()).collect();
        let leaving = leaving.iter().filter_map(|key| self.targets.remove(key)).collect();
        end(leaving, &self.common.inbox).await;
        for key in &order {
            if !self.targets.contains_key(key)
                && let Some(settled) = wanted.remove(key)
            {
                let scraping = self.begin(settled);
                self.targets.insert(key.clone(), scraping);
            }
        }
        let active = order.iter().filter_map(|key| self.targets.get(key));
        let active = active.map(|scraping| Arc::clone(&scraping.target)).collect();
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = View { active, dropped, dropped_count };
    }

    /// Begins to scrape a target.
    fn begin(&self, settled: Settled) -> Scraping {
        if let Some(own) = self.common.own.get() {
            warn_of_own(&settled, &self.job.name, own);
        }
        let id = self.common.next.fetch_add(1, Ordering::Relaxed);
        let target = Arc::new(Target::new(id, Arc::clone(&self.job), settled));
        let stop = CancellationToken::new();
        let scraper = Scraper {
            target: Arc::clone(&target),
            common: Arc::clone(&self.common),
            fetcher: Arc::clone(&self.fetcher),
            accept: Arc::clone(&self.accept),
            over_limit: Arc::clone(&self.over_limit),
            line: Line::default(),
        };
        let task = tokio::spawn(scraper.run(stop.clone()));
        Scraping { target, stop, task }
    }
}

/// Stops targets and waits for their tasks; then nothing of them comes any more.
async fn end(leaving: Vec<Scraping>, inbox: &Inbox) {
    leaving.iter().for_each(|scraping| scraping.stop.cancel());
    for scraping in leaving {
        if let Err(error) = scraping.task.await {
            error!(%error, "the task of a target did not end well");
        }
        inbox.gone(scraping.target.id);
    }
}

/// Says that a target is this very server: it works, but what it has here is here already.
pub(super) fn warn_of_own(settled: &Settled, job: &str, own: &[SocketAddr]) {
    let (host, port) = (settled.url.host.as_str(), settled.url.port());
    let same = |address: &SocketAddr| {
        address.port() == port
            && match host.parse::<IpAddr>() {
                Ok(ip) => ip == address.ip() || (ip.is_loopback() && address.ip().is_unspecified()),
                Err(_) => {
                    host == "localhost" && (address.ip().is_loopback() || address.ip().is_unspecified())
                }
            }
    };
    if own.iter().any(same) {
        warn!(job, target = %settled.url, "this target is this server itself: all its series are here twice");
    }
}

/// Scrapes one target, again and again.
struct Scraper {
    target: Arc<Target>,
    common: Arc<Common>,
    fetcher: Shared,
    accept: Arc<str>,
    over_limit: Arc<AtomicBool>,
    line: Line,
}

impl Scraper {
    async fn run(mut self, stop: CancellationToken) {
        let interval = self.target.settled.interval;
        let first = Instant::now() + until_first(self.target.settled.hash(), interval, SystemTime::now());
        let mut timer = interval_at(first, interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = timer.tick() => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                scraped = self.scrape() => self.common.inbox.put(scraped),
            }
        }
    }

    async fn scrape(&mut self) -> Scraped {
        let begin = self.common.clock.now();
        let settled = &self.target.settled;
        let outcome = if self.over_limit.load(Ordering::Relaxed) {
            let limit = self.target.job.limits.targets;
            Err(Failure::new("limit", format!("the job has more targets than its target_limit, {limit}")))
        } else {
            let seconds = settled.timeout.as_secs_f64().to_string();
            let ask = Ask {
                url: &settled.url,
                accept: &self.accept,
                compression: self.target.job.compression,
                limit: self.target.job.limits.body_size,
                header: Some(("X-Prometheus-Scrape-Timeout-Seconds", &seconds)),
            };
            let late = |_| {
                let within = format_duration(settled.timeout);
                Err(Failure::new("timeout", format!("the scrape was not done within {within}")))
            };
            timeout(settled.timeout, self.fetcher.get(&mut self.line, ask)).await.unwrap_or_else(late)
        };
        let took = self.common.clock.now().since(&begin);
        Scraped { target: Arc::clone(&self.target), at_ms: begin.unix_ms, took, outcome }
    }
}

/// How long to wait for the first scrape: up to an interval, so that each target has its place in it, the same one after
/// a restart.
fn until_first(hash: u64, interval: Duration, now: SystemTime) -> Duration {
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let place = u128::from(hash % interval);
    let into = now % u128::from(interval);
    let wait = (place + u128::from(interval) - into) % u128::from(interval);
    Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::config::{Config, Protocol};
    use super::*;

    #[test]
    fn targets_have_their_place_in_the_interval_whenever_they_begin() {
        let interval = Duration::from_millis(1000);
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms);
        for hash in [0, 1, 250_000_000, 999_999_999, u64::MAX] {
            let place = Duration::from_nanos(hash % 1_000_000_000);
            for begin in [0, 1, 250, 999, 12_345] {
                let wait = until_first(hash, interval, at(begin));
                assert!(wait < interval);
                let first = Duration::from_millis(begin % 1000) + wait;
                assert_eq!(first.as_nanos() % 1_000_000_000, place.as_nanos(), "{hash} {begin}");
            }
        }
    }

    #[test]
    fn it_accepts_what_prometheus_accepts_in_the_order_of_the_job() {
        let mut job = Job::new("a".into(), &Config::default());
        assert_eq!(
            accept(&job),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
        job.protocols = vec![Protocol::Text0];
        assert_eq!(accept(&job), "text/plain;version=0.0.4;q=0.2,*/*;q=0.1");
    }
}
