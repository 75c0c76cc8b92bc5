//! The program itself, over HTTP: loaded by remote write, asked by the query API.
//!
//! Each `clear` goes on with a new process. The next one starts while the one before is asked, so that nothing waits for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use gaugecast::query::Sample;
use prost::Message;

use super::{Answer, Engine, Metric, When, api};
use crate::written::{self, Label, TimeSeries, WriteRequest};

/// A running gaugecast that keeps everything and collects nothing.
pub struct Server {
    child: Child,
    /// `HOST:PORT`, once it is known.
    address: Option<String>,
    socket: Option<BufReader<TcpStream>>,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaugecast"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GAUGECAST_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.args([
            "--collector.disable-defaults",
            "--history.retention=100y",
            "--web.listen-address=127.0.0.1:0",
            "--log.level=error",
        ]);
        let child = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        Server { child, address: None, socket: None }
    }

    /// Where it listens: the line `page URL` of what it says when it is ready.
    fn address(&mut self) -> String {
        let child = &mut self.child;
        let said = || {
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let url = |line: String| Some(line.trim().strip_prefix("page")?.trim().to_owned());
            let page = lines.filter_map(url).next().expect("it says where it listens");
            page.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned()
        };
        self.address.get_or_insert_with(said).clone()
    }

    /// Status and body.
    fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let address = self.address();
        let socket = self.socket.get_or_insert_with(|| BufReader::new(TcpStream::connect(&address).unwrap()));
        let length = body.len();
        let mut request =
            format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        socket.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut length, mut closes) = (0, false);
        loop {
            line.clear();
            socket.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse().unwrap(),
                "connection" => closes = value == "close",
                "transfer-encoding" => panic!("an answer in chunks"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).unwrap();
        if closes {
            self.socket = None;
        }
        (status, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See the module.
pub struct Http {
    now: Server,
    next: Server,
    /// Has the one of now any samples?
    used: bool,
}

impl Default for Http {
    fn default() -> Self {
        Http { now: Server::start(), next: Server::start(), used: false }
    }
}

impl Engine for Http {
    fn clear(&mut self) {
        if std::mem::take(&mut self.used) {
            self.now = std::mem::replace(&mut self.next, Server::start());
        }
    }

    fn load(&mut self, series: Vec<(Metric, Vec<Sample>)>) {
        self.used = true;
        let one = |(metric, samples): (Metric, Vec<Sample>)| TimeSeries {
            labels: metric.into_iter().map(|(name, value)| Label { name, value }).collect(),
            samples: samples
                .into_iter()
                .map(|one| written::Sample { value: one.v, timestamp: one.t })
                .collect(),
        };
        let series = api::last_of_each(series).into_iter().filter(|(_, samples)| !samples.is_empty());
        let request = WriteRequest { timeseries: series.map(one).collect(), metadata: Vec::new() };
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
        let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                       X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
        let (status, said) = self.now.post("/api/v1/write", headers, &body);
        assert_eq!(status, 204, "{}", String::from_utf8_lossy(&said));
    }

    fn query(&mut self, text: &str, when: When) -> Result<Answer, String> {
        let path = match when {
            When::Instant(_) => "/api/v1/query",
            When::Range { .. } => "/api/v1/query_range",
        };
        let form: Vec<String> =
            api::params(text, when).iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (status, body) = self.now.post(path, headers, form.join("&").as_bytes());
        api::answer(status, &body)
    }
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
