//! Remote write as a feed of the tick.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::inbox::{Inbox, MOST_FAMILIES, Newest};
use super::metrics::{Metrics, Refusal};
use crate::clock::Moment;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::history::is_stale;
use crate::remote::Metadata;
use crate::series::{FamilyMeta, Kind, Refused, Role, Scope, Slot, SourceId, key};

/// How often series are looked for that have fallen silent.
const SWEEP: Duration = Duration::from_secs(5);

/// Brings the newest samples of an [`Inbox`] to the tick. A series is live from its first sample to its stale marker, or to
/// the end of five minutes without one.
#[derive(Debug)]
pub struct RemoteFeed {
    inbox: Inbox,
    metrics: Metrics,
    source: Option<SourceId>,
    /// By key.
    live: HashMap<String, Live>,
    /// What was said of families, by the name under which it was said.
    told: HashMap<String, Metadata>,
    next_sweep: Duration,
}

#[derive(Debug)]
struct Live {
    slot: Slot,
    family: Arc<FamilyMeta>,
    role: Role,
    time: i64,
    value: f64,
    until: Duration,
}

impl RemoteFeed {
    pub(super) fn new(inbox: Inbox, metrics: Metrics) -> Self {
        RemoteFeed {
            inbox,
            metrics,
            source: None,
            live: HashMap::new(),
            told: HashMap::new(),
            next_sweep: Duration::ZERO,
        }
    }

    /// Learns what is said of families; gives whether that changes anything.
    fn learn(&mut self, metadata: HashMap<String, Metadata>) -> bool {
        let mut news = false;
        for (name, told) in metadata {
            if self.told.get(&name) == Some(&told) {
                continue;
            }
            if self.told.len() < MOST_FAMILIES || self.told.contains_key(&name) {
                self.told.insert(name, told);
                news = true;
            }
        }
        news
    }

    /// Puts each series where it belongs by what is known now. A histogram is often described after its first samples.
    fn place_again(&mut self, intake: &mut Intake, source: SourceId) {
        let told = &self.told;
        self.live.retain(|text, live| {
            let (family, role) = place(told, &key::name(text));
            if *live.family == family {
                return true;
            }
            let table = intake.table();
            let family = Arc::new(family);
            if live.family.name == family.name && live.role == role {
                table.redefine(source, &family);
                live.family = family;
                return true;
            }
            table.remove(live.slot);
            let Ok(slot) = add(table, source, &family, role, text) else { return false };
            table.set(slot, live.value, live.time);
            *live = Live { slot, family, role, ..*live };
            true
        });
    }

    fn sample(&mut self, intake: &mut Intake, source: SourceId, text: String, sample: Newest) {
        let table = intake.table();
        if let Some(live) = self.live.get_mut(&text) {
            if sample.time <= live.time {
                return;
            }
            if is_stale(sample.value) {
                table.remove(live.slot);
                self.live.remove(&text);
                return;
            }
            table.set(live.slot, sample.value, sample.time);
            (live.time, live.value, live.until) = (sample.time, sample.value, sample.until);
            return;
        }
        if is_stale(sample.value) {
            return;
        }
        let (family, role) = place(&self.told, &key::name(&text));
        let family = Arc::new(family);
        match add(table, source, &family, role, &text) {
            Ok(slot) => {
                table.set(slot, sample.value, sample.time);
                let Newest { time, value, until } = sample;
                self.live.insert(text, Live { slot, family, role, time, value, until });
            }
            Err(Refused::Duplicate) => self.metrics.refuse(Refusal::Duplicate),
            Err(Refused::Full(_)) => self.metrics.refuse(Refusal::Limit),
        }
    }
}

impl Feed for RemoteFeed {
    fn take(&mut self, intake: &mut Intake, now: Moment) {
        let come = self.inbox.take();
        let news = self.learn(come.metadata);
        if self.source.is_none() && come.samples.is_empty() {
            return;
        }
        let source = *self.source.get_or_insert_with(|| intake.add_source("remote_write", Scope::Foreign));
        if news {
            self.place_again(intake, source);
        }
        for (text, sample) in come.samples {
            self.sample(intake, source, text, sample);
        }
        if now.since_start >= self.next_sweep {
            self.next_sweep = now.since_start + SWEEP;
            self.live.retain(|_, live| {
                let stays = live.until > now.since_start;
                if !stays {
                    intake.table().remove(live.slot);
                }
                stays
            });
        }
        self.metrics.series.set(i64::try_from(self.live.len()).unwrap_or(i64::MAX));
    }
}

fn add(
    table: &mut crate::series::Table,
    source: SourceId,
    family: &Arc<FamilyMeta>,
    role: Role,
    text: &str,
) -> Result<Slot, Refused> {
    let labels: Vec<_> = key::labels(text).collect();
    table.series(source, family, role, &key::name(text), &labels)
}

/// The family of a series, and what it is in it, by what was said: of its own name, or of the name without a suffix that the
/// type has.
fn place(told: &HashMap<String, Metadata>, name: &str) -> (FamilyMeta, Role) {
    let meta = |family: &str, told: Option<&Metadata>| FamilyMeta {
        name: family.into(),
        kind: told.map_or(Kind::Unknown, |told| told.kind),
        help: told.map_or("", |told| &told.help).into(),
        unit: told.map_or("", |told| &told.unit).into(),
    };
    if let Some(told) = told.get(name) {
        return (meta(name, Some(told)), Role::Value);
    }
    if let Some((base, suffix)) = name.rfind('_').map(|at| name.split_at(at))
        && let Some(told) = told.get(base)
    {
        let found = match (told.kind, suffix) {
            (Kind::Counter, "_total") | (Kind::Info, "_info") => Some((name, Role::Value)),
            (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => Some((base, Role::Bucket)),
            (Kind::Histogram | Kind::Summary, "_sum") | (Kind::GaugeHistogram, "_gsum") => {
                Some((base, Role::Sum))
            }
            (Kind::Histogram | Kind::Summary, "_count") | (Kind::GaugeHistogram, "_gcount") => {
                Some((base, Role::Count))
            }
            (Kind::Histogram | Kind::Summary, "_created") => Some((base, Role::Created)),
            _ => None,
        };
        if let Some((family, role)) = found {
            return (meta(family, Some(told)), role);
        }
    }
    (meta(name, None), Role::Value)
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
