//! One file per algorithm. Adding one: a file, a variant here, a variant in `BalancerConfig`.

mod round_robin;

use super::{config::BalancerConfig, endpoint::Endpoint};
use round_robin::RoundRobin;

/// Whose turn a choice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new request's.
    Next,
    /// A retry's: it must not use up a turn, or of two endpoints a dead one would be asked first by every request.
    Same,
}

/// A choice between endpoints. A closed set, so an enum and not a trait.
pub(super) enum Balancer {
    RoundRobin(RoundRobin),
}

impl Balancer {
    pub(super) fn build(config: BalancerConfig, endpoints: &[Endpoint]) -> Self {
        match config {
            BalancerConfig::RoundRobin => Self::RoundRobin(RoundRobin::build(endpoints)),
        }
    }

    /// Choose an endpoint by its place, looking only at those that `accepts` lets through.
    pub(super) fn pick(&self, turn: Turn, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::RoundRobin(algorithm) => algorithm.pick(turn, accepts),
        }
    }
}
