//! The task of the manager, with the time passed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::config::{Config, Route};
use super::task::{Managing, Ways};
use crate::alert::{Active, Origin, Phase, Report};
use crate::clock::Clock;
use crate::query::Labels;
use crate::registry::Registry;
use crate::series::Epoch;
use crate::stream::Events;

#[tokio::test(start_paused = true)]
async fn whoever_was_told_is_written_down_sooner_than_other_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, clock) = (Registry::new(), Clock::start());
    let route = Route { group_wait: Duration::ZERO, ..Route::new("team") };
    let config = Config { route: Some(route), ..Config::default() };
    let ((reports, reported), (_results, settled)) = (mpsc::channel(1), mpsc::channel(1));
    let (told, mut heard) = mpsc::channel(1);
    let ways = Ways {
        reports: reported,
        tell: Box::new(move |notification| told.try_send(notification).unwrap()),
        results: settled,
        standing: watch::channel(Arc::default()).0,
        events: Events::new(Epoch(7), clock, &registry).unwrap(),
        storage: Some(folder.path().to_owned()),
    };
    let managing = Managing::start(&config, ways, &registry, clock).await.unwrap();
    let now = clock.now();
    let report = |phase| Report {
        source: "rule".into(),
        origin: Origin::Rule,
        at: now,
        active: vec![Active {
            labels: Labels::new([("alertname", "A")]),
            annotations: BTreeMap::new(),
            phase,
            value: 1.0,
            active_at_ms: now.unix_ms,
            fired_at_ms: (phase == Phase::Firing).then_some(now.unix_ms),
            generator: "/".into(),
        }],
        no_data: Vec::new(),
    };
    // What is only pending may wait; the notification does not wait with it.
    for (phase, is_told) in [(Phase::Pending, false), (Phase::Firing, true)] {
        reports.send(report(phase)).await.unwrap();
        if is_told {
            heard.recv().await.unwrap();
        }
    }
    let since = Instant::now();
    let path = folder.path().join("alerts.json");
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(since.elapsed() < Duration::from_millis(500));
    managing.stop().await;
}
