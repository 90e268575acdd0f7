//! The commands, one file each.

mod ask;
mod check;
mod demo;
mod hash;
mod health;
mod reload;
mod run;
mod schema;
mod take_over;
mod token;
mod upgrade;

use crate::server::{Source, StartError};
use clap::{Parser, Subcommand, error::ErrorKind};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// `sysexits(3)`: the command line is wrong.
const EX_USAGE: u8 = 64;
/// `sysexits(3)`: the configuration is wrong; a supervisor should not restart in a loop.
const EX_CONFIG: u8 = 78;
/// The machine would not have it: a port in use, a folder that cannot be read.
const EX_START: u8 = 1;

/// Where the configuration is looked for when nobody says where it is.
const PLACES: [&str; 2] = ["conf/edgeway.yaml", "/etc/edgeway/edgeway.yaml"];

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("EDGEWAY_COMMIT"), ", ", env!("EDGEWAY_PROFILE"), " build)");

const EXIT_CODES: &str = "\
Exit codes:
  0   fine
  1   the start failed: a port in use, a file that cannot be read
  64  the command line is wrong
  78  the configuration is wrong

Examples:
  edgeway demo                                see it work, with six small services and nothing else
  edgeway check --config conf/edgeway.yaml    every error of a file, with line and column
  edgeway run --config conf/edgeway.yaml      serve

Signals: SIGHUP reloads the configuration, SIGQUIT hands over to a new process, SIGTERM drains and leaves, SIGINT\nleaves at once.";

#[derive(Parser)]
#[command(name = "edgeway", version = VERSION, about = "An API gateway: routed, authenticated, balanced, and every decision explained.",
    after_help = EXIT_CODES, arg_required_else_help = true, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until a signal ends it
    Run(run::Arguments),
    /// Check a configuration: prints every error, exits 78 if there is one
    Check(check::Arguments),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Start the gateway with six small services in this process, and print what to try
    Demo(demo::Arguments),
    /// Print a token that the configuration accepts, for tests
    Token(token::Arguments),
    /// Read the configuration of the running gateway again, and wait for what comes of it
    Reload(reload::Arguments),
    /// Hand over from the running gateway to a new process, without losing a request
    Upgrade(upgrade::Arguments),
    /// Ask the running gateway whether it is ready: exit 0 or 1
    Health(health::Arguments),
    /// Hash a password or an API key for the configuration, which never holds either
    Hash(hash::Arguments),
    /// What a handoff starts
    #[command(hide = true)]
    TakeOver(take_over::Arguments),
}

/// `--config`, which most commands have.
#[derive(clap::Args)]
struct ConfigArgument {
    /// File, or folder of files, to read. Default: the text of the variable EDGEWAY_CONFIG, else conf/edgeway.yaml,
    /// else /etc/edgeway/edgeway.yaml
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl ConfigArgument {
    fn source(&self) -> Source {
        match &self.config {
            Some(path) => Source::Path(path.clone()),
            None if std::env::var_os("EDGEWAY_CONFIG").is_some_and(|text| !text.is_empty()) => Source::Environment,
            None => {
                let there = PLACES.map(PathBuf::from).into_iter().find(|path| path.exists());
                Source::Path(there.unwrap_or_else(|| PLACES[0].into()))
            }
        }
    }
}

/// Run the command that `arguments` name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => {
            _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { EX_USAGE });
        }
    };
    let outcome = match command {
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        other => other.run().map(|()| ExitCode::SUCCESS),
    };
    // What was said before comes first.
    log::logger().flush();
    outcome.unwrap_or_else(|error| fail(&error))
}
impl Command {
    /// Those that are fine or fail.
    fn run(self) -> Result<(), StartError> {
        match self {
            Self::Run(arguments) => run::run(&arguments),
            Self::Check(arguments) => check::run(&arguments),
            Self::Schema => schema::run(),
            Self::Demo(arguments) => demo::run(&arguments),
            Self::Token(arguments) => token::run(&arguments),
            Self::Hash(arguments) => hash::run(&arguments),
            Self::TakeOver(arguments) => take_over::run(&arguments),
            // Their exit code says more.
            Self::Reload(_) | Self::Health(_) | Self::Upgrade(_) => Ok(()),
        }
    }
}

fn fail(error: &StartError) -> ExitCode {
    match error {
        StartError::Config(errors) => {
            eprintln!("{errors}");
            let count = errors.0.len();
            eprintln!(
                "edgeway: {count} {} in the configuration; nothing was started",
                if count == 1 { "error" } else { "errors" }
            );
            ExitCode::from(EX_CONFIG)
        }
        StartError::Io(error) => {
            eprintln!("edgeway: {error}");
            ExitCode::from(EX_START)
        }
    }
}
