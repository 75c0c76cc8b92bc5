//! What `gaugecast provision` writes is what stands in the repository.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gaugecast::provision::{Options, Part, files};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn the_files_of_the_repository_are_what_is_written_by_default() {
    let made = files(&Part::all(), &Options::default()).unwrap();
    let again = "cargo run -- provision --out . --force";
    for file in &made {
        let there = fs::read_to_string(root().join(&file.path)).unwrap_or_default();
        assert!(file.text == there, "{} is not what the code makes: {again}", file.path);
    }
    let made: BTreeSet<String> = made.into_iter().map(|file| file.path).collect();
    let mut there = BTreeSet::new();
    for folder in ["grafana", "rules", "packaging"] {
        if root().join(folder).exists() {
            files_below(&root().join(folder), &mut there);
        }
    }
    there.retain(|path| !path.starts_with("rules/tests/"));
    let extra: Vec<_> = there.difference(&made).collect();
    assert!(extra.is_empty(), "files that nothing writes: {extra:?}");
}

#[test]
fn a_threshold_and_a_job_reach_prometheus_and_grafana_alike() {
    let mut options = Options { job: "edge".into(), ..Options::default() };
    options.thresholds.insert("HighLatency.critical".into(), 0.8125);
    let made = files(&Part::all(), &options).unwrap();
    let text = |path: &str| made.iter().find(|file| file.path == path).unwrap().text.to_string();
    let (rules, grafana) =
        (text("rules/application.rules.yml"), text("grafana/provisioning/alerting/rules.yml"));
    for text in [&rules, &grafana] {
        assert_eq!(text.matches("> 0.8125").count(), 1);
        assert_eq!(text.matches("> 0) > 0.1\n").count() + text.matches("> 0) > 0.1'").count(), 1);
    }
    assert!(rules.contains("gaugecast_clear_below: '0.65'"), "0.4 of 0.5 is as 0.65 of 0.8125");
    for text in [text("rules/targets.rules.yml"), text("rules/gaugecast.rules.yml"), grafana] {
        assert!(text.contains("\"edge\"") && !text.contains("\"gaugecast\""));
    }
    let mut unknown = Options::default();
    unknown.thresholds.insert("HighLatencies".into(), 1.0);
    let error = files(&[Part::Prometheus], &unknown).unwrap_err().to_string();
    assert!(error.contains("did you mean HighLatency?"), "{error}");
}
