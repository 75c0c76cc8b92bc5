//! What is wrong with a configuration: every fault at once, each with its place.
//!
//! A fault in the file reads as compilers write it, `file:line:col: message`, with the line and a caret under
//! the offending text; a fault in a flag or a variable names it.

use std::fmt;
use std::path::PathBuf;

/// How many faults are told in full; a file can be wrong in more places than anyone reads.
const SHOWN: usize = 50;

/// Longest piece of a source line that is shown, in characters.
const LINE: usize = 120;

/// A place in a file: a stretch of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In characters, on this line; at least 1.
    pub length: usize,
}

/// Where a fault is, or where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag, as on the command line: `--web.listen-address=x`.
    Flag(String),
    /// An environment variable, by name.
    Env(String),
    /// The file, at a position; without one, the file as a whole.
    File(PathBuf, Option<Position>),
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line of the file, when the place has a position.
    pub source_line: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = without_userinfo(&self.message);
        match &self.place {
            Place::Flag(flag) => write!(f, "{}: {message}", plain(flag)),
            Place::Env(name) => write!(f, "environment variable {name}: {message}"),
            Place::File(path, None) => write!(f, "{}: {message}", path.display()),
            Place::File(path, Some(at)) => {
                write!(f, "{}:{}:{}: {message}", path.display(), at.line, at.column)?;
                let Some(line) = &self.source_line else { return Ok(()) };
                let (line, before) = cut(&without_secrets(line), at.column - 1);
                let length = at.length.clamp(1, line.chars().count().saturating_sub(before).max(1));
                let number = at.line.to_string();
                let gutter = " ".repeat(number.len());
                write!(f, "\n  {number} | {line}")?;
                write!(f, "\n  {gutter} | {}{}", " ".repeat(before), "^".repeat(length))
            }
        }
    }
}

/// The part of a line around a column that fits, and the column in it. Tabs and control characters become
/// spaces, so that the caret stands right and a file cannot write to the terminal.
fn cut(line: &str, column: usize) -> (String, usize) {
    let start = if column > LINE - 20 { column - LINE / 2 } else { 0 };
    let shown: String =
        line.chars().skip(start).take(LINE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (shown.trim_end().to_owned(), column - start)
}

/// Keys whose values are never shown, also where the fault is elsewhere in their line.
const SECRETS: [&str; 5] = ["password", "credentials", "bearer_token", "client_secret", "secret"];

/// A line of the file with its secrets as asterisks, as many, so that a caret under it stands right.
fn without_secrets(line: &str) -> String {
    let mut shown = without_userinfo(line);
    for key in SECRETS {
        let mut from = 0;
        while let Some(found) = shown[from..].find(key) {
            let after = from + found + key.len();
            from = after;
            let rest = shown[after..].trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = rest.strip_prefix(':') else { continue };
            let value = value.trim_start();
            let start = shown.len() - value.len();
            // In a mapping of one line it ends with the entry; what is quoted may hold a comma, so to be safe all goes.
            let quoted = value.starts_with(['"', '\'']);
            let end = if quoted {
                shown.len()
            } else {
                value.find([',', '}']).map_or(shown.len(), |at| start + at)
            };
            let stars = "*".repeat(shown[start..end].chars().count());
            shown.replace_range(start..end, &stars);
            from = start + stars.len();
        }
    }
    shown
}

/// Text with the user and password of its URLs as asterisks.
fn without_userinfo(text: &str) -> String {
    let mut shown = text.to_owned();
    let mut from = 0;
    while let Some(found) = shown[from..].find("://") {
        let start = from + found + 3;
        let authority =
            shown[start..].find(|c: char| "/?#\"' ,]".contains(c)).map_or(shown.len(), |at| start + at);
        from = start;
        if let Some(at) = shown[start..authority].rfind('@') {
            let stars = "*".repeat(shown[start..start + at].chars().count());
            shown.replace_range(start..start + at, &stars);
            from = start + stars.len();
        }
    }
    shown
}

/// Text of the user with its control characters escaped, cut to what an error message can bear.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(LINE) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().nth(LINE).is_some() {
        shown.push('…');
    }
    shown
}

/// Everything that is wrong with a configuration: flags, environment, file from top to bottom. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().take(SHOWN).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        match self.0.len() {
            n if n > SHOWN => write!(f, "\nand {} more errors", n - SHOWN),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize, length: usize, source: &str) -> ConfigError {
        ConfigError {
            place: Place::File("a.yml".into(), Some(Position { line, column, length })),
            message: "no".into(),
            source_line: Some(source.into()),
        }
    }

    #[test]
    fn the_caret_stands_under_the_offending_text() {
        assert_eq!(
            at(12, 3, 4, "  tick: 1x").to_string(),
            "a.yml:12:3: no\n  12 |   tick: 1x\n     |   ^^^^"
        );
    }

    #[test]
    fn secrets_in_the_line_of_a_fault_are_not_shown() {
        for (source, shown) in [
            ("  password: topsecret", "  password: *********"),
            ("{username: u, password: \"a, b\", x: 1}", "{username: u, password: *************"),
            (
                "authorization: {credentials: abc, tyqe: Bearer}",
                "authorization: {credentials: ***, tyqe: Bearer}",
            ),
            ("- targets: ['http://u:pw@a:1/', 'b@c']", "- targets: ['http://****@a:1/', 'b@c']"),
            ("password_file: /run/secret", "password_file: /run/secret"),
        ] {
            assert_eq!(at(1, 1, 1, source).to_string(), format!("a.yml:1:1: no\n  1 | {shown}\n    | ^"));
        }
        let flag = Place::Flag("--scrape".into());
        let message = "\"http://u:p@h\" is no target".into();
        let error = ConfigError { place: flag, message, source_line: None };
        assert_eq!(error.to_string(), "--scrape: \"http://***@h\" is no target");
    }

    #[test]
    fn tabs_control_characters_and_long_lines_do_not_move_the_caret() {
        assert_eq!(at(1, 2, 9, "\tab\u{1b}").to_string(), "a.yml:1:2: no\n  1 |  ab\n    |  ^^");
        let text = at(1, 501, 3, &format!("{}bad{}", "x".repeat(500), "y".repeat(500))).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[2].find('^').unwrap();
        assert_eq!(&lines[1][caret..caret + 3], "bad");
        assert!(lines[1].len() < 140);
    }

    #[test]
    fn a_place_behind_the_end_of_the_line_has_one_caret() {
        assert_eq!(at(1, 4, 1, "ab").to_string(), "a.yml:1:4: no\n  1 | ab\n    |    ^");
    }

    #[test]
    fn many_errors_are_counted_not_listed() {
        let errors = ConfigErrors(vec![at(1, 1, 1, "x"); 60]);
        assert!(errors.to_string().ends_with("and 10 more errors"));
    }

    #[test]
    fn what_the_user_wrote_cannot_write_to_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
    }
}
