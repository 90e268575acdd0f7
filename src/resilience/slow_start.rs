//! How fast an endpoint gets its full share after it came (back): caches are cold and pools are empty.

use crate::types::Moment;
use std::time::Duration;

/// `slow_start:` of a service, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// Until an endpoint has its full weight. Zero: it has that at once.
    pub duration: Duration,
}

impl SlowStart {
    /// The share of its weight, 1 to 10 tenths, that an endpoint has at `now` which came at `since`.
    ///
    /// As much of it as of the duration is over, rounded down; but never none, or it would not warm at all.
    pub fn tenths(&self, since: Moment, now: Moment) -> u8 {
        let over = now.since(since).as_millis();
        match (over * 10).checked_div(self.duration.as_millis()) {
            Some(tenths) => tenths.clamp(1, 10) as u8,
            None => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weight_grows_in_tenths_with_time() {
        for (duration, since, now, tenths) in [
            (0, 0, 0, 10),
            (0, 500, 100, 10),
            (10_000, 5_000, 5_000, 1),
            (10_000, 5_000, 6_999, 1),
            (10_000, 5_000, 7_000, 2),
            (10_000, 5_000, 10_000, 5),
            (10_000, 5_000, 14_999, 9),
            (10_000, 5_000, 15_000, 10),
            (10_000, 5_000, u64::MAX, 10),
            (10_000, 5_000, 4_000, 1),
            (3, 0, 1, 3),
        ] {
            let slow_start = SlowStart { duration: Duration::from_millis(duration) };
            assert_eq!(slow_start.tenths(Moment(since), Moment(now)), tenths, "{duration} {since} {now}");
        }
    }

    proptest! {
        #[test]
        fn a_weight_never_falls_and_is_whole_at_the_end(
            duration in 0..100_000_u64, since in 0..100_000_u64, waits in prop::collection::vec(0..9_000_u64, 0..40)
        ) {
            let (slow_start, since) = (SlowStart { duration: Duration::from_millis(duration) }, Moment(since));
            let (mut now, mut last) = (since, 1);
            for wait in waits {
                now.0 += wait;
                let tenths = slow_start.tenths(since, now);
                prop_assert!((1..=10).contains(&tenths) && tenths >= last);
                prop_assert_eq!(tenths == 10, now.since(since) >= slow_start.duration);
                last = tenths;
            }
        }
    }
}
