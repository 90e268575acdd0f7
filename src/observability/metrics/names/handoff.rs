//! Handoffs, and how a process leaves.

use crate::observability::metrics::{
    Kind::{Counter, Gauge},
    Name,
};

/// As the old process and as the new one.
pub const HANDOFFS: Name = Name {
    name: "edgeway_handoffs_total",
    kind: Counter,
    labels: &["result"],
    help: "Handoffs by result: done (this process took over), failed (it stayed), taken_back (the new one died).",
};
/// Ready is false then.
pub const DRAINING: Name = Name {
    name: "edgeway_draining",
    kind: Gauge,
    labels: &[],
    help: "1: this process is about to end, and not ready. 0: it serves.",
};
/// Of a handoff.
pub const FORMER_PID: Name = Name {
    name: "edgeway_former_process_pid",
    kind: Gauge,
    labels: &[],
    help: "Number of the process before this one, while it finishes what it has. Absent: it has left.",
};
/// Its age is `time()` less this.
pub const FORMER_START: Name = Name {
    name: "edgeway_former_process_start_time_seconds",
    kind: Gauge,
    labels: &[],
    help: "When that process began, in seconds since 1970.",
};
/// What a handoff waits for.
pub const FORMER_CONNECTIONS: Name = Name {
    name: "edgeway_former_process_connections",
    kind: Gauge,
    labels: &[],
    help: "Connections of callers that that process still has.",
};
/// The same.
pub const FORMER_IN_FLIGHT: Name = Name {
    name: "edgeway_former_process_requests",
    kind: Gauge,
    labels: &[],
    help: "Requests, WebSockets and streams that that process still serves.",
};

/// All of these.
pub(super) const HANDOFF: &[&Name] =
    &[&HANDOFFS, &DRAINING, &FORMER_PID, &FORMER_START, &FORMER_CONNECTIONS, &FORMER_IN_FLIGHT];
