//! Tells the program which revision it was built from, and by what.
//!
//! `GAUGECAST_BUILD_BRANCH` and `GAUGECAST_BUILD_REVISION` are taken from the environment where they are set
//! (an image built without `.git`), else git is asked, else they are `unknown`. Nothing here can fail the build.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (name, question) in [
        ("GAUGECAST_BUILD_BRANCH", ["rev-parse", "--abbrev-ref", "HEAD"].as_slice()),
        ("GAUGECAST_BUILD_REVISION", ["rev-parse", "HEAD"].as_slice()),
    ] {
        println!("cargo::rerun-if-env-changed={name}");
        let given = std::env::var(name).ok().filter(|value| !value.is_empty());
        let value = given.or_else(|| git(question)).unwrap_or_else(|| "unknown".into());
        println!("cargo::rustc-env={name}={value}");
    }
    // A commit changes the file of the branch, a checkout changes HEAD.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
    for reference in ["HEAD".into()].into_iter().chain(branch) {
        if let Some(path) = git(&["rev-parse", "--git-path", &reference])
            && std::path::Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = answer(Command::new(rustc).arg("--version"));
    // "rustc 1.95.0 (f2d3ce0bd 2026-03-21)": the number is enough.
    let version = version.as_deref().and_then(|v| v.split(' ').nth(1)).unwrap_or("unknown");
    println!("cargo::rustc-env=GAUGECAST_BUILD_RUSTC={version}");
}

fn git(question: &[&str]) -> Option<String> {
    answer(Command::new("git").args(question))
}

fn answer(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
