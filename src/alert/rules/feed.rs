//! What rules give, on its way into the series table.
//!
//! `ALERTS` and `ALERTS_FOR_STATE` are our own series: they are on `/metrics`, as figures of this server, with the time of the tick.
//! Series that rules record belong to others' series, from which they are computed: they are in the stream, the history, queries and
//! `/federate`, each sample at the time of its evaluation, and not on `/metrics`; a Prometheus does not put what it records onto
//! its page either, and one that scrapes us and loads the same file would have everything twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::group::{ALERTS, ALERTS_FOR_STATE, Results};
use crate::clock::Moment;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::query::Labels;
use crate::query::labels::METRIC_NAME;
use crate::registry::{Counter, Desc, Family, RegisterError, Registry};
use crate::series::{FamilyMeta, Kind, NO_TIME, Refused, Role, Scope, Slot, SourceId};

crate::label_set! {
    struct ByReason { reason: &'static str }
}

/// Where evaluations leave their series. Clones are the same one. It holds one set of series a rule: what is not taken
/// before the next evaluation is replaced by it.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    come: Mutex<HashMap<Arc<str>, Come>>,
    refused: Family<ByReason, Counter>,
}

#[derive(Debug)]
enum Come {
    Results(Results),
    /// The rule is no more.
    Gone,
}

impl Outbox {
    /// An empty one.
    ///
    /// # Errors
    /// When its metric is registered already.
    pub fn new(registry: &Registry) -> Result<Self, RegisterError> {
        let refused = registry.family(
            Desc::new(
                "gaugecast_rule_samples_refused",
                "Samples of rules that the series table did not take: duplicate (the series comes from elsewhere, or from another \
                 rule) or limit (collect.series_limit).",
            ),
            (),
        )?;
        Ok(Outbox(Arc::new(Shared { come: Mutex::default(), refused })))
    }

    /// What brings to the tick what is left here. There is to be one.
    #[must_use]
    pub fn feed(&self) -> RuleFeed {
        RuleFeed { outbox: self.clone(), sources: None, live: HashMap::new() }
    }

    pub(super) fn results(&self, results: Results) {
        self.lock().insert(Arc::clone(&results.source), Come::Results(results));
    }

    pub(super) fn gone(&self, source: Arc<str>) {
        self.lock().insert(source, Come::Gone);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Come>> {
        // A panic elsewhere leaves whole sets behind.
        self.0.come.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the series of rules to the tick.
#[derive(Debug)]
pub struct RuleFeed {
    outbox: Outbox,
    /// That of alerts, and that of recorded series.
    sources: Option<(SourceId, SourceId)>,
    /// By rule.
    live: HashMap<Arc<str>, HashMap<Labels, Slot>>,
}

impl Feed for RuleFeed {
    fn take(&mut self, intake: &mut Intake, _: Moment) {
        let come = std::mem::take(&mut *self.outbox.lock());
        if come.is_empty() {
            return;
        }
        let (alerts, recorded) = *self.sources.get_or_insert_with(|| {
            (intake.add_source("alerts", Scope::Own), intake.add_source("rules", Scope::Foreign))
        });
        // First what goes: what a rule does not give any more, another one may.
        let mut rest = Vec::new();
        for (source, come) in come {
            let before = self.live.remove(&source).unwrap_or_default();
            let Come::Results(results) = come else {
                before.into_values().for_each(|slot| intake.table().remove(slot));
                continue;
            };
            let mut stays: HashMap<Labels, Slot> = HashMap::with_capacity(results.samples.len());
            let named: std::collections::HashSet<&Labels> =
                results.samples.iter().map(|s| &s.labels).collect();
            for (labels, slot) in before {
                if named.contains(&labels) {
                    stays.insert(labels, slot);
                } else {
                    intake.table().remove(slot);
                }
            }
            rest.push((results, stays));
        }
        for (results, mut slots) in rest {
            let of = if results.recorded { recorded } else { alerts };
            for sample in results.samples {
                let slot = match slots.get(&sample.labels) {
                    Some(slot) => *slot,
                    None => match add(intake, of, &sample.labels) {
                        Ok(slot) => slot,
                        Err(refused) => {
                            let reason = match refused {
                                Refused::Duplicate => "duplicate",
                                Refused::Full(_) => "limit",
                            };
                            self.outbox.0.refused.get(&ByReason { reason }).inc();
                            continue;
                        }
                    },
                };
                let time = if results.recorded { sample.at_ms } else { NO_TIME };
                intake.table().set(slot, sample.value, time);
                slots.insert(sample.labels, slot);
            }
            if !slots.is_empty() {
                self.live.insert(results.source, slots);
            }
        }
    }
}

fn add(intake: &mut Intake, source: SourceId, labels: &Labels) -> Result<Slot, Refused> {
    let name = labels.name();
    let (kind, help) = match name {
        ALERTS => (Kind::Gauge, "Alerts of rules that are pending or fire; the value is 1."),
        ALERTS_FOR_STATE => (Kind::Gauge, "Since when alerts are pending or fire, Unix seconds."),
        _ => (Kind::Unknown, ""),
    };
    let family = Arc::new(FamilyMeta { name: name.into(), kind, help: help.into(), unit: "".into() });
    let pairs: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    intake.table().series(source, &family, Role::Value, name, &pairs)
}
