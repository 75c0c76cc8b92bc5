//! The command line.
//!
//! | command | what it does |
//! | --- | --- |
//! | `serve` | runs the exporter; also without any command |
//! | `check config [FILE]` | tells what is wrong with a configuration |
//! | `check ready`, `check healthy` | asks a running server, for container health checks |
//! | `config show [--origin]` | the configuration in force, and who set what |
//! | `config default`, `config schema` | a commented file; a JSON Schema for editors |
//! | `watch [URL] SELECTOR…` | live values of a server, on the terminal or for pipes |
//! | `baseline save`, `list`, `show`, `diff`, `trend`, `delete` | ranges of a running server, compared and judged |
//! | `token create`, `list`, `revoke` | the tokens that requests need |
//! | `loadtest` | loads a server of WebSockets or server-sent events, measures and judges it |
//! | `detect FILE…` | recorded rows through an anomaly detector |
//! | `rules check`, `rules test` | judges rule files, and runs their unit tests |
//! | `provision --out DIR` | writes the files of Prometheus, Grafana and others around it |
//! | `completions SHELL` | completions for a shell |
//! | `man` | the manual page |
//!
//! Exit codes: 0 success, 1 failure at run time, 2 wrong usage or configuration; `watch` adds 130 (stopped by
//! Ctrl-C), `loadtest` 98, 99 and 105, `rules check` 3.

mod baseline;
mod command;
mod detect;
mod format;
mod help;
mod http;
mod loadtest;
mod probe;
mod provision;
mod rules;
mod serve;
mod token;
mod version;
mod watch;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue};

use crate::config::{self, ConfigErrors, Loaded, Secret, Sources};

/// Wrong usage or configuration, as with Prometheus and clap.
const USAGE: u8 = 2;

/// Runs the program with the arguments given, the program's name first, and the environment of the process.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return refused(error),
    };
    let levels = levels(&matches);
    if levels.iter().any(|level| asked_for(level, "help-all")) {
        return print(&help::all());
    }
    let path: Vec<&str> = subcommands(&matches);
    let last = *levels.last().unwrap_or(&&matches);
    match path[..] {
        [] | ["serve"] => with_config(&levels, None, serve::run),
        ["check", "config"] => {
            let file = last.get_one::<PathBuf>("FILE");
            with_config(&levels, file, |loaded| check_config(&loaded))
        }
        ["check", what @ ("ready" | "healthy")] => {
            with_config(&levels, None, |loaded| check_server(&loaded, what))
        }
        ["config", "show"] => with_config(&levels, None, |loaded| {
            warn(&loaded);
            let origins = asked_for(last, "origin").then_some(&loaded.origins);
            print(&config::show(&loaded.config, origins))
        }),
        ["config", "default"] => print(&config::commented_default()),
        ["config", "schema"] => print(&format!("{:#}\n", config::schema())),
        ["config", "docs"] => print(&config::docs::markdown()),
        ["watch"] => watch::run(last),
        ["baseline", what] => baseline::run(what, last),
        ["detect"] => detect::run(last),
        ["token", what] => with_config(&levels, None, |loaded| token::run(what, last, &loaded.config)),
        ["loadtest"] => loadtest::run(last),
        ["rules", what] => rules::run(what, last),
        ["provision"] => provision::run(last),
        ["man"] => manual(),
        ["completions"] => match last.get_one::<clap_complete::Shell>("SHELL") {
            Some(shell) => {
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut command::command(), "gaugecast", &mut script);
                print(&String::from_utf8_lossy(&script))
            }
            None => ExitCode::from(USAGE),
        },
        // The commands are required where there are some, so clap has refused everything else.
        _ => ExitCode::from(USAGE),
    }
}

/// The manual page, for `man -l` and packages.
fn manual() -> ExitCode {
    let mut page = Vec::new();
    let command =
        command::command().version(crate::build::VERSION).display_name("gaugecast").about(help::WHAT);
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => print(&String::from_utf8_lossy(&page)),
        Err(error) => {
            tell(&format!("error: cannot write the manual page: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The matches of the program and of each command on the way, outermost first.
fn levels(matches: &ArgMatches) -> Vec<&ArgMatches> {
    std::iter::successors(Some(matches), |level| level.subcommand().map(|(_, inner)| inner)).collect()
}

fn subcommands(matches: &ArgMatches) -> Vec<&str> {
    let deeper = |level: &Option<(&str, &ArgMatches)>| level.is_some();
    std::iter::successors(Some(matches.subcommand()), |level| level.map(|(_, inner)| inner.subcommand()))
        .take_while(deeper)
        .flatten()
        .map(|(name, _)| name)
        .collect()
}

fn asked_for(level: &ArgMatches, flag: &str) -> bool {
    level.try_get_one::<bool>(flag).ok().flatten().is_some_and(|given| *given)
}

/// Loads the configuration and goes on with it, or tells what is wrong.
fn with_config(
    levels: &[&ArgMatches],
    file: Option<&PathBuf>,
    go_on: impl FnOnce(Loaded) -> ExitCode,
) -> ExitCode {
    let mut flags = command::flags(levels);
    if let Some(file) = file {
        flags.push(("config.file".into(), file.display().to_string()));
    }
    match config::load(&Sources { flags, env: std::env::vars_os().collect() }) {
        Ok(loaded) => go_on(loaded),
        Err(errors) => wrong_config(&errors),
    }
}

fn wrong_config(errors: &ConfigErrors) -> ExitCode {
    let count = match errors.0.len() {
        1 => "error: the configuration is not valid".to_owned(),
        n => format!("error: the configuration is not valid, for {n} reasons"),
    };
    tell(&format!("{errors}\n{count}\n"));
    ExitCode::from(USAGE)
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tell(&format!("warning: {warning}\n"));
    }
}

fn check_config(loaded: &Loaded) -> ExitCode {
    warn(loaded);
    print(&match &loaded.file {
        Some(file) => format!("{}: valid\n", file.display()),
        None => {
            format!("valid; there is no {} here, so only flags and environment count\n", config::DEFAULT_FILE)
        }
    })
}

fn check_server(loaded: &Loaded, what: &str) -> ExitCode {
    match probe::ask(&loaded.config.server, what) {
        Ok(answer) => print(&format!("{answer}\n")),
        Err(error) => {
            tell(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Tells why clap did not go on: help and version on stdout with 0, the rest on stderr with 2.
fn refused(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return print(&error.to_string());
    }
    let mut text = error.to_string();
    // An unknown collector: the list helps more than a guess.
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && flag.trim_start_matches("--no-").trim_start_matches("--").starts_with("collector.")
    {
        let names: Vec<&str> =
            crate::collect::catalog::all().iter().map(|collector| collector.name).collect();
        let list = help::wrapped(&format!("collectors: {}", names.join(" ")), 2, 4);
        text = text.replacen("\n\nUsage:", &format!("\n\n{list}\n\nUsage:"), 1);
    }
    tell(&text);
    ExitCode::from(USAGE)
}

/// Writes to stdout. A reader that has gone, as `head` does, is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: cannot write to stdout: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The token of `GAUGECAST_TOKEN`, for commands that ask a server. The environment of a process is shown to its user only, its
/// command line to everybody.
fn token_of_environment() -> Result<Option<Secret>, String> {
    match std::env::var("GAUGECAST_TOKEN") {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(Secret::new(text)))
        }
        Ok(text) if text.is_empty() => Ok(None),
        Err(std::env::VarError::NotPresent) => Ok(None),
        _ => Err("GAUGECAST_TOKEN holds no token".into()),
    }
}

/// Writes to stderr. When that fails there is nobody to tell.
fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
