//! `node_os_info` and `node_os_version` from `/etc/os-release` or `/usr/lib/os-release`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use super::file::file_error;
use super::text::number;
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Labels of the info, which are the keys of the file in lower case.
const KEYS: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

#[derive(Debug)]
pub(super) struct Os {
    paths: [PathBuf; 2],
    /// The file as last read, with its path's place and its time.
    read: Option<(usize, Option<SystemTime>, HashMap<String, String>)>,
}

impl Os {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        Os { paths: ["etc/os-release", "usr/lib/os-release"].map(|path| paths.rootfs.join(path)), read: None }
    }

    /// Reads the file again if it is another than last time.
    fn refresh(&mut self) -> Result<&HashMap<String, String>, CollectError> {
        let found =
            self.paths.iter().enumerate().find_map(|(place, path)| Some((place, path.metadata().ok()?)));
        let Some((place, metadata)) = found else {
            return Err(CollectError::NoData("there is no os-release file".into()));
        };
        let modified = metadata.modified().ok();
        let same = self.read.as_ref().is_some_and(|read| (read.0, read.1) == (place, modified));
        if !same {
            let path = &self.paths[place];
            let text = std::fs::read(path).map_err(|source| file_error(path, source))?;
            self.read = Some((place, modified, parse(&String::from_utf8_lossy(&text))));
        }
        Ok(&self.read.as_ref().expect("it was read just now or before").2)
    }
}

impl Collector for Os {
    fn name(&self) -> &'static str {
        "os"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let release = self.refresh()?;
        let value = |key: &str| release.get(key).map_or("", String::as_str);
        let help = "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, \
            image_version, name, pretty_name, variant, variant_id, version, version_codename, version_id.";
        page.family("node_os_info", Kind::Gauge, help).sample(&KEYS.map(|key| (key, value(key))), 1.0);
        if let Some(version) = major_minor(value("version_id")).filter(|version| *version > 0.0) {
            let help = "Metric containing the major.minor part of the OS version.";
            let labels = ["id", "id_like", "name"].map(|key| (key, value(key)));
            page.family("node_os_version", Kind::Gauge, help).sample(&labels, version);
        }
        Ok(())
    }
}

/// Keys in lower case; values without the quotes and escapes of a shell.
fn parse(text: &str) -> HashMap<String, String> {
    let pairs = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = pairs.filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_ascii_lowercase(), unquote(value.trim()))).collect()
}

fn unquote(value: &str) -> String {
    let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
        return value.into();
    };
    let (mut out, mut escaped) = (String::new(), false);
    for char in value[1..].chars() {
        if escaped || (char != quote && (char != '\\' || quote == '\'')) {
            out.push(char);
            escaped = false;
        } else if char == '\\' {
            escaped = true;
        } else {
            break;
        }
    }
    out
}

/// `24.04.1` is 24.04.
fn major_minor(version: &str) -> Option<f64> {
    let mut dots = 0;
    let end = version.find(|c: char| {
        dots += usize::from(c == '.');
        !c.is_ascii_digit() && (c != '.' || dots > 1)
    });
    let version = &version[..end.unwrap_or(version.len())];
    number(version.strip_suffix('.').unwrap_or(version).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_comments_and_escapes_are_those_of_a_shell() {
        let release = parse("# of ours\nNAME=\"A \\\"B\\\" \\$C\"\nID='x\\y'\n\nVERSION_ID=24.04.1\nodd\n");
        assert_eq!(release["name"], "A \"B\" $C");
        assert_eq!(release["id"], "x\\y");
        assert_eq!(major_minor(&release["version_id"]), Some(24.04));
        assert_eq!(major_minor("12"), Some(12.0));
        assert_eq!(major_minor("12."), Some(12.0));
        assert_eq!(major_minor("rolling"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_release(text: String) {
            for value in parse(&text).values() {
                let _ = major_minor(value);
            }
        }
    }
}
