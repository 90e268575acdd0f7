use super::{Backoff, RetryConfig};
use crate::types::StatusSet;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about.
    NeverSent,
    /// A connection that had served before died before the first byte of an answer.
    DiedOnReused,
    /// A new connection died before the first byte of an answer.
    DiedOnFresh,
    /// No answer came in the attempt's time.
    AttemptTimeout,
    /// An answer came, with a status that the file names.
    Status,
    /// The caller's fault, or a broken answer.
    Other,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: answer.
    No,
    /// Ask another endpoint.
    Other,
    /// Ask another endpoint, or the same one over a connection of its own: only the old connection was at fault.
    OtherOrFresh,
}

/// `retry:`, compiled.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    attempts: u8,
    statuses: StatusSet,
    /// How long to wait before.
    pub backoff: Backoff,
}

impl RetryPolicy {
    /// The policy of a route.
    pub fn new(config: &RetryConfig) -> Self {
        Self { attempts: config.attempts, statuses: StatusSet::new(config.on.iter()), backoff: config.backoff() }
    }

    /// Whether an answer with this status is worth another attempt.
    pub fn is_on(&self, status: u16) -> bool {
        self.statuses.contains(status)
    }

    /// Decide after `made` attempts. `repeatable`: the method is idempotent and the body is still there.
    /// `time_left`: the request's time is not over.
    pub fn decide(self, failure: Failure, repeatable: bool, made: u8, time_left: bool) -> Retry {
        if made >= self.attempts || !time_left || !is_safe(failure, repeatable) {
            return Retry::No;
        }
        if failure == Failure::DiedOnReused { Retry::OtherOrFresh } else { Retry::Other }
    }
}

/// Whether the request may be sent once more, as far as it alone is concerned.
pub fn is_safe(failure: Failure, repeatable: bool) -> bool {
    match failure {
        // Nothing was sent, so nothing can happen twice.
        Failure::NeverSent => true,
        // Whether its bytes arrived cannot be known.
        Failure::DiedOnReused | Failure::DiedOnFresh | Failure::AttemptTimeout | Failure::Status => repeatable,
        Failure::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_tried_again() {
        use Failure::*;
        let policy = RetryPolicy::new(&RetryConfig::default());
        for (failure, repeatable, made, left, expected) in [
            (NeverSent, false, 1, true, Retry::Other),
            (NeverSent, false, 2, true, Retry::No),
            (NeverSent, true, 1, false, Retry::No),
            (DiedOnReused, true, 1, true, Retry::OtherOrFresh),
            (DiedOnReused, false, 1, true, Retry::No),
            (DiedOnFresh, true, 1, true, Retry::Other),
            (DiedOnFresh, false, 1, true, Retry::No),
            (AttemptTimeout, true, 1, true, Retry::Other),
            (AttemptTimeout, false, 1, true, Retry::No),
            (Status, true, 1, true, Retry::Other),
            (Status, false, 1, true, Retry::No),
            (Other, true, 1, true, Retry::No),
        ] {
            assert_eq!(
                policy.decide(failure, repeatable, made, left),
                expected,
                "{failure:?} {repeatable} {made} {left}"
            );
        }
        assert_eq!(
            RetryPolicy::new(&RetryConfig { attempts: 1, ..RetryConfig::default() }).decide(NeverSent, true, 1, true),
            Retry::No
        );
    }
}
