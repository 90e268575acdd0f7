//! Connections of callers.

use crate::observability::metrics::{
    Kind::{Counter, Gauge},
    Name,
};

/// Connections that were let in.
pub const CONNECTIONS: Name = Name {
    name: "edgeway_connections_accepted_total",
    kind: Counter,
    labels: &[],
    help: "Connections of callers that were let in.",
};
/// Connections that are open.
pub const CONNECTIONS_OPEN: Name =
    Name { name: "edgeway_connections_open", kind: Gauge, labels: &[], help: "Connections of callers that are open." };
/// Connections that were closed at once.
pub const CONNECTIONS_REFUSED: Name = Name {
    name: "edgeway_connections_refused_total",
    kind: Counter,
    labels: &["limit"],
    help: "Connections that were closed at once: limit is in_all, per_address, process, proxy_untrusted or proxy_header.",
};
/// What a drain waits for longest.
pub const LONG_LIVED: Name = Name {
    name: "edgeway_long_lived_open",
    kind: Gauge,
    labels: &["kind"],
    help: "WebSockets (kind tunnel), and event streams and gRPC calls (kind stream), that are open.",
};
/// Requests that pingora refused before any phase of ours.
pub const MALFORMED: Name = Name {
    name: "edgeway_requests_malformed_total",
    kind: Counter,
    labels: &[],
    help: "Requests that were answered before they could be read: no HTTP, too many headers, CONNECT.",
};
/// Heads that ended with 408.
pub const SLOW_HEADS: Name = Name {
    name: "edgeway_slow_heads_total",
    kind: Counter,
    labels: &[],
    help: "Requests whose head took longer than head_timeout.",
};
/// Connections that ended at `keepalive_timeout`.
pub const IDLE_CLOSED: Name = Name {
    name: "edgeway_connections_idle_closed_total",
    kind: Counter,
    labels: &[],
    help: "Connections that the gateway closed because nothing came on them.",
};
/// Files of addresses that are bad now.
pub const BAD_ADDRESS_FILES: Name = Name {
    name: "edgeway_address_files_rejected",
    kind: Gauge,
    labels: &[],
    help: "Files of addresses that cannot be taken as they stand, so that what stood there before still counts.",
};

/// Connections without TLS where there should be.
pub const HANDSHAKE_FAILURES: Name = Name {
    name: "edgeway_tls_handshake_failures_total",
    kind: Counter,
    labels: &[],
    help: "Connections of callers that were closed because their TLS handshake failed or took too long.",
};
/// When certificates end.
pub const CERTIFICATE_EXPIRY: Name = Name {
    name: "edgeway_tls_certificate_expiry_timestamp_seconds",
    kind: Gauge,
    labels: &["certificate"],
    help: "When each certificate of a listener ends, in seconds since 1970; by its first name.",
};
/// Files that changed to something bad.
pub const CERTIFICATE_FAILURES: Name = Name {
    name: "edgeway_tls_certificate_reload_failures_total",
    kind: Counter,
    labels: &[],
    help: "Times that files of a certificate changed to something unusable; the old one is shown on.",
};

/// All of these.
pub(super) const EDGE: &[&Name] = &[
    &CONNECTIONS,
    &CONNECTIONS_OPEN,
    &CONNECTIONS_REFUSED,
    &LONG_LIVED,
    &MALFORMED,
    &SLOW_HEADS,
    &IDLE_CLOSED,
    &BAD_ADDRESS_FILES,
    &HANDSHAKE_FAILURES,
    &CERTIFICATE_EXPIRY,
    &CERTIFICATE_FAILURES,
];
