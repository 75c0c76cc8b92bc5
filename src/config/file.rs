//! The configuration file: reading it, `${VAR}`, and which key is which setting or part.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place, Position, plain};
use super::section::{Part, Reading, Written, parts};
use super::settings::{INEFFECTIVE, Setting, UNSUPPORTED};
use super::yaml::{self, Key, Node, Value};
use super::{Config, DEFAULT_FILE, Entry, Given, Layer, Origins};

/// Largest file. The largest sensible one, a thousand targets, is a tenth of it.
const MAX_BYTES: u64 = 1 << 20;

/// A file that was read.
pub(super) struct ReadFile<'a> {
    /// Which.
    pub(super) path: PathBuf,
    /// What it sets.
    pub(super) layer: Layer<'a>,
    /// What looks wrong but stops nothing.
    pub(super) warnings: Vec<String>,
    /// The structured parts, read once all settings are known.
    parts: Vec<(&'static Part, Position, Node)>,
    text: String,
}

impl ReadFile<'_> {
    /// A line of it, from 1.
    pub(super) fn line(&self, number: usize) -> Option<String> {
        line(&self.text, number)
    }

    /// Reads the structured parts into the configuration. Gives the key of the first that holds a secret.
    pub(super) fn read_parts(
        &self,
        config: &mut Config,
        origins: &mut Origins,
        env: &dyn Fn(&str) -> Option<String>,
        errors: &mut Vec<ConfigError>,
    ) -> Option<&'static str> {
        let settled = errors.is_empty();
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut secret = None;
        // Not as the file has them: some check the names of others, and a route may stand above its receivers.
        let order = |key| parts().iter().position(|part| part.key == key);
        let mut ordered: Vec<_> = self.parts.iter().collect();
        ordered.sort_by_key(|(part, ..)| order(part.key));
        for (part, at, node) in ordered {
            let place = |at| Place::File(self.path.clone(), Some(at));
            let reading = Reading::new(env, folder, settled);
            (part.read)(config, &reading, node);
            if reading.has_secrets() {
                secret = secret.or(Some(part.key));
            }
            let written: Written = reading.written(part.key, node);
            config.written.push(written);
            origins.insert(part.key.to_owned(), place(*at));
            errors.extend(reading.into_faults().into_iter().map(|(at, message)| ConfigError {
                place: place(at),
                message,
                source_line: self.line(at.line),
            }));
        }
        secret
    }
}

/// Reads the file `given`, or the default one if that exists. What is wrong goes to `errors`.
pub(super) fn read<'a>(
    table: &'a [Setting],
    given: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) -> Option<ReadFile<'a>> {
    let path = given.unwrap_or(Path::new(DEFAULT_FILE));
    let fault = |message: String| ConfigError {
        place: Place::File(path.to_owned(), None),
        message,
        source_line: None,
    };
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            errors.push(fault(format!("cannot read the configuration: {error}")));
            return None;
        }
    };
    if bytes.len() as u64 > MAX_BYTES {
        errors.push(fault("larger than 1 MiB, so hardly a configuration".into()));
        return None;
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            let at = Position {
                line: before.matches('\n').count() + 1,
                column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
                length: 1,
            };
            let line = String::from_utf8_lossy(error.as_bytes()).lines().nth(at.line - 1).map(str::to_owned);
            let place = Place::File(path.to_owned(), Some(at));
            errors.push(ConfigError { place, message: "not valid UTF-8".into(), source_line: line });
            return None;
        }
    };
    let (root, faults) = yaml::parse(&text);
    let mut walk = Walk {
        table,
        path,
        text: &text,
        env,
        layer: Layer::default(),
        parts: Vec::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    for (at, message) in faults {
        walk.fault(at, message);
    }
    if let Some(root) = root {
        walk.section("", &root);
    }
    errors.append(&mut walk.errors);
    // Wherever they stand: some are judged against others above them in the table.
    walk.parts.sort_by_key(|(part, ..)| parts().iter().position(|other| other.key == part.key));
    let Walk { layer, parts, warnings, .. } = walk;
    Some(ReadFile { path: path.to_owned(), layer, warnings, parts, text })
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    // Opening a pipe waits for a writer, and what it says cannot be read again.
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&std::fs::metadata(path)?.file_type()) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is a pipe, not a file"));
    }
    let file = std::fs::File::open(path)?;
    // Opening a folder succeeds on Unix; what reading it says differs between systems.
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn line(text: &str, number: usize) -> Option<String> {
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

struct Walk<'a, 'w> {
    table: &'a [Setting],
    path: &'w Path,
    text: &'w str,
    env: &'w dyn Fn(&str) -> Option<String>,
    layer: Layer<'a>,
    parts: Vec<(&'static Part, Position, Node)>,
    warnings: Vec<String>,
    errors: Vec<ConfigError>,
}

impl<'a> Walk<'a, '_> {
    fn fault(&mut self, at: Position, message: String) {
        self.errors.push(ConfigError {
            place: self.place(at),
            message,
            source_line: line(self.text, at.line),
        });
    }

    fn place(&self, at: Position) -> Place {
        Place::File(self.path.to_owned(), Some(at))
    }

    /// Walks through the mapping at `path`; the root is the empty path.
    fn section(&mut self, path: &str, node: &Node) {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            // `web:` with everything under it commented out.
            Value::Null => return,
            other => {
                let what = if path.is_empty() { "the file".into() } else { format!("`{path}`") };
                let keys = self.children(path).join(", ");
                let message =
                    format!("{what} must be a mapping with the keys {keys}; this is {}", other.name());
                return self.fault(node.at, message);
            }
        };
        for (key, value) in entries {
            let full = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
            let table = self.table;
            let switch = format!("{full}.enabled");
            let find = |wanted: &str| table.iter().find(|s| s.key.as_deref() == Some(wanted));
            if let Some(part) = parts().iter().find(|part| part.key == full) {
                // As in Prometheus, a key with nothing under it is one that was left out.
                if value.value != Value::Null {
                    self.parts.push((part, key.at, value.clone()));
                }
            } else if let Some(setting) = find(&full) {
                self.setting(setting, key, value);
            } else if let (Some(setting), Value::Scalar { .. }) = (find(&switch), &value.value) {
                // `cpu: false` is short for `cpu: {enabled: false}`.
                self.setting(setting, key, value);
            } else if !self.children(&full).is_empty() {
                self.section(&full, value);
            } else if key.text != "<<" && !key.text.is_empty() {
                self.unknown(path, &full, key);
            }
        }
    }

    /// The keys that a section can have, in the order of the table.
    fn children(&self, path: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        let settings = self.table.iter().filter_map(|setting| setting.key.as_deref());
        for key in settings.chain(parts().iter().map(|part| part.key)) {
            let below = if path.is_empty() {
                Some(key)
            } else {
                key.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
            };
            let Some(child) = below.and_then(|below| below.split('.').next()) else { continue };
            if !keys.iter().any(|known| known == child) {
                keys.push(child.to_owned());
            }
        }
        keys
    }

    fn unknown(&mut self, section: &str, full: &str, key: &Key) {
        let shown = plain(&key.text);
        if INEFFECTIVE.contains(&full) {
            let (path, line) = (self.path.display(), key.at.line);
            let told = format!("{path}:{line}: `{shown}` is not supported by this version and has no effect");
            return self.warnings.push(told);
        }
        if UNSUPPORTED.contains(&full) {
            return self.fault(key.at, format!("`{shown}` is not supported by this version"));
        }
        let place = if section.is_empty() { String::new() } else { format!(" in `{section}`") };
        let keys = self.children(section);
        let elsewhere = self.table.iter().filter_map(|setting| setting.key.as_deref()).find(|known| {
            let (_, last) = known.rsplit_once('.').unwrap_or(("", known));
            last == key.text && last != "enabled"
        });
        let hint = if let Some(near) = crate::spelling::nearest(&key.text, keys.iter().cloned()) {
            format!("did you mean `{near}`?")
        } else if let Some(known) = elsewhere {
            format!("did you mean `{known}`?")
        } else {
            format!("known are {}", keys.join(", "))
        };
        self.fault(key.at, format!("unknown key `{shown}`{place}; {hint}"));
    }

    fn setting(&mut self, setting: &'a Setting, key: &Key, node: &Node) {
        let wrong = |got: &str| format!("`{}` must be a {}, not {got}", key.text, setting.field.describe());
        let wrong = |got: &str| match setting.field.describe() {
            many if setting.field.is_list() => format!("`{}` must be a {many}, not {got}", key.text),
            one if one.starts_with("true") => format!("`{}` must be {one}, not {got}", key.text),
            _ => wrong(got),
        };
        let nodes: Vec<&Node> = match &node.value {
            Value::Scalar { .. } => vec![node],
            Value::List(items) if setting.field.is_list() => items.iter().collect(),
            Value::Null => {
                let message = format!("`{}` has no value; leave the key out for the default", key.text);
                return self.fault(key.at, message);
            }
            other => return self.fault(node.at, wrong(other.name())),
        };
        let mut values = Vec::new();
        for node in nodes {
            let Value::Scalar { text, quoted } = &node.value else {
                self.fault(node.at, wrong(&format!("a list with {} in it", node.value.name())));
                continue;
            };
            match expand(text, self.env) {
                Ok(_) if *quoted && setting.field.is_bare() && !text.contains("${") => {
                    let message = format!("{text:?} is text here; write it without the quotes");
                    self.fault(node.at, plain(&message));
                }
                Ok(text) => values.push(Given {
                    text,
                    place: self.place(node.at),
                    source_line: line(self.text, node.at.line),
                }),
                Err(message) => self.fault(node.at, message),
            }
        }
        // Where a part is already told to be wrong, a list without it would be judged wrongly.
        let complete = match &node.value {
            Value::List(items) => values.len() == items.len(),
            _ => values.len() == 1,
        };
        if complete {
            self.layer.entries.push(Entry { setting, place: self.place(key.at), values });
        }
    }
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. Any other `$` is itself, so that regular
/// expressions need no care.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some(end) = after.find('}') else {
            return Err("`${` without `}`; write `$${` for the two characters themselves".into());
        };
        let inside = &after[..end];
        let (name, default) =
            inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            let name = plain(name);
            return Err(format!("`{name}` is not the name of a variable; write `$${{` for `${{` itself"));
        }
        // As in a shell, `:-` also stands in for an empty variable.
        let value = env(name).filter(|value| default.is_none() || !value.is_empty());
        match value.as_deref().or(default) {
            Some(value) => out.push_str(value),
            None => {
                return Err(format!(
                    "environment variable {name} is not set; set it, or write `${{{name}:-default}}`"
                ));
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &|name| match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_replaced_and_other_dollars_are_not() {
        for (text, result) in [
            ("${A}", "one"),
            ("x${A}y${A}", "xoneyone"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-three}", "three"),
            ("$${A}", "${A}"),
            ("^(lo|docker.*)$", "^(lo|docker.*)$"),
            ("$A $$", "$A $$"),
        ] {
            assert_eq!(expanded(text), Ok(result.into()), "{text}");
        }
    }

    #[test]
    fn an_undefined_variable_is_an_error_that_says_what_to_do() {
        assert_eq!(
            expanded("${B}"),
            Err("environment variable B is not set; set it, or write `${B:-default}`".into())
        );
        assert!(expanded("${A").is_err());
        assert!(expanded("${1x}").is_err());
        assert!(expanded("${}").is_err());
    }
}
