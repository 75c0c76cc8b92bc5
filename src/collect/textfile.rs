//! The textfile collector: `*.prom` files that other programs leave in a folder.
//!
//! As in node_exporter, a file that is wrong is left out whole and the others are shown: wrong is what does not
//! parse, holds timestamps, is over [`LONGEST`], or gives a family another type than a file before it. Which
//! it is, is told in `gaugecast_textfile_error{file}` and why in the log, once for each change.
//!
//! Families of the same name from several files are joined, with the type of the first and the first help, so
//! that the page stays one that parses. A file is read and checked again only when its time or length has changed.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{CollectError, Collector};
use crate::exposition::page::PageWriter;
use crate::exposition::parse::Format;
use crate::exposition::read::Reader;
use crate::series::{Kind, NO_TIME};

/// Length of a file at most.
pub const LONGEST: u64 = 1 << 20;

/// The collector `textfile`.
#[derive(Debug)]
pub struct Textfile {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, State>,
    /// The last failure of each folder, so that it is logged once.
    unreadable: HashMap<PathBuf, String>,
}

/// What is known of a file.
#[derive(Debug)]
struct State {
    seen: Stamp,
    content: Result<Vec<Family>, String>,
    told: Option<String>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A family as it stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family {
    name: String,
    /// The word of the `# TYPE` line.
    kind: String,
    /// The rest of the `# HELP` line, escaped; none if there is no such line.
    help: Option<String>,
    /// Lines.
    samples: String,
    /// Files it stands in.
    files: Vec<String>,
}

impl Textfile {
    /// A collector of the files in these folders. `*` and `?` in the last parts of a path are patterns.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Textfile { folders, files: BTreeMap::new(), unreadable: HashMap::new() }
    }

    /// The files there are, with their stamps. False when a folder could not be read.
    fn look(&mut self) -> (Vec<(PathBuf, Stamp)>, bool) {
        let (mut found, mut whole) = (Vec::new(), true);
        for pattern in &self.folders {
            for folder in expand(pattern) {
                match files_in(&folder) {
                    Ok(files) => {
                        found.extend(files);
                        self.unreadable.remove(&folder);
                    }
                    Err(error) => {
                        whole = false;
                        let reason = error.to_string();
                        if self.unreadable.get(&folder) != Some(&reason) {
                            tracing::error!(folder = %folder.display(), reason, "cannot read the textfile folder");
                            self.unreadable.insert(folder, reason);
                        }
                    }
                }
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|a, b| a.0 == b.0);
        (found, whole)
    }

    fn refresh(&mut self, found: &[(PathBuf, Stamp)]) {
        self.files.retain(|path, _| found.binary_search_by(|(found, _)| found.cmp(path)).is_ok());
        for (path, seen) in found {
            let state = self.files.get(path);
            if state.is_none_or(|state| state.seen != *seen) {
                let told = state.and_then(|state| state.told.clone());
                let content = read(path).and_then(|text| parse(&text, path));
                self.files.insert(path.clone(), State { seen: *seen, content, told });
            }
        }
    }
}

impl Collector for Textfile {
    fn name(&self) -> &'static str {
        "textfile"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let (found, mut whole) = self.look();
        self.refresh(&found);

        let mut joined: BTreeMap<&str, Family> = BTreeMap::new();
        let mut verdicts = Vec::new();
        for (path, state) in &self.files {
            let verdict = match &state.content {
                Ok(families) => join(&mut joined, families),
                Err(reason) => Err(reason.clone()),
            };
            verdicts.push((path.display().to_string(), state.seen, verdict.err()));
        }
        for family in joined.values() {
            page.raw(family.text().as_bytes());
        }

        let help = "Unixtime mtime of textfiles successfully read.";
        let mut family = page.family("node_textfile_mtime_seconds", Kind::Gauge, help);
        for (file, seen, _) in verdicts.iter().filter(|(.., error)| error.is_none()) {
            let since = seen.modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
            #[allow(clippy::cast_precision_loss)]
            family.sample(&[("file", file)], since.unwrap_or_default().as_secs() as f64);
        }
        let mut family =
            page.family("gaugecast_textfile_error", Kind::Gauge, "Textfiles left out; the log says why.");
        for (file, ..) in verdicts.iter().filter(|(.., error)| error.is_some()) {
            whole = false;
            family.sample(&[("file", file)], 1.0);
        }
        let help = "1 if there was an error opening or reading a file, 0 otherwise";
        page.single("node_textfile_scrape_error", Kind::Gauge, help, f64::from(u8::from(!whole)));

        for (state, (file, _, error)) in self.files.values_mut().zip(verdicts) {
            if state.told != error {
                match &error {
                    Some(reason) => tracing::error!(file, reason, "textfile left out"),
                    None => tracing::info!(file, "textfile is shown again"),
                }
                state.told = error;
            }
        }
        Ok(())
    }
}

impl Family {
    fn text(&self) -> String {
        let Family { name, kind, help, samples, files } = self;
        let generic = || format!("Metric read from {}", files.join(", ")).replace('\\', "\\\\");
        let help = help.clone().unwrap_or_else(generic);
        format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}")
    }
}

/// Adds the families of a file, all of them or none.
fn join<'a>(joined: &mut BTreeMap<&'a str, Family>, families: &'a [Family]) -> Result<(), String> {
    for family in families {
        if OURS.contains(&family.name.as_str()) {
            return Err(format!("the family {} is the collector's own", family.name));
        }
        if let Some(before) = joined.get(&*family.name).filter(|before| before.kind != family.kind) {
            let Family { name, kind, .. } = family;
            return Err(format!("the type of {name} is {kind}, but {} in another file", before.kind));
        }
    }
    for family in families {
        match joined.get_mut(&*family.name) {
            Some(before) => {
                before.samples.push_str(&family.samples);
                before.files.extend_from_slice(&family.files);
                before.help = before.help.take().or_else(|| family.help.clone());
            }
            None => drop(joined.insert(&family.name, family.clone())),
        }
    }
    Ok(())
}

/// Families that this collector writes itself.
const OURS: [&str; 3] =
    ["node_textfile_mtime_seconds", "node_textfile_scrape_error", "gaugecast_textfile_error"];

/// Folders that match a path in which parts may be patterns; the path itself if none does.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern {
        let part = part.to_string_lossy();
        if !part.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(&*part));
            continue;
        }
        let mut next = Vec::new();
        for path in found {
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                if glob(&part, &entry.file_name().to_string_lossy()) {
                    next.push(entry.path());
                }
            }
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.is_dir());
    if found.is_empty() { vec![pattern.to_owned()] } else { found }
}

/// Does a name match a pattern of `*` and `?`?
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                // The last star takes one more character.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn files_in(folder: &Path) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "prom") {
            continue;
        }
        let metadata = path.metadata();
        let stamp = Stamp {
            modified: metadata.as_ref().ok().and_then(|metadata| metadata.modified().ok()),
            length: metadata.map_or(0, |metadata| metadata.len()),
        };
        files.push((path, stamp));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    let read = || -> io::Result<Vec<u8>> {
        if !path.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file")); // a FIFO would block
        }
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err("longer than 1 MiB".into());
    }
    String::from_utf8(text)
        .map_err(|error| format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
}

/// Splits a file into families, after the reader found it right.
fn parse(text: &str, path: &Path) -> Result<Vec<Family>, String> {
    let mut reader = Reader::new();
    let page = reader.read(text.as_bytes(), Format::Text).map_err(|error| error.to_string())?;
    if page.samples().iter().any(|sample| sample.time_ms != NO_TIME) {
        return Err("it has timestamps, which a textfile may not".into());
    }
    let mut families: Vec<Family> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim_start();
            let Some((word, rest)) = comment.split_once([' ', '\t']) else { continue };
            if !matches!(word, "HELP" | "TYPE") {
                continue;
            }
            let (name, rest) = rest.trim_start().split_once([' ', '\t']).unwrap_or((rest.trim_start(), ""));
            let family = family(&mut families, name);
            if word == "HELP" {
                family.help = Some(rest.trim_start().to_owned());
            } else {
                family.kind = rest.trim().to_owned();
            }
        } else if !line.is_empty() {
            let (name, rest) = split_sample(line).ok_or(format!("line {}: not a sample", number + 1))?;
            match rest.split_whitespace().count() {
                1 => {}
                0 => return Err(format!("line {}: no value", number + 1)),
                _ => return Err(format!("line {}: a timestamp, which a textfile may not have", number + 1)),
            }
            let owner = owner(&families, name);
            let family = family(&mut families, &owner);
            family.samples.push_str(line);
            family.samples.push('\n');
        }
    }
    families.retain(|family| !family.samples.is_empty());
    for family in &mut families {
        if family.kind.is_empty() {
            family.kind = "untyped".into();
        }
        family.files.push(path.display().to_string());
    }
    Ok(families)
}

fn family<'a>(families: &'a mut Vec<Family>, name: &str) -> &'a mut Family {
    let place = families.iter().rposition(|family| family.name == name).unwrap_or_else(|| {
        families.push(Family { name: name.to_owned(), ..Family::default() });
        families.len() - 1
    });
    &mut families[place]
}

/// Name of the family that a sample belongs to: without `_bucket`, `_sum`, `_count` where a histogram or
/// summary has that name.
fn owner(families: &[Family], name: &str) -> String {
    for suffix in ["_bucket", "_sum", "_count"] {
        let Some(base) = name.strip_suffix(suffix) else { continue };
        let family = families.iter().rfind(|family| family.name == base);
        let fits = |kind: &str| kind == "histogram" || (kind == "summary" && suffix != "_bucket");
        if family.is_some_and(|family| fits(&family.kind)) {
            return base.to_owned();
        }
    }
    name.to_owned()
}

/// Name of a sample and what follows its labels.
fn split_sample(line: &str) -> Option<(&str, &str)> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    if name.is_empty() || !rest.starts_with('{') {
        return (!name.is_empty()).then_some((name, rest));
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some((name, &rest[at + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    struct Folder {
        folder: tempfile::TempDir,
        collector: Textfile,
    }

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            let collector = Textfile::new(vec![folder.path().to_owned()]);
            Folder { folder, collector }
        }

        /// The page without mtime values and with the folder cut off.
        fn page(&mut self) -> String {
            let mut page = PageWriter::new();
            self.collector.collect(&mut page).unwrap();
            let text = String::from_utf8(page.into_bytes()).unwrap();
            text.replace(&format!("{}/", self.folder.path().display()), "")
        }

        fn samples(&mut self) -> Vec<String> {
            let page = self.page();
            let lines = page.lines().filter(|line| !line.starts_with('#'));
            lines
                .map(|line| match line.strip_prefix("node_textfile_mtime_seconds{file=") {
                    Some(file) => format!("read {}", file.split('"').nth(1).unwrap()),
                    None => line.replace("gaugecast_textfile_error{file=", "error {"),
                })
                .collect()
        }
    }

    #[test]
    fn a_bad_file_is_named_and_takes_nothing_from_the_others() {
        let long = format!("a 1\n{}", "# x\n".repeat(1 << 18));
        for bad in ["b 1 1234567890\n", "b{x=\"1\"\n", "b\n", &long, "# TYPE good counter\ngood{x=\"1\"} 2\n"]
        {
            let mut folder =
                Folder::new(&[("1.prom", "# TYPE good gauge\ngood 1\n"), ("2.prom", bad), ("3.txt", "x")]);
            assert_eq!(
                folder.samples(),
                ["good 1", "read 1.prom", "error {\"2.prom\"} 1", "node_textfile_scrape_error 1"],
                "{bad:?}"
            );
        }
    }

    #[test]
    fn families_of_several_files_are_joined_with_the_first_help() {
        let mut folder = Folder::new(&[
            ("a.prom", "# TYPE x gauge\nx{f=\"a } b\"} 1\ny{f=\"a\"} 2\n"),
            ("b.prom", "# HELP x First.\n# TYPE x gauge\nx{f=\"b\"} 2\ny 3\n"),
            ("c.prom", "# HELP x Second.\n# TYPE x gauge\nx{f=\"c\"} 3\n"),
        ]);
        let page = folder.page();
        assert!(
            page.starts_with(
                "# HELP x First.\n# TYPE x gauge\nx{f=\"a } b\"} 1\nx{f=\"b\"} 2\nx{f=\"c\"} 3\n\
                 # HELP y Metric read from a.prom, b.prom\n# TYPE y untyped\ny{f=\"a\"} 2\ny 3\n"
            ),
            "{page}"
        );
        assert!(page.ends_with("\nnode_textfile_scrape_error 0\n"), "{page}");
    }

    #[test]
    fn buckets_stay_with_their_histogram() {
        let text = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\nh_other 5\n";
        let families = parse(text, Path::new("x")).unwrap();
        assert_eq!(families.iter().map(|family| &*family.name).collect::<Vec<_>>(), ["h", "h_other"]);
        assert_eq!(families[0].samples.lines().count(), 3);
    }

    #[test]
    fn a_file_that_changes_or_goes_is_followed() {
        let mut folder = Folder::new(&[("a.prom", "a 1\n")]);
        assert_eq!(folder.samples()[0], "a 1");
        fs::write(folder.folder.path().join("a.prom"), "a 1 \nb 22\n").unwrap();
        assert_eq!(folder.samples()[..2], ["a 1", "b 22"]);
        fs::remove_file(folder.folder.path().join("a.prom")).unwrap();
        assert_eq!(folder.samples(), ["node_textfile_scrape_error 0"]);
    }

    #[test]
    fn a_missing_folder_is_an_error_and_patterns_choose_folders() {
        let mut folder = Folder::new(&[]);
        fs::create_dir_all(folder.folder.path().join("job1/x")).unwrap();
        fs::create_dir_all(folder.folder.path().join("job2")).unwrap();
        fs::write(folder.folder.path().join("job1/x.prom"), "x 1\n").unwrap();
        folder.collector = Textfile::new(vec![folder.folder.path().join("job?")]);
        assert_eq!(folder.samples(), ["x 1", "read job1/x.prom", "node_textfile_scrape_error 0"]);
        folder.collector = Textfile::new(vec![folder.folder.path().join("none")]);
        assert_eq!(folder.samples(), ["node_textfile_scrape_error 1"]);
    }

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*", "x", true),
            ("a*b*c", "aXbYbc", true),
            ("a?", "a", false),
            ("a*b", "ac", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern, name), want, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_families_or_an_error(text in "[ -~\n\"{}#]{0,200}") {
            if let Ok(families) = parse(&text, Path::new("x")) {
                prop_assert!(families.iter().all(|family| !family.samples.is_empty()));
            }
        }
    }
}
