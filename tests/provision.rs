//! `gaugecast provision`: by default its files are those of the repository, and what a user chooses is where it belongs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gaugecast::provision::{File, Options, Part, files};

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
    // Tests of rules, what makes the Debian package, and a snippet to be pasted into a configuration that is there.
    let not_written = ["rules/tests/", "packaging/debian/", "packaging/nginx/"];
    there.retain(|path| !not_written.iter().any(|folder| path.contains(folder)));
    let extra: Vec<_> = there.difference(&made).collect();
    assert!(extra.is_empty(), "files that nothing writes: {extra:?}");
}

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap().text
}

#[test]
fn the_address_the_job_and_labels_are_where_they_are_used() {
    let mut options = Options { host: "[::1]".into(), port: 9009, job: "edge".into(), ..Options::default() };
    options.labels.insert("site".into(), "it's 1: here".into());
    let made = files(&Part::all(), &options).unwrap();
    let prometheus = text(&made, "prometheus.yml");
    let lines: Vec<&str> = prometheus.lines().map(str::trim).collect();
    for line in ["- job_name: edge", "- targets: ['[::1]:9009']", "labels:", "site: 'it''s 1: here'"] {
        assert!(lines.contains(&line), "{line}\n{prometheus}");
    }
    assert!(
        text(&made, "grafana/provisioning/datasources/gaugecast.yml").contains("url: http://[::1]:9009\n")
    );
    assert_eq!(text(&made, "docker-compose.yml").matches("--web.listen-address=127.0.0.1:9009").count(), 2);
    for file in made.iter().filter(|file| !file.path.starts_with("grafana/dashboards/")) {
        assert!(!file.text.contains("7171"), "{}", file.path);
        assert!(!file.text.contains("job=\"gaugecast\""), "{}", file.path);
    }
}

#[test]
fn what_cannot_stand_in_the_files_is_refused() {
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        files(&Part::all(), &options).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for host in ["", "a b", "::1", "http://a", "a\nb", "[x]"] {
        assert!(with(&|options| options.host = host.into()).contains("no name or address"), "{host}");
    }
    for job in ["", "a\"b", "a b", "$job"] {
        assert!(with(&|options| options.job = job.into()).contains("a job has"), "{job}");
    }
    for label in ["", "1a", "a-b", "__a"] {
        let set = |options: &mut Options| drop(options.labels.insert(label.into(), String::new()));
        assert!(with(&set).contains("no name of a label"), "{label}");
    }
    for label in ["job", "instance"] {
        let set = |options: &mut Options| drop(options.labels.insert(label.into(), String::new()));
        assert!(with(&set).contains("sets the label"), "{label}");
    }
    assert!(with(&|options| options.port = 0).contains("port 0"));
    assert!(with(&|options| drop(options.labels.insert("a".into(), "\n".into()))).contains("control"));
    let set = |options: &mut Options| _ = options.thresholds.insert("Nothing".into(), 1.0);
    assert!(with(&set).contains("Nothing"));
    for url in
        ["", "wiki", "javascript:alert(1)", "https://a b", "https://a/#x", "https://a/'", "https://a\n"]
    {
        assert!(
            with(&|options| options.runbooks = Some(url.into())).contains("no address of runbooks"),
            "{url}"
        );
    }
}

#[test]
fn alerts_lead_to_the_runbooks_of_gaugecast_or_to_those_that_were_named() {
    let wiki = Some("https://wiki.example.org/runbooks".to_owned());
    for (runbooks, at) in [(None, "http://web-1:80/runbooks"), (wiki, "https://wiki.example.org/runbooks")] {
        let options = Options { host: "web-1".into(), port: 80, runbooks, ..Options::default() };
        let made = files(&Part::all(), &options).unwrap();
        for path in [
            "rules/host.rules.yml",
            "grafana/provisioning/alerting/rules.yml",
            "packaging/helm/gaugecast/files/rules/host.rules.yml",
        ] {
            let text = &made.iter().find(|file| file.path == path).unwrap().text;
            assert!(
                text.contains(&format!("{at}#hosthighcpu")) && !text.contains("localhost:7171"),
                "{path}"
            );
        }
    }
}

fn provision(folder: &Path, flags: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_gaugecast");
    Command::new(program).args(["provision", "--out"]).arg(folder).args(flags).output().unwrap()
}

#[test]
fn the_command_writes_parts_tells_what_it_did_and_leaves_what_is_somebody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    let said = provision(&new, &["--only", "prometheus,compose", "--port", "9009"]);
    assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stderr).as_ref()), (Some(0), ""));
    let out = String::from_utf8(said.stdout).unwrap();
    assert!(out.lines().all(|line| line.starts_with("written   ")), "{out}");
    assert!(fs::read_to_string(new.join("prometheus.yml")).unwrap().contains("localhost:9009"));
    assert!(new.join("docker-compose.yml").exists() && !new.join("grafana").exists());

    // What it wrote itself it brings up to date, what somebody changed it leaves.
    let said = provision(&new, &["--only", "prometheus"]);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(fs::read_to_string(new.join("prometheus.yml")).unwrap().contains("localhost:7171"));
    fs::write(new.join("prometheus.yml"), "mine\n").unwrap();
    let said = provision(&new, &[]);
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(err.contains("prometheus.yml") && err.contains("--force") && !err.contains("compose"), "{err}");
    assert!(!new.join("grafana").exists(), "all or nothing");
    assert_eq!(provision(&new, &["--force"]).status.code(), Some(0));
    assert_ne!(fs::read_to_string(new.join("prometheus.yml")).unwrap(), "mine\n");

    for wrong in [&["--only", "nothing"][..], &["--port", "0"], &["--label", "x"], &["--threshold", "A=b"]] {
        assert_eq!(provision(&new, wrong).status.code(), Some(2), "{wrong:?}");
    }
    fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(provision(&folder.path().join("file/x"), &[]).status.code(), Some(1));
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
