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
mod admin;
mod authorisation;
mod bad_input;
mod connections;
mod cors;
mod environment;
mod environment_limits;
mod errors;
mod faults;
mod headers;
mod http1_corpus;
mod http2;
mod http2_corpus;
mod identity;
mod lifecycle;
mod limits;
mod limits_redis;
mod metrics;
mod outages;
mod own;
mod paths;
mod responses;
mod routing;
mod soak;
mod timeouts;
mod tour;
mod upgrade;
mod upstream;
