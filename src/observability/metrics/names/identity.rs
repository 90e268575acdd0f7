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
    help: "Requests whose credentials did not let them in, by code.",
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

/// Of each set of keys that is kept new.
pub const KEYS: Name = Name {
    name: "edgeway_keys",
    kind: Gauge,
    labels: &["issuer"],
    help: "Keys of an issuer whose set is fetched or read from a file. 0: its tokens get 503.",
};
/// Looks at such sets.
pub const KEY_FETCHES: Name = Name {
    name: "edgeway_key_fetches_total",
    kind: Counter,
    labels: &["issuer", "outcome"],
    help: "Looks at an issuer's set of keys: outcome is succeeded or failed.",
};
/// The last good one.
pub const KEYS_SEEN: Name = Name {
    name: "edgeway_keys_last_success_timestamp_seconds",
    kind: Gauge,
    labels: &["issuer"],
    help: "When an issuer's set of keys was last read well, in seconds since 1970. Absent: never.",
};
/// Where tokens can be revoked.
pub const REVOCATIONS: Name = Name {
    name: "edgeway_revocations",
    kind: Gauge,
    labels: &["kind"],
    help: "Revocations that are kept: of single tokens (token), and of all older tokens of a user (user).",
};
/// Where revocations are shared.
pub const REVOCATIONS_WAITING: Name = Name {
    name: "edgeway_revocations_waiting",
    kind: Gauge,
    labels: &[],
    help: "Revocations made here that Redis does not know yet.",
};
/// Where revocations are shared.
pub const REVOCATIONS_AGREED: Name = Name {
    name: "edgeway_revocations_last_read_timestamp_seconds",
    kind: Gauge,
    labels: &[],
    help: "When all revocations were last read from Redis, in seconds since 1970. 0: never.",
};

/// All of these.
pub(super) const IDENTITY: &[&Name] = &[
    &AUTH_FAILURES,
    &TOKEN_CACHE_HITS,
    &TOKEN_CACHE_MISSES,
    &TOKEN_CACHE_ENTRIES,
    &EXT_AUTH_REQUESTS,
    &EXT_AUTH_WAIT,
    &KEYS,
    &KEY_FETCHES,
    &KEYS_SEEN,
    &REVOCATIONS,
    &REVOCATIONS_WAITING,
    &REVOCATIONS_AGREED,
];
