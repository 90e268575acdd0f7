use super::{Health, Service};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What is known about one endpoint at this moment. For metrics and operators; no request asks for it.
#[derive(Clone, Copy, Debug)]
pub struct EndpointReport {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share of the requests, relative to the others.
    pub weight: u16,
    /// What its probes say.
    pub health: Health,
    /// Why the last probe failed; `None`: it did not, or there was none.
    pub error: Option<&'static str>,
    /// Of the last good probe.
    pub response_time: Option<Duration>,
    /// When the last probe ended.
    pub probed: Option<Instant>,
}

impl Service {
    /// What is known about each endpoint, in the order of the file.
    pub fn report(&self) -> Vec<EndpointReport> {
        let members = self.members();
        let report = |endpoint: &super::endpoint::Endpoint| {
            let record = endpoint.state.health.record();
            EndpointReport {
                address: endpoint.address,
                weight: endpoint.weight.get(),
                health: self.health_of(endpoint),
                error: record.error,
                response_time: record.response_time,
                probed: record.probed,
            }
        };
        members.endpoints.iter().map(report).collect()
    }
}
