//! This process: `process_*` with Prometheus' names, the tokio runtime, and what was built.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{CollectError, Collector};
use crate::build::{FEATURES, REVISION, RUST_VERSION, VERSION};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// The collector `process`: CPU time, memory, descriptors and threads of this process, and
/// `gaugecast_build_info`.
#[derive(Debug)]
pub struct Process {
    proc_self: PathBuf,
}

impl Process {
    /// Reads `/proc/self`, whatever `--path.procfs` says: in a container that is this process too.
    #[must_use]
    pub fn new() -> Self {
        Process { proc_self: "/proc/self".into() }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let help = "What was built, as labels; the value is 1.";
        page.family("gaugecast_build_info", Kind::Gauge, help).sample(
            &[
                ("version", VERSION),
                ("revision", REVISION),
                ("rustversion", RUST_VERSION),
                ("features", FEATURES),
            ],
            1.0,
        );
        #[cfg(target_os = "linux")]
        return linux::collect(&self.proc_self, page);
        #[cfg(not(target_os = "linux"))]
        return Err(CollectError::NoData("only Linux has /proc/self".into()));
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;
    use std::path::Path;

    use rustix::process::{Resource, getrlimit};

    use super::{CollectError, Kind, PageWriter};

    /// What `/proc/self/stat` says, see proc(5).
    #[derive(Debug, PartialEq)]
    pub(super) struct Stat {
        pub(super) cpu_ticks: f64,
        pub(super) threads: f64,
        pub(super) start_ticks: f64,
        pub(super) virtual_bytes: f64,
        pub(super) resident_pages: f64,
    }

    pub(super) fn collect(proc_self: &Path, page: &mut PageWriter) -> Result<(), CollectError> {
        let read = |file: &str| {
            let path = proc_self.join(file);
            let failed = |source| CollectError::File { path: path.display().to_string(), source };
            fs::read_to_string(&path).map_err(failed)
        };
        let text = read("stat")?;
        let Some(stat) = parse_stat(&text) else {
            let reason = format!("unexpected: {:?}", text.chars().take(80).collect::<String>());
            return Err(CollectError::Format { path: proc_self.join("stat").display().to_string(), reason });
        };
        #[allow(clippy::cast_precision_loss)]
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        #[allow(clippy::cast_precision_loss)]
        let page_size = rustix::param::page_size() as f64;
        #[allow(clippy::cast_precision_loss)]
        let limit = |of| getrlimit(of).current.unwrap_or(u64::MAX) as f64;

        let help = "Total user and system CPU time spent in seconds.";
        page.single("process_cpu_seconds_total", Kind::Counter, help, stat.cpu_ticks / ticks);
        let help = "Resident memory size in bytes.";
        page.single("process_resident_memory_bytes", Kind::Gauge, help, stat.resident_pages * page_size);
        let help = "Virtual memory size in bytes.";
        page.single("process_virtual_memory_bytes", Kind::Gauge, help, stat.virtual_bytes);
        let help = "Maximum amount of virtual memory available in bytes.";
        page.single("process_virtual_memory_max_bytes", Kind::Gauge, help, limit(Resource::As));
        if let Some(open) = open_descriptors(&proc_self.join("fd")) {
            page.single("process_open_fds", Kind::Gauge, "Number of open file descriptors.", open);
        }
        let help = "Maximum number of open file descriptors.";
        page.single("process_max_fds", Kind::Gauge, help, limit(Resource::Nofile));
        page.single("process_threads", Kind::Gauge, "Number of OS threads in the process.", stat.threads);
        // The start counts from boot, and only the system's stat tells when that was.
        if let Ok(system) = fs::read_to_string(proc_self.join("../stat"))
            && let Some(booted) = boot_time(&system)
        {
            let help = "Start time of the process since unix epoch in seconds.";
            let started = booted + stat.start_ticks / ticks;
            page.single("process_start_time_seconds", Kind::Gauge, help, started);
        }
        Ok(())
    }

    /// The second field, the name of the program, is in brackets and may hold anything.
    pub(super) fn parse_stat(text: &str) -> Option<Stat> {
        let fields: Vec<f64> =
            text.rsplit_once(')')?.1.split_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
        let field = |number: usize| fields.get(number - 4).copied(); // as proc(5) numbers them
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }

    pub(super) fn boot_time(stat: &str) -> Option<f64> {
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    }

    /// Since Linux 6.2 the folder's size is the number; before, it is 0 and the entries are counted, without
    /// the one that the counting opens.
    fn open_descriptors(folder: &Path) -> Option<f64> {
        let number = match fs::metadata(folder).ok()?.len() {
            0 => {
                fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).ok()?.len() as u64 - 1
            }
            number => number,
        };
        #[allow(clippy::cast_precision_loss)]
        Some(number as f64)
    }
}

/// The collector `runtime`: what tokio tells of its runtime without unstable features.
#[derive(Debug)]
pub struct Runtime {
    handle: Option<Handle>,
}

impl Runtime {
    /// Figures of the runtime in which this is called. Outside of one there is no data.
    #[must_use]
    pub fn current() -> Self {
        Runtime { handle: Handle::try_current().ok() }
    }
}

impl Collector for Runtime {
    fn name(&self) -> &'static str {
        "runtime"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let Some(handle) = &self.handle else {
            return Err(CollectError::NoData("made outside of a tokio runtime".into()));
        };
        let metrics = handle.metrics();
        #[allow(clippy::cast_precision_loss)]
        let float = |value: usize| value as f64;
        let workers = metrics.num_workers();
        let help = "Worker threads of the runtime.";
        page.single("gaugecast_tokio_workers", Kind::Gauge, help, float(workers));
        let help = "Tasks that have not ended.";
        page.single("gaugecast_tokio_alive_tasks", Kind::Gauge, help, float(metrics.num_alive_tasks()));
        let help = "Tasks in the global queue that wait for a worker.";
        page.single(
            "gaugecast_tokio_global_queue_tasks",
            Kind::Gauge,
            help,
            float(metrics.global_queue_depth()),
        );
        // tokio counts these in 64 bits only where those are atomic.
        #[cfg(target_has_atomic = "64")]
        {
            let names: Vec<String> = (0..workers).map(|worker| worker.to_string()).collect();
            let help = "Time a worker was busy; the rate of it is its busy ratio.";
            let mut family = page.family("gaugecast_tokio_worker_busy_seconds_total", Kind::Counter, help);
            for (worker, name) in names.iter().enumerate() {
                let busy: Duration = metrics.worker_total_busy_duration(worker);
                family.sample(&[("worker", name)], busy.as_secs_f64());
            }
            let help = "How often a worker went to sleep.";
            let mut family = page.family("gaugecast_tokio_worker_parks_total", Kind::Counter, help);
            for (worker, name) in names.iter().enumerate() {
                #[allow(clippy::cast_precision_loss)]
                family.sample(&[("worker", name)], metrics.worker_park_count(worker) as f64);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn text(mut collector: impl Collector) -> String {
        let mut page = PageWriter::new();
        collector.collect(&mut page).unwrap();
        String::from_utf8(page.into_bytes()).unwrap()
    }

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in\n{text}")).split_once(' ').unwrap().1.parse().unwrap()
    }

    #[test]
    fn the_figures_of_this_process_are_plausible() {
        let text = text(Process::new());
        assert!(value(&text, "process_resident_memory_bytes") > 1e6);
        assert!(value(&text, "process_virtual_memory_bytes") > value(&text, "process_resident_memory_bytes"));
        assert!(value(&text, "process_open_fds") >= 3.0);
        assert!(value(&text, "process_max_fds") >= value(&text, "process_open_fds"));
        assert!(value(&text, "process_threads") >= 1.0);
        assert!(value(&text, "process_start_time_seconds") > 1.6e9);
        assert!(text.contains(&format!("gaugecast_build_info{{version=\"{VERSION}\",revision=\"")));
    }

    #[test]
    fn a_program_may_be_called_anything() {
        let line =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 900 4096 10 18446744073709551615";
        let stat = linux::parse_stat(line).unwrap();
        assert_eq!(
            stat,
            linux::Stat {
                cpu_ticks: 200.0,
                threads: 3.0,
                start_ticks: 900.0,
                virtual_bytes: 4096.0,
                resident_pages: 10.0
            }
        );
        assert_eq!(linux::parse_stat("7 (a) S 1"), None);
        assert_eq!(linux::boot_time("cpu 1\nbtime 17\n"), Some(17.0));
    }

    #[test]
    fn the_runtime_tells_its_workers() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let text = runtime.block_on(async { text(Runtime::current()) });
        assert_eq!(value(&text, "gaugecast_tokio_workers"), 2.0);
        assert!(text.contains("gaugecast_tokio_worker_busy_seconds_total{worker=\"1\"} "));
    }
}
