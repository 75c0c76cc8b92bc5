//! `gaugecast serve`: the process around [`crate::serve`], with its signals and its output.
//!
//! | signal | effect |
//! | --- | --- |
//! | SIGTERM, SIGINT | stops: drains, exits 0 |
//! | a second one | exits at once, 143 or 130 |
//! | SIGHUP | reads the configuration again; what is wrong is logged and changes nothing |
//!
//! Once everything runs, the addresses are printed on stdout; the log goes to stderr.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use crate::build::VERSION;
use crate::clock::unix_ms;
use crate::config::{self, Config, Loaded};
use crate::log::{self, Log};
use crate::registry::Registry;
use crate::serve::{Running, StartError, start_with};
use crate::server::{Admin, Reload};
use crate::stream::events;

/// How often repetitions in the log are told.
const FLUSH: Duration = Duration::from_secs(1);

/// Runs until it is told to stop. 0 after a graceful stop, 1 when it could not start.
pub(super) fn run(loaded: Loaded) -> ExitCode {
    let log = log::install(&loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("gaugecast").build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(serve(loaded, &log)),
        Err(error) => {
            error!(%error, "cannot start the runtime");
            ExitCode::FAILURE
        }
    };
    drop(log);
    code
}

/// A request over HTTP to read the configuration again, and where the answer goes.
type Wish = oneshot::Sender<Result<String, String>>;

async fn serve(loaded: Loaded, log: &Log) -> ExitCode {
    let signals = Signals::install();
    let registry = Registry::new();
    let (wish, wishes) = mpsc::channel(1);
    let server = &loaded.config.server;
    let reload = (server.enable_lifecycle || server.token_file.is_some()).then(|| on_request(wish));
    let (shown, drain) = (Arc::new(Mutex::new(Arc::new(loaded.clone()))), Arc::new(Notify::new()));
    let admin = administration(&shown, &drain, log.control());
    let started = async {
        let figures = config::Metrics::register(&registry)?;
        figures.loaded(unix_ms(SystemTime::now()));
        Ok::<_, StartError>((start_with(&loaded.config, registry, reload, admin).await?, figures))
    };
    let (running, figures) = match started.await {
        Ok(started) => started,
        Err(error) => {
            error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "cannot listen for signals");
            running.stop().await;
            return ExitCode::FAILURE;
        }
    };
    #[cfg(target_os = "linux")]
    if let Some(reason) = crate::collect::host::container::without_host(&loaded.config.collect.paths) {
        warn!(
            reason,
            "this looks like a container, so some figures are its own; mount the host and name it by --path.rootfs"
        );
    }
    greet(&running, &loaded.config);
    let mut process = Process { loaded, shown, drain, running, figures, wishes };
    let signal = process.until_stopped(&mut signals, log).await;
    info!(signal = signal.name, "stopping");
    tokio::select! {
        () = process.running.stop() => ExitCode::SUCCESS,
        again = signals.stop() => {
            warn!(signal = again.name, "stopped at once by a second signal");
            ExitCode::from(again.code)
        }
    }
}

/// What the administration shows and does beside the server's own.
fn administration(shown: &Arc<Mutex<Arc<Loaded>>>, drain: &Arc<Notify>, log: log::Control) -> Admin {
    let (shown, drain) = (Arc::clone(shown), Arc::clone(drain));
    Admin {
        config: Some(Arc::new(move || {
            let loaded = Arc::clone(&shown.lock().unwrap_or_else(PoisonError::into_inner));
            config::show(&loaded.config, Some(&loaded.origins))
        })),
        log_level: Some(Arc::new(move |level| {
            if let Some(level) = level {
                log.set_level(level);
            }
            log.level()
        })),
        drain: Some(Arc::new(move || drain.notify_one())),
        ..Admin::default()
    }
}

/// What a reload over HTTP does: asks the process and waits for its answer.
fn on_request(wish: mpsc::Sender<Wish>) -> Reload {
    Box::new(move || {
        let wish = wish.clone();
        Box::pin(async move {
            let (answer, told) = oneshot::channel();
            let stopping = || Err("the server is stopping".to_owned());
            if wish.send(answer).await.is_err() {
                return stopping();
            }
            told.await.unwrap_or_else(|_| stopping())
        })
    })
}

/// Says on stdout where it is to be found.
fn greet(running: &Running, config: &Config) {
    let prefix = &config.server.route_prefix;
    let mut text = format!("gaugecast {VERSION} is ready\n");
    for &address in running.addresses() {
        let at = format!("{}{prefix}", reachable(address));
        let path = &config.server.telemetry_path;
        text += &format!("  page     http://{at}/\n  metrics  http://{at}{path}\n");
        text += &format!("  stream   ws://{at}/api/v1/stream/ws\n");
        info!(%address, "listening");
    }
    let mut out = std::io::stdout().lock();
    // Nobody may read it: a service has no terminal.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// An address one can open: that of this machine where it listens on all.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the process knows while it runs.
struct Process {
    loaded: Loaded,
    running: Running,
    figures: config::Metrics,
    wishes: mpsc::Receiver<Wish>,
    /// The configuration in force, for the administration.
    shown: Arc<Mutex<Arc<Loaded>>>,
    /// The administration wants the end.
    drain: Arc<Notify>,
}

impl Process {
    /// Serves until a signal says stop; reloads in between.
    async fn until_stopped(&mut self, signals: &mut Signals, log: &Log) -> Stop {
        let mut flush = tokio::time::interval(FLUSH);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return TERMINATE,
                _ = signals.interrupt.recv() => return INTERRUPT,
                () = self.drain.notified() => return DRAIN,
                _ = signals.hangup.recv() => {
                    // The log has told it.
                    let _ = self.reload(log).await;
                }
                Some(answer) = self.wishes.recv() => {
                    let told = self.reload(log).await;
                    let _ = answer.send(told);
                }
                _ = flush.tick() => log.flush(),
            }
        }
    }

    /// Reads the configuration again: all of it counts, or nothing. Says what changed.
    async fn reload(&mut self, log: &Log) -> Result<String, String> {
        let outcome = match self.loaded.reload() {
            Err(errors) => Err(errors.to_string()),
            Ok(loaded) => match self.running.reload(&loaded.config).await {
                Err(error) => Err(error.to_string()),
                Ok(tokens) => Ok((loaded, tokens)),
            },
        };
        match outcome {
            Ok((loaded, tokens)) => {
                for warning in &loaded.warnings {
                    warn!("{warning}");
                }
                log.apply(&loaded.config.log);
                let told = told(&config::changed(&self.loaded.config, &loaded.config), tokens);
                info!(changes = told, "configuration loaded again");
                self.running.events().publish(&events::Reload { ok: true, message: told.clone() });
                *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.clone());
                self.loaded = loaded;
                self.figures.loaded(unix_ms(SystemTime::now()));
                Ok(told)
            }
            Err(errors) => {
                error!("the configuration is not valid, the one before stays:\n{errors}");
                self.figures.refused();
                // Without the lines of the file that are quoted, indented: what stands there is not for every viewer.
                let quoted = |line: &&str| line.starts_with(' ');
                let message = errors.lines().filter(|line| !quoted(line)).collect::<Vec<_>>().join("\n");
                self.running.events().publish(&events::Reload { ok: false, message });
                Err(errors)
            }
        }
    }
}

/// Which settings changed, and which of them wait for a new start; and what changed of the tokens.
fn told(changed: &[config::Change], tokens: Option<String>) -> String {
    let list = |at_start: bool| {
        let names = changed.iter().filter(|change| change.at_start == at_start);
        names.map(|change| &*change.name).collect::<Vec<_>>().join(", ")
    };
    let said = |at_start, intro| {
        Some(list(at_start)).filter(|names| !names.is_empty()).map(|names| format!("{intro}: {names}"))
    };
    let parts: Vec<String> = [said(false, "in force"), said(true, "in force after a restart"), tokens]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() { "nothing changed".into() } else { parts.join("; ") }
}

/// Why to stop.
#[derive(Clone, Copy, Debug)]
struct Stop {
    name: &'static str,
    /// Exit code when it must be at once: 128 and the number of the signal.
    code: u8,
}

const DRAIN: Stop = Stop { name: "POST /api/v1/admin/drain", code: 1 };
const TERMINATE: Stop = Stop { name: "SIGTERM", code: 143 };
const INTERRUPT: Stop = Stop { name: "SIGINT", code: 130 };

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next that says stop.
    async fn stop(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => TERMINATE,
            _ = self.interrupt.recv() => INTERRUPT,
        }
    }
}
