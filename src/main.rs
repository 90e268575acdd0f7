//! Entry point: one command of `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    edgeway::cli::run(std::env::args_os())
}
