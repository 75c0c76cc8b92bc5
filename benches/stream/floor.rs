//! The floor: one thread, plain sockets, one `write` of bytes that are ready, for each client and message. No reading
//! after the handshake, no protocol, no queue. What no server can beat, in the same harness as the server.
//!
//! It runs as a process of its own, so that its CPU is accounted like the server's. Messages have the form of a
//! `delta`, so that the client does the same work for both. They are due by a fixed schedule, and their time stamp is
//! when they were due: a floor that falls behind shows it as latency.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::Result;
use crate::client::{ACCEPT, now_us};

/// What it sends.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) clients: usize,
    /// Bytes of a message with its frame header.
    pub(crate) bytes: usize,
    /// Time between messages.
    pub(crate) period: Duration,
    /// Time between sweeps over the clients, in each of which all that is due goes in one write; none: each message
    /// is a write of its own.
    pub(crate) sweep: Option<Duration>,
}

impl Floor {
    pub(crate) fn to_args(&self) -> Vec<String> {
        let sweep = self.sweep.unwrap_or_default().as_micros();
        [self.clients as u128, self.bytes as u128, self.period.as_micros(), sweep]
            .map(|n| n.to_string())
            .to_vec()
    }

    pub(crate) fn from_args(args: &[String]) -> Result<Self> {
        let numbers: Vec<u64> = args.iter().map(|arg| arg.parse()).collect::<Result<_, _>>()?;
        let [clients, bytes, period, sweep] = numbers[..] else {
            return Err("four numbers are wanted".into());
        };
        Ok(Floor {
            clients: clients as usize,
            bytes: bytes as usize,
            period: Duration::from_micros(period),
            sweep: (sweep > 0).then_some(Duration::from_micros(sweep)),
        })
    }

    /// Takes all clients, then sends until it is killed.
    pub(crate) fn run(&self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // What `Server::start` waits for.
        println!("page http://{}/", listener.local_addr()?);
        let mut clients = Vec::with_capacity(self.clients);
        while clients.len() < self.clients {
            clients.push(Client::accept(listener.accept()?.0)?);
        }
        let period = self.period.as_micros() as u64;
        let (mut sent, began) = (0, now_us() + 300_000);
        let mut wake = began;
        loop {
            if let Some(left) = wake.checked_sub(now_us()) {
                std::thread::sleep(Duration::from_micros(left));
            }
            let due = (now_us().max(began) - began) / period + 1;
            let mut joined = Vec::new();
            for n in sent..due {
                self.message(&mut joined, n, began + n * period);
                if self.sweep.is_none() {
                    clients.iter_mut().for_each(|client| client.send(&joined));
                    joined.clear();
                }
            }
            if !joined.is_empty() {
                clients.iter_mut().for_each(|client| client.send(&joined));
            }
            sent = due;
            wake = match self.sweep {
                None => began + sent * period,
                // Whole sweeps after the beginning; one that was missed is not made up for.
                Some(sweep) => {
                    let sweep = sweep.as_micros() as u64;
                    began + ((now_us().max(began) - began) / sweep + 1) * sweep
                }
            };
        }
    }

    /// Appends message `n`, in its frame.
    pub(crate) fn message(&self, out: &mut Vec<u8>, n: u64, due_us: u64) {
        let (seconds, micros) = (due_us / 1_000_000, due_us % 1_000_000);
        let mut text = format!(
            "{{\"type\":\"delta\",\"channel\":1,\"offset\":{},\"prev\":{n},\"t\":{},\"values\":[[1,{seconds}.{micros:06}]",
            n + 1,
            due_us / 1000
        )
        .into_bytes();
        // As long as asked for, by values that nobody reads.
        let body = self.bytes - if self.bytes < 128 { 2 } else { 4 };
        while text.len() + 10 < body {
            text.extend_from_slice(b",[10,123]");
        }
        text.resize(body.saturating_sub(2).max(text.len()), b' ');
        text.extend_from_slice(b"]}");
        out.push(0x81);
        match u8::try_from(text.len()) {
            Ok(short @ 0..=125) => out.push(short),
            _ => {
                out.push(126);
                out.extend_from_slice(&(text.len() as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&text);
    }
}

struct Client {
    stream: TcpStream,
    /// The end of a frame that went out in part.
    rest: Vec<u8>,
}

impl Client {
    fn accept(mut stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let (mut head, mut length) = ([0; 2048], 0);
        while !head[..length].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut head[length..])?;
            if read == 0 {
                return Err("a client ended during its handshake".into());
            }
            length += read;
        }
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        )?;
        // The schema that names the series of the time stamp.
        let schema = br#"{"type":"schema","channel":1,"series":[{"id":1,"name":"gaugecast_synthetic_timestamp_seconds"}]}"#;
        stream.write_all(&[0x81, schema.len() as u8])?;
        stream.write_all(schema)?;
        stream.set_nonblocking(true)?;
        Ok(Client { stream, rest: Vec::new() })
    }

    /// Sends what there is room for. A message that finds none is lost, and the client sees the gap.
    fn send(&mut self, bytes: &[u8]) {
        if !self.rest.is_empty() {
            let sent = self.write_some(&self.rest);
            self.rest.drain(..sent);
            if !self.rest.is_empty() {
                return;
            }
        }
        let sent = self.write_some(bytes);
        if sent > 0 && sent < bytes.len() {
            self.rest = bytes[sent..].to_vec();
        }
    }

    fn write_some(&self, bytes: &[u8]) -> usize {
        match (&self.stream).write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            // The client is gone; so is this process soon.
            Err(_) => bytes.len(),
        }
    }
}
