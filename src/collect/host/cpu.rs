//! `node_cpu_seconds_total` and `node_cpu_guest_seconds_total` from `/proc/stat`, throttling from `/sys`.
//!
//! The kernel's idle and iowait times of a CPU can step back a little; a counter that does would look like a
//! reset, and a rate over it like a burst of 100 %. As node_exporter does, a value that goes back keeps the
//! higher one, unless idle went back by three seconds or more: then the CPU was away and counts anew.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::file::{Kept, names_in, read_trimmed};
use super::text::{count, label, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// In the order of `/proc/stat`.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Times of guests, which follow. They are contained in `user` and `nice`.
const GUEST_MODES: [&str; 2] = ["user", "nice"];

const IDLE: usize = 3;

/// Idle time that steps back by this many seconds means that the CPU was off-line.
const WAS_AWAY_SECONDS: f64 = 3.0;

/// After how many passes the list of CPUs with throttle counters is made again.
const RESCAN_PASSES: u32 = 60;

#[derive(Debug)]
pub(super) struct Cpu {
    file: Kept,
    ticks_per_second: f64,
    cpus: Vec<Times>,
    cpus_before: Vec<Times>,
    system_cpu: PathBuf,
    cores: Vec<Throttle>,
    packages: Vec<Throttle>,
    pass: u32,
}

/// What one CPU has spent, in seconds.
#[derive(Clone, Debug)]
struct Times {
    cpu: String,
    seconds: [f64; MODES.len() + GUEST_MODES.len()],
}

/// A counter of throttle events.
#[derive(Debug)]
struct Throttle {
    package: String,
    core: String,
    file: Kept,
}

impl Cpu {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        #[allow(clippy::cast_precision_loss)]
        Cpu {
            file: Kept::new(paths.procfs.join("stat")),
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            cpus: Vec::new(),
            cpus_before: Vec::new(),
            system_cpu: paths.sysfs.join("devices/system/cpu"),
            cores: Vec::new(),
            packages: Vec::new(),
            pass: 0,
        }
    }

    fn read_times(&mut self) -> Result<(), CollectError> {
        std::mem::swap(&mut self.cpus, &mut self.cpus_before);
        self.cpus.clear();
        for line in lines(self.file.read()?) {
            let mut words = words(line);
            let Some(cpu) = words.next().and_then(|word| word.strip_prefix(b"cpu")) else { break };
            if cpu.is_empty() {
                continue; // the sum of all
            }
            let mut seconds = [0.0; MODES.len() + GUEST_MODES.len()];
            for (second, ticks) in seconds.iter_mut().zip(words.map_while(count)) {
                *second = ticks / self.ticks_per_second;
            }
            let cpu = label(cpu);
            let before = match self.cpus_before.get(self.cpus.len()) {
                Some(before) if before.cpu == cpu => Some(before),
                _ => self.cpus_before.iter().find(|before| before.cpu == cpu),
            };
            if let Some(before) = before
                && before.seconds[IDLE] - seconds[IDLE] < WAS_AWAY_SECONDS
            {
                for (now, before) in seconds.iter_mut().zip(before.seconds) {
                    *now = now.max(before);
                }
            }
            self.cpus.push(Times { cpu: cpu.into_owned(), seconds });
        }
        Ok(())
    }

    fn find_throttles(&mut self) {
        (self.cores, self.packages) = (Vec::new(), Vec::new());
        let (mut seen_cores, mut seen_packages) = (BTreeSet::new(), BTreeSet::new());
        let mut text = Vec::new();
        for name in names_in(&self.system_cpu).unwrap_or_default() {
            if !name.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                continue;
            }
            let cpu = self.system_cpu.join(name);
            let mut id = |file: &str| {
                read_trimmed(&cpu.join("topology").join(file), &mut text)
                    .ok()
                    .map(|id| label(id).into_owned())
            };
            let (Some(package), Some(core)) = (id("physical_package_id"), id("core_id")) else { continue };
            let path = cpu.join("thermal_throttle/core_throttle_count");
            if path.exists() && seen_cores.insert((package.clone(), core.clone())) {
                self.cores.push(Throttle { package: package.clone(), core, file: Kept::new(path) });
            }
            let path = cpu.join("thermal_throttle/package_throttle_count");
            if path.exists() && seen_packages.insert(package.clone()) {
                self.packages.push(Throttle { package, core: String::new(), file: Kept::new(path) });
            }
        }
    }
}

impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        self.read_times()?;
        let help = "Seconds the CPUs spent in each mode.";
        let mut family = page.family("node_cpu_seconds_total", Kind::Counter, help);
        for times in &self.cpus {
            for (mode, seconds) in MODES.iter().zip(times.seconds) {
                family.sample(&[("cpu", &times.cpu), ("mode", mode)], seconds);
            }
        }
        let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
        let mut family = page.family("node_cpu_guest_seconds_total", Kind::Counter, help);
        for times in &self.cpus {
            for (mode, seconds) in GUEST_MODES.iter().zip(&times.seconds[MODES.len()..]) {
                family.sample(&[("cpu", &times.cpu), ("mode", mode)], *seconds);
            }
        }

        if self.pass.is_multiple_of(RESCAN_PASSES) {
            self.find_throttles();
        }
        self.pass = self.pass.wrapping_add(1);
        let mut family = page.family(
            "node_cpu_core_throttles_total",
            Kind::Counter,
            "Number of times this CPU core has been throttled.",
        );
        for throttle in &mut self.cores {
            if let Some(value) = throttle.read() {
                family.sample(&[("package", &throttle.package), ("core", &throttle.core)], value);
            }
        }
        let mut family = page.family(
            "node_cpu_package_throttles_total",
            Kind::Counter,
            "Number of times this CPU package has been throttled.",
        );
        for throttle in &mut self.packages {
            if let Some(value) = throttle.read() {
                family.sample(&[("package", &throttle.package)], value);
            }
        }
        Ok(())
    }
}

impl Throttle {
    /// None when its CPU went off-line.
    fn read(&mut self) -> Option<f64> {
        count(self.file.read().ok()?.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn times(cpu: &mut Cpu, text: &str) -> BTreeMap<String, f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        std::fs::write(&path, text).unwrap();
        cpu.file = Kept::new(path);
        cpu.read_times().unwrap();
        cpu.cpus.iter().map(|times| (times.cpu.clone(), times.seconds[IDLE])).collect()
    }

    #[test]
    fn a_small_step_back_is_held_and_a_large_one_is_a_reset_and_an_offline_cpu_is_absent() {
        let mut cpu = Cpu::new(&Paths::default(), &Filters::default());
        let seen = times(&mut cpu, "cpu 1 1 1 1\ncpu0 0 0 0 1000 0 0 0 0 0 0\ncpu1 0 0 0 2000\n");
        assert_eq!(seen, BTreeMap::from([("0".into(), 10.0), ("1".into(), 20.0)]));
        let seen = times(&mut cpu, "cpu 1 1 1 1\ncpu0 0 0 0 999 0 0 0 0 0 0\ncpu1 0 0 0 1000\n");
        assert_eq!(seen, BTreeMap::from([("0".into(), 10.0), ("1".into(), 10.0)]));
        let seen = times(&mut cpu, "cpu 1 1 1 1\ncpu1 0 0 0 1001\nintr 5\ncpu7 1 1 1 1\n");
        assert_eq!(seen, BTreeMap::from([("1".into(), 10.01)]));
    }
}
