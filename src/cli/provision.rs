//! `gaugecast provision`: the files around gaugecast, written with the user's address, labels and thresholds.
//!
//! Exit codes: 0; 1 when a file cannot be written, or is somebody else's; 2 wrong usage.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::{USAGE, print, tell};
use crate::provision::write::{Outcome, write};
use crate::provision::{Options, Part, files};

/// The command as clap knows it.
pub(super) fn command() -> Command {
    let default = Options::default();
    let parts: Vec<&str> = Part::all().into_iter().map(Part::name).collect();
    Command::new("provision")
        .about("Write configuration, rules, dashboards for the programs around it")
        .override_usage("gaugecast provision --out DIR [--only PART,…] [FLAGS]")
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath)
                .help("Where to write; made if it is not there"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("PART")
                .action(ArgAction::Append)
                .value_delimiter(',')
                .value_parser(PossibleValuesParser::new(parts.clone()))
                .hide_possible_values(true)
                .help(format!("Only these parts: {}", parts.join(", "))),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .default_value(default.host)
                .help("Name or address at which others reach gaugecast"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .default_value(default.port.to_string())
                .value_parser(value_parser!(u16))
                .help("Port on which gaugecast listens"),
        )
        .arg(
            Arg::new("job")
                .long("job")
                .value_name("NAME")
                .default_value(default.job)
                .help("Job under which Prometheus scrapes it"),
        )
        .arg(
            Arg::new("label")
                .long("label")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("A label that Prometheus adds to its series; may be given several times"),
        )
        .arg(
            Arg::new("threshold")
                .long("threshold")
                .value_name("ALERT=NUMBER")
                .action(ArgAction::Append)
                .help("Another threshold of an alert or of one level (HighLatency.critical=0.8)"),
        )
        .arg(
            Arg::new("runbooks")
                .long("runbooks")
                .value_name("URL")
                .help("Where links to runbooks lead [default: http://HOST:PORT/runbooks]"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Overwrite files that somebody else wrote or changed"),
        )
        .after_help("Exit codes: 0; 1 when a file cannot be written or is somebody else's; 2 wrong usage")
}

/// Runs the command.
pub(super) fn run(flags: &ArgMatches) -> ExitCode {
    let set =
        options(flags).and_then(|options| files(&parts(flags), &options).map_err(|error| error.to_string()));
    let files = match set {
        Ok(files) => files,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let Some(out) = flags.get_one::<PathBuf>("out") else { return ExitCode::from(USAGE) };
    match write(out, &files, flags.get_flag("force")) {
        Ok(outcomes) => {
            print(&files.iter().zip(outcomes).fold(String::new(), |mut text, (file, outcome)| {
                let word = match outcome {
                    Outcome::Written => "written  ",
                    Outcome::Unchanged => "unchanged",
                };
                let _ = writeln!(text, "{word} {}", out.join(&file.path).display());
                text
            }))
        }
        Err(error) => {
            tell(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn parts(flags: &ArgMatches) -> Vec<Part> {
    let only: Vec<&str> =
        flags.get_many::<String>("only").into_iter().flatten().map(String::as_str).collect();
    Part::all().into_iter().filter(|part| only.is_empty() || only.contains(&part.name())).collect()
}

fn options(flags: &ArgMatches) -> Result<Options, String> {
    let mut options = Options::default();
    let text = |id| flags.get_one::<String>(id).cloned();
    options.host = text("host").unwrap_or(options.host);
    options.job = text("job").unwrap_or(options.job);
    options.runbooks = text("runbooks");
    options.port = flags.get_one::<u16>("port").copied().unwrap_or(options.port);
    for (name, value) in pairs(flags, "label")? {
        options.labels.insert(name, value);
    }
    for (alert, number) in pairs(flags, "threshold")? {
        let number: f64 =
            number.parse().map_err(|_| format!("--threshold {alert}: {number:?} is no number"))?;
        options.thresholds.insert(alert, number);
    }
    Ok(options)
}

fn pairs(flags: &ArgMatches, id: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("--{id} {text:?}: a name, = and a value are wanted")),
    };
    flags.get_many::<String>(id).into_iter().flatten().map(pair).collect()
}
