//! How a process leaves.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};
use tokio::sync::watch;

/// Whether operators talk to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet, or not any more: another process answers them, on the same sockets.
    Waiting,
    /// To this one.
    Gateway,
    /// Never again: it lets go of those sockets.
    Over,
}

const SERVING: u8 = 0;
const SUPERSEDED: u8 = 1;
const LEAVING: u8 = 2;

/// How far a process is in leaving; the drain switch of everything that keeps connections.
///
/// ```text
/// serving ──hand_over──► superseded ──leave──► leaving ──end──► (gone)
///    ▲──────take_back────────┘
/// ```
/// *Polite* is everything but serving: connections are still accepted and served, but each answer asks its caller to
/// come back on a new one. Then whatever pingora drops at its end is used by nobody.
#[derive(Debug)]
pub struct Departure {
    /// Read by every request, so no lock.
    stage: AtomicU8,
    polite: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    given_up: AtomicBool,
    /// Listeners whose accept loop has not ended.
    accepting: AtomicUsize,
}

impl Default for Departure {
    fn default() -> Self {
        Self {
            stage: AtomicU8::new(SERVING),
            polite: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            given_up: AtomicBool::new(false),
            accepting: AtomicUsize::new(0),
        }
    }
}

impl Departure {
    /// Another process is the gateway now. This one still accepts and is ready, and asks for new connections.
    pub fn hand_over(&self) {
        self.become_polite(SUPERSEDED);
    }

    /// The other process is gone: this one is the gateway again. Not once it is leaving.
    pub fn take_back(&self) {
        if self.stage.compare_exchange(SUPERSEDED, SERVING, Relaxed, Relaxed).is_ok() {
            // Asked again under the lock of the watch: it may be told to leave in this very moment.
            self.polite.send_modify(|polite| *polite = self.is_polite());
        }
    }

    /// This process was to take over and does not: as [`Departure::hand_over`], but it ends when its requests may.
    pub fn give_up(&self) {
        self.given_up.store(true, Relaxed);
        self.hand_over();
    }

    /// Whether [`Departure::give_up`] was called.
    pub fn has_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// The end has begun: `/health/ready` says 503 from now on.
    pub fn leave(&self) {
        self.become_polite(LEAVING);
    }

    /// What is still under way may say goodbye, and is cut a moment later.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Whether every answer asks its caller for a new connection.
    pub fn is_polite(&self) -> bool {
        self.stage.load(Relaxed) != SERVING
    }

    /// Whether another process is the gateway, and this one only finishes what it has.
    pub fn is_superseded(&self) -> bool {
        self.stage.load(Relaxed) == SUPERSEDED
    }

    /// Whether this process is about to end, and not ready for anybody new.
    pub fn is_leaving(&self) -> bool {
        self.stage.load(Relaxed) == LEAVING
    }

    /// A listener accepts, or is about to.
    pub fn begins_to_accept(&self) {
        self.accepting.fetch_add(1, Relaxed);
    }

    /// A listener has accepted its last connection.
    pub fn accepts_no_more(&self) {
        self.accepting.fetch_sub(1, Relaxed);
    }

    /// How many listeners still accept connections, or have not begun to.
    pub fn accepting(&self) -> usize {
        self.accepting.load(Relaxed)
    }

    /// Hears when [`Departure::is_polite`] changes, either way.
    pub fn polite(&self) -> watch::Receiver<bool> {
        self.polite.subscribe()
    }

    /// Hears [`Departure::end`].
    pub fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    fn become_polite(&self, stage: u8) {
        self.stage.fetch_max(stage, Relaxed);
        self.polite.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_leaving_does_not_come_back() {
        let departure = Departure::default();
        let polite = departure.polite();
        departure.hand_over();
        assert!(departure.is_polite() && departure.is_superseded() && !departure.is_leaving() && *polite.borrow());
        departure.take_back();
        assert!(!departure.is_polite() && !departure.is_superseded() && !*polite.borrow());
        departure.hand_over();
        departure.leave();
        departure.take_back();
        departure.hand_over();
        assert!(departure.is_polite() && departure.is_leaving() && !departure.is_superseded() && *polite.borrow());
        assert!(!*departure.ended().borrow());
        departure.end();
        assert!(*departure.ended().borrow());
    }
}
