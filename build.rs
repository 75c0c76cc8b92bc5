//! Tells the program what it was built from: branch, revision, compiler, features. None of it is needed to build,
//! and nothing here can fail the build.
//!
//! `GAUGECAST_BUILD_BRANCH` and `GAUGECAST_BUILD_REVISION` are taken from the environment where they are set (an
//! image is built without `.git`); else the revision is what `cargo package` noted, else git is asked, else both
//! are `unknown`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A checkout changes HEAD, a commit the file of the branch. A worktree's git folder is elsewhere; git knows where.
    let branch = output("git", &["rev-parse", "--symbolic-full-name", "HEAD"]);
    for reference in ["HEAD".into()].into_iter().chain(branch) {
        if let Some(path) = output("git", &["rev-parse", "--git-path", &reference])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let branch = given("GAUGECAST_BUILD_BRANCH")
        .or_else(|| packaged().is_none().then(|| output("git", &["rev-parse", "--abbrev-ref", "HEAD"]))?);
    let revision =
        given("GAUGECAST_BUILD_REVISION").or_else(packaged).or_else(|| output("git", &["rev-parse", "HEAD"]));
    let rustc = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    // "rustc 1.95.0 (f2d3ce0bd 2026-03-21)": the number is enough.
    let rustc = rustc.as_deref().and_then(|text| text.split(' ').nth(1));
    tell("GAUGECAST_BRANCH", branch.as_deref());
    tell("GAUGECAST_REVISION", revision.as_deref());
    tell("GAUGECAST_RUSTC", rustc);

    let features =
        env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase()));
    let mut features: Vec<_> = features.filter(|feature| feature != "default").collect();
    features.sort();
    println!("cargo::rustc-env=GAUGECAST_FEATURES={}", features.join(","));
}

fn tell(name: &str, value: Option<&str>) {
    println!("cargo::rustc-env={name}={}", value.unwrap_or("unknown"));
}

fn given(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The revision that `cargo package` notes in a crate.
fn packaged() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    text.split("\"sha1\"").nth(1)?.split('"').nth(1).map(str::to_owned)
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
