use super::{
    handoff::{Passed, Predecessor, Role, listen_for_upgrades},
    run_dir::RunDir,
    sockets::{Kept, Sockets, open},
};
use crate::{
    config::Config,
    runtime::{Former, Process},
};
use std::{io, net::TcpListener, os::unix::net::UnixListener, sync::Arc};

/// What a process listens on, opened or passed to it.
pub(super) struct Opened {
    /// For callers.
    pub(super) sockets: Sockets,
    /// For operators.
    pub(super) admin: Option<TcpListener>,
    /// For `edgeway upgrade`.
    pub(super) control: Option<UnixListener>,
    pub(super) run_dir: Arc<RunDir>,
    /// Copies of all of them.
    pub(super) kept: Kept,
    /// The process that has passed them, if it is there.
    pub(super) former: Option<Former>,
}

impl Opened {
    /// Take over what `predecessor` passes, and open the rest.
    pub(super) fn open(config: &Config, process: &Process, predecessor: Option<&Predecessor>) -> io::Result<Self> {
        let most_revocations = config.auth.revocation.most;
        let passed = predecessor.map(|predecessor| predecessor.sockets(process, most_revocations)).transpose()?;
        let (mut passed, mut kept) = (passed.unwrap_or_default(), Kept::new());
        let sockets = Sockets::open(&config.listeners, &mut passed, &mut kept)?;
        let mut operators = || open(Role::Admin, &config.admin.address, &mut passed, &mut kept);
        let admin = config.admin.enabled.then(&mut operators).transpose()?;
        let run_dir = RunDir::open(&config.server.run_dir);
        let control = control(&run_dir, &mut passed, &mut kept)?;
        // The pid file and the socket there may be another gateway's.
        let run_dir = Arc::new(if control.is_some() { run_dir } else { RunDir::none() });
        Ok(Self { sockets, admin, control, run_dir, kept, former: passed.former })
    }
}

fn control(run_dir: &RunDir, passed: &mut Passed, kept: &mut Kept) -> io::Result<Option<UnixListener>> {
    let Some(path) = run_dir.socket() else { return Ok(None) };
    let Some(socket) = listen_for_upgrades(&path, passed) else { return Ok(None) };
    kept.push((Role::Control, path.to_string_lossy().into_owned(), socket.try_clone()?.into()));
    Ok(Some(socket))
}
