use super::ask::Where;
use crate::server::StartError;
use http::Method;
use serde::Deserialize;
use std::{io, process::ExitCode};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  edgeway reload --config /etc/edgeway/edgeway.yaml
  edgeway reload --admin 127.0.0.1:9901

Exit codes: 0 the new configuration serves, 78 it is wrong and the old one serves on, 1 nobody answered")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
}

/// The answer of the admin listener.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    generation: Option<u64>,
    code: String,
    detail: String,
}

/// What SIGHUP does, but it waits for what comes of it.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let answer = arguments.place.ask(Method::POST, "/api/v1/reload")?;
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(generation) = said.generation {
        println!("generation {generation} serves");
        return Ok(ExitCode::SUCCESS);
    }
    if said.code == "config_invalid" {
        eprintln!("{}\nedgeway: the configuration is wrong; the running one stays", said.detail);
        return Ok(ExitCode::from(super::EX_CONFIG));
    }
    Err(io::Error::other(format!("refused with {}: {}", answer.status.as_u16(), said.detail)).into())
}
