//! Who comes in.

use super::{
    places::{Address, ConnectionLimits, Places, ProcessPlaces},
    tell::Teller,
};
use crate::observability::{ConnectionCounters, ConnectionRefusal};
use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

/// The door of one listener: lets connections in as long as there are places, counts, and tells what it refuses.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    /// Asked for each connection, so that a reload counts from the next one on.
    limits: Box<dyn Fn(Option<IpAddr>) -> ConnectionLimits + Send + Sync>,
    places: Places,
    counters: Arc<ConnectionCounters>,
    refused_in_all: Arc<Teller>,
    refused_per_address: Arc<Teller>,
    refused_by_process: Arc<Teller>,
    proxies_untrusted: Arc<Teller>,
    proxy_headers: Arc<Teller>,
    malformed: Arc<Teller>,
    slow_heads: Arc<Teller>,
    handshakes: Arc<Teller>,
}

impl Door {
    /// A door that asks `limits` what holds for a peer. `counters` and `process` are those of the process, which all its
    /// doors share.
    pub fn new(
        counters: Arc<ConnectionCounters>,
        process: Arc<ProcessPlaces>,
        limits: impl Fn(Option<IpAddr>) -> ConnectionLimits + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            limits: Box::new(limits),
            places: Places::new(process),
            counters,
            refused_in_all: Teller::new(|count, last| {
                log::warn!("{count} connections were refused in a second: max_connections are open; last from {last}");
            }),
            refused_per_address: refused_per_address(),
            refused_by_process: refused_by_process(),
            proxies_untrusted: Teller::new(|count, last| {
                log::warn!(
                    "{count} connections were refused in a second: this listener speaks the PROXY protocol with \
                     trusted_proxies alone; last from {last}"
                );
            }),
            proxy_headers: Teller::new(|count, last| {
                log::warn!(
                    "{count} connections were closed in a second: no PROXY protocol header within head_timeout; last \
                     from {last}"
                );
            }),
            malformed: Teller::new(|count, last| {
                log::info!("{count} malformed requests were refused unread in a second; last from {last}");
            }),
            slow_heads: Teller::new(|count, last| {
                log::info!("{count} heads took longer than head_timeout in a second; last from {last}");
            }),
            handshakes: Teller::new(|count, last| {
                log::info!("{count} TLS handshakes failed in a second; last from {last}");
            }),
        }))
    }

    /// Let a connection in, or not: then it is to be closed.
    pub(super) fn enter(&self, peer: Option<IpAddr>) -> Option<Place> {
        let door = &self.0;
        let limits = (door.limits)(peer);
        // Who is exempt today is not counted; the place remembers, because a reload may change it.
        let address = limits.per_address.and(peer).map(Address::of);
        if let Err(refusal) = door.places.enter(address, limits) {
            door.refused(refusal, peer);
            return None;
        }
        door.counters.opened();
        Some(Place { door: door.clone(), address, peer, limits, opened: true })
    }

    /// Let a connection in that has still to say for whom it comes; only trusted proxies may.
    pub(super) fn enter_proxy(&self, peer: Option<IpAddr>) -> Option<Place> {
        let door = &self.0;
        let limits = self.proxy(peer)?;
        if let Err(refusal) = door.places.enter(None, limits) {
            door.refused(refusal, peer);
            return None;
        }
        Some(Place { door: door.clone(), address: None, peer, limits, opened: false })
    }

    /// What holds for `peer`, if it is a trusted proxy, whose word counts.
    pub(super) fn proxy(&self, peer: Option<IpAddr>) -> Option<ConnectionLimits> {
        let limits = peer.map(|_| (self.0.limits)(peer)).filter(|limits| limits.per_address.is_none());
        if limits.is_none() {
            self.0.refused(ConnectionRefusal::ProxyUntrusted, peer);
        }
        limits
    }

    /// It did not begin with a PROXY protocol header.
    pub(super) fn no_header(&self, peer: Option<IpAddr>) {
        self.0.refused(ConnectionRefusal::ProxyHeader, peer);
    }
}

fn refused_per_address() -> Arc<Teller> {
    Teller::new(|count, last| {
        log::warn!(
            "{count} connections were refused in a second: their address has max_connections_per_address open (a \
             balancer belongs into trusted_proxies); last from {last}"
        );
    })
}

fn refused_by_process() -> Arc<Teller> {
    Teller::new(|count, last| {
        log::warn!(
            "{count} connections were refused in a second: server.max_connections are open, or as many as file \
             descriptors allow; last from {last}"
        );
    })
}

impl Inner {
    fn refused(&self, refusal: ConnectionRefusal, peer: Option<IpAddr>) {
        self.counters.refused(refusal);
        let teller = match refusal {
            ConnectionRefusal::InAll => &self.refused_in_all,
            ConnectionRefusal::PerAddress => &self.refused_per_address,
            ConnectionRefusal::Process => &self.refused_by_process,
            ConnectionRefusal::ProxyUntrusted => &self.proxies_untrusted,
            ConnectionRefusal::ProxyHeader => &self.proxy_headers,
        };
        teller.happened(peer);
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({:?})", self.0.counters.snapshot())
    }
}

/// The place of one connection, free again when this is dropped.
pub(super) struct Place {
    door: Arc<Inner>,
    address: Option<Address>,
    peer: Option<IpAddr>,
    /// As they were when it began.
    limits: ConnectionLimits,
    /// Whether it is counted as let in; not before it is known for whom it comes.
    opened: bool,
}

impl Place {
    /// It is known now for whom a proxy's connection comes: they have a limit of their own. `false`: they are over it.
    pub(super) fn comes_from(&mut self, peer: Option<IpAddr>) -> bool {
        let most = (self.door.limits)(peer).per_address;
        self.address = most.and(peer).map(Address::of);
        self.peer = peer;
        if let Err(refusal) = self.door.places.enter_as(self.address, most) {
            self.address = None;
            self.door.refused(refusal, peer);
            return false;
        }
        self.door.counters.opened();
        self.opened = true;
        true
    }

    /// Bytes of a head that may be kept while its end is still to come.
    pub(super) fn largest_head(&self) -> usize {
        self.limits.largest_head
    }

    /// How long it may be silent before its first request.
    pub(super) fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// How many connections of this listener linger.
    pub(super) fn lingering(&self) -> &AtomicU32 {
        &self.door.places.lingering
    }

    pub(super) fn malformed(&self) {
        self.door.counters.malformed();
        self.door.malformed.happened(self.peer);
    }

    pub(super) fn slow_head(&self) {
        self.door.counters.slow_head();
        self.door.slow_heads.happened(self.peer);
    }

    pub(super) fn no_handshake(&self) {
        self.door.counters.no_handshake();
        self.door.handshakes.happened(self.peer);
    }

    pub(super) fn idle_closed(&self) {
        self.door.counters.idle_closed();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.places.leave(self.address);
        if self.opened {
            self.door.counters.closed();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:?})", self.peer)
    }
}
