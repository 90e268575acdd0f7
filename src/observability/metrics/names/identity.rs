//! Who calls: tokens, keys, what they may do.

use crate::observability::metrics::{
    Kind::{Counter, Gauge},
    Name,
};

/// The part of them that tokens caused.
pub const AUTH_FAILURES: Name = Name {
    name: "edgeway_auth_failures_total",
    kind: Counter,
    labels: &["code"],
    help: "Requests whose token did not let them in, by code.",
};
/// Verified tokens that were known already.
pub const TOKEN_CACHE_HITS: Name = Name {
    name: "edgeway_token_cache_hits_total",
    kind: Counter,
    labels: &[],
    help: "Tokens whose signature had been checked before.",
};
/// Tokens that had to be verified.
pub const TOKEN_CACHE_MISSES: Name = Name {
    name: "edgeway_token_cache_misses_total",
    kind: Counter,
    labels: &[],
    help: "Tokens whose signature had to be checked.",
};
/// Verified tokens that are remembered.
pub const TOKEN_CACHE_ENTRIES: Name = Name {
    name: "edgeway_token_cache_entries",
    kind: Gauge,
    labels: &[],
    help: "Verified tokens that are remembered.",
};
/// Questions to external authorisers.
pub const EXT_AUTH_REQUESTS: Name = Name {
    name: "edgeway_ext_auth_requests_total",
    kind: Counter,
    labels: &["ext_auth", "outcome"],
    help: "Questions to external authorisers: outcome is allowed, denied, failed, resting or remembered.",
};
/// How long requests waited for them.
pub const EXT_AUTH_WAIT: Name = Name {
    name: "edgeway_ext_auth_wait_seconds_total",
    kind: Counter,
    labels: &["ext_auth"],
    help: "How long requests waited for external authorisers, in vain too.",
};

/// All of these.
pub(super) const IDENTITY: &[&Name] =
    &[&AUTH_FAILURES, &TOKEN_CACHE_HITS, &TOKEN_CACHE_MISSES, &TOKEN_CACHE_ENTRIES, &EXT_AUTH_REQUESTS, &EXT_AUTH_WAIT];
