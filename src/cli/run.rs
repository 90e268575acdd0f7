use super::{ConfigArgument, logging};
use crate::server::{self, StartError};

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
    logging::start(&loaded.config);
    server::run(&loaded, source, |_| ())
}
