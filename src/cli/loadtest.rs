//! `gaugecast loadtest`: flags in, progress and reports out. Its flags are its own; settings do not count here.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::{USAGE, print, tell};
use crate::loadtest::client::Protocol;
use crate::loadtest::criteria::{Criterion, names};
use crate::loadtest::report::Report;
use crate::loadtest::scenario::{Kind, LONGEST, MOST_CONNECTIONS, PRESETS, Preset, Ramp};
use crate::loadtest::{Error, Event, Options, Url, render, run as run_test};

/// What our own server is asked for: its own figures, among them those of a synthetic source.
const SELECTOR: &str = r#"{__name__=~"gaugecast_.*"}"#;

/// How often a progress line is written where it cannot be rewritten.
const PLAIN_EVERY: u64 = 5;

/// The command with its flags.
pub(super) fn command() -> Command {
    let value = |name: &'static str, placeholder: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(placeholder).help(help)
    };
    let file = |name: &'static str, help: &'static str| {
        value(name, "FILE", help).value_parser(value_parser!(PathBuf)).value_hint(ValueHint::FilePath)
    };
    let words = |words: &[&'static str]| PossibleValuesParser::new(words.to_vec());
    let number = || value_parser!(u64).range(1..);
    Command::new("loadtest")
        .about("Load a WebSocket server with many connections, measure and judge it")
        .override_usage("gaugecast loadtest --url ws://HOST:PORT/PATH [FLAGS]")
        .after_help(
            "Exit codes: 0 all criteria hold, 99 one does not, 98 the generator was the bottleneck, \
             105 interrupted, 2 wrong usage.\nMeasures for --expect: docs/load-testing.md, or --list-measures.",
        )
        .arg(value("url", "URL", "Server to load").required_unless_present("list-measures"))
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
            value("phases", "NAME,…", "Phases after the ramp-up")
                .value_delimiter(',')
                .value_parser(words(&["broadcast", "stability", "recovery", "sustained"])),
        )
        .arg(
            value("cut", "PERCENT", "Share of the connections that the recovery phase cuts")
                .value_parser(value_parser!(u64).range(1..=100))
                .default_value("30"),
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
            "Field of JSON messages with the time of sending in Unix milliseconds, with --protocol any",
        ))
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
        .arg(file("markdown", "Write the report as Markdown"))
        .arg(file("junit", "Write the verdicts as JUnit XML"))
        .arg(file("baseline", "Earlier JSON report to compare with"))
        .arg(
            value("tolerance", "PERCENT", "How much worse than the baseline is no failure")
                .value_parser(value_parser!(f64))
                .default_value("20"),
        )
        .arg(value("i-own-this-target", "HOST", "Allow a target beyond this machine"))
        .arg(Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("No progress display"))
}

/// Runs the command.
pub(super) fn run(flags: &ArgMatches) -> ExitCode {
    if flags.get_flag("list-measures") {
        return print(&(names().join("\n") + "\n"));
    }
    let options = match options(flags) {
        Ok(options) => options,
        Err(wrong) => {
            wrong.iter().for_each(|line| tell(&format!("error: {line}\n")));
            return ExitCode::from(USAGE);
        }
    };
    let mut progress = Progress::new(flags.get_flag("quiet"));
    let report = match run_test(&options, |event| progress.show(event)) {
        Ok(report) => report,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            return match error {
                Error::Start(_) => ExitCode::FAILURE,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    print(&render::text(&report));
    write_files(flags, &report)
}

/// Writes what was asked for. A report that cannot be written is a failure, unless the verdict is one already.
fn write_files(flags: &ArgMatches, report: &Report) -> ExitCode {
    let mut code = report.exit_code;
    for (flag, render) in
        [("json", json as fn(&Report) -> String), ("markdown", render::markdown), ("junit", render::junit)]
    {
        let Some(path) = flags.get_one::<PathBuf>(flag) else { continue };
        if let Err(error) = std::fs::write(path, render(report)) {
            tell(&format!("error: cannot write {}: {error}\n", path.display()));
            code = code.max(1);
        }
    }
    ExitCode::from(code)
}

fn json(report: &Report) -> String {
    let text = serde_json::to_string_pretty(report).expect("a report has nothing that JSON has not");
    text + "\n"
}

/// The options, or everything that is wrong with the flags.
fn options(flags: &ArgMatches) -> Result<Options, Vec<String>> {
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

    let mut url = |text: Option<String>, scheme| {
        text.and_then(|text| Url::parse(&text, scheme).map_err(|error| wrong.push(error)).ok())
    };
    let target = url(text("url"), "ws");
    let server_metrics = url(text("server-metrics"), "http");
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
            time_field: text("time-field"),
        },
        _ => {
            for name in ["subprotocol", "send", "time-field"].iter().filter(|name| flags.contains_id(name)) {
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
    let mut baseline = None;
    if let Some(path) = flags.get_one::<PathBuf>("baseline") {
        match std::fs::read_to_string(path) {
            Ok(text) => baseline = Some((text, percent("tolerance"))),
            Err(error) => wrong.push(format!("cannot read {}: {error}", path.display())),
        }
    }
    for flag in ["json", "markdown", "junit"] {
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
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match target {
        Some(target) if wrong.is_empty() => Ok(Options {
            url: target,
            protocol,
            preset: preset.name.to_owned(),
            connections: usize::try_from(connections).unwrap_or(MOST_CONNECTIONS),
            rate: rate_wanted,
            judge_rate: rate.is_some() || preset.name != "smoke",
            duration: length,
            ramp: if text("ramp").as_deref() == Some("ladder") { Ramp::Ladder } else { Ramp::Linear },
            kinds,
            cut_percent: flags.get_one::<u64>("cut").map_or(30, |cut| usize::try_from(*cut).unwrap_or(100)),
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

/// The display on stderr: one line, rewritten, on a terminal; else a line now and then.
struct Progress {
    quiet: bool,
    in_place: bool,
    looks: u64,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        Self { quiet, in_place: std::io::stderr().is_terminal(), looks: 0 }
    }

    fn show(&mut self, event: &Event<'_>) {
        if self.quiet {
            return;
        }
        let clear = if self.in_place { "\r\x1b[K" } else { "" };
        match event {
            Event::Looking { phase, elapsed, total, live, planned, messages, errors } => {
                let line = format!(
                    "{:.0}/{:.0} s  {phase}: {live}/{planned} live, {messages} messages, {errors} errors",
                    elapsed.as_secs_f64(),
                    total.as_secs_f64()
                );
                self.looks += 1;
                if self.in_place {
                    tell(&format!("{clear}{line}"));
                    let _ = std::io::stderr().flush();
                } else if self.looks.is_multiple_of(PLAIN_EVERY) {
                    tell(&format!("{line}\n"));
                }
            }
            Event::Finished(phase) => tell(&format!("{clear}{}: {}\n", phase.name, phase.verdict.name())),
        }
    }
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
            "--json",
            "/nowhere/at/all",
        ])
        .unwrap_err();
        for part in
            ["--connections", "--duration", "--rate", "speed", "--send", "--ping-interval", "no folder"]
        {
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
