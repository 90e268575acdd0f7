use super::{caller::Caller, health::EndpointHealth, load::Load, members::Members, sticky::Ticket};
use crate::{
    resilience::EjectionState,
    types::{Moment, Pinned},
};
use http::HeaderValue;
use pingora::upstreams::peer::HttpPeer;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Most endpoints that one request may have tried: `retry.attempts` allows 8.
const MOST_TRIED: usize = 8;

/// One address of a service.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// The same as a text, for the log.
    pub(super) text: Box<str>,
    /// Cloned for each attempt; resolving and hashing are done here, once.
    pub(super) peer: HttpPeer,
    pub(super) weight: u32,
    /// The lowest one with somebody well is used.
    pub(super) priority: u32,
    pub(super) zone: Option<Box<str>>,
    /// `Host` for the service; `None`: the caller's.
    pub(super) host: Option<HeaderValue>,
    /// For callers who are to come back here.
    pub(super) ticket: Option<Ticket>,
    pub(super) state: Arc<EndpointState>,
}

impl Endpoint {
    /// Whether nothing about it has changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let place = |one: &Self| (one.address, one.weight, one.priority);
        let spoken = |one: &Self| (one.peer.is_tls(), one.peer.group_key);
        let same = place(self) == place(other) && spoken(self) == spoken(other);
        same && self.peer.sni == other.peer.sni && self.zone == other.zone && self.host == other.host
    }
}

/// What is known about an endpoint. Outlives every snapshot that names it.
#[derive(Debug, Default)]
pub(super) struct EndpointState {
    /// Tells endpoints apart in [`Tried`]; never 0.
    pub(super) id: u32,
    /// What its probes say.
    pub(super) health: EndpointHealth,
    /// What its requests say.
    pub(super) ejection: EjectionState,
    /// What it has to do.
    pub(super) load: Load,
    /// When it came, or came back: a [`Moment`].
    since: AtomicU64,
}

impl EndpointState {
    pub(super) fn new(id: u32, now: Moment) -> Self {
        Self { id, since: AtomicU64::new(now.0), ..Self::default() }
    }

    pub(super) fn since(&self) -> Moment {
        Moment(self.since.load(Relaxed))
    }

    /// It takes requests again: it begins slowly.
    pub(super) fn came_back(&self, now: Moment) {
        self.since.store(now.0, Relaxed);
    }
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

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.first().is_none_or(|first| *first == 0)
    }

    #[inline]
    pub(super) fn contains(&self, endpoint: &Endpoint) -> bool {
        self.0.contains(&endpoint.state.id)
    }
}

/// One try against one endpoint. Keeps the members it was chosen from, and counts as in flight while it lives.
pub struct Attempt {
    members: Pinned<Members>,
    index: usize,
    /// Whether it is counted; a reload may change whether others are.
    counted: bool,
}

impl Attempt {
    /// Counted by whoever chooses or limits by that.
    #[inline]
    pub(super) fn counted(members: Pinned<Members>, index: usize) -> Self {
        let attempt = Self { members, index, counted: true };
        attempt.endpoint().inspect(|endpoint| endpoint.state.load.begin());
        attempt.members.in_flight.as_ref().inspect(|count| _ = count.fetch_add(1, Relaxed));
        attempt
    }

    /// Not counted, because nobody would look: threads share no line because of it.
    #[inline]
    pub(super) fn uncounted(members: Pinned<Members>, index: usize) -> Self {
        Self { members, index, counted: false }
    }

    #[inline]
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
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

    /// The `Set-Cookie` for a caller who is to come back to this endpoint and does not know it yet.
    pub fn ticket(&self, caller: &Caller<'_>) -> Option<&HeaderValue> {
        let ticket = self.endpoint()?.ticket.as_ref()?;
        let name = self.members.cookie.as_deref()?;
        (caller.cookie(name) != Some(&ticket.value)).then_some(&ticket.set_cookie)
    }

    /// It did not answer: the next probe should not wait for its turn.
    pub fn failed(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.state.health.suspect();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.counted
            && let Some(endpoint) = self.endpoint()
        {
            endpoint.state.load.end();
            self.members.in_flight.as_ref().inspect(|count| _ = count.fetch_sub(1, Relaxed));
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt({})", self.address_text())
    }
}
