//! The generic cell rate algorithm: requests spread evenly over a window, some of them at once.

use super::Decision;
use std::time::Duration;

/// Rate and burst, as the algorithm needs them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) limit: u64,
    pub(super) burst: u64,
    /// Microseconds from one request to the next.
    pub(super) interval: u64,
}

impl Rate {
    /// `requests` in a window of this many milliseconds, `burst` of them at once.
    pub(super) fn new(requests: u64, burst: u64, window: u64) -> Self {
        Self { limit: requests, burst, interval: (window.saturating_mul(1_000) / requests.max(1)).max(1) }
    }

    /// Decide; `arrival` is when the next request was due, and moves on if the answer is yes. Times in microseconds.
    pub(super) fn admit(self, arrival: &mut u64, now: u64) -> Decision {
        let due = (*arrival).max(now);
        let tolerance = self.interval.saturating_mul(self.burst);
        let next = due.saturating_add(self.interval);
        let micros = Duration::from_micros;
        let reset = |arrival: u64| micros(arrival.saturating_sub(now));
        let latest = now.saturating_add(tolerance);
        if next > latest {
            return Decision {
                limit: self.limit,
                remaining: 0,
                reset: reset(*arrival),
                retry: Some(micros(next - latest)),
            };
        }
        *arrival = next;
        Decision { limit: self.limit, remaining: (latest - next) / self.interval, reset: reset(next), retry: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_after_the_other() {
        let rate = Rate::new(60, 10, 60_000);
        let mut arrival = 0;
        let mut at = |seconds: u64, tries: usize| {
            (0..tries).filter(|_| rate.admit(&mut arrival, 1_000_000_000 + seconds * 1_000_000).retry.is_none()).count()
        };
        assert_eq!([at(0, 50), at(1, 5), at(1, 5), at(4, 9), at(60, 50)], [10, 1, 0, 3, 10]);
    }

    #[test]
    fn who_comes_back_when_told_is_let_in() {
        let rate = Rate::new(7, 3, 10_000);
        let (mut arrival, mut now) = (0, 5_000_000);
        for _ in 0..500 {
            let decision = rate.admit(&mut arrival, now);
            now += decision.retry.map_or(100_000, |retry| {
                let mut copy = arrival;
                assert!(rate.admit(&mut copy, now + retry.as_micros() as u64 - 1).retry.is_some());
                assert!(rate.admit(&mut copy, now + retry.as_micros() as u64).retry.is_none());
                retry.as_micros() as u64
            });
        }
    }
}
