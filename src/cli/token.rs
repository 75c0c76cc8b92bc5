//! `gaugecast token`: makes, lists and takes away the tokens of `--web.token-file`.
//!
//! A token is printed once, alone on stdout, so that it can go into a file or a secret store by a pipe; what else there is to say
//! goes to stderr. A running server sees the change within a second.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{USAGE, asked_for, print, tell};
use crate::clock::unix_ms;
use crate::config::Config;
use crate::config::units::parse_duration;
use crate::log::timestamp;
use crate::server::auth::Scope;
use crate::server::auth::file::{Entry, FileError, TokenFile};

/// The commands; `leaf` makes one that takes the settings too.
pub(super) fn command(
    leaf: impl Fn(&'static str, &'static str, &'static str, Vec<Arg>) -> Command,
) -> Command {
    let name = || Arg::new("NAME").required(true).help("Names it in lists and in the audit log");
    Command::new("token")
        .about("Make, list and revoke the tokens that requests need")
        .override_usage("gaugecast token COMMAND")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(leaf(
            "create",
            "Make a token and print it, this once",
            "gaugecast token create NAME --scope SCOPE… [--expires DURATION] --web.token-file FILE",
            vec![
                name(),
                Arg::new("scope")
                    .long("scope")
                    .value_name("SCOPE")
                    .required(true)
                    .action(ArgAction::Append)
                    .value_delimiter(',')
                    .value_parser(value_parser!(Scope))
                    .help("read, stream, push, alerts:write or admin (all); repeatable"),
                Arg::new("expires")
                    .long("expires")
                    .value_name("DURATION")
                    .value_parser(parse_duration)
                    .help("How long it is good, such as 90d; for ever without"),
            ],
        ))
        .subcommand(leaf(
            "list",
            "List the tokens: what they may, until when, last use",
            "gaugecast token list [--json] --web.token-file FILE",
            vec![Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON")],
        ))
        .subcommand(leaf(
            "revoke",
            "Take a token away",
            "gaugecast token revoke NAME --web.token-file FILE",
            vec![name()],
        ))
}

/// Runs one of them.
pub(super) fn run(what: &str, matches: &ArgMatches, config: &Config) -> ExitCode {
    let Some(path) = &config.server.token_file else {
        tell("error: which file? Give --web.token-file, or web.token_file in the configuration\n");
        return ExitCode::from(USAGE);
    };
    let file = TokenFile::new(path);
    let name = || matches.get_one::<String>("NAME").map_or("", String::as_str);
    let now_ms = unix_ms(SystemTime::now());
    let done = match what {
        "create" => create(&file, name(), matches, now_ms),
        "list" => list(&file, asked_for(matches, "json"), now_ms),
        _ => revoke(&file, name()),
    };
    done.unwrap_or_else(|error| {
        tell(&format!("error: {error}\n"));
        match error {
            FileError::Name | FileError::Exists(_) | FileError::Unknown(_) => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    })
}

fn create(file: &TokenFile, name: &str, matches: &ArgMatches, now_ms: i64) -> Result<ExitCode, FileError> {
    let mut scopes: Vec<Scope> = matches.get_many("scope").into_iter().flatten().copied().collect();
    scopes.sort();
    scopes.dedup();
    let expires = matches.get_one::<std::time::Duration>("expires");
    let expires_ms =
        expires.map(|length| now_ms.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)));
    let token = file.create(name, scopes, now_ms, expires_ms)?;
    let end = expires_ms.map_or_else(|| "for ever".to_owned(), |end| format!("until {}", timestamp(end)));
    tell(&format!("{name}: good {end}. This is the only time the token is shown:\n"));
    Ok(print(&format!("{token}\n")))
}

fn list(file: &TokenFile, as_json: bool, now_ms: i64) -> Result<ExitCode, FileError> {
    let (entries, used) = (file.load()?, file.used()?);
    let used = |entry: &Entry| used.get(&entry.name).copied().filter(|used| *used >= entry.created_ms);
    let words = |entry: &Entry| entry.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>();
    if as_json {
        let all: Vec<_> = entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "name": entry.name,
                    "scopes": words(entry),
                    "created": timestamp(entry.created_ms),
                    "expires": entry.expires_ms.map(timestamp),
                    "expired": entry.is_expired(now_ms),
                    "last_used": used(entry).map(timestamp),
                })
            })
            .collect();
        return Ok(print(&format!("{:#}\n", serde_json::Value::from(all))));
    }
    let mut rows = vec![["NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED"].map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let expires = match entry.expires_ms {
            Some(end) if entry.is_expired(now_ms) => format!("{} (over)", timestamp(end)),
            Some(end) => timestamp(end),
            None => "never".into(),
        };
        let used = used(entry).map_or_else(|| "never".into(), timestamp);
        [entry.name.clone(), words(entry).join(","), timestamp(entry.created_ms), expires, used]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    });
    Ok(print(&lines.collect::<String>()))
}

fn revoke(file: &TokenFile, name: &str) -> Result<ExitCode, FileError> {
    file.revoke(name)?;
    tell(&format!("{name}: revoked\n"));
    Ok(ExitCode::SUCCESS)
}
