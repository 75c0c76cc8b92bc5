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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Moment;
    use crate::series::{Epoch, FamilyMeta, Kind, NO_TIME, Role, Scope, Table};

    /// Name, labels, value.
    type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    /// A tick after so many seconds with these series; a foreign host beside it.
    fn tick(seconds: u64, own: &[Sample<'_>]) -> Arc<Tick> {
        let mut table = Table::new(Epoch(1), 100);
        for (scope, factor) in [(Scope::Own, 1.0), (Scope::Foreign, 1000.0)] {
            let source = table.add_source("test", scope);
            for (name, labels, value) in own {
                let meta =
                    FamilyMeta { name: (*name).into(), kind: Kind::Gauge, help: "".into(), unit: "".into() };
                let mut labels = labels.to_vec();
                if scope == Scope::Foreign {
                    labels.push(("instance", "there"));
                    labels.sort_unstable();
                }
                let slot = table.series(source, &Arc::new(meta), Role::Value, name, &labels).unwrap();
                table.set(slot, value * factor, NO_TIME);
            }
        }
        let since_start = Duration::from_secs(seconds);
        table.commit(Moment { since_start, unix_ms: 1_000 * seconds as i64 }, 0)
    }

    #[test]
    fn cpu_is_what_was_used_between_two_readings_of_this_host() {
        let at = |seconds, process, idle, user| {
            tick(
                seconds,
                &[
                    ("process_cpu_seconds_total", &[], process),
                    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], idle),
                    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")], user),
                    ("node_memory_MemTotal_bytes", &[], 8e9),
                    ("node_memory_MemAvailable_bytes", &[], 2e9),
                    ("node_load1", &[], 1.5),
                ],
            )
        };
        let (first, counted) = read(&at(10, 1.0, 100.0, 20.0), None);
        assert_eq!((first.process_cpu_cores, first.host_cpu_ratio), (None, None));
        assert_eq!(
            (first.host_memory_ratio, first.host_load1, first.host_cores),
            (Some(0.75), Some(1.5), Some(1.0))
        );
        let (second, _) = read(&at(15, 3.5, 101.0, 24.0), Some(&counted));
        assert_eq!((second.process_cpu_cores, second.host_cpu_ratio), (Some(0.5), Some(0.8)));
        assert_eq!(second.at_ms, 15_000);
    }

    #[test]
    fn what_is_not_collected_is_none() {
        let (figures, counted) = read(&tick(1, &[]), None);
        assert_eq!(figures, SystemFigures { at_ms: 1_000, ..SystemFigures::default() });
        assert_eq!(read(&tick(2, &[]), Some(&counted)).0.host_cpu_ratio, None);
    }
}
