//! The `gaugecast` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gaugecast::cli::run(std::env::args_os())
}
