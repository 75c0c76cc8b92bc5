//! `gaugecast baseline`: keeps the figures of a range of a running server, and compares and judges others by them.
//!
//! | command | what it does |
//! | --- | --- |
//! | `save NAME SELECTOR…` | keeps a range under a name |
//! | `list`, `show NAME`, `delete NAME` | what is kept |
//! | `diff NAME [OTHER]` | what changed since: now, in another range, or in another baseline |
//! | `trend SELECTOR…` | where series go |
//!
//! The server computes and judges, see [`history::baseline`](crate::history::baseline); here is asked and shown. [`tables`]
//! writes for people, and `--json` prints the data of the answer as one line.
//!
//! Exit codes: 0; 1 when the server cannot be reached or refuses, and when `diff --fail-on` finds what it looks for; 2 wrong
//! usage.

mod tables;

use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::http::{self, Ask, encoded};
use super::{USAGE, asked_for, format, print, tell};
use crate::client::Target;
use crate::history::baseline::check_name;

/// Longest time until the answer: a comparison of 2000 series takes a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// Most of an answer that is read. 2000 series compared are 1.5 MB.
const MAX_ANSWER: usize = 64 << 20;

const RANGES: &str = "\
DURATION is 10m, 1h30m …; TIME is 2026-11-21T10:00:00Z or Unix seconds. SELECTOR is one of PromQL:
node_load1, 'http_requests_total{code=\"500\"}'. Counters are measured by their rates, the buckets of a
histogram by what was observed.";

const VERDICTS: &str = "\
A series changed when Cliff's delta of its values is at least 0.33 in size and its mean moved by at least
5 %. Better or worse it is by the words of its name (errors, latency; hits, free …) or by --better.

Exit codes: 0; 1 when --fail-on found something, or the server cannot be reached; 2 wrong usage.
In a pipeline: gaugecast baseline diff before-deploy --last=5m --fail-on=worse";

/// The command as clap knows it.
pub(super) fn command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let range = move |command: Command, unsaid: &'static str| {
        command
            .arg(option("last", "DURATION", unsaid))
            .arg(option("start", "TIME", "Begin of the range, instead of --last"))
            .arg(option("end", "TIME", "End of the range [now]"))
    };
    let name = || Arg::new("NAME").required(true).help("Name of the baseline");
    let selectors = || Arg::new("SELECTOR").num_args(1..).required(true).help("Which series");
    let hour = "Length of the range, which ends now [1h]";
    let save = Command::new("save")
        .about("Keep the figures of a range under a name")
        .arg(name())
        .arg(selectors())
        .arg(option("note", "TEXT", "A note to keep with it"))
        .arg(
            Arg::new("replace")
                .long("replace")
                .action(ArgAction::SetTrue)
                .help("Replace a baseline of this name"),
        )
        .after_help(RANGES);
    let diff = Command::new("diff")
        .about("Tell what changed since a baseline: now, or in another range or baseline")
        .arg(name())
        .arg(Arg::new("OTHER").help("Another baseline to compare with, instead of now"))
        .arg(
            option("match", "SELECTOR", "Only these series; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(option("better", "WAY", "Which way is good, for all").value_parser(["lower", "higher"]))
        .arg(option("effect", "NUMBER", "Least size of Cliff's delta that counts, 0 to 1 [0.33]"))
        .arg(option("change", "NUMBER", "Least change of the mean that counts, as a ratio [0.05]"))
        .arg(
            option("fail-on", "VERDICT", "Exit with 1 if a series is so, or worse")
                .value_parser(["worse", "changed"]),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("Show series that did not change, too"),
        )
        .after_help(VERDICTS);
    Command::new("baseline")
        .about("Keep the figures of a range of a running server, compare and judge others by them")
        .override_usage("gaugecast baseline COMMAND")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .arg(option("url", "URL", "The server").default_value("http://127.0.0.1:7171").global(true))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print the answer of the server as JSON"),
        )
        .subcommand(
            range(save, hour)
                .override_usage("gaugecast baseline save NAME SELECTOR… [--last=1h] [--note=TEXT]"),
        )
        .subcommand(
            Command::new("list").about("List the baselines").override_usage("gaugecast baseline list"),
        )
        .subcommand(
            Command::new("show")
                .about("Show the figures of a baseline")
                .override_usage("gaugecast baseline show NAME")
                .arg(name()),
        )
        .subcommand(
            range(diff, "Length of the range, which ends now [as long as the baseline]")
                .override_usage("gaugecast baseline diff NAME [OTHER] [--last=5m] [--fail-on=worse]"),
        )
        .subcommand(
            range(
                Command::new("trend")
                    .about("Tell where series go: slope per hour, and whether it is more than chance")
                    .arg(selectors())
                    .after_help(RANGES),
                hour,
            )
            .override_usage("gaugecast baseline trend SELECTOR… [--last=1h]"),
        )
        .subcommand(
            Command::new("delete")
                .about("Delete a baseline")
                .override_usage("gaugecast baseline delete NAME")
                .arg(name()),
        )
}

/// Runs one of the commands.
pub(super) fn run(what: &str, matches: &ArgMatches) -> ExitCode {
    let text = |id: &str| matches.try_get_one::<String>(id).ok().flatten().map_or("", String::as_str);
    let server = match Target::parse(text("url")) {
        Ok(server) => server,
        Err(error) => return wrong(&format!("--url: {error}")),
    };
    let (name, other) = (text("NAME"), text("OTHER"));
    for name in [name, other].into_iter().filter(|name| !name.is_empty()) {
        if let Err(reason) = check_name(name) {
            return wrong(&format!("{name:?}: {reason}"));
        }
    }
    let mut params: Vec<(&str, String)> = Vec::new();
    for id in ["SELECTOR", "match"] {
        let given = matches.try_get_many::<String>(id).ok().flatten().into_iter().flatten();
        params.extend(given.map(|selector| ("match[]", selector.clone())));
    }
    for id in ["start", "end", "last", "note", "better", "effect", "change"] {
        params.extend(Some(text(id)).filter(|text| !text.is_empty()).map(|text| (id, text.to_owned())));
    }
    if !other.is_empty() {
        params.push(("with", other.to_owned()));
    }
    let form = encoded(&params);
    let one = format!("/api/v1/baselines/{name}");
    let (method, path, form) = match what {
        "save" if asked_for(matches, "replace") => ("PUT", one, &*form),
        "save" => ("POST", one, &*form),
        "show" => ("GET", one, ""),
        "delete" => ("DELETE", one, ""),
        "diff" => ("GET", format!("{one}/compare?{form}"), ""),
        "trend" => ("POST", "/api/v1/trend".to_owned(), &*form),
        _ => ("GET", "/api/v1/baselines".to_owned(), ""),
    };
    let data = match ask(&server, method, &path, form) {
        Ok(data) => data,
        Err(error) => {
            tell(&format!("error: {}\n", format::printable(&error)));
            return ExitCode::FAILURE;
        }
    };
    let shown = if asked_for(matches, "json") {
        format!("{data}\n")
    } else {
        match what {
            "save" => tables::saved(&data),
            "show" => tables::baseline(&data),
            "diff" => tables::comparison(&data, asked_for(matches, "all")),
            "trend" => tables::trends(&data),
            "delete" => format!("deleted {name}\n"),
            _ => tables::list(&data),
        }
    };
    let printed = print(&shown);
    if what == "diff" && fails(text("fail-on"), &data["counts"]) { ExitCode::FAILURE } else { printed }
}

/// Is there a series with the verdict on which to fail?
fn fails(on: &str, counts: &Value) -> bool {
    let has = |verdict: &str| counts[verdict].as_u64().is_some_and(|count| count > 0);
    match on {
        "worse" => has("worse"),
        "changed" => has("worse") || has("changed"),
        _ => false,
    }
}

fn wrong(what: &str) -> ExitCode {
    tell(&format!("error: {what}\n"));
    ExitCode::from(USAGE)
}

/// The data of the answer; its warnings go to stderr.
fn ask(server: &Target, method: &str, path: &str, form: &str) -> Result<Value, String> {
    let (host, port) = server.address();
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let failed = |error: &dyn std::fmt::Display| format!("http://{authority}: {error}");
    let addresses: Vec<_> = (host, port).to_socket_addrs().map_err(|error| failed(&error))?.collect();
    let path = format!("{}{path}", server.prefix());
    let token = super::token_of_environment()?;
    let asked =
        Ask { method, path: &path, form, token: token.as_ref(), most: MAX_ANSWER, deadline: DEADLINE };
    let (status, body) = http::ask(&addresses, &authority, &asked).map_err(|error| failed(&error))?;
    let Ok(mut answer) = serde_json::from_str::<Value>(&body) else {
        return Err(failed(&format!("answers {status} without JSON: is it a gaugecast with a history?")));
    };
    if status >= 300 {
        return Err(answer["error"]
            .as_str()
            .map_or_else(|| failed(&format!("answers {status}")), str::to_owned));
    }
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        tell(&format!("warning: {}\n", format::printable(warning)));
    }
    Ok(answer["data"].take())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_diff_fails_on_what_was_asked_for() {
        let counts = |worse: u32, changed: u32| json!({"worse": worse, "changed": changed, "same": 3});
        assert!(fails("worse", &counts(1, 0)) && !fails("worse", &counts(0, 5)));
        assert!(fails("changed", &counts(1, 0)) && fails("changed", &counts(0, 1)));
        assert!(!fails("changed", &counts(0, 0)) && !fails("", &counts(1, 1)));
    }
}
