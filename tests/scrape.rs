//! Scraping as a whole: real servers that behave well and badly, the configuration as a file, the real intake; rows B43
//! to B55 of bad targets, discovery, and what a reload does.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaugecast::config::{self, Sources};
use gaugecast::registry::Registry;
use gaugecast::series::Tick;
use gaugecast::serve::{self, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

const TEXT: &str = "text/plain; version=0.0.4";

/// An answer with a page.
fn page(content_type: &str, body: &str) -> Vec<u8> {
    let kind =
        if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn status(line: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes()
}

/// What a server answers to the head of a request. An empty answer: it never answers.
type Answers = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// A server of targets. It keeps the requests it got.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn new(answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (answers, kept, count): (Answers, _, _) =
            (Arc::new(answers), Arc::clone(&asked), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                open.spawn(serve_one(stream, Arc::clone(&answers), Arc::clone(&kept)));
            }
        });
        Server { address, asked, connections, task }
    }

    /// One that always answers the same.
    async fn page(body: &'static str) -> Self {
        Server::new(move |_| page(TEXT, body)).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve_one(mut stream: TcpStream, answers: Answers, kept: Arc<Mutex<Vec<String>>>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let answer = answers(&head);
        kept.lock().unwrap().push(head);
        if answer.is_empty() {
            std::future::pending::<()>().await;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A gaugecast that collects nothing but what it scrapes, and makes no series of it: `ALERTS` has a target's labels.
struct Bench {
    running: Running,
    loaded: config::Loaded,
    folder: tempfile::TempDir,
}

impl Bench {
    /// With this file; `ADDR` stands for the address of the target.
    async fn new(yaml: &str, target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.yml");
        std::fs::write(&path, yaml.replace("ADDR", &target.to_string())).unwrap();
        let flags = [
            ("config.file", path.to_str().unwrap()),
            ("web.listen-address", "127.0.0.1:0"),
            ("collector.disable-defaults", "true"),
            ("rules.built-in", "false"),
            ("collect.tick", "50ms"),
            ("scrape.interval", "250ms"),
        ];
        let flags = flags.map(|(flag, value)| (flag.to_owned(), value.to_owned())).into();
        let loaded =
            config::load(&Sources { flags, env: Vec::new() }).unwrap_or_else(|errors| panic!("{errors}"));
        let running = serve::start(&loaded.config, Registry::new(), None).await.unwrap();
        Bench { running, loaded, folder }
    }

    /// One target in the job `j`, with more keys of the job.
    async fn job(target: SocketAddr, keys: &str) -> Self {
        Bench::new(
            &format!("scrape_configs:\n- job_name: j\n  static_configs: [{{targets: [ADDR]}}]\n{keys}"),
            target,
        )
        .await
    }

    /// The first tick in which it is so.
    async fn until(&self, what: &str, so: impl Fn(&Tick) -> bool) -> Arc<Tick> {
        let mut ticks = self.running.ticks().subscribe();
        let found = tokio::time::timeout(DEADLINE, ticks.wait_for(|tick| so(tick))).await;
        match found {
            Ok(tick) => Arc::clone(&tick.unwrap()),
            Err(_) => panic!(
                "never: {what}; there is {:?}; {}",
                scraped(&self.running.ticks().latest()),
                self.get("/api/v1/targets").await
            ),
        }
    }

    /// Waits for a good scrape.
    async fn up(&self) -> Arc<Tick> {
        self.until("up", |tick| value(tick, "up").contains(&1.0)).await
    }

    /// Waits for a bad scrape, gives what is told of it.
    async fn down(&self) -> (Arc<Tick>, String) {
        let tick = self.until("down", |tick| value(tick, "up") == [0.0]).await;
        let told: serde_json::Value = serde_json::from_str(&self.get("/api/v1/targets").await).unwrap();
        let target = &told["data"]["activeTargets"][0];
        assert_eq!(target["health"], "down");
        (tick, target["lastError"].as_str().unwrap().to_owned())
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.running.addresses()[0]).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// A figure of gaugecast's own.
    async fn own(&self, key: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {key}")).parse().unwrap()
    }

    /// Reads this file instead, as SIGHUP does.
    async fn reload(&mut self, yaml: &str) {
        std::fs::write(self.folder.path().join("g.yml"), yaml).unwrap();
        self.loaded = self.loaded.reload().unwrap();
        self.running.reload(&self.loaded.config).await.unwrap();
    }
}

/// The series that are scraped: without our own, and without the automatic ones.
fn scraped(tick: &Tick) -> Vec<String> {
    let keys = tick.schema.series().map(|(_, series)| series.key().to_owned());
    let automatic = |key: &String| key.starts_with("up{") || key.starts_with("scrape_");
    keys.filter(|key| key.contains("job=") && !key.starts_with("gaugecast_") && !automatic(key)).collect()
}

/// The values of all series of that name, or that key.
fn value(tick: &Tick, name: &str) -> Vec<f64> {
    let named = tick.schema.series().filter(|(_, series)| series.key() == name || series.name() == name);
    named.map(|(_, series)| tick.value(series)).collect()
}

// ---- what a good scrape is

#[tokio::test]
async fn a_target_is_scraped_as_prometheus_does_over_one_connection() {
    let server =
        Server::new(|_| page(TEXT, "# TYPE a counter\na_total{x=\"1\"} 5\nb 2\nb{job=\"own\"} 3\n")).await;
    let bench = Bench::job(server.address, "  params: {p: ['1 2', '3']}\n").await;
    let tick = bench.up().await;
    let (at, labels) = (server.address, format!("instance=\"{}\",job=\"j\"", server.address));
    assert_eq!(
        scraped(&tick),
        [
            format!("a_total{{{labels},x=\"1\"}}"),
            format!("b{{exported_job=\"own\",{labels}}}"),
            format!("b{{{labels}}}"),
        ]
    );
    assert_eq!(value(&tick, "scrape_samples_scraped"), [3.0]);
    assert_eq!(value(&tick, "scrape_samples_post_metric_relabeling"), [3.0]);
    assert_eq!(value(&tick, "scrape_body_size_bytes"), [0.0; 0]);
    let (family, series) = tick.schema.series().find(|(_, series)| series.name() == "b").unwrap();
    assert!(family.meta.help.is_empty());
    assert!(
        tick.own_time(series).is_some_and(|time| time <= tick.at.unix_ms),
        "samples have the time of the scrape"
    );
    // Series that stay are added once.
    bench.until("nothing is added", |tick| value(tick, "scrape_series_added") == [0.0]).await;
    assert_eq!(*server.connections.lock().unwrap(), 1, "the connection is kept");
    let head = &server.asked()[0];
    assert!(head.starts_with("GET /metrics?p=1+2&p=3 HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    for header in [
        format!("host: {at}\r\n"),
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,".into(),
        "accept-encoding: gzip\r\n".into(),
        "x-prometheus-scrape-timeout-seconds: 0.25\r\n".into(),
        "user-agent: gaugecast/".into(),
    ] {
        assert!(head.contains(&header), "{header}: {head}");
    }
    // Those who scrape us do not get what we scraped.
    assert!(!bench.get("/metrics").await.contains("a_total"));
    assert!(bench.get("/api/v1/query?query=a_total").await.contains("\"5\""));
}

#[tokio::test]
async fn a_page_may_be_openmetrics_and_gzip() {
    let server = Server::new(|_| {
        let body = "# TYPE a counter\na_total 1\n# EOF\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, body.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            gzip.len()
        );
        [head.into_bytes(), gzip].concat()
    })
    .await;
    let bench = Bench::job(server.address, "  extra_scrape_metrics: true\n").await;
    let tick = bench.up().await;
    assert_eq!(value(&tick, "a_total"), [1.0]);
    assert_eq!(value(&tick, "scrape_body_size_bytes"), [33.0], "as it is decompressed");
    assert_eq!(value(&tick, "scrape_timeout_seconds"), [0.25]);
}

#[tokio::test]
async fn f25_a_series_that_is_missing_in_a_good_scrape_is_stale_at_once() {
    let pages = Mutex::new(VecDeque::from(["a 1\nb 1\n", "a 2\n"]));
    let server = Server::new(move |_| {
        let mut pages = pages.lock().unwrap();
        page(TEXT, if pages.len() > 1 { pages.pop_front().unwrap() } else { pages[0] })
    })
    .await;
    let bench = Bench::job(server.address, "").await;
    bench.until("both", |tick| scraped(tick).len() == 2).await;
    let tick = bench.until("one", |tick| value(tick, "a") == [2.0]).await;
    assert_eq!(value(&tick, "b"), [0.0; 0]);
    assert!(tick.tombstones.iter().any(|gone| gone.series.name() == "b"));
}

// ---- bad targets

#[tokio::test]
async fn b43_a_target_that_cannot_be_reached_is_down_with_the_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = Server::new(|_| Vec::new()).await;
    let plain = Server::page("a 1\n").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = listener.local_addr().unwrap();
    let answers = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    for (address, keys, told) in [
        (closed, "", "Connection refused"),
        (silent.address, "", "the scrape was not done within 250ms"),
        (no_tls, "  scheme: https\n", "TLS: "),
        (
            closed,
            "  relabel_configs: [{target_label: __address__, replacement: 'no.such.host.invalid:80'}]\n",
            "cannot look up",
        ),
        (plain.address, "  scheme: https\n  tls_config: {ca_file: /nowhere/ca.pem}\n", "/nowhere/ca.pem"),
        (
            plain.address,
            "  authorization: {credentials_file: /nowhere/token}\n",
            "cannot read /nowhere/token",
        ),
    ] {
        let bench = Bench::job(address, keys).await;
        // A name may be looked up for longer than the scrape may take.
        let (tick, error) = bench.down().await;
        assert!(
            error.contains(told) || (told == "cannot look up" && error.contains("not done within")),
            "{keys}: {error}"
        );
        assert!(scraped(&tick).is_empty());
        assert_eq!(value(&tick, "scrape_samples_scraped"), [0.0]);
        bench.running.stop().await;
    }
    answers.abort();
}

#[tokio::test]
async fn b43_values_are_stale_while_a_target_is_down_and_back_when_it_is_up() {
    let good = Arc::new(Mutex::new(true));
    let is_good = Arc::clone(&good);
    let server = Server::new(move |_| match *is_good.lock().unwrap() {
        true => page(TEXT, "a 1\n"),
        false => status("503 Service Unavailable", ""),
    })
    .await;
    let bench = Bench::job(server.address, "").await;
    bench.up().await;
    let mut stream = TcpStream::connect(bench.running.addresses()[0]).await.unwrap();
    let request =
        "GET /api/v1/stream/sse?match[]=up HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    *good.lock().unwrap() = false;
    let (tick, error) = bench.down().await;
    assert_eq!(error, "server returned HTTP status 503 Service Unavailable");
    assert!(scraped(&tick).is_empty());
    assert_eq!(bench.running.ticks().failing().borrow()[0].reason, "status");
    *good.lock().unwrap() = true;
    let tick = bench.up().await;
    assert_eq!(value(&tick, "a"), [1.0]);
    // Both changes were told to the stream, with the labels of the target.
    let mut told = String::new();
    let both = async {
        while !(told.contains("\"up\":false") && told.contains("\"up\":true")) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "{told}");
            told.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    tokio::time::timeout(DEADLINE, both).await.expect("both events");
    assert!(told.contains(&format!("\"instance\":\"{}\",\"job\":\"j\"", server.address)), "{told}");
    assert!(told.contains("\"reason\":\"status\""), "{told}");
}

#[tokio::test]
async fn b44_a_page_of_another_type_is_refused_unless_a_protocol_stands_in() {
    let html = Server::new(|_| page("text/html; charset=utf-8", "a 1\n")).await;
    let bench = Bench::job(html.address, "").await;
    assert!(bench.down().await.1.starts_with("unsupported Content-Type \"text/html; charset=utf-8\""));
    let nameless = Server::new(|_| page("", "a 1\n")).await;
    let bench = Bench::job(nameless.address, "").await;
    assert!(bench.down().await.1.starts_with("no Content-Type"));
    for server in [&html, &nameless] {
        let bench = Bench::job(server.address, "  fallback_scrape_protocol: PrometheusText0.0.4\n").await;
        assert_eq!(value(&*bench.up().await, "a"), [1.0]);
    }
}

#[tokio::test]
async fn b45_errors_and_redirect_loops_fail_and_three_redirects_are_followed() {
    for line in ["500 Internal Server Error", "401 Unauthorized", "404 Not Found", "204 No Content"] {
        let server = Server::new(move |_| status(line, "")).await;
        let bench = Bench::job(server.address, "").await;
        assert_eq!(bench.down().await.1, format!("server returned HTTP status {line}"));
    }
    let server = Server::new(|_| status("302 Found", "Location: /metrics\r\n")).await;
    let bench = Bench::job(server.address, "").await;
    assert_eq!(bench.down().await.1, "more than 3 redirects");
    let bench = Bench::job(server.address, "  follow_redirects: false\n").await;
    assert_eq!(bench.down().await.1, "server returned HTTP status 302 Found");
    let server = Server::new(|head| match head.split(' ').nth(1).unwrap() {
        "/metrics" => status("301 Moved Permanently", "Location: one\r\n"),
        "/one" => status("307 Temporary Redirect", "Location: /two\r\n"),
        "/two" => status("308 Permanent Redirect", "Location: /three\r\n"),
        _ => page(TEXT, "a 1\n"),
    })
    .await;
    assert_eq!(value(&*Bench::job(server.address, "").await.up().await, "a"), [1.0]);
}

#[tokio::test]
async fn b45_credentials_stay_with_the_host_they_are_meant_for() {
    let other = Server::page("a 1\n").await;
    let to = format!("Location: http://{}/other\r\n", other.address);
    let server = Server::new(move |head| match head.contains("GET /metrics ") {
        true => status("302 Found", "Location: /second\r\n"),
        false => status("302 Found", &to),
    })
    .await;
    let bench = Bench::job(server.address, "  basic_auth: {username: me, password: hunter2}\n").await;
    bench.up().await;
    let basic = "authorization: basic bwu6ahvudgvymg==";
    for head in &server.asked()[..2] {
        assert!(head.to_lowercase().contains(basic), "{head}");
    }
    assert!(other.asked().iter().all(|head| !head.to_lowercase().contains("authorization")));
    assert!(!other.asked().is_empty());
}

#[tokio::test]
async fn b46_a_page_that_is_too_large_is_left_at_the_limit() {
    let large = Server::new(|_| page(TEXT, &"# x\n".repeat(1000))).await;
    let endless = Server::new(|_| {
        let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "#".repeat(64 << 10));
        format!("HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}{chunk}").into_bytes()
    })
    .await;
    let bomb = Server::new(|_| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gzip, &[b'#'; 1 << 20]).unwrap();
        let gzip = gzip.finish().unwrap();
        assert!(gzip.len() < 2000);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            gzip.len()
        );
        [head.into_bytes(), gzip].concat()
    })
    .await;
    for server in [&large, &endless, &bomb] {
        let bench = Bench::job(server.address, "  body_size_limit: 2KB\n").await;
        let (tick, error) = bench.down().await;
        assert_eq!(error, "the page is larger than body_size_limit, 2048 bytes");
        assert_eq!(value(&tick, "scrape_body_size_bytes"), [-1.0]);
    }
}

#[tokio::test]
async fn b47_a_scrape_over_a_limit_fails_whole() {
    let server = Server::page("a 1\nb{name=\"value\"} 2\nc 3\n").await;
    for (limit, told) in [
        ("sample_limit: 2", "3 samples, the sample_limit is 2"),
        ("label_limit: 3", "b has 4 labels, the label_limit is 3"),
        ("label_name_length_limit: 7", "a of \"__name__\": 8, the label_name_length_limit is 7"),
        ("label_value_length_limit: 4", "the label_value_length_limit is 4"),
    ] {
        let bench = Bench::job(server.address, &format!("  {limit}\n")).await;
        let (tick, error) = bench.down().await;
        assert!(error.contains(told), "{limit}: {error}");
        assert!(scraped(&tick).is_empty());
        // Still, and for the same reason, at the next.
        let at = value(&tick, "scrape_duration_seconds");
        let tick = bench.until("the next scrape", |tick| value(tick, "scrape_duration_seconds") != at).await;
        assert_eq!((value(&tick, "up"), scraped(&tick).len()), (vec![0.0], 0));
    }
    let bench = Bench::job(server.address, "  sample_limit: 2\n  metric_relabel_configs: [{source_labels: [__name__], regex: c, action: drop}]\n").await;
    let tick = bench.up().await;
    assert_eq!(value(&tick, "scrape_samples_post_metric_relabeling"), [2.0], "the limit is for what is left");
}

#[tokio::test]
async fn b47_too_many_targets_fail_all() {
    let server = Server::page("a 1\n").await;
    let yaml = "scrape_configs:\n- job_name: j\n  target_limit: 1\n  static_configs: [{targets: [ADDR, 'localhost:1']}]\n";
    let bench = Bench::new(yaml, server.address).await;
    bench.until("both down", |tick| value(tick, "up") == [0.0, 0.0]).await;
    assert!(bench.get("/api/v1/targets").await.contains("more targets than its target_limit, 1"));
    assert!(server.asked().is_empty());
    assert_eq!(bench.own("gaugecast_scrape_pool_exceeded_target_limit_total{scrape_job=\"j\"}").await, 1.0);
}

#[tokio::test]
async fn b48_a_syntax_error_fails_the_scrape_whole_with_its_line() {
    let bad = Arc::new(Mutex::new(false));
    let is_bad = Arc::clone(&bad);
    let server = Server::new(move |_| {
        let mut body: String = (1..900).map(|n| format!("a{{n=\"{n}\"}} 1\n")).collect();
        if *is_bad.lock().unwrap() {
            body = body.replace("} 1\n", "} 2\n") + &format!("b{{n=\"{}", "x".repeat(500)) + "\n";
        }
        page(TEXT, &body)
    })
    .await;
    let bench = Bench::job(server.address, "").await;
    let mut seen_two = bench.running.ticks().subscribe();
    let tick = bench.up().await;
    assert_eq!(scraped(&tick).len(), 899);
    *bad.lock().unwrap() = true;
    let (tick, error) = bench.down().await;
    assert!(error.starts_with("line 900: ") && error.contains("b{n="), "{error}");
    assert!(error.matches('x').count() < 80, "{error}");
    assert!(scraped(&tick).is_empty());
    assert!(!value(&seen_two.borrow_and_update(), "a").contains(&2.0), "nothing of it was applied");
    assert!(bench.own("gaugecast_scrapes_total{result=\"syntax\"}").await >= 1.0);
}

#[tokio::test]
async fn b49_of_what_stands_twice_the_first_counts_and_it_is_counted() {
    let body = "# TYPE a gauge\n# TYPE a counter\na 1\na 2\nb 1\n# TYPE b counter\n";
    let server = Server::page(body).await;
    let bench = Bench::job(server.address, "").await;
    let tick = bench.up().await;
    assert_eq!((value(&tick, "a"), value(&tick, "b")), (vec![1.0], vec![1.0]));
    let kind = |name: &str| tick.schema.family(name).unwrap().meta.kind.as_str();
    assert_eq!((kind("a"), kind("b")), ("gauge", "counter"));
    assert!(bench.own("gaugecast_scrape_samples_duplicate_total").await >= 1.0);
    assert_eq!(value(&tick, "scrape_samples_scraped"), [3.0]);
    // Rules can make two into one as well.
    let server = Server::page("a{x=\"1\"} 1\na{x=\"2\"} 2\n").await;
    let bench =
        Bench::job(server.address, "  metric_relabel_configs: [{regex: x, action: labeldrop}]\n").await;
    let tick = bench.up().await;
    assert_eq!((value(&tick, "a"), scraped(&tick).len()), (vec![1.0], 1));
}

#[tokio::test]
async fn b49_a_family_of_another_type_is_another_family() {
    let changed = Arc::new(Mutex::new(false));
    let is_changed = Arc::clone(&changed);
    let server = Server::new(move |_| match *is_changed.lock().unwrap() {
        false => page(TEXT, "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n"),
        true => page(TEXT, "# TYPE a_count gauge\na_count 1\n"),
    })
    .await;
    let bench = Bench::job(server.address, "").await;
    let before = bench.up().await;
    assert_eq!(before.schema.family("a").unwrap().series.len(), 3);
    *changed.lock().unwrap() = true;
    let tick = bench.until("another type", |tick| tick.schema.family("a").is_none()).await;
    assert_eq!(tick.schema.family("a_count").unwrap().meta.kind.as_str(), "gauge");
    let born = |tick: &Tick| tick.schema.series().find(|(_, s)| s.name() == "a_count").unwrap().1.born;
    assert!(born(&tick) > born(&before), "the old series has ended, another has begun");
}

#[tokio::test]
async fn b50_values_are_those_of_the_format() {
    let server = Server::page("nan NaN\ninf +Inf\nless -Inf\nzero -0\nlarge 1e400\n").await;
    let tick = Bench::job(server.address, "").await.up().await;
    assert!(value(&tick, "nan")[0].is_nan());
    assert_eq!((value(&tick, "inf"), value(&tick, "less")), (vec![f64::INFINITY], vec![f64::NEG_INFINITY]));
    assert!(value(&tick, "zero")[0] == 0.0 && value(&tick, "zero")[0].is_sign_negative());
    assert_eq!(value(&tick, "large"), [f64::INFINITY]);
    for bad in ["a 0x1p3\n", "a 1_000\n", "a one\n", "a\n"] {
        let server = Server::page(bad).await;
        let (_, error) = Bench::job(server.address, "").await.down().await;
        assert!(error.starts_with("line 1: "), "{bad}: {error}");
    }
}

#[tokio::test]
async fn b51_a_counter_that_goes_down_has_been_reset() {
    let count = Mutex::new(100.0);
    let server = Server::new(move |_| {
        let mut count = count.lock().unwrap();
        *count = if *count > 115.0 { 1.0 } else { *count + 5.0 };
        page(TEXT, &format!("# TYPE a counter\na {count}\n"))
    })
    .await;
    let bench = Bench::job(server.address, "").await;
    bench.until("before", |tick| value(tick, "a") >= vec![110.0]).await;
    bench.until("the reset", |tick| value(tick, "a") == [1.0]).await;
    bench.until("after", |tick| value(tick, "a") >= vec![6.0]).await;
    let asked = "/api/v1/query?query=increase(a%5B1m%5D)%20%3E%200%20and%20resets(a%5B1m%5D)%20%3E%200";
    // The history follows the ticks.
    let found = async {
        loop {
            let answer = bench.get(asked).await;
            if answer.contains("\"instance\"") {
                return answer;
            }
            let mut ticks = bench.running.ticks().subscribe();
            ticks.borrow_and_update();
            ticks.changed().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("a rate above 0 over a reset");
}

#[tokio::test]
async fn b52_own_times_are_honoured_or_not_and_far_ahead_refused() {
    let server = Server::page("past 1 1700000000000\nfuture 2 99999999999999\nnone 3\n").await;
    let bench = Bench::job(server.address, "").await;
    let tick = bench.up().await;
    let time = |tick: &Tick, name: &str| {
        tick.schema.series().find(|(_, s)| s.name() == name).and_then(|(_, s)| tick.own_time(s))
    };
    assert_eq!(time(&tick, "past"), Some(1_700_000_000_000));
    assert_eq!(value(&tick, "future"), [0.0; 0]);
    assert!(bench.own("gaugecast_scrape_samples_ahead_total").await >= 1.0);
    let bench = Bench::job(server.address, "  honor_timestamps: false\n").await;
    let tick = bench.up().await;
    assert_eq!(value(&tick, "future"), [2.0]);
    assert_eq!(time(&tick, "past"), time(&tick, "none"));
}

#[tokio::test]
async fn b53_labels_that_clash_are_kept_apart_or_honoured() {
    let server = Server::page(
        "a{job=\"x\",instance=\"y\",exported_job=\"z\",empty=\"\"} 1\n{\"b.c\",\"d.e\"=\"ü\"} 2\n",
    )
    .await;
    let at = server.address;
    let tick = Bench::job(at, "").await.up().await;
    assert_eq!(
        scraped(&tick),
        [
            format!(
                "a{{exported_exported_job=\"x\",exported_instance=\"y\",exported_job=\"z\",instance=\"{at}\",job=\"j\"}}"
            ),
            format!("{{\"b.c\",\"d.e\"=\"ü\",instance=\"{at}\",job=\"j\"}}"),
        ]
    );
    let tick = Bench::job(at, "  honor_labels: true\n").await.up().await;
    assert!(
        scraped(&tick).contains(&"a{exported_job=\"z\",instance=\"y\",job=\"x\"}".to_owned()),
        "{:?}",
        scraped(&tick)
    );
    let bad = Server::page("a{__name__=\"b\"} 1\n").await;
    let (_, error) = Bench::job(bad.address, "").await.down().await;
    assert!(error.starts_with("line 1: "), "{error}");
}

#[tokio::test]
async fn b54_the_same_target_twice_is_one_and_rules_choose_among_targets() {
    let server = Server::page("a 1\n").await;
    let yaml = "scrape_configs:\n- job_name: j\n  static_configs:\n  - targets: [ADDR, ADDR]\n  - {targets: [ADDR], labels: {x: y}}\n  \
                - {targets: ['localhost:1']}\n  relabel_configs:\n  - {source_labels: [__address__], regex: 'localhost:1', action: drop}\n";
    let bench = Bench::new(yaml, server.address).await;
    bench.until("two", |tick| value(tick, "up") == [1.0, 1.0]).await;
    let told: serde_json::Value = serde_json::from_str(&bench.get("/api/v1/targets").await).unwrap();
    assert_eq!(told["data"]["activeTargets"].as_array().unwrap().len(), 2);
    assert_eq!(told["data"]["droppedTargets"][0]["discoveredLabels"]["__address__"], "localhost:1");
    assert_eq!(told["data"]["droppedTargetCounts"]["j"], 1);
    let active = bench.get("/api/v1/targets?state=active&scrapePool=j").await;
    assert!(active.contains("\"droppedTargets\":[]"), "{active}");
    assert!(bench.get("/api/v1/targets?state=x").await.contains("none of active, dropped, any"));
    assert!(bench.get("/api/v1/scrape_pools").await.contains("{\"scrapePools\":[\"j\"]}"));
}

#[test]
fn b55_a_timeout_longer_than_the_interval_is_an_error_of_the_start() {
    let told = |yaml: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.yml");
        std::fs::write(&path, yaml).unwrap();
        let flags = vec![("config.file".to_owned(), path.display().to_string())];
        match config::load(&Sources { flags, env: Vec::new() }) {
            Ok(loaded) => format!("{:?}", loaded.config.scrape.jobs),
            Err(errors) => errors.to_string().replace(&format!("{}/", folder.path().display()), ""),
        }
    };
    let error = told("scrape_configs:\n- job_name: a\n  scrape_interval: 5s\n  scrape_timeout: 6s\n");
    assert!(
        error.starts_with("g.yml:4:19: the timeout of 6s is longer than the interval of 5s\n  4 |"),
        "{error}"
    );
    let error = told("global: {scrape_interval: 1s, scrape_timeout: 2s}\n");
    assert!(error.contains("the timeout of 2s is longer than the interval of 1s"), "{error}");
    // All that is wrong, at once.
    let error = told(
        "scrape_configs:\n- job_nam: a\n- job_name: b\n  kubernetes_sd_configs: []\n- job_name: b\n  \
         relabel_configs: [{action: hashmod}]\n  basic_auth: {username: u, password: p}\n  bearer_token: hunter2\n",
    );
    for part in [
        "g.yml:2:3: unknown key `job_nam` in a scrape configuration; did you mean `job_name`?",
        "g.yml:2:3: a scrape configuration needs a `job_name`",
        "g.yml:4:3: `kubernetes_sd_configs` is not supported by this version",
        "g.yml:5:13: the job `b` is already given",
        "the action hashmod needs a `target_label`",
        "the action hashmod needs a `modulus`",
        "only one is possible",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Secrets are in nothing that is written.
    let jobs = told("scrape_configs:\n- job_name: a\n  authorization: {credentials: hunter2}\n");
    assert!(jobs.contains("<secret>") && !jobs.contains("hunter2"), "{jobs}");
}

// ---- discovery, credentials, reload

#[tokio::test]
async fn targets_come_from_files_and_from_servers_and_stay_when_these_fail() {
    let target = Server::page("a 1\n").await;
    let told = Arc::new(Mutex::new(format!(
        r#"[{{"targets": ["{}"], "labels": {{"from": "http"}}}}]"#,
        target.address
    )));
    let tell = Arc::clone(&told);
    let discovery = Server::new(move |_| page("application/json", &tell.lock().unwrap())).await;
    let yaml = format!(
        "scrape_configs:\n- job_name: j\n  file_sd_configs: [{{files: ['sd/*.json', 'sd/one.yml'], refresh_interval: 50ms}}]\n  \
         http_sd_configs: [{{url: 'http://{}/sd', refresh_interval: 50ms}}]\n",
        discovery.address
    );
    let bench = Bench::new(&yaml, target.address).await;
    let from = |tick: &Tick| -> Vec<String> {
        let ups = tick.schema.series().filter(|(_, series)| series.name() == "up");
        ups.filter_map(|(_, s)| s.labels().find(|(n, _)| n == "from").map(|(_, v)| v.into_owned())).collect()
    };
    bench.until("from the server", |tick| from(tick) == ["http"]).await;
    let folder = bench.folder.path().join("sd");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("one.yml"),
        format!("- targets: ['{}']\n  labels: {{from: file}}\n", target.address),
    )
    .unwrap();
    bench.until("from the file too", |tick| from(tick) == ["file", "http"]).await;
    std::fs::write(folder.join("one.yml"), "- nothing\n").unwrap();
    *told.lock().unwrap() = "no JSON".into();
    let failed = async {
        while bench.get("/metrics").await.matches("gaugecast_sd_refresh_failures_total{").count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, failed).await.expect("both fail");
    bench.until("both stay", |tick| from(tick) == ["file", "http"]).await;
    std::fs::remove_file(folder.join("one.yml")).unwrap();
    bench.until("the file is gone", |tick| from(tick) == ["http"]).await;
    assert!(discovery.asked()[0].to_lowercase().contains("x-prometheus-refresh-interval-seconds: 0.05"));
}

#[tokio::test]
async fn a_token_is_read_anew_from_its_file_and_sent() {
    let server = Server::new(|head| match head.to_lowercase().contains("authorization: bearer second\r\n") {
        true => page(TEXT, "a 1\n"),
        false => status("401 Unauthorized", ""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let bench =
        Bench::job(server.address, &format!("  authorization: {{credentials_file: {}}}\n", path.display()))
            .await;
    bench.down().await;
    std::fs::write(&path, "second\n").unwrap();
    bench.up().await;
}

#[tokio::test]
async fn a_target_over_tls_is_believed_by_its_authority() {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    let made = rcgen::generate_simple_self_signed(["target.example".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all(&page(TEXT, "a 1\n")).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let tls = |more: &str| format!("  scheme: https\n  tls_config: {{ca_file: {}{more}}}\n", ca.display());
    let bench = Bench::job(address, &tls(", server_name: target.example")).await;
    bench.up().await;
    let bench = Bench::job(address, &tls("")).await;
    let (_, error) = bench.down().await;
    assert!(error.contains("not valid for name"), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_reload_changes_jobs_and_leaves_alone_what_is_the_same() {
    let (one, two) = (Server::page("a 1\n").await, Server::page("b 1\n").await);
    let job = |name: &str, at: SocketAddr| {
        format!("- job_name: {name}\n  static_configs: [{{targets: ['{at}']}}]\n")
    };
    let mut bench = Bench::new(&format!("scrape_configs:\n{}", job("one", one.address)), one.address).await;
    bench.up().await;
    let born = |tick: &Tick| tick.schema.series().find(|(_, s)| s.name() == "a").map(|(_, s)| s.born);
    let before = born(&bench.running.ticks().latest());
    bench.reload(&format!("scrape_configs:\n{}{}", job("one", one.address), job("two", two.address))).await;
    let tick = bench.until("both", |tick| value(tick, "up") == [1.0, 1.0]).await;
    assert_eq!(born(&tick), before, "the first was not disturbed");
    assert_eq!(*one.connections.lock().unwrap(), 1);
    bench.reload(&format!("scrape_configs:\n{}", job("two", two.address))).await;
    let tick = bench.until("the second alone", |tick| value(tick, "up") == [1.0]).await;
    assert_eq!((value(&tick, "a"), value(&tick, "b")), (vec![], vec![1.0]));
    let tombstones = tick.tombstones.iter().map(|gone| gone.series.name().into_owned()).collect::<Vec<_>>();
    assert!(tombstones.contains(&"a".to_owned()) && tombstones.contains(&"up".to_owned()), "{tombstones:?}");
}

#[tokio::test]
async fn metric_names_can_be_changed_and_families_go_along() {
    let server =
        Server::page("# HELP h Of h.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n")
            .await;
    let rules = "  metric_relabel_configs: [{source_labels: [__name__], regex: '(h.*)', target_label: __name__, replacement: 'my_${1}'}]\n";
    let tick = Bench::job(server.address, rules).await.up().await;
    let family = tick.schema.family("my_h").unwrap();
    assert_eq!(
        (family.series.len(), family.meta.kind.as_str(), &*family.meta.help),
        (3, "histogram", "Of h.")
    );
}
