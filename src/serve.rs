//! The whole put together: tick, stream and server, started and stopped as one.
//!
//! [`start`] is what the program does, and what tests and applications can do too; the [`Running`] it gives owns
//! every task it started. Data goes through it one way, the stop the other: streams told and closed, no new
//! connections, answers in flight finished, then the tick.
//!
//! ```
//! use gaugecast::config::Config;
//! use gaugecast::registry::Registry;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let orders = registry.counter(("shop_orders", "Orders taken."))?;
//!
//! let mut config = Config::default();
//! config.server.listen = vec![([127, 0, 0, 1], 0).into()];
//! let running = gaugecast::serve::start(&config, registry, None).await?;
//! println!("live at http://{}/", running.addresses()[0]);
//!
//! orders.inc();
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::alert::manager::{Alerts, Managing, Ways};
use crate::alert::receivers::{Around, Delivery};
use crate::alert::rules::{self, Rules};
use crate::alert::{Report, Standing};
use crate::clock::Clock;
use crate::collect::feed::Feed;
use crate::collect::push::{Groups, Inbox, Pushes};
use crate::collect::scrape::Scraping;
use crate::collect::ticker::Ticker;
use crate::collect::{Ticks, catalog};
use crate::config::Config;
use crate::detect::watch::{Detection, Prepared};
use crate::exposition::Expositions;
use crate::history::{History, OpenError, Recorder};
use crate::monitor::{Monitor, Sampling};
use crate::registry::{RegisterError, Registry};
use crate::remote::send::Sending;
use crate::series::Epoch;
use crate::server::{self, Admin, App, BindError, Body, Drained, Problem, Readiness, Reload, Server};
use crate::state::StateFile;
use crate::stream::{self, Events, Hub};

/// How long a stop waits for the last goodbyes of streams before it cuts them.
const GOODBYES: Duration = Duration::from_secs(5);

/// Reports that may wait for the alert manager.
const REPORTS: usize = 1024;

/// Results of deliveries that may wait for it.
const RESULTS: usize = 1024;

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listen address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The collectors cannot be set up as configured.
    #[error(transparent)]
    Collectors(#[from] catalog::ConfigError),
    /// The history cannot be had; its file is in use, or cannot be read or written.
    #[error(transparent)]
    History(#[from] OpenError),
    /// The tokens cannot be read.
    #[error("--web.token-file: {0}")]
    Tokens(#[from] server::auth::file::FileError),
    /// The given registry holds a metric under one of gaugecast's own names.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Why a configuration does not come into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The collectors cannot be set up as configured.
    #[error(transparent)]
    Collectors(#[from] catalog::ConfigError),
    /// The tokens cannot be read.
    #[error("--web.token-file: {0}")]
    Tokens(#[from] server::auth::file::FileError),
}

impl From<server::auth::AuthError> for StartError {
    fn from(error: server::auth::AuthError) -> Self {
        match error {
            server::auth::AuthError::File(error) => StartError::Tokens(error),
            server::auth::AuthError::Register(error) => StartError::Register(error),
        }
    }
}

/// A running gaugecast. Dropping it leaves the tasks running until the runtime ends; see [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    app: App,
    parts: Parts,
    ticks: Ticks,
    history: History,
    events: Events,
    monitor: Monitor,
    reports: mpsc::Sender<Report>,
    alerts: Alerts,
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    server: JoinHandle<Drained>,
}

/// What has been started: all of it in a running gaugecast, and the first ones where one could not be.
#[derive(Debug, Default)]
struct Parts {
    scraping: Option<Scraping>,
    ticker: Option<Ticker>,
    recorder: Option<Recorder>,
    hub: Option<Hub>,
    rules: Option<Rules>,
    detection: Option<Detection>,
    managing: Option<Managing>,
    delivery: Option<Delivery>,
    sending: Option<Sending>,
    sampling: Option<Sampling>,
}

/// Starts collecting, streaming and listening. What is in `registry` is exposed, beside the host and gaugecast's own
/// figures. `reload` is what a `POST /-/reload` does; without one it is refused. Must be called within a tokio
/// runtime.
///
/// # Errors
/// See [`StartError`]; nothing runs then.
pub async fn start(
    config: &Config,
    registry: Registry,
    reload: Option<Reload>,
) -> Result<Running, StartError> {
    start_with(config, registry, reload, Admin::default()).await
}

/// As [`start`], with what the process around it gives its administration.
///
/// # Errors
/// As there.
pub async fn start_with(
    config: &Config,
    registry: Registry,
    reload: Option<Reload>,
    admin: Admin,
) -> Result<Running, StartError> {
    let mut parts = Parts::default();
    match parts.start(config, registry, reload, admin).await {
        Ok(started) => Ok(started.running(parts)),
        Err(error) => {
            parts.end_streams(Duration::ZERO).await;
            parts.stop().await;
            Err(error)
        }
    }
}

/// What the parts are seen by.
struct Started {
    app: App,
    server: Server,
    ticks: Ticks,
    history: History,
    events: Events,
    monitor: Monitor,
    reports: mpsc::Sender<Report>,
    alerts: Alerts,
}

impl Started {
    /// Opens the doors.
    fn running(self, parts: Parts) -> Running {
        let Started { app, server, ticks, history, events, monitor, reports, alerts } = self;
        let addresses = server.addresses().to_vec();
        if let Some(scraping) = &parts.scraping {
            scraping.listening(&addresses);
        }
        let stop = CancellationToken::new();
        let server = tokio::spawn(server.run(stop.clone()));
        app.set_readiness(Readiness::Ready);
        Running { app, parts, ticks, history, events, monitor, reports, alerts, addresses, stop, server }
    }
}

impl Parts {
    /// Starts one after the other, in the direction of the data. Those that run when one fails are left to
    /// [`Parts::stop`].
    async fn start(
        &mut self,
        config: &Config,
        registry: Registry,
        reload: Option<Reload>,
        admin: Admin,
    ) -> Result<Started, StartError> {
        let clock = Clock::start();
        let collectors = catalog::collectors(&config.collect)?;
        let monitor = Monitor::new(&registry, config.monitor.clone())?;
        let history = open_history(config, &registry, clock).await?;
        let begin = Sending::begin(&history, clock.now().unix_ms);
        let epoch = Epoch(RandomState::new().hash_one(clock.now().unix_ms));

        let inbox = Inbox::new(config.collect.series_limit, &registry)?;
        let groups = Groups::new(config.collect.push_ttl);
        let (scraping, scraped) = Scraping::start(&config.scrape, &registry, clock)?;
        let targets = scraping.targets();
        self.scraping = Some(scraping);
        let outbox = rules::Outbox::new(&registry)?;
        let (detection, scores) = Prepared::new(&config.detect, &registry)?;
        let feeds: Vec<Box<dyn Feed>> =
            vec![scraped, Box::new(inbox.feed()), Box::new(groups.feed()), Box::new(outbox.feed()), scores];

        let collect = config.collect.clone();
        let ticker = Ticker::start(collect, collectors, feeds, registry.clone(), epoch, clock).await?;
        let ticks = ticker.ticks();
        self.ticker = Some(ticker);

        let recorder = Recorder::start(history.clone(), &ticks);
        let recorded = recorder.recorded();
        self.recorder = Some(recorder);

        let past = stream::Past {
            history: history.clone(),
            recorded: recorded.clone(),
            options: config.query.options(),
            timeout: config.query.timeout,
        };
        let stream = config.stream.clone();
        let hub = Hub::start_with(stream, ticks.clone(), config.collect.tick, clock, &registry, Some(past))?;
        self.hub = Some(hub.clone());

        let (reports, reported) = mpsc::channel(REPORTS);
        let alerts = self.start_alerts(config, &hub, (reports.clone(), reported), &registry, clock).await?;
        let setup = rules::Setup {
            external_labels: config.external_labels.clone(),
            external_url: server::external_url(&config.server),
            options: config.query.options(),
            timeout: config.query.timeout,
            state: config.history.storage.as_ref().map(|folder| StateFile::new(folder, "rules")),
            history: history.clone(),
            ticks: ticks.clone(),
            recorded: recorded.clone(),
            outbox,
            reports: reports.clone(),
        };
        let rules = Rules::start(&config.alert.rules, setup, &registry, clock)?;
        let board = rules.board();
        self.rules = Some(rules);

        let labels = &config.external_labels;
        let receivers = &config.remote_write;
        let sending = Sending::start(receivers, labels, &history, &ticks, recorded, begin, &registry, clock)?;
        self.sending = Some(sending);

        let detection = detection.start(&ticks, Some(history.clone()), hub.events(), Some(reports.clone()));
        let anomalies = Some(detection.anomalies());
        self.detection = Some(detection);

        let performance = monitor.clone();
        let dead_letters = self.delivery.as_ref().map(|delivery| Arc::new(delivery.handle()) as _);
        let admin = Admin {
            performance: admin.performance.or(Some(Arc::new(move || performance.snapshot(clock.now())))),
            alerts: Some(alerts.clone()),
            dead_letters: admin.dead_letters.or(dead_letters),
            monitor: admin.monitor.or(Some(monitor.clone())),
            ..admin
        };
        let app = App::new(server::Parts {
            config: config.server.clone(),
            clock,
            ticks: ticks.clone(),
            expositions: Expositions::new(),
            registry,
            stream: Some(Arc::new(hub.clone())),
            samples: Some(Arc::new(history.clone())),
            history: Some(history.clone()),
            pushes: Some(Pushes { inbox, groups }),
            query: config.query.clone(),
            targets,
            rules: Some(board),
            anomalies,
            reload,
            admin,
        })?;
        let server = Server::bind(app.clone())?;
        self.sampling = Some(Sampling::start(monitor.clone(), ticks.clone(), clock));
        Ok(Started { app, server, ticks, history, events: hub.events(), monitor, reports, alerts })
    }

    /// Starts the alert manager and those who deliver for it.
    async fn start_alerts(
        &mut self,
        config: &Config,
        hub: &Hub,
        (reports, reported): (mpsc::Sender<Report>, mpsc::Receiver<Report>),
        registry: &Registry,
        clock: Clock,
    ) -> Result<Alerts, RegisterError> {
        let (publish, standing) = watch::channel(Arc::<Standing>::default());
        let (results, settled) = mpsc::channel(RESULTS);
        let storage = config.history.storage.clone();
        let around = Around {
            external_url: server::external_url(&config.server),
            external_labels: config.external_labels.clone(),
            interval: config.alert.rules.interval,
            standing,
            results,
            reports: Some(reports),
            storage: storage.clone(),
        };
        let delivery = Delivery::start(&config.alert.receivers, around, registry, clock)?;
        let handle = delivery.handle();
        self.delivery = Some(delivery);
        let ways = Ways {
            reports: reported,
            tell: Box::new(move |notification| handle.send(notification)),
            results: settled,
            standing: publish,
            events: hub.events(),
            storage,
        };
        let managing = Managing::start(&config.alert.manager, ways, registry, clock).await?;
        let alerts = managing.alerts();
        self.managing = Some(managing);
        Ok(alerts)
    }

    /// Collects by another configuration from now on.
    async fn reload(&self, config: &Config) -> Result<(), catalog::ConfigError> {
        let collectors = catalog::collectors(&config.collect)?;
        if let Some(ticker) = &self.ticker {
            ticker.reload(config.collect.clone(), collectors).await;
        }
        if let Some(scraping) = &self.scraping {
            scraping.reload(&config.scrape).await;
        }
        // New receivers are there before the route names them, and old ones until it does no more.
        let leaving = match &self.delivery {
            Some(delivery) => Some(delivery.reload(&config.alert.receivers).await),
            None => None,
        };
        if let Some(managing) = &self.managing {
            managing.reload(&config.alert.manager).await;
        }
        if let Some(leaving) = leaving {
            leaving.end();
        }
        if let Some(rules) = &self.rules {
            rules.reload(&config.alert.rules).await;
        }
        if let Some(sending) = &self.sending {
            sending.reload(&config.remote_write).await;
        }
        Ok(())
    }

    /// Says goodbye to all streams, and waits so long for the last answers.
    async fn end_streams(&mut self, patience: Duration) {
        if let Some(hub) = self.hub.take()
            && !hub.stop(patience).await
        {
            warn!("streams that did not answer the goodbye were cut");
        }
    }

    /// Stops what is left, in the direction of the data, so that each has all that those before it gave.
    async fn stop(self) {
        if let Some(sampling) = self.sampling {
            sampling.stop().await;
        }
        if let Some(scraping) = self.scraping {
            scraping.stop().await;
        }
        if let Some(rules) = self.rules {
            rules.stop().await;
        }
        if let Some(ticker) = self.ticker {
            ticker.stop().await;
        }
        if let Some(detection) = self.detection {
            detection.stop().await;
        }
        if let Some(managing) = self.managing {
            managing.stop().await;
        }
        if let Some(delivery) = self.delivery {
            delivery.stop().await;
        }
        if let Some(recorder) = self.recorder {
            recorder.stop().await;
        }
        if let Some(sending) = self.sending {
            sending.stop().await;
        }
    }
}

/// Opens the history away from the threads that must not wait: it reads a whole file.
async fn open_history(config: &Config, registry: &Registry, clock: Clock) -> Result<History, OpenError> {
    let (config, registry) = (config.history.clone(), registry.clone());
    let opened = tokio::task::spawn_blocking(move || History::open(&config, &registry, clock.now().unix_ms));
    match opened.await {
        Ok(opened) => opened,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

impl Running {
    /// Where it listens, in the order of the configuration, with the ports that the system chose for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The ticks.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        self.ticks.clone()
    }

    /// The history of all series.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Works by another configuration from now on: collectors, their filters and folders, paths, deadline, jobs that
    /// scrape, rules, the route, receivers of alerts, Alertmanagers, receivers of remote write; and by what the token file holds
    /// now. What else differs needs a new start. Says what changed of the tokens, if anything did.
    ///
    /// # Errors
    /// When the collectors cannot be set up so, or the tokens cannot be read; then nothing changes.
    pub async fn reload(&self, config: &Config) -> Result<Option<String>, ReloadError> {
        let tokens = self.app.read_tokens()?;
        self.parts.reload(config).await?;
        Ok(self.app.take_tokens(tokens))
    }

    /// The monitor of the registry: the application's, if it has made one.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The alert manager, to ask it and to tell it.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// Takes reports of alerts, beside those of rules and detectors: what an application judges itself. A source that has
    /// reported once reports until nothing of it is true any more.
    #[must_use]
    pub fn reports(&self) -> &mpsc::Sender<Report> {
        &self.reports
    }

    /// The handle by which events are published to the clients of the stream.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Stops: not ready any more, streams closed with a goodbye, one after the other (`stream.drain`), then no new
    /// connections, answers in flight finished, the tick ended, the history written, what is left
    /// sent to the receivers of remote write. While the streams drain the server still answers, so
    /// that whoever asks hears that it is not ready and clients that come back are told when. Takes as long as
    /// the slowest client, at most some 20 seconds with the default settings.
    pub async fn stop(mut self) {
        self.app.set_readiness(Readiness::Draining);
        self.parts.end_streams(GOODBYES).await;
        self.stop.cancel();
        match self.server.await {
            Ok(drained) => info!(%drained, "server stopped"),
            Err(error) => warn!(%error, "the server did not end well"),
        }
        self.parts.stop().await;
    }
}

/// Why a stream is refused, in the form of all errors.
fn problem(refusal: &stream::Refusal) -> Problem {
    let problem = Problem::new(refusal.status(), refusal.message()).details(refusal.details());
    let headers = refusal.headers();
    headers.iter().fold(problem, |problem, (name, value)| problem.with(name.clone(), value.clone()))
}

impl server::Stream for Hub {
    fn upgrade(&self, request: Request<()>, peer: SocketAddr) -> Result<Response<Body>, Problem> {
        let response = stream::upgrade(self, request, peer).map_err(|refusal| problem(&refusal))?;
        Ok(response.map(|body| Body::stream(body.map_err(|never| match never {}))))
    }

    fn feed<'a>(
        &'a self,
        request: Request<()>,
        asked: Vec<(String, String)>,
        peer: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send + 'a>> {
        Box::pin(async move {
            let response = stream::feed(self, &request, &asked, peer).await;
            Ok(response.map_err(|refusal| problem(&refusal))?.map(Body::stream))
        })
    }

    fn clients(&self) -> usize {
        Hub::clients(self)
    }

    fn sessions(&self) -> Vec<Arc<stream::Figures>> {
        Hub::sessions(self)
    }
}
