use super::ask::Where;
use crate::server::StartError;
use http::Method;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  edgeway health                                   exit 0: ready for requests
  HEALTHCHECK CMD [\"/usr/bin/edgeway\", \"health\"]   in a Dockerfile

Exit codes: 0 ready, 1 not ready or nobody answered, 78 the configuration is wrong")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
}

/// Whether new requests should come here: for checks of containers.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let answer = arguments.place.ask(Method::GET, "/health/ready")?;
    println!("{}", String::from_utf8_lossy(&answer.body));
    Ok(if answer.is_there() { ExitCode::SUCCESS } else { ExitCode::from(super::EX_START) })
}
