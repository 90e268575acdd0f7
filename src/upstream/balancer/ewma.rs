use super::{
    Load, Member,
    schedule::{Schedule, Seat},
};
use crate::types::Moment;

/// What an endpoint costs that is being asked for the first time, in microseconds: more than any that is known. So
/// it gets one request, and no other before it has answered.
const UNKNOWN: f64 = 1e11;

/// Of two drawn by weight the one with less expected latency times requests in flight (Finagle's peak EWMA).
pub(in super::super) struct Ewma(Schedule);

impl Ewma {
    pub(super) fn build(members: &[Member]) -> Self {
        Self(Schedule::build(members))
    }

    pub(super) fn pick<'l>(
        &self,
        now: Moment,
        load: impl Fn(usize) -> Option<&'l Load>,
        accepts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let (first, second) = self.0.draw_two(|seat| accepts(seat.place))?;
        let Some(second) = second else { return Some(first.place) };
        let (our_weight, their_weight) = (f64::from(first.weight), f64::from(second.weight));
        let ((ours, our_count), (theirs, their_count)) = (expected(first, now, &load), expected(second, now, &load));
        // For equal weights: cost × (count + 1) is less. For others as with least_request; without the smaller weight
        // in the place of the 1, the light one would get nothing or, by noise alone, half.
        let slack = our_weight.min(their_weight);
        let is_dearer = theirs * (their_count + 1.0) * our_weight < ours * (our_count * their_weight + slack);
        Some(if is_dearer { second.place } else { first.place })
    }
}

/// Cost of one request, and how many are in flight.
fn expected<'l>(seat: &Seat, now: Moment, load: impl Fn(usize) -> Option<&'l Load>) -> (f64, f64) {
    let Some(load) = load(seat.place) else { return (UNKNOWN, 0.0) };
    let (cost, in_flight) = (load.cost(now), load.in_flight());
    (if cost == 0.0 && in_flight > 0 { UNKNOWN } else { cost }, f64::from(in_flight))
}
