//! The choice of an endpoint for one attempt.

use super::{
    Service,
    balancer::{Algorithm, Asked, Turn},
    caller::Caller,
    endpoint::{Attempt, Endpoint, Tried},
    members::Members,
};
use crate::types::Moment;
use std::sync::atomic::Ordering::Relaxed;

/// Nobody to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// There is none that was not tried.
    #[error("the service has no endpoint that was not asked")]
    Left,
    /// Each of them has as much to do as `per_endpoint` allows.
    #[error("every endpoint of the service is busy")]
    Free,
}

impl Service {
    /// Choose an endpoint for one attempt, none of those in `tried`: the caller's own if there is one, else the
    /// balancer's choice; where nobody is well, any. A probe may be wrong or late, and a refused connection costs less
    /// than a refused request.
    ///
    /// # Errors
    /// There is none that was not tried, or none that is free.
    pub fn pick(&self, tried: &Tried, caller: &Caller<'_>, now: Moment) -> Result<Attempt, NoEndpoint> {
        let members = self.members();
        let (plan, endpoints) = (&members.plan, &*members.endpoints);
        let turn = if tried.is_empty() { Turn::Next } else { Turn::Same };
        let accepts = |at: usize| {
            endpoints.get(at).is_some_and(|endpoint| {
                (turn == Turn::Next || !tried.contains(endpoint))
                    && (plan.ask_the_ill || self.is_well(endpoint))
                    && !self.is_full(endpoint)
            })
        };
        let key = match self.algorithm {
            Algorithm::ConsistentHash => caller.key(&self.hash_on),
            _ => None,
        };
        let load = |at: usize| endpoints.get(at).map(|endpoint| &endpoint.state.load);
        let in_flight = || members.in_flight.as_ref().map_or(0, |count| count.load(Relaxed));
        let asked = Asked { turn, key, now };
        let own = self.sticky.as_ref().and_then(|_| own(&members, caller)).filter(|at| accepts(*at));
        let chosen =
            own.or_else(|| plan.balancer.pick(asked, load, in_flight, accepts)).or_else(|| self.any(&members, tried));
        match chosen {
            Some(at) if self.counts_in_flight => Ok(Attempt::counted(members, at)),
            Some(at) => Ok(Attempt::uncounted(members, at)),
            None if self.has_other(tried) => Err(NoEndpoint::Free),
            None => Err(NoEndpoint::Left),
        }
    }

    /// What the plan did not foresee: all that it names were tried, or just became ill. Whoever is well goes first, then
    /// the lowest priority.
    fn any(&self, members: &Members, tried: &Tried) -> Option<usize> {
        let may = |endpoint: &Endpoint| !tried.contains(endpoint) && !self.is_full(endpoint);
        let places = members.endpoints.iter().enumerate().filter(|(_, endpoint)| may(endpoint));
        // By chance among equals, or the first in the file would get all of it.
        let best = places.min_by_key(|(_, endpoint)| (!self.is_well(endpoint), endpoint.priority, fastrand::u16(..)));
        best.map(|(at, _)| at)
    }

    /// Whether requests should go there: no probe and no request speaks against it.
    #[inline]
    pub(super) fn is_well(&self, endpoint: &Endpoint) -> bool {
        self.is_not_ill(endpoint) && !endpoint.state.ejection.is_ejected()
    }

    #[inline]
    fn is_full(&self, endpoint: &Endpoint) -> bool {
        self.rules.per_endpoint.is_some_and(|most| endpoint.state.load.in_flight() >= most)
    }

    /// Whether there is an endpoint that was not tried.
    pub fn has_other(&self, tried: &Tried) -> bool {
        self.members().endpoints.iter().any(|endpoint| !tried.contains(endpoint))
    }
}

/// The endpoint that the caller's cookie names.
fn own(members: &Members, caller: &Caller<'_>) -> Option<usize> {
    let value = caller.cookie(members.cookie.as_deref()?)?;
    let is_own = |endpoint: &Endpoint| {
        endpoint.ticket.as_ref().is_some_and(|ticket| ticket.value.as_bytes() == value.as_bytes())
    };
    members.endpoints.iter().position(is_own)
}
