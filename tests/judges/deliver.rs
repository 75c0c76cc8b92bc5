//! Delivery alone, for the judges: `deliver FLAG…` takes gaugecast's flags, of which the file with the receivers, `web.external-url`
//! and `storage.path` matter, and then commands on stdin, a JSON object a line:
//!
//! | key | value |
//! | --- | --- |
//! | `send` | a notification |
//! | `standing` | a list of alerts with `labels`, `annotations`, `starts_at_ms`, `ends_at_ms`, `generator`: all that stands now |
//! | `dead` | null: prints the dead letters |
//! | `retry`, `delete` | the number of a dead letter |
//! | `metrics` | null: prints the page of metrics |
//! | `reload` | null: goes over to what the file says now |
//!
//! It prints a JSON object a line: `ready`, a `result` of each attempt, a `report` of channels that fail, and the answers. When
//! stdin ends it stops delivery and says `stopped`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use gaugecast::alert::receivers::{Around, Delivery, DeliveryOutcome, DeliveryResult};
use gaugecast::alert::{Notification, Report, Standing, StandingAlert};
use gaugecast::clock::Clock;
use gaugecast::config::{self, Sources};
use gaugecast::query::Labels;
use gaugecast::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    Send(Box<Notification>),
    Standing(Vec<Stands>),
    Dead(()),
    Retry(u64),
    Delete(u64),
    Metrics(()),
    Reload(()),
}

#[derive(Deserialize)]
struct Stands {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at_ms: i64,
    ends_at_ms: Option<i64>,
    #[serde(default)]
    generator: String,
}

fn result(result: &DeliveryResult) -> Value {
    let (outcome, reason, why) = match &result.outcome {
        DeliveryOutcome::Delivered => ("delivered", "", ""),
        DeliveryOutcome::Retrying { reason, why } => ("retrying", *reason, why.as_str()),
        DeliveryOutcome::Failed { reason, why } => ("failed", *reason, why.as_str()),
    };
    json!({"result": {
        "notification": result.notification, "receiver": &*result.receiver, "integration": result.integration,
        "attempts": result.attempts, "outcome": outcome, "reason": reason, "why": why,
    }})
}

fn report(report: &Report) -> Value {
    let failing = report.active.iter().map(|active| active.labels.get("receiver").unwrap_or_default());
    json!({"report": failing.collect::<Vec<_>>()})
}

#[tokio::main]
async fn main() {
    let flags = std::env::args().skip(1).map(|flag| {
        let (name, value) = flag.trim_start_matches("--").split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    let sources = Sources { flags: flags.collect(), env: Vec::new() };
    let load = || config::load(&sources).map(|loaded| loaded.config);
    let config = load().unwrap_or_else(|errors| {
        println!("{errors}");
        std::process::exit(2);
    });
    let log = gaugecast::log::install(&config.log);
    let (standing, stands) = watch::channel(Arc::new(Standing::default()));
    let (results, mut told) = mpsc::channel(1000);
    let (reports, mut reported) = mpsc::channel(10);
    let registry = Registry::new();
    let around = Around {
        external_url: config.server.external_url.clone().unwrap_or_default(),
        external_labels: config.external_labels.clone(),
        interval: Duration::from_secs(5),
        standing: stands,
        results,
        reports: Some(reports),
        storage: config.history.storage.clone(),
    };
    let delivery = Delivery::start(&config.alert.receivers, around, &registry, Clock::start()).unwrap();
    println!("{}", json!({"ready": true}));
    let (lines, mut commands) = mpsc::channel(1000);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if lines.blocking_send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    let handle = delivery.handle();
    loop {
        tokio::select! {
            Some(one) = told.recv() => println!("{}", result(&one)),
            Some(one) = reported.recv() => println!("{}", report(&one)),
            line = commands.recv() => {
                let Some(line) = line else { break };
                match serde_json::from_str(&line).unwrap() {
                    Command::Send(notification) => handle.send(*notification),
                    Command::Standing(alerts) => {
                        let alerts = alerts.into_iter().map(|one| StandingAlert {
                            labels: Labels::new(&one.labels),
                            annotations: one.annotations,
                            starts_at_ms: one.starts_at_ms,
                            ends_at_ms: one.ends_at_ms,
                            generator: one.generator.into(),
                        });
                        standing.send(Arc::new(Standing { alerts: alerts.collect() })).unwrap();
                    }
                    Command::Dead(()) => println!("{}", json!({"dead": handle.dead_letters()})),
                    Command::Retry(id) => println!("{}", json!({"retried": handle.retry(id)})),
                    Command::Delete(id) => println!("{}", json!({"deleted": handle.delete(id)})),
                    Command::Reload(()) => {
                        delivery.reload(&load().unwrap().alert.receivers).await.end();
                        println!("{}", json!({"reloaded": true}));
                    }
                    Command::Metrics(()) => {
                        let mut page = Vec::new();
                        registry.page(&mut page);
                        println!("{}", json!({"metrics": String::from_utf8(page).unwrap()}));
                    }
                }
            }
        }
    }
    delivery.stop().await;
    while let Ok(one) = told.try_recv() {
        println!("{}", result(&one));
    }
    log.flush();
    println!("{}", json!({"stopped": true}));
}
