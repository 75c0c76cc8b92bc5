//! What scraping costs: 100 targets of 1,000 series each, every second, by the whole program as it is started (tick,
//! table, history, stream). The targets are another process, which answers a constant page, plain or compressed. CPU is
//! what the kernel accounts to this process, divided by the seconds. `cargo bench --bench scrape [-- SECONDS]`.

#![allow(clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gaugecast::config::Config;
use gaugecast::registry::Registry;
use gaugecast::serve;

type Error = Box<dyn std::error::Error>;

const TARGETS: usize = 100;
const SERIES: usize = 1000;
const SECONDS: u64 = 20;

/// A page like those of exporters: 50 families of 20 series, two labels, whole numbers and fractions.
fn page() -> String {
    let mut page = String::new();
    for family in 0..SERIES / 20 {
        let _ = write!(
            page,
            "# HELP app_requests_{family}_total Requests that were served.\n# TYPE app_requests_{family}_total counter\n"
        );
        for path in 0..20 {
            let value =
                if path % 2 == 0 { format!("{}", path * 12_345) } else { format!("{}.25", path * 731) };
            let _ = writeln!(
                page,
                "app_requests_{family}_total{{method=\"GET\",path=\"/api/v1/things/{path}\"}} {value}"
            );
        }
    }
    page
}

/// Answers every request with the page, and says on which port.
fn targets(compressed: bool) -> Result<(), Error> {
    let mut body = page().into_bytes();
    let mut head = String::from("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n");
    if compressed {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&body)?;
        body = gzip.finish()?;
        head += "Content-Encoding: gzip\r\n";
    }
    let answer = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let (stream, answer) = (stream?, answer.clone());
        std::thread::spawn(move || answer_all(stream, &answer));
    }
    Ok(())
}

fn answer_all(mut stream: TcpStream, answer: &[u8]) {
    let mut buffer = [0; 4096];
    // A request comes in one piece: it is far smaller than a packet over loopback.
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) && stream.write_all(answer).is_ok() {}
}

/// The process of the targets; ends with this one.
struct Targets {
    child: Child,
    port: u16,
}

impl Targets {
    fn start(form: &str) -> Result<Self, Error> {
        let mut child =
            Command::new(std::env::current_exe()?).args(["targets", form]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Targets { child, port: line.trim().parse()? })
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of this process, in seconds.
fn cpu() -> Result<f64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>();
    #[allow(clippy::cast_precision_loss)]
    Ok((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU of a run, in parts of a core, and the series that were there.
async fn run(port: Option<u16>, seconds: u64) -> Result<(f64, usize), Error> {
    let mut config = Config::default();
    config.server.listen = vec![([127, 0, 0, 1], 0).into()];
    config.collect.disable_defaults = true;
    if let Some(port) = port {
        let mut job = gaugecast::collect::scrape::Job::new("bench".into(), &config.scrape);
        let group = |n: usize| gaugecast::collect::scrape::Group {
            targets: vec![format!("127.0.0.1:{port}")],
            labels: [("instance".to_owned(), format!("target-{n}"))].into(),
        };
        job.statics = (0..TARGETS).map(group).collect();
        config.scrape.jobs.push(job);
    }
    let running = serve::start(&config, Registry::new(), None).await?;
    let wanted = if port.is_some() { TARGETS * (SERIES + 5) } else { 0 };
    let mut ticks = running.ticks().subscribe();
    ticks.wait_for(|tick| tick.schema.len >= wanted).await?;
    // The first pages are read by the grammar; what is measured is what goes on for good.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, begin) = (cpu()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let share = (cpu()? - before) / begin.elapsed().as_secs_f64();
    let tick = running.ticks().latest();
    running.stop().await;
    Ok((share, tick.schema.len))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [targets, form] = args.as_slice()
        && targets == "targets"
    {
        return self::targets(form == "gzip");
    }
    let seconds = args.first().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    println!(
        "{TARGETS} targets of {SERIES} series, every second; pages of {} bytes; {seconds} s each",
        page().len()
    );
    let (idle, _) = run(None, seconds).await?;
    println!("{:28} {:5.1} % of a core", "no targets", idle * 100.0);
    for form in ["plain", "gzip"] {
        let targets = Targets::start(form)?;
        let (share, series) = run(Some(targets.port), seconds).await?;
        println!("{:28} {:5.1} % of a core, {series} series", format!("pages {form}"), share * 100.0);
    }
    Ok(())
}
