//! One file per algorithm. Adding one: a file, a variant here, a variant in `BalancerConfig`.
//!
//! What is chosen from is built off the request threads. A choice locks nothing and allocates nothing, but for one cell
//! at the first one of round robin on each thread.

mod consistent_hash;
mod ewma;
mod least_request;
mod random;
mod round_robin;
mod schedule;

pub(super) use consistent_hash::hash;

use super::load::Load;
use crate::types::Moment;
use consistent_hash::ConsistentHash;
use ewma::Ewma;
use least_request::LeastRequest;
use random::Random;
use round_robin::RoundRobin;
use std::net::SocketAddr;

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Each in turn, by weight, smoothly.
    RoundRobin,
    /// Of two drawn by weight the one with fewer requests in flight.
    LeastRequest,
    /// Of two drawn by weight the one with less latency times requests in flight.
    Ewma,
    /// The same for the same key, as far as its load allows.
    ConsistentHash,
    /// By chance, by weight.
    Random,
}

/// One that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// What [`Balancer::pick`] says when it is chosen: a place in a list of the caller's.
    pub(super) place: usize,
    /// Its share, relative to the others. 0 counts as 1.
    pub(super) weight: u32,
    /// Tells it apart on all instances of the gateway.
    pub(super) name: SocketAddr,
}

/// Whose turn a choice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new request's.
    Next,
    /// A retry's: it must not use up a turn, or of two endpoints a dead one would be asked first by every request.
    Same,
}

/// For whom an endpoint is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) turn: Turn,
    /// What consistent_hash goes by: a [`hash`] of something of the request. `None`: by chance.
    pub(super) key: Option<u64>,
    pub(super) now: Moment,
}

/// A choice between endpoints. A closed set, so an enum and not a trait.
#[expect(clippy::large_enum_variant, reason = "a service has one, which does not move")]
pub(super) enum Balancer {
    RoundRobin(RoundRobin),
    LeastRequest(LeastRequest),
    Ewma(Ewma),
    ConsistentHash(ConsistentHash),
    Random(Random),
}

impl Balancer {
    /// Prepare to choose between `members`, in up to some milliseconds: off the request threads, and anew when they or
    /// their weights change.
    pub(super) fn build(algorithm: Algorithm, members: &[Member]) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(RoundRobin::build(members)),
            Algorithm::LeastRequest => Self::LeastRequest(LeastRequest::build(members)),
            Algorithm::Ewma => Self::Ewma(Ewma::build(members)),
            Algorithm::ConsistentHash => Self::ConsistentHash(ConsistentHash::build(members)),
            Algorithm::Random => Self::Random(Random::build(members)),
        }
    }

    /// Choose a member by its place, looking only at those that `accepts` lets through; `None` where it lets none.
    ///
    /// `load` is what the one at a place has to do, and `in_flight` the sum of it over all of them. They are asked only
    /// by the algorithms that go by it.
    pub(super) fn pick<'l>(
        &self,
        asked: Asked,
        load: impl Fn(usize) -> Option<&'l Load>,
        in_flight: impl Fn() -> u32,
        accepts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match self {
            Self::RoundRobin(algorithm) => algorithm.pick(asked.turn, accepts),
            Self::LeastRequest(algorithm) => algorithm.pick(load, accepts),
            Self::Ewma(algorithm) => algorithm.pick(asked.now, load, accepts),
            Self::ConsistentHash(algorithm) => algorithm.pick(asked.key, load, in_flight, accepts),
            Self::Random(algorithm) => algorithm.pick(accepts),
        }
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
