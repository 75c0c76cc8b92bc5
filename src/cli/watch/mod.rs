//! `gaugecast watch [URL] SELECTOR…`, or `--query=PROMQL` in place of selectors: live values in the terminal, or line by line for pipes.
//!
//! On a terminal the table is drawn anew in place with every frame ([`screen`]); elsewhere, and with `--json`, there is
//! a line for every change, and with `--json` for every event of the server ([`lines`]). What both show of a
//! series is kept in [`track`]; [`format`](super::format) writes values for people.
//!
//! Exit codes: 0, also when the reader of the pipe has gone; 1 when the server cannot be reached at the start or
//! refuses; 2 wrong usage; 130 and 143 after Ctrl-C and SIGTERM.

mod lines;
mod screen;
mod track;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use self::lines::Lines;
use self::screen::Screen;
use self::track::Tracks;
use super::{USAGE, asked_for, format, tell};
use crate::client::{self, Change, Client, Event, Options, Subscription};
use crate::config::units::parse_duration;
use crate::query::live::LiveQuery;
use crate::series::Selector;
use crate::stream::protocol::{MAX_SELECTOR_BYTES, MAX_SELECTORS};

/// The server that is meant when none is named.
const HERE: &str = "http://127.0.0.1:7171";

/// The one subscription.
const SUB: &str = "watch";

const AFTER: &str = "\
SELECTOR is one of PromQL: node_load1, 'node_cpu_seconds_total{mode!=\"idle\"}', '{__name__=~\"node_.*\"}'.
URL is host:port, http://host:port or ws://host:port; without one it is http://127.0.0.1:7171.
A token, if the server asks for one, is taken from the environment: GAUGECAST_TOKEN.";

/// The command as clap knows it.
pub(super) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("watch")
        .about("Show live values of a server in the terminal, or as lines for pipes")
        .override_usage("gaugecast watch [URL] SELECTOR… [--interval=1s] [--rate] [--json] [--once]\n       gaugecast watch [URL] --query=PROMQL …")
        .arg(
            Arg::new("ARGS")
                .value_name("URL|SELECTOR")
                .num_args(1..)
                .required_unless_present("query")
                .help("Which server and series"),
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("DURATION")
                .default_value("1s")
                .help("Time between frames"),
        )
        .arg(
            Arg::new("query")
                .long("query")
                .value_name("PROMQL")
                .help("Show what an expression gives, evaluated at the server"),
        )
        .arg(flag("rate").help("Show counters as rates per second"))
        .arg(flag("json").help("Print a JSON object per change"))
        .arg(flag("once").help("Show the values once, then end"))
        .after_help(AFTER)
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    target: String,
    selectors: Vec<String>,
    query: Option<String>,
    interval: Duration,
    rate: bool,
    json: bool,
    once: bool,
}

/// Runs until Ctrl-C, or once.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let asked = match Asked::read(matches) {
        Ok(asked) => asked,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&format!("error: cannot start the runtime: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(watch(&asked)) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

impl Asked {
    fn read(matches: &ArgMatches) -> Result<Self, String> {
        let args = matches.get_many::<String>("ARGS").unwrap_or_default().cloned();
        let (target, selectors) = target_and_selectors(args.collect());
        let query = matches.get_one::<String>("query").cloned();
        match &query {
            None if selectors.is_empty() => {
                return Err("which series? Give a selector, such as node_load1, or --query".into());
            }
            Some(_) if !selectors.is_empty() => {
                return Err(format!(
                    "--query stands alone, and {:?} is no address of a server",
                    selectors[0]
                ));
            }
            Some(text) => {
                LiveQuery::parse(text).map_err(|error| format!("--query: {error}"))?;
            }
            None => {}
        }
        if selectors.len() > MAX_SELECTORS
            || selectors.iter().map(String::len).sum::<usize>() > MAX_SELECTOR_BYTES
        {
            return Err(format!("at most {MAX_SELECTORS} selectors of {MAX_SELECTOR_BYTES} bytes together"));
        }
        for selector in &selectors {
            if let Err(error) = Selector::parse(selector) {
                return Err(format!("{selector}: column {}: {}", error.column, error.reason));
            }
        }
        client::Target::parse(&target).map_err(|error| error.to_string())?;
        let interval = matches.get_one::<String>("interval").map_or("1s", String::as_str);
        let interval = parse_duration(interval).map_err(|error| format!("--interval: {error}"))?;
        let on = |flag| asked_for(matches, flag);
        Ok(Asked { target, selectors, query, interval, rate: on("rate"), json: on("json"), once: on("once") })
    }
}

/// The first argument is the server if it reads like one: it has a scheme, or ends in a port.
fn target_and_selectors(mut args: Vec<String>) -> (String, Vec<String>) {
    let is_target = |arg: &String| {
        let has_port = |(_, port): (&str, &str)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        !arg.contains('{') && (arg.contains("://") || arg.rsplit_once(':').is_some_and(has_port))
    };
    if args.first().is_some_and(is_target) {
        let target = args.remove(0);
        (target, args)
    } else {
        (HERE.into(), args)
    }
}

/// Where it is shown.
enum Shown {
    Screen(Screen),
    Lines(Lines),
}

impl Shown {
    /// A frame came: the text to write for it.
    fn frame(&mut self, change: &Change, tracks: &Tracks, status: &str) -> String {
        match self {
            Shown::Screen(screen) => screen.draw(tracks, change.time_ms, status),
            Shown::Lines(lines) => lines.changes(tracks, change),
        }
    }
}

async fn watch(asked: &Asked) -> Result<ExitCode, String> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let out = std::io::stdout();
    let on_screen = out.is_terminal() && !asked.json && !asked.once;
    let mut shown =
        if on_screen { Shown::Screen(Screen::new(asked.rate)) } else { Shown::Lines(Lines::new(asked.json)) };
    let follow = async {
        let mut client = client::connect(
            &asked.target,
            Options { token: super::token_of_environment()?, ..Options::default() },
        )
        .await
        .map_err(|error| error.to_string())?;
        let subscription = match &asked.query {
            Some(query) => Subscription::query(SUB, query.as_str()),
            None => Subscription::new(SUB, asked.selectors.clone()),
        };
        client.subscribe(subscription.interval(asked.interval)).map_err(|error| error.to_string())?;
        follow(asked, &mut client, &mut shown).await
    };
    let code = tokio::select! {
        code = follow => code,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    };
    if on_screen {
        // Nobody may be there to see it any more.
        let _ = write(screen::LEAVE);
    }
    code
}

async fn follow(asked: &Asked, client: &mut Client, shown: &mut Shown) -> Result<ExitCode, String> {
    let mut tracks = Tracks::new(asked.rate);
    let mut frames = 0;
    while let Some(event) = client.next().await {
        match event {
            Event::Snapshot(change) | Event::Delta(change) => {
                let Some(model) = client.model(SUB) else { continue };
                tracks.update(model, &change);
                let text = shown.frame(&change, &tracks, &client.target().to_string());
                if !put(&text)? {
                    return Ok(ExitCode::SUCCESS);
                }
                frames += 1;
                // A rate needs two looks.
                if asked.once && frames > u32::from(asked.rate) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Event::Refused(refused) if !refused.retryable => {
                return Err(format!("the server refuses: {refused}"));
            }
            Event::Ended(why) => return Err(why.to_string()),
            Event::Refused(refused) => note(shown, &format!("the server refuses for now: {refused}")),
            Event::Notice { message, .. } => note(shown, &message),
            Event::Lost { why, wait } => {
                note(shown, &format!("{why}; trying again in {:.1} s", wait.as_secs_f64()));
            }
            Event::Happened(happened) if asked.json => {
                if !put(&lines::happened(&happened))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Event::Happened(happened) => note(shown, &lines::told(&happened)),
            Event::Connected | Event::Subscribed { .. } | Event::History { .. } => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says something that is no value: on the screen below the table, else on stderr.
fn note(shown: &mut Shown, text: &str) {
    let text = format::printable(text);
    match shown {
        // What cannot be written now will be noticed with the next frame.
        Shown::Screen(screen) => drop(write(&screen.note(&text))),
        Shown::Lines(_) => tell(&format!("{text}\n")),
    }
}

/// Writes to stdout; false if nobody reads it any more.
fn put(text: &str) -> Result<bool, String> {
    match write(text) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write to stdout: {error}")),
    }
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<Asked, String> {
        let args = [&["watch"], args].concat();
        Asked::read(&command().try_get_matches_from(args).map_err(|error| error.to_string())?)
    }

    #[test]
    fn the_first_argument_is_the_server_if_it_reads_like_one() {
        for (args, target, selectors) in [
            (&["up"][..], HERE, &["up"][..]),
            (&["host:80", "up", "a"], "host:80", &["up", "a"]),
            (&["http://host", "up"], "http://host", &["up"]),
            (&["[::1]:9", "up"], "[::1]:9", &["up"]),
            (&["job:rate:5m"], HERE, &["job:rate:5m"]),
            (&["up{a=\"http://x:1\"}"], HERE, &["up{a=\"http://x:1\"}"]),
        ] {
            let asked = asked(args).unwrap();
            assert_eq!(
                (asked.target.as_str(), asked.selectors),
                (target, selectors.iter().map(|s| (*s).into()).collect())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_connected() {
        for (args, told) in [
            (&["host:80"][..], "which series?"),
            (&["up{a=~\"(\"}"], "column 7"),
            (&["wss://host", "up"], "not supported yet"),
            (&["up", "--interval=soon"], "--interval: "),
        ] {
            let error = asked(args).unwrap_err();
            assert!(error.contains(told), "{args:?}: {error}");
        }
    }
}
