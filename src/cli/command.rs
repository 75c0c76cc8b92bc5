//! The commands and flags as clap knows them, made from the table of settings.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::{baseline, detect, help, loadtest, provision, rules, token, version};
use crate::config::Field;
use crate::config::settings::{Setting, default_of, settings};

/// The whole command line.
pub(super) fn command() -> Command {
    let help_all = || {
        Arg::new("help-all")
            .long("help-all")
            .action(ArgAction::SetTrue)
            .help("Every flag with its environment variable")
    };
    with_settings(Command::new("gaugecast"))
        .about(help::WHAT)
        .arg(help_all())
        // clap writes the display name, a space and the version: `gaugecast, version 0.1.0 (branch: …`.
        .display_name("gaugecast,")
        .version(version::text())
        .override_usage("gaugecast [COMMAND] [FLAGS]")
        .override_help(help::serve(true))
        .subcommand(
            with_settings(Command::new("serve"))
                .about("Run the exporter (also without a command)")
                .arg(help_all())
                .override_usage("gaugecast serve [FLAGS]")
                .override_help(help::serve(false)),
        )
        .subcommand(
            Command::new("check")
                .about("Check a configuration, or a running server")
                .override_usage("gaugecast check COMMAND")
                .subcommand_required(true)
                .disable_help_subcommand(true)
                .subcommand(leaf(
                    "config",
                    "Tell everything that is wrong with a configuration",
                    "gaugecast check config [FILE] [FLAGS]",
                    vec![
                        Arg::new("FILE")
                            .value_parser(value_parser!(PathBuf))
                            .value_hint(ValueHint::FilePath)
                            .help("File to check instead of --config.file"),
                    ],
                ))
                .subcommand(leaf(
                    "ready",
                    "Ask the server of this configuration whether it takes requests",
                    "gaugecast check ready [FLAGS]",
                    Vec::new(),
                ))
                .subcommand(leaf(
                    "healthy",
                    "Ask the server of this configuration whether it runs",
                    "gaugecast check healthy [FLAGS]",
                    Vec::new(),
                )),
        )
        .subcommand(
            Command::new("config")
                .about("Show the configuration: in force, default, schema")
                .override_usage("gaugecast config COMMAND")
                .subcommand_required(true)
                .disable_help_subcommand(true)
                .subcommand(leaf(
                    "show",
                    "Print the configuration in force as YAML",
                    "gaugecast config show [--origin] [FLAGS]",
                    vec![
                        Arg::new("origin")
                            .long("origin")
                            .action(ArgAction::SetTrue)
                            .help("Tell who set each value: flag, variable, line of the file, default"),
                    ],
                ))
                .subcommand(Command::new("default").about("Print a commented file with every default"))
                .subcommand(Command::new("schema").about("Print a JSON Schema of the file, for editors"))
                .subcommand(Command::new("docs").about("Print docs/configuration.md").hide(true)),
        )
        .subcommand(super::watch::command())
        .subcommand(baseline::command())
        .subcommand(detect::command())
        .subcommand(token::command(leaf))
        .subcommand(loadtest::command())
        .subcommand(rules::command())
        .subcommand(provision::command())
        .subcommand(Command::new("man").about("Print the manual page"))
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell")
                .arg(
                    Arg::new("SHELL")
                        .required(true)
                        .value_parser(value_parser!(clap_complete::Shell))
                        .help("The shell"),
                )
                .after_help(
                    "Bash: gaugecast completions bash > ~/.local/share/bash-completion/completions/gaugecast",
                ),
        )
}

/// A command that loads the configuration: it takes every setting, but its help shows only its own argument.
fn leaf(name: &'static str, about: &'static str, usage: &'static str, own: Vec<Arg>) -> Command {
    let command = with_settings(Command::new(name)).about(about).override_usage(usage).after_help(
        "All flags of `gaugecast serve` can be given too, and the environment and the file count: gaugecast --help",
    );
    command.args(own).mut_args(|arg| {
        let setting = settings().iter().any(|s| arg.get_id() == s.flag.as_str());
        if setting { arg.hide(true) } else { arg }
    })
}

/// Adds every setting as a flag.
fn with_settings(command: Command) -> Command {
    settings().iter().fold(command, |command, setting| {
        let command = command.arg(flag(setting));
        if setting.field.is_bool() { command.arg(no_flag(setting)) } else { command }
    })
}

fn no_id(setting: &Setting) -> String {
    format!("no-{}", setting.flag)
}

fn flag(setting: &Setting) -> Arg {
    let arg = Arg::new(setting.flag.clone())
        .long(setting.flag.clone())
        .help(setting.help.clone())
        // For the manual page; completions take the short one.
        .long_help(long_help(setting))
        .value_name(setting.placeholder())
        .action(if setting.field.is_list() { ArgAction::Append } else { ArgAction::Set });
    match &setting.field {
        Field::Bool(_) | Field::Switch(..) => arg
            .value_parser(PossibleValuesParser::new(["true", "false"]))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            // Of `--x --no-x` the last counts, so that a wrapper's flag can be turned round.
            .overrides_with(no_id(setting)),
        Field::Choice { words, .. } => arg.value_parser(PossibleValuesParser::new(*words)),
        Field::Path(_) | Field::OptionalPath(_) | Field::Paths(_) => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    }
}

fn long_help(setting: &Setting) -> String {
    let default = match default_of(setting).line() {
        empty if empty.is_empty() => "none".into(),
        shown => shown,
    };
    format!("{}. Default: {default}. Environment: {}", setting.help, setting.env())
}

/// The `--no-` form of a boolean, as kingpin has it.
fn no_flag(setting: &Setting) -> Arg {
    Arg::new(no_id(setting))
        .long(no_id(setting))
        .action(ArgAction::SetTrue)
        .overrides_with(setting.flag.clone())
        .help(format!("{}: no", setting.help))
        .hide(true)
}

/// The settings that were given as flags, with their values. A flag before a command and after it is the same.
pub(super) fn flags(levels: &[&ArgMatches]) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    for level in levels {
        for setting in settings() {
            if let Ok(Some(values)) = level.try_get_many::<String>(&setting.flag) {
                flags.extend(values.map(|value| (setting.flag.clone(), value.clone())));
            }
            if super::asked_for(level, &no_id(setting)) {
                flags.push((setting.flag.clone(), "false".into()));
            }
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &[&str]) -> Vec<(String, String)> {
        let matches = command().try_get_matches_from(args).unwrap();
        flags(&super::super::levels(&matches))
    }

    #[test]
    fn clap_finds_the_commands_consistent() {
        command().debug_assert();
    }

    #[test]
    fn booleans_are_taken_in_all_three_forms_and_the_last_counts() {
        for (args, value) in [
            (&["g", "--collector.cpu"][..], "true"),
            (&["g", "--collector.cpu=false"], "false"),
            (&["g", "--no-collector.cpu"], "false"),
            (&["g", "--collector.cpu", "--no-collector.cpu"], "false"),
            (&["g", "--no-collector.cpu", "--collector.cpu"], "true"),
        ] {
            assert_eq!(given(args), [("collector.cpu".into(), value.into())], "{args:?}");
        }
    }

    #[test]
    fn flags_before_and_after_the_command_add_up() {
        assert_eq!(
            given(&["g", "--web.allowed-host=a", "config", "show", "--web.allowed-host", "b"]),
            [("web.allowed-host".into(), "a".into()), ("web.allowed-host".into(), "b".into())]
        );
    }
}
