//! What the server uses, by its own metrics and by /proc.

use std::fmt;
use std::time::Duration;

/// From when on memory must not grow.
const WARM: Duration = Duration::from_secs(300);

/// By how much it may.
const GROWTH: f64 = 0.02;

/// What is used at one time.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    rss: f64,
    descriptors: f64,
    threads: f64,
    tasks: f64,
    clients: f64,
    channels: f64,
    subscriptions: f64,
    catch_ups: f64,
    pub(crate) panics: f64,
    /// Connections that ended or were turned away, by reason.
    pub(crate) closed: Vec<(String, f64)>,
}

impl Sample {
    /// From a page of text 0.0.4. Descriptors are counted by us, so that the scrape's own is not among them.
    pub(crate) fn of(page: &str, pid: u32) -> Self {
        let lines = || page.lines().filter_map(|line| line.rsplit_once(' '));
        let value = |name: &str| {
            lines().find(|(key, _)| *key == name).map_or(0.0, |(_, value)| value.parse().unwrap())
        };
        let closed = lines().filter_map(|(key, value)| {
            let endings = [
                "gaugecast_stream_closed_total{",
                "gaugecast_http_rejected_total{",
                "gaugecast_stream_handshakes",
            ];
            endings.iter().find(|begin| key.starts_with(**begin))?;
            Some((key.to_owned(), value.parse().unwrap())).filter(|(_, times)| *times > 0.0)
        });
        let sockets = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count());
        Sample {
            rss: value("process_resident_memory_bytes"),
            #[expect(clippy::cast_precision_loss, reason = "thousands at most")]
            descriptors: sockets as f64,
            threads: value("process_threads"),
            tasks: value("gaugecast_tokio_alive_tasks"),
            clients: value("gaugecast_stream_clients"),
            channels: value("gaugecast_stream_channels"),
            subscriptions: value("gaugecast_stream_subscriptions"),
            catch_ups: value("gaugecast_stream_catch_ups_total"),
            panics: value("gaugecast_stream_panics_total"),
            closed: closed.collect(),
        }
    }

    /// Is nobody there?
    pub(crate) fn is_empty(&self) -> bool {
        self.clients + self.channels + self.subscriptions == 0.0
    }

    /// What there is more of than before: name, before, now. Threads that block come and go with the load.
    pub(crate) fn left_over(before: &Sample, now: &Sample) -> Vec<(&'static str, f64, f64)> {
        let both = [
            ("descriptors", before.descriptors, now.descriptors),
            ("tasks", before.tasks, now.tasks),
            ("clients", before.clients, now.clients),
            ("channels", before.channels, now.channels),
            ("subscriptions", before.subscriptions, now.subscriptions),
        ];
        both.into_iter().filter(|(_, before, now)| now > before).collect()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { rss, descriptors, threads, tasks, clients, channels, catch_ups, .. } = self;
        let mib = rss / f64::from(1 << 20);
        write!(
            f,
            "{mib:.1} MiB, {clients} clients, {channels} channels, {tasks} tasks, {descriptors} descriptors, {threads} threads, {catch_ups} caught up"
        )
    }
}

/// The memory over time.
#[derive(Debug)]
pub(crate) struct Ledger {
    duration: Duration,
    rss: Vec<(Duration, f64)>,
}

impl Ledger {
    pub(crate) fn new(duration: Duration) -> Self {
        Ledger { duration, rss: Vec::new() }
    }

    pub(crate) fn note(&mut self, at: Duration, sample: &Sample) {
        self.rss.push((at, sample.rss));
    }

    /// The middle one of the samples in a stretch of time.
    fn median(&self, from: Duration, to: Duration) -> Option<f64> {
        let mut within: Vec<f64> =
            self.rss.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, rss)| *rss).collect();
        within.sort_by(f64::total_cmp);
        within.get(within.len() / 2).copied()
    }

    /// The memory after the first five minutes, and in the last two; none in a run of less than ten.
    fn then_and_now(&self) -> Option<(f64, f64)> {
        if self.duration < 2 * WARM {
            return None;
        }
        let minutes = Duration::from_secs(120);
        Some((self.median(WARM, WARM + minutes)?, self.median(self.duration - minutes, Duration::MAX)?))
    }

    /// Whether it has grown: what is wrong then.
    pub(crate) fn judge(&self) -> Result<(), String> {
        match self.then_and_now() {
            Some((then, now)) if now > then * (1.0 + GROWTH) => Err(format!("memory: {self}")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = f64::from(1 << 20);
        match self.then_and_now() {
            None => write!(f, "memory is not judged in a run of less than {} s", 2 * WARM.as_secs()),
            Some((then, now)) => {
                let growth = (now / then - 1.0) * 100.0;
                let (then, now) = (then / mib, now / mib);
                write!(f, "{then:.2} MiB after five minutes, {now:.2} MiB at the end: {growth:+.2} %")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(duration: u64, grown: f64) -> Ledger {
        let mut ledger = Ledger::new(Duration::from_secs(duration));
        for second in (0..duration).step_by(5) {
            let rss = if second < 300 { 1e6 } else { 5e7 } * if second > 1000 { grown } else { 1.0 };
            let page = format!("process_resident_memory_bytes {rss}\n");
            ledger.note(Duration::from_secs(second), &Sample::of(&page, 0));
        }
        ledger
    }

    #[test]
    fn memory_is_judged_from_the_sixth_minute_on() {
        assert!(ledger(1800, 1.019).judge().is_ok());
        assert!(ledger(1800, 1.021).judge().unwrap_err().contains("+2.10 %"));
        assert!(ledger(1800, 0.5).judge().is_ok());
        assert!(ledger(599, 9.0).judge().is_ok());
    }

    #[test]
    fn only_what_there_is_more_of_is_left_over() {
        let page = |tasks: u32| {
            format!(
                "gaugecast_tokio_alive_tasks {tasks}\ngaugecast_stream_closed_total{{reason=\"slow\"}} 2\n"
            )
        };
        let (before, after) = (Sample::of(&page(3), 0), Sample::of(&page(4), 0));
        assert_eq!(Sample::left_over(&before, &after), [("tasks", 3.0, 4.0)]);
        assert_eq!(Sample::left_over(&after, &before), []);
        assert_eq!(after.closed, [("gaugecast_stream_closed_total{reason=\"slow\"}".to_owned(), 2.0)]);
    }
}
