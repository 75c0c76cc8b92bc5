use std::sync::Barrier;
use std::time::Duration;

use super::*;
use crate::registry::Registry;

fn monitor() -> (Registry, Monitor) {
    let registry = Registry::new();
    let monitor = Monitor::new(&registry, Config::default()).unwrap();
    (registry, monitor)
}

fn page(registry: &Registry) -> String {
    let mut page = Vec::new();
    registry.page(&mut page);
    String::from_utf8(page).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `seconds` after now.
fn later(monitor: &Monitor, seconds: u64) -> Moment {
    let now = monitor.now();
    Moment {
        since_start: now.since_start + Duration::from_secs(seconds),
        unix_ms: now.unix_ms + seconds as i64 * 1000,
    }
}

fn verdict(verdicts: &[Verdict], criterion: Criterion) -> Verdict {
    verdicts.iter().find(|verdict| verdict.criterion == criterion).unwrap().clone()
}

#[test]
fn a_registry_has_one_monitor_and_the_first_configuration_holds() {
    let (registry, monitor) = monitor();
    let config = Config { max_operations: 3, ..Config::default() };
    let second = Monitor::new(&registry, config).unwrap();
    second.operation("a").record(ms(1), Outcome::Ok);
    assert_eq!(monitor.operation("a").count(), 1);
    assert_eq!(second.config().max_operations, Config::default().max_operations);
    let other = Monitor::new(&Registry::new(), Config::default()).unwrap();
    assert_eq!(other.operation("a").count(), 0);
}

#[test]
fn runs_are_counted_timed_and_told_by_kind_of_error() {
    let (_, monitor) = monitor();
    let send = monitor.operation("send");
    for n in 1..=98 {
        send.record(ms(n), Outcome::Ok);
    }
    send.record(ms(99), Outcome::Error("timeout"));
    send.record(ms(100), Outcome::Error("refused"));
    let now = monitor.now();
    let snapshot = monitor.snapshot(now);
    let figures = &snapshot.operations[0];
    assert_eq!((figures.count, figures.errors, figures.error_ratio), (100, 2, 0.02));
    assert_eq!((figures.min_ms, figures.mean_ms, figures.max_ms), (1.0, 50.5, 100.0));
    for (read, exact) in [(figures.p50_ms, 50.0), (figures.p95_ms, 95.0), (figures.p99_ms, 99.0)] {
        assert!((read / exact - 1.0_f64).abs() < 0.06, "{read} for {exact}");
    }
    let kinds: Vec<_> = figures.errors_by_kind.iter().map(|kind| (&*kind.kind, kind.count)).collect();
    assert_eq!(kinds, [("refused", 1), ("timeout", 1)]);
    assert_eq!((figures.recent.count, figures.recent.errors), (100, 2));
    assert!((figures.recent.max_ms - 100.0).abs() < 0.001, "kept to 17 bits: {}", figures.recent.max_ms);
    assert_eq!(snapshot.errors.last.len(), 2);
    assert_eq!(snapshot.overview.window.count, 100);
}

#[test]
fn the_last_hundred_runs_are_kept_with_their_outcome_newest_first() {
    let (_, monitor) = monitor();
    let run = monitor.operation("run");
    for second in 0..250 {
        let outcome = if second % 2 == 0 { Outcome::Ok } else { Outcome::Error("odd") };
        run.record_at(Duration::from_micros(second), outcome, later(&monitor, second));
    }
    let now = later(&monitor, 249);
    let runs = monitor.runs("run", now).unwrap();
    assert_eq!(runs.len(), 100);
    assert_eq!((runs[0].duration_ms, runs[0].error.as_deref()), (0.249, Some("odd")));
    assert_eq!((runs[99].duration_ms, runs[99].error.as_deref()), (0.150, None));
    assert!((now.unix_ms - runs[99].at_ms - 99_000).abs() <= 1_000);
    assert_eq!(monitor.runs("missing", now), None);
}

#[test]
fn a_guard_ends_its_run_well_badly_or_by_a_panic() {
    let (_, monitor) = monitor();
    let work = monitor.operation("work");
    let open = work.start();
    assert_eq!((work.in_flight(), work.count()), (1, 0));
    drop(open);
    work.start().fail("refused");
    work.start().finish(Outcome::of(&"x".parse::<u8>(), |_| "not_a_number"));
    assert_eq!(work.time(|| 7), 7);
    let panicked =
        std::thread::scope(|scope| scope.spawn(|| work.time(|| std::panic::panic_any(()))).join().is_err());
    assert!(panicked);
    let figures = &monitor.snapshot(monitor.now()).operations[0];
    assert_eq!((figures.count, figures.errors, figures.in_flight), (5, 3, 0));
    let kinds: Vec<_> = figures.errors_by_kind.iter().map(|kind| &*kind.kind).collect();
    assert_eq!(kinds, ["not_a_number", "panic", "refused"]);
}

#[test]
fn operations_and_kinds_beyond_their_bound_are_counted_as_other() {
    let registry = Registry::new();
    let monitor = Monitor::new(&registry, Config { max_operations: 2, ..Config::default() }).unwrap();
    for name in ["a", "b", "c", "d", "", "a", "other"] {
        monitor.operation(name).record(ms(1), Outcome::Ok);
    }
    for kind in 0..12 {
        monitor.operation("a").record(ms(1), Outcome::Error(&kind.to_string()));
    }
    let page = page(&registry);
    for line in [
        "gaugecast_operations_total{operation=\"a\"} 14\n",
        "gaugecast_operations_total{operation=\"b\"} 1\n",
        "gaugecast_operations_total{operation=\"other\"} 4\n",
        "gaugecast_operations_overflow_total 3\n",
        "gaugecast_operation_errors_total{kind=\"7\",operation=\"a\"} 1\n",
        "gaugecast_operation_errors_total{kind=\"other\",operation=\"a\"} 4\n",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
}

#[test]
fn names_of_any_text_stay_one_label() {
    let (registry, monitor) = monitor();
    monitor.operation("evil\"} 1\nx{a=\"").record(ms(1), Outcome::Error("\n\\"));
    monitor.operation(&"ü".repeat(200)).record(ms(1), Outcome::Ok);
    let page = page(&registry);
    assert!(page.contains("gaugecast_operations_total{operation=\"evil\\\"} 1\\nx{a=\\\"\"} 1\n"), "{page}");
    assert!(page.contains(&format!("{{operation=\"{}\"}} 1\n", "ü".repeat(50))));
}

#[test]
fn the_exposed_histogram_is_cumulative_and_exact_at_its_bounds() {
    let (registry, monitor) = monitor();
    let read = monitor.operation("read");
    for us in [50, 100, 101, 10_000, 10_001, 20_000_000] {
        read.record(Duration::from_micros(us), Outcome::Ok);
    }
    let page = page(&registry);
    let bucket = |le: &str| {
        let start = format!("gaugecast_operation_duration_seconds_bucket{{operation=\"read\",le=\"{le}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&*start)).unwrap_or_else(|| panic!("{start}\n{page}"))
    };
    assert_eq!(
        [bucket("0.0001"), bucket("0.0005"), bucket("0.01"), bucket("10.0"), bucket("+Inf")],
        ["2", "3", "4", "5", "6"]
    );
    assert!(page.contains("gaugecast_operation_duration_seconds_count{operation=\"read\"} 6\n"));
    assert!(
        page.contains("gaugecast_operation_duration_seconds_sum{operation=\"read\"} 20.020252\n"),
        "{page}"
    );
}

#[test]
fn threads_in_the_same_operation_lose_nothing() {
    let (_, monitor) = monitor();
    let shared = monitor.operation("shared");
    let gate = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                gate.wait();
                for n in 0..10_000 {
                    let run = shared.start();
                    if n % 10 == 0 {
                        run.fail("tenth");
                    }
                }
            });
        }
    });
    let snapshot = monitor.snapshot(monitor.now());
    let figures = &snapshot.operations[0];
    assert_eq!((figures.count, figures.errors, figures.in_flight), (40_000, 4_000, 0));
    assert_eq!(monitor.runs("shared", monitor.now()).unwrap().len(), 100);
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let (registry, monitor) = monitor();
    let (a, b) = (monitor.connected(), monitor.connected());
    a.received(10);
    a.sent(20);
    b.failed();
    drop(a);
    let figures = monitor.snapshot(monitor.now()).connections;
    assert_eq!((figures.active, figures.total, figures.peak, figures.errors), (1, 2, 2, 1));
    assert_eq!((figures.messages_in, figures.bytes_in, figures.bytes_out), (1, 10, 20));
    let page = page(&registry);
    for line in [
        "gaugecast_app_connections 1\n",
        "gaugecast_app_connections_peak 2\n",
        "gaugecast_app_connections_opened_total 2\n",
        "gaugecast_app_bytes_total{direction=\"out\"} 20\n",
        "gaugecast_app_messages_total{direction=\"in\"} 1\n",
        "gaugecast_app_connection_duration_seconds_count 1\n",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
}

#[test]
fn what_is_not_used_is_not_exposed() {
    let (registry, monitor) = monitor();
    assert_eq!(page(&registry), "# EOF\n");
    monitor.operation("a").record(ms(1), Outcome::Ok);
    let page = page(&registry);
    assert!(
        page.contains("gaugecast_security_events_total{kind=\"blocked\"} 0\n"),
        "a rate begins at 0: {page}"
    );
    assert!(!page.contains("gaugecast_security_response_seconds_count"), "{page}");
}

#[test]
fn nothing_is_judged_before_there_is_something_to_judge() {
    let (registry, monitor) = monitor();
    let verdicts = monitor.sample(monitor.now());
    assert!(
        verdicts.iter().all(|verdict| verdict.ok.is_none() && !verdict.reasons.is_empty()),
        "{verdicts:?}"
    );
    assert!(!page(&registry).contains("gaugecast_validation_ok{"));
}

#[test]
fn a_verdict_falls_with_its_reasons_and_recovers_when_the_window_is_past() {
    let (registry, monitor) = monitor();
    monitor.operation("quick").record(ms(1), Outcome::Ok);
    monitor.operation("slow").record_at(ms(100), Outcome::Error("timeout"), later(&monitor, 1));
    let verdicts = monitor.sample(later(&monitor, 5));
    let slow = verdict(&verdicts, Criterion::MeanResponse);
    assert_eq!((slow.ok, slow.value, slow.threshold), (Some(false), Some(50.5), 10.0));
    assert!(
        slow.reasons[0].contains("50.500 ms") && slow.reasons[1].starts_with("slow: 100.000 ms"),
        "{slow:?}"
    );
    let failing = verdict(&verdicts, Criterion::ErrorRatio);
    assert_eq!((failing.ok, failing.value, failing.threshold), (Some(false), Some(0.5), 0.01));
    assert!(failing.reasons[1].contains("slow") && failing.reasons[1].contains("timeout"), "{failing:?}");
    assert!(page(&registry).contains("gaugecast_validation_ok{criterion=\"mean_response\"} 0\n"));

    monitor.operation("quick").record_at(ms(2), Outcome::Ok, later(&monitor, 60));
    let verdicts = monitor.sample(later(&monitor, 66));
    let quick = verdict(&verdicts, Criterion::MeanResponse);
    assert_eq!((quick.ok, quick.value), (Some(true), Some(2.0)), "{quick:?}");
    assert_eq!(verdict(&verdicts, Criterion::ErrorRatio).ok, Some(true));
    assert!(page(&registry).contains("gaugecast_validation_ok{criterion=\"mean_response\"} 1\n"));
}

#[test]
fn an_operation_with_thresholds_of_its_own_is_judged_by_these_alone() {
    let (_, monitor) = monitor();
    let export = monitor.operation("export");
    export.set_thresholds(&Thresholds {
        mean_response: ms(500),
        errors_per_thousand: 500,
        ..Thresholds::default()
    });
    monitor.operation("quick").record(ms(1), Outcome::Ok);
    export.record(ms(400), Outcome::Ok);
    export.record(ms(400), Outcome::Error("disk_full"));
    let verdicts = monitor.snapshot(later(&monitor, 1)).verdicts;
    let mean = verdict(&verdicts, Criterion::MeanResponse);
    assert_eq!((mean.ok, mean.value), (Some(true), Some(1.0)), "{mean:?}");
    assert_eq!(verdict(&verdicts, Criterion::ErrorRatio).ok, Some(true));
    export.record(ms(4_000), Outcome::Error("disk_full"));
    let verdicts = monitor.snapshot(later(&monitor, 1)).verdicts;
    for criterion in [Criterion::MeanResponse, Criterion::ErrorRatio] {
        let verdict = verdict(&verdicts, criterion);
        assert_eq!(verdict.ok, Some(false));
        assert!(verdict.reasons.iter().any(|reason| reason.starts_with("export: ")), "{verdict:?}");
    }
}

#[test]
fn allocations_are_judged_by_their_rate_and_leaks_by_what_remains() {
    use std::sync::atomic::AtomicU64;
    static COUNT: AtomicU64 = AtomicU64::new(5_000_000);
    let (registry, monitor) = monitor();
    let read = || Allocated {
        allocations: COUNT.load(Ordering::Relaxed),
        allocated_bytes: COUNT.load(Ordering::Relaxed) * 8,
        ..Allocated::default()
    };
    assert!(monitor.watch_allocations(read));
    assert!(!monitor.watch_allocations(read), "it is known already");

    let scope = monitor.leak_scope("login");
    COUNT.fetch_add(2, Ordering::Relaxed);
    assert_eq!(scope.end().remaining_bytes, 16);
    COUNT.fetch_add(4_998, Ordering::Relaxed);
    let verdicts = monitor.sample(later(&monitor, 10));
    let rate = verdict(&verdicts, Criterion::AllocationRate);
    assert_eq!(rate.ok, Some(true), "what was before the first reading is not counted: {rate:?}");
    assert!((450.0..=550.0).contains(&rate.value.unwrap()), "{rate:?}");
    let leak = verdict(&verdicts, Criterion::Leak);
    assert_eq!((leak.ok, leak.value), (Some(false), Some(16.0)));
    assert!(leak.reasons[0].contains("login"));

    assert_eq!(monitor.leak_scope("login").end().remaining_bytes, 0);
    COUNT.fetch_add(1_000_000, Ordering::Relaxed);
    let verdicts = monitor.sample(later(&monitor, 20));
    assert_eq!(verdict(&verdicts, Criterion::Leak).ok, Some(true), "the last result of a scope counts");
    assert_eq!(verdict(&verdicts, Criterion::AllocationRate).ok, Some(false));
    assert!(page(&registry).contains("gaugecast_alloc_allocations_total 6005000\n"));
    assert!(page(&registry).contains("gaugecast_validation_ok{criterion=\"allocation_rate\"} 0\n"));
}

#[test]
fn a_snapshot_reads_back_from_its_json() {
    let (_, monitor) = monitor();
    monitor.operation("a").record(ms(3), Outcome::Error("x"));
    monitor.security().report(SecurityKind::RateLimited, "who", "what");
    let snapshot = monitor.snapshot(monitor.now());
    let json = serde_json::to_string(&snapshot).unwrap();
    assert!(json.contains("\"kind\":\"rate_limited\"") && json.contains("\"criterion\":\"mean_response\""));
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
}

#[test]
fn a_report_finds_the_slowest_and_the_failing() {
    let (_, monitor) = monitor();
    for (name, duration, errors) in [("a", 5, 0), ("b", 50, 1), ("c", 20, 3)] {
        let operation = monitor.operation(name);
        for n in 0..4 {
            operation.record(ms(duration), if n < errors { Outcome::Error("x") } else { Outcome::Ok });
        }
    }
    let _never = monitor.operation("never");
    let snapshot = monitor.snapshot(monitor.now());
    let names =
        |of: Vec<&OperationFigures>| of.iter().map(|operation| operation.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(snapshot.slowest(2)), ["b", "c"]);
    assert_eq!(names(snapshot.failing(5)), ["c", "b"]);
    assert_eq!(names(snapshot.busiest(9)).len(), 3);
}
