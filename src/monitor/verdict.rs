//! Whether it is good enough: each criterion against its threshold, with reasons.
//!
//! A pure function of a snapshot. What has been said once stands in the snapshot with a window, so a verdict recovers by
//! itself once the window is past. An operation with thresholds of its own is judged by these, over its last runs, and
//! not with the others: what is slow by nature does not hide behind, nor spoil, the mean of all.

use std::collections::HashSet;

use super::config::Thresholds;
use super::snapshot::{AllocationFigures, Criterion, OperationFigures, Snapshot, Verdict};

/// How many operations are named as a reason.
const NAMED: usize = 3;

/// Judges all criteria, in the order of [`Criterion::ALL`].
#[must_use]
pub fn judge(snapshot: &Snapshot, thresholds: &Thresholds) -> Vec<Verdict> {
    Criterion::ALL
        .into_iter()
        .map(|criterion| match criterion {
            Criterion::MeanResponse => mean_response(snapshot, thresholds.mean_response.as_secs_f64() * 1e3),
            Criterion::ErrorRatio => {
                error_ratio(snapshot, f64::from(thresholds.errors_per_thousand) / 1000.0)
            }
            Criterion::Leak => leak(snapshot.allocations.as_ref(), thresholds.leaked_bytes),
            Criterion::AllocationRate => allocation_rate(snapshot, thresholds.allocations_per_second),
        })
        .collect()
}

fn mean_response(snapshot: &Snapshot, threshold: f64) -> Verdict {
    let all = &snapshot.overview.judged;
    let (count, seconds, mean) = (all.count, all.seconds, all.mean_ms);
    let above = |operation: &OperationFigures| {
        let own = operation.mean_threshold_ms?;
        (operation.recent.count > 0 && operation.recent.mean_ms > own).then(|| {
            let OperationFigures { name, recent, .. } = operation;
            format!(
                "{name}: mean of the last {} runs {:.3} ms, above its own {own:.3} ms",
                recent.count, recent.mean_ms
            )
        })
    };
    let total =
        format!("mean of {count} runs in {seconds:.0} s is {mean:.3} ms, threshold {threshold:.3} ms");
    let worst = |operation: &OperationFigures| {
        let mean = operation.recent.mean_ms;
        let slow = operation.mean_threshold_ms.is_none() && mean > threshold;
        slow.then(|| {
            (mean, format!("{}: {mean:.3} ms in its last {}", operation.name, operation.recent.count))
        })
    };
    let judged = (count > 0).then_some((mean, mean <= threshold, total));
    of_operations(snapshot, Criterion::MeanResponse, threshold, judged, above, worst)
}

fn error_ratio(snapshot: &Snapshot, threshold: f64) -> Verdict {
    let all = &snapshot.overview.judged;
    let (count, seconds, errors, ratio) = (all.count, all.seconds, all.errors, all.error_ratio);
    let percent = |ratio: f64| format!("{:.2} %", ratio * 100.0);
    #[allow(clippy::cast_precision_loss)]
    let recent =
        |operation: &OperationFigures| operation.recent.errors as f64 / operation.recent.count.max(1) as f64;
    let above = |operation: &OperationFigures| {
        let (own, ratio) = (operation.error_threshold?, recent(operation));
        (ratio > own).then(|| {
            let OperationFigures { name, recent, .. } = operation;
            format!(
                "{name}: {} of the last {} runs failed, more than its own {}",
                recent.errors,
                recent.count,
                percent(own)
            )
        })
    };
    let total = format!(
        "{errors} of {count} runs in {seconds:.0} s failed, {}, threshold {}",
        percent(ratio),
        percent(threshold)
    );
    let worst = |operation: &OperationFigures| {
        let ratio = recent(operation);
        let kind = operation.errors_by_kind.first().map_or("", |kind| &kind.kind);
        let bad = operation.error_threshold.is_none() && ratio > threshold;
        bad.then(|| {
            (
                ratio,
                format!(
                    "{}: {} of its last {}, mostly {kind}",
                    operation.name,
                    percent(ratio),
                    operation.recent.count
                ),
            )
        })
    };
    let judged = (count > 0).then_some((ratio, ratio <= threshold, total));
    of_operations(snapshot, Criterion::ErrorRatio, threshold, judged, above, worst)
}

/// Those without thresholds of their own together (`judged`: value, good, sentence), the others each for itself.
fn of_operations(
    snapshot: &Snapshot,
    criterion: Criterion,
    threshold: f64,
    judged: Option<(f64, bool, String)>,
    above_own: impl Fn(&OperationFigures) -> Option<String>,
    worst: impl Fn(&OperationFigures) -> Option<(f64, String)>,
) -> Verdict {
    let own: Vec<String> = snapshot.operations.iter().filter_map(above_own).collect();
    let value = judged.as_ref().map(|(value, ..)| *value);
    let ok = judged.as_ref().map(|(_, ok, _)| *ok);
    let mut reasons = Vec::new();
    if let Some((_, ok, total)) = judged {
        reasons.push(total);
        if !ok {
            let mut named: Vec<_> = snapshot.operations.iter().filter_map(worst).collect();
            named.sort_by(|a, b| b.0.total_cmp(&a.0));
            reasons.extend(named.into_iter().take(NAMED).map(|(_, reason)| reason));
        }
    } else {
        reasons.push("no operation ended".to_owned());
    }
    let ok = if own.is_empty() { ok } else { Some(false) };
    reasons.extend(own);
    Verdict { criterion, ok, value, threshold, reasons }
}

#[allow(clippy::cast_precision_loss)]
fn leak(allocations: Option<&AllocationFigures>, most: usize) -> Verdict {
    let mut seen = HashSet::new();
    // Newest first: of a scope that was checked again only the last result counts.
    let scopes = allocations.iter().flat_map(|figures| &figures.scopes);
    let scopes: Vec<_> = scopes.filter(|scope| seen.insert(&scope.name)).collect();
    let leaking = |bytes: i64| u64::try_from(bytes).unwrap_or(0) > most as u64;
    let mut reasons: Vec<String> = scopes
        .iter()
        .filter(|scope| leaking(scope.remaining_bytes))
        .map(|scope| {
            let (name, blocks, bytes) = (&scope.name, scope.remaining_allocations, scope.remaining_bytes);
            format!("after {name} {bytes} bytes in {blocks} blocks remain, threshold {most} bytes")
        })
        .collect();
    let ok = (!scopes.is_empty()).then_some(reasons.is_empty());
    if reasons.is_empty() {
        reasons.push(match scopes.len() {
            0 => "no scope was checked".to_owned(),
            checked => format!("nothing remains after {checked} scopes"),
        });
    }
    let value = scopes.iter().map(|scope| scope.remaining_bytes.max(0)).max().map(|bytes| bytes as f64);
    Verdict { criterion: Criterion::Leak, ok, value, threshold: most as f64, reasons }
}

#[allow(clippy::cast_precision_loss)]
fn allocation_rate(snapshot: &Snapshot, most: usize) -> Verdict {
    let (criterion, threshold) = (Criterion::AllocationRate, most as f64);
    let seconds = snapshot.overview.window.seconds;
    // Less than a second says nothing of what lasts.
    let Some(figures) = snapshot.allocations.as_ref().filter(|_| seconds >= 1.0) else {
        let reasons = vec!["allocations are not counted, or not yet".to_owned()];
        return Verdict { criterion, ok: None, value: None, threshold, reasons };
    };
    let rate = figures.allocations_per_second;
    let reason = format!("{rate:.0} allocations a second over {seconds:.0} s, threshold {threshold:.0}");
    Verdict { criterion, ok: Some(rate <= threshold), value: Some(rate), threshold, reasons: vec![reason] }
}
