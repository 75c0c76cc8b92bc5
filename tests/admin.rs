//! Who may do what, and what the administration shows and does, with the whole server over TCP.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gaugecast::alert::{Active, Origin, Phase, Report};
use gaugecast::clock::Clock;
use gaugecast::config::{Config, Loaded, Sources};
use gaugecast::monitor::{
    ConnectionFigures, Errors, OperationFigures, Outcome, Overview, SecurityFigures, SecurityKind, Snapshot,
};
use gaugecast::query::Labels;
use gaugecast::registry::Registry;
use gaugecast::serve::{Running, start_with};
use gaugecast::server::auth::Scope;
use gaugecast::server::auth::file::TokenFile;
use gaugecast::server::{Admin, DeadLetters, Reload};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

struct Server {
    running: Running,
    address: SocketAddr,
    folder: tempfile::TempDir,
    drained: Arc<Mutex<usize>>,
    /// A token of the scope admin, if there are tokens.
    operator: String,
    config: Config,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn snapshot(operations: usize) -> Snapshot {
    let operation = |at| OperationFigures {
        name: format!("operation_{at}"),
        count: 100,
        mean_ms: 1.5,
        ..OperationFigures::default()
    };
    Snapshot {
        at_ms: 1,
        uptime_ms: 2,
        overview: Overview::default(),
        operations: (0..operations).map(operation).collect(),
        errors: Errors::default(),
        system: None,
        security: SecurityFigures::default(),
        connections: ConnectionFigures::default(),
        allocations: None,
        verdicts: Vec::new(),
    }
}

impl Server {
    async fn start(tokens: bool) -> Self {
        Self::start_with(tokens, |_| {}).await
    }

    async fn start_with(tokens: bool, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.listen = vec![([127, 0, 0, 1], 0).into()];
        config.server.audit_file = Some(folder.path().join("audit.jsonl"));
        let mut operator = String::new();
        if tokens {
            let path = folder.path().join("tokens.json");
            operator = TokenFile::new(&path).create("operator", vec![Scope::Admin], 0, None).unwrap();
            config.server.token_file = Some(path);
        }
        change(&mut config);
        let level = Arc::new(Mutex::new(gaugecast::log::Level::Info));
        let drained = Arc::new(Mutex::new(0));
        let (loaded, count) = (gaugecast::config::load(&Sources::default()).unwrap(), Arc::clone(&drained));
        let admin = Admin {
            config: Some(Arc::new(move || shown(&loaded))),
            log_level: Some(Arc::new(move |wanted| {
                let mut level = level.lock().unwrap();
                *level = wanted.unwrap_or(*level);
                *level
            })),
            drain: Some(Arc::new(move || *count.lock().unwrap() += 1)),
            performance: Some(Arc::new(|| snapshot(1000))),
            ..Admin::default()
        };
        let admin = Admin { dead_letters: Some(Arc::new(Dead::default())), ..admin };
        let reload: Reload = Box::new(|| Box::pin(async { Ok("in force: --log.level".to_owned()) }));
        let running = start_with(&config, Registry::new(), Some(reload), admin).await.unwrap();
        let address = running.addresses()[0];
        Server { running, address, folder, drained, operator, config }
    }

    fn tokens(&self) -> TokenFile {
        TokenFile::new(self.folder.path().join("tokens.json"))
    }

    fn audit_file(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    /// A token that the server knows from now on: it reads the file again at a reload.
    async fn token(&self, name: &str, scopes: &[Scope]) -> String {
        let text = self.tokens().create(name, scopes.to_vec(), 1, None).unwrap();
        self.running.reload(&self.config).await.unwrap();
        text
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        assert!(!chunked, "{head}");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], "").await
    }

    async fn bearer(&self, method: &str, target: &str, token: &str) -> Answer {
        self.ask(method, target, &[("Authorization", &format!("Bearer {token}"))], "").await
    }

    fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.audit_file()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn counted(&self, reason: &str) -> bool {
        // The page may be of a tick before the count.
        self.running.ticks().fresh(Duration::ZERO).await;
        let page = self.get("/metrics").await.body;
        page.contains(&format!("gaugecast_http_rejected_total{{reason=\"{reason}\"}}"))
    }
}

fn shown(loaded: &Loaded) -> String {
    gaugecast::config::show(&loaded.config, Some(&loaded.origins))
}

// -------------------------------------------------------------------------------------------- without tokens

#[tokio::test]
async fn without_tokens_this_machine_may_do_everything_and_a_proxy_on_it_speaks_for_others() {
    let server = Server::start(false).await;
    assert_eq!(server.get("/api/v1/admin/config").await.status, 200);
    assert_eq!(server.ask("POST", "/api/v1/admin/drain", &[], "").await.status, 202);
    assert_eq!(*server.drained.lock().unwrap(), 1);
    for (name, value) in
        [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("Via", "1.1 proxy")]
    {
        let headers = [(name, value)];
        let passed_on = |method: &'static str, target: &'static str| server.ask(method, target, &headers, "");
        let refused = passed_on("GET", "/api/v1/admin/config").await;
        assert_eq!(refused.status, 403, "{name}");
        assert_eq!(refused.json()["details"]["setting"], "--web.token-file");
        assert_eq!(passed_on("POST", "/api/v1/write").await.status, 403, "{name}");
        assert_eq!(passed_on("POST", "/-/reload").await.status, 403, "{name}");
        assert_eq!(passed_on("GET", "/api/v1/status").await.status, 200, "{name}");
    }
    assert!(server.counted("not_local").await);
    server.running.stop().await;
}

// ----------------------------------------------------------------------------------------------- with tokens

#[tokio::test]
async fn b65_no_token_a_wrong_one_and_one_without_the_scope_are_told_apart_and_wrong_from_unknown_not() {
    let server = Server::start(true).await;
    let old = server.tokens().create("old", vec![Scope::Read], 1, Some(2)).unwrap();
    let reader = server.token("reader", &[Scope::Read]).await;
    let none = server.get("/api/v1/status").await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer realm=\"gaugecast\"")));
    let mut wrong = reader.clone();
    wrong.replace_range(10..11, if &wrong[10..11] == "0" { "1" } else { "0" });
    let mut bodies = Vec::new();
    for bad in [&*wrong, &old, "gct_unknown", "", "a b", "\u{fffd}"] {
        let refused = server.bearer("GET", "/api/v1/status", bad).await;
        assert_eq!(refused.status, 401, "{bad:?}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        let mut body = refused.json();
        body["requestId"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(server.bearer("GET", "/api/v1/status", &reader).await.status, 200);
    let lacking = server.bearer("GET", "/api/v1/admin/config", &reader).await;
    assert_eq!(lacking.status, 403);
    assert!(
        lacking.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\", scope=\"admin\"")
    );
    let admin = server.token("root", &[Scope::Admin]).await;
    assert_eq!(server.bearer("GET", "/api/v1/admin/config", &admin).await.status, 200);
    assert_eq!(server.bearer("GET", "/api/v1/status", &admin).await.status, 200, "admin is all scopes");
    server.running.stop().await;
}

#[tokio::test]
async fn f136_health_and_the_description_are_open_and_the_metrics_can_be() {
    let server = Server::start_with(true, |config| config.server.public_metrics = true).await;
    for open in ["/-/healthy", "/-/ready", "/api/v1/openapi.json", "/", "/metrics"] {
        assert_eq!(server.get(open).await.status, 200, "{open}");
    }
    for closed in
        ["/api/v1/status", "/api/v1/query?query=up", "/api/v1/stream/sse?match[]=up", "/api/v1/admin/targets"]
    {
        assert_eq!(server.get(closed).await.status, 401, "{closed}");
    }
    assert_eq!(server.ask("POST", "/api/v1/write", &[], "").await.status, 401);
    server.running.stop().await;
    let server = Server::start(true).await;
    assert_eq!(server.get("/metrics").await.status, 401);
    server.running.stop().await;
}

#[tokio::test]
async fn b66_a_token_in_an_address_is_refused_and_a_ticket_opens_one_stream() {
    let server = Server::start(true).await;
    let token = server.token("page", &[Scope::Stream]).await;
    for name in ["token", "access_token"] {
        let refused = server.get(&format!("/api/v1/stream/sse?match[]=up&{name}={token}")).await;
        assert_eq!(refused.status, 400);
        assert!(!refused.body.contains(&token));
    }
    let ticket = server.bearer("POST", "/api/v1/stream/ticket", &token).await.json();
    assert_eq!(ticket["data"]["expires_in_ms"], 30_000);
    let ticket = ticket["data"]["ticket"].as_str().unwrap();
    let url = format!("ws://{}/api/v1/stream/ws?ticket={ticket}", server.address);
    let tcp = || TcpStream::connect(server.address);
    let (mut stream, _) = tokio_tungstenite::client_async(&url, tcp().await.unwrap()).await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().to_text().unwrap().contains("welcome"));
    assert!(tokio_tungstenite::client_async(&url, tcp().await.unwrap()).await.is_err(), "a second time");
    let refused = server.get(&format!("/api/v1/status?ticket={ticket}")).await;
    assert_eq!(refused.status, 401, "a ticket is for streams");
    server.running.stop().await;
}

#[tokio::test]
async fn b67_basic_is_401_and_two_headers_are_400() {
    let server = Server::start(true).await;
    let basic = server.ask("GET", "/api/v1/status", &[("Authorization", "Basic YTpi")], "").await;
    assert_eq!((basic.status, basic.header("www-authenticate")), (401, Some("Bearer realm=\"gaugecast\"")));
    let token = server.token("reader", &[Scope::Read]).await;
    let bearer = format!("Bearer {token}");
    let twice = [("Authorization", &*bearer), ("Authorization", &*bearer)];
    assert_eq!(server.ask("GET", "/api/v1/status", &twice, "").await.status, 400);
    server.running.stop().await;
}

#[tokio::test]
async fn b68_after_ten_wrong_tokens_in_a_minute_it_is_429_counted_and_in_the_audit_log() {
    let server = Server::start_with(true, |config| config.server.public_metrics = true).await;
    let good = server.token("good", &[Scope::Read]).await;
    let mut told = Vec::new();
    for _ in 0..13 {
        told.push(server.bearer("GET", "/api/v1/status", "gct_guess").await);
    }
    let statuses: Vec<u16> = told.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [&[401; 10][..], &[429; 3]].concat());
    assert!(told[12].header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
    assert!(server.counted("login_rate").await && server.counted("invalid_token").await);
    let audit = server.audit();
    let of = |reason: &str| audit.iter().filter(|line| line["reason"] == reason).count();
    assert_eq!((of("invalid_token"), of("too_many_attempts")), (10, 1), "{audit:?}");
    assert!(audit.iter().all(|line| line["from"].as_str().unwrap().starts_with("127.0.0.1:")));
    assert!(!std::fs::read_to_string(server.audit_file()).unwrap().contains("gct_"));
    assert_eq!(
        server.bearer("GET", "/api/v1/status", &good).await.status,
        200,
        "what is right is right still"
    );
    server.running.stop().await;
}

#[tokio::test]
async fn f117_a_revoked_token_ends_its_stream_with_4401_and_its_use_is_kept() {
    let server = Server::start(true).await;
    let token = server.token("viewer", &[Scope::Stream]).await;
    let mut request = format!("ws://{}/api/v1/stream/ws", server.address).into_client_request().unwrap();
    let offer = format!("gaugecast.v1.json, bearer.{token}");
    request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (mut stream, response) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "gaugecast.v1.json");
    stream.next().await.unwrap().unwrap();
    server.tokens().revoke("viewer").unwrap();
    let close = loop {
        match stream.next().await.unwrap().unwrap() {
            Message::Close(Some(close)) => break close,
            Message::Text(text) => assert!(text.contains("\"bye\"") && text.contains("4401"), "{text}"),
            _ => {}
        }
    };
    assert_eq!(u16::from(close.code), 4401);
    let (tokens, other) = (server.tokens(), server.token("other", &[Scope::Read]).await);
    assert_eq!(server.bearer("GET", "/api/v1/status", &other).await.status, 200);
    server.running.stop().await;
    assert!(tokens.used().unwrap().contains_key("other"), "kept at the end");
}

#[tokio::test]
async fn a_server_that_is_told_to_ask_for_tokens_does_not_start_without() {
    let mut config = Config::default();
    config.server.listen = vec![([127, 0, 0, 1], 0).into()];
    config.server.token_file = Some(Path::new("/nowhere/tokens.json").into());
    let error = start_with(&config, Registry::new(), None, Admin::default()).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/tokens.json") && error.contains("gaugecast token create"), "{error}");
}

// -------------------------------------------------------------------------------------------- what it shows

#[tokio::test]
async fn f58_clients_are_listed_and_one_is_sent_away_by_its_id() {
    let server = Server::start(false).await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let url = format!("ws://{}/api/v1/stream/ws", server.address);
    let (mut stream, _) = tokio_tungstenite::client_async(&url, tcp).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let subscribe = r#"{"type":"subscribe","sub":"a","match":["gaugecast_build_info"]}"#;
    stream.send(Message::text(subscribe)).await.unwrap();
    for _ in 0..2 {
        stream.next().await.unwrap().unwrap();
    }
    let listed = server.get("/api/v1/admin/clients").await.json();
    let client = &listed["data"]["clients"][0];
    assert_eq!((&listed["data"]["count"], &client["subscriptions"]), (&json!(1), &json!(1)), "{listed}");
    assert!(client["frames"].as_u64().unwrap() >= 2 && client["bytes"].as_u64().unwrap() > 100, "{client}");
    for field in ["remote", "agent", "age_seconds", "rtt_ms", "lag_ms", "conflated", "resyncs", "errors"] {
        assert!(client.get(field).is_some(), "{field}");
    }
    assert_eq!(server.ask("DELETE", "/api/v1/admin/clients/none", &[], "").await.status, 404);
    let path = format!("/api/v1/admin/clients/{}", client["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path, &[], "").await.status, 200);
    let mut said = String::new();
    let close = loop {
        match stream.next().await.unwrap().unwrap() {
            Message::Close(Some(close)) => break close,
            Message::Text(text) => said = text.to_string(),
            _ => {}
        }
    };
    assert_eq!(u16::from(close.code), 4410);
    assert!(said.contains("\"reconnect\":false") && said.contains("kicked"), "{said}");
    let audit = server.audit();
    let last = audit.last().unwrap();
    assert_eq!((&last["who"], &last["status"], &last["path"]), (&json!("local"), &json!(200), &json!(path)));
    assert!(
        last["request_id"].as_str().is_some_and(|id| !id.is_empty()) && last["detail"]["id"] == client["id"]
    );
    server.running.stop().await;
}

#[tokio::test]
async fn f120_the_level_of_the_log_is_shown_and_set_and_a_reload_says_what_changed() {
    let server = Server::start(false).await;
    let put = async |body: &str| {
        let json = [("Content-Type", "application/json")];
        server.ask("PUT", "/api/v1/admin/loglevel", &json, body).await
    };
    assert_eq!(put(r#"{"level":"debug"}"#).await.json()["data"]["level"], "debug");
    assert_eq!(server.get("/api/v1/admin/loglevel").await.json()["data"]["level"], "debug");
    for bad in [r#"{"level":"loud"}"#, "{}", "", r#"{"level":"info","x":1}"#] {
        assert_eq!(put(bad).await.status, 400, "{bad}");
    }
    let plain = server.ask("PUT", "/api/v1/admin/loglevel", &[("Content-Type", "text/plain")], "debug").await;
    assert_eq!(plain.status, 415);
    let reloaded = server.ask("POST", "/-/reload", &[], "").await;
    assert_eq!((reloaded.status, reloaded.body.trim()), (200, "in force: --log.level"));
    assert_eq!(server.audit().last().unwrap()["detail"]["changed"], "in force: --log.level");
    server.running.stop().await;
}

#[tokio::test]
async fn f114_the_metrics_of_1000_operations_and_f115_the_report_in_three_forms() {
    let server = Server::start(false).await;
    let metrics = server.get("/api/v1/admin/performance/metrics").await.json();
    assert_eq!(metrics["data"]["operations"].as_array().unwrap().len(), 1000);
    for part in ["overview", "operations", "errors", "system", "security", "connections"] {
        assert!(metrics["data"].get(part).is_some(), "{part}");
    }
    let report = "/api/v1/admin/performance/report";
    let of = async |accept: &str| server.ask("GET", report, &[("Accept", accept)], "").await;
    assert_eq!(of("application/json").await.json()["data"]["slowest"].as_array().unwrap().len(), 5);
    let html = of("text/html").await;
    assert!(
        html.header("content-type").unwrap().starts_with("text/html") && html.body.contains("operation_")
    );
    assert!(
        html.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'nonce-")
    );
    assert!(of("text/markdown").await.body.starts_with("# How it does"));
    assert_eq!(server.get(&format!("{report}?format=pdf")).await.status, 400);
    assert_eq!(server.get(&format!("{report}?baseline=none")).await.status, 404);
    server.running.stop().await;
}

#[tokio::test]
async fn the_last_runs_of_an_operation_are_told_with_what_went_wrong() {
    let server = Server::start(false).await;
    let pay = server.running.monitor().operation("pay");
    pay.record(Duration::from_millis(2), Outcome::Ok);
    pay.record(Duration::from_millis(5), Outcome::Error("declined"));
    let told = server.get("/api/v1/admin/performance/operations/pay").await.json();
    let runs = told["data"]["runs"].as_array().unwrap();
    let took = |error: Value| {
        runs.iter().find(|run| run["error"] == error).unwrap()["duration_ms"].as_f64().unwrap().round()
    };
    assert_eq!((runs.len(), took(Value::Null), took(json!("declined"))), (2, 2.0, 5.0));
    assert!(runs.iter().all(|run| run["at_ms"].as_i64().unwrap() > 0));
    let missing = server.get("/api/v1/admin/performance/operations/none").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("there is no operation"));
    server.running.stop().await;
}

#[tokio::test]
async fn a_bad_token_is_a_failed_login_for_the_monitor_and_one_too_many_a_limited_rate() {
    let server = Server::start(true).await;
    let security = || {
        let monitor = server.running.monitor();
        let figures = monitor.snapshot(monitor.now()).security;
        let of = |kind| figures.by_kind.iter().find(|one| one.kind == kind).unwrap().count;
        (of(SecurityKind::FailedLogin), of(SecurityKind::RateLimited), figures.last)
    };
    assert_eq!(server.get("/api/v1/status").await.status, 401);
    assert_eq!(server.bearer("GET", "/api/v1/status", &server.operator).await.status, 200);
    assert_eq!(security(), (0, 0, Vec::new()), "no token is no attempt");
    for _ in 0..10 {
        assert_eq!(server.bearer("GET", "/api/v1/status", "gct_wrong").await.status, 401);
    }
    for _ in 0..2 {
        assert_eq!(server.bearer("GET", "/api/v1/label/x/values", "gct_wrong").await.status, 429);
    }
    let (failed, limited, last) = security();
    assert_eq!((failed, limited), (10, 2));
    assert_eq!((&*last[0].source, &*last[0].detail), ("127.0.0.1", "/api/v1/label/:name/values"));
    assert_eq!(last[11].detail, "/api/v1/status");
    server.running.stop().await;
}

#[tokio::test]
async fn f120_tokens_that_cannot_be_read_leave_the_configuration_and_a_bad_configuration_the_tokens() {
    let server = Server::start(true).await;
    let other = server.tokens().create("other", vec![Scope::Read], 1, None).unwrap();
    let mut bad = server.config.clone();
    bad.collect.filters.insert("collector.netdev.device-exclude".into(), "(".into());
    assert!(server.running.reload(&bad).await.is_err());
    let file = server.folder.path().join("tokens.json");
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "{").unwrap();
    let refused = server.running.reload(&server.config).await.unwrap_err().to_string();
    assert!(refused.starts_with("--web.token-file: "), "{refused}");
    assert_eq!(server.bearer("GET", "/api/v1/status", &server.operator).await.status, 200);
    std::fs::write(&file, good).unwrap();
    let told = server.running.reload(&server.config).await.unwrap();
    assert_eq!(told.as_deref(), Some("tokens: 1 added, 0 gone"));
    assert_eq!(server.bearer("GET", "/api/v1/status", &other).await.status, 200);
    assert_eq!(server.running.reload(&server.config).await.unwrap(), None);
    server.running.stop().await;
}

#[tokio::test]
async fn docs_admin_md_names_every_route_of_the_administration_and_no_other() {
    let server = Server::start(false).await;
    let described = server.get("/api/v1/openapi.json").await.json();
    let paths = described["paths"].as_object().unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/api/v1/admin/")) {
        for method in item.as_object().unwrap().keys() {
            routes.insert(format!(
                "{} {}",
                method.to_uppercase(),
                path.replace("{id}", "ID").replace("{name}", "NAME")
            ));
        }
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admin.md")).unwrap();
    let mut told = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| `/api/v1/admin/")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let path = cells.next().unwrap().trim_matches('`');
        for method in cells.next().unwrap().split(", ") {
            told.insert(format!("{} {path}", method.split(' ').next().unwrap()));
        }
    }
    assert_eq!(told, routes);
    server.running.stop().await;
}

#[tokio::test]
async fn f121_the_description_names_every_operation_with_its_scope() {
    let server = Server::start(false).await;
    let told = server.get("/api/v1/openapi.json").await.json();
    assert_eq!(told["openapi"], "3.1.0");
    let text = told.to_string();
    let schemas = told["components"]["schemas"].as_object().unwrap();
    let named: BTreeSet<&str> =
        text.split("#/components/schemas/").skip(1).filter_map(|part| part.split('"').next()).collect();
    // Success is for rows that name none.
    let there = schemas.keys().map(String::as_str).filter(|name| *name != "Success");
    assert_eq!(named, there.collect(), "every schema is there and none is idle");
    let paths = told["paths"].as_object().unwrap();
    for (path, item) in paths {
        let concrete = path.replace("{name}", "x").replace("{id}", "x").replace("{group}", "x");
        let options = server.ask("OPTIONS", &concrete, &[], "").await;
        let allow: Vec<String> =
            options.header("allow").unwrap().split(", ").map(str::to_lowercase).collect();
        let mut methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        methods.extend(["head", "options"].map(str::to_owned));
        assert!(allow.iter().all(|method| methods.contains(method)), "{path}: {allow:?} {methods:?}");
        for (method, operation) in item.as_object().unwrap() {
            assert!(allow.contains(method), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        }
    }
    let scope = |path: &str, method: &str| told["paths"][path][method]["security"][0]["bearer"][0].clone();
    assert_eq!(scope("/api/v1/query", "get"), "read");
    assert_eq!(scope("/api/v1/write", "post"), "push");
    assert_eq!(scope("/api/v1/stream/ws", "get"), "stream");
    assert_eq!(scope("/api/v1/admin/clients/{id}", "delete"), "admin");
    assert_eq!(scope("/-/healthy", "get"), Value::Null);
    server.running.stop().await;
}

#[tokio::test]
async fn f119_the_configuration_is_shown_with_who_set_what() {
    let server = Server::start(false).await;
    let yaml = server.get("/api/v1/admin/config").await.json()["data"]["yaml"].as_str().unwrap().to_owned();
    assert!(yaml.contains("listen_address") && yaml.contains("default"), "{yaml}");
    assert_eq!(server.get("/api/v1/admin/targets").await.json()["data"]["jobs"], json!([]));
    assert_eq!(
        server.get("/api/v1/admin/rules").await.json()["data"]["groups"][0]["file"],
        "anomalies.rules.yml"
    );
    server.running.stop().await;
}

#[tokio::test]
async fn f119_no_secret_of_any_part_is_in_the_configuration_that_is_shown() {
    const FILE: &str = r#"
global: {smtp_from: a@example.com, smtp_smarthost: '127.0.0.1:1', smtp_auth_username: u, smtp_auth_password: S3CRET1}
scrape_configs:
  - job_name: a
    basic_auth: {username: u, password: S3CRET2}
    http_sd_configs:
      - {url: 'http://127.0.0.1:1/sd?key=S3CRET3', authorization: {credentials: S3CRET4}}
remote_write:
  - url: http://127.0.0.1:1/write?key=S3CRET5
    basic_auth: {username: u, password: S3CRET6}
    headers: {X-Key: S3CRET7}
alerting: {alertmanagers: [{basic_auth: {username: u, password: S3CRET8}, static_configs: [{targets: ['a:1']}]}]}
route: {receiver: all}
receivers:
  - name: all
    webhook_configs:
      - {url: 'http://127.0.0.1:1/S3CRET9', secret: S3CRET10, http_config: {authorization: {credentials: S3CRET11}}}
    slack_configs: [{channel: '#a', api_url: 'http://127.0.0.1:1/S3CRET12'}]
    pagerduty_configs: [{routing_key: S3CRET13}]
    email_configs: [{to: b@example.com, auth_password: S3CRET14}]
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gaugecast.yml");
    std::fs::write(&path, FILE).unwrap();
    let flags = vec![("config.file".to_owned(), path.to_str().unwrap().to_owned())];
    let sources = Sources { flags, ..Sources::default() };
    let loaded = gaugecast::config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let yaml = shown(&loaded);
    assert!(yaml.contains("X-Key: <secret>") && yaml.contains("/sd?<secret>"), "{yaml}");
    assert!(!yaml.contains("S3CRET") && yaml.matches("<secret>").count() >= 14, "{yaml}");
}

// -------------------------------------------------------------------------------------------------- alerts

/// One letter, of the id 7.
#[derive(Default)]
struct Dead(Mutex<bool>);

impl DeadLetters for Dead {
    fn list(&self) -> Value {
        if *self.0.lock().unwrap() { json!([]) } else { json!([{ "id": 7, "receiver": "ops" }]) }
    }

    fn retry(&self, id: u64) -> bool {
        id == 7
    }

    fn delete(&self, id: u64) -> bool {
        id == 7 && !std::mem::replace(&mut self.0.lock().unwrap(), true)
    }
}

/// A server to which two alerts were reported, and nothing else.
async fn alerting(tokens: bool) -> Server {
    let server = Server::start_with(tokens, |config| config.alert.rules.built_in = false).await;
    let active = |job: &str| Active {
        labels: Labels::new([("alertname", "Down"), ("severity", "critical"), ("job", job)]),
        annotations: std::collections::BTreeMap::new(),
        phase: Phase::Firing,
        value: 0.0,
        active_at_ms: 1,
        fired_at_ms: Some(2),
        generator: "/".into(),
    };
    let mut standing = server.running.alerts().standing();
    let active = vec![active("api"), active("db")];
    let at = Clock::start().now();
    let report = Report { source: "rule".into(), origin: Origin::Rule, at, active, no_data: Vec::new() };
    server.running.reports().send(report).await.unwrap();
    standing.changed().await.unwrap();
    server
}

#[tokio::test]
async fn f116_and_b69_alerts_are_picked_and_cleared_once_however_often_it_is_asked() {
    let server = alerting(false).await;
    let path = "/api/v1/admin/performance/alerts";
    let count =
        async |query: &str| server.get(&format!("{path}{query}")).await.json()["data"]["count"].clone();
    assert_eq!(count("").await, 2);
    assert_eq!(count("?state=firing&level=critical,emergency&match[]=job%3D%22db%22").await, 1);
    assert_eq!(count("?level=info").await, 0);
    for bad in ["?state=gone", "?level=loud", "?match[]=%7B"] {
        assert_eq!(server.get(&format!("{path}{bad}")).await.status, 400, "{bad}");
    }
    let json = [("Content-Type", "application/json")];
    let post = async |body: &str| server.ask("POST", path, &json, body).await;
    let unknown = post(r#"{"ids":["0000000000000000"]}"#).await;
    assert_eq!(
        (unknown.status, unknown.json()["details"]["unknown"][0].as_str()),
        (404, Some("0000000000000000"))
    );
    for bad in
        ["[]", r#"{"ids":1}"#, r#"{"matchers":[]}"#, r#"{"ids":[],"matchers":["a=b"]}"#, r#"{"idz":[]}"#]
    {
        assert_eq!(post(bad).await.status, 400, "{bad}");
    }
    assert_eq!(post(r#"{"matchers":["job=\"db\""]}"#).await.json()["data"]["count"], 1);
    let both = tokio::join!(post(""), post(""));
    let cleared = [both.0, both.1].map(|answer| answer.json()["data"]["count"].as_u64().unwrap());
    assert_eq!(cleared.iter().sum::<u64>(), 1, "one of the two cleared it: {cleared:?}");
    assert_eq!(post("").await.json()["data"]["count"], 0);
    let csv = server.get("/api/v1/admin/alerts/history?format=csv").await;
    assert!(
        csv.header("content-type").unwrap().starts_with("text/csv") && csv.body.contains("cleared"),
        "{}",
        csv.body
    );
    let history = server.get("/api/v1/admin/alerts/history?limit=1").await.json();
    assert_eq!(history["data"].as_array().unwrap().len(), 1);
    server.running.stop().await;
}

#[tokio::test]
async fn f84_an_alert_is_taken_snoozed_and_given_back_and_f83_silenced_by_whoever_may() {
    let server = alerting(true).await;
    let reader = server.token("reader", &[Scope::Read]).await;
    let ops = server.token("ops", &[Scope::Read, Scope::AlertsWrite]).await;
    let ask = async |token: &str, method: &str, path: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        server.ask(method, path, &headers, body).await
    };
    let listed = ask(&reader, "GET", "/api/v1/admin/performance/alerts", "").await.json();
    let path =
        format!("/api/v1/admin/alerts/{}/acknowledge", listed["data"]["alerts"][0]["id"].as_str().unwrap());
    assert_eq!(ask(&reader, "POST", &path, "").await.status, 403);
    let taken = ask(&ops, "POST", &path, r#"{"note":"on it","for":"2h"}"#).await.json();
    let taken = &taken["data"]["acknowledged"];
    assert_eq!((&taken["by"], &taken["note"]), (&json!("ops"), &json!("on it")));
    assert!(taken["until_ms"].as_i64().unwrap() > taken["at_ms"].as_i64().unwrap());
    assert_eq!(ask(&ops, "POST", &path, r#"{"for":"0s"}"#).await.status, 400);
    assert_eq!(ask(&ops, "DELETE", &path, "").await.json()["data"]["was"], true);
    assert_eq!(ask(&ops, "DELETE", &path, "").await.json()["data"]["was"], false);
    let escalate = path.replace("acknowledge", "escalate");
    assert_eq!(ask(&reader, "POST", &escalate, "").await.status, 403);
    let refused = ask(&ops, "POST", &escalate, "").await;
    assert_eq!(refused.status, 400, "there is no escalation here");
    let silences = "/api/v1/admin/silences";
    let wish = r#"{"matchers":["job=\"db\""],"for":"1h","comment":"work"}"#;
    let silence = ask(&ops, "POST", silences, wish).await.json();
    assert_eq!(
        (&silence["data"]["created_by"], &silence["data"]["state"]),
        (&json!("ops"), &json!("active"))
    );
    assert_eq!(ask(&ops, "POST", silences, r#"{"matchers":["a=b"]}"#).await.status, 400, "without an end");
    let one = format!("{silences}/{}", silence["data"]["id"].as_str().unwrap());
    assert_eq!(ask(&ops, "DELETE", &one, "").await.json()["data"]["state"], "expired");
    assert_eq!(ask(&reader, "GET", silences, "").await.json()["data"].as_array().unwrap().len(), 1);
    let audit = server.audit();
    let of = |who: &str| audit.iter().filter(|line| line["who"] == who).count();
    assert_eq!((of("token ops"), of("nobody")), (8, 2), "{audit:?}");
    server.running.stop().await;
}

#[tokio::test]
async fn f89_dead_letters_are_listed_tried_again_and_thrown_away() {
    let server = Server::start(false).await;
    let path = "/api/v1/admin/deadletters";
    assert_eq!(server.get(path).await.json()["data"][0]["id"], 7);
    assert_eq!(server.ask("POST", &format!("{path}/7/retry"), &[], "").await.status, 200);
    assert_eq!(server.ask("DELETE", &format!("{path}/7"), &[], "").await.status, 200);
    for none in ["7", "8", "x"] {
        assert_eq!(server.ask("DELETE", &format!("{path}/{none}"), &[], "").await.status, 404, "{none}");
    }
    server.running.stop().await;
}

#[tokio::test]
async fn alerts_that_are_posted_are_bounded_in_what_they_say_and_in_time() {
    let server = alerting(false).await;
    let json = [("Content-Type", "application/json")];
    let post =
        async |alert: Value| server.ask("POST", "/api/v2/alerts", &json, &json!([alert]).to_string()).await;
    let labels = json!({ "alertname": "Posted" });
    let long = post(json!({ "labels": { "alertname": "a".repeat(20_000) } })).await;
    assert!(long.status == 400 && long.body.contains("16384 bytes"), "{}", long.body);
    // No client could read a list with such a time.
    for time in ["9e15", "-9e15", "-62135596801"] {
        let late = post(json!({ "labels": labels, "endsAt": time })).await;
        assert!(late.status == 400 && late.body.contains("1 to 9999"), "{time}: {}", late.body);
    }
    let silence = json!({
        "matchers": [{ "name": "a", "value": "b" }], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "9e15",
        "createdBy": "a", "comment": "",
    });
    assert_eq!(server.ask("POST", "/api/v2/silences", &json, &silence.to_string()).await.status, 400);
    assert_eq!(post(json!({ "labels": labels, "endsAt": "9999-12-31T23:59:59Z" })).await.status, 200);
    assert!(server.get("/api/v2/alerts").await.body.contains("Posted"));
    server.running.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_though_it_asks_from_this_machine() {
    let server = alerting(false).await;
    let asked = [
        ("POST", "/api/v2/alerts", r#"[{"labels":{"alertname":"Forged"}}]"#),
        ("POST", "/api/v1/admin/performance/alerts", "{}"),
        ("PUT", "/api/v1/admin/loglevel", r#"{"level":"debug"}"#),
        ("POST", "/api/v1/admin/drain", ""),
    ];
    for (method, path, body) in asked {
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            let headers = [("Origin", origin), ("Content-Type", "application/json")];
            assert_eq!(server.ask(method, path, &headers, body).await.status, 403, "{origin} {path}");
        }
        // What a page may send without asking first.
        let headers = [("Content-Type", "text/plain"), ("X-Forwarded-Host", "evil.example")];
        assert_eq!(server.ask(method, path, &headers, body).await.status, 403, "a proxy, {path}");
    }
    let posted = server.ask("POST", asked[0].1, &[("Content-Type", "text/plain")], asked[0].2).await;
    assert_eq!(posted.status, 415);
    assert!(!server.get("/api/v2/alerts").await.body.contains("Forged"));
    server.running.stop().await;
}
