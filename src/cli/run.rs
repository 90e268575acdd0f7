use super::ConfigArgument;
use crate::{
    observability::Logger,
    server::{self, StartError},
};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  JWT_SECRET_KEY=$(openssl rand -hex 32) edgeway run --config conf/edgeway.yaml")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    server::survive_early_signals()?;
    let source = arguments.config.source();
    let loaded = source.load()?;
    let logger = Logger::start(&loaded.config.log, loaded.config.server.debug);
    server::run(loaded, source, logger, None, |_| ())
}
