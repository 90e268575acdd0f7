//! How long to wait before another attempt.

use std::time::{Duration, SystemTime};

/// Longest wait that is read from a header: with more, sums of times could overflow. It is for the caller to bear less.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `retry.backoff:`, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The most that the first retry waits; each further one may wait twice as long.
    pub base: Duration,
    /// The most that any retry waits.
    pub longest: Duration,
}

impl Backoff {
    /// What to wait before the next retry after `retries_so_far`. `random`: 0 to 1, anew for each wait.
    ///
    /// Anything from nothing to the full length, so that callers who failed together do not come back together ("full
    /// jitter").
    pub fn wait(&self, retries_so_far: u8, random: f64) -> Duration {
        let mut full = self.base;
        for _ in 0..retries_so_far {
            if full >= self.longest {
                break;
            }
            full = full.saturating_mul(2);
        }
        let full = full.min(self.longest);
        Duration::try_from_secs_f64(full.as_secs_f64() * random.clamp(0.0, 1.0)).unwrap_or(full).min(full)
    }
}

/// What a `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date, in any of the three forms that a
/// recipient must read. Nothing where the date is over, at most 366 days; `None` where it is neither.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large is a long wait, not a wrong one.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_retry_may_wait_twice_as_long_up_to_the_longest() {
        let backoff = Backoff { base: Duration::from_millis(25), longest: Duration::from_millis(150) };
        for (retries, random, millis) in
            [(0, 1.0, 25), (1, 1.0, 50), (2, 1.0, 100), (3, 1.0, 150), (255, 1.0, 150), (1, 0.5, 25), (9, 0.0, 0)]
        {
            assert_eq!(backoff.wait(retries, random), Duration::from_millis(millis), "{retries} {random}");
        }
        assert_eq!(Backoff { base: Duration::ZERO, ..backoff }.wait(255, 1.0), Duration::ZERO);
        assert_eq!(backoff.wait(0, f64::NAN), Duration::from_millis(25), "what is no number waits, and never panics");
        let endless = Backoff { base: Duration::MAX, longest: Duration::MAX };
        assert_eq!(endless.wait(255, 1.0), Duration::MAX);
    }

    #[test]
    fn both_forms_of_the_header_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(366 * 86_400)),
            ("99999999999999999999999", Some(366 * 86_400)),
            ("Sun, 06 Nov 1994 08:49:60 GMT", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1, 2", None),
            ("soon", None),
            ("١٢", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_its_bound_and_grows_with_each_retry(
            base in 0..10_000_u64, longest in 0..100_000_u64, retries in 0..=254_u8, random in 0.0..1.0
        ) {
            let (base, longest) = (Duration::from_millis(base), Duration::from_millis(longest));
            let backoff = Backoff { base, longest };
            let bound = longest.as_secs_f64().min(base.as_secs_f64() * 2_f64.powi(retries.into()));
            let wait = backoff.wait(retries, random);
            prop_assert!(wait <= longest && wait.as_secs_f64() <= bound + 1e-9);
            prop_assert!((wait.as_secs_f64() - bound * random).abs() < 1e-6);
            prop_assert!(wait <= backoff.wait(retries + 1, random));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", date in "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT") {
            for text in [text, date] {
                prop_assert!(retry_after(&text, SystemTime::UNIX_EPOCH).is_none_or(|wait| wait <= LONGEST));
            }
        }
    }
}
