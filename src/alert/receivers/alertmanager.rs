//! `alerting.alertmanagers`: tells each Alertmanager what stands. A task for each member, each with a [`Member`] of its own,
//! so one that is away delays none; a task above them that follows the files in which members are listed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config::{Alerting, Alertmanagers};
use super::health::Health;
use super::http::{Request, post, verdict};
use super::members::{BATCH, Member, Prepared, body, prepare};
use super::metrics::Metrics;
use super::queue::Outcome;
use super::{FLUSH, random};
use crate::alert::Standing;
use crate::clock::Clock;
use crate::collect::scrape::Folder;
use crate::collect::scrape::relabel::Rule;
use crate::http_client::{Fetcher, Line, Shared, Url, authority_of};

/// Most members of one item: more is a mistake in a file.
const MOST_MEMBERS: usize = 64;

/// The integration's name.
pub(super) const WORD: &str = "alertmanager";

/// What all members share.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub(super) external_url: Arc<str>,
    pub(super) external_labels: Arc<BTreeMap<String, String>>,
    /// How often rules are evaluated.
    pub(super) interval: Duration,
    pub(super) standing: watch::Receiver<Arc<Standing>>,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    pub(super) clock: Clock,
}

/// The Alertmanagers of all items.
#[derive(Debug)]
pub(super) struct Members {
    around: Around,
    running: Mutex<Vec<Running>>,
}

/// The task of an item.
#[derive(Debug)]
struct Running {
    item: Alertmanagers,
    relabel: Arc<[Rule]>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Members {
    /// Begins to tell them, until `stop`.
    pub(super) fn start(around: Around, alerting: &Alerting, stop: &CancellationToken) -> Self {
        let members = Members { around, running: Mutex::default() };
        members.begin(alerting, stop);
        members
    }

    /// Goes over to others. Those that are the same go on; it waits for the end of those that are not.
    pub(super) async fn reload(&self, alerting: &Alerting, stop: &CancellationToken) {
        let leaving: Vec<Running> = {
            let mut running = self.running();
            let stays = |one: &Running| {
                alerting.alertmanagers.contains(&one.item) && *one.relabel == *alerting.relabel
            };
            running.extract_if(.., |one| !stays(one)).collect()
        };
        leaving.iter().for_each(|one| one.stop.cancel());
        for one in leaving {
            end((one.stop, one.task)).await;
        }
        self.begin(alerting, stop);
    }

    fn begin(&self, alerting: &Alerting, stop: &CancellationToken) {
        let mut running = self.running();
        for item in &alerting.alertmanagers {
            if !running.iter().any(|one| one.item == *item) {
                let (relabel, stop) = (Arc::from(&*alerting.relabel), stop.child_token());
                let follow = follow(self.around.clone(), item.clone(), Arc::clone(&relabel), stop.clone());
                running.push(Running { item: item.clone(), relabel, stop, task: tokio::spawn(follow) });
            }
        }
    }

    /// Waits for the end of all, which they have been told.
    pub(super) async fn ended(&self) {
        let running = std::mem::take(&mut *self.running());
        for one in running {
            end((one.stop, one.task)).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the list of members of one item until it is stopped.
async fn follow(around: Around, config: Alertmanagers, relabel: Arc<[Rule]>, stop: CancellationToken) {
    let fetcher: Shared = Arc::new(Fetcher::new(config.client.clone()));
    let mut folders: Vec<Folder> = config.files.iter().map(Folder::new).collect();
    let every = config.files.iter().map(|files| files.refresh).min();
    let mut running: HashMap<String, (CancellationToken, JoinHandle<()>)> = HashMap::new();
    let mut fault: Option<String> = None;
    let mut known: Option<BTreeSet<String>> = None;
    loop {
        let (listed, now_fault) = listed(&config, &mut folders).await;
        if let Some(fault) = now_fault.as_ref().filter(|now| fault.as_ref() != Some(*now)) {
            warn!(error = %fault, "Alertmanagers cannot be discovered, those known stay");
        }
        fault = now_fault;
        // A folder that cannot be read at all tells nothing; then those known stay.
        if let Some(listed) = listed.or_else(|| known.clone()) {
            for gone in running.extract_if(|address, _| !listed.contains(address)).collect::<Vec<_>>() {
                end(gone.1).await;
            }
            for address in &listed {
                if !running.contains_key(address)
                    && let Some(url) = url(&config, address)
                {
                    let (stop, around) = (stop.child_token(), around.clone());
                    let (fetcher, relabel) = (Arc::clone(&fetcher), Arc::clone(&relabel));
                    let told = Told { url, fetcher, timeout: config.timeout, relabel, around };
                    let task = tokio::spawn(told.run(stop.clone()));
                    running.insert(address.clone(), (stop, task));
                }
            }
            known = Some(listed);
        }
        let wait = async {
            match every {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = wait => {}
        }
    }
    for (_, member) in running {
        end(member).await;
    }
}

async fn end((stop, task): (CancellationToken, JoinHandle<()>)) {
    stop.cancel();
    if let Err(error) = task.await {
        warn!(%error, "an Alertmanager's task did not end well");
    }
}

/// All that are listed now, and what is wrong with some of the lists.
async fn listed(
    config: &Alertmanagers,
    folders: &mut [Folder],
) -> (Option<BTreeSet<String>>, Option<String>) {
    let mut addresses: BTreeSet<String> =
        config.statics.iter().flat_map(|group| group.targets.iter().cloned()).collect();
    let mut fault = None;
    for folder in folders {
        match folder.read().await {
            Ok((found, wrong)) => {
                addresses.extend(found.into_iter().flat_map(|found| found.group.targets));
                fault = fault.or(wrong);
            }
            Err(error) => return (None, Some(error)),
        }
    }
    if addresses.len() > MOST_MEMBERS {
        fault = Some(format!("more than {MOST_MEMBERS} Alertmanagers; the rest is not told"));
        addresses = addresses.into_iter().take(MOST_MEMBERS).collect();
    }
    (Some(addresses), fault)
}

fn url(config: &Alertmanagers, address: &str) -> Option<Url> {
    let (host, port) = authority_of(address).ok()?;
    let path = format!("{}/api/v2/alerts", config.path_prefix);
    Some(Url { tls: config.tls, host, port, path, params: Vec::new() })
}

/// One member.
struct Told {
    url: Url,
    fetcher: Shared,
    timeout: Duration,
    relabel: Arc<[Rule]>,
    around: Around,
}

impl Told {
    async fn run(self, stop: CancellationToken) {
        let name = self.url.to_string();
        let around = &self.around;
        let figures = around.metrics.member(&name);
        let (mut member, mut line) = (Member::new(), Line::default());
        let mut standing = around.standing.clone();
        let mut up: Option<bool> = None;
        let mut closed = false;
        loop {
            let now_standing = Arc::clone(&standing.borrow_and_update());
            let alerts = prepare(&now_standing, &around.external_labels, &self.relabel);
            member.follow(&alerts);
            let due = member.due(&alerts, around.clock.now());
            if !due.is_empty() {
                let late = async {
                    stop.cancelled().await;
                    tokio::time::sleep(FLUSH).await;
                };
                let failed = tokio::select! {
                    failed = self.tell(&mut member, &mut line, &due) => failed,
                    () = late => break,
                };
                figures.up(failed.is_none(), around.clock.now());
                if let Some(why) = &failed
                    && up != Some(false)
                {
                    warn!(alertmanager = %name, %why, "the Alertmanager is not told; what stands is told when it is back");
                } else if failed.is_none() && up == Some(false) {
                    info!(alertmanager = %name, "the Alertmanager is told again");
                }
                up = Some(failed.is_none());
                around.health.set(WORD, &name, failed.as_deref());
            }
            if stop.is_cancelled() {
                break;
            }
            let now = around.clock.now();
            let next = member.next(&alerts, now).map(|next| next.saturating_sub(now.since_start));
            let wait = async {
                match next {
                    // What was refused is due never.
                    Some(wait) if wait < Duration::from_secs(86_400) => tokio::time::sleep(wait).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = wait => {}
                // Whoever publishes it may be gone already while what stands is still told.
                changed = standing.changed(), if !closed => closed = changed.is_err(),
            }
        }
        around.health.set(WORD, &name, None);
        figures.forget();
    }

    /// Tells what is due. Why it failed, if it did.
    async fn tell(&self, member: &mut Member, line: &mut Line, due: &[Arc<Prepared>]) -> Option<String> {
        let around = &self.around;
        let figures = around.metrics.member(&self.url.to_string());
        let mut batches: Vec<&[Arc<Prepared>]> = due.chunks(BATCH).rev().collect();
        while let Some(batch) = batches.pop() {
            let now = around.clock.now();
            let body = match body(batch, now, around.interval, &around.external_url) {
                Ok(body) => Bytes::from(body),
                Err(error) => return Some(error.to_string()),
            };
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let request = Request { url: self.url.clone(), headers, body };
            let began = Instant::now();
            let answer = post(&self.fetcher, line, &request, self.timeout).await;
            around.metrics.attempt(WORD, began.elapsed());
            let too_much =
                |status| [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE].contains(&status);
            if let Ok(reply) = &answer
                && too_much(reply.status)
            {
                // It says of all what is wrong with one: the halves show which.
                if let [bad] = batch {
                    let why: String = reply.text.chars().filter(|c| !c.is_control()).take(300).collect();
                    warn!(alertmanager = %self.url, labels = ?bad.labels(), %why, "the Alertmanager refuses an alert");
                    figures.refused();
                    member.refuses(bad, now);
                } else {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
                continue;
            }
            match verdict(answer, SystemTime::now()) {
                Outcome::Delivered => {
                    figures.sent(batch.len());
                    member.took(batch, now);
                }
                Outcome::Later(reason, why, asked) => {
                    figures.error(reason);
                    member.failed(around.clock.now(), asked, random());
                    return Some(why);
                }
                // Its configuration, or ours, is wrong; since it is told a state, it is tried again.
                Outcome::Refused(reason, why) => {
                    figures.error(reason);
                    member.failed(around.clock.now(), None, random());
                    return Some(why);
                }
            }
        }
        None
    }
}
