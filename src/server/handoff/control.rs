//! The socket in the run folder that `edgeway upgrade` asks.
//!
//! One line of JSON from whoever asks, then a line for each step, then the outcome. The folder belongs to the gateway's
//! user alone; besides, whoever connects must be that user or root.

use super::{Handoff, Passed, Role, Told};
use crate::types::Standing;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
    sync::mpsc::unbounded_channel,
    time::timeout,
};

/// Of what is said here.
const VERSION: u32 = 1;
/// Longest question: two paths.
const LONGEST: u64 = 16 * 1024;
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `edgeway upgrade` asks for. Nothing said: as this process was started.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Ask {
    /// Of the question; another one is refused.
    pub version: u32,
    /// What to start.
    pub binary: Option<PathBuf>,
    /// The configuration of the new process.
    pub config: Option<PathBuf>,
    /// How long both serve, in milliseconds.
    pub watch_ms: Option<u64>,
}

/// What comes back, line by line.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// How far it is.
    Step(String),
    /// The last word: the new process is the gateway.
    Done(String),
    /// The last word: the old process serves on.
    Failed(String),
}

/// The socket, where one can be had. One that nobody answers on any more is taken away.
pub(in crate::server) fn listen(path: &Path, passed: &mut Passed) -> Option<UnixListener> {
    if let Some(socket) = passed.take(Role::Control, &path.to_string_lossy()) {
        return Some(socket.into());
    }
    match UnixStream::connect(path) {
        // Left behind by a process that is gone.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => _ = std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        answered => {
            let why = answered.err().map_or("another gateway answers there".to_owned(), |error| error.to_string());
            let path = path.display();
            log::warn!("{path}: {why}; this one has no pid file, and cannot be upgraded: give it a run_dir of its own");
            return None;
        }
    }
    let bound = UnixListener::bind(path).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    bound.inspect_err(|error| log::warn!("{}: {error}; `edgeway upgrade` cannot ask", path.display())).ok()
}

/// Answer there as long as this process is the gateway, from a thread of its own.
///
/// # Errors
/// The machine has no thread or no descriptor left.
pub(in crate::server) fn serve(socket: UnixListener, handoff: Arc<Handoff>) -> io::Result<()> {
    let mut standing = handoff.standing();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let socket = {
        let _inside = runtime.enter();
        tokio::net::UnixListener::from_std(socket)?
    };
    let work = async move {
        // Another process that is the gateway answers on the same socket.
        while standing
            .wait_for(|standing| *standing != Standing::Waiting)
            .await
            .is_ok_and(|at| *at == Standing::Gateway)
        {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => drop(tokio::spawn(answer(stream, handoff.clone()))),
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                },
                _ = standing.changed() => (),
            }
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(move || runtime.block_on(work)).map(drop)
}

async fn answer(mut stream: tokio::net::UnixStream, handoff: Arc<Handoff>) {
    let (told, mut steps) = unbounded_channel();
    match question(&mut stream).await {
        Ok(ask) => {
            log::info!("handoff asked for by `edgeway upgrade`");
            handoff.begin(ask, told);
        }
        Err(reason) => drop(told.send(Told::Failed(reason))),
    }
    while let Some(told) = steps.recv().await {
        let said = match told {
            Told::Step(text) => Said::Step(text),
            Told::Done(text) => Said::Done(text),
            Told::Failed(text) => Said::Failed(text),
        };
        let mut line = serde_json::to_vec(&said).unwrap_or_default();
        line.push(b'\n');
        // Whoever has asked may be gone; the handoff goes on.
        if stream.write_all(&line).await.is_err() || !matches!(said, Said::Step(_)) {
            break;
        }
    }
}

async fn question(stream: &mut tokio::net::UnixStream) -> Result<Ask, String> {
    let peer = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(format!("user {peer} may not ask: only the gateway's own and root may"));
    }
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(stream.take(LONGEST));
    let read = timeout(PATIENCE, reader.read_line(&mut line)).await;
    read.map_err(|_| "no question came".to_owned())?.map_err(|error| error.to_string())?;
    let ask: Ask = serde_json::from_str(&line).map_err(|error| format!("the question is not understood: {error}"))?;
    match ask.version {
        VERSION => Ok(ask),
        other => Err(format!("`edgeway upgrade` speaks version {other} and this gateway {VERSION}")),
    }
}

/// Ask the gateway that listens at `socket`, and hear every word of it.
///
/// # Errors
/// Nobody answers there, or the answer breaks off: then the process that was asked has died, and whoever is left serves.
pub fn ask(socket: &Path, ask: Ask, mut heard: impl FnMut(&Said)) -> io::Result<Said> {
    let mut stream = UnixStream::connect(socket)?;
    let mut line = serde_json::to_vec(&Ask { version: VERSION, ..ask })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in BufReader::new(stream).lines() {
        let said: Said = serde_json::from_str(&line?)?;
        heard(&said);
        if !matches!(said, Said::Step(_)) {
            return Ok(said);
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the process that was asked ended meanwhile; see its log"))
}
