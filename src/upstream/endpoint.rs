use super::{balancer::Balancer, health::EndpointHealth};
use crate::types::Pinned;
use http::HeaderValue;
use pingora::upstreams::peer::HttpPeer;
use std::{fmt, net::SocketAddr, num::NonZeroU16, sync::Arc};

/// Most endpoints that one request may have tried: `retry.attempts` allows 8.
const MOST_TRIED: usize = 8;

/// One address of a service.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// The same as a text, for the log.
    pub(super) text: Box<str>,
    /// Cloned for each attempt; resolving and hashing are done here, once.
    pub(super) peer: HttpPeer,
    pub(super) weight: NonZeroU16,
    /// `Host` for the service; `None`: the caller's.
    pub(super) host: Option<HeaderValue>,
    pub(super) state: Arc<EndpointState>,
}

/// What is known about an endpoint. Outlives every snapshot that names it.
#[derive(Debug)]
pub(super) struct EndpointState {
    /// Tells endpoints apart in [`Tried`]; never 0.
    pub(super) id: u32,
    pub(super) health: EndpointHealth,
}

/// The endpoints of a service at one moment, with the choice between them. Built whole, swapped whole.
pub(super) struct Members {
    pub(super) endpoints: Box<[Endpoint]>,
    pub(super) balancer: Balancer,
}

/// The endpoints that a request has met already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried([u32; MOST_TRIED]);

impl Tried {
    /// Remember the endpoint of an attempt.
    pub fn add(&mut self, attempt: &Attempt) {
        let id = attempt.endpoint().map_or(0, |endpoint| endpoint.state.id);
        if let Some(free) = self.0.iter_mut().find(|place| **place == 0) {
            *free = id;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.first().is_none_or(|first| *first == 0)
    }

    pub(super) fn contains(&self, endpoint: &Endpoint) -> bool {
        self.0.contains(&endpoint.state.id)
    }
}

/// One try against one endpoint. Keeps the members it was chosen from.
pub struct Attempt {
    members: Pinned<Members>,
    index: usize,
}

impl Attempt {
    pub(super) fn new(members: Pinned<Members>, index: usize) -> Self {
        Self { members, index }
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.members.endpoints.get(self.index)
    }

    /// Where to connect.
    pub fn peer(&self) -> Option<HttpPeer> {
        self.endpoint().map(|endpoint| endpoint.peer.clone())
    }

    /// Where to connect, over a connection that nobody used before: a key of its own finds nothing in the pool.
    pub fn fresh_peer(&self) -> Option<HttpPeer> {
        let mut peer = self.peer()?;
        peer.group_key = fastrand::u64(1..);
        Some(peer)
    }

    /// `Host` for the service; `None`: the caller's.
    pub fn host_header(&self) -> Option<&HeaderValue> {
        self.endpoint().and_then(|endpoint| endpoint.host.as_ref())
    }

    /// `10.0.0.7:8001`, for the log.
    pub fn address_text(&self) -> &str {
        self.endpoint().map_or("", |endpoint| &endpoint.text)
    }

    /// It did not answer: the next probe should not wait for its turn.
    pub fn failed(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.state.health.suspect();
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt({})", self.address_text())
    }
}
