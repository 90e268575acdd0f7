use super::ConfigArgument;
use crate::{
    config::Loaded,
    observability::Logger,
    server::{self, Predecessor, Source, StartError},
};

/// Started by a running gateway, and by nobody else.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Serve, instead of starting a process that does
    #[arg(long)]
    detached: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    if !arguments.detached {
        return Ok(server::relaunch(arguments.config.config.as_ref())?);
    }
    server::survive_early_signals()?;
    let predecessor = Predecessor::inherited()?;
    let source = arguments.config.source();
    let loaded = source.load().inspect_err(|errors| predecessor.failed(&errors.to_string()))?;
    let logger = Logger::start(&loaded.config.log, loaded.config.server.debug);
    serve(loaded, source, logger, predecessor)
}

fn serve(loaded: Loaded, source: Source, logger: Logger, predecessor: Predecessor) -> Result<(), StartError> {
    let teller = predecessor.clone();
    server::run(loaded, source, logger, Some(predecessor), |_| ())
        .inspect_err(|error| teller.failed(&error.to_string()))
}
