use super::{Member, Turn, schedule::Schedule};
use std::cell::Cell;
use thread_local::ThreadLocal;

/// Smooth weighted round robin. Picking is one step along a schedule, and each thread has its own place in it, so that
/// threads share nothing they write.
pub(in super::super) struct RoundRobin {
    schedule: Schedule,
    cursor: ThreadLocal<Cell<usize>>,
}

impl RoundRobin {
    pub(super) fn build(members: &[Member]) -> Self {
        Self { schedule: Schedule::build(members), cursor: ThreadLocal::new() }
    }

    pub(super) fn pick(&self, turn: Turn, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        let length = self.schedule.length();
        // A random start, or all threads would begin with the heaviest endpoint.
        let cursor = self.cursor.get_or(|| Cell::new(fastrand::usize(..length.max(1))));
        let start = cursor.get();
        if turn == Turn::Next {
            cursor.set(if start + 1 < length { start + 1 } else { 0 });
        }
        self.schedule.next(start, |seat| accepts(seat.place)).map(|seat| seat.place)
    }
}
