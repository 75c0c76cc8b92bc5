//! `gaugecast loadtest`: flags in, progress and reports out. Its flags are its own; settings do not count here.
//!
//! `flags` has the flags, `progress` the display while a test runs, `dashboard` what `--web.listen-address` shows of
//! it, and `server` the server of `--serve`.

mod dashboard;
mod flags;
mod progress;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, print, tell};
use crate::loadtest::criteria::names;
use crate::loadtest::report::Report;
use crate::loadtest::{Error, Event, render, run as run_test};
use dashboard::Dashboard;
pub(super) use flags::command;
use progress::Progress;
use server::Server;

/// Runs the command.
pub(super) fn run(flags: &ArgMatches) -> ExitCode {
    if flags.get_flag("list-measures") {
        return print(&(names().join("\n") + "\n"));
    }
    let mut options = match flags::options(flags) {
        Ok(options) => options,
        Err(wrong) => {
            wrong.iter().for_each(|line| tell(&format!("error: {line}\n")));
            return ExitCode::from(USAGE);
        }
    };
    let failed = |message: String| {
        tell(&format!("error: {message}\n"));
        ExitCode::FAILURE
    };
    let server = match flags.get_flag("serve").then(|| Server::start(options.rate)).transpose() {
        Ok(server) => server,
        Err(error) => return failed(error),
    };
    if let Some(server) = &server {
        options.url = server.url().clone();
        options.server_pid = Some(server.pid());
    }
    let mut dashboard = match flags.get_one("web.listen-address").map(|at| Dashboard::start(*at)).transpose()
    {
        Ok(dashboard) => dashboard,
        Err(error) => return failed(error),
    };
    let mut progress = Progress::new(flags.get_flag("quiet"), options.cycles != 1);
    if let Some(dashboard) = &dashboard {
        progress.note(&dashboard.greeting());
    }
    let result = run_test(&options, |event| {
        if let Some(dashboard) = &mut dashboard {
            dashboard.take(event);
        }
        if let Event::Cycle(report) = event
            && options.cycles != 1
        {
            // Of a test that goes on, the files are of the last time.
            write_files(flags, report);
        }
        // Last, so that who reads of a cycle finds its figures and files.
        progress.show(event);
    });
    let code = match result {
        Ok(report) => {
            print(&render::text(&report));
            let code = if options.cycles == 1 { write_files(flags, &report) } else { 0 };
            ExitCode::from(code.max(report.exit_code))
        }
        Err(error) => {
            let code = match error {
                Error::Start(_) => ExitCode::FAILURE,
                _ => ExitCode::from(USAGE),
            };
            tell(&format!("error: {error}\n"));
            code
        }
    };
    if let Some(dashboard) = dashboard {
        dashboard.stop();
    }
    code
}

/// Writes what was asked for: each file whole or not at all, so that who reads one while a test goes on never finds
/// half of it. 1 when one cannot be written.
fn write_files(flags: &ArgMatches, report: &Report) -> u8 {
    let mut code = 0;
    for name in flags::FILES {
        let Some(path) = flags.get_one::<PathBuf>(name) else { continue };
        let text = match name {
            "json" => json(report),
            "csv" => render::csv(report),
            "markdown" => render::markdown(report),
            _ => render::junit(report),
        };
        if let Err(error) = replace(path, &text) {
            tell(&format!("error: cannot write {}: {error}\n", path.display()));
            code = 1;
        }
    }
    code
}

/// Writes beside the file and puts that in its place; a device or pipe is written to as it is.
fn replace(path: &PathBuf, text: &str) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, text);
    }
    let mut beside = path.clone().into_os_string();
    beside.push(".part");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

fn json(report: &Report) -> String {
    let text = serde_json::to_string_pretty(report).expect("a report has nothing that JSON has not");
    text + "\n"
}
