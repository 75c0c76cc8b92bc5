//! The process under test: started on a core of its own, and what the kernel accounts to it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Descriptors that a process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 200;

/// The core of the server and that of the client.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    server: usize,
    client: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(client)) => Ok(Cores { server, client }),
            _ => Err("two cores are needed, one for the server and one for the client".into()),
        }
    }

    fn pin(cores: &[usize]) -> Result<()> {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        Ok(sched_setaffinity(None, &set)?)
    }

    /// Starts a process at its place, and leaves this thread on the client's core. A new process is where the thread
    /// is that starts it.
    pub(crate) fn spawn(self, place: Place, command: &mut Command) -> Result<Child> {
        match place {
            Place::Server => Self::pin(&[self.server])?,
            Place::Both => Self::pin(&[self.server, self.client])?,
        }
        let child = command.spawn();
        Self::pin(&[self.client])?;
        Ok(child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?)
    }
}

/// Where a process runs.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// On the server's core.
    Server,
    /// On both.
    Both,
}

/// Raises the limit of descriptors, also of the processes started from here on.
pub(crate) fn allow_connections(connections: usize) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < needed) {
        let allowed = maximum.unwrap_or_default();
        return Err(format!(
            "{connections} connections need {needed} file descriptors, and {allowed} are allowed: raise `ulimit -Hn`"
        )
        .into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(needed)), maximum })?)
}

/// A running server, of either kind. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// Kept open, or the next line it writes would end it.
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it on its core and waits for the line that tells its page.
    pub(crate) fn start(cores: Cores, place: Place, program: &OsStr, args: &[String]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cores.spawn(place, &mut command)?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut server = Server { child, port: 0, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        while server.stdout.read_line(&mut line)? > 0 {
            let port = line
                .trim()
                .strip_prefix("page")
                .and_then(|rest| rest.trim().strip_prefix("http://127.0.0.1:"))
                .and_then(|rest| rest.strip_suffix('/')?.parse().ok());
            if let Some(port) = port {
                server.port = port;
                return Ok(server);
            }
            line.clear();
        }
        Err(format!("{} ended before it was ready", program.to_string_lossy()).into())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, user and system, in seconds; the kernel tells it in hundredths.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit_once(')').ok_or("/proc/PID/stat without a name")?.1.split_whitespace();
    let ticks: Vec<u64> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Time that all cores together were not idle so far, in seconds.
pub(crate) fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.take(7).map(str::parse).collect::<Result<_, _>>()?;
    // Without idle and iowait.
    let busy: u64 = ticks.iter().enumerate().filter(|(n, _)| !matches!(n, 3 | 4)).map(|(_, t)| t).sum();
    Ok(busy as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A line of `/proc/PID/status` in KiB: `VmRSS`, `VmHWM`.
pub(crate) fn memory_kib(process: u32, what: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    Ok(line.and_then(|rest| rest.split_whitespace().next()).ok_or("no such line")?.parse()?)
}

/// Bytes that the kernel keeps between a server and those ports of its clients: not yet sent, and not yet read.
pub(crate) fn queued_bytes(server: u16, clients: &HashSet<u16>) -> Result<u64> {
    if clients.is_empty() {
        return Ok(0);
    }
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let mut bytes = 0;
    for line in fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = fields[..] else { continue };
        let (Some(local), Some(remote), Some((tx, rx))) = (port(local), port(remote), queues.split_once(':'))
        else {
            continue;
        };
        if local == server && clients.contains(&remote) {
            bytes += u64::from_str_radix(tx, 16)?;
        } else if remote == server && clients.contains(&local) {
            bytes += u64::from_str_radix(rx, 16)?;
        }
    }
    Ok(bytes)
}
