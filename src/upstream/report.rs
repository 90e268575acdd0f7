//! What is known at this moment. For metrics and operators; no request asks for it.

pub use super::names::NameReport;
use super::{Health, Service, States, endpoint::Endpoint};
use crate::resilience::{BreakerStatus, GateReport, Mode};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What is known about one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share of the requests, relative to the others.
    pub weight: u32,
    /// The lowest one with somebody well is used.
    pub priority: u32,
    /// Where it is, as the file says.
    pub zone: Option<String>,
    /// What its probes say.
    pub health: Health,
    /// Why the last probe failed; `None`: it did not, or there was none.
    pub error: Option<&'static str>,
    /// Of the last good probe.
    pub response_time: Option<Duration>,
    /// When the last probe ended.
    pub probed: Option<Instant>,
    /// How much longer it is ejected; `None`: it is not.
    pub ejected_for: Option<Duration>,
    /// Requests in flight, where the balancer or a limit asks for them.
    pub in_flight: Option<u32>,
    /// Average latency, where the balancer asks for it.
    pub latency: Option<Duration>,
}

/// What is known about a service beyond its endpoints.
#[derive(Clone, Debug)]
pub struct ServiceReport {
    /// How its breaker stands.
    pub breaker: BreakerStatus,
    /// Requests in flight, their limit and who waits; `None`: they are not limited.
    pub concurrency: Option<GateReport>,
    /// How often its breaker opened.
    pub openings: u64,
    /// How often one of its endpoints was ejected.
    pub ejections: u64,
    /// Retries that were not made because of the budget or the breaker.
    pub denied_retries: u64,
    /// What `mode: observe` let pass, by [`super::Observed::word`].
    pub observed: Vec<(&'static str, u64)>,
}

impl Service {
    /// What is known about each endpoint, in the order of the file.
    pub fn report(&self) -> Vec<EndpointReport> {
        let now = self.moment(Instant::now());
        let members = self.members();
        let report = |endpoint: &Endpoint| {
            let (state, record) = (&endpoint.state, endpoint.state.health.record());
            let ejected = state.ejection.ejected_until().filter(|_| state.ejection.is_ejected());
            EndpointReport {
                address: endpoint.address,
                weight: endpoint.weight,
                priority: endpoint.priority >> 16,
                zone: endpoint.zone.as_deref().map(ToOwned::to_owned),
                health: self.health_of(endpoint),
                error: record.error,
                response_time: record.response_time,
                probed: record.probed,
                ejected_for: ejected.map(|until| until.since(now)),
                in_flight: self.counts_in_flight.then(|| state.load.in_flight()),
                latency: state.load.latency().filter(|_| self.learns_latency),
            }
        };
        members.endpoints.iter().map(report).collect()
    }

    /// What is known about the service as a whole.
    pub fn summary(&self) -> ServiceReport {
        let (counts, now) = (&self.protection.counts, self.moment(Instant::now()));
        ServiceReport {
            breaker: self.protection.breaker.status(now),
            concurrency: self.is_limited().then(|| self.protection.gate.report(now)),
            openings: counts.openings.sum(),
            ejections: counts.ejections.sum(),
            denied_retries: counts.denied_retries.sum(),
            observed: counts.observed.sums(),
        }
    }

    /// Whether its breaker refuses requests.
    pub(super) fn is_open(&self) -> bool {
        let status = || self.protection.breaker.status(self.moment(Instant::now()));
        // Where its time is over the next request is a trial, and nothing is known against the service.
        let refuses = |status| matches!(status, BreakerStatus::Open { for_another } if !for_another.is_zero());
        self.rules.breaker.mode == Mode::Enforce && refuses(status())
    }
}

impl States {
    /// What is known about each name.
    pub fn names(&self) -> Vec<NameReport> {
        self.names.report(self.clock.now())
    }
}
