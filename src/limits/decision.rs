//! What a limit says, and how it is told.

use super::Limit;
use http::{HeaderName, HeaderValue, header};
use std::{fmt::Write, time::Duration};

/// What a limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Requests that the caller may make in a window.
    pub limit: u64,
    /// How many are left now.
    pub remaining: u64,
    /// Until all of them are there again.
    pub reset: Duration,
    /// `Some`: refused; the earliest time that another request may pass.
    pub retry: Option<Duration>,
}

/// A caller who called too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Over the limit.
    #[error("too many requests; try again later")]
    OverLimit(Duration),
    /// Redis is away, and the limit's policy is to let nobody pass.
    #[error("the gateway cannot count requests at the moment")]
    Unavailable,
}

/// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10, and their older relatives.
#[derive(Clone, Debug)]
pub struct Headers {
    policy: HeaderValue,
    decision: Decision,
    state: HeaderValue,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl Headers {
    /// What callers are told of `limit`, which said `decision`.
    pub fn new(limit: &Limit, decision: Decision) -> Self {
        let mut state = String::with_capacity(limit.name().len() + 32);
        let left = seconds(decision.retry.unwrap_or(decision.reset));
        _ = write!(state, "\"{}\";r={};t={left}", limit.name(), decision.remaining);
        let state = HeaderValue::try_from(state).unwrap_or(HeaderValue::from_static(""));
        Self { policy: limit.policy(decision.limit), decision, state }
    }

    /// Whether the caller is nearer to this limit than to that of `other`.
    pub fn is_stricter_than(&self, other: &Self) -> bool {
        self.decision.retry.is_some() || self.decision.remaining < other.decision.remaining
    }

    /// Names and values.
    pub fn all(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let decision = self.decision;
        let retry = decision.retry.map(|retry| (header::RETRY_AFTER, seconds(retry).into()));
        let always = [
            (POLICY, self.policy.clone()),
            (STATE, self.state.clone()),
            (LIMIT, decision.limit.into()),
            (REMAINING, decision.remaining.into()),
            (RESET, seconds(decision.retry.unwrap_or(decision.reset)).into()),
        ];
        always.into_iter().chain(retry)
    }
}

/// Rounded up: who comes back that late is let in.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
