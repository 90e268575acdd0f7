//! What many threads change at once about a gate, each in one number.

use super::{Mode, gate::GateSettings};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Requests in flight in the lower half, requests that wait in the upper: as one number, so that no request can begin
/// to wait unseen while another one ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Places(pub(super) u64);

impl Places {
    /// One in flight.
    pub(super) const PLACE: u64 = 1;
    /// One that waits.
    pub(super) const WAITER: u64 = 1 << 32;

    pub(super) fn in_flight(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn waiting(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// A place is free and nobody waits for it: with a waiter the number is larger than any limit.
    pub(super) fn is_open(self, limit: u32) -> bool {
        self.0 < u64::from(limit)
    }

    /// A place is free and somebody waits for it.
    pub(super) fn is_due(self, limit: u32) -> bool {
        self.waiting() > 0 && self.in_flight() < limit
    }
}

/// The limit without what follows latency, and two words on how it is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(pub(super) u64);

impl Rule {
    pub(super) const NONE: Self = Self(u32::MAX as u64);
    const OBSERVED: u64 = 1 << 32;
    const ADAPTIVE: u64 = 1 << 33;

    pub(super) fn new(limit: u32, settings: &GateSettings) -> Self {
        let observed = if settings.mode == Mode::Observe { Self::OBSERVED } else { 0 };
        let adaptive = if settings.adaptive.is_some() { Self::ADAPTIVE } else { 0 };
        Self(u64::from(limit) | observed | adaptive)
    }

    pub(super) fn limit(self, adaptive: &AtomicU32) -> u32 {
        let fixed = self.0 as u32;
        // At least 1, also in the moment before the first limit is known: or nobody could end and let others in.
        if self.0 & Self::ADAPTIVE == 0 { fixed } else { fixed.min(adaptive.load(Relaxed)).max(1) }
    }

    /// So many may be in flight when who waits is let in.
    pub(super) fn most(self, adaptive: &AtomicU32) -> u32 {
        if self.0 & Self::OBSERVED == 0 { self.limit(adaptive) } else { u32::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_open_below_the_limit_where_nobody_waits_and_due_where_somebody_does() {
        for (in_flight, waiting, limit, is_open, is_due) in [
            (0, 0, 1, true, false),
            (1, 0, 1, false, false),
            (0, 1, 1, false, true),
            (1, 1, 1, false, false),
            (7, u32::MAX, 8, false, true),
            (8, 0, 3, false, false),
            (8, 0, u32::MAX, true, false),
            (8, 1, u32::MAX, false, true),
        ] {
            let places = Places(u64::from(in_flight) * Places::PLACE + u64::from(waiting) * Places::WAITER);
            assert_eq!((places.in_flight(), places.waiting()), (in_flight, waiting));
            assert_eq!(
                (places.is_open(limit), places.is_due(limit)),
                (is_open, is_due),
                "{in_flight} {waiting} {limit}"
            );
        }
    }
}
