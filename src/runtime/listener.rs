use super::snapshot::Problem;
use crate::{
    addresses::{AddressFiles, Addresses},
    config::ListenerConfig,
    tls::{Certificates, ListenerTls},
    types::Network,
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// One entry of `listeners:`, compiled. What a reload may change of it.
#[derive(Debug)]
pub struct Listener {
    /// Proxies whose word counts.
    pub trusted_proxies: Box<[Network]>,
    /// Whether services are told who called in `Forwarded` too.
    pub forwarded: bool,
    /// From where callers may call; `None`: from everywhere.
    pub addresses: Option<Addresses>,
    /// Most connections at a time.
    pub max_connections: u32,
    /// Most connections of one address at a time.
    pub max_connections_per_address: u32,
    /// How long an idle connection is kept; pingora counts in whole seconds and takes 0 for ever, so at least 1.
    pub keepalive_seconds: u64,
    /// From when on a connection ends with its next answer.
    pub max_connection_age: Option<Duration>,
    /// With which answer a connection ends.
    pub max_requests_per_connection: Option<u32>,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Longest header line, in bytes.
    pub max_header: u64,
    /// All header lines, in bytes.
    pub max_headers_total: u64,
    /// Longest request target, in bytes.
    pub max_target: u64,
    /// `None`: plain HTTP.
    pub tls: Option<Arc<ListenerTls>>,
}

impl Listener {
    /// Compile one listener; problems are named below it.
    pub(super) fn build(
        config: &ListenerConfig,
        files: &AddressFiles,
        certificates: &Certificates,
    ) -> Result<Self, Vec<Problem>> {
        let addresses = Addresses::build(&config.addresses, files);
        let tls = config.tls.as_ref().map(|tls| ListenerTls::build(tls, certificates)).transpose();
        let below = |(pointer, reason)| (format!("/tls{pointer}"), reason);
        let tls = tls.map_err(|found| found.into_iter().map(below).collect::<Vec<_>>())?;
        Ok(Self {
            trusted_proxies: config.trusted_proxies.iter().copied().collect(),
            forwarded: config.forwarded,
            addresses: addresses.map_err(below_addresses)?,
            max_connections: config.max_connections,
            max_connections_per_address: config.max_connections_per_address,
            keepalive_seconds: config.keepalive_timeout.get().as_secs().max(1),
            max_connection_age: config.max_connection_age.map(|age| age.get()),
            max_requests_per_connection: config.max_requests_per_connection,
            max_headers: config.max_headers,
            max_header: config.max_header.get(),
            max_headers_total: config.max_headers_total.get(),
            max_target: config.max_target.get(),
            tls: tls.map(Arc::new),
        })
    }

    /// Bytes of a head that may be kept while its end is still to come: somewhat more than the limits allow, so that a
    /// head that is a little too long is told which of them it is over.
    pub fn largest_head(&self) -> usize {
        const MORE: u64 = 64 * 1024;
        usize::try_from(self.max_headers_total + self.max_target + MORE).unwrap_or(usize::MAX)
    }

    /// Whether the word of this peer counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }
}

/// The problems of `addresses:`, named below its listener or route.
pub(super) fn below_addresses(problems: Vec<(&'static str, String)>) -> Vec<Problem> {
    problems.into_iter().map(|(key, reason)| (format!("/addresses/{key}"), reason)).collect()
}
