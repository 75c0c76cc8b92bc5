//! `gaugecast rules`: rule files judged without a server.
//!
//! | command | what it does |
//! | --- | --- |
//! | `check FILE…` | tells everything that is wrong with rule files |
//! | `test FILE…` | runs unit tests in promtool's format |
//!
//! Exit codes: 0; 1 when a file is wrong or a test fails; 2 wrong usage; 3 when `--lint-fatal` found something.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::{USAGE, print, tell};
use crate::alert::ruletest::{self, Verdict, junit, lint};

/// What `--lint-fatal` ends with, as promtool does.
const LINT: u8 = 3;

/// The command as clap knows it.
pub(super) fn command() -> Command {
    let files = |help: &'static str| {
        Arg::new("FILE")
            .required(true)
            .num_args(1..)
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help(help)
    };
    Command::new("rules")
        .about("Check and test rule files")
        .override_usage("gaugecast rules COMMAND")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("check")
                .about("Tell everything that is wrong with rule files")
                .arg(files("Rule files"))
                .arg(
                    Arg::new("lint")
                        .long("lint")
                        .value_parser(PossibleValuesParser::new(["all", "duplicate-rules", "none"]))
                        .default_value("duplicate-rules")
                        .hide_possible_values(true)
                        .value_name("WHAT")
                        .help("What to warn of beside faults: all, duplicate-rules, none"),
                )
                .arg(
                    Arg::new("lint-fatal")
                        .long("lint-fatal")
                        .action(ArgAction::SetTrue)
                        .help("Exit with 3 when there are warnings"),
                )
                .after_help(
                    "Exit codes: 0; 1 when a file is wrong; 2 wrong usage; 3 warnings with --lint-fatal",
                ),
        )
        .subcommand(
            Command::new("test")
                .about("Run unit tests of rules, in promtool's format")
                .arg(files("Test files"))
                .arg(
                    Arg::new("run")
                        .long("run")
                        .value_name("REGEX")
                        .action(ArgAction::Append)
                        .help("Run the tests whose name this finds something in; may be given several times"),
                )
                .arg(
                    Arg::new("junit")
                        .long("junit")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Write the results as JUnit XML, too"),
                )
                .arg(
                    // What differs is always shown.
                    Arg::new("diff").long("diff").action(ArgAction::SetTrue).hide(true),
                )
                .after_help("Exit codes: 0; 1 when a test fails or cannot run; 2 wrong usage"),
        )
}

/// Runs a command.
pub(super) fn run(what: &str, flags: &ArgMatches) -> ExitCode {
    let files: Vec<PathBuf> = flags.get_many("FILE").into_iter().flatten().cloned().collect();
    match what {
        "check" => check(&files, flags),
        _ => test(&files, flags),
    }
}

fn check(paths: &[PathBuf], flags: &ArgMatches) -> ExitCode {
    let (mut out, mut faults, mut files) = (String::new(), String::new(), Vec::new());
    for path in paths {
        let (file, wrong) = ruletest::check(path);
        for fault in &wrong {
            let _ = writeln!(faults, "{fault}");
        }
        let Some(file) = file.filter(|_| wrong.is_empty()) else { continue };
        let count: usize = file.groups.iter().map(|group| group.rules.len()).sum();
        let _ = writeln!(out, "{}: {count} rules found", path.display());
        files.push(file);
    }
    let warnings = match flags.get_one::<String>("lint").map(String::as_str) {
        Some("none") => Vec::new(),
        _ => lint::duplicates(&files),
    };
    let printed = print(&out);
    for warning in &warnings {
        tell(&format!("warning: {warning}\n"));
    }
    if !faults.is_empty() {
        tell(&faults);
        return ExitCode::FAILURE;
    }
    if flags.get_flag("lint-fatal") && !warnings.is_empty() { ExitCode::from(LINT) } else { printed }
}

fn test(paths: &[PathBuf], flags: &ArgMatches) -> ExitCode {
    let mut only = Vec::new();
    for text in flags.get_many::<String>("run").into_iter().flatten() {
        match regex::Regex::new(text) {
            Ok(regex) => only.push(regex),
            Err(error) => {
                tell(&format!("error: --run: {error}\n"));
                return ExitCode::from(USAGE);
            }
        }
    }
    let (mut out, mut verdicts) = (String::new(), Vec::new());
    for path in paths {
        let verdict = ruletest::test(path, &only);
        write(&mut out, path, &verdict);
        verdicts.push((path.clone(), verdict));
    }
    let printed = print(&out);
    if let Some(path) = flags.get_one::<PathBuf>("junit")
        && let Err(error) = std::fs::write(path, junit::xml(&verdicts))
    {
        tell(&format!("error: {}: {error}\n", path.display()));
        return ExitCode::FAILURE;
    }
    if verdicts.iter().all(|(_, verdict)| verdict.passed()) { printed } else { ExitCode::FAILURE }
}

fn write(out: &mut String, path: &std::path::Path, verdict: &Verdict) {
    let word = if verdict.passed() { "passed" } else { "FAILED" };
    let _ = writeln!(out, "{}: {word}", path.display());
    for warning in &verdict.warnings {
        let _ = writeln!(out, "  warning: {warning}");
    }
    for error in &verdict.errors {
        let _ = writeln!(out, "  {}", error.replace('\n', "\n  "));
    }
    for test in &verdict.tests {
        let word = if test.failures.is_empty() { "ok    " } else { "FAILED" };
        let _ = writeln!(out, "  {word} {} ({} checks)", test.name, test.checks);
        for failure in &test.failures {
            let _ = writeln!(out, "    {}", failure.replace('\n', "\n    "));
        }
    }
}
