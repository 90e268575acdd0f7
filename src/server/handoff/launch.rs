//! Other processes: the check of a binary, and the start of the new one.

use crate::server::{Source, supervisor::Supervisor};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

/// How long a binary may take to say what it is, and what it thinks of the configuration.
const CHECK: Duration = Duration::from_secs(20);

/// What runs as the first process of a container and waits for one other.
const INITS: [&str; 4] = ["tini", "docker-init", "dumb-init", "catatonit"];

/// How long what is started may take to end, after the channel has.
const LAUNCHER: Duration = Duration::from_millis(500);

/// The new process, as far as it can be ended.
#[derive(Debug)]
pub(super) struct Started {
    launcher: Child,
    /// Known once it has told.
    pub(super) pid: Option<u32>,
}

/// What this process was started from. A link stays a link: it may point to a newer one tomorrow.
pub(super) fn own_binary() -> io::Result<PathBuf> {
    let named = std::env::args_os().next().map(PathBuf::from);
    match named.filter(|named| named.is_absolute() && named.exists()) {
        Some(named) => Ok(named),
        None => std::env::current_exe(),
    }
}

/// Whether this is the first process of a container, or what its init waits for: the kernel ends the rest with it.
pub(super) fn ends_with_its_container() -> bool {
    let parent = nix::unistd::getppid().as_raw();
    let init = || std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    let waits = || INITS.contains(&init().trim());
    std::process::id() == 1 || parent == 0 || (parent == 1 && !Supervisor::is_there() && waits())
}

/// The arguments that name the configuration.
pub(super) fn arguments(source: &Source, config: Option<&Path>) -> Vec<OsString> {
    let path = match (config, source) {
        (Some(path), _) => Some(path.to_owned()),
        (None, Source::Path(path)) => Some(path.clone()),
        (None, Source::Environment | Source::Fixed(_)) => None,
    };
    path.into_iter().flat_map(|path| ["--config".into(), path.into_os_string()]).collect()
}

/// What `binary` says it is, if it runs here and finds nothing wrong with the configuration.
pub(super) fn check(binary: &Path, arguments: &[OsString]) -> Result<String, String> {
    let version = run(Command::new(binary).arg("--version"))?;
    if !version.status.success() {
        return Err(format!("{} --version ends with {}", binary.display(), version.status));
    }
    let checked = run(Command::new(binary).arg("check").args(arguments))?;
    if !checked.status.success() {
        let said = String::from_utf8_lossy(&checked.stderr);
        return Err(format!("{} check ends with {}:\n{}", binary.display(), checked.status, said.trim_end()));
    }
    Ok(String::from_utf8_lossy(&version.stdout).trim_end().to_owned())
}

fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // What is not the gateway has nothing to tell its supervisor.
    Supervisor::hide_from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
    let group = group(&child);
    let (sender, ended) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(CHECK) {
        Ok(output) => output.map_err(|error| format!("{name}: {error}")),
        Err(_) => {
            // The thread that waits for it reaps it.
            _ = killpg(group, Signal::SIGKILL);
            Err(format!("{name} did not end within {CHECK:?}"))
        }
    }
}

/// Start `binary`, which has the other end of the channel as its standard input.
pub(super) fn start(binary: &Path, arguments: &[OsString], channel: Stdio) -> Result<Started, String> {
    let mut command = Command::new(binary);
    // A group of its own, so that all of it can be ended.
    command.arg("take-over").args(arguments).stdin(channel).process_group(0);
    let launcher = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(Started { launcher, pid: None })
}

impl Started {
    /// Reap the launcher if it has ended; its failure is that of the start.
    pub(super) fn look(&mut self) -> Result<(), String> {
        match self.launcher.try_wait() {
            Ok(Some(status)) if !status.success() => Err(format!("it ended at its start with {status}")),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Why it is gone, as far as that is known: what was started may have ended a moment later than its channel.
    pub(super) fn why_gone(&mut self) -> String {
        let until = Instant::now() + LAUNCHER;
        loop {
            match self.launcher.try_wait() {
                Ok(Some(status)) if !status.success() => return format!("it ended at its start with {status}"),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                _ => return "it has died; its last words are above".to_owned(),
            }
        }
    }

    /// Whatever is left of it ends now.
    ///
    /// Only while it holds its end of the channel, or somebody else may have its number by now.
    pub(super) fn kill(&mut self) {
        _ = killpg(group(&self.launcher), Signal::SIGKILL);
        if let Some(pid) = self.pid.and_then(|pid| i32::try_from(pid).ok()) {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.reap();
    }

    /// What has started it ends, if it has not.
    pub(super) fn reap(&mut self) {
        _ = self.launcher.kill();
        _ = self.launcher.wait();
    }
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Start the process that takes over and end, so that it is nobody's child but that of the first process: systemd kills
/// what is still the child of a former main process without letting it drain (seen with 252).
///
/// # Errors
/// It cannot be started.
pub fn relaunch(config: Option<&PathBuf>) -> io::Result<()> {
    let mut command = Command::new(own_binary()?);
    command.args(["take-over", "--detached"]);
    if let Some(path) = config {
        command.arg("--config").arg(path);
    }
    command.spawn().map(drop)
}
