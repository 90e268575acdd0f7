//! The new process's side.

use super::{
    Handoff,
    channel::{Channel, Heard},
    message::{Message, Role, VERSION},
    numbers,
};
use crate::{
    runtime::{Former, HandoffResult, Process},
    server::{signals::Asked, sockets::Sockets},
    types::{ListenAddress, Standing},
};
use rustix::net::getsockname;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::OwnedFd,
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};
use tokio::sync::Notify;

/// The old process passes everything at once, or hangs.
const PASSED: Duration = Duration::from_secs(10);
/// How often the old process hears how it goes.
const SECOND: Duration = Duration::from_secs(1);

/// The process that this one takes over from.
#[derive(Clone, Debug)]
pub struct Predecessor(Arc<Channel>);

/// Sockets that were passed.
#[derive(Debug, Default)]
pub(in crate::server) struct Passed {
    sockets: Vec<(Role, String, OwnedFd)>,
    /// The old process, if it is still there.
    pub(in crate::server) former: Option<Former>,
}

impl Passed {
    /// The one for this address, as the file writes it; each is taken once.
    pub(in crate::server) fn take(&mut self, role: Role, address: &str) -> Option<OwnedFd> {
        self.take_if(role, |text, _| text == address)
    }

    /// The one that listens there, however the file of the old process wrote it.
    pub(in crate::server) fn take_at(&mut self, role: Role, address: &ListenAddress) -> Option<OwnedFd> {
        let all: Vec<SocketAddr> = address.to_string().to_socket_addrs().ok()?.collect();
        let listens =
            |socket: &OwnedFd| getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
        self.take_if(role, |_, socket| listens(socket).is_some_and(|address| all.contains(&address)))
    }

    fn take_if(&mut self, role: Role, is_it: impl Fn(&str, &OwnedFd) -> bool) -> Option<OwnedFd> {
        let at = self.sockets.iter().position(|(its, text, socket)| *its == role && is_it(text, socket))?;
        Some(self.sockets.remove(at).2)
    }
}

impl Predecessor {
    /// Whoever has started this process.
    ///
    /// # Errors
    /// It was started by somebody else.
    pub fn inherited() -> io::Result<Self> {
        let channel = Channel::inherited()?;
        // Where the old process is gone already, this one serves alone.
        _ = channel.tell(&Message::Launched { pid: process::id() });
        Ok(Self(Arc::new(channel)))
    }

    /// Why there will be no new process.
    pub fn failed(&self, reason: &str) {
        self.tell(&Message::Failed { reason: reason.to_owned() });
    }

    /// Whoever was to hear it is gone, or hears it.
    pub(super) fn tell(&self, message: &Message) {
        _ = self.0.tell(message);
    }

    /// Ask for the sockets, and for what is revoked. If the old process is gone, there may be less than all of it.
    pub(in crate::server) fn sockets(&self, process: &Process, most_revocations: usize) -> io::Result<Passed> {
        let build = super::super::BUILD.to_owned();
        // What the old process has passed is here, also where it is gone by now.
        _ = self.0.tell(&Message::Hello { version: VERSION, pid: process::id(), build });
        let mut passed = Passed::default();
        let by = Instant::now() + PASSED;
        while Instant::now() < by {
            match self.0.hear(by.saturating_duration_since(Instant::now()))? {
                Heard::Message(Message::Socket { role, address }, Some(socket)) => {
                    passed.sockets.push((role, address, socket));
                }
                Heard::Message(Message::Revoked { entries }, _) => {
                    process.revocations.take_over(entries, most_revocations);
                }
                Heard::Message(Message::Passed { pid, started_ms }, _) => {
                    let started = UNIX_EPOCH + Duration::from_millis(started_ms);
                    passed.former = Some(Former { pid, started, connections: 0, in_flight: 0 });
                    return Ok(passed);
                }
                Heard::Message(Message::Abort { reason }, _) => return Err(io::Error::other(reason)),
                Heard::Message(..) | Heard::Silence => (),
                Heard::Gone => {
                    log::warn!("the old process is gone, and has passed {} sockets", passed.sockets.len());
                    return Ok(Passed { former: None, ..passed });
                }
            }
        }
        Err(io::Error::other("the old process has not passed its sockets"))
    }
}

/// This process as the new one of a handoff, from the moment it accepts.
pub(in crate::server) struct Successor {
    pub(in crate::server) predecessor: Predecessor,
    pub(in crate::server) handoff: Arc<Handoff>,
    pub(in crate::server) reload: Arc<Notify>,
}

impl Successor {
    /// Say that this process serves, once all `sockets` do, and follow the old one to its end; on a thread of its own.
    ///
    /// # Errors
    /// There is no thread left.
    pub(in crate::server) fn follow(self, sockets: Sockets) -> io::Result<()> {
        *self.handoff.former.lock() = Some(self.predecessor.clone());
        let work = move || {
            while !sockets.accept() {
                thread::sleep(Duration::from_millis(1));
            }
            self.predecessor.tell(&Message::Ready);
            self.predecessor.tell(&Message::Report(numbers(&self.handoff.process)));
            if self.until_taken() {
                self.until_gone();
            }
        };
        thread::Builder::new().name("handoff".to_owned()).spawn(work).map(drop)
    }

    /// Both serve. `false`: this process is not to be the gateway.
    fn until_taken(&self) -> bool {
        let mut reported = Instant::now();
        loop {
            let left = SECOND.saturating_sub(reported.elapsed());
            match self.predecessor.0.hear(left) {
                Ok(Heard::Message(Message::Take, _)) => {
                    self.take("takes over");
                    self.predecessor.tell(&Message::Taken);
                    return true;
                }
                Ok(Heard::Message(Message::Revoked { entries }, _)) => {
                    let most = self.handoff.live.pin().config.auth.revocation.most;
                    self.handoff.process.revocations.take_over(entries, most);
                }
                Ok(Heard::Message(Message::Reload, _)) => self.reload.notify_one(),
                Ok(Heard::Message(Message::Abort { reason }, _)) => {
                    self.give_up(&reason);
                    return false;
                }
                Ok(Heard::Message(..) | Heard::Silence) => (),
                Ok(Heard::Gone) => {
                    self.take("is the gateway, because the old process is gone");
                    return true;
                }
                Err(error) => unheard(&error),
            }
            if reported.elapsed() >= SECOND {
                reported = Instant::now();
                self.predecessor.tell(&Message::Report(numbers(&self.handoff.process)));
            }
        }
    }

    /// The old process stays: this one finishes what it has, and leaves.
    fn give_up(&self, reason: &str) {
        log::error!("the old process stays: {reason}; finishing what is here, and leaving");
        self.handoff.process.departure.give_up();
        _ = self.handoff.signals.blocking_send(Asked::Leave);
    }

    fn take(&self, how: &str) {
        self.handoff.become_gateway();
        self.handoff.process.handoffs.ended(HandoffResult::Done);
        log::info!("process {} {how}", process::id());
    }

    /// The old process finishes what it has.
    fn until_gone(&self) {
        let revocations = &self.handoff.process.revocations;
        let mut told = revocations.version();
        loop {
            if revocations.version() != told {
                // It still serves some.
                told = revocations.version();
                self.predecessor.tell(&Message::Revoked { entries: revocations.export() });
            }
            match self.predecessor.0.hear(SECOND) {
                // It did not hear that this process has taken over.
                Ok(Heard::Message(Message::Abort { reason }, _)) => {
                    self.handoff.standing.send_replace(Standing::Waiting);
                    return self.give_up(&reason);
                }
                Ok(Heard::Message(Message::Lingering { connections, in_flight }, _)) => {
                    // The old process has told the supervisor by now who is the main one.
                    self.handoff.supervisor.speak();
                    self.handoff.process.handoffs.still(connections, in_flight);
                }
                Ok(Heard::Message(..) | Heard::Silence) => (),
                Ok(Heard::Gone) => break,
                Err(error) => unheard(&error),
            }
        }
        self.handoff.supervisor.speak();
        self.handoff.process.handoffs.follow(None);
        log::info!("the old process has left");
    }
}

/// Only its end is its end.
fn unheard(error: &io::Error) {
    log::warn!("the old process cannot be heard: {error}");
    thread::sleep(SECOND);
}
