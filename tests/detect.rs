//! `gaugecast detect` from outside: files, folders, pipes, what it refuses; and docs/anomalies.md against the program.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gaugecast::detect::{Kind, Spec};

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, args: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gaugecast"))
        .arg("detect")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Wrong usage ends before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Rows a second; the 200th to the 210th are far out.
fn rows() -> String {
    let value = |i: u32| if (200..210).contains(&i) { 900 } else { 100 + i % 7 };
    (0..400).map(|i| format!("{},{}\n", 1_700_000_000 + i, value(i))).collect()
}

#[test]
fn scores_are_shares_that_are_a_half_at_the_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["--detector=mad", "--summary"], &rows());
    assert_eq!(said.code, 0, "{}", said.err);
    let score = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let scores: Vec<f64> = said.out.lines().skip(1).map(score).collect();
    assert_eq!(scores.len(), 400);
    let beyond: Vec<usize> = (0..400).filter(|i| scores[*i] >= 0.5).collect();
    assert!(
        (202..210).all(|i| beyond.contains(&i)) && beyond.iter().all(|i| (202..213).contains(i)),
        "{beyond:?}"
    );
    assert!(said.err.starts_with("standard input: 400 rows, "), "{}", said.err);
    assert!(said.err.contains("1700000202") && said.err.contains("usual "), "{}", said.err);
}

#[test]
fn results_keep_the_paths_of_files_and_of_what_is_in_folders() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("data/deep")).unwrap();
    fs::write(at("data/deep/a.csv"), rows()).unwrap();
    fs::write(at("data/b.csv"), rows()).unwrap();
    assert_eq!(run(folder.path(), &["--out=files", "data/deep/a.csv", "./data/b.csv"], "").code, 0);
    assert_eq!(run(folder.path(), &["--out=folder", "data"], "").code, 0);
    let expected = run(folder.path(), &["data/b.csv"], "").out;
    assert_eq!(expected.lines().count(), 401);
    for result in ["files/data/deep/a.csv", "files/data/b.csv", "folder/deep/a.csv", "folder/b.csv"] {
        assert_eq!(fs::read_to_string(at(result)).unwrap(), expected, "{result}");
    }
}

#[test]
fn what_would_lose_data_or_mean_two_things_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("sub")).unwrap();
    fs::write(at("a.csv"), rows()).unwrap();
    fs::write(at("b.csv"), "1,2\n2,x\n").unwrap();
    for (args, code, told) in [
        (&["--out=.", "a.csv"][..], 2, "--out would overwrite a.csv"),
        (&["a.csv", "b.csv"], 2, "2 files need --out"),
        (&["--out=o", "a.csv", "./a.csv"], 2, "would have the same result"),
        (&["--out=o"], 2, "standard input has no name"),
        (&["--detector=zscor"], 2, "did you mean \"zscore\"?"),
        (&["--param=threshold"], 2, "--param is NAME=VALUE"),
        (&["--param=threshold=loud"], 2, "sensitive, usual, quiet"),
        (&["none.csv"], 1, "cannot read none.csv"),
        (&["b.csv"], 1, "b.csv:2: cannot read the value \"x\""),
        (&["--out=o", "sub"], 1, "there is no .csv file in sub"),
    ] {
        let said = run(folder.path(), args, "");
        assert!(said.code == code && said.err.contains(told), "{args:?}: {} {}", said.code, said.err);
    }
    assert_eq!(fs::read_to_string(at("a.csv")).unwrap(), rows());
}

#[test]
fn the_list_names_every_detector_and_parameter() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["--list"], "");
    for kind in Kind::ALL {
        assert!(said.out.contains(&format!("{}: {}", kind.name(), kind.about())));
        assert!(kind.params().iter().all(|param| said.out.contains(param.name)));
    }
}

/// The tables of docs/anomalies.md that come from the program.
fn tables() -> String {
    let mut text = String::from("| detector | what it tells | memory a series |\n| --- | --- | --- |\n");
    for kind in Kind::ALL {
        let bytes = Spec::of(kind).build().memory();
        assert!(bytes <= 64 << 10, "{}", kind.name());
        text += &format!("| `{}` | {} | {} bytes |\n", kind.name(), kind.about(), bytes);
    }
    for kind in Kind::ALL {
        text += &format!(
            "\n**`{}`**\n\n| parameter | | takes | default |\n| --- | --- | --- | --- |\n",
            kind.name()
        );
        for param in kind.params() {
            text +=
                &format!("| `{}` | {} | {} | {} |\n", param.name, param.help, param.takes(), param.default);
        }
    }
    text
}

#[test]
fn the_document_has_the_tables_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/anomalies.md");
    let document = fs::read_to_string(path).unwrap();
    let wanted = concat!(env!("CARGO_TARGET_TMPDIR"), "/anomalies.md");
    fs::write(wanted, tables()).unwrap();
    assert!(document.contains(&tables()), "docs/anomalies.md differs from {wanted}");
}
