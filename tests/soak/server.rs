//! The server under test: a process of the real binary, and what it says of itself.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::resources::Sample;
use super::shared::Shared;

/// How often frames are asked for.
pub(crate) const INTERVAL: &str = "200ms";

/// How long the server bears one who does not read.
pub(crate) const STALL: Duration = Duration::from_secs(5);

const FLAGS: [&str; 10] = [
    "--web.listen-address=127.0.0.1:0",
    "--collect.tick=100ms",
    "--collector.disable-defaults",
    "--collector.synthetic",
    "--collector.synthetic.series=1000",
    "--collector.synthetic.changing=500",
    "--collector.process",
    "--collector.runtime",
    "--stream.stall-timeout=5s",
    // The history is full before memory is judged: what it may hold is settled, not a leak.
    "--history.retention=2m",
];

/// How long connections may take to be gone when nobody is there any more.
const QUIET: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the binary that `GAUGECAST_BIN` names.
    pub(crate) fn start() -> Self {
        let binary = std::env::var("GAUGECAST_BIN").unwrap_or("target/release/gaugecast".into());
        let mut command = Command::new(&binary);
        let child =
            command.args(FLAGS).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{binary}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let page = lines.find_map(|line| Some(line.trim().strip_prefix("page")?.trim().to_owned()));
        let page = page.expect("it says where its page is");
        std::thread::spawn(move || lines.for_each(drop));
        let address = page.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Server { child, address }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Has it read its configuration again, which makes an event.
    pub(crate) fn reload(&self) {
        kill_process(self.pid(), Signal::HUP).unwrap();
    }

    /// Stops it; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Headers and body of an answer.
    async fn get(&self, path: &str, accept: &str) -> (String, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n",
            self.address
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// The offset of a scrape.
    pub(crate) async fn last_offset(&self) -> u64 {
        offset(&self.get("/metrics", "text/plain").await.0)
    }

    /// What the server uses now. Its values are held against those that clients have at the same offset.
    pub(crate) async fn look(&self, shared: &Shared) -> Sample {
        let (head, body) = self.get("/metrics", "text/plain;version=0.0.4").await;
        let values = body.lines().filter(|line| line.starts_with("gaugecast_synthetic_value{"));
        let sum: f64 = values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
        if let Some(streamed) = shared.sum_of_all(offset(&head)).filter(|streamed| *streamed != sum) {
            shared
                .fault(format!("the values of a scrape add up to {sum}, those of the stream to {streamed}"));
        }
        Sample::of(&body, self.child.id())
    }

    /// Waits until no client is left, and nothing changes any more.
    pub(crate) async fn quiet(&self) -> Sample {
        let began = Instant::now();
        let mut before: Option<Sample> = None;
        loop {
            let (_, body) = self.get("/metrics", "text/plain;version=0.0.4").await;
            let now = Sample::of(&body, self.child.id());
            let still = before.is_some_and(|before| Sample::left_over(&before, &now).is_empty());
            if (now.is_empty() && still) || began.elapsed() > QUIET {
                return now;
            }
            before = Some(now);
            sleep(Duration::from_millis(300)).await;
        }
    }
}

fn offset(head: &str) -> u64 {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-gaugecast-offset:"));
    line.and_then(|line| line.rsplit_once(':')).unwrap().1.trim().parse().unwrap()
}
