use crate::types::Moment;
use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// How long an answer is remembered, in milliseconds: Finagle's and Linkerd's default.
const MEMORY: f64 = 10_000.0;

/// How often [`fading`] squares. Each more makes its error a quarter.
const SQUARINGS: i32 = 5;

/// What an endpoint has to do at this moment, and how long its answers take. Outlives every snapshot that names it.
///
/// Alone in its cache line: all threads write it, and what else is known of an endpoint is only read.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Load {
    in_flight: AtomicU32,
    /// Average latency in microseconds, as the bits of an `f64`; 0: none was seen.
    average: AtomicU64,
    /// When it answered last, in milliseconds.
    touched: AtomicU64,
}

impl Load {
    /// A request is sent to it. Each needs one [`Load::end`].
    #[inline]
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request that began is over, however it ended.
    #[inline]
    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Requests that began and did not end.
    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// It took `latency` to answer. What is slower than the average becomes the average at once; what is quicker moves
    /// it the further, the longer nothing was heard (Finagle's peak EWMA).
    ///
    /// Two threads at once may lose one of two answers: there will be others.
    pub(super) fn answered(&self, latency: Duration, now: Moment) {
        let (average, touched) = (self.average(), self.touched.load(Relaxed));
        // Never 0, which means that nothing is known.
        let latency = (latency.as_secs_f64() * 1e6).max(1.0);
        let kept = fading(now.0.saturating_sub(touched));
        let next = if latency >= average { latency } else { average * kept + latency * (1.0 - kept) };
        // Read first: within one millisecond nothing changes, and a store would move the line between cores.
        if next.to_bits() != average.to_bits() {
            self.average.store(next.to_bits(), Relaxed);
        }
        if now.0 > touched {
            self.touched.store(now.0, Relaxed);
        }
    }

    /// What to expect of it in microseconds; 0: nothing is known. Falls while nothing is heard, so that what was slow
    /// is asked again some time.
    #[inline]
    pub(super) fn cost(&self, now: Moment) -> f64 {
        self.average() * fading(now.0.saturating_sub(self.touched.load(Relaxed)))
    }

    /// Its average latency, to be shown; `None`: it did not answer yet.
    pub(super) fn latency(&self) -> Option<Duration> {
        let average = self.average();
        (average > 0.0).then(|| Duration::from_micros(average as u64))
    }

    #[inline]
    fn average(&self) -> f64 {
        f64::from_bits(self.average.load(Relaxed))
    }
}

/// How much of an average is left after so many milliseconds: about exp(-elapsed / 10 s), without a library's exp. It
/// is (1 + y + y²/2)^-32 with y = elapsed / 320 s: it only falls, never to 0, and is too high by 0.0003 at most.
#[inline]
fn fading(elapsed_millis: u64) -> f64 {
    const WHOLE: f64 = MEMORY * (1 << SQUARINGS) as f64;
    // At most 2 hours: higher powers would not be numbers.
    let part = (elapsed_millis as f64 * (1.0 / WHOLE)).min(20.0);
    let power = (0..SQUARINGS).fold(1.0 + part + part * part * 0.5, |power, _| power * power);
    1.0 / power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn load(answers: &[(u64, u64)]) -> Load {
        let load = Load::default();
        answers.iter().for_each(|(latency, now)| load.answered(millis(*latency), Moment(*now)));
        load
    }

    #[test]
    fn fading_is_nearly_exp_and_only_falls() {
        let mut before = 1.0;
        for elapsed in 0..200_000 {
            let (ours, theirs) = (fading(elapsed), (-(elapsed as f64) / MEMORY).exp());
            assert!((theirs - 1e-12..theirs + 0.0003).contains(&ours), "{elapsed}: {ours} {theirs}");
            assert!(ours <= before, "{elapsed}");
            before = ours;
        }
        assert!(fading(0) == 1.0 && fading(u64::MAX) > 0.0);
    }

    #[test]
    fn what_is_in_flight_is_what_began_and_did_not_end() {
        let load = Load::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..1_000).for_each(|_| load.begin());
                    (0..999).for_each(|_| load.end());
                });
            }
        });
        assert_eq!(load.in_flight(), 4);
    }

    #[test]
    fn slower_counts_at_once_and_quicker_by_and_by() {
        // (answers: milliseconds, when; asked when; expected cost in microseconds)
        let cases = [
            (&[][..], 5_000, 0.0),
            (&[(0, 5_000)], 5_000, 1.0),
            (&[(100, 0)], 0, 100_000.0),
            (&[(100, 0), (300, 1)], 1, 300_000.0),
            (&[(100, 0), (50, 0)], 0, 100_000.0),
            (&[(100, 0), (0, 10_000)], 10_000, 36_788.0),
            (&[(100, 0), (50, 10_000)], 10_000, 68_394.0),
            (&[(100, 0)], 10_000, 36_788.0),
            // A thread that is late moves nothing back.
            (&[(100, 10_000), (50, 2_000)], 10_000, 100_000.0),
        ];
        for (answers, now, expected) in cases {
            let cost = load(answers).cost(Moment(now));
            assert!((cost - expected).abs() <= 40.0, "{answers:?} at {now}: {cost}");
        }
    }

    #[test]
    fn only_what_answered_has_a_latency() {
        assert_eq!(load(&[]).latency(), None);
        assert_eq!(load(&[(7, 0)]).latency(), Some(millis(7)));
        assert!(load(&[(7, 0)]).cost(Moment(u64::MAX)) > 0.0, "known for ever");
    }
}
