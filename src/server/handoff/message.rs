use crate::auth::RevocationEntry;
use serde::{Deserialize, Serialize};

/// Of what the two processes say to each other. Another one is refused. Keys and messages that are new to a reader mean
/// nothing to it, so that only what the other side must understand makes a new version.
pub(super) const VERSION: u32 = 1;

/// What the old and the new process tell each other, in the order of a handoff that goes well.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// New: whoever started me is over, and this is me.
    Launched { pid: u32 },
    /// New: everything is built but the sockets.
    Hello { version: u32, pid: u32, build: String },
    /// Old, with a descriptor: one of the sockets.
    Socket { role: Role, address: String },
    /// Old: tokens that are over.
    Revoked { entries: Vec<RevocationEntry> },
    /// Old: that was all.
    Passed { pid: u32, started_ms: u64 },
    /// New: a request went through my own stack, and I accept.
    Ready,
    /// New, every second: how it goes.
    Report(Numbers),
    /// Old: your configuration has changed.
    Reload,
    /// Old: you are the gateway.
    Take,
    /// New: I am.
    Taken,
    /// Old, every second from then on: what I still have.
    Lingering { connections: u64, in_flight: u64 },
    /// New: a third process takes over from me now, so do not come back.
    Settled,
    /// New, which is the gateway: I am asked to end, so do not come back; end, too.
    Goodbye,
    /// Old: I stop accepting, and leave as soon as I am done.
    Leaving,
    /// New: I cannot.
    Failed { reason: String },
    /// Old: it did not work out. Finish what you have, and leave.
    Abort { reason: String },
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::server) enum Role {
    /// Callers.
    Listener,
    /// Operators.
    Admin,
    /// `edgeway upgrade`.
    Control,
}

/// What a process has answered since its start.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Numbers {
    /// Requests.
    pub(super) answered: u64,
    /// Those among them that were answered with 5xx.
    pub(super) failed: u64,
    /// Faults of our own that would have ended a thread.
    pub(super) panics: u64,
}
