//! Which rule files there are: those of the configuration, and our own.

use std::path::{Path, PathBuf};

use super::Config;
use super::file::{self, RuleFile};
use crate::collect::textfile::glob;
use crate::config::{ConfigError, Place};

/// Largest rule file. Collections of rules for a whole cluster are a tenth of it.
const MAX_BYTES: u64 = 4 << 20;

/// The rules that are on by default, by their names.
pub(crate) const BUILT_IN: [(&str, &str); 6] = [
    ("anomalies.rules.yml", include_str!("../../../rules/anomalies.rules.yml")),
    ("application.rules.yml", include_str!("../../../rules/application.rules.yml")),
    ("bridge.rules.yml", include_str!("../../../rules/bridge.rules.yml")),
    ("gaugecast.rules.yml", include_str!("../../../rules/gaugecast.rules.yml")),
    ("host.rules.yml", include_str!("../../../rules/host.rules.yml")),
    ("targets.rules.yml", include_str!("../../../rules/targets.rules.yml")),
];

/// Where the files of [`BUILT_IN`] have the runbooks: what a gaugecast serves that is reached as its own defaults say.
pub(crate) const RUNBOOKS: &str = "http://localhost:7171/runbooks";

/// The rules that are on by default. Their alerts lead to the runbooks of the gaugecast that runs them.
#[must_use]
pub fn built_in() -> Vec<RuleFile> {
    // Their text is that of the file: it tells whether somebody loads the same one.
    let read = |(name, text): (&str, &str)| RuleFile {
        text: text.into(),
        ..file::parse(Path::new(name), &ours(text)).0
    };
    BUILT_IN.into_iter().map(read).collect()
}

fn ours(text: &str) -> String {
    let ours = |line: &str| match line.split_once(RUNBOOKS) {
        Some((key, anchor)) => format!("{key}'{{{{ $externalURL }}}}/runbooks{anchor}'\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(ours).collect()
}

/// Reads the files that the configuration names. What is wrong with them goes to `errors`, patterns that no file matches to
/// `warnings`.
pub(crate) fn read(config: &mut Config, errors: &mut Vec<ConfigError>, warnings: &mut Vec<String>) {
    config.files.clear();
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in &config.patterns {
        let found = matching(pattern);
        if found.is_empty() {
            warnings.push(format!("no rule file matches {}", pattern.display()));
        }
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    for path in paths {
        let whole = |message: String| ConfigError {
            place: Place::File(path.clone(), None),
            message,
            source_line: None,
        };
        let text = match text(&path) {
            Ok(text) => text,
            Err(message) => {
                errors.push(whole(message));
                continue;
            }
        };
        let (read, faults) = file::parse(&path, &text);
        errors.extend(faults.into_iter().map(|(at, message)| ConfigError {
            place: Place::File(path.clone(), Some(at)),
            message,
            source_line: text.lines().nth(at.line.saturating_sub(1)).map(str::to_owned),
        }));
        config.files.push(read);
    }
}

/// The text of a rule file.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read the rule file: {error}"))?;
    if !metadata.is_file() {
        return Err("a rule file must be a file".into()); // a pipe would block
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes, so hardly a rule file"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read the rule file: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "not valid UTF-8".into())
}

/// The files that match a path whose parts may hold `*` and `?`; one without these is named, there or not.
pub(crate) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let is_pattern = |part: &str| part.contains(['*', '?']);
    if !is_pattern(&pattern.to_string_lossy()) {
        return vec![pattern.to_owned()];
    }
    let mut found = vec![PathBuf::new()];
    for part in pattern {
        let part = part.to_string_lossy();
        if !is_pattern(&part) {
            found.iter_mut().for_each(|path| path.push(&*part));
            continue;
        }
        let mut next = Vec::new();
        for path in found {
            let folder = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if glob(&part, &name.to_string_lossy()) {
                    next.push(path.join(name));
                }
            }
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.exists());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_have_no_fault() {
        for (name, text) in BUILT_IN {
            assert_eq!(file::parse(Path::new(name), text).1, [], "{name}");
            assert_eq!(file::parse(Path::new(name), &ours(text)).1, [], "{name}");
        }
        assert!(built_in().iter().all(|file| !file.groups.is_empty()));
    }

    #[test]
    fn files_are_found_by_patterns_in_any_part_and_all_their_faults_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("a/1.yml", "groups: [{name: a, rules: [{record: x, expr: up}]}]\n");
        write("b/2.yml", "groups:\n- name: b\n  rules:\n  - record: x\n    expr: up +\n  - alert: y\n");
        write("b/2.txt", "no");
        let patterns = ["?/*.yml", "c/*.yml", "a/1.yml", "gone.yml"].map(|name| folder.path().join(name));
        let mut config = Config { patterns: patterns.into(), ..Config::default() };
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        read(&mut config, &mut errors, &mut warnings);
        assert_eq!(config.files.len(), 2);
        assert!(matches!(&*warnings, [one] if one.contains("c/*.yml")), "{warnings:?}");
        let told: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert!(
            told[0].contains("2.yml:5:15: could not parse expression: unexpected end of input"),
            "{told:?}"
        );
        assert!(told[1].contains("2.yml:6:5: field 'expr' must be set in rule"), "{told:?}");
        assert!(told[2].contains("gone.yml: cannot read the rule file"), "{told:?}");
    }
}
