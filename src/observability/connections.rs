//! How many connections callers have, and what became of those that never carried a request.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts connections of callers, over all listeners. Touched once per connection, so plain atomics will do.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    accepted: AtomicU64,
    closed: AtomicU64,
    refused_total_limit: AtomicU64,
    refused_per_address: AtomicU64,
    refused_by_process: AtomicU64,
    refused_proxy_untrusted: AtomicU64,
    refused_proxy_header: AtomicU64,
    malformed: AtomicU64,
    slow_heads: AtomicU64,
    idle_closed: AtomicU64,
    handshake_failures: AtomicU64,
}

/// What [`ConnectionCounters`] had counted at one moment. All but `open` only grow while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that are open now, idle ones included. What was refused never counts here.
    pub open: u64,
    /// Connections closed at once, because their listener had `max_connections` open.
    pub refused_total_limit: u64,
    /// Connections closed at once, because their address had `max_connections_per_address` open.
    pub refused_per_address: u64,
    /// Connections closed at once, because the process had `server.max_connections` open.
    pub refused_by_process: u64,
    /// Connections closed at once, because their listener speaks the PROXY protocol and they came from nobody trusted.
    pub refused_proxy_untrusted: u64,
    /// Connections closed because they did not begin with a PROXY protocol header, or not in time.
    pub refused_proxy_header: u64,
    /// Requests that were refused before any phase of the proxy: no HTTP, over 256 headers, too long for anybody; on HTTP/2
    /// what h2 resets. They have no line in the access log.
    pub malformed: u64,
    /// Heads that took longer than `head_timeout` (408). They have no line in the access log either.
    pub slow_heads: u64,
    /// Connections that the gateway closed while no request was on its way: after `keepalive_timeout`, the wait
    /// for a first one included, or because the process ends. What a caller closed is not in here.
    pub idle_closed: u64,
    /// Connections that were let in and closed because their TLS handshake failed or took too long.
    pub handshake_failures: u64,
}

/// Which limit a connection was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// `max_connections` of its listener.
    InAll,
    /// `max_connections_per_address`.
    PerAddress,
    /// `server.max_connections`, or what file descriptors allow.
    Process,
    /// It came to a listener of the PROXY protocol from an address that is not one of `trusted_proxies`.
    ProxyUntrusted,
    /// It did not begin with a PROXY protocol header in time.
    ProxyHeader,
}

impl ConnectionCounters {
    /// A connection was let in.
    pub fn opened(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// A connection that was let in is closed.
    pub fn closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    /// A connection was closed at once.
    pub fn refused(&self, refusal: ConnectionRefusal) {
        let counter = match refusal {
            ConnectionRefusal::InAll => &self.refused_total_limit,
            ConnectionRefusal::PerAddress => &self.refused_per_address,
            ConnectionRefusal::Process => &self.refused_by_process,
            ConnectionRefusal::ProxyUntrusted => &self.refused_proxy_untrusted,
            ConnectionRefusal::ProxyHeader => &self.refused_proxy_header,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A head was answered before any phase of ours saw it.
    pub fn malformed(&self) {
        self.malformed.fetch_add(1, Relaxed);
    }

    /// A head missed its deadline.
    pub fn slow_head(&self) {
        self.slow_heads.fetch_add(1, Relaxed);
    }

    /// The gateway closed a connection that waited for its next request.
    pub fn idle_closed(&self) {
        self.idle_closed.fetch_add(1, Relaxed);
    }

    /// A TLS handshake failed.
    pub fn no_handshake(&self) {
        self.handshake_failures.fetch_add(1, Relaxed);
    }

    /// All counts, as they are now.
    pub fn snapshot(&self) -> ConnectionCounts {
        // Before `accepted`: one that comes and goes in between must not make `open` negative.
        let closed = self.closed.load(Relaxed);
        let accepted = self.accepted.load(Relaxed);
        ConnectionCounts {
            accepted,
            open: accepted.saturating_sub(closed),
            refused_total_limit: self.refused_total_limit.load(Relaxed),
            refused_per_address: self.refused_per_address.load(Relaxed),
            refused_by_process: self.refused_by_process.load(Relaxed),
            refused_proxy_untrusted: self.refused_proxy_untrusted.load(Relaxed),
            refused_proxy_header: self.refused_proxy_header.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            slow_heads: self.slow_heads.load(Relaxed),
            idle_closed: self.idle_closed.load(Relaxed),
            handshake_failures: self.handshake_failures.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_is_what_was_let_in_and_has_not_gone() {
        let counters = ConnectionCounters::default();
        (0..3).for_each(|_| counters.opened());
        counters.closed();
        counters.refused(ConnectionRefusal::InAll);
        counters.refused(ConnectionRefusal::PerAddress);
        let counts = counters.snapshot();
        assert_eq!((counts.accepted, counts.open), (3, 2));
        assert_eq!((counts.refused_total_limit, counts.refused_per_address), (1, 1));
    }
}
