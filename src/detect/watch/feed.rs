//! Scores on their way into the table.
//!
//! The [`Board`] has the newest of each stream, so it is as large as there are streams and nothing has to wait: what the
//! ticker has not taken yet is replaced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::watcher::Row;
use crate::clock::Moment;
use crate::collect::feed::Feed;
use crate::collect::intake::Intake;
use crate::query::Labels;
use crate::registry::Gauge;
use crate::series::{FamilyMeta, Kind, NO_TIME, Role, Scope, Slot, SourceId};

/// What waits for the next tick.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    rows: HashMap<u64, Row>,
    gone: Vec<u64>,
    rates: Option<Vec<(Labels, f64)>>,
}

impl Board {
    pub(super) fn put(&self, rows: Vec<Row>, gone: Vec<u64>, rates: Option<Vec<(Labels, f64)>>) {
        if rows.is_empty() && gone.is_empty() && rates.is_none() {
            return;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &gone {
            waiting.rows.remove(id);
        }
        waiting.rows.extend(rows.into_iter().map(|row| (row.id, row)));
        waiting.gone.extend(gone);
        waiting.rates = rates.or(waiting.rates.take());
    }

    fn take(&self) -> Waiting {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Brings the scores to the tick. Their series are our own, `/metrics` shows them.
#[derive(Debug)]
pub(super) struct AnomalyFeed {
    board: Arc<Board>,
    bounds: bool,
    source: Option<SourceId>,
    /// Score, expected, lower and upper.
    families: [Arc<FamilyMeta>; 4],
    rate: Arc<FamilyMeta>,
    slots: HashMap<u64, [Option<Slot>; 4]>,
    rates: HashMap<Labels, Slot>,
    /// Scores that the table has not taken.
    refused: Gauge,
}

/// Name of the source.
const SOURCE: &str = "anomaly";

fn family(name: &str, help: &str) -> Arc<FamilyMeta> {
    Arc::new(FamilyMeta { name: name.into(), kind: Kind::Gauge, help: help.into(), unit: "".into() })
}

impl AnomalyFeed {
    pub(super) fn new(board: Arc<Board>, bounds: bool, refused: Gauge) -> Self {
        let families = [
            family(
                "gaugecast_anomaly_score",
                "How unusual the last value of a watched series is: 1 is the threshold of its detector.",
            ),
            family("gaugecast_anomaly_expected", "What its detector expected of a watched series."),
            family("gaugecast_anomaly_lower", "Lower end of what is usual for a watched series."),
            family("gaugecast_anomaly_upper", "Upper end of what is usual for a watched series."),
        ];
        let rate = family(
            "gaugecast_anomaly_rate",
            "Share of the watched series of a host that are anomalous, 0 to 1.",
        );
        let (slots, rates) = (HashMap::new(), HashMap::new());
        AnomalyFeed { board, bounds, source: None, families, rate, slots, rates, refused }
    }

    fn row(&mut self, intake: &mut Intake, source: SourceId, row: &Row) {
        let slots = self.slots.entry(row.id).or_default();
        let values = [row.score, row.expected, row.lower, row.upper];
        let shown = if self.bounds { 4 } else { 1 };
        for ((family, slot), value) in self.families.iter().zip(slots).zip(values).take(shown) {
            // What is not known yet has no series.
            if slot.is_none() && value.is_nan() {
                continue;
            }
            let table = intake.table();
            if slot.is_none() {
                match table.series(source, family, Role::Value, &family.name, &row.labels) {
                    Ok(found) => *slot = Some(found),
                    Err(_) => self.refused.inc(),
                }
            }
            if let Some(slot) = slot {
                table.set(*slot, value, NO_TIME);
            }
        }
    }
}

impl Feed for AnomalyFeed {
    fn take(&mut self, intake: &mut Intake, _: Moment) {
        let waiting = self.board.take();
        if waiting.rows.is_empty() && waiting.gone.is_empty() && waiting.rates.is_none() {
            return;
        }
        let source = *self.source.get_or_insert_with(|| intake.add_source(SOURCE, Scope::Own));
        for id in waiting.gone {
            for slot in self.slots.remove(&id).into_iter().flatten().flatten() {
                intake.table().remove(slot);
            }
        }
        self.refused.set(0);
        for row in waiting.rows.values() {
            self.row(intake, source, row);
        }
        let Some(rates) = waiting.rates else { return };
        let table = intake.table();
        self.rates.retain(|host, slot| {
            let stays = rates.iter().any(|(known, _)| known == host);
            if !stays {
                table.remove(*slot);
            }
            stays
        });
        for (host, rate) in rates {
            let labels: Vec<(&str, &str)> = host.iter().collect();
            let name = &self.rate.name;
            let slot = match self.rates.get(&host) {
                Some(slot) => *slot,
                None => match table.series(source, &self.rate, Role::Value, name, &labels) {
                    Ok(slot) => slot,
                    Err(_) => continue,
                },
            };
            table.set(slot, rate, NO_TIME);
            self.rates.insert(host, slot);
        }
    }
}
