//! What the generator and the server use, once a second: CPU, memory, file descriptors.
//!
//! A process on this machine is read from /proc, a server elsewhere by the `process_…` families of its `/metrics`.
//! Neither is there on every system; what cannot be read is `None`.

use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect::authorized;
use super::url::Url;
use crate::config::Secret;
use crate::tls::{Connector, Stream};

/// Samples kept; when there are more, every other one goes and only every second one is taken from then on.
const POINTS: usize = 1000;

/// Totals of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// CPU time used since its start, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Open file descriptors.
    pub fds: Option<u64>,
    /// Bytes received and sent over the network.
    pub network: Option<(u64, u64)>,
}

/// What a process used over an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// CPU time in percent of one core.
    pub cpu_percent: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Open file descriptors.
    pub fds: Option<u64>,
    /// Bytes a second off the network. Of the generator those of its connections, of a server by its pid those of all
    /// interfaces of its network namespace.
    pub received_bytes_per_second: Option<f64>,
    /// Bytes a second on the network, likewise.
    pub sent_bytes_per_second: Option<f64>,
}

/// Both sides at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the test began.
    pub at_seconds: f64,
    /// Number of the phase, from 0.
    pub phase: usize,
    /// Connections that are live.
    pub live: usize,
    /// This process.
    pub generator: Option<Usage>,
    /// The server.
    pub server: Option<Usage>,
}

/// The samples of a test.
#[derive(Debug, Default)]
pub struct Samples {
    kept: Vec<Sample>,
    stride: usize,
    seen: usize,
}

impl Samples {
    /// Adds the newest.
    pub fn add(&mut self, sample: Sample) {
        self.stride = self.stride.max(1);
        if self.seen.is_multiple_of(self.stride) {
            self.kept.push(sample);
        }
        self.seen += 1;
        if self.kept.len() > POINTS {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
    }

    /// All that are kept, oldest first: at most a thousand.
    #[must_use]
    pub fn kept(&self) -> &[Sample] {
        &self.kept
    }
}

/// Process `pid` of this machine, or this one when `None`.
#[must_use]
pub fn process(pid: Option<u32>) -> Option<Reading> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let statm = std::fs::read_to_string(format!("{folder}/statm")).ok()?;
    let fds = std::fs::read_dir(format!("{folder}/fd")).ok().map(|list| list.count() as u64);
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let (ticks, pages) = (ticks(&stat)?, statm.split(' ').nth(1)?.parse::<u64>().ok()?);
    let rss_bytes = pages * rustix::param::page_size() as u64;
    let network = std::fs::read_to_string(format!("{folder}/net/dev")).ok().map(|text| interfaces(&text));
    Some(Reading { cpu_seconds: ticks as f64 / ticks_per_second, rss_bytes, fds, network })
}

/// Bytes received and sent by all interfaces of /proc/PID/net/dev together.
fn interfaces(text: &str) -> (u64, u64) {
    let fields = text.lines().filter_map(|line| Some(line.split_once(':')?.1.split_whitespace()));
    fields.fold((0, 0), |(received, sent), mut fields| {
        let mut number = |at| fields.nth(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        (received + number(0), sent + number(7))
    })
}

/// User and system time of a line of /proc/PID/stat. The name of the process, in brackets, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The process that a page in the text format is about.
#[must_use]
pub fn page(text: &str) -> Option<Reading> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    Some(Reading {
        cpu_seconds: value("process_cpu_seconds_total")?,
        rss_bytes: value("process_resident_memory_bytes")? as u64,
        fds: value("process_open_fds").map(|fds| fds as u64),
        network: value("process_network_receive_bytes_total")
            .zip(value("process_network_transmit_bytes_total"))
            .map(|(received, sent)| (received as u64, sent as u64)),
    })
}

/// Gets the page of a URL, with a token if there is one, and reads the process from it; within two seconds, at most 16 MiB.
pub async fn scrape(url: &Url, tls: Option<&Connector>, token: Option<&Secret>) -> Option<Reading> {
    let (host, path) = (url.authority(), &url.path);
    let get = async {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await.ok()?;
        let mut stream = match tls.filter(|_| url.tls) {
            Some(tls) => tls.connect(&url.host, stream).await.ok()?,
            None => Stream::Plain(stream),
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n");
        let request = authorized(request, token);
        stream.write_all(request.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let mut answer = Vec::new();
        stream.take(16 << 20).read_to_end(&mut answer).await.ok()?;
        page(&String::from_utf8_lossy(&answer))
    };
    tokio::time::timeout(Duration::from_secs(2), get).await.ok().flatten()
}

/// What was used between two readings that are `seconds` apart.
#[must_use]
pub fn usage(before: Reading, after: Reading, seconds: f64) -> Usage {
    let cpu = (after.cpu_seconds - before.cpu_seconds).max(0.0);
    let cpu_percent = if seconds > 0.0 { cpu / seconds * 100.0 } else { 0.0 };
    let network = before.network.zip(after.network).filter(|_| seconds > 0.0);
    let per_second = |of: fn((u64, u64)) -> u64| {
        network.map(|(before, after)| of(after).saturating_sub(of(before)) as f64 / seconds)
    };
    Usage {
        cpu_percent,
        rss_bytes: after.rss_bytes,
        fds: after.fds,
        received_bytes_per_second: per_second(|network| network.0),
        sent_bytes_per_second: per_second(|network| network.1),
    }
}

/// Memory of this machine in bytes, for the server's share of it.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 700 50 0 0 20 0";
        assert_eq!(ticks(stat), Some(750));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn a_page_tells_of_its_process() {
        let text = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
                    process_resident_memory_bytes 4096\nprocess_open_fds 7\n";
        let reading = page(text).unwrap();
        let expected = Reading { cpu_seconds: 1.5, rss_bytes: 4096, fds: Some(7), network: None };
        assert_eq!(reading, expected);
        assert_eq!(page("up 1\n"), None);
    }

    #[test]
    fn samples_are_thinned_evenly_beyond_a_thousand() {
        let mut samples = Samples::default();
        for at in 0..5000 {
            samples.add(Sample {
                at_seconds: f64::from(at),
                phase: 0,
                live: 0,
                generator: None,
                server: None,
            });
        }
        let kept = samples.kept();
        assert!((500..=1000).contains(&kept.len()), "{}", kept.len());
        assert!(kept.windows(2).all(|w| w[1].at_seconds - w[0].at_seconds == 8.0));
    }

    #[test]
    fn usage_is_the_difference_over_the_time() {
        let at = |cpu_seconds| Reading {
            cpu_seconds,
            rss_bytes: 1,
            fds: None,
            network: Some((cpu_seconds as u64 * 10, 7)),
        };
        let used = usage(at(1.0), at(2.0), 2.0);
        assert_eq!((used.cpu_percent, used.received_bytes_per_second), (50.0, Some(5.0)));
        assert_eq!(used.sent_bytes_per_second, Some(0.0));
        let none = usage(at(1.0), at(2.0), 0.0);
        assert_eq!((none.cpu_percent, none.received_bytes_per_second), (0.0, None));
    }

    #[test]
    fn bytes_of_all_interfaces_are_added() {
        let text =
            "Inter-|   Receive\n face |bytes\n    lo:  10 1 0 0 0 0 0 0 20 1\n  eth0: 5 1 0 0 0 0 0 0 6 1\n";
        assert_eq!(interfaces(text), (15, 26));
    }
}
