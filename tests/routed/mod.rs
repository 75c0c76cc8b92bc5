//! What the tests of the history's API ask: routes over a history, without a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaugecast::clock::Clock;
use gaugecast::collect::Ticks;
use gaugecast::exposition::Expositions;
use gaugecast::history::{self, History, Write};
use gaugecast::query;
use gaugecast::registry::Registry;
use gaugecast::series::{Epoch, Table};
use gaugecast::server::{self, Admin, App, Parts, Peer, Router};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::Value;

/// An app that listens on a port of its own and has these samples, of whatever time.
pub(crate) fn app(writes: &[Write]) -> App {
    let registry = Registry::new();
    let config =
        history::Config { retention: Duration::from_secs(100 * 365 * 86_400), ..history::Config::default() };
    let clock = Clock::start();
    let history = History::open(&config, &registry, clock.now().unix_ms).unwrap();
    assert_eq!(history.append(writes, clock.now().unix_ms).refused(), 0);
    let (ticks, _) = Ticks::manual(Table::new(Epoch(1), 1).commit(clock.now(), 0));
    let config = server::Config { listen: vec![([127, 0, 0, 1], 0).into()], ..server::Config::default() };
    let parts = Parts {
        config,
        clock,
        ticks,
        expositions: Expositions::new(),
        registry,
        stream: None,
        samples: Some(Arc::new(history.clone())),
        history: Some(history),
        query: query::Config::default(),
        pushes: None,
        targets: gaugecast::collect::scrape::Targets::default(),
        rules: None,
        anomalies: None,
        reload: None,
        admin: Admin::default(),
    };
    App::new(parts).unwrap()
}

/// Samples of a series, one a second.
pub(crate) fn write(labels: &[(&str, &str)], start: i64, values: impl Iterator<Item = f64>) -> Write {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Write { labels, samples: (start..).step_by(1000).zip(values).collect() }
}

/// Asks with a form and more headers; gives status and JSON.
pub(crate) async fn ask(
    router: &Router,
    method: &str,
    target: &str,
    form: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", form.len());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(Full::new(Bytes::copy_from_slice(form.as_bytes()))).unwrap();
    // Who may save baselines without tokens: a program of this machine.
    request.extensions_mut().insert(Peer(([127, 0, 0, 1], 50_000).into()));
    let response = router.handle(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}
