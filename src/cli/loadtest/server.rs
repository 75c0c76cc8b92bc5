//! The server of `--serve`: this program, in a process of its own, so that its CPU and memory are its own too.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::loadtest::Url;

/// Series of the synthetic source, and how many of them change in a tick: broadcasts of about 300 bytes.
const SERIES: [&str; 2] = ["--collector.synthetic.series=100", "--collector.synthetic.changing=10"];

/// The process; ended when dropped.
pub(super) struct Server {
    process: Child,
    url: Url,
}

impl Server {
    /// Starts it on a free port of loopback, with a tick for `rate` broadcasts a second, and waits until it listens.
    /// What went wrong is told in words.
    pub(super) fn start(rate: f64) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let tick = (1000.0 / rate).round().clamp(1.0, 60_000.0);
        let mut process = Command::new(program)
            .args(["serve", "--web.listen-address=127.0.0.1:0", "--log.level=error"])
            .args(["--collector.disable-defaults", "--collector.process", "--collector.synthetic"])
            .args(SERIES)
            .arg(format!("--collect.tick={tick}ms"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server could not be started: {error}"))?;
        let said = process.stdout.take().map(BufReader::new);
        let lines = said.into_iter().flat_map(|said| said.lines().map_while(Result::ok));
        let found = lines.filter_map(|line| line.find("ws://").map(|at| line[at..].trim().to_owned())).next();
        match found.map(|text| Url::parse(&text)) {
            Some(Ok(url)) => Ok(Self { process, url }),
            _ => {
                end(&mut process);
                Err("the server ended before it listened; what it said is above".into())
            }
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself: by the same Ctrl-C, for example.
    let _ = process.kill();
    let _ = process.wait();
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}
