//! The cases that compare gaugecast with the floor, or with itself.
//!
//! A [`Load`] says what a server has to do, [`Load::measure`] is one [`Round`] of it, and [`compare`] sets the rounds of
//! two servers beside each other, in the same rows for all cases.

use std::time::Duration;

use crate::client::{Client, Plan, Seen};
use crate::floor::Floor;
use crate::process::{self, Place, Server, allow_connections, busy_seconds, cpu_seconds, memory_kib};
use crate::table::{Figure, Table};
use crate::{Bench, Result};

/// From the last handshake to the measurement.
const WARM_UP: Duration = Duration::from_secs(2);

/// How gaugecast is loaded.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    /// Clients that never read, among them.
    silent: usize,
    /// Time between ticks, and between messages.
    tick_ms: u64,
    /// Synthetic series, and how many of them change in a tick.
    series: usize,
    changing: usize,
}

/// One server, measured once.
struct Round {
    seen: Seen,
    /// CPU that the server used, in seconds.
    cpu: f64,
    /// CPU that the client used, in seconds.
    client: f64,
    /// CPU that the rest of the machine used, in seconds.
    others: f64,
    /// KiB sent to each client that reads, from its first to the last.
    sent_kib: f64,
    /// KiB that the kernel keeps for each client that does not read: less than was sent to the others when the server
    /// could not send it more.
    kept_kib: f64,
}

impl Round {
    fn micros_a_delivery(&self) -> f64 {
        self.cpu * 1e6 / self.seen.deltas.max(1) as f64
    }

    fn share(&self, seconds: f64) -> f64 {
        seconds * 100.0 / self.seen.elapsed.as_secs_f64()
    }

    fn bytes_a_delivery(&self) -> f64 {
        self.seen.bytes as f64 / self.seen.deltas.max(1) as f64
    }

    fn deliveries_a_read(&self) -> f64 {
        self.seen.deltas as f64 / self.seen.reads.max(1) as f64
    }
}

impl Load {
    fn flags(&self) -> Vec<String> {
        let mut flags = flags(self.tick_ms);
        flags.push(format!("--collector.synthetic.series={}", self.series));
        flags.push(format!("--collector.synthetic.changing={}", self.changing));
        flags
    }

    fn due_a_second(&self) -> f64 {
        (self.clients - self.silent) as f64 * 1e3 / self.tick_ms as f64
    }

    fn plan(&self, port: u16) -> Plan {
        let subscribe = format!(
            r#"{{"type":"subscribe","sub":"s","match":["{{__name__=~\"gaugecast_synthetic_.*\"}}"],"interval":{}}}"#,
            self.tick_ms
        );
        Plan { port, connections: self.clients, silent: self.silent, subscribe }
    }

    fn gaugecast(&self, bench: &Bench, length: Duration) -> Result<Round> {
        allow_connections(self.clients)?;
        let server = Server::start(bench.cores, Place::Server, &bench.program, &self.flags())?;
        self.measure(&server, length)
    }

    /// The floor with messages of so many bytes.
    fn floor(&self, bench: &Bench, length: Duration, bytes: f64, sweep: Option<Duration>) -> Result<Round> {
        allow_connections(self.clients)?;
        let period = Duration::from_millis(self.tick_ms);
        let floor = Floor { clients: self.clients, bytes: bytes.round() as usize, period, sweep };
        let mut args = vec!["floor".to_owned()];
        args.extend(floor.to_args());
        let server = Server::start(bench.cores, Place::Server, std::env::current_exe()?.as_os_str(), &args)?;
        self.measure(&server, length)
    }

    fn measure(&self, server: &Server, length: Duration) -> Result<Round> {
        let mut client = Client::open(self.plan(server.port))?;
        let warm_up = client.watch(WARM_UP)?;
        let own = std::process::id();
        let before = [cpu_seconds(server.id())?, cpu_seconds(own)?, busy_seconds()?];
        let seen = client.watch(length)?;
        let after = [cpu_seconds(server.id())?, cpu_seconds(own)?, busy_seconds()?];
        let [cpu, client_cpu, busy] = [0, 1, 2].map(|n| after[n] - before[n]);
        let readers = (self.clients - self.silent) as f64;
        let sent_kib = (warm_up.bytes + seen.bytes) as f64 / 1024.0 / readers;
        let kept_kib = process::queued_bytes(server.port, &client.silent_ports()?)? as f64
            / 1024.0
            / self.silent.max(1) as f64;
        if seen.ended > 0 {
            return Err(format!("{} connections ended while they were measured", seen.ended).into());
        }
        let others = (busy - cpu - client_cpu).max(0.0);
        Ok(Round { seen, cpu, client: client_cpu, others, sent_kib, kept_kib })
    }
}

/// Flags of every gaugecast here: only made up series, and nothing in the way of many connections.
pub(crate) fn flags(tick_ms: u64) -> Vec<String> {
    let mut flags: Vec<String> = [
        "--web.listen-address=127.0.0.1:0",
        "--log.level=error",
        "--collector.disable-defaults",
        "--collector.synthetic",
        "--stream.max-clients=20000",
        "--stream.max-new-per-second=0",
        "--web.limit.connections=20000",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.push(format!("--collect.tick={tick_ms}ms"));
    flags
}

/// A figure of a round, in the tables of all cases.
struct Row {
    name: &'static str,
    digits: usize,
    unit: &'static str,
    /// Whether the ratio of the two servers means something.
    has_ratio: bool,
    value: fn(&Round, &Load) -> f64,
}

const fn row(
    name: &'static str,
    digits: usize,
    unit: &'static str,
    has_ratio: bool,
    value: fn(&Round, &Load) -> f64,
) -> Row {
    Row { name, digits, unit, has_ratio, value }
}

const CPU: &str = "CPU a delivery";
const RATE: &str = "thousand deliveries a second";
const JOINED: &str = "ticks that came joined into a later delta";
const GAPS: &str = "gaps";
const P99: &str = "latency, p99";
const CORE: &str = "server, of its core";

const ROWS: [Row; 12] = [
    row(CPU, 2, " us", true, |round, _| round.micros_a_delivery()),
    row(CORE, 1, " %", true, |round, _| round.share(round.cpu)),
    row("latency, median", 2, " ms", true, |round, _| round.seen.quantile_ms(0.5)),
    row(P99, 2, " ms", true, |round, _| round.seen.quantile_ms(0.99)),
    row(RATE, 1, "", false, |round, _| round.seen.rate() / 1e3),
    row("of those due", 1, " %", false, |round, load| round.seen.rate() * 100.0 / load.due_a_second()),
    row(JOINED, 0, "", false, |round, _| round.seen.conflated as f64),
    row(GAPS, 0, "", false, |round, _| round.seen.gaps as f64),
    row("bytes a message", 0, "", false, |round, _| round.bytes_a_delivery()),
    row("messages a read of the client", 1, "", false, |round, _| round.deliveries_a_read()),
    row("client, of its core", 0, " %", false, |round, _| round.share(round.client)),
    row("other work of the machine, of a core", 0, " %", false, |round, _| round.share(round.others)),
];

const KEPT: [Row; 2] = [
    row("sent to each that reads", 0, " KiB", false, |round, _| round.sent_kib),
    row("kept by the kernel for each that does not", 0, " KiB", false, |round, load| {
        if load.silent > 0 { round.kept_kib } else { f64::NAN }
    }),
];

/// The rounds of one server, under its load.
struct Rounds(Load, Vec<Round>);

impl Rounds {
    fn figure(&self, row: &Row) -> Figure {
        Figure::of(&self.1, |round| (row.value)(round, &self.0))
    }
}

/// The table of two servers whose rounds were in turn. `targets` are by name of a row.
fn compare(
    what: &str,
    length: Duration,
    [first, second]: [(&str, &Rounds); 2],
    more: &[Row],
    targets: &[(&str, &str)],
) -> Result<()> {
    let rounds = first.1.1.len();
    let title = format!("{what}; {rounds} rounds of {} s each: median (least to most)", length.as_secs());
    let mut table = Table::new(&title, ["", first.0, second.0, "ratio", "target"]);
    for row in ROWS.iter().chain(more) {
        let show = |rounds: &Rounds| rounds.figure(row).show(row.digits, row.unit);
        let ratio = row.has_ratio.then(|| {
            let pairs: Vec<(&Round, &Round)> = first.1.1.iter().zip(&second.1.1).collect();
            let (above, below) = (&first.1.0, &second.1.0);
            Figure::of(&pairs, |(a, b)| (row.value)(a, above) / (row.value)(b, below)).show(2, "")
        });
        let target = targets.iter().find(|(name, _)| *name == row.name).map_or("", |(_, target)| target);
        table.row([row.name, &show(first.1), &show(second.1), &ratio.unwrap_or_default(), target]);
    }
    table.print()
}

/// gaugecast, and the floor with messages of the same length.
fn beside_the_floor(
    bench: &Bench,
    what: &str,
    load: Load,
    rounds: usize,
    sweep: Option<Duration>,
    targets: &[(&str, &str)],
) -> Result<()> {
    let (rounds, length) = (bench.rounds(rounds), bench.length(10));
    let (mut ours, mut floor) = (Rounds(load, Vec::new()), Rounds(load, Vec::new()));
    for _ in 0..rounds {
        let round = load.gaugecast(bench, length)?;
        floor.1.push(load.floor(bench, length, round.bytes_a_delivery(), sweep)?);
        ours.1.push(round);
    }
    let floor_is = match sweep {
        None => "floor: a write each".to_owned(),
        Some(sweep) => format!("floor: a write of what is due every {} ms", sweep.as_millis()),
    };
    compare(what, length, [("gaugecast", &ours), (&floor_is, &floor)], &[], targets)
}

/// 1,000 clients, 1 KiB, 10 a second.
pub(crate) fn steady(bench: &Bench) -> Result<()> {
    let load = Load { clients: 1000, silent: 0, tick_ms: 100, series: 114, changing: 114 };
    let targets = [(CPU, "ratio <= 1.10")];
    beside_the_floor(bench, "steady: 1,000 clients, 1 KiB, 10 a second", load, 5, None, &targets)
}

/// 1,000 clients, 200 bytes, 500 a second.
pub(crate) fn dense(bench: &Bench) -> Result<()> {
    let load = Load { clients: 1000, silent: 0, tick_ms: 2, series: 10, changing: 10 };
    let sweep = Some(Duration::from_millis(10));
    let targets = [(RATE, "500"), (JOINED, "0"), (GAPS, "0"), (P99, "<= 20 ms"), (CORE, "<= 60 %")];
    beside_the_floor(bench, "dense: 1,000 clients, 200 B, 500 a second", load, 3, sweep, &targets)
}

/// 5,000 clients, 4 KiB, 2 a second.
pub(crate) fn wide(bench: &Bench) -> Result<()> {
    let load = Load { clients: 5000, silent: 0, tick_ms: 500, series: 470, changing: 470 };
    let targets = [(CPU, "ratio <= 1.25")];
    beside_the_floor(bench, "wide: 5,000 clients, 4 KiB, 2 a second", load, 5, None, &targets)
}

/// 10,000 clients, 200 changing series, once a second.
pub(crate) fn many(bench: &Bench) -> Result<()> {
    let load = Load { clients: 10_000, silent: 0, tick_ms: 1000, series: 200, changing: 200 };
    let what = "many: 10,000 clients, 200 series that change every second";
    beside_the_floor(bench, what, load, 3, None, &[(P99, "< 250 ms")])
}

/// 100 of 1,000 clients stop reading.
pub(crate) fn stuck(bench: &Bench) -> Result<()> {
    let without = Load { clients: 1000, silent: 0, tick_ms: 20, series: 106, changing: 106 };
    let with = Load { silent: 100, ..without };
    let (rounds, length) = (bench.rounds(3), bench.length(10));
    let (mut all_read, mut some_stuck) = (Rounds(without, Vec::new()), Rounds(with, Vec::new()));
    for _ in 0..rounds {
        all_read.1.push(without.gaugecast(bench, length)?);
        some_stuck.1.push(with.gaugecast(bench, length)?);
    }
    let columns = [("100 of them never read", &some_stuck), ("all read", &all_read)];
    let what = "stuck: 1,000 clients, 1 KiB, 50 a second; figures of those that read";
    compare(
        what,
        length,
        columns,
        &KEPT,
        &[(P99, "ratio <= 1.5"), (KEPT[1].name, "less than sent to a reader")],
    )
}

/// Memory of clients that are subscribed to series that do not change.
pub(crate) fn idle(bench: &Bench) -> Result<()> {
    let rounds = bench.rounds(3);
    let mut table = Table::new(
        &format!(
            "idle: clients subscribed to series that do not change, a tick a second; {rounds} rounds: median (least to most)"
        ),
        ["clients", "resident before, MiB", "with them, MiB", "KiB a client", "target"],
    );
    for clients in [1000, 10_000] {
        let load = Load { clients, silent: 0, tick_ms: 1000, series: 8, changing: 0 };
        allow_connections(clients)?;
        let mut memory = Vec::new();
        for _ in 0..rounds {
            let server = Server::start(bench.cores, Place::Server, &bench.program, &load.flags())?;
            // A first client stays, so that what is made once for all is there.
            let mut first = Client::open(Load { clients: 1, ..load }.plan(server.port))?;
            first.watch(WARM_UP)?;
            let before = memory_kib(server.id(), "VmRSS")?;
            let mut client = Client::open(load.plan(server.port))?;
            client.watch(bench.length(5))?;
            memory.push((before, memory_kib(server.id(), "VmRSS")?));
        }
        table.row([
            clients.to_string(),
            Figure::of(&memory, |(before, _)| before / 1024.0).show(1, ""),
            Figure::of(&memory, |(_, with)| with / 1024.0).show(1, ""),
            Figure::of(&memory, |(before, with)| (with - before) / clients as f64).show(1, ""),
            "<= 8".to_owned(),
        ]);
    }
    table.print()
}
