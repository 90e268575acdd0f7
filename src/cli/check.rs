use super::ConfigArgument;
use crate::{
    observability::AccessLog,
    runtime::{Live, Process},
    server::StartError,
};
use std::io;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  edgeway check --config conf/edgeway.yaml\n\nExit codes: 0 fine (warnings may be printed), 78 errors"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

/// Everything that a start would find but the ports.
pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    let loaded = arguments.config.source().load()?;
    // Compiled too: keys, patterns and conflicts show only then.
    let live = Live::start(&loaded, Process::new(AccessLog::start(io::sink())?, &loaded, [])?)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let snapshot = live.pin();
    let (routes, services) = (snapshot.config.routes.len(), snapshot.config.services.len());
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    println!("{}: fine: {}, {}", loaded.sources.name(), count(routes, "route"), count(services, "service"));
    Ok(())
}
