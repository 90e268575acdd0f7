use crate::{config::Config, server::StartError};
use std::io::{self, Write};

/// Editors complete and check the file with it.
pub(super) fn run() -> Result<(), StartError> {
    writeln!(io::stdout(), "{:#}", Config::schema())?;
    Ok(())
}
