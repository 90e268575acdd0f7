//! Which of a service's endpoints are asked at this moment.

use super::{
    Service,
    balancer::{Algorithm, Balancer, Member},
    endpoint::Endpoint,
};
use crate::types::Moment;
use std::sync::{Arc, atomic::AtomicU32};

/// The endpoints of a service at one moment, with the choice between them. Built whole, swapped whole.
pub(super) struct Members {
    pub(super) endpoints: Arc<[Endpoint]>,
    /// Of each endpoint its share in tenths, 0 where it is ill: what the plan was made of.
    tenths: Box<[u8]>,
    pub(super) plan: Plan,
    /// Requests in flight to all of them, where the balancer asks for it.
    pub(super) in_flight: Option<Arc<AtomicU32>>,
    /// Name of the cookie that keeps callers at one of them.
    pub(super) cookie: Option<Arc<str>>,
}

/// Whom requests go to as long as nothing is learned.
pub(super) struct Plan {
    pub(super) balancer: Balancer,
    /// Too few are well: whether one is does not matter.
    pub(super) ask_the_ill: bool,
    /// How many it chooses between.
    pub(super) in_use: u32,
}

impl Members {
    /// As long as nothing is known.
    pub(super) fn nobody(algorithm: Algorithm) -> Self {
        let plan = Plan { balancer: Balancer::build(algorithm, &[]), ask_the_ill: false, in_use: 0 };
        Self { endpoints: Arc::new([]), tenths: Box::new([]), plan, in_flight: None, cookie: None }
    }

    pub(super) fn build(service: &Service, endpoints: Arc<[Endpoint]>, now: Moment) -> Self {
        let tenths = tenths(service, &endpoints, now);
        let plan = service.plan(&endpoints, &tenths);
        let cookie = service.sticky.as_ref().map(|sticky| sticky.cookie.as_ref().into());
        let hashes = service.algorithm == Algorithm::ConsistentHash;
        let in_flight = hashes.then(|| service.protection.in_flight.clone());
        Self { endpoints, tenths, plan, in_flight, cookie }
    }

    /// The same endpoints with a plan for what is known of them now; `None`: it would be the same plan.
    pub(super) fn planned_anew(&self, service: &Service, now: Moment) -> Option<Self> {
        let tenths = tenths(service, &self.endpoints, now);
        (tenths != self.tenths).then(|| {
            let plan = service.plan(&self.endpoints, &tenths);
            let (in_flight, cookie) = (self.in_flight.clone(), self.cookie.clone());
            Self { endpoints: self.endpoints.clone(), tenths, plan, in_flight, cookie }
        })
    }
}

fn tenths(service: &Service, endpoints: &[Endpoint], now: Moment) -> Box<[u8]> {
    let of = |endpoint: &Endpoint| match service.is_well(endpoint) {
        true => service.slow_start.tenths(endpoint.state.since(), now),
        false => 0,
    };
    endpoints.iter().map(of).collect()
}

impl Service {
    /// Priority first, then zone; of too few that are well all, ill ones too.
    fn plan(&self, endpoints: &[Endpoint], tenths: &[u8]) -> Plan {
        let well = |at: usize| tenths.get(at).is_some_and(|tenths| *tenths > 0);
        let of_priority = |wanted: u32| {
            let all = endpoints.iter().enumerate().filter(move |(_, endpoint)| endpoint.priority == wanted);
            all.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut priorities: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let groups: Vec<Vec<usize>> = priorities.into_iter().map(of_priority).collect();
        let count = |group: &[usize]| group.iter().filter(|at| well(**at)).count();
        let is_enough = |count: usize, of: usize| count > 0 && count as f64 >= self.panic_threshold * of as f64;
        if let Some(group) = groups.iter().find(|group| is_enough(count(group), group.len())) {
            let group = group.iter().copied().filter(|at| well(*at)).collect();
            return self.between(endpoints, tenths, &self.nearest(endpoints, group));
        }
        // Where nobody is well all are asked: probes may be wrong or late, and a refused connection costs less than a
        // refused request.
        let group = groups.into_iter().find(|group| count(group) > 0);
        let group = group.unwrap_or_else(|| (0..endpoints.len()).collect());
        Plan { ask_the_ill: true, ..self.between(endpoints, tenths, &group) }
    }

    /// Those of the own zone, while at least half of the zone is well: fewer would have to carry all of it.
    fn nearest(&self, endpoints: &[Endpoint], group: Vec<usize>) -> Vec<usize> {
        let Some(own) = &self.zone else { return group };
        let of = |at: &usize| endpoints.get(*at);
        let Some(priority) = group.first().and_then(of).map(|endpoint| endpoint.priority) else { return group };
        let is_own = |endpoint: &Endpoint| endpoint.zone.as_ref() == Some(own) && endpoint.priority == priority;
        let near: Vec<usize> = group.iter().copied().filter(|at| of(at).is_some_and(is_own)).collect();
        let all = endpoints.iter().filter(|endpoint| is_own(endpoint)).count();
        if !near.is_empty() && 2 * near.len() >= all { near } else { group }
    }

    fn between(&self, endpoints: &[Endpoint], tenths: &[u8], places: &[usize]) -> Plan {
        let share = |at: usize| tenths.get(at).map_or(10, |tenths| if *tenths == 0 { 10 } else { u32::from(*tenths) });
        let member = |at: &usize| {
            let endpoint = endpoints.get(*at)?;
            Some(Member { place: *at, weight: endpoint.weight.saturating_mul(share(*at)), name: endpoint.address })
        };
        let members: Vec<Member> = places.iter().filter_map(member).collect();
        let in_use = members.len() as u32;
        Plan { balancer: Balancer::build(self.algorithm, &members), ask_the_ill: false, in_use }
    }
}
