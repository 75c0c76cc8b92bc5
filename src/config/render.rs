//! The configuration as a YAML file: what is in force, and the defaults with their comments.

use std::fmt::Write;

use super::error::Place;
use super::field::Shown;
use super::section::{Part, parts};
use super::settings::{Group, Setting, default_of, settings};
use super::{Config, Origins};

/// The configuration in force, as a file that would set it. With `origins`, each line says who set it: a flag,
/// a variable, a line of the file, or the default.
#[must_use]
pub fn show(config: &Config, origins: Option<&Origins>) -> String {
    show_table(settings(), config, origins)
}

fn show_table(table: &[Setting], config: &Config, origins: Option<&Origins>) -> String {
    let mut config = config.clone();
    let mut lines = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for setting in in_file_order(table) {
        let place = sections(table, setting);
        let (name, path) = place.split_last().expect("a key has at least one part");
        // Close what this key is not under, open what it is under.
        let common = open.iter().zip(path).take_while(|(a, b)| a == b).count();
        open.truncate(common);
        for section in &path[common..] {
            lines.push((format!("{}{section}:", "  ".repeat(open.len())), String::new()));
            open.push(section.clone());
        }
        let value = setting.field.get(&mut config);
        // That there is none is no secret, and has to read back as none.
        let value = match setting.secret && value.words().iter().any(|word| !word.is_empty()) {
            true => "<secret>".into(),
            false => flow(&value),
        };
        let origin = origins.map_or_else(String::new, |origins| origin(setting, origins));
        lines.push((format!("{}{name}: {value}", "  ".repeat(open.len())), origin));
    }
    for written in &config.written {
        let (section, key) = written.key.rsplit_once('.').unwrap_or(("", written.key));
        let origin = origins.and_then(|origins| origins.get(written.key));
        let origin = origin.map_or_else(String::new, from);
        let indent = if section.is_empty() { "" } else { "  " };
        let inside = written.yaml.lines().map(|line| (format!("{indent}  {line}"), String::new()));
        let whole = std::iter::once((format!("{indent}{key}:"), origin)).chain(inside);
        // At the end of its section, which has settings of its own before it, or else of the file.
        let begin = lines.iter().position(|(line, _)| *line == format!("{section}:"));
        let after = |at| lines[at + 1..].iter().position(|(line, _)| !line.starts_with(' '));
        let end = begin.and_then(|at| after(at).map(|skip| at + 1 + skip)).unwrap_or(lines.len());
        lines.splice(end..end, whole);
    }
    let mut text = String::new();
    // Comments in one column, but not pushed out by a long regular expression.
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|w| *w <= 60).max().unwrap_or(0);
    for (line, origin) in lines {
        let _ = match origin.is_empty() {
            true => writeln!(text, "{line}"),
            false => writeln!(text, "{line:width$}  # {origin}"),
        };
    }
    text
}

fn origin(setting: &Setting, origins: &Origins) -> String {
    match origins.get(&setting.flag) {
        None => "default".into(),
        Some(Place::Flag(_)) => format!("flag --{}", setting.flag),
        Some(place) => from(place),
    }
}

fn from(place: &Place) -> String {
    match place {
        Place::Flag(flag) => format!("flag {flag}"),
        Place::Env(name) => format!("environment {name}"),
        Place::File(path, Some(at)) => format!("file {}:{}", path.display(), at.line),
        Place::File(path, None) => format!("file {}", path.display()),
    }
}

/// A file with every setting at its default, commented out, each with its help, flag and variable.
#[must_use]
pub fn commented_default() -> String {
    let table = settings();
    let mut text = String::from(
        "# Configuration of gaugecast. Everything is optional and shown at its default: remove a # to set it.\n\
         # A flag wins over an environment variable, that over this file, that over the default.\n\
         # ${NAME} and ${NAME:-default} take a value from the environment. Check with: gaugecast check config\n",
    );
    let mut open: Vec<String> = Vec::new();
    for setting in in_file_order(table) {
        let place = sections(table, setting);
        let (name, path) = place.split_last().expect("a key has at least one part");
        let common = open.iter().zip(path).take_while(|(a, b)| a == b).count();
        if common == 0 {
            end_section(&open, &mut text);
        }
        open.truncate(common);
        for section in &path[common..] {
            // Top sections stay in force, empty, so that removing a `#` is enough to set a value.
            let _ = match open.len() {
                0 => writeln!(text, "\n{section}:"),
                depth => writeln!(text, "  #{}{section}:", "  ".repeat(depth - 1)),
            };
            open.push(section.clone());
        }
        // Every key is in a section, so there is one level of indentation before the `#`.
        let inner = "  ".repeat(open.len().saturating_sub(1));
        let default = flow(&default_of(setting));
        // A switch has its help behind it; the other settings have theirs and their names above them.
        if is_switch(setting) {
            let line = format!("  #{inner}{name}: {default}");
            let _ = writeln!(text, "{line:26} # {}", setting.help);
        } else {
            let comment = if inner.is_empty() { "#".to_owned() } else { format!("#{inner}#") };
            let _ = writeln!(text, "  {comment} {}. --{}, {}", setting.help, setting.flag, setting.env());
            let _ = writeln!(text, "  #{inner}{name}: {default}");
        }
    }
    end_section(&open, &mut text);
    for part in parts().iter().filter(|part| !part.key.contains('.')) {
        text.push('\n');
        commented_part(part, "", &mut text);
    }
    text
}

/// The structured parts of a section stand behind its settings.
fn end_section(open: &[String], text: &mut String) {
    let Some(section) = open.first() else { return };
    for part in parts().iter().filter(|part| part.key.split_once('.').is_some_and(|(s, _)| s == section)) {
        commented_part(part, "  ", text);
    }
}

/// A part with its example.
fn commented_part(part: &Part, indent: &str, text: &mut String) {
    let key = part.key.rsplit('.').next().unwrap_or(part.key);
    let _ = writeln!(text, "{indent}# {}. For example:\n{indent}#{key}:", part.help);
    for line in part.example.lines() {
        let _ = writeln!(text, "{indent}#  {line}");
    }
}

fn is_switch(setting: &Setting) -> bool {
    matches!(setting.field, super::Field::Switch(..))
}

/// The settings that the file can hold. `global` first, as Prometheus has it.
fn in_file_order(table: &[Setting]) -> Vec<&Setting> {
    let is_global = |s: &&Setting| s.key.as_deref().is_some_and(|key| key.starts_with("global."));
    let in_file = || table.iter().filter(|setting| setting.key.is_some());
    in_file().filter(is_global).chain(in_file().filter(|s| !is_global(s))).collect()
}

/// The parts of a key, with `cpu.enabled` as `cpu` where nothing else can be set under `cpu`.
fn sections(table: &[Setting], setting: &Setting) -> Vec<String> {
    let key = setting.key.as_deref().unwrap_or_default();
    let short = key.strip_suffix(".enabled").filter(|section| {
        let below = format!("{section}.");
        table.iter().filter(|s| s.key.as_ref().is_some_and(|k| k.starts_with(&below))).count() == 1
    });
    short.unwrap_or(key).split('.').map(str::to_owned).collect()
}

/// A value in one line of YAML.
fn flow(shown: &Shown) -> String {
    match shown {
        Shown::Bare(text) => text.clone(),
        Shown::Text(text) => quote(text),
        Shown::List(texts) => {
            format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Text as a scalar that reads back as the same text: plain where that is certain, else quoted.
pub(super) fn quote(text: &str) -> String {
    let text = &text.replace("${", "$${");
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c))
        && !text.ends_with(':')
        && !matches!(text.to_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off");
    if plain {
        text.clone()
    } else if text.chars().any(char::is_control) {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                c if c.is_control() => {
                    let _ = write!(quoted, "\\u{:04X}", u32::from(c));
                }
                c => quoted.push(c),
            }
        }
        quoted + "\""
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// The settings of a group.
pub(super) fn of_group(group: Group) -> impl Iterator<Item = &'static Setting> {
    settings().iter().filter(move |setting| setting.group == group)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml::{self, Value};
    use super::*;

    proptest! {
        #[test]
        fn quoted_text_reads_back(text in "([a-z'\"\\\\:# ${}\\[\\],-]|\\PC|\t|\n|true|null|1|~){1,8}") {
            let (root, faults) = yaml::parse(&format!("[{}]", quote(&text)));
            prop_assert!(faults.is_empty(), "{faults:?}");
            let Some(Value::List(items)) = root.map(|root| root.value) else { panic!("no list") };
            let Value::Scalar { text: read, .. } = &items[0].value else { panic!("no scalar") };
            prop_assert_eq!(read, &text.replace("${", "$${"));
        }
    }
}
