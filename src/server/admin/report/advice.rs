//! What to do, and why: rules over the figures, each of which says the figures by which it came to it.
//!
//! A rule speaks only where there is enough to judge ([`ENOUGH`] runs), and about the worst few, so that the list stays one that
//! somebody reads.

use serde::Serialize;

use super::{Regressions, milliseconds, percent};
use crate::monitor::{Criterion, OperationFigures, SecurityKind, Snapshot};

/// Runs of an operation before anything is said about it.
const ENOUGH: u64 = 20;

/// Operations that one rule names.
const MOST: usize = 3;

/// One p99 that is so many times the median is a long tail: for most users all is well, and some wait.
const LONG_TAIL: f64 = 20.0;

/// Failed logins in a minute that no forgetful person makes.
const LOGINS: u64 = 10;

/// A piece of advice.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Advice {
    severity: Urgency,
    /// What is so.
    pub(super) what: String,
    /// What to do about it.
    #[serde(rename = "do")]
    pub(super) action: String,
    /// The figures.
    pub(super) evidence: String,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Urgency {
    Info,
    Warning,
    Critical,
}

impl Advice {
    pub(super) const fn urgency(&self) -> &'static str {
        match self.severity {
            Urgency::Info => "info",
            Urgency::Warning => "warning",
            Urgency::Critical => "critical",
        }
    }
}

/// All that there is to say, the most urgent first.
pub(super) fn all(snapshot: &Snapshot, regressions: &Regressions) -> Vec<Advice> {
    let mut all = Vec::new();
    slow(snapshot, &mut all);
    failing(snapshot, &mut all);
    tails(snapshot, &mut all);
    memory(snapshot, &mut all);
    security(snapshot, &mut all);
    host(snapshot, &mut all);
    worse(regressions, &mut all);
    all.sort_by_key(|advice: &Advice| std::cmp::Reverse(advice.severity));
    all
}

fn threshold(snapshot: &Snapshot, criterion: Criterion) -> Option<f64> {
    snapshot.verdicts.iter().find(|verdict| verdict.criterion == criterion).map(|verdict| verdict.threshold)
}

fn ran_enough(operation: &&&OperationFigures) -> bool {
    operation.count >= ENOUGH
}

fn slow(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    let common = threshold(snapshot, Criterion::MeanResponse);
    let spent: f64 = snapshot.operations.iter().map(|operation| operation.total_ms).sum();
    let slow = snapshot.slowest(usize::MAX);
    let slow = slow.iter().filter(ran_enough).filter_map(|operation| {
        let threshold = operation.mean_threshold_ms.or(common)?;
        (operation.mean_ms > threshold).then_some((operation, threshold))
    });
    for (operation, threshold) in slow.take(MOST) {
        let share = if spent > 0.0 { operation.total_ms / spent } else { 0.0 };
        let database = operation.name.starts_with("db_");
        all.push(Advice {
            severity: if operation.mean_ms > 10.0 * threshold { Urgency::Critical } else { Urgency::Warning },
            what: format!("{} is slow", operation.name),
            action: match (share > 0.5, database) {
                (true, _) => "begin here: most of the time of all operations is spent in it".into(),
                (false, true) => {
                    "look at the query's plan and its indexes, and at how long it waits for a connection"
                        .into()
                }
                (false, false) => "profile it, and look for what it waits for".into(),
            },
            evidence: format!(
                "mean {}, p95 {} of {} runs, above {}; {} of the time of all operations",
                milliseconds(operation.mean_ms),
                milliseconds(operation.p95_ms),
                operation.count,
                milliseconds(threshold),
                percent(share),
            ),
        });
    }
}

fn failing(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    let common = threshold(snapshot, Criterion::ErrorRatio);
    let failing = snapshot.failing(usize::MAX);
    let failing = failing.iter().filter(ran_enough).filter_map(|operation| {
        let threshold = operation.error_threshold.or(common)?;
        (operation.error_ratio > threshold).then_some((operation, threshold))
    });
    for (operation, threshold) in failing.take(MOST) {
        let kinds: Vec<String> = operation
            .errors_by_kind
            .iter()
            .take(3)
            .map(|kind| format!("{} × {}", kind.kind, kind.count))
            .collect();
        let first = operation.errors_by_kind.first().map_or("error", |kind| kind.kind.as_str());
        all.push(Advice {
            severity: if operation.error_ratio > 0.25 { Urgency::Critical } else { Urgency::Warning },
            what: format!("{} fails too often", operation.name),
            action: format!("find out where {first:?} comes from; it is the most frequent kind"),
            evidence: format!(
                "{} of {} runs failed, {}, above {}: {}",
                operation.errors,
                operation.count,
                percent(operation.error_ratio),
                percent(threshold),
                kinds.join(", "),
            ),
        });
    }
}

fn tails(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    let long = |operation: &&&OperationFigures| {
        operation.count >= 5 * ENOUGH
            && operation.p50_ms > 0.0
            && operation.p99_ms > LONG_TAIL * operation.p50_ms
    };
    let busiest = snapshot.busiest(usize::MAX);
    for operation in busiest.iter().filter(long).take(MOST) {
        all.push(Advice {
            severity: Urgency::Info,
            what: format!("{} has a long tail", operation.name),
            action: "look for what only some runs meet: a lock, a cold cache, a retry, a large input".into(),
            evidence: format!(
                "p99 {} is {:.0} times the median of {} in {} runs",
                milliseconds(operation.p99_ms),
                operation.p99_ms / operation.p50_ms,
                milliseconds(operation.p50_ms),
                operation.count,
            ),
        });
    }
}

fn memory(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    let Some(allocations) = &snapshot.allocations else { return };
    if let Some(most) = threshold(snapshot, Criterion::AllocationRate)
        && allocations.allocations_per_second > most
    {
        let per_run = snapshot.overview.window.per_second;
        all.push(Advice {
            severity: Urgency::Warning,
            what: "much is allocated".into(),
            action: "reuse buffers on the busiest paths".into(),
            evidence: format!(
                "{:.0} allocations a second at {per_run:.1} operations a second, above {most:.0}",
                allocations.allocations_per_second
            ),
        });
    }
    let leaked = threshold(snapshot, Criterion::Leak).unwrap_or(0.0);
    #[allow(clippy::cast_precision_loss, reason = "bytes are compared with a threshold")]
    let leaks = allocations.scopes.iter().filter(|scope| scope.remaining_bytes as f64 > leaked);
    for scope in leaks.take(MOST) {
        all.push(Advice {
            severity: Urgency::Warning,
            what: format!("{} leaves memory behind", scope.name),
            action: "find what it stores and does not give back".into(),
            evidence: format!(
                "{} bytes in {} allocations were left after it, above {leaked:.0} bytes",
                scope.remaining_bytes, scope.remaining_allocations
            ),
        });
    }
}

fn security(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    for kind in &snapshot.security.by_kind {
        let (what, action) = match kind.kind {
            SecurityKind::FailedLogin if kind.last_minute >= LOGINS => {
                ("somebody tries to log in", "block the source, and see whether an account gave way")
            }
            SecurityKind::SuspiciousPattern if kind.last_minute > 0 => {
                ("something looks like an attack", "look at the last events, and block the source")
            }
            _ => continue,
        };
        all.push(Advice {
            severity: Urgency::Critical,
            what: what.into(),
            action: action.into(),
            evidence: format!(
                "{} × {} in the last minute, {} in all",
                kind.kind.as_str(),
                kind.last_minute,
                kind.count
            ),
        });
    }
}

fn host(snapshot: &Snapshot, all: &mut Vec<Advice>) {
    let Some(system) = &snapshot.system else { return };
    if let Some(ratio) = system.host_memory_ratio.filter(|ratio| *ratio > 0.9) {
        all.push(Advice {
            severity: Urgency::Warning,
            what: "the memory of the host is nearly used up".into(),
            action: "give it more, or move something away, before the kernel ends a process".into(),
            evidence: format!("{} of the memory is in use", percent(ratio)),
        });
    }
    if let (Some(load), Some(cores)) = (system.host_load1, system.host_cores)
        && cores > 0.0
        && load > 2.0 * cores
    {
        all.push(Advice {
            severity: Urgency::Warning,
            what: "the host is overloaded".into(),
            action: "see what else runs there; what is slow may only wait for a core".into(),
            evidence: format!("load {load:.1} on {cores:.0} cores"),
        });
    }
}

fn worse(regressions: &Regressions, all: &mut Vec<Advice>) {
    let name = regressions.baseline.as_deref().unwrap_or_default();
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.6}"));
    for one in regressions.found.iter().take(MOST) {
        all.push(Advice {
            severity: Urgency::Warning,
            what: format!("{} is worse than in the baseline", one.series),
            action: "look at what was changed since the baseline was saved".into(),
            evidence: format!("mean {} now, {} in {name}", shown(one.after), shown(one.before)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::snapshot;
    use super::*;

    #[test]
    fn nothing_is_said_where_all_is_well_or_little_is_known() {
        let mut quiet = snapshot();
        quiet.operations.iter_mut().for_each(|operation| operation.count = 5);
        assert!(all(&quiet, &Regressions::default()).is_empty());
    }

    #[test]
    fn the_most_urgent_comes_first() {
        let mut bad = snapshot();
        bad.operations[1].error_ratio = 0.5;
        bad.verdicts.push(crate::monitor::Verdict {
            criterion: Criterion::ErrorRatio,
            ok: Some(false),
            value: Some(0.5),
            threshold: 0.01,
            reasons: Vec::new(),
        });
        let all = all(&bad, &Regressions::default());
        assert!(all.len() >= 2 && all[0].severity == Urgency::Critical, "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    }
}
