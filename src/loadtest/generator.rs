//! The course of a test: threads that hold the connections, phases one after the other, and their verdicts.
//!
//! Each worker is a thread with a runtime of its own and every n-th connection; nothing is shared between workers
//! but the number of live connections. The main task tells them what to open when, looks at everything ten times
//! a second, takes the tallies at the end of a phase, and never touches a socket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{Client, Control, Protocol, Shared, Target, clock_offset, unix_us};
use super::criteria::{Criterion, Judgeable, Verdict, combine, defaults};
use super::report::{
    Around, Clock, Generator, Load, PhaseReport, Report, SCHEMA_VERSION, compare, judge, measures, verdict,
};
use super::resources::{Reading, Sample, Samples, memory_bytes, process, scrape, usage};
use super::scenario::{Kind, Phase, phases};
use super::tally::Tally;
use super::{Error, Options, report};

/// Bytes read from a socket at once: a buffer of each worker, not of each connection.
const SCRATCH: usize = 64 << 10;

/// Descriptors beyond those of the connections.
const SPARE_DESCRIPTORS: u64 = 64;

/// How often the main task looks.
const LOOK: Duration = Duration::from_millis(100);

/// Distance of the timers whose lateness is watched.
const BEAT: Duration = Duration::from_millis(10);

/// What a test tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// About once a second.
    Looking {
        /// The phase.
        phase: &'a str,
        /// How long the test has run.
        elapsed: Duration,
        /// How long it will.
        total: Duration,
        /// Connections that are live, and how many should be at the phase's end.
        live: usize,
        /// See `live`.
        planned: usize,
        /// Messages of the phase so far.
        messages: u64,
        /// Errors of the phase so far.
        errors: u64,
    },
    /// A phase is over.
    Finished(&'a PhaseReport),
}

/// Runs a test to its end, or until SIGINT or SIGTERM; then the report is of what was done and says so.
///
/// # Errors
///
/// When it cannot begin; see [`Error`].
pub fn run(options: &Options, on: impl FnMut(&Event<'_>)) -> Result<Report, Error> {
    if let Some((text, tolerance)) = &options.baseline {
        compare(text, &BTreeMap::new(), *tolerance).map_err(Error::Baseline)?;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let target = target(options).await?;
        allow_descriptors(options.connections)?;
        let clock = clock(options, &target).await;
        let workers = Workers::start(options, &target, &clock)?;
        Ok(Test::new(options, clock, workers).run(on).await)
    })
}

async fn target(options: &Options) -> Result<Target, Error> {
    let url = &options.url;
    let resolve = |source| Error::Resolve { host: url.host.clone(), source };
    let mut found = tokio::net::lookup_host((url.host.as_str(), url.port)).await.map_err(resolve)?;
    let address = found.next().ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    if !address.ip().is_loopback() && options.own_target.as_deref() != Some(url.host.as_str()) {
        return Err(Error::NotOwned { host: url.host.clone() });
    }
    let ports = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().and_then(|text| {
        let mut ends = text.split_whitespace().map(|end| end.parse::<usize>().ok());
        Some(ends.next()??..=ends.next()??)
    });
    let sources = match ports.map(|ports| ports.count()) {
        Some(ports) => sources(address, options.connections, ports)
            .ok_or(Error::Ports { connections: options.connections, ports })?,
        None => Vec::new(),
    };
    Ok(Target {
        address,
        host: url.authority(),
        path: url.path.clone(),
        protocol: options.protocol.clone(),
        sources,
        connect_timeout: options.connect_timeout,
        ping_interval: options.ping_interval,
    })
}

/// Addresses to connect from, so that half of `ports` is enough for each: the other half may still wait for the
/// end of TIME_WAIT. None where one address will do; `None` where it does not and there are no others.
fn sources(to: SocketAddr, connections: usize, ports: usize) -> Option<Vec<IpAddr>> {
    let each = (ports / 2).max(1);
    match to.ip() {
        _ if connections <= each => Some(Vec::new()),
        // All of 127.0.0.0/8 is this machine.
        IpAddr::V4(ip) if ip.is_loopback() => {
            let count = u32::try_from(connections.div_ceil(each)).ok()?;
            Some((1..=count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + n))).collect())
        }
        _ => (connections <= ports).then(Vec::new),
    }
}

fn allow_descriptors(connections: usize) -> Result<(), Error> {
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|maximum| *maximum < needed) {
        return Err(Error::Descriptors { connections, needed, limit });
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(io::Error::from)?;
    Ok(())
}

async fn clock(options: &Options, target: &Target) -> Clock {
    let unknown = |reason: &str| Clock {
        method: "unknown",
        offset_ms: None,
        error_ms: None,
        reason: Some(reason.to_owned()),
    };
    if target.address.ip().is_loopback() {
        return Clock { method: "same_host", offset_ms: Some(0.0), error_ms: Some(0.0), reason: None };
    }
    match options.protocol {
        Protocol::Any { .. } => unknown("the server is elsewhere and does not tell its time"),
        Protocol::Gaugecast { .. } => match clock_offset(target).await {
            Ok((offset, error)) => Clock {
                method: "round_trip",
                offset_ms: Some(offset as f64 / 1000.0),
                error_ms: Some(error as f64 / 1000.0),
                reason: None,
            },
            Err(reason) => unknown(&format!("the server's time could not be asked for: {reason}")),
        },
    }
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
    control: watch::Sender<Control>,
}

impl Workers {
    fn start(options: &Options, target: &Target, clock: &Clock) -> io::Result<Self> {
        let mut workers = Self {
            opens: Vec::new(),
            tallies: Vec::new(),
            threads: Vec::new(),
            live: Arc::new(AtomicUsize::new(0)),
            control: watch::Sender::default(),
        };
        let origin = Instant::now();
        for worker in 0..options.workers {
            let (open, opens) = mpsc::unbounded_channel();
            let tally = Arc::new(Mutex::new(Tally::default()));
            workers.opens.push(open);
            workers.tallies.push(tally.clone());
            let (target, live) = (target.clone(), workers.live.clone());
            let control = workers.control.subscribe();
            let offset_us = clock.offset_ms.map(|ms| (ms * 1000.0) as i64);
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let work = move || {
                // Within the thread: what the connections share is not for other threads.
                let shared = Rc::new(Shared {
                    target,
                    tally,
                    live,
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

    /// What was counted since the last time.
    fn take(&self) -> Tally {
        let mut all = Tally::default();
        for tally in &self.tallies {
            let one = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
            all.merge(&one);
        }
        all
    }

    /// Messages and errors since then.
    fn glance(&self) -> (u64, u64) {
        let each = self.tallies.iter().map(|tally| tally.lock().unwrap_or_else(PoisonError::into_inner));
        each.fold((0, 0), |sum, tally| (sum.0 + tally.messages, sum.1 + tally.errors.total()))
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
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
                shared.tally.lock().unwrap_or_else(PoisonError::into_inner).slip.record(us);
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
    phases: Vec<Phase>,
    criteria: Vec<Criterion>,
    unmeasured: BTreeMap<String, String>,
    began: Instant,
    total: Tally,
    around: Around,
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
    fn new(options: &'a Options, clock: Clock, workers: Workers) -> Self {
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
        if let Protocol::Any { time_field, .. } = &options.protocol {
            because(&["broadcast", "sequence", "resume"], "only our own protocol numbers its broadcasts");
            if time_field.is_none() {
                delivery = false;
                because(&["delivery"], "no --time-field names the time stamp in a message");
            }
        }
        let recovery = phases.iter().any(|phase| phase.kind == Kind::Recovery);
        if !recovery {
            because(&["recovery", "resume"], "there is no recovery phase");
        }
        let server = options.server_pid.is_some() || options.server_metrics.is_some();
        if !server {
            because(&["server"], "neither --server-pid nor --server-metrics is given");
        }
        let rate = (options.judge_rate && ours).then_some(options.rate);
        let can = Judgeable { ours, delivery, server, recovery, rate };
        Self {
            options,
            criteria: combine(defaults(can), &options.criteria),
            clock,
            workers,
            phases,
            unmeasured,
            began: Instant::now(),
            total: Tally::default(),
            around: Around::default(),
            samples: Samples::default(),
            readings: Readings::default(),
            reports: Vec::new(),
            generator: Generator::default(),
            notes: Vec::new(),
        }
    }

    async fn run(mut self, mut on: impl FnMut(&Event<'_>)) -> Report {
        let started_ms = unix_us() / 1000;
        let mut interrupted = std::pin::pin!(interrupted());
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
            if phase.kind == Kind::Recovery {
                let cut_percent = self.options.cut_percent;
                self.workers.control.send_modify(|control| {
                    control.cut_percent = cut_percent;
                    control.cuts += 1;
                });
            }
            let mut around = Around::default();
            tokio::select! {
                () = self.watch(number, &phase, begin, &mut around, &mut on) => {}
                () = &mut interrupted => is_aborted = true,
            }
            around.seconds = begin.elapsed().as_secs_f64();
            self.finish(&phase, around, is_aborted);
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

    /// Looks on until the phase is over.
    async fn watch(
        &mut self,
        number: usize,
        phase: &Phase,
        begin: Instant,
        around: &mut Around,
        on: &mut impl FnMut(&Event<'_>),
    ) {
        let end = begin + phase.duration;
        let mut second = begin + Duration::from_secs(1);
        let mut next = begin;
        while next < end {
            next = (next + LOOK).min(end);
            sleep_until(next).await;
            let live = self.workers.live();
            if phase.kind.is_steady() {
                around.live += live.min(phase.connections) as u64;
                around.expected += phase.connections as u64;
            }
            if next >= second || next == end {
                second += Duration::from_secs(1);
                if let Some(sample) = self.sample(number).await {
                    around.samples.push(sample);
                }
                let (messages, errors) = self.workers.glance();
                on(&Event::Looking {
                    phase: &phase.name,
                    elapsed: self.began.elapsed(),
                    total: self.options.duration,
                    live,
                    planned: phase.connections,
                    messages,
                    errors,
                });
            }
        }
    }

    /// Reads both processes; `None` the first time, when there is nothing yet to compare with.
    async fn sample(&mut self, phase: usize) -> Option<Sample> {
        let generator = process(None);
        let server = match (self.options.server_pid, &self.options.server_metrics) {
            (Some(pid), _) => process(Some(pid)),
            (None, Some(url)) => scrape(&url.authority(), &url.path).await,
            (None, None) => None,
        };
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

    fn finish(&mut self, phase: &Phase, mut around: Around, is_aborted: bool) {
        let tally = self.workers.take();
        let live = self.workers.live();
        if phase.kind.is_steady() {
            around.broadcasts(&tally, live);
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
        let ours = matches!(self.options.protocol, Protocol::Gaugecast { .. });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        measures(tally, around, ours, (cores, self.options.workers), memory_bytes())
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
        let granted = Some(self.total.interval_ms).filter(|ms| *ms > 0);
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
                protocol: match options.protocol {
                    Protocol::Gaugecast { .. } => "gaugecast",
                    Protocol::Any { .. } => "any",
                },
            },
            load: Load {
                preset: options.preset.clone(),
                connections: options.connections,
                rate: options.rate,
                granted_interval_ms: granted,
                planned_seconds: options.duration.as_secs_f64(),
                workers: options.workers,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_half_the_ports_come_from_more_loopback_addresses() {
        let loopback = "127.0.0.1:1".parse().unwrap();
        assert_eq!(sources(loopback, 100, 200), Some(vec![]));
        let two: Vec<IpAddr> = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        assert_eq!(sources(loopback, 101, 200), Some(two));
        let elsewhere = "192.0.2.1:1".parse().unwrap();
        assert_eq!((sources(elsewhere, 200, 200), sources(elsewhere, 201, 200)), (Some(vec![]), None));
    }
}
