use super::{Load, Member, schedule::Schedule};

/// Of two drawn by weight the one with fewer requests in flight (Mitzenmacher 2001, «The power of two choices»): the
/// least busy of all would be the favourite of all gateways at once.
pub(in super::super) struct LeastRequest(Schedule);

impl LeastRequest {
    pub(super) fn build(members: &[Member]) -> Self {
        Self(Schedule::build(members))
    }

    pub(super) fn pick<'l>(
        &self,
        load: impl Fn(usize) -> Option<&'l Load>,
        accepts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let (first, second) = self.0.draw_two(|seat| accepts(seat.place))?;
        let Some(second) = second else { return Some(first.place) };
        let in_flight = |place| u64::from(load(place).map_or(0, Load::in_flight));
        let (ours, theirs) = (in_flight(first.place), in_flight(second.place));
        let (our_weight, their_weight) = (u64::from(first.weight), u64::from(second.weight));
        // For equal weights: theirs < ours. For others: the first was drawn by weight, and it stays unless the second
        // would have less for its weight even with this request. So weights count while all are idle (where comparing
        // shares would always take the heavy one) and while all are busy (where comparing counts would forget them).
        let is_busier = ours * their_weight >= (theirs + 1) * our_weight;
        Some(if is_busier { second.place } else { first.place })
    }
}
