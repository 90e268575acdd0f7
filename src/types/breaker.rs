use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Stops asking what does not answer.
#[derive(Debug)]
pub struct Breaker {
    /// Failures in a row after which nobody asks for a while.
    most: u32,
    /// How long nobody asks; then one does.
    rest: Duration,
    start: Instant,
    failures: AtomicU32,
    /// Milliseconds since `start`.
    closed_again: AtomicU64,
}

impl Breaker {
    /// After `most` failures in a row nobody asks for the length of `rest`; then one does, each time it is over.
    pub fn new(most: u32, rest: Duration) -> Self {
        let (failures, closed_again) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { most: most.max(1), rest, start: Instant::now(), failures, closed_again }
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// Whether one may ask now. While it rests, one asker passes each time the rest is over.
    pub fn may_ask(&self, now: Instant) -> bool {
        if self.failures.load(Relaxed) < self.most {
            return true;
        }
        let (now, until) = (self.millis(now), self.closed_again.load(Relaxed));
        let next = now + self.rest.as_millis() as u64;
        now >= until && self.closed_again.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }

    /// Whether it rests.
    pub fn is_open(&self) -> bool {
        self.failures.load(Relaxed) >= self.most
    }

    /// Somebody got an answer.
    pub fn succeeded(&self) {
        // Read first: every call comes here, and a store would move the line between cores.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// Somebody got none.
    pub fn failed(&self, now: Instant) {
        let before = self.failures.fetch_add(1, Relaxed);
        if before >= self.most {
            // Not for ever upwards.
            self.failures.store(self.most, Relaxed);
        } else if before + 1 == self.most {
            self.closed_again.store(self.millis(now) + self.rest.as_millis() as u64, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_one_asks_each_time_the_rest_is_over() {
        let breaker = Breaker::new(3, Duration::from_millis(500));
        let at = |millis: u64| breaker.start + Duration::from_millis(millis);
        breaker.failed(at(0));
        breaker.succeeded();
        (0..2).for_each(|_| breaker.failed(at(0)));
        assert!(!breaker.is_open() && breaker.may_ask(at(1)));
        breaker.failed(at(1));
        assert!(!breaker.may_ask(at(100)) && !breaker.may_ask(at(500)));
        assert!(breaker.may_ask(at(501)) && !breaker.may_ask(at(502)), "one of many");
        breaker.failed(at(550));
        assert!(!breaker.may_ask(at(900)) && breaker.may_ask(at(1_001)));
        breaker.succeeded();
        assert!(breaker.may_ask(at(1_002)) && !breaker.is_open());
    }
}
