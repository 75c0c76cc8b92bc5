//! Targets in files: lists of groups, as JSON or YAML.
//!
//! A file is read again when its time or size differs. One that cannot be read, or is wrong, keeps what it said before;
//! one that is gone takes its targets with it, as in Prometheus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::config::{self, Files, Group};
use super::{Discovered, groups_of_json};
use crate::collect::textfile::glob;
use crate::config::section::Reading;
use crate::config::yaml;

/// Largest file. Ten thousand targets are about 1 MiB.
const MAX_BYTES: u64 = 16 << 20;

/// The files of one `file_sd_configs`.
#[derive(Debug)]
pub(crate) struct Folder {
    patterns: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Known>,
}

/// A file as it was last seen.
#[derive(Clone, Debug)]
struct Known {
    seen: Option<(SystemTime, u64)>,
    groups: Vec<Group>,
    fault: Option<String>,
}

/// What the files say, and what is wrong with some of them.
type Read = (Vec<Discovered>, Option<String>);

impl Folder {
    /// Those that match the patterns.
    pub(crate) fn new(files: &Files) -> Self {
        Folder { patterns: files.patterns.clone(), files: BTreeMap::new() }
    }

    /// Looks at the files, off the threads that must not wait.
    pub(crate) async fn read(&mut self) -> Result<Read, String> {
        let (patterns, known) = (self.patterns.clone(), self.files.clone());
        let looked = tokio::task::spawn_blocking(move || look(&patterns, &known)).await;
        self.files = looked.map_err(|error| error.to_string())?;
        let found = self.files.iter().flat_map(|(path, known)| {
            let meta = ("__meta_filepath", path.display().to_string());
            let discovered = |group: &Group| Discovered { group: group.clone(), meta: Some(meta.clone()) };
            known.groups.iter().map(discovered).collect::<Vec<_>>()
        });
        // All of them: one that stays must not hide another.
        let faults: Vec<&str> = self.files.values().filter_map(|known| known.fault.as_deref()).collect();
        Ok((found.collect(), (!faults.is_empty()).then(|| faults.join("; "))))
    }
}

fn look(patterns: &[PathBuf], known: &BTreeMap<PathBuf, Known>) -> BTreeMap<PathBuf, Known> {
    let paths = patterns.iter().flat_map(|pattern| matching(pattern));
    paths
        .map(|path| {
            let before = known.get(&path);
            let seen = stamp(&path);
            let now = match before {
                Some(before) if before.seen == seen && seen.is_some() => before.clone(),
                _ => match groups(&path) {
                    Ok(groups) => Known { seen, groups, fault: None },
                    Err(reason) => Known {
                        seen,
                        groups: before.map(|before| before.groups.clone()).unwrap_or_default(),
                        fault: Some(format!("{}: {reason}", path.display())),
                    },
                },
            };
            (path, now)
        })
        .collect()
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The files that match a pattern: in its last part `*` and `?` stand for others.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new(""));
    if !name.contains(['*', '?']) {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let folder_read = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder_read).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|found| glob(name, found)).map(|found| folder.join(found)).collect()
}

fn groups(path: &Path) -> Result<Vec<Group>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".into()); // a pipe would block
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => groups_of_json(&text),
        _ => groups_of_yaml(std::str::from_utf8(&text).map_err(|_| "it is not UTF-8")?),
    }
}

fn groups_of_yaml(text: &str) -> Result<Vec<Group>, String> {
    let (root, faults) = yaml::parse(text);
    let at = |(at, message): yaml::Fault| format!("line {}: {message}", at.line);
    if let Some(fault) = faults.into_iter().next() {
        return Err(at(fault));
    }
    let Some(root) = root else { return Ok(Vec::new()) };
    let as_it_stands = |_: &str| None;
    let reading = Reading::new(&as_it_stands, Path::new(""), true);
    let items = reading.list(&root, "the file");
    let maps = items.iter().filter_map(|item| reading.map(item, "a group"));
    let groups = maps
        .map(|map| {
            let group = config::group(&map);
            map.finish(&[]);
            group
        })
        .collect();
    match reading.into_faults().into_iter().next() {
        Some(fault) => Err(at(fault)),
        None => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(read: &Read) -> Vec<String> {
        read.0.iter().flat_map(|found| found.group.targets.clone()).collect()
    }

    #[tokio::test]
    async fn files_are_found_by_pattern_and_a_bad_one_keeps_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.json", r#"[{"targets": ["a:1"], "labels": {"x": "1"}}, {"targets": ["a:2"]}]"#);
        write("b.yml", "- targets: [b:1]\n  labels: {y: 2}\n");
        write("c.txt", "- targets: [c:1]\n");
        let patterns = ["*.json", "?.yml"].map(|name| folder.path().join(name)).into();
        let mut files = Folder::new(&Files { patterns, refresh: std::time::Duration::from_secs(1) });
        let read = files.read().await.unwrap();
        assert_eq!((addresses(&read), &read.1), (["a:1", "a:2", "b:1"].map(String::from).into(), &None));
        assert_eq!(read.0[2].group.labels["y"], "2");
        assert!(read.0[2].meta.as_ref().is_some_and(|(_, path)| path.ends_with("b.yml")));

        write("b.yml", "- targets: [b:1, b:2]\n  lables: {}\n");
        let read = files.read().await.unwrap();
        assert_eq!(addresses(&read).len(), 3);
        let fault = read.1.unwrap();
        assert!(
            fault.contains("b.yml: line 2: unknown key `lables` in a group; did you mean `labels`?"),
            "{fault}"
        );

        write("a.json", "null");
        let fault = files.read().await.unwrap().1.unwrap();
        assert!(fault.contains("a.json: ") && fault.contains("; ") && fault.contains("b.yml: "), "{fault}");

        write("b.yml", "- targets: [b:3]\n");
        std::fs::remove_file(folder.path().join("a.json")).unwrap();
        let read = files.read().await.unwrap();
        assert_eq!((addresses(&read), read.1), (vec!["b:3".to_owned()], None));
    }

    #[test]
    fn what_is_no_list_of_groups_is_told() {
        for (text, told) in [
            ("{}", "must be a list"),
            ("- a", "must be a mapping"),
            ("- targets: [http://a/]", "not HOST:PORT"),
        ] {
            let error = groups_of_yaml(text).unwrap_err();
            assert!(error.starts_with("line 1: ") && error.contains(told), "{text}: {error}");
        }
        assert!(groups_of_json(br#"[{"target": []}]"#).is_err());
        assert_eq!(groups_of_json(b"[]"), Ok(Vec::new()));
    }
}
