//! The text of `--help`, made from the table of settings: one screen, a line a flag.
//!
//! clap's own help takes two to four lines a flag once environment and default are shown, which makes four
//! screens of it. So `--help` states the rule for the environment once, lists collectors by name, and leaves
//! the rest to `--help-all`.

use std::fmt::Write;

use crate::collect::catalog;
use crate::config::Field;
use crate::config::settings::{Group, Setting, default_of, settings};

/// What the program is.
pub(super) const WHAT: &str =
    "the live edge of Prometheus: an exporter whose metrics are live in the browser";

/// Width of a line.
const WIDTH: usize = 100;

/// Column of the descriptions.
const COLUMN: usize = 35;

/// Help of `serve`, which is that of the program too: then with the commands.
pub(super) fn serve(program: bool) -> String {
    let mut text = format!("gaugecast, {WHAT}\n\n");
    if program {
        text.push_str(
            "Usage: gaugecast [COMMAND] [FLAGS]\n\n\
             Commands:\n  \
               serve              Run the exporter (also without a command)\n  \
               check config       Tell what is wrong with a configuration; also: check ready, rules check, rules test\n  \
               config show        Print the configuration in force; also: config default, config schema\n  \
               watch SELECTOR…    Show live values of a server in the terminal, or as JSON lines\n  \
               baseline save NAME Keep the figures of a range, to compare with: baseline diff, trend, list\n  \
               detect FILE…       Run recorded rows through an anomaly detector; --list shows which there are\n  \
               token create NAME  Make a token that requests need (--web.token-file); also: token list, revoke\n  \
               loadtest           Load a WebSocket server; provision --out DIR (Grafana, …); completions; man\n",
        );
    } else {
        text.push_str("Usage: gaugecast serve [FLAGS]\n");
    }
    for group in Group::ALL {
        let mut shown =
            settings().iter().filter(|s| s.group == group && !s.rare && !of_a_collector(s)).peekable();
        if shown.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "\n{}:", group.title());
        shown.for_each(|setting| text.push_str(&line(setting)));
        if group == Group::Collectors {
            let names: Vec<&str> = catalog::all().iter().map(|collector| collector.name).collect();
            text.push_str(&row(
                "--[no-]collector.NAME",
                &format!("{}. Their filters: --help-all", names.join(", ")),
            ));
        }
    }
    text.push_str("\nHelp:\n");
    text.push_str(&row("-h, --help; -V, --version", "This page; version and build"));
    text.push_str(&row("--help-all", "Every flag with its environment variable"));
    text.push_str(
        "\nEnvironment: GAUGECAST_WEB_LISTEN_ADDRESS for --web.listen-address, and so on for every flag.\n\
         A flag wins over the environment, that over the file, that over the default.\n",
    );
    text
}

/// Every flag, with type, environment variable and default.
pub(super) fn all() -> String {
    let mut text = String::from("Every flag of `gaugecast serve`, its environment variable and default\n");
    for group in Group::ALL {
        let _ = writeln!(text, "\n{}:", group.title());
        for setting in settings().iter().filter(|setting| setting.group == group) {
            let _ = writeln!(text, "  {}", form(setting));
            let _ = writeln!(text, "{}", wrapped(&setting.help, 6, 6));
            let _ = write!(text, "      env: {}", setting.env());
            let default = default_of(setting).line();
            let _ = match default.as_str() {
                "" => writeln!(text),
                short if short.len() < 40 => writeln!(text, ", default: {short}"),
                long => writeln!(text, "\n      default: {long}"),
            };
        }
    }
    text
}

/// Whether it stands for one collector only: too many for one screen.
fn of_a_collector(setting: &Setting) -> bool {
    catalog::all().iter().any(|collector| {
        let rest = setting.flag.strip_prefix("collector.").and_then(|flag| flag.strip_prefix(collector.name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn form(setting: &Setting) -> String {
    match &setting.field {
        Field::Bool(_) | Field::Switch(..) => format!("--[no-]{}", setting.flag),
        field => {
            format!("--{}={}{}", setting.flag, setting.placeholder(), if field.is_list() { "…" } else { "" })
        }
    }
}

fn line(setting: &Setting) -> String {
    let default = default_of(setting).line();
    let flag = match setting.field {
        // Off by default, so there is no need to say how to turn it off.
        Field::Bool(_) if default == "false" => format!("--{}", setting.flag),
        _ => form(setting),
    };
    let words = match setting.field {
        Field::Choice { words, .. } => format!(": {}", words.join(", ")),
        _ => String::new(),
    };
    let help = match default.as_str() {
        "" | "false" => format!("{}{words}", setting.help),
        shown => format!("{}{words} [{shown}]", setting.help),
    };
    row(&flag, &help)
}

/// A flag and what it does. A flag that is too wide has a line of its own.
fn row(flag: &str, help: &str) -> String {
    let text = wrapped(help, COLUMN, COLUMN);
    let left = format!("  {flag}");
    if left.chars().count() + 1 < COLUMN {
        format!("{left:COLUMN$}{}\n", text.trim_start())
    } else {
        format!("{left}\n{text}\n")
    }
}

/// Text broken into lines of [`WIDTH`], the first indented by `first`, the others by `rest`.
pub(super) fn wrapped(text: &str, first: usize, rest: usize) -> String {
    let mut lines = vec![" ".repeat(first)];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        let is_new = last.trim().is_empty();
        if !is_new && last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{}{word}", " ".repeat(rest)));
        } else {
            if !is_new {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}
