//! The course of a test: threads that hold the connections, phases one after the other, and their verdicts.
//!
//! Each worker is a thread with a runtime of its own and every n-th connection; nothing is shared between workers
//! but the number of live connections. The main task tells them what to open when, looks at everything ten times
//! a second, takes the tallies at the end of a phase, and never touches a socket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::broadcasts::{Broadcasts, Fanout, PATIENCE_US, Window};
use super::client::{Client, Control, Shared};
use super::connect::{Network, Protocol, Target, unix_us};
use super::criteria::{Criterion, Judgeable, Verdict, combine, defaults};
use super::preflight::{allow_descriptors, clock, target};
use super::report::{
    Around, Clock, Frame, Generator, Load, PhaseReport, Report, SCHEMA_VERSION, compare, judge, measures,
    verdict,
};
use super::resources::{Reading, Sample, Samples, memory_bytes, process, scrape, usage};
use super::scenario::{Kind, Phase, phases};
use super::tally::Tally;
use super::url::Transport;
use super::{Disturb, Error, Options, report};
use crate::tls::Connector;

/// Bytes read from a socket at once: a buffer of each worker, not of each connection.
const SCRATCH: usize = 64 << 10;

/// How often the main task looks.
const LOOK: Duration = Duration::from_millis(100);

/// How much of each end of a phase is left out when completeness of broadcasts is judged, at most. A tenth of the
/// phase where that is less.
const EDGE: Duration = Duration::from_secs(1);

/// How much longer a ramp-up or recovery may take because the server has told connections when to come.
const LONGEST_ADMISSION: Duration = Duration::from_secs(300);

/// Distance of the timers whose lateness is watched.
const BEAT: Duration = Duration::from_millis(10);

/// What a test tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// About once a second.
    Looking(&'a Look<'a>),
    /// A phase is over.
    Finished(&'a PhaseReport),
    /// The whole is over; with [`Options::cycles`] it may begin anew.
    Cycle(&'a Report),
}

/// A look at a test.
#[derive(Debug, Clone)]
pub struct Look<'a> {
    /// The phase.
    pub phase: &'a str,
    /// Which time the test is run, from 1.
    pub cycle: u64,
    /// How long it has run.
    pub elapsed: Duration,
    /// How long it will.
    pub total: Duration,
    /// Connections that are live.
    pub live: usize,
    /// How many should be at the phase's end.
    pub planned: usize,
    /// Messages since the last look.
    pub messages: u64,
    /// How long that is.
    pub interval: Duration,
    /// 95th percentile of the delivery in the phase so far, in milliseconds.
    pub delivery_p95_ms: Option<f64>,
    /// Errors of the phase so far.
    pub errors: u64,
    /// Both sides; the first look has nothing to compare with.
    pub sample: Option<Sample>,
}

/// Runs a test to its end, as often as [`Options::cycles`] says, or until SIGINT or SIGTERM; then the report is of
/// what was done and says so. The report is that of the last time. A test that has no end by itself ends well by a
/// signal: its verdict is the worst of all the times that were finished.
///
/// # Errors
///
/// When it cannot begin; see [`Error`].
pub fn run(options: &Options, mut on: impl FnMut(&Event<'_>)) -> Result<Report, Error> {
    if let Some((text, tolerance)) = &options.baseline {
        compare(text, &BTreeMap::new(), *tolerance).map_err(Error::Baseline)?;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let target = target(options).await?;
        allow_descriptors(options.connections)?;
        let scraper = match &options.server_metrics {
            Some(url) if url.tls => Some(Connector::new(&options.trust)?),
            _ => None,
        };
        let mut interrupted = std::pin::pin!(interrupted());
        let (mut cycle, mut worst, mut last) = (1, Verdict::Pass, None::<Report>);
        loop {
            let clock = clock(options, &target).await;
            let workers = Workers::start(options, &target, &clock)?;
            let test = Test::new(options, clock, workers, scraper.clone(), cycle);
            let mut report = test.run(interrupted.as_mut(), &mut on).await;
            let is_aborted = report.verdict == Verdict::Aborted;
            if is_aborted
                && options.cycles == 0
                && let Some(mut last) = last
            {
                last.verdict = worst;
                last.exit_code = worst.exit_code();
                return Ok(last);
            }
            on(&Event::Cycle(&report));
            worst = worst.worse(report.verdict);
            if is_aborted || cycle == options.cycles {
                report.verdict = worst;
                report.exit_code = worst.exit_code();
                return Ok(report);
            }
            last = Some(report);
            cycle += 1;
        }
    })
}

/// A connection to open, and when.
struct Open {
    index: usize,
    at: Instant,
}

struct Workers {
    opens: Vec<mpsc::UnboundedSender<Open>>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    live: Arc<AtomicUsize>,
    told_to_wait: Arc<AtomicUsize>,
    network: Arc<Network>,
    control: watch::Sender<Control>,
}

impl Workers {
    fn start(options: &Options, target: &Target, clock: &Clock) -> io::Result<Self> {
        let mut workers = Self {
            opens: Vec::new(),
            tallies: Vec::new(),
            threads: Vec::new(),
            live: Arc::default(),
            told_to_wait: Arc::default(),
            network: Arc::new(Network::default()),
            control: watch::Sender::default(),
        };
        let origin = Instant::now();
        for worker in 0..options.workers {
            let (open, opens) = mpsc::unbounded_channel();
            let tally = Arc::new(Mutex::new(Tally::default()));
            workers.opens.push(open);
            workers.tallies.push(tally.clone());
            let (target, network) = (target.clone(), workers.network.clone());
            let (live, told_to_wait) = (workers.live.clone(), workers.told_to_wait.clone());
            let control = workers.control.subscribe();
            let offset_us = clock.offset_ms.map(|ms| (ms * 1000.0) as i64);
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let work = move || {
                // Within the thread: what the connections share is not for other threads.
                let shared = Rc::new(Shared {
                    target,
                    tally,
                    live,
                    told_to_wait,
                    network,
                    control,
                    offset_us,
                    scratch: RefCell::new(vec![0; SCRATCH].into()),
                    decoder: RefCell::default(),
                    origin,
                });
                LocalSet::new().block_on(&runtime, work(shared, opens));
            };
            let name = format!("load-{worker}");
            workers.threads.push(std::thread::Builder::new().name(name).spawn(work)?);
        }
        Ok(workers)
    }

    fn tallies(&self) -> impl Iterator<Item = std::sync::MutexGuard<'_, Tally>> {
        self.tallies.iter().map(|tally| tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted since the last time, but for arrivals.
    fn take(&self) -> Tally {
        let mut all = Tally::default();
        for mut tally in self.tallies() {
            all.merge(&std::mem::take(&mut *tally));
        }
        all
    }

    /// Arrivals since the last time.
    fn gather(&self, broadcasts: &mut Broadcasts) {
        for mut tally in self.tallies() {
            let arrivals = std::mem::take(&mut tally.arrivals);
            drop(tally);
            broadcasts.gather(arrivals);
        }
    }

    /// Messages, errors and the 95th percentile of the delivery since [`Workers::take`].
    fn glance(&self) -> (u64, u64, Option<f64>) {
        let (mut messages, mut errors, mut delivery) = (0, 0, super::histogram::Latency::default());
        for tally in self.tallies() {
            messages += tally.messages;
            errors += tally.errors.total();
            delivery.merge(&tally.delivery);
        }
        (messages, errors, delivery.quantile_ms(0.95))
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether the server has told some to come back later, and they are not back.
    fn are_told_to_wait(&self) -> bool {
        self.told_to_wait.load(Ordering::Relaxed) > 0
    }

    /// Ends all connections and waits for the threads; whether none of them has panicked.
    fn stop(self) -> bool {
        self.control.send_modify(|control| control.stop = true);
        drop(self.opens);
        let ends: Vec<_> = self.threads.into_iter().map(std::thread::JoinHandle::join).collect();
        ends.iter().all(Result::is_ok)
    }
}

/// The life of a worker: opens what it is told to, watches its own timers, and ends when the test does.
async fn work(shared: Rc<Shared>, mut opens: mpsc::UnboundedReceiver<Open>) {
    let mut clients = JoinSet::new();
    let mut next = Instant::now() + BEAT;
    let mut control = shared.control.clone();
    let mut due: Option<Open> = None;
    loop {
        tokio::select! {
            _ = control.wait_for(|control| control.stop) => break,
            () = sleep_until(next) => {
                let slip = next.elapsed();
                let us = u64::try_from(slip.as_micros()).unwrap_or(u64::MAX);
                shared.tally().slip.record(us);
                next = (next + BEAT).max(Instant::now());
            }
            Some(open) = opens.recv(), if due.is_none() => due = Some(open),
            () = sleep_until(due.as_ref().map_or(next, |open| open.at)), if due.is_some() => {
                if let Some(Open { index, at }) = due.take() {
                    clients.spawn_local(Client::new(shared.clone(), index).run(at));
                }
            }
        }
    }
    // They are told by the same word; one that does not hear it is dropped.
    let _ = timeout(Duration::from_secs(2), clients.join_all()).await;
}

struct Test<'a> {
    options: &'a Options,
    clock: Clock,
    workers: Workers,
    scraper: Option<Connector>,
    cycle: u64,
    phases: Vec<Phase>,
    criteria: Vec<Criterion>,
    unmeasured: BTreeMap<String, String>,
    began: Instant,
    total: Tally,
    around: Around,
    broadcasts: Broadcasts,
    /// Messages of the phase at the last look.
    looked: (u64, Instant),
    interval_ms: u64,
    samples: Samples,
    readings: Readings,
    reports: Vec<PhaseReport>,
    generator: Generator,
    notes: Vec<String>,
}

/// The last readings of both processes.
#[derive(Default)]
struct Readings {
    at: Option<Instant>,
    generator: Option<Reading>,
    server: Option<Reading>,
}

impl<'a> Test<'a> {
    fn new(
        options: &'a Options,
        clock: Clock,
        workers: Workers,
        scraper: Option<Connector>,
        cycle: u64,
    ) -> Self {
        let phases = phases(options.connections, options.duration, options.ramp, &options.kinds);
        let mut unmeasured = BTreeMap::new();
        let mut because = |families: &[&str], reason: &str| {
            for family in families {
                unmeasured.insert((*family).to_owned(), reason.to_owned());
            }
        };
        let ours = matches!(options.protocol, Protocol::Gaugecast { .. });
        let mut delivery = clock.offset_ms.is_some();
        if let Some(reason) = &clock.reason {
            because(&["delivery", "broadcast"], reason);
        }
        if let Protocol::Any { payload, .. } = &options.protocol {
            if payload.sequence_field.is_none() {
                because(
                    &["broadcast", "sequence", "resume"],
                    "no --sequence-field names the number in a message",
                );
            }
            if payload.time_field.is_none() {
                delivery = false;
                because(&["delivery"], "no --time-field names the time stamp in a message");
            }
        }
        let has_pings = options.url.transport == Transport::WebSocket;
        if !has_pings {
            because(&["rtt"], "server-sent events have no way back");
        }
        let recovery = phases.iter().any(|phase| phase.kind == Kind::Recovery);
        if !recovery {
            because(&["recovery", "resume"], "there is no recovery phase");
        }
        let server = options.server_pid.is_some() || options.server_metrics.is_some();
        if !server {
            because(&["server"], "neither --server-pid nor --server-metrics is given");
        }
        let can = Judgeable {
            ours,
            numbered: options.protocol.is_numbered(),
            latency: match delivery {
                true => Some("delivery"),
                false => has_pings.then_some("rtt"),
            },
            server,
            recovery,
            restart: matches!(options.disturb, Disturb::Restart(_)),
            rate: (options.judge_rate && ours).then_some(options.rate),
        };
        Self {
            options,
            criteria: combine(defaults(can), &options.criteria),
            clock,
            workers,
            scraper,
            cycle,
            phases,
            unmeasured,
            began: Instant::now(),
            total: Tally::default(),
            around: Around::default(),
            broadcasts: Broadcasts::default(),
            looked: (0, Instant::now()),
            interval_ms: 0,
            samples: Samples::default(),
            readings: Readings::default(),
            reports: Vec::new(),
            generator: Generator::default(),
            notes: Vec::new(),
        }
    }

    async fn run(
        mut self,
        mut interrupted: impl Future<Output = ()> + Unpin,
        on: &mut impl FnMut(&Event<'_>),
    ) -> Report {
        let started_ms = unix_us() / 1000;
        let mut opened = 0;
        let mut is_aborted = false;
        self.sample(0).await;
        for number in 0..self.phases.len() {
            let phase = self.phases[number].clone();
            let begin = Instant::now();
            for index in opened..phase.connections {
                let at = begin + phase.spacing * u32::try_from(index - opened).unwrap_or(u32::MAX);
                // A worker that has ended is told of at the end.
                let _ = self.workers.opens[index % self.options.workers].send(Open { index, at });
            }
            opened = phase.connections;
            let restarted = if phase.kind == Kind::Recovery { self.disturb() } else { None };
            let mut around = Around::default();
            let window = phase.kind.is_steady().then(|| {
                let edge = EDGE.min(phase.duration / 10);
                let us = |time: Duration| unix_us() + u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2);
                Window { from_us: us(edge), to_us: us(phase.duration - edge), clients: 0 }
            });
            tokio::select! {
                () = self.watch(number, &phase, begin, window, &mut around, on) => {}
                () = &mut interrupted => is_aborted = true,
            }
            around.seconds = begin.elapsed().as_secs_f64();
            let late = begin.elapsed().saturating_sub(phase.duration);
            if late >= LOOK * 5 && !phase.kind.is_steady() {
                self.notes.push(format!(
                    "{} took {:.1} s longer than planned, since the server had told connections when to come",
                    phase.name,
                    late.as_secs_f64(),
                ));
            }
            if let Some(restarted) = restarted {
                self.restarted(restarted);
            }
            self.finish(&phase, window, around, is_aborted);
            let report = self.reports.last().expect("a phase was just finished");
            on(&Event::Finished(report));
            let left = self.phases.len() - number - 1;
            if is_aborted {
                break;
            }
            if self.options.fail_fast && report.verdict == Verdict::Fail && left > 0 {
                self.notes.push(format!("{left} phases were left out after {:?} failed", report.name));
                break;
            }
            if self.total.connected == 0 && opened == self.options.connections && left > 0 {
                self.notes.push(format!("{left} phases were left out: no connection could be made"));
                break;
            }
        }
        self.report(started_ms, is_aborted)
    }

    /// Takes connections away. When that is by a command, what will be told how it ended.
    fn disturb(&mut self) -> Option<oneshot::Receiver<String>> {
        let command = match &self.options.disturb {
            Disturb::Kill(percent) => {
                let percent = *percent;
                self.workers.control.send_modify(|control| {
                    control.cut_percent = percent;
                    control.cuts += 1;
                });
                return None;
            }
            Disturb::Restart(command) => command.clone(),
        };
        self.workers.control.send_modify(|control| control.restarting = true);
        let (tell, told) = oneshot::channel();
        let run = move || {
            let mut shell = std::process::Command::new("sh");
            let null = std::process::Stdio::null;
            let ended = shell.args(["-c", &command]).stdin(null()).stdout(null()).stderr(null()).status();
            // Nobody asks any more when the phase is over.
            let _ = tell.send(match ended {
                Ok(status) if status.success() => String::new(),
                Ok(status) => format!("the restart command ended with {status}"),
                Err(error) => format!("the restart command could not be run: {error}"),
            });
        };
        if let Err(error) = std::thread::Builder::new().name("restart".into()).spawn(run) {
            self.notes.push(format!("the restart command could not be run: {error}"));
        }
        Some(told)
    }

    fn restarted(&mut self, mut told: oneshot::Receiver<String>) {
        self.workers.control.send_modify(|control| control.restarting = false);
        match told.try_recv() {
            Ok(words) if words.is_empty() => {}
            Ok(words) => self.notes.push(words),
            Err(_) => self.notes.push("the restart command had not ended when its phase did".into()),
        }
    }

    /// Looks on until the phase is over.
    async fn watch(
        &mut self,
        number: usize,
        phase: &Phase,
        begin: Instant,
        window: Option<Window>,
        around: &mut Around,
        on: &mut impl FnMut(&Event<'_>),
    ) {
        let end = begin + phase.duration;
        let latest = if phase.kind.is_steady() { end } else { end + LONGEST_ADMISSION };
        let mut second = begin + Duration::from_secs(1);
        let mut next = begin;
        self.looked = (0, begin);
        let mut looks = 0;
        let mut end = end;
        while next < end {
            next = (next + LOOK).min(end);
            sleep_until(next).await;
            // Who is kept waiting by the server is waited for: the test is of what it does when all are in.
            if next == end && end < latest && self.workers.are_told_to_wait() {
                end += LOOK;
            }
            let live = self.workers.live();
            if phase.kind.is_steady() {
                around.live += live.min(phase.connections) as u64;
                around.expected += phase.connections as u64;
            }
            // Of a short rest at the end rates would say little.
            let is_last = next == end && (looks == 0 || self.looked.1.elapsed() >= LOOK * 5);
            if next >= second || is_last {
                looks += 1;
                second += Duration::from_secs(1);
                let sample = self.sample(number).await;
                around.samples.extend(sample);
                self.close(unix_us().saturating_sub(PATIENCE_US), window, &mut around.fanout);
                let (messages, errors, delivery_p95_ms) = self.workers.glance();
                let now = Instant::now();
                let (before, at) = std::mem::replace(&mut self.looked, (messages, now));
                on(&Event::Looking(&Look {
                    phase: &phase.name,
                    cycle: self.cycle,
                    elapsed: self.began.elapsed(),
                    total: self.options.duration,
                    live,
                    planned: phase.connections,
                    messages: messages - before,
                    interval: now - at,
                    delivery_p95_ms,
                    errors,
                    sample,
                }));
            }
        }
    }

    /// Closes the broadcasts that began to arrive before a moment.
    fn close(&mut self, before_us: u64, window: Option<Window>, into: &mut Fanout) {
        self.workers.gather(&mut self.broadcasts);
        let clients = self.workers.live() as u64;
        let window = window.map(|window| Window { clients, ..window });
        self.broadcasts.close(before_us, window, into);
    }

    /// Reads both processes; `None` the first time, when there is nothing yet to compare with.
    async fn sample(&mut self, phase: usize) -> Option<Sample> {
        let generator = process(None);
        let server = match (self.options.server_pid, &self.options.server_metrics) {
            (Some(pid), _) => process(Some(pid)),
            (None, Some(url)) => {
                // The token is for the server under load, and for no other.
                let own = url.authority() == self.options.url.authority();
                let token = self.options.token.as_ref().filter(|_| own);
                scrape(url, self.scraper.as_ref(), token).await
            }
            (None, None) => None,
        };
        let network = Some(self.workers.network.totals());
        let generator = generator.map(|reading| Reading { network, ..reading });
        let now = Instant::now();
        let new = Readings { at: Some(now), generator, server };
        let old = std::mem::replace(&mut self.readings, new);
        let seconds = (now - old.at?).as_secs_f64();
        let used = |before: Option<Reading>, after| Some(usage(before?, after?, seconds));
        let sample = Sample {
            at_seconds: (now - self.began).as_secs_f64(),
            phase,
            live: self.workers.live(),
            generator: used(old.generator, generator),
            server: used(old.server, server),
        };
        self.samples.add(sample);
        Some(sample)
    }

    fn finish(&mut self, phase: &Phase, window: Option<Window>, mut around: Around, is_aborted: bool) {
        self.close(u64::MAX, window, &mut around.fanout);
        let tally = self.workers.take();
        let live = self.workers.live();
        self.interval_ms = self.interval_ms.max(tally.interval_ms);
        if phase.kind.is_steady() {
            around.steady_seconds = around.seconds;
            if self.interval_ms > 0 {
                around.due = around.seconds * 1000.0 / self.interval_ms as f64;
            }
        } else {
            around.fanout = Fanout::default();
        }
        let measures = self.measures(&tally, &around);
        let saturated = self.is_saturated(&phase.name, &tally, &measures);
        let criteria = self.criteria.iter().filter(|criterion| criterion.applies_to(phase.kind));
        let criteria = judge(criteria, &measures, &self.unmeasured, saturated);
        self.reports.push(PhaseReport {
            name: phase.name.clone(),
            kind: phase.kind.name(),
            seconds: around.seconds,
            live,
            planned: phase.connections,
            verdict: if is_aborted { Verdict::Aborted } else { verdict(&criteria, saturated) },
            measures,
            criteria,
        });
        self.total.merge(&tally);
        self.around.merge(&around);
        if phase.kind.is_steady() {
            // Resources are judged under full load.
            self.around.samples.extend(around.samples);
        }
    }

    fn measures(&self, tally: &Tally, around: &Around) -> BTreeMap<String, Option<f64>> {
        let frame = Frame {
            ours: matches!(self.options.protocol, Protocol::Gaugecast { .. }),
            numbered: self.options.protocol.is_numbered(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            workers: self.options.workers,
            memory: memory_bytes(),
        };
        measures(tally, around, frame)
    }

    fn is_saturated(&mut self, phase: &str, tally: &Tally, measures: &BTreeMap<String, Option<f64>>) -> bool {
        let before = self.generator.reasons.len();
        let most = self.options.max_generator_cpu;
        if let Some(cpu) = measures["generator.cpu"].filter(|cpu| *cpu > most) {
            self.generator.reasons.push(format!("{phase}: {cpu:.0} % of its cores, more than {most} %"));
        }
        let most = self.options.max_timer_slip.as_secs_f64() * 1000.0;
        if let Some(slip) = tally.slip.quantile_ms(0.99).filter(|slip| *slip > most) {
            self.generator.reasons.push(format!("{phase}: timers {slip:.1} ms late, more than {most} ms"));
        }
        let saturated = self.generator.reasons.len() > before;
        self.generator.generator_saturated |= saturated;
        saturated
    }

    fn report(mut self, started_ms: u64, is_aborted: bool) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        let measures = self.measures(&self.total, &self.around);
        let saturated = self.generator.generator_saturated;
        let criteria = judge(self.criteria.iter(), &measures, &self.unmeasured, saturated);
        let mut outcome = verdict(&criteria, saturated);
        if self.reports.iter().any(|phase| phase.verdict == Verdict::Fail) {
            outcome = outcome.max(Verdict::Fail);
        }
        let baseline = self.options.baseline.as_ref().and_then(|(text, tolerance)| {
            // It was read before the test began.
            compare(text, &measures, *tolerance).ok()
        });
        if baseline.iter().flatten().any(|change| change.verdict == Verdict::Fail) {
            outcome = outcome.max(Verdict::Fail);
        }
        if is_aborted {
            outcome = Verdict::Aborted;
        }
        self.generator.timer_slip_max_ms = self.total.slip.quantile_ms(1.0);
        self.generator.timer_slip_p99_ms = self.total.slip.quantile_ms(0.99);
        let granted = Some(self.interval_ms).filter(|ms| *ms > 0);
        if let (Protocol::Gaugecast { interval_ms, .. }, Some(granted)) = (&self.options.protocol, granted)
            && granted > *interval_ms
        {
            self.notes.push(format!(
                "{interval_ms} ms between broadcasts were asked for, {granted} ms granted; a shorter --collect.tick of the server may allow more"
            ));
        }
        if !self.workers.stop() {
            self.notes.push("a thread of the generator has failed; figures are not complete".into());
            outcome = outcome.max(Verdict::Inconclusive);
        }
        let options = self.options;
        Report {
            schema_version: SCHEMA_VERSION,
            version: crate::build::VERSION,
            started_ms,
            seconds,
            target: report::Target {
                url: options.url.text.clone(),
                protocol: options.protocol.name(),
                transport: options.url.transport.name(),
                tls: options.url.tls,
            },
            load: Load {
                preset: options.preset.clone(),
                connections: options.connections,
                rate: options.rate,
                granted_interval_ms: granted,
                planned_seconds: options.duration.as_secs_f64(),
                workers: options.workers,
                cycle: self.cycle,
            },
            verdict: outcome,
            exit_code: outcome.exit_code(),
            clock: self.clock,
            generator: self.generator,
            measures,
            unmeasured: self.unmeasured,
            criteria,
            phases: self.reports,
            errors: self.total.errors.by_class,
            first_errors: self.total.errors.first,
            resources: self.samples.kept().to_vec(),
            notes: self.notes,
            baseline,
        }
    }
}

/// Returns at SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
