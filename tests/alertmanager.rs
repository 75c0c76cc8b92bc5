//! Alertmanager's own tool, `amtool` of Debian's package, judges the API that we have from it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use gaugecast::alert::manager::{self, Route};
use gaugecast::alert::{Active, Origin, Phase, Report};
use gaugecast::clock::Clock;
use gaugecast::config::Config;
use gaugecast::query::Labels;
use gaugecast::registry::Registry;
use gaugecast::serve::{self, Running};
use serde_json::Value;

struct World {
    clock: Clock,
    running: Running,
    url: String,
}

impl World {
    async fn new() -> Self {
        let mut config = Config::default();
        config.server.listen = vec![([127, 0, 0, 1], 0).into()];
        config.alert.manager.route = Some(Route::new("team"));
        config.alert.rules.built_in = false;
        let running = serve::start(&config, Registry::new(), None).await.unwrap();
        let url = format!("http://{}", running.addresses()[0]);
        World { clock: Clock::start(), running, url }
    }

    async fn report(&self, name: &str, severity: &str) {
        let now = self.clock.now();
        let active = Active {
            labels: Labels::new([("alertname", name), ("severity", severity), ("job", "node")]),
            annotations: BTreeMap::from([("summary".into(), "it is so".into())]),
            phase: Phase::Firing,
            value: 1.0,
            active_at_ms: now.unix_ms,
            fired_at_ms: Some(now.unix_ms),
            generator: "/#explore".into(),
        };
        let (active, no_data) = (vec![active], Vec::new());
        let report = Report { source: name.into(), origin: Origin::Rule, at: now, active, no_data };
        self.running.reports().send(report).await.unwrap();
    }

    /// What amtool says; it is run away from the threads that answer it.
    async fn amtool(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("amtool");
        command.arg(format!("--alertmanager.url={}", self.url)).args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.amtool(arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["--output=json"]].concat();
        serde_json::from_str(&self.says(&arguments).await).unwrap()
    }

    /// Names of the alerts that a query gives.
    async fn names(&self, arguments: &[&str]) -> Vec<String> {
        let alerts = self.json(&[&["alert", "query"], arguments].concat()).await;
        alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    async fn stop(self) {
        self.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_sees_our_alerts_and_silences_them() {
    if Command::new("amtool").arg("--version").output().is_err() {
        // tests/setup installs it; without it nobody judges.
        println!("skipped: amtool is not there");
        return;
    }
    let world = World::new().await;
    world.report("HighLoad", "critical").await;
    world.report("DiskFull", "warning").await;
    // Answered after the reports, since the manager takes what comes in its order or has taken them before.
    while world.running.alerts().list(manager::Filter::default()).await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.names(&[]).await, ["HighLoad", "DiskFull"]);
    assert_eq!(world.names(&["severity=warning"]).await, ["DiskFull"]);
    assert_eq!(world.names(&["alertname=~High.*", "job!=x"]).await, ["HighLoad"]);
    let alert = &world.json(&["alert", "query", "HighLoad"]).await[0];
    assert_eq!(alert["status"]["state"], "active");
    assert_eq!(alert["receivers"][0]["name"], "team");

    let id = world.says(&["silence", "add", "alertname=HighLoad", "--comment=work", "--author=ann"]).await;
    let id = id.trim();
    assert_eq!(world.names(&[]).await, ["DiskFull"], "what is silenced is left out unless it is asked for");
    assert_eq!(world.names(&["--silenced"]).await, ["HighLoad"]);
    let silences = world.json(&["silence", "query"]).await;
    assert_eq!((silences.len(), silences[0]["id"].as_str()), (1, Some(id)));
    assert_eq!(silences[0]["createdBy"], "ann");
    assert_eq!(world.json(&["silence", "query", "alertname=Other"]).await.len(), 0);
    world.says(&["silence", "update", id, "--duration=2h", "--comment=more work"]).await;
    assert_eq!(world.json(&["silence", "query"]).await[0]["comment"], "more work");
    world.says(&["silence", "expire", id]).await;
    assert_eq!(world.json(&["silence", "query"]).await.len(), 0);
    assert_eq!(world.names(&[]).await.len(), 2);
    assert!(
        !world.amtool(&["silence", "expire", "11111111-2222-4333-8444-555555555555"]).await.status.success()
    );

    world.says(&["alert", "add", "Posted", "severity=page", "--annotation=summary=from outside"]).await;
    let posted = &world.json(&["alert", "query", "Posted"]).await[0];
    assert_eq!(posted["annotations"]["summary"], "from outside");
    assert!(world.says(&["config", "show"]).await.contains("api/v1/admin/config"));
    world.stop().await;
}
