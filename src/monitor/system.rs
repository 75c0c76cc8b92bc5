//! Process and host, from the series of a committed tick: the collectors have read them already, for everybody.

use std::time::Duration;

use super::snapshot::SystemFigures;
use crate::series::{Series, Tick};

/// What is counted up, at one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    at: Duration,
    process_cpu: Option<f64>,
    /// All modes of all cores, and those in which nothing is done.
    host_cpu: Option<(f64, f64)>,
}

/// The figures at a tick, and what the next reading needs of this one. What is told by two readings only is `None`
/// the first time.
pub(super) fn read(tick: &Tick, before: Option<&Counted>) -> (SystemFigures, Counted) {
    let one = |name: &str| samples(tick, name).map(|(_, value)| value).next();
    let host_cpu =
        samples(tick, "node_cpu_seconds_total").fold(None, |sum: Option<(f64, f64)>, (series, value)| {
            let idle = matches!(mode(series).as_deref(), Some("idle" | "iowait"));
            let (all, rest) = sum.unwrap_or_default();
            Some((all + value, if idle { rest + value } else { rest }))
        });
    let counted =
        Counted { at: tick.at.since_start, process_cpu: one("process_cpu_seconds_total"), host_cpu };
    let seconds =
        before.map(|before| counted.at.saturating_sub(before.at).as_secs_f64()).filter(|s| *s > 0.0);
    let process_cpu_cores =
        before.and_then(|before| Some((counted.process_cpu? - before.process_cpu?).max(0.0) / seconds?));
    let host_cpu_ratio = before.and_then(|before| {
        let (now, then) = (counted.host_cpu?, before.host_cpu?);
        let all = now.0 - then.0;
        (all > 0.0).then(|| (1.0 - (now.1 - then.1) / all).clamp(0.0, 1.0))
    });
    let host_memory_bytes = one("node_memory_MemTotal_bytes");
    let available = one("node_memory_MemAvailable_bytes");
    let cores = samples(tick, "node_cpu_seconds_total")
        .filter(|(series, _)| mode(series).as_deref() == Some("idle"))
        .count();
    #[allow(clippy::cast_precision_loss)]
    let host_cores = (cores > 0).then_some(cores as f64);
    let figures = SystemFigures {
        at_ms: tick.at.unix_ms,
        process_cpu_cores,
        process_memory_bytes: one("process_resident_memory_bytes"),
        process_threads: one("process_threads"),
        process_open_fds: one("process_open_fds"),
        host_cpu_ratio,
        host_memory_ratio: host_memory_bytes
            .zip(available)
            .filter(|(all, _)| *all > 0.0)
            .map(|(all, available)| (1.0 - available / all).clamp(0.0, 1.0)),
        host_memory_bytes,
        host_load1: one("node_load1"),
        host_cores,
    };
    (figures, counted)
}

/// The series of a family of one sample a series: our own host's, not those that are scraped elsewhere.
fn samples<'a>(tick: &'a Tick, name: &str) -> impl Iterator<Item = (&'a Series, f64)> + use<'a> {
    let own = &tick.schema.own;
    let family = own.binary_search_by(|family| (*family.meta.name).cmp(name)).ok().map(|at| &own[at]);
    let series = family.into_iter().flat_map(|family| family.series.iter().map(|series| &**series));
    series.map(|series| (series, tick.value(series)))
}

fn mode(series: &Series) -> Option<String> {
    series.labels().find(|(name, _)| name == "mode").map(|(_, mode)| mode.into_owned())
}
