use super::ConfigArgument;
use crate::{
    auth::{MintClaims, Minter},
    server::StartError,
    types::Span,
};
use std::{io, path::PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  curl -H \"Authorization: Bearer $(edgeway token --sub 7 --username kim --role admin)\" localhost:8080/api/members"
)]
pub(super) struct Arguments {
    /// Who it speaks for (claim `sub`)
    #[arg(long, value_name = "ID")]
    sub: String,
    /// Claim `username`
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Claim `role`
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Claim `permissions`, with commas between them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    permissions: Vec<String>,
    /// How long it is valid: 15m, 1h. Default: auth.jwt.lifetime of the configuration
    #[arg(long, value_name = "TIME")]
    ttl: Option<Span>,
    /// Private key in PEM, where the algorithm is not HS256, HS384 or HS512
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgument,
}

/// Prints the token and nothing else, so that it can be used in a command line.
pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    let loaded = arguments.config.source().load()?;
    let jwt = loaded.config.auth.jwt.as_ref();
    let jwt = jwt.ok_or_else(|| io::Error::other("the configuration has no auth.jwt, so it accepts no token"))?;
    let minter = Minter::build(jwt, arguments.key_file.as_deref()).map_err(|error| io::Error::other(error.reason))?;
    let claims = MintClaims {
        sub: arguments.sub.clone(),
        username: arguments.username.clone(),
        role: arguments.role.clone(),
        permissions: arguments.permissions.clone(),
        ttl: arguments.ttl.unwrap_or(jwt.lifetime).get(),
    };
    println!("{}", minter.mint(&claims).map_err(io::Error::other)?);
    Ok(())
}
