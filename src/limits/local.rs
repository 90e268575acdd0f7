//! Counting by this instance alone: a sketch that can only count too much, and an exact counter before anybody is refused.

use super::{Counters, Decision, Limit, exact_table::Entry, gcra::Rate, limit::Algorithm, window::Window};
use pingora_limits::rate::PROPORTIONAL_RATE_ESTIMATE_CALC_FN;
use std::time::Duration;

/// Decide, and count if the answer is yes. `key` is the caller's hash, `requests` the limit for this caller.
pub(super) fn admit(limit: &Limit, counters: &Counters, key: u64, requests: u64) -> Decision {
    match limit.algorithm {
        Algorithm::SlidingWindow => sliding(limit, counters, key, requests),
        Algorithm::Gcra(burst) => gcra(limit, counters, key, requests, burst),
    }
}

fn sliding(limit: &Limit, counters: &Counters, key: u64, requests: u64) -> Decision {
    let (now, length) = (counters.now_millis(), limit.window_millis);
    // Below half of its limit a caller costs no entry; above, it gets one that starts at that half, whatever the sketch
    // says: so nobody is refused below it because others share its slots.
    let half = requests / 2;
    let mut estimate = 0;
    let start = || {
        estimate = sketched(limit, key);
        let window = Window { index: now / length, current: estimate.min(half), previous: 0 };
        (estimate >= half).then_some(Entry::Window(window, length))
    };
    let exact = counters.table.ask(key, now, start, |entry| match entry {
        Entry::Window(window, known) if *known == length => window.admit(requests, length, now),
        other => {
            // The limit was another before a reload.
            let mut window = Window { index: now / length, current: 0, previous: 0 };
            let decision = window.admit(requests, length, now);
            *other = Entry::Window(window, length);
            decision
        }
    });
    exact.unwrap_or_else(|| by_sketch(limit, key, requests, estimate))
}

/// What the sketch has counted in the last window.
fn sketched(limit: &Limit, key: u64) -> u64 {
    let rate = limit.rate.rate_with(&key, PROPORTIONAL_RATE_ESTIMATE_CALC_FN);
    // A whole number that went through a rate per second and back is not quite whole any more.
    (rate * limit.window_millis as f64 / 1_000.0 - 1e-6).ceil().max(0.0) as u64
}

/// Far from the limit, or the table is full: the sketch decides.
fn by_sketch(limit: &Limit, key: u64, requests: u64, estimate: u64) -> Decision {
    let window = Duration::from_millis(limit.window_millis);
    if estimate < requests {
        // Asked before it is told, so that refused requests do not count.
        limit.rate.observe(&key, 1);
        return Decision { limit: requests, remaining: requests - estimate - 1, reset: window, retry: None };
    }
    let too_many = (estimate + 1 - requests) as f64 / estimate.max(1) as f64;
    let retry = window.mul_f64(too_many.clamp(0.0, 1.0)).max(Duration::from_millis(1));
    Decision { limit: requests, remaining: 0, reset: window, retry: Some(retry) }
}

fn gcra(limit: &Limit, counters: &Counters, key: u64, requests: u64, burst: Option<u64>) -> Decision {
    let rate = Rate::new(requests, burst.unwrap_or(requests), limit.window_millis);
    let now = counters.now_micros();
    let exact = counters.table.ask(
        key,
        now / 1_000,
        || Some(Entry::Arrival(0)),
        |entry| {
            let mut arrival = if let Entry::Arrival(arrival) = entry { *arrival } else { 0 };
            let decision = rate.admit(&mut arrival, now);
            *entry = Entry::Arrival(arrival);
            decision
        },
    );
    exact.unwrap_or_else(|| by_sketch(limit, key, requests, sketched(limit, key)))
}
