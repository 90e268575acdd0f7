use super::{
    EndpointConfig, HealthConfig, HostConfig, ServiceConfig, States,
    address::Address,
    balancer::{Balancer, Turn},
    config::{BalancerConfig, ProbeConfig},
    endpoint::{Attempt, Endpoint, Members, Tried},
    health::{Health, ServiceHealth},
    probe::ProbeSettings,
};
use crate::types::{Pinned, ServiceId, Swap};
use pingora::upstreams::peer::HttpPeer;
use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU16,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// A named set of interchangeable endpoints.
pub struct Service {
    /// Its name in the file.
    pub id: ServiceId,
    log_name: Box<str>,
    written: Box<[(Address, NonZeroU16)]>,
    host: HostConfig,
    idle_timeout: Duration,
    balancer: BalancerConfig,
    pub(super) probe: ProbeSettings,
    members: Swap<Members>,
    /// Nothing is known but names that nobody could resolve.
    unresolvable: AtomicBool,
}

/// Nobody to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service has no endpoint that was not asked")]
pub struct NoEndpoint;

impl Service {
    /// Compile one service. What is known about its endpoints is found in `states`.
    ///
    /// # Errors
    /// Everything that is wrong with the section, each with a JSON pointer below it.
    pub fn build(
        id: ServiceId,
        config: &ServiceConfig,
        health: &HealthConfig,
        states: &States,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut written = Vec::new();
        for (at, endpoint) in config.endpoints.iter().enumerate() {
            let (text, weight, key) = match endpoint {
                EndpointConfig::Address(text) => (text, NonZeroU16::MIN, ""),
                EndpointConfig::Weighted(weighted) => (&weighted.address, weighted.weight, "/address"),
            };
            match Address::parse(text) {
                Ok(address) => written.push((address, weight)),
                Err(reason) => problems.push((format!("/endpoints/{at}{key}"), reason)),
            }
        }
        let probe = ProbeSettings::build(health, &config.health);
        let probe = probe.map_err(|(key, reason)| problems.push((format!("/health/{key}"), reason)));
        let (Ok(probe), true) = (probe, problems.is_empty()) else { return Err(problems) };
        let empty = Members { endpoints: Box::new([]), balancer: Balancer::build(config.balancer, &[]) };
        let service = Self {
            log_name: config.log_name.as_deref().unwrap_or(id.as_str()).into(),
            id,
            written: written.into(),
            host: config.host,
            idle_timeout: config.idle_timeout.get(),
            balancer: config.balancer,
            probe,
            members: Swap::new(empty),
            unresolvable: AtomicBool::new(false),
        };
        service.refresh(states);
        Ok(service)
    }

    /// Its name in the access log.
    pub fn log_name(&self) -> &str {
        &self.log_name
    }

    /// Choose an endpoint for one attempt, none of those in `tried`: one that is not known to be ill; where there is
    /// none, any. A probe may be wrong or late, and a refused connection costs less than a refused request.
    ///
    /// # Errors
    /// There is none that was not tried.
    pub fn pick(&self, tried: &Tried) -> Result<Attempt, NoEndpoint> {
        let members = self.members.pin();
        let at = |index: usize| members.endpoints.get(index).filter(|endpoint| !tried.contains(endpoint));
        let well = |endpoint: &Endpoint| self.health_of(endpoint) != Health::Unhealthy;
        let turn = if tried.is_empty() { Turn::Next } else { Turn::Same };
        let chosen = members.balancer.pick(turn, |index| at(index).is_some_and(well));
        let chosen = chosen.or_else(|| members.balancer.pick(Turn::Same, |index| at(index).is_some()));
        chosen.map(|index| Attempt::new(members, index)).ok_or(NoEndpoint)
    }

    /// What its probes say of one endpoint; where there are none (any more), nothing is known against it.
    pub(super) fn health_of(&self, endpoint: &Endpoint) -> Health {
        if self.probe.kind == ProbeConfig::Off { Health::Healthy } else { endpoint.state.health.status() }
    }

    /// Whether there is an endpoint that was not tried.
    pub fn has_other(&self, tried: &Tried) -> bool {
        self.members.pin().endpoints.iter().any(|endpoint| !tried.contains(endpoint))
    }

    /// What its probes say, as one word.
    pub fn health(&self) -> ServiceHealth {
        let members = self.members.pin();
        let of = |status| ServiceHealth { status, response_time: None, error: None };
        if members.endpoints.is_empty() {
            return match self.unresolvable.load(Relaxed) {
                true => ServiceHealth { error: Some("resolve"), ..of(Health::Unhealthy) },
                false => of(Health::Unknown),
            };
        }
        let found = members.endpoints.iter().map(|endpoint| &endpoint.state.health);
        let with =
            |wanted: Health| found.clone().find(|health| health.status() == wanted).map(|health| health.record());
        if self.probe.kind == ProbeConfig::Off {
            return of(Health::Healthy);
        }
        match (with(Health::Healthy), with(Health::Unknown), with(Health::Unhealthy)) {
            (Some(record), ..) => ServiceHealth { response_time: record.response_time, ..of(Health::Healthy) },
            (None, None, Some(record)) => ServiceHealth { error: record.error, ..of(Health::Unhealthy) },
            _ => of(Health::Unknown),
        }
    }

    /// The names that have to be resolved again and again.
    pub(super) fn names(&self) -> impl Iterator<Item = &Address> {
        self.written.iter().map(|(address, _)| address).filter(|address| address.fixed.is_none())
    }

    pub(super) fn members(&self) -> Pinned<Members> {
        self.members.pin()
    }

    /// Take over what is known about its names. Membership is state, not configuration: built whole and swapped.
    pub(super) fn refresh(&self, states: &States) {
        let mut wanted: Vec<(SocketAddr, &Address, NonZeroU16)> = Vec::new();
        for (address, weight) in &self.written {
            let found =
                address.fixed.map(|fixed| vec![fixed]).or_else(|| states.addresses(address).map(|all| all.to_vec()));
            for one in found.unwrap_or_default() {
                // Two names of one address are one endpoint.
                if !wanted.iter().any(|(known, ..)| *known == one) {
                    wanted.push((one, address, *weight));
                }
            }
        }
        let names = || self.names().all(|name| states.is_unresolvable(name));
        self.unresolvable.store(wanted.is_empty() && names(), Relaxed);
        let same = |known: &Endpoint, (address, ..): &(SocketAddr, &Address, NonZeroU16)| known.address == *address;
        let members = self.members.pin();
        if members.endpoints.len() == wanted.len() && members.endpoints.iter().zip(&wanted).all(|(a, b)| same(a, b)) {
            return;
        }
        let endpoint = |(address, written, weight)| self.endpoint(address, written, weight, states);
        let endpoints: Box<[Endpoint]> = wanted.into_iter().map(endpoint).collect();
        let balancer = Balancer::build(self.balancer, &endpoints);
        self.members.store(Members { endpoints, balancer });
    }

    fn endpoint(&self, address: SocketAddr, written: &Address, weight: NonZeroU16, states: &States) -> Endpoint {
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.idle_timeout = Some(self.idle_timeout);
        Endpoint {
            address,
            text: address.to_string().into(),
            peer,
            weight,
            host: if self.host == HostConfig::Upstream { written.host_header() } else { None },
            state: states.endpoint(&self.id, address),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({}, {} endpoints)", self.id, self.members.pin().endpoints.len())
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
