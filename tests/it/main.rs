//! The gateway as its users meet it: the real binary, real sockets, real files. One file per subject.

#![allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod support;

mod access_log;
mod addresses;
mod admin;
mod authorisation;
mod bad_input;
mod balancer_idle;
mod changing;
mod connections;
mod consumers;
mod cors;
mod cors_browser;
mod demo_services;
mod demo_stack;
mod direct;
mod documents;
mod early_answers;
mod environment;
mod environment_limits;
mod errors;
mod faults;
mod handoff;
mod headers;
mod http1_corpus;
mod http2;
mod http2_corpus;
mod identity;
mod jwks;
mod lifecycle;
mod limits;
mod limits_redis;
mod machine;
mod metrics;
mod migration;
mod observability_files;
mod outages;
mod own;
mod paths;
mod proxy_protocol;
mod reload;
mod responses;
mod revocation;
mod routing;
mod security_headers;
mod sizing;
mod soak;
mod systemd;
mod timeouts;
mod tls;
mod tour;
mod upgrade;
mod upstream;
mod upstream_tls;
