//! `gaugecast detect FILE…`: recorded rows through a detector.
//!
//! CSV `timestamp,value` in, `timestamp,value,anomaly_score` out, row for row, see [`replay`](crate::detect::replay). Standard input
//! is followed line by line: what has come is judged and written before more is waited for. A terminal gets a
//! summary on standard error. `--list` shows detectors and parameters.
//!
//! Exit codes: 0, also when the reader of the pipe has gone; 1 for a file or row that cannot be read or written; 2 wrong usage.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::{USAGE, asked_for, format, help, print, tell};
use crate::detect::replay::{Replay, Seen};
use crate::detect::{Kind, Spec};

/// Longest line of a file; a row is some 30 bytes.
const MAX_LINE: u64 = 64 << 10;

const AFTER: &str = "\
Rows are `timestamp,value`, with or without a header. A timestamp is 2026-01-31 23:59:59 (UTC), RFC 3339, Unix
seconds or milliseconds. An empty value or NaN is a gap with score 0. The score is 0 to 1: for novelty bits
of surprise / 64 (threshold 9 bits: 0.14), else s / (1 + s), which is 0.5 at the threshold.";

/// The command as clap knows it.
pub(super) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("detect")
        .about("Run recorded rows through an anomaly detector")
        .override_usage("gaugecast detect [--detector=NAME] [--param=NAME=VALUE]… [--out=DIR] [FILE|DIR]…")
        .arg(
            Arg::new("detector")
                .long("detector")
                .value_name("NAME")
                .default_value(Kind::default().name())
                .help("Which detector"),
        )
        .arg(
            Arg::new("param")
                .long("param")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("A parameter of it; may be given several times"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath)
                .help("Write each result into this folder, under the path of its file"),
        )
        .arg(flag("summary").help("Tell the most anomalous rows, also where there is no terminal"))
        .arg(flag("list").help("Show the detectors and their parameters"))
        .arg(
            Arg::new("FILE")
                .num_args(0..)
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::AnyPath)
                .help("CSV files, or folders of them; without any, or with -, standard input"),
        )
        .after_help(AFTER)
}

/// What was asked for.
#[derive(Debug)]
struct Asked {
    spec: Spec,
    out: Option<PathBuf>,
    summary: bool,
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Wrong usage.
    #[error("{0}")]
    Usage(String),
    /// Something that cannot be read or written.
    #[error("{0}")]
    Run(String),
    /// The reader of standard output has gone: enough.
    #[error("nobody reads on")]
    Gone,
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    if asked_for(matches, "list") {
        return print(&list());
    }
    let failed = match asked(matches).and_then(|asked| detect(&asked, matches)) {
        Ok(()) | Err(Failed::Gone) => return ExitCode::SUCCESS,
        Err(failed) => failed,
    };
    tell(&format!("error: {failed}\n"));
    match failed {
        Failed::Usage(_) => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failed> {
    let usage = |why: String| Failed::Usage(format!("{why}\n\nFor the detectors: gaugecast detect --list"));
    let name = matches.get_one::<String>("detector").map_or("", String::as_str);
    let mut params = Vec::new();
    for given in matches.get_many::<String>("param").unwrap_or_default() {
        let param = given.split_once('=');
        params.push(param.ok_or_else(|| usage(format!("--param is NAME=VALUE, not {given:?}")))?);
    }
    let spec = Spec::parse(name, params).map_err(|error| usage(error.to_string()))?;
    let summary = asked_for(matches, "summary") || io::stderr().is_terminal();
    Ok(Asked { spec, out: matches.get_one("out").cloned(), summary })
}

fn detect(asked: &Asked, matches: &ArgMatches) -> Result<(), Failed> {
    let files: Vec<PathBuf> = matches.get_many("FILE").unwrap_or_default().cloned().collect();
    if files.is_empty() || files == [PathBuf::from("-")] {
        if asked.out.is_some() {
            return Err(Failed::Usage("--out needs files: standard input has no name".into()));
        }
        return one(asked, "standard input", io::stdin(), io::stdout());
    }
    let inputs = inputs(&files)?;
    let Some(out) = &asked.out else {
        return match &inputs[..] {
            [(_, file)] => one(asked, &file.display().to_string(), open(file)?, io::stdout()),
            inputs => Err(Failed::Usage(format!("{} files need --out=DIR for their results", inputs.len()))),
        };
    };
    let mut targets = BTreeMap::new();
    for (name, file) in inputs {
        if let Some(other) = targets.insert(out.join(&name), file.clone()) {
            let both = format!("{} and {}", other.display(), file.display());
            return Err(Failed::Usage(format!("{both} would have the same result, {}", name.display())));
        }
    }
    for (target, file) in targets {
        let cannot = |error: io::Error| Failed::Run(format!("cannot write {}: {error}", target.display()));
        let input = open(&file)?;
        if target.canonicalize().is_ok_and(|target| file.canonicalize().is_ok_and(|file| file == target)) {
            return Err(Failed::Usage(format!("--out would overwrite {}", file.display())));
        }
        fs::create_dir_all(target.parent().unwrap_or(out)).map_err(cannot)?;
        one(asked, &file.display().to_string(), input, File::create(&target).map_err(cannot)?)?;
    }
    Ok(())
}

fn open(file: &Path) -> Result<File, Failed> {
    File::open(file).map_err(|error| Failed::Run(format!("cannot read {}: {error}", file.display())))
}

/// The files, each with the name of its result: its path as it was given, without what leads out of a folder (`/`, `..`). Of a
/// folder all files that end with `.csv`, under their paths below it.
fn inputs(files: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>, Failed> {
    let mut inputs = Vec::new();
    for file in files {
        if !file.is_dir() {
            let inside = file.components().filter(|part| matches!(part, Component::Normal(_)));
            inputs.push((inside.collect(), file.clone()));
            continue;
        }
        let before = inputs.len();
        let mut folders = vec![file.clone()];
        while let Some(folder) = folders.pop() {
            let cannot = |error: io::Error| Failed::Run(format!("cannot read {}: {error}", folder.display()));
            for entry in fs::read_dir(&folder).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                let path = entry.path();
                if entry.file_type().map_err(cannot)?.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "csv") {
                    inputs.push((path.strip_prefix(file).unwrap_or(&path).to_owned(), path));
                }
            }
        }
        if inputs.len() == before {
            return Err(Failed::Run(format!("there is no .csv file in {}", file.display())));
        }
    }
    Ok(inputs)
}

/// One input to one output.
fn one(asked: &Asked, name: &str, input: impl Read, output: impl Write) -> Result<(), Failed> {
    let mut replay = Replay::new(asked.spec.build());
    let mut input = BufReader::with_capacity(MAX_LINE as usize, input);
    let mut output = BufWriter::with_capacity(64 << 10, output);
    let lost = |error: io::Error| match error.kind() {
        ErrorKind::BrokenPipe => Failed::Gone,
        _ => Failed::Run(format!("cannot write the result of {name}: {error}")),
    };
    let (mut line, mut row) = (Vec::new(), String::new());
    loop {
        // All that has come is judged: let it be seen before waiting for more.
        if !input.buffer().contains(&b'\n') {
            output.flush().map_err(lost)?;
        }
        line.clear();
        let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| Failed::Run(format!("cannot read {name}: {error}")))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
            output.flush().map_err(lost)?;
            let at = replay.next_line();
            return Err(Failed::Run(format!("{name}:{at}: the line is longer than {MAX_LINE} bytes")));
        }
        row.clear();
        let told = replay.line(&String::from_utf8_lossy(&line), &mut row);
        output.write_all(row.as_bytes()).map_err(lost)?;
        if let Err(bad) = told {
            output.flush().map_err(lost)?;
            return Err(Failed::Run(format!("{name}:{bad}")));
        }
    }
    output.flush().map_err(lost)?;
    if asked.summary {
        tell(&summary(name, &asked.spec, replay.seen()));
    }
    Ok(())
}

/// What was found, for people.
fn summary(name: &str, spec: &Spec, seen: &Seen) -> String {
    let mut text =
        format!("{}: {} rows, {} anomalous by {spec}", format::printable(name), seen.rows, seen.anomalous);
    for (count, what) in [(seen.gaps, "without a value"), (seen.shifts, "new normals")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text.push('\n');
    for strange in &seen.strangest {
        let verdict = strange.verdict;
        let _ = write!(
            text,
            "  {:>8}  {:<25}  value {:<12}  score {:.2}",
            strange.line,
            format::printable(&strange.timestamp),
            short(strange.value),
            verdict.score
        );
        if verdict.lower.is_finite() && verdict.upper.is_finite() {
            let _ = write!(text, "  usual {} to {}", short(verdict.lower), short(verdict.upper));
        }
        text.push('\n');
    }
    text
}

/// A number in a few digits.
fn short(value: f64) -> String {
    format::value(value, "", false)
}

/// Detectors and parameters, one line each.
fn list() -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let memory = Spec::of(kind).build().memory();
        let _ =
            writeln!(text, "{}: {}; {:.1} KiB a series", kind.name(), kind.about(), memory as f64 / 1024.0);
        for param in kind.params() {
            let what = format!("{}: {} [{}]", param.help, param.takes(), param.default);
            let _ = writeln!(text, "  {:<13} {}", param.name, help::wrapped(&what, 0, 16));
        }
        text.push('\n');
    }
    text
}
