//! Sources to settings, and what is said when they are wrong.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// A folder with a configuration file in it.
struct Fixture {
    folder: tempfile::TempDir,
    flags: Vec<(String, String)>,
    env: Vec<(OsString, OsString)>,
}

impl Fixture {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.yml");
        fs::write(&path, yaml).unwrap();
        let flags = vec![("config.file".into(), path.display().to_string())];
        Fixture { folder, flags, env: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("g.yml")
    }

    fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.push((flag.into(), value.into()));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn sources(&self) -> Sources {
        Sources { flags: self.flags.clone(), env: self.env.clone() }
    }

    fn load(&self) -> Loaded {
        load(&self.sources()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// What is told, with the path of the folder left out.
    fn told(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        load(&self.sources()).expect_err("a configuration that is wrong").to_string().replace(&folder, "")
    }
}

#[test]
fn nothing_given_is_the_default_of_every_subsystem() {
    let loaded = Fixture::new("").load();
    assert_eq!(loaded.config.collect, crate::collect::Config::default());
    assert_eq!(loaded.config.server, crate::server::Config::default());
    assert_eq!(loaded.config.stream, crate::stream::Config::default());
    assert_eq!(loaded.config.log, crate::log::Config::default());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let with_file = Fixture::new("web:\n  max_requests: 1\n");
    assert_eq!(with_file.load().config.server.max_requests, 1);
    let with_env = with_file.env("GAUGECAST_WEB_MAX_REQUESTS", "2");
    assert_eq!(with_env.load().config.server.max_requests, 2);
    let with_flag = with_env.flag("web.max-requests", "3");
    assert_eq!(with_flag.load().config.server.max_requests, 3);
    assert_eq!(with_flag.load().origins["web.max-requests"], Place::Flag("--web.max-requests=3".into()));
}

#[test]
fn every_setting_of_the_file_takes_effect() {
    let loaded = Fixture::new(
        "global: {tick: 250ms}\n\
         web:\n  listen_address: [127.0.0.1:1, '[::1]:2']\n  telemetry_path: /m\n  max_requests: 7\n  \
         allowed_host: a.example\n  allowed_origin: [https://a.example]\n  external_url: https://a.example/live/\n\
         path: {procfs: /host/proc, sysfs: /host/sys, rootfs: /host}\n\
         collect: {series_limit: 5000}\n\
         collectors:\n  deadline: 1s500ms\n  disable_defaults: true\n  cpu: true\n  hwmon: false\n  \
         filesystem: {enabled: true, mount_points_exclude: ^/x$}\n  textfile: {directory: [/a, /b]}\n\
         stream: {max_subscriptions: 1, max_series: 2, max_message: 16KB, max_clients: 4, ping: 5s, pong_timeout: 6s, hello_timeout: 7s}\n\
         log: {level: warn, format: json}\n",
    )
    .load();
    let Config { collect, server, stream, log, .. } = loaded.config;
    assert_eq!(collect.tick, Duration::from_millis(250));
    assert_eq!(collect.deadline, Duration::from_millis(1500));
    assert_eq!(collect.series_limit, 5000);
    assert_eq!(collect.paths.procfs, PathBuf::from("/host/proc"));
    assert_eq!(collect.paths.sysfs, PathBuf::from("/host/sys"));
    assert_eq!(collect.paths.rootfs, PathBuf::from("/host"));
    assert!(collect.disable_defaults);
    assert_eq!(
        collect.switches.into_iter().collect::<Vec<_>>(),
        [("cpu".to_owned(), true), ("filesystem".to_owned(), true), ("hwmon".to_owned(), false)]
    );
    assert_eq!(collect.filters["collector.filesystem.mount-points-exclude"], "^/x$");
    assert_eq!(collect.textfile_directories, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(server.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!((server.telemetry_path.as_str(), server.max_requests), ("/m", 7));
    assert_eq!(server.allowed_hosts, ["a.example"]);
    assert_eq!(server.allowed_origins, ["https://a.example"]);
    assert_eq!(server.route_prefix, "/live", "the path of the external URL");
    assert_eq!((stream.max_subscriptions, stream.max_series, stream.max_message), (1, 2, 16 << 10));
    assert_eq!((stream.max_clients, stream.ping.as_secs()), (4, 5));
    assert_eq!((stream.pong_timeout.as_secs(), stream.hello_timeout.as_secs()), (6, 7));
    assert_eq!((log.level, log.format), (crate::log::Level::Warn, crate::log::Format::Json));
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let told = Fixture::new(
        "global:\n  tick: 1x\nweb:\n  listen_adress: :7171\n  max_requests: many\n  max_requests: 5\nstream: 5\n\
         collectors:\n  cpu: 'true'\n  netstat: {fields: \"(\"}\n",
    )
    .flag("collect.series-limit", "-1")
    .env("GAUGECAST_STREAM_PING", "soon")
    .told();
    let expected = r#"--collect.series-limit=-1: "-1" is not a whole number from 1000 to 100000000
environment variable GAUGECAST_STREAM_PING: "soon" is not a duration such as 500ms, 10s or 1m30s (units y w d h m s ms, largest first)
g.yml:2:9: "1x" is not a duration such as 500ms, 10s or 1m30s (units y w d h m s ms, largest first)
  2 |   tick: 1x
    |         ^^
g.yml:4:3: unknown key `listen_adress` in `web`; did you mean `listen_address`?
  4 |   listen_adress: :7171
    |   ^^^^^^^^^^^^^
g.yml:5:17: "many" is not a whole number from 0 to 1000000
  5 |   max_requests: many
    |                 ^^^^
g.yml:6:3: `max_requests` is already given in line 5
  6 |   max_requests: 5
    |   ^^^^^^^^^^^^
g.yml:7:9: `stream` must be a mapping with the keys max_clients, max_subscriptions, max_series, max_message, ping, pong_timeout, hello_timeout, max_clients_per_ip, max_new_per_second, max_new_burst, max_channels, max_queries, commands_per_second, stall_timeout, drain, performance, flush_interval, send_buffer; this is a single value
  7 | stream: 5
    |         ^
g.yml:9:8: "true" is text here; write it without the quotes
  9 |   cpu: 'true'
    |        ^^^^^^
g.yml:10:21: "(" is not a regular expression: unclosed group
  10 |   netstat: {fields: "("}
     |                     ^^^"#;
    assert_eq!(told, expected);
}

#[test]
fn an_unknown_key_gets_the_nearest_or_the_right_place_or_the_list() {
    for (yaml, hint) in [
        ("web: {listen-address: x}", "unknown key `listen-address` in `web`; did you mean `listen_address`?"),
        ("listen_address: x", "unknown key `listen_address`; did you mean `web.listen_address`?"),
        ("global: {zzz: 1}", "unknown key `zzz` in `global`; known are tick, scrape_interval, "),
        ("collectors: {filesytem: false}", "did you mean `filesystem`?"),
        ("collectors: {zfs: false}", "known are deadline, interval, disable_defaults, arp, cgroup, "),
    ] {
        let told = Fixture::new(yaml).told();
        assert!(told.contains(hint), "{yaml}: {told}");
    }
}

#[test]
fn blocks_of_prometheus_that_do_nothing_yet_are_refused_by_name() {
    let told = Fixture::new("otlp: {}\nremote_read: []\n").told();
    for key in ["otlp", "remote_read"] {
        assert!(told.contains(&format!("`{key}` is not supported by this version")), "{told}");
    }
    let others = Fixture::new(
        "global: {query_log_file: x}
runtime: {}
tracing: {}
",
    );
    let warnings = others.load().warnings;
    assert_eq!(warnings.len(), 3);
    assert!(warnings[1].ends_with("g.yml:2: `runtime` is not supported by this version and has no effect"));
    assert_eq!(others.flag("config.strict", "true").told().lines().count(), 3);
}

#[test]
fn wrong_types_say_what_is_needed() {
    for (yaml, hint) in [
        ("global: {tick: [1s]}", "`tick` must be a duration, 1ms to 1m, not a list"),
        ("web: {allowed_host: {a: b}}", "`allowed_host` must be a list of texts, not a mapping"),
        (
            "web: {allowed_host: [a, [b]]}",
            "`allowed_host` must be a list of texts, not a list with a list in it",
        ),
        ("web: {insecure_no_auth: yes}", "\"yes\" is neither true nor false"),
        ("web: {max_requests: 1.5}", "\"1.5\" is not a whole number"),
        ("web: {max_requests: '5'}", "\"5\" is text here; write it without the quotes"),
        ("global:\n  tick:\n", "`tick` has no value; leave the key out for the default"),
        ("global: {tick: 2m}", "2m is not between 1ms and 1m"),
        ("log: {level: loud}", "\"loud\" is none of debug, info, warn, error"),
        ("web: {listen_address: []}", "at least one address is needed"),
        ("web: {listen_address: [127.0.0.1:1, 127.0.0.1:1]}", "127.0.0.1:1 is given twice"),
        ("- a", "the file must be a mapping with the keys "),
        ("web: {", "not valid YAML"),
        ("web:\n\tmax_requests: 1", "not valid YAML"),
    ] {
        let told = Fixture::new(yaml).told();
        assert!(told.contains(hint) && told.starts_with("g.yml:"), "{yaml}: {told}");
    }
}

#[test]
fn sections_without_content_are_as_if_they_were_not_there() {
    assert_eq!(Fixture::new("web:\ncollectors:\n  # cpu: false\n").load().origins.len(), 1);
}

#[test]
fn a_route_may_stand_above_the_receivers_that_it_names() {
    let (route, receivers) = ("route: {receiver: team}\n", "receivers: [{name: team, log_configs: [{}]}]\n");
    let both =
        [route.to_owned() + receivers, receivers.to_owned() + route].map(|yaml| Fixture::new(&yaml).load());
    assert!(both[0].config.alert.manager.route.is_some());
    assert_eq!(both[0].config.alert, both[1].config.alert);
}

#[test]
fn variables_in_the_file_stand_for_the_environment() {
    let yaml = "web: {max_requests: \"${MAX}\"}\nlog: {level: '${LEVEL:-warn}'}\n";
    let loaded = Fixture::new(yaml).env("MAX", "9").load();
    assert_eq!(loaded.config.server.max_requests, 9);
    assert_eq!(loaded.config.log.level, crate::log::Level::Warn);
    let told = Fixture::new(yaml).told();
    assert!(told.starts_with("g.yml:1:21: environment variable MAX is not set"), "{told}");
}

#[test]
fn lists_in_the_environment_have_commas_and_empty_is_not_set() {
    let loaded = Fixture::new("")
        .env("GAUGECAST_WEB_LISTEN_ADDRESS", "127.0.0.1:1, [::1]:2")
        .env("GAUGECAST_WEB_TELEMETRY_PATH", "")
        .load();
    assert_eq!(loaded.config.server.listen.len(), 2);
    assert_eq!(loaded.config.server.telemetry_path, "/metrics");
}

#[test]
fn an_unknown_variable_of_ours_is_a_warning_and_one_of_kubernetes_is_not() {
    let fixture = Fixture::new("")
        .env("GAUGECAST_WEB_LISTEN_ADRESS", "x")
        .env("GAUGECAST_REVISION", "of the build")
        .env("GAUGECAST_PORT", "tcp://10.0.0.1:7171")
        .env("GAUGECAST_SERVICE_HOST", "10.0.0.1");
    assert_eq!(
        fixture.load().warnings,
        [
            "environment variable GAUGECAST_WEB_LISTEN_ADRESS is not known; did you mean GAUGECAST_WEB_LISTEN_ADDRESS?"
        ]
    );
    let other = Fixture::new("").env("GAUGECAST_FLAVOUR", "x").load().warnings;
    assert_eq!(other, ["environment variable GAUGECAST_FLAVOUR is not known"]);
    let told = fixture.flag("config.strict", "true").told();
    assert!(told.contains("GAUGECAST_WEB_LISTEN_ADRESS is not known"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn b57_a_pipe_is_refused_rather_than_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let fixture = Fixture::new("");
    fs::remove_file(fixture.path()).unwrap();
    mknodat(CWD, fixture.path(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(fixture.told(), "g.yml: cannot read the configuration: it is a pipe, not a file");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let mut fixture = Fixture::new("");
    fixture.env.push(("GAUGECAST_LOG_LEVEL".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(fixture.told(), "environment variable GAUGECAST_LOG_LEVEL: is not valid UTF-8");
}

#[test]
fn an_address_that_others_can_reach_needs_the_word() {
    for address in [":7171", "0.0.0.0:7171", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let told = Fixture::new("").flag("web.listen-address", address).told();
        assert!(told.starts_with(&format!("--web.listen-address={address}: ")), "{told}");
        assert!(told.contains("or give --web.insecure-no-auth"), "{told}");
        let allowed =
            Fixture::new("").flag("web.listen-address", address).flag("web.insecure-no-auth", "true");
        assert!(load(&allowed.sources()).is_ok(), "{address}");
    }
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1"] {
        assert!(load(&Fixture::new("").flag("web.listen-address", address).sources()).is_ok(), "{address}");
    }
    let told = Fixture::new("web:\n  listen_address: :7171\n").told();
    assert!(told.starts_with("g.yml:2:3: [::]:7171 can be reached") && told.contains("^^^^"), "{told}");
}

#[test]
fn a_file_that_is_named_must_be_readable() {
    let fixture = Fixture::new("");
    let folder = fixture.folder.path().display().to_string();
    for (path, reason) in
        [(format!("{folder}/none.yml"), "No such file or directory"), (folder.clone(), "it is a directory")]
    {
        let error =
            load(&Sources { flags: vec![("config.file".into(), path.clone())], env: vec![] }).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("{path}: cannot read the configuration: {reason}")), "{told}");
    }
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_refused() {
    let fixture = Fixture::new("");
    fs::write(fixture.path(), b"web:\n  # \xff\n").unwrap();
    assert!(fixture.told().starts_with("g.yml:2:5: not valid UTF-8"));
    fs::write(fixture.path(), "# x\n".repeat(300_000)).unwrap();
    assert!(fixture.told().contains("larger than 1 MiB"));
}

#[test]
fn a_reload_reads_the_file_anew_and_a_bad_one_changes_nothing() {
    let fixture = Fixture::new("web: {max_requests: 1}").flag("log.level", "warn");
    let first = fixture.load();
    fs::write(fixture.path(), "web: {max_requests: 2}").unwrap();
    let second = first.reload().unwrap();
    assert_eq!(second.config.server.max_requests, 2);
    assert_eq!(second.config.log.level, crate::log::Level::Warn, "the flag of the start still counts");
    fs::write(fixture.path(), "web: {max_requests: 3, max_req").unwrap();
    assert!(second.reload().is_err());
    assert_eq!(second.config.server.max_requests, 2);
}

#[test]
fn what_is_shown_loads_to_the_same_settings() {
    let loaded = Fixture::new(
        "collectors: {cpu: false, netdev: {device_exclude: \"^a'b[$${]\"}}\nlog: {level: debug}",
    )
    .flag("web.listen-address", "127.0.0.1:1")
    .flag("web.listen-address", "[::1]:2")
    .load();
    let mut again = Fixture::new(&show(&loaded.config, None)).load().config;
    // Shown are the values in force, also where they are the defaults.
    let mut config = loaded.config.clone();
    for setting in settings().iter().filter(|setting| setting.key.is_some()) {
        assert_eq!(setting.field.get(&mut again), setting.field.get(&mut config), "{}", setting.flag);
    }
}

#[test]
fn the_commented_default_is_valid_as_it_stands_and_with_every_comment_removed() {
    let text = commented_default();
    assert_eq!(Fixture::new(&text).load().origins.len(), 1, "only --config.file");
    let is_prose = |line: &str| line.trim_start().starts_with("# ") && !line.trim_start().starts_with("#  ");
    let uncommented: String = text
        .lines()
        .map(|line| if is_prose(line) { String::new() } else { line.replacen('#', "", 1) + "\n" })
        .collect();
    let loaded = Fixture::new(&uncommented).load();
    let in_file = settings().iter().filter(|setting| setting.key.is_some()).count();
    assert_eq!(loaded.origins.len(), in_file + section::parts().len() + 1, "{uncommented}");
}

#[test]
fn the_filter_of_the_log_only_refines_a_level_that_was_given() {
    let filter = |fixture: Fixture| fixture.load().config.log.filter;
    assert_eq!(filter(Fixture::new("").env("RUST_LOG", "debug")), "debug");
    assert_eq!(filter(Fixture::new("").env("RUST_LOG", "debug").env("GAUGECAST_LOG", "a=warn")), "a=warn");
    let given = Fixture::new("").env("GAUGECAST_LOG", "debug,a=warn").flag("log.level", "error");
    assert_eq!(filter(given), "a=warn");
    let told = Fixture::new("").env("GAUGECAST_LOG", "a=loud").told();
    assert!(told.starts_with("environment variable GAUGECAST_LOG: "), "{told}");
    assert_eq!(Fixture::new("").env("RUST_LOG", "a=loud").load().warnings.len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_file_panics(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "web", "global", "tick", "collectors", "cpu", "enabled", "listen_address", "external_url", ":", ": ", "\n",
        "\n  ", "\n    ", "- ", "[", "]", "{", "}", ", ", "'", "\"", "1s", "99999999999999999999", "${A", "${A}",
        "$", "&a ", "*a", "!t ", "# ", "http://[", "]:1", "[::", "\u{0}", "\u{feff}", "ä", "\t", "|", ">", "? ", "~",
    ]), 0..24)) {
        let fixture = Fixture::new(&pieces.concat());
        if let Err(errors) = load(&fixture.sources()) {
            proptest::prop_assert!(!errors.to_string().is_empty());
        }
    }
}

/// A table with one setting that is secret.
fn secret_table() -> Vec<Setting> {
    let mut setting = settings::by_flag("web.external-url").unwrap().clone();
    setting.secret = true;
    let strict = settings::by_flag("config.strict").unwrap().clone();
    vec![settings::by_flag("config.file").unwrap().clone(), strict, setting]
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_anyone_can_read_is_a_warning_or_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new("web: {external_url: https://a}");
    let load = |fixture: &Fixture| load_with(&secret_table(), &fixture.sources());
    let mode = |mode| fs::set_permissions(fixture.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let warnings = load(&fixture).unwrap().warnings;
    assert!(warnings[0].contains("holds a secret (web.external_url)") && warnings[0].contains("mode 0644"));
    mode(0o640);
    assert_eq!(load(&fixture).unwrap().warnings, [""; 0]);
    mode(0o644);
    let strict = fixture.flag("config.strict", "true");
    assert!(load(&strict).unwrap_err().to_string().contains("holds a secret"));
}

#[test]
fn what_is_written_for_debugging_holds_no_value_of_a_source() {
    let loaded = Fixture::new("").env("OTHER_TOKEN", "hunter2").flag("log.level", "warn").load();
    let written = format!("{:?}", loaded.sources);
    assert_eq!(written, r#"Sources { flags: ["config.file", "log.level"], .. }"#);
}

#[test]
fn a_secret_is_not_in_what_is_told_about_it() {
    let fixture = Fixture::new("").flag("web.external-url", "hunter2");
    let told = load_with(&secret_table(), &fixture.sources()).unwrap_err().to_string();
    assert_eq!(told, "--web.external-url=<secret>: the value is not valid");
}
