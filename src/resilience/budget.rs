//! How many retries a service bears: a share of its requests, so that retries never multiply an outage.

use super::traffic::Traffic;
use crate::types::Moment;
use std::time::Duration;

/// Over what retries and requests are compared: long enough to be fair to bursts, short enough to end with them.
const WINDOW: Duration = Duration::from_secs(10);

/// `retry.budget:` of a service, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Retries for each request. 0 to 1, and more where somebody means it.
    pub share: f64,
    /// Retries per second that are always allowed, so that a service with few requests has some too.
    pub least_per_second: u32,
}

impl BudgetSettings {
    /// Whether one more retry is allowed: then the retries of the last 10 s, this one included, are at most `share` of the
    /// requests of that time, or at most ten times `least_per_second`.
    ///
    /// Counts nothing: the caller counts the retry when it begins. Two threads that ask at the same time may both be told
    /// yes for the last place, so each thread can exceed the budget by one.
    pub fn allows(&self, traffic: &Traffic, now: Moment) -> bool {
        let sums = traffic.sums(WINDOW, now);
        let retries = sums.retries + 1;
        // By division, which meets the nearest number to what was written: 0.29 × 100 would be less than 29. A retry
        // without any request is an infinite share, and so over every budget.
        retries <= u64::from(self.least_per_second) * WINDOW.as_secs()
            || retries as f64 / sums.requests as f64 <= self.share
    }
}

#[cfg(test)]
mod tests {
    use super::super::traffic::Event;
    use super::*;
    use proptest::prelude::*;

    fn traffic(requests: u32, retries: u32, at: Moment) -> Traffic {
        let traffic = Traffic::default();
        (0..requests).for_each(|_| traffic.count(Event::Request, at));
        (0..retries).for_each(|_| traffic.count(Event::Retry, at));
        traffic
    }

    #[test]
    fn retries_are_a_share_of_requests_or_the_least_whichever_is_more() {
        for (share, least_per_second, requests, retries, allowed) in [
            (0.0, 0, 0, 0, false),
            (0.0, 0, 1_000, 0, false),
            (0.2, 0, 0, 0, false),
            (0.2, 0, 4, 0, false),
            (0.2, 0, 5, 0, true),
            (0.2, 0, 5, 1, false),
            (0.29, 0, 100, 28, true),
            (0.29, 0, 100, 29, false),
            (0.0, 1, 0, 9, true),
            (0.0, 1, 0, 10, false),
            (0.2, 1, 100, 19, true),
            (0.2, 1, 100, 20, false),
            (1.0, 0, 3, 2, true),
            (1.0, 0, 3, 3, false),
        ] {
            let budget = BudgetSettings { share, least_per_second };
            let found = budget.allows(&traffic(requests, retries, Moment(50_000)), Moment(50_000));
            assert_eq!(found, allowed, "{budget:?} {requests} {retries}");
        }
    }

    #[test]
    fn what_is_more_than_eleven_seconds_old_neither_helps_nor_hinders() {
        let (budget, traffic) = (BudgetSettings { share: 0.5, least_per_second: 0 }, traffic(2, 0, Moment(1_500)));
        assert!(budget.allows(&traffic, Moment(11_999)));
        assert!(!budget.allows(&traffic, Moment(12_000)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request,
        Retry,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step =
            prop_oneof![3 => Just(Step::Request), 6 => Just(Step::Retry), 1 => (0..4_000_u64).prop_map(Step::Wait)];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn retries_stay_within_the_budget_of_every_window(steps in steps(), share in 0.0..1.5, least in 0..3_u32) {
            let (budget, traffic) = (BudgetSettings { share, least_per_second: least }, Traffic::default());
            let (mut now, mut requests, mut retries) = (Moment(0), Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Wait(millis) => now.0 += millis,
                    Step::Request => {
                        traffic.count(Event::Request, now);
                        requests.push(now);
                    }
                    Step::Retry => {
                        let covered = |of: &[Moment]| of.iter().filter(|at| at.0 / 1_000 + 10 >= now.0 / 1_000).count();
                        let most = (share * covered(&requests) as f64).max(f64::from(least * 10));
                        let allowed = budget.allows(&traffic, now);
                        prop_assert_eq!(allowed, (covered(&retries) + 1) as f64 <= most);
                        if allowed {
                            traffic.count(Event::Retry, now);
                            retries.push(now);
                        }
                    }
                }
            }
            if share == 0.0 && least == 0 {
                prop_assert!(retries.is_empty());
            }
        }

        #[test]
        fn without_a_share_no_ten_seconds_have_more_than_ten_times_the_least(
            waits in prop::collection::vec(0..900_u64, 0..200), least in 0..3_u32
        ) {
            let (budget, traffic) = (BudgetSettings { share: 0.0, least_per_second: least }, Traffic::default());
            let (mut now, mut retries) = (Moment(0), Vec::new());
            for wait in waits {
                now.0 += wait;
                if budget.allows(&traffic, now) {
                    traffic.count(Event::Retry, now);
                    retries.push(now);
                }
                let last = retries.iter().filter(|at| now.since(**at) < WINDOW).count();
                prop_assert!(last <= least as usize * 10, "{} at {:?}", last, now);
            }
        }
    }
}
