use super::ConfigArgument;
use crate::{
    server::{self, Ask, Said, StartError},
    types::Span,
};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  edgeway upgrade --config /etc/edgeway/edgeway.yaml     the binary may be a newer one by now
  edgeway upgrade --binary /opt/edgeway-2/edgeway --watch 30s

Run by the gateway's own user or by root, on its machine. The running process checks the binary, starts it, passes its
sockets on and watches it; until that is over it can always go on as if nothing had happened.

Exit codes: 0 the new process is the gateway, 1 it is not and the old one serves on, 78 the configuration is wrong")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// What to start. Default: the file that the running process was started from
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Folder of the running gateway: then the configuration is not read here. Default: server.run_dir of the configuration
    #[arg(long, value_name = "PATH")]
    run_dir: Option<PathBuf>,
    /// How long both processes serve before the new one is the gateway. Default: server.handoff.watch
    #[arg(long, value_name = "TIME")]
    watch: Option<Span>,
}

/// Ask the running gateway to hand over to a new process, and wait until that is decided.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let socket = socket(arguments)?;
    let ask = Ask {
        binary: arguments.binary.as_deref().map(absolute).transpose()?,
        config: arguments.config.config.as_deref().map(absolute).transpose()?,
        watch_ms: arguments.watch.map(|watch| u64::try_from(watch.get().as_millis()).unwrap_or(u64::MAX)),
        ..Ask::default()
    };
    let said = server::ask_to_upgrade(&socket, ask, |said| {
        if let Said::Step(text) = said {
            println!("{text}");
        }
    })?;
    Ok(match said {
        Said::Step(_) | Said::Done(_) => {
            println!("7/8 {}", text(&said));
            ExitCode::SUCCESS
        }
        Said::Failed(_) => {
            eprintln!("edgeway: no handoff: {}\nedgeway: the running process serves on", text(&said));
            ExitCode::from(super::EX_START)
        }
    })
}

fn text(said: &Said) -> &str {
    match said {
        Said::Step(text) | Said::Done(text) | Said::Failed(text) => text,
    }
}

/// The running process may work in another folder. Links stay links: what they point to may be another file tomorrow.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn socket(arguments: &Arguments) -> Result<PathBuf, StartError> {
    let run_dir = match &arguments.run_dir {
        Some(folder) => folder.display().to_string(),
        None => arguments.config.source().load()?.config.server.run_dir.clone(),
    };
    let places = server::upgrade_sockets(&run_dir);
    let found = places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let places = places.join(" nor at ");
        io::Error::other(format!(
            "no gateway is there to be asked at {places}; is it running, and server.run_dir its own? \
             --run-dir names another"
        ))
    });
    Ok(found?)
}
