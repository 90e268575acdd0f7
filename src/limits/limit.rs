use super::{
    AlgorithmConfig, Asker, Counters, Decision, KeyConfig, LimitConfig, LimitMode, LimitsConfig, OnRedisFailure,
    Refused, Tally, exact_table::Entry, key, local, shared,
};
use crate::store::Store;
use http::HeaderValue;
use pingora_limits::rate::Rate;
use std::{fmt, sync::Arc, time::Duration};

/// Longest name: it stands in a header of every answer.
const LONGEST_NAME: usize = 64;

/// One limit: settings. What is counted lives in [`Counters`] and in Redis.
pub struct Limit {
    name: Box<str>,
    /// The same name and window count together, in memory and in Redis.
    scope: u64,
    redis_prefix: Box<str>,
    requests: u64,
    requests_claim: Option<Box<str>>,
    pub(super) window_millis: u64,
    pub(super) algorithm: Algorithm,
    key: Box<[KeyConfig]>,
    mode: LimitMode,
    on_failure: OnRedisFailure,
    pub(super) rate: Arc<Rate>,
    policy: HeaderValue,
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    SlidingWindow,
    /// With this burst; `None`: as many as the limit itself.
    Gcra(Option<u64>),
}

/// What is wrong with a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// Which key of the entry.
    pub key: &'static str,
    /// What is wrong; what would be right.
    pub reason: String,
}

impl Limit {
    /// Name of the limit of all routes that have none of their own.
    pub const GENERAL: &str = "default";

    /// The limit of all routes without limits of their own; `None` where the file sets none.
    ///
    /// # Errors
    /// Which key, and what would be right.
    pub fn general(config: &LimitsConfig, counters: &Counters) -> Result<Option<Arc<Self>>, LimitError> {
        let Some(requests) = config.requests else { return Ok(None) };
        let own = LimitConfig {
            name: None,
            requests,
            requests_claim: None,
            window: None,
            algorithm: None,
            burst: None,
            key: None,
            mode: None,
            on_redis_failure: None,
        };
        Self::build(Self::GENERAL, &own, config, counters).map(|limit| Some(Arc::new(limit)))
    }

    /// One entry of a route's `limits:`; `name` is used where it has none of its own.
    ///
    /// # Errors
    /// Which key, and what would be right.
    pub fn build(
        name: &str,
        own: &LimitConfig,
        general: &LimitsConfig,
        counters: &Counters,
    ) -> Result<Self, LimitError> {
        let name = own.name.as_deref().map_or(Ok(name), checked_name)?;
        let window = checked_window(own.window.unwrap_or(general.window).get())?;
        let key = own.key.as_ref().unwrap_or(&general.key);
        if key.is_empty() {
            return Err(LimitError { key: "key", reason: "names nobody; write consumer or address".to_owned() });
        }
        let (window_millis, requests) = (window.as_millis() as u64, u64::from(own.requests.get()));
        let burst = own.burst.or(general.burst).map(|burst| burst.get().into());
        let algorithm = match own.algorithm.unwrap_or(general.algorithm) {
            AlgorithmConfig::SlidingWindow => Algorithm::SlidingWindow,
            AlgorithmConfig::Gcra => Algorithm::Gcra(burst),
        };
        // In Redis too a window of another length, or another algorithm, is another counter.
        let kind = if algorithm == Algorithm::SlidingWindow { 'w' } else { 'g' };
        let redis_prefix = format!("rate_limit:{}{name}:{kind}{}", general.prefix, window.as_secs());
        Ok(Self {
            scope: counters.hash.hash_one((name, window_millis, kind)),
            redis_prefix: redis_prefix.into(),
            policy: policy(name, requests, window_millis),
            name: name.into(),
            requests,
            requests_claim: own.requests_claim.as_deref().map(Into::into),
            window_millis,
            algorithm,
            key: key.iter().cloned().collect(),
            mode: own.mode.unwrap_or(general.mode),
            on_failure: own.on_redis_failure.unwrap_or(general.on_redis_failure),
            rate: counters.rate(window_millis),
        })
    }

    /// As `RateLimit-Policy` and Redis know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of its window.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_millis)
    }

    /// `"default";q=100;w=60`, made ready; made anew where a claim sets another quota.
    pub(super) fn policy(&self, requests: u64) -> HeaderValue {
        if requests == self.requests { self.policy.clone() } else { policy(&self.name, requests, self.window_millis) }
    }

    /// Whether it must be asked after authentication.
    pub fn needs_consumer(&self) -> bool {
        self.key.contains(&KeyConfig::Consumer) || self.requests_claim.is_some()
    }

    /// Whether it is counted in Redis.
    pub fn is_shared(&self) -> bool {
        self.mode == LimitMode::Exact
    }

    /// Decide, and count if the answer is yes. The future of a local limit is ready at once.
    ///
    /// # Errors
    /// Redis is away, and the policy lets nobody pass. A refusal is a [`Decision`] with `retry`.
    pub async fn admit(
        &self,
        asker: &Asker<'_>,
        counters: &Counters,
        store: &Store,
    ) -> Result<Option<Decision>, Refused> {
        let requests = self.requests_claim.as_deref().and_then(asker.number).unwrap_or(self.requests);
        if requests == 0 {
            return Ok(Some(self.nothing(counters)));
        }
        let hash = key::hash(&counters.hash, self.scope, &self.key, asker);
        match self.mode {
            LimitMode::Local => {
                Ok(Some(self.locally(counters, hash, requests, [Tally::LocalAllowed, Tally::LocalRefused])))
            }
            LimitMode::Exact => match self.remembered(counters, hash, requests) {
                Some(decision) => Ok(Some(decision)),
                None => self.ask_redis(asker, counters, store, hash, requests).await,
            },
        }
    }

    /// A claim grants no requests at all: no algorithm divides by that.
    fn nothing(&self, counters: &Counters) -> Decision {
        counters.tally(Tally::LocalRefused);
        let window = Duration::from_millis(self.window_millis);
        Decision { limit: 0, remaining: 0, reset: window, retry: Some(window) }
    }

    fn locally(&self, counters: &Counters, hash: u64, requests: u64, [allowed, refused]: [Tally; 2]) -> Decision {
        let decision = local::admit(self, counters, hash, requests);
        counters.tally(if decision.retry.is_none() { allowed } else { refused });
        decision
    }

    /// Redis' last refusal, while it holds.
    fn remembered(&self, counters: &Counters, hash: u64, requests: u64) -> Option<Decision> {
        let now = counters.now_millis();
        let until = counters.refused.ask(
            hash,
            now,
            || None,
            |entry| match entry {
                // A larger quota than the one refused is news: a plan changed, or the file.
                Entry::RefusedUntil(until, quota) if requests <= *quota => *until,
                _ => now,
            },
        );
        let left = Duration::from_millis(until?.checked_sub(now).filter(|left| *left > 0)?);
        counters.tally(Tally::Remembered);
        Some(Decision { limit: requests, remaining: 0, reset: left, retry: Some(left) })
    }

    async fn ask_redis(
        &self,
        asker: &Asker<'_>,
        counters: &Counters,
        store: &Store,
        hash: u64,
        requests: u64,
    ) -> Result<Option<Decision>, Refused> {
        let mut name = String::with_capacity(96);
        name.push_str(&self.redis_prefix);
        key::write(&mut name, &self.key, asker);
        match shared::admit(self, store, &name, requests).await {
            Ok(decision) => {
                match decision.retry {
                    // The local count runs along: it decides when Redis goes away.
                    None => _ = local::admit(self, counters, hash, requests),
                    Some(retry) => {
                        let now = counters.now_millis();
                        let until = now + retry.as_millis() as u64;
                        let refused = Entry::RefusedUntil(until, requests);
                        counters.refused.ask(hash, now, || Some(refused), |entry| *entry = refused);
                    }
                }
                counters.tally(if decision.retry.is_none() { Tally::RedisAllowed } else { Tally::RedisRefused });
                Ok(Some(decision))
            }
            Err(_) => self.without_redis(counters, hash, requests),
        }
    }

    fn without_redis(&self, counters: &Counters, hash: u64, requests: u64) -> Result<Option<Decision>, Refused> {
        match self.on_failure {
            OnRedisFailure::Local => {
                let tallies = [Tally::FallbackAllowed, Tally::FallbackRefused];
                Ok(Some(self.locally(counters, hash, requests, tallies)))
            }
            OnRedisFailure::Allow => {
                counters.tally(Tally::PolicyAllowed);
                Ok(None)
            }
            OnRedisFailure::Deny => {
                counters.tally(Tally::PolicyDenied);
                Err(Refused::Unavailable)
            }
        }
    }
}

fn checked_name(name: &str) -> Result<&str, LimitError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain) {
        return Ok(name);
    }
    let reason = format!("not a name; use letters, digits, -, _ and ., up to {LONGEST_NAME}");
    Err(LimitError { key: "name", reason })
}

fn checked_window(window: Duration) -> Result<Duration, LimitError> {
    if (Duration::from_secs(1)..=Duration::from_secs(31 * 86_400)).contains(&window) {
        return Ok(window);
    }
    Err(LimitError { key: "window", reason: "out of range; write 1s to 31d".to_owned() })
}

fn policy(name: &str, requests: u64, window_millis: u64) -> HeaderValue {
    let text = format!("\"{name}\";q={requests};w={}", window_millis.div_ceil(1_000));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({}: {} in {} ms)", self.name, self.requests, self.window_millis)
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
