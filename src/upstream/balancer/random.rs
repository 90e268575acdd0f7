use super::{Member, schedule::Schedule};

/// By chance, by weight. Remembers nothing, so many gateways that know nothing of each other spread evenly.
pub(in super::super) struct Random(Schedule);

impl Random {
    pub(super) fn build(members: &[Member]) -> Self {
        Self(Schedule::build(members))
    }

    pub(super) fn pick(&self, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        self.0.draw(|seat| accepts(seat.place)).map(|seat| seat.place)
    }
}
