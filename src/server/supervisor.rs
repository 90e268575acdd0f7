use crate::types::Departure;
use nix::time::{ClockId, clock_gettime};
use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Where a supervisor wants to be told, as systemd sets it for `Type=notify`.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Tells systemd, or whoever set `NOTIFY_SOCKET`, how the process is: the protocol of `sd_notify(3)`, a datagram of a few
/// words. Thirty lines, and the only crate for it would change variables of the environment for us.
///
/// Says nothing while another process is the gateway: to the supervisor a word of this one would be the gateway's.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    departure: Arc<Departure>,
    /// Somebody else is the main process, and this one speaks no more, however far it is in leaving.
    is_silent: AtomicBool,
}

impl Supervisor {
    /// That of the environment, which hears nothing before this process `speaks`. None is fine; one that cannot be reached is warned about. The variable stays: a process
    /// that is started by this one has it too, unless [`Supervisor::hide_from`] takes it away.
    pub(super) fn from_environment(departure: Arc<Departure>, speaks: bool) -> Self {
        let name = env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let socket = name.and_then(|name| {
            let reached = reach(&name);
            reached.map_err(|error| log::warn!("{VARIABLE} {}: {error}", name.display())).ok()
        });
        Self { socket, departure, is_silent: AtomicBool::new(!speaks) }
    }

    /// Whether somebody wants to be told.
    pub(super) fn is_there() -> bool {
        env::var_os(VARIABLE).is_some_and(|name| !name.is_empty())
    }

    /// This is the main process now.
    pub(super) fn speak(&self) {
        if self.is_silent.swap(false, Relaxed) {
            self.ready();
            self.status("took over from a former process");
        }
    }

    /// Requests are answered from now on.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// A reload has begun; [`Supervisor::ready`] ends it, whatever came of it.
    pub(super) fn reloading(&self) {
        // When it began: `Type=notify-reload` waits for one that is newer than its question.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
        let micros = now.map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
        self.status("leaving: finishes what is in flight");
    }

    /// The main process is `pid` from now on: another one, and this one falls silent, or this one again. It must be
    /// this one that says it: systemd takes it from the main process alone (`NotifyAccess=main`).
    pub(super) fn main_pid(&self, pid: u32) {
        self.is_silent.store(false, Relaxed);
        self.send(&format!("MAINPID={pid}"));
        self.is_silent.store(pid != process::id(), Relaxed);
    }

    /// One line for people, until the next one: `systemctl status` shows it.
    pub(super) fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// `command` must not speak for the gateway: a check of a binary, for example. A process that is to become the
    /// gateway keeps the variable.
    pub(super) fn hide_from(command: &mut process::Command) {
        command.env_remove(VARIABLE);
    }

    fn tell(&self, words: &str) {
        if !self.departure.is_superseded() && !self.is_silent.load(Relaxed) {
            self.send(words);
        }
    }

    fn send(&self, words: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            log::warn!("{VARIABLE}: {error}; the supervisor was not told {}", words.replace('\n', " "));
        }
    }
}

/// A socket to speak through, and where to: a path, or a name after `@` that is in no file system.
fn reach(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("neither a path nor a name after @")),
    };
    let socket = UnixDatagram::unbound()?;
    // A supervisor that reads nothing must hold up no reload.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaking_to(socket: &UnixDatagram) -> Supervisor {
        let address = socket.local_addr().unwrap();
        let mouth = UnixDatagram::unbound().unwrap();
        Supervisor { socket: Some((mouth, address)), departure: Arc::default(), is_silent: AtomicBool::new(false) }
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let next = || {
            let mut bytes = [0; 1000];
            let length = socket.recv(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_process_that_handed_over_falls_silent_until_it_is_the_gateway_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let supervisor = speaking_to(&socket);
        supervisor.ready();
        supervisor.main_pid(1);
        supervisor.departure.hand_over();
        supervisor.reloading();
        supervisor.departure.leave();
        supervisor.stopping();
        assert_eq!(heard(&socket), ["READY=1", "MAINPID=1"]);
        let (supervisor, own) = (speaking_to(&socket), process::id());
        supervisor.departure.hand_over();
        supervisor.ready();
        supervisor.departure.take_back();
        supervisor.main_pid(1);
        supervisor.main_pid(own);
        supervisor.status("two\nlines");
        assert_eq!(heard(&socket), ["MAINPID=1".to_owned(), format!("MAINPID={own}"), "STATUS=two lines".to_owned()]);
    }

    #[test]
    fn only_paths_and_abstract_names_are_sockets() {
        assert!(reach(OsStr::new("/run/systemd/notify")).is_ok() && reach(OsStr::new("@edgeway")).is_ok());
        assert!(reach(OsStr::new("notify")).is_err() && reach(OsStr::new("vsock:2:1")).is_err());
    }
}
