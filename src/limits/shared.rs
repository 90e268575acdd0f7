//! Counting in Redis, for all instances together: one script, which reads the time, decides, counts and sets the expiry.

use super::{Decision, Limit, limit::Algorithm};
use crate::store::{Script, Store, StoreError};
use std::{sync::LazyLock, time::Duration};

/// The sliding window counter of `window.rs`, on Redis' clock. Answers: allowed, remaining, reset and retry in ms.
///
/// A hash with the window's number, its count and the last one's. It is written and given its expiry in one script, so
/// that no key is ever without one; refused requests write nothing.
static WINDOW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local index = math.floor(now / window)
local known = redis.call('HMGET', KEYS[1], 'i', 'c', 'p')
local at, current, previous = tonumber(known[1]) or 0, tonumber(known[2]) or 0, tonumber(known[3]) or 0
if index == at + 1 then
  current, previous = 0, current
elseif index > at + 1 then
  current, previous = 0, 0
end
local passed = math.max(0, math.min(window, now - index * window))
local used = previous * (window - passed) / window + current
local reset = 2 * window - passed
if used + 1 <= limit then
  redis.call('HSET', KEYS[1], 'i', index, 'c', current + 1, 'p', previous)
  redis.call('PEXPIRE', KEYS[1], math.ceil(reset))
  return {1, math.floor(limit - used - 1), math.ceil(reset), 0}
end
local retry
if current < limit then
  retry = window * (1 - (limit - 1 - current) / previous) - passed
else
  retry = window - passed + window * (1 - (limit - 1) / current)
end
return {0, 0, math.ceil(reset), math.max(1, math.ceil(retry))}
",
    )
});

/// The algorithm of `gcra.rs`, on Redis' clock: the key holds when the next request is due, in microseconds.
static GCRA: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = tonumber(redis.call('GET', KEYS[1])) or 0
local latest = now + interval * burst
local following = math.max(arrival, now) + interval
if following > latest then
  return {0, 0, math.ceil((arrival - now) / 1000), math.max(1, math.ceil((following - latest) / 1000))}
end
redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.max(1, math.ceil((following - now) / 1000)))
return {1, math.floor((latest - following) / interval), math.ceil((following - now) / 1000), 0}
",
    )
});

/// Ask Redis once.
pub(super) async fn admit(limit: &Limit, store: &Store, key: &str, requests: u64) -> Result<Decision, StoreError> {
    let answer = match limit.algorithm {
        Algorithm::SlidingWindow => store.run(&WINDOW, key, [requests, limit.window_millis]).await?,
        Algorithm::Gcra(burst) => {
            let interval = (limit.window_millis.saturating_mul(1_000) / requests.max(1)).max(1);
            store.run(&GCRA, key, [interval, burst.unwrap_or(requests)]).await?
        }
    };
    let [allowed, remaining, reset, retry] = answer.map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Decision {
        limit: requests,
        remaining,
        reset: Duration::from_millis(reset),
        retry: (allowed == 0).then(|| Duration::from_millis(retry)),
    })
}
