//! The flags of `gaugecast loadtest`, and the [`Options`] they make.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use crate::loadtest::connect::{Payload, Protocol};
use crate::loadtest::criteria::Criterion;
use crate::loadtest::scenario::{Kind, LONGEST, MONITOR, MOST_CONNECTIONS, PRESETS, Preset, Ramp};
use crate::loadtest::url::Transport;
use crate::loadtest::{Disturb, Options, Url};
use crate::tls::Trust;

/// What our own server is asked for: a few of its own figures, among them when each tick was due, and those of a
/// synthetic source.
const SELECTOR: &str = r#"{__name__=~"gaugecast_(synthetic_.*|tick.*)"}"#;

/// Share of the connections that the recovery phase cuts, in percent.
const KILL: usize = 20;

/// The flags that name files to write, by what each is.
pub(super) const FILES: [&str; 4] = ["json", "csv", "markdown", "junit"];

/// The command with its flags.
pub(in crate::cli) fn command() -> Command {
    let value = |name: &'static str, placeholder: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(placeholder).help(help)
    };
    let file = |name: &'static str, help: &'static str| {
        value(name, "FILE", help).value_parser(value_parser!(PathBuf)).value_hint(ValueHint::FilePath)
    };
    let words = |words: &[&'static str]| PossibleValuesParser::new(words.to_vec());
    let number = || value_parser!(u64).range(1..);
    Command::new("loadtest")
        .about("Load a server of WebSockets or server-sent events, measure and judge it")
        .override_usage("gaugecast loadtest --url ws://HOST:PORT/PATH [FLAGS]\n       gaugecast loadtest --serve [FLAGS]")
        .after_help(
            "Exit codes: 0 all criteria hold, 99 one does not, 98 the generator was the bottleneck, \
             105 interrupted, 2 wrong usage.\nMeasures for --expect: docs/load-testing.md, or --list-measures.\n\
             A token, if the server asks for one, is taken from the environment: GAUGECAST_TOKEN.",
        )
        .arg(
            value("url", "URL", "Server to load: ws, wss (WebSocket), http, https (server-sent events); without a path, our stream")
                .required_unless_present_any(["list-measures", "serve"]),
        )
        .arg(
            Arg::new("serve")
                .long("serve")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["url", "server-pid", "server-metrics"])
                .help("Start a server in a process of its own, with synthetic series at the rate asked for, and load that"),
        )
        .arg(
            value("preset", "NAME", "Connections, broadcasts a second and length to start from")
                .value_parser(words(&PRESETS.map(|preset| preset.name)))
                .default_value("smoke"),
        )
        .arg(value("connections", "N", "Connections to hold").value_parser(number()))
        .arg(value("rate", "N", "Broadcasts a second to ask for").value_parser(value_parser!(f64)))
        .arg(value("duration", "DURATION", "Length of the whole test"))
        .arg(
            value("ramp", "HOW", "Open connections evenly, or in steps of 10, 25, 50, 75 and 100 %")
                .value_parser(words(&["linear", "ladder"]))
                .default_value("linear"),
        )
        .arg(
            value("ramp-rate", "N", "Open so many connections a second")
                .value_parser(value_parser!(f64))
                .conflicts_with("ramp"),
        )
        .arg(
            value("phases", "NAME,…", "Phases after the ramp-up")
                .value_delimiter(',')
                .value_parser(words(&["broadcast", "stability", "recovery", "sustained"])),
        )
        .arg(value("kill", "PERCENT", "Share of the connections that the recovery phase cuts [default: 20%]"))
        .arg(
            value("restart-command", "COMMAND", "In the recovery phase, start the server anew by this command for the shell")
                .conflicts_with("kill"),
        )
        .arg(
            value("cycles", "N", "Run the whole test so often, each time with new connections; 0 is until a signal ends it [default: 1, of monitor 0]")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            Arg::new("fail-fast")
                .long("fail-fast")
                .action(ArgAction::SetTrue)
                .help("End after the first phase that fails"),
        )
        .arg(
            value("protocol", "NAME", "What the server speaks: our stream, or anything")
                .value_parser(words(&["gaugecast", "any"]))
                .default_value("gaugecast"),
        )
        .arg(
            value("match", "SELECTOR", "Series to subscribe to; repeatable")
                .action(ArgAction::Append)
                .default_value(SELECTOR),
        )
        .arg(value("subprotocol", "NAME", "Subprotocol to ask for, with --protocol any"))
        .arg(value("send", "TEXT", "Text to send once a connection is open, with --protocol any"))
        .arg(value(
            "time-field",
            "NAME",
            "Field of JSON messages with the Unix time of sending, with --protocol any",
        ))
        .arg(
            value("time-unit", "UNIT", "Unit of --time-field")
                .value_parser(words(&["s", "ms", "us", "ns"]))
                .default_value("ms"),
        )
        .arg(value(
            "sequence-field",
            "NAME",
            "Field of JSON messages with a number that is one higher with every broadcast, with --protocol any",
        ))
        .arg(file("tls.ca-file", "Certificate authorities in PEM, in place of the system's"))
        .arg(
            Arg::new("tls.insecure-skip-verify")
                .long("tls.insecure-skip-verify")
                .action(ArgAction::SetTrue)
                .help("Believe any certificate"),
        )
        .arg(value("expect", "CRITERION", "What must hold, as delivery.p95<50ms; repeatable").action(ArgAction::Append))
        .arg(
            Arg::new("list-measures")
                .long("list-measures")
                .action(ArgAction::SetTrue)
                .help("Print the names that --expect knows"),
        )
        .arg(value("server-pid", "PID", "Process of the server, for its CPU and memory").value_parser(value_parser!(u32)))
        .arg(value("server-metrics", "URL", "The server's /metrics, for the same").conflicts_with("server-pid"))
        .arg(value("ping-interval", "DURATION", "Time between pings of a connection").default_value("5s"))
        .arg(value("connect-timeout", "DURATION", "How long opening a connection may take").default_value("10s"))
        .arg(
            value("workers", "N", "Threads that hold the connections")
                .value_parser(value_parser!(u64).range(1..=64)),
        )
        .arg(value("max-timer-slip", "DURATION", "Lateness of timers that makes the test inconclusive").default_value("10ms"))
        .arg(
            value("max-generator-cpu", "PERCENT", "CPU of the generator that makes the test inconclusive")
                .value_parser(value_parser!(f64))
                .default_value("80"),
        )
        .arg(file("json", "Write the report as JSON, by docs/loadtest.schema.json"))
        .arg(file("csv", "Write all measures as CSV"))
        .arg(file("markdown", "Write the report as Markdown"))
        .arg(file("junit", "Write the verdicts as JUnit XML"))
        .arg(file("baseline", "Earlier JSON report to compare with"))
        .arg(
            value("tolerance", "PERCENT", "How much worse than the baseline is no failure")
                .value_parser(value_parser!(f64))
                .default_value("20"),
        )
        .arg(value("i-own-this-target", "HOST", "Allow a target beyond this machine"))
        .arg(
            value("web.listen-address", "ADDRESS", "Publish the figures here while the test runs: page, /metrics, stream")
                .value_parser(value_parser!(std::net::SocketAddr)),
        )
        .arg(Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("No progress display"))
}

/// The options, or everything that is wrong with the flags.
///
/// Of `--serve` the URL is that of a server which is yet to be started; see [`super::server`].
pub(super) fn options(flags: &ArgMatches) -> Result<Options, Vec<String>> {
    let mut wrong = Vec::new();
    let text = |name: &str| flags.get_one::<String>(name).cloned();
    let named = text("preset").unwrap_or_default();
    let preset: &Preset = PRESETS.iter().find(|preset| preset.name == named).unwrap_or(&PRESETS[0]);
    let mut check = |wrong_if: bool, message: String| {
        if wrong_if {
            wrong.push(message);
        }
    };

    let connections = flags.get_one::<u64>("connections").map_or(preset.connections as u64, |n| *n);
    check(connections > MOST_CONNECTIONS as u64, format!("--connections is at most {MOST_CONNECTIONS}"));
    let rate = flags.get_one::<f64>("rate").copied();
    check(rate.is_some_and(|rate| !(0.001..=1000.0).contains(&rate)), "--rate is 0.001 to 1000".into());
    let percent = |name: &str| flags.get_one::<f64>(name).copied().unwrap_or_default();
    for name in ["max-generator-cpu", "tolerance"] {
        check(!(0.0..=1e6).contains(&percent(name)), format!("--{name} is a share in percent"));
    }
    let mut duration = |name: &str, default: Duration, most: Duration| match text(name).map(|t| duration(&t))
    {
        None => default,
        Some(Some(found)) if found <= most && !found.is_zero() => found,
        Some(_) => {
            check(
                true,
                format!("--{name} is a duration, such as 500ms, 10s, 5m, of at most {}s", most.as_secs()),
            );
            default
        }
    };
    let length = duration("duration", preset.duration, LONGEST);
    let minute = Duration::from_secs(60);
    let ping_interval = duration("ping-interval", minute, LONGEST);
    let connect_timeout = duration("connect-timeout", minute, minute * 5);
    let max_timer_slip = duration("max-timer-slip", minute, LONGEST);

    let ramp_rate = flags.get_one::<f64>("ramp-rate").copied();
    let ramp_seconds = ramp_rate.map_or(0.0, |rate| connections as f64 / rate);
    check(
        ramp_rate.is_some_and(|rate| !(0.1..=1e6).contains(&rate))
            || ramp_seconds * 1.25 >= length.as_secs_f64(),
        "--ramp-rate is 0.1 to 1000000, and leaves some of --duration for the rest of the test".into(),
    );
    let cycles = flags.get_one("cycles").copied().unwrap_or(u64::from(preset.name != MONITOR));
    let whole = length.as_secs_f64() * cycles as f64;
    check(whole > LONGEST.as_secs_f64(), "--cycles times --duration is at most 24h".into());
    let kill = text("kill").map(|text| text.trim_end_matches('%').parse::<usize>().unwrap_or(0));
    check(kill.is_some_and(|kill| !(1..=100).contains(&kill)), "--kill is 1% to 100%".into());
    let mut url = |text: Option<String>| {
        text.and_then(|text| Url::parse(&text).map_err(|error| wrong.push(error)).ok())
    };
    let place = flags.get_flag("serve").then(|| "ws://127.0.0.1".to_owned());
    let target = url(text("url").or(place));
    let server_metrics = url(text("server-metrics"));
    if server_metrics.as_ref().is_some_and(|url| url.transport == Transport::WebSocket) {
        wrong.push("--server-metrics begins with http:// or https://".into());
    }
    let mut criteria = Vec::new();
    for expectation in flags.get_many::<String>("expect").into_iter().flatten() {
        match Criterion::parse(expectation) {
            Ok(criterion) => criteria.push(criterion),
            Err(error) => wrong.push(format!("--expect: {error}")),
        }
    }
    let rate_wanted = rate.unwrap_or(preset.rate);
    let protocol = match text("protocol").as_deref() {
        Some("any") => Protocol::Any {
            subprotocol: text("subprotocol"),
            send: text("send"),
            payload: Payload {
                time_field: text("time-field"),
                time_unit_us: match text("time-unit").as_deref() {
                    Some("s") => 1e6,
                    Some("us") => 1.0,
                    Some("ns") => 1e-3,
                    _ => 1e3,
                },
                sequence_field: text("sequence-field"),
            },
        },
        _ => {
            for name in ["subprotocol", "send", "time-field", "sequence-field"]
                .iter()
                .filter(|name| flags.contains_id(name))
            {
                wrong.push(format!("--{name} goes with --protocol any"));
            }
            Protocol::Gaugecast {
                selectors: flags.get_many("match").into_iter().flatten().cloned().collect(),
                interval_ms: (1000.0 / rate_wanted).round().clamp(1.0, 3_600_000.0) as u64,
            }
        }
    };
    for (flag, most) in [("send", 60_000), ("subprotocol", 200)] {
        if text(flag).is_some_and(|text| text.len() > most || (flag == "subprotocol" && !is_token(&text))) {
            wrong.push(format!("--{flag} is too long, or has characters that cannot be sent"));
        }
    }
    let is_sse = target.as_ref().is_some_and(|url| url.transport == Transport::Sse);
    for flag in ["send", "subprotocol"].iter().filter(|flag| is_sse && flags.contains_id(flag)) {
        wrong.push(format!("--{flag} goes with WebSockets"));
    }
    let mut baseline = None;
    if let Some(path) = flags.get_one::<PathBuf>("baseline") {
        match std::fs::read_to_string(path) {
            Ok(text) => baseline = Some((text, percent("tolerance"))),
            Err(error) => wrong.push(format!("cannot read {}: {error}", path.display())),
        }
    }
    for flag in FILES {
        let folder = flags.get_one::<PathBuf>(flag).and_then(|path| path.parent());
        if let Some(folder) = folder.filter(|folder| **folder != *Path::new("") && !folder.is_dir()) {
            wrong.push(format!("--{flag}: {} is no folder", folder.display()));
        }
    }
    let kinds: Vec<Kind> = match flags.get_many::<String>("phases") {
        None => Kind::ALL.to_vec(),
        Some(names) => {
            let names: Vec<&String> = names.collect();
            Kind::ALL.into_iter().filter(|kind| names.iter().any(|name| *name == kind.name())).collect()
        }
    };
    let token = super::super::token_of_environment().unwrap_or_else(|why| {
        wrong.push(why);
        None
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match target {
        Some(target) if wrong.is_empty() => Ok(Options {
            url: target,
            trust: Trust {
                ca_file: flags.get_one("tls.ca-file").cloned(),
                insecure_skip_verify: flags.get_flag("tls.insecure-skip-verify"),
                ..Trust::default()
            },
            protocol,
            token,
            preset: preset.name.to_owned(),
            connections: usize::try_from(connections).unwrap_or(MOST_CONNECTIONS),
            rate: rate_wanted,
            judge_rate: rate.is_some() || !matches!(preset.name, "smoke" | MONITOR),
            duration: length,
            ramp: match (ramp_rate, text("ramp").as_deref()) {
                (Some(rate), _) => Ramp::Rate(rate),
                (None, Some("ladder")) => Ramp::Ladder,
                (None, _) => Ramp::Linear,
            },
            kinds,
            disturb: text("restart-command").map_or(Disturb::Kill(kill.unwrap_or(KILL)), Disturb::Restart),
            cycles,
            fail_fast: flags.get_flag("fail-fast"),
            // Half of the machine, since the other half is for the server where that is here too.
            workers: flags
                .get_one::<u64>("workers")
                .map_or((cores / 2).clamp(1, 4), |n| usize::try_from(*n).unwrap_or(1)),
            connect_timeout,
            ping_interval,
            criteria,
            server_pid: flags.get_one::<u32>("server-pid").copied(),
            server_metrics,
            own_target: text("i-own-this-target"),
            max_timer_slip,
            max_generator_cpu: percent("max-generator-cpu"),
            baseline,
        }),
        _ => Err(wrong),
    }
}

/// A number with `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..split].parse().ok()?;
    let seconds = match &text[split..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// A token of RFC 9110, as subprotocols are.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Result<Options, Vec<String>> {
        let all = ["loadtest", "--url", "ws://127.0.0.1:1/"].iter().chain(args);
        options(&command().try_get_matches_from(all).unwrap())
    }

    #[test]
    fn a_preset_is_where_other_flags_start_from() {
        let options = of(&["--preset", "heavy", "--connections", "7"]).unwrap();
        assert_eq!((options.connections, options.rate, options.duration.as_secs()), (7, 500.0, 300));
        assert!(matches!(options.protocol, Protocol::Gaugecast { interval_ms: 2, .. }));
        assert!(options.judge_rate && !of(&[]).unwrap().judge_rate);
    }

    #[test]
    fn the_monitor_goes_on_and_everything_else_ends() {
        assert_eq!((of(&["--preset", "monitor"]).unwrap().cycles, of(&[]).unwrap().cycles), (0, 1));
        assert_eq!(of(&["--preset", "monitor", "--cycles", "3"]).unwrap().cycles, 3);
        assert!(of(&["--cycles", "10000"]).unwrap_err()[0].contains("24h"));
    }

    #[test]
    fn the_recovery_phase_cuts_a_share_or_runs_a_command() {
        let disturb = |args: &[&str]| of(args).unwrap().disturb;
        assert_eq!(disturb(&[]), Disturb::Kill(20));
        assert_eq!(disturb(&["--kill", "35%"]), Disturb::Kill(35));
        assert_eq!(disturb(&["--kill", "7"]), Disturb::Kill(7));
        assert_eq!(disturb(&["--restart-command", "true"]), Disturb::Restart("true".into()));
        assert!(["0", "101", "x"].iter().all(|kill| of(&["--kill", kill]).is_err()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_load_is_bounded() {
        let wrong = of(&[
            "--connections",
            "100001",
            "--duration",
            "25h",
            "--rate",
            "0",
            "--expect",
            "speed<1",
            "--send",
            "x",
            "--ping-interval",
            "0s",
            "--ramp-rate",
            "0",
            "--server-metrics",
            "ws://127.0.0.1/",
            "--json",
            "/nowhere/at/all",
        ])
        .unwrap_err();
        for part in [
            "--connections",
            "--duration",
            "--rate",
            "speed",
            "--send",
            "--ping-interval",
            "--ramp-rate",
            "--server-metrics",
            "no folder",
        ] {
            assert!(wrong.iter().any(|line| line.contains(part)), "{part}: {wrong:?}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert!(["", "5", "s", "1d", "-1s", "1e9h"].iter().all(|text| duration(text).is_none()));
    }
}
