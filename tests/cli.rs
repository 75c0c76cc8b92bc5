//! The program as a user starts it: exit codes, messages, what wins over what, and that what is documented is so.

#![allow(clippy::unwrap_used, reason = "a failing test may panic where it fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// The program in an empty folder, with none of the variables that it reads.
struct Program {
    folder: tempfile::TempDir,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Program {
    fn new() -> Self {
        Program { folder: tempfile::tempdir().unwrap() }
    }

    /// With this as its gaugecast.yml.
    fn with_file(yaml: &str) -> Self {
        let program = Self::new();
        fs::write(program.folder.path().join("gaugecast.yml"), yaml).unwrap();
        program
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaugecast"));
        command.args(args).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GAUGECAST_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
    }

    fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    fn run_with(&self, env: &[(&str, &str)], args: &[&str]) -> Said {
        said(self.command(args).envs(env.iter().copied()).output().unwrap())
    }
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(args: &[&str]) -> Said {
    Program::new().run(args)
}

#[test]
fn help_fits_a_screen_and_goes_to_stdout() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["serve", "--help"],
        &["check", "--help"],
        &["check", "config", "--help"],
        &["check", "ready", "--help"],
        &["config", "--help"],
        &["config", "show", "--help"],
        &["completions", "--help"],
        &["watch", "--help"],
        &["baseline", "--help"],
        &["baseline", "save", "--help"],
        &["baseline", "diff", "--help"],
        &["baseline", "trend", "--help"],
        &["detect", "--help"],
        &["rules", "--help"],
        &["rules", "check", "--help"],
        &["rules", "test", "--help"],
        &["provision", "--help"],
    ] {
        let said = run(args);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
        assert!(said.out.lines().count() <= 60, "{args:?}: {} lines", said.out.lines().count());
        assert!(said.out.lines().all(|line| line.chars().count() <= 110), "{args:?}:\n{}", said.out);
        assert!(said.out.contains("Usage: gaugecast"), "{args:?}:\n{}", said.out);
    }
}

#[test]
fn help_shows_flags_defaults_variables_and_collectors() {
    let help = run(&["--help"]).out;
    for part in
        ["--web.listen-address=ADDR", "[127.0.0.1:7171]", "GAUGECAST_WEB_LISTEN_ADDRESS", "thermal_zone"]
    {
        assert!(help.contains(part), "{part}");
    }
    let all = run(&["--help-all"]).out;
    for part in [
        "--collector.filesystem.mount-points-exclude=REGEX",
        "GAUGECAST_COLLECTOR_CPU",
        "--[no-]collector.cpu",
    ] {
        assert!(all.contains(part), "{part}");
    }
}

#[test]
fn the_first_line_of_the_version_is_that_of_prometheus_programs() {
    for flag in ["--version", "-V"] {
        let said = run(&[flag]);
        let first = said.out.lines().next().unwrap();
        let start = format!("gaugecast, version {} (branch: ", env!("CARGO_PKG_VERSION"));
        assert!(said.code == 0 && first.starts_with(&start) && first.contains(", revision: "), "{first}");
        assert!(said.out.contains("platform: "));
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_would_be_right() {
    for (args, told) in [
        (&["--web.listen-addres=:1"][..], "'--web.listen-address'"),
        (&["srve"], "'serve'"),
        (&["config"], "requires a subcommand"),
        (&["completions", "tcsh"], "bash"),
        (&["--web.max-requests"], "a value is required"),
        (&["--web.max-requests=1", "--web.max-requests=2"], "cannot be used multiple times"),
        (&["--log.level=loud"], "debug, info, warn, error"),
        (&["--collector.cpu=maybe"], "true, false"),
        (&["--collector.zfs"], "collectors: arp cgroup conntrack cpu"),
        (&["--no-collector.zfs"], "collectors: arp cgroup conntrack cpu"),
        (&["--web.listen-address=nowhere"], "write IP:PORT"),
        (&["--web.listen-address=7171"], "write 127.0.0.1:7171"),
        (&["--web.listen-address=:7171"], "--web.insecure-no-auth"),
        (&["--collect.tick=1"], "is not a duration"),
    ] {
        let said = run(args);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}: {}", said.err);
        assert!(said.err.contains(told), "{args:?}: {}", said.err);
        assert!(said.err.lines().count() <= 12, "{args:?}: {}", said.err);
    }
}

#[test]
fn a_malformed_variable_is_named() {
    let said = Program::new().run_with(&[("GAUGECAST_WEB_LISTEN_ADDRESS", "x")], &[]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("environment variable GAUGECAST_WEB_LISTEN_ADDRESS: \"x\""), "{}", said.err);
}

#[test]
fn a_file_that_is_named_and_not_there_is_told_with_the_reason_of_the_system() {
    let said = run(&["--config.file=none.yml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("none.yml: cannot read the configuration: No such file"), "{}", said.err);
    let said = run(&["config", "show", "--config.file", "."]);
    assert!(said.code == 2 && said.err.contains("it is a directory"), "{}", said.err);
}

#[test]
fn the_default_file_is_read_where_it_is_and_not_missed_where_it_is_not() {
    let program = Program::with_file("web: {max_requests: 5}");
    assert!(program.run(&["config", "show"]).out.contains("max_requests: 5"));
    let none = Program::new();
    let said = none.run(&["check", "config"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.contains("there is no gaugecast.yml here"), "{}", said.out);
}

#[test]
fn check_config_tells_every_fault_with_a_caret() {
    let program = Program::with_file("global:\n  tik: 1s\nweb:\n  max_requests: x\n");
    let said = program.run(&["check", "config"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert_eq!(
        said.err,
        "gaugecast.yml:2:3: unknown key `tik` in `global`; did you mean `tick`?\n  2 |   tik: 1s\n    |   ^^^\n\
         gaugecast.yml:4:17: \"x\" is not a whole number from 0 to 1000000\n  4 |   max_requests: x\n    |                 ^\n\
         error: the configuration is not valid, for 2 reasons\n"
    );
    let good = Program::with_file("");
    fs::write(good.folder.path().join("other.yml"), "log: {level: warn}").unwrap();
    assert_eq!(good.run(&["check", "config", "other.yml"]).out, "other.yml: valid\n");
}

#[test]
fn show_tells_who_set_what() {
    let program =
        Program::with_file("web:\n  max_requests: 1\n  telemetry_path: /file\nlog:\n  level: debug\n");
    let env = [("GAUGECAST_WEB_MAX_REQUESTS", "2"), ("GAUGECAST_LOG_LEVEL", "warn")];
    let said = program.run_with(&env, &["config", "show", "--origin", "--web.max-requests=3"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let line = |key: &str| {
        let found = said.out.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("max_requests:"), "max_requests: 3 # flag --web.max-requests");
    assert_eq!(line("level:"), "level: warn # environment GAUGECAST_LOG_LEVEL");
    assert_eq!(line("telemetry_path:"), "telemetry_path: /file # file gaugecast.yml:3");
    assert_eq!(line("tick:"), "tick: 1s # default");
}

#[test]
fn what_is_shown_and_the_default_file_are_valid_files() {
    for args in [&["config", "show"][..], &["config", "show", "--origin"], &["config", "default"]] {
        let said = Program::with_file(&run(args).out).run(&["check", "config"]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn completions_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = run(&["completions", shell]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{shell}");
        assert!(said.out.contains("web.listen-address") && said.out.contains("completions"), "{shell}");
    }
}

#[test]
fn the_manual_page_has_every_flag_with_default_and_variable() {
    let said = run(&["man"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let page = said.out.replace('\\', "");
    assert!(page.contains(".TH gaugecast 1") && page.contains("--collector.netdev.device-exclude"), "{page}");
    assert!(page.contains("Default: 127.0.0.1:7171. Environment: GAUGECAST_WEB_LISTEN_ADDRESS"), "{page}");
}

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let schema: serde_json::Value = serde_json::from_str(&run(&["config", "schema"]).out).unwrap();
    assert_eq!(schema["properties"]["web"]["properties"]["max_requests"]["default"], 40);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_documentation_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = fs::read_to_string(path).unwrap();
    assert!(
        written == run(&["config", "docs"]).out,
        "docs/configuration.md is out of date: cargo run -- config docs > docs/configuration.md"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let program = Program::new();
    let mut child = program
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

/// Answers one request with this, and gives the request.
fn answer_once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, thread)
}

#[test]
fn check_ready_asks_the_server_of_this_configuration() {
    let (address, request) = answer_once("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nready\n");
    let said = run(&["check", "ready", "--web.listen-address", &address, "--web.route-prefix=/live"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "ready\n", ""));
    let request = request.join().unwrap();
    assert!(request.starts_with("GET /live/-/ready HTTP/1.0\r\n"), "{request}");
    assert!(request.contains(&format!("Host: {address}\r\n")), "{request}");
}

#[test]
fn a_server_that_is_not_ready_or_not_there_is_exit_1() {
    let (address, request) = answer_once("HTTP/1.0 503 Service Unavailable\r\n\r\ndraining\n");
    let said = run(&["check", "healthy", "--web.listen-address", &address]);
    request.join().unwrap();
    assert_eq!(said.code, 1);
    assert_eq!(said.err, format!("error: http://{address}/-/healthy: answers 503: draining\n"));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = run(&["check", "ready", "--web.listen-address", &free]);
    assert!(said.code == 1 && said.err.contains("refused"), "{}", said.err);
}

#[test]
fn a_port_that_the_system_chose_cannot_be_checked() {
    let said = run(&["check", "ready", "--web.listen-address=127.0.0.1:0"]);
    assert!(said.code == 1 && said.err.contains("name it by --web.listen-address"), "{}", said.err);
}

#[test]
fn rules_are_checked_and_tested_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("good.yml", "groups:\n  - name: g\n    rules:\n      - {alert: Down, expr: up == 0}\n");
    write(
        "bad.yml",
        "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: 'sum('}\n      - {alert: B, expr: up, \
         annotations: {a: '{{ nope }}'}}\n",
    );
    let said = run(&["rules", "check", &path("good.yml")]);
    assert_eq!((said.code, said.out), (0, format!("{}: 1 rules found\n", path("good.yml"))));
    let said = run(&["rules", "check", &path("good.yml"), &path("bad.yml")]);
    assert_eq!(said.code, 1);
    let told = |line: usize| said.err.contains(&format!("{}:{line}:", path("bad.yml")));
    assert!(told(4) && told(5), "{}", said.err);

    let test = |value: &str| {
        format!(
            "rule_files: ['*d.yml', missing.yml]\ntests:\n  - interval: 1m\n    input_series:\n      - {{series: up, \
             values: '1 {value}'}}\n    alert_rule_test:\n      - eval_time: 1m\n        alertname: Down\n        \
             exp_alerts: [{{exp_labels: {{}}}}]\n"
        )
    };
    // Both rule files are loaded, and one is bad.
    write("a.test.yml", &test("0"));
    let said = run(&["rules", "test", &path("a.test.yml")]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("bad.yml:4:"), "{}", said.out);
    std::fs::remove_file(folder.path().join("bad.yml")).expect("removed");
    let said = run(&["rules", "test", &path("a.test.yml")]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("warning: no rule file matches"), "{}", said.out);
    write("a.test.yml", &test("1"));
    let said = run(&["rules", "test", &path("a.test.yml")]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("alert Down at 1m: 1 expected, 0 firing"), "{}", said.out);
    assert!(said.out.contains("- expected {alertname=\"Down\"}"), "{}", said.out);
    assert_eq!(run(&["rules", "test"]).code, 2);
    assert_eq!(run(&["rules"]).code, 2);
}

#[test]
fn f117_a_token_is_made_listed_and_revoked_and_shown_only_once() {
    let program = Program::with_file("web: {token_file: tokens.json}\n");
    let made = program.run(&["token", "create", "grafana", "--scope", "read,stream", "--expires=90d"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let token = made.out.trim();
    assert!(token.starts_with("gct_") && token.len() == 68 && !made.err.contains(token), "{}", made.err);
    assert!(!fs::read_to_string(program.folder.path().join("tokens.json")).unwrap().contains(token));
    assert_eq!(program.run(&["token", "create", "grafana", "--scope=read"]).code, 2, "the name is taken");
    assert_eq!(program.run(&["token", "create", "x", "--scope=root"]).code, 2, "no such scope");
    assert_eq!(program.run(&["token", "create", "a b", "--scope=read"]).code, 2, "no such name");
    let listed = program.run(&["token", "list"]);
    assert!(listed.out.contains("grafana") && listed.out.contains("read,stream"), "{}", listed.out);
    assert!(!listed.out.contains(&token[4..12]));
    let json: serde_json::Value =
        serde_json::from_str(&program.run(&["token", "list", "--json"]).out).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["expired"]), (&"grafana".into(), &false.into()));
    assert_eq!(program.run(&["token", "revoke", "grafana"]).code, 0);
    assert_eq!(program.run(&["token", "revoke", "grafana"]).code, 2);
    let nowhere = run(&["token", "list"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("--web.token-file"), "{}", nowhere.err);
}

#[test]
fn the_schema_of_the_performance_figures_is_the_one_that_is_served() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_str(
            &fs::read_to_string(root.join(path)).unwrap().replace("#/components/schemas/", "#/$defs/"),
        )
        .unwrap()
    };
    let (served, published) = (read("src/server/schemas.json"), read("docs/performance.schema.json"));
    for name in ["PerformanceData", "Operation", "Verdict"] {
        assert_eq!(served[name], published["$defs"][name], "{name}");
    }
}
