//! The sliding window counter: the last window's count, faded out, and this one's. The script in Redis says the same.

use super::Decision;
use std::time::Duration;

/// One caller's requests. Windows are counted from a common zero, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) index: u64,
    pub(super) current: u64,
    pub(super) previous: u64,
}

impl Window {
    /// As it looks at `now`: older windows are over.
    fn at(self, now: u64, window: u64) -> Self {
        let index = now / window;
        match index.saturating_sub(self.index) {
            0 => self,
            1 => Self { index, current: 0, previous: self.current },
            _ => Self { index, current: 0, previous: 0 },
        }
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(self, now: u64, window: u64) -> bool {
        (now / window).saturating_sub(self.index) > 1
    }

    /// Decide, and count if the answer is yes.
    pub(super) fn admit(&mut self, limit: u64, window: u64, now: u64) -> Decision {
        *self = self.at(now, window);
        let passed = now.saturating_sub(self.index * window).min(window);
        let faded = self.previous as f64 * (window - passed) as f64 / window as f64;
        let used = faded + self.current as f64;
        let millis = |count: f64| Duration::from_millis(count.max(0.0).ceil() as u64);
        if used + 1.0 <= limit as f64 {
            self.current += 1;
            let remaining = (limit as f64 - used - 1.0).max(0.0) as u64;
            // All are there again when this window has faded out too.
            return Decision { limit, remaining, reset: millis((2 * window - passed) as f64), retry: None };
        }
        let retry = if self.current < limit {
            // Until enough of the last window has faded.
            let bearable = (limit - 1 - self.current) as f64 / self.previous as f64;
            window as f64 * (1.0 - bearable) - passed as f64
        } else {
            // Until the next window, and enough of this one has faded.
            let bearable = (limit - 1) as f64 / self.current as f64;
            (window - passed) as f64 + window as f64 * (1.0 - bearable)
        };
        let retry = millis(retry).max(Duration::from_millis(1));
        Decision { limit, remaining: 0, reset: millis((2 * window - passed) as f64), retry: Some(retry) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lets_through_exactly_its_limit() {
        let mut window = Window::default();
        let passed = (0..250).filter(|_| window.admit(100, 60_000, 5).retry.is_none()).count();
        assert_eq!((passed, window.current), (100, 100), "refused ones are not counted");
    }

    #[test]
    fn the_last_window_fades() {
        let mut window = Window::default();
        (0..100).for_each(|_| _ = window.admit(100, 60_000, 59_999));
        // Half of the next window later, half of it still counts.
        let passed = (0..100).filter(|_| window.admit(100, 60_000, 90_000).retry.is_none()).count();
        assert_eq!(passed, 50);
        assert!(window.is_over(180_000, 60_000) && !window.is_over(150_000, 60_000));
    }

    #[test]
    fn who_comes_back_when_told_is_let_in_and_not_a_moment_earlier() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let limit = random.u64(1..50);
            let start = Window { index: 3, current: random.u64(0..=limit), previous: random.u64(0..=limit) };
            let now = 30_000 + random.u64(0..10_000);
            let mut window = start;
            let Some(retry) = window.admit(limit, 10_000, now).retry else { continue };
            let later = now + retry.as_millis() as u64;
            let (mut early, mut right) = (start, start);
            assert_eq!(right.admit(limit, 10_000, later).retry, None, "{start:?} {limit} {now} {retry:?}");
            if retry > Duration::from_millis(2) {
                assert!(early.admit(limit, 10_000, later - 2).retry.is_some(), "{start:?} {limit} {now} {retry:?}");
            }
        }
    }
}
