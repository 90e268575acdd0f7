//! What became of handoffs, and the process before this one.

use crate::types::Tally;
use parking_lot::Mutex;
use std::time::SystemTime;

/// How a handoff ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoffResult {
    /// This process took over.
    Done,
    /// The new process did not serve, or not well: this one has stayed.
    Failed,
    /// The new process died after it had taken over: this one is the gateway again.
    TakenBack,
}

impl HandoffResult {
    const WORDS: [&'static str; 3] = ["done", "failed", "taken_back"];

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TakenBack => "taken_back",
        }
    }
}

/// The process before this one, while it finishes what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its number.
    pub pid: u32,
    /// When it began.
    pub started: SystemTime,
    /// Connections of callers that it still has.
    pub connections: u64,
    /// Requests that it still serves.
    pub in_flight: u64,
}

/// The handoffs of a process, as the old one and as the new one.
#[derive(Debug)]
pub struct Handoffs {
    results: Tally,
    former: Mutex<Option<Former>>,
}

impl Default for Handoffs {
    fn default() -> Self {
        Self { results: Tally::new(HandoffResult::WORDS), former: Mutex::default() }
    }
}

impl Handoffs {
    /// One ended.
    pub fn ended(&self, result: HandoffResult) {
        self.results.add(result.word());
    }

    /// How many ended how.
    pub fn results(&self) -> Vec<(&'static str, u64)> {
        self.results.sums()
    }

    /// This process comes after `former`, or alone from now on.
    pub fn follow(&self, former: Option<Former>) {
        *self.former.lock() = former;
    }

    /// What the former process still has.
    pub fn still(&self, connections: u64, in_flight: u64) {
        if let Some(former) = &mut *self.former.lock() {
            (former.connections, former.in_flight) = (connections, in_flight);
        }
    }

    /// The process before this one, if it is still there.
    pub fn former(&self) -> Option<Former> {
        *self.former.lock()
    }
}
